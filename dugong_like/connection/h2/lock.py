"""A lock that the garbage collector, or a signal handler, may meet in the middle of what it guards.

Either may close a forgotten operation at any point, also while the same thread is inside. The
``finally`` of that operation then finds the lock its own, and what is guarded half changed: so what
it wants to do is left for the end of the section that was interrupted.

Nothing that could block, and nothing of the user's, is called under it.

Not here: what is guarded (pump.py).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from threading import RLock, get_ident
from typing import Any, TypeVar

from ...errors import StateError

T = TypeVar("T")


class SectionLock:
    """A lock around sections of code, which are functions.

    Args:
        interrupted: called, under the lock, with what has ended a section from outside, such as
            `KeyboardInterrupt`.

    """

    __slots__ = ("_interrupted", "_later", "_lock", "_owner")

    def __init__(self, interrupted: Callable[[BaseException], object]) -> None:
        self._interrupted = interrupted
        self._lock = RLock()
        self._owner = 0  # the thread inside
        self._later: deque[Callable[[], object]] = deque()

    def run(self, section: Callable[..., T], *args: Any) -> T:
        """Call *section* under the lock.

        Raises:
            StateError: this is a signal handler that has interrupted another section.
            Exception: what *section* raises.

        """
        me = get_ident()
        if self._owner == me:
            raise StateError("this has interrupted an operation of its own thread")
        with self._lock:  # which an exception at any point gives back
            try:
                self._owner = me
                result = section(*args)
            except Exception:
                raise
            except BaseException as exc:
                self._interrupted(exc)
                raise
            finally:
                try:
                    if self._later:
                        self._do_later()
                finally:
                    self._owner = 0
                if self._later:  # since a moment ago
                    self._do_later()
        return result

    def when_free(self, section: Callable[[], object]) -> None:
        """Call *section* under the lock: now, or at the end of a section of the same thread."""
        if self._owner == get_ident():
            self._later.append(section)
        else:
            self.run(section)

    def _do_later(self) -> None:
        while self._later:
            self._later.popleft()()

    def renew(self) -> None:
        """Forget that it is locked, in a child process: the thread inside is not there."""
        self._lock = RLock()
        self._owner = 0
        self._later.clear()
