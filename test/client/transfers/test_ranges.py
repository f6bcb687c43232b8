"""Ranges: how a file is split. Which answers are used, test_download.py has."""

import pytest

from dugong_like.client.transfers import ranges
from dugong_like.client.transfers.ranges import Range, Ranges, range_fields, split
from dugong_like.client.transfers.spans import Spans


@pytest.mark.parametrize("count", [1, 2, 3, 8, 64])
@pytest.mark.parametrize("size", [1, 99, 100, 149, 150, 151, 1000, 12_345])
def test_the_ranges_are_the_whole_and_none_is_small(monkeypatch, size, count):
    monkeypatch.setattr(ranges, "LEAST", 100)
    found = list(split([(7, 7 + size)], count))
    assert found[0][0] == 7
    assert found[-1][1] == 7 + size
    assert [end for _, end in found[:-1]] == [begin for begin, _ in found[1:]]
    assert all(end - begin >= min(size, 50) for begin, end in found)
    assert len(found) <= count + 1


def test_gaps_stay_gaps(monkeypatch):
    monkeypatch.setattr(ranges, "LEAST", 100)
    assert list(split([(0, 10), (500, 900)], 2)) == [(0, 10), (500, 705), (705, 900)]


def test_the_fields():
    assert range_fields(5, None, None) == [("Range", "bytes=5-")]
    assert range_fields(0, 10, '"1"') == [("Range", "bytes=0-9"), ("If-Range", '"1"')]


# ---- ranges at the same time


class Clock:
    now = 100.0

    def __call__(self):
        return self.now


@pytest.fixture
def two(monkeypatch):
    """Return two ranges of 10,000 bytes each, the first of which is done, and what they are of."""
    monkeypatch.setattr(ranges, "LEAST", 100)
    spans, clock = Spans(), Clock()
    all_ranges = Ranges([(0, 10_000), (10_000, 20_000)], spans, clock)
    done, slow = all_ranges.start(), all_ranges.start()
    spans.add(0, 10_000)
    all_ranges.finish(done)
    return all_ranges, slow, spans, clock


def test_half_of_what_a_slow_one_has_left_is_taken_over(two):
    all_ranges, slow, spans, clock = two
    spans.add(10_000, 12_000)
    clock.now += 1
    taken = all_ranges.start()
    assert (taken.begin, taken.end, slow.end) == (16_000, 20_000, 16_000)
    assert (slow.is_cut, taken.is_cut) == (True, False)
    assert slow.next(spans) == 12_000
    assert taken.next(spans) == 16_000


def test_nothing_is_taken_over_that_comes_soon_or_is_small(two):
    all_ranges, slow, spans, clock = two
    clock.now += 1
    spans.add(10_000, 16_300)  # the rest would take less than 0.6 seconds
    assert all_ranges.start() is None
    clock.now += 1000
    spans.add(15_000, 19_951)
    assert all_ranges.start() is None
    assert slow.end == 20_000


def test_one_that_gets_nothing_is_given_a_moment(two):
    all_ranges, slow, spans, clock = two
    assert all_ranges.start() is None
    clock.now += 2
    assert all_ranges.start().begin == slow.end == 15_000


def test_one_that_has_just_begun_is_not_taken_for_the_slowest():
    """Its rate is not known before it has a byte, or has had the time for one."""
    mib, spans, clock = 1 << 20, Spans(), Clock()
    all_ranges = Ranges([(0, 4 * mib), (4 * mib, 8 * mib), (8 * mib, 12 * mib)], spans, clock)
    first, second, slow = all_ranges.start(), all_ranges.start(), all_ranges.start()
    clock.now += 4
    for begin, end in ((0, 4 * mib), (4 * mib, 8 * mib - 1000), (8 * mib, 9 * mib)):
        spans.add(begin, end)
    all_ranges.finish(first)
    taken = all_ranges.start()
    assert (taken.begin, taken.end) == (10.5 * mib, 12 * mib)
    clock.now += 0.01
    spans.add(4 * mib, 8 * mib)
    all_ranges.finish(second)
    again = all_ranges.start()
    assert (again.begin, again.end, slow.end) == (9.75 * mib, 10.5 * mib, 9.75 * mib)
    assert (taken.end, taken.is_cut) == (12 * mib, False)
    clock.now += ranges.WORTH
    all_ranges.finish(again)
    assert all_ranges.start().begin == taken.end == 11.25 * mib, "it has had the time by now"


def test_those_that_wait_come_first():
    all_ranges = Ranges([(0, 10_000_000), (20_000_000, 30_000_000)], Spans(), Clock())
    all_ranges.start()
    assert all_ranges.waiting == 1
    assert all_ranges.start().begin == 20_000_000
    assert all_ranges.waiting == 0


def test_bytes_that_came_from_the_slow_one_after_all_are_not_asked_for():
    spans = Spans([(0, 500), (700, 1000)])
    assert Range(0, 1000).next(spans) == 500
    assert Range(600, 1000).next(spans) == 600
    assert Range(700, 1000).next(spans) == 1000
    assert Range(0, 400).next(spans) == 400
