"""Frames without use: what they cost, and when there are too many."""

from functools import partial

import pytest

from dugong_like.http.h2.floods import MAX_COST, Floods
from dugong_like.http.h2.violations import ErrorCode, Violation


def cost_until(count):
    """Return how often *count* may be called."""
    for times in range(MAX_COST + 1):
        try:
            count()
        except Violation as exc:
            assert exc.code == ErrorCode.ENHANCE_YOUR_CALM
            return times
    return None


def test_costs():
    assert cost_until(Floods().count) == MAX_COST
    assert cost_until(partial(Floods().count_settings, 0)) == 1000
    assert cost_until(partial(Floods().count_settings, 16384)) == 57
    assert cost_until(partial(Floods().count_block, 300)) == MAX_COST
    assert cost_until(partial(Floods().count_block, 65_536)) == 151


def test_frames_with_use_begin_the_count_again():
    floods = Floods()
    floods.count(MAX_COST)
    floods.begin_again()
    assert floods.cost == 0
    floods.expect_updates(3)
    floods.begin_again()
    assert floods.cost == -6
    floods.count(MAX_COST + 6)
    with pytest.raises(Violation, match="one after the other"):
        floods.count()
