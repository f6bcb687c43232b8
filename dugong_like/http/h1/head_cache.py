"""A cache of recent response heads: a head of the same bytes need not be parsed again.

Not here: parsing (response_head.py).
"""

from __future__ import annotations

import re
from typing import Final

from ..redaction import SECRET
from .limits import MAX_FIELDS
from .response_head import Head, check_count, find_head

MOST_KNOWN: Final = 64  # heads in the cache
LARGEST_KNOWN: Final = 4096  # bytes of one
PATIENCE: Final = 64  # heads

_secret = re.compile(rb"\n(?:%s):" % "|".join(sorted(SECRET)).encode()).search  # not cached
_known: Final[dict[bytes, Head]] = {}  # by their bytes; shared by all connections


class RecentHeads:
    """Finds heads as `find_head` does, with a cache.

    Servers repeat heads: those of responses to small uploads differ at most in Date, which changes
    once in a second. The cache is shared by all connections. Each has one of these objects, which
    stops searching if its server never repeats a head.

    Args:
        max_fields: maximum number of field lines of a head.

    Attributes:
        patience: number of misses in a row before it stops searching.
    """

    __slots__ = ("_max_fields", "patience")

    def __init__(self, max_fields: int = MAX_FIELDS) -> None:
        self._max_fields = max_fields
        self.patience = PATIENCE

    def find(self, data: bytearray, begin: int, end: int) -> Head | None:
        """See `find_head`."""
        if not self.patience:
            return find_head(data, begin, end, self._max_fields)
        if (at := data.find(b"\r\n\r\n", begin, end)) < 0:
            return None
        stop = at + 4
        if stop - begin > LARGEST_KNOWN:
            return find_head(data, begin, end, self._max_fields)
        wire = bytes(data[begin:stop])
        if (head := _known.get(wire)) is not None:
            self.patience = PATIENCE
            if head.count > self._max_fields:  # another connection may have a higher limit
                check_count(head.count, self._max_fields)
            return head
        self.patience -= 1
        head = find_head(wire, 0, len(wire), self._max_fields)
        if head is not None and not _secret(head.lower):
            _known[wire] = head
            if len(_known) > MOST_KNOWN:
                _known.clear()
        return head
