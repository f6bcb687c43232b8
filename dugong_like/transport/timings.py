"""The durations of the phases of one exchange, computed from trace events.

Not here: the events (connect/open.py, connection/h1/trace_events.py).
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import Final

SPANS: Final = {
    "dns.resolve": "dns",
    "connection.connect_tcp": "connect",
    "connection.connect_unix_socket": "connect",
    "proxy.start_tls": "proxy",
    "proxy.connect": "proxy",
    "proxy.socks5": "proxy",
    "proxy.socks4a": "proxy",
    "connection.start_tls": "tls",
}


@dataclass(slots=True)
class Timings:
    """Durations of the phases of one exchange in seconds; None for a phase without an end.

    The first four belong to the first request on a connection, even if the connection was made
    before it. Repeated steps count each time.

    Attributes:
        dns: name look-up: of the server, the proxy, or both.
        connect: connecting to one of the addresses (of the proxy if there is one), or to a unix
            domain socket, without the name look-up.
        proxy: TLS with the proxy, and the request for a tunnel.
        tls: TLS handshake with the server.
        first_byte: from the call that sent the request to the complete head of the response,
            connecting included.
        total: from that call to the last byte of the body.

    """

    dns: float | None = None
    connect: float | None = None
    proxy: float | None = None
    tls: float | None = None
    first_byte: float | None = None
    total: float | None = None
    _began: float = field(default_factory=time.monotonic, init=False, repr=False, compare=False)

    def note_head(self) -> None:
        """Record the arrival of the response head."""
        self.first_byte = time.monotonic() - self._began

    def note_end(self) -> None:
        """Record the end of the response."""
        self.total = time.monotonic() - self._began


class Stopwatch:
    """Measures the phases in which a connection is made."""

    def __init__(self) -> None:
        self._began: dict[str, float] = {}
        self._spans: dict[str, float] = {}

    def reset(self) -> None:
        """Drop the measurements: they belong to a connection that failed."""
        self._began.clear()
        self._spans.clear()

    def note(self, event: str) -> None:
        """Record *event*."""
        phase, _, what = event.rpartition(".")
        name = SPANS.get(phase)
        if name is None:
            return
        now = time.monotonic()
        if what == "started":
            self._began[name] = now
        else:
            passed = now - self._began.pop(name, now)
            self._spans[name] = self._spans.get(name, 0.0) + passed

    def take(self, timings: Timings) -> None:
        """Store the measurements since the last call in *timings*."""
        for name, seconds in self._spans.items():
            setattr(timings, name, seconds)
        self._spans.clear()
