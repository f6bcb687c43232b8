"""Alerts: by which a peer says why it ends TLS, in the handshake and after it.

With TLS 1.3 a client hears only after its handshake that its certificate is refused. What it
sends meanwhile has the connection reset, and the alert is in front of that.
"""

import select
import socket
import ssl
import threading
from contextlib import ExitStack

import pytest
import trustme
from kit.s_server import digits, in_background, s_servers
from kit.streams import ScriptedStream
from kit.support import ScriptedServer, read_exactly, read_head, wait_until
from kit.tls_relay import relay
from kit.ways import WAYS

from dugong_like import (
    BodyFollowing,
    ClientCertificateRefused,
    ConnectionClosed,
    DugongError,
    HandshakeFailed,
    HTTPConnection,
    NetworkStream,
    Pipeline,
    Proxy,
    Request,
    is_temp_network_error,
    run,
    tls_context,
)
from dugong_like.transport.tcp import TCPStream
from dugong_like.transport.tls import handshake
from dugong_like.transport.tls.over_socket import TLSStream, co_start_tls
from dugong_like.transport.tls.over_stream import TLSOverStream
from dugong_like.transport.tls.start import co_start_tls_over

pytestmark = pytest.mark.usefixtures("nothing_is_left_open")
MISSING, STRANGER = "TLSV13_ALERT_CERTIFICATE_REQUIRED", "TLSV1_ALERT_UNKNOWN_CA"
PATIENCE = 30  # seconds: for what happens at once, unless the machine is busy


@pytest.fixture(params=WAYS)
def drive(request):
    return request.param


@pytest.fixture(params=[None, "stranger"])
def client(request, ca_file):
    """What a client has that shows no certificate, or one of an unknown authority; the alert."""
    if request.param is None:
        return tls_context(ca=ca_file), MISSING
    someone = trustme.CA().issue_cert("someone@example.org")
    chain = b"".join(blob.bytes() for blob in someone.cert_chain_pems)
    certificate = chain, someone.private_key_pem.bytes()
    return tls_context(ca=ca_file, client_cert=certificate), STRANGER


@pytest.fixture
def demanding(certificate, ca):
    """The context of a server that demands a certificate."""
    context = certificate.server_context()
    context.verify_mode = ssl.CERT_REQUIRED
    ca.configure_trust(context)
    return context


class Reluctant:
    """A server that looks at the client's certificate when it is allowed to, and refuses it.

    Attributes:
        look: set to have it look.
        stays: True to have it stay then. Else it closes the connection, which is a reset if
            there is something that it has not read.

    """

    def __init__(self, context, *, impatient=False):
        self._context = context
        self.look = threading.Event()
        self.stays = False
        if impatient:
            self.look.set()

    def __call__(self, sock):
        incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        server = self._context.wrap_bio(incoming, outgoing, server_side=True)
        while True:
            try:
                server.do_handshake()
                raise AssertionError("it accepts any certificate")
            except ssl.SSLWantReadError:
                if data := outgoing.read():
                    sock.sendall(data)  # all that comes before the certificate
                    assert self.look.wait(PATIENCE)
                incoming.write(read_record(sock))
            except ssl.SSLError:
                break
        sock.sendall(outgoing.read())
        while self.stays and sock.recv(1 << 20):
            pass


def read_record(sock):
    head = read_exactly(sock, 5)
    return head + read_exactly(sock, int.from_bytes(head[3:], "big"))


def arrives(conn):
    """Wait until something can be read."""
    assert select.select([conn.get_extra_info("socket")], [], [], PATIENCE)[0]


def hangs_up(sock):
    """Wait until the connection has been reset, and all that was in front of it is here."""
    poller = select.poll()
    poller.register(sock.fileno(), 0)  # POLLHUP and POLLERR come without being asked for
    assert poller.poll(PATIENCE * 1000)


def is_refusal(exc, alert):
    assert isinstance(exc, ClientCertificateRefused), repr(exc)
    assert alert in str(exc)
    assert exc.phase == "tls"
    assert not is_temp_network_error(exc)
    assert exc.__cause__ is None or exc.__cause__.reason == alert
    return True


class Ways:
    """The two ways in which TLS is done, with a server behind each."""

    def __init__(self, stack, certificate, trusting, inside):
        self._stack = stack
        self._certificate = certificate
        self._trusting = trusting
        self._inside = inside

    def __call__(self, handler, context):
        server = self._stack.enter_context(ScriptedServer(handler))
        proxy = None
        if self._inside:
            handler.stays = True  # a reset could have the proxy lose the alert
            front = ScriptedServer(self._tunnel(server.port), self._certificate.server_context())
            self._stack.enter_context(front)
            url = f"https://localhost:{front.port}"
            proxy = Proxy(url, ssl_context=self._trusting)
        conn = HTTPConnection("localhost", server.port, context, proxy, timeout=PATIENCE)
        return server, self._stack.enter_context(conn)

    def _tunnel(self, port):
        def handler(sock):
            read_head(sock)
            sock.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
            relay(port)(sock)

        return handler


@pytest.fixture(params=["TLS", "TLS in TLS"])
def reach(request, certificate, trusting):
    """A function that starts a server with a handler, and connects to it with a context."""
    with ExitStack() as stack:
        yield Ways(stack, certificate, trusting, request.param != "TLS")


# ---- certificates that are refused, after the handshake


def test_alert_that_is_here_before_a_request_is_sent(drive, reach, demanding, client):
    """Another connection is not tried: it would be the same."""
    context, alert = client
    server, conn = reach(Reluctant(demanding, impatient=True), context)
    drive(conn.co_connect())
    arrives(conn)

    with pytest.raises(ClientCertificateRefused) as refusal:
        drive(conn.co_send_request("PUT", "/", body=bytes(100_000)))
    assert is_refusal(refusal.value, alert)
    assert refusal.value.request_sent == "no"
    assert server.connections == 1
    # After that it connects again if it is asked to, and is told again.
    with pytest.raises(ClientCertificateRefused) as refusal:
        drive(conn.co_send_request("PUT", "/", body=bytes(100_000)))
        drive(conn.co_read_response())
    assert server.connections == 2


def test_alert_that_arrives_while_a_response_is_awaited(drive, reach, demanding, client):
    context, alert = client
    handler = Reluctant(demanding)
    _, conn = reach(handler, context)
    drive(conn.co_send_request("GET", "/"))
    handler.look.set()

    with pytest.raises(ClientCertificateRefused) as refusal:
        drive(conn.co_read_response())
    assert is_refusal(refusal.value, alert)
    assert refusal.value.request_sent == "maybe"
    with pytest.raises(ConnectionClosed, match=alert) as broken:
        drive(conn.co_read_response())
    assert not broken.value.retryable
    assert is_refusal(conn.close_reason, alert)


def test_alert_that_arrives_while_a_body_is_sent(drive, reach, demanding, client):
    """The system cannot take all of the body, so that sending it has to wait."""
    context, alert = client
    handler = Reluctant(demanding)
    _, conn = reach(handler, context)

    def co_upload():
        yield from conn.co_send_request("PUT", "/", body=BodyFollowing(1 << 30))
        piece = bytes(1 << 20)
        while True:
            writing = conn.co_write(piece)
            for need in writing:
                handler.look.set()
                yield need

    with pytest.raises(ClientCertificateRefused) as refusal:
        drive(co_upload())
    assert is_refusal(refusal.value, alert)
    with pytest.raises(ConnectionClosed, match=alert) as again:
        drive(conn.co_read_response())
    assert not again.value.retryable


def test_alert_in_front_of_a_reset_that_is_here_before_a_body_is_written(
    drive, reach, demanding, client
):
    context, alert = client
    handler = Reluctant(demanding)
    _, conn = reach(handler, context)
    drive(conn.co_send_request("PUT", "/", body=BodyFollowing(10 << 20)))
    drive(conn.co_write(bytes(100_000)))
    handler.look.set()
    arrives(conn)

    with pytest.raises(ClientCertificateRefused) as refusal:
        for _ in range(100):
            drive(conn.co_write(bytes(100_000)))
    assert is_refusal(refusal.value, alert)


def test_alert_is_told_to_both_threads(reach, demanding, client):
    context, alert = client
    handler = Reluctant(demanding)
    _, conn = reach(handler, context)
    failures = []

    def attempt(operation, *arguments):
        try:
            while True:
                operation(*arguments)
        except DugongError as exc:
            failures.append(exc)

    conn.send_request("PUT", "/", body=BodyFollowing(1 << 30))
    with in_background(attempt, conn.read_response):
        with in_background(attempt, conn.write, bytes(1 << 20)):
            wait_until(lambda: conn._session.shared.sender_waits, PATIENCE)
            handler.look.set()
    assert len(failures) == 2
    for failure in failures:
        assert isinstance(failure, ConnectionClosed)
        assert not failure.retryable
        assert alert in str(failure)


def test_pipeline_does_not_repeat_what_is_refused(drive, reach, demanding, client):
    context, alert = client
    server, conn = reach(Reluctant(demanding, impatient=True), context)
    pipeline = Pipeline(conn, [Request("GET", f"/{number}") for number in range(5)])

    with pytest.raises(ClientCertificateRefused) as refusal:
        drive(pipeline.co_next())
    assert is_refusal(refusal.value, alert)
    assert server.connections == 1


def test_is_open_says_why_it_is_not(reach, demanding, client):
    context, alert = client
    _, conn = reach(Reluctant(demanding, impatient=True), context)
    conn.connect()
    arrives(conn)

    wait_until(lambda: not conn.is_open(), PATIENCE)
    assert is_refusal(conn.close_reason, alert)


def test_stream_without_http_is_told_as_well(drive, demanding, client):
    context, alert = client
    handler = Reluctant(demanding)
    with ScriptedServer(handler) as server:
        sock = socket.create_connection(("127.0.0.1", server.port))
        sock.setblocking(False)
        with NetworkStream(TCPStream(sock), timeout=PATIENCE) as stream:
            drive(stream.co_start_tls(context, "localhost"))
            drive(stream.co_write(bytes(100_000)))
            handler.look.set()
            hangs_up(sock)
            for _ in range(2):
                with pytest.raises(ConnectionClosed, match=alert) as refusal:
                    drive(stream.co_write(b"more"))
                assert not refusal.value.retryable
            for _ in range(2):
                with pytest.raises(ConnectionClosed, match=alert) as refusal:
                    drive(stream.co_read(10))
                assert not refusal.value.retryable


# ---- the streams: the sender fails first


def start_tls(server, context):
    sock = socket.create_connection(("127.0.0.1", server.port))
    sock.setblocking(False)
    return run(co_start_tls(sock, context, "localhost", PATIENCE))


def receive(stream):
    while (data := stream.recv(100_000)) is None:
        assert stream.wanted_by_recv(None).poll(PATIENCE)
    return data


def test_sender_finds_the_alert_in_front_of_the_reset(demanding, client):
    """Whoever reads finds it as well, and never the end of the stream."""
    context, alert = client
    handler = Reluctant(demanding)
    with ScriptedServer(handler) as server:
        stream = start_tls(server, context)
        assert stream.send([bytes(10_000)])
        handler.look.set()
        hangs_up(stream.sock)
        for _ in range(3):
            with pytest.raises(ClientCertificateRefused) as refusal:
                stream.send([b"more"])
            assert is_refusal(refusal.value, alert)
            with pytest.raises(ClientCertificateRefused) as refusal:
                stream.recv_into(memoryview(bytearray(10)))
            assert is_refusal(refusal.value, alert)
            assert not stream.recv_would_block()
        stream.close()


@pytest.mark.parametrize("notify", [True, False])
def test_what_the_sender_finds_instead_is_kept_for_the_reader(certificate, trusting, notify):
    """Such as the response of a server that does not want the body."""
    go_on = threading.Event()
    response = bytes(range(256)) * 100

    def handler(sock):
        # Else it would be held back until the tickets are acknowledged, and lost with the reset.
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        assert go_on.wait(PATIENCE)
        sock.sendall(response)
        if notify:
            with pytest.raises(ssl.SSLError, match="application data"):
                sock.unwrap()

    with ScriptedServer(handler, certificate.server_context()) as server:
        stream = start_tls(server, trusting)
        for _ in range(3):
            assert stream.send([bytes(10_000)])
        go_on.set()
        hangs_up(stream.sock)
        for _ in range(2):
            with pytest.raises(ConnectionClosed) as failure:
                stream.send([b"more"])
            assert failure.value.retryable
        assert stream.buffered
        assert not stream.recv_would_block()
        received = bytearray(stream.recv(10))
        buffer = bytearray(100_000)
        while len(received) < len(response):
            received += buffer[: stream.recv_into(memoryview(buffer))]
        assert received == response
        if not notify:
            for _ in range(2):
                with pytest.raises(ConnectionClosed, match="cut off|lost"):
                    receive(stream)
        stream.close()


def test_sender_that_this_side_has_stopped_takes_nothing_from_the_reader(certificate, trusting):
    """Nothing would wake the reader then."""
    go_on = threading.Event()

    def handler(sock):
        sock.sendall(b"response")
        assert go_on.wait(PATIENCE)

    with ScriptedServer(handler, certificate.server_context()) as server:
        stream = start_tls(server, trusting)
        assert stream.wanted_by_recv(None).poll(PATIENCE)
        stream.shut_down_writing()
        with pytest.raises(ConnectionClosed):
            stream.send([b"more"])
        assert not stream.buffered
        assert receive(stream) == b"response"
        go_on.set()
        stream.close()


class Server(ScriptedStream):
    """A server in memory that refuses the certificate when it is told to, and takes no more then.

    Attributes:
        gone: True to have it take no more.

    """

    def __init__(self, context):
        super().__init__()
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.engine = context.wrap_bio(self._incoming, self._outgoing, server_side=True)
        self.gone = False
        self._flight = False

    def send(self, parts):
        if self.gone:
            raise ConnectionClosed("connection lost: broken pipe", request_sent="maybe")
        data = b"".join(parts)
        self._incoming.write(data)
        if not self._flight:
            self._flight = True
            self.handshake()
        return len(data)

    def handshake(self):
        try:
            self.engine.do_handshake()
        except ssl.SSLError:
            pass
        self.say()

    def say(self, data=b""):
        if data:
            self.engine.write(data)
        if said := self._outgoing.read():
            self.incoming.append(said)

    def is_idle(self):
        return not self.incoming


def shake(peer, context):
    stream = TLSOverStream(peer, context, "localhost")
    while stream.handshake() is None:
        pass
    return stream


def test_sender_finds_the_alert_in_memory(demanding, client):
    context, alert = client
    peer = Server(demanding)
    stream = shake(peer, context)
    assert stream.send([b"first"]) == 5
    peer.handshake()
    peer.gone = True

    for call in (lambda: stream.send([b"more"]), lambda: stream.recv(10), stream.end_sending) * 2:
        with pytest.raises(ClientCertificateRefused) as refusal:
            call()
        assert is_refusal(refusal.value, alert)


def test_ending_finds_the_alert_in_memory(demanding, client):
    context, alert = client
    peer = Server(demanding)
    stream = shake(peer, context)
    peer.handshake()
    peer.gone = True

    for call in (stream.end_sending, lambda: stream.recv(10)):
        with pytest.raises(ClientCertificateRefused) as refusal:
            call()
        assert is_refusal(refusal.value, alert)


def test_what_the_sender_finds_in_memory_is_kept_for_the_reader(certificate, trusting):
    peer = Server(certificate.server_context())
    stream = shake(peer, trusting)
    peer.handshake()
    peer.say(b"response")
    peer.gone = True

    for _ in range(2):
        with pytest.raises(ConnectionClosed, match="broken pipe") as failure:
            stream.send([b"more"])
        assert failure.value.retryable
    assert stream.buffered
    assert (stream.recv(4), stream.recv(10)) == (b"resp", b"onse")
    assert stream.recv(10) is None


# ---- other alerts

# RFC 8446 section 6; then RFC 5246 section 7.2 and RFC 6066 section 9. What is about the
# certificate of the client, what rejects the handshake as it is offered, and what may be about
# one connection.
CERTIFICATE = {
    "bad_certificate": 42, "unsupported_certificate": 43, "certificate_revoked": 44,
    "certificate_expired": 45, "certificate_unknown": 46, "unknown_ca": 48, "access_denied": 49,
    "certificate_required": 116,
}  # fmt: skip
REJECTED = {
    "handshake_failure": 40, "illegal_parameter": 47, "protocol_version": 70,
    "insufficient_security": 71, "inappropriate_fallback": 86, "missing_extension": 109,
    "unsupported_extension": 110, "unrecognized_name": 112, "bad_certificate_status_response": 113,
    "no_application_protocol": 120,
    "no_certificate": 41, "export_restriction": 60, "bad_certificate_hash_value": 114,
}  # fmt: skip
PASSING = {
    "unexpected_message": 10, "bad_record_mac": 20, "record_overflow": 22, "decode_error": 50,
    "decrypt_error": 51, "internal_error": 80, "user_canceled": 90, "unknown_psk_identity": 115,
    "decryption_failed": 21, "decompression_failure": 30, "no_renegotiation": 100,
    "certificate_unobtainable": 111,
}  # fmt: skip
ALERTS = {**CERTIFICATE, **REJECTED, **PASSING}
UNKNOWN = {"unassigned": 200}
FATAL = sorted(number for number in map(int, ssl.AlertDescription) if number not in {0, 90, 100})


def check_alert(failure, name):
    refused = type(failure) is ClientCertificateRefused
    assert refused is (name in CERTIFICATE)
    assert failure.retryable is (name not in {**CERTIFICATE, **REJECTED})
    assert is_temp_network_error(failure) is failure.retryable
    assert failure.phase == "tls"
    if name in ALERTS:  # the message has it as OpenSSL writes it
        assert name.replace("canceled", "cancelled") in str(failure).lower()


def test_each_alert_has_one_meaning():
    kinds = handshake.REFUSALS, handshake.DISAGREEMENTS, handshake.ACCIDENTS
    assert kinds == (set(CERTIFICATE), set(REJECTED), set(PASSING))
    assert len(ALERTS) == sum(map(len, kinds))
    known = {
        alert.name.removeprefix("ALERT_DESCRIPTION_").lower() for alert in ssl.AlertDescription
    }
    assert {name.replace("cancelled", "canceled") for name in known} - {"close_notify"} <= {*ALERTS}


def in_plain_text(number):
    """Return the fatal alert as a record, which is not encrypted yet."""
    return bytes([21, 3, 3, 0, 2, 2, number])


@pytest.mark.parametrize("name", [*ALERTS, *UNKNOWN])
def test_alert_instead_of_a_handshake_over_a_socket(trusting, name):
    def handler(sock):
        read_record(sock)
        sock.sendall(in_plain_text({**ALERTS, **UNKNOWN}[name]))

    with ScriptedServer(handler) as server, pytest.raises(HandshakeFailed) as failure:
        start_tls(server, trusting)
    check_alert(failure.value, name)


@pytest.mark.parametrize("name", [*ALERTS, *UNKNOWN])
def test_alert_instead_of_a_handshake_over_a_stream(trusting, name):
    peer = ScriptedStream([in_plain_text({**ALERTS, **UNKNOWN}[name])])
    with pytest.raises(HandshakeFailed) as failure:
        next(co_start_tls_over(peer, trusting, "localhost", PATIENCE))
    check_alert(failure.value, name)
    assert peer.closed


@pytest.mark.parametrize("number", FATAL)
@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_alert_in_the_handshake(certificate, trusting, number, version):
    context = certificate.server_context()
    context.maximum_version = version
    context.sni_callback = lambda *_: ssl.AlertDescription(number)
    with ScriptedServer(lambda _: None, context) as server:
        with pytest.raises(HandshakeFailed) as failure:
            start_tls(server, trusting)
    check_alert(failure.value, next(name for name in ALERTS if ALERTS[name] == number))


@pytest.mark.parametrize("name", ALERTS)
def test_alert_after_the_handshake_means_the_same(name):
    """Told as `ssl` does, which has a name for it or none."""
    text = f"tlsv1 alert {name.replace('canceled', 'cancelled').replace('_', ' ')}"
    unnamed = ssl.SSLError(1, f"[SSL] {text} (_ssl.c:1006)")
    named = ssl.SSLError(1, f"[SSL: {text.upper().replace(' ', '_')}] {text} (_ssl.c:1006)")
    named.reason = text.upper().replace(" ", "_")
    for exc in (unnamed, named):
        failure = handshake.cut_off_or_lost(exc)
        assert isinstance(failure, ClientCertificateRefused) is (name in CERTIFICATE)
        assert failure.retryable is (name in PASSING)


@pytest.mark.parametrize("reason", sorted(handshake.NOT_AGREED))
def test_what_this_side_does_not_agree_to_is_the_same_the_next_time(reason):
    exc = ssl.SSLError(1, "")
    exc.reason = reason
    assert not handshake.failed(exc).retryable


def test_version_that_this_side_does_not_speak_is_the_same_the_next_time(certificate, ca_file):
    context = certificate.server_context()
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    newer = tls_context(ca=ca_file, min_version="TLSv1.3")
    with ScriptedServer(lambda _: None, context) as server:
        with pytest.raises(HandshakeFailed, match="PROTOCOL_VERSION|UNSUPPORTED_PROTOCOL") as no:
            start_tls(server, newer)
    assert not no.value.retryable


def test_protocol_that_is_not_spoken_is_the_same_the_next_time(certificate, ca_file):
    context = certificate.server_context()
    context.set_alpn_protocols(["h2"])
    offering = tls_context(ca=ca_file, alpn=["h2"])
    with ScriptedServer(lambda _: None, context) as server:
        with pytest.raises(HandshakeFailed, match="the peer chose the protocol h2") as failure:
            start_tls(server, offering)
    assert not failure.value.retryable


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_handshake_that_ends_because_of_the_certificate(demanding, client, version):
    """With TLS 1.2 it does, where no certificate is a handshake_failure."""
    context, alert = client
    context.maximum_version = version
    with ScriptedServer(Reluctant(demanding, impatient=True)) as server:
        conn = HTTPConnection("localhost", server.port, context, timeout=PATIENCE)
        with conn, pytest.raises(HandshakeFailed) as failure:
            conn.send_request("GET", "/")
            conn.read_response()
    assert not failure.value.retryable
    if (version, alert) == (ssl.TLSVersion.TLSv1_2, MISSING):
        alert = "SSLV3_ALERT_HANDSHAKE_FAILURE"
    assert alert in str(failure.value)


def test_other_alert_after_the_handshake_may_be_about_this_connection(
    drive, reach, certificate, trusting
):
    """Here the bytes are damaged on their way."""

    def handler(sock):
        incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        server = certificate.server_context().wrap_bio(incoming, outgoing, server_side=True)
        while True:
            try:
                server.do_handshake()
                break
            except ssl.SSLWantReadError:
                sock.sendall(outgoing.read())
                incoming.write(read_record(sock))
        sock.sendall(outgoing.read())
        record = bytearray(read_record(sock))
        record[-1] ^= 1
        incoming.write(record)
        with pytest.raises(ssl.SSLError, match="(?i)bad.record.mac"):
            server.read(10)
        sock.sendall(outgoing.read())
        sock.recv(1)

    _, conn = reach(handler, trusting)
    drive(conn.co_send_request("GET", "/"))
    with pytest.raises(ConnectionClosed, match="SSLV3_ALERT_BAD_RECORD_MAC") as failure:
        drive(conn.co_read_response())
    assert type(failure.value) is ConnectionClosed
    assert failure.value.retryable
    assert failure.value.request_sent == "maybe"
    assert failure.value.__cause__.reason == "SSLV3_ALERT_BAD_RECORD_MAC"


@pytest.mark.parametrize("version", ["1.2", "1.3"])
def test_openssl_refuses(certificate, ca_file, client, drive, version):
    context, alert = client
    options = ["-Verify", "1", "-verify_return_error", "-CAfile", ca_file]
    with s_servers(certificate) as start:
        server = start(version, *options)
        conn = HTTPConnection("localhost", server.port, context, timeout=PATIENCE)
        with conn, pytest.raises(HandshakeFailed) as failure:
            drive(conn.co_send_request("PUT", "/", body=digits(100_000)))
            drive(conn.co_read_response())
    assert not failure.value.retryable
    if (version, alert) == ("1.2", MISSING):
        alert = "SSLV3_ALERT_HANDSHAKE_FAILURE"
    assert alert in str(failure.value)
    assert isinstance(failure.value, ClientCertificateRefused) is ("HANDSHAKE" not in alert)


def test_streams_are_what_they_are_meant_to_be(reach, demanding, client):
    """The fixture really has both ways."""
    _, conn = reach(Reluctant(demanding, impatient=True), client[0])
    conn.connect()

    kind = TLSOverStream if conn.proxy is not None else TLSStream
    assert type(conn._session.shared.stream) is kind
