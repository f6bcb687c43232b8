"""The stream of one exchange, and its life: it is opened, ends, or is given up.

Both halves of the exchange use it: the one that writes the request (request_writer.py), and the one
that reads the response (response_reader.py). Neither knows the other. One operation writes and one
reads at a time; both may run at once.

A stream that nobody goes on with is reset (RST_STREAM), which leaves the others alone.

Everything of the two halves that is an *attempt* or a *section* is called under the lock of the
pump; so are the methods here that say so.

Not here: the frames of the stream (http/h2/stream.py), both halves as one operation
(whole_exchange.py), and what moves the bytes (pump.py).
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, Final

from ...errors import (
    ConnectionClosed,
    DugongError,
    ProtocolError,
    StateError,
    TransportError,
)
from ...http.h2.stream import CLOSED
from ...http.h2.violations import ErrorCode
from ...polling.wake import Wake
from ..exchange import HTTPResponse
from ..states import Retired, SessionReplaced
from .finished import FinishedBody

if TYPE_CHECKING:
    from ...http.h2.static_table import Field
    from ...http.h2.stream import Stream
    from ...polling.contract import Co
    from ..exchange import Exchange
    from ..time_limits import ContinueLimit
    from .shared import H2State
    from .waiter import Waiter

NO_CONTENT: Final = frozenset({204, 205, 304})
NO_BODY: Final = "there is no body to write"
COMPLETE: Final = f"{NO_BODY}: that of the last request is complete"


class H2Stream:
    """The stream of one request and its response, from before there is room for it to its end.

    Args:
        shared: of the session.
        exchange: the request and its response.
        limits: the time limits that hold for them.
        inner: the stream of HTTP/2 itself, if it is open already.

    Attributes:
        shared: as given.
        pump: of the session.
        exchange: as given.
        limits: as given.
        inner: as given; None before it is opened.
        kept: content that was taken from `inner` and that nobody has got yet; the reader's.
        writing: the operation that writes the request, or waits until it can; None if none does.
            Set by the writer.
        reading: the operation that reads the response; None if none does. Set by the reader.
        pending: the list of exchanges that this one leaves when it is complete, or None.
        cancelled: True if it was given up.
        moved: True if the request goes to another session.

    """

    __slots__ = (
        *("_is_reset", "_is_settled", "_settled", "cancelled", "exchange", "inner", "kept"),
        *("limits", "moved", "pending", "pump", "reading", "shared", "writing"),
    )

    def __init__(
        self,
        shared: H2State,
        exchange: Exchange,
        limits: ContinueLimit,
        inner: Stream | None = None,
    ) -> None:
        self.shared = shared
        self.pump = shared.pump
        self.exchange = exchange
        self.limits = limits
        self.inner = inner
        self.kept: list[bytes | memoryview] = []
        self.writing: Waiter | None = None
        self.reading: Waiter | None = None
        self.pending: list[Exchange] | None = None
        self.cancelled = self.moved = self._is_settled = False
        self._is_reset = False  # or about to be, as it was cancelled
        self._settled: Wake | None = None  # of a reader that waits for the other session

    # ---- its beginning: under the lock

    def open(
        self, waiter: Waiter, section: tuple[Field, ...], ends: bool, *, follows: bool = True
    ) -> bool:
        """Open it and queue the head of the request, if there is room.

        Args:
            waiter: of the operation.
            section: the fields of the head.
            ends: True if the request ends behind it.
            follows: True to have *waiter* woken by events of the stream.

        Raises:
            Retired: the session takes no further request.
            ConnectionClosed: it was given up.

        """
        pump = self.pump
        inner = None if self.cancelled else pump.open(waiter, section, ends)
        if inner is None:
            self.check_may_open()
            if pump.is_retired():
                raise Retired
            return False
        self.opened(inner)
        if follows:
            pump.follow(waiter, inner)
        return True

    def opened(self, inner: Stream) -> None:
        """Note that it is open, as *inner*."""
        self.inner = inner
        self.exchange.stream_id = inner.id
        if self.reading is not None:
            self.pump.follow(self.reading, inner)

    # ---- a request that goes elsewhere

    def move(self) -> None:
        """Note that the request goes to another session; nothing of it was sent here.

        `settle` is called when it has begun there.
        """
        self.moved = True
        self.leave_pending()
        if (reading := self.reading) is not None:
            self.pump.lock.run(self.pump.wake, reading)

    def settle(self) -> None:
        """Note that nothing more is to come of the request here."""
        self._is_settled = True
        if (wake := self._settled) is not None:
            wake.set()

    def co_settle(self) -> Co[None]:
        """Wait until the request is elsewhere, or is given up, and raise an error that says so.

        Raises:
            SessionReplaced: it is sent on another session.
            ConnectionClosed: it could not be sent.

        """
        with Wake("request") as wake:
            self._settled = wake
            try:
                while not self._is_settled:
                    yield from wake.co_wait()
                    wake.clear()
            finally:
                self._settled = None
        self.check_may_open()

    def check_may_open(self) -> None:
        """Check that it may yet be opened.

        Raises:
            SessionReplaced: its request is sent on another session.
            ConnectionClosed: its request could not be sent.

        """
        if self.moved:
            raise SessionReplaced("the request is sent on another connection")
        if self.cancelled:
            raise ConnectionClosed("the request could not be sent")

    # ---- its end

    def leave_pending(self) -> None:
        """Note that nobody has to wait for the response any more: it is complete, or is lost."""
        pending = self.pending
        if pending is not None and self.exchange in pending:
            pending.remove(self.exchange)

    def drop_rest(self, inner: Stream) -> None:
        """Drop what was not sent of the request, as the response has been read to its end.

        *inner*, its own, is reset if the request is not complete (RFC 9113 section 8.1). Queued
        content is kept for the server, as the caller may change its own now. Under the lock.
        """
        self.pump.keep_data()
        if inner.state is not CLOSED:
            self.pump.engine.reset(inner, ErrorCode.NO_ERROR)
            self.pump.note_room()

    def cancel(self) -> None:
        """Give it up: the server is told so, unless both sides have ended it."""
        if self._is_reset:
            return
        self.cancelled = True
        try:
            self.leave_pending()
            self.pump.lock.when_free(self._cancel)
        except BaseException:  # Ctrl-C, perhaps before that
            self.leave_pending()
            self.pump.lock.when_free(self._cancel)
            raise
        finally:
            if self.pump.on_idle is not None:
                self.pump.check_idle()

    def _cancel(self) -> None:
        pump, inner = self.pump, self.inner
        if self._is_reset:
            return
        self._is_reset = True
        if not self.exchange.complete:  # else what is left of the response is yet to be read
            self.kept.clear()
        if not self.moved:  # else another session has them
            if self.exchange.reader is not None and not self.kept:
                self.exchange.reader = self.shared.finished
            self.end_body(StateError(f"{NO_BODY}: that of the last request was given up"))
        if inner is None:
            for waiter in (self.writing, self.reading):
                if waiter is not None:
                    pump.wake(waiter)
            return
        if not self.exchange.sent:
            pump.keep_data()
        observer = self.shared.observer
        if observer is not None and inner.error is None and inner.state is not CLOSED:
            pump.news.append(partial(observer.reset, self.exchange, ErrorCode.CANCEL))
        pump.engine.reset(inner)
        pump.wake_of(inner)
        pump.note_room()
        pump.send_now()

    def end_body(self, reason: DugongError) -> None:
        """Note that no more of the body will be written; an attempt to do that raises *reason*."""
        exchange = self.exchange
        if exchange.writer is None or isinstance(exchange.writer, FinishedBody):
            return
        if exchange.sent:
            reason = StateError(COMPLETE)
        exchange.writer = FinishedBody(self.shared.route, exchange, reason)

    # ---- facts

    def is_answered(self) -> bool:
        """Return True if the server wants no more of the request."""
        inner = self.inner
        return inner is not None and (inner.ended or inner.error is not None)

    def is_unsent(self) -> bool:
        """Return True if the server has not processed the request, and never will.

        As long as the connection goes on, what is queued leaves: it cannot be taken back.
        """
        inner = self.inner
        return inner is None or (inner.error is not None and inner.request_sent == "no")

    def response_to(self, head: Any) -> HTTPResponse:
        """Return the response with *head*, which `inner` has got."""
        exchange, inner = self.exchange, self.inner
        assert inner is not None
        length: int | None = head.content_length
        if (
            exchange.method == "HEAD"
            or head.status in NO_CONTENT
            or (length is None and inner.ended and not inner.buffered and not self.kept)
        ):
            length = 0
        return HTTPResponse(exchange, head, length)

    def complete_error(self, exc: BaseException) -> None:
        """Say in *exc*, which ends an operation, what it is about, and whether it was sent."""
        if not isinstance(exc, DugongError):
            return
        inner, exchange = self.inner, self.exchange
        # A time limit of all that a client does for a request has its label already.
        if inner is not None and (not exc.url or exc.request_sent == "no"):
            begun = exchange.answered or exchange.informational
            if begun or isinstance(exc, ProtocolError):
                exc.request_sent = "yes"
            elif isinstance(exc, TransportError):
                sent = inner.request_sent
                exc.request_sent = sent if sent != "no" or self.is_unsent() else "maybe"
        self.shared.label(exc, exchange)
