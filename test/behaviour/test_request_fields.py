"""Requests on the wire: fields, options and empty bodies, whichever operation sends them."""

import array
import asyncio
import hashlib
import io
import math
import os
from base64 import b64encode
from pathlib import Path

import pytest
from kit.cases import each_case
from kit.streams import finish
from kit.ways import WAYS

from dugong_like import (
    AsyncConnection,
    BodyFollowing,
    ConnectionClosed,
    ExcessBodyData,
    Headers,
    HTTPConnection,
    InvalidRequest,
    Pipeline,
    Request,
    ScriptedTransport,
    StateError,
    async_connect,
    run,
)

ANSWER = b"HTTP/1.1 204 No Content\r\n\r\n"
PAIRS = [("X-Tag", "one"), ("Cookie", "a=1"), (b"x-tag", b"tw\xf6"), ("Cookie", b"b=2")]
WIRE = b"X-Tag: one\r\nCookie: a=1\r\nx-tag: tw\xf6\r\nCookie: b=2\r\n"


def awaited(conn, call):
    """Run *call* with the `AsyncConnection` of *conn*, on asyncio."""

    async def main():
        await call(AsyncConnection(conn))

    asyncio.run(main())


def awaited_on_trio(conn, call):
    """The same on trio."""
    trio = pytest.importorskip("trio")

    async def main():
        await call(AsyncConnection(conn))

    trio.run(main)


# Each is called with a connection, fields and a body, and sends a PUT; those with the name of an
# operation of `HTTPConnection` itself come first.
OWN = {
    "send_request": lambda conn, fields, body: conn.send_request("PUT", "/", fields, body),
    "co_send_request": lambda conn, fields, body: run(
        conn.co_send_request("PUT", "/", fields, body)
    ),
    "send_requests": lambda conn, fields, body: conn.send_requests([("PUT", "/", fields, body)]),
}
BUILT_ON_IT = {
    "send": lambda conn, fields, body: conn.send(Request("PUT", "/", fields, body)),
    "request": lambda conn, fields, body: conn.request(Request("PUT", "/", fields, body)).run(),
    "Pipeline": lambda conn, fields, body: Pipeline(
        conn, [Request("PUT", "/", fields, body)]
    ).run(),
    "AsyncConnection.send_request": lambda conn, fields, body: awaited(
        conn, lambda aconn: aconn.send_request("PUT", "/", fields, body)
    ),
    "AsyncConnection.send_requests": lambda conn, fields, body: awaited_on_trio(
        conn, lambda aconn: aconn.send_requests([("PUT", "/", fields, body)])
    ),
    "AsyncConnection.send": lambda conn, fields, body: awaited_on_trio(
        conn, lambda aconn: aconn.send(Request("PUT", "/", fields, body))
    ),
}
SENDING = OWN | BUILT_ON_IT


def sent(how, fields=None, body=None, **options):
    """Return what goes on the wire for one request."""
    transport = ScriptedTransport([ANSWER])
    with HTTPConnection("script.test", transport=transport, **options) as conn:
        SENDING[how](conn, fields, body)
    return bytes(transport.streams[0].sent)


@pytest.mark.feature("B8", "A22")
@pytest.mark.parametrize("how", SENDING)
def test_all_pairs_are_sent_in_their_order(how):
    for make in (list, tuple, Headers, iter, lambda pairs: (pair for pair in pairs)):
        given = list(PAIRS)
        assert WIRE in sent(how, make(given), b"body")
        assert given == PAIRS
    fields = {"X-Tag": "one", "Cookie": "a=1; b=2"}
    assert b"X-Tag: one\r\nCookie: a=1; b=2\r\n" in sent(how, fields)
    assert fields == {"X-Tag": "one", "Cookie": "a=1; b=2"}


@pytest.mark.feature("B8")
@pytest.mark.reliability(47)
@each_case("how", SENDING)
@each_case("name", ["Host", "Authorization", "Content-Type", "Range"])
def test_what_may_be_there_once_is_refused_twice(how, name):
    for fields in ([(name, "a"), (name.lower(), "b")], {name: "a", name.upper(): "b"}):
        transport = ScriptedTransport([ANSWER])
        with HTTPConnection("script.test", transport=transport) as conn:
            with pytest.raises(InvalidRequest, match=f"(?i){name} may be there only once"):
                SENDING[how](conn, fields, None)
            assert not any(stream.sent for stream in transport.streams)
            conn.send_request("GET", "/")


@pytest.mark.feature("B8")
@pytest.mark.parametrize("how", SENDING)
@pytest.mark.parametrize("value", [None, 5, True])
def test_a_value_that_is_no_text_is_told_with_its_name(how, value):
    for fields in ({"X-Size": value}, [("A", "b"), ("X-Size", value)]):
        with pytest.raises((InvalidRequest, TypeError), match="header field X-Size is neither str"):
            sent(how, fields)


@pytest.mark.feature("B8", "B7")
@pytest.mark.parametrize("way", WAYS)
def test_all_pairs_of_trailers_are_sent(way):
    transport = ScriptedTransport([math.inf])

    def co_upload():
        with HTTPConnection("script.test", transport=transport) as conn:
            yield from conn.co_send_request("PUT", "/", PAIRS, BodyFollowing())
            yield from conn.co_finish([("Sum", "1"), (b"sum", b"\xff"), ("Other", "3")])

    way(co_upload())

    assert WIRE in transport.streams[0].sent
    assert transport.streams[0].sent.endswith(b"\r\n0\r\nSum: 1\r\nsum: \xff\r\nOther: 3\r\n\r\n")


@pytest.mark.reliability(47)
@pytest.mark.parametrize("how", SENDING)
def test_te_and_upgrade_are_named_in_connection(how):
    """RFC 9110 sections 7.8 and 10.1.4."""
    for fields, line in [
        ({"TE": "trailers"}, b"Connection: keep-alive, TE"),
        ([("Upgrade", "a"), ("Upgrade", "b")], b"Connection: keep-alive, Upgrade"),
        ({"te": "trailers", "Connection": "close"}, b"Connection: close, TE"),
        ({"Connection": "upgrade", "Upgrade": "x", "HTTP2-Settings": "AAMAAABk"},
         b"Connection: upgrade, HTTP2-Settings"),
    ]:  # fmt: skip
        lines = sent(how, fields).split(b"\r\n")
        assert [each for each in lines if each.startswith(b"Connection:")] == [line]


@pytest.mark.reliability(38, 47)
@pytest.mark.parametrize("te", [{}, {"TE": "trailers"}])
def test_close_stays_close(te):
    transport = ScriptedTransport([ANSWER], [ANSWER])
    with HTTPConnection("script.test", transport=transport) as conn:
        conn.send_request("GET", "/", {"Connection": "close", **te})
        with pytest.raises(ConnectionClosed):
            conn.send_request("GET", "/")
        assert conn.read_response().status == 204
        conn.send_request("GET", "/")
    assert len(transport.streams) == 2


@pytest.mark.reliability(47)
@pytest.mark.parametrize("proxy", [None, "http://127.0.0.1:3128/"])
@pytest.mark.parametrize("version", ["1.0", "1.1"])
def test_te_is_named_to_proxies_and_old_servers(proxy, version):
    transport = ScriptedTransport([ANSWER, math.inf])
    options = {"proxy": proxy, "http_version": version, "transport": transport}
    with HTTPConnection("script.test", **options) as conn:
        conn.send_request("GET", "/", {"TE": "trailers"})
        conn.read_response()
        assert conn.is_open()
    assert b"\r\nConnection: keep-alive, TE\r\n" in transport.streams[0].sent


@pytest.mark.feature("B9")
@pytest.mark.parametrize("how", SENDING)
def test_content_md5_is_the_default_of_the_connection_alone(how):
    md5 = b"Content-MD5: " + b64encode(hashlib.md5(b"body").digest())
    for setting, expected in [({}, how in OWN), ({"content_md5": True}, True),
                              ({"content_md5": False}, False)]:  # fmt: skip
        wire = sent(how, None, b"body", **setting)
        assert (md5 in wire) is expected
        assert wire.endswith(b"body")
        assert b"Content-Length: 4\r\n" in wire


@pytest.mark.feature("B9")
def test_content_md5_may_be_asked_for_with_async_connect():
    async def main(**options):
        transport = ScriptedTransport([math.inf])
        conn = async_connect("script.test", transport=transport, **options)
        await conn.send_request("PUT", "/", body=b"body")
        conn.connection.disconnect()
        return b"Content-MD5" in transport.streams[0].sent

    assert asyncio.run(main()) is False
    assert asyncio.run(main(content_md5=True)) is True


# ---- writing nothing to a body that is complete

COMPLETE = {
    "no body": (None, []),
    "bytes": (b"body", []),
    "no bytes": (b"", []),
    "length 0": (BodyFollowing(0), []),
    "length 4": (BodyFollowing(4), [b"bo", b"", b"dy"]),
    "chunks": (BodyFollowing(), [b"body", None]),
    "no chunks": (BodyFollowing(), [None]),
}


class Unmeasured(io.RawIOBase):
    """A stream without a length, of which nothing is known until it is read."""

    def __init__(self, data=b""):
        self._data = io.BytesIO(data)

    def readable(self):
        return True

    def readinto(self, buffer):
        return self._data.readinto(buffer)


def co_nothings(conn):
    """Write no bytes in every way that there is."""
    for nothing in (b"", bytearray(), memoryview(b""), array.array("H")):
        yield from conn.co_write(nothing)
        conn.write(nothing)
    with Path(os.devnull).open("rb") as file:
        for empty in (io.BytesIO(), Unmeasured(), file):
            assert (yield from conn.co_sendfile(empty)) == 0
            assert conn.sendfile(empty) == 0
    assert (yield from conn.co_sendfile(io.BytesIO(b"abc"), 3)) == 0
    assert (yield from conn.co_sendfile(io.BytesIO(b"abc"), 1, 0)) == 0
    yield from conn.co_finish()
    conn.finish({})


@pytest.mark.reliability(51)
@each_case("way", WAYS)
@each_case("kind", COMPLETE)
def test_an_empty_write_to_a_complete_body_does_nothing(way, kind):
    body, pieces = COMPLETE[kind]
    transport = ScriptedTransport([ANSWER, None, ANSWER])
    wire = []

    def co_put(conn, fields=None):
        yield from conn.co_send_request("PUT", "/", fields, body)
        for piece in pieces:
            yield from conn.co_finish() if piece is None else conn.co_write(piece)
        wire.append(bytes(transport.streams[0].sent))
        yield from co_nothings(conn)
        assert transport.streams[0].sent == wire[-1]
        for wrong in (
            lambda: conn.write(b"x"), lambda: conn.sendfile(io.BytesIO(b"x")),
            lambda: conn.sendfile(Unmeasured(b"x")), lambda: conn.finish({"A": "b"}),
        ):  # fmt: skip
            with pytest.raises(StateError, match="no body to write"):
                wrong()
        response = yield from conn.co_read_response()
        yield from co_nothings(conn)
        assert transport.streams[0].sent == wire[-1]
        return response.status

    def co_both():
        with HTTPConnection("script.test", transport=transport) as conn:
            statuses = [(yield from co_put(conn))]
            return [*statuses, (yield from co_put(conn, {"Upgrade": "x"}))]

    assert way(co_both()) == [204, 204]


@pytest.mark.reliability(51)
@pytest.mark.parametrize("kind", COMPLETE)
@pytest.mark.parametrize("loop", [awaited, awaited_on_trio])
def test_an_empty_write_to_a_complete_body_does_nothing_when_awaited(loop, kind):
    body, pieces = COMPLETE[kind]
    transport = ScriptedTransport([ANSWER])

    async def put(aconn):
        await aconn.send_request("PUT", "/", None, body)
        for piece in pieces:
            await (aconn.finish() if piece is None else aconn.write(piece))
        before = bytes(transport.streams[0].sent)
        await aconn.write(b"")
        await aconn.sendfile(io.BytesIO())
        await aconn.finish()
        assert transport.streams[0].sent == before
        assert (await aconn.read_response()).status == 204

    with HTTPConnection("script.test", transport=transport) as conn:
        loop(conn, put)


@pytest.mark.parametrize("pieces", [[], [b""], [b"", bytearray(), memoryview(b"")]])
def test_bodies_of_empty_pieces_only(pieces):
    async def aiter_pieces():
        for piece in pieces:
            yield piece

    for how in ("send", "request", "Pipeline", "AsyncConnection.send"):
        assert sent(how, None, pieces).endswith(b"chunked\r\n\r\n0\r\n\r\n")
    assert sent("AsyncConnection.send", None, aiter_pieces()).endswith(b"\r\n\r\n0\r\n\r\n")
    assert sent("send", None, io.BytesIO(b"".join(pieces))).endswith(b"Content-Length: 0\r\n\r\n")


def test_an_empty_write_is_not_legal_everywhere():
    with HTTPConnection("script.test", transport=ScriptedTransport([math.inf])) as conn:
        with pytest.raises(StateError, match="no body to write"):
            conn.write(b"")  # there is no request
        conn.send_request("PUT", "/", None, BodyFollowing(5), expect100=True)
        with pytest.raises(StateError, match="has to wait for 100"):
            conn.write(b"")
    with HTTPConnection("script.test", transport=ScriptedTransport([math.inf])) as conn:
        conn.send_request("PUT", "/", None, BodyFollowing(2))
        with pytest.raises(ExcessBodyData):
            conn.write(b"abc")
        for call in (conn.write, conn.co_write):  # broken is broken
            with pytest.raises(ConnectionClosed):
                op = call(b"")
                finish(op)
