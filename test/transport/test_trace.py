"""Telling of an operation: its beginning and its end, whatever that is."""

import pytest
from kit.streams import finish

from dugong_like.polling.contract import POLLIN, PollNeeded
from dugong_like.transport.trace import co_traced


def co_work(result="done", failure=None):
    yield PollNeeded(1, POLLIN)
    if failure is not None:
        raise failure
    return result


class Told(list):
    """A trace that keeps events, and raises at one of them."""

    def __init__(self, bad=None):
        super().__init__()
        self.bad = bad

    def __call__(self, event, info):
        self.append((event, info))
        if event == self.bad:
            raise LookupError(event)


def test_success_is_told_with_the_result():
    told = Told()

    assert finish(co_traced(told, "work", co_work(), {"who": "me"}, result=len)) == "done"
    assert told == [("work.started", {"who": "me"}), ("work.complete", {"return_value": 4})]


def test_failure_is_told_with_the_exception():
    told, failure = Told(), OSError("no")

    with pytest.raises(OSError, match="no"):
        finish(co_traced(told, "work", co_work(failure=failure), {}))
    assert told == [("work.started", {}), ("work.failed", {"exception": failure})]


def test_giving_up_is_told_as_a_failure():
    told = Told()
    op = co_traced(told, "work", co_work(), {})
    next(op)
    op.close()

    assert isinstance(told[1][1]["exception"], GeneratorExit)


def test_nobody_is_told_without_a_trace():
    assert finish(co_traced(None, "work", co_work(), {})) == "done"


@pytest.mark.parametrize("bad", ["work.started", "work.complete"])
def test_what_the_trace_raises_goes_up_and_the_result_is_undone(bad):
    undone = []
    op = co_work()

    with pytest.raises(LookupError, match=bad):
        finish(co_traced(Told(bad), "work", op, {}, undo=undone.append))
    assert op.gi_frame is None
    assert undone == (["done"] if bad == "work.complete" else [])
