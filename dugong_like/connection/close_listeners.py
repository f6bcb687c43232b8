"""How a connection ended, for those who wait for it.

Not here: what ends one (session.py, receiver.py).
"""

from __future__ import annotations

from collections.abc import Callable
from threading import RLock


class Closing:
    """The end of one connection, which comes once.

    Attributes:
        done: True when it has ended.
        reason: what ended it; None if it ended in order, or has not ended.

    """

    __slots__ = ("_callbacks", "_lock", "_wanted", "done", "reason")

    def __init__(self) -> None:
        self.done = False
        self.reason: Exception | None = None
        self._wanted = False  # somebody has begun to close it
        self._callbacks: list[Callable[[], object]] = []
        self._lock = RLock()  # the garbage collector may end a connection anywhere

    def want(self) -> None:
        """Note that it is being closed in order: no failure that follows is the reason."""
        self._wanted = True

    def end(self, reason: Exception | None) -> None:
        """Note that the connection has ended because of *reason*; only the first call counts."""
        with self._lock:
            if self.done or (self._wanted and reason is not None):
                return
            self.done = True
            self.reason = reason
        while self._callbacks:
            self._callbacks.pop(0)()

    def add(self, callback: Callable[[], object]) -> None:
        """Call *callback* when the connection ends; at once if it has."""
        with self._lock:
            self._callbacks.append(callback)  # first, or an end that comes in between is missed
            if not self.done:
                return
        try:
            self._callbacks.remove(callback)
        except ValueError:  # `end` has called it
            return
        callback()
