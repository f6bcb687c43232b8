"""A client over HTTP/2, with a real server and TLS: many requests share one connection."""

import asyncio
import io
import json
import os
import threading
import time

import h2.events
import pytest
from kit import h2_frames
from kit.h2_frames import goaway
from kit.h2_server import Answer, RawConnection
from kit.h2_site import Site, h2_site, site
from kit.steps import PACKAGE, Steps
from kit.support import ScriptedServer, pattern, read_head

from dugong_like import (
    AsyncClient,
    Client,
    ConnectionTimedOut,
    DugongError,
    GoneAway,
    InvalidRequest,
    Limits,
    Origin,
    Retry,
    StateError,
    StreamReset,
    Timeouts,
)
from dugong_like.client import sharing
from dugong_like.connection.cancelling import close
from dugong_like.connection.connection_view import bytes_received
from dugong_like.drivers.loop import Loop

MOST_CODES = 2850  # bytecodes of a GET on a connection that was used before
MOST_CALLS = 92


@pytest.fixture
def tls(certificate):
    """A context of a server that chooses HTTP/2."""
    context = certificate.server_context()
    context.set_alpn_protocols(["h2"])
    return context


@pytest.fixture
def client_of(trusting):
    """A function that makes a client of a server, with its own URL as ``base_url``."""
    clients = []

    def client_of(server, kind=Client, **options):
        url = f"https://localhost:{server.port}"
        options = {"ssl_context": trusting, **options}  # HTTP/2 is the default
        client = kind(base_url=url, **options)
        clients.append(client)
        return client

    yield client_of
    for client in clients:
        if isinstance(client, Client):
            client.close()


def test_requests_one_after_the_other(tls, client_of):
    with h2_site(tls=tls) as server:
        client = client_of(server)
        for _ in range(3):
            response = client.get("/")
            assert (response.status_code, response.content) == (200, b"hello")
            assert response.http_version == "2"
        assert [response.stream_id for response in (client.get("/"), client.get("/"))] == [7, 9]
        assert client.head("/").content == b""
    assert len(server.peers) == 1


def test_request_bodies_of_all_kinds(tls, client_of):
    with h2_site(tls=tls) as server:
        client = client_of(server)
        whole = client.post("/upload", content=b"x" * 100_000).json()
        stream = client.post("/upload", content=io.BytesIO(b"x" * 100_000)).json()
        pieces = client.post("/upload", content=iter([b"x" * 60_000, b"x" * 40_000])).json()
        asked = client.post("/upload", content=b"x" * 100_000, expect100=True).json()
        form = client.post("/upload", files={"f": ("f", b"x")}, data={"a": "b"}).json()
    assert whole == stream == pieces == asked
    assert whole["length"] == 100_000
    assert form["length"] > 100
    assert len(server.peers) == 1


def test_streams_of_responses_are_read_in_any_order(tls, client_of):
    with h2_site(tls=tls) as server:
        client = client_of(server)
        with client.stream("GET", "/chunked/300000") as first:
            with client.stream("GET", "/chunked/200000") as second:
                assert client.get("/").content == b"hello"
                assert len(second.read()) == 200_000
            assert sum(map(len, first.iter_bytes())) == 300_000
        with client.stream("GET", "/chunked/300000") as given_up:
            next(given_up.iter_bytes())
        assert client.get("/").content == b"hello"
    assert len(server.peers) == 1


def test_tasks_share_one_connection(tls, client_of):
    async def main(client):
        async with client:
            paths = [f"/chunked/{1000 * number}" for number in range(40)]
            return await asyncio.gather(*map(client.get, paths))

    with h2_site(tls=tls) as server:
        responses = asyncio.run(main(client_of(server, AsyncClient)))
    assert [len(response.content) for response in responses] == [1000 * n for n in range(40)]
    assert len(server.peers) == 1


def test_threads_and_a_loop_share_one_connection(tls, client_of):
    with h2_site(tls=tls) as server:
        client = client_of(server)
        sizes = []

        def work():
            sizes.extend(len(client.get(f"/chunked/{size}").content) for size in (1, 2, 70_000))

        threads = [threading.Thread(target=work) for _ in range(8)]
        for thread in threads:
            thread.start()
        with Loop() as loop:
            tasks = [loop.spawn(client.co_get("/chunked/5")) for _ in range(20)]
            loop.run_all()
        for thread in threads:
            thread.join()
    assert sorted(sizes) == sorted([1, 2, 70_000] * 8)
    assert [len(task.result().content) for task in tasks] == [5] * 20
    assert len(server.peers) == 1


def test_further_connections_if_the_server_allows_few_streams(tls, client_of):
    async def main(client):
        async with client:
            await client.get("/")  # the settings of the server are known from here on
            return await asyncio.gather(*(client.get(f"/chunked/{n}") for n in range(12)))

    with h2_site(tls=tls, max_concurrent_streams=4) as server:
        responses = asyncio.run(main(client_of(server, AsyncClient)))
    assert [len(response.content) for response in responses] == list(range(12))
    assert 1 < len(server.peers) <= 3


class Ending(Site):
    """A `Site` that ends its connection after *most* requests, and answers no others."""

    def __init__(self, app, most):
        super().__init__(app)
        self._most = most
        self.has_ended = False

    def answer(self, request):
        if len(self.requests) < self._most:
            super().answer(request)

    def take(self, wire):
        if self.has_ended:
            return b""
        back = super().take(wire)
        if len(self.requests) < self._most:
            return back
        self.has_ended = True
        return back + goaway(self.requests[-1].stream)


def ending_site(tls, most):
    """Return a server of which each connection is an `Ending`, in its attribute `peers`."""
    peers = []

    def serve(sock):
        peer = Ending(site, most)
        peers.append(peer)
        sock.sendall(peer.take(b""))
        while wire := sock.recv(65536):
            sock.sendall(peer.take(wire))

    server = ScriptedServer(serve, tls)
    server.peers = peers
    return server


def test_requests_that_goaway_overtakes_are_sent_once_more_however_often_it_takes(tls, client_of):
    """More are under way than a connection serves: some are overtaken many times."""

    async def main(client):
        async with client:
            gets = [client.get(f"/chunked/{number}") for number in range(40)]
            posts = [client.post(f"/upload?{number}", content=b"x") for number in range(20)]
            return await asyncio.gather(*gets, *posts)

    with ending_site(tls, 5) as server:
        responses = asyncio.run(main(client_of(server, AsyncClient)))
    seen = sorted(request[":path"] for peer in server.peers for request in peer.requests)
    assert {response.status_code for response in responses} == {200}
    assert seen == sorted(str(response.url.target) for response in responses)
    assert len(server.peers) == 12
    assert max(response.attempts for response in responses) > 4


def test_connection_that_always_ends_before_the_request_is_an_error(tls, client_of):
    def serve(sock):
        peer = Site(site)
        served.append(peer)
        sock.sendall(peer.take(b"") + goaway(0))
        while sock.recv(65536):
            pass

    served = []
    with ScriptedServer(serve, tls) as server:
        with pytest.raises(GoneAway, match="GOAWAY") as caught:
            client_of(server).get("/")
        assert caught.value.request_sent == "no"
    assert len(served) == 4


def refusing(code, times, counted):
    """Return a site that resets the first *times* requests with *code*."""

    def answer(request):
        counted.append(request[":path"])
        if len(counted) <= times:
            return Answer(status=0, reset=code)
        return site(request)

    return answer


def test_refused_request_is_repeated_whatever_its_method(tls, client_of):
    counted = []
    with h2_site(refusing(7, 2, counted), tls=tls) as server:
        response = client_of(server).post("/upload", content=b"abc")
        assert response.json()["length"] == 3
        assert response.attempts == 3
    assert len(counted) == 3


def test_refused_request_whose_body_cannot_be_read_again_is_an_error_that_says_so(tls, client_of):
    counted = []
    with h2_site(refusing(7, 1, counted), tls=tls) as server:
        client = client_of(server)
        with pytest.raises(StreamReset, match="REFUSED_STREAM") as caught:
            client.post("/upload", content=iter([b"abc"]))
        assert caught.value.request_sent == "no"
        assert "cannot be read a second time" in caught.value.__notes__[0]
        assert client.post("/upload", content=iter([b"abc"])).json()["length"] == 3
    assert len(counted) == 2
    assert len(server.peers) == 1


def test_body_of_which_nothing_was_read_is_sent_on_another_connection(tls, client_of):
    """The server has ended the idle connection, which is seen before the request is sent."""
    read = []

    def pieces():
        read.append(1)
        yield b"abc"

    with ending_site(tls, 1) as server:
        client = client_of(server)
        assert client.get("/").content == b"hello"
        assert client.post("/upload", content=pieces()).json()["length"] == 3
    assert len(read) == 1
    assert len(server.peers) == 2


def misdirecting(times, counted):
    """Return a site that answers the first *times* requests of /upload with 421."""

    def answer(request):
        if request[":path"] == "/upload":
            counted.append(request)
            if len(counted) <= times:
                return Answer(status=421, body=b"elsewhere")
        return site(request)

    return answer


def test_misdirected_request_is_sent_once_more_by_another_connection(tls, client_of):
    for method, options in (("POST", {}), ("POST", {"stream": True}), ("PATCH", {})):
        counted = []
        with h2_site(misdirecting(1, counted), tls=tls) as server:
            client = client_of(server)
            with client.stream("GET", "/chunked/300000") as other:
                response = client.request(method, "/upload", content=b"abc", **options)
                response.read()
                assert (response.status_code, response.json()["length"]) == (200, 3)
                assert response.attempts == 2
                assert sum(map(len, other.iter_bytes())) == 300_000
            assert client.get("/").content == b"hello"
            counts = client.stats()[f"https://localhost:{server.port}"]
            assert (counts.idle, counts.busy, counts.opened) == (1, 0, 2)
            assert counts.ended == {"discarded": 1}
        assert len(counted) == 2
        assert [len(peer.requests) for peer in server.peers] == [2, 2]


def test_misdirected_request_on_a_known_connection_is_sent_once_more(tls, client_of):
    for times, status in ((1, 200), (2, 421)):
        counted = []
        with h2_site(misdirecting(times, counted), tls=tls) as server:
            client = client_of(server)
            client.get("/")
            response = client.post("/upload", content=b"abc")
            assert response.status_code == status
            assert response.attempts == len(counted) == 2
            assert client.get("/").content == b"hello"
            assert client.post("/upload", content=b"abc").status_code == 200
        assert len(server.peers) == 2


def test_misdirected_request_is_not_sent_a_third_time(tls, client_of):
    counted = []
    with h2_site(misdirecting(2, counted), tls=tls) as server:
        client = client_of(server)
        response = client.post("/upload", content=b"abc")
        assert (response.status_code, response.content) == (421, b"elsewhere")
        once = client.post("/upload", content=iter([b"abc"]))
        assert once.status_code == 200
    assert len(counted) == 3
    assert len(server.peers) == 2


def test_misdirected_request_whose_body_cannot_be_sent_again_is_answered_so(tls, client_of):
    counted = []
    with h2_site(misdirecting(1, counted), tls=tls) as server:
        response = client_of(server).post("/upload", content=iter([b"abc"]))
        assert response.status_code == 421
    assert len(counted) == len(server.peers) == 1


def test_reset_request_is_not_repeated(tls, client_of):
    counted = []
    with h2_site(refusing(2, 1, counted), tls=tls) as server:
        client = client_of(server)
        with pytest.raises(StreamReset, match=r"POST https://localhost:\d+/upload: ") as caught:
            client.post("/upload", content=b"abc")
        assert caught.value.request_sent != "no"
        assert client.get("/").content == b"hello"
    assert len(counted) == 2
    assert len(server.peers) == 1


def test_http_1_where_the_server_chooses_that(certificate, client_of):
    bodies = []

    def serve(sock):
        while b"\r\n\r\n" in (head := sock.recv(65536)):
            bodies.append(head)
            sock.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")

    context = certificate.server_context()
    context.set_alpn_protocols(["http/1.1"])
    with ScriptedServer(serve, context) as server:
        client = client_of(server)
        for _ in range(3):
            response = client.get("/")
            assert (response.content, response.http_version) == (b"ok", "1.1")
        assert client.stats()[f"https://localhost:{server.port}"].opened == 1
    assert len(bodies) == 3


def test_request_may_ask_for_http_1(certificate, client_of):
    protocols = []

    def serve(sock):
        protocols.append(sock.selected_alpn_protocol())
        while b"\r\n\r\n" in sock.recv(65536):
            sock.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")

    context = certificate.server_context()
    context.set_alpn_protocols(["h2", "http/1.1"])
    with ScriptedServer(serve, context) as server:
        client = client_of(server)
        assert client.get("/", http_version="1.1").content == b"ok"
    assert protocols == ["http/1.1"]


def test_server_that_needs_http_1(certificate, client_of):
    """It speaks HTTP/2, but refuses to for its content (RFC 9113 section 7)."""
    protocols = []

    def serve(sock):
        protocols.append(sock.selected_alpn_protocol())
        if protocols[-1] == "h2":
            peer = Site(lambda _: Answer(status=0, reset=0xD))
            sock.sendall(peer.take(b""))
            while wire := sock.recv(65536):
                sock.sendall(peer.take(wire))
        while b"\r\n\r\n" in sock.recv(65536):
            sock.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")

    context = certificate.server_context()
    context.set_alpn_protocols(["h2", "http/1.1"])
    with ScriptedServer(serve, context) as server:
        client = client_of(server)
        first, second = client.post("/", content=b"x"), client.get("/")
        assert first.content == second.content == b"ok"
        assert [first.attempts, second.attempts] == [2, 1]
    assert protocols == ["h2", "http/1.1"]


def test_prior_knowledge(client_of):
    with h2_site() as server, Client(versions=("h2",)) as client:
        url = f"http://127.0.0.1:{server.port}"
        assert json.loads(client.post(f"{url}/upload", content=b"ab").content)["length"] == 2
        assert client.get(url).http_version == "2"
    assert len(server.peers) == 1


def test_request_closed_at_any_wait_leaves_no_stream_and_disturbs_no_other(tls, client_of):
    """Each of them: before the connection is there, while it is opened, and on the stream."""
    with h2_site(tls=tls) as server:
        client = client_of(server)
        for path, options in (
            *(("/", {}), ("/chunked/200000", {}), ("/chunked/200000", {"stream": True})),
            ("/upload", {"content": b"x" * 200_000, "method": "POST"}),
        ):
            for waits in range(12):
                method = options.get("method", "GET")
                more = {name: value for name, value in options.items() if name != "method"}
                with client.stream("GET", "/chunked/100000") as other:
                    given_up = client.co_request(method, path, **more)
                    ended = given_up_after(given_up, waits)
                    assert sum(map(len, other.iter_bytes())) == 100_000
                if ended is not None:
                    ended.close()
                    break
        assert client.get("/").content == b"hello"
        counts = client.stats()[f"https://localhost:{server.port}"]
        assert (counts.busy, counts.idle) == (0, 1)
        with client.dispatcher.acquire(Origin("https", "localhost", server.port)) as lease:
            assert "stream" not in repr(lease.connection)
    assert len(server.peers) == 1


def given_up_after(operation, waits):
    """Resume *operation* so often, waiting in between, and close it; its result if that is here."""
    try:
        for _ in range(waits):
            assert next(operation).poll(60)
        next(operation)
    except StopIteration as end:
        return end.value
    finally:
        operation.close()


def test_client_closed_meanwhile_lets_what_is_under_way_end(tls, client_of):
    with h2_site(tls=tls) as server:
        client = client_of(server)
        with client.stream("GET", "/chunked/300000") as response:
            client.close()
            with pytest.raises(StateError, match="closed"):
                client.get("/")
            assert sum(map(len, response.iter_bytes())) == 300_000
        assert client.stats()[f"https://localhost:{server.port}"].busy == 0
    assert len(server.peers) == 1


def test_response_that_is_lost_gives_its_stream_back(tls, client_of):
    with h2_site(tls=tls) as server:
        client = client_of(server)
        other = client.get("/chunked/300000", stream=True)
        lost = client.get("/chunked/300000", stream=True)
        with pytest.warns(ResourceWarning, match="stream"):
            del lost
        assert len(other.read()) == 300_000
        assert client.get("/").content == b"hello"
        assert client.stats()[f"https://localhost:{server.port}"].busy == 0
    assert len(server.peers) == 1


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")
@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")  # of Python 3.12
def test_child_process_has_connections_of_its_own(tls, client_of):
    with h2_site(tls=tls) as server:
        client = client_of(server)
        with client.stream("GET", "/chunked/300000") as response:
            child = os.fork()
            if child == 0:
                status = 1
                try:
                    response.close()
                    status = 0 if client.get("/").content == b"hello" else 2
                finally:
                    os._exit(status)
            assert os.waitpid(child, 0)[1] == 0
            assert sum(map(len, response.iter_bytes())) == 300_000
        assert client.get("/").content == b"hello"
    assert len(server.peers) == 2


def test_time_limits_of_a_request_do_not_hold_for_the_next_one(tls, client_of):
    never = []

    def answer(request):
        return never.append(request) if request[":path"] == "/never" else site(request)

    with h2_site(answer, tls=tls) as server:
        client = client_of(server)
        client.get("/")
        with pytest.raises(ConnectionTimedOut, match="GET https://localhost:.*/never"):
            client.get("/never", timeout=Timeouts(read=0.05))
        assert client.get("/", timeout=Timeouts(read=20)).content == b"hello"
        assert client.get("/").content == b"hello"
        going = client.co_get("/never")
        need = next(going)
        assert need.deadline - time.monotonic() > 5
        going.close()
        assert client.get("/").content == b"hello"
    assert len(server.peers) == 1


def test_redirects_and_errors_on_a_known_connection(tls, client_of):
    def answer(request):
        if request[":path"] == "/moved":
            return Answer(status=302, fields=[("location", "/")], body=b"there")
        if request[":path"] == "/large":
            return Answer(status=404, body=bytes(300_000))
        return site(request)

    with h2_site(answer, tls=tls) as server:
        client = client_of(server)
        client.get("/")
        assert client.get("/moved", follow_redirects=True).content == b"hello"
        assert client.get("/moved", follow_redirects=False).content == b"there"
        response = client.get("/large")
        assert (response.status_code, len(response.content)) == (404, 300_000)
        assert client.get("/").stream_id == 11
        assert client.stats()[f"https://localhost:{server.port}"].idle == 1
    assert len(server.peers) == 1


def test_steps_of_requests_one_after_the_other_are_few():
    """Each takes the connection out of the pool, with what was kept of it, and gives it back."""
    with h2_site() as server, Client(versions=("h2",), trust_env=False) as client:
        url = f"http://127.0.0.1:{server.port}/"
        for _ in range(3):  # blocks of header fields are remembered
            client.get(url)
        with Steps(of=PACKAGE) as steps:
            client.get(url)
    assert steps.codes < MOST_CODES
    assert steps.frames < MOST_CALLS


# ---- connections that may be dead


def test_connection_is_asked_before_each_request_if_that_is_wanted(tls, client_of):
    with h2_site(tls=tls) as server:
        client = client_of(server, limits=Limits(ping_after=0))
        for _ in range(3):
            response = client.post("/upload", content=b"abc")
            assert (response.json()["length"], response.attempts) == (3, 1)
        with client.stream("GET", "/chunked/300000") as other:
            assert client.get("/").content == b"hello"
            assert len(other.read()) == 300_000
        (peer,) = server.peers
    assert sum(isinstance(event, h2.events.PingReceived) for event in peer.events) == 4


@pytest.mark.parametrize("stream", [False, True])
def test_request_is_not_sent_by_a_connection_that_swallows_everything(
    tls, client_of, monkeypatch, stream
):
    """A router on the way has forgotten it: nothing comes back, and no error."""
    monkeypatch.setattr(sharing, "PING_TIME", 0.05)
    peers = []

    def serve(sock):
        peer = Site(site)
        peers.append(peer)
        sock.sendall(peer.take(b""))
        while wire := sock.recv(65536):
            if peer is peers[0] and peer.requests:
                continue
            sock.sendall(peer.take(wire))

    with ScriptedServer(serve, tls) as server:
        client = client_of(server, limits=Limits(ping_after=0))
        assert client.get("/").content == b"hello"
        response = client.post("/upload", content=b"abc", stream=stream)
        response.read()
        assert (response.json()["length"], response.attempts) == (3, 1)
        assert client.stats()[f"https://localhost:{server.port}"].ended == {"discarded": 1}
    assert [len(peer.requests) for peer in peers] == [1, 1]


def test_connection_that_is_closed_before_it_is_asked_does_not_connect_anew(
    tls, client_of, monkeypatch
):
    """Another thread closes it, behind the look if it is open. The pool opens the next one."""
    closed = []

    def closes(config, session):
        if not closed:
            closed.append(session)
            close(session)
        return bytes_received(config, session)

    with h2_site(tls=tls) as server:
        client = client_of(server, limits=Limits(ping_after=0))
        with client.stream("GET", "/chunked/300000"):
            monkeypatch.setattr(sharing, "bytes_received", closes)
            assert client.get("/").content == b"hello"
            assert len(closed) == 1
            assert client.stats()[f"https://localhost:{server.port}"].opened == 2
    assert len(server.peers) == 2


# ---- connections that nobody else uses


def swallowing(partly=False, has_come=None):
    """Return a script: the first connection answers one request, and then nothing at all.

    With *partly* the next request gets the head of its response, and a part of the body. The event
    *has_come* is set when the next request is there.
    """
    connections = []

    def script(sock):
        raw = RawConnection(sock)
        is_first = not connections
        connections.append(raw)
        for _ in range(1 if is_first else 100):
            stream = raw.read_until(h2_frames.HEADERS).stream
            raw.send(h2_frames.headers(stream) + h2_frames.data(stream, b"hello", end=True))
        if partly:
            stream = raw.read_until(h2_frames.HEADERS).stream
            raw.send(h2_frames.headers(stream) + h2_frames.data(stream, b"hel"))
        if has_come is not None:
            raw.read_until(h2_frames.HEADERS)
            has_come.set()
        raw.read_to_end()

    return script


def without_a_head(client):
    with pytest.raises(ConnectionTimedOut):
        client.get("/", timeout=Timeouts(head=0.05))


def without_an_end(client):
    with pytest.raises(ConnectionTimedOut):
        client.get("/", stream=True, timeout=Timeouts(read=0.05)).read()


def given_up(client):
    going = client.co_get("/")
    next(going, None)
    going.close()


@pytest.mark.parametrize("lose", [without_a_head, without_an_end, given_up])
def test_connection_on_which_an_answer_did_not_come_is_asked(monkeypatch, lose):
    """It may be dead, and swallow all requests that follow, each until its time limit."""
    monkeypatch.setattr(sharing, "PING_TIME", 0.05)
    with ScriptedServer(swallowing(partly=lose is without_an_end)) as server:
        url = f"http://127.0.0.1:{server.port}"
        with Client(base_url=url, versions=("h2",), timeout=60) as client:
            assert client.get("/").content == b"hello"
            lose(client)
            for _ in range(2):
                assert client.get("/").content == b"hello"
            assert client.stats()[url].ended == {"discarded": 1}
    assert server.connections == 2


@pytest.mark.parametrize("loop", ["asyncio", "trio"])
def test_connection_on_which_a_task_was_cancelled_is_asked(monkeypatch, loop):
    monkeypatch.setattr(sharing, "PING_TIME", 0.05)
    has_come = threading.Event()

    async def until_it_has_come(sleep):
        while not has_come.is_set():
            await sleep(0.005)

    async def main():
        async with AsyncClient(base_url=url, versions=("h2",), timeout=60) as client:
            assert (await client.get("/")).content == b"hello"
            if loop == "asyncio":
                task = asyncio.create_task(client.get("/"))
                await until_it_has_come(asyncio.sleep)
                task.cancel()
                with pytest.raises(asyncio.CancelledError):
                    await task
            else:
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(client.get, "/")
                    await until_it_has_come(trio.sleep)
                    nursery.cancel_scope.cancel()
            assert (await client.get("/")).content == b"hello"

    trio = pytest.importorskip("trio")
    with ScriptedServer(swallowing(has_come=has_come)) as server:
        url = f"http://127.0.0.1:{server.port}"
        if loop == "asyncio":
            asyncio.run(main())
        else:
            trio.run(main)
    assert server.connections == 2


def test_connection_on_which_a_request_was_slow_goes_on():
    """The server answers PING, and nothing is closed."""
    with h2_site() as server:
        url = f"http://127.0.0.1:{server.port}"
        with Client(base_url=url, versions=("h2",), timeout=60) as client:
            assert client.get("/").content == b"hello"
            given_up(client)
            for _ in range(2):
                assert client.get("/").content == b"hello"
    assert len(server.peers) == 1


def test_ranges_of_a_download_have_connections_of_their_own(tls, client_of, tmp_path):
    size = 4 << 20

    def answer(request):
        if (wanted := request["range"]) is None:
            return Answer(body=pattern(size))
        begin, end = map(int, wanted.removeprefix("bytes=").split("-"))
        fields = [("content-range", f"bytes {begin}-{end}/{size}"), ("etag", '"1"')]
        return Answer(status=206, fields=fields, body=pattern(size)[begin : end + 1])

    with h2_site(answer, tls=tls) as server:
        client = client_of(server)
        result = client.download("/x", tmp_path / "x", ranges=3)
        assert (tmp_path / "x").read_bytes() == pattern(size)
        assert result.response.http_version == "2"
        assert client.get("/x").num_bytes_downloaded == size
    assert len(server.peers) == 3


def test_authentication_of_a_connection_goes_over_http_1(certificate, client_of):
    protocols = []

    def serve(sock):
        protocols.append(sock.selected_alpn_protocol())
        while b"\r\n\r\n" in sock.recv(65536):
            sock.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")

    class OfTheConnection:
        same_connection = True

        def auth_flow(self, request):
            yield request
            yield request

    context = certificate.server_context()
    context.set_alpn_protocols(["h2", "http/1.1"])
    with ScriptedServer(serve, context) as server:
        response = client_of(server).get("/", auth=OfTheConnection())
        assert (response.content, response.attempts) == (b"ok", 2)
    assert protocols == ["http/1.1"]


# ---- the same as over HTTP/1.1


def answering_http_1(sock):
    while read_head(sock):
        sock.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")


@pytest.mark.parametrize("auth", [None, ("user", "password")])
def test_http_1_takes_no_more_steps_than_if_nothing_else_is_allowed(certificate, client_of, auth):
    codes = []
    with ScriptedServer(answering_http_1, certificate.server_context()) as server:
        for versions in (("http/1.1",), ("h2", "http/1.1")):
            client = client_of(server, versions=versions, trust_env=False, auth=auth)
            for _ in range(3):
                client.get("/")
            counts = []
            for _ in range(5):
                with Steps(of=PACKAGE) as steps:
                    client.get("/")
                counts.append(steps.codes)
            codes.append(min(counts))  # without wake-ups that come by chance
    assert codes[1] < 1.12 * codes[0]


@pytest.mark.parametrize("protocol", ["h2", "http/1.1"])
def test_connection_that_could_not_be_opened_counts_as_an_attempt(certificate, client_of, protocol):
    """The server ends the first two during the TLS handshake."""
    context = certificate.server_context()
    context.set_alpn_protocols([protocol])
    came = []

    def serve(sock):
        came.append(1)
        if len(came) <= 2:
            return
        with context.wrap_socket(sock, server_side=True) as secured:
            if protocol == "http/1.1":
                answering_http_1(secured)
                return
            peer = Site(site)
            secured.sendall(peer.take(b""))
            while wire := secured.recv(65536):
                secured.sendall(peer.take(wire))

    with ScriptedServer(serve) as server:
        client = client_of(server, retry=Retry(backoff=0, budget=None))
        response = client.get("/")
        assert (response.status_code, response.attempts) == (200, 3)
        assert client.get("/").attempts == 1
        client.close()


@pytest.mark.parametrize("protocol", ["h2", "http/1.1"])
def test_error_of_opening_a_connection_says_for_which_request(certificate, client_of, protocol):
    context = certificate.server_context()
    context.set_alpn_protocols([protocol])
    with ScriptedServer(lambda sock: None) as server:
        with pytest.raises(DugongError, match=r"POST https://localhost:\d+/x: ") as caught:
            client_of(server).post("/x", content=b"abc")
    assert caught.value.request_sent == "no"
    assert (caught.value.request.method, caught.value.request.attempts) == ("POST", 1)


# ---- requests that HTTP/2 cannot send


def server_of_both(certificate):
    """A server of either version, with what it has received over HTTP/1.1 in ``heads``."""
    context = certificate.server_context()
    context.set_alpn_protocols(["h2", "http/1.1"])
    server = h2_site(tls=context)
    server.heads = []
    over_http_2 = server._handler

    def serve(sock):
        if sock.selected_alpn_protocol() == "h2":
            over_http_2(sock)
            return
        while head := read_head(sock):
            server.heads.append(head)
            sock.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")

    server._handler = serve
    return server


@pytest.mark.parametrize("is_known", [False, True])
@pytest.mark.parametrize(
    "fields",
    [{"Connection": "close"}, {"TE": "gzip"}, {"Keep-Alive": "timeout=5"}, {"Upgrade": "x"}],
)
def test_request_with_fields_of_http_1_goes_over_http_1(certificate, client_of, fields, is_known):
    """RFC 9113 section 8.2.2. Others use HTTP/2 as before."""
    [(name, value)] = fields.items()
    with server_of_both(certificate) as server:
        client = client_of(server)
        if is_known:
            client.get("/")
        response = client.get("/a", headers=fields)
        assert (response.content, response.http_version, response.attempts) == (b"ok", "1.1", 1)
        assert f"\r\n{name}: {value}\r\n".encode() in server.heads[0]
        response = client.post("/b", content=iter([b"abc"]), headers={"Connection": "keep-alive"})
        assert (response.http_version, response.attempts) == ("2", 1)
        items = client.map([("GET", "/c"), "/d"], headers=fields)
        assert [item.response.http_version for item in items] == ["1.1", "1.1"]
        assert client.get("/").http_version == "2"
    assert len(server.peers) == 1


def test_request_with_fields_of_http_1_fails_if_only_http_2_is_allowed(certificate, client_of):
    with server_of_both(certificate) as server:
        client = client_of(server, versions=("h2",))
        for _ in range(2):
            with pytest.raises(
                InvalidRequest, match=r"Connection is for HTTP/1 .*8\.2\.2"
            ) as caught:
                client.get("/", headers={"Connection": "close"})
            assert caught.value.request_sent == "no"
            assert client.get("/").http_version == "2"
    assert server.heads == []


@pytest.mark.parametrize("method", ["GET", "POST"])  # by either way of the client
def test_a_request_that_is_refused_unsent_does_not_count_as_one(certificate, client_of, method):
    with server_of_both(certificate) as server:
        client = client_of(
            server, versions=("h2",), limits=Limits(max_connections=1, max_requests=4)
        )
        body = None if method == "GET" else iter([b"body"])
        client.get("/")
        for _ in range(2):
            with pytest.raises(InvalidRequest):
                client.request(method, "/", headers={"Connection": "close"}, content=body)
        for _ in range(3):
            client.get("/")
        assert len(server.peers) == 1
        client.get("/")
        assert len(server.peers) == 2


# ---- requests that the server has not processed


class Unwilling(Site):
    """A `Site` that fails the first /upload of its server in one of these ways."""

    def __init__(self, how, failed):
        super().__init__(self.judge)
        self._how = how
        self._failed = failed
        self._last_words = b""

    def judge(self, request):
        if request[":path"] != "/upload" or self._failed:
            return site(request)
        self._failed.append(request)
        what, code = self._how
        if what == "status":
            return Answer(status=code, body=b"elsewhere")
        if what == "reset":
            return Answer(status=0, reset=code)
        self._last_words = goaway(max(request.stream - 2, 0), code)
        return None

    def take(self, wire):
        back = super().take(wire) + self._last_words
        self._last_words = b""
        return back


HOOKS = {"on_headers": lambda *_, **__: None}
HOW = {
    "refused": ("reset", 7),
    "misdirected": ("status", 421),
    "overtaken": ("goaway", 0),
    "a new version is needed": ("reset", 13),
    "the connection ends as a new version is needed": ("goaway", 13),
}


@pytest.mark.parametrize("how", HOW.values(), ids=HOW)
def test_request_that_was_not_processed_is_sent_once_more_in_each_way(certificate, client_of, how):
    context = certificate.server_context()
    context.set_alpn_protocols(["h2", "http/1.1"])
    failed, uploads = [], []

    def serve(sock):
        if sock.selected_alpn_protocol() == "h2":
            peer = Unwilling(how, failed)
            sock.sendall(peer.take(b""))
            while wire := sock.recv(65536):
                sock.sendall(peer.take(wire))
            uploads.extend(each for each in peer.requests if each[":path"] == "/upload")
            return
        while b"\r\n\r\n" in (head := sock.recv(65536)):
            assert head.endswith(b"abc")
            uploads.append(head)
            sock.sendall(b'HTTP/1.1 200 OK\r\nContent-Length: 13\r\n\r\n{"length": 3}')

    cases = [(False, {"hooks": HOOKS}), (True, {}), (True, {"stream": True})]
    with ScriptedServer(serve, context) as server:
        for number, (is_known, options) in enumerate(cases):
            failed.clear()
            with client_of(server) as client:
                if is_known:
                    client.get("/")
                response = client.post("/upload", content=b"abc", **options)
                response.read()
                found = response.status_code, response.json()["length"], response.attempts
                assert found == (200, 3, 2), (number, found)
        failed.clear()
        with client_of(server) as client:
            items = list(client.map([("POST", "/upload"), "/"], content=b"abc"))
            assert [item.response.status_code for item in items] == [200, 200]
            assert items[0].response.attempts == 2
