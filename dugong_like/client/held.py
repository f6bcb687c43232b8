"""One connection for several requests: those that the server expects on the same one.

Some servers authenticate a connection instead of each request (RFC 4559). Then all requests of the
handshake need the same connection, and no other request may get it afterwards: it would be sent in
the name of that user.

Not here: which requests these are (layers/authentication.py), and the pool (pool.py).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..polling.contract import Co

if TYPE_CHECKING:
    from ..connection.connection import HTTPConnection
    from ..http.url import Origin
    from .dispatch import Lease, Leases


class HeldConnection:
    """Keeps the connection of the first request for the next ones; see `ClientRequest.held`.

    One request at a time. `end` has to be called. A connection that was used more than once is
    closed then; one that was used once goes back to the pool.
    """

    def __init__(self) -> None:
        self._kept: Lease | None = None
        self._keep_alive: str | None = None
        self._origin: Origin | None = None
        self._uses = 0
        self._is_over = False

    def over(self, pool: Leases) -> Leases:
        """Return what takes the connection from here, and the first one from *pool*."""
        return _Holding(self, pool)

    def take(self, origin: Origin) -> Lease | None:
        """Take the connection, if there is one to *origin*."""
        kept, self._kept = self._kept, None
        if kept is not None and origin != self._origin:
            self._give_back(kept)
            kept = None
        if kept is not None:
            self._uses += 1
        return kept

    def note(self, origin: Origin) -> None:
        """Note that a connection to *origin* was taken from the pool."""
        self._origin = origin
        self._uses = 1

    def put(self, lease: Lease, keep_alive: str | None, requests: int = 1) -> None:
        """Keep the connection of *lease*, whose response with this field Keep-Alive is complete.

        *requests* is 0 if none was sent.
        """
        if requests:
            self._keep_alive = keep_alive
        self._uses -= 1 - requests
        if self._is_over or not lease.connection.is_reusable():
            self._give_back(lease)
        else:
            self._kept = lease

    def end(self) -> None:
        """Keep the connection no longer; one in use is given back when its response is complete."""
        self._is_over = True
        kept, self._kept = self._kept, None
        if kept is not None:
            self._give_back(kept)

    def _give_back(self, lease: Lease) -> None:
        if self._uses > 1:
            lease.discard()  # the server may have authenticated it
        else:
            lease.release(self._keep_alive, self._uses)


class _Holding:
    """The leases of a request with a `HeldConnection`; see `Leases`."""

    def __init__(self, held: HeldConnection, pool: Leases) -> None:
        self._held = held
        self._pool = pool

    def try_acquire(self, origin: Origin) -> Lease | None:
        kept = self._held.take(origin)
        if kept is not None:
            return HeldLease(self._held, kept, reused=True)
        return self._noted(origin, self._pool.try_acquire(origin))

    def co_acquire(self, origin: Origin, deadline: float | None) -> Co[Lease]:
        lease = self._noted(origin, (yield from self._pool.co_acquire(origin, deadline)))
        assert lease is not None
        return lease

    def _noted(self, origin: Origin, lease: Lease | None) -> Lease | None:
        if lease is None:
            return None
        self._held.note(origin)
        return HeldLease(self._held, lease, reused=lease.reused)


class HeldLease:
    """The use of a connection that goes back to its `HeldConnection`; see `dispatch.Lease`.

    Args:
        held: where it goes back to.
        lease: that of the pool.
        reused: see `dispatch.Lease`.

    """

    def __init__(self, held: HeldConnection, lease: Lease, *, reused: bool) -> None:
        self.connection: HTTPConnection = lease.connection
        self.reused = reused
        self._held = held
        self._lease: Lease | None = lease

    def release(self, keep_alive: str | None = None, requests: int = 1) -> None:
        """Have the connection kept; see `HeldConnection.put`. A second call has no effect."""
        lease, self._lease = self._lease, None
        if lease is not None:
            self._held.put(lease, keep_alive, requests)

    def doubt(self) -> None:
        """Do nothing: a connection without an answer is closed."""

    def discard(self) -> None:
        """Close the connection."""
        lease, self._lease = self._lease, None
        if lease is not None:
            lease.discard()
