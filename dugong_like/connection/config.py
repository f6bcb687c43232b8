"""What is said of a connection when it is made, checked: its link and its halves follow from it.

Afterwards the settings can be read, and the time limits can be changed.

Not here: what the arguments mean (connection.py), the checks of those about the way to the
server (options.py), and the operations (operations.py).
"""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any, Final

from ..errors import InvalidOption, InvalidRequest
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
from ..transport.buffer import BUFFER_SIZE
from ..transport.connect.options import transport_options
from ..transport.connect.route import Route
from ..transport.trace import Trace
from .exchange import HTTPResponse
from .h1.receiver import ReceivingHalf
from .h1.sender import SendingHalf
from .h1.session import SharedLink
from .tls_info import TLSFacts

if TYPE_CHECKING:
    import os
    from socket import socket

    from ..polling.rates import Budget
    from ..transport.connect.resolvers import Resolver
    from ..transport.connect.socket_options import SocketOptions
    from ..transport.custom import Transport
    from ..transport.filters.wire_dump import TraceFile
    from ..transport.proxy.forward import Forwarding
    from ..transport.proxy.proxy import Proxy
    from ..transport.tls.over_socket import SSLContext
    from ..transport.tls.sessions import TLSSessions
    from .h1.observed_session import Wishes

VERSIONS: Final = {"1.0": 0, "1.1": 1}


class Settings(TLSFacts):
    """The arguments of `HTTPConnection`, and what is made of them."""

    __slots__ = (
        "_expect100_timeout",
        "_heads",
        "_hostname",
        "_link",
        "_proxy_given",
        "_receiving",
        "_sending",
        "_timeout",
        "content_md5",
    )

    _link: SharedLink
    _receiving: ReceivingHalf
    _sending: SendingHalf

    def __init__(  # noqa: PLR0913 - each is documented at HTTPConnection
        self,
        hostname: str,
        port: int | None = None,
        ssl_context: SSLContext | None = None,
        proxy: Proxy | tuple[str, int] | str | None = None,
        *,
        timeout: float | Timeouts | None = None,
        expect100_timeout: float | None = None,
        content_md5: bool | None = None,
        http_version: str = "1.1",
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
    ) -> None:
        self._hostname = hostname
        self.content_md5 = content_md5
        self._timeout = timeout
        self._expect100_timeout = expect100_timeout
        default_port = HTTP_PORT if ssl_context is None else HTTPS_PORT
        try:
            ascii_name, port, host, heads = _origin(exact(hostname), port, default_port)
        except TypeError:  # perhaps one of the cache
            check_hostname(hostname)
            check_port(default_port if port is None else port)
            raise
        checked = None if proxy is None else checked_proxy(proxy)
        self._proxy_given = checked is proxy  # as such, not as a pair or URL
        forwarding = None
        if checked is not None and checked.forwards(ascii_name, https=ssl_context is not None):
            forwarding = checked.forwarding()
        if forwarding is not None or http_version != "1.1":
            heads = _other_heads(host, forwarding, http_version)
        self._heads = heads
        limits = _limits_of(
            max_line_size,
            max_header_size,
            max_fields,
            max_informational,
            max_chunk_line,
            max_extensions,
        )
        if expect100_timeout is not None:
            check_seconds(expect100_timeout, "expect100_timeout")
        check_int("buffer_size", buffer_size, 1)
        if on_informational is not None and not callable(on_informational):
            raise TypeError(f"on_informational is a function, not {quoted(on_informational)}")
        wishes = _wishes(timeout, trace, timings, trace_file, budget)
        if sock is not None:
            as_timeouts(timeout)  # if there is an error the socket stays the caller's
        options = transport_options(
            ascii_name,
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
        route = Route(ascii_name, port, ssl_context, checked, limits, test_names, options)
        if wishes is None:
            self._link = SharedLink(route, timeout)
            self._receiving = ReceivingHalf(self._link, limits, buffer_size, on_informational)
            self._sending = SendingHalf(self._link, self._receiving)
            self._receiving.heads.continue_timeout = expect100_timeout
        else:
            from .h1.observed import make_halves  # noqa: PLC0415 - for those who want to be told

            self._link, self._receiving, self._sending = make_halves(
                route, timeout, wishes, buffer_size, on_informational
            )
            self._limit_continue(expect100_timeout)
        if forwarding is not None:
            self._receiving.on_forwarded(forwarding.hear)

    @property
    def hostname(self) -> str:
        """Name or address of the server, as given."""
        return self._hostname

    @property
    def port(self) -> int:
        """Port of the server."""
        return self._link.route.port

    @property
    def ssl_context(self) -> SSLContext | None:
        """Context for https, or None: the same as long as the object lives."""
        return self._link.route.ssl_context

    @property
    def proxy(self) -> Proxy | tuple[str, int] | None:
        """The `Proxy`, or None; host and port if it was given as such, or as ``http://host:port``."""
        proxy = self._link.route.proxy
        if proxy is None or self._proxy_given:
            return proxy
        is_pair = proxy.scheme == "http" and proxy.auth is None
        return (proxy.hostname, proxy.port) if is_pair else proxy

    @property
    def http_version(self) -> str:
        """Version of HTTP that requests have: ``"1.1"`` or ``"1.0"``."""
        return f"1.{self._heads.minor}"

    @property
    def timeout(self) -> float | Timeouts | None:
        """Seconds that may pass without anything moving, or `Timeouts`; None waits for ever.

        Holds under every driver. `ConnectionTimedOut` is raised when it is exceeded.
        Setting `Timeouts.total` is a `ValueError` unless the connection was made with
        `Timeouts`.
        """
        return self._timeout

    @timeout.setter
    def timeout(self, timeout: float | Timeouts | None) -> None:
        self._link.limit(timeout)
        self._timeout = timeout
        self._limit_continue(self._expect100_timeout)

    def _limit_continue(self, seconds: float | None) -> None:
        """Limit the wait for 100 (Continue), unless `Timeouts.expect100` does."""
        limit = self._link.timeouts.expect100
        self._receiving.heads.continue_timeout = seconds if limit is None else limit


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
    if not isinstance(http_version, str) or http_version not in VERSIONS:
        raise InvalidOption(f"http_version {quoted(http_version)}: only 1.0 and 1.1 are spoken")
    minor = VERSIONS[http_version]
    if forwarding is None:
        return RequestHeads(host, "", None, minor)
    return RequestHeads(host, f"http://{host}", forwarding.lines, minor)


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


def _wishes(
    timeout: float | Timeouts | None,
    trace: Trace | None,
    timings: bool,
    trace_file: TraceFile | None,
    budget: Budget | None,
) -> Wishes | None:
    """Return what is wanted besides that the connection works; None if that is all.

    Without a trace it is one that logs, if somebody listens.
    """
    if trace is None and _is_logged():
        from .log import log_event  # noqa: PLC0415 - loaded already

        trace = log_event
    limits_phases = isinstance(timeout, Timeouts)
    if trace is None and trace_file is None and budget is None and not (timings or limits_phases):
        return None
    from .h1.observed_session import Wishes  # noqa: PLC0415 - for those who want to be told

    return Wishes(trace, timings, trace_file, budget)


def checked_proxy(proxy: Proxy | tuple[str, int] | str | None) -> Proxy | None:
    """Return what `as_proxy` returns, which most programs do not need."""
    if proxy is None:
        return None
    from ..transport.proxy.proxy import as_proxy  # noqa: PLC0415 - 10 ms, for those who have one

    return as_proxy(proxy)
