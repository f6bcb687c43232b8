"""HTTP/1.1 for every way Python waits: each operation is written once, as a generator."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .connection import HTTPConnection
from .errors import (
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
    InvalidOption,
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
from .transport.buffer import BUFFER_SIZE
from .transport.options import SocketOptions

if TYPE_CHECKING:
    from .auth import BasicAuth, DigestAuth
    from .drivers.aio import AioFuture
    from .proxy.proxy import Proxy
    from .transport.contexts import default_ssl_context, tls_context
    from .transport.resolvers import CachingResolver
    from .transport.sessions import TLSSessions

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
    "CachingResolver",
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
    "InvalidOption",
    "InvalidRequest",
    "InvalidResponse",
    "NetworkStream",
    "PollNeeded",
    "ProtocolError",
    "Proxy",
    "SocketOptions",
    "StateError",
    "TLSSessions",
    "Target",
    "TransportError",
    "TunnelRefused",
    "UnsupportedResponse",
    "Wake",
    "both",
    "default_ssl_context",
    "first_of",
    "is_temp_network_error",
    "run",
    "stall",
    "tls_context",
    "within",
]


def __getattr__(name: str) -> Any:
    """Import what costs much, such as asyncio and ssl, when it is first asked for (PEP 562)."""
    if name == "AioFuture":
        from .drivers.aio import AioFuture  # noqa: PLC0415

        return AioFuture
    if name == "CachingResolver":
        from .transport.resolvers import CachingResolver  # noqa: PLC0415

        return CachingResolver
    if name == "TLSSessions":
        from .transport.sessions import TLSSessions  # noqa: PLC0415

        return TLSSessions
    if name in {"default_ssl_context", "tls_context"}:
        from .transport import contexts  # noqa: PLC0415

        return getattr(contexts, name)
    if name in {"BasicAuth", "DigestAuth"}:
        from . import auth  # noqa: PLC0415

        return getattr(auth, name)
    if name == "Proxy":
        from .proxy.proxy import Proxy  # noqa: PLC0415

        return Proxy
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
