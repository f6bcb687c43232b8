"""The pool of the adapters: what is kept, shared, waited for and sent again.

Each test runs with requests, and with httpx and httpx2 in each way of waiting.
"""

import asyncio
import gc
import threading
from concurrent.futures import ThreadPoolExecutor

import anyio
import anyio.to_thread
import httpx
import httpx2
import pytest
import requests
from kit.httpx_clients import WAYS, client_of
from kit.support import ScriptedServer, answering, read_exactly, read_head

from dugong_like import Limits
from dugong_like.adapters.httpx import AsyncTransport, Transport
from dugong_like.adapters.requests import Adapter
from dugong_like.adapters.sending import Place

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
LARGE = b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nab"  # of which the end is missing
NO_CONNECTION = {"requests": requests.ConnectTimeout, "httpx": httpx.PoolTimeout,
                 "httpx2": httpx2.PoolTimeout}  # fmt: skip
ENDED = {"requests": requests.ConnectionError, "httpx": httpx.RemoteProtocolError,
         "httpx2": httpx2.RemoteProtocolError}  # fmt: skip


def session_of(limits=None):
    session = requests.Session()
    session.trust_env = False
    for scheme in ("http://", "https://"):
        session.mount(scheme, Adapter(*[] if limits is None else [limits]))
    return session


@pytest.fixture(params=["requests", *WAYS])
def make(request):
    """What makes clients, of requests or of httpx; *limits* are those of this library."""
    made = []

    def make(limits=None):
        if request.param == "requests":
            made.append(session_of(limits))
        else:
            made.append(client_of(request.param, True, {"limits": limits}))
        return made[-1]

    make.library = request.param.partition("-")[0]
    yield make
    for client in made:
        client.close()


def place_at(server, path="/"):
    return f"http://127.0.0.1:{server.port}{path}"


def closing_silently(sock):
    """Answer one request, and close the connection when the next one has arrived."""
    assert read_head(sock)
    sock.sendall(OK)
    head = read_head(sock)
    if b"Content-Length: 4" in head:
        read_exactly(sock, 4)


def body_of(client, method, url, **options):
    return client.request(method, url, **options).content


# ---- sent again


@pytest.mark.feature("C26")
@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "DELETE", "OPTIONS"])
def test_idempotent_request_is_sent_again_if_a_kept_connection_ends(make, method):
    with ScriptedServer(closing_silently) as server:
        client, url = make(), place_at(server)
        assert body_of(client, "GET", url) == b"ok"
        body = {"data" if make.library == "requests" else "content": b"body"}
        assert client.request(method, url, **body if method == "PUT" else {}).status_code == 200
        assert server.connections == 2


@pytest.mark.parametrize("case", ["POST", "a body that comes once"])
def test_other_request_is_not_sent_again(make, case):
    with ScriptedServer(closing_silently) as server:
        client, url = make(), place_at(server)
        assert body_of(client, "GET", url) == b"ok"
        name = "data" if make.library == "requests" else "content"
        if case == "POST":
            method, options = "POST", {name: b"body"}
        else:
            pieces = [b"bo", b"dy"]
            method = "PUT"
            options = {name: iter(pieces) if make.library == "requests" else pieces,
                       "headers": {"Content-Length": "4"}}  # fmt: skip
        with pytest.raises(ENDED[make.library]):
            client.request(method, url, **options)
        assert server.connections == 1


def test_new_connection_that_ends_is_an_error(make):
    with ScriptedServer(read_head) as server:
        with pytest.raises(ENDED[make.library]):
            make().get(place_at(server))
        assert server.connections == 1


# ---- kept


def test_one_connection_serves_one_request_after_the_other(make):
    with ScriptedServer(answering(OK, OK, OK)) as server:
        client = make()
        assert [body_of(client, "GET", place_at(server)) for _ in range(3)] == [b"ok"] * 3
        assert server.connections == 1


@pytest.mark.parametrize(
    ("limits", "field"),
    [
        (Limits(max_keepalive=0), b""),
        (Limits(max_requests=1), b""),
        (Limits(keepalive_expiry=0), b""),
        (None, b"Keep-Alive: timeout=1\r\n"),  # less a second
        (None, b"Keep-Alive: max=0\r\n"),
    ],
    ids=["none kept", "one request", "no time", "Keep-Alive: timeout", "Keep-Alive: max"],
)
def test_connection_is_kept_as_long_as_limits_and_server_say(make, limits, field):
    answer = OK.replace(b"\r\n\r\n", b"\r\n" + field + b"\r\n")
    with ScriptedServer(answering(answer, answer)) as server:
        client = make(limits)
        assert [body_of(client, "GET", place_at(server)) for _ in range(2)] == [b"ok"] * 2
        assert server.connections == 2


def test_connection_whose_response_is_forgotten_is_closed():
    ended = threading.Event()

    def handler(sock):
        read_head(sock)
        sock.sendall(LARGE)
        sock.recv(1)
        ended.set()

    with ScriptedServer(handler) as server, session_of(Limits(max_connections=1)) as session:
        response = session.get(place_at(server), stream=True)
        del response
        gc.collect()
        assert ended.wait(20)


# ---- waited for


@pytest.mark.feature("C23")
def test_request_waits_until_a_connection_is_free(make):
    """In another thread, as each client has one way of waiting."""
    came, go = threading.Semaphore(0), threading.Event()

    def handler(sock):
        while read_head(sock):
            came.release()
            assert go.wait(20)
            sock.sendall(OK)

    client = make(Limits(max_connections=1))
    if not hasattr(client, "call"):  # a blocking one
        with ScriptedServer(handler) as server, ThreadPoolExecutor(4) as executor:
            tasks = [executor.submit(body_of, client, "GET", place_at(server)) for _ in range(4)]
            assert came.acquire(timeout=20)
            go.set()
            assert [task.result() for task in tasks] == [b"ok"] * 4
            assert server.connections == 1
        return

    async def main(inner):
        async def get():
            bodies.append((await inner.get(url)).content)

        bodies = []
        async with anyio.create_task_group() as group:
            for _ in range(4):
                group.start_soon(get)
            assert await anyio.to_thread.run_sync(lambda: came.acquire(timeout=20))
            go.set()
        return bodies

    with ScriptedServer(handler) as server:
        url = place_at(server)
        assert client.call(main) == [b"ok"] * 4
        assert server.connections == 1


@pytest.mark.feature("C39")
def test_no_connection_in_time_is_the_error_of_the_library(make):
    with ScriptedServer(answering(LARGE)) as server:
        client = make(Limits(max_connections=1))
        if make.library == "requests":
            with client.get(place_at(server), stream=True):
                with pytest.raises(NO_CONNECTION[make.library], match="no connection to http://"):
                    client.get(place_at(server), timeout=(0.1, 20))
        else:
            timeout = {"timeout": {"requests": None, "httpx": httpx, "httpx2": httpx2}[
                make.library].Timeout(20, pool=0.1)}  # fmt: skip
            url = place_at(server)

            async def main(inner):
                async with inner.stream("GET", url):
                    with pytest.raises(NO_CONNECTION[make.library], match="no connection to "):
                        await inner.get(url, **timeout)

            if hasattr(client, "call"):
                client.call(main)
            else:
                with client.stream("GET", url):
                    with pytest.raises(NO_CONNECTION[make.library], match="no connection to "):
                        client.get(url, **timeout)
        assert server.connections == 1


# ---- shared


def test_event_loops_share_the_connections_of_a_transport():
    """One after the other; a connection belongs to none of them."""
    with ScriptedServer(answering(OK, OK, OK)) as server:
        client = httpx.AsyncClient(transport=AsyncTransport(), trust_env=False)
        for _ in range(3):
            assert asyncio.run(client.get(place_at(server))).text == "ok"
        asyncio.run(client.aclose())
        assert server.connections == 1


def test_event_loops_of_several_threads_share_a_transport():
    """At the same time: the one waits for what another one has."""
    with ScriptedServer(answering(*[OK] * 100)) as server:
        transport = AsyncTransport(limits=Limits(max_connections=1))

        async def main():
            client = httpx.AsyncClient(transport=transport, trust_env=False, timeout=20)
            return [(await client.get(place_at(server))).text for _ in range(25)]

        with ThreadPoolExecutor(4) as executor:
            tasks = [executor.submit(asyncio.run, main()) for _ in range(4)]
            assert [task.result() for task in tasks] == [["ok"] * 25] * 4
        asyncio.run(transport.aclose())
        assert server.connections == 1


# ---- limits of httpx


@pytest.mark.parametrize("library", [httpx, httpx2])
def test_limits_are_those_of_httpx(library):
    with ScriptedServer(answering(OK, OK)) as server:
        limits = library.Limits(max_connections=5, max_keepalive_connections=0)
        with library.Client(transport=Transport(limits=limits), trust_env=False) as client:
            for _ in range(2):
                assert client.get(place_at(server)).text == "ok"
        assert server.connections == 2

    limits = library.Limits(max_connections=None, keepalive_expiry=None)
    with ScriptedServer(answering(OK, OK)) as server:
        with library.Client(transport=Transport(limits=limits), trust_env=False) as client:
            for _ in range(2):
                assert client.get(place_at(server)).text == "ok"
        assert server.connections == 1


def test_limits_that_are_none():
    with pytest.raises(TypeError, match="limits"):
        Transport(limits=5)
    with pytest.raises(TypeError, match="limits"):
        Adapter(limits=5)


# ---- places


def test_place_is_equal_if_origin_and_setting_are():
    here = Place("http", "a.test", 80, "x")
    assert here == Place("HTTP", "A.test", None, "x")
    assert hash(here) == hash(Place("http", "a.test", 80, "x"))
    for other in (Place("http", "a.test", 80), Place("http", "b.test", 80, "x"), "http://a.test"):
        assert here != other
