"""Operations on threads, with futures of `concurrent.futures`."""

from __future__ import annotations

import threading
import time
from concurrent.futures import CancelledError, Executor, Future
from typing import Any, TypeVar, cast

from ..polling.contract import MAX_WAIT, POLLIN, Co, PollNeeded, check_need, check_operation
from ..polling.wake import Wake
from .pollers import Poller, best_poller

T = TypeVar("T")


def submit(op: Co[T], executor: Executor | None = None) -> Future[T]:
    """Run *op* on a thread and return a future of its result.

    Cancelling the future closes the operation, also while it runs, and ends its wait. The thread
    closes it, possibly after `cancel` has returned; ``result()`` and ``exception()`` wait for that
    and raise `CancelledError`.

    Args:
        op: the operation.
        executor: runs it; None for a new daemonic thread, which does not keep the program from
            ending.

    Raises:
        RuntimeError: *executor* is shut down, or no thread can be started; *op* is closed.
        TypeError: *op* is not an operation.

    """
    check_operation(op)
    future: _OperationFuture[T] = _OperationFuture(op)
    try:
        if executor is None:
            threading.Thread(target=future.work, name="dugong_like-op", daemon=True).start()
        else:
            executor.submit(future.work).add_done_callback(future.dropped)
    except BaseException:
        future.discard()
        raise
    return future


class _OperationFuture(Future[T]):
    def __init__(self, op: Co[T]) -> None:
        super().__init__()
        self._op = op
        self._wake = Wake()
        self._lock = threading.RLock()  # a signal handler may cancel it, too
        self._ended = False
        self._stopped = False

    def cancel(self) -> bool:
        if super().cancel():
            return True
        with self._lock:
            if not self._ended:
                self._wake.set()
            return self._wake.is_set()

    def cancelled(self) -> bool:
        return self._stopped or super().cancelled()

    def work(self) -> None:
        """Run the operation; called on the thread."""
        result: T | None = None
        problem: BaseException | None = None
        if not self.set_running_or_notify_cancel():
            self.discard()
            return
        try:
            result = self._run()
        except BaseException as exc:  # noqa: BLE001 - set in the future
            problem = exc
        with self._lock:
            self._ended = True
            stopped = self._wake.is_set()
        self._wake.close()
        if stopped and (problem is None or isinstance(problem, CancelledError)):
            self._stopped = True
            problem = CancelledError()
        if problem is None:
            self.set_result(cast("T", result))
        else:
            self.set_exception(problem)

    def dropped(self, job: Future[Any]) -> None:
        """End after *job*, which the executor may have cancelled before it ran."""
        if job.cancelled():
            super().cancel()
            self.set_running_or_notify_cancel()
            self.discard()

    def discard(self) -> None:
        """Close an operation that will not run."""
        self._wake.close()
        self._op.close()

    def _run(self) -> T:
        poller = best_poller()
        try:
            poller.arm(self._wake.fd, POLLIN)
            while True:
                need = next(self._op)
                try:
                    _wait(poller, need)
                except (AttributeError, TypeError, ValueError):
                    check_need(need)
                    raise
                if self._wake.is_set():
                    raise CancelledError
        except StopIteration as end:
            return cast("T", end.value)
        finally:
            poller.close()
            self._op.close()


def _wait(poller: Poller, need: PollNeeded) -> None:
    """Wait for *need*, or for the other descriptors of *poller*."""
    fd, mask = need
    left = MAX_WAIT if need.deadline is None else need.deadline - time.monotonic()
    poller.arm(fd, mask)
    events = poller.wait(min(max(left, 0), MAX_WAIT))
    if all(fd != ready for ready, _ in events):
        poller.disarm(fd)
