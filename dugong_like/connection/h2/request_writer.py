"""The request of one exchange on its stream: the head, and the body as far as it is known.

A body is whole when the request begins, or is written in steps behind the head. Of what is there,
as much is queued at a time as lets others have their turn; the engine has what the windows of the
server do not allow yet (RFC 9113 section 5.2).

Not here: the steps as callers see them (body_writer.py), the order of requests (sender.py), and the
stream that the two halves of an exchange share (stream.py).
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from threading import get_ident
from typing import TYPE_CHECKING, Final, cast

from ...errors import (
    AnsweredEarly,
    ConnectionClosed,
    ExcessBodyData,
    StateError,
    TransportError,
)
from ...http.h2.stream import CLOSED
from ...http.request import BodyFollowing
from ..states import Retired
from ..time_out_messages import NOT_SENT, no_stream, written
from .finished import error_of
from .limits import UNLIMITED, Limit
from .stream import NO_BODY
from .waiter import ROOM, Waiter

if TYPE_CHECKING:
    from ...errors import ConnectionTimedOut, DugongError
    from ...http.h2.static_table import Field
    from ...http.h2.stream import Stream
    from ...polling.contract import Co
    from ...transport.stream import Part
    from .options import EitherHead
    from .stream import H2Stream

# Bytes of a request body that wait to be sent, whatever the windows allow: the heads of other
# requests wait behind them.
MOST_QUEUED: Final = 262144


class RequestWriter:
    """Writes one request.

    Args:
        stream: of the exchange.
        head: of the request; None if it is queued.
        body: what follows it.

    Attributes:
        stream: as given.
        head: as given.
        section: its fields; none if it is queued.
        length: bytes of the whole body, as announced; None if that is unknown.
        rest: bytes that are to be queued next; None if there are none.

    Raises:
        InvalidRequest: the head is for HTTP/1 only.

    """

    __slots__ = ("_ending", "_owed", "head", "length", "rest", "section", "stream")

    def __init__(
        self,
        stream: H2Stream,
        head: EitherHead | None = None,
        body: Part | BodyFollowing | None = None,
    ) -> None:
        self.stream = stream
        self.head = head
        self.section: tuple[Field, ...] = () if head is None else head.section()
        self.length: int | None = None
        self.rest: memoryview | None = None
        self._owed: float | None = None  # bytes of the body that are to be written
        self._ending = True  # the request ends behind `rest`
        if body is not None:
            self._take(body)

    def _take(self, body: Part | BodyFollowing) -> None:
        """Note what is to follow the head."""
        if not isinstance(body, BodyFollowing):
            if len(body):
                self.length = len(body)
                self.rest = cast("memoryview", body)
            return
        self.length = body.length
        if body.length != 0:
            self._owed = float("inf") if body.length is None else body.length
            self._ending = False
            self.stream.exchange.owed_by = get_ident()

    # ---- facts

    @property
    def owed(self) -> float | None:
        """Bytes of the body that are to be written; None if there are none, or it was given up."""
        return None if self.stream.cancelled else self._owed

    def check_room(self, count: int) -> None:
        """Check that *count* bytes can be written.

        Raises:
            ExcessBodyData: they are more than was announced; the stream is reset.

        """
        if self.length is None:
            return
        owed = self._owed
        assert owed is not None
        if count > owed:
            self.cancel()
            raise ExcessBodyData(f"{count} bytes of body data where {owed:.0f} were announced")

    def check_writable(self) -> None:
        """Check that a part of the body may be written now. Raises `StateError`."""
        stream = self.stream
        if stream.writing:
            raise StateError("another operation is sending on this connection")
        if self._owed is None or stream.cancelled:
            raise StateError(f"{NO_BODY}: {self._why_none()}")
        if stream.exchange.expects_continue:
            raise StateError("the body has to wait for 100 (Continue): call read_response()")

    def end(self) -> None:
        """Note that the body is complete, or that the server wants no more of it.

        Its exchange, which leads to this by what writes the body, has that no more then.
        """
        self.stream.end_body(StateError(f"{NO_BODY}: {self._why_none()}"))

    def _why_none(self) -> str:
        exchange = self.stream.exchange
        if exchange.sent:
            return "that of the last request is complete"
        if self.stream.cancelled:
            return "that of the last request was given up"
        inner = self.stream.inner  # of which nobody may have read the response yet
        if exchange.answered or (inner is not None and inner.head is not None):
            return "that of the last request ended early, by the server's answer"
        return "the last request announced none (BodyFollowing)"

    # ---- attempts

    def open(self, waiter: Waiter, *, follows: bool = True) -> bool:
        """Open the stream and queue the head, if there is room; see `H2Stream.open`."""
        return self.stream.open(
            waiter, self.section, self._ending and self.rest is None, follows=follows
        )

    def open_whole(self) -> bool:
        """Open the stream, for which there is room, unless the request has a body; a section.

        Nor is that of a request opened that was given up.
        """
        stream = self.stream
        if self.rest is not None or stream.cancelled:
            return False
        stream.opened(stream.pump.engine.open(self.section, self._ending))
        return True

    def queue(self, waiter: Waiter) -> bool:
        """Open the stream, and queue all that is to be sent now; True if that is done."""
        stream = self.stream
        inner, pump = stream.inner, stream.pump
        if inner is None:
            if not self.open(waiter):
                return False
            inner = stream.inner
            assert inner is not None
        elif waiter.stream is not inner:
            pump.follow(waiter, inner)
        rest = self.rest
        if rest is None:
            if self._ending and not inner.request_ended:
                self._check_unanswered(inner)
                pump.engine.send_data(inner, b"", True)
            return True
        self._check_unanswered(inner)
        if waiter.has_more:
            if not pump.follow_sending(waiter):
                return False
            waiter.mark = 0
            waiter.has_more = False
        if self._queue_part(inner, rest):
            waiter.has_more = True
            pump.follow_sending(waiter)
        return self.rest is None

    def queue_more(self) -> bool:
        """Queue more of the body, unless the server wants none; under the lock.

        Returns:
            True if the windows allow more: that is for when these bytes have been sent.

        """
        inner, rest = self.stream.inner, self.rest
        if inner is None or rest is None or inner.state is CLOSED or inner.ended:
            return False
        return self._queue_part(inner, rest)

    def _queue_part(self, inner: Stream, rest: memoryview) -> bool:
        """Queue of *rest* what the windows allow, but not too much; see `queue_more`."""
        part = rest[:MOST_QUEUED]
        size = len(part)
        is_last = size == len(rest)
        accepted = self.stream.pump.engine.send_data(inner, part, self._ending and is_last)
        if accepted < size:
            self.rest = rest[accepted:]
            return False
        self.rest = None if is_last else rest[accepted:]
        return not is_last

    def queue_next(self, waiter: Waiter) -> bool:
        """Do what `queue` does, as one of several requests of *waiter*.

        The waiter follows the stream whose body is not fully queued.
        """
        if self.stream.inner is None and not self.open(waiter, follows=False):
            return False
        if self.rest is not None and not self.queue(waiter):
            return False
        waiter.wants = ROOM
        return True

    def send(self, waiter: Waiter) -> bool | None:
        """Send all that is to be sent now. True: that is done."""
        if not self.queue(waiter) or not self.are_sent(waiter):
            return None
        self.note_sent()
        return True

    def are_sent(self, waiter: Waiter) -> bool:
        """Return True if all bytes have been sent that were queued when this was first called."""
        pump = self.stream.pump
        if pump.follow_sending(waiter):
            return True
        if pump.engine.ended is not None:
            inner = self.stream.inner
            assert inner is not None
            self._check_unanswered(inner)
        return False

    def note_sent(self) -> None:
        """Note that everything is sent that was to be sent."""
        inner = self.stream.inner
        if self._ending and inner is not None and inner.request_ended:  # not if answered early
            self.stream.exchange.sent = True
            if self._owed is not None:
                self._owed = None
                self.end()

    def _check_unanswered(self, inner: Stream) -> None:
        """Check that the server wants more of the request.

        Raises:
            AnsweredEarly: its response is complete, or it has refused the rest behind its head.
            DugongError: what has ended the stream.

        """
        if inner.state is not CLOSED and not inner.ended:
            return
        stream = self.stream
        if inner.head is not None and (inner.ended or inner.answered_early):
            self._owed = self.rest = None
            stream.pump.keep_data()
            if stream.exchange.complete:
                stream.drop_rest(inner)
            response = stream.response_to(inner.head)
            raise AnsweredEarly.by(response, "; read_response() gives the answer")
        if inner.error is not None:
            raise error_of(inner.error)
        raise stream.shared.labelled(ConnectionClosed("the stream was closed"), stream.exchange)

    # ---- operations

    def co_send(
        self, note: Callable[[], object] | None = None, *, gathers: bool = False
    ) -> Co[None]:
        """Send what is to be sent, or *note* notes first; an interruption resets the stream.

        Until the operation begins nothing has happened, and if another one is sending it is
        refused.
        """
        stream = self.stream
        limit = self.limit()
        waiter = Waiter(None, ROOM if stream.inner is None else 0)
        done = False
        try:
            if note is None:
                stream.writing = waiter
            else:
                stream.pump.lock.run(self._begin_writing, waiter, note)
            yield from stream.pump.co(self.send, waiter, waiter, limit, gathers=gathers)
            done = True
        except (AnsweredEarly, Retired):
            done = True
            raise
        except TransportError as exc:
            self.note_progress(exc)
            raise
        finally:
            if stream.writing is waiter:
                stream.writing = None
                if not done:
                    self.cancel()

    def _begin_writing(self, waiter: Waiter, note: Callable[[], object]) -> None:
        """Have *waiter* send what *note* notes; under the lock."""
        self.check_writable()
        note()
        self.stream.writing = waiter

    def co_write(self, data: memoryview, *, last: bool = False) -> Co[None]:
        """Send *data*; *last* says that the request ends behind it.

        Raises:
            StateError: there is no body to write, or another operation writes.
            ExcessBodyData: it is more than was announced; the stream is reset.
            DugongError: what `co_send` raises.

        """
        return self.co_send(partial(self._note, data, last=last))

    def _note(self, data: memoryview, *, last: bool) -> None:
        """Note *data* as what is to be sent next."""
        size = len(data)
        self.check_room(size)
        if self.length is not None:
            assert self._owed is not None
            self._owed -= size
            last = self._owed == 0
        self.stream.exchange.owed_by = get_ident()
        self.rest = data if size else None
        self._ending = last

    def co_trailers(self, fields: list[tuple[bytes, bytes]]) -> Co[None]:
        """Send trailers, and end the request."""
        return self.co_send(partial(self._queue_trailers, fields))

    def _queue_trailers(self, fields: list[tuple[bytes, bytes]]) -> None:
        inner = self.stream.inner
        assert inner is not None
        self._check_unanswered(inner)
        self.stream.pump.engine.send_trailers(inner, fields)
        self._ending = True

    # ---- its end

    def cancel(self) -> None:
        """Give the exchange up, and let go of what belongs to the caller."""
        try:
            self.stream.cancel()
        finally:
            if self.stream.writing is None:  # else that operation does so, when it ends
                self.rest = None

    def give_up(self) -> None:
        """Give the exchange up, as the request could not be sent; nobody reads its response."""
        self.cancel()
        self.stream.settle()

    def note_progress(self, exc: DugongError) -> None:
        """Say in *exc*, which has ended sending, how much of the body is sent.

        Not if it waits behind bytes of others, as nobody knows then.
        """
        output = self.stream.pump.engine.output
        rest, length = self.rest, self.length
        if rest is None or length is None or not isinstance(exc, TransportError):
            return
        if output.queued == output.sent and not self.stream.cancelled:
            exc.append(written(length - int(self._owed or 0) - len(rest), length))

    def limit(self) -> Limit:
        """Return the limit for sending."""
        seconds = self.stream.limits.write_timeout
        return UNLIMITED if seconds is None else Limit(seconds, self.late)

    def late(self, seconds: float | None) -> ConnectionTimedOut:
        """Return the error of *seconds* in which nothing has moved for `limit`."""
        stream = self.stream
        if stream.inner is None:
            return no_stream(seconds, "write", stream.pump.engine)
        return NOT_SENT(seconds)
