"""Sending requests into a script: whatever the network takes at once, and when it says no."""

import gc
import io
import math
import random
from types import GeneratorType
from weakref import ref

import pytest
from kit.cases import each_case
from kit.streams import END, WOULD_BLOCK, ScriptedStream, connection, finish
from kit.support import pattern

from dugong_like import (
    AnsweredEarly,
    BodyFollowing,
    ConnectionClosed,
    ConnectionTimedOut,
    ExcessBodyData,
    InvalidRequest,
    InvalidResponse,
    StateError,
)
from dugong_like.connection.file_transfer import start_upload
from dugong_like.connection.files import Source
from dugong_like.errors import DugongError
from dugong_like.polling.fairness import TURN
from dugong_like.transport.stream import rest

ANSWER = b"HTTP/1.1 413 No\r\nContent-Length: 2\r\n\r\nno"
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"
LOST = ConnectionClosed("scripted", request_sent="maybe")


def co_requests(conn):
    """Every kind of request, one behind the other."""
    yield from conn.co_send_request("GET", "/1")
    yield from conn.co_send_request("POST", "/2", body=b"in one piece")
    yield from conn.co_send_request("PUT", "/3", body=BodyFollowing(8))
    for piece in (b"in ", b"", bytearray(b"piec"), memoryview(b"e")):
        yield from conn.co_write(piece)
    yield from conn.co_finish()
    yield from conn.co_send_request("PUT", "/4", body=BodyFollowing())
    for piece in (b"chunk", b"", b"ed chunked!"):
        yield from conn.co_write(piece)
    yield from conn.co_finish({"T": "u"})
    yield from conn.co_send_request("PUT", "/5", body=BodyFollowing(0))
    yield from conn.co_finish()


@pytest.fixture
def wire(monkeypatch):
    """What `co_requests` sends when the network takes everything at once."""
    stream = ScriptedStream()
    finish(co_requests(connection(monkeypatch, stream)))
    return stream.sent


def test_what_the_requests_look_like(wire):
    assert wire.startswith(b"GET /1 HTTP/1.1\r\nHost: script.test\r\n")
    assert b"Content-Length: 8\r\n" in wire
    assert wire.count(b"in piece") == 1
    assert b"\r\n\r\n5\r\nchunk\r\nb\r\ned chunked!\r\n0\r\nT: u\r\n\r\nPUT /5 " in wire
    assert wire.endswith(b"\r\n\r\n")


@pytest.mark.parametrize("piece", [1000, 300_000, 2 << 20])
def test_others_have_their_turn_also_where_there_is_always_room(monkeypatch, piece):
    stream = ScriptedStream()
    stream.sent = bytearray()  # grows in place
    conn = connection(monkeypatch, stream)

    def co_upload():
        yield from conn.co_send_request("PUT", "/", body=BodyFollowing())
        for _ in range(10_000_000 // piece):
            yield from conn.co_write(bytes(piece))

    waits = sum(1 for _ in co_upload())
    assert waits >= 10_000_000 // (TURN + piece)


@each_case("seed", range(200))
def test_nothing_depends_on_how_much_the_network_takes_at_once(monkeypatch, seed, wire):
    dice = random.Random(seed)
    most = dice.choice([1, 10, 100])
    rooms = [dice.choice([WOULD_BLOCK, dice.randint(1, most)]) for _ in range(5000)]
    stream = ScriptedStream(rooms=rooms)
    conn = connection(monkeypatch, stream)
    finish(co_requests(conn), 10_000)

    assert stream.sent == wire


@pytest.mark.feature("B6")
def test_small_requests_take_one_call_each(monkeypatch):
    stream = ScriptedStream()
    calls = []
    send = stream.send
    stream.send = lambda parts: calls.append(len(parts)) or send(parts)
    finish(co_requests(connection(monkeypatch, stream)))

    assert calls == [1, 2, 1, 1, 1, 1, 1, 3, 3, 1, 1]  # parts of each call; empty writes send none


@pytest.mark.parametrize("waits", range(1, 57, 3))
def test_request_given_up_in_the_middle_breaks_the_connection(monkeypatch, waits):
    rooms = [WOULD_BLOCK, 10] * 1000
    old, new = ScriptedStream(rooms=rooms), ScriptedStream()
    conn = connection(monkeypatch, old, new)
    operation = co_requests(conn)
    for _ in range(waits):
        next(operation)
    operation.close()

    sent = old.sent
    for call in (conn.connect, conn.read_response, lambda: conn.send_request("GET", "/")):
        with pytest.raises((ConnectionClosed, StateError)):
            call()
    with pytest.raises(ConnectionClosed, match="given up in the middle"):
        conn.connect()
    assert (old.sent, new.sent) == (sent, b"")
    conn.reset()
    assert old.closed
    finish(co_requests(conn))
    assert new.sent.startswith(b"GET /1 ")


def request(conn):
    exchange, head, _ = conn._messages.build("POST", "/", {}, b"0123456789", False)
    return conn._session.sender.request(exchange, head, b"0123456789")


def request_and_others(conn):
    batch = [conn._messages.build("GET", path, {}, None, False) for path in ("/1", "/2")]
    (first, one, _), (last, head, _) = batch
    return conn._session.sender.request(last, head, None, [(first, one, None)])


def begin_exchange(conn):
    exchange, head, _ = conn._messages.build("POST", "/", {}, b"0123456789", False)
    return conn._session.begin(exchange, head, b"0123456789")


def begin_write(conn):
    sender = conn._session.sender
    return sender.begin(sender.write, memoryview(b"0123456789"))


def begin_write_by_exchange(conn):
    writer = conn._session.sender._exchange.writer
    return writer.begin(writer.write, memoryview(b"0123456789"))


def begin_finish(conn):
    sender = conn._session.sender
    return sender.begin(sender.finish, b"")


WRITING = (begin_write, begin_write_by_exchange, begin_finish)


@pytest.mark.parametrize("room", [WOULD_BLOCK, 4])
@pytest.mark.parametrize("begin", [request, request_and_others, begin_exchange, *WRITING])
def test_request_whose_rest_is_never_begun_breaks_the_connection(monkeypatch, begin, room):
    """As when Ctrl-C comes before the first step of the operation that sends it."""
    stream = ScriptedStream()
    conn = connection(monkeypatch, stream)
    conn.connect()
    if begin in WRITING:
        conn.send_request("PUT", "/", body=BodyFollowing())
    stream.rooms = [room]
    going = begin(conn)
    assert isinstance(going, GeneratorType)
    sent = stream.sent

    del going

    assert not conn._session.shared.sending.locked()
    with pytest.raises(ConnectionClosed, match="sending was given up before it began"):
        conn.send_request("GET", "/second")
    if begin in WRITING:
        with pytest.raises(ConnectionClosed, match="sending was given up before it began"):
            conn.write(b"more")
    assert stream.sent == sent


def test_operations_that_have_sent_nothing_may_be_given_up_before_they_begin(monkeypatch):
    stream = ScriptedStream()
    conn = connection(monkeypatch, stream)
    conn.connect()
    sender = conn._session.sender
    conn.send_request("PUT", "/", body=BodyFollowing(4))
    sender._unwaited = TURN
    assert isinstance(sender.begin(sender.write, memoryview(b"")), GeneratorType)
    source = Source(io.BytesIO(b"abcd"), 0, None)
    assert isinstance(sender.begin(start_upload, sender, source), GeneratorType)
    conn.write(b"abcd")
    sender._unwaited = TURN
    assert isinstance(sender.begin(sender.connect), GeneratorType)
    conn.send_request("GET", "/second")
    assert b"\r\n\r\nabcdGET /second " in stream.sent


@pytest.mark.parametrize(
    ("arguments", "writes", "why"),
    [
        (None, [], "no request announced one"),
        (("GET", "/"), [], "the last request announced none"),
        (("PUT", "/", None, b"12"), [], "that of the last request is complete with 2 bytes"),
        (("PUT", "/", None, BodyFollowing(0)), [], "that of the last request is complete with 0 "),
        (
            ("PUT", "/", None, BodyFollowing(3)),
            [b"1", b"23"],
            "that of the last request is complete with 3 bytes",
        ),
        (
            ("PUT", "/", None, BodyFollowing()),
            [b"123", None],
            "that of the last request is ended by finish()",
        ),
    ],
    ids=["nothing sent", "without", "whole", "empty", "written", "finished"],
)
def test_why_there_is_no_body_to_write(monkeypatch, arguments, writes, why):
    conn = connection(monkeypatch, ScriptedStream())
    if arguments is not None:
        conn.send_request(*arguments)
    for data in writes:
        conn.finish() if data is None else conn.write(data)
    for call in (lambda: conn.write(b"x"), lambda: conn.finish({"T": "u"})):
        with pytest.raises(StateError) as caught:
            call()
        assert f"there is no body to write: {why}" in str(caught.value)
    conn.send_request("GET", "/next")


@pytest.mark.feature("A37")
def test_a_body_is_written_by_its_exchange(monkeypatch, wire):
    """The same calls as over HTTP/2, and the same bytes as by those of the connection."""
    stream = ScriptedStream()
    conn = connection(monkeypatch, stream)
    conn.send_request("GET", "/1")
    conn.send_request("POST", "/2", body=b"in one piece")
    exchange = conn.send_request("PUT", "/3", body=BodyFollowing(8))
    for owed, piece in ((8, b"in "), (5, b""), (5, bytearray(b"piec")), (1, memoryview(b"e"))):
        assert exchange.body_owed == owed
        exchange.write(piece)
    exchange.finish()
    chunked = conn.send_request("PUT", "/4", body=BodyFollowing())
    chunked.sendfile(io.BytesIO(b"chunk"))
    chunked.write(b"ed chunked!")
    assert (exchange.body_owed, chunked.body_owed) == (None, math.inf)
    exchange.write(b"")
    exchange.finish()  # they do nothing
    chunked.finish({"T": "u"})
    conn.send_request("PUT", "/5", body=BodyFollowing(0)).finish()
    assert stream.sent == wire


def written(conn, length):
    exchange = conn.send_request("PUT", "/", body=BodyFollowing(length))
    exchange.write(b"abc")
    exchange.finish()
    return exchange


def written_by_the_connection(conn, length):
    exchange = conn.send_request("PUT", "/", body=BodyFollowing(length))
    conn.write(b"abc")
    conn.finish()
    return exchange


def empty(conn, length):
    exchange = conn.send_request("PUT", "/", body=BodyFollowing(length and 0))
    exchange.finish()
    return exchange


def awaited(conn, length):
    return conn.send_request("PUT", "/", body=BodyFollowing(length), expect100=True)


def answered_early(conn, length):
    return conn.send_request("PUT", "/", body=BodyFollowing(length))


@pytest.mark.parametrize("length", [3, None])
@pytest.mark.parametrize(
    "upload", [written, written_by_the_connection, empty, awaited, answered_early]
)
def test_a_body_that_was_written_or_refused_keeps_no_connection(monkeypatch, upload, length):
    """The descriptor is closed when nobody has the connection, without the garbage collector."""
    gc.collect()
    gc.disable()
    try:
        stream = ScriptedStream()
        conn = connection(monkeypatch, stream)
        exchange = upload(conn, length)
        stream.incoming = [ANSWER]
        assert finish(exchange.co_read_response()).status == 413
        assert finish(exchange.co_readall()) == b"no"
        sender, shared = ref(conn._session.sender), ref(conn._session.shared)
        del conn
        assert sender() is None
        assert exchange.body_owed is None
        with pytest.raises(StateError, match="there is no body to write: that of this request"):
            exchange.write(b"more")
        if exchange.sent:
            exchange.write(b"")
            exchange.finish()
        del exchange
        assert shared() is None
    finally:
        gc.enable()


def test_a_body_that_ends_with_the_connection_object_says_so(monkeypatch):
    conn = connection(monkeypatch, ScriptedStream())
    exchange = conn.send_request("PUT", "/", body=BodyFollowing(3))
    del conn
    gc.collect()
    assert exchange.body_owed is None
    for call in (exchange.finish, lambda: exchange.write(b"abc")):
        with pytest.raises(ConnectionClosed, match="^PUT http://script.test/: .* closed meanwhile"):
            call()
    with pytest.raises(ConnectionClosed, match="closed meanwhile"):
        exchange.sendfile(io.BytesIO(b"abc"))


def test_a_body_that_cannot_be_written_says_in_which_state_what_is(monkeypatch):
    conn = connection(monkeypatch, ScriptedStream())
    exchanges = [conn.send_request("GET", "/get")]
    exchanges.append(conn.send_request("PUT", "/put", body=BodyFollowing(1)))
    with pytest.raises(StateError, match="GET /get> announced none"):
        exchanges[0].write(b"x")
    with pytest.raises(StateError, match=r"while the body of a request is being written, 1 bytes"):
        conn.send_request("PUT", "/other", body=BodyFollowing())
    exchanges[1].write(b"x")
    other = conn.send_request("PUT", "/other", body=BodyFollowing())
    for call in (
        lambda: exchanges[1].write(b"x"),
        lambda: exchanges[1].finish({"T": "u"}),
        lambda: exchanges[1].sendfile(io.BytesIO(b"x")),
    ):
        with pytest.raises(StateError, match="PUT http://script.test/put: there is no") as caught:
            call()
        ending = "of this request is complete, and the body of a request is being written"
        assert str(caught.value).endswith(ending)
    with pytest.raises(InvalidRequest, match="PUT http://script.test/put: "):
        exchanges[1].finish({"Host": "x"})
    other.write(b"it is not disturbed")
    conn.abort_body(exchanges[1])
    other.write(b"by what is about another one")
    conn.disconnect()
    assert other.body_owed is None
    with pytest.raises(ConnectionClosed, match="PUT http://script.test/other: "):
        other.write(b"x")


def test_what_gives_up_a_body_that_its_exchange_writes(monkeypatch):
    """An operation that is closed inside it, and `abort_body`, break the connection."""
    for give_up in ("close", "abort"):
        stream = ScriptedStream(rooms=[1000, WOULD_BLOCK, WOULD_BLOCK])
        conn = connection(monkeypatch, stream)
        exchange = conn.send_request("PUT", "/", body=BodyFollowing())
        if give_up == "close":
            going = exchange.co_write(bytes(1000))
            next(going)
            going.close()
        else:
            conn.abort_body(exchange)
        with pytest.raises(ConnectionClosed, match="given up"):
            exchange.write(b"x")


@pytest.mark.parametrize("answered", [True, False])
def test_an_early_answer_to_a_body_that_its_exchange_writes(monkeypatch, answered):
    stream, new = ScriptedStream(rooms=[10_000, WOULD_BLOCK]), ScriptedStream([OK])
    conn = connection(monkeypatch, stream, new)
    exchange = conn.send_request("PUT", "/early", body=BodyFollowing())
    stream.incoming = [ANSWER]
    with pytest.raises(AnsweredEarly, match="answered 413"):
        for _ in range(100):
            exchange.write(bytes(1000))
    assert exchange.body_owed is None
    assert (exchange.read_response().status, exchange.read()) == (413, b"no")
    if answered:
        conn.send_request("PUT", "/next", body=BodyFollowing())
        with pytest.raises(StateError, match="ended early, by the server's answer"):
            exchange.write(b"x")


@pytest.mark.reliability(43)
@pytest.mark.parametrize("length", [None, 100_000], ids=["chunked", "sized"])
@pytest.mark.parametrize("sends", range(12))
def test_answer_while_writing_ends_the_writer_and_can_be_read(monkeypatch, length, sends):
    stream = ScriptedStream(rooms=[10_000] + [WOULD_BLOCK, 100] * sends + [WOULD_BLOCK] * 100)
    new = ScriptedStream([OK])
    conn = connection(monkeypatch, stream, new)
    exchange = conn.send_request("PUT", "/", body=BodyFollowing(length))
    stream.incoming = [WOULD_BLOCK] * sends + [ANSWER]
    with pytest.raises(ConnectionClosed, match="answered 413") as failure:
        for _ in range(1000):
            finish(conn.co_write(bytes(1000)))
    assert failure.value.request_sent == "yes"
    assert not exchange.sent
    with pytest.raises(StateError, match="ended early, by the server's answer"):
        finish(conn.co_write(b"x"))
    with pytest.raises(ConnectionClosed, match="read them"):
        finish(conn.co_send_request("GET", "/"))
    assert finish(conn.co_read_response()).status == 413
    assert finish(conn.co_readall()) == b"no"
    finish(conn.co_send_request("GET", "/next"))
    assert new.sent.startswith(b"GET /next ")


@pytest.mark.parametrize(
    "incoming", [[ANSWER], [WOULD_BLOCK, ANSWER, END], [END] * 2, [b"HTTP/1", END]]
)
def test_lost_while_writing(monkeypatch, incoming):
    stream = ScriptedStream(rooms=[1000, 10, LOST])
    conn = connection(monkeypatch, stream)
    conn.send_request("PUT", "/", body=BodyFollowing(1000))
    finish(conn.co_write(bytes(10)))
    stream.incoming = list(incoming)
    with pytest.raises(ConnectionClosed) as failure:
        finish(conn.co_write(bytes(10)))
    assert type(failure.value) is (AnsweredEarly if ANSWER in incoming else ConnectionClosed)
    assert failure.value.request_sent == ("maybe" if incoming == [END] * 2 else "yes")
    if ANSWER in incoming:
        assert finish(conn.co_read_response()).status == 413
    else:
        with pytest.raises(ConnectionClosed):
            finish(conn.co_read_response())


def test_answer_whose_framing_makes_no_sense_is_the_error_of_the_writer(monkeypatch):
    answer = ANSWER.replace(b"\r\n\r\n", b"\r\nContent-Length: 3\r\n\r\n")
    stream = ScriptedStream()
    conn = connection(monkeypatch, stream)
    conn.send_request("PUT", "/", body=BodyFollowing(9))
    stream.incoming = [answer]
    with pytest.raises(InvalidResponse) as failure:
        conn.write(b"forbidden")
    assert failure.value.request_sent == "yes"
    with pytest.raises(ConnectionClosed, match="broken"):
        conn.read_response()


@pytest.mark.reliability(41)
def test_request_of_which_nothing_went_out_can_be_repeated(monkeypatch):
    lost = ConnectionClosed("scripted", request_sent="maybe")
    conn = connection(monkeypatch, ScriptedStream(rooms=[lost]))
    with pytest.raises(ConnectionClosed) as failure:
        conn.send_request("POST", "/", body=b"once only")
    assert failure.value.request_sent == "no"

    lost = ConnectionClosed("scripted", request_sent="maybe")
    conn = connection(monkeypatch, ScriptedStream(rooms=[5, lost]))
    with pytest.raises(ConnectionClosed) as failure:
        finish(conn.co_send_request("POST", "/", body=b"once only"))
    assert failure.value.request_sent == "maybe"


def test_closed_by_the_server_while_a_body_is_written(monkeypatch):
    stream = ScriptedStream(rooms=[1000, *[WOULD_BLOCK] * 5])
    conn = connection(monkeypatch, stream)
    conn.send_request("PUT", "/", body=BodyFollowing())
    stream.incoming = [END]
    with pytest.raises(ConnectionClosed, match="without a response"):
        finish(conn.co_write(b"x"))


def test_rubbish_while_a_body_is_written(monkeypatch):
    stream = ScriptedStream(rooms=[1000, *[WOULD_BLOCK] * 5])
    conn = connection(monkeypatch, stream)
    conn.send_request("PUT", "/", body=BodyFollowing())
    stream.incoming = [b"SSH-2.0\r\n"]
    with pytest.raises(InvalidResponse, match="SSH-2"):
        finish(conn.co_write(b"x"))
    with pytest.raises(ConnectionClosed, match="SSH-2"):
        finish(conn.co_read_response())


def test_time_is_over_and_the_connection_broken(monkeypatch):
    stream = ScriptedStream(rooms=[1000, *[WOULD_BLOCK] * 1_000_000])
    conn = connection(monkeypatch, stream, timeout=0.01)
    conn.send_request("PUT", "/", body=BodyFollowing())
    with pytest.raises(ConnectionTimedOut, match=r"nothing could be sent for 0\.01 s ") as failure:
        finish(conn.co_write(b"x"), 1_000_000)
    assert failure.value.request_sent == "maybe"
    with pytest.raises(ConnectionClosed, match="broken"):
        finish(conn.co_write(b"x"))


def test_one_who_writes_while_another_one_does(monkeypatch):
    conn = connection(monkeypatch, ScriptedStream(rooms=[1000, WOULD_BLOCK, WOULD_BLOCK]))
    conn.send_request("PUT", "/", body=BodyFollowing(5))
    writing = conn.co_write(b"he")
    next(writing)
    for other in (conn.co_write(b"llo"), conn.co_finish(), conn.co_send_request("GET", "/")):
        with pytest.raises(StateError, match="another operation is sending"):
            next(other)
    with pytest.raises(DugongError):
        next(conn.co_connect())
    finish(writing)
    finish(conn.co_write(b"llo"))
    finish(conn.co_send_request("GET", "/"))


@pytest.mark.reliability(51)
def test_too_much_sends_nothing_and_ends_the_connection(monkeypatch):
    stream = ScriptedStream()
    conn = connection(monkeypatch, stream, ScriptedStream())
    conn.send_request("PUT", "/", body=BodyFollowing(5))
    head = stream.sent
    with pytest.raises(ExcessBodyData, match="6 bytes of body data where 5"):
        finish(conn.co_write(b"123456"))
    assert stream.sent == head
    for call in (conn.co_write(b"12345"), conn.co_read_response()):
        with pytest.raises(ConnectionClosed, match="6 bytes of body data where 5"):
            finish(call)
    conn.reset()
    finish(conn.co_send_request("GET", "/"))


def test_what_is_left_of_parts():
    parts = [b"abc", memoryview(b"de"), b"", b"f"]
    for count in range(7):
        assert b"".join(rest(parts, count)) == b"abcdef"[count:]
    assert rest(parts, 3)[0] == b"de"
    assert rest(parts, 6) == []
    large = pattern(1 << 20)
    assert rest([large], 10)[0].obj is large  # nothing is copied


class Counted(bytes):
    """Bytes that count how often they are asked for their size."""

    asked = 0

    def __len__(self):
        type(self).asked += 1
        return super().__len__()


@pytest.mark.parametrize("count", [0, 5, 10, 25])
def test_what_waits_behind_the_rest_of_parts_is_not_looked_at(monkeypatch, count):
    monkeypatch.setattr(Counted, "asked", 0)
    parts = [Counted(b"0123456789") for _ in range(1000)]

    left = rest(parts, count)

    assert b"".join(left) == b"".join(parts)[count:]
    assert Counted.asked == count // 10 + 1


def test_writer_that_is_given_up_wakes_who_reads(monkeypatch):
    class Stream(ScriptedStream):
        def shut_down(self):
            self.incoming.append(END)

    conn = connection(monkeypatch, Stream(rooms=[None, 1000, 5, None, None]))
    finish(conn.co_send_request("PUT", "/", body=BodyFollowing(10)))
    reader = conn.co_read_response()
    next(reader)
    writer = conn.co_write(b"0123456789")
    next(writer)
    writer.close()

    with pytest.raises(ConnectionClosed):
        finish(reader)


WHOLE = [
    ("GET", "/1"),
    ("POST", "/2", None, b"in one piece"),
    ("GET", "/3", {"A": "b"}),
    ("PUT", "/4", {"Connection": "close"}, bytearray(1000)),
]


@pytest.fixture
def one_by_one(monkeypatch):
    """What `WHOLE` looks like when each is sent by itself."""
    stream = ScriptedStream()
    conn = connection(monkeypatch, stream)
    for request in WHOLE:
        conn.send_request(*request)
    return stream.sent


@pytest.mark.parametrize("room", [1, 7, 100, 10_000])
def test_requests_sent_together_are_those_sent_one_by_one(monkeypatch, one_by_one, room):
    sizes = [size for _ in range(2 + len(one_by_one) // room) for size in (room, WOULD_BLOCK)]
    stream = ScriptedStream(rooms=sizes)
    conn = connection(monkeypatch, stream)
    exchanges = finish(conn.co_send_requests(WHOLE), 10_000)
    assert stream.sent == one_by_one
    assert [exchange.path for exchange in exchanges] == ["/1", "/2", "/3", "/4"]
    assert len(stream.rooms) == len(sizes) - 1 - 2 * ((len(one_by_one) - 1) // room)


def test_no_requests_are_sent_by_doing_nothing(monkeypatch):
    stream = ScriptedStream()
    conn = connection(monkeypatch, stream)
    assert conn.send_requests([]) == []
    assert not stream.sent
    assert not conn.is_open()


def test_answers_to_requests_sent_together_may_come_before_the_last_is_sent(monkeypatch):
    stream = ScriptedStream(rooms=[100, WOULD_BLOCK])
    conn = connection(monkeypatch, stream)
    sending = conn.co_send_requests([("GET", f"/{number}") for number in range(5)])
    next(sending)
    stream.incoming.append(OK)
    assert conn.read_response().path == "/0"
    assert conn.readall() == b""
    assert len(finish(sending)) == 5
    stream.incoming.append(OK * 4)
    assert [response.path for response in conn.responses()] == ["/1", "/2", "/3", "/4"]
    assert conn.is_open()


@pytest.mark.parametrize(
    ("requests", "error", "match"),
    [
        ([("GET", "/"), ("GET", "/\n")], InvalidRequest, r"\\n"),
        ([("GET", "/", {"Connection": "close"}), ("GET", "/")], InvalidRequest, "the last request"),
        ([("GET", "/", {"Upgrade": "x"}), ("GET", "/")], InvalidRequest, "the last request"),
        ([("CONNECT", "a.test:1"), ("GET", "/")], InvalidRequest, "the last request"),
        ([("GET", "/"), ("PUT", "/", None, BodyFollowing(1))], TypeError, "cannot follow"),
        ([("GET", "/"), ("PUT", "/", None, "text")], TypeError, "bytes"),
        ([("GET",)], TypeError, "path"),
    ],
)
def test_of_requests_that_cannot_be_sent_together_none_is_sent(monkeypatch, requests, error, match):
    stream = ScriptedStream()
    conn = connection(monkeypatch, stream)
    with pytest.raises(error, match=match):
        conn.send_requests(requests)
    assert not stream.sent
    assert not conn.response_pending()


def test_requests_sent_together_are_lost_together(monkeypatch):
    stream = ScriptedStream(rooms=[50, LOST])
    conn = connection(monkeypatch, stream)
    with pytest.raises(ConnectionClosed) as error:
        conn.send_requests(WHOLE)
    assert error.value.request_sent == "maybe"
    stream.incoming.append(OK)
    assert conn.read_response().path == "/1"  # what the server said before can be read
    stream.incoming.append(END)
    with pytest.raises(ConnectionClosed):
        conn.read_response()
    conn.reset()
    assert not conn.response_pending()


def test_informational_responses_that_the_sender_has_seen_are_reported_when_others_may_read(
    monkeypatch,
):
    """Their receiver may take its time, and a reader must not wait for it between two yields."""
    stream = ScriptedStream()
    seen = []

    def hear(response):
        assert not conn._session.shared.reading.locked()
        peeking = conn._session.shared.peeking
        assert peeking.acquire(False)
        peeking.release()
        seen.append(response.status)

    conn = connection(monkeypatch, stream, on_informational=hear)
    finish(conn.co_send_request("PUT", "/", body=BodyFollowing(3)))
    stream.incoming = [b"HTTP/1.1 103 Hints\r\n\r\n" * 2]
    finish(conn.co_write(b"abc"))
    assert seen == [103, 103]
    stream.incoming = [OK]
    assert len(finish(conn.co_read_response()).informational) == 2
    assert seen == [103, 103]
