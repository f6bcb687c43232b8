"""Registrations of descriptors in an asyncio event loop, and the operations that wait for them.

Registering costs more than the rest of a wait. So a descriptor with a `Source` stays registered
after the wait, and after the operation. It is unregistered when an event arrives and no operation
waits, and before it is closed. A descriptor without a source stays registered between two equal
waits of one operation, if it certainly is the same file.

An operation that waits for a flag, which another one sets while the loop resumes that, is resumed
without its descriptor (`NearSteps`).

Not here: the steps of operations (aio.py).
"""

from __future__ import annotations

import asyncio
import math
import os
import stat
import time
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from contextvars import Context
from threading import get_ident
from typing import Final
from weakref import WeakKeyDictionary, WeakValueDictionary, ref

from ..polling.contract import POLLIN, POLLOUT, PollNeeded, Source
from ..polling.fork import generation

File = tuple[int, int]  # device and inode


class Waiter(ABC):
    """Base of objects that wait for one `PollNeeded` at a time, in one loop.

    Attributes:
        loop: the loop.
        deadline: seconds of `time.monotonic` at which it is resumed in any case, or None; of no
            meaning while it rests.
        need: the last wait, for comparing the next one with it; None if identity is not enough for
            that, as the number of a descriptor without a `Source` may mean another file by then.
        resting: True if it does not wait, but keeps its place for the next wait.

    """

    __slots__ = ("_watch", "deadline", "loop", "need", "resting")

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.loop = loop
        self.deadline: float | None = None
        self.resting = False
        self._watch: Watch | None = None
        self.need: PollNeeded | None = None

    @abstractmethod
    def resume(self) -> None:
        """Continue; called by the loop, perhaps needlessly, perhaps after the wait."""

    @abstractmethod
    def is_waiting(self) -> bool:
        """Return True if it waits, and neither rests nor makes a step at the moment."""

    def wait(self, need: PollNeeded) -> None:
        """Wait for *need*; `resume` is called then.

        Raises:
            RuntimeError: another operation waits for the same direction of the same descriptor,
                or the loop has no `add_reader`.
            OSError: the descriptor cannot be waited for.

        """
        watch = self._watch
        if need is self.need and watch is not None and not need[1] & ~watch.armed:
            if need.deadline is not None:
                self.deadline = need.deadline
                watch.set_alarm(need.deadline)
            return
        source = need.source
        if source is None:
            watch = self._watch_bare(need[0])
        else:
            watch = source.registrations.get(self.loop)
            if watch is None:
                self.leave()
                watch = _watch_source(self.loop, source)
        if watch is not self._watch:
            self.leave()
            self._watch = watch
        if watch is None:
            self.loop.call_soon(self.resume)  # it is closed: the operation raises the error
            return
        watch.admit(self, need[1])
        deadline = self.deadline = need.deadline
        if deadline is not None:
            watch.set_alarm(deadline)
        self.need = None if source is None else need

    def _watch_bare(self, fd: int) -> Watch:
        """Return the watch for a descriptor without a `Source`."""
        file = _file(fd)
        watch = self._watch
        if watch is not None and watch.fd == fd and watch.is_surely(file):
            return watch
        self.leave()
        return _watch_number(self.loop, fd, file)

    def leave(self) -> None:
        """Stop waiting."""
        watch = self._watch
        if watch is not None:
            self._watch = self.need = None
            watch.dismiss(self)

    def lose_watch(self) -> None:
        """Stop waiting for a descriptor that is closed; be resumed soon, to raise the error.

        Not if it waits for another one by then: an operation may close what it has waited for. If
        it did so at each step, it would be resumed for that for ever.
        """
        self._watch = self.need = None
        self.loop.call_soon(self._resume_lost)

    def _resume_lost(self) -> None:
        if self._watch is None:
            self.resume()


class NearSteps:
    """Steps of operations in one loop that wait for flags which were set in its own thread.

    Args:
        loop: the loop.

    Attributes:
        thread: the thread that resumes an operation at the moment, as `resume` does; or 0.

    """

    __slots__ = ("_loop", "_queue", "_queued", "thread")

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = ref(loop)
        self._queue: deque[tuple[Waiter, Callable[[], object]]] = deque()
        self._queued = False  # True if the loop is going to call this
        self.thread = 0

    def resume(self, waiter: Waiter) -> None:
        """Resume *waiter* now, and those soon that wait for a flag which it sets."""
        self.thread = get_ident()
        try:
            waiter.resume()
        finally:
            self.thread = 0

    def add(self, waiter: Waiter, then: Callable[[], object]) -> bool:
        """Have *waiter* resumed soon, see `NearRegistration.resume`.

        The loop has to be in the middle of a callback: while it waits for descriptors, this may be
        a handler of signals, which would not end that. Only what `resume` does is known to be one.
        """
        if self.thread != get_ident():
            return False
        self._queue.append((waiter, then))
        if not self._queued:
            self._call_soon()
        return True

    def _call_soon(self) -> None:
        loop = self._loop()
        assert loop is not None
        self._queued = True
        loop.call_soon(self._resume_all, context=Context())

    def _resume_all(self) -> None:
        """Resume those that were added before; called by the loop."""
        self._queued = False
        queue = self._queue
        self.thread = get_ident()
        try:
            for _ in range(len(queue)):
                waiter, then = queue.popleft()
                try:
                    waiter.resume()
                finally:
                    then()
        finally:
            self.thread = 0
            if queue and not self._queued:
                self._call_soon()


class Watch:
    """One descriptor in one loop; a `NearRegistration`.

    Attributes:
        fd: the descriptor.
        source: lets it stay registered without a wait; None if it has none.
        armed: the directions that are registered.

    """

    __slots__ = (
        *("__weakref__", "_alarm", "_alarm_at", "_file", "_loop", "_generation", "_near"),
        *("_reader", "_writer", "armed", "fd", "source"),
    )

    def __init__(
        self, loop: asyncio.AbstractEventLoop, near: NearSteps, fd: int, file: File | None
    ) -> None:
        self.fd = fd
        self.source: Source | None = None
        self.armed = 0
        self._loop = loop
        self._near = near
        self._file = file
        self._generation = generation()
        self._reader: Waiter | None = None
        self._writer: Waiter | None = None
        self._alarm: asyncio.TimerHandle | None = None
        self._alarm_at = math.inf  # seconds of time.monotonic

    def may_be(self, file: File | None) -> bool:
        """Return False if the number meant another file than *file* when it was registered."""
        return file == self._file if self.source is None else not self.source.closed

    def is_surely(self, file: File | None) -> bool:
        """Return True if the number meant *file* when it was registered."""
        return (file is not None or self.source is not None) and self.may_be(file)

    def admit(self, waiter: Waiter, mask: int) -> None:
        """Let *waiter* wait for *mask* only. Raises the same exceptions as `Waiter.wait`."""
        if mask & POLLIN:
            if self._reader is not waiter:
                self._vacate(self._reader)
                self._reader = waiter
        elif self._reader is waiter:
            self._reader = None
        if mask & POLLOUT:
            if self._writer is not waiter:
                self._vacate(self._writer)
                self._writer = waiter
        elif self._writer is waiter:
            self._writer = None
        if mask & ~self.armed:
            self._arm(mask & ~self.armed)

    def _vacate(self, waiter: Waiter | None) -> None:
        if waiter is not None:
            if not waiter.resting:
                raise RuntimeError(
                    f"another operation waits for descriptor {self.fd} in the same direction"
                )
            waiter.leave()

    def rested(self, mask: int) -> Waiter | None:
        """Return the waiter that rests in the place for *mask*, if there is one."""
        waiter = self._reader if mask & POLLIN else self._writer
        if waiter is None or not waiter.resting:
            return None
        waiter.resting = False
        return waiter

    def waiting_again(self, need: PollNeeded) -> Waiter | None:
        """Return the waiter that rests after a wait to read, and waits for *need* from now on.

        None says that there is none, or that *need* is another wait.
        """
        waiter = self._reader
        if waiter is None or not waiter.resting or need[1] & ~self.armed:
            return None
        if need is not waiter.need:
            if need[1] != POLLIN or waiter is self._writer:
                return None
            waiter.need = need
        waiter.resting = False
        deadline = waiter.deadline = need.deadline
        if deadline is not None and deadline < self._alarm_at:
            self.set_alarm(deadline)
        return waiter

    def dismiss(self, waiter: Waiter) -> None:
        """Remove *waiter*, which has stopped waiting."""
        if self._reader is waiter:
            self._reader = None
        if self._writer is waiter:
            self._writer = None
        if self.source is None:
            if self._reader is None:
                self._disarm(POLLIN)
            if self._writer is None:
                self._disarm(POLLOUT)
            if not self.armed:
                self._stop_alarm()

    def give_way(self) -> None:
        """Drop a number that means another file now, or will."""
        self.source = None
        self._disarm(POLLIN)
        self._disarm(POLLOUT)
        self._stop_alarm()
        waiters = {self._reader, self._writer}
        self._reader = self._writer = None
        if not self._loop.is_closed():
            for waiter in waiters:
                if waiter is not None and not waiter.resting:
                    waiter.lose_watch()

    def resume(self, then: Callable[[], object]) -> bool:
        """See `NearRegistration.resume`."""
        reader = self._reader
        return reader is not None and reader.is_waiting() and self._near.add(reader, then)

    def end(self, then: Callable[[], object]) -> None:
        """See `Registration.end`. Done in the thread of a running loop, not thread-safe."""
        loop = self._loop
        if (
            self._generation != generation()
        ):  # a child process shares the registrations of its parent
            then()
        elif loop.is_running() and loop is not _running_loop():
            ending = _Ending(self, then)
            with suppress(RuntimeError):  # closed meanwhile
                loop.call_soon_threadsafe(ending)
        else:
            self.give_way()
            then()

    def set_alarm(self, deadline: float) -> None:
        """Resume the waiters at *deadline*.

        An earlier alarm is kept: most waits end before it, and setting one has a cost.
        """
        if self._alarm_at <= deadline:
            return
        self._stop_alarm()
        # Whole milliseconds, rounded up, as in uvloop: waking too early would spin.
        delay = math.ceil(max(deadline - time.monotonic(), 0) * 1000) / 1000
        self._alarm = self._loop.call_later(delay, self._ring, context=Context())
        self._alarm_at = deadline

    def _stop_alarm(self) -> None:
        if self._alarm is not None:
            self._alarm.cancel()
            self._alarm = None
            self._alarm_at = math.inf

    def _ring(self) -> None:
        self._stop_alarm()
        now = time.monotonic()
        for waiter in {self._reader, self._writer}:
            if waiter is None or waiter.resting or waiter.deadline is None:
                continue
            if waiter.deadline <= now:
                waiter.resume()
            else:
                self.set_alarm(waiter.deadline)

    def _arm(self, mask: int) -> None:
        loop = self._loop
        empty = Context()  # or the loop would keep that of the first waiter
        try:
            if mask & POLLIN:
                empty.run(loop.add_reader, self.fd, self._readable)
                self.armed |= POLLIN
            if mask & POLLOUT:
                empty.run(loop.add_writer, self.fd, self._writable)
                self.armed |= POLLOUT
        except NotImplementedError:
            raise RuntimeError(
                f"{type(loop).__name__} has no add_reader; use asyncio.SelectorEventLoop"
            ) from None

    def _disarm(self, bit: int) -> None:
        if not self.armed & bit:
            return
        self.armed &= ~bit
        loop = self._loop
        if not loop.is_closed():
            # asyncio fails, and drops it, if one of two directions of a closed one is removed
            with suppress(OSError):
                (loop.remove_reader if bit == POLLIN else loop.remove_writer)(self.fd)

    def _readable(self) -> None:
        reader = self._reader
        if reader is None or reader.resting:
            self._disarm(POLLIN)  # it would spin otherwise
            return
        near = self._near
        near.thread = get_ident()  # as `resume` does, which is a call
        try:
            reader.resume()
        finally:
            near.thread = 0

    def _writable(self) -> None:
        writer = self._writer
        if writer is None or writer.resting:
            self._disarm(POLLOUT)
        else:
            self._near.resume(writer)


class _Ending:
    """The end of a registration, queued for the thread of the loop.

    If the loop ends before and does not call it, it runs when it is garbage collected.
    """

    def __init__(self, watch: Watch, then: Callable[[], object]) -> None:
        self._watch = watch
        self._then: Callable[[], object] | None = then

    def __call__(self) -> None:
        then, self._then = self._then, None
        if then is not None:
            self._watch.give_way()
            then()

    __del__ = __call__


class _Watches(WeakValueDictionary[int, Watch]):
    """The registrations of a loop, by descriptor."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__()
        self.near = NearSteps(loop)


# The registrations of each loop. asyncio has one callback for each
# direction, and would silently replace it by the next one.
_watches: Final[WeakKeyDictionary[asyncio.AbstractEventLoop, _Watches]] = WeakKeyDictionary()


def _watch_number(loop: asyncio.AbstractEventLoop, fd: int, file: File | None) -> Watch:
    """Return the watch for *fd*, now the number of *file*: the existing one, or a new one."""
    watches = _watches.get(loop)
    if watches is None:
        watches = _watches[loop] = _Watches(loop)
    watch = watches.get(fd)
    if watch is not None:
        if watch.may_be(file):
            return watch
        watch.give_way()
    watch = watches[fd] = Watch(loop, watches.near, fd, file)
    return watch


def _watch_source(loop: asyncio.AbstractEventLoop, source: Source) -> Watch | None:
    """Return the watch for *source*, made now; None if it is closed."""
    if source.closed:
        return None
    known = source.registrations
    for other in list(known):
        if isinstance(other, asyncio.AbstractEventLoop) and other.is_closed():
            known.pop(other, None)
    watch = _watch_number(loop, source.fd, _file(source.fd))
    watch.source = source
    known[loop] = watch
    if source.closed:  # by another thread, which may not have seen the watch
        known.pop(loop, None)
        return None
    return watch


def _file(fd: int) -> File | None:
    """Return an identity that distinguishes a socket from others with its number, or None.

    All eventfd and epoll objects share one inode; some systems give sockets none.
    """
    try:
        status = os.fstat(fd)
    except OSError:  # Windows: sockets are not file descriptors there
        return None
    if stat.S_ISSOCK(status.st_mode) and status.st_ino:
        return status.st_dev, status.st_ino
    return None


def _running_loop() -> asyncio.AbstractEventLoop | None:
    """Return the loop that runs in this thread."""
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        return None
