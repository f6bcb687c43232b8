"""The work itself: what a client in its fresh process does before and while it is measured.

Each job warms the client up with a small part of the same work and then measures
it. Small bodies are compared on both occasions. Of large ones the warm-up compares a hash, and the
measurement counts the bytes, for hashing them costs more than receiving them; what was
written to a file is hashed afterwards.
"""

from __future__ import annotations

import gc
import hashlib
import json
import resource
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import cycle, islice
from pathlib import Path
from typing import Any

from . import server
from .clients.base import Call, check
from .measure import Meter, memory
from .workloads import CHECK, MIB

WIDTH = 64  # connections at the same time
FRAME = 1000  # bytes of a form around a file
SPARE = 100  # descriptors that a process needs besides its connections


@dataclass
class Job:
    """One measurement of one client.

    Attributes:
        client: who does it.
        root: the folder with the served files.
        count: how much is to be done: requests, connections, or bytes of a body.
        size: what grows, in jobs about growth: *count* is then reached by repeating.
        sums: SHA-256 of the large bodies, by path.

    """

    client: Any
    root: Path
    count: int
    size: int = 0
    sums: dict[str, str] = field(default_factory=dict)
    _bodies: list[bytes] = field(default_factory=list)

    def calls(self, paths: list[str], count: int) -> Iterator[Call]:
        """Yield *paths* in turns, and the bodies that have to come back.

        There are as many of them as in `server.PATHS`, and the bodies are the same.
        """
        if not self._bodies:  # read once, while warming up
            self._bodies = [self._file(path).read_bytes() for path in server.PATHS]
        return islice(cycle(zip(paths, self._bodies, strict=True)), count)

    def _file(self, path: str) -> Path:
        return self.root / "www" / path[1:]

    def _measure(self, work: Callable[[int], None]) -> Meter:
        """Do a tenth of *work* unmeasured, and then all of it."""
        work(max(self.count // 10, 1))
        with Meter() as meter:
            work(self.count)
        return meter

    def sequential(self, paths: list[str] = server.PATHS) -> Meter:
        """One GET after the other."""
        client = self.client
        return self._measure(lambda count: client.run(client.sequential, self.calls(paths, count)))

    def unlike(self) -> Meter:
        """One GET after the other; each response has a field that no other one has."""
        return self.sequential(server.UNLIKE)

    def fields(self, paths: list[str] = server.FIELDS) -> Meter:
        """GETs with many fields in the answer, of which one is looked at."""
        client, value = self.client, "value-21-of-a-usual-length"

        def calls(count: int) -> Iterator[Call]:
            return ((path, (value, body)) for path, body in self.calls(paths, count))

        return self._measure(lambda count: client.run(client.each, client.field, calls(count)))

    def exchange(self) -> Meter:
        """One GET after the other, each of them one call."""
        client = self.client
        return self._measure(
            lambda count: client.run(client.exchanges, self.calls(server.PATHS, count))
        )

    def request_fields(self) -> Meter:
        """GETs with three fields; each request has a dictionary of its own, as in a program."""
        return self._measure(
            lambda count: self.client.run(self.client.with_fields, self._with_fields(count))
        )

    def request_fields_exchange(self) -> Meter:
        """The same, each of them one call."""
        client = self.client
        return self._measure(
            lambda count: client.run(client.exchanges_with_fields, self._with_fields(count))
        )

    def _with_fields(self, count: int) -> Iterator[Call]:
        for path, body in self.calls(server.ASKED, count):
            yield (path, dict(server.REQUEST_FIELDS)), body

    def json(self) -> Meter:
        """POST of a JSON value that is answered by another one, which is parsed."""
        pairs = [
            ((path, value), value)
            for number, path in enumerate(server.JSON)
            for value in [server.json_value(number, server.SMALL)]
        ]
        client = self.client
        return self._measure(
            lambda count: client.run(client.each, client.post_json, islice(cycle(pairs), count))
        )

    def gzip(self) -> Meter:
        """GET of a compressed body, which is decompressed."""
        pairs = [
            (path, json.dumps(server.json_value(number, server.GZIP_SIZE)).encode())
            for number, path in enumerate(server.GZIP)
        ]
        client = self.client
        return self._measure(
            lambda count: client.run(client.each, client.get, islice(cycle(pairs), count))
        )

    def events(self) -> Meter:
        """Server-sent events, so many with each GET."""
        call = (server.EVENTS, (server.EVENT_COUNT, server.event_data(server.EVENT_COUNT - 1)))
        client = self.client
        return self._measure(
            lambda count: client.run(client.each, client.events, [call] * (count // call[1][0]))
        )

    def pipelined(self) -> Meter:
        """GETs that need not wait for each other."""
        client = self.client
        return self._measure(
            lambda count: client.run(client.pipelined, self.calls(server.PATHS, count))
        )

    def pipelined_closing(self) -> Meter:
        """The same, from a server that ends the connection after *size* requests."""
        client = self.client
        paths = [f"/closes/{self.size}/{path[-2:]}" for path in server.PATHS]
        return self._measure(lambda count: client.run(client.pipelined, self.calls(paths, count)))

    def framing(self) -> Meter:
        """GETs as bytes, without a network; see clients/framing.py."""
        return self._measure(self.client.framing)

    def header_blocks(self) -> Meter:
        """Header blocks of requests, and those of responses."""
        return self._measure(lambda count: self.client.header_blocks(count, unlike=False))

    def header_blocks_unlike(self) -> Meter:
        """The same, no two of them alike."""
        return self._measure(lambda count: self.client.header_blocks(count, unlike=True))

    def concurrent(self) -> Meter:
        """GETs at the same time: on many connections, or on one of HTTP/2."""
        return self._measure(lambda count: self._at_once(self.client.concurrent, count))

    def in_threads(self) -> Meter:
        """GETs of several threads, by one client."""
        return self._measure(lambda count: self._at_once(self.client.in_threads, count))

    def _at_once(self, method: Callable[..., Any], count: int) -> None:
        width = self.size or WIDTH
        share = max(count // width, 1)
        self.client.run(method, [self.calls(server.PATHS, share) for _ in range(width)])

    def connect(self) -> Meter:
        """A connection for each GET."""
        client = self.client
        return self._measure(
            lambda count: client.run(client.each, client.get_anew, self.calls(server.PATHS, count))
        )

    def _check_download(self) -> None:
        """Download a body that is hashed."""
        path, sum_ = f"/large/{CHECK}", hashlib.sha256()
        self.client.run(self.client.download, path, sum_.update)
        check(sum_.hexdigest(), self.sums[path])

    def download(self, repeat: int = 1) -> Meter:
        """Large bodies that pass through memory."""
        client, counter, path = self.client, Counter(), f"/large/{self.count}"
        self._check_download()
        with Meter() as meter:
            for _ in range(repeat):
                client.run(client.download, path, counter.take)
        check(counter.size, self.count * repeat)
        return meter

    def discard(self) -> Meter:
        """A large body that nobody wants."""
        client = self.client
        self._check_download()
        with Meter() as meter:
            client.run(client.discard, f"/large/{self.count}", self.count)
        return meter

    def save(self) -> Meter:
        """A large body that goes into a file.

        The file has its size already, and zeros in it. Whether the system finds new pages for it
        quickly was seen to change by a factor of three within a minute.
        """
        client = self.client
        for size in (CHECK, self.count):
            path = f"/large/{size}"
            with (self.root / "saved").open("w+b", buffering=0) as file:
                for _ in range(0, size, MIB):
                    file.write(bytes(MIB))
                file.seek(0)
                with Meter() as meter:
                    client.run(client.save, path, file)
                file.seek(0)
                check(hashlib.file_digest(file, "sha256").hexdigest(), self.sums[path])
        return meter

    def upload(self, chunked: bool = False) -> Meter:
        """A large body that comes from a file."""
        client, size = self.client, self.count
        uploads = [("/hash", CHECK, self.sums[f"/large/{CHECK}"]), ("/sink", size, str(size))]
        for path, size, expected in uploads:
            with self._file(f"/large/{size}").open("rb", buffering=0) as file, Meter() as meter:
                answer = client.run(client.upload, path, file, None if chunked else size)
            check(answer, expected.encode())
        return meter

    def post_form(self) -> Meter:
        """A form with a large file."""
        client = self.client
        for size in (CHECK, self.count):
            with self._file(f"/large/{size}").open("rb", buffering=0) as file, Meter() as meter:
                answer = int(client.run(client.post_form, "/sink", file, size))
            check(size < answer < size + FRAME, True)
        return meter

    def chunked(self) -> Meter:
        """A large body that comes from a file, and nobody says how long it is."""
        return self.upload(chunked=True)

    def idle(self) -> Meter:
        """Many connections that have been used and now wait."""
        client, needed = self.client, self.count + SPARE
        _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
        if most != resource.RLIM_INFINITY and most < needed:
            raise NotImplementedError(f"needs {needed} descriptors, the system allows {most}")
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
        first = client.run(client.idle, server.PATHS[0], 1)
        gc.collect()
        opened = -_descriptors()
        with Meter() as meter:
            before = memory("VmRSS")
            connections = client.run(client.idle, server.PATHS[0], self.count)
            gc.collect()
            meter.held = max(memory("VmRSS") - before, 0)
        opened += _descriptors()
        if opened < self.count:
            raise RuntimeError(f"{opened} connections are open, not {self.count}")
        del first, connections
        return meter

    def objects(self) -> Meter:
        """Many clients that have sent nothing."""
        client = self.client
        first = client.run(client.objects, 10)
        gc.collect()
        with Meter() as meter:
            before = memory("VmRSS")
            made = client.run(client.objects, self.count)
            gc.collect()
            meter.held = max(memory("VmRSS") - before, 0)
        del first, made
        return meter

    def growth_requests(self) -> Meter:
        """As many requests sent ahead as *size* says."""
        client, repeat = self.client, max(self.count // self.size, 1)
        calls = list(self.calls(server.PATHS, self.size))
        client.run(client.pipelined, calls[:1000])
        with Meter() as meter:
            for _ in range(repeat):
                client.run(client.pipelined, calls)
        self.count = repeat * self.size
        return meter

    def growth_fields(self) -> Meter:
        """Answers with as many fields as *size* says."""
        self.count = max(self.count // self.size, 1)
        meter = self.fields([f"/growth/{self.size}/{path[-2:]}" for path in server.PATHS])
        self.count *= self.size
        return meter

    def growth_bodies(self) -> Meter:
        """Bodies with as many bytes as *size* says."""
        repeat = max(self.count // self.size, 1)
        self.count = self.size
        meter = self.download(repeat)
        self.count = repeat * self.size
        return meter


def _descriptors() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


class Counter:
    """Counts the bytes that it is given."""

    size = 0

    def take(self, piece: Any) -> None:
        """Count *piece*."""
        self.size += len(piece)


def measure(job: Job, name: str) -> dict[str, float]:
    """Do the job called *name* and return its figures."""
    client = job.client
    client.run(client.open)
    meter: Meter = getattr(job, name)()
    client.run(client.close)
    client.finish()
    return meter.figures() | {"count": job.count}
