"""A stream as a tunnel: the bytes behind an extended CONNECT (RFC 8441), such as a WebSocket.

The content of the request and that of the response are bytes in two directions, as a connection of
TCP has them: END_STREAM stands for FIN, and RST_STREAM for RST (RFC 8441 section 5). Other
exchanges go on at the same time; a tunnel that is closed leaves the connection alone.

Not here: what is sent through it (connection/websocket_pump.py), requests that are none
(request_writer.py), and who waits for the socket (pump.py).
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Final

from ...errors import ConnectionClosed, DugongError, InvalidRequest
from ...http.h2.stream import CLOSED
from ...http.request import BodyFollowing
from ...polling.combinators import Bundle, earlier
from ...polling.progress_deadline import ProgressDeadline
from ...polling.timeouts import limited
from ...transport.exclusive import StreamInUse
from ..time_out_messages import NO_SETTINGS, NOT_SENT
from .limits import Limit
from .request_writer import RequestWriter
from .response_reader import ResponseReader
from .stream import H2Stream
from .waiter import NEWS, Waiter

if TYPE_CHECKING:
    from ...http.h2.stream import Stream
    from ...polling.contract import Co, PollNeeded
    from ...polling.wake import Wake
    from ..exchange import Exchange, HTTPResponse
    from .options import EitherHead
    from .session import Session
    from .shared import H2State

PART: Final = 65536  # bytes that are queued at once, so that other streams have their turn
NOT_ANNOUNCED: Final = (
    "the server takes no WebSocket over HTTP/2: it has not announced "
    "SETTINGS_ENABLE_CONNECT_PROTOCOL (RFC 8441 section 3). Use a connection with "
    "versions=('http/1.1',)"
)


def co_open(
    session: Session, exchange: Exchange, head: EitherHead
) -> Co[tuple[HTTPResponse, ResponseReader]]:
    """Send an extended CONNECT and read the head of the response, whatever its status is.

    Args:
        session: it is open.
        exchange: of the request.
        head: its head, with a ``:protocol``.

    Returns:
        The response and its reader, whose stream is for `Tunnel`; if there is to be none, it says
        why.

    Raises:
        InvalidRequest: the server does not take it; nothing was sent.
        Retired: the session takes no further request; nothing was sent.
        DugongError: it could not be sent, or there is no response. The stream was reset.

    """
    shared, limits = session.shared, session.limits
    news = Limit(limits.timeout, NO_SETTINGS)
    takes = yield from shared.pump.co(_takes_connect, shared, Waiter(None, NEWS), news)
    if not takes:
        raise shared.labelled(InvalidRequest(NOT_ANNOUNCED), exchange)
    stream = H2Stream(shared, exchange, limits)
    writer, reader = RequestWriter(stream, head, BodyFollowing(None)), ResponseReader(stream)
    observer = shared.observer
    done = False
    try:
        if observer is not None:
            observer.sends_head(exchange, head)
        sending = writer.co_send()
        if limits.total is not None:
            sending = limited(limits.total, "total", sending, "it could not be sent")
        yield from sending
        if observer is not None:
            observer.sent_head(exchange, body_follows=True)
        response = yield from reader.co_head()
        while not exchange.answered:
            response = yield from reader.co_head()
        done = True
    except DugongError as exc:
        stream.complete_error(exc)
        raise
    finally:
        if not done:
            stream.cancel()
    return response, reader


def _takes_connect(shared: H2State) -> bool | None:
    """Return whether the server takes an extended CONNECT; None before its SETTINGS; an attempt.

    Most servers do not name the setting, which is 0 then (RFC 8441 section 3).
    """
    engine = shared.pump.engine
    if engine.remote_settings is None:
        if engine.ended is not None:
            raise copy.copy(engine.ended)
        return None
    return engine.remote_settings.enable_connect_protocol == 1


class Tunnel:
    """The bytes of one stream; a `ByteStream` for a WebSocket.

    A tunnel that becomes garbage is dropped.

    Args:
        session: of the stream.
        stream: its response has opened the tunnel. It is taken over.

    Attributes:
        in_use: see `ByteStream.in_use`.
        origin: the URL of the server, for messages of errors.
        timeout: seconds in which something can be sent, while an operation waits for that; None
            sets no limit. Its first value is that of the connection.
        on_end: called when it is closed, in whatever way; or None. By a finalizer, too.

    """

    on_end: Callable[[], object] | None = None

    def __init__(self, session: Session, stream: Stream) -> None:
        shared = session.shared
        self.origin = str(shared.route.origin)
        self.timeout = session.limits.write_timeout
        self._shared = shared
        self._pump = shared.pump
        self._stream = stream
        self.in_use = StreamInUse()  # of its locks only, as nothing below belongs to it
        self._is_closed = False
        self._queued = 0  # bytes that are queued, and not reported by `try_send` yet
        self._mark = 0  # position behind them
        self._sent = 0  # position up to which all bytes were sent when that was looked at last
        self._send_limit: ProgressDeadline | None = None

    @property
    def is_open(self) -> bool:
        """True until it is closed."""
        return not self._is_closed

    # ---- attempts

    def try_recv(self, size: int) -> bytes | None:
        """Receive at most *size* bytes, having the use of reading.

        Returns:
            The bytes; ``b""`` at the end of the stream; None if it would block.

        Raises:
            ConnectionClosed: the stream is closed, was reset, or the connection was lost.

        """
        return self._pump.do(self._receive, size)

    def _receive(self, size: int) -> bytes | None:
        if self._is_closed:
            raise ConnectionClosed("the stream is closed")
        stream = self._stream
        if not (stream.buffered or stream.ended or stream.error is not None):
            self._shared.live_stream()  # which raises
            self._pump.look()
        if stream.buffered:
            data = stream.take(size)
            self._pump.engine.consumed(stream, len(data))
            return data
        if stream.ended:
            return b""
        if stream.error is not None:
            raise _lost(stream.error)
        return None

    def try_send(self, data: bytes | memoryview) -> int | None:
        """Send the beginning of *data*, having the use of writing.

        Bytes are sent when the system has them. Until then they are queued, as far as the windows
        of the server allow: so after None the next call must have the same data.

        Returns:
            The number of bytes; None if it would block.

        Raises:
            ConnectionClosed: the stream is closed, or the server takes no more.
            ConnectionTimedOut: nothing could be sent for `timeout` seconds, in which somebody
                waited.

        """
        sent = self._pump.do(self._send, data)
        if sent is not None:
            self._send_limit = None
        elif self.timeout is not None:
            if self._send_limit is None:
                self._send_limit = ProgressDeadline(self.timeout)
            elif self._send_limit.has_passed():
                raise NOT_SENT(self.timeout)
        return sent

    def _send(self, data: bytes | memoryview) -> int | None:
        stream, pump = self._stream, self._pump
        output = pump.engine.output
        if not self._queued:
            self._check_sending()
            self._queued = pump.engine.send_data(stream, memoryview(data)[:PART], end=False)
            self._mark = output.queued
            pump.send_now()
        if self._queued and output.sent >= self._mark:
            sent, self._queued = self._queued, 0
            return sent
        if self._queued:
            self._check_sending()
            if output.sent > self._sent:
                self._send_limit = None  # a part of it could be sent
        self._sent = output.sent
        return None

    def _check_sending(self) -> None:
        """Check that the server takes more. Raises `ConnectionClosed`."""
        stream = self._stream
        if self._is_closed:
            raise ConnectionClosed("the stream is closed")
        if stream.error is not None:
            raise _lost(stream.error)
        if stream.state is CLOSED:
            raise ConnectionClosed("the server takes no more on this stream")
        self._shared.live_stream()  # which raises

    # ---- waiting

    def recv_need(self) -> PollNeeded | None:
        """Return None: other operations of the connection may receive for this one."""
        return None

    def co_ready(
        self, *, read: bool, write: bool, wake: Wake | None, deadline: float | None
    ) -> Co[None]:
        """See `Duplex.co_ready`."""
        if not (read or write):  # others move the bytes, and set the flag when that matters
            assert wake is not None
            yield wake.need(deadline)
            return
        waiter = Waiter(None)
        is_ready = partial(self._is_ready, waiter, read=read)
        going = self._pump.co(is_ready, write, waiter, Limit(None))
        bundle = None if wake is None else Bundle()
        was_resumed = False
        try:
            need = next(going, None)
            if need is not None:
                if write and self._send_limit is not None:
                    need = self._send_limit.limit(need)
                needs = [need] if wake is None else [need, wake.need()]
                yield (
                    need.until(earlier(need.deadline, deadline))
                    if bundle is None
                    else bundle.need(needs, deadline)
                )
            was_resumed = True
        finally:
            if not was_resumed:
                self._send_limit = None  # nobody waits any more
            going.close()  # one step of it, as the caller makes the next attempts
            if bundle is not None:
                bundle.close()

    def _is_ready(self, waiter: Waiter, write: bool, *, read: bool) -> bool | None:
        """Return True if something can be done that was asked for; an attempt."""
        stream = self._stream
        if waiter.stream is None:
            self._pump.follow(waiter, stream)
        if self._is_closed or stream.error is not None:
            return True
        if read and (stream.buffered or stream.ended):
            return True
        return True if write and self._may_send(waiter) else None

    def _may_send(self, waiter: Waiter) -> bool:
        if self._queued:
            waiter.mark = self._mark
            return self._pump.follow_sending(waiter)
        stream = self._stream
        return stream.state is CLOSED or (stream.window > 0 and self._pump.engine.window > 0)

    # ---- the end

    def close(self) -> None:
        """End the stream, or reset it if the server has not ended it; wake those that wait."""
        self._close(self._end)

    def drop(self) -> None:
        """Reset the stream."""
        self._close(self._reset)

    def _close(self, section: Callable[[], None]) -> None:
        if self._is_closed:
            return
        self._is_closed = True
        lock = self._pump.lock
        try:
            try:
                lock.when_free(section)
            except BaseException:  # Ctrl-C, perhaps before that
                lock.when_free(section)
                raise
            finally:
                if self._pump.on_idle is not None:
                    self._pump.check_idle()
        finally:
            on_end, self.on_end = self.on_end, None
            if on_end is not None:
                on_end()

    def _end(self) -> None:
        stream = self._stream
        if stream.ended and stream.state is not CLOSED:
            self._pump.engine.send_data(stream, b"", end=True)
        self._reset()

    def _reset(self) -> None:
        pump, stream = self._pump, self._stream
        pump.engine.reset(stream)  # if it has not ended
        pump.wake_of(stream)
        pump.note_room()
        pump.send_now()

    def __del__(self) -> None:
        if not getattr(self, "_is_closed", True):
            self.drop()


def _lost(error: DugongError) -> ConnectionClosed:
    """Return the exception for a stream that *error* has ended."""
    if isinstance(error, ConnectionClosed):
        return copy.copy(error)
    lost = ConnectionClosed(str(error))
    lost.__cause__ = error
    return lost
