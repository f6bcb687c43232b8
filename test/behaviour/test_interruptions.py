"""What an operation leaves behind when it is closed at one of its yields.

Each row of the table in the design notes, by running generators by hand up to their n-th wait.
"""

import threading
import time

import pytest
from kit import servers
from kit.support import (
    ScriptedServer,
    answering,
    black_hole,
    open_descriptors,
    pattern,
    read_exactly,
    read_head,
    wait_until,
)

from dugong_like import (
    BodyFollowing,
    ConnectionClosed,
    ConnectionTimedOut,
    HTTPConnection,
    StateError,
    run,
    within,
)
from dugong_like.transport.connect import happy_eyeballs as connecting

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
NEVER = 1000  # more waits than any operation here has


def advance(operation, waits):
    """Run *operation* to its n-th wait; True if it ended before."""
    try:
        for _ in range(waits):
            next(operation).poll(30)
        next(operation)
    except StopIteration:
        return True
    return False


@pytest.fixture
def trickle():
    """A server that sends its answers byte by byte."""

    def handler(sock):
        for _ in range(2):
            if not read_head(sock):
                return
            for byte in (
                b"HTTP/1.1 103 Hints\r\n\r\nHTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
                b"5\r\nhello\r\n0\r\nX: y\r\n\r\n"
            ):
                sock.sendall(bytes([byte]))
                time.sleep(0.0005)

    with ScriptedServer(handler) as server:
        yield server


@pytest.mark.reliability(45)
def test_interrupted_name_lookup_and_connect_leave_it_closed():
    before = open_descriptors()
    for host in ("localhost", "127.0.0.1"):
        with black_hole() as (_, port):
            conn = HTTPConnection(host, port)
            for waits in range(2):
                operation = conn.co_connect()
                for _ in range(waits + 1):
                    next(operation)
                operation.close()
                with pytest.raises(StateError):
                    conn.read_response()
    with ScriptedServer(answering(OK)) as server:
        conn = HTTPConnection("localhost", server.port)
        next(operation := conn.co_connect(), None)  # nothing is waited for if the name came at once
        operation.close()
        conn.send_request("GET", "/")
        assert conn.read_response().status == 200
        conn.close()
    wait_until(lambda: open_descriptors() <= before)  # a name may still be looked up


@pytest.mark.reliability(45)
def test_interrupted_tls_handshake_leaves_it_closed(certificate, trusting):
    with ScriptedServer(answering(OK), certificate.server_context()) as server:
        before = open_descriptors()
        for waits in range(NEVER):
            conn = HTTPConnection("127.0.0.1", server.port, trusting)
            operation = conn.co_connect()
            ended = advance(operation, waits)
            operation.close()
            if ended:
                conn.close()
                break
            assert conn.get_ssl_cipher() is None
            assert not conn.response_pending()
        wait_until(lambda: open_descriptors() <= before + 1)  # the server closes as well


@pytest.mark.reliability(45)
def test_interrupted_proxy_handshake_leaves_it_closed(trusting, certificate):
    def proxy(sock):
        assert read_head(sock).startswith(b"CONNECT localhost:443 HTTP/1.1\r\n")
        for byte in b"HTTP/1.1 200 Go\r\nVia: " + b"x" * 10_000:  # until the client goes away
            sock.sendall(bytes([byte]))
            time.sleep(0.001)

    with ScriptedServer(proxy) as server:
        for waits in range(1, 20, 3):
            conn = HTTPConnection("localhost", 443, trusting, ("127.0.0.1", server.port))
            operation = conn.co_connect()
            assert not advance(operation, waits)
            operation.close()
            with pytest.raises(StateError):
                conn.read_response()


@pytest.mark.parametrize("tls", [False, True], ids=["plain", "tls"])
def test_request_partly_written_breaks_the_connection(tls, certificate, trusting):
    def handler(sock):
        if read_head(sock).startswith(b"GET"):
            sock.sendall(OK)
        else:
            given_up.wait(30)

    given_up = threading.Event()
    context = certificate.server_context() if tls else None
    with ScriptedServer(handler, context) as server:
        conn = HTTPConnection("127.0.0.1", server.port, trusting if tls else None, timeout=10)
        with conn:
            conn.connect()
            operation = conn.co_send_request("PUT", "/", body=bytes(50 << 20))
            next(operation)
            operation.close()
            given_up.set()
            for use in (lambda: conn.send_request("GET", "/"), conn.read_response, conn.connect):
                with pytest.raises(ConnectionClosed, match="given up in the middle"):
                    use()
            conn.reset()
            conn.send_request("GET", "/")
            assert conn.read_response().status == 200


def test_body_partly_written_breaks_the_connection():
    def handler(sock):
        read_head(sock)
        given_up.wait(30)

    given_up = threading.Event()
    with ScriptedServer(handler) as server, HTTPConnection("127.0.0.1", server.port) as conn:
        conn.send_request("PUT", "/", body=BodyFollowing())
        operation = conn.co_write(bytes(50 << 20))
        next(operation)
        operation.close()
        given_up.set()
        with pytest.raises(ConnectionClosed):
            conn.write(b"x")
        conn.reset()
        assert not conn.response_pending()


def test_between_two_writes_nothing_is_lost():
    def handler(sock):
        read_head(sock)
        body = read_exactly(sock, 6)
        sock.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\n" + body)

    with ScriptedServer(handler) as server, HTTPConnection("127.0.0.1", server.port) as conn:
        conn.send_request("PUT", "/", body=BodyFollowing(6))
        conn.write(b"abc")
        conn.co_write(b"never started").close()
        conn.write(b"def")
        conn.read_response()
        assert conn.readall() == b"abcdef"


@pytest.mark.reliability(45)
def test_reading_goes_on_where_it_stood(trickle):
    def step(make):
        """Interrupt one operation after one more wait each time."""
        for waits in range(1, NEVER):
            operation = make()
            try:
                for _ in range(waits):
                    next(operation).poll(30)
            except StopIteration as end:
                return end.value
            operation.close()
        raise AssertionError("no progress")

    with HTTPConnection("127.0.0.1", trickle.port) as conn:
        conn.send_request("GET", "/")
        conn.send_request("GET", "/")
        for _ in range(2):
            response = step(conn.co_read_response)
            assert (response.status, len(response.informational)) == (200, 1)
            assert step(conn.co_readall) == b"hello"
            assert response.trailers["X"] == "y"
        assert not conn.response_pending()


def test_interrupted_readall_keeps_what_it_had():
    def handler(sock):
        read_head(sock)
        sock.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 400000\r\n\r\n" + pattern(200000))
        read_head(sock)
        sock.sendall(pattern(400000)[200000:])

    for rest in ("readall", "read", "readinto"):
        with ScriptedServer(handler) as server:
            with HTTPConnection("127.0.0.1", server.port, timeout=20) as conn:
                conn.send_request("GET", "/")
                conn.read_response()
                conn.timeout = 0.3
                with pytest.raises(ConnectionTimedOut):
                    conn.readall()
                conn.timeout = 20
                conn.send_request("GET", "/")
                if rest == "readall":
                    body = conn.readall()
                elif rest == "read":
                    body = b"".join(iter(lambda: conn.read(70000), b""))
                else:
                    buffer = bytearray(70000)
                    pieces = []
                    while count := conn.readinto(buffer):
                        pieces.append(bytes(buffer[:count]))
                    body = b"".join(pieces)
                assert body == pattern(400000)


def test_deadline_leaves_a_reader_untouched(trickle):
    with HTTPConnection("127.0.0.1", trickle.port) as conn:
        conn.send_request("GET", "/")
        for _ in range(NEVER):
            try:
                response = run(within(time.monotonic() + 0.01, conn.co_read_response()))
            except ConnectionTimedOut:
                continue
            break
        assert response.status == 200
        assert conn.readall() == b"hello"


@pytest.mark.reliability(40)
@pytest.mark.feature("B54")
def test_response_that_nobody_reads_is_skipped():
    def handler(sock):
        for number in range(4):
            read_head(sock)
            body = b"body %d" % number
            sock.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body))

    with ScriptedServer(handler) as server:
        with HTTPConnection("127.0.0.1", server.port, timeout=10) as conn:
            exchanges = [conn.send_request("GET", f"/{number}") for number in range(4)]
            exchanges[0].abandon()
            exchanges[2].abandon()
            assert conn.read_response().path == "/1"
            assert conn.read(3) == b"bod"
            exchanges[1].abandon()  # in the middle of its body
            assert conn.read_response().path == "/3"
            assert conn.readall() == b"body 3"
            assert not conn.response_pending()
            with pytest.raises(StateError):
                conn.read_response()


@pytest.mark.parametrize("later", ["next", "none"])
def test_what_an_interrupted_readall_had_never_gets_into_another_body(later):
    def handler(sock):
        read_head(sock)
        if later == "next":
            read_head(sock)
        sock.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nfirst")
        read_head(sock)
        sock.sendall(b" body" + OK)
        read_head(sock)

    with ScriptedServer(handler) as server:
        with HTTPConnection("127.0.0.1", server.port, timeout=10) as conn:
            first = conn.send_request("GET", "/1")
            if later == "next":
                conn.send_request("GET", "/2")
            conn.read_response()
            operation = conn.co_readall()
            for _ in range(2):
                next(operation).poll(0.1)
            operation.close()
            conn.send_request("GET", "/3")  # has the server go on
            first.abandon()
            assert conn.read_response().path == ("/2" if later == "next" else "/3")
            assert conn.readall() == b"ok"


def test_reset_forgets_what_an_operation_had_that_ends_after_it():
    def handler(sock):
        read_head(sock)
        sock.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\npast")
        read_head(sock)

    with ScriptedServer(handler) as server:
        with HTTPConnection("127.0.0.1", server.port, timeout=10) as conn:
            for end in ("close", "resume"):
                conn.send_request("GET", "/")
                conn.read_response()
                operation = conn.co_readall()
                for _ in range(2):
                    next(operation).poll(0.1)
                conn.reset()
                conn.send_request("GET", "/")
                if end == "close":
                    operation.close()
                else:
                    with pytest.raises(ConnectionClosed):
                        next(operation)
                conn.read_response()
                assert conn.read(4) == b"past", end
                conn.reset()


def test_skipping_may_be_interrupted_as_well(trickle):
    with HTTPConnection("127.0.0.1", trickle.port) as conn:
        conn.send_request("GET", "/1").abandon()
        conn.send_request("GET", "/2")
        for waits in range(1, NEVER):
            operation = conn.co_read_response()
            try:
                for _ in range(waits):
                    next(operation).poll(30)
            except StopIteration as end:
                assert end.value.path == "/2"
                break
            operation.close()
        assert conn.readall() == b"hello"


@pytest.mark.reliability(45)
def test_failed_connections_leave_no_descriptor():
    with servers.refusing_port() as port:
        before = open_descriptors()
        for _ in range(100):
            with pytest.raises(ConnectionError):
                HTTPConnection("127.0.0.1", port).connect()
        assert open_descriptors() <= before


@pytest.mark.reliability(45)
def test_dropped_connections_leave_no_descriptor():
    with ScriptedServer(answering(OK)) as server:
        conn = HTTPConnection("127.0.0.1", server.port)
        conn.send_request("GET", "/")
        conn.read_response()
        before = open_descriptors()
        del conn  # as an error would: nobody closes it
        assert open_descriptors() < before


def co_get(conn):
    yield from conn.co_send_request("GET", "/")
    response = yield from conn.co_read_response()
    return response.status, (yield from conn.co_readall())


@pytest.mark.feature("C37")
@pytest.mark.reliability(45)
@pytest.mark.parametrize("tls", [False, True], ids=["plain", "tls"])
def test_request_given_up_at_any_wait_can_be_made_again(tls, certificate, trusting, monkeypatch):
    """Looking up, connecting, tunnel, handshake, head, body: after a reset all is as before."""
    # Wait for the connection on loopback too.
    monkeypatch.setattr(connecting, "CONNECTS_TWICE", False)
    context = certificate.server_context()

    def slow_origin(sock):
        if not read_head(sock):
            return  # given up before
        for byte in OK:
            sock.sendall(bytes([byte]))
            time.sleep(0.0005)

    def proxy(sock):
        if not tls:
            slow_origin(sock)
            return
        read_head(sock)
        sock.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
        with context.wrap_socket(sock, server_side=True) as inner:
            slow_origin(inner)

    with ScriptedServer(proxy) as server:
        conn = HTTPConnection(
            "localhost",
            80,
            trusting if tls else None,
            ("localhost", server.port),  # which is looked up
            timeout=10,
        )
        before = open_descriptors()
        for waits in range(NEVER):
            operation = co_get(conn)
            if advance(operation, waits):
                break
            operation.close()
            conn.reset()
            assert not conn.response_pending()
            wait_until(lambda: open_descriptors() <= before)  # those of the server as well
        assert waits >= 2  # more, unless the server is faster than we are
        conn.reset()
        assert run(co_get(conn)) == (200, b"ok")
        conn.close()
