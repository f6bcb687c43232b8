"""How many connections a pool may have, how many it keeps, and for how long; other defaults.

Not here: what time limits mean (polling/timeouts.py), and the pool (pool.py).
"""

from __future__ import annotations

import functools
from typing import Any, Final, Never

from ..polling.numbers import check_int, check_seconds
from ..polling.timeouts import Timeouts
from .other_names import unknown_argument

MAX_CONNECTIONS: Final = 100  # as httpx and aiohttp
MAX_KEEPALIVE: Final = 50
MAX_KEEPALIVE_PER_ORIGIN: Final = 10
# Seconds. Load balancers end idle connections after 60: a request that comes later would meet a
# connection that is closed.
KEEPALIVE_EXPIRY: Final = 60.0
# Seconds. A connection that a router on the way has forgotten, which says nothing, swallows what is
# sent: the request would fail at its time limit only. Routers forget after some minutes without a
# packet (AWS after 350 s, Azure after 240 s), some of mobile networks after one.
PING_AFTER: Final = 60.0
# Of a client, in seconds. The first answer of some services takes minutes, which is no stall.
DEFAULT_TIMEOUTS: Final = Timeouts(connect=10, pool=30, head=300, stall=60)
# Of a client. With https the server chooses one of them (ALPN); without, it is HTTP/1.1.
HTTP_2_OR_1: Final = ("h2", "http/1.1")
SAME: Final = {
    "hard_limit": "max_connections",
    "keep_alive": "keepalive_expiry",
    "keepalive_timeout": "keepalive_expiry",
    "limit": "max_connections",
    "limit_per_host": "max_per_origin",
    "max_keepalive_connections": "max_keepalive",
    "max_per_host": "max_per_origin",
    "maxsize": "max_per_origin",
    "pool_timeout": "Timeouts(pool=…)",
    "soft_limit": "max_keepalive",
}  # what other libraries call an argument
COUNTS: Final = {  # name: the least value
    "max_connections": 1,
    "max_per_origin": 1,
    "max_keepalive": 0,
    "max_keepalive_per_origin": 0,
    "max_requests": 1,
}


class Limits:
    """The limits of a `Pool`. None sets no limit.

    Args:
        max_connections: connections at a time, idle ones included. Further requests wait.
        max_per_origin: the same for one origin.
        max_keepalive: idle connections that are kept. Beyond that the one is closed that has been
            idle for the longest time.
        max_keepalive_per_origin: the same for one origin.
        keepalive_expiry: seconds after which an idle connection is not used again; less if the
            server says so (``Keep-Alive: timeout=``). 0 to use each connection once.
        max_age: seconds after which a connection gets no further request; those under way are
            not interrupted.
        max_requests: requests after which a connection is closed.
        ping_after: seconds without a new request after which an HTTP/2 connection is asked by PING
            before the next one is sent. If nothing arrives within 5 seconds another connection is
            used. It counts for connections that are idle for that long, which *keepalive_expiry*
            has to allow, and for those on which other exchanges go on. 0 to ask each time, None
            never.

    Raises:
        InvalidOption: an argument is too small, or not a number.
        TypeError: an argument has the wrong type.

    """

    max_connections: int | None
    max_per_origin: int | None
    max_keepalive: int | None
    max_keepalive_per_origin: int | None
    keepalive_expiry: float | None
    max_age: float | None
    max_requests: int | None
    ping_after: float | None

    # Not a dataclass: importing `dataclasses` takes longer than the rest of the library.
    __slots__ = (
        *("keepalive_expiry", "max_age", "max_connections", "max_keepalive"),
        *("max_keepalive_per_origin", "max_per_origin", "max_requests", "ping_after"),
    )

    def __init__(  # noqa: PLR0913 - they are documented above
        self,
        *,
        max_connections: int | None = MAX_CONNECTIONS,
        max_per_origin: int | None = None,
        max_keepalive: int | None = MAX_KEEPALIVE,
        max_keepalive_per_origin: int | None = MAX_KEEPALIVE_PER_ORIGIN,
        keepalive_expiry: float | None = KEEPALIVE_EXPIRY,
        max_age: float | None = None,
        max_requests: int | None = None,
        ping_after: float | None = PING_AFTER,
        **unknown: Never,
    ) -> None:
        for name in unknown:
            raise unknown_argument(name, self.__slots__, SAME)
        given = {
            "max_connections": max_connections,
            "max_per_origin": max_per_origin,
            "max_keepalive": max_keepalive,
            "max_keepalive_per_origin": max_keepalive_per_origin,
            "max_requests": max_requests,
        }
        for name, count in given.items():
            if count is not None:
                check_int(name, count, COUNTS[name])
            object.__setattr__(self, name, count)
        times = {
            "keepalive_expiry": keepalive_expiry,
            "max_age": max_age,
            "ping_after": ping_after,
        }
        for name, seconds in times.items():
            if seconds is not None:
                check_seconds(seconds, name)
            object.__setattr__(self, name, seconds)

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError(f"Limits are never changed: {name}")

    def _key(self) -> tuple[Any, ...]:
        return tuple(getattr(self, name) for name in self.__slots__)

    def __reduce__(self) -> tuple[Any, ...]:
        given = dict(zip(self.__slots__, self._key(), strict=True))
        return functools.partial(Limits, **given), ()

    def __eq__(self, other: object) -> bool:
        return self._key() == other._key() if isinstance(other, Limits) else NotImplemented

    def __hash__(self) -> int:
        return hash(self._key())

    def __repr__(self) -> str:
        given = zip(self.__slots__, self._key(), strict=True)
        return f"Limits({', '.join(f'{name}={value}' for name, value in given)})"
