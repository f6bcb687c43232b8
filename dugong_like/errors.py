"""Every exception the library raises on purpose, and what to do about it.

    DugongError
    |-- StateError                 you called out of order                 fix the caller
    |   `-- StreamNotReady             a stream of yours cannot be waited for
    |-- InvalidRequest             the request cannot go on the wire       fix the caller
    |-- InvalidOption              an option cannot be what was given      fix the caller
    |-- ExcessBodyData             more body data than announced           fix the caller
    |-- FileTooShort               less in a file than was to be sent      fix the caller
    |-- BodyTooLarge               a response beyond your own budget       discard it, or reset
    |-- ProtocolError              the peer broke the protocol             report, do not retry
    |   |-- InvalidResponse            this is not HTTP/1.0 or HTTP/1.1
    |   `-- UnsupportedResponse        HTTP, but the end of it cannot be found
    `-- TransportError             the bytes did not get through           retry, mostly
        |-- ConnectionClosed           the connection ended too early
        |   `-- AnsweredEarly              the server had enough of the request: read its answer
        |-- ConnectionTimedOut         nothing moved, or the deadline passed
        |   `-- ContinueTimedOut           no 100 (Continue): the body may be sent now
        |-- ConnectFailed              no address accepted the connection
        |-- HandshakeFailed            TLS could not be set up
        |   |-- CertificateInvalid         the peer is not who it should be
        |   `-- ClientCertificateRefused   the peer wants another client certificate
        |-- TunnelRefused              the proxy said no to CONNECT or SOCKS
        |-- HostnameNotResolvable      the name does not exist
        `-- DNSUnavailable             nobody can say whether the name exists

Each carries two answers for code that retries: `retryable` (may the same call
succeed later, on a new connection?) and `request_sent` (may the server have acted
on the request?). A request that is not idempotent may be repeated only if
`request_sent` is ``"no"``. Those of connecting also say in `phase` at which step that
was, and whether with the server or with a proxy.

An error of an operation names what it was about, in front of its message and in two
attributes: the request with its URL or, where there is none yet, the place that is connected
to. `DugongError.label` does that where the operation ends (session.py, duplex.py).

Not here: what the standard library raises for arguments of the wrong type.
"""

from __future__ import annotations

import errno
from typing import Any, Final, Literal

Sent = Literal["no", "maybe", "yes"]
STEPS: Final = frozenset(["dns", "connect", "tls"])  # of connecting, with a server or a proxy
MAX_LABEL: Final = 500  # characters in front of a message; a URL may have thousands


class DugongError(Exception):
    """Base of every exception that the library raises on purpose.

    Attributes:
        retryable: True if the same call may succeed later, on a new connection.
        request_sent: ``"no"`` if the server has certainly not seen the whole
            request, ``"yes"`` if a part of its response has arrived, ``"maybe"``
            if neither is known.
        method: method of the request that it is about; empty if it is about no single request,
            such as an error of connecting.
        url: URL of that request, or of the origin, without credentials. Empty if it is about
            neither.
        phase: the step of connecting that failed. With the server: ``"dns"``,
            ``"connect"``, ``"tls"``; with a proxy: ``"proxy-dns"``, ``"proxy-connect"``,
            ``"proxy-tls"``, and ``"proxy"`` for what is said with it. ``""`` if it was none
            of these; `ConnectionTimedOut` has some more.

    """

    retryable: bool = False
    request_sent: Sent
    method: str = ""
    url: str = ""
    phase: str = ""

    def __init__(self, message: str = "", *, request_sent: Sent = "no") -> None:
        super().__init__(message)
        self.request_sent = request_sent

    def label(self, method: str, url: str, note: str = "") -> None:
        """Put what the error is about in front of its message, unless that was done before.

        An error that passes several layers, or is raised again, keeps its first label.

        Args:
            method: see the attribute.
            url: see the attribute; not empty.
            note: what else the message says of it.

        """
        if self.url:
            return
        self.method, self.url = method, url
        text = str(self)
        name = f"{method} {url}" if method else url
        if f"{name}: " in text:
            return  # the error that it follows from is about the same
        if len(name) > MAX_LABEL:
            name = f"{name[:MAX_LABEL]}..."
        self.args = (f"{name}{note}: {text}" if text else f"{name}{note}",)

    def blame_proxy(self, name: str) -> None:
        """Say in `phase` and in the message that it was a proxy, not the server.

        Args:
            name: what to call it, with its host and port.

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

    @property
    def msg(self) -> str:
        """The message, as ``str()`` gives it; the name that python-dugong has for it."""
        return str(self)


class StateError(DugongError):
    """The operation makes no sense in the current state of the connection."""


class StreamNotReady(StateError, BlockingIOError):
    """A non-blocking stream of yours has to be waited for, and there is no way to do that.

    It has no descriptor (``fileno``), or one that is ready although the stream is not. If it
    was to be written, ``characters_written`` says how many of the bytes it has taken.
    """


class InvalidRequest(DugongError, ValueError):
    """A part of the request may not go on the wire (RFC 9110 section 5.5, RFC 9112 section 3)."""


class InvalidOption(DugongError, ValueError):
    """An option of a connection or of a TLS context cannot be used as it was given.

    The message names the option, or the file, and the reason. `__cause__` has the error of
    the system or of the `ssl` module, if there is one.
    """


class ExcessBodyData(DugongError):
    """More body data was handed over than the request announced."""


class FileTooShort(DugongError, EOFError):
    """A file ended before as much of it had been sent as was asked for."""


class BodyTooLarge(DugongError):
    """The body of a response is larger than `Budget.max_body` allows.

    No more than that was delivered, and the connection is untouched: `HTTPConnection.discard`
    passes the rest by, `HTTPConnection.reset` closes the connection.
    """


class ProtocolError(DugongError):
    """The peer broke the protocol."""


class InvalidResponse(ProtocolError):
    """The server sent something that is not HTTP/1.0 or HTTP/1.1 (RFC 9112)."""


class UnsupportedResponse(ProtocolError):
    """The response is HTTP, but its body cannot be delivered (RFC 9112 section 6.1).

    Where it ends is unknown, so the connection is out of step with the server
    and has to be reset.
    """


class TransportError(DugongError):
    """The bytes did not get through."""

    retryable = True


class ConnectionClosed(TransportError, ConnectionError):
    """The connection ended before the request or its response was complete."""


class AnsweredEarly(ConnectionClosed):
    """The server gave its final response before it had the whole request (RFC 9112 section 9.5).

    Nothing more of the request is sent, and the connection takes no further one. The same request
    would most likely get the same response, so it is not `retryable`. The body of the response can
    be read as that of any other: `HTTPConnection.read_response` comes first, unless another
    operation has called it.

    Attributes:
        response: the `HTTPResponse`, with status and fields. It is equal to what
            `HTTPConnection.read_response` returns, but an object of its own, without trailers.

    """

    retryable = False

    def __init__(
        self, message: str = "", *, request_sent: Sent = "no", response: Any = None
    ) -> None:
        super().__init__(message, request_sent=request_sent)
        self.response = response

    @classmethod
    def by(cls, response: Any, more: str = "") -> AnsweredEarly:
        """Return the error that *response* is; *more* goes behind the message."""
        message = f"the server answered {response.status} before the request was complete{more}"
        return cls(message, request_sent="yes", response=response)


class ConnectionTimedOut(TransportError, TimeoutError):
    """Nothing moved for `HTTPConnection.timeout` seconds, or a deadline passed.

    Attributes:
        phase: which of the `Timeouts` it was: a step of connecting, as in `DugongError`, of
            which ``"proxy-dns"``, ``"proxy-connect"`` and ``"proxy-tls"`` are limited by the
            same `Timeouts` as those with the server; ``"read"``, ``"write"``, ``"total"`` or
            ``"expect100"``; ``"rate"`` for a `LowestRate`; ``""`` if it was none of these but a
            limit of your own, as `within` sets it.

    """

    def __init__(self, message: str = "", *, request_sent: Sent = "no", phase: str = "") -> None:
        super().__init__(message, request_sent=request_sent)
        self.phase = phase


class ContinueTimedOut(ConnectionTimedOut):
    """The server has not answered ``Expect: 100-continue`` in time.

    The body may be written now, as RFC 9110 section 10.1.1 allows.
    """


class ConnectFailed(TransportError, ConnectionError):
    """No address of the host accepted a connection; `__cause__` has the last error."""

    phase = "connect"


class HandshakeFailed(TransportError):
    """TLS could not be set up; `__cause__` has the error of the `ssl` module.

    `retryable` is False if it would be the same the next time: the peer has ended the handshake
    with an alert which says that it will not agree to what is offered (RFC 8446 section 6.2), such
    as handshake_failure or no_application_protocol; this side does not agree to what the peer
    offers, or has chosen by ALPN; or no TLS is spoken on the port.
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


class ClientCertificateRefused(HandshakeFailed, ConnectionClosed):
    """The peer does not accept the client's certificate, or misses one (RFC 8446 section 6.2).

    It says so by an alert, which the message names. With TLS 1.3 it arrives after the
    handshake, when a request is sent or its response is read: so this is a
    `ConnectionClosed` as well. `__cause__` has the error of the `ssl` module. If the alert gets
    lost on its way, as a reset may have the network or another system drop it, it is a plain
    `ConnectionClosed`.
    """

    retryable = False


class TunnelRefused(TransportError):
    """The proxy did not open a tunnel (RFC 9110 section 9.3.6, RFC 1928 section 6).

    `retryable` is True if that may be different soon: the answer was 408, 429, 502, 503 or
    504; the reply of SOCKS5 was 1, 3, 4, 5 or 6, all of them about the network behind
    the proxy; that of SOCKS4 was 91, which stands for all of these.

    Attributes:
        status: status code of the proxy's answer; of SOCKS the code in its reply.
        reason: its reason phrase; of SOCKS what the code means.
        body: its body, cut off after 65536 bytes; of SOCKS none.
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
        name: the host name. An exception made with nothing but a host name, as python-dugong
            makes it, has that one.

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

    Knows the exceptions of this library by their `retryable`, everything else by
    its type (`TimeoutError`, `ConnectionError`) or its ``errno``. A certificate
    that does not fit, a name that does not exist and a broken protocol are not
    temporary.
    """
    if isinstance(exc, DugongError):
        return exc.retryable
    if isinstance(exc, TimeoutError | ConnectionError):
        return True
    return isinstance(exc, OSError) and exc.errno in TEMPORARY_ERRNOS
