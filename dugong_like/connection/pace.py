"""How many requests of a pipeline may be unanswered at a time, and what a lost connection teaches.

Not here: the requests, and what is sent again (pipeline.py).
"""

from __future__ import annotations

import re
from typing import Final

from .exchange import HTTPResponse
from .origins import OriginFacts

SHARE: Final = 3  # answers for each request that may be lost when the limit shows itself
# Requests that may follow: draft-thomson-hybi-http-timeout-03 section 2.2; Apache sends it.
_max = re.compile(r"(?:^|[,;\s])max\s*=\s*\"?([0-9]{1,9})(?![0-9])", re.IGNORECASE).search


def room_below(limit: int, answered: int) -> int:
    """Return how many requests may be unanswered if a server is said to take *limit* of them.

    If that proves wrong, as *answered* are more, it is one more with each.
    """
    return limit - answered if answered < limit else answered - limit + 1


class Pace:
    """How many requests may be unanswered on the present connection.

    When a server ends a connection after so many requests, all that are unanswered are sent
    twice. So no more are sent on the next connection than were answered on the last one that
    ended in this way. If that proves wrong, as more are answered, one more may be unanswered with
    each answer. As long as nothing is known it is half of the depth, and from a few
    times as many answers on all of it.

    Some servers, and what is between, lose requests that come before the response to the one before
    is sent. Such a server has never answered a pipelined request, one that was sent while another
    one was unanswered: that tells it from one that ends connections for other reasons.

    Args:
        depth: requests that may be unanswered, at most.
        facts: about the origin.

    Attributes:
        limit: requests that the server takes on a connection, as far as is known.
        answered: requests that were answered on the present connection.
        alone: True if the last connection failed: then the first request must be sent alone
            (RFC 9112 section 9.3.2).

    """

    def __init__(self, depth: int, facts: OriginFacts) -> None:
        self._depth = depth
        self._facts = facts
        self._first_pipelined: int | None = None  # its number on the present connection
        self.limit: int | None = None
        self.answered = 0
        self.alone = False

    def room(self) -> int:
        """Return how many requests may be unanswered now: at least one."""
        answered, limit = self.answered, self.limit
        if (self.alone and not answered) or self._facts.one_by_one:
            return 1
        if limit is None:
            room = max((self._depth + 1) // 2, answered // SHARE)
        else:
            room = room_below(limit, answered)
        return min(self._depth, room)

    def note_sending(self, unanswered: int, count: int) -> None:
        """Note that requests are about to be sent on an HTTP/1.1 connection.

        Args:
            unanswered: those before.
            count: how many are sent.

        """
        if self._first_pipelined is None and unanswered + count > 1:
            self._first_pipelined = self.answered + max(unanswered, 1)

    def waits_for_first_pipelined(self) -> bool:
        """Return True if the next response is to a pipelined request, and would be the first one.

        Then the server may be unable to pipeline, and one that is sent alone may be answered.
        """
        return self._first_pipelined == self.answered and self._facts.in_doubt

    def note_response(self, response: HTTPResponse) -> None:
        """Take what the first response on a connection may say of its limit."""
        field = response.field("keep-alive")
        found = None if field is None else _max(field)
        if found is not None:
            self.limit = self.answered + int(found[1])

    def end(self, *, learn: bool, failed: bool) -> None:
        """Note that the next request goes on a new connection.

        Args:
            learn: True if it may have been the number of requests that ended this one.
            failed: True if the server has not said that it would end it.

        """
        first, self._first_pipelined = self._first_pipelined, None
        if first is not None and self.answered > first:
            self._facts.note_pipelining(works=True)
        elif first is not None and learn and failed:
            self._facts.note_pipelining(works=False)
        if learn and self.answered:
            self.limit = self.answered
        elif self.limit is not None and self.answered > self.limit:
            self.limit = None
        self.answered = 0
        self.alone = failed
