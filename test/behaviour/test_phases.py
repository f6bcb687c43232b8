"""Errors of connecting: at which step, and whether with a proxy or with the server."""

import socket
import ssl

import pytest
from kit.support import ScriptedServer, black_hole, read_exactly, read_head
from kit.ways import WAYS

from dugong_like import (
    CertificateInvalid,
    ClientCertificateRefused,
    ConnectFailed,
    ConnectionClosed,
    ConnectionTimedOut,
    DNSUnavailable,
    HandshakeFailed,
    HostnameNotResolvable,
    HTTPConnection,
    InvalidResponse,
    Proxy,
    Timeouts,
    TunnelRefused,
)

pytestmark = pytest.mark.usefixtures("nothing_is_left_open")
PHASES = {"dns", "connect", "tls", "proxy-dns", "proxy-connect", "proxy-tls", "proxy"}
SOON = 0.2  # seconds: for what never comes
NEVER = 60  # seconds: for what comes at once, unless the machine is busy
ESTABLISHED = b"HTTP/1.1 200 Go\r\n\r\n"


@pytest.fixture(params=WAYS)
def drive(request):
    return request.param


@pytest.fixture(autouse=True)
def names(monkeypatch):
    """Nobody knows missing.test, and nobody can be asked for unknown.test."""
    ask = socket.getaddrinfo

    def answer(host, *arguments, **options):
        if host == "unknown.test":
            raise socket.gaierror(socket.EAI_AGAIN, "try again")
        if host == "missing.test":
            raise socket.gaierror(socket.EAI_NONAME, "no such name")
        return ask(host, *arguments, **options)

    monkeypatch.setattr(socket, "getaddrinfo", answer)


@pytest.fixture
def refusing():
    """A port that nobody listens at."""
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        yield bound.getsockname()[1]


def failure(drive, conn, error, phase, *words):
    """Connect, and return the error; its message has all of *words*."""
    assert phase in PHASES
    with pytest.raises(error) as caught:
        drive(conn.co_connect())
    assert type(caught.value) is error
    assert caught.value.phase == phase
    for word in words:
        assert word in str(caught.value)
    # It says once what the proxy is called, and once which of the two it was.
    assert str(caught.value).count("the proxy ") <= 2
    return caught.value


def silent(sock):
    while sock.recv(65536):
        pass


@pytest.mark.parametrize("scheme", ["http", "socks5", "socks5h", "socks4a"])
class TestProxyThatIsNotReached:
    def test_it_does_not_accept(self, drive, scheme, refusing):
        conn = HTTPConnection("127.0.0.1", 80, proxy=f"{scheme}://127.0.0.1:{refusing}")
        name = f"cannot connect to the proxy 127.0.0.1:{refusing}: "
        assert failure(drive, conn, ConnectFailed, "proxy-connect", name).retryable

    def test_it_does_not_answer(self, drive, scheme):
        with black_hole() as (host, port):
            conn = HTTPConnection(
                "127.0.0.1", 80, proxy=f"{scheme}://{host}:{port}", timeout=Timeouts(connect=SOON)
            )
            name = f"no connection to the proxy {host}:{port} within"
            failure(
                drive,
                conn,
                ConnectionTimedOut,
                "proxy-connect",
                name,
                f"(Timeouts(connect={SOON}))",
            )

    def test_its_name(self, drive, scheme):
        conn = HTTPConnection("127.0.0.1", 80, proxy=f"{scheme}://missing.test:7")
        failure(drive, conn, HostnameNotResolvable, "proxy-dns", "the proxy missing.test:7: ")
        conn = HTTPConnection("127.0.0.1", 80, proxy=f"{scheme}://unknown.test:7")
        failure(drive, conn, DNSUnavailable, "proxy-dns", "the proxy unknown.test:7: ")


def test_proxy_whose_name_is_looked_up_for_too_long(drive, slow_names):
    proxy = "http://slow.test:7"
    conn = HTTPConnection("127.0.0.1", 80, proxy=proxy, timeout=Timeouts(dns=SOON, connect=NEVER))
    failure(drive, conn, ConnectionTimedOut, "proxy-dns", "the proxy slow.test:7: no address")


@pytest.mark.parametrize("mode", ["forward", "tunnel"])
class TestTLSToTheProxy:
    def test_its_certificate(self, drive, mode, other_certificate, trusting):
        with ScriptedServer(silent, other_certificate.server_context()) as server:
            url = f"https://localhost:{server.port}"
            conn = HTTPConnection("x.test", 80, proxy=Proxy(url, mode=mode, ssl_context=trusting))
            name = f"the proxy localhost:{server.port}: cert"
            error = failure(drive, conn, CertificateInvalid, "proxy-tls", name)
            assert error.__cause__ is not None

    def test_it_speaks_none(self, drive, mode, trusting):
        with ScriptedServer(lambda sock: sock.sendall(b"HTTP/1.1 400 No\r\n\r\n")) as server:
            url = f"https://localhost:{server.port}"
            conn = HTTPConnection("x.test", 80, proxy=Proxy(url, mode=mode, ssl_context=trusting))
            name = f"the proxy localhost:{server.port}: TLS"
            failure(drive, conn, HandshakeFailed, "proxy-tls", name)

    def test_it_takes_too_long(self, drive, mode, trusting):
        with ScriptedServer(silent) as server:
            proxy = Proxy(f"https://localhost:{server.port}", mode=mode, ssl_context=trusting)
            conn = HTTPConnection("x.test", 80, proxy=proxy, timeout=Timeouts(tls=SOON))
            name = f"the proxy localhost:{server.port}: no TLS"
            failure(drive, conn, ConnectionTimedOut, "proxy-tls", name, f"(Timeouts(tls={SOON}))")


def test_proxy_that_refuses_the_certificate_of_the_client(drive, certificate, ca, trusting):
    """With TLS 1.3 that shows when it is asked for a tunnel."""
    context = certificate.server_context()
    context.verify_mode = ssl.CERT_REQUIRED
    ca.configure_trust(context)
    with ScriptedServer(silent, context) as server:
        proxy = Proxy(f"https://localhost:{server.port}", mode="tunnel", ssl_context=trusting)
        conn = HTTPConnection("x.test", 80, proxy=proxy, timeout=NEVER)
        name = f"the proxy localhost:{server.port}: TLSV13_ALERT_CERTIFICATE_REQUIRED"
        error = failure(drive, conn, ClientCertificateRefused, "proxy-tls", name)
        assert not error.retryable


CONVERSATIONS = {"http": b"\r\n\r\n", "socks5h": b"\5\1\0", "socks4a": b"x.test\0"}  # until here


@pytest.mark.parametrize("scheme", CONVERSATIONS)
class TestWhatTheProxySays:
    def connection(self, scheme, handler, timeout=NEVER):
        def heard(sock):
            said = b""
            while not said.endswith(CONVERSATIONS[scheme]):
                said += read_exactly(sock, 1)
            handler(sock)

        server = ScriptedServer(heard)
        proxy = Proxy(f"{scheme}://127.0.0.1:{server.port}", mode="tunnel")
        return server, HTTPConnection("x.test", 80, proxy=proxy, timeout=timeout)

    @pytest.mark.parametrize("timeouts", [SOON, Timeouts(connect=SOON)])
    def test_nothing(self, drive, scheme, timeouts):
        server, conn = self.connection(scheme, silent, timeouts)
        with server:
            failure(drive, conn, ConnectionTimedOut, "proxy", "the proxy ", f"={SOON})")

    def test_it_closes(self, drive, scheme):
        server, conn = self.connection(scheme, lambda _: None)
        with server:
            error = failure(drive, conn, ConnectionClosed, "proxy", "the proxy closed")
            assert error.retryable

    def test_it_resets(self, drive, scheme):
        def reset(sock):
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
            socket.socket.close(sock)

        server, conn = self.connection(scheme, reset)
        with server:
            name = f"the proxy 127.0.0.1:{server.port}: connection lost"
            assert failure(drive, conn, ConnectionClosed, "proxy", name).retryable

    def test_garbage(self, drive, scheme):
        server, conn = self.connection(scheme, lambda sock: sock.sendall(b"garbage\r\n\r\n"))
        with server:
            name = f"the proxy 127.0.0.1:{server.port}: "
            failure(drive, conn, InvalidResponse, "proxy", name)


def test_proxy_that_says_no(drive):
    def handler(sock):
        read_head(sock)
        sock.sendall(b"HTTP/1.1 503 Busy\r\nRetry-After: 3\r\nContent-Length: 0\r\n\r\n")

    with ScriptedServer(handler) as server:
        proxy = Proxy(f"http://127.0.0.1:{server.port}", mode="tunnel")
        conn = HTTPConnection("x.test", 80, proxy=proxy)
        error = failure(drive, conn, TunnelRefused, "proxy", "the proxy did not open", "503 Busy")
    assert (error.retryable, error.retry_after, error.status) == (True, "3", 503)


# ---- the server


def tunnel_to(handler):
    def through(sock):
        read_head(sock)
        sock.sendall(ESTABLISHED)
        handler(sock)

    return through


class TestTLSWithTheServerBehindAProxy:
    def test_its_certificate(self, drive, other_certificate, trusting):
        def handler(sock):
            with other_certificate.server_context().wrap_socket(sock, server_side=True):
                pass

        with ScriptedServer(tunnel_to(handler)) as server:
            proxy = f"http://127.0.0.1:{server.port}"
            conn = HTTPConnection("localhost", 7, trusting, proxy)
            failure(drive, conn, CertificateInvalid, "tls", "localhost:7: certificate not accepted")

    def test_it_speaks_none(self, drive, trusting):
        def handler(sock):
            sock.recv(65536)
            sock.sendall(b"HTTP/1.1 400 No\r\n\r\n")

        with ScriptedServer(tunnel_to(handler)) as server:
            conn = HTTPConnection("localhost", 7, trusting, f"http://127.0.0.1:{server.port}")
            failure(drive, conn, HandshakeFailed, "tls", "localhost:7: TLS handshake failed")

    def test_it_takes_too_long(self, drive, trusting):
        with ScriptedServer(tunnel_to(silent)) as server:
            proxy = f"http://127.0.0.1:{server.port}"
            conn = HTTPConnection("localhost", 7, trusting, proxy, timeout=Timeouts(tls=SOON))
            failure(drive, conn, ConnectionTimedOut, "tls", "no TLS with localhost:7 within")


def test_name_of_the_server_that_is_looked_up_here_for_a_proxy(drive, refusing):
    for name, error in (("missing", HostnameNotResolvable), ("unknown", DNSUnavailable)):
        conn = HTTPConnection(f"{name}.test", 80, proxy=f"socks5://127.0.0.1:{refusing}")
        text = str(failure(drive, conn, error, "dns", f"{name}.test"))
        assert f"the proxy 127.0.0.1:{refusing}: " not in text


def test_server_without_a_proxy(drive, refusing, other_certificate, trusting):
    name = f"cannot connect to 127.0.0.1:{refusing}: "
    failure(drive, HTTPConnection("127.0.0.1", refusing), ConnectFailed, "connect", name)
    failure(drive, HTTPConnection("missing.test"), HostnameNotResolvable, "dns")
    failure(drive, HTTPConnection("unknown.test"), DNSUnavailable, "dns")
    with ScriptedServer(silent, other_certificate.server_context()) as server:
        conn = HTTPConnection("localhost", server.port, trusting)
        failure(drive, conn, CertificateInvalid, "tls")
    with ScriptedServer(silent) as server:
        conn = HTTPConnection("localhost", server.port, trusting, timeout=Timeouts(tls=SOON))
        failure(drive, conn, ConnectionTimedOut, "tls")


def test_errors_after_connecting_have_no_phase(drive):
    """But for time-outs, which name their limit."""
    with ScriptedServer(read_head) as server:
        with HTTPConnection("127.0.0.1", server.port, timeout=NEVER) as conn:
            drive(conn.co_send_request("GET", "/"))
            with pytest.raises(ConnectionClosed) as closed:
                drive(conn.co_read_response())
    assert closed.value.phase == ""
