"""Awaitables in operations: bodies from asynchronous iterators, and coroutines of the user's.

An operation waits for an awaitable by a flag that is set when the awaitable is done, so the
contract of operations stays as it is: any driver that runs inside asyncio or trio will do.

Not here: coroutines that run operations (drivers/).
"""

from __future__ import annotations

import sys
from collections.abc import AsyncIterable, AsyncIterator, Awaitable, Callable
from typing import Any, TypeVar, cast

from ..errors import StateError
from ..http.request import Buffer, as_piece
from ..polling.contract import Co
from ..polling.wake import Wake

T = TypeVar("T")


def co_await(awaitable: Awaitable[T]) -> Co[T]:
    """Await *awaitable* in a task of the running event loop, and return its result.

    The task is cancelled if the operation is closed.

    Raises:
        StateError: neither asyncio nor trio runs here.
        Exception: any exception of *awaitable*.

    """
    with Wake() as done:
        results: list[T] = []
        errors: list[BaseException] = []

        async def main() -> None:
            try:
                results.append(await awaitable)
            except BaseException as exc:
                errors.append(exc)
                if not isinstance(exc, Exception):
                    raise
            finally:
                done.set()

        cancel = _spawn(main, awaitable)
        try:
            yield from done.co_wait()
        except BaseException:
            cancel()
            raise
        if errors:
            raise errors[0]
        return results[0]


def _spawn(main: Callable[[], Any], awaitable: Any) -> Callable[[], object]:
    """Start *main* as a task; return what cancels it."""
    trio = sys.modules.get("trio")
    if trio is not None and trio.lowlevel.in_trio_run():
        scope = trio.CancelScope()

        async def scoped() -> None:
            with scope:
                await main()

        trio.lowlevel.spawn_system_task(scoped)
        return cast("Callable[[], object]", scope.cancel)
    asyncio = sys.modules.get("asyncio")
    try:
        if asyncio is None:
            raise RuntimeError
        loop = asyncio.get_running_loop()
    except RuntimeError:
        if hasattr(awaitable, "close"):
            awaitable.close()  # or Python warns that it was never awaited
        raise StateError(
            "a coroutine or an asynchronous iterator goes with AsyncClient, on asyncio or trio"
        ) from None
    task = loop.create_task(main())
    return cast("Callable[[], object]", task.cancel)


class AsyncBody:
    """A request body whose pieces come from an asynchronous iterable.

    Args:
        pieces: of bytes. It can be sent again if it gives a new iterator each time.

    """

    def __init__(self, pieces: AsyncIterable[Buffer]) -> None:
        self._pieces = pieces
        self._iterator: AsyncIterator[Buffer] | None = None
        length = getattr(pieces, "length", None)
        if length is not None:
            self.length = length

    def rewindable(self) -> bool:
        """Return True if the iterable gives a new iterator each time."""
        return aiter(self._pieces) is not self._pieces

    def rewind(self) -> None:
        """Begin anew.

        Raises:
            StateError: the iterable is its own iterator.

        """
        if self._iterator is not None and not self.rewindable():
            raise StateError("the body has been read, and cannot be read a second time")
        self._iterator = None

    def co_read(self, _size: int) -> Co[Buffer]:
        """Return the next piece, of any size; ``b""`` at the end."""
        if self._iterator is None:
            self._iterator = aiter(self._pieces)
        iterator = self._iterator

        async def next_piece() -> Buffer | None:
            async for piece in iterator:
                if len(as_piece(piece)):
                    return piece
            return None

        return (yield from co_await(next_piece())) or b""
