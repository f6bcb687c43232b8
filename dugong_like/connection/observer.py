"""The observer of a session: what it emits to a trace, to timings and to logging.

A session has an observer if somebody asked for one; what is sent, and in how many calls, is the
same with and without it.

Events of any connection::

    connection.close                host, port: one event
    connection.retry                host, port, exception, requests: one event

Not here: the events of a request (h1/trace_events.py, h2/trace_events.py), and those of connecting
(transport/connect/open.py).
"""

from __future__ import annotations

import re
import weakref
from typing import TYPE_CHECKING, Protocol

from ..errors import StateError
from ..http.redaction import mask_target
from ..polling.fork import generation
from ..transport.timings import Stopwatch, Timings
from ..transport.trace import Info, Trace, report_retry

if TYPE_CHECKING:
    from ..transport.connect.route import Route
    from ..transport.stream import Stream
    from .config import ConnectionConfig
    from .exchange import Exchange

_has_url_parts = re.compile("[@=%]").search  # without these a target has no credentials


class Observed(Protocol):
    """The parts of a session that its observer uses; see `shared.SharedState`."""

    route: Route
    stream: Stream | None
    timings: Timings | None

    def fail(self, failure: Exception) -> None:
        """Break the session."""
        ...


class SessionObserver:
    """Tells of one session.

    Args:
        session: what is told of.
        config: says who is told.

    Attributes:
        raised: what the trace has raised. It is told nothing more.
        takes_time: True if somebody asked for the time of each exchange.

    """

    __slots__ = ("_generation", "_session", "_stopwatch", "_trace", "raised", "takes_time")

    def __init__(self, session: Observed, config: ConnectionConfig) -> None:
        self._session = weakref.ref(session)  # which has this one
        self._trace: Trace | None = config.trace
        self.takes_time = config.timings
        self._stopwatch = Stopwatch() if config.timings else None
        self._generation = generation()
        self.raised: BaseException | None = None

    def begin(self) -> None:
        """Note that connecting begins."""
        self.raised = None
        if self._stopwatch is not None:
            self._stopwatch.reset()

    def emit(self, event: str, info: Info) -> None:
        """Tell whoever asked.

        An exception of the trace ends the operation and breaks the connection, of which the trace
        is told nothing more.

        Raises:
            BaseException: what the trace raises.

        """
        if self._stopwatch is not None:
            self._stopwatch.note(event)
        self._emit((event, info))

    def _emit(self, *events: tuple[str, Info]) -> None:
        """Do the same with events that the stopwatch need not hear of."""
        trace = self._trace
        if trace is None or self.raised is not None:
            return
        event = ""
        try:
            for event, info in events:
                trace(event, info)
        except BaseException as exc:
            self._note_raised(exc, event)
            raise

    def _note_raised(self, exc: BaseException, event: str) -> None:
        self.raised = exc
        session = self._session()
        if session is None:
            return
        session.fail(StateError(f"the trace raised {exc!r} at {event}"))
        if session.stream is not None:
            session.stream.shut_down()  # for the other half, if it waits

    def time(self, exchange: Exchange) -> None:
        """Begin to take the time of *exchange*."""
        exchange.timings = Timings()

    def closing(self) -> None:
        """Note that the connection is about to be closed.

        A child process tells nothing of its parent's connection.
        """
        session = self._session()
        if session is not None and generation() == self._generation:
            route = session.route
            self.emit("connection.close", {"host": route.hostname, "port": route.port})

    def retry(self, failure: Exception | None, requests: int) -> None:
        """Note that *requests* are sent again because of *failure*."""
        session = self._session()
        if session is not None:
            report_retry(self.emit, session.route.hostname, session.route.port, failure, requests)


def about(exchange: Exchange) -> Info:
    """Return what is told of a request."""
    path = exchange.target
    return {
        "request": exchange,
        "method": exchange.method,
        "target": mask_target(path) if _has_url_parts(path) else path,
    }
