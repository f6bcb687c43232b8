"""What the two halves of a connection share: the stream, and who waits for what.

A child process that inherits a connection closes its copy at once, without sending
anything: the connection stays the parent's.

Not here: what either half does (sending.py, receiving.py).
"""

from __future__ import annotations

import copy
import os
import threading
from collections import deque
from types import TracebackType
from weakref import WeakSet

from .connect import Route, co_open
from .errors import ConnectionClosed, DugongError, StateError
from .http1.states import LINK, Link, Linked, Machine
from .message import Exchange
from .polling import Co
from .transport.tcp import Stream

# Exceptions that leave an operation at a place where it may be left: the library's own, those
# about arguments, and what closes a generator, which it can only while it waits.
ORDERLY = (DugongError, TypeError, ValueError, GeneratorExit)


class SharedLink:
    """One connection to one origin, which may be closed and opened again.

    Attributes:
        route: where it leads.
        timeout: seconds that may pass without anything moving, or None.
        pending: the requests whose responses have not been read to their end, in order.

    """

    __slots__ = ("__weakref__", "_failure", "_machine", "_stream", "pending", "route", "timeout")

    def __init__(self, route: Route, timeout: float | None) -> None:
        self.route = route
        self.timeout = timeout
        self.pending: deque[Exchange] = deque()
        self._machine = Machine(LINK, Link.CLOSED)
        self._stream: Stream | None = None
        self._failure: Exception | None = None

    @property
    def state(self) -> Link:
        """Whether the connection can be used."""
        return self._machine.state

    @property
    def stream(self) -> Stream:
        """The open stream.

        Raises:
            ConnectionClosed: the connection is closed or broken.

        """
        self.check_unbroken()
        if self._stream is None:
            raise ConnectionClosed("the connection is closed")
        return self._stream

    def check_unbroken(self) -> None:
        """Raise `ConnectionClosed` if the connection is broken."""
        if self._machine.state is Link.BROKEN:
            raise ConnectionClosed(
                f"the connection is broken until reset() is called: {self._failure}",
                request_sent="maybe" if self.pending else "no",
            ) from self._failure

    @property
    def raw_stream(self) -> Stream | None:
        """The stream even if the connection is broken; None if it is closed."""
        return self._stream

    def co_open(self) -> Co[None]:
        """Connect. Raises what `co_open` in connect.py raises."""
        self._stream = yield from co_open(self.route, self.timeout)
        self._machine.step(Linked.CONNECTED)
        _open.add(self)

    def spend(self) -> None:
        """Let the connection take no further request."""
        if self._stream is not None:
            self._machine.step(Linked.NO_REUSE)

    def fail(self, failure: Exception) -> None:
        """Let every further use raise `ConnectionClosed`, with *failure* as its cause."""
        self._machine.step(Linked.FAILED)
        if self._failure is None and self._machine.state is Link.BROKEN:
            # Without its traceback, which leads back to here: the descriptor would stay open
            # until the garbage collector runs.
            self._failure = copy.copy(failure)

    def drop(self, *, wake: bool = False) -> None:
        """Close the stream and forget what is pending.

        *wake* ends the connection first, also for those who wait for it in another
        thread. A child process may not do that: the connection is the parent's.
        """
        self._machine.step(Linked.DROPPED)
        _open.discard(self)
        stream, self._stream = self._stream, None
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


class Role:
    """The right to use one half: one operation has it at a time. A context manager.

    Args:
        link: what breaks when an error of *fatal* leaves the operation.
        name: what the operation does; completes "another operation is ...".
        fatal: classes of errors after which nothing can be trusted any more.
        waits_harmlessly: True if an exception loses nothing while the stream is `waiting`.

    After an exception that comes from outside, as Ctrl-C does, between two steps of an
    operation nothing can be trusted either: bytes may have got lost between the system and
    the caller.

    """

    __slots__ = (
        *("_disowned", "_fatal", "_link", "_lock", "_looking", "_name"),
        "_waits_harmlessly",
    )

    def __init__(
        self,
        link: SharedLink,
        name: str,
        fatal: tuple[type[Exception], ...] = (),
        *,
        waits_harmlessly: bool = False,
    ) -> None:
        self._link = link
        self._waits_harmlessly = waits_harmlessly
        self._name = name
        self._fatal = fatal
        self._lock = threading.Lock()
        self._looking = threading.RLock()  # held by who has the role for a look
        self._disowned = False

    def try_take(self) -> bool:
        """Take the role for a look, or return False if an operation has it.

        An operation that begins meanwhile waits for `give_back`, so nothing that could
        block may happen before that.
        """
        self._looking.acquire()
        if self._lock.acquire(blocking=False):
            return True
        self._looking.release()
        return False

    def give_back(self) -> None:
        """Let the next operation have the role."""
        self._lock.release()
        self._looking.release()

    def disown(self) -> None:
        """Say that what the present operation runs into is about a connection of the past."""
        self._disowned = self._lock.locked()

    def is_taken(self) -> bool:
        """Return True while an operation has the role."""
        return self._lock.locked()

    def __enter__(self) -> None:
        if self._lock.acquire(blocking=False):
            return
        with self._looking:  # nobody has it for a look now
            if not self._lock.acquire(blocking=False):
                raise StateError(f"another operation is {self._name} on this connection")

    def __exit__(
        self,
        kind: type[BaseException] | None,
        exc: BaseException | None,
        tb: TracebackType | None,
    ) -> None:
        if exc is not None and not self._disowned:
            self._note(exc)
        self._disowned = False
        self._lock.release()

    def _note(self, exc: BaseException) -> None:
        """Break the link if *exc* has left the operation in an unknown state."""
        if isinstance(exc, self._fatal):
            self._link.fail(exc)
            return
        stream = self._link.raw_stream
        if isinstance(exc, ORDERLY) or stream is None:
            return
        if not (self._waits_harmlessly and stream.waiting):
            self._link.fail(StateError(f"{self._name} was interrupted by {exc!r}"))
        stream.waiting = False
