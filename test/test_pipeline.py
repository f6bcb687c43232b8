"""Many requests at once: order, what is sent when, and what is sent again."""

import threading

import pytest
from servers import refusing_port
from support import ScriptedServer, pattern, read_exactly, read_head
from test_drivers_http import DRIVERS

from dugong_like import (
    BodyFollowing,
    ConnectFailed,
    ConnectionClosed,
    ConnectionTimedOut,
    HTTPConnection,
    InvalidRequest,
    InvalidResponse,
    Pipeline,
    Request,
)


def answer(text, *fields):
    lines = "".join(f"{field}\r\n" for field in fields)
    return f"HTTP/1.1 200 OK\r\n{lines}Content-Length: {len(text)}\r\n\r\n{text}".encode()


def target_of(head):
    return head.split(b" ")[1].decode()


class Flaky:
    """A server that answers so many requests on each connection; the rest is lost."""

    def __init__(self, *counts, closing=False):
        self.counts = list(counts)
        self.closing = closing
        self.seen = []

    def __call__(self, sock):
        count = self.counts.pop(0) if self.counts else 1000
        for number in range(count):
            head = read_head(sock)
            if not head:
                return
            self.seen.append(target_of(head))
            last = self.closing and number == count - 1
            sock.sendall(answer(target_of(head), *["Connection: close"] * last))
        if not self.closing and (head := read_head(sock)):
            self.seen.append(target_of(head))


def gets(count):
    return [Request(target=f"/{number}") for number in range(count)]


@pytest.mark.feature("B50")
@pytest.mark.parametrize("tls", [False, True], ids=["http", "https"])
@pytest.mark.parametrize("driver", DRIVERS)
def test_same_pipeline_under_every_driver(start, trusting, driver, tls):
    server = start("granian", tls=tls)
    with HTTPConnection("localhost", server.port, trusting if tls else None, timeout=30) as conn:
        requests = [Request(target=f"/bytes/{n * 3000}") for n in range(100)]
        requests.insert(50, Request("PUT", "/upload", body=[pattern(100_000)]))
        requests.insert(70, Request("POST", "/upload", body=b"abc"))
        pipeline = Pipeline(conn, iter(requests))

        answers = driver(pipeline.co_run())

        assert [each.request for each in answers] == requests
        assert all(each.response.status == 200 for each in answers)
        bodies = [each.body for each in answers if each.request.method == "GET"]
        assert bodies == [pattern(n * 3000) for n in range(100)]
        assert pipeline.next() is None


def test_large_answers_and_large_bodies_block_nobody(start):
    """Neither the buffers of the server nor ours hold what is under way here."""
    with HTTPConnection("127.0.0.1", start("uvicorn-h11").port) as conn:
        pipeline = Pipeline(conn, depth=20)
        for _ in range(10):
            pipeline.add(Request(target="/bytes/3000000"))
            pipeline.add(Request("PUT", "/upload", body=bytes(1_000_000)))
        assert [len(each.body) for each in pipeline][::2] == [3_000_000] * 10


@pytest.mark.reliability(41)
@pytest.mark.parametrize("closing", [False, True])
def test_what_was_lost_is_sent_again_on_a_new_connection(closing):
    flaky = Flaky(3, closing=closing)
    with ScriptedServer(flaky) as server:
        with HTTPConnection("127.0.0.1", server.port) as conn:
            answers = Pipeline(conn, gets(10)).run()
        assert [each.body.decode() for each in answers] == [f"/{n}" for n in range(10)]
        assert server.connections == 2


@pytest.mark.feature("C7")
@pytest.mark.parametrize("driver", DRIVERS)
def test_what_is_sent_again_is_told(driver):
    told = []
    with ScriptedServer(Flaky(3)) as server:
        trace = lambda event, info: told.append((event, info))  # noqa: E731
        with HTTPConnection("127.0.0.1", server.port, trace=trace) as conn:
            driver(Pipeline(conn, gets(10)).co_run())

    names = [event for event, _ in told]
    assert names.count("connection.retry") == 1
    at = names.index("connection.retry")
    assert names[at - 1 : at + 2] == [
        "connection.close", "connection.retry", "connection.connect_tcp.started"
    ]  # fmt: skip
    info = told[at][1]
    assert isinstance(info.pop("exception"), ConnectionClosed)
    answered = names[:at].count("http11.response_closed.complete")  # a reset may take some away
    assert 1 <= info.pop("requests") <= 10 - answered
    assert info == {"host": "127.0.0.1", "port": server.port}


@pytest.mark.feature("C7")
def test_nothing_is_told_of_what_is_not_sent_again():
    told = []
    with ScriptedServer(Flaky(0)) as server:
        trace = lambda event, info: told.append(event)  # noqa: E731
        with HTTPConnection("127.0.0.1", server.port, trace=trace) as conn:
            with pytest.raises(ConnectionClosed):
                Pipeline(conn, [Request("POST", "/", body=b"x")]).run()
            assert "connection.retry" not in told
            conn.tell_retry(None)
            assert told[-1] == "connection.retry"


def test_pipeline_goes_on_if_the_trace_raises_when_told_that_it_repeats():
    def trace(event, info):
        if event == "connection.retry":
            raise ZeroDivisionError

    with ScriptedServer(Flaky(3)) as server:
        with HTTPConnection("127.0.0.1", server.port, trace=trace) as conn:
            pipeline = Pipeline(conn, gets(10))
            answers = []
            with pytest.raises(ZeroDivisionError):
                answers.extend(pipeline)
            answers += pipeline.run()
    assert [each.body.decode() for each in answers] == [f"/{n}" for n in range(10)]


def test_server_that_closes_after_each_answer_is_coped_with():
    flaky = Flaky(*[1] * 20, closing=True)
    with ScriptedServer(flaky) as server, HTTPConnection("127.0.0.1", server.port) as conn:
        answers = Pipeline(conn, gets(10)).run()
    assert [each.body.decode() for each in answers] == [f"/{n}" for n in range(10)]
    assert flaky.seen == [f"/{n}" for n in range(10)]


@pytest.mark.reliability(41)
def test_nothing_is_sent_a_third_time():
    flaky = Flaky(1, 0, 2)
    with ScriptedServer(flaky) as server, HTTPConnection("127.0.0.1", server.port) as conn:
        pipeline = Pipeline(conn, gets(3))
        assert pipeline.next().body == b"/0"
        with pytest.raises(ConnectionClosed):
            pipeline.next()
        assert pipeline.next().body == b"/2"
        assert pipeline.next() is None
    assert flaky.seen == ["/0", "/1", "/1", "/2"]


@pytest.mark.reliability(41)
@pytest.mark.parametrize(
    "request_",
    [
        Request("POST", "/post", body=b"abc"),
        Request("PATCH", "/post"),
        Request("PUT", "/post", body=iter([b"a"])),
    ],
)
def test_what_may_not_be_repeated_is_sent_once_and_alone(request_):
    flaky = Flaky(1, 1)
    with ScriptedServer(flaky) as server, HTTPConnection("127.0.0.1", server.port) as conn:
        pipeline = Pipeline(conn, [*gets(1), request_, Request(target="/last")])
        assert pipeline.next().body == b"/0"
        with pytest.raises(ConnectionClosed):
            pipeline.next()
        assert pipeline.next().body == b"/last"
    assert flaky.seen == ["/0", "/post", "/last"]


def test_answer_that_was_begun_is_not_asked_for_again():
    def serve(sock):
        for _ in range(2):
            read_head(sock)
        if server.connections == 1:
            sock.sendall(answer("hello")[:-2])
        else:
            sock.sendall(answer("fine"))

    with ScriptedServer(serve) as server, HTTPConnection("127.0.0.1", server.port) as conn:
        pipeline = Pipeline(conn, gets(2))
        with pytest.raises(ConnectionClosed):
            pipeline.next()
        pipeline.close()
        assert pipeline.next() is None


def test_broken_protocol_is_the_error_of_one_request():
    def serve(sock):
        read_head(sock)
        sock.sendall(b"nonsense\r\n\r\n" if server.connections == 1 else answer("fine"))

    with ScriptedServer(serve) as server, HTTPConnection("127.0.0.1", server.port) as conn:
        pipeline = Pipeline(conn, gets(2))
        with pytest.raises(InvalidResponse):
            pipeline.next()
        assert pipeline.next().body == b"fine"


def test_request_that_cannot_be_sent_harms_no_other():
    flaky = Flaky()
    with ScriptedServer(flaky) as server, HTTPConnection("127.0.0.1", server.port) as conn:
        bad = [Request("G T"), Request("PUT", body=BodyFollowing()), Request("PUT", body="text")]
        pipeline = Pipeline(conn, [*gets(2), *bad, Request(target="/last")])
        assert [pipeline.next().body for _ in range(2)] == [b"/0", b"/1"]
        for problem in (InvalidRequest, InvalidRequest, TypeError):
            with pytest.raises(problem):
                pipeline.next()
        assert pipeline.next().body == b"/last"
        assert server.connections == 1


def test_time_out_and_interruption_lose_nothing():
    release = threading.Event()

    def serve(sock):
        for _ in range(2):
            read_head(sock)
        release.wait(5)
        sock.sendall(answer("a") + answer("b"))
        sock.recv(1)

    with ScriptedServer(serve) as server:
        with HTTPConnection("127.0.0.1", server.port, timeout=0.05) as conn:
            pipeline = Pipeline(conn, gets(2))
            with pytest.raises(ConnectionTimedOut):
                pipeline.next()
            op = pipeline.co_next()
            next(op)
            op.close()
            release.set()
            conn.timeout = 5
            assert [each.body for each in pipeline] == [b"a", b"b"]


def test_no_way_to_the_server_is_the_error_of_each():
    with refusing_port() as port, HTTPConnection("127.0.0.1", port) as conn:
        pipeline = Pipeline(conn, gets(2))
        for _ in range(2):
            with pytest.raises(ConnectFailed):
                pipeline.next()
        assert pipeline.next() is None
    with pytest.raises(ValueError, match="0 requests"):
        Pipeline(conn, depth=0)


def test_body_that_is_refused_has_an_answer():
    def serve(sock):
        head = read_head(sock)
        sock.sendall(answer("no"))
        if head.startswith(b"PUT"):
            read_exactly(sock, 1)

    with ScriptedServer(serve) as server, HTTPConnection("127.0.0.1", server.port) as conn:

        def slowly():
            for _ in range(100):
                yield bytes(100_000)

        pipeline = Pipeline(conn, [Request("PUT", body=slowly()), Request()])
        try:
            assert pipeline.next().body == b"no"
        except ConnectionClosed:
            pass  # the server's reset was faster
        assert pipeline.next().body == b"no"
