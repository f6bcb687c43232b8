"""Where coroutines run: asyncio, uvloop or trio. A client class takes one of these first."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from typing import Any


class Asyncio:
    """asyncio with its own event loop."""

    def __init__(self) -> None:
        self._runner = asyncio.Runner()

    def run(self, method: Callable[..., Any], *args: Any) -> Any:
        """Run a coroutine function; what it leaves open stays open for the next one."""
        return self._runner.run(method(*args))

    def end(self) -> None:
        """End the loop."""
        self._runner.close()

    async def gather(self, coroutines: Sequence[Coroutine[Any, Any, Any]]) -> None:
        """Run all *coroutines* at the same time."""
        await asyncio.gather(*coroutines)


class Uvloop(Asyncio):
    """asyncio with uvloop."""

    def __init__(self) -> None:
        import uvloop

        self._runner = asyncio.Runner(loop_factory=uvloop.new_event_loop)


class Trio:
    """trio, whose loop lives only as long as one call; sockets do not mind."""

    def run(self, method: Callable[..., Any], *args: Any) -> Any:
        """Run a coroutine function."""
        import trio

        return trio.run(method, *args)

    def end(self) -> None:
        """Do nothing."""

    async def gather(self, coroutines: Sequence[Coroutine[Any, Any, Any]]) -> None:
        """Run all *coroutines* at the same time."""
        import trio

        async with trio.open_nursery() as nursery:
            for coroutine in coroutines:
                nursery.start_soon(lambda coroutine=coroutine: coroutine)
