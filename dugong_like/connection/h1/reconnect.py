"""Reconnecting: an idle connection that the server has closed is not used, but made anew.

A server may close an idle connection at any time (RFC 9112 section 9.5), and announce with a
response that it takes no further request (section 9.3). So a session is asked before each request
whether it `takes_request`. If not, nothing has been sent, and the step ends with `Retired`: the
connection object makes a new session and takes the same step with that
(`Operations` in operations.py). A reader that has waited for the request goes there with
`SessionReplaced`.

Never the same: a request that was sent and got no response is not repeated here, as it may have had
an effect; see `Pipeline` and `DugongError.retryable`.

Not here: opening the connection (`SharedState.open`), and the same question in the shortest way
that an exchange can take (`Session.begin`).
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from ...errors import (
    ClientCertificateRefused,
    ConnectionClosed,
    ProtocolError,
)
from ..cancelling import cancel
from ..states import BROKEN, CLOSED, NEW, OPEN, Retired
from .exclusive import peek

if TYPE_CHECKING:
    from ...polling.contract import Co
    from ...transport.buffer import ReceiveBuffer
    from ...transport.stream import Stream
    from ..shared import SharedState
    from .body_reader import BodyReader
    from .trace_events import Observer


def takes_request(session: SharedState, bodies: BodyReader) -> bool:
    """Return True if *session* is open, and a request may be sent on it.

    With nothing pending nothing may have arrived: it would be taken for the response, or is the
    end of the stream.

    Raises:
        ClientCertificateRefused: that is why it has ended, and would be the next time.

    """
    if session.state is not OPEN:
        return False
    pending = session.pending
    if pending:
        if len(pending) != 1 or not bodies.has_surplus():
            return True
    elif session.stream is None:
        return True
    else:
        try:
            if session.stream.is_idle():
                return True
        except ClientCertificateRefused:
            session.retire()
            raise
    session.retire()  # what had arrived is lost: a second check would see nothing
    return False


def connect(session: SharedState) -> Co[None] | None:
    """Connect, as *session* is not open, or takes no request; returns what `open` returns.

    Raises:
        Retired: it has been open; nothing is pending.
        ConnectionClosed: it is broken, or responses are pending.
        DugongError: what `SharedState.open` raises.

    """
    if session.state is NEW:
        if session.observer is None:
            return session.open()
        return _co_open_observed(session, session.observer)
    if session.state is BROKEN:
        session.check_usable()
    if session.pending and session.state is not CLOSED:
        raise ConnectionClosed(
            f"the connection takes no further request, and {len(session.pending)} responses "
            "are pending: read them, or call reset()",
        )
    raise Retired


def _co_open_observed(session: SharedState, observer: Observer) -> Co[None]:
    observer.begin()
    try:
        going = session.open()
        if going is not None:
            yield from going
    except BaseException:
        if observer.raised is None:
            raise
    if (raised := observer.raised) is not None:  # and taken for a failed attempt, perhaps
        cancel(session)
        raise raised


def is_silent(session: SharedState, buffer: ReceiveBuffer) -> bool:
    """Return True if nothing has arrived on an idle connection, not even the end of the stream.

    Other than with `takes_request` nothing is lost: what has arrived is kept. A connection that has
    ended, or where something has come that nobody asked for, takes no request any more.
    While another operation reads it is taken to be silent.
    """
    stream = session.stream
    if stream is None or stream.recv_would_block():
        return stream is not None and buffer.begin == buffer.end
    reason = peek(session, partial(_end_of_idle, session, buffer, stream))
    if reason is not None:
        session.label(reason)
        session.end(reason)
        return False
    return session.state is OPEN


def _end_of_idle(
    session: SharedState, buffer: ReceiveBuffer, stream: Stream
) -> ConnectionClosed | None:
    """Return why an idle connection, of which something has arrived, has ended; None: it has not.

    It takes no further request from now on: one that began later would take this for a response.
    """
    try:
        if session.pending or session.stream is not stream:  # by now
            return None
        if (filled := buffer.fill(stream)) is None:
            return None  # session tickets and the like
        reason = ConnectionClosed("the server has closed the idle connection")
        if filled:
            reason = ConnectionClosed("the server has sent what nobody asked for")
    except ClientCertificateRefused as exc:
        reason = ClientCertificateRefused(str(exc))
    except (ConnectionClosed, ProtocolError) as exc:
        reason = ConnectionClosed(str(exc))
    session.retire()
    return reason
