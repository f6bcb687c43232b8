"""The operations between a connection and a file, and their blocking twins.

Where the system can move the bytes by itself they never come into the memory of the process;
where it cannot, the results are the same.

Not here: what the system can do (transport/zero_copy.py), and how files are read (files.py).
"""

from __future__ import annotations

from typing import BinaryIO, Final

from ..errors import DugongError, StateError
from ..polling.contract import Co, run
from ..polling.twin_documentation import twin_of
from ..transport.zero_copy import FileFailed, FileStretch
from .files import Sink, Source
from .h1.receiver import ReceivingHalf
from .h1.sender import SendingHalf

# Bytes of a chunk that is not read here. Its framing is two more calls of the system, but
# there are servers that take a chunk into memory as a whole.
MAX_CHUNK: Final = 4 << 20


class Transfers:
    """The part of `HTTPConnection` that has to do with files."""

    _sending: SendingHalf
    _receiving: ReceivingHalf

    def co_sendfile(self, file: BinaryIO, offset: int = 0, count: int | None = None) -> Co[int]:
        """Write body data from a file, as `co_write` does.

        Over plain TCP a regular file opened with `open` is sent by the system (on Linux), else
        it is read in pieces. Reading it may block the thread; one that is non-blocking, and
        has a descriptor, is waited for, without a time limit. The position of *file* plays no
        part, and is afterwards what it was; only one that has no positions, such as a pipe,
        is read from where it is. With a body in chunks, `co_finish` has to follow.

        Args:
            file: a binary file. Nobody else may use it meanwhile, unless it is a regular file.
            offset: bytes at its beginning to leave out.
            count: bytes to send; None for all to its end.

        Returns:
            How many bytes were sent.

        Raises:
            ExcessBodyData: it is more than was announced; nothing of it was sent or, if the
                size of *file* cannot be known, not more than was announced. The connection is
                broken.
            FileTooShort: *file* has fewer bytes. If it had them at the beginning the connection
                is broken, else nothing was sent.
            TypeError: *file* is no binary file, or a number no number.
            ValueError: a number is negative, or *file* is closed, or has no positions and
                *offset* is not 0.
            StreamNotReady: *file* has nothing now, and cannot be waited for.
            StateError: *file* gives other bytes than its positions count.
            OSError: *file* cannot be read. After these three, if it could be read at the
                beginning, the connection is broken, else nothing was sent.
            DugongError: what `co_write` raises.

        """
        try:
            source = Source(file, offset, count)
        except DugongError as exc:
            self._sending.label(exc)
            raise
        try:
            going = self._sending.begin(start_upload, self._sending, source)
            if going is not None:
                yield from going
        finally:
            source.restore()
        return source.sent

    @twin_of(co_sendfile)
    def sendfile(self, file: BinaryIO, offset: int = 0, count: int | None = None) -> int:
        """Blocking twin of `co_sendfile`."""
        return run(self.co_sendfile(file, offset, count))

    def co_recv_to_file(self, file: BinaryIO) -> Co[int]:
        """Read the rest of the body into a file, from the present position of the file.

        Over plain TCP the system moves the bytes into a regular file opened with `open` (on
        Linux). Writing it may block the thread; a file that is non-blocking, and has a
        descriptor, is waited for, without a time limit. Interrupted, it loses nothing: what
        had arrived is in *file*, and the next call goes on where this one stood.

        Args:
            file: a binary file. A regular one is flushed at the beginning; none is at the end.

        Returns:
            How many bytes were written.

        Raises:
            TypeError: *file* is no binary file; nothing was read.
            OSError, ValueError: *file* cannot be written, or is closed. What has arrived and
                was not written will be returned by the next call that reads: the connection
                is all right. So it is after any other exception from the ``write`` of *file*.
            StreamNotReady: it is one of these, *file* takes nothing now and cannot be waited
                for; ``characters_written`` says how many bytes of the body it has taken.
            DugongError: what `co_read` raises. What has arrived is in *file*.

        """
        sink = Sink(file)
        try:
            yield from self._receiving.role.co(
                self._receiving.bodies.save, sink, elsewhere=sink.wanted
            )
        finally:
            sink.settle()
        if sink.failure is not None:
            if isinstance(sink.failure, DugongError):
                sink.failure.request_sent = "yes"  # it was answered
            raise sink.failure
        return sink.written

    @twin_of(co_recv_to_file)
    def recv_to_file(self, file: BinaryIO) -> int:
        """Blocking twin of `co_recv_to_file`."""
        return run(self.co_recv_to_file(file))


def start_upload(sending: SendingHalf, source: Source) -> Co[None] | None:
    """Check that *source* can be sent; return what sends it. A step for `SendingHalf.begin`."""
    if sending.is_complete():
        source.measure()
        if not source.size:  # unknown: it is read, as it may be empty
            return sending.nothing() if source.size == 0 else co_upload(sending, source, 0)
    chunked = sending.check_room(source.size or 0)
    if source.size is None and not chunked:
        source.measure()
        sending.check_room(source.size or 0)
    most = MAX_CHUNK if chunked else source.size
    return co_upload(sending, source, most if sending.has_bulk() else 0)


def co_upload(sending: SendingHalf, source: Source, most: int | None) -> Co[None]:
    """Send *source* in pieces: of *most* bytes where the system sends them, 0: it does not."""
    try:
        while data := (yield from co_next_part(sending, source, most or 0)):
            going = sending.write(data)
            if going is not None:
                yield from going
            source.sent += len(data)
        if not source.sent and (going := sending.nothing()) is not None:
            yield from going
    except FileFailed as exc:
        raise exc.error from None


def co_next_part(sending: SendingHalf, source: Source, most: int) -> Co[memoryview | FileStretch]:
    """Return what to send next of *source*; empty at its end. If it fails, nobody can go on."""
    stretch = source.stretch(most)
    if stretch is not None:
        return stretch
    try:
        return (yield from source.co_piece())
    except Exception as exc:
        sending.break_off(exc)
        raise
    except GeneratorExit:  # the caller will never know how much was sent
        sending.break_off(StateError("sendfile was interrupted while it waited for the file"))
        raise
