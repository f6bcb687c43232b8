"""Tables of exceptions: of this library as those of httpx and httpcore, and vice versa.

Names only, so that nothing is imported: httpx.py and httpx_network.py raise by this table, and the
tables in the documentation are made from it. httpx and httpcore have the same names.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

PHASES: Final = ("connect", "write", "read")  # phases of a request; columns of the tables
Table = Mapping[str, tuple[str, str, str]]

LOCAL: Final = ("LocalProtocolError",) * 3
REMOTE: Final = ("RemoteProtocolError",) * 3
TIMED_OUT: Final = ("ConnectTimeout", "WriteTimeout", "ReadTimeout")
FAILED: Final = ("ConnectError", "WriteError", "ReadError")

# The exception that a request raises, for each exception of a connection. An exception that is not
# listed is treated as its base class.
ERRORS: Final[Table] = {
    "StateError": LOCAL,  # such as an incomplete body
    "StreamNotReady": LOCAL,
    "InvalidRequest": LOCAL,
    "InvalidOption": LOCAL,
    "ExcessBodyData": LOCAL,
    "FileTooShort": LOCAL,
    "BodyTooLarge": FAILED,
    "ProtocolError": REMOTE,
    "InvalidResponse": REMOTE,
    "UnsupportedResponse": REMOTE,
    "TransportError": FAILED,
    "ConnectionClosed": ("ConnectError", "WriteError", "RemoteProtocolError"),
    "AnsweredEarly": ("ConnectError", "WriteError", "RemoteProtocolError"),
    "ConnectionTimedOut": TIMED_OUT,
    "ContinueTimedOut": TIMED_OUT,
    "PoolTimedOut": ("PoolTimeout",) * 3,
    "ConnectFailed": FAILED,
    "HandshakeFailed": FAILED,
    "CertificateInvalid": FAILED,
    "ClientCertificateRefused": FAILED,
    "TunnelRefused": ("ProxyError",) * 3,
    "HostnameNotResolvable": FAILED,
    "DNSUnavailable": FAILED,
}
# The same for a "network_stream": a protocol other than HTTP has no errors of HTTP.
STREAM_ERRORS: Final[Table] = {"DugongError": FAILED, "ConnectionTimedOut": TIMED_OUT}

# The other direction: exceptions to catch here instead of each of theirs, the most frequent one
# first; a text if there is none.
THEIRS: Final[Mapping[str, tuple[str, ...] | str]] = {
    "ConnectError": (
        *("ConnectFailed", "HostnameNotResolvable", "DNSUnavailable", "HandshakeFailed"),
        *("CertificateInvalid", "ClientCertificateRefused", "ConnectionClosed"),
        *("TransportError", "BodyTooLarge", "AnsweredEarly"),
    ),
    "ConnectTimeout": ("ConnectionTimedOut", "ContinueTimedOut"),
    "ReadError": (
        *("TransportError", "BodyTooLarge", "ConnectFailed", "HandshakeFailed"),
        *("CertificateInvalid", "ClientCertificateRefused", "HostnameNotResolvable"),
        "DNSUnavailable",
    ),
    "ReadTimeout": ("ConnectionTimedOut", "ContinueTimedOut"),
    "WriteError": (
        *("ConnectionClosed", "TransportError", "BodyTooLarge", "ConnectFailed", "AnsweredEarly"),
        *("HandshakeFailed", "CertificateInvalid", "ClientCertificateRefused"),
        *("HostnameNotResolvable", "DNSUnavailable"),
    ),
    "WriteTimeout": ("ConnectionTimedOut", "ContinueTimedOut"),
    "ProxyError": ("TunnelRefused",),
    "LocalProtocolError": (
        *("InvalidRequest", "StateError", "ExcessBodyData", "FileTooShort", "InvalidOption"),
        "StreamNotReady",
    ),
    "RemoteProtocolError": (
        *("InvalidResponse", "UnsupportedResponse", "ProtocolError", "ConnectionClosed"),
        "AnsweredEarly",
    ),
    "UnsupportedProtocol": "a scheme that is none is `InvalidRequest` of a `URL`",
    "InvalidURL": "`InvalidRequest` of a `URL`",
    "PoolTimeout": ("PoolTimedOut",),
    "ConnectionNotAvailable": "`StateError`: another operation has its turn",
    "CloseError": "closing raises nothing",
    "NetworkError": "`TransportError`; there it is what the errors of connecting, reading and "
    "writing have in common",
    "TimeoutException": "`ConnectionTimedOut`; there it is what the time-outs have in common",
    "ProtocolError": "`ProtocolError`, which is the server's fault; `InvalidRequest` and "
    "`StateError` are the caller's",
    "TransportError": "`DugongError`; there it is what all of a transport have in common",
    "RequestError": "`DugongError`",
    "HTTPError": "`DugongError`",
    "HTTPStatusError": "`StatusError` of a client",
    "TooManyRedirects": "`TooManyRedirects` of a client",
    "DecodingError": "decompression is left to the caller",
    "CookieConflict": "cookies are left to the caller",
    "StreamError": "`StateError`",
    "StreamConsumed": "`StreamConsumed` of a client",
    "StreamClosed": "`ResponseClosed` of a client",
    "SSEError": "`SSEError` of a client",
    "RequestNotRead": "bodies of requests are not kept",
    "ResponseNotRead": "`ResponseNotRead` of a client",
}


def name_of(exc: BaseException, phase: str, table: Table = ERRORS) -> str | None:
    """Return the name of *exc* there in one of `PHASES`; None if it is not of this library."""
    for kind in type(exc).__mro__:
        if kind.__name__ in table:
            return table[kind.__name__][PHASES.index(phase)]
    return None
