"""Framing and bodies of responses, line by line of the reliability list, cut in every way."""

import tracemalloc

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from kit.cases import each_case
from kit.conversations import OF_MUCH, Player, StarvedError
from kit.support import examples

from dugong_like.http.h1.limits import MAX_CHUNK_LINE, MAX_EXTENSIONS, MAX_HEADER_SIZE

OK = b"HTTP/1.1 200 OK\r\n"
CHUNKED = OK + b"Transfer-Encoding: chunked\r\n\r\n"


@pytest.fixture
def play(monkeypatch):
    return Player(monkeypatch)


def length(value):
    return OK + b"Content-Length: " + value + b"\r\n\r\n"


@pytest.mark.reliability(12)
@each_case("value", [
        b"", b" ", b"+5", b"-5", b"-0", b"5.0", b"5e0", b"0x5", b"5_0", b"5 0", b"5\t", b"a", b"5a",
        b"\xd9\xa5", b"\xb2", b"\xef\xbc\x95", b"5;", b'"5"', b"(5)", b"\xa05", b"5\x85", b"1,",
        b",5",
        b"five", b"NaN", b"inf", b"0b1", b"0o5", b"5L", b"5\xa0", b"--5", b"++5", b"\x00",
    ])  # fmt: skip
def test_line_12_lengths_that_are_none(play, value):
    if value == b"5\t":
        assert play(length(value) + b"hello").body == b"hello"  # white space around a value
    else:
        play.refuses(length(value) + b"hello")


@pytest.mark.reliability(12, 14)
@pytest.mark.parametrize("value", [b"5", b"05", b"0005", b"0" * 5000 + b"5", b" \t5 \t"])
def test_lines_12_and_14_lengths(play, value):
    outcome = play(length(value) + b"hello")

    assert (outcome.body, outcome.length, outcome.reused) == (b"hello", 5, True)


@pytest.mark.reliability(13)
@pytest.mark.parametrize(
    "values",
    [[b"5", b"6"], [b"6", b"5"], [b"5, 6"], [b"5, 5"], [b"5", b"x"], [b"5", b""], [b"5,5"]],
)
@pytest.mark.parametrize("between", [b"", b"A: b\r\n"])
def test_line_13_different_lengths(play, values, between):
    fields = between.join(b"content-LENGTH: " + value + b"\r\n" for value in values)
    play.refuses(OK + fields + b"\r\nhello")


@pytest.mark.reliability(13)
def test_line_13_equal_lengths_are_one(play):
    for first, second in ((b"5", b"5"), (b"5", b"05")):
        outcome = play(
            OK + b"Content-Length: %s\r\nContent-Length: %s\r\n\r\nhello" % (first, second)
        )
        assert outcome.body == b"hello"


@pytest.mark.reliability(14, 32)
@pytest.mark.parametrize("number", [2**31, 2**32 + 5, 2**63, 10**18])
def test_line_14_long_lengths_neither_wrap_nor_reserve(play, number):
    tracemalloc.start()
    try:
        outcome = play(length(b"%d" % number) + b"hello", end=True)
        assert tracemalloc.get_traced_memory()[1] < 20_000_000
    finally:
        tracemalloc.stop()
    assert (outcome.failure.__name__, outcome.body) == ("ConnectionClosed", b"hello")


@pytest.mark.reliability(14)
@pytest.mark.parametrize("value", [b"%d" % (2**64 + 5), b"%d" % 10**40, b"9" * 5000])
def test_line_14_lengths_that_nobody_has(play, value):
    play.refuses(length(value) + b"hello")


@pytest.mark.reliability(15)
@pytest.mark.parametrize("fields", [
    b"Transfer-Encoding: chunked\r\nContent-Length: 3\r\n",
    b"Content-Length: 3\r\nTransfer-Encoding: chunked\r\n",
])  # fmt: skip
def test_line_15_transfer_encoding_wins(play, fields):
    outcome = play(OK + fields + b"\r\n5\r\nhello\r\n0\r\n\r\n")

    assert (outcome.body, outcome.length, outcome.reused) == (b"hello", None, False)


@pytest.mark.reliability(16)
@pytest.mark.parametrize(
    "value", [b"chunked", b"CHUNKED", b" Chunked\t", b",chunked", b"chunked , "]
)
def test_line_16_chunked(play, value):
    wire = OK + b"Transfer-Encoding:" + value + b"\r\n\r\n5\r\nhello\r\n0\r\n\r\n"
    assert play(wire).body == b"hello"


@pytest.mark.reliability(16)
@each_case("lines", [
        [b"gzip"], [b"gzip, chunked"], [b"identity"], [b"xchunked"], [b"chunkedx"],
        [b"chunked;q=1"],
        [b'"chunked"'], [b"chunked\xa0"], [b"\xa0chunked"], [b"chun ked"], [b"chunked x"],
        [b"identity, chunked"], [b"gzip", b"chunked"], [b"\xe2\x84\xaahunked"], [b"chunKed\x85"],
        [b"chunked, gzip"], [b"chunked", b"gzip"], [b"chunked, chunked"], [b"chunked", b"chunked"],
        [b""], [b","], [b"chunked, identity"],
    ])  # fmt: skip
@each_case("before", [b"", b"Content-Length: 5\r\n"])
def test_line_16_other_codings_never_mean_content_length(play, lines, before):
    fields = before + b"".join(b"Transfer-Encoding: " + line + b"\r\n" for line in lines)
    outcome = play(OK + fields + b"\r\nhello")

    assert outcome.failure.__name__ in {"InvalidResponse", "UnsupportedResponse"}
    assert outcome.body == b""


@pytest.mark.reliability(17)
def test_line_17_transfer_encoding_in_http_1_0(play):
    for before in (b"", b"Content-Length: 5\r\n", b"Connection: keep-alive\r\n"):
        fields = before + b"Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n"
        play.refuses(b"HTTP/1.0 200 OK\r\n" + fields)


@pytest.mark.reliability(18, 20, 31)
@each_case("line", [
        b"", b" ", b" 5", b"\t5", b"+5", b"-5", b"-0", b"0x5", b"5_", b"5h", b"g", b"5 ", b"5\t",
        b"5 5",
        b"5\x00", b"\xb2", b"5\xb2", b"\xd9\xa5", b"5.0", b"5,", b"5:", b"5=a", b"1" * 17,
        b"f" * 17,
        b"10000000000000005", b"5\n", b"5\r", b"5;a\n", b"5;a\rb", b"5;\r", b"5;a\0", b"5;a\x0bb",
        b"5;\x7f",
        b'5;a="b\nc"', b'5;a="b\rc"', b"5;a\x1e", b"\x0b5", b"5\x0c", b"5\x85", b"\xa05", b"\r\n5",
    ])  # fmt: skip
def test_lines_18_and_20_chunk_sizes_that_are_none(play, line):
    outcome = play.refuses(CHUNKED + b"3\r\nabc\r\n" + line + b"\r\nhello\r\n0\r\n\r\n")
    assert outcome.body == b"abc"


@pytest.mark.reliability(18, 21)
@pytest.mark.parametrize(
    "line",
    [
        b"5", b"05", b"0000000000000000000000005", b"5;", b"5;a", b"5;a=b", b'5;a="b;c\\"d"',
        b"5 ;a",
        b"5\t; \ta = b", b"5;a=b;c=d", b"5;\xe9=\xff", b"5;;;", b'5;"', b"5;" + b"x" * 1000,
        b"5; 10", b"5;a=\tb ",
    ],
)  # fmt: skip
def test_lines_18_and_21_chunk_sizes_and_extensions(play, line):
    outcome = play(CHUNKED + line + b"\r\nhello\r\nA;x\r\n0123456789\r\n00;y\r\n\r\n")

    assert (outcome.body, outcome.reused) == (b"hello0123456789", True)


@pytest.mark.reliability(14, 18)
def test_line_18_chunk_sizes_neither_wrap_nor_reserve(play):
    for size in (b"FFFFFFFFFFFFFFFF", b"ffffffff", b"100000005", b"7fffffffffffffff"):
        outcome = play(CHUNKED + size + b"\r\nhello", end=True)
        assert (outcome.failure.__name__, outcome.body) == ("ConnectionClosed", b"hello")


@pytest.mark.reliability(19, 31)
@pytest.mark.parametrize(
    "behind",
    [b"\n", b"\r", b"\r\r\n", b"x\r\n", b" \r\n", b"\n\n", b"0\r\n\r\n", b"\r\t\n", b"\0\0"],
)  # fmt: skip
def test_line_19_crlf_behind_the_data(play, behind):
    outcome = play.refuses(CHUNKED + b"5\r\nhello" + behind + b"0\r\n\r\n")
    assert outcome.body == b"hello"


@pytest.mark.reliability(21, 27)
@pytest.mark.parametrize(
    ("start", "again"),
    [
        (b"5;", b"x"), (b"5;", b'"'), (b"5 ", b" "), (b"", b"0"), (b"5", b"0"), (b"",
        b"1;x\r\na\r\n"),
        (b"", b"1;" + b"x" * 900 + b"\r\na\r\n"), (b"0\r\nA: ", b"b"), (b"0\r\n", b"A: b\r\n"),
        (b"0\r\nA: b\r\n ", b"c"), (b"0\r\n", b"A"),
    ],
)  # fmt: skip
def test_lines_21_and_27_endless_framing_ends(play, start, again):
    endless = start + again * (
        5 * (MAX_CHUNK_LINE + MAX_EXTENSIONS + MAX_HEADER_SIZE) // len(again)
    )
    play.refuses(CHUNKED + endless, sizes=OF_MUCH)


@pytest.mark.reliability(22)
@pytest.mark.parametrize(
    "line", [b"A", b": b", b" A: b", b"A : b", b"A: b\0", b"A: b\rC: d", b"A: b\nC: d", b"\xe9: b"]
)
def test_line_22_bad_trailers(play, line):
    play.refuses(CHUNKED + b"5\r\nhello\r\n0\r\n" + line + b"\r\n\r\n")


@pytest.mark.reliability(22)
def test_line_22_trailers_change_nothing(play):
    trailers = b"X: y\r\nContent-Length: 3\r\nTransfer-Encoding: gzip\r\nConnection: close\r\n"
    trailers += b"X: z\r\n w\r\n"
    outcome = play(CHUNKED + b"5\r\nhello\r\n0\r\n" + trailers + b"\r\n")

    assert outcome.fields == [("Transfer-Encoding", "chunked")]
    assert outcome.trailers == [
        ("X", "y"), ("Content-Length", "3"), ("Transfer-Encoding", "gzip"), ("Connection", "close"),
        ("X", "z w"),
    ]  # fmt: skip
    assert (outcome.body, outcome.reused) == (b"hello", True)


@pytest.mark.reliability(26, 38)
@pytest.mark.parametrize("version", [b"1.0", b"1.1", b"1.9"])
@pytest.mark.parametrize("fields", [b"", b"Connection: close\r\n", b"Connection: keep-alive\r\n"])
def test_line_26_bodies_until_the_end(play, version, fields):
    outcome = play(b"HTTP/" + version + b" 200 OK\r\n" + fields + b"\r\nhello\r\n\r\n", end=True)

    assert (outcome.body, outcome.length, outcome.reused) == (b"hello\r\n\r\n", None, False)


@pytest.mark.reliability(28)
def test_line_28_many_tiny_chunks(play):
    assert play(CHUNKED + b"1\r\nx\r\n" * 10_000 + b"0\r\n\r\n").body == b"x" * 10_000


@pytest.mark.reliability(32)
@pytest.mark.parametrize("wire", [
    length(b"5") + b"hello", CHUNKED + b"3\r\nhel\r\n2;a=b\r\nlo\r\n0\r\nT: u\r\n\r\n",
    b"HTTP/1.0 200 OK\r\nContent-Length: 5\r\n\r\nhello",
])  # fmt: skip
def test_line_32_bodies_that_are_cut_off(play, wire):
    for at in range(wire.index(b"\r\n\r\n") + 4, len(wire)):
        outcome = play(wire[:at], end=True)
        assert outcome.failure.__name__ == "ConnectionClosed"
        assert b"hello".startswith(outcome.body)
    assert play(wire).body == b"hello"


@pytest.mark.reliability(36)
@pytest.mark.parametrize("surplus", [b"x", b"\r\n", OK + b"Content-Length: 6\r\n\r\nPOISON"])
@pytest.mark.parametrize("response", [
    length(b"5") + b"hello", CHUNKED + b"5\r\nhello\r\n0\r\n\r\n", length(b"0"),
    b"HTTP/1.1 204 No\r\n\r\n",
])  # fmt: skip
def test_line_36_surplus_bytes_end_the_use(play, response, surplus):
    assert play(response).reused
    assert not play(response + surplus).reused


@pytest.mark.reliability(38)
@pytest.mark.parametrize(
    ("version", "connection", "reused"),
    [
        ("1.1", None, True), ("1.1", "keep-alive", True), ("1.1", "close", False),
        ("1.1", "CLOSE", False), ("1.1", "keep-alive, close", False), ("1.1", "close,x", False),
        ("1.1", " \tClose\t ", False), ("1.1", "closed", True), ("1.1", "x-close", True),
        ("1.1", "x\r\nConnection: close", False), ("1.1", "close\r\nConnection: keep-alive", False),
        ("1.0", None, False), ("1.0", "keep-alive", True), ("1.0", "Keep-Alive, x", True),
        ("1.0", "keep-alive, close", False), ("1.0", "x", False), ("1.9", None, True),
    ],
)  # fmt: skip
def test_line_38_reuse(play, version, connection, reused):
    line = "" if connection is None else f"Connection: {connection}\r\n"
    outcome = play(f"HTTP/{version} 200 OK\r\n{line}Content-Length: 5\r\n\r\nhello".encode())

    assert (outcome.body, outcome.reused) == (b"hello", reused)


PIECES = st.sampled_from(
    [b"\r\n", b"\r", b"\n", b" ", b"\t", b"\0", b":", b";", b",", b"0", b"5", b"hello", b"chunked",
     b"close", b"HTTP/1.1 ", b"200", b"204", b"103 X\r\n\r\n", b"Content-Length: ",
     b"Transfer-Encoding: ", b"Connection: ", b"A: b\r\n", OK, CHUNKED, b"5\r\nhello\r\n",
     b"0\r\n\r\n", b"\xff", b"\x85"]
)  # fmt: skip


@pytest.mark.reliability(29, 30, 39)
@pytest.mark.examples
@settings(max_examples=examples(300), deadline=None, derandomize=True)
@given(
    pieces=st.lists(PIECES | st.binary(max_size=4), max_size=20),
    end=st.booleans(),
    head=st.booleans(),
)
@example([OK, b"Content-Length: 5\r\n\r\nhello"], False, False)
def test_lines_29_and_30_anything_gives_one_verdict_and_documented_errors(pieces, end, head):
    """`Player` compares the cuts, takes only `DugongError`, and checks the state after errors."""
    with pytest.MonkeyPatch.context() as monkeypatch:
        try:
            outcome = Player(monkeypatch)(OK * head + b"".join(pieces), end=end)
        except StarvedError:
            assert not end
        else:
            assert outcome.failure is None or outcome.failure.__name__ in {
                "InvalidResponse", "UnsupportedResponse", "ConnectionClosed",
            }  # fmt: skip
