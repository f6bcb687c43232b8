"""An operation, as the pump knows it: what it waits for, and what has happened to it since.

The attributes are the pump's, and change under its lock. An operation itself may set `mark`,
`has_more`, `wants` and `touched`, in its attempts.

Not here: how operations take turns (pump.py), and for how long they wait (limits.py).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from ...http.h2.stream import Stream
    from ...polling.wake import Wake

ROOM: Final = 1  # a stream may be opened
NEWS: Final = 2  # SETTINGS, PING or GOAWAY has come


class Waiter:
    """An operation, from its first attempt to its end.

    Args:
        stream: whose events wake it, or None.
        wants: `ROOM` or `NEWS` to be woken by these.

    Attributes:
        mark: the position that ``output.sent`` has to come to; 0 if it waits for no such thing.
        has_more: True if it has more to queue when that is reached.
        moved: True if something has happened to its stream since it was looked at.
        leads: True if it waits for the socket to receive.
        writes: True if it waits for the socket to send.
        woken: True if it was woken, and has not been resumed since.
        left: True if it has ended.
        wake: its flag, while it is a follower.
        touched: streams that have got something, of those that it follows; None if it does not ask.
        stays: True if it goes on after a successful attempt.
        serves: True if it needs the session for nothing but what others do with it.

    """

    __slots__ = (
        *("has_more", "leads", "left", "mark", "moved", "stream", "wake", "wants", "woken"),
        "writes",
    )

    touched: dict[Stream, None] | None = None
    stays = serves = False

    def __init__(self, stream: Stream | None, wants: int = 0) -> None:
        self.stream = stream
        self.wants = wants
        self.mark = 0
        self.moved = self.leads = self.writes = self.woken = self.left = self.has_more = False
        self.wake: Wake | None = None


class Collector(Waiter):
    """An operation with many streams, which asks which of them have got something."""

    __slots__ = ("touched",)

    touched: dict[Stream, None]
    stays = True

    def __init__(self) -> None:
        super().__init__(None)
        self.touched = {}


class Servant(Waiter):
    """An operation that takes part in what the session does, until that ends."""

    __slots__ = ()

    serves = True

    def __init__(self) -> None:
        super().__init__(None, NEWS)
