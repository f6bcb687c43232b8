"""Which framing a body has: the rules of RFC 9112 section 6.3, and what contradicts them."""

import pytest

from dugong_like import InvalidResponse
from dugong_like.http.h1.body_kinds import Kind
from dugong_like.http.h1.framing import frame, list_elements, whole_size
from dugong_like.http.h1.response_head import parse_head


def framing(*fields, method="GET", status=200, version="1.1"):
    lines = "".join(f"{field}\r\n" for field in fields)
    head = parse_head(f"HTTP/{version} {status} x\r\n{lines}\r\n".encode("latin-1"))
    return frame(method, head)


CHUNKED = "Transfer-Encoding: chunked"
NONE = (Kind.NONE, 0, True)


@pytest.mark.parametrize("fields", [(), ("Content-Length: 5",), (CHUNKED,)])
@pytest.mark.parametrize(
    ("method", "status"),
    [("HEAD", 200), ("HEAD", 404), ("GET", 204), ("GET", 304), ("GET", 100), ("PUT", 199)],
)
def test_no_body_whatever_the_fields_say(method, status, fields):
    assert framing(*fields, method=method, status=status) == NONE


def test_successful_connect_has_no_body_and_ends_http():
    assert framing("Content-Length: 5", method="CONNECT") == (Kind.NONE, 0, False)
    kind, _, _ = framing("Content-Length: 5", method="CONNECT", status=403)
    assert kind is Kind.SIZED


def test_one_head_is_framed_for_each_method_in_its_way():
    """Also if it is another response with the same bytes."""
    head = parse_head(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n")
    sized = (Kind.SIZED, 5, True)
    for method in ("HEAD", "GET", "CONNECT", "PUT", "HEAD", "CONNECT", "DELETE"):
        expected = {"HEAD": NONE, "CONNECT": (Kind.NONE, 0, False)}.get(method, sized)
        assert frame(method, head) == expected
    wrong = parse_head(b"HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n")
    for method in ("GET", "GET", "HEAD"):
        with pytest.raises(InvalidResponse):
            frame(method, wrong)


@pytest.mark.parametrize(
    ("method", "fields", "size"),
    [
        ("GET", b"Content-Length: 3\r\n", 3),
        ("HEAD", b"Content-Length: 3\r\n", 0),
        ("GET", b"Content-Length: 3\r\nConnection: close\r\n", None),
        ("GET", b"Transfer-Encoding: chunked\r\n", None),
        ("GET", b"", None),
        ("CONNECT", b"", None),
    ],
)
def test_size_of_a_whole_response(method, fields, size):
    wire = b"HTTP/1.1 200 OK\r\n%s\r\n" % fields
    head = parse_head(wire, 100, 0, len(wire))
    assert head.whole == -1
    for _ in range(2):
        assert whole_size(method, head) == (-1 if size is None else len(wire) + size)
    if method == "GET":
        assert head.whole == whole_size(method, head)


def test_205_is_framed_as_any_other():
    assert framing("Content-Length: 5", status=205) == (Kind.SIZED, 5, True)


@pytest.mark.parametrize("line", ["chunked", "CHUNKED", " chunked\t", "Chunked,", ",chunked"])
def test_chunked(line):
    assert framing(f"transfer-ENCODING:{line}") == (Kind.CHUNKED, None, True)


def test_transfer_encoding_wins_over_content_length_and_ends_reuse():
    assert framing("Content-Length: 5", CHUNKED) == (Kind.CHUNKED, None, False)


@pytest.mark.parametrize(
    "fields",
    [
        ("Transfer-Encoding: chunked, chunked",),
        ("Transfer-Encoding: chunked, gzip",),
        (CHUNKED, CHUNKED),
        (CHUNKED, "Transfer-Encoding: gzip"),
        ("Transfer-Encoding:",),
        ("Transfer-Encoding: ,",),
    ],
)
def test_transfer_codings_that_make_no_sense(fields):
    with pytest.raises(InvalidResponse, match="Transfer-Encoding"):
        framing(*fields)


@pytest.mark.parametrize(
    "value",
    ["gzip", "gzip, chunked", "identity", "xchunked", "chunkedx", '"chunked"'],
)
def test_unknown_codings_never_fall_back_to_content_length(value):
    result = framing(f"Transfer-Encoding: {value}", "Content-Length: 5")

    assert result == (Kind.UNKNOWN, None, False)


def test_transfer_encoding_in_http_1_0_is_faulty():
    with pytest.raises(InvalidResponse, match=r"HTTP/1\.0"):
        framing(CHUNKED, version="1.0")


@pytest.mark.parametrize(
    "value",
    ["0", "5", " 5\t", "0005", "4294967301", "9" * 19, "0" * 5000 + "5"],
)
def test_content_length(value):
    assert framing(f"Content-Length:{value}") == (Kind.SIZED, int(value[-30:]), True)


@pytest.mark.parametrize(
    "value",
    [
        "",
        "+5",
        "-5",
        "5.0",
        "5e1",
        "0x5",
        "5_0",
        "5 5",
        "5,5",
        "five",
        "\xb2",
        "5;",
        "1" * 20,
        "9" * 5000,
    ],
)
def test_content_length_is_digits_only(value):
    with pytest.raises(InvalidResponse, match="Content-Length"):
        framing(f"Content-Length: {value}")


def test_equal_lengths_are_one_and_different_ones_are_an_error():
    assert framing("Content-Length: 5", "content-length: 05") == (Kind.SIZED, 5, True)
    with pytest.raises(InvalidResponse, match="5 and 6"):
        framing("Content-Length: 5", "Content-Length: 6")


@pytest.mark.parametrize("version", ["1.0", "1.1"])
@pytest.mark.parametrize("fields", [(), ("Connection: keep-alive",), ("X-Content-Length: 5",)])
def test_without_length_until_the_connection_closes(version, fields):
    assert framing(*fields, version=version) == (Kind.UNTIL_CLOSE, None, False)


@pytest.mark.parametrize(
    ("version", "values", "reusable"),
    [
        ("1.1", [], True),
        ("1.1", ["close"], False),
        ("1.1", ["CLOSE"], False),
        ("1.1", ["foo, close"], False),
        ("1.1", ["foo", "close"], False),
        ("1.1", ["keep-alive, close"], False),
        ("1.1", ["closed"], True),
        ("1.1", ["keep-alive"], True),
        ("1.9", [], True),
        ("1.0", [], False),
        ("1.0", ["keep-alive"], True),
        ("1.0", ["Keep-Alive, foo"], True),
        ("1.0", ["keep-alive", "close"], False),
    ],
)
def test_when_a_connection_may_be_used_again(version, values, reusable):
    fields = [f"Connection: {value}" for value in values]

    _, _, is_reusable = framing("Content-Length: 0", *fields, version=version)
    assert is_reusable is reusable


def test_list_elements():
    assert list_elements([b" a , b", b"", b",c,,"]) == [b"a", b"b", b"c"]
