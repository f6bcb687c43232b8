"""The schedule of `Client.map`: what is begun, resumed and waited for, and when.

Requests are taken from the iterable while the window has room. Most need nothing but to be sent:
they go to the place of their origin, where lanes pipeline them on a few connections. A response
that asks for more, and any other request, passes the layers of the client as a task, above a
dispatcher that gives it to the lanes as well if it may be pipelined.

All of it is driven by one operation, in one thread: each step resumes the lanes and tasks whose
waits are over, and the next wait is one for all.

**Memory** is bounded by the window, and by bytes: nothing is taken while the bodies that are here,
and those that will be as far as the last ones tell, are more. With order, what has to wait for the
first one may be more than expected: then the other lanes stop until that has come.

Not here: connections (lane.py), and the iteration (map_results.py).
"""

from __future__ import annotations

import math
import time
from collections import deque
from typing import TYPE_CHECKING, Any, Final, NamedTuple, Protocol, TypeAlias

from ...errors import DeadlineExceeded, DugongError, PoolTimedOut, StateError
from ...http.redaction import mask_target
from ...http.request import is_whole
from ...polling.ready_set import ReadySet
from ...polling.wake import Wake
from ..closing import CLOSED, closed
from ..decoding import ReadingOptions
from ..refusals import ASK_TO_WAIT, ERRORS_OF_SERVERS, note_status
from ..response import Response
from .dispatcher import BulkDispatcher
from .pipeline_lane import PipelineLane
from .place import Entry, Job, Place, Task
from .results import MapItem, MapProgress
from .source import END, Source, as_request
from .work import Work

if TYPE_CHECKING:
    from collections.abc import Callable

    from ...connection.exchange import HTTPResponse
    from ...http.url import Origin
    from ...polling.contract import Co, PollNeeded
    from ...polling.timeouts import Timeouts
    from ..closing import Closing
    from ..direct import DirectDispatch
    from ..dispatcher import Dispatcher
    from ..layers.retry import Retry
    from ..pool import Pool
    from ..request import ClientRequest
    from .options import MapSettings
    from .place import Carrier, UsedConnection

FIRST_SIZE: Final = 16384  # bytes that a body is expected to have before one has come
LEAST_PAUSE: Final = 0.1  # seconds before another connection is tried besides one that is open
SHARE: Final = 8  # of the expectation, which each body changes


class Sender(Protocol):
    """The part of a client that sends requests through its layers."""

    def co_send(self, request: ClientRequest, *, stream: bool | None = None) -> Co[Response]:
        """See `Client.co_send`."""
        ...


class ClientParts(NamedTuple):
    """The parts of a client that are used here.

    Attributes:
        build: `Client.build_request`.
        over: returns the client above another dispatcher.
        dispatcher: its own one.
        pool: the same if it is a `Pool`, else None.
        direct: completes responses that need no layer; None if all do.
        timeouts: time limits of most requests.
        retry: for requests that have none of their own.
        reading_of: tells how the body of the response to a request is read.
        closing: says when the client is closed.

    """

    build: Callable[..., ClientRequest]
    over: Callable[[Dispatcher], Sender]
    dispatcher: Dispatcher
    pool: Pool | None
    direct: DirectDispatch | None
    timeouts: Timeouts | None
    retry: Retry | None
    reading_of: Callable[[ClientRequest], ReadingOptions]
    closing: Closing


class Taking:
    """Asking an asynchronous iterable for its next request.

    Args:
        source: the iterable.

    Attributes:
        op: does that.

    """

    def __init__(self, source: Source) -> None:
        self.op: Co[Any] = source.co_take()


Runner: TypeAlias = "Carrier | Task | Taking"


class Schedule:
    """Sends requests, and has their results.

    Args:
        parts: of the client.
        source: gives the requests.
        settings: see there.

    """

    def __init__(self, parts: ClientParts, source: Source, settings: MapSettings) -> None:
        self._parts = parts
        self._source = source
        self._settings = settings
        self._pool = parts.pool
        self._client = parts.over(BulkDispatcher(self, parts.dispatcher, parts.reading_of))
        self._places: dict[Origin, Place] = {}
        self._free: dict[Place, None] = {}  # where something may be begun
        self._order: deque[Entry] = deque()  # what was taken and not returned, with order
        self._done: deque[Entry] = deque()  # what is to be returned, without order
        self._open = 0  # what was taken and not returned
        self._finished = 0  # of these
        self._held = 0  # bytes of these that are in memory
        self._expected = float(FIRST_SIZE)  # bytes of a body
        self._runnable: dict[Runner, None] = {}
        self._paused: dict[Runner, None] = {}
        self._runners: dict[Runner, None] = {}  # all that have not ended
        self._waits: ReadySet[Any] = ReadySet()
        self._parking = Wake("a response of another connection")  # or that the client is closed
        self._closing = parts.closing
        self._closing.add(self._parking)
        self._waits.set(self._parking, self._parking.need())
        self._refuses = False  # True once what waited then has been refused
        self._task: Task | None = None
        self._taking: Taking | None = None
        self._waiting_lanes = 0
        self._deadline = math.inf
        if settings.total is not None:
            self._deadline = time.monotonic() + settings.total
        self._taken = self._count = self._failed = self._sent = self._received = 0
        self._is_resuming = self._is_closed = False

    # ---- for the iteration

    @property
    def progress(self) -> MapProgress:
        """How far it has come."""
        return MapProgress(self._taken, self._count, self._failed, self._sent, self._received)

    def pop(self) -> MapItem | None:
        """Return the next result; None if it is not there."""
        if self._settings.ordered:
            if not self._order or not self._order[0].is_done:
                return None
            entry = self._order.popleft()
        elif self._done:
            entry = self._done.popleft()
        else:
            return None
        self._open -= 1
        self._finished -= 1
        self._held -= entry.size
        return MapItem(entry.index, entry.given, entry.request, entry.response, entry.error)

    def has_result(self) -> bool:
        """Return True if `pop` returns something."""
        return bool(self._order and self._order[0].is_done) or bool(self._done)

    def is_over(self) -> bool:
        """Return True if all results have been returned, and there will be no others."""
        return self._is_closed or (not self._open and self._source.is_over)

    def take_failure(self) -> Exception | None:
        """Return what the iterable has raised, once."""
        failure, self._source.failure = self._source.failure, None
        return failure

    def advance(self) -> PollNeeded | None:
        """Do what can be done now; return what to wait for, or None if there may be a result.

        Raises:
            DeadlineExceeded: the total time has passed.
            Exception: what the function for progress raises.

        """
        if self._deadline < math.inf and time.monotonic() >= self._deadline:
            raise DeadlineExceeded(f"map() was not complete within {self._settings.total} s")
        if self._closing.is_closed and not self._refuses:
            self._refuse_all()
        self._runnable.update(dict.fromkeys(self._waits.ready()))
        self._runnable |= self._paused
        self._paused.clear()
        self._begin()
        while self._runnable:
            runners, self._runnable = self._runnable, {}
            for runner in runners:
                if runner in self._runners and not self._pauses(runner):
                    self._resume(runner)
                if self._is_closed:
                    return None
            self._begin()
            if self.has_result():
                return None
        if self.has_result() or self.is_over():
            return None
        return self._waits.need(self._next_time())

    def _next_time(self) -> float | None:
        """Return until when to wait at most, in seconds of `time.monotonic`."""
        times = [] if self._deadline == math.inf else [self._deadline]
        # A time that has come ends the wait.
        times += [place.opens_at or place.facts.resumes for place in self._free]
        return min(times, default=None)

    def close(self) -> None:
        """Give up what has no result, and close its connections."""
        self._is_closed = True
        self._source.close()
        if self._is_resuming:  # called by a function in the middle of a step
            return
        try:
            while self._runners:
                runner, _ = self._runners.popitem()
                runner.op.close()
        finally:
            self._order.clear()
            self._done.clear()
            self._runnable.clear()
            self._places.clear()
            self._free.clear()
            self._waits.close()
            self._closing.discard(self._parking)
            self._parking.close()

    # ---- after the client was closed

    def _refuse_all(self) -> None:
        """Have all fail that waits to be sent; what is under way goes on."""
        self._refuses = True
        self._waits.drop(self._parking)  # it stays set
        for place in self._places.values():
            self._runnable.update(dict.fromkeys(place.lanes))  # some may be in a pause
            self._free[place] = None

    def _refuse(self, place: Place) -> None:
        """Have fail what waits at *place*."""
        for job in tuple(place.queue):
            self.failed(job, StateError(CLOSED))
        place.queue.clear()
        while place.pending:
            entry = place.pending.popleft()
            request = entry.request
            error = StateError(CLOSED) if request is None else closed(request)
            self._finish(entry, None, error)
        while place.singles:
            job = place.singles.popleft()
            place.taken += 1
            job.is_settled = True  # its task finds out
            self._wake(job)

    def check_open(self) -> None:
        """Raise StateError if the client is closed."""
        self._closing.check()

    # ---- taking requests, and beginning them

    def _begin(self) -> None:
        """Take requests while there is room, and begin what may be."""
        self._take_all()
        for place in list(self._free):
            if self._refuses:
                self._refuse(place)
            if place.opens_at:
                place.look_at(time.monotonic())
            is_paused = place.resumes_at()  # it may end before the look at the end, or begin
            while (entry := place.next_task()) is not None:
                self._start(Task(entry, place))
            while (job := place.next_single()) is not None:
                job.is_settled = True
                self._wake(job)
            if not self._feed_lanes(place):
                while place.may_open():
                    self._open_lane(place)
            is_held = place.opens_at and (place.queue or place.singles)
            if not is_held and not (place.has_waiting() and (is_paused or place.resumes_at())):
                self._free.pop(place, None)
            if place.is_unused():
                self._places.pop(place.origin, None)

    def _feed_lanes(self, place: Place) -> bool:
        """Have lanes take what has just come; True if they are about to send it."""
        is_fed = False
        if place.is_waited_for and not place.resumes_at():
            place.is_waited_for = False
            for lane in place.lanes:
                if lane.take_more():
                    self._runnable[lane] = None
                    is_fed = True
        return is_fed

    def _open_lane(self, place: Place) -> None:
        pool, timeouts = self._pool, self._parts.timeouts
        assert pool is not None
        lane: Carrier
        if place.has_streams():
            from .stream_lane import StreamLane  # noqa: PLC0415 - for HTTP/2

            lane = StreamLane(place, pool, self, timeouts)
        else:
            lane = PipelineLane(place, pool, self, self._settings.depth, timeouts)
        place.lanes.append(lane)
        self._waiting_lanes += 1
        self._runners[lane] = None
        self._runnable[lane] = None

    def _take_all(self) -> None:
        source, window = self._source, self._settings.window
        while not source.is_over and self._open < window and self._has_room():
            if source.is_async:
                if self._taking is None:
                    self._taking = taking = Taking(source)
                    self._runners[taking] = None
                    self._runnable[taking] = None
                return
            if (given := source.take()) is END:
                return
            self._add(given)

    def _has_room(self) -> bool:
        """Return True if another body may be in memory."""
        under_way = self._open - self._finished
        return not self._open or (
            self._held + under_way * self._expected < self._settings.max_bytes
        )

    def _add(self, given: Any) -> None:
        """Take *given*, which the iterable has given."""
        entry = Entry(self._taken, given)
        self._taken += 1
        self._open += 1
        if self._settings.ordered:
            self._order.append(entry)
        parts = self._parts
        if isinstance(given, Work):
            if self._closing.is_closed:
                self._finish(entry, None, StateError(CLOSED))
                return
            place = self.place(given.origin)
            place.pending.append(entry)
            self._free[place] = None
            return
        try:
            request = as_request(given, parts.build, self._settings.of_requests)
            entry.request = request
            if self._closing.is_closed:
                raise closed(request)
            body = request.body
            if body is not None and hasattr(body, "__len__"):
                entry.size = len(body)
                self._held += entry.size
            place = self.place(request.url.origin)
            direct = parts.direct
            if (
                direct is not None
                and request.total is None
                and not place.is_alone
                and self.may_pipeline(request)
                and request.is_plain()
                and direct.is_free()
            ):
                request.repetitions = 0  # it may have been sent before
                place.add(Job(request, entry, place))
            else:
                place.pending.append(entry)
        except Exception as exc:  # noqa: BLE001 - it is the result of this one
            if entry.request is None:
                exc.add_note(f"item {entry.index} of the requests of map(), counted from 0")
            self._finish(entry, None, exc)
        else:
            self._free[place] = None

    def _start(self, task: Task) -> None:
        given = task.entry.given
        if isinstance(given, Work):
            task.op = given.co_run(self._client.co_send)
        else:
            assert task.entry.request is not None
            task.op = self._co_send(task.entry.request)
        self._runners[task] = None
        self._runnable[task] = None

    def _co_send(self, request: ClientRequest) -> Co[Response]:
        return (yield from self._client.co_send(request))

    # ---- resuming

    def _pauses(self, runner: Runner) -> bool:
        """Return True if *runner* has to wait until the first result has come, which it is not at.

        It is a lane, and the first one is on another lane: so that can go on in any case. One of
        HTTP/2 takes no further request instead, as others may rely on it to receive.
        """
        if (
            self._held <= self._settings.max_bytes
            or not self._order
            or not isinstance(runner, PipelineLane)
        ):
            return False
        job = self._order[0].job
        if job is None or job.lane is None or job.lane is runner:
            return False
        self._waits.drop(runner)
        self._paused[runner] = None
        return True

    def _resume(self, runner: Runner) -> None:
        self._task = runner if isinstance(runner, Task) else None
        self._is_resuming = True
        try:
            need = next(runner.op)
        except StopIteration as end:
            self._end(runner, end.value, None)
        except Exception as exc:  # noqa: BLE001 - it is the result of one request
            self._end(runner, None, exc)
        else:
            if need is None:
                self._runnable[runner] = None
            elif self._refuses and need.is_pause and not isinstance(runner, Task | Taking):
                self._stop(runner)
            elif need[0] == self._parking.fd and need.deadline is None:
                self._waits.drop(runner)
            else:
                self._waits.set(runner, need)
        finally:
            self._task = None
            self._is_resuming = False
        if self._is_closed:
            self.close()

    def _end(self, runner: Runner, result: Any, exc: Exception | None) -> None:
        """Take the result of *runner*, which has ended."""
        self._waits.drop(runner)
        self._runners.pop(runner, None)
        if isinstance(runner, Task):
            runner.place.tasks -= 1
            self._free[runner.place] = None
            self._finish(runner.entry, result, exc)
        elif isinstance(runner, Taking):
            self._taking = None
            if result is not END:
                self._add(result)
        elif exc is not None:
            raise exc

    def _stop(self, runner: Runner) -> None:
        """End *runner*; a lane leaves its requests to its place."""
        del self._runners[runner]
        self._waits.drop(runner)
        runner.op.close()

    def _wake(self, job: Job) -> None:
        """Have the task of *job* resumed."""
        if job.task is not None:
            self._runnable[job.task] = None

    # ---- for lanes

    def answered(
        self, job: Job, message: HTTPResponse, body: bytes, lease: UsedConnection, now: float
    ) -> None:
        """Take the response to *job*; see `Outcomes`."""
        job.place.jobs -= 1
        if job.is_settled:
            return
        job.is_settled = True
        request, direct = job.request, self._parts.direct
        status, facts = message.status, job.place.facts
        asks_to_wait = status in ASK_TO_WAIT
        if status < ERRORS_OF_SERVERS and not asks_to_wait:  # as `note_status`, without its calls
            facts.answered = max(facts.answered, job.begun_at)
        elif not asks_to_wait:
            job.place.heard = max(job.place.heard, job.begun_at)
        if job.task is None and direct is not None:
            response = direct.receive(message, body, request, lease.connection, job.begun_at, now)
            if response is not None:
                self._finish(job.entry, response, None)
                return
        response = Response.received(message, request, lease.connection, body)
        if asks_to_wait:
            self.note_status(job.place, request, response, job.begun_at)
        if job.task is None:
            self._pass_layers(job, response)
        else:
            job.response = response
            self._wake(job)

    def failed(self, job: Job, exc: Exception) -> None:
        """Take it that there is no response to *job*; see `Outcomes`."""
        job.place.jobs -= 1
        if job.is_settled:
            return
        job.is_settled = True
        if isinstance(exc, DugongError):
            exc.request = job.request
            exc.label_request(job.request, mask_target(str(job.request.url)))
        if job.task is None and self._parts.retry is not None:
            self._pass_layers(job, exc)
        elif job.task is None:
            self._finish(job.entry, None, exc)
        else:
            job.error = exc
            self._wake(job)

    def not_opened(self, lane: Carrier, exc: Exception) -> None:
        """Take it that *lane* has got no connection; see `Outcomes`.

        That is about all requests that wait at its place: those that may be repeated wait for the
        next attempt together. Otherwise the first one fails, as it would without the others.
        """
        place = lane.place
        if not place.queue:
            return
        first = place.queue[0].request
        if self.holds(place, first, exc, lane.failures):
            return
        job = place.queue.popleft()
        first.attempts += not isinstance(exc, PoolTimedOut)
        self.failed(job, exc)

    def holds(self, place: Place, request: ClientRequest, exc: Exception, failures: int) -> bool:
        """Have all that waits at *place* wait until a connection is tried again, if that may be.

        Args:
            place: the place.
            request: what was to be sent there.
            exc: why no connection could be opened for it.
            failures: see `Place`; the number when that began.

        """
        retry: Retry | None = request.extensions.get("retry", self._parts.retry)
        if retry is None or not isinstance(exc, DugongError):
            return False
        if place.failures != failures:  # another one has failed meanwhile
            return retry.allows_error(request, exc)
        if any(lane.is_open for lane in place.lanes):
            place.hold(max(retry.pause(0), LEAST_PAUSE))
            return retry.allows_error(request, exc)
        seconds = retry.pause_after_error(request, exc)
        if seconds is None:
            return False
        place.hold(seconds)
        place.rounds += 1
        self._free[place] = None
        for job in (*place.queue, *place.singles):
            job.request.attempts += 1
            job.request.repetitions += 1
            if job.request.hooks is not None:
                job.refusals += (exc,)
                self._wake(job)
        return True

    def send_alone(self, job: Job, sent: int) -> None:
        """Have *job* sent by itself from now on; see `Outcomes`."""
        job.place.jobs -= 1
        if job.is_settled:
            return
        job.is_settled = True
        if job.task is None:
            self._pass_layers(job, sent=sent)
        else:
            job.sent = sent
            self._wake(job)

    def _pass_layers(
        self, job: Job, given: Response | Exception | None = None, sent: int | None = None
    ) -> None:
        """Have the request of *job* pass the layers of the client after all; see `Task`."""
        job.place.tasks += 1
        job.entry.job = None
        self._start(Task(job.entry, job.place, given, sent, job.request.repetitions))

    def is_full(self) -> bool:
        """Return True if more bytes are in memory than may be."""
        return self._held > self._settings.max_bytes

    def wants_connection(self) -> bool:
        """Return True if a lane waits for a connection."""
        return self._waiting_lanes > 0

    def note_connection(self) -> None:
        """Take it that one of these waits no more."""
        self._waiting_lanes -= 1

    def ended(self, lane: Carrier) -> None:
        """Take it that *lane* has ended."""
        if lane in lane.place.lanes:
            lane.place.lanes.remove(lane)
        self._free[lane.place] = None

    # ---- for the dispatcher

    @property
    def current(self) -> Task:
        """The task that is being resumed."""
        assert self._task is not None
        return self._task

    def place(self, origin: Origin) -> Place:
        """Return the place for *origin*."""
        place = self._places.get(origin)
        if place is None:
            settings, pool = self._settings, self._pool

            def is_shared() -> bool:
                return pool is None or pool.is_shared(origin)

            place = Place(origin, settings.concurrency, settings.depth, is_shared)
            place.is_alone = pool is None
            self._places[origin] = place
        return place

    def may_pipeline(self, request: ClientRequest) -> bool:
        """Return True if *request* may be sent together with others.

        It may be repeated, its body is in memory, and it needs nothing of its connection.
        """
        return (
            request.idempotent
            and not request.stream
            and request.timeouts is self._parts.timeouts
            and not (request.expect100 or request.bounded or request.held is not None)
            and request.connecting is None
            and (request.body is None or is_whole(request.body))
            and "websocket" not in request.extensions
        )

    def parked(self) -> PollNeeded:
        """Return a wait that ends when an outcome has come."""
        return self._parking.need()

    def abandon(self, job: Job) -> None:
        """Forget *job*. If it is the one that its lane waits for, that begins anew."""
        job.is_settled = True
        lane = job.lane
        if lane is None:
            job.place.remove(job)
        elif lane in self._runners:
            if lane.abandon(job):
                self._runnable[lane] = None
            else:
                self._stop(lane)

    def note_status(
        self, place: Place, request: ClientRequest, response: Response, sent_at: float
    ) -> None:
        """Take the status of *response* into account for all requests to *place*."""
        note_status(place.facts, self._parts.retry, request, response, sent_at)
        if response.status_code not in ASK_TO_WAIT:
            place.heard = max(place.heard, sent_at)

    def note_free(self, place: Place) -> None:
        """Look whether something may be begun at *place*."""
        self._free[place] = None

    # ---- results

    def _finish(
        self, entry: Entry, response: Response | Any | None, error: Exception | None
    ) -> None:
        """Take the result of *entry*."""
        body = entry.size
        self._count += 1
        self._finished += 1
        self._sent += body
        if isinstance(response, Response):
            size = len(response.content)
            self._received += response.num_bytes_downloaded
            self._expected += (size - self._expected) / SHARE
            entry.size += size
            self._held += size
        elif error is not None:
            self._failed += 1
        entry.response, entry.error = response, error
        entry.job = None
        entry.is_done = True
        if not self._settings.ordered:
            self._done.append(entry)
        if self._settings.on_progress is not None:
            self._settings.on_progress(self.progress)
