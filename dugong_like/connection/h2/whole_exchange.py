"""A whole exchange as one operation of the pump: the request is sent, and the response taken.

It goes on as a `RequestWriter` and a `ResponseReader` do, which have the state; most responses are
here as a whole when they are looked at, and need no reader.

Not here: the operation around it (session.py), the shorter way of one that finds nobody else
(alone.py), and many at once (batch.py, rolling_batch.py).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ...errors import AnsweredEarly
from ..exchange import HTTPResponse, Reply
from .limits import UNLIMITED, Limit
from .response_reader import ResponseReader

if TYPE_CHECKING:
    from ...errors import ConnectionTimedOut
    from ...http.h2.stream import Stream
    from .request_writer import RequestWriter
    from .waiter import Waiter


class PhaseLimits(Limit):
    """The limits of a whole exchange, one after the other: of sending, of the head, of the body.

    Args:
        whole: the exchange.

    """

    __slots__ = ("_phase", "_present", "_whole")

    def __init__(self, whole: WholeExchange) -> None:
        super().__init__(None)
        self._whole = whole
        self._phase: tuple[bool, bool] | None = None
        self._present = UNLIMITED

    def begin(self, until: float) -> None:
        """See `Limit.begin`."""
        self._of_phase().begin(until)

    def deadline(self, *, moved: bool) -> float | None:
        """Return until when to wait; see `Limit.deadline`."""
        return self._of_phase().deadline(moved=moved)

    def _of_phase(self) -> Limit:
        whole = self._whole
        sends = whole.is_unsent()
        phase = sends, sends or whole.reader().response is None
        if phase != self._phase:
            self._phase = phase
            self._present = whole.writer.limit() if sends else whole.reader().limit()
        return self._present


class WholeExchange:
    """Sends one request and takes its response.

    Args:
        writer: of the request.
        reader: of the response; None before somebody needs it.

    Attributes:
        writer: as given.

    """

    __slots__ = ("_reader", "writer")

    def __init__(self, writer: RequestWriter, reader: ResponseReader | None = None) -> None:
        self.writer = writer
        self._reader = reader

    def reader(self) -> ResponseReader:
        """Return what reads the response, if it does not come as most do."""
        reader = self._reader
        if reader is None:
            reader = self._reader = ResponseReader(self.writer.stream)
        return reader

    def take_reply(self, waiter: Waiter) -> HTTPResponse | None:
        """Send the request and take the whole response; an attempt.

        Returns:
            A `Reply`; a response without its body, if its user is to read that (see
            `ConnectionConfig.whole_below`); or None.

        Raises:
            DugongError: there is no response, or not all of it.

        """
        writer = self.writer
        stream = writer.stream
        exchange, inner = stream.exchange, stream.inner
        if inner is None and writer.rest is None and stream.limits.head_limit is None:
            if stream.open(waiter, writer.section, True):
                exchange.sent = True  # it is, when the response comes
            return None
        if not exchange.sent:
            self._send_some(waiter)
            inner = stream.inner
        if inner is None:
            return None
        if inner.ended and not inner.informational and stream.shared.config.max_body is None:
            reader = self._reader
            if reader is None or reader.response is None:
                return self._whole_reply(inner)
        elif inner.head is None and not (inner.informational or inner.error or stream.cancelled):
            return None
        return self._reply_in_parts(inner)

    def _send_some(self, waiter: Waiter) -> None:
        """Send what can be sent, unless the server has answered already."""
        try:
            self.writer.send(waiter)
        except AnsweredEarly:
            pass

    def _whole_reply(self, inner: Stream) -> Reply:
        """Return the response, all of which is here, as most are."""
        stream = self.writer.stream
        exchange = stream.exchange
        head: Any = inner.head  # no `cast`: that is a call
        exchange.expects_continue = False
        exchange.final = head
        exchange.complete = True
        if self._reader is not None:  # for time limits
            exchange.reader = stream.shared.finished
        if count := inner.buffered:
            body = inner.take_all()
            stream.pump.engine.consumed(inner, count)
        else:
            body = b""
        if not exchange.sent:
            stream.drop_rest(inner)
        return Reply(exchange, head, body, False, inner.trailers or b"")

    def _reply_in_parts(self, inner: Stream) -> HTTPResponse | None:
        """Take what is here of the response; return it if that was the rest."""
        reader = self._reader or self.reader()
        while reader.response is None and reader.take_head() is None:
            if not inner.informational and inner.head is None:
                return None
        response = reader.response
        assert response is not None
        config = reader.stream.shared.config
        if response.status >= config.whole_below and not reader.is_whole():
            return response
        if (body := reader.take_all()) is None:
            return None
        return response.with_body(body)

    # ---- limits

    def limit(self) -> Limit:
        """Return the limit for all of it."""
        limits = self.writer.stream.limits
        seconds = limits.timeout
        if limits.head_limit is not None or limits.write_timeout != seconds:
            return PhaseLimits(self)
        return UNLIMITED if seconds is None else Limit(seconds, self._late)

    def is_unsent(self) -> bool:
        """Return True as long as it sends."""
        reader = self._reader
        is_sent = self.writer.stream.exchange.sent
        return not is_sent and (reader is None or reader.response is None)

    def _late(self, seconds: float) -> ConnectionTimedOut:
        if self.is_unsent():
            return self.writer.late(self.writer.stream.limits.write_timeout)
        return self.reader().late(seconds)
