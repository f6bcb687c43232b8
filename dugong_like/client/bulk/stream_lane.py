"""A lane of `Client.map` over HTTP/2: its requests are a rolling batch.

A request that fails here is not repeated here: it is sent by itself then, and all rules about that
hold (dispatcher.py). But those that the server has refused as it ends the connection (GOAWAY) go to
the next lane. Servers end one after a number of requests; that is learned, as others are sent in
vain.

Not here: how they are sent together (connection/h2/rolling_batch.py), and what becomes of the
outcomes (schedule.py).
"""

from __future__ import annotations

import time
from collections.abc import Generator, Iterable
from typing import TYPE_CHECKING, Final, Protocol, cast

from ...connection.pace import room_below
from ...errors import ConnectionClosed, ConnectionTimedOut, DugongError, GoneAway
from ..dispatch import MAX_OVERTAKEN, may_repeat, was_overtaken
from ..pool import MISDIRECTED
from ..pooled import HTTP_2
from .lane import Lane, Outcomes

if TYPE_CHECKING:
    from ...connection.exchange import Exchange, Reply
    from ...connection.h2.rolling_batch import Outcome, RollingBatch
    from ...http.url import Origin
    from ...polling.contract import Co, PollNeeded
    from ...polling.timeouts import Timeouts
    from ..request import ClientRequest
    from ..share import StreamLease
    from ..sharing import AnyLease
    from .place import Job, Place


TURN: Final = 100  # requests of a lane after which it makes way for others of the pool


class Streams(Protocol):
    """The part of a `Pool` that is used here."""

    def acquiring_stream(self, origin: Origin, timeouts: Timeouts | None) -> Co[AnyLease]:
        """Take a stream of an HTTP/2 connection, or a connection with HTTP/1.1."""
        ...

    def is_waited_for(self) -> bool:
        """Return True if somebody waits until there may be another connection."""
        ...

    def needs_http_1(self, origin: Origin) -> bool:
        """Return True if the server refuses HTTP/2, as far as is known."""
        ...

    def goes_to_http_1(self, origin: Origin, request: ClientRequest, exc: DugongError) -> bool:
        """Return True if *request* is to be sent over HTTP/1.1, after *exc*."""
        ...


class StreamLane(Lane[Streams]):
    """Sends the requests of a place on streams of one connection, which others use as well."""

    def __init__(
        self, place: Place, pool: Streams, outcomes: Outcomes, timeouts: Timeouts | None
    ) -> None:
        super().__init__(place, pool, outcomes, timeouts)
        self._jobs: dict[Exchange, Job] = {}  # what was taken and has no outcome
        self._refused: list[Job] = []  # of these, for the next lane
        self._lease: StreamLease | None = None
        self._batch: RollingBatch | None = None
        self._answered = 0  # on the connection, as far as is known
        self._processed = 0  # of its requests, as GOAWAY says
        self._is_over = False  # no further request is taken

    # ---- for the schedule

    def take_more(self) -> bool:
        """See `Lane.take_more`."""
        return self._batch is not None and self._fill(self._batch)

    def is_full(self) -> bool:
        """See `Lane.is_full`; False while how much it can take is not known, and it may be all."""
        lease, batch = self._lease, self._batch
        if lease is None or batch is None:
            return self.place.each_opens
        if self._is_over or batch.is_over:
            return True
        return lease.connection.remote_settings is not None and self._room(lease, batch) <= 0

    def abandon(self, job: Job) -> bool:
        """See `Lane.abandon`: the other streams go on."""
        for exchange, other in self._jobs.items():
            if other is job:
                del self._jobs[exchange]
                self.place.jobs -= 1
                if self._batch is not None:
                    self._batch.cancel(exchange)
                self._doubt()
                break
        return True

    # ---- inside

    def _co_open(self) -> Generator[PollNeeded, None, bool]:
        place = self.place
        if self._pool.needs_http_1(place.origin):
            self._leave_alone()
            return False
        try:
            lease = yield from self._pool.acquiring_stream(place.origin, self._timeouts)
        except Exception:
            place.each_opens = True  # or the others would fail one after the other
            raise
        place.each_opens = False
        self._stop_waiting()
        if lease.connection.protocol != HTTP_2:
            place.is_pipelined = True
            lease.release(requests=0)  # or it would have one less than the limit of the pool
            return False
        self._lease = lease  # type: ignore[assignment]  # it is one of HTTP/2
        assert self._lease is not None
        self._lease.connection.limit(self._timeouts)
        self._batch = self._lease.begin_batch()
        self._answered = self._lease.requests()
        if self._batch is None:
            self._leave_alone()
        return self._batch is not None

    def _leave_alone(self) -> None:
        """Have all requests of the place sent one by one."""
        self.place.is_alone = self._is_over = True
        while self.place.queue:
            self._outcomes.send_alone(self.place.queue.popleft(), 0)

    def _co_answers(self) -> Generator[PollNeeded | None, None, None]:
        """Tell the outcomes as they come."""
        batch, jobs = self._batch, self._jobs
        assert batch is not None
        while True:
            self._fill(batch)
            if not jobs:
                return
            try:
                outcomes = yield from batch.co_some()
            except ConnectionTimedOut as exc:  # there was no room
                self._fail_unsent(batch, exc)
                return
            now = time.monotonic()
            for outcome in outcomes:
                job = jobs.pop(outcome.exchange, None)
                if job is not None:
                    self._settle(job, outcome, now)
            if self._refused:
                self._leave_refused(batch)
            yield None

    def _doubt(self) -> None:
        """Note that there was no answer in time: the next lane finds out if there will be any."""
        self._is_over = True
        if self._lease is not None:
            self._lease.doubt()

    def _leave_refused(self, batch: RollingBatch) -> None:
        """Leave what the server has refused, as it ends the connection, to the next lane."""
        refused, self._refused = self._refused, []
        unsent = [self._untaken(exchange) for exchange in batch.take_unsent()]
        self._taken -= len(refused)
        self.place.requests_of_connection = self._processed
        self.place.put_back([*refused, *unsent])
        self._outcomes.note_free(self.place)

    def _room(self, lease: StreamLease, batch: RollingBatch) -> float:
        """Return how many requests may be taken now."""
        count = len(self._jobs)
        left = lease.left() if self._taken else max(lease.left(), 1)
        room = min(batch.room(), self.place.free_streams(), left)
        limit = self.place.requests_of_connection
        if limit is not None:
            room = min(room, room_below(limit, self._answered) - count)
        if room > 0 and (self.place.probes() or self._outcomes.is_full()):
            return not count  # the first one may be among those that wait
        return room

    def _fill(self, batch: RollingBatch) -> bool:
        """Take as many requests as there is room for; return True if there were any."""
        lease, place, jobs = self._lease, self.place, self._jobs
        assert lease is not None
        queue = place.queue
        is_over = self._is_over or batch.is_over
        # The server may allow fewer than were expected.
        gives_all = is_over or place.resumes_at() is not None
        if unsent := batch.take_unsent() if gives_all else batch.take_excess():
            place.put_back([self._untaken(exchange) for exchange in unsent])
        if not queue or is_over:
            return False
        if self._taken >= TURN and self._pool.is_waited_for() and lease.make_way():
            self._is_over = True
            return False
        if place.resumes_at():
            place.is_waited_for = True
            self._outcomes.note_free(place)
            return False
        room = self._room(lease, batch)
        now = time.monotonic()
        taken = 0
        while queue and taken < room:
            job = queue.popleft()
            request = job.request
            try:
                exchange = batch.add(
                    request.method, request.url.target, request.fields(), request.body
                )
            except Exception:  # noqa: BLE001 - which sending it alone will raise as well
                self._outcomes.send_alone(job, 0)
                continue
            job.lane = self
            job.begun_at = now
            request.attempts += 1
            jobs[exchange] = job
            taken += 1
        if taken:
            self._taken += taken
            lease.count(taken)
            place.streams = lease.connection.concurrency
        return taken > 0

    def _untaken(self, exchange: Exchange) -> Job:
        """Return the job of *exchange*, which was not sent."""
        job = self._jobs.pop(exchange)
        job.request.attempts -= 1
        self._taken -= 1
        assert self._lease is not None
        self._lease.count(-1)
        return job

    def _fail_unsent(self, batch: RollingBatch, exc: ConnectionTimedOut) -> None:
        """Have the first request that was not sent fail, and leave the others to the next lane."""
        self._doubt()
        first, *others = batch.take_unsent()
        self._outcomes.failed(self._jobs.pop(first), exc)
        self.place.put_back([self._untaken(exchange) for exchange in others])

    def _settle(self, job: Job, outcome: Outcome, now: float) -> None:
        """Tell the outcome of *job*, or have it sent again."""
        reply, exc = outcome.reply, outcome.error
        if reply is not None:
            self._settle_answered(job, reply, now)
            return
        assert exc is not None
        request = job.request
        if isinstance(exc, ConnectionTimedOut):
            self._doubt()
        if was_overtaken(exc) and job.overtaken < MAX_OVERTAKEN:
            job.overtaken += 1
            self._refused.append(job)
            self._processed = (cast("GoneAway", exc).last_id + 1) // 2  # their numbers are odd
        elif self._pool.goes_to_http_1(self.place.origin, request, exc):
            self._outcomes.send_alone(job, 1)
            self._leave_alone()
        elif may_repeat(request, exc) or (isinstance(exc, ConnectionClosed) and exc.retryable):
            self._outcomes.send_alone(job, 1)
        else:
            self._outcomes.failed(job, exc)

    def _settle_answered(self, job: Job, reply: Reply, now: float) -> None:
        lease, request = self._lease, job.request
        assert lease is not None
        self._answered += 1
        self.place.answers += 1
        if reply.status == MISDIRECTED and request.rewindable() and not request.misdirected:
            request.misdirected = True
            lease.avoid()
            self._is_over = True
            self._outcomes.send_alone(job, 1)
        else:
            self._outcomes.answered(job, reply, reply.body, lease, now)

    def _give_back(self) -> Iterable[Job]:
        lease, self._lease = self._lease, None
        batch, self._batch = self._batch, None
        unsent = [] if batch is None else batch.take_unsent()
        limit = self.place.requests_of_connection
        if limit is not None and self._answered > limit:
            self.place.requests_of_connection = None  # it takes more
        try:
            if batch is not None:
                batch.end()
        finally:
            if lease is not None:
                for exchange in unsent:
                    self._jobs[exchange].request.attempts -= 1
                if unsent:
                    lease.count(-len(unsent))
                if len(self._jobs) > len(unsent):  # given up before they were answered
                    lease.doubt()
                lease.release()
        jobs, self._jobs = self._jobs, {}
        return jobs.values()
