"""Operations on trio.

A wait for a flag (`Wake`) needs no descriptor here: trio resumes a task from any thread. Such waits
are the most frequent ones with HTTP/2.

Most waits, for flags and for sockets, have a deadline that is hardly ever reached. A cancel scope
for each of them would cost half of a request, so they share one: see `_Waits`.

Not here: flags themselves (polling/wake.py).
"""

from __future__ import annotations

import heapq
import itertools
import math
import time
import types
from collections.abc import Awaitable, Callable, Coroutine, Generator
from typing import Any, Final, TypeVar, cast

import trio

from ..polling.contract import POLLIN, POLLOUT, Co, PollNeeded, check_need, check_operation
from ..polling.wake import FlagSource, Wake

T = TypeVar("T")
# A flag that is set and has resumed nobody stays so: to set it once more does not resume a task
# here, which does not wait for the descriptor. So Ctrl-C comes behind that.
trio.lowlevel.enable_ki_protection(Wake.set)
SPARE_ALARMS: Final = 64  # obsolete ones, before they are removed

GiveUp = Callable[[Callable[[], Any]], trio.lowlevel.Abort]


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
                    await _waits().wait(source, deadline)
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


def _do_nothing(*_: object) -> None:
    pass


def _never(_: object) -> trio.lowlevel.Abort:
    return trio.lowlevel.Abort.FAILED


class _Waiter:
    """Something for which one task at a time may wait, in one run of trio.

    Attributes:
        task: the one that waits, until it has left `_Waits`; None if there is none.
        waits: True until it is resumed.
        deadline: seconds of `time.monotonic` at which it is resumed in any case, or None.
        alarm: seconds of `time.monotonic`: its first alarm.

    """

    __slots__ = ("alarm", "deadline", "task", "waits")

    def __init__(self) -> None:
        self.task: trio.lowlevel.Task | None = None
        self.waits = False
        self.deadline: float | None = None
        self.alarm = math.inf

    def reschedule(self) -> None:
        """Resume the task, if it still waits; in its thread."""
        raise NotImplementedError


class _Flag(_Waiter):
    """A flag for which a task may wait; a `NearRegistration`.

    It stays registered until the flag is closed, or is used in a later run.
    """

    __slots__ = ("_owner",)

    def __init__(self, owner: _Waits) -> None:
        super().__init__()
        self._owner = owner

    def give_up(self, _: object) -> trio.lowlevel.Abort:
        """Stop waiting, as the task is cancelled."""
        self.waits = False
        return trio.lowlevel.Abort.SUCCEEDED

    def resume(self, then: Callable[[], object]) -> bool:  # noqa: ARG002 - see `_Waits.wait`
        """See `NearRegistration.resume`; it may be in any thread here."""
        if not self.waits:
            return False
        if self._is_near():
            self.reschedule()
            return True
        try:
            self._owner.token.run_sync_soon(self.reschedule)
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
        return task is not self.task and _known.get(None) is self._owner

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


class _Descriptor(_Waiter):
    """A direction of a descriptor for which a task may wait until a deadline.

    The number alone is stored, so it serves all files that have it one after the other.

    Attributes:
        give_up: removes the task from those that trio resumes when the descriptor is ready.

    """

    __slots__ = ("give_up",)

    def __init__(self) -> None:
        super().__init__()
        self.give_up: GiveUp = _never

    def reschedule(self) -> None:
        """See `_Waiter`; the result is that of a wait that is over."""
        task = self.task
        if task is None or task.custom_sleep_data is not self:
            return  # trio has resumed it: it resets this attribute then
        if self.give_up(_do_nothing) is trio.lowlevel.Abort.SUCCEEDED:
            trio.lowlevel.reschedule(task)


@trio.lowlevel.enable_ki_protection  # as all waits of trio: a half of one would block the next ones
@types.coroutine
def _noted(waiter: _Descriptor, wait: Coroutine[Any, Any, None]) -> Generator[Any, Any, None]:
    """Await *wait*, a wait of trio for a descriptor, and note how it is given up."""
    try:
        trap = wait.send(None)
        waiter.give_up = trap.abort_func
        wait.send((yield trap))
    except StopIteration:
        pass
    finally:
        wait.close()


def _is_noted() -> bool:
    """Return True if the waits of this version of trio can be given up as `_noted` does it."""
    wait = trio.lowlevel.wait_task_rescheduled(_never)  # noqa: ASYNC105 - not to wait
    try:
        return getattr(wait.send(None), "abort_func", None) is _never
    finally:
        wait.close()


IS_NOTED: Final = _is_noted()


class _Waits:
    """The waits of the tasks in one run of trio, and the alarms for their deadlines.

    As long as there are alarms a task of the system resumes tasks at their deadlines. An alarm
    stays set when its wait is over: the next wait for the same thing usually has a later deadline,
    and needs no other one before.

    Attributes:
        token: of the run.

    """

    __slots__ = (
        "_alarms",
        "_descriptors",
        "_is_ending",
        "_is_kept",
        "_most_alarms",
        "_order",
        "_scope",
        "token",
    )

    def __init__(self) -> None:
        self.token = trio.lowlevel.current_trio_token()
        self._is_kept = False  # by the task of the system
        self._is_ending = False  # so that there will be no such task any more
        self._alarms: list[tuple[float, int, _Waiter]] = []
        self._most_alarms = SPARE_ALARMS  # before the obsolete ones are removed
        self._order = itertools.count()  # waiters cannot be compared
        self._descriptors: dict[tuple[int, int], _Descriptor] = {}  # by number and mask
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

    async def wait_descriptor(self, need: PollNeeded, deadline: float) -> bool:
        """Wait until a descriptor is readable or writable, or the deadline has passed.

        Returns:
            False if it has to be waited for in another way.

        Raises:
            trio.BusyResourceError: another task waits for the same direction of it.

        """
        fd, mask = need
        waiter = self._descriptors.get(need)
        if waiter is None:
            waiter = self._descriptors[fd, mask] = _Descriptor()
        if waiter.task is not None:
            raise trio.BusyResourceError("another task waits for the same descriptor")
        waiter.deadline = deadline
        if deadline < waiter.alarm and not self._set_alarm(waiter, deadline):
            return False
        waiter.task = task = trio.lowlevel.current_task()
        waiter.waits = True
        task.custom_sleep_data = waiter
        try:
            wait = trio.lowlevel.wait_readable if mask == POLLIN else trio.lowlevel.wait_writable
            await _noted(waiter, wait(fd))
        finally:
            waiter.waits = False
            waiter.task = task.custom_sleep_data = None
        return True

    def _register(self, source: FlagSource) -> _Flag:
        for other in list(source.registrations):
            if type(other) is _Waits and other.is_over():
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
    def _set_alarm(self, waiter: _Waiter, deadline: float) -> bool:
        """Have the task of *waiter* resumed at *deadline*; False if the run ends."""
        if not self._is_kept:
            if self._is_ending:
                return False
            try:
                trio.lowlevel.spawn_system_task(self.keep)
            except RuntimeError:  # too late for that
                return False
            self._is_kept = True
        waiter.alarm = deadline
        alarms = self._alarms
        if len(alarms) > self._most_alarms:
            alarms[:] = [each for each in alarms if each[0] == each[2].alarm]
            heapq.heapify(alarms)
            self._most_alarms = 2 * len(alarms) + SPARE_ALARMS
        heapq.heappush(alarms, (deadline, next(self._order), waiter))
        if alarms[0][2] is waiter:
            self._aim()
        return True

    def _aim(self) -> None:
        """Have the first alarm ring in time."""
        if self._alarms:
            self._scope.deadline = trio.current_time() + _left(self._alarms[0][0])

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
            at, _, waiter = heapq.heappop(alarms)
            if at != waiter.alarm:
                continue
            waiter.alarm = math.inf
            if waiter.waits and waiter.deadline is not None:
                if waiter.deadline > now:
                    self._set_alarm(waiter, waiter.deadline)
                else:
                    waiter.reschedule()

    def _stop(self) -> None:
        """Remove all alarms; tasks that still wait, shielded, have to wait in another way."""
        for _, _, waiter in self._alarms:
            waiter.alarm = math.inf
            waiter.reschedule()
        self._alarms.clear()


_known: Final = trio.lowlevel.RunVar[_Waits | None]("_known")


def _waits() -> _Waits:
    """Return what tasks wait for in this run of trio."""
    waits = _known.get(None)
    if waits is None:
        waits = _Waits()
        _known.set(waits)
    return waits


def _has_task(registration: object) -> bool:
    return type(registration) is _Flag and registration.task is not None


async def _wait(need: PollNeeded) -> None:
    """Wait for a descriptor, in any other way than the usual one."""
    if need.source is not None:
        need.source.settle()
    mask, deadline = need.mask, need.deadline
    if mask not in (POLLIN, POLLOUT):
        await _wait_either(need.fd, deadline)
    elif deadline is None:
        await trio.lowlevel.wait_writable(need.fd)
    elif not (IS_NOTED and await _waits().wait_descriptor(need, deadline)):
        with trio.move_on_after(_left(deadline)):
            if mask == POLLIN:
                await trio.lowlevel.wait_readable(need.fd)
            else:
                await trio.lowlevel.wait_writable(need.fd)


def _left(deadline: float) -> float:
    return max(deadline - time.monotonic(), 0)


async def _wait_either(fd: int, deadline: float | None) -> None:
    problems: list[Exception] = []

    async def wait(ready: Callable[[int], Awaitable[None]]) -> None:
        try:
            await ready(fd)
        except Exception as exc:  # noqa: BLE001 - raised below: a nursery would raise a group
            problems.append(exc)
        nursery.cancel_scope.cancel()

    async with trio.open_nursery() as nursery:
        if deadline is not None:
            nursery.cancel_scope.deadline = trio.current_time() + _left(deadline)
        nursery.start_soon(wait, trio.lowlevel.wait_readable)
        nursery.start_soon(wait, trio.lowlevel.wait_writable)
    if problems:
        raise problems[0]
