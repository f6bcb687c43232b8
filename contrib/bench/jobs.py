"""The work itself: what a client in its fresh process does before and while it is measured.

Each job warms the client up with a small part of the same work and then measures
it. Small bodies are compared on both occasions. Of large ones the warm-up compares a hash, and the
measurement counts the bytes, for hashing them costs more than receiving them; what was
written to a file is hashed afterwards.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import cycle, islice
from pathlib import Path
from typing import Any

from . import server
from .clients.base import Call, Client
from .measure import Meter

WIDTH = 64  # connections at the same time


@dataclass(frozen=True)
class Job:
    """One measurement of one client.

    Attributes:
        client: who does it.
        root: the folder with the served files.
        count: how many units of work.

    """

    client: Client
    root: Path
    count: int

    def calls(self, paths: list[str], count: int) -> Iterator[Call]:
        """Yield paths, in turns, and the bodies that have to come back."""
        bodies = [self._file(path).read_bytes() for path in paths]
        return islice(cycle(zip(paths, bodies, strict=True)), count)

    def _file(self, path: str) -> Path:
        return self.root / "www" / path[1:]

    def _measure(self, work: Callable[[int], None]) -> Meter:
        """Do a tenth of *work* unmeasured, and then all of it."""
        work(max(self.count // 10, 1))
        with Meter() as meter:
            work(self.count)
        return meter

    def sequential(self) -> Meter:
        """One GET after the other."""
        client = self.client
        return self._measure(
            lambda count: client.run(client.sequential, self.calls(server.PATHS, count))
        )

    def fields(self) -> Meter:
        """GETs with 50 fields in the answer, of which one is looked at."""
        client, value = self.client, "value-21-of-a-usual-length"

        def calls(count: int) -> Iterator[Call]:
            return ((path, (value, body)) for path, body in self.calls(server.FIELDS, count))

        return self._measure(lambda count: client.run(client.each, client.field, calls(count)))

    def pipelined(self) -> Meter:
        """GETs that need not wait for each other."""
        client = self.client
        return self._measure(
            lambda count: client.run(client.pipelined, self.calls(server.PATHS, count))
        )

    def concurrent(self) -> Meter:
        """GETs on many connections at the same time."""
        client = self.client

        def work(count: int) -> None:
            share = max(count // WIDTH, 1)
            lists = [list(self.calls(server.PATHS, share)) for _ in range(WIDTH)]
            client.run(client.concurrent, lists)

        return self._measure(work)

    def connect(self) -> Meter:
        """A connection for each GET."""
        client = self.client
        return self._measure(
            lambda count: client.run(client.each, client.get_anew, self.calls(server.PATHS, count))
        )


def measure(job: Job, name: str) -> dict[str, Any]:
    """Do the job called *name* and return its figures."""
    client: Any = job.client
    client.run(client.open)
    meter: Meter = getattr(job, name)()
    client.run(client.close)
    client.finish()
    return {"wall": meter.wall, "cpu": meter.cpu, "peak": meter.peak, "growth": meter.growth}
