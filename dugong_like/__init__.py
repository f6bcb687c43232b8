"""HTTP/1.1 for every way Python waits: each operation is written once, as a generator."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .connection import HTTPConnection
from .errors import (
    BodyTooLarge,
    CertificateInvalid,
    ConnectFailed,
    ConnectionClosed,
    ConnectionTimedOut,
    ContinueTimedOut,
    DNSUnavailable,
    DugongError,
    ExcessBodyData,
    FileTooShort,
    HandshakeFailed,
    HostnameNotResolvable,
    InvalidRequest,
    InvalidResponse,
    ProtocolError,
    StateError,
    TransportError,
    TunnelRefused,
    UnsupportedResponse,
    is_temp_network_error,
)
from .headers import CaseInsensitiveDict
from .http1.limits import (
    MAX_CHUNK_LINE,
    MAX_EXTENSIONS,
    MAX_FIELDS,
    MAX_HEADER_SIZE,
    MAX_INFORMATIONAL,
    MAX_LINE_SIZE,
)
from .http1.target import Target
from .message import BodyFollowing, Exchange, HTTPResponse
from .network import NetworkStream
from .polling import POLLIN, POLLOUT, Co, PollNeeded, Wake, both, first_of, run, stall, within
from .timeouts import Timeouts
from .transport.buffer import BUFFER_SIZE

if TYPE_CHECKING:
    from .auth import BasicAuth, DigestAuth
    from .budgets import Budget, RateLimit
    from .drivers.aio import AioFuture
    from .logs import log_events
    from .proxy.proxy import Proxy
    from .timings import Timings
    from .transport.tls import default_ssl_context

__version__ = "0.1.0"

__all__ = [
    "BUFFER_SIZE",
    "MAX_CHUNK_LINE",
    "MAX_EXTENSIONS",
    "MAX_FIELDS",
    "MAX_HEADER_SIZE",
    "MAX_INFORMATIONAL",
    "MAX_LINE_SIZE",
    "POLLIN",
    "POLLOUT",
    "AioFuture",
    "BasicAuth",
    "BodyFollowing",
    "BodyTooLarge",
    "Budget",
    "CaseInsensitiveDict",
    "CertificateInvalid",
    "Co",
    "ConnectFailed",
    "ConnectionClosed",
    "ConnectionTimedOut",
    "ContinueTimedOut",
    "DNSUnavailable",
    "DigestAuth",
    "DugongError",
    "ExcessBodyData",
    "Exchange",
    "FileTooShort",
    "HTTPConnection",
    "HTTPResponse",
    "HandshakeFailed",
    "HostnameNotResolvable",
    "InvalidRequest",
    "InvalidResponse",
    "NetworkStream",
    "PollNeeded",
    "ProtocolError",
    "Proxy",
    "RateLimit",
    "StateError",
    "Target",
    "Timeouts",
    "Timings",
    "TransportError",
    "TunnelRefused",
    "UnsupportedResponse",
    "Wake",
    "both",
    "default_ssl_context",
    "first_of",
    "is_temp_network_error",
    "log_events",
    "run",
    "stall",
    "within",
]


def __getattr__(name: str) -> Any:
    """Import what costs much, such as asyncio and ssl, when it is first asked for (PEP 562)."""
    if name == "AioFuture":
        from .drivers.aio import AioFuture  # noqa: PLC0415

        return AioFuture
    if name == "default_ssl_context":
        from .transport.tls import default_ssl_context  # noqa: PLC0415

        return default_ssl_context
    if name in {"BasicAuth", "DigestAuth"}:
        from . import auth  # noqa: PLC0415

        return getattr(auth, name)
    if name == "Proxy":
        from .proxy.proxy import Proxy  # noqa: PLC0415

        return Proxy
    if name in {"Budget", "RateLimit"}:
        from . import budgets  # noqa: PLC0415

        return getattr(budgets, name)
    if name == "Timings":
        from .timings import Timings  # noqa: PLC0415

        return Timings
    if name == "log_events":
        from .logs import log_events  # noqa: PLC0415

        return log_events
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
