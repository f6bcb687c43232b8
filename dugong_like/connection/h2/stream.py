"""One exchange on its HTTP/2 stream: sending the request, and reading the response.

Everything here that is an *attempt* or a *section* is called under the lock of the pump. One
operation writes a request and one reads its response at a time; both may run at once.

A stream that nobody goes on with is reset (RST_STREAM), which leaves the others alone.

Not here: the order of exchanges in the calls of the connection (sender.py, receiver.py).
"""

from __future__ import annotations

import copy
import time
from collections.abc import Callable, Sequence
from functools import partial
from threading import get_ident
from typing import TYPE_CHECKING, Any, Final, TypeVar, cast

from ...errors import (
    AnsweredEarly,
    BodyTooLarge,
    ConnectionClosed,
    ConnectionTimedOut,
    ContinueTimedOut,
    DugongError,
    ExcessBodyData,
    ProtocolError,
    StateError,
    TransportError,
)
from ...http.arguments import as_writable, check_size
from ...http.h2.stream import CLOSED
from ...http.h2.violations import ErrorCode
from ...http.request import BodyFollowing
from ...polling.timeouts import limited
from ...polling.wake import Wake
from ..exchange import HTTPResponse, Reply
from ..files import NotTaken, Sink
from ..shared import PEERS
from ..states import Retired, SessionReplaced
from ..time_limits import co_until_continue
from ..time_out_messages import NOT_SENT, late_body, late_head, no_stream, written
from .options import EitherHead
from .pump import ROOM, UNLIMITED, Limit, Waiter

if TYPE_CHECKING:
    from ...http.h1.response_head import Head
    from ...http.h2.stream import Stream
    from ...polling.contract import Co
    from ..exchange import Exchange
    from ..time_limits import ContinueLimit
    from .shared import H2State
    from .trace_events import Observer

A = TypeVar("A")
T = TypeVar("T")
NO_CONTENT: Final = frozenset({204, 205, 304})
CONTINUE: Final = 100
MOST_SAVED: Final = 262144  # bytes written to a file at once
# Bytes of a request body that wait to be sent, whatever the windows allow: the heads of other
# requests wait behind them.
MOST_QUEUED: Final = 262144


def take_first(pieces: list[bytes | memoryview], size: int) -> bytes:
    """Take the first *size* bytes of *pieces*, or all; the rest stays where it is in memory.

    A body that was received at once may be read in many parts.
    """
    whole = pieces[0] if len(pieces) == 1 else b"".join(pieces)
    pieces[:] = [memoryview(whole)[size:]] if len(whole) > size else []
    return bytes(whole[:size])


class HeadLimit(Limit):
    """`Timeouts.head`, which counts from the complete request.

    Args:
        exchange: of the request.
        seconds: the limit.

    """

    __slots__ = ("_exchange", "_head")

    def __init__(self, exchange: Exchange, seconds: float) -> None:
        super().__init__(None)
        self._exchange = exchange
        self._head = seconds

    def deadline(self, *, moved: bool) -> float | None:
        """Return until when to wait for the head; see `Limit.deadline`."""
        exchange = self._exchange
        now = time.monotonic()
        if exchange.head_until is None or (moved and not exchange.sent):
            exchange.head_until = now + self._head
        elif now >= exchange.head_until:
            exchange.head_until = None
            raise late_head(self._head, phase="head")
        return exchange.head_until


class PhaseLimits(Limit):
    """The limits of a whole exchange, one after the other: of sending, of the head, of the body.

    Args:
        stream: of the exchange.

    """

    __slots__ = ("_phase", "_present", "_stream")

    def __init__(self, stream: H2Stream) -> None:
        super().__init__(None)
        self._stream = stream
        self._phase: tuple[bool, bool] | None = None
        self._present = UNLIMITED

    def begin(self, until: float) -> None:
        """See `Limit.begin`."""
        self._of_phase().begin(until)

    def deadline(self, *, moved: bool) -> float | None:
        """Return until when to wait; see `Limit.deadline`."""
        return self._of_phase().deadline(moved=moved)

    def _of_phase(self) -> Limit:
        stream = self._stream
        phase = stream.is_unsent(), stream.response is None
        if phase != self._phase:
            self._phase = phase
            self._present = stream.limit_of_sending() if phase[0] else stream.limit()
        return self._present


class H2Stream:
    """One request and its response, on a stream that is opened when there is room for it.

    Args:
        shared: of the session.
        exchange: of the request.
        limits: the time limits that hold for it.

    Attributes:
        exchange: as given.
        head: that of the request.
        stream: that of the protocol; None before it is opened.
        response: the final response, when its head has been read.
        owed: bytes of the body that are to be written; None if there are none.
        length: bytes of the whole body, as announced; None if that is unknown.
        moved: True if the request goes to another session.
        pending: the list of exchanges that this one leaves when it is complete, or None.
        is_here: True if the whole response is here, and its body was taken from the stream (see
            `keep_whole`): so reading it changes nothing that others use, and needs no lock.

    """

    __slots__ = (
        *("_cancelled", "_ending", "_is_reset", "_kept", "_left", "_limits", "_pump"),
        *("_reader", "_reading"),
        *("_rest", "_shared", "_writing", "exchange", "head", "length", "owed", "pending"),
        *("_is_settled", "_settled", "is_here", "moved", "response", "stream"),
    )

    def __init__(self, shared: H2State, exchange: Exchange, limits: ContinueLimit) -> None:
        self._shared = shared
        self._limits = limits
        self._pump = shared.pump
        self.exchange = exchange
        self.stream: Stream | None = None
        self.response: HTTPResponse | None = None
        self.owed: float | None = None
        self.length: int | None = None
        self.pending: list[Exchange] | None = None
        self.head: EitherHead | None = None
        self._rest: memoryview | None = None  # of what is being written
        self._ending = False  # the request ends behind it
        self._kept: list[bytes | memoryview] = []  # taken from the stream, and not delivered
        self._left = shared.config.max_body
        self._reading = False  # by an operation
        self._writing: Waiter | None = None  # the operation that sends
        self._reader: Waiter | None = None  # the one that reads
        self.moved = self._is_settled = self.is_here = False
        self._settled: Wake | None = None  # of a reader that waits for the other one
        self._cancelled = False
        self._is_reset = False  # or about to be, as it was cancelled

    # ---- errors

    def complete_error(self, exc: BaseException) -> None:
        """Say in *exc*, which ends an operation, what it is about, and whether it was sent."""
        if not isinstance(exc, DugongError):
            return
        stream, exchange = self.stream, self.exchange
        # A time limit of all that a client does for a request has its label already.
        if stream is not None and (not exc.url or exc.request_sent == "no"):
            begun = exchange.answered or exchange.informational
            if begun or isinstance(exc, ProtocolError):
                exc.request_sent = "yes"
            elif isinstance(exc, TransportError):
                exc.request_sent = stream.request_sent
        self._shared.label(exc, exchange)

    def note_progress(self, exc: DugongError) -> None:
        """Say in *exc*, which has ended sending, how much of the body is sent.

        Not if it waits behind bytes of others, as nobody knows then.
        """
        output = self._pump.engine.output
        rest, length = self._rest, self.length
        if rest is None or length is None or not isinstance(exc, TransportError):
            return
        if output.queued == output.sent:
            exc.append(written(length - int(self.owed or 0) - len(rest), length))

    def _check(self, stream: Stream) -> None:
        """Raise what has ended *stream*, if something has."""
        error = stream.error
        if error is None:
            return
        again = copy.copy(error)
        again.__cause__ = error.__cause__
        raise again

    # ---- the request

    def begin(self, head: bytes, body: memoryview | BodyFollowing | None) -> None:
        """Note what is to be sent.

        Raises:
            InvalidRequest: the head is for HTTP/1 only.

        """
        assert isinstance(head, EitherHead)
        head.section()
        self.head = head
        if isinstance(body, BodyFollowing):
            self.length = body.length
            if body.length != 0:
                self.owed = float("inf") if body.length is None else body.length
                self.exchange.owed_by = get_ident()
                return
        elif body is not None and len(body):
            self.length = len(body)
            self._rest = body
        self._ending = True

    def adopt(
        self, head: EitherHead | None, stream: Stream | None, body: memoryview | None = None
    ) -> None:
        """Go on with an exchange whose head is queued, on *stream*.

        Args:
            head: that of the request, if it is known.
            stream: that of the protocol.
            body: of the request, for `queue_part`; None if nothing is to be sent any more.

        """
        self.head = head
        self.stream = stream
        self._ending = True
        if body is not None:
            self.length = len(body)
            self._rest = body
        self.exchange.reader = self

    def open(self, waiter: Waiter, *, follows: bool = True) -> bool:
        """Open the stream and queue the head, if there is room; an attempt.

        Args:
            waiter: of the operation.
            follows: True to have it woken by events of the stream.

        Raises:
            Retired: the session takes no further request.

        """
        pump, shared = self._pump, self._shared
        engine = pump.engine
        if not engine.streams:
            pump.look()
        if shared.stream is None or not pump.may_open(waiter):
            if shared.stream is None or not engine.can_open():
                raise Retired
            return False
        stream = self._open_now()
        pump.opened(waiter)
        if follows:
            pump.follow(waiter, stream)
        return True

    def open_whole(self) -> bool:
        """Open the stream, for which there is room, unless its request has a body."""
        if self._rest is not None:
            return False
        self._open_now()
        return True

    def _open_now(self) -> Stream:
        """Open the stream, for which there is room."""
        assert self.head is not None
        ends = self._ending and self._rest is None
        self.stream = stream = self._pump.engine.open(self.head.section(), ends)
        exchange = self.exchange
        exchange.reader = self
        exchange.stream_id = stream.id
        if self._reader is not None:
            self._pump.follow(self._reader, stream)
        return stream

    def queue(self, waiter: Waiter) -> bool:
        """Open the stream, and queue all that is to be sent now; True if that is done."""
        stream = self.stream
        if stream is None:
            if not self.open(waiter):
                return False
            stream = self.stream
            assert stream is not None
        elif waiter.stream is not stream:
            self._pump.follow(waiter, stream)
        engine = self._pump.engine
        rest = self._rest
        if rest is None:
            if self._ending and not stream.request_ended:
                self._check_unanswered(stream)
                engine.send_data(stream, b"", True)
            return True
        self._check_unanswered(stream)
        if waiter.has_more:
            if not self._pump.follow_sending(waiter):
                return False
            waiter.mark = 0
            waiter.has_more = False
        if self.queue_part(stream, rest):
            waiter.has_more = True
            self._pump.follow_sending(waiter)
        return self._rest is None

    def queue_more(self) -> bool:
        """Queue more of the body, unless the server wants none; under the lock.

        Returns:
            True if the windows allow more: that is for when these bytes have been sent.

        """
        stream, rest = self.stream, self._rest
        if stream is None or rest is None or stream.state is CLOSED or stream.ended:
            return False
        return self.queue_part(stream, rest)

    def queue_part(self, stream: Stream, rest: memoryview) -> bool:
        """Queue of *rest*, which is to be sent on *stream*, what the windows allow; under the lock.

        Returns:
            True if they allow more: that is for when these bytes have been sent.

        """
        part = rest[:MOST_QUEUED]
        is_last = len(part) == len(rest)
        accepted = self._pump.engine.send_data(stream, part, self._ending and is_last)
        if accepted < len(part):
            self._rest = rest[accepted:]
            return False
        self._rest = None if is_last else rest[accepted:]
        return not is_last

    def queue_next(self, waiter: Waiter) -> bool:
        """Do what `queue` does, as one of several streams of *waiter*.

        The waiter follows the stream whose body is not fully queued.
        """
        if self.stream is None and not self.open(waiter, follows=False):
            return False
        if self._rest is not None and not self.queue(waiter):
            return False
        waiter.wants = ROOM
        return True

    def open_among(self, waiter: Waiter, streams: Sequence[H2Stream]) -> int:
        """Open the first ones of *streams*, as far as there is room; return how many.

        None, if another operation waits for room, too; and those with a body, and what is behind
        them, are left to `queue_next`.
        """
        pump = self._pump
        if not pump.has_room_for_all(waiter):
            return 0
        count = 0
        for stream in streams[: pump.engine.room()]:
            if not stream.open_whole():
                break
            count += 1
        if count:
            pump.opened(waiter)
            waiter.wants = ROOM
        return count

    def send(self, waiter: Waiter) -> bool | None:
        """Send all that is to be sent now; an attempt. True: that is done."""
        if not self.queue(waiter) or not self.are_sent(waiter):
            return None
        self.note_sent()
        return True

    def are_sent(self, waiter: Waiter) -> bool:
        """Return True if all bytes have been sent that were queued when this was first called."""
        stream = self.stream
        assert stream is not None
        if self._pump.follow_sending(waiter):
            return True
        if self._pump.engine.ended is not None:
            self._check_unanswered(stream)
        return False

    def note_sent(self) -> None:
        """Note that everything is sent that was to be sent."""
        if self._ending:
            self.owed = None
            self.exchange.sent = True

    def _check_unanswered(self, stream: Stream) -> None:
        """Check that the server wants more of the request.

        Raises:
            AnsweredEarly: its response is complete, or it has refused the rest behind its head.
            DugongError: what has ended the stream.

        """
        if stream.state is not CLOSED and not stream.ended:
            return
        if stream.head is not None and (stream.ended or stream.answered_early):
            self.owed = self._rest = None
            response = self._response_to(stream.head)
            raise AnsweredEarly.by(response, "; read_response() gives the answer")
        self._check(stream)
        raise self._shared.labelled(ConnectionClosed("the stream was closed"), self.exchange)

    def write(self, data: memoryview, *, last: bool = False) -> None:
        """Note *data* as what is to be sent next; *last* says that the request ends behind it.

        Raises:
            ExcessBodyData: it is more than was announced; the stream is reset.

        """
        self.check_room(len(data))
        if self.length is not None:
            assert self.owed is not None
            self.owed -= len(data)
            last = self.owed == 0
        self.exchange.owed_by = get_ident()
        self._rest = data if len(data) else None
        self._ending = last

    def check_room(self, count: int) -> None:
        """Check that *count* bytes can be written.

        Raises:
            ExcessBodyData: they are more than was announced; the stream is reset.

        """
        if self.length is None:
            return
        assert self.owed is not None
        if count > self.owed:
            excess = ExcessBodyData(
                f"{count} bytes of body data where {self.owed:.0f} were announced"
            )
            self.cancel()
            raise excess

    def is_answered(self) -> bool:
        """Return True if the server wants no more of the body."""
        stream = self.stream
        return stream is not None and (stream.ended or stream.error is not None)

    def check_writable(self) -> None:
        """Check that a part of the body may be written now. Raises `StateError`."""
        if self._writing:
            raise StateError("another operation is sending on this connection")
        if self.owed is None:
            raise StateError(f"there is no body to write: {self._why_none()}")
        if self.exchange.expects_continue:
            raise StateError("the body has to wait for 100 (Continue): call read_response()")

    def _why_none(self) -> str:
        if self.exchange.sent:
            return "that of the last request is complete"
        if self._cancelled:
            return "that of the last request was given up"
        if self.exchange.answered:
            return "that of the last request ended early, by the server's answer"
        return "the last request announced none (BodyFollowing)"

    def co_write(self, data: memoryview, *, last: bool = False) -> Co[None]:
        """Send *data*; *last* says that the request ends behind it.

        Raises:
            StateError: there is no body to write, or another operation writes.
            DugongError: what `co_send` and `write` raise.

        """
        return self.co_send(partial(self.write, data, last=last))

    def co_send(
        self, note: Callable[[], object] | None = None, *, gathers: bool = False
    ) -> Co[None]:
        """Send what `begin` has noted, or *note* does first; an interruption resets the stream.

        Until the operation begins nothing has happened, and if another one is sending it is
        refused.
        """
        limit = self.limit_of_sending()
        wants = ROOM if self.stream is None else 0
        waiter = Waiter(None, wants)
        done = False
        try:
            if note is None:
                self._writing = waiter
            else:
                self._pump.lock.run(self._begin_writing, waiter, note)
            yield from self._pump.co(self.send, waiter, waiter, limit, gathers=gathers)
            done = True
        except (AnsweredEarly, Retired):
            done = True
            raise
        except TransportError as exc:
            self.note_progress(exc)
            raise
        finally:
            if self._writing is waiter:
                self._writing = None
                if not done:
                    self.cancel()

    def _begin_writing(self, waiter: Waiter, note: Callable[[], object]) -> None:
        """Have *waiter* send what *note* notes; under the lock."""
        self.check_writable()
        note()
        self._writing = waiter

    def co_trailers(self, fields: list[tuple[bytes, bytes]]) -> Co[None]:
        """Send trailers, and end the request."""
        return self.co_send(partial(self._queue_trailers, fields))

    def _queue_trailers(self, fields: list[tuple[bytes, bytes]]) -> None:
        stream = self.stream
        assert stream is not None
        self._check_unanswered(stream)
        self._pump.engine.send_trailers(stream, fields)
        self._ending = True

    def cancel(self) -> None:
        """Give the stream up: the server is told so, unless both sides have ended it."""
        self.owed = None
        if self._is_reset:
            return
        self._cancelled = True
        try:
            self._leave_pending()
            self._pump.lock.when_free(self._cancel)
        except BaseException:  # Ctrl-C, perhaps before that
            self._leave_pending()
            self._pump.lock.when_free(self._cancel)
            raise
        finally:
            if self._pump.on_idle is not None:
                self._pump.check_idle()

    def give_up(self) -> None:
        """Give the stream up, as its request could not be sent; nobody reads its response."""
        self.cancel()
        self.settle()

    def move(self) -> None:
        """Note that the request goes to another session; nothing of it was sent here.

        `settle` is called when it has begun there.
        """
        self.moved = True
        self._leave_pending()
        if self._reader is not None:
            self._pump.lock.run(self._pump.wake_all)

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
        self.take_head()

    def _cancel(self) -> None:
        pump, stream = self._pump, self.stream
        if self._is_reset:
            return
        self._is_reset = True
        self._rest = None
        self._kept.clear()
        if stream is None:
            return
        if stream.error is None and stream.state is not CLOSED:
            pump.keep_data()
            if (observer := self.observer()) is not None:
                pump.news.append(partial(observer.reset, self.exchange, ErrorCode.CANCEL))
        pump.engine.reset(stream)
        pump.wake_of(stream)
        pump.note_room()
        pump.send_now()

    # ---- the response

    def _response_to(self, head: Any) -> HTTPResponse:
        exchange = self.exchange
        stream = self.stream
        assert stream is not None
        length: int | None = head.content_length
        if (
            exchange.method == "HEAD"
            or head.status in NO_CONTENT
            or (length is None and stream.ended and not stream.buffered and not self._kept)
        ):
            length = 0
        return HTTPResponse(exchange, cast("Head", head), length)

    def take_head(self, _: object = None) -> HTTPResponse | None:
        """Take the head of the response, or 100 (Continue) if that is expected; an attempt.

        Raises:
            InvalidResponse, StreamReset, GoneAway, ConnectionClosed: there is none.

        """
        stream, exchange = self.stream, self.exchange
        if stream is None:
            if self.moved:
                raise SessionReplaced("the request is sent on another connection")
            if self._cancelled:
                raise ConnectionClosed("the request could not be sent")
            return None
        if self._cancelled:
            raise StateError("its response is abandoned")
        while stream.informational:
            head = stream.informational.popleft()
            response = HTTPResponse(exchange, cast("Head", head), 0)
            exchange.informational = (*exchange.informational, response)
            self._pump.news.append(partial(self._report, response))
            if head.status == CONTINUE and exchange.expects_continue:
                exchange.expects_continue = False
                return response
        if stream.head is None:
            self._check(stream)
            return None
        exchange.expects_continue = False
        self.response = response = self._response_to(stream.head)
        exchange.final = cast("Head", stream.head)
        if response.length == 0 and stream.ended and not stream.buffered:
            self._end()
        return response

    def _report(self, response: HTTPResponse) -> None:
        """Report a 1xx response; without the lock."""
        if (observer := self.observer()) is not None:
            observer.informational(response)
        if self._shared.config.on_informational is not None:
            self._shared.config.on_informational(response)

    def observer(self) -> Observer | None:
        """Return who is told, if anybody."""
        return cast("Observer | None", self._shared.observer)

    def _end(self) -> None:
        """Note that the response has been read to its end."""
        exchange, response, stream = self.exchange, self.response, self.stream
        assert response is not None
        assert stream is not None
        # In this order, as nothing may be lost by an interruption here; see `is_here`.
        trailers = stream.trailers
        if trailers:
            response.set_trailers(trailers)
        self._leave_pending()
        exchange.complete = True
        if stream.state is not CLOSED:
            self._drop_rest(stream)
        if (observer := self.observer()) is not None:
            trailers = trailers or b""
            self._pump.news.append(partial(observer.received_body, exchange, response, trailers))

    def _leave_pending(self) -> None:
        pending = self.pending
        if pending is not None and self.exchange in pending:
            pending.remove(self.exchange)

    def fail(self) -> None:
        """Note that the response cannot be had any more."""
        self._leave_pending()

    def _ready(self, size: int) -> int | None:
        """Return how many of *size* bytes are here; 0 at the end; None if they have to arrive.

        Raises:
            BodyTooLarge: there is more than may be delivered.
            DugongError: what has ended the stream.

        """
        stream = self.stream
        assert stream is not None
        if self.exchange.complete:
            return 0
        if self._cancelled:
            raise StateError("its response is abandoned")
        if stream.buffered:
            if self._left is not None:
                size = self._limited(size, stream)
            return min(size, stream.buffered)
        if stream.ended:
            self._end()
            return 0
        self._check(stream)
        return None

    def _limited(self, size: int, stream: Stream) -> int:
        """Return how many of *size* bytes may be delivered."""
        left = self._left
        assert left is not None
        length = None if self.response is None else self.response.length
        beyond = stream.missing is not None and stream.missing + stream.buffered > left
        if left == 0 or (length is not None and beyond):
            most = self._shared.config.max_body
            raise BodyTooLarge(f"the body has more than the {most} bytes that are allowed")
        return min(size, left)

    def _took(self, count: int) -> None:
        stream = self.stream
        assert stream is not None
        if self._left is not None:
            self._left -= count
        self._pump.engine.consumed(stream, count)
        if stream.ended and not stream.buffered:
            self._end()

    def check_readable(self) -> None:
        """Check that there is a body to read. Raises `StateError`."""
        if self.response is None:
            what = "there is no body to read: call read_response() first"
            raise self._shared.labelled(StateError(what), self.exchange)

    def take(self, size: int) -> bytes | None:
        """See `Operations.co_read`; an attempt."""
        if self._kept and size:
            piece = take_first(self._kept, size)
            stream = self.stream
            assert stream is not None
            if not (self._kept or self.exchange.complete or stream.buffered) and stream.ended:
                self._end()
            return piece
        count = self._ready(size) if size else 0
        if count is None:
            return None
        pieces: list[bytes] = []
        self._move(count, pieces)
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    def _move(self, count: int, pieces: list[bytes] | list[bytes | memoryview]) -> None:
        """Move *count* bytes, which are here, to *pieces*."""
        stream = self.stream
        assert stream is not None
        left = count
        while left:
            data = stream.take(left)
            pieces.append(data)
            left -= len(data)
        if count:
            self._took(count)

    def take_into(self, target: memoryview) -> int | None:
        """See `Operations.co_readinto`; an attempt."""
        if self._kept:
            data = self.take(len(target))
            assert data is not None
            target[: len(data)] = data
            return len(data)
        count = self._ready(len(target)) if len(target) else 0
        if count:
            stream = self.stream
            assert stream is not None
            stream.take_into(target[:count])
            self._took(count)
        return count

    def take_all(self, _: object = None) -> bytes | None:
        """See `Operations.co_readall`; an attempt."""
        stream, kept = self.stream, self._kept
        assert stream is not None
        if stream.ended and not kept and self._left is None and self._is_wanted():
            size = stream.buffered
            body = stream.take_all()
            if size:
                self._pump.engine.consumed(stream, size)
            self._end()
            return body
        while not self.exchange.complete:
            count = self._ready(stream.buffered)
            if count is None:
                return None
            if count:
                self._move(count, kept)
        body = b"".join(kept)
        kept.clear()
        return body

    def take_rest(self) -> Reply | None:
        """Take what is here of the response; return it with its body if that was the rest."""
        while (response := self.response) is None:
            if self.take_head() is None:
                return None
        body = self.take_all()
        return None if body is None else response.with_body(body)

    def keep_some(self) -> None:
        """Take what is here of the body before somebody asks for it; under the lock.

        Its head has come. `take_all` delivers it.
        """
        while self.response is None:
            self.take_head()
        stream = self.stream
        assert stream is not None
        if count := self._ready(stream.buffered):
            self._move(count, self._kept)

    def keep_whole(self) -> int | None:
        """Take the body, if the whole response is here and as most are; under the lock.

        The bytes are still to be counted as consumed.

        Returns:
            How many there are; 0 also if that was done before. None if it is not so.

        """
        stream, exchange = self.stream, self.exchange
        if self.is_here:
            return 0
        if (
            stream is None
            or stream.state is not CLOSED
            or not stream.ended
            or stream.error is not None
            or stream.informational
            or self.response is not None
            or self._left is not None
            or self._reading
            or self._cancelled
            or exchange.abandoned
            or self._shared.observer is not None
        ):
            return None
        count = stream.buffered
        if count:
            self._kept.append(stream.take_all())
        self.is_here = True
        return count

    def drop(self, _: object = None) -> bool | None:
        """See `Operations.co_discard`; an attempt."""
        stream = self.stream
        assert stream is not None
        self._kept.clear()
        self._left = None
        while not self.exchange.complete:
            count = self._ready(stream.buffered)
            if count is None:
                return None
            if count:
                stream.discard()
                self._took(count)
        return True

    def take_reply(self, waiter: Waiter) -> HTTPResponse | None:
        """Send the request and take the whole response: all of an exchange as one attempt."""
        exchange, stream = self.exchange, self.stream
        if stream is None and self._rest is None and self._limits.head_limit is None:
            if self.open(waiter):
                exchange.sent = True  # it is, when the response comes
            return None
        if not exchange.sent:
            self._send_some(waiter)
            stream = self.stream
        if stream is None:
            return None
        is_fresh = self.response is None and not stream.informational
        if is_fresh and stream.ended and self._left is None:
            return self._whole_reply(stream)
        return self._reply_in_parts(stream)

    def _reply_in_parts(self, stream: Stream) -> HTTPResponse | None:
        """Take what is here of the response; return it if that was the rest."""
        while self.response is None and self.take_head() is None:
            if not stream.informational and stream.head is None:
                return None
        response = self.response
        assert response is not None
        if response.status >= self._shared.config.whole_below and not self._is_whole():
            return response
        if (body := self.take_all()) is None:
            return None
        return response.with_body(body)

    def _send_some(self, waiter: Waiter) -> None:
        """Send what can be sent, unless the server has answered already."""
        try:
            self.send(waiter)
        except AnsweredEarly:
            pass

    def _whole_reply(self, stream: Stream) -> Reply:
        """Return the response, all of which is here, as most are."""
        exchange = self.exchange
        any_head: Any = stream.head  # no `cast`: that is a call
        head: Head = any_head
        exchange.expects_continue = False
        exchange.final = head
        exchange.complete = True
        if count := stream.buffered:
            body = stream.take_all()
            self._pump.engine.consumed(stream, count)
        else:
            body = b""
        self._drop_rest(stream)
        return Reply(exchange, head, body, False, stream.trailers or b"")

    def _drop_rest(self, stream: Stream) -> None:
        """Reset *stream* if its request is not complete: nobody waits for the rest.

        See RFC 9113 section 8.1. Not while an operation writes, which is told.
        """
        if stream.state is not CLOSED and not self._writing:
            self._pump.engine.reset(stream, ErrorCode.NO_ERROR)
            self._pump.note_room()

    def take_whole(self, _: object) -> tuple[HTTPResponse, bytes] | None:
        """Return the response and its body, if all of that is here and nothing is unusual."""
        stream, exchange = self.stream, self.exchange
        if stream is None or not stream.ended or self._reading or self.response is not None:
            return None
        if exchange.abandoned or stream.informational or stream.head is None:
            return None
        response = self.take_head()
        body = self.take_all()
        assert response is not None
        assert body is not None
        return response, body

    def is_unread(self) -> bool:
        """Return True if the head of the response has been read, and not all of its body."""
        exchange = self.exchange
        if self.response is None or self._cancelled or exchange.abandoned:
            return False
        if not exchange.complete:
            return self.stream is None or self.stream.error is None or self.stream.buffered > 0
        return False

    def left(self) -> list[bytes | memoryview] | None:
        """Return what was received of a complete body and not delivered; None if there is none."""
        return [*self._kept] if self.exchange.complete else None

    def limit(self) -> Limit:
        """Return the limit for waiting for the response."""
        limits = self._limits
        if limits.head_limit is not None and self.response is None:
            return HeadLimit(self.exchange, limits.head_limit)
        seconds = limits.timeout
        return UNLIMITED if seconds is None else Limit(seconds, self.late)

    def limit_of_sending(self) -> Limit:
        """Return the limit for sending."""
        return Limit(self._limits.write_timeout, self.late_sending)

    def limit_of_all(self) -> Limit:
        """Return the limit for an operation that sends the request and reads the response."""
        limits = self._limits
        seconds = limits.timeout
        if limits.head_limit is not None or limits.write_timeout != seconds:
            return PhaseLimits(self)
        return UNLIMITED if seconds is None else Limit(seconds, self._late_of_all)

    def is_unsent(self) -> bool:
        """Return True as long as such an operation sends."""
        return not self.exchange.sent and self.response is None

    def _late_of_all(self, seconds: float) -> ConnectionTimedOut:
        if self.is_unsent():
            return self.late_sending(self._limits.write_timeout)
        return self.late(seconds)

    def late_sending(self, seconds: float | None) -> ConnectionTimedOut:
        """Return the error of *seconds* in which nothing has moved for `limit_of_sending`."""
        if self.stream is None:
            return no_stream(seconds, "write", self._pump.engine)
        return NOT_SENT(seconds)

    def late(self, seconds: float) -> ConnectionTimedOut:
        """Return the error of *seconds* in which nothing has moved for `limit`."""
        stream = self.stream
        if stream is None or (response := self.response) is None:
            return late_head(seconds)
        length, missing = response.length, stream.missing
        there = 0 if length is None or missing is None else length - missing
        return late_body(seconds, there, None if missing is None else length)

    def _is_wanted(self) -> bool:
        return not (self.exchange.complete or self._cancelled)

    def _is_whole(self) -> bool:
        return self.exchange.complete or (self.stream is not None and self.stream.ended)

    # ---- operations

    def co_take(self, attempt: Callable[[A], T | None], argument: A, **more: Any) -> Co[T]:
        """Make attempts to read, one operation at a time.

        Args:
            attempt: see `Pump.co`.
            argument: see `Pump.co`.
            more: see `Pump.co`.

        """
        going = self._co_take(attempt, argument, **more)
        total = self._limits.total
        return going if total is None else limited(total, "total", going, "it could not be read")

    def take_now(self, attempt: Callable[[A], T | None], argument: A) -> T | None:
        """Make an attempt to read, if something is here; return None if that is not enough.

        Many responses may have come together, and need not wait for anything: so this is tried
        before an operation of the pump begins.

        Args:
            attempt: see `Pump.co`.
            argument: see `Pump.co`.

        """
        stream = self.stream
        if stream is None or self._reading or self._shared.observer is not None:
            return None
        if stream.head is None or not (stream.ended or stream.buffered):
            return None
        try:
            if self.is_here:
                return attempt(argument)
            return self._pump.attempt(attempt, argument)
        except BaseException as exc:
            self.complete_error(exc)
            if isinstance(exc, PEERS):
                self.fail()
            raise

    def _co_take(self, attempt: Callable[[A], T | None], argument: A, **more: Any) -> Co[T]:
        if (here := self.take_now(attempt, argument)) is not None:
            return here
        if self._reading:
            busy = StateError("another operation is reading on this connection")
            raise self._shared.labelled(busy, self.exchange)
        limit = self.limit()
        waiter = Waiter(None)
        self._reading = True
        observer = self.observer()
        try:
            if observer is not None:
                observer.begins_reading(self.exchange, self.response)
            self._pump.lock.run(self._follow, waiter)
            result = yield from self._pump.co(attempt, argument, waiter, limit, **more)
            if observer is not None and attempt == self.take_head:
                observer.received_head(self.exchange, cast("HTTPResponse", result))
            return result
        except BaseException as exc:
            self.complete_error(exc)
            if isinstance(exc, PEERS) and not isinstance(exc, ConnectionTimedOut):
                self.fail()
            if observer is not None:
                observer.reading_failed(self.exchange, exc)
            raise
        finally:
            self._reading, self._reader = False, None
            if not waiter.left:  # Ctrl-C, before the pump had it
                self._pump.lock.when_free(partial(self._pump.leave, waiter))

    def _follow(self, waiter: Waiter) -> None:
        self._reader = waiter
        if self.stream is not None:
            self._pump.follow(waiter, self.stream)

    def co_head(self) -> Co[HTTPResponse]:
        """Read the head of the response; see `Operations.co_read_response`."""
        exchange, seconds = self.exchange, self._limits.continue_timeout
        reading = self.co_take(self.take_head, None)
        if seconds is None or not exchange.expects_continue:
            return (yield from reading)
        try:
            return (yield from co_until_continue(reading, exchange, seconds))
        except ContinueTimedOut as late:
            self._shared.label(late, exchange)
            raise

    # ---- `ResponseReader`: the calls of the exchange

    def is_next(self, exchange: Exchange) -> bool:
        """Return True: responses need not wait for each other."""
        return exchange is self.exchange

    def abandon(self, exchange: Exchange) -> None:
        """See `ResponseReader.abandon`."""
        if not exchange.complete and self.stream is not None:
            self.cancel()
            if self._pump.news:
                self._pump.tell_news()

    def update_window(self, exchange: Exchange, size: int) -> None:  # noqa: ARG002 - it is its own
        """See `Exchange.update_window`."""
        self._pump.open_window(self.stream, size)

    def co_response_of(self, exchange: Exchange) -> Co[HTTPResponse]:
        """See `Exchange.co_read_response`."""
        if exchange.abandoned:
            raise self._shared.labelled(StateError("its response is abandoned"), exchange)
        if self.response is not None:
            raise self._shared.labelled(StateError("its response has been read"), exchange)
        return (yield from self.co_head())

    def co_body_of(self, exchange: Exchange, size: int | None) -> Co[bytes]:
        """See `Exchange.co_read`; None for the whole rest."""
        self._check_body_of(exchange)
        if size is None:
            return (yield from self.co_take(self.take_all, None))
        return (yield from self.co_take(self.take, check_size(size)))

    def co_body_into(self, exchange: Exchange, buf: bytearray | memoryview) -> Co[int]:
        """See `Exchange.co_readinto`."""
        view = as_writable(buf)
        self._check_body_of(exchange)
        return (yield from self.co_take(self.take_into, view))

    def co_discard_of(self, exchange: Exchange) -> Co[None]:
        """See `Exchange.co_discard`."""
        self._check_body_of(exchange)
        yield from self.co_take(self.drop, None)

    def _check_body_of(self, exchange: Exchange) -> None:
        if exchange.abandoned:
            raise self._shared.labelled(StateError("its response is abandoned"), exchange)
        self.check_readable()

    # ---- files

    def co_save(self, sink: Sink) -> Co[bool]:
        """Write the rest of the body to *sink*; False if that has failed."""
        while True:
            piece = yield from self.co_take(self.take, MOST_SAVED)
            if not piece:
                return True
            view = memoryview(piece)
            try:
                while view:
                    try:
                        view = view[sink.write(view) :]
                    except NotTaken:
                        if sink.failure is not None:
                            return False
                        need = sink.wanted()
                        assert need is not None
                        yield need
            finally:
                if view:
                    self._pump.lock.when_free(partial(self._keep, bytes(view)))

    def _keep(self, piece: bytes) -> None:
        self._kept.insert(0, piece)
