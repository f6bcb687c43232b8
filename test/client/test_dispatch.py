"""Requests of a client over real connections: keeping, repeating, giving back, bodies both ways."""

import asyncio
import io
import os
import socket
import threading
import time

import pytest
import trio
from kit.every_driver import DRIVERS
from kit.h2_server import Answer, h2_server
from kit.memory_site import MemorySite
from kit.sites import answer_of
from kit.support import ScriptedServer, answering, read_exactly, read_head

from dugong_like import (
    ConnectionClosed,
    ConnectionTimedOut,
    Connector,
    DeadlineExceeded,
    FileTooShort,
    Limits,
    Pool,
    PoolTimedOut,
    ResponseNotRead,
    StreamConsumed,
    Timeouts,
    run,
)
from dugong_like.client import dispatch
from dugong_like.client.async_client import AsyncClient
from dugong_like.client.client import Client
from dugong_like.client.request import ClientRequest
from dugong_like.client.response import Response
from dugong_like.connection.h1 import early_response
from dugong_like.drivers.loop import Loop
from dugong_like.polling.wake import Wake
from dugong_like.transport import zero_copy

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
SLOW_DOWN = b"HTTP/1.1 100 Continue\r\n\r\n"


def url(server, path="/x"):
    return f"http://127.0.0.1:{server.port}{path}"


def one_stats(client):
    return next(iter(client.stats().values()))


def by_blocking(client, place):
    return client.get(place)


def by_loop(client, place):
    return Loop().run(client.co_get(place))


def by_asyncio(client, place):
    async def main():
        return await AsyncClient(client=client).get(place)

    return asyncio.run(main())


def by_trio(client, place):
    async def main():
        return await AsyncClient(client=client).get(place)

    return trio.run(main)


@pytest.mark.feature("E8", "E2", "E31", "D28")
def test_one_connection_serves_every_driver():
    ways = [by_blocking, by_asyncio, by_trio, by_loop, by_blocking]
    with ScriptedServer(answering(*[OK] * len(ways))) as server, Client() as client:
        for get in ways:
            response = get(client, url(server))
            assert (response.content, response.num_bytes_downloaded) == (b"ok", 2)
        assert server.connections == 1
        assert (one_stats(client).idle, one_stats(client).busy) == (1, 0)


@pytest.mark.feature("D25", "C25", "C27", "E8")
def test_kept_connection_that_was_closed_is_replaced():
    closed = threading.Event()

    def handler(sock):
        read_head(sock)
        sock.sendall(OK)
        sock.close()
        closed.set()

    with ScriptedServer(handler) as server, Client() as client:
        for _ in range(3):
            assert client.post(url(server), content=b"").content == b"ok"
            closed.wait(100)
            closed.clear()
        assert server.connections == 3


class ClosesSecond:
    """Answers the first request of each connection and closes at the second, once it is read."""

    def __init__(self, first=b""):
        self.seen = []
        self.first = first

    def __call__(self, sock):
        for number in range(2):
            head = read_head(sock)
            if not head:
                return
            self.seen.append(head.split(b" ")[0])
            if number:
                sock.sendall(self.first)
                return
            sock.sendall(OK)


@pytest.mark.feature("C26")
@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "DELETE", "OPTIONS", "POST", "PATCH"])
def test_request_that_a_kept_connection_loses_is_repeated_if_idempotent(method):
    server_does = ClosesSecond()
    with ScriptedServer(server_does) as server, Client() as client:
        client.get(url(server))
        if method in {"POST", "PATCH"}:
            with pytest.raises(ConnectionClosed) as caught:
                client.request(method, url(server))
            assert (caught.value.request_sent, caught.value.request.method) == ("maybe", method)
            assert server_does.seen == [b"GET", method.encode()]
        else:
            response = client.request(method, url(server))
            assert (response.status_code, response.attempts) == (200, 2)
            assert server_does.seen == [b"GET", method.encode(), method.encode()]
        assert one_stats(client).busy == 0


@pytest.mark.parametrize("options", [{}, {"hooks": {"on_headers": lambda *_, **__: None}}])
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_a_connection_that_was_opened_early_is_a_kept_one(method, options):
    """By either way of the client. A new connection that is lost is a failure."""
    seen = []

    def handler(sock):
        while head := read_head(sock):
            seen.append(head.split(b" ")[0].decode())
            if len(seen) == 1:
                return
            sock.sendall(OK)

    with ScriptedServer(handler) as server, Client(**options) as client:
        client.warm(url(server))
        if method == "POST":
            with pytest.raises(ConnectionClosed):
                client.request(method, url(server))
            assert seen == [method]
        else:
            response = client.request(method, url(server))
            assert (response.content, response.attempts) == (b"ok", 2)
            assert seen == [method, method]
            seen.clear()
        assert one_stats(client).busy == 0
    with ScriptedServer(handler) as server, Client(**options) as client:
        seen.clear()
        with pytest.raises(ConnectionClosed):
            client.request(method, url(server))
        assert seen == [method]


def test_request_whose_response_has_begun_is_not_repeated():
    server_does = ClosesSecond(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nbegun")
    with ScriptedServer(server_does) as server, Client() as client:
        client.get(url(server))
        with pytest.raises(ConnectionClosed):
            client.get(url(server))
        assert server_does.seen == [b"GET", b"GET"]


def test_request_that_a_new_connection_loses_is_not_repeated():
    def handler(sock):
        read_head(sock)

    with ScriptedServer(handler) as server, Client() as client:
        with pytest.raises(ConnectionClosed):
            client.get(url(server))
        assert server.connections == 1


@pytest.mark.feature("E16", "D15", "C46")
def test_connection_goes_back_at_the_end_of_the_body_and_is_closed_before():
    with ScriptedServer(answering(OK, OK, OK)) as server, Client() as client:
        with client.stream("GET", url(server)) as response:
            assert one_stats(client).busy == 1
            assert response.read() == b"ok"
            assert (one_stats(client).busy, one_stats(client).idle) == (0, 1)
        with client.stream("GET", url(server)) as response:
            pass
        assert (one_stats(client).busy, one_stats(client).idle) == (0, 0)
        assert client.get(url(server)).content == b"ok"
        assert server.connections == 2


NO_BODY = [
    ("HEAD", b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n"),
    ("HEAD", b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"),
    ("HEAD", b"HTTP/1.1 404 X\r\n\r\n"),
    ("GET", b"HTTP/1.1 204 X\r\n\r\n"),
    ("GET", b"HTTP/1.1 304 X\r\nContent-Length: 9\r\n\r\n"),
    ("DELETE", b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"),
]


@pytest.mark.parametrize("driver", DRIVERS)
def test_connection_of_a_stream_without_a_body_goes_back_at_once(driver):
    answers = [answer for _, answer in NO_BODY]
    with ScriptedServer(answering(*answers)) as server, Client() as client:
        for method, _ in NO_BODY:
            response = driver(client.co_stream(method, url(server)))
            assert (one_stats(client).busy, one_stats(client).idle) == (0, 1), method
            assert not response.is_closed
            with pytest.raises(ResponseNotRead):
                response.content
            assert (response.read(), response.is_closed) == (b"", True)
        assert server.connections == 1


def test_connection_of_a_stream_without_a_body_is_closed_if_it_was_the_last():
    last = b"HTTP/1.1 204 X\r\nConnection: close\r\n\r\n"
    with ScriptedServer(answering(last)) as server, Client() as client:
        client.get(url(server), stream=True)
        assert (one_stats(client).busy, one_stats(client).idle) == (0, 0)


def test_connection_that_leaves_http_stays_with_its_stream():
    wire = b"HTTP/1.1 101 X\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n"

    def handler(sock):
        read_head(sock)
        sock.sendall(wire)
        sock.sendall(sock.recv(10))

    fields = {"Connection": "Upgrade", "Upgrade": "echo"}
    with ScriptedServer(handler) as server, Client() as client:
        with client.stream("GET", url(server), headers=fields) as response:
            assert (response.status_code, one_stats(client).busy) == (101, 1)
            assert not response.connection.is_reusable()
        assert one_stats(client).busy == 0


@pytest.mark.feature("D42")
@pytest.mark.parametrize("by", [by_blocking, by_asyncio])
def test_no_more_of_a_stream_is_received_than_is_read(by):
    """The server cannot send on: what is sent by then is in the buffers of the system."""
    size = 64 << 20
    ended, sent = threading.Event(), 0

    def handler(sock):
        nonlocal sent
        read_head(sock)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 16)
        sock.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % size)
        sock.settimeout(0.3)
        data = bytes(1 << 16)
        try:
            while sent < size:
                sent += sock.send(data)
        except TimeoutError:
            pass
        finally:
            ended.set()

    with ScriptedServer(handler) as server, Client() as client:
        request = client.build_request("GET", url(server), stream=True)
        if by is by_blocking:
            response = client.send(request)
        else:
            response = asyncio.run(AsyncClient(client=client).send(request))
        with response:
            assert ended.wait(60)
            assert sent < size // 2
            assert response.num_bytes_downloaded == 0


CHUNKED = (
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X-T\r\n\r\n"
    b"3\r\nabc\r\n2\r\nde\r\n0\r\nX-T: end\r\n\r\n"
)


def test_trailers_and_informational_responses():
    early = b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n"
    with ScriptedServer(answering(early + CHUNKED, early + CHUNKED)) as server, Client() as client:
        for stream in (False, True):
            response = client.get(url(server), stream=stream)
            assert [one.status for one in response.informational] == [103]
            assert response.read() == b"abcde"
            assert response.trailers["x-t"] == "end"
            assert response.connection.get_extra_info("server_addr")[1] == server.port


@pytest.mark.parametrize("size", [0, 10, 300_000])
@pytest.mark.parametrize("status", [200, 299, 302, 404, 503])
def test_bodies_of_all_statuses_and_sizes(status, size):
    answer = b"HTTP/1.1 %d X\r\nContent-Length: %d\r\n\r\n" % (status, size) + b"x" * size
    with ScriptedServer(answering(*[answer] * 4)) as server, Client() as client:
        for stream in (False, True, False, True):
            response = client.get(url(server), stream=stream)
            assert (response.status_code, response.read()) == (status, b"x" * size)
        assert (server.connections, one_stats(client).idle) == (1, 1)


def test_truncated_body_is_an_error_in_every_way():
    cut = b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc"
    with ScriptedServer(answering(cut)) as server, Client() as client:
        for stream in (False, True):
            with pytest.raises(ConnectionClosed) as caught:
                client.get(url(server), stream=stream).read()
            assert caught.value.request.method == "GET"
        assert (one_stats(client).busy, one_stats(client).idle) == (0, 0)


class Receives:
    """Reads requests with sized or chunked bodies, and keeps the bodies."""

    def __init__(self, answer=OK):
        self.bodies = []
        self.heads = []
        self.answer = answer

    def __call__(self, sock):
        while head := read_head(sock):
            self.heads.append(head)
            if b"100-continue" in head:
                sock.sendall(SLOW_DOWN)
            if b"chunked" in head:
                body = b""
                while size := int(sock_line(sock), 16):
                    body += read_exactly(sock, size)
                    read_exactly(sock, 2)
                read_exactly(sock, 2)
            else:
                lines = head.lower().split(b"\r\n")
                sizes = [line[15:] for line in lines if line.startswith(b"content-length:")]
                body = read_exactly(sock, int(sizes[0]) if sizes else 0)
            self.bodies.append(body)
            sock.sendall(self.answer)


def sock_line(sock):
    line = b""
    while not line.endswith(b"\r\n"):
        line += read_exactly(sock, 1)
    return line


@pytest.mark.feature("C16", "E1")
@pytest.mark.parametrize("driver", DRIVERS)
def test_requests_over_http2(driver):
    """Over the connections of a pool, each of which serves one request after the other."""

    def echo(request):
        return Answer(body=request[":path"].encode() + request.body, fields=[("vary", "x")])

    pool = Pool(Connector(versions=("h2",)))
    with h2_server(echo) as server, Client(dispatcher=pool) as client:
        for number, (method, body) in enumerate(
            [("GET", None), ("PUT", b"body"), ("POST", [b"a", b"b"]), ("GET", None)]
        ):
            stream = number == 3
            request = client.build_request(method, url(server), content=body, stream=stream)
            response = driver(client.co_send(request))
            content = response.read() if stream else response.content
            assert content == b"/x" + b"".join(body if isinstance(body, list) else [body or b""])
            assert (response.http_version, response.headers["vary"]) == ("2", "x")
            assert response.stream_id == 2 * number + 1
        response = driver(client.co_head(url(server)))
        assert (response.status_code, response.content, response.stream_id) == (200, b"", 9)
    assert len(server.peers) == 1


@pytest.fixture
def moved(monkeypatch):
    """The numbers of bytes that the system has sent from files."""
    counts = []
    sendfile = os.sendfile

    def counting(*arguments):
        count = sendfile(*arguments)
        counts.append(count)
        return count

    monkeypatch.setattr(zero_copy.os, "sendfile", counting)
    return counts


LARGE = bytes(range(256)) * 1200


@pytest.mark.feature("D5")
@pytest.mark.skipif(not zero_copy.IS_LINUX, reason="sends files by the system on Linux")
@pytest.mark.parametrize("driver", DRIVERS)
def test_files_are_sent_by_the_system_also_in_a_form(moved, driver, tmp_path):
    """All of a plain file, and of one in a form all but what is read with the head in front."""
    path = tmp_path / "large"
    path.write_bytes(b"left out" + LARGE)
    server_does = Receives()
    with ScriptedServer(server_does) as server, Client() as client, path.open("rb") as file:

        def upload(**options):
            moved.clear()
            file.seek(8)
            assert driver(client.co_post(url(server), **options)).content == b"ok"
            return sum(moved)

        assert upload(content=file) == len(LARGE)
        assert file.tell() == 8 + len(LARGE)
        assert server_does.bodies[-1] == LARGE
        assert len(LARGE) > upload(files={"f": file}) >= len(LARGE) - 65536
        assert file.tell() == 8 + len(LARGE)
        assert LARGE in server_does.bodies[-1]
        assert b"left out" not in server_does.bodies[-1]
        assert upload(files=[("a", file), ("b", path), ("c", b"end")]) > len(LARGE)
        first, _, second = server_does.bodies[-1].partition(b"left out")
        assert (LARGE in first, LARGE in second, b"end" in second) == (True, True, True)
        assert upload(content=file, progress=lambda done, total: None) == 0  # it is counted
        assert server_does.bodies[-1] == LARGE


@pytest.mark.skipif(not zero_copy.IS_LINUX, reason="sends files by the system on Linux")
def test_file_is_sent_again_from_where_it_began(moved, tmp_path):
    path = tmp_path / "large"
    path.write_bytes(LARGE)
    redirect = b"HTTP/1.1 307 X\r\nLocation: /y\r\nContent-Length: 0\r\n\r\n"
    server_does = Receives(redirect)

    with ScriptedServer(server_does) as server, Client() as client, path.open("rb") as file:

        def on_redirect(response, **kwargs):
            server_does.answer = OK

        hooks = {"on_redirect": on_redirect}
        assert client.put(url(server), content=file, hooks=hooks).content == b"ok"
        server_does.answer = redirect
        assert client.put(url(server), files={"f": path}, hooks=hooks).content == b"ok"
    assert server_does.bodies[:2] == [LARGE, LARGE]
    assert server_does.bodies[2] == server_does.bodies[3]
    assert sum(moved) > 3 * len(LARGE)


@pytest.mark.parametrize("kind", ["plain", "form"])
def test_file_that_becomes_shorter_is_an_error(kind, tmp_path):
    path = tmp_path / "large"
    path.write_bytes(LARGE)
    with ScriptedServer(Receives()) as server, Client() as client, path.open("rb") as file:
        options = {"content": file} if kind == "plain" else {"files": {"f": file}}
        request = client.build_request("PUT", url(server), **options)
        os.truncate(path, len(LARGE) // 2)
        if kind == "plain":  # its size is found out when it is sent
            assert client.send(request).content == b"ok"
        else:
            with pytest.raises(FileTooShort):
                client.send(request)
        assert one_stats(client).busy == 0


async def pieces():
    for piece in (b"ab", b"", b"cd"):
        yield piece


class Again:
    """An asynchronous iterable that gives a new iterator each time."""

    def __init__(self):
        self.times = 0

    def __aiter__(self):
        self.times += 1
        return pieces()


@pytest.mark.feature("D6", "E18", "D3")
def test_bodies_of_every_kind():
    receives = Receives()
    seen = []

    def progress(sent, total):
        seen.append((sent, total))

    with ScriptedServer(receives) as server, Client() as client:
        for make in (bytes, bytearray, io.BytesIO, lambda data: [data[:2], data[2:]], bytes.decode):
            for options in ({}, {"expect100": True}, {"progress": progress}, {"stream": True}):
                content = make(b"abcd")
                assert client.put(url(server), content=content, **options).read() == b"ok"

        async def main():
            async with AsyncClient(client=client) as both:
                await both.put(url(server), content=pieces())
                await both.put(url(server), content=Again(), expect100=True)

        asyncio.run(main())
        trio.run(main)
    assert set(receives.bodies) == {b"abcd"}
    assert len(receives.bodies) == 5 * 4 + 4
    assert {seen[-1], (4, 4), (4, None)} <= set(seen)
    assert sum(b"100-continue" in head for head in receives.heads) == 5 + 2


@pytest.mark.feature("D6", "D3")
def test_generator_that_waits_is_a_body():
    from dugong_like import Wake

    receives = Receives()
    with Wake() as flag:
        flag.set()

        def body():
            yield b"ab"
            yield from flag.co_wait()
            yield next(iter([b"cd"]))

        with ScriptedServer(receives) as server, Client() as client:
            assert client.put(url(server), content=body()).content == b"ok"
    assert receives.bodies == [b"abcd"]


@pytest.mark.feature("D27")
@pytest.mark.parametrize("coding", ["gzip", "deflate"])
def test_bodies_are_compressed_on_request(coding):
    receives = Receives()
    with ScriptedServer(receives) as server, Client() as client:
        for content in (b"abcd" * 1000, [b"abcd"] * 1000):
            client.put(url(server), content=content, compress=coding)
    from dugong_like.http.codings import decode_all

    for body in receives.bodies:
        assert len(body) < 1000
        assert decode_all(body, coding) == b"abcd" * 1000


@pytest.mark.feature("D22", "D20")
def test_body_is_not_sent_after_a_final_response_to_expect():
    def handler(sock):
        assert b"Expect: 100-continue" in read_head(sock)
        sock.sendall(b"HTTP/1.1 413 Too much\r\nContent-Length: 3\r\n\r\nbig")
        assert sock.recv(1) == b""

    with ScriptedServer(handler) as server, Client() as client:
        response = client.put(url(server), content=b"x" * 100, expect100=True)
        assert (response.status_code, response.content) == (413, b"big")
        assert one_stats(client).busy == 0


@pytest.mark.feature("D22")
def test_expectation_that_fails_is_left_out():
    def handler(sock):
        if b"Expect" in read_head(sock):
            sock.sendall(b"HTTP/1.1 417 No\r\nContent-Length: 0\r\n\r\n")
        else:
            assert read_exactly(sock, 4) == b"abcd"
            sock.sendall(OK)

    with ScriptedServer(handler) as server, Client() as client:
        assert client.put(url(server), content=b"abcd", expect100=True).content == b"ok"


@pytest.mark.feature("C28")
def test_early_answer_to_an_upload_is_the_response():
    def handler(sock):
        read_head(sock)
        sock.sendall(b"HTTP/1.1 403 No\r\nContent-Length: 2\r\nConnection: close\r\n\r\nno")
        while sock.recv(65536):
            pass

    with ScriptedServer(handler) as server, Client() as client:
        for options in ({}, {"stream": True}):
            response = client.put(
                url(server), content=(b"x" * 65536 for _ in range(200)), **options
            )
            assert (response.status_code, response.read()) == (403, b"no")
        assert one_stats(client).idle == 0


REFUSAL = b"HTTP/1.1 413 No\r\nContent-Length: 2\r\n\r\nno"


@pytest.mark.parametrize("answer", [REFUSAL, OK, b""], ids=["refused", "taken", "silent"])
def test_response_explains_why_an_upload_was_cut_off(monkeypatch, answer):
    """What came before the end is the response, if it can be one to a part of the body."""

    def handler(sock):
        read_head(sock)
        sock.sendall(answer)  # to close now, with bytes that nobody has read, is a reset

    # The sender does not see the response: it hears of the end first.
    monkeypatch.setattr(early_response, "find", lambda *_: None)
    body = io.BytesIO(bytes(20_000_000))  # bytes, more than the system takes without a reader
    with ScriptedServer(handler) as server, Client() as client:
        if answer == REFUSAL:
            with client.stream("PUT", url(server), content=body) as response:
                assert response.answered_early
                assert response.read() == b"no"
        else:
            with pytest.raises(ConnectionClosed) as failed:
                client.put(url(server), content=body, stream=True)
            assert failed.value.request_sent != "no"


@pytest.mark.parametrize("expect100", [True, False])
def test_early_response_is_marked(expect100):
    done = threading.Event()

    def handler(sock):
        read_head(sock)
        sock.sendall(OK)
        done.wait(60)  # and reads nothing, so that not all can be sent

    body = io.BytesIO(bytes(20_000_000))
    with ScriptedServer(handler) as server, Client() as client:
        with client.stream("PUT", url(server), content=body, expect100=expect100) as response:
            assert response.answered_early
        done.set()
    with ScriptedServer(answering(OK)) as server, Client() as client:
        with client.stream("GET", url(server)) as response:
            assert not response.answered_early


def by_hooks(client):
    """Have each piece of a body seen, so that the system cannot move it."""
    client.bind_event("data_received", lambda *_, **__: None)


@pytest.mark.parametrize("prepare", [lambda _: None, by_hooks], ids=["moved", "copied"])
@pytest.mark.parametrize(
    ("wire", "length", "body"),
    [
        (OK, 2, b"ok"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 300000\r\n\r\n" + bytes(300000), 300000,
         bytes(300000)),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\n\r\n", None,
         b"a"),
        (b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 1\r\n\r\nx", 1, b"x"),
    ],
)  # fmt: skip
def test_body_is_moved_into_a_file(tmp_path, prepare, wire, length, body):
    with ScriptedServer(answering(wire, OK)) as server, Client() as client:
        prepare(client)
        with (tmp_path / "file").open("wb") as file:
            response = client.get(url(server), stream=True)
            assert response.length == length
            assert response.recv_to_file(file) == response.num_bytes_downloaded == len(body)
        assert (tmp_path / "file").read_bytes() == body
        assert response.is_closed
        with pytest.raises(StreamConsumed):
            response.recv_to_file(io.BytesIO())
        assert client.get(url(server)).content == b"ok"
        assert server.connections == 1


@pytest.mark.parametrize("prepare", [lambda _: None, by_hooks], ids=["received", "copied"])
@pytest.mark.parametrize("size", [1, 7, 65536, 200_000])
def test_body_is_received_into_memory_of_the_caller(prepare, size):
    body = bytes(range(256)) * (40 if size == 1 else 400)
    wire = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body) + body
    memory = bytearray(size)
    with ScriptedServer(answering(wire, OK)) as server, Client() as client:
        prepare(client)
        response = client.get(url(server), stream=True)
        assert b"".join(bytes(memory[:count]) for count in response.iter_into(memory)) == body
        assert response.is_closed
        assert response.num_bytes_downloaded == len(body)
        assert client.get(url(server)).content == b"ok"
        assert server.connections == 1


@pytest.mark.parametrize("memory", [b"read only", bytearray()])
def test_memory_of_the_caller_can_be_written(memory):
    with pytest.raises(ValueError, match="buffer is memory"):
        Response(200, content=b"body").iter_into(memory)


def test_memory_of_the_caller_gets_what_is_here_already():
    memory = bytearray(3)
    response = Response(200, content=b"body")

    assert [bytes(memory[:count]) for count in response.iter_into(memory)] == [b"bod", b"y"]


def let_pass(monkeypatch, seconds):
    """Put the clock forward: a limit is over, however long what came before it has taken."""
    real = time.monotonic
    monkeypatch.setattr(time, "monotonic", lambda: real() + seconds)


def test_body_that_is_cut_off_or_late_leaves_in_a_file_what_arrived(monkeypatch):
    def handler(sock):
        head = read_head(sock)
        sock.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf")
        if b"/late" in head:
            sock.recv(1)

    for path, kind in (("/cut", ConnectionClosed), ("/late", DeadlineExceeded)):
        with (
            ScriptedServer(handler) as server,
            Client(timeout=Timeouts(total=60)) as client,
            monkeypatch.context() as patch,
        ):
            file = io.BytesIO()
            response = client.get(url(server, path), stream=True)
            if path == "/late":
                let_pass(patch, 61)
            with pytest.raises(kind) as failed:
                response.recv_to_file(file)
            assert (file.getvalue(), failed.value.response) == (b"half", response)
            assert response.is_closed
            assert one_stats(client).busy == 0


def test_body_that_is_here_already_goes_into_a_file_as_well():
    file = io.BytesIO()
    response = Response(200, content=b"body")

    assert (response.length, response.recv_to_file(file), file.getvalue()) == (4, 4, b"body")


@pytest.mark.feature("D29", "E3")
def test_total_time_covers_the_body_that_is_read_later(monkeypatch):
    never = threading.Event()

    def handler(sock):
        read_head(sock)
        sock.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc")
        never.wait(100)

    with ScriptedServer(handler) as server, Client(timeout=Timeouts(total=60)) as client:
        response = client.get(url(server), stream=True)
        with monkeypatch.context() as patch:
            let_pass(patch, 61)
            with pytest.raises(DeadlineExceeded, match=r"GET http://"):
                response.read()
        assert one_stats(client).busy == 0
        with pytest.raises(DeadlineExceeded):
            client.get(url(server), timeout=Timeouts(total=0.1))
        assert one_stats(client).busy == 0
        never.set()


@pytest.mark.feature("E35")
def test_time_limits_of_each_request_on_one_connection():
    go_on = threading.Event()

    def handler(sock):
        read_head(sock)
        sock.sendall(OK)
        read_head(sock)
        go_on.wait(100)

    with ScriptedServer(handler) as server, Client() as client:
        assert client.get(url(server)).content == b"ok"
        with pytest.raises(ConnectionTimedOut) as caught:
            client.get(url(server), timeout=Timeouts(head=0.05))
        assert caught.value.phase == "head"
        go_on.set()


@pytest.mark.feature("C22", "C23", "E4", "D23")
def test_threads_share_the_connections_of_a_pool():
    requests = 200

    def handler(sock):
        while read_head(sock):
            sock.sendall(OK)

    with (
        ScriptedServer(handler) as server,
        Client(limits=Limits(max_connections=3)) as client,
    ):
        failures = []

        def work():
            try:
                for _ in range(requests // 10):
                    assert client.get(url(server)).content == b"ok"
            except BaseException as exc:
                failures.append(exc)

        threads = [threading.Thread(target=work) for _ in range(10)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert failures == []
        assert server.connections <= 3
        assert (one_stats(client).busy, one_stats(client).waiting) == (0, 0)


@pytest.mark.feature("C23", "E35")
def test_time_limit_of_a_request_holds_while_it_waits_for_a_connection():
    with (
        ScriptedServer(answering(OK, OK)) as server,
        Client(limits=Limits(max_connections=1)) as client,
        client.stream("GET", url(server)) as busy,
    ):
        for timeout in (0.05, Timeouts(pool=0.05), Timeouts(stall=99, pool=0.05)):
            with pytest.raises(PoolTimedOut, match="became free") as caught:
                client.get(url(server), timeout=timeout)
            assert (caught.value.request_sent, caught.value.request.method) == ("no", "GET")
        busy.read()
        assert client.get(url(server), timeout=None).content == b"ok"


@pytest.mark.feature("C46")
def test_closed_operation_leaves_no_place_taken():
    def silent(sock):
        while sock.recv(1024):
            pass

    with ScriptedServer(silent) as server, Client() as client:
        op = client.co_get(url(server))
        for _ in zip(op, range(3), strict=False):
            pass
        op.close()
        assert client.stats() == {} or one_stats(client).busy == 0
        assert run(client.co_close()) is None


@pytest.mark.feature("E1")
@pytest.mark.parametrize("version", ["1.0", "1.1"])
def test_response_has_the_version_of_the_server(version):
    answer = OK.replace(b"1.1", version.encode())
    with ScriptedServer(answering(answer, answer)) as server, Client() as client:
        response = client.get(url(server))
        assert (response.http_version, response.stream_id) == (version, None)
        with client.stream("GET", url(server)) as response:
            assert response.http_version == version


# ---- bodies that come with the head, where connections leave all others


BODIES = {
    "with the head": (answer_of(200, body=b"x" * 4096), 4096, True),
    "no bytes": (answer_of(200), 0, True),
    "more than a buffer": (answer_of(200, body=b"x" * 300_000), 300_000, False),
    "chunked": (
        b"HTTP/1.1 200 X\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\n\r\n",
        1,
        False,
    ),
    "an error": (answer_of(404, body=b"x" * 10), 10, True),
}


def leaving(site, whole_below):
    return Client(
        dispatcher=Pool(Connector(transport=site, trust_env=False, whole_below=whole_below))
    )


@pytest.mark.parametrize("kind", BODIES)
def test_a_body_that_comes_with_the_head_of_a_streamed_response_is_in_memory(kind):
    answer, size, is_whole = BODIES[kind]
    site = MemorySite(lambda _: answer)
    with leaving(site, 100) as client:
        for _ in range(2):
            with client.stream("GET", "http://a.test/x") as response:
                assert response.is_whole is is_whole
                assert len(b"".join(response.iter_raw())) == size
    assert len(site.streams) == 1  # given back each time


@pytest.mark.parametrize(("whole_below", "options"), [
    (300, {}), (100, {"hooks": {"data_received": lambda *_, **__: None}}), (100, {"content": b"x"}),
])  # fmt: skip
def test_it_is_left_to_be_read_otherwise(whole_below, options):
    site = MemorySite()
    with leaving(site, whole_below) as client:
        with client.stream("POST", "http://a.test/x", **options) as response:
            assert not response.is_whole
            assert response.read() == b"/x"


def test_a_body_behind_the_head_is_left_in_the_connection():
    """Nothing of a large file is waited for, or kept, before it is asked for."""
    site = MemorySite(lambda _: b"HTTP/1.1 200 X\r\nContent-Length: 5\r\n\r\n")
    with leaving(site, 100) as client:
        with client.stream("GET", "http://a.test/x") as response:
            assert not response.is_whole
            site.streams[0].give(b"hello")
            assert response.read() == b"hello"


class Broken:
    """A connection that is lost while a body is sent; nothing tells why."""

    def __init__(self, wake):
        self.wake = wake

    def co_send(self, request):
        raise ConnectionClosed("it is gone", request_sent="maybe")
        yield

    def co_read_response(self):
        yield self.wake.need()
        raise ConnectionTimedOut("nothing arrived", phase="read")


@pytest.mark.parametrize("phase", ["", "total", "read"])
def test_limit_of_the_caller_ends_the_search_for_the_reason_of_a_loss(phase):
    """It is not taken for the loss, which a client may repeat."""
    request = ClientRequest("PUT", "http://a.test/", body=io.BytesIO(b"body"))
    with Wake() as wake:
        going = dispatch.co_exchange_in_parts(Broken(wake), request)
        next(going)
        with pytest.raises(ConnectionTimedOut, match="^mine$"):
            going.throw(ConnectionTimedOut("mine", phase=phase))
        going = dispatch.co_exchange_in_parts(Broken(wake), request)
        next(going)
        with pytest.raises(ConnectionClosed, match="gone"):
            next(going)
