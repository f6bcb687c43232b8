"""Waits of many operations as one: which of them are over."""

import os
import select
import time

import pytest
from kit.support import open_descriptors

from dugong_like import run
from dugong_like.polling.contract import POLLIN, PollNeeded, wait
from dugong_like.polling.ready_set import ReadySet
from dugong_like.polling.wake import Wake


@pytest.fixture
def flags():
    made = [Wake(f"flag {number}") for number in range(3)]
    yield made
    for flag in made:
        flag.close()


def test_only_those_are_named_that_are_ready(flags):
    waits = ReadySet()
    for number, flag in enumerate(flags):
        waits.set(number, flag.need())
    flags[1].set()

    assert wait(waits.need(), 10)
    assert waits.ready() == [1]
    assert len(waits) == 3
    waits.close()


def test_what_is_dropped_is_not_waited_for(flags):
    waits = ReadySet()
    for number, flag in enumerate(flags):
        flag.set()
        waits.set(number, flag.need())
    waits.need()
    waits.drop(0)
    waits.drop(2)
    waits.drop("unknown")

    assert wait(waits.need(), 10)
    assert waits.ready() == [1]
    waits.drop(1)
    assert not wait(waits.need(), 0)
    waits.close()


def test_a_key_may_wait_for_something_else(flags):
    waits = ReadySet()
    waits.set("a", flags[0].need())
    waits.need()
    waits.set("a", flags[1].need())
    flags[0].set()

    assert not wait(waits.need(), 0)
    flags[1].set()
    assert wait(waits.need(), 10)
    assert waits.ready() == ["a"]
    waits.close()


def test_two_may_wait_for_one_descriptor(flags):
    waits = ReadySet()
    waits.set("a", flags[0].need())
    waits.set("b", flags[0].need(time.monotonic() + 1000))
    flags[0].set()

    waits.need()
    assert waits.ready() == ["a", "b"]
    waits.drop("a")
    waits.need()
    assert waits.ready() == ["b"]
    waits.close()


def test_deadlines_are_those_of_the_waits_and_of_the_whole(flags):
    now = time.monotonic()
    waits = ReadySet()
    waits.set("a", flags[0].need())
    assert waits.need().deadline is None
    assert waits.need(now + 5).deadline == now + 5
    waits.set("b", flags[1].need(now + 3))
    assert waits.need().deadline == now + 3
    assert waits.need(now + 5).deadline == now + 3
    assert waits.ready() == []
    waits.set("b", flags[1].need(now))
    waits.need()
    assert waits.ready() == ["b"]
    waits.close()


def test_a_number_that_means_another_file_is_registered_anew():
    waits = ReadySet()
    first, second = os.pipe()
    waits.set("a", PollNeeded(first, POLLIN))
    waits.need()
    os.close(first)
    os.close(second)
    first, second = os.pipe()
    os.write(second, b"x")
    waits.set("a", PollNeeded(first, POLLIN))

    assert wait(waits.need(), 10)
    assert waits.ready() == ["a"]
    waits.close()
    os.close(first)
    os.close(second)


def test_reasons_are_those_of_all(flags):
    waits = ReadySet()
    for number, flag in enumerate(flags[:2]):
        waits.set(number, flag.need())

    assert waits.need().reason == "flag 0 or flag 1"
    waits.close()


def test_without_epoll_all_count_as_ready(flags, monkeypatch):
    monkeypatch.delattr(select, "epoll")
    waits = ReadySet()
    for number, flag in enumerate(flags):
        waits.set(number, flag.need())

    assert {waits.need()[0] for _ in flags} == {flag.fd for flag in flags}
    assert waits.need().deadline <= time.monotonic() + 1
    assert waits.need(time.monotonic() - 5).deadline < time.monotonic()
    assert waits.ready() == [0, 1, 2]
    waits.close()


def test_nothing_is_left(flags):
    before = open_descriptors()
    waits = ReadySet()
    waits.set("a", flags[0].need())

    def co():
        flags[0].set()
        yield waits.need()
        waits.close()
        waits.close()

    run(co())
    assert open_descriptors() == before
