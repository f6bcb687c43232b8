"""A part of a stream that is to be sent: where it begins, how many bytes it has, and its bytes.

The size is what ``tell`` says at the end of the stream; what ``seek`` returns plays no part, since
not every stream returns it. Even so it can be wrong: files that the kernel makes while they are
read have a size of 0 or of a page, and a wrapper may change what is read and hand ``tell`` on to
the stream below. So a stream that is not known to be simple is believed only if its first bytes
agree with its positions. If they do not, the size is not known.

Not here: reading regular files by their descriptor (files.py), and the framing of a body whose
size is not known (http/h1/).
"""

from __future__ import annotations

import io
import operator
import os
import stat
from typing import Any, Final

from ..errors import StateError
from .binary_streams import BinaryReader
from .contract import Co
from .fairness import STEP, TURN

PIECE: Final = 65536  # bytes read at once, and read ahead where positions have to be checked
MOST_READS: Final = TURN // STEP  # of a stream that gives little each time; see fairness.py
BUFFERED: Final = (io.BufferedReader, io.BufferedWriter, io.BufferedRandom)
# What streams raise that have positions, but not the one at the end.
NO_END: Final = (AttributeError, TypeError, ValueError, OSError, NotImplementedError)


def place_of(stream: Any) -> int | None:
    """Return the position of *stream* in bytes; None if it cannot be put back there later.

    Raises:
        ValueError: it is closed.

    """
    try:
        if not hasattr(stream, "seek") or (hasattr(stream, "seekable") and not stream.seekable()):
            return None
        place = operator.index(stream.tell())
    except (AttributeError, TypeError, OSError, NotImplementedError):
        return None
    return place if place >= 0 else None


def put(stream: Any, place: int) -> None:
    """Put *stream* to the position *place*.

    Raises:
        StateError: it is somewhere else afterwards.
        Exception: what it raises.

    """
    stream.seek(place)
    if (there := place_of(stream)) != place:
        raise misplaced(stream, place, there)


def misplaced(stream: Any, wanted: int, place: int | None) -> StateError:
    """Return the error of a stream that is at *place* and not where it was put."""
    return StateError(f"{type(stream).__name__} was put to position {wanted} and is at {place}")


def end_of(stream: Any) -> int | None:
    """Return the position of the end of *stream*, None if it has none. Its own stays.

    Raises:
        StateError: its position is another one afterwards.
        Exception: what it raises when it is put back.

    """
    place = place_of(stream)
    if place is None:
        return None
    try:
        stream.seek(0, os.SEEK_END)
        end = place_of(stream)
    except NO_END:
        end = None
    put(stream, place)
    return end


def real_file(file: Any) -> Any:
    """Return the file object behind *file* whose descriptor can be used in its place, or None.

    A *real* file is one that `open` returns, of a regular file: what its descriptor gives is what
    it gives. That of a `gzip.GzipFile` gives something else, and a pipe has no positions.
    """
    if type(file).__module__ == "tempfile":
        file = getattr(file, "file", file)  # of a NamedTemporaryFile
    raw = file.raw if type(file) in BUFFERED else file
    if type(raw) is not io.FileIO or not stat.S_ISREG(os.fstat(raw.fileno()).st_mode):
        return None
    return file


def is_stored(status: os.stat_result) -> bool:
    """Return True if the size of a regular file is that of data which is stored somewhere.

    In /proc and /sys nothing is stored; nor is it in an empty file, and in one that is a hole.
    """
    return status.st_size > 0 and getattr(status, "st_blocks", 1) > 0


def is_simple(stream: Any) -> bool:
    """Return True if the positions of *stream* are certainly those of the bytes that it gives."""
    if type(stream) is io.BytesIO:
        return True
    real = real_file(stream)
    return real is not None and is_stored(os.fstat(real.fileno()))


class StreamPart:
    """The bytes of a stream from a position to its end, or so many of them.

    Args:
        stream: a binary stream; see `co_read_some`.
        start: position of the first byte; None if it begins where the stream is.
        size: the number of bytes; None for all to the end, then see `measure`.
        piece: bytes that are read at once.

    Attributes:
        size: bytes it has; None if that is not known.
        taken: how many of them `co_next` has returned.

    Raises:
        TypeError: *stream* is no binary stream.

    """

    def __init__(
        self, stream: Any, start: int | None, size: int | None = None, piece: int = PIECE
    ) -> None:
        self.size = size
        self.taken = 0
        self._reader = BinaryReader(stream)
        self._stream = stream
        self._start = start
        self._begun = False
        self._is_behind_end = False
        self._piece = piece
        self._ahead = memoryview(b"")  # read and not taken
        self._memory = memoryview(b"")  # of the last piece
        self._to_check = False  # the end, when it is reached

    def measure(self) -> int | None:
        """Find out the size, if it can be found out, and return it.

        Raises:
            TypeError: the stream gives text.
            StateError: it cannot be put back to where it was.
            Exception: what it raises when it is read.

        """
        start = self._start
        if self.size is None and start is not None and not self._begun:
            self._begin(start)
            end = start if self._is_behind_end else end_of(self._stream)
            if end is not None:
                size = max(end - start, 0)
                if self._is_behind_end or is_simple(self._stream) or self._agrees(start, size):
                    self.size = size
        return self.size

    def _begin(self, start: int) -> None:
        self._begun = True
        self._stream.seek(start)
        place = place_of(self._stream)
        if place != start:
            # Some cannot be put behind their end, as `gzip.GzipFile`, and stay there.
            self._is_behind_end = place is not None and end_of(self._stream) == place < start
            if not self._is_behind_end:
                raise misplaced(self._stream, start, place)

    def _agrees(self, start: int, size: int) -> bool:
        """Read the first bytes, and return True if *size* can be the number of all."""
        ahead = bytearray()
        piece: memoryview | None = memoryview(b"")
        for _ in range(MOST_READS):
            piece = self._reader.read_some(PIECE - len(ahead))
            if piece:
                ahead += piece
            if not piece or len(ahead) == PIECE:
                break
        self._ahead = memoryview(ahead)
        if place_of(self._stream) != start + len(ahead):
            return False
        if not piece:
            return piece is not None and len(ahead) == size
        self._to_check = True
        return len(ahead) <= size

    def co_next(self) -> Co[memoryview]:
        """Return the next bytes, as memory that the next call may use again; empty at the end.

        That is where the stream ends, even if that is before `size`.

        Raises:
            StreamNotReady: there are none yet, and the stream cannot be waited for.
            TypeError: it gives text.
            StateError: it gave more than was asked for, or its size is not what its
                positions said.
            Exception: what it raises when it is read.

        """
        while (data := self._next()) is None:
            yield self._reader.need()
        self.taken += len(data)
        if self.taken == self.size and self._to_check:
            self._to_check = False
            self._check_end()
        return data

    def _next(self) -> memoryview | None:
        if not self._begun and self._start is not None:
            self._begin(self._start)
        most = self._piece if self.size is None else min(self.size - self.taken, self._piece)
        if not most or self._is_behind_end:
            return memoryview(b"")
        if self._ahead:
            data, self._ahead = self._ahead[:most], self._ahead[most:]
            return data
        if len(self._memory) < most:
            self._memory = memoryview(bytearray(most))
        count = self._reader.read_into(self._memory[:most])
        return None if count is None else self._memory[:count]

    def _check_end(self) -> None:
        """Check that the stream has come to where its size, which was measured, says it is."""
        end = (self._start or 0) + (self.size or 0)
        if not self._ahead and place_of(self._stream) == end:
            if not self._reader.read_some(1):
                return
            later = end_of(self._stream) or 0
            if place_of(self._stream) == end + 1 <= later:  # it has grown meanwhile
                put(self._stream, end)
                return
        raise StateError(
            f"{type(self._stream).__name__} gives other bytes than its positions count: its size "
            f"is not {self.size}, and has to be given, or left out"
        )
