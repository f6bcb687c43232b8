"""One connection, two who use it: one sends while the other reads, on threads or as generators.

Against real servers, plain and with TLS; and with a third one who closes the connection.
"""

import asyncio
import hashlib
import io
import json
import os
import tempfile
import threading
from queue import SimpleQueue

import pytest
from kit.support import ScriptedServer, pattern, read_head

from dugong_like import (
    POLLOUT,
    BodyFollowing,
    ConnectionClosed,
    HTTPConnection,
    StateError,
    both,
    run,
)
from dugong_like.connection.h1.body_reader import BodyReader
from dugong_like.connection.h1.sender import Sender
from dugong_like.drivers import aio

COUNT = 10_000
BODY = pattern(1024)


@pytest.fixture(params=[False, True], ids=["http", "https"])
def connect(request, start, trusting):
    """A function that returns a connection to a server."""
    opened = []

    def connect(name):
        server = start(name, tls=request.param)
        context = trusting if request.param else None
        opened.append(HTTPConnection("localhost", server.port, context, timeout=30))
        return opened[-1]

    yield connect
    for conn in opened:
        conn.close()


def on_two_threads(conn, requests, co_send, co_take):
    """Send on another thread, which says when there is something to read."""
    sent = SimpleQueue()

    def write():
        try:
            for request in requests:
                run(co_send(conn, request))
                sent.put(None)
        except BaseException as exc:
            sent.put(exc)

    writer = threading.Thread(target=write)
    writer.start()
    for request in requests:
        if problem := sent.get():
            raise problem
        run(co_take(conn, request))
    writer.join()


def co_send_all(conn, requests, co_send):
    for request in requests:
        yield from co_send(conn, request)


def co_take_all(conn, requests, co_take):
    for request in requests:
        yield from co_take(conn, request)


def as_two_generators(conn, requests, co_send, co_take):
    conn.connect()
    run(both(co_send_all(conn, requests, co_send), co_take_all(conn, requests, co_take)))


def as_two_tasks(conn, requests, co_send, co_take):
    async def main():
        await aio.run(conn.co_connect())
        await asyncio.gather(
            aio.run(co_send_all(conn, requests, co_send)),
            aio.run(co_take_all(conn, requests, co_take)),
        )

    asyncio.run(main())


WAYS = [on_two_threads, as_two_generators, as_two_tasks]


def co_get(conn, number):
    yield from conn.co_send_request("GET", f"/bytes/1024?{number}")


def co_take(conn, number):
    response = yield from conn.co_read_response()
    assert (response.status, response.path) == (200, f"/bytes/1024?{number}")
    assert (yield from conn.co_readall()) == BODY


@pytest.mark.slow
@pytest.mark.feature("B28", "B49", "B50")
@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("name", ["nginx", "granian", "haproxy"])
def test_ten_thousand_pipelined_requests(connect, name, way):
    conn = connect(name)
    way(conn, range(COUNT), co_get, co_take)

    assert not conn.response_pending()


PIECE = pattern(100_000)
DIGEST = hashlib.sha256(PIECE * 3).hexdigest()


def co_put_or_get(conn, number):
    if number % 2:
        yield from conn.co_send_request("GET", "/bytes/1048576")
        return
    length = BodyFollowing(3 * len(PIECE) if number % 4 else None)
    yield from conn.co_send_request("PUT", "/upload", body=length)
    for _ in range(3):
        yield from conn.co_write(PIECE)
    yield from conn.co_finish()


def co_check(conn, number):
    assert (yield from conn.co_read_response()).status == 200
    body = yield from conn.co_readall()
    if number % 2:
        assert body == pattern(1 << 20)
    else:
        assert json.loads(body)["sha256"] == DIGEST


@pytest.mark.slow
@pytest.mark.feature("B49")
@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("name", ["uvicorn-httptools", "granian", "nginx"])
def test_upload_and_download_at_once(connect, name, way):
    conn = connect(name)
    way(conn, range(200), co_put_or_get, co_check)

    assert not conn.response_pending()


def co_put_file_or_get(conn, number):
    if number % 2:
        yield from conn.co_send_request("GET", "/bytes/1048576")
        return
    with tempfile.TemporaryFile() as file:
        file.write(PIECE * 3)
        length = BodyFollowing(file.tell() if number % 4 else None)
        yield from conn.co_send_request("PUT", "/upload", body=length)
        assert (yield from conn.co_sendfile(file)) == 3 * len(PIECE)
    yield from conn.co_finish()


def co_check_file(conn, number):
    assert (yield from conn.co_read_response()).status == 200
    with tempfile.TemporaryFile() as file:
        yield from conn.co_recv_to_file(file)
        file.seek(0)
        body = file.read()
    if number % 2:
        assert body == pattern(1 << 20)
    else:
        assert json.loads(body)["sha256"] == DIGEST


@pytest.mark.slow
@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("name", ["granian"])
def test_files_both_ways_at_once(connect, name, way):
    conn = connect(name)
    way(conn, range(100), co_put_file_or_get, co_check_file)

    assert not conn.response_pending()


def when_read_to_its_end(monkeypatch, do):
    """Call *do* on another thread between the last step of a body and the return of its reader."""
    original = BodyReader.end_response
    threads = []

    def end(bodies, trailers=b""):
        original(bodies, trailers)
        monkeypatch.undo()
        threads.append(threading.Thread(target=do))
        threads[0].start()
        threads[0].join(20)  # it need not wait for us

    monkeypatch.setattr(BodyReader, "end_response", end)
    return threads


@pytest.mark.reliability(34, 43)
@pytest.mark.parametrize(
    "length", [b"", b"Content-Length: 300000\r\n"], ids=["until close", "sized"]
)
def test_writer_that_reconnects_takes_nothing_from_the_reader_of_the_last_response(
    monkeypatch, length
):
    def handler(sock):
        if read_head(sock).startswith(b"GET /1 "):
            sock.sendall(b"HTTP/1.1 200 OK\r\nConnection: close\r\n%s\r\n" % length)
            sock.sendall(pattern(300_000))
        else:
            sock.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")

    with ScriptedServer(handler) as server:
        with HTTPConnection("127.0.0.1", server.port, timeout=20) as conn:
            conn.send_request("GET", "/1")
            conn.read_response()
            threads = when_read_to_its_end(monkeypatch, lambda: conn.send_request("GET", "/2"))
            assert conn.readall() == pattern(300_000)
            assert not threads[0].is_alive()
            assert conn.read_response().path == "/2"
            assert conn.readall() == b"ok"
        assert server.connections == 2


@pytest.mark.reliability(34, 43)
@pytest.mark.parametrize("method", ["GET", "HEAD"])
@pytest.mark.parametrize("size", [0, 10])
def test_end_of_the_last_body_is_still_one_when_the_writer_has_reconnected(method, size):
    def handler(sock):
        while read_head(sock):
            head = b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: %d\r\n\r\n" % size
            sock.sendall(head + bytes(size) * (method == "GET"))

    with ScriptedServer(handler) as server:
        with HTTPConnection("127.0.0.1", server.port, timeout=20) as conn:
            conn.send_request(method, "/1")
            conn.read_response()
            body = conn.read(size) if size else b""
            writer = threading.Thread(target=conn.send_request, args=(method, "/2"))
            writer.start()
            writer.join(20)
            assert body == bytes(size) * (method == "GET")
            assert [conn.read(10), conn.readall(), conn.readinto(bytearray(5))] == [b"", b"", 0]
            assert conn.read_response().path == "/2"
            conn.readall()
        assert server.connections == 2


@pytest.mark.reliability(34, 43)
def test_what_a_file_has_not_taken_is_still_there_when_the_writer_has_reconnected():
    class Full(io.BytesIO):
        def write(self, data):
            raise OSError("no space")

    def handler(sock):
        while read_head(sock):
            sock.sendall(b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 100000\r\n\r\n")
            sock.sendall(pattern(100_000))

    with ScriptedServer(handler) as server:
        with HTTPConnection("127.0.0.1", server.port, timeout=20) as conn:
            conn.send_request("GET", "/1")
            conn.read_response()
            got = b""
            with pytest.raises(OSError, match="no space"):
                conn.recv_to_file(Full())
            while conn.response_pending():
                got += conn.read(30_000)
            conn.send_request("GET", "/2")
            got += conn.readall()
            assert got == pattern(100_000)


@pytest.mark.reliability(43)
@pytest.mark.parametrize("end", [HTTPConnection.disconnect, HTTPConnection.reset])
def test_who_closes_the_connection_takes_nothing_from_the_reader_of_a_response(monkeypatch, end):
    def handler(sock):
        while read_head(sock):
            sock.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 300000\r\n\r\n" + pattern(300_000))

    with ScriptedServer(handler) as server:
        with HTTPConnection("127.0.0.1", server.port, timeout=20) as conn:
            for _ in range(2):
                conn.send_request("GET", "/")
                conn.read_response()
                threads = when_read_to_its_end(monkeypatch, lambda: end(conn))
                assert conn.readall() == pattern(300_000)
                assert not threads[0].is_alive()
                assert not conn.response_pending()
        assert server.connections == 2


@pytest.mark.reliability(43)
@pytest.mark.parametrize("tls", [False, True], ids=["http", "https"])
@pytest.mark.parametrize("sends", [False, True], ids=["reader", "writer"])
def test_descriptor_is_no_other_file_as_long_as_somebody_may_wait_for_it(
    certificate, trusting, tls, sends
):
    """Or who is about to wait, while the connection is closed, would wait for that file."""
    done = threading.Event()
    context = certificate.server_context() if tls else None
    with ScriptedServer(lambda sock: done.wait(20), context) as server:
        conn = HTTPConnection("127.0.0.1", server.port, trusting if tls else None)
        if sends:
            conn.send_request("PUT", "/", body=BodyFollowing(1 << 30))
            op = conn.co_write(bytes(100 << 20))
        else:
            conn.send_request("GET", "/")
            op = conn.co_read_response()
        need = next(op)
        while sends and not need.mask & POLLOUT:  # but lets others have their turn in between
            need = next(op)
        closer = threading.Thread(target=conn.disconnect)
        closer.start()
        closer.join(20)

        with tempfile.TemporaryFile() as file:
            assert file.fileno() != need.fd
            assert need.poll(20)
            with pytest.raises(ConnectionClosed) as kept:
                next(op)
            with pytest.raises(OSError, match="Bad file"):  # although the exception is kept
                os.fstat(need.fd)
        assert kept.tb is not None
        done.set()
        conn.close()


@pytest.mark.reliability(43)
@pytest.mark.parametrize("step", ["check_room", "_start", "_check_unanswered"])
@pytest.mark.parametrize("length", [200_000, None], ids=["sized", "chunked"])
def test_who_closes_the_connection_ends_a_write_in_an_orderly_way(monkeypatch, step, length):
    original = getattr(Sender, step)
    closing = []

    def and_close(half, *arguments):
        result = original(half, *arguments)
        if closing:
            closer = threading.Thread(target=closing.pop())
            closer.start()
            closer.join(20)
        return result

    def handler(sock):
        while (head := read_head(sock)) and not head.startswith(b"GET"):
            pass
        sock.sendall(b"HTTP/1.1 204 No Content\r\n\r\n" if head else b"")

    monkeypatch.setattr(Sender, step, and_close)
    with ScriptedServer(handler) as server:
        with HTTPConnection("127.0.0.1", server.port, timeout=20) as conn:
            conn.send_request("PUT", "/", body=BodyFollowing(length))
            closing.append(conn.disconnect)
            with pytest.raises((ConnectionClosed, StateError)) as error:
                for _ in range(20):
                    conn.write(bytes(10_000))
                conn.finish()
            assert isinstance(error.value, ConnectionClosed) or step == "_start"
            assert not closing
            conn.send_request("GET", "/")
            assert conn.read_response().status == 204


@pytest.mark.reliability(43)
def test_who_closes_waits_for_no_connection_that_another_thread_opens(monkeypatch):
    """Between closing and waiting for the end a thread may connect again."""
    with ScriptedServer(lambda sock: sock.recv(1)) as server:
        with HTTPConnection("127.0.0.1", server.port, timeout=20) as conn:
            conn.connect()
            disconnect = conn.disconnect

            def and_connect():
                disconnect()
                other = threading.Thread(target=conn.connect)
                other.start()
                other.join(20)

            monkeypatch.setattr(HTTPConnection, "disconnect", lambda _: and_connect())
            assert run(conn.co_close(), 20) is None
            assert conn.is_open()
            monkeypatch.undo()
