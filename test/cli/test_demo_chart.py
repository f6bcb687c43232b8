"""The bar chart of the demo."""

import io
import os
import sys

import pytest

from dugong_like.cli import demo_chart
from dugong_like.cli.demo_chart import BLOCKS, Row, bar, chart


@pytest.fixture
def encoding(monkeypatch):
    """A function that sets the encoding of standard output."""
    return lambda name: monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(io.BytesIO(), name))


ROWS = [
    Row("near", "upload, sized", 10, 10 << 20, 1.0, 0.5),
    Row("near", "one by one", 100, 1 << 20, 1.0, 0.5),
    Row("near", "at once", 400, 4 << 20, 1.0, 0.25),
    Row("far", "at once", 3, 3, 1.5),
]


def test_bars_are_as_long_as_the_way_is_fast_within_each_link(encoding):
    encoding("utf-8")
    near, far, _ = (part.splitlines() for part in chart(ROWS).split("\n\n"))

    lengths = [line.count("█") for line in near[2:]]
    assert lengths == [0, 5, 22]
    assert far[2].count("█") == 22
    assert [line.split()[-5:-1] for line in near[3:]] == [
        ["100", "1", "0.50", "s"], ["400", "4", "0.25", "s"],
    ]  # fmt: skip
    assert max(map(len, near)) < 80


def test_bars_are_ascii_where_there_are_no_blocks(encoding):
    for name in ("ascii", "latin-1"):
        encoding(name)
        text = chart(ROWS)
        assert text.isascii()
        assert "#" * 22 in text


def test_a_bar_has_eighths_and_is_never_empty(encoding, monkeypatch):
    encoding("utf-8")
    assert [bar(share / 16, 2) for share in (0, 1, 8, 12, 16)] == ["▏", "▏", "█", "█▌", "██"]
    assert len(BLOCKS) == 8
    monkeypatch.setattr(sys, "stdout", None)  # closed
    assert bar(0.0, 10) == "#"
    assert bar(1.0, 10) == "#" * 10


@pytest.fixture
def terminal(encoding, monkeypatch):
    """A function that makes standard output a terminal without blocks, so many columns wide."""

    def terminal(columns):
        encoding("ascii")
        size = os.terminal_size((columns, 24))
        monkeypatch.setattr(os, "get_terminal_size", lambda _: size)
        monkeypatch.setattr(sys.stdout, "fileno", lambda: 1, raising=False)

    return terminal


def test_the_width_is_that_of_the_terminal_within_limits(terminal):
    for columns, width in ((60, 60), (70, 70), (100, 100), (300, demo_chart.MOST)):
        terminal(columns)
        assert max(len(line) for line in chart(ROWS[:3]).splitlines()[2:5]) == width - 1


@pytest.mark.parametrize("columns", [*range(35, 81)])
def test_no_line_wraps_in_a_narrow_terminal(terminal, columns):
    terminal(columns)
    slow = Row(
        "near and far away, with a round trip of 20 ms", "writer thread + reader thread", 1, 1, 1.0
    )

    text = chart([slow, *ROWS])

    assert max(map(len, text.splitlines())) < columns
    assert "#" * demo_chart.LEAST_BAR in text
    assert "  upload, sized " in text
    assert ("writer thread + reader thread " in text) == (columns >= 65)
    assert ("MiB/s" in text, "CPU is" in text) == (columns >= 46, columns >= 54)


def test_what_is_wrong_has_no_bar_and_is_counted(encoding):
    encoding("ascii")
    wrong = Row("near", "at once", 9, 9, 1.0, 0.1, ["/a", "/b"])
    text = chart([*ROWS, wrong])

    assert "DIFFERENT" in text
    assert "Different bytes in 1 of 5 ways." in text
    assert "All 503 downloaded files" in chart(ROWS)
