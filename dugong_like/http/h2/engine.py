"""One client-side HTTP/2 connection: bytes in, streams out, and the other way round (RFC 9113).

The caller moves bytes between a connection and an `Engine`, which has no I/O, no lock and no clock.
An error of a single stream is that stream's `Stream.error`; one that ends the connection is
`Engine.ended`, and the error of every stream; GOAWAY is queued then.

Not here: waiting for any of it (connection/h2/), the response of a stream (stream.py), and what the
frames of the server mean (incoming.py, control_frames.py).
"""

from __future__ import annotations

import copy
from collections.abc import Collection, Sequence
from typing import Final

from ...errors import ConnectionClosed, DugongError, GoneAway, InvalidResponse, StateError
from .flow_control import enlarged
from .frame_reader import FrameReader
from .frames import (
    CONTINUATION,
    DATA,
    DEFAULT_WINDOW,
    END_HEADERS,
    END_STREAM,
    HEADER_SIZE,
    HEADERS,
    MAX_STREAM_ID,
    PING,
    PING_SIZE,
    PREFACE,
    frame_header,
    pack_header,
)
from .incoming import Incoming
from .options import H2Options, H2Settings
from .output import Output
from .settings_exchange import announce
from .shared import Shared, new_goaway
from .static_table import Field
from .stream import CLOSED, Stream
from .violations import ErrorCode, Violation

JOINED: Final = 1024  # bytes of content that are copied behind their frame header


class Engine:
    """A connection on which nothing has been sent; preface, SETTINGS and WINDOW_UPDATE are queued.

    Args:
        options: see `H2Options`.

    Attributes:
        output: what is to be sent. An operation whose bytes end at position *mark* waits until
            ``output.sent >= mark``.
        concerns_all: True if the last call of `receive` has got SETTINGS, or the connection has
            ended or is about to, by GOAWAY. So four facts need not be looked at after each one.

    """

    __slots__ = ("_frames", "_incoming", "_pings_made", "_shared", "concerns_all", "output")

    def __init__(self, options: H2Options) -> None:
        shared = self._shared = Shared(options)
        self.output: Output = shared.output
        self._incoming = Incoming(shared)
        self._frames = FrameReader(self._incoming, options)
        self._pings_made = 0
        self.concerns_all = False
        self.output.add(PREFACE)
        announce(shared)
        if options.connection_window > DEFAULT_WINDOW:
            shared.update_window(0, options.connection_window - DEFAULT_WINDOW)

    # ---- facts

    @property
    def queued(self) -> int:
        """Position in the stream of all bytes behind the last one that is queued."""
        return self.output.queued

    @property
    def ended(self) -> DugongError | None:
        """Why nothing more is received or sent; None as long as it is."""
        return self._shared.ended

    @property
    def goaway(self) -> GoneAway | None:
        """The last GOAWAY of the server: `last_id`, `code` and `debug`; None without one."""
        return self._shared.goaway

    def turned_away(self) -> DugongError | None:
        """Return an error for a request if the connection has ended without having processed one.

        None if it goes on, or if the server may have processed a stream that was opened.
        """
        shared = self._shared
        said = shared.goaway
        if shared.next_id > 1 and (said is None or said.last_id):
            return None
        if said is not None:
            return new_goaway(said.last_id, said.code, said.debug)
        if shared.ended is None:
            return None
        error = copy.copy(shared.ended)
        error.request_sent = "no"
        return error

    @property
    def remote_settings(self) -> H2Settings | None:
        """The settings of the server; None before they have come."""
        return self._shared.remote

    @property
    def pings(self) -> Collection[bytes]:
        """The payloads of PING frames that the server has not answered, in order."""
        return self._shared.pings.keys()

    @property
    def streams(self) -> Collection[Stream]:
        """All streams that are not closed, in the order in which they were opened."""
        return self._shared.streams.values()

    @property
    def window(self) -> int:
        """Bytes of content that the server allows to send on all streams together."""
        return self._shared.window

    def is_blocked(self, stream: Stream) -> bool:
        """Return True if `receive` gives *stream* when there is room for more of its content."""
        return stream in self._shared.blocked

    @property
    def most_unread(self) -> int:
        """Bytes of a stream that may stay unread; see `StreamWindows.most_unread`."""
        return self._shared.stream_windows.most_unread

    def is_half_used(self) -> bool:
        """Return True if half of the connection's receive window is used, or more of it."""
        window = self._shared.receive_window
        return window.left <= window.half

    @property
    def max_streams(self) -> int:
        """Streams that may be open at once: by the server's settings, when they have come."""
        return self._shared.max_streams

    def room(self) -> int:
        """Return how many streams may be opened now.

        Before the settings of the server have come, it is one at a time: how many it allows is not
        known (RFC 9113 section 6.5.2).
        """
        shared = self._shared
        room = shared.most_open - len(shared.streams)
        return room if room > 0 else 0

    def is_idle(self) -> bool:
        """Return True if no stream is open, and one may be opened now."""
        shared = self._shared
        return not shared.streams and shared.most_open > 0

    def can_open(self) -> bool:
        """Return True if the connection takes further streams, now or when others have ended."""
        shared = self._shared
        return (
            shared.ended is None
            and shared.goaway is None
            and not shared.leaving
            and shared.next_id <= MAX_STREAM_ID
        )

    # ---- sending

    def take_output(self) -> list[bytes | memoryview]:
        """Return what is to be sent and was not taken before, in order.

        The memoryviews are of data given to `send_data`, which must not change before it is sent.
        """
        return self.output.take()

    def report_sent(self, position: int) -> None:
        """Note that all bytes in front of *position* have been given to the system."""
        self.output.sent = position

    def open(self, fields: Sequence[Field], end: bool) -> Stream:
        """Queue the head of a request.

        Args:
            fields: names in lower case and values; the first one is ``:method``.
            end: True if the request has neither content nor trailers.

        Raises:
            StateError: there is no room for a further stream, or the server does not take the
                extended CONNECT (RFC 8441 section 3).

        """
        shared, output = self._shared, self.output
        streams = shared.streams
        if shared.most_open <= len(streams):
            raise StateError("the HTTP/2 connection has no room for a further stream")
        method = fields[0][1]
        if method == b"CONNECT":
            self._check_connect(fields)
        stream_id = shared.next_id
        stream = Stream(
            stream_id, output, shared.initial_window, shared.initial_receive_window, method, end
        )
        block = shared.encoder.encode(fields, shared.options.never_indexed)
        shared.next_id = next_id = stream_id + 2
        if next_id > MAX_STREAM_ID:
            shared.limit_streams()
        if shared.floods.cost > 0:
            shared.floods.begin_again()
        streams[stream_id] = stream
        size = len(block)
        if size <= shared.max_frame:
            flags = END_STREAM | END_HEADERS if end else END_HEADERS
            output.add(pack_header(size << 8 | HEADERS, flags, stream_id) + block)
        else:
            self._send_block(stream_id, block, END_STREAM if end else 0)
        return stream

    def send_data(self, stream: Stream, data: bytes | bytearray | memoryview, end: bool) -> int:
        """Queue content of a request.

        All that the windows allow is queued at once, and cannot be taken back. Frames of other
        streams that are queued afterwards are sent behind it; so large content is better given in
        parts, the next one when the one before has been sent.

        Args:
            stream: a stream whose request has not ended.
            data: of any size. Accepted bytes must not change before they are sent.
            end: True if the request ends behind *data*.

        Returns:
            How many bytes were accepted: fewer than all if a window is full. Then `receive` gives
            the stream when there is room for more, once. The request ends only if all were
            accepted.

        Raises:
            StateError: the request has ended, or the stream is closed.

        """
        shared = self._shared
        if stream.request_ended or stream.state is CLOSED:
            self._check_sending(stream)  # which raises
        view = data if type(data) is memoryview else memoryview(data)
        if view.format != "B" or view.ndim != 1 or not view.c_contiguous:
            view = view.cast("B")  # which raises if that is impossible
        size = len(view)
        allowed = max(0, min(size, stream.window, shared.window))
        if allowed < size:
            end = False
            shared.blocked[stream] = None
            view = view[:allowed]
        elif shared.blocked:
            shared.blocked.pop(stream, None)
        if allowed:
            self._queue_data(stream.id, view, END_STREAM if end else 0)
        elif end:
            self.output.add(frame_header(0, DATA, END_STREAM, stream.id))
        stream.window -= allowed
        shared.window -= allowed
        if end:
            shared.end_request(stream)
        return allowed

    def send_trailers(self, stream: Stream, fields: Sequence[Field]) -> None:
        """Queue the trailer section of a request, and its end.

        Args:
            stream: a stream whose request has not ended.
            fields: names in lower case and values, at least one.

        Raises:
            StateError: the request has ended, or the stream is closed or a tunnel.

        """
        self._check_sending(stream)
        if stream.method == b"CONNECT":
            raise StateError("a tunnel has no trailers (RFC 9113 section 8.5)")
        shared = self._shared
        block = shared.encoder.encode(fields, shared.options.never_indexed)
        self._send_block(stream.id, block, END_STREAM)
        shared.end_request(stream)

    def reset(self, stream: Stream, code: int = ErrorCode.CANCEL) -> None:
        """Give a stream up; drop what was received and not taken. Allowed at any time."""
        shared = self._shared
        unread = stream.buffered
        stream.discard()
        if shared.ended is not None:
            return
        shared.drop(unread)
        if stream.state is not CLOSED:
            shared.reset(stream, code)

    def ping(self, payload: bytes | None = None) -> bytes:
        """Queue PING; it is answered when its payload is in `pings` no longer.

        Args:
            payload: 8 bytes; None for a number of its own.

        Returns:
            The payload.

        Raises:
            StateError: a PING with the same payload was not answered, or the connection has ended.
            ValueError: there are not 8 bytes.

        """
        shared = self._shared
        self._check_ended()
        while payload is None:
            self._pings_made += 1
            number = self._pings_made.to_bytes(PING_SIZE, "big")
            payload = None if number in shared.pings else number
        if len(payload) != PING_SIZE:
            raise ValueError(f"the payload of PING has {PING_SIZE} bytes, not {len(payload)}")
        if payload in shared.pings:
            raise StateError("a PING with the same payload was not answered yet")
        shared.pings[payload] = None
        self.output.add(frame_header(PING_SIZE, PING, 0, 0) + payload)
        return payload

    def say_goaway(self, code: int = ErrorCode.NO_ERROR) -> None:
        """Queue GOAWAY; no further streams are opened, the open ones go on.

        Does nothing if the connection has ended.
        """
        if self._shared.ended is None:
            self._shared.say_goaway(code)

    # ---- receiving

    def receive(self, data: bytes | memoryview) -> Collection[Stream]:
        """Take what the server has sent.

        Args:
            data: of any size, cut anywhere; it is copied where it is kept.

        Returns:
            The streams that got something, in order: a head, content, trailers, the end, room to
            send, or an error. If the connection has ended (see `ended`), all of them.

        """
        shared = self._shared
        shared.touched = {}
        before = shared.remote
        if shared.ended is None:
            try:
                self._frames.feed(data)
            except Violation as exc:
                message = str(exc)
                shared.say_goaway(exc.code, message.encode("ascii", "replace"))
                shared.end_connection(InvalidResponse(message))
        self.concerns_all = (
            shared.remote is not before or shared.goaway is not None or shared.ended is not None
        )
        touched, shared.touched = shared.touched, {}  # nobody keeps streams that have ended
        return touched

    def take_whole(self, stream: Stream, data: memoryview, size: int) -> bytes | None:
        """Take what the server has sent in a shorter way, if that is a usual response.

        Args:
            stream: nothing of its response has come.
            data: begins with what has come.
            size: bytes of that.

        Returns:
            The content, which counts as consumed; the rest is in *stream*. None if `receive` has to
            take what has come.

        """
        if self._shared.ended is not None or not self._frames.is_between_frames():
            return None
        return self._incoming.on_only_response(stream, data, size)

    def consumed(self, stream: Stream, size: int) -> None:
        """Note that a reader has taken *size* bytes of content, and queue WINDOW_UPDATE if due."""
        shared = self._shared
        if shared.ended is not None:
            return
        if not stream.ended and stream.state is not CLOSED:
            increment = shared.stream_windows.consumed(stream, size)
            if increment:
                shared.update_window(stream.id, increment)
        increment = shared.receive_window.consumed(size)
        if increment:
            shared.update_window(0, increment)

    def update_window(self, stream: Stream | None, size: int) -> None:
        """Open a receive window by *size* bytes, for windows that are not opened by reading.

        Args:
            stream: the stream whose window it is; None for the connection. A stream that gets no
                more content is left alone.
            size: bytes, at least 1.

        Raises:
            ValueError: *size* is too small, or the window too large (RFC 9113 section 6.9.1).
            StateError: the connection has ended.

        """
        self._check_ended()
        if size < 1:
            raise ValueError(f"a window is opened by at least 1 byte, not by {size}")
        shared = self._shared
        try:
            if stream is None:
                shared.receive_window.enlarge(size)
                shared.update_window(0, size)
            elif not stream.ended and stream.state is not CLOSED:
                stream.receive_window = enlarged(stream.receive_window, size)
                shared.update_window(stream.id, size)
        except OverflowError as exc:
            raise ValueError(str(exc)) from None

    def lost(self, error: Exception) -> Collection[Stream]:
        """Note that the connection has ended, and end all streams.

        Args:
            error: the reason. Each stream gets an error of the same type, with its own
                `request_sent`; that of the system is the cause of a `ConnectionClosed`.

        Returns:
            The streams that had not ended, in order.

        """
        shared = self._shared
        shared.touched = {}
        if shared.ended is None:
            if not isinstance(error, DugongError):
                closed = ConnectionClosed(f"the connection was lost: {error}")
                closed.__cause__ = error
                error = closed
            shared.end_connection(error)
        return shared.touched

    # ---- inside

    def _check_ended(self) -> None:
        if self._shared.ended is not None:
            raise StateError("the HTTP/2 connection has ended")

    def _check_connect(self, fields: Sequence[Field]) -> None:
        """Raise `StateError` for an extended CONNECT that the server has not announced."""
        remote = self._shared.remote
        if any(name == b":protocol" for name, _ in fields) and not (
            remote is not None and remote.enable_connect_protocol
        ):
            raise StateError(
                "the server has not announced that it takes the extended CONNECT (RFC 8441 section "
                "3)"
            )

    def _check_sending(self, stream: Stream) -> None:
        """Raise `StateError` if nothing more of the request can be sent."""
        if stream.request_ended or stream.state is CLOSED:
            raise StateError(f"nothing more can be sent on stream {stream.id}")

    def _queue_data(self, stream_id: int, content: memoryview, flags: int) -> None:
        """Queue DATA frames, the last one with *flags*.

        The headers of full ones are the same bytes. A small one is one piece with its header, so
        that sending it takes less.
        """
        shared = self._shared
        most, size = shared.max_frame, len(content)
        frames = 1
        if size > most:
            full = (size - 1) // most  # frames before the last one
            frames += full
            at = full * most
            header = frame_header(most, DATA, 0, stream_id)
            pieces: list[bytes | memoryview] = [header] * (2 * full)
            pieces[1::2] = [content[begin : begin + most] for begin in range(0, at, most)]
            self.output.add_all(pieces, at + full * HEADER_SIZE)
            content = content[at:]
            size -= at
        shared.floods.expect_updates(frames)
        header = pack_header(size << 8 | DATA, flags, stream_id)
        if size <= JOINED:
            self.output.add(header + content)
        else:
            self.output.add_all([header, content], HEADER_SIZE + size)

    def _send_block(self, stream_id: int, block: bytes, flags: int) -> None:
        """Queue a header block: HEADERS, and CONTINUATION if it is long (RFC 9113 section 6.10)."""
        most = self._shared.max_frame
        if len(block) <= most:
            self.output.add(
                frame_header(len(block), HEADERS, flags | END_HEADERS, stream_id) + block
            )
            return
        self.output.add(frame_header(most, HEADERS, flags, stream_id) + block[:most])
        for at in range(most, len(block), most):
            part = block[at : at + most]
            last = END_HEADERS if at + most >= len(block) else 0
            self.output.add(frame_header(len(part), CONTINUATION, last, stream_id) + part)
