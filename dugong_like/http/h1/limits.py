"""Limits for everything that a server sends except bodies.

Every limit is enforced while the bytes arrive, so that none can be exceeded by
sending slowly. All except the last can be set for each connection.

Not here: the size of bodies, which is up to the caller.
"""

from __future__ import annotations

from typing import Final

MAX_LINE_SIZE: Final = 65536  # bytes; status line or field line, as long as http.client takes
MAX_HEADER_SIZE: Final = 65536  # bytes; whole head, or whole trailer section
MAX_FIELDS: Final = 200  # field lines in a section; servers send 10 to 50, http.client takes 100
MAX_INFORMATIONAL: Final = 20  # 1xx responses to one request; Go stops at 5
MAX_CHUNK_LINE: Final = 16384  # bytes; chunk size with its extensions, as hyper
MAX_EXTENSIONS: Final = 16384  # bytes of chunk extensions in one body, as hyper


class Limits:
    """The limits of one connection; see the constants of the same names."""

    __slots__ = (
        *("chunk_line", "extensions", "fields", "header_size", "informational", "line_size"),
    )

    def __init__(
        self,
        line_size: int = MAX_LINE_SIZE,
        header_size: int = MAX_HEADER_SIZE,
        fields: int = MAX_FIELDS,
        informational: int = MAX_INFORMATIONAL,
        chunk_line: int = MAX_CHUNK_LINE,
        extensions: int = MAX_EXTENSIONS,
    ) -> None:
        self.line_size = line_size
        self.header_size = header_size
        self.fields = fields
        self.informational = informational
        self.chunk_line = chunk_line
        self.extensions = extensions
