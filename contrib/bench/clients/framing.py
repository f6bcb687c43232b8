"""HTTP/2 without a network: what frames and header blocks cost by themselves.

The server is a few bytes, the same for each request but for the stream: what nginx sends, which has
no dynamic table. Compared are the engine of this library, and h2 with hpack.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from .base import HOST, BlockingClient, Target, WrongBytesError

BODY: Final = bytes(range(256)) * 4
REQUEST: Final = (
    (b":method", b"GET"),
    (b":scheme", b"https"),
    (b":authority", HOST.encode()),
    (b":path", b"/small/00"),
    (b"accept-encoding", b"identity"),
)
# Index of the name in the static table, and the value.
RESPONSE: Final = (
    (54, b"nginx/1.22.1"),  # server
    (33, b"Sat, 21 Nov 2026 03:06:53 GMT"),  # date
    (31, b"application/octet-stream"),  # content-type
    (28, b"1024"),  # content-length
    (44, b"Sat, 21 Nov 2026 02:06:53 GMT"),  # last-modified
    (34, b'"5f5e-400"'),  # etag
    (18, b"bytes"),  # accept-ranges
)
ETAG: Final = 5  # its place there
UNLIKE: Final = 4096  # blocks, which is more than anybody remembers
NOT_INDEXED: Final = 15  # the prefix of a literal whose index is larger
Prepared = tuple[list[bytes], list[tuple[tuple[bytes, bytes], ...]]]
SETTINGS: Final = bytes(3) + b"\4" + bytes(5)


def response_block(encode: Callable[[bytes], bytes], etag: bytes = RESPONSE[ETAG][1]) -> bytes:
    """Return the header block of a response; *encode* is the Huffman code."""
    fields = [*RESPONSE[:ETAG], (RESPONSE[ETAG][0], etag), *RESPONSE[ETAG + 1 :]]
    block = b"\x88"
    for index, value in fields:
        coded = encode(value)
        block += bytes([NOT_INDEXED, index - NOT_INDEXED, 0x80 | len(coded)]) + coded
    return block


def answer(block: bytes, stream: int) -> bytes:
    """Return the frames of a response."""
    number = stream.to_bytes(4, "big")
    head = len(block).to_bytes(3, "big") + b"\1\4" + number + block
    return head + len(BODY).to_bytes(3, "big") + b"\0\1" + number + BODY


def requests(count: int) -> list[tuple[tuple[bytes, bytes], ...]]:
    """Return *count* requests that have different paths."""
    paths = [(b":path", b"/small/%d" % number) for number in range(count)]
    return [(*REQUEST[:3], path, *REQUEST[4:]) for path in paths]


class Framing(BlockingClient):
    """What both have: header blocks that are made before anything is measured."""

    _encode_string: Callable[[bytes], bytes]

    def __init__(self, target: Target) -> None:
        super().__init__(target)
        self._prepared: Prepared | None = None

    def _prepare(self, unlike: bool) -> Prepared:
        """Return blocks of responses and as many requests: one of each unless they are *unlike*."""
        if self._prepared is None:  # while warming up
            count = UNLIKE if unlike else 1
            etags = [b'"%x"' % (UNLIKE + number) for number in range(count)]
            blocks = [response_block(self._encode_string, etag) for etag in etags]
            self._prepared = blocks, requests(count)
        return self._prepared


class OurEngine(Framing):
    """The engine of this library, and its HPACK."""

    def __init__(self, target: Target) -> None:
        super().__init__(target)
        try:
            from dugong_like.http.h2 import engine, fields, hpack_decoder, hpack_encoder, huffman
            from dugong_like.http.h2.options import H2Options
        except ImportError:
            raise NotImplementedError("HTTP/2 is not there yet") from None
        self._encoder = hpack_encoder.Encoder()
        self._decoder = hpack_decoder.Decoder()
        self._response_head = fields.response_head
        self._encode_string = huffman.encode
        self._engine = engine.Engine(H2Options())
        self._engine.take_output()
        self._engine.receive(SETTINGS)
        self._stream = 1

    def framing(self, count: int) -> None:
        """Make *count* requests and take their responses."""
        engine, block = self._engine, response_block(self._encode_string)
        for number in range(self._stream, self._stream + 2 * count, 2):
            stream = engine.open(REQUEST, True)
            b"".join(engine.take_output())
            engine.report_sent(engine.queued)
            engine.receive(answer(block, number))
            body = stream.take_all()
            engine.consumed(stream, len(body))
            head = stream.head
            if body != BODY or head is None or head.status != 200 or not stream.ended:
                raise WrongBytesError(number)
        self._stream += 2 * count

    def header_blocks(self, count: int, *, unlike: bool) -> None:
        """Encode requests and decode responses, whose fields are checked."""
        blocks, heads = self._prepare(unlike)
        encode, decode = self._encoder.encode, self._decoder.decode
        read, many = self._response_head, len(blocks)
        for number in range(count):
            encode(heads[number % many])
            if read(decode(blocks[number % many])).status != 200:
                raise WrongBytesError(number)


class H2Library(Framing):
    """h2, and hpack."""

    def __init__(self, target: Target) -> None:
        super().__init__(target)
        import h2.config
        import h2.connection
        import h2.events
        import hpack
        from hpack.huffman import HuffmanEncoder
        from hpack.huffman_constants import REQUEST_CODES, REQUEST_CODES_LENGTH

        self._encoder, self._decoder = hpack.Encoder(), hpack.Decoder()
        self._encode_string = HuffmanEncoder(REQUEST_CODES, REQUEST_CODES_LENGTH).encode
        self._events: Any = h2.events
        config = h2.config.H2Configuration(header_encoding=None)
        self._connection = h2.connection.H2Connection(config)
        self._connection.initiate_connection()
        self._connection.receive_data(SETTINGS)
        self._connection.data_to_send()
        self._stream = 1

    def framing(self, count: int) -> None:
        """Make *count* requests and take their responses."""
        connection, events = self._connection, self._events
        block = response_block(self._encode_string)
        for number in range(self._stream, self._stream + 2 * count, 2):
            connection.send_headers(number, REQUEST, end_stream=True)
            connection.data_to_send()
            body, ended = b"", False
            for event in connection.receive_data(answer(block, number)):
                if isinstance(event, events.DataReceived):
                    body += event.data
                    size = event.flow_controlled_length
                    connection.acknowledge_received_data(size, number)
                ended = ended or isinstance(event, events.StreamEnded)
            connection.data_to_send()
            if body != BODY or not ended:
                raise WrongBytesError(number)
        self._stream += 2 * count

    def header_blocks(self, count: int, *, unlike: bool) -> None:
        """Encode requests and decode responses."""
        blocks, heads = self._prepare(unlike)
        encode, decode, many = self._encoder.encode, self._decoder.decode, len(blocks)
        for number in range(count):
            encode(heads[number % many])
            if decode(blocks[number % many], raw=True)[0][1] != b"200":
                raise WrongBytesError(number)
