"""Exclusive use: one operation at a time sends on a session, and one reads.

Each direction has a plain lock of the session. An operation takes it, and gives it back however it
ends, as holding.py has it: with `wait_for_peek` as what refuses, and `SharedState.after_reading` or
`Sender.after_use` behind the release. Nobody ever waits for an operation to end, the second one is
refused.

The sender may *peek* at what has arrived (`peek`), which is over in microseconds: an operation that
begins to read meanwhile waits for that, and does not hear that there is another one.

Not here: the locks and the deferred close, which a `NetworkStream` has too
(transport/exclusive.py), and what is done while one has the use (sender.py, receiver.py).
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from threading import Lock, RLock
from typing import TYPE_CHECKING, Final, TypeVar

from ...errors import ConnectionClosed, DugongError, ProtocolError, StateError
from ...polling.contract import Co
from ...polling.holding import co_holding, holding, holding_if_free
from ...transport import exclusive
from ..states import CLOSED

if TYPE_CHECKING:
    from ..shared import SharedState

T = TypeVar("T")

# Exceptions that leave an operation at a place where it may be left: the library's own, those
# about arguments, and what closes a generator, which it can only while it waits.
ORDERLY: Final = (DugongError, TypeError, ValueError, GeneratorExit)
SENDING: Final = "sending"  # what an operation does; completes "another operation is ..."
READING: Final = "reading"
FATAL: Final = (ProtocolError, ConnectionClosed)  # for a reader: what follows has no meaning


def wait_for_peek(session: SharedState, lock: Lock, what: str) -> None:
    """Return when *lock* of *session*, which was not free, may be tried again: nobody peeks.

    Args:
        session: looked at after this only: a session that is being closed has no stream before
            anybody looks whether it is in use (`cancelling.cancel`).
        lock: of the direction.
        what: `SENDING` or `READING`.

    Raises:
        StateError: another operation has it.
        ConnectionClosed: it has, and the session was closed under it.

    """
    if (peeking := session.peeking) is not None:
        with peeking:  # nobody peeks now
            if not lock.locked():
                return
    if session.state is CLOSED:  # and the operation that has it is about to end
        session.check_usable()
    raise session.labelled(
        StateError(f"another operation is {what} on this connection"),
        session.pending[0] if session.pending else None,
    )


def peek(session: SharedState, look: Callable[[], T]) -> T | None:
    """Call *look* with exclusive use of reading; return what it returns, None if another has it.

    Nothing that could block may happen in it.

    Raises:
        Exception: what *look* raises.

    """
    with _peeking(session):
        return look_if_free(session, look)


def look_if_free(session: SharedState, look: Callable[[], T]) -> T | None:
    """Do what `peek` does, for a caller that may refuse an operation which begins meanwhile."""
    return holding_if_free(session.reading, look, session.after_reading)


def reading(session: SharedState, call: Callable[[], T]) -> T:
    """Call *call* with exclusive use of reading; return what it returns.

    Raises:
        StateError: another operation is reading.
        ConnectionClosed: it is, and the session was closed under it.
        Exception: what *call* raises.

    """
    lock = session.reading
    return holding(
        lock, partial(wait_for_peek, session, lock, READING), call, session.after_reading
    )


def co_reading(session: SharedState, going: Co[T]) -> Co[T]:
    """Do *going* with exclusive use of reading; return what it returns.

    Raises:
        StateError: another operation is reading.
        ConnectionClosed: it is, and the session was closed under it.
        Exception: what *going* raises.

    """
    lock = session.reading
    refuse = partial(wait_for_peek, session, lock, READING)
    return co_holding(lock, refuse, going, session.after_reading)


def _peeking(session: SharedState) -> RLock:
    """Return the lock of those that peek."""
    if session.peeking is None:
        with exclusive.changing:
            if session.peeking is None:
                session.peeking = RLock()
    return session.peeking


class Handed:
    """Exclusive use that is handed to an operation, which sends what is left of a request.

    Ctrl-C may come before the first step of that, and no code of a generator runs that has not
    begun. Then the request is cut off, which *cut_off* notes, and the use is given back.

    Args:
        cut_off: called before the release.
        after: called behind it.

    Attributes:
        lock: of the direction, if that is taken; None before that, and when the operation has
            begun, which releases it.

    """

    __slots__ = ("_after", "_cut_off", "lock")

    def __init__(self, cut_off: Callable[[], object], after: Callable[[], object]) -> None:
        self._cut_off = cut_off
        self._after = after
        self.lock: Lock | None = None

    def __del__(self) -> None:
        if self.lock is not None:
            try:
                self._cut_off()
            finally:
                try:
                    self.lock.release()
                    self._after()
                except BaseException:  # Ctrl-C, behind one of these
                    self._after()
                    raise
