"""What operations of connections wait for, at each step of a request."""

import gc
import math
import socket
import threading
import time
import weakref

import pytest
from kit import h2_frames as frames
from kit.support import ScriptedServer, black_hole, read_exactly, read_head

from dugong_like import (
    POLLIN,
    POLLOUT,
    BaseStream,
    BodyFollowing,
    Budget,
    CachingResolver,
    Exchange,
    HTTPConnection,
    PollNeeded,
    Proxy,
    RateLimit,
    Request,
    ScriptedStream,
    ScriptedTransport,
    Timeouts,
    both,
    within,
)
from dugong_like.connection import reasons

MUCH = 30_000_000  # bytes, more than all buffers between the two ends take


class Steps:
    """A server whose connections do one step of *steps* each time the client lets it."""

    def __init__(self, *steps, tls=None):
        self._steps = steps
        self._may = threading.Semaphore(0)
        self._server = ScriptedServer(self._handle, tls)

    def _handle(self, sock):
        for step in self._steps:
            if not self._may.acquire(timeout=30):
                return
            step(sock) if callable(step) else sock.sendall(step)

    def go(self):
        self._may.release()

    def __enter__(self):
        self._server.__enter__()
        self.port = self._server.port
        return self

    def __exit__(self, *exc):
        for _ in self._steps:
            self.go()
        self._server.__exit__(*exc)


def take_much(sock):
    left = MUCH
    while left:
        left -= len(sock.recv(min(left, 1_000_000)))


def co_user(op):
    """A generator of the user's around one of ours, which takes its waits in its own hands."""
    result = yield from within(time.monotonic() + 60, op)
    return result


def run(op, on):
    """Run *op*, and return its result and the reasons of its waits, repetitions left out.

    Args:
        op: the operation.
        on: what to call the first time that a reason is seen, by the reason.

    """
    on, seen = dict(on), []
    try:
        while True:
            need = next(op)
            reason = need.reason
            if reason != "checkpoint" and seen[-1:] != [reason]:
                seen.append(reason)
            if (call := on.pop(reason, None)) is not None:
                call()
            limit = 30 if need.deadline is None else min(need.deadline - time.monotonic(), 30)
            assert need.poll(max(limit, 0)) or need.deadline is not None, f"{reason} takes too long"
    except StopIteration as end:
        return end.value, seen
    finally:
        op.close()


HEAD = b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n"


class OwnStream(BaseStream):
    """A stream of the user's over a socket, whose waits say nothing."""

    def __init__(self, sock):
        self._sock = sock
        self.fd = sock.fileno()

    def recv_into(self, buffer):
        try:
            return self._sock.recv_into(buffer)
        except BlockingIOError:
            return None

    def send(self, parts):
        try:
            return self._sock.send(parts[0])
        except BlockingIOError:
            return None

    def wanted_by_recv(self, deadline):
        self.waiting = True
        return PollNeeded(self.fd, POLLIN, deadline)

    def wanted_by_send(self, deadline, *, watch=False):
        return PollNeeded(self.fd, POLLOUT | (POLLIN if watch else 0), deadline)

    def close(self):
        self._sock.close()


class OwnTransport:
    def co_connect_tcp(self, host, port):
        yield from ()
        sock = socket.create_connection((host, port))
        sock.setblocking(False)
        return OwnStream(sock)

    def co_connect_unix(self, path):
        raise NotImplementedError


def co_get_in_steps(conn):
    yield from conn.co_send_request("GET", "/")
    yield from conn.co_read_response()
    return (yield from conn.co_readall())


def reached(op, reason, before=("dns", "connect", "checkpoint")):
    """Resume *op* until it waits for *reason*, and return that wait.

    It may wait for those of *before* until then.
    """
    while (need := next(op)).reason != reason:
        assert need.reason in before
        assert need.poll(30)
    return need


WAYS = ["tcp", "tls", "own", "own, tls"]


@pytest.fixture
def connect(certificate, trusting):
    """A function that connects to the port of a server on one of `WAYS`."""

    def connect(way, port, **options):
        if way.startswith("own"):
            options["transport"] = OwnTransport()
        return HTTPConnection("localhost", port, trusting if "tls" in way else None, **options)

    return connect


@pytest.fixture
def tls_of(certificate):
    return lambda way: certificate.server_context() if "tls" in way else None


@pytest.mark.parametrize("user", [lambda op: op, co_user], ids=["ours", "of a user"])
@pytest.mark.parametrize("limits", [{}, {"total": 50}, {"stall": 50}], ids=str)
@pytest.mark.parametrize("way", WAYS)
def test_each_step_of_an_exchange(way, limits, user, connect, tls_of):
    with (
        Steps(read_head, HEAD + b"12345", b"67890", tls=tls_of(way)) as server,
        connect(way, server.port, timeout=Timeouts(**limits)) as conn,
    ):

        def answer():
            server.go()
            server.go()

        steps = {"response head": answer, "body": server.go}
        reply, seen = run(user(conn.co_exchange("GET", "/")), steps)
    assert reply.body == b"1234567890"
    assert seen[-2:] == ["response head", "body"]
    assert {*seen[:-2]} <= {"dns", "connect", "tls"}


@pytest.mark.parametrize("way", WAYS)
def test_each_step_of_the_single_calls(way, connect, tls_of):
    steps = [read_head, HEAD + b"12345", b"67890", take_much]
    with (
        Steps(*steps, tls=tls_of(way)) as server,
        connect(way, server.port) as conn,
    ):
        conn.send_request("GET", "/")
        server.go()
        response, seen = run(conn.co_read_response(), {"response head": server.go})
        assert (response.status, seen) == (200, ["response head"])
        body, seen = run(conn.co_readall(), {"body": server.go})
        assert (body, seen) == (b"1234567890", ["body"])
        conn.send_request("PUT", "/", body=BodyFollowing(MUCH))
        _, seen = run(conn.co_write(bytes(MUCH)), {"send": server.go})
        assert seen == ["send"]


SETTINGS = frames.settings()
HEAD_TWO = frames.headers(1, frames.OK, ("content-length", "10"))
PART, LAST = frames.data(1, b"12345"), frames.data(1, b"67890", end=True)


def read_preface(sock):
    read_exactly(sock, len(frames.PREFACE))


@pytest.mark.parametrize(
    "co_get",
    [
        lambda conn: conn.co_exchange("GET", "/"),
        lambda conn: conn.co_exchange("POST", "/", body=b"x"),
        lambda conn: conn.co_exchange_all([("GET", "/")]),
        co_get_in_steps,
    ],
    ids=["exchange", "with a body", "batch", "single calls"],
)
def test_each_step_of_an_exchange_over_http2(co_get):
    with (
        Steps(read_preface, SETTINGS + HEAD_TWO + PART, LAST) as server,
        HTTPConnection("localhost", server.port, versions=("h2",)) as conn,
    ):

        def answer():
            server.go()
            server.go()

        got, seen = run(co_get(conn), {"response head": answer, "body": server.go})
    assert got
    assert seen[-2:] == ["response head", "body"]
    assert {*seen[:-2]} <= {"dns", "connect"}


def test_sending_over_http2():
    opened = frames.window_update(0, MUCH) + frames.window_update(1, MUCH)
    with (
        Steps(read_preface, SETTINGS, opened, take_much) as server,
        HTTPConnection("localhost", server.port, versions=("h2",)) as conn,
    ):
        server.go()
        server.go()
        run(conn.co_send_request("PUT", "/", body=BodyFollowing(MUCH)), {})
        _, seen = run(conn.co_write(bytes(MUCH)), {"window": server.go, "send": server.go})
        assert [*dict.fromkeys(seen)][:2] == ["window", "send"]


@pytest.mark.parametrize("way", WAYS)
def test_both_directions_at_once(way, connect, tls_of):
    with (
        Steps(lambda _: None, tls=tls_of(way)) as server,
        connect(way, server.port) as conn,
    ):
        conn.send_request("PUT", "/", body=BodyFollowing(MUCH))
        writing, reading = conn.co_write(bytes(MUCH)), conn.co_read_response()
        reached(writing, "send", before=["checkpoint"])
        reached(reading, "response head")
        reached(writing, "send", before=["checkpoint"])
        reading.close()
        reached(op := both(writing, conn.co_read_response()), "send or response head")
        op.close()


@pytest.mark.parametrize("resolver", [None, "function", "cache"])
def test_name_look_up(resolver, slow_names):
    go_on = threading.Event()

    def slow(host, port):
        go_on.wait(30)
        raise socket.gaierror(socket.EAI_NONAME, "too late")

    options = {"function": {"resolver": slow}, "cache": {"resolver": CachingResolver(slow)}}
    ops = [
        HTTPConnection("slow.example", 80, **options.get(resolver, {})).co_connect()
        for _ in range(2)
    ]
    for op in ops:
        assert next(op).reason == "dns"
    go_on.set()
    for op in ops:
        op.close()


def test_connecting():
    with black_hole() as (host, port):
        reached(op := HTTPConnection(host, port).co_connect(), "connect")
        op.close()
        reached(op := HTTPConnection("localhost", port, timeout=30).co_connect(), "connect")
        op.close()


def silent(sock):
    while sock.recv(65536):
        pass


@pytest.mark.parametrize(
    "options",
    [{}, {"transport": OwnTransport()}, {"timeout": 30}],
    ids=["tcp", "own", "timeout"],
)
def test_tls_handshake(options, trusting):
    with ScriptedServer(silent) as server:
        conn = HTTPConnection("localhost", server.port, trusting, **options)
        need = reached(op := conn.co_exchange("GET", "/"), "tls")
        assert op.send(None).reason == "tls"  # a needless resumption
        assert (need.deadline is None) == ("timeout" not in options)
        op.close()


@pytest.mark.parametrize("scheme", ["http", "socks5", "socks4a"])
def test_conversation_with_a_proxy(scheme, trusting):
    with ScriptedServer(silent) as server:
        proxy = f"{scheme}://127.0.0.1:{server.port}"
        conn = HTTPConnection("127.0.0.1", 443, trusting, proxy=proxy)
        reached(op := conn.co_connect(), "proxy")
        op.close()


def test_tls_handshake_with_a_proxy(trusting):
    with ScriptedServer(silent) as server:
        proxy = Proxy(f"https://localhost:{server.port}", ssl_context=trusting)
        conn = HTTPConnection("127.0.0.1", 80, proxy=proxy)
        reached(op := conn.co_connect(), "tls")
        op.close()


def test_100_continue():
    steps = [read_head, b"HTTP/1.1 100 Go\r\n\r\n", lambda sock: sock.recv(3), HEAD]
    with Steps(*steps) as server, HTTPConnection("127.0.0.1", server.port) as conn:
        conn.send_request("PUT", "/", body=BodyFollowing(3), expect100=True)
        server.go()
        _, seen = run(conn.co_read_response(), {"100 (Continue)": server.go})
        assert seen == ["100 (Continue)"]
        conn.write(b"abc")
        server.go()
        _, seen = run(conn.co_read_response(), {"response head": server.go})
        assert seen == ["response head"]
        conn.disconnect()


def test_the_turn_of_another_exchange():
    with ScriptedServer(silent) as server, HTTPConnection("127.0.0.1", server.port) as conn:
        reached(first := conn.co_exchange("GET", "/1"), "response head")
        reached(second := conn.co_exchange("GET", "/2"), "turn")
        reached(first, "response head")
        first.close()
        reached(second, "response head", before=["checkpoint"])
        second.close()


def test_the_turn_of_another_response():
    with ScriptedServer(silent) as server, HTTPConnection("127.0.0.1", server.port) as conn:
        first, second = (conn.send_request("GET", f"/{n}") for n in range(2))
        reached(late := second.co_read_response(), "turn")
        reached(early := first.co_read_response(), "response head")
        early.close()
        late.close()


def test_a_reader_that_is_there_before_its_request():
    with black_hole() as (host, port):
        conn = HTTPConnection(host, port)
        reached(sending := conn.co_send_request("GET", "/"), "connect")
        reached(reading := conn.co_read_response(), "request")
        sending.close()
        reading.close()


def test_maximum_rate():
    limit = RateLimit(1000, burst=20)
    with ScriptedServer(lambda sock: (read_head(sock), sock.sendall(HEAD + bytes(10)))) as server:
        conn = HTTPConnection("127.0.0.1", server.port, budget=Budget(download=limit))
        _, seen = run(conn.co_exchange("GET", "/"), {})
        conn.disconnect()
    assert "rate limit" in seen


def test_the_end_of_a_connection():
    with ScriptedServer(silent) as server, HTTPConnection("127.0.0.1", server.port) as conn:
        conn.connect()
        reached(op := conn.co_wait_closed(), "close")
        op.close()


def test_streams_with_callbacks_wait_for_those_before_them():
    with ScriptedServer(silent) as server, HTTPConnection("127.0.0.1", server.port) as conn:
        ops = [conn.request(Request("POST", f"/{n}", {}, b"1")).co_complete() for n in range(2)]
        reached(ops[0], "response head")
        assert "turn" in reached_any(ops[1])
        for op in ops:
            op.close()


def reached_any(op):
    while (need := next(op)).reason == "checkpoint":
        assert need.poll(30)
    return need.reason


def test_after_an_upgrade_there_is_only_receiving_and_sending():
    def switching(sock):
        read_head(sock)
        sock.sendall(switch)
        sock.recv(1)

    switch = b"HTTP/1.1 101 Go\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n"
    with (
        ScriptedServer(
            lambda sock: (read_head(sock), sock.sendall(switch), sock.recv(1))
        ) as server,
        HTTPConnection("127.0.0.1", server.port) as conn,
    ):
        conn.send_request("GET", "/", {"Upgrade": "x", "Connection": "upgrade"})
        with conn.read_response().stream as stream:
            reached(op := stream.co_read(10), "receive")
            op.close()


def test_a_scripted_stream():
    stream = ScriptedStream([math.inf])
    conn = HTTPConnection("host.example", 80, transport=ScriptedTransport(stream))
    reached(op := conn.co_exchange("GET", "/"), "response head")
    op.close()


def test_a_descriptor_that_belongs_to_another_connection_by_now():
    def half(sock):
        read_head(sock)
        sock.sendall(HEAD)
        silent(sock)

    with ScriptedServer(silent) as server, ScriptedServer(half) as answers:
        conn = HTTPConnection("127.0.0.1", server.port)
        fd = reached(op := conn.co_exchange("GET", "/"), "response head")[0]
        op.close()
        conn.disconnect()
        assert reasons.reason_of(fd, POLLIN) is None
        other = HTTPConnection("127.0.0.1", answers.port)
        other.send_request("GET", "/")
        other.read_response()
        need = reached(op := other.co_readall(), "body")
        assert reasons.reason_of(need[0], POLLIN) == "body"
        op.close()
        other.disconnect()
        assert reasons.reason_of(need[0], POLLIN) is None


def test_asking_keeps_no_connection_alive():
    with ScriptedServer(silent) as server:
        conn = HTTPConnection("127.0.0.1", server.port)
        reached(op := conn.co_exchange("GET", "/"), "response head")
        op.close()
        session = weakref.ref(conn._session.shared)
        conn.disconnect()
        del conn, op
        gc.collect()
        assert session() is None


def test_what_an_operation_is_about():
    conn = HTTPConnection("example.org", 80)
    exchange = Exchange("GET", "/?token=secret")
    name = "http://example.org"
    assert reasons.subject_of([1, "x", None]) is None
    assert reasons.subject_of([conn]) == (name, None)
    shown = (f"GET {name}/?token=[masked]", None)
    assert reasons.subject_of([exchange, conn]) == shown
    assert reasons.subject_of([conn, exchange]) == shown
    assert reasons.subject_of([conn._session, exchange]) == shown
    assert reasons.subject_of([conn._session.shared]) == (name, None)
