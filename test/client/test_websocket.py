"""WebSockets by a client: the handshake passes the layers as any request."""

import asyncio
import base64

import pytest
import trio
from kit.frames import TEXT, frame
from kit.support import ScriptedServer, read_head
from kit.websocket_servers import SILENT, serving
from websockets.sync.server import basic_auth, unix_serve

import dugong_like
from dugong_like import (
    URL,
    AsyncClient,
    AsyncWebSocket,
    CertificateInvalid,
    Client,
    Connector,
    DeadlineExceeded,
    InvalidOption,
    InvalidRequest,
    MockDispatcher,
    Origin,
    Proxy,
    RedirectRefused,
    Response,
    StateError,
    Timeouts,
    TooManyRedirects,
    WebSocket,
    WebSocketHandler,
    WebSocketRefused,
    run,
)
from dugong_like.client.websocket import as_http
from dugong_like.http.websocket.handshake import accept_key


class Handshakes:
    """A server of raw bytes, with a function that answers each request.

    Attributes:
        seen: for each request its target and fields, the names in lower case.

    """

    def __init__(self, answer, tls=None):
        self.seen = []
        self._answer = answer
        self._server = ScriptedServer(self._handle, tls)

    def _handle(self, sock):
        data = b""
        while True:
            while b"\r\n\r\n" not in data:
                more = sock.recv(65536)
                if not more:
                    return
                data += more
            head, _, data = data.partition(b"\r\n\r\n")
            first, *lines = head.decode().split("\r\n")
            fields = dict(line.split(": ", 1) for line in lines)
            fields = {name.lower(): value for name, value in fields.items()}
            self.seen.append((first.split()[1], fields))
            reply = self._answer(self, first.split()[1], fields)
            sock.sendall(reply)
            if reply.startswith(b"HTTP/1.1 101"):
                while sock.recv(65536):
                    pass
                return

    @property
    def port(self):
        return self._server.port

    def __enter__(self):
        self._server.__enter__()
        return self

    def __exit__(self, *exc):
        self._server.__exit__(*exc)


def accept(fields, *more):
    lines = [
        "HTTP/1.1 101 Switching Protocols",
        "Upgrade: websocket",
        "Connection: Upgrade",
        f"Sec-WebSocket-Accept: {accept_key(fields['sec-websocket-key'])}",
        *more,
    ]
    return "\r\n".join([*lines, "", ""]).encode() + frame(TEXT, "hello")


def reply(status, *fields, body=b""):
    lines = [f"HTTP/1.1 {status} X", f"Content-Length: {len(body)}", *fields, "", ""]
    return "\r\n".join(lines).encode() + body


def opened(client, url, **options):
    """Open a WebSocket, receive the greeting, and drop it; return it."""
    ws = client.websocket(url, **options)
    assert ws.recv() == "hello"
    ws.abort()
    return ws


@pytest.mark.feature("C44", "D21")
def test_a_whole_conversation():
    with serving(subprotocols=["chat"]) as port, Client() as client:
        url = f"ws://127.0.0.1:{port}/a?x=1"
        with client.websocket(url, subprotocols=["chat"], params={"y": 2}) as ws:
            assert isinstance(ws, WebSocket)
            assert isinstance(ws.response, Response)
            assert ws.response.status_code == 101
            assert ws.response.request.url.target == "/a?x=1&y=2"
            assert ws.subprotocol == "chat"
            ws.send("ü")
            assert ws.recv() == "ü"
        assert ws.close_code == 1000
        ws = run(client.co_websocket(URL(url), subprotocols=["chat"]))
        ws.close()
        stats = client.stats()
        assert [origin.busy for origin in stats.values()] == [0]


@pytest.mark.feature("C44")
def test_wss(certificate, ca_file):
    with serving(tls=certificate.server_context()) as port:
        with Client(verify=str(ca_file)) as client:
            with client.websocket(f"wss://localhost:{port}/") as ws:
                ws.send(b"x" * 100_000)
                assert ws.recv() == b"x" * 100_000
            with client.websocket(f"https://localhost:{port}/") as ws:
                ws.send("https will do")
                assert ws.recv() == "https will do"


@pytest.mark.parametrize("loop", [asyncio.run, lambda main: trio.run(lambda: main)])
def test_asynchronous(loop):
    async def main():
        async with AsyncClient() as client:
            async with client.websocket(f"ws://127.0.0.1:{port}/") as ws:
                assert isinstance(ws, AsyncWebSocket)
                await ws.send("x")
                assert await ws.recv() == "x"
            ws = await client.websocket(f"ws://127.0.0.1:{port}/", deflate=False)
            assert not ws.websocket.is_compressed
            await ws.close()
            handler = Handler()
            ws = await client.websocket(f"ws://127.0.0.1:{port}/", handler=handler)
            assert handler.calls == ["open", "hello", 1001]
            assert not ws.is_open

    with serving() as port:
        loop(main())


class Handler(WebSocketHandler):
    def __init__(self):
        self.calls = []

    def on_open(self, websocket):
        self.calls.append("open")
        websocket.write("hello")

    def on_message(self, websocket, message):
        self.calls.append(message)
        if isinstance(websocket, AsyncWebSocket):
            return websocket.close(1001)
        return websocket.co_close(1001)

    def on_close(self, websocket):
        self.calls.append(websocket.close_code)


@pytest.mark.feature("D21")
def test_handler():
    with serving() as port, Client() as client:
        handler = Handler()
        ws = client.websocket(f"ws://127.0.0.1:{port}/", handler=handler)
        assert handler.calls == ["open", "hello", 1001]
        assert ws.close_code == 1001
        with pytest.raises(TypeError, match="handler is a WebSocketHandler"):
            client.websocket(f"ws://127.0.0.1:{port}/", handler=Handler)


def test_fields_cookies_and_auth_are_those_of_the_client():
    with Handshakes(lambda server, target, fields: accept(fields, "Set-Cookie: b=2")) as server:
        with Client(
            base_url=f"http://127.0.0.1:{server.port}/api/",
            headers={"X-Mine": "1"},
            cookies={"a": "1"},
            auth=("user", "password"),
        ) as client:
            ws = opened(client, "chat", headers={"Origin": "http://h"}, cookies={"c": "3"})
            assert client.cookies["b"] == "2"
            assert ws.response.headers["set-cookie"] == "b=2"
    ((target, fields),) = server.seen
    assert target == "/api/chat"
    assert fields["x-mine"] == "1"
    assert fields["origin"] == "http://h"
    assert fields["authorization"] == "Basic " + base64.b64encode(b"user:password").decode()
    assert fields["cookie"].split("; ") == ["a=1", "c=3"]
    assert (fields["upgrade"], fields["connection"]) == ("websocket", "Upgrade")


def test_user_and_password_in_the_url():
    check = basic_auth(credentials=("user", "password"))
    with serving(process_request=check) as port, Client() as client:
        with client.websocket(f"ws://user:password@127.0.0.1:{port}/") as ws:
            ws.send("x")
            assert ws.recv() == "x"
        with pytest.raises(WebSocketRefused, match="the status is 401") as caught:
            client.websocket(f"ws://127.0.0.1:{port}/")
        assert caught.value.response.status_code == 401
        assert "credentials" in caught.value.response.text.lower()
        assert str(port) in str(caught.value)


def test_a_challenge_is_answered_with_another_key():
    def answer(server, target, fields):
        if "authorization" not in fields:
            return reply(401, 'WWW-Authenticate: Digest realm="r", nonce="n", qop="auth"')
        return accept(fields)

    with Handshakes(answer) as server, Client() as client:
        auth = dugong_like.DigestAuth("user", "password")
        ws = opened(client, f"ws://127.0.0.1:{server.port}/", auth=auth)
        assert ws.response.attempts == 2
    keys = [fields["sec-websocket-key"] for _, fields in server.seen]
    assert len(set(keys)) == 2


@pytest.mark.parametrize("location", ["/new", "http://{}/new", "ws://{}/new", "//{}/new"])
def test_redirects(location):
    def answer(server, target, fields):
        if target == "/old":
            return reply(302, f"Location: {location.format(fields['host'])}")
        return accept(fields)

    with Handshakes(answer) as server, Client() as client:
        url = f"ws://127.0.0.1:{server.port}/old"
        ws = opened(client, url)
        assert [each.status_code for each in ws.response.history] == [302]
        with pytest.raises(WebSocketRefused, match="the status is 302"):
            client.websocket(url, follow_redirects=False)
    targets = [target for target, _ in server.seen]
    assert targets == ["/old", "/new", "/old"]
    assert len({fields["sec-websocket-key"] for _, fields in server.seen}) == 3


def test_redirects_that_are_not_followed(certificate, ca_file):
    with Handshakes(lambda *_: reply(302, "Location: /")) as server, Client() as client:
        with pytest.raises(TooManyRedirects):
            client.websocket(f"ws://127.0.0.1:{server.port}/")
        assert len(server.seen) == 21
    tls = certificate.server_context()
    for scheme in ("ws", "http"):
        with Handshakes(lambda *_, s=scheme: reply(302, f"Location: {s}://h/"), tls) as server:
            with Client(verify=str(ca_file)) as client:
                with pytest.raises(RedirectRefused, match="from https to http"):
                    client.websocket(f"wss://localhost:{server.port}/")


def test_another_origin_gets_no_secrets():
    with Handshakes(lambda server, target, fields: accept(fields)) as other:
        location = f"Location: ws://localhost:{other.port}/"
        with Handshakes(lambda *_: reply(302, location)) as first:
            with Client(auth=("user", "password"), headers={"X-Api-Key": "k"}) as client:
                opened(client, f"ws://127.0.0.1:{first.port}/", subprotocols=["chat"])
    ((_, fields),) = other.seen
    assert not {"authorization", "x-api-key"} & fields.keys()
    assert fields["sec-websocket-protocol"] == "chat"
    assert {"upgrade", "sec-websocket-key", "sec-websocket-version"} <= fields.keys()


def test_a_proxy_opens_a_tunnel(proxy, monkeypatch):
    url = f"http://127.0.0.1:{proxy.port}"
    with serving() as port:
        for options in ({"proxy": url}, {"proxy": {"http://": url}}, {}):
            monkeypatch.setenv("http_proxy", "" if options else url)
            monkeypatch.setenv("no_proxy", "")
            with Client(**options) as client:
                with client.websocket(f"ws://127.0.0.1:{port}/") as ws:
                    ws.send("x")
                    assert ws.recv() == "x"
                    assert ws._stream.get_extra_info("server_addr")[1] == proxy.port


def test_a_proxy_that_is_told_to_forward_opens_a_tunnel_for_it():
    seen = []

    def tunnel(sock):
        data = b""
        while b"\r\n\r\n" not in data:
            data += sock.recv(65536)
        seen.append(data.split()[0])
        sock.sendall(b"HTTP/1.1 502 No\r\nContent-Length: 0\r\n\r\n")

    with ScriptedServer(tunnel) as server:
        for mode in ("auto", "forward", "tunnel"):
            with Client(proxy=Proxy(f"http://127.0.0.1:{server.port}", mode=mode)) as client:
                with pytest.raises(dugong_like.TunnelRefused):
                    client.websocket("ws://script.test/")
                if mode != "tunnel":
                    assert client.get("http://script.test/").status_code == 502
    assert seen == [b"CONNECT", b"GET", b"CONNECT", b"GET", b"CONNECT"]


def test_settings_of_a_single_websocket(certificate, ca_file, proxy):
    with serving(tls=certificate.server_context()) as port, Client() as client:
        url = f"wss://127.0.0.1:{port}/"
        with pytest.raises(CertificateInvalid):
            client.websocket(url)
        for options in ({"verify": False}, {"verify": str(ca_file)}):
            with client.websocket(url, **options, server_hostname="localhost") as ws:
                ws.send("x")
                assert ws.recv() == "x"
    with serving() as port, Client() as client:
        with client.websocket(
            f"ws://127.0.0.1:{port}/", proxy=f"http://127.0.0.1:{proxy.port}"
        ) as ws:
            ws.send("x")
            assert ws.recv() == "x"
            assert ws._stream.get_extra_info("server_addr")[1] == proxy.port


def test_http_1_is_spoken_for_websockets_where_others_may_speak_http_2():
    connector = Connector(versions=("h2", "http/1.1"))
    other, own = Origin("https", "h"), Origin("wss", "h")

    assert connector.config(other).versions == ("h2", "http/1.1")
    assert connector.config(own).versions == ("http/1.1",)
    assert connector.key(other) != connector.key(own)
    connector = Connector()
    assert connector.key(other) == connector.key(own)


def test_unix_domain_socket(tmp_path):
    import threading

    path = str(tmp_path / "socket")
    with unix_serve(lambda ws: ws.send("hello"), path, logger=SILENT) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        with Client(uds=path) as client:
            opened(client, "ws://localhost/")
        server.shutdown()
        thread.join()


def test_refusals_have_their_response():
    body = b"no chat today"
    with Handshakes(lambda *_: reply(403, body=body)) as server:
        for raises in (False, True):
            with Client(raise_for_status=raises) as client:
                with pytest.raises(WebSocketRefused, match="403") as caught:
                    client.websocket(f"ws://127.0.0.1:{server.port}/chat?token=secret")
                assert caught.value.response.status_code == 403
                assert caught.value.request.url.path == "/chat"
                assert "secret" not in str(caught.value)
                if not raises:
                    assert caught.value.response.content == body


def test_a_large_refusal_is_not_read_to_its_end():
    with Handshakes(lambda *_: reply(200, body=bytes(70_000))) as server, Client() as client:
        with pytest.raises(WebSocketRefused, match="the status is 200") as caught:
            client.websocket(f"ws://127.0.0.1:{server.port}/")
        assert caught.value.response.is_closed


@pytest.mark.parametrize("end", ["late", "cut"])
def test_a_refusal_whose_body_does_not_end_is_one(monkeypatch, end):
    monkeypatch.setattr("dugong_like.connection.refusals.MAX_REFUSAL_TIME", 0.05)

    def serve(sock):
        read_head(sock)
        sock.sendall(b"HTTP/1.1 403 No\r\nContent-Length: 100\r\n\r\nno")
        if end == "late":
            sock.recv(1)  # until the client closes

    with ScriptedServer(serve) as server, Client(timeout=60) as client:
        with pytest.raises(WebSocketRefused, match="403 instead of 101") as info:
            client.websocket(f"ws://127.0.0.1:{server.port}/")
    assert info.value.response.status_code == 403


def test_a_wrong_response_closes_the_connection():
    def answer(server, target, fields):
        return accept(fields, "Sec-WebSocket-Protocol: chat")

    with Handshakes(answer) as server, Client() as client:
        with pytest.raises(WebSocketRefused, match="Protocol is 'chat'"):
            client.websocket(f"ws://127.0.0.1:{server.port}/")
        assert all(origin.idle == origin.busy == 0 for origin in client.stats().values())


def test_time_limits():
    with ScriptedServer(lambda sock: sock.recv(65536) and sock.recv(65536)) as server:
        with Client() as client:
            url = f"ws://127.0.0.1:{server.port}/"
            with pytest.raises(DeadlineExceeded):
                client.websocket(url, timeout=Timeouts(total=0.05))
    with serving() as port, Client() as client:
        ws = client.websocket(f"ws://127.0.0.1:{port}/", timeout=Timeouts(write=7, total=60))
        assert ws._stream.timeout == 7
        ws.close()


def test_a_closed_client_opens_none():
    client = Client()
    client.close()
    with pytest.raises(StateError, match="closed"):
        client.websocket("ws://127.0.0.1:9/")


def test_a_dispatcher_without_connections_opens_none():
    key = []

    def handler(request):
        key.append(request.headers["sec-websocket-key"])
        fields = {
            "Upgrade": "websocket", "Connection": "Upgrade",
            "Sec-WebSocket-Accept": accept_key(key[0]),
        }  # fmt: skip
        return Response(101, fields)

    with Client(dispatcher=MockDispatcher(handler)) as client:
        with pytest.raises(StateError, match="no connection has received this response"):
            client.websocket("ws://h/")


@pytest.mark.feature("C44")
def test_other_methods_say_what_opens_a_websocket():
    with Client() as client:
        for url in ("ws://h/", "wss://h/", URL("ws://h/")):
            with pytest.raises(InvalidRequest, match=r"Client\.websocket\(url\) opens a WebSocket"):
                client.get(url)
    with pytest.raises(InvalidRequest, match="opens a WebSocket"):
        dugong_like.get("wss://h/")


def test_schemes():
    assert as_http("ws://h/") == "http://h/"
    assert as_http("WSS://u:p@h/") == "https://u:p@h/"
    assert as_http("https://h/") == "https://h/"
    assert as_http("relative?ws://h/") == "relative?ws://h/"
    assert as_http(URL("wss://h:444/a")) == URL("https://h:444/a")
    assert as_http(URL("http://h/")) == URL("http://h/")
    for url in ("ws://h/#f", URL("http://h/#f")):
        with pytest.raises(InvalidRequest, match="no fragment"):
            as_http(url)
    for url in ("ws:///", "wss://", "wss://a b/", "ws://h:x/", "ws://u:p@/", "ws://h/\n"):
        with pytest.raises(InvalidRequest, match="not a URL.*wss?://") as info:
            as_http(url)
        assert "http" not in str(info.value)


def test_invalid_arguments():
    with Client() as client:
        for name, right in (("protocols", "subprotocols"), ("max_size", "max_message")):
            with pytest.raises(TypeError, match=f"it is called {right}"):
                client.websocket("ws://h/", **{name: 1})
        for name in ("content", "json", "stream", "nonsense"):
            with pytest.raises(TypeError, match=f"no argument '{name}'"):
                client.websocket("ws://h/", **{name: 1})
        with pytest.raises(InvalidRequest, match="cannot be set"):
            client.websocket("ws://h/", headers={"Sec-WebSocket-Key": "x"})
        with pytest.raises(InvalidOption, match="max_message"):
            client.websocket("ws://h/", max_message=0)
        with pytest.raises(InvalidRequest):
            client.websocket("ftp://h/")
        with pytest.raises(TypeError):
            client.websocket(5)
        with pytest.raises(TypeError, match="deflate"):
            client.websocket("ws://h/", deflate="x")
