"""Which bytes of a file are there: spans, from a first byte to one that is no part of it.

Not here: where that is written down (record.py).
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator


class Spans:
    """A set of bytes, as spans that neither overlap nor touch, in order.

    Args:
        spans: the first ones, pairs of begin and end.

    """

    __slots__ = ("_begins", "_ends")

    def __init__(self, spans: Iterable[tuple[int, int]] = ()) -> None:
        self._begins: list[int] = []
        self._ends: list[int] = []
        for begin, end in spans:
            self.add(begin, end)

    def add(self, begin: int, end: int) -> None:
        """Add the bytes from *begin* to *end*, which is excluded."""
        if begin >= end:
            return
        first = bisect_left(self._ends, begin)
        last = bisect_right(self._begins, end)
        if first < last:  # it touches these
            begin = min(begin, self._begins[first])
            end = max(end, self._ends[last - 1])
        self._begins[first:last] = [begin]
        self._ends[first:last] = [end]

    def clear(self) -> None:
        """Remove all."""
        self._begins.clear()
        self._ends.clear()

    def missing(self, size: int | None) -> list[tuple[int, int | None]]:
        """Return the spans that are not there, of *size* bytes; the last one may have no end.

        Args:
            size: bytes of the whole; None if that is unknown.

        """
        gaps: list[tuple[int, int | None]] = []
        at = 0
        for begin, end in self:
            if begin > at:
                gaps.append((at, begin))
            at = end
        if size is None:
            gaps.append((at, None))
        elif at < size:
            gaps.append((at, size))
        return gaps

    @property
    def count(self) -> int:
        """Number of bytes."""
        return sum(self._ends) - sum(self._begins)

    @property
    def prefix(self) -> int:
        """Number of bytes from 0 on without a gap."""
        return self._ends[0] if self._begins[:1] == [0] else 0

    @property
    def end(self) -> int:
        """Position behind the last byte; 0 if there is none."""
        return self._ends[-1] if self._ends else 0

    def __iter__(self) -> Iterator[tuple[int, int]]:
        return iter(list(zip(self._begins, self._ends, strict=True)))

    def __repr__(self) -> str:
        return f"Spans({list(self)})"
