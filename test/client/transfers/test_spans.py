"""Spans: sets of bytes, compared with sets of numbers."""

import random
from itertools import pairwise

import pytest

from dugong_like.client.transfers.spans import Spans


def test_like_sets_of_numbers():
    chance = random.Random(7)
    for _ in range(300):
        spans, numbers = Spans(), set()
        for _ in range(chance.randrange(12)):
            begin = chance.randrange(30)
            end = begin + chance.randrange(8)
            spans.add(begin, end)
            numbers |= set(range(begin, end))
            found = list(spans)
            assert set().union(*(range(*span) for span in found)) == numbers
            assert all(end < begin for (_, end), (begin, _) in pairwise(found))
            assert spans.count == len(numbers)
            assert spans.end == max(numbers, default=-1) + 1
            assert spans.prefix == next(at for at in range(40) if at not in numbers)
            missing = spans.missing(40)
            assert set().union(*(range(*span) for span in missing)) == set(range(40)) - numbers


@pytest.mark.parametrize(
    ("given", "size", "missing"),
    [
        ([], None, [(0, None)]),
        ([], 0, []),
        ([], 5, [(0, 5)]),
        ([(0, 5)], 5, []),
        ([(0, 5)], None, [(5, None)]),
        ([(2, 3)], None, [(0, 2), (3, None)]),
    ],
)
def test_what_is_missing(given, size, missing):
    assert Spans(given).missing(size) == missing


def test_nothing_is_left_after_clear():
    spans = Spans([(0, 5), (7, 8)])
    assert repr(spans) == "Spans([(0, 5), (7, 8)])"
    spans.clear()
    assert list(spans) == []
