"""A small event loop: thousands of operations in one thread.

It is also the reference for loops that users write.

Not here: other threads (an operation that waits for one uses `Wake`), the state of operations and
descriptors (loop_task.py), and polling (pollers.py).
"""

from __future__ import annotations

import heapq
import itertools
import math
import time
from collections import deque
from collections.abc import Callable
from contextlib import ExitStack
from threading import get_ident
from typing import Any, Final, Self, TypeVar

from ..errors import StateError
from ..polling.contract import (
    MAX_WAIT,
    POLLIN,
    POLLOUT,
    Co,
    PollNeeded,
    Source,
    check_need,
    check_operation,
)
from .loop_task import Task, Watch
from .pollers import (
    EpollPoller,
    Events,
    Poller,
    PollPoller,
    SelectPoller,
    best_poller,
)

T = TypeVar("T")
BACKENDS: Final[dict[str, Callable[[], Poller]]] = {
    "epoll": EpollPoller,
    "poll": PollPoller,
    "select": SelectPoller,
}
SPARE_TIMERS: Final = 64  # obsolete ones, before they are removed


class Loop:
    """Runs operations until they end; a context manager.

    Args:
        backend: ``"epoll"``, ``"poll"`` or ``"select"``; the best one of the system if None.

    Raises:
        KeyError: the backend does not exist.
        TypeError: *backend* is neither a string nor None.

    """

    def __init__(self, backend: str | None = None) -> None:
        if backend is not None and not isinstance(backend, str):
            kind = type(backend).__name__
            raise TypeError(f"backend is None or one of {', '.join(BACKENDS)}, not {kind}")
        self._poller: Poller = best_poller() if backend is None else BACKENDS[backend]()
        self._watches: dict[int, Watch] = {}  # by descriptor
        self._ready: deque[Task[Any]] = deque()
        self._late: Events = []  # events that an interrupt has left unreported
        self._after: deque[Callable[[], object]] = deque()  # to be called after steps: `resume`
        self._thread = 0  # that runs it
        self._stepping: Task[Any] | None = None  # the last one; None while it waits for events
        self._timers: list[tuple[float, int, Task[Any]]] = []
        self._order = itertools.count()  # tasks cannot be compared
        self._tasks: set[Task[Any]] = set()

    def spawn(self, op: Co[T], ended: Callable[[Task[T]], object] | None = None) -> Task[T]:
        """Start *op*, and return its task; it makes its first step when the loop runs.

        *ended* is called with the task at its end, for any reason.

        Raises:
            TypeError: *op* is not an operation.

        """
        check_operation(op)
        task = Task(self, op, ended)
        self._tasks.add(task)
        self._ready.append(task)
        return task

    def tasks(self) -> list[Task[Any]]:
        """Return the operations that have not ended; any thread may ask."""
        return list(self._tasks)

    def run(self, op: Co[T]) -> T:
        """Run *op* to its end, and the other operations meanwhile; return its result.

        Raises:
            TypeError: *op* is not an operation.
            Exception: any exception of *op*.

        """
        task = self.spawn(op)
        try:
            while not task.done():
                self._turn()
        finally:
            task.cancel()
        return task.result()

    def run_all(self) -> None:
        """Run until all operations have ended. Their exceptions are in their tasks."""
        while self._tasks:
            self._turn()

    def close(self) -> None:
        """Cancel all operations and close the descriptor.

        Raises:
            Exception: raised by an operation while it was closed.

        """
        with ExitStack() as stack:
            stack.callback(self._poller.close)
            stack.callback(self._forget_sources)
            stack.callback(self._end_steps)
            for task in self._tasks:
                stack.callback(task.cancel)

    def _end_steps(self) -> None:
        while self._after:
            self._after.popleft()()

    def _forget_sources(self) -> None:
        for watch in self._watches.values():
            assert watch.source is not None  # the others were removed with their waiters
            watch.source.registrations.pop(self, None)
        self._watches.clear()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def ended(self, task: Task[Any]) -> None:
        """Remove *task*, which has ended; called by the task."""
        self._tasks.discard(task)

    def forget(self, task: Task[Any]) -> None:
        """Cancel the wait of *task*; called by the task."""
        watch = task.watch
        if watch is not None:
            watch.dismiss(task)
            if watch.source is None:
                self._rearm(watch)
                if not watch.wanted():
                    self._poller.disarm(watch.fd)

    def resume(self, task: Task[Any], then: Callable[[], object]) -> bool:
        """See `NearRegistration.resume`; called by the watch for which *task* waits.

        Not while descriptors are waited for: this may be a handler of signals, which would not end
        that. And a task that makes a step at the moment does not wait.
        """
        stepping = self._stepping
        if stepping is None or stepping is task or self._thread != get_ident():
            return False
        self._after.append(then)
        self._ready.append(task)
        return True

    def drop(self, watch: Watch) -> None:
        """Remove a descriptor that is about to be closed; called by its watch."""
        self._poller.disarm(watch.fd)
        self._watches.pop(watch.fd, None)
        watch.source = None
        for task in watch.waiting():
            watch.dismiss(task)
            # To find out. Not one that makes its step, closes what it has waited for, and goes on:
            # if it did so at each step, it would be resumed for that for ever.
            if not getattr(task.op, "gi_running", False):
                self._ready.append(task)

    def _turn(self) -> None:
        """Resume all tasks that are ready; wait if there are none."""
        ready = self._ready
        if ready:
            self._thread = get_ident()
            after, count = self._after, len(self._after)
            try:
                for _ in range(len(ready)):
                    self._resume(ready.popleft())
            finally:
                for _ in range(count):
                    after.popleft()()
            if not ready:
                return  # perhaps there is nothing left to do
        events = iter(self._events())
        try:
            for fd, event in events:
                watch = self._watches.get(fd)
                if watch is None:
                    continue  # it was closed meanwhile
                if event == POLLIN and watch.armed and watch.reader is not None:
                    self._resume(watch.reader)
                else:
                    self._report(watch, event)
        except BaseException:
            self._late.extend(events)
            raise
        if self._timers:
            self._ring()

    def _events(self) -> Events:
        """Return events; wait if there are none."""
        if self._late:
            late, self._late = self._late, []
            return late
        self._thread = get_ident()
        self._stepping = None
        try:
            return self._poller.wait(0 if self._ready else self._time_left())
        except (OSError, ValueError):  # select, or poll of gevent: a descriptor was closed
            # Resume all: those of closed descriptors raise the error.
            for watch in self._watches.values():
                self._poller.disarm(watch.fd)
                watch.armed = 0
                for task in watch.waiting():
                    task.lasting = None
            return [(fd, POLLIN | POLLOUT) for fd in self._watches]

    def _resume(self, task: Task[Any]) -> None:
        """Make the next step of *task*."""
        try:
            if task.done():
                return
            self._stepping = task
            need = next(task.op)
            if need is task.lasting and need is not None:
                return
            if task.done():  # it has cancelled itself
                task.op.close()
            else:
                try:
                    self._wait(task, need)
                except (AttributeError, TypeError, ValueError):
                    check_need(need)
                    raise
        except StopIteration as end:
            self.forget(task)
            task.end(end.value, None)
        except BaseException as exc:
            self._fail(task, exc)
            if not isinstance(exc, Exception):
                raise

    def _fail(self, task: Task[Any], problem: BaseException) -> None:
        self.forget(task)
        try:
            task.op.close()
        except Exception as exc:  # noqa: BLE001 - stored in the task
            problem = exc
        task.end(None, problem)

    def _wait(self, task: Task[Any], need: PollNeeded) -> None:
        """Resume *task* for *need* only."""
        fd, mask = need
        source = need.source
        watch = self._watches.get(fd)
        if task.watch is not watch:
            self.forget(task)
        if watch is None:
            watch = self._watches[fd] = Watch(self, fd)
        if source is not None and watch.source is not source and not self._keep(watch, source):
            self._ready.append(task)  # it is closed: the operation raises the error
            return
        reader, writer = watch.reader, watch.writer
        if mask == POLLIN and writer is not task and (reader is None or reader is task):
            watch.reader = task  # that is all there is to do for most waits
        else:
            self._place(task, watch, mask)
        task.watch = watch
        task.need = need
        if watch.source is None or mask & ~watch.armed:
            self._arm(watch)
        deadline = need.deadline
        if deadline is None:
            task.lasting = need if watch.source is source is not None else None
            return
        task.lasting = None
        if deadline < task.alarm:
            self._set_alarm(task, deadline)

    def _place(self, task: Task[Any], watch: Watch, mask: int) -> None:
        """Have *task* wait at *watch* for *mask*, and for no other direction there.

        Raises:
            StateError: another one waits for one of them.

        """
        reader, writer = watch.reader, watch.writer
        if (mask & POLLIN and reader is not None and reader is not task) or (
            mask & POLLOUT and writer is not None and writer is not task
        ):
            what = f"two operations wait for descriptor {watch.fd} in the same direction"
            raise StateError(what)
        watch.reader = task if mask & POLLIN else None if reader is task else reader
        watch.writer = task if mask & POLLOUT else None if writer is task else writer

    def _keep(self, watch: Watch, source: Source) -> bool:
        """Register *watch* with *source*; return False if that is closed."""
        watch.armed = 0
        watch.source = source
        source.registrations[self] = watch
        if source.closed:
            source.registrations.pop(self, None)
            self.drop(watch)
            return False
        return True

    def _arm(self, watch: Watch) -> None:
        """Make the poller report *watch* for its waits, of which one is new."""
        if watch.source is None:  # for each wait: the number may mean another file now
            self._poller.arm(watch.fd, watch.wanted())
        else:
            armed = watch.armed | watch.wanted()
            self._poller.keep(watch.fd, armed)
            watch.armed = armed

    def _report(self, watch: Watch, event: int) -> None:
        """Resume the tasks that wait for *watch*. An error or a hang-up resumes all of them."""
        reader = watch.reader if event & ~POLLOUT else None
        writer = watch.writer if event & ~POLLIN else None
        if watch.source is None:  # reporting has disarmed it
            for task in (reader, writer):
                if task is not None:
                    watch.dismiss(task)
            self._rearm(watch)
        elif event & ~watch.wanted():  # an event without a wait would spin
            watch.armed &= watch.wanted()
            if watch.armed:
                self._poller.keep(watch.fd, watch.armed)
            else:
                self._poller.disarm(watch.fd)
        if reader is not None:
            self._resume(reader)
        if writer is not None and writer is not reader:
            self._resume(writer)

    def _rearm(self, watch: Watch) -> None:
        """Make the poller report *watch* for the tasks that still wait for it, if any."""
        mask = watch.wanted()
        if not mask:
            self._watches.pop(watch.fd, None)
            return
        try:
            self._poller.arm(watch.fd, mask)
        except OSError:  # it was closed: their operations raise the error
            self.drop(watch)

    def _set_alarm(self, task: Task[Any], deadline: float) -> None:
        """Set the alarm of a task earlier; an earlier one is kept, as most waits end before it."""
        task.alarm = deadline
        if len(self._timers) > 2 * len(self._tasks) + SPARE_TIMERS:
            self._timers = [entry for entry in self._timers if entry[0] == entry[2].alarm]
            heapq.heapify(self._timers)
        heapq.heappush(self._timers, (deadline, next(self._order), task))

    def _ring(self) -> None:
        """Make the tasks ready whose deadline has passed."""
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
