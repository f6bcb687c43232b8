"""HTTP/2 with real servers: nginx, HAProxy and nghttpd, in C, granian, in Rust, and hypercorn.

Each over TLS, where it chooses HTTP/2 (ALPN), and without, where it is spoken at once.
"""

import asyncio
import hashlib
import json
import os
import signal
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack

import pytest
import trio
from kit import servers
from kit.every_driver import with_every_driver
from kit.support import pattern, wait_until

from dugong_like import (
    AsyncClient,
    AsyncConnection,
    BodyFollowing,
    Client,
    ConnectionClosed,
    H2Options,
    HTTPConnection,
)
from dugong_like.connection import websocket_pump
from dugong_like.drivers.loop import Loop

BOTH = ("h2", "http/1.1")
SIZES = [0, 1, 1024, 70000, 1 << 20]
MIB = 1 << 20
NAMES = ["nginx", "haproxy", "nghttpd", "hypercorn", "granian"]
SERVERS = [f"{name}{plus}" for name in NAMES for plus in ("+tls", "")]
IN_FRONT = {"nginx": " http2", "haproxy": " proto h2"}  # of another server; to have it without TLS
SEND_BACK = {"nghttpd"}  # what is uploaded
SAY_100 = {"haproxy", "nghttpd"}
SAY_103 = {"haproxy": "/bytes/1?hints", "hypercorn": "/hints"}
SEND_TRAILERS = {"nghttpd": "/bytes/1024", "hypercorn": "/trailers"}


@pytest.fixture(scope="module")
def serve(start, tmp_path_factory, certificate):
    """A function that returns one of `SERVERS`, which is started when it is first asked for."""
    known = {}
    with ExitStack() as stack:

        def serve(which):
            if which not in known:
                name, plus, _ = which.partition("+")
                options = {"certificate": certificate} if plus else {}
                if name in IN_FRONT:
                    options |= {"backend": start("uvicorn-httptools"), "plain": IN_FRONT[name]}
                if name == "granian":
                    options["http"] = "auto"
                folder = tmp_path_factory.mktemp(name)
                known[which] = stack.enter_context(getattr(servers, name)(folder, **options))
            return known[which]

        yield serve


def connect(server, trusting, **options):
    context, versions = (trusting, BOTH) if server.tls else (None, ("h2",))
    options = {"timeout": 60, "versions": versions, **options}
    return HTTPConnection("localhost", server.port, context, **options)


def client_of(server, trusting, kind=Client, **options):
    options["versions"] = BOTH if server.tls else ("h2",)
    url = f"http{'s' * server.tls}://localhost:{server.port}"
    return kind(base_url=url, ssl_context=trusting, trust_env=False, timeout=60, **options)


@pytest.fixture(params=SERVERS)
def server(request, serve):
    return serve(request.param)


@pytest.fixture
def conn(server, trusting):
    with connect(server, trusting) as conn:
        yield conn
        assert conn.protocol == "h2"
        assert conn.renewals == 0


def got(server, reply, body):
    """Return True if *server*, in *reply*, has got this *body*."""
    if server.name in SEND_BACK:
        return reply == body
    said = json.loads(reply)
    return (said["length"], said["sha256"]) == (len(body), hashlib.sha256(body).hexdigest())


# ---- each driver


def co_conversation(conn, server):
    """Everything once: it has to be the same whoever waits."""
    for size in SIZES:
        reply = yield from conn.co_exchange("GET", f"/bytes/{size}")
        assert (reply.status, reply.http_version, reply.body) == (200, "2", pattern(size))
        assert (yield from conn.co_exchange("HEAD", f"/bytes/{size}")).body == b""
    body = pattern(300_000)
    reply = yield from conn.co_exchange("POST", "/upload", None, body)
    assert got(server, reply.body, body)
    for length in (len(body), None):
        yield from conn.co_send_request("PUT", "/upload", body=BodyFollowing(length))
        for at in range(0, len(body), 70_000):
            yield from conn.co_write(body[at : at + 70_000])
        yield from conn.co_finish()
        assert (yield from conn.co_read_response()).status == 200
        assert got(server, (yield from conn.co_readall()), body)
    replies = yield from conn.co_exchange_all([("GET", f"/bytes/{size}") for size in SIZES * 4])
    assert [reply.body for reply in replies] == [*map(pattern, SIZES * 4)]
    assert (yield from conn.co_ping()) > 0
    assert (yield from conn.co_exchange("GET", "/nowhere/1")).status >= 400
    yield from conn.co_close()
    return "done"


@pytest.mark.real("http2")
@pytest.mark.parametrize(("driver", "which"), with_every_driver(*SERVERS))
def test_each_driver(serve, trusting, driver, which):
    server = serve(which)
    with connect(server, trusting) as conn:
        assert driver(co_conversation(conn, server)) == "done"
        assert conn.renewals == 0


# ---- bodies and fields


def test_small_windows_of_ours(server, trusting):
    options = H2Options(stream_window=20_000, max_stream_window=20_000, connection_window=65535)
    with connect(server, trusting, http2=options) as conn, ThreadPoolExecutor(2) as threads:
        bodies = threads.map(lambda _: conn.exchange("GET", f"/bytes/{MIB}").body, range(2))
        assert [*bodies] == [pattern(MIB)] * 2


def test_small_windows_of_the_server(tmp_path, trusting):
    """Of 1,023 bytes: each two requests at a time wait for them 200 times."""
    with servers.nghttpd(tmp_path, None, "-w", "10") as server, connect(server, trusting) as conn:
        conn.ping()  # behind it are its settings
        assert conn.remote_settings.initial_window_size == 1023
        body = pattern(200_000)
        with ThreadPoolExecutor(2) as threads:
            replies = threads.map(lambda _: conn.exchange("PUT", "/", None, body).body, range(2))
        assert [*replies] == [body] * 2


def test_many_small_files_are_put(server, trusting):
    """Together, on streams of a few connections; each of them is there."""
    bodies = [pattern(size) + b"%d" % size for size in (*range(0, 9000, 45), 70_000, 300_000)]
    with client_of(server, trusting) as client:
        given = [client.build_request("PUT", "/upload", content=body) for body in bodies]
        items = list(client.map(given))
        assert {item.response.http_version for item in items} == {"2"}
        assert {item.response.attempts for item in items} == {1}
    for item, body in zip(items, bodies, strict=True):
        assert got(server, item.response.content, body)


def test_many_small_files_and_small_windows_of_the_server(tmp_path, trusting):
    """Of 1,023 bytes for a stream, and 65,535 for the connection."""
    bodies = [pattern(size) for size in range(0, 20_000, 100)]
    with (
        servers.nghttpd(tmp_path, None, "-w", "10") as server,
        client_of(server, trusting) as client,
    ):
        given = [client.build_request("PUT", "/", content=body) for body in bodies]
        assert [item.response.content for item in client.map(given)] == bodies


def test_large_bodies(server, conn):
    body = pattern(5 * MIB)
    assert got(server, conn.exchange("PUT", "/upload", None, body).body, body)
    if server.name != "nghttpd":
        assert conn.exchange("GET", f"/chunked/{5 * MIB}").body == pattern(5 * MIB)


@pytest.mark.parametrize("which", [name for name in SERVERS if name.split("+")[0] in SEND_TRAILERS])
def test_trailers(serve, trusting, which):
    server = serve(which)
    with connect(server, trusting) as conn:
        reply = conn.exchange("GET", SEND_TRAILERS[server.name], {"TE": "trailers"})
        assert reply.trailer_pairs() == [("x-trailer", "yes")]
    with client_of(server, trusting) as client:
        response = client.get(SEND_TRAILERS[server.name], headers={"TE": "trailers"})
        assert response.trailers["x-trailer"] == "yes"


@pytest.mark.parametrize("which", [name for name in SERVERS if "nginx" not in name])
def test_trailers_of_the_request(serve, trusting, which):
    """nginx 1.22 takes them for an error, and ends the connection."""
    server = serve(which)
    with connect(server, trusting) as conn:
        conn.send_request("PUT", "/upload", body=BodyFollowing())
        conn.write(b"four")
        conn.finish({"X-Sum": "4"})
        assert conn.read_response().status == 200
        assert got(server, conn.readall(), b"four")


@pytest.mark.parametrize("which", [name for name in SERVERS if name.split("+")[0] in SAY_103])
def test_early_hints(serve, trusting, which):
    server = serve(which)
    with connect(server, trusting) as conn:
        reply = conn.exchange("GET", SAY_103[server.name])
        assert reply.status == 200
        (hints,) = reply.informational
        assert (hints.status, hints.headers["link"]) == (103, "</style.css>; rel=preload")


@pytest.mark.parametrize("which", [name for name in SERVERS if name.split("+")[0] in SAY_100])
def test_100_continue(serve, trusting, which):
    server = serve(which)
    with connect(server, trusting) as conn:
        for length in (5, None):
            conn.send_request("PUT", "/upload", body=BodyFollowing(length), expect100=True)
            assert conn.read_response().status == 100
            conn.write(b"hello")
            conn.finish()
            assert conn.read_response().status == 200
            assert got(server, conn.readall(), b"hello")


def test_a_refused_upload(start, trusting):
    """nginx answers 413 before it has the body."""
    server = start("nginx", tls=True)
    with HTTPConnection("localhost", server.port, trusting, versions=BOTH, timeout=60) as conn:
        reply = conn.exchange("PUT", "/refuse", None, bytes(1 << 20))
        assert (reply.status, reply.http_version) == (413, "2")


# ---- many at once


def test_many_at_once(conn):
    """Threads, a loop, and tasks of asyncio and trio, all of them on one connection."""
    sizes = SIZES * 6
    bodies = [*map(pattern, sizes)]
    paths = [f"/bytes/{size}" for size in sizes]
    results = {}

    def on_asyncio():
        async def main():
            shared = AsyncConnection(conn)
            return await asyncio.gather(*[shared.exchange("GET", path) for path in paths])

        results["asyncio"] = [reply.body for reply in asyncio.run(main())]

    def on_trio():
        found = {}

        async def get(number, path):
            found[number] = (await AsyncConnection(conn).exchange("GET", path)).body

        async def main():
            async with trio.open_nursery() as nursery:
                for number, path in enumerate(paths):
                    nursery.start_soon(get, number, path)

        trio.run(main)
        results["trio"] = [found[number] for number in range(len(paths))]

    def on_a_loop():
        with Loop() as loop:
            tasks = [loop.spawn(conn.co_exchange("GET", path)) for path in paths]
            loop.run_all()
        results["loop"] = [task.result().body for task in tasks]

    others = [threading.Thread(target=each) for each in (on_asyncio, on_trio, on_a_loop)]
    for thread in others:
        thread.start()
    with ThreadPoolExecutor(8) as threads:
        got = threads.map(lambda path: conn.exchange("GET", path).body, paths)
        assert [*got] == bodies
    for thread in others:
        thread.join()
    assert results == {"asyncio": bodies, "trio": bodies, "loop": bodies}


def test_exchanges_that_are_given_up(conn):
    for _ in range(20):
        exchange = conn.send_request("GET", f"/bytes/{1 << 20}")
        exchange.read_response()
        exchange.read(1000)
        exchange.abandon()
    assert conn.exchange("GET", "/bytes/1024").body == pattern(1024)
    assert conn.is_reusable()


@pytest.mark.parametrize("which", ["haproxy+tls", "hypercorn+tls", "granian+tls"])
def test_server_sent_events(serve, trusting, which):
    """Twelve, in three responses, while other requests go on."""
    with client_of(serve(which), trusting) as client:
        numbers = []
        for event in client.sse("/events/12"):
            assert event.data == f"event {event.id}"
            assert client.get("/bytes/1").content == pattern(1)
            numbers.append(int(event.id))
        assert numbers == [*range(1, 13)]
        assert next(iter(client.stats().values())).opened == 1


# ---- servers that end connections

IDLE = 3  # seconds after which hypercorn closes: one that is not used, or that it has ended


@pytest.fixture(params=["nginx", "hypercorn"])
def ending(request, tmp_path, start, certificate):
    """A server that ends each connection after 20 requests, by GOAWAY."""
    if request.param == "nginx":
        backend = start("uvicorn-httptools")
        with servers.nginx(tmp_path, backend, certificate, requests=20) as server:
            yield server
    else:
        with servers.hypercorn(tmp_path, certificate, requests=20, idle=IDLE) as server:
            yield server


def test_a_server_that_ends_each_connection_after_so_many_requests(ending, trusting):
    """It says so by GOAWAY: nothing is lost, and nothing is sent twice."""
    with connect(ending, trusting) as conn:
        failed, began = 0, time.monotonic()
        for _ in range(100):
            try:
                assert conn.exchange("GET", "/bytes/1024").body == pattern(1024)
            except ConnectionClosed:  # hypercorn answers the last one as far as it comes
                failed += 1
        # On a machine that stands still for that long, connections are idle for too long as well.
        idle = (time.monotonic() - began) // IDLE if ending.name == "hypercorn" else 0
        assert 3 <= conn.renewals <= 6 + idle
        assert failed <= (conn.renewals if ending.name == "hypercorn" else 0)
        renewals = conn.renewals
        with ThreadPoolExecutor(4) as pool:
            ends = [pool.submit(conn.exchange, "GET", "/bytes/1024") for _ in range(200)]
        for end in ends:
            problem = end.exception()
            if problem is None:
                assert end.result().body == pattern(1024)
            else:  # it was among those that the server may have begun with
                assert isinstance(problem, ConnectionClosed), problem
        lost = sum(end.exception() is not None for end in ends)
        assert lost <= 4 * (conn.renewals - renewals + 1)  # those of each connection
        assert lost < 100


def test_a_client_of_such_a_server(ending, trusting):
    """No error reaches the caller: threads and tasks share it.

    But with hypercorn one at a time, as it may end a connection in the middle of responses.
    """
    users = 1 if ending.name == "hypercorn" else 4
    with client_of(ending, trusting) as client, ThreadPoolExecutor(users) as threads:
        got = threads.map(lambda _: client.get("/bytes/1024").content, range(200))
        assert [*got] == [pattern(1024)] * 200

    async def main():
        async with client_of(ending, trusting, AsyncClient) as client:

            async def use():
                return [(await client.get("/bytes/1024")).content for _ in range(50)]

            return await asyncio.gather(*[use() for _ in range(users)])

    assert asyncio.run(main()) == [[pattern(1024)] * 50] * users


def test_a_server_that_is_reloaded_while_it_is_used(tmp_path, start, certificate, trusting):
    """nginx begins anew with the next connection: no request fails."""
    backend = start("uvicorn-httptools")
    done, over = [], threading.Event()

    def use(client):
        while not over.is_set():
            assert client.get("/bytes/70000").content == pattern(70_000)
            assert client.post("/upload", content=b"x" * 1000).json()["length"] == 1000
            done.append(None)

    with servers.nginx(tmp_path, backend, certificate) as server:
        with client_of(server, trusting) as client, ThreadPoolExecutor(4) as threads:
            ends = [threads.submit(use, client) for _ in range(4)]
            try:
                for _ in range(3):
                    seen = len(done)
                    os.kill(int((tmp_path / "pid").read_text()), signal.SIGHUP)
                    wait_until(lambda seen=seen: len(done) > seen + 20 or ends[0].done())
            finally:
                over.set()
            for end in ends:
                end.result()
            assert client.get("/bytes/1").content == pattern(1)


@pytest.mark.parametrize("which", ["nghttpd+tls", "nghttpd"])
def test_a_server_that_is_killed_and_begins_again(tmp_path, certificate, trusting, which):
    """What is under way ends with an error; what follows gets a new connection."""
    options = [certificate] if which.endswith("tls") else [None]
    (tmp_path / "1").mkdir()
    (tmp_path / "2").mkdir()
    with ExitStack() as stack:
        first = stack.enter_context(ExitStack())
        server = first.enter_context(servers.nghttpd(tmp_path / "1", *options))
        client = stack.enter_context(client_of(server, trusting))
        conn = stack.enter_context(connect(server, trusting))
        assert client.get("/bytes/1024").content == pattern(1024)
        half = stack.enter_context(client.stream("GET", f"/bytes/{1 << 30}"))
        pieces = half.iter_bytes()
        next(pieces)
        exchange = conn.send_request("GET", f"/bytes/{1 << 30}")
        exchange.read_response()
        first.close()
        with pytest.raises(ConnectionClosed):
            for _ in pieces:
                pass
        with pytest.raises(ConnectionClosed):
            while exchange.read(MIB):
                pass
        port = server.port
        stack.enter_context(servers.nghttpd(tmp_path / "2", *options, port=port))
        assert client.post("/", content=b"again").content == b"again"
        assert conn.exchange("POST", "/", None, b"again").body == b"again"


# ---- WebSockets (RFC 8441)


@pytest.fixture(scope="module")
def websockets(tmp_path_factory, certificate):
    """A function that returns a server that takes them over HTTP/2."""
    known = {}
    with ExitStack() as stack:

        def websockets(name):
            if name not in known:
                folder = tmp_path_factory.mktemp(name)
                options = {"certificate": certificate}
                if name == "haproxy":
                    back = tmp_path_factory.mktemp("uvicorn")
                    options["backend"] = stack.enter_context(
                        servers.uvicorn(back, "h11", ws="wsproto")
                    )
                known[name] = stack.enter_context(getattr(servers, name)(folder, **options))
            return known[name]

        yield websockets


def co_echo(ws):
    """Talk, and close it."""
    for message in ("hello", b"\0\xff" * 50_000, ["frag", "ments"]):
        yield from ws.co_send(message)
        expected = "".join(message) if isinstance(message, list) else message
        assert (yield from ws.co_recv()) == expected
    assert (yield from ws.co_ping()) > 0
    yield from ws.co_close(1000, "bye")
    return ws.close_code


@pytest.mark.feature("A50")
@pytest.mark.real("http2-websocket")
@pytest.mark.parametrize(("driver", "name"), with_every_driver("hypercorn", "haproxy"))
def test_websockets(websockets, trusting, monkeypatch, driver, name):
    """On a connection, and by a client that has used one; other requests go on beside them.

    hypercorn 0.18 answers the close frame, and never ends the stream (RFC 8441 section 5): there is
    no END_STREAM in that DATA frame or behind it. It is waited for, and then the stream is reset.
    """
    server = websockets(name)
    if name == "hypercorn":
        monkeypatch.setattr(websocket_pump, "MAX_LINGER", 0.02)

    def co_use(conn, client):
        ws = yield from conn.co_websocket("/chat")
        other = yield from conn.co_websocket("/chat")
        assert (yield from conn.co_exchange("GET", "/bytes/1024")).body == pattern(1024)
        codes = [(yield from co_echo(ws)), (yield from co_echo(other))]
        assert (yield from conn.co_exchange("GET", "/bytes/1024")).body == pattern(1024)
        yield from client.co_get("/bytes/1")
        ws = yield from client.co_websocket("/chat")
        assert ws.response.http_version == "2"
        assert (yield from client.co_get("/bytes/1024")).content == pattern(1024)
        codes.append((yield from co_echo(ws)))
        return codes

    with connect(server, trusting) as conn, client_of(server, trusting) as client:
        assert driver(co_use(conn, client)) == [1000] * 3
        assert conn.renewals == 0
        counts = [(stats.opened, stats.busy) for stats in client.stats().values()]
        assert sorted(counts) == [(0, 0), (1, 0)]
