"""`WSGIDispatcher`: answers requests by an application, by way of WSGI (PEP 3333).

Not here: ASGI (asgi.py).
"""

from __future__ import annotations

import io
import re
import sys
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any, Final

from ...errors import ConnectionClosed, StateError
from ...http.arguments import as_string, check_callable
from ...http.redaction import quoted
from ...polling.contract import Co, run
from ...polling.numbers import check_flag
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
    from ..request import ClientRequest

Application = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]
STATUS: Final = re.compile(r"([1-9][0-9][0-9])(?: (.*))?", re.DOTALL)
PLAIN: Final = {"content-type": "CONTENT_TYPE", "content-length": "CONTENT_LENGTH"}


class WSGIDispatcher:
    """Answers the requests of a client by a WSGI application, without a network.

    ``Client(dispatcher=WSGIDispatcher(app))``. The application runs in the thread that waits for
    the response, and blocks it; so does reading a response that it produces bit by bit. Time limits
    cannot interrupt it.

    Args:
        app: the application.
        raise_app_exceptions: True to raise its exceptions; False to answer 500 instead, or break
            the body off, as a server does.
        root_path: the path at which it is mounted: ``SCRIPT_NAME``.
        client: address and port of the client, as the application sees them.
        environ: more variables for the application, such as ``REMOTE_USER``.

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
        environ: Mapping[str, Any] | None = None,
    ) -> None:
        if app is None:
            raise TypeError("app is a WSGI application, not None")
        check_callable(app, "app")
        check_flag("raise_app_exceptions", raise_app_exceptions)
        self._app = app
        self._raises = bool(raise_app_exceptions)
        self._root_path = as_string(root_path, "root_path").rstrip("/")
        self._client = check_client(client)
        if not isinstance(environ, Mapping | None):
            raise TypeError(f"environ is a mapping or None, not {quoted(environ)}")
        self._environ = dict(environ or {})

    def co_dispatch(self, request: ClientRequest) -> Co[Response]:
        """Have the application answer *request*, and return its response; see `Dispatcher`.

        Raises:
            StateError: the application violates PEP 3333.
            Exception: any exception of the application.

        """
        request.attempts += 1
        call = _Call(request, raises=self._raises)
        try:
            call.begin(self._app, self._environ_of(request))
            return call.response()
        except BaseException as exc:
            call.close()
            if self._raises or not isinstance(exc, Exception):
                raise
            return Response(FAILED, None, FAILED_BODY, request=request)
        yield

    def _environ_of(self, request: ClientRequest) -> dict[str, Any]:
        url = request.url
        body = RequestBody(request)
        root = self._root_path.encode()
        path = path_of(request)
        if root and (path + b"/").startswith(root + b"/"):
            path = path[len(root) :]
        environ = {
            "REQUEST_METHOD": request.method,
            "SCRIPT_NAME": root.decode("latin-1"),
            "PATH_INFO": path.decode("latin-1"),
            "QUERY_STRING": url.query,
            "SERVER_NAME": url.host,
            "SERVER_PORT": str(url.port),
            "SERVER_PROTOCOL": "HTTP/1.1",
            "REMOTE_ADDR": self._client[0],
            "REMOTE_PORT": str(self._client[1]),
            "wsgi.version": (1, 0),
            "wsgi.url_scheme": url.scheme,
            "wsgi.input": io.BufferedReader(_Input(body)),
            "wsgi.input_terminated": True,
            "wsgi.errors": sys.stderr,
            "wsgi.multithread": True,
            "wsgi.multiprocess": False,
            "wsgi.run_once": False,
        }
        for name, value in request_fields(request, body.length):
            if "_" in name:
                continue  # it could be taken for one with "-", so servers drop it
            key = PLAIN.get(name.lower()) or "HTTP_" + name.upper().replace("-", "_")
            separator = "; " if key == "HTTP_COOKIE" else ", "
            environ[key] = f"{environ[key]}{separator}{value}" if key in environ else value
        return environ | self._environ

    def co_close(self) -> Co[None]:
        """Do nothing; see `Dispatcher`."""
        return
        yield

    def __repr__(self) -> str:
        return f"{type(self).__name__}({quoted(self._app)})"


class _Input(io.RawIOBase):
    """The body of a request, as a file."""

    def __init__(self, body: RequestBody) -> None:
        self._body = body
        self._ahead = memoryview(b"")

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        data = self._ahead or memoryview(run(self._body.co_next()))
        count = min(len(buffer), len(data))
        buffer[:count] = data[:count]
        self._ahead = data[count:]
        return count


class _Call:
    """One call of an application, and the body that it returns; a `BodyStream`."""

    def __init__(self, request: ClientRequest, *, raises: bool) -> None:
        self._request = request
        self._raises = raises
        self._status = ""
        self._fields: list[tuple[str, str]] = []
        self._are_fields_sent = False
        self._pending: list[bytes | memoryview] = []
        self._result: Iterable[bytes] = []
        self._pieces = iter(self._result)
        self._length: BodyLength | None = None

    def begin(self, app: Application, environ: dict[str, Any]) -> None:
        """Call *app*, and go on until the response has begun."""
        self._result = app(environ, self._start_response)
        self._pieces = iter(self._result)
        while not self._pending and (piece := self._next_piece()) is not None:
            if piece:
                self._pending.append(piece)
        if not self._status:
            raise StateError("the application has not called start_response")

    def _start_response(
        self, status: str, fields: list[tuple[str, str]], exc_info: Any = None
    ) -> Callable[[bytes], None]:
        if exc_info is not None and self._are_fields_sent:
            raise exc_info[1].with_traceback(exc_info[2])
        if self._status and exc_info is None:
            raise StateError("the application has called start_response twice")
        if STATUS.fullmatch(as_string(status, "status")) is None:
            raise StateError(f"status of the application is no status: {quoted(status)}")
        self._status = status
        self._fields = list(fields)
        return self._write

    def _write(self, data: bytes) -> None:
        self._pending.append(_checked(data))

    def _next_piece(self) -> bytes | None:
        try:
            return _checked(next(self._pieces))
        except StopIteration:
            return None

    def response(self) -> Response:
        """Return the response, whose body is the rest of what the application returns."""
        self._are_fields_sent = True
        match = STATUS.fullmatch(self._status)
        assert match is not None
        status, reason = int(match[1]), match[2] or ""
        self._length = BodyLength(self._request, status, self._fields)
        if self._length.is_without_body:
            self.close()
        return Response.streamed(
            status, self._fields, self, request=self._request, reason_phrase=reason
        )

    def co_read(self, size: int) -> Co[bytes]:
        """Return the next bytes; see `BodyStream`. The application may block."""
        assert self._length is not None
        while True:
            while self._pending:
                piece = self._pending.pop(0)
                if len(piece) > size:
                    self._pending.insert(0, memoryview(piece)[size:])
                if sent := self._length.cut(bytes(piece[:size])):
                    return sent
            try:
                more = self._next_piece()
            except Exception as exc:
                if self._raises:
                    raise
                raise ConnectionClosed(BROKEN_OFF, request_sent="yes") from exc
            if more is None:
                break
            self._pending.append(more)
        self.close()
        self._length.check_end()
        return b""
        yield

    def trailers(self) -> list[tuple[str, str]]:
        """Return none: WSGI has no trailer fields."""
        return []

    def close(self) -> None:
        """Close what the application has returned."""
        result, self._result = self._result, []
        self._pieces = iter(self._result)
        self._pending = []
        close = getattr(result, "close", None)
        if close is not None:
            close()


def _checked(piece: Any) -> bytes:
    if not isinstance(piece, bytes):
        raise StateError(f"the application gives bytes, not {quoted(piece)}")
    return piece
