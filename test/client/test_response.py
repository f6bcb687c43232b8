"""Responses: facts, and every way to read a body, blocking, as operations and as coroutines."""

import asyncio
import copy
import gzip
import io
import json
import pickle
import zlib
from datetime import timedelta

import pytest
import trio
from kit.support import ScriptedServer, answering

from dugong_like import (
    BodyTooLarge,
    Client,
    ConnectionClosed,
    DecodingError,
    ResponseClosed,
    ResponseNotRead,
    StateError,
    StatusError,
    StreamConsumed,
    run,
)
from dugong_like.client.decoding import ReadingOptions
from dugong_like.client.reading import MemoryBody
from dugong_like.client.request import ClientRequest
from dugong_like.client.response import Response

URL = "http://a.test/x?token=secret"
GET = ClientRequest("GET", URL)


class Arriving:
    """A body that arrives in pieces, and may fail at its end."""

    def __init__(self, *pieces, failure=None, trailers=()):
        self.pieces = list(pieces)
        self.failure = failure
        self.closed = 0
        self._trailers = list(trailers)

    def co_read(self, size):
        if self.pieces:
            return self.pieces.pop(0)
        if self.failure is not None:
            raise self.failure
        return b""
        yield

    def trailers(self):
        return [] if self.pieces else self._trailers

    def close(self):
        self.closed += 1


class Message:
    """The head of a response, as a connection has it."""

    status = 200
    reason = "Fine"
    informational = ()
    timings = None

    def __init__(self, *pairs, status=200):
        self._pairs = list(pairs)
        self.status = status

    def pairs(self):
        return self._pairs

    def values(self, name):
        return [value for key, value in self._pairs if key.lower() == name.lower()]

    def field(self, name):
        return ", ".join(self.values(name)) or None

    def trailer_pairs(self):
        return []


def arriving(*pieces, fields=(), request=GET, failure=None, **options):
    body = Arriving(*pieces, failure=failure)
    response = Response.received(Message(*fields), request, None, body)
    response.begin(0.0, None, ReadingOptions(**options))
    return response, body


def collect(operations):
    """Return what operations of ``co_iter_…`` give, without the None at the end."""
    found = []
    for op in operations:
        found.append(run(op))
    assert found.pop() is None
    return found


def by_blocking(response, name, *args):
    return list(getattr(response, f"iter_{name}")(*args))


def by_operations(response, name, *args):
    return collect(getattr(response, f"co_iter_{name}")(*args))


def by_asyncio(response, name, *args):
    async def main():
        return [one async for one in getattr(response, f"aiter_{name}")(*args)]

    return asyncio.run(main())


def by_trio(response, name, *args):
    async def main():
        return [one async for one in getattr(response, f"aiter_{name}")(*args)]

    return trio.run(main)


WAYS = [by_blocking, by_operations, by_asyncio, by_trio]
ways = pytest.mark.parametrize("iterate", WAYS)


# ---- facts


@pytest.mark.feature("D37", "E22")
@pytest.mark.parametrize(
    ("status", "true"),
    [
        (100, {"is_informational", "ok"}),
        (200, {"is_success", "ok"}),
        (299, {"is_success", "ok"}),
        (304, {"is_redirect", "ok"}),
        (399, {"is_redirect", "ok"}),
        (400, {"is_client_error", "is_error"}),
        (499, {"is_client_error", "is_error"}),
        (500, {"is_server_error", "is_error"}),
        (999, {"is_server_error", "is_error"}),
    ],
)
def test_classes_of_status(status, true):
    response = Response(status)
    names = ("informational", "success", "redirect", "client_error", "server_error", "error")
    found = {f"is_{name}" for name in names if getattr(response, f"is_{name}")}
    assert found | ({"ok"} if response.ok else set()) == true


@pytest.mark.feature("E22")
def test_made_by_hand():
    response = Response(201, {"A": "b"}, b"body", request=GET)
    assert (response.status_code, response.reason_phrase, response.http_version) == (
        201,
        "Created",
        "1.1",
    )
    assert (response.headers["a"], response.content, str(response.url)) == ("b", b"body", URL)
    assert Response(200, json={"a": 1}).headers["content-type"] == "application/json"
    assert Response(200, json={"a": 1}).json() == {"a": 1}
    assert Response(200, text="ü").text == "ü"
    assert Response(599).reason_phrase == ""
    assert Response(200, reason_phrase="Nice").reason == "Nice"
    assert repr(response) == "<Response 201 Created>"
    with pytest.raises(ValueError, match="three digits"):
        Response(99)
    with pytest.raises(TypeError, match="number"):
        Response("200")
    with pytest.raises(TypeError, match="bytes"):
        Response(200, content="text")
    with pytest.raises(StateError, match="no request"):
        _ = Response(200).url


@pytest.mark.feature("D37", "E22", "E29")
def test_raise_for_status_names_the_request_and_has_the_response():
    assert Response(302, request=GET).raise_for_status().status_code == 302
    response = Response(404, request=GET, reason_phrase="No\x1bway")
    with pytest.raises(StatusError, match="404") as caught:
        response.raise_for_status()
    assert caught.value.response is response
    assert caught.value.request is GET
    assert (caught.value.method, caught.value.request_sent) == ("GET", "yes")
    assert "secret" not in str(caught.value)
    assert "\x1b" not in str(caught.value)


@pytest.mark.feature("E37")
def test_elapsed_is_time_until_the_end():
    assert Response(200).elapsed == timedelta(0)
    response, _ = arriving(b"x")
    response.begin(1.0, None, ReadingOptions())
    assert response.elapsed > timedelta(0)
    response.read()
    assert response.elapsed == response.elapsed


@pytest.mark.feature("D37", "D7")
def test_links_and_cookies():
    response = Response(
        200,
        [("Link", '</2>; rel="next"'), ("Set-Cookie", "a=b"), ("Set-Cookie", "c=d")],
        request=GET,
    )
    assert response.links["next"]["url"] == "/2"
    assert dict(response.cookies.items()) == {"a": "b", "c": "d"}


# ---- the whole body


@pytest.mark.feature("E22", "D37", "E37")
def test_whole_body():
    response, body = arriving(b"ab", b"c")
    with pytest.raises(ResponseNotRead, match=r"GET http://a\.test/x.*call read\(\) first"):
        _ = response.content
    assert response.read() == response.content == response.read() == b"abc"
    assert (response.num_bytes_downloaded, response.is_closed, body.closed) == (3, True, 0)
    assert response.text == "abc"
    response.close()
    assert (body.closed, response.content) == (0, b"abc")


def test_whole_body_in_coroutines():
    for main in (asyncio.run, lambda coroutine: trio.run(lambda: coroutine)):
        response, _ = arriving(b"ab", b"c")
        assert main(response.aread()) == b"abc"


def test_body_may_be_left_unread_as_that_of_a_connection():
    response = Response(200, content=b"abc" * 50_000)
    assert response.content
    response.leave_unread()
    with pytest.raises(ResponseNotRead):
        _ = response.content
    pieces = list(response.iter_bytes())
    assert (len(pieces) > 1, b"".join(pieces)) == (True, b"abc" * 50_000)
    assert response.num_bytes_downloaded == 150_000
    with pytest.raises(StreamConsumed):
        response.read()
    response = Response(200, content=b"abc")
    response.leave_unread()
    response.close()
    with pytest.raises(ResponseClosed):
        response.read()


def test_failure_closes_and_is_about_the_request():
    response, body = arriving(b"ab", failure=ConnectionClosed("gone", request_sent="yes"))
    with pytest.raises(ConnectionClosed) as caught:
        response.read()
    assert (caught.value.request, caught.value.response) == (GET, response)
    assert body.closed == 1
    with pytest.raises(StateError):
        response.read()


def test_closed_before_it_was_read():
    response, body = arriving(b"ab")
    with response:
        pass
    assert body.closed == 1
    for read in (response.read, lambda: response.content, lambda: list(response.iter_raw())):
        with pytest.raises(ResponseClosed, match="closed"):
            read()


@pytest.mark.feature("D15", "E29")
def test_read_in_pieces_only_once():
    response, _ = arriving(b"ab")
    assert list(response.iter_bytes()) == [b"ab"]
    for read in (response.read, lambda: response.content, lambda: list(response.iter_bytes())):
        with pytest.raises(StreamConsumed):
            read()


@pytest.mark.feature("D37", "E13")
def test_text_by_charset_default_and_choice():
    latin = {"Content-Type": "text/plain; charset=ISO-8859-1"}
    assert Response(200, latin, b"\xe4").text == "ä"
    assert Response(200, {}, "ä".encode()).text == "ä"
    assert Response(200, {}, b"\xff").text == "\ufffd"
    response = Response(200, {}, b"\xe4")
    assert response.encoding == "utf-8"
    response.encoding = "latin-1"
    assert response.text == "ä"
    response.options = ReadingOptions(default_encoding=lambda data: "cp437")
    response.encoding = None
    assert response.text == "Σ"


@pytest.mark.feature("D37")
def test_json():
    for encoding in ("utf-8", "utf-8-sig", "utf-16", "utf-32-le"):
        assert Response(200, content='{"a": "ä"}'.encode(encoding)).json() == {"a": "ä"}
    with pytest.raises(json.JSONDecodeError) as caught:
        Response(200, content=b"<html>").json()
    assert any("<html>" in note for note in caught.value.__notes__)
    coded = Response(200, {"Content-Encoding": "x-unknown"}, b"\x00\x01")
    with pytest.raises(ValueError, match="line 1") as caught:
        coded.json()
    assert "the content coding 'x-unknown' was left in place" in caught.value.__notes__[0]
    assert Response(200, content=b"1.5").json(parse_float=str) == "1.5"


# ---- in pieces


@ways
@pytest.mark.feature("E37")
def test_bytes(iterate):
    response, _ = arriving(b"abc", b"defg", b"h")
    assert iterate(response, "bytes") == [b"abc", b"defg", b"h"]
    for size in range(1, 10):
        response, _ = arriving(b"abc", b"defg", b"h")
        found = iterate(response, "bytes", size)
        assert b"".join(found) == b"abcdefgh"
        assert {len(one) for one in found[:-1]} <= {size}
        assert 0 < len(found[-1]) <= size


@ways
def test_nothing(iterate):
    for name in ("bytes", "raw", "text", "lines"):
        response, _ = arriving()
        assert iterate(response, name) == []


@ways
@pytest.mark.feature("E37")
def test_text_is_decoded_across_pieces(iterate):
    data = "aä€𝄞z".encode()
    for cut in range(len(data) + 1):
        response, _ = arriving(*filter(None, (data[:cut], data[cut:])))
        assert "".join(iterate(response, "text")) == "aä€𝄞z"
    response, _ = arriving(data)
    assert iterate(response, "text", 2) == ["aä", "€𝄞", "z"]
    response, _ = arriving(b"a\xe2\x82")
    assert "".join(iterate(response, "text")) == "a\ufffd"


@ways
@pytest.mark.feature("E37")
def test_lines_end_at_lf_crlf_and_cr_only(iterate):
    text = "a\nb\r\nc\rd\u2028e\x85f\x0bg\n\nh"
    data = text.encode()
    expected = ["a", "b", "c", "d\u2028e\x85f\x0bg", "", "h"]
    for cut in range(len(data) + 1):
        response, _ = arriving(*filter(None, (data[:cut], data[cut:])))
        assert iterate(response, "lines") == expected
    response, _ = arriving(b"a\n")
    assert iterate(response, "lines") == ["a"]


@pytest.mark.feature("E16")
@ways
def test_raw_leaves_codings_in_place(iterate):
    wire = gzip.compress(b"text")
    response, _ = arriving(wire, fields=[("Content-Encoding", "gzip")])
    assert iterate(response, "raw") == [wire]


@pytest.mark.parametrize("size", [0, -1])
def test_sizes_that_are_none(size):
    response, _ = arriving(b"a")
    with pytest.raises(ValueError, match="chunk_size"):
        list(response.iter_bytes(size))
    with pytest.raises(TypeError, match="chunk_size"):
        list(response.iter_bytes("1"))


@pytest.mark.feature("D15")
def test_raw_is_a_file():
    response, _ = arriving(b"abc", b"def")
    file = response.raw
    assert isinstance(file, io.BufferedReader)
    assert (file.read(2), file.read(), file.read()) == (b"ab", b"cdef", b"")
    response, _ = arriving(b"a\nb\n")
    assert list(response.raw) == [b"a\n", b"b\n"]


# ---- content codings and limits


@ways
@pytest.mark.feature("D27", "E12")
def test_content_codings_are_taken_off(iterate):
    wire = gzip.compress(b"text" * 1000)
    pieces = [wire[at : at + 7] for at in range(0, len(wire), 7)]
    response, _ = arriving(*pieces, fields=[("Content-Encoding", "gzip")])
    assert b"".join(iterate(response, "bytes")) == b"text" * 1000
    assert (response.encoded, response.num_bytes_downloaded) == (False, len(wire))


@pytest.mark.feature("D27")
def test_coding_that_is_unknown_or_not_wanted_stays():
    response, _ = arriving(b"x", fields=[("Content-Encoding", "x-new")])
    assert (response.read(), response.encoded) == (b"x", True)
    wire = gzip.compress(b"x")
    response, _ = arriving(wire, fields=[("Content-Encoding", "gzip")], decompress=False)
    assert (response.read(), response.encoded) == (wire, True)


@pytest.mark.parametrize(("method", "status"), [("HEAD", 200), ("GET", 204), ("GET", 304)])
def test_codings_of_a_body_that_there_is_not(method, status):
    request = ClientRequest(method, URL)
    response = Response.received(
        Message(("Content-Encoding", "gzip"), status=status), request, None, Arriving()
    )
    assert response.read() == b""


@pytest.mark.feature("D27")
def test_broken_codings_are_errors_whole_and_in_pieces():
    wire = gzip.compress(b"text" * 100)
    for broken in (wire[:-1], wire[:20], wire[:-5] + b"xxxxx", wire + b"x", b"text"):
        fields = [("Content-Encoding", "gzip")]
        response, body = arriving(broken, fields=fields)
        with pytest.raises(DecodingError, match=r"GET http://a\.test/x") as caught:
            response.read()
        assert caught.value.response is response
        response = Response.received(Message(*fields), GET, None, broken)
        with pytest.raises(DecodingError):
            response.read()
        response, body = arriving(*(bytes([byte]) for byte in broken), fields=fields)
        with pytest.raises(DecodingError):
            list(response.iter_bytes())
        assert response.is_closed


@pytest.mark.feature("D27")
@pytest.mark.parametrize("coding", [None, "deflate"])
def test_limit_counts_decoded_bytes(coding):
    data = b"x" * 1000
    wire = data if coding is None else zlib.compress(data)
    fields = [] if coding is None else [("Content-Encoding", coding)]
    for most, works in ((1000, True), (999, False), (0, False)):
        for make in (
            lambda most=most: arriving(wire, fields=fields, max_body=most)[0],
            lambda most=most: whole(wire, fields, most),
        ):
            response = make()
            if works:
                assert response.read() == data
            else:
                with pytest.raises(BodyTooLarge, match=f"more than {most} bytes"):
                    response.read()


def whole(wire, fields, most):
    response = Response.received(Message(*fields), GET, None, wire)
    response.begin(0.0, None, ReadingOptions(max_body=most))
    return response


@pytest.mark.feature("E39")
def test_bomb_does_not_get_into_memory():
    wire = zlib.compress(bytes(50_000_000))
    response, _ = arriving(wire, fields=[("Content-Encoding", "deflate")])
    assert max(map(len, response.iter_bytes())) <= 1 << 20


@pytest.mark.feature("D16")
def test_recv_body_takes_what_was_decoded():
    hooked = ClientRequest("GET", URL)
    seen = []

    def processed(response, data=None, exc=None, **kwargs):
        seen.append((data, response.recv_body()))

    from dugong_like.client.events import Hooks

    hooked.hooks = Hooks({"data_processed": processed})
    response, _ = arriving(b"ab", b"c", request=hooked)
    response.recv_body()
    response.read()
    assert seen == [(b"ab", b"ab"), (b"c", b"c")]


@pytest.mark.parametrize("streamed", [True, False])
@pytest.mark.parametrize("coding", [None, "gzip"])
def test_body_that_was_read_may_be_read_in_every_way_as_often_as_one_likes(streamed, coding):
    wire = gzip.compress(b"a\nb") if coding else b"a\nb"
    headers = {"Content-Encoding": coding} if coding else {}
    if streamed:
        request = ClientRequest("GET", "http://h/")
        response = Response.streamed(200, headers, MemoryBody(wire), request=request)
    else:
        response = Response(200, headers, wire)
    assert response.read() == b"a\nb"
    for _ in range(2):
        assert list(response.iter_bytes()) == [b"a\nb"]
        assert list(response.iter_bytes(2)) == [b"a\n", b"b"]
        assert list(response.iter_text()) == ["a\nb"]
        assert list(response.iter_lines()) == ["a", "b"]
        assert (response.content, response.read(), response.text) == (b"a\nb", b"a\nb", "a\nb")
        if streamed:  # the bytes as they were sent are not kept
            with pytest.raises(StreamConsumed):
                next(response.iter_raw())
        else:
            assert b"".join(response.iter_raw()) == wire
            buffer = bytearray(2)
            assert b"".join(bytes(buffer[:count]) for count in response.iter_into(buffer)) == wire
            assert response.raw.read() == wire
            file = io.BytesIO()
            assert (response.recv_to_file(file), file.getvalue()) == (len(wire), wire)


def test_response_that_was_read_is_pickled_and_copied():
    moved = b"HTTP/1.1 302 Found\r\nLocation: /b\r\nContent-Length: 2\r\n\r\nno"
    body = gzip.compress("ä".encode())
    head = b"HTTP/1.1 200 Fine\r\nContent-Encoding: gzip\r\nContent-Type: text/plain\r\n"
    found = head + b"Content-Length: %d\r\n\r\n" % len(body) + body
    with ScriptedServer(answering(moved, found)) as server, Client(max_body=99) as client:
        place = f"http://127.0.0.1:{server.port}/a"
        response = client.get(place, headers={"X-A": "b"}, extensions={"x": print})
    for copied in (pickle.loads(pickle.dumps(response)), copy.deepcopy(response)):
        assert (copied.status_code, copied.reason_phrase, copied.text) == (200, "Fine", "ä")
        assert (copied.headers, copied.http_version) == (response.headers, "1.1")
        assert (copied.elapsed, copied.url) == (response.elapsed, response.url)
        assert (copied.request.method, copied.request.headers["x-a"]) == ("GET", "b")
        assert [(each.status_code, str(each.url)) for each in copied.history] == [(302, place)]
        assert (copied.is_closed, copied.connection, copied.extensions) == (True, None, {})
        assert (copied.num_bytes_downloaded, list(copied.iter_bytes())) == (
            len(body),
            ["ä".encode()],
        )
        with pytest.raises(StateError, match="no redirect"):
            copied.next()
    try:
        response.status_code = 404
        response.raise_for_status()
    except StatusError as exc:
        assert pickle.loads(pickle.dumps(exc)).response.text == "ä"


def test_response_that_was_not_read_is_not_pickled():
    with ScriptedServer(answering(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")) as server:
        place = f"http://127.0.0.1:{server.port}/a"
        with Client() as client, client.stream("GET", place) as response:
            with pytest.raises(ResponseNotRead, match="GET http://127.*/a: .*call read"):
                pickle.dumps(response)
        closed = pickle.loads(pickle.dumps(response))  # as of a redirect that was followed
        assert (closed.status_code, closed.is_closed) == (200, True)
        with pytest.raises(ResponseClosed):
            closed.read()
