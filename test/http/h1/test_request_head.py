"""Heads of requests: what goes on the wire, and what never does."""

import pytest

from dugong_like import InvalidRequest
from dugong_like.http.h1.request_head import RequestHeads, check_method, closes
from dugong_like.http.header_validation import NO_FIELDS, FieldLines

FORBIDDEN = ["\r", "\n", "\0", "\x0b", "\x7f", "\x1f", "\u010a", "\u560d", "\u2028"]


@pytest.mark.parametrize("method", ["GET", "get", "M-SEARCH", "!#$%&'*+-.^_`|~"])
def test_methods_are_tokens(method):
    check_method(method)


@pytest.mark.reliability(47, 48)
@pytest.mark.parametrize("method", ["", "G T", "GET ", "G/T", "GÉT", *FORBIDDEN])
def test_other_methods_are_refused(method):
    with pytest.raises(InvalidRequest):
        check_method(method)


def test_close_is_found_among_the_options():
    assert closes({"connection": "close"})
    assert closes({"connection": "upgrade ,\tCLOSE"})
    for value in ("keep-alive", "", "closed", "not close"):
        assert not closes({"connection": value})
    assert not closes({"x": "close"})
    assert not closes({})


def test_whole_head_without_fields():
    head = RequestHeads("example.org").build("GET", "/a", NO_FIELDS, "")

    assert head == (
        b"GET /a HTTP/1.1\r\nHost: example.org\r\nAccept-Encoding: identity\r\n"
        b"Connection: keep-alive\r\n\r\n"
    )


def test_whole_head_with_fields_and_framing():
    head = RequestHeads("host").build(
        "PUT", "/a", FieldLines({"HOST": "other", "X": "y"}), "Content-Length: 5\r\n"
    )

    assert head == (
        b"PUT /a HTTP/1.1\r\nAccept-Encoding: identity\r\nConnection: keep-alive\r\n"
        b"HOST: other\r\nX: y\r\nContent-Length: 5\r\n\r\n"
    )


def test_absolute_form_for_proxies():
    heads = RequestHeads("example.org", "http://example.org")

    def start(method, path):
        return heads.build(method, path, NO_FIELDS, "").partition(b"\r\n")[0]

    assert start("GET", "/a") == b"GET http://example.org/a HTTP/1.1"
    assert start("OPTIONS", "*") == b"OPTIONS http://example.org HTTP/1.1"
    with pytest.raises(InvalidRequest, match="OPTIONS"):
        start("GET", "*")


@pytest.mark.parametrize(
    ("value", "minor", "last"),
    [
        ("close", 1, True), ("upgrade", 1, False), ("upgrade", 0, True), ("close", 0, True),
        ("Keep-Alive", 0, False), ("x, keep-alive", 0, False), ("keep-alive, close", 0, True),
    ],
)  # fmt: skip
def test_without_keep_alive_a_request_of_http_1_0_is_the_last(value, minor, last):
    assert closes(FieldLines({"Connection": value}).values, minor) is last
    assert not closes({"a": "b"}, minor)


def test_heads_of_http_1_0_say_so():
    heads = RequestHeads("example.org", minor=0)
    end = b"Accept-Encoding: identity\r\nConnection: keep-alive\r\n"

    assert heads.build("GET", "/", NO_FIELDS, "") == (
        b"GET / HTTP/1.0\r\nHost: example.org\r\n" + end + b"\r\n"
    )
    assert heads.build("GET", "/", FieldLines({"A": "b"}), "") == (
        b"GET / HTTP/1.0\r\nHost: example.org\r\n" + end + b"A: b\r\n\r\n"
    )
