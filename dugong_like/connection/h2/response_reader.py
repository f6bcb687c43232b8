"""Reading the response of one exchange from its stream: the head, and what is here of the body.

Content that has come is in the stream of HTTP/2 itself until it is taken, which opens the window
again (RFC 9113 section 6.9). Some of it may be taken before anybody asks; that is in
`H2Stream.kept` then.

An exchange has its reader until its response is read or given up, and then one that all share
(finished.py): what it has then leads nowhere that leads back, so it is freed when it is dropped.

Any number of responses are read at once on one connection, each by one operation at a time; those
that are complete need no operation of the pump, and some not even its lock.

Not here: the order of responses in the calls of the connection (receiver.py), a whole exchange as
one operation (whole_exchange.py), and the stream itself (stream.py).
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any, Final, TypeVar, cast

from ...errors import BodyTooLarge, ConnectionTimedOut, ContinueTimedOut, StateError
from ...http.arguments import as_writable, check_size
from ...http.h2.stream import CLOSED
from ...polling.timeouts import limited
from ..exchange import HTTPResponse, Reply
from ..files import NotTaken, Sink
from ..shared import PEERS
from ..time_limits import co_until_continue
from ..time_out_messages import late_body, late_head
from .finished import Failed, error_of
from .limits import UNLIMITED, HeadLimit, Limit
from .waiter import Waiter

if TYPE_CHECKING:
    from ...errors import DugongError
    from ...http.h2.stream import Stream
    from ...polling.contract import Co
    from ..exchange import Exchange
    from .stream import H2Stream

A = TypeVar("A")
T = TypeVar("T")
CONTINUE: Final = 100
MOST_SAVED: Final = 262144  # bytes written to a file at once


def take_first(pieces: list[bytes | memoryview], size: int) -> bytes:
    """Take the first *size* bytes of *pieces*, or all; the rest stays where it is in memory.

    A body that was received at once may be read in many parts.
    """
    whole = pieces[0] if len(pieces) == 1 else b"".join(pieces)
    pieces[:] = [memoryview(whole)[size:]] if len(whole) > size else []
    return bytes(whole[:size])


class ResponseReader:
    """Reads one response, for its exchange; see `connection.exchange.ResponseReader`.

    Args:
        stream: of the exchange.

    Attributes:
        stream: as given.
        response: the final response, when its head has been read.
        is_here: True if the whole response is here, and its body was taken from the stream (see
            `keep_whole`): so reading it changes nothing that others use, and needs no lock.

    """

    __slots__ = ("_left", "is_here", "response", "stream")

    def __init__(self, stream: H2Stream) -> None:
        self.stream = stream
        self.response: HTTPResponse | None = None
        self.is_here = False
        self._left = stream.shared.config.max_body  # bytes that may yet be delivered
        stream.exchange.reader = self

    # ---- facts

    def is_unread(self) -> bool:
        """Return True if the head of the response has been read, and not all of its body."""
        stream = self.stream
        exchange, inner = stream.exchange, stream.inner
        if self.response is None or stream.cancelled or exchange.abandoned:
            return False
        if not exchange.complete:
            return inner is None or inner.error is None or inner.buffered > 0
        return False

    def is_whole(self) -> bool:
        """Return True if the whole response is here."""
        inner = self.stream.inner
        return self.stream.exchange.complete or (inner is not None and inner.ended)

    def left(self) -> list[bytes | memoryview] | None:
        """Return what was received of a complete body and not delivered; None if there is none."""
        return [*self.stream.kept] if self.stream.exchange.complete else None

    def check_readable(self) -> None:
        """Check that there is a body to read. Raises `StateError`."""
        if self.response is None:
            what = "there is no body to read: call read_response() first"
            raise self.stream.shared.labelled(StateError(what), self.stream.exchange)

    # ---- attempts: the head

    def take_head(self, _: object = None) -> HTTPResponse | None:
        """Take the head of the response, or 100 (Continue) if that is expected.

        Raises:
            InvalidResponse, StreamReset, GoneAway, ConnectionClosed: there is none.

        """
        stream = self.stream
        exchange, inner = stream.exchange, stream.inner
        if inner is None:
            stream.check_may_open()
            return None
        if stream.cancelled:
            raise StateError("its response is abandoned")
        while inner.informational:
            head: Any = inner.informational.popleft()
            response = HTTPResponse(exchange, head, 0)
            exchange.informational = (*exchange.informational, response)
            stream.pump.news.append(partial(self._report, response))
            if head.status == CONTINUE and exchange.expects_continue:
                exchange.expects_continue = False
                return response
        head = inner.head
        if head is None:
            if inner.error is not None:
                raise error_of(inner.error)
            return None
        exchange.expects_continue = False
        self.response = response = stream.response_to(head)
        exchange.final = head
        if response.length == 0 and inner.ended and not inner.buffered:
            self._end(inner)
        return response

    def _report(self, response: HTTPResponse) -> None:
        """Report a 1xx response; without the lock."""
        shared = self.stream.shared
        if shared.observer is not None:
            shared.observer.informational(response)
        if shared.config.on_informational is not None:
            shared.config.on_informational(response)

    # ---- attempts: the body

    def _end(self, inner: Stream) -> None:
        """Note that the response has been read to its end."""
        stream, response = self.stream, self.response
        exchange = stream.exchange
        assert response is not None
        # In this order, as nothing may be lost by an interruption here; see `is_here`.
        trailers = inner.trailers
        if trailers:
            response.set_trailers(trailers)
        stream.leave_pending()
        exchange.complete = True
        if not (exchange.sent or stream.writing or self.is_here):  # one that writes is told
            stream.drop_rest(inner)
        if not stream.kept:
            exchange.reader = stream.shared.finished
        if (observer := stream.shared.observer) is not None:
            received = partial(observer.received_body, exchange, response, trailers or b"")
            stream.pump.news.append(received)

    def _ready(self, inner: Stream, size: int) -> int | None:
        """Return how many of *size* bytes are here; 0 at the end; None if they have to arrive.

        Raises:
            BodyTooLarge: there is more than may be delivered.
            DugongError: what has ended the stream.

        """
        stream = self.stream
        if stream.exchange.complete:
            return 0
        if stream.cancelled:
            raise StateError("its response is abandoned")
        if inner.buffered:
            if self._left is not None:
                size = self._limited(inner, size)
            return min(size, inner.buffered)
        if inner.ended:
            self._end(inner)
            return 0
        if inner.error is not None:
            raise error_of(inner.error)
        return None

    def _limited(self, inner: Stream, size: int) -> int:
        """Return how many of *size* bytes may be delivered."""
        left = self._left
        assert left is not None
        length = None if self.response is None else self.response.length
        beyond = inner.missing is not None and inner.missing + inner.buffered > left
        if left == 0 or (length is not None and beyond):
            most = self.stream.shared.config.max_body
            raise BodyTooLarge(f"the body has more than the {most} bytes that are allowed")
        return min(size, left)

    def _took(self, inner: Stream, count: int) -> None:
        """Note that *count* bytes were taken."""
        if self._left is not None:
            self._left -= count
        self.stream.pump.engine.consumed(inner, count)
        if inner.ended and not inner.buffered:
            self._end(inner)

    def _move(
        self, inner: Stream, count: int, pieces: list[bytes] | list[bytes | memoryview]
    ) -> None:
        """Move *count* bytes, which are here, to *pieces*."""
        left = count
        while left:
            data = inner.take(left)
            pieces.append(data)
            left -= len(data)
        self._took(inner, count)

    def take(self, size: int) -> bytes | None:
        """See `Operations.co_read`."""
        stream = self.stream
        inner = stream.inner
        assert inner is not None
        if stream.kept and size:
            return self._take_kept(inner, size)
        count = self._ready(inner, size) if size else 0
        if not count:
            return None if count is None else b""
        pieces: list[bytes] = []
        self._move(inner, count, pieces)
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    def _take_kept(self, inner: Stream, size: int) -> bytes:
        """Take *size* bytes, or less, of those that were taken before somebody asked."""
        stream = self.stream
        piece = take_first(stream.kept, size)
        if not (stream.kept or stream.exchange.complete or inner.buffered) and inner.ended:
            self._end(inner)
        return piece

    def take_into(self, target: memoryview) -> int | None:
        """See `Operations.co_readinto`."""
        stream = self.stream
        inner = stream.inner
        assert inner is not None
        if stream.kept and len(target):
            data = self._take_kept(inner, len(target))
            target[: len(data)] = data
            return len(data)
        count = self._ready(inner, len(target)) if len(target) else 0
        if count:
            inner.take_into(target[:count])
            self._took(inner, count)
        return count

    def take_all(self, _: object = None) -> bytes | None:
        """See `Operations.co_readall`."""
        stream = self.stream
        inner, kept = stream.inner, stream.kept
        assert inner is not None
        if (
            inner.ended
            and not kept
            and self._left is None
            and not (stream.exchange.complete or stream.cancelled)
        ):
            size = inner.buffered
            body = inner.take_all()
            if size:
                stream.pump.engine.consumed(inner, size)
            self._end(inner)
            return body
        while not stream.exchange.complete:
            count = self._ready(inner, inner.buffered)
            if count is None:
                return None
            if count:
                self._move(inner, count, kept)
        body = b"".join(kept)
        kept.clear()
        stream.exchange.reader = stream.shared.finished
        return body

    def drop(self, _: object = None) -> bool | None:
        """See `Operations.co_discard`."""
        stream = self.stream
        inner = stream.inner
        assert inner is not None
        stream.kept.clear()
        self._left = None
        while not stream.exchange.complete:
            count = self._ready(inner, inner.buffered)
            if count is None:
                return None
            if count:
                inner.discard()
                self._took(inner, count)
        return True

    # ---- attempts: all of it

    def take_rest(self) -> Reply | None:
        """Take what is here of the response; return it with its body if that was the rest."""
        while (response := self.response) is None:
            if self.take_head() is None:
                return None
        body = self.take_all()
        return None if body is None else response.with_body(body)

    def take_whole(self, _: object) -> tuple[HTTPResponse, bytes] | None:
        """Return the response and its body, if all of that is here and nothing is unusual."""
        stream = self.stream
        inner = stream.inner
        if inner is None or not inner.ended or stream.reading or self.response is not None:
            return None
        if stream.exchange.abandoned or inner.informational or inner.head is None:
            return None
        response = self.take_head()
        body = self.take_all()
        assert response is not None
        assert body is not None
        return response, body

    # ---- sections: what is taken before somebody asks for it

    def keep_some(self) -> None:
        """Take what is here of the body, whose head has come. `take_all` delivers it."""
        while self.response is None:
            self.take_head()
        inner = self.stream.inner
        assert inner is not None
        if count := self._ready(inner, inner.buffered):
            self._move(inner, count, self.stream.kept)

    def keep_whole(self) -> int | None:
        """Take the body, if the whole response is here and as most are.

        The bytes are still to be counted as consumed.

        Returns:
            How many there are; 0 also if that was done before. None if it is not so.

        """
        if self.is_here:
            return 0
        stream = self.stream
        inner = stream.inner
        if (
            inner is None
            or inner.state is not CLOSED
            or not inner.ended
            or inner.error is not None
            or inner.informational
            or self.response is not None
            or self._left is not None
            or stream.reading
            or stream.cancelled
            or stream.exchange.abandoned
            or stream.shared.observer is not None
        ):
            return None
        count = inner.buffered
        if count:
            stream.kept.append(inner.take_all())
        self.is_here = True
        return count

    # ---- operations

    def co_take(self, attempt: Callable[[A], T | None], argument: A) -> Co[T]:
        """Make attempts to read, one operation at a time.

        Args:
            attempt: see `Pump.co`; one of this object, most of the time.
            argument: see `Pump.co`.

        """
        going = self._co_take(attempt, argument)
        total = self.stream.limits.total
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
        inner = stream.inner
        if inner is None or stream.reading or stream.shared.observer is not None:
            return None
        if inner.head is None or not (inner.ended or inner.buffered):
            return None
        try:
            if self.is_here:
                return attempt(argument)
            return stream.pump.attempt(attempt, argument)
        except BaseException as exc:
            stream.complete_error(exc)
            if isinstance(exc, PEERS):
                self._fail(exc)
            raise

    def _co_take(self, attempt: Callable[[A], T | None], argument: A) -> Co[T]:
        if (here := self.take_now(attempt, argument)) is not None:
            return here
        stream = self.stream
        exchange, pump, observer = stream.exchange, stream.pump, stream.shared.observer
        if stream.reading:
            busy = "another operation is reading on this connection"
            raise stream.shared.labelled(StateError(busy), exchange)
        limit = self.limit()
        waiter = Waiter(None)
        try:
            stream.reading = waiter
            if observer is not None:
                observer.begins_reading(exchange, self.response)
            pump.lock.run(self._follow, waiter)
            result = yield from pump.co(attempt, argument, waiter, limit)
            if observer is not None and attempt == self.take_head:
                observer.received_head(exchange, cast("HTTPResponse", result))
            return result
        except BaseException as exc:
            stream.complete_error(exc)
            if isinstance(exc, PEERS) and not isinstance(exc, ConnectionTimedOut):
                self._fail(exc)
            if observer is not None:
                observer.reading_failed(exchange, exc)
            raise
        finally:
            stream.reading = None
            if not waiter.left:  # Ctrl-C, before the pump had it
                pump.lock.when_free(partial(pump.leave, waiter))

    def _fail(self, failure: DugongError) -> None:
        """Note that *failure* has ended the response, and that there will be no other one."""
        stream = self.stream
        stream.leave_pending()
        inner = stream.inner
        if inner is not None and inner.error is not None:
            stream.exchange.reader = Failed(stream.shared.route, failure)
            stream.end_body(failure)

    def _follow(self, waiter: Waiter) -> None:
        """Have *waiter* woken by what comes, unless the stream was opened a moment ago."""
        inner = self.stream.inner
        if inner is not None and waiter.stream is not inner:
            self.stream.pump.follow(waiter, inner)

    def co_head(self) -> Co[HTTPResponse]:
        """Read the head of the response; see `Operations.co_read_response`."""
        stream = self.stream
        exchange, seconds = stream.exchange, stream.limits.continue_timeout
        reading = self.co_take(self.take_head, None)
        if seconds is None or not exchange.expects_continue:
            return (yield from reading)
        try:
            return (yield from co_until_continue(reading, exchange, seconds))
        except ContinueTimedOut as late:
            stream.shared.label(late, exchange)
            raise

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
                    self.stream.pump.lock.when_free(partial(self._give_back, bytes(view)))

    def _give_back(self, piece: bytes) -> None:
        """Have *piece*, which was taken last, delivered next."""
        self.stream.kept.insert(0, piece)
        self.stream.exchange.reader = self  # again, if that was the rest

    # ---- the calls of the exchange

    def is_next(self, exchange: Exchange) -> bool:
        """Return True: responses need not wait for each other."""
        return exchange is self.stream.exchange

    def abandon(self, exchange: Exchange) -> None:
        """See `ResponseReader.abandon`."""
        stream = self.stream
        if not exchange.complete:
            stream.cancel()
            if stream.pump.news:
                stream.pump.tell_news()

    def update_window(self, exchange: Exchange, size: int) -> None:  # noqa: ARG002 - it is its own
        """See `Exchange.update_window`."""
        self.stream.pump.open_window(self.stream.inner, size)

    def co_response_of(self, exchange: Exchange) -> Co[HTTPResponse]:
        """See `Exchange.co_read_response`."""
        self._check_not_abandoned(exchange)
        if self.response is not None:
            read = "its response has been read"
            raise self.stream.shared.labelled(StateError(read), exchange)
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
        self._check_not_abandoned(exchange)
        self.check_readable()

    def _check_not_abandoned(self, exchange: Exchange) -> None:
        if exchange.abandoned:
            abandoned = "its response is abandoned"
            raise self.stream.shared.labelled(StateError(abandoned), exchange)

    # ---- limits

    def limit(self) -> Limit:
        """Return the limit for waiting for the response."""
        limits = self.stream.limits
        if limits.head_limit is not None and self.response is None:
            return HeadLimit(self.stream.exchange, limits.head_limit)
        seconds = limits.timeout
        return UNLIMITED if seconds is None else Limit(seconds, self.late)

    def late(self, seconds: float) -> ConnectionTimedOut:
        """Return the error of *seconds* in which nothing has moved for `limit`."""
        inner = self.stream.inner
        if inner is None or (response := self.response) is None:
            return late_head(seconds)
        length, missing = response.length, inner.missing
        there = 0 if length is None or missing is None else length - missing
        return late_body(seconds, there, None if missing is None else length)
