"""What the two halves of a connection share: the stream, and who waits for what.

Who closes a connection takes nothing away from operations that run in other threads at that
moment: they keep the link and the halves, which lead nowhere any more, and the connection
goes on with new ones. See `SharedLink.abandon`.

A child process that inherits a connection closes its copy at once, without sending
anything: the connection stays the parent's.

Not here: what either half does (sender.py, receiver.py).
"""

from __future__ import annotations

import copy
import os
import sys
import weakref
from collections import deque
from collections.abc import Callable
from threading import Lock, RLock
from typing import TYPE_CHECKING, TypeVar

from ...errors import (
    ConnectFailed,
    ConnectionClosed,
    DugongError,
    ProtocolError,
    Sent,
    TransportError,
)
from ...http.hosts import HTTPS_PORT
from ...polling.contract import Co
from ...polling.timeouts import NO_LIMITS, Timeouts, stalling
from ...polling.wake import co_checkpoint
from ...transport.connect.happy_eyeballs import Attempt
from ...transport.connect.open import at_once, begin, co_open
from ...transport.connect.route import Route
from ...transport.stream import Stream
from ..close_listeners import Closing
from ..exchange import Exchange
from .states import BROKEN, CLOSED, LINK, OPEN, Linked, follow

if TYPE_CHECKING:
    from ...transport.timings import Timings


E = TypeVar("E", bound=BaseException)
PEERS = (ProtocolError, TransportError)  # errors that the peer or the network have made


class SharedLink:
    """One connection to one origin, which may be closed and opened again.

    Attributes:
        route: where it leads.
        timeouts: how long everything may take.
        timeout: seconds that may pass without anything arriving, or None.
        write_timeout: seconds that may pass without anything being sent, or None.
        pending: the requests whose responses have not been read to their end, in order.
        state: whether the connection can be used.
        raw_stream: the stream even if the connection is broken; None if it is closed.
        closing: the end of the present connection, or of the next one while there is none.
        sender_waits: True while an operation waits until something can be sent.
        used: True if it has ever been open: then there may be something to forget.
        abandoned: True if only operations that were under way when it was closed know it.
        timings: of the response whose head was read last; None if nobody takes the time.

    """

    limits_operations = False  # is there somebody who looks at `Timeouts.total`?
    timings: Timings | None = None

    __slots__ = (
        *("_failure", "closing", "pending", "raw_stream", "route", "sender_waits", "state"),
        *("__weakref__", "_close_left", "_turns", "abandoned", "timeout", "timeouts", "used"),
        "write_timeout",
    )

    def __init__(self, route: Route, timeout: float | Timeouts | None) -> None:
        self.route = route
        if timeout is None:  # as with `limit`, but connections are made often
            self.timeouts = NO_LIMITS
            self.timeout = self.write_timeout = None
        else:
            self.limit(timeout)
        self.pending: deque[Exchange] = deque()
        self.state = CLOSED
        self.raw_stream: Stream | None = None
        self.sender_waits = False
        self.used = False
        self.abandoned = False
        self._close_left: Callable[[], object] | None = None
        self._turns: tuple[Lock, ...] = ()
        self._failure: Exception | None = None
        self.closing = Closing()

    timeouts: Timeouts
    timeout: float | None
    write_timeout: float | None

    def limit(self, timeout: float | Timeouts | None) -> None:
        """Let *timeout* hold for every wait that begins from now on.

        Raises:
            ValueError, TypeError: it is no time limit, or not one for this connection.

        """
        if not isinstance(timeout, Timeouts):
            self.timeouts = stalling(timeout)
            self.timeout = self.write_timeout = timeout
            return
        if timeout.total is not None and not self.limits_operations:
            raise ValueError("a total limit needs a connection that was made with Timeouts")
        self.timeouts = timeout
        self.timeout = timeout.to_read
        self.write_timeout = timeout.to_write

    @property
    def bare_stream(self) -> Stream | None:
        """`raw_stream` without what only listens to it."""
        return self.raw_stream

    def successor(self) -> SharedLink:
        """Return a new link to the same place, for the connection that has abandoned this one."""
        successor = self._another()
        if self.closing.done:
            successor.closing = self.closing
        else:
            successor.closing.end(None)
        return successor

    def _another(self) -> SharedLink:
        return SharedLink(self.route, self.timeouts)

    @property
    def stream(self) -> Stream:
        """The open stream.

        Raises:
            ConnectionClosed: the connection is closed or broken.

        """
        self.check_unbroken()
        if self.raw_stream is None:
            raise ConnectionClosed("the connection is closed")
        return self.raw_stream

    def check_unbroken(self) -> None:
        """Raise `ConnectionClosed` if the connection is broken."""
        if self.state is not BROKEN:
            return
        with _moving:  # another thread may be about to say why
            failure = self._failure
        sent: Sent = "maybe" if self.pending else "no"
        if self.abandoned:
            raise ConnectionClosed("the connection was closed meanwhile", request_sent=sent)
        raise _broken(failure, sent) from failure  # in no variable, see `SharedLink.labelled`

    def label(self, exc: BaseException, exchange: Exchange | None = None) -> None:
        """Say in *exc*, if it is an error of the library, what it is about.

        Args:
            exc: what an operation has raised.
            exchange: the request that it is about; None if there is none, as of connecting.

        """
        if not isinstance(exc, DugongError) or exc.url:
            return
        route = self.route
        if exchange is None:
            exc.label("", route.origin, route.detour)
        else:
            method = ascii(exchange.method)[1:-1]  # perhaps it is none
            exc.label(method, route.url(method, exchange.path))
            unencrypted = route.port == HTTPS_PORT and route.ssl_context is None
            if unencrypted and not exchange.answered and isinstance(exc, PEERS):
                exc.append("on the port of https: is ssl_context=default_ssl_context() missing?")

    def labelled(self, exc: E, exchange: Exchange | None = None) -> E:
        """Return *exc*, about to be raised, with its label; see `label`.

        It is in no variable of who raises it then: it leads to the frame by its traceback, and both
        would be garbage in a circle, with the link and its descriptor.
        """
        self.label(exc, exchange)
        return exc

    def label_received(self, exc: BaseException) -> None:
        """As `label`, of an error of reading: it is about the first response that is pending."""
        pending = self.pending
        self.label(exc, pending[0] if pending else None)

    def open(self) -> Co[None] | None:
        """Connect, if that is possible at once; else return the operation that does it.

        Raises what `co_open` in open.py raises.
        """
        try:
            attempt = begin(self.route)
        except ConnectFailed as exc:
            self.label(exc)
            return self._co_fail(exc)
        except DugongError as exc:
            self.label(exc)
            raise
        if attempt is None or (stream := at_once(self.route, attempt)) is None:
            return self._co_open(attempt)
        self._opened(stream)
        return None

    def _co_open(self, attempt: Attempt | None) -> Co[None]:
        if attempt is None:
            going = co_open(self.route, self.timeouts)
        else:
            going = co_open(self.route, self.timeouts, attempt)
        try:
            stream = yield from going
        except ConnectFailed as exc:
            self.label(exc)
            yield from co_checkpoint()  # as `_co_fail` has it
            raise
        except DugongError as exc:
            self.label(exc)
            raise
        self._opened(stream)

    @staticmethod
    def _co_fail(failure: ConnectFailed) -> Co[None]:
        """Raise *failure*, but let others run before: it may be tried again and again."""
        try:
            yield from co_checkpoint()
            raise failure
        finally:
            del failure  # or it would keep this frame, which keeps it, and what was half open

    def _opened(self, stream: Stream) -> None:
        with _moving:
            if not self.abandoned:
                self._move(Linked.CONNECTED)
                self.used = True
                if self.closing.done:
                    self.closing = Closing()
                self.raw_stream = stream
                _open.add(self)
                return
        stream.close()
        self.check_unbroken()

    def _move(self, event: Linked) -> None:
        """Follow *event*, which both halves and any thread may do at the same time."""
        with _moving:
            self.state = follow(LINK, self.state, event)

    def append(self, exchange: Exchange) -> None:
        """Let the response to *exchange* be expected behind all others.

        Raises:
            ConnectionClosed: one of them is the last one of this connection.

        """
        with _moving:  # see `end_use`
            if self.state is OPEN:
                self.pending.append(exchange)
                return
        raise ConnectionClosed("the connection takes no further request, since a moment ago")

    def end_use(self, response: object) -> None:
        """Take the first of the pending requests off, as *response*, now complete, is the last one.

        Those behind it get no response: what may come is none (RFC 9112 section 9.6).
        """
        with _moving:  # the other thread shall not append a request in between
            self.spend()
            self.pending.popleft()
            failed = False
            if self.pending:
                last = ConnectionClosed(f"{response} was the last one")
                self.label(last)
                failed = self._fail(last)
        if failed:
            self.closing.end(self._failure)

    def spend(self) -> None:
        """Let the connection take no further request."""
        if self.raw_stream is not None:
            self._move(Linked.NO_REUSE)

    def switch(self) -> None:
        """Note that what follows on the stream is no HTTP."""
        self._move(Linked.SWITCHED)

    def hand_over(self) -> Stream | None:
        """Give the stream up: from now on it is whoever calls this who closes it.

        Raises:
            StateError: it is not one that has left HTTP.

        """
        self._move(Linked.HANDED_OVER)
        _open.discard(self)
        stream, self.raw_stream = self.raw_stream, None
        return stream

    def fail(self, failure: Exception) -> None:
        """Let every further use raise `ConnectionClosed`, with *failure* as its cause."""
        self.label_received(failure)
        with _moving:
            failed = self._fail(failure)
        if failed:  # not under the lock, as there are others who are told
            self.closing.end(self._failure)

    def _fail(self, failure: Exception) -> bool:
        """Break the connection, and return True if it was not broken before."""
        self._move(Linked.FAILED)
        if self._failure is not None or self.state is not BROKEN:
            return False
        # Without its traceback, which leads back to here: the descriptor would stay open
        # until the garbage collector runs.
        self._failure = copy.copy(failure)
        return True

    def stop_sending(self) -> None:
        """Wake the operation that waits to send, if there is one: it shall do so no more."""
        if self.sender_waits and self.raw_stream is not None:
            self.raw_stream.shut_down_writing()

    def drop(self) -> None:
        """Close the stream and forget what is pending.

        Nobody may be waiting for it, and the peer hears nothing if another process has the
        connection as well: it is the parent's.
        """
        stream = self.detach()
        if stream is not None:
            self.tell_closed(stream)
            stream.close()
            self.closing.end(None)

    def tell_closed(self, stream: Stream) -> None:
        """Tell that *stream*, which was detached or abandoned, is about to be closed."""

    def tell_retry(self, failure: Exception | None, requests: int) -> None:
        """Tell that *requests* are sent again because of *failure*, or a proxy asked again."""

    def detach(self) -> Stream | None:
        """Forget the stream and what is pending; return the stream, to be closed."""
        with _moving:
            stream = self.raw_stream
            if stream is not None or self.state is not CLOSED:
                self._move(Linked.DROPPED)
                _open.discard(self)
                self.raw_stream = None
                self._failure = None
        self.sender_waits = False  # whoever did is in the parent process
        self.pending.clear()
        return stream

    def abandon(self) -> Stream | None:
        """Forget the stream, and nothing else; return it, to be closed.

        Operations that are under way end with `ConnectionClosed` where they would need it,
        and find everything else as they have left it.
        """
        with _moving:
            self._move(Linked.ABANDONED)
            self.abandoned = True  # before the stream is missed
            _open.discard(self)
            stream, self.raw_stream = self.raw_stream, None
        return stream

    def leave(self, stream: Stream, turns: tuple[Lock, ...]) -> None:
        """Have *stream*, which was abandoned, closed when the last operation that uses it ends.

        Another thread may be about to wait for its descriptor: if that was closed now its number
        could be another file's by then, and the wait would never end.

        Args:
            stream: what `abandon` returned.
            turns: of the halves; they are locked while an operation runs. Not the roles, which
                have this link: it would be garbage in a circle.

        """
        self._turns = turns
        # Should a turn never be given back, as after Ctrl-C in the wrong place.
        self._close_left = weakref.finalize(self, stream.close)
        self.let_go()

    def let_go(self) -> None:
        """Close what was abandoned, unless an operation is under way; called when one has ended.

        Who takes a turn from now on finds no stream. Whoever keeps the exception of an
        operation, and with that this link, keeps no descriptor open.
        """
        close = self._close_left
        if close is None or any(turn.locked() for turn in self._turns):
            return
        try:
            close()
        except Exception:  # noqa: BLE001 - it is not that of the operation, which has its own end
            sys.excepthook(*sys.exc_info())


def _broken(failure: Exception | None, sent: Sent) -> ConnectionClosed:
    """Return the error of using a connection that *failure* has broken."""
    broken = ConnectionClosed(
        f"the connection is broken until reset() is called: {failure}", request_sent=sent
    )
    if isinstance(failure, ConnectionClosed):
        broken.retryable = failure.retryable
    return broken


def moving() -> RLock:
    """Return the lock that is held while the states of links change."""
    return _moving


_open: set[SharedLink] = set()  # what a child process has to drop; who owns a link drops it

# Held for microseconds, when the state of a link changes: so not by small requests that go
# well. The same thread may take it twice, as the garbage collector and handlers of signals run
# anywhere.
_moving = RLock()


def _drop_inherited() -> None:
    global _moving  # noqa: PLW0603 - it is for the process
    _moving = RLock()  # the thread that had it is in the parent
    for link in list(_open):
        link.closing = Closing()  # those who wait for the end are in the parent
        link.drop()


if hasattr(os, "register_at_fork"):  # not on Windows, where nothing forks
    os.register_at_fork(after_in_child=_drop_inherited)
