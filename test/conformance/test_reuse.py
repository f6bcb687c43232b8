"""When a connection may be used again, and whose response it is: lines 36 to 44 of the list."""

import asyncio
import itertools
import select
import socket
import struct
import threading
import time

import pytest
from kit.silence import LONGER_AND_LONGER
from kit.support import ScriptedServer, read_exactly, read_head, wait_until

from dugong_like import (
    BodyFollowing,
    ConnectionClosed,
    ConnectionTimedOut,
    ContinueTimedOut,
    HTTPConnection,
    InvalidResponse,
    StateError,
    run,
    within,
)
from dugong_like.drivers import aio

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
POISON = b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nPOISON"
TIMEOUT = b"HTTP/1.1 408 Request Timeout\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"


def get(conn, path="/", method="GET"):
    conn.send_request(method, path)
    return conn.read_response().status, conn.readall()


class Server(ScriptedServer):
    """A server that notes each request line it has read as a whole.

    *reply* gets the socket, the number of the request on its connection and the number of the
    connection, and says whether to go on.
    """

    def __init__(self, reply, tls=None):
        self.seen = []
        self._reply = reply
        super().__init__(self._talk, tls)

    def _talk(self, sock):
        connection = self.connections
        number = 0
        while head := read_head(sock):
            if b"Content-Length: " in head:
                read_exactly(sock, int(head.partition(b"Content-Length: ")[2].split()[0]))
            self.seen.append(head.split(b"\r\n")[0].decode())
            if not self._reply(sock, number, connection):
                return
            number += 1


@pytest.mark.reliability(36, 37)
@pytest.mark.parametrize("tls", [False, True], ids=["plain", "tls"])
@pytest.mark.parametrize("junk", [b"x", b"\r\n", POISON, TIMEOUT])
@pytest.mark.parametrize("when", ["with", "later", "before the end"])
def test_lines_36_and_37_junk_on_an_idle_connection(tls, junk, when, certificate, trusting):
    taken = threading.Event()

    def reply(sock, number, connection):
        if connection == 1:
            sock.sendall(OK + junk if when == "with" else OK)
            if when != "with":
                assert taken.wait(20)
                sock.sendall(junk)
            return when == "later"
        sock.sendall(OK)
        return True

    context = certificate.server_context() if tls else None
    with Server(reply, context) as server:
        conn = HTTPConnection("127.0.0.1", server.port, trusting if tls else None, timeout=10)
        with conn:
            assert get(conn, "/1") == (200, b"ok")
            taken.set()
            if when != "with":
                assert select.select([conn.get_extra_info("socket")], [], [], 20)[0]
            assert get(conn, "/2") == (200, b"ok")
            assert get(conn, "/3") == (200, b"ok")
    assert server.seen == [f"GET /{number} HTTP/1.1" for number in (1, 2, 3)]
    assert server.connections == 2


@pytest.mark.reliability(37, 41)
@pytest.mark.parametrize("tls", [False, True], ids=["plain", "tls"])
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_lines_37_and_41_closed_while_idle(tls, method, certificate, trusting):
    """Whether it was closed is seen before sending: then a new connection is no repetition."""

    def reply(sock, number, connection):
        sock.sendall(OK)
        return False

    context = certificate.server_context() if tls else None
    with Server(reply, context) as server:
        conn = HTTPConnection("127.0.0.1", server.port, trusting if tls else None, timeout=10)
        with conn:
            for number in range(5):
                assert get(conn, f"/{number}", method) == (200, b"ok")
                assert select.select([conn.get_extra_info("socket")], [], [], 20)[0]  # its end
    assert server.seen == [f"{method} /{number} HTTP/1.1" for number in range(5)]


@pytest.mark.reliability(41)
@pytest.mark.parametrize("method", ["GET", "POST", "PUT"])
@pytest.mark.parametrize("earlier", [0, 1])
@pytest.mark.parametrize("reset", [False, True])
def test_line_41_no_request_is_sent_twice(method, earlier, reset):
    def reply(sock, number, connection):
        if number < earlier:
            sock.sendall(OK)
            return True
        if reset:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        return False

    with Server(reply) as server, HTTPConnection("127.0.0.1", server.port, timeout=10) as conn:
        for number in range(earlier):
            get(conn, f"/{number}")
        with pytest.raises(ConnectionClosed) as failure:
            conn.send_request(method, "/last", body=b"x" if method != "GET" else None)
            conn.read_response()
        assert failure.value.request_sent == "maybe"
        assert failure.value.retryable
        wait_until(lambda: len(server.seen) == earlier + 1)
        time.sleep(0.05)
    assert server.seen[-1] == f"{method} /last HTTP/1.1"
    assert len(server.seen) == earlier + 1


@pytest.mark.reliability(39)
@pytest.mark.parametrize(
    "bad", [b"junk\r\n\r\n", b"HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n" + POISON]
)
def test_line_39_nothing_is_read_after_an_error(bad):
    def reply(sock, number, connection):
        sock.sendall(bad + POISON if connection == 1 else OK)
        return True

    with Server(reply) as server, HTTPConnection("127.0.0.1", server.port, timeout=10) as conn:
        for _ in range(3):
            conn.send_request("GET", "/")
        with pytest.raises(InvalidResponse):
            conn.read_response()
        for call in (
            conn.read_response,
            conn.readall,
            conn.discard,
            conn.connect,
            lambda: get(conn),
        ):
            with pytest.raises((ConnectionClosed, StateError)):
                call()
        conn.reset()
        assert get(conn) == (200, b"ok")


@pytest.mark.reliability(40)
@pytest.mark.parametrize("broken", [
    b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nConnection: close\r\n\r\nx" + POISON,
    b"HTTP/1.0 200 OK\r\nContent-Length: 1\r\n\r\nx" + POISON,
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Length: 1\r\n\r\n0\r\n\r\n" + POISON,
    b"junk" + POISON, b"HTTP/1.1 200 OK\r\nContent-Length: 1, 2\r\n\r\n" + POISON,
])  # fmt: skip
def test_line_40_error_or_close_fails_all_later_ones(broken):
    def reply(sock, number, connection):
        if number == 4:
            time.sleep(0.05)
            sock.sendall(
                OK + b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n" + OK + broken + POISON
            )
        return True

    with Server(reply) as server, HTTPConnection("127.0.0.1", server.port, timeout=10) as conn:
        for number, method in enumerate(["GET", "HEAD", "POST", "GET", "GET"]):
            conn.send_request(method, f"/{number}")
        for path, body in (("/0", b"ok"), ("/1", b""), ("/2", b"ok")):
            response = conn.read_response()
            assert (response.path, conn.readall()) == (path, body)
        results = []
        for _ in range(3):
            try:
                results.append((conn.read_response().path, conn.readall()))
            except (ConnectionClosed, InvalidResponse) as exc:
                results.append(type(exc))
        assert results[0] in {("/3", b"x"), ("/3", b""), InvalidResponse}
        assert results[1:] == [ConnectionClosed] * 2
        assert len(server.seen) == 5


@pytest.mark.reliability(44)
@pytest.mark.parametrize(
    ("early", "body_is_wanted"),
    [
        (b"HTTP/1.1 100 Continue\r\n\r\n", True), (b"HTTP/1.1 100 Continue\r\n\r\n" * 2, True),
        (b"HTTP/1.1 102 Wait\r\n\r\nHTTP/1.1 100 Continue\r\nA: b\r\n\r\n", True),
        (b"HTTP/1.1 100 \r\nContent-Length: 5\r\n\r\n", True),
        (b"HTTP/1.1 417 No\r\nContent-Length: 2\r\n\r\nno", False),
        (b"HTTP/1.1 401 No\r\nContent-Length: 2\r\n\r\nno", False),
        (b"HTTP/1.1 200 Done\r\nContent-Length: 2\r\n\r\nno", False),
    ],
)  # fmt: skip
def test_line_44_expect(early, body_is_wanted):
    bodies = []

    def talk(sock):
        assert b"Expect: 100-continue\r\n" in read_head(sock)
        sock.sendall(early)
        if body_is_wanted:
            bodies.append(read_exactly(sock, 5))
            sock.sendall(OK)
        else:
            bodies.append(sock.recv(5))  # the connection is closed, or the next request comes

    with (
        ScriptedServer(talk) as server,
        HTTPConnection("127.0.0.1", server.port, timeout=10) as conn,
    ):
        conn.send_request("PUT", "/", body=BodyFollowing(5), expect100=True)
        with pytest.raises(StateError):
            conn.write(b"early")
        response = conn.read_response()
        if body_is_wanted:
            assert response.status == 100
            conn.write(b"hello")
            assert (conn.read_response().status, conn.readall()) == (200, b"ok")
        else:
            assert (response.status, conn.readall()) == (int(early[9:12]), b"no")
            with pytest.raises(StateError):
                conn.write(b"hello")
            conn.disconnect()
    assert bodies == [b"hello" if body_is_wanted else b""]


@pytest.mark.reliability(42, 44)
def test_line_44_nothing_in_time():
    def talk(sock):
        read_head(sock)
        assert read_exactly(sock, 5) == b"hello"
        sock.sendall(OK)

    with ScriptedServer(talk) as server:
        conn = HTTPConnection("127.0.0.1", server.port, timeout=10, expect100_timeout=0.05)
        with conn:
            conn.send_request("PUT", "/", body=BodyFollowing(5), expect100=True)
            with pytest.raises(ContinueTimedOut):
                conn.read_response()
            conn.write(b"hello")
            assert (conn.read_response().status, conn.readall()) == (200, b"ok")


ENDLESS = {
    "head": (b"HTTP/1.1 200 OK\r\nA: ", b"b"),
    "fields": (b"HTTP/1.1 200 OK\r\n", b"A: b\r\n"),
    "interim": (b"", b"HTTP/1.1 103 Hints\r\n\r\n"),
    "body": (b"HTTP/1.1 200 OK\r\nContent-Length: 1000000000000\r\n\r\n", b"x"),
    "until close": (b"HTTP/1.1 200 OK\r\n\r\n", b"x"),
    "chunks": (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", b"1\r\nx\r\n"),
    "extension": (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5;", b"x"),
    "trailers": (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nA: ", b"b"),
    "silence": (b"", b""),
}


@pytest.mark.reliability(42)
@pytest.mark.parametrize("driver", ["blocking", "asyncio"])
@pytest.mark.parametrize("kind", ENDLESS)
@pytest.mark.parametrize("slowly", [True, False], ids=["slowly", "at full speed"])
def test_line_42_endless_answers_end(kind, driver, slowly):
    start, again = ENDLESS[kind]

    def talk(sock):
        read_head(sock)
        sock.sendall(start)
        while True:
            sock.sendall(again if slowly else again * 1000)
            if slowly or not again:
                time.sleep(0.01)

    def co_talk():
        yield from conn.co_send_request("GET", "/")
        yield from conn.co_read_response()
        while (yield from conn.co_read(10_000)):
            pass

    with ScriptedServer(talk) as server, HTTPConnection("127.0.0.1", server.port) as conn:
        started = time.monotonic()
        with pytest.raises((ConnectionTimedOut, InvalidResponse)):
            if driver == "blocking":
                run(co_talk(), timeout=0.3)
            else:
                asyncio.run(aio.run(within(time.monotonic() + 0.3, co_talk())))
        assert time.monotonic() - started < 20


@pytest.mark.reliability(41)
@pytest.mark.parametrize("tls", [False, True], ids=["plain", "tls"])
@pytest.mark.parametrize(
    ("answer", "end", "error", "sent"),
    [
        (b"", False, ConnectionTimedOut, "maybe"),
        (b"", True, ConnectionClosed, "maybe"),
        (b"HTTP/1.1 2", False, ConnectionTimedOut, "yes"),
        (b"HTTP/1.1 103 Hints\r\n\r\n", False, ConnectionTimedOut, "yes"),
        (b"HTTP/1.1 103 Hints\r\n\r\n", True, ConnectionClosed, "yes"),
        (OK[:-1], False, ConnectionTimedOut, "yes"),
        (OK[:-1], True, ConnectionClosed, "yes"),
        (b"garbage\r\n\r\n", False, InvalidResponse, "yes"),
        (b"HTTP/1.1 200 OK\r\nA b\r\n\r\n", False, InvalidResponse, "yes"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n", False, InvalidResponse, "yes"),
    ],
)
def test_line_41_errors_say_whether_the_request_was_sent(
    tls, answer, end, error, sent, certificate, trusting
):
    answered, right = threading.Event(), set()

    def reply(sock, number, connection):
        sock.sendall(answer)
        answered.set()
        return not end

    with Server(reply, certificate.server_context() if tls else None) as server:
        # What is sent is here. But a limit of all may be over before it is read: the first that is
        # long enough for that is.
        limits = LONGER_AND_LONGER if error is ConnectionTimedOut else (20,)
        for way, seconds in itertools.product(("blocking", "timeout", "within"), limits):
            if way in right:
                continue
            name, context = ("localhost", trusting) if tls else ("127.0.0.1", None)
            with HTTPConnection(name, server.port, context, timeout=20) as conn:
                answered.clear()
                with pytest.raises(error) as failure:
                    conn.send_request("POST", "/", body=b"once only")
                    assert answered.wait(20)
                    conn.timeout = limit = None if way == "within" else seconds
                    if way == "blocking":
                        conn.read_response()
                        conn.readall()
                    else:
                        op = conn.co_read_response()
                        run(op if limit else within(time.monotonic() + seconds, op))
                        op = conn.co_readall()
                        run(op if limit else within(time.monotonic() + seconds, op))
                if failure.value.request_sent == sent:
                    right.add(way)
    assert right == {"blocking", "timeout", "within"}


@pytest.mark.reliability(36, 46)
@pytest.mark.parametrize("read", [0, 1])
def test_lines_36_and_46_what_is_here_already_does_not_answer_the_next_request(read):
    def reply(sock, number, connection):
        sock.sendall(OK + POISON)
        return True

    with Server(reply) as server, HTTPConnection("127.0.0.1", server.port, timeout=30) as conn:
        conn.send_request("GET", "/a")
        conn.read_response()
        assert conn.read(read) == OK[-2:][:read]
        with pytest.raises(ConnectionClosed, match="takes no further request"):
            conn.send_request("GET", "/b")
        assert conn.readall() == b"ok"[read:]
        conn.send_request("GET", "/b")
        assert server.seen[:1] == ["GET /a HTTP/1.1"]
        wait_until(lambda: server.connections == 2)


@pytest.mark.reliability(36)
@pytest.mark.parametrize("all_here", [True, False])
def test_line_36_raw_bytes_are_missing_elsewhere(all_here):
    def reply(sock, number, connection):
        sock.sendall(OK)
        return True

    with Server(reply) as server, HTTPConnection("127.0.0.1", server.port, timeout=30) as conn:
        conn.send_request("GET", "/a")
        conn.send_request("GET", "/b")
        if all_here:
            conn.read_response()
        raw = conn.read_raw(3)
        assert raw == (b"ok" if all_here else b"HTT") or (all_here and raw == b"okH")
        for call in (conn.readall, conn.read_response, lambda: conn.send_request("GET", "/c")):
            with pytest.raises((ConnectionClosed, StateError)):
                call()
        assert conn.read_raw(1)
        conn.reset()
        assert get(conn) == (200, b"ok")


@pytest.mark.reliability(46)
def test_line_46_arguments_that_make_no_sense_take_nothing():
    def reply(sock, number, connection):
        sock.sendall(OK)
        return True

    with Server(reply) as server, HTTPConnection("127.0.0.1", server.port, timeout=30) as conn:
        conn.send_request("GET", "/a")
        conn.send_request("GET", "/b")
        for _ in range(2):
            conn.read_response()
            for call in (
                lambda: conn.readinto(b"\0\0\0"),
                lambda: conn.readinto(memoryview(b"\0\0\0")),
                lambda: run(conn.co_readinto(b"\0\0\0")),
                lambda: conn.read(2.5),
                lambda: run(conn.co_read(2.5)),
                lambda: conn.read("2"),
                lambda: conn.read_raw(2.5),
                lambda: conn.read_raw(-1),
                lambda: run(conn.co_read(-1)),
            ):
                with pytest.raises((TypeError, ValueError)):
                    call()
            assert conn.readall() == b"ok"


@pytest.mark.reliability(38)
@pytest.mark.parametrize("tls", [False, True], ids=["plain", "tls"])
@pytest.mark.parametrize(
    "answer",
    [
        OK.replace(b"\r\nC", b"\r\nConnection: close\r\nC"),
        OK.replace(b"HTTP/1.1", b"HTTP/1.0"),
        OK + b"surplus",
        b"HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n",
        b"garbage\r\n\r\n",
    ],
)
def test_line_38_the_server_hears_at_once_that_nothing_will_follow(
    tls, answer, certificate, trusting
):
    heard = []

    def reply(sock, number, connection):
        sock.sendall(answer)
        heard.append(sock.recv(100))
        return False

    with Server(reply, certificate.server_context() if tls else None) as server:
        name, context = ("localhost", trusting) if tls else ("127.0.0.1", None)
        with HTTPConnection(name, server.port, context, timeout=30) as conn:
            conn.send_request("GET", "/")
            try:
                conn.read_response()
                assert conn.readall() == b"ok"
            except InvalidResponse:
                pass
            wait_until(lambda: heard == [b""])
