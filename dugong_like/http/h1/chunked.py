"""Chunked transfer coding, both halves (RFC 9112 section 7.1).

`ChunkedBody` reads the framing around the payload; the payload itself never passes
through here. Chunk extensions are skipped, as section 7.1.1 demands. `chunk_start` and
`last_chunk` write the framing.

Not here: choosing between chunked and Content-Length (framing.py), and the
trailer section (trailers.py).
"""

from __future__ import annotations

import re
from typing import Final

from ...errors import ConnectionClosed, InvalidResponse
from ..patterns import compiled_later
from ..redaction import quoted
from .body import Source
from .limits import Limits
from .response_head import VALUE
from .trailers import TrailerSection

_size_line = re.compile(rb"0*([0-9A-Fa-f]{1,16})((?:[ \t]*;" + VALUE + rb")?)\r\n").fullmatch
_partial_line = compiled_later(
    rb"0*(?:[0-9A-Fa-f]{1,16}(?:\r|[ \t]+|[ \t]*(;)" + VALUE + rb"\r?)?)?"
)
_partial_extension = compiled_later(VALUE + rb"\r?")
CRLF: Final = b"\r\n"
SHOWN: Final = 60  # bytes of an invalid line that an error message shows


class ChunkedBody:
    """A body that arrives in chunks.

    Attributes:
        trailers: field lines of the trailer section; ``b""`` before its end.

    """

    __slots__ = ("_extensions", "_limits", "_looked_at", "_owed", "_section", "_state", "trailers")

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._owed = 0  # bytes of payload in the present chunk
        self._extensions = 0  # bytes of chunk extensions so far
        self._looked_at = 0  # checked bytes of the present size line, up to the extensions
        self._section: TrailerSection | None = None  # the trailer section, once it has begun
        self._state = self._size
        self.trailers = b""

    def next(self, source: Source) -> int | None:
        """Return the size of the next chunk; see `Body.next`."""
        self._owed = 0
        while self._owed == 0:
            before = self._state
            if not before(source):
                return 0 if before == self._done else None
        return self._owed

    def end_of_stream(self, owed: int, length: int) -> None:  # noqa: ARG002 - nobody knows it
        """Raise `ConnectionClosed`: the last chunk, or the end of what follows it, is missing."""
        if owed:
            missing = f"{owed} bytes of a chunk"
        elif self._section is None:
            missing = "the last chunk"
        else:
            missing = "the end of the trailer section"
        raise ConnectionClosed(
            f"the connection ended inside a chunked body: without {missing}", request_sent="yes"
        )

    # Each state takes its framing from the source and sets the next state. False means that the
    # state stays, for lack of bytes or at the end.

    def _size(self, source: Source) -> bool:
        data, begin, end = source.data, source.begin, source.end
        at = data.find(b"\n", begin, min(end, begin + self._limits.chunk_line))
        if at < 0:
            self._check_partial(data, begin, end)
            return False
        self._looked_at = 0
        line = bytes(data[begin : at + 1])
        match = _size_line(line)
        if match is None:
            raise InvalidResponse(f"not a chunk size: {quoted(line)}", request_sent="yes")
        self._extensions += len(match[2])
        if self._extensions > self._limits.extensions:
            raise InvalidResponse(
                f"more than {self._limits.extensions} bytes of chunk extensions",
                request_sent="yes",
            )
        source.begin = at + 1
        self._owed = int(match[1], 16)
        if self._owed:
            self._state = self._data_end
        else:
            self._section = TrailerSection(self._limits)
            self._state = self._trailer_section
        return True

    def _check_partial(self, data: bytearray, begin: int, end: int) -> None:
        """Check the part of a size line that has arrived, new bytes of extensions only."""
        if end - begin >= self._limits.chunk_line:
            raise InvalidResponse(
                f"chunk size line of more than {self._limits.chunk_line} bytes",
                request_sent="yes",
            )
        rest = bytes(data[begin + self._looked_at : end])
        match = (_partial_extension if self._looked_at else _partial_line)().fullmatch(rest)
        if match is None:
            line = bytes(data[begin : min(end, begin + SHOWN)])
            raise InvalidResponse(f"not a chunk size: {quoted(line)}", request_sent="yes")
        if (self._looked_at or match[1]) and not rest.endswith(b"\r"):
            self._looked_at = end - begin

    def _data_end(self, source: Source) -> bool:
        got = bytes(source.data[source.begin : min(source.begin + 2, source.end)])
        if not CRLF.startswith(got):
            raise InvalidResponse(
                f"{quoted(got)} instead of CRLF behind a chunk",
                request_sent="yes",
            )
        if got != CRLF:
            return False
        source.begin += 2
        self._state = self._size
        return True

    def _trailer_section(self, source: Source) -> bool:
        assert self._section is not None
        lines = self._section.take(source)
        if lines is None:
            return False
        self.trailers = lines
        self._state = self._done
        return True

    def _done(self, source: Source) -> bool:  # noqa: ARG002 - nothing more to take
        return False


def chunk_start(size: int) -> bytes:
    """Return the size line of a chunk of *size* bytes; CRLF follows the chunk.

    *size* must not be 0: that would be the last chunk.
    """
    return b"%x\r\n" % size


def last_chunk(trailers: bytes = b"") -> bytes:
    """Return the end of a chunked body; *trailers* are field lines, each with CRLF."""
    return b"0\r\n" + trailers + CRLF
