"""Operations that wait, and what they say while they wait.

An operation is a generator, ``Co[T]``. It yields `PollNeeded` when it would block
and nothing else; whoever runs it waits for that descriptor in any way it likes and
resumes with ``next()``. Resuming too early is always harmless. Whoever gives up
calls ``close()`` or ``throw()``. The result is the value of `StopIteration`.

This file also has the blocking driver (`run`) with the limit that it sets (`within`).

Not here: waiting for what has no descriptor (wake.py), the other ways to build operations from
operations (combinators.py), the drivers for event loops (drivers/), and HTTP.
"""

from __future__ import annotations

import math
import select
import threading
import time
from collections.abc import Callable, Generator
from functools import partial
from types import GeneratorType
from typing import Any, Final, Protocol, Self, TypeVar, cast

from ..errors import ConnectionTimedOut, DugongError

T = TypeVar("T")

# select.poll and its constants are missing on Windows; the values are the same everywhere.
POLLIN: Final[int] = getattr(select, "POLLIN", 1)
POLLOUT: Final[int] = getattr(select, "POLLOUT", 4)

MAX_WAIT: Final = 2_000_000  # seconds, 23 days: poll() counts milliseconds in 31 bits


class Registration(Protocol):
    """What a loop has noted about a `Source`."""

    def end(self, then: Callable[[], object]) -> None:
        """Forget the descriptor for good, then call *then*, in this thread or in another.

        Any thread may call this. Whoever waits for the descriptor is to be resumed.
        """
        ...


class Source:
    """A descriptor whose owner tells before it is closed.

    So a loop may leave it registered after a wait, and after the operation: as long as it
    has not been told, the number means the same file.

    Attributes:
        fd: the number.
        closed: True if it is closed, or about to be: then nothing may be registered.
        registrations: what the loops have noted that have it registered, by loop.

    """

    __slots__ = ("_not_closed", "closed", "fd", "registrations")

    def __init__(self, fd: int) -> None:
        self.fd = fd
        self.closed = False
        self._not_closed = [True]  # pop is atomic: of several threads one closes
        self.registrations: dict[object, Any] = {}  # a `Registration` for each loop

    def need(self, mask: int, deadline: float | None = None) -> PollNeeded:
        """Return a wait for this descriptor."""
        return PollNeeded(self.fd, mask, deadline, self)

    def close(self, give_back: Callable[[], object]) -> None:
        """Have every loop forget the descriptor, then call *give_back*, which closes it.

        That may be later: a loop that runs in another thread does it there. Nothing
        happens the second time.
        """
        if self.closed:
            return
        self.closed = True
        try:
            self._not_closed.pop()
        except IndexError:
            return
        self._tell(give_back)

    def _tell(self, give_back: Callable[[], object]) -> None:
        try:
            _, registration = self.registrations.popitem()
        except KeyError:
            give_back()
        else:
            registration.end(partial(self._tell, give_back))


class PollNeeded(tuple[int, int]):  # noqa: SLOT001 - it may carry a deadline
    """What an operation waits for: ``(fd, mask)``.

    Attributes:
        fd: the file descriptor.
        mask: `POLLIN`, `POLLOUT`, or both joined by ``|``: then either will do.
        deadline: seconds of `time.monotonic` at which the operation wants to be
            resumed even if nothing happened, or None. The operation itself then
            raises the time-out.
        source: what tells before the descriptor is closed; None if nothing does.

    """

    deadline: float | None = None
    source: Source | None = None

    def __new__(
        cls, fd: int, mask: int, deadline: float | None = None, source: Source | None = None
    ) -> Self:
        self = tuple.__new__(cls, (fd, mask))
        if deadline is not None:
            self.deadline = deadline
        if source is not None:
            self.source = source
        return self

    @property
    def fd(self) -> int:
        """The file descriptor to wait for."""
        return self[0]

    @property
    def mask(self) -> int:
        """`POLLIN`, `POLLOUT` or both; equal to the EPOLL constants."""
        return self[1]

    def poll(self, timeout: float | None = None) -> bool:
        """Block until the descriptor is ready.

        Args:
            timeout: seconds to wait at most; 0 looks only; None waits for ever.
                More than `MAX_WAIT` seconds are taken for that many.

        Returns:
            True if the descriptor is ready (an error or a hang-up counts), False
            if *timeout* seconds have passed. `deadline` plays no part.

        Raises:
            OSError, ValueError: the descriptor cannot be polled.

        """
        return wait(self, timeout)

    def until(self, deadline: float | None) -> PollNeeded:
        """Return the same wait with another deadline."""
        return PollNeeded(self[0], self[1], deadline, self.source)

    def __repr__(self) -> str:
        names = [name for bit, name in ((POLLIN, "POLLIN"), (POLLOUT, "POLLOUT")) if self[1] & bit]
        until = "" if self.deadline is None else f", deadline={self.deadline:.3f}"
        return f"PollNeeded(fd={self[0]}, mask={'|'.join(names) or 0}{until})"


Co = Generator[PollNeeded, None, T]


def check_operation(op: object) -> None:
    """Check that *op* can be run: a generator, or what is resumed, thrown at and closed like one.

    Raises:
        TypeError: it is something else, such as the result of a blocking call.

    """
    if type(op) is GeneratorType or all(map(partial(hasattr, op), ("__next__", "throw", "close"))):
        return
    if hasattr(op, "cr_frame"):
        op.close()  # type: ignore[attr-defined]  # a coroutine that nobody will await
    missing = "()" if callable(op) else "co_"
    raise TypeError(
        f"{type(op).__name__} is no operation; an operation such as conn.co_readall() is needed: "
        f"is {missing} missing?"
    )


class _Pollers(threading.local):
    """One registered poll object for each ``(fd, mask)``, for each thread.

    A poll object knows numbers only, so it stays right when a number is used again
    for another file.
    """

    def __init__(self) -> None:
        self.known: dict[tuple[int, ...], Any] = {}


_pollers = _Pollers()


def milliseconds(timeout: float | None) -> int | None:
    """Return *timeout* seconds as poll() takes them, None for ever.

    Rounded up, for waking too early would be to spin; at most `MAX_WAIT` seconds.
    """
    return None if timeout is None else math.ceil(min(max(timeout, 0), MAX_WAIT) * 1000)


def _wait_poll(need: PollNeeded, timeout: float | None) -> bool:
    try:
        poller = _pollers.known[need]
    except KeyError:
        poller = select.poll()
        poller.register(need[0], need[1])  # fails for -1, the number of a closed socket
        _pollers.known[tuple(need)] = poller
    return bool(poller.poll(milliseconds(timeout)))


def _wait_select(need: PollNeeded, timeout: float | None) -> bool:
    fd, mask = need
    readers = [fd] if mask & POLLIN else []
    writers = [fd] if mask & POLLOUT else []
    # Windows reports a refused connection as exceptional, not as writable.
    limit = None if timeout is None else min(max(timeout, 0), MAX_WAIT)
    return any(select.select(readers, writers, writers, limit))


# Waits so many seconds and says whether it is ready, as `PollNeeded.poll` with a call less.
wait = _wait_poll if hasattr(select, "poll") else _wait_select


def run(op: Co[T], timeout: float | None = None) -> T:
    """Run *op* to its end, blocking the calling thread: the driver without a loop.

    Args:
        op: the operation. It is closed in any case.
        timeout: seconds for the whole operation; None sets no limit.

    Returns:
        The result of *op*.

    Raises:
        ConnectionTimedOut: *timeout* seconds have passed.
        TypeError: *op* is no operation.
        Exception: whatever *op* raises.

    """
    check_operation(op)
    if timeout is not None:
        op = within(time.monotonic() + timeout, op)
    try:
        while True:
            need = next(op)
            if need.deadline is None:
                wait(need, None)
            else:
                wait(need, need.deadline - time.monotonic())
    except StopIteration as end:
        return cast("T", end.value)
    finally:
        op.close()


def timed_out(op: Co[T], failure: ConnectionTimedOut) -> T:
    """Tell *op* that its time is over, so that it can say whether the request was sent."""
    try:
        op.throw(failure)
    except StopIteration as end:
        return cast("T", end.value)  # it had its result all the same
    raise DugongError(f"{op!r} went on after {failure}")


def within(deadline: float, op: Co[T], failure: ConnectionTimedOut | None = None) -> Co[T]:
    """Run *op* and end it when *deadline* has passed: a total limit.

    Args:
        deadline: seconds of `time.monotonic`, for example
            ``time.monotonic() + 30``.
        op: the operation. It is closed in any case.
        failure: what to raise when it has; None for an error that says just that.

    Returns:
        The result of *op*.

    Raises:
        ConnectionTimedOut: the deadline has passed and *op* still waits.
        TypeError: *op* is no operation.

    """
    check_operation(op)
    try:
        while True:
            need = next(op)
            if time.monotonic() >= deadline:
                return timed_out(op, failure or ConnectionTimedOut("the deadline has passed"))
            if need.deadline is None or need.deadline > deadline:
                need = need.until(deadline)
            yield need
    except StopIteration as end:
        return cast("T", end.value)
    finally:
        op.close()
