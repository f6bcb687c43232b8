"""The pool: connections are taken from it, and given back.

Nothing is searched for. Each origin has its idle connections, of which the one that was used last
is taken first, and its queue of waiters; beyond that the pool has all idle connections in the order
in which they became idle, and the origins that can be served next, by the number of their first
waiter.

**Threads, loops, finalizers and signals.** All methods may be called by any of them, at any time,
also in the middle of one another. The usual way takes no lock: each step is one that Python does as
a whole. A connection belongs to the call that has taken it out of the idle ones of its origin, or
out of a list with one element. If that call is interrupted the connection has no owner, and is
closed as garbage, which gives its place back. So ``_idle``, the order of all idle connections, has
weak references only, and some that are out of date.

A call that frees something first shows it and then looks whether somebody waits; a waiter first
joins the queue and then looks whether something is free: so at least one of them sees the other.
Serving waiters, which takes several steps, is done by one thread at a time, under a lock that is
held for microseconds. A call in the middle of that, by the same thread, notes only that there is
something to do, which is looked at before the lock is given up.

**A connection with room for several exchanges** (HTTP/2) is lent as a whole to `Sharing`, which
lends its streams. So the limits here are about connections, whatever they speak.

Not here: places, queues and counts themselves (pooled.py), the use of a connection by a caller
(lease.py), making connections (connector.py), and whether an idle connection was closed by the
server, which it finds out when a request is sent.
"""

from __future__ import annotations

import sys
from collections import OrderedDict, deque
from collections.abc import Hashable
from heapq import heappop, heappush, heapreplace
from itertools import count
from math import inf
from threading import RLock
from time import monotonic
from typing import TYPE_CHECKING, Final, Self
from weakref import WeakValueDictionary, ref

from ..errors import DugongError, GoneAway, InvalidRequest, PoolTimedOut, StateError, StreamReset
from ..http.redaction import quoted
from ..http.url import Origin
from ..polling.combinators import several
from ..polling.contract import Co, run
from ..polling.fork import after_fork
from ..polling.numbers import check_deadline, check_int
from ..polling.timeouts import Ending, how_long
from ..polling.twin_documentation import twin_of
from ..polling.wake import Wake
from .connection_settings import ConnectionSettings, only_http_2
from .dispatch import co_dispatch, needs_http_1, origin_of
from .keep_alive import parse_keep_alive
from .lease import Lease
from .pool_limits import Limits
from .pooled import CLOSED, HTTP_2, Member, OriginPool, OriginStats, Waiter, closed_for

if TYPE_CHECKING:
    from ..connection.connection import HTTPConnection
    from ..polling.timeouts import Timeouts
    from .connection_maker import ConnectionMaker
    from .request import ClientRequest
    from .response import Response
    from .share import StreamLease
    from .sharing import AnyLease, Leases, Sharing

MOST_KNOWN: Final = 1000  # origins whose counts are kept although they have no connection
MARGIN: Final = 1.0  # second; a request must not meet the server's close on its way
OF_WEBSOCKETS: Final = frozenset({"ws", "wss"})  # schemes
MISDIRECTED: Final = 421  # RFC 9110 section 15.5.20: for another connection, whatever the method
HTTP_1_1: Final = ConnectionSettings({"http_version": "1.1"})
CLOSED_FOR: Final = "pool closed"  # the reason, in `OriginStats.ended`


class Pool:
    """Connections to any number of origins, shared by threads and event loops.

    Args:
        connector: makes the connections: a `Connector`.
        limits: how many there may be, and for how long.

    Waiting is first come, first served, over all origins. If the pool is full and the one that has
    waited longest needs another origin than that of the connection that becomes free, that is
    closed to make room.

    A child process that was forked begins with an empty pool.

    Raises:
        TypeError: an argument has the wrong type.

    Attributes:
        limits: as given.
        lasts: seconds that a connection may be idle.
        most: requests of a connection.
        ping_after: seconds without a new request after which a connection is asked by PING.
        ping_idle_after: the same of an idle one; infinity if it is not idle for so long.

    """

    def __init__(self, connector: ConnectionMaker, limits: Limits | None = None) -> None:
        if isinstance(connector, type) or not callable(getattr(connector, "connection", None)):
            raise TypeError(f"connector is a Connector(…), not {quoted(connector)}")
        if limits is None:
            limits = Limits()
        if not isinstance(limits, Limits):
            raise TypeError(f"limits is Limits(…), not {quoted(limits)}")
        self.limits: Final = limits
        self._connector = connector
        self._negotiates = getattr(connector, "negotiates", _never)
        self._allows_http_1 = getattr(connector, "allows_http_1", _never)
        self._most_members = _number(limits.max_connections)
        self._most_of_origin = _number(limits.max_per_origin)
        self._most_idle = _number(limits.max_keepalive)
        self._most_idle_of_origin = _number(limits.max_keepalive_per_origin)
        self.lasts: Final = _number(limits.keepalive_expiry)
        self.most: Final = _number(limits.max_requests)
        self._age = _number(limits.max_age)
        self.ping_after: Final = _number(limits.ping_after)
        self.ping_idle_after: Final = self.ping_after if self.ping_after < self.lasts else inf
        self._closed = False
        self._begin()
        after_fork(self._forget_parent)

    def _begin(self) -> None:
        self._known: dict[Origin, OriginPool] = {}
        # Those that have connections or waiters are kept by these, the others by `_known`.
        self._by_key: WeakValueDictionary[Hashable, OriginPool] = WeakValueDictionary()
        self._members: set[ref[Member]] = set()
        # The longest idle one first. Each idle one is here, and perhaps some that are in use.
        self._idle: OrderedDict[ref[Member], OriginPool] = OrderedDict()
        self._look_at = inf  # time at which one of the idle ones is due, or later
        self._may_be_crowded = False  # True once there may be more idle ones than are kept
        self._changing = RLock()
        self._serving = False
        self._events: deque[OriginPool] = deque()  # where something has become free
        # Origins with waiters, of which the first may be served: its number, one to tell apart.
        self._ready: list[tuple[int, int, OriginPool]] = []
        self._tickets = count()
        self._sharing: Sharing | None = None

    def _forget_parent(self) -> None:
        """Begin anew, in a child process; the flags of those that wait are not touched."""
        for at in list(self._by_key.values()):
            at.is_open = False
        self._begin()

    # ---- requests

    def key(self, origin: Origin) -> Hashable:
        """Return what is equal for origins that the same connections lead to.

        Raises:
            StateError: the pool is closed.

        """
        if self._closed:
            raise closed_for(origin)
        return self._connector.key(origin)

    def deadline(self) -> float | None:
        """Return until when an operation that begins now waits for a connection; None: for ever."""
        limit = self._connector.timeouts.to_wait_for_pool
        return None if limit is None else Ending(limit, monotonic())

    def is_closed(self) -> bool:
        """Return True after `close`."""
        return self._closed

    def is_waited_for(self) -> bool:
        """Return True if somebody waits until there may be another connection."""
        return bool(self._ready)

    def co_dispatch(self, request: ClientRequest) -> Co[Response]:
        """Send *request* by one of the connections, and return its response; see `Dispatcher`.

        Raises:
            PoolTimedOut: no connection became free in time.
            DugongError: there is no response; see `DugongError.request_sent`.

        """
        origin = origin_of(request)
        at = self._known.get(origin)
        if at is None:
            at = self._origin_pool(origin)
        held = request.held
        if held is not None:  # which means something over HTTP/1.1 only
            if at.negotiates:
                if not self._allows_http_1(origin):
                    raise only_http_2("authentication of a connection (NTLM, Negotiate)")
                origin = HTTP_1_1.at(origin)
            return co_dispatch(held.over(self), origin, request)
        if at.is_shared:
            return self._co_dispatch_shared(origin, request)
        return co_dispatch(self, origin, request)

    def _co_dispatch_shared(self, origin: Origin, request: ClientRequest) -> Co[Response]:
        """Send *request* by HTTP/2, if the server chooses that."""
        if origin.scheme in OF_WEBSOCKETS:
            from .websocket_dispatch import co_dispatch as co_shake_hands  # noqa: PLC0415 - for it

            return (yield from co_shake_hands(self, origin, request))
        sharing = self._shared()
        if not sharing.needs_http_1(origin):
            try:
                leases = sharing.leases(request)
                response = yield from co_dispatch(leases, origin, request)
                if response.status_code != MISDIRECTED or not request.rewindable():
                    return response
                if request.misdirected or not leases.avoid_last():
                    return response
                response.close()
                return (yield from co_dispatch(leases, origin, request))
            except (StreamReset, GoneAway, InvalidRequest) as exc:
                if not self.goes_to_http_1(origin, request, exc):
                    raise
                request.attempts -= isinstance(exc, InvalidRequest)  # nothing was sent
        return (yield from co_dispatch(self, HTTP_1_1.at(origin), request))

    def goes_to_http_1(self, origin: Origin, request: ClientRequest, exc: DugongError) -> bool:
        """Return True if *request* is to be sent over HTTP/1.1, after *exc* over HTTP/2.

        If the server says so, it is noted for the requests that follow.
        """
        if not needs_http_1(request, exc) or not self._allows_http_1(origin):
            return False
        if not isinstance(exc, InvalidRequest):
            self._shared().note_http_1(origin)  # RFC 9113 section 7: not for this request alone
        return True

    def needs_http_1(self, origin: Origin) -> bool:
        """Return True if the server refuses HTTP/2, as far as is known."""
        return self._sharing is not None and self._sharing.needs_http_1(origin)

    def _shared(self) -> Sharing:
        """Return what lends streams of HTTP/2 connections."""
        sharing = self._sharing
        if sharing is None:
            from .sharing import Sharing  # noqa: PLC0415 - for those who want HTTP/2

            with self._changing:
                if self._sharing is None:
                    self._sharing = Sharing(self)
                sharing = self._sharing
        return sharing

    def take_stream(self, origin: Origin) -> StreamLease | None:
        """Take a stream of an HTTP/2 connection that is open, if that is possible at once.

        Args:
            origin: where it leads.

        Returns:
            Its lease; None if a connection has to be opened or waited for, or speaks HTTP/1.1.

        """
        at = self._known.get(origin)
        if at is None or not at.is_shared or (sharing := self._sharing) is None:
            return None
        return sharing.take_stream(at, origin)

    def acquiring_stream(self, origin: Origin, timeouts: Timeouts | None) -> Co[AnyLease]:
        """Return an operation that takes a stream of HTTP/2, or a connection if it is HTTP/1.1.

        Args:
            origin: where it leads.
            timeouts: those that hold if a connection is opened; None for its own.

        Returns what `Sharing.co_acquire` returns, and raises what it raises.
        """
        return self._shared().co_acquire(origin, None, timeouts)

    def take_tunnel(self, origin: Origin) -> StreamLease | None:
        """Do what `take_stream` does, if the server takes the extended CONNECT (RFC 8441)."""
        at = self._known.get(origin)
        if at is None or not at.is_shared or (sharing := self._sharing) is None:
            return None
        return sharing.take_tunnel(at, origin)

    def streams_alone(self, origin: Origin, request: ClientRequest) -> Leases | None:
        """Return what lends streams of HTTP/2 connections to *request*.

        None if HTTP/1.1 may be spoken with *origin* as well.
        """
        return None if self._allows_http_1(origin) else self._shared().leases(request)

    def take_idle(self, at: OriginPool) -> list[Member] | None:
        """Take an idle connection *at* an origin, without closing others that are too old.

        Returns:
            It, in a list for `put_back`; None if none is idle, or others wait already.

        """
        if at.waiting or not at.idle:
            return None
        now = monotonic()
        member = None
        try:
            last = at.idle[-1]
            if last.due <= now or now - last.rested >= self.ping_idle_after:
                return None
            member = at.idle.pop()
            member.at = at
            self._idle.pop(member.key, None)
            member.taken = now
            at.reused += 1
            return [member]
        except IndexError:  # another thread has just taken it
            return None
        except BaseException:
            if member is not None:
                member.at = at
                self._end(member, "interrupted")
            raise

    def set_shared(self, origin: Origin, *, is_shared: bool) -> None:
        """Note for `Sharing` if connections to *origin* are lent stream by stream (*is_shared*)."""
        self._origin_pool(origin).is_shared = is_shared

    def is_shared(self, origin: Origin) -> bool:
        """Return True if connections to *origin* are lent stream by stream, as far as is known.

        Raises:
            StateError: the pool is closed.

        """
        at = self._known.get(origin)
        return (self._origin_pool(origin) if at is None else at).is_shared

    # ---- taking

    def try_acquire(self, origin: Origin) -> Lease | None:
        """Take a connection, if that is possible at once.

        An idle connection is taken as it is: whether the server has closed it meanwhile is found
        out when the request is sent, which connects anew then. A new one is opened by its first
        request.

        Returns:
            The lease; None if there are as many connections as `Limits` allow and none is idle,
            or others wait already.

        Raises:
            StateError: the pool is closed.
            TypeError: *origin* is no `Origin`.
            DugongError: what `Connector.connection` raises.

        """
        member = self.take(origin, is_shared=True)
        return None if member is None else Lease(self, member, origin)

    def take(self, origin: Origin, *, is_shared: bool = False) -> Member | None:
        """Do what `try_acquire` does, without a `Lease`, for callers that end the use at once.

        They do that by `give_back` or `discard`. A member that is lost before that gives its place
        back, without a warning.

        Args:
            origin: where it leads.
            is_shared: True to take a connection even if they are lent stream by stream there.

        """
        at = self._known.get(origin)
        if at is None:
            at = self._origin_pool(origin)
        if at.waiting or (at.is_shared and not is_shared):
            return None
        member = None
        try:
            now = monotonic()
            if now >= self._look_at:
                self._close_expired(now)
            member = self._take_idle(at, now)
            if member is None:
                member = self._take_place(at)
                if member is None:
                    return None
                self._make(at, member, origin)
            else:
                at.reused += 1
            member.taken = now
            return member
        except BaseException:
            if member is not None:
                self._end(member, "interrupted")
            self.serve(at)  # what was given up on the way may be for others
            raise

    def co_acquire(self, origin: Origin, deadline: float | None = None) -> Co[Lease]:
        """Take a connection, or wait for one.

        Args:
            origin: where it leads.
            deadline: seconds of `time.monotonic`; None for the limit that `Timeouts.pool` of the
                connector sets, `math.inf` to wait for ever.

        Raises:
            PoolTimedOut: the deadline has passed.
            StateError: the pool is closed, or was closed meanwhile.
            TypeError: an argument has the wrong type.
            InvalidOption: *deadline* is not a number.
            DugongError: what `Connector.connection` raises.

        """
        if deadline is not None:
            check_deadline(deadline)
        lease = self.try_acquire(origin)
        if lease is None:
            lease = yield from self._co_wait(origin, deadline)
        return lease

    @twin_of(co_acquire)
    def acquire(self, origin: Origin, deadline: float | None = None) -> Lease:
        """Blocking twin of `co_acquire`."""
        return run(self.co_acquire(origin, deadline))

    def _co_wait(self, origin: Origin, deadline: float | None) -> Co[Lease]:
        began = monotonic()
        if deadline is None:
            deadline = self.deadline()
        at = self._origin_pool(origin)
        waiter = member = None
        try:
            with Wake("pool") as wake:
                waiter = Waiter(next(self._tickets), wake)
                try:
                    at.waiting[waiter] = None
                    self.serve(at)
                    if at.is_open:
                        yield from wake.co_wait(None if deadline == inf else deadline)
                    member = waiter.take()
                finally:
                    self._leave(at, waiter)
            if member is None:
                raise self._refusal(origin, at, began, deadline or began)
            if member.connection is None:
                self._make(at, member, origin)
            else:
                at.reused += 1
            return Lease(self, member, origin)
        except BaseException:
            if waiter is not None:
                self._leave(at, waiter)  # again, as it may have been interrupted
            if member is not None:
                self._end(member, "interrupted")
            raise

    def _leave(self, at: OriginPool, waiter: Waiter) -> None:
        at.waiting.pop(waiter, None)
        waiter.left = True
        if waiter.given:
            self.put_back(waiter.given, used=0)

    def _refusal(self, origin: Origin, at: OriginPool, began: float, deadline: float) -> Exception:
        """Return why a waiter, who has waited since *began*, has got nothing."""
        if not at.is_open:
            return StateError(f"{CLOSED} while a connection to {origin} was waited for")
        here, there = at.stats(), len(self._members) - self._count_idle()
        others = f", {here.waiting} others wait for one" if here.waiting else ""
        return PoolTimedOut(
            f"no connection to {origin} became free within {how_long(deadline, began)}: "
            f"{there} are busy, {here.busy} of them with this origin{others}",
            origin=str(origin),
            busy=there,
            waited=monotonic() - began,
        )

    def _make(self, at: OriginPool, member: Member, origin: Origin) -> HTTPConnection:
        """Make the connection of *member*, a mere place; it is not opened yet."""
        conn = self._connector.connection(origin)
        self._note_new(member, conn)
        member.timeout = conn.timeout
        member.connection = conn
        at.opened += 1
        return conn

    def _take_idle(self, at: OriginPool, now: float) -> Member | None:
        """Take the idle connection that was used last."""
        member = None
        try:
            while at.idle:
                try:
                    member = at.idle.pop()
                except IndexError:
                    break
                member.at = at
                self._idle.pop(member.key, None)
                if member.due > now:
                    return member
                self._expire(member, now)
                member = None
        except BaseException:
            if member is not None:
                member.at = at
                self._end(member, "interrupted")
            raise
        return None

    def _take_place(self, at: OriginPool) -> Member | None:
        """Take a place for a new connection, unless others can be served that have waited."""
        if not at.is_open:
            raise closed_for(at.origin)
        if self._ready:
            self.serve(at)
            if self._ready:
                return None
        return self._new_member(at)

    def _new_member(self, at: OriginPool) -> Member | None:
        """Return a place; the longest idle connection of all makes room if there is none."""
        if len(at.members) >= self._most_of_origin:
            return None
        if len(self._members) >= self._most_members and not self._idle:
            return None
        member = Member(at, self._members)
        try:
            if len(self._members) > self._most_idle or len(at.members) > self._most_idle_of_origin:
                self._may_be_crowded = True
            # Behind the place: of two threads that come at the same time none gets too much.
            if len(at.members) <= self._most_of_origin and (
                len(self._members) <= self._most_members or self._make_room()
            ):
                return member
        except BaseException:
            member.leave()
            raise
        member.leave()
        return None

    def _make_room(self) -> bool:
        return self._close_longest_idle("room made")

    def _close_longest_idle(self, why: str, kept: float = 0) -> bool:
        """Close the connection that has been idle for the longest time, if there are more.

        Args:
            why: the reason.
            kept: how many may be idle.

        Returns:
            True if one was closed.

        """
        while len(self._idle) > kept:
            key, at = _first(self._idle)
            if key is None or at is None:
                break
            member = None
            try:
                if key() is not None and at.idle:
                    member = at.idle.popleft()
                    member.at = at
                    self._idle.pop(member.key, None)
                    self._end(member, why)
                    return True
            except IndexError:
                pass  # another thread has just taken it
            except BaseException:
                if member is not None:
                    member.at = at
                    self._end(member, why)
                raise
            self._idle.pop(key, None)
            if at.idle and key() is not None:  # it may have become idle in this moment
                self._idle[key] = at
        return False

    def _origin_pool(self, origin: Origin) -> OriginPool:
        """Return what there is for *origin*; made if it is not known."""
        if self._closed:
            raise closed_for(origin)
        at = self._known.get(origin)
        if at is not None:
            return at
        key = self._connector.key(origin)
        negotiates = self._negotiates(origin)
        with self._changing:
            at = self._by_key.get(key)
            if at is None:
                at = self._by_key[key] = OriginPool(origin, ref(self))
                at.negotiates = at.is_shared = negotiates
            if len(self._known) >= MOST_KNOWN:
                for oldest in list(self._known)[: MOST_KNOWN // 2]:
                    self._known.pop(oldest, None)
            self._known[origin] = at
        return at

    # ---- giving back

    def put_back(
        self,
        held: list[Member],
        why: str | None = None,
        *,
        used: int = 1,
        is_doubted: bool = False,
    ) -> None:
        """Do what `give_back` does with what is in *held*, if there is anything.

        Args:
            held: a list of one or none.
            why: why it is to be closed in any case.
            used: requests that were sent; with 0 it may be a mere place.
            is_doubted: True if an HTTP/2 connection is to be asked by PING before its next use.

        """
        try:
            member = held.pop()
        except IndexError:
            return
        if why is None:
            if not used:
                member.was_kept = True
            conn = member.connection
            if conn is not None and conn.timeout is not member.timeout:
                member.has_other_limits = True  # its user has set some
            if is_doubted:
                member.rested = -inf
            elif self.ping_idle_after < inf:
                member.rested = monotonic()
            elif member.rested < 0:
                member.rested = 0.0
            self.give_back(member, used=used)
        else:
            self.discard(member, why)

    def give_back(  # noqa: C901, PLR0912 - a part of each request: each call would count
        self, member: Member, is_reusable: bool = False, *, used: int = 1
    ) -> float:
        """Take back what `take` has given.

        Args:
            member: it is not used any more.
            is_reusable: True if its connection is known to be; False if that is to be found out.
            used: requests that were sent; with 0 it may be a mere place.

        Returns:
            The time, in seconds of `time.monotonic`.

        """
        at = member.at
        assert at is not None
        shown = False
        try:
            conn = member.connection
            now = monotonic()
            if conn is None:
                self._end(member, "unused")
                return now
            if conn.renewals != member.renewals:
                self._note_renewal(member)
            requests = member.requests = member.requests + used
            due = now + member.lasts
            if member.ends < due:  # noqa: PLR1730 - a call less
                due = member.ends
            is_reusable = at.is_open and (is_reusable or conn.is_reusable())
            if due <= now or requests >= member.most or not is_reusable:
                self._end_because(member, now)
                return now
            if member.has_other_limits:
                member.has_other_limits = False
                conn.timeout = member.timeout
            if (
                at.negotiates
                and not at.is_shared
                and requests == used  # or what it speaks is known
                and conn.protocol == HTTP_2
            ):
                at.is_shared = True
            member.due = due
            member.at = None
            shown = True  # from here on it is not ours
            at.idle.append(member)
            self._idle[member.key] = at
            if due < self._look_at:  # noqa: PLR1730 - a call less
                self._look_at = due
            if at.waiting or self._ready:
                self.serve(at)
            if self._may_be_crowded:
                self._trim(at)
            if not at.is_open:
                self._close_idle()
            return now
        except BaseException:
            if shown:
                self._idle[member.key] = at
            else:
                member.at = at
                self._end(member, "interrupted")
            self.serve(at)
            raise

    def discard(self, member: Member, why: str = "discarded") -> None:
        """Close the connection of *member*, for the reason *why* unless an exception has ended it.

        Instead of `give_back`.
        """
        self._note_renewal(member)
        reason = None if member.connection is None else member.connection.close_reason
        self._end(member, why if reason is None else type(reason).__name__)

    def note_keep_alive(self, member: Member, value: str) -> None:
        """See `Lease.note_keep_alive`."""
        seconds, requests = parse_keep_alive(value)
        self._note_renewal(member)
        member.lasts = min(self.lasts, max(seconds - MARGIN, 0))
        member.most = min(self.most, member.requests + 1 + requests)

    def _note_renewal(self, member: Member) -> None:
        """Note that *member* was connected anew, if so: what is known of the old one is over."""
        conn, at = member.connection, member.at
        if conn is None or at is None or conn.renewals == member.renewals:
            return
        at.stale += member.requests > 0 or member.was_kept
        at.opened += 1
        self._note_new(member, conn)

    def _note_new(self, member: Member, conn: HTTPConnection) -> None:
        member.renewals = conn.renewals
        member.requests = 0
        member.was_kept = False
        member.lasts = self.lasts
        member.most = self.most
        member.ends = monotonic() + self._age

    def _end_because(self, member: Member, now: float) -> None:
        """End *member*, which cannot be used again, for the first reason that there is."""
        conn, at = member.connection, member.at
        if conn is not None and not conn.is_reusable():
            reason = conn.close_reason
            self._end(member, "not reusable" if reason is None else type(reason).__name__)
        elif member.requests >= member.most:
            self._end(member, "max requests")
        elif at is not None and not at.is_open:
            self._end(member, CLOSED_FOR)
        else:
            self._expire(member, now)

    def _end(self, member: Member, why: str) -> None:
        """Close the connection of *member*, in whatever state it is, and give its place back."""
        at, conn = member.at, None
        try:
            member.leave()
            conn, member.connection = member.connection, None
            if conn is not None:
                if at is not None:
                    at.count_end(why)
                conn.close()
        except Exception:  # noqa: BLE001 - of a trace; it is not about the present request
            sys.excepthook(*sys.exc_info())
        finally:
            member.leave()
            if at is not None and (at.waiting or self._ready):
                self.serve(at)
            member.forget()

    def _expire(self, member: Member, now: float) -> None:
        if now >= member.ends:
            self._end(member, "too old")
        else:
            if member.at is not None:
                member.at.expired += 1
            self._end(member, "expired")

    def _close_expired(self, now: float) -> None:
        """Close what has been idle for too long, as far as it is the longest idle of all.

        One that a server keeps for a shorter time than another may be behind that.
        """
        self._look_at = inf
        while True:
            key, at = _first(self._idle)
            if key is None or at is None:
                return
            member = key()
            if member is not None and member.due > now:
                self._look_at = min(self._look_at, member.due)
                return
            self._idle.pop(key, None)
            if member is not None and _remove(at.idle, member):
                member.at = at
                self._expire(member, now)

    def _trim(self, at: OriginPool) -> None:
        """Close those that have been idle longest, if there are more than are kept."""
        member = None
        try:
            while len(at.idle) > self._most_idle_of_origin:
                member = at.idle.popleft()
                member.at = at
                self._idle.pop(member.key, None)
                self._end(member, "surplus")
                member = None
        except IndexError:
            pass
        except BaseException:
            if member is not None:
                member.at = at
                self._end(member, "surplus")
            raise
        while self._close_longest_idle("surplus", kept=self._most_idle):
            pass

    # ---- serving those that wait

    def serve(self, at: OriginPool) -> None:
        """Give what is free to those that wait; something may have changed *at* an origin."""
        self._events.append(at)
        try:
            self._serve_all()
        except BaseException:
            self._serve_all()  # what is free must not wait for the next event
            raise

    def _serve_all(self) -> None:
        while self._events:
            with self._changing:
                if self._serving:
                    return  # this thread is in the middle of it, and will look again
                try:
                    self._serving = True
                    while self._events:
                        self._list(self._events[0])
                        self._events.popleft()
                        while self._serve_next():
                            pass
                finally:
                    self._serving = False

    def _list(self, at: OriginPool) -> None:
        """Put *at* among those that can be served, if somebody waits."""
        if at.is_listed or (waiter := at.first()) is None:
            return
        # Interrupted in between it is there twice, which is harmless.
        heappush(self._ready, (waiter.ticket, next(self._tickets), at))
        at.is_listed = True

    def _serve_next(self) -> bool:
        """Serve the one that has waited longest; False if nobody can be served."""
        ready = self._ready
        while ready:
            ticket, _, at = ready[0]
            waiter = at.first()
            if waiter is None:
                at.is_listed = False
                heappop(ready)
                self._list(at)  # one may have come in between
            elif waiter.given or waiter.left or not at.is_open:
                # It was served before an interruption, or is about to leave.
                waiter.wake.set()
                at.waiting.pop(waiter, None)
            elif waiter.ticket != ticket:  # the one before has left
                heapreplace(ready, (waiter.ticket, next(self._tickets), at))
            elif self._serve_waiter(at, waiter):
                return True
            elif len(at.members) < self._most_of_origin:
                return False  # the pool is full
            else:
                at.is_listed = False
                heappop(ready)
        return False

    def _serve_waiter(self, at: OriginPool, waiter: Waiter) -> bool:
        member = None
        given = False
        try:
            member = self._take_idle(at, monotonic()) or self._new_member(at)
            if member is None:
                return False
            given = True  # from here on it is not ours
            waiter.given.append(member)
            member = None
            waiter.wake.set()
            at.waiting.pop(waiter, None)
            if waiter.left and waiter.given:
                self.put_back(waiter.given, used=0)
        except BaseException:
            if member is not None and not given:
                self._end(member, "interrupted")
            raise
        return True

    # ---- opening connections early

    def co_warm(self, origin: Origin, n: int = 1) -> Co[int]:
        """Open connections before they are needed, all at the same time.

        Args:
            origin: where they lead.
            n: how many shall be idle then. There are fewer if `Limits` do not allow as many, or
                others take some of them.

        Returns:
            How many are idle.

        Raises:
            StateError: the pool is closed.
            TypeError: an argument has the wrong type.
            InvalidOption: *n* is negative.
            DugongError: what `HTTPConnection.co_connect` raises; those that are open by then are
                kept.

        """
        check_int("n", n, 0)
        at = self._origin_pool(origin)
        n = int(min(n, self._most_idle, self._most_idle_of_origin))
        held: list[list[Member]] = []
        try:
            while len(at.idle) + len(held) < n:
                member = None if at.waiting else self._take_place(at)
                if member is None:
                    break
                held.append([member])
            conns = [self._make(at, member, origin) for [member] in held]
            yield from several((conn.co_connect() for conn in conns), [], len(conns))
        finally:
            for each in held:
                self.put_back(each, used=0)
        return len(at.idle)

    @twin_of(co_warm)
    def warm(self, origin: Origin, n: int = 1) -> int:
        """Blocking twin of `co_warm`."""
        return run(self.co_warm(origin, n))

    # ---- the whole

    def stats(self) -> dict[str, OriginStats]:
        """Return what there is for each origin, and what has been.

        Of origins without connections only the last ones are there, 500 at least.
        """
        return {str(at.origin): at.stats() for at in self._all()}

    def _count_idle(self) -> int:
        return sum(len(at.idle) for at in self._all())

    def _all(self) -> list[OriginPool]:
        with self._changing:
            return list(self._by_key.values())

    def close(self) -> None:
        """Close all connections: idle ones now, and those in use when they are given back.

        Those that wait get a `StateError`, and so do all calls that follow.
        """
        self._closed = True
        if self._sharing is not None:
            self._sharing.wake_all()
        everywhere = self._all()
        for at in everywhere:
            at.is_open = False
        for at in everywhere:
            self.serve(at)
        self._close_idle()

    def co_close(self) -> Co[None]:
        """Do what `close` does; it never waits."""
        self.close()
        yield from ()

    def _close_idle(self) -> None:
        while self._close_longest_idle(CLOSED_FOR):
            pass

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def __repr__(self) -> str:
        """Return how many connections and waiters there are."""
        everywhere = self._all()
        idle = self._count_idle()
        busy = max(len(self._members) - idle, 0)
        waiting = sum(len(at.waiting) for at in everywhere)
        closed = ", closed" if self._closed else ""
        return (
            f"<{type(self).__name__}: {idle} idle, {busy} busy, {waiting} waiting, "
            f"origins: {len(everywhere)}{closed}>"
        )


def _never(_: Origin) -> bool:
    return False


def _number(limit: float | None) -> float:
    return inf if limit is None else limit


def _first(
    idle: OrderedDict[ref[Member], OriginPool],
) -> tuple[ref[Member], OriginPool] | tuple[None, None]:
    """Return the first entry of *idle*, or None twice."""
    while idle:
        try:
            return next(iter(idle.items()))
        except (RuntimeError, StopIteration):  # another thread has changed it in between
            continue
    return None, None


def _remove(idle: deque[Member], member: Member) -> bool:
    """Take *member*, which has been idle for long, out of *idle*; False if it is not there."""
    try:
        idle.remove(member)
    except (ValueError, IndexError):
        return False
    return True
