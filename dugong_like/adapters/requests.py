"""Unmodified requests on this library: an adapter for `requests.Session`.

    from dugong_like.adapters.requests import Adapter

    session = requests.Session()
    session.mount("http://", Adapter())
    session.mount("https://", Adapter())

An adapter has a `Pool` of connections, which threads may share. requests is the client (redirects,
cookies, authentication, proxies from the environment), urllib3 decodes bodies, and this library is
pool and connections. The arguments of requests, and the exceptions, are those of its own adapter,
except that

- the read time-out also limits a time without progress in writing, with `ReadTimeout`; no time-out
  limits the reading of a body that is a stream, as they are about the server;
- a text file is sent chunked, as the length of its text in UTF-8 is not known;
- no User-Agent is sent if the session has removed that field;
- an invalid response is `ConnectionError`, also one with two different lengths; `InvalidHeader` is
  for request fields;
- 103 (Early Hints) is skipped, as is each 1xx response except 101;
- the certificate of a proxy is verified for http, too;
- SOCKS needs no other package.
"""

from __future__ import annotations

import io
import os
import ssl
from collections.abc import Generator, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Final, NamedTuple
from urllib.parse import urlsplit

try:
    import requests
except ModuleNotFoundError as exc:
    raise ModuleNotFoundError(
        "dugong_like.adapters.requests needs requests: install 'dugong-like[requests]'",
        name=exc.name,
    ) from exc
from requests import exceptions
from requests.adapters import BaseAdapter
from requests.cookies import extract_cookies_to_jar
from requests.structures import CaseInsensitiveDict
from requests.utils import (
    get_auth_from_url,
    get_encoding_from_headers,
    prepend_scheme_if_needed,
    select_proxy,
)
from urllib3 import HTTPResponse as RawResponse
from urllib3 import Timeout
from urllib3.exceptions import (
    LocationValueError,
    ProtocolError,
    TimeoutStateError,
)
from urllib3.util import parse_url

from ..client.dispatch import Lease
from ..client.pool import Pool
from ..client.pool_limits import Limits
from ..client.trust import Trust
from ..connection.connection import HTTPConnection
from ..connection.exchange import HTTPResponse
from ..errors import (
    ConnectionTimedOut,
    DugongError,
    HandshakeFailed,
    InvalidOption,
    InvalidRequest,
    TunnelRefused,
)
from ..http.redaction import MAX_PATH, quoted, shown_url
from ..http.request import BodyFollowing
from ..http.url import Origin
from ..polling.binary_streams import co_read_some
from ..polling.contract import Co, run
from ..polling.timeouts import Timeouts
from ..transport.proxy.proxy import Proxy
from .sending import Maker, Outgoing, Place, exchange, given, place_of
from .urllib3_errors import read_timed_out

Certificate = str | tuple[str, str] | None  # of the client: one file, or certificate and key
PIECE: Final = 65536  # bytes of a body at a time
FRAMING: Final = frozenset({"content-length", "transfer-encoding"})
ERRORS: Final = [  # the first one that matches
    (InvalidRequest, exceptions.InvalidHeader),
    (InvalidOption, exceptions.SSLError),
    (HandshakeFailed, exceptions.SSLError),
    (TunnelRefused, exceptions.ProxyError),
    (DugongError, exceptions.ConnectionError),
]
STEPS: Final = {"dns", "connect", "tls"}
WITH_PROXY: Final = {f"proxy-{step}" for step in STEPS}  # no request was sent yet
CONNECTING: Final = STEPS | {"proxy", "pool"}
DEFAULT_LIMITS: Final = Limits(max_connections=None)  # as with urllib3


class Setting(NamedTuple):
    """The options that connections to an origin have to share to be interchangeable."""

    proxy: str | None
    verify: bool | str
    cert: Certificate


@contextmanager
def errors_of_requests(request: requests.PreparedRequest) -> Iterator[None]:
    """Raise errors of this library as those of requests."""
    try:
        yield
    except DugongError as exc:
        raise error_for(exc)(exc, request=request) from exc


def error_for(exc: DugongError) -> type[exceptions.RequestException]:
    """Return the exception of requests for *exc*."""
    if exc.phase in WITH_PROXY:
        return exceptions.ProxyError
    if isinstance(exc, ConnectionTimedOut):
        return exceptions.ConnectTimeout if exc.phase in CONNECTING else exceptions.ReadTimeout
    return next(theirs for ours, theirs in ERRORS if isinstance(exc, ours))


class Body:
    """The body of a response as a file, with the errors of urllib3."""

    def __init__(self, lease: Lease, head: HTTPResponse) -> None:
        self._lease, self._head = lease, head
        self.closed = False

    def read(self, size: int | None = None) -> bytes:
        """Read *size* bytes, fewer only at the end; the rest if None."""
        if size is None:
            return self._read(None)
        pieces = []
        while size > 0 and (piece := self._read(size)):
            pieces.append(piece)
            size -= len(piece)
        return b"".join(pieces)

    def read1(self, size: int = PIECE) -> bytes:
        """Read at most *size* bytes, as soon as there are any; none only at the end."""
        return self._read(size)

    def _read(self, size: int | None) -> bytes:
        if self.closed:
            return b""
        conn = self._lease.connection
        try:
            data = conn.read(size)
        except ConnectionTimedOut as exc:
            raise read_timed_out(exc, exc.url) from exc
        except DugongError as exc:
            raise ProtocolError(str(exc), exc) from exc
        if not conn.response_pending():
            self.close()
        return data

    def close(self) -> None:
        """Give the connection back to the pool, after an incomplete read, too."""
        if not self.closed:
            self.closed = True
            self._lease.release(self._head.field("keep-alive"))


class Raw(RawResponse):
    """A response of urllib3 whose body is a `Body`: its chunks are read by this library."""

    def supports_chunked_reads(self) -> bool:
        """Return True: `stream` returns bytes of a chunked body without delay."""
        return True

    def read_chunked(
        self, amt: int | None = None, decode_content: bool | None = None
    ) -> Generator[bytes, None, None]:
        """Yield the body in parts of at most *amt* bytes, as they arrive."""
        while data := self.read1(PIECE if amt is None else amt, decode_content):
            yield data


class Original:
    """A response like that of `http.client`, in which requests searches for cookies."""

    def __init__(self, msg: Any) -> None:
        self.msg = msg

    def isclosed(self) -> bool:
        """Return True."""
        return True

    def close(self) -> None:
        """Do nothing."""


class ConnectionMaker(Maker):
    """Makes connections to a `Place`, which has a `Setting`."""

    def __init__(self) -> None:
        self._contexts: dict[tuple[bool | str, Certificate], ssl.SSLContext] = {}

    def connection(self, origin: Origin) -> HTTPConnection:
        """Return a new connection.

        Raises:
            InvalidProxyURL: the setting has such a one.
            Exception: see `context_for`.

        """
        assert isinstance(origin, Place)
        setting: Setting = origin.setting
        context = self._context(setting.verify, setting.cert) if origin.secure else None
        proxy = self._proxy(setting)
        return HTTPConnection.to(origin, ssl_context=context, proxy=proxy, content_md5=False)

    def _proxy(self, setting: Setting) -> Proxy | None:
        if setting.proxy is None:
            return None
        secure = urlsplit(setting.proxy).scheme == "https"
        context = self._context(setting.verify, None) if secure else None
        try:
            return Proxy(setting.proxy, ssl_context=context)
        except InvalidRequest as exc:
            raise exceptions.InvalidProxyURL(exc) from exc

    def _context(self, verify: bool | str, cert: Certificate) -> ssl.SSLContext:
        """Return the context for *verify* and *cert*, the same one each time."""
        context = self._contexts.get((verify, cert))
        if context is None:
            context = self._contexts.setdefault((verify, cert), context_for(verify, cert))
        return context


class Sending(Outgoing):
    """A request of requests, as it is sent."""

    def __init__(
        self,
        request: requests.PreparedRequest,
        timeout: float | tuple[float | None, float | None] | Timeout | None,
        left_out: frozenset[str],
    ) -> None:
        fields = [field for field in request.headers.items() if field[0].lower() not in left_out]
        method, length = request.method or "", request.headers.get("Content-Length")
        self._request, self._limits = request, time_limits(timeout)
        self.following = body = whole(request.body)
        if body is None and length == "0" and method != "TRACE":
            body = b""  # announced by requests, for DELETE for example
        if body is not None and not isinstance(body, bytes | memoryview):
            if isinstance(body, io.TextIOBase):
                length = None  # it counts characters, or bytes of another encoding
            body = BodyFollowing(None if length is None else int(length))
        super().__init__(method, request.path_url, fields, body)
        self._given = f"timeout={shown(timeout)}"
        connect = Timeout.resolve_default_timeout(self._limits.connect_timeout)
        connect = given(connect, self._given)
        self.timeouts = Timeouts(connect=connect, pool=connect)

    def co_connect(self, conn: HTTPConnection) -> Co[None]:
        """Open *conn*, unless it is open, and use the rest of the time for the request."""
        limits = self._limits.clone()
        limits.start_connect()
        yield from conn.co_connect()
        rest = Timeout.resolve_default_timeout(limits.read_timeout)
        if rest == 0:
            request = self._request
            message = f"{request.method} {request.url}: all {limits.total} s went on connecting"
            raise exceptions.ReadTimeout(message, request=request)
        if rest is not None and limits.total is not None:
            rest = round(rest, 3)  # which messages show
        rest = given(rest, self._given)
        conn.timeout = Timeouts(connect=rest, read=rest, write=rest)

    def pieces(self) -> Iterator[bytes]:
        """Yield the body that is to follow, in parts: a stream to its end, waiting for it."""
        body = self.following
        if not hasattr(body, "read"):
            parts: Iterator[bytes | str] = iter(body)
        elif isinstance(body, io.TextIOBase):
            parts = iter(lambda: body.read(PIECE), "")
        else:
            parts = iter(lambda: run(co_read_some(body, PIECE)), b"")
        for piece in parts:
            yield piece.encode() if isinstance(piece, str) else piece


class Adapter(BaseAdapter):
    """An adapter for `requests.Session`, to be mounted. Pickling leaves out its connections.

    Args:
        limits: those of its pool. By default any number of connections may be open, of which 50
            are kept idle for 60 s each, and 10 for one origin. If there is a limit, the time-out of
            connecting also limits the wait for a connection.

    Raises:
        TypeError: *limits* has the wrong type.

    """

    def __init__(self, limits: Limits = DEFAULT_LIMITS) -> None:
        super().__init__()
        self._limits = limits
        self._pool = Pool(ConnectionMaker(), limits)

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in vars(self).items() if name != "_pool"}

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(state)
        self._pool = Pool(ConnectionMaker(), self._limits)

    def send(
        self,
        request: requests.PreparedRequest,
        stream: bool = False,  # noqa: ARG002 - a body is always read on demand
        timeout: float | tuple[float | None, float | None] | Timeout | None = None,
        verify: bool | str | os.PathLike[str] = True,
        cert: Certificate = None,
        proxies: dict[str, str] | None = None,
    ) -> requests.Response:
        """Send *request* and return the response; its body is read later.

        Raises:
            RequestException: as with the adapter of requests.
            OSError: a file that *verify* or *cert* names does not exist.
            ValueError: *timeout* is not a valid time-out.

        """
        place = place_for(request, verify, cert, proxies)
        with errors_of_requests(request):
            sending = Sending(request, timeout, fields_left_out(place.setting.proxy))
            lease, head = exchange(self._pool, place, sending, sending.pieces())
        return self._response(request, head, Body(lease, head))

    def _response(
        self, request: requests.PreparedRequest, head: HTTPResponse, body: Body
    ) -> requests.Response:
        response = requests.Response()
        response.raw = raw = Raw(
            body=body,  # type: ignore[arg-type]  # a file, as `http.client.HTTPResponse` is
            headers=head.headers.items(),  # type: ignore[arg-type]  # pairs are accepted, too
            status=head.status,
            version=int(head.http_version.replace(".", "")),
            version_string=f"HTTP/{head.http_version}",
            reason=head.reason,
            preload_content=False,
            decode_content=False,
            original_response=Original(head.headers),  # type: ignore[arg-type]
            request_method=request.method,
            request_url=request.path_url,
        )
        response.status_code, response.reason = head.status, head.reason
        response.headers = CaseInsensitiveDict(raw.headers)
        response.encoding = get_encoding_from_headers(response.headers)
        response.url, response.request = str(request.url), request
        response.connection = self  # type: ignore[assignment]  # as with the adapter of requests
        extract_cookies_to_jar(response.cookies, request, raw)
        if head.length == 0:
            body.close()
        return response

    def close(self) -> None:
        """Close the idle connections, and drop the TLS contexts.

        Those in use are closed when their responses have been read.
        """
        pool, self._pool = self._pool, Pool(ConnectionMaker(), self._limits)
        pool.close()


def place_for(
    request: requests.PreparedRequest,
    verify: bool | str | os.PathLike[str],
    cert: Certificate,
    proxies: dict[str, str] | None,
) -> Place:
    """Return where *request* goes, with a `Setting`."""
    authorities = os.fspath(verify) if isinstance(verify, os.PathLike) else verify
    pair: Any = tuple(cert) if isinstance(cert, list) else cert
    setting = Setting(proxy_url(request, proxies), authorities, pair)
    try:
        hash(setting)
    except TypeError:
        Trust(verify=authorities, cert=pair)  # says which argument is wrong
        raise
    try:
        url = urlsplit(str(request.url))
        return place_of(url.scheme, url.hostname or "", url.port, setting)
    except (ValueError, InvalidRequest) as exc:
        raise exceptions.InvalidURL(exc, request=request) from exc


def proxy_url(request: requests.PreparedRequest, proxies: dict[str, str] | None) -> str | None:
    """Return the URL of the proxy for *request*, with a scheme; None for none."""
    place = select_proxy(str(request.url), proxies)
    if not place:
        return None
    why = ""
    with suppress(LocationValueError):  # whose message may have the password in it
        url = prepend_scheme_if_needed(place, "http")
        if parse_url(url).host:
            return url
        why = "the URL of the proxy has no host"
    why = why or f"not the URL of a proxy: {shown_url(place)!r}"
    raise exceptions.InvalidProxyURL(why, request=request)


def fields_left_out(proxy: str | None) -> frozenset[str]:
    """Return the fields of a request that are left out.

    requests repeats the credentials of a proxy as a field, after a redirect.
    """
    if proxy is None or not get_auth_from_url(proxy)[0]:
        return FRAMING
    return FRAMING | {"proxy-authorization"}


def time_limits(timeout: float | tuple[float | None, float | None] | Timeout | None) -> Timeout:
    """Return the limits of *timeout*: for connecting, for reading, and for both together.

    Raises:
        ValueError: it is neither a number nor a pair, or not above 0.

    """
    if isinstance(timeout, Timeout):
        return timeout.clone()
    if isinstance(timeout, tuple):
        if len(timeout) != 2:  # noqa: PLR2004 - a pair
            raise ValueError(f"a time-out is a number or (connect, read), not {timeout}")
        return Timeout(connect=timeout[0], read=timeout[1])
    return Timeout(connect=timeout, read=timeout)


def shown(timeout: float | tuple[float | None, float | None] | Timeout | None) -> str:
    """Return *timeout* as the caller has written it, for messages."""
    if not isinstance(timeout, Timeout):
        return str(timeout)
    limits = {"total": timeout.total}
    if timeout.connect_timeout != timeout.total:
        limits["connect"] = timeout.connect_timeout
    with suppress(TimeoutStateError):  # it is what connecting leaves of the total
        limits["read"] = timeout.read_timeout
    parts = [f"{name}={limit}" for name, limit in limits.items() if isinstance(limit, int | float)]
    return f"Timeout({', '.join(parts)})"


def whole(body: Any) -> Any:
    """Return *body* as bytes-like if it is in memory, otherwise unchanged."""
    if isinstance(body, io.StringIO):
        body = body.read()
    if isinstance(body, str):
        return body.encode()
    if body is None or isinstance(body, bytes) or hasattr(body, "read"):
        return body
    try:
        return memoryview(body).cast("B")
    except TypeError:
        return body  # an iterable


def context_for(verify: bool | str, cert: Certificate) -> ssl.SSLContext:
    """Return a context for *verify* and *cert* of requests.

    Raises:
        OSError: the file or directory does not exist.
        InvalidOption: it contains no certificates.
        TypeError: an argument has the wrong type.

    """
    trust = Trust(verify=verify, cert=cert)
    for path in (verify, *(cert if isinstance(cert, tuple) else (cert,))):
        if isinstance(path, str) and not Path(path).exists():
            shown = quoted(path, MAX_PATH)
            raise FileNotFoundError(f"no certificates, as there is no file {shown}")
    return trust.context()
