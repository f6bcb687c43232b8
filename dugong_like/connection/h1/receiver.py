"""The receiving half of a session: one response after the other, in order.

Reading is made of *attempts*: functions that do what can be done at once and return None if they
would block. Everything an attempt has achieved is kept where the next one finds it, so it can be
made over and over: by the loop of all attempts, which waits in between (`Receiver.co`), or once,
without any generator, by a blocking call that is in luck (`Receiver.block`). An operation that is
interrupted loses nothing, the next one goes on where it stood.

Not here: the loop (transport/attempts.py), what it waits for (reading_waits.py), receiving heads
(head_reader.py) and bodies (body_reader.py), and sending (sender.py).
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Final, TypeVar

from ...errors import (
    DugongError,
    InvalidResponse,
    ProtocolError,
    StateError,
)
from ...http.arguments import as_writable, check_size
from ...http.h1.body import ENDLESS, SIZED, UNKNOWN, UNTIL_CLOSE
from ...http.h1.body_kinds import Kind
from ...http.h1.chunked import ChunkedBody
from ...http.h1.framing import ends_http, frame, whole_size
from ...http.h1.response_head import Head
from ...polling.contract import Co, PollNeeded, run
from ...polling.fairness import STEP
from ...polling.holding import NOT_BLOCKING
from ...polling.numbers import check_int
from ...polling.timeouts import limited
from ...polling.wake import Wake
from ...transport import exclusive
from ...transport.attempts import co_attempts, timed_out
from ...transport.buffer import ReceiveBuffer
from ...transport.stream import RECEIVING, Stream
from ...transport.zero_copy import PATIENCE
from ..exchange import Exchange, HTTPResponse
from ..files import Sink
from ..shared import PEERS
from ..states import BROKEN, CLOSED
from ..time_out_messages import NOTHING_ARRIVED, late_body, late_head
from . import head_limit
from .body_reader import BodyReader
from .exclusive import FATAL, ORDERLY, READING, wait_for_peek
from .expect_continue import CONTINUE, co_limited, limit_of
from .head_reader import HeadReader
from .reading_waits import ReadingWaits, is_request_pending

if TYPE_CHECKING:
    from threading import Lock

    from ...errors import ConnectionTimedOut
    from ..shared import SharedState

LEAST: Final = 8192  # bytes: it is not worth the calls of the system to wait for fewer at once
MOMENT: Final = 0.001  # seconds
A = TypeVar("A")
T = TypeVar("T")


class Receiver:
    """Reads the responses to the pending requests, in their order.

    Args:
        session: where from.

    Attributes:
        buffer: what has been received and not taken.
        heads: reads heads.
        bodies: reads bodies.
        continue_timeout: seconds to wait for 100 (Continue); None waits for ever.
        early: a final head found while the body was being sent, for `read_response`, or None.
    """

    __slots__ = (
        *(
            "_awaited",
            "_gathered",
            "_session",
            "bodies",
            "buffer",
            "continue_timeout",
            "early",
            "heads",
        ),
    )

    def __init__(self, session: SharedState) -> None:
        self._session = session
        buffer = self.buffer = ReceiveBuffer(session.config.buffer_size)
        self.continue_timeout: float | None = None
        self.heads = HeadReader(session, buffer)
        self.bodies = BodyReader(session, buffer)
        self.early: Head | None = None
        self._awaited = 0  # bytes that will have been received after `gathering`, if all comes
        self._gathered = -1  # bytes received when `gather` was called last

    def is_between(self) -> bool:
        """Return True if what arrives next is the head of a response, or the rest of it."""
        return self.bodies.body is None and self.early is None

    def is_next(self, exchange: Exchange) -> bool:
        """Return True if what arrives next is the response to *exchange*, or the rest of its head.

        Another thread may read it the moment after, unless reading is taken.
        """
        pending = self._session.pending
        try:
            return pending[0] is exchange and self.bodies.body is None
        except IndexError:
            return False

    def is_unread(self) -> bool:
        """Return True if nothing of a response has arrived, and none is being read."""
        return self.is_between() and self.buffer.begin == self.buffer.end

    def waits_for(self, exchange: Exchange) -> bool:
        """Return True if the response to *exchange* is next, and nothing of it has arrived."""
        return (
            self.early is None and self.is_next(exchange) and self.buffer.begin == self.buffer.end
        )

    def clear(self) -> None:
        """Forget what was received and not taken: the session is closed."""
        if self.buffer.data:
            self.buffer.clear()
        self.bodies.clear()

    def limit_continue(self, expect100_timeout: float | None) -> None:
        """Wait for 100 (Continue) for so many seconds, unless `Timeouts` say otherwise."""
        self.continue_timeout = limit_of(self._session.timeouts, expect100_timeout)

    # ---- the two ways to make attempts

    def block(
        self,
        attempt: Callable[[A], T | None],
        argument: A,
        waits_first: Callable[[], bool] | None = None,
    ) -> T:
        """Make attempts until one succeeds, blocking the thread in between; see `co`."""
        session = self._session
        lock = session.reading
        held = False
        try:
            (held,) = map(lock.acquire, NOT_BLOCKING)  # see holding.py
            while not held:
                wait_for_peek(session, lock, READING)
                (held,) = map(lock.acquire, NOT_BLOCKING)
            try:
                if session.observer is not None and session.observer.interrupted:
                    self._resume()
                if waits_first is not None and waits_first():
                    self._block()
                result = attempt(argument)
                if result is None and self.buffer.wanted:
                    result = self._gather_and_try(attempt, argument)
                if result is None:  # reading stays ours, or another thread could come in between
                    result = run(self.co_alone(attempt, argument, tried=True))
                return result
            except BaseException as exc:
                self.note(exc)
                raise
        finally:
            if held:
                try:
                    lock.release()
                    if session.left is not None or session.turn_waits:
                        session.after_reading()
                except BaseException:  # Ctrl-C, behind one of these
                    session.after_reading()
                    raise

    def _block(self) -> None:
        """Wait, for `block`, until something arrives."""
        session = self._session
        stream = session.stream
        timeout = session.timeout
        if session.head_limit is not None and session.pending:
            timeout = head_limit.left(session.pending[0], session.head_limit)
        if stream is not None and not stream.wait_to_recv(timeout):
            raise self.nothing_arrived()
        if stream is None or session.stream is not stream:
            session.check_usable()

    def co(
        self,
        attempt: Callable[[A], T | None],
        argument: A,
        waits_first: Callable[[], bool] | None = None,
        *,
        elsewhere: Callable[[], PollNeeded | None] | None = None,
    ) -> Co[T]:
        """Make attempts until one succeeds, and wait until something arrives in between.

        Args:
            attempt: see the top of this file.
            argument: what to call it with.
            waits_first: called, if given, before the first attempt: True has it wait first.
            elsewhere: called, if given, after an attempt that did not succeed: what it has to
                wait for instead of the connection, without a limit; None if it has not.

        Raises:
            StateError: another operation is reading.
            ConnectionClosed: the connection is closed.
            ConnectionTimedOut: nothing has arrived for the time-out of the connection.
            Exception: what the attempt raises.

        """
        session = self._session
        lock = session.reading
        held = False
        try:
            (held,) = map(lock.acquire, NOT_BLOCKING)  # see holding.py
            while not held:
                wait_for_peek(session, lock, READING)
                (held,) = map(lock.acquire, NOT_BLOCKING)
            try:
                self.buffer.turn_ends -= STEP
                if session.observer is not None and session.observer.interrupted:
                    self._resume()
                early = waits_first is not None and waits_first()
                buffer = self.buffer
                may_try = not early and buffer.received < buffer.turn_ends
                if may_try and (result := attempt(argument)) is not None:
                    return result
                return (yield from self.co_alone(attempt, argument, True, early, elsewhere))
            except BaseException as exc:
                self.note(exc)
                raise
        finally:
            if held:
                try:
                    lock.release()
                    if session.left is not None or session.turn_waits:
                        session.after_reading()
                except BaseException:  # Ctrl-C, behind one of these
                    session.after_reading()
                    raise

    def co_alone(
        self,
        attempt: Callable[[A], T | None],
        argument: A,
        tried: bool = False,
        early: bool = False,
        elsewhere: Callable[[], PollNeeded | None] | None = None,
        deadline: float | None = None,
    ) -> Co[T]:
        """Return the operation that makes attempts, for a caller that has exclusive use.

        Args:
            attempt: see `co`.
            argument: see `co`.
            tried: True if an attempt was made just now: waiting comes first.
            early: True if there was no need for one.
            elsewhere: see `co`.
            deadline: of the time-out if nothing has arrived since another wait; None to begin anew.

        """
        waits = ReadingWaits(self._session, self, early, elsewhere, deadline)
        if self.buffer.received >= self.buffer.turn_ends:
            tried = True  # others run first
        going = co_attempts(attempt, argument, waits, tried=tried)
        total = self._session.timeouts.total
        if total is None:
            return going
        return limited(total, "total", going, "it could not be read")

    def nothing_arrived(self) -> ConnectionTimedOut:
        """Return the error of a wait for a response of which nothing has come in time."""
        session = self._session
        if session.head_limit is not None and session.pending and self.is_between():
            return head_limit.no_head(session.pending[0], session.head_limit)
        return self.silence()

    def silence(self) -> ConnectionTimedOut:
        """Return the error of a wait in which nothing has come for the time without progress."""
        session, buffer = self._session, self.buffer
        if self.bodies.body is not None:
            return self.bodies.late(session.timeout)
        if not session.pending:
            return NOTHING_ARRIVED(session.timeout)
        there = buffer.end - buffer.begin
        if not there or self.early is not None:
            return late_head(session.timeout)
        exchange = session.pending[0]
        try:  # a batch takes a head together with its body
            head = self.heads.find_final(exchange.target, buffer.data, buffer.begin, buffer.end)
        except InvalidResponse:
            head = None
        if head is None:
            return late_head(session.timeout, there=there)
        size = whole_size(exchange.method, head)
        length = size - head.size if size >= 0 else None
        return late_body(session.timeout, there - head.size, length)

    def gather(self, stream: Stream, wanted: int, deadline: float | None) -> PollNeeded:
        """Return a wait that ends when *wanted* bytes are there, or soon.

        If nothing has come since the last one it is a wait for the first byte, so that an
        operation is not resumed again and again while nothing moves. It is never for more than
        what is still missing: it also ends where nobody knows deadlines.
        """
        bulk, received = stream.bulk, self.buffer.received
        if bulk is None or self._gathered == received:
            return stream.wanted_by_recv(deadline)
        self._gathered = received
        soon = time.monotonic() + PATIENCE
        soon = soon if deadline is None else min(soon, deadline)
        return bulk.wanted_by_gathering(wanted, soon)

    def _gather_and_try(self, attempt: Callable[[A], T | None], argument: A) -> T | None:
        """Do, for `block`, the first wait that `gather` returns, and the attempt after it."""
        buffer, stream = self.buffer, self._session.stream
        bulk = None if stream is None else stream.bulk
        if bulk is None or self._gathered == buffer.received:
            return None
        self._gathered = buffer.received
        wanted, buffer.wanted = buffer.wanted, 0
        timeout = self._session.timeout
        buffer.begin_turn()
        bulk.wait_to_gather(wanted, PATIENCE if timeout is None else min(PATIENCE, timeout))
        return attempt(argument)

    def gathering(self, missing: int) -> PollNeeded | None:
        """Return a wait that ends when much has arrived, or after a `MOMENT`.

        A server that writes a few small responses at a time would wake this process for each few.
        For drivers that know deadlines only: what is missing may be less than it seems.

        Args:
            missing: how many bytes of responses to requests that were sent will probably arrive.

        Returns:
            The wait; None, for an ordinary one, if they are few, or if the last such wait was for
            too much.

        """
        stream, buffer = self._session.stream, self.buffer
        if stream is None or buffer.received < self._awaited or (bulk := stream.bulk) is None:
            return None
        wanted = min(missing, buffer.size) * 3 // 4
        if wanted < LEAST:
            return None
        self._awaited = buffer.received + wanted
        stream.quick_ack()  # the server may hold back what is less than a packet
        return bulk.wanted_by_gathering(wanted, time.monotonic() + MOMENT)

    # ---- how an operation ends that has not succeeded

    def note(self, exc: BaseException) -> None:
        """Complete *exc*, which ends an operation, and break the session if it has to be.

        While the stream is `waiting` no exception loses anything.
        """
        session = self._session
        if isinstance(exc, DugongError):
            self._note_request_sent(exc)
        session.label_received(exc)
        self.buffer.wanted = 0  # nobody waits for them any more
        stream = session.stream
        if stream is not None:
            if isinstance(exc, FATAL):
                session.fail(exc)
                stream.send_end_of_stream()
            elif not isinstance(exc, ORDERLY):
                if not stream.waiting:
                    session.fail(StateError(f"reading was interrupted by {exc!r}"))
                stream.waiting = False
        if session.meter is not None:
            session.meter.leave(RECEIVING)
        if session.observer is not None and not isinstance(exc, GeneratorExit):  # no failure
            for_good = isinstance(exc, FATAL) or session.state is BROKEN
            session.observer.receiving_failed(exc, for_good=for_good)

    def _note_request_sent(self, exc: DugongError) -> None:
        """Complete `DugongError.request_sent`: what arrives is about the first pending request.

        That holds for whatever ends the reading of a response, a limit of the caller's too: a
        request that was answered must not seem to be one that may be repeated.
        """
        pending = self._session.pending
        if not pending:
            return
        exchange = pending[0]
        begun = exchange.answered or exchange.informational
        if begun or isinstance(exc, ProtocolError) or self.buffer.begin < self.buffer.end:
            exc.request_sent = "yes"
        elif exc.request_sent == "no" and isinstance(exc, PEERS):
            exc.request_sent = "maybe"

    def _resume(self) -> None:
        """Tell the observer that the phase goes on which had been interrupted."""
        session = self._session
        if session.observer is not None:
            first = session.pending[0] if session.pending else None
            session.observer.receiving_resumes(first, self.bodies.response)

    # ---- the operation that reads a response

    def begin_wait(self) -> bool:
        """Begin to wait for the next response; return True, once, if it cannot be here.

        Its request was sent just now: it is better to wait first, and to attempt after that.
        """
        session, buffer = self._session, self.buffer
        pending = session.pending
        if buffer.begin < buffer.end or len(pending) != 1:
            return False
        exchange = pending[0]
        if not exchange.fresh or not exchange.sent or exchange.expects_continue:
            return False
        exchange.fresh = False
        if session.observer is not None and not session.observer.receiving:
            session.observer.awaits_head(exchange)  # as the wait belongs to the phase
        stream = session.stream
        return stream is not None and session.state is not BROKEN and not stream.buffered

    def co_read_response(self) -> Co[HTTPResponse]:
        """See `Operations.co_read_response`."""
        reading = self.co(self.read_response, None, self.begin_wait)
        if self.continue_timeout is None:
            return reading
        return co_limited(self._session, self.continue_timeout, reading)

    def co_save(self, sink: Sink) -> Co[bool]:
        """See `Operations.co_recv_to_file`; False if *sink* has failed."""
        return self.co(self.bodies.save, sink, elsewhere=sink.wanted)

    def read_response(self, _: None) -> HTTPResponse | None:
        """Make an attempt to read the next response; see `Operations.co_read_response`."""
        session = self._session
        pending = session.pending
        if session.state is BROKEN or session.state is CLOSED:
            self._check_not_lost()
        if self.bodies.body is not None or not pending or pending[0].abandoned:
            if not self._skip_abandoned():
                return None
            session.check_usable()
        exchange = session.pending[0]
        if session.observer is not None and not session.observer.receiving:
            session.observer.awaits_head(exchange)
        self.bodies.forget()
        head = self.early or self.heads.read(exchange)
        if head is None:
            return None
        self.early = None
        if head.status == CONTINUE:
            return exchange.informational[-1]
        return self._begin_response(exchange, head)

    def _check_not_lost(self) -> None:
        """Raise `ConnectionClosed` if a response cannot be read any more."""
        session = self._session
        if session.state is BROKEN or session.pending or session.lost:
            session.check_usable()

    def _skip_abandoned(self) -> bool:
        """Go to the first response that somebody wants to read; False: it has to arrive first."""
        session = self._session
        while not self.buffer.is_turn_over():
            self.buffer.turn_ends -= STEP
            if self.bodies.body is not None:
                if not session.pending[0].abandoned:
                    raise StateError(
                        "the body of the last response has not been read to its end: "
                        "call readall() or discard() first"
                    )
                if not self.bodies.discard(None):
                    return False
            if not session.pending and not is_request_pending(session):
                return False
            exchange = session.pending[0]
            if not exchange.abandoned:
                return True
            if exchange is session.exchanging:
                raise StateError("the next response is that of an exchange() that is under way")
            session.check_usable()
            self.bodies.forget()
            head = self.early or self.heads.read(exchange)
            if head is None:
                return False
            self.early = None
            if head.status != CONTINUE:
                self._begin_response(exchange, head)
        return False

    def _begin_response(self, exchange: Exchange, head: Head) -> HTTPResponse:
        """Turn a final head into a response, and get ready for its body."""
        session, bodies = self._session, self.bodies
        kind, length, reusable = frame(exchange.method, head)
        if session.config.on_forwarded is not None and not session.config.on_forwarded(head):
            reusable = False
        if exchange.upgrades and exchange.sent and ends_http(exchange.method, head.status):
            reusable = False
            session.upgrade()  # before the sender hears that there is a response
        exchange.expects_continue = False
        exchange.final = head
        if not exchange.sent:  # the sender has to stop
            session.retire()
            session.stop_sending()
        response = HTTPResponse(exchange, head, length)
        bodies.reusable = reusable
        bodies.response = response
        bodies.known = True
        if session.observer is not None:
            session.observer.received_head(exchange, response, head)
        if length:
            bodies.begin(SIZED, length)
        elif length == 0:
            bodies.end_response()
        elif kind is Kind.CHUNKED:
            bodies.begin(ChunkedBody(session.config.limits), 0)
        elif kind is Kind.UNTIL_CLOSE:
            bodies.begin(UNTIL_CLOSE, ENDLESS)
        else:
            bodies.begin(UNKNOWN, 0)
        return response

    # ---- the response to one request, when it is its turn

    def co_response_of(self, exchange: Exchange) -> Co[HTTPResponse]:
        """See `Exchange.co_read_response`."""
        if exchange.answered and not exchange.abandoned:
            raise self._session.labelled(StateError("its response has been read"), exchange)
        return (yield from self._co_in_turn(exchange, self.read_response, None))

    def co_body_of(self, exchange: Exchange, size: int | None) -> Co[bytes]:
        """See `Exchange.co_read`; None for the whole rest."""
        if size is not None:
            size = check_size(size)
        if self._is_at_end(exchange):
            return b""
        if size is None:
            return (yield from self._co_in_turn(exchange, self.bodies.readall, None))
        return (yield from self._co_in_turn(exchange, self.bodies.read, size))

    def co_body_into(self, exchange: Exchange, buf: bytearray | memoryview) -> Co[int]:
        """See `Exchange.co_readinto`."""
        view = as_writable(buf)
        if self._is_at_end(exchange):
            return 0
        return (yield from self._co_in_turn(exchange, self.bodies.readinto, view))

    def co_discard_of(self, exchange: Exchange) -> Co[None]:
        """See `Exchange.co_discard`."""
        if not self._is_at_end(exchange):
            yield from self._co_in_turn(exchange, self.bodies.discard, None)

    def abandon(self, exchange: Exchange) -> None:
        """See `ResponseReader.abandon`: the next reader skips it."""

    def update_window(self, exchange: Exchange, size: int) -> None:  # noqa: ARG002 - see there
        """See `Exchange.update_window`: no effect, as reading opens the window of TCP."""
        check_int("size", size, 1)

    def _is_at_end(self, exchange: Exchange) -> bool:
        """Return True if the body of the response to *exchange* has been read to its end.

        Raises:
            StateError: its head has not been read.

        """
        if not exchange.answered:
            what = "there is no body to read: call read_response() first"
            raise self._session.labelled(StateError(what), exchange)
        return exchange.complete

    def _co_in_turn(
        self, exchange: Exchange, attempt: Callable[[A], T | None], argument: A
    ) -> Co[T]:
        """Make attempts, as `co` does, when the response to *exchange* is next."""
        session = self._session
        lock = session.reading
        held = False
        try:
            while not held:
                yield from self._co_wait_for_turn(exchange, lock)
                (held,) = map(lock.acquire, NOT_BLOCKING)  # see holding.py
            try:
                return (yield from self.co_alone(attempt, argument))
            except BaseException as exc:
                self.note(exc)
                raise
        finally:
            if held:
                try:
                    lock.release()
                    if session.left is not None or session.turn_waits:
                        session.after_reading()
                except BaseException:  # Ctrl-C, behind one of these
                    session.after_reading()
                    raise

    def _co_wait_for_turn(self, exchange: Exchange, lock: Lock) -> Co[None]:
        """Wait until the response to *exchange* is next, and nobody reads, who would have *lock*.

        Raises:
            StateError: it is abandoned.
            ConnectionClosed: it cannot come any more.
            ConnectionTimedOut: its turn did not come for the time-out of the connection.

        """
        session = self._session
        timeout = session.timeout
        until = None if timeout is None else time.monotonic() + timeout
        wake: Wake | None = None
        try:
            while not self._is_turn_of(exchange) or lock.locked():
                if wake is None:
                    wake = Wake("turn")
                    with exclusive.changing:
                        session.turn_waits = (*session.turn_waits, wake)
                    continue  # it may have become its turn before anybody could tell
                if not (yield from wake.co_wait(until)):
                    ahead = "the responses before it have not been read"
                    raise timed_out(f"{ahead}, nor abandoned", timeout, "read")
                wake.clear()
        except BaseException as exc:
            session.label(exc, exchange)
            raise
        finally:
            if wake is not None:
                with exclusive.changing:
                    others = tuple(each for each in session.turn_waits if each is not wake)
                    session.turn_waits = others
                wake.close()

    def _is_turn_of(self, exchange: Exchange) -> bool:
        """Return True if the response to *exchange* is the next one that is not abandoned."""
        if exchange.abandoned:
            raise StateError("its response is abandoned")
        session = self._session
        if session.state is BROKEN or session.state is CLOSED:
            session.check_usable()
        for each in tuple(session.pending):
            if each is exchange:
                return True
            if not each.abandoned:
                return False
        raise StateError("its response has been read")

    # ---- other operations

    def read_raw(self, size: int) -> bytes | None:
        """Make an attempt to read bytes as they are; see `Operations.co_read_raw`."""
        session = self._session
        stream = session.stream
        if stream is None:
            self._check_not_lost()
            raise StateError("the connection is closed")
        # Bytes that are taken here will be missing elsewhere.
        session.retire()
        if session.pending:
            session.fail(StateError("read_raw() has been called"))
        if self.buffer.begin < self.buffer.end:
            return self.buffer.take(size)
        self.buffer.much = False  # who knows
        data = stream.recv(size)
        self.buffer.received += len(data or b"")
        return data
