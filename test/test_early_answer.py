"""A final answer while the request is still being written: heard at once, in every style."""

import asyncio
import threading
import time

import pytest
from support import ScriptedServer, pattern, read_exactly, read_head, wait_until

from dugong_like import BodyFollowing, ConnectionClosed, HTTPConnection, both, run
from dugong_like.drivers import aio
from dugong_like.drivers.loop import Loop

ANSWER = b"HTTP/1.1 413 Too Large\r\nContent-Length: 5\r\n\r\nquota"
SIZE = 1 << 30  # bytes announced; nobody could send them before the answer
PIECE = bytes(100_000)
HELD_BACK = 20  # seconds after which the servers give up, which the client must not wait for
heard = threading.Event()  # the client has the answer


@pytest.fixture(autouse=True)
def _not_heard_yet():
    heard.clear()


def stops_reading(sock):
    read_head(sock)
    read_exactly(sock, 1000)
    sock.sendall(ANSWER)
    heard.wait(HELD_BACK)


def keeps_draining(sock):
    read_head(sock)
    read_exactly(sock, 1000)
    sock.sendall(ANSWER)
    until = time.monotonic() + HELD_BACK
    while time.monotonic() < until and not heard.is_set() and sock.recv(65536):
        time.sleep(0.001)


def closes_at_once(sock):
    read_head(sock)
    read_exactly(sock, 1000)
    sock.sendall(ANSWER)
    sock.shutdown(1)
    heard.wait(HELD_BACK)


def co_write_all(conn):
    """Write until the server has enough; return how much it let us write."""
    sent = 0
    try:
        while sent < SIZE:
            yield from conn.co_write(PIECE)
            sent += len(PIECE)
    except ConnectionClosed as exc:
        return sent, exc
    raise AssertionError("the whole body was written")


def co_read_answer(conn):
    response = yield from conn.co_read_response()
    return response.status, (yield from conn.co_readall())


def one_thread(conn):
    written = run(co_write_all(conn))
    return written, run(co_read_answer(conn))


def two_threads(conn):
    results = []
    writer = threading.Thread(target=lambda: results.append(run(co_write_all(conn))))
    writer.start()
    answer = run(co_read_answer(conn))
    writer.join()
    return results[0], answer


def two_generators(conn):
    return run(both(co_write_all(conn), co_read_answer(conn)))


def reader_first(conn):
    answer, written = run(both(co_read_answer(conn), co_write_all(conn)))
    return written, answer


def on_asyncio(conn):
    async def main():
        return await asyncio.gather(aio.run(co_write_all(conn)), aio.run(co_read_answer(conn)))

    return asyncio.run(main())


def on_asyncio_one_after_the_other(conn):
    async def main():
        return await aio.run(co_write_all(conn)), await aio.run(co_read_answer(conn))

    return asyncio.run(main())


def on_own_loop(conn):
    with Loop() as loop:
        tasks = [loop.spawn(co_write_all(conn)), loop.spawn(co_read_answer(conn))]
        loop.run_all()
        return [task.result() for task in tasks]


def on_trio(conn):
    trio = pytest.importorskip("trio")
    from dugong_like.drivers import trio as driver

    results = [None, None]

    async def one(number, op):
        results[number] = await driver.run(op)

    async def main():
        async with trio.open_nursery() as nursery:
            nursery.start_soon(one, 0, co_write_all(conn))
            nursery.start_soon(one, 1, co_read_answer(conn))

    trio.run(main)
    return results


STYLES = [
    one_thread, two_threads, two_generators, reader_first, on_asyncio,
    on_asyncio_one_after_the_other, on_own_loop, on_trio,
]  # fmt: skip


@pytest.mark.reliability(43)
@pytest.mark.feature("B13", "B49")
@pytest.mark.parametrize("tls", [False, True], ids=["plain", "tls"])
@pytest.mark.parametrize("server_does", [stops_reading, keeps_draining, closes_at_once])
@pytest.mark.parametrize(
    ("style", "length"),
    [*((style, SIZE) for style in STYLES), (one_thread, None), (two_threads, None)],
)
def test_answer_is_delivered_at_once(style, server_does, tls, length, certificate, trusting):
    context = certificate.server_context() if tls else None
    with ScriptedServer(server_does, context) as server:
        with HTTPConnection(
            "localhost" if tls else "127.0.0.1",
            server.port,
            trusting if tls else None,
            timeout=10,
        ) as conn:
            conn.send_request("PUT", "/", body=BodyFollowing(length))
            start = time.monotonic()
            (sent, exc), (status, body) = style(conn)

            assert time.monotonic() - start < HELD_BACK / 2, "the answer was held back"
            heard.set()
            assert (status, body) == (413, b"quota")
            assert sent < SIZE
            assert exc.request_sent in {"yes", "maybe"}
            assert not conn.response_pending()
            conn.send_request("GET", "/")  # on a new connection
            wait_until(lambda: server.connections == 2)


@pytest.mark.reliability(43)
@pytest.mark.feature("B13")
def test_body_in_one_piece_is_interrupted_too():
    with ScriptedServer(stops_reading) as server:
        with HTTPConnection("127.0.0.1", server.port, timeout=10, content_md5=False) as conn:
            with pytest.raises(ConnectionClosed, match="answered 413"):
                conn.send_request("PUT", "/", body=bytes(100 << 20))
            assert conn.read_response().status == 413
            assert conn.readall() == b"quota"
            heard.set()


def test_answer_to_an_earlier_request_does_not_stop_the_upload():
    def handler(sock):
        read_head(sock)
        read_head(sock)
        sock.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
        read_exactly(sock, 5_000_000)
        sock.sendall(b"HTTP/1.1 201 Created\r\nContent-Length: 0\r\n\r\n")

    with ScriptedServer(handler) as server:
        with HTTPConnection("127.0.0.1", server.port, timeout=10) as conn:
            conn.send_request("GET", "/")
            conn.send_request("PUT", "/", body=BodyFollowing(5_000_000))
            for _ in range(50):
                conn.write(PIECE)
            assert [conn.read_response().status, conn.readall()] == [200, b"ok"]
            assert conn.read_response().status == 201


def test_informational_responses_do_not_stop_the_upload():
    def handler(sock):
        read_head(sock)
        for _ in range(5):
            read_exactly(sock, 1_000_000)
            sock.sendall(b"HTTP/1.1 102 Processing\r\n\r\n")
        sock.sendall(b"HTTP/1.1 201 Created\r\nContent-Length: 0\r\n\r\n")

    with ScriptedServer(handler) as server:
        with HTTPConnection("127.0.0.1", server.port, timeout=10) as conn:
            conn.send_request("PUT", "/", body=BodyFollowing(5_000_000))
            for _ in range(50):
                conn.write(PIECE)
            response = conn.read_response()
            assert (response.status, len(response.informational)) == (201, 5)


@pytest.mark.feature("B13", "B49")
@pytest.mark.parametrize("tls", [False, True], ids=["plain", "tls"])
@pytest.mark.parametrize("style", [two_threads, two_generators, on_own_loop])
def test_long_answer_is_read_to_its_end(style, tls, certificate, trusting):
    page = pattern(1_000_000)

    def handler(sock):
        read_head(sock)
        read_exactly(sock, 1000)
        time.sleep(0.1)  # the writer waits by now
        sock.sendall(b"HTTP/1.1 413 Too Large\r\nContent-Length: %d\r\n\r\n" % len(page))
        time.sleep(0.1)  # the reader has ended the sending direction by now
        sock.sendall(page)
        heard.wait(HELD_BACK)  # to close now would be a reset, and lose what is on its way

    with ScriptedServer(handler, certificate.server_context() if tls else None) as server:
        conn = HTTPConnection("127.0.0.1", server.port, trusting if tls else None, timeout=10)
        with conn:
            conn.send_request("PUT", "/", body=BodyFollowing(SIZE))
            assert style(conn)[1] == (413, page)
            heard.set()
