"""The "trace" of a request: events of this library, in the form of httpcore.

The contents of an event that httpcore has, too, are exactly those of httpcore. Other events are
reported unchanged: "dns.resolve", "connection.attempt", "proxy.connect", "http11.informational",
"http11.trailers", "connection.close". The request for a tunnel only has "proxy.connect", where
httpcore reports each step.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from functools import cached_property
from inspect import isawaitable, iscoroutine
from typing import Any, Final

from ..connection.exchange import HTTPResponse
from ..connection.log import log_events
from ..transport.proxy.proxy import Proxy
from .httpx_edition import Edition
from .httpx_errors import name_of

Facts = dict[str, Any]
Trace = Callable[[str, Facts], Any]
LOG: Final = log_events()
# Names of httpcore for events of this library with a proxy.
WITH_HTTP_PROXY: Final = {
    "connection.start_tls": "proxy.start_tls",
    "proxy.start_tls": "connection.start_tls",
}
WITH_SOCKS: Final = {
    "connection.connect_tcp": "socks.connect_tcp",
    "connection.start_tls": "socks.start_tls",
}
CONNECTED: Final = frozenset({"connection.connect_tcp", "connection.connect_unix_socket"})
SECURED: Final = frozenset({"connection.start_tls", "proxy.start_tls"})
WITH_REQUEST: Final = frozenset(
    f"http11.{phase}"
    for phase in (
        *("send_request_headers", "send_request_body"),
        *("receive_response_headers", "receive_response_body"),
    )
)
OF_HTTPCORE: Final = CONNECTED | SECURED | WITH_REQUEST | {"http11.response_closed"}


class ConnectionTrace:
    """The trace of a connection: passes events to the trace of its present request.

    Args:
        stream: makes the "network_stream" of events.

    Attributes:
        present: the trace of the present request; None if there is none.

    """

    present: RequestTrace | None = None

    def __init__(self, stream: Callable[[Facts], Any]) -> None:
        self._stream = stream

    def __call__(self, event: str, info: Facts) -> None:
        """Report *event*; called by the connection."""
        LOG(event, info)  # a connection with a trace does not log by itself
        if self.present is not None:
            self.present.report(event, info, self._stream)


class RequestTrace:
    """The trace of one request, and the contents of its events.

    Args:
        trace: the function of the user.
        request: the request.
        edition: its library.
        proxy: the proxy that it goes through.
        asynchronous: True if *trace* may be an ``async def`` function.

    """

    def __init__(
        self,
        trace: Trace,
        request: Any,
        edition: Edition,
        proxy: Proxy | None,
        *,
        asynchronous: bool,
    ) -> None:
        self._trace, self._given, self._edition = trace, request, edition
        self._asynchronous = asynchronous
        self._pending: list[Awaitable[Any]] = []
        self._known: Facts = {}  # about the connection that is being opened
        self._names: Mapping[str, str] = {}
        if proxy is not None:
            self._names = WITH_HTTP_PROXY if proxy.speaks_http else WITH_SOCKS

    async def catch_up(self) -> None:
        """Await the results of the trace since the last call, until one of them raises."""
        pending, self._pending = iter(self._pending), []
        try:
            for awaitable in pending:
                await awaitable
        finally:
            for awaitable in pending:
                if iscoroutine(awaitable):
                    awaitable.close()  # or Python warns that it was not awaited

    @cached_property
    def _request(self) -> Any:
        """The request as an object of httpcore."""
        given, core = self._given, self._edition.core
        url = core.URL(
            scheme=given.url.raw_scheme,
            host=given.url.raw_host,
            port=given.url.port,
            target=given.url.raw_path,
        )
        return core.Request(
            method=given.method,
            url=url,
            headers=given.headers.raw,
            content=given.stream,
            extensions=given.extensions,
        )

    def report(self, event: str, info: Facts, stream: Callable[[Facts], Any]) -> None:
        """Report *event*; a result that is to be awaited is so by `catch_up`."""
        phase, _, when = event.rpartition(".")
        if phase in OF_HTTPCORE:
            event = f"{self._names.get(phase, phase)}.{when}"
            info = getattr(self, f"_{when}")(phase, info, stream)
        result = self._trace(event, info)
        if self._asynchronous and isawaitable(result):
            self._pending.append(result)
        elif iscoroutine(result):
            result.close()
            raise TypeError('with a blocking client "trace" has to be a plain function')

    def _started(self, phase: str, info: Facts, _: object) -> Facts:
        if phase in WITH_REQUEST:
            return {"request": self._request}
        if phase in CONNECTED:
            return {**info, "socket_options": None}
        return info if phase in SECURED else {}

    def _complete(self, phase: str, info: Facts, stream: Callable[[Facts], Any]) -> Facts:
        result = info["return_value"]
        if phase in CONNECTED:
            here, there = result["local_address"], result["server_address"]
            self._known = {"client_addr": here, "server_addr": there, "ssl_object": None}
            result = stream(self._known)
        elif phase in SECURED:
            self._known = {**self._known, "ssl_object": result["ssl_object"]}
            result = stream(self._known)
        elif isinstance(result, HTTPResponse):
            version, reason = f"HTTP/{result.http_version}", result.reason
            result = (version.encode(), result.status, reason.encode("latin-1"), raw(result))
        return {"return_value": result}

    def _failed(self, phase: str, info: Facts, _: object) -> Facts:
        exc = info["exception"]
        name = name_of(exc, "connect" if phase in CONNECTED | SECURED else phase_of(phase))
        if name is None:
            return info
        theirs = getattr(self._edition.core, name)(str(exc))
        theirs.__cause__ = exc
        return {"exception": theirs}


def phase_of(event: str) -> str:
    """Return which of `httpx_errors.PHASES` an event of HTTP belongs to."""
    return "write" if event.startswith("http11.send_") else "read"


def raw(response: HTTPResponse) -> list[tuple[bytes, bytes]]:
    """Return the fields of *response* unchanged."""
    fields = response.headers.items()
    return [(name.encode("latin-1"), value.encode("latin-1")) for name, value in fields]
