"""Exchanges that call back: when, in which order, on which thread, and what ends them."""

import io
import json
import threading
import time
from concurrent.futures import CancelledError
from contextlib import ExitStack

import pytest
from kit.every_driver import DRIVERS
from kit.streams import ScriptedStream, connection, finish
from kit.support import ScriptedServer, answering, pattern, read_exactly, read_head, wait_until

from dugong_like import (
    BodyFollowing,
    ConnectionClosed,
    ConnectionTimedOut,
    Headers,
    HTTPConnection,
    InvalidRequest,
    InvalidResponse,
    Request,
    StateError,
    both,
    run,
    stuck,
)
from dugong_like.drivers.loop import Loop
from dugong_like.drivers.loopthread import LoopThread

OK = b"HTTP/1.1 200 OK\r\nX: 1\r\nX: 2\r\nContent-Length: 5\r\n\r\nhello"
NO = b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n"


class Log:
    """Callbacks that write down what they are told."""

    def __init__(self):
        self.lines = []
        self.threads = set()

    def on_response(self, http_stream, status_code, headers, **kwargs):
        self.threads.add(threading.current_thread().name)
        self.lines.append((http_stream.request.target, status_code, headers))

    def on_body(self, http_stream, chunk, **kwargs):
        self.lines.append((http_stream.request.target, bytes(chunk)))

    def on_done(self, http_stream, error, **kwargs):
        self.lines.append((http_stream.request.target, error))

    def stream(self, conn, method="GET", target="/", **options):
        request = Request(method, target, **options)
        return conn.request(request, self.on_response, self.on_body, self.on_done)


def said(target, error=None):
    fields = [("X", "1"), ("X", "2"), ("Content-Length", "5")]
    return [(target, 200, fields), (target, b"hello"), (target, error)]


@pytest.mark.feature("A9", "A10", "A11", "A17", "A18", "A19", "A20")
def test_nothing_is_sent_before_it_is_driven(monkeypatch):
    log, script = Log(), ScriptedStream()
    conn = connection(monkeypatch, script)
    stream = log.stream(conn, target="/a")
    assert stream.connection is conn
    stream.request.headers.add("X", "changed")
    stream.activate()
    assert script.sent == b""
    assert not stream.done
    assert stream.response_status_code is None
    assert stream.exception is None
    op = stream.co_run()
    next(op)
    assert b"X: changed\r\n" in script.sent
    script.incoming = [OK]

    assert finish(op) == 200

    assert log.lines == said("/a")
    assert stream.completion_future.result(0) == stream.response_status_code == 200
    assert stream.done
    assert stream.exception is None
    assert stream.response.reason == "OK"
    for again in (stream.run, stream.activate):
        with pytest.raises(StateError):
            again()
    assert stream.complete() == 200
    assert repr(stream) == "<HTTPStream GET /a>"


@pytest.mark.feature("A8", "A11", "A18")
@pytest.mark.parametrize("driver", DRIVERS)
@pytest.mark.parametrize("tls", [False, True], ids=["http", "https"])
def test_same_streams_under_every_driver(start, trusting, driver, tls):
    server = start("uvicorn-httptools", tls=tls)
    conn = HTTPConnection("localhost", server.port, trusting if tls else None, timeout=30)
    bodies = {}

    def on_body(http_stream, chunk, **kwargs):
        bodies.setdefault(http_stream.request.target, []).append(chunk)

    def co_all():
        streams = [
            conn.request(Request(target=f"/chunked/{size}"), on_body=on_body)
            for size in (100_000, 10, 300_000)
        ]
        streams.append(
            conn.request(
                Request("PUT", "/upload", body=io.BytesIO(pattern(200_000))), on_body=on_body
            )
        )
        for stream in streams:
            stream.activate()
        yield from both(streams[1].co_run(), streams[0].co_complete())
        yield from both(streams[3].co_complete(), streams[2].co_complete())
        yield from conn.co_close()
        return [stream.completion_future.result(0) for stream in streams]

    assert driver(co_all()) == [200] * 4
    joined = {target: b"".join(chunks) for target, chunks in bodies.items()}
    assert json.loads(joined["/upload"])["length"] == 200_000
    assert all(joined[f"/chunked/{size}"] == pattern(size) for size in (100_000, 10, 300_000))
    assert list(bodies) == ["/chunked/100000", "/chunked/10", "/chunked/300000", "/upload"]


@pytest.mark.feature("A10", "A11", "A12", "A13")
@pytest.mark.parametrize("driver", DRIVERS)
def test_callbacks_under_every_driver(driver):
    log, driving = Log(), set()

    def fail(**kwargs):
        raise ValueError("no")

    def co_run(stream):
        driving.add(threading.current_thread().name)
        return (yield from stream.co_run())

    with ScriptedServer(answering(OK, OK)) as server:
        with HTTPConnection("127.0.0.1", server.port, timeout=10) as conn:
            assert driver(co_run(log.stream(conn, target="/a"))) == 200
            assert log.lines == said("/a")
            assert log.threads == driving
            bad = conn.request(Request(target="/b"), fail)
            with pytest.raises(ValueError, match="no"):
                driver(co_run(bad))
            assert bad.completion_future.exception(0) is bad.exception


@pytest.mark.feature("A13")
@pytest.mark.parametrize("name", ["granian", "uvicorn-h11", "nginx"])
def test_streams_on_a_thread_are_pipelined_in_order(start, name):
    with LoopThread(name="here") as thread:
        conn = HTTPConnection("127.0.0.1", start(name).port)
        log = Log()
        streams = [log.stream(conn, target="/bytes/1024") for _ in range(20)]
        for stream in streams:
            stream.activate(thread)
        assert [stream.completion_future.result(10) for stream in streams] == [200] * 20
        assert len([line for line in log.lines if line[1] is None]) == 20
        assert log.threads == {"here"}
        assert conn.is_open()
        conn.close()
        assert conn.shutdown_future.result(30) is None


def test_what_may_be_repeated_is_pipelined_and_nothing_else():
    heads = []
    together = threading.Event()

    def serve(sock):
        for _ in range(3):
            heads.append(read_head(sock))
        together.set()
        sock.sendall(OK * 3)
        for method in (b"POST", b"GET"):
            assert read_head(sock).startswith(method)
            if method == b"POST":
                read_exactly(sock, 3)
            sock.settimeout(0.1)
            with pytest.raises(TimeoutError):
                sock.recv(1)
            sock.settimeout(30)
            sock.sendall(OK)

    with ScriptedServer(serve) as server, LoopThread() as thread:
        conn = HTTPConnection("127.0.0.1", server.port)
        log = Log()
        streams = [log.stream(conn, target=f"/{n}") for n in range(3)]
        streams.append(log.stream(conn, "POST", "/post", body=b"abc"))
        streams.append(log.stream(conn, target="/last"))
        for stream in streams:
            stream.activate(thread)
        assert [stream.completion_future.result(30) for stream in streams] == [200] * 5
        assert together.is_set()
        targets = ["/0", "/1", "/2", "/post", "/last"]
        assert log.lines == [line for target in targets for line in said(target)]
        conn.close()


def test_last_stream_on_a_connection_is_followed_by_a_new_connection():
    def serve(sock):
        read_head(sock)
        sock.sendall(OK.replace(b"X: 1", b"Connection: close"))

    with ScriptedServer(serve) as server, LoopThread() as thread:
        conn = HTTPConnection("127.0.0.1", server.port)
        streams = [
            conn.request(Request(headers=Headers([("Connection", "close")]))) for _ in range(4)
        ]
        for stream in streams:
            stream.activate(thread)
        assert [stream.completion_future.result(30) for stream in streams] == [200] * 4
        assert server.connections == 4
        conn.close()


def test_streams_that_nobody_drives_are_driven_by_those_behind(monkeypatch):
    log, script = Log(), ScriptedStream()
    conn = connection(monkeypatch, script)
    streams = [log.stream(conn, target=f"/{n}") for n in range(3)]
    for stream in reversed(streams):
        stream.activate()
    op = streams[0].co_run()
    script.incoming = []
    for _ in range(3):
        next(op)
        script.incoming = [OK]
    assert finish(op) == 200
    assert [line[0] for line in log.lines[::3]] == ["/2", "/1", "/0"]
    assert all(stream.done for stream in streams)


def test_limit_of_the_caller_ends_driving_others(monkeypatch):
    log, script = Log(), ScriptedStream()
    conn = connection(monkeypatch, script)
    streams = [log.stream(conn, target=f"/{n}") for n in range(3)]
    for stream in streams:
        stream.activate()
    op = streams[2].co_run()
    next(op)
    with pytest.raises(ConnectionTimedOut, match="mine"):
        op.throw(ConnectionTimedOut("mine"))
    assert isinstance(streams[2].exception, ConnectionTimedOut)
    assert not streams[1].done


@pytest.mark.feature("A12")
def test_exception_in_a_callback_ends_the_exchange_with_it(monkeypatch):
    problem = ValueError("no")

    def fail(**kwargs):
        raise problem

    for name in ("on_response", "on_body", "on_done"):
        scripts = [ScriptedStream(), ScriptedStream()]
        conn = connection(monkeypatch, *scripts)
        errors = []
        options = {"on_done": lambda error, to=errors, **kwargs: to.append(error), name: fail}
        stream = conn.request(Request(), **options)
        op = stream.co_run()
        next(op)
        scripts[0].incoming = [OK[:-2]] if name != "on_done" else [OK]

        with pytest.raises(ValueError, match="no"):
            finish(op)

        assert stream.exception is problem
        assert stream.completion_future.exception(0) is problem
        assert errors == ([] if name == "on_done" else [problem])
        assert conn.is_open() == (name == "on_done")  # there the response was complete
        conn.send_request("GET", "/")


def test_rest_of_a_failed_exchange_is_skipped_if_others_follow():
    def serve(sock):
        for _ in range(2):
            read_head(sock)
        sock.sendall(OK * 2)
        read_head(sock)
        sock.sendall(NO)

    def fail(**kwargs):
        raise ValueError("no")

    with ScriptedServer(serve) as server, LoopThread() as thread:
        conn = HTTPConnection("127.0.0.1", server.port)
        log = Log()
        bad = conn.request(Request(target="/bad"), on_response=fail)
        good = log.stream(conn, target="/good")
        for stream in (bad, good):
            stream.activate(thread)
        assert isinstance(bad.completion_future.exception(30), ValueError)
        assert good.completion_future.result(30) == 200
        assert log.lines == said("/good")
        last = log.stream(conn)
        last.activate(thread)
        assert last.completion_future.result(30) == 404
        assert server.connections == 1
        conn.close()


def silent(sock):
    while read_head(sock):
        pass


@pytest.mark.feature("A14")
def test_close_ends_all_streams_and_the_connection_can_be_used_again():
    def serve(sock):
        if server.connections > 1:
            read_head(sock)
            sock.sendall(OK)
        silent(sock)

    with ScriptedServer(serve) as server, LoopThread() as thread:
        for wait in (False, True):
            server.connections = 0
            conn = HTTPConnection("127.0.0.1", server.port)
            streams = [conn.request(Request(target=f"/{n}")) for n in range(3)]
            streams.append(conn.request(Request("POST", "/post")))
            for stream in streams:
                stream.activate(thread)
            idle = conn.request(Request())
            idle.activate()
            wait_until(lambda: len(stuck(thread)) == 4)
            future = conn.shutdown_future
            if wait:
                thread.submit(conn.co_close()).result(30)
            else:
                conn.close()
            for stream in (*streams, idle):
                assert isinstance(stream.completion_future.exception(30), ConnectionClosed)
            assert streams[-1].exception.request_sent == "no"
            assert future.result(30) is None
            fresh = conn.request(Request())
            fresh.activate(thread)
            assert fresh.completion_future.result(30) == 200
            run(conn.co_close())


@pytest.mark.feature("A14")
def test_close_while_connecting_ends_the_stream():
    from kit.support import black_hole

    with black_hole() as (host, port), LoopThread() as thread:
        conn = HTTPConnection(host, port)
        stream = conn.request(Request())
        stream.activate(thread)
        wait_until(lambda: stuck(thread))
        conn.close()
        assert isinstance(stream.completion_future.exception(30), ConnectionClosed)
        run(conn.co_close())


def test_a_body_cut_off_by_close_is_not_complete():
    """Such a body ends with the connection, but not by our own doing."""

    def serve(sock):
        read_head(sock)
        sock.sendall(b"HTTP/1.1 200 OK\r\n\r\nhello")
        silent(sock)

    with ScriptedServer(serve) as server, LoopThread() as thread:
        conn = HTTPConnection("127.0.0.1", server.port)
        log = Log()
        stream = log.stream(conn)
        stream.activate(thread)
        wait_until(lambda: len(log.lines) == 2)
        conn.close()
        assert isinstance(stream.completion_future.exception(30), ConnectionClosed)


def test_a_callback_may_close_the_connection_and_start_another_stream():
    def serve(sock):
        while read_head(sock):
            sock.sendall(OK)

    with ScriptedServer(serve) as server, LoopThread() as thread:
        conn = HTTPConnection("127.0.0.1", server.port)
        following = []

        def on_done(http_stream, error, **kwargs):
            if len(following) < 3:
                following.append(conn.request(Request(), on_done=on_done))
                following[-1].activate(thread)

        first = conn.request(Request(), lambda **kwargs: conn.close(), on_done=on_done)
        first.activate(thread)
        assert isinstance(first.completion_future.exception(30), ConnectionClosed)
        wait_until(lambda: len(following) == 3)
        assert [stream.completion_future.result(30) for stream in following] == [200] * 3
        conn.close()


def test_server_that_breaks_the_protocol_fails_this_one_and_those_behind():
    def serve(sock):
        for _ in range(3):
            read_head(sock)
        sock.sendall(OK + b"nonsense\r\n\r\n")
        silent(sock)

    with ScriptedServer(serve) as server, LoopThread() as thread:
        conn = HTTPConnection("127.0.0.1", server.port)
        streams = [conn.request(Request()) for _ in range(3)]
        for stream in streams:
            stream.activate(thread)
        assert streams[0].completion_future.result(30) == 200
        assert isinstance(streams[1].completion_future.exception(30), InvalidResponse)
        assert isinstance(streams[2].completion_future.exception(30), ConnectionClosed)
        assert not conn.is_open()
        conn.close()


def test_early_answer_is_the_response():
    def serve(sock):
        read_head(sock)
        sock.sendall(NO)
        sock.recv(1)
        time.sleep(0.1)

    with ScriptedServer(serve) as server:
        for body in (bytes(20_000_000), io.BytesIO(bytes(20_000_000)), [bytes(65536)] * 500):
            conn = HTTPConnection("127.0.0.1", server.port, content_md5=False)
            try:
                assert conn.request(Request("PUT", "/", body=body)).run() == 404
            except ConnectionClosed:
                pass  # reset by the server, before the answer could be read
            conn.close()


def test_stream_that_is_given_up_is_cancelled(monkeypatch):
    conn = connection(monkeypatch, ScriptedStream(), ScriptedStream())
    errors = []
    stream = conn.request(Request(), on_done=lambda error, **kwargs: errors.append(error))
    op = stream.co_run()
    next(op)
    with pytest.raises(StateError):
        stream.run()
    op.close()
    with pytest.raises(CancelledError):
        stream.completion_future.result(0)
    assert isinstance(errors[0], CancelledError)
    conn.send_request("GET", "/")  # on a new connection


def test_cancelling_the_future():
    with ScriptedServer(silent) as server, LoopThread() as thread:
        conn = HTTPConnection("127.0.0.1", server.port)
        stream = conn.request(Request())
        behind = conn.request(Request())
        for each in (stream, behind):
            each.activate(thread)
        wait_until(conn.response_pending)
        assert stream.completion_future.cancel()
        with pytest.raises(CancelledError):
            stream.completion_future.result(30)
        assert not behind.done
        early = conn.request(Request())
        assert early.completion_future.cancel()
        with pytest.raises(CancelledError):
            early.run()
        assert isinstance(early.exception, CancelledError)
        conn.close()
        assert isinstance(behind.completion_future.exception(30), ConnectionClosed)


def test_thread_that_is_stopped_ends_its_streams():
    with ScriptedServer(silent) as server:
        conn = HTTPConnection("127.0.0.1", server.port)
        thread = LoopThread()
        waiting, never = conn.request(Request()), conn.request(Request())
        waiting.activate(thread)
        thread.stop()
        assert isinstance(waiting.exception, CancelledError)
        with pytest.raises(RuntimeError):
            never.activate(thread)
        with LoopThread() as other:
            never.activate(other)
            wait_until(conn.response_pending)
        assert isinstance(never.exception, CancelledError)
        conn.close()


def test_what_cannot_be_sent_is_told_and_harms_nobody(monkeypatch):
    script = ScriptedStream()
    conn = connection(monkeypatch, script)
    conn.connect()
    changed = Request("PUT")
    changed.body = "text"
    for request, problem in (
        (Request("G T"), InvalidRequest),
        (Request(headers=[("A", "b\n")]), InvalidRequest),
        (Request("PUT", body=BodyFollowing(5)), InvalidRequest),
        (changed, TypeError),
    ):
        stream = conn.request(request)
        with pytest.raises(problem):
            stream.run()
        assert isinstance(stream.exception, problem)
    assert script.sent == b""
    assert conn.is_open()


def test_many_streams_on_many_connections_in_one_loop(start):
    port = start("granian").port
    with Loop() as loop, ExitStack() as stack:
        log, tasks = Log(), []
        for _ in range(5):
            conn = stack.enter_context(HTTPConnection("127.0.0.1", port))
            tasks += [loop.spawn(log.stream(conn, target="/bytes/10").co_run()) for _ in range(20)]
        loop.run_all()
        assert [task.result() for task in tasks] == [200] * 100


def test_streams_driven_by_many_threads(start):
    with HTTPConnection("127.0.0.1", start("granian").port) as conn:
        results = []

        def work():
            for _ in range(10):
                results.append(conn.request(Request(target="/bytes/100")).run())

        workers = [threading.Thread(target=work) for _ in range(8)]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join(20)
        assert results == [200] * 80
