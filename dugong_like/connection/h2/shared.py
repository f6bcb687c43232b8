"""The state of an HTTP/2 session that is not that of HTTP/2 itself: see `SharedState`.

Not here: the session (session.py), and what moves its bytes (pump.py).
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from ...errors import ConnectionClosed, DugongError, ProtocolNotNegotiated
from ...polling.contract import POLLOUT
from ..shared import SharedState, awaited_of
from ..states import Retired
from .finished import Finished
from .pump import Pump

if TYPE_CHECKING:
    from ...polling.timeouts import Timeouts
    from ...transport.stream import Stream
    from ..config import ConnectionConfig
    from .trace_events import Observer

H2 = "h2"


class H2State(SharedState):
    """One connection over HTTP/2, from before it is opened until it is closed.

    Args:
        config: of the connection.
        timeout: see `limit`.

    Attributes:
        pump: moves its bytes.
        continue_timeout: seconds to wait for 100 (Continue), or None.
        finished: the reader of exchanges whose responses are read, or given up.
        is_elsewhere: True if the server has chosen HTTP/1.1, which another session has.
        other: the stream to that server, until that session has it; or None.

    """

    __slots__ = ("continue_timeout", "finished", "is_elsewhere", "other", "pump")

    observer: Observer | None  # type: ignore[assignment]  # it is one for HTTP/2

    def __init__(self, config: ConnectionConfig, timeout: float | Timeouts | None) -> None:
        super().__init__(config, timeout)
        self.direct = False
        self.route = self.route.offering(config.versions)
        self.pump = Pump(self, config.http2)
        self.finished = Finished(self.route)
        self.is_elsewhere = False
        self.other: Stream | None = None
        self.continue_timeout: float | None = None

    def limit(self, timeout: float | Timeouts | None) -> None:
        """See `SharedState.limit`."""
        super().limit(timeout)
        self.direct = False

    def reason_of_wait(self, mask: int) -> str | None:
        """See `SharedState.reason_of_wait`: the reason of the one that waits for all of them."""
        if mask & POLLOUT:
            return "send"
        stream = self.pump.awaited
        if stream is None:
            return None
        if not stream.request_ended and min(stream.window, self.pump.engine.window) <= 0:
            return "window"
        for exchange in [*self.pending]:
            if exchange.stream_id == stream.id:
                return awaited_of(exchange)
        return "response head" if stream.head is None else "body"

    def observe(self, config: ConnectionConfig) -> None:
        """Have an observer for whoever *config* names."""
        from .trace_events import Observer  # noqa: PLC0415 - for connections that have one

        observer = Observer(self, config)
        self.observer = observer
        self.route = self.route.traced(observer.emit)

    def take(self, stream: Stream) -> None:
        """Have *stream*, if the server has chosen HTTP/2.

        Raises:
            Retired: it has chosen HTTP/1.1, which is spoken as well.
            ProtocolNotNegotiated: it has, and is not.
            ConnectionClosed: the session was closed meanwhile, and so is *stream* now.

        """
        tls = getattr(stream, "tls", None)
        chosen = H2 if tls is None else tls.selected_alpn_protocol()
        if tls is None and self.route.ssl_context is not None:  # of a transport of the user's
            chosen = self.config.versions[0]
        if chosen == H2:
            super().take(stream)
            if self.observer is not None:
                self.observer.opened()
            return
        if self.config.versions == (H2,):
            stream.close()
            what = "no protocol" if chosen is None else chosen
            raise ProtocolNotNegotiated(f"the server chose {what}, not h2 (ALPN)")
        self.other = stream
        self.is_elsewhere = True
        raise Retired

    def turned_away(self) -> DugongError | None:
        """See `SharedState.turned_away`."""
        return None if self._closed_by_us else self.pump.engine.turned_away()

    def will_close(self) -> None:
        """Tell the server that it ends, if that is possible at once."""
        super().will_close()
        if self.stream is not None and self.pump.engine.ended is None:
            self.pump.lock.when_free(self.pump.say_goodbye)

    def wake_turns(self) -> None:
        """End all streams, as the session is closed."""
        super().wake_turns()
        closed = ConnectionClosed("the connection was closed meanwhile")
        self.pump.lock.when_free(partial(self.pump.closed, closed))

    def drop_inherited(self) -> None:
        """See `SharedState.drop_inherited`."""
        self.pump.drop_inherited()
        super().drop_inherited()
