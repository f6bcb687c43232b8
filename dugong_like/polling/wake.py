"""A flag that can be waited for: the one way to turn other events into readiness of a descriptor.

`co_checkpoint`, which uses such a flag, lets the other operations of a loop run.

Not here: the contract of waits (contract.py).
"""

from __future__ import annotations

import os
import threading
import time
from typing import Final, Protocol, Self

from .contract import POLLIN, Co, PollNeeded, Source
from .fairness import StepCounter

MOST_READY: Final = 16  # descriptors that are kept for checkpoints


class Wake:
    """A flag that any thread may set and any loop can wait for.

    It is an eventfd on Linux, a pipe on other Unix systems, a pair of sockets on
    Windows. All methods may be called from any thread and after `close`.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._set = False
        self._end: _End | None = _end()
        self.fd: int = self._end.fileno()
        self._source = Source(self.fd)
        self._steps = StepCounter()  # waits for a flag that was set

    def set(self) -> None:
        """Make the descriptor readable until `clear` is called."""
        with self._lock:
            if not self._set:
                self._set = True
                if self._end is not None:
                    self._end.signal()

    def clear(self) -> None:
        """Make the descriptor unreadable again."""
        with self._lock:
            if self._set:
                self._set = False
                if self._end is not None:
                    self._end.drain()

    def is_set(self) -> bool:
        """Return True between `set` and `clear`."""
        return self._set

    def co_wait(self, deadline: float | None = None) -> Co[bool]:
        """Wait until the flag is set.

        Args:
            deadline: seconds of `time.monotonic`, or None to wait for ever.

        Returns:
            True if the flag is set, False if the deadline has passed.

        """
        if self._set and self._steps.is_over():
            yield from co_checkpoint()
        while not self._set:
            if deadline is not None and time.monotonic() >= deadline:
                return False
            yield PollNeeded(self.fd, POLLIN, deadline, self._source)
        return True

    def close(self) -> None:
        """Close the descriptor. No operation may wait for it any more."""
        with self._lock:
            end, self._end = self._end, None
        if end is not None:
            self._source.close(end.close)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()


def co_checkpoint() -> Co[None]:
    """Let the other operations of the same loop run: wait, once, for a flag that is set.

    Has no effect if there are no descriptors left.
    """
    try:
        ready = _ready.pop()
    except IndexError:
        try:
            ready = Wake()
        except OSError:
            return
        ready.set()
    try:
        yield PollNeeded(ready.fd, POLLIN)
    finally:
        if len(_ready) < MOST_READY:
            _ready.append(ready)
        else:
            ready.close()


# Flags that stay set. No two operations wait for the same one, as loops do not allow that; a child
# process shares them with its parent, and neither changes them.
_ready: Final[list[Wake]] = []


def checkpoint_descriptors() -> int:
    """Return how many descriptors are kept for later checkpoints, for tests that count them."""
    return len(_ready)


class _End(Protocol):
    def fileno(self) -> int: ...
    def signal(self) -> None: ...
    def drain(self) -> None: ...
    def close(self) -> None: ...


class _EventFD:
    _fd = -1  # without a descriptor

    def __init__(self) -> None:
        self._fd = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)

    def fileno(self) -> int:
        return self._fd

    def signal(self) -> None:
        os.eventfd_write(self._fd, 1)

    def drain(self) -> None:
        os.eventfd_read(self._fd)

    def close(self) -> None:
        fd, self._fd = self._fd, -1
        if fd != -1:
            os.close(fd)

    __del__ = close


class _Pipe:
    _reader = _writer = -1

    def __init__(self) -> None:
        self._reader, self._writer = os.pipe()

    def fileno(self) -> int:
        return self._reader

    def signal(self) -> None:
        os.write(self._writer, b"!")

    def drain(self) -> None:
        os.read(self._reader, 1)

    def close(self) -> None:
        ends, self._reader, self._writer = (self._reader, self._writer), -1, -1
        for fd in ends:
            if fd != -1:
                os.close(fd)

    __del__ = close


class _SocketPair:
    def __init__(self) -> None:
        import socket  # noqa: PLC0415 - Windows only: select() takes only sockets there

        self._reader, self._writer = socket.socketpair()

    def fileno(self) -> int:
        return self._reader.fileno()

    def signal(self) -> None:
        self._writer.send(b"!")

    def drain(self) -> None:
        self._reader.recv(1)

    def close(self) -> None:
        self._reader.close()
        self._writer.close()


def _end() -> _End:
    if hasattr(os, "eventfd"):
        return _EventFD()
    return _Pipe() if os.name == "posix" else _SocketPair()
