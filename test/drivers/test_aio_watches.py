"""Registrations that outlive a wait: when they go, and that no number is ever mixed up."""

import asyncio
import contextvars
import fcntl
import gc
import os
import select
import signal
import socket
import subprocess
import sys
import threading
import time
import weakref
from contextlib import contextmanager, suppress

import pytest
from kit.support import ScriptedServer, little_work, open_descriptors, read_head, wait_until

from dugong_like import POLLIN, POLLOUT, AioFuture, HTTPConnection, PollNeeded, Wake, within
from dugong_like.drivers import aio
from dugong_like.drivers import aio_watches as watches
from dugong_like.polling.contract import Source
from dugong_like.polling.wake import co_checkpoint

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


@pytest.fixture(params=["asyncio", "uvloop"])
def new_loop(request):
    if request.param == "uvloop":
        return pytest.importorskip("uvloop").new_event_loop
    return asyncio.new_event_loop


@pytest.fixture
def in_loop(new_loop):
    def in_loop(co):
        with asyncio.Runner(loop_factory=new_loop) as runner:
            return runner.run(co)

    return in_loop


class Stream:
    """One end of a pair of sockets, closed as streams close theirs."""

    def __init__(self):
        self.sock, self.peer = socket.socketpair()
        self.sock.setblocking(False)
        self.fd = self.sock.fileno()
        self.source = Source(self.fd)

    def move_to(self, number):
        """Have that number from now on."""
        self.sock = moved(self.sock, number)
        self.fd = number
        self.source = Source(number)

    def co_receive(self, deadline=None):
        while True:
            try:
                return self.sock.recv(1)
            except BlockingIOError:
                yield self.source.need(POLLIN, deadline)

    def close(self):
        self.source.close(self.sock.close)
        self.peer.close()


@pytest.fixture
def stream():
    stream = Stream()
    yield stream
    stream.close()


class NumberInUse(Exception):
    pass


def moved(sock, number):
    """Return what *sock* was, with that number.

    The system would give the lowest free one, and which that is does not depend on the test
    alone: what other tests have left is closed whenever garbage is collected.
    """
    with sock:
        got = socket.socket(fileno=fcntl.fcntl(sock, fcntl.F_DUPFD_CLOEXEC, number))
    if got.fileno() != number:
        got.close()
        raise NumberInUse(number)
    return got


def registered(loop=None):
    known = watches._watches.get(loop or asyncio.get_running_loop(), {})
    bits = (POLLIN, POLLOUT)
    return [(watch.fd, bit) for watch in known.values() for bit in bits if watch.armed & bit]


@contextmanager
def counting(loop, *names):
    """Count the calls of methods of *loop*, of asyncio's own one."""
    calls = []

    def counted(name, method):
        def call(*args, **options):
            calls.append(name)
            return method(*args, **options)

        return call

    for name in names:
        setattr(loop, name, counted(name, getattr(loop, name)))
    try:
        yield calls
    finally:
        for name in names:
            delattr(loop, name)


def serve(sock):
    while read_head(sock):
        sock.sendall(OK)


def co_get(conn):
    yield from conn.co_send_request("GET", "/")
    assert (yield from conn.co_read_response()).status == 200
    return (yield from conn.co_readall())


# ---- how long it lasts


@pytest.mark.parametrize("start", [aio.run, AioFuture], ids=["run", "AioFuture"])
@pytest.mark.parametrize("deadline", [None, 60], ids=["", "deadline"])
def test_one_registration_and_one_timer_serve_many_operations(stream, start, deadline):
    async def main():
        loop = asyncio.get_running_loop()
        with counting(loop, "add_reader", "remove_reader", "call_later") as calls:
            for number in range(10):
                loop.call_soon(loop.call_soon, stream.peer.send, bytes([number]))
                until = deadline and time.monotonic() + deadline
                assert await start(stream.co_receive(until)) == bytes([number])
            assert calls == ["add_reader"] + ["call_later"] * (deadline is not None)
            stream.close()
            assert calls.count("remove_reader") == 1
        assert not registered()

    asyncio.run(main())


def test_closed_connections_leave_nothing_in_the_loop():
    async def main():
        selector = asyncio.get_running_loop()._selector
        before = len(selector.get_map())
        for use in (
            lambda conn: aio.run(co_get(conn)),
            lambda conn: AioFuture(co_get(conn)),
            lambda conn: aio.run(within(time.monotonic() + 30, co_get(conn))),
        ):
            conns = [HTTPConnection("127.0.0.1", server.port, timeout=30) for _ in range(20)]
            for _ in range(2):
                assert await asyncio.gather(*map(use, conns)) == [b"ok"] * 20
            assert len(selector.get_map()) == before + 20
            for conn in conns:
                conn.close()
            assert len(selector.get_map()) == before
        for _ in range(3):  # nobody closes it: it goes with the last reference
            assert await aio.run(co_get(HTTPConnection("127.0.0.1", server.port))) == b"ok"
        assert len(selector.get_map()) == before

    with ScriptedServer(serve) as server:
        asyncio.run(main())


def test_what_happens_while_nobody_waits_ends_the_registration(in_loop, stream):
    async def main():
        stream.peer.send(b"a")
        stream.sock.recv(1)
        task = asyncio.create_task(aio.run(stream.co_receive()))
        await asyncio.sleep(0.01)
        stream.peer.send(b"bc")
        assert await task == b"b"
        assert registered() == [(stream.fd, POLLIN)]
        with little_work(0.1):
            await asyncio.sleep(0.2)
        assert not registered()
        assert await aio.run(stream.co_receive()) == b"c"
        asyncio.get_running_loop().call_later(0.01, stream.peer.send, b"d")
        assert await aio.run(stream.co_receive()) == b"d"

    in_loop(main())


def test_writer_does_not_spin_while_nobody_writes(in_loop, stream):
    def op():
        yield stream.source.need(POLLOUT)
        yield stream.source.need(POLLIN | POLLOUT)
        yield from stream.co_receive()

    async def main():
        task = asyncio.create_task(aio.run(op()))
        with little_work(0.1):
            await asyncio.sleep(0.2)
        for _ in range(5):
            await asyncio.sleep(0)  # on a busy machine the rounds come late
        assert registered() == [(stream.fd, POLLIN)]
        stream.peer.send(b"x")
        await task

    in_loop(main())


def test_timer_that_rings_for_nobody_and_for_a_later_wait(in_loop, stream):
    def op(seconds):
        deadline = time.monotonic() + seconds
        rounds = 0
        while time.monotonic() < deadline:
            rounds += 1
            yield stream.source.need(POLLIN, deadline)
        return rounds

    def soon():
        yield stream.source.need(POLLOUT | POLLIN, time.monotonic() + 0.03)

    async def main():
        await aio.run(soon())
        await asyncio.sleep(0.06)
        await aio.run(soon())
        assert await aio.run(op(0.1)) <= 2
        assert await AioFuture(op(0.02)) <= 2
        writer = AioFuture(within(time.monotonic() + 60, wait_for(stream.source, POLLIN)))
        assert not writer.done()
        await asyncio.sleep(0.01)
        writer.cancel()

    in_loop(main())


def wait_for(source, mask):
    while True:
        yield source.need(mask)


@pytest.mark.parametrize("start", [aio.run, AioFuture], ids=["run", "AioFuture"])
def test_the_same_wait_again_ends_at_its_deadline_again(in_loop, stream, start):
    need = stream.source.need(POLLIN, time.monotonic() + 0.02)

    def op():
        for _ in range(3):
            yield need
        return time.monotonic() >= need.deadline

    async def main():
        assert await start(op())
        stream.peer.send(b"x")
        assert await start(stream.co_receive(time.monotonic() + 60)) == b"x"
        assert await start(op())

    in_loop(main())


def test_the_same_wait_for_both_directions_after_one_was_unregistered(in_loop, stream):
    need = stream.source.need(POLLIN | POLLOUT)

    def op():
        yield need

    async def main():
        for _ in range(3):
            await aio.run(op())
            while (stream.fd, POLLOUT) in registered():  # noqa: ASYNC110 - nothing else tells
                await asyncio.sleep(0)
            assert (stream.fd, POLLIN) in registered()

    in_loop(main())


def test_both_directions_have_each_their_deadline(in_loop, stream):
    def wait(bit, seconds):
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            yield stream.source.need(bit, deadline)
        return "late"

    async def main():
        while True:
            try:
                stream.sock.send(b"x" * 65536)
            except BlockingIOError:
                break
        for mine, other in ((POLLOUT, POLLIN), (POLLIN, POLLOUT)):
            forever = asyncio.create_task(aio.run(wait(other, 60)))
            await asyncio.sleep(0)
            assert await aio.run(wait(mine, 0.03)) == "late"
            assert not forever.done()
            forever.cancel()
            with pytest.raises(asyncio.CancelledError):
                await forever

    in_loop(main())


# ---- who waits


def test_second_waiter_is_refused_and_one_that_rests_makes_room(in_loop, stream):
    async def main():
        for second in (aio.run, AioFuture):
            first = asyncio.create_task(aio.run(stream.co_receive()))
            await asyncio.sleep(0.01)
            with pytest.raises(RuntimeError, match="same direction"):
                await second(stream.co_receive())
            stream.peer.send(b"x")
            assert await first == b"x"
            asyncio.get_running_loop().call_later(0.01, stream.peer.send, b"y")
            assert await second(stream.co_receive()) == b"y"

    in_loop(main())


def test_wait_without_an_operation_keeps_its_place_and_its_rules(in_loop, stream):
    async def waiting(need):
        await aio.wait(need)

    async def main():
        need = stream.source.need(POLLIN)
        for _ in range(3):
            first = asyncio.create_task(waiting(need))
            await asyncio.sleep(0.01)
            for second in (aio.wait(need), aio.run(stream.co_receive())):
                with pytest.raises(RuntimeError, match="same direction"):
                    await second
            stream.peer.send(b"x")
            await first
            assert stream.sock.recv(1) == b"x"
        cancelled = asyncio.create_task(waiting(need))
        await asyncio.sleep(0)
        cancelled.cancel()
        with pytest.raises(asyncio.CancelledError):
            await cancelled
        await aio.wait(stream.source.need(POLLIN, time.monotonic() + 0.01))  # nothing comes
        stream.peer.send(b"y")
        assert await aio.run(stream.co_receive()) == b"y"
        last = asyncio.create_task(waiting(need))
        await asyncio.sleep(0)
        stream.close()
        await last

    in_loop(main())


def test_who_yields_the_bare_number_shares_the_registration(in_loop, stream):
    def bare():
        while True:
            try:
                return stream.sock.recv(1)
            except BlockingIOError:
                yield PollNeeded(stream.fd, POLLIN)

    async def main():
        loop = asyncio.get_running_loop()
        for co_receive in (bare, stream.co_receive, bare, stream.co_receive):
            loop.call_later(0.01, stream.peer.send, b"x")
            assert await aio.run(co_receive()) == b"x"
        first = asyncio.create_task(aio.run(bare()))
        await asyncio.sleep(0.01)
        with pytest.raises(RuntimeError, match="same direction"):
            await aio.run(stream.co_receive())
        first.cancel()
        await asyncio.sleep(0)
        stream.close()
        assert not registered()

    in_loop(main())


def test_task_is_not_kept_alive_by_where_it_waited(stream):
    variable = contextvars.ContextVar("variable")

    class Thing:
        pass

    async def use():
        thing = Thing()
        variable.set(thing)
        stream.peer.send(b"x")
        await aio.run(wait_once())
        return weakref.ref(thing), weakref.ref(asyncio.current_task())

    def wait_once():
        yield stream.source.need(POLLIN)
        stream.sock.recv(1)

    async def main():
        refs = await asyncio.create_task(use())
        await asyncio.sleep(0)
        gc.collect()
        assert [ref() for ref in refs] == [None, None]
        assert registered()

    asyncio.run(main())


def test_steps_are_made_in_the_context_of_who_waits(in_loop, stream):
    variable = contextvars.ContextVar("variable")

    def op():
        seen.append((variable.get(), asyncio.current_task()))
        yield from stream.co_receive()
        seen.append((variable.get(), asyncio.current_task()))

    async def main():
        loop = asyncio.get_running_loop()
        for start, task in ((aio.run, asyncio.current_task()), (AioFuture, None)):
            seen.clear()
            variable.set(start)
            loop.call_later(0.01, stream.peer.send, b"x")
            await start(op())
            assert seen == [(start, task)] * 2

    seen = []
    in_loop(main())


def test_two_operations_and_two_directions_of_a_bare_number(in_loop, stream):
    def bare(mask):
        yield PollNeeded(stream.fd, mask)
        return mask

    async def main():
        while True:
            try:
                stream.sock.send(b"x" * 65536)
            except BlockingIOError:
                break
        reader = AioFuture(bare(POLLIN))
        writer = AioFuture(bare(POLLOUT))
        await asyncio.sleep(0.01)
        assert sorted(registered()) == [(stream.fd, POLLIN), (stream.fd, POLLOUT)]
        reader.cancel()
        assert registered() == [(stream.fd, POLLOUT)]
        reader = AioFuture(bare(POLLIN))
        await asyncio.sleep(0.01)
        writer.cancel()
        assert registered() == [(stream.fd, POLLIN)]
        stream.peer.send(b"x")
        assert await reader == POLLIN
        assert not registered()

    in_loop(main())


# ---- ends


def test_cancelling_at_each_wait_loses_nothing(in_loop, stream):
    """Cancelled in each round of the loop: either the byte is returned, or still to be read."""

    async def main():
        for rounds in range(8):
            for early in (False, True):
                if early:
                    stream.peer.send(b"x")
                task = asyncio.create_task(aio.run(stream.co_receive()))
                if not early:
                    await asyncio.sleep(0)
                    stream.peer.send(b"x")
                for _ in range(rounds):
                    await asyncio.sleep(0)
                assert task.cancel("why") or task.done()
                task.cancel()
                try:
                    got = await task
                except asyncio.CancelledError:
                    got = await aio.run(stream.co_receive())
                assert got == b"x"

    in_loop(main())


def test_cancelled_task_tells_the_message_and_may_go_on(in_loop, stream):
    async def stubborn():
        try:
            await aio.run(stream.co_receive())
        except asyncio.CancelledError as exc:
            told.append(exc.args)
        return await aio.run(stream.co_receive())

    async def main():
        task = asyncio.create_task(stubborn())
        await asyncio.sleep(0.01)
        task.cancel("enough")
        await asyncio.sleep(0.01)
        stream.peer.send(b"x")
        assert await task == b"x"
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.02):
                await aio.run(stream.co_receive())

    told = []
    in_loop(main())
    assert told == [("enough",)]


@pytest.mark.parametrize("start", [aio.run, AioFuture], ids=["run", "AioFuture"])
def test_whoever_waits_finds_out_that_it_is_closed(in_loop, start):
    def op(stream):
        while not stream.source.closed:
            yield stream.source.need(POLLIN)
        return "closed"

    def late(stream):
        yield stream.source.need(POLLIN)
        return "resumed"

    async def main():
        stream = Stream()
        future = asyncio.ensure_future(start(op(stream)))
        await asyncio.sleep(0.01)
        stream.close()
        assert await future == "closed"
        assert await start(late(stream)) == "resumed"
        assert not registered()
        assert not stream.source.registrations

    in_loop(main())


def test_interrupt_goes_through_and_the_loop_goes_on(new_loop, stream):
    def interrupted():
        yield from stream.co_receive()
        raise KeyboardInterrupt

    loop = new_loop()
    task = loop.create_task(aio.run(interrupted()))
    loop.call_later(0.01, stream.peer.send, b"x")
    with pytest.raises(KeyboardInterrupt):
        loop.run_forever()
    assert isinstance(task.exception(), KeyboardInterrupt)
    loop.call_later(0.01, stream.peer.send, b"y")
    assert loop.run_until_complete(aio.run(stream.co_receive())) == b"y"
    loop.close()


def test_ctrl_c_closes_the_operation(in_loop, stream):
    def op():
        try:
            yield from stream.co_receive()
        finally:
            log.append("closed")

    async def main():
        asyncio.get_running_loop().call_later(0.05, signal.raise_signal, signal.SIGINT)
        await aio.run(op())

    log = []
    with pytest.raises(KeyboardInterrupt):
        in_loop(main())
    assert log == ["closed"]


def co_see(flag):
    yield from flag.co_wait()
    flag.clear()
    return "seen"


def co_set(flags, then=lambda: None):
    yield from co_checkpoint()
    yield from co_checkpoint()
    for flag in flags:
        flag.set()
    then()


@pytest.mark.parametrize("start", [aio.run, AioFuture], ids=["run", "AioFuture"])
def test_interrupt_keeps_nobody_from_being_resumed_by_a_flag(new_loop, start):
    """Of several whose flags one operation has set."""

    def interrupted(flag):
        yield from flag.co_wait()
        raise KeyboardInterrupt

    async def main():
        tasks.extend(asyncio.ensure_future(start(interrupted(flag))) for flag in flags[:3])
        tasks.extend(asyncio.ensure_future(start(co_see(flag))) for flag in flags[3:])
        tasks.append(asyncio.ensure_future(start(co_set(flags))))

    tasks = []
    flags = [Wake() for _ in range(6)]
    loop = new_loop()
    loop.run_until_complete(main())
    while not all(task.done() for task in tasks):
        loop.call_soon(loop.stop)
        with suppress(KeyboardInterrupt):
            loop.run_forever()
    assert all(isinstance(task.exception(), KeyboardInterrupt) for task in tasks[:3])
    assert [task.result() for task in tasks[3:-1]] == ["seen"] * 3
    for flag in flags:
        assert flag.is_set() == bool(select.select([flag.fd], [], [], 0)[0])
        flag.close()
    loop.close()


@pytest.mark.parametrize("start", [aio.run, AioFuture], ids=["run", "AioFuture"])
def test_a_flag_is_shown_if_the_operation_for_which_it_was_set_is_given_up(in_loop, start):
    async def main():
        with Wake() as flag:
            task = asyncio.ensure_future(start(co_see(flag)))
            await start(co_set([flag], task.cancel))
            assert (await asyncio.gather(task, return_exceptions=True)) != ["seen"]
            assert select.select([flag.fd], [], [], 0)[0]

    in_loop(main())


def test_closing_in_a_child_process_leaves_the_loop_alone(in_loop, monkeypatch):
    """It shares the epoll object with its parent."""

    async def main():
        stream = Stream()
        stream.peer.send(b"x")
        task = asyncio.create_task(aio.run(wait_once(stream)))
        await task
        monkeypatch.setattr(watches, "generation", lambda: -1)
        stream.source.close(closed.set)
        assert registered() == [(stream.fd, POLLIN)]
        monkeypatch.undo()
        asyncio.get_running_loop().remove_reader(stream.fd)
        stream.sock.close()
        stream.peer.close()

    def wait_once(stream):
        yield stream.source.need(POLLIN)

    closed = threading.Event()
    in_loop(main())
    assert closed.is_set()


# ---- numbers that are used again


def test_number_of_a_closed_stream_is_used_again(in_loop):
    async def main():
        loop = asyncio.get_running_loop()
        numbers = []
        for number in range(10):
            stream = Stream()
            numbers.append(stream.fd)
            loop.call_later(0.005, stream.peer.send, bytes([number]))
            assert await aio.run(stream.co_receive()) == bytes([number])
            stream.close()
        assert len(set(numbers)) < 10, "the test shows nothing"

    in_loop(main())


def test_number_of_a_closed_connection_is_used_by_asyncio_itself(in_loop):
    async def main():
        conn = HTTPConnection("127.0.0.1", server.port)
        assert await aio.run(co_get(conn)) == b"ok"
        [(number, _)] = registered()
        file = os.fstat(number).st_ino
        left, right = socket.socketpair()
        conn.close()
        try:
            left = moved(left, number)
        except NumberInUse:  # by a thread of another test, which was faster
            right.close()
            with suppress(OSError):  # or it has given it back since
                assert os.fstat(number).st_ino != file, "the connection has not been closed"
            return False
        with left, right:
            heard = asyncio.Event()
            loop = asyncio.get_running_loop()
            loop.add_reader(number, heard.set)
            del conn
            gc.collect()
            await asyncio.sleep(0.01)
            right.send(b"x")
            await asyncio.wait_for(heard.wait(), 60)
            loop.remove_reader(number)
        return True

    with ScriptedServer(serve) as server:
        assert any(in_loop(main()) for _ in range(5))


def test_number_that_somebody_has_closed_without_a_word(in_loop):
    """A bare number has the source of another stream by now."""

    def orphan(sock):
        while True:
            try:
                return sock.recv(1)
            except BlockingIOError:
                yield PollNeeded(sock.fileno(), POLLIN)

    async def main():
        old, old_peer = socket.socketpair()
        old.setblocking(False)
        number = old.fileno()
        lost = AioFuture(orphan(old))
        await asyncio.sleep(0.01)
        stream = Stream()
        old.close()
        stream.move_to(number)
        heir = asyncio.create_task(aio.run(stream.co_receive()))
        await asyncio.sleep(0.01)
        with pytest.raises(OSError):
            await lost
        stream.peer.send(b"x")
        assert await heir == b"x"
        stream.close()
        old_peer.close()
        assert not registered()

    in_loop(main())


# ---- several loops and threads


def test_one_connection_in_one_loop_after_the_other(new_loop):
    with ScriptedServer(serve) as server, HTTPConnection("127.0.0.1", server.port) as conn:
        for _ in range(5):
            with asyncio.Runner(loop_factory=new_loop) as runner:
                for _ in range(3):
                    assert runner.run(aio.run(co_get(conn))) == b"ok"
        source = conn._session.shared.stream.need(POLLIN, None).source
        assert len(source.registrations) == 1, "closed loops are kept"
        assert server.connections == 1


def test_one_connection_in_two_loops_alternately(new_loop):
    with ScriptedServer(serve) as server:
        with (
            asyncio.Runner(loop_factory=new_loop) as one,
            asyncio.Runner(loop_factory=asyncio.new_event_loop) as other,
            HTTPConnection("127.0.0.1", server.port) as conn,
        ):
            for _ in range(5):
                assert one.run(aio.run(co_get(conn))) == b"ok"
                assert other.run(aio.run(co_get(conn))) == b"ok"
                for loop in (one, other):
                    with little_work(0.05):
                        loop.run(asyncio.sleep(0.1))
            conn.close()
            assert not registered(one.get_loop())
            assert not registered(other.get_loop())
            assert one.run(aio.run(co_get(conn))) == b"ok"
        assert server.connections == 2


class LoopThread:
    """A loop that runs in a thread."""

    def __init__(self, new_loop):
        self.loop = new_loop()
        self._thread = threading.Thread(target=self._work)
        self._thread.start()

    def _work(self):
        asyncio.set_event_loop(self.loop)
        self.loop.run_forever()

    def run(self, co):
        return asyncio.run_coroutine_threadsafe(co, self.loop).result(60)

    def stop(self):
        self.loop.call_soon_threadsafe(self.loop.stop)
        self._thread.join()

    def close(self):
        self.stop()
        self.loop.close()


def test_connection_is_closed_in_another_thread_than_its_loops(new_loop):
    before = open_descriptors()
    loops = [LoopThread(new_loop) for _ in range(2)]
    with ScriptedServer(serve) as server:
        for _ in range(20):
            conn = HTTPConnection("127.0.0.1", server.port)
            for thread in loops:
                assert thread.run(aio.run(co_get(conn))) == b"ok"
            conn.close()
        for thread in loops:
            wait_until(lambda thread=thread: not registered(thread.loop))
        with HTTPConnection("127.0.0.1", server.port) as conn:
            for thread in loops:
                assert thread.run(aio.run(co_get(conn))) == b"ok"
            [thread.stop() for thread in loops]
        for thread in loops:
            assert not registered(thread.loop)
            thread.loop.close()
    wait_until(lambda: open_descriptors() <= before)


def test_whoever_waits_is_told_by_another_thread(new_loop):
    def op(stream):
        started.set()
        while not stream.source.closed:
            yield stream.source.need(POLLIN)
        return "closed"

    thread, stream, started = LoopThread(new_loop), Stream(), threading.Event()
    future = asyncio.run_coroutine_threadsafe(aio.run(op(stream)), thread.loop)
    assert started.wait(60)
    time.sleep(0.02)
    stream.close()
    assert future.result(60) == "closed"
    wait_until(lambda: stream.sock.fileno() < 0)
    thread.close()


@pytest.mark.parametrize("closed", [False, True], ids=["stops", "is closed"])
def test_loop_that_ends_before_it_has_heard(new_loop, closed):
    """The descriptor is given back all the same, and nobody warns of it."""
    before = open_descriptors()
    stream, thread = Stream(), LoopThread(new_loop)

    async def use():
        thread.loop.call_soon(stream.peer.send, b"x")
        await aio.run(stream.co_receive())

    def busy():
        thread.loop.stop()
        held.set()
        go.wait(60)

    held, go = threading.Event(), threading.Event()
    thread.run(use())
    thread.loop.call_soon_threadsafe(busy)
    assert held.wait(60)
    if closed:
        real, thread.loop.call_soon_threadsafe = thread.loop.call_soon_threadsafe, refuse
    stream.close()
    if closed:
        assert stream.sock.fileno() < 0
        thread.loop.call_soon_threadsafe = real
    go.set()
    thread._thread.join()
    thread.loop.close()
    gc.collect()
    assert stream.sock.fileno() < 0
    wait_until(lambda: open_descriptors() <= before)


def refuse(*args):
    raise RuntimeError("Event loop is closed")


def test_wake_is_closed_and_set_by_other_threads(in_loop):
    async def main():
        loop = asyncio.get_running_loop()
        for _ in range(20):
            wake = Wake()
            waiting = asyncio.create_task(aio.run(wake.co_wait(time.monotonic() + 60)))
            await asyncio.sleep(0)
            await loop.run_in_executor(None, wake.set)
            assert await waiting
            await loop.run_in_executor(None, wake.close)
            await asyncio.sleep(0)
        await asyncio.sleep(0.01)
        assert not registered()

    in_loop(main())


def test_stream_that_is_closed_while_it_is_being_registered(in_loop):
    """By another thread, in the very moment: it cannot have seen the registration."""

    class Racing(dict):
        def __setitem__(self, loop, watch):
            super().__setitem__(loop, watch)
            stream.source.closed = True

    async def main():
        stream.source.registrations = Racing()
        asyncio.get_running_loop().call_later(0.05, stream.peer.send, b"x")
        assert await aio.run(stream.co_receive()) == b"x"
        assert not registered()

    stream = Stream()
    in_loop(main())
    stream.sock.close()
    stream.peer.close()


FORKING = """
import asyncio, os, sys
from dugong_like import HTTPConnection
from dugong_like.drivers import {driver}

def co_get(conn):
    yield from conn.co_send_request("GET", "/")
    yield from conn.co_read_response()
    return (yield from conn.co_readall())

def fork(conn):
    child = os.fork()
    if child == 0:
        conn.close()
        os._exit(0)
    os.waitpid(child, 0)

async def main(conn):
    for _ in range(3):
        assert await aio.run(co_get(conn)) == b"ok"
        fork(conn)
    print("done")

def own(conn):
    with loop.Loop() as own_loop:
        for _ in range(3):
            assert own_loop.run(co_get(conn)) == b"ok"
            fork(conn)
    print("done")

conn = HTTPConnection("127.0.0.1", int(sys.argv[1]), timeout=60)
{run}
"""


@pytest.mark.parametrize(
    ("driver", "run"),
    [
        ("aio", "asyncio.run(main(conn))"),
        ("aio", "import uvloop; uvloop.run(main(conn))"),
        ("loop", "own(conn)"),
    ],
    ids=["asyncio", "uvloop", "Loop"],
)
def test_child_process_takes_nothing_from_the_loop_of_its_parent(driver, run):
    """The two share the epoll object, and the connection in it."""
    if "uvloop" in run:
        pytest.importorskip("uvloop")
    with ScriptedServer(serve) as server:
        program = FORKING.format(driver=driver, run=run)
        command = [sys.executable, "-c", program, str(server.port)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=100, check=False)
    assert done.stdout == "done\n", done.stderr


def test_descriptors_are_given_back_if_the_loop_is_gone(new_loop):
    new_loop().close()  # the first one of uvloop opens two descriptors for the whole process
    before = open_descriptors()
    stream = Stream()
    loop = new_loop()
    loop.call_later(0.01, stream.peer.send, b"x")
    assert loop.run_until_complete(aio.run(stream.co_receive())) == b"x"
    loop.close()
    stream.close()
    assert stream.sock.fileno() < 0
    assert open_descriptors() <= before
    with pytest.raises(OSError):
        os.fstat(stream.fd)
