"""Heads that are the same bytes as one that came lately: they need not be read again.

Not here: reading them (response_head.py).
"""

from __future__ import annotations

import re
from typing import Final

from ..redaction import SECRET
from .limits import MAX_FIELDS
from .response_head import Head, check_count, find_head

MOST_KNOWN: Final = 64  # heads that are remembered
LARGEST_KNOWN: Final = 4096  # bytes of one
PATIENCE: Final = 64  # heads

_secret = re.compile(rb"\n(?:%s):" % "|".join(sorted(SECRET)).encode()).search  # what is not kept
_known: Final[dict[bytes, Head]] = {}  # by their bytes; for all connections


class RecentHeads:
    """Finds heads as `find_head` does, but reads those that are the same bytes again only once.

    Servers repeat themselves: the answers to small uploads differ in their Date at most, which
    changes once in a second. What is remembered is common to all connections. Each has one of
    these, which gives up if its server never says the same twice.

    Args:
        max_fields: how many field lines a head may have.

    Attributes:
        patience: how many heads may still be new to it before it gives up.
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
            if head.count > self._max_fields:  # others may take more of them
                check_count(head.count, self._max_fields)
            return head
        self.patience -= 1
        head = find_head(wire, 0, len(wire), self._max_fields)
        if head is not None and not _secret(head.lower):
            _known[wire] = head
            if len(_known) > MOST_KNOWN:
                _known.clear()
        return head
