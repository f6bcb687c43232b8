"""How long the phases of one exchange took, made from what a trace is told.

Not here: who tells (open.py, observed.py).
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
    """Seconds that the phases of one exchange took; None for what did not happen, or not yet.

    The first four belong to the first request on a connection, also if the connection
    was made before it. What has to be done more than once to make it counts each time.

    Attributes:
        dns: looking up names: that of the server, or of the proxy, or of both.
        connect: connecting to one of the addresses, those of the proxy if there is one, or
            to a unix domain socket. Without looking up.
        proxy: TLS with the proxy, and asking it for a tunnel.
        tls: the handshake with the server.
        first_byte: from the call that sent the request until the head of the response had
            arrived, connecting included.
        total: from that call until the last byte of the body had been read.

    """

    dns: float | None = None
    connect: float | None = None
    proxy: float | None = None
    tls: float | None = None
    first_byte: float | None = None
    total: float | None = None
    _began: float = field(default_factory=time.monotonic, init=False, repr=False, compare=False)

    def note_head(self) -> None:
        """Note that the head of the response has arrived now."""
        self.first_byte = time.monotonic() - self._began

    def note_end(self) -> None:
        """Note that the response is complete now."""
        self.total = time.monotonic() - self._began


class Stopwatch:
    """Takes the time of the phases in which a connection is made."""

    def __init__(self) -> None:
        self._began: dict[str, float] = {}
        self._spans: dict[str, float] = {}

    def reset(self) -> None:
        """Forget what was taken: it belongs to a connection that did not come about."""
        self._began.clear()
        self._spans.clear()

    def note(self, event: str) -> None:
        """Note that *event* happens now."""
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
        """Put into *timings* what was taken since the last call."""
        for name, seconds in self._spans.items():
            setattr(timings, name, seconds)
        self._spans.clear()
