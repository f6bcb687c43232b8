"""The body of a ``put``: a file or standard input, and its length.

Not here: the request (transfer.py).
"""

from __future__ import annotations

import os
import stat
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, Final

from ..polling.binary_streams import co_read_some
from ..polling.contract import run
from .outcome import CommandFailed, with_name
from .standard import INPUT, binary, closed

PIECE: Final = 262144  # bytes


class Upload:
    """The bytes to send; the first ones are read at once, before a server is contacted.

    The length is that of these bytes if there are no others, otherwise the size of a regular file.
    A size of 0, or one that is smaller than the bytes read, is ignored, as in ``/proc``. Bytes that
    are appended to the file meanwhile are not sent.

    Args:
        stream: a binary stream.
        name: its name, for errors.

    Attributes:
        size: number of bytes; None if it is unknown.

    Raises:
        OSError: it cannot be read.

    """

    def __init__(self, stream: BinaryIO, name: str) -> None:
        self._stream = stream
        self._name = name
        self._ended = False
        promised = _bytes_left(stream)
        self._first = self._read(PIECE)
        # A pipe is not waited for: its bytes are sent as they arrive.
        while promised is not None and not self._ended and len(self._first) < PIECE:
            self._first += self._read(PIECE - len(self._first))
        if self._ended:
            self.size: int | None = len(self._first)
        elif promised is not None and promised >= len(self._first):
            self.size = promised
        else:
            self.size = None

    def whole(self) -> bytes | None:
        """Return all bytes, if they were read at once."""
        return self._first if self._ended else None

    def pieces(self) -> Iterator[bytes]:
        """Yield the bytes in parts, `size` of them.

        Raises:
            OSError: it cannot be read.
            CommandFailed: it has become shorter.

        """
        left = self.size
        piece = self._first
        while piece:
            yield piece
            left = None if left is None else left - len(piece)
            piece = self._read(PIECE if left is None else min(PIECE, left)) if left != 0 else b""
        if left:
            raise CommandFailed(
                f"{self._name}: it has become shorter: {left} of {self.size} bytes are missing"
            )

    def _read(self, count: int) -> bytes:
        try:
            data = run(co_read_some(self._stream, count))
        except OSError as exc:
            raise with_name(exc, self._name) from exc
        self._ended = not data
        return data


@contextmanager
def open_upload(file: str) -> Iterator[Upload]:
    """Open *file*, or standard input for ``-``.

    Raises:
        OSError: it cannot be read, or is closed.

    """
    if file == "-":
        standard = binary(sys.stdin)
        if standard is None:
            raise closed(INPUT)
        yield Upload(standard, INPUT)
        return
    with Path(file).open("rb", buffering=0) as stream:
        yield Upload(stream, file)


def _bytes_left(stream: BinaryIO) -> int | None:
    """Return the number of bytes of a regular file behind its position; None for others."""
    try:
        facts = os.fstat(stream.fileno())
        if not stat.S_ISREG(facts.st_mode):
            return None
        return max(facts.st_size - stream.tell(), 0)
    except OSError:  # it has no descriptor, or no position
        return None
