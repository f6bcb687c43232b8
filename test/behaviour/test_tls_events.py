"""What TLS does by itself in the middle: new keys and new handshakes, also in TLS inside TLS.

Not here: what the servers of Python can do, such as tickets that come late (test_tls_records.py).
"""

import functools
import re
import socket
import threading
import time
from contextlib import ExitStack, suppress

import pytest
from kit.cases import rest_slow
from kit.s_server import EVENTS, digits, in_background, pieces, s_servers, sized
from kit.streams import connection
from kit.support import ScriptedServer, wait_until
from kit.tls_relay import relay
from kit.ways import on_asyncio

from dugong_like import (
    POLLIN,
    BodyFollowing,
    ConnectionClosed,
    HTTPConnection,
    NetworkStream,
    run,
)
from dugong_like.transport.tcp import TCPStream
from dugong_like.transport.tls.over_socket import TLSStream
from dugong_like.transport.tls.over_stream import TLSOverStream
from dugong_like.transport.tls.start import co_start_tls

pytestmark = pytest.mark.usefixtures("nothing_is_left_open")
EACH_EVENT = pytest.mark.parametrize(("version", "event"), EVENTS)


@pytest.fixture(params=[run, on_asyncio])
def drive(request):
    return request.param


@pytest.fixture
def s_server(certificate):
    """A function that starts s_server with a version of TLS."""
    with s_servers(certificate) as start:
        yield start


@pytest.fixture(params=["TLS", "TLS in TLS"])
def reach(request, certificate, trusting, monkeypatch, s_server):
    """A function that starts s_server: that, and a connection to it, straight or behind a proxy."""

    def straight(server):
        return HTTPConnection("localhost", server.port, trusting, timeout=20)

    def inside(server):
        front = stack.enter_context(
            ScriptedServer(relay(server.port), certificate.server_context())
        )

        def co_open(route, timeout):
            sock = socket.create_connection(("127.0.0.1", front.port))
            sock.setblocking(False)
            outer = yield from co_start_tls(sock, trusting, "localhost", 10)
            return (yield from co_start_tls(outer, trusting, "localhost", 10))

        conn = connection(monkeypatch, ssl_context=trusting, timeout=20)
        monkeypatch.setattr("dugong_like.transport.connect.open.co_open", co_open)
        return conn

    make, kind = (straight, TLSStream) if request.param == "TLS" else (inside, TLSOverStream)

    def start(version):
        server = s_server(version)
        conn = stack.enter_context(make(server))
        run(conn.co_connect())
        assert isinstance(conn._session.shared.stream, kind)
        return server, conn

    with ExitStack() as stack:
        yield start


@EACH_EVENT
def test_in_the_middle_of_a_body(reach, drive, version, event):
    server, conn = reach(version)
    body = digits(300_000)

    def answer():
        first, *others = pieces(sized(body), 20)
        server.say(first)
        for piece in others:
            server.command(event)
            server.say(piece)

    drive(conn.co_send_request("GET", "/"))
    with in_background(answer):
        assert drive(conn.co_read_response()).length == len(body)
        assert drive(conn.co_readall()) == body
    assert not conn.response_pending()
    # What the server asked for is answered at the latest when the next request is sent.
    drive(conn.co_send_request("GET", "/again"))
    server.say(sized(b"12"))
    assert drive(conn.co_read_response()).path == "/again"
    assert drive(conn.co_readall()) == b"12"
    wait_until(lambda: server.heard(b"GET / ").count(b"GET /") == 2)
    conn.close()
    assert (server.handshakes() > 0) is (version == "1.2")


@EACH_EVENT
def test_between_two_responses(reach, drive, version, event):
    """The connection is idle and stays good: nothing has come that belongs to HTTP."""
    server, conn = reach(version)
    for number in range(10):
        body = digits(1000 + number, number)
        drive(conn.co_send_request("GET", f"/{number}"))
        server.say(sized(body))
        drive(conn.co_read_response())
        assert drive(conn.co_readall()) == body
        server.command(event)
        # In the middle of a handshake s_server takes no command, so it has to begin before the
        # next request.
        wait_until(lambda: not conn._session.shared.stream.recv_would_block())
    asked = re.compile(rb"GET (\S+) .*\r\n(?:.+\r\n)*\r\n")
    expected = [b"/%d" % number for number in range(10)]
    # On a busy machine s_server forgets to print what it reads in the middle of a handshake.
    wait_until(lambda: len(asked.findall(server.heard(b"GET /"))) >= 8, 20)
    seen = asked.findall(server.heard(b"GET /"))
    assert seen == [path for path in expected if path in seen]
    conn.close()
    assert (server.handshakes() >= 8) is (version == "1.2")


def despite_openssl(test):
    """Have *test* made again if OpenSSL ends the connection, as doc/supported.rst says it may.

    It does if the server asks for two handshakes, or keys, while one record is half sent, which a
    busy machine brings about.
    """

    @functools.wraps(test)
    def tried(*arguments, **named):
        for _ in range(4):
            try:
                return test(*arguments, **named)
            except ConnectionClosed as exc:
                if "BAD_LENGTH" not in str(exc):
                    raise
        return test(*arguments, **named)

    return tried


@EACH_EVENT
@pytest.mark.parametrize("length", rest_slow(1, [5_000_000, None]), ids=["sized", "chunked"])
@despite_openssl
def test_during_an_upload(reach, drive, version, event, length):
    server, conn = reach(version)
    body = digits(5_000_000)

    def co_upload():
        yield from conn.co_send_request("PUT", "/", body=BodyFollowing(length))
        for place in range(0, len(body), 100_000):
            yield from conn.co_write(body[place : place + 100_000])
        yield from conn.co_finish()

    complete = threading.Event()  # or the response could come before the end of the last chunk

    def disturb():
        for size in range(0, len(body), 500_000):
            server.wait_for(size)
            server.command(event)
        server.wait_for(len(body))
        assert complete.wait(20)
        server.say(sized(b"34"))

    with in_background(disturb), server.killed_by_failures():
        drive(co_upload())
        complete.set()
        # While s_server still makes handshakes, which it cannot without somebody who reads.
        assert drive(conn.co_read_response()).status == 200
        assert drive(conn.co_readall()) == b"34"
    wait_until(lambda: server.uploaded() == body)
    conn.close()
    assert (server.handshakes() > 1) is (version == "1.2")


@EACH_EVENT
@despite_openssl
def test_while_one_thread_uploads_and_another_one_waits_for_the_response(reach, version, event):
    """The one that waits may finish a handshake that the other one waits for."""
    server, conn = reach(version)
    body = digits(4_000_000)

    def disturb():
        for size in range(0, len(body), 200_000):
            server.wait_for(size)
            server.command(event)
        server.wait_for(len(body))
        server.say(sized(b"56"))

    def read():
        assert conn.read_response().status == 200
        assert conn.readall() == b"56"

    conn.send_request("PUT", "/", body=BodyFollowing(len(body)))
    with in_background(disturb), in_background(read), server.killed_by_failures():
        for place in range(0, len(body), 50_000):
            conn.write(body[place : place + 50_000])
    wait_until(lambda: server.uploaded() == body)
    conn.close()
    assert (server.handshakes() > 1) is (version == "1.2")


@EACH_EVENT
def test_while_data_flows_both_ways_nothing_wrong_is_read(reach, version, event):
    """OpenSSL does not take data in the middle of a new handshake: then the connection ends."""
    server, conn = reach(version)
    down, up = digits(3_000_000, 1), digits(3_000_000, 2)
    ended = []

    def end(exc):
        ended.append(exc)
        server.kill()

    def answer():
        with suppress(OSError):
            first, *others = pieces(sized(down), 30)
            server.say(first)
            for piece in others:
                server.command(event)
                server.say(piece)

    def read():
        got = b""
        try:
            conn.read_response()
            while piece := conn.read(65536):
                got += piece
            assert got == down
        except ConnectionClosed as exc:
            end(exc)
        assert down.startswith(got)

    conn.send_request("GET", "/")
    with in_background(answer), in_background(read):
        try:
            conn.send_request("PUT", "/", body=BodyFollowing(len(up)))
            for place in range(0, len(up), 50_000):
                conn.write(up[place : place + 50_000])
        except ConnectionClosed as exc:
            end(exc)
    if version == "1.3":
        assert not ended
    if ended:
        assert up.startswith(re.split(rb"ERROR|DONE|shutting down|\n", server.uploaded())[0])
    else:
        wait_until(lambda: server.uploaded() == up)
    conn.close()


def test_handshake_that_the_reading_half_finishes_does_not_leave_the_sending_half_waiting(
    s_server, trusting
):
    server = s_server("1.2")
    conn = HTTPConnection("localhost", server.port, trusting, timeout=20)
    conn.send_request("PUT", "/", body=BodyFollowing(6))
    reading, writing = conn.co_read_response(), conn.co_write(b"123456")
    readable = next(reading)
    assert readable.mask == POLLIN
    server.command("r")
    assert readable.poll(30)
    server.stop()
    next(reading)  # begins the handshake
    need = next(writing)  # cannot send before its end
    assert need.mask == POLLIN
    server.go_on()
    start = time.monotonic()
    while need.poll(max(need.deadline - time.monotonic(), 0)):
        next(reading)  # until what the other one waits for has been read
    assert time.monotonic() - start < 20
    run(writing, timeout=30)
    wait_until(lambda: server.uploaded() == b"123456")
    server.say(sized(b"78"))
    assert run(reading).status == 200
    assert conn.readall() == b"78"
    conn.close()


@EACH_EVENT
def test_end_of_one_direction_in_the_middle(s_server, trusting, drive, version, event):
    """A handshake that has begun is brought to its end before."""
    server = s_server(version)
    sock = socket.create_connection(("127.0.0.1", server.port))
    sock.setblocking(False)
    with NetworkStream(TCPStream(sock), timeout=20) as stream:
        drive(stream.co_start_tls(trusting, "localhost"))
        drive(stream.co_write(b"PUT / HTTP/1.1\r\n\r\nall"))
        server.say(b"12")
        assert drive(stream.co_read(2)) == b"12"
        server.command(event)
        wait_until(lambda: stream.get_extra_info("is_readable"))
        server.stop()
        reading = stream.co_read(1)
        next(reading)  # it takes the first message, and answers
        reading.close()
        ending = stream.co_write_eof()
        if version == "1.2":
            assert next(ending).mask == POLLIN
        server.go_on()
        drive(ending)
        assert drive(stream.co_read(1)) == b""
    assert (server.handshakes() > 0) is (version == "1.2")
    assert server.uploaded().startswith(b"all")
