"""What TLS inside TLS does by itself in the middle: new keys and new handshakes.

As in test_tls_records.py the server is ``openssl s_server``, here behind a proxy that speaks TLS.
"""

import re
import socket
from contextlib import suppress

import pytest
from streams import connection
from support import ScriptedServer, open_descriptors, wait_until
from test_tls_records import EVENTS, digits, drive, in_background, pieces, s_server, sized
from tls_relay import relay

from dugong_like import POLLIN, BodyFollowing, ConnectionClosed, NetworkStream
from dugong_like.transport.start_tls import co_start_tls
from dugong_like.transport.tcp import TCPStream
from dugong_like.transport.tls_over import TLSOverStream

__all__ = ["drive", "s_server"]  # they are fixtures


@pytest.fixture(autouse=True)
def nothing_is_left_open():
    """See that each test closes what it opened, without help from the garbage collector."""
    before = open_descriptors()
    yield
    wait_until(lambda: open_descriptors() <= before)


@pytest.fixture
def inside(certificate, trusting, monkeypatch, s_server):
    """A function that starts s_server behind a proxy; the server and a connection to it."""
    running, connections = [], []

    def start(version):
        server = s_server(version)
        front = ScriptedServer(relay(server.port), certificate.server_context())
        front.__enter__()
        running.append(front)

        def co_open(route, timeout):
            sock = socket.create_connection(("127.0.0.1", front.port))
            sock.setblocking(False)
            outer = yield from co_start_tls(sock, trusting, "localhost", 10)
            return (yield from co_start_tls(outer, trusting, "localhost", 10))

        conn = connection(monkeypatch, ssl_context=trusting, timeout=20)
        monkeypatch.setattr("dugong_like.link.co_open", co_open)
        connections.append(conn)
        return server, conn

    yield start
    for conn in connections:
        conn.close()
    for front in running:
        front.__exit__(None, None, None)


@pytest.mark.parametrize(("version", "event"), EVENTS)
def test_in_the_middle_of_a_body_and_between_two(inside, drive, version, event):
    server, conn = inside(version)
    body = digits(300_000)

    def answer():
        first, *others = pieces(sized(body), 20)
        server.say(first)
        for piece in others:
            server.command(event)
            server.say(piece)

    drive(conn.co_send_request("GET", "/"))
    assert isinstance(conn._link.raw_stream, TLSOverStream)
    with in_background(answer):
        assert drive(conn.co_read_response()).length == len(body)
        assert drive(conn.co_readall()) == body
    for number in range(5):
        drive(conn.co_send_request("GET", f"/{number}"))
        server.say(sized(b"12"))
        assert drive(conn.co_read_response()).path == f"/{number}"
        assert drive(conn.co_readall()) == b"12"
        server.command(event)
        # In the middle of a handshake s_server takes no command, so it has to begin before the
        # next request.
        wait_until(lambda stream=conn._link.raw_stream: not stream.is_quiet())
    drive(conn.co_send_request("GET", "/last"))
    # s_server now and then forgets to print what it reads in the middle of a handshake.
    wait_until(lambda: server.heard(b"GET / ").count(b"GET /") >= 6, 20)
    conn.close()
    assert (server.handshakes() >= 4) is (version == "1.2")


@pytest.mark.parametrize(("version", "event"), EVENTS)
def test_during_an_upload(inside, drive, version, event):
    server, conn = inside(version)
    body = digits(4_000_000)

    def co_upload():
        yield from conn.co_send_request("PUT", "/", body=BodyFollowing(len(body)))
        for place in range(0, len(body), 100_000):
            yield from conn.co_write(body[place : place + 100_000])

    def disturb():
        for size in range(0, len(body), 500_000):
            server.wait_for(size)
            server.command(event)

    drive(conn.co_connect())
    with in_background(disturb):
        drive(co_upload())
    server.wait_for(len(body))
    server.say(sized(b"34"))
    assert drive(conn.co_read_response()).status == 200
    assert drive(conn.co_readall()) == b"34"
    wait_until(lambda: server.uploaded() == body)
    conn.close()
    assert (server.handshakes() > 1) is (version == "1.2")


@pytest.mark.parametrize(("version", "event"), EVENTS)
def test_while_one_thread_uploads_and_another_one_waits_for_the_response(inside, version, event):
    """The one that waits may finish a handshake that the other one waits for."""
    server, conn = inside(version)
    body = digits(3_000_000)

    def disturb():
        for size in range(0, len(body), 200_000):
            server.wait_for(size)
            server.command(event)
        server.wait_for(len(body))
        server.say(sized(b"56"))

    def read():
        assert conn.read_response().status == 200
        assert conn.readall() == b"56"

    conn.connect()
    conn.send_request("PUT", "/", body=BodyFollowing(len(body)))
    with in_background(disturb), in_background(read):
        for place in range(0, len(body), 50_000):
            conn.write(body[place : place + 50_000])
    wait_until(lambda: server.uploaded() == body)
    conn.close()
    assert (server.handshakes() > 1) is (version == "1.2")


@pytest.mark.parametrize(("version", "event"), EVENTS)
def test_while_data_flows_both_ways_nothing_wrong_is_read(inside, version, event):
    """OpenSSL does not take data in the middle of a new handshake: then the connection ends."""
    server, conn = inside(version)
    down, up = digits(2_000_000, 1), digits(2_000_000, 2)
    ended = []

    def end(exc):
        ended.append(exc)
        server.kill()

    def answer():
        with suppress(OSError):
            first, *others = pieces(sized(down), 20)
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


@pytest.mark.parametrize(("version", "event"), EVENTS)
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
