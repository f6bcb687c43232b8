"""One connection with several users, and the part of it that each of them has.

Its users, and those who open a connection, are weak references in a set, which they leave, at the
latest, as garbage; see sharing.py.

Not here: who becomes a user, and where the connection goes after the last one (sharing.py).
"""

from __future__ import annotations

import warnings
from collections import OrderedDict
from math import inf
from time import monotonic
from typing import TYPE_CHECKING, Final, Protocol
from weakref import ref

from ..connection.connection_view import ConnectionView, bytes_received, room_of
from ..polling.wake import Wake

if TYPE_CHECKING:
    from ..connection.connection import HTTPConnection
    from ..connection.h2.rolling_batch import RollingBatch
    from ..http.url import Origin
    from .pooled import Member

DOUBTED: Final = -1.0  # `Share.rests_at` of one that may be dead
MOST_VIEWS: Final = 16  # of a connection; making one takes some microseconds


class StreamLender(Protocol):
    """The part of `Sharing` that is used here."""

    @property
    def ping_after(self) -> float:
        """See `Limits.ping_after`; infinity for never."""
        ...

    def doubt(self, share: Share, /) -> None:
        """Have *share* asked by PING before its next use, unless connections are never asked."""
        ...

    def count(self, share: Share, requests: int, /) -> None:
        """Count so many further requests of *share*; fewer if that is negative."""
        ...

    def end(self, at: SharedOrigin, share: Share, lease: ref[StreamLease] | None = None, /) -> None:
        """Note that a user of *share* has ended; a second time has no effect."""
        ...

    def wake(self, at: SharedOrigin, count: int, /) -> None:
        """Wake so many of those that have waited longest."""
        ...


class Share:
    """One connection with several users.

    It stays while the connection is idle, at its member of the pool: `Member.lent`.

    Args:
        connection: the connection, which is open.

    Attributes:
        connection: as given.
        renewals: how often the connection had been renewed when this was made.
        held: the connection as a member of the pool, until it is given back: of several calls that
            do that, one takes it out. Another list each time that the connection is taken.
        reused: True if it had been kept open for a while when it was taken; see `Lease`.
        views: of users that have ended in order, for the next ones.
        uses: the leases of its users, by weak references.
        served: how many there have been since it was taken.
        rests_at: time at which it has been without a new user for so long that it is to be asked
            by PING, in seconds of `time.monotonic`; or `DOUBTED`.
        heard: bytes that had arrived when it was doubted.
        has_ended: True if the connection is given back, or about to be.
        is_avoided: True if it takes no further user, and is closed after the last one.
        has_batches: True if one of its users has had more than one stream.

    """

    __slots__ = (
        *("connection", "has_batches", "has_ended", "heard", "held", "is_avoided", "renewals"),
        *("rests_at", "reused", "served", "uses", "views"),
    )

    def __init__(self, connection: HTTPConnection) -> None:
        self.connection = connection
        self.renewals = connection.renewals
        self.held: list[Member] = []
        self.uses: set[ref[StreamLease]] = set()
        self.views: list[ConnectionView] = []
        self.served = 0
        self.reused = False
        self.rests_at = inf
        self.heard = 0
        self.has_ended = self.is_avoided = self.has_batches = False

    def is_usable(self) -> bool:
        """Return True if its connection is open, and takes further requests.

        That may receive, and call functions of the user: not to be called under a lock.
        """
        for member in self.held.copy():
            return not member.is_at_limit(self.served) and self.connection.is_open()
        return False

    def has_room(self, *, waits: bool = False) -> bool:
        """Return True if it may have a further user, as far as is known without a look.

        *waits* says that the user may wait for a stream of a batch to end.
        """
        if self.has_ended or self.is_avoided:
            return False
        if self.has_batches and not waits and not self.connection.beside(room_of):
            return False
        return len(self.uses) < self.connection.concurrency

    def doubt(self) -> None:
        """Have it asked by PING before its next use, unless something arrives until then."""
        self.heard = self.connection.beside(bytes_received)
        self.rests_at = DOUBTED

    def is_due(self, now: float) -> bool:
        """Return True if it is to be asked by PING before its next use."""
        if self.rests_at > now:
            return False
        return self.rests_at != DOUBTED or self.is_silent()

    def is_silent(self) -> bool:
        """Return True if nothing has arrived since it was doubted."""
        return self.connection.beside(bytes_received) == self.heard

    def view(self) -> ConnectionView:
        """Return the calls of the connection for one further user."""
        try:
            return self.views.pop()
        except IndexError:
            return self.connection.beside(ConnectionView)


class SharedOrigin:
    """The shared connections to one origin, and those that wait for one.

    Attributes:
        shares: the connections, in the order in which they were opened.
        waiting: those that wait, in their order.
        opening: those who open a connection, by weak references.
        each_opens: True after a connection could not be opened.
        speaks_http_1: True if the server has chosen HTTP/1.1.
        needs_http_1: True if it has answered HTTP_1_1_REQUIRED over HTTP/2.
        is_forgotten: True if another object has its place.

    """

    __slots__ = (
        *("each_opens", "is_forgotten", "needs_http_1", "opening", "shares", "speaks_http_1"),
        "waiting",
    )

    def __init__(self) -> None:
        self.shares: list[Share] = []
        self.waiting: OrderedDict[Wake, None] = OrderedDict()
        self.opening: set[ref[Opening]] = set()
        self.each_opens = False
        self.speaks_http_1 = self.needs_http_1 = self.is_forgotten = False

    def is_unused(self) -> bool:
        """Return True if it can be forgotten."""
        return not (self.shares or self.waiting or self.opening)


class StreamLease:
    """The use of a shared connection for one exchange, until it is given back.

    Giving it back twice has no effect; a lease that becomes garbage is given back, with a
    `ResourceWarning`.

    Attributes:
        connection: a `ConnectionView` of the connection, which others use as well.
        origin: where it leads.
        taken: time at which it was taken, in seconds of `time.monotonic`; 0.0 if nobody asks.
        is_batch: True if it is for many streams, see `begin_batch`.

    """

    __slots__ = (
        *("__weakref__", "_at", "_from", "_has_ended", "_mine", "_share", "_sharing"),
        *("connection", "is_batch", "origin", "taken"),
    )

    _share: Share | None

    def __init__(
        self, sharing: StreamLender, at: SharedOrigin, share: Share, origin: Origin
    ) -> None:
        self.connection = share.view()
        self.origin = origin
        self._from = share
        self._sharing = sharing
        self._at = at
        self._has_ended = self.is_batch = False
        # The callback is no code of Python, which could be interrupted.
        self._mine = ref(self, share.uses.discard)
        self._share = share
        self.taken = 0.0
        share.uses.add(self._mine)

    @property
    def reused(self) -> bool:
        """True if it was lent to others as well: then a request may find that it has ended."""
        return self._from.served > 1 or self._from.reused

    @property
    def whole(self) -> HTTPConnection:
        """The connection itself, which others use as well."""
        return self._from.connection

    def avoid(self) -> None:
        """Have the connection take no further user."""
        self._from.is_avoided = True

    def begin_batch(self) -> RollingBatch | None:
        """Return what does many exchanges; None if each has to be done by itself.

        From here on the lease is for many streams, which `count` counts.
        """
        self.is_batch = self._from.has_batches = True
        self._sharing.count(self._from, -1)
        return self.connection.rolling_batch()

    def make_way(self) -> bool:
        """Have the connection closed after its present users, if all of them are batches.

        A batch takes new requests as long as there are any, so others of the pool might wait for
        ever. Any other user may have a stream that does not end, and keeps the connection anyway.

        Returns:
            True if no batch is to take a further request.

        """
        share = self._from
        if not share.is_avoided:
            users = [use() for use in share.uses.copy()]
            share.is_avoided = all(user is None or user.is_batch for user in users)
        return share.is_avoided

    def count(self, requests: int) -> None:
        """Count so many *requests* of a batch."""
        share = self._from
        self._sharing.count(share, requests)
        if share.rests_at != DOUBTED:
            share.rests_at = monotonic() + self._sharing.ping_after

    def requests(self) -> int:
        """Return how many requests the connection has had."""
        share = self._from
        return share.served + sum(member.requests for member in share.held.copy())

    def left(self) -> float:
        """Return how many requests the connection may still have, after those of its users."""
        share = self._from
        if not share.is_avoided:
            for member in share.held.copy():
                return member.left(share.served)
        return 0

    def release(
        self,
        keep_alive: str | None = None,  # noqa: ARG002 - not in HTTP/2
        requests: int = 1,
    ) -> None:
        """Give the stream back, after a complete exchange; otherwise it is reset.

        *requests* is 0 if none was sent on it; those of a batch are counted by `count`.
        """
        if not requests and self._share is not None:
            self._sharing.count(self._from, -1)
        self._end(keeps_view=self.connection.is_quiet())

    def doubt(self) -> None:
        """Note that there was no answer in time: the connection may be dead."""
        self._sharing.doubt(self._from)

    def discard(self) -> None:
        """Give the stream back, in whatever state it is. Others go on using the connection."""
        self._end(keeps_view=False)

    def _end(self, *, keeps_view: bool) -> None:
        share, self._share = self._share, None
        if share is None:
            return
        if not keeps_view:
            self.connection.disconnect()
        elif len(share.views) < MOST_VIEWS:
            share.views.append(self.connection)
        self._leave(share)

    def _leave(self, share: Share) -> None:
        self._sharing.end(self._at, share, self._mine)
        self._has_ended = True

    def __repr__(self) -> str:
        state = "" if self._share is not None else ", given back"
        return f"<StreamLease of {self.connection!r}{state}>"

    def __del__(self) -> None:
        try:
            share, has_ended = self._share, self._has_ended
        except AttributeError:  # it was not even made
            return
        if share is not None:
            self.release()
            what = f"a stream to {self.origin} was not given back"
            warnings.warn(what, ResourceWarning, source=self, stacklevel=2)
        elif not has_ended:  # it was interrupted
            self._leave(self._from)


class Opening:
    """The turn of one operation to open a connection, until it ends.

    Args:
        sharing: where it opens one.
        at: for which origin.

    """

    __slots__ = ("__weakref__", "_at", "_mine", "_sharing")

    _sharing: StreamLender | None

    def __init__(self, sharing: StreamLender, at: SharedOrigin) -> None:
        self._at = at
        self._mine = ref(self, at.opening.discard)
        self._sharing = sharing
        at.opening.add(self._mine)

    def end(self, woken: int) -> None:
        """Note that it has ended, and wake so many of those that wait for it."""
        self._at.opening.discard(self._mine)
        if self._sharing is not None:
            self._sharing.wake(self._at, woken)
        self._sharing = None

    def __del__(self) -> None:
        try:
            sharing = self._sharing
        except AttributeError:  # it was not even made
            return
        if sharing is not None:
            self.end(1)
