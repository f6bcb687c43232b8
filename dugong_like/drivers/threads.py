"""Operations on threads, with futures of `concurrent.futures`."""

from __future__ import annotations

import threading
from concurrent.futures import CancelledError, Executor, Future
from typing import TypeVar

from ..polling import POLLIN, Bundle, Co, PollNeeded, Wake
from ..polling import run as run_blocking

T = TypeVar("T")


def submit(op: Co[T], executor: Executor | None = None) -> Future[T]:
    """Run *op* on a thread and return a future of its result.

    Cancelling the future closes the operation, also while it runs: whatever it waits
    for, it is woken up.

    Args:
        op: the operation.
        executor: where to run it; a daemonic thread of its own if None.

    """
    future: _OperationFuture[T] = _OperationFuture()
    if executor is None:
        threading.Thread(target=future.work, args=(op,), name="dugong_like-op", daemon=True).start()
    else:
        executor.submit(future.work, op)
    return future


class _OperationFuture(Future[T]):
    def __init__(self) -> None:
        super().__init__()
        self._wake = Wake()
        self._stopped = False

    def cancel(self) -> bool:
        if super().cancel():
            return True
        if self.done():
            return False
        self._wake.set()
        return True

    def cancelled(self) -> bool:
        return self._stopped or super().cancelled()

    def work(self, op: Co[T]) -> None:
        with self._wake:
            if not self.set_running_or_notify_cancel():
                op.close()
                return
            try:
                result = run_blocking(_co_until(self._wake, op))
            except CancelledError as exc:
                self._stopped = True
                self.set_exception(exc)
            except BaseException as exc:  # noqa: BLE001 - whoever asks for the result gets it
                self.set_exception(exc)
            else:
                self.set_result(result)


def _co_until(wake: Wake, op: Co[T]) -> Co[T]:
    """Run *op* until *wake* is set."""
    bundle = Bundle()
    try:
        while not wake.is_set():
            yield bundle.need((next(op), PollNeeded(wake.fd, POLLIN)))
        raise CancelledError
    except StopIteration as end:
        result: T = end.value
        return result
    finally:
        bundle.close()
        op.close()
