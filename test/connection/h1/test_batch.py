"""Many exchanges as one operation, `HTTPConnection.exchange_all`."""

import asyncio
import itertools
import socket
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import partial

import pytest
from kit.every_driver import DRIVERS
from kit.interrupted import interrupted_at_each_line
from kit.steps import Steps
from kit.streams import BulkyScript, ScriptedStream, connection, finish
from kit.support import ScriptedServer, answering, read_head
from kit.told import Told

from dugong_like import (
    BodyFollowing,
    BodyTooLarge,
    Budget,
    ConnectionClosed,
    ConnectionTimedOut,
    Headers,
    HTTPConnection,
    InvalidRequest,
    InvalidResponse,
    Request,
    StateError,
    Target,
    Timeouts,
    async_connect,
    run,
)

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
LAST = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok"
ANSWERS = [  # methods, what comes in response, and its status and body
    ("GET", OK, 200, b"ok"),
    ("GET", OK, 200, b"ok"),
    ("HEAD", b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", 200, b""),
    (
        "GET",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
        200,
        b"ok",
    ),
    ("GET", b"HTTP/1.1 103 Early Hints\r\n\r\n" + OK, 200, b"ok"),
    ("GET", OK, 200, b"ok"),
    ("GET", b"HTTP/1.1 304 \r\nContent-Length: 5\r\n\r\n", 304, b""),
    ("HEAD", OK[:-2], 200, b""),
    ("GET", b"HTTP/1.1 200 OK\r\nX: a\r\n b\r\nContent-Length: 2\r\n\r\nok", 200, b"ok"),
    ("GET", OK, 200, b"ok"),
]
REQUESTS = [(method, f"/{place}") for place, (method, *_) in enumerate(ANSWERS)]
WIRE = b"".join(wire for _, wire, _, _ in ANSWERS)
EXPECTED = [(status, body) for _, _, status, body in ANSWERS]


class Answering(ScriptedStream):
    """A stream with a server that says *pieces* when a whole batch is sent."""

    def __init__(self, *pieces, rooms=(), bulky=False):
        super().__init__(rooms=list(rooms))
        self.pieces = pieces
        self.calls = 0

    def send(self, parts):
        count = super().send(parts)
        self.calls += 1
        if count and self.pieces and self.sent.endswith(b"\r\n\r\n"):
            self.incoming += self.pieces
            self.pieces = ()
        return count


def targets(sock):
    """Yield the target of each request, none of which has a body."""
    with sock.makefile("rb") as file:
        while line := file.readline():
            yield line.split(b" ")[1]
            while file.readline() not in {b"\r\n", b""}:
                pass


def echoing(sock):
    """Answer each request by its target, as fast as it comes."""
    for target in targets(sock):
        sock.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(target), target))


@pytest.fixture
def echo():
    with ScriptedServer(echoing) as server:
        yield server


@pytest.fixture
def scripted(monkeypatch):
    """A function that connects to streams from a script."""
    return partial(connection, monkeypatch)


def paths(count, begin=0):
    return [("GET", f"/{number}") for number in range(begin, begin + count)]


def bodies(replies):
    return [reply.body.decode() for reply in replies]


def outcome(replies):
    return [(reply.status, reply.body) for reply in replies]


@pytest.mark.parametrize("driver", DRIVERS)
def test_responses_are_in_the_order_of_the_requests(driver, echo):
    with HTTPConnection("127.0.0.1", echo.port, timeout=20) as conn:
        for _ in range(2):
            replies = driver(conn.co_exchange_all(paths(300)))
            assert bodies(replies) == [path for _, path in paths(300)]
        assert (replies[7].method, replies[7].path, replies[7].length) == ("GET", "/7", 2)
        assert bodies(conn.exchange_all(iter(paths(3)))) == ["/0", "/1", "/2"]
        assert conn.exchange_all([]) == []
        assert conn.exchange("GET", "/one").body == b"/one"
    assert echo.connections == 1


def test_head_in_two_parts_that_is_as_the_one_before(scripted):
    wire = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n"
    other = b"HTTP/1.1 200 OK\r\nX: y\r\nContent-Length: 2\r\n\r\n"
    for cut in range(1, len(wire)):
        first = wire + b"aa" + wire + b"bb" + wire[:cut]
        conn = scripted(Answering(first, wire[cut:] + b"cc" + other + b"dd"))
        replies = finish(conn.co_exchange_all([("GET", "/0")] * 4))
        assert bodies(replies) == ["aa", "bb", "cc", "dd"]


def test_every_framing_wherever_the_network_cuts(scripted):
    for warm in False, True:
        for cut in range(len(WIRE) + 1):
            stream = Answering(*[piece for piece in (WIRE[:cut], WIRE[cut:]) if piece])
            again = Answering(WIRE[:cut] + WIRE[cut:])
            conn = scripted(again, stream) if warm else scripted(stream)
            if warm:
                assert outcome(finish(conn.co_exchange_all(REQUESTS))) == EXPECTED
                conn.disconnect()
            assert outcome(finish(conn.co_exchange_all(REQUESTS))) == EXPECTED, cut
            assert stream.calls == 1
            assert conn.is_open(), cut
            assert not conn.response_pending()
            assert conn._session.receiver.buffer.data == b""  # its memory is given back


def test_bodies_larger_than_the_buffer(scripted):
    large = b"HTTP/1.1 200 OK\r\nContent-Length: 300000\r\n\r\n" + bytes(300_000)
    wire = OK + large + OK + large
    cuts = [0, 20, 41, 60, 90, 64 * 1024, 200_000, len(wire) - 5, len(wire)]
    stream = Answering(*[wire[a:b] for a, b in itertools.pairwise(cuts)])
    replies = finish(scripted(stream).co_exchange_all(paths(4)))
    assert [len(reply.body) for reply in replies] == [2, 300_000, 2, 300_000]


@pytest.mark.parametrize("size", [1, 7, 64])
def test_a_small_buffer(scripted, size):
    conn = scripted(Answering(WIRE), buffer_size=size)
    assert outcome(finish(conn.co_exchange_all(REQUESTS))) == EXPECTED


def test_bytes_behind_the_last_response_end_the_connection(scripted):
    first, second = Answering(OK + OK + b"HTTP/1.1 200 no"), Answering(OK)
    conn = scripted(first, second)
    assert len(finish(conn.co_exchange_all(paths(2)))) == 2
    assert not conn.is_open()
    assert len(finish(conn.co_exchange_all(paths(1)))) == 1
    assert second.calls == 1


@pytest.mark.parametrize("end", [b"", OK[:20], OK[:-1]])
def test_responses_before_the_end_of_the_connection_are_kept(scripted, end):
    conn = scripted(Answering(OK + OK + end, b""), Answering(OK))
    replies = []
    with pytest.raises(ConnectionClosed, match="GET http://script.test/2: ") as failure:
        finish(conn.co_exchange_all(paths(5), replies))
    assert failure.value.request_sent == ("yes" if end else "maybe")
    assert bodies(replies) == ["ok", "ok"]
    assert finish(conn.co_exchange_all(paths(1), replies)) is replies
    assert len(replies) == 3


def test_no_response_follows_the_last_one_of_a_connection(scripted):
    conn = scripted(Answering(OK + LAST + OK))
    replies = []
    with pytest.raises(ConnectionClosed, match="was the last one"):
        finish(conn.co_exchange_all(paths(3), replies))
    assert len(replies) == 2


def test_an_invalid_response_is_an_error_behind_those_before_it(scripted):
    for wrong in b"HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n", b"HTTP/1.1 200 OK\r\nA b\r\n\r\n":
        conn = scripted(Answering(OK + wrong + OK))
        replies = []
        with pytest.raises(InvalidResponse, match="GET http://script.test/1: "):
            finish(conn.co_exchange_all(paths(3), replies))
        assert len(replies) == 1


def test_limits_of_the_connection_hold(scripted):
    head = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nA: b\r\nC: d\r\n\r\nok"
    lax = scripted(Answering(*[head * 3] * 1), Answering(head * 3))
    for _ in range(2):  # now it is known
        assert len(finish(lax.co_exchange_all(paths(3)))) == 3
        lax.disconnect()
    conn = scripted(Answering(head * 3), max_fields=2)
    with pytest.raises(InvalidResponse, match="3 header fields"):
        finish(conn.co_exchange_all(paths(3)))


class OneOf:
    """A `Bundle` of waits for a script, whose numbers are those of no file."""

    def need(self, needs):
        assert len(needs) == 2
        return needs[0]

    def close(self):
        pass


def test_what_is_sent_in_part_is_sent_while_responses_are_read(scripted, monkeypatch):
    monkeypatch.setattr("dugong_like.connection.h1.batch.Bundle", OneOf)
    stream = Answering(rooms=[30, None, 25, None, None, 10_000])
    op = scripted(stream).co_exchange_all(paths(3))
    next(op)
    assert stream.sent.count(b"\r\n\r\n") < 3
    stream.incoming.append(OK)
    next(op)
    stream.incoming += [OK, OK]
    assert bodies(finish(op)) == ["ok"] * 3
    assert stream.sent.count(b"GET ") == 3


def test_neither_side_waits_for_ever_for_the_other_one_to_read():
    """The server reads nothing more before its response is taken."""

    def answer(sock):
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
        for _ in targets(sock):
            sock.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 5000\r\n\r\n" + bytes(5000))

    def requests():
        return [("GET", "/" + "x" * 5000)] * 2000

    with ScriptedServer(answer) as server:
        with HTTPConnection("127.0.0.1", server.port, timeout=20) as conn:
            assert {len(reply.body) for reply in conn.exchange_all(requests())} == {5000}
            assert len(run(conn.co_exchange_all(requests()))) == 2000


def test_bodies_and_fields_of_requests(echo):
    fields = Headers([("X", "y")])
    requests = [
        ("GET", "/0"),
        ["GET", "/1", {"X": "y"}],
        ("GET", "/2", fields),
        ("GET", "/3"),
        ("GET", Target("/4")),
        ("GET", "/5", None, None),
    ]
    with HTTPConnection("127.0.0.1", echo.port, timeout=20) as conn:
        for _ in range(2):
            assert bodies(conn.exchange_all(requests)) == [f"/{i}" for i in range(6)]


def test_bodies_are_sent_with_their_requests(scripted):
    stream = ScriptedStream(incoming=[OK * 3])
    stream.is_idle = lambda: True
    requests = [("PUT", "/0", None, b"one"), ("GET", "/1"), ("PUT", "/2", None, bytearray(b"two"))]
    assert len(finish(scripted(stream).co_exchange_all(requests))) == 3
    assert stream.sent.count(b"one") == stream.sent.count(b"two") == 1
    assert b"Content-MD5" not in stream.sent


WRONG = [
    (TypeError, "requests is an iterable", 5),
    (TypeError, r"requests\[1\] is ", [("GET", "/"), ("GET",)]),
    (TypeError, r"requests\[0\] is .*send\(\)", [Request("GET", "/")]),
    (TypeError, r"requests\[0\] is ", ["ab"]),
    (TypeError, "cannot follow", [("PUT", "/", None, BodyFollowing(3))]),
    (InvalidRequest, "no path", [("GET", "/"), ("GET", "no path")]),
    (InvalidRequest, "would be the last", [("GET", "/", {"Connection": "close"}), ("GET", "/")]),
    (InvalidRequest, "would be the last", [("GET", "/", {"Upgrade": "x"}), ("GET", "/")]),
]


@pytest.mark.parametrize(("kind", "message", "requests"), WRONG)
def test_wrong_requests_are_refused_before_the_first_is_sent(scripted, kind, message, requests):
    stream = Answering()
    with pytest.raises(kind, match=message):
        finish(scripted(stream).co_exchange_all(requests))
    assert stream.sent == b""


def test_a_target_does_not_allow_a_string_of_the_same_text(scripted):
    target = Target("http://script.test/")
    conn = scripted(Answering(OK))
    assert finish(conn.co_exchange_all([("GET", target)]))[0].path == target
    for ask in (
        partial(conn.co_exchange_all, [("GET", str(target))]),
        partial(conn.co_exchange, "GET", str(target)),
    ):
        with pytest.raises(InvalidRequest):
            finish(ask())


def test_replies_have_to_be_a_list():
    with HTTPConnection("127.0.0.1", 1) as conn:
        with pytest.raises(TypeError, match="replies is a list"):
            conn.exchange_all([], ())


def test_the_last_request_may_end_the_connection(scripted):
    first = Answering(OK + LAST)
    conn = scripted(first, Answering(OK))
    requests = [("GET", "/0"), ("GET", "/1", {"Connection": "close"})]
    assert len(finish(conn.co_exchange_all(requests))) == 2
    assert not conn.is_open()
    assert len(finish(conn.co_exchange_all(paths(1)))) == 1


def test_an_idle_connection_that_the_server_has_closed_is_made_anew():
    with ScriptedServer(answering(OK)) as server:
        with HTTPConnection("127.0.0.1", server.port, timeout=20) as conn:
            for number in range(1, 4):
                assert bodies(conn.exchange_all(paths(1))) == ["ok"]
                conn._session.shared.stream.wait_to_recv(20)  # it has closed
                assert server.connections == number


def test_responses_that_somebody_waits_for_come_first(scripted):
    conn = scripted(ScriptedStream(incoming=[OK]))
    finish(conn.co_send_request("GET", "/before"))
    with pytest.raises(StateError, match="still to be read"):
        finish(conn.co_exchange_all(paths(2)))


def test_abandoned_responses_are_skipped(scripted):
    stream = ScriptedStream(incoming=[OK.replace(b"ok", b"no") + OK * 2])
    conn = scripted(stream)
    finish(conn.co_send_request("GET", "/before")).abandon()
    assert bodies(finish(conn.co_exchange_all(paths(2)))) == ["ok", "ok"]


def test_nobody_else_takes_a_response(scripted):
    stream = Answering(OK)
    conn = scripted(stream)
    finish(conn.co_exchange_all(paths(1)))
    op = conn.co_exchange_all(paths(2))
    next(op)
    stream.incoming.append(OK * 2)
    with pytest.raises(StateError, match="another operation is reading"):
        finish(conn.co_read_response())
    assert len(finish(op)) == 2


def test_threads_take_turns(echo):
    with HTTPConnection("127.0.0.1", echo.port, timeout=20) as conn:

        def ask(number):
            if number % 3:
                return bodies(conn.exchange_all(paths(20, number * 20)))
            return [conn.exchange("GET", f"/{number}").body.decode()]

        with ThreadPoolExecutor(4) as pool:
            for number, got in enumerate(pool.map(ask, range(40))):
                if number % 3:
                    assert got == [path for _, path in paths(20, number * 20)]
                else:
                    assert got == [f"/{number}"]
    assert echo.connections == 1


def test_a_thread_does_not_wait_for_a_batch_that_it_drives_itself(echo):
    with HTTPConnection("127.0.0.1", echo.port, timeout=20) as conn:
        op = conn.co_exchange_all(paths(2))
        next(op)
        with pytest.raises(StateError, match="under way in this thread"):
            conn.exchange_all(paths(2))
        assert len(run(op)) == 2


@pytest.mark.parametrize("way", ["close", "throw"])
@pytest.mark.parametrize("size", [1, 5000])
def test_a_batch_that_is_given_up_hands_its_responses_to_nobody(echo, way, size):
    with HTTPConnection("127.0.0.1", echo.port, timeout=20) as conn:
        for waits in range(20):
            replies = []
            op = conn.co_exchange_all([("GET", "/" + "x" * size)] * 200, replies)
            try:
                for _ in range(waits % 7):
                    next(op).poll(20)
            except StopIteration:
                pass
            if way == "close":
                op.close()
            else:
                with pytest.raises(LookupError):
                    op.throw(LookupError())
            assert all(len(reply.body) == size + 1 for reply in replies)
            assert conn.exchange("GET", f"/{waits}").body == b"/%d" % waits
            assert bodies(conn.exchange_all(paths(2, waits))) == [f"/{waits}", f"/{waits + 1}"]


def test_a_task_that_is_cancelled_hands_its_responses_to_nobody(echo):
    async def main():
        async with async_connect("127.0.0.1", echo.port, timeout=20) as conn:
            for turn in range(30):
                task = asyncio.create_task(conn.exchange_all([("GET", "/given-up")] * 100))
                for _ in range(turn % 6):
                    await asyncio.sleep(0)
                task.cancel()
                with suppress(asyncio.CancelledError):
                    assert len(await task) == 100
                assert bodies(await conn.exchange_all(paths(2, turn))) == [
                    f"/{turn}",
                    f"/{turn + 1}",
                ]

    asyncio.run(main())


@pytest.mark.slow
@pytest.mark.skipif(sys.version_info >= (3, 12), reason="lines of a with are told in another way")
def test_no_interruption_hands_a_response_to_the_next(echo):
    conns = [HTTPConnection("127.0.0.1", echo.port, timeout=20)]
    conns[0].exchange_all(paths(3))
    count = 0
    for count in interrupted_at_each_line(
        lambda: conns[0].exchange_all([("GET", "/interrupted")] * 3)
    ):
        if conns[0]._exchanges.lock.locked():  # no signal is looked at in front of `finally`
            conns.pop().close()
            conns.append(HTTPConnection("127.0.0.1", echo.port, timeout=20))
        assert bodies(conns[0].exchange_all(paths(2, count))) == [f"/{count}", f"/{count + 1}"]
    assert count > 100
    conns[0].close()


@pytest.mark.parametrize("timeout", [0.05, Timeouts(read=0.05), Timeouts(total=0.05)])
def test_time_limits(timeout):
    go = threading.Event()

    def stop(sock):
        for _ in range(3):
            read_head(sock)
            sock.sendall(OK)
        go.wait(20)

    replies = []
    with ScriptedServer(stop) as server, HTTPConnection("127.0.0.1", server.port) as conn:
        conn.connect()
        conn.timeout = timeout
        with pytest.raises(ConnectionTimedOut) as failure:
            conn.exchange_all(paths(5), replies)
        go.set()
    assert bodies(replies) == ["ok"] * len(replies)
    assert f"/{len(replies)}: " in str(failure.value)


def test_a_late_head_is_noticed():
    go = threading.Event()

    def stop(sock):
        read_head(sock)
        sock.sendall(OK)
        go.wait(20)

    with ScriptedServer(stop) as server:
        with HTTPConnection("127.0.0.1", server.port, timeout=Timeouts(head=0.2)) as conn:
            replies = []
            with pytest.raises(ConnectionTimedOut) as failure:
                conn.exchange_all(paths(2), replies)
            go.set()
    assert f"/{len(replies)}: " in str(failure.value)


def test_observers_hear_of_each(echo):
    trace = Told()
    with HTTPConnection("127.0.0.1", echo.port, timeout=20, trace=trace) as conn:
        assert bodies(conn.exchange_all(paths(3))) == ["/0", "/1", "/2"]
    assert trace.events.count("http11.receive_response_headers.complete") == 3
    assert trace.events.count("http11.send_request_headers.complete") == 3


def test_a_budget_limits_each_body(echo):
    with HTTPConnection("127.0.0.1", echo.port, timeout=20, budget=Budget(max_body=3)) as conn:
        replies = []
        with pytest.raises(BodyTooLarge, match="/long"):
            conn.exchange_all([("GET", "/0"), ("GET", "/long"), ("GET", "/2")], replies)
        assert bodies(replies) == ["/0"]
        assert bodies(conn.exchange_all(paths(2))) == ["/0", "/1"]


def test_a_refusal_before_all_was_sent_is_a_response():
    """The server takes no more; what it has said before is read."""

    def refuse(sock):
        read_head(sock)
        sock.sendall(OK + b"HTTP/1.1 429 No\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
        sock.shutdown(socket.SHUT_WR)
        while sock.recv(65536):
            pass

    replies = []
    with ScriptedServer(refuse) as server:
        with HTTPConnection("127.0.0.1", server.port, timeout=20) as conn:
            with pytest.raises(ConnectionClosed):
                conn.exchange_all([("GET", "/" + "x" * 5000)] * 2000, replies)
    assert [reply.status for reply in replies] == [200, 429]


class Gathering(BulkyScript):
    """A stream that says how many bytes are waited for; each piece comes after such a wait."""

    def __init__(self, *pieces):
        super().__init__()
        self.pieces = list(pieces)
        self.sent_all = False

    def send(self, parts):
        self.sent_all = True
        return super().send(parts)

    def arrive(self):
        if self.sent_all and self.pieces:
            self.incoming.append(self.pieces.pop(0))

    def wanted_by_recv(self, deadline):
        self.arrive()
        return super().wanted_by_recv(deadline)

    def wanted_by_gathering(self, count, deadline):
        self.arrive()
        return super().wanted_by_gathering(count, deadline)


def test_a_call_that_blocks_waits_for_much_at_once(scripted, monkeypatch):
    monkeypatch.setattr("dugong_like.connection.connection.run", finish)
    kib = b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n" + bytes(1000)
    much = kib * 8
    for blocking in True, False:
        stream = Gathering(*[much] * 12, kib * 4)
        conn = scripted(stream)
        if blocking:
            assert len(conn.exchange_all(paths(100))) == 100
        else:  # nobody knows whether its driver knows deadlines
            assert len(finish(conn.co_exchange_all(paths(100)))) == 100
        assert (max(stream.marks) > 1) == blocking
        # Never for more than what is missing, nor for more than the buffer takes.
        assert max(stream.marks) <= 49152


def test_a_wait_for_too_much_is_not_repeated(scripted, monkeypatch):
    """The responses become smaller: then each byte is waited for."""
    monkeypatch.setattr("dugong_like.connection.connection.run", finish)
    large = b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n" + bytes(1000)
    stream = Gathering(large * 10, *[OK * 5] * 18)
    assert len(scripted(stream).exchange_all(paths(100))) == 100
    assert len([mark for mark in stream.marks if mark > 1]) == 1


def test_a_batch_is_sent_with_one_call_of_the_system(echo):
    requests = paths(10) * 10
    with HTTPConnection("127.0.0.1", echo.port) as conn:
        for _ in range(5):
            conn.exchange_all(requests)
        calls = []

        def profile(frame, event, function):
            if event == "c_call" and function.__name__ in {"send", "sendmsg"}:
                calls.append(function.__name__)

        sys.setprofile(profile)
        try:
            conn.exchange_all(requests)
        finally:
            sys.setprofile(None)
    assert len(calls) == 1


def test_steps_of_responses_that_arrive_together(scripted):
    counts = []
    for count in 50, 100:
        requests = paths(10) * (count // 10)
        stream = ScriptedStream()
        stream.is_idle = lambda: True
        conn = scripted(stream)
        for _ in range(5):
            stream.incoming.append(OK * count)
            with Steps() as steps:
                assert len(finish(conn.co_exchange_all(requests))) == count
        counts.append((steps.codes, steps.frames))
    (fewer, fewer_frames), (codes, frames) = counts
    assert frames - fewer_frames <= 50 * 2  # an exchange and a response
    assert codes - fewer <= 50 * 210
