"""The sending half of a connection: heads and bodies of requests.

Not here: how they get onto the stream (writer.py), what a head looks like
(http/h1/request_head.py), and responses (receiver.py).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from threading import get_ident
from typing import Any, ClassVar, Final

from ...errors import (
    ClientCertificateRefused,
    ConnectionClosed,
    DugongError,
    ExcessBodyData,
    StateError,
)
from ...http.h1.chunked import CRLF, chunk_start, last_chunk
from ...http.request import BodyFollowing
from ...polling.contract import Co
from ...transport.stream import Part
from ...transport.zero_copy import FileStretch
from ..exchange import Exchange
from .exclusive import Role, Turn
from .receiver import ReceivingHalf
from .session import SharedLink
from .states import BROKEN, OPEN, READY, Sending, Sent
from .writer import Transmitter

MOMENT: Final = 1.0  # seconds for an operation to end that does not wait any more
Whole = tuple[Exchange, bytes, Part | None]  # a request: its head, and its body if it has one
COMPLETE: Final = (READY, Sending.SWITCHING)  # there is no body to write


class SendingHalf(Transmitter):
    """Sends requests, one after the other.

    Attributes:
        role: the right to send.
        kind_of_role: class of `role`.

    """

    kind_of_role: ClassVar[type[Role]] = Role

    __slots__ = ("role",)

    def __init__(self, link: SharedLink, receiving: ReceivingHalf) -> None:
        super().__init__(link, receiving)
        self.role = self.kind_of_role(link, "sending")

    def successor(self, link: SharedLink, receiving: ReceivingHalf) -> SendingHalf:
        """Return a new half that sends to *link*."""
        return type(self)(link, receiving)

    def reset(self) -> None:
        """Forget the request that was being sent. For who has the role."""
        self._state = READY
        self._exchange = self._uploading = None
        self._remaining = None

    def begin(self, step: Callable[..., Co[None] | None], *arguments: Any) -> Co[None] | None:
        """Begin an operation of this half.

        Args:
            step: does what can be done at once, and returns an operation that does the
                rest, None if there is none.
            arguments: what to call it with.

        Returns:
            The rest, to be run at once; or None.

        Raises:
            StateError: another operation is sending.
            Exception: what *step* raises.

        """
        turn = self.role.take()
        try:
            going = step(*arguments)
        except BaseException as exc:
            self.label(exc)
            self.role.note(exc)
            self.role.end(turn)
            raise
        if going is not None:
            return self._co_in_turn(turn, going, self._exchange)
        turn.release()  # as `Role.end` does, which is a call
        if self._link.abandoned:
            self._link.let_go()
        return None

    def _co_in_turn(self, turn: Turn, going: Co[None], exchange: Exchange | None) -> Co[None]:
        """Go on with an operation that is about *exchange*."""
        try:
            yield from going
        except BaseException as exc:
            self._link.label(exc, exchange)
            self.role.note(exc)
            raise
        finally:
            self.role.end(turn)

    def is_connected(self) -> bool:
        """Return True if there is a connection that takes a request.

        With nothing pending nothing may have arrived: it would be taken for the
        response, or is the end of the stream.

        Raises:
            ClientCertificateRefused: that is why it has ended, and would be the next time.

        """
        link = self._link
        if link.state is not OPEN:
            return False
        if link.pending:
            if not self._receiving.has_surplus():
                return True
        elif link.raw_stream is None:
            return True
        else:
            try:
                if link.raw_stream.is_idle():
                    return True
            except ClientCertificateRefused:
                link.spend()
                raise
        link.spend()  # the look has taken what there was: a second one would see nothing
        return False

    def connect(self) -> Co[None] | None:
        """See `Operations.co_connect`; a step for `begin`."""
        try:
            return self.nothing() if self.is_connected() else self._connect()
        except DugongError as exc:
            self._link.label(exc)  # and not the last request
            raise

    def _connect(self) -> Co[None] | None:
        """Connect, as there is no connection that takes a request."""
        link = self._link
        if link.state is BROKEN:
            link.check_unbroken()
        if link.pending:
            raise ConnectionClosed(
                f"the connection takes no further request, and {len(link.pending)} responses "
                "are pending: read them, or call reset()",
            )
        if link.used:
            self._clean_up()
        return link.open()

    def _clean_up(self) -> None:
        """Close the connection that was used up, and forget everything about it.

        Another thread may just have read the last response: then that operation ends first.
        """
        reading = self._receiving.role
        turn = reading.take_for_a_look(MOMENT)
        if turn is None:
            raise StateError("another operation is reading on this connection")
        try:
            self._link.drop()
            self._receiving.reset()
        finally:
            reading.give_back(turn)
        self.reset()

    def _check_ready(self) -> None:
        """Check that a request may be sent now.

        Raises:
            StateError: the body of the last one is not complete, or it asked for another
                protocol and there is no answer yet.

        """
        self._link.check_unbroken()
        exchange = self._exchange
        if exchange is not None and exchange.answered:
            self._step(Sent.ANSWERED)
        if self._state is not READY:
            missing = self._remaining if self._state is not Sending.SWITCHING else None
            owed = "" if missing is None else f", {missing} bytes are missing"
            raise StateError(
                f"it is not possible to send a request while {self._state.value}{owed}"
            )

    def request(
        self,
        exchange: Exchange,
        head: bytes,
        body: Part | BodyFollowing | None,
        before: Sequence[Whole] = (),
    ) -> Co[None] | None:
        """Send a head, and the body if it is here; together with the requests *before* it.

        Returns:
            The rest, to be run at once; or None. It raises what `begin` raises.
        """
        # Not by `begin`, as this is a part of the shortest way that a request can take.
        turn = self.role.take()
        try:
            if self._state is not READY or self._link.state is BROKEN:
                self._check_ready()
            connecting = None if self.is_connected() else self._connect()
            if connecting is None:
                going = self._request(exchange, head, body, before)
            else:
                going = self._co_connect_and_request(connecting, exchange, head, body, before)
        except BaseException as exc:
            self._link.label(exc, exchange)
            self.role.note(exc)
            self.role.end(turn)
            raise
        if going is not None:
            return self._co_in_turn(turn, going, exchange)
        turn.release()  # as `Role.end` does
        if self._link.abandoned:
            self._link.let_go()
        return None

    def _co_connect_and_request(
        self,
        connecting: Co[None],
        exchange: Exchange,
        head: bytes,
        body: Part | BodyFollowing | None,
        before: Sequence[Whole],
    ) -> Co[None]:
        yield from connecting
        going = self._request(exchange, head, body, before)
        if going is not None:
            yield from going

    def _request(
        self,
        exchange: Exchange,
        head: bytes,
        body: Part | BodyFollowing | None,
        before: Sequence[Whole],
    ) -> Co[None] | None:
        link = self._link
        parts: list[Part] = [head]
        if before:
            parts = [*self._precede(before), head]
        if link.pending:
            link.append(exchange)
        else:
            exchange.fresh = True
            link.pending.append(exchange)
        complete = True
        if body is not None:
            self._uploading = exchange
            if not isinstance(body, BodyFollowing):
                self._length, self._remaining = len(body), 0
                parts += [body] if body else []
            else:
                self._length, self._chunked = body.length, 0
                complete = body.length == 0
                if not complete:
                    exchange.owed_by = get_ident()
                    self._step(Sent.EXPECTATION if exchange.expects_continue else Sent.ANNOUNCED)
                self._remaining = body.length
        self._exchange = exchange
        if exchange.closes or exchange.upgrades:
            self._bar(exchange, complete)
        return self._start(exchange, parts, complete)

    def _precede(self, requests: Sequence[Whole]) -> Iterator[Part]:
        """Have the responses to *requests* expected; yield what is to be sent."""
        heads = []
        for exchange, head, body in requests:
            # Now, or the answer to the first would be taken for an early one when the last
            # has not been sent.
            exchange.sent = True
            self._link.append(exchange)
            heads.append(head)
            if body:
                yield b"".join(heads)
                heads.clear()
                yield body
        yield b"".join(heads)

    def send_all(self, requests: Sequence[Whole]) -> Co[None] | None:
        """Send *requests*, of which only the last may let no other follow, as one."""
        *before, (exchange, head, body) = requests
        return self.request(exchange, head, body, before)

    def _bar(self, exchange: Exchange, complete: bool) -> None:
        """Let no request follow the present one.

        After ``Connection: close`` the connection takes no further one (RFC 9112 section 9.6).
        After one that asks for another protocol none may be sent before the answer: it would
        be taken for bytes of that protocol.
        """
        if exchange.closes:
            self._link.spend()
        if exchange.upgrades and complete:
            self._step(Sent.SWITCH)

    def is_writing(self) -> bool:
        """Return True if the body of a request is to be written, or was until it was answered."""
        return self._state is Sending.BODY or self._state is Sending.AWAITING_CONTINUE

    @property
    def owed(self) -> float | None:
        """Bytes of the request body that are to be written; see `HTTPConnection.body_owed`."""
        exchange = self._exchange
        if self._state in COMPLETE or exchange is None or exchange.answered or exchange.sent:
            return None
        return math.inf if self._remaining is None else self._remaining

    def check_not_owed(self) -> None:
        """Check that waiting for the next response makes sense in this thread.

        Raises:
            StateError: it is the response to the request whose body this thread has to write, and
                nothing of it has arrived: the server waits for the body, and would be waited
                for for ever.

        """
        exchange, owed = self._exchange, self.owed
        if owed is None or exchange is None or exchange.owed_by != get_ident():
            return
        if exchange.expects_continue or not self._receiving.waits_for(exchange):
            return
        missing = "finish() was not called"
        if self._length is not None:
            written = self._length - (self._remaining or 0)
            missing = f"{written} of {self._length} bytes of the body written"
        error = StateError(f"the response waits for the rest of the request: {missing}")
        self.label(error)
        raise error

    def has_bulk(self) -> bool:
        """Return True if a `FileStretch` can be sent."""
        stream = self._link.raw_stream
        return stream is not None and stream.bulk is not None

    def is_complete(self) -> bool:
        """Return True if nothing is left to be sent of the last request."""
        last = self._exchange
        return self._state in COMPLETE and last is not None and last.sent

    def check_room(self, count: int) -> bool:
        """Check that *count* bytes can be written, and return True if they go in chunks.

        Raises:
            ExcessBodyData: they are more than were announced; the connection is broken.
            Exception: what `write` raises.

        """
        self._check_writable()
        remaining = self._remaining
        if remaining is not None and count > remaining:
            excess = ExcessBodyData(f"{count} bytes of body data where {remaining} were announced")
            self._break(excess)
            raise excess
        return remaining is None

    def break_off(self, failure: Exception) -> None:
        """Break the connection as what is to be written cannot be had."""
        if self._exchange is not None:
            self._break(failure)

    def write(self, data: memoryview | FileStretch) -> Co[None] | None:
        """See `Operations.co_write`; *data* consists of bytes. A step for `begin`."""
        if not data and self.is_complete():
            self._link.check_unbroken()
            return self.nothing()
        chunked = self.check_room(len(data))
        exchange = self._exchange
        assert exchange is not None
        if not data:
            return self.nothing()
        exchange.owed_by = get_ident()
        if chunked:
            self._chunked += len(data)
            return self._start(exchange, [chunk_start(len(data)), data, CRLF], False)
        assert self._remaining is not None
        self._remaining -= len(data)
        if self._remaining:
            return self._start(exchange, [data], False)
        return self._finish(exchange, data)

    def finish(self, trailers: bytes) -> Co[None] | None:
        """See `Operations.co_finish`; *trailers* are field lines. A step for `begin`."""
        if not trailers and self.is_complete():
            self._link.check_unbroken()
            return self.nothing()
        exchange = self._check_writable()
        if self._remaining:
            missing = StateError(f"the body is not complete, {self._remaining} bytes are missing")
            self._break(missing)
            raise missing
        if self._remaining == 0:
            raise StateError("trailers go with the chunked transfer coding only")
        return self._finish(exchange, last_chunk(trailers))

    def give_up(self, exchange: Exchange) -> None:
        """Break the connection if the body of *exchange* is not complete and not refused."""
        if self._exchange is exchange and self._state is not READY and not exchange.answered:
            self._break(StateError("the body of a request was given up"))

    def _finish(self, exchange: Exchange, data: Part) -> Co[None] | None:
        """Send *data*, the end of the body."""
        going = self._start(exchange, [data], True)
        if going is not None:
            return self._co_finish(exchange, going)
        self._step(Sent.SWITCH if exchange.upgrades else Sent.FINISHED)
        return None

    def _co_finish(self, exchange: Exchange, going: Co[None]) -> Co[None]:
        yield from going
        self._step(Sent.SWITCH if exchange.upgrades else Sent.FINISHED)

    def _why_none(self) -> str:
        """Return why there is no body to write."""
        exchange = self._exchange
        if exchange is None:
            return "no request announced one (BodyFollowing)"
        if self._uploading is not exchange:
            return "the last request announced none (BodyFollowing)"
        if exchange.sent:
            length = self._length
            how = "ended by finish()" if length is None else f"complete with {length} bytes"
            return f"that of the last request is {how}"
        return "that of the last request ended early, by the server's answer or with the connection"

    def _check_writable(self) -> Exchange:
        """Return the exchange whose body may be written to now: not if there is an answer."""
        exchange = self._exchange
        if exchange is None or self._state in COMPLETE:
            raise StateError(f"there is no body to write: {self._why_none()}")
        if self._state is Sending.AWAITING_CONTINUE:
            if exchange.expects_continue:
                raise StateError("the body has to wait for 100 (Continue): call read_response()")
            if exchange.answered:
                self._step(Sent.ANSWERED)
                raise StateError("the server answered without wanting the body")
            self._step(Sent.CONTINUED)
        stream = self._link.stream
        try:
            self._look(stream, exchange)
        except BaseException as exc:
            self._stopped(exc, untouched=True)
            raise
        return exchange
