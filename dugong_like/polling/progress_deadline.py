"""A deadline for sending that only progress of the peer extends.

Sent bytes are buffered by the system first. Linux reports room when a third of the buffer is free:
with a buffer of 4 MB and a peer that takes 100 kB a second, that is a quarter of a minute without
an event. So the peer may make progress although nothing can be sent. On the other hand a few kB of
room at the deadline do not show when the peer made it: it may have been right at the beginning.

Progress therefore means bytes that the peer has acknowledged, as far as the system reports them,
or bytes that could be sent. It is checked several times in each period, to know its time.

Not here: other time limits (timeouts.py), and the waits that use this deadline
(transport/attempts.py, writer.py, combinators.py).
"""

from __future__ import annotations

import sys
import time
from typing import Final

from .contract import POLLOUT, PollNeeded

LOOKS: Final = 8  # in each period: a time-out is up to an eighth of it late, and never early
NOTHING: Final = bytes(4)  # an int of C


def unacknowledged(fd: int) -> int | None:
    """Return how many bytes were sent to socket *fd* that its peer has not acknowledged.

    None if the system does not report it: it is not a socket, it is closed, or this is not Linux.
    """
    if sys.platform != "linux" or fd < 0:
        return None
    import fcntl  # noqa: PLC0415 - for waits with a limit
    import termios  # noqa: PLC0415

    try:
        answer = fcntl.ioctl(fd, termios.TIOCOUTQ, NOTHING)
    except (OSError, ValueError):
        return None
    return int.from_bytes(answer, sys.byteorder)


class ProgressDeadline:
    """The end of the time without progress, while an operation waits to send.

    It belongs to one wait: after sending anything, even a part, the next wait has a new one.

    Args:
        seconds: the limit for a time without progress.

    Attributes:
        at: seconds of `time.monotonic`; progress moves it.

    """

    __slots__ = ("_fd", "_queued", "_seconds", "at")

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._fd = -1
        self._queued: int | None = None
        self.at = time.monotonic() + seconds

    def limit(self, need: PollNeeded) -> PollNeeded:
        """Return *need* with the deadline for the next check, which is `has_passed`."""
        if need[0] != self._fd:
            self._fd = need[0]
            self._queued = unacknowledged(need[0])
        look = min(self.at, time.monotonic() + self._seconds / LOOKS)
        return need.until(look if need.deadline is None else min(look, need.deadline))

    def has_passed(self) -> bool:
        """Return True if the deadline is over and there was no progress since it was set.

        To be called after another attempt that could not send anything.
        """
        now = time.monotonic()
        queued = unacknowledged(self._fd)
        if queued != self._queued:
            self._queued = queued
            self.at = now + self._seconds
        return now >= self.at

    def is_for(self, need: PollNeeded) -> bool:
        """Return True if *need* continues the wait that this has limited.

        That is, it waits to send to the same peer, which has acknowledged nothing meanwhile.
        False if the system does not report acknowledgements.
        """
        queued = self._queued
        if queued is None or need[0] != self._fd or not need[1] & POLLOUT:
            return False
        return unacknowledged(self._fd) == queued
