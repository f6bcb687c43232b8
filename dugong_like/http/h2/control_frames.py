"""All frames of the server but HEADERS and DATA: what they change (RFC 9113 sections 6.3 to 6.9).

Not here: HEADERS with CONTINUATION (frame_reader.py), and the values of settings (frames.py).
"""

from __future__ import annotations

from typing import Final

from ...errors import StreamReset
from .flow_control import enlarged
from .frames import (
    ACK,
    GOAWAY,
    MAX_STREAM_ID,
    PING,
    PING_SIZE,
    PRIORITY,
    PRIORITY_SIZE,
    PUSH_PROMISE,
    RST_STREAM,
    SETTINGS,
    WINDOW_UPDATE,
    check_id,
    decode_settings,
    frame_header,
    frame_name,
)
from .settings_exchange import use_own, use_remote
from .shared import Shared, known_code, new_goaway
from .stream import Stream
from .violations import ErrorCode, Violation, error_name

GOAWAY_SIZE: Final = 8  # bytes, without debug data
NUMBER_SIZE: Final = 4  # of RST_STREAM and WINDOW_UPDATE
ACKNOWLEDGED: Final = (SETTINGS, PING)  # frames with the flag ACK


class ControlFrames:
    """Follows the frames of the server that carry neither fields nor content.

    Args:
        shared: the state of the connection.

    """

    __slots__ = ("_acknowledged", "_floods", "_handlers", "_shared")

    def __init__(self, shared: Shared) -> None:
        self._shared = shared
        self._floods = shared.floods
        self._handlers = {
            PRIORITY: self._on_priority,
            RST_STREAM: self._on_rst_stream,
            SETTINGS: self._on_settings,
            PUSH_PROMISE: self._on_push_promise,
            PING: self._on_ping,
            GOAWAY: self._on_goaway,
            WINDOW_UPDATE: self._on_window_update,
        }
        self._acknowledged = {SETTINGS: self._on_settings_ack, PING: self._on_ping_ack}

    def on_frame(self, kind: int, flags: int, stream_id: int, payload: bytes) -> None:
        """See `FrameHandler.on_control`."""
        handlers = self._acknowledged if flags & ACK and kind in ACKNOWLEDGED else self._handlers
        handler = handlers.get(kind)
        if handler is None:
            self._floods.count()  # an extension that was not agreed on (section 5.5)
        else:
            handler(stream_id, payload)

    def _on_priority(self, stream_id: int, payload: bytes) -> None:
        """PRIORITY (section 6.3) has no effect on a client, but has to be well-formed."""
        shared = self._shared
        check_id(PRIORITY, stream_id)
        self._floods.count()
        if len(payload) == PRIORITY_SIZE:
            return
        message = f"PRIORITY of {len(payload)} bytes, not {PRIORITY_SIZE} (RFC 9113 section 6.3)"
        if shared.is_idle(stream_id):  # which cannot be reset
            raise Violation(ErrorCode.FRAME_SIZE_ERROR, message)
        if (stream := shared.streams.get(stream_id)) is not None:
            shared.break_stream(stream, ErrorCode.FRAME_SIZE_ERROR, message)

    def _on_rst_stream(self, stream_id: int, payload: bytes) -> None:
        """RST_STREAM (section 6.4)."""
        shared = self._shared
        check_size(RST_STREAM, payload, NUMBER_SIZE)
        stream = self._stream(RST_STREAM, stream_id)
        if stream is None:
            self._floods.count()
            return
        code = known_code(int.from_bytes(payload, "big"))
        if code == ErrorCode.REFUSED_STREAM:
            stream.refuse()
        if stream.ended and code == ErrorCode.NO_ERROR:
            shared.end_early(stream)
            return
        message = f"the server has reset stream {stream_id}: {error_name(code)}"
        shared.fail(stream, StreamReset(message, code=code))

    def _on_settings(self, stream_id: int, payload: bytes) -> None:
        """SETTINGS (section 6.5)."""
        shared = self._shared
        check_connection(SETTINGS, stream_id)
        self._floods.count_settings(len(payload))
        use_remote(shared, decode_settings(payload))
        shared.output.add_reply(frame_header(0, SETTINGS, ACK, 0))

    def _on_settings_ack(self, stream_id: int, payload: bytes) -> None:
        """SETTINGS with ACK: the settings of this side are in force (section 6.5.3)."""
        shared = self._shared
        check_connection(SETTINGS, stream_id)
        check_size(SETTINGS, payload, 0)
        if shared.remote is None:
            raise Violation(
                ErrorCode.PROTOCOL_ERROR,
                "an acknowledgement in front of the first SETTINGS (RFC 9113 section 3.4)",
            )
        if not shared.settings_sent:
            raise Violation(
                ErrorCode.PROTOCOL_ERROR,
                "an acknowledgement of SETTINGS that were not sent (RFC 9113 section 6.5.3)",
            )
        shared.settings_sent -= 1
        use_own(shared)

    def _on_push_promise(self, stream_id: int, _: bytes) -> None:
        """PUSH_PROMISE (section 6.6), which SETTINGS_ENABLE_PUSH of 0 forbids."""
        raise Violation(
            ErrorCode.PROTOCOL_ERROR,
            f"PUSH_PROMISE on stream {stream_id}; this side has disabled it (RFC 9113 section 8.4)",
        )

    def _on_ping(self, stream_id: int, payload: bytes) -> None:
        """PING (section 6.7), which is answered."""
        shared = self._shared
        check_connection(PING, stream_id)
        check_size(PING, payload, PING_SIZE)
        self._floods.count()
        shared.output.add_reply(frame_header(PING_SIZE, PING, ACK, 0) + payload)

    def _on_ping_ack(self, stream_id: int, payload: bytes) -> None:
        """PING with ACK: the answer to a PING of this side, or to none."""
        shared = self._shared
        check_connection(PING, stream_id)
        check_size(PING, payload, PING_SIZE)
        if payload in shared.pings:
            del shared.pings[payload]
        else:
            self._floods.count()

    def _on_goaway(self, stream_id: int, payload: bytes) -> None:
        """GOAWAY (section 6.8): streams above the last one were not processed."""
        shared = self._shared
        check_connection(GOAWAY, stream_id)
        if len(payload) < GOAWAY_SIZE:
            check_size(GOAWAY, payload, GOAWAY_SIZE)
        self._floods.count()
        last_id = int.from_bytes(payload[:4], "big") & MAX_STREAM_ID
        code = int.from_bytes(payload[4:8], "big")
        if shared.goaway is not None and last_id > shared.goaway.last_id:
            raise Violation(
                ErrorCode.PROTOCOL_ERROR,
                f"GOAWAY with stream {last_id} as the last one, after {shared.goaway.last_id} (RFC "
                "9113 section 6.8)",
            )
        shared.goaway = new_goaway(last_id, code, payload[8:])
        shared.limit_streams()
        for stream in [*shared.streams.values()]:
            if stream.id > last_id:
                stream.refuse()
                shared.resets.add(stream.id, stream.receive_window)
                shared.fail(stream, new_goaway(last_id, code, payload[8:]))

    def _on_window_update(self, stream_id: int, payload: bytes) -> None:
        """WINDOW_UPDATE (section 6.9)."""
        shared = self._shared
        if len(payload) != NUMBER_SIZE:
            check_size(WINDOW_UPDATE, payload, NUMBER_SIZE)  # which raises
        self._floods.count()
        increment = int.from_bytes(payload, "big") & MAX_STREAM_ID
        if not stream_id:
            self._open_connection(increment)
            return
        stream = shared.streams.get(stream_id) or self._stream(WINDOW_UPDATE, stream_id)
        if stream is None:
            return
        if not increment:
            message = "WINDOW_UPDATE with an increment of 0 (RFC 9113 section 6.9)"
            shared.break_stream(stream, ErrorCode.PROTOCOL_ERROR, message)
            return
        try:
            stream.window = enlarged(stream.window, increment)
        except OverflowError as exc:
            message = f"WINDOW_UPDATE: {exc} (RFC 9113 section 6.9.1)"
            shared.break_stream(stream, ErrorCode.FLOW_CONTROL_ERROR, message)
            return
        if stream in shared.blocked and stream.window > 0 and shared.window > 0:
            shared.touched[stream] = None

    def _open_connection(self, increment: int) -> None:
        """Enlarge the send window of the connection."""
        shared = self._shared
        before = shared.window
        if not increment:
            raise Violation(
                ErrorCode.PROTOCOL_ERROR,
                "WINDOW_UPDATE of the connection with an increment of 0 (RFC 9113 section 6.9)",
            )
        try:
            shared.window = enlarged(shared.window, increment)
        except OverflowError as exc:
            raise Violation(
                ErrorCode.FLOW_CONTROL_ERROR,
                f"WINDOW_UPDATE of the connection: {exc} (RFC 9113 section 6.9.1)",
            ) from None
        if before <= 0:  # otherwise those that wait for it have been touched before
            shared.touch_blocked()

    def _stream(self, kind: int, stream_id: int) -> Stream | None:
        """Return the stream of a frame; None if it is closed, where the frame may still come.

        Raises:
            Violation: the stream is 0 or idle.

        """
        stream = self._shared.streams.get(stream_id)
        if stream is None and self._shared.is_idle(check_id(kind, stream_id)):
            raise Violation(
                ErrorCode.PROTOCOL_ERROR,
                f"{frame_name(kind)} on stream {stream_id}, which is idle (RFC 9113 section 5.1)",
            )
        return stream


def check_size(kind: int, payload: bytes, size: int) -> None:
    """Raise `Violation` if *payload* has not exactly *size* bytes (RFC 9113 section 4.2)."""
    if len(payload) != size:
        raise Violation(
            ErrorCode.FRAME_SIZE_ERROR,
            f"{frame_name(kind)} of {len(payload)} bytes instead of {size} (RFC 9113 section 4.2)",
        )


def check_connection(kind: int, stream_id: int) -> None:
    """Raise `Violation` if a frame of the connection has a stream (RFC 9113 section 6)."""
    if stream_id:
        raise Violation(
            ErrorCode.PROTOCOL_ERROR,
            f"{frame_name(kind)} on stream {stream_id} instead of the connection (RFC 9113 section "
            "6)",
        )
