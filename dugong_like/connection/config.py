"""Validates the arguments of `HTTPConnection`, once, and keeps them for its sessions.

Not here: what the arguments mean (connection.py), the checks of those about the way to the
server (transport/connect/options.py), and the operations (operations.py).
"""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any, Final, cast

from ..errors import InvalidOption, InvalidRequest
from ..http.h1.head_cache import RecentHeads
from ..http.h1.limits import (
    MAX_CHUNK_LINE,
    MAX_EXTENSIONS,
    MAX_FIELDS,
    MAX_HEADER_SIZE,
    MAX_INFORMATIONAL,
    MAX_LINE_SIZE,
    Limits,
)
from ..http.h1.request_head import RequestHeads
from ..http.headers import exact
from ..http.hosts import (
    HTTP_PORT,
    HTTPS_PORT,
    authority,
    check_hostname,
    check_port,
)
from ..http.redaction import quoted
from ..polling.numbers import check_int, check_seconds
from ..polling.timeouts import Timeouts, as_timeouts
from ..transport.buffer import BUFFER_SIZE, spare_memory
from ..transport.connect.options import transport_options
from ..transport.connect.route import Route
from .exchange import HTTPResponse, kind_of_exchange

if TYPE_CHECKING:
    import os
    from socket import socket

    from ..http.h2.options import H2Options, H2Settings
    from ..polling.rates import Budget
    from ..transport.connect.resolvers import Resolver
    from ..transport.connect.socket_options import SocketOptions
    from ..transport.custom import Transport
    from ..transport.filters.chain import Filters
    from ..transport.filters.wire_dump import TraceFile
    from ..transport.proxy.forward import Forwarding
    from ..transport.proxy.proxy import Proxy
    from ..transport.tls.over_socket import SSLContext
    from ..transport.tls.sessions import TLSSessions
    from ..transport.trace import Trace
    from .h2.options import EitherHeads

HTTP_1: Final[tuple[str, ...]] = ("http/1.1",)
VERSIONS: Final = {"1.0": 0, "1.1": 1}
LEAST_STATUS: Final = 100
ALL_STATUSES: Final = 1000  # one more than the last of them


class ConnectionConfig:
    """The arguments of `HTTPConnection`, checked, and what follows from them.

    Checked once and never changed; any number of connections may have the same one.

    Args:
        hostname: and all others: see `HTTPConnection`.

    Raises:
        InvalidRequest, InvalidOption, TypeError, ValueError: see `HTTPConnection`.

    Attributes:
        hostname: as given.
        proxy: as given, as a `Proxy`.
        versions: what may be spoken, in the order of preference.
        prefers_h2: True if a connection is made for HTTP/2, perhaps to find that the server does
            not speak it.
        http2: options of HTTP/2, or None for the default ones.
        on_settings: called with each SETTINGS of an HTTP/2 server, or None.
        proxy_given: True if it was given as such, and not as a pair or URL.
        heads: writes the heads of requests.
        route: where a connection leads.
        limits: of response heads.
        buffer_size: bytes of the receive buffer.
        spare: memory of that size; see `ReceiveBuffer`.
        recent_heads: finds heads of responses that have come before.
        on_informational: called with each 1xx response, or None.
        on_forwarded: called with each final head that a forward proxy has passed on, or None; what
            it returns says whether the proxy keeps the connection.
        timeout: as given, for each new connection object.
        new_exchange: makes exchanges for connections with it.
        expect100_timeout: seconds to wait for 100 (Continue).
        trace: called with each event, or None.
        timings: True if the time of each exchange is taken.
        is_observed: True if any of these is.
        is_direct: True if nothing has to see what passes: no observer, filter or forward proxy.
        max_body: bytes of a response's body that are delivered at most, or None.
        may_log: True if it has no trace of its own, so that it logs if somebody wants that.
        filters: what every new stream is wrapped in, or None.
        whole_below: as given.

    """

    __slots__ = (
        *("buffer_size", "expect100_timeout", "filters", "heads", "hostname", "http2", "is_direct"),
        *(
            "is_observed",
            "limits",
            "max_body",
            "may_log",
            "new_exchange",
            "on_forwarded",
            "on_informational",
            "on_settings",
            "prefers_h2",
            "proxy",
            "proxy_given",
            "recent_heads",
        ),
        *("route", "spare", "timeout", "timings", "trace", "versions", "whole_below"),
    )

    def __init__(  # noqa: PLR0913 - each is documented at HTTPConnection
        self,
        hostname: str,
        port: int | None = None,
        ssl_context: SSLContext | None = None,
        proxy: Proxy | tuple[str, int] | str | None = None,
        *,
        timeout: float | Timeouts | None = None,
        expect100_timeout: float | None = None,
        http_version: str = "1.1",
        versions: Sequence[str] = HTTP_1,
        http2: H2Options | None = None,
        on_settings: Callable[[H2Settings], object] | None = None,
        buffer_size: int = BUFFER_SIZE,
        max_line_size: int = MAX_LINE_SIZE,
        max_header_size: int = MAX_HEADER_SIZE,
        max_fields: int = MAX_FIELDS,
        max_informational: int = MAX_INFORMATIONAL,
        max_chunk_line: int = MAX_CHUNK_LINE,
        max_extensions: int = MAX_EXTENSIONS,
        on_informational: Callable[[HTTPResponse], object] | None = None,
        dns_test_hostnames: Sequence[str | tuple[str, int]] = (),
        server_hostname: str | None = "",
        fingerprint: str | Iterable[str] | None = None,
        tls_sessions: TLSSessions | bool = True,
        socket_options: SocketOptions | None = None,
        uds: str | bytes | os.PathLike[str] | None = None,
        sock: socket | None = None,
        resolver: Resolver | None = None,
        transport: Transport | None = None,
        trace: Trace | None = None,
        timings: bool = False,
        trace_file: TraceFile | None = None,
        budget: Budget | None = None,
        whole_below: int = ALL_STATUSES,
    ) -> None:
        self.hostname = hostname
        is_https = ssl_context is not None
        self.heads: RequestHeads | EitherHeads
        name, port, host, self.heads = _origin_of(hostname, port, is_https)
        forwarding = self._use_proxy(proxy, name, is_https)
        if forwarding is not None or http_version != "1.1":
            self.heads = _other_heads(host, forwarding, http_version)
        self.versions = HTTP_1
        self.http2, self.on_settings, self.prefers_h2 = http2, on_settings, False
        if versions is not HTTP_1 or http2 is not None or on_settings is not None:
            self._choose_versions(versions, host, is_https=is_https)
        self.limits = _limits_of(
            *(max_line_size, max_header_size, max_fields),
            *(max_informational, max_chunk_line, max_extensions),
        )
        # Of a head of so many bytes no line can be too long.
        self.recent_heads = RecentHeads(max_fields, min(max_line_size, max_header_size))
        if expect100_timeout is not None:
            check_seconds(expect100_timeout, "expect100_timeout")
        self.expect100_timeout = expect100_timeout
        check_int("whole_below", whole_below, LEAST_STATUS, ALL_STATUSES)
        self.whole_below = whole_below
        check_int("buffer_size", buffer_size, 1)
        self.buffer_size = buffer_size
        self.spare = spare_memory(buffer_size)
        if on_informational is not None and not callable(on_informational):
            raise TypeError(f"on_informational is a function, not {quoted(on_informational)}")
        self.on_informational = on_informational
        if timeout is not None:
            as_timeouts(timeout)  # before a socket is taken over, which would be closed then
        self.timeout = timeout
        self.new_exchange = kind_of_exchange(timeout)
        self._observe(trace, timings, trace_file, budget)
        options = transport_options(
            name,
            ssl_context,
            server_hostname=server_hostname,
            fingerprint=fingerprint,
            tls_sessions=tls_sessions,
            socket_options=socket_options,
            uds=uds,
            sock=sock,
            resolver=resolver,
            transport=transport,
        )
        test_names = _test_names(dns_test_hostnames)
        self.route = Route(name, port, ssl_context, self.proxy, self.limits, test_names, options)

    def _use_proxy(
        self, proxy: Proxy | tuple[str, int] | str | None, name: str, is_https: bool
    ) -> Forwarding | None:
        """Check the proxy; return its fields if requests to the server *name* are forwarded."""
        self.proxy = checked_proxy(proxy)
        self.proxy_given = self.proxy is proxy
        self.on_forwarded = forwarding = None
        if self.proxy is not None and self.proxy.forwards(name, https=is_https):
            forwarding = self.proxy.forwarding()
            self.on_forwarded = forwarding.note_response
        return forwarding

    def _choose_versions(self, versions: Sequence[str], host: str, *, is_https: bool) -> None:
        """Check what may be spoken, and the options of HTTP/2."""
        from .h2.options import EitherHeads, check_options, check_versions  # noqa: PLC0415 - HTTP/2

        self.versions = check_versions(versions)
        check_options(self.http2, self.on_settings)
        # Without TLS the server cannot be asked (RFC 9113 section 3.3): it is HTTP/2 or not.
        self.prefers_h2 = "h2" in self.versions and (is_https or self.versions == ("h2",))
        if self.prefers_h2:
            heads = cast("RequestHeads", self.heads)
            if not heads.minor:
                raise InvalidOption("http_version 1.0 goes with HTTP/1 only: versions has h2")
            if self.on_forwarded is not None:
                raise InvalidOption("a proxy that forwards requests takes HTTP/1 only")
            self.heads = EitherHeads(heads, "https" if is_https else "http", host)

    def _observe(
        self,
        trace: Trace | None,
        timings: bool,
        trace_file: TraceFile | None,
        budget: Budget | None,
    ) -> None:
        """Check what is wanted of a connection besides that it works."""
        self.may_log = trace is None
        if trace is None and _is_logged():
            from .log import log_event  # noqa: PLC0415 - loaded already

            trace = log_event
        if trace is not None and not callable(trace):
            raise TypeError(f"trace is a function, not {quoted(trace)}")
        self.trace = trace
        self.timings = bool(timings)
        self.is_observed = trace is not None or self.timings
        self.max_body: int | None = None
        self.filters: Filters | None = None
        if trace_file is not None or budget is not None:
            from ..transport.filters.chain import Filters  # noqa: PLC0415 - for those who want them

            self.filters = Filters(trace_file, budget, as_timeouts(self.timeout))
            self.max_body = self.filters.budget.max_body
        observed = self.is_observed or self.filters is not None or self.on_forwarded is not None
        self.is_direct = not observed

    def is_logged_as_wanted(self) -> bool:
        """Return False if logging has been switched on or off since this was made."""
        return not self.may_log or (self.trace is not None) == _is_logged()


def config_of(
    hostname: str, port: int | None, timeout: float | Timeouts | None = None
) -> ConnectionConfig:
    """Return the configuration for plain HTTP without other options: mostly one that was made.

    Raises:
        InvalidRequest, InvalidOption, TypeError: see `HTTPConnection`.

    """
    if not _is_logged():
        try:
            config = _plain_config(hostname, port, timeout)
        except TypeError:  # perhaps one of the cache: a list, for example, cannot be looked up
            pass
        else:
            if not config.is_observed:  # as it would be if logging began while it was made
                return config
    return ConnectionConfig(hostname, port, timeout=timeout)


@functools.lru_cache(maxsize=256, typed=True)
def _plain_config(
    hostname: str, port: int | None, timeout: float | Timeouts | None
) -> ConnectionConfig:
    return ConnectionConfig(hostname, port, timeout=timeout)


LIMITS: Final = (
    *("max_line_size", "max_header_size", "max_fields"),
    *("max_informational", "max_chunk_line", "max_extensions"),
)


def _limits_of(*values: int) -> Limits:
    """Return what `_limits` does, or raise an error that names the limit."""
    try:
        return _limits(*values)
    except TypeError:  # perhaps one of the cache: a list, for example, cannot be looked up
        for name, value in zip(LIMITS, values, strict=True):
            check_int(name, value, 0)
        raise


@functools.lru_cache(maxsize=64, typed=True)  # many connections have the same limits
def _limits(*values: int) -> Limits:
    """Return the limits, which are those of `LIMITS` in this order, checked."""
    for name, value in zip(LIMITS, values, strict=True):
        check_int(name, value, 0)
    return Limits(*values)


def _test_names(names: Sequence[str | tuple[str, int]]) -> tuple[str, ...]:
    """Return the names in *dns_test_hostnames*: names, or pairs of a name and a port."""
    if isinstance(names, str | bytes) or not hasattr(names, "__iter__"):
        raise TypeError(f"dns_test_hostnames is a sequence of names, not {quoted(names)}")
    return tuple(map(_test_name, names))


def _test_name(one: str | tuple[str, int]) -> str:
    name: object = one
    port: Any = HTTP_PORT
    if isinstance(one, tuple | list) and len(one) == 2:  # noqa: PLR2004 - as said
        name, port = one
    if not isinstance(name, str):
        kinds = "names, and pairs of a name and a port"
        raise TypeError(f"dns_test_hostnames has {kinds}, not {quoted(one)}")
    try:
        check_port(port)
        return check_hostname(name)
    except (InvalidRequest, TypeError) as exc:
        raise type(exc)(f"dns_test_hostnames: {exc}") from None


def _origin_of(
    hostname: str, port: int | None, is_https: bool
) -> tuple[str, int, str, RequestHeads]:
    """Return what `_origin` does, or raise an error that names the argument."""
    default_port = HTTPS_PORT if is_https else HTTP_PORT
    try:
        return _origin(exact(hostname), port, default_port)
    except TypeError:  # perhaps one of the cache
        check_hostname(hostname)
        check_port(default_port if port is None else port)
        raise


@functools.lru_cache(maxsize=256, typed=True)
def _origin(
    hostname: str, port: int | None, default_port: int
) -> tuple[str, int, str, RequestHeads]:
    """Return checked name and port, the value of Host, and what writes the heads of requests."""
    name = check_hostname(hostname)
    port = check_port(default_port if port is None else port)
    host = authority(name, port, default_port)
    return name, port, host, RequestHeads(host)


def _other_heads(host: str, forwarding: Forwarding | None, http_version: str) -> RequestHeads:
    """Return what writes heads for a proxy that forwards, or of another version.

    Raises:
        InvalidOption: *http_version* is none that is spoken.

    """
    minor = VERSIONS[checked_http_version(http_version)]
    if forwarding is None:
        return RequestHeads(host, "", None, minor)
    return RequestHeads(host, f"http://{host}", forwarding.lines, minor)


def checked_http_version(version: str) -> str:
    """Return *version*, if it is one that is spoken.

    Raises:
        InvalidOption: it is not.

    """
    if not isinstance(version, str) or version not in VERSIONS:
        raise InvalidOption(f"http_version {quoted(version)}: only 1.0 and 1.1 are spoken")
    return version


_logs_wanted: Callable[[], bool] | None = None  # see logs.is_wanted


def _is_logged() -> bool:
    """Return True if somebody listens to our loggers; without logging nobody does."""
    global _logs_wanted  # noqa: PLW0603 - kept, as to import it each time costs more than to ask
    if _logs_wanted is None:
        if "logging" not in sys.modules:
            return False
        from .log import is_wanted  # noqa: PLC0415 - who does not log does not import logging

        _logs_wanted = is_wanted
    return _logs_wanted()


def checked_proxy(proxy: Proxy | tuple[str, int] | str | None) -> Proxy | None:
    """Return what `as_proxy` returns, which most programs do not need."""
    if proxy is None:
        return None
    from ..transport.proxy.proxy import as_proxy  # noqa: PLC0415 - 10 ms, for those who have one

    return as_proxy(proxy)
