"""The trace events of an HTTP/1.1 session, which calls its observer at each place below.

Events of a request, in this order, each with ``started`` and ``complete`` or ``failed``::

    http11.send_request_headers     request, method, target, headers
    http11.send_request_body        request
    http11.receive_response_headers request, method, target; return_value, status, reason,
                                    http_version, headers
    http11.informational            response, status: one event for each 1xx response
    http11.receive_response_body    response
    http11.trailers                 response, headers: one event
    http11.response_closed          response

Not here: the events of any connection (connection/observer.py).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from ...http.h1.response_head import Head
from ...http.redaction import masked_lines
from ...transport.trace import Info
from ..observer import Observed, SessionObserver, about

if TYPE_CHECKING:
    from ..config import ConnectionConfig
    from ..exchange import Exchange, HTTPResponse

SEND_HEAD: Final = "http11.send_request_headers"
SEND_BODY: Final = "http11.send_request_body"
RECEIVE_HEAD: Final = "http11.receive_response_headers"
RECEIVE_BODY: Final = "http11.receive_response_body"


class Observer(SessionObserver):
    """Tells of one session. The sending and the receiving half are in a phase of their own each.

    Args:
        session: what is told of.
        config: says who is told.

    Attributes:
        receiving: the phase of receiving; empty between two of them.
        interrupted: the phase of receiving that an operation has left and the next one goes on
            with; empty if there is none.

    """

    __slots__ = ("_sending", "interrupted", "receiving")

    def __init__(self, session: Observed, config: ConnectionConfig) -> None:
        super().__init__(session, config)
        self._sending = ""  # names of phases
        self.receiving = ""
        self.interrupted = ""

    # ---- the sending half

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
