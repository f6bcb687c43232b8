"""Sending requests of other libraries by connections of a `Pool`: what the adapters share.

Not here: what the requests and the exceptions of a library are like (httpx.py, requests.py), when
a request is sent again (client/dispatch.py), and keeping connections (client/pool.py).
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable
from functools import lru_cache
from typing import Any

from ..client.dispatch import Lease, co_with_lease
from ..client.pool import Pool
from ..connection.connection import HTTPConnection
from ..connection.exchange import HTTPResponse
from ..errors import AnsweredEarly
from ..http.request import IDEMPOTENT, BodyFollowing, Buffer, as_piece
from ..http.url import Origin
from ..polling.contract import Co, run
from ..polling.timeouts import Given, Timeouts


class Place(Origin):
    """An origin, and how connections to it are made.

    Args:
        scheme: see `Origin`, as are *host* and *port*.
        setting: other options that connections have to share to be interchangeable.

    Raises:
        InvalidRequest: see `Origin`.

    """

    __slots__ = ("setting",)

    setting: Any

    def __init__(
        self, scheme: str, host: str, port: int | None = None, setting: Hashable = None
    ) -> None:
        super().__init__(scheme, host, port)
        object.__setattr__(self, "setting", setting)
        object.__setattr__(self, "_hash", hash((super().__hash__(), setting)))

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Place):
            return NotImplemented
        return super().__eq__(other) and self.setting == other.setting

    __hash__ = Origin.__hash__


place_of = lru_cache(maxsize=1024)(Place)  # `Place` of the same arguments


class Maker:
    """Makes the connections of a `Pool` to a `Place`."""

    timeouts = Timeouts()  # each request has its own

    def key(self, origin: Origin) -> Hashable:
        """Return what is equal for places that the same connections lead to."""
        assert isinstance(origin, Place)
        return origin.secure, origin.host, origin.port, origin.setting

    def connection(self, origin: Origin) -> HTTPConnection:
        """Return a new connection."""
        raise NotImplementedError


class Outgoing:
    """A request of another library, as it is sent.

    Args:
        method: request method.
        target: request target.
        fields: the header fields, except those about the length of the body.
        body: the body; or `BodyFollowing`, after which it is written in parts.

    Attributes:
        timeouts: time limits.
        attempts: how often it was sent.
        phase: ``"connect"``, ``"write"`` or ``"read"``: what is under way.

    """

    timeouts: Timeouts | None = None
    attempts = 0
    phase = "connect"

    def __init__(
        self,
        method: str,
        target: str,
        fields: list[tuple[Any, Any]],
        body: Buffer | BodyFollowing | None,
    ) -> None:
        self.method, self.target, self.fields, self.body = method, target, fields, body

    @property
    def idempotent(self) -> bool:
        """True if the method is idempotent."""
        return self.method in IDEMPOTENT

    def rewindable(self) -> bool:
        """Return True if the whole body is known."""
        return not isinstance(self.body, BodyFollowing)

    def co_connect(self, conn: HTTPConnection) -> Co[None]:
        """Open *conn*, unless it is open."""
        return conn.co_connect()


def given(seconds: Any, as_: str) -> Any:
    """Return a time limit that messages show as the user of the adapter has given it.

    Args:
        seconds: the limit; None for none. Other values are returned as they are.
        as_: the text in the message, such as ``"timeout=5"``.

    """
    is_limit = isinstance(seconds, int | float) and seconds >= 0
    return Given(seconds, as_) if is_limit else seconds


def co_start(pool: Pool, place: Place, request: Outgoing) -> Co[tuple[Lease, HTTPResponse | None]]:
    """Send *request*, and receive the head of the response unless a body is to follow.

    Returns:
        The use of the connection, and the head; None if the body has to be written.

    Raises:
        PoolTimedOut: no connection became free in time.
        DugongError: what `HTTPConnection.send_request` raises, and what reading does.

    """
    return co_with_lease(pool, place, request, _co_exchange, _keep)


def _co_exchange(conn: HTTPConnection, request: Outgoing) -> Co[HTTPResponse | None]:
    request.phase = "connect"
    yield from request.co_connect(conn)
    request.phase = "write"
    try:
        yield from conn.co_send_request(
            request.method, request.target, request.fields, request.body
        )
    except AnsweredEarly:
        pass  # the response is read next
    else:
        if not request.rewindable():
            return None
    request.phase = "read"
    return (yield from conn.co_read_response())


def _keep(
    lease: Lease, _: Outgoing, head: HTTPResponse | None
) -> tuple[Lease, HTTPResponse | None]:
    return lease, head


def exchange(
    pool: Pool, place: Place, request: Outgoing, pieces: Iterable[Buffer]
) -> tuple[Lease, HTTPResponse]:
    """Send *request*, the body in *pieces* if it is to follow; receive the head of the response.

    It blocks. Up to an early response *pieces* are read once, and only if they are needed.

    Raises:
        PoolTimedOut: no connection became free in time.
        DugongError: what a connection raises.
        Exception: what *pieces* raises.

    """
    lease, head = run(co_start(pool, place, request))
    if head is not None:
        return lease, head
    try:
        conn = lease.connection
        try:
            for piece in pieces:
                conn.write(as_piece(piece))
            conn.finish()
        except AnsweredEarly:
            pass
        request.phase = "read"
        return lease, conn.read_response()
    except BaseException:
        lease.discard()
        raise
