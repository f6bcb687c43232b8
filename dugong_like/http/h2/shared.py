"""The state of a connection that sending and receiving share, and the ways in which streams end.

A stream is in `Shared.streams` as long as it is not CLOSED. It leaves it here, and nowhere else:
complete (`end_request`, `end_response`), by an error of its own (`break_stream`), with the
connection (`end_connection`), reset by this side (`reset`), or given up by the server (`fail`).

Not here: what is sent (engine.py), what frames mean (incoming.py, control_frames.py).
"""

from __future__ import annotations

import copy
from typing import Final

from ...errors import ConnectionClosed, DugongError, GoneAway, InvalidResponse
from ..redaction import quoted
from .floods import Floods
from .flow_control import ConnectionWindow, StreamWindows
from .frames import (
    DEFAULT_FRAME_SIZE,
    DEFAULT_WINDOW,
    GOAWAY,
    MAX_STREAM_ID,
    RST_STREAM,
    WINDOW_UPDATE,
    SettingId,
    frame_header,
)
from .hpack_decoder import Decoder
from .hpack_encoder import Encoder
from .options import H2Options, H2Settings
from .output import Output
from .reset_streams import ResetStreams
from .static_table import DEFAULT_TABLE_SIZE
from .stream import CLOSED, REQUEST_ENDED, RESPONSE_ENDED, Event, Stream
from .violations import ErrorCode, error_name

MAX_DEBUG: Final = 200  # bytes of debug data in GOAWAY of this side


class Shared:
    """The state of one connection. Only http/h2/ changes it.

    Args:
        options: see `H2Options`.

    Attributes:
        output: bytes to send.
        streams: all that are not CLOSED, by their identifiers.
        next_id: identifier of the next stream; all odd numbers from there on are idle.
        resets: streams that this side has reset.
        touched: streams that something has happened to, in order, since `Engine.receive` or
            `Engine.lost` was called.
        blocked: streams that have more to send than a window allows, in order.
        window: bytes of content that the server allows to send on the connection.
        receive_window: what the server may send on the connection.
        stream_windows: when windows of streams are opened.
        initial_receive_window: receive window of the next stream, bytes.
        remote: the settings of the server; None before its first SETTINGS has come.
        initial_window: send window of the next stream, bytes.
        max_frame: largest payload that the server takes, bytes.
        max_streams: streams that the server allows at once.
        most_open: streams that may be open at once at present; 0 if none may be opened any more.
        pings: payloads of PING that the server has not answered, in order.
        settings_sent: SETTINGS that the server has not acknowledged.
        goaway: the error of streams that the server has not processed, from GOAWAY; None before.
        leaving: True when GOAWAY was queued: no further streams.
        floods: counts frames without use.
        ended: why nothing more is received or sent; None as long as it is.

    """

    __slots__ = (
        *("blocked", "decoder", "encoder", "ended", "floods", "goaway", "initial_receive_window"),
        *("initial_window", "leaving", "max_frame", "max_streams", "most_open", "next_id"),
        *("options", "output"),
        *("pings", "receive_window", "remote", "resets", "settings_sent", "stream_windows"),
        *("streams", "touched", "window"),
    )

    def __init__(self, options: H2Options) -> None:
        self.options = options
        self.output = Output()
        self.streams: dict[int, Stream] = {}
        self.next_id = 1
        self.resets = ResetStreams()
        self.touched: dict[Stream, None] = {}
        self.blocked: dict[Stream, None] = {}
        self.window = DEFAULT_WINDOW
        self.receive_window = ConnectionWindow(options)
        self.stream_windows = StreamWindows(options)
        # The server may use the default until it knows better (RFC 9113 section 6.9.2).
        self.initial_receive_window = max(options.stream_window, DEFAULT_WINDOW)
        self.remote: H2Settings | None = None
        self.initial_window = DEFAULT_WINDOW
        self.max_frame = DEFAULT_FRAME_SIZE
        self.max_streams = options.max_streams
        self.most_open = 1  # how many the server allows is not known (RFC 9113 section 6.5.2)
        self.pings: dict[bytes, None] = {}
        self.settings_sent = 0
        self.goaway: GoneAway | None = None
        self.leaving = False
        self.floods = Floods()
        self.ended: DugongError | None = None
        announced = dict(options.announced())
        table = announced.get(SettingId.HEADER_TABLE_SIZE, DEFAULT_TABLE_SIZE)
        self.decoder = Decoder(max(table, DEFAULT_TABLE_SIZE), options.max_list, options.max_fields)
        self.encoder = Encoder()

    def limit_streams(self) -> None:
        """Set `most_open`, as something has changed that it depends on."""
        if (
            self.leaving
            or self.ended is not None
            or self.goaway is not None
            or self.next_id > MAX_STREAM_ID
        ):
            self.most_open = 0
        else:
            self.most_open = 1 if self.remote is None else self.max_streams

    # ---- how streams end

    def end_request(self, stream: Stream) -> None:
        """Note that the end of the request is queued."""
        stream.step(REQUEST_ENDED)
        stream.request_ended = True
        if self.blocked:
            self.blocked.pop(stream, None)
        if stream.state is CLOSED:
            del self.streams[stream.id]

    def end_response(self, stream: Stream) -> None:
        """Note END_STREAM of the server; the response is malformed if content is missing."""
        if stream.missing:
            self.break_stream(
                stream,
                ErrorCode.PROTOCOL_ERROR,
                f"the response ends {stream.missing} bytes before its Content-Length (RFC 9113 "
                "section 8.1.1)",
            )
            return
        stream.step(RESPONSE_ENDED)
        stream.ended = True
        if stream.state is CLOSED:
            del self.streams[stream.id]

    def break_stream(self, stream: Stream, code: ErrorCode, message: str) -> None:
        """Reset *stream*, as the server has violated the protocol there.

        Raises:
            Violation: too many replies wait to be sent.

        """
        request_sent = stream.request_sent
        self._close(stream, Event.RESET)
        # A frame beyond the window may have more bytes to come.
        exceeded = stream.receive_window < 0
        self.resets.add(stream.id, stream.window_size if exceeded else stream.receive_window)
        message = f"{message}, on stream {stream.id}"
        stream.error = InvalidResponse(message, request_sent=request_sent)
        self.touched[stream] = None
        self.output.add_reply(rst_stream(stream.id, code))

    def fail(self, stream: Stream, error: DugongError) -> None:
        """End *stream* by *error*, whose `request_sent` is set, as the server wants it."""
        self._close(stream, Event.RESET_BY_SERVER)
        error.request_sent = stream.request_sent
        stream.error = error
        self.touched[stream] = None

    def end_early(self, stream: Stream) -> None:
        """Close *stream*, whose response is complete: the server wants no more (section 8.1)."""
        self._close(stream, Event.RESET_BY_SERVER)
        self.touched[stream] = None

    def touch_blocked(self) -> None:
        """Touch the streams that can go on sending, as a window has grown."""
        if self.window > 0:
            for stream in self.blocked:
                if stream.window > 0:
                    self.touched[stream] = None

    def reset(self, stream: Stream, code: int) -> None:
        """End *stream* by RST_STREAM, as its user wants it."""
        self._close(stream, Event.RESET)
        self.resets.add(stream.id, stream.receive_window)
        self.output.add(rst_stream(stream.id, code))

    def end_connection(self, error: DugongError) -> None:
        """End everything by *error*; each stream gets one of its own.

        That may be after an interruption in the middle of a change, of which a part was done.
        """
        self.ended = error
        self.limit_streams()
        for stream in [*self.streams.values()]:
            stream.close()
            if stream.error is None:
                stream.error = own = self._copy_of(error)
                own.request_sent = stream.request_sent
            self.touched[stream] = None
        self.streams.clear()
        self.blocked.clear()

    def _close(self, stream: Stream, event: Event) -> None:
        stream.step(event)
        del self.streams[stream.id]
        self.blocked.pop(stream, None)

    def _copy_of(self, error: DugongError) -> DugongError:
        """Return an error for a single stream: GOAWAY, if that says why, or one like *error*."""
        own: DugongError
        goaway = self.goaway
        if goaway is not None and goaway.code and isinstance(error, ConnectionClosed):
            own = new_goaway(goaway.last_id, goaway.code, goaway.debug)
        else:
            own = copy.copy(error)
        own.__cause__ = error.__cause__ or error
        return own

    # ---- replies

    def update_window(self, stream_id: int, increment: int) -> None:
        """Queue WINDOW_UPDATE, for the connection if *stream_id* is 0."""
        header = frame_header(4, WINDOW_UPDATE, 0, stream_id)
        self.output.add(header + increment.to_bytes(4, "big"))

    def drop(self, size: int) -> None:
        """Give back to the window of the connection what no reader will take."""
        if size and (increment := self.receive_window.dropped(size)):
            self.update_window(0, increment)

    def say_goaway(self, code: int, debug: bytes = b"") -> None:
        """Queue GOAWAY. Its last stream is 0, as a server opens none (RFC 9113 section 6.8)."""
        self.leaving = True
        self.limit_streams()
        payload = bytes(4) + code.to_bytes(4, "big") + debug[:MAX_DEBUG]
        self.output.add(frame_header(len(payload), GOAWAY, 0, 0) + payload)

    def is_idle(self, stream_id: int) -> bool:
        """Return True if no stream *stream_id* was ever opened, by this side or the server."""
        return stream_id >= self.next_id or not stream_id & 1


def rst_stream(stream_id: int, code: int) -> bytes:
    """Return the frame RST_STREAM (RFC 9113 section 6.4)."""
    return frame_header(4, RST_STREAM, 0, stream_id) + code.to_bytes(4, "big")


def known_code(code: int) -> int:
    """Return *code* as an `ErrorCode`, if it is one."""
    try:
        return ErrorCode(code)
    except ValueError:
        return code


def new_goaway(last_id: int, code: int, debug: bytes) -> GoneAway:
    """Return the error for GOAWAY of the server."""
    message = (
        f"the server has ended the connection by GOAWAY ({error_name(code)}), with stream "
        f"{last_id} as the last one{f': {quoted(debug)}' if debug else ''} (RFC 9113 section 6.8)"
    )
    return GoneAway(message, last_id=last_id, code=known_code(code), debug=debug)
