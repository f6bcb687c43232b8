"""`ASGIDispatcher`: answers requests by an application, by way of ASGI 3.0.

The application runs in a task of the event loop, as it does under a server. It and the operation
that waits for its response wake each other by flags, so the contract of operations stays as it is.

Not here: WSGI (wsgi.py), and tasks in operations (async_bodies.py).
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Awaitable, Callable, MutableMapping
from typing import TYPE_CHECKING, Any, Final

from ...drivers.detect import runner
from ...errors import ConnectionClosed, StateError
from ...http.arguments import as_string, check_callable
from ...http.redaction import quoted
from ...polling.contract import Co
from ...polling.numbers import check_flag
from ...polling.wake import Wake
from ..async_bodies import spawn
from ..response import Response
from .application import (
    BROKEN_OFF,
    CLIENT,
    FAILED,
    FAILED_BODY,
    BodyLength,
    RequestBody,
    check_client,
    path_of,
    request_fields,
)

if TYPE_CHECKING:
    from collections.abc import Coroutine

    from ..request import ClientRequest

Message = MutableMapping[str, Any]
Application = Callable[
    [Message, Callable[[], Awaitable[Message]], Callable[[Message], Awaitable[None]]],
    Awaitable[None],
]
VERSIONS: Final = {"version": "3.0", "spec_version": "2.4"}
GRACE: Final = 5.0  # seconds to end for applications that were told of a disconnected client
DISCONNECT: Final = "http.disconnect"


class ClientDisconnected(OSError):
    """The client has closed the response; for the application, as ASGI 2.4 says."""


class ASGIDispatcher:
    """Answers the requests of an `AsyncClient` by an ASGI application, without a network.

    ``AsyncClient(dispatcher=ASGIDispatcher(app))``, on asyncio or trio. Bodies are streamed both
    ways. An application whose response is closed early is told so, by ``http.disconnect`` and by an
    `OSError` of ``send``. Closing the client cancels what still runs after 5 seconds, and then ends
    the lifespan.

    Args:
        app: the application.
        raise_app_exceptions: True to raise its exceptions: instead of a response, or at the end of
            the body, which waits for the end of the application then. False to answer 500, or break
            the body off, as a server does.
        root_path: the path at which it is mounted.
        client: address and port of the client, as the application sees them.
        lifespan: True to run the lifespan protocol, from the first request until the client is
            closed, if the application has it.

    Raises:
        TypeError: an argument has the wrong type.

    """

    def __init__(
        self,
        app: Application,
        *,
        raise_app_exceptions: bool = True,
        root_path: str = "",
        client: tuple[str, int] = CLIENT,
        lifespan: bool = True,
    ) -> None:
        if app is None:
            raise TypeError("app is an ASGI application, not None")
        check_callable(app, "app")
        check_flag("raise_app_exceptions", raise_app_exceptions)
        check_flag("lifespan", lifespan)
        self._app = app
        self._raises = bool(raise_app_exceptions)
        self._root_path = as_string(root_path, "root_path").rstrip("/")
        self._client = check_client(client)
        self._has_lifespan = bool(lifespan)
        self._lifespan: _Lifespan | None = None
        self._tasks: set[_Task] = set()

    def co_dispatch(self, request: ClientRequest) -> Co[Response]:
        """Have the application answer *request*, and return its response; see `Dispatcher`.

        Raises:
            StateError: neither asyncio nor trio runs here; the application has not answered, or has
                not started.
            Exception: any exception of the application.

        """
        request.attempts += 1
        yield from self._co_start()
        body = RequestBody(request)
        exchange = _Exchange(request, body, raises=self._raises)
        scope = self._scope(request, body)
        task = _Task(lambda: exchange.run(self._app, scope))
        self._tasks = {one for one in self._tasks if not one.done} | {task}
        try:
            return (yield from exchange.co_response())
        except BaseException:
            exchange.close()
            raise

    def _scope(self, request: ClientRequest, body: RequestBody) -> Message:
        url = request.url
        scope: dict[str, Any] = {
            "type": "http",
            "asgi": dict(VERSIONS),
            "http_version": "1.1",
            "method": request.method,
            "scheme": url.scheme,
            "path": path_of(request).decode("utf-8", "replace"),
            "raw_path": url.path.encode(),
            "query_string": url.query.encode(),
            "root_path": self._root_path,
            "headers": [
                (name.lower().encode("latin-1"), value.encode("latin-1"))
                for name, value in request_fields(request, body.length)
            ],
            "client": tuple(self._client),
            "server": (url.host, url.port),
            "extensions": {"http.response.trailers": {}},
        }
        if self._lifespan is not None and self._lifespan.is_supported:
            scope["state"] = dict(self._lifespan.state)
        return scope

    def _co_start(self) -> Co[None]:
        """Start the lifespan, unless it runs; another event loop begins anew."""
        if not self._has_lifespan:
            return
        if self._lifespan is None or self._lifespan.is_gone:
            self._lifespan = _Lifespan(self._app)
        yield from self._lifespan.co_started()

    def co_close(self) -> Co[None]:
        """End the lifespan, and cancel what still runs; see `Dispatcher`."""
        lifespan, self._lifespan = self._lifespan, None
        tasks, self._tasks = self._tasks, set()
        until = time.monotonic() + GRACE
        for task in tasks:
            yield from task.co_done(until)
        for task in tasks:
            task.cancel()
            yield from task.co_done()
        if lifespan is not None:
            yield from lifespan.co_shut_down()

    def __repr__(self) -> str:
        return f"{type(self).__name__}({quoted(self._app)})"


class _Task:
    """A task whose end operations may wait for.

    Attributes:
        done: True if it has ended.

    """

    def __init__(self, main: Callable[[], Coroutine[Any, Any, None]]) -> None:
        self.done = False
        self._is_begun = False
        self._waiting: list[Wake] = []
        self._main = main
        self._cancel = spawn(self._run, "an ASGI application")

    async def _run(self) -> None:
        self._is_begun = True
        try:
            await self._main()
        except BaseException:  # noqa: BLE001, S110 - it was cancelled
            pass
        finally:
            self._end()

    def _end(self) -> None:
        self.done = True
        for wake in self._waiting:
            wake.set()

    def cancel(self) -> None:
        """End it soon."""
        self._cancel()
        if not self._is_begun:
            self._end()

    def co_done(self, until: float | None = None) -> Co[None]:
        """Wait for its end, but no longer than *until*, in seconds of `time.monotonic`."""
        if self.done:
            return
        with Wake("application") as wake:
            self._waiting.append(wake)
            yield from wake.co_wait(until)


class _Exchange:
    """One request and its response; a `BodyStream`.

    Args:
        request: the request.
        body: its body.
        raises: see `ASGIDispatcher`.

    """

    def __init__(self, request: ClientRequest, body: RequestBody, *, raises: bool) -> None:
        self._request = request
        self._body = body
        self._raises = raises
        self._is_sent = False  # the body
        self._status = 0
        self._fields: list[tuple[str, str]] = []
        self._length: BodyLength | None = None  # once the response has begun
        self._has_trailers = False
        self._trailers: list[tuple[str, str]] = []
        self._pending: deque[bytes | memoryview] = deque()
        self._is_complete = False
        self._is_over = False  # the application
        self._is_gone = False  # the client
        self._failure: BaseException | None = None
        self._news = Wake("application")  # for the client
        self._room = Wake()  # for `send`
        self._end = Wake()  # for `receive`

    # ---- for the application

    async def run(self, app: Application, scope: Message) -> None:
        """Run the application."""
        try:
            await app(scope, self._receive, self._send)
        except Exception as exc:  # noqa: BLE001 - it is raised where the response is read
            if self._failure is None and not (self._is_gone and isinstance(exc, OSError)):
                self._failure = exc
        finally:
            self._is_over = True
            self._news.set()
            self._room.close()
            self._end.close()

    async def _receive(self) -> Message:
        if not self._is_sent and not self._is_gone:
            try:
                data = await runner()(self._body.co_next())
            except Exception as exc:  # noqa: BLE001 - it is the client's
                self._failure = exc
                self._leave()
            else:
                self._is_sent = self._body.whole is not None or not data
                return {"type": "http.request", "body": data, "more_body": not self._is_sent}
        while not (self._is_complete or self._is_gone or self._is_over):
            await runner()(self._end.co_wait())
        return {"type": DISCONNECT}

    async def _send(self, message: Message) -> None:
        if self._is_gone or self._is_over:
            raise ClientDisconnected("the response was closed")
        kind = message["type"]
        if kind == "http.response.start" and self._length is None:
            self._take_start(message)
        elif kind == "http.response.body" and self._length is not None and not self._is_complete:
            self._take_body(message)
        elif kind == "http.response.trailers" and self._has_trailers and not self._is_complete:
            self._trailers += _fields_of(message)
            self._is_complete = not message.get("more_trailers", False)
        else:
            raise StateError(f"the application sends {quoted(kind)}, which does not follow")
        self._news.set()
        if self._is_complete:
            self._end.set()
        while self._pending and not self._is_gone:
            await runner()(self._room.co_wait())
            self._room.clear()

    def _take_start(self, message: Message) -> None:
        status = message["status"]
        fields = _fields_of(message)
        length = BodyLength(self._request, status, fields)
        self._status, self._fields, self._length = status, fields, length
        self._has_trailers = bool(message.get("trailers", False))

    def _take_body(self, message: Message) -> None:
        assert self._length is not None
        if data := self._length.cut(bytes(message.get("body", b""))):
            self._pending.append(data)
        if not message.get("more_body", False) and not self._has_trailers:
            self._is_complete = True

    # ---- for the client

    def co_response(self) -> Co[Response]:
        """Wait for the response, and return it; its body is still to come."""
        while self._length is None and not self._is_over and not self._is_gone:
            yield from self._news.co_wait()
            self._news.clear()
        if self._length is None:
            return self._without_response()
        return Response.streamed(self._status, self._fields, self, request=self._request)

    def _without_response(self) -> Response:
        failure = self._failure
        self.close()
        if failure is not None and (self._raises or not self._is_over):
            raise failure
        if self._raises:
            raise StateError("the application has ended without a response")
        return Response(FAILED, None, FAILED_BODY, request=self._request)

    def co_read(self, size: int) -> Co[bytes]:
        """Return the next bytes; see `BodyStream`."""
        while True:
            if self._pending:
                return self._take(size)
            if self._is_over or self._is_gone or (self._is_complete and not self._raises):
                break
            yield from self._news.co_wait()
            self._news.clear()
        failure = self._failure
        self.close()
        if failure is not None and self._raises:
            raise failure
        if not self._is_complete:
            raise ConnectionClosed(BROKEN_OFF, request_sent="yes") from failure
        assert self._length is not None
        self._length.check_end()
        return b""

    def _take(self, size: int) -> bytes:
        data = self._pending.popleft()
        if len(data) > size:
            self._pending.appendleft(memoryview(data)[size:])
        elif not self._pending:
            self._room.set()
        return bytes(data[:size])

    def trailers(self) -> list[tuple[str, str]]:
        """Return the trailer fields; none before the end."""
        return self._trailers if self._is_complete else []

    def close(self) -> None:
        """Tell the application that nobody reads the rest."""
        self._leave()
        self._news.close()

    def _leave(self) -> None:
        self._is_gone = True
        self._pending.clear()
        for wake in (self._news, self._room, self._end):
            wake.set()


class _Lifespan:
    """The lifespan of an application.

    Args:
        app: the application.

    Attributes:
        state: what it keeps for its requests.
        is_supported: False if the application does not know the protocol.

    """

    def __init__(self, app: Application) -> None:
        self.state: dict[str, Any] = {}
        self.is_supported = True
        self._app = app
        self._is_asked = False  # to start
        self._is_started = False
        self._is_stopped = False
        self._failure: Exception | None = None
        self._waiting: list[Wake] = []
        self._end = Wake()
        self._task = _Task(self._run)

    @property
    def is_gone(self) -> bool:
        """True if the task was ended by its event loop, or has failed."""
        return self._task.done and (self.is_supported or self._failure is not None)

    async def _run(self) -> None:
        scope = {"type": "lifespan", "asgi": dict(VERSIONS), "state": self.state}
        try:
            await self._app(scope, self._receive, self._send)
        except Exception as exc:  # noqa: BLE001 - it is kept
            if self._is_started:
                self._failure = self._failure or exc
            else:
                self.is_supported = False  # or so it is to be understood
        finally:
            if not self._is_started and self._failure is None:
                self.is_supported = False
            self._is_started = self._is_stopped = True
            self._tell()
            self._end.close()

    async def _receive(self) -> Message:
        if not self._is_asked:
            self._is_asked = True
            return {"type": "lifespan.startup"}
        await runner()(self._end.co_wait())
        return {"type": "lifespan.shutdown"}

    async def _send(self, message: Message) -> None:
        kind = message["type"]
        if kind.endswith(".failed"):
            text = str(message.get("message", ""))
            self._failure = StateError(f"the application has failed to start or stop: {text}")
        self._is_started = True
        self._is_stopped = kind.startswith("lifespan.shutdown.") or self._is_stopped
        self._tell()

    def _tell(self) -> None:
        for wake in self._waiting:
            wake.set()

    def co_started(self) -> Co[None]:
        """Wait until the application has started. Raises StateError if it has failed to."""
        yield from self._co_until(lambda: self._is_started)
        if self._failure is not None:
            raise self._failure

    def co_shut_down(self) -> Co[None]:
        """Have the application stop, and wait for that. Raises its failure, if there is one."""
        if self._task.done:
            return
        self._end.set()
        try:
            yield from self._co_until(lambda: self._is_stopped)
            yield from self._task.co_done()
        except BaseException:
            self._task.cancel()
            raise
        if self._failure is not None:
            raise self._failure

    def _co_until(self, is_so: Callable[[], bool]) -> Co[None]:
        if is_so():
            return
        with Wake("application") as wake:
            self._waiting.append(wake)
            try:
                while not is_so():
                    yield from wake.co_wait()
                    wake.clear()
            finally:
                self._waiting.remove(wake)


def _fields_of(message: Message) -> list[tuple[str, str]]:
    return [
        (bytes(name).decode("latin-1"), bytes(value).decode("latin-1"))
        for name, value in message.get("headers", ())
    ]
