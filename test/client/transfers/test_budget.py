"""How often a transfer goes on, and after which failures."""

import pytest

from dugong_like import (
    CertificateInvalid,
    ConnectionClosed,
    ConnectionTimedOut,
    DeadlineExceeded,
    InvalidOption,
    Retry,
)
from dugong_like.client.transfers.budget import PROGRESS, Budget, as_retry, may_go_on


def test_progress_renews_the_budget():
    budget = Budget(Retry(2, backoff=1, jitter=False))
    assert [budget.takes(0), budget.pause(), budget.takes(5), budget.pause()] == [True, 1, True, 2]
    assert not budget.takes(PROGRESS - 1)
    assert budget.takes(PROGRESS)
    assert budget.pause() == 1
    assert budget.takes(2 * PROGRESS - 1)
    assert not budget.takes(2 * PROGRESS - 1)


def test_a_number_or_a_retry():
    retry = Retry(7)
    assert as_retry(retry) is retry
    assert as_retry(0).total == 0
    for value, error in ((-1, InvalidOption), (True, TypeError), ("5", TypeError)):
        with pytest.raises(error):
            as_retry(value)


def test_limits_of_the_program_and_lasting_failures_end_it():
    assert may_go_on(ConnectionClosed("x"))
    assert may_go_on(ConnectionTimedOut("x", phase="read"))
    for exc in (ConnectionTimedOut("x"), DeadlineExceeded("x"), CertificateInvalid("x")):
        assert not may_go_on(exc)
