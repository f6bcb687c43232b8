"""HTTP/2 for the server of the demo: GET of files in memory, over plain TCP (RFC 9113).

Frames and header compression are those of the library, seen from the other side. It is for a client
that keeps to the protocol, and does no more than the demo needs: requests have no bodies.

Not here: the sockets, and which files there are (demo_server.py).
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import Final

from ..http.h2.frame_reader import FrameReader
from ..http.h2.frames import (
    ACK,
    DATA,
    DEFAULT_FRAME_SIZE,
    DEFAULT_WINDOW,
    END_HEADERS,
    END_STREAM,
    HEADERS,
    PING,
    PREFACE,
    RST_STREAM,
    SETTINGS,
    WINDOW_UPDATE,
    SettingId,
    decode_settings,
    encode_settings,
    frame_header,
)
from ..http.h2.hpack_decoder import Decoder
from ..http.h2.hpack_encoder import Encoder
from ..http.h2.options import H2Options

MOST_STREAMS: Final = 100  # at a time; RFC 9113 section 6.5.2 recommends no less

_increment = struct.Struct(">L")


class Sent:
    """The rest of a body that is being sent.

    Attributes:
        rest: its bytes.
        window: bytes that the stream may still have (RFC 9113 section 5.2).

    """

    def __init__(self, body: bytes, window: int) -> None:
        self.rest = memoryview(body)
        self.window = window


class DemoConnection:
    """One connection of a client.

    Args:
        find: a function of a path that returns the file, or None.

    """

    def __init__(self, find: Callable[[str], bytes | None]) -> None:
        self._find = find
        self._reader = FrameReader(self, H2Options())
        self._decoder, self._encoder = Decoder(), Encoder()
        self._streams: dict[int, Sent] = {}
        self._window = self._stream_window = DEFAULT_WINDOW
        self._preface = len(PREFACE)  # bytes of it that have not come
        settings = encode_settings([(SettingId.MAX_CONCURRENT_STREAMS, MOST_STREAMS)])
        self._output = [frame_header(len(settings), SETTINGS, 0, 0), settings]

    def receive(self, data: bytes) -> bytes:
        """Take bytes of the client, and return what is to be sent.

        Raises:
            Violation: these are no frames.

        """
        data, self._preface = data[self._preface :], max(self._preface - len(data), 0)
        self._reader.feed(data)
        for stream_id in list(self._streams):
            self._send(stream_id, self._streams[stream_id])
        output, self._output = b"".join(self._output), []
        return output

    def _send(self, stream_id: int, sent: Sent) -> None:
        """Send as much of a body as the windows allow."""
        while (room := min(self._window, sent.window, DEFAULT_FRAME_SIZE)) > 0 or not sent.rest:
            piece, sent.rest = sent.rest[:room], sent.rest[room:]
            sent.window -= len(piece)
            self._window -= len(piece)
            flags = 0 if sent.rest else END_STREAM
            self._output += [frame_header(len(piece), DATA, flags, stream_id), bytes(piece)]
            if flags:
                del self._streams[stream_id]
                return

    # ---- calls of the reader

    def on_headers(self, stream_id: int, block: bytes, end: bool) -> None:  # noqa: ARG002 - no body
        """Answer a request."""
        fields = dict(self._decoder.decode(block))
        body = self._find(fields.get(b":path", b"").decode("latin-1"))
        status, content = (b"404", b"no such file\n") if body is None else (b"200", body)
        head = self._encoder.encode(
            ((b":status", status), (b"content-length", str(len(content)).encode()))
        )
        self._output += [frame_header(len(head), HEADERS, END_HEADERS, stream_id), head]
        self._streams[stream_id] = Sent(content, self._stream_window)

    def on_control(self, kind: int, flags: int, stream_id: int, payload: bytes) -> None:
        """Handle a frame about the connection, or about a stream."""
        if kind == SETTINGS and not flags & ACK:
            self._set(dict(decode_settings(payload)))
            self._output.append(frame_header(0, SETTINGS, ACK, 0))
        elif kind == PING and not flags & ACK:
            self._output += [frame_header(len(payload), PING, ACK, 0), payload]
        elif kind == WINDOW_UPDATE:
            (increment,) = _increment.unpack(payload)
            if stream_id == 0:
                self._window += increment
            elif stream_id in self._streams:
                self._streams[stream_id].window += increment
        elif kind == RST_STREAM:
            self._streams.pop(stream_id, None)

    def _set(self, settings: dict[int, int]) -> None:
        window = settings.get(SettingId.INITIAL_WINDOW_SIZE, self._stream_window)
        for sent in self._streams.values():
            sent.window += window - self._stream_window
        self._stream_window = window
        if SettingId.HEADER_TABLE_SIZE in settings:
            self._encoder.set_max_size(settings[SettingId.HEADER_TABLE_SIZE])

    def on_data(self, stream_id: int, data: bytes, size: int, end: bool) -> None:
        """Drop a part of a body, as no request of the demo has one."""

    def on_responses(self, data: bytes | memoryview, at: int, size: int) -> int:  # noqa: ARG002
        """Return *at*: they are handled by the other calls."""
        return at
