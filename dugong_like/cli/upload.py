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
    """Bytes to be sent, of which the first are here: so an unreadable file bothers no server.

    The length is that of the bytes if they are all, else what a regular file has: but a size of
    0, or one that is smaller than what was read, is none, as in ``/proc``. What is
    written into the file meanwhile is not sent.

    Args:
        stream: a binary stream.
        name: of it, for errors.

    Attributes:
        size: bytes; None if only the end will tell.

    Raises:
        OSError: it cannot be read.

    """

    def __init__(self, stream: BinaryIO, name: str) -> None:
        self._stream = stream
        self._name = name
        self._ended = False
        promised = _bytes_left(stream)
        self._first = self._read(PIECE)
        # A pipe is not waited for: what comes out of it is sent when it comes.
        while promised is not None and not self._ended and len(self._first) < PIECE:
            self._first += self._read(PIECE - len(self._first))
        if self._ended:
            self.size: int | None = len(self._first)
        elif promised is not None and promised >= len(self._first):
            self.size = promised
        else:
            self.size = None

    def whole(self) -> bytes | None:
        """Return all of it, if it is here already."""
        return self._first if self._ended else None

    def pieces(self) -> Iterator[bytes]:
        """Yield the bytes in pieces, `size` of them.

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
    """Return how many bytes a regular file says that it has from here; None for all others."""
    try:
        facts = os.fstat(stream.fileno())
        if not stat.S_ISREG(facts.st_mode):
            return None
        return max(facts.st_size - stream.tell(), 0)
    except OSError:  # it has no descriptor, or no position
        return None
