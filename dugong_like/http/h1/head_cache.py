"""A cache of recent response heads: a head of the same bytes need not be parsed again.

Not here: parsing (response_head.py).
"""

from __future__ import annotations

from typing import Any, Final

from ..patterns import compiled_later
from ..redaction import SECRET
from .limits import MAX_FIELDS, MAX_HEADER_SIZE
from .response_head import FINAL, Head, check_count, find_head

MOST_KNOWN: Final = 64  # heads in the cache
LARGEST_KNOWN: Final = 4096  # bytes of one
MOST_LIKELY: Final = 64  # targets whose responses are remembered
PATIENCE: Final = 64  # heads
UNLIKE: Final = b"\0"  # no head begins with

_secret = compiled_later(rb"\n(?:%s):" % "|".join(sorted(SECRET)).encode())  # not cached
Known = tuple[bytes, Any]  # the bytes of a `Head`, and this; None if nothing can be like the bytes
NO_HEAD: Final[Known] = UNLIKE, None
_known: Final[dict[bytes, Known]] = {}  # by their bytes; shared by all connections


class RecentHeads:
    """Finds heads as `find_head` does, with a cache.

    Servers repeat heads: those of responses to small uploads differ at most in Date, which changes
    once in a second. The cache is shared by all connections. Those with the same configuration,
    which lead to the same server, have one of these objects, which stops searching if that never
    repeats a head. Threads may use it at the same time.

    Args:
        max_fields: maximum number of field lines of a head.
        max_size: bytes of a head; a larger one is not found.

    Attributes:
        last: the head of a final response that has come at least twice, and its bytes: most heads
            of a server are like the one before, and whether they are is the quickest question to
            ask.
        likely: by the target of a request, `last` after the last response to it.
        patience: number of misses in a row before it stops searching.
    """

    __slots__ = ("_max_fields", "_max_size", "last", "likely", "patience")

    def __init__(self, max_fields: int = MAX_FIELDS, max_size: int = MAX_HEADER_SIZE) -> None:
        self._max_fields = max_fields
        self._max_size = max_size
        self.last: Known = NO_HEAD
        self.likely: dict[str, Known] = {}
        self.patience = PATIENCE

    def find_for(self, target: str, data: bytearray, begin: int, end: int) -> Head | None:
        """See `find_head`; of the response to a request for *target*, which is in `likely` then."""
        head = self.find(data, begin, end)
        last = self.last
        if head is not None and last[1] is head:
            if len(self.likely) >= MOST_LIKELY:
                self.likely.clear()
            self.likely[target] = last
        return head

    def find(self, data: bytearray, begin: int, end: int) -> Head | None:  # noqa: C901 - flat
        """See `find_head`."""
        head: Head | None
        wire, head = self.last
        if data.startswith(wire, begin, end):
            return head
        if not self.patience:
            head = find_head(data, begin, end, self._max_fields)
            return None if head is None or head.size > self._max_size else head
        if (at := data.find(b"\r\n\r\n", begin, end)) < 0:
            return None
        stop = at + 4
        if stop - begin > self._max_size:
            return None
        if stop - begin > LARGEST_KNOWN:
            return find_head(data, begin, end, self._max_fields)
        wire = bytes(data[begin:stop])
        if (known := _known.get(wire)) is not None:
            self.patience = PATIENCE
            _, head = known
            if head.count > self._max_fields:  # another connection may have a higher limit
                check_count(head.count, self._max_fields)
            if head.status >= FINAL:
                self.last = known
            return head
        self.patience -= 1
        head = find_head(wire, 0, len(wire), self._max_fields)
        if head is not None and not _secret().search(head.lower):
            _known[wire] = wire, head
            if len(_known) > MOST_KNOWN:
                _known.clear()
        return head
