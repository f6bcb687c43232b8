"""Heads of requests: what goes on the wire, and what never does."""

import pytest

from dugong_like import CaseInsensitiveDict, Headers, InvalidRequest
from dugong_like.http1.request import (
    FRAMING,
    SINGLE,
    RequestHeads,
    check_meaning,
    check_method,
    check_version_0,
    closes,
    encode_fields,
    encode_trailers,
)

FORBIDDEN = ["\r", "\n", "\0", "\x0b", "\x7f", "\x1f", "\u010a", "\u560d", "\u2028"]


@pytest.mark.parametrize("method", ["GET", "get", "M-SEARCH", "!#$%&'*+-.^_`|~"])
def test_methods_are_tokens(method):
    check_method(method)


@pytest.mark.reliability(47, 48)
@pytest.mark.parametrize("method", ["", "G T", "GET ", "G/T", "GÉT", *FORBIDDEN])
def test_other_methods_are_refused(method):
    with pytest.raises(InvalidRequest):
        check_method(method)


def test_fields_are_encoded_as_latin_1():
    assert encode_fields({"A": "b", "C": "é\t "}) == b"A: b\r\nC: \xe9\t \r\n"
    assert encode_fields({}) == b""
    assert encode_fields({"Content-Length": "5"}, framing=True) == b"Content-Length: 5\r\n"


@pytest.mark.reliability(47, 48)
@pytest.mark.parametrize("name", ["", "A B", "A:", " A", "A ", "É", 5, None, *FORBIDDEN])
def test_bad_names_are_refused(name):
    with pytest.raises(InvalidRequest, match="not a token"):
        encode_fields({name: "x"} if isinstance(name, str) else {str(name) + " ": "x"})


@pytest.mark.reliability(47, 48)
@pytest.mark.parametrize("value", [*("a" + x + "b" for x in FORBIDDEN), "€", 5, None, b"bytes"])
def test_bad_values_are_refused(value):
    with pytest.raises(InvalidRequest, match="value of header field A"):
        encode_fields({"A": value})


@pytest.mark.reliability(49)
@pytest.mark.parametrize("name", ["Content-Length", "CONTENT-LENGTH", "transfer-encoding"])
def test_framing_fields_are_refused(name):
    with pytest.raises(InvalidRequest):
        encode_fields({name: "5"})


@pytest.mark.parametrize("value", ["x", "a.b:80", "[::1]:8080", "127.0.0.1", "xn--a-b_~", "%C3%A4"])
def test_host_is_a_host_and_perhaps_a_port(value):
    head = RequestHeads("h").build("GET", "/", CaseInsensitiveDict(Host=value), "")
    assert f"\r\nHost: {value}\r\n".encode() in head


@pytest.mark.reliability(47)
@pytest.mark.parametrize(
    "value",
    [
        *("a b", " a", "a/b", "u@a", "a,b c", "a:x", "[::1", "ü", "a\tb", 5, "", ":80", "%zz"),
        *("foo[::1]:80", "[zz::gg]", "h:99999999", "h:65536", "h:"),
    ],
)
def test_other_hosts_are_refused(value):
    with pytest.raises(InvalidRequest, match="Host is not"):
        RequestHeads("h").build("GET", "/", CaseInsensitiveDict(HOST=value), "")


@pytest.mark.parametrize("name", ["Host", "trailer", "TE", "Content-Type", "Content-Length", "A B"])
def test_fields_that_cannot_be_trailers_are_refused(name):
    assert encode_trailers({"Checksum": "x"}) == b"Checksum: x\r\n"
    with pytest.raises(InvalidRequest):
        encode_trailers({name: "x"})


def test_close_is_found_among_the_options():
    assert closes({"connection": "close"})
    assert closes(CaseInsensitiveDict(Connection="upgrade ,\tCLOSE"))
    for value in ("keep-alive", "", "closed", "not close"):
        assert not closes({"connection": value})
    assert not closes({"x": "close"})
    assert not closes(None)


def test_whole_head_without_fields():
    head = RequestHeads("example.org").build("GET", "/a", None, "")

    assert head == (
        b"GET /a HTTP/1.1\r\nHost: example.org\r\nAccept-Encoding: identity\r\n"
        b"Connection: keep-alive\r\n\r\n"
    )


def test_whole_head_with_fields_and_framing():
    fields = CaseInsensitiveDict({"HOST": "other", "X": "y"})
    head = RequestHeads("example.org").build("PUT", "/a", fields, "Content-Length: 5\r\n")

    assert head == (
        b"PUT /a HTTP/1.1\r\nAccept-Encoding: identity\r\nConnection: keep-alive\r\n"
        b"HOST: other\r\nX: y\r\nContent-Length: 5\r\n\r\n"
    )


def test_absolute_form_for_proxies():
    heads = RequestHeads("example.org", "http://example.org")

    assert heads.build("GET", "/a", None, "").startswith(b"GET http://example.org/a HTTP/1.1\r\n")
    assert heads.build("OPTIONS", "*", None, "").startswith(b"OPTIONS http://example.org HTTP/1.1")
    with pytest.raises(InvalidRequest, match="OPTIONS"):
        heads.build("GET", "*", None, "")


@pytest.mark.parametrize(
    ("value", "minor", "last"),
    [
        ("close", 1, True), ("upgrade", 1, False), ("upgrade", 0, True), ("close", 0, True),
        ("Keep-Alive", 0, False), ("x, keep-alive", 0, False), ("keep-alive, close", 0, True),
    ],
)  # fmt: skip
def test_without_keep_alive_a_request_of_http_1_0_is_the_last(value, minor, last):
    assert closes(CaseInsensitiveDict(Connection=value), minor) is last
    assert not closes(CaseInsensitiveDict(A="b"), minor)


def test_heads_of_http_1_0_say_so():
    heads = RequestHeads("example.org", minor=0)
    end = b"Accept-Encoding: identity\r\nConnection: keep-alive\r\n"

    assert heads.build("GET", "/", None, "") == (
        b"GET / HTTP/1.0\r\nHost: example.org\r\n" + end + b"\r\n"
    )
    assert heads.build("GET", "/", CaseInsensitiveDict(A="b"), "") == (
        b"GET / HTTP/1.0\r\nHost: example.org\r\n" + end + b"A: b\r\n\r\n"
    )


@pytest.mark.parametrize(
    ("fields", "chunked", "expects"),
    [({}, True, False), ({}, False, True), ({"Expect": "x"}, False, False),
     ({"Upgrade": "x"}, False, False)],
)  # fmt: skip
def test_what_http_1_0_does_not_know_is_refused(fields, chunked, expects):
    check_version_0(None, chunked=False, expects=False)
    check_version_0(CaseInsensitiveDict(A="b"), chunked=False, expects=False)
    with pytest.raises(InvalidRequest, match=r"needs HTTP/1\.1"):
        check_version_0(CaseInsensitiveDict(fields), chunked=chunked, expects=expects)


def head_of(fields):
    return RequestHeads("host").build("GET", "/", Headers(fields), "")


def test_each_field_of_headers_becomes_a_line():
    fields = [("X-A", "1"), ("Accept", "a"), ("x-a", "2"), ("ACCEPT", "b")]

    head = head_of(fields)

    assert head.endswith(b"X-A: 1\r\nAccept: a\r\nx-a: 2\r\nACCEPT: b\r\n\r\n")
    assert head.startswith(b"GET / HTTP/1.1\r\nHost: host\r\n")
    assert encode_trailers(Headers(fields)) == encode_fields(Headers(fields))


@pytest.mark.parametrize("name", sorted(SINGLE - FRAMING))
def test_fields_with_one_value_may_not_be_repeated(name):
    twice = Headers([(name, "a"), (name.upper(), "a")])
    with pytest.raises(InvalidRequest, match="only once"):
        check_meaning(twice, "PUT", has_body=True)
    with pytest.raises(InvalidRequest):
        encode_trailers(twice)
    check_meaning(Headers([(name, "a")]), "PUT", has_body=True)


def test_what_holds_for_one_field_holds_for_each_of_several():
    assert closes(Headers([("Connection", "a, b"), ("connection", "Close")]))
    assert not closes(Headers([("Connection", "a, b")]))
    for bad in (
        [("TE", "trailers"), ("TE", "chunked")],
        [("Connection", "a"), ("Connection", "host")],
        [("Trailer", "a"), ("Trailer", "content-length")],
    ):
        with pytest.raises(InvalidRequest):
            check_meaning(Headers(bad), "PUT", has_body=True)
    with pytest.raises(InvalidRequest):
        check_meaning(Headers([("Expect", "a"), ("Expect", "100-continue")]), "GET", has_body=False)
    for bad in ([("A", "a"), ("A", "b\r\n")], [("A", "a"), ("Content-Length", "5")], [("A b", "")]):
        with pytest.raises(InvalidRequest):
            head_of(bad)
