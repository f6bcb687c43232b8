"""`EventSource`: the events of a URL, for whoever wants the next one, in any way of waiting.

An operation that waits for an event advances the generator of `EventStream`. An operation that is
given up leaves it where it waits, and the next one goes on there: no event is lost. `close` ends it
from any thread.

Not here: requests, reconnections and bytes (event_stream.py).
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Generator
from typing import TYPE_CHECKING, Any, Final, Self

from ..drivers.detect import runner
from ..errors import DugongError, StateError
from ..http.headers import Headers
from ..http.redaction import mask_target
from ..http.sse import ServerSentEvent
from ..polling.combinators import Bundle
from ..polling.contract import Co, PollNeeded, run
from ..polling.twin_documentation import twin_of
from ..polling.wake import Wake
from .event_stream import EVENT_STREAM, EventStream
from .request_building import RequestOptions, merged_fields

if TYPE_CHECKING:
    from ..http.url import URL
    from .dispatcher import Send
    from .request import ClientRequest
    from .response import Response


class SSEOptions(RequestOptions, total=False):
    """The optional arguments of `Client.sse`."""

    method: str
    reconnect: bool | None
    reconnect_after: float
    max_wait: float
    last_event_id: str
    max_event_size: int | None
    stall: float | None


OWN: Final = (
    frozenset(SSEOptions.__annotations__) - RequestOptions.__annotations__.keys() - {"method"}
)


def event_source(
    build: Callable[..., ClientRequest], send: Send, url: URL | str, options: SSEOptions
) -> EventSource:
    """Return what `Client.sse` does.

    Args:
        build: see `Client.build_request`.
        send: see `Client.co_send`.
        url: see `Client.sse`.
        options: see there.

    """
    of_request: Any = {name: value for name, value in options.items() if name not in OWN}
    of_source: Any = {name: value for name, value in options.items() if name in OWN}
    request = build(of_request.pop("method", "GET"), url, **of_request)
    given = Headers.of(merged_fields([], options.get("headers")))
    if "accept" not in given:
        request.headers.set("Accept", EVENT_STREAM)
    request.headers.setdefault("Cache-Control", "no-cache")  # Fetch standard, of such requests
    return EventSource(send, request, **of_source)


class EventSource:
    """The events of a URL: ``for event in client.sse(url)``.

    Made by `Client.sse` and `AsyncClient.sse`. An iterator, blocking and asynchronous, and a
    context manager: entering it connects, leaving it closes it. Without ``with`` the first event
    connects, and the connection is closed when nobody refers to the source any more.

    When the stream ends or the connection fails, the source reconnects, from where it stood
    (``Last-Event-ID``), after a pause that the server may choose. The first connection is not
    repeated: its error is raised. The iteration ends after `close`, when the server answers 204,
    and with the stream if there are no reconnections; with a `StateError` if its client is closed.

    At most one operation at a time waits for an event. `close` may be called from any thread.

    Args:
        send: sends a request, and leaves the body of its response.
        request: the request. Accept and Cache-Control are set here unless they are given.
        reconnect: False to end with the first stream. None for True with GET and QUERY.
        reconnect_after: seconds before a reconnection, unless the server says otherwise.
        max_wait: seconds to which this pause grows while connections fail. A server that asks for
            longer pauses gets them.
        last_event_id: the ID of the event to go on after; see `last_event_id`.
        max_event_size: bytes of one event at most; None for any number.
        stall: seconds without a byte after which a connection counts as failed, above 0; None for
            no limit.

    Raises:
        InvalidOption: an argument has an invalid value, or the body can be sent once only and is to
            be sent again.
        TypeError: an argument has the wrong type.

    """

    _life: Generator[PollNeeded | None, None, None] | None = None

    def __init__(self, send: Send, request: ClientRequest, **options: Any) -> None:
        self._stream = EventStream(send, request, **options)
        self._events = self._stream.events
        self._delivered_id = self._stream.last_event_id
        # It is held by whoever advances the life, and never while something is waited for.
        self._lock = threading.RLock()
        self._life = self._stream.co_live()
        self._is_driven = False  # by an operation, which may be waiting
        self._is_advancing = False  # by one that is not
        self._is_closing = False
        self._failure: Callable[[], DugongError] | None = None  # of `end`
        self._bundle = Bundle()
        self._closed: Wake | None = None  # once somebody waits

    @property
    def request(self) -> ClientRequest:
        """The request, as it is sent."""
        return self._stream.request

    @property
    def response(self) -> Response | None:
        """The `Response` of the present connection, or of the last one; None before the first."""
        return self._stream.response

    @property
    def url(self) -> URL:
        """The `URL` of the request. Redirects may have led elsewhere: see ``response.url``."""
        return self.request.url

    @property
    def is_closed(self) -> bool:
        """True if no more events will arrive."""
        return self._life is None

    @property
    def last_event_id(self) -> str:
        """The ID to go on after: that of the last event that was returned, or of later ones.

        Later ones are those that have an ID and no data, and so are not returned.
        """
        return self._delivered_id if self._events else self._stream.last_event_id

    @property
    def reconnect_after(self) -> float:
        """Seconds before a reconnection, as the server has said last."""
        return self._stream.reconnect_after

    # ---- for the caller

    def co_connect(self) -> Co[Response]:
        """Send the request, unless that has been done, and return its response.

        Raises:
            SSEError: the response is no stream of events.
            StateError: the source or its client is closed, or another operation waits.
            DugongError: see `Client.co_send`.

        """
        yield from self._co_drive(lambda: self.response)
        if self.response is None:
            if self._failure is not None:
                raise self._failure()
            raise StateError("the event source is closed")
        return self.response

    @twin_of(co_connect)
    def connect(self) -> Response:
        """Blocking twin of `co_connect`."""
        return run(self.co_connect())

    @twin_of(co_connect)
    async def aconnect(self) -> Response:
        """Twin of `co_connect` as a coroutine."""
        return await runner()(self.co_connect())

    def co_next(self) -> Co[ServerSentEvent | None]:
        """Return the next event; None at the end.

        If it is given up while it waits, nothing is lost: the next call goes on.

        Raises:
            SSEError: a response is no stream of events, or an event is too large.
            StateError: another operation waits for the next event, or the client is closed.
            DugongError: see `Client.co_send`. The source is closed then.

        """
        yield from self._co_arrive()
        return self._take()

    @twin_of(co_next)
    def next(self) -> ServerSentEvent | None:
        """Blocking twin of `co_next`."""
        if not self._events:
            run(self._co_arrive())
        return self._take()

    @twin_of(co_next)
    async def anext(self) -> ServerSentEvent | None:
        """Twin of `co_next` as a coroutine, on asyncio and trio."""
        if not self._events:
            await runner()(self._co_arrive())
        return self._take()  # here: a task that is cancelled before has not taken it

    def close(self) -> None:
        """Close the connection, and make no further one.

        The iteration ends, also in other threads, when the events that have arrived before have
        been returned. A second call has no effect.
        """
        self._is_closing = True
        with self._lock:
            if self._is_advancing:
                return  # called by a function of an event; the life ends with its present step
            try:
                self._end()
            finally:  # whatever a function of its events raises
                if self._is_driven and self._closed is not None:
                    self._closed.set()
                elif not self._is_driven:
                    self._give_back()

    def end(self, failure: Callable[[], DugongError]) -> None:
        """Do what `close` does, but with an error where the iteration would end; for `Client`.

        It has no effect on a source that has ended.

        Args:
            failure: returns the error; a new one each time.

        """
        with self._lock:
            if self._life is not None and not self._is_closing:
                self._failure = failure
        self.close()

    def co_close(self) -> Co[None]:
        """Do what `close` does, which never waits, as an operation."""
        self.close()
        return
        yield

    async def aclose(self) -> None:
        """Do what `close` does, which never waits, as a coroutine."""
        self.close()

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> ServerSentEvent:
        if not self._events:
            try:
                run(self._co_arrive())
            except BaseException:
                del self  # which a traceback must not keep from being freed, and so closed
                raise
        event = self._take()
        if event is None:
            raise StopIteration
        return event

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> ServerSentEvent:
        if not self._events:
            try:
                await runner()(self._co_arrive())
            except BaseException:
                del self  # see above
                raise
        event = self._take()
        if event is None:
            raise StopAsyncIteration
        return event

    def __enter__(self) -> Self:
        try:
            self.connect()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    async def __aenter__(self) -> Self:
        try:
            await self.aconnect()
        except BaseException:
            self.close()
            raise
        return self

    async def __aexit__(self, *exc: object) -> None:
        self.close()

    def __del__(self) -> None:
        if self._life is not None:
            self.close()

    def __repr__(self) -> str:
        state = "closed" if self.is_closed else "open" if self.response else "not connected"
        return f"<EventSource {self.request.method} {mask_target(str(self.url))} {state}>"

    # ---- advancing the life

    def _take(self) -> ServerSentEvent | None:
        try:
            event = self._events.popleft()
        except IndexError:
            if self._failure is not None:
                raise self._failure() from None
            return None
        self._delivered_id = event.id
        return event

    def _co_arrive(self) -> Co[None]:
        """Wait until an event has arrived, or the end."""
        return self._co_drive(lambda: self._events)

    def _co_drive(self, is_reached: Callable[[], object]) -> Co[None]:
        """Advance the life until *is_reached* returns something true, or to the end."""
        if is_reached():
            return
        with self._lock:
            if self._is_driven:
                raise StateError("another operation waits for the next event of this source")
            self._is_driven = True
        try:
            while (need := self._step(is_reached)) is not None:
                yield need
        finally:
            with self._lock:
                self._is_driven = False
                if self._life is None:
                    self._give_back()

    def _step(self, is_reached: Callable[[], object]) -> PollNeeded | None:
        """Advance the life as far as possible; return what it waits for, None if nothing."""
        with self._lock:
            while not is_reached() and self._life is not None:
                self._is_advancing = True
                try:
                    need = next(self._life)
                except StopIteration:
                    self._life = None
                except BaseException:
                    self._life = None
                    raise
                finally:
                    self._is_advancing = False
                if self._life is not None:
                    if self._is_closing:
                        self._end()
                    elif need is not None:
                        return self._or_closed(need)
        return None

    def _or_closed(self, need: PollNeeded) -> PollNeeded:
        """Return a wait for *need*, and for `close` in another thread."""
        if self._closed is None:
            self._closed = Wake("close of an event source")
            self._close_need = next(self._closed.co_wait())
        return self._bundle.need((need, self._close_need))

    def _end(self) -> None:
        life, self._life = self._life, None
        if life is not None:
            life.close()

    def _give_back(self) -> None:
        self._bundle.close()
        if self._closed is not None:
            self._closed.close()
