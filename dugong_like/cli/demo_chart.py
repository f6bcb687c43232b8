"""The results of the demo as a bar chart in a terminal.

Each link has a scale of its own. Bars are made of blocks (Unicode, Block Elements), or of ``#`` if
the encoding of standard output has none.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import groupby
from typing import Final

WIDTH: Final = 80  # columns, if it is unknown
MOST: Final = 110  # columns: longer bars show nothing more
LEAST_BAR: Final = 8  # columns
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


def chart(rows: Sequence[Row]) -> str:
    """Return the text of the chart."""
    width = min(_columns(), MOST)
    lines = []
    for link, group in groupby(rows, lambda row: row.link):
        part = list(group)
        lines.append(f"{link or 'files of that URL':60.60}".rstrip())
        lines.append(f"  {'way':30} {'files/s':>7} {'MiB/s':>6} {'CPU':>7}")
        most = max(row.speed for row in part)
        lines += [_line(row, most, width) for row in part]
        lines.append("")
    lines.append(_verdict(rows))
    lines.append("CPU is this process's, without hashing; the server is a process of its own.")
    return "\n".join(lines)


def _line(row: Row, most: float, width: int) -> str:
    rate = row.bytes / max(row.seconds, 1e-9) / 2**20
    text = f"  {row.way:30} {row.speed:7,.0f} {rate:6,.0f} {row.cpu_seconds:5.2f} s"
    if row.wrong:
        return f"{text}  DIFFERENT"
    return f"{text}  {bar(row.speed / most, max(width - len(text) - 3, LEAST_BAR))}".rstrip()


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
