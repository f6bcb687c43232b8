"""Detecting the driver for the running loop.

Not here: the drivers (aio.py, trio.py), of which only the needed one is imported.
"""

from __future__ import annotations

import sys
from collections.abc import Awaitable
from typing import Protocol, TypeVar

from ..polling.contract import Co, PollNeeded

T = TypeVar("T")


class Runner(Protocol):
    """Runs an operation in a coroutine: `run` of a driver, or an equivalent."""

    async def __call__(self, op: Co[T], /) -> T:
        """Run *op* and return its result; close it if the task is cancelled."""
        ...


class Wait(Protocol):
    """Waits in a coroutine, without an operation."""

    def __call__(self, need: PollNeeded, /) -> Awaitable[None]:
        """Wait for *need*, perhaps for less than that: `dugong_like.drivers.aio.wait` does."""
        ...


def wait_of(run: Runner) -> Wait | None:
    """Return what waits in the way of *run*, if that is the ``run`` of the driver for asyncio."""
    aio = sys.modules.get(f"{__package__}.aio")
    return aio.wait if aio is not None and run is aio.run else None


def runner() -> Runner:
    """Return ``run`` of the driver for asyncio or trio, whichever runs the present task.

    Raises:
        RuntimeError: the present task runs on neither.

    """
    trio = sys.modules.get("trio")
    if trio is not None and trio.lowlevel.in_trio_task():
        from .trio import run as run_on_trio  # noqa: PLC0415 - only when used

        return run_on_trio
    asyncio = sys.modules.get("asyncio")
    if asyncio is None:
        raise RuntimeError("neither asyncio nor trio runs here")
    asyncio.get_running_loop()
    from .aio import run  # noqa: PLC0415 - only when used

    return run
