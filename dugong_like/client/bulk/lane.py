"""A connection of `Client.map` that has requests of one place.

It takes requests as there is room for them, and ends when there are none left: then the connection
goes back to its pool.

Not here: how they are sent together, over HTTP/1.1 (pipeline_lane.py) and over HTTP/2
(stream_lane.py), and what becomes of the outcomes (schedule.py).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Generator, Iterable
from typing import TYPE_CHECKING, Generic, Protocol, TypeVar

from ...errors import ConnectFailed

if TYPE_CHECKING:
    from ...connection.exchange import HTTPResponse
    from ...polling.contract import PollNeeded
    from ...polling.timeouts import Timeouts
    from .place import Job, Place, UsedConnection

P = TypeVar("P")


class Outcomes(Protocol):
    """The part of a `Schedule` that is used here."""

    def answered(
        self, job: Job, message: HTTPResponse, body: bytes, lease: UsedConnection, now: float
    ) -> None:
        """Take the response to *job*."""
        ...

    def failed(self, job: Job, exc: Exception) -> None:
        """Take it that there is none."""
        ...

    def not_opened(self, lane: Lane[P], exc: Exception) -> None:
        """Take it that *lane* has got no connection."""
        ...

    def send_alone(self, job: Job, sent: int) -> None:
        """Have *job*, which was *sent* so many times, sent by itself from now on."""
        ...

    def note_free(self, place: Place) -> None:
        """Take it that another request may be begun at *place*."""
        ...

    def is_full(self) -> bool:
        """Return True if more bytes are in memory than may be."""
        ...

    def wants_connection(self) -> bool:
        """Return True if others wait for a connection of the pool."""
        ...

    def note_connection(self) -> None:
        """Take it that one of these waits no more."""
        ...

    def ended(self, lane: Lane[P]) -> None:
        """Take it that *lane* has ended."""
        ...


class Lane(ABC, Generic[P]):
    """Sends the requests of a place on one connection.

    Args:
        place: the place.
        pool: gives the connection.
        outcomes: gets the responses.
        timeouts: time limits.

    Attributes:
        place: as given.
        failures: those of the place when it began; see there.
        is_open: True while it has a connection.
        op: sends and receives; it gives what it waits for, and None when it has told outcomes.

    """

    def __init__(
        self, place: Place, pool: P, outcomes: Outcomes, timeouts: Timeouts | None
    ) -> None:
        self.place = place
        self.failures = place.failures
        self.is_open = False
        self._waits = True
        self._pool = pool
        self._outcomes = outcomes
        self._timeouts = timeouts
        self._taken = 0
        self.op: Generator[PollNeeded | None, None, None] = self._co_serve()

    # ---- for the schedule

    @abstractmethod
    def take_more(self) -> bool:
        """Take what has come to the place, if there is room; True: `op` is to be resumed then."""

    @abstractmethod
    def is_full(self) -> bool:
        """Return True if it cannot take as much as the place has for it."""

    @abstractmethod
    def abandon(self, job: Job) -> bool:
        """Forget *job*, which is settled. False: it has to end for that."""

    # ---- inside

    @abstractmethod
    def _co_open(self) -> Generator[PollNeeded, None, bool]:
        """Take a connection, and open it; False if requests are to be sent in another way."""

    @abstractmethod
    def _co_answers(self) -> Generator[PollNeeded | None, None, None]:
        """Send requests, and tell their outcomes."""

    @abstractmethod
    def _give_back(self) -> Iterable[Job]:
        """Give the connection back; return what was not answered, in order."""

    def _co_serve(self) -> Generator[PollNeeded | None, None, None]:
        failure: Exception | None = None
        try:
            try:
                self.is_open = yield from self._co_open()
            except Exception as exc:  # noqa: BLE001 - it is the outcome of a request
                failure = exc
            else:
                if self.is_open:
                    try:
                        yield from self._co_answers()
                    except ConnectFailed as exc:  # it was lost, and cannot be replaced
                        failure = exc
        finally:
            self.is_open = False
            self._stop_waiting()
            try:
                self.place.put_back(self._give_back())
                if failure is not None:
                    self._outcomes.not_opened(self, failure)
            finally:
                failure = None  # it would keep this frame, which keeps it
                self._outcomes.ended(self)

    def _stop_waiting(self) -> None:
        if self._waits:
            self._waits = False
            self._outcomes.note_connection()
