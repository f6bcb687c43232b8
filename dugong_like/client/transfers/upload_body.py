"""A file as the body of an upload.

Over plain TCP the system sends a regular file by itself (``sendfile``, on Linux), in steps: between
two of them progress is reported, and a file that was written to meanwhile is noticed before the
body is complete, so that the server does not take it for one. The bytes pass the memory if there is
a rate limit, a digest that follows them as a trailer field, or a file that is none of the system.

Not here: the request (upload.py).
"""

from __future__ import annotations

import copy
import os
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

from ...errors import ContentChanged, FileTooShort, StateError
from ...http.digest_fields import ALGORITHMS, digest_field
from ...http.redaction import MAX_PATH, quoted
from ...polling.binary_streams import check_binary, check_opened, co_read_some
from ...polling.contract import Co
from ...polling.fairness import StepCounter
from ...polling.stream_parts import UNBUFFERED, end_of, examined, is_stored, place_of
from ...polling.wake import co_checkpoint
from .digests import RunningDigest, read_at
from .upload_record import Version

if TYPE_CHECKING:
    from ...polling.rates import RateLimit

STEP: Final = 4 << 20  # bytes that the system sends between two looks; each look costs 20 µs
PIECE: Final = 262144  # bytes that are read at once
LEAST: Final = 65536  # bytes; fewer are read, with the head of the request (see stream_parts.py)

Progress = Callable[[int, int | None], object]


class FileBody:
    """A body of a request that is read by operations; see `Request`.

    Args:
        file: a binary file to read from. A regular one keeps its position.
        begin: position of the first byte; None for the present one.
        name: what errors call the file; empty for a file without a name.
        may_grow: True to send no more than the file has now, and to take a longer one for the same:
            so one that is written to is noticed only if it becomes shorter.
        status: of *file*, a regular one without anything to flush, if that is known: a change since
            then is noticed.

    Attributes:
        name: see above.
        begin: see above; 0 without positions.
        length: bytes of the body; None if that is unknown.
        sent: bytes of it that were sent.
        total_sent: bytes that were sent, those of earlier attempts included.
        progress: called with the bytes that were sent, and all; None if that is unknown.
        rate: bytes a second at most; None for any number.

    Raises:
        TypeError: *file* is no binary file to read from.
        ValueError: it is closed, or was not opened for reading.
        OSError: it cannot be examined.

    """

    def __init__(
        self,
        file: Any,
        begin: int | None = None,
        name: str = "",
        *,
        may_grow: bool = False,
        status: os.stat_result | None = None,
    ) -> None:
        check_binary(file, "read", "readinto", "read1")
        check_opened(file, "reading")
        self.name = name
        self.sent = self.total_sent = 0
        self.progress: Progress | None = None
        self.rate: RateLimit | None = None
        self._file = file
        self._may_grow = may_grow
        self._start = place_of(file) if begin is None else begin
        self.begin = self._start or 0
        self._trailing: str | None = None  # algorithm of the digest in a trailer field
        self._digest: RunningDigest | None = None  # of the bytes sent, for that
        self._memory = memoryview(b"")
        self._steps = StepCounter()
        self._number: int | None = None  # descriptor of a file that can be read at any position
        self._status: os.stat_result | None = None  # of that, at the beginning
        self.length = self._examine(status)

    def _examine(self, status: os.stat_result | None) -> int | None:
        real = self._file
        if status is None and (found := self._examined()) is not None:
            real, status = found
        if status is not None:
            number = real.fileno()
            if is_stored(status) or not self._has_more(number):
                self._number, self._status = number, status
                return max(status.st_size - self.begin, 0)
            return None  # it is made while it is read, as those in /proc
        if self._start is None:
            return None
        end = end_of(self._file)
        return None if end is None else max(end - self.begin, 0)

    def _examined(self) -> tuple[Any, os.stat_result] | None:
        """Return the file of the system that the bytes are in, and its status; None for none."""
        if not hasattr(self._file, "fileno") or (found := examined(self._file)) is None:
            return None
        real = found[0]
        if type(real) in UNBUFFERED:
            return found
        real.flush()  # what was written into it is part of it
        return real, os.fstat(real.fileno())

    def _has_more(self, number: int) -> bool:
        """Return True if a file without stored data has bytes all the same."""
        return read_at(number, memoryview(bytearray(1)), self.begin) > 0

    @property
    def is_stored(self) -> bool:
        """True if it can be read at any position, without reading what is before."""
        return self._number is not None

    @property
    def version(self) -> Version | None:
        """Size and time of the file at the beginning; None if it is none of the system."""
        status = self._status
        return None if status is None else Version(status.st_size, status.st_mtime_ns)

    def check(self) -> None:
        """Check that the file is as it was at the beginning.

        Raises:
            ContentChanged: it is not.
            OSError: it cannot be examined.

        """
        before = self._status
        if before is None or self._number is None:
            return
        now = os.fstat(self._number)
        if self._may_grow:
            is_same = now.st_size >= before.st_size
        else:
            is_same = now.st_size == before.st_size and now.st_mtime_ns == before.st_mtime_ns
        if not is_same:
            called = f"{quoted(self.name, MAX_PATH)}: " if self.name else ""
            raise ContentChanged(
                f"{called}the file has changed while it was read "
                f"(it had {before.st_size} bytes, and has {now.st_size})",
                path=self.name,
                offset=self.sent,
                limit=self.length,
            )

    def co_digest(self, algorithm: str) -> Co[bytes]:
        """Read all bytes, and return their digest; the body begins with the first one afterwards.

        Args:
            algorithm: as RFC 9530 calls it.

        Raises:
            StateError: they cannot be read a second time.
            ContentChanged: the file has changed meanwhile.
            OSError: the file cannot be read.

        """
        if not self.rewindable():
            raise StateError("the digest of a file that can be read once only is sent as a trailer")
        name = ALGORITHMS[algorithm]
        running = RunningDigest([name], self.begin)
        if self._number is not None:
            yield from running.co_follow(self._number, self.begin + (self.length or 0))
            self.check()
        else:
            while data := (yield from self._co_next(PIECE)):
                running.update(data)
            self._seek()
            self.sent = 0
        return running.value(name)

    def follow(self, algorithm: str) -> None:
        """Have the digest of the bytes sent as the trailer field Repr-Digest.

        The length of the body is unknown then: trailer fields need chunks (RFC 9112 section 6.5).
        """
        self._trailing = algorithm
        self._digest = RunningDigest([ALGORITHMS[algorithm]])
        self.length = None

    def part(self, offset: int, count: int) -> FileBody:
        """Return a body of *count* bytes from *offset* on; progress is that of this one.

        One at a time: a file that is none of the system has one position.
        """
        part = copy.copy(self)
        part.begin = self.begin + offset
        part.length = count
        part.sent = part.total_sent = 0
        progress, whole = self.progress, self.length
        if progress is not None:
            part.progress = lambda sent, _: progress(offset + sent, whole)
        part.rewind()
        return part

    # ---- for the source of the request

    def rewindable(self) -> bool:
        """Return True if it can be sent again."""
        return self._start is not None

    def rewind(self) -> None:
        """Begin anew.

        Raises:
            StateError: it has no positions.
            ContentChanged: it has changed since the first attempt.
            Exception: any exception of the file.

        """
        if not self.rewindable():
            raise StateError("the body has been read, and cannot be read a second time")
        self.check()
        self._seek()
        self.sent = 0
        if self._trailing is not None:
            self.follow(self._trailing)

    def _seek(self) -> None:
        if self._number is None:
            self._file.seek(self.begin)

    def next_file_range(self) -> tuple[Any, int, int] | None:
        """Return what the system can send next; see `Source.file_range`.

        Raises:
            ContentChanged: see `check`.

        """
        if self._number is None or self.length is None or self.rate is not None:
            return None
        if not (count := min(STEP, self.length - self.sent)):
            return None  # the end, where `co_read` looks
        self.check()
        return None if count < LEAST else (self._file, self.begin + self.sent, count)

    def skip_file_range(self, count: int) -> None:
        """Note that *count* bytes were sent."""
        self._took(count)

    def co_read(self, _size: int) -> Co[memoryview]:
        """Return the next bytes; empty at the end.

        Raises:
            ContentChanged: see `check`.
            FileTooShort: the file has ended before its length.
            Exception: any exception of the file.

        """
        size = PIECE if self.rate is None else max(min(PIECE, self.rate.burst), 1)
        if self.length is not None:
            size = min(size, self.length - self.sent)
        if self._steps.is_over():
            yield from co_checkpoint()
        data = (yield from self._co_next(size)) if size else memoryview(b"")
        self._steps.done += len(data)
        if not data:
            self.check()
            if self.length is not None and self.sent < self.length:
                raise FileTooShort(
                    f"the file ended {self.length - self.sent} bytes too early",
                    request_sent="maybe",
                )
            return data
        if self.rate is not None:
            yield from self.rate.co_take(len(data))
        if self._digest is not None:
            self._digest.update(data)
        self._took(len(data))
        return data

    def _co_next(self, size: int) -> Co[memoryview]:
        if self._number is None:
            return memoryview((yield from co_read_some(self._file, size)))
        if len(self._memory) < size:
            self._memory = memoryview(bytearray(size))
        count = read_at(self._number, self._memory[:size], self.begin + self.sent)
        return self._memory[:count]

    def _took(self, count: int) -> None:
        self.sent += count
        self.total_sent += count
        if self.progress is not None:
            self.progress(self.sent, self.length)

    def trailers(self) -> list[tuple[str, str]]:
        """Return the trailer fields, after the end; see `follow`."""
        if self._trailing is None:
            return []
        assert self._digest is not None
        digest = self._digest.value(ALGORITHMS[self._trailing])
        return [("Repr-Digest", digest_field(self._trailing, digest))]
