"""The stream of events behind an `EventSource`: requests, responses, and the pauses between them.

All that a source does, from its first request to its end, is one generator (WHATWG HTML section
9.2.3, reestablishing the connection).

Not here: how bytes become events (http/sse.py), how requests are sent (client.py), and how callers
wait for events (event_source.py).
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Generator
from typing import TYPE_CHECKING, Final

from ..connection.refusals import co_read_refusal
from ..errors import (
    MAX_REFUSAL_BODY,
    ConnectionTimedOut,
    DecodingError,
    DugongError,
    InvalidOption,
    InvalidRequest,
    SSEError,
    StreamReset,
    TransportError,
)
from ..http.arguments import as_string
from ..http.content_type import parse_content_type
from ..http.header_validation import as_lines
from ..http.redaction import mask_target, quoted
from ..http.sse import MAX_EVENT_SIZE, EventStreamParser, ServerSentEvent
from ..polling.contract import Co, PollNeeded
from ..polling.numbers import check_flag, check_int, check_limit, check_seconds
from ..polling.pauses import growing_pause
from ..polling.timeouts import NO_LIMITS, Timeouts
from ..polling.wake import co_pause
from .layers.retry import OWN_LIMITS, STATUSES
from .reading import BytePieces

if TYPE_CHECKING:
    from .dispatcher import Send
    from .request import ClientRequest
    from .response import Response

EVENT_STREAM: Final = "text/event-stream"
LAST_EVENT_ID: Final = "Last-Event-ID"
OK: Final = 200
NO_CONTENT: Final = 204  # the server asks not to come back
REPEATED: Final = frozenset({"GET", "QUERY"})  # methods that are safe to send again unasked
STALL: Final = 60.0  # seconds: servers are told to send a comment every 15 (section 9.2.7)
RECONNECT_AFTER: Final = 3.0  # seconds, as browsers
MAX_WAIT: Final = 60.0  # seconds, as `Retry`
MIN_PAUSE: Final = 0.1  # seconds, after a connection without an event
MAX_SHOWN: Final = 60  # characters of them in a message


class EventStream:
    """The requests of a source, and the events of their responses.

    Not a part of `EventSource`: the generator of `co_live` refers to this object, so neither is
    freed before it ends. A source that nobody refers to is freed, and ends it.

    Args: see `EventSource`.

    Attributes:
        request: see `EventSource`.
        response: see `EventSource`.
        events: those that have arrived.
        last_event_id: the last ID that arrived.
        reconnect_after: seconds.

    """

    def __init__(  # noqa: PLR0913 - each is documented above
        self,
        send: Send,
        request: ClientRequest,
        *,
        reconnect: bool | None = None,
        reconnect_after: float = RECONNECT_AFTER,
        max_wait: float = MAX_WAIT,
        last_event_id: str = "",
        max_event_size: int | None = MAX_EVENT_SIZE,
        stall: float | None = STALL,
    ) -> None:
        check_seconds(reconnect_after, "reconnect_after", optional=False)
        check_seconds(max_wait, "max_wait", optional=False)
        if reconnect is not None:
            check_flag("reconnect", reconnect)
        if max_event_size is not None:
            check_int("max_event_size", max_event_size, 1)
        if stall is not None:
            check_limit(stall, "stall")
        is_repeatable = request.rewindable()
        if reconnect and not is_repeatable:
            raise InvalidOption("reconnect: the body of the request cannot be sent a second time")
        if reconnect is None:
            reconnect = is_repeatable and request.method in REPEATED
        self.request = request
        self.response: Response | None = None
        request.stream = True
        request.timeouts = _with_stall(request.timeouts or NO_LIMITS, stall)
        self._send = send
        self._reconnects = bool(reconnect)
        self.reconnect_after = float(reconnect_after)
        self._max_wait = max_wait
        self._max_event_size = max_event_size
        self._failures = 0  # connections without a byte, one after the other
        self._has_events = False  # the present connection
        given = request.headers.get(LAST_EVENT_ID, "").encode("latin-1").decode("utf-8", "replace")
        self.last_event_id = as_string(last_event_id, "last_event_id") or given
        if not _is_sendable(self.last_event_id):
            raise InvalidOption(
                f"last_event_id is no field value: {quoted(last_event_id[:MAX_SHOWN])}"
            )
        self.events: deque[ServerSentEvent] = deque()

    def co_live(self) -> Generator[PollNeeded | None, None, None]:
        """Yield waits; None when the response, or events, have arrived."""
        request = self.request
        deadline = None if request.total is None else time.monotonic() + request.total
        while True:
            try:
                self._name_last_event(request)
                request.attempts = 0
                response = yield from self._send(request)
                try:
                    yield from self._co_receive(response)
                finally:
                    response.close()
                if not self._reconnects or response.status_code == NO_CONTENT:
                    return
            except DugongError as exc:
                if not self._may_reconnect(exc):
                    raise
            pause = self._pause()
            self._failures += 1
            self._has_events = False
            if deadline is not None:
                request.total = max(deadline - time.monotonic() - pause, 0)
                pause = min(pause, deadline - time.monotonic())
            yield from co_pause(pause, "pause before a reconnection")

    def _co_receive(self, response: Response) -> Generator[PollNeeded | None, None, None]:
        """Receive the events of *response*."""
        if response.status_code == NO_CONTENT:
            yield from response.co_read()  # of nothing
            self.response = response
            yield None
            return
        kind = parse_content_type(response.field("content-type") or "").media_type
        if response.status_code != OK or kind != EVENT_STREAM:
            raise _labelled((yield from _co_refusal(response)), response)
        self.response = response
        yield None
        parser = EventStreamParser(self.last_event_id, self._max_event_size)
        pieces = BytePieces(response, None)
        while (piece := (yield from pieces.co_next())) is not None:
            self._failures = 0
            events = parser.feed(piece)
            self.last_event_id = parser.last_event_id
            if parser.retry is not None:
                self.reconnect_after = parser.retry / 1000
            if events:
                self._has_events = True
                self.events.extend(events)
                yield None
            if parser.failure is not None:
                raise _labelled(parser.failure, response)

    def _name_last_event(self, request: ClientRequest) -> None:
        """Set the field that says where to go on (section 9.2.4), in UTF-8.

        Raises:
            SSEError: the server has named an ID that is no value of a field.

        """
        if self.last_event_id:
            if not _is_sendable(self.last_event_id):
                assert self.response is not None  # which has named it
                shown = quoted(self.last_event_id[:MAX_SHOWN])
                what = f"no reconnection, as the ID of the last event is no field value: {shown}"
                raise _labelled(SSEError(what), self.response)
            request.headers.set(LAST_EVENT_ID, self.last_event_id.encode().decode("latin-1"))
        elif LAST_EVENT_ID in request.headers:
            request.headers.remove(LAST_EVENT_ID)

    def _may_reconnect(self, exc: DugongError) -> bool:
        """Return True if *exc* is a failure of a connection, and not of the first one.

        That is also a stream of HTTP/2 that the server has reset, whatever its reason is, and a
        compressed stream of events that is cut off.
        """
        if self.response is None or not self._reconnects:
            return False
        if isinstance(exc, StreamReset) or (isinstance(exc, DecodingError) and exc.truncated):
            return True
        return (isinstance(exc, TransportError) and exc.retryable) and not (
            isinstance(exc, ConnectionTimedOut) and exc.phase in OWN_LIMITS
        )

    def _pause(self) -> float:
        """Return the seconds to wait before the next connection."""
        asked = self.reconnect_after
        least = asked if self._has_events else max(asked, MIN_PAUSE)
        if not self._failures:
            return least
        return max(least, growing_pause(least, self._failures, self._max_wait))


def _is_sendable(event_id: str) -> bool:
    """Return True if *event_id* can be the value of a field (RFC 9110 section 5.5), in UTF-8."""
    try:
        as_lines({LAST_EVENT_ID: event_id.encode().decode("latin-1")})
    except (InvalidRequest, UnicodeEncodeError):
        return False
    return True


def _with_stall(timeouts: Timeouts, stall: float | None) -> Timeouts:
    """Return *timeouts* with *stall* as the limit for reading bodies."""
    return Timeouts(
        connect=timeouts.to_reach,
        dns=timeouts.dns,
        tls=timeouts.to_shake_hands,
        head=timeouts.to_read_head,
        read=stall,
        write=timeouts.to_write,
        pool=timeouts.to_wait_for_pool,
        expect100=timeouts.expect100,
    )


def _co_refusal(response: Response) -> Co[SSEError]:
    """Read the beginning of *response*, and return the error for it."""
    parts: list[bytes] = []
    yield from co_read_refusal(_co_beginning(response, parts))
    response.keep(b"".join(parts))
    kind = response.field("content-type") or ""
    what = f"of type {quoted(kind[:MAX_SHOWN])}" if kind else "without a Content-Type"
    phrase = quoted(response.reason_phrase[:MAX_SHOWN])[1:-1]
    shown = quoted(response.text[:MAX_SHOWN])
    error = SSEError(
        f"no stream of events: the server answered {response.status_code} {phrase} {what}, which "
        f"begins with {shown}",
        response=response,
    )
    error.retryable = response.status_code in STATUSES
    return error


def _co_beginning(response: Response, parts: list[bytes]) -> Co[None]:
    pieces = BytePieces(response, None)
    size = 0
    while size < MAX_REFUSAL_BODY and (piece := (yield from pieces.co_next())) is not None:
        parts.append(piece[: MAX_REFUSAL_BODY - size])
        size += len(piece)


def _labelled(exc: SSEError, response: Response) -> SSEError:
    """Return *exc*, which is about *response*."""
    exc.response, exc.request, exc.request_sent = response, response.request, "yes"
    if response.request is not None:
        exc.label(response.request.method, mask_target(str(response.request.url)))
    return exc
