"""A background thread with a `Loop`, started by the user: futures without an event loop.

Any thread submits operations, which run there until they end; their results are set in futures of
`concurrent.futures`.

Not here: one thread for each operation (threads.py), and the loop (loop.py).
"""

from __future__ import annotations

import atexit
import threading
from collections import deque
from collections.abc import Callable
from concurrent.futures import CancelledError, Future
from contextlib import suppress
from typing import Any, Final, Self, TypeVar

from ..polling.contract import Co, check_operation
from ..polling.fork import after_fork
from ..polling.wake import Wake
from .loop import Loop
from .loop_task import Task

T = TypeVar("T")
PATIENCE: Final = 1.0  # seconds that a program waits at its end for running operations


class LoopThread:
    """A thread that runs any number of operations; a context manager that starts and stops it.

    Stopping closes the operations that have not ended: their futures raise
    `CancelledError`. A thread that has been stopped cannot be started again.

    After a fork the child has no such thread: `submit` raises RuntimeError there, and
    futures that were not done in the parent never will be.

    Args:
        name: name of the thread.
        daemon: False to keep the program from ending until the thread is stopped. True lets it
            end; the thread is then stopped, within a second.
        backend: see `Loop`.

    Raises:
        KeyError: the backend does not exist.
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
        # The garbage collector and signal handlers may post and cancel while it is held.
        self._lock = threading.RLock()
        self._inbox: deque[Callable[[], object]] = deque()  # calls for the thread
        self._stopping = False  # no more calls are accepted
        self._serving: Co[None] | None = None  # the operation that makes them
        self._thread = threading.Thread(target=self._work, name=name, daemon=daemon)

    def start(self) -> Self:
        """Start the thread, and return this object.

        Raises:
            RuntimeError: it has been started before, or no thread can be started.

        """
        _started[self] = None
        try:
            self._thread.start()
        finally:
            if not self._thread.is_alive():
                _started.pop(self, None)
        after_fork(self.lose)
        return self

    def is_alive(self) -> bool:
        """Return True from `start` until the thread has ended."""
        return self._thread.is_alive()

    def submit(self, op: Co[T]) -> Future[T]:
        """Run *op* on the thread and return a future of its result. Thread-safe.

        Before `start` the operation waits for that. Cancelling the future closes the operation,
        on the thread, possibly after `cancel` has returned; ``result()`` and ``exception()`` wait
        for that and raise `CancelledError`.

        Raises:
            RuntimeError: the thread has been stopped, or is one of the parent process;
                *op* is closed.
            TypeError: *op* is not an operation.

        """
        check_operation(op)
        job = _Job(self, op)
        if not self.post(job.begin):
            op.close()
            raise RuntimeError("the thread has been stopped, and takes no more operations")
        return job

    def post(self, step: Callable[[], object]) -> bool:
        """Have *step* called on the thread; return at once, False if the thread is stopped."""
        with self._lock:
            if self._stopping:
                return False
            self._inbox.append(step)
            self._wake.set()
        return True

    def spawn(self, op: Co[T], ended: Callable[[Task[T]], object]) -> Task[T]:
        """Start *op*, and return its task; to be called on the thread only. See `Loop.spawn`."""
        return self._loop.spawn(op, ended)

    def tasks(self) -> list[Task[Any]]:
        """Return the operations that have begun there and not ended; any thread may ask."""
        return [task for task in self._loop.tasks() if task.op is not self._serving]

    def stop(self) -> None:
        """Close all operations and end the thread. Does not wait for that; see `join`.

        Thread-safe; may be called by an operation, and any number of times.
        """
        with self._lock:
            self._stopping = True
            self._wake.set()
        if self._thread.ident is None:  # never started, and will not be
            self._end()

    def join(self, timeout: float | None = None) -> bool:
        """Wait until the thread has ended, *timeout* seconds at most; True if it has.

        Raises:
            RuntimeError: the thread was not started, or is the calling one.

        """
        self._thread.join(timeout)
        return not self._thread.is_alive()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *exc: object) -> None:
        self.stop()
        self.join()

    def lose(self) -> None:
        """Mark the thread as lost, in a forked child process."""
        self._lock = threading.RLock()
        self._stopping = True
        _started.pop(self, None)

    # ---- on the thread

    def _work(self) -> None:
        try:
            while not self._stopping:
                with suppress(BaseException):  # raised by an operation, and set in its future
                    self._serving = self._co_serve()
                    self._loop.run(self._serving)
        finally:
            self._end()

    def _co_serve(self) -> Co[None]:
        """Make the posted calls until the thread is stopped."""
        while not self._stopping:
            yield from self._wake.co_wait()
            self._wake.clear()
            for _ in range(len(self._inbox)):
                self._inbox.popleft()()

    def _end(self) -> None:
        """Close operations that have not ended or not begun."""
        with self._lock:
            self._stopping = True
        while self._inbox:
            self._inbox.popleft()()  # a job becomes a task, which is cancelled below
        with suppress(Exception):  # stored in the tasks, too
            self._loop.close()
        _started.pop(self, None)
        self._wake.close()


class _Job(Future[T]):
    """The future of an operation that runs on a `LoopThread`."""

    def __init__(self, thread: LoopThread, op: Co[T]) -> None:
        super().__init__()
        self._thread = thread
        self._op = op
        self._task: Task[T] | None = None
        self._lock = threading.RLock()
        self._asked = False  # `cancel` was called while it ran
        self._ended = False
        self._stopped = False

    def cancel(self) -> bool:
        """Close the operation; see `LoopThread.submit`."""
        if super().cancel():
            return True
        with self._lock:
            if not self._ended and not self._asked:
                self._asked = True
                self._thread.post(self._stop)  # if this fails, the thread is about to do so
            return self._asked

    def cancelled(self) -> bool:
        """Return True if `cancel`, or `LoopThread.stop`, has closed the operation."""
        return self._stopped or super().cancelled()

    def begin(self) -> None:
        """Start the operation; called on the thread."""
        if self.set_running_or_notify_cancel():
            self._task = self._thread.spawn(self._op, self._finish)
        else:
            self._op.close()

    def _stop(self) -> None:
        assert self._task is not None  # begun, or `Future.cancel` would have been enough
        with suppress(Exception):  # stored in the task
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


# Those that run, and so exist in any case. Other threads start and end meanwhile: each single
# operation on this is atomic, also `list`.
_started: Final[dict[LoopThread, None]] = {}


@atexit.register
def _stop_all() -> None:
    """Stop the threads properly: the interpreter freezes daemonic threads at its end."""
    threads = [thread for thread in list(_started) if thread.is_alive()]
    for thread in threads:
        thread.stop()
    for thread in threads:
        thread.join(PATIENCE / len(threads))
