"""One conversation under every driver, against a real server, plain and with TLS."""

import time

import pytest
from kit.every_driver import DRIVERS, co_conversation
from kit.silence import deaf
from kit.support import ScriptedServer, black_hole

from dugong_like import (
    BodyFollowing,
    ConnectionTimedOut,
    HTTPConnection,
    stall,
    within,
)
from dugong_like.drivers.loop import Loop


@pytest.mark.feature("A39", "A40", "B3", "B4", "B40", "B41", "C36")
@pytest.mark.parametrize("tls", [False, True], ids=["http", "https"])
@pytest.mark.parametrize("driver", DRIVERS)
def test_same_conversation_under_every_driver(start, trusting, driver, tls):
    server = start("uvicorn-httptools", tls=tls)
    conn = HTTPConnection("localhost", server.port, trusting if tls else None, timeout=30)

    assert driver(co_conversation(conn)) == "done"


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
    with black_hole() as (host, port), ScriptedServer(deaf) as server:
        for co_use in (co_get, co_put):
            with HTTPConnection("127.0.0.1", server.port, timeout=0.1) as conn:
                start = time.monotonic()
                with pytest.raises(ConnectionTimedOut):
                    driver(co_use(conn))
                assert 0.1 <= time.monotonic() - start < 20
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
