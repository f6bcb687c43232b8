"""Progress bars on standard error: percentage, amount, rate, and the time that is left.

Several transfers at a time have one line each. Where lines cannot be drawn over, as in a log, a new
one is written every few seconds, if bars are wanted there at all.

Not here: what is transferred (transfer.py).
"""

from __future__ import annotations

import os
import sys
import time
import unicodedata
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final, Self

from ..polling.binary_streams import BinaryWriter
from .escaping import one_line
from .standard import binary, encoded, is_terminal, takes_now

INTERVAL: Final = 0.1  # seconds between two drawings
LOG_INTERVAL: Final = 5.0  # seconds between two lines of a log
WINDOW: Final = 5.0  # seconds of which the rate is taken
LEAST_MEASURED: Final = 1.0  # seconds; those before say nothing of the rest
WIDTH: Final = 80  # columns, if it is unknown
MIN_TITLE: Final = 6  # columns
MAX_TITLE: Final = 30  # columns, if the rest is needed for a drawn bar
MIN_DRAWN: Final = 12  # columns of a drawn bar
UNITS: Final = ("B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB")
LONGEST: Final = 360_000  # seconds, 100 hours; more is not a prediction
GREEN, PLAIN = "\x1b[32m", "\x1b[0m"  # ECMA-48, SGR


class Terminal:
    """Standard error for bars; it never ends a transfer, nor delays one.

    If a terminal takes nothing now, because it was stopped by Ctrl-S or is slow, the text is left
    out.
    """

    def __init__(self) -> None:
        self._stream = binary(sys.stderr)

    def write(self, text: str) -> bool:
        """Write *text*, if possible at once; return whether that was possible."""
        try:
            if self._stream is not None and takes_now(self._stream):
                return bool(BinaryWriter(self._stream).write_some(memoryview(encoded(text))))
        except (OSError, ValueError):
            self._stream = None  # closed for good
        return False

    def width(self) -> int:
        """Return the number of columns."""
        try:
            return os.get_terminal_size(sys.stderr.fileno()).columns or WIDTH
        except (OSError, ValueError, AttributeError):
            return WIDTH


def has_colors() -> bool:
    """Return True if colours are wanted on a terminal (no-color.org)."""
    return not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


class Bar:
    """The progress of one transfer; a context manager, whose end is that of the transfer.

    Args:
        title: shown in front.
        total: bytes; None if the number is unknown.
        done: bytes that were there before.
        changed: called with this bar whenever there is progress.
        ended: the same, at the end.

    Attributes:
        count: bytes that are there.

    """

    def __init__(
        self,
        title: str,
        total: int | None,
        done: int = 0,
        changed: Callable[[Bar], object] = lambda _: None,
        ended: Callable[[Bar], object] = lambda _: None,
    ) -> None:
        self._title = one_line(title)
        self._total = total
        self.count = self._begun_with = done
        self._changed, self._ended = changed, ended
        self._begun_at = time.monotonic()
        self._is_over = False
        self._recent = deque([(self._begun_at, done)])

    def update(self, count: int) -> None:
        """Add *count* transferred bytes."""
        self.count += count
        self._changed(self)

    def show(self, count: int, _total: int | None = None) -> None:
        """Set the number of transferred bytes, which is less if a transfer begins anew."""
        if count < self.count:
            self._recent.clear()
        self.count = count
        self._changed(self)

    def rename(self, title: str) -> None:
        """Show another title from now on."""
        self._title = one_line(title)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self._is_over = True
        self._ended(self)

    def _rate(self, now: float) -> float | None:
        """Return bytes per second: of the last seconds, at the end of all."""
        if self._is_over:
            seconds, count = now - self._begun_at, self.count - self._begun_with
        else:
            recent = self._recent
            recent.append((now, self.count))
            while len(recent) > 2 and recent[1][0] <= now - WINDOW:  # noqa: PLR2004 - both ends
                recent.popleft()
            seconds, count = now - recent[0][0], self.count - recent[0][1]
        return count / seconds if seconds > 0 and count >= 0 else None

    def line(self, width: int, *, colored: bool = False) -> str:
        """Return one line of at most *width* columns; see `layout`."""
        now = time.monotonic()
        rate = self._rate(now)
        return layout(
            self._title,
            self.count,
            self._total,
            rate,
            now - self._begun_at if self._is_over else self._left(now, rate),
            width,
            colored=colored,
        )

    def _left(self, now: float, rate: float | None) -> float | None:
        """Return the seconds that are left at *rate*; None if they are unknown."""
        if self._total is None or not rate or now - self._recent[0][0] < LEAST_MEASURED:
            return None
        return (self._total - self.count) / rate


def layout(
    title: str,
    count: int,
    total: int | None,
    rate: float | None,
    seconds: float | None,
    width: int,
    *,
    colored: bool = False,
) -> str:
    """Return the line of a bar, of at most *width* columns.

    Args:
        title: cut if it is too long.
        count: transferred bytes.
        total: all bytes, or None.
        rate: bytes a second, or None.
        seconds: that are left, or were needed; None if that is unknown.
        width: columns.
        colored: True for colours, which need no columns.

    """
    share = 1.0 if not total else min(count / total, 1.0)
    percent = [] if total is None else [f"{int(share * 100):3}%"]
    amounts = [amount(count)] if total is None else [_amounts(count, total), amount(count)]
    speed = [] if rate is None else [f"{amount(rate)}/s"]
    clock = [] if seconds is None or seconds >= LONGEST else [_clock(seconds)]
    layouts = [
        *([*percent, each, *speed, *clock] for each in amounts),
        [*percent, *speed, *clock],
        percent or amounts[-1:],
    ]
    for parts in layouts:
        right = " ".join(parts)
        room = width - len(right) - 1
        if room >= min(columns(title), MIN_TITLE):
            break
    else:
        return right[:width]
    drawn = room - min(columns(title), MAX_TITLE) - 3
    if total is None or drawn < MIN_DRAWN:
        return f"{_fitted(title, room)} {right}"
    filled = int(share * drawn)
    full = f"{GREEN}{'#' * filled}{PLAIN}" if colored else "#" * filled
    return f"{_fitted(title, room - drawn - 3)} [{full}{' ' * (drawn - filled)}] {right}"


def amount(count: float) -> str:
    """Return a number of bytes with three digits or four, and its unit."""
    number, unit = _scaled(count)
    return f"{number} {UNITS[unit]}"


def _amounts(count: int, total: int) -> str:
    """Return two numbers of bytes with the unit of the larger one."""
    number, unit = _scaled(total)
    return f"{_digits(count / 1024**unit, unit)}/{number} {UNITS[unit]}"


def _scaled(count: float) -> tuple[str, int]:
    unit = 0
    while count >= 1023.5 and unit < len(UNITS) - 1:  # noqa: PLR2004 - which would be 1024
        count /= 1024
        unit += 1
    return _digits(count, unit), unit


def _digits(number: float, unit: int) -> str:
    return f"{number:.1f}" if unit and number < 99.95 else f"{number:.0f}"  # noqa: PLR2004


def _clock(seconds: float) -> str:
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def columns(text: str) -> int:
    """Return the columns that *text* takes on a terminal (Unicode Annex 11)."""
    return sum(map(_columns, text))


def _columns(char: str) -> int:
    if unicodedata.combining(char):
        return 0
    return 2 if unicodedata.east_asian_width(char) in "WF" else 1


def _fitted(text: str, width: int) -> str:
    """Return *text* in exactly *width* columns; the end of one that is too long is missing."""
    if columns(text) > width:
        shown, left = "", width - 1
        for char in text:
            left -= _columns(char)
            if left < 0:
                break
            shown += char
        text = f"{shown}~" if width else ""
    return text + " " * (width - columns(text))


class Bars:
    """All bars of a command; a context manager, whose end is that of all transfers.

    Args:
        wanted: False for none; None for bars if standard error is a terminal; True for lines of a
            log, too, if it is none.
        several: True if there may be several at a time.

    Attributes:
        is_wanted: True if bars are shown.

    """

    def __init__(self, wanted: bool | None = None, *, several: bool = False) -> None:
        self._terminal = Terminal()
        self._draws = is_terminal(sys.stderr)
        self.is_wanted = wanted is not False and (self._draws or wanted is True)
        self._is_colored = self._draws and has_colors()
        self._several = several and os.environ.get("TERM") != "dumb"
        self._active: list[Bar] = []
        self._lines = 0  # that are drawn, and will be drawn over
        self._columns = 0  # of the only line
        self._shown_at = -LOG_INTERVAL

    def bar(self, title: str, total: int | None, *, done: int = 0, wanted: bool = True) -> Bar:
        """Return a new bar, whose ``with`` block is the transfer; see `Bar`."""
        if not (wanted and self.is_wanted):
            return Bar(title, total, done)
        bar = Bar(title, total, done, self._change, self._end)
        self._active.append(bar)
        return bar

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        """Note that all transfers have ended."""

    @contextmanager
    def cleared(self) -> Iterator[None]:
        """Take all bars off the terminal, for other lines."""
        if self._lines and self._terminal.write(self._above()):
            self._lines = self._columns = 0
        yield

    def _change(self, bar: Bar) -> None:
        now = time.monotonic()
        if now - self._shown_at < (INTERVAL if self._draws else LOG_INTERVAL):
            return
        self._shown_at = now
        if self._draws:
            self._draw([])
        else:
            self._terminal.write(f"{bar.line(WIDTH - 1)}\n")

    def _end(self, bar: Bar) -> None:
        self._active.remove(bar)
        if self._draws:
            self._draw([bar])
        else:
            self._terminal.write(f"{bar.line(WIDTH - 1)}\n")

    def _draw(self, ended: list[Bar]) -> None:
        """Draw the bars of *ended* for the last time, and below them those that are active."""
        width = self._terminal.width() - 1  # in the last column some terminals begin a new line
        if not self._several:
            for bar in ended or self._active[-1:]:
                text = bar.line(width, colored=self._is_colored)
                size = min(columns(text), width)  # with colours it is longer
                blanks = " " * (min(self._columns, width) - size)  # over what was longer
                end = "\n" if ended else ""
                if self._terminal.write(f"\r{text}{blanks}{end}"):
                    self._columns = 0 if ended else size
                    self._lines = 0 if ended else 1
            return
        lines = [bar.line(width, colored=self._is_colored) for bar in [*ended, *self._active]]
        text = "".join(f"{line}\n" for line in lines)
        if self._terminal.write(f"{self._above()}{text}"):
            self._lines = len(self._active)

    def _above(self) -> str:
        """Return what goes to the beginning of the drawn lines, and removes them."""
        if not self._lines:
            return ""
        if not self._several:
            return f"\r{' ' * self._columns}\r"
        return f"\x1b[{self._lines}A\x1b[J"


class SummedBars(Bars):
    """One bar for all transfers of a command.

    Args:
        wanted: see `Bars`.

    """

    def __init__(self, wanted: bool | None = None) -> None:
        super().__init__(wanted)
        self._sum = super().bar("0 files", None)
        self._counts: dict[Bar, int] = {}  # of those that are under way
        self._ended_count = 0

    def bar(self, title: str, total: int | None, *, done: int = 0, wanted: bool = True) -> Bar:
        """Return a new bar, which is not shown itself; see `Bars.bar`."""
        if not (wanted and self.is_wanted):
            return Bar(title, total, done)
        bar = Bar(title, total, done, self._add, self._add_last)
        self._counts[bar] = done
        return bar

    def _add(self, bar: Bar) -> None:
        before, self._counts[bar] = self._counts[bar], bar.count
        self._sum.update(max(bar.count - before, 0))

    def _add_last(self, bar: Bar) -> None:
        del self._counts[bar]
        self._ended_count += 1
        self._sum.rename(f"{self._ended_count} files")
        self._sum.update(0)

    def __exit__(self, *exc: object) -> None:
        self._sum.__exit__(*exc)


def progress_bar(title: str, total: int | None) -> Bar:
    """Return the only bar of a part of a command, shown on a terminal only; see `Bar`."""
    return Bars().bar(title, total)
