"""HEADERS and DATA of the server: what they change (RFC 9113 sections 6.1, 6.2 and 8.1).

A response is any number of 1xx heads up to a limit, one final head, content, and trailers. One that
is malformed is an error of its stream; a frame where none may be ends the connection.

Not here: frames as bytes (frame_reader.py), the other types (control_frames.py), and the rules for
fields (fields.py).
"""

from __future__ import annotations

from typing import Final

from ...errors import InvalidResponse
from .control_frames import ControlFrames
from .fields import NO_CONTENT, OK, ResponseHead, response_head, trailer_section
from .frames import (
    DATA,
    DEFAULT_FRAME_SIZE,
    END_HEADERS,
    END_STREAM,
    HEADER_SIZE,
    HEADERS,
    check_id,
    frame_name,
    unpack_short_header,
)
from .hpack_decoder import FieldSection, ListTooLarge
from .shared import Shared
from .stream import HALF_CLOSED_LOCAL, Stream
from .violations import ErrorCode, Violation

MULTIPLE_CHOICES: Final = 300
WHOLE_BLOCK: Final = HEADERS << 8 | END_HEADERS  # type and flags of these frames
LAST_DATA: Final = DATA << 8 | END_STREAM
APART: Final = (b"HEAD", b"CONNECT")  # methods whose responses have no content, or more than that
LARGEST_WHOLE: Final = DEFAULT_FRAME_SIZE  # bytes of content in a frame that is always allowed


class Incoming:
    """Follows the frames of the server. It is the handler of a `FrameReader`.

    Args:
        shared: the state of the connection.

    """

    __slots__ = ("_floods", "_receive_window", "_shared", "_streams", "on_control")

    def __init__(self, shared: Shared) -> None:
        self._shared = shared
        self._streams = shared.streams
        self._floods = shared.floods
        self._receive_window = shared.receive_window
        self.on_control = ControlFrames(shared).on_frame

    def on_data(self, stream_id: int, data: bytes, size: int, end: bool) -> None:
        """See `FrameHandler`."""
        shared = self._shared
        self._receive_window.received(size)
        stream = self._streams.get(stream_id)
        if stream is None:
            self._late_data(stream_id, size)
            return
        left = stream.receive_window = stream.receive_window - size
        if (left < 0 and size) or stream.head is None or stream.ended:
            self._refuse_data(stream, size)
            return
        count = len(data)
        if count:
            if self._floods.cost > 0:
                self._floods.begin_again()
            if stream.missing is not None:
                stream.missing -= count
                if stream.missing < 0:
                    self._refuse_content(stream, size)
                    return
            stream.add(data)
        elif not end:
            self._floods.count()
        if size > count:  # padding
            self._give_back(stream, size - count)
        if end:
            shared.end_response(stream)
        shared.touched[stream] = None

    def on_responses(self, data: bytes | memoryview, at: int, size: int) -> int:
        """See `FrameHandler`: those that are as most are.

        Each is in two frames, as a small response usually is, and its fields came before, in
        another one: so they were checked, and nothing can be wrong with them.

        Args:
            data: see `FrameHandler`.
            at: see `FrameHandler`.
            size: see `FrameHandler`.

        """
        shared, streams, window = self._shared, self._streams, self._receive_window
        last = size - HEADER_SIZE
        while at < last:
            is_long, size_of_block, kind, stream_id = unpack_short_header(data, at)
            at_block = at + HEADER_SIZE
            at_data = at_block + size_of_block
            if kind != WHOLE_BLOCK or is_long or at_data >= last:
                break
            is_long, count, kind, next_id = unpack_short_header(data, at_data)
            if kind != LAST_DATA or is_long or next_id != stream_id:
                break
            at_content = at_data + HEADER_SIZE
            behind = at_content + count
            stream = streams.get(stream_id)
            if (
                stream is None
                or behind > size
                or stream.state is not HALF_CLOSED_LOCAL
                or stream.head is not None
                or not 0 < count <= LARGEST_WHOLE
                or count > stream.receive_window
                or count > window.left
            ):
                break
            known = shared.decoder.known(bytes(data[at_block:at_data]))
            if known is None or type(head := known[0].checked) is not ResponseHead:
                break
            if head.size not in (None, count) or stream.method in APART:
                break
            if known[1]:
                shared.decoder.repeat(known)
            window.left -= count
            stream.answer(head, count, (bytes(data[at_content:behind]),))
            del streams[stream_id]
            shared.touched[stream] = None
            at = behind
            if self._floods.cost > 0:
                self._floods.begin_again()
        return at

    def on_only_response(self, stream: Stream, data: memoryview, size: int) -> bytes | None:
        """Handle one response as `on_responses` does, if it is all that has come.

        Its only stream is known, and its content goes straight to the reader: so nothing is looked
        up, buffered, or noted for others, which is a third of the work. The conditions are the
        same; both are compared with what the frames do one by one (test_incoming.py).

        Args:
            stream: nothing of its response has come.
            data: begins with what has come.
            size: bytes of that.

        Returns:
            The content, which counts as consumed. None if it is another response, or not all of it:
            then nothing has changed.

        """
        last = size - HEADER_SIZE
        if last < HEADER_SIZE:
            return None
        is_long, size_of_block, kind, stream_id = unpack_short_header(data, 0)
        at_data = HEADER_SIZE + size_of_block
        if kind != WHOLE_BLOCK or is_long or stream_id != stream.id or at_data >= last:
            return None
        is_long, count, kind, next_id = unpack_short_header(data, at_data)
        at_content = at_data + HEADER_SIZE
        window = self._receive_window
        if (
            kind != LAST_DATA
            or is_long
            or next_id != stream_id
            or at_content + count != size
            or stream.state is not HALF_CLOSED_LOCAL
            or stream.head is not None
            or not 0 < count <= LARGEST_WHOLE
            or count > stream.receive_window
            or count > window.left
        ):
            return None
        shared = self._shared
        known = shared.decoder.known(bytes(data[HEADER_SIZE:at_data]))
        if known is None or type(head := known[0].checked) is not ResponseHead:
            return None
        if head.size not in (None, count) or stream.method in APART:
            return None
        content = bytes(data[at_content:size])
        if known[1]:
            shared.decoder.repeat(known)
        window.left -= count
        stream.answer(head, count)
        del self._streams[stream_id]
        if self._floods.cost > 0:
            self._floods.begin_again()
        if increment := window.consumed(count):
            shared.update_window(0, increment)
        return content

    def on_headers(self, stream_id: int, block: bytes, end: bool) -> None:
        """See `FrameHandler`."""
        shared = self._shared
        stream = self._streams.get(stream_id)
        if stream is None:
            self._late_headers(stream_id, block)
            return
        try:
            section = shared.decoder.decode(block)
            if stream.head is None:
                self._take_head(stream, response_head(section), end)
            else:
                self._take_trailers(stream, section, end)
        except ListTooLarge as exc:
            shared.break_stream(stream, ErrorCode.ENHANCE_YOUR_CALM, str(exc))
        except InvalidResponse as exc:
            shared.break_stream(stream, ErrorCode.PROTOCOL_ERROR, str(exc))
        shared.touched[stream] = None

    # ---- heads

    def _take_head(self, stream: Stream, head: ResponseHead, end: bool) -> None:
        """Take a 1xx or final head. Raises InvalidResponse if it must not be there."""
        shared = self._shared
        status = head.status
        if status < OK:
            if end:
                raise InvalidResponse(f"{status} ends the stream (RFC 9113 section 8.1)")
            self._take_interim_head(stream, head)
            return
        self._floods.begin_again()
        stream.head = head
        if stream.method == b"HEAD" or status in NO_CONTENT:
            stream.missing = 0
        elif stream.method == b"CONNECT" and status < MULTIPLE_CHOICES:
            stream.tunnel = True
        else:
            stream.missing = head.content_length
        if end:
            shared.end_response(stream)

    def _take_interim_head(self, stream: Stream, head: ResponseHead) -> None:
        """Take a 1xx head, within the limits for those of one request."""
        options = self._shared.options
        stream.interim += 1
        stream.interim_size += len(head.fields)
        if stream.interim > options.max_informational:
            problem = f"more than {options.max_informational} informational responses"
        elif stream.interim_size > options.max_list:
            problem = f"informational responses of more than {options.max_list} bytes"
        else:
            stream.inform(head)
            return
        message = f"{problem} (RFC 9113 section 10.5)"
        self._shared.break_stream(stream, ErrorCode.ENHANCE_YOUR_CALM, message)

    def _take_trailers(self, stream: Stream, section: FieldSection, end: bool) -> None:
        """Take the section behind the content. Raises InvalidResponse if it is malformed."""
        if stream.ended:
            self._shared.break_stream(
                stream,
                ErrorCode.STREAM_CLOSED,
                "HEADERS behind the end of the response (RFC 9113 section 5.1)",
            )
            return
        if stream.tunnel:
            raise InvalidResponse("HEADERS in a tunnel (RFC 9113 section 8.5)")
        if not end:
            raise InvalidResponse(
                "HEADERS behind the head of the response, without END_STREAM (RFC 9113 section 8.1)"
            )
        stream.trailers = trailer_section(section)
        self._shared.end_response(stream)

    # ---- what must not come

    def _refuse_data(self, stream: Stream, size: int) -> None:
        """End *stream*, on which DATA of *size* bytes must not come."""
        shared = self._shared
        if stream.ended and not size:  # see `_late_data`
            self._floods.count()
            return
        if size and stream.receive_window < 0:
            code = ErrorCode.FLOW_CONTROL_ERROR
            message = (
                f"{-stream.receive_window} bytes of DATA beyond the window of the stream (RFC 9113 "
                "section 6.9.1)"
            )
        elif stream.ended:
            code = ErrorCode.STREAM_CLOSED
            message = "DATA behind the end of the response (RFC 9113 section 5.1)"
        else:
            code = ErrorCode.PROTOCOL_ERROR
            message = "DATA in front of the head of the response (RFC 9113 section 8.1)"
        shared.drop(size)
        shared.break_stream(stream, code, message)

    def _refuse_content(self, stream: Stream, size: int) -> None:
        """End *stream*, which has more content than it may have."""
        head = stream.head
        assert head is not None
        if stream.method == b"HEAD" or head.status in NO_CONTENT:
            problem = f"content in a {head.status} to {stream.method.decode('latin-1')}"
        else:
            problem = f"more content than the {head.content_length} bytes of Content-Length"
        self._shared.drop(size)
        message = f"{problem} (RFC 9113 section 8.1.1)"
        self._shared.break_stream(stream, ErrorCode.PROTOCOL_ERROR, message)

    def _give_back(self, stream: Stream, size: int) -> None:
        """Return padding to the windows; nobody reads it."""
        shared = self._shared
        shared.drop(size)
        if increment := shared.stream_windows.dropped(stream, size):
            shared.update_window(stream.id, increment)

    # ---- frames on streams that have ended

    def _late_data(self, stream_id: int, size: int) -> None:
        """Handle DATA on a stream that is closed; it counts for the window of the connection.

        Empty DATA is taken from any such stream: nginx (1.22) sends it behind a response without
        content, whose HEADERS have ended the stream.
        """
        shared = self._shared
        if not size and not shared.is_idle(stream_id):
            self._floods.count()
            return
        self._check_closed(DATA, stream_id)
        if excess := shared.resets.received(stream_id, size):
            raise Violation(
                ErrorCode.FLOW_CONTROL_ERROR,
                f"{excess} bytes of DATA beyond the window of stream {stream_id}, which was reset "
                "(RFC 9113 section 6.9.1)",
            )
        if size:
            shared.drop(size)
        else:
            self._floods.count()

    def _late_headers(self, stream_id: int, block: bytes) -> None:
        """Handle HEADERS on a stream that is closed; the table of HPACK has to stay in step."""
        self._check_closed(HEADERS, stream_id)
        self._floods.count_block(len(block))
        try:
            self._shared.decoder.decode(block)
        except ListTooLarge:
            pass  # nobody wants it

    def _check_closed(self, kind: int, stream_id: int) -> None:
        """Raise `Violation`, unless *stream_id* was reset by this side."""
        if self._shared.is_idle(check_id(kind, stream_id)):
            raise Violation(
                ErrorCode.PROTOCOL_ERROR,
                f"{frame_name(kind)} on stream {stream_id}, which is idle (RFC 9113 section 5.1)",
            )
        if stream_id not in self._shared.resets:
            raise Violation(
                ErrorCode.STREAM_CLOSED,
                f"{frame_name(kind)} on stream {stream_id}, which is closed (RFC 9113 section 5.1)",
            )
