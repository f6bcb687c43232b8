"""Detecting the driver for the running loop.

Not here: the drivers (aio.py, trio.py), of which only the needed one is imported.
"""

from __future__ import annotations

import sys
from collections.abc import Awaitable, Callable
from typing import Any, Final, Protocol, TypeVar

from ..polling.contract import Co, PollNeeded

T = TypeVar("T")

AIO: Final = f"{__package__}.aio"  # the driver for asyncio
_modules: Final = sys.modules


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
    aio = _modules.get(AIO)
    return aio.wait if aio is not None and run is aio.run else None


def shortest(run: Callable[[Co[Any]], Awaitable[Any]]) -> Callable[[Co[Any]], Awaitable[Any]]:
    """Return what does the same as *run* in fewer frames, each of which costs time at each step.

    It is for operations that need no check, and its result is for ``await`` only.
    """
    aio = _modules.get(AIO)
    if aio is None or run is not aio.run:
        return run
    short: Callable[[Co[Any]], Awaitable[Any]] = aio.co_run
    return short


def in_event_loop() -> bool:
    """Return True if the present code runs in an event loop of asyncio or a task of trio."""
    try:
        runner()
    except RuntimeError:
        return False
    return True


def runner() -> Runner:
    """Return ``run`` of the driver for asyncio or trio, whichever runs the present task.

    Raises:
        RuntimeError: the present task runs on neither.

    """
    trio = _modules.get("trio")
    if trio is not None and trio.lowlevel.in_trio_task():
        from .trio import run as run_on_trio  # noqa: PLC0415 - only when used

        return run_on_trio
    asyncio = _modules.get("asyncio")
    if asyncio is None:
        raise RuntimeError("neither asyncio nor trio runs here")
    asyncio.get_running_loop()
    if AIO not in _modules:  # which costs less than to import it each time
        from . import aio  # noqa: F401, PLC0415 - only when used
    run: Runner = _modules[AIO].run
    return run
