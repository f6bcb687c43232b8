"""WebSockets of a client as streams of its HTTP/2 connections (RFC 8441), or elsewhere."""

import asyncio
import gc
import ssl
from contextlib import ExitStack

import pytest
import trio
from kit.every_driver import DRIVERS
from kit.h2_server import Answer
from kit.h2_websockets import server_of_both
from kit.support import pattern, wait_until

from dugong_like import (
    AsyncClient,
    Client,
    ConnectionTimedOut,
    MessageTooLarge,
    MockDispatcher,
    Response,
    StateError,
    Timeouts,
    WebSocketClosed,
    WebSocketHandler,
    WebSocketRefused,
    both,
)

VERSIONS = ("h2", "http/1.1")
CANCEL = 8
HTTP_1_1_REQUIRED = 13


@pytest.fixture
def site(certificate, trusting):
    """A function that starts a `server_of_both`, and makes a client that has used it once."""
    with ExitStack() as stack:

        def site(kind=Client, *, used=True, client=None, **options):
            server = stack.enter_context(server_of_both(certificate.server_context(), **options))
            url = f"https://localhost:{server.port}"
            options = {"base_url": url, "versions": VERSIONS, "timeout": 60, **(client or {})}
            made = kind(ssl_context=trusting, **options)
            if kind is Client:
                stack.callback(made.close)
                if used:
                    assert made.get("/").http_version == "2"
            return server, made

        yield site


def in_use(client):
    return sum(stats.busy for stats in client.stats().values())


def echo(ws, message="x"):
    ws.send(message)
    assert ws.recv() == message


def answer(path, given):
    """Return `answers` of a server that gives this answer to openings of *path*."""
    return lambda fields: given if fields[":path"] == path else None


# ---- which connection it is


@pytest.mark.feature("C44")
def test_it_is_a_stream_of_the_connection_that_is_open(site):
    server, client = site()
    with client.websocket("/chat", subprotocols=["a"]) as ws, client.websocket("/chat") as other:
        assert (ws.response.http_version, ws.response.status_code) == ("2", 200)
        assert (ws.subprotocol, ws.is_compressed) == ("a", True)
        for message in ("hello", b"\0\xff" * 50_000):
            echo(ws, message)
            echo(other, message)
            assert client.get("/bytes/70000").content == pattern(70_000)
        assert ws.ping() > 0
        assert in_use(client) == 1
    assert (ws.close_code, other.close_code) == (1000, 1000)
    assert in_use(client) == 0
    assert client.get("/").stream_id is not None
    assert (len(server.peers), server.others) == (1, 0)


@pytest.mark.feature("C44")
@pytest.mark.parametrize("driver", DRIVERS)
def test_each_driver(site, driver):
    """Beside another one, and requests."""
    server, client = site(used=False)

    def co_talk():
        ws = yield from client.co_websocket("/chat")
        for message in ("hello", "x" * 100_000, ["frag", "ments"]):
            yield from ws.co_send(message)
            assert (yield from ws.co_recv()) == "".join(message)
        yield from ws.co_close(1000, "bye")
        return ws.response.http_version, ws.close_code

    def co_both():
        yield from client.co_get("/")
        talks = yield from both(co_talk(), co_talk())
        return talks, (yield from client.co_get("/bytes/10")).content

    assert driver(co_both()) == ((("2", 1000), ("2", 1000)), pattern(10))
    assert (len(server.peers), server.others) == (1, 0)


@pytest.mark.parametrize("loop", [asyncio.run, lambda main: trio.run(lambda: main)])
def test_asynchronous(site, loop):
    server, client = site(AsyncClient)

    async def main():
        async with client:
            await client.get("/")
            async with client.websocket("/chat") as ws:
                await ws.send("hello")
                async for message in ws:
                    assert message == "hello"
                    assert (await client.get("/")).content == b"hello"
                    await ws.close()
            return ws.close_code

    assert loop(main()) == 1000
    assert (len(server.peers), server.others) == (1, 0)


@pytest.mark.feature("D21")
@pytest.mark.parametrize("driver", DRIVERS)
def test_a_handler(site, driver):
    """Over either version."""
    seen = []

    class Handler(WebSocketHandler):
        def on_open(self, ws):
            seen.append(ws.response.http_version)
            ws.write("1")

        def on_message(self, ws, message):
            seen.append(message)
            if message == "3":
                return ws.co_close()
            return ws.write(str(int(message) + 1))

        def on_close(self, ws):
            seen.append(ws.close_code)

    server, client = site()
    for _ in range(2):
        driver(client.co_websocket("/chat", handler=Handler()))
    _, client = site(client={"versions": ("http/1.1",), "base_url": client.base_url}, used=False)
    driver(client.co_websocket("/chat", handler=Handler()))
    assert seen == ["2", "1", "2", "3", 1000] * 2 + ["1.1", "1", "2", "3", 1000]
    assert (len(server.peers), server.others, in_use(client)) == (1, 1, 0)


def test_no_http_2_connection_is_opened_for_one(site):
    server, client = site(used=False)
    with client.websocket("/chat") as ws:
        echo(ws)
        assert ws.response.http_version == "1.1"
        assert client.get("/").http_version == "2"
        with client.websocket("/chat") as second:
            echo(second)
            assert second.response.http_version == "2"
    assert (len(server.peers), server.others) == (1, 1)


def test_a_server_that_has_not_announced_it(site):
    server, client = site(enable_connect_protocol=0)
    with client.websocket("/chat") as ws:
        echo(ws)
        assert client.get("/").stream_id == 3
    assert (len(server.peers), server.others) == (1, 1)


def test_a_connection_without_room(site):
    server, client = site(max_concurrent_streams=2)
    with client.websocket("/chat") as ws, client.websocket("/chat") as other:
        with client.websocket("/chat") as third:
            for each in (ws, other, third):
                echo(each)
            assert third.response.http_version == "1.1"
    with client.websocket("/chat") as ws:
        assert ws.response.http_version == "2"
    assert (len(server.peers), server.others) == (1, 1)


def test_a_connection_that_ends_is_not_taken(site):
    """The first WebSocket stays open behind GOAWAY; the second one is opened elsewhere."""
    server, client = site()
    with client.websocket("/last") as ws:
        echo(ws)
        with client.websocket("/chat") as other:
            echo(other)
            assert other.response.http_version == "1.1"
        echo(ws)
    assert client.get("/").content == b"hello"
    assert (len(server.peers), server.others) == (2, 1)


@pytest.mark.parametrize(
    "given",
    [Answer(status=0, reset=HTTP_1_1_REQUIRED), Answer(status=421, body=b"elsewhere")],
    ids=["HTTP_1_1_REQUIRED", "421"],
)
def test_a_server_that_wants_another_connection_for_it(site, given):
    server, client = site(answers=answer("/chat", given))
    with client.websocket("/chat") as ws:
        echo(ws)
        assert ws.response.http_version == "1.1"
        assert client.get("/").stream_id == 5
    assert (len(server.peers), server.others) == (1, 1)


def test_settings_of_one_websocket_need_another_connection(site, ca):
    server, client = site()
    context = ssl.create_default_context()
    ca.configure_trust(context)
    with client.websocket("/chat", ssl_context=context) as ws:
        echo(ws)
        assert ws.response.http_version == "1.1"
    assert (len(server.peers), server.others) == (1, 1)


def test_through_a_proxy(site, proxy):
    server, client = site(client={"proxy": f"http://127.0.0.1:{proxy.port}"})
    with client.websocket("/chat") as ws:
        echo(ws)
        assert ws.response.http_version == "2"
    assert (len(server.peers), server.others) == (1, 0)


# ---- the request passes the layers


def test_fields_cookies_and_auth_are_those_of_the_client(site):
    options = {"headers": {"X-Own": "1"}, "auth": ("me", "secret")}
    given = Answer(fields=[("set-cookie", "a=1")])
    server, client = site(app=lambda request: given, client=options)
    with client.websocket("/chat?x=1", headers={"X-More": "2"}):
        pass
    (fields,) = server.peers[0].openings
    assert (fields[":method"], fields[":protocol"]) == ("CONNECT", "websocket")
    assert (fields[":scheme"], fields[":path"]) == ("https", "/chat?x=1")
    assert (fields["x-own"], fields["x-more"], fields["cookie"]) == ("1", "2", "a=1")
    assert fields["authorization"] == "Basic bWU6c2VjcmV0"
    assert fields["user-agent"].startswith("dugong_like/")
    assert fields.keys().isdisjoint({"sec-websocket-key", "upgrade", "connection", "host"})


def test_challenges_and_redirects(site):
    def answers(fields):
        if fields[":path"] == "/old":
            return Answer(status=307, fields=[("location", "/secret")], body=b"moved")
        if fields[":path"] == "/secret" and "authorization" not in fields:
            return Answer(status=401, fields=[("www-authenticate", 'Basic realm="r"')])
        return None

    server, client = site(answers=answers)
    with client.websocket("/old", auth=("me", "secret")) as ws:
        echo(ws)
        assert ws.response.http_version == "2"
        assert [each.status_code for each in ws.response.history][:1] == [307]
    assert in_use(client) == server.others == 0
    assert len(server.peers) == 1


@pytest.mark.parametrize("path", ["/refused", "/refused/0", "/refused/100000"])
def test_a_refusal_has_its_response(site, path):
    server, client = site()
    with pytest.raises(WebSocketRefused, match="403 instead of 200") as info:
        client.websocket(path)
    response = info.value.response
    assert response.status_code == 403
    assert info.value.url.endswith(path)
    if path == "/refused":
        assert response.content == b"no"
    assert client.get("/").stream_id == 5
    assert in_use(client) == server.others == 0


def test_a_subprotocol_that_was_not_offered(site):
    given = Answer(fields=[("sec-websocket-protocol", "other")], body=b"?")
    server, client = site(answers=answer("/chat", given))
    with pytest.raises(WebSocketRefused, match="Sec-WebSocket-Protocol"):
        client.websocket("/chat", subprotocols=["a"])
    assert client.get("/").stream_id == 5
    assert in_use(client) == server.others == 0


def test_a_dispatcher_without_connections_opens_none():
    handler = MockDispatcher(lambda request: Response(200, http_version="2"))
    with Client(dispatcher=handler) as client:
        with pytest.raises(StateError, match="no connection has received this response"):
            client.websocket("ws://h/")


# ---- limits and ends


def test_time_limits(site):
    server, client = site(answers=answer("/mute", Answer(status=0)))
    with pytest.raises(ConnectionTimedOut):
        client.websocket("/mute", timeout=Timeouts(head=0.05))
    assert client.get("/").stream_id == 5
    assert in_use(client) == server.others == 0
    with client.websocket("/chat", timeout=Timeouts(write=7, total=60)) as ws:
        assert ws._stream.timeout == 7
        echo(ws)


def test_a_message_that_is_too_large(site):
    server, client = site()
    with client.websocket("/chat", max_message=1000) as ws:
        ws.send("x" * 2000)
        with pytest.raises(MessageTooLarge):
            ws.recv()
    assert client.get("/").content == b"hello"
    assert in_use(client) == server.others == 0


def test_one_that_the_server_resets(site):
    server, client = site()
    with client.websocket("/reset") as ws:
        ws.send("x")
        with pytest.raises(WebSocketClosed) as info:
            ws.recv()
        assert info.value.code == 1006
    assert client.get("/").content == b"hello"
    assert in_use(client) == 0
    assert len(server.peers) == 1


@pytest.mark.parametrize("end", [lambda ws: ws.abort(), lambda ws: None], ids=["abort", "forget"])
def test_one_that_is_given_up_resets_its_stream_only(site, end):
    server, client = site()
    ws = client.websocket("/chat")
    other = client.websocket("/chat")
    end(ws)
    del ws
    gc.collect()
    wait_until(lambda: client.get("/") and server.peers[0].resets == [CANCEL])
    echo(other)
    other.close()
    assert in_use(client) == 0
    assert len(server.peers) == 1


def test_opening_that_is_given_up_at_any_wait(site):
    """The stream is reset, and its place in the connection is free again."""
    server, client = site()
    opened = False
    for waits in range(200):
        # Nothing came after the one before, so that the connection is asked if it is alive.
        assert client.get("/").content == b"hello"
        opening = client.co_websocket("/chat")
        try:
            for _ in range(waits):
                assert next(opening).poll(60_000)
        except StopIteration as end:
            opened = True
            echo(end.value)
            end.value.close()
        opening.close()
        assert in_use(client) == 0
        if opened:
            break
    assert opened
    assert client.get("/").content == b"hello"
    assert (len(server.peers), server.others) == (1, 0)


def test_a_client_that_is_closed_before_its_websocket(site):
    server, client = site()
    ws = client.websocket("/chat")
    client.close()
    echo(ws)
    ws.close()
    with pytest.raises(StateError, match="closed"):
        client.websocket("/chat")
    wait_until(lambda: server._threads[0].is_alive() is False)  # its connection was closed
