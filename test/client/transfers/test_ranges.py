"""Ranges: how a file is split. Which answers are used, test_download.py has."""

import pytest

from dugong_like.client.transfers import ranges
from dugong_like.client.transfers.ranges import range_fields, split


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
