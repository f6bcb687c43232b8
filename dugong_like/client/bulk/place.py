"""An origin of `Client.map`: what waits to be sent there, and what is kept of each request.

Not here: sending (pipeline_lane.py, stream_lane.py), requests that have a connection of their own
(dispatcher.py), and the order in which all are taken up (schedule.py).
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Generator, Iterable
from typing import TYPE_CHECKING, Any, Protocol

from ...connection.origins import ORIGINS

if TYPE_CHECKING:
    from ...connection.connection import HTTPConnection
    from ...http.url import Origin
    from ...polling.contract import Co, PollNeeded
    from ..request import ClientRequest
    from ..response import Response


class UsedConnection(Protocol):
    """A lease: what was received on a connection has that."""

    @property
    def connection(self) -> HTTPConnection:
        """The connection."""
        ...


class Carrier(Protocol):
    """A `Lane`, which sends jobs on one connection; see there."""

    place: Place
    failures: int
    is_open: bool
    op: Generator[PollNeeded | None, None, None]

    def take_more(self) -> bool:
        """Take what has come to the place, if there is room."""
        ...

    def is_full(self) -> bool:
        """Return True if it cannot take as much as the place has for it."""
        ...

    def abandon(self, job: Job) -> bool:
        """Forget *job*."""
        ...


class Entry:
    """One request of the iterable.

    Attributes:
        index: its number.
        given: what the iterable has given.
        request: made of that; None for a `Work`.
        response: the result.
        error: the same.
        is_done: True if it has a result.
        size: bytes that are in memory for it.
        job: what is sent for it now; None if it is not known.

    """

    __slots__ = ("error", "given", "index", "is_done", "job", "request", "response", "size")

    response: Any

    def __init__(self, index: int, given: Any) -> None:
        self.index = index
        self.given = given
        self.request: ClientRequest | None = None
        self.response = None
        self.error: Exception | None = None
        self.is_done = False
        self.size = 0
        self.job: Job | None = None


class Job:
    """A request that is sent together with others, or that waits for a connection of its own.

    Attributes:
        request: the request.
        entry: whose it is.
        place: where it goes.
        task: what goes on with the outcome; None if the entry is done with most responses.
        lane: what sends it, once that has begun.
        response: the outcome.
        error: the same.
        is_settled: True if there is an outcome, or the connection is its own.
        begun_at: when it was sent, in seconds of `time.monotonic`.
        overtaken: how often a connection was ended after others, in its place; over HTTP/2.
        sent: how often it was sent in vain, if it is to be sent by itself from now on; or None.
        refusals: why no connection could be opened, each time since its task was told last.

    """

    __slots__ = (
        *("begun_at", "entry", "error", "is_settled", "lane", "overtaken", "place"),
        *("refusals", "request", "response", "sent", "task"),
    )

    def __init__(
        self, request: ClientRequest, entry: Entry, place: Place, task: Task | None = None
    ) -> None:
        self.request = request
        self.entry = entry
        self.place = place
        self.task = task
        self.lane: Carrier | None = None
        self.response: Response | None = None
        self.error: Exception | None = None
        self.is_settled = False
        self.begun_at = 0.0
        self.overtaken = 0
        self.sent: int | None = None
        self.refusals: tuple[Exception, ...] = ()
        entry.job = self


class Task:
    """A request that passes the layers of the client.

    Attributes:
        entry: whose it is.
        place: where it begins.
        op: passes the layers.
        given: what has come of its first request, a response or an error, if that has been sent
            already.
        sent: how often its first request was sent in vain, if it is to be sent by itself now; or
            None.
        repetitions: of its first request, before it passed the layers.

    """

    __slots__ = ("entry", "given", "op", "place", "repetitions", "sent")

    op: Co[Any]

    def __init__(
        self,
        entry: Entry,
        place: Place,
        given: Response | Exception | None = None,
        sent: int | None = None,
        repetitions: int = 0,
    ) -> None:
        self.entry = entry
        self.place = place
        self.given = given
        self.sent = sent
        self.repetitions = repetitions


class Place:
    """One origin.

    Args:
        origin: see the attribute.
        concurrency: connections at most.
        depth: requests that may be unanswered on each.
        is_shared: returns True if the connections there are used stream by stream.

    Attributes:
        origin: the origin.
        queue: what is sent together with others.
        lanes: what sends that; each has one connection.
        pending: requests that need layers and have not begun.
        tasks: how many of these have begun and not ended.
        singles: what waits for a connection, or a stream, of its own.
        taken: how many have one.
        jobs: how many of `queue` have no outcome, those included that are sent.
        facts: about the origin, for all of this process.
        answers: how many responses have come on connections, or streams, of their own.
        streams: those of one HTTP/2 connection, as far as is known; 1 before a response has come
            that way.
        requests_of_connection: after how many requests the server ends an HTTP/2 connection; None
            if that is not known.
        is_pipelined: True if the server has turned out to speak HTTP/1.1.
        is_alone: True if requests cannot be sent together, whatever it speaks.
        each_opens: True after a connection for HTTP/2 could not be opened: then requests do not
            wait for what becomes of another one.
        heard: when the last request was sent whose response does not ask to wait, in seconds of
            `time.monotonic`; kept up to date after a pause only.
        failures: how often no connection could be opened, and requests wait for the next attempt;
            those that were begun at the same time count as one.
        rounds: how many of these count as a repetition of all that waits, as nothing else is open.
        opens_at: when that is, in seconds of `time.monotonic`; 0.0 for at any time.
        is_waited_for: True if something has come to `queue` while that was empty: lanes may wait
            for responses only.

    """

    def __init__(
        self, origin: Origin, concurrency: int, depth: int, is_shared: Callable[[], bool]
    ) -> None:
        self.origin = origin
        self._concurrency = concurrency
        self._most_tasks = concurrency * depth
        self._is_shared = is_shared
        self.queue: deque[Job] = deque()
        self.lanes: list[Carrier] = []
        self.pending: deque[Entry] = deque()
        self.tasks = 0
        self.singles: deque[Job] = deque()
        self.taken = 0
        self.jobs = 0
        self.answers = 0
        self.streams = 1
        self.requests_of_connection: int | None = None
        self.heard = 0.0
        self.failures = self.rounds = 0
        self.opens_at = 0.0
        self.is_pipelined = self.is_alone = self.each_opens = self.is_waited_for = False
        self.facts = ORIGINS.facts(str(origin))

    def has_streams(self) -> bool:
        """Return True if HTTP/2 is spoken there, as far as is known."""
        return not self.is_pipelined and self._is_shared()

    def add(self, job: Job) -> None:
        """Send *job* together with others."""
        if not self.queue:
            self.is_waited_for = True
        self.queue.append(job)
        self.jobs += 1

    def put_back(self, jobs: Iterable[Job]) -> None:
        """Send *jobs*, which a lane has taken, before all others of the queue."""
        self.is_waited_for = True
        for job in reversed([*jobs]):
            job.lane = None
            if job.is_settled:  # nobody waits for it any more
                self.jobs -= 1
            else:
                self.queue.appendleft(job)

    def remove(self, job: Job) -> None:
        """Do not send *job*, which nobody waits for any more."""
        try:
            self.queue.remove(job)
        except ValueError:
            return
        self.jobs -= 1

    def share(self) -> int:
        """Return how many requests a connection may have, so that there is work for each."""
        return -(-self.jobs // self._concurrency)

    def may_open(self) -> bool:
        """Return True if another connection may be used for `queue`."""
        if self.opens_at:
            return False
        count = len(self.lanes)
        if self.queue and self.has_streams():
            if count >= self._concurrency or self.free_streams() <= 0 or self.resumes_at():
                return False
            return all(lane.is_full() for lane in self.lanes)
        is_needed = bool(self.queue) and count * self.share() < self.jobs
        return is_needed and count + self.taken < self._concurrency

    def free_streams(self) -> int:
        """Return how many streams may be used besides those that are."""
        return self._most_tasks - (self.jobs - len(self.queue)) - self.taken

    def next_task(self) -> Entry | None:
        """Return a request that may begin to pass its layers now."""
        if not self.pending or self.tasks >= self._most_tasks:
            return None
        self.tasks += 1
        return self.pending.popleft()

    def next_single(self) -> Job | None:
        """Return a request that may have a connection, or a stream, of its own now."""
        most = min(self._concurrency * self.streams, self._most_tasks)
        if self.opens_at or not self.singles or len(self.lanes) + self.taken >= most:
            return None
        if self.resumes_at():
            return None
        if self.taken and self.probes():
            return None
        self.taken += 1
        return self.singles.popleft()

    def look_at(self, now: float) -> None:
        """Have connections opened again if it is time for that."""
        if self.opens_at and self.opens_at <= now:
            self.opens_at = 0.0

    def hold(self, seconds: float) -> None:
        """Open no connection for so many *seconds*, as one could not be opened."""
        self.failures += 1
        self.opens_at = time.monotonic() + seconds

    def has_waiting(self) -> bool:
        """Return True if something waits to be sent here that no connection has."""
        return bool(self.singles) or (bool(self.queue) and self.has_streams())

    def is_unused(self) -> bool:
        """Return True if it can be forgotten: nothing waits here, and nothing is under way."""
        waits = self.jobs or self.pending or self.singles
        return not (waits or self.lanes or self.tasks or self.taken)

    def resumes_at(self) -> float | None:
        """Return until when nothing is to be sent, in seconds of `time.monotonic`; or None."""
        resumes = self.facts.resumes
        return resumes if resumes and resumes > time.monotonic() else None

    def probes(self) -> bool:
        """Return True if the server was to be left alone, and has answered nothing since then.

        Then each lane has one request under way: the server may still be unavailable.
        """
        facts = self.facts
        return facts.resumes > facts.answered and facts.resumes > self.heard

    def is_crowded(self, lane: Carrier) -> bool:
        """Return True if *lane* is to give its connection to requests that need one alone."""
        return bool(self.singles) and lane is self.lanes[0]
