"""Operations on trio.

A wait for a flag (`Wake`) needs no descriptor here: trio resumes a task from any thread. Such waits
are the most frequent ones with HTTP/2, and many have a deadline that is hardly ever reached. A
cancel scope for each of them would cost half of a request, so they share one: see `_Flags`.

Not here: flags themselves (polling/wake.py).
"""

from __future__ import annotations

import heapq
import itertools
import math
import time
from collections.abc import Awaitable, Callable
from typing import Final, TypeVar, cast

import trio

from ..polling.contract import POLLIN, POLLOUT, Co, PollNeeded, check_need, check_operation
from ..polling.wake import FlagSource, Wake

T = TypeVar("T")
# A flag that is set and has resumed nobody stays so: to set it once more does not resume a task
# here, which does not wait for the descriptor. So Ctrl-C comes behind that.
trio.lowlevel.enable_ki_protection(Wake.set)
SPARE_ALARMS: Final = 64  # obsolete ones, before they are removed


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
                source, deadline = need.source, need.deadline
                if type(source) is FlagSource:
                    await _flags().wait(source, deadline)
                elif deadline is None and need[1] == POLLIN:  # the usual case
                    await trio.lowlevel.wait_readable(need[0])
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


class _Flag:
    """A flag for which a task may wait, in one run of trio; a `NearRegistration`.

    It stays registered until the flag is closed, or is used in a later run.

    Attributes:
        task: the one that waits, until it has left `_Flags.wait`; None if there is none.
        waits: True until it is resumed.
        deadline: seconds of `time.monotonic` at which it is resumed in any case, or None.
        alarm: seconds of `time.monotonic`: its first alarm.

    """

    __slots__ = ("_flags", "alarm", "deadline", "task", "waits")

    def __init__(self, flags: _Flags) -> None:
        self._flags = flags
        self.task: trio.lowlevel.Task | None = None
        self.waits = False
        self.deadline: float | None = None
        self.alarm = math.inf

    def give_up(self, _: object) -> trio.lowlevel.Abort:
        """Stop waiting, as the task is cancelled."""
        self.waits = False
        return trio.lowlevel.Abort.SUCCEEDED

    def resume(self, then: Callable[[], object]) -> bool:  # noqa: ARG002 - see `_Flags.wait`
        """See `NearRegistration.resume`; it may be in any thread here."""
        if not self.waits:
            return False
        if self._is_near():
            self.reschedule()
            return True
        try:
            self._flags.token.run_sync_soon(self.reschedule)
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
        return task is not self.task and _known.get(None) is self._flags

    def reschedule(self) -> None:
        """Resume the task, if it still waits; in its thread."""
        if self.waits:
            self.waits = False
            assert self.task is not None
            trio.lowlevel.reschedule(self.task)

    def end(self, then: Callable[[], object]) -> None:
        """See `Registration.end`."""
        self.alarm = math.inf
        self.resume(then)
        then()


class _Flags:
    """The flags for which tasks wait in one run of trio, and the alarms for their deadlines.

    As long as there are alarms a task of the system resumes tasks at their deadlines. An alarm
    stays set when its wait is over: the next wait for the same flag usually has a later deadline,
    and needs no other one before.

    Attributes:
        token: of the run.

    """

    __slots__ = ("_alarms", "_is_ending", "_is_kept", "_most_alarms", "_order", "_scope", "token")

    def __init__(self) -> None:
        self.token = trio.lowlevel.current_trio_token()
        self._is_kept = False  # by the task of the system
        self._is_ending = False  # so that there will be no such task any more
        self._alarms: list[tuple[float, int, _Flag]] = []
        self._most_alarms = SPARE_ALARMS  # before the obsolete ones are removed
        self._order = itertools.count()  # flags cannot be compared
        self._scope = trio.CancelScope()  # which the next alarm cancels

    async def wait(self, source: FlagSource, deadline: float | None) -> None:
        """Wait until the flag is set, or the deadline has passed: a checkpoint.

        If it is closed already that returns at once, and is none; if it is closed meanwhile, then.

        Raises:
            trio.BusyResourceError: another task waits for it.

        """
        flag: _Flag | None = source.registrations.get(self)
        if flag is None:
            flag = self._register(source)
        others = source.registrations if len(source.registrations) > 1 else {}
        if flag.task is not None or any(map(_has_task, [*others.values()])):
            raise trio.BusyResourceError("another task waits for the same flag")
        flag.task = trio.lowlevel.current_task()
        flag.waits = True
        try:
            if source.closed:
                source.registrations.pop(self, None)  # it may have been registered since
                return  # the operation raises the error
            if source.is_set():  # perhaps since before it was registered
                flag.waits = False
                source.settle()  # for those who look at the descriptor
                await trio.lowlevel.checkpoint()
                return
            flag.deadline = deadline
            if (
                deadline is not None
                and deadline < flag.alarm
                and not self._set_alarm(flag, deadline)
            ):
                flag.waits = False
                await _wait(source.need(POLLIN, deadline))
                return
            await trio.lowlevel.wait_task_rescheduled(flag.give_up)
        finally:
            flag.waits = False
            flag.task = None

    def _register(self, source: FlagSource) -> _Flag:
        for other in list(source.registrations):
            if type(other) is _Flags and other.is_over():
                source.registrations.pop(other, None)
        flag = source.registrations[self] = _Flag(self)
        return flag

    def is_over(self) -> bool:
        """Return True if the run has ended; any thread may ask."""
        try:
            self.token.run_sync_soon(_do_nothing)
        except trio.RunFinishedError:
            return True
        return False

    @trio.lowlevel.enable_ki_protection  # half of it would leave alarms that never ring, for all
    def _set_alarm(self, flag: _Flag, deadline: float) -> bool:
        """Have the task that waits for *flag* resumed at *deadline*; False if the run ends."""
        if not self._is_kept:
            if self._is_ending:
                return False
            try:
                trio.lowlevel.spawn_system_task(self.keep)
            except RuntimeError:  # too late for that
                return False
            self._is_kept = True
        flag.alarm = deadline
        alarms = self._alarms
        if len(alarms) > self._most_alarms:
            alarms[:] = [each for each in alarms if each[0] == each[2].alarm]
            heapq.heapify(alarms)
            self._most_alarms = 2 * len(alarms) + SPARE_ALARMS
        heapq.heappush(alarms, (deadline, next(self._order), flag))
        if alarms[0][2] is flag:
            self._aim()
        return True

    def _aim(self) -> None:
        """Have the first alarm ring in time."""
        if self._alarms:
            left = max(self._alarms[0][0] - time.monotonic(), 0)
            self._scope.deadline = trio.current_time() + left

    async def keep(self) -> None:
        """Ring as long as there are alarms, or until the run ends."""
        try:
            while self._alarms:
                with self._scope:
                    await trio.sleep_forever()
                self._scope = trio.CancelScope()
                self._ring()
                self._aim()
        except trio.Cancelled:
            self._is_ending = True
            raise
        finally:
            self._is_kept = False
            self._stop()

    def _ring(self) -> None:
        """Resume the tasks whose deadline has passed."""
        alarms, now = self._alarms, time.monotonic()
        while alarms and alarms[0][0] <= now:
            at, _, flag = heapq.heappop(alarms)
            if at != flag.alarm:
                continue
            flag.alarm = math.inf
            if flag.waits and flag.deadline is not None:
                if flag.deadline > now:
                    self._set_alarm(flag, flag.deadline)
                else:
                    flag.reschedule()

    def _stop(self) -> None:
        """Remove all alarms; tasks that still wait, shielded, have to wait in another way."""
        for _, _, flag in self._alarms:
            flag.alarm = math.inf
            flag.reschedule()
        self._alarms.clear()


_known: Final = trio.lowlevel.RunVar[_Flags | None]("_known")


def _flags() -> _Flags:
    """Return the flags of this run of trio."""
    flags = _known.get(None)
    if flags is None:
        flags = _Flags()
        _known.set(flags)
    return flags


def _do_nothing() -> None:
    pass


def _has_task(registration: object) -> bool:
    return type(registration) is _Flag and registration.task is not None


async def _wait(need: PollNeeded) -> None:
    if need.source is not None:
        need.source.settle()
    left = math.inf if need.deadline is None else need.deadline - time.monotonic()
    with trio.move_on_after(max(left, 0)):
        if need.mask == POLLIN:
            await trio.lowlevel.wait_readable(need.fd)
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
