"""Sending a file as a body: by the system where it can, else read in pieces.

Not here: the operations (operations.py), what the system can do (transport/zero_copy.py), and how
files are read (files.py).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from ..errors import StateError
from ..polling.contract import Co
from ..transport.zero_copy import FileFailed, FileRange
from .files import Source

if TYPE_CHECKING:
    from .session import SendingHalf

# Bytes of a chunk that is not read here. Its framing is two more calls of the system, but
# there are servers that take a chunk into memory as a whole.
MAX_CHUNK: Final = 4 << 20


def start_upload(sender: SendingHalf, source: Source) -> Co[None] | None:
    """Check that *source* can be sent; return what sends it. A step for `SendingHalf.begin`."""
    if sender.is_complete():
        source.measure()
        if not source.size:  # unknown: it is read, as it may be empty
            return sender.nothing() if source.size == 0 else co_upload(sender, source, 0)
    chunked = sender.check_room(source.size or 0)
    if source.size is None and not chunked:
        source.measure()
        sender.check_room(source.size or 0)
    most = MAX_CHUNK if chunked else source.size
    return co_upload(sender, source, most if sender.has_bulk() else 0)


def co_upload(sender: SendingHalf, source: Source, most: int | None) -> Co[None]:
    """Send *source* in pieces: of *most* bytes where the system sends them, 0: it does not."""
    try:
        while data := (yield from co_next_part(sender, source, most or 0)):
            going = sender.write(data)
            if going is not None:
                yield from going
            source.sent += len(data)
        if not source.sent and (going := sender.nothing()) is not None:
            yield from going
    except FileFailed as exc:
        raise exc.error from None


def co_next_part(sender: SendingHalf, source: Source, most: int) -> Co[memoryview | FileRange]:
    """Return what to send next of *source*; empty at its end. If it fails, nobody can go on."""
    part = source.file_range(most)
    if part is not None:
        return part
    try:
        return (yield from source.co_piece())
    except Exception as exc:
        sender.break_off(exc)
        raise
    except GeneratorExit:  # the caller will never know how much was sent
        sender.break_off(StateError("sendfile was interrupted while it waited for the file"))
        raise
