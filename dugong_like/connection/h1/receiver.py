"""The receiving half of a connection: one response after the other, in order.

Everything that has been received and not delivered is kept between operations: one
that is interrupted loses nothing, the next one goes on where it stood.

Not here: receiving heads (head_reader.py) and bodies (body_reader.py), and sending (sender.py).
"""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial
from typing import ClassVar

from ...errors import (
    ClientCertificateRefused,
    ConnectionClosed,
    ConnectionTimedOut,
    ProtocolError,
    StateError,
)
from ...http.h1.body import ENDLESS, SIZED, UNKNOWN, UNTIL_CLOSE, Body
from ...http.h1.body_kinds import Kind
from ...http.h1.chunked import ChunkedBody
from ...http.h1.framing import ends_http, frame
from ...http.h1.limits import Limits
from ...http.h1.response_head import Head
from ...polling.contract import Co, within
from ...polling.fairness import STEP
from ...transport.buffer import ReceiveBuffer
from ...transport.stream import Stream
from ...transport.upgraded.network_stream import NetworkStream
from ..exchange import Exchange, HTTPResponse
from .body_reader import BodyReader
from .exclusive import ReadingRole
from .head_reader import CONTINUE, HeadReader, Informed
from .session import SharedLink
from .states import BROKEN, OPEN, SWITCHED


class Ending:
    """What happens at the end of a response: it decides whether the connection goes on.

    It has no way back to the receiving half, which would be garbage in circles then.

    Attributes:
        response: the present response; None between two of them, for it may be large.
        reusable: may the connection be used after it?
    """

    __slots__ = ("_buffer", "_link", "_role", "response", "reusable")

    def __init__(self, role: ReadingRole, buffer: ReceiveBuffer) -> None:
        self._role = role
        self._link = role.link
        self._buffer = buffer
        self.response: HTTPResponse | None = None
        self.reusable = False

    def end(self, body: Body | None) -> None:
        """End the response; *body* is what has been read, None if there was none."""
        response, self.response = self.response, None
        assert response is not None
        if body is not None and body.trailers:
            response.set_trailers(body.trailers)
        link, buffer = self._link, self._buffer
        pending = link.pending
        reusable = self.reusable
        if len(pending) == 1:
            if buffer.begin == buffer.end:
                buffer.give_back()
            else:
                reusable = False  # nobody has asked for that
        # When nothing is pending any more a thread that sends goes on: with this connection,
        # if it is not spent by then.
        if reusable:
            pending.popleft()
        elif link.state is SWITCHED and link.raw_stream is not None:
            pending.popleft()
            response.offer(partial(hand_over, self._role, buffer, link.raw_stream))
            return
        else:
            link.end_use(response)
        if link.state is not OPEN and not pending and link.raw_stream:
            link.raw_stream.say_goodbye()
            link.closing.end(None)


def hand_over(role: ReadingRole, buffer: ReceiveBuffer, stream: Stream) -> NetworkStream:
    """Give up *stream*, which has left HTTP, and what has been received from it."""
    link = role.link
    turn = role.take()
    try:
        if link.raw_stream is not stream:
            what = "the connection was closed before anybody took its stream"
            raise link.labelled(StateError(what))
        link.hand_over()
        received = buffer.take(buffer.end - buffer.begin)
        buffer.give_back()
    finally:
        role.end(turn)
    return NetworkStream(stream, received, link.timeout, url=link.route.origin)


class ReceivingHalf:
    """Reads the responses to the pending requests, in their order.

    Attributes:
        role: the right to read.
        heads: reads heads.
        bodies: reads bodies.
        kind_of_role: class of `role`.
        kind_of_bodies: class of `bodies`.
    """

    kind_of_role: ClassVar[type[ReadingRole]] = ReadingRole
    kind_of_bodies: ClassVar[type[BodyReader]] = BodyReader
    kind_of_ending: ClassVar[type[Ending]] = Ending

    __slots__ = (
        *("_buffer", "_ending", "_final", "_hear", "_limits", "_link"),
        *("bodies", "heads", "role"),
    )

    def __init__(
        self, link: SharedLink, limits: Limits, buffer_size: int, on_informational: Informed | None
    ) -> None:
        self._link = link
        self._limits = limits
        self._buffer = ReceiveBuffer(buffer_size)
        self.role = self.kind_of_role(link, self._buffer)
        self.heads = HeadReader(link, self._buffer, limits, on_informational)
        self._ending = self.kind_of_ending(self.role, self._buffer)
        self.bodies = self.kind_of_bodies(link, self._buffer, self._ending.end)
        self._final: Head | None = None  # read while a body was being sent, for `read_response`
        self._hear: Callable[[Head], bool] | None = None

    def successor(self, link: SharedLink) -> ReceivingHalf:
        """Return a new half that reads from *link* and is told the same."""
        successor = type(self)(link, self._limits, self._buffer.size, self._informed)
        successor.heads.continue_timeout = self.heads.continue_timeout
        if self._hear is not None:
            successor.on_forwarded(self._hear)
        return successor

    @property
    def _informed(self) -> Informed | None:
        """Who is told of informational responses."""
        return self.heads.on_informational

    def reset(self) -> None:
        """Forget everything that was received. For who has the role."""
        self._buffer.clear()
        self.heads.reset()
        self.bodies.reset()
        self._final = None

    def on_forwarded(self, hear: Callable[[Head], bool]) -> None:
        """Call *hear* with each final head: a proxy has forwarded it; see `Forwarding.hear`."""
        self._hear = hear

    def has_surplus(self) -> bool:
        """Return True if there are bytes behind the only response that is pending."""
        return len(self._link.pending) == 1 and self.bodies.has_surplus()

    def is_next(self, exchange: Exchange) -> bool:
        """Return True if what arrives next is the answer to *exchange*, or the rest of its head.

        Another thread may read it the moment after, unless the role is taken.
        """
        pending = self._link.pending
        try:
            return pending[0] is exchange and self.bodies.body is None
        except IndexError:
            return False

    def waits_for(self, exchange: Exchange) -> bool:
        """Return True if the response to *exchange* is next, and nothing of it has arrived."""
        return (
            self._final is None
            and self.is_next(exchange)
            and self._buffer.begin == self._buffer.end
        )

    # ---- the operation that reads a response

    def is_early(self) -> bool:
        """Return True if the next response cannot be here, as its request was sent just now.

        Then it is better to wait first, and to make the first attempt after that.
        """
        link, buffer = self._link, self._buffer
        pending = link.pending
        if buffer.begin < buffer.end or len(pending) != 1:
            return False
        exchange = pending[0]
        if not exchange.fresh or not exchange.sent or exchange.expects_continue:
            return False
        exchange.fresh = False
        stream = link.raw_stream
        return stream is not None and link.state is not BROKEN and not stream.buffered

    def co_read_response(self) -> Co[HTTPResponse]:
        """See `Operations.co_read_response`."""
        if self.heads.continue_timeout is None:
            return self.role.co(self.read_response, None, self.is_early)
        return self._co_read_in_time()

    def _co_read_in_time(self) -> Co[HTTPResponse]:
        """Read a response; a body that waits for 100 (Continue) shall not do so for ever."""
        reading = self.role.co(self.read_response, None, self.is_early)
        pending = self._link.pending
        if self.heads.continue_timeout is None or not pending or not pending[0].expects_continue:
            return (yield from reading)
        until = time.monotonic() + self.heads.continue_timeout
        try:
            return (yield from within(until, reading))
        except ConnectionTimedOut:
            if time.monotonic() >= until and pending and pending[0].expects_continue:
                first = pending[0]
                raise self._link.labelled(self.heads.no_continue(first), first) from None
            raise

    def read_response(self, _: None) -> HTTPResponse | None:
        """Make an attempt to read the next response; see `Operations.co_read_response`."""
        link = self._link
        pending = link.pending
        if link.state is BROKEN:
            link.check_unbroken()
        if self.bodies.body is not None or not pending or pending[0].abandoned:
            if not self._skip_abandoned():
                return None
            link.check_unbroken()
        exchange = pending[0]
        self.bodies.forget()
        head = self._final or self.heads.read(exchange)
        if head is None:
            return None
        self._final = None
        if head.status == CONTINUE:
            return exchange.informational[-1]
        return self._begin_response(exchange, head)

    def _skip_abandoned(self) -> bool:
        """Go to the first response that somebody wants to read; False: it has to arrive first."""
        pending = self._link.pending
        while not self._buffer.is_turn_over():
            self._buffer.turn_ends -= STEP
            if self.bodies.body is not None:
                if not pending[0].abandoned:
                    raise StateError(
                        "the body of the last response has not been read to its end: "
                        "call readall() or discard() first"
                    )
                if not self.bodies.discard(None):
                    return False
            if not pending:
                raise StateError("no response is pending: send a request first")
            exchange = pending[0]
            if not exchange.abandoned:
                return True
            self._link.check_unbroken()
            head = self._final or self.heads.read(exchange)
            if head is None:
                return False
            self._final = None
            if head.status != CONTINUE:
                self._begin_response(exchange, head)
        return False

    def _begin_response(self, exchange: Exchange, head: Head) -> HTTPResponse:
        """Turn a final head into a response, and get ready for its body."""
        ending = self._ending
        kind, length, ending.reusable = frame(exchange.method, head)
        if self._hear is not None and not self._hear(head):
            ending.reusable = False
        if exchange.upgrades and exchange.sent and ends_http(exchange.method, head.status):
            ending.reusable = False
            self._link.switch()  # before the sender hears that there is an answer
        exchange.expects_continue = False
        exchange.final = head
        if not exchange.sent:  # the sender has to stop
            self._link.spend()
            self._link.stop_sending()
        ending.response = response = HTTPResponse(exchange, head, length)
        bodies = self.bodies
        bodies.known = True
        if length:
            bodies.begin(SIZED, length)
        elif length == 0:
            ending.end(None)
        elif kind is Kind.CHUNKED:
            bodies.begin(ChunkedBody(self._limits), 0)
        elif kind is Kind.UNTIL_CLOSE:
            bodies.begin(UNTIL_CLOSE, ENDLESS)
        else:
            bodies.begin(UNKNOWN, 0)
        return response

    # ---- other operations

    def read_raw(self, size: int) -> bytes | None:
        """Make an attempt to read bytes as they are; see `Operations.co_read_raw`."""
        link = self._link
        stream = link.raw_stream
        if stream is None:
            link.check_unbroken()
            raise StateError("the connection is closed")
        # What is taken here will be missing elsewhere.
        link.spend()
        if link.pending:
            link.fail(StateError("read_raw() has been called"))
        if self._buffer.begin < self._buffer.end:
            return self._buffer.take(size)
        self._buffer.much = False  # who knows
        data = stream.recv(size)
        self._buffer.received += len(data or b"")
        return data

    def is_silent(self) -> bool:
        """Return True if nothing has arrived, not even the end of the stream.

        Nothing is lost by looking: what has arrived is kept, and a connection that has
        ended, or where something has come that nobody asked for, takes no request any more.
        Nothing may be pending. While another operation reads it is taken to be silent.
        """
        link, buffer = self._link, self._buffer
        stream = link.raw_stream
        if stream is None or stream.is_quiet():
            return stream is not None and buffer.begin == buffer.end
        turn = self.role.take_for_a_look()
        if turn is None:
            return True
        try:
            if link.pending or link.raw_stream is not stream:  # by now
                return link.state is OPEN
            if (filled := buffer.fill(stream)) is None:
                return True  # session tickets and the like
            reason = ConnectionClosed("the server has closed the idle connection")
            if filled:
                reason = ConnectionClosed("the server has sent what nobody asked for")
        except ClientCertificateRefused as exc:
            reason = ClientCertificateRefused(str(exc))
        except (ConnectionClosed, ProtocolError) as exc:
            reason = ConnectionClosed(str(exc))
        finally:
            self.role.give_back(turn)
        link.label(reason)
        link.spend()
        link.closing.end(reason)
        return False

    def look_ahead(self, stream: Stream, exchange: Exchange) -> HTTPResponse | None:
        """Look, for the sender of *exchange*, whether its final answer has begun.

        Never waits, and does nothing while another operation reads, or if what arrives next
        belongs to another request. The answer remains the next one for `read_response`.

        Returns:
            The final answer, if its head is here; None if there is none yet.

        Raises:
            ConnectionClosed: the server has closed the connection.
            InvalidResponse: what it sent is no response, or its framing makes no sense.
        """
        buffer = self._buffer
        if not self.is_next(exchange):
            return None
        if self._final is None and buffer.begin == buffer.end and stream.is_quiet():
            return None
        turn = self.role.take_for_a_look()
        if turn is None:
            return None
        try:
            if not self.is_next(exchange):  # any more
                return None
            while self._final is None:
                self._final = self.heads.take(exchange)
                if self._final is None and not (filled := buffer.fill(stream)):
                    if filled is None:
                        return None
                    raise self.heads.end_of_stream()
            if self._final.status == CONTINUE:
                return None  # a 100 that was asked for is for `read_response`
            return answer_of(exchange, self._final)
        finally:
            self.role.give_back(turn)


def answer_of(exchange: Exchange, head: Head) -> HTTPResponse:
    """Return the response to *exchange* that *head* begins. Raises what `frame` does."""
    return HTTPResponse(exchange, head, frame(exchange.method, head).length)
