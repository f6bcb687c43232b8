"""AioFuture beyond the contract: who owns a registration, and what is left behind."""

import asyncio
import gc
import socket

import pytest

from dugong_like import POLLIN, POLLOUT, AioFuture, PollNeeded
from dugong_like.drivers import aio
from dugong_like.drivers import aio_watches as watches


@pytest.fixture
def pair():
    left, right = socket.socketpair()
    with left, right:
        left.setblocking(False)
        yield left, right


def wait(sock, mask=POLLIN, log=None):
    try:
        while True:
            yield PollNeeded(sock.fileno(), mask)
    finally:
        if log is not None:
            log.append("closed")


def registrations():
    known = watches._watches.get(asyncio.get_running_loop(), {})
    return [watch.fd for watch in known.values() if watch.armed]


@pytest.mark.feature("B40")
def test_second_waiter_for_the_same_direction_is_refused_and_the_first_goes_on(pair):
    async def main():
        first = AioFuture(receive())
        await asyncio.sleep(0)
        with pytest.raises(RuntimeError, match="same direction"):
            await AioFuture(wait(pair[0]))
        pair[1].send(b"x")
        assert await first == b"x"
        assert not registrations()

    def receive():
        yield PollNeeded(pair[0].fileno(), POLLIN)
        return pair[0].recv(1)

    asyncio.run(main())


@pytest.mark.feature("B40")
def test_cancelling_leaves_the_descriptor_free(pair):
    async def main():
        for _ in range(3):
            future = AioFuture(wait(pair[0], POLLIN))
            await asyncio.sleep(0)
            assert registrations()
            assert future.cancel()
            assert not future.cancel()
            assert not registrations()
        never_started = AioFuture(wait(pair[0]))
        never_started.cancel()
        await asyncio.sleep(0.01)
        assert never_started.cancelled()

    asyncio.run(main())


def test_failure_while_cancelling_is_the_result(pair):
    def stubborn():
        try:
            yield from wait(pair[0])
        finally:
            raise LookupError("while closing")

    async def main():
        future = AioFuture(stubborn())
        await asyncio.sleep(0)
        assert not future.cancel()
        with pytest.raises(LookupError):
            await future

    asyncio.run(main())


def test_directions_change_and_descriptors_change(pair):
    def op():
        yield PollNeeded(pair[0].fileno(), POLLOUT)
        yield PollNeeded(pair[0].fileno(), POLLIN | POLLOUT)
        yield PollNeeded(pair[1].fileno(), POLLOUT)
        pair[1].send(b"x")
        yield PollNeeded(pair[0].fileno(), POLLIN)
        return pair[0].recv(1)

    async def main():
        assert await AioFuture(op()) == b"x"
        assert not registrations()

    asyncio.run(main())


def test_loop_can_be_given(pair):
    def op():
        yield PollNeeded(pair[0].fileno(), POLLOUT)
        return 5

    loop = asyncio.new_event_loop()
    future = AioFuture(op(), loop)
    assert loop.run_until_complete(future) == 5
    loop.close()


def test_without_a_loop_there_is_no_future(pair):
    asyncio.set_event_loop(None)
    operation = wait(pair[0])
    with pytest.raises(RuntimeError, match="no current event loop"):
        AioFuture(operation)
    gc.collect()  # of the future that was never made


def test_forgotten_future_closes_its_operation(pair):
    log = []

    async def main():
        future = AioFuture(wait(pair[0], POLLIN, log))
        await asyncio.sleep(0)
        asyncio.get_running_loop().remove_reader(pair[0])  # the loop forgets it as well
        del future
        gc.collect()

    asyncio.run(main())
    gc.collect()
    assert log == ["closed"]


def test_interrupt_leaves_the_loop_at_once(pair):
    def op():
        yield PollNeeded(pair[0].fileno(), POLLOUT)
        raise KeyboardInterrupt

    async def main():
        await AioFuture(op())

    with pytest.raises(KeyboardInterrupt):
        asyncio.run(main())


@pytest.mark.feature("B40")
def test_cancelled_task_loses_nothing_that_the_operation_had_got(pair):
    """Cancelled in each round of the loop: either the bytes are returned, or still to be read."""

    def receive():
        while True:
            try:
                return pair[0].recv(1)
            except BlockingIOError:
                yield PollNeeded(pair[0].fileno(), POLLIN)

    async def main():
        for rounds in range(8):
            task = asyncio.create_task(aio.run(receive()))
            pair[1].send(b"x")
            for _ in range(rounds):
                await asyncio.sleep(0)
            task.cancel()
            try:
                got = await task
            except asyncio.CancelledError:
                got = await aio.run(receive())
            assert got == b"x"

    asyncio.run(main())
