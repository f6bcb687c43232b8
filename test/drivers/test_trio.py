"""What only the driver for trio has: waits for flags, and one cancel scope for all deadlines.

What all drivers have to do is in test_contract.py.
"""

import gc
import signal
import socket
import time

import pytest
from kit.ctrl_c import ctrl_c_at_each_place
from kit.steps import Steps

from dugong_like import POLLIN, POLLOUT, PollNeeded
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


# ---- waits for sockets


def co_ready(sock, mask, deadline, result="over"):
    """Wait once, and return *result*."""
    yield PollNeeded(sock.fileno(), mask, deadline)
    return result


@pytest.fixture
def pair():
    left, right = socket.socketpair()
    with left, right:
        left.setblocking(False)
        right.setblocking(False)
        yield left, right


def fill(sock):
    """Send until *sock* is not writable any more."""
    try:
        while True:
            sock.send(bytes(100_000))
    except BlockingIOError:
        pass


@pytest.mark.parametrize("mask", [POLLIN, POLLOUT, POLLIN | POLLOUT])
def test_a_deadline_ends_the_wait_for_a_socket_whatever_was_waited_for_before(pair, mask):
    left, right = pair
    fill(left)

    async def after(seconds):
        began = time.monotonic()
        await driver.run(co_ready(left, mask, began + seconds))
        assert time.monotonic() >= began + seconds

    async def main():
        for _ in range(2):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(driver.run, co_ready(left, mask, soon(FAR)))
                await trio.testing.wait_all_tasks_blocked()
                if mask & POLLIN:
                    right.send(b"x")
                else:
                    while True:
                        try:
                            right.recv(1_000_000)
                        except BlockingIOError:
                            break
            if mask & POLLIN:
                left.recv(1)
            else:
                fill(left)
        await after(0.01)  # earlier than the alarm
        await after(0.02)  # the alarm has rung
        await after(-1)

    trio.run(main)


def test_each_of_many_tasks_that_wait_for_sockets_is_resumed_at_its_deadline():
    ended = []

    async def wait(number, deadline):
        left, right = socket.socketpair()
        with left, right:
            await driver.run(co_ready(left, POLLIN, deadline))
            assert time.monotonic() >= deadline
        ended.append(number)

    async def main():
        began = time.monotonic()
        async with trio.open_nursery() as nursery:
            for number in (3, 1, 4, 0, 2):
                nursery.start_soon(wait, number, began + 0.02 * number)

    trio.run(main)
    assert sorted(ended) == [0, 1, 2, 3, 4]


@pytest.mark.parametrize("mask", [POLLIN, POLLOUT])
def test_a_wait_for_a_socket_with_a_deadline_needs_no_cancel_scope_of_its_own(pair, mask):
    pair[1].send(b"x")

    async def wait(deadline, times):
        for _ in range(times):
            await driver.run(co_ready(pair[0], mask, deadline))

    async def count(deadline):
        await wait(deadline, 3)  # what is made once
        gc.disable()  # what it calls for the objects of other tests would be counted
        try:
            with Steps("") as steps:
                await wait(deadline, 10)
        finally:
            gc.enable()
        return steps.codes / 10

    async def main():
        without = await count(None)
        assert await count(soon(FAR)) < without + 250  # 170; a scope costs 900

    trio.run(main)


def test_one_task_reads_while_another_writes_until_their_deadlines(pair):
    """The end of one wait is none of the other."""
    fill(pair[0])
    ended = []

    async def wait(mask, deadline):
        await driver.run(co_ready(pair[0], mask, deadline))
        ended.append(mask)

    async def main():
        async with trio.open_nursery() as nursery:
            nursery.start_soon(wait, POLLIN, soon(FAR))
            await wait(POLLOUT, soon())
            await trio.testing.wait_all_tasks_blocked()
            assert ended == [POLLOUT]
            pair[1].send(b"x")

    trio.run(main)
    assert ended == [POLLOUT, POLLIN]


def test_a_task_that_is_cancelled_leaves_the_socket_to_the_next_one(pair):
    async def main():
        for deadline in (soon(FAR), soon(0.05)):  # later than it is cancelled, in any case
            with trio.CancelScope() as scope:
                scope.cancel()
                await driver.run(co_ready(pair[0], POLLIN, deadline))
            async with trio.open_nursery() as nursery:
                nursery.start_soon(driver.run, co_ready(pair[0], POLLIN, deadline))
                await trio.testing.wait_all_tasks_blocked()
                nursery.cancel_scope.cancel()
        await driver.run(co_ready(pair[0], POLLIN, soon()))

    trio.run(main)


def test_two_tasks_may_not_wait_for_the_same_direction(pair):
    async def main():
        for first, second in ((soon(FAR), soon(FAR)), (soon(FAR), None), (None, soon(FAR))):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(driver.run, co_ready(pair[0], POLLIN, first))
                await trio.testing.wait_all_tasks_blocked()
                with pytest.raises(trio.BusyResourceError):
                    await driver.run(co_ready(pair[0], POLLIN, second))
                nursery.cancel_scope.cancel()

    trio.run(main)


def test_an_alarm_may_come_when_trio_has_resumed_the_task_already(pair):
    """Tasks run in any order, so a part of the rounds has the alarm before the task."""
    left, right = pair
    before = []

    async def wait():
        await driver.run(co_ready(left, POLLIN, soon(FAR)))
        left.recv(1)

    async def main():
        for _ in range(40):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(wait)
                await trio.testing.wait_all_tasks_blocked()
                waiter = driver._known.get()._descriptors[left.fileno(), POLLIN]
                right.send(b"x")
                await trio.lowlevel.checkpoint()  # trio looks for what is ready
                before.append(waiter.waits)
                waiter.reschedule()

    trio.run(main)
    assert any(before)


def test_a_descriptor_that_is_closed_ends_a_wait_with_a_deadline(pair):
    async def main():
        async with trio.open_nursery() as nursery:
            nursery.start_soon(expect_closed)
            await trio.testing.wait_all_tasks_blocked()
            trio.lowlevel.notify_closing(pair[0])

    async def expect_closed():
        with pytest.raises(trio.ClosedResourceError):
            await driver.run(co_ready(pair[0], POLLIN, soon(FAR)))

    trio.run(main)


def test_without_what_the_shared_scope_needs_of_trio_deadlines_hold_as_well(pair, monkeypatch):
    monkeypatch.setattr(driver, "IS_NOTED", False)
    fill(pair[0])

    async def main():
        for mask in (POLLIN, POLLOUT):
            deadline = soon()
            await driver.run(co_ready(pair[0], mask, deadline))
            assert time.monotonic() >= deadline

    trio.run(main)


def test_a_shielded_task_waits_for_sockets_with_deadlines_while_the_run_ends(pair):
    results = []

    async def late():
        with trio.CancelScope(shield=True):
            for _ in range(2):
                deadline = soon(0.02)
                while time.monotonic() < deadline:
                    await driver.run(co_ready(pair[0], POLLIN, deadline))
                results.append("over")

    async def main():
        trio.lowlevel.spawn_system_task(late)
        await trio.testing.wait_all_tasks_blocked()

    trio.run(main)
    assert results == ["over"] * 2


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
def test_deadlines_of_sockets_come_after_ctrl_c_at_each_place(pair):
    async def main():
        interrupted = False
        with trio.fail_after(60):
            for _ in range(2):
                try:
                    await driver.run(co_ready(pair[0], POLLIN, soon(0.001)))
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
