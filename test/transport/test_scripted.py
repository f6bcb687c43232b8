"""Connections that follow a script: what users of the library test their programs with."""

import asyncio
import math
import sys
import time

import pytest
from kit.support import open_descriptors
from kit.ways import WAYS

from dugong_like import (
    BodyFollowing,
    Client,
    ConnectFailed,
    ConnectionClosed,
    ConnectionTimedOut,
    Connector,
    HTTPConnection,
    InvalidOption,
    InvalidRequest,
    InvalidResponse,
    Pipeline,
    Pool,
    Proxy,
    Request,
    ScriptedStream,
    ScriptedTransport,
    StateError,
    Timeouts,
    async_connect,
    default_ssl_context,
    run,
)
from dugong_like.transport.scripted import scripted_response

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
GONE = b"HTTP/1.1 410 Gone\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
EARLY = b"HTTP/1.1 413 No\r\nContent-Length: 0\r\n\r\n"


def co_get(conn, path="/"):
    yield from conn.co_send_request("GET", path)
    response = yield from conn.co_read_response()
    return response.status, (yield from conn.co_readall())


@pytest.mark.feature("C35")
@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("cut", [1, 7, 1000])
def test_requests_and_answers(way, cut):
    """Wherever the bytes are cut, and with waiting in between; under every driver."""
    pieces = [OK[i : i + cut] for i in range(0, len(OK), cut)]
    script = [event for piece in pieces for event in (None, piece)] * 2
    transport = ScriptedTransport(script)

    def co_all():
        with HTTPConnection("example.org", transport=transport) as conn:
            first = yield from co_get(conn, "/a")
            return [first, (yield from co_get(conn, "/b"))]

    assert way(co_all()) == [(200, b"ok")] * 2
    assert transport.places == [("example.org", 80)]
    [stream] = transport.streams
    assert stream.closed
    assert stream.incoming == []
    assert stream.sent.count(b"Host: example.org\r\n") == 2
    assert stream.sent.startswith(b"GET /a HTTP/1.1\r\n")


@pytest.mark.parametrize("way", WAYS)
def test_pauses(way):
    transport = ScriptedTransport([0.1, OK[:20], 0, 0.05, OK[20:]])
    with HTTPConnection("example.org", transport=transport, timeout=30) as conn:
        start = time.monotonic()
        assert way(co_get(conn)) == (200, b"ok")
        assert 0.15 <= time.monotonic() - start < 20


@pytest.mark.parametrize("way", WAYS)
def test_silence_is_ended_by_a_time_limit(way):
    transport = ScriptedTransport([OK[:20], math.inf])
    with HTTPConnection("example.org", transport=transport, timeout=0.1) as conn:
        with pytest.raises(ConnectionTimedOut, match=r"arrived for 0\.1 s "):
            way(co_get(conn))


@pytest.mark.feature("C35")
@pytest.mark.parametrize(
    ("script", "error"),
    [
        ([], ConnectionClosed),
        ([b""], ConnectionClosed),
        ([OK[:-1]], ConnectionClosed),
        ([OK[:-1], b"", b"k"], ConnectionClosed),
        ([ConnectionClosed("reset")], ConnectionClosed),
        ([OK[:20], ConnectionClosed("reset")], ConnectionClosed),
        ([b"nonsense\r\n\r\n"], InvalidResponse),
        ([OK[:20], None, LookupError("mine")], LookupError),
    ],
)
@pytest.mark.parametrize("way", WAYS)
def test_ends_and_failures(way, script, error):
    with HTTPConnection("example.org", transport=ScriptedTransport(script)) as conn:
        with pytest.raises(error):
            way(co_get(conn))


def test_next_script_is_for_the_next_connection():
    transport = ScriptedTransport([OK, b""], [GONE], ConnectFailed("not now"), [OK])
    conn = HTTPConnection("example.org", 81, transport=transport)

    assert run(co_get(conn)) == (200, b"ok")
    assert not conn.is_open()  # the end is there
    assert run(co_get(conn)) == (410, b"")
    with pytest.raises(ConnectFailed, match="not now"):
        run(co_get(conn))
    assert run(co_get(conn)) == (200, b"ok")
    assert transport.places == [("example.org", 81)] * 4
    assert len(transport.streams) == 3
    with pytest.raises(ConnectFailed, match="no script is left for a connection to"):
        run(co_get(conn))
    conn.close()


def test_what_the_stream_takes():
    stream = ScriptedStream([OK], [1, None, 5, None])
    with HTTPConnection("example.org", transport=ScriptedTransport(stream)) as conn:
        conn.send_request("PUT", "/", body=b"x" * 1000)
        assert conn.read_response().status == 200
    assert stream.sent.endswith(b"\r\n\r\n" + b"x" * 1000)
    assert stream.rooms == []


def test_failure_of_sending():
    stream = ScriptedStream([OK], [10, ConnectionClosed("no more", request_sent="maybe")])
    with HTTPConnection("example.org", transport=ScriptedTransport(stream)) as conn:
        with pytest.raises(ConnectionClosed, match="no more"):
            conn.send_request("PUT", "/", body=b"x" * 1000)
        assert len(stream.sent) == 10


def test_uploads_and_questions_first():
    transport = ScriptedTransport([b"HTTP/1.1 100 \r\n\r\n", OK, EARLY])
    with HTTPConnection("example.org", transport=transport) as conn:
        conn.send_request("PUT", "/", body=BodyFollowing(3), expect100=True)
        assert conn.read_response().status == 100
        conn.write(b"abc")
        assert conn.read_response().status == 200
        conn.discard()
        conn.send_request("PUT", "/", body=BodyFollowing())
        conn.write(b"part")
        assert conn.read_response().status == 413  # an early answer
    assert b"abcPUT / HTTP/1.1" in transport.streams[0].sent
    assert transport.streams[0].sent.endswith(b"4\r\npart\r\n")


def test_pipelines_streams_and_coroutines():
    transport = ScriptedTransport([OK * 3, OK], [OK])
    with HTTPConnection("example.org", transport=transport) as conn:
        pipeline = Pipeline(conn)
        for number in range(3):
            pipeline.add(Request("GET", f"/{number}"))
        statuses = []
        while (answer := pipeline.next()) is not None:
            statuses.append(answer.response.status)
            conn.discard()
        assert statuses == [200] * 3
        stream = conn.request(Request("GET", "/"))
        stream.activate()
        assert stream.run() == 200

    async def main():
        async with async_connect("example.org", transport=transport) as conn:
            await conn.send_request("GET", "/")
            await conn.read_response()
            return [piece async for piece in conn.pieces(1)]

    assert asyncio.run(main()) == [b"o", b"k"]


def test_other_protocols():
    switching = b"HTTP/1.1 101 \r\nUpgrade: echo\r\nConnection: upgrade\r\n\r\nhel"
    transport = ScriptedTransport([switching, b"lo", None, b" world"])
    conn = HTTPConnection("example.org", transport=transport)
    conn.send_request("GET", "/", {"Upgrade": "echo", "Connection": "upgrade"})
    with conn.read_response().stream as stream:
        assert [stream.read(10) for _ in range(4)] == [b"hel", b"lo", b" world", b""]
        assert stream.get_extra_info("client_addr") is None
        assert stream.get_extra_info("socket") is None
        stream.write(b"answer")
        stream.write_eof()
        with pytest.raises(StateError):
            stream.write(b"more")
    assert transport.streams[0].sent.endswith(b"answer")


def test_unix_sockets_and_proxies():
    transport = ScriptedTransport([OK], [b"HTTP/1.1 200 \r\n\r\n", math.inf], [OK])
    with HTTPConnection("example.org", transport=transport, uds="/run/my.sock") as conn:
        assert run(co_get(conn)) == (200, b"ok")
    tunnel = Proxy("http://proxy.test:3128", mode="tunnel")
    with HTTPConnection("example.org", proxy=tunnel, transport=transport) as conn:
        conn.connect()
    with HTTPConnection("example.org", proxy="http://proxy.test", transport=transport) as conn:
        assert run(co_get(conn)) == (200, b"ok")

    assert transport.places == [b"/run/my.sock", ("proxy.test", 3128), ("proxy.test", 80)]
    assert transport.streams[1].sent.startswith(b"CONNECT example.org:80 HTTP/1.1\r\n")
    assert transport.streams[2].sent.startswith(b"GET http://example.org/ HTTP/1.1\r\n")


def test_traces_dumps_and_limits(tmp_path):
    events = []
    transport = ScriptedTransport([None, OK])
    with HTTPConnection(
        "example.org",
        transport=transport,
        trace=lambda event, info: events.append((event, info)),
        trace_file=tmp_path / "dump",
        timings=True,
        timeout=Timeouts(connect=5, total=5),
    ) as conn:
        assert run(co_get(conn)) == (200, b"ok")
    names = [event for event, _ in events]
    assert names[:2] == ["connection.connect_tcp.started", "connection.connect_tcp.complete"]
    assert events[0][1] == {"host": "example.org", "port": 80, "local_address": None, "timeout": 5}
    nowhere = {"local_address": None, "server_address": None}
    assert events[1][1] == {"return_value": nowhere}
    assert "dns.resolve.started" not in names
    assert OK[-2:] in (tmp_path / "dump").read_bytes()


@pytest.mark.skipif(sys.platform != "linux", reason="counts descriptors in /proc")
def test_descriptors_are_given_back():
    before = open_descriptors()
    for script in ([None, OK], [OK], [math.inf]):
        with HTTPConnection("h", transport=ScriptedTransport(script), timeout=0.01) as conn:
            try:
                run(co_get(conn))
            except ConnectionTimedOut:
                pass
    assert open_descriptors() <= before


def test_pieces_are_cut_but_never_joined():
    stream = ScriptedStream([b"hello", b"world"])

    assert [stream.recv(2) for _ in range(4)] == [b"he", b"ll", b"o", b"wo"]
    assert stream.incoming == [b"rld"]


def test_closed_streams_give_nothing():
    stream = ScriptedStream([OK])
    stream.close()
    with pytest.raises(ConnectionClosed):
        stream.recv(1)
    with pytest.raises(ConnectionClosed):
        stream.send([b"x"])


def test_ending_wakes_those_who_wait():
    stream = ScriptedStream([math.inf])
    assert stream.recv(1) is None
    need = stream.wanted_by_recv(None)
    assert not need.poll(0)
    assert stream.recv_would_block()
    stream.shut_down()
    assert need.poll(0)
    assert stream.recv(1) == b""
    assert not stream.recv_would_block()
    with pytest.raises(ConnectionClosed):
        stream.send([b"x"])
    stream.close()


def test_time_limits_of_pauses():
    stream = ScriptedStream([5.0])
    start = time.monotonic()
    stream.recv(1)
    now = time.monotonic()
    assert start + 5 <= stream.wanted_by_recv(None).deadline <= now + 5
    assert stream.wanted_by_recv(now + 1).deadline == now + 1
    assert stream.wanted_by_send(now).deadline == now
    stream.shut_down_writing()
    with pytest.raises(ConnectionClosed):
        stream.send([b"x"])
    stream.close()


# ---- responses by their parts, https, scripts that are not used up


def scripted_client(transport, **options):
    return Client(dispatcher=Pool(Connector(transport=transport, **options)))


@pytest.mark.parametrize(
    ("args", "options", "expected"),
    [
        ((), {}, b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"),
        ((404,), {"text": "ä"}, b"HTTP/1.1 404 Not Found\r\nContent-Type: text/plain; "
         b"charset=utf-8\r\nContent-Length: 2\r\n\r\n\xc3\xa4"),
        ((200, {"X-A": "b"}), {"json": {"a": 1}}, b"HTTP/1.1 200 OK\r\nX-A: b\r\nContent-Type: "
         b'application/json\r\nContent-Length: 8\r\n\r\n{"a": 1}'),
        ((204,), {}, b"HTTP/1.1 204 No Content\r\n\r\n"),
        ((599,), {"reason": "Own"}, b"HTTP/1.1 599 Own\r\nContent-Length: 0\r\n\r\n"),
        ((599,), {}, b"HTTP/1.1 599 \r\nContent-Length: 0\r\n\r\n"),
        ((200, {"Content-Length": "9"}), {"content": b"short"},
         b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nshort"),
        ((200, {"Transfer-Encoding": "chunked"}), {"content": b"0\r\n\r\n"},
         b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
    ],
)  # fmt: skip
def test_responses_by_their_parts(args, options, expected):
    assert scripted_response(*args, **options) == expected


@pytest.mark.parametrize(
    ("args", "options", "error"),
    [
        ((99,), {}, InvalidOption),
        (("200",), {}, TypeError),
        ((200, {"A": "b\r\nC: d"}), {}, InvalidRequest),
        ((200,), {"reason": "a\r\nb"}, InvalidRequest),
        ((200,), {"text": b"x"}, TypeError),
        ((200,), {"content": "x"}, TypeError),
        ((200,), {"nonsense": 1}, TypeError),
    ],
)
def test_responses_that_cannot_be(args, options, error):
    for by in (scripted_response, ScriptedTransport().reply, ScriptedStream().reply):
        with pytest.raises(error):
            by(*args, **options)


@pytest.mark.feature("C35")
@pytest.mark.parametrize("scheme", ["http", "https"])
def test_replies_to_a_client(scheme):
    with ScriptedTransport(secured=scheme == "https") as transport:
        transport.reply(200, json={"a": 1}).reply(302, {"Location": "/y"}).reply(text="there")
        client = scripted_client(transport)
        place = f"{scheme}://a.test/x"
        assert client.get(place).json() == {"a": 1}
        assert client.get(place).text == "there"
        client.close()
    assert [line[:6] for line in transport.streams[0].sent.split(b"\r\n")[:1]] == [b"GET /x"]
    assert transport.places == [("a.test", 443 if scheme == "https" else 80)]


@pytest.mark.parametrize("traced", [True, False])
def test_https_has_no_tls_object(traced, tmp_path):
    options = {"trace_file": tmp_path / "trace"} if traced else {}
    transport = ScriptedTransport(secured=True).reply()
    with HTTPConnection(
        "a.test", 443, ssl_context=default_ssl_context(), transport=transport, **options
    ) as conn:
        assert conn.exchange("GET", "/").status == 200
        assert conn.get_extra_info("ssl_object") is None
        assert conn.session_reused in (None, False)


@pytest.mark.parametrize("way", WAYS)
def test_another_connection(way):
    with ScriptedTransport() as transport:
        transport.reply(503, {"Connection": "close"}).reply(text="again", anew=True)
        client = scripted_client(transport)
        assert way(client.co_get("http://a.test/")).status_code == 503
        assert way(client.co_get("http://a.test/")).text == "again"
        client.close()
    transport = ScriptedTransport(ConnectFailed("no"), ScriptedStream([OK])).reply(text="more")
    client = scripted_client(transport)
    with pytest.raises(ConnectFailed):
        client.get("http://a.test/")
    assert [client.get("http://a.test/").text for _ in range(2)] == ["ok", "more"]
    transport.check()


@pytest.mark.parametrize("closes", [True, False])
def test_script_that_is_not_used_up(closes):
    transport = ScriptedTransport().reply().reply(text="left over")
    client = scripted_client(transport)
    client.get("http://a.test/")
    if closes:
        client.close()
    with pytest.raises(AssertionError, match="200 OK"):
        transport.check()
    transport = ScriptedTransport().reply()
    with pytest.raises(AssertionError, match="1 connections"):
        with transport:
            pass
    with pytest.raises(LookupError):
        with transport:
            raise LookupError
    stream = ScriptedStream([None, 0.1, b""])
    stream.check()
    stream.incoming.append(ConnectionClosed("later"))  # whose text may have secrets
    with pytest.raises(AssertionError, match="ConnectionClosed"):
        stream.check()
