"""The table of workloads: what is asked, how often, of whom, and what the figures mean."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

from .clients import is_floor
from .server import CLOSES

KIB: Final = 1 << 10
MIB: Final = 1 << 20
GIB: Final = 1 << 30
CHECK: Final = 8 * MIB  # bytes of the file that is hashed before anything is measured
MOST_WHEN_QUICK: Final = 32 * MIB  # of what grows
MICRO: Final = ("µs", 1e6)  # a unit of time, and how many of it are a second
MILLI: Final = ("ms", 1e3)
SECONDS: Final = ("s", 1.0)

DRIVERS: Final = (
    "dugong_like",
    "dugong_like/Loop",
    "dugong_like/asyncio",
    "dugong_like/uvloop",
    "dugong_like/trio",
    "dugong_like/gevent",
)
BLOCKING_PEERS: Final = ("http.client", "urllib3", "requests", "niquests", "httpx", "httpx2")
PEERS: Final = (
    *BLOCKING_PEERS,
    *("aiohttp", "aiohttp/uvloop", "pyreqwest", "pycurl", "awscrt", "dugong"),
)
ALL: Final = ("floor", *DRIVERS, *PEERS)
ONE_CALL: Final = ("floor", *DRIVERS, "dugong_like/AsyncConnection", *PEERS)
PIPELINED: Final = (
    *("floor", "dugong_like", "dugong_like/Pipeline", "dugong_like/Client", *DRIVERS[1:]),
    *PEERS,
)
BULK: Final = (
    *("floor", "dugong_like", "dugong_like/Client", "dugong_like/Loop", "dugong_like/asyncio"),
    *PEERS,
)
FORM: Final = ("dugong_like/forms", "dugong_like/Client", "httpx", "httpx2")
HTTP2: Final = ("floor/HTTP2", "dugong_like", "pycurl", "pyreqwest", "httpx2", "niquests")
HTTP2_ONE_CALL: Final = (
    *HTTP2[:2],
    *("dugong_like/Loop", "dugong_like/asyncio", "dugong_like/AsyncConnection"),
    *HTTP2[2:],
)

IDLE: Final = (
    "floor",
    "dugong_like",
    "dugong_like/Client",
    *BLOCKING_PEERS,
    "aiohttp",
    "pycurl",
    "awscrt",
    "dugong",
)
GROWTH: Final = ("dugong_like",)
STATEMENTS: Final = {  # what users write; the floor is what no client can do without
    "floor": "import socket, ssl",
    "dugong_like": "import dugong_like",
    "dugong_like/Client": "from dugong_like import Client",
    "dugong_like/https": "from dugong_like import HTTPConnection, default_ssl_context",
    "dugong_like/asyncio": "from dugong_like.drivers import aio",
    "dugong_like/AsyncConnection": "from dugong_like import AsyncConnection",
    "http.client": "import http.client",
    "urllib3": "import urllib3",
    "requests": "import requests",
    "niquests": "import niquests",
    "httpx": "import httpx",
    "httpx2": "import httpx2",
    "aiohttp": "import aiohttp",
    "pyreqwest": "import pyreqwest.client",
    "pycurl": "import pycurl",
    "awscrt": "import awscrt.http",
    "dugong": "import dugong",
}


@dataclass(frozen=True)
class Workload:
    """One table.

    Attributes:
        name: for the command line; with "-tls" at the end the server speaks TLS, with "h2-" in
            front HTTP/2, all on one connection.
        title: for people; see `heading`.
        job: a method of jobs.Job.
        count, quick: how many units of work one measurement is, and with --quick.
        unit: what is counted.
        time: name and size of the unit of time.
        clients: who takes part; the first one may be the floor.
        turns: measurements of a client in each round.
        rounds: at most so many, where figures hardly vary or take long.
        per: how much of *count* is a unit.
        sizes: one line for each size, in workloads about growth.
        memory: True if memory is what is measured.

    """

    name: str
    title: str
    job: str
    count: int
    quick: int
    unit: str = "GET"
    time: tuple[str, float] = MICRO
    clients: tuple[str, ...] = ALL
    turns: int = 1
    rounds: int = 1000
    per: int = 1
    sizes: tuple[int, ...] = ()
    memory: bool = False

    @property
    def tls(self) -> bool:
        """True if the server speaks TLS."""
        return self.name.endswith("-tls")

    @property
    def http2(self) -> bool:
        """True if it is about HTTP/2."""
        return self.name.startswith("h2-")

    @property
    def heading(self) -> str:
        """The whole title."""
        title = f"HTTP/2: {self.title}" if self.http2 else self.title
        return f"{title}, over TLS" if self.tls else title

    @property
    def floor(self) -> str | None:
        """The client that all others are compared with, if there is one."""
        return self.clients[0] if is_floor(self.clients[0]) else None

    @property
    def differences(self) -> bool:
        """True if the cost beyond the floor's says more than the ratio to it."""
        return self.memory or self.job == "import"

    @property
    def cost_unit(self) -> str:
        """What the costs are counted in."""
        return f"{'KiB' if self.memory else f'CPU {self.time[0]}'}/{self.unit}"

    @property
    def uploads(self) -> bool:
        """True if the other server is needed."""
        return self.job in {"upload", "chunked", "post_form"}

    @property
    def large_bodies(self) -> tuple[int, ...]:
        """Sizes of the files that are needed."""
        if self.job == "growth_bodies":
            return (CHECK, *self.sizes)
        return (CHECK, self.count) if self.per == GIB else ()

    def made_quick(self) -> Workload:
        """Return the same with less to do."""
        sizes = tuple(size for size in self.sizes if size <= MOST_WHEN_QUICK)
        return replace(self, count=self.quick, sizes=sizes)


def _bulk(name: str, title: str, job: str, size: int = GIB) -> Workload:
    clients = HTTP2 if name.startswith("h2-") else BULK
    if clients == BULK and job in {"download", "save"}:
        clients = ("floor", "floor/recv", *BULK[1:])
    if job == "post_form":
        clients = FORM
    return Workload(name, title, job, size, size // 16, "GiB", SECONDS, clients, per=GIB)


def _idle(name: str, count: int, quick: int, rounds: int = 3) -> Workload:
    return Workload(
        name, f"{count:,} idle connections", "idle", count, quick, "connection", MICRO, IDLE,
        rounds=rounds, memory=True,
    )  # fmt: skip


WORKLOADS: Final = [
    Workload("sequential", "GET of 1 KiB, one after the other", "sequential", 5000, 1000),
    Workload("sequential-tls", "GET of 1 KiB, one after the other", "sequential", 4000, 1000),
    Workload(
        "exchange", "GET of 1 KiB, each of them one call", "exchange", 5000, 1000,
        clients=ONE_CALL,
    ),
    Workload(
        "exchange-tls", "GET of 1 KiB, each of them one call", "exchange", 4000, 1000,
        clients=ONE_CALL,
    ),
    Workload("request-fields", "three request fields", "request_fields", 4000, 1000),
    Workload(
        "request-fields-exchange", "three request fields, each GET one call",
        "request_fields_exchange", 4000, 1000, clients=ONE_CALL,
    ),
    Workload("unlike", "GET of 1 KiB, no two heads alike", "unlike", 5000, 1000),
    Workload("fields", "50 response fields, reading one", "fields", 4000, 1000),
    Workload(
        "pipelined", "GETs, pipelined where the client can", "pipelined", 10000, 2000,
        clients=PIPELINED,
    ),
    Workload(
        "pipelined-closing", "the same, server closes after so many GETs", "pipelined_closing",
        10000, 2000, clients=("dugong_like/Pipeline", "pycurl"), sizes=CLOSES,
    ),
    Workload(
        "concurrent-asyncio", "64 connections at once on asyncio", "concurrent", 6400, 1280,
        clients=(
            "floor/asyncio", "dugong_like/AioFuture", "dugong_like/asyncio",
            "dugong_like/AsyncConnection", "dugong_like/exchange", "httpx/asyncio",
            "httpx2/asyncio", "niquests/asyncio", "aiohttp", "pyreqwest/asyncio",
            "pycurl/asyncio", "awscrt/asyncio", "dugong/asyncio",
        ),
    ),
    Workload(
        "concurrent-uvloop", "64 connections at once on uvloop", "concurrent", 6400, 1280,
        clients=("floor/uvloop", "dugong_like/uvloop", "httpx/uvloop", "aiohttp/uvloop"),
    ),
    Workload(
        "concurrent-trio", "64 connections at once on trio", "concurrent", 6400, 1280,
        clients=("floor/trio", "dugong_like/trio", "httpx/trio"),
    ),
    Workload(
        "concurrent-loop", "64 connections at once, other loops", "concurrent", 6400, 1280,
        clients=(
            "floor/epoll", "dugong_like/Loop", "dugong_like/gevent", "pycurl/multi", "awscrt",
        ),
    ),
    Workload(
        "client", "GET of 1 KiB by a client with a pool", "sequential", 5000, 1000,
        clients=("floor", "dugong_like/Client", *BLOCKING_PEERS[1:], "pycurl"),
    ),
    Workload(
        "client-threads", "GETs of so many threads by one client", "in_threads", 6400, 1600,
        clients=("dugong_like/Client", *BLOCKING_PEERS[1:]), sizes=(1, 16),
    ),
    Workload(
        "client-asyncio", "so many GETs at once by one client", "concurrent", 10240, 2560,
        clients=(
            "floor/asyncio", "dugong_like/AsyncClient", "aiohttp", "pyreqwest/asyncio",
            "httpx2/asyncio", "niquests/asyncio",
        ),
        sizes=(16, 128, 512),
    ),
    Workload(
        "client-json", "POST and answer of 1 KiB of JSON", "json", 3000, 600, unit="POST",
        clients=(
            "dugong_like/Client", "dugong_like/AsyncClient", "requests", "niquests", "httpx",
            "httpx2", "httpx2/asyncio", "aiohttp", "pyreqwest",
        ),
    ),
    Workload(
        "client-gzip", "GET of 100 KiB of JSON, compressed by gzip", "gzip", 1000, 200,
        clients=(
            "dugong_like/Client", "dugong_like/AsyncClient", "urllib3", "requests", "niquests",
            "httpx", "httpx2", "aiohttp",
        ),
    ),
    Workload(
        "client-events", "server-sent events, 1,000 with each GET", "events", 100_000, 10_000,
        unit="event",
        clients=("dugong_like/Client", "dugong_like/AsyncClient", "httpx2", "httpx2/asyncio"),
    ),
    Workload("connect", "a new connection for each GET", "connect", 1500, 100),
    Workload("connect-tls", "a new connection for each GET", "connect", 300, 30),
    _bulk("download", "a large body, through a buffer of 1 MiB", "download"),
    _bulk("download-tls", "a large body, through a buffer of 1 MiB", "download"),
    _bulk("discard", "a large body that nobody wants", "discard"),
    _bulk("save", "a large body into a file", "save"),
    _bulk("save-tls", "a large body into a file", "save"),
    _bulk("upload", "a large body from a file, of known length", "upload", size=GIB // 2),
    _bulk("upload-tls", "a large body from a file, of known length", "upload", size=GIB // 2),
    _bulk("upload-chunked", "a large body from a file, in chunks", "chunked", size=GIB // 2),
    _bulk("upload-chunked-tls", "a large body from a file, in chunks", "chunked", size=GIB // 2),
    _bulk("form", "a form with a large file", "post_form", size=GIB // 2),
    _bulk("form-tls", "a form with a large file", "post_form", size=GIB // 2),
    Workload(
        "clients", "clients that have sent nothing", "objects", 1000, 100, "client", MICRO,
        ("dugong_like/Client", "requests", "httpx", "httpx2"), rounds=3, memory=True,
    ),
    _idle("idle-1000", 1000, 100),
    _idle("idle-1000-tls", 1000, 50),
    _idle("idle-10000", 10000, 200, rounds=1),
    _idle("idle-10000-tls", 10000, 100, rounds=1),
    Workload(
        "h2-exchange", "GET of 1 KiB, each of them one call", "exchange", 5000, 1000,
        clients=HTTP2_ONE_CALL,
    ),
    Workload(
        "h2-exchange-tls", "GET of 1 KiB, each of them one call", "exchange", 4000, 1000,
        clients=HTTP2_ONE_CALL,
    ),
    Workload(
        "h2-fifo", "GETs, 100 of them sent before their answers are read", "pipelined", 10000,
        2000, clients=(
            "floor/HTTP2", "dugong_like", "dugong_like/Loop", "dugong_like/asyncio", "pycurl/multi",
        ),
    ),
    Workload(
        "h2-concurrent-loop", "GETs, so many at once, on loops of their own", "concurrent", 10000,
        2000, clients=("dugong_like/Loop", "pycurl/multi"), sizes=(100,),
    ),
    Workload(
        "h2-concurrent-asyncio", "GETs, so many at once, on asyncio", "concurrent", 10000, 2000,
        clients=(
            "dugong_like/asyncio", "dugong_like/exchange", "pycurl/asyncio", "pyreqwest/asyncio",
            "httpx2/asyncio", "niquests/asyncio",
        ),
        sizes=(100,),
    ),
    Workload(
        "h2-concurrent-trio", "GETs, so many at once, on trio", "concurrent", 10000, 2000,
        clients=("dugong_like/trio", "pycurl/multi", "httpx2/trio"), sizes=(100,),
    ),
    Workload(
        "h2-threads", "GETs of so many threads", "in_threads", 6400, 1600,
        clients=("dugong_like", "pyreqwest", "httpx2", "niquests"), sizes=(16,),
    ),
    _bulk("h2-download", "a large body, through a buffer of 1 MiB", "download"),
    _bulk("h2-download-tls", "a large body, through a buffer of 1 MiB", "download"),
    _bulk("h2-upload", "a large body from a file, of known length", "upload", size=GIB // 4),
    _bulk("h2-upload-tls", "a large body from a file, of known length", "upload", size=GIB // 4),
    Workload(
        "framing", "HTTP/2 without a network: GET of 1 KiB, as frames and back", "framing", 20000,
        2000, clients=("dugong_like/Engine", "h2"),
    ),
    Workload(
        "header-blocks", "HPACK: a request encoded and a response decoded", "header_blocks",
        20000, 2000, unit="pair", clients=("dugong_like/Engine", "h2"),
    ),
    Workload(
        "header-blocks-unlike", "HPACK, no two responses and no two requests alike",
        "header_blocks_unlike", 20000, 2000, unit="pair", clients=("dugong_like/Engine", "h2"),
    ),
    Workload(
        "import", "what importing it adds to a bare interpreter", "import", 1, 1,
        unit="import", time=MILLI, clients=tuple(STATEMENTS), turns=3,
    ),
    Workload(
        "growth-requests", "requests that are sent ahead of their answers", "growth_requests",
        20000, 1000, clients=GROWTH, sizes=(1, 10, 100, 1000, 10000, 100000),
    ),
    Workload(
        "growth-fields", "fields in an answer, of which one is read", "growth_fields",
        100000, 2000, unit="field", clients=GROWTH, sizes=(10, 30, 100, 300, 1000),
    ),
    Workload(
        "growth-bodies", "bytes of a body", "growth_bodies", 64 * MIB, MIB,
        unit="MiB", clients=GROWTH, per=MIB,
        sizes=(KIB, 32 * KIB, MIB, 32 * MIB, GIB),
    ),
]  # fmt: skip
BY_NAME: Final = {workload.name: workload for workload in WORKLOADS}
