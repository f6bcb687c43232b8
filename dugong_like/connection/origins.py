"""Facts about origins that pipelines remember for those that follow.

They are kept for the process and are few: one entry for each origin, and a thousand of them.

Not here: what is made of them (pace.py, pipeline.py).
"""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from typing import Final

from ..polling.fork import after_fork

MOST_ORIGINS: Final = 1000  # that are remembered; some 200 bytes each
MAX_FAILURES: Final = 3  # connections in a row on which no pipelined request is answered


class OriginFacts:
    """Facts about one origin.

    Attributes:
        one_by_one: True if the server has proved to be unable to pipeline.
        resumes: seconds of `time.monotonic` before which nothing is to be sent, as the server has
            asked for by Retry-After.

    """

    __slots__ = ("_able", "_failures", "one_by_one", "resumes")

    def __init__(self) -> None:
        self.one_by_one = False
        self.resumes = 0.0
        self._able = False
        self._failures = 0

    @property
    def in_doubt(self) -> bool:
        """True if no pipelined request has ever been answered."""
        return not self._able

    def note_pipelining(self, works: bool) -> None:
        """Take into account that a connection on which requests were pipelined has ended.

        Args:
            works: True if one of them was answered; False if the connection was lost before.

        """
        self._able = self._able or works
        if not self._able:
            self._failures += 1
            self.one_by_one = self._failures >= MAX_FAILURES

    def pause(self, seconds: float) -> None:
        """Let nothing be sent for so many *seconds*."""
        self.resumes = max(self.resumes, time.monotonic() + seconds)


class Origins:
    """Facts about the origins that were asked for last. All methods are safe for threads.

    Args:
        most: origins that are remembered.

    """

    def __init__(self, most: int = MOST_ORIGINS) -> None:
        self._most = most
        self._facts: OrderedDict[str, OriginFacts] = OrderedDict()
        self._lock = threading.RLock()  # a finalizer or a handler of signals may come in between
        after_fork(self._renew_lock)

    def _renew_lock(self) -> None:
        self._lock = threading.RLock()

    def facts(self, origin: str) -> OriginFacts:
        """Return the facts about *origin*, such as ``"https://example.org"``."""
        with self._lock:
            facts = self._facts.setdefault(origin, OriginFacts())
            self._facts.move_to_end(origin)
            if len(self._facts) > self._most:
                self._facts.popitem(last=False)
            return facts

    def forget(self) -> None:
        """Forget everything."""
        with self._lock:
            self._facts.clear()


ORIGINS: Final = Origins()
