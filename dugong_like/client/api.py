"""`get`, `post` and the others without a client: they share a default one.

Not here: what they do (client.py).
"""

from __future__ import annotations

import os
import threading
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, BinaryIO, Unpack

from ..polling.fork import after_fork
from .client import Client
from .request_building import RequestOptions

if TYPE_CHECKING:
    from ..connection.websocket import WebSocket
    from ..connection.websocket_handler import WebSocketHandler
    from ..http.url import URL
    from .event_source import EventSource, SSEOptions
    from .response import Response
    from .transfers.options import DownloadOptions, UploadOptions
    from .transfers.results import DownloadResult, UploadResult
    from .websocket import OpeningOptions

_lock = threading.RLock()  # a finalizer or a handler of signals may come in between
_shared: list[Client] = []


def _renew_lock() -> None:
    global _lock  # noqa: PLW0603 - that of the parent may have been taken
    _lock = threading.RLock()


after_fork(_renew_lock)


def default_client() -> Client:
    """Return the client that the functions of this module share, made at the first call.

    It keeps no cookies, as unrelated parts of a program use it.
    """
    if not _shared:
        with _lock:
            if not _shared:
                _shared.append(Client(store_cookies=False))
    return _shared[0]


def request(method: str, url: URL | str, **options: Unpack[RequestOptions]) -> Response:
    """Send a request by the default client; see `Client.request`."""
    return default_client().request(method, url, **options)


def get(url: URL | str, **options: Unpack[RequestOptions]) -> Response:
    """Send GET by the default client; see `Client.request`."""
    return default_client().get(url, **options)


def head(url: URL | str, **options: Unpack[RequestOptions]) -> Response:
    """Send HEAD by the default client; see `Client.request`."""
    return default_client().head(url, **options)


def options(url: URL | str, **options: Unpack[RequestOptions]) -> Response:
    """Send OPTIONS by the default client; see `Client.request`."""
    return default_client().options(url, **options)


def post(url: URL | str, **options: Unpack[RequestOptions]) -> Response:
    """Send POST by the default client; see `Client.request`."""
    return default_client().post(url, **options)


def put(url: URL | str, **options: Unpack[RequestOptions]) -> Response:
    """Send PUT by the default client; see `Client.request`."""
    return default_client().put(url, **options)


def patch(url: URL | str, **options: Unpack[RequestOptions]) -> Response:
    """Send PATCH by the default client; see `Client.request`."""
    return default_client().patch(url, **options)


def query(url: URL | str, **options: Unpack[RequestOptions]) -> Response:
    """Send QUERY, a safe request with a body, by the default client; see `Client.query`."""
    return default_client().query(url, **options)


def delete(url: URL | str, **options: Unpack[RequestOptions]) -> Response:
    """Send DELETE by the default client; see `Client.request`."""
    return default_client().delete(url, **options)


def stream(
    method: str, url: URL | str, **options: Unpack[RequestOptions]
) -> AbstractContextManager[Response]:
    """Send a request by the default client; see `Client.stream`."""
    return default_client().stream(method, url, **options)


def sse(url: URL | str, **options: Unpack[SSEOptions]) -> EventSource:
    """Return the server-sent events of a URL, by the default client; see `Client.sse`."""
    return default_client().sse(url, **options)


def download(
    url: URL | str, target: str | os.PathLike[str] | BinaryIO, **options: Unpack[DownloadOptions]
) -> DownloadResult:
    """Download a file by the default client; see `Client.co_download`."""
    return default_client().download(url, target, **options)


def upload(
    source: str | os.PathLike[str] | BinaryIO, url: URL | str, **options: Unpack[UploadOptions]
) -> UploadResult:
    """Upload a file by the default client; see `Client.co_upload`."""
    return default_client().upload(source, url, **options)


def websocket(
    url: URL | str, *, handler: WebSocketHandler | None = None, **options: Unpack[OpeningOptions]
) -> WebSocket:
    """Open a WebSocket by the default client; see `Client.co_websocket`."""
    return default_client().websocket(url, handler=handler, **options)
