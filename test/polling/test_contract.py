"""PollNeeded, Source, and the blocking driver with its limit."""

import select
import socket
import threading
import time

import pytest
from kit.small_operations import receive, value
from kit.support import on_two_threads

from dugong_like import POLLIN, POLLOUT, ConnectionTimedOut, PollNeeded, run, within
from dugong_like.polling import contract as polling


@pytest.fixture
def pair():
    left, right = socket.socketpair()
    with left, right:
        left.setblocking(False)
        yield left, right


@pytest.fixture(params=["poll", "select"])
def waiting(request, monkeypatch):
    """Both ways to wait for one descriptor."""
    monkeypatch.setattr(polling, "wait", getattr(polling, f"_wait_{request.param}"))


@pytest.mark.feature("B38")
def test_poll_needed_is_a_tuple_of_two():
    need = PollNeeded(3, POLLIN, 5.0)

    fd, mask = need
    assert (fd, mask) == (need.fd, need.mask) == (3, select.POLLIN) == need
    assert need.deadline == 5.0
    assert PollNeeded(3, POLLOUT).deadline is None
    assert (POLLIN, POLLOUT) == (select.EPOLLIN, select.EPOLLOUT)
    assert hash(need) == hash((3, POLLIN))
    assert repr(need) == "PollNeeded(fd=3, mask=POLLIN, deadline=5.000)"
    assert repr(PollNeeded(4, POLLIN | POLLOUT)) == "PollNeeded(fd=4, mask=POLLIN|POLLOUT)"


class Registered:
    """What a loop has noted; it is told, and goes on when it likes."""

    def end(self, then):
        self.go_on = then


def test_source_is_closed_when_every_loop_has_forgotten_it():
    source, log = polling.Source(7), []
    first, second = Registered(), Registered()
    source.registrations.update({"first": first, "second": second})
    need = source.need(POLLIN, 5.0)
    assert (need, need.deadline, need.source) == ((7, POLLIN), 5.0, source)
    assert need.until(None).source is source
    assert PollNeeded(7, POLLIN).source is None

    source.close(lambda: log.append("closed"))
    assert source.closed
    second.go_on()
    assert log == []
    first.go_on()
    assert log == ["closed"]
    assert not source.registrations
    source.close(lambda: log.append("again"))
    assert log == ["closed"]


def test_source_that_two_threads_close_is_given_back_once():
    sources = [polling.Source(1) for _ in range(2000)]
    log = [[] for _ in sources]
    on_two_threads(lambda number: sources[number].close(lambda: log[number].append("closed")))
    assert log == [["closed"]] * len(sources)


@pytest.mark.feature("B39", "B53")
def test_poll_looks_waits_and_gives_up(pair, waiting):
    need = PollNeeded(pair[0].fileno(), POLLIN)

    start = time.monotonic()
    assert not need.poll(0)
    assert not need.poll(0.05)
    assert time.monotonic() - start >= 0.05
    assert not need.poll(-1)
    pair[1].send(b"x")
    assert need.poll(0)
    assert need.poll(30)
    assert need.poll()
    assert PollNeeded(pair[0].fileno(), POLLOUT).poll()
    assert PollNeeded(pair[0].fileno(), POLLIN | POLLOUT).poll()


@pytest.mark.feature("B39")
def test_poll_sees_a_hang_up(pair, waiting):
    pair[1].close()

    assert PollNeeded(pair[0].fileno(), POLLIN).poll(30)


@pytest.mark.feature("B41")
def test_run_returns_what_the_operation_returns(pair, waiting):
    timer = threading.Timer(0.05, pair[1].send, [b"data"])
    timer.start()

    assert run(receive(pair[0])) == b"data"
    timer.join()
    assert run(value(3)) == 3
    with pytest.raises(LookupError):
        run(value(LookupError()))


@pytest.mark.feature("B41")
def test_run_has_a_time_limit_and_closes_the_operation(pair, waiting):
    log = []

    def op():
        try:
            return (yield from receive(pair[0]))
        finally:
            log.append("closed")

    start = time.monotonic()
    with pytest.raises(ConnectionTimedOut):
        run(op(), timeout=0.05)
    assert 0.05 <= time.monotonic() - start < 20
    assert log == ["closed"]
    pair[1].send(b"x")
    assert run(op(), timeout=30) == b"x"


def test_number_of_a_closed_socket_is_refused_each_time(waiting):
    for _ in range(2):
        with pytest.raises(ValueError, match="negative"):
            PollNeeded(-1, POLLIN).poll(0.01)


def test_run_honours_the_deadline_of_an_operation(pair):
    def op():
        deadline = time.monotonic() + 0.05
        while time.monotonic() < deadline:
            yield PollNeeded(pair[0].fileno(), POLLIN, deadline)
        return "late"

    assert run(op()) == "late"


# ---- within


def test_within_lets_pass_what_is_in_time(pair):
    pair[1].send(b"x")
    assert run(within(time.monotonic() + 5, receive(pair[0]))) == b"x"


def test_within_narrows_the_deadline(pair):
    soon, later = time.monotonic() + 5, time.monotonic() + 10

    assert next(within(later, receive(pair[0], soon))).deadline == soon
    assert next(within(soon, receive(pair[0], later))).deadline == soon
    assert next(within(soon, receive(pair[0]))).deadline == soon
