"""Real proxies: proxy.py, Squid, Dante and microsocks, under several ways of waiting."""

import shutil
import socket
import tempfile
from contextlib import ExitStack
from pathlib import Path

import pytest
from kit import servers
from kit.support import pattern
from kit.ways import WAYS

from dugong_like import (
    BasicAuth,
    CertificateInvalid,
    ConnectFailed,
    DigestAuth,
    DugongError,
    HTTPConnection,
    Proxy,
    Target,
    TunnelRefused,
)


@pytest.fixture(params=WAYS)
def drive(request):
    return request.param


@pytest.fixture(scope="module")
def proxies(certificate):
    """A function that starts each proxy once; its folder can be read by other users."""
    started = {}
    with ExitStack() as stack:

        def start(kind, *args, **options):
            key = (kind.__name__, args, tuple(options))
            if key not in started:
                folder = Path(tempfile.mkdtemp(prefix="dugong-proxy-"))
                stack.callback(shutil.rmtree, folder)
                folder.chmod(0o755)
                started[key] = stack.enter_context(kind(folder, *args, **options))
            return started[key]

        yield start


def co_fetch(conn, path="/bytes/70000"):
    yield from conn.co_send_request("GET", path)
    response = yield from conn.co_read_response()
    return response.status, (yield from conn.co_readall())


def co_exchange(conn):
    """Several requests on one connection, one of them with a body."""
    for size in (0, 1024, 300_000):
        assert (yield from co_fetch(conn, f"/bytes/{size}")) == (200, pattern(size))
    yield from conn.co_send_request("PUT", "/upload", {"X-Own": "yes"}, pattern(100_000))
    assert (yield from conn.co_read_response()).status == 200
    answer = (yield from conn.co_readall()).decode()
    yield from conn.co_close()
    return answer


def exchange(drive, start, trusting, proxy, *, tls, host="localhost"):
    """Use *proxy* for an exchange with a server, and return the fields that arrived there."""
    port = start("uvicorn-h11", tls=tls).port
    with HTTPConnection(host, port, trusting if tls else None, proxy, timeout=20) as conn:
        answer = drive(co_exchange(conn)).lower()
    assert "x-own" in answer
    return answer


# ---- HTTP

MODES = [("auto", False), ("auto", True), ("tunnel", False)]


@pytest.mark.parametrize(("mode", "tls"), MODES)
@pytest.mark.reliability(60)
def test_proxy_py_with_a_password(drive, start, trusting, proxies, mode, tls):
    server = proxies(servers.forward_proxy, login="me:secret")
    proxy = Proxy(f"http://me:secret@127.0.0.1:{server.port}", mode=mode)

    arrived = exchange(drive, start, trusting, proxy, tls=tls)
    if tls or mode == "tunnel":  # what it forwards on a connection has the field (proxy.py 2.4.10)
        assert "proxy-auth" not in arrived


@pytest.mark.parametrize("tls", [False, True], ids=["http", "https"])
def test_wrong_password(drive, start, trusting, proxies, tls):
    port = proxies(servers.forward_proxy, login="me:secret").port
    server = start("uvicorn-h11", tls=tls)
    for url in (f"http://127.0.0.1:{port}", f"http://me:wrong@127.0.0.1:{port}"):
        with HTTPConnection(
            "localhost", server.port, trusting if tls else None, url, timeout=20
        ) as conn:
            if tls:
                with pytest.raises(TunnelRefused) as refusal:
                    drive(conn.co_connect())
                assert refusal.value.status == 407
            else:
                assert drive(co_fetch(conn))[0] == 407


@pytest.mark.parametrize("mode", ["auto", "tunnel"])
@pytest.mark.reliability(60)
def test_proxy_py_over_tls(drive, start, trusting, proxies, certificate, mode):
    server = proxies(servers.forward_proxy, certificate=certificate, login="me:secret")
    url = f"https://me:secret@localhost:{server.port}"

    exchange(drive, start, trusting, Proxy(url, ssl_context=trusting, mode=mode), tls=False)


@pytest.mark.reliability(60)
def test_proxy_py_over_tls_has_to_be_who_it_says(trusting, proxies, certificate):
    port = proxies(servers.forward_proxy, certificate=certificate, login="me:secret").port
    for proxy in (
        Proxy(f"https://127.0.0.2:{port}", ssl_context=trusting),  # not in the certificate
        Proxy(f"https://localhost:{port}"),  # an authority that the system does not know
    ):
        with pytest.raises(
            (CertificateInvalid, ConnectFailed), match=r"the proxy localhost:\d+: cert|connect"
        ):
            HTTPConnection("localhost", 80, proxy=proxy, timeout=20).connect()


@pytest.mark.feature("A24", "A25", "C32")
@pytest.mark.real("squid-auth")
@pytest.mark.parametrize(("mode", "tls"), MODES)
@pytest.mark.parametrize("scheme", ["none", "basic", "digest"])
@pytest.mark.reliability(60)
def test_squid(drive, start, trusting, proxies, scheme, mode, tls):
    server = proxies(servers.squid, scheme)
    auth = {"none": None, "basic": BasicAuth, "digest": DigestAuth}[scheme]
    proxy = Proxy(f"http://127.0.0.1:{server.port}", auth=auth and auth("me", "päss"), mode=mode)
    if scheme == "digest" and not tls and mode == "auto":
        with HTTPConnection(
            "localhost", 80, proxy=proxy, timeout=20
        ) as conn:  # it has to ask first
            assert drive(co_fetch(conn))[0] == 407

    assert "proxy-auth" not in exchange(drive, start, trusting, proxy, tls=tls)


@pytest.mark.feature("A26", "A27", "C32")
@pytest.mark.real("squid-tls")
@pytest.mark.parametrize(("mode", "tls"), MODES)
def test_squid_over_tls(drive, start, trusting, proxies, certificate, mode, tls):
    server = proxies(servers.squid, "basic", certificate=certificate)
    url = f"https://me:p%C3%A4ss@localhost:{server.port}"

    exchange(drive, start, trusting, Proxy(url, ssl_context=trusting, mode=mode), tls=tls)


@pytest.mark.feature("A25")
@pytest.mark.real("squid-auth")
@pytest.mark.parametrize("scheme", ["basic", "digest"])
def test_squid_with_a_wrong_password(drive, trusting, proxies, scheme):
    server = proxies(servers.squid, scheme)
    kind = {"basic": BasicAuth, "digest": DigestAuth}[scheme]
    for auth in (None, kind("me", "wrong"), BasicAuth("nobody", "x"), DigestAuth("nobody", "x")):
        proxy = Proxy(f"http://127.0.0.1:{server.port}", auth=auth)
        with pytest.raises(TunnelRefused, match="407") as refusal:
            drive(HTTPConnection("localhost", 443, trusting, proxy, timeout=20).co_connect())
        assert b"Squid" in refusal.value.body or b"squid" in refusal.value.body


@pytest.mark.real("squid-connect")
def test_squid_says_why_it_refuses(drive, trusting, proxies):
    server = proxies(servers.squid, "none")
    proxy = f"http://127.0.0.1:{server.port}"
    with pytest.raises(TunnelRefused) as refusal:
        drive(HTTPConnection("refused.test", 443, trusting, proxy, timeout=20).co_connect())
    assert (refusal.value.status, refusal.value.reason) == (403, "Forbidden")


@pytest.mark.feature("C13", "C17", "C19")
@pytest.mark.real("squid-connect")
def test_squid_without_being_told_that_it_is_a_proxy(drive, start, trusting, proxies):
    """The caller says what a `Proxy` would: absolute-form, and CONNECT with TLS in the tunnel."""
    port, secure = start("uvicorn-h11").port, start("uvicorn-h11", tls=True).port

    def co_all():
        squid = proxies(servers.squid, "none").port
        with HTTPConnection("127.0.0.1", squid, timeout=20) as conn:
            target = Target(f"http://localhost:{port}/bytes/1024")
            yield from conn.co_send_request("GET", target, {"Host": f"localhost:{port}"})
            assert (yield from conn.co_read_response()).status == 200
            assert (yield from conn.co_readall()) == pattern(1024)
            yield from conn.co_send_request("CONNECT", f"localhost:{secure}")
            with (yield from conn.co_read_response()).stream as stream:
                yield from stream.co_start_tls(trusting, "localhost")
                request = b"GET /bytes/1024 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
                yield from stream.co_write(request)
                got = b""
                while piece := (yield from stream.co_read(1000)):
                    got += piece
                return got

    got = drive(co_all())
    assert got.startswith(b"HTTP/1.1 200 ")
    assert got.endswith(b"\r\n\r\n" + pattern(1024))


# ---- SOCKS


@pytest.mark.feature("C34")
@pytest.mark.real("socks")
@pytest.mark.parametrize("tls", [False, True], ids=["http", "https"])
@pytest.mark.parametrize("scheme", ["socks5", "socks5h", "socks4a"])
def test_dante(drive, start, trusting, proxies, scheme, tls):
    server = proxies(servers.dante)
    host = "127.0.0.1" if scheme == "socks4a" else "localhost"  # it knows SOCKS4, but not 4a
    proxy = Proxy(f"{scheme}://127.0.0.1:{server.port}")

    exchange(drive, start, trusting, proxy, tls=tls, host=host)


@pytest.mark.real("socks")
@pytest.mark.parametrize("scheme", ["socks5", "socks5h", "socks4a"])
def test_dante_says_why_it_refuses(drive, proxies, scheme):
    server = proxies(servers.dante)
    for host in ("127.0.0.3", "127.0.0.1"):  # not allowed, and nobody listens there
        proxy = Proxy(f"{scheme}://127.0.0.1:{server.port}")
        with servers.refusing_port(host) as port:
            conn = HTTPConnection(host, port, proxy=proxy, timeout=20)
            with pytest.raises(TunnelRefused, match=rf"{host}:.*SOCKS") as refusal:
                drive(conn.co_connect())
        if scheme == "socks4a":
            assert refusal.value.status == 91
        else:
            assert refusal.value.status == {"127.0.0.3": 2, "127.0.0.1": 5}[host]


@pytest.mark.feature("C7", "C34")
@pytest.mark.real("socks")
def test_dante_is_asked_again_for_the_next_address(drive, start, proxies):
    events = []
    port = start("uvicorn-h11").port

    def resolver(host, port):  # Dante is told not to connect to the first one
        return [(socket.AF_INET, (address, port)) for address in ("127.0.0.3", "127.0.0.1")]

    conn = HTTPConnection(
        *("origin.test", port, None, f"socks5://127.0.0.1:{proxies(servers.dante).port}"),
        resolver=resolver, trace=lambda event, info: events.append(event), timeout=20,
    )  # fmt: skip
    with conn:
        assert drive(co_fetch(conn)) == (200, pattern(70_000))
    said = [event for event in events if event.startswith(("proxy", "connection.retry"))]
    asked = ["proxy.socks5.started", "proxy.socks5.complete"]
    assert said == [*asked, "connection.retry", *asked]


@pytest.mark.feature("C34")
@pytest.mark.real("socks")
@pytest.mark.parametrize("tls", [False, True], ids=["http", "https"])
@pytest.mark.parametrize("scheme", ["socks5", "socks5h"])
def test_microsocks_with_a_password(drive, start, trusting, proxies, scheme, tls):
    server = proxies(servers.microsocks, "me:secret")
    proxy = Proxy(f"{scheme}://me:secret@127.0.0.1:{server.port}")

    exchange(drive, start, trusting, proxy, tls=tls)


@pytest.mark.reliability(60)
def test_microsocks_with_a_wrong_password(drive, proxies):
    server = proxies(servers.microsocks, "me:secret")
    for login in ("", "me:wrong@"):
        proxy = Proxy(f"socks5h://{login}127.0.0.1:{server.port}")
        with pytest.raises(TunnelRefused) as refusal:
            drive(HTTPConnection("localhost", 80, proxy=proxy, timeout=20).co_connect())
        assert "wrong" not in str(refusal.value)


# ---- who is spoken to in the wrong way


WRONG = [
    ("socks4a", servers.forward_proxy),
    ("socks5h", servers.forward_proxy),
    ("https", servers.forward_proxy),
    ("https", servers.dante),
    ("http", servers.dante),
]


@pytest.mark.parametrize(("scheme", "kind"), WRONG)
def test_wrong_kind_of_proxy(trusting, proxies, scheme, kind):
    options = {"ssl_context": trusting} if scheme == "https" else {}
    proxy = Proxy(f"{scheme}://localhost:{proxies(kind).port}", mode="tunnel", **options)

    with pytest.raises(DugongError) as failure:
        HTTPConnection("localhost", 80, proxy=proxy, timeout=0.5).connect()
    assert failure.value.request_sent == "no"
