"""A lock is held while something is done, and refused to others meanwhile."""

from functools import partial
from threading import Lock

import pytest
from kit.streams import finish

from dugong_like.polling.holding import co_holding, holding, holding_if_free


class Busy(Exception):
    """Another one has the lock."""


class Case:
    """A lock, and what is noted of its use."""

    def __init__(self):
        self.lock = Lock()
        self.done = []

    def refuse(self):
        raise Busy

    def call(self):
        self.done.append(self.lock.locked())
        return "result"

    def co_call(self):
        yield from ()
        return self.call()

    def after(self):
        self.done.append(self.lock.locked())

    def ways(self):
        return (
            lambda refuse: holding(self.lock, refuse, self.call, self.after),
            lambda refuse: finish(co_holding(self.lock, refuse, self.co_call(), self.after)),
        )


def test_it_is_held_during_the_call_and_free_behind_it():
    case = Case()
    for way in (*case.ways(), lambda _: holding_if_free(case.lock, case.call, case.after)):
        case.done.clear()
        assert way(case.refuse) == "result"
        assert case.done == [True, False]


def test_one_that_comes_meanwhile_is_refused_and_takes_nothing():
    case = Case()
    with case.lock:
        for way in case.ways():
            with pytest.raises(Busy):
                way(case.refuse)
        assert holding_if_free(case.lock, case.call, case.after) is None
    assert case.done == []


def test_it_is_tried_again_when_nobody_refuses():
    case = Case()
    for way in case.ways():
        case.done.clear()
        case.lock.acquire()
        assert way(case.lock.release) == "result"
        assert case.done == [True, False]


def test_it_is_free_after_an_error():
    case = Case()

    def fail():
        raise ValueError("too bad")

    for way in (partial(holding, case.lock, case.refuse), partial(holding_if_free, case.lock)):
        with pytest.raises(ValueError, match="too bad"):
            way(fail, case.after)
    assert case.done == [False, False]
