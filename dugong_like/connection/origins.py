"""Facts about origins that pipelines remember for those that follow.

They are kept for the process and are few: one entry for each origin, and a thousand of them.

Not here: what is made of them (pace.py, pipeline.py).
"""

from __future__ import annotations

import math
import threading
import time
from collections import OrderedDict
from typing import Final

from ..polling.fork import after_fork

MOST_ORIGINS: Final = 1000  # that are remembered; some 200 bytes each
MAX_FAILURES: Final = 3  # connections in a row on which no pipelined request is answered
IN_A_ROW: Final = 4  # refusals: one in 160,000 requests if one in twenty is refused by chance


class OriginFacts:
    """Facts about one origin.

    Attributes:
        one_by_one: True if the server has proved to be unable to pipeline.
        resumes: seconds of `time.monotonic` before which nothing is to be sent, as the server has
            asked for by Retry-After.
        answered: when the request was sent that was sent last of those that are answered, in
            seconds of `time.monotonic`.
        refusals: of the requests that were refused, and sent later than that: when each was sent,
            and when it may be sent again. Some may be left that were sent earlier.

    """

    __slots__ = ("_able", "_failures", "answered", "one_by_one", "refusals", "resumes")

    refusals: tuple[tuple[float, float], ...]  # replaced as a whole: several threads may look

    def __init__(self) -> None:
        self.one_by_one = False
        self.resumes = 0.0
        self.answered = -math.inf
        self.refusals = ()
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

    def note_refusal(self, sent_at: float, seconds: float) -> None:
        """Take into account that a request is to be sent again after so many *seconds*.

        If several are refused and none that was sent later is answered, the service is unavailable:
        nothing is sent until the first of them may be sent again. One that is refused while others
        are answered is a matter of its own (RFC 9110 section 10.2.3). In which order the responses
        come does not matter: those of one connection may all come later than those of another.

        Args:
            sent_at: when the request was sent, in seconds of `time.monotonic`.
            seconds: as Retry-After says.

        """
        noted = (*self.refusals, (sent_at, time.monotonic() + seconds))
        refusals = tuple(each for each in noted if each[0] > self.answered)
        if len(refusals) >= IN_A_ROW:
            self.resumes = max(self.resumes, min(ends_at for _, ends_at in refusals))
            refusals = ()
        self.refusals = refusals

    def note_answer(self, sent_at: float) -> None:
        """Take into account that a request is answered which was sent at *sent_at*.

        The same is not known of requests that were sent later.
        """
        self.answered = max(self.answered, sent_at)


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
