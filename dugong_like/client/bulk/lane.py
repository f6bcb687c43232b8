"""A connection of `Client.map` on which requests are pipelined.

It takes requests as the `Pipeline` has room for them, and ends when there are none left: then the
connection goes back to its pool.

Not here: what becomes of the outcomes (schedule.py).
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Generator
from typing import TYPE_CHECKING, Protocol, Self

from ...connection.pipeline import Pipeline
from ...errors import ConnectionTimedOut, PoolTimedOut
from ...http.request import Request

if TYPE_CHECKING:
    from ...connection.exchange import HTTPResponse
    from ...http.url import Origin
    from ...polling.contract import Co, PollNeeded
    from ...polling.timeouts import Timeouts
    from ..pool import Lease
    from ..request import ClientRequest
    from .place import Carrier, Job, Place


class Leases(Protocol):
    """The part of a `Pool` that is used here."""

    def co_acquire(self, origin: Origin, deadline: float | None = None) -> Co[Lease]:
        """Take a connection, or wait for one."""
        ...


class Outcomes(Protocol):
    """The part of a `Schedule` that is used here."""

    def answered(
        self, job: Job, message: HTTPResponse, body: bytes, lease: Lease, now: float
    ) -> None:
        """Take the response to *job*."""
        ...

    def failed(self, job: Job, exc: Exception) -> None:
        """Take it that there is none."""
        ...

    def wants_connection(self) -> bool:
        """Return True if others wait for a connection of the pool."""
        ...

    def note_connection(self) -> None:
        """Take it that one of these waits no more."""
        ...

    def ended(self, lane: Carrier) -> None:
        """Take it that *lane* has ended."""
        ...


class WireRequest(Request):
    """A request of a client as it is sent to its origin (RFC 9112 section 3.2.1).

    Args:
        request: the request; its body is in memory.

    """

    def __init__(self, request: ClientRequest) -> None:  # all has been checked: nothing else is
        self.method = request.method
        self.target = request.url.target
        self.headers = request.fields()
        self.body = request.body
        self._repeatable = request.idempotent
        self._source = None


class Lane:
    """Sends the requests of a place on one connection. An iterator of what to send next.

    Args:
        place: the place.
        pool: gives the connection.
        outcomes: gets the responses.
        depth: requests that may be unanswered.
        timeouts: time limits.

    Attributes:
        place: as given.
        jobs: what was taken and has no outcome.
        op: sends and receives; it gives what it waits for, and None when it has told outcomes.

    """

    def __init__(
        self,
        place: Place,
        pool: Leases,
        outcomes: Outcomes,
        depth: int,
        timeouts: Timeouts | None,
    ) -> None:
        self.place = place
        self.jobs: deque[Job] = deque()
        self._waits = True
        self._pool = pool
        self._outcomes = outcomes
        self._depth = depth
        self._timeouts = timeouts
        self._taken = 0
        self._lease: Lease | None = None
        self.op: Generator[PollNeeded | None, None, None] = self._co_serve()

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> WireRequest:
        """Return the next request; the end may be followed by others later."""
        place, jobs = self.place, self.jobs
        if not place.queue or (self._taken and not self._takes_more()):
            raise StopIteration
        job = place.queue.popleft()
        job.lane = self
        job.begun_at = time.monotonic()
        job.request.attempts += 1
        jobs.append(job)
        self._taken += 1
        return WireRequest(job.request)

    def _takes_more(self) -> bool:
        """Return True if another request may be sent before those that were are answered."""
        if len(self.jobs) >= self.place.share() or self.place.is_crowded(self):
            return False
        if self._taken >= self._depth and self._outcomes.wants_connection():
            return False
        return self._lease is not None and not self._lease.is_at_limit(self._taken)

    def _co_serve(self) -> Generator[PollNeeded | None, None, None]:
        pipeline: Pipeline | None = None
        try:
            try:
                self._lease = yield from self._pool.co_acquire(self.place.origin)
                self._stop_waiting()
                if self._timeouts is not self._lease.connection.timeout:
                    self._lease.connection.timeout = self._timeouts
                # Before it takes any: what others can send does not wait for a lost SYN.
                yield from self._lease.connection.co_connect()
            except Exception as exc:  # noqa: BLE001 - it is the outcome of the first request
                if self.place.queue:
                    job = self.place.queue.popleft()
                    job.request.attempts += not isinstance(exc, PoolTimedOut)
                    self._outcomes.failed(job, exc)
                return
            pipeline = Pipeline(self._lease.connection, self, depth=self._depth)
            yield from self._co_answers(pipeline, self._lease)
        finally:
            self._stop_waiting()
            self._end(pipeline)

    def _stop_waiting(self) -> None:
        if self._waits:
            self._waits = False
            self._outcomes.note_connection()

    def _co_answers(
        self, pipeline: Pipeline, lease: Lease
    ) -> Generator[PollNeeded | None, None, None]:
        """Tell the outcomes, in the order in which requests were taken."""
        jobs, outcomes = self.jobs, self._outcomes
        while True:
            try:
                answer = yield from pipeline.co_next()
            except Exception as exc:
                if not jobs:
                    raise
                outcomes.failed(jobs.popleft(), exc)
                if isinstance(exc, ConnectionTimedOut):
                    return  # the pipeline would go on to wait for it
            else:
                if answer is None:
                    return
                now = time.monotonic()
                outcomes.answered(jobs.popleft(), answer.response, answer.body, lease, now)
                for _, response, body in pipeline.take_ready():
                    outcomes.answered(jobs.popleft(), response, body, lease, now)
            yield None

    def _end(self, pipeline: Pipeline | None) -> None:
        """Give the connection back, and what was not answered to others."""
        lease, self._lease = self._lease, None
        jobs = self.jobs
        try:
            if pipeline is not None:
                pipeline.close()
        finally:
            if lease is not None and jobs:
                lease.discard()
            elif lease is not None:
                lease.release(requests=self._taken)
            for job in reversed(jobs):
                job.lane = None
                if job.is_settled:  # nobody waits for it any more
                    self.place.jobs -= 1
                else:
                    self.place.queue.appendleft(job)
            jobs.clear()
            self._outcomes.ended(self)
