"""The program that measures echoes by WebSocket: that it runs, and what it prints."""

import re

import pytest

from contrib.bench import websocket


@pytest.mark.slow
def test_each_way_is_measured_beside_the_client_of_websockets():
    with websocket.serving() as port:
        results = websocket.measured(1, 3, port)
    head, *lines = websocket.report(results)

    assert head.split() == ["echo", "of", "1", "KiB", "client", "CPU", "µs", "spread", "wall",
                            "µs", "ratio"]  # fmt: skip
    assert len(lines) == 4 * len(websocket.ways())
    for line in lines:
        assert re.fullmatch(
            r"(blocking|asyncio|trio)(, deflate)? +(dugong_like|websockets) +[\d.]+ +\d+% +[\d.]+"
            r" +[\d.]+",
            line,
        ), line
