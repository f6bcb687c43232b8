"""The use of a connection of a pool by one caller, which gives it back or closes it.

Not here: the pool (pool.py), and the use of one stream of a connection (share.py).
"""

from __future__ import annotations

import warnings
from time import monotonic
from typing import TYPE_CHECKING, Protocol, Self

if TYPE_CHECKING:
    from ..connection.connection import HTTPConnection
    from ..http.url import Origin
    from .pooled import Member


class Lender(Protocol):
    """The part of a `Pool` that a lease uses."""

    @property
    def ping_idle_after(self) -> float:
        """Seconds after which an idle connection is asked by PING; infinity for never."""
        ...

    def note_keep_alive(self, member: Member, value: str, /) -> None:
        """Take what the server says in the field Keep-Alive; see `Lease.note_keep_alive`."""
        ...

    def put_back(self, held: list[Member], why: str | None = None, *, used: int = 1) -> None:
        """Take back what is in *held*, if there is anything.

        Args:
            held: a list of one or none.
            why: why it is to be closed in any case.
            used: requests that were sent.

        """
        ...


class Lease:
    """The use of a connection of a `Pool`, until it is given back.

    A lease that becomes garbage without `release` or `discard` is discarded, with a
    `ResourceWarning`. Giving it back twice has no effect. A context manager: leaving it releases
    the connection. Made by the pool.

    Args:
        lender: the pool, which takes the connection back.
        member: its entry there.
        origin: where it leads.

    Attributes:
        connection: the `HTTPConnection`; not to be used after the lease was given back.
        origin: where it leads.
        reused: True if it was kept open for a while, so that the server may have closed it.

    """

    __slots__ = ("_held", "_lender", "connection", "origin", "reused")

    _held: list[Member]

    def __init__(self, lender: Lender, member: Member, origin: Origin) -> None:
        assert member.connection is not None
        self.connection: HTTPConnection = member.connection
        self.origin = origin
        self.reused = member.requests > 0 or member.was_kept
        self._lender = lender
        self._held = [member]  # of several calls that end the use, one takes it out

    def note_keep_alive(self, value: str) -> None:
        """Take what the server says about how long it keeps the connection.

        Args:
            value: that of the field Keep-Alive: ``timeout=`` limits how long it may be idle, less
                one second, and ``max=`` how many requests may follow. Anything else is ignored.

        Raises:
            TypeError: *value* is not a string.

        """
        for member in self._held.copy():
            self._lender.note_keep_alive(member, value)

    def is_at_limit(self, served: int) -> bool:
        """Return True if the connection takes no further request after *served* of this lease.

        It is too old then, or has served as many as `Limits.max_requests`.
        """
        for member in self._held.copy():
            return member.is_at_limit(served)
        return True

    def has_rested(self) -> bool:
        """Return True if the connection was idle for so long that `Limits.ping_after` counts."""
        for member in self._held.copy():
            return monotonic() - member.rested >= self._lender.ping_idle_after
        return False

    @property
    def held(self) -> list[Member]:
        """Its member, in a list for `Pool.put_back`; empty if it was given back."""
        return self._held

    def hand_over(self) -> None:
        """Leave the end of the use to the one that has `held`; this one has no effect any more."""
        self._held = []

    def release(self, keep_alive: str | None = None, requests: int = 1) -> None:
        """Give the connection back.

        It goes to the one that has waited longest, if that can use it, or becomes idle. It is
        closed if it cannot be reused (a response is not complete, or was the last one), is too old
        or has served all of its requests. If there are more idle connections than `Limits` allow,
        the one is closed that has been idle for the longest time.

        Args:
            keep_alive: value of the field Keep-Alive of the last response; see `note_keep_alive`.
            requests: how many it has served.

        Raises:
            TypeError: *keep_alive* is not a string; the connection is given back all the same.

        """
        try:
            if keep_alive is not None:
                self.note_keep_alive(keep_alive)
        finally:
            self._lender.put_back(self._held, used=requests)

    def doubt(self) -> None:
        """Do nothing: a connection without an answer is closed."""

    def discard(self) -> None:
        """Close the connection, in whatever state it is, and give its place back."""
        self._lender.put_back(self._held, "discarded")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.release()  # which closes it if something is under way

    def __repr__(self) -> str:
        state = "" if self._held else ", given back"
        return f"<Lease of {self.connection!r}{state}>"

    def __del__(self) -> None:
        try:
            held = self._held
        except AttributeError:  # it was not even made
            return
        if held and held[0].connection is not None:
            self._lender.put_back(held, "lost")
            what = f"a connection to {self.origin} was neither released nor discarded"
            warnings.warn(what, ResourceWarning, source=self, stacklevel=2)
