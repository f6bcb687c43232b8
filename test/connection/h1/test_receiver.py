"""Reading responses from a script: cut anywhere, interrupted anywhere, in any order of calls."""

import gc
import random
import weakref
from collections import deque
from types import SimpleNamespace

import pytest
from kit.cases import each_case
from kit.streams import END, WOULD_BLOCK, ScriptedStream, connection, finish
from kit.support import pattern

from dugong_like import (
    POLLOUT,
    BodyFollowing,
    ConnectionClosed,
    ConnectionTimedOut,
    ContinueTimedOut,
    InvalidResponse,
    StateError,
    UnsupportedResponse,
)
from dugong_like.connection.states import SessionState
from dugong_like.http.h1 import head_cache as recent
from dugong_like.http.h1.response_head import find_head
from dugong_like.polling.fairness import TURN

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
HINTS = b"HTTP/1.1 103 Hints\r\nLink: <x>\r\n\r\n"
WIRE = (
    HINTS
    + OK
    + b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
    + b"3;x=y\r\nabc\r\n2\r\nde\r\n0\r\nT: u\r\n\r\n"
    + b"HTTP/1.1 204 No Content\r\n\r\n"
    + b"HTTP/1.1 200 \r\nContent-Length: 5\r\nConnection: close\r\n\r\n12345"
)


@pytest.mark.reliability(29)
@each_case("cut", range(len(WIRE) + 1))
@each_case("way", ["readall", "read", "readinto", "discard"])
def test_nothing_depends_on_where_the_network_cuts(monkeypatch, cut, way):
    stream = ScriptedStream([WIRE[:cut], WOULD_BLOCK, WIRE[cut:]] if cut else [WIRE])
    conn = connection(monkeypatch, stream)
    for _ in range(4):
        conn.send_request("GET", "/")
    for status, body in ((200, b"ok"), (200, b"abcde"), (204, b""), (200, b"12345")):
        response = finish(conn.co_read_response())
        assert response.status == status
        if way == "discard":
            assert finish(conn.co_discard()) is None
            continue
        assert read_in_small_pieces(conn, way) == body
        assert response.trailers["T"] == ("u" if body == b"abcde" else None)
        assert response.length in {len(body), None}
    assert not conn.response_pending()


def read_in_small_pieces(conn, way):
    if way == "readall":
        return finish(conn.co_readall())
    if way == "read":
        return b"".join(iter(lambda: finish(conn.co_read(3)), b""))
    whole = b""
    buffer = bytearray(3)
    while count := finish(conn.co_readinto(buffer)):
        whole += buffer[:count]
    return whole


@pytest.mark.reliability(32, 33)
@each_case("cut", range(len(WIRE)))
def test_end_of_the_stream_anywhere_inside_is_an_error(monkeypatch, cut):
    conn = connection(monkeypatch, ScriptedStream([WIRE[:cut], END] if cut else [END]))
    for _ in range(4):
        conn.send_request("GET", "/")
    with pytest.raises(ConnectionClosed):
        for _ in range(4):
            finish(conn.co_read_response())
            finish(conn.co_readall())
    with pytest.raises((ConnectionClosed, StateError)):
        finish(conn.co_read_response())


class Answer:
    """A random response, as it goes over the wire and as it has to arrive."""

    def __init__(self, dice, number, last):
        self.method = dice.choice(["GET", "GET", "HEAD", "PUT"])
        self.path = f"/{number}"
        self.body = bytes([65 + number % 26]) * dice.choice([0, 1, 2, 7, 30, 500])
        kind = dice.choice(["sized", "chunked", "none", *(["until close"] if last else [])])
        self.status = dice.choice([204, 304]) if kind == "none" else 200
        head = f"HTTP/1.1 {self.status} \r\nX-Number: {number}\r\n"
        wire = self.body
        if kind == "sized":
            head += f"Content-Length: {len(self.body)}\r\n"
        elif kind == "chunked":
            head += "Transfer-Encoding: chunked\r\n"
            wire = self.chunked(dice)
        if kind == "none" or self.method == "HEAD":
            wire = self.body = b""
        self.wire = HINTS * dice.choice([0, 0, 1, 3]) + head.encode() + b"\r\n" + wire
        self.ends = kind == "until close" and self.method != "HEAD"

    def chunked(self, dice):
        wire = b""
        rest = self.body
        while rest:
            size = dice.randint(1, len(rest))
            wire += b"%x\r\n%s\r\n" % (size, rest[:size])
            rest = rest[size:]
        return wire + b"0\r\n" + dice.choice([b"", b"T: u\r\n"]) + b"\r\n"


def cut_at_random(dice, wire):
    pieces = []
    most = dice.choice([3, 10, 100, 1000])
    while wire:
        size = dice.randint(1, most)
        pieces += [wire[:size], *[WOULD_BLOCK] * dice.choice([0, 1, 2])]
        wire = wire[size:]
    return pieces


def interrupted_at_random(dice, make, *args):
    """Run ``make(*args)``, giving it up now and then; it has to go on where it stood."""
    for _ in range(10_000):
        operation = make(*args)
        try:
            for _ in range(dice.choice([1, 1, 2, 5, 50])):
                next(operation)
        except StopIteration as end:
            return end.value
        operation.close()
    raise AssertionError("no progress")


def give_up(operation, waits):
    try:
        for _ in range(waits):
            next(operation)
    except StopIteration:
        return
    operation.close()


def read_at_random(dice, conn, enough):
    """Read the body in a mixture of ways, at most about *enough* bytes of it."""
    got = b""
    while len(got) < enough:
        size = dice.choice([1, 2, 5, 100, 1000])
        way = dice.choice(["read", "readinto", "readall", "readall, given up"])
        if way == "read":
            piece = interrupted_at_random(dice, conn.co_read, size)
        elif way == "readinto":
            buffer = bytearray(size)
            count = interrupted_at_random(dice, conn.co_readinto, buffer)
            piece = bytes(buffer[:count])
        elif way == "readall":
            return got + interrupted_at_random(dice, conn.co_readall)
        else:
            operation = conn.co_readall()
            try:
                next(operation)
                next(operation)
            except StopIteration as end:
                return got + end.value
            operation.close()
            continue
        if not piece:
            return got
        got += piece
    return got


@pytest.mark.reliability(40)
@each_case("seed", range(500))
def test_any_mixture_of_calls_and_interruptions_gives_each_body_to_its_request(monkeypatch, seed):
    dice = random.Random(seed)
    count = dice.randint(1, 8)
    answers = [Answer(dice, number, number == count - 1) for number in range(count)]
    incoming = cut_at_random(dice, b"".join(answer.wire for answer in answers))
    if answers[-1].ends:
        incoming.append(END)
    conn = connection(
        monkeypatch,
        ScriptedStream(incoming),
        buffer_size=dice.choice([16, 64, 65536]),
    )
    exchanges = [conn.send_request(answer.method, answer.path) for answer in answers]
    for exchange in exchanges:
        if dice.random() < 0.2:
            exchange.abandon()
    for number, answer in enumerate(answers):
        if exchanges[number].abandoned:
            continue
        response = interrupted_at_random(dice, conn.co_read_response)
        assert (response.path, response.status) == (answer.path, answer.status)
        assert response.headers["X-Number"] == str(number)
        how = dice.choice(["all", "all", "discard", "part"])
        if how == "all":
            assert read_at_random(dice, conn, 1 << 20) == answer.body
        elif how == "discard":
            interrupted_at_random(dice, conn.co_discard)
        else:
            assert answer.body.startswith(read_at_random(dice, conn, len(answer.body) // 2))
            give_up(conn.co_readall(), dice.randint(1, 5))
            exchanges[number].abandon()
    with pytest.raises(StateError, match="no response is pending"):
        interrupted_at_random(dice, conn.co_read_response)
    assert not conn.response_pending()


def test_connection_can_be_cut_off_inside_the_framing_of_a_chunk(monkeypatch):
    head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
    conn = connection(monkeypatch, ScriptedStream([head, b"5\r\nhello\r\n", b"6", END]))
    conn.send_request("GET", "/")
    finish(conn.co_read_response())
    assert finish(conn.co_read(5)) == b"hello"
    with pytest.raises(ConnectionClosed):
        finish(conn.co_read(5))


def test_reading_may_be_given_up_in_front_of_the_trailer_section(monkeypatch):
    head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
    conn = connection(monkeypatch, ScriptedStream([head + b"0\r\n", *[WOULD_BLOCK] * 5, b"\r\n"]))
    conn.send_request("GET", "/")
    finish(conn.co_read_response())
    for _ in range(3):
        give_up(conn.co_readall(), 1)
    assert finish(conn.co_readall()) == b""


def test_bytes_before_wrong_framing_are_still_good(monkeypatch):
    wire = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\nrubbish\r\n"
    for way in ("read", "readall"):
        conn = connection(monkeypatch, ScriptedStream([wire]))
        conn.send_request("GET", "/")
        finish(conn.co_read_response())
        if way == "read":
            assert finish(conn.co_read(10)) == b"hello"
            with pytest.raises(InvalidResponse):
                finish(conn.co_read(10))
        else:
            with pytest.raises(InvalidResponse):
                finish(conn.co_readall())
            assert finish(conn.co_read(10)) == b"hello"
        with pytest.raises(ConnectionClosed, match="broken"):
            finish(conn.co_read(10))
        assert conn.response_pending()


def test_unknown_coding_leaves_the_body_unread_whatever_is_called(monkeypatch):
    wire = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n"
    for call in ("co_readall", "co_discard", "co_read"):
        conn = connection(monkeypatch, ScriptedStream([wire]))
        conn.send_request("GET", "/")
        assert finish(conn.co_read_response()).status == 200
        with pytest.raises(UnsupportedResponse):
            finish(getattr(conn, call)())


def test_large_reads_pass_the_buffer_by_and_small_ones_do_not(monkeypatch):
    body = pattern(100_000)
    head = b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n"
    for end in (False, True):
        wire = [head + body[:10], WOULD_BLOCK, body[10:50_000], WOULD_BLOCK]
        wire += [END] if end else [body[50_000:] + b"surplus"]
        conn = connection(monkeypatch, ScriptedStream(wire), buffer_size=1024)
        conn.send_request("GET", "/")
        finish(conn.co_read_response())
        memory = bytearray(200_000)
        got = finish(conn.co_readinto(memory))
        assert got == 10
        while got < 50_000:
            got += finish(conn.co_readinto(memoryview(memory)[got:]))
        if end:
            with pytest.raises(ConnectionClosed):
                finish(conn.co_readinto(memoryview(memory)[got:]))
        else:
            assert finish(conn.co_read()) == body[50_000:]
        assert memory[:50_000] == body[:50_000]


def test_responses_of_the_same_bytes_have_nothing_in_common(monkeypatch):
    """Although their head is read once only."""
    read = []
    monkeypatch.setattr(recent, "_known", {})
    monkeypatch.setattr(recent, "find_head", lambda *args: read.append(1) or find_head(*args))
    head = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nA: b\r\n\r\n"
    conn = connection(monkeypatch, ScriptedStream([head + b"12", head, head + b"34"]))
    expected = [("GET", b"12"), ("HEAD", b""), ("GET", b"34")]
    conn.send_requests([(method, "/") for method, _ in expected])
    for method, body in expected:
        response = conn.read_response()
        assert (response.method, response.length) == (method, len(body))
        assert response.headers.items() == [("Content-Length", "2"), ("A", "b")]
        del response.headers["A"]
        assert conn.readall() == body
    assert read == [1]


def test_head_that_is_known_may_still_be_too_large_for_others(monkeypatch):
    head = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nA: %s\r\n\r\n" % (b"b" * 100)
    limits = {"max_line_size": 100}, {"max_header_size": 100}, {"max_fields": 1}
    for given in ({}, *limits, {}):
        conn = connection(monkeypatch, ScriptedStream([head]), **given)
        conn.send_request("GET", "/")
        if given:
            with pytest.raises(InvalidResponse, match="more than 100|at most 1 "):
                conn.read_response()
        else:
            assert conn.read_response().status == 200


def test_what_is_read_ahead_for_a_sender_goes_to_the_reader(monkeypatch):
    answer = b"HTTP/1.1 413 No\r\nContent-Length: 2\r\n\r\nno"
    for cut in range(1, len(answer)):
        incoming = [HINTS, answer[:cut], WOULD_BLOCK, answer[cut:]]
        stream = ScriptedStream(incoming, [1000, *[WOULD_BLOCK] * 10])
        conn = connection(monkeypatch, stream, on_informational=None)
        conn.send_request("PUT", "/", body=BodyFollowing())
        with pytest.raises(ConnectionClosed, match="answered 413"):
            finish(conn.co_write(bytes(10)))
        response = finish(conn.co_read_response())
        assert (response.status, len(response.informational)) == (413, 1)
        assert finish(conn.co_readall()) == b"no"
        assert not conn.response_pending()


def test_continue_for_a_request_that_was_abandoned_is_skipped_with_it(monkeypatch):
    go_on = b"HTTP/1.1 100 Continue\r\n\r\n"
    refused = b"HTTP/1.1 403 No\r\nContent-Length: 2\r\n\r\nno"
    stream, new = ScriptedStream([WOULD_BLOCK, go_on, WOULD_BLOCK, refused]), ScriptedStream([OK])
    conn = connection(monkeypatch, stream, new)
    conn.send_request("PUT", "/1", body=BodyFollowing(5), expect100=True).abandon()
    with pytest.raises(StateError, match="no response is pending"):
        finish(conn.co_read_response())
    conn.send_request("GET", "/2")
    assert new.sent.startswith(b"GET /2 ")
    new.incoming = [OK]
    assert finish(conn.co_read_response()).path == "/2"


def test_continue_that_comes_late_is_passed_by(monkeypatch):
    stream = ScriptedStream([WOULD_BLOCK] * 100_000)
    conn = connection(monkeypatch, stream, expect100_timeout=0.005)
    conn.send_request("PUT", "/", body=BodyFollowing(5), expect100=True)
    with pytest.raises(ContinueTimedOut, match="may be written now"):
        finish(conn.co_read_response(), 100_000)
    stream.incoming = [b"HTTP/1.1 100 Continue\r\n\r\n"]
    stream.rooms = [2, WOULD_BLOCK, 3]
    finish(conn.co_write(b"hello"))
    stream.incoming += [OK]
    response = finish(conn.co_read_response())
    assert (response.status, [early.status for early in response.informational]) == (200, [100])
    assert finish(conn.co_readall()) == b"ok"
    assert stream.sent.endswith(b"\r\n\r\nhello")


def test_what_on_informational_raises_reaches_the_caller_and_nothing_is_lost(monkeypatch):
    def complain(response):
        raise LookupError(response.status)

    conn = connection(monkeypatch, ScriptedStream([HINTS + OK]), on_informational=complain)
    conn.send_request("GET", "/")
    with pytest.raises(LookupError, match="103"):
        finish(conn.co_read_response())
    response = finish(conn.co_read_response())
    assert (response.status, len(response.informational)) == (200, 1)
    assert finish(conn.co_readall()) == b"ok"


def test_sender_leaves_the_answer_to_an_operation_that_waits_for_it(monkeypatch):
    stream = ScriptedStream(rooms=[1000, WOULD_BLOCK, WOULD_BLOCK, 100])
    conn = connection(monkeypatch, stream)
    conn.send_request("PUT", "/", body=BodyFollowing(5))
    reading = conn.co_read_response()
    next(reading)
    writing = conn.co_write(b"hello")
    assert next(writing).mask == POLLOUT  # it does not watch for what another one reads
    stream.incoming = [OK]
    finish(writing)
    assert finish(reading).status == 200


@pytest.mark.feature("B20")
def test_raw_bytes_are_those_that_were_received_first(monkeypatch):
    conn = connection(monkeypatch, ScriptedStream([OK + b"rub", b"bish", WOULD_BLOCK, b"!", END]))
    conn.send_request("GET", "/")
    finish(conn.co_read_response())
    assert finish(conn.co_readall()) == b"ok"
    got = [finish(conn.co_read_raw(5)) for _ in range(4)]
    assert got == [b"rub", b"bish", b"!", b""]
    conn.disconnect()
    with pytest.raises(StateError, match="closed"):
        finish(conn.co_read_raw(5))


@pytest.mark.parametrize("call", ["read", "readall", "discard", "readinto"])
def test_others_have_their_turn_also_where_bytes_never_fail_to_be_there(monkeypatch, call):
    head = b"HTTP/1.1 200 OK\r\nContent-Length: 40000000\r\n\r\n"
    stream = ScriptedStream([head, *[bytes(100_000)] * 400])
    conn = connection(monkeypatch, stream)
    finish(conn.co_send_request("GET", "/"))
    finish(conn.co_read_response())

    def co_take():
        if call in {"readall", "discard"}:
            yield from getattr(conn, f"co_{call}")()
        while conn.response_pending():
            argument = 200_000 if call == "read" else bytearray(200_000)
            yield from getattr(conn, f"co_{call}")(argument)

    assert sum(1 for _ in co_take()) >= 40_000_000 // (TURN + 200_000)


def test_what_an_interrupted_readall_had_is_read_again_in_pieces(monkeypatch):
    head = b"HTTP/1.1 200 OK\r\nContent-Length: 1000001\r\n\r\n"
    stream = ScriptedStream([head, pattern(1_000_000)])
    conn = connection(monkeypatch, stream)
    finish(conn.co_send_request("GET", "/"))
    finish(conn.co_read_response())
    operation = conn.co_readall()
    for _ in operation:
        if not stream.incoming:
            operation.close()

    stream.incoming.append(b"!")
    data = b""
    target = bytearray(999)
    while piece := finish(conn.co_read(1000)):
        data += piece
        data += target[: finish(conn.co_readinto(target))]
    assert data == pattern(1_000_000) + b"!"


class Interrupted(ScriptedStream):
    """A stream that Ctrl-C interrupts when bytes have come and the caller does not have them."""

    interrupts = True

    def recv(self, size):
        data = super().recv(size)
        if self.interrupts and data:
            raise KeyboardInterrupt
        return data


@pytest.mark.reliability(45)
@pytest.mark.parametrize("call", ["read_response", "read", "readinto", "readall", "discard"])
def test_exception_that_comes_while_bytes_are_on_their_way_breaks_the_connection(monkeypatch, call):
    stream = Interrupted([OK, OK])
    conn = connection(monkeypatch, stream, ScriptedStream([OK]))
    finish(conn.co_send_request("GET", "/"))
    if call != "read_response":
        stream.interrupts = False
        stream.incoming = [OK[:-2], b"ok", OK]
        finish(conn.co_read_response())
        stream.interrupts = True
    arguments = {"read": [10], "readinto": [bytearray(10)]}.get(call, [])
    with pytest.raises(KeyboardInterrupt):
        finish(getattr(conn, f"co_{call}")(*arguments))

    with pytest.raises(ConnectionClosed, match="reading was interrupted by KeyboardInterrupt"):
        finish(getattr(conn, f"co_{call}")(*arguments))
    conn.reset()
    finish(conn.co_send_request("GET", "/"))
    finish(conn.co_read_response())
    assert finish(conn.co_readall()) == b"ok"


@pytest.mark.parametrize("problem", [KeyboardInterrupt, RuntimeError, ConnectionTimedOut])
def test_exception_that_comes_while_waiting_loses_nothing(monkeypatch, problem):
    stream = ScriptedStream()
    conn = connection(monkeypatch, stream)
    finish(conn.co_send_request("GET", "/"))
    operation = conn.co_read_response()
    next(operation)
    with pytest.raises(problem):
        operation.throw(problem())

    stream.incoming = [OK]
    assert finish(conn.co_read_response()).status == 200
    assert finish(conn.co_readall()) == b"ok"


def test_continue_does_not_list_itself_among_the_earlier_ones(monkeypatch):
    stream = ScriptedStream([HINTS + b"HTTP/1.1 100 Continue\r\n\r\n"])
    conn = connection(monkeypatch, stream)
    finish(conn.co_send_request("PUT", "/", body=BodyFollowing(1), expect100=True))

    response = finish(conn.co_read_response())
    assert (response.status, [early.status for early in response.informational]) == (100, [103])
    finish(conn.co_write(b"x"))
    stream.incoming.append(OK)
    response = finish(conn.co_read_response())
    assert [early.status for early in response.informational] == [103, 100]


def test_broken_connection_gives_back_its_descriptor_without_garbage_collection(monkeypatch):
    class Link(ScriptedStream):
        pass

    stream = Link([b"junk"])
    conn = connection(monkeypatch, stream)
    finish(conn.co_send_request("GET", "/"))
    gone = weakref.ref(stream)
    del stream
    gc.disable()
    try:
        with pytest.raises(InvalidResponse):
            finish(conn.co_read_response())
        del conn
        monkeypatch.undo()
        assert gone() is None
    finally:
        gc.enable()


@pytest.mark.parametrize("way", ["blocking", "generator"])
def test_server_is_told_what_has_arrived_when_more_is_waited_for(monkeypatch, way):
    """It may hold back the rest until then (Nagle), and the system may take 40 ms (delayed ACK)."""
    stream = ScriptedStream()
    conn = connection(monkeypatch, stream)
    monkeypatch.setattr("dugong_like.connection.h1.receiver.run", finish)  # nobody may really wait

    def read(*incoming, name):
        stream.incoming = list(incoming)
        return (
            finish(getattr(conn, f"co_{name}")()) if way == "generator" else getattr(conn, name)()
        )

    conn.send_request("GET", "/")
    assert read(OK[:-2], name="read_response").status == 200
    assert stream.acknowledged == 0, "the request has told that already"
    assert read(WOULD_BLOCK, OK[-2:], name="readall") == b"ok"
    assert stream.acknowledged == 1

    conn.send_requests([("GET", "/1"), ("GET", "/2")])
    for acknowledged in (2, 3):
        assert read(WOULD_BLOCK, OK, name="read_response").status == 200
        assert read(name="readall") == b"ok"
        assert stream.acknowledged == acknowledged


def test_nobody_is_told_in_the_middle_of_much(monkeypatch):
    """What is more than a packet is held back by nobody, and each acknowledgement costs."""
    size = 300_000
    head = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % size
    stream = ScriptedStream([head, WOULD_BLOCK, bytes(30_000), WOULD_BLOCK])
    conn = connection(monkeypatch, stream)
    conn.send_request("GET", "/")
    finish(conn.co_read_response())
    buffer = bytearray(200_000)

    assert finish(conn.co_readinto(buffer)) == 30_000
    stream.incoming += [bytes(200_000), WOULD_BLOCK, bytes(70_000)]
    assert finish(conn.co_readinto(buffer)) == 200_000
    assert stream.acknowledged == 0
    assert finish(conn.co_readinto(buffer)) == 70_000
    assert stream.acknowledged == 1, "the rest may be held back"
    conn.send_request("GET", "/")
    stream.incoming = [WOULD_BLOCK, OK]
    finish(conn.co_read_response())
    assert stream.acknowledged == 2


class Records(ScriptedStream):
    """A stream of which `recv` and `recv_into` give no more than one record, as with TLS."""

    def recv_all_into(self, buffer):
        total = 0
        while total < len(buffer) and (count := self.recv_into(buffer[total:])):
            total += count
        return total or None


def test_many_short_records_are_read_into_memory_at_once(monkeypatch):
    head = b"HTTP/1.1 200 OK\r\nContent-Length: 400000\r\n\r\n"
    records = [pattern(1000)] * 250
    stream = Records([head, WOULD_BLOCK, *records, WOULD_BLOCK, *records[:150]])
    conn = connection(monkeypatch, stream)
    conn.send_request("GET", "/")
    finish(conn.co_read_response())
    buffer = bytearray(300_000)

    assert finish(conn.co_readinto(buffer)) == 250_000
    assert buffer[:250_000] == pattern(1000) * 250
    assert finish(conn.co_readinto(buffer)) == 150_000
    assert finish(conn.co_readinto(buffer)) == 0


def test_server_is_told_behind_much_as_well(monkeypatch):
    head = b"HTTP/1.1 200 OK\r\nContent-Length: 300000\r\n\r\n"
    stream = ScriptedStream([head, WOULD_BLOCK, bytes(300_000), WOULD_BLOCK, OK])
    conn = connection(monkeypatch, stream)
    conn.send_requests([("GET", "/1"), ("GET", "/2")])
    finish(conn.co_read_response())

    assert len(finish(conn.co_readall())) == 300_000
    assert stream.acknowledged == 0
    finish(conn.co_read_response())
    assert stream.acknowledged == 1


# ---- attempts


@pytest.fixture
def open_connection(monkeypatch):
    conn = connection(monkeypatch, ScriptedStream())
    conn.connect()
    return conn


@pytest.fixture
def receiver(open_connection):
    return open_connection._session.receiver


def test_attempts_are_made_until_one_succeeds_and_waits_come_between(open_connection, receiver):
    results = deque([None, None, "third"])
    operation = receiver.co(lambda argument: results.popleft(), 1)

    assert [need.fd for need in (next(operation), next(operation))] == [ScriptedStream.fd] * 2
    assert finish(operation) == "third"
    assert not open_connection._session.shared.reading.locked()


def test_waiting_comes_first_if_it_is_too_early(receiver):
    attempts = []
    operation = receiver.co(lambda argument: attempts.append(argument) or "done", 1, lambda: True)
    next(operation)
    assert attempts == []
    assert finish(operation) == "done"


def test_blocking_way_needs_no_generator_if_the_first_attempt_succeeds(open_connection, receiver):
    session = open_connection._session.shared
    assert receiver.block(lambda argument: argument, "now") == "now"
    with pytest.raises(ZeroDivisionError):
        receiver.block(lambda argument: 1 / argument, 0)
    assert not session.reading.locked()
    assert session.state is SessionState.BROKEN


def test_blocking_reader_keeps_its_place_while_it_waits(monkeypatch):
    """A later one could come in between its first attempt and its wait, and read in its place."""
    stream = ScriptedStream()
    conn = connection(monkeypatch, stream)
    conn.connect()
    receiver = conn._session.receiver
    refused = []

    def run(op):
        next(op)
        with pytest.raises(StateError, match="another operation is reading") as caught:
            receiver.block(lambda _: "stolen", None)
        refused.append(caught)
        return finish(op)

    monkeypatch.setattr("dugong_like.connection.h1.receiver.run", run)
    results = deque([None, "mine"])
    assert receiver.block(lambda _: results.popleft(), None) == "mine"
    assert len(refused) == 1


def test_time_limit_is_for_what_does_not_move(open_connection, receiver, monkeypatch):
    clock = SimpleNamespace(now=100.0, monotonic=lambda: clock.now)
    monkeypatch.setattr("dugong_like.connection.h1.reading_waits.time", clock)
    session, buffer = open_connection._session.shared, receiver.buffer
    session.timeout = 0.25
    operation = receiver.co(lambda argument: None, None)
    assert next(operation).deadline == 100.25
    clock.now = 100.125
    assert next(operation).deadline == 100.25
    buffer.received += 1
    assert next(operation).deadline == 100.375
    clock.now = 100.375
    with pytest.raises(ConnectionTimedOut, match=r"arrived for 0\.25 s "):
        next(operation)
    assert session.state is SessionState.OPEN


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt])
def test_an_exception_between_two_turns_loses_nothing(monkeypatch, error):
    """What comes from outside while other operations run finds everything where it was."""
    body = bytes(range(256)) * 16384
    head = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body)
    conn = connection(monkeypatch, ScriptedStream([head, body]))
    conn.send_request("GET", "/")
    conn.read_response()
    for _ in range(2):
        op = conn.co_readall()
        next(op)
        with pytest.raises(error):
            op.throw(error())
    assert finish(conn.co_readall()) == body
