"""An open WebSocket: its operations, in memory and over a connection."""

import threading

import pytest
from kit.echo import echo
from kit.frames import (
    BINARY,
    CLOSE,
    CONT,
    PING,
    PONG,
    TEXT,
    close,
    close_codes,
    frame,
    parsed,
    websocket,
)
from kit.streams import finish
from kit.support import ScriptedServer, read_head, wait_until
from kit.websocket_servers import serving

from dugong_like import (
    ConnectionClosed,
    ConnectionTimedOut,
    Deflate,
    HTTPConnection,
    InvalidFrame,
    InvalidOption,
    InvalidRequest,
    MessageTooLarge,
    Proxy,
    StateError,
    WebSocket,
    WebSocketClosed,
    WebSocketHandler,
    WebSocketRefused,
    run,
)
from dugong_like.connection.refusals import co_read_refusal
from dugong_like.http.websocket.handshake import accept_key
from dugong_like.polling.wake import Wake


def payloads(stream):
    return [payload for _, payload, _, _ in parsed(stream.sent)]


# ---- receiving


def test_text_is_str_and_binary_is_bytes():
    ws, _ = websocket(frame(TEXT, "ü") + frame(BINARY, b"\xff") + frame(TEXT) + frame(BINARY))

    assert [finish(ws.co_recv()) for _ in range(4)] == ["ü", b"\xff", "", b""]


def test_fragments_are_joined():
    data = "grüße".encode()
    wire = frame(TEXT, data[:3], fin=False) + frame(CONT, data[3:4], fin=False)
    ws, _ = websocket(wire + frame(PING) + frame(CONT, data[4:]) + frame(TEXT, "next"))

    assert finish(ws.co_recv()) == "grüße"
    assert finish(ws.co_recv()) == "next"


def test_many_small_fragments_take_little_memory():
    part = frame(CONT, b"x", fin=False) * 2000
    ws, _ = websocket(frame(BINARY, b"x", fin=False), *[part] * 10, frame(CONT))
    ws._stream.incoming.insert(-1, None)
    op = ws.co_recv()
    while len(ws._stream.incoming) > 1:
        next(op)
    assert len(ws._frames.pieces) < 5
    assert finish(op) == b"x" * 20_001


def test_pieces_of_a_large_message():
    data = "grüße " * 50_000
    wire = data.encode()
    parts = [wire[at : at + 4099] for at in range(0, len(wire), 4099)]
    frames = [frame(CONT if number else TEXT, part, False) for number, part in enumerate(parts)]
    ws, stream = websocket(*frames, frame(CONT), frame(BINARY, b"b", False), frame(CONT, b"c"))
    stream.incoming.append(frame(TEXT, "whole"))
    got = list(ws.pieces())

    assert len(got) > 10
    assert all(isinstance(piece, str) for piece in got)
    assert "".join(got) == data
    assert b"".join(ws.pieces()) == b"bc"
    assert list(ws.pieces()) == ["whole"]


def test_pieces_with_a_limit_for_fragments_only():
    ws, _ = websocket(
        *[frame(BINARY, b"x" * 100, False)],
        *[frame(CONT, b"x" * 100, False)] * 50,
        frame(CONT, length=101),
        b"",
        max_message=None,
        max_fragment=100,
    )
    total = 0
    with pytest.raises(MessageTooLarge):
        while True:
            data, is_last = finish(ws.co_recv_piece())
            assert not is_last
            total += len(data)
    assert total == 5100


def test_recv_after_some_pieces_returns_the_rest():
    data = "aü".encode()
    ws, _ = websocket(frame(TEXT, data[:2], False), frame(CONT, data[2:] + b"b"))
    assert finish(ws.co_recv_piece()) == ("a", False)
    assert finish(ws.co_recv()) == "üb"


def test_time_out_of_recv():
    ws, stream = websocket()
    with pytest.raises(ConnectionTimedOut, match="no message came for 0 s") as caught:
        finish(ws.co_recv(timeout=0))
    assert caught.value.phase == "read"
    stream.incoming.append(frame(TEXT, "x"))
    assert finish(ws.co_recv(timeout=10)) == "x"
    assert ws.is_open


def test_one_receives_at_a_time():
    ws, _ = websocket()
    op = ws.co_recv()
    next(op)
    for other in (ws.co_recv, ws.co_recv_piece, lambda: ws.co_serve(WebSocketHandler())):
        with pytest.raises(StateError, match="another operation is receiving"):
            finish(other())
    op.close()
    ws.abort()


def test_iterating_ends_with_a_good_code():
    for code in (1000, 1001, None):
        ws, _ = websocket(frame(TEXT, "a") + frame(TEXT, "b") + close(code), b"")
        run_with(ws)
        assert list(ws) == ["a", "b"]
    ws, _ = websocket(frame(TEXT, "a") + close(1011), b"")
    messages = iter(ws)
    assert next(messages) == "a"
    with pytest.raises(WebSocketClosed):
        next(messages)


def run_with(ws):
    """Nothing waits in these tests, so that blocking calls do."""
    assert ws.is_open


FAILURES = [
    (frame(TEXT, b"\xff"), InvalidFrame, 1007),
    (frame(3), InvalidFrame, 1002),
    (frame(TEXT, "x", mask=b"1234"), InvalidFrame, 1002),
    (frame(PING, fin=False), InvalidFrame, 1002),
    (close(999), InvalidFrame, 1002),
    (frame(BINARY, length=101), MessageTooLarge, 1009),
]


@pytest.mark.reliability(71)
@pytest.mark.parametrize(("wire", "kind", "code"), FAILURES)
def test_failures(wire, kind, code):
    ws, stream = websocket(frame(TEXT, "good") + wire, b"rubbish", b"", max_message=100)
    assert finish(ws.co_recv()) == "good"
    with pytest.raises(kind) as caught:
        finish(ws.co_recv())
    assert caught.value.code == code
    assert "memory.test" in str(caught.value)
    assert close_codes(stream.sent) == [code]
    assert ws.close_code == code
    assert not stream.is_open
    for op in (ws.co_recv(), ws.co_send("x"), ws.co_ping(), ws.co_pong()):
        with pytest.raises(WebSocketClosed) as after:
            finish(op)
        assert after.value.code == code
    finish(ws.co_close())


# ---- sending


def test_what_can_be_sent():
    ws, stream = websocket()
    for message in ("ü", b"b", bytearray(b"c"), memoryview(b"xdx")[1:2], ""):
        finish(ws.co_send(message))

    assert parsed(stream.sent) == [
        (TEXT, "ü".encode(), True, False),
        *((BINARY, data, True, False) for data in (b"b", b"c", b"d")),
        (TEXT, b"", True, False),
    ]


def test_fragments():
    ws, stream = websocket()
    finish(ws.co_send(["a", "ü"]))
    finish(ws.co_send(bytes([n]) for n in range(2)))
    finish(ws.co_send([]))
    finish(ws.co_send("z"))

    assert parsed(stream.sent) == [
        (TEXT, b"a", False, False),
        (CONT, "ü".encode(), False, False),
        (CONT, b"", True, False),
        (BINARY, b"\0", False, False),
        (CONT, b"\1", False, False),
        (CONT, b"", True, False),
        (TEXT, b"z", True, False),
    ]


def test_other_messages_wait_for_the_last_fragment():
    ws, stream = websocket()

    def fragments():
        yield "a"
        stream.rooms = [None] * 3
        yield "b"

    fragmented = ws.co_send(fragments())
    next(fragmented)
    other = ws.co_send("other")
    need = next(other)
    with pytest.raises(StateError, match="fragments of another message"):
        ws.write("x")
    pong = ws.co_pong(b"p")  # control frames do not wait for the message
    next(pong, None)
    finish(fragmented)
    finish(pong)
    assert need.poll(0)
    finish(other)

    opcodes = [(opcode, payload) for opcode, payload, _, _ in parsed(stream.sent)]
    assert [item for item in opcodes if item[0] != PONG] == [
        (TEXT, b"a"), (CONT, b"b"), (CONT, b""), (TEXT, b"other"),
    ]  # fmt: skip
    assert (PONG, b"p") in opcodes


def test_a_message_that_is_given_up_in_the_middle_fails_the_websocket():
    def broken():
        yield "a"
        raise ZeroDivisionError

    for fragments, error in ((broken(), ZeroDivisionError), (["a", b"b"], TypeError)):
        ws, stream = websocket()
        with pytest.raises(error):
            finish(ws.co_send(fragments))
        assert close_codes(stream.sent) == [1011]
        assert not ws.is_open
        assert not stream.is_open

    ws, stream = websocket()
    stream.rooms = [None] * 100
    op = ws.co_send(["a", "b"])
    next(op)
    op.close()
    assert not ws.is_open


def test_an_iterable_that_fails_before_the_first_fragment_does_no_harm():
    ws, stream = websocket()
    with pytest.raises(ZeroDivisionError):
        finish(ws.co_send(1 / 0 for _ in range(1)))
    with pytest.raises(TypeError, match="fragment"):
        finish(ws.co_send([5]))
    finish(ws.co_send("x"))
    assert payloads(stream) == [b"x"]


def test_a_blocking_send_inside_a_fragmented_one_is_refused():
    ws, _ = websocket()

    def fragments():
        yield "a"
        ws.send("other")

    with pytest.raises(StateError, match="this thread is sending the fragments"):
        run(ws.co_send(fragments()))


@pytest.mark.parametrize("message", [5, None, {"a": 1}, object()])
def test_what_cannot_be_sent(message):
    ws, stream = websocket()
    with pytest.raises(TypeError, match="message"):
        ws.co_send(message)
    assert not stream.sent


def test_surrogates():
    ws, stream = websocket()
    with pytest.raises(UnicodeEncodeError):
        finish(ws.co_send("\ud800"))
    finish(ws.co_send("x"))
    assert payloads(stream) == [b"x"]


def test_write_never_waits():
    ws, stream = websocket()
    stream.rooms = [2, None]
    ws.write("first")
    ws.write(b"second")
    stream.rooms = []
    ws.write("third")

    assert payloads(stream) == [b"first", b"second", b"third"]
    with pytest.raises(TypeError, match="message"):
        ws.write(5)
    ws.abort()
    with pytest.raises(WebSocketClosed):
        ws.write("x")


def test_time_out_of_sending_ends_it():
    ws, stream = websocket()
    stream.rooms = [None, ConnectionTimedOut("nothing could be sent for 5 s", phase="write")]
    with pytest.raises(ConnectionTimedOut, match="nothing could be sent"):
        finish(ws.co_send("x"))
    assert not stream.is_open


# ---- pings


def test_ping_returns_seconds():
    ws, stream = websocket(None, frame(PONG, b"other"), frame(PONG, b"mine"))
    seconds = finish(ws.co_ping(b"mine"))

    assert 0 <= seconds < 60
    assert parsed(stream.sent) == [(PING, b"mine", True, False)]


def test_each_ping_has_its_own_payload():
    ws, stream = websocket()
    for _ in range(2):
        with pytest.raises(ConnectionTimedOut, match="no answer to a ping for 0 s") as caught:
            finish(ws.co_ping(timeout=0))
        assert caught.value.phase == "pong"
    assert len(set(payloads(stream))) == 2
    assert ws.is_open
    assert not ws._pings


def test_a_late_answer_answers_earlier_pings_as_well():
    """RFC 6455 section 5.5.3."""
    ws, stream = websocket()
    first, second = ws.co_ping(b"1"), ws.co_ping(b"2")
    next(first)
    next(second)
    with pytest.raises(StateError, match="not been answered"):
        finish(ws.co_ping(b"1"))
    stream.incoming.append(frame(PONG, b"2"))

    assert finish(first) >= finish(second) >= 0


def test_messages_are_kept_while_a_ping_waits():
    ws, _ = websocket(frame(TEXT, "a") + frame(PONG, b"1") + frame(TEXT, "b"))
    finish(ws.co_ping(b"1"))
    assert finish(ws.co_recv()) == "a"
    assert finish(ws.co_recv()) == "b"


def test_invalid_pings():
    ws, _ = websocket()
    for call in (ws.co_ping, ws.co_pong):
        with pytest.raises(InvalidOption, match="125"):
            call(b"x" * 126)
        with pytest.raises(TypeError):
            call("x")


def test_pong():
    ws, stream = websocket()
    finish(ws.co_pong())
    finish(ws.co_pong(b"x"))
    assert parsed(stream.sent) == [(PONG, b"", True, False), (PONG, b"x", True, False)]


def test_ping_ends_with_the_websocket():
    ws, _ = websocket(close(1001), b"")
    with pytest.raises(WebSocketClosed, match="1001"):
        finish(ws.co_ping())


# ---- the end


def test_close_waits_for_the_close_frame():
    ws, stream = websocket(None, frame(TEXT, "late") + close(1000, "bye"), b"")
    assert ws.close_code is None
    assert ws.close_reason is None
    finish(ws.co_close(1000, "ü"))

    assert parsed(stream.sent) == [(CLOSE, b"\x03\xe8\xc3\xbc", True, False)]
    assert (ws.close_code, ws.close_reason) == (1000, "bye")
    assert not stream.is_open
    finish(ws.co_close(4000))
    with pytest.raises(WebSocketClosed):
        finish(ws.co_recv())
    assert len(parsed(stream.sent)) == 1


def test_close_does_not_wait_for_ever():
    ws, stream = websocket(close_timeout=0)
    finish(ws.co_close())
    assert close_codes(stream.sent) == [1000]
    assert not stream.is_open
    assert ws.close_code == 1006


def test_close_that_is_given_up_has_closed():
    ws, stream = websocket()
    op = ws.co_close()
    next(op)
    op.close()
    assert not stream.is_open


def test_limit_of_the_caller_ends_closing():
    """So whoever set it does not go on; the connection is closed."""
    ws, stream = websocket()
    op = ws.co_close()
    next(op)
    with pytest.raises(ConnectionTimedOut, match="^mine$"):
        op.throw(ConnectionTimedOut("mine"))
    assert not stream.is_open
    assert close_codes(stream.sent) == [1000]


def test_close_drops_messages_that_nobody_wants():
    big = frame(BINARY, bytes(100_000))
    ws, stream = websocket(*[big] * 100, close(1000), b"")
    finish(ws.co_close())
    assert ws.close_code == 1000
    assert not ws._frames.pieces


def test_close_after_a_loss():
    ws, stream = websocket(ConnectionClosed("connection lost: reset"))
    finish(ws.co_close())
    assert not stream.is_open
    assert ws.close_code == 1006


def test_invalid_close():
    ws, stream = websocket()
    for arguments in ((1005,), (1006,), (0,), (5000,), (1000, "x" * 124)):
        with pytest.raises(InvalidOption):
            ws.co_close(*arguments)
    assert ws.is_open
    assert not stream.sent


def test_leaving_the_block():
    for error, code in ((None, 1000), (ZeroDivisionError, 1011)):
        ws, stream = websocket(close(1000), b"")
        try:
            with ws:
                if error:
                    raise error
        except ZeroDivisionError:
            pass
        assert close_codes(stream.sent) == [code]
    ws, stream = websocket()
    with pytest.raises(KeyboardInterrupt), ws:
        raise KeyboardInterrupt
    assert not stream.is_open
    assert not stream.sent


def test_repr_and_facts():
    ws, _ = websocket(close(1000), b"")
    assert repr(ws) == "<WebSocket http://memory.test open>"
    assert ws.subprotocol is None
    assert not ws.is_compressed
    finish(ws.co_close())
    assert repr(ws) == "<WebSocket http://memory.test closed 1000>"


# ---- handlers


class Noting(WebSocketHandler):
    def __init__(self):
        self.calls = []

    def on_open(self, websocket):
        self.calls.append("open")
        websocket.write("hello")

    def on_message(self, websocket, message):
        self.calls.append(message)
        return websocket.co_send("echo") if message == "echo" else None

    def on_ping(self, websocket, data):
        self.calls.append(("ping", data))

    def on_close(self, websocket):
        self.calls.append(websocket.close_code)


@pytest.mark.feature("D21")
def test_a_handler_is_called_for_whatever_comes():
    ws, stream = websocket(
        frame(TEXT, "echo") + frame(PING, b"1") + frame(BINARY, b"x"), close(1001), b""
    )
    handler = Noting()
    finish(ws.co_serve(handler))

    assert sorted(map(str, handler.calls)) == sorted(
        map(str, ["open", "echo", ("ping", b"1"), b"x", 1001])
    )
    assert handler.calls[0] == "open"
    assert handler.calls[-1] == 1001
    assert {b"hello", b"1", b"echo"} <= set(payloads(stream))
    assert not stream.is_open


def test_an_exception_of_a_handler_ends_it():
    class Failing(WebSocketHandler):
        def on_message(self, websocket, message):
            raise ZeroDivisionError

    ws, stream = websocket(frame(TEXT, "x"))
    with pytest.raises(ZeroDivisionError):
        finish(ws.co_serve(Failing()))
    assert not stream.is_open


def test_a_failure_is_told_to_the_handler_and_raised():
    ws, _ = websocket(frame(TEXT, b"\xff"), b"")
    handler = Noting()
    with pytest.raises(InvalidFrame):
        finish(ws.co_serve(handler))
    assert handler.calls == ["open", 1007]


def test_what_is_no_handler():
    ws, _ = websocket()
    for wrong in (None, 5, Noting, object()):
        with pytest.raises(TypeError, match="handler"):
            ws.co_serve(wrong)


# ---- opening, on a connection


def test_a_whole_conversation():
    with serving(subprotocols=["chat"]) as port:
        conn = HTTPConnection("127.0.0.1", port, timeout=30)
        with conn.websocket("/a?b", {"Origin": "http://h"}, subprotocols=["x", "chat"]) as ws:
            assert isinstance(ws, WebSocket)
            assert ws.subprotocol == "chat"
            assert ws.is_compressed
            assert ws.response.status == 101
            for message in ("hello", b"\0" * 300_000, "grüße" * 50_000):
                ws.send(message)
                assert ws.recv() == message
            ws.send(["a", "b"])
            assert ws.recv() == "ab"
            assert ws.ping() > 0
            ws.pong(b"x")
            ws.send("last")
            for message in ws:
                assert message == "last"
                ws.close(1000, "bye")
        assert (ws.close_code, ws.close_reason) == (1000, "bye")


@pytest.mark.parametrize("deflate", [False, Deflate(client_max_window_bits=9, level=1)])
def test_the_offer_decides(deflate):
    with serving() as port:
        conn = HTTPConnection("127.0.0.1", port, timeout=30)
        with conn.websocket(deflate=deflate) as ws:
            assert ws.is_compressed is (deflate is not False)
            ws.send("x" * 10_000)
            assert ws.recv() == "x" * 10_000


def answering(make):
    """Return a server that answers a handshake with what *make* returns for its key."""

    def handler(sock):
        data = b""
        while b"\r\n\r\n" not in data:
            data += sock.recv(65536)
        key = data.partition(b"Sec-WebSocket-Key: ")[2].partition(b"\r\n")[0].decode()
        sock.sendall(make(key))
        while sock.recv(65536):
            pass

    return ScriptedServer(handler)


def switching(key, *fields):
    lines = ["HTTP/1.1 101 Switching Protocols", *fields]
    if not any(field.startswith("Sec-WebSocket-Accept") for field in fields):
        lines.append(f"Sec-WebSocket-Accept: {accept_key(key)}")
    return "\r\n".join([*lines, "", ""]).encode()


UPGRADE = ("Upgrade: websocket", "Connection: Upgrade")


def test_messages_right_behind_the_head_are_not_lost():
    with answering(lambda key: switching(key, *UPGRADE) + frame(TEXT, "first")) as server:
        conn = HTTPConnection("127.0.0.1", server.port, timeout=30)
        ws = conn.websocket(close_timeout=0)
        assert ws.recv() == "first"
        ws.abort()


@pytest.mark.reliability(71)
@pytest.mark.parametrize(
    ("fields", "message"),
    [
        (("Connection: Upgrade",), "Upgrade is missing"),
        (("Upgrade: websocket",), "Connection is missing"),
        ((*UPGRADE, "Sec-WebSocket-Accept: no"), "Sec-WebSocket-Accept is 'no'"),
        ((*UPGRADE, "Sec-WebSocket-Protocol: chat"), "Protocol is 'chat'"),
        ((*UPGRADE, "Sec-WebSocket-Extensions: foo"), "Extensions is 'foo'"),
    ],
)
def test_a_wrong_response_is_refused(fields, message):
    with answering(lambda key: switching(key, *fields)) as server:
        conn = HTTPConnection("127.0.0.1", server.port, timeout=30)
        with pytest.raises(WebSocketRefused, match=message) as caught:
            conn.websocket("/chat?token=secret")
        assert caught.value.response.status == 101
        assert f"GET http://127.0.0.1:{server.port}/chat" in str(caught.value)
        assert "secret" not in str(caught.value)


def test_another_status_is_refused_with_its_body():
    body = b"no chat today"
    reply = b"HTTP/1.1 403 Forbidden\r\nContent-Length: 13\r\n\r\n" + body
    with answering(lambda key: reply) as server:
        conn = HTTPConnection("127.0.0.1", server.port, timeout=30)
        with pytest.raises(WebSocketRefused, match="the status is 403") as caught:
            conn.websocket()
        assert caught.value.response.status == 403
        assert caught.value.response.body == body
        conn.close()


def test_a_large_refusal_is_not_read_to_its_end():
    head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
    with answering(
        lambda key: head + b"10000\r\n" + bytes(65536) + b"\r\n5\r\nhello\r\n"
    ) as server:
        conn = HTTPConnection("127.0.0.1", server.port, timeout=30)
        with pytest.raises(WebSocketRefused, match="the status is 200") as caught:
            conn.websocket()
        assert caught.value.response.body is None


@pytest.mark.parametrize("end", ["late", "cut"])
def test_a_refusal_whose_body_does_not_end_is_one(monkeypatch, end):
    monkeypatch.setattr("dugong_like.connection.refusals.MAX_REFUSAL_TIME", 0.05)

    def serve(sock):
        read_head(sock)
        sock.sendall(b"HTTP/1.1 403 No\r\nContent-Length: 100\r\n\r\nno")
        if end == "late":
            sock.recv(1)  # until the client closes

    with ScriptedServer(serve) as server:
        conn = HTTPConnection("127.0.0.1", server.port, timeout=60)
        with pytest.raises(WebSocketRefused, match="the status is 403") as caught:
            conn.websocket()
        assert (caught.value.response.status, caught.value.response.body) == (403, None)
        assert not conn.is_open()


@pytest.mark.parametrize("phase", ["", "total", "read"])
def test_limit_of_the_caller_ends_reading_a_refusal(phase):
    def reading(wake):
        try:
            yield wake.need()
        finally:
            ended.append(True)

    ended = []
    with Wake() as wake:
        going = co_read_refusal(reading(wake))
        next(going)
        with pytest.raises(ConnectionTimedOut, match="^mine$"):
            going.throw(ConnectionTimedOut("mine", phase=phase))
    assert ended


def test_arguments_are_checked_before_anything_is_sent():
    conn = HTTPConnection("127.0.0.1", 9, timeout=30)
    with pytest.raises(InvalidRequest, match="cannot be set"):
        conn.websocket("/", {"Sec-WebSocket-Key": "x"})
    with pytest.raises(InvalidOption, match="max_message"):
        conn.websocket(max_message=0)
    with pytest.raises(TypeError, match="nonsense"):
        conn.websocket(nonsense=1)
    with pytest.raises(InvalidRequest):
        conn.websocket("/a b")


def test_a_proxy_opens_a_tunnel_or_is_refused(proxy):
    url = f"http://127.0.0.1:{proxy.port}"
    with serving() as port:
        conn = HTTPConnection("127.0.0.1", port, proxy=url, timeout=30)
        with pytest.raises(InvalidOption, match="needs a tunnel"):
            conn.websocket()
        conn = HTTPConnection("127.0.0.1", port, proxy=Proxy(url, mode="tunnel"), timeout=30)
        with conn.websocket() as ws:
            ws.send("x")
            assert ws.recv() == "x"


# ---- threads


def test_close_from_another_thread_wakes_the_one_that_receives():
    with serving() as port:
        conn = HTTPConnection("127.0.0.1", port, timeout=30)
        ws = conn.websocket()
        errors = []

        def receive():
            try:
                ws.recv()
            except WebSocketClosed as exc:
                errors.append(exc.code)

        thread = threading.Thread(target=receive)
        thread.start()
        wait_until(ws._receiving.locked)
        ws.close(1000)
        thread.join(60)
        assert errors == [1000]


def test_abort_from_another_thread_wakes_the_one_that_receives():
    with serving() as port:
        conn = HTTPConnection("127.0.0.1", port, timeout=30)
        ws = conn.websocket()
        errors = []

        def receive():
            try:
                ws.recv()
            except WebSocketClosed as exc:
                errors.append(exc.code)

        thread = threading.Thread(target=receive)
        thread.start()
        wait_until(ws._receiving.locked)
        ws.abort()
        thread.join(60)
        assert errors == [1006]


def test_one_thread_sends_while_another_one_receives():
    count = 300
    with serving() as port:
        conn = HTTPConnection("127.0.0.1", port, timeout=30)
        with conn.websocket() as ws:
            got = []

            def receive():
                got.extend(ws.recv() for _ in range(2 * count))

            def send(name):
                for number in range(count):
                    ws.send(f"{name} {number} " + "x" * (number * 50))

            threads = [threading.Thread(target=receive)]
            threads += [threading.Thread(target=send, args=(name,)) for name in "ab"]
            for thread in threads:
                thread.start()
            seconds = ws.ping(timeout=60)
            for thread in threads:
                thread.join(60)
        assert seconds > 0
        for name in "ab":
            numbers = [int(text.split()[1]) for text in got if text[0] == name]
            assert numbers == list(range(count))


def test_large_messages_both_ways_do_not_wait_for_each_other():
    """The server sends as much as it receives, and reads nothing while nobody reads from it."""

    def piecewise(websocket):
        for message in websocket:
            for _ in range(8):
                websocket.send(message)

    with serving(piecewise, compression=None) as port:
        conn = HTTPConnection("127.0.0.1", port, timeout=60)
        with conn.websocket(deflate=False, max_message=None) as ws:
            for _ in range(6):
                ws.send(bytes(100_000))
            for _ in range(48):
                assert len(ws.recv()) == 100_000


@pytest.mark.usefixtures("nothing_is_left_open")
def test_no_descriptor_is_left_however_it_ends():
    with ScriptedServer(echo) as server:
        for end in ("close", "abort", "forget", "given up", "refused"):
            conn = HTTPConnection("127.0.0.1", server.port, timeout=30)
            if end == "refused":
                with pytest.raises(WebSocketRefused):
                    conn.websocket("/no")
                conn.close()
                continue
            ws = conn.websocket()
            if end == "close":
                ws.close()
            elif end == "abort":
                ws.abort()
            elif end == "given up":
                op, ping = ws.co_recv(), ws.co_ping()
                next(op)
                next(ping)
                op.close()
                ws.abort()
                ping.close()
            del ws


def test_a_child_process_does_not_use_it():
    import os

    with serving() as port:
        conn = HTTPConnection("127.0.0.1", port, timeout=30)
        with conn.websocket() as ws:
            child = os.fork()
            if not child:
                try:
                    ws.send("from the child")
                except WebSocketClosed:
                    ws.close()
                    os._exit(0)
                finally:
                    os._exit(1)
            assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
            ws.send("x")
            assert ws.recv() == "x"
