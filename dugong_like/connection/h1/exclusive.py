"""One operation at a time in each half of a connection, and the way all reading goes.

A reading operation is an *attempt*: a function that does what can be done at once and
returns None if it would block. Everything it has achieved is kept where the next attempt
finds it. So it can be made over and over, by a generator that waits in between, or once,
without any generator, by a blocking call that is in luck.

Not here: the attempts (body_reader.py, receiver.py).
"""

from __future__ import annotations

import time
from collections.abc import Callable
from threading import Lock, RLock
from typing import TypeVar

from ...errors import (
    ConnectionClosed,
    DugongError,
    ProtocolError,
    StateError,
)
from ...polling.contract import Co, PollNeeded, run
from ...polling.fairness import STEP, TURN
from ...polling.wake import co_checkpoint
from ...transport.attempts import timed_out
from ...transport.buffer import ReceiveBuffer
from ...transport.stream import Stream
from ...transport.zero_copy import PATIENCE
from .session import PEERS, SharedLink, moving

A = TypeVar("A")
T = TypeVar("T")
Turn = Lock

# Exceptions that leave an operation at a place where it may be left: the library's own, those
# about arguments, and what closes a generator, which it can only while it waits.
ORDERLY = (DugongError, TypeError, ValueError, GeneratorExit)
FATAL = (ProtocolError, ConnectionClosed)  # for who reads: what follows cannot be understood


class Role:
    """The right to use one half: one operation has it at a time.

    An operation takes a turn, and gives it back however it ends::

        turn = role.take()
        try:
            ...
        except BaseException as exc:
            role.note(exc)
            raise
        finally:
            role.end(turn)

    It is spelled out because that is the fastest way: a context manager costs two more
    calls for each of the three operations of a small request.

    Args:
        link: what breaks when something happens that nobody can go on after.
        name: what the operation does; completes "another operation is ...".

    After an exception that comes from outside, as Ctrl-C does, between two steps of an
    operation nothing can be trusted any more: bytes may have got lost between the system
    and the caller.

    """

    __slots__ = ("_lock", "link", "name")

    def __init__(self, link: SharedLink, name: str) -> None:
        self.link = link
        self.name = name
        self._lock = Lock()  # of the present turn

    def take(self) -> Turn:
        """Take a turn; whoever has it calls its ``release``.

        Raises:
            StateError: another operation has it.

        """
        turn = self._lock
        return turn if turn.acquire(False) else self._take_again()

    def _take_again(self) -> Turn:
        with moving():  # nobody has it who closes the connection now
            if self._lock.acquire(False):
                return self._lock
        link = self.link
        raise link.labelled(
            StateError(f"another operation is {self.name} on this connection"),
            link.pending[0] if link.pending else None,
        )

    def try_take(self) -> Turn | None:
        """Take a turn, or return None if an operation has it.

        Whoever does that holds the lock `moving`, or there would be others who are told that
        there is an operation.
        """
        return self._lock if self._lock.acquire(False) else None

    @property
    def turn(self) -> Turn:
        """What is locked while an operation has the role."""
        return self._lock

    def end(self, turn: Turn) -> None:
        """Give *turn* back; the last one closes a connection that was dropped meanwhile."""
        turn.release()
        if self.link.abandoned:
            self.link.let_go()

    def is_taken(self) -> bool:
        """Return True while an operation has the role.

        It may also never come to give it back, if Ctrl-C has hit it in the wrong place.
        """
        return self._lock.locked()

    def note(self, exc: BaseException) -> None:
        """Break the link if *exc* has left the operation that has its turn in an unknown state."""
        if not isinstance(exc, ORDERLY) and self.link.raw_stream:
            self.link.fail(StateError(f"{self.name} was interrupted by {exc!r}"))


class ReadingRole(Role):
    """The right to read, and the two ways to make attempts: `block` and `co`.

    The sending half may have it for a look: `take_for_a_look`.

    Args:
        link: what is read from.
        buffer: where bytes arrive; says whether anything has.

    """

    __slots__ = ("_buffer", "_gathered", "_looking")

    def __init__(self, link: SharedLink, buffer: ReceiveBuffer) -> None:
        super().__init__(link, "reading")
        self._buffer = buffer
        self._gathered = -1  # bytes received when `_gather` was called last
        self._looking = RLock()  # held by who has the role for a look

    def _take_again(self) -> Turn:
        with self._looking:  # nobody has it for a look now
            return super()._take_again()

    def take_for_a_look(self, patience: float = 0) -> Turn | None:
        """Take a turn for a look, or return None if an operation has it.

        An operation that begins meanwhile waits for `give_back`, so nothing that could
        block may happen before that.

        Args:
            patience: seconds that an operation may take that is just ending.

        """
        self._looking.acquire()
        if self._lock.acquire(True, patience):
            return self._lock
        self._looking.release()
        return None

    def give_back(self, turn: Turn) -> None:
        """Let the next operation have the role, after a look."""
        turn.release()
        self._looking.release()
        if self.link.abandoned:
            self.link.let_go()

    def note(self, exc: BaseException) -> None:
        """See `Role.note`; while the stream is `waiting` no exception loses anything."""
        if isinstance(exc, DugongError):
            self._say_what_was_sent(exc)
        self.link.label_received(exc)
        stream = self.link.raw_stream
        if stream is None:
            return
        if isinstance(exc, FATAL):
            self.link.fail(exc)
            stream.say_goodbye()
        elif not isinstance(exc, ORDERLY):
            if not stream.waiting:
                super().note(exc)
            stream.waiting = False

    def _say_what_was_sent(self, exc: DugongError) -> None:
        """Complete `DugongError.request_sent`: what arrives is about the first pending request.

        That holds for whatever ends the reading of a response, a limit of the caller's too: a
        request that was answered must not seem to be one that may be repeated.
        """
        pending = self.link.pending
        if not pending:
            return
        exchange = pending[0]
        begun = exchange.answered or exchange.informational
        if begun or isinstance(exc, ProtocolError) or self._buffer.begin < self._buffer.end:
            exc.request_sent = "yes"
        elif exc.request_sent == "no" and isinstance(exc, PEERS):
            exc.request_sent = "maybe"

    def block(
        self,
        attempt: Callable[[A], T | None],
        argument: A,
        is_early: Callable[[], bool] | None = None,
    ) -> T:
        """Make attempts until one succeeds, blocking the thread in between; see `co`."""
        turn = self.take()
        try:
            if is_early is not None and is_early():
                self._block()
            result = attempt(argument)
            if result is None and self._buffer.wanted:
                result = self._gather_and_try(attempt, argument)
        except BaseException as exc:
            self.note(exc)
            raise
        finally:
            turn.release()  # as `end` does, which is a call
            if self.link.abandoned:
                self.link.let_go()
        return run(self.co(attempt, argument, tried=True)) if result is None else result

    def _block(self) -> None:
        """Wait, for `block`, until something arrives."""
        link = self.link
        stream = link.raw_stream
        if stream is not None and not stream.wait_to_recv(link.timeout):
            raise timed_out("nothing arrived", link.timeout, "read")
        if stream is None or link.raw_stream is not stream:
            raise closed_meanwhile()

    def co(
        self,
        attempt: Callable[[A], T | None],
        argument: A,
        is_early: Callable[[], bool] | None = None,
        *,
        tried: bool = False,
        elsewhere: Callable[[], PollNeeded | None] | None = None,
    ) -> Co[T]:
        """Make attempts until one succeeds, and wait until something arrives in between.

        Args:
            attempt: see the top of this file.
            argument: what to call it with.
            is_early: called, if given, before the first attempt: True has it wait first.
            tried: True if it has been made just now, so that waiting comes first.
            elsewhere: called, if given, after an attempt that did not succeed: what it has to
                wait for instead of the connection, without a limit; None if it has not.

        Raises:
            StateError: another operation is reading.
            ConnectionClosed: the connection is closed.
            ConnectionTimedOut: nothing has arrived for the time-out of the connection.
            Exception: what the attempt raises.

        """
        turn = self.take()
        link, buffer = self.link, self._buffer
        buffer.turn_ends -= STEP
        try:
            received = -1
            deadline: float | None = None
            early = is_early is not None and is_early()
            tried = tried or early
            while True:
                if buffer.received >= buffer.turn_ends:
                    buffer.begin_turn()
                    yield from co_checkpoint()
                    tried = False  # it may have failed for that, and not as nothing is there
                if not tried and (result := attempt(argument)) is not None:
                    return result
                tried = False
                if buffer.received >= buffer.turn_ends:
                    continue  # the attempt need not wait for anything else
                stream = link.raw_stream
                if stream is None:
                    raise closed_meanwhile()
                if elsewhere is not None and (need := elsewhere()) is not None:
                    deadline = None
                    yield need
                    continue
                if link.timeout is not None:
                    deadline = self._deadline(link.timeout, received, deadline)
                    received = buffer.received
                yield self._need(stream, deadline, early)
                early = False
        except BaseException as exc:
            self.note(exc)
            raise
        finally:
            buffer.wanted = 0
            self.end(turn)

    def _deadline(self, timeout: float, received: int, deadline: float | None) -> float:
        """Return until when to wait: *deadline*, unless more than *received* bytes are here.

        Raises:
            ConnectionTimedOut: it is over.

        """
        now = time.monotonic()
        if deadline is None or received != self._buffer.received:
            return now + timeout
        if now >= deadline:
            raise timed_out("nothing arrived", timeout, "read")
        return deadline

    def _need(self, stream: Stream, deadline: float | None, early: bool) -> PollNeeded:
        """Return what to wait for when an attempt has failed."""
        buffer = self._buffer
        buffer.turn_ends = buffer.received + TURN
        if buffer.wanted:
            return self._gather(stream, deadline)
        if not early and not buffer.much:  # or the request has said it, or will soon
            stream.acknowledge()
        return stream.wanted_by_recv(deadline)

    def _gather(self, stream: Stream, deadline: float | None) -> PollNeeded:
        """Return a wait that ends when as much is there as is wanted, or soon.

        If nothing has come since the last one it is a wait for the first byte, so that
        whoever waits is not resumed again and again while nothing moves. It is never for
        more than what is still missing: it also ends where nobody knows deadlines.
        """
        bulk, buffer = stream.bulk, self._buffer
        if bulk is None or self._gathered == buffer.received:
            buffer.wanted = 0
            return stream.wanted_by_recv(deadline)
        self._gathered = buffer.received
        wanted, buffer.wanted = buffer.wanted, 0
        soon = time.monotonic() + PATIENCE
        soon = soon if deadline is None else min(soon, deadline)
        return bulk.wanted_by_gathering(wanted, soon)

    def _gather_and_try(self, attempt: Callable[[A], T | None], argument: A) -> T | None:
        """Do, for `block`, the first wait that `_gather` returns, and the attempt after it."""
        buffer, stream = self._buffer, self.link.raw_stream
        bulk = None if stream is None else stream.bulk
        if bulk is None or self._gathered == buffer.received:
            return None
        self._gathered = buffer.received
        wanted, buffer.wanted = buffer.wanted, 0
        timeout = self.link.timeout
        buffer.begin_turn()
        bulk.wait_to_gather(wanted, PATIENCE if timeout is None else min(PATIENCE, timeout))
        return attempt(argument)


def closed_meanwhile() -> ConnectionClosed:
    """Return the error of an operation whose connection somebody else has closed."""
    return ConnectionClosed("the connection was closed meanwhile")
