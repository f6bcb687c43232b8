"""Zero-copy transfers between a socket and a file, and discarding received bytes.

The bytes never enter the memory of the process. Linux only; a file that the system cannot send is
read here, and `CannotSplice` is raised for one that it cannot write.

Not here: the use in streams (tcp.py), and reading and writing files without these transfers
(files.py).
"""

from __future__ import annotations

import errno
import os
import socket
import sys
from collections.abc import Iterator, Sequence
from typing import Any, Final, Protocol

from ..errors import TEMPORARY_ERRNOS, FileTooShort
from ..polling.contract import PollNeeded
from ..polling.fork import after_fork

IS_LINUX: Final = sys.platform == "linux"
PATIENCE: Final = 0.01  # seconds to wait for them; after that fewer are received
AT_ONCE: Final = 1 << 20  # bytes discarded or moved to a pipe at once; see pipe-max-size
PIECE: Final = 262144  # bytes of a file read at once, if it has to be read
# Errors of the system if it cannot do that with this file, or never does.
UNABLE: Final = {errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP, errno.ESPIPE, errno.EPERM}


class BulkStream(Protocol):
    """The zero-copy transfers of a stream whose bytes are those of a socket. No call blocks."""

    def wanted_by_gathering(self, count: int, deadline: float | None) -> PollNeeded:
        """As `Stream.wanted_by_recv`, for *count* bytes or the end of the stream."""
        ...

    def wait_to_gather(self, count: int, timeout: float) -> bool:
        """As `Stream.wait_to_recv`, for *count* bytes or the end of the stream."""
        ...

    def discard(self, count: int) -> int | None:
        """Receive up to *count* bytes and discard them; see `Stream.recv_into`."""
        ...

    def recv_into_pipe(self, pipe: Pipe, count: int) -> int | None:
        """Receive up to *count* bytes into *pipe*; see `Stream.recv_into`.

        Raises:
            CannotSplice: the system does not support it. Nothing was received.
            ConnectionClosed: the connection was reset.

        """
        ...


class CannotSplice(Exception):
    """The system cannot move bytes between this socket and this file."""


class FileFailed(Exception):
    """The file has failed, with `error`."""

    def __init__(self, error: OSError) -> None:
        super().__init__(error)
        self.error = error


class FileRange:
    """A part of a request that is a range of a file: *size* bytes from *offset*.

    Args:
        file: has the descriptor of a regular file. Its position is ignored.
        offset: bytes of the file in front of the range.
        size: bytes of the range.

    """

    __slots__ = ("_file", "_offset", "_size")

    def __init__(self, file: Any, offset: int, size: int) -> None:
        self._file = file
        self._offset = offset
        self._size = size

    def __len__(self) -> int:
        return self._size

    def after(self, count: int) -> FileRange:
        """Return the rest behind the first *count* bytes."""
        return FileRange(self._file, self._offset + count, self._size - count)

    def send(self, sock: socket.socket) -> int:
        """Send the beginning and return the number of bytes.

        Raises:
            OSError: it would block, or the connection was lost.
            FileFailed: the file cannot be read.
            FileTooShort: it has no more bytes.
            ValueError: it was closed.

        """
        fd = self._file.fileno()  # each time, as the number may soon belong to another file
        count = self._sendfile(sock, fd)
        if count is None:
            data = self._read(fd)
            count = sock.send(data) if data else 0
        if count == 0:
            raise FileTooShort(f"the file ended {self._size} bytes too early", request_sent="maybe")
        return count

    def _sendfile(self, sock: socket.socket, fd: int) -> int | None:
        """Have the system send; None means that it does not support this file."""
        if not hasattr(os, "sendfile"):
            return None
        try:
            return os.sendfile(sock.fileno(), fd, self._offset, self._size)
        except BlockingIOError:
            raise
        except OSError as exc:
            if exc.errno in UNABLE:
                return None
            if exc.errno in TEMPORARY_ERRNOS or sock.fileno() < 0:
                raise
            raise FileFailed(exc) from exc

    def _read(self, fd: int) -> bytes:
        try:
            return os.pread(fd, min(self._size, PIECE), self._offset)
        except OSError as exc:
            raise FileFailed(exc) from exc


def send_parts(sock: socket.socket, parts: Sequence[bytes | memoryview | FileRange]) -> int:
    """Send the beginning of *parts* and return the number of bytes.

    Raises:
        OSError: nothing was sent as it would block, or the connection was lost.
        FileFailed, FileTooShort, ValueError: see `FileRange.send`.

    """
    sent = 0
    for number, part in enumerate(parts, 1):
        try:
            if isinstance(part, FileRange):
                count = part.send(sock)
            else:  # MSG_MORE: sent together with the bytes that follow
                count = sock.send(part, socket.MSG_MORE if number < len(parts) else 0)
        except BlockingIOError:
            if sent:
                break
            raise
        sent += count
        if count < len(part):
            break
    return sent


def set_low_water(sock: socket.socket, count: int) -> None:
    """Make *sock* readable only when *count* bytes, or the end, have arrived (SO_RCVLOWAT).

    The system uses half of its buffer if that is less.
    """
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVLOWAT, count)
    except OSError:
        pass  # the socket was closed, by another thread


def discard(sock: socket.socket, count: int) -> int:
    """Receive up to *count* bytes and discard them without copying.

    Raises:
        OSError: it would block, or the connection was lost.

    """
    if not _nowhere:
        import mmap  # noqa: PLC0415 - only for discarding much

        _nowhere.append(mmap.mmap(-1, AT_ONCE))  # never touched, so it takes no memory
    return sock.recv_into(_nowhere[0], min(count, AT_ONCE), socket.MSG_TRUNC)


_nowhere: list[Any] = []


class Pipe:
    """A pipe from a socket to a file within the system. It is empty between two transfers."""

    __slots__ = ("_reader", "_writer")

    def __init__(self) -> None:
        import fcntl  # noqa: PLC0415 - only for receiving into files

        self._reader, self._writer = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        try:
            fcntl.fcntl(self._writer, fcntl.F_SETPIPE_SZ, AT_ONCE)
        except OSError:
            pass  # there is a limit for each user; a small pipe works as well

    @classmethod
    def borrow(cls) -> Pipe:
        """Return an empty pipe, which ends with `give_back` or `close`.

        Raises:
            CannotSplice: there are no descriptors left.

        """
        try:
            return _spare.pop()
        except IndexError:
            pass
        try:
            return cls()
        except OSError as exc:
            raise CannotSplice from exc

    def give_back(self) -> None:
        """Return the pipe, which is empty, for the next borrower."""
        if _spare:
            self.close()
        else:
            _spare.append(self)

    def close(self) -> None:
        """Close the pipe, with its contents."""
        os.close(self._reader)
        os.close(self._writer)

    def fill(self, sock: socket.socket, count: int) -> int:
        """Receive up to *count* bytes from *sock*; the pipe is empty.

        Raises:
            OSError: it would block, or the connection was lost.
            CannotSplice: see `BulkStream.recv_into_pipe`.

        """
        try:
            return os.splice(sock.fileno(), self._writer, count, flags=os.SPLICE_F_NONBLOCK)
        except OSError as exc:
            if exc.errno in UNABLE:
                raise CannotSplice from exc
            raise

    def empty(self, fd: int, count: int) -> Iterator[int]:
        """Write *count* bytes, all that are in the pipe, to a file; yield each number of bytes.

        Raises:
            OSError: the file cannot be written; the rest is still in the pipe. See `take`.
            CannotSplice: the system does not support this file, such as one opened for
                appending. See `take`.

        """
        try:
            while count:
                moved = os.splice(self._reader, fd, count)
                count -= moved
                yield moved
        except OSError as exc:
            if exc.errno in UNABLE:
                raise CannotSplice from exc
            raise

    def take(self) -> bytes:
        """Return the contents of the pipe."""
        pieces = []
        try:
            while True:
                pieces.append(os.read(self._reader, AT_ONCE))
        except BlockingIOError:
            pass
        return b"".join(pieces)


_spare: list[Pipe] = []  # one at most; append and pop are atomic


def can_splice() -> bool:
    """Return True if the system supports a `Pipe`."""
    return IS_LINUX and hasattr(os, "splice")


def _drop_inherited() -> None:
    while _spare:
        _spare.pop().close()


after_fork(_drop_inherited, closes=True)  # the parent uses the pipe, too
