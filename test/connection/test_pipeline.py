"""Many requests at once: order, what is sent when, and what is sent again."""

import gc
import hashlib
import json
import math
import os
import random
import socket
import struct
import threading
import weakref
from collections import Counter
from contextlib import ExitStack

import pytest
from kit import streams
from kit.cases import rest_slow
from kit.ctrl_c import ctrl_c_at_each_place
from kit.every_driver import DRIVERS
from kit.pipe_ends import Feed, pipe
from kit.servers import nginx, refusing_port
from kit.steps import Steps
from kit.streams import Bulky, finish
from kit.support import ScriptedServer, pattern, read_exactly, read_head
from kit.ways import WAYS

from dugong_like import (
    BodyFollowing,
    ConnectFailed,
    ConnectionClosed,
    ConnectionTimedOut,
    DugongError,
    HTTPConnection,
    InvalidRequest,
    InvalidResponse,
    Pipeline,
    Request,
    ScriptedStream,
    ScriptedTransport,
    StateError,
    run,
)
from dugong_like.connection import pipeline as pipelines
from dugong_like.connection.answers import Answer
from dugong_like.connection.request_messages import RequestMessages


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


@pytest.mark.feature("C27")
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
            conn.report_retry(None)
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
def test_no_request_is_tried_for_ever():
    flaky = Flaky(1, 0, 0, 0, 2)
    with ScriptedServer(flaky) as server, HTTPConnection("127.0.0.1", server.port) as conn:
        pipeline = Pipeline(conn, gets(3))
        assert pipeline.next().body == b"/0"
        with pytest.raises(ConnectionClosed, match="sent 4 times.*/1: ") as caught:
            pipeline.next()
        assert caught.value.request_sent == "maybe"
        assert caught.value.retryable
        assert pipeline.next().body == b"/2"
        assert pipeline.next() is None
    assert flaky.seen == ["/0", "/1", "/1", "/1", "/1", "/2"]


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


CUT = {
    "head": answer("hello")[:30],
    "body": answer("hello")[:-2],
    "chunks": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n3\r\nwo",
    "1xx": b"HTTP/1.1 103 Early Hints\r\n\r\n",
}


@pytest.mark.reliability(41)
@pytest.mark.parametrize("tls", [False, True], ids=["http", "https"])
@pytest.mark.parametrize("reset", [False, True], ids=["closed", "reset"])
@pytest.mark.parametrize("cut", CUT.values(), ids=CUT)
def test_answer_that_was_begun_is_asked_for_again(cut, reset, tls, certificate, trusting):
    def serve(sock):
        for text in ("fine", "good"):
            assert read_head(sock)
            if server.connections == 1:
                sock.sendall(cut)
                if reset:
                    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                return
            sock.sendall(answer(text))

    with ScriptedServer(serve, certificate.server_context() if tls else None) as server:
        with HTTPConnection("localhost", server.port, trusting if tls else None) as conn:
            answers = Pipeline(conn, gets(2)).run()
    assert [each.body for each in answers] == [b"fine", b"good"]
    assert all(not each.response.informational for each in answers)
    assert server.connections == 2


def test_body_whose_end_is_that_of_tls_is_asked_for_again_if_it_was_cut(certificate, trusting):
    def serve(sock):
        assert read_head(sock)
        sock.sendall(b"HTTP/1.1 200 OK\r\n\r\n" + b"whole"[: server.connections * 3])
        if server.connections == 2:
            sock.unwrap()  # close_notify; the first time it is missing

    with ScriptedServer(serve, certificate.server_context()) as server:
        with HTTPConnection("localhost", server.port, trusting) as conn:
            [only] = Pipeline(conn, gets(1)).run()
    assert only.body == b"whole"


@pytest.mark.reliability(41)
@pytest.mark.parametrize("cut", CUT.values(), ids=CUT)
def test_answer_that_is_always_cut_is_asked_for_three_times(cut):
    seen = []

    def serve(sock):
        while head := read_head(sock):
            seen.append(target_of(head))
            if seen[-1] == "/0":
                sock.sendall(cut)
                return
            sock.sendall(answer("fine"))

    with ScriptedServer(serve) as server, HTTPConnection("127.0.0.1", server.port) as conn:
        pipeline = Pipeline(conn, gets(2))
        with pytest.raises(ConnectionClosed, match="sent 3 times.*: GET http.*/0: ") as caught:
            pipeline.next()
        assert caught.value.request_sent == "yes"
        assert caught.value.url == f"http://127.0.0.1:{server.port}/0"
        assert isinstance(caught.value.__cause__, ConnectionClosed)
        assert pipeline.next().body == b"fine"
        assert pipeline.next() is None
    assert seen == ["/0"] * 3 + ["/1"]


def test_after_a_failure_the_first_request_is_alone_until_it_is_answered():
    """RFC 9112 section 9.3.2."""
    transport = ScriptedTransport([answer("a")], [None, answer("b"), *[answer("c")] * 8])
    with HTTPConnection("example.org", transport=transport) as conn:
        pipeline = Pipeline(conn, gets(10))
        assert pipeline.next().body == b"a"
        op = pipeline.co_next()
        while len(transport.streams) == 1 or not transport.streams[1].sent:
            next(op)
        assert transport.streams[0].sent.count(b"GET ") == 10
        assert transport.streams[1].sent.count(b"GET ") == 1
        assert run(op).body == b"b"
        assert [each.body for each in pipeline] == [b"c"] * 8


def test_after_a_close_that_was_announced_requests_are_pipelined_at_once():
    last = answer("a", "Connection: close")
    transport = ScriptedTransport([answer("a")] * 3 + [last], [answer("b")] * 6)
    with HTTPConnection("example.org", transport=transport) as conn:
        pipeline = Pipeline(conn, gets(10))
        assert [pipeline.next().body for _ in range(4)] == [b"a"] * 4
        assert pipeline.next().body == b"b"
        assert transport.streams[1].sent.count(b"GET ") == 4  # the server takes so many
        assert len(pipeline.run()) == 5


class Counting(HTTPConnection):
    """Counts the requests that are sent."""

    def __init__(self, *arguments, **options):
        super().__init__(*arguments, **options)
        self._messages = CountingMessages(self._config, None)
        self._messages.known = CountingDict()

    @property
    def sent(self):
        return self._messages.built + self._messages.known.found


class CountingMessages(RequestMessages):
    """Counts what is built."""

    built = 0

    def build(self, *arguments, **options):
        self.built += 1
        return super().build(*arguments, **options)


class CountingDict(dict):
    """Counts what is found in it."""

    found = 0

    def get(self, key):
        head = super().get(key)
        self.found += head is not None
        return head


class Calls(HTTPConnection):
    """Notes how many requests are sent together."""

    def __init__(self, *arguments, **options):
        super().__init__(*arguments, **options)
        self.together = []

    def co_send_requests(self, requests):
        self.together.append(len(requests))
        return super().co_send_requests(requests)


def test_requests_without_body_are_sent_together():
    transport = ScriptedTransport([answer(str(number)) for number in range(100)])
    with Calls("example.org", transport=transport) as conn:
        bodies = [int(each.body) for each in Pipeline(conn, gets(100), depth=40)]
        assert bodies == list(range(100))
        assert conn.together[:3] == [20, 10, 10]  # again when half of them are answered
        assert sum(conn.together) == 100


def test_answers_that_arrive_together_are_each_of_its_own_request():
    heads = [answer("x" * (number % 50), f"X-{number}: a") for number in range(60)]
    for size in (1, 7, 100, 5000, 100_000):
        wire = b"".join(heads)
        pieces = [wire[at : at + size] for at in range(0, len(wire), size)]
        with HTTPConnection("example.org", transport=ScriptedTransport(pieces)) as conn:
            for number, each in enumerate(Pipeline(conn, gets(60))):
                assert each.request.target == each.response.path == f"/{number}"
                assert each.response.headers[f"X-{number}"] == "a"
                assert each.body == b"x" * (number % 50)
                assert each.response.length == number % 50
            assert number == 59
            assert not conn.response_pending()


@pytest.mark.parametrize("place", [0, 1, 5, 19])
def test_a_request_that_cannot_be_sent_is_refused_in_its_place(place):
    requests = gets(20)
    requests[place] = Request(target="/ ")
    with Calls("example.org", transport=ScriptedTransport([answer("a")] * 19)) as conn:
        pipeline = Pipeline(conn, requests)
        for number in range(20):
            if number == place:
                with pytest.raises(InvalidRequest):
                    pipeline.next()
            else:
                assert pipeline.next().request is requests[number]
        assert pipeline.next() is None


@pytest.mark.parametrize("place", range(4))
def test_a_request_with_a_body_or_the_last_of_its_connection_goes_alone(place):
    requests = gets(4)
    requests[place] = Request("PUT", "/put", body=b"body")
    with Calls("example.org", transport=ScriptedTransport([answer("a")] * 4)) as conn:
        assert len(Pipeline(conn, requests, depth=8).run()) == 4
        assert conn.together == [[3], [2], [2], [3]][place]
    requests[place] = Request(headers={"Connection": "close"})
    transport = ScriptedTransport([answer("a")] * (place + 1), [answer("b")] * (3 - place))
    with HTTPConnection("example.org", transport=transport) as conn:
        assert len(Pipeline(conn, requests, depth=8).run()) == 4


def test_what_makes_the_requests_may_fail_and_those_before_are_sent():
    def making():
        yield from gets(3)
        raise LookupError

    with HTTPConnection("example.org", transport=ScriptedTransport([answer("a")] * 3)) as conn:
        pipeline = Pipeline(conn, making())
        with pytest.raises(LookupError):
            pipeline.next()
        assert [each.request.target for each in pipeline] == ["/0", "/1", "/2"]


def test_connection_is_usable_when_the_block_of_a_pipeline_is_left():
    transport = ScriptedTransport([answer("/0")], [answer("/2")])
    with HTTPConnection("example.org", transport=transport) as conn:
        with Pipeline(conn, (Request(target=f"/{number}") for number in range(9))) as pipeline:
            for each in pipeline:
                assert each.body == b"/0"
                break

        assert pipeline.next() is None
        assert conn.exchange("GET", "/2").body == b"/2"


@pytest.mark.parametrize("way", ["iter", "run", "next_stream"])
@pytest.mark.parametrize("kind", ["iterable", "connection", "protocol"])
def test_pipeline_that_has_failed_is_freed_without_the_garbage_collector(kind, way):
    def requests():
        yield Request(target="/0")
        if kind == "iterable":
            raise RuntimeError("no more names")

    wire = b"no HTTP\r\n\r\n" if kind == "protocol" else None
    transport = ScriptedTransport(*[[wire]] * 3)
    with HTTPConnection("example.org", transport=transport) as conn:
        pipeline = Pipeline(conn, requests(), backoff=0)
        is_there = weakref.ref(pipeline)
        gc.disable()
        try:
            with pytest.raises((RuntimeError, DugongError)) as failure:
                list(pipeline) if way == "iter" else getattr(pipeline, way)()
            del failure, pipeline
            assert is_there() is None
        finally:
            gc.enable()


def test_a_connection_that_cannot_be_made_fails_each_request():
    with refusing_port() as port, HTTPConnection("127.0.0.1", port) as conn:
        pipeline = Pipeline(conn, gets(3))
        for _ in range(3):
            with pytest.raises(ConnectFailed):
                pipeline.next()
        assert pipeline.next() is None


@pytest.mark.parametrize("room", [1, 50, 95, 200, 500])
def test_requests_that_are_sent_in_part(room):
    rooms = [room, None, 10, None, 1000, None] + [None, 5000] * 10
    stream = ScriptedStream([answer("a")] * 40, rooms=rooms)
    with HTTPConnection("example.org", transport=ScriptedTransport(stream)) as conn:
        assert len(Pipeline(conn, gets(40)).run()) == 40
    targets = [target_of(head) for head in stream.sent.split(b"\r\n\r\n")[:-1]]
    assert targets == [f"/{number}" for number in range(40)]


def test_a_wrong_answer_among_right_ones_is_an_error_in_its_place():
    wire = answer("a") + answer("b") + b"HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n"
    transport = ScriptedTransport([wire], [answer("c")] * 7)
    with HTTPConnection("example.org", transport=transport) as conn:
        pipeline = Pipeline(conn, gets(10))
        assert [pipeline.next().body for _ in range(2)] == [b"a", b"b"]
        with pytest.raises(InvalidResponse, match="Content-Length"):
            pipeline.next()
        assert [each.body for each in pipeline] == [b"c"] * 7


def test_several_responses_are_taken_together():
    stream = ScriptedStream([answer("a") + answer("b") * 3 + answer("cc")[:-1], b"c"])
    with HTTPConnection("example.org", transport=ScriptedTransport(stream)) as conn:
        conn.send_requests([("GET", f"/{number}") for number in range(5)])
        assert conn.take_responses(5) == []  # nothing has been received
        assert conn.read_response().path == "/0"
        assert conn.readall() == b"a"
        (first,) = conn.take_responses(1)
        taken = [first, *conn.take_responses(4)]
        assert [response.path for response, _ in taken] == ["/1", "/2", "/3"]
        assert [body for _, body in taken] == [b"b"] * 3
        assert conn.read_response().path == "/4"
        assert conn.readall() == b"cc"
        assert conn.take_responses(1) == []


def test_a_response_is_taken_only_if_it_is_here_as_a_whole():
    stream = ScriptedStream([answer("a") + answer("b") + answer("cc")[:-1], b"c"])
    with HTTPConnection("example.org", transport=ScriptedTransport(stream)) as conn:
        assert conn.take_response() is None
        conn.send_requests([("GET", "/1"), ("GET", "/2"), ("GET", "/3")])
        assert conn.take_response() is None  # nothing has been received
        assert conn.read_response().path == "/1"
        assert conn.take_response() is None  # the body before has not been read
        assert conn.readall() == b"a"
        response, body = conn.take_response()
        assert (response.path, response.status, body) == ("/2", 200, b"b")
        assert conn.take_response() is None
        assert conn.read_response().path == "/3"
        assert conn.readall() == b"cc"
        assert conn.take_response() is None


def test_bytes_behind_the_last_answer_end_the_connection():
    with HTTPConnection(
        "example.org", transport=ScriptedTransport([answer("a") * 3 + b"more"])
    ) as conn:
        assert len(Pipeline(conn, gets(3)).run()) == 3
        assert not conn.is_open()


@pytest.mark.feature("C27")
@pytest.mark.reliability(41)
@pytest.mark.parametrize("field", ["Keep-Alive: timeout=5, max=9", 'keep-alive: Max = "9"'])
def test_limit_that_the_server_tells_is_kept(field):
    ten = [answer("a", field)] + [answer("a")] * 8 + [answer("a", "Connection: close")]
    transport = ScriptedTransport(*[ten] * 5)
    with Counting("example.org", transport=transport) as conn:
        assert len(Pipeline(conn, gets(50), depth=8).run()) == 50
        assert conn.sent == 50


@pytest.mark.reliability(41)
def test_limit_is_learned_when_a_connection_ends():
    ten = [answer("a")] * 9 + [answer("a", "Connection: close")]
    transport = ScriptedTransport(*[ten] * 50)
    with Counting("example.org", transport=transport) as conn:
        assert len(Pipeline(conn, gets(500)).run()) == 500
        assert conn.sent == 522  # of 32 that were sent together 10 were answered
    assert [stream.sent.count(b"GET ") for stream in transport.streams] == [32] + [10] * 49


@pytest.mark.parametrize("told", [False, True])
def test_server_that_closes_without_a_word_gets_one_request_too_many(told):
    ten = [answer("a", *["Keep-Alive: max=9"] * told)] * 10
    transport = ScriptedTransport(*[ten] * 50)
    with Counting("example.org", transport=transport) as conn:
        assert len(Pipeline(conn, gets(500)).run()) == 500
        assert conn.sent <= 531 + 49 * (1 - told)


def test_limit_that_proves_wrong_is_forgotten():
    transport = ScriptedTransport([answer("a")] * 3, [answer("a")] * 400, [answer("a")] * 400)
    with HTTPConnection("example.org", transport=transport) as conn:
        pipeline = Pipeline(conn, gets(603))
        assert len([pipeline.next() for _ in range(103)]) == 103
        assert transport.streams[1].sent.count(b"GET ") == 100 + 62
        assert len(pipeline.run()) == 500
        assert [stream.sent.count(b"GET ") for stream in transport.streams][2:] == [200]


def test_end_that_the_client_has_asked_for_is_no_limit():
    transport = ScriptedTransport([answer("a")] * 3, [answer("a")] * 40)
    requests = gets(43)
    requests[2].headers.add("Connection", "close")
    with Counting("example.org", transport=transport) as conn:
        assert len(Pipeline(conn, requests).run()) == 43
        assert conn.sent == 43


@pytest.mark.parametrize("length", [True, False])
def test_http_1_0_is_coped_with(length):
    one = [b"HTTP/1.0 200 OK\r\n" + b"Content-Length: 2\r\n" * length + b"\r\nok"]
    transport = ScriptedTransport(*[one] * 20)
    with Counting("example.org", transport=transport) as conn:
        assert [each.body for each in Pipeline(conn, gets(20), depth=8)] == [b"ok"] * 20
        assert conn.sent == 20 + 3


@pytest.mark.reliability(41)
def test_what_may_not_be_repeated_is_not_one_request_too_many():
    flaky = Flaky(5, 5, 5)
    with ScriptedServer(flaky) as server, HTTPConnection("127.0.0.1", server.port) as conn:
        requests = [*gets(10), Request("POST", "/post", body=b"abc"), Request(target="/last")]
        answers = Pipeline(conn, requests).run()
    assert [each.body.decode() for each in answers][9:] == ["/9", "/post", "/last"]
    assert flaky.seen.count("/post") == 1


@pytest.mark.reliability(41)
def test_post_is_sent_again_if_nothing_of_it_was_sent():
    gone = ScriptedStream([answer("a"), math.inf], rooms=[1000, ConnectionClosed("gone")])
    transport = ScriptedTransport(gone, [answer("b")])
    with HTTPConnection("example.org", transport=transport, content_md5=False) as conn:
        pipeline = Pipeline(conn, [*gets(1), Request("POST", body=b"abc")])
        assert [each.body for each in pipeline] == [b"a", b"b"]
    assert b"POST" not in gone.sent


@pytest.mark.reliability(41)
@pytest.mark.parametrize("room", [10, 1000])
def test_post_is_not_sent_again_if_a_part_of_it_was(room):
    gone = ScriptedStream(
        [answer("a"), None, ConnectionClosed("gone")], rooms=[1000, room, ConnectionClosed("gone")]
    )
    transport = ScriptedTransport(gone, [answer("b")])
    with HTTPConnection("example.org", transport=transport) as conn:
        pipeline = Pipeline(conn, [*gets(1), Request("POST", body=bytes(2000))])
        assert pipeline.next().body == b"a"
        with pytest.raises(ConnectionClosed) as caught:
            pipeline.next()
        assert caught.value.request_sent == "maybe"
        assert pipeline.next() is None


def test_body_that_fails_costs_no_other_request_its_answer():
    begun = []

    def failing():
        begun.append(1)
        yield b"a"
        raise ZeroDivisionError

    class Body:
        def __iter__(self):
            return failing()

    transport = ScriptedTransport([None] * 5 + [answer("a")], [None] * 5 + [answer("b")] * 3)
    requests = [*gets(2), Request("PUT", body=Body()), Request(target="/last")]
    with HTTPConnection("example.org", transport=transport) as conn:
        pipeline = Pipeline(conn, requests)
        assert [pipeline.next().body for _ in range(2)] == [b"b"] * 2
        with pytest.raises(ZeroDivisionError):
            pipeline.next()
        assert pipeline.next().body == b"b"
        assert pipeline.next() is None
    assert len(begun) == 1


def test_body_that_has_failed_does_not_keep_others_from_being_given_up():
    class Body:
        def __iter__(self):
            yield b"a"
            raise ZeroDivisionError

    transport = ScriptedTransport(*[[None] * 5 + [CUT["body"]]] * 9)
    with HTTPConnection("example.org", transport=transport) as conn:
        pipeline = Pipeline(conn, [*gets(1), Request("PUT", body=Body())])
        with pytest.raises(ConnectionClosed, match="sent 4 times"):
            pipeline.next()
        with pytest.raises(ZeroDivisionError):
            pipeline.next()
        assert pipeline.next() is None


def test_error_of_a_second_try_remembers_what_the_first_one_sent():
    transport = ScriptedTransport([CUT["body"]], ConnectFailed("nobody is there"))
    with HTTPConnection("example.org", transport=transport) as conn:
        with pytest.raises(ConnectFailed) as caught:
            Pipeline(conn, gets(1)).next()
    assert caught.value.request_sent == "yes"


class Tagging:
    """A server that notes each request that is complete, and ends connections as the dice say."""

    ENDS = ("close", "reset", "cut head", "cut body", "announced")

    def __init__(self, seed):
        self.dice = random.Random(seed)
        self.seen = Counter()

    def __call__(self, sock):
        for _ in range(self.dice.randrange(1, 12)):
            if not self.answer(sock, b""):
                return
        self.answer(sock, self.dice.choice(self.ENDS))

    def answer(self, sock, end):
        if not (head := read_head(sock)):
            return False
        if head.startswith((b"POST", b"PUT")):
            read_exactly(sock, 1000)
        self.seen[target_of(head)] += 1
        whole = answer(target_of(head), *["Connection: close"] * (end == "announced"))
        count = {"close": 0, "reset": 0, "cut head": 20, "cut body": len(whole) - 1}
        sock.sendall(whole[: count.get(end, len(whole))])
        if end == "reset":
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        return True


@pytest.mark.reliability(41)
@pytest.mark.parametrize("seed", rest_slow(1, range(3)))
@pytest.mark.parametrize("driver", DRIVERS)
def test_nothing_unsafe_is_sent_twice_and_nothing_safe_is_lost(driver, seed):
    tagging = Tagging(seed)
    requests = []
    for number in range(150):
        method = tagging.dice.choice(["GET"] * 6 + ["PUT", "POST"])
        body = None if method == "GET" else bytes(1000)
        requests.append(Request(method, f"/{method}/{number}", body=body))
    answered, failed = [], []

    def co_all(pipeline):
        while True:
            try:
                given = yield from pipeline.co_next()
            except ConnectionClosed:
                failed.append(pipeline)
                continue
            if given is None:
                return
            answered.append(given.request.target)
            assert given.body.decode() == given.request.target

    with ScriptedServer(tagging) as server:
        with HTTPConnection("127.0.0.1", server.port, timeout=60) as conn:
            driver(co_all(Pipeline(conn, requests)))

    missing = [each for each in requests if each.target not in answered]
    assert [each.method for each in missing] == ["POST"] * len(failed)
    assert max(tagging.seen[each.target] for each in requests if each.method == "POST") == 1
    assert answered == [each.target for each in requests if each not in missing]


@pytest.fixture(scope="module")
def limited(tmp_path_factory, start, certificate):
    """A function that starts nginx, which closes each connection after so many requests."""
    known = {}
    with ExitStack() as stack:

        def limited(requests, *, tls):
            if (requests, tls) not in known:
                server = nginx(
                    tmp_path_factory.mktemp("limited"),
                    start("uvicorn-httptools"),
                    certificate if tls else None,
                    requests,
                )
                known[requests, tls] = stack.enter_context(server)
            return known[requests, tls]

        yield limited


@pytest.mark.feature("B50")
@pytest.mark.reliability(41)
@pytest.mark.parametrize("tls", [False, True], ids=["http", "https"])
@pytest.mark.parametrize(
    ("driver", "limit", "count"),
    rest_slow(
        3, [*((driver, 100, 2000) for driver in DRIVERS), *((way, 1000, 4000) for way in WAYS)]
    ),
)
def test_nginx_that_closes_after_some_requests(limited, trusting, driver, limit, count, tls):
    server = limited(limit, tls=tls)
    with Counting("localhost", server.port, trusting if tls else None, timeout=60) as conn:
        requests = (Request(target="/bytes/1024") for _ in range(count))
        answers = driver(Pipeline(conn, requests, depth=64).co_run())

        assert [each.body for each in answers] == [pattern(1024)] * count
        assert conn.sent - count < count * 0.02


def test_server_that_resets_with_requests_unread():
    """It does not wait until the client has taken everything, as nginx does: answers get lost."""

    def serve(sock):
        with sock.makefile("rb") as requests:
            for number in range(50):
                while (line := requests.readline()) != b"\r\n":
                    if not line:
                        return
                sock.sendall(answer("x" * 4096, *["Connection: close"] * (number == 49)))

    with ScriptedServer(serve) as server:
        with Counting("127.0.0.1", server.port, timeout=60) as conn:
            answers = Pipeline(conn, gets(1000)).run()
    assert [each.request.target for each in answers] == [f"/{n}" for n in range(1000)]
    assert {each.body for each in answers} == {b"x" * 4096}


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
        bad = [Request("G T"), Request("PUT", body=BodyFollowing()), Request("PUT")]
        bad[-1].body = "text"
        bad += ["GET", None]
        pipeline = Pipeline(conn, [*gets(2), *bad, Request(target="/last")])
        assert [pipeline.next().body for _ in range(2)] == [b"/0", b"/1"]
        for problem in (InvalidRequest, InvalidRequest, TypeError, TypeError, TypeError):
            with pytest.raises(problem):
                pipeline.next()
        assert pipeline.next().body == b"/last"
        assert server.connections == 1


def test_time_out_and_interruption_lose_nothing():
    release = threading.Event()

    def serve(sock):
        for _ in range(2):
            read_head(sock)
        release.wait(30)
        sock.sendall(answer("a") + answer("b"))
        sock.recv(1)

    with ScriptedServer(serve) as server:
        with HTTPConnection("127.0.0.1", server.port, timeout=30) as conn:
            conn.connect()
            conn.timeout = 0.05
            pipeline = Pipeline(conn, gets(2))
            with pytest.raises(ConnectionTimedOut):
                pipeline.next()
            op = pipeline.co_next()
            next(op)
            op.close()
            release.set()
            conn.timeout = 30
            assert [each.body for each in pipeline] == [b"a", b"b"]


def test_no_way_to_the_server_is_the_error_of_each():
    with refusing_port() as port, HTTPConnection("127.0.0.1", port) as conn:
        pipeline = Pipeline(conn, gets(2))
        for _ in range(2):
            with pytest.raises(ConnectFailed):
                pipeline.next()
        assert pipeline.next() is None
    with pytest.raises(ValueError, match="depth is 1 or more, not 0"):
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


@pytest.mark.parametrize("driver", DRIVERS)
def test_a_body_that_is_not_here_yet_is_waited_for(start, driver):
    """Two bodies come from pipes, the first of which is fed when the second is complete."""
    server = start("uvicorn-httptools")
    data = pattern(200_000)
    with ExitStack() as stack, HTTPConnection("localhost", server.port, timeout=30) as conn:
        ends = [stack.enter_context(pipe(reader_blocks=False)) for _ in range(2)]
        files = [os.fdopen(reader, "rb", 0, closefd=False) for reader, _ in ends]
        requests = [Request("PUT", "/upload", body=file) for file in files]
        op = Pipeline(conn, [Request("GET", "/bytes/5"), *requests]).co_run()
        feeds = [Feed(writer, data) for _, writer in ends]
        feeds[1].start()
        next(op)
        feeds[0].start()
        try:
            first, *others = driver(op)
        finally:
            for feed in feeds:
                feed.join()

    assert first.body == pattern(5)
    for answer in others:
        assert json.loads(answer.body)["sha256"] == hashlib.sha256(data).hexdigest()


class Noted(Bulky, ScriptedStream):
    """A stream that notes for how many bytes at once it is waited for."""


def kib(count):
    return (b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n" + bytes(1000)) * count


@pytest.mark.parametrize("blocking", [True, False])
def test_a_call_that_blocks_waits_for_much_at_once(blocking):
    stream = Noted([kib(8)] * 25)
    with HTTPConnection("example.org", transport=ScriptedTransport(stream)) as conn:
        pipeline = Pipeline(conn, gets(200))
        answers = pipeline.run() if blocking else run(pipeline.co_run())
    assert {len(answer.body) for answer in answers} == {1000}
    assert (max(stream.marks, default=1) > 1) == blocking
    assert max(stream.marks, default=1) <= 64 * 1100  # of no more than may be unanswered


def test_steps_of_answers_that_arrive_together():
    """What no machine changes: bytecodes and calls of functions."""
    counts = []
    for count in 300, 600:
        stream = ScriptedStream([kib(32)] * 30)
        with HTTPConnection("example.org", transport=ScriptedTransport(stream)) as conn:
            requests = gets(10) * 90
            pipeline = Pipeline(conn, requests)
            for _ in range(300):
                pipeline.next()
            with Steps() as steps:
                for _ in range(count):
                    pipeline.next()
        counts.append(steps)
    fewer, more = counts
    assert more.codes - fewer.codes <= 300 * 378
    assert more.frames - fewer.frames <= 300 * 12


def test_answers_that_have_arrived_may_be_taken_at_once():
    answers = b"".join(b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n%d" % n for n in range(5))
    conn = HTTPConnection("a.test", transport=ScriptedTransport([answers]))
    requests = [Request("GET", f"/{number}") for number in range(5)]
    pipeline = Pipeline(conn, requests)

    assert pipeline.take_ready() == []
    got = []
    while (answer := pipeline.next()) is not None:
        got += [answer, *pipeline.take_ready()]
    assert [answer.body for answer in got] == [b"0", b"1", b"2", b"3", b"4"]
    assert [answer.request for answer in got] == requests


def numbered(number):
    return b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n%d" % number


def co_next_of(pipeline):
    return pipeline.co_next()


def co_next_stream_of(pipeline):
    stream = yield from pipeline.co_next_stream()
    if stream is None:
        return None
    return Answer(stream.request, stream.response, (yield from stream.co_readall()))


@pytest.mark.parametrize("co_next", [co_next_of, co_next_stream_of])
def test_ctrl_c_gives_no_request_the_answer_to_another_one(monkeypatch, co_next):
    def make():
        script = streams.ScriptedStream([numbered(n) for n in range(3)])
        conn = streams.connection(monkeypatch, script, streams.ScriptedStream([numbered(9)]))
        return Pipeline(conn, [Request("GET", f"/{n}") for n in range(3)])

    rounds = 0
    for pipeline in ctrl_c_at_each_place(make, lambda one: finish(co_next(one)), pipelines):
        rounds += 1
        try:
            while (answer := finish(co_next(pipeline))) is not None:
                assert answer.request.target == f"/{answer.body.decode()}"
        except StateError as exc:
            assert "interrupted by KeyboardInterrupt" in str(exc)
            assert finish(co_next(pipeline)) is None
    assert rounds > 20
