"""The sending half of an HTTP/2 session: one request after the other, as callers see it.

A body is written to the exchange that was opened last. Exchanges are not ordered on the wire; each
has a stream of its own, which does the work (stream.py).

Not here: exchanges that are concurrent (`Session.co_exchange`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from threading import get_ident
from typing import TYPE_CHECKING, Any, cast

from ...errors import AnsweredEarly, ConnectionClosed, DugongError, StateError
from ...http.request import BodyFollowing
from ...polling.timeouts import limited
from ..states import NEW, OPEN, Retired
from .pump import ROOM, Limit, Waiter
from .stream import NOT_SENT, H2Stream

if TYPE_CHECKING:
    from ...polling.contract import Co
    from ...transport.stream import Part
    from ...transport.zero_copy import FileRange
    from ..exchange import Exchange
    from ..session import Whole
    from ..time_limits import ContinueLimit
    from .opening import Opening
    from .shared import H2State


class Sender:
    """Sends requests, one after the other.

    Args:
        shared: of the session.
        opening: connects.
        pending: the exchanges whose responses have not been read, in order.
        limits: the time limits that hold.

    Attributes:
        stream: of the exchange that was opened last; None before the first.

    """

    __slots__ = ("_limits", "_opening", "_pending", "_shared", "stream")

    def __init__(
        self,
        shared: H2State,
        opening: Opening,
        pending: list[Exchange],
        limits: ContinueLimit,
    ) -> None:
        self._shared = shared
        self._limits = limits
        self._opening = opening
        self._pending = pending
        self.stream: H2Stream | None = None

    # ---- facts

    @property
    def owed(self) -> float | None:
        """Bytes of the request body that are to be written; see `HTTPConnection.body_owed`."""
        stream = self.stream
        if stream is None or self._shared.stream is None or self._is_answered(stream):
            return None
        return stream.owed

    @staticmethod
    def _is_answered(stream: H2Stream) -> bool:
        """Return True if the server wants no more of the body."""
        return stream.stream is not None and (
            stream.stream.ended or stream.stream.error is not None
        )

    def is_writing(self) -> bool:
        """Return True if a body is being written."""
        return self.owed is not None

    def is_complete(self) -> bool:
        """Return True if nothing is left to be sent of the last request."""
        stream = self.stream
        return stream is not None and stream.owed is None and stream.exchange.sent

    def has_bulk(self) -> bool:
        """Return False: what is sent is in frames."""
        return False

    def check_not_owed(self) -> None:
        """Check that waiting for the next response makes sense in this thread.

        Raises:
            StateError: it is the response to the request whose body this thread has to write.

        """
        stream = self.stream
        if stream is None or self.owed is None or stream.exchange.owed_by != get_ident():
            return
        exchange = stream.exchange
        first = next((each for each in self._pending if not each.abandoned), None)
        if exchange.expects_continue or first is not exchange:
            return
        if stream.stream is not None and (stream.stream.head or stream.stream.informational):
            return
        missing = "finish() was not called"
        if stream.length is not None:
            written = stream.length - int(stream.owed or 0)
            missing = f"{written} of {stream.length} bytes of the body written"
        error = StateError(f"the response waits for the rest of the request: {missing}")
        raise self._shared.labelled(error, exchange)

    def label(self, exc: BaseException) -> None:
        """Say in *exc* that it is about the last request."""
        self._shared.label(exc, None if self.stream is None else self.stream.exchange)

    # ---- steps

    def begin(self, step: Callable[..., Co[None] | None], *arguments: Any) -> Co[None] | None:
        """See `SendingHalf.begin`."""
        try:
            going = step(*arguments)
        except BaseException as exc:
            self._note(exc, self.stream)
            raise
        return None if going is None else self._co_go_on(going, self.stream)

    def _co_go_on(self, going: Co[None], stream: H2Stream | None) -> Co[None]:
        total = self._limits.total
        if total is not None:
            going = limited(total, "total", going, "it could not be sent")
        try:
            yield from going
        except BaseException as exc:
            self._note(exc, stream)
            raise

    def _note(self, exc: BaseException, stream: H2Stream | None) -> None:
        if stream is not None:
            stream.complete_error(exc)
        elif isinstance(exc, DugongError):
            self._shared.label(exc)
        if (observer := self._shared.observer) is not None:
            observer.sending_failed(exc, None if stream is None else stream.exchange)

    def nothing(self) -> Co[None] | None:
        """Return None: nothing is to be sent."""
        return None

    def connect(self) -> Co[None] | None:
        """See `SendingHalf.connect`."""
        self._check_usable()
        if self._shared.state is OPEN:
            return None
        return self._opening.co_open()

    def _check_usable(self) -> None:
        """Check that the session takes a request.

        Raises:
            Retired: it does not.
            ConnectionClosed: it does not, and responses are pending.

        """
        shared = self._shared
        if shared.state is NEW and shared.other is None:
            return
        if shared.state is OPEN and shared.pump.engine.can_open():
            return
        if shared.state is not NEW:
            self._check_nothing_is_pending()
        raise Retired

    def _check_nothing_is_pending(self) -> None:
        """Check that another session may be used: responses are read in the order of requests.

        Raises:
            ConnectionClosed: responses are pending, that would be lost.

        """
        waiting = [each for each in self._pending if not each.abandoned]
        if waiting:
            raise ConnectionClosed(
                f"the connection takes no further request, and {len(waiting)} responses "
                "are pending: read them, or call reset()"
            )

    def request(
        self,
        exchange: Exchange,
        head: bytes,
        body: Part | BodyFollowing | None,
        before: Sequence[Whole] = (),
        *,
        is_operation: bool = False,
    ) -> Co[None] | None:
        """See `SendingHalf.request`."""
        stream = self.stream
        try:
            if stream is not None and self.owed is not None:
                what = "it is not possible to send a request while the body of a request is being"
                raise StateError(f"{what} written, {stream.owed} bytes are missing")
            self._check_usable()
        except DugongError as exc:
            self._shared.label(exc, exchange)
            raise
        streams = [self._prepare(*each) for each in (*before, (exchange, head, body))]
        return self._co_go_on(self._co_request(streams, is_operation), streams[-1])

    def _prepare(
        self, exchange: Exchange, head: bytes, body: Part | BodyFollowing | None
    ) -> H2Stream:
        """Return the stream of *exchange*, with what it sends first."""
        stream = H2Stream(self._shared, exchange, self._limits)
        try:
            stream.begin(head, cast("memoryview | BodyFollowing | None", body))
        except DugongError as exc:
            self._shared.label(exc, exchange)
            raise
        return stream

    def _co_request(self, streams: list[H2Stream], is_operation: bool) -> Co[None]:
        """Open *streams*, in order, and send what they begin with."""
        last = streams[-1]
        for stream in streams:
            stream.pending = self._pending
            stream.exchange.reader = stream  # for one who reads while it is still to be opened
            self._pending.append(stream.exchange)
        before, self.stream = self.stream, last
        try:
            yield from self._co_send_heads(streams, is_operation)
        except Retired as exc:
            self.stream = before
            for stream in streams:
                stream.move()
            if self._shared.state is not NEW:
                try:
                    self._check_nothing_is_pending()
                except ConnectionClosed:
                    _settle(streams)
                    raise
            exc.settle = partial(_settle, streams)
            raise
        except AnsweredEarly:
            raise
        except BaseException:
            for stream in streams:
                stream.give_up()
            raise

    def _co_send_heads(self, streams: list[H2Stream], is_operation: bool) -> Co[None]:
        last = streams[-1]
        yield from self._opening.co_ready()
        if (observer := last.observer()) is not None:
            for stream in streams:
                observer.sends_head(stream.exchange, stream.head)
        if len(streams) == 1:
            yield from last.co_send(gathers=is_operation)
        else:
            limit = Limit(self._limits.write_timeout, "write", NOT_SENT)
            waiter = Waiter(None, ROOM)
            yield from self._shared.pump.co(Together(streams).send, waiter, waiter, limit)
        if observer is not None:
            for stream in streams:
                observer.sent_head(stream.exchange, body_follows=stream.owed is not None)

    def write(self, data: memoryview | FileRange) -> Co[None] | None:
        """See `Operations.co_write`; a step."""
        if not data and self.is_complete():
            return None
        stream = self._writable()
        if not data:
            return None
        stream.write(cast("memoryview", data))
        return self._co_write(stream)

    def _co_write(self, stream: H2Stream) -> Co[None]:
        if (observer := stream.observer()) is not None:
            observer.sends_body(stream.exchange)
        yield from stream.co_send()
        if observer is not None and stream.exchange.sent:
            observer.sent_body(stream.exchange)

    def finish(self, trailers: bytes) -> Co[None] | None:
        """See `Operations.co_finish`; *trailers* are field lines. A step."""
        if not trailers and self.is_complete():
            return None
        stream = self._writable()
        if stream.length is not None and stream.owed:
            missing = StateError(f"the body is not complete, {stream.owed} bytes are missing")
            stream.cancel()
            raise missing
        if not trailers:
            stream.write(memoryview(b""), last=True)
            return self._co_write(stream)
        fields = []
        for line in trailers.split(b"\r\n")[:-1]:
            name, _, value = line.partition(b":")
            fields.append((name.lower(), value.strip(b" \t")))
        return self._co_trailers(stream, fields)

    @staticmethod
    def _co_trailers(stream: H2Stream, fields: list[tuple[bytes, bytes]]) -> Co[None]:
        if (observer := stream.observer()) is not None:
            observer.sends_body(stream.exchange)
        yield from stream.co_trailers(fields)
        if observer is not None:
            observer.sent_body(stream.exchange)

    def _writable(self) -> H2Stream:
        stream = self.stream
        if stream is None:
            raise StateError("there is no body to write: no request announced one (BodyFollowing)")
        if self._shared.stream is None:
            self._shared.check_usable()
        stream.check_writable()
        return stream

    def check_room(self, count: int) -> bool:
        """See `SendingHalf.check_room`."""
        stream = self._writable()
        stream.check_room(count)
        return stream.length is None

    def break_off(self, failure: Exception) -> None:  # noqa: ARG002 - the stream is reset
        """See `SendingHalf.break_off`: the stream is reset."""
        if self.stream is not None and self.stream.owed is not None:
            self.stream.cancel()

    def abort_body(self, exchange: Exchange) -> None:
        """See `SendingHalf.abort_body`: the stream is reset."""
        stream = self.stream
        if stream is not None and stream.exchange is exchange and self.owed is not None:
            stream.cancel()


class Together:
    """Several requests that are queued together."""

    def __init__(self, streams: list[H2Stream]) -> None:
        self._streams = streams
        self._next = 0

    def send(self, waiter: Waiter) -> bool | None:
        """Queue as many as there is room for; an attempt. True if all are sent."""
        streams = self._streams
        while self._next < len(streams):
            if not streams[self._next].queue_next(waiter):
                return None
            self._next += 1
        if not streams[-1].are_sent(waiter):
            return None
        for stream in streams:
            stream.note_sent()
        return True


def _settle(streams: list[H2Stream]) -> None:
    for stream in streams:
        stream.settle()
