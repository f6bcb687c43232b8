"""Progress bars: what a line has at each width, and where lines are drawn."""

import io
import os
import re
import sys
from types import SimpleNamespace

import pytest
from kit.cases import each_case

from dugong_like.cli import progress
from dugong_like.cli.progress import GREEN, Bar, Bars, amount, columns, layout

MIB = 1 << 20


@pytest.mark.parametrize(
    ("count", "text"),
    [
        (0, "0 B"),
        (1023, "1023 B"),
        (1024, "1.0 KiB"),
        (102_300, "99.9 KiB"),
        (102_400, "100 KiB"),
        (1023.4 * 1024, "1023 KiB"),
        (1023.6 * 1024, "1.0 MiB"),
        (5 << 60, "5.0 EiB"),
        (5000 << 60, "5000 EiB"),
    ],
)
def test_amounts_have_four_digits_at_most_and_a_unit(count, text):
    assert amount(count) == text


def test_a_line_of_40_columns_has_percentage_amount_rate_and_time():
    line = layout("/large.iso", 10 * MIB, 40 * MIB, 2 * MIB, 15.0, 40)

    assert line == "/larg~  25% 10.0/40.0 MiB 2.0 MiB/s 0:15"
    assert len(line) == 40


def test_a_wide_line_has_a_drawn_bar_too():
    line = layout("/large.iso", 10 * MIB, 40 * MIB, 2 * MIB, 15.0, 100)

    drawn = re.search(r"\[(#*)( *)\]", line)
    assert len(line) == 100
    assert len(drawn[1]) == (len(drawn[1]) + len(drawn[2])) // 4 > 0


TITLES = ["", "/", "/a/very/long/path/of/a/file/that/is/downloaded.tar.gz", "\u65e5\u672c" * 20]
NUMBERS = [
    (0, None, None, None),
    (0, 0, None, None),
    (0, 10, None, None),
    (5 * MIB, None, 1e6, None),
    (1023 * 1024, 1023 * MIB, 1023 * 1024, 359_999),
    (1 << 50, 1 << 51, 1e15, 1e9),
    (20, 10, 1, 0),
]


@each_case("width", [1, 3, 10, 20, 39, 40, 60, 80, 200])
@each_case("title", TITLES)
@each_case("numbers", NUMBERS)
def test_a_line_is_never_wider_than_the_terminal(width, title, numbers):
    line = layout(title, *numbers, width)

    assert columns(line) <= width
    if numbers[1] and width >= 20:
        assert "%" in line


@pytest.mark.parametrize(
    ("seconds", "text"), [(0, "0:00"), (61.9, "1:01"), (3600, "1:00:00"), (360_000, None)]
)
def test_the_time_that_is_left_is_a_clock(seconds, text):
    line = layout("/x", 1, 100, 1, seconds, 60)

    assert line.endswith(f" {text}" if text else "/s")


def test_control_characters_of_a_title_are_escaped():
    assert Bar("a\x1b[2J\n", None).line(80).startswith("a\\x1b[2J\\x0a ")


def test_no_time_is_left_before_a_second_was_measured(monkeypatch):
    now = [100.0]
    monkeypatch.setattr(progress, "time", SimpleNamespace(monotonic=lambda: now[0]))
    bar = Bar("/x", 1000)
    shown = []
    for seconds, count in [(0.001, 1), (0.5, 99), (0.5, 100), (1, 200)]:
        now[0] += seconds
        bar.update(count)
        shown.append(re.search(r"\d+:\d\d$", bar.line(60)))

    assert shown[:2] == [None, None]
    assert [found[0] for found in shown[2:]] == ["0:04", "0:03"]


def test_a_transfer_that_begins_anew_has_no_negative_rate():
    bar = Bar("/x", 100)
    bar.show(90)
    bar.line(80)
    bar.show(10)

    assert "-" not in bar.line(80)
    assert " 10%" in bar.line(80)


class Screen(io.FileIO):
    """Standard error that keeps what is written; a terminal of 80 columns if it says so."""

    def __init__(self, is_terminal):
        super().__init__(os.devnull, "w")
        self.shown = ""
        self._is_terminal = is_terminal

    def isatty(self):
        return self._is_terminal

    def write(self, data):
        self.shown += bytes(data).decode()
        return len(data)


@pytest.fixture
def screen(monkeypatch):
    """Return a function that makes standard error a terminal, or none."""

    opened = []

    def use(is_terminal, **environment):
        raw = Screen(is_terminal)
        stream = io.TextIOWrapper(io.BufferedWriter(raw))
        opened.append(stream)
        monkeypatch.setattr(sys, "stderr", stream)
        monkeypatch.setattr(progress, "INTERVAL", 0)
        monkeypatch.setattr(progress, "LOG_INTERVAL", 0)
        for name in ("NO_COLOR", "TERM"):
            monkeypatch.delenv(name, raising=False)
        for name, value in environment.items():
            monkeypatch.setenv(name, value)
        return raw

    yield use
    for stream in opened:
        stream.close()


def test_one_bar_is_drawn_over_its_own_line(screen):
    terminal = screen(True)

    with Bars().bar("/x", 200) as bar:
        bar.update(100)
        bar.update(100)

    lines = terminal.shown.split("\r")
    assert [re.search(r"(\d+)%", line)[1] for line in lines[1:]] == ["50", "100", "100"]
    assert terminal.shown.endswith("\n")
    assert terminal.shown.count("\n") == 1


@pytest.mark.parametrize(
    ("environment", "colored"), [({}, True), ({"NO_COLOR": "1"}, False), ({"TERM": "dumb"}, False)]
)
def test_colors_are_for_terminals_that_want_them(screen, environment, colored):
    terminal = screen(True, **environment)

    with Bars().bar("/x", 200) as bar:
        bar.update(100)

    assert (GREEN in terminal.shown) == colored
    assert ("\x1b" in terminal.shown) == colored


def test_several_bars_have_a_line_each_and_leave_the_last_ones(screen):
    terminal = screen(True, NO_COLOR="1")
    bars = Bars(several=True)

    with bars.bar("/a", 10) as first:
        with bars.bar("/b", 10) as second:
            first.update(1)
            second.update(5)
            with bars.cleared():
                terminal.shown += "a message\n"
        first.update(9)

    assert at_the_end(terminal.shown) == ["a message", "/b 50%", "/a 100%"]


def at_the_end(shown):
    """Return the beginning and the percentage of the lines that a terminal has in the end."""
    lines = [""]
    for piece in re.split(r"(\x1b\[\d+A|\x1b\[J|\n)", shown):
        if piece == "\n":
            lines.append("")
        elif piece.endswith("A"):
            above = int(piece[2:-1])
            lines, below = lines[:-above], lines[-above:]
            assert below[-1] == ""
            lines = lines[:-1]
            lines.append("")
        elif piece != "\x1b[J":
            lines[-1] += piece
    return [" ".join(re.sub(r"\[.*\]", "", line).split()[:2]) for line in lines if line]


def test_bars_that_are_not_wanted_show_nothing(screen):
    for is_terminal, wanted in ((True, False), (False, None), (False, False)):
        stream = screen(is_terminal)
        with Bars(wanted).bar("/x", 10) as bar:
            bar.update(10)
        assert stream.shown == ""


def test_a_log_gets_lines(screen):
    log = screen(False)

    with Bars(True).bar("/x", 10) as bar:
        bar.update(5)
        bar.update(5)

    assert "\r" not in log.shown
    assert "\x1b" not in log.shown
    assert [line.startswith("/x ") for line in log.shown.splitlines()] == [True] * 3
