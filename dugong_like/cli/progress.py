"""Progress bars, where standard error is a terminal.

tqdm draws them if it is installed; otherwise one line with a percentage does.
"""

from __future__ import annotations

import sys
from typing import Any, Protocol, Self


class Bar(Protocol):
    """What both kinds of bars can do; a context manager."""

    def update(self, count: int) -> object:
        """Note that *count* more bytes are through."""
        ...

    def __enter__(self) -> Self: ...
    def __exit__(self, *exc: object) -> object: ...


class PlainBar:
    """One line that is written over and over."""

    def __init__(self, what: str, total: int | None, *, shown: bool) -> None:
        self._what = what
        self._total = total
        self._shown = shown
        self._count = 0
        self._text = ""

    def update(self, count: int) -> None:
        """See `Bar.update`."""
        self._count += count
        if not self._shown:
            return
        if self._total:
            text = f"{self._what}: {self._count * 100 // self._total:3} %"
        else:
            text = f"{self._what}: {self._count / 2**20:.0f} MiB"
        if text != self._text:
            self._text = text
            sys.stderr.write(f"\r{text}")
            sys.stderr.flush()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        if self._text:
            sys.stderr.write("\n")


def progress_bar(what: str, total: int | None) -> Bar:
    """Return a bar for *total* bytes (None: nobody knows); silent without a terminal."""
    shown = sys.stderr.isatty()
    try:
        from tqdm import tqdm  # noqa: PLC0415 - optional, and slow to import
    except ImportError:
        return PlainBar(what, total, shown=shown)
    bar: Any = tqdm(total=total, desc=what, unit="B", unit_scale=True, disable=not shown)
    return bar  # type: ignore[no-any-return]  # tqdm has no types
