"""A request and its whole response as one operation, also of several threads and tasks."""

import asyncio
import dis
import gc
import io
import os
import signal
import sys
import threading
import time
import tracemalloc
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from types import SimpleNamespace

import pytest
from kit import servers
from kit.every_driver import DRIVERS
from kit.interrupted import interrupted_at_each_line
from kit.silence import LONGER_AND_LONGER
from kit.steps import PACKAGE, Steps
from kit.streams import END, WOULD_BLOCK, ScriptedStream, connection, finish
from kit.support import ScriptedServer, answering, read_exactly, read_head, wait_until
from kit.told import Told

from dugong_like import (
    AsyncConnection,
    BodyFollowing,
    BodyTooLarge,
    Budget,
    ConnectFailed,
    ConnectionClosed,
    ConnectionTimedOut,
    DigestAuth,
    HTTPConnection,
    InvalidOption,
    InvalidRequest,
    InvalidResponse,
    Proxy,
    StateError,
    Timeouts,
    async_connect,
    run,
    within,
)
from dugong_like.connection import operations
from dugong_like.drivers import aio
from dugong_like.polling import fair_lock

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nX-One: a\r\nx-one: b\r\n\r\nok"
CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\nT: u\r\n\r\n"


def echoing(sock):
    """Answer each request by its target, and by the body that came with it."""
    while head := read_head(sock):
        line, _, fields = head.partition(b"\r\n")
        length = 0
        for field in fields.split(b"\r\n"):
            if field.lower().startswith(b"content-length:"):
                length = int(field.partition(b":")[2])
        body = read_exactly(sock, length) if length else b""
        said = line.split(b" ")[1] + body
        sock.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(said), said))


class Answering(ScriptedStream):
    """A stream with a server that gives one of *answers* when a request is complete.

    Args:
        answers: each is bytes, or pieces that are received one by one.
        rooms: see `ScriptedStream`.

    """

    def __init__(self, *answers, rooms=()):
        super().__init__(rooms=list(rooms))
        self.answers = list(answers)

    def send(self, parts):
        count = super().send(parts)
        if self.sent.endswith(b"\r\n\r\n") and count and self.answers:
            answer = self.answers.pop(0)
            self.incoming += [answer] if isinstance(answer, bytes) else answer
        return count


@pytest.fixture
def scripted(monkeypatch):
    """A function that connects to streams from a script, also for blocking calls."""
    monkeypatch.setattr("dugong_like.connection.connection.run", finish)
    return partial(connection, monkeypatch)


@pytest.fixture
def echo():
    with ScriptedServer(echoing) as server:
        yield server


@pytest.mark.parametrize("driver", DRIVERS)
def test_exchange(driver, echo):
    with HTTPConnection("127.0.0.1", echo.port, timeout=60) as conn:

        def co_talk():
            for number in range(3):
                reply = yield from conn.co_exchange("GET", f"/{number}")
                assert (reply.status, reply.body) == (200, b"/%d" % number)
            reply = yield from conn.co_exchange("PUT", "/", {"X": "y"}, b"body")
            assert reply.body == b"/body"
            reply = yield from conn.co_exchange("PUT", "/", body=io.BytesIO(b"stream"))
            return reply.body

        assert driver(co_talk()) == b"/stream"
        assert conn.exchange("GET", "/twin").body == b"/twin"
        assert conn.exchange("GET", "/twin").body == b"/twin"
        assert not conn.response_pending()
    assert echo.connections == 1


@pytest.mark.parametrize("driver", DRIVERS)
def test_late_bodies_of_errors_may_be_left_to_the_caller(driver):
    """Those that came with the head are there; the others are read, or skipped, by the caller."""
    ask = threading.Event()

    def talk(sock):
        for status in (200, 404, 503):
            read_head(sock)
            sock.sendall(b"HTTP/1.1 %d X\r\nContent-Length: 6\r\n\r\n" % status)
            if status != 200:
                ask.wait(100)
                ask.clear()
            sock.sendall(b"longer")
        read_head(sock)
        sock.sendall(b"HTTP/1.1 500 X\r\nContent-Length: 2\r\n\r\nok")

    def co_talk(conn):
        bodies = []
        for number in range(4):
            reply = yield from conn.co_exchange("GET", f"/{number}")
            bodies.append((reply.status, reply.body))
            if reply.body is None:
                ask.set()
                bodies.append((yield from conn.co_readall()))
        return bodies

    with (
        ScriptedServer(talk) as server,
        HTTPConnection("127.0.0.1", server.port, timeout=60, whole_below=400) as conn,
    ):
        assert driver(co_talk(conn)) == [
            *((200, b"longer"), (404, None), b"longer", (503, None), b"longer", (500, b"ok"))
        ]


@pytest.mark.parametrize("value", [99, 1001, 300.0, True, "300", None])
def test_statuses_whose_bodies_are_left_to_the_caller(value):
    with pytest.raises((TypeError, InvalidOption), match="whole_below"):
        HTTPConnection("h.test", whole_below=value)


def test_reply(scripted):
    conn = scripted(Answering(OK, CHUNKED, b"HTTP/1.0 204 \r\n\r\n"))
    reply = conn.exchange("GET", "/p")
    assert (reply.status, reply.reason, reply.http_version, reply.length) == (200, "OK", "1.1", 2)
    assert (reply.method, reply.path) == ("GET", "/p")
    assert (reply.field("X-ONE"), reply.field("x-two"), reply.field("é\u20ac")) == (
        "a, b",
        None,
        None,
    )
    assert reply.headers.get_all("X-One") == ["a", "b"]
    assert reply.trailers.items() == []
    assert reply.informational == ()
    assert repr(reply) == "<Reply 200 OK to GET /p, 2 bytes>"
    reply = conn.exchange("GET", "/p")
    assert (reply.body, reply.trailers["t"]) == (b"ok", "u")
    assert conn.exchange("GET", "/p").body == b""


ANSWERS = {
    "sized": (OK, b"ok"),
    "in pieces": (OK[:30], OK[30:], b"ok"),
    "chunked": (CHUNKED, b"ok"),
    "until close": (b"HTTP/1.0 200 OK\r\n\r\nok", END, b"ok"),
    "last": (b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok", b"ok"),
    "informational": (b"HTTP/1.1 103 Early\r\n\r\n" + OK, b"ok"),
    "none": (b"HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n", b""),
    "large": (
        b"HTTP/1.1 200 OK\r\nContent-Length: 300000\r\n\r\n" + bytes(300_000),
        bytes(300_000),
    ),
}


@pytest.mark.parametrize("kind", ANSWERS)
@pytest.mark.parametrize("blocking", [False, True])
def test_every_framing(scripted, kind, blocking):
    *pieces, body = ANSWERS[kind]
    conn = scripted(Answering(OK, OK, pieces, OK), Answering(OK))
    for expected in (b"ok", b"ok", body, b"ok"):
        if blocking:
            assert conn.exchange("GET", "/").body == expected
        else:
            assert finish(conn.co_exchange("GET", "/")).body == expected


def test_tasks_each_get_their_own_response(echo):
    async def main():
        async with async_connect("127.0.0.1", echo.port, timeout=60) as conn:

            async def ask(number):
                return (await conn.exchange("GET", f"/{number}")).body

            return await asyncio.gather(*map(ask, range(50)))

    assert asyncio.run(main()) == [b"/%d" % number for number in range(50)]
    assert echo.connections == 1


def test_threads_each_get_their_own_response(echo):
    with HTTPConnection("127.0.0.1", echo.port, timeout=60) as conn:

        def ask(number):
            return conn.exchange("GET", f"/{number}").body

        with ThreadPoolExecutor(8) as pool:
            assert list(pool.map(ask, range(200))) == [b"/%d" % number for number in range(200)]
    assert echo.connections == 1


@pytest.mark.parametrize("blocking", [False, True])
def test_connection_that_the_server_has_closed_meanwhile_is_made_anew(blocking):
    with ScriptedServer(answering(OK)) as server:
        with HTTPConnection("127.0.0.1", server.port, timeout=60) as conn:
            for _ in range(3):
                if blocking:
                    assert conn.exchange("GET", "/").body == b"ok"
                else:
                    assert run(conn.co_exchange("GET", "/")).body == b"ok"
                while conn.is_open():
                    threading.Event().wait(0.001)
        assert server.connections == 3


def test_a_send_that_fails_at_once_is_made_again_elsewhere(scripted):
    first = Answering(OK)
    conn = scripted(first, Answering(OK))
    conn.exchange("GET", "/")
    first.rooms = [ConnectionClosed("reset")]
    assert conn.exchange("GET", "/2").body == b"ok"


@pytest.mark.parametrize("blocking", [False, True])
@pytest.mark.parametrize("rooms", [[10], [None, 20], [10, None, 10, None]])
def test_a_request_that_is_sent_in_part(scripted, rooms, blocking):
    stream = Answering(OK, OK)
    conn = scripted(stream)
    conn.exchange("GET", "/")
    stream.rooms, stream.sent = list(rooms), b""
    if blocking:
        assert conn.exchange("GET", "/").body == b"ok"
    else:
        assert finish(conn.co_exchange("GET", "/")).body == b"ok"
    assert stream.sent.startswith(b"GET / HTTP/1.1\r\n")
    assert stream.sent.count(b"GET") == 1


def test_early_final_response_is_the_reply():
    def refuse(sock):
        read_head(sock)
        sock.sendall(b"HTTP/1.1 413 Too Large\r\nContent-Length: 3\r\n\r\nno.")
        while sock.recv(65536):
            pass

    with ScriptedServer(refuse) as server:
        with HTTPConnection("127.0.0.1", server.port, timeout=60) as conn:
            reply = conn.exchange("PUT", "/", body=bytes(50_000_000))
    assert (reply.status, reply.body) == (413, b"no.")


def test_responses_of_requests_before_come_first(scripted):
    stream = Answering(OK, OK, OK)
    conn = scripted(stream)
    conn.send_request("GET", "/1")
    with pytest.raises(StateError, match="earlier requests are still to be read"):
        conn.exchange("GET", "/2")
    assert conn.read_response().path == "/1"
    conn.readall()
    stream.answers[:0] = [OK[:-2] + b"no"]
    conn.send_request("GET", "/2").abandon()
    assert conn.exchange("GET", "/3").body == b"ok"


def test_nobody_else_reads_the_response(scripted):
    stream = Answering(OK)
    conn = scripted(stream)
    conn.exchange("GET", "/")
    op = conn.co_exchange("GET", "/mine")
    next(op)
    with pytest.raises(StateError, match="another operation is reading"):
        next(conn.co_read_response())
    with pytest.raises(StateError, match="another operation is sending"):
        next(conn.co_send_request("GET", "/other"))
    stream.incoming = [OK]
    assert finish(op).path == "/mine"


class Late:
    """A lock that another thread is faster to take: *do* is called before that."""

    def __init__(self, shared, do):
        self._shared, self._lock, self._do = shared, shared.sending, do

    def acquire(self, blocking):
        self._shared.sending = self._lock
        self._do()
        return self._lock.acquire(blocking)

    def release(self):
        self._lock.release()


@pytest.mark.parametrize("headers", [None, {"Connection": "close"}], ids=["short", "by halves"])
@pytest.mark.parametrize("blocking", [False, True])
def test_a_request_that_another_thread_sends_in_between_keeps_its_response(
    scripted, headers, blocking
):
    first = Answering(
        OK, [], [OK[:-2] + b"no", OK]
    )  # the second one is answered when a third is sent
    conn = scripted(first, Answering(OK))
    conn.exchange("GET", "/")
    shared = conn._session.shared
    shared.sending = Late(shared, lambda: conn.send_request("GET", "/other"))
    with pytest.raises(StateError, match="still to be read"):
        if blocking:
            conn.exchange("GET", "/mine", headers)
        else:
            finish(conn.co_exchange("GET", "/mine", headers))
    if first.answers:
        first.incoming = first.answers.pop()
    assert conn.read_response().path == "/other"
    assert conn.readall() == b"no"


def test_a_connection_that_was_closed_under_a_reader_is_made_anew(scripted):
    conn = scripted(Answering(), Answering(OK))
    conn.send_request("GET", "/1")
    reader = conn.co_read_response()
    next(reader)
    conn.disconnect()
    assert conn.exchange("GET", "/2").path == "/2"
    with pytest.raises(ConnectionClosed):
        next(reader)


@pytest.mark.parametrize("end", ["close", "throw"])
@pytest.mark.parametrize("headers", [{"Connection": "close"}, {"Upgrade": "x"}])
@pytest.mark.parametrize("warm", [False, True])
def test_an_exchange_that_lets_none_follow_may_be_given_up(scripted, headers, warm, end):
    conn = scripted(*([Answering(OK)] if warm else [Answering()]), Answering(OK, OK))
    if warm:
        conn.exchange("GET", "/")
    op = conn.co_exchange("GET", "/1", headers)
    next(op)
    if end == "close":
        op.close()
    else:
        with pytest.raises(LookupError):
            op.throw(LookupError())
    for path in ("/2", "/3"):
        assert conn.exchange("GET", path).path == path


def test_a_closed_connection_leaves_nothing_taken_when_a_request_was_sent_in_part(scripted):
    first = Answering(OK)
    conn = scripted(first, Answering(OK))
    conn.exchange("GET", "/")
    shared, send = conn._session.shared, first.send

    def close_in_between(parts):
        first.rooms, first.send = [10], send
        count = send(parts)
        conn.disconnect()
        return count

    first.send = close_in_between
    with pytest.raises(ConnectionClosed) as failure:
        conn.exchange("GET", "/1")
    assert failure.value.request_sent == "maybe"
    assert first.closed
    assert not shared.sending.locked()
    assert conn.exchange("GET", "/2").path == "/2"


class Pieces:
    """A body that is sent in pieces."""

    def __iter__(self):
        return iter([b"one", b"two"])


def test_nobody_else_reads_the_response_to_a_body_in_pieces(scripted):
    stream = Answering()
    conn = scripted(stream)
    op = conn.co_exchange("PUT", "/mine", body=Pieces())
    next(op)
    assert stream.sent.endswith(b"0\r\n\r\n")
    with pytest.raises(StateError, match="another operation is reading"):
        next(conn.co_read_response())
    op.close()
    stream.incoming, stream.answers = [OK], [OK[:-2] + b"no"]
    assert conn.exchange("GET", "/next").body == b"no"


@pytest.mark.parametrize("waits", [1, 2])
def test_a_body_in_pieces_that_is_answered_early_may_be_given_up(scripted, waits):
    refusing = Answering()
    conn = scripted(refusing, Answering(OK))

    def pieces():
        yield b"one"
        refusing.incoming = [b"HTTP/1.1 413 No\r\nContent-Length: 9\r\n\r\n", WOULD_BLOCK, b"wait"]
        yield b"two"

    op = conn.co_exchange("PUT", "/1", body=pieces())
    for _ in range(waits):
        next(op)
    op.close()
    assert conn.exchange("GET", "/2").path == "/2"


def test_what_is_refused_before_anything_is_sent(scripted):
    stream = Answering(OK)
    conn = scripted(stream)
    with pytest.raises(InvalidRequest):
        conn.exchange("GET", "/ ")
    with pytest.raises(TypeError, match="cannot follow"):
        conn.exchange("PUT", "/", body=BodyFollowing(3))
    with pytest.raises(TypeError, match="body"):
        conn.exchange("PUT", "/", body=5)
    assert stream.sent == b""
    assert conn.exchange("GET", "/").status == 200


def test_limits():
    def silent(sock):
        while sock.recv(1000):
            pass

    with ScriptedServer(silent) as server:
        for timeout in (0.05, Timeouts(read=0.05), Timeouts(total=0.05)):
            with HTTPConnection("127.0.0.1", server.port) as conn:
                for ask in (conn.exchange, lambda *a, conn=conn: run(conn.co_exchange(*a))):
                    conn.timeout = None
                    conn.connect()
                    conn.timeout = timeout
                    with pytest.raises(ConnectionTimedOut) as caught:
                        ask("GET", "/")
                    assert caught.value.request_sent == "maybe"


def test_limit_of_the_body(scripted):
    conn = scripted(Answering(OK), budget=Budget(max_body=1))
    with pytest.raises(BodyTooLarge):
        conn.exchange("GET", "/")


def test_a_time_out_does_not_begin_anew_where_nothing_has_arrived(scripted):
    stream = Answering(OK)
    conn = scripted(stream, timeout=50)
    conn.exchange("GET", "/")
    op = conn.co_exchange("GET", "/")
    first = next(op).deadline
    assert next(op).deadline == first
    stream.incoming = [OK[:9]]
    assert next(op).deadline > first
    stream.incoming = [OK[9:]]
    assert finish(op).body == b"ok"


LONG = b"HTTP/1.1 200 OK\r\nContent-Length: 5000\r\n\r\n"
SHORT = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n"


@pytest.mark.parametrize("blocking", [False, True])
def test_a_body_that_comes_behind_its_head(scripted, monkeypatch, blocking):
    """In one piece or several; and a head in part is not taken for one that came before."""
    monkeypatch.setattr("dugong_like.connection.h1.session.wait", lambda *_: True)
    long = LONG + bytes(5000)
    answers = [[LONG, bytes(5000)], [long[:50], long[50:100], long[100:]], long]
    cut = [[SHORT[:number], SHORT[number:]] for number in range(1, 60)]
    conn = scripted(Answering(OK, *answers, *cut))
    assert conn.exchange("GET", "/").body == b"ok"
    reads = []
    read = conn._session.co_reply
    monkeypatch.setattr(
        type(conn._session), "co_reply", lambda self, *args: reads.append(args) or read(*args)
    )
    for number in range(62):
        reply = conn.exchange("GET", "/") if blocking else finish(conn.co_exchange("GET", "/"))
        assert reply.body == (bytes(5000) if number < 3 else b"ok")
        assert bool(reads) == (number > 2)  # the general way was not needed
        assert not conn.response_pending()


@pytest.mark.parametrize("blocking", [False, True])
def test_time_limit_of_a_body_that_does_not_come(scripted, monkeypatch, blocking):
    monkeypatch.setattr("dugong_like.connection.h1.session.wait", lambda *_: True)
    clock = iter(range(0, 1000, 10))
    monkeypatch.setattr(
        "dugong_like.connection.h1.session.time", SimpleNamespace(monotonic=lambda: next(clock))
    )
    stream = Answering(OK, LONG)
    conn = scripted(stream, timeout=25)
    conn.exchange("GET", "/")
    with pytest.raises(ConnectionTimedOut, match="arrived for 25 s") as caught:
        if blocking:
            conn.exchange("GET", "/")
        else:
            finish(conn.co_exchange("GET", "/"))
    assert caught.value.request_sent == "yes"
    stream.incoming += [bytes(5000)]  # which the next one skips
    stream.answers = [OK]
    assert finish(conn.co_exchange("GET", "/")).body == b"ok"


def test_an_exchange_that_is_given_up_between_head_and_body(scripted):
    stream = Answering(OK, LONG, OK)
    conn = scripted(stream)
    conn.exchange("GET", "/")
    op = conn.co_exchange("GET", "/")
    next(op), next(op)
    op.close()
    stream.incoming += [bytes(5000)]
    assert finish(conn.co_exchange("GET", "/")).body == b"ok"


def test_end_of_the_stream_between_head_and_body(scripted):
    conn = scripted(Answering(OK, [LONG, bytes(50), END]))
    conn.exchange("GET", "/")
    with pytest.raises(ConnectionClosed):
        finish(conn.co_exchange("GET", "/"))


def test_a_broken_connection_is_made_anew(scripted):
    conn = scripted(Answering(b"nonsense\r\n\r\n"), Answering(OK))
    with pytest.raises(InvalidResponse):
        conn.exchange("GET", "/")
    assert conn.exchange("GET", "/").body == b"ok"


def test_a_trace_is_told_the_same_as_of_three_calls(scripted):
    told = Told()
    conn = scripted(Answering(OK, OK), trace=told)
    conn.send_request("GET", "/"), conn.read_response(), conn.readall()
    by_calls = told.events[:]
    told.clear()
    conn.exchange("GET", "/")
    assert told.events == by_calls


def test_an_upload_that_was_lost_is_no_response_to_be_read():
    def lose(sock):
        read_head(sock)
        if server.connections > 1:
            sock.sendall(OK)
            read_head(sock)
        else:  # with a reset, as there are bytes that nobody reads
            assert sock.recv(1)

    with ScriptedServer(lose) as server:
        with HTTPConnection("127.0.0.1", server.port, timeout=60) as conn:
            with pytest.raises(ConnectionClosed):
                conn.exchange("PUT", "/", body=io.BytesIO(bytes(50_000_000)))
            assert conn.exchange("GET", "/").body == b"ok"


def test_a_body_that_is_not_sent_is_where_it_was():
    with servers.refusing_port() as port, HTTPConnection("127.0.0.1", port) as conn:
        body = io.BytesIO(b"12345")
        body.seek(2)
        with pytest.raises(ConnectFailed):
            conn.exchange("PUT", "/", body=body)
        assert body.tell() == 2


def test_early_final_response_to_a_body_from_a_stream():
    def refuse(sock):
        read_head(sock)
        sock.sendall(b"HTTP/1.1 413 Too Large\r\nContent-Length: 3\r\n\r\nno.")
        while sock.recv(65536):
            pass

    with ScriptedServer(refuse) as server:
        with HTTPConnection("127.0.0.1", server.port, timeout=60) as conn:
            reply = conn.exchange("PUT", "/", body=io.BytesIO(bytes(50_000_000)))
    assert (reply.status, reply.body, reply.method) == (413, b"no.", "PUT")


def signals_of(call, *modules):
    """Call *call* again and again, each time with KeyboardInterrupt where Python handles signals.

    That is behind the next call of a function in the code of *modules*, and not everywhere.
    """
    files = {module.__file__ for module in modules}
    at = 0
    while True:
        at += 1
        left, called = at, False

        def trace(frame, event, arg):
            nonlocal left, called
            if frame.f_code.co_filename not in files:
                return None
            frame.f_trace_opcodes, frame.f_trace_lines = True, False
            if event == "opcode":
                if called:
                    left -= 1
                    if left == 0:
                        sys.settrace(None)
                        raise KeyboardInterrupt
                called = dis.opname[frame.f_code.co_code[frame.f_lasti]] == "CALL"
            return trace

        sys.settrace(trace)
        try:
            call()
        except KeyboardInterrupt:
            yield at
        else:
            return
        finally:
            sys.settrace(None)


def test_no_signal_keeps_the_next_exchange_waiting(echo):
    times = []
    with HTTPConnection("127.0.0.1", echo.port, timeout=60) as conn:
        for number in signals_of(
            lambda: run(conn.co_exchange("GET", f"/{len(times)}")), operations, fair_lock
        ):
            times.append(number)
            reply = run(within(time.monotonic() + 20, conn.co_exchange("GET", f"/next{number}")))
            assert reply.body == f"/next{number}".encode()
    # Python 3.12 does not tell opcodes of frames that were begun before it was asked to.
    assert len(times) > 2 or sys.version_info[:2] == (3, 12)


UNDER_WAY = "another exchange of this connection is under way in this thread"


@pytest.mark.parametrize("timeout", [None, Timeouts(total=20)])
def test_a_thread_does_not_wait_for_an_exchange_that_it_drives_itself(echo, timeout):
    with HTTPConnection("127.0.0.1", echo.port, timeout=timeout) as conn:
        first, second = conn.co_exchange("GET", "/1"), conn.co_exchange("GET", "/2")
        for waiting in first, second:
            waits = next(waiting)
        with pytest.raises(StateError, match=UNDER_WAY) as failure:
            conn.exchange("GET", "/blocking")
        assert failure.value.request_sent == "no"

        assert run(first).body == b"/1"
        with pytest.raises(StateError, match=UNDER_WAY):  # it is the turn of the second one
            conn.exchange("GET", "/blocking")
        assert waits.poll(20)
        assert run(second).body == b"/2"
        assert conn.exchange("GET", "/blocking").body == b"/blocking"


def test_a_task_does_not_block_its_loop_for_an_exchange_of_another_task(echo):
    async def main():
        async with async_connect("127.0.0.1", echo.port) as conn:
            tasks = [asyncio.ensure_future(conn.exchange("GET", f"/{i}")) for i in range(3)]
            await asyncio.sleep(0)
            with pytest.raises(StateError, match=UNDER_WAY):
                conn.connection.exchange("GET", "/blocking")
            assert [reply.body for reply in await asyncio.gather(*tasks)] == [b"/0", b"/1", b"/2"]
            assert conn.connection.exchange("GET", "/blocking").body == b"/blocking"

    asyncio.run(main())


def test_another_thread_waits_for_an_exchange_that_is_suspended(echo):
    with HTTPConnection("127.0.0.1", echo.port) as conn, ThreadPoolExecutor(1) as pool:
        first = conn.co_exchange("GET", "/1")
        next(first)
        blocking = pool.submit(conn.exchange, "GET", "/2")
        wait_until(lambda: conn._exchanges.waiting)
        assert not blocking.done()
        assert run(first).body == b"/1"
        assert blocking.result(100).body == b"/2"


@pytest.mark.slow
@pytest.mark.skipif(sys.version_info >= (3, 12), reason="lines of a with are told in another way")
def test_no_interruption_hands_a_response_to_the_next(echo):
    conns = [HTTPConnection("127.0.0.1", echo.port, timeout=60)]
    conns[0].exchange("GET", "/0")
    count = 0
    for count in interrupted_at_each_line(lambda: conns[0].exchange("GET", "/interrupted")):
        if conns[0]._exchanges.lock.locked():  # no signal is looked at in front of `__exit__`
            conns.pop().close()
            conns.append(HTTPConnection("127.0.0.1", echo.port, timeout=60))
        assert conns[0].exchange("GET", f"/{count}").body == b"/%d" % count
    assert count > 50
    conns[0].close()


@pytest.mark.slow
@pytest.mark.skipif(sys.version_info >= (3, 12), reason="lines of a with are told in another way")
def test_no_interruption_of_the_first_exchange_hands_its_response_to_the_next(echo):
    conns = [HTTPConnection("127.0.0.1", echo.port, timeout=60)]
    count = 0
    for count in interrupted_at_each_line(lambda: conns[0].exchange("GET", "/interrupted")):
        if not conns[0]._exchanges.lock.locked():  # no signal is looked at in front of `__exit__`
            assert conns[0].exchange("GET", f"/{count}").body == b"/%d" % count
            assert conns[0].exchange("GET", "/next").body == b"/next"
        conns.pop().close()
        conns.append(HTTPConnection("127.0.0.1", echo.port, timeout=60))
    assert count > 100
    conns[0].close()


@pytest.mark.parametrize("way", ["close", "throw"])
def test_an_operation_that_is_given_up_hands_its_response_to_nobody(echo, way):
    with HTTPConnection("127.0.0.1", echo.port, timeout=60) as conn:
        for waits in range(20):
            op = conn.co_exchange("PUT", "/given-up", body=bytes(waits * 100_000))
            try:
                for _ in range(waits % 5):
                    next(op).poll(20)
            except StopIteration:
                pass
            if way == "close":
                op.close()
            else:
                with pytest.raises(LookupError):
                    op.throw(LookupError())
            assert conn.exchange("GET", f"/{waits}").body == b"/%d" % waits


@pytest.mark.parametrize("size", [0, 3_000_000])
def test_a_task_that_is_cancelled_hands_its_response_to_nobody(echo, size):
    async def main():
        async with async_connect("127.0.0.1", echo.port, timeout=60) as conn:
            for turn in range(30):
                task = asyncio.create_task(conn.exchange("PUT", "/given-up", body=bytes(size)))
                for _ in range(turn % 6):
                    await asyncio.sleep(0)
                task.cancel()
                with suppress(asyncio.CancelledError):
                    assert (await task).body == b"/given-up" + bytes(size)
                assert (await conn.exchange("GET", f"/{turn}")).body == b"/%d" % turn
                assert not conn.connection.response_pending()

    asyncio.run(main())


def test_a_cancelled_task_leaves_the_connection_and_its_turn_to_the_next(echo):
    async def main():
        async with async_connect("127.0.0.1", echo.port, timeout=60) as conn:
            await conn.exchange("GET", "/")
            tasks = [asyncio.create_task(conn.exchange("GET", f"/{n}")) for n in range(5)]
            await asyncio.sleep(0)
            for task in tasks[:3]:
                task.cancel()
            for task in tasks[:3]:
                with pytest.raises(asyncio.CancelledError):
                    await task
            assert [(await task).body for task in tasks[3:]] == [b"/3", b"/4"]

    asyncio.run(main())
    assert echo.connections == 1


@pytest.mark.parametrize("kind", ["sized", "chunked", "informational", "none", "last", "in pieces"])
def test_every_framing_awaited(kind):
    *pieces, body = ANSWERS[kind]

    def answer(sock):
        while head := read_head(sock):
            for piece in [OK] if b"/plain" in head else pieces:
                sock.sendall(piece)

    async def main():
        async with async_connect("127.0.0.1", server.port, timeout=60) as conn:
            for _ in range(3):
                assert (await conn.exchange("GET", "/plain")).body == b"ok"
                assert (await conn.exchange("GET", "/", {"X": "y"})).body == body

    with ScriptedServer(answer) as server:
        asyncio.run(main())


@pytest.mark.parametrize("limit", ["stall", "read", "total"])
@pytest.mark.parametrize("begun", [b"", b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nbeg"])
def test_limits_awaited(limit, begun):
    expected = "yes" if begun else "maybe"

    def stop(sock):
        read_head(sock)
        sock.sendall(OK)
        while read_head(sock):
            sock.sendall(begun)

    async def main():
        for seconds in LONGER_AND_LONGER:
            async with async_connect("127.0.0.1", server.port) as conn:
                await conn.exchange("GET", "/")
                conn.connection.timeout = Timeouts(**{limit: seconds})
                with pytest.raises(ConnectionTimedOut) as caught:
                    await conn.exchange("GET", "/")
            if caught.value.request_sent == expected:
                break
        assert caught.value.request_sent == expected

    with ScriptedServer(stop) as server:
        asyncio.run(main())


def test_a_connection_that_is_lost_is_told_to_the_task_and_made_anew():
    def vanish(sock):
        for answer in (OK, b""):
            read_head(sock)
            sock.sendall(answer)

    async def main():
        async with async_connect("127.0.0.1", server.port, timeout=60) as conn:
            for _ in range(3):
                await conn.exchange("GET", "/")
                with pytest.raises(ConnectionClosed):
                    await conn.exchange("GET", "/")

    with ScriptedServer(vanish) as server:
        asyncio.run(main())
    assert server.connections == 3


def test_closing_ends_an_exchange_that_is_awaited():
    async def main():
        async with async_connect("127.0.0.1", server.port, timeout=60) as conn:
            await conn.exchange("GET", "/")
            task = asyncio.create_task(conn.exchange("GET", "/"))
            await asyncio.sleep(0)
            conn.connection.disconnect()
            with pytest.raises(ConnectionClosed):
                await task
            assert (await conn.exchange("GET", "/")).body == b"ok"

    def once(sock):
        read_head(sock)
        sock.sendall(OK)
        read_head(sock)

    with ScriptedServer(once) as server:
        asyncio.run(main())


def test_what_runs_operations_runs_exchanges_too(echo):
    ran = []

    async def observed(op):
        ran.append(op)
        return await aio.run(op)

    class Own(HTTPConnection):
        def co_exchange(self, method, path, headers=None, body=None):
            ran.append(path)
            return super().co_exchange(method, path, headers, body)

    async def main():
        async with async_connect("127.0.0.1", echo.port, timeout=60) as conn:
            await conn.exchange("GET", "/")
            conn.run = observed
            await conn.exchange("GET", "/")
            assert len(ran) == 1
        with Own("127.0.0.1", echo.port) as own:
            assert (await AsyncConnection(own).exchange("GET", "/own")).body == b"/own"
            assert ran[1:] == ["/own"]

    asyncio.run(main())


def test_steps_of_a_warm_exchange_that_is_awaited(echo):
    async def main():
        async with async_connect("127.0.0.1", echo.port) as conn:
            for _ in range(5):
                await conn.exchange("GET", "/")
            with Steps(of=PACKAGE) as steps:
                await conn.exchange("GET", "/")
            return steps

    steps = asyncio.run(main())
    assert steps.frames <= 30
    assert steps.codes <= 800


def test_informational_response_that_comes_alone_again_and_again():
    """It is no final one, however well it is known, also if no two of those are alike."""
    hints = b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n"
    go_on = threading.Event()
    count = 0

    def talk(sock):
        nonlocal count
        while read_head(sock):
            count += 1
            sock.sendall(hints)
            if not go_on.wait(100):
                return
            go_on.clear()
            sock.sendall(b"HTTP/1.1 200 OK\r\nX: %d\r\nContent-Length: 2\r\n\r\nok" % count)

    def seen(response):
        go_on.set()

    with (
        ScriptedServer(talk) as server,
        HTTPConnection("127.0.0.1", server.port, on_informational=seen) as conn,
    ):
        for _ in range(6):
            reply = conn.exchange("GET", "/")
            assert (reply.status, reply.body) == (200, b"ok")
            assert [each.status for each in reply.informational] == [103]


def test_steps_of_a_warm_exchange(echo):
    """What no machine changes: bytecodes, calls of functions, and calls of the system."""
    with HTTPConnection("127.0.0.1", echo.port) as conn:
        for _ in range(5):
            conn.exchange("GET", "/")
        with Steps() as steps:
            conn.exchange("GET", "/")
        calls = []

        def profile(frame, event, function):
            if event == "c_call" and function.__name__ in {"send", "sendmsg", "recv_into", "poll"}:
                calls.append(function.__name__)

        sys.setprofile(profile)
        try:
            conn.exchange("GET", "/")
        finally:
            sys.setprofile(None)
    assert steps.frames <= 10  # with that of the end of the block, and its 12 bytecodes
    assert steps.codes <= 490
    assert calls == ["poll", "send", "poll", "recv_into"]


def test_steps_of_an_exchange_on_a_new_connection(echo):
    """One that is there at once, as most are: nothing has to be waited for but the response."""
    counts = []
    for _ in range(20):
        with HTTPConnection("127.0.0.1", echo.port) as conn, Steps() as steps:
            conn.exchange("GET", "/")
        counts.append((steps.frames, steps.codes))
    frames, codes = min(counts)
    assert frames <= 24
    assert codes <= 880


def test_steps_of_a_connection_for_one_exchange(echo):
    """All of its life: it is made, connected, used and closed."""
    counts = []
    for _ in range(20):
        with Steps(of=PACKAGE) as steps:
            with HTTPConnection("127.0.0.1", echo.port) as conn:
                conn.exchange("GET", "/")
            del conn
        counts.append((steps.frames, steps.codes))
    frames, codes = min(counts)
    assert frames <= 50
    assert codes <= 1500


def test_steps_of_a_connection_over_tls_for_one_exchange(certificate, trusting):
    """Neither half of the session is made, although a handshake comes first."""
    counts = []
    context = certificate.server_context()
    context.num_tickets = 0  # one or two wake-ups more, as they come
    with ScriptedServer(echoing, tls=context) as server:
        for _ in range(10):
            with Steps(of=PACKAGE) as steps:
                with HTTPConnection("127.0.0.1", server.port, trusting) as conn:
                    assert conn.exchange("GET", "/a").body == b"/a"
                    session = conn._session
                del conn
            made = session._sender is not None, session._receiver is not None
            counts.append((*made, steps.frames, steps.codes))
    *made, frames, codes = min(counts)
    assert made == [False, False]
    assert frames <= 190  # some wake-ups more or less
    assert codes <= 4300


def test_memory_of_an_idle_connection(echo):
    """Without what the allocator of Python adds, and what the system has for its socket."""
    kept = []

    def exchange():
        kept.append(HTTPConnection("127.0.0.1", echo.port))
        kept[-1].exchange("GET", "/")

    exchange()
    tracemalloc.start()
    try:
        for _ in range(20):
            exchange()
        gc.collect()
        ours = tracemalloc.Filter(inclusive=True, filename_pattern=f"{PACKAGE}*")
        snapshot = tracemalloc.take_snapshot().filter_traces([ours])
    finally:
        tracemalloc.stop()
        for conn in kept:
            conn.close()
    assert sum(trace.size for trace in snapshot.traces) / 20 < 1500  # bytes


def test_halves_of_a_session_are_made_when_they_are_needed(echo):
    with HTTPConnection("127.0.0.1", echo.port) as conn:
        for _ in range(3):
            conn.exchange("GET", "/")
            assert conn.is_open()
            assert conn.is_reusable()
        session = conn._session
        assert (session._sender, session._receiver) == (None, None)
        conn.send_request("GET", "/1")
        assert (conn.read_response().status, conn.readall()) == (200, b"/1")
        assert conn._session is session
        assert (session.sender, session.receiver) == (session._sender, session._receiver)
        assert conn.exchange("GET", "/2").body == b"/2"


@pytest.mark.skipif(not hasattr(os, "fork"), reason="Windows")
@pytest.mark.parametrize("waiting", [0, 2])
def test_a_child_process_takes_no_turn_from_its_parent(echo, waiting):
    """It exchanges on a connection of its own, and wakes nobody of the parent."""
    with HTTPConnection("127.0.0.1", echo.port, timeout=60) as conn:
        conn.exchange("GET", "/0")
        ops = [conn.co_exchange("GET", f"/{number}") for number in range(waiting + 1)]
        needs = [next(op) for op in ops]
        child = os.fork()
        if child == 0:
            signal.alarm(20)
            try:
                first = conn.exchange("GET", "/child").body
                for op in ops:  # of the parent
                    op.close()
                os._exit((first, conn.exchange("GET", "/2").body) != (b"/child", b"/2"))
            finally:
                os._exit(2)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
        assert not any(need.poll(0) for need in needs[1:])
        assert [run(op).path for op in ops] == [f"/{number}" for number in range(waiting + 1)]


def test_equal_requests_answer_each_challenge_of_a_proxy():
    """Their heads differ, as each counts in its credentials (RFC 7616 section 3.3)."""
    challenge = b'Proxy-Authenticate: Digest realm="r", nonce="n", qop="auth"\r\n'
    refusal = b"HTTP/1.1 407 No\r\n" + challenge + b"Content-Length: 0\r\n\r\n"
    heads = []

    def handler(sock):
        for answer in (refusal, OK, OK):
            heads.append(read_head(sock))
            sock.sendall(answer)

    with ScriptedServer(handler) as server:
        proxy = Proxy(f"http://127.0.0.1:{server.port}", auth=DigestAuth("u", "p"))
        with HTTPConnection("a.test", proxy=proxy) as conn:
            statuses = [conn.exchange("GET", "/").status for _ in range(3)]
    assert statuses == [407, 200, 200]
    counts = [head.partition(b"nc=")[2][:8] for head in heads]
    assert counts == [b"", b"00000001", b"00000002"]
