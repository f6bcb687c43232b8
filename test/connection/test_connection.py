"""HTTPConnection against scripted servers: what goes over the wire, and what comes back."""

import hashlib
import io
import re
import threading
import time
from base64 import b64encode

import pytest
from kit.streams import WOULD_BLOCK, ScriptedStream, connection, finish
from kit.support import ScriptedServer, answering, pattern, read_exactly, read_head, wait_until

from dugong_like import (
    BodyFollowing,
    CaseInsensitiveDict,
    ConnectionClosed,
    ConnectionTimedOut,
    ExcessBodyData,
    HTTPConnection,
    HTTPResponse,
    HTTPStream,
    InvalidRequest,
    InvalidResponse,
    NetworkStream,
    PollNeeded,
    ScriptedTransport,
    StateError,
    UnsupportedResponse,
    default_ssl_context,
    run,
)

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
EMPTY = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"


class Recorder:
    """A handler that keeps what it is sent, and answers each request."""

    def __init__(self, answer=EMPTY):
        self.heads = []
        self.bodies = []
        self.answer = answer

    def __call__(self, sock):
        while head := read_head(sock):
            self.heads.append(head)
            self.bodies.append(self.body(sock, head))
            sock.sendall(self.answer)

    @staticmethod
    def body(sock, head):
        if length := re.search(rb"\r\nContent-Length: (\d+)", head):
            return read_exactly(sock, int(length[1]))
        if b"\r\nTransfer-Encoding: chunked\r\n" not in head:
            return b""
        raw = b""
        while not re.search(rb"(^|\r\n)0\r\n([^\r]+\r\n)*\r\n$", raw):
            raw += sock.recv(1)
        return raw

    def fields(self, number=-1):
        lines = self.heads[number].decode("latin-1").split("\r\n")[1:-2]
        return [tuple(line.split(": ", 1)) for line in lines]


@pytest.fixture
def recorder():
    handler = Recorder()
    with ScriptedServer(handler) as server:
        handler.port = server.port
        with HTTPConnection("127.0.0.1", server.port, timeout=60) as conn:
            handler.conn = conn
            yield handler


def exchange(conn, method="GET", path="/", *args, **kwargs):
    conn.send_request(method, path, *args, **kwargs)
    response = conn.read_response()
    return response, conn.readall()


def scripted(*answers, **options):
    """Return a server and a connection to it."""
    server = ScriptedServer(answering(*answers))
    return server, HTTPConnection(
        "127.0.0.1",
        server.port,
        timeout=options.pop("timeout", 10),
        **options,
    )


# ---- requests


@pytest.mark.feature("A7", "B1", "B2")
def test_arguments_become_attributes_with_default_ports(trusting):
    plain = HTTPConnection("example.org")
    tls = HTTPConnection("example.org", None, trusting, ("proxy.example", 3128))

    assert (plain.hostname, plain.port, plain.ssl_context, plain.proxy) == (
        "example.org", 80, None, None,
    )  # fmt: skip
    assert (tls.port, tls.ssl_context, tls.proxy) == (443, trusting, ("proxy.example", 3128))
    assert plain.host == plain.hostname
    assert HTTPConnection("::1", 8080).port == 8080


@pytest.mark.reliability(47)
@pytest.mark.parametrize(
    "name",
    [
        "",
        "a b",
        "a\r\nb",
        "a/b",
        "a@b",
        "[::1]",
        "x" * 80 + "ü" * 80,
        "a:80",
        "::g",
        "a%2fb",
        ".",
        ".a",
        "a..b",
        "\u2100.x",
    ],
)
def test_bad_host_names_are_refused(name):
    with pytest.raises(InvalidRequest, match="not a host name"):
        HTTPConnection(name)


@pytest.mark.parametrize("port", [0, -1, 65536])
def test_bad_ports_are_refused(port):
    with pytest.raises(InvalidRequest, match="65535"):
        HTTPConnection("example.org", port)


@pytest.mark.reliability(47)
@pytest.mark.parametrize(
    "proxy",
    ["ftp://p:1", "p:1", "http://u:p:@p/1", "http://p:99999", ("p", 0), ("", 1)],
)
def test_bad_proxies_are_refused(proxy):
    with pytest.raises(InvalidRequest):
        HTTPConnection("example.org", proxy=proxy)


@pytest.mark.feature("B10", "B11")
def test_default_fields(recorder):
    exchange(recorder.conn, "GET", "/path?query=1")

    assert recorder.heads[0].startswith(b"GET /path?query=1 HTTP/1.1\r\n")
    assert recorder.fields() == [
        ("Host", f"127.0.0.1:{recorder.port}"),
        ("Accept-Encoding", "identity"),
        ("Connection", "keep-alive"),
    ]


@pytest.mark.feature("B5", "B8", "B10", "B11")
def test_fields_of_the_caller_win_and_are_not_changed(recorder):
    headers = {"host": "other.example", "ACCEPT-encoding": "br", "Connection": "close", "X": "é"}
    before = dict(headers)

    exchange(recorder.conn, "PUT", "/", headers, b"body")

    fields = CaseInsensitiveDict(recorder.fields())
    assert headers == before
    assert fields["Host"] == "other.example"
    assert fields["Accept-Encoding"] == "br"
    assert fields["Connection"] == "close"
    assert fields["X"] == "é"
    assert len(recorder.fields()) == len(fields)


@pytest.mark.feature("B8")
@pytest.mark.parametrize("kind", [dict, list, CaseInsensitiveDict, iter])
def test_fields_come_as_any_mapping_or_as_pairs(recorder, kind):
    pairs = [("X-One", "1"), ("x-two", "2")]

    exchange(recorder.conn, "GET", "/", kind(pairs))

    assert set(pairs) <= set(recorder.fields())


@pytest.mark.feature("B9")
def test_content_md5_is_added_unless_given_or_switched_off(recorder):
    md5 = b64encode(hashlib.md5(b"body").digest()).decode()
    exchange(recorder.conn, "PUT", "/", None, b"body")
    exchange(recorder.conn, "PUT", "/", {"content-md5": "mine"}, b"body")
    recorder.conn.content_md5 = False
    exchange(recorder.conn, "PUT", "/", None, b"body")

    assert ("Content-MD5", md5) in recorder.fields(0)
    assert ("content-md5", "mine") in recorder.fields(1)
    assert ("Content-MD5", md5) not in recorder.fields(1)
    assert "content-md5" not in CaseInsensitiveDict(recorder.fields(2))


@pytest.mark.feature("B5", "B6")
@pytest.mark.parametrize(
    "body",
    [b"bytes", bytearray(b"bytearray"), memoryview(b"view"), b"", b"x" * 300000],
)
def test_bodies_are_bytes_like(recorder, body):
    exchange(recorder.conn, "POST", "/", None, body)

    assert recorder.bodies == [bytes(body)]


def test_methods_that_mean_content_say_when_there_is_none(recorder):
    for method in ("POST", "PUT", "PATCH", "GET", "DELETE"):
        exchange(recorder.conn, method)

    lengths = [CaseInsensitiveDict(recorder.fields(n)).get("Content-Length") for n in range(5)]
    assert lengths == ["0", "0", "0", None, None]


@pytest.mark.feature("B7", "B12")
def test_body_of_known_length_is_written_in_pieces(recorder):
    conn = recorder.conn
    conn.send_request("PUT", "/", body=BodyFollowing(10))
    for piece in (b"", b"abc", bytearray(b"defg"), b"", memoryview(b"hij")):
        conn.write(piece)
    conn.finish()
    conn.read_response()

    assert recorder.bodies == [b"abcdefghij"]
    assert ("Content-Length", "10") in recorder.fields()


@pytest.mark.feature("B7")
def test_body_of_unknown_length_is_chunked(recorder):
    conn = recorder.conn
    conn.send_request("PUT", "/", body=BodyFollowing())
    conn.write(b"hello")
    conn.write(b"")
    conn.write(b"x" * 26)
    conn.finish({"X-Checksum": "abc"})
    conn.read_response()

    assert recorder.bodies == [
        b"5\r\nhello\r\n1a\r\n" + b"x" * 26 + b"\r\n0\r\nX-Checksum: abc\r\n\r\n",
    ]


@pytest.mark.feature("B7")
def test_empty_bodies_that_follow(recorder):
    conn = recorder.conn
    conn.send_request("PUT", "/", body=BodyFollowing(0))
    conn.finish()
    conn.read_response()
    conn.send_request("PUT", "/", body=BodyFollowing())
    conn.finish()
    conn.read_response()

    assert recorder.bodies == [b"", b"0\r\n\r\n"]


@pytest.mark.reliability(51)
@pytest.mark.feature("B12", "B45")
def test_more_than_announced_is_refused_before_anything_is_sent(recorder):
    conn = recorder.conn
    conn.send_request("PUT", "/", body=BodyFollowing(5))
    conn.write(b"abc")
    with pytest.raises(ExcessBodyData, match="3 bytes .* where 2 were announced"):
        conn.write(b"xyz")
    for call in (lambda: conn.write(b"de"), conn.finish, conn.read_response):
        with pytest.raises(ConnectionClosed, match="2 were announced"):
            call()
    conn.reset()
    conn.send_request("PUT", "/", body=b"whole")
    conn.read_response()

    assert recorder.bodies[-1] == b"whole"


@pytest.mark.feature("B29", "B45")
def test_calls_out_of_order_are_refused(recorder):
    conn = recorder.conn
    with pytest.raises(StateError, match="no body to write"):
        conn.write(b"x")
    with pytest.raises(StateError, match="no response is pending"):
        conn.read_response()
    with pytest.raises(StateError, match="read_response"):
        conn.read(1)
    conn.send_request("PUT", "/", body=BodyFollowing(5))
    conn.write(b"abc")
    with pytest.raises(StateError, match="2 bytes are missing"):
        conn.send_request("GET", "/")
    conn.write(b"de")
    conn.finish()
    with pytest.raises(StateError):
        conn.finish({"X": "y"})
    assert conn.read_response().status == 200


INJECTIONS = ["a\r\nb", "a\nb", "a\rb", "a\0b", "a\x7fb", "\u010a", "\u560d\u560a", "a\x01"]


@pytest.mark.reliability(47)
@pytest.mark.parametrize("text", INJECTIONS)
def test_nothing_can_be_smuggled_into_a_request(recorder, text):
    conn = recorder.conn
    for arguments in (
        ("GET" + text, "/"),
        ("GET", "/" + text),
        ("GET", "/", {"X": text}),
        ("GET", "/", {"X" + text: "y"}),
        ("GET", "/", {"Host": text}),
    ):
        with pytest.raises(InvalidRequest):
            conn.send_request(*arguments)
    conn.send_request("PUT", "/", body=BodyFollowing())
    with pytest.raises(InvalidRequest):
        conn.finish({"X": text})
    conn.finish()
    conn.read_response()

    assert len(recorder.heads) == 1


@pytest.mark.reliability(47, 50)
@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("", "/"), ("G T", "/"), ("CONNECT", "/"), ("GET", ""), ("GET", "path"), ("GET", "*"),
        ("GET", "http://other.example/"), ("GET", "/a b"), ("GET", "/ü"),
    ],
)  # fmt: skip
def test_bad_methods_and_targets_are_refused(recorder, method, path):
    with pytest.raises(InvalidRequest):
        recorder.conn.send_request(method, path)
    assert recorder.heads == []


@pytest.mark.reliability(49)
@pytest.mark.parametrize("name", ["Content-Length", "content-length", "Transfer-Encoding"])
def test_framing_fields_belong_to_the_library(recorder, name):
    with pytest.raises(InvalidRequest, match="follows from the body"):
        recorder.conn.send_request("PUT", "/", {name: "5"}, b"hello")
    assert recorder.heads == []


def test_options_of_the_server_itself(recorder):
    exchange(recorder.conn, "OPTIONS", "*")

    assert recorder.heads[0].startswith(b"OPTIONS * HTTP/1.1\r\n")


# ---- responses


@pytest.mark.feature("A1", "A38", "B14", "B31", "C14", "C15")
def test_attributes_of_a_response():
    answer = (
        b"HTTP/1.1 404 Not Here\r\nSet-Cookie: a\r\nX-Latin: \xe9\r\nset-cookie:  b \r\n"
        b"Content-Length: 4\r\n\r\nbody"
    )
    server, conn = scripted(answer)
    with server, conn:
        response, body = exchange(conn, "GET", "/path")

    assert isinstance(response, HTTPResponse)
    assert (response.method, response.path, response.status) == ("GET", "/path", 404)
    assert response.target == response.path
    assert (response.reason, response.http_version, response.length) == ("Not Here", "1.1", 4)
    import email.message

    assert isinstance(response.headers, email.message.Message)
    assert response.headers.get_all("SET-COOKIE") == ["a", "b"]
    assert response.headers["x-latin"] == "é"
    assert body == b"body"


@pytest.mark.feature("B14")
def test_informational_responses_are_passed_by_and_can_be_seen():
    hints = b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 102 Processing\r\n\r\n"
    seen = []
    server, conn = scripted(hints + OK, on_informational=seen.append)
    with server, conn:
        response, body = exchange(conn)

    assert (response.status, body) == (200, b"ok")
    assert [early.status for early in response.informational] == [103, 102]
    assert response.informational[0].headers["Link"] == "</a>"
    assert [early.status for early in seen] == [103, 102]


def test_endless_informational_responses_end():
    server, conn = scripted(b"HTTP/1.1 102 Processing\r\n\r\n" * 1000)
    with server, conn, pytest.raises(InvalidResponse, match="informational"):
        exchange(conn)


@pytest.mark.feature("B16", "B17", "B18", "B19", "B33")
@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 200 OK\r\nContent-Length: 200000\r\n\r\n" + pattern(200000),
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
        + b"".join(b"%x\r\n%s\r\n" % (50000, pattern(200000)[n : n + 50000])
                   for n in range(0, 200000, 50000))
        + b"0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n\r\n" + pattern(200000),
        b"HTTP/1.0 200 OK\r\nConnection: keep-alive\r\n\r\n" + pattern(200000),
    ],
    ids=["sized", "chunked", "until close", "HTTP/1.0 until close"],
)  # fmt: skip
@pytest.mark.parametrize("size", [1000, 65536, 300000, None])
def test_every_way_to_read_gives_the_whole_body(answer, size):
    def read(conn):
        while data := conn.read(size):
            yield data

    def readinto(conn):
        buffer = bytearray(size or 100)
        while count := conn.readinto(buffer):
            yield bytes(buffer[:count])

    def readall(conn):
        yield conn.readall()

    for way in (read, readinto, readall):
        server, conn = scripted(answer)
        with server, conn:
            conn.send_request("GET", "/")
            conn.read_response()
            assert b"".join(way(conn)) == pattern(200000)
            assert conn.read(10) == conn.read() == conn.readall() == b""
            assert conn.readinto(bytearray(10)) == 0
            conn.discard()
    server, conn = scripted(answer)
    with server, conn:
        conn.send_request("GET", "/")
        conn.read_response()
        conn.read(100)
        conn.discard()
        assert conn.read(1) == b""
        assert not conn.response_pending()


def test_reading_nothing_and_less_than_nothing():
    server, conn = scripted(OK)
    with server, conn:
        conn.send_request("GET", "/")
        conn.read_response()
        assert conn.read(0) == b""
        assert conn.readinto(bytearray()) == 0
        with pytest.raises(ValueError, match="-1 bytes"):
            run(conn.co_read(-1))
        assert conn.readall() == b"ok"


@pytest.mark.feature("B31")
@pytest.mark.parametrize(
    ("method", "answer"),
    [
        ("HEAD", b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n"),
        ("HEAD", b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"),
        ("GET", b"HTTP/1.1 204 No Content\r\n\r\n"),
        ("GET", b"HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n"),
    ],
)
def test_responses_that_never_have_a_body(method, answer):
    server, conn = scripted(answer, OK)
    with server, conn:
        response, body = exchange(conn, method)
        assert (response.length, body) == (0, b"")
        assert not conn.response_pending()
        assert exchange(conn)[1] == b"ok"
    wait_until(lambda: server.connections == 1)


@pytest.mark.feature("B35")
def test_trailers_are_there_after_the_body():
    server, conn = scripted(
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
        b'2;ext="a;b"\r\nok\r\n0\r\nX-Sum: 1\r\nX-Sum: 2\r\nContent-Length: 9\r\n\r\n',
    )
    with server, conn:
        response, body = exchange(conn)

    assert body == b"ok"
    assert response.trailers.get_all("x-sum") == ["1", "2"]
    assert "x-sum" not in response.headers
    assert response.length is None


@pytest.mark.reliability(46)
@pytest.mark.feature("B21", "B30")
def test_next_response_has_to_wait_for_the_end_of_the_body():
    server, conn = scripted(OK, OK)
    with server, conn:
        assert not conn.response_pending()
        conn.send_request("GET", "/1")
        conn.send_request("GET", "/2")
        assert conn.response_pending()
        assert conn.read_response().path == "/1"
        with pytest.raises(StateError, match="not been read to its end"):
            conn.read_response()
        assert conn.read(1) == b"o"
        assert conn.readall() == b"k"
        assert conn.response_pending()
        assert conn.read_response().path == "/2"
        conn.discard()
        assert not conn.response_pending()


@pytest.mark.reliability(40)
@pytest.mark.feature("B28", "B54")
def test_requests_are_pipelined_in_order():
    def handler(sock):
        requests = [read_head(sock).split() for _ in range(50)]
        for method, path, *_ in requests:  # only now: all were sent without a response
            head = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(path)
            sock.sendall(head if method == b"HEAD" else head + path)

    with ScriptedServer(handler) as server:
        with HTTPConnection("127.0.0.1", server.port, timeout=60) as conn:
            for number in range(50):
                conn.send_request("HEAD" if number % 5 == 0 else "GET", f"/{number}")
            seen = []
            while conn.response_pending():
                response = conn.read_response()
                assert conn.readall().decode() == (
                    "" if response.method == "HEAD" else response.path
                )
                seen.append(response.path)
            assert seen == [f"/{number}" for number in range(50)]


# ---- ends


@pytest.mark.reliability(38)
@pytest.mark.feature("B32", "B33")
@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nok",
        b"HTTP/1.1 200 OK\r\nConnection: foo, CLOSE\r\nContent-Length: 2\r\n\r\nok",
        b"HTTP/1.1 200 OK\r\nConnection: foo\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok",
        b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok",
        b"HTTP/1.1 200 OK\r\n\r\nok",
        b"HTTP/1.1 200 OK\r\nConnection: keep-alive\r\n\r\nok",
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nokHTTP/1.1 200 Poison\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\nTransfer-Encoding: chunked\r\n\r\n"
        b"2\r\nok\r\n0\r\n\r\n",
    ],
)
def test_connection_is_not_used_again_after(answer):
    server, conn = scripted(answer)
    with server, conn:
        for _ in range(3):
            assert exchange(conn)[1] == b"ok"
            assert not conn.response_pending()
    wait_until(lambda: server.connections == 3)


@pytest.mark.reliability(36, 40)
@pytest.mark.feature("B32", "B43")
@pytest.mark.parametrize("abandoned", [False, True])
def test_what_follows_the_last_response_of_a_connection_is_no_answer(abandoned):
    def handler(sock):
        if read_head(sock).startswith(b"GET /3"):
            sock.sendall(OK)
            return
        read_head(sock)
        sock.sendall(b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok")
        sock.sendall(b"HTTP/1.1 200 Smuggled\r\nContent-Length: 0\r\n\r\n")
        sock.recv(1)  # does not close, as it should

    with ScriptedServer(handler) as server:
        with HTTPConnection("127.0.0.1", server.port, timeout=60) as conn:
            conn.send_request("GET", "/1")
            second = conn.send_request("GET", "/2")
            if abandoned:
                second.abandon()
            conn.read_response()
            assert conn.readall() == b"ok"
            for call in (conn.read_response, lambda: conn.send_request("GET", "/3")):
                with pytest.raises(ConnectionClosed, match="to GET /1> was the last"):
                    call()
            conn.reset()
            assert exchange(conn, "GET", "/3")[1] == b"ok"


@pytest.mark.parametrize(
    "answer",
    [OK, b"HTTP/1.0 200 OK\r\nConnection: Keep-Alive\r\nContent-Length: 2\r\n\r\nok"],
)
def test_connection_is_used_again_after(answer):
    server, conn = scripted(*[answer] * 3)
    with server, conn:
        for _ in range(3):
            assert exchange(conn)[1] == b"ok"
    wait_until(lambda: server.connections == 1)


TRUNCATED = {
    "sized": b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhello",
    "chunked": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n",
    "in a chunk": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n9\r\nhello",
    "in the end": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n",
}


@pytest.mark.reliability(32)
@pytest.mark.feature("B43")
@pytest.mark.parametrize("kind", TRUNCATED)
def test_truncated_body_is_an_error_and_what_arrived_can_be_read(kind):
    server, conn = scripted(TRUNCATED[kind])
    with server, conn:
        conn.send_request("GET", "/")
        conn.read_response()
        with pytest.raises(ConnectionClosed) as failure:
            conn.readall()
        assert failure.value.request_sent == "yes"
        assert failure.value.retryable
        assert isinstance(failure.value, ConnectionError)
        assert conn.read(100) == b"hello"
        for _ in range(2):
            with pytest.raises(ConnectionClosed):
                conn.read(100)
        with pytest.raises(ConnectionClosed):
            conn.send_request("GET", "/")
        conn.reset()
        conn.send_request("GET", "/")
        assert conn.read_response().status == 200


@pytest.mark.parametrize("cut", [0, 1, 10, 20, 30])
def test_end_before_the_end_of_a_head_is_an_error(cut):
    server, conn = scripted(OK[:cut])
    with server, conn:
        conn.send_request("GET", "/")
        with pytest.raises(ConnectionClosed) as failure:
            conn.read_response()
        assert failure.value.request_sent == ("yes" if cut else "maybe")


@pytest.mark.feature("B44", "B34")
def test_body_of_unknown_coding_cannot_be_read_but_the_head_can():
    server, conn = scripted(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\nX: y\r\n\r\n")
    with server, conn:
        conn.send_request("GET", "/")
        response = conn.read_response()
        assert (response.status, response.headers["X"]) == (200, "y")
        with pytest.raises(UnsupportedResponse):
            conn.read(1)
        with pytest.raises(ConnectionClosed):
            conn.send_request("GET", "/")
        conn.disconnect()
        conn.connect()


@pytest.mark.reliability(39)
@pytest.mark.feature("B44")
@pytest.mark.parametrize(
    "answer",
    [
        b"SSH-2.0-OpenSSH\r\n", b"HTTP/2.0 200 OK\r\n\r\n", b"HTTP/1.1 20 OK\r\n\r\n",
        b"HTTP/1.1 200 OK\nX: y\n\n", b"HTTP/1.1 200 OK\r\nX : y\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: +2\r\n\r\nok",
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nok",
        b"HTTP/1.1 101 Switching\r\n\r\n",
    ],
)  # fmt: skip
def test_what_is_not_http_is_an_error_until_reset(answer):
    server, conn = scripted(answer)
    with server, conn:
        conn.send_request("GET", "/")
        with pytest.raises(InvalidResponse):
            conn.read_response()
        for call in (conn.read_response, lambda: conn.send_request("GET", "/")):
            with pytest.raises(ConnectionClosed, match="broken until reset"):
                call()
        conn.reset()
        conn.send_request("GET", "/")


@pytest.mark.feature("A30", "B48", "C42")
def test_limits_of_the_head_can_be_set_for_each_connection():
    long_line = b"HTTP/1.1 200 OK\r\nX: " + b"y" * 2000 + b"\r\nContent-Length: 0\r\n\r\n"
    for options in ({"max_line_size": 1000}, {"max_header_size": 1000}):
        server, conn = scripted(long_line, **options)
        with server, conn, pytest.raises(InvalidResponse, match="1000 bytes"):
            exchange(conn)
    many = b"HTTP/1.1 103 Hints\r\n\r\n" * 3 + b"HTTP/1.1 200 OK\r\nA: b\r\nA: b\r\nA: b\r\n\r\n"
    for options in ({"max_fields": 2}, {"max_informational": 2}):
        server, conn = scripted(many, **options)
        with server, conn, pytest.raises(InvalidResponse, match="at most 2 of|at most 2 are"):
            exchange(conn)
    chunk = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5;abcdef\r\n"
    for options in ({"max_chunk_line": 5}, {"max_extensions": 5}):
        server, conn = scripted(chunk, **options)
        with server, conn, pytest.raises(InvalidResponse, match="more than 5 bytes"):
            exchange(conn)
    server, conn = scripted(long_line, buffer_size=16)
    with server, conn:
        assert len(exchange(conn)[0].headers["X"]) == 2000


def test_101_is_final_if_it_was_asked_for():
    server, conn = scripted(b"HTTP/1.1 101 Switching\r\nUpgrade: echo\r\n\r\nraw bytes")
    with server, conn:
        conn.send_request("GET", "/", {"Upgrade": "echo", "Connection": "upgrade"})
        assert conn.read_response().status == 101
        assert conn.read_raw(100) == b"raw bytes"
        assert conn.read_raw(100) == b""


@pytest.mark.feature("B20")
def test_read_raw_shows_what_could_not_be_understood():
    server, conn = scripted(b"HTTP/1.1 200 OK\r\nbad line\r\n\r\nrest")
    with server, conn:
        with pytest.raises(StateError):
            conn.read_raw(10)
        conn.send_request("GET", "/")
        with pytest.raises(InvalidResponse):
            conn.read_response()
        assert b"bad line" in conn.read_raw(1000)


def test_reset_inside_a_body_never_looks_like_its_end():
    server, conn = scripted(TRUNCATED["sized"])
    with server, conn:
        conn.send_request("GET", "/")
        conn.read_response()
        conn.read(1)
        conn.reset()
        with pytest.raises(ConnectionClosed, match="closed meanwhile"):
            conn.read(1)


@pytest.mark.reliability(42)
@pytest.mark.feature("B27", "B46")
def test_timeout_is_about_nothing_moving(monkeypatch):
    """Each byte gives it anew, by a clock that goes on at each wait only."""
    now = [1000.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    slowly = [piece for byte in OK for piece in (WOULD_BLOCK, bytes([byte]))]
    conn = connection(monkeypatch, ScriptedStream(slowly), timeout=30)
    finish(conn.co_send_request("GET", "/"))
    waits = 0
    for read in (conn.co_read_response, conn.co_readall):
        reading = read()
        while True:
            try:
                need = next(reading)
            except StopIteration as end:
                result = end.value
                break
            waits += 1
            assert now[0] < need.deadline <= now[0] + 30
            now[0] += 20
    assert result == b"ok"
    assert waits >= len(OK)


@pytest.mark.reliability(42)
@pytest.mark.feature("B27")
def test_timeout_of_a_server_that_says_nothing():
    def silent(sock):
        read_head(sock)
        sock.recv(1)

    with ScriptedServer(silent) as server:
        with HTTPConnection("127.0.0.1", server.port, timeout=0.3) as conn:
            conn.send_request("GET", "/")
            start = time.monotonic()
            with pytest.raises(ConnectionTimedOut, match=r"arrived for 0\.3 s ") as failure:
                conn.read_response()
            assert time.monotonic() - start >= 0.3
            assert isinstance(failure.value, TimeoutError)
            conn.timeout = 0.1
            assert conn.timeout == 0.1
            with pytest.raises(ConnectionTimedOut):
                conn.read_response()


@pytest.mark.reliability(42)
@pytest.mark.feature("B27")
def test_timeout_of_a_writer_whom_nobody_reads():
    over = threading.Event()

    def handler(sock):
        read_head(sock)
        over.wait(100)

    with ScriptedServer(handler) as server:
        with HTTPConnection("127.0.0.1", server.port, timeout=0.2) as conn:
            conn.send_request("PUT", "/", body=BodyFollowing(1 << 30))
            with pytest.raises(ConnectionTimedOut):
                while True:
                    conn.write(bytes(1 << 20))
            with pytest.raises(ConnectionClosed):
                conn.write(b"x")
            over.set()


@pytest.mark.feature("B13")
def test_server_that_closes_during_the_upload_can_still_be_heard():
    def handler(sock):
        read_head(sock)
        sock.sendall(b"HTTP/1.1 507 Full\r\nContent-Length: 4\r\n\r\nfull")
        sock.shutdown(1)
        heard.wait(100)

    heard = threading.Event()
    with ScriptedServer(handler) as server:
        with HTTPConnection("127.0.0.1", server.port, timeout=60) as conn:
            conn.send_request("PUT", "/", body=BodyFollowing(1 << 30))
            with pytest.raises(ConnectionClosed):
                while True:
                    conn.write(bytes(1 << 20))
            assert conn.read_response().status == 507
            assert conn.readall() == b"full"
            heard.set()
            conn.send_request("GET", "/")


# ---- the face of a file


@pytest.mark.feature("B26")
def test_connection_can_be_wrapped_like_a_file():
    text = "".join(f"line {number} é\n" for number in range(5000)).encode()
    answer = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(text), text)
    server, conn = scripted(*[answer] * 6)
    with server, conn:
        for wrap in (
            lambda: io.TextIOWrapper(conn, "utf-8"),
            lambda: io.TextIOWrapper(io.BufferedReader(conn), "utf-8"),
            lambda: io.TextIOWrapper(conn.body_file(), "utf-8"),
            lambda: io.TextIOWrapper(io.BufferedReader(conn.body_file()), "utf-8"),
        ):
            conn.send_request("GET", "/")
            conn.read_response()
            file = wrap()
            assert list(file) == text.decode().splitlines(keepends=True)
            assert file.read() == ""
            inner = file.detach()
            if isinstance(inner, io.BufferedReader):
                inner.detach()
        conn.send_request("GET", "/")
        conn.read_response()
        with io.TextIOWrapper(io.BufferedReader(conn.body_file()), "utf-8") as file:
            assert file.read() == text.decode()
        conn.send_request("GET", "/")
        conn.read_response()
        assert io.TextIOWrapper(conn, "utf-8").read() == text.decode()
    wait_until(lambda: server.connections == 1)
    assert conn.readable()
    assert not conn.writable()
    assert not conn.seekable()
    assert not conn.closed
    conn.flush()


def test_read1_gives_what_is_there():
    server, conn = scripted(OK)
    with server, conn:
        conn.send_request("GET", "/")
        conn.read_response()
        assert conn.read1(1) == b"o"
        assert conn.read1() == b"k"
        assert conn.read1() == b""


# ---- operations


@pytest.mark.feature("B3", "B38")
def test_every_operation_is_a_generator_that_yields_what_it_waits_for(recorder):
    conn = recorder.conn
    names = [name for kind in (HTTPConnection, HTTPStream, NetworkStream) for name in dir(kind)]
    operations = [name.removeprefix("co_") for name in names if name.startswith("co_")]
    operations.remove("ready")  # a wait for attempts, which have no blocking form
    assert len(operations) > 20
    assert set(operations) <= set(names)
    needs = list(conn.co_send_request("GET", "/"))
    assert all(isinstance(need, PollNeeded) for need in needs)
    operation = conn.co_read_response()
    need = next(operation)
    fd, mask = need
    assert (fd, mask) == (need.fd, need.mask)
    assert need.poll(30)


def test_one_operation_at_a_time_in_each_half(recorder):
    conn = recorder.conn
    conn.connect()
    conn.send_request("PUT", "/", body=BodyFollowing(1))
    reading = conn.co_read_response()
    next(reading)
    with pytest.raises(StateError, match="another operation is reading"):
        conn.read_response()
    reading.close()
    conn.write(b"x")
    assert conn.read_response().status == 200


@pytest.mark.feature("B24", "B25")
def test_there_is_no_certificate_without_tls(recorder):
    assert recorder.conn.get_ssl_peercert() is None
    assert recorder.conn.get_ssl_cipher() is None


def test_its_representation_says_where_it_leads_and_what_is_pending():
    script = [OK, b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"]
    conn = HTTPConnection("example.org", 8080, transport=ScriptedTransport(script))
    assert repr(conn) == "<HTTPConnection http://example.org:8080: closed>"
    conn.send_request("GET", "/secret?token=1")
    assert repr(conn) == "<HTTPConnection http://example.org:8080: open, 1 response pending>"
    conn.send_request("GET", "/")
    assert repr(conn) == "<HTTPConnection http://example.org:8080: open, 2 responses pending>"
    conn.reset()
    assert repr(conn) == "<HTTPConnection http://example.org:8080: closed>"


def test_its_representation_names_the_proxy_without_its_password():
    context = default_ssl_context()
    conn = HTTPConnection("example.org", ssl_context=context, proxy="http://me:secret@proxy:3128")
    assert repr(conn) == (
        "<HTTPConnection https://example.org through the proxy http://proxy:3128: closed>"
    )
