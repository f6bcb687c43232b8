"""A lane of `Client.map` over HTTP/1.1: its requests are pipelined.

Not here: pipelining (connection/pipeline.py), and what becomes of the outcomes (schedule.py).
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Generator, Iterable
from typing import TYPE_CHECKING, Protocol, Self

from ...connection.pipeline import Pipeline
from ...errors import ConnectFailed, ConnectionTimedOut
from ...http.request import Request
from .lane import Lane, Outcomes

if TYPE_CHECKING:
    from ...http.url import Origin
    from ...polling.contract import Co, PollNeeded
    from ...polling.timeouts import Timeouts
    from ..lease import Lease
    from ..request import ClientRequest
    from .place import Job, Place


class Leases(Protocol):
    """The part of a `Pool` that is used here."""

    def co_acquire(self, origin: Origin, deadline: float | None = None) -> Co[Lease]:
        """Take a connection, or wait for one."""
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


class PipelineLane(Lane[Leases]):
    """Sends the requests of a place on one connection. An iterator of what to send next.

    Args:
        place: the place.
        pool: gives the connection.
        outcomes: gets the responses.
        depth: requests that may be unanswered.
        timeouts: time limits.

    Attributes:
        place: as given.
        op: see `Lane`.

    """

    def __init__(
        self,
        place: Place,
        pool: Leases,
        outcomes: Outcomes,
        depth: int,
        timeouts: Timeouts | None,
    ) -> None:
        super().__init__(place, pool, outcomes, timeouts)
        self._jobs: deque[Job] = deque()  # what was taken and has no outcome
        self._depth = depth
        self._lease: Lease | None = None
        self._pipeline: Pipeline | None = None

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> WireRequest:
        """Return the next request; the end may be followed by others later."""
        place, jobs = self.place, self._jobs
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
        place, count = self.place, len(self._jobs)
        if count >= place.share() or place.is_crowded(self) or (count and place.probes()):
            return False
        if self._taken >= self._depth and self._outcomes.wants_connection():
            return False
        return self._lease is not None and not self._lease.is_at_limit(self._taken)

    def take_more(self) -> bool:
        """See `Lane.take_more`: it waits for responses in any case."""
        if self._pipeline is not None:
            self._pipeline.send()
        return False

    def is_full(self) -> bool:
        """See `Lane.is_full`: requests are shared out by `Place.share`."""
        return True

    def abandon(self, job: Job) -> bool:
        """See `Lane.abandon`: a response that is waited for holds up those behind it."""
        return not self._jobs or self._jobs[0] is not job

    def _co_open(self) -> Generator[PollNeeded, None, bool]:
        self._lease = yield from self._pool.co_acquire(self.place.origin)
        self._stop_waiting()
        if self._timeouts is not self._lease.connection.timeout:
            self._lease.connection.timeout = self._timeouts
        # Before it takes any: what others can send does not wait for a lost SYN.
        yield from self._lease.connection.co_connect()
        self._pipeline = Pipeline(self._lease.connection, self, depth=self._depth)
        return True

    def _co_answers(self) -> Generator[PollNeeded | None, None, None]:
        """Tell the outcomes, in the order in which requests were taken."""
        jobs, outcomes, lease, pipeline = self._jobs, self._outcomes, self._lease, self._pipeline
        assert lease is not None
        assert pipeline is not None
        while True:
            try:
                answer = yield from pipeline.co_next()
            except ConnectFailed:
                raise
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

    def _give_back(self) -> Iterable[Job]:
        lease, self._lease = self._lease, None
        pipeline, self._pipeline = self._pipeline, None
        jobs, self._jobs = self._jobs, deque()
        try:
            if pipeline is not None:
                pipeline.close()
        finally:
            if lease is not None and jobs:
                lease.discard()
            elif lease is not None:
                lease.release(requests=self._taken)
        return jobs
