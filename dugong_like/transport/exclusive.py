"""Exclusive use of a stream, and its deferred close: HTTPConnection and NetworkStream alike.

One operation at a time sends on a stream, and one receives. Each direction has a plain lock. An
operation takes it, and releases it however it ends, as holding.py has it, with `give_back` behind
the release; it never waits for another one to end, but is refused.

A stream that is closed while operations use it is closed by the last one that leaves. Another
thread may be about to wait for its descriptor: if that was closed now its number could be another
file's by then, and the wait would never end. It is closed in any case when nobody has the object
any more: Ctrl-C in the shortest way of an exchange may lose a lock, which nobody releases then.

In a child process all of these streams are closed, those included that wait for their last
operation: it may be one of a thread that the child does not have.

Not here: what is said to an operation that is refused, and what else ends with the stream
(connection/h1/exclusive.py, connection/shared.py, upgraded/duplex.py).
"""

from __future__ import annotations

import sys
from threading import Lock, RLock
from typing import TYPE_CHECKING, Final
from weakref import ref

from ..polling.fork import after_fork

if TYPE_CHECKING:
    from .stream import Stream

# Held for microseconds, while it changes which stream an object has, or its state. Nothing is
# called under it that could block. The same thread may take it twice, as the garbage collector and
# handlers of signals run anywhere. To be used as an attribute of this module: a child process has
# another one.
changing = RLock()


class StreamInUse:
    """A stream, and who uses it: part or base class of an object with operations.

    Attributes:
        stream: the stream, before it is withdrawn; None if there is none.
        sending: locked while an operation sends, which is one at a time.
        reading: locked while an operation reads.
        left: a stream that was closed under an operation; the last one closes it.

    """

    __slots__ = ("__weakref__", "left", "reading", "sending", "stream")

    def __init__(self) -> None:
        self.stream: Stream | None = None
        self.left: Left | None = None
        self.sending = Lock()
        self.reading = Lock()

    def opened(self, stream: Stream) -> None:
        """Have *stream*, which is closed by this object from now on."""
        with changing:
            self.stream = stream
            _open.add(self)

    def replace(self, old: Stream, new: Stream) -> bool:
        """Have *new* in the place of *old*; False if that was withdrawn meanwhile."""
        with changing:
            if self.stream is not old:
                return False
            self.stream = new
            return True

    def is_used(self) -> bool:
        """Return True if an operation is under way."""
        return self.sending.locked() or self.reading.locked()

    def withdraw(self) -> Stream | None:
        """Take the stream away; operations that begin later find none.

        Returns:
            The stream, which the caller keeps, or passes to `leave`. None if another thread has
            withdrawn it, or there was none.

        """
        with changing:
            stream, self.stream = self.stream, None
            _open.discard(self)
        return stream

    def leave(self, stream: Stream | None) -> None:
        """Close *stream*, which was withdrawn, as soon as no operation uses it any more.

        Raises:
            Exception: what closing it raises, if that happens now.

        """
        if stream is not None:
            if not self.is_used():  # one that begins now finds no stream
                stream.close()
                return
            self.left = Left(stream)
            _closing.add(ref(self, _closing.discard))
        self.give_back()

    def give_back(self) -> None:
        """Close the stream that was left, unless an operation is under way.

        Called when one has ended.
        """
        if self.is_used():
            return
        with changing:
            left, self.left = self.left, None
            _closing.discard(ref(self))
        try:
            if left is not None:
                left.close()
        except Exception:  # noqa: BLE001 - it is not that of the operation, which has its own end
            sys.excepthook(*sys.exc_info())

    def drop_inherited(self) -> None:
        """Close the copy that a child process has: the peer hears nothing.

        The locks stay as they are, for operations of this thread, which release them.
        """
        stream, left = self.stream, self.left
        self.stream = self.left = None
        if stream is not None:
            stream.close()
        if left is not None:
            left.close()


class Left:
    """A stream that was closed under an operation; it is closed when nobody has this any more."""

    __slots__ = ("_stream",)

    def __init__(self, stream: Stream) -> None:
        self._stream: Stream | None = stream

    def close(self) -> None:
        """Close the stream, unless that was done."""
        stream, self._stream = self._stream, None
        if stream is not None:
            stream.close()

    __del__ = close


def all_open() -> list[StreamInUse]:
    """Return the objects whose stream is not closed yet, in no order."""
    # Each set is copied in one step, as others change them meanwhile: threads, and finalizers.
    closing = [*_closing]
    return [*_open, *(use for each in closing if (use := each()) is not None)]


# To be dropped by a child process; the owner takes it out.
_open: Final[set[StreamInUse]] = set()
_closing: Final[set[ref[StreamInUse]]] = set()  # those that have left a stream


def _renew_lock() -> None:
    """Make a new lock in a child process: a thread of the parent may hold the old one."""
    global changing  # noqa: PLW0603 - it is for the process
    changing = RLock()


def _drop_inherited() -> None:
    for use in all_open():
        try:
            _open.discard(use)
            _closing.discard(ref(use))
            use.drop_inherited()
        except Exception:  # noqa: BLE001 - the others are dropped nevertheless
            sys.excepthook(*sys.exc_info())


after_fork(_renew_lock)
after_fork(_drop_inherited, closes=True)
