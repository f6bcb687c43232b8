"""Unmodified requests on this library: an adapter for `requests.Session`.

    session = requests.Session()
    session.mount("http://", Adapter())
    session.mount("https://", Adapter())

Idle connections are kept, one list for each origin and proxy. requests does what a client
does (redirects, cookies, authentication, proxies from the environment), urllib3 decodes bodies, and
this library does what a connection does. A time-out, or a pair of them for connecting and for the
rest, becomes `Timeouts`; the second one limits how long nothing may be read, or written.
"""

from __future__ import annotations

import io
import ssl
from collections import defaultdict
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from threading import Lock
from typing import Any
from urllib.parse import urlsplit

import requests
from requests import exceptions
from requests.adapters import BaseAdapter
from requests.cookies import extract_cookies_to_jar
from requests.structures import CaseInsensitiveDict
from requests.utils import get_encoding_from_headers, select_proxy
from urllib3 import HTTPResponse as RawResponse
from urllib3.exceptions import ProtocolError, ReadTimeoutError

import dugong_like
from dugong_like import (
    BodyFollowing,
    HTTPConnection,
    Origin,
    Timeouts,
    default_ssl_context,
    run,
)
from dugong_like.binary_streams import co_read_some

Key = tuple[Any, ...]
PIECE = 65536  # bytes of a body at a time
FRAMING = {"content-length", "transfer-encoding"}
ERRORS = [  # the first that fits
    (dugong_like.InvalidRequest, exceptions.InvalidURL),
    (dugong_like.CertificateInvalid, exceptions.SSLError),
    (dugong_like.HandshakeFailed, exceptions.SSLError),
    (dugong_like.TunnelRefused, exceptions.ProxyError),
    (dugong_like.DugongError, exceptions.ConnectionError),
]
STEPS = {"dns", "connect", "tls"}
# What a time limit may be for, before the request.
CONNECTING = STEPS | {"proxy"} | {f"proxy-{step}" for step in STEPS}


@contextmanager
def errors_of_requests(request: requests.PreparedRequest) -> Iterator[None]:
    """Raise errors of this library as those of requests."""
    try:
        yield
    except dugong_like.ConnectionTimedOut as exc:
        early = exc.phase in CONNECTING
        error = exceptions.ConnectTimeout if early else exceptions.ReadTimeout
        raise error(exc, request=request) from exc
    except dugong_like.DugongError as exc:
        for ours, theirs in ERRORS:
            if isinstance(exc, ours):
                raise theirs(exc, request=request) from exc


class Body:
    """The body of a response as a file, whose errors are those that urllib3 would raise."""

    def __init__(self, owner: Adapter, key: Key, conn: HTTPConnection) -> None:
        self._owner, self._key, self._conn = owner, key, conn
        self.closed = False

    def read(self, size: int | None = None) -> bytes:
        """Read *size* bytes at most, the rest if None."""
        if self.closed:
            return b""
        try:
            data = self._conn.read(size)
        except dugong_like.ConnectionTimedOut as exc:
            raise ReadTimeoutError(None, "", str(exc)) from exc  # type: ignore[arg-type]
        except dugong_like.DugongError as exc:
            raise ProtocolError(str(exc), exc) from exc
        if not self._conn.response_pending():
            self.close()
        return data

    def close(self) -> None:
        """Give the connection back; read or not."""
        if not self.closed:
            self.closed = True
            self._owner.give_back(self._key, self._conn)


class Original:
    """What requests looks for cookies in."""

    def __init__(self, msg: Any) -> None:
        self.msg = msg

    def isclosed(self) -> bool:
        """Return True."""
        return True

    def close(self) -> None:
        """Do nothing."""


class Adapter(BaseAdapter):
    """See the top of this file."""

    def __init__(self) -> None:
        super().__init__()
        self._lock = Lock()
        self._idle: defaultdict[Key, list[HTTPConnection]] = defaultdict(list)

    def send(
        self,
        request: requests.PreparedRequest,
        stream: bool = False,
        timeout: float | tuple[float | None, float | None] | None = None,
        verify: bool | str = True,
        cert: str | tuple[str, str] | None = None,
        proxies: Mapping[str, str] | None = None,
    ) -> requests.Response:
        """Send *request* and return the response; its body is still to be read."""
        connect, read = timeout if isinstance(timeout, tuple) else (timeout, timeout)
        proxy = select_proxy(request.url, proxies)
        url = urlsplit(request.url)
        with errors_of_requests(request):
            origin = Origin(url.scheme, url.hostname or "", url.port)
            key = (origin, proxy, str(verify), cert)
            conn = self._take(key)
            try:
                conn.timeout = Timeouts(connect=connect, read=read, write=read)
                self._send(conn, request)
                head = conn.read_response()
            except BaseException:
                conn.disconnect()
                raise
        return self._response(request, head, Body(self, key, conn))

    def _take(self, key: Key) -> HTTPConnection:
        with self._lock:
            if self._idle[key]:
                return self._idle[key].pop()
        origin, proxy, verify, cert = key
        context = context_for(verify, cert) if origin.secure else None
        return HTTPConnection.to(origin, ssl_context=context, proxy=proxy, content_md5=False)

    def give_back(self, key: Key, conn: HTTPConnection) -> None:
        """Keep *conn*, if its response has been read to its end."""
        if conn.response_pending():
            conn.disconnect()
        else:
            with self._lock:
                self._idle[key].append(conn)

    def _send(self, conn: HTTPConnection, request: requests.PreparedRequest) -> None:
        fields = [field for field in request.headers.items() if field[0].lower() not in FRAMING]
        length = request.headers.get("Content-Length")
        body = request.body
        if isinstance(body, str):
            body = body.encode()
        elif body is None and length == "0" and request.method != "TRACE":
            body = b""  # as requests has said so, of DELETE for example
        if body is None or isinstance(body, bytes):
            conn.send_request(request.method or "", request.path_url, fields, body)
            return
        following = BodyFollowing(None if length is None else int(length))
        conn.send_request(request.method or "", request.path_url, fields, following)
        try:
            for piece in pieces_of(body):
                conn.write(piece if isinstance(piece, bytes) else piece.encode())
            conn.finish()
        except dugong_like.ConnectionClosed as exc:
            if exc.request_sent != "yes":  # else there is an answer to be read
                raise

    def _response(
        self, request: requests.PreparedRequest, head: Any, body: Body
    ) -> requests.Response:
        response = requests.Response()
        response.status_code, response.reason = head.status, head.reason
        response.headers = CaseInsensitiveDict()
        for name in dict.fromkeys(map(str.lower, head.headers.keys())):
            response.headers[name.title()] = ", ".join(head.headers.get_all(name))
        response.encoding = get_encoding_from_headers(response.headers)
        response.raw = RawResponse(
            body=body, headers=head.headers.items(), status=head.status, reason=head.reason,
            preload_content=False, decode_content=False, original_response=Original(head.headers),
            request_method=request.method,
        )  # fmt: skip
        response.url, response.request, response.connection = request.url, request, self
        extract_cookies_to_jar(response.cookies, request, response.raw)
        if head.length == 0:
            body.close()
        return response

    def close(self) -> None:
        """Close the idle connections."""
        with self._lock:
            for connections in self._idle.values():
                for conn in connections:
                    conn.disconnect()
            self._idle.clear()


def pieces_of(body: Any) -> Iterator[bytes | str]:
    """Yield a body piece by piece: a stream to its end, waiting for it if it is non-blocking."""
    if not hasattr(body, "read"):
        yield from body
    elif isinstance(body, io.TextIOBase):
        yield from iter(lambda: body.read(PIECE), "")
    else:
        while piece := run(co_read_some(body, PIECE)):
            yield piece


def context_for(verify: str, cert: str | tuple[str, str] | None) -> ssl.SSLContext:
    """Return the context for what requests calls *verify* and *cert*."""
    if verify == "True" and cert is None:
        return default_ssl_context()
    context = ssl.create_default_context(cafile=None if verify in {"True", "False"} else verify)
    if verify == "False":
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    if cert is not None:
        context.load_cert_chain(*((cert,) if isinstance(cert, str) else cert))
    return context
