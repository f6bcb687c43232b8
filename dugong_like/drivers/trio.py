"""Operations on trio.

A wait for a flag (`Wake`) needs no descriptor here: trio resumes a task from any thread.
"""

from __future__ import annotations

import math
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar, cast

import trio

from ..polling.contract import POLLIN, POLLOUT, Co, PollNeeded, check_need, check_operation
from ..polling.wake import FlagSource

T = TypeVar("T")


async def run(op: Co[T]) -> T:
    """Run *op* and return its result; cancelling closes it. Always a checkpoint.

    Raises:
        trio.BusyResourceError: another task waits for the same direction of the same
            descriptor.
        TypeError: *op* is not an operation.
        Exception: any exception of *op*.

    """
    check_operation(op)
    waited = False
    try:
        await trio.lowlevel.checkpoint_if_cancelled()
        while True:
            need = next(op)
            try:
                if need.deadline is None and need[1] == POLLIN:  # fast path for the usual case
                    await _wait_readable(need)
                else:
                    await _wait(need)
            except Exception:
                check_need(need)
                raise
            waited = True
    except StopIteration as end:
        result = cast("T", end.value)
    finally:
        op.close()
    if not waited:  # let other tasks run; cancelling would lose the result
        await trio.lowlevel.cancel_shielded_checkpoint()
    return result


async def _wait_readable(need: PollNeeded) -> None:
    source = need.source
    if type(source) is not FlagSource:
        await trio.lowlevel.wait_readable(need[0])
        return
    registrations = source.registrations
    if registrations and any(type(other) is _Parked for other in list(registrations.values())):
        raise trio.BusyResourceError("another task waits for the same flag")
    parked = _Parked()
    registrations[parked] = parked
    try:
        if source.closed:
            return  # the operation raises the error
        if source.is_set():  # perhaps since before it was registered
            parked.waits = False
            source.settle()  # for those who look at the descriptor
            await trio.lowlevel.checkpoint()
        else:
            await trio.lowlevel.wait_task_rescheduled(parked.give_up)
    finally:
        parked.waits = False
        registrations.pop(parked, None)


class _Parked:
    """A task that waits for a flag; a `NearRegistration`.

    Attributes:
        waits: True until it is resumed.

    """

    __slots__ = ("_task", "_token", "waits")

    def __init__(self) -> None:
        self._task = trio.lowlevel.current_task()
        self._token = trio.lowlevel.current_trio_token()
        self.waits = True

    def give_up(self, _: object) -> trio.lowlevel.Abort:
        """Stop waiting, as the task is cancelled."""
        self.waits = False
        return trio.lowlevel.Abort.SUCCEEDED

    def resume(self, then: Callable[[], object]) -> bool:  # noqa: ARG002 - see `_wait_readable`
        """See `NearRegistration.resume`; it may be in any thread here."""
        if not self.waits:
            return False
        if self._is_near():
            self.reschedule()
            return True
        try:
            self._token.run_sync_soon(self.reschedule)
        except trio.RunFinishedError:
            return False
        return True

    def _is_near(self) -> bool:
        """Return True if another task of the same trio makes a step at the moment.

        It does not in a handler of signals that has interrupted the wait for descriptors.
        """
        try:
            task = trio.lowlevel.current_task()
        except RuntimeError:
            return False
        return task is not self._task and trio.lowlevel.current_trio_token() is self._token

    def reschedule(self) -> None:
        """Resume the task, if it still waits; in its thread."""
        if self.waits:
            self.waits = False
            trio.lowlevel.reschedule(self._task)

    def end(self, then: Callable[[], object]) -> None:
        """See `Registration.end`."""
        self.resume(then)
        then()


async def _wait(need: PollNeeded) -> None:
    left = math.inf if need.deadline is None else need.deadline - time.monotonic()
    with trio.move_on_after(max(left, 0)):
        if need.mask == POLLIN:
            await _wait_readable(need)
        elif need.mask == POLLOUT:
            await trio.lowlevel.wait_writable(need.fd)
        else:
            await _wait_either(need.fd)


async def _wait_either(fd: int) -> None:
    problems: list[Exception] = []

    async def wait(ready: Callable[[int], Awaitable[None]]) -> None:
        try:
            await ready(fd)
        except Exception as exc:  # noqa: BLE001 - raised below: a nursery would raise a group
            problems.append(exc)
        nursery.cancel_scope.cancel()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(wait, trio.lowlevel.wait_readable)
        nursery.start_soon(wait, trio.lowlevel.wait_writable)
    if problems:
        raise problems[0]
