"""What waits are for that know it by themselves, and how combinators pass it on."""

import os
import socket
import time

import pytest
from kit.small_operations import receive, value

from dugong_like import POLLIN, POLLOUT, PollNeeded, RateLimit, Wake, both, first_of, stall, within
from dugong_like.polling import reasons
from dugong_like.polling.binary_streams import co_read_some
from dugong_like.polling.contract import Source
from dugong_like.polling.fair_lock import FairLock
from dugong_like.polling.wake import co_checkpoint


def reason_of(op):
    """Return the reason of the first wait of *op*, which is closed."""
    try:
        return next(op).reason
    finally:
        op.close()


@pytest.fixture
def pair():
    sock, other = socket.socketpair()
    with sock, other:
        sock.setblocking(False)
        yield sock, other


def co_wake(wake):
    yield from wake.co_wait()


def co_through(op):
    """A combinator of a user: it resumes *op* and passes its waits on."""
    try:
        while True:
            yield next(op)
    except StopIteration as end:
        return end.value
    finally:
        op.close()


def test_a_wait_of_unknown_reason_has_none(pair):
    assert PollNeeded(pair[0].fileno(), POLLIN).reason is None
    assert PollNeeded(pair[0].fileno(), POLLIN, None, Source(pair[0].fileno())).reason is None
    assert reason_of(receive(pair[0])) is None


def test_flags():
    with Wake() as plain, Wake("pool") as named:
        assert reason_of(plain.co_wait()) == "wake"
        assert reason_of(named.co_wait()) == "pool"
        assert reason_of(named.co_wait(time.monotonic() + 30)) == "pool"


def test_turns():
    fair = FairLock()
    fair.lock.acquire()
    assert reason_of(fair.co_acquire()) == "turn"


def test_rates():
    limit = RateLimit(1000)
    limit.spend(1000)
    assert reason_of(limit.co_take(1)) == "rate limit"


def test_letting_others_run():
    assert [reason_of(co_checkpoint()) for _ in range(3)] == ["checkpoint"] * 3  # also kept ones


def test_files():
    reader, writer = os.pipe()
    os.set_blocking(reader, False)
    with os.fdopen(reader, "rb", buffering=0) as file, os.fdopen(writer, "wb"):
        assert reason_of(co_read_some(file, 10)) == "file"


@pytest.mark.parametrize(
    "wrapped",
    [
        lambda op: within(time.monotonic() + 30, op),
        lambda op: stall(30, op),
        lambda op: within(time.monotonic() + 30, stall(20, within(time.monotonic() + 10, op))),
        lambda op: both(op, value(1)),
        lambda op: both(value(1), op),
        first_of,
        co_through,
    ],
    ids=["within", "stall", "nested", "both", "both, the other", "first_of", "of a user"],
)
def test_a_combinator_keeps_the_reason(wrapped, pair):
    with Wake("pool") as wake:
        assert reason_of(wrapped(wake.co_wait())) == "pool"
    stated = PollNeeded(pair[0].fileno(), POLLIN).because("stated")
    assert reason_of(wrapped(value(1, [stated] * 5))) == "stated"


@pytest.mark.parametrize("joined", [both, first_of])
def test_several_waits_have_several_reasons(joined, pair):
    with Wake("one") as one, Wake("other") as other:
        need = next(op := joined(one.co_wait(), other.co_wait()))
        assert need.reason == "one or other"
        assert need.until(5.0).reason == "one or other"
        op.close()
        op = joined(one.co_wait(), value(1, [PollNeeded(pair[0].fileno(), POLLIN)] * 5))
        assert reason_of(op) == "one"


def test_what_they_are_changes_with_what_is_waited_for():
    with Wake("one") as one, Wake("other") as other, Wake("third") as third:

        def co_one_then_third():
            yield from one.co_wait()
            yield from third.co_wait()

        op = both(co_one_then_third(), other.co_wait())
        assert next(op).reason == "one or other"
        one.set()
        assert next(op).reason == "third or other"
        other.set()
        assert next(op).reason == "third"
        op.close()


def test_two_waits_for_one_descriptor(pair):
    fd = pair[0].fileno()
    full = PollNeeded(fd, POLLOUT).because("full")
    need = next(op := both(value(1, [PollNeeded(fd, POLLIN)]), value(2, [full])))
    assert need == (fd, POLLIN | POLLOUT)
    assert need.reason == "full"
    assert need.until(5.0).reason == "full"
    op.close()
    other = PollNeeded(fd, POLLIN).because("other")
    assert reason_of(both(value(1, [full]), value(2, [other]))) == "full or other"


def test_a_stated_reason_changes_nothing_else(pair):
    source = Source(pair[0].fileno(), "of the source")
    need = source.need(POLLIN, 12.5)
    stated = need.because("stated")
    assert need.reason == "of the source"
    assert stated.reason == stated.because("other").because("stated").reason == "stated"
    assert (stated, stated.deadline, stated.source) == (need, 12.5, source)
    assert stated.until(None).reason == "stated"


def test_an_explainer_knows_better_than_a_word_that_any_descriptor_has(monkeypatch):
    class Known:
        def reason_of(self, fd, mask):
            asked.append((fd, mask))
            return "known" if fd == 5 else None

    asked = []
    monkeypatch.setattr(reasons, "explainers", [Known])
    assert [reasons.explained(given, 5, POLLIN) for given in (None, "wake", "receive")] == [
        "known"
    ] * 3
    assert reasons.explained("receive", 6, POLLOUT) == "receive"
    assert reasons.explained("turn", 5, POLLIN) == "turn"
    assert asked == [(5, POLLIN)] * 3 + [(6, POLLOUT)]


def test_nothing_is_done_until_somebody_asks(monkeypatch, pair):
    def explode():
        raise AssertionError("asked")

    monkeypatch.setattr(reasons, "explainers", [explode])
    need = Source(pair[0].fileno()).need(POLLIN)
    assert vars(need).keys() == {"source"}
    with pytest.raises(AssertionError, match="asked"):
        need.reason
