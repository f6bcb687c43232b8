"""AsyncConnection: the operations of `HTTPConnection` as coroutines, for asyncio and trio.

Each is made from its ``co_…`` and from what runs operations, so there is one set of them only.
Beyond that, this file has what only coroutines need: bodies that come from asynchronous iterators,
and ``async with`` and ``async for``.

Not here: how an operation is run (drivers/), and what it does (operations.py and others).
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import AsyncIterable, Awaitable, Callable, Coroutine, Generator
from types import TracebackType
from typing import TYPE_CHECKING, Any, Concatenate, Final, Generic, ParamSpec, Self, TypeVar, Unpack

from ..drivers.detect import Runner, runner, shortest, wait_of
from ..http.arguments import check_callable
from ..http.headers import Fields
from ..http.redaction import quoted
from ..http.request import BodyFollowing, Request, check_request
from ..polling.contract import Co
from ..polling.twin_documentation import twin_of
from .connection import HTTPConnection
from .exchange import Exchange, HTTPResponse, Reply

if TYPE_CHECKING:
    from ..http.websocket.options import WebSocketArguments
    from .async_websocket import Opening

P = ParamSpec("P")
T = TypeVar("T")
PIECE: Final = 65536  # bytes of a body at a time, unless another number is given


def awaited(
    operation: Callable[Concatenate[HTTPConnection, P], Co[T]],
) -> Callable[Concatenate[AsyncConnection, P], Coroutine[Any, Any, T]]:
    """Return the method of `AsyncConnection` that awaits *operation*, one of `HTTPConnection`."""
    name = operation.__name__

    async def method(self: AsyncConnection, /, *args: P.args, **kwargs: P.kwargs) -> T:
        op: Co[T] = getattr(self.connection, name)(*args, **kwargs)
        return await self.run(op)

    functools.update_wrapper(method, operation)
    del method.__dict__["__wrapped__"]
    return twin(method, operation)


def twin(
    method: Callable[Concatenate[AsyncConnection, P], Coroutine[Any, Any, T]],
    operation: Callable[Concatenate[HTTPConnection, P], Co[T]],
) -> Callable[Concatenate[AsyncConnection, P], Coroutine[Any, Any, T]]:
    """Return *method* with the name, the signature and the documentation of a twin."""
    name = operation.__name__
    method.__name__ = name.removeprefix("co_")
    method.__qualname__ = f"AsyncConnection.{method.__name__}"
    method.__module__ = __name__
    method.__doc__ = f"Awaitable twin of `HTTPConnection.{name}`."
    twin_of(operation)(method)
    signature = inspect.signature(operation)
    result = str(signature.return_annotation).removeprefix("Co[").removesuffix("]")
    method.__dict__["__signature__"] = signature.replace(return_annotation=result)
    return method


async def _exchange(
    self: AsyncConnection,
    method: str,
    path: str,
    headers: Fields | None = None,
    body: Any = None,
) -> Reply:
    """Await an exchange: mostly that is one wait, which needs no operation."""
    run, wait = self.run, self._wait
    if wait is None or run is not self._first_run:
        return await run(self.connection.co_exchange(method, path, headers, body))
    return await self.connection.exchange_by(wait, run, method, path, headers, body)


class AsyncConnection:
    """An `HTTPConnection` whose operations are awaited, on asyncio or trio.

    `async_connect` makes one. ``async with`` opens the connection when the block begins, and closes
    it when it ends; awaiting the object itself opens it and gives the object. For whatever is
    not listed here there is `connection`, and `run` for operations of your own.

    Cancelling a task does to the connection what closing the operation does that it waits for;
    see :ref:`interrupted`. One task may send while another one reads.

    Args:
        connection: what to operate. If it was not said whether it adds Content-MD5 to bodies, it
            does not do so from now on.
        run: runs operations, such as `dugong_like.drivers.aio.run`; if None it is that of asyncio
            or trio, whichever runs the present task.

    Raises:
        RuntimeError: neither of them does.
        TypeError: *connection* is no `HTTPConnection`, or *run* no function.

    Attributes:
        connection: the `HTTPConnection`.
        run: what runs its operations: ``await conn.run(op)``.

    """

    def __init__(self, connection: HTTPConnection, run: Runner | None = None) -> None:
        if not isinstance(connection, HTTPConnection):
            advice = ": async_connect(…) takes its arguments" if isinstance(connection, str) else ""
            raise TypeError(f"connection is an HTTPConnection, not {quoted(connection)}{advice}")
        check_callable(run, "run")
        self.connection = connection
        self.run = runner() if run is None else run
        self._first_run = self.run  # that the next one goes with
        is_own = type(connection).co_exchange is not HTTPConnection.co_exchange
        self._wait = None if is_own else wait_of(self.run)
        if connection.content_md5 is None:
            connection.content_md5 = False

    connect = awaited(HTTPConnection.co_connect)
    exchange = twin(_exchange, HTTPConnection.co_exchange)
    exchange_all = awaited(HTTPConnection.co_exchange_all)
    send_request = awaited(HTTPConnection.co_send_request)
    send_requests = awaited(HTTPConnection.co_send_requests)
    write = awaited(HTTPConnection.co_write)
    finish = awaited(HTTPConnection.co_finish)
    sendfile = awaited(HTTPConnection.co_sendfile)
    read_response = awaited(HTTPConnection.co_read_response)
    next_response = awaited(HTTPConnection.co_next_response)
    read = awaited(HTTPConnection.co_read)
    readinto = awaited(HTTPConnection.co_readinto)
    readall = awaited(HTTPConnection.co_readall)
    discard = awaited(HTTPConnection.co_discard)
    recv_to_file = awaited(HTTPConnection.co_recv_to_file)
    read_raw = awaited(HTTPConnection.co_read_raw)
    wait_closed = awaited(HTTPConnection.co_wait_closed)
    ping = awaited(HTTPConnection.co_ping)
    serve = awaited(HTTPConnection.co_serve)

    def websocket(
        self,
        path: str = "/",
        headers: Fields | None = None,
        **options: Unpack[WebSocketArguments],
    ) -> Opening:
        """Open a WebSocket; see `HTTPConnection.co_websocket`.

        To be awaited, or entered by ``async with``, which closes it: either gives an
        `AsyncWebSocket`.
        """
        opening = self.connection.co_websocket(path, headers, **options)
        from .async_websocket import Opening  # noqa: PLC0415 - for those who open one

        run = shortest(self.run)
        return Opening(opening, run, at_once=wait_of(self.run) is not None)

    async def send(self, request: Request) -> Exchange:
        """Awaitable twin of `HTTPConnection.co_send`, to which the body may come asynchronously.

        Args:
            request: its body may also be an asynchronous iterable of bytes-like pieces, an
                asynchronous generator for example. It is sent in chunks, and closed in any case if
                it has ``aclose``.

        Returns:
            The exchange. With `BodyFollowing` the body is to be written.

        Raises:
            TypeError: *request* is no `Request`; nothing was sent.
            Exception: what `HTTPConnection.co_send` and the iterator raise.

        """
        check_request(request)
        if not isinstance(request.body, AsyncIterable):
            return await self.run(self.connection.co_send(request))
        pieces = aiter(request.body)
        try:
            exchange = await self.send_request(
                request.method, request.target, request.headers, BodyFollowing()
            )
            try:
                async for piece in pieces:
                    await self.run(exchange.co_write(piece))
                await self.run(exchange.co_finish())
            except BaseException:
                self.connection.abort_body(exchange)
                raise
        finally:
            if (close := getattr(pieces, "aclose", None)) is not None:
                await close()
        return exchange

    def __repr__(self) -> str:
        return f"<{type(self).__name__} of {self.connection!r}>"

    def pieces(self, size: int = PIECE) -> AsyncPieces[bytes]:
        """Iterate over the present body: ``async for piece in conn.pieces()``.

        Args:
            size: bytes of a piece at most. Each is what `read` returns: at least one byte.

        """
        return AsyncPieces(lambda: self.read(size))

    def responses(self) -> AsyncPieces[HTTPResponse]:
        """Iterate over the responses while any is pending; see `HTTPConnection.responses`."""
        return AsyncPieces(self.next_response)

    async def close(self) -> None:
        """Close the connection as `HTTPConnection.co_close` does, in a cancelled task too."""
        self.connection.close()
        await self.wait_closed()

    def __await__(self) -> Generator[Any, Any, Self]:
        return self.__aenter__().__await__()

    async def __aenter__(self) -> Self:
        await self.connect()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        exc: BaseException | None,
        tb: TracebackType | None,
    ) -> None:
        self.connection.close()


class AsyncPieces(Generic[T]):
    """An asynchronous iterator over the results of a coroutine function, until one is empty."""

    def __init__(self, co_next: Callable[[], Awaitable[T | None]]) -> None:
        self._next = co_next

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> T:
        got = await self._next()
        if not got:
            raise StopAsyncIteration
        return got


def _as(make: Callable[P, object]) -> Callable[[Callable[..., T]], Callable[P, T]]:
    """Say, for types and for the documentation, that a function takes what *make* takes."""

    def say(function: Callable[..., T]) -> Callable[P, T]:
        result = inspect.signature(function).return_annotation
        signature = inspect.signature(make).replace(return_annotation=result)
        function.__dict__["__signature__"] = signature
        return function

    return say


@_as(HTTPConnection)
def async_connect(*arguments: Any, **options: Any) -> AsyncConnection:
    """Return a connection for asyncio or trio: ``async with async_connect("h") as conn``.

    It is opened when the block begins, or when it is awaited: ``conn = await async_connect("h")``
    does as well, and then it is you who closes it. The arguments are those of `HTTPConnection`.

    Raises:
        RuntimeError: neither asyncio nor trio runs here.
        Exception: what `HTTPConnection` and `HTTPConnection.co_connect` raise.

    """
    return AsyncConnection(HTTPConnection(*arguments, **options))
