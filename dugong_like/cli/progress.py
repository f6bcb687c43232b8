"""Progress bars, where standard error is a terminal.

tqdm draws them if it is installed; otherwise one line with a percentage does.
"""

from __future__ import annotations

import sys
from typing import Any, Protocol, Self

from ..polling.binary_streams import co_write_all
from ..polling.contract import run
from .standard import binary, encoded, is_terminal


class Bar(Protocol):
    """What both kinds of bars can do; a context manager."""

    def update(self, count: int) -> object:
        """Note that *count* more bytes are through."""
        ...

    def __enter__(self) -> Self: ...
    def __exit__(self, *exc: object) -> object: ...


class Terminal:
    """Standard error for a bar, which must not end a transfer because it cannot be shown."""

    def __init__(self) -> None:
        self._stream = binary(sys.stderr)
        self.encoding = getattr(sys.stderr, "encoding", "utf-8")  # tqdm wants to know

    def write(self, text: str) -> None:
        """Write *text*, or nothing."""
        try:
            if self._stream is not None:
                run(co_write_all(self._stream, encoded(text)))
        except (OSError, ValueError):
            self._stream = None  # it is gone, and will not come back

    def flush(self) -> None:
        """Do nothing: nothing is held back."""

    def fileno(self) -> int:
        """Return the descriptor, which tqdm asks for the width."""
        return sys.stderr.fileno()


class PlainBar:
    """One line that is written over and over."""

    def __init__(self, what: str, total: int | None, *, shown: bool) -> None:
        self._what = what
        self._total = total
        self._shown = shown
        self._count = 0
        self._text = ""
        self._terminal = Terminal()

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
            self._terminal.write(f"\r{text}")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        if self._text:
            self._terminal.write("\n")


def progress_bar(what: str, total: int | None, *, wanted: bool = True) -> Bar:
    """Return a bar.

    Args:
        what: what it is about.
        total: bytes; None: nobody knows.
        wanted: False for one that is not shown; nor is it without a terminal.

    """
    shown = wanted and is_terminal(sys.stderr)
    try:
        from tqdm import tqdm  # noqa: PLC0415 - optional, and slow to import
    except ImportError:
        return PlainBar(what, total, shown=shown)
    bar: Any = tqdm(
        total=total, desc=what, unit="B", unit_scale=True, disable=not shown, file=Terminal()
    )
    return bar  # type: ignore[no-any-return]  # tqdm has no types
