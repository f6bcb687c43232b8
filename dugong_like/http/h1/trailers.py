"""Trailer sections, sent and received: fields behind a chunked body (RFC 9112 section 7.1.2).

A trailer section has the grammar of header fields, and may have fewer of them: see `NO_TRAILERS` of
http/header_validation.py.

Not here: the chunks in front of it (chunked.py), and the rules for single fields
(header_validation.py).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..header_validation import trailer_lines
from .response_head import Section, parse_fields

if TYPE_CHECKING:
    from ..headers import Fields
    from .body import Source
    from .limits import Limits


class TrailerSection:
    """A trailer section that is being received.

    Args:
        limits: for its bytes and the number of its fields.

    """

    __slots__ = ("_limits", "_section")

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._section = Section(limits, status=False)

    def take(self, source: Source) -> bytes | None:
        """Take the section from *source*, with the empty line that ends it.

        Returns:
            Its field lines, ``b""`` if it has none; None if it has not arrived completely.

        Raises:
            InvalidResponse: a line violates the grammar, or a limit is exceeded.

        """
        stop = self._section.find_end(source.data, source.begin, source.end)
        if stop < 0:
            return None
        lines = parse_fields(bytes(source.data[source.begin : stop]), self._limits.fields)
        source.begin = stop
        return lines


def encode_trailers(fields: Fields) -> bytes:
    """Return *fields* as lines of a trailer section, each with its CRLF.

    Raises:
        InvalidRequest: as of `trailer_lines`.
        TypeError: as of `trailer_lines`.

    """
    return trailer_lines(fields).encode()
