"""A small scheduler of our own: thousands of operations in one thread.

It is also the reference for loops that users write.

Not here: other threads (an operation that waits for one uses `Wake`), and how
descriptors are polled (pollers.py).
"""

from __future__ import annotations

import heapq
import itertools
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import CancelledError
from typing import Any, Final, Generic, Self, TypeVar, cast

from ..errors import StateError
from ..polling import POLLIN, POLLOUT, Co, PollNeeded
from .pollers import EpollPoller, Poller, PollPoller, SelectPoller, best_poller

T = TypeVar("T")
BACKENDS: Final[dict[str, Callable[[], Poller]]] = {
    "epoll": EpollPoller,
    "poll": PollPoller,
    "select": SelectPoller,
}


class Task(Generic[T]):
    """An operation that a `Loop` runs."""

    def __init__(self, loop: Loop, op: Co[T]) -> None:
        self._loop = loop
        self.op = op
        self.need: PollNeeded | None = None
        self.waits = 0  # counts the waits, so that a timer knows whose it was
        self._done = False
        self._result: T | None = None
        self._exception: BaseException | None = None

    def done(self) -> bool:
        """Return True if the operation has ended."""
        return self._done

    def result(self) -> T:
        """Return the result of the operation, or raise what it raised.

        Raises:
            StateError: it has not ended.
            CancelledError: it was cancelled.

        """
        if not self._done:
            raise StateError("the operation has not ended")
        if self._exception is not None:
            raise self._exception
        return cast("T", self._result)

    def exception(self) -> BaseException | None:
        """Return what the operation raised, or None.

        Raises:
            StateError: it has not ended.

        """
        if not self._done:
            raise StateError("the operation has not ended")
        return self._exception

    def cancel(self) -> bool:
        """Close the operation; return False if it had ended already."""
        if self._done:
            return False
        self._loop.forget(self)
        try:
            self.op.close()
        except BaseException as exc:
            self.end(None, exc)
            raise
        self.end(None, CancelledError())
        return True

    def end(self, result: T | None, exception: BaseException | None) -> None:
        """Note how the operation ended; called by the loop."""
        self._done = True
        self._result = result
        self._exception = exception
        self._loop.ended(self)


class Loop:
    """Runs operations until they end; a context manager.

    Args:
        backend: ``"epoll"``, ``"poll"`` or ``"select"``; the best one of the system if None.

    Raises:
        KeyError: there is no such backend.

    """

    def __init__(self, backend: str | None = None) -> None:
        self._poller: Poller = best_poller() if backend is None else BACKENDS[backend]()
        self._waiting: dict[tuple[int, int], Task[Any]] = {}  # by descriptor and direction
        self._ready: deque[Task[Any]] = deque()
        self._timers: list[tuple[float, int, int, Task[Any]]] = []
        self._order = itertools.count()  # tasks cannot be compared
        self._tasks: set[Task[Any]] = set()

    def spawn(self, op: Co[T]) -> Task[T]:
        """Start *op*; it makes its first step when the loop runs."""
        task = Task(self, op)
        self._tasks.add(task)
        self._ready.append(task)
        return task

    def run(self, op: Co[T]) -> T:
        """Run *op* to its end, and the other operations meanwhile; return its result.

        Raises:
            Exception: whatever *op* raises.

        """
        task = self.spawn(op)
        try:
            while not task.done():
                self._turn()
        finally:
            task.cancel()
        return task.result()

    def run_all(self) -> None:
        """Run until all operations have ended. What they raise is in their tasks."""
        while self._tasks:
            self._turn()

    def close(self) -> None:
        """Cancel all operations and give back the descriptor."""
        while self._tasks:
            next(iter(self._tasks)).cancel()
        self._poller.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def ended(self, task: Task[Any]) -> None:
        """Forget *task*, which has ended; called by the task."""
        self._tasks.discard(task)

    def forget(self, task: Task[Any]) -> None:
        """Do not resume *task* for what it waits for; called by the task."""
        need, task.need = task.need, None
        task.waits += 1
        if need is None:
            return
        fd, mask = need
        for bit in (POLLIN, POLLOUT):
            if mask & bit:
                del self._waiting[fd, bit]
        self._rearm(fd)

    def _rearm(self, fd: int) -> None:
        """Have the poller report *fd* for those who still wait for it."""
        mask = sum(bit for bit in (POLLIN, POLLOUT) if (fd, bit) in self._waiting)
        if mask:
            self._poller.arm(fd, mask)
        else:
            self._poller.disarm(fd)

    def _turn(self) -> None:
        """Resume everything that is ready, or else wait until something is."""
        if self._ready:
            while self._ready:
                self._resume(self._ready.popleft())
            return
        for fd, events in self._poller.wait(self._time_left()):
            self._report(fd, events)
        while self._timers and self._timers[0][0] <= time.monotonic():
            _, _, waits, task = heapq.heappop(self._timers)
            if task.waits == waits:
                self.forget(task)
                self._ready.append(task)

    def _report(self, fd: int, events: int) -> None:
        """Find out who waited for *fd*. An error or a hang-up is for everybody."""
        if not events & (POLLIN | POLLOUT) or events & ~(POLLIN | POLLOUT):
            events |= POLLIN | POLLOUT
        for bit in (POLLIN, POLLOUT):
            task = self._waiting.get((fd, bit)) if events & bit else None
            if task is not None:
                self._take(task)
                self._ready.append(task)
        if (fd, POLLIN) in self._waiting or (fd, POLLOUT) in self._waiting:
            self._rearm(fd)

    def _take(self, task: Task[Any]) -> None:
        """As `forget`, for a descriptor that the poller has disarmed already."""
        need, task.need = task.need, None
        task.waits += 1
        assert need is not None
        for bit in (POLLIN, POLLOUT):
            if need[1] & bit:
                del self._waiting[need[0], bit]

    def _time_left(self) -> float | None:
        while self._timers and self._timers[0][3].waits != self._timers[0][2]:
            heapq.heappop(self._timers)
        if not self._timers:
            return None
        return max(self._timers[0][0] - time.monotonic(), 0)

    def _resume(self, task: Task[Any]) -> None:
        if task.done():
            return
        try:
            self._wait(task, next(task.op))
        except StopIteration as end:
            task.end(end.value, None)
        except Exception as exc:  # noqa: BLE001 - it is the task's
            task.op.close()
            task.end(None, exc)

    def _wait(self, task: Task[Any], need: PollNeeded) -> None:
        fd, mask = need
        for bit in (POLLIN, POLLOUT):
            if mask & bit and (fd, bit) in self._waiting:
                raise StateError(f"two operations wait for descriptor {fd} in the same direction")
        for bit in (POLLIN, POLLOUT):
            if mask & bit:
                self._waiting[fd, bit] = task
        task.need = need
        if need.deadline is not None:
            heapq.heappush(self._timers, (need.deadline, next(self._order), task.waits, task))
        self._rearm(fd)
