"""The time limit for the head of a response: every way to wait for one, and what counts."""

import asyncio
import threading
from types import SimpleNamespace

import pytest
from kit.every_driver import with_every_driver
from kit.silence import LONGER_AND_LONGER, SOON, check, silent
from kit.streams import ScriptedStream, connection, finish
from kit.support import ScriptedServer, answering, read_head

from dugong_like import (
    BodyFollowing,
    ConnectionTimedOut,
    HTTPConnection,
    Pipeline,
    Request,
    Timeouts,
    async_connect,
    run,
)
from dugong_like.connection import exchange as exchange_
from dugong_like.connection.h1 import head_limit, reading_waits

pytestmark = pytest.mark.feature("C3")
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
HEAD = Timeouts(head=SOON, stall=30)


def dripping(sock):
    """Send a head that has no end, byte by byte: nothing stalls."""
    read_head(sock)
    sock.sendall(b"HTTP/1.1 200 OK\r\nSlow: ")
    over = threading.Event()
    while not over.wait(0.02):
        sock.sendall(b"z")


def co_get(conn):
    yield from conn.co_send_request("GET", "/")
    yield from conn.co_read_response()


def co_exchange(conn):
    yield from conn.co_exchange("GET", "/")


def co_upload(conn):
    yield from conn.co_exchange("PUT", "/", None, iter([b"a", b"b"]))


def co_own_exchange(conn):
    exchange = yield from conn.co_send_request("GET", "/")
    yield from exchange.co_read_response()


def co_stream(conn):
    yield from conn.request(Request("GET", "/")).co_run()


def co_pipeline(conn):
    yield from Pipeline(conn, [Request("GET", "/"), Request("GET", "/2")]).co_run()


def co_warm_exchange(conn):
    yield from conn.co_connect()
    yield from conn.co_exchange("GET", "/")


WAYS = [
    co_get, co_exchange, co_upload, co_own_exchange, co_stream, co_pipeline, co_warm_exchange
]  # fmt: skip


@pytest.mark.parametrize(("driver", "way"), with_every_driver(*WAYS))
@pytest.mark.parametrize("handler", [silent, dripping])
def test_every_way(driver, way, handler):
    with ScriptedServer(handler) as server:
        expected = "yes" if handler is dripping else "maybe"
        for seconds in LONGER_AND_LONGER:
            limits = Timeouts(head=seconds, stall=30)
            with HTTPConnection("127.0.0.1", server.port, timeout=limits) as conn:
                failure = check(driver, way(conn), "head", seconds)
            assert f"no response head arrived for {seconds} s (Timeouts(head={seconds}))" in str(
                failure
            )
            if failure.request_sent == expected:
                break
        assert failure.request_sent == expected


def blocking(conn):
    conn.send_request("GET", "/")
    conn.read_response()


def blocking_exchange(conn):
    conn.exchange("GET", "/")


def blocking_warm_exchange(conn):
    conn.connect()
    conn.exchange("GET", "/")


def blocking_pipeline(conn):
    Pipeline(conn, [Request("GET", "/")]).run()


@pytest.mark.parametrize("handler", [silent, dripping])
@pytest.mark.parametrize(
    "way", [blocking, blocking_exchange, blocking_warm_exchange, blocking_pipeline]
)
def test_blocking_calls(way, handler):
    with ScriptedServer(handler) as server:
        with HTTPConnection("127.0.0.1", server.port, timeout=HEAD) as conn:
            check(way, conn, "head")


@pytest.mark.parametrize("handler", [silent, dripping])
def test_awaited_exchange(handler):
    async def main(port):
        async with async_connect("127.0.0.1", port, timeout=HEAD) as conn:
            await conn.exchange("GET", "/")

    with ScriptedServer(handler) as server:
        check(lambda port: asyncio.run(main(port)), server.port, "head")


def test_slow_answer_is_no_stall():
    asked, answers = threading.Event(), threading.Event()

    def handler(sock):
        while read_head(sock):
            asked.set()
            assert answers.wait(100)
            sock.sendall(OK)

    with ScriptedServer(handler) as server:
        limits = Timeouts(head=30, stall=0.05)
        with HTTPConnection("127.0.0.1", server.port, timeout=limits) as conn:
            for way in (conn.exchange, lambda *args: run(conn.co_exchange(*args))):
                answers.clear()
                threading.Timer(0.3, answers.set).start()
                assert way("GET", "/").body == b"ok"
            answers.clear()
            conn.send_request("GET", "/")
            threading.Timer(0.3, answers.set).start()
            conn.read_response()
            assert conn.readall() == b"ok"


@pytest.mark.parametrize("way", ["exchange", "apart"])
def test_body_is_limited_by_the_other_limits(way):
    begin = answering(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\no")

    def handler(sock):
        begin(sock)
        silent(sock)

    with ScriptedServer(handler) as server:
        limits = Timeouts(head=30, stall=SOON)
        with HTTPConnection("127.0.0.1", server.port, timeout=limits) as conn:
            with pytest.raises(ConnectionTimedOut) as caught:
                if way == "exchange":
                    conn.exchange("GET", "/")
                conn.send_request("GET", "/")
                conn.read_response()
                conn.readall()
    assert caught.value.phase == "read"


# ---- when it begins, without waiting


@pytest.fixture
def clock(monkeypatch):
    clock = SimpleNamespace(now=1000.0)
    for module in (exchange_, head_limit, reading_waits):
        monkeypatch.setattr(module, "time", SimpleNamespace(monotonic=lambda: clock.now))
    return clock


def opened(monkeypatch, stream, **limits):
    conn = connection(monkeypatch, stream, timeout=Timeouts(**limits))
    finish(conn.co_connect())
    return conn


def test_it_begins_with_the_complete_request(clock, monkeypatch):
    conn = opened(monkeypatch, ScriptedStream(), head=5)
    finish(conn.co_send_request("GET", "/"))
    clock.now += 3
    reading = conn.co_read_response()
    assert next(reading).deadline == 1005
    reading.close()
    clock.now += 1
    assert next(conn.co_read_response()).deadline == 1005  # and goes on with the next operation


def test_it_begins_anew_after_a_time_out(clock, monkeypatch):
    stream = ScriptedStream()
    conn = opened(monkeypatch, stream, head=5)
    finish(conn.co_send_request("GET", "/"))
    reading = conn.co_read_response()
    next(reading)
    clock.now += 5
    with pytest.raises(ConnectionTimedOut, match=r"Timeouts\(head="):
        next(reading)
    reading = conn.co_read_response()
    assert next(reading).deadline == 1010
    stream.incoming.append(OK)
    assert finish(reading).status == 200


def test_response_that_is_here_is_never_late(clock, monkeypatch):
    stream = ScriptedStream()
    conn = opened(monkeypatch, stream, head=5)
    finish(conn.co_send_request("GET", "/"))
    clock.now += 100
    stream.incoming.append(OK)
    assert finish(conn.co_read_response()).status == 200


def test_more_of_the_head_is_no_progress(clock, monkeypatch):
    stream = ScriptedStream()
    conn = opened(monkeypatch, stream, head=5, stall=1)
    finish(conn.co_send_request("GET", "/"))
    reading = conn.co_read_response()
    for piece in (b"HTTP/1.1 100 Continue\r\n\r\n", b"HTTP/1.1 200 OK\r\n", b"A: b\r\n"):
        assert next(reading).deadline == 1005
        clock.now += 1.5
        stream.incoming.append(piece)
    stream.incoming.append(b"Content-Length: 1\r\n\r\n")
    assert finish(reading).status == 200
    assert next(conn.co_readall()).deadline == clock.now + 1


def test_behind_others_it_begins_when_their_responses_have_been_read(clock, monkeypatch):
    for together in (False, True):
        clock.now = 1000.0
        stream = ScriptedStream()
        conn = opened(monkeypatch, stream, head=5)
        if together:
            finish(conn.co_send_requests([("GET", "/1"), ("GET", "/2")]))
        else:
            finish(conn.co_send_request("GET", "/1"))
            finish(conn.co_send_request("GET", "/2"))
        clock.now += 4
        stream.incoming.append(OK)
        finish(conn.co_read_response())
        finish(conn.co_readall())
        reading = conn.co_read_response()
        assert next(reading).deadline == 1009
        reading.close()
        clock.now += 1
        assert next(conn.co_read_response()).deadline == 1009


def test_while_the_request_is_not_complete_it_does_not_run(clock, monkeypatch):
    stream = ScriptedStream()
    conn = opened(monkeypatch, stream, head=5, stall=60)
    finish(conn.co_send_request("PUT", "/", body=BodyFollowing(2)))
    reading = conn.co_read_response()
    assert next(reading).deadline == 1005  # only to look whether it is complete
    clock.now += 5
    assert next(reading).deadline == 1010
    finish(conn.co_write(b"a"))
    clock.now += 4
    finish(conn.co_write(b"b"))
    clock.now += 1
    assert next(reading).deadline == 1014
    clock.now += 4
    with pytest.raises(ConnectionTimedOut, match=r"Timeouts\(head="):
        next(reading)


def test_without_a_complete_request_the_limits_of_reading_hold(clock, monkeypatch):
    conn = opened(monkeypatch, ScriptedStream(), head=5, stall=2)
    finish(conn.co_send_request("PUT", "/", body=BodyFollowing(2)))
    reading = conn.co_read_response()
    assert next(reading).deadline == 1002
    clock.now += 2
    with pytest.raises(ConnectionTimedOut, match=r"Timeouts\((stall|read)="):
        next(reading)


def test_other_limits_from_now_on(clock, monkeypatch):
    conn = opened(monkeypatch, ScriptedStream(), head=5)
    finish(conn.co_send_request("GET", "/"))
    next(conn.co_read_response())
    clock.now += 1
    conn.timeout = Timeouts(head=7, stall=1)
    assert next(conn.co_read_response()).deadline == 1008
    conn.timeout = 3
    assert next(conn.co_read_response()).deadline == 1004
    conn.timeout = None
    assert next(conn.co_read_response()).deadline is None
    conn.timeout = Timeouts(head=2)
    assert next(conn.co_read_response()).deadline == 1003
