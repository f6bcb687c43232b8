"""The trace events of a session, emitted by its observer, which timings and logging use as well.

A session has an observer if somebody asked for one, and calls it at each place below; what is sent,
and in how many calls, is the same with and without it.

Events of a request, in this order, each with ``started`` and ``complete`` or ``failed``::

    http11.send_request_headers     request, method, target, headers
    http11.send_request_body        request
    http11.receive_response_headers request, method, target; return_value, status, reason,
                                    http_version, headers
    http11.informational            response, status: one event for each 1xx response
    http11.receive_response_body    response
    http11.trailers                 response, headers: one event
    http11.response_closed          response
    connection.close                host, port: one event
    connection.retry                host, port, exception, requests: one event

Not here: the events of connecting (transport/connect/open.py).
"""

from __future__ import annotations

import re
import weakref
from typing import TYPE_CHECKING, Final, Protocol

from ...errors import StateError
from ...http.h1.response_head import Head
from ...http.redaction import mask_target, masked_lines
from ...polling.fork import generation
from ...transport.timings import Stopwatch, Timings
from ...transport.trace import Info, Trace, report_retry

if TYPE_CHECKING:
    from ...transport.connect.route import Route
    from ...transport.stream import Stream
    from ..config import ConnectionConfig
    from ..exchange import Exchange, HTTPResponse

SEND_HEAD: Final = "http11.send_request_headers"
SEND_BODY: Final = "http11.send_request_body"
RECEIVE_HEAD: Final = "http11.receive_response_headers"
RECEIVE_BODY: Final = "http11.receive_response_body"


_has_url_parts = re.compile("[@=%]").search  # without these a target has no credentials


class Observed(Protocol):
    """The parts of a session that its observer uses; see `shared.SharedState`."""

    route: Route
    stream: Stream | None
    timings: Timings | None

    def fail(self, failure: Exception) -> None:
        """Break the session."""
        ...


class Observer:
    """Tells of one session. The sending and the receiving half are in a phase of their own each.

    Args:
        session: what is told of.
        config: says who is told.

    Attributes:
        raised: what the trace has raised. It is told nothing more.
        takes_time: True if somebody asked for the time of each exchange.
        receiving: the phase of receiving; empty between two of them.
        interrupted: the phase of receiving that an operation has left and the next one goes on
            with; empty if there is none.

    """

    __slots__ = (
        *("_generation", "_sending", "_session", "_stopwatch", "_trace", "interrupted", "raised"),
        *("receiving", "takes_time"),
    )

    def __init__(self, session: Observed, config: ConnectionConfig) -> None:
        self._session = weakref.ref(session)  # which has this one
        self._trace: Trace | None = config.trace
        self.takes_time = config.timings
        self._stopwatch = Stopwatch() if config.timings else None
        self._generation = generation()
        self.raised: BaseException | None = None
        self._sending = ""  # names of phases
        self.receiving = ""
        self.interrupted = ""

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

    # ---- the sending half

    def time(self, exchange: Exchange) -> None:
        """Begin to take the time of *exchange*."""
        exchange.timings = Timings()

    def sends_head(self, exchange: Exchange, head: bytes) -> None:
        """Note that *head* is about to be sent."""
        if self._stopwatch is not None and exchange.timings is not None:
            self._stopwatch.take(exchange.timings)
        if self._trace is None:
            return
        self._sending = SEND_HEAD
        info = about(exchange)
        info["headers"] = masked_lines(head.partition(b"\r\n")[2])
        self._emit(("http11.send_request_headers.started", info))

    def sent_head(self, exchange: Exchange, *, body_follows: bool) -> None:
        """Note that the head is sent, and the body with it unless it follows."""
        if self._trace is None:
            return
        self._sending = ""
        done = ("http11.send_request_headers.complete", {"return_value": None})
        if body_follows:
            self._emit(done)
        else:
            self._emit(
                done,
                ("http11.send_request_body.started", {"request": exchange}),
                ("http11.send_request_body.complete", {"return_value": None}),
            )

    def sends_body(self, exchange: Exchange) -> None:
        """Note that a piece of the body is about to be sent."""
        if self._trace is not None and not self._sending:
            self._sending = SEND_BODY
            self._emit(("http11.send_request_body.started", {"request": exchange}))

    def sent_body(self) -> None:
        """Note that the body has been sent to its end."""
        if self._sending == SEND_BODY:
            self._sending = ""
            self._emit(("http11.send_request_body.complete", {"return_value": None}))

    def sending_failed(self, exc: BaseException, body_of: Exchange | None = None) -> None:
        """Note that sending has ended with *exc*, in the body of the request *body_of* if given."""
        if body_of is not None:
            self.sends_body(body_of)
        name, self._sending = self._sending, ""
        if name:
            self._emit((f"{name}.failed", {"exception": exc}))

    # ---- the receiving half

    def awaits_head(self, exchange: Exchange) -> None:
        """Note that the head of the response to *exchange* is waited for."""
        if self._trace is not None:
            self.receiving = RECEIVE_HEAD
            self._emit(("http11.receive_response_headers.started", about(exchange)))

    def informational(self, response: HTTPResponse) -> None:
        """Note a 1xx response."""
        info = {"response": response, "status": response.status}
        self._emit(("http11.informational", info))

    def received_head(self, exchange: Exchange, response: HTTPResponse, head: Head) -> None:
        """Note that the head of a final response is here, and what it means for the body."""
        if (timings := exchange.timings) is not None:
            timings.note_head()
            if (session := self._session()) is not None:
                session.timings = timings
        if self._trace is None:
            return
        if not self.receiving:
            self.awaits_head(exchange)
        self.receiving = RECEIVE_BODY
        info: Info = {
            "return_value": response,
            "status": head.status,
            "reason": head.reason.decode("latin-1"),
            "http_version": f"1.{head.minor}",
            "headers": masked_lines(head.fields),
        }
        self._emit(
            ("http11.receive_response_headers.complete", info),
            ("http11.receive_response_body.started", {"response": response}),
        )

    def received_body(self, exchange: Exchange, response: HTTPResponse, trailers: bytes) -> None:
        """Note that a response is complete; *trailers* are field lines."""
        if exchange.timings is not None:
            exchange.timings.note_end()
        if self._trace is None:
            return
        self.receiving = ""
        info: Info = {"response": response}
        if trailers:
            self._emit(("http11.trailers", info | {"headers": masked_lines(trailers)}))
        self._emit(
            ("http11.receive_response_body.complete", {"return_value": None}),
            ("http11.response_closed.started", info),
            ("http11.response_closed.complete", {"return_value": None}),
        )

    def receiving_failed(self, exc: BaseException, *, for_good: bool) -> None:
        """Note that reading has ended with *exc*; if not *for_good*, it begins again later."""
        name, self.receiving = self.receiving, ""
        if name:
            self.interrupted = "" if for_good else name
            self._emit((f"{name}.failed", {"exception": exc}))

    def receiving_resumes(self, exchange: Exchange | None, response: HTTPResponse | None) -> None:
        """Note that an operation goes on with the phase that was interrupted."""
        self.receiving, self.interrupted = self.interrupted, ""
        info: Info = {"response": response}
        if self.receiving == RECEIVE_HEAD and exchange is not None:
            info = about(exchange)
        self._emit((f"{self.receiving}.started", info))

    # ---- the connection

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
