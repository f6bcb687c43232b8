"""Operations on trio."""

from __future__ import annotations

import math
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar, cast

import trio

from ..polling.contract import POLLIN, POLLOUT, Co, PollNeeded, check_need, check_operation

T = TypeVar("T")


async def run(op: Co[T]) -> T:
    """Run *op* and return its result; cancelling closes it. Always a checkpoint.

    Raises:
        trio.BusyResourceError: another task waits for the same direction of the same
            descriptor.
        TypeError: *op* is not an operation.
        Exception: any exception of *op*.

    """
    check_operation(op)
    waited = False
    try:
        await trio.lowlevel.checkpoint_if_cancelled()
        while True:
            need = next(op)
            try:
                if need.deadline is None and need[1] == POLLIN:  # fast path for the usual case
                    await trio.lowlevel.wait_readable(need[0])
                else:
                    await _wait(need)
            except Exception:
                check_need(need)
                raise
            waited = True
    except StopIteration as end:
        result = cast("T", end.value)
    finally:
        op.close()
    if not waited:  # let other tasks run; cancelling would lose the result
        await trio.lowlevel.cancel_shielded_checkpoint()
    return result


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
    problems: list[Exception] = []

    async def wait(ready: Callable[[int], Awaitable[None]]) -> None:
        try:
            await ready(fd)
        except Exception as exc:  # noqa: BLE001 - raised below: a nursery would raise a group
            problems.append(exc)
        nursery.cancel_scope.cancel()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(wait, trio.lowlevel.wait_readable)
        nursery.start_soon(wait, trio.lowlevel.wait_writable)
    if problems:
        raise problems[0]
