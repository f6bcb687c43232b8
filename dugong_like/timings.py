"""How long the phases of one exchange took, made from what a trace is told.

Not here: who tells (connect.py, watched.py).
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import Final

SPANS: Final = {
    "dns.resolve": "dns",
    "connection.connect_tcp": "connect",
    "connection.start_tls": "tls",
}


@dataclass(slots=True)
class Timings:
    """Seconds that the phases of one exchange took; None for what did not happen, or not yet.

    The first three belong to the first request on a connection, also if the connection
    was made before it.

    Attributes:
        dns: looking up the name.
        connect: connecting to one of the addresses, without looking up.
        tls: the handshake.
        first_byte: from the call that sent the request until the head of the response had
            arrived, connecting included.
        total: from that call until the last byte of the body had been read.

    """

    dns: float | None = None
    connect: float | None = None
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
            self._spans[name] = now - self._began.pop(name, now)

    def take(self, timings: Timings) -> None:
        """Put into *timings* what was taken since the last call."""
        for name, seconds in self._spans.items():
            setattr(timings, name, seconds)
        self._spans.clear()
