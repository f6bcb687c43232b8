"""HTTP for every way Python waits: each operation is written once, as a generator."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from .errors import (
    AddressForbidden,
    AnsweredEarly,
    AuthenticationFailed,
    BodyTooLarge,
    CertificateInvalid,
    ClientCertificateRefused,
    ConnectFailed,
    ConnectionClosed,
    ConnectionTimedOut,
    ContentChanged,
    ContinueTimedOut,
    CookieConflict,
    DeadlineExceeded,
    DecodingError,
    DigestMismatch,
    DNSUnavailable,
    DugongError,
    ExcessBodyData,
    FileTooShort,
    GoneAway,
    HandshakeFailed,
    HostnameNotResolvable,
    InvalidFrame,
    InvalidOption,
    InvalidRequest,
    InvalidResponse,
    MessageTooLarge,
    NotAnswered,
    PartInUse,
    PoolTimedOut,
    ProtocolError,
    ProtocolNotNegotiated,
    RedirectRefused,
    ResponseClosed,
    ResponseError,
    ResponseNotRead,
    SSEError,
    StateError,
    StatusError,
    StreamConsumed,
    StreamNotReady,
    StreamReset,
    TooManyRedirects,
    TransferError,
    TransferFileFailed,
    TransportError,
    TunnelRefused,
    UnsupportedResponse,
    UnusableRange,
    WebSocketClosed,
    WebSocketRefused,
    is_temp_network_error,
)
from .http.headers import CaseInsensitiveDict, Headers
from .http.hosts import HTTP_PORT, HTTPS_PORT
from .http.request import BodyFollowing, Request
from .http.target import Target
from .http.version import VERSION
from .polling.contract import POLLIN, POLLOUT, Co, PollNeeded, run, within
from .polling.timeouts import Timeouts
from .polling.wake import Wake

if TYPE_CHECKING:
    from .client.api import (
        delete,
        download,
        get,
        head,
        options,
        patch,
        post,
        put,
        query,
        request,
        sse,
        stream,
        upload,
        websocket,
    )
    from .client.async_client import AsyncClient
    from .client.bulk.map_results import MapResults
    from .client.bulk.results import MapItem, MapProgress
    from .client.client import Client
    from .client.connector import Connector
    from .client.dispatchers.asgi import ASGIDispatcher
    from .client.dispatchers.mock import MockDispatcher
    from .client.dispatchers.wsgi import WSGIDispatcher
    from .client.event_source import EventSource
    from .client.layers.guard import PublicOnly
    from .client.layers.rate import RequestRate
    from .client.layers.retry import Retry
    from .client.lease import Lease
    from .client.pool import Pool
    from .client.pool_limits import Limits
    from .client.request import ClientRequest
    from .client.response import Response
    from .client.sync.results import SyncProgress, SyncResult, SyncStep
    from .client.transfers.results import DownloadResult, UploadResult
    from .connection.answers import Answer, AnswerStream
    from .connection.async_connection import AsyncConnection, async_connect
    from .connection.async_websocket import AsyncWebSocket
    from .connection.callbacks import HTTPStream
    from .connection.connection import HTTPConnection
    from .connection.exchange import Exchange, HTTPResponse, Reply
    from .connection.log import log_events
    from .connection.pipeline import Pipeline
    from .connection.shared_pipeline import PendingAnswer, SharedPipeline
    from .connection.websocket import WebSocket
    from .connection.websocket_handler import WebSocketHandler
    from .drivers.aio import AioFuture
    from .drivers.loopthread import LoopThread
    from .drivers.loopthreads import LoopThreads
    from .drivers.stuck import stuck
    from .http.auth.basic import BasicAuth
    from .http.auth.bearer import BearerAuth
    from .http.auth.digest import DigestAuth
    from .http.auth.flow import Auth
    from .http.auth.negotiate import NegotiateAuth
    from .http.auth.netrc import NetRCAuth
    from .http.auth.oauth1 import OAuth1
    from .http.auth.oauth2 import OAuth2
    from .http.auth.option import FunctionAuth
    from .http.auth.scope import BoundAuth
    from .http.cookie import Cookie
    from .http.cookies import Cookies
    from .http.h1.limits import (
        MAX_CHUNK_LINE,
        MAX_EXTENSIONS,
        MAX_FIELDS,
        MAX_HEADER_SIZE,
        MAX_INFORMATIONAL,
        MAX_LINE_SIZE,
    )
    from .http.h2.options import H2Options, H2Settings
    from .http.query import QueryParams
    from .http.sse import ServerSentEvent
    from .http.url import URL, Origin
    from .http.userinfo import split_credentials
    from .http.websocket.deflate import Deflate
    from .polling.combinators import both, first_of, stall
    from .polling.rates import Budget, LowestRate, MinimumRate, RateLimit
    from .transport.buffer import BUFFER_SIZE
    from .transport.connect.resolvers import CachingResolver
    from .transport.connect.socket_options import SocketOptions
    from .transport.custom import BaseStream, Transport
    from .transport.features import cipher_supported, features
    from .transport.filters.wire_dump import read_dump
    from .transport.proxy.proxy import Proxy
    from .transport.scripted import ScriptedStream, ScriptedTransport
    from .transport.stream import Stream
    from .transport.timings import Timings
    from .transport.tls.contexts import default_ssl_context, tls_context
    from .transport.tls.sessions import TLSSessions
    from .transport.upgraded.network_stream import NetworkStream

__version__ = VERSION

# Existing hosts, for ``HTTPConnection(dns_test_hostnames=…)``; not used by default.
DNS_TEST_HOSTNAMES: Final = (
    ("www.google.com", HTTP_PORT),
    ("www.iana.org", HTTP_PORT),
    ("C.root-servers.org", 53),
)

__all__ = [
    "BUFFER_SIZE",
    "DNS_TEST_HOSTNAMES",
    "HTTPS_PORT",
    "HTTP_PORT",
    "MAX_CHUNK_LINE",
    "MAX_EXTENSIONS",
    "MAX_FIELDS",
    "MAX_HEADER_SIZE",
    "MAX_INFORMATIONAL",
    "MAX_LINE_SIZE",
    "POLLIN",
    "POLLOUT",
    "URL",
    "AddressForbidden",
    "AioFuture",
    "Answer",
    "AnswerStream",
    "AnsweredEarly",
    "ASGIDispatcher",
    "AsyncClient",
    "AsyncConnection",
    "AsyncWebSocket",
    "Auth",
    "AuthenticationFailed",
    "BaseStream",
    "BasicAuth",
    "BearerAuth",
    "BodyFollowing",
    "BodyTooLarge",
    "BoundAuth",
    "Budget",
    "CachingResolver",
    "CaseInsensitiveDict",
    "CertificateInvalid",
    "Client",
    "ClientCertificateRefused",
    "ClientRequest",
    "Co",
    "ConnectFailed",
    "ConnectionClosed",
    "ConnectionTimedOut",
    "Connector",
    "ContentChanged",
    "ContinueTimedOut",
    "Cookie",
    "CookieConflict",
    "Cookies",
    "DNSUnavailable",
    "DeadlineExceeded",
    "DecodingError",
    "Deflate",
    "DigestAuth",
    "DigestMismatch",
    "DownloadResult",
    "DugongError",
    "ExcessBodyData",
    "EventSource",
    "Exchange",
    "FileTooShort",
    "GoneAway",
    "FunctionAuth",
    "H2Options",
    "H2Settings",
    "HTTPConnection",
    "HTTPResponse",
    "HTTPStream",
    "HandshakeFailed",
    "Headers",
    "HostnameNotResolvable",
    "InvalidFrame",
    "InvalidOption",
    "InvalidRequest",
    "InvalidResponse",
    "Lease",
    "Limits",
    "LoopThread",
    "LoopThreads",
    "LowestRate",
    "MapItem",
    "MapProgress",
    "MapResults",
    "MessageTooLarge",
    "MinimumRate",
    "MockDispatcher",
    "NegotiateAuth",
    "NetRCAuth",
    "NetworkStream",
    "NotAnswered",
    "OAuth1",
    "OAuth2",
    "Origin",
    "PartInUse",
    "PendingAnswer",
    "Pipeline",
    "PollNeeded",
    "Pool",
    "PoolTimedOut",
    "ProtocolError",
    "ProtocolNotNegotiated",
    "Proxy",
    "PublicOnly",
    "QueryParams",
    "RateLimit",
    "RedirectRefused",
    "Reply",
    "Request",
    "RequestRate",
    "Response",
    "ResponseClosed",
    "ResponseError",
    "ResponseNotRead",
    "Retry",
    "SSEError",
    "ScriptedStream",
    "ScriptedTransport",
    "ServerSentEvent",
    "SharedPipeline",
    "SocketOptions",
    "StateError",
    "StatusError",
    "Stream",
    "StreamConsumed",
    "StreamNotReady",
    "StreamReset",
    "SyncProgress",
    "SyncResult",
    "SyncStep",
    "TLSSessions",
    "Target",
    "Timeouts",
    "Timings",
    "TooManyRedirects",
    "TransferError",
    "TransferFileFailed",
    "Transport",
    "TransportError",
    "TunnelRefused",
    "UnsupportedResponse",
    "UnusableRange",
    "UploadResult",
    "Wake",
    "WebSocket",
    "WebSocketClosed",
    "WebSocketHandler",
    "WebSocketRefused",
    "async_connect",
    "both",
    "cipher_supported",
    "default_ssl_context",
    "delete",
    "download",
    "features",
    "first_of",
    "get",
    "head",
    "is_temp_network_error",
    "log_events",
    "options",
    "patch",
    "post",
    "put",
    "query",
    "read_dump",
    "request",
    "run",
    "split_credentials",
    "sse",
    "stall",
    "stream",
    "stuck",
    "tls_context",
    "upload",
    "websocket",
    "within",
    "WSGIDispatcher",
]


_LATER = {
    "HTTPConnection": ".connection.connection",
    "Exchange": ".connection.exchange",
    "HTTPResponse": ".connection.exchange",
    "Reply": ".connection.exchange",
    "MAX_CHUNK_LINE": ".http.h1.limits",
    "MAX_EXTENSIONS": ".http.h1.limits",
    "MAX_FIELDS": ".http.h1.limits",
    "MAX_HEADER_SIZE": ".http.h1.limits",
    "MAX_INFORMATIONAL": ".http.h1.limits",
    "MAX_LINE_SIZE": ".http.h1.limits",
    "BUFFER_SIZE": ".transport.buffer",
    "NetworkStream": ".transport.upgraded.network_stream",
    "Client": ".client.client",
    "AsyncClient": ".client.async_client",
    "Response": ".client.response",
    "ClientRequest": ".client.request",
    "Retry": ".client.layers.retry",
    "RequestRate": ".client.layers.rate",
    "PublicOnly": ".client.layers.guard",
    "MockDispatcher": ".client.dispatchers.mock",
    "WSGIDispatcher": ".client.dispatchers.wsgi",
    "ASGIDispatcher": ".client.dispatchers.asgi",
    "DownloadResult": ".client.transfers.results",
    "MapItem": ".client.bulk.results",
    "SyncProgress": ".client.sync.results",
    "SyncResult": ".client.sync.results",
    "SyncStep": ".client.sync.results",
    "MapProgress": ".client.bulk.results",
    "MapResults": ".client.bulk.map_results",
    "EventSource": ".client.event_source",
    "ServerSentEvent": ".http.sse",
    "delete": ".client.api",
    "download": ".client.api",
    "get": ".client.api",
    "head": ".client.api",
    "options": ".client.api",
    "patch": ".client.api",
    "query": ".client.api",
    "post": ".client.api",
    "put": ".client.api",
    "request": ".client.api",
    "sse": ".client.api",
    "stream": ".client.api",
    "upload": ".client.api",
    "websocket": ".client.api",
    "AioFuture": ".drivers.aio",
    "H2Options": ".http.h2.options",
    "H2Settings": ".http.h2.options",
    "Answer": ".connection.answers",
    "AnswerStream": ".connection.answers",
    "AsyncConnection": ".connection.async_connection",
    "AsyncWebSocket": ".connection.async_websocket",
    "Deflate": ".http.websocket.deflate",
    "WebSocket": ".connection.websocket",
    "WebSocketHandler": ".connection.websocket_handler",
    "Auth": ".http.auth.flow",
    "BasicAuth": ".http.auth.basic",
    "BearerAuth": ".http.auth.bearer",
    "BoundAuth": ".http.auth.scope",
    "Cookie": ".http.cookie",
    "Cookies": ".http.cookies",
    "DigestAuth": ".http.auth.digest",
    "FunctionAuth": ".http.auth.option",
    "NegotiateAuth": ".http.auth.negotiate",
    "NetRCAuth": ".http.auth.netrc",
    "OAuth1": ".http.auth.oauth1",
    "OAuth2": ".http.auth.oauth2",
    "HTTPStream": ".connection.callbacks",
    "LoopThread": ".drivers.loopthread",
    "LoopThreads": ".drivers.loopthreads",
    "Origin": ".http.url",
    "PendingAnswer": ".connection.shared_pipeline",
    "Pipeline": ".connection.pipeline",
    "SharedPipeline": ".connection.shared_pipeline",
    "Proxy": ".transport.proxy.proxy",
    "QueryParams": ".http.query",
    "BaseStream": ".transport.custom",
    "ScriptedStream": ".transport.scripted",
    "ScriptedTransport": ".transport.scripted",
    "Stream": ".transport.stream",
    "Transport": ".transport.custom",
    "SocketOptions": ".transport.connect.socket_options",
    "CachingResolver": ".transport.connect.resolvers",
    "URL": ".http.url",
    "UploadResult": ".client.transfers.results",
    "TLSSessions": ".transport.tls.sessions",
    "default_ssl_context": ".transport.tls.contexts",
    "tls_context": ".transport.tls.contexts",
    "Connector": ".client.connector",
    "Lease": ".client.lease",
    "Limits": ".client.pool_limits",
    "Pool": ".client.pool",
    "Budget": ".polling.rates",
    "LowestRate": ".polling.rates",
    "MinimumRate": ".polling.rates",
    "RateLimit": ".polling.rates",
    "Timings": ".transport.timings",
    "async_connect": ".connection.async_connection",
    "both": ".polling.combinators",
    "first_of": ".polling.combinators",
    "stall": ".polling.combinators",
    "cipher_supported": ".transport.features",
    "features": ".transport.features",
    "stuck": ".drivers.stuck",
    "split_credentials": ".http.userinfo",
    "read_dump": ".transport.filters.wire_dump",
    "log_events": ".connection.log",
    "ssl": ".transport.tls.contexts",  # a name of python-dugong: the module of the standard library
}


def __getattr__(name: str) -> Any:
    """Import what a program needs when it first asks for it (PEP 562).

    A program with a client only needs no connection before its first request, and most programs
    need neither asyncio nor ssl.
    """
    if name not in _LATER:
        from .client.other_names import OF_PACKAGE, no_attribute  # noqa: PLC0415 - rare

        raise no_attribute(None, f"module {__name__!r}", name, OF_PACKAGE)
    module = __import__(__name__ + _LATER[name], fromlist=[name])
    value = globals()[name] = getattr(module, name)
    return value
