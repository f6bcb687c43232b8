"""The trace events of an HTTP/2 session, which calls its observer at each place below.

Events of the connection, and of a request; each with ``started`` and ``complete`` or ``failed``::

    http2.send_connection_init      -
    http2.receive_remote_settings   return_value: `H2Settings`
    http2.send_request_headers      request, method, target, headers; stream_id
    http2.send_request_body         request, stream_id
    http2.receive_response_headers  request, method, target, stream_id; return_value, status,
                                    reason, http_version, headers
    http2.informational             response, status: one event for each 1xx response
    http2.receive_response_body     response, stream_id
    http2.trailers                  response, headers: one event
    http2.response_closed           response, stream_id
    http2.reset                     stream_id, code, by: "client" or "server"; one event
    http2.ping                      seconds: one event for each answer
    http2.goaway                    last_id, code, debug: one event, when the server says it

Those of several requests come mixed: ``stream_id`` says which belong together.

Not here: the events of any connection (connection/observer.py).
"""

from __future__ import annotations

from typing import TYPE_CHECKING
from weakref import WeakSet

from ...errors import GoneAway, StreamReset
from ...http.redaction import masked_lines
from ..observer import Observed, SessionObserver, about

if TYPE_CHECKING:
    from ...http.h2.options import H2Settings
    from ...transport.trace import Info
    from ..config import ConnectionConfig
    from ..exchange import Exchange, HTTPResponse


class Observer(SessionObserver):
    """Tells of one session."""

    __slots__ = ("_reading", "_said", "_writing")

    def __init__(self, session: Observed, config: ConnectionConfig) -> None:
        super().__init__(session, config)
        self._reading: WeakSet[Exchange] = WeakSet()  # in a phase of their response
        self._writing: WeakSet[Exchange] = WeakSet()  # whose body is being sent
        self._said: GoneAway | None = None

    # ---- the connection

    def opened(self) -> None:
        """Note that the first bytes of the connection were queued."""
        if self._trace is not None:
            self._emit(
                ("http2.send_connection_init.started", {}),
                ("http2.send_connection_init.complete", {"return_value": None}),
                ("http2.receive_remote_settings.started", {}),
            )

    def settings(self, settings: H2Settings) -> None:
        """Note that SETTINGS of the server have come."""
        self._emit(("http2.receive_remote_settings.complete", {"return_value": settings}))

    def answered_ping(self, seconds: float) -> None:
        """Note that the server has answered a PING, after so many seconds."""
        self._emit(("http2.ping", {"seconds": seconds}))

    def goaway(self, said: GoneAway) -> None:
        """Note GOAWAY of the server; again and again, as long as it is the last one."""
        if said is not self._said:
            self._said = said
            info = {"last_id": said.last_id, "code": said.code, "debug": said.debug}
            self._emit(("http2.goaway", info))

    def reset(self, exchange: Exchange, code: int, *, by: str = "client") -> None:
        """Note that the stream of *exchange* was reset."""
        info = {"stream_id": exchange.stream_id, "code": code, "by": by}
        self._emit(("http2.reset", info))

    def _note_reset(self, exchange: Exchange, exc: BaseException) -> None:
        if isinstance(exc, StreamReset):
            self.reset(exchange, exc.code, by="server")

    # ---- a request

    def sends_head(self, exchange: Exchange, head: bytes | None) -> None:
        """Note that *head*, as HTTP/1.1 has it, is about to be sent."""
        if self.takes_time:
            self.time(exchange)
        if self._stopwatch is not None and exchange.timings is not None:
            self._stopwatch.take(exchange.timings)
        if self._trace is not None and head is not None:
            info = about(exchange)
            info["headers"] = masked_lines(head.partition(b"\r\n")[2])
            self._emit(("http2.send_request_headers.started", info))

    def sent_head(self, exchange: Exchange, *, body_follows: bool) -> None:
        """Note that the head is sent, and the body with it unless it follows."""
        done: Info = {"return_value": None, "stream_id": exchange.stream_id}
        self._emit(("http2.send_request_headers.complete", done))
        if not body_follows:
            self.sends_body(exchange)
            self.sent_body(exchange)

    def sends_body(self, exchange: Exchange) -> None:
        """Note that a piece of the body is about to be sent."""
        if self._trace is not None and exchange not in self._writing:
            self._writing.add(exchange)
            self._emit(("http2.send_request_body.started", _of(exchange)))

    def sent_body(self, exchange: Exchange) -> None:
        """Note that the body has been sent to its end."""
        if exchange in self._writing:
            self._writing.discard(exchange)
            done: Info = {"return_value": None, "stream_id": exchange.stream_id}
            self._emit(("http2.send_request_body.complete", done))

    def sending_failed(self, exc: BaseException, exchange: Exchange | None = None) -> None:
        """Note that sending has ended with *exc*."""
        if exchange is not None and self._trace is not None:
            name = "headers" if exchange not in self._writing else "body"
            self._writing.discard(exchange)
            self._note_reset(exchange, exc)
            self._emit((f"http2.send_request_{name}.failed", {"exception": exc}))

    # ---- its response

    def begins_reading(self, exchange: Exchange, response: HTTPResponse | None) -> None:
        """Note that an operation reads: the head, unless *response* is here."""
        if self._trace is None or exchange in self._reading:
            return
        self._reading.add(exchange)
        if response is None:
            info = about(exchange) | {"stream_id": exchange.stream_id}
            self._emit(("http2.receive_response_headers.started", info))
        elif not exchange.complete:
            self._emit(("http2.receive_response_body.started", _of(exchange, response)))

    def informational(self, response: HTTPResponse) -> None:
        """Note a 1xx response."""
        info = {"response": response, "status": response.status}
        self._emit(("http2.informational", info))

    def received_head(self, exchange: Exchange, response: HTTPResponse) -> None:
        """Note that the head of a final response is here."""
        if (timings := exchange.timings) is not None:
            timings.note_head()
            if (session := self._session()) is not None:
                session.timings = timings
        if self._trace is None or not exchange.answered:
            return
        info: Info = {
            "return_value": response,
            "status": response.status,
            "reason": response.reason,
            "http_version": response.http_version,
            "headers": masked_lines(response.lines),
            "stream_id": exchange.stream_id,
        }
        self._emit(
            ("http2.receive_response_headers.complete", info),
            ("http2.receive_response_body.started", _of(exchange, response)),
        )

    def received_body(self, exchange: Exchange, response: HTTPResponse, trailers: bytes) -> None:
        """Note that a response is complete; *trailers* are field lines."""
        if exchange.timings is not None:
            exchange.timings.note_end()
        self._reading.discard(exchange)
        info = _of(exchange, response)
        if trailers:
            self._emit(("http2.trailers", info | {"headers": masked_lines(trailers)}))
        self._emit(
            ("http2.receive_response_body.complete", {"return_value": None} | info),
            ("http2.response_closed.started", info),
            ("http2.response_closed.complete", {"return_value": None} | info),
        )

    def reading_failed(self, exchange: Exchange, exc: BaseException) -> None:
        """Note that reading has ended with *exc*."""
        if isinstance(exc, GeneratorExit):
            return
        if exchange in self._reading:
            self._reading.discard(exchange)
            what = "body" if exchange.answered else "headers"
            self._note_reset(exchange, exc)
            self._emit((f"http2.receive_response_{what}.failed", {"exception": exc}))


def _of(exchange: Exchange, response: HTTPResponse | None = None) -> Info:
    """Return the facts of an event of *exchange*."""
    if response is not None:
        return {"response": response, "stream_id": exchange.stream_id}
    return {"request": exchange, "stream_id": exchange.stream_id}
