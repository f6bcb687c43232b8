"""Waiting for a stream: try, wait, try again, until success or a deadline.

There is one loop, `co_attempts`. An object, `Waits`, chooses the waits in between and their limits.
Most attempts succeed as soon as anything is moved, and have a limit for the whole wait
(`WholeLimit`) or, if they send, one that progress of the peer extends (`SendLimit`): requests,
handshakes, proxies, and `NetworkStream`. Attempts to read a response may move bytes without coming
to an end, use up their share before others run, or wait for something else than the stream:
connection/h1/reading_waits.py.

Not here: the calls (stream.py), exclusive use of a stream (exclusive.py), and HTTP/2, where an
attempt and the choice of what to wait for are one step under a lock (connection/h2/pump.py).
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Protocol, TypeVar

from ..errors import ConnectionTimedOut
from ..polling.contract import Co, PollNeeded
from ..polling.progress_deadline import ProgressDeadline
from ..polling.timeouts import how_given
from .stream import Stream

A = TypeVar("A")
T = TypeVar("T")


class Waits(Protocol):
    """The waits of one operation, one after each attempt that has not succeeded."""

    def next(self) -> PollNeeded | Co[None]:
        """Return what to wait for before the next attempt, or an operation that waits for it.

        Raises:
            ConnectionTimedOut: a time limit is over.
            Exception: the next attempt would be in vain.

        """
        ...


def co_attempts(
    attempt: Callable[[A], T | None], argument: A, waits: Waits, *, tried: bool = True
) -> Co[T]:
    """Make attempts until one succeeds, and wait in between.

    Args:
        attempt: does what can be done at once; returns None if it has not succeeded.
        argument: what to call it with.
        waits: what to wait for.
        tried: True if an attempt was made just now: waiting comes first.

    Returns:
        The result of the attempt that has succeeded.

    Raises:
        Exception: what *attempt* or *waits* raise.

    """
    while True:
        if not tried and (result := attempt(argument)) is not None:
            return result
        tried = False
        wait = waits.next()
        if isinstance(wait, PollNeeded):
            yield wait
        else:
            yield from wait


class _Limit:
    """A time limit that begins with the first wait.

    Args:
        wanted: returns the wait, with the given deadline.
        timeout: seconds; None sets no limit.
        phase: phase of the error.
        what: its message, such as "nothing arrived".
        reason: the usual phase of *wanted*; another *phase* is the reason of the wait.

    """

    __slots__ = ("_phase", "_timeout", "_wanted", "_what")

    def __init__(
        self,
        wanted: Callable[[float | None], PollNeeded],
        timeout: float | None,
        phase: str,
        what: str,
        reason: str,
    ) -> None:
        self._wanted = wanted if phase == reason else _stating(phase, wanted)
        self._timeout = timeout
        self._phase = phase
        self._what = what

    def _over(self) -> ConnectionTimedOut:
        return timed_out(self._what, self._timeout, self._phase)


class WholeLimit(_Limit):
    """Waits with a limit for all of them together; `Waits`."""

    __slots__ = ("_deadline",)

    def __init__(
        self,
        wanted: Callable[[float | None], PollNeeded],
        timeout: float | None,
        phase: str = "read",
        what: str = "nothing arrived",
    ) -> None:
        super().__init__(wanted, timeout, phase, what, "read")
        self._deadline: float | None = None

    def next(self) -> PollNeeded:
        """See `Waits.next`."""
        if self._timeout is None:
            return self._wanted(None)
        now = time.monotonic()
        if self._deadline is None:
            self._deadline = now + self._timeout
        elif now >= self._deadline:
            raise self._over()
        return self._wanted(self._deadline)


class SendLimit(_Limit):
    """Waits to send, of which the peer may take a part, with a limit for each; `Waits`.

    It is for the time without progress: see progress_deadline.py.
    """

    __slots__ = ("_progress",)

    def __init__(
        self,
        wanted: Callable[[float | None], PollNeeded],
        timeout: float | None,
        phase: str = "write",
        what: str = "nothing could be sent",
    ) -> None:
        super().__init__(wanted, timeout, phase, what, "write")
        self._progress: ProgressDeadline | None = None

    def next(self) -> PollNeeded:
        """See `Waits.next`."""
        if self._timeout is None:
            return self._wanted(None)
        progress = self._progress
        if progress is None:
            progress = self._progress = ProgressDeadline(self._timeout)
        elif progress.has_passed():
            raise self._over()
        return progress.limit(self._wanted(progress.at))


def co_receive(
    stream: Stream,
    receive: Callable[[A], T | None],
    argument: A,
    timeout: float | None,
    phase: str = "read",
    what: str = "nothing arrived",
) -> Co[T]:
    """Receive from *stream*, at once or after waiting.

    Args:
        stream: the stream.
        receive: its `Stream.recv` or `Stream.recv_into`.
        argument: the argument of that.
        timeout: seconds that may pass until bytes arrive; None sets no limit.
        phase: phase of the error.
        what: its message.

    Raises:
        ConnectionTimedOut: *timeout* seconds have passed.
        ConnectionClosed: the connection was lost.
    """
    result = receive(argument)
    if result is None:
        stream.quick_ack()
        waits = WholeLimit(stream.wanted_by_recv, timeout, phase, what)
        result = yield from co_attempts(receive, argument, waits)
    return result


def _stating(
    reason: str, wanted: Callable[[float | None], PollNeeded]
) -> Callable[[float | None], PollNeeded]:
    """Return a function that returns the waits of *wanted* with another reason."""
    return lambda deadline: wanted(deadline).because(reason)


def timed_out(
    what: str, timeout: float | None, phase: str, progress: str = ""
) -> ConnectionTimedOut:
    """Return the error of a time limit.

    Args:
        what: the message, such as ``nothing arrived``.
        timeout: the limit in seconds.
        phase: the name of the limit in `Timeouts`.
        progress: what had been done until then; empty for nothing.

    """
    given = how_given(timeout, "head" if phase == "head" else "")
    then = f", {progress}" if progress else ""
    return ConnectionTimedOut(f"{what} for {timeout} s ({given}){then}", phase=phase)
