"""Unmodified botocore and boto3 on this library: a session that sends the requests of a client.

    from dugong_like.adapters.botocore import install

    s3 = install(boto3.Session()).client("s3")

botocore is the client (signatures, checksums, retries, redirects, parsing), and this library the
pool of connections, by a `Client` whose layers are all off. The settings are those of botocore
(`Config`, *verify*, proxies), and so are the exceptions, except that

- the read time-out also limits a time without progress in writing, with `ReadTimeoutError`;
- a final response of 2xx before the whole body was sent is `ConnectionClosedError`, as nothing was
  stored; so is a response that broke off, also within its head;
- a body that is shorter than its Content-Length is `HTTPClientError`;
- a request that a kept connection has lost is sent again on another one, if no byte of a response
  has come, its method is idempotent, and nothing has been read from its body;
- SOCKS proxies are possible; ``proxy_use_forwarding_for_https`` is not.
"""

from __future__ import annotations

import io
import os
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Final, TypeVar

try:
    import botocore
except ModuleNotFoundError as exc:
    raise ModuleNotFoundError(
        "dugong_like.adapters.botocore needs botocore: install 'dugong-like[botocore]'",
        name=exc.name,
    ) from exc
from botocore import exceptions
from botocore.awsrequest import AWSResponse
from urllib3.exceptions import IncompleteRead, ProtocolError

from ..client.client import Client
from ..client.pool_limits import Limits
from ..client.request import ClientRequest
from ..client.response import Response
from ..errors import (
    ConnectFailed,
    ConnectionClosed,
    ConnectionTimedOut,
    DNSUnavailable,
    DugongError,
    HandshakeFailed,
    HostnameNotResolvable,
    InvalidOption,
    InvalidRequest,
    TransportError,
    TunnelRefused,
)
from ..errors import ProtocolError as InvalidMessage
from ..http.redaction import quoted
from ..http.userinfo import split_credentials
from ..polling.contract import Co, run
from ..polling.numbers import check_int, check_seconds
from ..polling.timeouts import Timeouts
from ..transport.connect.socket_options import SocketOptions
from ..transport.proxy.proxy import Proxy
from ..transport.tls.contexts import tls_context
from .sending import given
from .urllib3_errors import read_timed_out

T = TypeVar("T")
Certificate = str | tuple[str, str] | None  # of the client: one file, or certificate and key

DEFAULT_TIMEOUT: Final = 60  # seconds, as in botocore; the same holds for the next one
MAX_POOL_CONNECTIONS: Final = 10
CONTINUE_TIMEOUT: Final = 1.0  # seconds to wait for 100 (Continue), as in botocore
PIECE: Final = 65536  # bytes of a body at a time
CHUNK: Final = 1024 * 1024 + 16  # the same if it is encoded as aws-chunked: a chunk, and its frame
FRAMING: Final = frozenset({"content-length", "transfer-encoding", "expect"})
CONNECTING: Final = frozenset({"dns", "connect", "tls", "pool"})
SUCCESS: Final = range(200, 300)
ERRORS: Final = [  # the first one that matches; all take the URL and the cause
    (HandshakeFailed | InvalidOption, exceptions.SSLError),
    (ConnectFailed | HostnameNotResolvable | DNSUnavailable, exceptions.EndpointConnectionError),
    (TransportError | InvalidMessage, exceptions.ConnectionClosedError),
]


NAMES: Final = {  # of arguments here, and what they are called there
    "ca": "proxy_ca_bundle",
    "client_cert": "proxy_client_cert",
    "cert": "client_cert",
    "local_address": "source_address",
    "a raw option": "one of socket_options",
}

_name = re.compile(rf"\b({'|'.join(NAMES)})\b")


class HTTPSession:
    """Sends the requests of a client of botocore, in place of its `URLLib3Session`.

    Threads may share one. `install` has clients use it, and so does the argument *http_session_cls*
    of `botocore.endpoint.EndpointCreator.create_endpoint`.

    Args:
        verify: True to verify certificates, also if None; False not to; or the path of a file or
            folder of authorities.
        proxies: URLs by scheme, such as ``{"https": "http://proxy.example.org:3128"}``. None are
            taken from the environment here: botocore does that.
        timeout: seconds, or those for connecting and those without progress in reading and writing;
            None in a pair sets no limit.
        max_pool_connections: idle connections that are kept for each origin. There may be any
            number at a time.
        socket_options: arguments of `socket.socket.setsockopt`.
        client_cert: file of the client certificate, or files of certificate and key.
        proxies_config: ``proxy_ca_bundle`` and ``proxy_client_cert`` for TLS to a proxy.
        source_address: address and port to connect from.

    Raises:
        InvalidProxiesConfigError: one of the proxies, or its configuration, cannot be used.
        InvalidOption, TypeError: another argument is invalid, or has the wrong type.

    """

    def __init__(  # noqa: PLR0913, PLR0917 - those of botocore's session
        self,
        verify: bool | str | os.PathLike[str] | None = True,
        proxies: Mapping[str, str] | None = None,
        timeout: float | Sequence[float | None] | None = None,
        max_pool_connections: int = MAX_POOL_CONNECTIONS,
        socket_options: Iterable[tuple[int, int, int | bytes]] | None = None,
        client_cert: Certificate = None,
        proxies_config: Mapping[str, Any] | None = None,
        source_address: tuple[str, int] | None = None,
    ) -> None:
        check_containers(proxies, proxies_config, socket_options)
        self._proxies = proxies_for(proxies or {}, proxies_config or {})
        connect, read = time_limits(timeout)
        check_int("max_pool_connections", max_pool_connections, 0)
        with names_of_botocore():
            sockets = SocketOptions(raw=tuple(socket_options or ()), local_address=source_address)
        self._options: dict[str, Any] = {
            "verify": True if verify is None else verify or False,
            "cert": client_cert,
            "proxy": {f"{scheme}://": proxy for scheme, proxy in self._proxies.items()} or None,
            "timeout": Timeouts(connect=connect, read=read, write=read, expect100=CONTINUE_TIMEOUT),
            "limits": Limits(
                max_connections=None,
                max_keepalive=None,
                max_keepalive_per_origin=max_pool_connections,
            ),
            "socket_options": sockets,
        }
        with names_of_botocore():
            self._client = self._new_client()

    def _new_client(self) -> Client:
        return Client(
            versions=("http/1.1",),
            trust_env=False,
            store_cookies=False,
            decompress=False,
            follow_redirects=False,
            **self._options,
        )

    def send(self, request: Any) -> Any:
        """Send an `AWSPreparedRequest`, and return its `AWSResponse`.

        Its body is left to the caller if ``request.stream_output`` is set.

        Raises:
            HTTPClientError: no response was received, or its body broke off; the subclass says why.

        """
        try:
            sent = prepared(request)
            response = self._client.send(sent)
            if response.answered_early and response.status_code in SUCCESS:
                response.close()
                raise ConnectionClosed("the server answered before it had the whole body")
            # botocore takes the whole body of an error, and no exception of urllib3 there.
            is_stream = sent.stream and response.status_code in SUCCESS
            raw = Raw(response, request.url, None if is_stream else response.read())
        except Exception as exc:
            raise self._error(exc, request) from exc
        return AWSResponse(request.url, response.status_code, raw.headers, raw)

    def _error(self, exc: Exception, request: Any) -> Exception:
        """Return the exception of botocore for *exc*."""
        where = {"endpoint_url": request.url, "error": exc}
        if not isinstance(exc, DugongError):
            return error(exceptions.HTTPClientError, error=exc)
        if exc.phase.startswith("proxy") or isinstance(exc, TunnelRefused):
            proxy = self._proxies.get(request.url.partition(":")[0].lower())
            return error(exceptions.ProxyConnectionError, proxy_url=shown(proxy), error=exc)
        if isinstance(exc, ConnectionTimedOut):
            if exc.phase in CONNECTING:
                return error(exceptions.ConnectTimeoutError, **where)
            return error(exceptions.ReadTimeoutError, **where)
        for ours, theirs in ERRORS:
            if isinstance(exc, ours):
                return error(theirs, request=request, **where)
        return error(exceptions.HTTPClientError, error=exc)

    def close(self) -> None:
        """Close the idle connections; those in use are closed when their responses were read.

        The session may be used afterwards, with new connections.
        """
        client, self._client = self._client, self._new_client()
        client.close()


@contextmanager
def names_of_botocore() -> Iterator[None]:
    """Raise errors of arguments with the name that the argument has in botocore."""
    try:
        yield
    except (TypeError, InvalidOption) as exc:
        text = _name.sub(lambda found: NAMES[found[0]], str(exc), count=1)
        raise type(exc)(text) from exc.__cause__


def check_containers(proxies: Any, config: Any, socket_options: Any) -> None:
    """Check the types of arguments that contain others. Raises TypeError for a wrong one."""
    for name, given_one, kind, what in (
        ("proxies", proxies, Mapping, "a mapping of schemes to URLs"),
        ("proxies_config", config, Mapping, "a mapping"),
        ("socket_options", socket_options, Iterable, "a list of (level, option, value)"),
    ):
        if not isinstance(given_one, kind | None):
            raise TypeError(f"{name} is {what}, not {quoted(given_one)}")
    for scheme, url in (proxies or {}).items():
        if not isinstance(url, str | None):
            raise TypeError(f"the proxy for {scheme} is a URL, not {quoted(url)}")


def error(kind: Callable[..., Exception], **facts: Any) -> Exception:
    """Return an exception of botocore."""
    return kind(**facts)


def shown(proxy: Proxy | None) -> str:
    """Return *proxy* for messages: without user and password."""
    return "" if proxy is None else repr(proxy).partition(" ")[2].rstrip(">")


def time_limits(timeout: Any) -> tuple[float | None, float | None]:
    """Return the seconds for connecting, and those without progress.

    Raises:
        InvalidOption: one of them is negative, too large, or not a number.
        TypeError: *timeout*, or one of them, has the wrong type.

    """
    if timeout is None:
        timeout = DEFAULT_TIMEOUT
    if isinstance(timeout, int | float):
        timeout = timeout, timeout
    if isinstance(timeout, str) or len(timeout) != 2:  # noqa: PLR2004 - a pair
        raise TypeError(f"timeout is a number of seconds, or a pair of them, not {quoted(timeout)}")
    limits = []
    for name, seconds in zip(("connect_timeout", "read_timeout"), timeout, strict=True):
        if seconds is not None:
            check_seconds(seconds, name)
        limits.append(given(seconds, f"{name}={seconds}"))
    return limits[0], limits[1]


def proxies_for(proxies: Mapping[str, str], config: Mapping[str, Any]) -> dict[str, Proxy]:
    """Return the proxies of botocore by scheme.

    Raises:
        InvalidProxiesConfigError: one of them, or *config*, cannot be used.

    """
    found = {}
    for scheme in ("http", "https"):
        if url := proxies.get(scheme):
            try:
                found[scheme] = proxy_for(url, config)
            except DugongError as exc:
                raise exceptions.InvalidProxiesConfigError(error=exc) from exc
    return found


def proxy_for(url: str, config: Mapping[str, Any]) -> Proxy:
    """Return the proxy of one URL, which may have no scheme.

    Raises:
        InvalidRequest, InvalidOption: it is no proxy, or *config* cannot be used.

    """
    if config.get("proxy_use_forwarding_for_https"):
        raise InvalidOption("proxy_use_forwarding_for_https: https needs a tunnel here")
    if "://" not in url:
        url = f"http://{url.removeprefix('//')}"
    authorities, certificate = config.get("proxy_ca_bundle"), config.get("proxy_client_cert")
    if not url.startswith("https:") or (authorities is None and certificate is None):
        return Proxy(url)
    with names_of_botocore():
        context = tls_context(ca=authorities, client_cert=certificate)
    return Proxy(url, ssl_context=context)


# ---- requests


def prepared(request: Any) -> ClientRequest:
    """Return an `AWSPreparedRequest` as it is sent.

    Raises:
        InvalidRequest: a part of it cannot be sent.

    """
    fields, values = [], {}
    for name, value in request.headers.items():
        text = value.decode("latin-1") if isinstance(value, bytes) else str(value)
        if (key := name.lower()) in FRAMING:
            values[key] = text
        else:
            fields.append((name, text))
    body = body_of(request, values)
    url, _ = split_credentials(request.url)  # which botocore does not send either
    sent = ClientRequest(request.method, url, fields, body)
    sent.stream = bool(request.stream_output)
    sent.expect100 = values.get("expect", "").lower() == "100-continue" and has_bytes(body)
    return sent


def has_bytes(body: Any) -> bool:
    """Return True unless *body* is known to be empty: an empty one is not asked for."""
    return isinstance(body, Body) or bool(body)


def body_of(request: Any, framing: Mapping[str, str]) -> Any:
    """Return the body to send, with the length that *framing*, some of the fields, announces.

    Raises:
        InvalidRequest: the body is in memory, and has another length.

    """
    body = request.body
    chunked = framing.get("transfer-encoding", "").lower() == "chunked"
    text = framing.get("content-length", "")
    length = int(text) if text.isascii() and text.isdecimal() and not chunked else None
    if isinstance(body, str):
        body = body.encode()
    if body is None:
        # Announced by botocore, for DELETE for example.
        return b"" if length == 0 and request.method != "TRACE" else None
    if not isinstance(body, bytes | bytearray | memoryview):
        return b"" if length == 0 else Body(body, length)
    if chunked:
        return Body(io.BytesIO(body), None)
    if length is not None and length != len(body):
        raise InvalidRequest(f"Content-Length is {length}, and the body has {len(body)} bytes")
    return body


class Body:
    """The body of one request, read once, in parts.

    Args:
        body: an object with ``read``, such as `AwsChunkedWrapper`; or an iterable.
        length: the number of bytes that are sent of it; None for all, whose number is not known.

    """

    def __init__(self, body: Any, length: int | None) -> None:
        self.length = length
        self._left = length
        self._read: Callable[[int], Any] | None = getattr(body, "read", None)
        self._pieces = iter(() if self._read else body)

    def __iter__(self) -> Body:  # and not a new iteration: it can be sent once
        return self

    def __next__(self) -> bytes:
        left = self._left
        if left == 0:
            raise StopIteration
        if self._read is None:
            piece = next(self._pieces)
        else:
            piece = self._read(CHUNK if left is None else min(left, PIECE))
            if not piece:
                raise StopIteration
        if isinstance(piece, str):
            piece = piece.encode()  # of a text file
        if left is not None:
            self._left = max(left - len(piece), 0)
        return piece  # type: ignore[no-any-return]  # what is not bytes is refused by the client


# ---- responses


class Raw(io.RawIOBase):
    """The body of a response as a file, as botocore reads it, with the exceptions of urllib3.

    Args:
        response: the response.
        url: of the request.
        content: the body, if it has been read.

    Attributes:
        status: status code.
        reason: the text behind it.
        version: 11, or 10 for HTTP/1.0.
        headers: the fields by their names, those of several joined by commas.

    """

    _response: Response | None = None  # None: all has been received, or nobody wants the rest
    _ahead: bytes | memoryview = b""  # received, and not returned yet
    _at = 0  # bytes that were returned
    _received = 0  # bytes
    _length: int | None = None  # bytes of the body
    _failure: ProtocolError | None = None  # to be raised at the next call

    def __init__(self, response: Response, url: str, content: bytes | None) -> None:
        self.status = response.status_code
        self.reason = response.reason_phrase
        self.version = 10 if response.http_version == "1.0" else 11
        self.headers = joined(response.headers.wire_items())
        self._url = url
        if content is not None:
            self._ahead = content
            return
        response.take_body(decoded=False)
        self._response = response
        self._length = response.length
        if self._length == 0:
            self._receive()

    def readable(self) -> bool:
        """Return True."""
        return True

    def tell(self) -> int:
        """Return the number of bytes that were read."""
        return self._at

    def read(self, amt: int | None = None, decode_content: Any = None) -> bytes:  # noqa: ARG002
        """Return *amt* bytes, fewer only at the end; the rest if None. Nothing is decoded.

        Raises:
            ReadTimeoutError, ProtocolError: of urllib3; the second one if the body breaks off.

        """
        if amt is None or amt < 0:
            return b"".join(iter(self._some, b""))
        pieces = []
        while amt > 0 and (piece := self._some(amt)):
            pieces.append(piece)
            amt -= len(piece)
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    def read1(self, amt: int = -1) -> bytes:
        """Return at most *amt* bytes, as soon as there are any; none only at the end."""
        return self._some(PIECE if amt < 0 else amt)

    def peek(self, size: int = 0) -> bytes:  # noqa: ARG002 - as of `io.BufferedReader`
        """Return bytes that come next, and stay there."""
        if not self._ahead:
            self._ahead = self._receive()
        return bytes(self._ahead)

    def readinto(self, buffer: Any) -> int:
        """Fill *buffer*; return the number of bytes, fewer than it has only at the end."""
        memory = memoryview(buffer).cast("B")
        count = 0
        while count < len(memory):
            if self._ahead:
                piece = self._some(len(memory) - count)
                memory[count : count + len(piece)] = piece
                count += len(piece)
                continue
            try:
                got = self._receive_into(memory[count:])
            except ProtocolError as exc:
                if not count:
                    raise
                self._failure = exc  # raised when these bytes are taken
                break
            self._at += got
            count += got
            if not got and not self._ahead:
                break
        return count

    def stream(self, amt: int = PIECE, decode_content: Any = None) -> Iterator[bytes]:  # noqa: ARG002
        """Yield the body in parts of at most *amt* bytes, as they arrive."""
        while piece := self._some(amt):
            yield piece

    def _some(self, size: int = PIECE) -> bytes:
        """Return at most *size* of the next bytes; none only at the end."""
        ahead = self._ahead or self._receive()
        if len(ahead) <= size:
            piece, self._ahead = bytes(ahead), b""
        else:
            view = memoryview(ahead)
            piece, self._ahead = bytes(view[:size]), view[size:]
        self._at += len(piece)
        return piece

    def _receive(self) -> bytes:
        """Return the next bytes from the connection; none at the end."""
        if self._response is None:
            return b""
        data = self._run(self._response.co_raw_piece())
        self._count(len(data))
        return data

    def _receive_into(self, memory: memoryview) -> int:
        """Receive the next bytes into *memory*, or else into `_ahead`; return their number."""
        if self._response is None:
            return 0
        got = self._run(self._response.co_raw_into(memory))
        if isinstance(got, bytes):
            self._ahead = got
            self._count(len(got))
            return 0
        self._count(got)
        return got

    def _count(self, received: int) -> None:
        """Count bytes that were received; after the last one the connection is given back."""
        self._received += received
        if received and self._received == self._length and self._response is not None:
            received = len(self._run(self._response.co_raw_piece()))
        if not received:
            self._response = None

    def _run(self, op: Co[T]) -> T:
        if self._failure is not None:
            raise self._failure
        try:
            return run(op)
        except ConnectionTimedOut as exc:
            raise read_timed_out(exc, self._url) from exc
        except ConnectionClosed as exc:
            cause: Exception = exc
            if self._length is not None:
                cause = IncompleteRead(self._received, self._length - self._received)
            raise ProtocolError(str(exc), cause) from exc
        except DugongError as exc:
            raise ProtocolError(str(exc), exc) from exc

    def close(self) -> None:
        """Give up what has not been read; the connection is closed then."""
        response, self._response = self._response, None
        self._ahead = b""
        if response is not None:
            response.close()
        super().close()

    release_conn = close  # as urllib3 calls it

    # ---- the way to the socket that botocore knows, for `StreamingBody.set_socket_timeout`

    @property
    def _fp(self) -> Raw:
        return self

    fp = raw = _sock = _fp

    def settimeout(self, seconds: float | None) -> None:
        """Limit the time without progress while the rest of the body is read."""
        if self._response is not None and self._response.connection is not None:
            limit = given(seconds, f"set_socket_timeout({seconds})")
            self._response.connection.timeout = Timeouts(read=limit, write=limit)


def joined(pairs: Iterable[tuple[str, str]]) -> dict[str, str]:
    """Return fields by their names, the values of several of one name joined by commas."""
    names: dict[str, str] = {}
    fields: dict[str, str] = {}
    for name, value in pairs:
        first = names.setdefault(name.lower(), name)
        fields[first] = f"{fields[first]}, {value}" if first in fields else value
    return fields


# ---- having clients use it


def install(target: T) -> T:
    """Have the clients of a session use this library, with the settings that they have.

    Args:
        target: a session of boto3 or of botocore: the clients and resources that it makes from now
            on. Or one client or resource.

    Returns:
        *target*.

    Raises:
        TypeError: *target* is none of these.
        InvalidOption: this version of botocore keeps its settings elsewhere.

    """
    register = getattr(getattr(target, "events", target), "register", None)
    if hasattr(target, "meta"):
        client = getattr(target.meta, "client", target)  # that of a resource
        replace(vars(client)["_endpoint"])
    elif register is not None:
        register("creating-client-class", add_base, unique_id="dugong_like")
    else:
        raise TypeError(
            f"target is a session or a client of boto3 or botocore, not {quoted(target)}"
        )
    return target


def add_base(base_classes: list[type], **_: Any) -> None:
    """Have a class of clients, which botocore is about to make, use this library."""
    if Using not in base_classes:
        base_classes.insert(0, Using)


class Using:
    """A base of clients: replaces the session of a new one."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        replace(vars(self)["_endpoint"])


def replace(endpoint: Any) -> None:
    """Replace the session of an `Endpoint` of botocore by one with the same settings."""
    before = endpoint.http_session
    if not isinstance(before, HTTPSession):
        endpoint.http_session = HTTPSession(**settings_of(before))
        before.close()


def settings_of(session: Any) -> dict[str, Any]:
    """Return the arguments that a `URLLib3Session` was made with, as it has kept them.

    Raises:
        InvalidOption: it has not.

    """
    kept = vars(session)
    try:
        proxies, timeout = vars(kept["_proxy_config"])["_proxies"], kept["_timeout"]
        certificate, key = kept["_cert_file"], kept["_key_file"]
        settings = {
            "verify": kept["_verify"] or False,
            "proxies": proxies,
            "max_pool_connections": kept["_max_pool_connections"],
            "socket_options": kept["_socket_options"],
            "proxies_config": kept["_proxy_config"].settings,
        }
    except KeyError as exc:
        version = botocore.__version__
        raise InvalidOption(f"botocore {version} has a session without {exc}") from exc
    if not isinstance(timeout, int | float):
        timeout = (timeout.connect_timeout, timeout.read_timeout)
    return settings | {
        "timeout": timeout,
        "client_cert": certificate if key is None else (certificate, key),
        "source_address": kept.get("_source_address"),  # not in older versions
    }
