"""The wire dump: every byte that a connection sends and receives, once, in a file.

A dump is a sequence of records. Each is a line of ASCII and, except for the first kind, the
announced number of bytes and a line feed::

    # 2026-11-21T10:15:00.123456+00:00 opened
    > 0.000211 57
    (57 bytes that were sent)
    < 0.014310 131
    (131 bytes that were received)
    # 2026-11-21T10:15:02.470815+00:00 closed

The first number is the seconds since the connection was opened, the second the number of bytes.
Each call that sends has a record of its own, with the bytes that the system has taken. Over TLS
they are the plain text; the handshakes, of TLS and with a proxy, are left out. **Passwords,
cookies and bodies are not**: a new file is readable for its owner only.

Not here: the meaning of the bytes.
"""

from __future__ import annotations

import errno
import math
import os
import time
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from threading import RLock
from typing import BinaryIO, Final, cast

from ...errors import ConnectionTimedOut
from ...http.redaction import quoted
from ...polling.binary_streams import BinaryReader, BinaryWriter
from ...polling.combinators import stall
from ...polling.contract import run
from ...polling.fork import generation
from ..stream import Data, Part, Stream
from .base import WrappedStream

PIECE: Final = 65536  # bytes of a dump read at once
PLACE: Final = "%d"  # in a path: the number of the connection

TraceFile = str | os.PathLike[str] | BinaryIO


class WireDump:
    """The dump of one connection object.

    Args:
        target: a binary file, or the path of one, to which the records are appended. ``%d`` in
            a path is replaced by 1 for the first connection that is opened, 2 for the next, and
            so on. Writing may block the thread, even if the file is non-blocking and full.
        patience: seconds for which a non-blocking file may take nothing.

    """

    def __init__(self, target: TraceFile, patience: float = math.inf) -> None:
        self._target = target
        self._patience = patience
        self._opened = 0

    def wrap(self, stream: Stream) -> DumpedStream:
        """Return *stream*, which was just opened, with a dump around it.

        Raises:
            OSError: the file cannot be opened or written.

        """
        self._opened += 1
        if not isinstance(self._target, (str, os.PathLike)):
            return DumpedStream(stream, self._target, self._patience, ours=False)
        path = os.fspath(self._target).replace(PLACE, str(self._opened))
        fd = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        file = os.fdopen(fd, "ab", buffering=0)
        try:
            return DumpedStream(stream, file, self._patience, ours=True)
        except BaseException:
            file.close()
            raise


class DumpedStream(WrappedStream):
    """Writes all bytes of a stream to a file.

    Args:
        inner: the stream below.
        file: the file.
        patience: see `WireDump`. Once it has passed, the file is waited for again only after it
            has taken something.
        ours: True to close it with the stream.

    """

    def __init__(self, inner: Stream, file: BinaryIO, patience: float, *, ours: bool) -> None:
        super().__init__(inner)
        self._file = file
        self._writer = BinaryWriter(file)
        self._patience = patience
        self._stands_still = False  # the file has taken nothing for that time
        self._unwritten = bytearray()
        self._ours = ours
        self._lock = RLock()  # the garbage collector or a handler of signals may close it as well
        self._writing = False
        self._ended = False
        self._opened = time.monotonic()
        self._open = True
        self._generation = generation()
        self._mark("opened")

    def recv_into(self, buffer: memoryview) -> int | None:
        """See `Stream.recv_into`."""
        count = self.inner.recv_into(buffer)
        if count:
            self._record("<", buffer[:count])
        return count

    def recv(self, size: int) -> bytes | None:
        """See `Stream.recv`."""
        data = self.inner.recv(size)
        if data:
            self._record("<", data)
        return data

    def send(self, parts: Sequence[Part]) -> int | None:
        """See `Stream.send`."""
        count = self.inner.send(parts)
        if count:
            self._record(">", b"".join(beginning(parts, count)))
        return count

    def close(self) -> None:
        """See `Stream.close`."""
        self.inner.close()
        if self._open:
            self._open = False
            try:
                if (
                    generation() == self._generation
                ):  # not in a child process: the connection stays open
                    self._mark("closed")
            finally:
                self._end_file()

    def _record(self, direction: str, data: Data) -> None:
        passed = time.monotonic() - self._opened
        self._write(b"%s %.6f %d\n%s\n" % (direction.encode(), passed, len(data), data))

    def _mark(self, what: str) -> None:
        self._write(f"# {datetime.now(UTC).isoformat()} {what}\n".encode())

    def _write(self, record: bytes) -> None:
        """Write *record*; in the middle of another call of this thread, leave it to that one."""
        with self._lock:
            self._unwritten += record
            while self._unwritten and not self._writing and not self._ended:
                try:
                    self._writing = True
                    self._write_some()
                finally:
                    self._writing = False
        if not self._open:
            self._end_file()

    def _write_some(self) -> None:
        before = self._writer.written
        patience = 0 if self._stands_still else self._patience
        try:
            run(stall(patience, self._writer.co_write_all(bytes(self._unwritten))))
            self._stands_still = False
        except ConnectionTimedOut as exc:  # which is not about the connection
            self._stands_still = True
            what = (
                f"nothing could be written for {self._patience:g} s "
                f"(bytes written before: {self._writer.written})"
            )
            raise TimeoutError(errno.ETIMEDOUT, what, "trace_file") from exc
        finally:  # complete a failed record before the next one, or none could be read
            del self._unwritten[: self._writer.written - before]

    def _end_file(self) -> None:
        """Close the file, if this object has opened it; the last writer does so.

        A child process does not write, and a thread of the parent may hold the lock.
        """
        if self._ours and (not self._writing or generation() != self._generation):
            self._ended = True
            self._file.close()


def beginning(parts: Sequence[Part], count: int) -> Iterator[Data]:
    """Yield the first *count* bytes of *parts*, which are in memory: there is no `bulk`."""
    for part in cast("Sequence[Data]", parts):
        if count <= 0:
            return
        yield part[:count]
        count -= len(part)


def read_dump(file: BinaryIO) -> Iterator[tuple[str, float, bytes]]:
    """Read a ``trace_file``, blocking the thread while there is nothing yet.

    Yields:
        ``">"`` or ``"<"``, the seconds since the connection was opened, and the bytes.

    Raises:
        ValueError: it is not a wire dump, or its end is missing.
        TypeError: *file* is not a binary file.

    """
    return _records(BinaryReader(file))


def _records(reader: BinaryReader) -> Iterator[tuple[str, float, bytes]]:
    """See `read_dump`, which has checked the file."""
    kept = bytearray()

    def take(size: int | None) -> bytes:
        """Return *size* bytes, or a line; less at the end of the file."""
        while (size is None and b"\n" not in kept) or (size is not None and len(kept) < size):
            data = run(reader.co_read_some(PIECE))
            if not data:
                break
            kept.extend(data)
        end = kept.find(b"\n") + 1 or len(kept) if size is None else size
        taken = bytes(kept[:end])
        del kept[:end]
        return taken

    while line := take(None):
        if line.startswith(b"# "):
            continue
        direction, seconds, size = line.decode("ascii").split(" ")
        data = take(int(size) + 1)
        if direction not in {"<", ">"} or len(data) != int(size) + 1 or not data.endswith(b"\n"):
            raise ValueError(f"not a record of a wire dump: {quoted(line)}")
        yield direction, float(seconds), data[:-1]
