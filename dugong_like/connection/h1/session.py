"""One HTTP/1.1 session: made before its TCP connection, dropped after it, never reset.

A session goes with one TCP connection. `HTTPConnection` has one, and takes a new one for the next
request when the present one is not reusable. An operation that is under way keeps the session that
it began with, whatever happens to the connection object.

**The protocol between threads.** One operation sends and one reads at a time, often in two threads,
and any thread may close. All of them use a `SharedState`; beyond it each half has its own fields.

=================  ======================================  ======================================
field              written by                              read by the others
=================  ======================================  ======================================
``sending``        locked while an operation sends         a reader without a request to wait for
``reading``        locked while an operation reads         the sender, before it peeks
``stream``         set once by the sender, when connected; anybody, into a variable of its own: it
                   None again when closed or detached      may be None or shut down a moment later
``state``          anybody, under ``changing``, along the  anybody; a look that comes too early is
                   table in states.py                      caught by what follows
``pending``        the sender appends; the reader takes    both; only the reader looks at [0] for
                   the first one off                       long
``exchange.sent``  the sender, *before* the bytes that     the reader, at the head of the response:
                   complete the request are sent           False makes it stop the sender
``exchange.final`` the reader, when the head is here       the sender, before each try: then it
                                                           stops (RFC 9112 section 9.5)
``sender_waits``   the sender, True before it looks at     the reader, after it has set
                   ``exchange.final`` and waits            ``exchange.final``: it wakes the sender
``reader_waits``   the reader, before it looks whether     the sender, after it has appended a
                   something is pending                    request, or has given ``sending`` back
``turn_waits``     a reader, before it looks whether it    each operation that has given
                   is its turn and takes ``reading``       ``reading`` back
``exchanging``     the one whose turn it is to exchange,   the next one: not None means that the one
                   first of all and last of all            before was interrupted
``left``           the one that closes, after ``stream``   each operation at its end: the last one
                   is None and both locks were looked at   closes what was left
=================  ======================================  ======================================

In each of these pairs the one side writes first and looks then, and the other the other way round:
so at least one of them sees the other, and nobody has to wait for a lock. The only lock that is
waited for, ``changing`` of transport/exclusive.py, is held for microseconds; nothing is called
under it that could block.

Not here: the halves (sender.py, receiver.py), what they share (../shared.py), and what concerns
both: expect_continue.py, early_response.py, reconnect.py, and ../cancelling.py.
"""

from __future__ import annotations

import itertools
import time
from typing import TYPE_CHECKING, Final, cast

from ...errors import (
    ClientCertificateRefused,
    ConnectionClosed,
    StateError,
)
from ...http.h1.framing import APART, whole_size
from ...http.h1.head_cache import NO_HEAD, PATIENCE
from ...http.h1.response_head import FINAL
from ...polling.contract import wait
from ...transport import exclusive
from ...transport.buffer import new_memory
from ..cancelling import abort
from ..exchange import HTTPResponse, Reply
from ..shared import HasSharedState, SharedState
from ..states import BROKEN, NEW, OPEN, Retired, SessionState
from ..time_out_messages import late_body
from .exclusive import co_reading, look_if_free
from .sending_states import READY

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from ...http.h1.response_head import Head
    from ...http.h2.options import H2Settings
    from ...http.request import BodyFollowing, Source
    from ...polling.contract import Co, PollNeeded
    from ...polling.timeouts import Timeouts
    from ...transport.stream import Data, Stream
    from ..config import ConnectionConfig
    from ..exchange import Exchange
    from ..session import Whole
    from .receiver import Receiver
    from .sender import Sender

STATES: Final = {
    SessionState.NEW: "closed",
    SessionState.OPEN: "open",
    SessionState.NOT_REUSABLE: "not reusable",
    SessionState.UPGRADED: "upgraded",
    SessionState.BROKEN: "broken until reset()",
    SessionState.CLOSED: "closed",
}


class Session(HasSharedState):
    """The two halves of one HTTP/1.1 connection, and its life.

    Each half is made when it is needed, and imported then: an exchange that is as most are needs
    neither.

    Args:
        config: of the connection.
        timeout: seconds that may pass without anything moving, or `Timeouts`, or None.
        expect100_timeout: seconds to wait for 100 (Continue), unless *timeout* says otherwise.

    Attributes:
        limits: the time limits that hold for its exchanges: those of `shared`.
        shared: what both halves use.

    """

    protocol = "http/1.1"
    concurrent = False

    __slots__ = ("_begun", "_expect100_timeout", "_receiver", "_sender", "limits")

    def __init__(
        self,
        config: ConnectionConfig,
        timeout: float | Timeouts | None,
        expect100_timeout: float | None,
    ) -> None:
        self.shared = self.limits = SharedState(config, timeout)
        self._receiver: Receiver | None = None
        self._sender: Sender | None = None
        self._begun: _Begun | None = None
        self._expect100_timeout = expect100_timeout
        config.recent_heads.patience = PATIENCE

    @property
    def receiver(self) -> Receiver:
        """The receiving half."""
        receiver = self._receiver
        if receiver is not None:
            return receiver
        from .receiver import Receiver  # noqa: PLC0415 - see the class

        with exclusive.changing:
            if self._receiver is None:
                receiver = Receiver(self.shared)
                receiver.limit_continue(self._expect100_timeout)
                self._receiver = receiver
            return self._receiver

    @property
    def sender(self) -> Sender:
        """The sending half."""
        sender = self._sender
        if sender is not None:
            return sender
        from .sender import Sender  # noqa: PLC0415 - see the class

        receiver = self.receiver
        with exclusive.changing:
            if self._sender is None:
                self._sender = Sender(self.shared, receiver)
            return self._sender

    def limit(self, timeout: float | Timeouts | None, expect100_timeout: float | None) -> None:
        """Let other time limits hold for every wait that begins from now on.

        Raises:
            ValueError, TypeError: *timeout* is no time limit.

        """
        self.shared.limit(timeout)
        for exchange in self.shared.pending.copy():
            exchange.head_until = None
        with exclusive.changing:
            self._expect100_timeout = expect100_timeout
            if self._receiver is not None:
                self._receiver.limit_continue(expect100_timeout)

    # ---- whole exchanges: `begin`, a wait for the response, `finish`, and `leave` in any case

    def begin(  # noqa: C901, PLR0912 - the shortest way: each call would count
        self, exchange: Exchange, head: bytes, body: Data | None
    ) -> bool | Co[None]:
        """Send a request that has nothing before it, if that is possible at once.

        A new session is connected before, if that is possible at once.

        Args:
            exchange: of the request. It counts as abandoned until its response is read, so that an
                interruption at any point cannot hand the response to the next one.
            head: of the request.
            body: the whole of it, or None.

        Returns:
            True: it was sent, and the caller has exclusive use of both directions until `leave`.
            False: nothing was sent; another way may be tried. An operation: it was sent in part,
            and the operation sends the rest.

        Raises:
            ClientCertificateRefused: the server has refused the connection for that.
            DugongError: what `Sender.request` raises, on a session that is not connected yet.
            BaseException: anything that interrupted it; the session is broken then.

        """
        shared = self.shared
        if not shared.direct or shared.exchanging is not None:
            return False
        shared.exchanging = exchange  # first: whoever finds it next knows that this has not ended
        if not shared.sending.acquire(False):
            shared.exchanging = None
            return False
        if not shared.reading.acquire(False):
            shared.exchanging = None
            shared.sending.release()
            self.sender.after_use()
            return False
        # From here on no other thread sends, takes what arrives, or closes the descriptor.
        stream = shared.stream
        if (
            stream is None
            or shared.pending
            or shared.state is not OPEN
            or (self._sender is not None and self._sender.state is not READY)
        ):
            if shared.state is NEW:
                return self._begin_new(exchange, head, body)
            self.leave()
            return False
        try:
            if stream.is_idle():
                exchange.abandoned = True
                shared.pending.append(exchange)
                if body is None:
                    missing = len(head) - (stream.send((head,)) or 0)
                else:
                    missing = len(head) + len(body) - (stream.send((head, body)) or 0)
                if not missing:
                    exchange.sent = True
                    return True
            else:  # the look has taken what there was: a second one would see nothing
                shared.retire()
                missing = -1
        except BaseException as exc:
            if not self._nothing_was_sent(exc, exchange):
                raise
            missing = -1
        if missing < 0:
            self.leave()
            return False
        shared.reading.release()
        shared.after_reading()  # so that the sender can look for an early final response
        return self.sender.send_rest(stream, exchange, head, body, missing)

    def _begin_new(self, exchange: Exchange, head: bytes, body: Data | None) -> bool | Co[None]:
        """Do what `begin` does, if this session is not connected yet; with exclusive use."""
        shared = self.shared
        exchange.abandoned = True
        try:
            connecting = shared.open()
        except BaseException as exc:
            self.sender.note(exc, exchange)
            self.leave()
            raise
        if connecting is not None:
            shared.reading.release()
            shared.after_reading()  # so that the sender can look for an early final response
            return self._co_connect_and_send(connecting, exchange, head, body)
        try:
            rest = self._send_first(exchange, head, body)
        except BaseException:
            self.leave()
            raise
        if rest is None:
            return True
        shared.reading.release()
        shared.after_reading()
        return rest

    def _send_first(self, exchange: Exchange, head: bytes, body: Data | None) -> Co[None] | None:
        """Send the first request of a connection; return what sends the rest, None for nothing."""
        shared = self.shared
        try:
            stream = shared.stream or shared.live_stream()
            shared.pending.append(exchange)
            if body is None:
                missing = len(head) - (stream.send((head,)) or 0)
            else:
                missing = len(head) + len(body) - (stream.send((head, body)) or 0)
            if not missing:
                exchange.sent = True
                return None
        except BaseException as exc:
            self.sender.note_unsent(exc, exchange, head, body)
            raise
        return self.sender.send_rest(stream, exchange, head, body, missing)

    def _co_connect_and_send(
        self, connecting: Co[None], exchange: Exchange, head: bytes, body: Data | None
    ) -> Co[None]:
        """Connect, and send the first request, for a caller that has exclusive use of sending."""
        shared = self.shared
        rest = None
        try:
            try:
                yield from connecting
            except BaseException as exc:
                self.sender.note(exc, exchange)
                raise
            rest = self._send_first(exchange, head, body)
        finally:
            if rest is None:
                shared.sending.release()
                if shared.reader_waits is not None or shared.left is not None:
                    self.wake_others()
        if rest is not None:
            yield from rest

    def _nothing_was_sent(self, exc: BaseException, exchange: Exchange) -> bool:
        """Return True if *exc* ended `begin` in a way after which another one may be tried."""
        shared = self.shared
        lost = isinstance(exc, ConnectionClosed)
        if lost:
            shared.retire()
            shared.pending.clear()
        else:
            shared.fail(StateError(f"sending was interrupted by {exc!r}"))
        if lost and not isinstance(exc, ClientCertificateRefused):
            return True
        shared.label(exc, exchange)
        self.leave()
        return False

    def finish(self, exchange: Exchange) -> Reply | None:
        """Read the response to *exchange*, if it is here as a whole and nothing else.

        Returns:
            The response; None if not all of it is here, or something is unusual about it: then
            `co_reply` reads it, unless `awaits_rest` says that another `finish` is worth while.
            Nothing that has been received is lost.

        Raises:
            InvalidResponse: its framing makes no sense.
            ConnectionClosed: the connection was lost.

        """
        # Such a response never enters the buffer, whose calls would be a fifth of all steps.
        # If this is interrupted the bytes are lost, and the session broken.
        shared = self.shared
        stream = shared.stream
        if stream is None or (self._receiver is not None and self._receiver.buffer.data):
            return None if self._begun is None else self._finish_rest(exchange)
        config = shared.config
        spare = config.spare
        try:
            memory = spare.pop()
        except IndexError:
            memory = new_memory(config.buffer_size)
        data, view = memory
        count = stream.recv_into(view)
        if not count:
            spare.append(memory)
            return None
        heads = config.recent_heads
        wire, head = heads.last
        if not data.startswith(wire):
            wire, head = heads.likely.get(exchange.target, NO_HEAD)
            if not data.startswith(wire):
                head = heads.find_for(exchange.target, data, 0, count)
                if head is None or head.status < FINAL:
                    self.receiver.buffer.adopt(memory, count)
                    return None
        size = head.whole
        if size < 0 or exchange.method in APART:
            size = whole_size(exchange.method, head)
        if count != size:
            self.receiver.buffer.adopt(memory, count)
            # Of a head in part the rest may be what an earlier response has left in the memory.
            if head.size <= count < size <= config.buffer_size and (
                head.status < config.whole_below
            ):
                self._begun = _Begun(exchange, head, size)
            return None
        body = bytes(view[head.size : count])
        spare.append(memory)
        del shared.pending[0]
        return Reply(exchange, head, body, True)

    def _finish_rest(self, exchange: Exchange) -> Reply | None:
        """Do what `finish` does, when it has been called before."""
        stream = self.shared.stream
        if stream is None or self._begun is None or self._begun.exchange is not exchange:
            return None
        head, size = self._begun.head, self._begun.size
        buffer = self.receiver.buffer
        filled = buffer.fill(stream)
        if filled is None:
            return None
        if filled and buffer.end < size:
            self._begun.until = None
            return None
        self._begun = None
        if buffer.end != size or buffer.begin:
            return None
        body = bytes(buffer.view(size)[head.size :])
        buffer.give_back()
        del self.shared.pending[0]
        return Reply(exchange, head, body, True)

    def awaits_rest(self, exchange: Exchange) -> bool:
        """Return True if the head of the response to *exchange* is here, and the body is to come.

        Many servers send the two separately. Then `rest_need`, or `wait_for_rest`, and another
        `finish` are worth while.
        """
        return self._begun is not None and self._begun.exchange is exchange

    def wait_for_rest(self) -> None:
        """Do the wait of `rest_need`, blocking."""
        need = self.rest_need()
        if need.deadline is None:
            wait(need, None)
        else:
            wait(need, need.deadline - time.monotonic())

    def rest_need(self) -> PollNeeded:
        """Return the wait for the rest of a response.

        Raises:
            ConnectionClosed: the connection was closed.
            ConnectionTimedOut: nothing has arrived for the time-out of the connection.

        """
        shared, begun = self.shared, self._begun
        stream = shared.stream or shared.live_stream()
        stream.quick_ack()  # the server may hold back what is less than a packet
        if begun is None or (timeout := shared.timeout) is None:
            return stream.wanted_by_recv(None).because("body")
        now = time.monotonic()
        if begun.until is None:
            begun.until = now + timeout
        elif now >= begun.until:
            head = begun.head.size
            raise late_body(timeout, self.receiver.buffer.end - head, begun.size - head)
        return stream.wanted_by_recv(begun.until).because("body")

    def take_replies(self, most: int) -> list[tuple[HTTPResponse, bytes]]:
        """Take the responses to the first pending requests, if all of them was received before.

        Args:
            most: how many to take at most.

        Returns:
            The responses and their bodies. There are no more if not all of the next one is here,
            if something is unusual about it, wrong with it, or to be told of it: then `Receiver`
            reads it.

        """
        from .batch import is_usual, take_usual  # noqa: PLC0415 - for pipelines

        shared, buffer = self.shared, self.receiver.buffer
        if buffer.begin == buffer.end or not shared.direct:
            return []

        def take() -> list[tuple[HTTPResponse, bytes]]:
            try:
                if not is_usual(shared, self.receiver):
                    return []
                exchanges = _to_be_read(shared.pending, most)
                taken, _ = take_usual(shared, self.receiver, exchanges, _with_body)
                if taken:
                    self.receiver.bodies.known = True
            except BaseException as exc:
                self.receiver.note(exc)
                raise
            return taken

        return look_if_free(shared, take) or []

    def co_reply(self, exchange: Exchange, deadline: float | None = None) -> Co[Reply]:
        """Read the response to *exchange*, for a caller that has exclusive use of reading.

        Args:
            exchange: of the request.
            deadline: of a time-out that began with a wait, and holds if nothing has arrived since
                that; None to begin anew.

        Returns:
            The response; without a body if that is left to the caller: see
            `ConnectionConfig.whole_below`.

        """
        receiver = self.receiver
        self._check_next(exchange)
        if receiver.buffer.begin < receiver.buffer.end:
            deadline = None
        exchange.abandoned = complete = False
        try:
            response = yield from receiver.co_alone(receiver.read_response, None, deadline=deadline)
            if response.status >= self.shared.config.whole_below:
                complete = True
                return cast("Reply", response)  # its user knows that, as it is not so by default
            body = yield from receiver.co_alone(receiver.bodies.readall, None)
            complete = True
        finally:
            exchange.abandoned = not complete
        return response.with_body(body)

    def co_late_reply(self, exchange: Exchange, deadline: float | None = None) -> Co[Reply]:
        """Do what `co_reply` does, and note what ends it."""
        try:
            return (yield from self.co_reply(exchange, deadline))
        except BaseException as exc:
            self.receiver.note(exc)
            raise

    def _check_next(self, exchange: Exchange) -> None:
        """Check that nobody else has a response to read in front of that to *exchange*.

        Raises:
            StateError: another thread has sent a request in between.
            ConnectionClosed: another thread has closed the connection.

        """
        shared = self.shared
        for each in shared.pending.copy():
            if each is exchange:
                return
            if not each.abandoned:
                what = "another request was sent meanwhile, and its response is still to be read"
                error = StateError(what)
                error.request_sent = "maybe"
                raise shared.labelled(error, exchange)
        shared.check_usable()
        lost = ConnectionClosed("the response was lost with the connection", request_sent="maybe")
        raise shared.labelled(lost, exchange)

    def co_exclusive_reply(self, exchange: Exchange) -> Co[Reply]:
        """Take exclusive use of reading, and read the response to *exchange*.

        Raises:
            StateError: another operation is reading.
            DugongError: what `co_reply` raises.

        """
        return co_reading(self.shared, self._co_exclusive_reply(exchange))

    def _co_exclusive_reply(self, exchange: Exchange) -> Co[Reply]:
        shared = self.shared
        try:
            deadline = None
            tries = 2  # over TLS 1.3 the first bytes are session tickets most of the time
            while tries and self._is_next(exchange):
                tries -= 1
                if deadline is None and shared.head_timeout is not None:
                    deadline = begin_to_wait(shared, exchange, shared.head_timeout)
                stream = shared.stream or shared.live_stream()
                if not stream.buffered:
                    yield stream.wanted_by_recv(deadline)
                reply = self.finish(exchange)
                while reply is None and self.awaits_rest(exchange):
                    yield self.rest_need()
                    reply = self.finish(exchange)
                if reply is not None:
                    return reply
            return (yield from self.co_reply(exchange, deadline))
        except BaseException as exc:
            self.receiver.note(exc)
            raise

    def _is_next(self, exchange: Exchange) -> bool:
        """Return True if the response to *exchange* comes next, and nothing of it is here."""
        shared = self.shared
        return (
            shared.direct
            and shared.state is OPEN
            and exchange.sent
            and len(shared.pending) == 1
            and (self._sender is None or self._sender.state is READY)
            and (self._receiver is None or self._receiver.is_unread())
        )

    def alone(self, exchange: Exchange, head: bytes) -> None:
        """See `Session.alone`."""

    def co_exchange(
        self,
        exchange: Exchange,
        head: bytes,
        body: memoryview | BodyFollowing | None,
        source: Source | None,
        *,
        complete: bool = False,
    ) -> Co[Reply]:
        """See `Session.co_exchange`: never called."""
        raise NotImplementedError

    def takes_batch(self, batch: Sequence[Whole]) -> bool:
        """See `Session.takes_batch`: never called."""
        raise NotImplementedError

    def co_exchange_batch(
        self, batch: Sequence[Whole], replies: list[Reply], *, gathers: bool
    ) -> Co[None]:
        """See `Session.co_exchange_batch`."""
        shared = self.shared
        last, _, _ = batch[-1]
        if shared.state is SessionState.CLOSED:  # its locks may be taken for good, see `is_stuck`
            raise Retired
        shared.exchanging = last  # first: whoever finds it next knows that this has not ended
        try:
            # With the use of reading from the beginning: nobody else shall take a response.
            yield from co_reading(shared, self._co_batch(batch, replies, gathers))
        except (Exception, GeneratorExit):
            shared.exchanging = None
            raise
        # Not after Ctrl-C, which may have left a lock taken: the next one begins a new session.
        shared.exchanging = None

    def _co_batch(self, batch: Sequence[Whole], replies: list[Reply], gathers: bool) -> Co[None]:
        """Do the exchanges of *batch*, with exclusive use of reading."""
        from .batch import BatchReader  # noqa: PLC0415 - for batches

        *before, (last, head, body) = batch
        going = self.sender.request(last, head, body, before, is_operation=True)
        reader = BatchReader(self.shared, self.receiver, batch, replies, gathers=gathers)
        yield from reader.co_exchange(going)

    def gathering(self, missing: int) -> PollNeeded | None:
        """See `Session.gathering`; None if another operation reads."""
        receiver = self.receiver
        return look_if_free(
            self.shared, lambda: receiver.gathering(missing) if receiver.is_between() else None
        )

    def leave(self) -> None:
        """Give back the exclusive use that `begin` has taken."""
        shared = self.shared
        shared.reading.release()
        shared.sending.release()
        shared.exchanging = None  # last: who is interrupted before has left a lock taken, perhaps
        if shared.reader_waits is not None or shared.left is not None or shared.turn_waits:
            try:
                self.wake_others()
            except BaseException:  # Ctrl-C, where it begins
                self.wake_others()
                raise

    def wake_others(self) -> None:
        """Wake others, after `leave`, as nobody has exclusive use any more."""
        shared = self.shared
        if shared.reader_waits is not None:
            shared.wake_reader()
        if shared.left is not None:
            shared.give_back()
        if shared.turn_waits:
            shared.wake_turns()

    # ---- its life

    def is_stuck(self) -> bool:
        """Return True if no exchange can follow, and nobody waits for what is pending."""
        shared = self.shared
        if shared.exchanging is not None or shared.state is BROKEN:
            return True  # the one before was interrupted before it could end, or failed
        if shared.state is OPEN and (self._sender is None or self._sender.state is READY):
            return False
        pending = shared.pending.copy()
        return bool(pending) and all(each.abandoned for each in pending)

    def is_awaited(self) -> bool:
        """Return True if somebody is still to read a response."""
        return self.has_pending() and not all(each.abandoned for each in self.shared.pending.copy())

    def is_open(self) -> bool:
        """Return True if it takes another request; see `Operations.is_open`."""
        shared = self.shared
        if shared.state is not OPEN:
            return False
        if shared.pending:
            return True
        stream = shared.stream
        if self._receiver is None and stream is not None and stream.recv_would_block():
            return True
        from .reconnect import is_silent  # noqa: PLC0415 - for a connection that has ended

        return is_silent(shared, self.receiver.buffer)

    def is_reusable(self) -> bool:
        """Return True if it is open and nothing is under way; see `Operations.is_reusable`."""
        shared = self.shared
        return (
            shared.state is OPEN
            and not shared.pending
            and (self._sender is None or self._sender.state is READY)
            and shared.exchanging is None
            and not shared.sending.locked()  # as `is_used` says, which is a call
            and not shared.reading.locked()
        )

    def has_pending(self) -> bool:
        """Return True if a response is outstanding, or partly read."""
        shared = self.shared
        return bool(shared.pending) and shared.state is not SessionState.CLOSED

    def is_incomplete(self) -> bool:
        """Return True if a response, or the body of a request, is not complete."""
        if self.shared.pending:
            return True
        if self._receiver is not None and self._receiver.bodies.body is not None:
            return True
        sender = self._sender
        return sender is not None and sender.state is not READY and sender.is_writing()

    def clear(self) -> None:
        """Forget what was received and not taken: the session is closed, and nobody reads."""
        if self._receiver is not None:
            self._receiver.clear()

    @property
    def concurrency(self) -> int:
        """See `Operations.concurrency`."""
        return 1

    @property
    def remote_settings(self) -> H2Settings | None:
        """None: HTTP/1.1 has no settings."""
        return None

    def co_ping(self) -> Co[float]:
        """See `Operations.co_ping`. Raises `StateError`."""
        raise self._only_http2("PING")

    def co_serve(self) -> Co[None]:
        """See `Operations.co_serve`. Raises `StateError`."""
        raise self._only_http2("co_serve()")

    def update_window(self, size: int) -> None:  # noqa: ARG002 - there is none
        """See `Operations.update_window`. Raises `StateError`."""
        raise self._only_http2("update_window()")

    def _only_http2(self, what: str) -> StateError:
        return self.shared.labelled(StateError(f"{what} goes with HTTP/2, not with HTTP/1.1"))

    def take_stream(self) -> Stream | None:
        """Return None: it is used for HTTP/1.1 whatever it leads to."""
        return None

    def replaced(self) -> None:
        """See `Session.replaced`: no exchange needs it, as they come one after the other."""
        abort(self)

    def __repr__(self) -> str:
        """Return the origin, the state, and how many responses are pending."""
        shared = self.shared
        count = len(shared.pending) if self.has_pending() else 0
        pending = f", {count} response{'s' * (count > 1)} pending" if count else ""
        return f"{shared.route.origin}{shared.route.detour}: {STATES[shared.state]}{pending}"


def begin_to_wait(shared: SharedState, exchange: Exchange, timeout: float) -> float:
    """Return the deadline of the first wait, of *timeout*, for the response to *exchange*."""
    now = time.monotonic()
    if shared.head_limit is not None:
        exchange.head_until = now + shared.head_limit
    return now + timeout


class _Begun:
    """A response of which the head is here, and not all of the body.

    Args:
        exchange: the exchange.
        head: of its response.
        size: of head and body, in bytes.

    Attributes:
        until: when it is too late for more, in seconds of `time.monotonic`; None before a wait.

    """

    __slots__ = ("exchange", "head", "size", "until")

    def __init__(self, exchange: Exchange, head: Head, size: int) -> None:
        self.exchange = exchange
        self.head = head
        self.size = size
        self.until: float | None = None


def _to_be_read(pending: Iterable[Exchange], most: int) -> Iterator[Exchange]:
    """Yield the first *most* exchanges whose responses the next reader of responses gets."""
    for exchange in itertools.islice(pending, most):
        if not exchange.sent or exchange.abandoned or exchange.upgrades:
            return
        yield exchange


def _with_body(exchange: Exchange, head: Head, body: bytes, _: bool) -> tuple[HTTPResponse, bytes]:
    """Return a response, of which somebody may hear by its exchange, too, and its body."""
    exchange.final = head
    return HTTPResponse(exchange, head, len(body)), body
