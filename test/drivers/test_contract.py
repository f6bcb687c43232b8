"""The contract between operations and drivers, the same tests for every driver.

A new driver costs one class here and one line in `DRIVERS`.
"""

import asyncio
import math
import os
import select
import signal
import socket
import threading
import time
from concurrent.futures import CancelledError, ThreadPoolExecutor
from contextlib import ExitStack, closing

import pytest
from kit.cases import each_case
from kit.support import little_work, wait_until

from dugong_like import POLLIN, POLLOUT, PollNeeded, StateError, Wake, both, run, stall
from dugong_like.drivers import aio, threads
from dugong_like.drivers import aio_watches as watches
from dugong_like.drivers.loop import Loop
from dugong_like.polling import wake as wake_
from dugong_like.polling.combinators import Bundle
from dugong_like.polling.wake import co_checkpoint

CANCELLED = "cancelled"


def registered(loop=None):
    """Return what `aio` has registered in *loop*, the running one if None: numbers and bits."""
    known = watches._watches.get(loop or asyncio.get_running_loop(), {})
    bits = (POLLIN, POLLOUT)
    return [(watch.fd, bit) for watch in known.values() for bit in bits if watch.armed & bit]


def waiting(loop):
    """Return who waits in *loop*, one of our own."""
    return [task for watch in loop._watches.values() for task in watch.waiting()]


def counted(op, waits):
    """Run *op*, and add each of its waits to *waits* when it begins."""
    with closing(op):
        for need in op:
            waits.append(need)
            yield need


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

    def cancel(self, op, steps, resume, after):
        next(op)
        for _ in range(steps):
            resume()
            next(op)
        op.close()
        return self.run(after)


class Threads(Blocking):
    def run(self, op):
        return threads.submit(op).result()

    def run_all(self, ops):
        futures = [threads.submit(op) for op in ops]
        return [outcome(future.result) for future in futures]

    def cancel(self, op, steps, resume, after):
        waits = []
        future = threads.submit(counted(op, waits))
        for step in range(steps):
            wait_until(lambda step=step: len(waits) > step)
            resume()
        wait_until(lambda: len(waits) > steps)
        assert future.cancel()
        with pytest.raises(CancelledError):
            future.result()
        assert future.cancelled()
        return self.run(after)


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

    def cancel(self, op, steps, resume, after):
        waits = []

        async def begun(count):
            while len(waits) < count:  # noqa: ASYNC110 - an event would be another wait
                await asyncio.sleep(0.001)

        async def main():
            future = self.start(counted(op, waits))
            await begun(1)
            for step in range(steps):
                resume()
                await begun(step + 2)
            assert future.cancel()
            with pytest.raises(asyncio.CancelledError):
                await future
            assert not registered()
            return await self.start(after)

        return self.in_loop(main())


class AsyncioFuture(Asyncio):
    def start(self, op):
        return aio.AioFuture(op)


class Uvloop(AsyncioFuture):
    def __init__(self):
        self.new_loop = pytest.importorskip("uvloop").new_event_loop


class UvloopRun(Asyncio):
    __init__ = Uvloop.__init__


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

    def cancel(self, op, steps, resume, after):
        waits = []

        async def begun(count):
            while len(waits) < count:
                await self.trio.sleep(0.001)

        async def main():
            async with self.trio.open_nursery() as nursery:
                nursery.start_soon(self.driver.run, counted(op, waits))
                await begun(1)
                for step in range(steps):
                    resume()
                    await begun(step + 2)
                nursery.cancel_scope.cancel()
            return await self.driver.run(after)

        return self.trio.run(main)


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

    def cancel(self, op, steps, resume, after):
        waits = []

        def begun(count):
            while len(waits) < count:
                self.gevent.sleep(0.001)

        job = self.gevent.spawn(self.driver.run, counted(op, waits))
        begun(1)
        for step in range(steps):
            resume()
            begun(step + 2)
        job.kill()
        assert job.dead
        return self.run(after)


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

    def cancel(self, op, steps, resume, after):
        def pause(seconds):
            until = time.monotonic() + seconds
            reader, writer = os.pipe()
            try:
                yield PollNeeded(reader, POLLIN, until)  # once at least: others have their turn
                while time.monotonic() < until:
                    yield PollNeeded(reader, POLLIN, until)
            finally:
                os.close(reader)
                os.close(writer)

        with Loop(self.backend) as loop:
            waits = []
            task = loop.spawn(counted(op, waits))
            for step in range(steps + 1):
                if step:
                    resume()
                while len(waits) < step + 1:
                    loop.run(pause(0.001))
            assert task.cancel()
            assert not task.cancel()
            assert not waiting(loop)
            with pytest.raises(CancelledError):
                task.result()
            return loop.run(after)


DRIVERS = {
    "blocking": Blocking,
    "threads": Threads,
    "asyncio": Asyncio,
    "AioFuture": AsyncioFuture,
    "uvloop": UvloopRun,
    "AioFuture-uvloop": Uvloop,
    "trio": Trio,
    "gevent": Gevent,
    "Loop": OwnLoop,
    "Loop-epoll": lambda: OwnLoop("epoll"),
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


@pytest.mark.feature("B56", "C35")
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


@pytest.mark.feature("B56")
def test_needless_resumption_is_harmless(driver, pair):
    def op():
        for _ in range(5):  # writable at once: resumed although nothing can be read
            yield PollNeeded(pair[0].fileno(), POLLIN | POLLOUT)
        return (yield from receive(pair[0]))

    timer = later(0.05, pair[1].send, b"x")

    assert driver.run(op()) == b"x"
    timer.join()


@pytest.mark.feature("B56")
def test_resumed_no_later_than_the_deadline(driver, pair):
    def op(deadline):
        resumed = 0
        while time.monotonic() < deadline:
            resumed += 1
            assert resumed < 100, "the driver spins"
            yield PollNeeded(pair[0].fileno(), POLLIN, deadline)
        return time.monotonic() - deadline

    assert 0 <= driver.run(op(time.monotonic() + 0.1)) < 20
    assert driver.run(op(time.monotonic() - 1)) >= 1


def test_a_deadline_that_was_not_needed_leaves_nothing(driver, pair):
    def op():
        pair[1].send(b"x")
        yield PollNeeded(pair[0].fileno(), POLLIN, time.monotonic() + 60)
        return pair[0].recv(1)

    start = time.monotonic()

    assert driver.run(op()) == b"x"
    assert time.monotonic() - start < 30


@pytest.mark.parametrize("deadline", [math.inf, 1e9], ids=["inf", "in decades"])
def test_a_deadline_may_be_as_far_as_it_likes(driver, pair, deadline):
    def op():
        yield PollNeeded(pair[0].fileno(), POLLIN, deadline)
        return pair[0].recv(1)

    timer = later(0.05, pair[1].send, b"x")

    assert driver.run(op()) == b"x"
    timer.join()


def test_a_later_and_an_earlier_deadline_take_the_place_of_another(driver, pair):
    def op():
        start = time.monotonic()
        yield PollNeeded(pair[0].fileno(), POLLOUT, start + 0.02)
        late = []
        for seconds in (0.1, 60, 0.15):
            deadline = start + seconds
            if seconds == 60:
                yield PollNeeded(pair[0].fileno(), POLLOUT, deadline)
                continue
            while time.monotonic() < deadline:
                yield PollNeeded(pair[0].fileno(), POLLIN, deadline)
            late.append(time.monotonic() - deadline)
        return max(late)

    assert driver.run(op()) < 20


@pytest.mark.feature("B56", "C37")
@pytest.mark.parametrize("steps", [0, 1, 2])
def test_cancelling_closes_the_operation_wherever_it_waits(driver, pair, steps):
    log = []

    def after():
        assert log == ["closed"]
        timer = later(0.02, pair[1].send, b"yyy")
        result = yield from receive(pair[0], 3)
        timer.join()
        return result

    # the descriptor can be waited for again, in the same loop
    assert driver.cancel(receive(pair[0], 9, log), steps, send_x(pair[1]), after()) == b"yyy"


def send_x(sock):
    return lambda: sock.send(b"x")


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
    pairs = [socket.socketpair() for _ in range(200)]
    for left, _ in pairs:
        left.setblocking(False)

    def send_all():
        for number, (_, right) in enumerate(pairs):
            right.send(bytes([number]))

    timer = later(0.05, send_all)
    results = driver.run_all([receive(left) for left, _ in pairs])
    timer.join()

    assert results == [bytes([number]) for number in range(200)]
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


@pytest.mark.parametrize("again", [False, True], ids=["ends", "opens another"])
def test_operation_closes_what_it_waited_for_in_both_directions(driver, again):
    def op():
        left, right = socket.socketpair()
        with left, right:
            number = left.fileno()
            yield PollNeeded(number, POLLIN | POLLOUT)
        if again:
            left, right = socket.socketpair()
            with left, right:
                assert left.fileno() == number, "the test shows nothing"
                left.setblocking(False)
                timer = later(0.02, right.send, b"x")
                yield from receive(left)
                timer.join()
        return "done"

    assert driver.run(op()) == "done"


def test_number_of_a_closed_wake_is_used_again(driver):
    """All eventfds have one inode: nothing tells the second one from the first."""

    def op():
        for _ in range(3):
            with Wake() as wake:
                numbers.add(wake.fd)
                timer = later(0.02, wake.set)
                yield from wake.co_wait(time.monotonic() + 30)
                assert wake.is_set()
                timer.join()
        return "woken"

    numbers = set()
    start = time.monotonic()

    assert driver.run(op()) == "woken"
    assert time.monotonic() - start < 25  # and the waits are limited to 30
    assert len(numbers) < 3, "no number was used again: the test shows nothing"


@pytest.mark.skipif(not hasattr(select, "epoll"), reason="needs epoll (Linux)")
def test_an_operation_is_not_resumed_for_what_it_has_closed_itself(driver):
    """One with a new descriptor for each wait would be resumed for ever."""

    def waits():
        while not last.is_set():
            bundle = Bundle()
            try:
                yield bundle.need([first.need(), last.need()])
            finally:
                bundle.close()
            steps.append("step")
            first.clear()

    def sets():
        for flag in (first, last):
            for _ in range(20):
                yield from co_checkpoint()
            flag.set()

    steps = []
    with Wake() as first, Wake() as last:
        driver.run_all([waits(), sets()])

    assert len(steps) <= 2


@pytest.mark.parametrize("depth", [1, 4, 10])
def test_operations_within_operations_are_waited_for_however_deep(driver, depth):
    """Linux allows only a few epoll objects within each other."""
    with Wake() as flag, ExitStack() as stack:
        pairs = []
        op = flag.co_wait()
        for _ in range(depth):
            pairs.append([stack.enter_context(end) for end in socket.socketpair()])
            pairs[-1][0].setblocking(False)
            op = both(op, receive(pairs[-1][0]))

        def sends():
            """Let each operation go on, the innermost one last."""
            for number, (_, peer) in enumerate(reversed(pairs)):
                for _ in range(5):
                    yield from co_checkpoint()
                peer.send(b"%d" % number)
            flag.set()

        [result, _] = driver.run_all([op, sends()])
    for number in range(depth):
        result, received = result
        assert received == b"%d" % number
    assert result is True


NEAR = {"asyncio", "AioFuture", "uvloop", "AioFuture-uvloop", "trio", "Loop", "Loop-epoll"}


@pytest.fixture
def signalled(monkeypatch):
    """The flags whose descriptors were made readable, by system calls."""

    def signal_(end):
        made.append(end.fileno())
        signal(end)

    made = []
    signal = wake_._EventFD.signal
    monkeypatch.setattr(wake_._EventFD, "signal", signal_)
    return made


def ring(flags, rounds):
    """Return operations, each of which waits for its flag and sets that of the next one."""

    def op(number):
        for turn in range(rounds):
            if number or turn:
                yield from flags[number].co_wait()
                flags[number].clear()
            else:  # all others wait
                yield from co_checkpoint()
            flags[(number + 1) % len(flags)].set()
        return number

    return [op(number) for number in range(len(flags))]


@pytest.mark.skipif(not hasattr(os, "eventfd"), reason="needs eventfd (Linux)")
def test_flags_between_operations_of_a_loop_need_no_descriptors(driver, request, signalled):
    """Where an operation sets the flag of another one of its loop; other drivers do need them."""
    flags = [Wake() for _ in range(5)]
    try:
        assert driver.run_all(ring(flags, 20)) == [*range(5)]
    finally:
        for flag in flags:
            flag.close()
    if request.node.callspec.params["driver"] in NEAR:
        assert len([fd for fd in signalled if fd in {flag.fd for flag in flags}]) <= 5


@pytest.mark.parametrize("near", [False, True], ids=["from a thread", "by an operation"])
def test_a_flag_is_seen_by_those_who_look_at_its_descriptor(driver, near):
    """As a loop of somebody else does, and operations that wrap others."""

    def looks():
        need = flag.need()
        poller = select.poll()
        poller.register(need.fd, POLLIN)
        for _ in range(3):
            while not poller.poll(0):
                yield need
            flag.clear()
            seen.set()
        return "seen"

    def sets():
        for _ in range(3):
            flag.set()
            yield from seen.co_wait()
            seen.clear()

    with Wake() as flag, Wake() as seen:
        if near:
            assert driver.run_all([looks(), sets()]) == ["seen", None]
        else:
            setter = threading.Thread(target=run, args=[sets()])
            setter.start()
            assert driver.run(looks()) == "seen"
            setter.join()


def test_a_flag_that_is_set_while_nobody_waits_has_a_readable_descriptor(driver):
    """Also if the operation that waited for it last makes a step at the moment."""

    def op():
        yield from flag.co_wait()
        flag.clear()
        flag.set()
        assert select.select([flag.fd], [], [], 0)[0]
        return "readable"

    def sets():
        yield from co_checkpoint()
        flag.set()

    with Wake() as flag:
        assert driver.run_all([op(), sets()]) == ["readable", None]


def test_limit_of_a_wait_for_a_flag_that_another_operation_sets(driver):
    def op():
        for _ in range(3):
            yield from flag.co_wait()
            flag.clear()
            back.set()
        return "in time"

    def sets():
        for _ in range(3):
            flag.set()
            yield from back.co_wait()
            back.clear()

    with Wake() as flag, Wake() as back:
        assert driver.run_all([stall(600, op()), sets()]) == ["in time", None]


@pytest.mark.parametrize("kind", ["signal", "thread"])
def test_a_flag_that_is_set_while_the_loop_waits(driver, kind):
    """A handler of signals runs in the thread of the loop, which waits for descriptors.

    It runs when that wait ends, or is interrupted: so a signal that comes just before it may be
    noticed late, and is sent again.
    """
    over = threading.Event()

    def interrupt():
        if kind == "thread":
            flag.set()
            return
        while not over.wait(0.02):
            os.kill(os.getpid(), signal.SIGUSR1)

    def op():
        deadline = time.monotonic() + 600
        flag.need()  # made before the timer
        timer = later(0.02, interrupt)
        try:
            assert (yield from flag.co_wait(deadline))
        finally:
            over.set()
            timer.join()
        return time.monotonic() < deadline

    with Wake() as flag:
        before = signal.signal(signal.SIGUSR1, lambda *_: flag.set())
        try:
            assert driver.run(op())
        finally:
            signal.signal(signal.SIGUSR1, before)


@pytest.mark.parametrize("mask", [POLLIN, POLLOUT, POLLIN | POLLOUT])
def test_number_of_no_descriptor_fails_or_resumes(driver, pair, mask):
    def op():
        yield PollNeeded(nobodys, mask)
        return "resumed"

    nobodys = 900
    with pytest.raises(OSError):
        os.fstat(nobodys)

    first, second = driver.run_all([op(), receive(pair[0]), sender(pair[1])])[:2]
    assert first == "resumed" or isinstance(first, OSError), repr(first)
    assert second == b"x"


def sender(sock):
    yield PollNeeded(sock.fileno(), POLLOUT)
    sock.send(b"x")


@pytest.mark.feature("B56")
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


# ---- What is promised by some drivers only


def forever(sock, mask=POLLIN, log=None):
    try:
        while True:
            yield PollNeeded(sock.fileno(), mask)
    finally:
        if log is not None:
            log.append("closed")


@pytest.fixture(params=["asyncio", "uvloop"])
def in_asyncio(request):
    def in_asyncio(co):
        with asyncio.Runner(loop_factory=factory) as runner:
            return runner.run(co)

    if request.param == "uvloop":
        factory = pytest.importorskip("uvloop").new_event_loop
    else:
        factory = asyncio.new_event_loop
    return in_asyncio


def test_aio_starts_with_the_next_round(in_asyncio):
    def op():
        log.append("started")
        return 5
        yield

    async def main():
        future = aio.AioFuture(op())
        log.append("created")
        assert await future == 5

    log = []
    in_asyncio(main())
    assert log == ["created", "started"]


def test_aio_keeps_the_registration_between_equal_waits(in_asyncio, pair):
    def op():
        for _ in range(3):
            yield PollNeeded(pair[0].fileno(), POLLIN)
            seen.append(registered())
            got.append(pair[0].recv(1))
        yield PollNeeded(pair[1].fileno(), POLLOUT)
        # bytes that are here now belong to a wait that is over: nobody is called for them
        pair[1].send(b"z")
        with Wake() as wake:
            with little_work(0.1):
                yield from wake.co_wait(time.monotonic() + 0.2)

    async def main():
        pair[1].send(b"abc")
        await aio.AioFuture(op())
        assert not registered()

    got, seen = [], []
    in_asyncio(main())
    assert got == [b"a", b"b", b"c"]
    assert seen == [[(pair[0].fileno(), POLLIN)]] * 3


def test_aio_gives_a_number_to_its_new_file(in_asyncio):
    """Somebody closes what an operation waits for, and the number is used again."""

    async def main():
        old, old_peer = socket.socketpair()
        old.setblocking(False)
        number = old.fileno()
        orphan = aio.AioFuture(receive(old))
        await asyncio.sleep(0.01)
        old.close()
        new, new_peer = socket.socketpair()
        with old_peer, new, new_peer:
            assert number in {new.fileno(), new_peer.fileno()}, "the test shows nothing"
            if new_peer.fileno() == number:
                new, new_peer = new_peer, new
            new.setblocking(False)
            heir = aio.AioFuture(receive(new))
            await asyncio.sleep(0.01)
            with pytest.raises(OSError):
                await orphan
            assert not heir.done()
            new_peer.send(b"x")
            assert await heir == b"x"
        assert not registered()

    in_asyncio(main())


def test_aio_without_add_reader_says_so(pair):
    class Proactor(asyncio.SelectorEventLoop):
        """As asyncio.ProactorEventLoop (Windows): these methods are not there."""

        add_reader = asyncio.AbstractEventLoop.add_reader

    log = []
    with asyncio.Runner(loop_factory=Proactor) as runner:
        with pytest.raises(RuntimeError, match="Proactor has no add_reader"):
            runner.run(aio.run(forever(pair[0], POLLIN, log)))
    assert log == ["closed"]


def test_aio_refuses_the_second_and_tells_what_its_end_raises(in_asyncio, pair):
    def stubborn():
        try:
            yield PollNeeded(pair[0].fileno(), POLLIN | POLLOUT)
        finally:
            raise LookupError("while closing")

    async def main():
        first = aio.AioFuture(forever(pair[0]))
        await asyncio.sleep(0.01)
        with pytest.raises(LookupError):
            await aio.AioFuture(stubborn())
        assert registered() == [(pair[0].fileno(), POLLIN)]
        first.cancel()

    in_asyncio(main())


@pytest.mark.parametrize("then", ["waits", "returns"])
def test_aio_operation_that_cancels_itself(in_asyncio, pair, then):
    def op():
        try:
            assert future.cancel()
            if then == "waits":
                yield PollNeeded(pair[0].fileno(), POLLIN)
        finally:
            log.append("closed")

    async def main():
        nonlocal future
        future = aio.AioFuture(op())
        with pytest.raises(asyncio.CancelledError):
            await future
        await asyncio.sleep(0)
        assert not registered()

    future, log = None, []
    in_asyncio(main())
    assert log == ["closed"]


def test_aio_cancelled_before_its_first_step_and_after_its_end(in_asyncio, pair):
    async def main():
        future = aio.AioFuture(forever(pair[0]))
        assert future.cancel()
        assert not future.cancel()
        await asyncio.sleep(0)
        assert future.cancelled()

    in_asyncio(main())


def test_aio_failure_while_cancelling_is_the_result(in_asyncio, pair):
    def stubborn():
        try:
            yield from forever(pair[0])
        finally:
            raise LookupError("while closing")

    async def main():
        future = aio.AioFuture(stubborn())
        await asyncio.sleep(0.01)
        assert not future.cancel()
        with pytest.raises(LookupError):
            await future

    in_asyncio(main())


def test_aio_interrupt_leaves_the_loop_at_once(in_asyncio, pair):
    def op():
        yield PollNeeded(pair[0].fileno(), POLLOUT)
        raise KeyboardInterrupt

    async def main():
        await aio.run(op())

    with pytest.raises(KeyboardInterrupt):
        in_asyncio(main())


def test_aio_timer_of_a_wait_that_is_over_does_nothing(in_asyncio, pair):
    def op():
        yield PollNeeded(pair[0].fileno(), POLLOUT, time.monotonic() + 0.02)
        yield PollNeeded(pair[0].fileno(), POLLIN)
        return pair[0].recv(1)

    async def main():
        future = aio.AioFuture(op())
        await asyncio.sleep(0.06)
        assert not future.done()
        pair[1].send(b"x")
        assert await future == b"x"

    in_asyncio(main())


def test_aio_future_of_a_closed_loop_goes_quietly(pair):
    loop = asyncio.new_event_loop()
    log = []
    future = aio.AioFuture(forever(pair[0], POLLIN, log), loop)
    loop.run_until_complete(asyncio.sleep(0.01))
    loop.close()

    assert future.cancel()
    assert log == ["closed"]
    assert not registered(loop)


def test_trio_tells_the_second_waiter(pair):
    trio = pytest.importorskip("trio")
    pytest.importorskip("trio.testing")
    from dugong_like.drivers import trio as driver

    async def main():
        async with trio.open_nursery() as nursery:
            nursery.start_soon(driver.run, forever(pair[0]))
            await trio.testing.wait_all_tasks_blocked()
            for mask in (POLLIN, POLLIN | POLLOUT):
                log = []
                with pytest.raises(trio.BusyResourceError):
                    await driver.run(block(pair[0], mask, log))
                assert log == ["closed"]
            nursery.cancel_scope.cancel()

    def block(sock, mask, log):
        while True:
            try:
                sock.send(b"x" * 65536)
            except BlockingIOError:
                break
        return (yield from forever(sock, mask, log))

    trio.run(main)


def test_trio_always_reaches_a_checkpoint():
    trio = pytest.importorskip("trio")
    pytest.importorskip("trio.testing")
    from dugong_like.drivers import trio as driver

    def op():
        return 5
        yield

    async def main():
        with trio.testing.assert_checkpoints():
            assert await driver.run(op()) == 5

    trio.run(main)


def test_gevent_time_limit_closes_the_operation(pair):
    gevent = pytest.importorskip("gevent")
    from dugong_like.drivers import gevent as driver

    log = []
    with pytest.raises(gevent.Timeout):
        with gevent.Timeout(0.02):
            driver.run(forever(pair[0], POLLIN, log))
    assert log == ["closed"]


def test_gevent_needs_no_patching():
    monkey = pytest.importorskip("gevent.monkey")
    import dugong_like.drivers.gevent

    assert dugong_like.drivers.gevent
    assert not monkey.is_module_patched("socket")


@pytest.fixture(params=["epoll", "poll", "select"])
def loop(request):
    if not hasattr(select, request.param):
        pytest.skip(f"this system has no {request.param}")
    with Loop(request.param) as loop:
        yield loop


def test_loop_keeps_few_timers(loop, pair):
    def op(count, seconds):
        for _ in range(count):
            yield PollNeeded(pair[0].fileno(), POLLOUT, time.monotonic() + seconds)

    def idle():  # its timer comes first, so those behind it stay
        yield PollNeeded(pair[0].fileno(), POLLIN, time.monotonic() + 30)

    loop.spawn(idle())
    loop.run(op(1000, 60))
    assert len(loop._timers) < 10
    for _ in range(1000):
        loop.run(op(1, 60))
    assert len(loop._timers) < 100


def test_loop_timer_that_rings_early_is_set_again(loop, pair):
    def op():
        start = time.monotonic()
        yield PollNeeded(pair[0].fileno(), POLLOUT, start + 0.02)
        deadline = start + 0.06
        while time.monotonic() < deadline:
            rounds.append(1)
            yield PollNeeded(pair[0].fileno(), POLLIN, deadline)
        return "in time"

    rounds = []
    assert loop.run(op()) == "in time"
    assert len(rounds) <= 2


def test_loop_timers_of_waits_that_are_over_do_nothing(loop, pair):
    def op():
        nonlocal timer
        start = time.monotonic()
        timer = later(0.12, pair[1].send, b"x")
        fd = pair[0].fileno()
        yield PollNeeded(fd, POLLOUT, start + 0.08)
        while time.monotonic() < start + 0.02:
            yield PollNeeded(fd, POLLIN, start + 0.02)  # an earlier one
        yield PollNeeded(fd, POLLOUT, start + 0.05)
        yield PollNeeded(fd, POLLIN)
        return pair[0].recv(1)

    timer = None
    assert loop.run(op()) == b"x"
    timer.join()
    assert not loop._timers


def test_loop_task_has_no_result_before_its_end(loop, pair):
    task = loop.spawn(forever(pair[0]))
    for ask in (task.result, task.exception):
        with pytest.raises(StateError, match="not ended"):
            ask()
    assert task.cancel()
    loop.run(sender(pair[1]))  # it passes by what was cancelled before its first step
    assert isinstance(task.exception(), CancelledError)


def test_loop_cancelling_tells_what_closing_raises(loop, pair):
    def stubborn():
        try:
            yield from forever(pair[0])
        finally:
            raise LookupError("while closing")

    task = loop.spawn(stubborn())
    loop._turn()
    with pytest.raises(LookupError):
        task.cancel()
    assert isinstance(task.exception(), LookupError)


@pytest.mark.parametrize("missing", [[], ["epoll"], ["epoll", "poll"]], ids=str)
def test_loop_takes_the_best_backend_there_is(monkeypatch, pair, missing):
    for name in missing:
        monkeypatch.delattr(select, name, raising=False)
    with Loop() as loop:
        pair[1].send(b"x")
        assert loop.run(receive(pair[0])) == b"x"
        timer = later(0.02, pair[1].send, b"y")
        assert loop.run(receive(pair[0])) == b"y"
    timer.join()


def test_loop_second_waiter_for_one_direction_is_refused(loop, pair):
    first = loop.spawn(receive(pair[0]))
    second = loop.spawn(forever(pair[0], POLLIN | POLLOUT))
    loop._turn()
    with pytest.raises(StateError, match="same direction"):
        second.result()
    pair[1].send(b"x")
    loop.run_all()
    assert first.result() == b"x"


@pytest.mark.parametrize("then", ["waits", "returns"])
def test_loop_operation_that_cancels_itself(loop, pair, then):
    def op():
        try:
            assert task.cancel()
            if then == "waits":
                yield PollNeeded(pair[0].fileno(), POLLIN)
        finally:
            log.append("closed")

    log = []
    task = loop.spawn(op())
    loop.run_all()
    with pytest.raises(CancelledError):
        task.result()
    assert log == ["closed"]
    assert not waiting(loop)


def test_loop_goes_on_after_an_interrupt(loop, pair):
    def interrupted():
        yield PollNeeded(pair[0].fileno(), POLLOUT)
        raise KeyboardInterrupt

    task = loop.spawn(interrupted())
    other = loop.spawn(receive(pair[0]))
    with pytest.raises(KeyboardInterrupt):
        loop.run_all()
    pair[1].send(b"x")
    loop.run_all()
    assert isinstance(task.exception(), KeyboardInterrupt)
    assert other.result() == b"x"


def test_loop_tells_what_closing_a_refused_operation_raises(loop, pair):
    def stubborn():
        try:
            yield PollNeeded(pair[0].fileno(), POLLIN)
        finally:
            raise LookupError("while closing")

    first = loop.spawn(forever(pair[0]))
    second = loop.spawn(stubborn())
    with pytest.raises(LookupError):
        while not second.done():
            loop._turn()
        second.result()
    assert not first.done()


def test_loop_closes_all_even_if_one_fails_to(pair):
    def stubborn():
        try:
            yield PollNeeded(pair[1].fileno(), POLLIN)
        finally:
            raise LookupError("while closing")

    log = []
    loop = Loop()
    for op in (forever(pair[0], POLLIN, log), stubborn(), forever(pair[0], POLLOUT, log)):
        loop.spawn(op)
    loop._turn()
    with pytest.raises(LookupError):
        loop.close()
    assert log == ["closed", "closed"]
    assert not loop._tasks


def test_loop_lets_find_out_whose_descriptor_was_closed(pair):
    """poll and select notice; epoll does not, and whoever closes has to cancel."""
    for backend in ("poll", "select"):
        reader, writer = os.pipe()
        with Loop(backend) as loop:

            def waits(fd=reader):
                yield PollNeeded(fd, POLLIN)
                return os.read(fd, 1)

            task = loop.spawn(waits())
            other = loop.spawn(receive(pair[0]))
            loop._turn()
            os.close(reader)
            pair[1].send(b"x")
            loop.run_all()
            assert isinstance(task.exception(), OSError)
            assert other.result() == b"x"
        os.close(writer)


def test_loop_cancels_one_direction_of_what_was_closed(loop):
    left, right = socket.socketpair()
    with right:
        reader = loop.spawn(receive(left))
        left.setblocking(False)
        while True:
            try:
                left.send(b"x" * 65536)
            except BlockingIOError:
                break
        number = left.fileno()

        def write():
            yield PollNeeded(number, POLLOUT)
            return left.send(b"x")

        writer = loop.spawn(write())
        loop._turn()
        left.close()
        reader.cancel()
        loop.run_all()
    assert isinstance(writer.exception(), OSError)


def test_threads_executor_that_drops_the_operation_ends_it():
    before = len(os.listdir("/proc/self/fd"))
    go = threading.Event()
    executor = ThreadPoolExecutor(1)
    executor.submit(go.wait, 60)
    future = threads.submit(receive(None), executor)
    executor.shutdown(wait=False, cancel_futures=True)
    go.set()
    with pytest.raises(CancelledError):
        future.result(60)
    assert future.cancelled()
    executor.shutdown()
    assert len(os.listdir("/proc/self/fd")) <= before


def test_threads_executor_runs_what_is_not_cancelled_while_it_waits(pair):
    before = len(os.listdir("/proc/self/fd"))
    go = threading.Event()
    log = []
    with ThreadPoolExecutor(1) as executor:
        executor.submit(go.wait, 60)
        dropped = threads.submit(forever(pair[0], POLLIN, log), executor)
        runs = threads.submit(receive(pair[0]), executor)
        assert dropped.cancel()
        pair[1].send(b"x")
        go.set()
        assert runs.result(60) == b"x"
        assert not runs.cancel()
        assert not runs.cancelled()
    with pytest.raises(CancelledError):
        dropped.result(60)
    assert log == []
    assert len(os.listdir("/proc/self/fd")) <= before


def test_threads_executor_that_is_shut_down():
    before = len(os.listdir("/proc/self/fd"))
    executor = ThreadPoolExecutor(1)
    executor.shutdown()
    with pytest.raises(RuntimeError, match="shutdown"):
        threads.submit(receive(None), executor)
    assert len(os.listdir("/proc/self/fd")) <= before


def test_threads_what_was_cancelled_has_no_result(pair):
    """Also when the operation ends by itself in the moment of the cancelling."""

    def op():
        started.set()
        go.wait(60)
        return 5
        yield

    started, go = threading.Event(), threading.Event()
    future = threads.submit(op())
    assert started.wait(60)
    assert future.cancel()
    assert future.cancel()
    go.set()
    with pytest.raises(CancelledError):
        future.result(60)
    assert future.cancelled()


def test_threads_failure_is_not_hidden_by_cancelling(pair):
    def op():
        try:
            yield from forever(pair[0])
        finally:
            raise LookupError("while closing")

    future = threads.submit(op())
    wait_until(future.running)
    assert future.cancel()
    with pytest.raises(LookupError):
        future.result(60)
    assert not future.cancelled()


def test_threads_own_cancelled_error_is_an_exception():
    def op():
        raise CancelledError
        yield

    future = threads.submit(op())
    with pytest.raises(CancelledError):
        future.result(60)
    assert not future.cancelled()


def test_threads_leave_no_thread_and_no_descriptor(pair):
    descriptors = len(os.listdir("/proc/self/fd"))
    count = threading.active_count()
    futures = [threads.submit(sender(pair[1])) for _ in range(20)]
    for future in futures:
        future.result(60)
    deadline = time.monotonic() + 60
    while threading.active_count() > count and time.monotonic() < deadline:
        time.sleep(0.01)
    assert threading.active_count() <= count
    assert len(os.listdir("/proc/self/fd")) <= descriptors


# ---- what is no operation


async def coroutine():
    """Do nothing."""


NO_OPERATIONS = {
    "int": lambda: 5,
    "bytes": lambda: b"the result of conn.readall()",
    "NoneType": lambda: None,
    "list": list,
    "list_iterator": lambda: iter([]),
    "coroutine": coroutine,
}


@each_case("kind", NO_OPERATIONS)
def test_what_is_no_operation_is_refused_in_words_that_help(driver, kind):
    with pytest.raises(TypeError) as caught:
        driver.run(NO_OPERATIONS[kind]())

    assert str(caught.value) == (
        f"{kind} is no operation; an operation such as conn.co_readall() is needed: is co_ missing?"
    )


def test_a_method_that_was_not_called_is_refused_in_words_that_help(driver):
    with pytest.raises(TypeError, match=r"^method is no operation; .*: is \(\) missing\?$"):
        driver.run(Wake().co_wait)


def test_what_behaves_like_a_generator_is_an_operation(driver):
    class Operation:
        def __next__(self):
            raise StopIteration(7)

        def throw(self, exc):
            raise exc

        def close(self):
            pass

    assert driver.run(Operation()) == 7


NO_NEEDS = [5, None, "x", (0, POLLIN), [0, POLLIN], object(), PollNeeded]


@each_case("needs", NO_NEEDS)
@each_case("waits", [0, 1, 2])
def test_a_generator_of_something_else_is_refused_in_words_that_help(driver, pair, needs, waits):
    closed = []

    def op():
        try:
            for _ in range(waits):
                yield PollNeeded(pair[0].fileno(), POLLOUT)
            yield needs
        finally:
            closed.append(True)

    with pytest.raises(TypeError) as caught:
        driver.run(op())

    kind = type(needs).__name__
    assert str(caught.value).startswith(f"the operation yielded {kind}, which is no PollNeeded: ")
    assert closed == [True]


@each_case("kind", [AttributeError, TypeError, ValueError])
@each_case("waits", [0, 1, 2])
def test_like_errors_of_an_operation_itself_are_its_own(driver, pair, kind, waits):
    def op():
        for _ in range(waits):
            yield PollNeeded(pair[0].fileno(), POLLOUT)
        raise kind("its own")

    with pytest.raises(kind, match="^its own$"):
        driver.run(op())
