"""Sending one request of a client by a connection of a pool, and receiving its response.

A request whose whole response is wanted is one `exchange` of the connection. Otherwise the
connection stays with the response until its body has been read.

A request is repeated here only if the server has certainly not processed it, or may safely process
it twice: a kept connection may be closed by the server at any time, also while a request is on its
way (RFC 9112 section 9.3.1).

Not here: which connection it is (pool.py), and repeating for other reasons (layers/retry.py).
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, BinaryIO, Final, Protocol, TypeVar, cast

from ..connection.exchange import HTTPResponse
from ..connection.file_transfer import co_write_all
from ..connection.shared import PEERS
from ..errors import (
    AnsweredEarly,
    ClientCertificateRefused,
    ConnectionClosed,
    ConnectionTimedOut,
    ContinueTimedOut,
    DugongError,
    GoneAway,
    InvalidRequest,
    PoolTimedOut,
    StreamReset,
)
from ..http.arguments import as_bytes
from ..http.h2.violations import ErrorCode
from ..http.request import BodyFollowing, Request, is_whole
from ..http.url import Origin
from ..polling.contract import Co
from ..polling.timeouts import Ending
from .reading import BodyStream, MemoryBody
from .response import Response

if TYPE_CHECKING:
    from ..connection.connection import HTTPConnection
    from ..polling.timeouts import Timeouts
    from .request import ClientRequest

MAX_SENT: Final = 4  # times: of several idle connections the server may have closed each
# Times that others were served by an HTTP/2 connection in place of a request, which then needs
# another one: as many requests begin on a connection as may be under way, and servers end it after
# as few as 50. It is a limit for servers that never serve anybody.
MAX_OVERTAKEN: Final = 100
NOT_AGAIN: Final = "it was not sent again, as its body cannot be read a second time"
CONTINUE: Final = 100
SWITCHING_PROTOCOLS: Final = 101
EXPECTATION_FAILED: Final = 417


class Lease(Protocol):
    """The use of a connection, which ends with one of its methods; see `lease.Lease`."""

    @property
    def connection(self) -> HTTPConnection:
        """The connection."""
        ...

    @property
    def reused(self) -> bool:
        """True if it was kept open for a while, so that the server may have closed it."""
        ...

    def release(self, keep_alive: str | None = None, requests: int = 1) -> None:
        """Give it back, after so many *requests*, and a response with this field Keep-Alive."""
        ...

    def doubt(self) -> None:
        """Note that there was no answer in time: the connection may be dead."""
        ...

    def discard(self) -> None:
        """Close it."""
        ...


class Leases(Protocol):
    """The part of a `Pool` that is used here."""

    def try_acquire(self, origin: Origin, /) -> Lease | None:
        """Take a connection, if that is possible at once."""
        ...

    def co_acquire(self, origin: Origin, deadline: float | None, /) -> Co[Lease]:
        """Take a connection, or wait for one."""
        ...


class Repeatable(Protocol):
    """A request that `co_with_lease` sends: a `ClientRequest`, or that of an adapter.

    Attributes:
        timeouts: time limits; None for none.
        attempts: how often it was sent.

    """

    timeouts: Timeouts | None
    attempts: int

    @property
    def idempotent(self) -> bool:
        """True if its method is idempotent."""
        ...

    def rewindable(self) -> bool:
        """Return True if its body can be sent a second time."""
        ...


R = TypeVar("R", bound=Repeatable)
M = TypeVar("M")
T = TypeVar("T")


def origin_of(request: ClientRequest) -> Origin:
    """Return where connections for *request* lead."""
    origin = request.url.origin
    if "websocket" in request.extensions:
        origin = Origin("wss" if origin.secure else "ws", origin.host, origin.port)
    return origin if request.connecting is None else request.connecting.at(origin)


def co_dispatch(pool: Leases, origin: Origin, request: ClientRequest) -> Co[Response]:
    """Send *request* by a connection to *origin*, and return its response.

    Raises:
        PoolTimedOut: no connection became free in time.
        DugongError: there is no response; see `DugongError.request_sent`.

    """
    body = request.body
    # Where request and response are each sent and received as a whole:
    if not (
        request.stream or request.expect100 or request.bounded or request.hooks is not None
    ) and (body is None or is_whole(body)):
        return co_with_lease(pool, origin, request, _co_whole, _whole_response)
    return co_with_lease(pool, origin, request, _co_begun, arriving_response)


def co_with_lease(
    pool: Leases,
    origin: Origin,
    request: R,
    co_exchange: Callable[[HTTPConnection, R], Co[M]],
    finish: Callable[[Lease, R, M], T],
) -> Co[T]:
    """Exchange *request* on a connection of *pool*; on another one if `may_repeat` says so.

    Args:
        pool: gives the connections.
        origin: where they lead.
        request: the request.
        co_exchange: sends it by a connection, and receives what is wanted. If it raises, the
            connection is given back here.
        finish: makes the result of it; takes over the lease.

    Raises:
        PoolTimedOut: no connection became free in time.
        Exception: what *co_exchange* raises.

    """
    sent = overtaken = 0
    while True:
        lease = pool.try_acquire(origin)
        if lease is None:
            try:
                lease = yield from pool.co_acquire(origin, _waiting_deadline(request))
            except PEERS as exc:  # HTTP/2 connects before it lends; HTTP/1.1 does it below
                request.attempts += not isinstance(exc, PoolTimedOut)
                exc.request = request
                raise
        request.attempts += 1
        sent += 1
        try:
            connection = lease.connection
            if request.timeouts is not connection.timeout:
                connection.timeout = request.timeouts
            return finish(lease, request, (yield from co_exchange(connection, request)))
        except DugongError as exc:
            if was_overtaken(exc) and overtaken < MAX_OVERTAKEN:
                overtaken += 1
                sent -= 1
            again = (
                sent < MAX_SENT and (lease.reused or was_refused(exc)) and may_repeat(request, exc)
            )
            _end(lease, exc)
            if not again:
                if was_refused(exc) and not request.rewindable():
                    exc.add_note(NOT_AGAIN)
                exc.request = request
                raise
        except BaseException:  # cancelled, by a time limit perhaps
            lease.doubt()
            lease.discard()
            raise


def _waiting_deadline(request: Repeatable) -> float | None:
    """Return the seconds of `time.monotonic` until which *request* waits for a connection.

    None is for the limit of the pool.
    """
    if request.timeouts is None:
        return None
    limit = request.timeouts.to_wait_for_pool
    return math.inf if limit is None else Ending(limit, time.monotonic())


def may_repeat(request: Repeatable, exc: DugongError) -> bool:
    """Return True if *request*, which has failed on a kept connection, may be sent again.

    That is so if the server closed the connection before the request was sent, or before a part of
    the response arrived if the method is idempotent (RFC 9110 section 9.2.2); or if `was_refused`.
    """
    if was_refused(exc):
        return request.rewindable()
    if not isinstance(exc, ConnectionClosed) or isinstance(
        exc, AnsweredEarly | ClientCertificateRefused
    ):
        return False
    if exc.request_sent == "yes" or (exc.request_sent == "maybe" and not request.idempotent):
        return False
    return request.rewindable()


def needs_http_1(request: Repeatable, exc: DugongError) -> bool:
    """Return True if *request* is to be sent over HTTP/1.1.

    Either the server says so in *exc* (RFC 9113 section 7), or it has fields that HTTP/2 has not.
    """
    if isinstance(exc, InvalidRequest):
        return exc.for_http_1
    return (
        isinstance(exc, GoneAway | StreamReset)
        and exc.code == ErrorCode.HTTP_1_1_REQUIRED
        and request.rewindable()
    )


def was_refused(exc: DugongError) -> bool:
    """Return True if an HTTP/2 server says that it has not looked at the request.

    That is RST_STREAM with REFUSED_STREAM, or GOAWAY with the number of a stream before that of the
    request: then any request may be repeated (RFC 9113 section 8.7).
    """
    return isinstance(exc, GoneAway | StreamReset) and exc.request_sent == "no"


def was_overtaken(exc: DugongError) -> bool:
    """Return True if the server has ended an HTTP/2 connection after requests before this one."""
    return isinstance(exc, GoneAway) and exc.request_sent == "no" and exc.last_id > 0


def _end(lease: Lease, exc: DugongError) -> None:
    """Give the connection back after *exc*, unless the exchange has begun."""
    if ends_unused(exc):
        lease.release(requests=0)  # the pool sees if the connection is usable
        return
    if isinstance(exc, ConnectionTimedOut):
        lease.doubt()
    lease.discard()


def ends_unused(exc: DugongError) -> bool:
    """Return True if *exc* says that the request was refused before anything was sent."""
    return exc.request_sent == "no" and not exc.retryable


def _co_whole(connection: HTTPConnection, request: ClientRequest) -> Co[HTTPResponse]:
    """Send *request* and receive its whole response, or its head only.

    The body is left if it is large, or arrives late, and the status is not below that of
    `ConnectionConfig.whole_below`.
    """
    return connection.co_exchange(
        request.method, request.url.target, request.fields(), request.body
    )


def _whole_response(lease: Lease, request: ClientRequest, reply: HTTPResponse) -> Response:
    if reply.body is None:
        return arriving_response(lease, request, (reply, False))
    lease.release(reply.field("keep-alive"))
    return Response.received(reply, request, lease.connection, reply.body)


def _co_begun(connection: HTTPConnection, request: ClientRequest) -> Co[tuple[HTTPResponse, bool]]:
    """Send *request*, and receive the head of its response, or more; see `co_exchange_in_parts`.

    A body that comes with the head is in memory then, if the connection leaves all others.
    """
    if (
        request.body is None
        and connection.leaves_bodies
        and not (request.bounded or request.hooks is not None)
    ):
        return _co_with_head(connection, request)
    return co_exchange_in_parts(connection, request)


def _co_with_head(
    connection: HTTPConnection, request: ClientRequest
) -> Co[tuple[HTTPResponse, bool]]:
    return (yield from _co_whole(connection, request)), False


def _for_connection(request: ClientRequest) -> Request:
    """Return *request* as it is sent to the origin (RFC 9112 section 3.2.1)."""
    sent = Request(request.method, request.url.target, request.headers)
    sent.take_body(request)
    return sent


def co_exchange_in_parts(
    connection: HTTPConnection, request: ClientRequest
) -> Co[tuple[HTTPResponse, bool]]:
    """Send *request*; return the head of its response, and whether that came too early."""
    sent = _for_connection(request)
    is_early = False
    try:
        if request.expect100 and request.body is not None:
            message = yield from _co_send_when_asked(connection, sent)
            is_early = message is not None
        else:
            yield from connection.co_send(sent)
            message = None
    except AnsweredEarly:
        is_early = True
        message = None  # it is read next
    except ConnectionClosed as exc:
        if request.body is None:
            raise
        is_early = True
        message = yield from _co_explanation(connection, exc)
    if message is None:
        message = yield from connection.co_read_response()
    return message, is_early


def arriving_response(
    lease: Lease, request: ClientRequest, received: tuple[HTTPResponse, bool]
) -> Response:
    """Return a response whose body is still to be read, if there is one.

    Args:
        lease: of the connection.
        request: the request.
        received: the head of the response, and whether that came too early.

    """
    message, is_early = received
    body: BodyStream | bytes
    if message.body is not None:  # it came with the head
        lease.release(message.field("keep-alive"))
        body = message.body
    elif message.length == 0 and not _is_upgraded(message):  # nothing follows the head
        lease.release(message.field("keep-alive"))
        body = MemoryBody(b"") if request.stream else b""
    else:
        body = ArrivingBody(lease, message)
    response = Response.received(message, request, lease.connection, body)
    if is_early:
        response.answered_early = True
    return response


def _is_upgraded(message: HTTPResponse) -> bool:
    """Return True if another protocol follows (RFC 9110 sections 7.8 and 9.3.6)."""
    return message.status == SWITCHING_PROTOCOLS or message.method == "CONNECT"


def _co_explanation(connection: HTTPConnection, exc: ConnectionClosed) -> Co[HTTPResponse]:
    """Return the response that explains why the connection was closed while a body was sent.

    A server that refuses a body may answer and close the connection at once. The sender may see
    the close first (RFC 9112 section 9.6).

    Raises:
        ConnectionClosed: *exc*, if there is no response, or it is a success, which cannot be about
            a body that has not been received.
        ConnectionTimedOut: a limit of the caller is over, which says nothing about that.

    """
    from ..polling.combinators import own_error  # noqa: PLC0415 - for bodies that are refused

    if exc.request_sent == "no":
        raise exc
    message = yield from own_error(connection.co_read_response(), DugongError)
    if isinstance(message, DugongError):
        raise exc from None  # which says more
    if exc.request_sent != "yes" and message.status < 300:  # noqa: PLR2004 - success
        raise exc
    return message


def _co_send_when_asked(connection: HTTPConnection, request: Request) -> Co[HTTPResponse | None]:
    """Send *request*, its body after 100 (Continue), and return the final response if it is here.

    After 417 it is sent again without Expect (RFC 9110 section 10.1.1).
    """
    body = request.body
    if is_whole(body):
        following = BodyFollowing(len(as_bytes(body, "body")))  # type: ignore[arg-type]  # whole
    else:
        following = BodyFollowing(request.source().begin())
    exchange = yield from connection.co_send_request(
        request.method, request.target, request.headers, following, expect100=True
    )
    if exchange.expects_continue:
        try:
            message = yield from connection.co_read_response()
        except ContinueTimedOut:
            pass  # the body may be sent all the same
        else:
            if message.status == EXPECTATION_FAILED:
                yield from connection.co_discard()
                yield from connection.co_send(request)
                return None
            if message.status != CONTINUE:
                return message
    if is_whole(body):
        yield from connection.co_write(cast("bytes", body))
        yield from connection.co_finish()
    else:
        assert exchange.writer is not None
        yield from co_write_all(exchange.writer, request.source())
    return None


class ArrivingBody:
    """A body that a connection of a pool receives.

    At its end the connection goes back to the pool; closed before, the connection is closed.

    Args:
        lease: of the connection.
        message: the head of the response.

    """

    __slots__ = ("_lease", "_message")

    def __init__(self, lease: Lease, message: HTTPResponse) -> None:
        self._lease: Lease | None = lease
        self._message = message

    def co_read(self, size: int) -> Co[bytes]:
        """Return the next bytes; ``b""`` at the end only. See `BodyStream`."""
        lease = self._lease
        if lease is None:
            return b""
        try:
            data = yield from lease.connection.co_read(size)
        except ConnectionTimedOut:
            lease.doubt()
            raise
        if not data:
            self._lease = None
            lease.release(self._message.field("keep-alive"))
        return data

    def co_readinto(self, memory: memoryview) -> Co[int]:
        """Receive the next bytes into *memory*; return their number, 0 at the end only."""
        lease = self._lease
        if lease is None:
            return 0
        try:
            count = yield from lease.connection.co_readinto(memory)
        except ConnectionTimedOut:
            lease.doubt()
            raise
        if not count:
            self._lease = None
            lease.release(self._message.field("keep-alive"))
        return count

    def co_recv_to_file(self, file: BinaryIO) -> Co[int]:
        """Move the rest into *file*; see `HTTPConnection.co_recv_to_file`."""
        lease = self._lease
        if lease is None:
            return 0
        try:
            count = yield from lease.connection.co_recv_to_file(file)
        except ConnectionTimedOut:
            lease.doubt()
            raise
        self._lease = None
        lease.release(self._message.field("keep-alive"))
        return count

    def trailers(self) -> list[tuple[str, str]]:
        """Return the trailer fields; none before the end."""
        return self._message.trailer_pairs()

    def close(self) -> None:
        """Close the connection, unless the body is complete."""
        lease, self._lease = self._lease, None
        if lease is not None:
            lease.discard()
