"""Polling descriptors: epoll, poll and select with one interface.

A descriptor is armed for some events, and reporting one disarms it. So a closed descriptor, whose
number may belong to another file, is never confused with it. A descriptor that is disarmed before
it is closed may be kept: it is reported again and again.

Not here: the tasks that wait for the descriptors (loop.py).
"""

from __future__ import annotations

import math
import select
from contextlib import suppress
from typing import Protocol

from ..polling.contract import POLLIN, POLLOUT

Events = list[tuple[int, int]]


class Poller(Protocol):
    """The interface of a poller for the loop."""

    def arm(self, fd: int, mask: int) -> None:
        """Report *fd* once when it is ready for one of *mask*; replaces an earlier mask."""
        ...

    def keep(self, fd: int, mask: int) -> None:
        """Report *fd* whenever it is ready for one of *mask*; replaces an earlier mask."""
        ...

    def disarm(self, fd: int) -> None:
        """Stop reporting *fd*, which may be closed already unless it was kept."""
        ...

    def wait(self, timeout: float | None) -> Events:
        """Return descriptors and their events, after at most *timeout* seconds."""
        ...

    def close(self) -> None:
        """Close the descriptor of the poller, if any."""
        ...


class EpollPoller:
    """epoll (Linux); its cost does not depend on the number of descriptors."""

    def __init__(self) -> None:
        self._epoll = select.epoll()

    def arm(self, fd: int, mask: int) -> None:
        """See `Poller.arm`."""
        self.keep(fd, mask | select.EPOLLONESHOT)

    def keep(self, fd: int, mask: int) -> None:
        """See `Poller.keep`."""
        try:
            self._epoll.modify(fd, mask)
        except FileNotFoundError:  # new, or closed and opened again
            self._epoll.register(fd, mask)

    def disarm(self, fd: int) -> None:
        """See `Poller.disarm`."""
        with suppress(OSError):
            self._epoll.unregister(fd)

    def wait(self, timeout: float | None) -> Events:
        """See `Poller.wait`."""
        return self._epoll.poll(-1 if timeout is None else timeout)

    def close(self) -> None:
        """See `Poller.close`."""
        self._epoll.close()


class PollPoller:
    """poll (every Unix)."""

    def __init__(self) -> None:
        self._poll = select.poll()
        self._kept: set[int] = set()

    def arm(self, fd: int, mask: int) -> None:
        """See `Poller.arm`."""
        self._kept.discard(fd)
        self._poll.register(fd, mask)

    def keep(self, fd: int, mask: int) -> None:
        """See `Poller.keep`."""
        self._kept.add(fd)
        self._poll.register(fd, mask)

    def disarm(self, fd: int) -> None:
        """See `Poller.disarm`."""
        self._kept.discard(fd)
        with suppress(KeyError):
            self._poll.unregister(fd)

    def wait(self, timeout: float | None) -> Events:
        """See `Poller.wait`."""
        events = self._poll.poll(None if timeout is None else math.ceil(timeout * 1000))
        for fd, _ in events:
            if fd not in self._kept:
                self._poll.unregister(fd)
        return events

    def close(self) -> None:
        """See `Poller.close`."""


class SelectPoller:
    """select (everywhere, for few descriptors only)."""

    def __init__(self) -> None:
        self._masks: dict[int, int] = {}
        self._kept: set[int] = set()

    def arm(self, fd: int, mask: int) -> None:
        """See `Poller.arm`."""
        self._kept.discard(fd)
        self._masks[fd] = mask

    def keep(self, fd: int, mask: int) -> None:
        """See `Poller.keep`."""
        self._kept.add(fd)
        self._masks[fd] = mask

    def disarm(self, fd: int) -> None:
        """See `Poller.disarm`."""
        self._kept.discard(fd)
        self._masks.pop(fd, None)

    def wait(self, timeout: float | None) -> Events:
        """See `Poller.wait`."""
        readers = [fd for fd, mask in self._masks.items() if mask & POLLIN]
        writers = [fd for fd, mask in self._masks.items() if mask & POLLOUT]
        # Windows reports a refused connection as exceptional, not as writable.
        readable, writable, failed = select.select(readers, writers, writers, timeout)
        found: dict[int, int] = dict.fromkeys(readable, POLLIN)
        for fd in (*writable, *failed):
            found[fd] = found.get(fd, 0) | POLLOUT
        for fd in found.keys() - self._kept:
            del self._masks[fd]
        return list(found.items())

    def close(self) -> None:
        """See `Poller.close`."""


def best_poller() -> Poller:
    """Return the best poller of the system."""
    if hasattr(select, "epoll"):
        return EpollPoller()
    return PollPoller() if hasattr(select, "poll") else SelectPoller()
