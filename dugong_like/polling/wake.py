"""A flag that can be waited for: the one way to turn other events into readiness of a descriptor.

Writing to a descriptor, waiting for it and reading it again takes three system calls. So the loops
of this library resume an operation without them when a flag is set in their own thread
(`NearRegistration`). The descriptor is left alone then until the operation has made its step, which
usually clears the flag; if it has not, it becomes readable.

`co_checkpoint`, which uses such a flag, lets the other operations of a loop run.

Not here: the contract of waits (contract.py).
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable
from typing import Final, Protocol, Self
from weakref import ref

from .contract import POLLIN, Co, PollNeeded, Source
from .fairness import StepCounter
from .reasons import FLAG

ENOUGH: Final = 4096  # bytes read to drain a pipe; there is one, or a few after an interruption
MOST_READY: Final = 16  # descriptors that are kept for checkpoints


class FlagSource(Source):
    """The descriptor of a `Wake`.

    Args:
        fd: see `Source`.
        reason: see `Source`.
        flag: the flag.
        is_pause: see `Source`.

    """

    __slots__ = ("_flag", "_is_pause")

    def __init__(self, fd: int, reason: str, flag: Wake, *, is_pause: bool) -> None:
        super().__init__(fd, reason)
        self._flag = ref(flag)
        self._is_pause = is_pause

    @property
    def is_pause(self) -> bool:
        """See `Source`."""
        return self._is_pause

    def is_set(self) -> bool:
        """Return True if the flag is set, whatever the descriptor says."""
        flag = self._flag()
        return flag is not None and flag.is_set()

    def settle(self) -> None:
        """Have the descriptor say what the flag does."""
        if (flag := self._flag()) is not None:
            flag.settle()


class Wake:
    """A flag that any thread may set and any loop can wait for.

    It is an eventfd on Linux, a pipe on other Unix systems, a pair of sockets on
    Windows. All methods may be called from any thread and after `close`, also by the garbage
    collector or a handler of signals in the middle of one another.

    Args:
        reason: what it is waited for, see `PollNeeded.reason`.
        is_pause: see `PollNeeded.is_pause`.

    """

    def __init__(self, reason: str = FLAG, *, is_pause: bool = False) -> None:
        self._lock = threading.RLock()
        self._set = False
        self._shown: bool | None = False  # what the descriptor says; None while it is changed
        self._showing = False
        self._closing = False
        self._end: _End | None = _end()
        self.fd: int = self._end.fileno()
        self._source = FlagSource(self.fd, reason, self, is_pause=is_pause)
        self._endless: PollNeeded | None = None  # the wait without a deadline, always the same
        self._steps = StepCounter()  # waits for a flag that was set

    def set(self) -> None:
        """Make the descriptor readable until `clear` is called.

        If an operation waits for it in a loop of this thread, that may resume it instead; the
        descriptor becomes readable then if the operation does not clear the flag.
        """
        with self._lock:
            was_set, self._set = self._set, True
            if was_set or not self._resumes():
                self._show()
        if self._closing:
            self._give_back()

    def _resumes(self) -> bool:
        """Have the operation that waits resumed by its loop; False if none can do that."""
        for registration in list(self._source.registrations.values()):
            resume: Callable[[Callable[[], object]], bool] | None
            resume = getattr(registration, "resume", None)  # see `NearRegistration`
            if resume is not None and resume(self.settle):
                return True
        return False

    def settle(self) -> None:
        """Have the descriptor say what the flag does: after `set` it may not do so yet."""
        if self._shown is not self._set:
            with self._lock:
                self._show()
            if self._closing:
                self._give_back()

    def clear(self) -> None:
        """Make the descriptor unreadable again."""
        with self._lock:
            self._set = False
            if self._shown is not False:  # not if a loop has resumed the operation by itself
                self._show()
        if self._closing:
            self._give_back()

    def _show(self) -> None:
        """Make the descriptor say what the flag does; the lock is held.

        In the middle of this another `set`, `clear` or `close` of the same thread may come. It
        changes the flag only, and the one that was interrupted goes on until both agree.
        """
        while self._shown is not self._set and not self._showing:
            try:
                self._showing = True
                wanted, self._shown = self._set, None
                end = self._end
                if end is not None and wanted:
                    end.signal()
                elif end is not None:
                    end.drain()
            except BlockingIOError:  # nothing to drain, or more than enough was signalled
                self._shown = wanted
            except (OSError, ValueError):
                # The garbage collector finds flags together with the operations that have them, and
                # may have closed this descriptor before such an operation ends.
                if end is None or end.fileno() != -1:
                    raise
                self._shown = wanted
            else:
                self._shown = wanted
            finally:
                self._showing = False

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
            yield self.need(deadline)
        return True

    def need(self, deadline: float | None = None) -> PollNeeded:
        """Return the wait for the flag, to be joined with others.

        Args:
            deadline: seconds of `time.monotonic` at which it ends; None for no limit.

        """
        if self._set:
            self.settle()
        if deadline is not None:
            return PollNeeded(self.fd, POLLIN, deadline, self._source)
        if self._endless is None:
            self._endless = PollNeeded(self.fd, POLLIN, None, self._source)
        return self._endless

    def close(self) -> None:
        """Close the descriptor. No operation may wait for it any more."""
        self._closing = True
        self._give_back()

    def _give_back(self) -> None:
        with self._lock:
            if self._showing:
                return  # what was interrupted does it: the number could be another file's before
            end, self._end = self._end, None
        if end is not None:
            self._source.close(end.close)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()


def co_sleep(seconds: float, reason: str = "sleep") -> Co[None]:
    """Wait for *seconds*, without blocking the other operations of the loop.

    Args:
        seconds: 0 or less does not wait.
        reason: see `PollNeeded.reason`.

    """
    if seconds > 0:
        with Wake(reason) as never:
            yield from never.co_wait(time.monotonic() + seconds)


class Ends(Protocol):
    """Ends pauses early."""

    def add(self, wake: Wake) -> None:
        """Set *wake* as soon as the pause is to end."""
        ...

    def discard(self, wake: Wake) -> None:
        """Leave *wake* as it is from now on."""
        ...


def co_pause(seconds: float, reason: str, ends: Ends | None = None) -> Co[None]:
    """Wait for *seconds* until something is tried again, as `co_sleep`.

    A loop of many operations may run another one meanwhile: see `PollNeeded.is_pause`.

    Args:
        seconds: 0 or less does not wait.
        reason: see `PollNeeded.reason`.
        ends: may end the wait earlier; None if nothing does.

    """
    if seconds > 0:
        with Wake(reason, is_pause=True) as wake:
            try:
                if ends is not None:
                    ends.add(wake)
                yield from wake.co_wait(time.monotonic() + seconds)
            finally:
                if ends is not None:
                    ends.discard(wake)


def co_checkpoint() -> Co[None]:
    """Let the other operations of the same loop run: wait, once, for a flag that is set.

    Has no effect if there are no descriptors left.
    """
    try:
        ready = _ready.pop()
    except IndexError:
        try:
            flag = Wake()
        except OSError:
            return
        flag.set()
        ready = flag, PollNeeded(flag.fd, POLLIN).because("checkpoint")
    fd = ready[0].fd
    # Or the garbage collector finalizes it with an operation that it finds, which puts it back.
    _lent[fd] = ready
    try:
        yield ready[1]
    finally:
        _lent.pop(fd, None)  # first: once it is closed the number is another one's
        if len(_ready) < MOST_READY:
            _ready.append(ready)
        else:
            ready[0].close()


# Flags that stay set, and the waits for them. No two operations wait for the same one, as loops do
# not allow that; a child process shares them with its parent, and neither changes them.
_ready: Final[list[tuple[Wake, PollNeeded]]] = []
_lent: Final[dict[int, tuple[Wake, PollNeeded]]] = {}  # those that are waited for, by descriptor


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
        os.set_blocking(self._reader, False)
        os.set_blocking(self._writer, False)

    def fileno(self) -> int:
        return self._reader

    def signal(self) -> None:
        os.write(self._writer, b"!")

    def drain(self) -> None:
        os.read(self._reader, ENOUGH)

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
        self._reader.setblocking(False)
        self._writer.setblocking(False)

    def fileno(self) -> int:
        return self._reader.fileno()

    def signal(self) -> None:
        self._writer.send(b"!")

    def drain(self) -> None:
        self._reader.recv(ENOUGH)

    def close(self) -> None:
        self._reader.close()
        self._writer.close()


def _end() -> _End:
    if hasattr(os, "eventfd"):
        return _EventFD()
    return _Pipe() if os.name == "posix" else _SocketPair()
