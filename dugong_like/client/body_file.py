"""The body of a response as a binary file that blocks.

Not here: bodies that are files of the caller (http/request.py).
"""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator


class BodyFile(io.RawIOBase):
    """A body as a file to read from.

    Args:
        pieces: the body, in pieces that are not empty.

    """

    def __init__(self, pieces: Iterator[bytes]) -> None:
        self._pieces = pieces
        self._ahead = memoryview(b"")

    def readable(self) -> bool:
        """Return True."""
        return True

    def readinto(self, buffer: Any) -> int:
        """Read into *buffer*; return the number of bytes, 0 at the end."""
        if not self._ahead:
            self._ahead = memoryview(next(self._pieces, b""))
        count = min(len(buffer), len(self._ahead))
        buffer[:count] = self._ahead[:count]
        self._ahead = self._ahead[count:]
        return count
