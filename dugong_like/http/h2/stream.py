"""One stream of a client: a request, and what has come of its response (RFC 9113 section 5.1).

The states are those of section 5.1 that a client without server push has; *idle* is a stream that
does not exist yet. A request without content ends with its HEADERS.

    ===================  ====================  ====================  =========  ==============
    state                request ended         response ended        reset      reset by server
    ===================  ====================  ====================  =========  ==============
    OPEN                 HALF_CLOSED_LOCAL     HALF_CLOSED_REMOTE    CLOSED     CLOSED
    HALF_CLOSED_LOCAL    (error)               CLOSED                CLOSED     CLOSED
    HALF_CLOSED_REMOTE   CLOSED                (error)               CLOSED     CLOSED
    CLOSED               (error)               (error)               (error)    (error)
    ===================  ====================  ====================  =========  ==============

How far the response has come follows from `Stream.head` and `Stream.ended`: 1xx heads, one final
head, content, trailers.

Not here: what a frame of the server changes (incoming.py), and the sizes of windows
(flow_control.py).
"""

from __future__ import annotations

from collections import deque
from enum import IntEnum
from typing import TYPE_CHECKING, Final

from ...errors import DugongError, Sent, StateError

if TYPE_CHECKING:
    from .fields import ResponseHead
    from .output import Output


class State(IntEnum):
    """State of a stream (RFC 9113 section 5.1)."""

    OPEN = 0
    HALF_CLOSED_LOCAL = 1
    HALF_CLOSED_REMOTE = 2
    CLOSED = 3


class Event(IntEnum):
    """An event that changes the state of a stream."""

    REQUEST_ENDED = 0
    RESPONSE_ENDED = 1
    RESET = 2
    RESET_BY_SERVER = 3


TRANSITIONS: Final = {
    (State.OPEN, Event.REQUEST_ENDED): State.HALF_CLOSED_LOCAL,
    (State.OPEN, Event.RESPONSE_ENDED): State.HALF_CLOSED_REMOTE,
    (State.OPEN, Event.RESET): State.CLOSED,
    (State.OPEN, Event.RESET_BY_SERVER): State.CLOSED,
    (State.HALF_CLOSED_LOCAL, Event.RESPONSE_ENDED): State.CLOSED,
    (State.HALF_CLOSED_LOCAL, Event.RESET): State.CLOSED,
    (State.HALF_CLOSED_LOCAL, Event.RESET_BY_SERVER): State.CLOSED,
    (State.HALF_CLOSED_REMOTE, Event.REQUEST_ENDED): State.CLOSED,
    (State.HALF_CLOSED_REMOTE, Event.RESET): State.CLOSED,
    (State.HALF_CLOSED_REMOTE, Event.RESET_BY_SERVER): State.CLOSED,
}
SMALL: Final = 512  # bytes; smaller pieces are joined, as each object takes 50 bytes more
OPEN: Final = State.OPEN  # looking up an attribute of an enumeration is slow
HALF_CLOSED_LOCAL: Final = State.HALF_CLOSED_LOCAL
CLOSED: Final = State.CLOSED
REQUEST_ENDED: Final = Event.REQUEST_ENDED
_NO_HEADS: Final[deque[ResponseHead]] = deque(maxlen=0)  # of all streams without 1xx
RESPONSE_ENDED: Final = Event.RESPONSE_ENDED


class Stream:
    """One stream; made by `Engine.open`. The attributes are for reading only.

    A reader takes buffered data first, then looks at `ended`, then at `error`.

    Args:
        stream_id: its identifier (RFC 9113 section 5.1.1).
        output: the queue that its HEADERS are appended to next.
        window: initial send window, bytes.
        receive_window: initial receive window, bytes.
        method: request method.
        end: True if its HEADERS end the request.

    Attributes:
        id: its identifier, an odd number.
        state: see the table of this module.
        method: request method.
        informational: 1xx heads that nobody has taken yet, in order; take them with ``popleft``,
            and add them with `inform`.
        head: head of the final response; None before it has come.
        trailers: trailer section of the response, as field lines, each with its CRLF; None
            before it has come, or without one.
        ended: True when the whole response has been received and is well-formed. Data may still
            be buffered.
        error: an error that ended the stream; None without one. With `ended` it concerns the
            request only.
        request_ended: True when the end of the request is queued.
        buffered: bytes of content that have been received and not been taken.
        pieces: that content, in the pieces in which it came, small ones joined.
        window: bytes of content that the server allows to send on this stream; may be negative
            (RFC 9113 section 6.9.2). The window of the connection is a further limit.
        receive_window: bytes that the server may still send.
        window_size: size of the receive window, bytes.
        unreported: bytes that were taken, and that no WINDOW_UPDATE has reported yet.
        missing: bytes of content that Content-Length announced and that have not come yet; None if
            it is unknown how many will come.
        interim: number of 1xx heads so far.
        interim_size: bytes of their fields.
        tunnel: True after a 2xx response to CONNECT (RFC 9113 section 8.5).
        begins_at: position of its first byte in the output.

    """

    __slots__ = (
        *("begins_at", "buffered", "ended", "error", "head", "id", "informational", "interim"),
        "interim_size",
        *("method", "missing", "pieces", "receive_window", "request_ended", "state", "trailers"),
        *("tunnel", "unreported", "window", "window_size", "_offset", "_output", "_refused"),
    )

    def __init__(
        self,
        stream_id: int,
        output: Output,
        window: int,
        receive_window: int,
        method: bytes,
        end: bool = False,
    ) -> None:
        self.id = stream_id
        self.state = HALF_CLOSED_LOCAL if end else OPEN
        self.request_ended = end
        self.method = method
        # An empty deque takes 0.7 KiB, and most streams need neither of them.
        self.informational = _NO_HEADS
        self.pieces: deque[bytes] | tuple[bytes, ...] = ()
        self.buffered = 0
        self.head: ResponseHead | None = None
        self.trailers: bytes | None = None
        self.ended = False
        self.error: DugongError | None = None
        self.window = window
        self.receive_window = receive_window
        self.window_size = receive_window
        self.unreported = 0
        self.missing: int | None = None
        self.interim = 0
        self.interim_size = 0
        self.tunnel = False
        self._refused = False
        self._offset = 0  # bytes of the first piece that were taken
        self.begins_at = output.queued
        self._output = output

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.id} {self.state.name}>"

    def step(self, event: Event) -> None:
        """Follow *event*. Raises `StateError`, and changes nothing, if the table forbids it."""
        try:
            self.state = TRANSITIONS[self.state, event]
        except KeyError:
            raise StateError(
                f"{event.name} is not possible on stream {self.id}, which is {self.state.name}"
            ) from None

    def close(self) -> None:
        """Have the last state, as the connection has ended."""
        self.state = CLOSED

    @property
    def request_sent(self) -> Sent:
        """Whether the server may have acted on the request; see `DugongError`.

        ``"yes"`` if a 1xx or final head has come; ``"no"`` if no byte of HEADERS has left, or the
        server says that it has not processed the request (RFC 9113 section 8.7).
        """
        if self.interim or self.head is not None:
            return "yes"
        if self._refused or self._output.sent <= self.begins_at:
            return "no"
        return "maybe"

    @property
    def answered_early(self) -> bool:
        """True if the stream was closed behind the whole response, before the end of the request.

        That is an early final response (RFC 9113 section 8.1), also if `error` says that the
        request has failed: nothing more can be sent, but the response can be read.
        """
        return self.ended and not self.request_ended and self.state is CLOSED

    def refuse(self) -> None:
        """Note that the server says that it has not processed the request."""
        self._refused = True

    def inform(self, head: ResponseHead) -> None:
        """Keep a 1xx head that has come."""
        if self.informational is _NO_HEADS:
            self.informational = deque()
        self.informational.append(head)

    def answer(self, head: ResponseHead, size: int, kept: tuple[bytes, ...] = ()) -> None:
        """Note a whole response, which ends the stream: its request has ended, and no head came.

        Args:
            head: of the response.
            size: bytes of its content, within the window.
            kept: the content, to be taken later; none if its reader has it.

        """
        self.state = CLOSED
        self.head = head
        self.ended = True
        self.receive_window -= size
        if kept:
            self.pieces = kept
            self.buffered = size

    def add(self, data: bytes) -> None:
        """Keep content that has come; it is not empty."""
        pieces = self._changeable()
        size = len(data)
        if size < SMALL and pieces and len(pieces[-1]) < SMALL:
            pieces[-1] += data
        else:
            pieces.append(data)
        self.buffered += size

    def _changeable(self) -> deque[bytes]:
        pieces = self.pieces
        if isinstance(pieces, tuple):
            pieces = self.pieces = deque(pieces)
        return pieces

    def take(self, most: int) -> bytes:
        """Return at least one and at most *most* bytes of content; ``b""`` if none is buffered."""
        if not self.pieces:
            return b""
        pieces = self._changeable()
        piece = pieces[0]
        offset = self._offset
        if len(piece) - offset <= most:
            pieces.popleft()
            self._offset = 0
            data = piece[offset:] if offset else piece
        else:
            data = piece[offset : offset + most]
            self._offset = offset + most
        self.buffered -= len(data)
        return data

    def take_into(self, buffer: memoryview) -> int:
        """Move content into *buffer*, of bytes; return how many, 0 if none is buffered."""
        pieces = self._changeable()
        room = len(buffer)
        at = 0
        while pieces and at < room:
            piece = pieces[0]
            offset = self._offset
            size = len(piece) - offset
            if size <= room - at:
                pieces.popleft()
                self._offset = 0
                buffer[at : at + size] = memoryview(piece)[offset:] if offset else piece
            else:
                size = room - at
                buffer[at:] = memoryview(piece)[offset : offset + size]
                self._offset = offset + size
            at += size
        self.buffered -= at
        return at

    def take_all(self) -> bytes:
        """Return all content that is buffered."""
        if self._offset:
            pieces = self._changeable()
            pieces[0] = pieces[0][self._offset :]
            self._offset = 0
        whole = self.pieces
        self.pieces = ()
        self.buffered = 0
        return whole[0] if len(whole) == 1 else b"".join(whole)

    def discard(self) -> None:
        """Drop all content that is buffered."""
        self.pieces = ()
        self.buffered = self._offset = 0
