"""Waiting for a stream: try, wait, try again, until success or a deadline.

`co_attempt` has a limit for the whole wait, and `co_attempt_to_send` one that progress of the peer
extends. Everything that sends uses the latter: requests, handshakes with proxies, and
`NetworkStream`, whose reads use `co_receive`. Fairness is a matter of the callers: each of them
counts what it moves between two waits (polling/fairness.py).

The loop that reads responses is apart (connection/h1/receiver.py). An attempt there may move bytes
without coming to an end, which extends its deadline and uses up its share before others run; and
it may wait for something else than the stream, such as a file, or a request of another operation.
Here an attempt that succeeds in part has succeeded, so none of this is needed for each wait.

Not here: the calls (stream.py), and exclusive use of a stream (exclusive.py).
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

from ..errors import ConnectionTimedOut
from ..polling.contract import Co, PollNeeded
from ..polling.progress_deadline import ProgressDeadline
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
    """Wait, then call *attempt*, until its result is not None.

    Args:
        attempt: a non-blocking call that has returned None.
        argument: its argument.
        wanted: returns the wait for it, with the given deadline.
        timeout: seconds that may pass until it succeeds; None sets no limit.
        phase: phase of the error; also the reason of the wait, if it is another one.
        what: its message, such as "nothing arrived".

    Raises:
        ConnectionTimedOut: *timeout* seconds have passed.

    """
    if phase != "read":
        wanted = _stating(phase, wanted)
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
    """Do the same as `co_attempt` for an attempt to send, of which the peer may take a part.

    Args:
        attempt: a non-blocking call that has returned None.
        argument: its argument.
        wanted: returns the wait for it, with the given deadline.
        timeout: seconds that may pass without progress (progress_deadline.py); None sets no limit.
        phase: phase of the error; also the reason of the wait, if it is another one.
        what: its message, such as "nothing could be sent".

    Raises:
        ConnectionTimedOut: *timeout* seconds have passed without progress.

    """
    if phase != "write":
        wanted = _stating(phase, wanted)
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
        wanted = stream.wanted_by_recv
        result = yield from co_attempt(receive, argument, wanted, timeout, phase, what)
    return result


def _stating(
    reason: str, wanted: Callable[[float | None], PollNeeded]
) -> Callable[[float | None], PollNeeded]:
    """Return a function that returns the waits of *wanted* with another reason."""
    return lambda deadline: wanted(deadline).because(reason)


def timed_out(what: str, timeout: float | None, phase: str) -> ConnectionTimedOut:
    """Return the error of a time limit.

    Args:
        what: the message, such as ``nothing arrived``.
        timeout: the limit in seconds.
        phase: the name of the limit in `Timeouts`.

    """
    return ConnectionTimedOut(f"{what} for {timeout} s ({phase} time-out)", phase=phase)
