"""Sending whole requests, going through the responses, and how a connection ends."""

import hashlib
import io
import json
import os

import pytest
from kit.every_driver import DRIVERS
from kit.odd_streams import Doubled, Halved, Made, Quiet, Signed, finish_reading, mapped
from kit.pipe_ends import Feed, pipe
from kit.streams import END, ScriptedStream, connection, finish
from kit.support import ScriptedServer, answering, pattern

from dugong_like import (
    BodyFollowing,
    ConnectionClosed,
    Headers,
    HTTPConnection,
    InvalidRequest,
    InvalidResponse,
    Request,
    StateError,
    both,
    run,
)
from dugong_like.polling.stream_parts import PIECE

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


@pytest.mark.feature("A22")
def test_each_field_of_headers_is_sent(monkeypatch):
    stream = ScriptedStream()
    conn = connection(monkeypatch, stream)
    fields = Headers([("X", "1"), ("x", "2")])
    conn.send_request("PUT", "/", fields, body=BodyFollowing())
    assert b"X: 1\r\nx: 2\r\n" in stream.sent
    stream.sent = b""
    conn.finish(fields)
    assert stream.sent == b"0\r\nX: 1\r\nx: 2\r\n\r\n"
    conn.send_request("GET", "/", Headers({"Connection": "close"}))
    with pytest.raises(ConnectionClosed):
        conn.send_request("GET", "/")


@pytest.mark.feature("A21", "C1")
@pytest.mark.parametrize(
    ("body", "wire"),
    [
        (None, b"\r\n\r\n"),
        (io.BytesIO(b"hello"), b"Content-Length: 5\r\n\r\nhello"),
        ([b"he", b"llo"], b"\r\n\r\n2\r\nhe\r\n3\r\nllo\r\n0\r\n\r\n"),
        (io.BytesIO(b""), b"Content-Length: 0\r\n\r\n"),
    ],
)
def test_request_is_sent_as_often_as_one_likes(monkeypatch, body, wire):
    stream = ScriptedStream()
    conn = connection(monkeypatch, stream)
    request = Request("PUT", "/", {"A": "b"}, body)
    for _ in range(2):
        stream.sent = b""
        exchange = finish(conn.co_send(request))
        assert exchange.sent
        assert stream.sent.startswith(b"PUT / HTTP/1.1\r\n")
        assert stream.sent.endswith(wire)


def test_rest_of_a_body_is_given_up(monkeypatch):
    conn = connection(monkeypatch, ScriptedStream(), ScriptedStream(), ScriptedStream())
    exchange = conn.send_request("PUT", "/", body=BodyFollowing(10))
    conn.write(b"12345")
    conn.abort_body(exchange)
    for use in (conn.read_response, lambda: conn.write(b"12345")):
        with pytest.raises(ConnectionClosed, match="given up"):
            use()
    conn.reset()

    exchange = conn.send_request("PUT", "/", body=BodyFollowing(3))
    conn.write(b"abc")
    conn.abort_body(exchange)  # it is complete
    conn.send_request("GET", "/")
    conn.abort_body(exchange)
    conn.reset()

    # a server that has answered before it had everything
    exchange = conn.send_request("PUT", "/", body=BodyFollowing(3))
    conn._session.shared.stream.incoming = [OK]
    with pytest.raises(ConnectionClosed) as caught:
        conn.write(b"abc")
    assert caught.value.request_sent == "yes"
    conn.abort_body(exchange)
    assert conn.read_response().status == 200


def test_body_that_ends_early_or_fails_breaks_the_connection(monkeypatch):
    class Shrinking(io.BytesIO):
        def readinto(self, buffer):
            return super().readinto(buffer) if self.tell() < PIECE else 0

    def pieces():
        yield b"a"
        raise ValueError("no more")

    for body, problem in ((Shrinking(bytes(PIECE + 1)), StateError), (pieces(), ValueError)):
        conn = connection(monkeypatch, ScriptedStream())
        with pytest.raises(problem):
            conn.send(Request("PUT", body=body))
        assert not conn.is_open()
        with pytest.raises(ConnectionClosed, match="broken"):
            conn.send_request("GET", "/")


def test_request_that_is_given_up_between_two_pieces_breaks_the_connection(monkeypatch):
    stream = ScriptedStream(rooms=[1000, None, None])
    conn = connection(monkeypatch, stream)
    op = conn.co_send(Request("PUT", body=[b"a", b"b"]))
    next(op)
    op.close()
    assert isinstance(conn.close_reason, StateError)


def test_stream_stays_where_it_was_if_nothing_was_sent(monkeypatch):
    file = Quiet(bytes(2 * PIECE))
    file.seek(3)
    conn = connection(monkeypatch, ScriptedStream())
    with pytest.raises(InvalidRequest):
        conn.send(Request("PUT", "no target", body=file))
    assert file.tell() == 3


@pytest.mark.parametrize("kind", [Quiet, Doubled, Halved, Made, Signed, mapped])
@pytest.mark.parametrize("start", [0, 7])
def test_streams_whose_length_is_hard_to_know_are_sent_as_a_whole(monkeypatch, kind, start):
    expected = finish_reading(kind(bytes(range(250))), start)
    stream = ScriptedStream()
    conn = connection(monkeypatch, stream)
    body = kind(bytes(range(250)))
    body.seek(start)
    conn.send(Request("PUT", body=body))
    head, _, wire = stream.sent.partition(b"\r\n\r\n")
    if kind in (Quiet, mapped):
        assert f"Content-Length: {len(expected)}".encode() in head
        assert wire == expected
    else:
        assert b"Transfer-Encoding: chunked" in head
        assert wire == b"%x\r\n%s\r\n0\r\n\r\n" % (len(expected), expected)


@pytest.mark.parametrize("buffering", [0, 8192])
@pytest.mark.parametrize("driver", DRIVERS)
def test_pipe_that_does_not_block_is_a_body_up_to_its_end(start, driver, buffering):
    server = start("uvicorn-httptools")
    data = pattern(300_000)

    def co_put(body):
        yield from conn.co_send(Request("PUT", "/upload", body=body))
        yield from conn.co_read_response()
        return json.loads((yield from conn.co_readall()))["sha256"]

    with (
        HTTPConnection("localhost", server.port, timeout=30) as conn,
        pipe(reader_blocks=False) as (reader, writer),
    ):
        op = co_put(os.fdopen(reader, "rb", buffering, closefd=False))
        while next(op).fd != reader:  # until it waits for the pipe, in which is nothing
            pass
        feed = Feed(writer, data)
        feed.start()
        try:
            digest = driver(op)
        finally:
            feed.join()

    assert digest == hashlib.sha256(data).hexdigest()


@pytest.mark.feature("A21")
def test_bodies_arrive_at_a_real_server(start, tmp_path):
    (tmp_path / "file").write_bytes(bytes(300_000))
    with HTTPConnection("127.0.0.1", start("uvicorn-h11").port) as conn:
        for body, size in (
            (b"hello", 5),
            ([b"he", b"llo"], 5),
            (io.BytesIO(bytes(100_000)), 100_000),
            ((tmp_path / "file").open("rb"), 300_000),
        ):
            request = Request("PUT", "/upload", body=body)
            for _ in range(2):
                conn.send(request)
                assert conn.read_response().status == 200
                assert json.loads(conn.readall())["length"] == size
        body.close()


@pytest.mark.feature("B54")
def test_going_through_the_responses(monkeypatch):
    stream = ScriptedStream()
    conn = connection(monkeypatch, stream)

    def co_all():
        bodies = []
        for _ in range(2):
            yield from conn.co_send_request("GET", "/")
        stream.incoming = [OK, OK]
        while (response := (yield from conn.co_next_response())) is not None:
            assert response.status == 200
            bodies.append((yield from conn.co_readall()))
        return bodies

    assert finish(co_all()) == [b"ok", b"ok"]
    assert conn.next_response() is None
    conn.send_request("GET", "/")
    stream.incoming = [OK]
    assert [conn.readall() for response in conn.responses()] == [b"ok"]
    conn.send_request("GET", "/")


@pytest.mark.feature("A14", "A15", "A16")
@pytest.mark.parametrize("tls", [False, True], ids=["http", "https"])
def test_open_connection_is_open_until_it_is_closed(start, trusting, tls):
    server = start("granian", tls=tls)
    conn = HTTPConnection("localhost", server.port, trusting if tls else None)
    assert not conn.is_open()
    future = conn.shutdown_future
    for _ in range(3):
        conn.send_request("GET", "/bytes/10")
        assert conn.is_open()
        conn.read_response()
        assert conn.is_open()
        conn.readall()
        assert conn.is_open()
        assert not future.done()
    conn.close()
    assert not conn.is_open()
    assert future.result(0) is None
    assert run(conn.co_wait_closed()) is None
    conn.connect()
    assert not conn.shutdown_future.done()
    conn.close()
    conn.close()
    assert conn.shutdown_future.done()


@pytest.mark.feature("A16")
def test_wait_for_the_end_gives_its_reason():
    with ScriptedServer(answering(b"nonsense\r\n\r\n")) as server:
        conn = HTTPConnection("127.0.0.1", server.port)
        waiting = conn.co_wait_closed()
        next(waiting)
        future = conn.shutdown_future
        conn.send_request("GET", "/")
        with pytest.raises(Exception, match="HTTP") as caught:
            conn.read_response()
        assert type(finish(waiting)) is type(caught.value)
        assert type(future.exception(0)) is type(caught.value)
        conn.close()


@pytest.mark.feature("A16")
@pytest.mark.parametrize("driver", DRIVERS)
def test_the_end_is_waited_for_under_every_driver(driver):
    def co_ask(conn):
        yield from conn.co_send_request("GET", "/")
        with pytest.raises(InvalidResponse):
            yield from conn.co_read_response()

    with ScriptedServer(answering(b"nonsense\r\n\r\n")) as server:
        with HTTPConnection("127.0.0.1", server.port, timeout=10) as conn:
            reason, _ = driver(both(conn.co_wait_closed(), co_ask(conn)))
            assert isinstance(reason, InvalidResponse)
            assert conn.wait_closed() is reason is conn.close_reason


def test_last_response_ends_the_connection_in_order(monkeypatch):
    answer = b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"
    conn = connection(monkeypatch, ScriptedStream([answer, END]))
    conn.send_request("GET", "/")
    assert conn.is_open()
    conn.read_response()
    assert not conn.is_open()
    assert conn.shutdown_future.result(0) is None
    assert conn.close_reason is None
