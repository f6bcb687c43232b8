"""The sending half of a connection: heads and bodies of requests.

While it waits until more can be sent it also watches for an answer: a server that
says no before it has the whole body is heard at once (RFC 9112 section 9.5).

Not here: what a head looks like (http1/request.py), and responses (receiving.py).
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Final

from .errors import ConnectionClosed, ConnectionTimedOut, ExcessBodyData, StateError
from .http1.chunked import CRLF, chunk_start, last_chunk
from .http1.states import SENDING, Link, Machine, Sending, Sent
from .link import Role, SharedLink
from .message import BodyFollowing, Exchange
from .polling import Co
from .receiving import ReceivingHalf
from .transport.tcp import Part

LOOK_EVERY: Final = 262144  # bytes sent without waiting, after which to look for an answer


class SendingHalf:
    """Sends requests, one after the other."""

    def __init__(self, link: SharedLink, receiving: ReceivingHalf) -> None:
        self.role = Role(link, "sending")
        self._link = link
        self._receiving = receiving
        self.reset()
        receiving.on_early_answer(self._stop_waiting)

    def reset(self) -> None:
        """Forget the request that was being sent."""
        self._machine = Machine(SENDING, Sending.READY)
        self._exchange: Exchange | None = None  # whose body is being written
        self._remaining: int | None = None  # bytes of body to write; None: chunked
        self._unlooked = 0  # bytes sent since the last look for an early answer
        self._waiting = False

    def co_connect(self) -> Co[None]:
        """Have a connection that takes a request; see `Operations.co_connect`."""
        link = self._link
        if link.state is Link.OPEN and (link.pending or link.stream.is_idle()):
            return
        if link.state is Link.BROKEN:
            link.stream  # noqa: B018 - raises, with the reason
        if link.pending:
            raise ConnectionClosed(
                f"the connection takes no further request, and {len(link.pending)} responses "
                "are pending: read them, or call reset()"
            )
        link.drop()
        self.reset()
        self._receiving.reset()
        yield from link.co_open()

    def check_ready(self) -> None:
        """Check that a request may be sent now.

        Raises:
            StateError: the body of the last one is not complete.
        """
        exchange = self._exchange
        if exchange is not None and exchange.answered and self._machine.state is not Sending.READY:
            self._machine.step(Sent.ANSWERED)
        if self._machine.state is not Sending.READY:
            owed = "" if self._remaining is None else f", {self._remaining} bytes are missing"
            raise StateError(
                f"it is not possible to send a request while {self._machine.state.value}{owed}"
            )

    def co_send_request(
        self, exchange: Exchange, head: bytes, body: Part | BodyFollowing | None
    ) -> Co[None]:
        """Send a head, and the body if it is here; the connection must be ready."""
        if isinstance(body, BodyFollowing) and body.length != 0:
            self._machine.step(Sent.EXPECTATION if exchange.expects_continue else Sent.ANNOUNCED)
            self._exchange = exchange
            self._remaining = body.length
            parts: list[Part] = [head]
            complete = False
        else:
            parts = [head, body] if isinstance(body, memoryview) and body else [head]
            complete = True
        self._link.pending.append(exchange)
        yield from self._co_send(exchange, parts, complete=complete)

    def co_write(self, data: memoryview) -> Co[None]:
        """See `Operations.co_write`; *data* consists of bytes."""
        with self.role:
            exchange = self._check_writable()
            if self._remaining is None:
                if data:
                    parts = [chunk_start(len(data)), data, CRLF]
                    yield from self._co_send(exchange, parts, complete=False)
                return
            if len(data) > self._remaining:
                raise ExcessBodyData(
                    f"{len(data)} bytes of body data where {self._remaining} were announced"
                )
            if data:
                self._remaining -= len(data)
                yield from self._co_send(exchange, [data], complete=self._remaining == 0)
                if self._remaining == 0:
                    self._machine.step(Sent.FINISHED)

    def co_finish(self, trailers: bytes) -> Co[None]:
        """See `Operations.co_finish`; *trailers* are field lines."""
        with self.role:
            if self._machine.state is Sending.READY and not trailers and self._exchange is not None:
                if self._exchange.sent:
                    return
            exchange = self._check_writable()
            if self._remaining is not None:
                raise StateError(
                    f"the body is not complete, {self._remaining} bytes are missing"
                    if self._remaining
                    else "trailers go with the chunked transfer coding only"
                )
            yield from self._co_send(exchange, [last_chunk(trailers)], complete=True)
            self._machine.step(Sent.FINISHED)

    def _check_writable(self) -> Exchange:
        """Return the exchange whose body may be written to now."""
        exchange = self._exchange
        if exchange is None or self._machine.state is Sending.READY:
            raise StateError("there is no body to write: no request announced one")
        if self._machine.state is Sending.AWAITING_CONTINUE:
            if exchange.expects_continue:
                raise StateError(
                    "the body has to wait for 100 (Continue): call read_response() first"
                )
            if exchange.answered:
                self._machine.step(Sent.ANSWERED)
                raise StateError("the server answered without wanting the body")
            self._machine.step(Sent.CONTINUED)
        self._link.stream  # noqa: B018 - raises if the connection is broken
        return exchange

    def _co_send(self, exchange: Exchange, parts: Sequence[Part], *, complete: bool) -> Co[None]:
        """Send *parts*; *complete* says that they end the request."""
        stream = self._link.stream
        total = left = sum(map(len, parts))
        try:
            if self._unlooked >= LOOK_EVERY:
                self._look(exchange)
            while True:
                self._check_unanswered(exchange)
                # Before the call, for the answer may be read before it returns.
                exchange.sent = complete
                count = stream.send(parts)
                if count == left:
                    break
                exchange.sent = False
                if count is None:
                    count = yield from self._co_wait_and_send(exchange, parts, complete, left)
                    if count == left:
                        break
                left -= count
                parts = rest(parts, count)
            self._unlooked += total
        except ConnectionClosed as exc:
            self._give_up(exc, untouched=left == total)
            raise
        except BaseException as exc:
            self._link.fail(exc if isinstance(exc, Exception) else StateError("sending was stopped"))
            raise

    def _co_wait_and_send(
        self, exchange: Exchange, parts: Sequence[Part], complete: bool, left: int
    ) -> Co[int]:
        """Wait until something of *parts* can be sent, or an answer is here."""
        stream = self._link.stream
        timeout = self._link.timeout
        deadline = None if timeout is None else time.monotonic() + timeout
        while True:
            self._waiting = True
            try:
                self._check_unanswered(exchange)
                watch = self._link.pending[0] is exchange and not self._receiving.role.is_taken()
                yield stream.wanted_by_send(deadline, watch=watch)
            finally:
                self._waiting = False
            self._check_unanswered(exchange)
            if watch:
                self._look(exchange)
            exchange.sent = complete
            count = stream.send(parts)
            if count is not None:
                if count != left:
                    exchange.sent = False
                return count
            exchange.sent = False
            if deadline is not None and time.monotonic() >= deadline:
                raise ConnectionTimedOut(
                    f"nothing could be sent for {timeout} seconds", request_sent="maybe"
                )

    def _check_unanswered(self, exchange: Exchange) -> None:
        if exchange.answered:
            raise ConnectionClosed(
                "the server has answered before the request was complete", request_sent="yes"
            )

    def _look(self, exchange: Exchange) -> None:
        """Stop if the server has answered already, or closed the connection."""
        self._unlooked = 0
        pending = self._link.pending
        if not pending or pending[0] is not exchange or self._receiving.is_in_body():
            return
        status = self._receiving.look_ahead(self._link.stream, exchange)
        if status is not None:
            raise ConnectionClosed(
                f"the server answered {status} before the request was complete; "
                "read_response() gives the answer",
                request_sent="yes",
            )

    def _give_up(self, exc: ConnectionClosed, *, untouched: bool) -> None:
        """Count the request as sent: its response can still be read, nothing else be sent."""
        if untouched and exc.request_sent == "maybe" and self._machine.state is Sending.READY:
            exc.request_sent = "no"
        if self._machine.state is not Sending.READY:
            self._machine.step(Sent.ANSWERED)
        self._link.spend()

    def _stop_waiting(self) -> None:
        """Wake the operation that waits to send: called by whoever reads the answer."""
        if self._waiting and (stream := self._link.raw_stream) is not None:
            stream.shut_down_writing()


def rest(parts: Sequence[Part], count: int) -> list[Part]:
    """Return what is left of *parts* when the first *count* bytes have been sent."""
    left: list[Part] = []
    for part in parts:
        if count >= len(part):
            count -= len(part)
        else:
            left.append(memoryview(part)[count:] if count else part)
            count = 0
    return left
