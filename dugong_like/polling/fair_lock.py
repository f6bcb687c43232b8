"""A lock that threads and operations wait for, in the order in which they came.

Not here: flags (wake.py).
"""

from __future__ import annotations

from threading import Lock, get_ident
from typing import Final

from .contract import Co
from .wake import Wake

NOT_BLOCKING: Final = (False,)  # arguments of `Lock.acquire`, for ``map``


class FairLock:
    """A lock that is handed on to the one that has waited longest.

    A caller that need not wait uses `lock` itself, as that is the fastest way::

        lock = fair.lock
        held = False
        try:
            (held,) = map(lock.acquire, NOT_BLOCKING)
            if not held:
                held = yield from fair.co_acquire()
            ...
        finally:
            if held:
                try:
                    lock.release()
                finally:
                    if fair.waiting:
                        fair.hand_on()

    ``map`` has the lock taken and that noted in one step. Python handles signals behind a call: if
    it was ``held = lock.acquire(False)`` Ctrl-C in between would leave the lock taken for ever.

    All of it may be used by any thread, by finalizers and by handlers of signals: only `co_acquire`
    waits. In a child process nobody has it or waits for it; those who did in the parent release
    *its* lock, if they are closed in the child: so each of them keeps the lock that it has taken.

    Attributes:
        lock: the lock; never waited for.
        thread: where an operation has it that can be suspended, as `threading.get_ident` gives it;
            0 if none has. That sets and clears it: to block this thread would be for ever.
        waiting: the flags of those who wait, in their order, and the threads that they wait in.

    """

    __slots__ = ("lock", "thread", "waiting")

    def __init__(self) -> None:
        self.lock = Lock()
        self.thread = 0
        self.waiting: list[tuple[Wake, int]] = []  # smaller than a deque, and seldom used

    def co_acquire(self) -> Co[bool]:
        """Wait for the lock, take it, and return True. Interrupted, it has taken nothing."""
        lock, waiting = self.lock, self.waiting
        entry = None
        try:
            with Wake("turn") as wake:
                entry = wake, get_ident()
                waiting.append(entry)
                # Behind the place in the queue: the holder looks there after the release.
                self.hand_on()
                yield from wake.co_wait()
        except BaseException:
            if entry is not None:
                self._leave(lock, waiting, entry)
            raise
        return True

    def _leave(self, lock: Lock, waiting: list[tuple[Wake, int]], entry: tuple[Wake, int]) -> None:
        """Wait no more; pass the lock on if it has just been handed over."""
        try:
            waiting.remove(entry)
        except ValueError:
            self.thread = 0
            lock.release()
            self.hand_on()

    def forget_parent(self) -> None:
        """Be free, in a child process: who has the lock, or waits for it, is in the parent.

        Its flags are not touched: to set one would wake the parent.
        """
        self.lock = Lock()
        self.thread = 0
        self.waiting = []

    def hand_on(self) -> None:
        """Give the lock, if it is free, to the one that has waited longest."""
        while self.waiting and self.lock.acquire(False):
            try:
                wake, self.thread = self.waiting.pop(0)
            except IndexError:  # it has just left
                self.lock.release()
            else:
                wake.set()
                return
