"""Leaving HTTP: 101 and CONNECT, what they hand over, and what the connection does after that."""

import os
import threading

import pytest
from kit.streams import END, WOULD_BLOCK, ScriptedStream, connection, finish
from kit.support import ScriptedServer, open_descriptors, read_exactly, read_head, wait_until
from kit.ways import WAYS as DRIVERS

from dugong_like import (
    BodyFollowing,
    ConnectionClosed,
    ConnectionTimedOut,
    HTTPConnection,
    InvalidRequest,
    InvalidResponse,
    NetworkStream,
    StateError,
    Target,
)

ASK = {"Upgrade": "echo", "Connection": "upgrade"}
SWITCH = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: echo\r\nConnection: upgrade\r\n\r\n"
TUNNEL = b"HTTP/1.1 200 OK\r\n\r\n"
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
NO = b"HTTP/1.1 407 No\r\nContent-Length: 2\r\n\r\nno"
BEHIND = b"HTTP/1.1 is over\r\n\r\n\0"


def co_ask(conn, how="upgrade"):
    if how == "connect":
        yield from conn.co_send_request("CONNECT", "other.test:443")
    else:
        yield from conn.co_send_request("GET", "/", ASK)


def co_switch(conn, how="upgrade"):
    yield from co_ask(conn, how)
    return (yield from conn.co_read_response())


WAYS = pytest.mark.parametrize(
    ("how", "answer"), [("upgrade", SWITCH), ("connect", TUNNEL)], ids=["101", "CONNECT"]
)


@pytest.mark.feature("C20")
@WAYS
def test_bytes_behind_the_head_come_first_wherever_the_network_cuts(monkeypatch, how, answer):
    wire = answer + BEHIND
    for cut in range(1, len(wire)):
        script = ScriptedStream([wire[:cut], WOULD_BLOCK, wire[cut:], END])
        conn = connection(monkeypatch, script)
        stream = finish(co_switch(conn, how)).stream
        got = b""
        while piece := finish(stream.co_read(7)):
            got += piece
        assert got == BEHIND


@WAYS
def test_interrupted_at_every_wait_it_is_handed_over_all_the_same(monkeypatch, how, answer):
    wire = [byte for byte in answer + BEHIND for byte in (WOULD_BLOCK, bytes([byte]))]
    for waits in range(len(answer) + 1):
        conn = connection(monkeypatch, ScriptedStream(wire))
        finish(co_ask(conn, how))
        op = conn.co_read_response()
        try:
            for _ in range(waits):
                next(op)
        except StopIteration as end:
            response = end.value
        else:
            op.close()
            response = finish(conn.co_read_response())
        got = b""
        while len(got) < len(BEHIND):
            got += finish(response.stream.co_read(100))
        assert got == BEHIND


@WAYS
def test_the_next_request_opens_a_new_connection(monkeypatch, how, answer):
    first, second = ScriptedStream([answer]), ScriptedStream([OK])
    conn = connection(monkeypatch, first, second)
    response = finish(co_switch(conn, how))
    stream = response.stream
    assert stream is response.stream
    assert not conn.response_pending()
    assert conn.read() == b""

    conn.send_request("GET", "/")
    assert conn.read_response().status == 200
    conn.reset()
    conn.close()
    assert second.closed
    assert not first.closed
    stream.write(b"still there")
    assert first.sent.endswith(b"still there")
    stream.close()
    assert first.closed


@WAYS
@pytest.mark.parametrize(
    "close", [lambda c: c.close(), lambda c: c.reset(), lambda c: c.send_request("GET", "/")]
)
def test_a_stream_that_nobody_takes_is_closed_with_the_connection(monkeypatch, how, answer, close):
    first = ScriptedStream([answer])
    conn = connection(monkeypatch, first, ScriptedStream())
    response = finish(co_switch(conn, how))
    assert not first.closed
    close(conn)
    assert first.closed
    with pytest.raises(StateError, match="closed before anybody took"):
        response.stream


def test_a_connection_that_is_forgotten_closes_it(monkeypatch):
    first = ScriptedStream([SWITCH])
    response = finish(co_switch(connection(monkeypatch, first)))
    assert first.closed
    with pytest.raises(StateError):
        response.stream


@pytest.mark.parametrize("status", [200, 204, 301, 426, 500])
def test_an_upgrade_that_is_refused_is_an_ordinary_response(monkeypatch, status):
    body = b"" if status == 204 else b"Content-Length: 2\r\n\r\nno"
    answer = f"HTTP/1.1 {status} X\r\n".encode() + (body or b"\r\n")
    script = ScriptedStream([answer])
    conn = connection(monkeypatch, script)
    response = finish(co_switch(conn))
    with pytest.raises(StateError, match="has not ended HTTP"):
        response.stream
    assert conn.read() == (b"no" if body else b"")
    op = co_switch(conn)
    next(op)
    script.incoming.append(SWITCH)
    assert finish(op).stream.timeout is None
    assert script.sent.count(b"GET / ") == 2


@pytest.mark.parametrize("status", [100, 199, 300, 407, 500])
def test_a_connect_that_is_refused_is_an_ordinary_response(monkeypatch, status):
    early = f"HTTP/1.1 {status} X\r\n\r\n".encode() if status < 200 else b""
    refusal = NO if early else NO.replace(b"407", str(status).encode())
    script = ScriptedStream([early + refusal])
    conn = connection(monkeypatch, script)
    response = finish(co_switch(conn, "connect"))
    assert conn.read() == b"no"
    with pytest.raises(StateError):
        response.stream
    op = co_switch(conn, "connect")
    next(op)
    script.incoming.append(TUNNEL + b"x")
    assert finish(op).stream.read(5) == b"x"
    assert script.sent.count(b"CONNECT ") == 2


@pytest.mark.parametrize("field", [b"Content-Length: 5\r\n", b"Transfer-Encoding: chunked\r\n"])
def test_a_tunnel_has_no_body_whatever_the_head_says(monkeypatch, field):
    script = ScriptedStream([b"HTTP/1.1 299 OK\r\n" + field + b"\r\n5\r\nhello"])
    conn = connection(monkeypatch, script)
    stream = finish(co_switch(conn, "connect")).stream
    assert stream.read(100) == b"5\r\nhello"


@pytest.mark.reliability(25)
def test_101_to_connect_is_refused(monkeypatch):
    conn = connection(monkeypatch, ScriptedStream([SWITCH]))
    with pytest.raises(InvalidResponse, match="without having been asked"):
        finish(co_switch(conn, "connect"))


@WAYS
def test_no_request_goes_out_before_the_answer(monkeypatch, how, answer):
    """It would be taken for bytes of the other protocol."""
    script = ScriptedStream([])
    conn = connection(monkeypatch, script, ScriptedStream())
    finish(co_ask(conn, how))
    sent = script.sent
    for body in (None, b"x", BodyFollowing(5)):
        with pytest.raises(StateError, match="asked to leave HTTP$"):
            conn.send_request("POST", "/", body=body)
    with pytest.raises(StateError, match="no body to write"):
        conn.write(b"x")
    conn.finish()
    conn.connect()
    assert script.sent == sent
    script.incoming.append(answer)
    assert isinstance(conn.read_response().stream, NetworkStream)
    conn.send_request("GET", "/")
    assert script.sent == sent


def test_requests_before_it_are_answered_first(monkeypatch):
    script = ScriptedStream([OK + OK + SWITCH + b"x"])
    conn = connection(monkeypatch, script)
    conn.send_request("GET", "/1")
    conn.send_request("GET", "/2")
    finish(co_ask(conn))
    for _ in range(2):
        assert conn.read_response().status == 200
        conn.discard()
    assert conn.read_response().stream.read(5) == b"x"


def test_an_upgrade_with_a_body(monkeypatch):
    script = ScriptedStream([])
    conn = connection(monkeypatch, script)
    conn.send_request("POST", "/", ASK, BodyFollowing())
    conn.write(b"hello")
    conn.finish()
    with pytest.raises(StateError, match="asked to leave HTTP"):
        conn.send_request("GET", "/")
    script.incoming.append(SWITCH)
    assert conn.read_response().stream.get_extra_info("fd") == script.fd


def test_a_switch_before_the_request_is_complete_hands_nothing_over(monkeypatch):
    script = ScriptedStream([])
    conn = connection(monkeypatch, script)
    conn.send_request("POST", "/", ASK, BodyFollowing(10))
    script.incoming.append(SWITCH)
    response = conn.read_response()
    assert response.status == 101
    with pytest.raises(StateError, match="has not ended HTTP"):
        response.stream
    with pytest.raises((StateError, ConnectionClosed)):
        conn.write(b"hello")


def test_an_abandoned_switch_is_skipped(monkeypatch):
    script = ScriptedStream([SWITCH])
    conn = connection(monkeypatch, script, ScriptedStream([OK]))
    exchange = conn.send_request("GET", "/", ASK)
    exchange.abandon()
    with pytest.raises(StateError, match="no response is pending"):
        conn.read_response()
    conn.send_request("GET", "/")
    assert script.closed
    assert conn.read_response().status == 200


def test_what_follows_can_still_be_seen_raw(monkeypatch):
    conn = connection(monkeypatch, ScriptedStream([SWITCH + b"raw", b"rest"]))
    response = finish(co_switch(conn))
    assert conn.read_raw(100) == b"raw"
    assert response.stream.read(100) == b"rest"
    with pytest.raises(StateError, match="closed"):
        conn.read_raw(100)


def test_the_stream_is_not_taken_from_one_who_reads_it(monkeypatch):
    conn = connection(monkeypatch, ScriptedStream([SWITCH]))
    response = finish(co_switch(conn))
    reading = conn.co_read_raw(10)
    next(reading)
    with pytest.raises(StateError, match="another operation is reading"):
        response.stream
    reading.close()
    assert response.stream


@pytest.mark.feature("C13")
def test_connect_and_targets_on_the_wire(monkeypatch):
    script = ScriptedStream([NO])
    conn = connection(monkeypatch, script)
    conn.send_request("CONNECT", "other.test:443", {"Proxy-Authorization": "Basic eDp5"})
    assert script.sent.startswith(b"CONNECT other.test:443 HTTP/1.1\r\n")
    assert b"\r\nHost: other.test:443\r\n" in script.sent
    assert b"\r\nProxy-Authorization: Basic eDp5\r\n" in script.sent
    assert conn.read_response().path == "other.test:443"
    conn.discard()
    conn.send_request("OPTIONS", "*")
    conn.send_request("GET", Target("http://other.test/x"), {"Host": "other.test"})
    assert b"OPTIONS * HTTP/1.1\r\n" in script.sent
    assert b"GET http://other.test/x HTTP/1.1\r\n" in script.sent


@pytest.mark.reliability(47)
def test_what_cannot_be_sent_leaves_all_as_it_was(monkeypatch):
    class Cunning(Target):
        pass

    script = ScriptedStream([])
    conn = connection(monkeypatch, script)
    for arguments in [
        ("CONNECT", "/"), ("CONNECT", "a:1", None, b"x"), ("CONNECT", "a:1", None, BodyFollowing()),
        ("CONNECT", "a:1", {"Host": "b"}), ("GET", "http://a.test/"), ("GET", "a:1"),
        ("GET", Target("http://a.test/")), ("GET", Target("*")), ("GET", Target("a.test:1")),
        ("GET", Cunning("http://script.test/")),
    ]:  # fmt: skip
        with pytest.raises(InvalidRequest):
            conn.send_request(*arguments)
    assert script.sent == b""
    conn.send_request("GET", Target("http://script.test/"))
    assert script.sent.startswith(b"GET http://script.test/ HTTP/1.1\r\nHost: script.test\r\n")


# ---- HTTP/1.0


@pytest.mark.feature("A1", "A7")
def test_http_1_0(monkeypatch):
    first, second = ScriptedStream([]), ScriptedStream([])
    conn = connection(monkeypatch, first, second, http_version="1.0")
    assert conn.http_version == "1.0"
    for arguments in [
        ("PUT", "/", None, BodyFollowing()), ("PUT", "/", None, BodyFollowing(5), True),
        ("GET", "/", ASK), ("PUT", "/", {"Expect": "100-continue"}, b"x"),
    ]:  # fmt: skip
        with pytest.raises(InvalidRequest, match=r"needs HTTP/1\.1"):
            conn.send_request(*arguments)
    kept = b"HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 2\r\n\r\nok"
    conn.send_request("PUT", "/", body=BodyFollowing(5))
    conn.write(b"hello")
    first.incoming.append(kept)
    assert first.sent.startswith(b"PUT / HTTP/1.0\r\nHost: script.test\r\n")
    assert b"\r\nConnection: keep-alive\r\nContent-Length: 5\r\n\r\nhello" in first.sent
    conn.read_response()
    assert conn.read() == b"ok"
    conn.send_request("GET", "/", {"Connection": "x"})  # the server will close
    assert first.sent.count(b"HTTP/1.0") == 2
    first.incoming.append(b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok")
    conn.read_response()
    assert conn.read() == b"ok"
    conn.send_request("GET", "/")
    assert second.sent.startswith(b"GET / HTTP/1.0\r\n")


@pytest.mark.feature("A1", "A7")
@pytest.mark.parametrize("version", ["1.2", "2", 1.0, None, "HTTP/1.1"])
def test_other_versions_are_not_spoken(version):
    with pytest.raises(ValueError, match=r"1\.0 and 1\.1"):
        HTTPConnection("localhost", http_version=version)


# ---- with real sockets


def switching(sock):
    """Answer an upgrade or CONNECT, with bytes behind the head, and echo what comes."""
    while head := read_head(sock):
        if head.startswith(b"CONNECT"):
            sock.sendall(TUNNEL + b"hello")
        elif b"Upgrade" in head:
            sock.sendall(SWITCH + b"hello")
        else:
            sock.sendall(OK)
            continue
        while data := sock.recv(65536):
            sock.sendall(data)
        return


@pytest.fixture(params=[False, True], ids=["plain", "tls"])
def conn(request, certificate, trusting):
    context = certificate.server_context() if request.param else None
    with ScriptedServer(switching, context) as server:
        mine = trusting if request.param else None
        with HTTPConnection("localhost", server.port, mine, timeout=10) as conn:
            yield conn


@pytest.mark.parametrize("how", ["upgrade", "connect"])
def test_two_threads_use_the_stream_while_the_connection_goes_on(conn, how):
    before = open_descriptors()
    finish_blocking = {"upgrade": ("GET", "/", ASK), "connect": ("CONNECT", "a.test:1")}[how]
    conn.send_request(*finish_blocking)
    with conn.read_response().stream as stream:
        assert stream.timeout == 10
        assert (stream.get_extra_info("tls_version") is None) == (conn.ssl_context is None)
        assert conn.get_ssl_cipher() is None
        data = os.urandom(2_000_000)
        writer = threading.Thread(target=stream.write, args=(data,))
        writer.start()
        got = bytearray()
        while len(got) < len(data) + 5:
            got += stream.read(100_000)
            if len(got) > 1_000_000 and conn.get_ssl_cipher() is None:
                conn.send_request("GET", "/")
                assert conn.read_response().status == 200
                assert conn.read() == b"ok"
        writer.join()
        assert got == b"hello" + data
        conn.reset()
        stream.write(b"x")
        assert stream.read(1) == b"x"
        stream.timeout = 0.05
        with pytest.raises(ConnectionTimedOut):
            stream.read(1)
    wait_until(lambda: open_descriptors() <= before)


def test_one_direction_of_https_cannot_be_ended_alone(conn):
    conn.send_request("CONNECT", "a.test:1")
    with conn.read_response().stream as stream:
        if conn.ssl_context is not None:
            with pytest.raises(StateError, match="both directions"):
                stream.write_eof()
            stream.write(b"still there")
        else:
            stream.write(b"still there")
            stream.write_eof()
        got = b""
        while len(got) < len(b"hellostill there"):
            got += stream.read(100)
        assert got == b"hellostill there"
        if conn.ssl_context is None:
            assert stream.read(1) == b""


@pytest.mark.feature("C17", "C19")
@pytest.mark.parametrize("tls", [False, True], ids=["plain", "tls"])
@pytest.mark.parametrize("drive", DRIVERS)
def test_end_through_a_tunnel(drive, certificate, trusting, tls):
    """The server answers when it has heard all, as many a program behind a tunnel does."""

    def handler(sock):
        assert read_head(sock).startswith(b"CONNECT a.test:1 ")
        sock.sendall(TUNNEL)
        if tls:
            sock = certificate.server_context().wrap_socket(sock, server_side=True)
        with sock:
            count = 0
            while data := sock.recv(65536):
                count += len(data)
            sock.sendall(b"%d" % count)

    def co_tell():
        with HTTPConnection("localhost", server.port, timeout=10) as conn:
            yield from conn.co_send_request("CONNECT", "a.test:1")
            with (yield from conn.co_read_response()).stream as stream:
                if tls:
                    yield from stream.co_start_tls(trusting, "localhost")
                yield from stream.co_write(bytes(1_000_000))
                yield from stream.co_write_eof()
                return (yield from stream.co_read(100))

    with ScriptedServer(handler) as server:
        assert drive(co_tell()) == b"1000000"


@pytest.mark.skipif(not hasattr(os, "fork"), reason="nothing forks here")
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_child_has_no_stream(conn):
    conn.send_request("GET", "/", ASK)
    response = conn.read_response()
    child = os.fork()
    if child == 0:
        try:
            response.stream
        except StateError:
            os._exit(7)
        finally:
            os._exit(1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7
    response.stream.write(b"x")
    assert read_some(response.stream, 6) == b"hellox"


def read_some(stream, count):
    got = b""
    while len(got) < count:
        got += stream.read(count)
    return got


@pytest.mark.feature("C19")
def test_tls_in_a_tunnel(certificate, trusting):
    def proxy(sock):
        assert read_head(sock).startswith(b"CONNECT localhost:443 HTTP/1.1\r\n")
        sock.sendall(TUNNEL)
        context = certificate.server_context()
        with context.wrap_socket(sock, server_side=True, suppress_ragged_eofs=False) as tls:
            tls.sendall(read_exactly(tls, 5)[::-1])

    with ScriptedServer(proxy) as server, HTTPConnection("127.0.0.1", server.port) as conn:
        conn.send_request("CONNECT", "localhost:443")
        with conn.read_response().stream.start_tls(trusting, "localhost") as stream:
            stream.write(b"hello")
            assert read_some(stream, 5) == b"olleh"
