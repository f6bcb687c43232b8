"""What the operations of a loop wait for, as `stuck` lists it."""

import socket
import sys
import threading
import time

import pytest
from kit import h2_frames as frames
from kit.support import ScriptedServer, black_hole, read_head, wait_until

from dugong_like import (
    POLLIN,
    POLLOUT,
    HTTPConnection,
    InvalidOption,
    LoopThread,
    LoopThreads,
    PollNeeded,
    RateLimit,
    Request,
    Wake,
    both,
    first_of,
    stall,
    stuck,
    within,
)
from dugong_like.drivers.loop import BACKENDS, Loop
from dugong_like.drivers.stuck import Waiting

LOOPS = [Loop, LoopThread, lambda: LoopThreads(2)]


def silent(sock):
    while sock.recv(65536):
        pass


@pytest.fixture
def server():
    with ScriptedServer(silent) as server:
        yield server


def co_crawl(conn, path):
    yield from conn.co_send_request("GET", "/robots.txt")
    earlier = yield from conn.co_read_response()
    yield from conn.co_readall()
    yield from conn.co_exchange("GET", path)
    return earlier


def co_user(wake):
    yield from wake.co_wait()


def co_own(op):
    """A combinator of the user's."""
    while True:
        yield next(op)


def listed(*ops):
    """Return what `stuck` lists when all of *ops* wait on a thread."""
    with LoopThread() as thread:
        futures = [thread.submit(op) for op in ops]

        def all_wait():
            assert [future.exception() for future in futures if future.done()] == []
            found[:] = stuck(thread)
            return len(found) == len(ops) and "checkpoint" not in str(found)

        found = []
        wait_until(all_wait)
        return found


@pytest.mark.feature("B38")
@pytest.mark.parametrize("make", LOOPS[1:], ids=["thread", "threads"])
def test_from_another_thread(make, server):
    conns = [HTTPConnection("127.0.0.1", server.port) for _ in range(3)]
    with make() as loop, Wake("pool") as wake:
        assert stuck(loop) == []
        futures = [loop.submit(conn.co_exchange("GET", f"/{n}")) for n, conn in enumerate(conns)]
        futures.append(loop.submit(co_user(wake)))
        wait_until(lambda: sorted(str(one.reason) for one in stuck(loop)) == REASONS)
        origin = f"http://127.0.0.1:{server.port}"
        found = stuck(loop)
        assert {one.connection for one in found} == {f"GET {origin}/{n}" for n in range(3)} | {""}
        [user] = [one for one in found if one.reason == "pool"]
        assert (user.operation, user.fd, user.mask) == ("co_user", wake.fd, POLLIN)
        assert user.seconds is None
        wake.set()
        futures[-1].result(100)
        wait_until(lambda: len(stuck(loop)) == 3)
    assert stuck(loop) == []


REASONS = ["pool", "response head", "response head", "response head"]


@pytest.mark.parametrize("backend", BACKENDS)
def test_an_operation_of_the_same_loop_asks(backend, server):
    conn = HTTPConnection("127.0.0.1", server.port)

    def co_ask():
        with Wake() as never:
            while not (found := stuck(loop)) or found[0].reason != "response head":
                yield from never.co_wait(time.monotonic() + 0.01)
        return found

    with Loop(backend) as loop:
        loop.spawn(conn.co_exchange("GET", "/"))
        [one] = loop.run(co_ask())  # without that which asks
        assert one.connection == f"GET http://127.0.0.1:{server.port}/"


def test_each_operation_is_named_with_its_connection():
    over = threading.Event()
    with ScriptedServer(lambda _: over.wait(100)) as server:
        check_names(server)
        over.set()


def check_names(server):
    origin = f"http://127.0.0.1:{server.port}"
    conn = HTTPConnection("127.0.0.1", server.port)
    other = HTTPConnection("127.0.0.1", server.port)
    ops = [
        conn.co_exchange("GET", "/a?token=hush"),
        conn.co_exchange("PUT", "/b"),
        other.co_exchange("PUT", "/c", body=bytes(30_000_000)),
        conn.co_exchange_all([("GET", "/d/1"), ("GET", "/d/2")]),
    ]
    found = {one.connection: one for one in listed(*ops)}
    assert {name: one.reason for name, one in found.items()} == {
        f"GET {origin}/a?token=[masked]": "response head",
        f"PUT {origin}/b": "turn",
        f"PUT {origin}/c": "send",
        f"GET {origin}/d/1": "turn",
    }
    assert found[f"PUT {origin}/c"].mask & POLLOUT


def test_a_request_of_an_earlier_step_is_not_taken_for_the_present_one():
    answer = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"

    def once(sock):
        read_head(sock)
        sock.sendall(answer)
        silent(sock)

    with ScriptedServer(once) as server:
        conn = HTTPConnection("127.0.0.1", server.port)

        def co_two():
            exchange = yield from conn.co_send_request("GET", "/first")
            response = yield from conn.co_read_response()
            yield from conn.co_send_request("GET", "/second")
            yield from conn.co_read_response()
            return exchange, response

        with LoopThread() as thread:
            thread.submit(co_two())
            wait_until(lambda: [one.connection[-7:] for one in stuck(thread)] == ["/second"])
            [one] = stuck(thread)
    assert (one.operation, one.reason) == (co_two.__qualname__, "response head")


def test_over_http2_the_one_that_receives_and_those_that_wait_for_it_are_named():
    def settings(sock):
        sock.sendall(frames.settings())
        silent(sock)

    with (
        ScriptedServer(settings) as server,
        HTTPConnection("127.0.0.1", server.port, versions=("h2",)) as conn,
    ):
        first, second = (conn.send_request("GET", f"/{n}") for n in range(2))
        found = listed(first.co_read_response(), second.co_read_response())
    assert sorted((one.reason, one.connection[-2:]) for one in found) in (
        [("response head", "/0"), ("stream", "/1")],
        [("response head", "/1"), ("stream", "/0")],
    )
    assert all((one.seconds is not None) == (sys.platform == "linux") for one in found)


def test_responses_that_are_read_by_their_exchanges(server):
    conn = HTTPConnection("127.0.0.1", server.port)
    first, second = (conn.send_request("GET", f"/{n}") for n in range(2))
    found = listed(second.co_read_response(), first.co_read_response())
    assert sorted((one.reason, one.connection[-2:]) for one in found) == [
        ("response head", "/0"),
        ("turn", "/1"),
    ]
    conn.disconnect()


def test_connecting_and_names(slow_names):
    with black_hole() as (host, port):
        conn = HTTPConnection(host, port)
        named = HTTPConnection("slow.example", 80)
        found = listed(conn.co_exchange("GET", "/x"), named.co_send_request("GET", "/y"))
    assert sorted((one.reason, one.connection) for one in found) == [
        ("connect", f"GET http://{host}:{port}/x"),
        ("dns", "GET http://slow.example/y"),
    ]


@pytest.mark.parametrize(
    "wrapped",
    [
        lambda op: within(time.monotonic() + 60, op),
        lambda op: stall(60, op),
        lambda op: both(op, RateLimit(0.001).co_take(100)),
        lambda op: first_of(RateLimit(0.001).co_take(100), op),
        lambda op: stall(50, within(time.monotonic() + 60, first_of(op))),
        co_own,
    ],
    ids=["within", "stall", "both", "first_of", "nested", "of a user"],
)
def test_operations_inside_of_combinators(wrapped, server):
    conn = HTTPConnection("127.0.0.1", server.port)
    [one] = listed(wrapped(conn.co_exchange("GET", "/x")))
    assert one.connection == f"GET http://127.0.0.1:{server.port}/x"
    assert "response head" in one.reason


def test_no_code_of_the_users_objects_runs(server):
    class Touchy:
        def __getattribute__(self, name):
            raise AssertionError(name)

    class Items(list):
        __iter__ = __getitem__ = __len__ = None

    conn = HTTPConnection("127.0.0.1", server.port)

    def co_own(touchy, items, op):
        while True:
            many = [touchy] * 5000
            yield next(op)
            del many

    [one] = listed(co_own(Touchy(), Items(), conn.co_exchange("GET", "/x")))
    assert one.connection == f"GET http://127.0.0.1:{server.port}/x"


def test_two_connections_in_one_operation(server):
    conns = [HTTPConnection("127.0.0.1", server.port) for _ in range(2)]
    [one] = listed(both(*(conn.co_exchange("GET", f"/{n}") for n, conn in enumerate(conns))))
    origin = f"http://127.0.0.1:{server.port}"
    assert one.connection == f"GET {origin}/0, GET {origin}/1"
    assert one.reason == "response head"


def test_a_pipeline_and_a_stream_with_callbacks(server):
    from dugong_like import Pipeline

    origin = f"http://127.0.0.1:{server.port}"
    conn = HTTPConnection("127.0.0.1", server.port)
    pipeline = Pipeline(conn, [Request("GET", f"/{n}") for n in range(3)])
    [one] = listed(pipeline.co_next())
    assert (one.reason, one.connection) == ("response head", f"GET {origin}/0")
    conn = HTTPConnection("127.0.0.1", server.port)
    [one] = listed(conn.request(Request("GET", "/s")).co_complete())
    assert one.connection == f"GET {origin}/s"


def test_operations_that_are_no_generators(server):
    class Operation:
        def __init__(self, fd):
            self._fd = fd

        def __iter__(self):
            return self

        def __next__(self):
            return PollNeeded(self._fd, POLLIN)

        def throw(self, *exc):
            raise exc[0]

        def close(self):
            pass

    sock, other = socket.socketpair()
    with sock, other:
        [one] = listed(Operation(sock.fileno()))
    assert one.operation.endswith("Operation")
    assert (one.reason, one.connection, one.seconds) == (None, "", None)


@pytest.mark.skipif(sys.platform != "linux", reason="other systems do not say it")
def test_only_those_on_whose_connection_nothing_has_moved(server):
    def chatter(sock):
        read_head(sock)
        sock.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n")
        while not over.wait(0.01):
            sock.sendall(b"x")

    over = threading.Event()
    with ScriptedServer(chatter) as talks, LoopThread() as thread:
        quiet = HTTPConnection("127.0.0.1", server.port)
        busy = HTTPConnection("127.0.0.1", talks.port)
        with Wake() as wake:
            thread.submit(quiet.co_exchange("GET", "/quiet"))
            thread.submit(busy.co_exchange("GET", "/busy"))
            thread.submit(co_user(wake))
            wait_until(
                lambda: any(
                    (one.seconds or 0) >= 0.2 and one.connection.endswith("/quiet")
                    for one in stuck(thread)
                )
            )
            found = stuck(thread, 0.2)
            assert {one.connection[-6:] for one in found} >= {"", "/quiet"}
            assert all(one.seconds is None or one.seconds >= 0.2 for one in found)
            assert {one.connection[-6:] for one in stuck(thread, 1_000_000)} == {""}
            over.set()


def test_over_tls_and_a_unix_socket(trusting, certificate, tmp_path):
    with (
        ScriptedServer(silent, certificate.server_context()) as secure,
        ScriptedServer(silent, path=str(tmp_path / "s")),
    ):
        conn = HTTPConnection("localhost", secure.port, trusting)
        conn.connect()
        [one] = listed(conn.co_exchange("GET", "/x"))
        assert one.reason == "response head"
        assert one.connection == f"GET https://localhost:{secure.port}/x"
        assert (one.seconds is not None) == (sys.platform == "linux")
        local = HTTPConnection("localhost", 80, uds=str(tmp_path / "s"))
        [one] = listed(local.co_exchange("GET", "/x"))
        assert (one.reason, one.seconds) == ("response head", None)
        conn.disconnect()
        local.disconnect()


def test_looking_disturbs_nothing():
    """Operations run as fast as they can, while another thread looks at them."""
    answer = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"

    def answers(sock):
        while read_head(sock):
            sock.sendall(answer)

    def co_many(conn):
        for number in range(100):
            reply = yield from conn.co_exchange("GET", f"/{number}")
            assert reply.body == b"ok"
        return number

    with ScriptedServer(answers) as server, LoopThread() as thread:
        conns = [HTTPConnection("127.0.0.1", server.port) for _ in range(4)]
        futures = [thread.submit(co_many(conn)) for conn in conns]
        looks = 0
        while not all(future.done() for future in futures):
            for one in stuck(thread):
                assert one.operation == co_many.__qualname__
                assert one.fd >= 0
            looks += 1
        assert looks
        assert [future.result(0) for future in futures] == [99] * 4


def test_how_a_record_reads():
    assert repr(Waiting("co_get", "body", 7, POLLIN, "GET http://host/", 2.25)) == (
        "<co_get: body (fd 7 POLLIN), GET http://host/, nothing moved for 2.2 s>"
    )
    assert repr(Waiting("co_get", None, 7, POLLIN | POLLOUT, "", None)) == (
        "<co_get: None (fd 7 POLLIN|POLLOUT)>"
    )


def test_wrong_arguments():
    with pytest.raises(TypeError, match="loop is a Loop, LoopThread or LoopThreads, not int"):
        stuck(5)
    with Loop() as loop:
        assert stuck(loop, 5) == []
        with pytest.raises(TypeError, match="seconds"):
            stuck(loop, "5")
        with pytest.raises(TypeError, match="seconds"):
            stuck(loop, None)
        with pytest.raises(InvalidOption, match="seconds"):
            stuck(loop, -1)
