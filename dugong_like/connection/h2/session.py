"""One HTTP/2 session: it connects, and carries many exchanges at once, each on a stream.

Its bytes are moved by whoever waits (pump.py). If the server chooses HTTP/1.1 the session ends
before its first request, and hands the stream over to one for that.

**Order.** `co_exchange` and the calls of an `Exchange` are concurrent. The calls of the connection
keep the order that they have with HTTP/1.1 (sender.py, receiver.py): they are a view of exchanges.

Not here: one exchange (stream.py, request_writer.py, response_reader.py, whole_exchange.py), and
HTTP/2 itself (http/h2/).
"""

from __future__ import annotations

import time
from functools import partial
from typing import TYPE_CHECKING, Any, Final, cast

from ...errors import AnsweredEarly, ConnectionClosed, DugongError
from ..cancelling import abort
from ..exchange import Exchange, HTTPResponse, Reply
from ..shared import HasSharedState
from ..states import NEW, OPEN, SessionState
from ..time_limits import OwnLimits
from ..time_out_messages import NO_ANSWER
from .alone import Alone
from .body_writer import BodyWriter
from .finished import error_of
from .limits import Limit
from .opening import Opening
from .pump import Pump
from .receiver import Receiver
from .request_writer import RequestWriter
from .response_reader import ResponseReader
from .sender import Sender
from .shared import H2State
from .waiter import NEWS, ROOM, Servant, Waiter
from .whole_exchange import WholeExchange

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ...http.h2.options import H2Settings
    from ...http.request import BodyFollowing
    from ...http.request import Source as BodySource
    from ...polling.contract import Co, PollNeeded
    from ...polling.timeouts import Timeouts
    from ...transport.stream import Data, Stream
    from ..config import ConnectionConfig
    from ..session import Whole

STATES: Final = {
    SessionState.NEW: "closed",
    SessionState.OPEN: "open",
    SessionState.NOT_REUSABLE: "not reusable",
    SessionState.CLOSED: "closed",
}


class Session(HasSharedState):
    """One HTTP/2 connection, and its life; see `connection.session.Session`.

    Args:
        config: of the connection.
        timeout: seconds that may pass without anything moving, or `Timeouts`, or None.
        expect100_timeout: seconds to wait for 100 (Continue), unless *timeout* says otherwise.
        beside: another session, whose connection is used; None for a connection of its own.

    Attributes:
        limits: the time limits that hold for its exchanges.
        opening: connects.
        shared: the stream and the state.
        receiver: the receiving half, for responses in the order of their requests.
        sender: the sending half.

    """

    protocol = "h2"
    concurrent = True

    __slots__ = ("_pending", "limits", "opening", "receiver", "sender")

    shared: H2State

    def __init__(
        self,
        config: ConnectionConfig,
        timeout: float | Timeouts | None,
        expect100_timeout: float | None,
        *,
        beside: Session | None = None,
    ) -> None:
        self._pending: list[Exchange] = []
        self.limits: H2State | OwnLimits
        if beside is None:
            self.shared = self.limits = H2State(config, timeout)
            self.shared.pending = self._pending
            self.opening = Opening(self.shared)
        else:
            self.shared, self.opening = beside.shared, beside.opening
            self.limits = OwnLimits(timeout)
        self.receiver = Receiver(self.shared, self.opening, self._pending, self.limits)
        self.sender = Sender(self.shared, self.opening, self._pending, self.limits)
        self._limit_continue(expect100_timeout)

    def limit(self, timeout: float | Timeouts | None, expect100_timeout: float | None) -> None:
        """See `connection.session.Session.limit`."""
        self.limits.limit(timeout)
        for exchange in self._pending.copy():
            exchange.head_until = None
        self._limit_continue(expect100_timeout)

    def _limit_continue(self, expect100_timeout: float | None) -> None:
        own = self.limits.timeouts.expect100
        self.limits.continue_timeout = expect100_timeout if own is None else own

    # ---- whole exchanges

    def co_exchange(
        self,
        exchange: Exchange,
        head: bytes,
        body: memoryview | BodyFollowing | None,
        source: BodySource | None,
        *,
        complete: bool = False,
    ) -> Co[Reply]:
        """See `connection.session.Session.co_exchange`."""
        if body is None and not complete and (alone := self.alone(exchange, head)) is not None:
            return self._co_alone(alone, exchange, head)
        return self._co_exchange(exchange, head, body, source, complete=complete)

    def _co_alone(self, alone: Alone, exchange: Exchange, head: bytes) -> Co[Reply]:
        try:
            if alone.begin():
                if alone.waits:
                    yield alone.need()
                    if (reply := alone.finish()) is not None:
                        return reply
                return (yield from alone.co_rest())
        except BaseException as exc:
            alone.failed(exc)
            raise
        finally:
            alone.end()
        return (yield from self._co_exchange(exchange, head, None, None))

    def _co_exchange(
        self,
        exchange: Exchange,
        head: bytes,
        body: memoryview | BodyFollowing | None,
        source: BodySource | None,
        *,
        complete: bool = False,
    ) -> Co[Reply]:
        shared = self.shared
        writer: RequestWriter | None = None
        done = False
        reply: Reply
        try:
            writer = self.sender.prepare(exchange, head, body)
            if shared.state is not OPEN:
                yield from self.opening.co_open()
            if source is None and shared.observer is None:
                whole = WholeExchange(writer)
                waiter = Waiter(None, ROOM)
                response: Any = yield from shared.pump.co(
                    whole.take_reply, waiter, waiter, whole.limit(), gathers=True
                )
                if response.status >= shared.config.whole_below:
                    if not complete:
                        self._leave_body(whole)
                    elif response.body is None:
                        reader = whole.reader()
                        body_of = yield from reader.co_take(reader.take_all, None)
                        response = response.with_body(body_of)
                reply = response
            else:
                reply = yield from self._co_in_steps(writer, source, complete=complete)
            done = True
        except DugongError as exc:
            if writer is not None:
                writer.note_progress(exc)
                writer.stream.complete_error(exc)
            raise
        finally:
            if not done:
                _give_up(writer, source)
        return reply

    def alone(self, exchange: Exchange, head: bytes) -> Alone | None:
        """See `connection.session.Session.alone`."""
        shared = self.shared
        if (
            not shared.pump.is_free()
            or shared.observer is not None
            or shared.state is not OPEN
            or shared.config.max_body is not None
        ):
            return None
        either: Any = head  # no `cast`: that is a call
        return Alone(self, exchange, either)

    def co_reply_to(self, whole: WholeExchange, waiter: Waiter, limit: Limit) -> Co[Reply]:
        """Do what is left of a whole exchange, as one operation of the pump."""
        shared = self.shared
        response = yield from shared.pump.co(whole.take_reply, waiter, waiter, limit)
        if response.status >= shared.config.whole_below:
            self._leave_body(whole)
        return cast("Reply", response)

    def _leave_body(self, whole: WholeExchange) -> None:
        """Leave the body of a response to its user, if it is not here; see `whole_below`."""
        whole.writer.stream.exchange.abandoned = False
        self.receiver.reader = whole.reader()

    def _co_in_steps(
        self, request: RequestWriter, source: BodySource | None, *, complete: bool
    ) -> Co[Reply]:
        """Do a whole exchange as others would that follow each other."""
        observer, exchange = self.shared.observer, request.stream.exchange
        if observer is not None:
            observer.sends_head(exchange, request.head)
        reader = ResponseReader(request.stream)
        writer = BodyWriter(self.shared, self.limits, request)
        try:
            yield from writer.co_go_on(request.co_send(gathers=True), request)
            if observer is not None:
                observer.sent_head(exchange, body_follows=source is not None)
            if source is not None:
                from ..file_transfer import co_write_all  # noqa: PLC0415 - for bodies that are read

                yield from co_write_all(writer, source)
        except AnsweredEarly:
            pass  # that is the response
        except BaseException as exc:
            if observer is not None and request.owed is not None:  # it is the source's
                observer.sending_failed(exc, exchange)
            raise
        response = yield from reader.co_head()
        while not exchange.answered:
            response = yield from reader.co_head()
        leaves = not complete and response.status >= self.shared.config.whole_below
        if leaves and not exchange.complete:
            self.receiver.reader = reader
            return cast("Reply", response)
        body = yield from reader.co_take(reader.take_all, None)
        return response.with_body(body)

    # ---- exchanges one after the other: never done here

    def begin(self, exchange: Exchange, head: bytes, body: Data | None) -> bool | Co[None]:  # noqa: ARG002
        """Return False: see `co_exchange`."""
        return False

    def finish(self, exchange: Exchange) -> Reply | None:  # noqa: ARG002
        """Return None: see `co_exchange`."""
        return None

    def awaits_rest(self, exchange: Exchange) -> bool:  # noqa: ARG002
        """Return False: see `co_exchange`."""
        return False

    def rest_need(self) -> PollNeeded:
        """See `connection.session.Session.rest_need`: never called."""
        raise NotImplementedError

    def wait_for_rest(self) -> None:
        """See `connection.session.Session.wait_for_rest`: never called."""
        raise NotImplementedError

    def leave(self) -> None:
        """Do nothing: see `co_exchange`."""

    wake_others = leave

    def co_reply(self, exchange: Exchange, deadline: float | None = None) -> Co[Reply]:
        """See `connection.session.Session.co_reply`: never called."""
        raise NotImplementedError

    co_late_reply = co_reply

    def co_exclusive_reply(self, exchange: Exchange) -> Co[Reply]:
        """See `connection.session.Session.co_exclusive_reply`: never called."""
        raise NotImplementedError

    def is_stuck(self) -> bool:
        """Return False: nothing has to be out of the way."""
        return False

    def is_awaited(self) -> bool:
        """Return True if somebody is still to read a response."""
        return any(not each.abandoned for each in self._pending.copy())

    def takes_batch(self, batch: Sequence[Whole]) -> bool:
        """See `connection.session.Session.takes_batch`."""
        return (
            self.takes_rolling_batch()
            and self.limits.head_limit is None
            and all(body is None for _, _, body in batch)
        )

    def takes_rolling_batch(self) -> bool:
        """Return True if exchanges need not be observed, nor limited in size."""
        shared = self.shared
        return shared.observer is None and shared.config.max_body is None

    def co_exchange_batch(
        self,
        batch: Sequence[Whole],
        replies: list[Reply],
        *,
        gathers: bool,  # noqa: ARG002 - there is nothing to be had by it
    ) -> Co[None]:
        """See `connection.session.Session.co_exchange_batch`."""
        from .batch import Batch  # noqa: PLC0415 - for batches

        yield from Batch(self.shared, self.limits, batch, replies).co_exchange(self.opening)

    def gathering(self, missing: int) -> None:
        """See `connection.session.Session.gathering`: others may wait for less."""

    def take_replies(self, most: int) -> list[tuple[HTTPResponse, bytes]]:
        """See `connection.session.Session.take_replies`."""
        taken: list[tuple[HTTPResponse, bytes]] = []
        shared, receiver = self.shared, self.receiver
        config = shared.config
        last = receiver.reader
        if not self._pending or not config.is_direct or (last is not None and last.is_unread()):
            return taken
        while len(taken) < most and self._pending:
            first = self._pending[0].reader
            if not isinstance(first, ResponseReader) or (
                (reply := shared.pump.do(first.take_whole, None)) is None
            ):
                break
            taken.append(reply)
            receiver.reader = first
        return taken

    # ---- what only HTTP/2 has

    def co_ping(self) -> Co[float]:
        """See `Operations.co_ping`."""
        yield from self.opening.co_ready()
        pump = self.shared.pump
        began = time.monotonic()
        payload = pump.do(_ping, pump)
        waiter = Waiter(None, NEWS)
        limit = Limit(self.limits.timeout, NO_ANSWER)
        yield from pump.co(self._is_answered, payload, waiter, limit)
        seconds = time.monotonic() - began
        if (observer := self.shared.observer) is not None:
            observer.answered_ping(seconds)
        return seconds

    def update_window(self, size: int) -> None:
        """See `Operations.update_window`."""
        self.shared.pump.open_window(None, size)

    def _is_answered(self, payload: bytes) -> bool | None:
        engine = self.shared.pump.engine
        if payload not in engine.pings:
            return True
        if engine.ended is not None:
            raise error_of(engine.ended)
        return None

    def co_serve(self) -> Co[None]:
        """See `Operations.co_serve`."""
        pump = self.shared.pump
        yield from self.opening.co_ready()
        try:
            yield from pump.co(self._has_ended, None, Servant(), Limit(None))
        except ConnectionClosed:
            if self.shared.state is not SessionState.CLOSED:  # by this side, which is an end, too
                raise

    def _has_ended(self, _: None) -> bool | None:
        return True if self.shared.pump.engine.ended is not None else None

    @property
    def concurrency(self) -> int:
        """See `Operations.concurrency`."""
        return self.shared.pump.engine.max_streams

    @property
    def remote_settings(self) -> H2Settings | None:
        """The settings of the server; None before they have come."""
        return self.shared.pump.engine.remote_settings

    def room(self) -> int:
        """Return how many exchanges may begin now without waiting for others."""
        shared = self.shared
        if shared.state is NEW:
            return 1
        return shared.pump.engine.room() if shared.state is OPEN else 0

    # ---- its life

    def is_open(self) -> bool:
        """See `Operations.is_open`: PING and GOAWAY are seen that have come meanwhile."""
        shared = self.shared
        if shared.state is not OPEN:
            return False
        shared.pump.do(_look, shared.pump)
        return shared.state is OPEN and shared.pump.engine.can_open()

    def is_reusable(self) -> bool:
        """Return True if it is open and nothing is under way."""
        shared = self.shared
        return shared.state is OPEN and not shared.pump.engine.streams and not self._pending

    def has_pending(self) -> bool:
        """Return True if a response is outstanding, or partly read."""
        if self.shared.state is SessionState.CLOSED:
            return False
        last = self.receiver.reader
        return bool(self._pending) or (last is not None and last.is_unread())

    def is_incomplete(self) -> bool:
        """Return True if a response, or the body of a request, is not complete."""
        return bool(self._pending) or len(self.shared.pump.engine.streams) > 0

    def clear(self) -> None:
        """Do nothing: streams have what was received."""

    def take_stream(self) -> Stream | None:
        """Take the stream to a server that has chosen HTTP/1.1."""
        stream, self.shared.other = self.shared.other, None
        return stream

    def is_used(self) -> bool:
        """Return True if an exchange is under way that is its own, whoever uses the connection."""
        receiving = self.receiver.reader
        return (
            bool(self._pending)
            or bool(self.sender.bodies())
            or (receiving is not None and receiving.is_unread())
        )

    def give_up(self) -> None:
        """Give up its exchanges, and nothing else of the connection."""
        for exchange in self._pending.copy():
            exchange.abandon()
        for body in self.sender.bodies():
            if body.writer is not None:
                body.writer.cancel()
        receiving = self.receiver.reader
        if receiving is not None and receiving.is_unread():
            receiving.abandon(receiving.stream.exchange)

    def replaced(self) -> None:
        """Close the connection when its last stream, and its last operation, has ended."""
        pump = self.shared.pump
        pump.on_idle = partial(abort, self)
        pump.check_idle()

    def __repr__(self) -> str:
        """Return the origin, the state, and how many streams are open."""
        shared = self.shared
        count = len(shared.pump.engine.streams)
        streams = f", {count} stream{'s' * (count > 1)} open" if count else ""
        state = STATES.get(shared.state, "closed")
        return f"{shared.route.origin}{shared.route.detour}: {state}, h2{streams}"


def _give_up(writer: RequestWriter | None, source: BodySource | None) -> None:
    """Give an exchange up, and its body back."""
    if writer is not None:
        writer.cancel()
    if source is not None:
        source.restore()


def _look(pump: Pump) -> None:
    pump.look()


def _ping(pump: Pump) -> bytes:
    return pump.engine.ping()
