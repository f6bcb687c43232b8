"""One conversation under every driver, against a real server, plain and with TLS."""

import asyncio
import hashlib
import json
import tempfile
import time

import pytest
from support import ScriptedServer, black_hole, pattern, read_head
from ways import on_asyncio, on_own_loop, on_trio

from dugong_like import (
    AioFuture,
    BodyFollowing,
    ConnectionTimedOut,
    HTTPConnection,
    run,
    stall,
    within,
)
from dugong_like.drivers import aio, threads
from dugong_like.drivers.loop import Loop


def co_conversation(conn):
    """Everything once: it has to be the same whoever waits."""
    for size in (1024, 300_000):
        yield from conn.co_send_request("GET", f"/bytes/{size}")
        yield from conn.co_send_request("GET", f"/chunked/{size}")
        for _ in range(2):
            assert (yield from conn.co_read_response()).status == 200
            assert (yield from conn.co_readall()) == pattern(size)
    yield from conn.co_send_request("PUT", "/upload", body=BodyFollowing())
    for _ in range(20):
        yield from conn.co_write(pattern(50_000))
    yield from conn.co_finish({"X-Trailer": "yes"})
    yield from conn.co_read_response()
    assert json.loads((yield from conn.co_read()))["length"] == 1_000_000
    yield from conn.co_send_request("PUT", "/upload", body=BodyFollowing(5), expect100=True)
    assert (yield from conn.co_read_response()).status == 100
    yield from conn.co_write(b"hello")
    yield from conn.co_read_response()
    buffer = bytearray(10_000)
    count = yield from conn.co_readinto(buffer)
    assert json.loads(buffer[:count])["length"] == 5
    yield from conn.co_discard()
    yield from co_files(conn)
    yield from conn.co_close()
    return "done"


def co_files(conn):
    with tempfile.TemporaryFile() as file:
        for kind in ("bytes", "chunked"):
            yield from conn.co_send_request("GET", f"/{kind}/1000000")
            yield from conn.co_read_response()
            assert (yield from conn.co_recv_to_file(file)) == 1_000_000
        digest = hashlib.sha256(pattern(1_000_000) * 2).hexdigest()
        for length in (2_000_000, None):
            yield from conn.co_send_request("PUT", "/upload", body=BodyFollowing(length))
            assert (yield from conn.co_sendfile(file)) == 2_000_000
            yield from conn.co_finish()
            yield from conn.co_read_response()
            assert json.loads((yield from conn.co_readall()))["sha256"] == digest


def as_future(op):
    async def main():
        return await AioFuture(op)

    return asyncio.run(main())


def on_uvloop(op):
    uvloop = pytest.importorskip("uvloop")
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(aio.run(op))


def on_gevent(op):
    pytest.importorskip("gevent")
    from dugong_like.drivers import gevent as driver

    return driver.run(op)


def on_select(op):
    with Loop("select") as loop:
        return loop.run(op)


def on_a_thread(op):
    return threads.submit(op).result()


DRIVERS = [
    run,
    on_asyncio,
    as_future,
    on_uvloop,
    on_trio,
    on_gevent,
    on_own_loop,
    on_select,
    on_a_thread,
]


@pytest.mark.feature("A39", "A40", "B3", "B4", "B40", "B41", "C36")
@pytest.mark.parametrize("tls", [False, True], ids=["http", "https"])
@pytest.mark.parametrize("driver", DRIVERS)
def test_same_conversation_under_every_driver(start, trusting, driver, tls):
    server = start("uvicorn-httptools", tls=tls)
    conn = HTTPConnection("localhost", server.port, trusting if tls else None, timeout=30)

    assert driver(co_conversation(conn)) == "done"


def silent(sock):
    while read_head(sock):
        pass


def co_get(conn):
    yield from conn.co_send_request("GET", "/")
    return (yield from conn.co_read_response())


def co_put(conn):
    yield from conn.co_send_request("PUT", "/", body=BodyFollowing(1 << 30))
    while True:
        yield from conn.co_write(bytes(1 << 20))


@pytest.mark.reliability(42)
@pytest.mark.feature("B27")
@pytest.mark.parametrize("driver", DRIVERS)
def test_time_limits_hold_under_every_driver(driver):
    with black_hole() as (host, port), ScriptedServer(silent) as server:
        for co_use in (co_get, co_put):
            with HTTPConnection("127.0.0.1", server.port, timeout=0.1) as conn:
                start = time.monotonic()
                with pytest.raises(ConnectionTimedOut):
                    driver(co_use(conn))
                assert 0.1 <= time.monotonic() - start < 5
            with HTTPConnection("127.0.0.1", server.port) as conn:
                with pytest.raises(ConnectionTimedOut):
                    driver(within(time.monotonic() + 0.1, co_use(conn)))
                with pytest.raises(ConnectionTimedOut):
                    conn.reset()
                    driver(stall(0.1, co_use(conn)))
        with pytest.raises(ConnectionTimedOut):
            driver(HTTPConnection(host, port, timeout=0.1).co_connect())


@pytest.mark.parametrize("tls", [False, True], ids=["http", "https"])
def test_many_conversations_at_once_in_one_thread(start, trusting, tls):
    server = start("uvicorn-httptools", tls=tls)
    with Loop() as loop:
        tasks = []
        for _ in range(30):
            conn = HTTPConnection("localhost", server.port, trusting if tls else None, timeout=60)
            tasks.append(loop.spawn(co_conversation(conn)))
        loop.run_all()
        assert [task.result() for task in tasks] == ["done"] * 30
