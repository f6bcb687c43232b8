"""What a trace is told, in which order, under every driver; and that it costs nobody else."""

import io
import socket
import sys

import pytest
from kit import servers
from kit.cases import each_case
from kit.every_driver import DRIVERS, co_conversation
from kit.streams import END, ScriptedStream, connection, finish
from kit.support import ScriptedServer, answering, in_child, pattern, read_exactly, read_head
from kit.told import BODY, HEAD, SENT, TCP, Told, pair

from dugong_like import (
    BodyFollowing,
    BodyTooLarge,
    Budget,
    ConnectFailed,
    ConnectionClosed,
    ConnectionTimedOut,
    HostnameNotResolvable,
    HTTPConnection,
    InvalidResponse,
    MinimumRate,
    RateLimit,
    ScriptedTransport,
    Timeouts,
    TunnelRefused,
    run,
)

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nSet-Cookie: secret\r\n\r\nok"
BIG = b"HTTP/1.1 200 OK\r\nContent-Length: 300000\r\n\r\n" + pattern(300_000)
EMPTY = b"HTTP/1.1 204 No Content\r\n\r\n"
CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\nT: u\r\n\r\n"
CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"


def co_get(conn, path="/"):
    fields = {"Authorization": "secret", "Cookie": "secret", "X": "open"}
    yield from conn.co_send_request("GET", path, fields)
    yield from conn.co_read_response()
    return (yield from conn.co_readall())


def co_put(conn):
    yield from conn.co_send_request("PUT", "/", body=BodyFollowing(4), expect100=True)
    yield from conn.co_read_response()
    yield from conn.co_write(b"ab")
    yield from conn.co_write(b"cd")
    yield from conn.co_read_response()
    yield from conn.co_discard()


def putting(sock):
    while read_head(sock):
        sock.sendall(CONTINUE)
        read_exactly(sock, 4)
        sock.sendall(EMPTY)


@pytest.mark.feature("C4", "C5", "C6", "C7", "C8")
@pytest.mark.parametrize("driver", DRIVERS)
def test_get(driver):
    told = Told()
    with ScriptedServer(answering(OK, CHUNKED)) as server:
        with HTTPConnection("localhost", server.port, trace=told) as conn:
            assert driver(co_get(conn)) == b"ok"
            assert told.events == [*pair("dns.resolve"), *TCP, *SENT, *HEAD, *BODY]
            first = len(told)
            assert driver(co_get(conn, "/2")) == b"ok"
            trailers = ["http11.trailers"]
            assert told.events[first:] == [*SENT, *HEAD, BODY[0], *trailers, *BODY[1:]]
    assert told.events[-1] == "connection.close"


@pytest.mark.parametrize("driver", DRIVERS)
def test_requests_that_are_sent_together_are_told_one_by_one(driver):
    told = Told()
    with ScriptedServer(answering(OK, OK)) as server:
        with HTTPConnection("127.0.0.1", server.port, trace=told) as conn:
            exchanges = driver(conn.co_send_requests([("GET", "/1"), ("GET", "/2")]))
            assert told.events == [*TCP, *SENT, *SENT]
            requests = [info["request"] for event, info in told if event == SENT[0]]
            assert requests == exchanges
            assert [response.path for response in conn.responses() if conn.readall() == b"ok"] == [
                "/1",
                "/2",
            ]


@pytest.mark.feature("C5", "C6", "C7", "C8")
def test_what_the_events_say():
    told = Told()
    with ScriptedServer(answering(OK, CHUNKED)) as server:
        with HTTPConnection("localhost", server.port, trace=told) as conn:
            exchange = conn.send_request("GET", "/", {"Cookie": "secret", "X": "open"})
            response = conn.read_response()
            conn.readall()
            run(co_get(conn))
        port = server.port
    first = dict(reversed(told))

    assert first["dns.resolve.started"] == {"host": "localhost", "port": port}
    assert first["dns.resolve.complete"]["return_value"][0][1][:2] == ("127.0.0.1", port)
    ends = first["connection.connect_tcp.complete"]["return_value"]
    assert ends["server_address"] == ("127.0.0.1", port)
    info = first["http11.send_request_headers.started"]
    assert info["request"] is exchange
    assert (info["method"], info["target"]) == ("GET", "/")
    assert ("X", "open") in info["headers"]
    assert ("Cookie", "[masked]") in info["headers"]
    info = first["http11.receive_response_headers.complete"]
    assert info["return_value"] is response
    assert (info["status"], info["reason"], info["http_version"]) == (200, "OK", "1.1")
    assert info["headers"] == [("Content-Length", "2"), ("Set-Cookie", "[masked]")]
    assert told.info("http11.trailers")["headers"] == [("T", "u")]
    assert told.info("connection.close") == {"host": "localhost", "port": port}


@pytest.mark.feature("C4", "C5", "C8")
@pytest.mark.parametrize("driver", DRIVERS)
def test_put_with_100_continue(driver):
    told = Told()
    with ScriptedServer(putting) as server:
        with HTTPConnection("127.0.0.1", server.port, trace=told) as conn:
            driver(co_put(conn))

    assert told.events == [
        *(*TCP, *SENT[:2], HEAD[0], "http11.informational", *SENT[2:], HEAD[1], *BODY),
        "connection.close",
    ]
    assert told.info("http11.informational")["status"] == 100


@pytest.mark.parametrize("length", [0, 4, None])
def test_bodies_that_follow(monkeypatch, length):
    told = Told()
    conn = connection(monkeypatch, ScriptedStream(), trace=told)
    finish(conn.co_send_request("PUT", "/", body=BodyFollowing(length)))
    assert told.events == (SENT if length == 0 else SENT[:2])
    if length != 0:
        finish(conn.co_write(b"abcd"))
    finish(conn.co_finish())

    assert told.events == SENT


@pytest.mark.feature("C8")
def test_informational_responses_reach_both(monkeypatch):
    told, seen = Told(), []
    stream = ScriptedStream([b"HTTP/1.1 103 Early\r\n\r\n" * 2 + OK])
    conn = connection(monkeypatch, stream, trace=told, on_informational=seen.append)
    finish(co_get(conn))

    assert told.events.count("http11.informational") == len(seen) == 2


def test_abandoned_responses_are_told_as_well(monkeypatch):
    told = Told()
    conn = connection(monkeypatch, ScriptedStream([OK + OK]), trace=told)
    finish(conn.co_send_request("GET", "/1")).abandon()
    finish(co_get(conn))

    assert told.events == [*SENT, *SENT, *HEAD, *BODY, *HEAD, *BODY]


@pytest.mark.feature("C4", "C5", "C6", "C10")
@pytest.mark.parametrize("driver", DRIVERS[:7:3])
def test_tls_and_proxies(start, trusting, proxy, driver):
    server = start("uvicorn-httptools", tls=True)
    told = Told()
    where = ("127.0.0.1", proxy.port)
    with HTTPConnection("localhost", server.port, trusting, where, trace=told) as conn:
        driver(conn.co_connect())

    assert told.events == [
        *(*TCP, *pair("proxy.connect", "connection.start_tls"), "connection.close")
    ]
    assert told.info("proxy.connect.started")["target"] == f"localhost:{server.port}"
    assert told.info("connection.start_tls.started")["server_hostname"] == "localhost"
    assert told.info("connection.start_tls.complete")["return_value"]["version"] == "TLSv1.3"


@pytest.mark.feature("C5", "C10")
def test_a_proxy_that_says_no(trusting):
    told = Told()
    with ScriptedServer(answering(b"HTTP/1.1 407 No\r\nContent-Length: 0\r\n\r\n")) as server:
        where = ("127.0.0.1", server.port)
        conn = HTTPConnection("origin.test", 443, trusting, where, trace=told)
        with pytest.raises(TunnelRefused) as caught:
            conn.connect()

    assert told.events == [*TCP, "proxy.connect.started", "proxy.connect.failed"]
    assert told.info("proxy.connect.failed")["exception"] is caught.value


@pytest.mark.feature("C4", "C5", "C6")
@pytest.mark.parametrize("driver", DRIVERS)
def test_connecting_fails(driver, monkeypatch):
    told = Told()
    with servers.refusing_port() as port, pytest.raises(ConnectFailed) as caught:
        driver(HTTPConnection("127.0.0.1", port, trace=told).co_connect())
    assert told.events == [
        *("connection.connect_tcp.started", "connection.attempt.started"),
        *("connection.attempt.failed", "connection.connect_tcp.failed"),
    ]
    assert told.info("connection.connect_tcp.failed")["exception"] is caught.value

    def unknown(*arguments, **options):
        raise socket.gaierror(socket.EAI_NONAME, "scripted")

    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    told = Told()
    with pytest.raises(HostnameNotResolvable):
        driver(HTTPConnection("nowhere.invalid", trace=told).co_connect())
    assert told.events == ["dns.resolve.started", "dns.resolve.failed"]


@pytest.mark.feature("C5", "C8")
def test_a_broken_response(monkeypatch):
    for incoming, failure in (([b"nonsense\r\n\r\n"], InvalidResponse), ([END], ConnectionClosed)):
        told = Told()
        conn = connection(monkeypatch, ScriptedStream(incoming), trace=told)
        with pytest.raises(failure) as caught:
            finish(co_get(conn))
        name = "http11.receive_response_headers"
        assert told.events == [*SENT, f"{name}.started", f"{name}.failed"]
        assert told[-1][1]["exception"] is caught.value


def test_a_body_that_is_cut_off(monkeypatch):
    told = Told()
    conn = connection(monkeypatch, ScriptedStream([OK[:-1], END]), trace=told)
    with pytest.raises(ConnectionClosed):
        finish(co_get(conn))

    assert told.events[-2:] == [BODY[0], "http11.receive_response_body.failed"]


@pytest.mark.feature("C5", "C8")
def test_an_answer_before_the_body_was_sent(monkeypatch):
    told = Told()
    conn = connection(monkeypatch, ScriptedStream(), trace=told)
    finish(conn.co_send_request("PUT", "/", body=BodyFollowing(9)))
    finish(conn.co_write(b"abc"))
    conn._session.shared.stream.incoming.append(OK)
    with pytest.raises(ConnectionClosed) as caught:
        finish(conn.co_write(b"abc"))
    assert told.events == [*SENT[:3], "http11.send_request_body.failed"]
    assert told[-1][1]["exception"] is caught.value
    finish(conn.co_read_response())
    assert finish(conn.co_readall()) == b"ok"


def test_a_time_out_that_loses_nothing_is_told_and_the_phase_begins_again():
    def late(sock):
        read_head(sock)
        read_head(sock)
        sock.sendall(OK)
        read_head(sock)

    told = Told()
    with ScriptedServer(late) as server:
        limits = Timeouts(read=0.05)
        with HTTPConnection("127.0.0.1", server.port, trace=told, timeout=limits) as conn:
            conn.send_request("GET", "/1")
            with pytest.raises(ConnectionTimedOut) as caught:
                conn.read_response()
            conn.timeout = Timeouts(read=20)
            conn.send_request("GET", "/2")
            conn.read_response()
            conn.readall()

    name = "http11.receive_response_headers"
    middle = [HEAD[0], f"{name}.failed", *SENT, *HEAD, *BODY]
    assert told.events == [*TCP, *SENT, *middle, "connection.close"]
    assert told.info(f"{name}.failed")["exception"] is caught.value


EVERY = [*pair("dns.resolve"), *TCP, *SENT, *HEAD, *BODY]


@pytest.mark.feature("C4")
@each_case("failure", [LookupError, ValueError, KeyboardInterrupt, ConnectionClosed])
@each_case("bad", EVERY)
def test_what_a_trace_raises_ends_the_operation_and_leaves_a_connection_to_reset(bad, failure):
    told = Told(bad, failure)
    with ScriptedServer(answering(OK)) as server:
        conn = HTTPConnection("localhost", server.port, trace=told)
        with pytest.raises(failure, match=bad):
            run(co_get(conn))
        assert told.events[-1] == bad or bad.startswith(("dns", "connection"))
        told.bad = None
        if conn._session.shared.stream is not None:
            with pytest.raises(ConnectionClosed, match="is broken"):
                run(co_get(conn))
        conn.reset()
        assert run(co_get(conn)) == b"ok"
        conn.close()


@pytest.mark.parametrize("half", ["send_request_body", "receive_response_headers"])
def test_what_it_raises_when_told_of_a_failure_leaves_a_connection_to_reset(monkeypatch, half):
    told = Told(f"http11.{half}.failed")
    streams = ScriptedStream([b"nonsense\r\n\r\n"]), ScriptedStream([OK])
    conn = connection(monkeypatch, *streams, trace=told)
    following = BodyFollowing(9) if half == "send_request_body" else None
    with pytest.raises(LookupError):
        finish(conn.co_send_request("PUT", "/", body=following))
        finish(conn.co_write(b"abc") if following else conn.co_read_response())
    conn.reset()
    assert finish(co_get(conn)) == b"ok"


def test_what_it_raises_when_a_phase_begins_again(monkeypatch):
    told = Told()
    stream = ScriptedStream()
    conn = connection(monkeypatch, stream, trace=told, timeout=0.0)
    finish(conn.co_send_request("GET", "/"))
    with pytest.raises(ConnectionTimedOut):
        finish(conn.co_read_response())
    stream.incoming.append(OK)
    told.bad = "http11.receive_response_headers.started"
    with pytest.raises(LookupError):
        finish(conn.co_read_response())
    with pytest.raises(ConnectionClosed, match="is broken"):  # and not taken by anybody
        finish(conn.co_read_response())


def test_what_it_raises_at_the_end_comes_after_the_end(monkeypatch):
    stream = ScriptedStream([OK])
    conn = connection(monkeypatch, stream, trace=Told("connection.close"))
    finish(co_get(conn))
    with pytest.raises(LookupError):
        conn.disconnect()

    assert stream.closed
    conn.disconnect()


def test_what_it_raises_at_the_end_closes_nothing_under_a_reader(monkeypatch):
    """The reader may be about to wait for the descriptor."""
    stream = ScriptedStream()
    conn = connection(monkeypatch, stream, trace=Told("connection.close"))
    finish(conn.co_send_request("GET", "/"))
    reading = conn.co_read_response()
    next(reading)
    with pytest.raises(LookupError):
        conn.disconnect()

    assert not stream.closed
    with pytest.raises(ConnectionClosed, match="closed meanwhile"):
        next(reading)
    assert stream.closed


def test_a_child_process_tells_nothing_of_the_parents_connection():
    told = Told()
    with ScriptedServer(answering(OK)) as server:
        with HTTPConnection("127.0.0.1", server.port, trace=told) as conn:
            conn.connect()
            assert in_child(lambda: "connection.close" in told.events) == 0


def test_nobody_is_told_who_did_not_ask(monkeypatch):
    conn = connection(monkeypatch, ScriptedStream([OK]))

    assert conn._session.shared.observer is None
    assert conn._session.shared.route.trace is None


@pytest.mark.parametrize("tls", [False, True], ids=["http", "https"])
@pytest.mark.parametrize("driver", DRIVERS)
def test_a_watched_connection_works_like_any_other(start, trusting, driver, tls):
    server = start("uvicorn-httptools", tls=tls)
    told = Told()
    with HTTPConnection(
        *("localhost", server.port, trusting if tls else None),
        timeout=Timeouts(stall=30, total=60),
        trace=told,
        timings=True,
        trace_file=io.BytesIO(),
    ) as conn:
        assert driver(co_conversation(conn)) == "done"
        started = sorted(e.removesuffix(".started") for e in told.events if "started" in e)
        complete = sorted(e.removesuffix(".complete") for e in told.events if "complete" in e)
        assert started == complete
        conn.connect()
        assert (conn.get_ssl_cipher() is not None) == tls


@pytest.mark.parametrize(
    ("scheme", "answers"),
    [("socks5h", [b"\5\0", b"\5\0\0\1" + bytes(6)]), ("socks4a", [b"\0\x5a" + bytes(6)])],
)
def test_socks(scheme, answers):
    def proxy(sock):
        for answer in answers:
            sock.recv(1000)
            sock.sendall(answer)
        sock.recv(1)

    told = Told()
    with ScriptedServer(proxy) as server:
        way = f"{scheme}://127.0.0.1:{server.port}"
        with HTTPConnection("origin.test", 80, None, way, trace=told) as conn:
            conn.connect()

    name = f"proxy.{scheme.removesuffix('h')}"
    assert told.events == [*TCP, *pair(name), "connection.close"]
    assert told.info(f"{name}.started")["target"] == "origin.test:80"


@pytest.mark.parametrize("body", [None, BodyFollowing(1)])
def test_a_stream_outside_http_is_dumped_as_well(certificate, trusting, body):
    def switch(sock):
        read_head(sock)
        if body is not None:
            sock.recv(1)
        sock.sendall(b"HTTP/1.1 101 Yes\r\nUpgrade: x\r\n\r\n")
        with certificate.server_context().wrap_socket(sock, server_side=True) as tls:
            tls.sendall(tls.recv(100))
            tls.recv(1)

    told, dump = Told(), io.BytesIO()
    budget = Budget(download=RateLimit(1e6), upload=RateLimit(1e6))
    with ScriptedServer(switch) as server:
        conn = HTTPConnection("127.0.0.1", server.port, trace=told, trace_file=dump, budget=budget)
        conn.send_request("GET", "/", {"Upgrade": "x", "Connection": "upgrade"}, body)
        if body is not None:
            conn.write(b"x")
        stream = conn.read_response().stream
        stream.start_tls(trusting, "localhost")
        stream.write(b"secret")
        assert stream.read(100) == b"secret"
        assert stream.get_extra_info("tls_version") == "TLSv1.3"
        stream.close()

    assert told.events == [*TCP, *SENT, *HEAD, *BODY]
    assert b"6\nsecret\n# " in dump.getvalue()
    assert dump.getvalue().endswith(b"closed\n")


def test_files_pass_through_what_listens(tmp_path):
    file = tmp_path / "file"
    file.write_bytes(pattern(300_000))
    dump = io.BytesIO()

    def taking(sock):
        read_head(sock)
        read_exactly(sock, 300_000)
        sock.sendall(OK)

    with ScriptedServer(taking) as server, file.open("rb") as source:
        with HTTPConnection("127.0.0.1", server.port, trace_file=dump) as conn:
            conn.send_request("PUT", "/", body=BodyFollowing(300_000))
            assert conn.sendfile(source) == 300_000
            assert conn.read_response().status == 200
    assert len(dump.getvalue()) > 300_000


@pytest.mark.parametrize("size", [300_000, 299_999])
def test_a_budget_holds_for_a_body_that_goes_to_a_file(tmp_path, size):
    with ScriptedServer(answering(BIG)) as server, (tmp_path / "file").open("wb") as target:
        with HTTPConnection("127.0.0.1", server.port, budget=Budget(max_body=size)) as conn:
            conn.send_request("GET", "/")
            conn.read_response()
            if size == 300_000:
                assert conn.recv_to_file(target) == size
            else:
                with pytest.raises(BodyTooLarge):
                    conn.recv_to_file(target)
                conn.discard()


# ---- looking at the traffic never changes it

LOOKING = {
    "phases": {"timeout": Timeouts(stall=5, read=5)},
    "total": {"timeout": Timeouts(stall=5, total=5)},
    "trace": {"trace": lambda event, info: None},
    "timings": {"timings": True},
    "dump": {"trace_file": io.BytesIO()},
    "budget": {"budget": Budget(max_body=10, minimum_rate=MinimumRate(1, 60))},
}


def steps_of_a_get(count, **options):
    """Return how often *count* counted in a request like one before."""
    conn = HTTPConnection("h", transport=ScriptedTransport([OK] * 3), **options)
    for number in range(2):
        sys.setprofile(count if number else None)
        try:
            conn.send_request("GET", "/")
            conn.read_response()
            conn.readall()
        finally:
            sys.setprofile(None)


@pytest.mark.parametrize(("looking", "most"), [("phases", 1.15), ("total", 1.15), ("trace", 1.6)])
def test_it_costs_few_calls(looking, most):
    """Of functions in Python, for a whole small request."""
    counts = []
    for options in ({"timeout": 5}, LOOKING[looking]):
        counts.append(0)

        def count(frame, event, arg):
            counts[-1] += event == "call"

        steps_of_a_get(count, **options)
    assert counts[1] <= counts[0] * most


@pytest.mark.parametrize("looking", LOOKING)
def test_it_changes_neither_what_is_sent_nor_in_how_many_calls(monkeypatch, looking):
    seen = []
    for options in ({}, LOOKING[looking]):
        stream = ScriptedStream()
        calls = []

        def noting(name, stream=stream, calls=calls):
            original = getattr(stream, name)

            def call(*arguments, **keywords):
                result = original(*arguments, **keywords)
                calls.append((name, result))
                return result

            return call

        for name in ("send", "recv_into"):
            monkeypatch.setattr(stream, name, noting(name))
        conn = connection(monkeypatch, stream, **options)
        finish(conn.co_send_requests([("GET", f"/{number}") for number in range(10)]))
        stream.incoming = [OK * 10]
        for _ in conn.responses():
            conn.readall()
        seen.append((stream.sent, calls))
    assert seen[0] == seen[1]
    assert [name for name, _ in seen[0][1]].count("send") == 1
