"""Waiting in line: many operations take turns on one connection, in a fixed order.

Each has a place. It waits for what those in front of it do, and is woken when the one
before it has got further or has left. Those in line may run on different threads.

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
    """How far somebody in line has got; the value has no meaning but its order."""

    CREATED = 0  # not in line yet
    WAITING = 1  # in line, and nobody drives it
    PROMISED = 2  # in line, and a thread is about to drive it
    DRIVEN = 3  # an operation drives it
    SENT = 4  # its request is sent
    ENDING = 5  # it is about to leave, and the connection will not be as it was
    ENDED = 6


IDLE = (Stage.WAITING, Stage.PROMISED)


class Place(Generic[W]):
    """A place in a line.

    Args:
        owner: who has it.
        abandoned: called with an exception if the line is ended before somebody drives it.

    Attributes:
        stage: how far it has got; changed by `Line` only.
        doomed: True if the connection was closed while it was in line.

    """

    __slots__ = ("abandoned", "doomed", "owner", "stage", "wake")

    def __init__(self, owner: W, abandoned: Callable[[Exception], object]) -> None:
        self.owner = owner
        self.abandoned = abandoned
        self.stage = Stage.CREATED
        self.doomed = False
        self.wake: Wake | None = None


class Line(Generic[W]):
    """Places in their order. All methods may be called from any thread."""

    def __init__(self) -> None:
        self._lock = RLock()
        self._places: list[Place[W]] = []

    def join(self, place: Place[W], *, promised: bool) -> None:
        """Put *place* at the end; *promised* says that a thread will drive it.

        Raises:
            StateError: it is in line already, or has been.

        """
        with self._lock:
            if place.stage is not Stage.CREATED:
                raise StateError("this has been activated before")
            place.stage = Stage.PROMISED if promised else Stage.WAITING
            self._places.append(place)

    def quit(self, place: Place[W]) -> None:
        """Take *place*, which nobody drives, out of the line as if it had not joined."""
        with self._lock:
            if place.stage in IDLE:
                self._places.remove(place)
                place.stage = Stage.CREATED

    def drive(self, place: Place[W], *, promised: bool = False) -> bool:
        """Note that somebody drives *place* from now on, which joins if it has not.

        *promised* says that it is who has promised that. False if somebody else does or did.
        """
        with self._lock:
            if place.stage is Stage.CREATED:
                self._places.append(place)
            elif place.stage is not (Stage.PROMISED if promised else Stage.WAITING):
                return False
            place.stage = Stage.DRIVEN
            return True

    def before(self, place: Place[W]) -> Place[W] | None:
        """Return the place before *place*, None if that is the first."""
        with self._lock:
            at = self._places.index(place)
            return self._places[at - 1] if at else None

    def idle_before(self, place: Place[W]) -> Place[W] | None:
        """Return the first place before *place* that nobody drives."""
        with self._lock:
            for other in self._places:
                if other is place:
                    break
                if other.stage is Stage.WAITING:
                    return other
        return None

    def is_first(self, place: Place[W]) -> bool:
        """Return True if nobody is before *place*."""
        return self._places[0] is place

    def note_sent(self, place: Place[W]) -> None:
        """Note that the request of *place* is sent; the next one is woken."""
        with self._lock:
            place.stage = Stage.SENT
            self._wake_next(place)

    def co_until(self, place: Place[W], ready: Callable[[], bool]) -> Co[None]:
        """Wait until *ready* is true; it is asked whenever the one before has moved.

        Raises:
            ConnectionClosed: the connection was closed.

        """
        while True:
            with self._lock:
                self.check(place)
                if ready():
                    return
                fd = self._wake_of(place)
            yield PollNeeded(fd, POLLIN).because("turn")

    def co_unless_ended(self, place: Place[W], op: Co[T]) -> Co[T]:
        """Run *op*, which holds no descriptor that is shut down when the line is ended.

        Raises:
            ConnectionClosed: the connection was closed.
            Exception: what *op* raises.

        """
        bundle = Bundle()
        try:
            while True:
                with self._lock:
                    self.check(place)
                    fd = self._wake_of(place)
                yield bundle.need([next(op), PollNeeded(fd, POLLIN).because("turn")])
        except StopIteration as end:
            return end.value  # type: ignore[no-any-return]  # of op
        finally:
            bundle.close()
            op.close()

    def check(self, place: Place[W]) -> None:
        """Raise `ConnectionClosed` if the connection was closed while *place* was in line."""
        if place.doomed:
            raise ConnectionClosed(
                "the connection was closed by close()",
                request_sent="maybe" if place.stage is Stage.SENT else "no",
            )

    def fail(self, place: Place[W]) -> bool:
        """Say that *place* will leave after a failure; True if the connection is to be dropped.

        It is if nobody else is in line, or everybody else came after the connection was
        closed. Until it has left nobody sends behind it.
        """
        with self._lock:
            if place.doomed:
                last = not any(other.doomed for other in self._places if other is not place)
            else:
                last = len(self._places) == 1
            if last:
                place.stage = Stage.ENDING
            return last

    def leave(self, place: Place[W]) -> None:
        """Take *place* out of the line; the next one is woken."""
        with self._lock:
            self._wake_next(place)
            self._places.remove(place)
            place.stage = Stage.ENDED
            if place.wake is not None:
                place.wake.close()

    def end(self) -> bool:
        """Let all in line fail; False if nobody drives any of them.

        Those that somebody drives will leave when they are resumed.
        """
        with self._lock:
            idle = [place for place in self._places if place.stage in IDLE]
            for place in self._places:
                place.doomed = True
                if place.wake is not None:
                    place.wake.set()
            for place in idle:
                place.stage = Stage.ENDED
                self._places.remove(place)
            driven = bool(self._places)
        for place in idle:
            place.abandoned(ConnectionClosed("the connection was closed by close()"))
        return driven

    def _wake_of(self, place: Place[W]) -> int:
        """Return the descriptor that becomes readable when something has happened."""
        if place.wake is None:
            place.wake = Wake("turn")
        place.wake.clear()
        return place.wake.fd

    def _wake_next(self, place: Place[W]) -> None:
        at = self._places.index(place) + 1
        if at < len(self._places) and (wake := self._places[at].wake) is not None:
            wake.set()
