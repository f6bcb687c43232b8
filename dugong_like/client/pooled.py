"""The state of a pool for each connection and each origin: places, queues and counts.

A place is never counted up and down: it is a weak reference to a `Member` in the sets of its
origin and of the pool, and is removed from there, at the latest, when the member is garbage
collected. So an interruption at any point cannot lose one.

Not here: who gets a connection (pool.py), and making them (connector.py).
"""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Callable
from math import inf
from time import monotonic
from typing import Any, Final, NamedTuple, Protocol
from weakref import ref

from ..connection.connection import HTTPConnection
from ..errors import StateError
from ..http.url import Origin
from ..polling.contract import Co
from ..polling.timeouts import Timeouts
from ..polling.wake import Wake

HTTP_2: Final = "h2"  # its name in ALPN (RFC 9113 section 3.1)
CLOSED: Final = "the pool was closed"


class PoolableConnection(Protocol):
    """The part of a connection that a pool uses; `HTTPConnection` has it.

    A lease is the use of the whole connection. One that takes several exchanges at a time would
    have to say for how many more it has room.

    Attributes:
        renewals: how often it has been connected anew by itself.

    """

    renewals: int

    @property
    def timeout(self) -> float | Timeouts | None:
        """Time limits, which a user may change: the pool puts them back."""

    @timeout.setter
    def timeout(self, timeout: float | Timeouts | None) -> None:
        """Set them to *timeout*; see `HTTPConnection.timeout`."""

    @property
    def close_reason(self) -> Exception | None:
        """The exception that has ended it; None if it has not ended, or has ended in order."""

    def is_reusable(self) -> bool:
        """Return True if it is open and nothing is under way. Makes no system call."""
        ...

    def co_connect(self) -> Co[None]:
        """Open it."""
        ...

    def close(self) -> None:
        """Close it, in any state, without waiting."""
        ...


_conforms: type[PoolableConnection] = HTTPConnection  # for the type checker


class OriginStats(NamedTuple):
    """The counts of one origin; see `Pool.stats`.

    Nothing waits to be counted: with several threads a few of those that only grow may be missing.

    Attributes:
        idle: connections that nobody uses.
        busy: connections in use, those included that are being opened.
        waiting: operations that wait for a connection.
        opened: connections that were made, those included that could not be opened.
        reused: leases of a connection that was there already.
        expired: idle connections that were closed as they had been idle for too long.
        stale: leases of a connection that the server had closed meanwhile, so that a new one had to
            take its place.
        ended: how many connections have ended, by the reason: ``"expired"``, ``"too old"``,
            ``"max requests"``, ``"surplus"`` (more idle ones than are kept), ``"room made"`` (for
            another origin), ``"not reusable"`` (the last response said so), ``"discarded"``,
            ``"lost"`` (the lease was garbage), ``"unused"``, ``"pool closed"``, ``"interrupted"``,
            or the name of the exception that has ended it.

    """

    idle: int
    busy: int
    waiting: int
    opened: int
    reused: int
    expired: int
    stale: int
    ended: dict[str, int]


class Member:
    """One connection of a pool, or the place for one.

    One that becomes garbage gives its places back, and has those served that wait for one: so no
    interruption, at any point, makes anybody wait for ever.

    Args:
        at: the origin.
        places: of the pool.

    Attributes:
        at: the origin that it is used for; None while it is idle, which would be a circle.
        has_other_limits: True if its connection may have other time limits than `timeout`.
        home: the same at any time, as a weak reference.
        connection: the connection; None before it is made.
        timeout: its time limits.
        renewals: how often it was renewed, as far as is known.
        lent: kept by `Sharing` while it is idle, for the next one that it is lent to; or None.
        requests: how often it has been given back after use.
        was_kept: True if it was given back without a request, as its connection was opened early.
        most: requests after which it is closed.
        lasts: seconds that it may be idle.
        ends: time at which it is too old.
        due: time until which it may be used, while it is idle.
        rested: time since when it has been idle, if it is HTTP/2 and may be asked by PING.
        taken: time at which it was taken.
        places: its places: each a set, and the reference in there.
        key: the reference in the last of them.

    """

    __slots__ = (
        *("__weakref__", "at", "connection", "due", "ends", "has_other_limits", "home", "key"),
        *("lasts", "lent", "most", "places", "renewals", "requests", "rested", "taken"),
        *("timeout", "was_kept"),
    )

    def __init__(self, at: OriginPool, places: set[ref[Member]]) -> None:
        self.at: OriginPool | None = at
        self.has_other_limits = self.was_kept = False
        self.home = ref(at)
        self.connection: HTTPConnection | None = None
        self.timeout: float | Timeouts | None = None
        self.lent: Any = None
        self.renewals = 0
        self.requests = 0
        self.taken = self.rested = 0.0
        self.most = self.lasts = self.ends = self.due = inf
        self.places: list[tuple[set[ref[Member]], ref[Member]]] = []
        try:
            for place in (at.members, places):
                # The callback is no code of Python, which could be interrupted.
                self.key = mine = ref(self, place.discard)
                self.places.append((place, mine))
                place.add(mine)
        except BaseException:
            self.leave()
            self.forget()
            raise

    def is_at_limit(self, served: int) -> bool:
        """Return True if it takes no further request after *served* ones of its present user."""
        return self.left(served) <= 0

    def left(self, served: int) -> float:
        """Return how many requests it takes after *served* ones of its present user."""
        return 0 if monotonic() >= self.ends else self.most - self.requests - served

    def leave(self) -> None:
        """Give its places back."""
        for place, mine in self.places:
            place.discard(mine)

    def forget(self) -> None:
        """Have nothing to do with the pool any more; its places are given back."""
        self.at = None
        self.places.clear()

    def __del__(self) -> None:
        try:
            at = self.home() if self.places else None
        except AttributeError:  # it was not even made
            return
        if at is not None:
            self.leave()
            at.serve()


class Waiter:
    """An operation that waits for a connection.

    The one that serves it first puts a `Member` into `given`, and looks at `left` then; the waiter
    that leaves does the opposite. So at least one of them sees the other, and taking the member out
    is one step, which only one of them can do.

    Attributes:
        ticket: its number; lower ones came before.
        wake: wakes it.
        given: the member that it has got, until it is taken.
        left: True if it waits no more.

    """

    __slots__ = ("given", "left", "ticket", "wake")

    def __init__(self, ticket: int, wake: Wake) -> None:
        self.ticket = ticket
        self.wake = wake
        self.given: list[Member] = []
        self.left = False

    def take(self) -> Member | None:
        """Take what it was given, or None; only one call gets it."""
        try:
            return self.given.pop()
        except IndexError:
            return None


class Server(Protocol):
    """The part of a `Pool` that serves those that wait."""

    def serve(self, at: OriginPool, /) -> None:
        """Give what is free to those that wait; something may have changed *at* an origin."""
        ...


class OriginPool:
    """The connections to one origin, and those that wait for one.

    Args:
        origin: see the attribute.
        pool: whose it is.

    Attributes:
        origin: the first origin that was asked for.
        is_open: False if the pool was closed, or is that of a parent process.
        members: the places of its connections.
        idle: the idle ones; the one that was used last is at the end.
        waiting: those that wait, in their order.
        is_listed: True if it is in the queue of those that can be served; see `Pool`.
        negotiates: True if its connections may speak HTTP/2.
        is_shared: True if they are lent stream by stream, as far as is known; see `Sharing`.
        lent: what `Sharing` knows of the origin; None if it was not asked.
        opened: and the others: see `OriginStats`.

    """

    __slots__ = (
        *("__weakref__", "_pool", "ended", "expired", "idle", "is_listed", "is_open", "members"),
        *("is_shared", "lent", "negotiates", "opened", "origin", "reused", "stale", "waiting"),
    )

    def __init__(self, origin: Origin, pool: Callable[[], Server | None]) -> None:
        self.origin: Final = origin
        self._pool = pool  # a weak reference
        self.is_open = True
        self.is_listed = self.negotiates = self.is_shared = False
        self.lent: Any = None
        self.members: set[ref[Member]] = set()
        self.idle: deque[Member] = deque()
        self.waiting: OrderedDict[Waiter, None] = OrderedDict()
        self.opened = self.reused = self.expired = self.stale = 0
        self.ended: dict[str, int] = {}

    def first(self) -> Waiter | None:
        """Return the one that has waited longest, or None."""
        waiting = self.waiting
        while waiting:
            try:
                return next(iter(waiting))
            except (RuntimeError, StopIteration):  # another thread has changed it in between
                continue
        return None

    def serve(self) -> None:
        """Have those served that wait for a place which has become free."""
        pool = self._pool()
        if pool is not None:
            pool.serve(self)

    def count_end(self, why: str) -> None:
        """Count a connection that has ended."""
        self.ended[why] = self.ended.get(why, 0) + 1

    def stats(self) -> OriginStats:
        """Return the counts of this moment."""
        idle = len(self.idle)
        return OriginStats(
            idle,
            max(len(self.members) - idle, 0),
            len(self.waiting),
            self.opened,
            self.reused,
            self.expired,
            self.stale,
            dict(self.ended),
        )


def closed_for(origin: Origin) -> StateError:
    """Return the error of whoever wants a connection to *origin* of a pool that is closed."""
    return StateError(f"{CLOSED}: it has no connection to {origin}")
