"""TLS streams: under a lock, both halves at once, and what an idle connection may receive."""

import _ssl
import ctypes
import socket
import ssl
import struct
import threading
import time
from contextlib import suppress

import pytest
from kit.support import ScriptedServer, open_descriptors, read_exactly, wait_until

from dugong_like import (
    POLLIN,
    POLLOUT,
    ConnectionClosed,
    HandshakeFailed,
    InvalidRequest,
    PollNeeded,
    run,
)
from dugong_like.transport.tls import handshake as secured
from dugong_like.transport.tls import over_socket as tls
from dugong_like.transport.tls.over_socket import TLSStream, co_start_tls

CORKED = pytest.mark.skipif(not hasattr(socket, "TCP_CORK"), reason="sends in several packets")


def connect(server, context, name="localhost"):
    sock = socket.create_connection(("127.0.0.1", server.port))
    sock.setblocking(False)
    return run(co_start_tls(sock, context, name, 5))


@pytest.fixture
def streams(certificate, trusting):
    """A function: connect to a scripted TLS server."""
    open_streams = []
    servers = []

    def start(handler, maximum=None):
        context = certificate.server_context()
        if maximum is not None:
            context.maximum_version = maximum
        server = ScriptedServer(handler, context)
        server.__enter__()
        servers.append(server)
        open_streams.append(connect(server, trusting))
        return open_streams[-1]

    yield start
    for stream in open_streams:
        stream.close()
    for server in servers:
        server.__exit__(None, None, None)


def receive(stream, count):
    data = b""
    while len(data) < count:
        piece = stream.recv(count - len(data))
        if piece is None:
            assert stream.wanted_by_recv(None).poll(30)
        else:
            assert piece
            data += piece
    return data


def send(stream, *parts):
    parts = [memoryview(part) for part in parts]
    while parts:
        count = stream.send(parts)
        if count is None:
            assert stream.wanted_by_send(None).poll(30)
            continue
        while parts and count >= len(parts[0]):
            count -= len(parts.pop(0))
        if count:
            parts[0] = parts[0][count:]


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_bytes_go_both_ways_in_any_sizes(streams, version):
    def echo(sock):
        sock.sendall(read_exactly(sock, 200_011))

    stream = streams(echo, version)
    data = bytes(range(251)) * 797
    send(stream, data[:5], data[5:10], b"", data[10:100_000])
    send(stream, data[100_000:200_011])

    assert receive(stream, 200_011) == data[:200_011]
    assert stream.tls.cipher()[1] == version.name.replace("TLSv1_", "TLSv1.")


def test_records_are_decrypted_whole_and_the_rest_is_buffered(streams):
    stream = streams(lambda sock: (sock.sendall(b"x" * 1000), sock.recv(1)))

    assert receive(stream, 1) == b"x"
    assert stream.buffered
    assert not stream.is_idle()


def test_session_tickets_are_nothing(streams):
    stream = streams(lambda sock: sock.recv(1), ssl.TLSVersion.TLSv1_3)

    assert stream.wanted_by_recv(None).poll(30)  # tickets, after the handshake
    assert stream.is_idle()
    assert stream.is_idle()


@pytest.mark.parametrize("notify", [True, False])
def test_end_of_the_stream_is_told_from_its_being_cut_off(streams, notify):
    def end(sock):
        if notify:
            sock.unwrap()
        else:
            socket.socket.shutdown(sock, socket.SHUT_RDWR)

    stream = streams(end)
    if notify:
        while (piece := stream.recv(10)) is None:
            assert stream.wanted_by_recv(None).poll(30)
        assert piece == b""
    else:
        with pytest.raises(ConnectionClosed, match="cut off without close_notify"):
            receive(stream, 1)
        assert not stream.is_idle()


@pytest.mark.parametrize("notify", [True, False])
def test_end_of_the_stream_ends_idleness(streams, notify):
    end = (lambda sock: sock.unwrap()) if notify else (lambda sock: None)
    stream = streams(end)

    wait_until(lambda: not stream.is_idle())


def test_garbage_instead_of_a_record_is_a_lost_connection(streams):
    def garbage(sock):
        socket.socket.send(sock, b"\x17\x03\x03\x00\x20" + b"x" * 32)
        sock.recv(1)

    stream = streams(garbage)
    with pytest.raises(ConnectionClosed, match="connection lost"):
        receive(stream, 1)


def test_two_threads_at_full_speed(streams):
    size = 30_000_000

    def answer_while_reading(sock):
        left = size
        while left:
            left -= len(sock.recv(65536))
            if left % 3 == 0:
                sock.sendall(b"y")
        sock.sendall(b"z")

    stream = streams(answer_while_reading)
    seen = bytearray()

    def read():
        while not seen.endswith(b"z"):
            piece = stream.recv(65536)
            if piece is None:
                assert stream.wanted_by_recv(None).poll(30)
            else:
                assert piece
                seen.extend(piece)

    reader = threading.Thread(target=read)
    reader.start()
    block = b"x" * 100_000
    for _ in range(size // len(block)):
        send(stream, block)
    reader.join()
    assert len(seen) > 10
    assert set(seen) == set(b"yz")


def test_crossed_wants_are_waited_for():
    """A TLS read may have to write, and the other way round."""

    class Crossed:
        def recv(self, size):
            raise ssl.SSLWantWriteError

        def write(self, data):
            raise ssl.SSLWantReadError

    left, right = socket.socketpair()
    with left, right:
        crossed = Crossed()
        crossed.fileno = left.fileno
        crossed.family, crossed.type, crossed.proto = left.family, left.type, left.proto
        stream = TLSStream(crossed)
        assert stream.wanted_by_recv(None).deadline is None
        assert stream.wanted_by_send(7.0).deadline == 7.0
        assert stream.recv(1) is None
        assert stream.send([b"x"]) is None
        # The other half may do what is waited for here, and then nothing would ever come.
        assert stream.wanted_by_recv(None) == (left.fileno(), POLLOUT)
        assert stream.wanted_by_recv(None).deadline < time.monotonic() + 0.1
        assert stream.wanted_by_send(None).mask == POLLIN
        assert stream.wanted_by_send(None).deadline < time.monotonic() + 0.1
        assert stream.wanted_by_send(7.0).deadline == 7.0
        assert stream.wanted_by_send(None, watch=True).mask == POLLIN
        crossed.close = lambda: None
        stream.close()


def test_notify_close_never_blocks_and_never_fails(streams):
    stream = streams(lambda sock: sock.recv(1))
    stream.notify_close()
    stream.notify_close()
    stream.close()
    stream.notify_close()


@pytest.mark.parametrize("name", ["", ".", ".example", "a..example", "x" * 64])
def test_bad_server_name_closes_the_socket(trusting, name):
    before = open_descriptors()
    left, right = socket.socketpair()
    with right, pytest.raises(InvalidRequest, match="not a host name for TLS"):
        run(co_start_tls(left, trusting, name, 5))
    assert left.fileno() == -1
    assert open_descriptors() <= before


@pytest.mark.reliability(68)
@pytest.mark.parametrize("data", [b"", b"HTTP/1.1 503 Busy\r\n\r\n"])
@pytest.mark.parametrize("reset", [True, False], ids=["RST", "FIN"])
def test_server_that_goes_away_before_the_handshake_begins(trusting, data, reset):
    before = open_descriptors()
    with socket.create_server(("127.0.0.1", 0)) as listener:
        sock = socket.create_connection(listener.getsockname())
        peer, _ = listener.accept()
        peer.sendall(data)
        if reset:
            peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        peer.close()
    assert PollNeeded(sock.fileno(), POLLIN).poll(30)
    sock.setblocking(False)
    with pytest.raises(HandshakeFailed, match="TLS handshake failed") as failure:
        run(co_start_tls(sock, trusting, "localhost", 5))
    assert open_descriptors() <= before  # although the traceback is still there
    assert failure.value.__cause__ is not None


def test_stream_that_was_cut_off_is_seen_in_each_version_of_python():
    plain = ssl.SSLError(1, "[SSL: UNEXPECTED_EOF_WHILE_READING]")
    plain.reason = "UNEXPECTED_EOF_WHILE_READING"
    assert "without close_notify" in str(secured.cut_off_or_lost(plain))


def test_small_parts_share_a_record():
    assert tls._one_record([b"a" * 10, b"b" * 20]) == b"a" * 10 + b"b" * 20
    joined = tls._one_record([b"a" * 10, b"b" * 100_000])
    assert joined == b"a" * 10 + b"b" * (tls.RECORD - 10)


def test_what_was_sent_of_much_data_is_known(certificate, trusting):
    """OpenSSL says how much it has sent only at the end of what it was given."""
    done = threading.Event()
    with ScriptedServer(lambda sock: done.wait(20), certificate.server_context()) as server:
        stream = connect(server, trusting, "localhost")
        data = bytes(100_000_000)  # more than fits in the buffers of the system
        sent = 0
        while (count := stream.send([memoryview(data)[sent:]])) is not None:
            assert 0 < count <= tls.MOST_RECORDS
            sent += count
        assert sent > 0
        stream.close()
        done.set()


# ---- names


@pytest.mark.parametrize("name", ["::1%lo", "::1"])
@pytest.mark.reliability(65)
def test_zone_of_an_address_is_no_part_of_the_name_in_the_certificate(certificate, trusting, name):
    with ScriptedServer(lambda sock: sock.recv(1), certificate.server_context()) as server:
        stream = connect(server, trusting, name)
        stream.close()
    assert secured.certified_name("fe80::1%eth0") == "fe80::1"
    assert secured.certified_name("100%.example.") == "100%.example"


# ---- ALPN


def offering(ca, *protocols):
    context = ssl.create_default_context()
    ca.configure_trust(context)
    context.set_alpn_protocols(protocols)
    return context


@pytest.mark.reliability(67)
@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
@pytest.mark.parametrize("chosen", ["http/1.1", "http/1.0", None, "h2", "h3"])
def test_server_that_chooses_another_protocol_is_refused(certificate, ca, chosen, version):
    server_context = certificate.server_context()
    server_context.maximum_version = version
    server_context.set_alpn_protocols([chosen or "nothing that is offered"])
    before = open_descriptors()
    with ScriptedServer(lambda sock: sock.recv(1), server_context) as server:
        client = offering(ca, "h3", "h2", "http/1.1", "http/1.0")
        if chosen in {"h2", "h3"}:
            with pytest.raises(HandshakeFailed, match=f"the protocol {chosen}, not http/1.1"):
                connect(server, client)
        else:
            connect(server, client).close()
    assert open_descriptors() <= before


CHOOSE = ctypes.CFUNCTYPE(
    ctypes.c_int, ctypes.c_void_p, ctypes.POINTER(ctypes.c_void_p), ctypes.POINTER(ctypes.c_ubyte),
    ctypes.c_void_p, ctypes.c_uint, ctypes.c_void_p,
)  # fmt: skip


@pytest.mark.reliability(67)
def test_server_that_chooses_a_protocol_that_was_not_offered_is_refused(certificate, ca):
    """Newer versions of OpenSSL see it themselves."""
    context = certificate.server_context()
    name = ctypes.create_string_buffer(b"h2")

    def choose(ssl_, out, length, offered, size, argument):
        out[0] = ctypes.addressof(name)
        length[0] = 2
        return 0

    choose = CHOOSE(choose)
    try:
        set_callback = ctypes.CDLL(_ssl.__file__).SSL_CTX_set_alpn_select_cb
    except AttributeError:
        pytest.skip("this Python hides the functions of OpenSSL")
    # the pointer to the SSL_CTX is the first field of the object
    inner = ctypes.c_void_p.from_address(id(context) + object.__basicsize__)
    set_callback(inner, choose, None)
    with ScriptedServer(lambda sock: sock.recv(1), context) as server:
        with pytest.raises(HandshakeFailed, match="the protocol h2|BAD_EXTENSION"):
            connect(server, offering(ca, "http/1.1"))


def pieces_of_one_flight(stream, receive):
    """Return what each call of *receive* returns, from when all that the server says has come."""
    memory = memoryview(bytearray(65536))
    assert stream.wanted_by_recv(None).poll(30)
    sizes = []
    while (count := receive(memory)) is not None:
        sizes.append(count)
        if not count:
            break
    return sizes


def spoken(streams, said):
    """Return a stream on which all of *said* has arrived, each as a record, with their end."""
    said_all = threading.Event()

    def say(sock):
        read_exactly(sock, 1)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_CORK, 1)  # all of it in one packet
        for piece in said:
            sock.sendall(piece)
        with suppress(OSError):
            sock.settimeout(0)
            sock.unwrap()  # close_notify, and no FIN
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_CORK, 0)
        sock.settimeout(30)
        said_all.set()
        with suppress(OSError):
            sock.recv(1)

    stream = streams(say, ssl.TLSVersion.TLSv1_2)  # no tickets come in front
    send(stream, b"x")
    assert said_all.wait(30)
    return stream


@CORKED
def test_all_records_that_have_arrived_come_with_one_call(streams):
    one, all_ = (spoken(streams, [b"x" * 10] * 30) for _ in range(2))

    assert pieces_of_one_flight(one, one.recv_into) == [*[10] * 30, 0]
    assert pieces_of_one_flight(all_, all_.recv_all_into) == [300, 0]


@CORKED
def test_short_records_do_not_keep_the_lock_for_long(streams):
    stream = spoken(streams, [b"x"] * (tls.MOST_SHORT + 5))

    assert pieces_of_one_flight(stream, stream.recv_all_into) == [tls.MOST_SHORT, 5, 0]


@CORKED
@pytest.mark.parametrize("how", ["recv", "recv_into", "recv_all_into"])
def test_end_behind_a_full_record_is_not_waited_for(streams, how):
    """It has been received with the record, and nothing else may come."""
    stream = spoken(streams, [b"x" * tls.RECORD])
    memory = memoryview(bytearray(65536))
    take = {
        "recv": lambda: len(stream.recv(65536)),
        "recv_into": lambda: stream.recv_into(memory),
        "recv_all_into": lambda: stream.recv_all_into(memory),
    }[how]

    assert stream.wanted_by_recv(None).poll(30)
    assert take() == tls.RECORD
    assert stream.buffered
    assert not stream.recv_would_block()
    assert take() == 0
