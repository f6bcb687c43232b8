"""A part of a stream that is to be sent: its start, its size, and its bytes.

The size is taken from ``tell`` at the end of the stream; the result of ``seek`` is ignored, as not
every stream returns it. Even so it can be wrong: files that the kernel generates while they are
read have a size of 0 or of a page, and a wrapper may transform the bytes and delegate ``tell`` to
the stream below. So the size of a stream that is not known to be simple is accepted only if its
first bytes agree with its positions. Otherwise the size is unknown.

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
MOST_READS: Final = TURN // STEP  # of a stream that returns little each time; see fairness.py
BUFFERED: Final = (io.BufferedReader, io.BufferedWriter, io.BufferedRandom)
UNBUFFERED: Final = (io.FileIO, io.BufferedReader)  # no bytes that are still to be written
# Exceptions of streams that have positions, but not that of the end.
NO_END: Final = (AttributeError, TypeError, ValueError, OSError, NotImplementedError)


def place_of(stream: Any) -> int | None:
    """Return the position of *stream* in bytes; None if it cannot be restored later.

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
    """Move *stream* to the position *place*.

    Raises:
        StateError: it has another position afterwards.
        Exception: any exception of the stream.

    """
    stream.seek(place)
    if (there := place_of(stream)) != place:
        raise misplaced(stream, place, there)


def misplaced(stream: Any, wanted: int, place: int | None) -> StateError:
    """Return the error of a stream whose position is *place* instead of the requested one."""
    return StateError(f"{type(stream).__name__} was put to position {wanted} and is at {place}")


def end_of(stream: Any) -> int | None:
    """Return the position of the end of *stream*, None if it has none; restore its position.

    Raises:
        StateError: its position has changed afterwards.
        Exception: any exception of restoring it.

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

    A *real* file is the result of `open` for a regular file: reading its descriptor returns the
    same bytes. That of a `gzip.GzipFile` returns others, and a pipe has no positions.
    """
    found = examined(file)
    return None if found is None else found[0]


def examined(file: Any) -> tuple[Any, os.stat_result] | None:
    """Return the `real_file` behind *file*, and its present status; None if there is none."""
    if type(file).__module__ == "tempfile":
        file = getattr(file, "file", file)  # of a NamedTemporaryFile
    raw = file.raw if type(file) in BUFFERED else file
    if type(raw) is not io.FileIO:
        return None
    status = os.fstat(raw.fileno())
    return (file, status) if stat.S_ISREG(status.st_mode) else None


def is_stored(status: os.stat_result) -> bool:
    """Return True if a regular file has stored data, so that its size can be relied on.

    Files in /proc and /sys have none; nor have empty files, and those that are one hole.
    """
    return status.st_size > 0 and getattr(status, "st_blocks", 1) > 0


def is_simple(stream: Any) -> bool:
    """Return True if the positions of *stream* certainly are those of the bytes it returns."""
    if type(stream) is io.BytesIO:
        return True
    found = examined(stream)
    return found is not None and is_stored(found[1])


def stored_range(file: Any, offset: int, count: int) -> tuple[Any, int, int] | None:
    """Return *file*, *offset* and *count* if the system can send these bytes without reading them.

    None if *file* is not stored as it is read, is shorter, or *count* is so small that reading is
    as cheap.
    """
    if count < PIECE or (found := examined(file)) is None:
        return None
    status = found[1]
    if not is_stored(status) or status.st_size < offset + count:
        return None
    return file, offset, count


def _stored_size(stream: Any) -> int | None:
    """Return the bytes of a file that the system can send; None if *stream* is none."""
    if (found := examined(stream)) is None or not is_stored(found[1]):
        return None
    real, status = found
    if type(real) in UNBUFFERED:
        return status.st_size
    real.flush()  # what was written into it is part of it
    return os.fstat(real.fileno()).st_size


class StreamPart:
    """The bytes of a stream from a position to its end, or a number of them.

    Args:
        stream: a binary stream; see `co_read_some`.
        start: position of the first byte; None for the present position of the stream.
        size: the number of bytes; None for all up to the end, then see `measure`.
        piece: bytes that are read at once.

    Attributes:
        size: number of bytes; None if it is unknown.
        taken: how many of them `co_next` has returned.

    Raises:
        TypeError: *stream* is not a binary stream.

    """

    def __init__(
        self, stream: Any, start: int | None, size: int | None = None, piece: int = PIECE
    ) -> None:
        self.size = size
        self.taken = 0
        # Most files that are stored are sent by the system, and not read.
        self._reader = None if type(stream) in UNBUFFERED else BinaryReader(stream)
        self._stream = stream
        self._start = start
        self._begun = False
        self._is_stored = False  # in a file that is known to have `size` bytes from `start`
        self._is_behind_end = False
        self._piece = piece
        self._ahead = memoryview(b"")  # bytes read ahead
        self._memory = memoryview(b"")  # of the last read
        self._to_check = False  # check the end when it is reached

    def _reading(self) -> BinaryReader:
        if self._reader is None:
            self._reader = BinaryReader(self._stream)
        return self._reader

    def measure(self) -> int | None:
        """Determine the size, if possible, and return it.

        Raises:
            TypeError: the stream returns text.
            StateError: its position cannot be restored.
            Exception: any exception of reading it.

        """
        start = self._start
        if self.size is None and start is not None and not self._begun:
            if (size := _stored_size(self._stream)) is not None:
                self._begun = self._is_stored = True
                self._stream.seek(start)  # such a file certainly is there then
                self.size = max(size - start, 0)
                return self.size
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
            # Some, such as `gzip.GzipFile`, cannot be moved behind their end, and stay there.
            self._is_behind_end = place is not None and end_of(self._stream) == place < start
            if not self._is_behind_end:
                raise misplaced(self._stream, start, place)

    def _agrees(self, start: int, size: int) -> bool:
        """Read the first bytes, and return True if *size* can be the number of all."""
        ahead = bytearray()
        piece: memoryview | None = memoryview(b"")
        for _ in range(MOST_READS):
            piece = self._reading().read_some(PIECE - len(ahead))
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

        The end is that of the stream, even if it comes before `size`.

        Raises:
            StreamNotReady: there are none yet, and the stream cannot be waited for.
            TypeError: it returns text.
            StateError: it returned too many bytes, or its size does not agree with its positions.
            Exception: any exception of reading it.

        """
        most = self._piece if self.size is None else min(self.size - self.taken, self._piece)
        if len(self._memory) < most:
            self._memory = memoryview(bytearray(most))
        while (count := self.next_into(self._memory[:most])) is None:
            yield self._reading().need()
        return self._memory[:count]

    def file_range(self) -> tuple[Any, int, int] | None:
        """Return a file, an offset and a number: where the next bytes are stored as they are.

        None if they have to be read. Those that are sent from there are told by `skip`. A stream
        that consists of others has the two methods itself, as ``next_file_range`` and
        ``skip_file_range``.
        """
        if self._ahead or self.size is None or self._start is None:
            return None
        ask = getattr(self._stream, "next_file_range", None)
        if ask is not None:
            return ask()  # type: ignore[no-any-return]  # of `Multipart`
        begin, count = self._start + self.taken, self.size - self.taken
        if self._is_stored:  # if it is shorter by now sending says so
            return None if count < PIECE else (self._stream, begin, count)
        return stored_range(self._stream, begin, count)

    def skip(self, count: int) -> None:
        """Go on behind *count* bytes of `file_range`, which need not be read any more."""
        self.taken += count
        skip = getattr(self._stream, "skip_file_range", None)
        if skip is not None:
            skip(count)
        else:
            self._stream.seek((self._start or 0) + self.taken)

    def next_into(self, memory: memoryview) -> int | None:
        """Read the next bytes into the beginning of *memory*, without waiting.

        Returns:
            How many bytes were read; 0 at the end, as of `co_next`; None if there are none yet.

        Raises:
            TypeError, StateError, Exception: as of `co_next`.

        """
        if not self._begun and self._start is not None:
            self._begin(self._start)
        most = len(memory) if self.size is None else min(self.size - self.taken, len(memory))
        count: int | None = 0
        if self._ahead and most:
            count = min(most, len(self._ahead))
            memory[:count] = self._ahead[:count]
            self._ahead = self._ahead[count:]
        elif most and not self._is_behind_end:
            count = self._reading().read_into(memory[:most])
        if count:
            self.taken += count
        if count is not None and self.taken == self.size and self._to_check:
            self._to_check = False
            self._check_end()
        return count

    def _check_end(self) -> None:
        """Check that the position of the stream is its start plus the measured size."""
        end = (self._start or 0) + (self.size or 0)
        if not self._ahead and place_of(self._stream) == end:
            if not self._reading().read_some(1):
                return
            later = end_of(self._stream) or 0
            if place_of(self._stream) == end + 1 <= later:  # it has grown meanwhile
                put(self._stream, end)
                return
        raise StateError(
            f"{type(self._stream).__name__} gives other bytes than its positions count: its size "
            f"is not {self.size}, and has to be given, or left out"
        )
