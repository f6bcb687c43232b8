"""A deadline that only progress renews, for those who wait until they can send.

What is sent goes into a buffer of the system first. Linux says that there is room when a third
of it is free, and a part of one packet is no room at all: with a buffer of 4 MB, and a peer that
takes 100 kB a second, that is a quarter of a minute without a word. So the peer may make progress
although nothing can be sent. On the other hand a few kB of room that are found at the deadline do
not say when the peer made it: it may have been right after the beginning.

Progress is therefore what the peer has acknowledged, as far as the system tells, or what could be
sent. It is looked for several times in each period, so that it is known when it was.

Not here: time-outs of the other kinds (timeouts.py), and who waits (transport/attempts.py,
writer.py, combinators.py).
"""

from __future__ import annotations

import sys
import time
from typing import Final

from .contract import POLLOUT, PollNeeded

LOOKS: Final = 8  # in each period: a time-out comes by an eighth of it too late, and never early
NOTHING: Final = bytes(4)  # an int of C


def unacknowledged(fd: int) -> int | None:
    """Return how many bytes were sent to socket *fd* that its peer has not acknowledged.

    None says that the system does not tell: it is no socket, it is closed, or this is not Linux.
    """
    if sys.platform != "linux" or fd < 0:
        return None
    import fcntl  # noqa: PLC0415 - for those who wait with a limit
    import termios  # noqa: PLC0415

    try:
        answer = fcntl.ioctl(fd, termios.TIOCOUTQ, NOTHING)
    except (OSError, ValueError):
        return None
    return int.from_bytes(answer, sys.byteorder)


class ProgressDeadline:
    """The time at which nothing has moved for so long while something was to be sent.

    It belongs to one wait: who has sent something, if only a part, begins the next with a new one.

    Args:
        seconds: how long nothing may move.

    Attributes:
        at: seconds of `time.monotonic`; later after each progress.

    """

    __slots__ = ("_fd", "_queued", "_seconds", "at")

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._fd = -1
        self._queued: int | None = None
        self.at = time.monotonic() + seconds

    def limit(self, need: PollNeeded) -> PollNeeded:
        """Return *need* with the deadline for the next look: `has_passed` is to be asked then."""
        if need[0] != self._fd:
            self._fd = need[0]
            self._queued = unacknowledged(need[0])
        look = min(self.at, time.monotonic() + self._seconds / LOOKS)
        return need.until(look if need.deadline is None else min(look, need.deadline))

    def has_passed(self) -> bool:
        """Return True if nothing has moved since the deadline was set, and it is over.

        For who has tried once more, and could not send anything.
        """
        now = time.monotonic()
        queued = unacknowledged(self._fd)
        if queued != self._queued:
            self._queued = queued
            self.at = now + self._seconds
        return now >= self.at

    def is_for(self, need: PollNeeded) -> bool:
        """Return True if *need* goes on with the wait that this has limited.

        That is, it waits to send to the same peer, which has acknowledged nothing meanwhile.
        False where the system does not tell.
        """
        queued = self._queued
        if queued is None or need[0] != self._fd or not need[1] & POLLOUT:
            return False
        return unacknowledged(self._fd) == queued
