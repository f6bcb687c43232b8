"""TLS inside TLS: cut off at every byte, at full speed, with handshakes in the middle."""

import hashlib
import itertools
import random
import socket
import ssl
import threading
import time
from contextlib import suppress

import pytest
from kit.cases import rest_slow
from kit.streams import ScriptedStream, connection, finish
from kit.support import ScriptedServer, answering, read_exactly, wait_until
from kit.tls_relay import relay
from kit.ways import on_asyncio

from dugong_like import (
    POLLIN,
    POLLOUT,
    BodyFollowing,
    CertificateInvalid,
    ConnectionClosed,
    ConnectionTimedOut,
    HandshakeFailed,
    InvalidRequest,
    run,
)
from dugong_like.transport.attempts import co_receive
from dugong_like.transport.tcp import TCPStream
from dugong_like.transport.tls.over_socket import TLSStream
from dugong_like.transport.tls.over_stream import (
    MOST,
    TLSOverStream,
)
from dugong_like.transport.tls.start import co_start_tls, co_start_tls_over

VERSIONS = [ssl.TLSVersion.TLSv1_3, ssl.TLSVersion.TLSv1_2]
BOTH_VERSIONS = pytest.mark.parametrize("version", VERSIONS, ids=["1.3", "1.2"])
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
pytestmark = pytest.mark.usefixtures("nothing_is_left_open")


@pytest.fixture(params=[run, on_asyncio])
def drive(request):
    return request.param


# ---- servers in memory: every byte can be seen, and the last one chosen


class Engine:
    """One layer of TLS on the side of the server.

    Attributes:
        plain: what the client has said.

    """

    def __init__(self, context):
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.tls = context.wrap_bio(self._incoming, self._outgoing, server_side=True)
        self._shaken = False
        self.plain = b""

    def feed(self, data):
        """Take what the client has sent, and return what there is to answer."""
        self._incoming.write(data)
        with suppress(ssl.SSLWantReadError):
            if not self._shaken:
                self.tls.do_handshake()
                self._shaken = True
            while True:
                self.plain += self.tls.read(65536)
        return self._outgoing.read()

    def say(self, data):
        """Return *data* in records."""
        while data:
            data = data[self.tls.write(data) :]
        return self._outgoing.read()

    def end(self):
        """Return a close_notify."""
        with suppress(ssl.SSLWantReadError):
            self.tls.unwrap()
        return self._outgoing.read()


class Peer(ScriptedStream):
    """A server that speaks TLS inside TLS and says "hello" as soon as it can, then goodbye.

    Attributes:
        inner_cut: how many bytes of the inner layer there are, before the outer one ends.
        outer_cut: how many bytes of the outer layer there are.
        inner_size, outer_size: how many there would have been.

    """

    def __init__(self, context, inner_cut=None, outer_cut=None, goodbye=True):
        super().__init__()
        self._outer, self._inner = Engine(context), Engine(context)
        self._said = self._over = False
        self._goodbye = goodbye
        self.inner_cut, self.outer_cut = inner_cut, outer_cut
        self.inner_size = self.outer_size = 0
        self._blocked = False

    def recv(self, size):
        """Block every other time, and give odd pieces."""
        self._blocked = not self._blocked
        if self._blocked:
            return None
        return super().recv(min(size, 97))

    def send(self, parts):
        self._blocked = not self._blocked
        if self._blocked:
            return None
        data = b"".join(parts)[:61]
        self._answer(self._outer.feed(data))
        client = self._outer.plain
        self._outer.plain = b""
        if client:
            inner = self._inner.feed(client)
            if self._inner._shaken and not self._said:
                self._said = True
                inner += self._inner.say(b"hello")
                if self._goodbye:
                    inner += self._inner.end()
            self._say_inner(inner)
        return len(data)

    def _say_inner(self, inner):
        room = len(inner) if self.inner_cut is None else max(self.inner_cut - self.inner_size, 0)
        self.inner_size += len(inner)
        if inner[:room]:
            self._answer(self._outer.say(inner[:room]))
        if room < len(inner) or (self.inner_cut is not None and self.inner_size == self.inner_cut):
            self._finish(self._outer.end())

    def _answer(self, outer):
        room = len(outer) if self.outer_cut is None else max(self.outer_cut - self.outer_size, 0)
        self.outer_size += len(outer)
        if outer[:room] and not self._over:
            self.incoming.append(outer[:room])
        if room < len(outer):
            self._finish(b"")

    def _finish(self, last):
        if not self._over:
            self.incoming += [last, b""] if last else [b""]
        self._over = True

    def recv_would_block(self):
        return not self.incoming


@pytest.fixture
def quiet_context(certificate):
    """A server's context without tickets, so that the handshake has no tail."""
    context = certificate.server_context()
    context.num_tickets = 0
    return context


def outcome(peer, context):
    """Connect to *peer* and read what there is: bytes, then what ended it."""
    stream = None
    heard = b""
    try:
        outer = TLSOverStream(peer, context, "localhost")
        outer = finish(co_shake(outer), 5000)
        stream = finish(co_start_tls(outer, context, "localhost", None), 5000)
        while True:
            piece = stream.recv(100)
            if piece == b"":
                return heard, "end"
            heard += piece or b""
            assert piece or peer.incoming or not peer._over
    except (HandshakeFailed, ConnectionClosed) as exc:
        return heard, type(exc).__name__
    finally:
        if stream is not None:
            stream.close()


def co_shake(stream):
    while stream.handshake() is None:
        yield stream.wanted_by_recv(None)
    return stream


@pytest.mark.parametrize("version", rest_slow(1, VERSIONS), ids=["1.3", "1.2"])
def test_cut_off_at_every_byte_of_either_layer(quiet_context, trusting, version):
    """It never looks like the end, nor like anything but what was said."""
    quiet_context.minimum_version = quiet_context.maximum_version = version
    whole = Peer(quiet_context)
    assert outcome(whole, trusting) == (b"hello", "end")
    for layer in ("inner", "outer"):
        size = getattr(whole, f"{layer}_size")
        handshake = size - 150 if layer == "inner" else size - 400
        # Signatures vary in size by a few bytes, and so does the place of everything.
        for cut in itertools.chain(range(12), range(12, handshake, 13), range(handshake, size)):
            peer = Peer(quiet_context, **{f"{layer}_cut": cut})
            heard, how = outcome(peer, trusting)
            actual = getattr(peer, f"{layer}_size")
            assert heard in {b"", b"hello"}
            if how == "end":
                assert heard == b"hello"
                assert cut > actual - (40 if layer == "outer" else 8)
            else:
                assert how in {"HandshakeFailed", "ConnectionClosed"}


def test_end_of_what_is_below_is_no_end(quiet_context, trusting):
    """The outer layer ends in order, the inner one does not."""
    peer = Peer(quiet_context, goodbye=False)
    outer = finish(co_shake(TLSOverStream(peer, trusting, "localhost")), 5000)
    inner = finish(co_start_tls(outer, trusting, "localhost", None), 5000)
    while (piece := inner.recv(10)) is None:
        pass
    assert piece == b"hello"
    peer._finish(peer._outer.end())
    for receive in (lambda: inner.recv(10), lambda: inner.recv_into(memoryview(bytearray(10)))):
        with pytest.raises(ConnectionClosed, match="without close_notify"):
            while receive() is None:
                pass
    assert inner.buffered
    assert not inner.is_idle()


# ---- over real sockets: what the outer layer carries is passed on


def co_dial(port, context, inside, timeout=30, name="localhost", layers=1):
    """Connect to *port*: TLS with *context*, and TLS with *inside* inside it."""
    sock = socket.create_connection(("127.0.0.1", port))
    sock.setblocking(False)
    stream = yield from co_start_tls(sock, context, "localhost", timeout)
    return (yield from co_start_tls(stream, inside, name, timeout))


@pytest.fixture
def nested(certificate):
    """A function that serves *handler* over TLS inside TLS and yields the port."""
    running = []

    def start(handler, version=None, context=None):
        context = context or certificate.server_context()
        if version is not None:
            context.minimum_version = context.maximum_version = version
        back = ScriptedServer(handler, context)
        front = ScriptedServer(relay(back.port), certificate.server_context())
        for server in (back, front):
            server.__enter__()
            running.append(server)
        return front.port

    yield start
    for server in reversed(running):
        server.__exit__(None, None, None)


@pytest.fixture
def through(monkeypatch):
    """A function that makes a connection whose streams come from an operation."""

    def through(co_dial, **options):
        conn = connection(monkeypatch, **options)
        monkeypatch.setattr(
            "dugong_like.transport.connect.open.co_open", lambda route, timeout: co_dial()
        )
        return conn

    return through


@pytest.mark.feature("A27", "C43")
def test_requests_and_responses(nested, trusting, drive, through):
    port = nested(answering(OK, OK))
    conn = through(lambda: co_dial(port, trusting, trusting), ssl_context=trusting)
    for _ in range(2):
        drive(conn.co_send_request("GET", "/"))
        assert drive(conn.co_read_response()).status == 200
        assert drive(conn.co_readall()) == b"ok"
    stream = conn._session.shared.stream
    assert isinstance(stream, TLSOverStream)
    assert isinstance(stream._inner, TLSStream)
    assert stream.fd == stream._inner.fd
    conn.close()


def test_three_layers(certificate, trusting, drive):
    with ScriptedServer(lambda sock: sock.sendall(b"deep"), certificate.server_context()) as last:
        with ScriptedServer(relay(last.port), certificate.server_context()) as middle:
            with ScriptedServer(relay(middle.port), certificate.server_context()) as first:

                def co_talk():
                    stream = yield from co_dial(first.port, trusting, trusting)
                    stream = yield from co_start_tls(stream, trusting, "localhost", 5)
                    while (heard := stream.recv(10)) is None:
                        yield stream.wanted_by_recv(None)
                    stream.notify_close()
                    stream.close()
                    return heard

                assert drive(co_talk()) == b"deep"


def test_cheap_way_over_sockets(certificate, trusting):
    with ScriptedServer(lambda sock: sock.recv(1), certificate.server_context()) as server:
        for wrap in (TCPStream, lambda sock: sock):
            sock = socket.create_connection(("127.0.0.1", server.port))
            sock.setblocking(False)
            stream = run(co_start_tls(wrap(sock), trusting, "localhost", 5))
            assert type(stream) is TLSStream
            stream.close()


@BOTH_VERSIONS
def test_two_threads_at_full_speed(nested, trusting, version):
    size = 30_000_000
    source = random.Random(1).randbytes(1_000_003)

    def handler(sock):
        """Send back what comes, on two threads: one SSLSocket would break, so in turns."""
        digest = hashlib.sha256()
        left = size
        while left:
            data = sock.recv(min(left, 65536))
            digest.update(data)
            left -= len(data)
            sock.sendall(data[: len(data) // 2])
        sock.sendall(b"!" + digest.digest())
        sock.recv(1)

    port = nested(handler, version)
    stream = run(co_dial(port, trusting, trusting))
    sent, received = hashlib.sha256(), bytearray()

    def write():
        left = size
        place = 0
        chance = random.Random(2)
        while left:
            step = min(chance.choice([1, 1000, 16384, 70_000, 300_000]), left, len(source) - place)
            parts = [memoryview(source)[place : place + step // 3]]
            parts += [memoryview(source)[place + step // 3 : place + step]]
            while any(map(len, parts)):
                count = stream.send(parts)
                if count is None:
                    assert stream.wanted_by_send(None).poll(30)
                    continue
                while parts and count >= len(parts[0]):
                    count -= len(parts.pop(0))
                if parts:
                    parts[0] = parts[0][count:]
            sent.update(source[place : place + step])
            left -= step
            place = (place + step) % len(source)

    writer = threading.Thread(target=write)
    writer.start()
    buffer = memoryview(bytearray(100_000))
    until = time.monotonic() + 100
    while b"!" + sent.digest() != received[-33:] or writer.is_alive():
        count = stream.recv_into(buffer)
        if count is None:
            stream.wanted_by_recv(None).poll(0.1)  # the writer may still have to add its last
            assert time.monotonic() < until
            continue
        assert count
        received += buffer[:count]
    writer.join()
    assert size // 3 < len(received) < size
    stream.notify_close()
    stream.close()


@pytest.mark.parametrize("length", [6_000_000, None], ids=["sized", "chunked"])
def test_upload_that_the_server_answers_in_the_middle(nested, trusting, drive, through, length):
    refusal = b"HTTP/1.1 413 No\r\nContent-Length: 2\r\nConnection: close\r\n\r\nno"

    def handler(sock):
        read_exactly(sock, 200_000)
        sock.sendall(refusal)
        with suppress(OSError):
            while sock.recv(65536):
                pass

    port = nested(handler)
    conn = through(lambda: co_dial(port, trusting, trusting), ssl_context=trusting)

    def co_upload():
        yield from conn.co_send_request("PUT", "/", body=BodyFollowing(length))
        for _ in range(6000):
            yield from conn.co_write(bytes(1000))

    try:
        drive(co_upload())
    except ConnectionClosed as exc:
        assert "413" in str(exc)
    assert drive(conn.co_read_response()).status == 413
    assert drive(conn.co_readall()) == b"no"
    conn.close()


# ---- handshakes that fail, and operations that are given up


def test_certificates_of_both_layers_are_checked(nested, trusting, other_certificate, drive):
    port = nested(answering(OK), context=other_certificate.server_context())
    with pytest.raises(CertificateInvalid, match="[Hh]ostname mismatch"):
        drive(co_dial(port, trusting, trusting))
    strangers = ssl.create_default_context()
    with pytest.raises(CertificateInvalid):
        drive(co_dial(port, trusting, strangers))


def test_fingerprint_and_protocol_are_checked(nested, certificate, ca):
    server = certificate.server_context()
    server.set_alpn_protocols(["h2"])
    port = nested(answering(OK), context=server)
    client = ssl.create_default_context()
    ca.configure_trust(client)
    wrong = (("sha256", bytes(32)),)

    def co_dial_pinned(fingerprints):
        outer = yield from co_dial_outer(port, client)
        return (yield from co_start_tls(outer, client, "localhost", 5, fingerprints=fingerprints))

    with pytest.raises(CertificateInvalid, match="fingerprint is sha256:"):
        run(co_dial_pinned(wrong))
    client.set_alpn_protocols(["h2"])
    with pytest.raises(HandshakeFailed, match="the protocol h2"):
        run(co_dial_pinned(()))


def co_dial_outer(port, context):
    sock = socket.create_connection(("127.0.0.1", port))
    sock.setblocking(False)
    return (yield from co_start_tls(sock, context, "localhost", 5))


@pytest.mark.parametrize("said", [b"HTTP/1.1 400 Bad Request\r\n\r\n", b""])
def test_server_inside_that_does_not_speak_tls(certificate, trusting, drive, said):
    with ScriptedServer(lambda sock: (sock.recv(1000), sock.sendall(said))) as back:
        with ScriptedServer(relay(back.port), certificate.server_context()) as front:
            with pytest.raises(HandshakeFailed):
                drive(co_dial(front.port, trusting, trusting))


def test_reset_below_is_a_failed_handshake(certificate, trusting):
    class Lost(ScriptedStream):
        def recv(self, size):
            raise ConnectionClosed("connection lost: reset")

    lost = Lost()
    with pytest.raises(HandshakeFailed, match="connection lost: reset"):
        run(co_start_tls(lost, trusting, "localhost", 5))
    assert lost.closed


def test_server_inside_that_says_nothing(certificate, trusting, drive):
    gone = threading.Event()
    with ScriptedServer(lambda sock: gone.wait(10)) as back:
        with ScriptedServer(relay(back.port), certificate.server_context()) as front:
            start = time.monotonic()
            with pytest.raises(ConnectionTimedOut):
                drive(co_dial(front.port, trusting, trusting, 0.3))
            assert 0.3 <= time.monotonic() - start < 20
            operation = co_dial(front.port, trusting, trusting)
            need = next(operation)
            while need.poll(0.5):
                need = next(operation)
            operation.close()  # given up in the handshake inside
            gone.set()


@pytest.mark.parametrize("name", ["", ".", "a..example"])
def test_bad_name_closes_what_is_below(trusting, name):
    below = ScriptedStream()
    with pytest.raises(InvalidRequest, match="not a host name for TLS"):
        run(co_start_tls(below, trusting, name, 5))
    assert below.closed


def test_no_name_where_names_are_checked(trusting):
    below = ScriptedStream()
    with pytest.raises(InvalidRequest, match="needs one: check_hostname"):
        run(co_start_tls(below, trusting, None, 5))
    assert below.closed


# ---- waiting, and the rest of a stream


def blocked(trusting, incoming=(), rooms=()):
    below = ScriptedStream(incoming, rooms)
    return below, TLSOverStream(below, trusting, "localhost")


def test_handshake_that_cannot_be_sent_waits_for_room(trusting):
    below, stream = blocked(trusting, rooms=[None, 100, None])
    assert stream.handshake() is None
    need = stream.wanted_by_recv(None)
    assert need.fd == below.fd
    assert need.mask == POLLIN | POLLOUT
    assert need.deadline is not None
    assert stream.handshake() is None
    assert len(below.sent) == 100
    assert stream.handshake() is None
    assert len(below.sent) > 200
    assert stream.wanted_by_recv(7.0) == (below.fd, POLLIN)
    assert stream.wanted_by_recv(7.0).deadline == 7.0
    assert stream.wanted_by_send(7.0, watch=True).mask == POLLIN | POLLOUT
    assert stream.waiting


def test_broken_tls_cannot_be_ended_in_order(certificate, trusting):
    def babble(tls):
        socket.socket.send(tls, b"this is no record of TLS")
        tls.recv(1)

    with ScriptedServer(babble, certificate.server_context()) as server:
        sock = socket.create_connection(("127.0.0.1", server.port))
        sock.setblocking(False)
        stream = run(co_start_tls_over(TCPStream(sock), trusting, "localhost", 10))
        with pytest.raises(ConnectionClosed, match="lost"):
            run(co_receive(stream, stream.recv, 10, 10))
        with pytest.raises(ConnectionClosed):
            stream.end_sending()
        stream.close()


def test_endings_go_down(trusting):
    calls = []

    class Below(ScriptedStream):
        def shut_down(self):
            calls.append("shut_down")

        def shut_down_writing(self):
            calls.append("shut_down_writing")

        def send_end_of_stream(self):
            calls.append("send_end_of_stream")

    below = Below()
    stream = TLSOverStream(below, trusting, "localhost")
    stream.shut_down_writing()
    stream.send_end_of_stream()
    stream.notify_close()
    stream.shut_down()
    stream.close()
    assert calls == ["shut_down_writing", "send_end_of_stream", "shut_down"]
    assert below.closed


def test_writer_that_is_lost_does_not_keep_the_reader_from_reading(quiet_context, trusting):
    peer = Peer(quiet_context)
    outer = finish(co_shake(TLSOverStream(peer, trusting, "localhost")), 5000)
    inner = finish(co_start_tls(outer, trusting, "localhost", None), 5000)

    def lost(parts):
        raise ConnectionClosed("connection lost: broken pipe")

    peer.send = lost
    with pytest.raises(ConnectionClosed, match="broken pipe"):
        inner.send([b"x" * 100])
    heard = b""
    while (piece := inner.recv(100)) != b"":
        heard += piece or b""
    assert heard == b"hello"
    inner.notify_close()


def test_data_are_sent_when_their_last_byte_is(nested, trusting):
    """After None the call is made again with the same parts, and not encrypted twice."""
    release = threading.Event()
    heard = hashlib.sha256()

    def handler(sock):
        release.wait(10)
        left = total[0]
        while left:
            data = sock.recv(min(65536, left))
            heard.update(data)
            left -= len(data)

    total = [0]
    stream = run(co_dial(nested(handler), trusting, trusting))
    data = random.Random(3).randbytes(50_000_000)
    view = memoryview(data)
    while (count := stream.send([view[total[0] :]])) is not None:
        assert 0 < count <= MOST
        total[0] += count
        if total[0] > 45_000_000:
            pytest.skip("this system takes everything")
    blocked_at = total[0]
    total[0] += min(MOST, len(data) - blocked_at)
    release.set()
    while (count := stream.send([view[blocked_at : total[0]]])) is None:
        assert stream.wanted_by_send(None).poll(10)
    assert count == total[0] - blocked_at
    wait_until(lambda: heard.digest() == hashlib.sha256(view[: total[0]]).digest(), 20)
    stream.close()


def test_session_is_resumed_inside(nested, trusting):
    from dugong_like.transport.tls.sessions import SessionPlace, TLSSessions

    store = TLSSessions()
    place = SessionPlace(store, "key")
    port = nested(lambda sock: sock.sendall(b"x") or sock.recv(1))
    reused = []
    for _ in range(3):

        def co_talk():
            outer = yield from co_dial_outer(port, trusting)
            stream = yield from co_start_tls(outer, trusting, "localhost", 5, place=place)
            while stream.recv(1) is None:
                yield stream.wanted_by_recv(None)
            return stream

        stream = run(co_talk())
        reused.append(stream.tls.session_reused)
        stream.send_end_of_stream()
        stream.close()
    assert reused == [False, True, True]


def test_all_records_that_have_arrived_come_with_one_call(quiet_context, trusting):
    engine = Engine(quiet_context)
    below = ScriptedStream()
    stream = TLSOverStream(below, trusting, "localhost")
    seen = 0
    while stream.handshake() is None:
        below.incoming.append(engine.feed(bytes(below.sent[seen:])))
        seen = len(below.sent)
    below.incoming.append(engine.feed(bytes(below.sent[seen:])))
    below.incoming[-1] += b"".join(map(engine.say, [b"x"] * 30))
    below.incoming.append(engine.say(b"y") + engine.end())
    memory = memoryview(bytearray(65536))

    assert stream.recv_all_into(memory) == 30
    assert stream.recv_all_into(memory) == 1
    assert stream.buffered
    assert stream.recv_all_into(memory) == 0
