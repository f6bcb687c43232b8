"""The waits of many operations as one, which says afterwards whose wait is over.

A `Bundle` joins the waits of a few operations, and all of them are resumed when one is ready. With
hundreds that costs too much: here only those are named that are ready, and a wait that stays as it
is costs nothing.

Not here: who resumes them.
"""

from __future__ import annotations

import math
import select
import time
from collections.abc import Hashable
from contextlib import suppress
from typing import Generic, TypeVar

from .combinators import PAUSE, JoinedSource
from .contract import POLLIN, PollNeeded, Source

K = TypeVar("K", bound=Hashable)


class ReadySet(Generic[K]):
    """Waits for descriptors, each with a key.

    Without epoll (outside Linux) they are polled in turn, each for `PAUSE` seconds, and all count
    as ready: resuming too early is harmless.
    """

    def __init__(self) -> None:
        self._waits: dict[K, PollNeeded] = {}
        self._keys: dict[int, dict[K, None]] = {}  # those that wait for a descriptor
        self._registered: dict[int, tuple[int, Source | None]] = {}
        self._changed: set[int] = set()  # descriptors to look at before the next wait
        self._next = math.inf  # the earliest deadline, in seconds of `time.monotonic`
        self._epoll: select.epoll | None = None
        self._source = JoinedSource(-1)
        self._turn = 0

    def __len__(self) -> int:
        return len(self._waits)

    def set(self, key: K, need: PollNeeded) -> None:
        """Let *key* wait for *need*, and for nothing else."""
        last = self._waits.get(key)
        if last is need and need.source is not None:
            return
        fd = need[0]
        if last is not None and last[0] != fd:
            self._leave(key, last[0])
        self._waits[key] = need
        self._keys.setdefault(fd, {})[key] = None
        self._changed.add(fd)

    def drop(self, key: K) -> None:
        """Let *key* wait for nothing."""
        last = self._waits.pop(key, None)
        if last is not None:
            self._leave(key, last[0])

    def _leave(self, key: K, fd: int) -> None:
        keys = self._keys[fd]
        del keys[key]
        if not keys:
            del self._keys[fd]
        self._changed.add(fd)

    def need(self, deadline: float | None = None) -> PollNeeded:
        """Return one wait that is over when one of all is.

        Args:
            deadline: seconds of `time.monotonic` at which it ends in any case; None for no limit.

        """
        limits = [need.deadline for need in self._waits.values() if need.deadline is not None]
        self._next = min(limits, default=math.inf)
        if deadline is None or deadline > self._next:
            deadline = None if self._next == math.inf else self._next
        if not hasattr(select, "epoll"):
            return self._need_in_turn(deadline)
        if self._epoll is None:
            self._epoll = select.epoll()
            self._source = JoinedSource(self._epoll.fileno())
        for fd in self._changed:
            self._register(self._epoll, fd)
        self._changed.clear()
        self._source.needs = self._waits
        return self._source.need(POLLIN, deadline)

    def _register(self, epoll: select.epoll, fd: int) -> None:
        """Let *epoll* wait for what is waited for with *fd*."""
        keys = self._keys.get(fd)
        if keys is None:
            if self._registered.pop(fd, None) is not None:
                with suppress(OSError, ValueError):  # closed meanwhile: removed by the system
                    epoll.unregister(fd)
            return
        mask, source = 0, None
        for key in keys:
            need = self._waits[key]
            mask |= need[1]
            source = need.source
        if source is not None and self._registered.get(fd) == (mask, source):
            return
        # Also when the mask is as before: the number may belong to a new file by now.
        try:
            epoll.modify(fd, mask)
        except FileNotFoundError:
            epoll.register(fd, mask)
        self._registered[fd] = mask, source

    def _need_in_turn(self, deadline: float | None) -> PollNeeded:
        pause = time.monotonic() + PAUSE
        deadline = pause if deadline is None else min(pause, deadline)
        self._turn += 1
        needs = list(self._waits.values())
        return needs[self._turn % len(needs)].until(deadline)

    def ready(self) -> list[K]:
        """Return the keys whose waits are over, by an event or by their deadline."""
        if self._epoll is None:
            return list(self._waits)
        found: dict[K, None] = {}
        for fd, _ in self._epoll.poll(0):
            found.update(self._keys.get(fd, {}))
        if self._next < math.inf and (now := time.monotonic()) >= self._next:
            for key, need in self._waits.items():
                if need.deadline is not None and need.deadline <= now:
                    found[key] = None
        return list(found)

    def close(self) -> None:
        """Close the descriptor."""
        self._waits.clear()
        self._keys.clear()
        if self._epoll is not None:
            self._source.close(self._epoll.close)
