"""Streams that this side has reset."""

from dugong_like.http.h2.reset_streams import MOST_KEPT, ResetStreams


def test_late_content_is_limited_by_the_window_of_the_stream():
    resets = ResetStreams()
    resets.add(3, 100)
    assert 3 in resets
    assert 1 not in resets
    assert [resets.received(3, 60), resets.received(3, 40), resets.received(3, 7)] == [0, 0, 7]


def test_old_streams_are_forgotten_and_tolerated():
    resets = ResetStreams()
    for number in range(MOST_KEPT + 10):
        resets.add(2 * number + 1, 10)

    assert 1 in resets
    assert 19 in resets
    assert resets.received(1, 1000) == 0  # its window is not known any more
    assert 21 in resets
    assert resets.received(21, 1000) == 990
    assert 2 * MOST_KEPT + 21 not in resets
