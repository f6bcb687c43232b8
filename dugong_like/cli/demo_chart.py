"""The results of the demo as a bar chart in a terminal.

Each link has a scale of its own. Bars are made of blocks (Unicode, Block Elements), or of ``#`` if
the encoding of standard output has none. In a narrow terminal the chart has fewer columns of
numbers, and names of ways are cut off: a line that wraps is no bar any more.
"""

from __future__ import annotations

import os
import sys
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import groupby
from typing import Final

WIDTH: Final = 80  # columns, if it is unknown
MOST: Final = 110  # columns: longer bars show nothing more
LEAST_BAR: Final = 8  # columns
NAME: Final = 30  # columns for the name of a way
LEAST_NAME: Final = 18  # columns; for less of it, a column of numbers is left out
# What is left out, one after the other; with the room that a line has beside the name and the bar.
COLUMNS: Final = (
    (("files/s", "MiB/s", "CPU"), 28),
    (("files/s", "MiB/s"), 20),
    (("files/s",), 13),
)
BLOCKS: Final = "▏▎▍▌▋▊▉█"  # eighths of a column, from one to eight


@dataclass
class Row:
    """The result of one way.

    Attributes:
        link: how far the server is, as a title; empty if that is unknown.
        way: name of the way.
        files: how many were transferred.
        bytes: in them.
        seconds: that it took.
        cpu_seconds: of this process, without hashing.
        wrong: paths of files that were different, and other failures.

    """

    link: str
    way: str
    files: int = 0
    bytes: int = 0
    seconds: float = 0.0
    cpu_seconds: float = 0.0
    wrong: list[str] = field(default_factory=list)

    @property
    def speed(self) -> float:
        """Files a second."""
        return self.files / max(self.seconds, 1e-9)


@dataclass
class Layout:
    """How the lines of a chart are divided.

    Attributes:
        width: columns of the terminal.
        name: columns for the name of a way.
        numbers: names of the columns of numbers.
        bar: columns of the longest bar.

    """

    width: int
    name: int
    numbers: Sequence[str]
    bar: int

    @classmethod
    def of(cls, width: int) -> Layout:
        """Return that for a terminal of *width* columns."""
        fitting = (each for each in COLUMNS if width - each[1] - LEAST_BAR >= LEAST_NAME)
        numbers, others = next(fitting, COLUMNS[-1])
        name = max(min(width - others - LEAST_BAR, NAME), LEAST_BAR)
        return cls(width, name, numbers, max(width - others - name, LEAST_BAR))

    def line(self, name: str, numbers: dict[str, str]) -> str:
        """Return a line with *name* and those of *numbers* that there is room for."""
        shown = name if len(name) <= self.name else f"{name[: self.name - 1]}~"
        cells = "".join(f" {numbers[each]}" for each in self.numbers)
        return f"  {shown:{self.name}}{cells}"

    def wrapped(self, text: str) -> str:
        """Return *text* in lines that fit, each of which may end at a space only."""
        return textwrap.fill(text, max(self.width - 1, 1), break_long_words=False)


def chart(rows: Sequence[Row]) -> str:
    """Return the text of the chart."""
    layout = Layout.of(min(_columns(), MOST))
    lines = []
    for link, group in groupby(rows, lambda row: row.link):
        part = list(group)
        lines.append(layout.wrapped(f"{link or 'files of that URL':60.60}".rstrip()))
        head = {"files/s": "files/s", "MiB/s": " MiB/s", "CPU": "    CPU"}
        lines.append(layout.line("way", head))
        most = max(row.speed for row in part)
        lines += [_line(row, most, layout) for row in part]
        lines.append("")
    lines.append(layout.wrapped(_verdict(rows)))
    if "CPU" in layout.numbers:
        note = "CPU is this process's, without hashing; the server is a process of its own."
        lines.append(layout.wrapped(note))
    return "\n".join(lines)


def _line(row: Row, most: float, layout: Layout) -> str:
    rate = row.bytes / max(row.seconds, 1e-9) / 2**20
    numbers = {
        "files/s": f"{row.speed:7,.0f}",
        "MiB/s": f"{rate:6,.0f}",
        "CPU": f"{row.cpu_seconds:5.2f} s",
    }
    text = layout.line(row.way, numbers)
    if row.wrong:
        return f"{text}  DIFFERENT"
    return f"{text}  {bar(row.speed / most, layout.bar)}".rstrip()


def _verdict(rows: Sequence[Row]) -> str:
    wrong = sum(1 for row in rows if row.wrong)
    if wrong:
        return f"Different bytes in {wrong} of {len(rows)} ways."
    count = sum(row.files for row in rows if not row.way.startswith("upload"))
    return f"All {count:,} downloaded files are equal to the originals (SHA-256)."


def bar(share: float, width: int) -> str:
    """Return a bar for *share*, 0 to 1, of *width* columns; nothing is not drawn as nothing."""
    if not has_blocks():
        return "#" * max(round(share * width), 1)
    full, rest = divmod(max(round(share * width * len(BLOCKS)), 1), len(BLOCKS))
    return BLOCKS[-1] * full + (BLOCKS[rest - 1] if rest else "")


def has_blocks() -> bool:
    """Return True if standard output can show the characters of `BLOCKS`."""
    try:
        BLOCKS.encode(getattr(sys.stdout, "encoding", None) or "ascii")
    except (UnicodeEncodeError, LookupError):
        return False
    return True


def _columns() -> int:
    """Return the columns of the terminal; `WIDTH` if there is none."""
    try:
        return os.get_terminal_size(sys.stdout.fileno()).columns or WIDTH
    except (OSError, ValueError, AttributeError):
        return WIDTH
