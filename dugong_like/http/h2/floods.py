"""Floods: frames that cost time and are of no use (RFC 9113 section 10.5).

A server can send PING, SETTINGS, empty DATA and others for ever, each of them valid. Without a
clock, their number is limited since the last frame with use: the head of a response, content, or a
request of this side. That catches a flood within some 10 ms of work, and an honest server does not
come near it: one that sends PING every ten seconds may do so for a day.

Not here: the limits for header blocks in parts (frame_reader.py), for 1xx (incoming.py), and for
replies that wait to be sent (output.py).
"""

from __future__ import annotations

from typing import Final

from .violations import ErrorCode, Violation

MAX_COST: Final = 10_000  # of frames without use, most of which cost 1
UPDATES: Final = 2  # frames that DATA of this side may cause: WINDOW_UPDATE, stream and connection
SETTINGS_COST: Final = 10  # of SETTINGS, which may change all streams
SETTINGS_UNIT: Final = 100  # bytes of settings that cost 1 more
BLOCK_UNIT: Final = 1000  # bytes of a header block that cost 1 more


class Floods:
    """Counts the frames without use of one connection.

    Attributes:
        cost: of those since the last frame with use; negative if further ones are expected.

    """

    __slots__ = ("cost",)

    def __init__(self) -> None:
        self.cost = 0

    def count(self, cost: int = 1) -> None:
        """Count a frame without use.

        Raises:
            Violation: there were too many.

        """
        self.cost += cost
        if self.cost > MAX_COST:
            raise Violation(
                ErrorCode.ENHANCE_YOUR_CALM,
                f"frames without use that cost more than {MAX_COST}, one after the other (RFC 9113 "
                "section 10.5)",
            )

    def count_settings(self, size: int) -> None:
        """Count SETTINGS of *size* bytes. Raises `Violation` as `count`."""
        self.count(SETTINGS_COST + size // SETTINGS_UNIT)

    def count_block(self, size: int) -> None:
        """Count a header block of *size* bytes that nobody wants. Raises `Violation` as `count`."""
        self.count(1 + size // BLOCK_UNIT)

    def begin_again(self) -> None:
        """Count from the beginning, as something with use has come or was sent."""
        self.cost = min(self.cost, 0)

    def expect_updates(self, frames: int) -> None:
        """Note that so many DATA frames are sent, which the server may answer by WINDOW_UPDATE."""
        self.cost = min(self.cost, 0) - frames * UPDATES
