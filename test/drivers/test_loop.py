"""Loop beyond the contract: tasks, timers, who may wait for what, and its end."""

import os
import socket
import time

import pytest

from dugong_like import POLLIN, POLLOUT, PollNeeded, StateError, Wake
from dugong_like.drivers import pollers
from dugong_like.drivers.loop import Loop
from dugong_like.drivers.threads import CancelledError


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


@pytest.mark.feature("B56")
def test_timers_are_kept_in_order(loop):
    with Wake() as wake, Wake() as other:
        start = time.monotonic()
        late, soon = loop.spawn(sleep(wake, 0.1)), loop.spawn(sleep(other, 0.03))
        loop.run_all()
        assert 0.03 <= soon.result() - start < 0.09
        assert late.result() - start >= 0.1
        assert late.exception() is None


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
    reader, writer = os.pipe()
    os.close(writer)
    poller.arm(reader, POLLIN)
    os.close(reader)
    poller.disarm(reader)
    poller.close()
