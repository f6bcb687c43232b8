"""The waits of an operation that reads a response, between two attempts.

That is the stream, most of the time: for the first byte, or for much at once. It may be something
else before: other operations of the loop, if this one has used up its share; a file that takes no
more of a body; or a request, for a reader that was there before it.

The limits are those of time in which nothing arrives, and of the head of a response.

Not here: the loop (transport/attempts.py), the attempts (receiver.py), the limit for a head
(head_limit.py), and `Timeouts.total`, which is a limit around all of it.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol

from ...errors import ConnectionClosed, StateError
from ...polling.fairness import TURN
from ...polling.wake import Wake, co_checkpoint
from ...transport.attempts import timed_out
from ..states import CLOSED, SessionReplaced
from . import head_limit

if TYPE_CHECKING:
    from ...errors import ConnectionTimedOut
    from ...polling.contract import Co, PollNeeded
    from ...transport.buffer import ReceiveBuffer
    from ...transport.stream import Stream
    from ..shared import SharedState


class Reader(Protocol):
    """The part of a `Receiver` that decides on its waits."""

    buffer: ReceiveBuffer

    def is_between(self) -> bool:
        """Return True if what arrives next is the head of a response, or the rest of it."""
        ...

    def silence(self) -> ConnectionTimedOut:
        """Return the error of a wait in which nothing has come for the time without progress."""
        ...

    def gather(self, stream: Stream, wanted: int, deadline: float | None) -> PollNeeded:
        """Return a wait that ends when *wanted* bytes are there, or soon."""
        ...


class ReadingWaits:
    """The waits of one operation that reads; see `Waits` of transport/attempts.py.

    Args:
        session: read from.
        receiver: makes the attempts.
        early: True if the first wait comes before the first attempt.
        elsewhere: see `Receiver.co`.
        deadline: see `Receiver.co_alone`.

    """

    __slots__ = ("_deadline", "_early", "_elsewhere", "_received", "_receiver", "_session")

    def __init__(
        self,
        session: SharedState,
        receiver: Reader,
        early: bool,
        elsewhere: Callable[[], PollNeeded | None] | None,
        deadline: float | None,
    ) -> None:
        self._session = session
        self._receiver = receiver
        self._early = early
        self._elsewhere = elsewhere
        self._deadline = deadline
        self._received = receiver.buffer.received  # when the deadline began

    def next(self) -> PollNeeded | Co[None]:
        """See `Waits.next`."""
        session, buffer = self._session, self._receiver.buffer
        wanted, buffer.wanted = buffer.wanted, 0
        if buffer.received >= buffer.turn_ends:  # the attempt may have failed for that alone
            buffer.begin_turn()
            return self._co_checkpoint()
        if self._elsewhere is not None and (need := self._elsewhere()) is not None:
            self._deadline = None
            return need
        if session.reader_waits is not None:
            return co_wait_for_request(session, session.reader_waits)
        stream = session.stream
        if stream is None:
            session.check_usable()
            raise ConnectionClosed("the connection is closed")
        if session.head_limit is not None:
            until = self._limit_head(session.head_limit)
        elif session.timeout is not None:
            until = self._limit(session.timeout)
        else:
            until = self._deadline
        buffer.turn_ends = buffer.received + TURN
        early, self._early = self._early, False
        if wanted:
            return self._receiver.gather(stream, wanted, until)
        if not early and not buffer.much:  # or the request has said it, or will soon
            stream.quick_ack()
        return stream.wanted_by_recv(until)

    def _limit(self, timeout: float) -> float:
        """Return until when to wait: as the last time, unless something has arrived since.

        Raises:
            ConnectionTimedOut: it is over.

        """
        now, received = time.monotonic(), self._receiver.buffer.received
        if self._deadline is None or received != self._received:
            self._received = received
            self._deadline = now + timeout
        elif now >= self._deadline:
            raise self._receiver.silence()
        return self._deadline

    def _limit_head(self, head: float) -> float | None:
        """Return until when to wait, if the head of a response has a limit of its own.

        Args:
            head: that limit, in seconds.

        Raises:
            ConnectionTimedOut: it is over, or that of `_limit`.

        """
        session = self._session
        pending = tuple(session.pending)
        awaited = pending[0] if pending and self._receiver.is_between() else None
        if awaited is not None and awaited.sent:
            self._deadline = None
            return head_limit.deadline(awaited, head, looked=not self._early)
        until = self._deadline if session.timeout is None else self._limit(session.timeout)
        if awaited is None:
            return until
        soon = time.monotonic() + head  # it may be complete in this moment
        return soon if until is None else min(soon, until)

    def _co_checkpoint(self) -> Co[None]:
        """Let others run. An exception thrown in meanwhile loses nothing, see `Receiver.note`."""
        stream: Stream | None = self._session.stream
        if stream is None:
            yield from co_checkpoint()
            return
        stream.waiting = True
        yield from co_checkpoint()
        stream.waiting = False  # what is in the buffer is on its way from now on


# ---- a reader that is there before the request


def is_request_pending(session: SharedState) -> bool:
    """Return True if a request is pending by now; False: `SharedState.reader_waits` is set.

    An operation that connects will send one, or another reader would be told that no response
    is pending although the request is on its way.

    Raises:
        StateError: no request is being sent.

    """
    if session.sending.locked():
        session.reader_waits = wake = Wake("request")
        if _is_coming(session):
            return False
        session.reader_waits = None  # that has ended in between
        wake.close()
    if not session.pending:
        raise StateError("no response is pending: send a request first")
    return True


def co_wait_for_request(session: SharedState, wake: Wake) -> Co[None]:
    """Wait for *wake* until a request was sent, or none will be.

    Raises:
        ConnectionClosed: none was.
        SessionReplaced: it will be sent on another session.
        ConnectionTimedOut: it took longer than the time-out of the connection.

    """
    timeout = session.timeout
    until = None if timeout is None else time.monotonic() + timeout
    try:
        while _is_coming(session):
            wake.clear()
            if _is_coming(session) and not (yield from wake.co_wait(until)):
                raise timed_out("no request was sent", timeout, "read")
    finally:
        session.reader_waits = None
        wake.close()
    if not session.pending:
        if session.state is CLOSED:
            raise SessionReplaced("the connection was closed")
        raise ConnectionClosed("no response is pending: the request could not be sent")


def _is_coming(session: SharedState) -> bool:
    return not session.pending and session.sending.locked() and session.state is not CLOSED
