"""Whom a connection over TLS trusts, and how a handshake may fail.

Most certificates are made here, with what no authority would sign.
"""

import datetime
import ipaddress
import operator
import socket
import ssl
import time
import warnings
from contextlib import contextmanager, suppress

import pytest
import trustme
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
from kit.support import ScriptedServer, answering, read_head
from kit.ways import on_asyncio

from dugong_like import (
    CertificateInvalid,
    ConnectionClosed,
    ConnectionTimedOut,
    HandshakeFailed,
    HTTPConnection,
    run,
)
from dugong_like.transport.tls import contexts

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
NOW = datetime.datetime.now(datetime.UTC)
DAY = datetime.timedelta(days=1)
pytestmark = pytest.mark.usefixtures("nothing_is_left_open")


@pytest.fixture(autouse=True)
def names_lead_here(monkeypatch):
    """Let every name under .test lead to this machine, and any zone be good for ::1."""
    look_up = socket.getaddrinfo

    def answer(host, *args, **kwargs):
        host = "127.0.0.1" if host.endswith((".test", ".test.")) else host.partition("%")[0]
        return look_up(host, *args, **kwargs)

    monkeypatch.setattr(socket, "getaddrinfo", answer)


@pytest.fixture(params=[run, on_asyncio])
def drive(request):
    return request.param


def own_default():
    """Return a context as `default_ssl_context` makes it, not the one of the process."""
    return contexts.default_ssl_context.__wrapped__()


@pytest.fixture(scope="module")
def default(ca):
    """The default context, but trusting the authority of the tests; nothing here changes it."""
    context = own_default()
    ca.configure_trust(context)
    return context


# ---- certificates


def dns(*names):
    return [x509.DNSName(name) for name in names]


def ip(address):
    return x509.IPAddress(ipaddress.ip_address(address))


@pytest.fixture(scope="module")
def forge(ca, tmp_path_factory):
    """A function that makes a server's context, with a certificate of any contents.

    *names* is the subjectAltName, and left out if it is empty. Signed by `ca`, or else by
    *issuer*, a certificate and its key, or by itself if that is "self".
    """
    authority = x509.load_pem_x509_certificate(ca.cert_pem.bytes())
    authority_key = serialization.load_pem_private_key(ca.private_key_pem.bytes(), None)

    def certify(
        names, *, common_name=None, begin=-1, end=1, usage=ExtendedKeyUsageOID.SERVER_AUTH,
        issuer=None,
    ):  # fmt: skip
        key = ec.generate_private_key(ec.SECP256R1())
        attributes = [x509.NameAttribute(NameOID.ORGANIZATION_NAME, "the tests of dugong_like")]
        if common_name is not None:
            attributes.append(x509.NameAttribute(NameOID.COMMON_NAME, common_name))
        subject = x509.Name(attributes)
        if issuer == "self":
            signer, signer_key = None, key
        else:
            signer, signer_key = issuer or (authority, authority_key)
        identifier = x509.AuthorityKeyIdentifier.from_issuer_public_key
        builder = (
            x509.CertificateBuilder(subject if signer is None else signer.subject, subject)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(NOW + begin * DAY)
            .not_valid_after(NOW + end * DAY)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(x509.ExtendedKeyUsage([usage]), critical=False)
            .add_extension(identifier(signer_key.public_key()), critical=False)
        )
        if names:
            builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=True)
        return builder.sign(signer_key, hashes.SHA256()), key

    def forge(*names, **options):
        certificate, key = certify(list(names), **options)
        path = tmp_path_factory.mktemp("forged") / "all.pem"
        issuer = options.get("issuer")
        chain = [certificate, issuer[0]] if isinstance(issuer, tuple) else [certificate]
        path.write_bytes(
            key.private_bytes(
                serialization.Encoding.PEM,
                serialization.PrivateFormat.PKCS8,
                serialization.NoEncryption(),
            )
            + b"".join(one.public_bytes(serialization.Encoding.PEM) for one in chain)
        )
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(path)
        return context

    forge.certify = certify
    return forge


@contextmanager
def serving(context, handler=None):
    """Serve with *context*; yield the port, and see that no refused client asked anything."""
    with ScriptedServer(handler or answering(OK), context) as server:
        yield server.port


def ask(drive, host, port, context, timeout=30):
    """Do one request on a new connection; return the status."""
    conn = HTTPConnection(host, port, context, timeout=timeout)

    def co_ask():
        yield from conn.co_send_request("GET", "/secret")
        response = yield from conn.co_read_response()
        assert (yield from conn.co_readall()) == b"ok"
        return response.status

    try:
        return drive(co_ask())
    finally:
        conn.close()


def assert_refused(drive, host, server_context, client_context, reason):
    """See that *host* is not trusted, and not sent a byte of the request."""
    heard = []
    with ScriptedServer(lambda sock: heard.append(sock.recv(1000)), server_context) as server:
        with pytest.raises(CertificateInvalid, match=reason) as failure:
            ask(drive, host, server.port, client_context)
    assert not failure.value.retryable
    assert failure.value.request_sent == "no"
    assert isinstance(failure.value.__cause__, ssl.SSLCertVerificationError)
    assert not any(heard)


WRONG_NAME = "[Hh]ostname mismatch|IP address mismatch"
LOCAL = dns("localhost")


@pytest.mark.reliability(65)
@pytest.mark.parametrize(
    ("host", "names", "options", "reason"),
    [
        pytest.param("localhost", dns("other.example"), {}, WRONG_NAME, id="another host"),
        pytest.param(
            "localhost", dns("localhost.example", "a.localhost"), {}, WRONG_NAME, id="longer names"
        ),
        pytest.param("localhost", LOCAL, {"begin": -3, "end": -1}, "expired", id="expired"),
        pytest.param("localhost", LOCAL, {"begin": 1, "end": 2}, "not yet valid", id="too early"),
        pytest.param("localhost", LOCAL, {"issuer": "self"}, "self.signed", id="self-signed"),
        pytest.param(
            "localhost",
            LOCAL,
            {"usage": ExtendedKeyUsageOID.CLIENT_AUTH},
            "purpose",
            id="for clients only",
        ),
        pytest.param(
            "localhost", dns("localhost\0.evil.example"), {}, WRONG_NAME, id="NUL in the name"
        ),
        pytest.param(
            "localhost", [], {"common_name": "localhost"}, WRONG_NAME, id="common name only"
        ),
        pytest.param(
            "localhost",
            dns("other.example"),
            {"common_name": "localhost"},
            WRONG_NAME,
            id="common name, and another host",
        ),
        pytest.param("localhost", [ip("127.0.0.1")], {}, WRONG_NAME, id="address for a name"),
        pytest.param("localhost", [], {}, WRONG_NAME, id="no name at all"),
        pytest.param("127.0.0.1", [ip("127.0.0.2")], {}, WRONG_NAME, id="another address"),
        pytest.param("127.0.0.1", dns("127.0.0.1"), {}, WRONG_NAME, id="address as dNSName"),
        pytest.param("127.0.0.1", dns("*.0.0.1"), {}, WRONG_NAME, id="wildcard for an address"),
        pytest.param(
            "127.0.0.1", [], {"common_name": "127.0.0.1"}, WRONG_NAME, id="address as common name"
        ),
        pytest.param("example.test", dns("*.example.test"), {}, WRONG_NAME, id="* is no nothing"),
        pytest.param("a.b.example.test", dns("*.example.test"), {}, WRONG_NAME, id="* is no two"),
        pytest.param("a.example.test", dns("a*.example.test"), {}, WRONG_NAME, id="* in a label"),
        pytest.param("a.example.test", dns("a.*.test"), {}, WRONG_NAME, id="* in the middle"),
        pytest.param("example.test", dns("*.test"), {}, WRONG_NAME, id="* below the top"),
        pytest.param("localhost", dns("*"), {}, WRONG_NAME, id="* alone"),
    ],
)  # fmt: skip
def test_certificate_that_is_not_accepted(forge, default, drive, host, names, options, reason):
    assert_refused(drive, host, forge(*names, **options), default, reason)


@pytest.mark.reliability(65)
@pytest.mark.parametrize(
    ("host", "names"),
    [
        ("localhost", dns("localhost")),
        ("LocalHost", dns("LOCALHOST")),
        ("example.test.", dns("example.test")),
        ("localhost", dns("other.example", "localhost")),
        ("127.0.0.1", [ip("127.0.0.1")]),
        ("a.example.test", dns("*.example.test")),
        ("xn--mller-kva.example.test", dns("xn--mller-kva.example.test")),
        ("müller.example.test", dns("xn--mller-kva.example.test")),
        ("under_score.example.test", dns("under_score.example.test")),
    ],
)
def test_certificate_that_is_accepted(forge, default, drive, host, names):
    with serving(forge(*names)) as port:
        assert ask(drive, host, port, default) == 200


@pytest.mark.reliability(65)
def test_certificate_of_an_unknown_authority_is_not_accepted(default, drive):
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    trustme.CA().issue_cert("localhost").configure_cert(server)

    assert_refused(drive, "localhost", server, default, "local issuer|self.signed")


@pytest.mark.reliability(65)
def test_authority_of_the_tests_is_not_trusted_by_default(forge, drive):
    assert_refused(drive, "localhost", forge(*LOCAL), own_default(), "local issuer|self.signed")


@pytest.mark.reliability(65)
def test_certificate_of_a_server_is_no_authority(forge, default, drive):
    """Whoever has a good certificate for his own host cannot issue others."""
    own = forge.certify(dns("own.example"), common_name="own.example")

    assert_refused(
        drive, "localhost", forge(*LOCAL, issuer=own), default, "invalid CA|purpose|CA cert"
    )


@pytest.mark.reliability(65)
def test_nul_in_a_common_name_is_not_its_end_even_where_common_names_count(forge, trusting, drive):
    """The context is the caller's: this one compares common names, as Python's own does."""
    assert trusting.hostname_checks_common_name
    with serving(forge(common_name="localhost")) as port:
        assert ask(drive, "localhost", port, trusting) == 200
    server = forge(common_name="localhost\0.evil.example")
    assert_refused(drive, "localhost", server, trusting, WRONG_NAME)


@pytest.mark.reliability(65)
def test_zone_of_an_address_is_not_compared(forge, default, drive):
    with ScriptedServer(answering(OK), forge(ip("::1")), "::1") as server:
        assert ask(drive, "::1", server.port, default) == 200
        assert ask(drive, "::1%lo", server.port, default) == 200
    with ScriptedServer(answering(OK), forge(ip("::2")), "::1") as server:
        for host in ("::1", "::1%lo"):
            with pytest.raises(CertificateInvalid, match=WRONG_NAME):
                ask(drive, host, server.port, default)


@pytest.mark.reliability(65)
@pytest.mark.parametrize(
    ("host", "sent"),
    [
        ("localhost", "localhost"),
        ("example.test.", "example.test"),
        ("müller.test", "xn--mller-kva.test"),
        ("127.0.0.1", None),
    ],
)
def test_server_is_told_the_name_but_no_address(forge, default, drive, host, sent):
    told = []
    server = forge(*dns("localhost", "example.test", "xn--mller-kva.test"), ip("127.0.0.1"))
    server.sni_callback = lambda sock, name, context: told.append(name)
    with serving(server) as port:
        assert ask(drive, host, port, default) == 200
    assert told == [sent]


# ---- one context for each connection


@pytest.mark.reliability(66)
def test_connection_keeps_its_context_whatever_is_assigned(forge, default):
    """Assigning may be refused; it never makes a connection trust more, or speak in clear."""
    strangers = own_default()
    with serving(forge(*LOCAL), answering(OK, OK, OK)) as port:
        for other in (strangers, None):
            with HTTPConnection("localhost", port, default, timeout=30) as conn:
                for _ in range(2):
                    conn.send_request("GET", "/")
                    assert conn.read_response().status == 200
                    assert conn.readall() == b"ok"
                    with suppress(AttributeError):
                        conn.ssl_context = other
                conn.disconnect()
                conn.send_request("GET", "/")  # over TLS, and with a certificate that is trusted
                assert conn.read_response().status == 200
                assert conn.readall() == b"ok"
        with HTTPConnection("localhost", port, strangers, timeout=30) as conn:
            for _ in range(2):
                with pytest.raises(CertificateInvalid):
                    conn.send_request("GET", "/")
                with suppress(AttributeError):
                    conn.ssl_context = default


@pytest.mark.reliability(66)
def test_change_of_the_context_does_not_reach_an_open_connection(forge, ca):
    """It is the caller's, so the next handshake is as the caller wants it."""
    context = own_default()
    ca.configure_trust(context)
    server = forge(*LOCAL)
    with serving(server, answering(OK, OK)) as port:
        with HTTPConnection("localhost", port, context, timeout=30) as conn:
            conn.send_request("GET", "/")
            assert conn.read_response().status == 200
            cipher = conn.get_ssl_cipher()
            conn.discard()
            context.maximum_version = ssl.TLSVersion.TLSv1_2
            conn.send_request("GET", "/")
            assert conn.read_response().status == 200
            assert conn.get_ssl_cipher() == cipher
            assert cipher[1] == "TLSv1.3"
            conn.disconnect()
            conn.connect()
            assert conn.get_ssl_cipher()[1] == "TLSv1.2"


# ---- versions


@pytest.mark.reliability(67)
def test_tls_1_1_is_refused(forge, default, drive):
    server = forge(*LOCAL)
    with warnings.catch_warnings(action="ignore"):
        server.minimum_version = ssl.TLSVersion.TLSv1
        server.maximum_version = ssl.TLSVersion.TLSv1_1
        server.set_ciphers("ALL:@SECLEVEL=0")
        lenient = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        lenient.load_verify_locations(cadata=default.get_ca_certs(binary_form=True)[-1])
        lenient.check_hostname = False
        lenient.verify_mode = ssl.CERT_NONE
        lenient.minimum_version = ssl.TLSVersion.TLSv1
        lenient.set_ciphers("ALL:@SECLEVEL=0")
    with serving(server) as port:
        assert ask(drive, "localhost", port, lenient) == 200  # so the server does work
        with pytest.raises(HandshakeFailed, match="PROTOCOL") as failure:
            ask(drive, "localhost", port, default)
    assert not isinstance(failure.value, CertificateInvalid)
    assert default.minimum_version == ssl.TLSVersion.TLSv1_2


@pytest.mark.reliability(67)
@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_tls_1_2_and_1_3_are_spoken_and_http_1_1_is_chosen(forge, default, drive, version):
    server = forge(*LOCAL)
    server.minimum_version = server.maximum_version = version
    server.set_alpn_protocols(["h2", "http/1.1"])
    chosen = []

    def handler(sock):
        chosen.append((sock.selected_alpn_protocol(), sock.version()))
        answering(OK)(sock)

    with serving(server, handler) as port:
        assert ask(drive, "localhost", port, default) == 200
    assert chosen == [("http/1.1", version.name.replace("_", "."))]


# ---- handshakes that fail


GARBAGE = {
    "plain HTTP": b"HTTP/1.1 400 Bad Request\r\nContent-Length: 2\r\nConnection: close\r\n\r\nno",
    "SSH": b"SSH-2.0-OpenSSH_9.2p1\r\n",
    "SMTP": b"220 mail.example ESMTP\r\n",
    "zeros": bytes(1000),
    "HTTP/2": b"\x00\x00\x12\x04\x00\x00\x00\x00\x00",
    "noise": bytes(number * 167 % 251 for number in range(5000)),
    "a record too long": b"\x16\x03\x03\xff\xff" + b"x" * 65535,
    "a message too long": b"\x16\x03\x03\x00\x04\x02\xff\xff\xff" + b"\x16\x03\x03\x40\x00" * 3,
    "noise in a record": b"\x16\x03\x03\x00\x20" + b"x" * 32,
    "application data": b"\x17\x03\x03\x00\x20" + b"x" * 32,
    "empty records": b"\x16\x03\x03\x00\x00" * 100,
    "a ClientHello": b"\x16\x03\x03\x00\x04\x01\x00\x00\x00",
    "SSL 3.0": b"\x15\x03\x00\x00\x02\x02\x28",
    "an alert": b"\x15\x03\x03\x00\x02\x02\x28",
    "an alert that says internal error": b"\x15\x03\x03\x00\x02\x02\x50",
    "an alert that says unknown name": b"\x15\x03\x03\x00\x02\x02\x70",
    "an alert that nobody knows": b"\x15\x03\x03\x00\x02\x02\xee",
    "half an alert": b"\x15\x03\x03\x00\x02\x02",
    "close_notify": b"\x15\x03\x03\x00\x02\x01\x00",
    "warnings without end": b"\x15\x03\x03\x00\x02\x01\x5a" * 1000,
    "nothing": b"",
}


@pytest.mark.reliability(68)
@pytest.mark.parametrize("what", GARBAGE)
def test_what_is_no_handshake_is_told_as_that(default, drive, what):
    def handler(sock):
        sock.recv(10_000)
        sock.sendall(GARBAGE[what])

    start = time.monotonic()
    with ScriptedServer(handler) as server:
        with pytest.raises(HandshakeFailed) as failure:
            ask(drive, "localhost", server.port, default)
    assert not isinstance(failure.value, CertificateInvalid)
    assert failure.value.request_sent == "no"
    assert failure.value.__cause__ is not None
    assert time.monotonic() - start < 20


@pytest.mark.reliability(68)
def test_server_that_closes_before_it_has_heard_anything(default, drive):
    with ScriptedServer(lambda sock: None) as server, pytest.raises(HandshakeFailed):
        ask(drive, "localhost", server.port, default)


SILENCE = {
    "nothing": b"",
    "half a record": b"\x16\x03\x03\x00\x20\x02",
    "a piece of a long message": b"\x16\x03\x03\x00\x06\x02\x00\x10\x00\x03\x03",
}


@pytest.mark.reliability(68, 42)
@pytest.mark.parametrize("what", SILENCE)
def test_server_that_falls_silent_in_the_handshake_meets_the_time_limit(default, drive, what):
    def handler(sock):
        sock.sendall(SILENCE[what])
        while sock.recv(1000):
            pass

    with ScriptedServer(handler) as server:
        start = time.monotonic()
        with pytest.raises(ConnectionTimedOut) as failure:
            ask(drive, "localhost", server.port, default, timeout=0.3)
        assert 0.3 <= time.monotonic() - start < 20
    assert failure.value.request_sent == "no"


@pytest.mark.reliability(68, 42)
def test_server_that_trickles_meets_the_time_limit(default, drive):
    """One limit holds for the whole handshake, so bytes now and then do not prolong it."""

    def handler(sock):
        sock.sendall(b"\x16\x03\x03\x40\x00\x02\x00\x3f\xfc")
        while True:
            sock.sendall(b"x")
            time.sleep(0.02)

    with ScriptedServer(handler) as server:
        start = time.monotonic()
        with pytest.raises(ConnectionTimedOut):
            ask(drive, "localhost", server.port, default, timeout=0.3)
        assert 0.3 <= time.monotonic() - start < 20


@pytest.mark.reliability(68)
def test_garbage_behind_a_tunnel_is_told_as_a_failed_handshake(default, drive):
    def proxy(sock):
        read_head(sock)
        sock.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
        sock.recv(10_000)
        sock.sendall(GARBAGE["plain HTTP"])

    with ScriptedServer(proxy) as server:
        conn = HTTPConnection("a.test", 443, default, ("127.0.0.1", server.port), timeout=30)
        with pytest.raises(HandshakeFailed):
            drive(conn.co_connect())


def first_flight(sock, context):
    """Answer the ClientHello on *sock*; return what a server with *context* says, unsent."""
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    server = context.wrap_bio(incoming, outgoing, server_side=True)
    while not outgoing.pending:
        incoming.write(sock.recv(10_000))
        with suppress(ssl.SSLWantReadError):
            server.do_handshake()
    return outgoing.read()


def attack(default, drive, context, change):
    """Connect to a server whose first flight is *change*\\ d and ends there."""
    sizes = []

    def handler(sock):
        flight = first_flight(sock, context)
        sizes.append(len(flight))
        sock.sendall(change(flight))
        sock.shutdown(socket.SHUT_WR)
        while sock.recv(1000):
            pass

    with ScriptedServer(handler) as server:
        conn = HTTPConnection("localhost", server.port, default, timeout=30)
        try:
            drive(conn.co_connect())
            return sizes[0], None
        except HandshakeFailed as exc:
            assert exc.request_sent == "no"
            return sizes[0], exc
        finally:
            conn.disconnect()


BOTH_VERSIONS = pytest.mark.parametrize(
    "version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3], ids=["1.2", "1.3"]
)


@pytest.mark.reliability(68)
@BOTH_VERSIONS
def test_handshake_that_is_cut_off_at_any_byte_fails(forge, default, drive, version):
    server = forge(*LOCAL)
    server.minimum_version = server.maximum_version = version
    size, _ = attack(default, drive, server, lambda flight: flight)
    for place in [*range(12), *range(12, size - 80, 67)]:  # the size varies by a few bytes
        cut = operator.itemgetter(slice(place))
        _, failure = attack(default, drive, server, cut)
        assert failure is not None, place


@pytest.mark.reliability(68)
@BOTH_VERSIONS
def test_handshake_with_a_changed_byte_fails(forge, default, drive, version):
    """Save for the version in a record's header, which TLS 1.3 says to overlook."""
    server = forge(*LOCAL)
    server.minimum_version = server.maximum_version = version
    size, _ = attack(default, drive, server, lambda flight: flight)
    for place in [*range(5, 12), *range(12, size - 80, 41)]:
        change = Change(place)
        _, failure = attack(default, drive, server, change)
        assert failure is not None or place in overlooked(change.flight), place


class Change:
    """Changes one byte of what it is called with, and keeps that."""

    def __init__(self, place):
        self.place = place
        self.flight = b""

    def __call__(self, flight):
        self.flight = flight
        changed = bytearray(flight)
        changed[self.place] ^= 0x41
        return bytes(changed)


def overlooked(flight):
    """Return the places in *flight* that nothing depends on in TLS 1.3."""
    places = set()
    start = 0
    while start < len(flight):
        places |= {start + 1, start + 2}
        start += 5 + int.from_bytes(flight[start + 3 : start + 5])
    return places


# ---- the end of the stream


@pytest.mark.reliability(35)
@BOTH_VERSIONS
@pytest.mark.parametrize("end", ["close_notify", "close_notify and more", "FIN", "half a record"])
def test_body_that_lasts_until_the_end_needs_close_notify(forge, default, drive, version, end):
    server = forge(*LOCAL)
    server.minimum_version = server.maximum_version = version

    def handler(sock):
        read_head(sock)
        sock.sendall(b"HTTP/1.1 200 OK\r\n\r\nhello")
        if end.startswith("close_notify"):
            sock.setblocking(False)
            with suppress(ssl.SSLWantReadError):
                sock.unwrap()
        raw = socket.socket.send
        if end == "close_notify and more":
            raw(sock, b"\x17\x03\x03\x00\x05 evil")
        elif end == "half a record":
            raw(sock, b"\x17\x03\x03\x00\x40" + b"x" * 20)
        socket.socket.shutdown(sock, socket.SHUT_WR)
        sock.setblocking(True)
        with suppress(OSError):
            sock.recv(1)

    with serving(server, handler) as port:
        conn = HTTPConnection("localhost", port, default, timeout=30)
        drive(conn.co_send_request("GET", "/"))
        drive(conn.co_read_response())
        if end.startswith("close_notify"):
            assert drive(conn.co_readall()) == b"hello"
        else:
            with pytest.raises(ConnectionClosed, match="without close_notify"):
                drive(conn.co_readall())
        conn.close()


@pytest.mark.reliability(35)
@pytest.mark.parametrize("framing", ["Content-Length: 5\r\n\r\nhello", "chunked"])
def test_body_whose_end_is_known_needs_no_close_notify(forge, default, drive, framing):
    if framing == "chunked":
        framing = "Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n"

    def handler(sock):
        read_head(sock)
        sock.sendall(b"HTTP/1.1 200 OK\r\n" + framing.encode())
        socket.socket.shutdown(sock, socket.SHUT_RDWR)

    with serving(forge(*LOCAL), handler) as port:
        conn = HTTPConnection("localhost", port, default, timeout=30)
        drive(conn.co_send_request("GET", "/"))
        drive(conn.co_read_response())
        assert drive(conn.co_readall()) == b"hello"
        conn.close()
