"""Operations on asyncio, with any event loop that has `add_reader` (uvloop too).

Not here: asyncio's own streams and sockets; an operation brings its own descriptors.
"""

from __future__ import annotations

import asyncio
import math
import os
import stat
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Final, TypeVar, cast
from weakref import WeakKeyDictionary, WeakValueDictionary

from ..polling import POLLIN, POLLOUT, Co, PollNeeded

T = TypeVar("T")
Direction = tuple[int, int]  # descriptor, and one of POLLIN and POLLOUT
File = tuple[int, int]  # device and inode

# Who waits for what, in each loop. asyncio takes one callback for each direction of a
# descriptor, and would silently replace it by the next one.
_waiting: Final[
    WeakKeyDictionary[asyncio.AbstractEventLoop, WeakValueDictionary[Direction, AioFuture[Any]]]
] = WeakKeyDictionary()


class AioFuture(asyncio.Future[T]):
    """An asyncio future that runs an operation and has its result.

    The operation makes its first step with the next round of the loop, not at once.
    Cancelling the future closes the operation at once. What is registered in the loop
    stays registered between two equal waits, and is gone when the operation has ended.

    The future gets a `RuntimeError` if another one waits for the same direction of the
    same descriptor, or if the loop has no `add_reader`.

    Args:
        op: the operation.
        loop: the event loop; the running one if None.

    Raises:
        RuntimeError: no loop is running, and none is given.

    """

    def __init__(self, op: Co[T], loop: asyncio.AbstractEventLoop | None = None) -> None:
        self._op = op
        self._need: PollNeeded | None = None  # the last wait
        self._file: File | None = None  # what its descriptor was
        self._registered: list[Direction] = []
        self._timer: asyncio.TimerHandle | None = None
        self._timer_at = math.inf  # seconds of time.monotonic
        loop = loop or asyncio.get_running_loop()
        super().__init__(loop=loop)
        self._owners = _waiting.setdefault(loop, WeakValueDictionary())
        loop.call_soon(self._resume)

    def cancel(self, msg: Any | None = None) -> bool:
        """Close the operation and cancel the future; False if it is done already.

        If closing the operation fails, the future gets that exception instead.
        """
        if self.done():
            return False
        if not getattr(self._op, "gi_running", False):  # else it does this itself: see _resume
            try:
                self._close()
            except BaseException as exc:  # noqa: BLE001 - a finally block of the operation failed
                self.set_exception(exc)
                return False
        return super().cancel(msg)

    def _resume(self) -> None:
        if self.done():
            return
        try:
            need = next(self._op)
            if self.done():  # it has cancelled the future that runs it
                self._close()
            else:
                self._wait(need)
        except StopIteration as end:
            self._end(end.value, None)
        except BaseException as exc:
            self._end(None, exc)
            if not isinstance(exc, Exception):
                raise

    def _end(self, result: Any, problem: BaseException | None) -> None:
        try:
            self._close()
        except BaseException as exc:  # noqa: BLE001 - whoever awaits the future gets it
            problem = exc
        if self.done():
            return
        if problem is None:
            self.set_result(result)
        else:
            self.set_exception(problem)

    def _wait(self, need: PollNeeded) -> None:
        file = _file(need[0])
        if file is None or file != self._file or need != self._need:
            self._unregister()
            self._file = file
            for bit in (POLLIN, POLLOUT):
                if need[1] & bit:
                    self._register(need[0], bit)
        self._need = need
        if need.deadline is not None:
            self._set_timer(need.deadline)

    def _register(self, fd: int, bit: int) -> None:
        loop = self.get_loop()
        owner = self._owners.get((fd, bit))
        if owner is not None and not owner.gives_way(self._file):
            raise RuntimeError(f"another operation waits for descriptor {fd} in the same direction")
        add: Callable[..., None] = loop.add_reader if bit == POLLIN else loop.add_writer
        try:
            add(fd, self._resume)
        except NotImplementedError:
            raise RuntimeError(
                f"{type(loop).__name__} has no add_reader; use asyncio.SelectorEventLoop"
            ) from None
        self._owners[fd, bit] = self
        self._registered.append((fd, bit))

    def gives_way(self, file: File | None) -> bool:
        """Let go of a descriptor that was closed and is *file* by now; called by its new owner."""
        if file == self._file:
            return False
        self._unregister()
        self.get_loop().call_soon(self._resume)  # to find out
        return True

    def _unregister(self) -> None:
        loop = self.get_loop()
        while self._registered:
            fd, bit = self._registered.pop()
            del self._owners[fd, bit]
            if not loop.is_closed():
                # asyncio fails, and forgets it, if one of two directions of a closed one goes
                with suppress(OSError):
                    (loop.remove_reader if bit == POLLIN else loop.remove_writer)(fd)

    def _set_timer(self, deadline: float) -> None:
        """Keep an earlier timer: most waits end before it, and setting it costs."""
        if self._timer_at <= deadline:
            return
        self._stop_timer()
        # Whole milliseconds, up: uvloop rounds to them, and waking too early is to spin.
        delay = math.ceil(max(deadline - time.monotonic(), 0) * 1000) / 1000
        self._timer = self.get_loop().call_later(delay, self._ring)
        self._timer_at = deadline

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
            self._timer_at = math.inf

    def _ring(self) -> None:
        self._stop_timer()
        assert self._need is not None
        deadline = self._need.deadline
        if deadline is None:
            return
        if time.monotonic() >= deadline:
            self._resume()
        else:
            self._set_timer(deadline)

    def _close(self) -> None:
        """Leave no registration, then close the operation, which closes its descriptors."""
        self._stop_timer()
        self._unregister()
        self._op.close()


def _file(fd: int) -> File | None:
    """Return what tells a socket from others that had its number; None if nothing does.

    All eventfd and epoll objects share one inode; some systems give sockets none.
    """
    try:
        status = os.fstat(fd)
    except OSError:  # Windows: a socket is no descriptor there
        return None
    if stat.S_ISSOCK(status.st_mode) and status.st_ino:
        return status.st_dev, status.st_ino
    return None


async def run(op: Co[T]) -> T:
    """Run *op* and return its result; cancelling the task closes it.

    Each step is made in the task itself, so a task that is cancelled while it waits has lost
    nothing: what *op* had got is still where it was. (Awaiting an `AioFuture` instead, a task
    that is cancelled in the very moment the result is there goes without it.)

    Raises:
        RuntimeError: another operation waits for the same direction of the same
            descriptor, or the loop has no `add_reader`.
        Exception: whatever *op* raises.

    """
    try:
        while True:
            await AioFuture(_co_once(next(op)))
    except StopIteration as end:
        return cast("T", end.value)
    finally:
        op.close()


def _co_once(need: PollNeeded) -> Co[None]:
    """Wait once, and say nothing of how it went: whoever waited looks for himself."""
    yield need
