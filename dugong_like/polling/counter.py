"""Counting by several threads, also without the global interpreter lock."""

from __future__ import annotations

import itertools
from threading import RLock


class Counter:
    """Whole numbers from 1 on, each given once.

    Any thread may take one, as may a handler of a signal in the middle of that.
    """

    __slots__ = ("_lock", "_numbers")

    def __init__(self) -> None:
        self._numbers = itertools.count(1)
        self._lock = RLock()

    def take(self) -> int:
        """Return the next number."""
        with self._lock:
            return next(self._numbers)  # one call, which no handler of a signal interrupts
