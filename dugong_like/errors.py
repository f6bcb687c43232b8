"""Every exception the library raises on purpose, and what to do about it.

    DugongError
    |-- StateError                 calls in the wrong order                fix the caller
    |   |-- StreamNotReady             a stream of yours cannot be waited for
    |   |-- StreamConsumed             the body of a response has been read
    |   |-- ResponseNotRead            it has not been read yet
    |   `-- ResponseClosed             it was closed before it was read
    |-- InvalidRequest             the request cannot be sent              fix the caller
    |-- InvalidOption              an option has an invalid value          fix the caller
    |-- CookieConflict             several cookies have that name          give the domain, too
    |-- ExcessBodyData             more body data than announced           fix the caller
    |-- FileTooShort               a file is shorter than announced        fix the caller
    |-- AuthenticationFailed       credentials could not be used           fix them
    |-- BodyTooLarge               a response beyond your own budget       discard it, or reset
    |-- ResponseError              about a response, which it has          see its response
    |   |-- StatusError                a 4xx or 5xx, by raise_for_status
    |   |-- TooManyRedirects           a chain of redirects has no end
    |   |-- RedirectRefused            following it would be unsafe
    |   |-- SSEError                   no stream of events, or one is too large
    |   `-- WebSocketRefused           the server opens no WebSocket, or not as asked
    |-- AddressForbidden           the guard does not allow the address    do not retry
    |-- MessageTooLarge            a WebSocket message beyond your limit   raise the limit
    |-- TransferError              a download or upload of a file          see its path
    |   |-- PartInUse                  another run is writing the same part
    |   |-- TransferFileFailed         the file cannot be written, or read
    |   |-- ContentChanged             the file, here or there, is another one by now
    |   |-- DigestMismatch             the bytes are not those of the digest
    |   `-- UnusableRange              the server sent other bytes than asked for
    |-- ProtocolError              the peer violated the protocol          report, do not retry
    |   |-- InvalidResponse            not HTTP
    |   |-- UnsupportedResponse        HTTP, but the end of its body is unknown
    |   |-- InvalidFrame               not the frames of a WebSocket
    |   `-- DecodingError              the content coding of a body is broken
    `-- TransportError             the bytes did not get through           usually retry
        |-- ConnectionClosed           the connection ended too early
        |   |-- AnsweredEarly              an early final response: read it
        |   |-- NotAnswered                a `Pipeline` has given a request up
        |   |-- GoneAway                   the server has ended an HTTP/2 connection
        |   `-- WebSocketClosed            a WebSocket has ended: see its code
        |-- StreamReset                an HTTP/2 stream was reset
        |-- ConnectionTimedOut         no progress, or the deadline passed
        |   |-- ContinueTimedOut           no 100 (Continue): the body may be sent now
        |   |-- PoolTimedOut               no connection of a pool has become free
        |   `-- DeadlineExceeded           the total time for a request has passed
        |-- ConnectFailed              no address accepted the connection
        |-- HandshakeFailed            the TLS handshake failed
        |   |-- CertificateInvalid         the certificate of the peer is not accepted
        |   |-- ProtocolNotNegotiated      the server chose no protocol that was asked for
        |   `-- ClientCertificateRefused   the peer does not accept the client certificate
        |-- TunnelRefused              the proxy refused CONNECT or SOCKS
        |-- HostnameNotResolvable      the name does not exist
        `-- DNSUnavailable             the name could not be looked up

Each carries two answers for code that retries: `retryable` (may the same call
succeed later, on a new connection?) and `request_sent` (may the server have acted
on the request?). A request that is not idempotent may be repeated only if
`request_sent` is ``"no"``. The `phase` of errors of connecting is the step that failed, with
the server or with a proxy.

An error of an operation names the request with its URL, or the origin if there is no request, in
front of its message and in two attributes. `DugongError.label` does that at the end of the
operation.

Not here: exceptions of the standard library, which are raised as they are: `TypeError` and
`ValueError` for arguments, `LookupError` for names that nothing has (a field, a codec), `OSError`
of files, `RuntimeError` of drivers without a loop. Nor those that never reach a caller, which are
where they are caught; hiding secrets in messages (http/redaction.py); which failures are repeated
(client/dispatch.py, client/layers/retry.py, connection/pipeline.py); and the exceptions of other
libraries that stand for these (adapters/httpx_errors.py, adapters/requests.py).
"""

from __future__ import annotations

import errno
from typing import Any, Final, Literal, Self

Sent = Literal["no", "maybe", "yes"]
STEPS: Final = frozenset(["dns", "connect", "tls"])  # steps of connecting, with a server or a proxy
MAX_LABEL: Final = 500  # characters in front of a message; a URL may have thousands


class DugongError(Exception):
    """Base of every exception that the library raises on purpose.

    Attributes:
        retryable: True if the same call may succeed later, on a new connection.
        request_sent: ``"no"`` if the server has certainly not seen the whole
            request, ``"yes"`` if a part of its response has arrived, ``"maybe"``
            if neither is known.
        method: method of the request; empty if the error is not about a single request, such as
            an error of connecting.
        url: URL of that request, or of the origin, without credentials. Empty without either.
        phase: the step of connecting that failed. With the server: ``"dns"``,
            ``"connect"``, ``"tls"``; with a proxy: ``"proxy-dns"``, ``"proxy-connect"``,
            ``"proxy-tls"``, and ``"proxy"`` for its own protocol. Otherwise ``""``;
            `ConnectionTimedOut` has some more.
        request: the request of a `Client` that failed, None without a client.
        response: the response that the error is about; None if there is none.

    """

    retryable: bool = False
    request_sent: Sent
    method: str = ""
    url: str = ""
    phase: str = ""
    request: Any = None
    response: Any = None
    _unlabelled: str | None = None  # the message without the label that `label` has put in front
    _note = ""  # of that label

    def __init__(self, message: str = "", *, request_sent: Sent = "no") -> None:
        super().__init__(message)
        self.request_sent = request_sent

    def __copy__(self) -> Self:
        """Return one with the same message and attributes, but no traceback, cause and context.

        It is here as libraries of other people change what `copy.copy` makes of exceptions: tblib,
        which Dask uses, has it keep the traceback, and share the attributes.
        """
        copied = type(self)(*self.args)
        copied.__dict__.update(self.__dict__)
        return copied

    def label(self, method: str, url: str, note: str = "") -> None:
        """Put the request in front of the message, unless that was done before.

        An error that passes several layers, or is raised again, keeps its first label.

        Args:
            method: see the attribute.
            url: see the attribute; not empty.
            note: a text behind the request.

        """
        if self.url:
            return
        self.method, self.url = method, url
        self._unlabelled = text = str(self)
        self._note = note
        name = f"{method} {url}" if method else url
        if f"{name}: " in text:
            return  # its cause is about the same request
        if len(name) > MAX_LABEL:
            name = f"{name[:MAX_LABEL]}..."
        self.args = (f"{name}{note}: {text}" if text else f"{name}{note}",)

    def label_request(self, request: Any, url: str) -> None:
        """Name *request*, of a client, in place of its origin, unless another one is named.

        Args:
            request: see the attribute; it is set unless there is one.
            url: its URL, without credentials.

        """
        self.request = self.request or request
        if self.method:
            return
        text = str(self) if self._unlabelled is None else self._unlabelled
        self.args, self.url = (text,), ""
        self.label(request.method, url, self._note)

    def blame_proxy(self, name: str) -> None:
        """Set `phase` and the message to those of an error of a proxy.

        Args:
            name: name of the proxy, with host and port.

        """
        if self.phase in STEPS:
            self.phase = f"proxy-{self.phase}"
        elif not self.phase:
            self.phase = "proxy"
        if "the proxy" not in (text := str(self)):
            self.args = (f"{name}: {text}",)

    def append(self, text: str) -> None:
        """Add *text* to the message, behind a comma."""
        self.args = (f"{self}, {text}",)
        if self._unlabelled is not None:
            self._unlabelled = f"{self._unlabelled}, {text}" if self._unlabelled else text

    @property
    def msg(self) -> str:
        """The message, as of ``str()``; an attribute of python-dugong."""
        return str(self)


class StateError(DugongError):
    """The operation is not allowed in the present state of the connection."""


class StreamNotReady(StateError, BlockingIOError):
    """A non-blocking stream of yours is not ready, and cannot be waited for.

    It has no descriptor (``fileno``), or one that is ready although the stream is not. After a
    write, ``characters_written`` is the number of bytes that it has taken.
    """


class StreamConsumed(StateError):
    """The body of a `Response` has been read or iterated over, and cannot be read again."""


class ResponseNotRead(StateError):
    """`Response.content`, or what is made of it, was asked for before the body was read."""


class ResponseClosed(StateError):
    """The `Response` was closed before its body was read to the end."""


class InvalidRequest(DugongError, ValueError):
    """A part of the request must not be sent (RFC 9110 section 5.5, RFC 9112 section 3).

    Attributes:
        for_http_1: True if HTTP/2 cannot send it, and HTTP/1.1 could (RFC 9113 section 8.2.2).

    """

    for_http_1 = False


class InvalidOption(DugongError, ValueError):
    """An option of a connection or of a TLS context has an invalid value.

    The message names the option, or the file, and the reason. `__cause__` is the error of
    the system or of the `ssl` module, if there is one.
    """


class CookieConflict(DugongError):
    """Several cookies have that name, with different domains or paths, which the message lists.

    `Cookies.get` takes a domain and a path.
    """


class ExcessBodyData(DugongError):
    """More body data was written than the request announced."""


class FileTooShort(DugongError, EOFError):
    """A file ended before the requested number of bytes had been sent."""


class AuthenticationFailed(DugongError):
    """No credentials could be obtained, or the server does not prove its identity.

    The message contains neither user names nor secrets.
    """


class BodyTooLarge(DugongError):
    """The body of a response is larger than `Budget.max_body` allows.

    No more than that was returned, and the connection is unchanged: `HTTPConnection.discard`
    skips the rest, `HTTPConnection.reset` closes the connection.
    """


class ResponseError(DugongError):
    """Base of the errors that carry the `Response` that they are about.

    Attributes:
        response: the `Response`; its body is read, or can be.

    """

    def __init__(self, message: str = "", *, response: Any = None) -> None:
        super().__init__(message, request_sent="yes" if response is not None else "no")
        self.response = response
        self.request = getattr(response, "request", None)


class StatusError(ResponseError):
    """The status of a response is 4xx or 5xx (RFC 9110 section 15); see `raise_for_status`."""


class TooManyRedirects(ResponseError):
    """More redirects than `max_redirects` of the `Client` allows (RFC 9110 section 15.4)."""


class RedirectRefused(ResponseError):
    """A redirect that is not followed, as that would be unsafe or impossible.

    It leads from https to http, to another scheme, or to no valid URL; or the body would have to be
    sent to another origin, and cannot be read a second time.
    """


class SSEError(ResponseError):
    """A response that is no stream of server-sent events, or an event that is too large.

    The message has status, Content-Type and the beginning of the body, which `response` has, too:
    64 KiB of it at most. `retryable` is True for 429, 502, 503 and 504.
    """


class WebSocketRefused(ResponseError):
    """The response to an opening handshake opens no WebSocket (RFC 6455 section 4.1).

    Its status is not 101, or its fields are not those of a WebSocket, or they select a subprotocol
    or an extension that was not offered. The message says what came. `retryable` is True for 408,
    429, 502, 503 and 504.
    """


class AddressForbidden(DugongError):
    """The address of the server is not one that the guard of the `Client` allows."""


class MessageTooLarge(DugongError):
    """A message of a WebSocket is larger than `max_message` or `max_fragment` allows.

    The limit counts decompressed bytes. The WebSocket was closed with code 1009 (RFC 6455 section
    7.4.1).

    Attributes:
        code: 1009.

    """

    code = 1009


class TransferError(DugongError):
    """A file could not be downloaded or uploaded, for a reason that is not one of the connection.

    Attributes:
        path: path of the file, or of the part of it; empty if it was given as a file object.
        offset: bytes that are there, or were sent.
        limit: bytes that there should be, or may be; None if that is unknown.

    """

    def __init__(
        self,
        message: str = "",
        *,
        path: str = "",
        offset: int = 0,
        limit: int | None = None,
    ) -> None:
        super().__init__(message)
        self.path = path
        self.offset = offset
        self.limit = limit


class PartInUse(TransferError):
    """Another run, of this process or another one, transfers the same file.

    It is downloading it, or goes on with an upload by the same record.
    """


class TransferFileFailed(TransferError, OSError):
    """The file of a transfer cannot be written, or read: there may be no room.

    It has the attributes of the `OSError` that is its cause: ``errno``, ``strerror`` and
    ``filename``. Bytes that have arrived before are kept in the part, if there is one, and the next
    run goes on there.
    """

    def __init__(
        self,
        message: str = "",
        *,
        error: OSError | None = None,
        path: str = "",
        offset: int = 0,
        limit: int | None = None,
    ) -> None:
        super().__init__(message, path=path, offset=offset, limit=limit)
        if error is not None:
            self.errno, self.strerror = error.errno, error.strerror
        self.filename = path or None

    def __str__(self) -> str:
        return str(self.args[0]) if self.args else ""


class ContentChanged(TransferError):
    """The content has changed while it was transferred.

    A file was written to while it was uploaded; or a resource had another version in each attempt
    to download the rest of it.
    """

    retryable = True


class DigestMismatch(TransferError):
    """The bytes of a download are not those that a digest stands for.

    Nothing was written under the final name, and the part is removed, as nobody knows which of its
    bytes are wrong.

    Attributes:
        algorithm: as RFC 9530 calls it.
        expected: the digest that there should be.
        actual: the digest of what was received.

    """

    def __init__(
        self,
        message: str = "",
        *,
        algorithm: str = "",
        expected: bytes = b"",
        actual: bytes = b"",
        path: str = "",
        offset: int = 0,
    ) -> None:
        super().__init__(message, path=path, offset=offset)
        self.algorithm = algorithm
        self.expected = expected
        self.actual = actual


class UnusableRange(TransferError):
    """A 206 response whose bytes cannot be used: others than were asked for, or nobody knows which.

    Its Content-Range (RFC 9110 section 14.4) is missing or invalid, or nobody has asked for a part.
    """


class ProtocolError(DugongError):
    """The peer violated the protocol."""


class InvalidResponse(ProtocolError):
    """The server sent something that is not HTTP/1.0 or HTTP/1.1 (RFC 9112), or HTTP/2 (RFC 9113).

    With HTTP/2 a malformed response ends its stream only; other violations end the connection, and
    all requests on it.
    """


class UnsupportedResponse(ProtocolError):
    """The response is HTTP, but its body cannot be read (RFC 9112 section 6.1).

    Its end is unknown, so the connection cannot be used for further responses and has to be reset.
    """


class DecodingError(ProtocolError):
    """The content coding of a body is broken (RFC 9110 section 8.4).

    The body is truncated, has a wrong checksum, or goes on behind its end; or there are too many
    codings. It was received as the framing of HTTP says, so the connection is unchanged.

    Attributes:
        truncated: True if the body ends before the coding does.

    """

    truncated = False


class InvalidFrame(ProtocolError):
    """The server violated the protocol of WebSocket (RFC 6455 section 5).

    The WebSocket was closed with the code that says how (RFC 6455 section 7.4.1).

    Attributes:
        code: 1002 for frames that are not allowed, or compression that is broken; 1007 for text
            that is not UTF-8.

    """

    def __init__(self, message: str = "", *, code: int = 1002, request_sent: Sent = "no") -> None:
        super().__init__(message, request_sent=request_sent)
        self.code = code


class TransportError(DugongError):
    """The bytes did not get through."""

    retryable = True


class ConnectionClosed(TransportError, ConnectionError):
    """The connection ended before the request or its response was complete."""


class AnsweredEarly(ConnectionClosed):
    """An early final response: sent before the request was complete (RFC 9112 section 9.5).

    Nothing more of the request is sent, and the connection takes no further request. The same
    request would most likely get the same response, so it is not `retryable`. The body of the
    response can be read as usual: `HTTPConnection.read_response` comes first, unless another
    operation has called it.

    Attributes:
        response: the `HTTPResponse`, with status and fields: another object than the result of
            `HTTPConnection.read_response`, with the same contents, but without trailers.

    """

    retryable = False

    def __init__(
        self, message: str = "", *, request_sent: Sent = "no", response: Any = None
    ) -> None:
        super().__init__(message, request_sent=request_sent)
        self.response = response

    @classmethod
    def by(cls, response: Any, more: str = "") -> AnsweredEarly:
        """Return the error for *response*; *more* is added to the message."""
        message = f"the server answered {response.status} before the request was complete{more}"
        return cls(message, request_sent="yes", response=response)


class NotAnswered(ConnectionClosed):
    """A request of a `Pipeline` that was given up, as its connections ended before the answer.

    `request_sent` is the most that any of the attempts says, and `__cause__` is the last failure.

    Attributes:
        request: the `Request`.
        response: the `HTTPResponse`, if the head of one has arrived in the last attempt; else None.
        attempts: how often it was sent, or was about to be.

    """

    def __init__(
        self,
        message: str = "",
        *,
        request_sent: Sent = "no",
        request: Any = None,
        response: Any = None,
        attempts: int = 0,
    ) -> None:
        super().__init__(message, request_sent=request_sent)
        self.request = request
        self.response = response
        self.attempts = attempts


class GoneAway(ConnectionClosed):
    """The server has ended an HTTP/2 connection by GOAWAY (RFC 9113 section 6.8).

    `request_sent` is ``"no"`` if the server says that it has not processed the request.

    Attributes:
        last_id: the highest stream that the server has processed or may yet process.
        code: error code (RFC 9113 section 7), an `enum.IntEnum` if it is a registered one.
        debug: additional debug data of the server, not checked and not masked; it may be binary.

    """

    def __init__(
        self,
        message: str = "",
        *,
        last_id: int = 0,
        code: int = 0,
        debug: bytes = b"",
        request_sent: Sent = "no",
    ) -> None:
        super().__init__(message, request_sent=request_sent)
        self.last_id = last_id
        self.code = code
        self.debug = debug


# Error codes after which the same request may well succeed: INTERNAL_ERROR, REFUSED_STREAM, CANCEL.
TEMPORARY_RESETS: Final = frozenset({0x2, 0x7, 0x8})


class StreamReset(TransportError):
    """The server has reset the stream of the request (RFC 9113 sections 5.4.2 and 6.4).

    The connection and its other streams go on. `retryable` is True for INTERNAL_ERROR, CANCEL and
    REFUSED_STREAM; after the last one `request_sent` is ``"no"`` (RFC 9113 section 8.7).

    Attributes:
        code: error code (RFC 9113 section 7), an `enum.IntEnum` if it is a registered one.

    """

    def __init__(self, message: str = "", *, code: int = 0, request_sent: Sent = "no") -> None:
        super().__init__(message, request_sent=request_sent)
        self.code = code
        self.retryable = code in TEMPORARY_RESETS


class WebSocketClosed(ConnectionClosed):
    """A WebSocket is closed, so nothing more can be sent or received (RFC 6455 section 7).

    `retryable` is True if a new WebSocket may do better: 1001, 1006, 1011, 1012, 1013 and 1014.

    Attributes:
        code: that of the server's close frame, 1005 if there was none in it. Without such a frame,
            the one with which this side has failed the WebSocket; or 1006: the connection was lost.
        reason: that of the close frame, mostly empty.

    """

    def __init__(
        self, message: str = "", *, code: int = 1006, reason: str = "", request_sent: Sent = "no"
    ) -> None:
        super().__init__(message, request_sent=request_sent)
        self.code = code
        self.reason = reason
        self.retryable = code in TEMPORARY_CODES


# Codes of closed WebSockets (RFC 6455 section 7.4.1, and the registry of IANA): going away,
# abnormal closure, internal error, service restart, try again later, bad gateway.
TEMPORARY_CODES: Final = frozenset({1001, 1006, 1011, 1012, 1013, 1014})


class ConnectionTimedOut(TransportError, TimeoutError):
    """There was no progress for `HTTPConnection.timeout` seconds, or a deadline passed.

    Attributes:
        phase: the limit in `Timeouts`: a step of connecting, as in `DugongError`, of which
            ``"proxy-dns"``, ``"proxy-connect"`` and ``"proxy-tls"`` are limited by the same
            `Timeouts` as those with the server; ``"head"``, ``"read"``, ``"write"``, ``"total"``,
            ``"expect100"`` or ``"pool"``; ``"rate"`` for a `MinimumRate`; ``"pong"`` for a
            WebSocket whose server does not answer pings; ``""`` for a limit of your own, such as
            `within`.

    """

    def __init__(self, message: str = "", *, request_sent: Sent = "no", phase: str = "") -> None:
        super().__init__(message, request_sent=request_sent)
        self.phase = phase


class ContinueTimedOut(ConnectionTimedOut):
    """The server has not answered ``Expect: 100-continue`` in time.

    The body may be written now, as RFC 9110 section 10.1.1 allows.
    """


class PoolTimedOut(ConnectionTimedOut):
    """No connection of a `Pool` has become free within the time limit. Nothing was sent.

    Attributes:
        origin: the origin that a connection was needed for.
        busy: connections in use: all that the pool allows, or all that it allows for one origin.
        waited: seconds.

    """

    def __init__(
        self, message: str = "", *, origin: str = "", busy: int = 0, waited: float = 0.0
    ) -> None:
        super().__init__(message, phase="pool")
        self.origin = origin
        self.busy = busy
        self.waited = waited


class DeadlineExceeded(ConnectionTimedOut):
    """The total time for a request has passed: `Timeouts.total`, with redirects and retries."""

    def __init__(
        self, message: str = "", *, request_sent: Sent = "no", phase: str = "total"
    ) -> None:
        super().__init__(message, request_sent=request_sent, phase=phase)


class ConnectFailed(TransportError, ConnectionError):
    """No address of the host accepted a connection; `__cause__` is the last error."""

    phase = "connect"


class HandshakeFailed(TransportError):
    """The TLS handshake failed; `__cause__` is the error of the `ssl` module.

    `retryable` is False if the next attempt would fail, too: the peer has rejected the offers of
    the handshake by an alert (RFC 8446 section 6.2), such as handshake_failure or
    no_application_protocol; this side rejects those of the peer, or the protocol that it has
    selected by ALPN; or the server does not use TLS on the port.
    """

    phase = "tls"

    def __init__(
        self, message: str = "", *, request_sent: Sent = "no", retryable: bool | None = None
    ) -> None:
        super().__init__(message, request_sent=request_sent)
        if retryable is not None:
            self.retryable = retryable


class CertificateInvalid(HandshakeFailed):
    """The certificate of the server or proxy is expired, unknown, or for another name."""

    retryable = False


class ProtocolNotNegotiated(HandshakeFailed):
    """The server did not choose a protocol that was asked for (ALPN, RFC 7301).

    That is one of the *versions* of `HTTPConnection`.
    """

    retryable = False


class ClientCertificateRefused(HandshakeFailed, ConnectionClosed):
    """The peer does not accept the client's certificate, or misses one (RFC 8446 section 6.2).

    The message names the alert of the peer. With TLS 1.3 it arrives after the handshake, when a
    request is sent or its response is read: so this is a `ConnectionClosed`, too. `__cause__` is
    the error of the `ssl` module. If the alert is lost, for example because of a reset, the error
    is a plain `ConnectionClosed`.
    """

    retryable = False


class TunnelRefused(TransportError):
    """The proxy did not open a tunnel (RFC 9110 section 9.3.6, RFC 1928 section 6).

    `retryable` is True for a temporary failure: the response was 408, 429, 502, 503 or 504; the
    reply of SOCKS5 was 1, 3, 4, 5 or 6, all of them about the network behind the proxy; that of
    SOCKS4 was 91, its only general failure.

    Attributes:
        status: status code of the response; with SOCKS the code of the reply.
        reason: its reason phrase; with SOCKS the meaning of the code.
        body: its body, truncated after 65536 bytes; empty with SOCKS.
        retry_after: value of its field Retry-After, seconds or a date (RFC 9110 section
            10.2.3); None if there is none.

    """

    retryable = False
    phase = "proxy"

    def __init__(
        self,
        message: str = "",
        status: int = 0,
        reason: str = "",
        body: bytes = b"",
        *,
        retryable: bool = False,
        retry_after: str | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.reason = reason
        self.body = body
        self.retryable = retryable
        self.retry_after = retry_after


class HostnameNotResolvable(TransportError):
    """The name service says that the host name does not exist or has no address.

    Attributes:
        name: the host name; also of an exception that is made with a host name only, as by
            python-dugong.

    """

    retryable = False
    phase = "dns"

    def __init__(self, message: str = "", *, request_sent: Sent = "no", name: str = "") -> None:
        super().__init__(message, request_sent=request_sent)
        self.name = name or message


class DNSUnavailable(TransportError):
    """The host name could not be looked up; it may well exist.

    Attributes:
        name: the host name; see `HostnameNotResolvable`.

    """

    def __init__(self, message: str = "", *, request_sent: Sent = "no", name: str = "") -> None:
        super().__init__(message, request_sent=request_sent)
        self.name = name or message

    phase = "dns"


MAX_REFUSAL_BODY: Final = 65536  # bytes; an error page of a proxy is a few KiB
MAX_REFUSAL_TIME: Final = 5.0  # seconds until it has arrived; the status says enough

TEMPORARY_ERRNOS: Final = frozenset(
    getattr(errno, name)
    for name in [
        "ECONNABORTED",
        "ECONNREFUSED",
        "ECONNRESET",
        "EHOSTDOWN",
        "EHOSTUNREACH",
        "EINTR",
        "ENETDOWN",
        "ENETRESET",
        "ENETUNREACH",
        "ENOTCONN",
        "EPIPE",
        "ETIMEDOUT",
    ]
    if hasattr(errno, name)
)


def is_temp_network_error(exc: BaseException) -> bool:
    """Return True if *exc* may be a temporary problem of the network.

    It checks `retryable` of exceptions of this library, and type (`TimeoutError`,
    `ConnectionError`) or ``errno`` of all others. An invalid certificate, a name that does not
    exist and a protocol violation are not temporary.
    """
    if isinstance(exc, DugongError):
        return exc.retryable
    if isinstance(exc, TimeoutError | ConnectionError):
        return True
    return isinstance(exc, OSError) and exc.errno in TEMPORARY_ERRNOS
