"""Requests of a client that are given up at any wait: no connection stays taken, nothing open.

Each kind of request is closed after 0, 1, 2… waits, one after the other with one client, and then
many at once at random places. Waits are polled, or left to the loops of asyncio, trio and ours.
"""

import random

import pytest
from kit.ctrl_c import ctrl_c_at_each_place
from kit.support import ScriptedServer, open_descriptors, read_exactly, read_head, wait_until
from kit.ways import on_asyncio, on_own_loop, on_trio

from dugong_like import Client, DigestAuth, DugongError, Limits, RequestRate, Retry, run
from dugong_like.client import client as client_
from dugong_like.client import direct, pool, pooled, request, request_building, response
from dugong_like.polling.wake import co_sleep

BODY = b"x" * 70_000


def answer(sock):
    """Answer by the path, until the client goes away."""
    while head := read_head(sock):
        lines = head.decode("latin-1").lower().split("\r\n")
        path = lines[0].split(" ")[1]
        if "expect: 100-continue" in lines:
            sock.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
        for line in lines:
            if line.startswith("content-length:"):
                read_exactly(sock, int(line.split(":")[1]))
        if "transfer-encoding: chunked" in lines:
            while not read_head_of_chunk(sock).startswith(b"0\r\n"):
                pass
        if path == "/redirect":
            sock.sendall(b"HTTP/1.1 302 F\r\nLocation: /plain\r\nContent-Length: 5\r\n\r\nmoved")
        elif path == "/busy":
            sock.sendall(b"HTTP/1.1 503 B\r\nRetry-After: 0\r\nContent-Length: 4\r\n\r\nbusy")
        elif path == "/login" and not any(line.startswith("authorization") for line in lines):
            sock.sendall(b'HTTP/1.1 401 U\r\nWWW-Authenticate: Digest realm="r", nonce="n", '
                         b'qop="auth"\r\nContent-Length: 2\r\n\r\nno')  # fmt: skip
        elif path == "/long":
            sock.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(BODY) + BODY)
        else:
            sock.sendall(b"HTTP/1.1 200 OK\r\nSet-Cookie: a=b\r\nContent-Length: 2\r\n\r\nok")


def read_head_of_chunk(sock):
    line = b""
    while not line.endswith(b"\r\n"):
        line += read_exactly(sock, 1)
    read_exactly(sock, int(line, 16) + 2)
    return line


def co_pause(response, **kwargs):
    yield from co_sleep(0.0001)


EVENTS = ("pre_request", "on_headers", "on_redirect", "post_request")
REQUESTS = {
    "get": ("GET", "/plain", {}),
    "redirect": ("GET", "/redirect", {}),
    "retries": ("GET", "/busy", {"retry": Retry(2, backoff=0.001, budget=None)}),
    "login": ("GET", "/login", {"auth": DigestAuth("u", "p")}),
    "long": ("GET", "/long", {}),
    "stream": ("GET", "/long", {"stream": True}),
    "upload": ("PUT", "/plain", {"content": [b"a", b"b"]}),
    "expect": ("PUT", "/plain", {"content": b"a", "expect100": True}),
    "events": ("GET", "/redirect", {"hooks": dict.fromkeys(EVENTS, co_pause)}),
}


def busy(client):
    return sum(one.busy for one in client.stats().values())


def co_request(client, server, kind):
    method, path, options = REQUESTS[kind]
    response = yield from client.co_request(
        method, f"http://127.0.0.1:{server.port}{path}", **options
    )
    if options.get("stream"):
        try:
            yield from response.co_read()
        finally:
            response.close()
    return response.status_code


@pytest.mark.feature("C37")
@pytest.mark.parametrize("kind", REQUESTS)
def test_closed_after_each_number_of_waits(kind):
    before = open_descriptors()
    with ScriptedServer(answer) as server, Client(timeout=20) as client:
        for steps in range(200):
            op = co_request(client, server, kind)
            try:
                for _ in range(steps):
                    need = next(op)
                    need.poll(0.01)
            except StopIteration:
                break
            op.close()
            assert busy(client) == 0
        assert steps > 0
        assert busy(client) == 0
        assert run(co_request(client, server, "get")) == 200
    wait_until(lambda: open_descriptors() <= before)


@pytest.mark.feature("C37")
@pytest.mark.parametrize("way", [run, on_asyncio, on_trio, on_own_loop])
@pytest.mark.parametrize("seed", range(3))
def test_closed_at_random_under_each_driver(way, seed):
    chance = random.Random(seed)
    limits = Limits(max_connections=2)
    before = open_descriptors()
    options = {"limits": limits, "rate": RequestRate(5000, 5), "timeout": 20}

    def co_some(client, server):
        for _ in range(60):
            op = co_request(client, server, chance.choice([*REQUESTS]))
            left = chance.choice([0, 1, 2, 3, 5, 8, 1000])
            try:
                while left:
                    need = next(op)
                    yield need
                    left -= 1
            except StopIteration as end:
                assert end.value in {200, 503}
            except DugongError as exc:
                raise AssertionError(kind_of(exc)) from exc
            finally:
                op.close()
            assert busy(client) == 0

    with ScriptedServer(answer) as server, Client(**options) as client:
        way(co_some(client, server))
        assert way(co_request(client, server, "get")) == 200
        assert busy(client) == 0
    wait_until(lambda: open_descriptors() <= before)


def kind_of(exc):
    return f"{type(exc).__name__}: {exc}"


def test_ctrl_c_in_a_plain_request_loses_no_connection():
    """At any place where Python looks for it, in the client and its pool."""

    def handler(sock):
        while read_head(sock):
            sock.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")

    def get(client):
        assert client.get(f"http://127.0.0.1:{server.port}/").content == b"ok"

    modules = (client_, direct, pool, pooled, request, request_building, response)
    rounds = 0
    with (
        ScriptedServer(handler) as server,
        Client(limits=Limits(max_connections=1), timeout=20) as client,
    ):
        get(client)
        for _ in ctrl_c_at_each_place(lambda: client, get, *modules):
            assert busy(client) == 0
            get(client)
            rounds += 1
    assert rounds > 20
