"""How much an operation may do without waiting, before others of the same loop have their turn.

It is counted in bytes. As time passes in each step, however little it moves, each counts as some
bytes more: 512 small ones are a turn, which is a few milliseconds.

Not here: how a turn is given (`co_checkpoint` of wake.py). Where each request passes, the count is
a number of its own: the sending half of a connection (connection/h1/writer.py), and for receiving
`ReceiveBuffer`, whose count goes on with what has arrived.
"""

from __future__ import annotations

from typing import Final

TURN: Final = 1 << 20  # bytes
STEP: Final = 2048  # bytes


class StepCounter:
    """Counts what the operations of one object do without waiting, one after the other.

    Two threads may use it at once: a step may be lost then, which does no harm.

    """

    __slots__ = ("_done",)

    def __init__(self) -> None:
        self._done = 0

    def add(self, count: int) -> None:
        """Note that *count* bytes were moved."""
        self._done += count

    def is_over(self) -> bool:
        """Count a step; return True if others of the same loop shall have their turn before it."""
        self._done += STEP
        if self._done < TURN:
            return False
        self._done = 0
        return True
