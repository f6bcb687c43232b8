"""A queue: many operations take turns on one connection, in a fixed order.

Each has a position. It waits for what those in front of it do, and is woken when the one
before it has got further or has left. Its members may run on different threads.

No `FairLock`: the order is fixed when the positions are made, not when somebody begins to wait.

Not here: what they do when it is their turn (callbacks.py).
"""

from __future__ import annotations

from collections.abc import Callable
from enum import IntEnum
from threading import RLock
from typing import Generic, TypeVar

from ..errors import ConnectionClosed, StateError
from ..polling.combinators import Bundle
from ..polling.contract import POLLIN, Co, PollNeeded
from ..polling.wake import Wake

W = TypeVar("W")
T = TypeVar("T")


class Stage(IntEnum):
    """How far a member of the queue has got; the value has no meaning but its order."""

    CREATED = 0  # not in the queue yet
    WAITING = 1  # in the queue, and nobody drives it
    PROMISED = 2  # in the queue, and a thread is about to drive it
    DRIVEN = 3  # an operation drives it
    SENT = 4  # its request is sent
    ENDING = 5  # it is about to leave, and the connection will not be as it was
    ENDED = 6


IDLE = (Stage.WAITING, Stage.PROMISED)


class Position(Generic[W]):
    """A position in a queue.

    Args:
        owner: who has it.
        abandoned: called with an exception if the queue is ended before somebody drives it.

    Attributes:
        stage: how far it has got; changed by `Queue` only.
        doomed: True if the connection was closed while it was in the queue.

    """

    __slots__ = ("abandoned", "doomed", "owner", "stage", "wake")

    def __init__(self, owner: W, abandoned: Callable[[Exception], object]) -> None:
        self.owner = owner
        self.abandoned = abandoned
        self.stage = Stage.CREATED
        self.doomed = False
        self.wake: Wake | None = None


class Queue(Generic[W]):
    """Places in their order. All methods may be called from any thread."""

    def __init__(self) -> None:
        self._lock = RLock()
        self._positions: list[Position[W]] = []

    def join(self, position: Position[W], *, promised: bool) -> None:
        """Put *position* at the end; *promised* says that a thread will drive it.

        Raises:
            StateError: it is in the queue already, or has been.

        """
        with self._lock:
            if position.stage is not Stage.CREATED:
                raise StateError("this has been activated before")
            position.stage = Stage.PROMISED if promised else Stage.WAITING
            self._positions.append(position)

    def quit(self, position: Position[W]) -> None:
        """Take *position*, which nobody drives, out of the queue as if it had not joined."""
        with self._lock:
            if position.stage in IDLE:
                self._positions.remove(position)
                position.stage = Stage.CREATED

    def drive(self, position: Position[W], *, promised: bool = False) -> bool:
        """Note that somebody drives *position* from now on, which joins if it has not.

        *promised* says that it is who has promised that. False if somebody else does or did.
        """
        with self._lock:
            if position.stage is Stage.CREATED:
                self._positions.append(position)
            elif position.stage is not (Stage.PROMISED if promised else Stage.WAITING):
                return False
            position.stage = Stage.DRIVEN
            return True

    def before(self, position: Position[W]) -> Position[W] | None:
        """Return the position before *position*, None if that is the first."""
        with self._lock:
            at = self._positions.index(position)
            return self._positions[at - 1] if at else None

    def idle_before(self, position: Position[W]) -> Position[W] | None:
        """Return the first position before *position* that nobody drives."""
        with self._lock:
            for other in self._positions:
                if other is position:
                    break
                if other.stage is Stage.WAITING:
                    return other
        return None

    def is_first(self, position: Position[W]) -> bool:
        """Return True if nobody is before *position*."""
        return self._positions[0] is position

    def note_sent(self, position: Position[W]) -> None:
        """Note that the request of *position* is sent; the next one is woken."""
        with self._lock:
            position.stage = Stage.SENT
            self._wake_next(position)

    def co_until(self, position: Position[W], ready: Callable[[], bool]) -> Co[None]:
        """Wait until *ready* is true; it is asked whenever the one before has moved.

        Raises:
            ConnectionClosed: the connection was closed.

        """
        while True:
            with self._lock:
                self.check(position)
                if ready():
                    return
                fd = self._wake_of(position)
            yield PollNeeded(fd, POLLIN).because("turn")

    def co_unless_ended(self, position: Position[W], op: Co[T]) -> Co[T]:
        """Run *op*, which holds no descriptor that is shut down when the queue is ended.

        Raises:
            ConnectionClosed: the connection was closed.
            Exception: what *op* raises.

        """
        bundle = Bundle()
        try:
            while True:
                with self._lock:
                    self.check(position)
                    fd = self._wake_of(position)
                yield bundle.need([next(op), PollNeeded(fd, POLLIN).because("turn")])
        except StopIteration as end:
            return end.value  # type: ignore[no-any-return]  # of op
        finally:
            bundle.close()
            op.close()

    def check(self, position: Position[W]) -> None:
        """Raise `ConnectionClosed` if *position* was in the queue at the close."""
        if position.doomed:
            raise ConnectionClosed(
                "the connection was closed by close()",
                request_sent="maybe" if position.stage is Stage.SENT else "no",
            )

    def fail(self, position: Position[W]) -> bool:
        """Say that *position* will leave after a failure; True if the connection is to be dropped.

        It is if nobody else is in the queue, or everybody else came after the connection was
        closed. Until it has left nobody sends behind it.
        """
        with self._lock:
            if position.doomed:
                last = not any(other.doomed for other in self._positions if other is not position)
            else:
                last = len(self._positions) == 1
            if last:
                position.stage = Stage.ENDING
            return last

    def leave(self, position: Position[W]) -> None:
        """Take *position* out of the queue; the next one is woken."""
        with self._lock:
            self._wake_next(position)
            self._positions.remove(position)
            position.stage = Stage.ENDED
            if position.wake is not None:
                position.wake.close()

    def end(self) -> bool:
        """Let all in the queue fail; False if nobody drives any of them.

        Those that somebody drives will leave when they are resumed.
        """
        with self._lock:
            idle = [position for position in self._positions if position.stage in IDLE]
            for position in self._positions:
                position.doomed = True
                if position.wake is not None:
                    position.wake.set()
            for position in idle:
                position.stage = Stage.ENDED
                self._positions.remove(position)
            driven = bool(self._positions)
        for position in idle:
            position.abandoned(ConnectionClosed("the connection was closed by close()"))
        return driven

    def _wake_of(self, position: Position[W]) -> int:
        """Return the descriptor that becomes readable when something has happened."""
        if position.wake is None:
            position.wake = Wake("turn")
        position.wake.clear()
        return position.wake.fd

    def _wake_next(self, position: Position[W]) -> None:
        at = self._positions.index(position) + 1
        if at < len(self._positions) and (wake := self._positions[at].wake) is not None:
            wake.set()
