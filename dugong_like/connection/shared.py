"""The part of a session that both of its halves use: the stream, the state, the exchanges.

The protocol between the two halves, and between threads, is at the top of session.py.

A child process that inherits a session closes its copy at once, without sending anything: the
connection stays the parent's.

Not here: sending (sender.py), receiving (receiver.py), and closing (cancelling.py).
"""

from __future__ import annotations

import copy
from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING, TypeVar

from ..errors import (
    ConnectFailed,
    ConnectionClosed,
    DugongError,
    ProtocolError,
    Sent,
    TransportError,
)
from ..http.hosts import HTTPS_PORT
from ..polling.contract import POLLOUT, Co
from ..polling.fair_lock import FairLock
from ..polling.timeouts import NO_LIMITS, Timeouts
from ..polling.wake import Wake, co_checkpoint
from ..transport import exclusive
from ..transport.connect import open as connecting
from ..transport.exclusive import StreamInUse
from .exchange import Exchange
from .states import BROKEN, CLOSED, NEW, OPEN, SESSION, SessionEvent, follow
from .time_limits import set_limits

if TYPE_CHECKING:
    from threading import RLock

    from ..transport.connect.route import Route
    from ..transport.filters.minimum_rate import Meter
    from ..transport.stream import Stream
    from ..transport.timings import Timings
    from .config import ConnectionConfig
    from .h1.trace_events import Observer

E = TypeVar("E", bound=BaseException)
MANY = 256  # pending requests: a list that is longer takes longer to lose its first one
PEERS = (ProtocolError, TransportError)  # errors that the peer or the network have made


class HasSharedState:
    """Base of the sessions of either protocol: the part by which they are found (reasons.py).

    Attributes:
        shared: see `SharedState`.

    """

    __slots__ = ("shared",)

    shared: SharedState


class SharedState(StreamInUse):
    """One connection to one origin, from before it is opened until it is closed.

    Args:
        config: of the connection.
        timeout: see `limit`.

    Attributes:
        config: as given.
        route: where it leads.
        timeouts: how long everything may take.
        timeout: seconds that may pass without anything arriving, or None.
        write_timeout: seconds that may pass without anything being sent, or None.
        head_timeout: seconds that may pass until a response begins, or None.
        head_limit: see `TimeLimits`.
        total: `Timeouts.total`.
        pending: the requests whose responses have not been read to their end, in order.
        state: whether the session can be used.
        stream: see `StreamInUse`; it is there even if the session is broken.
        reading: locked while an operation reads, or the sender peeks at what has arrived.
        peeking: locked while the sender peeks; None before it does. See `exclusive.peek`.
        sender_waits: True while an operation waits until something can be sent.
        reader_waits: what wakes a reader that waits until a request is sent, or None.
        lost: True if it was closed under a response or a request that was not complete.
        exchanges: by it those take turns that exchange on the same connection; None if nobody does.
        exchanging: the exchange whose response only its own operation may read, or None.
        direct: True if nothing has to see what passes, and no limit is one of whole operations.
        ended: True if the connection has ended, in order or not.
        reason: what ended it; None if it ended in order, or has not ended.
        observer: emits events; None if nobody asked.
        meter: counts for the minimum rate; None if it may be as slow as it likes.
        turn_waits: flags of those that wait until the response to their request is next.
        timings: of the response whose head was read last; None if nobody takes the time.

    """

    __slots__ = (
        *("_callbacks", "_closed_by_us", "_failure", "config", "direct"),
        *("ended", "exchanges", "exchanging", "head_limit", "head_timeout", "lost", "meter"),
        *("observer", "peeking", "pending", "reader_waits", "reason", "route", "sender_waits"),
        *("state",),
        *("timeout", "timeouts", "timings", "total", "turn_waits", "write_timeout"),
    )

    timeouts: Timeouts
    timeout: float | None
    write_timeout: float | None
    head_timeout: float | None
    head_limit: float | None
    total: float | None

    def __init__(self, config: ConnectionConfig, timeout: float | Timeouts | None) -> None:
        StreamInUse.__init__(self)
        self.config = config
        self.route = config.route
        self.direct = config.is_direct
        if timeout is None:  # as with `limit`, but connections are made often
            self.timeouts = NO_LIMITS
            self.timeout = self.write_timeout = self.head_timeout = None
            self.head_limit = self.total = None
        else:
            self.limit(timeout)
        # A deque takes 760 bytes, a quarter of an idle connection, but is quicker if many are sent.
        self.pending: list[Exchange] | deque[Exchange] = []
        self.state = NEW
        self.peeking: RLock | None = None
        self.sender_waits = False
        self.reader_waits: Wake | None = None
        self.turn_waits: tuple[Wake, ...] = ()
        self.exchanges: FairLock | None = None
        self.exchanging: Exchange | None = None
        self.lost = False
        self.ended = False
        self.reason: Exception | None = None
        self._failure: Exception | None = None  # what broke it
        self._closed_by_us = False
        self._callbacks: tuple[Callable[[], object], ...] = ()
        self.observer: Observer | None = None
        self.meter: Meter | None = None
        self.timings: Timings | None = None
        if config.is_observed:
            self.observe(config)

    def observe(self, config: ConnectionConfig) -> None:
        """Have an observer for whoever *config* names."""
        from .h1.trace_events import Observer  # noqa: PLC0415 - for connections that have one

        self.observer = Observer(self, config)
        self.route = self.route.traced(self.observer.emit)

    def limit(self, timeout: float | Timeouts | None) -> None:
        """Let *timeout* hold for every wait that begins from now on.

        Raises:
            ValueError, TypeError: it is no time limit.

        """
        set_limits(self, timeout)
        self.direct = self.config.is_direct and self.total is None

    # ---- errors

    def check_usable(self) -> None:
        """Raise `ConnectionClosed` if the session is broken, or was closed."""
        if self.state is BROKEN:
            with exclusive.changing:  # another thread may be about to say why
                failure = self._failure
            raise _broken(failure, self._sent()) from failure  # in no variable, see `labelled`
        if self.state is CLOSED:
            raise ConnectionClosed("the connection was closed meanwhile", request_sent=self._sent())

    def _sent(self) -> Sent:
        return "maybe" if self.pending or self.lost else "no"

    def live_stream(self) -> Stream:
        """Return the open stream.

        Raises:
            ConnectionClosed: the session is broken, or was closed.

        """
        stream = self.stream
        if stream is None or self.state is BROKEN:
            self.check_usable()
        if stream is None:
            raise ConnectionClosed("the connection is closed")
        return stream

    def label(self, exc: BaseException, exchange: Exchange | None = None) -> None:
        """Say in *exc*, if it is an error of the library, what it is about.

        Args:
            exc: what an operation has raised.
            exchange: the request that it is about; None if there is none, as of connecting.

        """
        label(exc, self.route, exchange)

    def labelled(self, exc: E, exchange: Exchange | None = None) -> E:
        """Return *exc*, about to be raised, with its label; see `label`.

        It is in no variable of the function that raises it then: it leads to the frame by its
        traceback, and both would be garbage in a circle, with the session and its descriptor.
        """
        self.label(exc, exchange)
        return exc

    def label_received(self, exc: BaseException) -> None:
        """As `label`, of an error of reading: it is about the first response that is pending."""
        pending = self.pending
        self.label(exc, pending[0] if pending else None)

    # ---- for those who ask what is waited for

    def reason_of_wait(self, mask: int) -> str | None:
        """Return what a wait for *mask* on the stream is for; None if that is not known.

        Any thread may ask.
        """
        if mask & POLLOUT and self.sender_waits:
            return "send"
        try:
            exchange = self.pending[0]
        except IndexError:
            return None
        return awaited_of(exchange)

    # ---- connecting

    def open(self) -> Co[None] | None:
        """Connect, if that is possible at once; else return the operation that does it.

        Raises what `co_open` in open.py raises.
        """
        if self.observer is not None:  # each step is an event
            return self._co_open(connecting.co_open(self.route, self.timeouts))
        try:
            stream, attempt = connecting.begin(self.route)
        except ConnectFailed as exc:
            self.label(exc)
            return self._co_fail(exc)
        except DugongError as exc:
            self.label(exc)
            raise
        if stream is not None:
            self.take(stream)
            return None
        if attempt is None:
            return self._co_open(connecting.co_open(self.route, self.timeouts))
        return self._co_open(connecting.co_open(self.route, self.timeouts, attempt))

    def _co_open(self, going: Co[Stream]) -> Co[None]:
        try:
            stream = yield from going
        except ConnectFailed as exc:
            self.label(exc)
            yield from co_checkpoint()  # as `_co_fail` has it
            raise
        except DugongError as exc:
            self.label(exc)
            raise
        self.take(stream)

    @staticmethod
    def _co_fail(failure: ConnectFailed) -> Co[None]:
        """Raise *failure*, but let others run before: it may be tried again and again."""
        try:
            yield from co_checkpoint()
            raise failure
        finally:
            del failure  # or it would keep this frame, which keeps it, and what was half open

    def take(self, stream: Stream) -> None:
        """Have *stream*, which leads to the server.

        Raises:
            ConnectionClosed: the session was closed meanwhile, and so is *stream* now.

        """
        if self.config.filters is not None:
            try:
                stream, self.meter = self.config.filters.wrap(stream)
            except BaseException:
                stream.close()
                raise
        with exclusive.changing:
            if self.state is NEW:
                self.state = follow(SESSION, NEW, SessionEvent.CONNECTED)
                self.opened(stream)
                return
        stream.close()
        self.check_usable()

    # ---- the state

    def has_begun(self) -> bool:
        """Return True if there is a stream, or was about to be when something interrupted that."""
        return self.stream is not None or self.state is not NEW

    def _move(self, event: SessionEvent) -> None:
        """Follow *event*, which both halves and any thread may do at the same time."""
        with exclusive.changing:
            self.state = follow(SESSION, self.state, event)

    def append(self, *exchanges: Exchange) -> None:
        """Let the responses to *exchanges* be expected behind all others.

        Raises:
            ConnectionClosed: one of them is the last one of this connection.

        """
        with exclusive.changing:  # see `end_use`
            if self.state is OPEN:
                self.pending.extend(exchanges)
                return
        self.check_usable()
        raise ConnectionClosed("the connection takes no further request, since a moment ago")

    def take_first(self, count: int = 1) -> None:
        """Take the first *count* pending requests off: their responses are complete."""
        pending = self.pending
        if len(pending) > MANY and isinstance(pending, list):
            with exclusive.changing:  # as others are appended to them
                pending = self.pending = deque(pending)
        if count == 1:
            del pending[0]
        elif isinstance(pending, list):
            del pending[:count]
        else:
            for _ in range(count):
                del pending[0]

    def end_use(self, response: object) -> None:
        """Take the first of the pending requests off, as *response*, now complete, is the last one.

        Those behind it get no response: what may come is none (RFC 9112 section 9.6).
        """
        with exclusive.changing:  # the other thread shall not append a request in between
            self.retire()
            del self.pending[0]
            failed = False
            if self.pending:
                last = ConnectionClosed(f"{response} was the last one")
                self.label(last)
                failed = self._fail(last)
        if failed:
            self.end(self._failure)

    def retire(self) -> None:
        """Let the connection take no further request (RFC 9112 section 9.3)."""
        if self.stream is not None:
            self._move(SessionEvent.RETIRED)

    def upgrade(self) -> None:
        """Note that what follows on the stream is no HTTP (RFC 9110 section 7.8)."""
        self._move(SessionEvent.UPGRADED)

    def detach(self) -> Stream | None:
        """Give the stream up: from now on the caller closes it.

        Raises:
            StateError: it is not one that has left HTTP.

        """
        self._move(SessionEvent.DETACHED)
        stream = self.withdraw()
        if self.meter is not None:  # what follows may rest as long as it likes
            self.meter.stop()
        return stream

    def fail(self, failure: Exception) -> None:
        """Let every further use raise `ConnectionClosed`, with *failure* as its cause."""
        self.label_received(failure)
        with exclusive.changing:
            failed = self._fail(failure)
        if failed:  # not under the lock, as callbacks are called
            self.end(self._failure)

    def _fail(self, failure: Exception) -> bool:
        """Break the session, and return True if it was not broken before."""
        self._move(SessionEvent.FAILED)
        if self._failure is not None or self.state is not BROKEN:
            return False
        # Without its traceback, which leads back to here: the descriptor would stay open
        # until the garbage collector runs.
        self._failure = copy.copy(failure)
        return True

    def stop_sending(self) -> None:
        """Wake the operation that waits to send, if there is one: it shall do so no more."""
        if self.sender_waits and self.stream is not None:
            self.stream.shut_down_writing()

    def after_reading(self) -> None:
        """Wake those that wait for exclusive use of reading, which was given back just now."""
        if self.left is not None:
            self.give_back()
        if self.turn_waits:
            self.wake_turns()

    def wake_turns(self) -> None:
        """Wake those that wait for their turn to read: the one before may have got further."""
        for wake in self.turn_waits:
            wake.set()

    def wake_reader(self) -> None:
        """Wake the reader that waits until a request is sent, if there is one."""
        if (wake := self.reader_waits) is not None:
            wake.set()

    # ---- closing, see cancelling.py

    def turned_away(self) -> DugongError | None:
        """Return a new error if the server has ended an HTTP/2 session and processed no request."""
        return None

    def will_close(self) -> None:
        """Note that the session is being closed in order: no failure that follows is the reason."""
        self._closed_by_us = True

    def drop_inherited(self) -> None:
        """See `StreamInUse.drop_inherited`; nothing is reported."""
        self.peeking = None  # another thread may have it, and it is waited for
        self.sender_waits, self.reader_waits, self.turn_waits = False, None, ()
        if self.exchanges is not None:
            self.exchanges.forget_parent()
        self._callbacks = ()
        self.observer = None
        self.pending.clear()
        self.state, self.ended = CLOSED, True
        super().drop_inherited()

    # ---- the end, for those who wait for it

    def end(self, reason: Exception | None) -> None:
        """Note that the connection has ended because of *reason*; only the first call counts."""
        if self.ended:
            return
        with exclusive.changing:
            if self.ended or (self._closed_by_us and reason is not None):
                return
            self.ended = True
            self.reason = reason
        while self._callbacks:
            with exclusive.changing:
                first, self._callbacks = self._callbacks[:1], self._callbacks[1:]
            for callback in first:
                callback()

    def when_ended(self, callback: Callable[[], object]) -> None:
        """Call *callback* when the connection ends; at once if it has."""
        with exclusive.changing:
            self._callbacks = (
                *self._callbacks,
                callback,
            )  # first, or an end that comes in between is missed
            if not self.ended:
                return
        if self.forget(callback):  # or `end` has called it
            callback()

    def co_wait_ended(self) -> Co[Exception | None]:
        """Wait until the connection ends, and return what ended it."""
        if not self.ended:
            with Wake("close") as wake:
                self.when_ended(wake.set)
                try:
                    yield from wake.co_wait()
                finally:
                    self.forget(wake.set)
        return self.reason

    def forget(self, callback: Callable[[], object]) -> bool:
        """Call *callback* no more; return True if it was to be called."""
        with exclusive.changing:
            callbacks = list(self._callbacks)
            try:
                callbacks.remove(callback)
            except ValueError:
                return False
            self._callbacks = tuple(callbacks)
        return True


def label(exc: BaseException, route: Route, exchange: Exchange | None) -> None:
    """Say in *exc* that it is about *exchange*, or about connecting by *route*.

    Nothing happens if it says that already, or is no `DugongError`.
    """
    if not isinstance(exc, DugongError) or exc.url:
        return
    if exchange is None:
        exc.label("", route.origin, route.detour)
        return
    method = ascii(exchange.method)[1:-1]  # perhaps it is none
    exc.label(method, route.url(method, exchange.target))
    unencrypted = route.port == HTTPS_PORT and route.ssl_context is None
    if unencrypted and not exchange.answered and isinstance(exc, PEERS):
        exc.append("on the port of https: is TLS missing?")


def _broken(failure: Exception | None, sent: Sent) -> ConnectionClosed:
    """Return the error of using a session that *failure* has broken."""
    broken = ConnectionClosed(
        f"the connection is broken until reset() is called: {failure}", request_sent=sent
    )
    if isinstance(failure, ConnectionClosed):
        broken.retryable = failure.retryable
    return broken


def awaited_of(exchange: Exchange) -> str:
    """Return what an operation that reads the response to *exchange* waits for."""
    if exchange.answered:
        return "body"
    return "100 (Continue)" if exchange.expects_continue else "response head"


def open_sessions() -> list[SharedState]:
    """Return the sessions that have a stream."""
    return [use for use in exclusive.all_open() if isinstance(use, SharedState)]
