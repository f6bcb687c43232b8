"""Large amounts of bytes between a socket and a file, or nowhere, moved by the system.

They never come into the memory of the process. Linux only; where the system cannot do it
with a file that is sent, the file is read here, and else `CannotSplice` says so.

Not here: what streams make of it (tcp.py), and how files are read and written where none of
this is possible (files.py).
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

IS_LINUX: Final = sys.platform == "linux"
# Bytes that should be there before who wants much more is woken: fewer and larger calls. More
# than that saves nothing (measured), and the sender has to have room to go on meanwhile.
LOW_WATER: Final = 131072
PATIENCE: Final = 0.01  # seconds to wait for them, after which fewer are welcome
AT_ONCE: Final = 1 << 20  # bytes discarded or put in a pipe at once; see pipe-max-size
PIECE: Final = 262144  # bytes of a file read at once, where that is necessary
# What the system says when it cannot do that with this file, or does not do it at all.
UNABLE: Final = {errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP, errno.ESPIPE, errno.EPERM}


class BulkStream(Protocol):
    """What a stream can do whose bytes are those of a socket. No call blocks."""

    def wanted_by_gathering(self, count: int, deadline: float | None) -> PollNeeded:
        """As `Stream.wanted_by_recv`, but wait for *count* bytes, or the end of the stream."""
        ...

    def wait_to_gather(self, count: int, timeout: float) -> bool:
        """As `Stream.wait_to_recv`, but wait for *count* bytes, or the end of the stream."""
        ...

    def discard(self, count: int) -> int | None:
        """Receive up to *count* bytes and forget them; see `Stream.recv_into`."""
        ...

    def recv_into_pipe(self, pipe: Pipe, count: int) -> int | None:
        """Receive up to *count* bytes into *pipe*; see `Stream.recv_into`.

        Raises:
            CannotSplice: the system does not do that. Nothing was received.
            ConnectionClosed: the connection was reset.

        """
        ...


class CannotSplice(Exception):
    """The system does not move bytes between these two."""


class FileFailed(Exception):
    """It is the file that has failed, with `error`."""

    def __init__(self, error: OSError) -> None:
        super().__init__(error)
        self.error = error


class FileStretch:
    """A part of a request that is in a file: *size* bytes from *offset*.

    Args:
        file: has a descriptor, of a regular file. Its position plays no part.
        offset: bytes of the file in front of the stretch.
        size: bytes of the stretch.

    """

    __slots__ = ("_file", "_offset", "_size")

    def __init__(self, file: Any, offset: int, size: int) -> None:
        self._file = file
        self._offset = offset
        self._size = size

    def __len__(self) -> int:
        return self._size

    def after(self, count: int) -> FileStretch:
        """Return what is left when the first *count* bytes have been sent."""
        return FileStretch(self._file, self._offset + count, self._size - count)

    def send(self, sock: socket.socket) -> int:
        """Send the beginning and return how many bytes that was.

        Raises:
            OSError: it would block, or the connection was lost.
            FileFailed: the file cannot be read.
            FileTooShort: it has no more bytes.
            ValueError: it was closed.

        """
        fd = self._file.fileno()  # each time, for the number may soon belong to another file
        count = self._sendfile(sock, fd)
        if count is None:
            data = self._read(fd)
            count = sock.send(data) if data else 0
        if count == 0:
            raise FileTooShort(f"the file ended {self._size} bytes too early", request_sent="maybe")
        return count

    def _sendfile(self, sock: socket.socket, fd: int) -> int | None:
        """Have the system send; None says that it does not do that with this file."""
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


def send_parts(sock: socket.socket, parts: Sequence[bytes | memoryview | FileStretch]) -> int:
    """Send the beginning of *parts* and return how many bytes that was.

    Raises:
        OSError: nothing was sent as it would block, or the connection was lost.
        FileFailed, FileTooShort, ValueError: see `FileStretch.send`.

    """
    sent = 0
    for number, part in enumerate(parts, 1):
        try:
            if isinstance(part, FileStretch):
                count = part.send(sock)
            else:  # MSG_MORE: it goes out together with what follows
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
    """Have *sock* be ready to read when *count* bytes have arrived, or the end has.

    The system takes half of its buffer if that is less.
    """
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVLOWAT, count)
    except OSError:
        pass  # the socket was closed, by another thread


def discard(sock: socket.socket, count: int) -> int:
    """Receive up to *count* bytes and forget them; they are not even copied.

    Raises:
        OSError: it would block, or the connection was lost.

    """
    if not _nowhere:
        import mmap  # noqa: PLC0415 - for those only who discard much

        _nowhere.append(mmap.mmap(-1, AT_ONCE))  # never touched, so it takes no memory
    return sock.recv_into(_nowhere[0], min(count, AT_ONCE), socket.MSG_TRUNC)


_nowhere: list[Any] = []


class Pipe:
    """A way from a socket to a file within the system. It is empty between two transfers."""

    __slots__ = ("_reader", "_writer")

    def __init__(self) -> None:
        import fcntl  # noqa: PLC0415 - for those only who receive into files

        self._reader, self._writer = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        try:
            fcntl.fcntl(self._writer, fcntl.F_SETPIPE_SZ, AT_ONCE)
        except OSError:
            pass  # there is a limit for each user; a small one works as well

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
        """Let others use the pipe; it is empty."""
        if _spare:
            self.close()
        else:
            _spare.append(self)

    def close(self) -> None:
        """Forget what is in the pipe."""
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
        """Write *count* bytes, all that are in the pipe, to a file; yield how many each time.

        Raises:
            OSError: that is not possible; some are still here. See `take`.
            CannotSplice: not to this file, such as one opened for appending. See `take`.

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
        """Take what is in the pipe."""
        pieces = []
        try:
            while True:
                pieces.append(os.read(self._reader, AT_ONCE))
        except BlockingIOError:
            pass
        return b"".join(pieces)


_spare: list[Pipe] = []  # one at most; append and pop are atomic


def can_splice() -> bool:
    """Say whether the system has what a `Pipe` needs."""
    return IS_LINUX and hasattr(os, "splice")


def _drop_inherited() -> None:
    while _spare:
        _spare.pop().close()


if hasattr(os, "register_at_fork"):  # the pipe is the parent's as well
    os.register_at_fork(after_in_child=_drop_inherited)
