"""`versions` and the other options of HTTP/2; heads that either version can send."""

import pytest

from dugong_like import H2Options, HTTPConnection, InvalidOption, InvalidRequest, tls_context
from dugong_like.connection.h2.options import EitherHead, EitherHeads
from dugong_like.http.h1.request_head import RequestHeads
from dugong_like.http.header_validation import FieldLines


@pytest.mark.parametrize(
    ("versions", "error", "text"),
    [
        ("h2", TypeError, "versions is a sequence"),
        (2, TypeError, "versions is a sequence"),
        ((2,), TypeError, "the name of a protocol is a string"),
        ((), InvalidOption, "has to have"),
        (("h2", "h2"), InvalidOption, "each of them once"),
        (("h3",), InvalidOption, "'h3': known are h2"),
    ],
)
def test_wrong_versions(versions, error, text):
    with pytest.raises(error, match=text):
        HTTPConnection("h", versions=versions)


@pytest.mark.parametrize(
    ("options", "error", "text"),
    [
        ({"http2": {}}, TypeError, "http2 is an H2Options"),
        ({"on_settings": 1}, TypeError, "on_settings is a function"),
        ({"versions": ("h2",), "http_version": "1.0"}, InvalidOption, "versions has h2"),
        ({"versions": ("h2",), "proxy": "http://p"}, InvalidOption, "forwards"),
    ],
)
def test_wrong_options(options, error, text):
    with pytest.raises(error, match=text):
        HTTPConnection("h", **options)


@pytest.mark.parametrize(
    ("versions", "tls", "protocol"),
    [
        (("http/1.1",), True, "http/1.1"),
        (("h2", "http/1.1"), False, "http/1.1"),  # nobody can ask the server
        (("h2", "http/1.1"), True, "h2"),
        (["http/1.1", "h2"], True, "h2"),
        (("h2",), False, "h2"),
        (("h2",), True, "h2"),
    ],
)
def test_what_is_preferred(versions, tls, protocol):
    context = tls_context() if tls else None
    options = H2Options(max_streams=3)

    assert HTTPConnection("h", 1, context, versions=versions, http2=options).protocol == protocol


def head_of(fields=(), framing="", method="GET", path="/x?y"):
    heads = EitherHeads(RequestHeads("h:8"), "http", "h:8")
    return heads.build(method, path, FieldLines(fields), framing)


def test_a_head_for_either_version():
    head = head_of({"X-A": "b"}, "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n")

    assert head.startswith(b"GET /x?y HTTP/1.1\r\nHost: h:8\r\n")
    assert head.section() == (
        *((b":method", b"GET"), (b":scheme", b"http"), (b":authority", b"h:8")),
        *((b":path", b"/x?y"), (b"accept-encoding", b"identity"), (b"x-a", b"b")),
        (b"content-length", b"5"),
    )
    assert isinstance(head, EitherHead)
    assert head.section() is head.section()


@pytest.mark.parametrize(
    "fields", [{"Connection": "close"}, {"Upgrade": "x"}, {"TE": "gzip"}, {"Keep-Alive": "1"}]
)
def test_fields_of_http_1_only(fields):
    head = head_of(fields)
    with pytest.raises(InvalidRequest, match="HTTP/1 connections|only be trailers"):
        head.section()


def test_connect_is_for_http_1_only():
    with pytest.raises(InvalidRequest, match=r"over HTTP/1\.1 only"):
        head_of(method="CONNECT", path="h:8").section()


def test_an_extended_connect():
    heads = EitherHeads(RequestHeads("h:8"), "http", "h:8")
    head = heads.build_connect("websocket", "/x?y", FieldLines({"X-A": "b"}))

    assert head.section()[:5] == (
        *((b":method", b"CONNECT"), (b":scheme", b"http"), (b":authority", b"h:8")),
        *((b":path", b"/x?y"), (b":protocol", b"websocket")),
    )
    assert (b"x-a", b"b") in head.section()
    for protocol, path in (("a b", "/"), ("websocket", "x"), ("websocket", "/ ")):
        with pytest.raises(InvalidRequest):
            heads.build_connect(protocol, path, FieldLines({})).section()
