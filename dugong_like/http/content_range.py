"""The field Content-Range: which bytes of a representation a response has (RFC 9110 section 14.4).

Not here: asking for a range, and putting ranges together (client/transfers/).
"""

from __future__ import annotations

from typing import NamedTuple

from .patterns import compiled_later

# 18 digits are more bytes than any storage has, and few enough for every conversion.
_range = compiled_later(
    r"(?i:bytes) (?P<first>[0-9]{1,18})-(?P<last>[0-9]{1,18})/(?P<size>[0-9]{1,18}|\*)"
)
_unsatisfied = compiled_later(r"(?i:bytes) \*/(?P<size>[0-9]{1,18})")


class ContentRange(NamedTuple):
    """The bytes of a 206 response.

    Attributes:
        first: position of the first one.
        last: position of the last one, which is included.
        size: bytes of the whole representation; None if the server does not say it.

    """

    first: int
    last: int
    size: int | None

    def __len__(self) -> int:
        """Return the number of bytes."""
        return self.last - self.first + 1


def parse_content_range(value: str | None) -> ContentRange | None:
    """Return what *value* says; None if it is missing or invalid.

    It is invalid if the last byte comes before the first one, or is not within the size.
    """
    match = _range().fullmatch((value or "").strip(" \t"))
    if match is None:
        return None
    first, last = int(match["first"]), int(match["last"])
    size = None if match["size"] == "*" else int(match["size"])
    if last < first or (size is not None and size <= last):
        return None
    return ContentRange(first, last, size)


def unsatisfied_size(value: str | None) -> int | None:
    """Return the size of the representation that a 416 response tells; None if it tells none."""
    match = _unsatisfied().fullmatch((value or "").strip(" \t"))
    return None if match is None else int(match["size"])
