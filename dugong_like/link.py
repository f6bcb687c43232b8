"""What the two halves of a connection share: the stream, and who waits for what.

A child process that inherits a connection closes its copy at once, without sending
anything: the connection stays the parent's.

Not here: what either half does (sending.py, receiving.py).
"""

from __future__ import annotations

import copy
import os
from collections import deque

from .closing import Closing
from .connect import Route, at_once, begin, co_open
from .errors import ConnectionClosed
from .http1.states import LINK, Link, Linked, follow
from .message import Exchange
from .polling import Co
from .timeouts import NO_LIMITS, Timeouts, stalling
from .transport.stream import Stream
from .transport.tcp import Attempt


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

    """

    limits_operations = False  # is there somebody who looks at `Timeouts.total`?

    __slots__ = (
        *("_failure", "closing", "pending", "raw_stream", "route", "sender_waits", "state"),
        *("timeout", "timeouts", "used", "write_timeout"),
    )

    def __init__(self, route: Route, timeout: float | Timeouts | None) -> None:
        self.route = route
        if timeout is None:  # as with `limit`, but connections are made often
            self.timeouts = NO_LIMITS
            self.timeout = self.write_timeout = None
        else:
            self.limit(timeout)
        self.pending: deque[Exchange] = deque()
        self.state = Link.CLOSED
        self.raw_stream: Stream | None = None
        self.sender_waits = False
        self.used = False
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
        if self.state is Link.BROKEN:
            raise ConnectionClosed(
                f"the connection is broken until reset() is called: {self._failure}",
                request_sent="maybe" if self.pending else "no",
            ) from self._failure

    def open(self) -> Co[None] | None:
        """Connect, if that is possible at once; else return the operation that does it.

        Raises what `co_open` in connect.py raises.
        """
        attempt = begin(self.route)
        if attempt is None or (stream := at_once(self.route, attempt)) is None:
            return self._co_open(attempt)
        self._opened(stream)
        return None

    def _co_open(self, attempt: Attempt | None) -> Co[None]:
        if attempt is None:
            going = co_open(self.route, self.timeouts)
        else:
            going = co_open(self.route, self.timeouts, attempt)
        self._opened((yield from going))

    def _opened(self, stream: Stream) -> None:
        self.used = True
        if self.closing.done:
            self.closing = Closing()
        self.raw_stream = stream
        self.state = follow(LINK, self.state, Linked.CONNECTED)
        _open.add(self)

    def spend(self) -> None:
        """Let the connection take no further request."""
        if self.raw_stream is not None:
            self.state = follow(LINK, self.state, Linked.NO_REUSE)

    def switch(self) -> None:
        """Note that what follows on the stream is no HTTP."""
        self.state = follow(LINK, self.state, Linked.SWITCHED)

    def hand_over(self) -> Stream | None:
        """Give the stream up: from now on it is whoever calls this who closes it.

        Raises:
            StateError: it is not one that has left HTTP.

        """
        self.state = follow(LINK, self.state, Linked.HANDED_OVER)
        _open.discard(self)
        stream, self.raw_stream = self.raw_stream, None
        return stream

    def fail(self, failure: Exception) -> None:
        """Let every further use raise `ConnectionClosed`, with *failure* as its cause."""
        self.state = follow(LINK, self.state, Linked.FAILED)
        if self._failure is None and self.state is Link.BROKEN:
            # Without its traceback, which leads back to here: the descriptor would stay open
            # until the garbage collector runs.
            self._failure = copy.copy(failure)
            self.closing.end(self._failure)

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
            stream.close()
            self.closing.end(None)

    def detach(self) -> Stream | None:
        """Forget the stream and what is pending; return the stream, to be closed."""
        stream = self.raw_stream
        if stream is not None or self.state is not Link.CLOSED:
            self.state = follow(LINK, self.state, Linked.DROPPED)
            _open.discard(self)
            self.raw_stream = None
            self._failure = None
            self.sender_waits = False  # for what is of the past now
        self.pending.clear()
        return stream


_open: set[SharedLink] = set()  # what a child process has to drop; who owns a link drops it


def _drop_inherited() -> None:
    for link in list(_open):
        link.closing = Closing()  # those who wait for the end are in the parent
        link.drop()


if hasattr(os, "register_at_fork"):  # not on Windows, where nothing forks
    os.register_at_fork(after_in_child=_drop_inherited)
