"""What is counted before others have their turn; behaviour/test_fairness.py has who counts it."""

import pytest

from dugong_like.polling.fairness import STEP, TURN, StepCounter


def turns(counter, steps):
    return [number for number in range(steps) if counter.is_over()]


def test_a_turn_is_over_after_so_many_steps_and_the_next_one_begins():
    assert turns(StepCounter(), 3 * TURN // STEP) == [
        TURN // STEP - 1,
        2 * TURN // STEP - 1,
        3 * TURN // STEP - 1,
    ]


@pytest.mark.parametrize("count", [TURN - STEP, TURN, 100 * TURN])
def test_a_turn_is_over_after_so_many_bytes(count):
    counter = StepCounter()
    counter.done += count

    assert turns(counter, TURN // STEP - 1) == [0]


def test_bytes_and_steps_count_together():
    counter = StepCounter()
    counter.done += TURN // 2

    assert turns(counter, TURN // STEP) == [TURN // STEP // 2 - 1]
