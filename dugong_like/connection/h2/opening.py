"""Connecting for HTTP/2: one operation does it, for all that wait for it.

No `FairLock`: when one has connected all go on, and nothing is handed on.

Not here: connecting itself (transport/connect/), and what follows (pump.py).
"""

from __future__ import annotations

import time
from threading import Lock
from typing import TYPE_CHECKING, Final

from ...errors import ConnectionTimedOut, DugongError
from ...polling.fork import generation
from ...polling.holding import NOT_BLOCKING
from ...polling.timeouts import how_given
from ...polling.wake import Wake
from ...transport import exclusive
from ..cancelling import cancel
from ..states import NEW, OPEN, Retired
from .finished import error_of

if TYPE_CHECKING:
    from ...polling.contract import Co
    from .shared import H2State

# Phases of time limits that are those of one operation, not of connecting: of `within`, and of
# `Timeouts.total`.
OF_CALLER: Final = frozenset({"", "total"})


class Opening:
    """Connects one session.

    Args:
        shared: of the session.

    """

    __slots__ = ("_failure", "_generation", "_lock", "_shared", "_waiting")

    def __init__(self, shared: H2State) -> None:
        self._shared = shared
        self._lock = Lock()  # held by the operation that connects
        self._generation = generation()
        self._waiting: tuple[Wake, ...] = ()
        self._failure: DugongError | None = None  # of the last attempt

    def is_under_way(self) -> bool:
        """Return True if an operation connects."""
        return self._lock.locked()

    def co_ready(self) -> Co[None]:
        """Have a connection.

        Raises:
            Retired: there was one, or it is used for HTTP/1.1.
            DugongError: what `SharedState.open` raises.

        """
        if self._shared.state is not OPEN:
            yield from self.co_open()

    def co_open(self) -> Co[None]:
        """Connect, or wait for another operation to do that; raises as `co_ready`."""
        shared = self._shared
        if self._generation != generation():
            self._forget_parent()
        while shared.state is NEW and not shared.is_elsewhere:
            lock = self._lock
            held = False
            try:
                (held,) = map(lock.acquire, NOT_BLOCKING)  # see holding.py
                if held:
                    yield from self._co_connect()
                    break
            finally:
                if held:
                    try:
                        lock.release()
                        self._wake_others()
                    except BaseException:  # Ctrl-C, behind one of these
                        self._wake_others()
                        raise
            yield from self._co_wait()
        if shared.state is not OPEN:
            raise Retired

    def _forget_parent(self) -> None:
        """Begin anew, in a child process: the operation that connects goes on in the parent."""
        self._generation = generation()
        self._lock = Lock()
        self._waiting = ()

    def _co_connect(self) -> Co[None]:
        """Connect, having the lock."""
        shared = self._shared
        observer = shared.observer
        self._failure = None
        try:
            if shared.state is not NEW or shared.is_elsewhere:  # by now
                return
            if observer is not None:
                observer.begin()
            going = shared.open()
            if going is not None:
                yield from going
        except DugongError as exc:
            if not (isinstance(exc, ConnectionTimedOut) and exc.phase in OF_CALLER):
                self._failure = exc
            raise
        finally:
            if observer is not None and (raised := observer.raised) is not None:
                cancel(shared)
                raise raised

    def _wake_others(self) -> None:
        """Wake those that wait until nobody connects."""
        for wake in self._waiting:
            wake.set()

    def _co_wait(self) -> Co[None]:
        """Wait for the operation that connects; raises a copy of what it raises.

        Unless that is a time limit of its own: then another one connects.
        """
        shared = self._shared
        limit = shared.timeouts.total
        until = None if limit is None else time.monotonic() + limit
        with Wake("connection") as wake:
            with exclusive.changing:
                self._waiting = (*self._waiting, wake)
            try:
                while self._lock.locked() and not wake.is_set():
                    if not (yield from wake.co_wait(until)):
                        what = f"no connection within {limit} s ({how_given(limit, 'total')})"
                        raise ConnectionTimedOut(what, phase="total")
            finally:
                with exclusive.changing:
                    self._waiting = tuple(each for each in self._waiting if each is not wake)
        failure = self._failure
        if failure is not None and shared.state is NEW:
            raise error_of(failure)
