"""Validation of header fields that are sent: what is accepted, and what never goes on the wire."""

import pytest

from dugong_like import CaseInsensitiveDict, Headers, InvalidRequest
from dugong_like.http.h1.request_head import RequestHeads, closes
from dugong_like.http.h1.trailers import encode_trailers
from dugong_like.http.header_validation import (
    CONNECTION_OPTIONS,
    FRAMING,
    NO_FIELDS,
    SINGLE,
    FieldLines,
    check_meaning,
    check_version_0,
    list_members,
)

FORBIDDEN = ["\r", "\n", "\0", "\x0b", "\x7f", "\x1f", "\u010a", "\u560d", "\u2028"]


def test_fields_are_encoded_as_latin_1():
    assert FieldLines({"A": "b", "C": "é\t "}).encode() == b"A: b\r\nC: \xe9\t \r\n"
    assert FieldLines({}).encode() == FieldLines([]).encode() == NO_FIELDS.encode() == b""


def test_names_are_found_in_lower_case():
    lines = FieldLines({"A-B": "c"})
    assert "a-b" in lines
    assert "c" not in lines


@pytest.mark.feature("B8")
def test_names_and_values_may_be_bytes_which_go_on_the_wire_as_they_are():
    value = bytes([9, *range(32, 127), *range(128, 256)])
    expected = b"A: " + value + b"\r\nb: c\r\n"
    for fields in (
        {"A": value, b"b": "c"},
        [(b"A", value), (b"b", b"c")],
        Headers([(b"A", value), ("b", b"c")]),
        CaseInsensitiveDict({"A": value, "b": b"c"}),
    ):
        lines = FieldLines(fields)
        assert lines.encode() == expected
        assert lines.values == {"a": value.decode("latin-1"), "b": "c"}


class Multi(dict):
    """A mapping that gives a name more than once, as those of other libraries may."""

    def items(self):
        return [("Cookie", "a=1"), ("X", "y"), ("Cookie", "b=2")]


@pytest.mark.feature("B8", "A22")
@pytest.mark.parametrize(
    "make",
    [list, tuple, iter, Headers, lambda pairs: (pair for pair in pairs), lambda _: Multi(a=1)],
)
def test_of_pairs_all_are_sent_in_their_order(make):
    pairs = [("Cookie", "a=1"), ("X", "y"), ("Cookie", "b=2")]

    lines = FieldLines(make(pairs))

    assert lines.text == "Cookie: a=1\r\nX: y\r\nCookie: b=2\r\n"
    assert lines.values == {"cookie": "a=1, b=2", "x": "y"}
    assert pairs == [("Cookie", "a=1"), ("X", "y"), ("Cookie", "b=2")]


@pytest.mark.feature("B8")
def test_of_a_mapping_each_key_is_one_field():
    fields = {"X-Tag": "one", "x-tag": "two"}
    assert FieldLines(fields).text == "X-Tag: one\r\nx-tag: two\r\n"
    assert FieldLines(CaseInsensitiveDict(fields)).text == "x-tag: two\r\n"
    with pytest.raises(InvalidRequest, match="'Host: a', 'host: b'"):
        FieldLines({"Host": "a", "host": "b"})


def test_a_field_that_comes_twice_is_shown_without_secrets():
    twice = [("Authorization", "Basic QWxh"), ("X", "\xff"), ("AUTHORIZATION", "Basic \n")]
    with pytest.raises(InvalidRequest, match="AUTHORIZATION may be there only once") as caught:
        FieldLines(twice)
    assert "'Authorization: [masked]', 'AUTHORIZATION: [masked]'" in str(caught.value)
    assert "Basic" not in str(caught.value)


@pytest.mark.reliability(47, 48)
@pytest.mark.parametrize("name", ["", "A B", "A:", " A", "A ", "É", b"\xe9", b"A\n", *FORBIDDEN])
def test_bad_names_are_refused(name):
    for length in (1, 100):
        for fields in ({name * length: "x"}, [("A", "b"), (name * length, "x")]):
            with pytest.raises(InvalidRequest, match="not a token"):
                FieldLines(fields)


@pytest.mark.reliability(47)
@pytest.mark.parametrize("name", [5, None, ("a", "b"), ["unhashable"], bytearray(b"A")])
def test_names_that_are_no_text_are_refused(name):
    with pytest.raises(TypeError, match="name of a header field is neither str nor bytes"):
        FieldLines([(name, "x")])


@pytest.mark.reliability(47, 48)
@pytest.mark.parametrize("value", [*("a" + x + "b" for x in FORBIDDEN), "€", b"a\n", b"\x7f"])
def test_bad_values_are_refused(value):
    for fields in ({"A": value}, [("B", "c"), ("A", value), ("D", "é")], {"a": "x", "A": value}):
        with pytest.raises(InvalidRequest, match="value of header field A is not of Latin-1"):
            FieldLines(fields)


@pytest.mark.reliability(47)
@pytest.mark.parametrize("value", [5, None, ["b"], 1.5, bytearray(b"b"), memoryview(b"b")])
def test_values_that_are_no_text_are_refused(value):
    with pytest.raises(InvalidRequest, match="value of header field A is neither str nor bytes"):
        FieldLines({"A": value})


@pytest.mark.reliability(48, 49)
@pytest.mark.parametrize("name", ["Content-Length: 5\r\nA", "A: b", "A\r\nB"])
def test_no_name_makes_another_field(name):
    with pytest.raises(InvalidRequest, match="not a token"):
        FieldLines({name: "x"})


@pytest.mark.reliability(49)
@pytest.mark.parametrize("name", ["Content-Length", "CONTENT-LENGTH", "transfer-encoding"])
def test_framing_fields_are_refused(name):
    for _ in range(2):
        for given in (name, name.encode()):
            with pytest.raises(InvalidRequest, match="follows from the body"):
                FieldLines({given: "5"})


def built(fields, method="GET", path="/", framing="", **options):
    """Return a whole head."""
    return RequestHeads("host", **options).build(method, path, FieldLines(fields), framing)


def connection_lines(head):
    """Return the lines of *head* that are Connection."""
    return [line for line in head.split(b"\r\n") if line.lower().startswith(b"connection:")]


@pytest.mark.reliability(47)
@pytest.mark.parametrize(("name", "option"), CONNECTION_OPTIONS.items())
def test_connection_names_what_is_for_the_next_recipient_only(name, option):
    for given, expected in [
        ([], f"Connection: keep-alive, {option}"),
        ([("Connection", "close")], f"Connection: close, {option}"),
        ([("CONNECTION", "")], f"CONNECTION: {option}"),
        ([("connection", f"a,\t{option.upper()} , b")], f"connection: a,\t{option.upper()} , b"),
    ]:
        for fields in ([(name, "x"), *given], [*given, (name.upper(), "x")]):
            lines = FieldLines(fields)
            head = built(fields)
            assert connection_lines(head) == [expected.encode()]
            assert option.lower() in list_members(lines.values, "connection")
            assert closes(lines.values) is (("Connection", "close") in given)
            others = [f"{n}: {v}".encode() for n, v in fields if n.lower() != "connection"]
            assert set(others) <= set(head.split(b"\r\n"))


def test_connection_options_of_several_fields():
    fields = [("TE", "trailers"), ("Upgrade", "a"), ("connection", "x"), ("Upgrade", "b"),
              ("Connection", "y"), ("TE", "deflate")]  # fmt: skip

    head = built(fields)

    assert connection_lines(head) == [b"connection: x", b"Connection: y, Upgrade, TE"]
    assert [line for line in head.split(b"\r\n") if line[:2] in {b"TE", b"Up"}] == [
        b"TE: trailers", b"Upgrade: a", b"Upgrade: b", b"TE: deflate"
    ]  # fmt: skip
    assert connection_lines(built({"TE": "trailers"}, minor=0)) == [b"Connection: keep-alive, TE"]
    assert not closes(FieldLines({"TE": "trailers"}).values, minor=0)
    assert connection_lines(built({"Trailer": "x", "Keep-Alive": "5"})) == [
        b"Connection: keep-alive"
    ]


@pytest.mark.parametrize("value", ["x", "a.b:80", "[::1]:8080", "127.0.0.1", "xn--a-b_~", "%C3%A4"])
def test_host_is_a_host_and_perhaps_a_port(value):
    head = built({"Host": value})
    assert f"\r\nHost: {value}\r\n".encode() in head


@pytest.mark.reliability(47)
@pytest.mark.parametrize(
    "value",
    [
        *("a b", " a", "a/b", "u@a", "a,b c", "a:x", "[::1", "ü", "a\tb", "", ":80", "%zz"),
        *("foo[::1]:80", "[zz::gg]", "h:99999999", "h:65536", "h:"),
    ],
)
def test_other_hosts_are_refused(value):
    with pytest.raises(InvalidRequest, match="Host is not"):
        built({"HOST": value})


@pytest.mark.parametrize(
    ("fields", "chunked", "expects"),
    [({}, True, False), ({}, False, True), ({"Expect": "x"}, False, False),
     ({"Upgrade": "x"}, False, False)],
)  # fmt: skip
def test_what_http_1_0_does_not_know_is_refused(fields, chunked, expects):
    check_version_0({}, chunked=False, expects=False)
    check_version_0({"a": "b"}, chunked=False, expects=False)
    with pytest.raises(InvalidRequest, match=r"needs HTTP/1\.1"):
        check_version_0(FieldLines(fields).values, chunked=chunked, expects=expects)


def test_each_field_becomes_a_line():
    fields = [("X-A", "1"), ("Accept", "a"), ("x-a", "2"), ("ACCEPT", "b")]

    head = built(fields)

    assert head.endswith(b"X-A: 1\r\nAccept: a\r\nx-a: 2\r\nACCEPT: b\r\n\r\n")
    assert head.startswith(b"GET / HTTP/1.1\r\nHost: host\r\n")
    assert encode_trailers(fields) == encode_trailers(Headers(fields)) == head[-40:-2]


@pytest.mark.parametrize("name", sorted(SINGLE - FRAMING))
def test_fields_with_one_value_may_not_be_repeated(name):
    twice = [(name, "a"), (name.upper(), "a")]
    for fields in (twice, Headers(twice), dict(twice), iter(twice)):
        with pytest.raises(InvalidRequest, match="only once"):
            FieldLines(fields)
    with pytest.raises(InvalidRequest):
        encode_trailers(twice)
    assert FieldLines(CaseInsensitiveDict(twice)).values[name] == "a"


def test_what_holds_for_one_field_holds_for_each_of_several():
    assert closes(FieldLines([("Connection", "a, b"), ("connection", "Close")]).values)
    assert not closes(FieldLines([("Connection", "a, b")]).values)
    for bad in (
        [("TE", "trailers"), ("TE", "chunked")],
        [("Connection", "a"), ("Connection", "host")],
        [("Trailer", "a"), ("Trailer", "content-length")],
    ):
        with pytest.raises(InvalidRequest):
            check_meaning(FieldLines(bad).values, "PUT", has_body=True)
    expect = FieldLines([("Expect", "a"), ("Expect", "100-continue")]).values
    with pytest.raises(InvalidRequest):
        check_meaning(expect, "GET", has_body=False)
    for bad in ([("A", "a"), ("A", "b\r\n")], [("A", "a"), ("Content-Length", "5")], [("A b", "")]):
        with pytest.raises(InvalidRequest):
            built(bad)
