"""Conversations under every driver: what tests of the whole library are parametrised with."""

import asyncio
import hashlib
import json
import tempfile

import pytest

from dugong_like import (
    AioFuture,
    BodyFollowing,
    run,
)
from dugong_like.drivers import aio, threads
from dugong_like.drivers.loop import Loop
from kit.support import pattern
from kit.ways import on_asyncio, on_own_loop, on_trio


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


def with_every_driver(first, *others):
    """Return values with drivers: *first* with each, *others* with two unless ``--slow`` is given.

    That is enough where the drivers are one question, and the values another.
    """
    rest = [(driver, value) for value in others for driver in DRIVERS]
    return [
        *((driver, first) for driver in DRIVERS),
        *(case for case in rest if case[0] in DRIVERS[:2]),
        *(
            pytest.param(*case, marks=pytest.mark.slow)
            for case in rest
            if case[0] not in DRIVERS[:2]
        ),
    ]
