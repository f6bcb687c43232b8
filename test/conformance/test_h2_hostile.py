"""Servers that violate HTTP/2: each case has its section, and the error that it has to be.

A malformed response is the error of its stream, and another stream goes on; a broken connection is
the error of all, and GOAWAY is sent. Each case arrives whole, byte by byte, and as memoryviews.
"""

import pytest
from kit.h2_engine import flush, request, started
from kit.h2_frames import (
    COMPRESSION_ERROR,
    CONNECT_PROTOCOL,
    CONTINUATION,
    DATA,
    ENABLE_PUSH,
    END_HEADERS,
    ENHANCE_YOUR_CALM,
    FLOW_CONTROL_ERROR,
    FRAME_SIZE,
    FRAME_SIZE_ERROR,
    GOAWAY,
    HEADERS,
    NO_PRIORITIES,
    OK,
    PADDED,
    PING,
    PRIORITY,
    PROTOCOL_ERROR,
    PUSH_PROMISE,
    RST_STREAM,
    SETTINGS,
    SETTINGS_ACK,
    STREAM_CLOSED,
    WINDOW,
    WINDOW_UPDATE,
    block,
    data,
    frame,
    goaway,
    headers,
    ping,
    rst_stream,
    settings,
    window_update,
)

from dugong_like import ConnectionClosed, InvalidResponse
from dugong_like.http.h2.engine import Engine
from dugong_like.http.h2.options import H2Options

BIG = 2**31 - 1
FIVE = headers(1, OK, ("content-length", "5"))
PLAIN = headers(1)
LARGE = block(OK, *[("a", "b" * 16000)] * 5)


def stream(code):
    """Stream 1 is reset with *code*; the others go on."""
    return "stream", code


def connection(code):
    """The connection ends with *code*."""
    return "connection", code


FINE = "fine", None  # nothing happens, and stream 1 has no error
P, F, S, C = PROTOCOL_ERROR, FLOW_CONTROL_ERROR, FRAME_SIZE_ERROR, STREAM_CLOSED

# How stream 1 stands before the case: the method of its request, whether its end is sent, and what
# the server has answered.
SETUPS = {
    "get": (b"GET", True, b""),
    "post": (b"POST", False, b""),
    "head": (b"HEAD", True, b""),
    "connect": (b"CONNECT", False, b""),
    "tunnel": (b"CONNECT", False, PLAIN),
    "partly": (b"GET", True, FIVE + data(1, b"he")),
    "answered": (b"POST", False, FIVE + data(1, b"hello", end=True)),
    "done": (b"GET", True, FIVE + data(1, b"hello", end=True)),
    "refused": (b"GET", True, rst_stream(1)),
    "reset": (b"GET", True, b""),  # by this side; see `prepared`
}


def late(status, *fields):
    return headers(1, (":status", status), *fields)


def nine(count):
    return b"".join(late("103") for _ in range(count))


CASES = {
    "3.4": [  # the first frame; "new" is a connection without any
        ("an acknowledgement first", "new", SETTINGS_ACK, connection(P)),
        ("PING first", "new", ping(), connection(P)),
        ("GOAWAY first", "new", goaway(), connection(P)),
        ("HEADERS first", "new", PLAIN, connection(P)),
        ("HTTP/1.1", "new", b"HTTP/1.1 505 Version Not Supported\r\n\r\n", connection(P)),
        ("TLS alert", "new", b"\x15\x03\x03\x00\x02\x02\x28" * 2, connection(P)),
        ("noise", "new", bytes(range(40, 80)), connection(P)),
        ("the client's preface", "new", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", connection(P)),
        ("empty SETTINGS", "new", settings(), FINE),
    ],
    "4.1": [
        ("a reserved bit", "get", frame(HEADERS, 5, 2**31 + 1, block(OK)), FINE),
        ("unknown flags of PING", "get", frame(PING, 0xFE, 0, bytes(8)), FINE),
        ("an unknown type", "get", frame(0x42, 0xFF, 1, b"abc"), FINE),
        ("an unknown type on an idle stream", "get", frame(0x42, 0, 77, b"abc"), FINE),
        ("ALTSVC", "get", frame(0x0A, 0, 0, b"\0\0h2=\":443\""), FINE),
        ("ORIGIN", "get", frame(0x0C, 0, 0, b""), FINE),
    ],
    "4.2": [
        ("DATA too long", "get", PLAIN + frame(DATA, 0, 1, length=16385), connection(S)),
        ("HEADERS too long", "get", frame(HEADERS, 4, 1, length=2**24 - 1), connection(S)),
        ("SETTINGS too long", "get", frame(SETTINGS, length=16386), connection(S)),
        ("an unknown type too long", "get", frame(0x42, length=70_000), connection(S)),
        ("PING of 7 bytes", "get", frame(PING, 0, 0, bytes(7)), connection(S)),
        ("PING of 9 bytes", "get", frame(PING, 0, 0, bytes(9)), connection(S)),
        ("an answer to PING of 0 bytes", "get", frame(PING, 1), connection(S)),
        ("RST_STREAM of 3 bytes", "get", frame(RST_STREAM, 0, 1, bytes(3)), connection(S)),
        ("RST_STREAM of 5 bytes", "get", frame(RST_STREAM, 0, 1, bytes(5)), connection(S)),
        ("WINDOW_UPDATE of 3 bytes", "get", frame(WINDOW_UPDATE, 0, 1, b"123"), connection(S)),
        ("WINDOW_UPDATE of 0 bytes", "get", frame(WINDOW_UPDATE), connection(S)),
        ("GOAWAY of 7 bytes", "get", frame(GOAWAY, 0, 0, bytes(7)), connection(S)),
        ("SETTINGS of 5 bytes", "get", frame(SETTINGS, 0, 0, bytes(5)), connection(S)),
        ("SETTINGS with ACK and values", "get", frame(SETTINGS, 1, 0, bytes(6)), connection(S)),
    ],
    "4.3": [
        ("an index beyond the table", "get", frame(HEADERS, 5, 1, b"\xff\x80\x01"), connection(9)),
        ("index 0", "get", frame(HEADERS, 5, 1, b"\x80"), connection(COMPRESSION_ERROR)),
        (
            "a block that ends inside of a field", "get",
            frame(HEADERS, 5, 1, b"\0\5ab"), connection(9),
        ),
        (
            "a Huffman code with EOS", "get",
            frame(HEADERS, 5, 1, b"\0\x84" + b"\xff" * 4), connection(9),
        ),
        ("a size update behind a field", "get", frame(HEADERS, 5, 1, b"\x88\x20"), connection(9)),
        (
            "a table that is too large", "get",
            frame(HEADERS, 5, 1, b"\x3f\xe2\x1f\x88"), connection(9),
        ),
        ("an endless integer", "get", frame(HEADERS, 5, 1, b"\xff" * 12), connection(9)),
        ("a broken block on a reset stream", "reset", frame(HEADERS, 5, 1, b"\x80"), connection(9)),
        ("a broken trailer section", "partly", frame(HEADERS, 5, 1, b"\x80"), connection(9)),
    ],
    "5.1": [
        ("DATA on an idle stream", "get", data(5, b"x"), connection(P)),
        ("HEADERS on an idle stream", "get", headers(5), connection(P)),
        ("RST_STREAM on an idle stream", "get", rst_stream(5), connection(P)),
        ("WINDOW_UPDATE on an idle stream", "get", window_update(5, 1), connection(P)),
        ("DATA on a stream of the server", "get", data(2, b"x"), connection(P)),
        ("WINDOW_UPDATE on a stream of the server", "get", window_update(2, 1), connection(P)),
        ("RST_STREAM on a stream of the server", "get", rst_stream(2), connection(P)),
        ("DATA behind the end", "done", data(1, b"x"), connection(C)),
        # nginx (1.22) sends it behind a response without content
        ("empty DATA behind the end", "done", data(1, end=True), FINE),
        ("HEADERS behind the end", "done", PLAIN, connection(C)),
        ("DATA behind RST_STREAM", "refused", data(1, b"x"), connection(C)),
        ("HEADERS behind RST_STREAM", "refused", PLAIN, connection(C)),
        ("DATA behind the end, request open", "answered", data(1, b"x"), stream(C)),
        ("HEADERS behind the end, request open", "answered", PLAIN, stream(C)),
        ("trailers behind the end, request open", "answered", late("200", ("a", "b")), stream(C)),
        ("WINDOW_UPDATE behind the end", "done", window_update(1, 5), FINE),
        ("RST_STREAM behind the end", "done", rst_stream(1), FINE),
        ("PRIORITY behind the end", "done", frame(PRIORITY, 0, 1, bytes(5)), FINE),
        ("RST_STREAM twice", "refused", rst_stream(1), FINE),
        ("HEADERS on a stream that was reset here", "reset", PLAIN, FINE),
        ("a response on a stream that was reset here", "reset", FIVE + data(1, b"hello"), FINE),
        ("a malformed one on it", "reset", late("999x"), FINE),
        ("content without end on it", "reset", data(1, bytes(9999), padding=9), FINE),
        ("RST_STREAM on it", "reset", rst_stream(1), FINE),
        ("WINDOW_UPDATE of 0 on it", "reset", window_update(1, 0), FINE),
    ],
    "5.1.1": [
        ("HEADERS on a stream of the server", "get", headers(2), connection(P)),
        ("DATA without a stream", "get", data(0, b"x"), connection(P)),
        ("DATA with padding without a stream", "get", data(0, b"x", padding=3), connection(P)),
        ("HEADERS without a stream", "get", headers(0), connection(P)),
        ("HEADERS in parts without a stream", "get", frame(HEADERS, 0, 0, b"x"), connection(P)),
    ],
    "6.1": [
        (
            "padding as long as the frame", "get",
            PLAIN + frame(DATA, 8, 1, b"\x04abc"), connection(P),
        ),
        ("padding of 255 in 1 byte", "get", PLAIN + frame(DATA, 8, 1, b"\xff"), connection(P)),
        ("no length of padding", "get", PLAIN + frame(DATA, 8, 1), connection(S)),
        ("nothing but padding", "get", PLAIN + data(1, padding=200, end=True), FINE),
    ],
    "6.2": [
        (
            "padding beyond HEADERS", "get",
            frame(HEADERS, 0xD, 1, b"\x09" + block(OK)[:8]), connection(P),
        ),
        ("a priority of 4 bytes", "get", frame(HEADERS, 0x25, 1, bytes(4)), connection(S)),
        ("a priority and no fields", "get", frame(HEADERS, 0x25, 1, bytes(5)), stream(P)),
        ("a priority", "get", frame(HEADERS, 0x25, 1, bytes(5) + block(OK)), FINE),
        ("no length of padding", "get", frame(HEADERS, END_HEADERS | PADDED, 1), connection(S)),
    ],
    "6.3": [
        ("PRIORITY without a stream", "get", frame(PRIORITY, 0, 0, bytes(5)), connection(P)),
        ("PRIORITY of 4 bytes", "get", frame(PRIORITY, 0, 1, bytes(4)), stream(S)),
        ("PRIORITY of 6 bytes", "partly", frame(PRIORITY, 0, 1, bytes(6)), stream(S)),
        ("a short one on an idle stream", "get", frame(PRIORITY, 0, 9, bytes(4)), connection(S)),
        ("a short one on a closed stream", "done", frame(PRIORITY, 0, 1, bytes(4)), FINE),
        ("PRIORITY on an idle stream", "get", frame(PRIORITY, 0, 9, bytes(5)), FINE),
        ("a stream that depends on itself", "get", frame(PRIORITY, 0, 1, b"\0\0\0\1\0"), FINE),
    ],
    "6.4": [
        ("RST_STREAM without a stream", "get", rst_stream(0), connection(P)),
    ],
    "6.5": [
        ("SETTINGS on a stream", "get", frame(SETTINGS, 0, 1), connection(P)),
        ("an acknowledgement on a stream", "get", frame(SETTINGS, 1, 1), connection(P)),
        ("an acknowledgement too many", "get", SETTINGS_ACK, connection(P)),
        ("unknown settings", "get", settings((0xFFFF, 7), (0, 0)), FINE),
        ("a setting twice", "get", settings((WINDOW, 1), (WINDOW, 70_000)), FINE),
    ],
    "6.5.2": [
        ("push enabled", "get", settings((ENABLE_PUSH, 1)), connection(P)),
        ("push of 2", "get", settings((ENABLE_PUSH, 2)), connection(P)),
        ("push disabled", "get", settings((ENABLE_PUSH, 0)), FINE),
        ("a window of 2**31", "get", settings((WINDOW, 2**31)), connection(F)),
        ("a frame size of 16383", "get", settings((FRAME_SIZE, 16383)), connection(P)),
        ("a frame size of 2**24", "get", settings((FRAME_SIZE, 2**24)), connection(P)),
        ("an extended CONNECT of 2", "get", settings((CONNECT_PROTOCOL, 2)), connection(P)),
        ("priorities of 2", "get", settings((NO_PRIORITIES, 2)), connection(P)),
        (
            "a wrong value behind a good one", "get",
            settings((3, 5), (ENABLE_PUSH, 9)), connection(P),
        ),
        (
            "an extended CONNECT that is taken back (RFC 8441 section 3)", "get",
            settings((CONNECT_PROTOCOL, 1)) + settings((CONNECT_PROTOCOL, 0)), connection(P),
        ),
        (
            "priorities that are taken back (RFC 9218 section 2.1)", "get",
            settings((NO_PRIORITIES, 1)) + settings((NO_PRIORITIES, 0)), connection(P),
        ),
    ],
    "6.6": [
        ("PUSH_PROMISE", "get", frame(PUSH_PROMISE, 4, 1, b"\0\0\0\2" + block(OK)), connection(P)),
        ("PUSH_PROMISE on no stream", "get", frame(PUSH_PROMISE, 4, 0, b"\0\0\0\2"), connection(P)),
        (
            "PUSH_PROMISE on a reset stream", "reset",
            frame(PUSH_PROMISE, 4, 1, bytes(9)), connection(P),
        ),
    ],
    "6.7": [
        ("PING on a stream", "get", frame(PING, 0, 1, bytes(8)), connection(P)),
        ("an answer on a stream", "get", frame(PING, 1, 1, bytes(8)), connection(P)),
        ("an answer to no PING", "get", ping(ack=True), FINE),
    ],
    "6.8": [
        ("GOAWAY on a stream", "get", frame(GOAWAY, 0, 1, bytes(8)), connection(P)),
        ("a last stream that grows", "get", goaway(3) + goaway(5), connection(P)),
        ("a last stream that grows to the end", "get", goaway(3) + goaway(), connection(P)),
        ("GOAWAY twice", "get", goaway() + goaway(3) + goaway(3), FINE),
        ("GOAWAY in front of an error", "get", goaway(3) + data(0, b"x"), connection(P)),
    ],
    "6.9": [
        ("an increment of 0", "get", window_update(1, 0), stream(P)),
        ("an increment of 0 with the reserved bit", "get", window_update(1, 2**31), stream(P)),
        ("an increment of 0 of the connection", "get", window_update(0, 0), connection(P)),
        ("on a request that has ended", "get", window_update(1, 1), FINE),
    ],
    "6.9.1": [
        ("a window that is too large", "get", window_update(1, BIG), stream(F)),
        (
            "one that becomes too large", "post",
            window_update(1, BIG - 65535) + window_update(1, 1), stream(F),
        ),
        ("that of the connection", "get", window_update(0, BIG), connection(F)),
        (
            "the largest window", "get",
            window_update(1, BIG - 65535) + window_update(0, BIG - 65535), FINE,
        ),
        ("DATA beyond the window", "get", PLAIN + data(1, bytes(16384)) * 17, stream(F)),
        ("padding, which is given back", "get", PLAIN + data(1, b"", padding=255) * 2000, FINE),
        ("DATA beyond that of a reset stream", "reset", data(1, bytes(16384)) * 17, connection(F)),
    ],
    "6.9.2": [
        (
            "a window that SETTINGS makes too large", "post",
            window_update(1, BIG - 65535) + settings((WINDOW, 65536)), connection(F),
        ),
        ("a window that SETTINGS makes smaller", "post", settings((WINDOW, 0)), FINE),
    ],
    "6.10": [
        (
            "CONTINUATION without HEADERS", "get",
            frame(CONTINUATION, 4, 1, block(OK)), connection(P),
        ),
        ("CONTINUATION behind the end", "get", PLAIN + frame(CONTINUATION, 4, 1), connection(P)),
        (
            "CONTINUATION on another stream", "get",
            frame(HEADERS, 0, 1, block(OK)) + frame(CONTINUATION, 4, 3), connection(P),
        ),
        ("PING inside of a block", "get", frame(HEADERS, 0, 1, block(OK)) + ping(), connection(P)),
        ("DATA inside of a block", "get", frame(HEADERS, 0, 1, block(OK)) + data(1), connection(P)),
        (
            "another block inside of a block", "get",
            frame(HEADERS, 0, 1, block(OK)) + headers(3), connection(P),
        ),
        (
            "an unknown type inside of a block", "get",
            frame(HEADERS, 0, 1, block(OK)) + frame(0x42), connection(P),
        ),
        (
            "a block in parts", "get",
            frame(HEADERS, 0, 1, block(OK)[:3]) + frame(CONTINUATION, 4, 1, block(OK)[3:]), FINE,
        ),
    ],
    "8.1": [
        ("DATA in front of the head", "get", data(1, b"x"), stream(P)),
        ("DATA behind a 1xx", "get", late("103") + data(1, b"x"), stream(P)),
        ("the end without a head", "get", data(1, end=True), stream(P)),
        ("a 1xx that ends the stream", "get", headers(1, (":status", "103"), end=True), stream(P)),
        ("a second head", "get", PLAIN + PLAIN, stream(P)),
        ("a 1xx behind the head", "get", PLAIN + late("103"), stream(P)),
        ("trailers without the end", "get", PLAIN + headers(1, ("a", "b")), stream(P)),
        ("trailers with :status", "get", PLAIN + headers(1, OK, end=True), stream(P)),
        (
            "trailers with content-length", "get",
            PLAIN + headers(1, ("te", "x"), end=True), stream(P),
        ),
        ("no trailers, but their frame", "get", PLAIN + frame(HEADERS, 5, 1), FINE),
        ("an early end of the request", "answered", rst_stream(1, 0), FINE),
        ("the same with an error", "answered", rst_stream(1, 5), ("reset", 5)),
        ("RST_STREAM in front of the head", "get", rst_stream(1, 2), ("reset", 2)),
        ("RST_STREAM without a reason", "get", rst_stream(1, 0), ("reset", 0)),
        ("RST_STREAM with an unknown code", "partly", rst_stream(1, 0xABCD), ("reset", 0xABCD)),
    ],
    "8.1.1": [
        ("more than the content-length", "get", FIVE + data(1, b"hello!"), stream(P)),
        ("more in a second frame", "partly", data(1, b"llo!"), stream(P)),
        ("less than the content-length", "get", FIVE + data(1, b"hell", end=True), stream(P)),
        ("nothing of the content-length", "get", FIVE + data(1, end=True), stream(P)),
        ("the head alone", "get", headers(1, OK, ("content-length", "5"), end=True), stream(P)),
        ("trailers too early", "partly", headers(1, ("a", "b"), end=True), stream(P)),
        (
            "content behind a content-length of 0", "get",
            late("200", ("content-length", "0")) + data(1, b"x"), stream(P),
        ),
        (
            "two lengths", "get",
            late("200", ("content-length", "5"), ("content-length", "6")), stream(P),
        ),
        ("a length of words", "get", late("200", ("content-length", "five")), stream(P)),
        ("a negative length", "get", late("200", ("content-length", "-5")), stream(P)),
        ("a length with a sign", "get", late("200", ("content-length", "+5")), stream(P)),
        ("a list of lengths", "get", late("200", ("content-length", "5, 5")), stream(P)),
        ("content of a response to HEAD", "head", FIVE + data(1, b"hello"), stream(P)),
        ("content of a 204", "get", late("204") + data(1, b"x"), stream(P)),
        (
            "content of a 304", "get",
            late("304", ("content-length", "5")) + data(1, b"hello"), stream(P),
        ),
        ("no content of a response to HEAD", "head", FIVE + data(1, end=True), FINE),
        (
            "no content of a 304", "get",
            late("304", ("content-length", "5")) + data(1, end=True), FINE,
        ),
    ],
    "8.2.1": [
        ("upper case", "get", late("200", ("X-A", "b")), stream(P)),
        ("a blank in a name", "get", late("200", ("x a", "b")), stream(P)),
        ("an empty name", "get", late("200", ("", "b")), stream(P)),
        ("a colon in a name", "get", late("200", ("x:a", "b")), stream(P)),
        ("a name of UTF-8", "get", late("200", (b"x-\xc3\xa9", "b")), stream(P)),
        ("CR LF in a value", "get", late("200", ("x", "a\r\ny: b")), stream(P)),
        ("LF in a value", "get", late("200", ("x", "a\nb")), stream(P)),
        ("CR in a value", "get", late("200", ("x", "a\rb")), stream(P)),
        ("NUL in a value", "get", late("200", ("x", "a\0b")), stream(P)),
        ("a blank in front of a value", "get", late("200", ("x", " a")), FINE),
        ("a tab behind a value", "get", late("200", ("x", "a\t")), FINE),
        ("CR LF in a name", "get", late("200", ("x: a\r\ny", "b")), stream(P)),
        ("LF in a trailer", "get", PLAIN + headers(1, ("x", "a\nb"), end=True), stream(P)),
        ("upper case in a 1xx", "get", late("103", ("Link", "b")), stream(P)),
    ],
    "8.2.2": [
        ("connection", "get", late("200", ("connection", "close")), stream(P)),
        ("keep-alive", "get", late("200", ("keep-alive", "5")), stream(P)),
        ("transfer-encoding", "get", late("200", ("transfer-encoding", "chunked")), stream(P)),
        ("upgrade", "get", late("200", ("upgrade", "h2c")), stream(P)),
        ("proxy-connection", "get", late("200", ("proxy-connection", "x")), stream(P)),
        ("te", "get", late("200", ("te", "gzip")), stream(P)),
    ],
    "8.3": [
        ("no :status", "get", headers(1, ("a", "b")), stream(P)),
        (":status behind a field", "get", headers(1, ("a", "b"), OK), stream(P)),
        (":status twice", "get", headers(1, OK, OK), stream(P)),
        ("a pseudo-field of requests", "get", headers(1, OK, (":path", "/")), stream(P)),
        ("an unknown pseudo-field", "get", headers(1, OK, (":x", "y")), stream(P)),
        ("no fields at all", "get", frame(HEADERS, 4, 1), stream(P)),
    ],
    "8.3.2": [
        ("two digits", "get", late("99"), stream(P)),
        ("four digits", "get", late("2000"), stream(P)),
        ("a status of 0", "get", late("000"), stream(P)),
        ("a sign", "get", late("+20"), stream(P)),
        ("an empty one", "get", late(""), stream(P)),
        ("a reason phrase", "get", late("200 OK"), stream(P)),
        ("digits of Unicode", "get", headers(1, (b":status", "٢٠٠".encode())), stream(P)),
    ],
    "8.5": [
        ("HEADERS in a tunnel", "tunnel", headers(1, ("a", "b"), end=True), stream(P)),
        ("a length in front of a tunnel", "connect", FIVE + data(1, b"more than five"), FINE),
        (
            "content of a refusal", "connect",
            late("403", ("content-length", "1")) + data(1, b"xx"), stream(P),
        ),
        ("trailers of a refusal", "connect", late("403") + headers(1, ("a", "b"), end=True), FINE),
    ],
    "8.6": [
        ("101", "get", late("101"), stream(P)),
        ("101 that ends the stream", "get", headers(1, (":status", "101"), end=True), stream(P)),
    ],
    "10.5": [
        ("endless 1xx", "get", nine(21), stream(ENHANCE_YOUR_CALM)),
        ("large 1xx", "get", late("103", ("a", "b" * 10_000)) * 7, stream(ENHANCE_YOUR_CALM)),
        ("20 of them", "get", nine(20), FINE),
    ],
    "10.5.1": [
        ("too many fields", "get", late("200", *[("a", "b")] * 300), stream(ENHANCE_YOUR_CALM)),
        (
            "too many bytes of fields", "get",
            frame(HEADERS, 0, 1, LARGE[:16384])
            + b"".join(
                frame(CONTINUATION, 4 * (at > 64000), 1, LARGE[at:at + 16384])
                for at in range(16384, len(LARGE), 16384)
            ),
            stream(ENHANCE_YOUR_CALM),
        ),
        (
            "too many trailers", "get",
            PLAIN + headers(1, *[("a", "b")] * 300, end=True), stream(ENHANCE_YOUR_CALM),
        ),
        (
            "endless CONTINUATION", "get",
            frame(HEADERS, 0, 1) + frame(CONTINUATION, 0, 1) * 9, connection(ENHANCE_YOUR_CALM),
        ),
    ],
}  # fmt: skip


def prepared(setup):
    """Return an engine, stream 1 as *setup* says, and stream 3, a GET that is a witness."""
    if setup == "new":
        engine = Engine(H2Options())
        first = engine.open(request(), True)
        flush(engine)
        return engine, first, None
    method, end, answer = SETUPS[setup]
    engine = started((FRAME_SIZE, 16384))
    fields = request(method) if method != b"CONNECT" else request(method)[:1] + request(method)[2:3]
    first = engine.open(fields, end)
    witness = engine.open(request(), True)
    engine.receive(answer)
    engine.consumed(first, len(first.take_all()))
    if setup == "reset":
        engine.reset(first)
    flush(engine)
    assert engine.ended is None
    return engine, first, witness


def outcome(setup, pieces):
    """Play a case; return which kind of error it was, and its code."""
    engine, first, witness = prepared(setup)
    before = first.error
    touched = {}
    for piece in pieces:
        touched.update(engine.receive(piece))
    frames = flush(engine)
    resets = [(each.stream, each.code) for each in frames if each.kind == RST_STREAM]
    goaways = [each.code for each in frames if each.kind == GOAWAY]
    if goaways:
        assert len(goaways) == 1
        assert frames[-1].kind == GOAWAY
        assert type(engine.ended) is InvalidResponse
        assert "RFC" in str(engine.ended) or "limit" in str(engine.ended)
        assert not engine.streams
        assert not engine.room()
        for each in filter(None, [first, witness]):
            assert each.ended or isinstance(
                each.error, (InvalidResponse, ConnectionClosed, type(before))
            )
            assert each.error is before or each in touched
        assert not engine.receive(ping())
        return connection(goaways[0])
    assert engine.ended is None
    if witness is not None:
        assert witness.error is None
        assert witness in engine.receive(headers(3) + data(3, b"fine", end=True))
        assert (witness.take_all(), witness.ended) == (b"fine", True)
        engine.consumed(witness, 4)
    engine.consumed(first, len(first.take_all()))
    window = engine._shared.receive_window
    assert window.left + window._unreported == 2**31 - 1  # nothing is lost
    if first.error is before:
        assert not resets
        return FINE
    assert first in touched
    assert first not in engine.streams
    if type(first.error) is InvalidResponse:
        assert resets[0][0] == 1
        assert str(first.error).endswith(", on stream 1")
        assert first.request_sent == first.error.request_sent
        return "stream", resets[0][1]
    assert not resets
    return "reset", first.error.code


@pytest.mark.reliability(70)
@pytest.mark.parametrize("section", CASES)
def test_violations_of_section(section):
    wrong = []
    for name, setup, wire, expected in CASES[section]:
        size = 1 if len(wire) < 3000 else 1000
        pieces = [wire[at : at + size] for at in range(0, len(wire), size)]
        for way in ([wire], pieces, map(memoryview, pieces)):
            if (got := outcome(setup, way)) != expected:
                wrong.append(f"{name}: {got} instead of {expected}")
    assert not wrong, "\n".join(wrong)


def test_there_are_enough_cases():
    assert sum(map(len, CASES.values())) > 200
