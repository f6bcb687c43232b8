"""Asking for a part of a file, and checking that it is what came (RFC 9110 section 14).

Not here: the grammar of Content-Range (http/content_range.py).
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Final

from ...errors import UnusableRange
from ...http.content_range import ContentRange, parse_content_range
from ...http.validators import contradicts

if TYPE_CHECKING:
    from ..request import ClientRequest
    from ..response import Response
    from .spans import Spans

# Bytes of a share at least: several are of use if one connection is slower than the path. Each new
# one costs two or three round trips before its first byte, and sends 14 KiB in the next one,
# doubled with each further (RFC 6928, RFC 5681): 1 MiB is what it has sent after six more, when it
# has caught up. Files of two such shares or more are split. The last range of a gap may have half
# of it, for shares do not divide the gap evenly; one that is taken over has a quarter at least, as
# its connection is there already.
LEAST: Final = 1 << 20
WORTH: Final = 0.6  # seconds that a range still needs at least for half of it to be taken over


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


class Range:
    """A range that one connection receives.

    Args:
        begin: position of its first byte.
        end: position behind its last one. Another one may take over the rest: then it moves to the
            front while the range is received, and no further bytes are needed from here.

    Attributes:
        begin: see above.
        end: see above.
        begun_at: when it was begun with, in seconds of a clock.
        is_cut: True if another range has taken over the rest: its connection ends with it.

    """

    __slots__ = ("begin", "begun_at", "end", "is_cut")

    def __init__(self, begin: int, end: int) -> None:
        self.begin = begin
        self.end = end
        self.begun_at = 0.0
        self.is_cut = False

    def next(self, spans: Spans) -> int:
        """Return the position of the first byte that is not there; `end` if all are."""
        for begin, end in spans.missing(self.end):
            if end is None or end > self.begin:
                return min(max(begin, self.begin), self.end)
        return self.end


class Ranges:
    """The ranges that are received at the same time, and those that wait for that.

    One that is done takes over half of what the slowest one has left: connections are not equally
    fast, and the last one would be waited for. That costs a connection, and what is on its way.

    Args:
        waiting: the ranges.
        spans: the bytes that are there.
        clock: gives seconds, as `time.monotonic`.

    """

    def __init__(
        self,
        waiting: Iterable[tuple[int, int]],
        spans: Spans,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._waiting = deque(waiting)
        self._spans = spans
        self._clock = clock
        self._active: list[Range] = []

    @property
    def waiting(self) -> int:
        """How many wait."""
        return len(self._waiting)

    def start(self, bounds: Range | None = None) -> Range | None:
        """Begin with *bounds*, or with one that waits, or is taken over; None if there is none."""
        if bounds is None:
            bounds = Range(*self._waiting.popleft()) if self._waiting else self._taken_over()
        if bounds is not None:
            bounds.begun_at = self._clock()
            self._active.append(bounds)
        return bounds

    def finish(self, bounds: Range) -> None:
        """Note that nothing more comes for *bounds*."""
        self._active.remove(bounds)

    def _taken_over(self) -> Range | None:
        """Return the second half of what the slowest one has left, if it is worth it."""
        now = self._clock()
        seconds, slowest = max(
            ((self._seconds_left(bounds, now), bounds) for bounds in self._active),
            key=lambda pair: pair[0],
            default=(0.0, None),
        )
        if slowest is None or seconds < WORTH:
            return None
        at = slowest.next(self._spans)
        if slowest.end - at < LEAST // 2:  # less than `LEAST`: the connection is there already
            return None
        bounds = Range(at + (slowest.end - at) // 2, slowest.end)
        slowest.end, slowest.is_cut = bounds.begin, True
        return bounds

    def _seconds_left(self, bounds: Range, now: float) -> float:
        """Return how long *bounds* needs for the rest, at its rate; 0 if it has just begun."""
        at, passed = bounds.next(self._spans), now - bounds.begun_at
        received = at - bounds.begin
        if not received and passed < WORTH:  # its first byte takes some round trips
            return 0.0
        return passed * (bounds.end - at) / max(received, 1)
