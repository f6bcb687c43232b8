"""`AsyncWebSocket`: the operations of a `WebSocket` as coroutines, for asyncio and trio.

Not here: what the operations do (websocket.py), and how they are run (drivers/).
"""

from __future__ import annotations

import inspect
from collections.abc import AsyncIterable, AsyncIterator, Awaitable, Callable, Generator
from typing import Any, Self

from ..errors import DugongError, WebSocketClosed
from ..http.arguments import Buffer, check_callable
from ..http.redaction import quoted
from ..polling.contract import Co
from ..polling.numbers import check_flag
from .websocket import (
    GOOD,
    INTERNAL_ERROR,
    NORMAL,
    Message,
    Outgoing,
    WebSocket,
)
from .websocket_handler import WebSocketHandler, check_handler, co_result

Run = Callable[[Co[Any]], Awaitable[Any]]  # runs an operation in a coroutine


class AsyncWebSocket:
    """A `WebSocket` whose operations are awaited, on asyncio or trio.

    `AsyncConnection.websocket` and `AsyncClient.websocket` return it. Cancelling a task gives the
    operation up that it waits for; see `WebSocket`. An asynchronous context manager, whose end
    closes the WebSocket; iterating over it gives the messages.

    Args:
        websocket: what to operate.
        run: runs operations, such as `dugong_like.drivers.aio.run`.
        at_once: True if sending need not be an operation where nothing has to be waited for, as on
            asyncio. On trio each call lets other tasks run, and is cancelled with its scope.

    Raises:
        TypeError: *websocket* is no `WebSocket`, *run* no function, or *at_once* not True or False.

    """

    def __init__(self, websocket: WebSocket, run: Run, *, at_once: bool = False) -> None:
        if not isinstance(websocket, WebSocket):
            raise TypeError(f"websocket is a WebSocket, not {quoted(websocket)}")
        check_callable(run, "run")
        if run is None:
            raise TypeError("run is a function that runs operations, not None")
        self._websocket = websocket
        self._run = run
        check_flag("at_once", at_once)
        self._at_once = at_once

    @property
    def websocket(self) -> WebSocket:
        """The `WebSocket` behind it: for operations, and for blocking calls of other threads."""
        return self._websocket

    async def recv(self, timeout: float | None = None) -> Message:  # noqa: ASYNC109 - as the twins
        """Do what `WebSocket.co_recv` does."""
        return await self._run(self._websocket.co_recv(timeout))  # type: ignore[no-any-return]

    async def recv_piece(
        self,
        timeout: float | None = None,  # noqa: ASYNC109 - as the twins
    ) -> tuple[Message, bool]:
        """Do what `WebSocket.co_recv_piece` does."""
        piece: tuple[Message, bool] = await self._run(self._websocket.co_recv_piece(timeout))
        return piece

    async def pieces(self) -> AsyncIterator[Message]:
        """Iterate over the pieces of the next message; see `WebSocket.co_recv_piece`."""
        is_last = False
        while not is_last:
            data, is_last = await self.recv_piece()
            yield data

    async def send(self, message: Outgoing | AsyncIterable[str | Buffer]) -> None:
        """Do what `WebSocket.co_send` does; the fragments may come from an asynchronous iterable.

        Raises:
            Exception: as `WebSocket.co_send`.

        """
        if self._at_once and (type(message) is str or type(message) is bytes):
            going = self._websocket.begin_send(message)
            if going is not None:
                await self._run(going)
            return
        if not isinstance(message, AsyncIterable):
            await self._run(self._websocket.co_send(message))
            return
        sender = await self._run(self._websocket.co_begin_fragments())
        try:
            async for fragment in message:
                await self._run(sender.co_send(fragment))
            await self._run(sender.co_end())
        finally:
            sender.close()
            if (close := getattr(message, "aclose", None)) is not None:
                await close()

    def write(self, message: str | Buffer) -> None:
        """Do what `WebSocket.write` does, which does not wait."""
        self._websocket.write(message)

    async def ping(
        self,
        data: bytes = b"",
        timeout: float | None = None,  # noqa: ASYNC109 - as the twins
    ) -> float:
        """Do what `WebSocket.co_ping` does."""
        seconds: float = await self._run(self._websocket.co_ping(data, timeout))
        return seconds

    async def pong(self, data: bytes = b"") -> None:
        """Do what `WebSocket.co_pong` does."""
        await self._run(self._websocket.co_pong(data))

    async def close(self, code: int = NORMAL, reason: str = "") -> None:
        """Do what `WebSocket.co_close` does; cancelled, it has closed the connection."""
        op = self._websocket.co_close(code, reason)
        try:
            await self._run(op)
        finally:
            self._websocket.abort()

    def abort(self) -> None:
        """Do what `WebSocket.abort` does."""
        self._websocket.abort()

    async def serve(self, handler: WebSocketHandler) -> None:
        """Do what `WebSocket.co_serve` does; the functions may be coroutine functions."""
        check_handler(handler)
        websocket = self._websocket
        try:
            websocket.report_pings()
            await self._finish(handler.on_open(self))
            try:
                while (event := await self._run(websocket.co_next_event())) is not None:
                    await self._finish(getattr(handler, event[0])(self, event[1]))
            except DugongError:
                if websocket.close_code is not None:
                    await self._finish(handler.on_close(self))
                raise
            await self._finish(handler.on_close(self))
        finally:
            websocket.abort()

    async def _finish(self, result: Any) -> None:
        """Do what is left of a function of a handler."""
        if inspect.isgenerator(result):
            await self._run(co_result(result))
        elif inspect.isawaitable(result):
            await result

    async def __aiter__(self) -> AsyncIterator[Message]:
        while True:
            try:
                message = await self.recv()
            except WebSocketClosed as exc:
                if exc.code in GOOD:
                    return
                raise
            yield message

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, kind: type[BaseException] | None, *exc: object) -> None:
        if kind is None:
            await self.close()
        elif issubclass(kind, Exception):
            await self.close(INTERNAL_ERROR)
        else:
            self.abort()

    # ---- facts

    @property
    def response(self) -> Any:
        """See `WebSocket`."""
        return self._websocket.response

    @property
    def subprotocol(self) -> str | None:
        """See `WebSocket`."""
        return self._websocket.subprotocol

    @property
    def is_open(self) -> bool:
        """See `WebSocket.is_open`."""
        return self._websocket.is_open

    @property
    def close_code(self) -> int | None:
        """See `WebSocket.close_code`."""
        return self._websocket.close_code

    @property
    def close_reason(self) -> str | None:
        """See `WebSocket.close_reason`."""
        return self._websocket.close_reason

    def __repr__(self) -> str:
        return f"<{type(self).__name__} of {self._websocket!r}>"


class Opening:
    """A WebSocket that is being opened: to be awaited, or entered by ``async with``.

    Args:
        opening: the operation that opens it.
        run: runs operations.
        handler: what `AsyncWebSocket.serve` is called with, or None.
        at_once: see `AsyncWebSocket`.

    Raises:
        TypeError: *handler* is none.

    """

    def __init__(
        self,
        opening: Co[WebSocket],
        run: Run,
        handler: WebSocketHandler | None = None,
        *,
        at_once: bool = False,
    ) -> None:
        if handler is not None:
            check_handler(handler)
        self._opening = opening
        self._run = run
        self._handler = handler
        self._at_once = at_once
        self._websocket: AsyncWebSocket | None = None

    async def _open(self) -> AsyncWebSocket:
        opened = await self._run(self._opening)
        websocket = AsyncWebSocket(opened, self._run, at_once=self._at_once)
        if self._handler is not None:
            await websocket.serve(self._handler)
        return websocket

    def __await__(self) -> Generator[Any, Any, AsyncWebSocket]:
        return self._open().__await__()

    async def __aenter__(self) -> AsyncWebSocket:
        self._websocket = await self._open()
        return self._websocket

    async def __aexit__(self, kind: type[BaseException] | None, *exc: object) -> None:
        if self._websocket is not None:
            await self._websocket.__aexit__(kind, *exc)
