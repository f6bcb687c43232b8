"""The optional arguments of `HTTPConnection`, for the types of what passes them on.

Not here: what they mean (connection.py), and their defaults (config.py).
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Sequence
from socket import socket
from typing import TypedDict

from ..http.h2.options import H2Options, H2Settings
from ..polling.rates import Budget
from ..polling.timeouts import Timeouts
from ..transport.connect.resolvers import Resolver
from ..transport.connect.socket_options import SocketOptions
from ..transport.custom import Transport
from ..transport.filters.wire_dump import TraceFile
from ..transport.proxy.proxy import Proxy
from ..transport.tls.sessions import TLSSessions
from ..transport.trace import Trace
from .exchange import HTTPResponse


class KeywordOptions(TypedDict, total=False):
    """The keyword arguments of `HTTPConnection`, except *content_md5*."""

    timeout: float | Timeouts | None
    expect100_timeout: float | None
    http_version: str
    versions: Sequence[str]
    http2: H2Options | None
    on_settings: Callable[[H2Settings], object] | None
    buffer_size: int
    max_line_size: int
    max_header_size: int
    max_fields: int
    max_informational: int
    max_chunk_line: int
    max_extensions: int
    on_informational: Callable[[HTTPResponse], object] | None
    dns_test_hostnames: Sequence[str | tuple[str, int]]
    server_hostname: str | None
    fingerprint: str | Iterable[str] | None
    tls_sessions: TLSSessions | bool
    socket_options: SocketOptions | None
    uds: str | bytes | os.PathLike[str] | None
    sock: socket | None
    resolver: Resolver | None
    transport: Transport | None
    trace: Trace | None
    timings: bool
    trace_file: TraceFile | None
    budget: Budget | None
    whole_below: int


class ConnectionOptions(KeywordOptions, total=False):
    """The arguments of `HTTPConnection` but for the server and the context for TLS."""

    proxy: Proxy | tuple[str, int] | str | None
    content_md5: bool | None
