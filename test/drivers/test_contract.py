"""The contract between operations and drivers, the same tests for every driver.

A new driver costs one class here and one line in `DRIVERS`.
"""

import asyncio
import os
import socket
import threading
import time

import pytest

from dugong_like import POLLIN, POLLOUT, PollNeeded, run
from dugong_like.drivers import aio, threads
from dugong_like.drivers.loop import Loop

CANCELLED = "cancelled"


class Blocking:
    """run(); several operations take a thread each."""

    def run(self, op):
        return run(op)

    def run_all(self, ops):
        outcomes = [None] * len(ops)

        def work(number):
            outcomes[number] = outcome(lambda: run(ops[number]))

        workers = [threading.Thread(target=work, args=(n,)) for n in range(len(ops))]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()
        return outcomes

    def cancel(self, op, steps, resume):
        next(op)
        for _ in range(steps):
            resume()
            next(op)
        op.close()


class Threads(Blocking):
    def run(self, op):
        return threads.submit(op).result()

    def run_all(self, ops):
        futures = [threads.submit(op) for op in ops]
        return [outcome(future.result) for future in futures]

    def cancel(self, op, steps, resume):
        future = threads.submit(op)
        for _ in range(steps):
            time.sleep(0.02)
            resume()
        time.sleep(0.05)
        assert future.cancel()
        with pytest.raises(threads.CancelledError):
            future.result()
        assert future.cancelled()


class Asyncio:
    new_loop = staticmethod(asyncio.new_event_loop)

    def start(self, op):
        return asyncio.ensure_future(aio.run(op))

    def in_loop(self, co):
        with asyncio.Runner(loop_factory=self.new_loop) as runner:
            return runner.run(co)

    def run(self, op):
        async def main():
            return await self.start(op)

        return self.in_loop(main())

    def run_all(self, ops):
        async def main():
            return await asyncio.gather(*map(self.start, ops), return_exceptions=True)

        return self.in_loop(main())

    def cancel(self, op, steps, resume):
        async def main():
            future = self.start(op)
            await asyncio.sleep(0.02)
            for _ in range(steps):
                resume()
                await asyncio.sleep(0.02)
            assert future.cancel()
            with pytest.raises(asyncio.CancelledError):
                await future
            assert not aio._waiting[asyncio.get_running_loop()]

        self.in_loop(main())


class AsyncioFuture(Asyncio):
    def start(self, op):
        return aio.AioFuture(op)


class Uvloop(Asyncio):
    def __init__(self):
        self.new_loop = pytest.importorskip("uvloop").new_event_loop


class Trio:
    def __init__(self):
        self.trio = pytest.importorskip("trio")
        from dugong_like.drivers import trio as driver

        self.driver = driver

    def run(self, op):
        return self.trio.run(self.driver.run, op)

    def run_all(self, ops):
        outcomes = [None] * len(ops)

        async def one(number):
            try:
                outcomes[number] = await self.driver.run(ops[number])
            except Exception as exc:
                outcomes[number] = exc

        async def main():
            async with self.trio.open_nursery() as nursery:
                for number in range(len(ops)):
                    nursery.start_soon(one, number)

        self.trio.run(main)
        return outcomes

    def cancel(self, op, steps, resume):
        async def main():
            async with self.trio.open_nursery() as nursery:
                nursery.start_soon(self.driver.run, op)
                await self.trio.sleep(0.02)
                for _ in range(steps):
                    resume()
                    await self.trio.sleep(0.02)
                nursery.cancel_scope.cancel()

        self.trio.run(main)


class Gevent:
    def __init__(self):
        self.gevent = pytest.importorskip("gevent")
        from dugong_like.drivers import gevent as driver

        self.driver = driver

    def run(self, op):
        return self.driver.run(op)

    def run_all(self, ops):
        jobs = [self.gevent.spawn(outcome, lambda op=op: self.driver.run(op)) for op in ops]
        self.gevent.joinall(jobs)
        return [job.value for job in jobs]

    def cancel(self, op, steps, resume):
        job = self.gevent.spawn(self.driver.run, op)
        self.gevent.sleep(0.02)
        for _ in range(steps):
            resume()
            self.gevent.sleep(0.02)
        job.kill()
        assert job.dead


class OwnLoop:
    def __init__(self, backend=None):
        self.backend = backend

    def run(self, op):
        with Loop(self.backend) as loop:
            return loop.run(op)

    def run_all(self, ops):
        with Loop(self.backend) as loop:
            tasks = [loop.spawn(op) for op in ops]
            loop.run_all()
            return [outcome(task.result) for task in tasks]

    def cancel(self, op, steps, resume):
        def pause(seconds):
            until = time.monotonic() + seconds
            reader, writer = os.pipe()
            try:
                while time.monotonic() < until:
                    yield PollNeeded(reader, POLLIN, until)
            finally:
                os.close(reader)
                os.close(writer)

        with Loop(self.backend) as loop:
            task = loop.spawn(op)
            loop.run(pause(0.02))
            for _ in range(steps):
                resume()
                loop.run(pause(0.02))
            assert task.cancel()
            assert not task.cancel()
            assert not loop._readers
            assert not loop._writers
            with pytest.raises(threads.CancelledError):
                task.result()


DRIVERS = {
    "blocking": Blocking,
    "threads": Threads,
    "asyncio": Asyncio,
    "AioFuture": AsyncioFuture,
    "uvloop": Uvloop,
    "trio": Trio,
    "gevent": Gevent,
    "Loop": OwnLoop,
    "Loop-poll": lambda: OwnLoop("poll"),
    "Loop-select": lambda: OwnLoop("select"),
}


def outcome(call):
    try:
        return call()
    except Exception as exc:
        return exc


@pytest.fixture(params=DRIVERS)
def driver(request):
    return DRIVERS[request.param]()


@pytest.fixture
def pair():
    left, right = socket.socketpair()
    with left, right:
        left.setblocking(False)
        right.setblocking(False)
        yield left, right


def receive(sock, count=1, log=None):
    """Receive *count* bytes, one after the other."""
    got = b""
    try:
        while len(got) < count:
            try:
                got += sock.recv(1)
            except BlockingIOError:
                yield PollNeeded(sock.fileno(), POLLIN)
        return got
    finally:
        if log is not None:
            log.append("closed")


def later(seconds, call, *args):
    timer = threading.Timer(seconds, call, args)
    timer.start()
    return timer


def test_result_of_an_operation_that_never_waits(driver):
    def op():
        return 42
        yield

    assert driver.run(op()) == 42


def test_result_of_an_operation_that_waits(driver, pair):
    timer = later(0.05, pair[1].send, b"abc")

    assert driver.run(receive(pair[0], 3)) == b"abc"
    timer.join()


def test_exception_before_and_after_waiting(driver, pair):
    def early():
        raise LookupError("early")
        yield

    def late():
        yield PollNeeded(pair[0].fileno(), POLLOUT)
        raise LookupError("late")

    with pytest.raises(LookupError, match="early"):
        driver.run(early())
    with pytest.raises(LookupError, match="late"):
        driver.run(late())


def test_needless_resumption_is_harmless(driver, pair):
    def op():
        for _ in range(5):  # writable at once: resumed although nothing can be read
            yield PollNeeded(pair[0].fileno(), POLLIN | POLLOUT)
        return (yield from receive(pair[0]))

    timer = later(0.05, pair[1].send, b"x")

    assert driver.run(op()) == b"x"
    timer.join()


def test_resumed_no_later_than_the_deadline(driver, pair):
    def op(deadline):
        resumed = 0
        while time.monotonic() < deadline:
            resumed += 1
            assert resumed < 100, "the driver spins"
            yield PollNeeded(pair[0].fileno(), POLLIN, deadline)
        return time.monotonic() - deadline

    assert 0 <= driver.run(op(time.monotonic() + 0.1)) < 1
    assert driver.run(op(time.monotonic() - 1)) >= 1


def test_a_deadline_that_was_not_needed_leaves_nothing(driver, pair):
    def op():
        pair[1].send(b"x")
        yield PollNeeded(pair[0].fileno(), POLLIN, time.monotonic() + 60)
        return pair[0].recv(1)

    start = time.monotonic()

    assert driver.run(op()) == b"x"
    assert time.monotonic() - start < 30


@pytest.mark.parametrize("steps", [0, 1, 2])
def test_cancelling_closes_the_operation_wherever_it_waits(driver, pair, steps):
    log = []

    driver.cancel(receive(pair[0], 9, log), steps, lambda: pair[1].send(b"x"))

    assert log == ["closed"]
    pair[1].send(b"yyyyyyyyy")
    assert driver.run(receive(pair[0], steps)) in {b"", b"x" * steps, b"y" * steps}


def test_an_operation_is_closed_when_it_fails(driver, pair):
    log = []

    def op():
        yield PollNeeded(pair[0].fileno(), POLLOUT)
        try:
            yield "not a PollNeeded"
        finally:
            log.append("closed")

    with pytest.raises((TypeError, ValueError, AttributeError)):
        driver.run(op())
    assert log == ["closed"]


def test_many_operations_at_once(driver):
    pairs = [socket.socketpair() for _ in range(100)]
    for left, _ in pairs:
        left.setblocking(False)

    def send_all():
        for number, (_, right) in enumerate(pairs):
            right.send(bytes([number]))

    timer = later(0.05, send_all)
    results = driver.run_all([receive(left) for left, _ in pairs])
    timer.join()

    assert results == [bytes([number]) for number in range(100)]
    for left, right in pairs:
        left.close()
        right.close()


def test_one_failure_does_not_disturb_the_others(driver, pair):
    def fails():
        yield PollNeeded(pair[0].fileno(), POLLOUT)
        raise LookupError

    pair[1].send(b"x")
    first, second = driver.run_all([receive(pair[0]), fails()])

    assert first == b"x"
    assert isinstance(second, LookupError)


def test_number_of_a_closed_descriptor_is_used_again(driver):
    def op():
        results = []
        for number in range(3):
            left, right = socket.socketpair()
            with left, right:
                left.setblocking(False)
                numbers.add(left.fileno())
                timer = later(0.02, right.send, bytes([number]))
                results.append((yield from receive(left)))
                timer.join()
        return results

    numbers = set()

    assert driver.run(op()) == [b"\0", b"\1", b"\2"]
    assert len(numbers) < 3, "no number was used again: the test shows nothing"


def test_two_operations_wait_for_the_two_directions_of_one_descriptor(driver, pair):
    def fill(sock):
        sent = 0
        while sent < 2_000_000:
            try:
                sent += sock.send(b"x" * 65536)
            except BlockingIOError:
                yield PollNeeded(sock.fileno(), POLLOUT)
        return "filled"

    def drain():
        with pair[1].dup() as other:
            other.setblocking(True)
            left = 2_000_000
            while left > 0:
                left -= len(other.recv(65536))
            other.send(b"y")

    pair[1].setblocking(True)
    timer = later(0.05, drain)
    results = driver.run_all([receive(pair[0]), fill(pair[0])])
    timer.join()

    assert results == [b"y", "filled"]


def test_either_direction_resumes_who_waits_for_both(driver, pair):
    def op():
        while True:
            try:
                pair[0].send(b"x" * 65536)
            except BlockingIOError:
                break
        yield PollNeeded(pair[0].fileno(), POLLIN | POLLOUT)
        return pair[0].recv(1)

    timer = later(0.05, pair[1].send, b"z")

    assert driver.run(op()) == b"z"
    timer.join()
