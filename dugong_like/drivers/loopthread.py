"""A background thread with a `Loop` on it, which the user starts: futures without a loop.

Operations are handed over from any thread, and run there until they end; what they give
comes back as a future of `concurrent.futures`.

Not here: one thread for each operation (threads.py), and the loop (loop.py).
"""

from __future__ import annotations

import atexit
import os
import threading
from collections import deque
from collections.abc import Callable
from concurrent.futures import CancelledError, Future
from contextlib import suppress
from typing import Final, Self, TypeVar
from weakref import WeakSet

from ..polling.contract import Co, check_operation
from ..polling.wake import Wake
from .loop import Loop
from .loop_task import Task

T = TypeVar("T")
PATIENCE: Final = 1.0  # seconds that the end of the program waits for running operations to end


class LoopThread:
    """A thread that runs any number of operations; a context manager that starts and stops it.

    Stopping closes the operations that have not ended: their futures raise
    `CancelledError`. A thread that has been stopped cannot be started again.

    After a fork the child has no such thread: `submit` raises RuntimeError there, and
    futures that were not done in the parent never will be.

    Args:
        name: name of the thread.
        daemon: False to keep the program from ending until the thread is stopped. True
            lets it end; the thread is then stopped, and given a second for that.
        backend: see `Loop`.

    Raises:
        KeyError: there is no such backend.
        TypeError: *name* or *backend* has the wrong type.

    """

    def __init__(
        self,
        *,
        name: str = "dugong_like-loop",
        daemon: bool = True,
        backend: str | None = None,
    ) -> None:
        if not isinstance(name, str):
            raise TypeError(f"name, of a thread, is a string, not {type(name).__name__}")
        self._loop = Loop(backend)
        self._wake = Wake()
        # The garbage collector and handlers of signals may post and cancel in the middle of that.
        self._lock = threading.RLock()
        self._inbox: deque[Callable[[], object]] = deque()  # what the thread shall do
        self._stopping = False  # nothing is taken any more
        self._thread = threading.Thread(target=self._work, name=name, daemon=daemon)

    def start(self) -> Self:
        """Start the thread, and return this object.

        Raises:
            RuntimeError: it has been started before, or no thread can be started.

        """
        self._thread.start()
        _running.add(self)
        return self

    def is_alive(self) -> bool:
        """Return True from `start` until the thread has ended."""
        return self._thread.is_alive()

    def submit(self, op: Co[T]) -> Future[T]:
        """Run *op* on the thread and return a future of its result. From any thread.

        Before `start` it waits for that. Cancelling the future closes the operation, on
        the thread and not before `cancel` returns; ``result()`` and ``exception()`` wait
        for that and raise `CancelledError`.

        Raises:
            RuntimeError: the thread has been stopped, or is one of the parent process;
                *op* is closed.
            TypeError: *op* is no operation.

        """
        check_operation(op)
        job = _Job(self, op)
        if not self.post(job.begin):
            op.close()
            raise RuntimeError("the thread has been stopped, and takes no more operations")
        return job

    def post(self, step: Callable[[], object]) -> bool:
        """Have *step* called on the thread; it returns at once. False if it is stopped."""
        with self._lock:
            if self._stopping:
                return False
            self._inbox.append(step)
            self._wake.set()
        return True

    def spawn(self, op: Co[T], ended: Callable[[Task[T]], object]) -> Task[T]:
        """Start *op*; to be called on the thread only. See `Loop.spawn`."""
        return self._loop.spawn(op, ended)

    def stop(self) -> None:
        """Close all operations and end the thread. Does not wait for that; see `join`.

        From any thread, also from an operation, and any number of times.
        """
        with self._lock:
            self._stopping = True
            self._wake.set()
        if self._thread.ident is None:  # never started, and will not be
            self._end()

    def join(self, timeout: float | None = None) -> bool:
        """Wait until the thread has ended, *timeout* seconds at most; True if it has.

        Raises:
            RuntimeError: the thread was not started, or is the one that calls.

        """
        self._thread.join(timeout)
        return not self._thread.is_alive()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *exc: object) -> None:
        self.stop()
        self.join()

    def lose(self) -> None:
        """Note that this is a child process, where the thread is not; called after a fork."""
        self._lock = threading.RLock()
        self._stopping = True

    # ---- on the thread

    def _work(self) -> None:
        try:
            while not self._stopping:
                with suppress(BaseException):  # an operation has raised it: it is in its future
                    self._loop.run(self._co_serve())
        finally:
            self._end()

    def _co_serve(self) -> Co[None]:
        """Do what is asked for until the thread shall stop."""
        while not self._stopping:
            yield from self._wake.co_wait()
            self._wake.clear()
            for _ in range(len(self._inbox)):
                self._inbox.popleft()()

    def _end(self) -> None:
        """Close what has not ended, and what has not begun."""
        with self._lock:
            self._stopping = True
        while self._inbox:
            self._inbox.popleft()()  # a job becomes a task, which is cancelled below
        with suppress(Exception):  # they are the tasks', too
            self._loop.close()
        _running.discard(self)
        self._wake.close()


class _Job(Future[T]):
    """The future of an operation that runs on a `LoopThread`."""

    def __init__(self, thread: LoopThread, op: Co[T]) -> None:
        super().__init__()
        self._thread = thread
        self._op = op
        self._task: Task[T] | None = None
        self._lock = threading.RLock()
        self._asked = False  # to cancel it while it runs
        self._ended = False
        self._stopped = False

    def cancel(self) -> bool:
        """Close the operation; see `LoopThread.submit`."""
        if super().cancel():
            return True
        with self._lock:
            if not self._ended and not self._asked:
                self._asked = True
                self._thread.post(self._stop)  # if it cannot: the thread is about to do so
            return self._asked

    def cancelled(self) -> bool:
        """Return True if the operation was closed because of `cancel`, or of `LoopThread.stop`."""
        return self._stopped or super().cancelled()

    def begin(self) -> None:
        """Start the operation; called on the thread."""
        if self.set_running_or_notify_cancel():
            self._task = self._thread.spawn(self._op, self._finish)
        else:
            self._op.close()

    def _stop(self) -> None:
        assert self._task is not None  # it has begun, or `Future.cancel` had been enough
        with suppress(Exception):  # it is the task's
            self._task.cancel()

    def _finish(self, task: Task[T]) -> None:
        problem = task.exception()
        with self._lock:
            self._ended = True
        if self._asked and problem is None:
            problem = CancelledError()
        if problem is None:
            self.set_result(task.result())
        else:
            self._stopped = isinstance(problem, CancelledError)
            self.set_exception(problem)


_running: WeakSet[LoopThread] = WeakSet()


@atexit.register
def _stop_all() -> None:
    """Let operations end in order: a daemonic thread would be frozen in the middle."""
    threads = [thread for thread in list(_running) if thread.is_alive()]
    for thread in threads:
        thread.stop()
    for thread in threads:
        thread.join(PATIENCE / len(threads))


def _lose_all() -> None:
    for thread in list(_running):
        thread.lose()


if hasattr(os, "register_at_fork"):  # not on Windows, where nothing forks
    os.register_at_fork(after_in_child=_lose_all)
