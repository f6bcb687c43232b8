"""A stream outside HTTP: reading, writing, TLS, facts, and what an interruption leaves behind.

The first half is played by scripts, the second one by pairs of real sockets.
"""

import gc
import os
import select
import socket
import ssl
import threading
import time
import tracemalloc
import weakref
from contextlib import suppress

import pytest
from kit.streams import END, WOULD_BLOCK, ScriptedStream, finish
from kit.support import ScriptedServer, on_two_threads, open_descriptors, read_exactly, wait_until
from kit.tls_relay import relay

from dugong_like import (
    CertificateInvalid,
    ConnectionClosed,
    ConnectionTimedOut,
    HandshakeFailed,
    InvalidRequest,
    NetworkStream,
    StateError,
    both,
    run,
)
from dugong_like.polling.contract import POLLIN, POLLOUT
from dugong_like.polling.fairness import TURN
from dugong_like.polling.progress_deadline import LOOKS
from dugong_like.transport.tcp import TCPStream

WIRE = b"0123456789abcdef"


def co_read_all(stream, size=5):
    pieces = []
    while piece := (yield from stream.co_read(size)):
        assert len(piece) <= size
        pieces.append(piece)
    return b"".join(pieces)


# ---- by script


@pytest.mark.parametrize("cut", range(len(WIRE) + 1))
def test_what_was_received_before_comes_first(cut):
    script = ScriptedStream([WOULD_BLOCK, *([WIRE[cut:]] if WIRE[cut:] else []), END])
    assert finish(co_read_all(NetworkStream(script, WIRE[:cut]))) == WIRE


@pytest.mark.feature("C17")
@pytest.mark.parametrize("cut", range(len(WIRE) + 1))
def test_readinto_does_the_same(cut):
    script = ScriptedStream([*([WIRE[cut:]] if WIRE[cut:] else []), END])
    stream = NetworkStream(script, WIRE[:cut])
    got, target = b"", bytearray(5)
    while count := stream.readinto(target):
        got += target[:count]
    assert got == WIRE


def test_what_was_received_before_is_not_copied_for_each_part():
    large = bytes(8_000_000)
    stream = NetworkStream(ScriptedStream([END]), large)
    tracemalloc.start()
    try:
        assert finish(stream.co_read(1000)) == large[:1000]
        assert stream.readinto(bytearray(1000)) == 1000
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < len(large) / 2
    assert len(finish(co_read_all(stream, 100_000))) == len(large) - 2000


@pytest.mark.parametrize("piece", [1, 2, 7, 100])
def test_an_interrupted_read_loses_nothing(piece):
    """Interrupted at each wait, and read in turns with both calls."""
    incoming = []
    for at in range(0, len(WIRE), piece):
        incoming += [WOULD_BLOCK, WIRE[at : at + piece]]
    stream = NetworkStream(ScriptedStream([*incoming, END]), b"ahead")
    got, target = b"", bytearray(3)
    for turn in range(1000):
        op = stream.co_readinto(target) if turn % 2 else stream.co_read(3)
        try:
            next(op)
        except StopIteration as end:
            data = bytes(target[: end.value]) if turn % 2 else end.value
            if not data:
                break
            got += data
        op.close()
    assert got == b"ahead" + WIRE


def test_a_needless_resumption_is_harmless():
    script = ScriptedStream([WOULD_BLOCK] * 50 + [b"x"])
    assert finish(NetworkStream(script).co_read(5)) == b"x"


@pytest.mark.parametrize("room", [1, 2, 5, 16, 100])
def test_everything_is_written(room):
    script = ScriptedStream(rooms=[WOULD_BLOCK, room] * 20)
    finish(NetworkStream(script).co_write(bytearray(WIRE)))
    assert script.sent == WIRE


@pytest.mark.parametrize("waits", range(1, 5))
def test_an_interrupted_write_breaks_the_stream(waits):
    script = ScriptedStream(rooms=[WOULD_BLOCK, 4] * 20)
    stream = NetworkStream(script, b"ahead")
    op = stream.co_write(WIRE)
    for _ in range(waits):
        next(op)
    op.close()

    for use in (lambda: stream.read(5), lambda: stream.readinto(bytearray(5)),
                lambda: stream.write(b"x"), lambda: stream.start_tls(None, "x")):  # fmt: skip
        with pytest.raises(ConnectionClosed, match="broken: writing was given up"):
            use()
    stream.close()
    assert script.closed


def test_a_write_that_never_began_breaks_nothing():
    stream = NetworkStream(ScriptedStream([b"x"]))
    stream.co_write(WIRE).close()
    stream.write(b"")
    assert stream.read(5) == b"x"


def test_a_write_that_times_out_breaks_the_stream_and_a_read_does_not():
    script = ScriptedStream([WOULD_BLOCK] * 10 + [b"x"], rooms=[WOULD_BLOCK] * 1000)
    stream = NetworkStream(script, timeout=0.01)
    with pytest.raises(ConnectionTimedOut):
        op = stream.co_read(5)
        while True:
            next(op)
            time.sleep(0.01)
    stream.timeout = 100
    assert finish(stream.co_read(5)) == b"x"
    stream.timeout = 0.01
    with pytest.raises(ConnectionTimedOut):
        op = stream.co_write(WIRE)
        while True:
            next(op)
            time.sleep(0.01)
    with pytest.raises(ConnectionClosed, match="broken"):
        stream.read(5)


def test_time_outs_are_told_to_the_driver():
    stream = NetworkStream(ScriptedStream(rooms=[WOULD_BLOCK]), timeout=100)
    for op, mask, looks in [
        (stream.co_read(1), POLLIN, 1),
        (stream.co_write(b"x"), POLLOUT, LOOKS),
    ]:
        begun = time.monotonic()
        need = next(op)
        assert need.mask == mask
        assert begun + 100 / looks <= need.deadline <= time.monotonic() + 100 / looks
    assert next(NetworkStream(ScriptedStream()).co_read(1)).deadline is None


@pytest.mark.feature("C17")
def test_the_end_is_said_while_there_is_more_to_read():
    script = ScriptedStream([b"x", b"y", END])
    stream = NetworkStream(script)
    stream.write(WIRE)
    for _ in range(2):
        stream.write_eof()
    for data in (b"more", b""):
        with pytest.raises(StateError, match="end of what is written"):
            stream.write(data)
    with pytest.raises(StateError, match="end of what is written"):
        stream.start_tls(None, "x")
    assert script.sent == WIRE
    assert finish(co_read_all(stream)) == b"xy"
    stream.close()
    with pytest.raises(ConnectionClosed, match="closed"):
        stream.write_eof()


def test_an_end_that_has_to_wait():
    script = ScriptedStream([b"x"], rooms=[WOULD_BLOCK] * 5)
    stream = NetworkStream(script, timeout=100)
    op = stream.co_write_eof()
    begun = time.monotonic()
    need = next(op)
    assert need.mask == POLLOUT
    assert begun + 100 / LOOKS <= need.deadline <= time.monotonic() + 100 / LOOKS
    with pytest.raises(StateError, match="another operation is writing"):
        next(stream.co_write_eof())
    finish(op)
    assert stream.read(1) == b"x"


def test_an_end_that_is_not_said_as_a_whole_breaks_the_stream():
    stream = NetworkStream(ScriptedStream([b"x"], rooms=[WOULD_BLOCK] * 1000), timeout=0.01)
    with pytest.raises(ConnectionTimedOut):
        for _ in stream.co_write_eof():
            time.sleep(0.01)
    with pytest.raises(ConnectionClosed, match="broken"):
        stream.read(1)


def test_an_end_that_never_began_breaks_nothing():
    stream = NetworkStream(ScriptedStream([b"x"]))
    stream.co_write_eof().close()
    stream.write(WIRE)
    assert stream.read(1) == b"x"


def test_an_end_that_the_peer_does_not_want_to_hear():
    lost = ConnectionClosed("connection lost: broken pipe")
    stream = NetworkStream(ScriptedStream([b"why", END], rooms=[lost]))
    for _ in range(2):
        with pytest.raises(ConnectionClosed, match="broken pipe"):
            stream.write_eof()
    assert finish(co_read_all(stream)) == b"why"


def test_one_reads_and_one_writes_at_a_time():
    stream = NetworkStream(ScriptedStream(rooms=[WOULD_BLOCK]))
    reading, writing = stream.co_read(1), stream.co_write(b"x")
    next(reading)
    next(writing)
    for op in (stream.co_read(1), stream.co_readinto(bytearray(1)), stream.co_write(b"x"),
               stream.co_start_tls(None, "x")):  # fmt: skip
        with pytest.raises(StateError, match="another operation is"):
            next(op)
    reading.close()
    next(stream.co_read(1))


def test_a_lost_connection_stays_lost():
    lost = ConnectionClosed("connection lost: reset")
    stream = NetworkStream(ScriptedStream([b"x", lost, END]))
    assert stream.read(5) == b"x"
    for _ in range(2):
        with pytest.raises(ConnectionClosed, match="reset"):
            stream.read(5)
    with pytest.raises(ConnectionClosed, match="reset"):
        stream.write(b"x")


def test_what_was_sent_before_the_peer_went_deaf_can_be_read():
    lost = ConnectionClosed("connection lost: broken pipe")
    stream = NetworkStream(ScriptedStream([b"why", END], rooms=[2, lost]))
    for _ in range(2):
        with pytest.raises(ConnectionClosed, match="broken pipe"):
            stream.write(WIRE)
    assert finish(co_read_all(stream)) == b"why"


def test_the_end_comes_again():
    stream = NetworkStream(ScriptedStream([END, END, END]))
    assert (stream.read(1), stream.read(1), stream.readinto(bytearray(1))) == (b"", b"", 0)


def test_nothing_is_read_where_nothing_is_asked_for():
    stream = NetworkStream(ScriptedStream(), b"x")
    assert (stream.read(0), stream.readinto(bytearray())) == (b"", 0)


@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit, RuntimeError])
def test_an_exception_from_outside_breaks_unless_it_waited(error):
    stream = NetworkStream(ScriptedStream([WOULD_BLOCK, b"x"]))
    op = stream.co_read(1)
    next(op)
    with pytest.raises(error):
        op.throw(error())
    assert stream.read(1) == b"x"

    class Interrupted(ScriptedStream):
        def recv(self, size):
            self.waiting = False
            raise error

    stream = NetworkStream(Interrupted())
    with pytest.raises(error):
        stream.read(1)
    with pytest.raises(ConnectionClosed, match="interrupted by"):
        stream.read(1)


def test_others_have_their_turn_where_data_never_fail_to_be():
    script = ScriptedStream([bytes(TURN // 4)] * 100)
    stream = NetworkStream(script)

    def co_many():
        for _ in range(20):
            yield from stream.co_read(TURN)
            yield from stream.co_write(bytes(TURN // 4))

    assert 4 <= sum(1 for _ in co_many()) <= 10


def test_arguments_are_checked_before_anything_happens():
    stream = NetworkStream(ScriptedStream(), b"x")
    for call in (lambda: stream.co_read("1"), lambda: stream.co_readinto(b"x"),
                 lambda: stream.co_write("x"), lambda: stream.co_readinto(5)):  # fmt: skip
        with pytest.raises(TypeError):
            call()
    with pytest.raises(ValueError, match="-1"):
        stream.co_read(-1)
    assert stream.read(1) == b"x"


def test_a_closed_stream_is_closed():
    script = ScriptedStream([b"x"])
    with NetworkStream(script, b"ahead") as stream:
        op = stream.co_write(b"")
    assert script.closed
    finish(stream.co_close())
    for use in (lambda: stream.read(1), lambda: stream.write(b"x"), lambda: next(op)):
        with pytest.raises(ConnectionClosed, match="closed"):
            use()
    assert stream.get_extra_info("is_readable") is None


def test_tls_needs_that_everything_was_read():
    script = ScriptedStream([b"x"])
    stream = NetworkStream(script, b"ahead")
    with pytest.raises(StateError, match="5 bytes"):
        stream.start_tls(None, "x")
    assert stream.read(5) == b"ahead"
    assert not script.closed


# ---- with real sockets


@pytest.fixture
def pair():
    ours, theirs = socket.socketpair()
    ours.setblocking(False)
    theirs.settimeout(30)
    stream = NetworkStream(TCPStream(ours), timeout=10)
    with stream, theirs:
        yield stream, theirs


@pytest.mark.feature("C17")
def test_two_threads(pair):
    stream, theirs = pair
    data = os.urandom(3_000_000)

    def echo():
        while piece := theirs.recv(65536):
            theirs.sendall(piece)

    threads = [threading.Thread(target=echo), threading.Thread(target=stream.write, args=(data,))]
    for thread in threads:
        thread.start()
    got = bytearray()
    while len(got) < len(data):
        got += stream.read(100_000)
    assert got == data
    stream.close()
    for thread in threads:
        thread.join()


@pytest.mark.parametrize("use", [lambda s: s.read(1), lambda s: s.write(bytes(10_000_000))])
def test_closing_wakes_another_thread(pair, use):
    stream, _ = pair
    failures = []

    def wait():
        with pytest.raises(ConnectionClosed) as failure:
            use(stream)
        failures.append(failure)

    thread = threading.Thread(target=wait)
    thread.start()
    time.sleep(0.1)
    stream.close()
    thread.join(30)
    assert failures


@pytest.mark.parametrize("order", [1, -1])
def test_the_descriptor_stays_until_the_last_operation_has_ended(pair, order):
    """Who is just about to wait for it would else wait for another file with its number."""
    stream, _ = pair
    fd = stream.get_extra_info("fd")
    operations = [stream.co_read(1), stream.co_write(bytes(10_000_000))]
    for op in operations:
        next(op)
    stream.close()
    for op in operations[::order]:
        os.fstat(fd)
        with pytest.raises(ConnectionClosed):
            next(op)
    with pytest.raises(OSError, match="Bad file"):
        os.fstat(fd)


def test_two_threads_that_close_it_close_what_is_below_once():
    class Below(ScriptedStream):
        closings = 0

        def close(self):
            self.closings += 1

    below = [Below() for _ in range(2000)]
    streams = [NetworkStream(one) for one in below]
    on_two_threads(lambda number: streams[number].close())
    assert {one.closings for one in below} == {1}


def test_a_broken_write_wakes_the_reader(pair):
    stream, _ = pair
    failures = []

    def wait():
        with pytest.raises(ConnectionClosed, match="broken") as failure:
            stream.read(1)
        failures.append(failure)

    thread = threading.Thread(target=wait)
    thread.start()
    time.sleep(0.1)
    op = stream.co_write(bytes(10_000_000))
    next(op)
    op.close()
    thread.join(30)
    assert failures


def test_time_outs_hold(pair):
    stream, theirs = pair
    stream.timeout = 0.05
    with pytest.raises(ConnectionTimedOut):
        stream.read(1)
    theirs.sendall(b"x")
    assert stream.read(1) == b"x"
    with pytest.raises(ConnectionTimedOut):
        stream.write(bytes(10_000_000))


def test_the_peer_hears_the_end(pair):
    stream, theirs = pair
    stream.write(b"bye")
    stream.close()
    assert theirs.recv(10) == b"bye"
    assert theirs.recv(10) == b""


def test_the_peer_hears_the_end_and_goes_on(pair):
    stream, theirs = pair
    stream.write(b"all")
    stream.write_eof()
    assert theirs.recv(10) == b"all"
    assert theirs.recv(10) == b""
    theirs.sendall(b"thanks")
    theirs.close()
    assert stream.read(10) == b"thanks"
    assert stream.read(10) == b""


@pytest.mark.feature("C17", "C18")
def test_facts(pair):
    stream, theirs = pair
    assert stream.get_extra_info("socket").fileno() == stream.get_extra_info("fd")
    assert stream.get_extra_info("is_readable") is False
    assert stream.get_extra_info("is_writable") is True
    theirs.sendall(b"x")
    assert stream.get_extra_info("is_readable") is True
    for name in ("ssl_object", "tls_version", "cipher", "alpn", "peercert", "nonsense"):
        assert stream.get_extra_info(name) is None
    assert NetworkStream(ScriptedStream(), b"x").get_extra_info("is_readable") is True
    stream.get_extra_info("socket").close()
    assert stream.get_extra_info("client_addr") is None
    stream.close()
    assert stream.get_extra_info("socket") is None


def test_nobody_who_forgets_it_leaks():
    before = open_descriptors()
    ours, theirs = socket.socketpair()
    with theirs:
        ours.setblocking(False)
        stream = NetworkStream(TCPStream(ours))
        known = weakref.ref(stream)
        with pytest.raises(ConnectionClosed):
            theirs.shutdown(socket.SHUT_RDWR)
            stream.write(b"x")
            stream.write(b"x")
        gc.disable()
        try:
            del stream
            assert known() is None
        finally:
            gc.enable()
    assert open_descriptors() <= before


@pytest.mark.skipif(not hasattr(os, "fork"), reason="nothing forks here")
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_child_closes_its_copy(pair):
    stream, theirs = pair
    child = os.fork()
    if child == 0:
        try:
            stream.read(1)
        except ConnectionClosed:
            os._exit(7)
        finally:
            os._exit(1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7
    stream.write(b"still there")
    assert theirs.recv(20) == b"still there"


# ---- TLS


def tls_server(handler, certificate, **options):
    """Return a server that gets ``STARTTLS``, and speaks TLS after that."""

    def start(sock):
        assert read_exactly(sock, 8) == b"STARTTLS"
        sock.sendall(b"go")
        context = certificate.server_context()
        if "alpn" in options:
            context.set_alpn_protocols([options["alpn"]])
        with context.wrap_socket(sock, server_side=True, suppress_ragged_eofs=False) as tls:
            handler(tls)

    return ScriptedServer(start)


def connect(server):
    sock = socket.create_connection(("127.0.0.1", server.port))
    sock.setblocking(False)
    stream = NetworkStream(TCPStream(sock), timeout=10)
    stream.write(b"STARTTLS")
    assert stream.read(10) == b"go"
    return stream


def echo(tls):
    while data := tls.recv(10):
        tls.sendall(data)
    with suppress(ValueError):  # the client has gone before the handshake
        tls.unwrap()


@pytest.mark.feature("C17")
def test_tls_over_tcp(certificate, trusting):
    with tls_server(echo, certificate) as server, connect(server) as stream:
        assert stream.start_tls(trusting, "localhost") is stream
        data = os.urandom(100_000)
        got = bytearray()

        def co_read():
            while len(got) < len(data):
                got.extend((yield from stream.co_read(100_000)))

        run(both(stream.co_write(data), co_read()), timeout=20)
        assert got == data
        assert stream.get_extra_info("tls_version") == "TLSv1.3"
        assert stream.get_extra_info("ssl_object").cipher() == stream.get_extra_info("cipher")
        assert stream.get_extra_info("peercert")["subjectAltName"]
        assert stream.get_extra_info("alpn") is None
        assert stream.get_extra_info("server_addr") == ("127.0.0.1", server.port)
        assert stream.get_extra_info("client_addr")[0] == "127.0.0.1"
        assert stream.get_extra_info("is_readable") in {True, False}  # session tickets
        stream.write(b"still there")
        assert stream.read(11)


def test_tls_inside_tls(certificate, trusting):
    with ScriptedServer(echo, certificate.server_context()) as back:
        with tls_server(relay(back.port), certificate) as server, connect(server) as stream:
            stream.start_tls(trusting, "localhost")
            stream.start_tls(trusting, "localhost")
            stream.write(b"inside")
            assert stream.read(6) == b"inside"
            assert stream.get_extra_info("tls_version") == "TLSv1.3"
            assert stream.get_extra_info("server_addr") == ("127.0.0.1", server.port)


def test_any_protocol_may_be_chosen(certificate, ca):
    context = ssl.create_default_context()
    ca.configure_trust(context)
    context.set_alpn_protocols(["imap"])
    with tls_server(echo, certificate, alpn="imap") as server, connect(server) as stream:
        stream.start_tls(context, "localhost")
        assert stream.get_extra_info("alpn") == "imap"


def test_tls_that_is_cut_off_is_no_end(certificate, trusting):
    def cut(tls):
        tls.sendall(b"x")
        tls.shutdown(socket.SHUT_RDWR)

    with tls_server(cut, certificate) as server, connect(server) as stream:
        stream.start_tls(trusting, "localhost")
        assert stream.read(10) == b"x"
        for _ in range(2):
            with pytest.raises(ConnectionClosed, match="close_notify"):
                stream.read(10)


def test_tls_that_ends_in_order_is_an_end(certificate, trusting):
    def end(tls):
        tls.sendall(b"x")
        tls.unwrap()

    with tls_server(end, certificate) as server, connect(server) as stream:
        stream.start_tls(trusting, "localhost")
        assert stream.read(10) == b"x"
        assert stream.read(10) == b""


def test_closing_says_so_in_tls(certificate, trusting):
    heard = []

    def listen(tls):
        heard.append(tls.recv(10))

    with tls_server(listen, certificate) as server:
        with connect(server) as stream:
            stream.start_tls(trusting, "localhost")
        wait_until(lambda: heard)
    assert heard == [b""]  # a cut-off would be an exception


def answer_late(tls):
    """Send data all the time; count what comes until its end, and say more after that."""
    tls.setblocking(False)
    left, count, ended = memoryview(WIRE * 100_000), 0, False
    while left or not ended:
        select.select([] if ended else [tls], [tls] if left else [], [], 0.01)
        with suppress(ssl.SSLWantReadError, ssl.SSLWantWriteError):
            left = left[tls.send(left[:10_000]) :] if left else left
        with suppress(ssl.SSLWantReadError, ssl.SSLWantWriteError):
            data = b"" if ended else tls.recv(1000)
            count, ended = count + len(data), not data
    tls.settimeout(30)
    tls.sendall(b"%d" % count)
    with suppress(OSError, ValueError):
        tls.unwrap()


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
@pytest.mark.parametrize("read_before", [0, 1, 100, 300_000])
def test_the_end_in_tls_costs_nothing_that_is_on_its_way(certificate, ca, version, read_before):
    context = ssl.create_default_context()
    ca.configure_trust(context)
    context.maximum_version = version
    wanted = WIRE * 100_000 + b"1000000"
    with tls_server(answer_late, certificate) as server, connect(server) as stream:
        stream.start_tls(context, "localhost")
        got = bytearray()
        while len(got) < read_before:
            got += stream.read(read_before)
        run(both(stream.co_write(bytes(1_000_000)), co_take(stream, got, 1_000_000)), timeout=20)
        stream.write_eof()
        with pytest.raises(StateError):
            stream.write(b"x")
        target = bytearray(1_000)
        got += target[: stream.readinto(target)]
        run(co_take(stream, got, len(wanted)), timeout=20)
        assert (stream.read(1), stream.readinto(target)) == (b"", 0)
    assert got == wanted


def co_take(stream, got, count):
    while len(got) < count:
        got += yield from stream.co_read(100_000)


def test_the_end_behind_that_of_the_peer(certificate, trusting):
    heard = []

    def end(tls):
        tls.sendall(b"x")
        tls.unwrap()
        heard.append("the end")

    with tls_server(end, certificate) as server, connect(server) as stream:
        stream.start_tls(trusting, "localhost")
        assert stream.read(10) == b"x"
        assert stream.read(10) == b""
        stream.write_eof()
        wait_until(lambda: heard)
        assert (stream.read(1), stream.readinto(bytearray(1))) == (b"", 0)


def test_the_end_while_another_thread_reads(certificate, trusting):
    for _ in range(20):
        with tls_server(answer_late, certificate) as server, connect(server) as stream:
            stream.start_tls(trusting, "localhost")
            got = bytearray()
            op = co_take(stream, got, len(WIRE) * 100_000 + 1)
            reader = threading.Thread(target=run, args=(op,))
            reader.start()
            stream.write(b"x")
            stream.write_eof()
            reader.join(20)
            assert got == WIRE * 100_000 + b"1"


def test_the_end_in_tls_inside_tls(certificate, trusting):
    """The outer TLS goes on: it is not with the one who has to hear of it."""

    def inside(tls):
        incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        inner = certificate.server_context().wrap_bio(incoming, outgoing, server_side=True)

        def step(call, *arguments):
            while True:
                try:
                    result = call(*arguments)
                except ssl.SSLWantReadError:
                    tls.sendall(outgoing.read())
                    incoming.write(tls.recv(65536))
                else:
                    tls.sendall(outgoing.read())
                    return result

        step(inner.do_handshake)
        count = 0
        while data := step(inner.read, 1000):
            count += len(data)
        step(inner.write, b"%d" % count)
        step(inner.unwrap)
        with suppress(OSError):
            heard.append(tls.recv(10))

    heard = []
    with tls_server(inside, certificate) as server, connect(server) as stream:
        stream.start_tls(trusting, "localhost")
        stream.start_tls(trusting, "localhost")
        stream.write(bytes(100_000))
        stream.write_eof()
        assert stream.read(10) == b"100000"
        assert stream.read(10) == b""
        stream.close()
        wait_until(lambda: heard)
    assert heard == [b""]


@pytest.mark.parametrize(
    ("name", "error"),
    [("other.test", CertificateInvalid), ("a" * 64 + ".test", InvalidRequest)],
)
def test_a_failed_handshake_closes_the_stream(certificate, trusting, name, error):
    before = open_descriptors()
    with tls_server(echo, certificate) as server:
        stream = connect(server)
        with pytest.raises(error):
            stream.start_tls(trusting, name)
        for use in (lambda: stream.read(1), lambda: stream.start_tls(trusting, "localhost")):
            with pytest.raises(ConnectionClosed, match="closed"):
                use()
    assert open_descriptors() <= before


@pytest.mark.parametrize(
    ("name", "error"), [("a\0b", InvalidRequest), (".x", InvalidRequest), (None, TypeError)]
)
def test_with_a_name_that_is_none_nothing_happens(pair, trusting, name, error):
    stream, theirs = pair
    with pytest.raises(error):
        stream.start_tls(trusting, name)
    theirs.sendall(b"x")
    assert stream.read(1) == b"x"


def test_no_tls_there(trusting):
    def nonsense(sock):
        read_exactly(sock, 8)
        sock.sendall(b"go")
        sock.recv(1000)
        sock.sendall(b"no TLS, sorry")

    with ScriptedServer(nonsense) as server, connect(server) as stream:
        with pytest.raises(HandshakeFailed):
            stream.start_tls(trusting, "localhost")


def test_an_interrupted_handshake_closes_the_stream(certificate, trusting):
    with tls_server(echo, certificate) as server:
        before = open_descriptors()
        for waits in range(1, 100):
            stream = connect(server)
            op = stream.co_start_tls(trusting, "localhost")
            try:
                for _ in range(waits):
                    next(op).poll(30)
            except StopIteration:
                break
            assert waits > 1 or stream.get_extra_info("tls_version") is None
            op.close()
            with pytest.raises(ConnectionClosed, match="closed"):
                stream.read(1)
        stream.close()
        wait_until(lambda: open_descriptors() <= before)


def test_a_handshake_that_takes_too_long(certificate, trusting):
    def silent(sock):
        read_exactly(sock, 8)
        sock.sendall(b"go")
        sock.recv(10_000)
        sock.recv(10_000)

    with ScriptedServer(silent) as server, connect(server) as stream:
        stream.timeout = 0.05
        with pytest.raises(ConnectionTimedOut):
            stream.start_tls(trusting, "localhost")


def test_closing_at_the_end_of_the_handshake(pair, trusting, monkeypatch):
    stream, _ = pair
    secured = ScriptedStream()

    def co_tls_over(*arguments):
        yield
        return secured

    monkeypatch.setattr("dugong_like.transport.upgraded.network_stream.co_tls_over", co_tls_over)
    op = stream.co_start_tls(trusting, "localhost")
    next(op)
    stream.close()
    with pytest.raises(ConnectionClosed, match="meanwhile"):
        next(op)
    assert secured.closed


def test_closing_during_the_handshake(trusting):
    def silent(sock):
        read_exactly(sock, 8)
        sock.sendall(b"go")
        while sock.recv(10_000):
            pass

    with ScriptedServer(silent) as server:
        stream = connect(server)
        op = stream.co_start_tls(trusting, "localhost")
        next(op)
        stream.close()
        with pytest.raises(ConnectionClosed, match="meanwhile"):
            run(op)
