"""The receiving half of a connection: one response after the other, in order.

Everything that has been received and not delivered is kept between operations: one
that is interrupted loses nothing, the next one goes on where it stood.

Not here: receiving heads (heads.py) and bodies (bodies.py), and sending (sending.py).
"""

from __future__ import annotations

from collections.abc import Callable

from .bodies import BodyReader
from .errors import ConnectionClosed, ProtocolError, StateError
from .heads import CONTINUE, FINAL, SWITCHING_PROTOCOLS, HeadReader, Informed, response_of
from .http1.body import Body, SizedBody, UnknownBody, UntilCloseBody
from .http1.chunked import ChunkedBody
from .http1.framing import Framing, Kind, frame
from .http1.head import Head
from .http1.limits import Limits
from .http1.states import RECEIVING, Machine, Received, Receiving
from .link import Role, SharedLink
from .message import Exchange, HTTPResponse
from .polling import Co
from .transport.buffer import ReceiveBuffer
from .transport.tcp import Stream, co_receive


class ReceivingHalf:
    """Reads the responses to the pending requests, in their order.

    Attributes:
        role: the right to read.
        heads: reads heads.
        bodies: reads bodies.
    """

    def __init__(
        self, link: SharedLink, limits: Limits, buffer_size: int, on_informational: Informed | None
    ) -> None:
        fatal = (ProtocolError, ConnectionClosed)
        self.role = Role(link, "reading", fatal, waits_harmlessly=True)
        self._link = link
        self._limits = limits
        self._buffer = ReceiveBuffer(buffer_size)
        self.heads = HeadReader(link, self._buffer, limits, on_informational)
        self.bodies = BodyReader(link, self.role, self._buffer, self._end_response)
        self._machine = Machine(RECEIVING, Receiving.HEAD)
        self._final: Head | None = None  # read while a body was being sent, for `co_read_response`
        self._framing: Framing | None = None
        self._response: HTTPResponse | None = None
        self._waker: Callable[[], object] = lambda: None

    def reset(self) -> None:
        """Forget everything that was received."""
        self.role.disown()
        self._buffer.clear()
        self.heads.reset()
        self.bodies.reset()
        self._final = None
        if self._machine.state is Receiving.BODY:
            self._machine.step(Received.END)

    def on_early_answer(self, wake: Callable[[], object]) -> None:
        """Call *wake* when a response begins before its request is complete."""
        self._waker = wake

    def is_in_body(self) -> bool:
        """Return True while a response is partly read."""
        return self._machine.state is Receiving.BODY

    def co_read_response(self) -> Co[HTTPResponse]:
        """See `Operations.co_read_response`."""
        with self.role:
            pending = self._link.pending
            self._link.check_unbroken()
            if self._machine.state is Receiving.BODY or not pending or pending[0].abandoned:
                yield from self._co_skip_abandoned()
                self._link.check_unbroken()
            exchange = pending[0]
            self.bodies.known = False
            head = self._final or self.heads.take(exchange)
            if head is None:
                head = yield from self.heads.co_receive(exchange)
            self._final = None
            if head.status == CONTINUE:
                return exchange.informational[-1]
            return self._begin_response(exchange, head)

    def _co_skip_abandoned(self) -> Co[None]:
        """Go to the first response that somebody wants to read."""
        pending = self._link.pending
        while True:
            if self._machine.state is Receiving.BODY:
                if not pending[0].abandoned:
                    raise StateError("the body of the last response has not been read to its end")
                yield from self.bodies.co_skip()
            if not pending:
                raise StateError("no response is pending: send a request first")
            if not pending[0].abandoned:
                return
            self._link.stream  # noqa: B018 - raises if the connection is broken
            head = self._final or self.heads.take(pending[0])
            if head is None:
                head = yield from self.heads.co_receive(pending[0])
            self._final = None
            if head.status >= FINAL:
                self._begin_response(pending[0], head)

    def _begin_response(self, exchange: Exchange, head: Head) -> HTTPResponse:
        """Turn a final head into a response, and get ready for its body."""
        self._framing = framing = frame(exchange.method, head)
        self._note_answer(exchange)
        self._response = response = response_of(exchange, head, framing.length)
        self._machine.step(Received.HEAD)
        body = self._body_of(framing)
        self.bodies.begin(body)
        if body is None:
            self._end_response(None)
        return response

    def _body_of(self, framing: Framing) -> Body | None:
        kind = framing.kind
        if kind is Kind.SIZED:
            return SizedBody(framing.length) if framing.length else None
        if kind is Kind.NONE:
            return None
        if kind is Kind.CHUNKED:
            return ChunkedBody(self._limits)
        return UntilCloseBody() if kind is Kind.UNTIL_CLOSE else UnknownBody()

    def _note_answer(self, exchange: Exchange) -> None:
        """Say that the final answer is here; the sender of its request has to stop."""
        exchange.expects_continue = False
        exchange.answered = True
        if not exchange.sent:
            self._link.spend()
            self._waker()

    def _end_response(self, body: Body | None) -> None:
        """The present response is complete: decide whether the connection goes on."""
        assert self._framing is not None
        assert self._response is not None
        if body is not None and body.trailers:
            self._response.set_trailers(body.trailers)
        self._machine.step(Received.END)
        self._link.pending.popleft()
        surplus = not self._link.pending and self._buffer.begin < self._buffer.end
        switched = self._response.status == SWITCHING_PROTOCOLS
        if not self._framing.reusable or surplus or switched:
            self._link.spend()
            if self._link.pending:  # what may come is no answer to them: RFC 9112 section 9.6
                self._link.fail(ConnectionClosed(f"{self._response} was the last one"))

    def co_read_raw(self, size: int) -> Co[bytes]:
        """See `Operations.co_read_raw`."""
        with self.role:
            if self._buffer.begin < self._buffer.end:
                return self._buffer.take(size)
            stream = self._link.raw_stream
            if stream is None:
                raise StateError("the connection is closed")
            self._link.spend()  # what is taken here will be missing elsewhere
            return (yield from co_receive(stream, stream.recv, size, self._link.timeout))

    def look_ahead(self, stream: Stream, exchange: Exchange) -> int | None:
        """Look, for the sender of *exchange*, whether its final answer has begun.

        Never waits, and does nothing while another operation reads.

        Returns:
            The status code of the final answer; None if there is none yet.

        Raises:
            ConnectionClosed: the server has closed the connection.
            InvalidResponse: what it sent is no response.
        """
        if not self.role.try_take():
            return None
        try:
            if self._final is None:
                self._final = self.heads.take(exchange)
            if self._final is None:
                count = stream.recv_into(self._buffer.room())
                if count is None:
                    return None
                if count == 0:
                    raise self.heads.end_of_stream()
                self._buffer.end += count
                self._final = self.heads.take(exchange)
            return None if self._final is None else self._final.status
        finally:
            self.role.give_back()
