"""Progress bars, if standard error is a terminal.

tqdm draws them if it is installed; otherwise there is one line with a percentage.
"""

from __future__ import annotations

import sys
from typing import Any, Protocol, Self

from ..polling.binary_streams import BinaryWriter
from .standard import binary, encoded, is_terminal, takes_now


class Bar(Protocol):
    """The interface of both kinds of bars; a context manager."""

    def update(self, count: int) -> object:
        """Add *count* transferred bytes."""
        ...

    def __enter__(self) -> Self: ...
    def __exit__(self, *exc: object) -> object: ...


class Terminal:
    """Standard error for a bar; it never ends a transfer, nor delays one.

    If a terminal takes nothing now, because it was stopped by Ctrl-S or is slow, the text is left
    out.
    """

    def __init__(self) -> None:
        self._stream = binary(sys.stderr)
        self.encoding = getattr(sys.stderr, "encoding", "utf-8")  # for tqdm

    def write(self, text: str) -> None:
        """Write *text*, if possible at once."""
        try:
            if self._stream is not None and takes_now(self._stream):
                BinaryWriter(self._stream).write_some(memoryview(encoded(text)))
        except (OSError, ValueError):
            self._stream = None  # closed for good

    def flush(self) -> None:
        """Do nothing: there is no buffer."""

    def fileno(self) -> int:
        """Return the descriptor, of which tqdm reads the width."""
        return sys.stderr.fileno()


class PlainBar:
    """One line that is overwritten again and again."""

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
        what: its title.
        total: bytes; None if the number is unknown.
        wanted: False for a bar that is not shown; without a terminal none is shown.

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
