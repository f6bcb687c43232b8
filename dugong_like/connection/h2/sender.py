"""The sending half of an HTTP/2 session: one request after the other, as callers see it.

Exchanges are not ordered on the wire; each has a stream of its own, which does the work
(stream.py). The calls of the connection write the body of the request that was sent last; those of
an `Exchange` write its own (body_writer.py).

Not here: exchanges that are concurrent (`Session.co_exchange`).
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from functools import partial
from threading import get_ident
from typing import TYPE_CHECKING, cast

from ...errors import AnsweredEarly, ConnectionClosed, DugongError, StateError
from ...http.request import BodyFollowing
from ..states import NEW, OPEN, Retired
from ..time_out_messages import written
from .body_writer import BodyWriter
from .pump import ROOM, Limit, Waiter
from .stream import H2Stream

if TYPE_CHECKING:
    from ...errors import ConnectionTimedOut
    from ...polling.contract import Co
    from ...transport.stream import Part
    from ..exchange import Exchange
    from ..session import Whole
    from ..time_limits import ContinueLimit
    from .opening import Opening
    from .shared import H2State


class Sender(BodyWriter):
    """Sends requests, one after the other, and writes the body of the last one.

    Args:
        shared: of the session.
        opening: connects.
        pending: the exchanges whose responses have not been read, in order.
        limits: the time limits that hold.

    Attributes:
        stream: of the exchange that was opened last; None before the first.

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
        self._bodies: list[BodyWriter] = []  # that follow their heads; see `bodies`

    # ---- facts

    def is_writing(self) -> bool:
        """Return True if a body is being written."""
        return bool(self._bodies) and any(body.owed is not None for body in self.bodies())

    def bodies(self) -> list[BodyWriter]:
        """Return what writes the bodies that are not complete, of all exchanges that were sent."""
        for body in self._bodies.copy():
            if body.stream is None or body.stream.owed is None:
                with suppress(ValueError):  # another thread has taken it out
                    self._bodies.remove(body)
        return self._bodies.copy()

    def check_not_owed(self) -> None:
        """Check that waiting for the next response makes sense in this thread.

        Raises:
            StateError: it is the response to a request whose body this thread has to write.

        """
        first = next((each for each in self._pending if not each.abandoned), None)
        if first is None or first.writer is None or first.writer.owed is None:
            return
        stream = cast("H2Stream", first.reader)
        if first.expects_continue or first.owed_by != get_ident():
            return
        if stream.stream is not None and (stream.stream.head or stream.stream.informational):
            return
        missing = "finish() was not called"
        if stream.length is not None:
            missing = written(stream.length - int(stream.owed or 0), stream.length)
        error = StateError(f"the response waits for the rest of the request: {missing}")
        raise self._shared.labelled(error, first)

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
        if shared.state is NEW and shared.other is None:
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
        streams = [self._prepare(*each) for each in (*before, (exchange, head, body))]
        return self.co_go_on(self._co_request(streams, is_operation), streams[-1])

    def _prepare(
        self, exchange: Exchange, head: bytes, body: Part | BodyFollowing | None
    ) -> H2Stream:
        """Return the stream of *exchange*, with what it sends first."""
        stream = H2Stream(self._shared, exchange, self._limits)
        try:
            stream.begin(head, cast("memoryview | BodyFollowing | None", body))
        except DugongError as exc:
            self._shared.label(exc, exchange)
            raise
        if isinstance(body, BodyFollowing):
            exchange.writer = BodyWriter(self._shared, self._limits, stream)
        return stream

    def _co_request(self, streams: list[H2Stream], is_operation: bool) -> Co[None]:
        """Open *streams*, in order, and send what they begin with."""
        last = streams[-1]
        for stream in streams:
            stream.pending = self._pending
            stream.exchange.reader = stream  # for one who reads while it is still to be opened
            self._pending.append(stream.exchange)
            if stream.owed is not None:
                self.bodies()  # which takes those out that have ended
                self._bodies.append(cast("BodyWriter", stream.exchange.writer))
        before, self.stream = self.stream, last
        try:
            yield from self._co_send_heads(streams, is_operation)
        except Retired as exc:
            self.stream = before
            for stream in streams:
                stream.move()
            if self._shared.state is not NEW:
                try:
                    self._check_nothing_is_pending()
                except ConnectionClosed:
                    _settle(streams)
                    raise
            exc.settle = partial(_settle, streams)
            raise
        except AnsweredEarly:
            raise
        except BaseException:
            for stream in streams:
                stream.give_up()
            raise

    def _co_send_heads(self, streams: list[H2Stream], is_operation: bool) -> Co[None]:
        last = streams[-1]
        yield from self._opening.co_ready()
        if (observer := last.observer()) is not None:
            for stream in streams:
                observer.sends_head(stream.exchange, stream.head)
        if len(streams) == 1:
            yield from last.co_send(gathers=is_operation)
        else:
            together = Together(streams)
            limit = Limit(self._limits.write_timeout, together.late)
            waiter = Waiter(None, ROOM)
            yield from self._shared.pump.co(together.send, waiter, waiter, limit)
        if observer is not None:
            for stream in streams:
                observer.sent_head(stream.exchange, body_follows=stream.owed is not None)

    def abort_body(self, exchange: Exchange) -> None:
        """See `SendingHalf.abort_body`: the stream is reset."""
        if exchange.writer is not None:
            exchange.writer.abort()


class Together:
    """Several requests that are queued together."""

    def __init__(self, streams: list[H2Stream]) -> None:
        self._streams = streams
        self._next = 0

    def send(self, waiter: Waiter) -> bool | None:
        """Queue as many as there is room for; an attempt. True if all are sent."""
        streams = self._streams
        while self._next < len(streams):
            rest = streams[self._next :]
            if count := rest[0].open_among(waiter, rest):
                self._next += count
                continue
            if not streams[self._next].queue_next(waiter):
                return None
            self._next += 1
        if not streams[-1].are_sent(waiter):
            return None
        for stream in streams:
            stream.note_sent()
        return True

    def late(self, seconds: float) -> ConnectionTimedOut:
        """Return the error of *seconds* in which nothing has moved."""
        return self._streams[min(self._next, len(self._streams) - 1)].late_sending(seconds)


def _settle(streams: list[H2Stream]) -> None:
    for stream in streams:
        stream.settle()
