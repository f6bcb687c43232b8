"""Reading the response to one request by its `Exchange`, when it is its turn."""

import asyncio
from concurrent.futures import ThreadPoolExecutor

import pytest
from kit.every_driver import DRIVERS
from kit.streams import END, ScriptedStream, connection, finish
from kit.support import ScriptedServer, read_head

from dugong_like import (
    BodyFollowing,
    ConnectionClosed,
    ConnectionTimedOut,
    Exchange,
    HTTPConnection,
    StateError,
    both,
    run,
)
from dugong_like.connection.h1.exclusive import peek
from dugong_like.drivers import aio

TARGETS = [f"/{number}" for number in range(10)]


def answer(body):
    return b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body)


def echoing(sock):
    while head := read_head(sock):
        sock.sendall(answer(head.split(b" ")[1]))


@pytest.fixture
def conn():
    with ScriptedServer(echoing) as server:
        with HTTPConnection("127.0.0.1", server.port, timeout=20) as conn:
            yield conn


@pytest.mark.parametrize("driver", DRIVERS)
def test_each_in_its_order(driver, conn):
    def co_talk():
        exchanges = yield from conn.co_send_requests([("GET", target) for target in TARGETS])
        for exchange in exchanges:
            response = yield from exchange.co_read_response()
            assert response.path == exchange.path
            assert (yield from exchange.co_read(1)) == b"/"
            memory = bytearray(10)
            count = yield from exchange.co_readinto(memory)
            assert memory[:count].decode() == exchange.path[1:]
            for _ in range(2):
                assert (yield from exchange.co_readall()) == b""
                assert (yield from exchange.co_read(1)) == b""
                assert (yield from exchange.co_readinto(memory)) == 0
                yield from exchange.co_discard()
        return len(exchanges)

    assert driver(co_talk()) == 10
    assert not conn.response_pending()


def test_blocking(conn):
    first, second = conn.send_requests([("GET", "/1"), ("GET", "/2")])
    assert first.read_response().status == 200
    assert first.read(1) == b"/"
    memory = bytearray(1)
    assert first.readinto(memory) == 1
    assert first.readall() == b""
    assert second.read_response().path == "/2"
    second.discard()
    assert not conn.response_pending()


def test_tasks_that_begin_in_any_order(conn):
    async def main():
        exchanges = await aio.run(conn.co_send_requests([("GET", target) for target in TARGETS]))

        async def read(exchange):
            await aio.run(exchange.co_read_response())
            await asyncio.sleep(0)  # others shall try to come in between
            return (await aio.run(exchange.co_readall())).decode()

        return await asyncio.gather(*map(read, reversed(exchanges)))

    assert asyncio.run(main()) == TARGETS[::-1]


def test_threads(conn):
    exchanges = conn.send_requests([("GET", target) for target in TARGETS])

    def read(exchange):
        assert exchange.read_response().path == exchange.path
        return exchange.readall().decode()

    with ThreadPoolExecutor(len(TARGETS)) as pool:
        assert list(pool.map(read, exchanges[::-1])) == TARGETS[::-1]


def test_one_that_is_abandoned_is_passed_over(conn):
    first, second = conn.send_requests([("GET", "/1"), ("GET", "/2")])
    first.abandon()
    assert second.read_response().path == "/2"
    assert second.readall() == b"/2"
    with pytest.raises(StateError, match="abandoned"):
        first.read_response()


def test_the_turn_comes_with_the_end_of_the_body_before(monkeypatch):
    stream = ScriptedStream()
    conn = connection(monkeypatch, stream)
    first = finish(conn.co_send_request("GET", "/1"))
    second = finish(conn.co_send_request("GET", "/2"))
    waiting = second.co_read_response()
    for _ in range(3):
        assert next(waiting).fd != stream.fd
    stream.incoming = [answer(b"one") + answer(b"two")]
    assert finish(conn.co_read_response()).path == "/1"
    next(waiting)
    assert finish(first.co_read(2)) == b"on"
    next(waiting)
    assert finish(conn.co_readall()) == b"e"
    assert finish(waiting).path == "/2"
    assert finish(second.co_readall()) == b"two"


def test_two_operations_in_one(conn):
    first, second = conn.send_requests([("GET", "/1"), ("GET", "/2")])

    def co_read(exchange):
        yield from exchange.co_read_response()
        return (yield from exchange.co_readall())

    assert run(both(co_read(second), co_read(first))) == (b"/2", b"/1")


def test_a_turn_that_does_not_come(conn):
    _, second = conn.send_requests([("GET", "/1"), ("GET", "/2")])
    conn.timeout = 0.05
    with pytest.raises(ConnectionTimedOut, match="GET http://.*/2: the responses before it"):
        second.read_response()
    conn.timeout = 20
    assert [response.path for response in conn.responses() if conn.readall()] == ["/1", "/2"]


def test_what_cannot_be_read(monkeypatch):
    with pytest.raises(StateError, match="has not been sent"):
        Exchange("GET", "/").read_response()
    stream = ScriptedStream()
    conn = connection(monkeypatch, stream)
    first = finish(conn.co_send_request("GET", "/1"))
    for read in (first.co_readall, first.co_discard, lambda: first.co_readinto(bytearray(1))):
        with pytest.raises(StateError, match="call read_response"):
            next(read())
    with pytest.raises(ValueError, match="-2"):
        next(first.co_read(-2))
    stream.incoming = [answer(b"12345")[:-2]]
    finish(first.co_read_response())
    with pytest.raises(StateError, match="has been read"):
        next(first.co_read_response())
    assert finish(first.co_read(3)) == b"123"
    stream.incoming = [END]
    for _ in range(2):  # and never its end
        with pytest.raises(ConnectionClosed):
            finish(first.co_readall())


@pytest.mark.parametrize("end", [HTTPConnection.disconnect, HTTPConnection.close])
def test_a_closed_connection_ends_all_that_wait(conn, end):
    first, second = conn.send_requests([("GET", "/1"), ("GET", "/2")])
    waiting = second.co_read_response()
    next(waiting)
    first.read_response()
    end(conn)
    for read in (waiting, first.co_readall(), second.co_read_response()):
        with pytest.raises(ConnectionClosed, match="closed meanwhile"):
            finish(read)


def test_an_early_final_response_and_its_request():
    def refuse(sock):
        read_head(sock)
        sock.sendall(b"HTTP/1.1 413 No\r\nContent-Length: 2\r\n\r\nno")
        while sock.recv(65536):
            pass

    with ScriptedServer(refuse) as server:
        with HTTPConnection("127.0.0.1", server.port, timeout=20) as conn:
            exchange = conn.send_request("PUT", "/", body=BodyFollowing())
            assert exchange.read_response().status == 413
            assert exchange.readall() == b"no"


def two_requests(monkeypatch, *incoming):
    stream = ScriptedStream(incoming)
    conn = connection(monkeypatch, stream)
    return conn, [finish(conn.co_send_request("GET", path)) for path in ("/1", "/2")], stream


def test_the_end_of_a_peek_wakes_the_one_whose_turn_it_is(monkeypatch):
    conn, [first, _], _ = two_requests(monkeypatch, answer(b"one") + answer(b"two"))
    waiting = first.co_read_response()

    def look():
        need = next(waiting)
        assert not need.poll(0)
        return need

    need = peek(conn._session.shared, look)
    assert need.poll(0)
    assert finish(waiting).path == "/1"


def test_a_response_that_is_taken_wakes_the_one_behind_it(monkeypatch):
    conn, [_, second], stream = two_requests(monkeypatch, answer(b"one") + answer(b"two"))
    conn._session.receiver.buffer.fill(stream)
    waiting = second.co_read_response()
    need = next(waiting)
    assert not need.poll(0)
    response, body = conn.take_response()
    assert (response.path, body) == ("/1", b"one")
    assert need.poll(0)
    assert finish(waiting).path == "/2"
