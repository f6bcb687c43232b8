"""The receiving half of a connection: heads and bodies of responses.

Everything that has been received and not delivered is kept here, between operations
too: an operation that is interrupted loses nothing, the next one goes on where it
stood.

Not here: the grammar (http1/), and sending (sending.py).
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final

from .errors import (
    ConnectionClosed,
    ConnectionTimedOut,
    ContinueTimedOut,
    InvalidResponse,
    ProtocolError,
    StateError,
)
from .http1.body import Body, SizedBody, UnknownBody, UntilCloseBody
from .http1.chunked import ChunkedBody
from .http1.framing import Framing, Kind, frame
from .http1.head import Head, Section, parse_head
from .http1.limits import MAX_INFORMATIONAL, Limits
from .http1.states import RECEIVING, Machine, Received, Receiving
from .link import Role, SharedLink
from .message import Exchange, HTTPResponse
from .polling import Co
from .transport.buffer import ReceiveBuffer
from .transport.tcp import Stream, co_attempt

CONTINUE: Final = 100
SWITCHING_PROTOCOLS: Final = 101
FINAL: Final = 200  # the first status code that ends an exchange
MAX_PIECE: Final = 262144  # bytes asked for at once: memory never follows announced lengths

Informed = Callable[[HTTPResponse], object]


class ReceivingHalf:
    """Reads the responses to the pending requests, in their order."""

    def __init__(
        self,
        link: SharedLink,
        limits: Limits,
        buffer_size: int,
        on_informational: Informed | None,
    ) -> None:
        self.role = Role(link, "reading", fatal=(ProtocolError, ConnectionClosed))
        self.continue_timeout: float | None = None
        self._response: HTTPResponse | None = None  # the last one; None: its body was lost
        self._link = link
        self._limits = limits
        self._harmless = min(limits.line_size, limits.header_size)  # bytes of head to take as is
        self._buffer_size = buffer_size
        self._on_informational = on_informational
        self._waker: Callable[[], object] = lambda: None
        self._machine = Machine(RECEIVING, Receiving.HEAD)
        self.reset()

    def reset(self) -> None:
        """Forget everything that was received."""
        self._buffer = ReceiveBuffer(self._buffer_size)
        self._section: Section | None = None  # of a head that has arrived in part
        self._informational = 0  # bytes of 1xx responses to the present request
        self._final: Head | None = None  # read while a body was being sent, for `co_read_response`
        self._body: Body | None = None
        self._framing: Framing | None = None
        self._kept = b""  # payload that an interrupted `co_readall` had
        if self._machine.state is Receiving.BODY:
            self._response = None
            self._machine.step(Received.END)

    def on_early_answer(self, wake: Callable[[], object]) -> None:
        """Call *wake* when a response begins before its request is complete."""
        self._waker = wake

    def is_in_body(self) -> bool:
        """Return True while a response is partly read."""
        return self._machine.state is Receiving.BODY

    # ---- heads

    def co_read_response(self) -> Co[HTTPResponse]:
        """See `Operations.co_read_response`."""
        with self.role:
            pending = self._link.pending
            if self._machine.state is Receiving.BODY or not pending or pending[0].abandoned:
                yield from self._co_skip_abandoned()
            self._link.stream  # noqa: B018 - raises if the connection is broken
            exchange = pending[0]
            head = self._final or self._next_head(exchange)
            if head is None:
                head = yield from self._co_receive_head(exchange)
            self._final = None
            if head.status == CONTINUE:
                return self._informational_response(exchange, head)
            return self._begin_response(exchange, head)

    def _co_skip_abandoned(self) -> Co[None]:
        """Go to the first response that somebody wants to read."""
        pending = self._link.pending
        while True:
            if self._machine.state is Receiving.BODY:
                if not pending[0].abandoned:
                    raise StateError("the body of the last response has not been read to its end")
                yield from self._co_discard()
            if not pending:
                raise StateError("no response is pending: send a request first")
            if not pending[0].abandoned:
                return
            head = self._final or self._next_head(pending[0])
            if head is None:
                head = yield from self._co_receive_head(pending[0])
            self._final = None
            if head.status >= FINAL:
                self._begin_response(pending[0], head)

    def _co_receive_head(self, exchange: Exchange) -> Co[Head]:
        """Receive until there is a head that `co_read_response` returns."""
        stream = self._link.stream
        buffer = self._buffer
        # One request, just sent, and nothing left over: its answer cannot be here yet,
        # and a look would be a wasted system call.
        looking = not exchange.sent or len(self._link.pending) > 1 or stream.has_buffered()
        timeout = self._link.timeout
        until = self._continue_deadline(exchange)
        while True:
            if until is not None:
                left = max(until - time.monotonic(), 0)
                timeout = left if self._link.timeout is None else min(left, self._link.timeout)
            room = buffer.room()
            count = stream.recv_into(room) if looking else None
            if count is None:
                try:
                    count = yield from co_attempt(
                        stream.recv_into,
                        room,
                        stream.wanted_by_recv,
                        timeout,
                    )
                except ConnectionTimedOut:
                    if until is not None and time.monotonic() >= until:
                        raise self._no_continue(exchange) from None
                    raise
            if count == 0:
                raise self._no_head()
            buffer.end += count
            head = self._next_head(exchange)
            if head is not None:
                return head
            looking = True

    def _continue_deadline(self, exchange: Exchange) -> float | None:
        if self.continue_timeout is None or not exchange.expects_continue:
            return None
        return time.monotonic() + self.continue_timeout

    def _no_continue(self, exchange: Exchange) -> ContinueTimedOut:
        """Let the body be written although nobody asked for it."""
        exchange.expects_continue = False
        return ContinueTimedOut(
            f"no 100 (Continue) within {self.continue_timeout} seconds; the body may be written "
            "now",
            request_sent="maybe",
        )

    def _no_head(self) -> ConnectionClosed:
        if self._buffer.begin < self._buffer.end:
            return ConnectionClosed(
                "the connection ended inside the head of a response",
                request_sent="yes",
            )
        return ConnectionClosed(
            "the server closed the connection without a response",
            request_sent="maybe",
        )

    def _next_head(self, exchange: Exchange) -> Head | None:
        """Take a head from the buffer; None says that none is complete.

        Informational responses are passed by, but for a 100 that was asked for.
        """
        buffer = self._buffer
        while buffer.begin < buffer.end:
            stop = self._find_head_end()
            if stop < 0:
                return None
            head = parse_head(bytes(buffer.data[buffer.begin : stop]))
            size = stop - buffer.begin
            buffer.begin = stop
            if head.status >= FINAL:
                self._informational = 0
                return head
            if head.status == SWITCHING_PROTOCOLS:
                if not exchange.upgrades:
                    raise InvalidResponse("101 (Switching Protocols) without having been asked")
                return head
            self._note_informational(exchange, head, size)
            if head.status == CONTINUE and exchange.expects_continue:
                exchange.expects_continue = False
                return head
        return None

    def _find_head_end(self) -> int:
        """Return where the head in the buffer ends; -1 if it has not arrived completely."""
        buffer = self._buffer
        section = self._section
        if section is None:
            stop = buffer.data.find(b"\r\n\r\n", buffer.begin, buffer.end) + 4
            if stop > 3 and stop - buffer.begin <= self._harmless:  # noqa: PLR2004 - found
                return stop  # as most do, in one piece: no limit can be exceeded
            section = self._section = Section(self._limits, status=True)
        stop = section.find_end(buffer.data, buffer.begin, buffer.end)
        if stop >= 0:
            self._section = None
        return stop

    def _note_informational(self, exchange: Exchange, head: Head, size: int) -> None:
        self._informational += size
        seen = exchange.informational
        if len(seen) >= MAX_INFORMATIONAL or self._informational > self._limits.header_size:
            raise InvalidResponse(
                f"{len(seen) + 1} informational responses of {self._informational} bytes; at most "
                f"{MAX_INFORMATIONAL} of {self._limits.header_size} bytes are taken",
            )
        response = self._informational_response(exchange, head)
        exchange.informational = (*seen, response)
        if self._on_informational is not None:
            self._on_informational(response)

    @staticmethod
    def _informational_response(exchange: Exchange, head: Head) -> HTTPResponse:
        return HTTPResponse(
            exchange,
            head.status,
            head.reason.decode("latin-1"),
            f"1.{head.minor}",
            0,
            head.fields,
        )

    def _begin_response(self, exchange: Exchange, head: Head) -> HTTPResponse:
        """Turn a final head into a response, and get ready for its body."""
        framing = frame(exchange.method, head)
        self._framing = framing
        self._note_answer(exchange)
        kind = framing.kind
        if kind is Kind.SIZED and framing.length:
            self._body = SizedBody(framing.length)
        elif kind is Kind.CHUNKED:
            self._body = ChunkedBody(self._limits)
        elif kind is Kind.UNTIL_CLOSE:
            self._body = UntilCloseBody()
        elif kind is Kind.UNKNOWN:
            self._body = UnknownBody()
        else:
            self._body = None
        self._response = response = HTTPResponse(
            exchange,
            head.status,
            head.reason.decode("latin-1"),
            f"1.{head.minor}",
            framing.length,
            head.fields,
        )
        self._machine.step(Received.HEAD)
        if self._body is None:
            self._end_response()
        return response

    def _note_answer(self, exchange: Exchange) -> None:
        """Say that the final answer is here; the sender of its request has to stop."""
        exchange.expects_continue = False
        exchange.answered = True
        if not exchange.sent:
            self._link.spend()
            self._waker()

    def _end_response(self) -> None:
        """The present response is complete: decide whether the connection goes on."""
        assert self._framing is not None
        assert self._response is not None
        if self._body is not None and self._body.trailers:
            self._response.set_trailers(self._body.trailers)
        self._body = None
        self._machine.step(Received.END)
        self._link.pending.popleft()
        surplus = not self._link.pending and self._buffer.begin < self._buffer.end
        switched = self._response.status == SWITCHING_PROTOCOLS
        if not self._framing.reusable or surplus or switched:
            self._link.spend()

    # ---- bodies

    def co_readinto(self, target: memoryview) -> Co[int]:
        """See `Operations.co_readinto`."""
        with self.role:
            if self._kept:
                count = min(len(target), len(self._kept))
                target[:count] = self._kept[:count]
                self._kept = self._kept[count:]
                return count
            owed = yield from self._co_owed()
            if not owed or not target:
                return 0
            buffer = self._buffer
            if buffer.begin == buffer.end:
                if min(len(target), owed) >= self._buffer_size:
                    return (yield from self._co_readinto_directly(target[:owed]))
                if (yield from self._co_fill()) == 0:
                    return self._end_of_stream()
            count = buffer.take_into(target[:owed])
            self._took(count)
            return count

    def _co_readinto_directly(self, target: memoryview) -> Co[int]:
        stream = self._link.stream
        count = stream.recv_into(target)
        if count is None:
            count = yield from co_attempt(
                stream.recv_into,
                target,
                stream.wanted_by_recv,
                self._link.timeout,
            )
        if count == 0:
            return self._end_of_stream()
        self._took(count)
        return count

    def co_read(self, size: int) -> Co[bytes]:
        """See `Operations.co_read`."""
        with self.role:
            if self._kept:
                data, self._kept = self._kept[:size], self._kept[size:]
                return data
            return (yield from self._co_read_piece(size))

    def _co_read_piece(self, size: int) -> Co[bytes]:
        owed = yield from self._co_owed()
        if not owed or size == 0:
            return b""
        buffer = self._buffer
        size = min(size, owed)
        if buffer.begin == buffer.end:
            if size >= self._buffer_size:
                return (yield from self._co_read_directly(min(size, MAX_PIECE)))
            if (yield from self._co_fill()) == 0:
                self._end_of_stream()
                return b""
        data = buffer.take(size)
        self._took(len(data))
        return data

    def _co_read_directly(self, size: int) -> Co[bytes]:
        stream = self._link.stream
        data = stream.recv(size)
        if data is None:
            data = yield from co_attempt(
                stream.recv,
                size,
                stream.wanted_by_recv,
                self._link.timeout,
            )
        if data:
            self._took(len(data))
        else:
            self._end_of_stream()
        return data

    def take_rest(self) -> bytes | None:
        """Return the rest of the body if all of it is in the buffer, else None."""
        framing = self._framing
        if self._kept or framing is None or not framing.length:
            return None
        with self.role:
            body = self._body
            buffer = self._buffer
            owed = None if body is None else body.owed(buffer)
            if not owed or owed > buffer.end - buffer.begin:
                return None
            data = buffer.take(owed)
            self._took(owed)
            return data

    def co_readall(self) -> Co[bytes]:
        """See `Operations.co_readall`."""
        with self.role:
            pieces = [self._kept]
            self._kept = b""
            try:
                while piece := (yield from self._co_read_piece(MAX_PIECE)):
                    pieces.append(piece)
                    if self._body is None:
                        break
            except BaseException:
                self._kept = b"".join(pieces)
                raise
            return b"".join(pieces)

    def co_discard(self) -> Co[None]:
        """See `Operations.co_discard`."""
        with self.role:
            self._kept = b""
            yield from self._co_discard()

    def _co_discard(self) -> Co[None]:
        buffer = self._buffer
        while owed := (yield from self._co_owed()):
            if buffer.begin == buffer.end and (yield from self._co_fill()) == 0:
                self._end_of_stream()
                return
            count = min(owed, buffer.end - buffer.begin)
            buffer.begin += count
            self._took(count)

    def co_read_raw(self, size: int) -> Co[bytes]:
        """See `Operations.co_read_raw`."""
        with self.role:
            if self._buffer.begin < self._buffer.end:
                return self._buffer.take(size)
            stream = self._link.raw_stream
            if stream is None:
                raise StateError("the connection is closed")
            self._link.spend()  # what is taken here will be missing elsewhere
            data = stream.recv(size)
            if data is None:
                data = yield from co_attempt(
                    stream.recv,
                    size,
                    stream.wanted_by_recv,
                    self._link.timeout,
                )
            return data

    def _co_owed(self) -> Co[int]:
        """Return how many bytes of payload come next, 0 at the end of the body."""
        body = self._body
        if body is None:
            if self._response is None:
                raise StateError("there is no body to read: call read_response() first")
            return 0
        self._link.stream  # noqa: B018 - raises if the connection is broken
        while (owed := body.owed(self._buffer)) is None:
            if (yield from self._co_fill()) == 0:
                body.end_of_stream()
        if owed == 0:
            self._end_response()
        return owed

    def _took(self, count: int) -> None:
        """Note that payload was taken; look, without waiting, whether it was the last."""
        body = self._body
        assert body is not None
        body.took(count)
        try:
            complete = body.owed(self._buffer) == 0
        except InvalidResponse:
            return  # raised by the next call: these bytes are still good
        if complete:
            self._end_response()

    def _end_of_stream(self) -> int:
        assert self._body is not None
        self._body.end_of_stream()
        self._end_response()
        return 0

    # ---- bytes

    def _co_fill(self) -> Co[int]:
        """Receive into the buffer, waiting if need be; 0 is the end of the stream."""
        stream = self._link.stream
        buffer = self._buffer
        room = buffer.room()
        count = stream.recv_into(room)
        if count is None:
            count = yield from co_attempt(
                stream.recv_into,
                room,
                stream.wanted_by_recv,
                self._link.timeout,
            )
        buffer.end += count
        return count

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
            if self._final is None and self._buffer.begin < self._buffer.end:
                self._final = self._next_head(exchange)
            if self._final is None:
                count = stream.recv_into(self._buffer.room())
                if count is None:
                    return None
                if count == 0:
                    raise self._no_head()
                self._buffer.end += count
                self._final = self._next_head(exchange)
            return None if self._final is None else self._final.status
        finally:
            self.role.give_back()
