"""The dispatcher below the layers of `Client.map`.

A request that may be pipelined is left to the connections of its origin, and its layers go on when
its response is there. Any other one waits until a connection may be used for it alone, or a stream
of HTTP/2, and is then sent as usual.

Not here: pipelining (lane.py), and when what is left is begun (schedule.py).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from ..dispatch import origin_of
from ..pooled import HTTP_2
from .place import Job

if TYPE_CHECKING:
    from ...http.url import Origin
    from ...polling.contract import Co, PollNeeded
    from ..dispatcher import Dispatcher
    from ..request import ClientRequest
    from ..response import Response
    from .place import Place, Task


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

    def note_free(self, place: Place) -> None:
        """Take it that another request may be begun at *place*."""
        ...


class BulkDispatcher:
    """Sends the requests of a `Schedule`.

    Args:
        schedule: the schedule.
        inner: the dispatcher of the client.

    """

    def __init__(self, schedule: Scheduler, inner: Dispatcher) -> None:
        self._schedule = schedule
        self._inner = inner

    def co_dispatch(self, request: ClientRequest) -> Co[Response]:
        """Send *request* and return its response; see `Dispatcher`.

        Raises:
            DugongError: what `Pool.co_dispatch` and `Pipeline.co_next` raise.

        """
        schedule = self._schedule
        task = schedule.current
        response, task.given = task.given, None
        if response is not None:
            return response
        place = schedule.place(origin_of(request))
        job = Job(request, task.entry, place, task)
        if place.is_batched() and schedule.may_pipeline(request):
            place.add(job)
            return (yield from self._co_outcome(job))
        place.singles.append(job)
        try:
            yield from self._co_wait(job)
            response = yield from self._inner.co_dispatch(request)
        finally:
            if job in place.singles:
                place.singles.remove(job)
            elif job.is_settled:
                place.taken -= 1
            schedule.note_free(place)
        connection = response.connection
        if connection is not None and connection.protocol == HTTP_2:
            place.streams = connection.concurrency
        return response

    def _co_wait(self, job: Job) -> Co[None]:
        """Wait until *job* is settled."""
        schedule = self._schedule
        schedule.note_free(job.place)
        while not job.is_settled:
            yield schedule.parked()

    def _co_outcome(self, job: Job) -> Co[Response]:
        """Wait for the outcome of *job*."""
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
        assert job.response is not None
        return job.response

    def co_close(self) -> Co[None]:
        """Do nothing: the dispatcher of the client is not closed."""
        yield from ()
