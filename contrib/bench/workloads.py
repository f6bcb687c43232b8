"""The table of workloads: what is asked, how often, of whom, and what the figures mean."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from .clients import is_floor

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
BLOCKING_PEERS: Final = ("http.client", "urllib3", "requests", "httpx")
PEERS: Final = (*BLOCKING_PEERS, "aiohttp", "aiohttp/uvloop", "pycurl", "awscrt", "dugong")
ALL: Final = ("floor", *DRIVERS, *PEERS)
BULK: Final = ("floor", "dugong_like", "dugong_like/Loop", "dugong_like/asyncio", *PEERS)


@dataclass(frozen=True)
class Workload:
    """One line of the table.

    Attributes:
        name: for the command line.
        title: for people.
        job: a method of jobs.Job.
        count, quick: how many units of work are one measurement, and with --quick; for
            large bodies the bytes of the body, which are then *per* bytes a unit.
        unit: what is counted.
        time: name and size of the unit of time.
        clients: who takes part; the first one is the floor.
        tls: True if the server speaks TLS.
        rounds: at most so many, if figures hardly vary or take long.
        sizes: one line for each size and this library only, in workloads about growth.
        memory: True if bytes of memory are what is measured.

    """

    name: str
    title: str
    job: str
    count: int
    quick: int
    unit: str = "GET"
    time: tuple[str, float] = MICRO
    clients: tuple[str, ...] = ALL
    tls: bool = False
    rounds: int = 1000
    per: int = 1
    sizes: tuple[int, ...] = ()
    memory: bool = False

    @property
    def floor(self) -> str | None:
        """The client that all others are compared with, if there is one."""
        return self.clients[0] if is_floor(self.clients[0]) else None


WORKLOADS: Final = [
    Workload("sequential", "GET of 1 KiB, one after the other", "sequential", 5000, 300),
    Workload("sequential-tls", "the same over TLS", "sequential", 4000, 300, tls=True),
    Workload("fields", "50 response fields, reading one", "fields", 4000, 300),
    Workload("pipelined", "GETs, pipelined where the client can", "pipelined", 10000, 500),
    Workload(
        "concurrent-asyncio", "64 connections at once on asyncio", "concurrent", 12800, 1280,
        clients=(
            "floor/asyncio", "dugong_like/asyncio", "httpx/asyncio", "aiohttp", "dugong/asyncio",
        ),
    ),
    Workload(
        "concurrent-uvloop", "64 connections at once on uvloop", "concurrent", 12800, 1280,
        clients=("floor/uvloop", "dugong_like/uvloop", "httpx/uvloop", "aiohttp/uvloop"),
    ),
    Workload(
        "concurrent-trio", "64 connections at once on trio", "concurrent", 12800, 1280,
        clients=("floor/trio", "dugong_like/trio", "httpx/trio"),
    ),
    Workload(
        "concurrent-loop", "64 connections at once, other loops", "concurrent", 12800, 1280,
        clients=(
            "floor/epoll", "dugong_like/Loop", "dugong_like/gevent", "pycurl/multi", "awscrt",
        ),
    ),
    Workload("connect", "a new connection for each GET", "connect", 1500, 100),
    Workload("connect-tls", "the same over TLS", "connect", 300, 30, tls=True),
]  # fmt: skip
BY_NAME: Final = {workload.name: workload for workload in WORKLOADS}
