"""Waiting for a stream: the same call again and again, until it does not block or time is over.

Not here: the calls (stream.py), and the waits of the two halves of a connection (exclusive.py).
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

from ..errors import ConnectionTimedOut
from ..polling.contract import Co, PollNeeded
from ..polling.progress import ProgressDeadline
from .stream import Stream

A = TypeVar("A")
T = TypeVar("T")


def co_attempt(
    attempt: Callable[[A], T | None],
    argument: A,
    wanted: Callable[[float | None], PollNeeded],
    timeout: float | None,
    phase: str = "read",
    what: str = "nothing arrived",
) -> Co[T]:
    """Wait, then call *attempt*, until it does not return None any more.

    Args:
        attempt: a call that would block.
        argument: what to call it with.
        wanted: gives what it waits for, with the given deadline.
        timeout: seconds that may pass until it succeeds; None sets no limit.
        phase: what that limits, for the error.
        what: what has happened then, for its message.

    Raises:
        ConnectionTimedOut: *timeout* seconds have passed.

    """
    deadline = None if timeout is None else time.monotonic() + timeout
    while True:
        yield wanted(deadline)
        result = attempt(argument)
        if result is not None:
            return result
        if deadline is not None and time.monotonic() >= deadline:
            raise timed_out(what, timeout, phase)


def co_attempt_to_send(
    attempt: Callable[[A], T | None],
    argument: A,
    wanted: Callable[[float | None], PollNeeded],
    timeout: float | None,
    phase: str = "write",
    what: str = "nothing could be sent",
) -> Co[T]:
    """Do what `co_attempt` does, for an attempt to send, of which the peer may take a part.

    Args:
        attempt: a call that would block.
        argument: what to call it with.
        wanted: gives what it waits for, with the given deadline.
        timeout: seconds that may pass without progress (see progress.py); None sets no limit.
        phase: what that limits, for the error.
        what: what has happened then, for its message.

    Raises:
        ConnectionTimedOut: *timeout* seconds have passed without progress.

    """
    limit = None if timeout is None else ProgressDeadline(timeout)
    while True:
        yield wanted(None) if limit is None else limit.limit(wanted(limit.at))
        result = attempt(argument)
        if result is not None:
            return result
        if limit is not None and limit.has_passed():
            raise timed_out(what, timeout, phase)


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
        stream: where from.
        receive: its `Stream.recv` or `Stream.recv_into`.
        argument: what to call that with.
        timeout: seconds that may pass until something arrives; None sets no limit.
        phase: what that limits, for the error.
        what: what has happened then, for its message.

    Raises:
        ConnectionTimedOut: *timeout* seconds have passed.
        ConnectionClosed: the connection was lost.
    """
    result = receive(argument)
    if result is None:
        stream.acknowledge()
        wanted = stream.wanted_by_recv
        result = yield from co_attempt(receive, argument, wanted, timeout, phase, what)
    return result


def timed_out(what: str, timeout: float | None, phase: str) -> ConnectionTimedOut:
    """Return the error that a time limit has passed.

    Args:
        what: what has happened, such as ``nothing arrived``.
        timeout: for how many seconds.
        phase: which of the `Timeouts` it was.

    """
    return ConnectionTimedOut(f"{what} for {timeout} s ({phase} time-out)", phase=phase)
