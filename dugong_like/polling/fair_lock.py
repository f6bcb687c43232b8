"""A lock that threads and operations wait for, in the order in which they came.

Not here: flags (wake.py).
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from threading import Lock, get_ident
from typing import Any, Final, TypeVar

from .contract import Co, PollNeeded
from .holding import NOT_BLOCKING, holding_if_free
from .wake import Wake

T = TypeVar("T")
Y = TypeVar("Y")
FIRST: Final = (0,)  # of `list.pop`


class Place:
    """The place of an operation in the queue for a `FairLock`.

    Attributes:
        wake: set when it has the lock.
        thread: the thread that it waits in.
        expects: true until it has left; None as well as False say that it has.

    """

    __slots__ = ("expects", "thread", "wake")

    def __init__(self, wake: Wake) -> None:
        self.wake = wake
        self.thread = get_ident()
        self.expects: bool | None = True


class FairLock:
    """A lock that is handed on to the one that has waited longest.

    `co_holding` has an operation done under it. Where each bytecode counts that is spelled out::

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
                    if fair.waiting:
                        fair.hand_on()
                except BaseException:
                    fair.hand_on()
                    raise

    Why it has this form is at the top of holding.py. `do_if_free` does what must not wait.

    All of it may be used by any thread, by finalizers and by handlers of signals: only `co_acquire`
    waits. In a child process nobody has it or waits for it; those who did in the parent release
    *its* lock, if they are closed in the child: so each of them keeps the lock that it has taken.

    Attributes:
        lock: the lock; never waited for.
        thread: where an operation has it that can be suspended, as `threading.get_ident` gives it;
            0 if none has. That sets and clears it: to block this thread would be for ever.
        waiting: those who wait, in their order.

    """

    __slots__ = ("lock", "thread", "waiting")

    def __init__(self) -> None:
        self.lock = Lock()
        self.thread = 0
        self.waiting: list[Place] = []  # smaller than a deque, and seldom used

    def co_holding(self, going: Generator[Y, Any, T]) -> Generator[Y | PollNeeded, Any, T]:
        """Do *going* while having the lock, which is waited for; return what it returns.

        Raises:
            Exception: what *going* raises.

        """
        lock = self.lock
        held = False
        try:
            (held,) = map(lock.acquire, NOT_BLOCKING)
            if not held:
                held = yield from self.co_acquire()
            self.thread = get_ident()
            return (yield from going)
        finally:
            if held:
                self.thread = 0
                try:
                    lock.release()
                    if self.waiting:
                        self.hand_on()
                except BaseException:  # Ctrl-C, behind one of these
                    self.hand_on()
                    raise

    def do_if_free(self, call: Callable[[], T]) -> T | None:
        """Call *call* while having the lock; do nothing and return None if another has it.

        Raises:
            Exception: what *call* raises.

        """
        return holding_if_free(self.lock, call, self.hand_on)

    def co_acquire(self) -> Co[bool]:
        """Wait for the lock, take it, and return True. Interrupted, it has taken nothing."""
        lock, waiting = self.lock, self.waiting
        place = None
        try:
            with Wake("turn") as wake:
                place = Place(wake)
                waiting.append(place)
                # Behind the place in the queue: the holder looks there after the release.
                self.hand_on()
                yield from wake.co_wait()
        except BaseException:
            if place is not None:
                try:
                    self._leave(lock, waiting, place)
                except BaseException:  # Ctrl-C came before it had
                    self._leave(lock, waiting, place)
                    raise
            raise
        return True

    def _leave(self, lock: Lock, waiting: list[Place], place: Place) -> None:
        """Wait no more; pass the lock on if it has just been handed over.

        After an interruption it may be called again.
        """
        if place.expects:
            try:
                (place.expects,) = map(waiting.remove, (place,))
            except ValueError:  # it was handed over
                self.thread = 0
                place.expects = False
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
        """Give the lock, if it is free, to the one that has waited longest.

        After an interruption it may be called again: the lock has been handed on, or is free.
        """
        lock, waiting = self.lock, self.waiting
        while waiting:
            held = False
            try:
                (held,) = map(lock.acquire, NOT_BLOCKING)
                if not held:
                    return
                (place,) = map(waiting.pop, FIRST)
                held = False  # it is that one's, wherever this is interrupted
                self.thread = place.thread
                try:
                    place.wake.set()
                except BaseException:
                    place.wake.set()
                    raise
            except IndexError:  # it has just left
                continue
            finally:
                if held:
                    lock.release()
            return
