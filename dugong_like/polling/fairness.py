"""Fairness: the work an operation may do without waiting, before others of its loop run.

It is counted in bytes. As each step takes time, even if it moves few bytes, it counts as some
bytes more: the limit is reached after 512 small steps, which take a few milliseconds.

Not here: letting the others run (`co_checkpoint` of wake.py). Two places on the path of every
request have counters of their own: the sending half of a connection (connection/h1/writer.py), and
`ReceiveBuffer`, which counts the bytes that arrive.
"""

from __future__ import annotations

from typing import Final

TURN: Final = 1 << 20  # bytes
STEP: Final = 2048  # bytes


class StepCounter:
    """Counts the work of the operations of one object without waiting, one after the other.

    Two threads may use it at once: a step may be lost then, which does no harm.

    Attributes:
        done: bytes since the last turn of others; add those that were moved.

    """

    __slots__ = ("done",)

    def __init__(self) -> None:
        self.done = 0

    def is_over(self) -> bool:
        """Count a step; return True if other operations of the loop are to run before it."""
        self.done += STEP
        if self.done < TURN:
            return False
        self.done = 0
        return True
