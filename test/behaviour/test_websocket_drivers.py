"""One conversation by WebSocket under each driver, with two different servers, ws and wss."""

import threading

import pytest
from kit.echo import echo
from kit.every_driver import DRIVERS
from kit.h2_websockets import websocket_h2_server
from kit.support import ScriptedServer
from kit.websocket_servers import serving

from dugong_like import HTTPConnection, WebSocketClosed, both
from dugong_like.drivers.loop import Loop

SERVERS = ["websockets", "wsproto"]


@pytest.fixture(scope="module", params=SERVERS)
def servers(request, certificate):
    """Ports without and with TLS."""
    tls = certificate.server_context()
    if request.param == "websockets":
        with serving() as plain, serving(tls=tls) as secured:
            yield plain, secured
    else:
        with ScriptedServer(echo) as plain:
            with ScriptedServer(echo, tls) as secured:
                yield plain.port, secured.port


def co_conversation(conn):
    """Everything once: it has to be the same whoever waits."""
    ws = yield from conn.co_websocket("/chat")
    assert ws.is_compressed
    for message in ("hello", "", "grüße", b"\0\xff" * 50_000, "x" * 300_000):
        yield from ws.co_send(message)
        assert (yield from ws.co_recv()) == message
    yield from ws.co_send(["frag", "ments"])
    assert (yield from ws.co_recv()) == "fragments"
    assert (yield from ws.co_ping()) > 0
    yield from ws.co_pong(b"x")
    got, _ = yield from both(co_receive(ws, 30), co_send(ws, 30))
    assert got == [str(number) * 1000 for number in range(30)]
    yield from ws.co_close(1000, "bye")
    assert ws.close_code == 1000
    try:
        yield from ws.co_recv()
    except WebSocketClosed as exc:
        return exc.code


def co_receive(ws, count):
    messages = []
    for _ in range(count):
        messages.append((yield from ws.co_recv()))
    return messages


def co_send(ws, count):
    for number in range(count):
        yield from ws.co_send(str(number) * 1000)


@pytest.mark.feature("A50")
@pytest.mark.parametrize("driver", DRIVERS)
def test_each_driver(servers, trusting, driver):
    for port, context in zip(servers, (None, trusting), strict=True):
        conn = HTTPConnection("localhost", port, context, timeout=60)
        assert driver(co_conversation(conn)) == 1000


@pytest.mark.feature("A50", "E1")
@pytest.mark.parametrize("driver", DRIVERS)
def test_each_driver_over_http2(driver):
    """Twice on one connection, beside each other and an exchange."""
    with websocket_h2_server() as server:
        conn = HTTPConnection("127.0.0.1", server.port, timeout=60, versions=("h2",))

        def co_both():
            codes = yield from both(co_conversation(conn), co_conversation(conn))
            reply = yield from conn.co_exchange("GET", "/bytes/10")
            return codes, len(reply.body)

        assert driver(co_both()) == ((1000, 1000), 10)
        conn.close()
    assert len(server.peers) == 1


def test_many_at_once_in_one_loop(servers):
    with Loop() as loop:
        tasks = [
            loop.spawn(co_conversation(HTTPConnection("localhost", servers[0], timeout=60)))
            for _ in range(20)
        ]
        loop.run_all()
    assert [task.result() for task in tasks] == [1000] * 20


def test_many_threads_send_and_one_receives(servers, trusting):
    """Also over TLS, which one lock protects."""
    conn = HTTPConnection("localhost", servers[1], trusting, timeout=60)
    with conn.websocket() as ws:
        threads = [
            threading.Thread(target=lambda n=n: [ws.send(f"{n}" * 2000) for _ in range(20)])
            for n in range(4)
        ]
        for thread in threads:
            thread.start()
        got = sorted(ws.recv() for _ in range(80))
        for thread in threads:
            thread.join()
    assert got == sorted(f"{n}" * 2000 for n in range(4) for _ in range(20))
