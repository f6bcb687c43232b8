"""What the two halves of a connection share: the stream, and who waits for what.

A child process that inherits a connection closes its copy at once, without sending
anything: the connection stays the parent's.

Not here: what either half does (sending.py, receiving.py).
"""

from __future__ import annotations

import copy
import os
from collections import deque
from weakref import WeakSet

from .connect import Route, co_open
from .errors import ConnectionClosed
from .http1.states import LINK, Link, Linked, follow
from .message import Exchange
from .polling import Co
from .timeouts import Timeouts, as_timeouts
from .transport.tcp import Stream


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

    """

    limits_operations = False  # is there somebody who looks at `Timeouts.total`?

    __slots__ = (
        *("__weakref__", "_failure", "pending", "raw_stream", "route", "state"),
        *("timeout", "timeouts", "write_timeout"),
    )

    def __init__(self, route: Route, timeout: float | Timeouts | None) -> None:
        self.route = route
        self.limit(timeout)
        self.pending: deque[Exchange] = deque()
        self.state = Link.CLOSED
        self.raw_stream: Stream | None = None
        self._failure: Exception | None = None

    def limit(self, timeout: float | Timeouts | None) -> None:
        """Let *timeout* hold for every wait that begins from now on.

        Raises:
            ValueError, TypeError: it is no time limit, or not one for this connection.

        """
        timeouts = as_timeouts(timeout)
        if timeouts.total is not None and not self.limits_operations:
            raise ValueError("a total limit needs a connection that was made with Timeouts")
        self.timeouts = timeouts
        self.timeout = timeouts.to_read  # looked up often
        self.write_timeout = timeouts.to_write

    @property
    def bare_stream(self) -> Stream | None:
        """`raw_stream` without what only listens to it."""
        return self.raw_stream

    def _step(self, event: Linked) -> None:
        self.state = follow(LINK, self.state, event)

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

    def co_open(self) -> Co[None]:
        """Connect. Raises what `co_open` in connect.py raises."""
        self.raw_stream = yield from co_open(self.route, self.timeouts)
        self._step(Linked.CONNECTED)
        _open.add(self)

    def spend(self) -> None:
        """Let the connection take no further request."""
        if self.raw_stream is not None:
            self._step(Linked.NO_REUSE)

    def fail(self, failure: Exception) -> None:
        """Let every further use raise `ConnectionClosed`, with *failure* as its cause."""
        self._step(Linked.FAILED)
        if self._failure is None and self.state is Link.BROKEN:
            # Without its traceback, which leads back to here: the descriptor would stay open
            # until the garbage collector runs.
            self._failure = copy.copy(failure)

    def drop(self, *, wake: bool = False) -> None:
        """Close the stream and forget what is pending.

        *wake* ends the connection first, also for those who wait for it in another
        thread. A child process may not do that: the connection is the parent's.
        """
        self._step(Linked.DROPPED)
        _open.discard(self)
        stream, self.raw_stream = self.raw_stream, None
        self._failure = None
        self.pending.clear()
        if stream is not None:
            if wake:
                stream.shut_down()
            stream.close()


_open: WeakSet[SharedLink] = WeakSet()  # the links that a child process has to drop


def _drop_inherited() -> None:
    for link in list(_open):
        link.drop()


if hasattr(os, "register_at_fork"):  # not on Windows, where nothing forks
    os.register_at_fork(after_in_child=_drop_inherited)
