"""Awaitables in operations: bodies from asynchronous iterators, and coroutines of the user's.

An operation waits for an awaitable by a flag that is set when the awaitable is done, so the
contract of operations stays as it is: any driver that runs inside asyncio or trio will do.

Not here: coroutines that run operations (drivers/).
"""

from __future__ import annotations

import sys
from collections.abc import AsyncIterable, AsyncIterator, Awaitable, Callable, Coroutine
from contextvars import copy_context
from typing import Any, Final, TypeVar, cast

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
    with Wake("coroutine") as done:
        results: list[T] = []
        errors: list[BaseException] = []
        begun = False

        async def main() -> None:
            nonlocal begun
            begun = True
            try:
                results.append(await awaitable)
            except BaseException as exc:  # noqa: BLE001 - it is raised below
                errors.append(exc)
            finally:
                done.set()

        try:
            cancel = spawn(main)
        except StateError:
            _drop(awaitable)
            raise
        try:
            yield from done.co_wait()
        except BaseException:
            cancel()
            if not begun:
                _drop(awaitable)
            raise
        if not errors:
            return results[0]
        try:
            raise errors.pop()
        finally:
            del main, cancel  # the exception keeps this frame, which must not keep it


def _drop(awaitable: object) -> None:
    """Close a coroutine that was not begun, or Python warns that it was never awaited."""
    close = getattr(awaitable, "close", None)
    if close is not None:
        close()


def spawn(
    main: Callable[[], Coroutine[Any, Any, None]],
    what: str = "a coroutine or an asynchronous iterator",
) -> Callable[[], object]:
    """Start *main*, which must not raise anything, as a task; return what cancels that.

    Args:
        main: a coroutine function.
        what: what it runs, for the error.

    Raises:
        StateError: neither asyncio nor trio runs here.

    """
    trio = sys.modules.get("trio")
    if trio is not None and trio.lowlevel.in_trio_run():
        scope = trio.CancelScope()

        async def in_scope() -> None:
            with scope:
                await main()

        trio.lowlevel.spawn_system_task(in_scope, context=copy_context())
        return cast("Callable[[], object]", scope.cancel)
    asyncio = sys.modules.get("asyncio")
    try:
        if asyncio is None:
            raise RuntimeError
        loop = asyncio.get_running_loop()
    except RuntimeError:
        raise StateError(f"{what} goes with AsyncClient, on asyncio or trio") from None
    task = loop.create_task(main())
    _running.add(task)  # the loop does not keep it
    task.add_done_callback(_running.discard)
    return cast("Callable[[], object]", task.cancel)


_running: Final[set[object]] = set()


class AsyncBody:
    """A request body whose pieces come from an asynchronous iterable.

    Each piece is awaited in a task of its own. So a generator may not keep a cancel scope, a
    nursery or a time limit open while it yields; trio and asyncio allow that in one task only.

    Args:
        pieces: of bytes. It can be sent again if it gives a new iterator each time. A generator
            that was not used up is left to its owner.

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
