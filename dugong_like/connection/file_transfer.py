"""Sending a file as a body: by the system where it can, else read in pieces; and whole bodies.

Not here: the operations (operations.py), what the system can do (transport/zero_copy.py), and how
files are read (files.py).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, BinaryIO, Final

from ..errors import DugongError, StateError
from ..http.arguments import as_bytes
from ..polling.contract import Co
from ..transport.zero_copy import FileFailed, FileRange
from .body_writer import BodyWriter, trailer_lines
from .files import Source

if TYPE_CHECKING:
    from ..http.request import Source as BodySource

# Bytes of a chunk that is not read here. Its framing is two more calls of the system, but
# there are servers that take a chunk into memory as a whole.
MAX_CHUNK: Final = 4 << 20


def co_write_all(writer: BodyWriter, source: BodySource) -> Co[None]:
    """Write a body from *source* to its end; what is stored in a file is sent by the system."""
    while True:
        if (stored := source.file_range()) is not None:
            file, offset, count = stored
            if count <= MAX_CHUNK and writer.has_bulk():
                going = writer.begin(write_range, writer, FileRange(file, offset, count))
                if going is not None:
                    yield from going
                source.skip(count)
            else:
                source.skip((yield from co_send_file(writer, file, offset, count)))
        elif data := (yield from source.co_next()):
            going = writer.begin(writer.write, as_bytes(data))
            if going is not None:
                yield from going
        else:
            break
    trailers = source.trailers()
    if not trailers and writer.is_complete():
        return
    going = writer.begin(writer.finish, trailer_lines(writer, trailers))
    if going is not None:
        yield from going


def write_range(writer: BodyWriter, part: FileRange) -> Co[None] | None:
    """Write *part*, which its source has examined, by *writer*. A step for `BodyWriter.begin`."""
    try:
        going = writer.write(part)
    except FileFailed as exc:
        raise exc.error from None
    return None if going is None else _co_write_range(going)


def _co_write_range(going: Co[None]) -> Co[None]:
    try:
        yield from going
    except FileFailed as exc:
        raise exc.error from None


def co_send_file(writer: BodyWriter, file: BinaryIO, offset: int, count: int | None) -> Co[int]:
    """Write body data from *file* by *writer*; see `Operations.co_sendfile`."""
    try:
        source = Source(file, offset, count)
    except DugongError as exc:
        writer.label(exc)
        raise
    try:
        going = writer.begin(start_upload, writer, source)
        if going is not None:
            yield from going
    finally:
        source.restore()
    return source.sent


def start_upload(writer: BodyWriter, source: Source) -> Co[None] | None:
    """Check that *source* can be sent; return what sends it. A step for `BodyWriter.begin`."""
    if writer.is_complete():
        source.measure()
        if not source.size:  # unknown: it is read, as it may be empty
            return writer.nothing() if source.size == 0 else co_upload(writer, source, 0)
    chunked = writer.check_room(source.size or 0)
    if source.size is None and not chunked:
        source.measure()
        writer.check_room(source.size or 0)
    most = MAX_CHUNK if chunked else source.size
    return co_upload(writer, source, most if writer.has_bulk() else 0)


def co_upload(writer: BodyWriter, source: Source, most: int | None) -> Co[None]:
    """Send *source* in pieces: of *most* bytes where the system sends them, 0: it does not."""
    try:
        while data := (yield from co_next_part(writer, source, most or 0)):
            going = writer.write(data)
            if going is not None:
                yield from going
            source.sent += len(data)
        if not source.sent and (going := writer.nothing()) is not None:
            yield from going
    except FileFailed as exc:
        raise exc.error from None


def co_next_part(writer: BodyWriter, source: Source, most: int) -> Co[memoryview | FileRange]:
    """Return what to send next of *source*; empty at its end. If it fails, nobody can go on."""
    part = source.file_range(most)
    if part is not None:
        return part
    try:
        return (yield from source.co_piece())
    except Exception as exc:
        writer.break_off(exc)
        raise
    except GeneratorExit:  # the caller will never know how much was sent
        writer.break_off(StateError("sendfile was interrupted while it waited for the file"))
        raise
