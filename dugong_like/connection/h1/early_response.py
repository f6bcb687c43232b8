"""Early final responses: the server answers before it has the whole request.

RFC 9112 section 9.5: a client that sends a body watches for that, and stops. A server which has
refused a request may also close the connection, and the close may be reported before its response,
so an error of sending is `explain`-ed by what has arrived.

The sender does not read: it peeks (`find`), unless another operation reads, which then sets
`Exchange.final`. The response remains the next one for `read_response`.

Not here: which bytes are sent (sender.py), and the wait during which this is watched for
(writer.py).
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from ...errors import (
    AnsweredEarly,
    ClientCertificateRefused,
    ConnectionClosed,
    ProtocolError,
)
from ...http.h1.framing import frame
from ..exchange import HTTPResponse
from .exclusive import peek
from .expect_continue import CONTINUE

if TYPE_CHECKING:
    from ...http.h1.response_head import Head
    from ...transport.stream import Stream
    from ..exchange import Exchange
    from ..shared import SharedState
    from .receiver import Receiver


def response_to(exchange: Exchange, head: Head) -> HTTPResponse:
    """Return the response to *exchange* that *head* begins. Raises what `frame` does."""
    _, length, _ = frame(exchange.method, head)
    return HTTPResponse(exchange, head, length)


def check_unanswered(exchange: Exchange) -> None:
    """Raise `AnsweredEarly` if another operation has read the head of the final response."""
    if exchange.final is not None:
        raise AnsweredEarly.by(response_to(exchange, exchange.final))


def check(session: SharedState, receiver: Receiver, stream: Stream, exchange: Exchange) -> None:
    """Stop the sender of *exchange* if its final response has arrived.

    Raises:
        AnsweredEarly: it has.
        ConnectionClosed, InvalidResponse: see `find`.

    """
    response = find(session, receiver, stream, exchange)
    if response is not None:
        raise AnsweredEarly.by(response, "; read_response() gives the answer")


def find(
    session: SharedState, receiver: Receiver, stream: Stream, exchange: Exchange
) -> HTTPResponse | None:
    """Peek, for the sender of *exchange*, whether its final response has begun.

    Never waits, and does nothing while another operation reads, or if what arrives next
    belongs to another request. The response remains the next one for `read_response`.

    Returns:
        The final response, if its head is here; None if there is none yet.

    Raises:
        ConnectionClosed: the server has closed the connection.
        InvalidResponse: what it sent is no response, or its framing makes no sense.

    """
    buffer, heads = receiver.buffer, receiver.heads
    if not receiver.is_next(exchange):
        return None
    if receiver.early is None and buffer.begin == buffer.end and stream.recv_would_block():
        return None
    before = len(exchange.informational)
    final = peek(session, partial(_peek_head, receiver, stream, exchange))
    for informational in exchange.informational[before:]:
        heads.report(informational)
    return None if final is None else response_to(exchange, final)


def _peek_head(receiver: Receiver, stream: Stream, exchange: Exchange) -> Head | None:
    """Return the final head for *exchange*, which the receiver keeps, if it is here."""
    if not receiver.is_next(exchange):  # any more
        return None
    heads = receiver.heads
    try:
        heads.reports_later = True
        while receiver.early is None:
            receiver.early = heads.take(exchange)
            if receiver.early is None and not (filled := receiver.buffer.fill(stream)):
                if filled is None:
                    return None
                raise heads.end_of_stream()
    finally:
        heads.reports_later = False
    # A 100 that was asked for is for `read_response`.
    return None if receiver.early.status == CONTINUE else receiver.early


def explain(
    exc: BaseException, session: SharedState, receiver: Receiver, exchange: Exchange
) -> BaseException:
    """Return what to raise for *exc*, which has ended sending *exchange*.

    That is another error if the server has said why it ended this.
    """
    if type(exc) is not ConnectionClosed:
        return exc
    try:
        check_unanswered(exchange)
        if session.stream is not None:
            check(session, receiver, session.stream, exchange)
    except (AnsweredEarly, ClientCertificateRefused) as reason:
        return reason
    except (ConnectionClosed, ProtocolError):
        pass  # the operation that reads will raise it
    return exc
