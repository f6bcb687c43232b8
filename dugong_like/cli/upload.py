"""A file or standard input as the body of a request, and its length.

A non-blocking input has a time limit; a blocking one waits in the system, as for every program that
reads (see standard.py). A FIFO that is opened here is non-blocking, on Linux: only there `poll`
reports whether it has had a writer yet. Before that, reading it looks like its end.

A regular file is sent as by `Client.upload`: over plain TCP by the system. Others are read in
pieces, among them those in /proc, whose sizes say nothing.

Not here: the request (transfer.py), and sending regular files (client/transfers/upload_body.py).
"""

from __future__ import annotations

import math
import os
import stat
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, Final

from ..client.transfers.upload_body import FileBody
from ..errors import ConnectionTimedOut
from ..polling.binary_streams import co_read_some
from ..polling.combinators import stall
from ..polling.contract import POLLIN, Co, PollNeeded, run
from .outcome import CommandFailed, too_late, with_name
from .standard import opened_input

PIECE: Final = 262144  # bytes
NON_BLOCKING: Final = os.O_NONBLOCK if sys.platform == "linux" else 0


class Upload:
    """The bytes to send; the first ones are read at once, before a server is contacted.

    The length is that of these bytes if there are no others, otherwise the size of a regular file.
    A size of 0, or one that is smaller than the bytes read, is ignored, as in ``/proc``. Bytes that
    are appended to the file meanwhile are not sent.

    Args:
        stream: a binary stream.
        name: its name, for errors.
        patience: seconds for which a non-blocking stream may have nothing; None for no limit.

    Attributes:
        size: number of bytes; None if it is unknown.

    Raises:
        OSError: it cannot be read; `TimeoutError` after *patience*.

    """

    def __init__(self, stream: BinaryIO, name: str, patience: float | None) -> None:
        self._stream = stream
        self._name = name
        self._patience = math.inf if patience is None else patience
        self._count = 0  # bytes read
        self._ended = False
        promised = _bytes_left(stream)
        self._start = None if promised is None else stream.tell()
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
        self._is_whole = self._ended

    def rewindable(self) -> bool:
        """Return True if the bytes can be read again: those of a regular file."""
        return self._is_whole or self._start is not None

    def rewind(self) -> None:
        """Go back to the beginning. Raises OSError if that is not possible."""
        if not self._is_whole and self._start is not None:
            self._stream.seek(self._start + len(self._first))
            self._ended = False

    def whole(self) -> bytes | None:
        """Return all bytes, if they were read at once."""
        return self._first if self._is_whole else None

    def stored(self) -> FileBody | None:
        """Return the body that the system can send; None if the bytes have to be read.

        Raises:
            OSError: the file cannot be examined.

        """
        if self._start is None or self.size is None:
            return None
        body = FileBody(self._stream, self._start, self._name, may_grow=True)
        return body if body.is_stored and body.length == self.size else None

    def pieces(self) -> Iterator[bytes]:
        """Yield the bytes in parts, `size` of them.

        Raises:
            OSError: it cannot be read; `TimeoutError` as for the first bytes.
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
            data = run(stall(self._patience, self._co_read(count)))
        except ConnectionTimedOut as exc:
            raise too_late(
                self._name,
                f"nothing has arrived for {self._patience:g} seconds "
                f"(bytes read before: {self._count})",
            ) from exc
        except OSError as exc:
            raise with_name(exc, self._name) from exc
        self._count += len(data)
        self._ended = not data
        return data

    def _co_read(self, count: int) -> Co[bytes]:
        if NON_BLOCKING and not self._count and _is_non_blocking_fifo(self._stream):
            need = PollNeeded(self._stream.fileno(), POLLIN)
            while not need.poll(0):
                yield need
        return (yield from co_read_some(self._stream, count))


class UploadBody:
    """An `Upload` as the body of a request.

    Args:
        upload: what is sent; not read at once.

    Attributes:
        length: number of bytes; None if it is unknown.

    """

    def __init__(self, upload: Upload) -> None:
        self._upload = upload
        self._pieces = upload.pieces()
        self.length = upload.size

    def rewindable(self) -> bool:
        """Return True if it can be sent again, as after a redirect."""
        return self._upload.rewindable()

    def rewind(self) -> None:
        """Begin anew. Raises OSError if that is not possible."""
        self._upload.rewind()
        self._pieces = self._upload.pieces()

    def co_read(self, _size: int) -> Co[bytes]:
        """Return the next bytes, as many as were read at once. Raises what `Upload.pieces` does."""
        return next(self._pieces, b"")
        yield


@contextmanager
def open_upload(file: str, patience: float | None) -> Iterator[Upload]:
    """Open *file*, or standard input for ``-``.

    Args:
        file: the argument of the user.
        patience: see `Upload`.

    Raises:
        OSError: it cannot be read, or is closed.

    """
    with opened_input(file, _open) as (stream, name):
        yield Upload(stream, name, patience)


def _open(path: str, flags: int) -> int:
    # An existing pipe such as /dev/stdin, or the /dev/fd/63 of a shell, has no path of its own. It
    # stays as it is, as if it were standard input.
    is_fifo = stat.S_ISFIFO(Path(path).stat().st_mode) and Path(os.path.realpath(path)).is_fifo()
    return os.open(path, flags | (NON_BLOCKING if is_fifo else 0))


def _is_non_blocking_fifo(stream: BinaryIO) -> bool:
    try:
        number = stream.fileno()
        return stat.S_ISFIFO(os.fstat(number).st_mode) and not os.get_blocking(number)
    except OSError:  # it has no descriptor
        return False


def _bytes_left(stream: BinaryIO) -> int | None:
    """Return the number of bytes of a regular file behind its position; None for others."""
    try:
        facts = os.fstat(stream.fileno())
        if not stat.S_ISREG(facts.st_mode):
            return None
        return max(facts.st_size - stream.tell(), 0)
    except OSError:  # it has no descriptor, or no position
        return None
