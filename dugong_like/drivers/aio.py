"""Operations on asyncio, with any event loop that has `add_reader` (uvloop too).

Not here: asyncio's own streams and sockets; an operation brings its own descriptors.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Callable
from typing import Any, Final, TypeVar
from weakref import WeakKeyDictionary

from ..polling import POLLIN, POLLOUT, Co, PollNeeded

T = TypeVar("T")
Direction = tuple[int, int]  # descriptor, and one of POLLIN and POLLOUT

# Who waits for what, in each loop. asyncio takes one callback for each direction of a
# descriptor, and would silently replace it by the next one.
_waiting: Final[WeakKeyDictionary[asyncio.AbstractEventLoop, dict[Direction, AioFuture[Any]]]] = (
    WeakKeyDictionary()
)


class AioFuture(asyncio.Future[T]):
    """An asyncio future that runs an operation and has its result.

    The operation starts with the next round of the loop. Cancelling the future closes
    the operation at once; no registration is left behind in the loop.

    Args:
        op: the operation.
        loop: the event loop; the running one if None.

    Raises:
        RuntimeError: no loop is running, and none is given.

    """

    def __init__(self, op: Co[T], loop: asyncio.AbstractEventLoop | None = None) -> None:
        self._op: Co[T] | None = op
        self._registered: set[Direction] = set()
        self._file: tuple[int, int] | None = None  # what is registered, beyond its number
        self._timer: asyncio.TimerHandle | None = None
        loop = loop or asyncio.get_running_loop()
        super().__init__(loop=loop)
        self._owners = _waiting.setdefault(loop, {})
        loop.call_soon(self._resume)

    def cancel(self, msg: Any | None = None) -> bool:
        """Close the operation and cancel the future; False if it is done already."""
        if self.done():
            return False
        try:
            self._close()
        except BaseException as exc:  # noqa: BLE001 - a finally block of the operation failed
            self.set_exception(exc)
            return False
        return super().cancel(msg)

    def __del__(self) -> None:
        if self._op is not None and not self.get_loop().is_closed():
            self._close()
        super().__del__()

    def _resume(self) -> None:
        op = self._op
        if op is None:
            return
        try:
            need = next(op)
            self._register(need)
        except StopIteration as end:
            self._close()
            self.set_result(end.value)
        except BaseException as exc:
            self._close()
            self.set_exception(exc)
            if not isinstance(exc, Exception):
                raise

    def _register(self, need: PollNeeded) -> None:
        wanted = {(need[0], bit) for bit in (POLLIN, POLLOUT) if need[1] & bit}
        status = os.fstat(need[0])
        file = (status.st_dev, status.st_ino)
        if file != self._file:  # also when a closed descriptor's number is used again
            self._unregister(self._registered)
            self._file = file
        if wanted != self._registered:
            self._unregister(self._registered - wanted)
            for direction in wanted - self._registered:
                self._add(direction)
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if need.deadline is not None:
            delay = max(need.deadline - time.monotonic(), 0)
            self._timer = self.get_loop().call_later(delay, self._resume)

    def _add(self, direction: Direction) -> None:
        fd, bit = direction
        loop = self.get_loop()
        owner = self._owners.get(direction)
        if owner is not None:
            raise RuntimeError(f"another operation waits for descriptor {fd} in the same direction")
        add: Callable[..., None] = loop.add_reader if bit == POLLIN else loop.add_writer
        add(fd, self._resume)
        self._owners[direction] = self
        self._registered.add(direction)

    def _unregister(self, directions: set[Direction]) -> None:
        loop = self.get_loop()
        for fd, bit in directions:
            self._owners.pop((fd, bit), None)
            if not loop.is_closed():
                (loop.remove_reader if bit == POLLIN else loop.remove_writer)(fd)
        self._registered = self._registered - directions

    def _close(self) -> None:
        """Leave no registration, then close the operation, which closes its descriptors."""
        op, self._op = self._op, None
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._unregister(self._registered)
        if op is not None:
            op.close()


async def run(op: Co[T]) -> T:
    """Run *op* and return its result; cancelling the task closes it.

    Raises:
        Exception: whatever *op* raises.

    """
    return await AioFuture(op)
