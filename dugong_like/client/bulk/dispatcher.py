"""The dispatcher below the layers of `Client.map`.

A request that may be sent together with others is left to the lanes of its origin, and its layers
go on when its response is there. Any other one waits until a connection may be used for it alone,
or a stream of HTTP/2, and is then sent as usual; so is one that a lane of HTTP/2 has sent in vain.
If it could be sent together with others, it is also repeated as a pipeline does, whether or not the
client repeats requests: a connection that ends takes many streams with it.

Not here: lanes (lane.py), and when what is left is begun (schedule.py).
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final, Protocol

from ...errors import ConnectFailed, ConnectionClosed
from ..dispatch import origin_of
from ..pooled import HTTP_2
from .place import Job

if TYPE_CHECKING:
    from collections.abc import Callable

    from ...http.url import Origin
    from ...polling.contract import Co, PollNeeded
    from ..decoding import ReadingOptions
    from ..dispatcher import Dispatcher
    from ..request import ClientRequest
    from ..response import Response
    from .place import Place, Task

ATTEMPTS: Final = 3  # connections in a row that end before any response comes, as of a `Pipeline`
MOST_SENT: Final = 64  # times that a request is sent while others are answered


class Scheduler(Protocol):
    """The part of a `Schedule` that is used here."""

    @property
    def current(self) -> Task:
        """The task that is being resumed."""
        ...

    def place(self, origin: Origin) -> Place:
        """Return the place for *origin*."""
        ...

    def may_pipeline(self, request: ClientRequest) -> bool:
        """Return True if *request* may be sent together with others."""
        ...

    def parked(self) -> PollNeeded:
        """Return a wait that ends when the schedule says so."""
        ...

    def abandon(self, job: Job) -> None:
        """Forget *job*, which has no outcome, and will have none."""
        ...

    def check_open(self) -> None:
        """Raise StateError if the client is closed."""
        ...

    def holds(self, place: Place, request: ClientRequest, exc: Exception, failures: int) -> bool:
        """Have all wait at *place* until a connection is tried again, if that may be."""
        ...

    def note_status(
        self, place: Place, request: ClientRequest, response: Response, sent_at: float
    ) -> None:
        """Take the status of *response* into account; *sent_at*: seconds of `time.monotonic`."""
        ...

    def note_free(self, place: Place) -> None:
        """Take it that another request may be begun at *place*."""
        ...


class BulkDispatcher:
    """Sends the requests of a `Schedule`.

    Args:
        schedule: the schedule.
        inner: the dispatcher of the client.
        reading_of: tells how the client reads the body of the response to a request.

    """

    def __init__(
        self,
        schedule: Scheduler,
        inner: Dispatcher,
        reading_of: Callable[[ClientRequest], ReadingOptions],
    ) -> None:
        self._schedule = schedule
        self._inner = inner
        self._reading_of = reading_of

    def co_dispatch(self, request: ClientRequest) -> Co[Response]:
        """Send *request* and return its response; see `Dispatcher`.

        Raises:
            StateError: the client was closed before it could be sent.
            DugongError: what `Pool.co_dispatch` and `Pipeline.co_next` raise.

        """
        schedule = self._schedule
        task = schedule.current
        given, task.given = task.given, None
        if task.repetitions:  # which its layers know nothing of
            request.repetitions, task.repetitions = task.repetitions, 0
        if given is not None:
            return _outcome(given)
        schedule.check_open()
        place = schedule.place(origin_of(request))
        job = Job(request, task.entry, place, task)
        sent, task.sent = task.sent, None
        if sent is None and not place.is_alone and schedule.may_pipeline(request):
            place.add(job)
            response = yield from self._co_outcome(job)
            if response is not None:
                return response
            sent = job.sent
            job = Job(request, task.entry, place, task)
        while (response := (yield from self._co_send_alone(job, sent or 0))) is None:
            job = Job(request, task.entry, place, task)
        return response

    def _co_send_alone(self, job: Job, sent: int) -> Co[Response | None]:
        """Send the request of *job* when it is its turn; it was *sent* so many times before.

        Returns:
            The response; None if it is to wait again, as no connection could be opened.

        """
        schedule, place = self._schedule, job.place
        place.singles.append(job)
        try:
            yield from self._co_wait(job)
            schedule.check_open()
            failures, rounds = place.failures, place.rounds
            try:
                return (yield from self._co_send(job.request, place, sent))
            except ConnectFailed as exc:  # nothing was sent
                if not schedule.holds(place, job.request, exc, failures):
                    raise
                if place.rounds > rounds:  # else it waits for a connection that there is
                    job.request.repetitions += 1
                    yield from _co_tell(job.request, exc)
                return None
        finally:
            if job in place.singles:
                place.singles.remove(job)
            elif job.is_settled:
                place.taken -= 1
            schedule.note_free(place)

    def _co_send(self, request: ClientRequest, place: Place, sent: int) -> Co[Response]:
        """Send *request*, and again if its connection ends and that is safe.

        It was *sent* so many times before.
        """
        repeats = self._schedule.may_pipeline(request) and request.rewindable()
        fruitless = sent
        while True:
            sent += 1
            before = place.answers
            try:
                return (yield from self._co_attempt(request, place, receives=repeats))
            except ConnectionClosed as exc:
                fruitless = 0 if place.answers > before else fruitless + 1
                if not (repeats and exc.retryable) or fruitless >= ATTEMPTS or sent >= MOST_SENT:
                    raise

    def _co_attempt(self, request: ClientRequest, place: Place, *, receives: bool) -> Co[Response]:
        """Send *request* once; *receives* is True to wait for the body of its response."""
        sent_at = time.monotonic()
        response = yield from self._inner.co_dispatch(request)
        self._schedule.note_status(place, request, response, sent_at)
        connection = response.connection
        if connection is not None and connection.protocol == HTTP_2:
            place.streams = connection.concurrency
        if receives:
            try:
                yield from response.co_receive(self._reading_of(request), request.deadline)
            except BaseException:
                response.close()
                raise
        place.answers += 1
        return response

    def _co_wait(self, job: Job) -> Co[None]:
        """Wait until *job* is settled."""
        schedule = self._schedule
        schedule.note_free(job.place)
        while not job.is_settled:
            yield schedule.parked()
            while job.refusals:
                refusal, *others = job.refusals
                job.refusals = tuple(others)
                yield from _co_tell(job.request, refusal)

    def _co_outcome(self, job: Job) -> Co[Response | None]:
        """Wait for the outcome of *job*; None: it is to be sent by itself."""
        try:
            yield from self._co_wait(job)
        finally:
            if not job.is_settled:
                self._schedule.abandon(job)
        if job.error is not None:
            try:
                raise job.error
            finally:
                job.error = None  # which keeps this frame
        return job.response

    def co_close(self) -> Co[None]:
        """Do nothing: the dispatcher of the client is not closed."""
        yield from ()


def _co_tell(request: ClientRequest, exc: Exception) -> Co[None]:
    """Call the functions for repetitions of *request*, which waits for a connection after *exc*."""
    if request.hooks is not None:
        yield from request.hooks.co_call("on_retry", request, exc=exc)


def _outcome(given: Response | Exception) -> Response:
    """Return the response that a request has had, or raise the error."""
    if not isinstance(given, Exception):
        return given
    try:
        raise given
    finally:
        del given  # which keeps this frame
