"""Several background threads; the least busy one gets the next operation.

With the global interpreter lock this helps only while the lock is released, as in TLS and in system
calls; without it (free threading) each thread can use a processor of its own.

Not here: one such thread (loopthread.py), and a thread for each operation (threads.py).
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any, Self, TypeVar

from ..polling.contract import Co
from .loop_task import Task
from .loopthread import LoopThread

T = TypeVar("T")


class LoopThreads:
    """Several `LoopThread` objects as one; a context manager that starts and stops them.

    The documentation of `LoopThread` holds for each of them, also for the child after a fork.

    Args:
        count: number of threads.
        name: name of the threads, to which a number is added.
        daemon: see `LoopThread`.
        backend: see `Loop`.

    Raises:
        ValueError: *count* is less than 1.
        KeyError: the backend does not exist.
        TypeError: an argument has the wrong type.

    """

    def __init__(
        self,
        count: int,
        *,
        name: str = "dugong_like-loop",
        daemon: bool = True,
        backend: str | None = None,
    ) -> None:
        if isinstance(count, bool) or not isinstance(count, int):
            raise TypeError(f"count is a number of threads, not {type(count).__name__}")
        if not isinstance(name, str):
            raise TypeError(f"name, of threads, is a string, not {type(name).__name__}")
        if count < 1:
            raise ValueError(f"count is 1 or more, not {count} threads")
        self._threads = [
            LoopThread(name=f"{name}-{number}", daemon=daemon, backend=backend)
            for number in range(count)
        ]
        # The operations of each. Sets need no lock, which could be locked for ever in a child.
        self._jobs: dict[LoopThread, set[Future[Any]]] = {thread: set() for thread in self._threads}

    def __len__(self) -> int:
        return len(self._threads)

    def start(self) -> Self:
        """Start the threads, and return this object.

        Raises:
            RuntimeError: they have been started before, or one cannot be started: then all are
                stopped.

        """
        try:
            for thread in self._threads:
                thread.start()
        except BaseException:
            self.stop()
            raise
        return self

    def is_alive(self) -> bool:
        """Return True while any of the threads runs."""
        return any(thread.is_alive() for thread in self._threads)

    def least_busy(self) -> LoopThread:
        """Return the thread with the fewest operations that have not ended.

        For operations that belong together, such as `HTTPStream` objects of one connection.
        Only operations that were submitted by this object count.
        """
        return min(self._threads, key=lambda thread: len(self._jobs[thread]))

    def submit(self, op: Co[T]) -> Future[T]:
        """Run *op* on the thread that is `least_busy`; see `LoopThread.submit`.

        Raises:
            RuntimeError: the threads have been stopped, or are those of the parent process; *op*
                is closed.
            TypeError: *op* is not an operation.

        """
        thread = self.least_busy()
        future = thread.submit(op)
        self._jobs[thread].add(future)
        forget: Callable[[Future[T]], object] = self._jobs[thread].discard
        future.add_done_callback(forget)
        return future

    def tasks(self) -> list[Task[Any]]:
        """Return the operations that have begun there and not ended; any thread may ask."""
        return [task for thread in self._threads for task in thread.tasks()]

    def stop(self) -> None:
        """Close all operations and end the threads; see `LoopThread.stop`."""
        for thread in self._threads:
            thread.stop()

    def join(self, timeout: float | None = None) -> bool:
        """Wait until all threads have ended, *timeout* seconds at most; True if they have.

        Raises:
            RuntimeError: they were not started, or one of them calls this.

        """
        deadline = math.inf if timeout is None else time.monotonic() + timeout
        ended = True
        for thread in self._threads:
            left = None if timeout is None else max(deadline - time.monotonic(), 0)
            ended = thread.join(left) and ended
        return ended

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *exc: object) -> None:
        self.stop()
        self.join()
