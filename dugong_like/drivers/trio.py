"""Operations on trio."""

from __future__ import annotations

import math
import time
from typing import TypeVar, cast

import trio

from ..polling import POLLIN, POLLOUT, Co, PollNeeded

T = TypeVar("T")


async def run(op: Co[T]) -> T:
    """Run *op* and return its result; cancelling closes it. Always a checkpoint.

    Raises:
        Exception: whatever *op* raises.

    """
    try:
        await trio.lowlevel.checkpoint()
        while True:
            await _wait(next(op))
    except StopIteration as end:
        return cast("T", end.value)
    finally:
        op.close()


async def _wait(need: PollNeeded) -> None:
    left = math.inf if need.deadline is None else need.deadline - time.monotonic()
    with trio.move_on_after(max(left, 0)):
        if need.mask == POLLIN:
            await trio.lowlevel.wait_readable(need.fd)
        elif need.mask == POLLOUT:
            await trio.lowlevel.wait_writable(need.fd)
        else:
            await _wait_either(need.fd)


async def _wait_either(fd: int) -> None:
    async with trio.open_nursery() as nursery:

        async def wait_writable() -> None:
            await trio.lowlevel.wait_writable(fd)
            nursery.cancel_scope.cancel()

        nursery.start_soon(wait_writable)
        await trio.lowlevel.wait_readable(fd)
        nursery.cancel_scope.cancel()
