"""Pauses that grow."""

from dugong_like.polling.pauses import growing_pause


def test_a_pause_doubles_up_to_its_limit():
    pauses = [growing_pause(0.5, number, 60, jitter=False) for number in range(9)]
    assert pauses == [0.5, 1, 2, 4, 8, 16, 32, 60, 60]
    assert growing_pause(0.5, 10**9, 60, jitter=False) == 60
    assert growing_pause(0, 5, 60) == 0


def test_clients_that_failed_together_do_not_come_back_together():
    pauses = [growing_pause(8, 0, 60) for _ in range(100)]
    assert all(4 <= pause <= 8 for pause in pauses)
    assert len(set(pauses)) > 1
