"""How many requests of a pipeline may be unanswered at a time.

Not here: the requests, and what is sent again (pipeline.py).
"""

from __future__ import annotations

import re
from typing import Final

from .exchange import HTTPResponse

SHARE: Final = 3  # answers for each request that may be lost when the limit shows itself
# Requests that may follow: draft-thomson-hybi-http-timeout-03 section 2.2; Apache sends it.
_max = re.compile(r"(?:^|[,;\s])max\s*=\s*\"?([0-9]{1,9})(?![0-9])", re.IGNORECASE).search


class Pace:
    """How many requests may be unanswered on the present connection.

    When a server ends a connection after so many requests, all that are unanswered are sent
    twice. So no more are sent on the next connection than were answered on the last one that
    ended in this way. If that proves wrong, as more are answered, one more may be unanswered with
    each answer. As long as nothing is known it is half of the depth, and from a few
    times as many answers on all of it.

    Attributes:
        limit: requests that the server takes on a connection, as far as is known.
        answered: requests that were answered on the present connection.
        alone: True if the last connection failed: then the first request must be sent alone
            (RFC 9112 section 9.3.2).

    """

    def __init__(self, depth: int) -> None:
        self._depth = depth
        self.limit: int | None = None
        self.answered = 0
        self.alone = False

    def room(self) -> int:
        """Return how many requests may be unanswered now: at least one."""
        answered, limit = self.answered, self.limit
        if self.alone and not answered:
            return 1
        if limit is None:
            room = max((self._depth + 1) // 2, answered // SHARE)
        elif answered < limit:
            room = limit - answered
        else:
            room = answered - limit + 1
        return min(self._depth, room)

    def note_response(self, response: HTTPResponse) -> None:
        """Take what the first response on a connection may say of its limit."""
        field = response.headers.get("Keep-Alive")
        found = None if field is None else _max(field)
        if found is not None:
            self.limit = self.answered + int(found[1])

    def end(self, *, learn: bool, failed: bool) -> None:
        """Note that the next request goes on a new connection.

        Args:
            learn: True if it may have been the number of requests that ended this one.
            failed: True if the server has not said that it would end it.

        """
        if learn and self.answered:
            self.limit = self.answered
        elif self.limit is not None and self.answered > self.limit:
            self.limit = None
        self.answered = 0
        self.alone = failed
