"""Files that are sent and received: with their descriptors where they have any, else by reading.

A *real* file is one that `open` returns, of a regular file: what its descriptor gives is what
it gives. That of a `gzip.GzipFile` gives something else, and a pipe has no places.

Not here: how bytes get from a file into a socket and back (transport/bulk.py).
"""

from __future__ import annotations

import io
import operator
import os
import stat
from typing import Any, Final

from .errors import FileTooShort
from .transport.bulk import PIECE, FileStretch, Pipe, can_splice

BUFFERED: Final = (io.BufferedReader, io.BufferedWriter, io.BufferedRandom)


def real_file(file: Any) -> Any:
    """Return the file object behind *file* whose descriptor can be used in its place, or None."""
    if type(file).__module__ == "tempfile":
        file = getattr(file, "file", file)  # of a NamedTemporaryFile
    raw = file.raw if type(file) in BUFFERED else file
    if type(raw) is not io.FileIO or not stat.S_ISREG(os.fstat(raw.fileno()).st_mode):
        return None
    return file


def check_binary(file: Any, method: str) -> None:
    """Raise TypeError if *file* is no binary file that has *method*."""
    if isinstance(file, io.TextIOBase) or not hasattr(file, method):
        raise TypeError(f"{type(file).__name__} is no binary file to {method}")


class Source:
    """A stretch of a file that is to be sent, read piece by piece.

    Args:
        file: a binary file; its position is afterwards what it was, if it has one.
        offset: bytes of the file in front of the stretch.
        count: bytes of the stretch; None for all to the end of the file.

    Attributes:
        size: bytes of the stretch; None if that is not known yet, see `measure`.
        sent: how many of them have been sent; for who does that.

    Raises:
        TypeError: *file* is no binary file, or a number no number.
        ValueError: a number is negative, or the file is closed, or *offset* is not 0 and the
            file has no places.
        FileTooShort: *count* is more than there is.
        OSError: the file cannot be examined.

    """

    def __init__(self, file: Any, offset: int, count: int | None) -> None:
        check_binary(file, "read")
        if operator.index(offset) < 0 or (count is not None and operator.index(count) < 0):
            raise ValueError(f"there are no {count} bytes from {offset}")
        self.size = count
        self.sent = 0
        self._file = file
        self._offset = offset
        self._place: int | None = None  # where the file was before it was read
        self._memory: memoryview | None = None
        self._real = real_file(file)
        if self._real is not None:
            self._examine(count)
        elif offset and not self._has_places():
            raise ValueError(f"{type(file).__name__} cannot be read from another place")

    def _examine(self, count: int | None) -> None:
        self._real.flush()  # what was written into it is part of it
        there = os.fstat(self._real.fileno()).st_size
        if there:  # files of /proc say 0, whatever is in them
            there = max(there - self._offset, 0)
            if count is not None and count > there:
                raise FileTooShort(f"{count} bytes were to be sent where {there} are left")
            self.size = there if count is None else count

    def _has_places(self) -> bool:
        return hasattr(self._file, "seekable") and bool(self._file.seekable())

    def measure(self) -> None:
        """Find out the size, if the file can tell."""
        if self.size is None and self._has_places():
            place = self._file.tell()
            self.size = max(self._file.seek(0, os.SEEK_END) - self._offset, 0)
            self._file.seek(place)

    def stretch(self, count: int) -> FileStretch | None:
        """Return the next *count* bytes at most, to be sent unread; None: they must be read."""
        if self._real is None or self.size is None or not count:
            return None
        return FileStretch(self._real, self._offset + self.sent, min(count, self.size - self.sent))

    def piece(self) -> memoryview:
        """Return the next bytes, as memory that the next call uses again; empty at the end.

        Raises:
            FileTooShort: it has ended before the size.
            Exception: it cannot be read.

        """
        size = PIECE if self.size is None else min(self.size - self.sent, PIECE)
        if size == 0:
            return memoryview(b"")
        if self._memory is None:
            self._memory = memoryview(bytearray(size))
        count = self._read_into(self._memory[:size])
        if count == 0 and self.size is not None:
            raise FileTooShort(
                f"the file ended {self.size - self.sent} bytes too early",
                request_sent="maybe",
            )
        return self._memory[:count]

    def _read_into(self, memory: memoryview) -> int:
        if self._real is not None and hasattr(os, "preadv"):
            return os.preadv(self._real.fileno(), [memory], self._offset + self.sent)
        if self._place is None and self._has_places():
            self._place = self._file.tell()
            self._file.seek(self._offset)
        if hasattr(self._file, "readinto"):
            count = self._file.readinto(memory)
        else:
            data = self._file.read(len(memory))
            count = None if data is None else len(data)
            memory[:count] = data or b""
        if count is None:
            raise BlockingIOError("the file has nothing to read at once")
        return int(count)

    def restore(self) -> None:
        """Put the file back to where it was."""
        if self._place is not None:
            try:
                self._file.seek(self._place)
            except (OSError, ValueError):
                pass  # it was closed meanwhile, or is worse


class SinkFailed(Exception):
    """The file does not take the bytes, see `Sink.failure`."""


class Sink:
    """A file that takes what is received, from its present position.

    Args:
        file: a binary file. It is flushed.

    Attributes:
        splices: whether `empty` is possible.
        written: bytes that it has taken so far.
        failure: what it has raised.

    Raises:
        TypeError: *file* is no binary file.
        ValueError: it is closed.
        OSError: it cannot be flushed.

    """

    def __init__(self, file: Any) -> None:
        check_binary(file, "write")
        self._file = file
        self._real = real_file(file)
        self.splices = self._real is not None and can_splice()
        self.written = 0
        self.failure: Exception | None = None
        if self._real is not None:
            self._real.flush()

    def write(self, data: memoryview) -> int:
        """Write the beginning of *data* and return how many bytes that was, at least one.

        Raises:
            SinkFailed: it does not take them.

        """
        try:
            count = self._write(data)
        except Exception as exc:
            self.failure = exc
            raise SinkFailed from exc
        self.written += count
        return count

    def _write(self, data: memoryview) -> int:
        if self._real is not None:
            return os.write(self._real.fileno(), data)
        if not isinstance(self._file, io.IOBase):  # it need not know that memory is used again
            count = self._file.write(bytes(data))
            return len(data) if count is None else int(count)
        count = self._file.write(data)
        if not count:
            raise BlockingIOError("the file takes nothing at once")
        return int(count)

    def empty(self, pipe: Pipe, count: int) -> None:
        """Write *count* bytes, all that are in *pipe*. If that fails the rest is still there.

        Raises:
            SinkFailed: the file does not take them.
            CannotSplice: they have to be read.

        """
        try:
            for moved in pipe.empty(self._real.fileno(), count):
                self.written += moved
        except (OSError, ValueError) as exc:
            self.failure = exc
            raise SinkFailed from exc

    def settle(self) -> None:
        """Tell the file object where its descriptor has come to."""
        if type(self._real) in BUFFERED:
            try:
                self._real.seek(os.lseek(self._real.fileno(), 0, os.SEEK_CUR))
            except (OSError, ValueError):
                pass  # it was closed meanwhile
