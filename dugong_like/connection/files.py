"""Files that are sent and received: with their descriptors where they have any, else by reading.

Not here: which files that are and how streams are measured (stream_parts.py), other streams
(binary_streams.py), and how bytes get from a file into a socket and back (transport/zero_copy.py).
"""

from __future__ import annotations

import os
from typing import Any

from ..errors import FileTooShort, StreamNotReady
from ..http.arguments import check_size
from ..polling.binary_streams import BinaryWriter, check_binary
from ..polling.contract import Co, PollNeeded
from ..polling.stream_parts import (
    BUFFERED,
    UNBUFFERED,
    StreamPart,
    examined,
    is_stored,
    place_of,
    real_file,
)
from ..transport.zero_copy import PIECE, FileRange, Pipe, can_splice


class Source:
    """A range of a file that is to be sent, read piece by piece.

    Args:
        file: a binary file; its position is afterwards what it was, if it has one.
        offset: bytes of the file in front of the range.
        count: bytes of the range; None for all to the end of the file.

    Attributes:
        size: bytes of the range; None if that is not known yet, see `measure`.
        sent: how many of them have been sent; for who does that.

    Raises:
        TypeError: *file* is no binary file, or a number no number.
        ValueError: a number is negative, or the file is closed, or *offset* is not 0 and the
            file has no places.
        FileTooShort: *count* is more than there is.
        OSError: the file cannot be examined.

    """

    def __init__(self, file: Any, offset: int, count: int | None) -> None:
        check_binary(file, "read", "readinto", "read1")
        check_size(offset, "offset")
        if count is not None:
            check_size(count, "count")
        self.size = count
        self.sent = 0
        self._file = file
        self._offset = offset
        self._place: int | None = None  # where the file was before it was read
        self._part: StreamPart | None = None
        self._memory: memoryview | None = None
        self._real: Any = None
        if (found := examined(file)) is not None:
            self._real = found[0]
            self._examine(found[1], count)
        if self._real is None or not hasattr(os, "preadv"):
            self._place = place_of(file)
            if offset and self._place is None:
                raise ValueError(f"{type(file).__name__} cannot be read from another place")
            start = None if self._place is None else offset
            self._part = StreamPart(file, start, self.size, PIECE)

    def _examine(self, status: os.stat_result, count: int | None) -> None:
        if type(self._real) not in UNBUFFERED:
            self._real.flush()  # what was written into it is part of it
            status = os.fstat(self._real.fileno())
        there = max(status.st_size - self._offset, 0)
        if not is_stored(status) and not self._has(there):
            return
        if count is not None and count > there:
            raise FileTooShort(f"{count} bytes were to be sent where {there} are left")
        self.size = there if count is None else count

    def _has(self, there: int) -> bool:
        """Look whether *there* bytes can be read from the offset on, or if many, the first."""
        if not hasattr(os, "pread"):
            return there > 0
        return len(os.pread(self._real.fileno(), PIECE, self._offset)) == min(there, PIECE)

    def measure(self) -> None:
        """Find out the size, if the file can tell."""
        if self.size is None and self._part is not None:
            self.size = self._part.measure()

    def file_range(self, count: int) -> FileRange | None:
        """Return the next *count* bytes at most, to be sent unread; None: they must be read."""
        if self._real is None or self.size is None or not count:
            return None
        return FileRange(self._real, self._offset + self.sent, min(count, self.size - self.sent))

    def co_piece(self) -> Co[memoryview]:
        """Return the next bytes, as memory that the next call uses again; empty at the end.

        Raises:
            FileTooShort: it has ended before the size.
            Exception: it cannot be read, or not be waited for; see `StreamPart.co_next`.

        """
        if self.sent == self.size:
            return memoryview(b"")
        data = self._read() if self._part is None else (yield from self._part.co_next())
        if not data and self.size is not None:
            raise FileTooShort(
                f"the file ended {self.size - self.sent} bytes too early",
                request_sent="maybe",
            )
        return data

    def _read(self) -> memoryview:
        size = PIECE if self.size is None else min(self.size - self.sent, PIECE)
        if self._memory is None:
            self._memory = memoryview(bytearray(size))
        memory = self._memory[:size]
        return memory[: os.preadv(self._real.fileno(), [memory], self._offset + self.sent)]

    def restore(self) -> None:
        """Put the file back to where it was."""
        if self._place is not None:
            try:
                self._file.seek(self._place)
            except (OSError, ValueError):
                pass  # it was closed meanwhile, or is worse


class NotTaken(Exception):
    """The file does not take the bytes (`Sink.failure`), or not now (`Sink.wanted`)."""


class Sink:
    """A file that takes what is received, from its present position.

    Args:
        file: a binary file. It is flushed if it is a regular one.

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
        self._writer = BinaryWriter(file)
        self._real = real_file(file)
        self.splices = self._real is not None and can_splice()
        self.written = 0
        self.failure: Exception | None = None
        self._is_full = False  # the last call of `write` has written nothing
        if self._real is not None:
            self._real.flush()

    def write(self, data: memoryview) -> int:
        """Write the beginning of *data* and return how many bytes that was, at least one.

        Raises:
            NotTaken: it does not take them.

        """
        count: int | None
        try:
            if self._real is not None:
                count = os.write(self._real.fileno(), data)
            else:
                count = self._writer.write_some(data)
        except Exception as exc:
            self.failure = exc
            raise NotTaken from exc
        self._is_full = not count
        if not count:
            raise NotTaken
        self.written += count
        return count

    def wanted(self) -> PollNeeded | None:
        """Return what to wait for if the file has taken nothing, as it is full; else None.

        Raises:
            StreamNotReady: it cannot be waited for. ``characters_written`` is `written`.

        """
        if not self._is_full:
            return None
        try:
            return self._writer.need()
        except StreamNotReady as exc:
            exc.characters_written = self.written
            raise

    def empty(self, pipe: Pipe, count: int) -> None:
        """Write *count* bytes, all that are in *pipe*. If that fails the rest is still there.

        Raises:
            NotTaken: the file does not take them.
            CannotSplice: they have to be read.

        """
        try:
            for moved in pipe.empty(self._real.fileno(), count):
                self.written += moved
        except (OSError, ValueError) as exc:
            self.failure = exc
            raise NotTaken from exc

    def settle(self) -> None:
        """Tell the file object where its descriptor has come to."""
        if type(self._real) in BUFFERED:
            try:
                self._real.seek(os.lseek(self._real.fileno(), 0, os.SEEK_CUR))
            except (OSError, ValueError):
                pass  # it was closed meanwhile
