"""HTTP/2 with real servers: nginx and HAProxy, in C, and granian (hyper), in Rust."""

import asyncio
import hashlib
import json
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack

import pytest
from kit import servers
from kit.support import pattern

from dugong_like import AsyncConnection, BodyFollowing, ConnectionClosed, HTTPConnection

BOTH = ("h2", "http/1.1")
SIZES = [0, 1, 1024, 70000, 1 << 20]


@pytest.fixture(scope="module")
def hyper(tmp_path_factory, certificate):
    """Return granian with HTTP/2, plain and with TLS."""
    with ExitStack() as stack:

        def begin(tls):
            folder = tmp_path_factory.mktemp("hyper")
            arguments = {"certificate": certificate} if tls else {}
            return stack.enter_context(servers.granian(folder, http="auto", **arguments))

        yield {tls: begin(tls) for tls in (False, True)}


@pytest.fixture(params=["nginx+tls", "haproxy+tls", "hyper", "hyper+tls"])
def conn(request, start, hyper, trusting):
    name, plus, _ = request.param.partition("+")
    server = hyper[bool(plus)] if name == "hyper" else start(name, tls=True)
    context, versions = (trusting, BOTH) if plus else (None, ("h2",))
    with HTTPConnection("localhost", server.port, context, versions=versions, timeout=60) as conn:
        yield conn
        assert conn.protocol == "h2"
        assert conn.renewals == 0


def test_bodies_of_all_sizes(conn):
    for size in SIZES:
        reply = conn.exchange("GET", f"/bytes/{size}")
        assert (reply.status, reply.body) == (200, pattern(size))
        assert conn.exchange("HEAD", f"/bytes/{size}").body == b""
    assert conn.exchange("GET", "/status/204").status == 204


@pytest.mark.parametrize("length", [300_000, None])
def test_uploads(conn, length):
    body = pattern(300_000)
    conn.send_request("PUT", "/upload", body=BodyFollowing(length))
    for at in range(0, len(body), 7000):
        conn.write(body[at : at + 7000])
    conn.finish()
    response = conn.read_response()
    assert response.status == 200
    said = json.loads(conn.readall())
    assert (said["length"], said["sha256"]) == (300_000, hashlib.sha256(body).hexdigest())
    whole = json.loads(conn.exchange("PUT", "/upload", None, body).body)
    assert whole["sha256"] == said["sha256"]


def test_threads_and_tasks(conn):
    sizes = SIZES * 6
    with ThreadPoolExecutor(8) as pool:
        got = pool.map(lambda size: conn.exchange("GET", f"/bytes/{size}").body, sizes)
        assert [*got] == [*map(pattern, sizes)]

    async def main():
        shared = AsyncConnection(conn)
        replies = [shared.exchange("GET", f"/bytes/{size}") for size in sizes * 3]
        return [reply.body for reply in await asyncio.gather(*replies)]

    assert asyncio.run(main()) == [*map(pattern, sizes * 3)]


def test_exchanges_that_are_given_up(conn):
    for _ in range(20):
        exchange = conn.send_request("GET", f"/bytes/{1 << 20}")
        exchange.read_response()
        exchange.read(1000)
        exchange.abandon()
    assert conn.exchange("GET", "/bytes/1024").body == pattern(1024)
    assert conn.is_reusable()


def test_ping(conn):
    assert conn.ping() > 0
    assert conn.remote_settings is not None


def test_a_refused_upload(start, trusting):
    """nginx answers 413 before it has the body."""
    server = start("nginx", tls=True)
    with HTTPConnection("localhost", server.port, trusting, versions=BOTH, timeout=60) as conn:
        reply = conn.exchange("PUT", "/refuse", None, bytes(1 << 20))
        assert (reply.status, reply.http_version) == (413, "2")


def test_a_server_that_ends_each_connection_after_so_many_requests(
    tmp_path, start, certificate, trusting
):
    """It says so by GOAWAY: nothing is lost, and nothing is sent twice."""
    backend = start("uvicorn-httptools")
    with (
        servers.nginx(tmp_path, backend, certificate, requests=20) as server,
        HTTPConnection("localhost", server.port, trusting, versions=BOTH, timeout=60) as conn,
    ):
        for _ in range(100):
            assert conn.exchange("GET", "/bytes/1024").body == pattern(1024)
        assert 3 <= conn.renewals <= 6
        with ThreadPoolExecutor(4) as pool:
            ends = [pool.submit(conn.exchange, "GET", "/bytes/1024") for _ in range(200)]
        for end in ends:
            problem = end.exception()
            if problem is None:
                assert end.result().body == pattern(1024)
            else:  # it was among those that the server may have begun with
                assert isinstance(problem, ConnectionClosed), problem
        assert sum(end.exception() is None for end in ends) > 150
