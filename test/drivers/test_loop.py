"""Loop beyond the contract: tasks, timers, who may wait for what, and its end."""

import os
import select
import socket
import threading
import time

import pytest
from kit.support import little_work

from dugong_like import POLLIN, POLLOUT, PollNeeded, StateError, Wake
from dugong_like.drivers import loop_task, pollers
from dugong_like.drivers.loop import Loop
from dugong_like.drivers.threads import CancelledError
from dugong_like.polling.contract import Source
from dugong_like.polling.wake import co_checkpoint


@pytest.fixture(params=["epoll", "poll", "select"])
def loop(request):
    with Loop(request.param) as loop:
        yield loop


@pytest.fixture
def pair():
    left, right = socket.socketpair()
    with left, right:
        left.setblocking(False)
        yield left, right


def wait(sock, mask=POLLIN, times=10**9, deadline=None):
    for _ in range(times):
        yield PollNeeded(sock.fileno(), mask, deadline)
    return "done"


def sleep(wake, seconds):
    deadline = time.monotonic() + seconds
    yield from wake.co_wait(deadline)
    return time.monotonic()


def test_task_that_has_not_ended_has_no_result(loop, pair):
    task = loop.spawn(wait(pair[0]))
    assert not task.done()
    for ask in (task.result, task.exception):
        with pytest.raises(StateError, match="not ended"):
            ask()
    assert task.cancel()
    assert isinstance(task.exception(), CancelledError)


def test_timers_are_kept_in_order(loop):
    with Wake() as wake, Wake() as other:
        start = time.monotonic()
        late, soon = loop.spawn(sleep(wake, 60)), loop.spawn(sleep(other, 0.03))
        while not soon.done():
            loop._turn()
        assert 0.03 <= soon.result() - start < 30
        assert not late.done()
        late.cancel()


def test_timer_of_a_wait_that_is_over_does_nothing(loop, pair):
    def op():
        yield PollNeeded(pair[0].fileno(), POLLOUT, time.monotonic() + 0.02)
        yield PollNeeded(pair[0].fileno(), POLLIN)
        return pair[0].recv(1)

    def sender(wake):
        yield from sleep(wake, 0.06)
        pair[1].send(b"x")

    with Wake() as wake:
        loop.spawn(sender(wake))
        assert loop.run(op()) == b"x"


def test_two_waiters_for_one_direction_are_an_error_of_the_second(loop, pair):
    first = loop.spawn(wait(pair[0], POLLIN, 1))
    second = loop.spawn(wait(pair[0], POLLIN | POLLOUT, 1))
    pair[1].send(b"x")
    loop.run_all()

    assert first.result() == "done"
    with pytest.raises(StateError, match="same direction"):
        second.result()


def test_cancelling_one_direction_leaves_the_other_waiting(loop, pair):
    filled = 0
    try:
        while True:
            filled += pair[0].send(b"x" * 65536)
    except BlockingIOError:
        pass
    writer = loop.spawn(wait(pair[0], POLLOUT, 1))
    reader = loop.spawn(wait(pair[0], POLLIN, 1))

    def cancel_then_send():
        yield PollNeeded(pair[1].fileno(), POLLOUT)
        writer.cancel()
        pair[1].send(b"y")

    loop.spawn(cancel_then_send())
    loop.run_all()
    assert reader.result() == "done"


def test_cancelled_before_its_first_step(loop, pair):
    task = loop.spawn(wait(pair[0]))
    task.cancel()
    loop.run_all()
    with pytest.raises(CancelledError):
        task.result()


def test_failure_while_cancelling_is_raised(loop, pair):
    def stubborn():
        try:
            yield from wait(pair[0])
        finally:
            raise LookupError("while closing")

    task = loop.spawn(stubborn())
    loop.spawn(wait(pair[1], POLLOUT, 1))
    loop._turn()
    with pytest.raises(LookupError):
        task.cancel()
    assert isinstance(task.exception(), LookupError)


def test_end_of_the_loop_closes_what_still_runs(pair):
    log = []

    def op():
        try:
            yield from wait(pair[0])
        finally:
            log.append("closed")

    with Loop() as loop:
        task = loop.spawn(op())
        loop.run(wait(pair[1], POLLOUT, 1))
    assert log == ["closed"]
    assert task.done()


def test_operation_may_start_others(loop, pair):
    results = []

    def parent():
        child = loop.spawn(wait(pair[1], POLLOUT, 1))
        while not child.done():
            yield PollNeeded(pair[0].fileno(), POLLOUT)
        results.append(child.result())

    loop.run(parent())
    assert results == ["done"]


def test_hang_up_resumes_both_directions(loop, pair):
    reader = loop.spawn(wait(pair[0], POLLIN, 1))
    while True:
        try:
            pair[0].send(b"x" * 65536)
        except BlockingIOError:
            break
    writer = loop.spawn(wait(pair[0], POLLOUT, 1))
    other, waker = socket.socketpair()
    with other, waker:
        loop.run(wait(other, POLLOUT, 1))  # a turn for the two to begin to wait
    pair[1].close()
    loop.run_all()
    assert [reader.result(), writer.result()] == ["done", "done"]


# ---- descriptors that tell before they are closed


class Stream:
    """One end of a pair of sockets, closed as streams close theirs."""

    def __init__(self):
        self.sock, self.peer = socket.socketpair()
        self.sock.setblocking(False)
        self.fd = self.sock.fileno()
        self.source = Source(self.fd)

    def co_receive(self, deadline=None):
        while True:
            try:
                return self.sock.recv(1)
            except BlockingIOError:
                yield self.source.need(POLLIN, deadline)

    def co_send(self, size):
        while size > 0:
            try:
                size -= self.sock.send(bytes(min(size, 65536)))
            except BlockingIOError:
                yield self.source.need(POLLOUT)

    def fill(self):
        while True:
            try:
                self.sock.send(bytes(65536))
            except BlockingIOError:
                return

    def close(self):
        self.source.close(self.sock.close)
        self.peer.close()


@pytest.fixture
def stream():
    stream = Stream()
    yield stream
    stream.close()


def co_pause(seconds):
    with Wake() as wake:
        yield from wake.co_wait(time.monotonic() + seconds)


def test_one_registration_serves_many_operations(loop, stream, monkeypatch):
    def co_answer(number):
        yield PollNeeded(stream.peer.fileno(), POLLOUT)
        stream.peer.send(bytes([number]))

    kept = []
    keep = loop._poller.keep
    monkeypatch.setattr(loop._poller, "keep", lambda fd, mask: (kept.append(fd), keep(fd, mask)))
    for number in range(10):
        deadline = time.monotonic() + 60 if number % 2 else None
        receiver = loop.spawn(stream.co_receive(deadline))
        loop.run(co_answer(number))
        loop.run_all()
        assert receiver.result() == bytes([number])
    assert kept.count(stream.fd) == 1


def test_what_happens_while_nobody_waits_does_not_make_the_loop_spin(loop, stream):
    stream.peer.send(b"a")
    assert loop.run(stream.co_receive()) == b"a"
    receiver = loop.spawn(stream.co_receive())
    loop.spawn(stream.co_send(10))
    loop.run(co_pause(0.01))
    receiver.cancel()
    stream.peer.send(b"b")
    with little_work(0.1):
        loop.run(co_pause(0.2))
    assert loop.run(stream.co_receive()) == b"b"


def test_both_directions_of_one_that_is_kept(loop, stream):
    stream.fill()
    writer = loop.spawn(stream.co_send(1_000_000))
    reader = loop.spawn(stream.co_receive())
    loop.run(co_pause(0.01))
    stream.peer.setblocking(False)

    def co_drain():
        while not writer.done():
            try:
                stream.peer.recv(1 << 20)
            except BlockingIOError:
                yield PollNeeded(stream.peer.fileno(), POLLIN, time.monotonic() + 0.01)
            else:
                yield PollNeeded(stream.peer.fileno(), POLLOUT)

    loop.run(co_drain())
    assert not reader.done()
    stream.peer.setblocking(False)
    with pytest.raises(BlockingIOError):
        while True:
            stream.peer.recv(1 << 20)
    with little_work(0.05):  # there is room, and nobody writes
        loop.run(co_pause(0.1))
    with pytest.raises(StateError, match="same direction"):
        loop.run(stream.co_receive())
    stream.peer.send(b"x")
    loop.run_all()
    assert reader.result() == b"x"


def test_the_same_wait_again_and_again(loop, stream):
    def co_count(number):
        need = stream.source.need(POLLIN)
        got = b""
        while len(got) < number:
            try:
                got += stream.sock.recv(1)
            except BlockingIOError:
                yield need
        return got

    def co_send(number):
        for _ in range(number):
            stream.peer.send(b"x")
            yield from co_pause(0.001)

    for _ in range(2):
        task = loop.spawn(co_count(5))
        loop.spawn(co_send(5))
        loop.run_all()
        assert task.result() == b"xxxxx"


def test_stream_is_closed_when_something_has_just_arrived(loop):
    """What the poller has reported of it comes too late."""

    def co_wait(mine, other):
        while not mine.source.closed:
            yield mine.source.need(POLLIN)
            other.close()
        resumed.append(mine)

    resumed = []
    first, second = Stream(), Stream()
    loop.spawn(co_wait(first, second))
    loop.spawn(co_wait(second, first))
    loop._turn()
    first.peer.send(b"x")
    second.peer.send(b"x")
    loop.run_all()
    assert len(resumed) == 2
    assert not loop._watches


def test_number_of_a_closed_stream_is_used_again(loop):
    numbers = []
    for number in range(6):
        stream = Stream()
        numbers.append(stream.fd)
        task = loop.spawn(stream.co_receive())
        loop.run(co_pause(0.001))
        stream.peer.send(bytes([number]))
        loop.run_all()
        assert task.result() == bytes([number])
        stream.close()
        assert not stream.source.registrations
        left, right = socket.socketpair()  # somebody who has no source
        with left, right:
            task = loop.spawn(wait(left, POLLIN, 1))
            loop.run(co_pause(0.001))
            assert not task.done()
            right.send(b"x")
            loop.run_all()
    assert len(set(numbers)) < 6, "the test shows nothing"


def test_whoever_waits_finds_out_that_it_is_closed(loop):
    def op(stream):
        while not stream.source.closed:
            yield stream.source.need(POLLIN)
        yield stream.source.need(POLLIN)
        return "closed"

    stream = Stream()
    task = loop.spawn(op(stream))
    loop.run(co_pause(0.001))
    stream.close()
    loop.run_all()
    assert task.result() == "closed"
    assert not stream.source.registrations


def test_closing_the_loop_leaves_the_stream_to_others(stream):
    for backend in ("epoll", "poll", "select"):
        with Loop(backend) as loop:
            task = loop.spawn(stream.co_receive())
            loop.run(co_pause(0.001))
            stream.peer.send(b"x")
            loop.run_all()
            assert task.result() == b"x"
            assert list(stream.source.registrations) == [loop]
        assert not stream.source.registrations


def test_stream_is_closed_by_another_thread(loop):
    stream = Stream()
    stream.peer.send(b"x")
    loop.run(wait(stream.peer, POLLOUT, 1))
    task = loop.spawn(stream.co_receive())
    loop.run_all()
    assert task.result() == b"x"
    thread = threading.Thread(target=stream.close)
    thread.start()
    thread.join()
    loop.run(co_pause(0.01))
    assert stream.sock.fileno() < 0


def test_stream_that_is_closed_while_it_is_being_registered(loop):
    """By another thread, in the very moment: it cannot have seen the registration."""

    class Racing(dict):
        def __setitem__(self, key, watch):
            super().__setitem__(key, watch)
            stream.source.closed = True
            stream.peer.send(b"x")

    stream = Stream()
    stream.source.registrations = Racing()
    assert loop.run(stream.co_receive()) == b"x"
    assert not loop._watches
    stream.sock.close()
    stream.peer.close()


def test_closing_in_a_child_process_leaves_the_poller_alone(loop, stream, monkeypatch):
    """It shares the epoll object with its parent."""
    stream.peer.send(b"x")
    assert loop.run(wait(stream.peer, POLLOUT, 1)) == "done"
    loop.run(co_wait_once(stream))
    with monkeypatch.context() as child:
        child.setattr(loop_task, "generation", lambda: -1)
        stream.source.close(lambda: None)
    assert stream.fd in loop._watches
    stream.sock.close()


def co_wait_once(stream):
    yield stream.source.need(POLLIN)


def test_interrupt_keeps_nobody_from_hearing_what_has_happened(loop):
    """The events that came with that of the one that was interrupted are not lost."""

    def interrupted(sock):
        yield PollNeeded(sock.fileno(), POLLIN)
        raise KeyboardInterrupt

    pairs = [socket.socketpair() for _ in range(6)]
    tasks = [loop.spawn(interrupted(left)) for left, _ in pairs]
    loop._turn()
    for _, right in pairs:
        right.send(b"x")
    for _ in pairs:
        with pytest.raises(KeyboardInterrupt):
            loop.run_all()
    assert all(isinstance(task.exception(), KeyboardInterrupt) for task in tasks)
    for left, right in pairs:
        left.close()
        right.close()


def co_see(flag):
    yield from flag.co_wait()
    flag.clear()
    return "seen"


def test_interrupt_keeps_nobody_from_being_resumed_by_a_flag(loop):
    """Of several whose flags one operation has set."""

    def interrupted(flag):
        yield from flag.co_wait()
        raise KeyboardInterrupt

    def co_set_all():
        for flag in flags:
            flag.set()
        yield from ()

    flags = [Wake() for _ in range(6)]
    tasks = [loop.spawn(interrupted(flag)) for flag in flags[:3]]
    tasks += [loop.spawn(co_see(flag)) for flag in flags[3:]]
    loop._turn()
    loop.spawn(co_set_all())
    for _ in range(3):
        with pytest.raises(KeyboardInterrupt):
            loop.run_all()
    loop.run_all()
    assert [task.result() for task in tasks[3:]] == ["seen"] * 3
    for flag in flags:
        assert flag.is_set() == bool(select.select([flag.fd], [], [], 0)[0])
        flag.close()


@pytest.mark.parametrize("end", ["cancel", "close"])
def test_a_flag_is_shown_if_the_operation_for_which_it_was_set_is_given_up(loop, end):
    def co_set():
        yield from co_checkpoint()
        flag.set()
        if end == "cancel":
            task.cancel()

    with Wake() as flag:
        task = loop.spawn(co_see(flag))
        loop.run(co_set())
        if end == "close":
            loop.close()
        else:
            loop.run(co_checkpoint())
        assert select.select([flag.fd], [], [], 0)[0]


def test_a_flag_that_another_loop_of_the_same_thread_sets(loop):
    """In the middle of a step of the one in which it is waited for."""

    def co_outer():
        yield from co_checkpoint()
        with Loop() as inner:
            inner.run(co_inner())
        return "done"

    def co_inner():
        yield from co_checkpoint()
        flag.set()

    with Wake() as flag:
        waiting, outer = loop.spawn(co_see(flag)), loop.spawn(co_outer())
        loop.run_all()
        assert (waiting.result(), outer.result()) == ("seen", "done")


def test_unknown_backend():
    with pytest.raises(KeyError):
        Loop("kqueue")


def test_best_poller_of_the_system(monkeypatch):
    def best():
        poller = pollers.best_poller()
        poller.close()
        return type(poller)

    assert best() is pollers.EpollPoller
    monkeypatch.delattr(pollers.select, "epoll")
    assert best() is pollers.PollPoller
    monkeypatch.delattr(pollers.select, "poll")
    assert best() is pollers.SelectPoller


@pytest.mark.parametrize("kind", [pollers.EpollPoller, pollers.PollPoller, pollers.SelectPoller])
def test_pollers_report_once_and_forget(kind, pair):
    poller = kind()
    fd = pair[0].fileno()
    poller.arm(fd, POLLIN | POLLOUT)
    assert poller.wait(1) == [(fd, POLLOUT)]
    assert poller.wait(0) == []
    pair[1].send(b"x")
    poller.arm(fd, POLLIN | POLLOUT)
    assert poller.wait(None) == [(fd, POLLIN | POLLOUT)]
    poller.arm(fd, POLLIN)
    poller.disarm(fd)
    poller.disarm(fd)
    assert poller.wait(0) == []
    poller.keep(fd, POLLIN)
    assert [poller.wait(1) for _ in range(3)] == [[(fd, POLLIN)]] * 3
    poller.keep(fd, POLLOUT)
    assert poller.wait(1) == [(fd, POLLOUT)]
    poller.arm(fd, POLLIN)
    assert [poller.wait(0) for _ in range(2)] == [[(fd, POLLIN)], []]
    poller.keep(fd, POLLIN)
    poller.disarm(fd)
    assert poller.wait(0) == []
    reader, writer = os.pipe()
    os.close(writer)
    poller.arm(reader, POLLIN)
    os.close(reader)
    poller.disarm(reader)
    poller.close()
