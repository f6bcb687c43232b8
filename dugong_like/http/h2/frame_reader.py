"""Reading frames: bytes, however they are cut, to calls of a handler (RFC 9113 sections 4 and 6).

Checked here is what needs no knowledge of streams: sizes, padding, the order of frames that carry a
header block, and that SETTINGS comes first. There is no object for a frame. The payload of DATA is
handed over as it arrives, without waiting for the end of its frame; any other frame that is cut is
kept until it is complete.

Not here: what frames mean (incoming.py, control_frames.py).
"""

from __future__ import annotations

from typing import Final, Protocol

from ..redaction import quoted
from .frames import (
    CONTINUATION,
    DATA,
    DEFAULT_FRAME_SIZE,
    END_HEADERS,
    END_STREAM,
    HEADER_SIZE,
    HEADERS,
    MAX_STREAM_ID,
    PADDED,
    PRIORITY_SIZE,
    SETTINGS,
    WITH_PRIORITY,
    SettingId,
    check_id,
    frame_name,
    read_frame_header,
    unpack_header,
)
from .options import H2Options
from .violations import ErrorCode, Violation

ODD_HEADERS: Final = END_HEADERS | PADDED | WITH_PRIORITY
BLOCK_SLACK: Final = 16384  # bytes of a header block beyond the limit of the decoded fields
HTTP_1: Final = b"HTTP/1"


class FrameHandler(Protocol):
    """The calls of a `FrameReader`. Each may raise `Violation`, which ends reading."""

    def on_data(self, stream_id: int, data: bytes, size: int, end: bool) -> None:
        """Handle the payload of DATA, or a part of it.

        Args:
            stream_id: the stream, which may be 0, idle or closed.
            data: without padding.
            size: bytes that count for flow control, with padding.
            end: True with the last part of a frame with END_STREAM.

        """
        ...

    def on_responses(self, data: bytes | memoryview, at: int, size: int) -> int:
        """Handle whole responses, in place of the other calls for their frames.

        Args:
            data: has HEADERS at *at*.
            at: index of its header.
            size: bytes of *data* that have arrived.

        Returns:
            The index behind the last response that was handled; *at* if none was.

        """
        ...

    def on_headers(self, stream_id: int, block: bytes, end: bool) -> None:
        """Handle a complete header block of HEADERS; *end* is END_STREAM."""
        ...

    def on_control(self, kind: int, flags: int, stream_id: int, payload: bytes) -> None:
        """Handle any other frame, of any type."""
        ...


class FrameReader:
    """Reads the frames of a server.

    Args:
        handler: gets the frames.
        options: sizes of frames and header blocks.

    """

    __slots__ = (
        *("_block", "_block_end", "_block_size", "_block_stream", "_data_end", "_data_left"),
        *("_data_stream", "_expected", "_handler", "_max_block", "_max_frame", "_max_frames"),
        "_partial",
    )

    def __init__(self, handler: FrameHandler, options: H2Options) -> None:
        self._handler = handler
        announced = dict(options.announced())
        self._max_frame = announced.get(SettingId.MAX_FRAME_SIZE, DEFAULT_FRAME_SIZE)
        self._max_block = options.max_list + BLOCK_SLACK
        self._max_frames = options.max_continuations + 1
        self._expected: int | None = SETTINGS  # the only type that may come next, if there is one
        self._partial = bytearray()  # the beginning of a frame that is not complete
        self._data_left = 0  # bytes of a DATA frame that have not come
        self._data_stream = 0
        self._data_end = False
        self._block: list[bytes] = []  # of HEADERS without END_HEADERS, and its CONTINUATION
        self._block_size = 0
        self._block_stream = 0
        self._block_end = False

    def feed(  # noqa: C901, PLR0912 - each call would count
        self, data: bytes | memoryview
    ) -> None:
        """Take what has arrived, and call the handler for all that is complete.

        Raises:
            Violation: the server has broken the connection.

        """
        at = 0
        size = len(data)
        if self._data_left or self._partial:
            at = self._go_on(data)
        while size - at >= HEADER_SIZE:
            length, flags, stream_id = unpack_header(data, at)
            kind = length & 0xFF
            length >>= 8
            stream_id &= MAX_STREAM_ID
            expected = self._expected
            if length > self._max_frame or (expected is not None and expected != kind):
                self._refuse(data, at)
            begin = at + HEADER_SIZE
            if flags == END_HEADERS and kind == HEADERS:
                behind = self._handler.on_responses(data, at, size)
                if behind != at:
                    at = behind
                    continue
            at = begin + length
            if kind == DATA and not flags & PADDED:
                if at <= size:
                    if not flags and length and size - at > HEADER_SIZE:
                        at = self._run_of_data(data, begin, at, stream_id)
                        continue
                    payload = bytes(data[begin:at])
                    end = flags & END_STREAM != 0
                    self._handler.on_data(stream_id, payload, length, end)
                    continue
                self._begin_data(length, flags, stream_id)
                self._more_data(data, begin)
                return
            if at > size:
                self._partial += data[begin - HEADER_SIZE :]
                return
            payload = bytes(data[begin:at])
            if kind > HEADERS and kind != CONTINUATION:
                self._expected = None
                self._handler.on_control(kind, flags, stream_id, payload)
            elif kind != HEADERS:
                self._in_parts(kind, flags, stream_id, payload)
            elif flags & ODD_HEADERS == END_HEADERS:
                self._handler.on_headers(stream_id, payload, flags & END_STREAM != 0)
            else:
                self._begin_block(flags, stream_id, payload)
        if at < size:
            self._partial += data[at:]

    def _run_of_data(self, data: bytes | memoryview, begin: int, at: int, stream_id: int) -> int:
        """Hand over a DATA frame, and those of the same stream behind it, as if they were one.

        Large bodies come in many frames in a row, each of which would take its time.

        Args:
            data: what has arrived.
            begin: index of the content of the first frame, which is all there.
            at: the index behind it.
            stream_id: its stream.

        Returns:
            The index behind the last one.

        """
        view = memoryview(data)
        pieces = [view[begin:at]]
        last = len(view) - HEADER_SIZE
        end = False
        while at <= last and not end:
            length, flags, next_id = unpack_header(view, at)
            stop = at + HEADER_SIZE + (length >> 8)
            if (
                length & 0xFF != DATA
                or next_id != stream_id
                or not 0 < length >> 8 <= self._max_frame
                or flags & ~END_STREAM
                or stop > len(view)
            ):
                break
            pieces.append(view[at + HEADER_SIZE : stop])
            at = stop
            end = flags != 0
        payload = b"".join(pieces)
        self._handler.on_data(stream_id, payload, len(payload), end)
        return at

    def is_between_frames(self) -> bool:
        """Return True if the next byte begins a frame, of any type."""
        return not self._data_left and not self._partial and self._expected is None

    # ---- frames that were cut

    def _go_on(self, data: bytes | memoryview) -> int:
        """Take the rest of a frame that was cut; return the index behind it, or the size."""
        if self._data_left:
            return self._more_data(data, 0)
        partial = self._partial
        at = self._fill(HEADER_SIZE, data, 0)
        if len(partial) < HEADER_SIZE:
            return at
        length, kind, flags, stream_id = read_frame_header(partial, 0)
        expected = self._expected
        if length > self._max_frame or (expected is not None and expected != kind):
            self._refuse(partial, 0)
        if kind == DATA and not flags & PADDED and length:
            partial.clear()
            self._begin_data(length, flags, stream_id)
            return self._more_data(data, at)
        at = self._fill(HEADER_SIZE + length, data, at)
        if len(partial) == HEADER_SIZE + length:
            frame = bytes(partial)
            partial.clear()
            self.feed(frame)
        return at

    def _fill(self, size: int, data: bytes | memoryview, at: int) -> int:
        """Move bytes from ``data[at:]`` until *size* are kept; return the index behind them."""
        missing = size - len(self._partial)
        if missing > 0:
            self._partial += data[at : at + missing]
            at = min(at + missing, len(data))
        return at

    def _begin_data(self, length: int, flags: int, stream_id: int) -> None:
        """Note the header of a DATA frame of which not all is here."""
        self._data_stream = stream_id
        self._data_left = length
        self._data_end = flags & END_STREAM != 0

    def _more_data(self, data: bytes | memoryview, at: int) -> int:
        """Hand over what has come of a DATA frame; return the index behind it."""
        payload = bytes(data[at : at + self._data_left])
        if payload:
            self._data_left -= len(payload)
            end = self._data_end and not self._data_left
            self._handler.on_data(self._data_stream, payload, len(payload), end)
        return at + len(payload)

    # ---- frames that are not of the common kind

    def _in_parts(self, kind: int, flags: int, stream_id: int, payload: bytes) -> None:
        """Handle CONTINUATION, or DATA with padding."""
        if kind == CONTINUATION:
            self._continue_block(flags, stream_id, payload)
            return
        content = unpadded(DATA, flags, payload)
        self._handler.on_data(stream_id, content, len(payload), flags & END_STREAM != 0)

    def _begin_block(self, flags: int, stream_id: int, payload: bytes) -> None:
        """Handle HEADERS with padding, with a priority, or that CONTINUATION follows."""
        check_id(HEADERS, stream_id)
        fragment = unpadded(HEADERS, flags, payload)
        if flags & WITH_PRIORITY:  # deprecated (section 5.3.2)
            if len(fragment) < PRIORITY_SIZE:
                raise Violation(
                    ErrorCode.FRAME_SIZE_ERROR,
                    f"HEADERS of {len(payload)} bytes is too short for its priority (RFC 9113 "
                    "section 6.2)",
                )
            fragment = fragment[PRIORITY_SIZE:]
        end = flags & END_STREAM != 0
        if flags & END_HEADERS:
            self._handler.on_headers(stream_id, fragment, end)
            return
        self._expected = CONTINUATION
        self._block = [fragment]
        self._block_size = len(fragment)
        self._block_stream = stream_id
        self._block_end = end

    def _continue_block(self, flags: int, stream_id: int, payload: bytes) -> None:
        """Handle CONTINUATION (section 6.10)."""
        if self._expected != CONTINUATION:
            raise Violation(
                ErrorCode.PROTOCOL_ERROR,
                f"CONTINUATION on stream {stream_id} without HEADERS in front of it (RFC 9113 "
                "section 6.10)",
            )
        if stream_id != self._block_stream:
            raise Violation(
                ErrorCode.PROTOCOL_ERROR,
                f"CONTINUATION on stream {stream_id} inside of a header block of stream "
                f"{self._block_stream} (RFC 9113 section 6.10)",
            )
        self._block.append(payload)
        self._block_size += len(payload)
        if len(self._block) > self._max_frames or self._block_size > self._max_block:
            raise Violation(
                ErrorCode.ENHANCE_YOUR_CALM,
                f"a header block of {len(self._block)} frames and {self._block_size} bytes on "
                f"stream {stream_id}; at most {self._max_frames} and {self._max_block} are "
                "taken (RFC 9113 section 10.5.1)",
            )
        if flags & END_HEADERS:
            block = b"".join(self._block)
            self._block = []
            self._expected = None
            self._handler.on_headers(stream_id, block, self._block_end)

    def _refuse(self, data: bytes | bytearray | memoryview, at: int) -> None:
        """Raise the error of a frame header that must not come."""
        length, kind, _, stream_id = read_frame_header(data, at)
        if self._expected == SETTINGS and kind != SETTINGS:
            start = bytes(data[at : at + 40])
            instead = ", but HTTP/1" if start.startswith(HTTP_1) else ""
            raise Violation(
                ErrorCode.PROTOCOL_ERROR,
                f"this is not HTTP/2{instead}: the first frame has to be SETTINGS (RFC 9113 "
                f"section 3.4): {quoted(start)}",
            )
        if length > self._max_frame:
            raise Violation(
                ErrorCode.FRAME_SIZE_ERROR,
                f"{frame_name(kind)} of {length} bytes; at most {self._max_frame} are taken (RFC "
                "9113 section 4.2)",
            )
        raise Violation(
            ErrorCode.PROTOCOL_ERROR,
            f"{frame_name(kind)} on stream {stream_id} inside of a header block of stream "
            f"{self._block_stream} (RFC 9113 section 6.10)",
        )


def unpadded(kind: int, flags: int, payload: bytes) -> bytes:
    """Return *payload* without padding (RFC 9113 sections 6.1 and 6.2).

    Raises:
        Violation: it has more padding than bytes.

    """
    if not flags & PADDED:
        return payload
    if not payload:
        raise Violation(
            ErrorCode.FRAME_SIZE_ERROR,
            f"{frame_name(kind)} without its length of padding (RFC 9113 section 6.1)",
        )
    padding = payload[0]
    if padding >= len(payload):
        raise Violation(
            ErrorCode.PROTOCOL_ERROR,
            f"{frame_name(kind)} of {len(payload)} bytes with {padding} bytes of padding (RFC 9113 "
            "section 6.1)",
        )
    return payload[1 : len(payload) - padding]
