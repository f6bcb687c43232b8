"""Frames of a WebSocket: bytes in, events out, by the protocol of the library `websockets`.

That library reads and writes the frames, masks what is sent, answers pings and close frames, and
decides what fails a WebSocket (RFC 6455 section 5). Added here is what it leaves to its users:

- text is checked to be UTF-8 (section 8.1) when its frame is read, so before a later frame counts;
- the size of a message is limited after decompression, to the byte;
- messages are kept until somebody takes them, as a whole or in pieces;
- each failure becomes an error of this library.

No I/O, no lock, no clock: one thread at a time.

Not here: the handshake (handshake.py), and what moves the bytes (connection/websocket_pump.py).
"""

from __future__ import annotations

import codecs
from collections import deque
from typing import TYPE_CHECKING, Final, TypeAlias

from websockets.exceptions import InvalidState, PayloadTooBig, ProtocolError
from websockets.extensions import Extension
from websockets.frames import CloseCode, Frame, Opcode
from websockets.protocol import Protocol, Side, State
from websockets.typing import ExtensionName

from ...errors import DugongError, InvalidFrame, MessageTooLarge
from .messages import JoinedPiece, Piece

if TYPE_CHECKING:
    from websockets.extensions.permessage_deflate import PerMessageDeflate

Message: TypeAlias = "str | bytes"

CONT: Final = Opcode.CONT
TEXT: Final = Opcode.TEXT
BINARY: Final = Opcode.BINARY
CLOSE: Final = Opcode.CLOSE
PING: Final = Opcode.PING
PONG: Final = Opcode.PONG
ABNORMAL: Final = 1006
MAX_JOINED: Final = 1 << 16  # bytes of small frames that are kept as one piece


class _Contents(Extension):
    """Checks the contents of messages: as an extension it sees them before the protocol goes on.

    Args:
        protocol: the protocol. A close frame in the middle of a message is a failure for it,
            although control frames may be there (RFC 6455 section 5.4), and the message just ends.
        max_message: see `Frames`.
        max_fragment: the same.

    Attributes:
        texts: whole text messages that were decoded, in their order.

    """

    name = ExtensionName("contents")

    def __init__(
        self, protocol: Protocol, max_message: int | None, max_fragment: int | None
    ) -> None:
        self._protocol = protocol
        self.texts: deque[str] = deque()
        self._max_message = max_message
        self._max_fragment = max_fragment
        self._size = 0
        self._decoder = codecs.getincrementaldecoder("utf-8")()
        self._is_text = False

    def decode(self, frame: Frame, *, max_size: int | None = None) -> Frame:
        """Check *frame*.

        Raises:
            PayloadTooBig: the message is too large now.
            UnicodeDecodeError: it is text, and not UTF-8.

        """
        del max_size  # the library knows less about it: see `Frames`
        opcode = frame.opcode
        if opcode > BINARY:
            if opcode is CLOSE:
                self._protocol.current_size = None
            return frame
        size = total = len(frame.data)
        if opcode is CONT:
            total += self._size
        if self._max_message is not None and total > self._max_message:
            raise PayloadTooBig(size, self._max_message - total + size)
        if self._max_fragment is not None and size > self._max_fragment:
            raise PayloadTooBig(size, self._max_fragment)
        if opcode is TEXT and frame.fin:
            self.texts.append(str(frame.data, "utf-8"))
            return frame
        self._size = total
        if opcode is not CONT:
            self._is_text = opcode is TEXT
        if self._is_text:
            if opcode is TEXT:
                self._decoder.reset()
            self._decoder.decode(frame.data, frame.fin)
        return frame

    def encode(self, frame: Frame) -> Frame:
        """Return *frame*, which is sent as it is."""
        return frame


class Frames:
    """The frames of an open WebSocket, of the client.

    Args:
        max_message: bytes of a received message at most, decompressed; None for any number.
        max_fragment: bytes of one of its frames at most, decompressed; None for any number.
        deflate: what the handshake has agreed on; None without compression.

    Attributes:
        output: the bytes that are to be sent next, all of them and in this order. `take_output`
            takes them.
        pieces: frames of messages that were received, and not taken, in order; small ones of one
            message are joined.
        whole: the number of messages among them that are complete.
        ahead: their size, in bytes, and characters of whole texts.
        pings: payloads of pings, which were answered already; None if nobody wants to know.
        pongs: payloads of pongs.
        failure: the error if the server violated the protocol or a limit.

    """

    def __init__(
        self,
        max_message: int | None,
        max_fragment: int | None,
        deflate: PerMessageDeflate | None = None,
    ) -> None:
        self.output: list[bytes] = []
        self.pieces: deque[Piece | JoinedPiece] = deque()
        self.whole = self.ahead = 0
        self.pings: deque[bytes] | None = None
        self.pongs: deque[bytes] = deque()
        self.failure: DugongError | None = None
        limits = [max_message, max_fragment]
        if deflate is not None:
            # The library applies the limit to the compressed size, too, and what cannot be
            # compressed gets longer: with the fixed codes of RFC 1951 section 3.2.6 by an eighth.
            limits = [None if limit is None else limit + limit // 8 + 64 for limit in limits]
        self._protocol = Protocol(Side.CLIENT, state=State.OPEN, max_size=(limits[0], limits[1]))
        self._contents = _Contents(self._protocol, max_message, max_fragment)
        self._protocol.extensions = [self._contents]
        if deflate is not None:
            self._protocol.extensions.append(deflate)  # the last one decodes first
        self._is_text = False  # of the message in fragments that is being received
        self._drops = False  # nobody wants messages any more
        self._decoder: codecs.IncrementalDecoder | None = None  # of a text that is taken in pieces
        named = {"max_message": max_message, "max_fragment": max_fragment}
        self._limits = " or ".join(
            f"{name} ({limit} bytes)" for name, limit in named.items() if limit is not None
        )

    # ---- receiving

    def receive(self, data: bytes) -> None:
        """Take received bytes; what they contain is in the attributes afterwards."""
        protocol = self._protocol
        protocol.receive_data(data)
        frames: list[Frame] = protocol.events_received()  # type: ignore[assignment]  # no handshake
        for frame in frames:
            opcode = frame.opcode
            if opcode is TEXT and frame.fin:
                text = self._contents.texts.popleft()
                self.pieces.append(Piece(text, True, True))
                self.whole += 1
                self.ahead += len(text)
            elif opcode <= BINARY:
                self._add(frame)
            elif opcode is PONG:
                self.pongs.append(bytes(frame.data))
            elif opcode is PING and self.pings is not None:
                self.pings.append(bytes(frame.data))
        if self._drops:
            self.drop_messages()
        if protocol.writes:
            self._queue()
        if protocol.parser_exc is not None and self.failure is None:
            self.failure = _failure(protocol.parser_exc, self._limits)

    def _add(self, frame: Frame) -> None:
        """Keep *frame*, which is no whole text."""
        opcode = frame.opcode
        if opcode is not CONT:
            self._is_text = opcode is TEXT
        piece = Piece(bytes(frame.data), self._is_text, frame.fin)
        self.ahead += len(piece.data)
        last = self.pieces[-1] if self.pieces else None
        if last is None or last.is_last or len(last.data) >= MAX_JOINED:
            self.pieces.append(piece)
        elif isinstance(last, JoinedPiece):
            last.join(piece)
        else:
            self.pieces[-1] = JoinedPiece(last, piece)
        self.whole += piece.is_last  # behind Ctrl-C in the middle there is no message too few

    def take_message(self) -> Message:
        """Return the first message, which is complete: `whole` is not 0."""
        piece = self.pieces.popleft()
        data = piece.data
        self.whole -= 1
        self.ahead -= len(data)
        if piece.is_last:
            if isinstance(data, str):
                return data
            if not piece.is_text:
                return bytes(data)
        parts = [data]
        while not piece.is_last:
            piece = self.pieces.popleft()
            self.ahead -= len(piece.data)
            parts.append(piece.data)
        data = b"".join(parts)  # type: ignore[arg-type]  # str is a whole message
        return self._decoded(data, is_last=True) if piece.is_text else data

    def take_piece(self) -> tuple[Message, bool]:
        """Return the first of `pieces`, which there is, and whether it ends its message."""
        piece = self.pieces.popleft()
        data = piece.data
        self.ahead -= len(data)
        self.whole -= piece.is_last
        if not isinstance(data, str):
            is_last = piece.is_last
            data = self._decoded(data, is_last=is_last) if piece.is_text else bytes(data)
        return data, piece.is_last

    def _decoded(self, data: bytes | bytearray, *, is_last: bool) -> str:
        """Return the text of the next bytes of a message."""
        if self._decoder is None:
            if is_last:
                return data.decode()
            self._decoder = codecs.getincrementaldecoder("utf-8")()
        text = self._decoder.decode(data, is_last)
        if is_last:
            self._decoder = None
        return text

    def drop_messages(self) -> None:
        """Drop the messages that were received, and those that come."""
        self._drops = True
        self.pieces.clear()
        self.whole = self.ahead = 0

    def end(self) -> None:
        """Take the end of the stream, or its loss."""
        try:
            self._protocol.receive_eof()
        except StopIteration:  # Ctrl-C has ended the parser of the library
            self._protocol.state = State.CLOSED
        self._queue()

    def fail(self, code: int, reason: str) -> None:
        """Fail the WebSocket (RFC 6455 section 7.1.7): send a close frame, and read no more."""
        self._protocol.fail(code, reason)
        self._queue()

    # ---- sending

    def send(self, data: str | bytes | memoryview, *, is_last: bool = True) -> bool:
        """Send a message, or the first frame of one; return False if the WebSocket is not open.

        Raises:
            UnicodeEncodeError: a str has surrogates; nothing was sent.

        """
        try:
            if isinstance(data, str):
                self._protocol.send_text(data.encode(), is_last)
            else:
                self._protocol.send_binary(data, is_last)
        except InvalidState:
            return False
        self.output += self._protocol.data_to_send()
        return True

    def send_more(self, data: str | bytes | memoryview, *, is_last: bool) -> None:
        """Send another frame of the message; raises as `send`."""
        encoded = data.encode() if isinstance(data, str) else data
        self._protocol.send_continuation(encoded, is_last)
        self._queue()

    def send_ping(self, data: bytes) -> None:
        """Send a ping."""
        self._protocol.send_ping(data)
        self._queue()

    def send_pong(self, data: bytes) -> None:
        """Send a pong that nobody has asked for."""
        self._protocol.send_pong(data)
        self._queue()

    def send_close(self, code: int | None, reason: str) -> None:
        """Send a close frame, after which only the other one is awaited."""
        self._protocol.send_close(code, reason)
        self._queue()

    def _queue(self) -> None:
        # The library says by b"" that the end of the stream is to be sent, which closing does.
        self.output += filter(None, self._protocol.data_to_send())

    def take_output(self) -> list[bytes]:
        """Return `output`, which is empty then."""
        output, self.output = self.output, []
        return output

    def output_size(self) -> int:
        """Return the number of bytes of `output`."""
        return sum(map(len, self.output))

    # ---- facts

    @property
    def is_open(self) -> bool:
        """True if neither side has sent a close frame, and nothing has failed."""
        return self._protocol.state is State.OPEN

    @property
    def is_over(self) -> bool:
        """True if nothing that arrives counts any more."""
        protocol = self._protocol
        return (
            protocol.close_rcvd is not None
            or protocol.parser_exc is not None
            or protocol.state is State.CLOSED
            or self.failure is not None
        )

    @property
    def is_ended(self) -> bool:
        """True after the end of the stream."""
        return self._protocol.state is State.CLOSED

    @property
    def closed_by_both(self) -> bool:
        """True if both sides have sent a close frame."""
        protocol = self._protocol
        return protocol.close_rcvd is not None and protocol.close_sent is not None

    @property
    def close(self) -> tuple[int, str]:
        """Code and reason of the end; see `WebSocketClosed`."""
        protocol = self._protocol
        if protocol.close_rcvd is not None:
            return int(protocol.close_rcvd.code), protocol.close_rcvd.reason
        if self.failure is not None and protocol.close_sent is not None:
            return int(protocol.close_sent.code), protocol.close_sent.reason
        return ABNORMAL, ""


def _failure(exc: Exception, limits: str) -> DugongError | None:
    """Return the error for *exc*, on which the protocol has failed; None for the end.

    *limits* names those of messages.
    """
    if isinstance(exc, PayloadTooBig):
        what = f"a message is larger than {limits} allows"
        error: DugongError = MessageTooLarge(what, request_sent="yes")
    elif isinstance(exc, UnicodeDecodeError):
        what = f"text is not UTF-8: {exc.reason} at position {exc.start}"
        error = InvalidFrame(what, code=CloseCode.INVALID_DATA, request_sent="yes")
    elif isinstance(exc, ProtocolError):
        cause = f" ({exc.__cause__})" if exc.__cause__ is not None else ""
        what = f"the server violated the protocol of WebSocket: {exc}{cause}"
        error = InvalidFrame(what, request_sent="yes")
    elif isinstance(exc, EOFError):
        return None
    else:
        what = f"frames cannot be read: {exc}"
        error = InvalidFrame(what, code=CloseCode.INTERNAL_ERROR, request_sent="yes")
    error.__cause__ = exc
    return error
