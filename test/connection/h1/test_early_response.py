"""Early final responses: while the request is still being written, heard at once in every style."""

import asyncio
import socket
import tempfile
import threading
import time

import pytest
from kit.every_driver import DRIVERS
from kit.streams import END, WOULD_BLOCK, ScriptedStream, connection, finish
from kit.support import ScriptedServer, pattern, read_exactly, read_head, wait_until

from dugong_like import (
    AnsweredEarly,
    BodyFollowing,
    ClientCertificateRefused,
    ConnectionClosed,
    HTTPConnection,
    Pipeline,
    Request,
    StateError,
    both,
    is_temp_network_error,
    run,
)
from dugong_like.connection.h1 import early_response
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


def assert_answered_early(exc):
    assert type(exc) is AnsweredEarly
    assert isinstance(exc, ConnectionClosed)
    assert (exc.request_sent, exc.retryable, is_temp_network_error(exc)) == ("yes", False, False)
    response = exc.response
    assert (response.status, response.reason, response.length) == (413, "Too Large", 5)
    assert response.headers["content-length"] == "5"


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
            assert_answered_early(exc)
            assert not conn.response_pending()
            conn.send_request("GET", "/")  # on a new connection
            wait_until(lambda: server.connections == 2)


@pytest.mark.reliability(43)
@pytest.mark.feature("B13")
def test_body_in_one_piece_is_interrupted_too():
    with ScriptedServer(stops_reading) as server:
        with HTTPConnection("127.0.0.1", server.port, timeout=10, content_md5=False) as conn:
            with pytest.raises(AnsweredEarly, match="answered 413"):
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


def resets(sock):
    """Answer, and close the connection with a part of the request unread."""
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)  # or the reset may overtake it
    read_head(sock)
    read_exactly(sock, 1000)
    sock.sendall(ANSWER)


def pieces():
    while True:
        yield PIECE


def co_write(conn):
    yield from conn.co_send_request("PUT", "/", body=BodyFollowing(SIZE))
    for piece in pieces():
        yield from conn.co_write(piece)


def co_write_chunks(conn):
    yield from conn.co_send_request("PUT", "/", body=BodyFollowing())
    for piece in pieces():
        yield from conn.co_write(piece)


def co_sendfile(conn):
    with tempfile.TemporaryFile() as file:
        file.truncate(SIZE)
        yield from conn.co_send_request("PUT", "/", body=BodyFollowing(SIZE))
        yield from conn.co_sendfile(file)


def co_send_bytes(conn):
    yield from conn.co_send(Request("PUT", "/", body=bytes(100 << 20)))


def co_send_file(conn):
    with tempfile.TemporaryFile() as file:
        file.truncate(SIZE)
        yield from conn.co_send(Request("PUT", "/", body=file))


def co_send_pieces(conn):
    yield from conn.co_send(Request("PUT", "/", body=pieces()))


def co_send_together(conn):
    yield from conn.co_send_requests([("PUT", "/", None, bytes(100 << 20))])


UPLOADS = [
    co_write, co_write_chunks, co_sendfile, co_send_bytes, co_send_file, co_send_pieces,
    co_send_together,
]  # fmt: skip


def co_upload_and_read(conn, co_upload):
    try:
        yield from co_upload(conn)
    except ConnectionClosed as exc:
        return exc, (yield from co_read_answer(conn))
    raise AssertionError("the whole request was sent")


@pytest.mark.reliability(43)
@pytest.mark.parametrize("tls", [False, True], ids=["plain", "tls"])
@pytest.mark.parametrize("server_does", [stops_reading, resets])
@pytest.mark.parametrize(
    ("driver", "co_upload"),
    [*((run, each) for each in UPLOADS), *((driver, co_write) for driver in DRIVERS)],
)
def test_every_way_to_send_a_body_gives_the_response(
    driver, co_upload, server_does, tls, certificate, trusting
):
    """Also if the server resets the connection behind it, and that is heard first."""
    with ScriptedServer(server_does, certificate.server_context() if tls else None) as server:
        with HTTPConnection(
            "localhost", server.port, trusting if tls else None, timeout=30, content_md5=False
        ) as conn:
            exc, answer = driver(co_upload_and_read(conn, co_upload))
            heard.set()
    assert_answered_early(exc)
    assert answer == (413, b"quota")


@pytest.mark.reliability(43)
@pytest.mark.parametrize("tls", [False, True], ids=["plain", "tls"])
def test_no_answer_of_a_reset_is_lost_on_two_threads(tls, certificate, trusting):
    """The reader has it; the writer may hear of the reset before the reader has the head."""
    with ScriptedServer(resets, certificate.server_context() if tls else None) as server:
        with HTTPConnection(
            "localhost", server.port, trusting if tls else None, timeout=30
        ) as conn:
            conn.send_request("PUT", "/", body=BodyFollowing(SIZE))
            (_, exc), answer = two_threads(conn)
    assert answer == (413, b"quota")
    if type(exc) is not ConnectionClosed:
        assert_answered_early(exc)


@pytest.mark.reliability(43)
@pytest.mark.parametrize("body", [bytes(50 << 20), [PIECE] * 500])
def test_streams_and_pipelines_take_it_for_the_response(body):
    with ScriptedServer(resets) as server:
        with HTTPConnection("127.0.0.1", server.port, timeout=30, content_md5=False) as conn:
            assert conn.request(Request("PUT", "/", body=body)).run() == 413
            [only] = Pipeline(conn, [Request("PUT", "/", body=body)]).run()
            assert (only.response.status, only.body) == (413, b"quota")
        assert server.connections == 2


def cuts_its_answer(sock):
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    read_head(sock)
    read_exactly(sock, 1000)
    sock.sendall(ANSWER[:-1])


@pytest.mark.reliability(41)
@pytest.mark.parametrize("body", [bytes(50 << 20), [PIECE] * 500])
def test_request_that_was_refused_is_not_repeated_even_if_the_answer_is_cut(body):
    with ScriptedServer(cuts_its_answer) as server:
        with HTTPConnection("127.0.0.1", server.port, timeout=30, content_md5=False) as conn:
            request = Request("PUT", "/", body=body)
            with pytest.raises(AnsweredEarly) as early:
                Pipeline(conn, [request]).run()
            assert_answered_early(early.value)
            stream = conn.request(request)
            with pytest.raises(AnsweredEarly):
                stream.run()
            assert_answered_early(stream.exception)
            assert stream.response_status_code == 413
        assert server.connections == 2


# ---- as scripts

REFUSAL = b"HTTP/1.1 413 No\r\nContent-Length: 2\r\n\r\nno"
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"
LOST = ConnectionClosed("scripted", request_sent="maybe")


@pytest.mark.reliability(43)
@pytest.mark.parametrize("length", [None, 20])
@pytest.mark.parametrize("call", ["write", "finish"])
def test_writer_looks_for_an_answer_each_time(monkeypatch, length, call):
    stream, new = ScriptedStream(), ScriptedStream()
    conn = connection(monkeypatch, stream, new)
    conn.send_request("PUT", "/", body=BodyFollowing(length))
    conn.write(b"begin")
    stream.incoming = [b"HTTP/1.1 100 Continue\r\n\r\n" + REFUSAL]
    before = stream.sent
    with pytest.raises(ConnectionClosed, match="answered 413") as failure:
        conn.finish() if call == "finish" and length is None else conn.write(b"fifteen   bytes")
    assert failure.value.request_sent == "yes"
    assert stream.sent == before
    assert conn.read_response().status == 413
    assert conn.readall() == b"no"
    conn.send_request("GET", "/next")
    assert new.sent.startswith(b"GET /next ")


@pytest.mark.reliability(43, 44)
def test_answer_that_came_together_with_100_is_seen_before_the_body_is_sent(monkeypatch):
    stream = ScriptedStream()
    conn = connection(monkeypatch, stream)
    conn.send_request("PUT", "/", body=BodyFollowing(5), expect100=True)
    stream.incoming = [b"HTTP/1.1 100 Continue\r\n\r\n" + REFUSAL]
    assert conn.read_response().status == 100
    with pytest.raises(ConnectionClosed, match="answered 413"):
        conn.write(b"hello")
    assert not stream.sent.endswith(b"hello")
    assert conn.read_response().status == 413


def test_answer_that_was_read_by_another_operation_ends_the_writer(monkeypatch):
    stream = ScriptedStream(rooms=[1000, 10, *[WOULD_BLOCK] * 3])
    conn = connection(monkeypatch, stream)
    conn.send_request("PUT", "/", body=BodyFollowing(1000))
    writing = conn.co_write(bytes(100))
    next(writing)
    stream.incoming = [REFUSAL]
    reading = conn.co_read_response()
    assert finish(reading).status == 413
    with pytest.raises(AnsweredEarly, match="answered 413 before the request") as early:
        next(writing)
    assert early.value.response.status == 413
    assert finish(conn.co_readall()) == b"no"


def test_answer_read_between_two_writes_ends_the_body(monkeypatch):
    for next_call in ("write", "request"):
        new = ScriptedStream([OK])
        conn = connection(monkeypatch, ScriptedStream([REFUSAL]), new)
        conn.send_request("PUT", "/", body=BodyFollowing(1000))
        finish(conn.co_read_response())
        finish(conn.co_discard())
        if next_call == "write":
            with pytest.raises(AnsweredEarly, match="answered 413 before"):
                finish(conn.co_write(b"x"))
        finish(conn.co_send_request("GET", "/next"))
        assert new.sent.startswith(b"GET /next ")


@pytest.mark.parametrize("trailers", [None, {"X-Sum": "5"}])
def test_answer_before_the_end_of_a_chunked_body(monkeypatch, trailers):
    stream = ScriptedStream()
    conn = connection(monkeypatch, stream)
    conn.send_request("PUT", "/", body=BodyFollowing())
    conn.write(b"forbidden")
    stream.incoming = [REFUSAL]
    with pytest.raises(AnsweredEarly, match="answered 413 before") as early:
        conn.finish(trailers)
    assert early.value.response.status == 413
    assert conn.read_response().status == 413
    assert conn.readall() == b"no"


class Refusing(ScriptedStream):
    """A stream whose peer answers and closes the connection when something is sent to it."""

    def __init__(self, takes, *answer):
        super().__init__(rooms=[*takes, LOST])
        self.answer = list(answer)

    def send(self, parts):
        if self.rooms[0] is LOST:
            self.incoming = self.answer
        return super().send(parts)


@pytest.mark.reliability(43)
@pytest.mark.parametrize("cut", [*range(0, len(REFUSAL) - 1, 7), len(REFUSAL)])
@pytest.mark.parametrize("takes", [[5], [1000], [1000, 3]])
def test_what_was_said_before_the_connection_was_lost_is_heard(monkeypatch, takes, cut):
    """However the answer arrives, and whether the head or the body was being sent."""
    pieces = [piece for piece in (REFUSAL[:cut], REFUSAL[cut:]) if piece]
    conn = connection(monkeypatch, Refusing(takes, *pieces))
    with pytest.raises(AnsweredEarly, match=r"answered 413 before.* [03] of 9 bytes") as early:
        conn.send_request("PUT", "/", body=BodyFollowing(9))
        conn.write(b"forbidden")
    assert isinstance(early.value.__cause__, ConnectionClosed)
    assert (early.value.request_sent, early.value.retryable) == ("yes", False)
    response = early.value.response
    assert (response.status, response.reason, response.length) == (413, "No", 2)
    again = conn.read_response()
    assert (again.status, again.headers.items()) == (413, response.headers.items())
    assert conn.readall() == b"no"


def test_what_came_before_a_request_is_not_its_answer(monkeypatch):
    timed_out = b"HTTP/1.1 408 Request Timeout\r\nContent-Length: 0\r\n\r\n"
    conn = connection(monkeypatch, Refusing([], timed_out))
    with pytest.raises(ConnectionClosed) as failure:
        conn.send_request("POST", "/", body=b"x")
    assert type(failure.value) is ConnectionClosed
    assert (failure.value.request_sent, failure.value.retryable) == ("no", True)


@pytest.mark.parametrize("answer", [b"nonsense\r\n\r\n", REFUSAL[:20], b"", END])
def test_what_is_no_answer_explains_nothing(monkeypatch, answer):
    conn = connection(monkeypatch, Refusing([5], answer, END))
    with pytest.raises(ConnectionClosed) as failure:
        conn.send_request("PUT", "/", body=b"forbidden")
    assert type(failure.value) is ConnectionClosed
    assert (failure.value.request_sent, failure.value.retryable) == ("maybe", True)
    assert str(LOST) in str(failure.value)


def test_refused_certificate_explains_the_loss(monkeypatch):
    conn = connection(monkeypatch, Refusing([5], ClientCertificateRefused("alert")))
    with pytest.raises(ClientCertificateRefused, match="alert"):
        conn.send_request("PUT", "/", body=b"forbidden")


def test_answer_to_an_earlier_request_explains_nothing(monkeypatch):
    conn = connection(monkeypatch, Refusing([1000, 1000], OK + REFUSAL))
    conn.send_request("GET", "/")
    conn.send_request("PUT", "/", body=BodyFollowing(9))
    with pytest.raises(ConnectionClosed) as failure:
        conn.write(b"forbidden")
    assert type(failure.value) is ConnectionClosed
    assert conn.read_response().status == 200
    conn.discard()
    assert conn.read_response().status == 413


def test_answer_that_another_operation_is_about_to_read_is_its_own(monkeypatch):
    conn = connection(monkeypatch, Refusing([1000], REFUSAL))
    conn.send_request("PUT", "/", body=BodyFollowing(9))
    reading = conn.co_read_response()
    next(reading)
    with pytest.raises(ConnectionClosed) as failure:
        conn.write(b"forbidden")
    assert type(failure.value) is ConnectionClosed
    assert finish(reading).status == 413


def waiting_for(monkeypatch, *incoming):
    """Return a scripted connection that has sent a request, and what its sender looks with."""
    stream = ScriptedStream()
    conn = connection(monkeypatch, stream)
    exchange = conn.send_request("GET", "/")
    stream.incoming = list(incoming)
    session = conn._session
    return (
        conn,
        exchange,
        lambda: early_response.find(session.shared, session.receiver, stream, exchange),
    )


def test_what_is_found_stays_the_next_response(monkeypatch):
    conn, exchange, find = waiting_for(monkeypatch, REFUSAL[:10], WOULD_BLOCK, REFUSAL[10:])

    assert find() is None
    assert find().status == find().status == 413  # and is found again
    assert not exchange.answered
    assert conn.read_response().status == 413
    assert conn.readall() == b"no"
    assert find() is None


def test_nothing_is_found_while_another_operation_reads(monkeypatch):
    conn, _, find = waiting_for(monkeypatch, REFUSAL)

    with conn._session.shared.reading:
        assert find() is None
    assert find().status == 413


def test_a_response_to_another_request_is_not_found(monkeypatch):
    stream = ScriptedStream()
    conn = connection(monkeypatch, stream)
    first, second = conn.send_request("GET", "/1"), conn.send_request("GET", "/2")
    stream.incoming = [REFUSAL]
    session = conn._session

    assert early_response.find(session.shared, session.receiver, stream, second) is None
    assert early_response.find(session.shared, session.receiver, stream, first).status == 413


def test_only_a_lost_connection_is_explained(monkeypatch):
    conn, exchange, _ = waiting_for(monkeypatch, REFUSAL)
    session = conn._session

    def explained(exc):
        return early_response.explain(exc, session.shared, session.receiver, exchange)

    for exc in (ValueError("x"), StateError("x"), AnsweredEarly("x")):
        assert explained(exc) is exc
    assert type(explained(LOST)) is AnsweredEarly
    assert conn.read_response().status == 413
    assert explained(LOST).response.status == 413  # as another operation has read it


@pytest.mark.parametrize("incoming", [[END], [b"nonsense\r\n\r\n"], [WOULD_BLOCK]])
def test_a_lost_connection_without_a_response_stays_that(monkeypatch, incoming):
    conn, exchange, _ = waiting_for(monkeypatch, *incoming)
    session = conn._session

    assert early_response.explain(LOST, session.shared, session.receiver, exchange) is LOST
