"""Operations on asyncio, with any event loop that has `add_reader` (uvloop too).

Not here: registrations in the loop (aio_watches.py); asyncio's own streams and sockets: an
operation has its own descriptors.
"""

from __future__ import annotations

import asyncio
import types
from collections.abc import Callable, Generator
from contextvars import Context, copy_context
from types import GeneratorType
from typing import Any, TypeVar

from ..polling.contract import Co, PollNeeded, check_need, check_operation
from .aio_watches import Waiter, Watch

T = TypeVar("T")


class AioFuture(asyncio.Future[T]):
    """An asyncio future that runs an operation and gets its result.

    The operation makes its first step in the next iteration of the loop, not at once.
    Cancelling the future closes the operation at once. A descriptor stays registered in the loop
    between two equal waits. At the end of the operation it is unregistered, unless it belongs to
    a connection: then it stays until that is closed, or until something arrives and no operation
    waits.

    The future gets a `RuntimeError` if another one waits for the same direction of the
    same descriptor, or if the loop has no `add_reader`.

    Args:
        op: the operation.
        loop: the event loop; None for the running one or, without one, the one that is set
            (`asyncio.set_event_loop`), as with `asyncio.Future`.

    Raises:
        RuntimeError: there is no event loop.
        TypeError: *op* is not an operation, or *loop* not an event loop.

    """

    def __init__(self, op: Co[T], loop: asyncio.AbstractEventLoop | None = None) -> None:
        check_operation(op)
        if loop is not None and not isinstance(loop, asyncio.AbstractEventLoop):
            raise TypeError(f"loop is an event loop of asyncio, not {type(loop).__name__}")
        self._op = op
        self._waiter: _Steps | None = None
        loop = loop or asyncio.get_event_loop()
        super().__init__(loop=loop)
        self._context = copy_context()
        loop.call_soon(self._resume, context=self._context)

    def cancel(self, msg: Any | None = None) -> bool:
        """Close the operation and cancel the future; return False if it is done already.

        If closing the operation fails, the future gets that exception instead, and that is False
        as well.

        Args:
            msg: of the `asyncio.CancelledError`.

        """
        if self.done():
            return False
        if not getattr(self._op, "gi_running", False):  # otherwise it does this itself: see _resume
            try:
                self._close()
            except BaseException as exc:  # noqa: BLE001 - a finally block of the operation failed
                self.set_exception(exc)
                return False
        return super().cancel(msg)

    def _resume(self) -> None:
        if self.done():
            return
        try:
            need = next(self._op)
            if self.done():  # the operation has cancelled its own future
                self._close()
                return
            if self._waiter is None:
                self._waiter = _Steps(self.get_loop(), self._context, self._resume)
            try:
                self._waiter.wait(need)
            except (AttributeError, TypeError):
                check_need(need)
                raise
        except StopIteration as end:
            self._end(end.value, None)
        except BaseException as exc:
            self._end(None, exc)
            if not isinstance(exc, Exception):
                raise

    def _end(self, result: Any, problem: BaseException | None) -> None:
        try:
            self._close()
        except BaseException as exc:  # noqa: BLE001 - set in the future
            problem = exc
        if self.done():
            return
        if problem is None:
            self.set_result(result)
        else:
            self.set_exception(problem)

    def _close(self) -> None:
        """Stop waiting, then close the operation, which may close its descriptors."""
        waiter, self._waiter = self._waiter, None
        if waiter is not None:
            waiter.leave()
        self._op.close()


class _Steps(Waiter):
    """The future that makes its next step when it is resumed."""

    __slots__ = ("_context", "_is_waiting", "_step")

    def __init__(
        self, loop: asyncio.AbstractEventLoop, context: Context, step: Callable[[], None]
    ) -> None:
        super().__init__(loop)
        self._context = context
        self._step = step
        self._is_waiting = False

    def wait(self, need: PollNeeded) -> None:
        super().wait(need)
        self._is_waiting = True

    def resume(self) -> None:
        self._is_waiting = False
        self._context.run(self._step)

    def is_waiting(self) -> bool:
        return self._is_waiting


async def run(op: Co[T]) -> T:
    """Run *op* and return its result; cancelling the task closes it.

    Each step is made in the task itself, so a task that is cancelled while it waits has lost
    nothing that *op* had received. (A task that awaits an `AioFuture`, and is cancelled at the
    very moment of its result, does not get that.)

    Raises:
        RuntimeError: another operation waits for the same direction of the same
            descriptor, or the loop has no `add_reader`.
        TypeError: *op* is not an operation.
        Exception: any exception of *op*.

    """
    if type(op) is not GeneratorType:  # rare, and an unconditional call is slower
        check_operation(op)
    return await co_run(op)


@types.coroutine
def wait(need: PollNeeded) -> Generator[_Pause, None, None]:
    """Wait for *need* in the present task, without an operation; perhaps for less than that.

    The descriptor stays registered as after `run`.

    Args:
        need: what an operation would yield.

    Raises:
        RuntimeError: see `run`.
        asyncio.CancelledError: the task was cancelled.

    """
    pause = _waiting(asyncio.get_running_loop(), need)
    try:
        yield pause
    finally:
        pause.rest()


@types.coroutine
def co_run(op: Co[T]) -> Generator[_Pause, None, T]:
    """Run *op* as `run` does, without a frame more; for callers that have made it themselves.

    No new object is made for each wait.
    """
    pause: _Pause | None = None
    try:
        need = next(op)
        loop = asyncio.get_running_loop()
        try:
            pause = _waiting(loop, need)
            while True:
                yield pause
                need = next(op)
                pause.wait(need)
        except (AttributeError, TypeError):
            check_need(need)
            raise
    except StopIteration as end:
        result: T = end.value
        return result
    finally:
        if pause is not None:
            pause.rest()
        op.close()


def _waiting(loop: asyncio.AbstractEventLoop, need: PollNeeded) -> _Pause:
    """Return an awaitable that waits for *need*: the previous one if it fits, or a new one.

    Raises what `Waiter.wait` does.
    """
    pause: Waiter | None = None
    if (source := need.source) is not None:
        watch: Watch | None = source.registrations.get(loop)
        if watch is not None:
            pause = watch.waiting_again(need)
            if isinstance(pause, _Pause):
                return pause
            pause = watch.rested(need[1])
    if not isinstance(pause, _Pause):
        pause = _Pause(loop)
    try:
        pause.wait(need)
    except BaseException:
        pause.rest()
        raise
    return pause


class _Pause(Waiter):
    """A reusable awaitable for a task whose operation waits.

    For the task it is a future (see `asyncio.isfuture`), with one difference: it wakes the
    task at once and not in the next iteration of the loop. Only the loop resumes it, so no
    other task is running.
    """

    __slots__ = ("_asyncio_future_blocking", "_context", "_error", "_wake")

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(loop)
        self._asyncio_future_blocking = True  # "awaited"; the task resets it
        self._wake: Callable[[_Pause], object] | None = None  # None: the task is awake
        self._context: Context | None = None
        self._error: asyncio.CancelledError | None = None

    def resume(self) -> None:
        wake = self._wake
        if wake is not None:
            self._wake = None
            self._context.run(wake, self)  # type: ignore[union-attr]  # set together

    def is_waiting(self) -> bool:
        return self._wake is not None and not self.resting

    def rest(self) -> None:
        """Stop waiting, but keep the place for the next wait if the descriptor stays registered."""
        self._wake = self._context = self._error = None
        watch = self._watch
        if watch is None or watch.source is None:
            self.leave()
        else:
            self.resting = True

    # ---- the interface for the task

    def get_loop(self) -> asyncio.AbstractEventLoop:
        return self.loop

    def add_done_callback(self, wake: Callable[[_Pause], object], *, context: Context) -> None:
        self._wake = wake
        self._context = context
        self._asyncio_future_blocking = True  # for the next time

    def cancel(self, msg: Any | None = None) -> bool:
        wake = self._wake
        if wake is None:
            return False  # the task will notice itself
        context = self._context
        self._wake = None
        self._error = asyncio.CancelledError() if msg is None else asyncio.CancelledError(msg)
        self.loop.call_soon(wake, self, context=context)
        return True

    def result(self) -> None:
        error = self._error
        if error is not None:
            self._error = None
            raise error
