"""Connections through proxies that follow a script: every scheme, cut off and given up anywhere."""

import socket
import threading
import time

import pytest
from kit import servers
from kit.proxy_ways import CHALLENGE, ESTABLISHED, OK, WAYS, SomeProxy, co_get, proxy_of
from kit.streams import WOULD_BLOCK, GrudgingStream, ScriptedStream, finish
from kit.support import (
    ScriptedServer,
    open_descriptors,
    read_head,
    wait_until,
)
from kit.ways import on_asyncio

from dugong_like import (
    CertificateInvalid,
    ConnectFailed,
    ConnectionClosed,
    ConnectionTimedOut,
    DigestAuth,
    HandshakeFailed,
    HostnameNotResolvable,
    HTTPConnection,
    InvalidRequest,
    InvalidResponse,
    Proxy,
    TunnelRefused,
    run,
    within,
)
from dugong_like.http.h1.limits import Limits
from dugong_like.transport.connect.open import co_converse

NEVER = 1000  # more waits than any operation here has


@pytest.fixture(params=[run, on_asyncio])
def drive(request):
    return request.param


@pytest.fixture(params=WAYS, ids=str)
def way(request, certificate, trusting):
    """A function that returns server, the proxy in it, and a connection through that."""
    scheme, mode, https = request.param

    def make(**options):
        some = SomeProxy(origin=certificate.server_context() if https else None, **options)
        server = ScriptedServer(some, certificate.server_context() if scheme == "https" else None)
        more = {"ssl_context": trusting} if scheme == "https" else {}
        proxy = proxy_of(scheme, server, mode=mode, **more)
        context = trusting if https else None
        conn = HTTPConnection("localhost", 8080, context, proxy, timeout=10)
        return server, some, conn

    return make


@pytest.mark.feature("A6", "A24", "C32")
@pytest.mark.reliability(60, 61)
@pytest.mark.parametrize("persists", [True, False, b"Proxy-Connection: close\r\n", b""])
def test_request_through_every_kind_of_proxy(drive, way, persists):
    server, some, conn = way(persists=persists)
    with server, conn:
        for _ in range(2):
            assert drive(co_get(conn)) == (200, b"ok")
        assert (conn.get_ssl_cipher() is not None) == (conn.ssl_context is not None)
    assert [head.split(b"\r\n")[0] for head in some.inside] == [b"GET /a HTTP/1.1"] * 2
    assert not any(b"proxy-auth" in head.lower() for head in some.inside)
    if some.heads:
        assert [head.count(b"Proxy-Authorization") for head in some.heads] == [0, 1]
        assert server.connections == (1 if persists is True else 2)
    else:
        assert len(some.asked) == 1


@pytest.mark.feature("A2", "C37")
@pytest.mark.reliability(45, 60)
def test_operation_given_up_at_every_wait_leaves_nothing_open(way):
    server, _, conn = way(pause=0.0003, persists=False)
    with server:
        before = open_descriptors()
        for waits in range(NEVER):
            operation = conn.co_connect()
            if advance(operation, waits):
                break
            operation.close()
            assert conn.get_ssl_cipher() is None
        assert waits > 0
        conn.close()
        wait_until(lambda: open_descriptors() <= before)


def advance(operation, waits):
    """Run *operation* to its n-th wait; True if it ended before."""
    try:
        for _ in range(waits):
            next(operation).poll(30)
        next(operation)
    except StopIteration:
        return True
    return False


@pytest.mark.reliability(42)
def test_needless_resumptions_do_no_harm(way):
    server, _, conn = way(pause=0.0003)
    with server, conn:
        operation = co_get(conn)
        with pytest.raises(StopIteration) as end:
            while True:
                next(operation)
        assert end.value.value == (200, b"ok")


SILENCE = {"http": 0, "https": 0, "socks5": 1, "socks5h": 1, "socks4a": 0}


@pytest.mark.reliability(42, 45)
@pytest.mark.parametrize("scheme", SILENCE)
def test_proxy_that_says_nothing_or_not_enough(drive, trusting, scheme):
    def silent(sock):
        sock.recv(1000)
        sock.sendall(b"\5\0"[: SILENCE[scheme]])
        sock.recv(1000)

    before = open_descriptors()
    with ScriptedServer(silent) as server:
        options = {"ssl_context": trusting} if scheme == "https" else {}
        proxy = Proxy(f"{scheme}://localhost:{server.port}", mode="tunnel", **options)
        for limit in (0.1, None):
            conn = HTTPConnection("localhost", 80, proxy=proxy, timeout=limit)
            operation = conn.co_connect()
            if limit is None:
                operation = within(time.monotonic() + 0.1, operation)
            with pytest.raises(ConnectionTimedOut) as failure:
                drive(operation)
            assert failure.value.request_sent == "no"
    wait_until(lambda: open_descriptors() <= before)


@pytest.mark.reliability(45, 61)
@pytest.mark.parametrize(
    ("scheme", "answers", "error"),
    [
        ("http", [b"SSH-2.0\r\n"], InvalidResponse),
        ("http", [ESTABLISHED + b"x"], InvalidResponse),
        ("http", [b""], ConnectionClosed),
        ("http", [CHALLENGE + b"Content-Length: 0\r\n\r\n"] * 2, TunnelRefused),
        ("socks5h", [b"HTTP/1.1 400 No\r\n\r\n"], InvalidResponse),
        ("socks5h", [b"\5\0\5\0\0\1" + bytes(6)], InvalidResponse),
        ("socks5h", [b"\5\0", b"\5\0\0\1" + bytes(7)], InvalidResponse),
        ("socks5h", [b"\5\0", b"\5\5\0\1" + bytes(6)], TunnelRefused),
        ("socks5h", [b"\5\0", b"\5\0"], ConnectionClosed),
        ("socks5h", [b"\5\xff"], TunnelRefused),
        ("socks4a", [b"\0\x5b" + bytes(6)], TunnelRefused),
        ("socks4a", [b"\0\x5a" + bytes(7)], InvalidResponse),
        ("socks4a", [b""], ConnectionClosed),
    ],
)
def test_proxy_that_answers_wrongly(drive, scheme, answers, error):
    def proxy(sock):
        for answer in answers:
            sock.recv(1000)
            sock.sendall(answer)

    before = open_descriptors()
    with ScriptedServer(proxy) as server:
        options = {"auth": DigestAuth("a", "b")} if scheme == "http" else {}
        way = Proxy(f"{scheme}://127.0.0.1:{server.port}", mode="tunnel", **options)
        conn = HTTPConnection("example.test", 80, proxy=way, timeout=30)
        with pytest.raises(error) as failure:
            drive(conn.co_connect())
        assert failure.value.request_sent == "no"
        assert not conn.response_pending()
    wait_until(lambda: open_descriptors() <= before)


# ---- how a conversation is carried


def conversation_with(scheme="socks5h"):
    options = {"auth": DigestAuth("a", "b")} if scheme == "http" else {}
    proxy = Proxy(f"{scheme}://proxy.test", mode="tunnel", **options)
    return proxy.conversation("example.org", 443, Limits(), [])


@pytest.mark.parametrize("piece", [1, 2, 100])
def test_conversation_goes_on_after_every_wait(piece):
    answers = [(b"\5\1\0", b"\5\0"), (b"\1\xbb", b"\5\0\0\1" + bytes(6))]
    stream = GrudgingStream(answers, piece)

    assert finish(co_converse(stream, conversation_with(), None)) is True
    assert stream.sent == b"\5\1\0\5\1\0\3\x0bexample.org\1\xbb"
    assert not stream.closed


@pytest.mark.reliability(45)
@pytest.mark.parametrize("rooms", [[], [WOULD_BLOCK], [1, WOULD_BLOCK]])
def test_conversation_that_is_given_up_closes_the_stream(rooms):
    stream = ScriptedStream([b"\5"], rooms)
    operation = co_converse(stream, conversation_with(), None)
    next(operation)
    operation.close()

    assert stream.closed


@pytest.mark.parametrize("incoming", [[OSError("x")], [ConnectionClosed("x")], [b"HTTP"], [b""]])
def test_conversation_that_fails_closes_the_stream(incoming):
    stream = ScriptedStream(incoming)
    with pytest.raises((OSError, InvalidResponse)):
        finish(co_converse(stream, conversation_with(), None))
    assert stream.closed


def test_conversation_that_goes_on_elsewhere_closes_the_stream():
    conversation = conversation_with("http")
    first = ScriptedStream([CHALLENGE + b"\r\nwhy", b""])
    second = ScriptedStream([ESTABLISHED])

    assert finish(co_converse(first, conversation, None)) is False
    assert first.closed
    assert finish(co_converse(second, conversation, None)) is True
    assert not second.closed
    assert b"Digest" not in first.sent
    assert b"Digest" in second.sent


# ---- forwarding


@pytest.mark.feature("A26")
@pytest.mark.reliability(60)
@pytest.mark.parametrize("scheme", ["http", "https"])
def test_digest_with_forwarding_begins_with_a_407(drive, certificate, trusting, scheme):
    some = SomeProxy()
    tls = certificate.server_context() if scheme == "https" else None
    with ScriptedServer(some, tls) as server:
        options = {"ssl_context": trusting} if tls else {}
        proxy = proxy_of(scheme, server, headers={"X-Me": "you"}, **options)
        with HTTPConnection("example.test", 80, proxy=proxy, timeout=30) as conn:
            assert drive(co_get(conn)) == (407, b"why")
            for _ in range(2):
                assert drive(co_get(conn)) == (200, b"ok")
            assert conn.get_ssl_cipher() is None  # of the server
        with HTTPConnection("other.test", 80, proxy=proxy, timeout=30) as conn:
            assert drive(co_get(conn)) == (200, b"ok")
        assert server.connections == 2
    for head, count in zip(some.heads, (0, 1, 2, 3), strict=True):
        assert head.startswith(b"GET http://")
        assert b"\r\nX-Me: you\r\n" in head
        assert (b"nc=%08d" % count in head) == (count > 0)
    assert b'uri="http://other.test/a"' in some.heads[3]


@pytest.mark.parametrize("line", [b"Connection: close\r\n", b"Proxy-Connection: close\r\n"])
def test_forwarding_proxy_that_closes_after_its_407(drive, line):
    """The next request, which answers it, does not go to a connection that ends."""
    some = SomeProxy(persists=line)
    with ScriptedServer(some) as server:
        with HTTPConnection("example.test", 80, proxy=proxy_of("http", server), timeout=20) as conn:
            assert drive(co_get(conn)) == (407, b"why")
            assert not conn.is_open()
            for _ in range(2):
                assert drive(co_get(conn)) == (200, b"ok")
        assert server.connections == 2


@pytest.mark.reliability(60)
def test_fields_of_a_request_win_over_those_for_the_proxy():
    some = SomeProxy()
    with ScriptedServer(some) as server:
        url = f"http://a:b@127.0.0.1:{server.port}"
        proxy = Proxy(url, headers={"X-Me": "you"})
        with HTTPConnection("example.test", 80, proxy=proxy, timeout=30) as conn:
            fields = {"x-me": "other", "proxy-authorization": "Digest mine"}
            conn.send_request("PUT", "/", fields, b"")
            assert conn.read_response().status == 200
            conn.discard()
    assert b"\r\nx-me: other\r\n" in some.heads[0]
    assert b"\r\nproxy-authorization: Digest mine\r\n" in some.heads[0]
    assert b"X-Me" not in some.heads[0]
    assert b"Basic" not in some.heads[0]


def test_407_of_a_server_without_a_proxy_is_a_response():
    def handler(sock):
        while read_head(sock):
            sock.sendall(CHALLENGE + b"Content-Length: 0\r\n\r\n")

    with ScriptedServer(handler) as server:
        with HTTPConnection("127.0.0.1", server.port, timeout=30) as conn:
            assert [run(co_get(conn))[0] for _ in range(2)] == [407, 407]


# ---- names


@pytest.mark.feature("C34")
def test_socks5_looks_up_names_here_and_socks5h_does_not(monkeypatch):
    asked = []
    look_up = socket.getaddrinfo

    def answer(host, port, *args, **options):
        asked.append(host)
        if host != "origin.test":
            return look_up(host, port, *args, **options)
        return [
            (socket.AF_INET6, socket.SOCK_STREAM, 6, "", ("::1", port, 0, 0)),
            (socket.AF_INET, socket.SOCK_STREAM, 6, "", ("10.0.0.1", port)),
        ]

    monkeypatch.setattr(socket, "getaddrinfo", answer)
    some = SomeProxy(reply=b"\5\3\0\1" + bytes(6))
    with ScriptedServer(some) as server:
        proxy = Proxy(f"socks5://127.0.0.1:{server.port}")
        with HTTPConnection("origin.test", 80, proxy=proxy, timeout=30) as conn:
            assert run(co_get(conn)) == (200, b"ok")
        assert some.asked == [bytes(15) + b"\1\0\x50", b"\x0a\0\0\1\0\x50"]
        assert "origin.test" in asked
        some.asked.append(asked.clear())
        proxy = Proxy(f"socks5h://127.0.0.1:{server.port}")
        with HTTPConnection("origin.test", 80, proxy=proxy, timeout=30) as conn:
            assert run(co_get(conn)) == (200, b"ok")
        assert some.asked[-1] == b"origin.test\0\x50"
        assert "origin.test" not in asked
        with pytest.raises(HostnameNotResolvable, match=r"a\.\.test"):
            monkeypatch.setattr(socket, "getaddrinfo", nobody)
            proxy = Proxy(f"socks5://127.0.0.1:{server.port}")
            HTTPConnection("a.test", 80, proxy=proxy, timeout=30).connect()


def nobody(*args, **options):
    raise socket.gaierror(socket.EAI_NONAME, "a..test is not there")


def test_looking_up_names_has_a_time_limit(monkeypatch):
    go_on = threading.Event()

    def slow(*args, **options):
        go_on.wait(20)
        raise socket.gaierror(socket.EAI_NONAME, "scripted")

    monkeypatch.setattr(socket, "getaddrinfo", slow)
    with ScriptedServer(lambda sock: sock.recv(1)) as server:
        before = open_descriptors()
        conn = HTTPConnection(
            "origin.test", 80, proxy=f"socks5://127.0.0.1:{server.port}", timeout=0.05
        )
        with pytest.raises(ConnectionTimedOut, match=r"no address of origin\.test within 0\.05"):
            conn.connect()
        go_on.set()
        wait_until(lambda: open_descriptors() <= before)


# ---- TLS to the proxy


@pytest.mark.feature("A26")
@pytest.mark.reliability(60)
@pytest.mark.parametrize("mode", ["forward", "tunnel"])
def test_certificate_has_to_be_that_of_the_proxy(
    drive, certificate, other_certificate, expired_certificate, trusting, mode
):
    for bad in (other_certificate, expired_certificate):
        some = SomeProxy()
        with ScriptedServer(some, bad.server_context()) as server:
            proxy = proxy_of("https", server, ssl_context=trusting, mode=mode)
            conn = HTTPConnection("other.example", 80, proxy=proxy, timeout=30)
            with pytest.raises(CertificateInvalid, match=r": the proxy localhost:\d+: cert"):
                drive(conn.co_connect())
        assert some.heads == []


def test_proxy_that_does_not_speak_tls(drive, trusting):
    def plain(sock):
        sock.recv(1000)
        sock.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")

    with ScriptedServer(plain) as server:
        proxy = Proxy(f"https://localhost:{server.port}", ssl_context=trusting)
        with pytest.raises(HandshakeFailed, match=r"the proxy localhost:\d+: TLS"):
            drive(HTTPConnection("localhost", 80, proxy=proxy, timeout=30).co_connect())


def test_end_of_a_forwarding_connection_is_told_to_the_proxy(certificate, trusting):
    ends = []

    def proxy(sock):
        read_head(sock)
        sock.sendall(OK)
        ends.append(sock.recv(1))  # without close_notify this would fail: see ScriptedServer

    with ScriptedServer(proxy, certificate.server_context()) as server:
        way = Proxy(f"https://localhost:{server.port}", ssl_context=trusting)
        with HTTPConnection("example.test", 80, proxy=way, timeout=30) as conn:
            assert run(co_get(conn)) == (200, b"ok")
    assert ends == [b""]


# ---- what a connection says of its proxy, and refuses


@pytest.mark.feature("A6", "B2")
def test_proxy_can_be_read():
    proxy = Proxy("socks5h://a:b@proxy.test")

    assert HTTPConnection("x.test").proxy is None
    assert HTTPConnection("x.test", proxy=("proxy.test", 3128)).proxy == ("proxy.test", 3128)
    assert HTTPConnection("x.test", proxy="http://Proxy.test").proxy == ("proxy.test", 80)
    assert HTTPConnection("x.test", proxy=proxy).proxy is proxy
    assert HTTPConnection("x.test", proxy="socks5h://a:b@proxy.test").proxy == proxy
    assert HTTPConnection("x.test", proxy="http://a:b@proxy.test").proxy == Proxy(
        "http://a:b@proxy.test"
    )


@pytest.mark.reliability(47)
@pytest.mark.parametrize(
    ("url", "mode", "host", "https"),
    [
        ("http://h", "forward", "x.test", True),
        ("socks5h://h", "auto", "x." * 128 + "x", False),
        ("socks4a://h", "auto", "::1", False),
    ],
)
def test_ways_that_do_not_exist_are_refused_at_once(trusting, url, mode, host, https):
    context = trusting if https else None
    with pytest.raises(InvalidRequest):
        HTTPConnection(host, None, context, Proxy(url, mode=mode))


def test_proxy_that_refuses_the_connection(drive):
    for scheme in ("http", "socks5h"):
        with servers.refusing_port() as port:
            proxy = Proxy(f"{scheme}://127.0.0.1:{port}")
            with pytest.raises(ConnectFailed, match=r"127\.0\.0\.1:"):
                drive(HTTPConnection("x.test", proxy=proxy, timeout=30).co_connect())
