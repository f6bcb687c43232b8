"""Time limits taken apart."""

import pytest

from dugong_like import Timeouts
from dugong_like.connection.time_limits import OwnLimits


def test_number_is_the_limit_for_every_wait():
    limits = OwnLimits(3)
    assert (limits.timeout, limits.write_timeout, limits.head_timeout) == (3, 3, 3)
    assert (limits.head_limit, limits.total) == (None, None)
    limits.limit(None)
    assert (limits.timeout, limits.write_timeout, limits.head_timeout) == (None, None, None)


def test_limits_by_phase():
    limits = OwnLimits(Timeouts(read=1, write=2, head=3, total=4))
    assert (limits.timeout, limits.write_timeout) == (1, 2)
    assert (limits.head_limit, limits.total) == (3, 4)
    assert limits.timeouts.total == 4


@pytest.mark.parametrize("limit", [-1, "3"])
def test_invalid_limit_is_refused(limit):
    with pytest.raises((ValueError, TypeError)):
        OwnLimits(limit)
