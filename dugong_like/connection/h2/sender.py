"""The sending half of an HTTP/2 session: one request after the other, as callers see it.

Exchanges are not ordered on the wire; each has a stream of its own (stream.py), and a writer that
does the work (request_writer.py). The calls of the connection write the body of the request that
was sent last; those of an `Exchange` write its own (body_writer.py).

Not here: exchanges that are concurrent (`Session.co_exchange`).
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from functools import partial
from threading import get_ident
from typing import TYPE_CHECKING, Any, cast
from weakref import ref

from ...errors import AnsweredEarly, ConnectionClosed, DugongError, StateError
from ...http.request import BodyFollowing
from ..states import NEW, OPEN, Retired
from ..time_out_messages import written
from .body_writer import BodyWriter
from .limits import Limit
from .request_writer import RequestWriter
from .response_reader import ResponseReader
from .stream import COMPLETE, H2Stream
from .waiter import ROOM, Waiter

if TYPE_CHECKING:
    from ...errors import ConnectionTimedOut
    from ...polling.contract import Co
    from ...transport.stream import Part
    from ..exchange import Exchange
    from ..session import Whole
    from ..time_limits import ContinueLimit
    from .opening import Opening
    from .pump import Pump
    from .shared import H2State


class Sender(BodyWriter):
    """Sends requests, one after the other, and writes the body of the last one.

    Args:
        shared: of the session.
        opening: connects.
        pending: the exchanges whose responses have not been read, in order.
        limits: the time limits that hold.

    Attributes:
        writer: of the request that was begun last; None before the first.

    """

    __slots__ = ("_bodies", "_opening", "_pending")

    def __init__(
        self,
        shared: H2State,
        opening: Opening,
        pending: list[Exchange],
        limits: ContinueLimit,
    ) -> None:
        super().__init__(shared, limits, None)
        self._opening = opening
        self._pending = pending
        # Those that follow their heads; see `bodies`. Their exchanges have them, and are pending.
        self._bodies: list[ref[BodyWriter]] = []

    # ---- facts

    def is_writing(self) -> bool:
        """Return True if a body is being written."""
        return bool(self._bodies) and any(body.owed is not None for body in self.bodies())

    def bodies(self) -> list[BodyWriter]:
        """Return what writes the bodies that are not complete, of all exchanges that were sent."""
        bodies = []
        for each in self._bodies.copy():
            body = each()
            if body is not None and body.writer is not None and body.writer.owed is not None:
                bodies.append(body)
                continue
            with suppress(ValueError):  # another thread has taken it out
                self._bodies.remove(each)
        return bodies

    def check_not_owed(self) -> None:
        """Check that waiting for the next response makes sense in this thread.

        Raises:
            StateError: it is the response to a request whose body this thread has to write.

        """
        first = next((each for each in self._pending if not each.abandoned), None)
        if first is None or first.writer is None or first.writer.owed is None:
            return
        if first.expects_continue or first.owed_by != get_ident():
            return
        request = cast("BodyWriter", first.writer).writer
        assert request is not None
        inner = request.stream.inner
        if inner is not None and (inner.head or inner.informational):
            return
        missing = "finish() was not called"
        if request.length is not None:
            missing = written(request.length - int(request.owed or 0), request.length)
        waits = f"the response waits for the rest of the request: {missing}"
        raise self._shared.labelled(StateError(waits), first)

    # ---- steps

    def connect(self) -> Co[None] | None:
        """See `SendingHalf.connect`."""
        self._check_usable()
        if self._shared.state is OPEN:
            return None
        return self._opening.co_open()

    def _check_usable(self) -> None:
        """Check that the session takes a request.

        Raises:
            Retired: it does not.
            ConnectionClosed: it does not, and responses are pending.

        """
        shared = self._shared
        if shared.state is NEW and not shared.is_elsewhere:
            return
        if shared.state is OPEN and shared.pump.engine.can_open():
            return
        if shared.state is not NEW:
            self._check_nothing_is_pending()
        raise Retired

    def _check_nothing_is_pending(self) -> None:
        """Check that another session may be used: responses are read in the order of requests.

        Raises:
            ConnectionClosed: responses are pending, that would be lost.

        """
        waiting = [each for each in self._pending if not each.abandoned]
        if waiting:
            raise ConnectionClosed(
                f"the connection takes no further request, and {len(waiting)} responses "
                "are pending: read them, or call reset()"
            )

    def request(
        self,
        exchange: Exchange,
        head: bytes,
        body: Part | BodyFollowing | None,
        before: Sequence[Whole] = (),
        *,
        is_operation: bool = False,
    ) -> Co[None] | None:
        """See `SendingHalf.request`."""
        try:
            self._check_usable()
        except DugongError as exc:
            self._shared.label(exc, exchange)
            raise
        requests = [self.prepare(*each) for each in (*before, (exchange, head, body))]
        return self.co_go_on(self._co_request(requests, is_operation), requests[-1])

    def prepare(
        self, exchange: Exchange, head: bytes, body: Part | BodyFollowing | None
    ) -> RequestWriter:
        """Return what writes the request of *exchange*, which has it if its body follows.

        Raises:
            InvalidRequest: the head is for HTTP/1 only.

        """
        stream = H2Stream(self._shared, exchange, self._limits)
        either: Any = head  # no `cast`: that is a call
        try:
            writer = RequestWriter(stream, either, body)
        except DugongError as exc:
            self._shared.label(exc, exchange)
            raise
        if body is not None and isinstance(body, BodyFollowing):
            exchange.writer = BodyWriter(self._shared, self._limits, writer)
            if writer.owed is None:  # it is empty
                stream.end_body(StateError(COMPLETE))
        return writer

    def _co_request(self, requests: list[RequestWriter], is_operation: bool) -> Co[None]:
        """Begin *requests*, in order, and send what is there of them."""
        last = requests[-1]
        for request in requests:
            stream = request.stream
            exchange = stream.exchange
            stream.pending = self._pending
            ResponseReader(stream)  # which the exchange has: one may read before the stream is open
            self._pending.append(exchange)
            if request.owed is not None:
                self.bodies()  # which takes those out that have ended
                self._bodies.append(ref(cast("BodyWriter", exchange.writer)))
        before, self.writer = self.writer, last
        try:
            yield from self._co_send_heads(requests, is_operation)
        except Retired as exc:
            self._check_none_is_sent(requests)
            self.writer = before
            for request in requests:
                request.stream.move()
            if self._shared.state is not NEW:
                try:
                    self._check_nothing_is_pending()
                except ConnectionClosed:
                    _settle(requests)
                    raise
            exc.settle = partial(_settle, requests)
            raise
        except AnsweredEarly:
            raise
        except BaseException:
            for request in requests:
                request.give_up()
            raise

    @staticmethod
    def _check_none_is_sent(requests: list[RequestWriter]) -> None:
        """Check that all of *requests* may go to another session; else give the unsent ones up.

        Raises:
            ConnectionClosed: some were sent, whose responses are to be read here.

        """
        unsent = [request for request in requests if request.stream.is_unsent()]
        if len(unsent) < len(requests):
            for request in unsent:
                request.give_up()
            raise ConnectionClosed(
                f"the connection takes no further request, and {len(unsent)} of {len(requests)} "
                "were not sent: read the responses to the others, or call reset()",
                request_sent="maybe",
            )

    def _co_send_heads(self, requests: list[RequestWriter], is_operation: bool) -> Co[None]:
        yield from self._opening.co_ready()
        if (observer := self._shared.observer) is not None:
            for request in requests:
                observer.sends_head(request.stream.exchange, request.head)
        if len(requests) == 1:
            yield from requests[0].co_send(gathers=is_operation)
        else:
            pump = self._shared.pump
            together = Together(pump, requests)
            limit = Limit(self._limits.write_timeout, together.late)
            waiter = Waiter(None, ROOM)
            try:
                yield from pump.co(together.send, waiter, waiter, limit)
            finally:
                together.end()
        if observer is not None:
            for request in requests:
                body_follows = request.owed is not None
                observer.sent_head(request.stream.exchange, body_follows=body_follows)

    def abort_body(self, exchange: Exchange) -> None:
        """See `SendingHalf.abort_body`: the stream is reset."""
        if exchange.writer is not None:
            exchange.writer.abort()


class Together:
    """Several requests that are queued together.

    Args:
        pump: of the session.
        requests: in the order in which they are sent.

    """

    def __init__(self, pump: Pump, requests: list[RequestWriter]) -> None:
        self._pump = pump
        self._requests = requests
        self._next = 0
        self._waiting: list[RequestWriter] = []  # those that could not be sent at once
        self._early: list[AnsweredEarly] = []  # the first one, to be raised at the end

    def send(self, waiter: Waiter) -> bool | None:
        """Queue as many as there is room for; an attempt. True if all are sent.

        Raises:
            AnsweredEarly: the server has answered one before it had all of that, which keeps no
                other one from being sent.
            DugongError: what has ended one of them.

        """
        requests = self._requests
        while self._next < len(requests):
            if self._open_some(waiter):
                continue
            try:
                if not requests[self._next].queue_next(waiter):
                    self._note_waiting(waiter)
                    return None
            except AnsweredEarly as exc:
                self._end_early(requests[self._next], exc, waiter)
            self._next += 1
        if not requests[-1].are_sent(waiter):
            return None
        for request in requests:
            request.note_sent()
        if self._early:
            raise self._early.pop()  # in no variable, see `SharedState.labelled`
        return True

    def _note_waiting(self, waiter: Waiter) -> None:
        """Have *waiter* woken if one is given up that there is no room for yet."""
        if not self._waiting:
            self._waiting = self._requests[self._next :]
            for request in self._waiting:
                request.stream.writing = waiter

    def end(self) -> None:
        """Note that nothing of them is being sent any more."""
        for request in self._waiting:
            request.stream.writing = None

    def _end_early(self, request: RequestWriter, exc: AnsweredEarly, waiter: Waiter) -> None:
        """Note that the server wants no more of *request*; *waiter* goes on with the next one."""
        request.stream.complete_error(exc)
        if not self._early:
            self._early.append(exc)
        waiter.mark = 0
        waiter.has_more = False
        waiter.wants = ROOM

    def _open_some(self, waiter: Waiter) -> bool:
        """Open the next ones, as far as there is room; True if there was any.

        None, if another operation waits for room, too; and those with a body, and what is behind
        them, are left to `RequestWriter.queue_next`.
        """
        pump = self._pump
        if not pump.has_room_for_all(waiter):
            return False
        opened = 0
        for request in self._requests[self._next : self._next + pump.engine.room()]:
            if not request.open_whole():
                break
            opened += 1
        if not opened:
            return False
        self._next += opened
        pump.opened(waiter)
        waiter.wants = ROOM
        return True

    def late(self, seconds: float) -> ConnectionTimedOut:
        """Return the error of *seconds* in which nothing has moved."""
        return self._requests[min(self._next, len(self._requests) - 1)].late(seconds)


def _settle(requests: list[RequestWriter]) -> None:
    for request in requests:
        request.stream.settle()
