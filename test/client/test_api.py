"""The functions without a client: each does what the method of the shared client does."""

import os
import threading

import pytest
from kit.sites import Site, answer_of
from kit.support import ScriptedServer, in_child, read_head
from kit.websocket_servers import serving

import dugong_like
from dugong_like.client import api

OK = b"HTTP/1.1 200 OK\r\nSet-Cookie: a=b\r\nContent-Length: 2\r\n\r\nok"
EVENTS = (
    b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\n"
    b"data: a\n\ndata: b\n\n"
)
VERBS = ["get", "head", "options", "post", "put", "patch", "delete", "query"]


@pytest.fixture
def shared(monkeypatch):
    """A shared client of this test only."""
    clients = []
    monkeypatch.setattr(api, "_shared", clients)
    yield clients
    for client in clients:
        client.close()


def server(heads):
    def handler(sock):
        while head := read_head(sock):
            heads.append(head)
            sock.sendall(OK[:-2] if head.startswith(b"HEAD") else OK)

    return ScriptedServer(handler)


@pytest.mark.feature("E20", "E39", "C21")
def test_functions_share_one_client_that_keeps_no_cookies(shared):
    heads = []
    with server(heads) as one:
        place = f"http://127.0.0.1:{one.port}/x"
        for verb in VERBS:
            assert getattr(dugong_like, verb)(place, headers={"X-A": "b"}).status_code == 200
        assert dugong_like.request("purge", place).text == "ok"
        with dugong_like.stream("GET", place) as response:
            assert response.read() == b"ok"
        assert one.connections == 1
        shared[0].close()
    assert len(shared) == 1
    assert [head.split(b" ")[0].decode() for head in heads] == [
        *map(str.upper, VERBS), "PURGE", "GET"
    ]  # fmt: skip
    assert all(b"X-A: b" in head for head in heads[:-2])
    assert not any(b"Cookie" in head for head in heads)


@pytest.mark.feature("E39")
def test_server_sent_events(shared):
    heads = []

    def handler(sock):
        heads.append(read_head(sock))
        sock.sendall(EVENTS)

    with ScriptedServer(handler) as one:
        place = f"http://127.0.0.1:{one.port}/x"
        with dugong_like.sse(place, last_event_id="7", reconnect=False) as events:
            assert [event.data for event in events] == ["a", "b"]
    assert b"Last-Event-ID: 7" in heads[0]
    assert len(shared) == 1
    with pytest.raises(TypeError, match="reconnect"):
        dugong_like.sse("http://a.test/", reconnects=True)


@pytest.mark.feature("E41", "E43")
def test_files(shared, tmp_path):
    with Site({None: answer_of(200, body=b"ok")}) as one:
        place = f"http://127.0.0.1:{one.port}/x"
        assert dugong_like.download(place, tmp_path / "x").size == 2
        assert (tmp_path / "x").read_bytes() == b"ok"
        assert dugong_like.upload(tmp_path / "x", place, digest="sha-256").sent == 2
    assert [seen.method for seen in one.seen] == ["GET", "PUT"]
    assert one.seen[1].body == b"ok"
    assert one.seen[1].headers["repr-digest"].startswith("sha-256")
    assert len(shared) == 1
    with pytest.raises(TypeError, match="ranges"):
        dugong_like.download(place, tmp_path / "x", connections=2)


@pytest.mark.feature("C44")
def test_a_websocket(shared):
    class Once(dugong_like.WebSocketHandler):
        def on_open(self, ws):
            ws.write("x")

        def on_message(self, ws, message):
            got.append(message)
            return ws.co_close()

    got = []
    with serving() as port:
        place = f"ws://127.0.0.1:{port}/x"
        with dugong_like.websocket(place, subprotocols=["a"]) as ws:
            ws.send("hello")
            assert ws.recv() == "hello"
        assert ws.close_code == 1000
        assert dugong_like.websocket(place, handler=Once()).close_code == 1000
    assert got == ["x"]
    assert len(shared) == 1
    with pytest.raises(TypeError, match="deflate"):
        dugong_like.websocket("ws://a.test/", compression=None)


def test_threads_make_one_client(shared):
    ready = threading.Barrier(8)
    found = []

    def make():
        ready.wait(20)
        found.append(api.default_client())

    threads = [threading.Thread(target=make) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 8
    assert len(set(map(id, found))) == len(shared) == 1


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.filterwarnings("ignore:This process")
def test_child_process_gets_a_new_lock(shared):
    with api._lock:
        assert in_child(lambda: api._lock.acquire(timeout=60)) == 1


def test_errors_are_those_of_the_client(shared):
    with pytest.raises(TypeError, match="follow_redirects"):
        dugong_like.get("http://a.test/", allow_redirects=True)
    with pytest.raises(dugong_like.InvalidRequest):
        dugong_like.get("a.test")


def test_a_finalizer_may_ask_for_the_client_while_it_is_made(shared, monkeypatch):
    seen = []

    class Client(dugong_like.Client):
        def __init__(self, **options):
            super().__init__(**options)
            if not seen:  # as a finalizer that runs in this moment
                seen.append(self)
                seen.append(api.default_client())

    monkeypatch.setattr(api, "Client", Client)
    thread = threading.Thread(target=lambda: seen.append(api.default_client()), daemon=True)
    thread.start()
    thread.join(30)
    assert seen[1:] == [shared[0]] * 2
