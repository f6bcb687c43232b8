"""Which bytes of a file are asked for, and taking them out of a response (RFC 9110 section 14).

Positions are those of slices of Python, as fsspec has them: they may be negative, and None is an
end of the file.

Not here: requests (fsspec_requests.py).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Final, NamedTuple

from ..errors import UnusableRange
from ..http.content_range import ContentRange, parse_content_range

if TYPE_CHECKING:
    from ..client.response import Response

PARTIAL: Final = 206
NOT_SATISFIABLE: Final = 416


class Span(NamedTuple):
    """Bytes of one file.

    Attributes:
        url: of the file.
        start: as of a slice.
        end: the same.

    """

    url: str
    start: int | None = None
    end: int | None = None

    @property
    def is_whole(self) -> bool:
        """True if it is the whole file."""
        return not self.start and self.end is None

    @property
    def needs_size(self) -> bool:
        """True if only the size of the file tells which bytes these are."""
        if self.start is not None and self.start < 0:
            return self.end is not None
        return self.end is not None and self.end < 0

    @property
    def is_empty(self) -> bool:
        """True if these are no bytes, whatever the size is."""
        return self.end is not None and not self.needs_size and (self.start or 0) >= self.end

    def resolved(self, size: int) -> Span:
        """Return the same bytes of a file of *size* bytes, without negative positions."""
        start, end, _ = slice(self.start, self.end).indices(size)
        return Span(self.url, start, end)

    def fields(self) -> dict[str, str]:
        """Return the field that asks for it; none for the whole file. It `needs_size` no longer."""
        if self.is_whole:
            return {}
        if self.start is not None and self.start < 0:
            return {"Range": f"bytes={self.start}"}
        last = "" if self.end is None else self.end - 1
        return {"Range": f"bytes={self.start or 0}-{last}"}

    def taken_from(self, response: Response, body: bytes) -> bytes:
        """Return its bytes out of *body*, that of *response*, which is a success or 416.

        Raises:
            UnusableRange: it has other bytes than asked for, or does not say which.

        """
        if response.status_code == NOT_SATISFIABLE:
            return b""  # it begins behind the end of the file
        if response.status_code != PARTIAL:
            return body if self.is_whole else body[self.start : self.end]
        asked = None if response.request is None else response.request.headers
        coding = response.field("content-encoding") or "identity"
        if (
            coding != "identity"
            and asked is not None
            and asked.get("accept-encoding") == "identity"
        ):
            raise UnusableRange(
                "the server sent a part of a file that it has encoded, and was asked not to: the "
                "whole file can be read",
                offset=self.start or 0,
            )
        found = parse_content_range(response.field("content-range"))
        if found is None or len(found) != len(body):
            raise UnusableRange(
                "the server sent a part without saying which (Content-Range)",
                offset=self.start or 0,
            )
        if not self._is_this(found):
            raise UnusableRange(
                f"the server sent the bytes from {found.first} to {found.last} instead of those "
                "that were asked for",
                offset=self.start or 0,
            )
        return body

    def _is_this(self, found: ContentRange) -> bool:
        """Return True if *found* are its bytes, up to the end of the file."""
        start, size = self.start or 0, found.size
        if start < 0:
            return size is not None and self.resolved(size)[1:] == (found.first, found.last + 1)
        if found.first != start or (self.end is not None and found.last >= self.end):
            return False
        return size is None or found.last + 1 == min(self.end or size, size)


class Part(NamedTuple):
    """A range within a larger one.

    Attributes:
        number: place of the range in the list of all.
        start: where it begins in the larger one; None if it is all of it.
        end: where it ends there, likewise.

    """

    number: int
    start: int | None = None
    end: int | None = None


class Merged(NamedTuple):
    """Several ranges of one file as one.

    Attributes:
        span: what is asked for.
        parts: the ranges.

    """

    span: Span
    parts: list[Part]


def merged(spans: Sequence[Span], max_gap: int | None) -> list[Merged]:
    """Return what to ask for to have all of *spans*.

    Args:
        spans: bytes of any files, in any order.
        max_gap: bytes between two ranges of a file, at most, that are fetched as well to have one
            request for both; None for one request for each range.

    """
    found: list[Merged] = []
    together: dict[str, list[tuple[int, int, int]]] = {}
    for number, span in enumerate(spans):
        start, end = span.start or 0, span.end
        if max_gap is None or end is None or start < 0 or end < 0:
            found.append(Merged(span, [Part(number)]))
        else:
            together.setdefault(span.url, []).append((start, end, number))
    for url, ranges in together.items():
        found += _joined(url, sorted(ranges), max_gap or 0)
    return found


def _joined(url: str, ranges: Iterable[tuple[int, int, int]], max_gap: int) -> list[Merged]:
    found: list[Merged] = []
    for start, end, number in ranges:
        if found and start - (found[-1].span.end or 0) <= max_gap:
            last = found.pop()
            begin = last.span.start or 0
            span = Span(url, begin, max(last.span.end or 0, end))
            found.append(Merged(span, [*last.parts, Part(number, start - begin, end - begin)]))
        else:
            found.append(Merged(Span(url, start, end), [Part(number, 0, end - start)]))
    return found
