"""The program that measures echoes by WebSocket: that it runs, and what it prints."""

import re

import pytest

from contrib.bench import websocket

TIMES = {
    ("trio", True, "dugong_like"): [(3e-5, 5e-5), (2e-5, 6e-5), (4e-5, 7e-5)],
    ("trio", True, "websockets"): [(4e-5, 8e-5)] * 3,
}


@pytest.mark.slow
def test_each_way_is_measured_beside_the_client_of_websockets():
    with websocket.serving() as port:
        results = websocket.measured(1, 3, port)
    head, *lines = websocket.report(websocket.rows(results))

    assert head.split() == ["echo", "of", "1", "KiB", "client", "CPU", "µs", "spread", "wall",
                            "µs", "ratio"]  # fmt: skip
    assert len(lines) == 4 * len(websocket.ways())
    for line in lines:
        assert re.fullmatch(
            r"(blocking|asyncio|trio)(, deflate)? +(dugong_like|websockets) +[\d.]+ +\d+% +[\d.]+"
            r" +[\d.]+",
            line,
        ), line


def test_rows_are_the_best_rounds_as_multiples_of_websockets():
    ours, theirs = websocket.rows(TIMES)
    assert (ours.work, ours.client, theirs.client) == ("trio, deflate", "dugong_like", "websockets")
    assert [round(value, 3) for value in ours[2:]] == [20, 0.5, 50, 0.5]
    assert theirs.ratio == 1
    assert websocket.Row(**ours._asdict()) == ours  # as in the file for the documents
