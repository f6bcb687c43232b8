"""Connections that many requests use at the same time: HTTP/2 above the leases of a pool.

A pool lends whole connections. For an origin that may choose HTTP/2 one lease is taken here, its
connection opened, and lent stream by stream. When the last stream has ended the lease goes back to
the pool, where the connection is idle like any other. Another connection is opened only when the
streams of those that are there are used up.

The first connection to an origin is opened by one request; the others wait for what it turns out to
speak. With HTTP/1.1 each takes a connection of its own from then on. If it cannot be opened, those
that wait open connections by themselves, so that they do not fail one after the other.

A connection that has been without a new request for long may be dead without anybody knowing. It is
asked by PING first, by the one whose turn it is to open one, and the others wait for the outcome.
So is one on which an exchange got no answer in time, or was cancelled before, if nothing else has
arrived there since.

**Threads, loops, finalizers and signals.** State is changed under a lock that is held for
microseconds. A lease that is lost is given back by a finalizer, which may run in the middle of a
section of the same thread: so what a section has looked at it looks at again after it has changed
something.

A call may end anywhere, by Ctrl-C. So nothing is counted up and down: the users of a connection,
and those who open one, are weak references in a set, which they leave, at the latest, as garbage.
Their finalizers do then what was left to be done, as often as it takes: that has no effect where it
was done already. One that stops waiting wakes the next one, as what was free may be still.

Not here: the users of a connection themselves (share.py), places, limits and idle connections
(pool.py), and streams (connection/h2/).
"""

from __future__ import annotations

from collections.abc import Hashable
from functools import partial
from math import inf
from threading import RLock
from time import monotonic
from typing import TYPE_CHECKING, Final, Protocol, TypeAlias
from weakref import ref

from ..connection.connection_view import ConnectionView, bytes_received, watch_room
from ..errors import DugongError, PoolTimedOut
from ..polling.contract import within
from ..polling.timeouts import how_long
from ..polling.wake import Wake
from .pooled import HTTP_2, Member, OriginPool, closed_for
from .share import DOUBTED, Opening, Share, SharedOrigin, StreamLease

if TYPE_CHECKING:
    from ..connection.connection import HTTPConnection
    from ..http.url import Origin
    from ..polling.contract import Co
    from ..polling.timeouts import Timeouts
    from .lease import Lease
    from .request import ClientRequest

PING_TIME: Final = 5.0  # seconds for the answer to a PING: if a packet is lost it is sent again
MOST_KNOWN: Final = 1000  # origins that are remembered although nothing is in use there


class Lending(Protocol):
    """The part of a `Pool` that is used here."""

    @property
    def ping_after(self) -> float:
        """See `Limits.ping_after`; infinity for never."""
        ...

    def key(self, origin: Origin, /) -> Hashable:
        """Return what is equal for origins that the same connections lead to."""
        ...

    def deadline(self) -> float | None:
        """Return until when an operation that begins now waits for a connection; None: for ever."""
        ...

    def is_closed(self) -> bool:
        """Return True if nothing is lent any more."""
        ...

    def set_shared(self, origin: Origin, *, is_shared: bool) -> None:
        """Note whether connections to *origin* are lent stream by stream."""
        ...

    def take_idle(self, at: OriginPool, /) -> list[Member] | None:
        """Take an idle connection, without calling anything of the user's."""
        ...

    def put_back(
        self,
        held: list[Member],
        why: str | None = None,
        *,
        used: int = 1,
        is_doubted: bool = False,
    ) -> None:
        """Give back what is in *held*, if there is anything, after so many requests."""
        ...

    def try_acquire(self, origin: Origin, /) -> Lease | None:
        """Take a connection, if that is possible at once."""
        ...

    def co_acquire(self, origin: Origin, deadline: float | None, /) -> Co[Lease]:
        """Take a connection, or wait for one."""
        ...


AnyLease: TypeAlias = "Lease | StreamLease"


class Sharing:
    """Lends streams of HTTP/2 connections, and whole connections where HTTP/1.1 is spoken.

    Args:
        pool: lends the connections.

    """

    __slots__ = ("__weakref__", "_changing", "_known", "_pool", "_self")

    def __init__(self, pool: Lending) -> None:
        self._pool = pool
        self._self = ref(self)
        self._known: dict[Hashable, SharedOrigin] = {}
        self._changing = RLock()

    @property
    def ping_after(self) -> float:
        """See `Limits.ping_after`."""
        return self._pool.ping_after

    # ---- taking

    def leases(self, request: ClientRequest) -> Leases:
        """Return what lends to *request*, as a pool does."""
        return Leases(self, request.timeouts, alone=request.alone)

    def try_acquire_whole(self, origin: Origin) -> Lease | None:
        """Take a connection that nobody else uses; see `Pool.try_acquire`."""
        return self._pool.try_acquire(origin)

    def co_acquire_whole(self, origin: Origin, deadline: float | None) -> Co[Lease]:
        """Take a connection that nobody else uses; see `Pool.co_acquire`."""
        return self._pool.co_acquire(origin, deadline)

    def try_acquire(self, origin: Origin) -> AnyLease | None:
        """Take a stream, or a connection, if that is possible at once.

        Returns:
            The lease; None if a connection has to be opened or waited for.

        Raises what `Pool.try_acquire` raises.
        """
        at = self._at(origin)
        if at.speaks_http_1:
            whole = self._pool.try_acquire(origin)
            return None if whole is None else self._checked(at, whole)
        return None if at.waiting else self._take(at, origin)

    def co_acquire(
        self, origin: Origin, deadline: float | None = None, timeouts: Timeouts | None = None
    ) -> Co[AnyLease]:
        """Take a stream, or a connection; open one, or wait for it.

        Args:
            origin: where it leads.
            deadline: see `Pool.co_acquire`.
            timeouts: those that hold if a connection is opened; None for its own.

        Raises:
            PoolTimedOut: the deadline has passed.
            StateError: the pool is closed.
            DugongError: a connection could not be opened.

        """
        at = self._at(origin)
        if deadline is None:
            deadline = self._pool.deadline()
        until = None if deadline == inf else deadline
        if not at.speaks_http_1 and not at.waiting:
            free: AnyLease | None = self._take(at, origin)
            if free is None and not at.each_opens and (opening := self._may_open(at)) is not None:
                free = yield from self._co_open(opening, at, origin, until, timeouts)
            if free is not None:
                return free
        lease = yield from self._co_wait(at, origin, until, timeouts)
        if lease is not None:
            return lease
        whole = yield from self._pool.co_acquire(origin, inf if until is None else until)
        return self._checked(at, whole)

    def _co_wait(
        self, at: SharedOrigin, origin: Origin, until: float | None, timeouts: Timeouts | None
    ) -> Co[AnyLease | None]:
        """Take a stream, or open a connection, as soon as that is possible.

        Returns:
            The lease; None if each has a connection of its own, as the server speaks HTTP/1.1.

        """
        began = monotonic()
        with Wake("pool") as wake:
            try:
                self._join(at, wake)
                while not at.speaks_http_1:
                    wake.clear()  # first: what happens from here on is not missed
                    lease: AnyLease | None = self._take(at, origin)
                    if lease is None and (opening := self._may_open(at)) is not None:
                        lease = yield from self._co_open(opening, at, origin, until, timeouts)
                    if lease is not None:
                        return lease
                    if self._pool.is_closed():
                        raise closed_for(origin)
                    if not (yield from wake.co_wait(until)):
                        raise self._too_late(at, origin, began, until)
                return None
            except BaseException:
                self._leave(at, wake)  # and again, as that may be interrupted
                raise
            finally:
                self._leave(at, wake)

    def take_stream(self, here: OriginPool, origin: Origin) -> StreamLease | None:
        """Take a stream of a connection that is open, if that is possible at once.

        Args:
            here: what the pool has for the origin.
            origin: where it leads.

        """
        at = here.lent
        if at is None or at.is_forgotten:
            at = here.lent = self._at(origin)
        if at.waiting or at.speaks_http_1 or at.needs_http_1:
            return None
        if at.shares:
            return self._take(at, origin)
        held = None
        try:
            with self._changing:  # nobody shall find it neither idle nor shared
                if at.opening or at.shares or (held := self._pool.take_idle(here)) is None:
                    return None
                connection = held[0].connection
                if connection is not None and connection.is_reusable():
                    stream = self._lend(at, held, connection, origin)
                    held = None
                    return stream
        finally:
            if held is not None:
                self._pool.put_back(held, "discarded")
        return None

    def take_tunnel(self, here: OriginPool, origin: Origin) -> StreamLease | None:
        """Do what `take_stream` does, if the server takes the extended CONNECT (RFC 8441).

        That is looked at first, so that none is taken in vain.
        """
        at = here.lent
        known = [] if at is None or at.is_forgotten else [each.connection for each in at.shares]
        if not known:
            try:
                known.append(here.idle[-1].connection)
            except IndexError:
                return None
        if not any(map(_takes_connect, known)):
            return None
        lease = self.take_stream(here, origin)
        if lease is not None and not _takes_connect(lease.whole):
            lease.release(requests=0)
            return None
        return lease

    def _at(self, origin: Origin) -> SharedOrigin:
        key = self._pool.key(origin)
        at = self._known.get(key)
        if at is None:
            with self._changing:
                if len(self._known) >= MOST_KNOWN:
                    for other, each in list(self._known.items()):
                        if each.is_unused():
                            each.is_forgotten = True
                            self._known.pop(other, None)
                at = self._known.setdefault(key, SharedOrigin())
        return at

    def _take(self, at: SharedOrigin, origin: Origin, *, waits: bool = False) -> StreamLease | None:
        """Return a stream of a connection that has room; None if there is none.

        *waits*: see `Share.has_room`.
        """
        now = monotonic()
        for share in at.shares.copy():
            if not share.has_room(waits=waits) or not share.is_usable():
                continue
            if share.rests_at <= now and share.is_due(now):
                continue
            lease = None
            try:
                with self._changing:
                    if share.has_room(waits=waits):
                        lease = self._use(at, share, origin)
                if lease is not None and not share.has_ended:  # in between, by a finalizer
                    return lease
            except BaseException:
                self.end(at, share)
                raise
            if lease is not None:
                lease.release(requests=0)
        return None

    def _use(self, at: SharedOrigin, share: Share, origin: Origin) -> StreamLease:
        share.served += 1
        share.rests_at = monotonic() + self._pool.ping_after
        return StreamLease(self, at, share, origin)

    def _lend(
        self, at: SharedOrigin, held: list[Member], connection: HTTPConnection, origin: Origin
    ) -> StreamLease:
        """Lend the first stream of a connection that was just taken; under the lock."""
        member = held[0]
        share: Share | None = member.lent
        if share is None or share.renewals != connection.renewals:
            share = Share(connection)
        member.lent = None  # that would be a circle
        share.served = 0
        share.reused = member.requests > 0 or member.was_kept
        stream = self._use(at, share, origin)
        # Behind that: finalizers of former users leave it alone from here on.
        share.has_ended = False
        share.held = held
        if share not in at.shares:  # one that gives it back may be about to remove it
            at.shares.append(share)
        return stream

    def _checked(self, at: SharedOrigin, lease: Lease) -> AnyLease:
        """Share what was taken as an HTTP/1.1 connection if it has turned out to be HTTP/2."""
        if lease.connection.protocol != HTTP_2 or not lease.connection.is_open():
            return lease
        at.speaks_http_1 = False
        self._pool.set_shared(lease.origin, is_shared=True)
        return self._share(at, lease)

    def needs_http_1(self, origin: Origin) -> bool:
        """Return True if the server refuses HTTP/2, although it has chosen it."""
        return self._at(origin).needs_http_1

    def note_http_1(self, origin: Origin) -> None:
        """Note that the server refuses HTTP/2."""
        self._at(origin).needs_http_1 = True

    # ---- opening

    def _may_open(self, at: SharedOrigin) -> Opening | None:
        """Return the turn of the caller to open a connection; None if it is another one's."""
        with self._changing:
            if at.opening and not at.each_opens:
                return None
            if any(share.has_ended for share in at.shares):
                return None  # it is about to be idle, and wakes one then
            return Opening(self, at)

    def _co_open(
        self,
        opening: Opening,
        at: SharedOrigin,
        origin: Origin,
        until: float | None,
        timeouts: Timeouts | None,
    ) -> Co[AnyLease | None]:
        """Take a connection of the pool, and open it, as *opening* allows.

        Returns:
            A stream of it; or the connection if it is HTTP/1.1; None if the pool is full, and a
            stream will be given back.

        """
        lease = stream = None
        woken = 1  # another one opens if this is given up
        try:
            yield from self._co_ask(at)
            if (free := self._take(at, origin)) is not None:  # shared since a moment ago
                woken = len(at.waiting)
                return free
            is_open = False
            while not is_open:
                if lease is not None:
                    lease.discard()
                lease = self._pool.try_acquire(origin)
                if lease is None:
                    if at.shares:
                        free = self._take(at, origin, waits=True)
                        woken = 0 if free is None else 1  # or all would try again at once
                        return free
                    lease = yield from self._pool.co_acquire(
                        origin, inf if until is None else until
                    )
                is_open = yield from _co_open(lease, timeouts)
            assert lease is not None
            woken = len(at.waiting)
            at.each_opens = False
            if lease.connection.protocol == HTTP_2:
                stream = self._share(at, lease)
                lease = None
                result, stream = stream, None
                return result
            at.speaks_http_1 = True
            self._pool.set_shared(origin, is_shared=False)
            whole, lease = lease, None
            return whole
        except DugongError:
            at.each_opens = True
            woken = len(at.waiting)
            raise
        finally:
            if lease is not None:
                lease.discard()
            if stream is not None:
                stream.discard()
            opening.end(woken)

    def _co_ask(self, at: SharedOrigin) -> Co[None]:
        """Ask the connections that have rested if they are alive; see `Limits.ping_after`.

        One that does not answer takes no further user. Its present ones have their time limits.
        """
        for share in at.shares.copy():
            if share.has_room() and share.is_usable() and share.is_due(monotonic()):
                if (yield from _co_answers(share.connection)):
                    share.rests_at = inf  # until its next use, which is the caller's
                else:
                    share.is_avoided = True

    def _share(self, at: SharedOrigin, lease: Lease) -> StreamLease:
        """Lend the first stream of a connection that is open."""
        with self._changing:
            stream = self._lend(at, lease.held, lease.connection, lease.origin)
        lease.hand_over()
        if at.waiting:
            self._watch(at, lease.connection)
        return stream

    # ---- giving back

    def doubt(self, share: Share) -> None:
        """Have *share* asked by PING, for `StreamLease`, unless connections are never asked."""
        if self._pool.ping_after < inf:
            share.doubt()

    def count(self, share: Share, requests: int) -> None:
        """Count so many further requests of *share*, for `StreamLease`; fewer if negative."""
        with self._changing:  # or one of two that count at once would be lost
            share.served += requests

    def end(self, at: SharedOrigin, share: Share, lease: ref[StreamLease] | None = None) -> None:
        """Note that a user of *share* has ended, for `StreamLease`; a second time has no effect."""
        with self._changing:
            if lease is not None:
                share.uses.discard(lease)
            ends = not share.uses
            if ends:
                share.has_ended = True
            held = share.held
        if ends:
            try:
                if share.is_avoided:
                    self._pool.put_back(held, "discarded")
                else:
                    for member in held.copy():
                        member.lent = share
                    is_doubted = share.rests_at == DOUBTED and share.is_silent()
                    self._pool.put_back(held, used=share.served, is_doubted=is_doubted)
            finally:
                with self._changing:
                    if share.held is held and share in at.shares:  # not lent again meanwhile
                        at.shares.remove(share)
        if at.waiting:
            self.wake(at, 1)

    # ---- waiting

    def _join(self, at: SharedOrigin, wake: Wake) -> None:
        with self._changing:
            at.waiting[wake] = None
        for share in at.shares.copy():
            self._watch(at, share.connection)

    def _watch(self, at: SharedOrigin, connection: HTTPConnection) -> None:
        """Have one that waits woken when the server allows more streams; the others follow it."""
        connection.beside(partial(watch_room, partial(_note_room, self._self, at)))

    def _leave(self, at: SharedOrigin, wake: Wake) -> None:
        with self._changing:
            at.waiting.pop(wake, None)
        if at.waiting:
            self.wake(at, 1)  # what this one was woken for may be for the next one

    def wake(self, at: SharedOrigin, count: int) -> None:
        """Wake so many of those that have waited longest, and were not woken yet."""
        if not at.waiting:
            return
        with self._changing:
            for wake in list(at.waiting):
                if count <= 0:
                    return
                if not wake.is_set():
                    wake.set()
                    count -= 1

    def _too_late(
        self, at: SharedOrigin, origin: Origin, began: float, until: float | None
    ) -> PoolTimedOut:
        waited = monotonic() - began
        streams = sum(len(share.uses) for share in at.shares)
        return PoolTimedOut(
            f"no stream to {origin} became free within {how_long(until, began)}: "
            f"{streams} are in use, on {len(at.shares)} connections",
            origin=str(origin),
            busy=len(at.shares),
            waited=waited,
        )

    # ---- the whole

    def wake_all(self) -> None:
        """Wake all that wait, as the pool was closed."""
        for at in list(self._known.values()):
            self.wake(at, len(at.waiting))


def _takes_connect(connection: HTTPConnection | None) -> bool:
    """Return True if the server has announced SETTINGS_ENABLE_CONNECT_PROTOCOL."""
    settings = None if connection is None else connection.remote_settings
    return settings is not None and settings.enable_connect_protocol == 1


def _co_open(lease: Lease, timeouts: Timeouts | None) -> Co[bool]:
    """Open the connection of *lease*, unless it is; return False if it does not answer any more."""
    conn = lease.connection
    if conn.protocol == HTTP_2 and conn.is_open():
        return not lease.has_rested() or (yield from _co_answers(conn))
    if timeouts is not None and timeouts is not conn.timeout:
        conn.timeout = timeouts
    yield from conn.co_connect()
    return True


def _co_answers(connection: HTTPConnection) -> Co[bool]:
    """Return True if the server answers a PING, or sends anything, in time.

    The answer may be late behind the bodies of other exchanges, on a line that they fill. As for a
    connection that was doubted, what arrives shows that it lives (`Share.is_silent`).

    Raises:
        ConnectionTimedOut: a limit of the caller is over, which says nothing about the server.

    """
    heard = connection.beside(bytes_received)
    if (yield from within(monotonic() + PING_TIME, _co_ping(connection))):
        return True
    return connection.is_open() and connection.beside(bytes_received) != heard


def _co_ping(connection: HTTPConnection) -> Co[bool]:
    """Return True if the server answers a PING; False after an error, or the limit of `within`.

    It is one of a view: the connection itself would connect anew if it has been closed meanwhile.
    """
    try:
        yield from connection.beside(ConnectionView).co_ping()
    except DugongError:
        return False
    return True


def _note_room(sharing: ref[Sharing], at: SharedOrigin) -> None:
    """Wake one that waits for a stream, which wakes the next one."""
    if (known := sharing()) is not None:
        known.wake(at, 1)


class Leases:
    """The leases of `Sharing` for one request; see `dispatch.Leases`.

    Args:
        sharing: lends it.
        timeouts: the time limits of the request; None for those of the client.
        alone: True for a connection that nobody else uses.

    """

    __slots__ = ("_alone", "_avoided", "_last", "_sharing", "_timeouts")

    def __init__(self, sharing: Sharing, timeouts: Timeouts | None, *, alone: bool = False) -> None:
        self._sharing = sharing
        self._timeouts = timeouts
        self._alone = alone
        self._last: AnyLease | None = None
        self._avoided: HTTPConnection | None = None

    def try_acquire(self, origin: Origin) -> AnyLease | None:
        """See `Sharing.try_acquire`."""
        if self._alone:
            return self._sharing.try_acquire_whole(origin)
        lease = self._last = self._sharing.try_acquire(origin)
        return None if lease is None or self._is_avoided(lease) else lease

    def co_acquire(self, origin: Origin, deadline: float | None = None) -> Co[AnyLease]:
        """See `Sharing.co_acquire`."""
        if self._alone:
            return (yield from self._sharing.co_acquire_whole(origin, deadline))
        while True:
            lease = yield from self._sharing.co_acquire(origin, deadline, self._timeouts)
            self._last = lease
            if not self._is_avoided(lease):
                return lease

    def avoid_last(self) -> bool:
        """Take another connection from now on than the one that was lent last.

        Returns:
            False if that is not shared.

        """
        last = self._last
        if not isinstance(last, StreamLease):
            return False
        self._avoided = last.whole
        last.avoid()
        return True

    def _is_avoided(self, lease: AnyLease) -> bool:
        """Return True if *lease* is not to be used; it has been given back then."""
        if self._avoided is None or not isinstance(lease, StreamLease):
            return False
        if lease.whole is not self._avoided:
            return False
        lease.avoid()  # it may have been idle meanwhile
        lease.discard()
        return True
