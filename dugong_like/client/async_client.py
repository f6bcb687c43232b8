"""`AsyncClient`: a `Client` whose methods are coroutines, on asyncio and trio.

It runs the operations of a `Client`, so both have one implementation, and may share connections,
cookies and everything else.

Not here: how operations run in coroutines (drivers/).
"""

from __future__ import annotations

from collections.abc import AsyncIterable, Awaitable, Callable, Iterable
from contextlib import AbstractAsyncContextManager
from typing import TYPE_CHECKING, Any, NoReturn, Self, Unpack

from ..drivers.detect import runner, shortest, wait_of
from ..errors import InvalidOption
from ..polling.twin_documentation import twin_of
from .client import Client, missing_attribute, refuse_setting
from .request_building import RequestOptions
from .response_context import AsyncResponseContext

if TYPE_CHECKING:
    import os
    from typing import BinaryIO

    from ..connection.async_websocket import Opening
    from ..connection.websocket_handler import WebSocketHandler
    from ..http.cookies import Cookies
    from ..http.headers import Headers
    from ..http.url import URL, Origin
    from .bulk.map_results import MapResults
    from .bulk.options import MapOptions
    from .bulk.source import MapRequest
    from .dispatcher import Dispatcher
    from .event_source import EventSource, SSEOptions
    from .request import ClientRequest
    from .response import Response
    from .sync.options import SyncOptions
    from .sync.remote import Remote
    from .sync.results import SyncResult
    from .transfers.options import DownloadOptions, UploadOptions
    from .transfers.results import DownloadResult, UploadResult
    from .websocket import OpeningOptions


class AsyncClient:
    """Sends requests to URLs, in coroutines.

    A context manager: leaving it closes the connections.

    Args:
        client: a `Client` to share: connections, cookies and settings are its own. It is not closed
            with this object.
        options: the arguments of `Client`, if none is given. Functions that are called on events
            may be coroutine functions.

    Raises:
        InvalidOption: there is a *client*, and *options* as well.
        Exception: what `Client` raises.

    """

    def __init__(self, *, client: Client | None = None, **options: Any) -> None:
        if client is not None and options:
            raise InvalidOption(f"the client has its own {', '.join(options)}")
        self._is_shared = client is not None
        self._client = client or Client(**options)

    @property
    def client(self) -> Client:
        """The `Client` behind it: for blocking calls in other threads, and for operations."""
        return self._client

    @property
    def headers(self) -> Headers:
        """See `Client.headers`."""
        return self._client.headers

    @property
    def cookies(self) -> Cookies:
        """See `Client.cookies`."""
        return self._client.cookies

    @property
    def base_url(self) -> URL | None:
        """See `Client.base_url`."""
        return self._client.base_url

    @property
    def dispatcher(self) -> Dispatcher:
        """See `Client.dispatcher`."""
        return self._client.dispatcher

    @property
    def is_closed(self) -> bool:
        """See `Client.is_closed`."""
        return self._client.is_closed

    def bind_event(self, name: str, function: Callable[..., Any]) -> None:
        """See `Client.bind_event`."""
        self._client.bind_event(name, function)

    def build_request(
        self, method: str, url: URL | str, **options: Unpack[RequestOptions]
    ) -> ClientRequest:
        """See `Client.build_request`."""
        return self._client.build_request(method, url, **options)

    @twin_of(Client.co_send)
    async def send(self, request: ClientRequest, *, stream: bool | None = None) -> Response:
        """Awaitable twin of `Client.co_send`."""
        if stream is not None:
            request.stream = stream
        return await self._send(request)

    def _send(self, request: ClientRequest) -> Awaitable[Response]:
        """Send *request*: without a coroutine of its own, which would cost each resumption."""
        run = runner()
        wait = wait_of(run)
        if wait is None:
            return self._client.send_through(run, request)
        return self._client.send_by(wait, run, request)

    @twin_of(Client.co_request)
    async def request(
        self, method: str, url: URL | str, **options: Unpack[RequestOptions]
    ) -> Response:
        """Awaitable twin of `Client.co_request`."""
        return await self._send(self._client.build_request(method, url, **options))

    async def get(self, url: URL | str, **options: Unpack[RequestOptions]) -> Response:
        """Send GET; see `Client.co_request`."""
        return await self._send(self._client.build_request("GET", url, **options))

    async def head(self, url: URL | str, **options: Unpack[RequestOptions]) -> Response:
        """Send HEAD; see `Client.co_request`."""
        return await self._send(self._client.build_request("HEAD", url, **options))

    async def options(self, url: URL | str, **options: Unpack[RequestOptions]) -> Response:
        """Send OPTIONS; see `Client.co_request`."""
        return await self._send(self._client.build_request("OPTIONS", url, **options))

    async def post(self, url: URL | str, **options: Unpack[RequestOptions]) -> Response:
        """Send POST; see `Client.co_request`."""
        return await self._send(self._client.build_request("POST", url, **options))

    async def put(self, url: URL | str, **options: Unpack[RequestOptions]) -> Response:
        """Send PUT; see `Client.co_request`."""
        return await self._send(self._client.build_request("PUT", url, **options))

    async def patch(self, url: URL | str, **options: Unpack[RequestOptions]) -> Response:
        """Send PATCH; see `Client.co_request`."""
        return await self._send(self._client.build_request("PATCH", url, **options))

    async def delete(self, url: URL | str, **options: Unpack[RequestOptions]) -> Response:
        """Send DELETE; see `Client.co_request`."""
        return await self._send(self._client.build_request("DELETE", url, **options))

    async def query(self, url: URL | str, **options: Unpack[RequestOptions]) -> Response:
        """Send QUERY; see `Client.co_request`."""
        return await self._send(self._client.build_request("QUERY", url, **options))

    def stream(
        self, method: str, url: URL | str, **options: Unpack[RequestOptions]
    ) -> AbstractAsyncContextManager[Response]:
        """Send a request and leave the body of its response to the caller; see `Client.co_stream`.

        An asynchronous context manager, which closes the response at its end:
        ``async with client.stream("GET", url) as response:`` sends the request. The response is
        read in coroutines: by `Response.aread`, `Response.aiter_bytes` and the like.
        """
        return AsyncResponseContext(self._client.co_stream(method, url, **options))

    def sse(self, url: URL | str, **options: Unpack[SSEOptions]) -> EventSource:
        """Return the server-sent events of a URL; see `Client.sse`.

        ``async with client.sse(url) as events: async for event in events: …``
        """
        return self._client.sse(url, **options)

    async def download(
        self,
        url: URL | str,
        target: str | os.PathLike[str] | BinaryIO,
        **options: Unpack[DownloadOptions],
    ) -> DownloadResult:
        """Do what `Client.co_download` does. Writing the file blocks the loop."""
        return await runner()(self._client.co_download(url, target, **options))

    async def upload(
        self,
        source: str | os.PathLike[str] | BinaryIO,
        url: URL | str,
        **options: Unpack[UploadOptions],
    ) -> UploadResult:
        """Do what `Client.co_upload` does. Reading the file blocks the loop."""
        return await runner()(self._client.co_upload(source, url, **options))

    async def sync(
        self,
        source: str | os.PathLike[str] | URL | Remote,
        target: str | os.PathLike[str] | URL | Remote,
        **options: Unpack[SyncOptions],
    ) -> SyncResult:
        """Do what `Client.co_sync` does. Reading and writing files blocks the loop."""
        return await runner()(self._client.co_sync(source, target, **options))

    def map(
        self,
        requests: Iterable[MapRequest] | AsyncIterable[MapRequest],
        **options: Unpack[MapOptions],
    ) -> MapResults:
        """Send many requests, and return an iteration over their results; see `Client.map`.

        ``async for item in client.map(urls): …``. The iterable of requests may be asynchronous.
        """
        return self._client.map(requests, **options)

    def websocket(
        self,
        url: URL | str,
        *,
        handler: WebSocketHandler | None = None,
        **options: Unpack[OpeningOptions],
    ) -> Opening:
        """Open a WebSocket; see `Client.co_websocket`.

        To be awaited, or entered by ``async with``, which closes it: either gives an
        `AsyncWebSocket`. The functions of *handler* may be coroutine functions.
        """
        from ..connection.async_websocket import Opening  # noqa: PLC0415 - for those who open one

        opening, run = self._client.co_websocket(url, **options), runner()
        return Opening(opening, shortest(run), handler, at_once=wait_of(run) is not None)

    @twin_of(Client.co_warm)
    async def warm(self, place: URL | Origin | str, count: int = 1) -> None:
        """Awaitable twin of `Client.co_warm`."""
        await runner()(self._client.co_warm(place, count))

    def stats(self) -> Any:
        """See `Client.stats`."""
        return self._client.stats()

    async def close(self) -> None:
        """Close the connections, unless the client is shared."""
        if not self._is_shared:
            await runner()(self._client.co_close())

    aclose = close  # as httpx calls it

    def __setattr__(self, name: str, value: object) -> None:
        refuse_setting(name)
        object.__setattr__(self, name, value)

    if not TYPE_CHECKING:  # a type checker knows all names

        def __getattr__(self, name: str) -> Any:
            raise missing_attribute(self, name)

    def __enter__(self) -> NoReturn:
        raise TypeError("'with' goes with Client(…); write 'async with AsyncClient(…)'")

    __exit__ = __enter__  # looked up before that, and never called

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self.close()

    def __repr__(self) -> str:
        return f"<{type(self).__name__} of {self._client!r}>"
