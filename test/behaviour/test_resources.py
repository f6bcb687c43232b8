"""What is used up: descriptors, threads and memory, by thousands of connections and requests."""

import contextlib
import gc
import itertools
import os
import resource
import socket
import ssl
import struct
import sys
import threading
import tracemalloc

import pytest
from kit import servers
from kit.cases import rest_slow
from kit.support import ScriptedServer, answering, open_descriptors, pattern, read_head, wait_until

from dugong_like import (
    BodyFollowing,
    ConnectFailed,
    ConnectionClosed,
    ConnectionTimedOut,
    DNSUnavailable,
    HandshakeFailed,
    HTTPConnection,
    InvalidResponse,
    TransportError,
    both,
    run,
)
from dugong_like.transport.connect import helper_threads

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
HELPER = "dugong_like-dns"  # threads that stay for a while, at most 8 of them that answer


@pytest.fixture
def leaves_nothing(monkeypatch):
    """See that no descriptor and no thread is left, and that nothing has to be collected."""
    problems = []
    monkeypatch.setattr(sys, "unraisablehook", problems.append)
    gc.collect()
    descriptors = open_descriptors()
    threads = threading.active_count() - len(helpers())
    older_helpers = helpers()  # those that a test before left in a name look-up that hangs
    gc.disable()
    try:
        yield
        wait_until(lambda: open_descriptors() <= descriptors)
        wait_until(lambda: threading.active_count() - len(helpers()) <= threads)
    finally:
        gc.enable()
    gc.collect()
    assert not problems, [(problem.object, problem.exc_value) for problem in problems]
    assert len(set(helpers()) - set(older_helpers)) <= 8


def helpers():
    return [thread for thread in threading.enumerate() if thread.name == HELPER]


# ---- a thousand connections that fail


def reset(sock):
    read_head(sock)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


def silence(sock):
    read_head(sock)
    sock.recv(1)


def get(conn):
    conn.send_request("GET", "/")
    conn.read_response()
    return conn.readall()


def give_up(conn):
    """Drop the connection, and an operation that waits, without closing either."""
    conn.send_request("GET", "/")
    operation = conn.co_read_response()
    next(operation)


def nothing(conn):
    """Drop it at once."""


def most_with_slow(names, always):
    """Return parameters of which only those of *always* are run without ``--slow``."""
    return [
        name if name in always else pytest.param(name, marks=pytest.mark.slow) for name in names
    ]


TRUNCATED = b"HTTP/1.1 200 OK\r\nContent-Length: 5000\r\n\r\nshort"
# what the server does, what the client does, and what comes out
FAILURES = {
    "reset": (reset, get, ConnectionClosed),
    "garbage": (answering(b"garbage\r\n\r\n"), get, InvalidResponse),
    "garbage-in-body": (
        answering(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello?"),
        get,
        InvalidResponse,
    ),
    "truncated": (answering(TRUNCATED), get, ConnectionClosed),
    "nothing": (answering(b""), get, ConnectionClosed),
    "timed-out": (silence, get, ConnectionTimedOut),
    "dropped": (silence, give_up, None),
    "connected-and-dropped": (silence, nothing, None),
    "answered-and-dropped": (answering(OK), get, None),
}


@pytest.mark.reliability(45)
@pytest.mark.usefixtures("leaves_nothing")
@pytest.mark.parametrize("failure", most_with_slow(FAILURES, {"reset", "answered-and-dropped"}))
def test_a_thousand_connections_leave_nothing(failure):
    serve, use, exception = FAILURES[failure]
    timeout = 0.001 if exception is ConnectionTimedOut else 20
    with ScriptedServer(serve) as server:
        for number in range(1000):
            conn = HTTPConnection("127.0.0.1", server.port)
            conn.connect()
            conn.timeout = timeout
            with pytest.raises(exception) if exception else contextlib.nullcontext():
                use(conn)
            del conn
            wait_until(lambda: server.connections > number - 50)  # noqa: B023 - called at once
        wait_until(lambda: server.connections == 1000)


@pytest.mark.reliability(45)
@pytest.mark.usefixtures("leaves_nothing")
def test_a_thousand_refused_connections_leave_nothing():
    with servers.refusing_port() as port:
        for _ in range(1000):
            with pytest.raises(ConnectFailed):
                HTTPConnection("127.0.0.1", port).connect()


@pytest.mark.reliability(45)
@pytest.mark.usefixtures("leaves_nothing")
@pytest.mark.parametrize("failure", most_with_slow(["garbage", "unknown", "hung up"], {"hung up"}))
def test_a_thousand_failed_handshakes_leave_nothing(failure, certificate):
    context = certificate.server_context() if failure == "unknown" else None

    def serve(sock):
        if failure == "garbage":
            sock.sendall(b"garbage of at least five bytes")
            sock.recv(1)

    suspicious = ssl.create_default_context()  # which knows nothing of the certificate
    with ScriptedServer(serve, context) as server:
        for _ in range(1000):
            conn = HTTPConnection("127.0.0.1", server.port, suspicious, timeout=20)
            with pytest.raises(HandshakeFailed):
                conn.connect()


@pytest.mark.reliability(45)
@pytest.mark.usefixtures("leaves_nothing")
def test_one_object_that_fails_a_thousand_times_leaves_nothing():
    """The same one, reset each time, with each failure in turn."""
    answers = itertools.cycle([b"garbage\r\n\r\n", TRUNCATED, b"", OK])

    def serve(sock):
        answering(next(answers))(sock)

    with ScriptedServer(serve) as server:
        conn = HTTPConnection("127.0.0.1", server.port, timeout=20)
        outcomes = []
        for _ in range(1000):
            try:
                outcomes.append(get(conn))
            except (ConnectionClosed, InvalidResponse) as exc:
                outcomes.append(type(exc))
            conn.reset()
        assert outcomes == [InvalidResponse, ConnectionClosed, ConnectionClosed, b"ok"] * 250


# ---- memory


@pytest.fixture
def traced():
    """Have memory traced; a function that says how many bytes are in use."""
    tracemalloc.start()

    def in_use():
        gc.collect()
        tracemalloc.reset_peak()
        return tracemalloc.get_traced_memory()[0]

    yield in_use
    tracemalloc.stop()


SENT = 1_000_000  # bytes of a body that says it has many more
ANNOUNCED = {
    "length": b"Content-Length: 1000000000000000000\r\n\r\n",
    "chunk": b"Transfer-Encoding: chunked\r\n\r\nffffffffffff\r\n",
}


@pytest.mark.reliability(14, 18)
@pytest.mark.parametrize("announced", ANNOUNCED)
@pytest.mark.parametrize("call", ["read", "readall", "discard"])
def test_memory_does_not_follow_announced_lengths(traced, announced, call):
    answer = b"HTTP/1.1 200 OK\r\n" + ANNOUNCED[announced] + pattern(SENT)
    received = 0
    with ScriptedServer(answering(answer)) as server:
        with HTTPConnection("127.0.0.1", server.port, timeout=20) as conn:
            conn.send_request("GET", "/")
            conn.read_response()
            before = traced()
            with pytest.raises(ConnectionClosed):
                while call == "read":
                    received += len(conn.read(10**9))
                getattr(conn, call)()
            peak = tracemalloc.get_traced_memory()[1] - before
            if call == "readall":
                received = len(conn.read(10**9))
    assert received == (0 if call == "discard" else SENT)
    # one piece of at most 262,144 bytes at a time; `readall` has to keep and to join them
    assert peak < (2.5 * SENT if call == "readall" else 600_000)


@pytest.mark.reliability(14)
def test_ten_thousand_pending_requests_cost_little(traced):
    """At most 300 bytes for each of them, its path included, and nothing after the reset."""
    count = 10_000
    buffer = bytearray(65536)  # made now, or it would be counted if the server is late

    def drain(sock):
        while sock.recv_into(buffer):
            pass

    with ScriptedServer(drain) as server:
        with HTTPConnection("127.0.0.1", server.port, timeout=20) as conn:
            conn.send_request("GET", "/")
            before = traced()
            for number in range(count):
                conn.send_request("GET", f"/{number}")
            each = (traced() - before) / count
            assert each < 300
            conn.reset()
            assert traced() - before < 20_000


CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\nX: y\r\n\r\n"


def co_get(conn):
    yield from conn.co_send_request("GET", "/", {"X-Some": "thing"})


def co_take(conn):
    response = yield from conn.co_read_response()
    assert response.headers
    assert (yield from conn.co_readall()) == b"ok"


def plainly(conn):
    run(co_get(conn))
    run(co_take(conn))


def with_body(conn):
    conn.send_request("PUT", "/", body=BodyFollowing(0))
    conn.send_request("PUT", "/", body=BodyFollowing(None))
    conn.finish({"X": "y"})
    for _ in range(2):
        run(co_take(conn))


def interleaved(conn):
    run(both(co_get(conn), co_take(conn)), timeout=20)


def given_up_and_again(conn):
    conn.send_request("GET", "/")
    operation = conn.co_read_response()
    next(operation)
    operation.close()
    run(co_take(conn))


def abandoned(conn):
    conn.send_request("GET", "/").abandon()
    plainly(conn)


@pytest.mark.reliability(45)
@pytest.mark.parametrize("tls", rest_slow(1, [False, True]), ids=["plain", "tls"])
def test_memory_does_not_grow_with_the_number_of_requests(traced, certificate, trusting, tls):
    """Thousands over one connection, in all ways in turn."""
    ways = [plainly, with_body, interleaved, given_up_and_again, abandoned]

    def serve(sock):
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for number in itertools.count():
            head = read_head(sock)
            if not head:
                return
            if b"chunked" in head:
                while not read_head(sock).endswith(b"\r\n\r\n"):
                    pass
            sock.sendall(CHUNKED if number % 2 else OK)

    context = certificate.server_context() if tls else None
    with ScriptedServer(serve, context) as server:
        client = trusting if tls else None
        with HTTPConnection("127.0.0.1", server.port, client, timeout=20) as conn:
            descriptors = None
            for number in range(3000):
                if number == 500:
                    before = traced()
                    descriptors = open_descriptors()
                ways[number % len(ways)](conn)
            assert traced() - before < 25_000  # ten bytes for each request: caches fill up, too
            assert open_descriptors() <= descriptors
            assert not conn.response_pending()
            assert server.connections == 1


@contextlib.contextmanager
def descriptors_left(count):
    """Leave *count* descriptors to the process."""
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    highest = max(map(int, os.listdir("/proc/self/fd")))
    resource.setrlimit(resource.RLIMIT_NOFILE, (highest + 1 + count, limits[1]))
    fillers = []
    try:
        with contextlib.suppress(OSError):
            while True:
                fillers.append(os.dup(0))
        for _ in range(count):
            os.close(fillers.pop())
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)
        for filler in fillers:
            os.close(filler)


@pytest.mark.reliability(30, 45)
@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "::1%nonsense"])
@pytest.mark.parametrize("left", range(6))
def test_no_descriptors_left_is_an_error_of_the_library(host, left, trusting):
    with socket.create_server(("127.0.0.1", 0)) as silent:
        conn = HTTPConnection(host, silent.getsockname()[1], trusting, timeout=0.3)
        descriptors = open_descriptors()
        with descriptors_left(left), pytest.raises(TransportError):
            conn.connect()
        wait_until(lambda: open_descriptors() <= descriptors)  # a name may still be looked up
        conn.close()


def test_no_threads_left_is_an_error_of_the_library(monkeypatch):
    def start(thread):
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(helper_threads, "_helpers", helper_threads.Helpers())
    monkeypatch.setattr(threading.Thread, "start", start)
    with pytest.raises(DNSUnavailable, match="can't start new thread"):
        HTTPConnection("localhost", 1).connect()
    monkeypatch.undo()
