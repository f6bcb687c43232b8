"""One user's view of an HTTP/2 connection that others use at the same time.

The calls of an `HTTPConnection` keep an order: a body is written to the request that was sent last,
and a response read is that to the oldest one. Several users of one connection, which know nothing
of each other, each need an order of their own, and time limits of their own.

Not here: who uses a connection (client/sharing.py), and streams (h2/).
"""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Final, NoReturn, cast

from ..errors import ConnectionClosed, GoneAway, InvalidRequest, StateError
from ..http.header_validation import check_meaning
from .connection import HTTPConnection
from .h2.session import Session
from .operations import Operations
from .states import Retired

if TYPE_CHECKING:
    from collections.abc import Callable

    from ..http.header_validation import FieldLines
    from ..polling.contract import Co
    from ..polling.timeouts import Timeouts
    from .config import ConnectionConfig
    from .exchange import HTTPResponse
    from .h2.options import EitherHeads
    from .h2.rolling_batch import RollingBatch
    from .h2.tunnel import Tunnel
    from .session import Session as AnySession


MULTIPLE_CHOICES: Final = 300


def watch_room(
    changed: Callable[[], object],
    config: ConnectionConfig,  # noqa: ARG001 - see `Operations.beside`
    session: AnySession,
) -> None:
    """Have *changed* called when the server allows more exchanges at once.

    It is called without a lock, by whoever receives that. For `Operations.beside`.
    """
    if isinstance(session, Session):
        session.shared.pump.on_room = changed


def room_of(
    config: ConnectionConfig,  # noqa: ARG001 - see `Operations.beside`
    session: AnySession,
) -> int:
    """Return how many exchanges may begin now without waiting; for `Operations.beside`."""
    return session.room() if isinstance(session, Session) else 0


def bytes_received(
    config: ConnectionConfig,  # noqa: ARG001 - see `Operations.beside`
    session: AnySession,
) -> int:
    """Return how many bytes have arrived on an HTTP/2 connection. For `Operations.beside`."""
    return session.shared.pump.received if isinstance(session, Session) else 0


class ConnectionView(HTTPConnection):
    """The calls of an open HTTP/2 connection, for one of its users.

    It has this connection, and none that follows: when it takes no further request, requests fail
    with `ConnectionClosed`, which is `GoneAway` if the server has said so, and were not sent.
    Closing the view gives up its own exchanges only. Time limits that are set hold for it alone.

    Args:
        config: of the connection.
        session: its present session; see `Operations.beside`.

    Raises:
        StateError: it is not one of HTTP/2.

    """

    def __init__(self, config: ConnectionConfig, session: AnySession) -> None:
        if not isinstance(session, Session):
            raise StateError("several can use an HTTP/2 connection only")
        own = Session(config, config.timeout, config.expect100_timeout, beside=session)
        Operations.__init__(self, config, None, own)

    _session: Session

    def _renew(self, old: AnySession, error: GoneAway | None = None) -> NoReturn:
        del old, error  # it has one session
        shared = self._session.shared
        closed: ConnectionClosed
        if (goaway := shared.pump.engine.goaway) is not None:
            closed = copy.copy(goaway)
            closed.request_sent = "no"
        else:
            closed = ConnectionClosed("the connection takes no further request", request_sent="no")
        raise shared.labelled(closed) from self.close_reason

    def co_tunnel(
        self, protocol: str, path: str, fields: FieldLines
    ) -> Co[tuple[HTTPResponse, Tunnel | None]]:
        """Send an extended CONNECT (RFC 8441 section 4), and read the head of the response.

        Args:
            protocol: value of ``:protocol``.
            path: request target, as of GET.
            fields: of the request.

        Returns:
            The response, and the tunnel if its status is 2xx. The body of any other response is
            read by the calls of this object.

        Raises:
            InvalidRequest: an argument cannot be sent, or the server does not take it; nothing was
                sent.
            ConnectionClosed: the connection takes no further request, and nothing was sent; or it
                was lost.
            DugongError: there is no response. The stream was reset.

        """
        from .h2 import tunnel  # noqa: PLC0415 - for those who want one

        session, exchange = self._session, self._messages.new_exchange("CONNECT", path)
        try:
            check_meaning(fields.values, "GET", has_body=False)
            head = cast("EitherHeads", self._messages.heads).build_connect(protocol, path, fields)
            response, reader = yield from tunnel.co_open(session, exchange, head)
        except Retired:
            self._renew(session)
        except InvalidRequest as exc:
            self._messages.label_error(exc, "CONNECT", path)
            raise
        if response.status >= MULTIPLE_CHOICES:
            session.receiver.reader = reader
            return response, None
        assert reader.stream.inner is not None
        exchange.reader = session.shared.finished  # what comes is no body of a response
        return response, tunnel.Tunnel(session, reader.stream.inner)

    def rolling_batch(self) -> RollingBatch | None:
        """Return what does many exchanges with bodies in memory, begun one by one.

        None if each has to be done by itself: they are observed, or limited in size.
        """
        from .h2.rolling_batch import RollingBatch  # noqa: PLC0415 - for those who want one

        session = self._session
        if not session.takes_rolling_batch():
            return None
        heads = cast("EitherHeads", self._messages.heads)
        return RollingBatch(session.shared, session.limits, heads, self._messages.whole)

    def limit(self, timeouts: Timeouts | None) -> None:
        """Let *timeouts* hold for its next exchange; None stands for those of the connection."""
        if timeouts is None:
            wanted: float | Timeouts | None = self._config.timeout
        else:
            wanted = timeouts
        if wanted is not self._timeout:
            self.timeout = wanted

    def is_quiet(self) -> bool:
        """Return True if none of its exchanges is under way."""
        return not self._session.is_used()

    def disconnect(self) -> None:
        """Give up what is under way here. The connection stays open for others."""
        self._session.give_up()

    def co_close(self) -> Co[None]:
        """Do what `close` does; it never waits."""
        self.close()
        yield from ()

    def close(self) -> None:
        """Do what `disconnect` does."""
        self.disconnect()

    def __del__(self) -> None:
        if hasattr(self, "_session"):
            self._session.give_up()
