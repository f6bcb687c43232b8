"""Asking for a part of a file, and checking that it is what came (RFC 9110 section 14).

Not here: the grammar of Content-Range (http/content_range.py).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Final

from ...errors import UnusableRange
from ...http.content_range import ContentRange, parse_content_range
from ...http.validators import contradicts

if TYPE_CHECKING:
    from ..request import ClientRequest
    from ..response import Response

# Bytes of a range at least: several are of use if one connection is slower than the path. Each
# new one costs two or three round trips before its first byte, and sends 14 KiB in the next one,
# doubled with each further (RFC 6928, RFC 5681): 1 MiB is what it has sent after six more, when it
# has caught up. Files of two such ranges or more are split.
LEAST: Final = 1 << 20


class OtherVersion(Exception):
    """A response has bytes of another version than those that are there."""


def range_fields(begin: int, end: int | None, validator: str | None) -> list[tuple[str, str]]:
    """Return the fields that ask for the bytes from *begin* to *end*.

    Args:
        begin: position of the first byte.
        end: position behind the last byte; None for all to the end.
        validator: of the version that they have to be of; None for any.

    """
    last = "" if end is None else str(end - 1)
    fields = [("Range", f"bytes={begin}-{last}")]
    if validator is not None:
        fields.append(("If-Range", validator))
    return fields


def check_part(
    response: Response, begin: int, end: int | None, validator: str | None, size: int | None
) -> ContentRange:
    """Return the range of a 206 response, which has to begin as asked for.

    It may end earlier than asked for (RFC 9110 section 15.3.7).

    Args:
        response: with status 206.
        begin: what was asked for.
        end: the same; None for all to the end.
        validator: of the bytes that are there; None if there are none.
        size: of the whole; None if it is unknown.

    Raises:
        OtherVersion: its bytes are not of this version, or not those that were asked for.
        UnusableRange: it does not say which bytes it has, or its length is another one.

    """
    found = parse_content_range(response.field("content-range"))
    if found is None:
        raise UnusableRange(
            "the server sent a part without saying which (Content-Range)", offset=begin, limit=size
        )
    if validator is not None and contradicts(response, validator):
        raise OtherVersion
    if found.first != begin or (end is not None and found.last >= end):
        raise OtherVersion
    if size is not None and found.size not in (None, size):
        raise OtherVersion
    if size is not None and found.last >= size:
        raise OtherVersion
    if response.length is not None and response.length != len(found):
        raise UnusableRange(
            f"a part of {len(found)} bytes by its Content-Range has {response.length}",
            offset=begin,
            limit=size,
        )
    return found


def asks_for_range(request: ClientRequest) -> bool:
    """Return True if *request* has fields that a download sets itself."""
    headers = request.headers
    return "range" in headers or "if-range" in headers


def split(gaps: Iterable[tuple[int, int | None]], count: int) -> Iterator[tuple[int, int]]:
    """Yield the bytes of *gaps* in about *count* ranges of about the same size.

    Args:
        gaps: spans, all of which have an end.
        count: of ranges; there are fewer if each would be smaller than `LEAST`, and more if there
            are more gaps.

    """
    known = [(begin, end) for begin, end in gaps if end is not None]
    total = sum(end - begin for begin, end in known)
    size = max(-(-total // count), LEAST)
    for begin, end in known:
        while end - begin > size + size // 2:
            yield begin, begin + size
            begin += size
        yield begin, end
