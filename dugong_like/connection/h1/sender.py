"""The sending half of a session: heads and bodies of requests.

Not here: whether the session takes a request (reconnect.py), how they get onto the stream
(writer.py), what a head looks like (http/h1/request_head.py), and responses (receiver.py).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from operator import itemgetter
from threading import Lock, get_ident
from typing import TYPE_CHECKING, Any, Final
from weakref import ref

from ...errors import (
    DugongError,
    ExcessBodyData,
    StateError,
)
from ...http.h1.chunked import CRLF, chunk_start, last_chunk
from ...http.request import BodyFollowing
from ...polling.contract import Co
from ...polling.holding import NOT_BLOCKING
from ...polling.timeouts import limited
from ...polling.wake import co_checkpoint
from ...transport import stream as streams
from ...transport.stream import Data, Part, Stream
from ...transport.zero_copy import FileRange
from ..exchange import Exchange
from ..states import BROKEN, CLOSED, Retired
from ..time_out_messages import written
from .exclusive import ORDERLY, SENDING, Handed, wait_for_peek
from .expect_continue import after_head, before_body
from .reconnect import connect, takes_request
from .sending_states import READY, Sending, Sent
from .writer import Writer

if TYPE_CHECKING:
    from ..session import Whole
    from ..shared import SharedState
    from .trace_events import Observer

EXCHANGE, HEAD, BODY = map(itemgetter, range(3))  # of a request, see `Whole`
COMPLETE: Final = (READY, Sending.UPGRADING)  # there is no body to write


class Sender(Writer):
    """Sends requests, one after the other."""

    __slots__ = ()

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
        session = self._session
        lock = session.sending
        held = False
        try:
            (held,) = map(lock.acquire, NOT_BLOCKING)  # see holding.py
            while not held:
                self._check_busy(lock, can_move=step == self.connect)
                (held,) = map(lock.acquire, NOT_BLOCKING)
            try:
                going = step(*arguments)
                if going is None:
                    return None
                handed = Handed(self._cut_off, self.after_use)
            except Retired:
                raise
            except BaseException as exc:
                self.note(exc, self._exchange)
                raise
            handed.lock, held = lock, False  # in one step
            return self._co_go_on_alone(handed, going, self._exchange)
        finally:
            if held:
                try:
                    lock.release()
                    self.after_use()
                except BaseException:  # Ctrl-C, behind one of these
                    self.after_use()
                    raise

    def _check_busy(self, lock: Lock, *, can_move: bool) -> None:
        """Raise that another operation has *lock*, unless that is just ending.

        If the session was closed under that one, *can_move* says that this one can go to the next.
        """
        if can_move and self._session.state is CLOSED:
            raise Retired
        wait_for_peek(self._session, lock, SENDING)

    def after_use(self) -> None:
        """Wake those that wait for exclusive use, which was given back."""
        session = self._session
        if session.reader_waits is not None:
            session.wake_reader()
        if session.left is not None:
            session.give_back()

    def note(self, exc: BaseException, exchange: Exchange | None) -> None:
        """Complete *exc*, which ends an operation about *exchange*.

        After an exception that comes from outside, as Ctrl-C does, between two steps of an
        operation nothing can be trusted any more, and the session is broken: bytes may have got
        lost between the system and the caller.
        """
        session = self._session
        session.label(exc, exchange)
        if not isinstance(exc, ORDERLY) and session.has_begun():
            session.fail(StateError(f"sending was interrupted by {exc!r}"))
        if session.meter is not None:
            session.meter.leave(streams.SENDING)
        if session.observer is not None:
            session.observer.sending_failed(exc)

    def _cut_off(self) -> None:
        """Break the session if the rest of a request will never be sent; see `Handed`."""
        if self._is_cut_off:
            failure = StateError("sending was given up before it began")
            self._break(failure)
            self.note(failure, self._exchange)

    def _co_go_on_alone(
        self, handed: Handed, going: Co[None], exchange: Exchange | None
    ) -> Co[None]:
        """Go on with an operation that is about *exchange*, and has what is *handed* to it."""
        lock = None
        try:
            lock, handed.lock = handed.lock, None
            try:
                total = self._session.timeouts.total
                if total is not None:
                    going = limited(total, "total", going, "it could not be sent")
                yield from going
            except BaseException as exc:
                self.note(exc, exchange)
                raise
        finally:
            if lock is not None:
                try:
                    lock.release()
                    self.after_use()
                except BaseException:  # Ctrl-C, behind one of these
                    self.after_use()
                    raise

    def connect(self) -> Co[None] | None:
        """See `Operations.co_connect`; a step for `begin`."""
        try:
            if takes_request(self._session, self._receiver.bodies):
                return self.nothing()
            return connect(self._session)
        except DugongError as exc:
            self._session.label(exc)  # and not the last request
            raise

    def _check_ready(self) -> None:
        """Check that a request may be sent now.

        Raises:
            StateError: the body of the last one is not complete, or it asked for another
                protocol and there is no response yet.
            Retired: the session is closed.

        """
        if self._session.state is CLOSED:
            raise Retired
        self._session.check_usable()
        exchange = self._exchange
        if exchange is not None and exchange.answered:
            self._step(Sent.ANSWERED)
        if self.state is not READY:
            missing = self._remaining if self.state is not Sending.UPGRADING else None
            owed = "" if missing is None else f", {missing} bytes are missing"
            raise StateError(f"it is not possible to send a request while {self.state.value}{owed}")

    def request(  # noqa: C901 - each call would count
        self,
        exchange: Exchange,
        head: bytes,
        body: Part | BodyFollowing | None,
        before: Sequence[Whole] = (),
        *,
        is_operation: bool = False,
    ) -> Co[None] | None:
        """Send a head, and the body if it is here; together with the requests *before* it.

        Args:
            exchange: of the request.
            head: of the request.
            body: the whole of it, or what announces it, or None.
            before: other requests, to be sent in front of it.
            is_operation: True if others of the same loop shall have their turn after connecting.

        Returns:
            The rest, to be run at once; or None. It raises what `begin` raises.

        Raises:
            Retired: the request goes to another session.

        """
        # Not by `begin`, as this is a part of the shortest way that a request can take.
        session = self._session
        lock = session.sending
        held = False
        try:
            (held,) = map(lock.acquire, NOT_BLOCKING)  # see holding.py
            while not held:
                self._check_busy(lock, can_move=True)
                (held,) = map(lock.acquire, NOT_BLOCKING)
            try:
                if self.state is not READY or session.state is BROKEN:
                    self._check_ready()
                if session.observer is not None and session.observer.takes_time:
                    session.observer.time(exchange)
                if takes_request(session, self._receiver.bodies):
                    going = self._request(exchange, head, body, before)
                else:
                    going = self._connect_and_request(exchange, head, body, before, is_operation)
                if going is None:
                    return None
                handed = Handed(self._cut_off, self.after_use)
            except Retired:
                raise
            except BaseException as exc:
                self.note(exc, exchange)
                raise
            handed.lock, held = lock, False  # in one step
            return self._co_go_on_alone(handed, going, exchange)
        finally:
            if held:
                try:
                    lock.release()
                    if session.reader_waits is not None or session.left is not None:
                        self.after_use()
                except BaseException:  # Ctrl-C, behind one of these
                    self.after_use()
                    raise

    def _connect_and_request(
        self,
        exchange: Exchange,
        head: bytes,
        body: Part | BodyFollowing | None,
        before: Sequence[Whole],
        is_operation: bool,
    ) -> Co[None] | None:
        connecting = connect(self._session)
        if connecting is None and not is_operation:
            return self._request(exchange, head, body, before)
        return self._co_connect_and_request(connecting, exchange, head, body, before, is_operation)

    def _co_connect_and_request(
        self,
        connecting: Co[None] | None,
        exchange: Exchange,
        head: bytes,
        body: Part | BodyFollowing | None,
        before: Sequence[Whole],
        is_operation: bool,
    ) -> Co[None]:
        if connecting is not None:
            yield from connecting
        if is_operation:  # it may have connected at once, and many connections may be made so
            yield from co_checkpoint()
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
        session = self._session
        observer = session.observer
        parts: list[Part] = [head]
        if before:
            parts = [*self._precede(before), head]
        if observer is not None:
            observer.sends_head(exchange, head)
        exchange.reader = self._receiver
        if session.pending or session.stream is None:
            session.append(exchange)
        else:
            exchange.fresh = True
            session.pending.append(exchange)
        if session.reader_waits is not None:
            session.wake_reader()
        complete = body is None or self._announce(exchange, body)
        if body is not None and not isinstance(body, BodyFollowing) and body:
            parts.append(body)
        self._exchange = exchange
        if exchange.closes or exchange.upgrades:
            self._bar(exchange, complete)
        going = self._start(exchange, parts, complete)
        if observer is None:
            return going
        if going is not None:
            return self._co_observed(going, observer, exchange, complete)
        observer.sent_head(exchange, body_follows=not complete)
        return None

    def _announce(self, exchange: Exchange, body: Part | BodyFollowing) -> bool:
        """Note the body of *exchange*; return True if nothing of it follows the head."""
        self._uploading = exchange
        if not isinstance(body, BodyFollowing):
            self._length, self._remaining = len(body), 0
            return True
        exchange.writer = BodyInTurn(self, exchange, self._session)
        self._length = self._remaining = body.length
        self._chunked = 0
        if body.length == 0:
            return True
        exchange.owed_by = get_ident()
        self._step(after_head(exchange))
        return False

    @staticmethod
    def _co_observed(
        going: Co[None], observer: Observer, exchange: Exchange, complete: bool
    ) -> Co[None]:
        yield from going
        observer.sent_head(exchange, body_follows=not complete)

    def send_rest(
        self, stream: Stream, exchange: Exchange, head: bytes, body: Data | None, missing: int
    ) -> Co[None]:
        """Send the last *missing* bytes of a request, for a caller that has exclusive use."""
        parts: list[Part] = [head]
        if body is not None:
            self._announce(exchange, body)
            parts.append(body)
        self._exchange = exchange
        count = sum(map(len, parts)) - missing
        going = self._co_go_on(stream, exchange, parts, True, count)
        self._is_cut_off = True
        handed = Handed(self._cut_off, self.after_use)
        handed.lock = self._session.sending
        return self._co_go_on_alone(handed, going, exchange)

    def note_unsent(
        self, exc: BaseException, exchange: Exchange, head: bytes, body: Data | None
    ) -> None:
        """Complete *exc*, with which sending the first bytes of a request has failed."""
        self._exchange = exchange
        if body is not None:
            self._announce(exchange, body)
        self._note_progress(exc, [head] if body is None else [head, body])
        self._stopped(exc, untouched=True)
        self.note(exc, exchange)

    def _precede(self, requests: Sequence[Whole]) -> Iterator[Part]:
        """Have the responses to *requests* expected; yield what is to be sent."""
        heads = []
        receiver, observer = self._receiver, self._session.observer
        exchanges = list(map(EXCHANGE, requests))
        for exchange in exchanges:
            # Now, or the answer to the first would be taken for an early one when the last
            # has not been sent.
            exchange.reader = receiver
            exchange.sent = True
        self._session.append(*exchanges)
        if observer is None and not any(map(BODY, requests)):
            yield b"".join(map(HEAD, requests))
            return
        for exchange, head, body in requests:
            if observer is not None:
                if observer.takes_time:
                    observer.time(exchange)
                observer.sends_head(exchange, head)
                observer.sent_head(exchange, body_follows=False)
            heads.append(head)
            if body:
                yield b"".join(heads)
                heads.clear()
                yield body
        yield b"".join(heads)

    def _bar(self, exchange: Exchange, complete: bool) -> None:
        """Let no request follow the present one.

        After ``Connection: close`` the connection takes no further one (RFC 9112 section 9.6).
        After one that asks for another protocol none may be sent before the response: it would
        be taken for bytes of that protocol.
        """
        if exchange.closes:
            self._session.retire()
        if exchange.upgrades and complete:
            self._step(Sent.UPGRADE)

    def is_writing(self) -> bool:
        """Return True if the body of a request is to be written, or was until it was answered."""
        return self.state is Sending.BODY or self.state is Sending.AWAITING_CONTINUE

    @property
    def owed(self) -> float | None:
        """Bytes of the request body that are to be written; see `HTTPConnection.body_owed`."""
        exchange = self._exchange
        if self.state in COMPLETE or exchange is None or exchange.answered or exchange.sent:
            return None
        if self._session.state is CLOSED:
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
        if exchange.expects_continue or not self._receiver.waits_for(exchange):
            return
        missing = "finish() was not called"
        if self._length is not None:
            missing = written(self._length - (self._remaining or 0), self._length)
        error = StateError(f"the response waits for the rest of the request: {missing}")
        self.label(error)
        raise error

    def has_bulk(self) -> bool:
        """Return True if a `FileRange` can be sent."""
        stream = self._session.stream
        return stream is not None and stream.bulk is not None

    def is_complete(self) -> bool:
        """Return True if nothing is left to be sent of the last request."""
        last = self._exchange
        return self.state in COMPLETE and last is not None and last.sent

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

    def write(self, data: memoryview | FileRange) -> Co[None] | None:
        """See `Operations.co_write`; *data* consists of bytes. A step for `begin`."""
        size = len(data)
        if not size and self.is_complete():
            self._session.check_usable()
            return self.nothing()
        chunked = self.check_room(size)
        exchange = self._exchange
        assert exchange is not None
        if not size:
            return self.nothing()
        exchange.owed_by = get_ident()
        if chunked:
            self._chunked += size
            return self._start(exchange, [chunk_start(size), data, CRLF], False)
        assert self._remaining is not None
        self._remaining -= size
        if self._remaining:
            return self._start(exchange, [data], False)
        return self._finish(exchange, data)

    def finish(self, trailers: bytes) -> Co[None] | None:
        """See `Operations.co_finish`; *trailers* are field lines. A step for `begin`."""
        if not trailers and self.is_complete():
            self._session.check_usable()
            return self.nothing()
        exchange = self._check_writable()
        if self._remaining:
            missing = StateError(f"the body is not complete, {self._remaining} bytes are missing")
            self._break(missing)
            raise missing
        if self._remaining == 0:
            raise StateError("trailers go with the chunked transfer coding only")
        return self._finish(exchange, last_chunk(trailers))

    def abort_body(self, exchange: Exchange) -> None:
        """Break the session if the body of *exchange* is not complete and not refused."""
        if self._exchange is exchange and self.state is not READY and not exchange.answered:
            given_up = StateError("the body of a request was given up")
            self._break(given_up)
            observer = self._session.observer
            if observer is not None and self._session.state is BROKEN:
                observer.sending_failed(given_up)

    def _finish(self, exchange: Exchange, data: Part) -> Co[None] | None:
        """Send *data*, the end of the body."""
        going = self._start(exchange, [data], True)
        if going is not None:
            return self._co_finish(exchange, going)
        self._end_body(exchange)
        return None

    def _co_finish(self, exchange: Exchange, going: Co[None]) -> Co[None]:
        yield from going
        self._end_body(exchange)

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
        if exchange is None or self.state in COMPLETE:
            raise StateError(f"there is no body to write: {self._why_none()}")
        if self.state is Sending.AWAITING_CONTINUE:
            self._step(before_body(exchange))
            if exchange.answered:
                raise StateError("the server answered without wanting the body")
        stream = self._session.live_stream()
        try:
            self._check_unanswered(stream, exchange)
        except BaseException as exc:
            self._stopped(exc, untouched=True)
            raise
        if self._session.observer is not None:
            self._session.observer.sends_body(exchange)
        return exchange

    def is_last(self, exchange: Exchange) -> bool:
        """Return True if *exchange* is of the request that was sent last."""
        return self._exchange is exchange

    def take_of(
        self, exchange: Exchange, step: Callable[..., Co[None] | None], *arguments: Any
    ) -> Co[None] | None:
        """Take *step* if the body of *exchange* is the one that can be written; a step.

        Raises:
            StateError: it has ended.
            ConnectionClosed: it has, with its connection.

        """
        if self._exchange is exchange:
            return step(*arguments)
        if exchange.sent and not any(arguments):  # no bytes, or the end of what is complete
            return None
        try:
            raise StateError(f"{why_over(self._session, exchange)}, and {self.state.value}")
        except DugongError as exc:
            self._session.label(exc, exchange)
            raise


def why_over(session: SharedState, exchange: Exchange) -> str:
    """Return that the body of *exchange* cannot be written any more, and why.

    Raises:
        ConnectionClosed: as it has ended with its connection.

    """
    if exchange.sent:
        how = "is complete"
    elif exchange.answered:
        how = "ended early, by the server's answer"
    else:
        session.check_usable()
        how = "was given up"
    return f"there is no body to write: that of this request {how}"


class BodyInTurn:
    """The body of one exchange, which can be written until another request is sent.

    See `connection.body_writer.ExchangeBody`. The exchange has it, and the sender has the last
    exchange: so it refers to both weakly, or they would be a circle, with the session.

    Args:
        sender: of the session.
        exchange: of the request.
        session: the session.

    """

    __slots__ = ("_exchange", "_sender", "_session")

    def __init__(self, sender: Sender, exchange: Exchange, session: SharedState) -> None:
        self._sender = ref(sender)
        self._exchange = ref(exchange)
        self._session = session

    def _half(self) -> Sender:
        """Return the sender.

        Raises:
            StateError: it is gone with the session, and the body has ended.
            ConnectionClosed: that has ended with the connection.

        """
        sender, exchange = self._sender(), self._exchange()
        assert exchange is not None  # it is the caller's
        if sender is None:
            try:
                raise StateError(why_over(self._session, exchange))
            except DugongError as exc:
                self.label(exc)
                raise
        return sender

    @property
    def owed(self) -> float | None:
        """See `BodyWriter.owed`."""
        sender, exchange = self._sender(), self._exchange()
        if sender is None or exchange is None or not sender.is_last(exchange):
            return None
        return sender.owed

    def begin(self, step: Callable[..., Co[None] | None], *arguments: Any) -> Co[None] | None:
        """See `BodyWriter.begin`."""
        exchange = self._exchange()
        assert exchange is not None  # it is the caller's
        if self._sender() is None and exchange.sent and not any(arguments):
            return None  # as `take_of` has it
        sender = self._half()
        return sender.begin(sender.take_of, exchange, step, *arguments)

    def write(self, data: memoryview | FileRange) -> Co[None] | None:
        """See `BodyWriter.write`."""
        return self._half().write(data)

    def finish(self, trailers: bytes) -> Co[None] | None:
        """See `BodyWriter.finish`."""
        return self._half().finish(trailers)

    def nothing(self) -> Co[None] | None:
        """See `BodyWriter.nothing`."""
        return self._half().nothing()

    def is_complete(self) -> bool:
        """See `BodyWriter.is_complete`."""
        return self._half().is_complete()

    def check_room(self, count: int) -> bool:
        """See `BodyWriter.check_room`."""
        return self._half().check_room(count)

    def has_bulk(self) -> bool:
        """See `BodyWriter.has_bulk`."""
        return self._half().has_bulk()

    def break_off(self, failure: Exception) -> None:
        """See `BodyWriter.break_off`."""
        self._half().break_off(failure)

    def label(self, exc: BaseException) -> None:
        """See `BodyWriter.label`."""
        self._session.label(exc, self._exchange())

    def abort(self) -> None:
        """See `ExchangeBody.abort`."""
        sender, exchange = self._sender(), self._exchange()
        if sender is not None and exchange is not None:
            sender.abort_body(exchange)
