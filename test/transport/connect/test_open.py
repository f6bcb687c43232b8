"""From an origin to a stream: names, addresses, tunnels and certificates that do not work."""

import os
import socket
import ssl
import subprocess
import sys
import threading
import time

import certifi
import pytest
from kit import servers
from kit.support import (
    ROOT,
    ScriptedServer,
    answering,
    black_hole,
    open_descriptors,
    program,
    read_head,
)

from dugong_like import (
    CertificateInvalid,
    ConnectFailed,
    ConnectionClosed,
    ConnectionTimedOut,
    DNSUnavailable,
    HandshakeFailed,
    HostnameNotResolvable,
    HTTPConnection,
    InvalidResponse,
    TunnelRefused,
    is_temp_network_error,
    run,
    within,
)
from dugong_like.http.hosts import authority
from dugong_like.transport.connect import happy_eyeballs as connecting

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
TABLE = {}  # what the names of these tests lead to


@pytest.fixture(autouse=True)
def names(monkeypatch):
    """Answer for names under .test; everything else asks the system."""
    ask = socket.getaddrinfo

    def answer(host, port, *args, **kwargs):
        if not isinstance(host, str) or not host.endswith(".test"):
            return ask(host, port, *args, **kwargs)
        found = TABLE.get(host, socket.EAI_NONAME)
        if isinstance(found, int):
            raise socket.gaierror(found, "scripted")
        return [
            (socket.AF_INET6 if ":" in address[0] else socket.AF_INET, socket.SOCK_STREAM, 6, "",
             address if address[1] else (address[0], port))
            for address in found
        ]  # fmt: skip

    monkeypatch.setattr(socket, "getaddrinfo", answer)
    yield
    TABLE.clear()


@pytest.mark.feature("B47")
def test_name_that_does_not_exist():
    with pytest.raises(HostnameNotResolvable, match=r"no\.test") as failure:
        HTTPConnection("no.test").connect()
    assert failure.value.request_sent == "no"
    assert not is_temp_network_error(failure.value)
    with pytest.raises(HostnameNotResolvable):
        HTTPConnection("x" * 64 + ".test.example.").connect()


@pytest.mark.feature("B47")
def test_name_service_that_does_not_answer():
    TABLE["again.test"] = socket.EAI_AGAIN

    with pytest.raises(DNSUnavailable) as failure:
        HTTPConnection("again.test").connect()
    assert is_temp_network_error(failure.value)


@pytest.mark.feature("B47")
def test_test_names_tell_a_missing_name_from_a_missing_service():
    TABLE["known.test"] = [("127.0.0.1", 0)]

    with pytest.raises(HostnameNotResolvable):
        HTTPConnection("no.test", dns_test_hostnames=["gone.test", "known.test"]).connect()
    with pytest.raises(DNSUnavailable, match="test name"):
        HTTPConnection("no.test", dns_test_hostnames=["gone.test"]).connect()


@pytest.mark.feature("A2", "B4")
def test_name_is_looked_up_without_blocking(monkeypatch):
    asked = threading.Event()
    release = threading.Event()

    def slow(*args, **kwargs):
        asked.set()
        release.wait(10)
        raise socket.gaierror(socket.EAI_NONAME, "scripted")

    monkeypatch.setattr(socket, "getaddrinfo", slow)
    operation = HTTPConnection("slow.test").co_connect()
    need = next(operation)  # returns while the resolver still works
    assert asked.wait(30)
    assert not need.poll(0)
    assert next(operation) == need  # a needless resumption
    with pytest.raises(ConnectionTimedOut):
        run(within(time.monotonic() + 0.05, operation))
    release.set()


def test_port_that_refuses():
    with (
        servers.refusing_port() as port,
        pytest.raises(ConnectFailed, match="127.0.0.1:.*refused") as failure,
    ):
        HTTPConnection("127.0.0.1", port).connect()
    assert isinstance(failure.value, ConnectionError)
    assert isinstance(failure.value.__cause__, ConnectionRefusedError)
    assert is_temp_network_error(failure.value)


@pytest.mark.reliability(42)
@pytest.mark.feature("B27")
def test_black_hole_with_a_time_limit():
    before = open_descriptors()
    with black_hole() as (host, port):
        start = time.monotonic()
        with pytest.raises(ConnectionTimedOut, match=rf"{host}:{port} within 0\.2 s "):
            HTTPConnection(host, port, timeout=0.2).connect()
        with pytest.raises(ConnectionTimedOut):
            run(HTTPConnection(host, port).co_connect(), timeout=0.2)
        assert time.monotonic() - start < 20
    assert open_descriptors() <= before


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
@pytest.mark.feature("B4")
def test_connecting_to_an_address_asks_nobody_and_need_not_wait_on_loopback(monkeypatch, host):
    monkeypatch.setattr(socket, "getaddrinfo", None)
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.create_server((host, 0), family=family) as listener:
        conn = HTTPConnection(host, listener.getsockname()[1])
        with pytest.raises(StopIteration):
            next(conn.co_connect())
        assert next(conn.co_read_raw(1)).fd > 2
        conn.close()


def test_dead_first_address_costs_a_quarter_of_a_second():
    with black_hole() as hole, ScriptedServer(answering(OK)) as server:
        TABLE["two.test"] = [hole, ("127.0.0.1", server.port)]
        start = time.monotonic()
        with HTTPConnection("two.test", 80) as conn:
            conn.send_request("GET", "/")
            assert conn.read_response().status == 200
        assert 0.2 < time.monotonic() - start < 20


def test_refusing_first_address_costs_nothing(monkeypatch):
    monkeypatch.setattr(connecting, "ATTEMPT_DELAY", 60)
    with ScriptedServer(answering(OK)) as server:
        TABLE["two.test"] = [("::1", server.port), ("127.0.0.1", server.port)]
        start = time.monotonic()
        with HTTPConnection("two.test", 80) as conn:
            conn.connect()
        assert time.monotonic() - start < 30


@pytest.mark.parametrize(
    ("host", "port", "default", "expected"),
    [
        ("example.org", 80, 80, "example.org"),
        ("example.org", 81, 80, "example.org:81"),
        ("::1", 80, 80, "[::1]"),
        ("fe80::1%eth0", 81, 80, "[fe80::1]:81"),
        ("example.org", 443, None, "example.org:443"),
    ],
)
@pytest.mark.feature("B10")
def test_authority(host, port, default, expected):
    assert authority(host, port, default) == expected


# ---- TLS


def connect_tls(server, context, name="localhost"):
    conn = HTTPConnection(name, server.port, context, timeout=30)
    with conn:
        conn.send_request("GET", "/")
        return conn.read_response().status


@pytest.mark.feature("B24", "B25", "B52")
def test_good_certificate(certificate, trusting):
    with ScriptedServer(answering(OK), certificate.server_context()) as server:
        with HTTPConnection("localhost", server.port, trusting, timeout=30) as conn:
            assert conn.get_ssl_peercert() is None
            conn.connect()
            assert ("DNS", "localhost") in conn.get_ssl_peercert()["subjectAltName"]
            assert conn.get_ssl_peercert(binary_form=True).startswith(b"\x30\x82")
            name, version, bits = conn.get_ssl_cipher()
            assert version.startswith("TLSv1")
            assert bits >= 128


@pytest.mark.reliability(65)
@pytest.mark.feature("B52")
def test_certificates_that_are_not_accepted(
    expired_certificate,
    other_certificate,
    certificate,
    trusting,
):
    for bad in (expired_certificate, other_certificate):
        with ScriptedServer(answering(OK), bad.server_context()) as server:
            with pytest.raises(CertificateInvalid) as failure:
                connect_tls(server, trusting)
            assert isinstance(failure.value.__cause__, ssl.SSLCertVerificationError)
            assert not failure.value.retryable
    strangers = ssl.create_default_context(cafile=None)
    with ScriptedServer(answering(OK), certificate.server_context()) as server:
        with pytest.raises(CertificateInvalid, match="unable to get local issuer|self.signed"):
            connect_tls(server, strangers)


def test_host_name_check_of_the_context_is_honoured(other_certificate, ca):
    lenient = ssl.create_default_context()
    ca.configure_trust(lenient)
    lenient.check_hostname = False
    with ScriptedServer(answering(OK), other_certificate.server_context()) as server:
        assert connect_tls(server, lenient) == 200


@pytest.mark.reliability(68)
def test_server_that_does_not_speak_tls(trusting):
    def plain(sock):
        sock.recv(1000)
        sock.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")

    with ScriptedServer(plain) as server, pytest.raises(HandshakeFailed):
        connect_tls(server, trusting)


@pytest.mark.reliability(42, 68)
def test_server_that_says_nothing_or_goes_away_in_the_handshake(trusting):
    def silent(sock):
        while sock.recv(65536):
            pass

    with ScriptedServer(silent) as server:
        conn = HTTPConnection("localhost", server.port, trusting, timeout=0.2)
        with pytest.raises(ConnectionTimedOut):
            conn.connect()
    with ScriptedServer(lambda sock: sock.recv(1)) as server, pytest.raises(HandshakeFailed):
        connect_tls(server, trusting)


@pytest.mark.feature("C31")
@pytest.mark.reliability(66)
def test_context_of_the_caller_is_not_changed(certificate, ca):
    context = ssl.create_default_context()
    ca.configure_trust(context)
    attributes = ("check_hostname", "verify_mode", "options", "minimum_version", "verify_flags")
    before = [getattr(context, name) for name in attributes]
    with ScriptedServer(answering(OK), certificate.server_context()) as server:
        assert connect_tls(server, context) == 200
    assert [getattr(context, name) for name in attributes] == before


DEFAULT = """
import sys
sys.path.insert(0, {root!r})
import certifi
certifi.where = lambda: {certifi!r}
from dugong_like import CertificateInvalid, HTTPConnection, default_ssl_context
context = default_ssl_context()
assert context is default_ssl_context()
assert context.check_hostname and context.verify_mode == 2
try:
    HTTPConnection("localhost", {port}, context, timeout=30).connect()
except CertificateInvalid:
    print("invalid")
else:
    print("good")
"""


CERTIFI = certifi.where()


def run_default(port, certifi=CERTIFI, **environment):
    clean = {name: value for name, value in os.environ.items() if not name.startswith("SSL")}
    done = subprocess.run(
        [sys.executable, "-c", DEFAULT.format(root=str(ROOT), port=port, certifi=str(certifi))],
        capture_output=True, text=True, timeout=60, check=False, env={**clean, **environment},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


@pytest.mark.feature("B51", "C41")
def test_default_context_verifies_and_honours_the_environment(certificate, ca_file, tmp_path):
    keys = tmp_path / "keys"
    with ScriptedServer(lambda sock: sock.recv(1), certificate.server_context()) as server:
        assert run_default(server.port) == "invalid"
        assert run_default(server.port, SSL_CERT_FILE=str(ca_file), SSLKEYLOGFILE=str(keys)) == (
            "good"
        )
        folder = tmp_path / "certs"
        folder.mkdir()
        hashed = subprocess.run(
            [program("openssl"), "x509", "-hash", "-noout", "-in", str(ca_file)],
            capture_output=True, text=True, check=True,
        )  # fmt: skip
        (folder / f"{hashed.stdout.strip()}.0").write_bytes(ca_file.read_bytes())
        assert run_default(server.port, SSL_CERT_DIR=str(folder)) == "good"
        assert run_default(server.port, certifi=ca_file) == "invalid"
    assert "CLIENT_TRAFFIC_SECRET" in keys.read_text()


@pytest.mark.reliability(35)
@pytest.mark.feature("B43")
def test_tls_that_is_cut_off_is_no_end_of_a_body(certificate, trusting):
    def cut(sock):
        read_head(sock)
        sock.sendall(b"HTTP/1.1 200 OK\r\n\r\nhello")
        socket.socket.shutdown(sock, socket.SHUT_WR)  # no close_notify

    def closed(sock):
        read_head(sock)
        sock.sendall(b"HTTP/1.1 200 OK\r\n\r\nhello")
        sock.unwrap()

    for handler, whole in ((cut, False), (closed, True)):
        with ScriptedServer(handler, certificate.server_context()) as server:
            with HTTPConnection("localhost", server.port, trusting, timeout=30) as conn:
                conn.send_request("GET", "/")
                conn.read_response()
                if whole:
                    assert conn.readall() == b"hello"
                    continue
                with pytest.raises(ConnectionClosed, match="without close_notify"):
                    conn.readall()
                assert conn.read(9) == b"hello"


# ---- tunnels


@pytest.mark.reliability(61)
@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (b"HTTP/1.1 403 No\r\nContent-Length: 3\r\n\r\nwhy", TunnelRefused),
        (b"HTTP/1.0 502 Bad Gateway\r\n\r\nwhy", TunnelRefused),
        (
            b"HTTP/1.1 407 No\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nwhy\r\n0\r\n\r\n",
            TunnelRefused,
        ),
        (b"HTTP/1.1 403 No\r\nContent-Length: 100\r\n\r\nwhy", TunnelRefused),
        (b"SSH-2.0\r\n", InvalidResponse),
        (b"HTTP/1.1 200 OK\r\n\r\nearly", InvalidResponse),
        (b"HTTP/1.1 2", ConnectionClosed),
        (b"", ConnectionClosed),
    ],
)
@pytest.mark.feature("B36")
def test_tunnel_that_is_not_opened(answer, error, trusting):
    before = open_descriptors()
    with ScriptedServer(answering(answer)) as server:
        conn = HTTPConnection("x.test", 443, trusting, ("127.0.0.1", server.port), timeout=30)
        with pytest.raises(error) as failure:
            conn.send_request("GET", "/")
        if error is TunnelRefused:
            assert failure.value.body == b"why"
            assert failure.value.status in {403, 407, 502}
            assert failure.value.reason in {"No", "Bad Gateway"}
        assert failure.value.request_sent == "no"
        assert not conn.response_pending()
    assert open_descriptors() <= before


@pytest.mark.feature("B36")
def test_request_to_a_forward_proxy_is_in_absolute_form():
    heads = []

    def proxy(sock):
        while head := read_head(sock):
            heads.append(head)
            sock.sendall(OK)

    with ScriptedServer(proxy) as server:
        conn = HTTPConnection("x.test", 8080, proxy=("127.0.0.1", server.port), timeout=30)
        with conn:
            for method, path in (("GET", "/a?b=c"), ("OPTIONS", "*")):
                conn.send_request(method, path)
                conn.read_response()
                conn.discard()
    assert heads[0].startswith(b"GET http://x.test:8080/a?b=c HTTP/1.1\r\nHost: x.test:8080\r\n")
    assert heads[1].startswith(b"OPTIONS http://x.test:8080 HTTP/1.1\r\n")
