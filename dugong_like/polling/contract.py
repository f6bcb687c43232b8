"""The contract between operations and the loops that run them.

An operation is a generator, ``Co[T]``. It yields `PollNeeded`, and nothing else, when it would
block; its driver waits for that descriptor in any way, and resumes the operation with ``next()``.
Resuming too early is always harmless. ``close()`` or ``throw()`` gives the operation up. The
result is the value of `StopIteration`.

This file also has the blocking driver (`run`) and the limit for a whole operation (`within`).

Not here: waiting for events without a descriptor (wake.py), other combinators (combinators.py),
drivers for event loops (drivers/), and HTTP.
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
from .numbers import check_deadline, check_seconds
from .reasons import explained

T = TypeVar("T")

# select.poll and its constants are missing on Windows; the values are the same everywhere.
POLLIN: Final[int] = getattr(select, "POLLIN", 1)
POLLOUT: Final[int] = getattr(select, "POLLOUT", 4)

MAX_WAIT: Final = 2_000_000  # seconds, 23 days: poll() counts milliseconds in 31 bits


class Registration(Protocol):
    """The registration of a `Source` in a loop."""

    def end(self, then: Callable[[], object]) -> None:
        """Unregister the descriptor, then call *then*, in this thread or in another.

        Any thread may call this. An operation that waits for the descriptor is resumed.
        """
        ...


class NearRegistration(Registration, Protocol):
    """A registration of a loop that can resume operations which wait for a `Wake` by itself.

    A loop need not have such ones: the descriptor of a flag is always enough.
    """

    def resume(self, then: Callable[[], object]) -> bool:
        """Have the operation resumed that waits until the descriptor is readable.

        Called instead of making it readable, by any thread and at any point of a program.

        Args:
            then: to be called, in any case, after the step of the operation.

        Returns:
            False if that is not certain to happen soon: no operation waits for it, or the loop runs
            in another thread, or waits for descriptors at the moment. Then nothing was done.

        """
        ...


class Source:
    """A descriptor whose owner notifies the loops before it is closed.

    So a loop may leave it registered after a wait, and after the operation: until the
    notification the number means the same file.

    Attributes:
        fd: the number.
        closed: True if it is closed, or about to be: then nothing may be registered.
        registrations: the `Registration` of each loop that has registered it, by loop.

    Args:
        fd: see the attribute.
        reason: see `reason`.

    """

    __slots__ = ("_not_closed", "_reason", "closed", "fd", "registrations")

    def __init__(self, fd: int, reason: str | None = None) -> None:
        self.fd = fd
        self._reason = reason
        self.closed = False
        self._not_closed = [True]  # pop is atomic: of several threads one closes
        self.registrations: dict[object, Any] = {}  # a `Registration` for each loop

    @property
    def reason(self) -> str | None:
        """The reason of a wait for this descriptor; see `PollNeeded.reason`."""
        return self._reason

    @property
    def is_pause(self) -> bool:
        """True if it is waited for until something is tried again: nothing is kept busy by that."""
        return False

    def need(self, mask: int, deadline: float | None = None) -> PollNeeded:
        """Return a wait for this descriptor."""
        return PollNeeded(self.fd, mask, deadline, self)

    def settle(self) -> None:
        """Have the descriptor say what its owner knows already; see `FlagSource`."""

    def close(self, give_back: Callable[[], object]) -> None:
        """Unregister the descriptor in every loop, then call *give_back*, which closes it.

        That may be later: a loop that runs in another thread does it there. A second call has
        no effect.
        """
        if self.closed:
            return
        self.closed = True
        try:
            self._not_closed.pop()
        except IndexError:
            return
        self._unregister(give_back)

    def _unregister(self, give_back: Callable[[], object]) -> None:
        try:
            _, registration = self.registrations.popitem()
        except KeyError:
            give_back()
        else:
            registration.end(partial(self._unregister, give_back))


class PollNeeded(tuple[int, int]):  # noqa: SLOT001 - it may carry a deadline
    """The wait of an operation: ``(fd, mask)``.

    Attributes:
        fd: the file descriptor.
        mask: `POLLIN`, `POLLOUT`, or both joined by ``|``: then either will do.
        deadline: seconds of `time.monotonic` at which the operation wants to be
            resumed even without an event, or None. The operation itself then
            raises the time-out.
        source: the `Source` of the descriptor; None if it has none.
        stated: what was given to `because`, or None.

    """

    deadline: float | None = None
    source: Source | None = None
    stated: str | Callable[[], str | None] | None = None

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
            timeout: seconds to wait at most; 0 polls without waiting; None sets no limit.
                More than `MAX_WAIT` seconds count as that many.

        Returns:
            True if the descriptor is ready (an error or a hang-up counts), False
            if *timeout* seconds have passed. `deadline` has no effect.

        Raises:
            OSError, ValueError: the descriptor cannot be polled.

        """
        if self.source is not None:
            self.source.settle()
        return wait(self, timeout)

    @property
    def reason(self) -> str | None:
        """The reason why the operation waits, as a word for people; None if nobody knows.

        It is found out when it is asked for, and only true while the operation waits. Words of
        different waits that were joined to one are joined by ``" or "``.
        """
        stated = self.stated
        if stated is not None:
            return stated if isinstance(stated, str) else stated()
        return explained(None if self.source is None else self.source.reason, self[0], self[1])

    @property
    def is_pause(self) -> bool:
        """True if the operation waits until it tries something again, see `co_pause`.

        Of waits that were joined to one, each is such a wait.
        """
        return self.source is not None and self.source.is_pause

    def because(self, reason: str | Callable[[], str | None]) -> PollNeeded:
        """Return the same wait with another `reason`, or with a function that returns it."""
        need = self.until(self.deadline)
        need.stated = reason
        return need

    def until(self, deadline: float | None) -> PollNeeded:
        """Return the same wait with another deadline."""
        need = PollNeeded(self[0], self[1], deadline, self.source)
        if self.stated is not None:
            need.stated = self.stated
        return need

    def __repr__(self) -> str:
        names = [name for bit, name in ((POLLIN, "POLLIN"), (POLLOUT, "POLLOUT")) if self[1] & bit]
        until = "" if self.deadline is None else f", deadline={self.deadline:.3f}"
        return f"PollNeeded(fd={self[0]}, mask={'|'.join(names) or 0}{until})"


Co = Generator[PollNeeded, None, T]


def check_operation(op: object) -> None:
    """Check that *op* is a generator, or has the methods of one.

    Raises:
        TypeError: it is another object, such as the result of a blocking call.

    """
    if type(op) is GeneratorType or all(map(partial(hasattr, op), ("__next__", "throw", "close"))):
        return
    if hasattr(op, "cr_frame"):
        op.close()  # type: ignore[attr-defined]  # a coroutine that will not be awaited
    missing = "()" if callable(op) else "co_"
    raise TypeError(
        f"{type(op).__name__} is no operation; an operation such as conn.co_readall() is needed: "
        f"is {missing} missing?"
    )


def check_need(need: object) -> None:
    """Check that *need*, which an operation has yielded, is a `PollNeeded`.

    Drivers ask when they have failed to wait for it, so that a right one costs nothing.

    Raises:
        TypeError: it is something else: the generator is none of this contract.

    """
    if not isinstance(need, PollNeeded):
        raise TypeError(
            f"the operation yielded {type(need).__name__}, which is no PollNeeded: is it a "
            "generator of something else, or 'yield' where 'yield from' is needed?"
        )


class _Pollers(threading.local):
    """One registered poll object for each ``(fd, mask)``, for each thread.

    A poll object stores only the number, so it stays valid when the number is used again
    for another file.
    """

    def __init__(self) -> None:
        self.known: dict[tuple[int, ...], Any] = {}


_pollers = _Pollers()


def milliseconds(timeout: float | None) -> int | None:
    """Return *timeout* seconds in milliseconds for poll(), None for no limit.

    Rounded up, as waking too early would spin; at most `MAX_WAIT` seconds.
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


# Waits for so many seconds and returns readiness: `PollNeeded.poll` without one of its calls.
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
        TypeError: *op* is not an operation, or *timeout* not a number.
        InvalidOption: *timeout* is negative, too large, or not a number.
        Exception: any exception of *op*.

    """
    check_operation(op)
    try:
        if timeout is not None:
            check_seconds(timeout, "timeout")
            op = within(time.monotonic() + timeout, op)
        while True:
            need = next(op)
            try:
                if need.deadline is None:
                    wait(need, None)
                else:
                    wait(need, need.deadline - time.monotonic())
            except (AttributeError, TypeError):
                check_need(need)
                raise
    except StopIteration as end:
        result: T = end.value
        return result
    finally:
        op.close()


def timed_out(op: Co[T], failure: ConnectionTimedOut) -> T:
    """Throw a time-out into *op*, so that it can add what it knows."""
    try:
        op.throw(failure)
    except StopIteration as end:
        return cast("T", end.value)  # it had its result already
    raise DugongError(f"{op!r} went on after {failure}")


def within(deadline: float, op: Co[T], failure: ConnectionTimedOut | None = None) -> Co[T]:
    """Run *op* and end it when *deadline* has passed: a total limit.

    Args:
        deadline: seconds of `time.monotonic`, for example
            ``time.monotonic() + 30``.
        op: the operation. It is closed in any case.
        failure: the exception to raise then; None for one with a general message.

    Returns:
        The result of *op*.

    Raises:
        ConnectionTimedOut: the deadline has passed and *op* still waits.
        TypeError: *op* is not an operation or yields something else than `PollNeeded`, *deadline*
            is not a number, or *failure* is another exception.
        InvalidOption: *deadline* is too large, or not a number.

    """
    check_operation(op)
    try:
        check_deadline(deadline)
        if failure is not None and not isinstance(failure, ConnectionTimedOut):
            raise TypeError(f"failure is ConnectionTimedOut(…), not {type(failure).__name__}")
        while True:
            need = next(op)
            if time.monotonic() >= deadline:
                return timed_out(op, failure or ConnectionTimedOut("the deadline has passed"))
            try:
                if need.deadline is None or need.deadline > deadline:
                    need = need.until(deadline)
            except AttributeError:
                check_need(need)
                raise
            yield need
    except StopIteration as end:
        return cast("T", end.value)
    finally:
        op.close()
