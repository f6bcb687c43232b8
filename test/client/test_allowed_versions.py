"""The versions of HTTP that a client allows are never left, whatever would need another one."""

import asyncio

import pytest
import trio
from kit.every_driver import DRIVERS
from kit.h2_server import Peer
from kit.h2_websockets import server_of_both, websocket_h2_server
from kit.support import ScriptedServer, read_head

from dugong_like import (
    AsyncClient,
    Client,
    GoneAway,
    InvalidOption,
    InvalidRequest,
    Pool,
    ProtocolNotNegotiated,
    StreamReset,
    tls_context,
)
from dugong_like.client.connector import Connector

HTTP_1_1_REQUIRED = 13
OF_BOTH = ("h2", "http/1.1")


class OfTheConnection:
    """An authentication that belongs to a connection, as NTLM does."""

    same_connection = True

    def auth_flow(self, request):
        yield request


@pytest.fixture
def site(certificate):
    """A server of both versions, of requests and WebSockets."""
    with server_of_both(certificate.server_context()) as server:
        yield server


def client_of(server, trusting, versions=("h2",), kind=Client, **options):
    url = f"https://localhost:{server.port}"
    return kind(base_url=url, ssl_context=trusting, versions=versions, trust_env=False, **options)


@pytest.mark.feature("A32")
@pytest.mark.parametrize("used", [False, True])
def test_what_needs_http_1_fails_where_http_2_alone_is_allowed(site, trusting, used):
    """Before anything is sent, with what was asked for and what is allowed; HTTP/2 goes on."""
    with client_of(site, trusting) as client:
        if used:
            assert client.get("/").http_version == "2"
        for options, wanted in (
            ({"auth": OfTheConnection()}, "authentication of a connection (NTLM, Negotiate)"),
            ({"http_version": "1.1"}, "http_version='1.1'"),
            ({"http_version": "1.0"}, "http_version='1.0'"),
        ):
            for how in (client.get, client.post):
                with pytest.raises(InvalidOption) as caught:
                    how("/secret", **options)
                message = f"{wanted} needs HTTP/1.1, and versions=('h2',) allows HTTP/2 only"
                assert message in str(caught.value)
        with pytest.raises(InvalidOption, match="NTLM"):
            client.websocket("/chat", auth=OfTheConnection())
        with pytest.raises(InvalidRequest, match="Connection is for HTTP/1"):
            client.get("/", headers={"Connection": "close"})
        assert client.get("/").http_version == "2"
    assert site.others == 0
    assert len(site.peers) == 1
    assert {request[":path"] for request in site.peers[0].requests} == {"/"}


@pytest.mark.parametrize("driver", DRIVERS)
def test_a_websocket_is_a_stream_where_http_2_alone_is_allowed(site, trusting, driver):
    """The connection for it is opened, too; and a client that allows HTTP/1.1 opens one of that."""

    def co_talk(client):
        ws = yield from client.co_websocket("/chat")
        yield from ws.co_send("hello")
        assert (yield from ws.co_recv()) == "hello"
        if ws.response.http_version == "2":
            assert (yield from client.co_get("/")).content == b"hello"
        yield from ws.co_close()
        yield from client.co_close()
        return ws.response.http_version

    assert driver(co_talk(client_of(site, trusting))) == "2"
    assert (len(site.peers), site.others) == (1, 0)
    assert driver(co_talk(client_of(site, trusting, ("http/1.1",)))) == "1.1"
    assert (len(site.peers), site.others) == (1, 1)


@pytest.mark.parametrize("loop", [asyncio.run, lambda main: trio.run(lambda: main)])
def test_asynchronous(site, trusting, loop):
    async def main():
        async with client_of(site, trusting, kind=AsyncClient) as client:
            async with client.websocket("/chat") as ws:
                await ws.send("hello")
                assert await ws.recv() == "hello"
            with pytest.raises(InvalidOption, match="NTLM"):
                await client.get("/", auth=OfTheConnection())
        return ws.response.http_version

    assert loop(main()) == "2"
    assert site.others == 0


@pytest.mark.parametrize("used", [False, True])
def test_a_server_that_takes_no_websocket_over_http_2(certificate, trusting, used):
    tls = certificate.server_context()
    with server_of_both(tls, enable_connect_protocol=0) as server:
        with client_of(server, trusting) as client:
            if used:
                client.get("/")
            with pytest.raises(InvalidRequest, match="SETTINGS_ENABLE_CONNECT_PROTOCOL") as caught:
                client.websocket("/chat")
            assert caught.value.request_sent == "no"
            assert client.get("/").http_version == "2"
            assert {each.busy for each in client.stats().values()} == {0}
        assert server.others == 0
        assert server.peers[0].openings == []
        with client_of(server, trusting, OF_BOTH) as client:
            with client.websocket("/chat") as ws:
                assert ws.response.http_version == "1.1"


def test_a_websocket_with_prior_knowledge():
    """Without TLS, a client with ``("h2",)`` speaks it at once; others open HTTP/1.1."""
    with websocket_h2_server(None) as server:
        url = f"ws://127.0.0.1:{server.port}/chat"
        with Client(versions=("h2",), trust_env=False) as client, client.websocket(url) as ws:
            ws.send("hello")
            assert ws.recv() == "hello"
            assert ws.response.http_version == "2"


@pytest.mark.parametrize("frame", ["reset", "goaway"])
def test_a_server_that_asks_for_http_1(certificate, trusting, frame):
    """By HTTP_1_1_REQUIRED (RFC 9113 section 7), which is the error then."""
    protocols = []

    class Refusing(Peer):
        def answer(self, request):
            if frame == "reset":
                self.connection.reset_stream(request.stream, HTTP_1_1_REQUIRED)
            else:
                self.connection.close_connection(HTTP_1_1_REQUIRED, last_stream_id=0)

    def serve(sock):
        protocols.append(sock.selected_alpn_protocol())
        peer = Refusing()
        sock.sendall(peer.take(b""))
        while wire := sock.recv(65536):
            if peer.connection.state_machine.state.name == "CLOSED":
                continue
            sock.sendall(peer.take(wire))

    tls = certificate.server_context()
    tls.set_alpn_protocols([*OF_BOTH])
    with ScriptedServer(serve, tls) as server:
        with client_of(server, trusting, retry=None) as client:
            for _ in range(2):
                with pytest.raises((StreamReset, GoneAway)) as caught:
                    client.get("/")
                assert caught.value.code == HTTP_1_1_REQUIRED
    assert set(protocols) == {"h2"}


@pytest.mark.feature("A32")
@pytest.mark.parametrize("alpn", [["http/1.1"], None])
def test_a_server_without_http_2(certificate, trusting, alpn):
    """It is not spoken to: neither by requests nor by WebSockets."""
    heads = []

    def serve(sock):
        heads.append(sock.recv(65536))

    tls = certificate.server_context()
    if alpn is not None:
        tls.set_alpn_protocols(alpn)
    with ScriptedServer(serve, tls) as server:
        with client_of(server, trusting) as client:
            for use in (client.get, client.websocket):
                with pytest.raises(ProtocolNotNegotiated, match="not h2"):
                    use("/")
    assert not any(heads)


@pytest.mark.parametrize("own", [None, ("http/1.1",), ("h2", "http/1.1")])
def test_http_1_alone_is_never_left(certificate, ca_file, trusting, own):
    """Also not if the context of the user offers HTTP/2: a server that chooses it is refused."""
    protocols = []

    def serve(sock):
        protocols.append(sock.selected_alpn_protocol())
        if protocols[-1] == "h2":
            assert sock.recv(100) == b""
            return
        while read_head(sock):
            sock.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")

    tls = certificate.server_context()
    tls.set_alpn_protocols([*OF_BOTH])
    context = trusting if own is None else tls_context(ca=ca_file, alpn=own)
    with ScriptedServer(serve, tls) as server:
        with client_of(server, context, ("http/1.1",)) as client:
            if own is not None and "h2" in own:
                with pytest.raises(ProtocolNotNegotiated, match="h2, not http/1.1"):
                    client.get("/")
            else:
                assert client.get("/").http_version == "1.1"
                assert client.get("/", auth=OfTheConnection()).http_version == "1.1"
    assert ("h2" in protocols) == (own == OF_BOTH)


def test_proxies_and_mounts():
    """A proxy that forwards takes HTTP/1 only; what is mounted has versions of its own."""
    with Client(versions=("h2",), proxy="http://127.0.0.1:9") as client:
        for use in (client.get, client.websocket):
            with pytest.raises(InvalidOption, match="forwards requests takes HTTP/1 only"):
                use("http://h.test/")
    mounted = Pool(Connector(versions=("h2",)))
    with Client(versions=("http/1.1",), mounts={"all://h.test": mounted}) as client:
        with pytest.raises(InvalidOption, match="allows HTTP/2 only"):
            client.get("https://h.test/", http_version="1.1")
