"""Putting the parts of a request on the stream: at once, or when there is room.

While it waits until more can be sent it also watches for a response (early_response.py).

Not here: what is sent, and when (sender.py).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from ...errors import (
    ConnectionClosed,
    ConnectionTimedOut,
    ProtocolError,
    StateError,
    TransportError,
)
from ...polling.contract import Co, PollNeeded
from ...polling.fairness import STEP, TURN
from ...polling.wake import co_checkpoint
from ...transport import stream as streams
from ...transport.attempts import SendLimit, co_attempts
from ...transport.stream import Part, Stream, rest
from ..exchange import Exchange
from ..states import follow
from ..time_out_messages import written
from . import early_response
from .receiver import Receiver
from .sending_states import READY, SENDING, Sending, Sent

if TYPE_CHECKING:
    from ..shared import SharedState


class Writer:
    """Puts the requests of a session on its stream: to be inherited.

    Args:
        session: leads to the stream.
        receiver: where an early final response arrives.

    Attributes:
        state: of this half.

    """

    __slots__ = (
        "__weakref__",
        *("_chunked", "_exchange", "_is_cut_off", "_length", "_receiver", "_remaining"),
        *("_session", "_unwaited", "_uploading", "state"),
    )

    def __init__(self, session: SharedState, receiver: Receiver) -> None:
        self._session = session
        self._receiver = receiver
        self._exchange: Exchange | None = None  # the last one: what errors are about
        self.state = READY
        self._is_cut_off = False  # True while `_co_go_on` has something to send and has not begun
        self._unwaited = 0  # done since the last wait, as `TURN` counts it
        # Of the last request that had a body:
        self._uploading: Exchange | None = None
        self._length: int | None = None  # bytes of its body; None: chunked
        self._remaining: int | None = None  # those of them that nobody has given yet
        self._chunked = 0  # bytes that were given; counted if it is chunked

    def _step(self, event: Sent) -> None:
        self.state = follow(SENDING, self.state, event)

    def _end_body(self, exchange: Exchange) -> None:
        """Note that a body that followed its head is complete."""
        self._step(Sent.UPGRADE if exchange.upgrades else Sent.FINISHED)
        if self._session.observer is not None:
            self._session.observer.sent_body()

    def _start(self, exchange: Exchange, parts: list[Part], complete: bool) -> Co[None] | None:
        """Try to send *parts*, which end the request if *complete*; None says that all is sent."""
        total = len(parts[0]) if len(parts) == 1 else sum(map(len, parts))
        try:
            stream = self._session.stream or self._session.live_stream()
            count = self._try(stream, exchange, parts, complete, total)
        except BaseException as exc:
            problem = self._explain(exc, exchange, untouched=True)
            self._note_progress(problem, parts)
            self._stopped(problem, untouched=True)
            if problem is exc:
                raise
            raise problem from exc
        if count == total:
            return None
        self._is_cut_off = True
        return self._co_go_on(stream, exchange, parts, complete, count or 0)

    def _try(
        self, stream: Stream, exchange: Exchange, parts: Sequence[Part], complete: bool, total: int
    ) -> int | None:
        """Send what can be sent of *parts* at once; None says nothing."""
        if exchange.final is not None:
            early_response.check_unanswered(exchange)
        if self._unwaited >= TURN:
            return None  # see `_co_go_on`
        # Set before the call, for the answer may be read before the call returns.
        exchange.sent = complete
        count = stream.send(parts)
        if count != total:
            exchange.sent = False
            if count is None:
                return None
        self._unwaited += count + STEP
        return count

    def _co_go_on(
        self,
        stream: Stream,
        exchange: Exchange,
        parts: Sequence[Part],
        complete: bool,
        count: int,
    ) -> Co[None]:
        """Send *parts*, of which *count* bytes are sent already."""
        finished = False
        try:
            self._is_cut_off = False
            parts = rest(parts, count)
            total = sum(map(len, parts))
            while parts:
                if self._unwaited >= TURN:  # as there is always room
                    yield from self._co_turn()
                    if self._session.stream is not stream:
                        self._session.check_usable()
                    self._check_unanswered(stream, exchange)
                sent = self._try(stream, exchange, parts, complete, total)
                if sent is None:
                    sent = yield from self._co_wait(stream, exchange, parts, complete, total)
                count += sent
                total -= sent
                parts = rest(parts, sent)
            finished = True
        except Exception as exc:
            problem = self._explain(exc, exchange, untouched=count == 0)
            self._note_progress(problem, parts)
            self._stopped(problem, untouched=count == 0)
            finished = True
            if problem is exc:
                raise
            raise problem from exc
        finally:
            if not finished:
                self._break(StateError("sending a request was given up in the middle"))

    def nothing(self) -> Co[None] | None:
        """Count a step that has nothing to send. A step for `begin`."""
        self._unwaited += STEP
        return self._co_turn() if self._unwaited >= TURN else None

    def _co_turn(self) -> Co[None]:
        """Let the others of the same loop have their turn."""
        self._unwaited = 0
        yield from co_checkpoint()

    def _co_wait(
        self, stream: Stream, exchange: Exchange, parts: Sequence[Part], complete: bool, total: int
    ) -> Co[int]:
        """Wait until something of *parts* can be sent, and send it, or an answer is here."""
        session = self._session
        watch = False

        def wanted(deadline: float | None) -> PollNeeded:
            nonlocal watch
            self._unwaited = 0
            # Set before the look at the exchange: who answers it does the opposite.
            session.sender_waits = True
            watch = self._receiver.is_next(exchange) and not session.reading.locked()
            if exchange.final is not None:
                attempt(parts)  # raises
            return stream.wanted_by_send(deadline, watch=watch)

        def attempt(parts: Sequence[Part]) -> int | None:
            session.sender_waits = False
            if session.stream is not stream:
                session.check_usable()
            if watch:
                self._check_unanswered(stream, exchange)
            return self._try(stream, exchange, parts, complete, total)

        try:
            waits = SendLimit(wanted, session.write_timeout)
            return (yield from co_attempts(attempt, parts, waits))
        except ConnectionTimedOut as exc:
            if exc.phase == "write":  # and not a limit of somebody else, who has thrown it in here
                exc.request_sent = "maybe"
            raise
        finally:
            session.sender_waits = False

    def label(self, exc: BaseException) -> None:
        """Say in *exc*, if it is an error of the library, that it is about the last request."""
        self._session.label(exc, self._exchange)

    def _check_unanswered(self, stream: Stream, exchange: Exchange) -> None:
        """Stop if the server has answered already, or closed the connection."""
        early_response.check(self._session, self._receiver, stream, exchange)

    def _explain(self, exc: BaseException, exchange: Exchange, *, untouched: bool) -> BaseException:
        """Return what to raise for *exc*; see `early_response.explain`.

        A response cannot be that to a request of which nothing was sent (*untouched*).
        """
        if untouched and self.state is READY:
            return exc
        return early_response.explain(exc, self._session, self._receiver, exchange)

    def _note_progress(self, exc: BaseException, unsent: Sequence[Part]) -> None:
        """Say in *exc*, which keeps *unsent* from being sent, how much of the body is sent."""
        if not isinstance(exc, TransportError) or self._uploading is not self._exchange:
            return
        length = self._length
        if length is None:  # CRLF is behind the data of a chunk
            owed, given = sum(map(len, unsent[-2:-1])), self._chunked
        else:
            owed, given = sum(map(len, unsent[-1:])), length - (self._remaining or 0)
        exc.append(written(max(given - owed, 0), length))

    def _stopped(self, exc: BaseException, *, untouched: bool) -> None:
        """Note that sending has ended with *exc*; *untouched* if nothing had been sent.

        If it was the peer that ended it, the request counts as sent: its response can
        still be read, but nothing else be sent.
        """
        if isinstance(exc, ProtocolError):
            exc.request_sent = "yes"
        elif isinstance(exc, TransportError) and (not untouched or self.state is Sending.BODY):
            exc.request_sent = "yes" if exc.request_sent == "yes" else "maybe"
        self.label(exc)
        session = self._session
        in_body = self._exchange if self.state is Sending.BODY else None
        if not isinstance(exc, ConnectionClosed):
            self._break(exc if isinstance(exc, Exception) else StateError(repr(exc)))
        else:
            if self.state is not READY:
                self._step(Sent.ANSWERED)
            elif untouched and exc.request_sent == "maybe":
                exc.request_sent = "no"
            session.retire()
        if session.meter is not None:
            session.meter.leave(streams.SENDING)
        if session.observer is not None:
            session.observer.sending_failed(exc, in_body)

    def _break(self, failure: Exception) -> None:
        """Break the connection because of *failure*; who waits for a response is woken."""
        self.label(failure)
        self._session.fail(failure)
        stream = self._session.stream
        if stream is not None and self._session.reading.locked():
            stream.shut_down()
