"""PollNeeded, Wake, the combinators and the blocking driver."""

import os
import select
import socket
import threading
import time

import pytest

from dugong_like import (
    POLLIN,
    POLLOUT,
    ConnectionTimedOut,
    DugongError,
    PollNeeded,
    Wake,
    both,
    first_of,
    polling,
    run,
    stall,
    within,
)


@pytest.fixture
def pair():
    left, right = socket.socketpair()
    with left, right:
        left.setblocking(False)
        yield left, right


@pytest.fixture(params=["poll", "select"])
def waiting(request, monkeypatch):
    """Both ways to wait for one descriptor."""
    monkeypatch.setattr(polling, "_wait", getattr(polling, f"_wait_{request.param}"))


def receive(sock, deadline=None):
    while True:
        try:
            return sock.recv(100)
        except BlockingIOError:
            yield PollNeeded(sock.fileno(), POLLIN, deadline)


def value(result, waits=()):
    """An operation that waits for *waits* and returns *result*, or raises it."""
    yield from waits
    if isinstance(result, Exception):
        raise result
    return result


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


def test_source_is_handed_on_by_what_operations_are_made_of(waiting):
    def op(wake, times):
        for _ in range(times):
            yield wake._source.need(POLLIN)

    with Wake() as one, Wake() as other:
        [source, other_source] = one._source, other._source
        deadline = time.monotonic() + 5
        for need in (*within(deadline, op(one, 2)), next(stall(5, op(one, 1)))):
            assert need.source is source
            assert need.deadline is not None
        [(first, second)] = [(next(op(one, 1)), next(op(one, 1)).until(deadline))]
        joined = polling.Bundle().need([first, PollNeeded(one.fd, POLLOUT), second])
        assert (joined, joined.deadline) == ((one.fd, POLLIN | POLLOUT), deadline)
        assert joined.source is source
        needs = list(both(op(one, 4), op(other, 2)))
        bundled = {need.source for need in needs} - {source, other_source}
        assert len(bundled) == 1
        assert bundled.pop().closed
        assert needs[-1].source is source


@pytest.mark.feature("B39", "B53")
def test_poll_looks_waits_and_gives_up(pair, waiting):
    need = PollNeeded(pair[0].fileno(), POLLIN)

    start = time.monotonic()
    assert not need.poll(0)
    assert time.monotonic() - start < 0.05
    assert not need.poll(0.05)
    assert time.monotonic() - start >= 0.05
    assert not need.poll(-1)
    pair[1].send(b"x")
    assert need.poll(0)
    assert need.poll(1)
    assert need.poll()
    assert PollNeeded(pair[0].fileno(), POLLOUT).poll()
    assert PollNeeded(pair[0].fileno(), POLLIN | POLLOUT).poll()


@pytest.mark.feature("B39")
def test_poll_sees_a_hang_up(pair, waiting):
    pair[1].close()

    assert PollNeeded(pair[0].fileno(), POLLIN).poll(1)


def test_run_returns_what_the_operation_returns(pair, waiting):
    timer = threading.Timer(0.05, pair[1].send, [b"data"])
    timer.start()

    assert run(receive(pair[0])) == b"data"
    timer.join()
    assert run(value(3)) == 3
    with pytest.raises(LookupError):
        run(value(LookupError()))


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
    assert 0.05 <= time.monotonic() - start < 2
    assert log == ["closed"]
    pair[1].send(b"x")
    assert run(op(), timeout=5) == b"x"


@pytest.mark.parametrize("seconds", [float("inf"), 1e9], ids=["inf", "decades"])
def test_limits_may_be_as_far_as_they_like(pair, waiting, seconds):
    for limit in (lambda op: within(time.monotonic() + seconds, op), lambda op: stall(seconds, op)):
        timer = threading.Timer(0.02, pair[1].send, [b"x"])
        timer.start()
        assert run(limit(receive(pair[0])), timeout=seconds) == b"x"
        timer.join()
    assert PollNeeded(pair[0].fileno(), POLLOUT).poll(seconds)


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


# ---- Wake


@pytest.fixture(params=["_EventFD", "_Pipe", "_SocketPair"])
def end(request, monkeypatch):
    if request.param == "_EventFD" and not hasattr(os, "eventfd"):
        pytest.skip("needs eventfd (Linux)")
    monkeypatch.setattr(polling, "_end", getattr(polling, request.param))


def test_wake_is_ready_between_set_and_clear(end):
    with Wake() as wake:
        need = PollNeeded(wake.fd, POLLIN)
        assert not wake.is_set()
        assert not need.poll(0)
        for _ in range(3):
            wake.set()
        assert wake.is_set()
        assert need.poll(0)
        for _ in range(3):
            wake.clear()
        assert not need.poll(0)


def test_wake_wakes_another_thread(end):
    with Wake() as wake:
        threading.Timer(0.05, wake.set).start()
        assert run(wake.co_wait()) is True


def test_wake_may_be_used_after_its_end(end):
    wake = Wake()
    wake.close()
    wake.close()
    wake.set()
    wake.clear()


def test_waiting_for_a_wake_has_a_deadline(end):
    with Wake() as wake:
        assert run(wake.co_wait(time.monotonic() + 0.05)) is False


def test_every_system_has_an_end(monkeypatch):
    monkeypatch.delattr(os, "eventfd", raising=False)
    assert type(polling._end()).__name__ == "_Pipe"
    monkeypatch.setattr(os, "name", "nt")
    end = polling._end()
    monkeypatch.undo()
    assert type(end).__name__ == "_SocketPair"
    end.close()


# ---- within, stall


def test_within_lets_pass_what_is_in_time(pair):
    pair[1].send(b"x")
    assert run(within(time.monotonic() + 5, receive(pair[0]))) == b"x"


def test_within_narrows_the_deadline(pair):
    soon, later = time.monotonic() + 5, time.monotonic() + 10

    assert next(within(later, receive(pair[0], soon))).deadline == soon
    assert next(within(soon, receive(pair[0], later))).deadline == soon
    assert next(within(soon, receive(pair[0]))).deadline == soon


@pytest.mark.parametrize("limit", [lambda op: within(time.monotonic() + 0.05, op),
                                   lambda op: stall(0.05, op)])  # fmt: skip
def test_limits_tell_the_operation_that_its_time_is_over(pair, limit):
    def swallows():
        try:
            yield from receive(pair[0])
        except ConnectionTimedOut:
            return "in the last moment"

    def goes_on():
        while True:
            try:
                yield from receive(pair[0])
            except ConnectionTimedOut:
                continue

    with pytest.raises(ConnectionTimedOut):
        run(limit(receive(pair[0])))
    assert run(limit(swallows())) == "in the last moment"
    with pytest.raises(DugongError, match="went on"):
        run(limit(goes_on()))


@pytest.mark.feature("A56")
def test_trickle_is_no_stall_but_ends_at_a_total_limit(pair):
    def trickle():
        for _ in range(8):
            time.sleep(0.03)
            pair[1].send(b"x")

    def collect():
        got = b""
        while len(got) < 8:
            got += yield from receive(pair[0])
        return got

    sender = threading.Thread(target=trickle)
    sender.start()
    assert run(stall(5, collect())) == b"x" * 8
    sender.join()
    sender = threading.Thread(target=trickle)
    sender.start()
    with pytest.raises(ConnectionTimedOut):
        run(within(time.monotonic() + 0.1, collect()))
    sender.join()


def test_needless_resumption_is_no_movement(pair):
    operation = stall(0.05, receive(pair[0]))
    next(operation)
    with pytest.raises(ConnectionTimedOut, match=r"0\.05 seconds"):
        while True:
            time.sleep(0.01)
            next(operation)


def test_stall_keeps_an_earlier_deadline_of_the_operation(pair):
    soon = time.monotonic() + 0.02
    operation = stall(60, receive(pair[0], soon))

    assert next(operation).deadline == soon
    time.sleep(0.03)
    assert next(operation).deadline == soon  # the operation decides, and here it goes on


# ---- both, first_of


@pytest.fixture(params=[True, False], ids=["epoll", "no epoll"])
def bundles(request, monkeypatch):
    if not request.param:
        monkeypatch.delattr(select, "epoll")


def test_both_gives_both_results(pair, bundles):
    def sender():
        yield PollNeeded(pair[1].fileno(), POLLOUT)
        pair[1].send(b"hello")
        return "sent"

    assert run(both(receive(pair[0]), sender())) == (b"hello", "sent")
    assert run(both(value(1), value(2))) == (1, 2)


def test_both_on_one_descriptor_is_one_wait(pair):
    fd = pair[0].fileno()
    operation = both(value(1, [PollNeeded(fd, POLLIN)]), value(2, [PollNeeded(fd, POLLOUT, 5.0)]))

    need = next(operation)

    assert (need, need.deadline) == ((fd, POLLIN | POLLOUT), 5.0)
    operation.close()


def test_failure_of_one_closes_the_other(pair, bundles):
    log = []

    def forever():
        try:
            while True:
                yield PollNeeded(pair[0].fileno(), POLLIN)
        finally:
            log.append("closed")

    with pytest.raises(LookupError):
        run(both(forever(), value(LookupError(), [PollNeeded(pair[1].fileno(), POLLOUT)])))
    assert log == ["closed"]


def test_first_result_wins_and_the_others_are_closed(pair, bundles):
    log = []

    def forever():
        try:
            while True:
                yield PollNeeded(pair[0].fileno(), POLLIN)
        finally:
            log.append("closed")

    ready = PollNeeded(pair[1].fileno(), POLLOUT)
    assert run(first_of(forever(), value("won", [ready, ready]))) == "won"
    assert log == ["closed"]
    assert run(first_of(value("at once"), forever())) == "at once"
    assert log == ["closed"]


def test_failures_are_passed_by_while_somebody_may_win(pair, bundles):
    ready = PollNeeded(pair[1].fileno(), POLLOUT)

    assert run(first_of(value(LookupError()), value("won", [ready]))) == "won"
    assert run(first_of(value(LookupError(), [ready]), value("won", [ready, ready]))) == "won"
    with pytest.raises(KeyError):
        run(first_of(value(LookupError()), value(KeyError())))
    with pytest.raises(ValueError, match="at least one"):
        run(first_of())


def test_staggered_start(pair, bundles):
    started = []

    def op(name, result, waits=()):
        started.append((name, time.monotonic()))
        return (yield from value(result, waits))

    def forever(name):
        started.append((name, time.monotonic()))
        while True:
            yield PollNeeded(pair[0].fileno(), POLLIN)

    begin = time.monotonic()
    assert run(first_of(forever("a"), forever("b"), op("c", "won"), stagger=0.05)) == "won"
    times = {name: at - begin for name, at in started}
    assert times["a"] < 0.04
    assert 0.05 <= times["b"] < 0.2
    assert 0.1 <= times["c"] < 0.4
    started.clear()
    begin = time.monotonic()
    assert run(first_of(op("a", LookupError()), op("b", "won"), stagger=60)) == "won"
    assert time.monotonic() - begin < 5


def test_every_operation_is_closed_even_if_closing_one_fails(pair):
    log = []

    def stubborn():
        try:
            yield PollNeeded(pair[0].fileno(), POLLIN)
        finally:
            log.append("first")
            raise LookupError("while closing")

    def other():
        try:
            yield PollNeeded(pair[0].fileno(), POLLIN)
        finally:
            log.append("second")

    operation = both(stubborn(), other())
    next(operation)
    with pytest.raises(LookupError):
        operation.close()
    assert log == ["first", "second"]


def test_bundle_follows_what_is_waited_for(pair):
    bundle = polling.Bundle()
    reader, writer = os.pipe()
    try:
        quiet = PollNeeded(pair[0].fileno(), POLLIN)
        assert not bundle.need([quiet, PollNeeded(reader, POLLIN)]).poll(0)
        os.close(reader)
        assert bundle.need([quiet, PollNeeded(writer, POLLOUT)], 5.0).deadline == 5.0
        assert bundle.need([quiet, PollNeeded(writer, POLLOUT)]).poll(0)
    finally:
        os.close(writer)
        bundle.close()
