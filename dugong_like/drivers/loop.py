"""A small scheduler of our own: thousands of operations in one thread.

It is also the reference for loops that users write.

Not here: other threads (an operation that waits for one uses `Wake`), and how
descriptors are polled (pollers.py).
"""

from __future__ import annotations

import heapq
import itertools
import math
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import CancelledError
from contextlib import ExitStack
from typing import Any, Final, Generic, Self, TypeVar, cast

from ..errors import StateError
from ..polling import MAX_WAIT, POLLIN, POLLOUT, Co, PollNeeded
from .pollers import EpollPoller, Poller, PollPoller, SelectPoller, best_poller

T = TypeVar("T")
BACKENDS: Final[dict[str, Callable[[], Poller]]] = {
    "epoll": EpollPoller,
    "poll": PollPoller,
    "select": SelectPoller,
}
SPARE_TIMERS: Final = 64  # overdue for removal, and not worth a look at all of them


class Task(Generic[T]):
    """An operation that a `Loop` runs."""

    def __init__(self, loop: Loop, op: Co[T], ended: Callable[[Task[T]], object] | None) -> None:
        self._loop = loop
        self._ended = ended
        self.op = op
        self.need: PollNeeded | None = None  # what it waits for, if it does
        self.alarm = math.inf  # seconds of time.monotonic: its first entry among the timers
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
        """Return what the operation raised, or None; `CancelledError` if it was cancelled.

        Raises:
            StateError: it has not ended.

        """
        if not self._done:
            raise StateError("the operation has not ended")
        return self._exception

    def cancel(self) -> bool:
        """Close the operation; return False if it had ended already.

        Raises:
            Exception: what the operation raised while it was closed; also its `exception`.

        """
        if self._done:
            return False
        self._loop.forget(self)
        if not getattr(self.op, "gi_running", False):  # else it cancels itself: the loop closes it
            try:
                self.op.close()
            except BaseException as exc:
                self.end(None, exc)
                raise
        self.end(None, CancelledError())
        return True

    def end(self, result: T | None, exception: BaseException | None) -> None:
        """Note how the operation ended, if it had not ended before; called by the loop."""
        if self._done:
            return
        self._done = True
        self._result = result
        self._exception = exception
        self.alarm = math.inf
        self._loop.ended(self)
        if self._ended is not None:
            self._ended(self)


class Loop:
    """Runs operations until they end; a context manager.

    Args:
        backend: ``"epoll"``, ``"poll"`` or ``"select"``; the best one of the system if None.

    Raises:
        KeyError: there is no such backend.

    """

    def __init__(self, backend: str | None = None) -> None:
        self._poller: Poller = best_poller() if backend is None else BACKENDS[backend]()
        self._readers: dict[int, Task[Any]] = {}  # who waits, by descriptor
        self._writers: dict[int, Task[Any]] = {}
        self._ready: deque[Task[Any]] = deque()
        self._timers: list[tuple[float, int, Task[Any]]] = []
        self._order = itertools.count()  # tasks cannot be compared
        self._tasks: set[Task[Any]] = set()

    def spawn(self, op: Co[T], ended: Callable[[Task[T]], object] | None = None) -> Task[T]:
        """Start *op*; it makes its first step when the loop runs.

        *ended* is called with the task when it has ended, in whatever way.
        """
        task = Task(self, op, ended)
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
        """Cancel all operations and give back the descriptor.

        Raises:
            Exception: what an operation raised while it was closed.

        """
        with ExitStack() as stack:
            stack.callback(self._poller.close)
            for task in self._tasks:
                stack.callback(task.cancel)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def ended(self, task: Task[Any]) -> None:
        """Forget *task*, which has ended; called by the task."""
        self._tasks.discard(task)

    def forget(self, task: Task[Any]) -> None:
        """Do not resume *task* for what it waits for; called by the task."""
        if task.need is not None:
            fd = task.need[0]
            self._take(task)
            self._rearm(fd)

    def _turn(self) -> None:
        """Resume all that are ready; if there are none, wait until there are."""
        ready = self._ready
        try:
            events = self._poller.wait(0 if ready else self._time_left())
        except OSError:  # select: somebody has closed one; let everybody find out
            events = [(fd, POLLIN | POLLOUT) for fd in {*self._readers, *self._writers}]
            for fd, _ in events:
                self._poller.disarm(fd)
        for fd, event in events:
            self._report(fd, event)
        if self._timers:
            self._ring()
        for _ in range(len(ready)):
            self._resume(ready.popleft())

    def _resume(self, task: Task[Any]) -> None:
        if task.done():
            return
        try:
            need = next(task.op)
            if task.done():  # it has cancelled itself
                task.op.close()
            else:
                self._wait(task, need)
        except StopIteration as end:
            task.end(end.value, None)
        except BaseException as exc:
            self._fail(task, exc)
            if not isinstance(exc, Exception):
                raise

    def _fail(self, task: Task[Any], problem: BaseException) -> None:
        self.forget(task)
        try:
            task.op.close()
        except Exception as exc:  # noqa: BLE001 - it is the task's
            problem = exc
        task.end(None, problem)

    def _wait(self, task: Task[Any], need: PollNeeded) -> None:
        """Have *task* resumed for *need*. All are disarmed that the poller has reported."""
        fd, mask = need
        armed = mask
        if (reader := self._readers.get(fd)) is not None:
            armed |= POLLIN
        if (writer := self._writers.get(fd)) is not None:
            armed |= POLLOUT
        if (reader and mask & POLLIN) or (writer and mask & POLLOUT):
            raise StateError(f"two operations wait for descriptor {fd} in the same direction")
        self._poller.arm(fd, armed)
        task.need = need
        if mask & POLLIN:
            self._readers[fd] = task
        if mask & POLLOUT:
            self._writers[fd] = task
        if need.deadline is not None:
            self._set_alarm(task, need.deadline)

    def _report(self, fd: int, event: int) -> None:
        """Find out who waited for *fd*. An error or a hang-up is for everybody."""
        if event & ~POLLOUT and (task := self._readers.get(fd)) is not None:
            self._take(task)
            self._ready.append(task)
        if event & ~POLLIN and (task := self._writers.get(fd)) is not None:
            self._take(task)
            self._ready.append(task)
        if fd in self._readers or fd in self._writers:
            self._rearm(fd)

    def _take(self, task: Task[Any]) -> None:
        """Take *task* from those who wait; the poller is not told."""
        assert task.need is not None
        fd, mask = task.need
        task.need = None
        if mask & POLLIN:
            del self._readers[fd]
        if mask & POLLOUT:
            del self._writers[fd]

    def _rearm(self, fd: int) -> None:
        """Have the poller report *fd* for those who still wait for it."""
        rest = [task for task in (self._readers.get(fd), self._writers.get(fd)) if task]
        if not rest:
            self._poller.disarm(fd)
            return
        try:
            self._poller.arm(fd, sum(task.need[1] for task in rest if task.need))
        except OSError:  # somebody has closed it: let them find out
            for task in rest:
                self._take(task)
                self._ready.append(task)

    def _set_alarm(self, task: Task[Any], deadline: float) -> None:
        """Keep an earlier entry: most waits end before it, and each entry is a cost."""
        if deadline >= task.alarm:
            return
        task.alarm = deadline
        if len(self._timers) > 2 * len(self._tasks) + SPARE_TIMERS:
            self._timers = [entry for entry in self._timers if entry[0] == entry[2].alarm]
            heapq.heapify(self._timers)
        heapq.heappush(self._timers, (deadline, next(self._order), task))

    def _ring(self) -> None:
        """Make those ready whose deadline has passed."""
        now = time.monotonic()
        while self._timers and self._timers[0][0] <= now:
            at, _, task = heapq.heappop(self._timers)
            if at != task.alarm:
                continue
            task.alarm = math.inf
            if task.need is None or task.need.deadline is None:
                continue
            if task.need.deadline > now:
                self._set_alarm(task, task.need.deadline)
            else:
                self.forget(task)
                self._ready.append(task)

    def _time_left(self) -> float | None:
        if not self._timers:
            return None
        return min(max(self._timers[0][0] - time.monotonic(), 0), MAX_WAIT)
