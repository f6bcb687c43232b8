"""The direct way of a request: one exchange on a free connection, with no layer in between.

Most requests need nothing that layers do: nobody authenticates them, repeats them or limits their
number, and no cookie goes with them. Most responses ask for nothing but to be read. Such a request
goes from the client to a connection of the pool, and its response back, without a chain of
generators. If it needs more after all, that is done as for any other request: the client sends it
through its layers if no connection is free, or a kept one was lost with it, and follows a redirect
from the response that is there.

A blocking call, an operation and a coroutine differ in how they do the exchange. All else is here::

    member = direct.begin(request)       # None: another way
    try:
        reply = ...                      # the exchange
    except BaseException as exc:
        if not direct.repeats(member, request, exc):
            raise
        ...                              # another way
    else:
        response = direct.end(member, request, reply)

Not here: the ways (client.py), the pool (pool.py), and the exchange (connection/).
"""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING, Final

from ..errors import ConnectionTimedOut, DugongError, InvalidRequest
from ..http.redaction import mask_target
from .decoding import ReadingOptions
from .dispatch import arriving_response, ends_unused, may_repeat, needs_http_1
from .lease import Lease
from .pool import MISDIRECTED
from .pooled import Member
from .response import Response

if TYPE_CHECKING:
    from logging import Logger

    from ..connection.connection import HTTPConnection
    from ..connection.exchange import HTTPResponse, Reply
    from ..http.cookies import Cookies
    from .layers.retry import Retry
    from .pool import Pool
    from .request import ClientRequest
    from .share import StreamLease

INFO: Final = 20  # the level of logging
REDIRECTS: Final = range(300, 400)
ERRORS: Final = 400  # and above
_modules: Final = sys.modules


class DirectDispatch:
    """Sends plain requests (`ClientRequest.is_plain`) of a client without layers of its own.

    Args:
        pool: gives the connections.
        cookies: of the client.
        stores_cookies: True to take those of responses.
        reading: how responses are read.
        raises: True if the client raises an exception for statuses of errors.
        retry: of the client, which counts the requests of a batch; None for none.

    """

    __slots__ = (
        *("_cookies", "_log", "_pool", "_raises", "_reading", "_repeated", "_retry"),
        "_stores_cookies",
    )

    def __init__(
        self,
        pool: Pool,
        cookies: Cookies,
        *,
        stores_cookies: bool,
        reading: ReadingOptions,
        raises: bool,
        retry: Retry | None = None,
    ) -> None:
        self._pool = pool
        self._cookies = cookies
        self._stores_cookies = stores_cookies
        self._reading = reading
        self._raises = raises
        self._retry = retry
        self._repeated = frozenset() if retry is None else retry.statuses
        self._log: Logger | None = None

    def begin(self, request: ClientRequest) -> Member | StreamLease | None:
        """Return a connection for *request*; None if it cannot be sent this way, or not now.

        Raises:
            StateError: the pool is closed.
            DugongError: what `Connector.connection` raises.

        """
        if not self._cookies.is_empty or (
            "logging" in _modules and (self._log or self._find_log()).isEnabledFor(INFO)
        ):
            return None
        pool, origin = self._pool, request.url.origin
        member = pool.take(origin)
        if member is None:
            return self._begin_stream(request, pool.take_stream(origin))
        timeouts = request.timeouts
        if timeouts is not member.timeout and timeouts is not None:
            assert member.connection is not None
            member.connection.timeout = timeouts
            member.has_other_limits = True
        request.attempts += 1
        return member

    @staticmethod
    def _begin_stream(request: ClientRequest, lease: StreamLease | None) -> StreamLease | None:
        """Begin with a stream of an HTTP/2 connection, if there is one."""
        if lease is None:
            return None
        lease.connection.limit(request.timeouts)
        lease.taken = time.monotonic()
        request.attempts += 1
        return lease

    def is_free(self) -> bool:
        """Return True if plain requests need nothing but to be sent: no cookies, and no log."""
        return self._cookies.is_empty and not (
            "logging" in _modules and (self._log or self._find_log()).isEnabledFor(INFO)
        )

    def receive(
        self,
        message: HTTPResponse,
        body: bytes,
        request: ClientRequest,
        connection: HTTPConnection,
        begun_at: float,
        ended_at: float,
    ) -> Response | None:
        """Return the response to a request of a batch, if nothing is left to do.

        Args:
            message: its status and fields.
            body: its body, as received.
            request: the request, a plain one.
            connection: what has received it.
            begun_at: when the request was sent, in seconds of `time.monotonic`.
            ended_at: when all was there.

        Returns:
            The response; None if it may be a redirect, has cookies or a body to decode, or is to
            be raised, or repeated.

        """
        status = message.status
        if status in REDIRECTS or (status >= ERRORS and self._raises) or status in self._repeated:
            return None
        if not message.is_plain() and (
            message.field("content-encoding") is not None
            or (self._stores_cookies and message.values("set-cookie"))
        ):
            return None
        if self._retry is not None:
            self._retry.count(request.url.origin)
        response = Response.read_already(
            message, request, connection, begun_at, ended_at, self._reading, body
        )
        if request.attempts > 1:  # it was sent before
            response.attempts = request.attempts
        return response

    def _find_log(self) -> Logger:
        """Return what logs requests. A program without logging does not import it."""
        from .log import log  # noqa: PLC0415 - logging is loaded already

        self._log = log
        return log

    def repeats(
        self, member: Member | StreamLease, request: ClientRequest, exc: BaseException
    ) -> bool:
        """End the use of *member* after *exc*; return True if *request* is sent another way now.

        Otherwise *exc* says what it is about.
        """
        if not isinstance(exc, DugongError):
            self._discard(member)
            return False
        if isinstance(member, Member):
            repeats = (member.requests > 0 or member.was_kept) and may_repeat(request, exc)
            if ends_unused(exc):
                self._pool.give_back(member, used=0)
            else:
                self._pool.discard(member)
        else:
            if isinstance(exc, ConnectionTimedOut):
                member.doubt()
            repeats = needs_http_1(request, exc) or may_repeat(request, exc)
            request.attempts -= repeats and isinstance(exc, InvalidRequest)  # nothing was sent
            member.release(requests=0 if ends_unused(exc) else 1)
        if not repeats:
            exc.request = request
            exc.label_request(request, mask_target(str(request.url)))
        return repeats

    @staticmethod
    def _end_misdirected(lease: StreamLease, request: ClientRequest, reply: Reply) -> Response:
        """Return a response that says that the request is for another connection."""
        if request.rewindable():
            request.misdirected = True
            lease.avoid()
        lease.release()
        response = Response.received(reply, request, lease.connection, reply.body)
        response.begun_at = lease.taken
        return response

    def _discard(self, member: Member | StreamLease) -> None:
        if isinstance(member, Member):
            self._pool.discard(member)
        else:
            member.doubt()
            member.discard()

    def end(self, member: Member | StreamLease, request: ClientRequest, reply: Reply) -> Response:
        """Give the connection back, unless the body is still to be read, and make the response.

        Returns:
            The response. If it is closed nothing is left to do; otherwise it may be a redirect,
            has a body to decode or to read, or is to be raised.

        """
        pool = self._pool
        is_plain = reply.is_plain()
        if not is_plain and self._stores_cookies and (lines := reply.values("set-cookie")):
            self._cookies.extract(request.url, lines, time.time())
        body: bytes | None = reply.body
        if body is None:
            lease: Lease | StreamLease
            if isinstance(member, Member):
                lease = Lease(pool, member, request.url.origin)
            else:
                lease = member
            response = arriving_response(lease, request, (reply, False))
            response.begun_at = member.taken
            return response
        connection = member.connection
        begun_at = member.taken  # before another request takes it
        if isinstance(member, Member):
            if not is_plain and (keep_alive := reply.field("keep-alive")) is not None:
                pool.note_keep_alive(member, keep_alive)
            ended_at = pool.give_back(member, reply.is_usual)
        else:
            if reply.status == MISDIRECTED:
                return self._end_misdirected(member, request, reply)
            member.release()
            ended_at = time.monotonic()
        status = reply.status
        if not is_plain or status in REDIRECTS or (status >= ERRORS and self._raises):
            response = Response.received(reply, request, connection, body)
            response.begun_at = begun_at
            return response
        response = Response.read_already(
            reply, request, connection, begun_at, ended_at, self._reading, body
        )
        if request.attempts > 1:  # it was sent before
            response.attempts = request.attempts
        return response
