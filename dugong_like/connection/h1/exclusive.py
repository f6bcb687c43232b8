"""Exclusive use: one operation at a time sends on a session, and one reads.

Each direction has a plain lock of the session. An operation takes it, and gives it back however it
ends; nobody ever waits for an operation to end, the second one is refused::

    take(session, session.reading, READING)
    try:
        ...
    finally:
        session.end_reading()  # or `Sender.end_use`

Both are spelled out where a small request passes: a context manager would cost it two more calls
for each of its three operations.

The sender may *peek* at what has arrived (`Peek`), which is over in microseconds: an operation that
begins to read meanwhile waits for that, and does not hear that there is another one.

Not here: the locks and the deferred close, which a `NetworkStream` has too
(transport/exclusive.py), and what is done while one has the use (sender.py, receiver.py).
"""

from __future__ import annotations

from threading import Lock, RLock
from typing import TYPE_CHECKING, Final

from ...errors import ConnectionClosed, DugongError, ProtocolError, StateError
from ...transport import exclusive
from ..states import CLOSED

if TYPE_CHECKING:
    from ..shared import SharedState

# Exceptions that leave an operation at a place where it may be left: the library's own, those
# about arguments, and what closes a generator, which it can only while it waits.
ORDERLY: Final = (DugongError, TypeError, ValueError, GeneratorExit)
SENDING: Final = "sending"  # what an operation does; completes "another operation is ..."
READING: Final = "reading"
FATAL: Final = (ProtocolError, ConnectionClosed)  # for a reader: what follows has no meaning


def take(session: SharedState, lock: Lock, what: str) -> Lock:
    """Take exclusive use of one direction of *session*; return the lock, to be released.

    Args:
        session: looked at after this only: a session that is being closed has no stream before
            anybody looks whether it is in use (`cancelling.cancel`).
        lock: of the direction.
        what: `SENDING` or `READING`.

    Raises:
        StateError: another operation has it.
        ConnectionClosed: it has, and the session was closed under it.

    """
    if lock.acquire(False):
        return lock
    if (peeking := session.peeking) is not None:
        with peeking:  # nobody peeks now
            if lock.acquire(False):
                return lock
    if session.state is CLOSED:  # and the operation that has it is about to end
        session.check_usable()
    raise session.labelled(
        StateError(f"another operation is {what} on this connection"),
        session.pending[0] if session.pending else None,
    )


class Peek:
    """Exclusive use of the reading direction for a moment, in a ``with`` block.

    Nothing that could block may happen in it. ``with Peek(session) as granted`` gives False if an
    operation reads.
    """

    __slots__ = ("_granted", "_peeking", "_session")

    def __init__(self, session: SharedState) -> None:
        self._session = session
        self._granted = False

    def __enter__(self) -> bool:
        session = self._session
        if session.peeking is None:
            with exclusive.changing:
                if session.peeking is None:
                    session.peeking = RLock()
        self._peeking = session.peeking
        self._peeking.acquire()
        self._granted = self._session.reading.acquire(False)
        return self._granted

    def __exit__(self, *exc: object) -> None:
        if self._granted:
            self._session.end_reading()
        self._peeking.release()
