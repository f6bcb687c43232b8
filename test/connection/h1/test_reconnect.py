"""Reconnecting: when a connection is used again, when a new one is made, and who goes there."""

import socket
import struct
import threading
import time

import pytest
from kit.streams import END, ScriptedStream, connection, finish
from kit.support import ScriptedServer, read_head, wait_until

from dugong_like import (
    BodyFollowing,
    ClientCertificateRefused,
    ConnectionClosed,
    HTTPConnection,
    StateError,
)
from dugong_like.connection.cancelling import cancel
from dugong_like.connection.h1 import reconnect
from dugong_like.connection.states import Retired

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
EMPTY = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"


@pytest.mark.reliability(36, 37)
@pytest.mark.parametrize("late", [b"", b"HTTP/1.1 408 Idle\r\nContent-Length: 0\r\n\r\n"])
def test_what_comes_while_idle_is_never_an_answer(late):
    def handler(sock):
        read_head(sock)
        sock.sendall(OK)
        time.sleep(0.05)
        sock.sendall(late)

    with ScriptedServer(handler) as server:
        with HTTPConnection("127.0.0.1", server.port, timeout=10) as conn:
            for _ in range(2):
                conn.send_request("GET", "/")
                conn.read_response()
                assert conn.readall() == b"ok"
                wait_until(lambda: not conn._session.shared.stream.recv_would_block())
        wait_until(lambda: server.connections == 2)


def reset_by(sock):
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


@pytest.mark.feature("A15", "A16")
@pytest.mark.parametrize("how", ["end", "reset", "surplus"])
@pytest.mark.parametrize("tls", [False, True], ids=["http", "https"])
def test_end_of_an_idle_connection_is_seen(certificate, trusting, how, tls):
    def serve(sock):
        read_head(sock)
        sock.sendall(OK)
        released.wait(30)
        if how == "reset":
            reset_by(sock)
        if how == "surplus":
            sock.sendall(b"HTTP/1.1 408 Request Timeout\r\n\r\n")
            sock.recv(1)

    released = threading.Event()
    context = certificate.server_context() if tls else None
    with ScriptedServer(serve, context) as server:
        conn = HTTPConnection("localhost", server.port, trusting if tls else None)
        conn.send_request("GET", "/")
        conn.read_response()
        conn.readall()
        assert conn.is_open()
        released.set()
        wait_until(lambda: not conn.is_open())
        assert not conn.is_open()
        assert isinstance(conn.close_reason, ConnectionClosed)
        assert isinstance(conn.shutdown_future.exception(0), ConnectionClosed)
        if how == "surplus":
            assert conn.read_raw(12) == b"HTTP/1.1 408"  # nothing was lost
        conn.connect()
        wait_until(lambda: server.connections == 2)
        conn.close()


@pytest.mark.reliability(38)
@pytest.mark.parametrize("body", [None, b"x", BodyFollowing(3)])
def test_after_close_the_next_request_gets_a_new_connection(monkeypatch, body):
    first, second = ScriptedStream(), ScriptedStream()
    conn = connection(monkeypatch, first, second)
    finish(conn.co_send_request("PUT", "/1", {"connection": "Close"}, body))
    if isinstance(body, BodyFollowing):
        finish(conn.co_write(b"abc"))

    with pytest.raises(ConnectionClosed, match="takes no further request, and 1 response"):
        finish(conn.co_send_request("GET", "/2"))
    first.incoming.append(EMPTY)
    assert finish(conn.co_read_response()).status == 200
    finish(conn.co_send_request("GET", "/2"))

    assert first.sent.count(b" HTTP/1.1") == second.sent.count(b" HTTP/1.1") == 1
    assert first.closed


def parts(conn):
    return conn._session.shared, conn._session.receiver


def test_a_request_goes_where_nothing_has_arrived(monkeypatch):
    stream = ScriptedStream()
    conn = connection(monkeypatch, stream)
    conn.connect()
    shared, receiver = parts(conn)

    assert reconnect.takes_request(shared, receiver.bodies)
    stream.incoming = [OK]
    assert not reconnect.takes_request(shared, receiver.bodies)
    stream.incoming = []
    assert not reconnect.takes_request(shared, receiver.bodies)  # never again


def test_a_request_may_be_sent_behind_others_but_not_behind_a_surplus(monkeypatch):
    stream = ScriptedStream()
    conn = connection(monkeypatch, stream)
    conn.send_request("GET", "/1")
    shared, receiver = parts(conn)
    stream.incoming = [OK[:-2]]
    assert reconnect.takes_request(shared, receiver.bodies)
    assert finish(conn.co_read_response()).status == 200

    assert reconnect.takes_request(shared, receiver.bodies)
    stream.incoming = [b"ok and more"]
    assert conn.readinto(bytearray(1)) == 1
    assert not reconnect.takes_request(shared, receiver.bodies)


def test_a_refused_certificate_is_not_tried_again(monkeypatch):
    stream = ScriptedStream()
    conn = connection(monkeypatch, stream)
    conn.connect()
    shared, receiver = parts(conn)
    stream.is_idle = lambda: (_ for _ in ()).throw(ClientCertificateRefused("alert"))

    with pytest.raises(ClientCertificateRefused):
        reconnect.takes_request(shared, receiver.bodies)
    assert not reconnect.takes_request(shared, receiver.bodies)


def test_a_session_is_opened_once(monkeypatch):
    conn = connection(monkeypatch, ScriptedStream())
    shared, _ = parts(conn)

    finish(reconnect.connect(shared))
    shared.retire()
    with pytest.raises(Retired):
        reconnect.connect(shared)
    cancel(shared)
    with pytest.raises(Retired):
        reconnect.connect(shared)


def test_a_session_with_pending_responses_is_not_left(monkeypatch):
    conn = connection(monkeypatch, ScriptedStream())
    conn.send_request("GET", "/")
    shared, _ = parts(conn)
    shared.retire()

    with pytest.raises(ConnectionClosed, match="1 responses are pending"):
        reconnect.connect(shared)
    shared.fail(StateError("for a reason"))
    with pytest.raises(ConnectionClosed, match="for a reason"):
        reconnect.connect(shared)


@pytest.mark.parametrize("arrived", [END, b"HTTP/1.1 408", ConnectionClosed("reset")])
def test_what_arrives_while_idle_ends_the_connection_with_a_reason(monkeypatch, arrived):
    stream = ScriptedStream()
    conn = connection(monkeypatch, stream)
    conn.connect()
    shared, receiver = parts(conn)
    assert reconnect.is_silent(shared, receiver.buffer)
    stream.incoming = [arrived]

    with shared.reading:  # another operation would see it
        assert reconnect.is_silent(shared, receiver.buffer)
    assert not reconnect.is_silent(shared, receiver.buffer)
    assert isinstance(conn.close_reason, ConnectionClosed)
    assert not conn.is_open()
    if arrived == b"HTTP/1.1 408":
        assert conn.read_raw(100) == arrived  # nothing is lost


@pytest.mark.parametrize("call", ["send_request", "exchange", "connect"])
def test_each_way_to_begin_makes_a_new_connection(monkeypatch, call):
    first, second = ScriptedStream(), ScriptedStream()
    conn = connection(monkeypatch, first, second)
    conn.connect()
    first.incoming = [END]
    second.rooms = [1000]
    second.incoming = []
    before = conn._session
    if call == "exchange":
        operation = conn.co_exchange("GET", "/")
        next(operation)
        second.incoming = [EMPTY]
        assert finish(operation).status == 200
    else:
        getattr(conn, call)(*(("GET", "/") if call == "send_request" else ()))

    assert conn._session is not before
    assert first.closed
    assert b"GET" not in first.sent
    assert second.sent.startswith(b"" if call == "connect" else b"GET / ")
