"""Options of the transport, on whole connections: sockets, names, pins, facts, sessions."""

import hashlib
import os
import socket
import ssl
import struct
import sys
import threading
from contextlib import suppress

import pytest
from kit import servers
from kit.interrupted import interrupted_everywhere
from kit.support import ScriptedServer, answering, open_descriptors, program, read_head, wait_until
from kit.tls_relay import relay
from kit.ways import WAYS

from dugong_like import (
    CachingResolver,
    CertificateInvalid,
    ConnectFailed,
    ConnectionTimedOut,
    HostnameNotResolvable,
    HTTPConnection,
    InvalidOption,
    InvalidRequest,
    Proxy,
    SocketOptions,
    StateError,
    TLSSessions,
    run,
    tls_context,
)
from dugong_like.transport.connect.options import PLAIN

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
LAST = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok"
LINUX = pytest.mark.skipif(sys.platform != "linux", reason="Linux only")

pytestmark = pytest.mark.usefixtures("nothing_is_left_open")


@pytest.fixture(params=WAYS)
def drive(request):
    return request.param


def co_ask(conn, path="/"):
    yield from conn.co_send_request("GET", path)
    response = yield from conn.co_read_response()
    assert (yield from conn.co_readall()) == b"ok"
    return response.status


def ask(drive, *arguments, look=lambda conn: None, **options):
    """Do one request on a new connection; return what *look* sees."""
    with HTTPConnection(*arguments, timeout=30, **options) as conn:
        assert drive(co_ask(conn)) == 200
        return look(conn)


# ---- unix domain sockets


@pytest.fixture
def path(tmp_path):
    return str(tmp_path / "socket")


@pytest.mark.feature("A4")
@pytest.mark.parametrize("form", [str, os.fsencode, os.path.abspath])
def test_unix_domain_socket(drive, path, form):
    heads = []

    def handler(sock):
        while head := read_head(sock):
            heads.append(head)
            sock.sendall(OK)

    with ScriptedServer(handler, path=path):
        with HTTPConnection("some.host", 8080, uds=form(path), timeout=30) as conn:
            for _ in range(2):
                assert drive(co_ask(conn)) == 200
            conn.disconnect()
            assert drive(co_ask(conn)) == 200
    assert [b"\r\nHost: some.host:8080\r\n" in head for head in heads] == [True] * 3


@LINUX
@pytest.mark.parametrize("form", [str, str.encode])
def test_abstract_unix_domain_socket(drive, form):
    name = f"\0dugong_like-{os.getpid()}"
    with ScriptedServer(answering(OK), path=name):
        ask(drive, "some.host", uds=form(name))


def test_tls_over_a_unix_domain_socket(drive, path, certificate, trusting):
    with ScriptedServer(answering(OK), certificate.server_context(), path=path):
        version = ask(
            drive, "localhost", 443, trusting, uds=path, look=lambda conn: conn.tls_version
        )
    assert version == "TLSv1.3"


def test_nobody_listens_on_the_path(drive, path):
    with pytest.raises(ConnectFailed, match=f"{path}: No such file") as failure:
        ask(drive, "some.host", uds=path)
    assert failure.value.request_sent == "no"


@pytest.mark.feature("C33")
def test_proxy_on_a_unix_domain_socket(drive, path):
    heads = []

    def proxy(sock):
        heads.append(read_head(sock))
        sock.sendall(OK)

    with ScriptedServer(proxy, path=path):
        ask(drive, "some.host", proxy=("proxy.test", 3128), uds=path)
    assert heads[0].startswith(b"GET http://some.host/ HTTP/1.1\r\n")


def test_interrupted_on_the_way_through_a_unix_domain_socket(path, certificate, trusting):
    with ScriptedServer(lambda sock: sock.recv(1), certificate.server_context(), path=path):
        interrupted_everywhere(lambda: HTTPConnection("localhost", 443, trusting, uds=path))


def test_unix_domain_socket_and_a_time_limit(drive, path):
    """The server accepts, and does not go on."""
    context = tls_context(verify=False)

    def silent(sock):
        while sock.recv(65536):
            pass

    with ScriptedServer(silent, path=path):
        with pytest.raises(ConnectionTimedOut):
            drive(HTTPConnection("x", 443, context, uds=path, timeout=0.1).co_connect())


# ---- a socket of one's own


def connected(port):
    return socket.create_connection(("127.0.0.1", port))


def test_own_socket_is_taken_over(drive):
    with ScriptedServer(answering(OK, OK)) as server:
        sock = connected(server.port)
        with HTTPConnection("some.host", sock=sock, timeout=30) as conn:
            for _ in range(2):
                assert drive(co_ask(conn)) == 200
        assert sock.fileno() == -1


def test_own_socket_with_tls(drive, certificate, trusting):
    with ScriptedServer(answering(OK), certificate.server_context()) as server:
        sock = connected(server.port)
        ask(drive, "localhost", 443, trusting, sock=sock)
        assert sock.fileno() == -1


@pytest.mark.feature("C35")
def test_own_socket_of_a_pair(drive):
    left, right = socket.socketpair()
    with right, HTTPConnection("some.host", sock=left, timeout=30) as conn:
        drive(conn.co_send_request("GET", "/"))
        assert read_head(right).startswith(b"GET / HTTP/1.1\r\nHost: some.host\r\n")
        right.sendall(OK)
        assert drive(conn.co_read_response()).status == 200
        assert drive(conn.co_readall()) == b"ok"


def test_own_socket_is_not_made_again(drive):
    with ScriptedServer(answering(LAST)) as server:
        conn = HTTPConnection("some.host", sock=connected(server.port), timeout=30)
        assert drive(co_ask(conn)) == 200
        for _ in range(2):
            with pytest.raises(StateError, match="over a socket of yours, and that has ended"):
                drive(co_ask(conn))
            conn.reset()
    assert server.connections == 1


def test_own_socket_that_was_never_used_is_closed():
    for close in (HTTPConnection.close, HTTPConnection.disconnect, lambda conn: None):
        left, right = socket.socketpair()
        conn = HTTPConnection("some.host", sock=left)
        close(conn)
        del conn
        assert left.fileno() == -1
        right.close()


def test_own_socket_stays_the_callers_if_an_argument_is_bad(trusting):
    left, right = socket.socketpair()
    with left, right:
        with pytest.raises(InvalidOption):
            HTTPConnection("x", 443, trusting, sock=left, fingerprint="nonsense")
        assert left.fileno() >= 0


@pytest.mark.feature("C33")
def test_own_socket_to_a_proxy(drive, certificate, trusting):
    with ScriptedServer(answering(OK), certificate.server_context()) as origin:

        def proxy(sock):
            assert read_head(sock).startswith(b"CONNECT localhost:443 HTTP/1.1\r\n")
            sock.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
            relay_plain(sock, origin.port)

        with ScriptedServer(proxy) as server:
            sock = connected(server.port)
            ask(drive, "localhost", 443, trusting, proxy=("proxy.test", 3128), sock=sock)


def relay_plain(sock, port):
    from kit.tls_relay import pump

    with connected(port) as back, Plain(sock) as front:
        back.setblocking(False)
        pump(front, back)


class Plain:
    """A plain socket in the place of one that speaks TLS."""

    def __init__(self, sock):
        self._sock = sock
        sock.setblocking(False)

    def __getattr__(self, name):
        return getattr(self._sock, name)

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        pass

    def pending(self):
        return 0


def bad_sockets():
    closed = socket.socket()
    closed.close()
    return [
        (lambda: closed, InvalidOption, "not connected: Bad file"),
        (socket.socket, InvalidOption, "not connected"),
        (lambda: socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)[0], InvalidOption, "stream"),
        (lambda: 5, TypeError, "a connected socket, not 5"),
    ]


@pytest.mark.parametrize(("make", "error", "reason"), bad_sockets())
@pytest.mark.filterwarnings("ignore::ResourceWarning")
def test_socket_that_cannot_be_used(make, error, reason):
    sock = make()
    with pytest.raises(error, match=reason):
        HTTPConnection("x", sock=sock)
    if isinstance(sock, socket.socket):
        sock.close()


def test_socket_that_speaks_tls_already(certificate, trusting):
    with ScriptedServer(lambda sock: sock.recv(1), certificate.server_context()) as server:
        sock = trusting.wrap_socket(connected(server.port), server_hostname="localhost")
        with sock, pytest.raises(InvalidOption, match="speaks TLS already"):
            HTTPConnection("localhost", 443, trusting, sock=sock)


# ---- options of sockets


def options_of(drive, options, *wanted):
    with ScriptedServer(answering(OK)) as server:
        return ask(
            drive,
            "127.0.0.1",
            server.port,
            socket_options=options,
            look=lambda conn: [conn._session.shared.stream.sock.getsockopt(*one) for one in wanted],
        )


TCP = socket.IPPROTO_TCP


@pytest.mark.feature("A4", "C43")
@LINUX
def test_options_reach_the_socket(drive):
    keepalive = [
        (socket.SOL_SOCKET, socket.SO_KEEPALIVE),
        (TCP, socket.TCP_KEEPIDLE),
        (TCP, socket.TCP_KEEPINTVL),
        (TCP, socket.TCP_KEEPCNT),
    ]
    options = SocketOptions(
        keepalive=True, keepalive_idle=100, keepalive_interval=20, keepalive_probes=3
    )
    assert options_of(drive, options, *keepalive) == [1, 100, 20, 3]
    assert options_of(drive, SocketOptions(keepalive=True), keepalive[0]) == [1]
    assert options_of(drive, None, keepalive[0], (TCP, socket.TCP_NODELAY)) == [0, 1]
    assert options_of(drive, SocketOptions(nodelay=False), (TCP, socket.TCP_NODELAY)) == [0]
    low = (socket.SOL_SOCKET, socket.SO_RCVLOWAT)
    assert options_of(drive, SocketOptions(raw=[(*low, struct.pack("i", 2))]), low) == [2]
    assert options_of(drive, SocketOptions(raw=[(*low, 1)]), low) == [1]


def test_option_that_the_system_refuses(drive):
    before = open_descriptors()
    options = SocketOptions(raw=[(TCP, 9999, 1)])
    with ScriptedServer(answering(OK)) as server:
        for host in ("127.0.0.1", "localhost"):
            with pytest.raises(InvalidOption, match=r"refuses the socket option \(6, 9999, 1\): "):
                ask(drive, host, server.port, socket_options=options)
        big = SocketOptions(keepalive=True, keepalive_idle=1 << 30)
        with pytest.raises(InvalidOption, match=r"refuses keepalive_idle=1073741824: "):
            ask(drive, "127.0.0.1", server.port, socket_options=big)
    wait_until(lambda: open_descriptors() <= before)


@pytest.mark.feature("A4")
@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
@pytest.mark.parametrize("port", [0, None])
def test_local_address(drive, host, port):
    seen = []

    def handler(sock):
        seen.append(sock.getpeername())
        answering(OK)(sock)

    port = servers.free_port("127.0.0.2") if port is None else 0
    options = SocketOptions(local_address=("127.0.0.2", port))
    for _ in range(2):  # the second one while the first one is in TIME_WAIT
        with ScriptedServer(handler) as server:
            ask(drive, host, server.port, socket_options=options)
    assert [address for address, _ in seen] == ["127.0.0.2"] * 2
    if port:
        assert [number for _, number in seen] == [port, port]


def test_local_address_that_is_not_here(drive):
    options = SocketOptions(local_address=("192.0.2.1", 0))
    for host in ("127.0.0.1", "localhost"):
        with pytest.raises(ConnectFailed, match=r"\(from 192\.0\.2\.1\)"):
            ask(drive, host, 9, socket_options=options)


@pytest.mark.feature("C33")
def test_local_address_holds_through_a_proxy(drive):
    seen = []

    def proxy(sock):
        seen.append(sock.getpeername()[0])
        answering(OK)(sock)

    with ScriptedServer(proxy) as server:
        ask(
            drive,
            "some.host",
            proxy=("127.0.0.1", server.port),
            socket_options=SocketOptions(local_address=("127.0.0.3", 0)),
        )
    assert seen == ["127.0.0.3"]


@pytest.mark.feature("A4")
def test_family(drive, monkeypatch):
    asked = []

    def answer(host, port, family=0, type=0):
        asked.append(family)
        both = [(socket.AF_INET6, ("::1", port, 0, 0)), (socket.AF_INET, ("127.0.0.1", port))]
        found = [one for one in both if family in {0, one[0]}]
        return [(family, socket.SOCK_STREAM, 6, "", address) for family, address in found]

    monkeypatch.setattr(socket, "getaddrinfo", answer)

    def server_of(conn):
        return conn._session.shared.stream.sock.family

    for family, host in ((socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1")):
        with ScriptedServer(answering(OK), host=host) as server:
            options = SocketOptions(family=family)
            for name in ("both.test", host):
                assert family == ask(
                    drive, name, server.port, socket_options=options, look=server_of
                )
    assert set(asked) == {socket.AF_INET, socket.AF_INET6}


def test_address_of_another_family(drive):
    for host, family in (("127.0.0.1", socket.AF_INET6), ("::1", socket.AF_INET)):
        with pytest.raises(HostnameNotResolvable, match=f"{host} cannot be used"):
            ask(drive, host, 80, socket_options=SocketOptions(family=family))
    with pytest.raises(HostnameNotResolvable):
        ask(drive, "::1", 80, socket_options=SocketOptions(local_address=("127.0.0.1", 0)))


@pytest.mark.parametrize(
    ("options", "error", "reason"),
    [
        ({"family": socket.AF_UNIX}, InvalidOption, "family is AF_INET or AF_INET6"),
        ({"family": "IPv4"}, InvalidOption, "family is AF_INET or AF_INET6, not 'IPv4'"),
        ({"local_address": "127.0.0.1"}, TypeError, "a pair of host and port"),
        ({"local_address": (b"127.0.0.1", 0)}, TypeError, "host of local_address is a string"),
        ({"local_address": ("localhost", 0)}, InvalidOption, "an IP address of this machine"),
        (
            {"local_address": ("127.0.0.1", 65536)},
            InvalidOption,
            "local_address cannot be 65536",
        ),
        (
            {"local_address": ("127.0.0.1", -1)},
            InvalidOption,
            "local_address cannot be -1",
        ),
        (
            {"local_address": ("127.0.0.1", "0")},
            TypeError,
            "local_address is an int, not '0'",
        ),
        (
            {"local_address": ("127.0.0.1", 0), "family": socket.AF_INET6},
            InvalidOption,
            "local_address 127.0.0.1 is IPv4, and family is another one",
        ),
        ({"keepalive_idle": 5}, InvalidOption, "keepalive_idle means nothing without keepalive"),
        (
            {"keepalive": True, "keepalive_idle": 0},
            InvalidOption,
            "keepalive_idle cannot be 0",
        ),
        (
            {"keepalive": True, "keepalive_probes": 1.5},
            TypeError,
            "probes is an int, not 1.5",
        ),
        (
            {"keepalive": True, "keepalive_probes": True},
            TypeError,
            "probes is an int, not True",
        ),
        ({"raw": [(1, 2)]}, TypeError, "a raw option is"),
        ({"raw": [1]}, TypeError, "a raw option is"),
        ({"raw": [(1, 2, "x")]}, TypeError, "value of a raw option is an int, not 'x'"),
        ({"raw": [("x", 2, 3)]}, TypeError, "level of a raw option is an int, not 'x'"),
        ({"raw": [(1, None, 3)]}, TypeError, "option of a raw option is an int, not None"),
        ({"raw": [(1, 2, 2**31)]}, InvalidOption, "value of a raw option cannot be 2147483648"),
        ({"raw": 5}, TypeError, "raw has .*, not 5"),
        ({"keepalive": True, "keepalive_idle": 2**31}, InvalidOption, "keepalive_idle cannot be"),
        ({"keepalive": "no"}, TypeError, "keepalive is True or False, not 'no'"),
        ({"nodelay": None}, TypeError, "nodelay is True or False, not None"),
        ({"family": [2]}, InvalidOption, "family is AF_INET or AF_INET6, not list"),
    ],
)
def test_options_that_make_no_sense(options, error, reason):
    with pytest.raises(error, match=reason):
        SocketOptions(**options)


def test_options_that_this_system_does_not_have(monkeypatch):
    monkeypatch.delattr(socket, "TCP_KEEPCNT")
    with pytest.raises(InvalidOption, match="keepalive_probes cannot be set on this system"):
        SocketOptions(keepalive=True, keepalive_probes=1)


def test_options_are_values():
    assert SocketOptions(raw=[(1, 2, 3)]) == SocketOptions(raw=((1, 2, 3),))
    assert hash(SocketOptions(raw=[(1, 2, 3)]))
    with pytest.raises(AttributeError):
        SocketOptions().family = 5


# ---- resolvers


@pytest.mark.feature("A3", "A44")
def test_resolver(drive, certificate, trusting):
    with ScriptedServer(answering(OK), certificate.server_context()) as server:
        asked = []

        def here(host, port):
            asked.append((host, port))
            return [(socket.AF_INET, ("127.0.0.1", server.port))]

        def co_here(host, port):
            yield from ()
            return here(host, port)

        cache = CachingResolver(here)
        for resolver in (here, co_here, cache, cache):
            ask(drive, "localhost", 443, trusting, resolver=resolver)
        assert asked == [("localhost", 443)] * 3


@pytest.mark.feature("C33")
def test_resolver_is_asked_for_the_proxy(drive):
    asked = []
    with ScriptedServer(answering(OK)) as server:

        def here(host, port):
            asked.append((host, port))
            return [(socket.AF_INET, ("127.0.0.1", server.port))]

        ask(drive, "some.host", proxy=("proxy.test", 3128), resolver=here)
    assert asked == [("proxy.test", 3128)]


@pytest.mark.feature("C33")
def test_resolver_is_asked_for_the_server_behind_a_proxy_that_wants_addresses(drive):
    """socks5 without h: this machine looks up."""
    asked = []
    with ScriptedServer(answering(OK)) as origin:

        def socks(sock):
            assert sock.recv(10) == b"\5\1\0"
            sock.sendall(b"\5\0")
            request = sock.recv(10)
            assert request == b"\5\1\0\1\x7f\0\0\1" + (80).to_bytes(2)
            sock.sendall(b"\5\0\0\1\0\0\0\0\0\0")
            relay_plain(sock, origin.port)

        with ScriptedServer(socks) as server:

            def here(host, port):
                asked.append((host, port))
                return [(socket.AF_INET, ("127.0.0.1", port))]

            proxy = Proxy(f"socks5://127.0.0.1:{server.port}")
            ask(drive, "some.host", 80, proxy=proxy, resolver=here)
    assert asked == [("some.host", 80)]


def test_interrupted_while_a_resolver_is_asked():
    go_on = threading.Event()

    def never(host, port):
        go_on.wait(20)
        return [(socket.AF_INET, ("127.0.0.1", 9))]

    conn = HTTPConnection("some.host", resolver=never)
    before = open_descriptors()
    operation = conn.co_connect()
    next(operation)
    operation.close()
    go_on.set()
    wait_until(lambda: open_descriptors() <= before)


# ---- the name of the server


def told_names(certificate):
    told = []
    context = certificate.server_context()
    context.sni_callback = lambda sock, name, context: told.append(name)
    return context, told


@pytest.mark.feature("A5", "A48")
def test_server_name_apart_from_the_address(drive, issue, trusting):
    context, told = told_names(issue("other.example"))
    with ScriptedServer(answering(OK, OK), context) as server:
        ask(drive, "127.0.0.1", server.port, trusting, server_hostname="Other.Example.")
        with pytest.raises(CertificateInvalid):
            ask(drive, "127.0.0.1", server.port, trusting)
        with pytest.raises(CertificateInvalid):
            ask(drive, "127.0.0.1", server.port, trusting, server_hostname="else.example")
    assert told == ["Other.Example", None, "else.example"]


def test_server_name_that_is_an_address(drive, certificate, trusting):
    context, told = told_names(certificate)
    with ScriptedServer(answering(OK, OK), context) as server:
        for name in ("127.0.0.1", "::1"):
            ask(drive, "localhost", server.port, trusting, server_hostname=name)
        with pytest.raises(CertificateInvalid):
            ask(drive, "localhost", server.port, trusting, server_hostname="127.0.0.9")
    assert told == [None] * 3


def test_no_server_name(drive, certificate, trusting):
    context, told = told_names(certificate)
    lenient = tls_context(verify=False)
    with ScriptedServer(answering(OK, OK), context) as server:
        ask(drive, "localhost", server.port, lenient, server_hostname=None)
        ask(drive, "localhost", server.port, lenient)
    assert told == [None, "localhost"]
    with pytest.raises(InvalidOption, match="only with a context that does not check names"):
        HTTPConnection("localhost", 443, trusting, server_hostname=None)


@pytest.mark.parametrize(
    ("name", "error"),
    [("a b", InvalidRequest), ("a/b", InvalidRequest), ("[::1]", InvalidRequest), (5, TypeError)],
)
def test_server_name_that_is_none(trusting, name, error):
    with pytest.raises(error):
        HTTPConnection("x", 443, trusting, server_hostname=name)


def test_server_name_in_another_alphabet(drive, issue, trusting):
    context, told = told_names(issue("xn--mller-kva.example"))
    with ScriptedServer(answering(OK), context) as server:
        ask(drive, "localhost", server.port, trusting, server_hostname="müller.example")
    assert told == ["xn--mller-kva.example"]


# ---- fingerprints


def der_of(certificate):
    pem = certificate.chain.read_text().split("-----END CERTIFICATE-----")[0]
    return ssl.PEM_cert_to_DER_cert(pem + "-----END CERTIFICATE-----")


@pytest.mark.parametrize("verify", [True, False])
def test_fingerprint(drive, certificate, other_certificate, trusting, verify):
    context = trusting if verify else tls_context(verify=False)
    right = "sha256:" + hashlib.sha256(der_of(certificate)).hexdigest()
    wrong = "sha256:" + hashlib.sha256(der_of(other_certificate)).hexdigest()
    heard = []

    def handler(sock):
        heard.append(read_head(sock))
        sock.sendall(OK)

    with ScriptedServer(handler, certificate.server_context()) as server:
        for good in (right, right.upper().replace("SHA256", "sha256"), [wrong, right]):
            ask(drive, "localhost", server.port, context, fingerprint=good)
        assert len(heard) == 3
        for bad in (wrong, [wrong, wrong]):
            with pytest.raises(CertificateInvalid, match=f"fingerprint is {right}") as failure:
                ask(drive, "localhost", server.port, context, fingerprint=bad)
            assert failure.value.request_sent == "no"
    assert not any(heard[3:])


def test_fingerprint_does_not_replace_the_check_of_the_name(drive, other_certificate, trusting):
    right = "sha256:" + hashlib.sha256(der_of(other_certificate)).hexdigest()
    with ScriptedServer(answering(OK), other_certificate.server_context()) as server:
        with pytest.raises(CertificateInvalid, match="[Hh]ostname mismatch"):
            ask(drive, "localhost", server.port, trusting, fingerprint=right)


def test_fingerprint_is_that_of_openssl(certificate, trusting, drive):
    import subprocess

    command = [program("openssl"), "x509", "-noout", "-fingerprint", "-sha256", "-in"]
    done = subprocess.run([*command, certificate.chain], capture_output=True, text=True, check=True)
    shown = "sha256:" + done.stdout.strip().partition("=")[2]
    with ScriptedServer(answering(OK), certificate.server_context()) as server:
        ask(drive, "localhost", server.port, trusting, fingerprint=shown)


# ---- facts and sessions


def facts(conn):
    return conn.tls_version, conn.alpn, conn.session_reused, conn.cipher, conn.peercert


@pytest.mark.feature("C18")
def test_facts(drive, certificate, ca_file):
    server_context = certificate.server_context()
    server_context.set_alpn_protocols(["http/1.1"])
    with ScriptedServer(answering(OK), server_context) as server:
        for version in ("TLSv1.2", "TLSv1.3"):
            context = tls_context(ca=ca_file, max_version=version)
            with HTTPConnection("localhost", server.port, context, timeout=30) as conn:
                assert facts(conn) == (None,) * 5
                drive(conn.co_connect())
                assert facts(conn)[:3] == (version, "http/1.1", False)
                assert conn.cipher == conn.get_ssl_cipher()
                assert conn.peercert == conn.get_ssl_peercert()
                assert ("DNS", "localhost") in conn.peercert["subjectAltName"]
                assert conn.get_extra_info("tls_version") == version
                assert conn.get_extra_info("ssl_object").version() == version
            assert facts(conn) == (None,) * 5


@pytest.mark.feature("C18")
def test_facts_over_plain_http(drive):
    def look(conn):
        assert conn.get_extra_info("server_addr") == ("127.0.0.1", server.port)
        assert conn.get_extra_info("socket").getsockname() == conn.get_extra_info("client_addr")
        assert conn.get_extra_info("tls_version") is conn.get_extra_info("nonsense") is None
        return facts(conn)

    with ScriptedServer(answering(OK)) as server:
        assert ask(drive, "127.0.0.1", server.port, look=look) == (None,) * 5
        with HTTPConnection("127.0.0.1", server.port) as conn:
            assert conn.get_extra_info("server_addr") is None


def test_facts_of_tls_are_not_those_of_a_proxy(drive, certificate, trusting):
    with ScriptedServer(answering(OK), certificate.server_context()) as server:
        proxy = Proxy(f"https://localhost:{server.port}", ssl_context=trusting)

        def look(conn):
            assert conn.get_extra_info("server_addr")[1] == server.port
            assert conn.get_extra_info("ssl_object") is conn.get_extra_info("peercert") is None
            return facts(conn)

        assert ask(drive, "x.test", 80, proxy=proxy, look=look) == (None,) * 5


@pytest.mark.parametrize("version", ["TLSv1.2", "TLSv1.3"])
@pytest.mark.parametrize("answer", [OK, LAST], ids=["disconnect", "close"])
def test_session_is_resumed_when_the_connection_is_made_again(
    drive, certificate, ca_file, version, answer
):
    server_context = certificate.server_context()
    context = tls_context(ca=ca_file, max_version=version)
    with ScriptedServer(answering(answer, answer), server_context) as server:
        for sessions, expected in ((True, [False, True, True]), (False, [False] * 3)):
            options = {"tls_sessions": sessions, "timeout": 5}
            with HTTPConnection("localhost", server.port, context, **options) as conn:
                resumed = []
                for _ in range(3):
                    assert drive(co_ask(conn)) == 200
                    conn.connect()  # it may have taken its leave
                    resumed.append(conn.session_reused)
                    assert conn.peercert["subjectAltName"]
                    if answer is OK:
                        conn.disconnect()
            if answer is OK:
                assert resumed == expected
            else:
                assert resumed[-1] is expected[-1]


@pytest.mark.parametrize("shared", [True, False])
def test_closed_connection_keeps_its_session_for_others_only(certificate, ca_file, shared):
    context = tls_context(ca=ca_file)
    options = {"tls_sessions": TLSSessions()} if shared else {}
    with ScriptedServer(answering(OK, OK), certificate.server_context()) as server:
        conn = HTTPConnection("localhost", server.port, context, timeout=30, **options)
        for number in range(3):
            assert run(co_ask(conn)) == 200
            assert conn.session_reused is (shared and number > 0)
            if number % 2:
                run(conn.co_close())
            else:
                conn.close()


def test_session_after_the_server_has_closed_an_idle_connection(drive, certificate, ca_file):
    def handler(sock):
        answering(OK)(sock)
        with suppress(OSError, ValueError):  # the test may have ended it
            sock.unwrap()

    with ScriptedServer(handler, certificate.server_context()) as server:
        with HTTPConnection("localhost", server.port, tls_context(ca=ca_file), timeout=30) as conn:
            assert drive(co_ask(conn)) == 200
            stream = conn._session.shared.stream
            wait_until(lambda: not stream.recv_would_block())
            assert drive(co_ask(conn)) == 200
            assert conn.session_reused
    assert server.connections == 2


def test_sessions_are_shared_between_connections(drive, certificate, issue, ca_file):
    sessions = TLSSessions()
    context = tls_context(ca=ca_file)

    def resumed(server, context=context, host="localhost", **options):
        return ask(
            drive, host, server.port, context, tls_sessions=sessions,
            look=lambda conn: conn.session_reused, **options,
        )  # fmt: skip

    both = issue("localhost", "127.0.0.1", "other.example")
    with ScriptedServer(answering(OK), both.server_context()) as server:
        assert resumed(server) is False
        assert len(sessions) == 1
        assert resumed(server) is True
        # not with another context, name, or host
        assert resumed(server, tls_context(ca=ca_file)) is False
        assert resumed(server, server_hostname="other.example") is False
        assert resumed(server, host="127.0.0.1") is False
        assert resumed(server, server_hostname="other.example") is True
        assert resumed(server) is True
        sessions.clear()
        assert resumed(server) is False


def test_session_made_without_verification_is_not_resumed_with_it(drive, other_certificate):
    """Or a certificate that would not be accepted would be, since it is not sent again."""
    context = tls_context(verify=False)
    sessions = TLSSessions()
    with ScriptedServer(answering(OK), other_certificate.server_context()) as server:
        ask(drive, "localhost", server.port, context, tls_sessions=sessions)
        context.verify_mode = ssl.CERT_REQUIRED
        context.check_hostname = True
        with pytest.raises(CertificateInvalid):
            ask(drive, "localhost", server.port, context, tls_sessions=sessions)


@pytest.mark.feature("C33")
def test_session_through_a_tunnel(drive, certificate, ca_file):
    with ScriptedServer(answering(OK), certificate.server_context()) as origin:

        def proxy(sock):
            read_head(sock)
            sock.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
            relay_plain(sock, origin.port)

        with ScriptedServer(proxy) as server:
            conn = HTTPConnection(
                "localhost", 443, tls_context(ca=ca_file), ("127.0.0.1", server.port), timeout=30
            )
            assert drive(co_ask(conn)) == 200
            conn.disconnect()
            assert drive(co_ask(conn)) == 200
            assert conn.session_reused
            conn.close()


@pytest.mark.feature("A27", "C33")
def test_server_behind_a_proxy_that_speaks_tls(drive, certificate, trusting, other_certificate):
    """TLS inside TLS, with everything that is asked of the inner one."""
    inner = certificate.server_context()
    heads = []

    with ScriptedServer(answering(OK, OK), inner) as origin:

        def proxy(sock):
            heads.append(read_head(sock))
            sock.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
            relay(origin.port)(sock)

        with ScriptedServer(proxy, certificate.server_context()) as server:
            proxy_url = Proxy(f"https://localhost:{server.port}", ssl_context=trusting)
            right = "sha256:" + hashlib.sha256(der_of(certificate)).hexdigest()
            options = {"server_hostname": "localhost", "fingerprint": right, "timeout": 5}
            with HTTPConnection("origin.test", 443, trusting, proxy_url, **options) as conn:
                for _ in range(2):
                    assert drive(co_ask(conn)) == 200
                assert conn.tls_version == "TLSv1.3"
                conn.disconnect()
                assert drive(co_ask(conn)) == 200
                assert conn.session_reused
            wrong = "sha256:" + "00" * 32
            with pytest.raises(CertificateInvalid, match="its fingerprint is"):
                options["fingerprint"] = wrong
                ask_through = HTTPConnection("origin.test", 443, trusting, proxy_url, **options)
                drive(ask_through.co_connect())
            interrupted_everywhere(
                lambda: HTTPConnection(
                    "origin.test", 443, trusting, proxy_url, server_hostname="localhost"
                )
            )
    assert heads[0].startswith(b"CONNECT origin.test:443 HTTP/1.1\r\n")


# ---- what does not go together


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"server_hostname": "x.test"}, "server_hostname means nothing without ssl_context"),
        ({"server_hostname": None}, "server_hostname means nothing without ssl_context"),
        ({"fingerprint": "sha256:" + "00" * 32}, "fingerprint means nothing without ssl_context"),
        ({"tls_sessions": TLSSessions()}, "tls_sessions means nothing without ssl_context"),
        ({"uds": "/x", "resolver": lambda host, port: []}, "uds needs no address"),
        ({"uds": "/x", "socket_options": SocketOptions(family=socket.AF_INET)}, "uds has no IP"),
        (
            {"uds": "/x", "socket_options": SocketOptions(local_address=("127.0.0.1", 0))},
            "uds has no IP address",
        ),
        ({"uds": ""}, "not the path of a unix domain socket"),
    ],
)
def test_options_that_do_not_go_together(options, reason):
    with pytest.raises(InvalidOption, match=reason):
        HTTPConnection("x.test", **options)


@pytest.mark.parametrize(
    "options",
    [{"uds": "/x"}, {"resolver": lambda host, port: []}, {"socket_options": SocketOptions()}],
)
def test_own_socket_goes_with_no_other_way(options):
    left, right = socket.socketpair()
    with left, right:
        with pytest.raises(InvalidOption, match="sock is connected already: .* mean nothing"):
            HTTPConnection("x.test", sock=left, **options)


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"socket_options": {"nodelay": True}}, "socket_options is SocketOptions"),
        ({"resolver": "8.8.8.8"}, "resolver is a function, not '8.8.8.8'"),
        ({"uds": 5}, "uds is a path, not 5"),
        ({"fingerprint": 5}, "fingerprint"),
        ({"tls_sessions": None}, r"tls_sessions is TLSSessions\(\), True or False, not None"),
    ],
)
def test_options_of_a_wrong_type(trusting, options, reason):
    with pytest.raises(TypeError, match=reason):
        HTTPConnection("x.test", 443, trusting, **options)


def test_connection_without_options_has_those_of_all_others():
    assert HTTPConnection("x.test")._config.route.options is PLAIN
    assert PLAIN.can_use("127.0.0.1")
