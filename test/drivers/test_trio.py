"""What only the driver for trio has: waits for flags, and one cancel scope for all their deadlines.

What all drivers have to do is in test_contract.py.
"""

import gc
import signal
import time

import pytest
from kit.ctrl_c import ctrl_c_at_each_place
from kit.steps import Steps

from dugong_like.polling import wake as wake_
from dugong_like.polling.wake import Wake

trio = pytest.importorskip("trio")
pytest.importorskip("trio.testing")

from dugong_like.drivers import trio as driver  # noqa: E402 - it imports trio

FAR = 1000.0  # seconds from now


def co_flag(wake, deadline=None):
    """Wait for *wake*, and clear it; return False if the deadline has passed."""
    result = yield from wake.co_wait(deadline)
    wake.clear()
    return result


def soon(seconds=0.01):
    return time.monotonic() + seconds


async def set_by_a_task(wake, deadline, times):
    """Let a task wait for *wake* so many times, and set it each time; return its results."""

    async def wait():
        for _ in range(times):
            ended.append(await driver.run(co_flag(wake, deadline)))

    ended = []
    async with trio.open_nursery() as nursery:
        nursery.start_soon(wait)
        for _ in range(times):
            await trio.testing.wait_all_tasks_blocked()
            wake.set()
    wake.clear()  # if the deadline has passed before
    return ended


def alarms():
    """Return how many alarms are set in this run, obsolete ones included."""
    return len(driver._known.get()._alarms)


def test_a_deadline_ends_the_wait_for_a_flag_whatever_was_waited_for_before():
    async def main():
        with Wake() as wake, Wake() as other:
            await set_by_a_task(wake, soon(FAR), 1)
            assert alarms() == 1
            assert not await driver.run(co_flag(wake, soon()))  # earlier than the alarm
            assert not await driver.run(co_flag(other, soon()))  # that of another flag is set
            await set_by_a_task(wake, soon(0.02), 1)  # an alarm rings when nobody waits for it
            assert not await driver.run(co_flag(other, soon(0.04)))
            assert await set_by_a_task(wake, soon(FAR), 2) == [True, True]
            assert not await driver.run(co_flag(wake, time.monotonic() - 1))  # is over

    trio.run(main)


def test_each_of_many_tasks_is_resumed_at_its_deadline():
    ended = []

    async def wait(number, deadline):
        with Wake() as wake:
            assert not await driver.run(co_flag(wake, deadline))
        ended.append(number)

    async def main():
        began = time.monotonic()
        async with trio.open_nursery() as nursery:
            for number in (3, 1, 4, 0, 2):
                nursery.start_soon(wait, number, began + 0.02 * number)

    trio.run(main)
    assert sorted(ended) == [0, 1, 2, 3, 4]


def test_waits_with_deadlines_that_are_not_reached_set_few_alarms():
    async def main():
        with Wake() as wake:
            for number in range(5):
                await set_by_a_task(wake, soon(FAR + number), 1)
            assert alarms() == 1  # the first one is early enough for all
            for number in range(2 * driver.SPARE_ALARMS):
                await set_by_a_task(wake, soon(FAR - number - 1), 1)
            assert alarms() <= driver.SPARE_ALARMS + 1

    trio.run(main)


def test_flags_that_are_gone_leave_no_alarms():
    async def main():
        for _ in range(3 * driver.SPARE_ALARMS):
            with Wake() as wake:
                await set_by_a_task(wake, soon(FAR), 1)
        assert alarms() <= driver.SPARE_ALARMS + 1

    trio.run(main)


def test_a_wait_with_a_deadline_needs_no_cancel_scope_of_its_own():
    async def count(deadline):
        with Wake() as wake:
            await set_by_a_task(wake, deadline, 3)  # what is made once
            gc.disable()  # what it calls for the objects of other tests would be counted
            try:
                with Steps("") as steps:
                    await set_by_a_task(wake, deadline, 10)
            finally:
                gc.enable()
            return steps.codes

    async def main():
        without = await count(None)
        assert await count(soon(FAR)) < 1.12 * without

    trio.run(main)


def test_a_flag_of_former_runs_is_registered_for_the_present_one_only():
    with Wake() as wake:
        for _ in range(3):
            trio.run(set_by_a_task, wake, soon(FAR), 2)
            assert len(wake._source.registrations) == 1
    assert not wake._source.registrations


def test_there_is_a_task_for_alarms_as_long_as_there_are_some():
    def tasks():
        return trio.lowlevel.current_statistics().tasks_living

    async def main():
        with Wake() as wake, Wake() as other:
            begun = tasks()
            await set_by_a_task(wake, None, 2)
            assert tasks() == begun
            for _ in range(2):
                await set_by_a_task(other, soon(), 1)
                while tasks() > begun:  # until the alarm has rung
                    await trio.sleep(0.001)
            await set_by_a_task(wake, soon(FAR), 1)
            assert tasks() == begun + 1

    trio.run(main)


def test_a_task_that_is_cancelled_leaves_the_flag_to_the_next_one():
    async def main():
        with Wake() as wake:
            with trio.move_on_after(0.01) as scope:
                await driver.run(co_flag(wake, soon(FAR)))
            assert scope.cancelled_caught
            await set_by_a_task(wake, soon(FAR), 2)

    trio.run(main)


def test_two_tasks_may_not_wait_for_the_same_flag():
    async def main():
        with Wake() as wake:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(driver.run, co_flag(wake))
                await trio.testing.wait_all_tasks_blocked()
                with pytest.raises(trio.BusyResourceError):
                    await driver.run(co_flag(wake))
                wake.set()

    trio.run(main)


def test_a_shielded_task_waits_for_flags_with_deadlines_while_the_run_ends():
    """The task that keeps the alarms has ended before."""
    results = []

    async def late(wake):
        with trio.CancelScope(shield=True):
            results.append(await driver.run(co_flag(wake, soon(0.02))))
            results.append(await driver.run(co_flag(wake, soon())))
            await trio.to_thread.run_sync(wake.set)
            results.append(await driver.run(co_flag(wake, soon(FAR))))

    async def main(wake):
        trio.lowlevel.spawn_system_task(late, wake)
        await trio.testing.wait_all_tasks_blocked()

    with Wake() as wake:
        trio.run(main, wake)
    assert results == [False, False, True]


def test_a_flag_is_waited_for_while_the_run_ends_also_if_there_was_none_before():
    results = []

    async def late(wake):
        with trio.CancelScope(shield=True):
            await started.wait()
            results.append(await driver.run(co_flag(wake, soon())))
            await trio.to_thread.run_sync(wake.set)
            results.append(await driver.run(co_flag(wake)))

    async def main(wake):
        trio.lowlevel.spawn_system_task(late, wake)
        trio.lowlevel.spawn_system_task(after)
        await trio.testing.wait_all_tasks_blocked()

    async def after():
        try:
            await trio.sleep_forever()
        finally:
            started.set()  # the system tasks are cancelled

    started = trio.Event()
    with Wake() as wake:
        trio.run(main, wake)
    assert results == [False, True]


# Ctrl-C came between a call of a coroutine function and its ``await``.
not_awaited = pytest.mark.filterwarnings("ignore:coroutine .* was never awaited:RuntimeWarning")


def press_ctrl_c():
    """Press it for the handler of trio, which raises it later in code that it protects."""
    signal.raise_signal(signal.SIGINT)


def at_each_place(main, *modules):
    """Run *main*, pressing Ctrl-C at each place of *modules*; return at how many it was."""

    def call(_):
        trio.run(main)

    gc.disable()  # what a finalizer of a former round raises would be ignored, with a warning
    try:
        return sum(1 for _ in ctrl_c_at_each_place(list, call, *modules, press=press_ctrl_c))
    finally:
        gc.enable()


@not_awaited
def test_deadlines_come_after_ctrl_c_at_each_place():
    """The alarms belong to all tasks, and to those that go on behind KeyboardInterrupt."""

    async def main():
        interrupted = False
        with trio.fail_after(60):
            for _ in range(3):
                try:
                    with Wake() as wake:
                        assert not await driver.run(co_flag(wake, soon(0.001)))
                except KeyboardInterrupt:
                    interrupted = True
        if interrupted:
            raise KeyboardInterrupt

    assert at_each_place(main, driver) > 10


@not_awaited
def test_ctrl_c_at_each_place_while_a_flag_is_set_leaves_no_task_waiting():
    """If that is done once more, as all do who set the flag of another task."""

    async def main():
        async def wait():
            nonlocal interrupted
            try:
                ended.append(await driver.run(co_flag(wake)))
            except KeyboardInterrupt:
                interrupted = True
                ended.append("interrupted")

        async def blocked():
            nonlocal interrupted
            for _ in range(2):
                try:
                    await trio.testing.wait_all_tasks_blocked()
                except KeyboardInterrupt:
                    interrupted = True

        interrupted = False
        ended = []
        with Wake() as wake:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(wait)
                await blocked()
                try:
                    wake.set()
                except KeyboardInterrupt:
                    interrupted = True
                    wake.set()
                await blocked()
                assert ended
        if interrupted:
            raise KeyboardInterrupt

    assert at_each_place(main, driver, wake_) > 10
