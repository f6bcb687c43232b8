"""The bytes that a connection is going to send, in order, and how many of them have left.

Every byte has a position: the number of bytes that were queued before it. So a question about time
("has the request left?") is a comparison of two numbers, and needs neither a clock nor a lock.

Not here: what is sent (engine.py), and sending it (connection/h2/).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from typing import Final

from .violations import ErrorCode, Violation

# Replies that a server may cause without taking them in: acknowledgements of PING and SETTINGS, and
# RST_STREAM (RFC 9113 section 10.5). nghttp2 has the same limit.
MAX_REPLIES: Final = 1000


class Output:
    """A queue of bytes.

    Attributes:
        queued: number of all bytes that were ever queued: the position of the next one.
        sent: number of bytes that have been given to the system, as the caller reports.

    """

    __slots__ = ("_pieces", "_replies", "queued", "sent")

    def __init__(self) -> None:
        self.queued = 0
        self.sent = 0
        self._pieces: list[bytes | memoryview] = []
        self._replies: deque[int] = deque()  # the position behind each one that may be queued

    def add(self, piece: bytes | memoryview) -> None:
        """Queue *piece*, of bytes."""
        self._pieces.append(piece)
        self.queued += len(piece)

    def add_all(self, pieces: Sequence[bytes | memoryview], size: int) -> None:
        """Queue *pieces*, of *size* bytes together."""
        self._pieces += pieces
        self.queued += size

    def add_reply(self, frame: bytes) -> None:
        """Queue a frame that a frame of the server has caused.

        Raises:
            Violation: the server does not take in what it has caused (RFC 9113 section 10.5).

        """
        self.add(frame)
        replies = self._replies
        replies.append(self.queued)
        if len(replies) > MAX_REPLIES:
            while replies and replies[0] <= self.sent:
                replies.popleft()
            if len(replies) > MAX_REPLIES:
                raise Violation(
                    ErrorCode.ENHANCE_YOUR_CALM,
                    f"more than {MAX_REPLIES} replies to frames of the server wait to be sent "
                    "(RFC 9113 section 10.5)",
                )

    def take(self) -> list[bytes | memoryview]:
        """Return what is queued and was not taken before, in order."""
        pieces, self._pieces = self._pieces, []
        return pieces
