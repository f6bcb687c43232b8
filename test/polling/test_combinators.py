"""Operations made of operations: limits, two at once, races."""

import os
import select
import socket
import threading
import time

import pytest
from kit.small_operations import receive, value

from dugong_like import (
    POLLIN,
    POLLOUT,
    ConnectionClosed,
    ConnectionTimedOut,
    DugongError,
    PollNeeded,
    Wake,
    both,
    first_of,
    run,
    stall,
    within,
)
from dugong_like.polling import combinators
from dugong_like.polling import contract as polling
from dugong_like.polling.wake import co_pause, co_sleep


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
        joined = combinators.Bundle().need([first, PollNeeded(one.fd, POLLOUT), second])
        assert (joined, joined.deadline) == ((one.fd, POLLIN | POLLOUT), deadline)
        assert joined.source is source
        needs = list(both(op(one, 4), op(other, 2)))
        bundled = {need.source for need in needs} - {source, other_source}
        assert len(bundled) == 1
        assert bundled.pop().closed
        assert needs[-1].source is source


@pytest.mark.parametrize("seconds", [float("inf"), 1e9], ids=["inf", "decades"])
def test_limits_may_be_as_far_as_they_like(pair, waiting, seconds):
    for limit in (lambda op: within(time.monotonic() + seconds, op), lambda op: stall(seconds, op)):
        timer = threading.Timer(0.02, pair[1].send, [b"x"])
        timer.start()
        assert run(limit(receive(pair[0])), timeout=seconds) == b"x"
        timer.join()
    assert PollNeeded(pair[0].fileno(), POLLOUT).poll(seconds)


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


def raising(error, *needs):
    """Wait for *needs*, and raise *error*, also at a time limit of a caller."""
    try:
        yield from needs
    except ConnectionTimedOut:
        raise error from None
    raise error


def test_errors_of_an_operation_are_results_where_these_are_wanted():
    error = ConnectionClosed("it is gone")
    with Wake() as wake:
        going = combinators.own_error(raising(error, wake.need()), DugongError)
        assert next(going) == wake.need()
        with pytest.raises(StopIteration) as end:
            next(going)
        assert end.value.value is error
        for kind in (DugongError, Exception):
            assert run(combinators.own_error(idle(), kind)) is None
        with pytest.raises(OSError, match="full"):
            run(combinators.own_error(raising(OSError("full")), DugongError))


def test_a_limit_of_the_caller_is_raised_whatever_the_operation_makes_of_it():
    lost, mine = ConnectionClosed("it is gone"), ConnectionTimedOut("mine", phase="read")
    with Wake() as wake:
        going = combinators.own_error(raising(lost, wake.need()), DugongError)
        next(going)
        with pytest.raises(ConnectionClosed, match="gone"):
            going.throw(mine)
        ends = []
        going = combinators.own_error(ending(wake, ends), DugongError)
        next(going)
        with pytest.raises(ConnectionTimedOut, match="mine"):
            going.throw(mine)
        going = combinators.own_error(ending(wake, ends), DugongError)
        next(going)
        going.close()
        assert ends == [ConnectionTimedOut, GeneratorExit]


def ending(wake, ends):
    try:
        yield wake.need()
    except BaseException as exc:
        ends.append(type(exc))
        raise


@pytest.mark.feature("A56")
def test_trickle_is_no_stall_but_ends_at_a_total_limit(pair):
    def trickle():
        for _ in range(8):
            time.sleep(0.03)
            pair[1].send(b"x")

    def collect(count=8):
        got = b""
        while len(got) < count:
            got += yield from receive(pair[0])
        return got

    sender = threading.Thread(target=trickle)
    sender.start()
    assert run(stall(5, collect())) == b"x" * 8
    sender.join()
    sender = threading.Thread(target=trickle)
    sender.start()
    with pytest.raises(ConnectionTimedOut):
        run(within(time.monotonic() + 0.1, collect(9)))  # more than there will be
    sender.join()


def test_needless_resumption_is_no_movement(pair):
    operation = stall(0.05, receive(pair[0]))
    next(operation)
    with pytest.raises(ConnectionTimedOut, match=r"nothing arrived for 0\.05 s$"):
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


def test_the_reason_of_waits_within_others_is_that_of_each_once():
    with Wake("one") as one, Wake("two") as two, Wake("three") as three:
        inner = both(one.co_wait(), two.co_wait())
        operation = both(inner, first_of(three.co_wait(), both(one.co_wait(), two.co_wait())))

        need = next(operation)

        assert need.reason == "one or two or three"
        operation.close()


def test_waits_together_are_a_pause_if_each_of_them_is():
    with Wake("pause before a retry") as other:  # a text decides nothing
        cases = [
            (co_pause(60, "retry"), True),
            (both(co_pause(60, "retry"), co_pause(60, "rest")), True),
            (both(co_pause(60, "retry"), other.co_wait()), False),
            (both(both(co_pause(60, "a"), co_pause(60, "b")), co_pause(60, "c")), True),
            (both(both(co_pause(60, "a"), other.co_wait()), co_pause(60, "c")), False),
            (within(time.monotonic() + 60, co_pause(90, "retry")), True),
            (co_sleep(60, "pause"), False),
        ]
        for number, (operation, expected) in enumerate(cases):
            assert next(operation).is_pause is expected, number
            operation.close()


@pytest.mark.parametrize("most", [1, 2, 5, 100])
def test_results_of_several_are_in_order(pair, bundles, most):
    under_way, highest = set(), 0

    def one(number):
        nonlocal highest
        under_way.add(number)
        highest = max(highest, len(under_way))
        for _ in range((number * 7) % 4):
            yield PollNeeded(pair[number % 2].fileno(), POLLOUT)
        under_way.discard(number)
        return number

    results = []
    run(combinators.several(map(one, range(20)), results, most))
    assert results == list(range(20))
    assert highest <= most
    run(combinators.several([], results, most))


def test_one_of_several_that_has_ended_makes_way_at_once(pair, bundles):
    """The first one holds back the results of the others, but not the others."""
    never, results, begun = PollNeeded(pair[0].fileno(), POLLIN), [], []

    def one(number):
        begun.append(number)
        if number in (0, 5):
            yield never
        return number

    operation = combinators.several(map(one, range(10)), results, 2)
    next(operation)
    assert (begun, results) == ([0, 1, 2, 3, 4, 5], [])
    pair[1].send(b"x")
    with pytest.raises(StopIteration):
        next(operation)
    assert results == list(range(10))


def test_failure_of_one_of_several_closes_the_others(pair):
    log, results = [], []

    def forever():
        try:
            while True:
                yield PollNeeded(pair[0].fileno(), POLLOUT)
        finally:
            log.append("closed")

    with pytest.raises(LookupError):
        run(combinators.several([value(1), forever(), value(LookupError())], results, 5))
    assert (log, results) == (["closed"], [1])


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
    assert list(times) == ["a", "b", "c"]
    assert times["b"] >= 0.05
    assert times["c"] >= 0.1
    started.clear()
    begin = time.monotonic()
    assert run(first_of(op("a", LookupError()), op("b", "won"), stagger=60)) == "won"
    assert time.monotonic() - begin < 20


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
    bundle = combinators.Bundle()
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


@pytest.mark.parametrize(
    "combine",
    [
        lambda op: within(time.monotonic() + 60, op),
        lambda op: stall(60, op),
        lambda op: both(op, idle()),
        lambda op: both(idle(), op),
        lambda op: first_of(op, idle()),
        lambda op: first_of(idle(), op),
    ],
    ids=["within", "stall", "both", "both second", "first_of", "first_of second"],
)
def test_what_is_no_operation_is_refused_in_words_that_help(combine):
    with pytest.raises(TypeError, match=r"^bytes is no operation; .* is co_ missing\?$"):
        run(combine(b"the result of conn.readall()"))


def idle():
    """Wait for nothing."""
    yield from ()


@pytest.mark.parametrize(
    "needs", [5, None, "x", (0, POLLIN), object()], ids=lambda needs: type(needs).__name__
)
@pytest.mark.parametrize(
    "combine",
    [
        lambda op: within(time.monotonic() + 100, op),
        lambda op: stall(100, op),
        lambda op: both(op, idle()),
        lambda op: both(idle(), op),
        first_of,
    ],
    ids=["within", "stall", "both, first", "both, second", "first_of"],
)
def test_a_generator_of_something_else_is_refused(combine, needs):
    closed = []

    def op():
        try:
            yield needs
        finally:
            closed.append(True)

    with pytest.raises(TypeError, match=f"yielded {type(needs).__name__}, which is no PollNeeded"):
        run(combine(op()))
    assert closed == [True]
