"""Heads of responses, line by line of the reliability list: whole, and cut in every way."""

import time

import pytest
from kit.cases import each_case
from kit.conversations import OF_MUCH, Player

from dugong_like.http.h1.limits import MAX_FIELDS, MAX_HEADER_SIZE, MAX_INFORMATIONAL, MAX_LINE_SIZE

OK = b"HTTP/1.1 200 OK\r\n"
EMPTY = b"Content-Length: 0\r\n\r\n"


@pytest.fixture
def play(monkeypatch):
    return Player(monkeypatch)


def with_field(line):
    return OK + line + b"\r\n" + EMPTY


@pytest.mark.reliability(1, 31)
@each_case("start", [
        b"HTTP/0.9 200 OK", b"HTTP/2.0 200 OK", b"HTTP/2 200 OK", b"HTTP/3 200", b"HTTP/1 200 OK",
        b"HTTP/1. 200 OK", b"HTTP/.1 200 OK", b"HTTP/1.10 200 OK", b"HTTP/11 200 OK",
        b"HTTP/01.1 200 OK", b"HTTP/1.01 200 OK", b"HTTP/+1.1 200 OK", b"HTTP/1.x 200 OK",
        b"HTTP/1.\xb2 200 OK", b"http/1.1 200 OK", b"HTTP 1.1 200 OK", b"HTTP/1,1 200 OK",
        b"HTTPS/1.1 200 OK", b"ICY 200 OK", b"RTSP/1.0 200 OK", b"SSH-2.0-x", b"<html>", b"GET / ",
        b"HTTP/1.1200 OK", b"HTTP/1.1  200 OK", b"HTTP/1.1\t200 OK", b" HTTP/1.1 200 OK",
        b"HTTP/1.1 20 OK", b"HTTP/1.1 2 OK", b"HTTP/1.1 2000 OK", b"HTTP/1.1 +20 OK",
        b"HTTP/1.1 -20 OK", b"HTTP/1.1 2e2 OK", b"HTTP/1.1 0x2 OK", b"HTTP/1.1 20\xb2 OK",
        b"HTTP/1.1 \xd9\xa2\xd9\xa0\xd9\xa0 OK", b"HTTP/1.1 200OK", b"HTTP/1.1 200\tOK",
        b"HTTP/1.1 OK 200", b"HTTP/1.1", b"HTTP/1.1 ", b"HTTP/1.1 200.1 OK", b"HTTP/1.1 2_0 OK",
        b"\xef\xbb\xbfHTTP/1.1 200 OK", b"\0HTTP/1.1 200 OK", b"", b"\r\nHTTP/1.1 200 OK",
    ])  # fmt: skip
def test_line_01_status_lines_that_are_none(play, start):
    play.refuses(start + b"\r\n" + EMPTY)


@pytest.mark.reliability(1)
@pytest.mark.parametrize(
    ("start", "version", "reason"),
    [
        (b"HTTP/1.1 200 OK", "1.1", "OK"), (b"HTTP/1.1 200 ", "1.1", ""),
        (b"HTTP/1.1 200", "1.1", ""), (b"HTTP/1.0 200 Fine\tthanks", "1.0", "Fine\tthanks"),
        (b"HTTP/1.2 200 OK", "1.2", "OK"), (b"HTTP/1.9 200 \xe9t\xe9", "1.9", "\xe9t\xe9"),
        (b"HTTP/1.1 200 HTTP/1.1 404 No", "1.1", "HTTP/1.1 404 No"),
    ],
)  # fmt: skip
def test_line_01_status_lines(play, start, version, reason):
    outcome = play(start + b"\r\n" + EMPTY)

    assert (outcome.status, outcome.version, outcome.reason) == (200, version, reason)


@pytest.mark.reliability(2)
@pytest.mark.parametrize("status", [b"000", b"001", b"099"])
def test_line_02_codes_below_100_are_refused(play, status):
    play.refuses(b"HTTP/1.1 " + status + b" OK\r\n" + EMPTY)


@pytest.mark.reliability(2)
@pytest.mark.parametrize("status", [200, 299, 399, 418, 451, 499, 599, 600, 999])
def test_line_02_other_codes_are_final(play, status):
    assert play(f"HTTP/1.1 {status} X\r\n".encode() + EMPTY).status == status


@pytest.mark.reliability(3, 4, 5, 31)
@each_case("place", ["reason", "name", "value", "after name", "line end", "empty line"])
@each_case("code", [b"\r", b"\n", b"\0", b"\x0b", b"\x0c", b"\x1c", b"\x1d", b"\x1e"])
def test_lines_03_to_05_control_characters(play, place, code):
    play.refuses(
        {
            "reason": b"HTTP/1.1 200 O" + code + b"K\r\n" + EMPTY,
            "name": with_field(b"A" + code + b"B: c"),
            "value": with_field(b"A: b" + code + b"c"),
            "after name": with_field(b"A" + code + b": b"),
            "line end": OK + b"A: b" + code + b"C: d\r\n" + EMPTY,
            "empty line": OK + b"Content-Length: 0" + code + code,
        }[place]
        + b"\r\n\r\n"
    )


@pytest.mark.reliability(4)
@pytest.mark.parametrize("end", ["\x85", "\u2028", "\u2029", "\xa0"])
def test_line_04_line_ends_of_other_standards_are_part_of_the_value(play, end):
    value = f"b{end}Content-Length: 5".encode()
    outcome = play(with_field(b"A: " + value))

    assert outcome.fields[0] == ("A", value.decode("latin-1"))
    assert outcome.body == b""


@pytest.mark.reliability(4)
@pytest.mark.parametrize("wire", [
    b"HTTP/1.1 200 OK\nContent-Length: 0\n\n", b"HTTP/1.1 200 OK\r\nContent-Length: 0\n\r\n",
    b"HTTP/1.1 200 OK\nContent-Length: 0\r\n\r\n", b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\n",
    b"HTTP/1.1 200 OK\r\rContent-Length: 0\r\r", b"HTTP/1.1 200 OK\n\rContent-Length: 0\n\r\n\r",
])  # fmt: skip
def test_line_04_lf_alone_ends_no_line(play, wire):
    play.refuses(wire)


NO_NAMES = [
    b": b", b" A: b", b"\tA: b", b"A : b", b"A\t: b", b"A B: c", b"A", b"A b", b"A;B: c",
    b"A(B): c", b'"A": b', b"A\xa0: b", b"\xa0A: b", b"A\x85: b", b"\xc2\xa0A: b", b"A\x0b: b",
    b"\x7fA: b", b"A[]: b", b"A=b", b"{A}: b", b"A@B: c", b"A/B: c", b"A\\B: c", b"A,B: c",
    b"A?: b", b"\xe9: b",
]  # fmt: skip


@pytest.mark.reliability(6, 7)
@each_case("line", NO_NAMES)
@each_case("before", [b"", b"X: y\r\n"])
def test_lines_06_and_07_bad_names_hide_nothing(play, line, before):
    wire = OK + before + line + b"\r\nContent-Length: 5\r\n\r\nhello"
    if before and line[:1] in {b" ", b"\t"}:  # it is a fold then
        assert play(wire).body == b"hello"
    else:
        play.refuses(wire)


@pytest.mark.reliability(6)
@pytest.mark.parametrize("name", ["Content-Length ", "Content-Length\t", " Content-Length"])
@pytest.mark.parametrize("value", ["0", "5"])
def test_line_06_blanks_around_names_that_matter(play, name, value):
    play.refuses(OK + f"{name}: {value}\r\n\r\nhello".encode())


@pytest.mark.reliability(6)
def test_line_06_every_token_is_a_name(play):
    name = "!#$%&'*+-.^_`|~09azAZ"
    assert play(with_field(f"{name}:b".encode())).fields[0] == (name, "b")


@pytest.mark.reliability(8)
@pytest.mark.parametrize("fold", [b"\r\n ", b"\r\n\t", b" \r\n  ", b"\t\r\n \t", b"\r\n \r\n "])
def test_line_08_folds_become_a_space(play, fold):
    outcome = play(with_field(b"A: b" + fold + b"Content-Length: 5"))

    assert outcome.fields == [("A", "b Content-Length: 5"), ("Content-Length", "0")]


@pytest.mark.reliability(8)
def test_line_08_folds_in_fields_that_matter(play):
    assert play(OK + b"Content-Length:\r\n 5\r\n\r\nhello").body == b"hello"
    assert play(OK + b"Transfer-Encoding:\r\n\tchunked\r\n\r\n0\r\n\r\n").length is None
    play.refuses(OK + b"Content-Length: 1\r\n 0\r\n\r\n0123456789")
    assert not play(OK + b"Connection: x,\r\n close\r\n" + EMPTY).reused


@pytest.mark.reliability(9)
@pytest.mark.parametrize("blank", [b" ", b"\t", b"  "])
@pytest.mark.parametrize("line", [b"", b"A: b", b"Content-Length: 5"])
def test_line_09_first_line_with_white_space(play, blank, line):
    play.refuses(OK + blank + line + b"\r\n" + EMPTY)


@pytest.mark.reliability(10)
def test_line_10_values_are_bytes(play):
    everything = bytes({*range(0x20, 0x7F), *range(0x80, 0x100), 9})
    outcome = play(with_field(b"A:" + everything + b"!") + b"")
    assert outcome.fields[0] == ("A", everything.decode("latin-1").strip(" \t") + "!")

    for value in (b"=?utf-8?q?=41?=", b'"a" <b@c>, d', b"Mon, 32 Foo 99", b"\xa0x\x85", b"(c) \\"):
        outcome = play(with_field(b"From: \t" + value + b" \t"))
        assert outcome.fields[0] == ("From", value.decode("latin-1"))


@pytest.mark.reliability(11)
def test_line_11_equal_names_stay_apart_and_in_order(play):
    outcome = play(
        with_field(b"Set-Cookie: a=b, c\r\nVia: x\r\nset-cookie: d=e\r\nVIA: y\r\nSet-Cookie:")
    )

    assert outcome.fields[:-1] == [
        ("Set-Cookie", "a=b, c"), ("Via", "x"), ("set-cookie", "d=e"), ("VIA", "y"),
        ("Set-Cookie", ""),
    ]  # fmt: skip


@pytest.mark.reliability(27, 31)
@pytest.mark.parametrize(
    "endless",
    [
        (b"HTTP/1.1 200 ", b"x"), (OK, b"x"), (OK + b"A:", b"b"), (OK + b"A: b\r\n ", b"c"),
        (OK, b"A: b\r\n"), (OK, b"A:\r\n"),
        (OK + b"A: b\r\n", b" \r\n"), (OK + b"A: b\r\n", b" c\r\n"),
        (b"", b"HTTP/1.1 103 Hints\r\n\r\n"), (b"", b"HTTP/1.1 100 Go on\r\nA: b\r\n\r\n"),
        (b"", b"\r\n"), (b"", b"\n"), (b"", b" "), (b"HTTP/1.1", b" "), (b"HTTP/1.1 ", b"1"),
    ],
)  # fmt: skip
def test_line_27_endless_heads_end(play, endless):
    start, again = endless
    play.refuses(start + again * (3 * MAX_HEADER_SIZE // len(again)), sizes=OF_MUCH)


@pytest.mark.reliability(27)
def test_line_27_limits_are_reached_without_harm(play):
    line = b"A: " + b"x" * (MAX_LINE_SIZE - 5 - 100) + b"\r\n"
    assert len(play(OK + line + EMPTY).fields[0][1]) == MAX_LINE_SIZE - 105
    assert len(play(OK + b"A: b\r\n" * (MAX_FIELDS - 1) + EMPTY).fields) == MAX_FIELDS
    play.refuses(OK + b"A: b\r\n" * MAX_FIELDS + EMPTY)
    hints = b"HTTP/1.1 103 Hints\r\n\r\n"
    assert len(play(hints * MAX_INFORMATIONAL + OK + EMPTY).informational) == MAX_INFORMATIONAL
    play.refuses(hints * (MAX_INFORMATIONAL + 1) + OK + EMPTY)


@pytest.mark.slow
@pytest.mark.reliability(28)
def test_line_28_time_in_proportion(play):
    """A thousand times what a quadratic reader could bear."""
    started = time.process_time()
    long_field = b"A" * 30_000 + b":" + b" " * 30_000 + b"b\r\n"
    for lines in (b"A: b\r\n" * 5000, b"A: b\r\n" + b" c\r\n" * 5000, long_field + b" c\r\n"):
        assert play(OK + lines + EMPTY, max_fields=10_000).status == 200
    assert time.process_time() - started < 20


@pytest.mark.reliability(23)
@each_case("fields", [
    b"Content-Length: 5\r\n", b"Transfer-Encoding: chunked\r\n", b"", b"Connection: keep-alive\r\n",
    b"Transfer-Encoding: chunked\r\nContent-Length: 5\r\n", b"Transfer-Encoding: gzip\r\n",
])  # fmt: skip
@each_case(("method", "status"), [
    ("HEAD", 200), ("HEAD", 404), ("GET", 204), ("GET", 304), ("POST", 204), ("HEAD", 206),
])  # fmt: skip
def test_line_23_no_body(play, fields, method, status):
    outcome = play(f"HTTP/1.1 {status} X\r\n".encode() + fields + b"\r\n", method)

    assert (outcome.status, outcome.body, outcome.length) == (status, b"", 0)
    assert outcome.reused == (fields.count(b"\r\n") < 2)


@pytest.mark.reliability(23)
def test_line_23_205_has_the_body_that_is_framed(play):
    assert play(b"HTTP/1.1 205 Reset\r\nContent-Length: 5\r\n\r\nhello").body == b"hello"
    assert play(b"HTTP/1.1 205 Reset\r\n\r\nhello", end=True).body == b"hello"


@pytest.mark.reliability(24)
@pytest.mark.parametrize("status", [100, 102, 103, 104, 150, 199])
@pytest.mark.parametrize(
    "fields", [b"", b"Content-Length: 5\r\n", b"Transfer-Encoding: chunked\r\n"]
)
def test_line_24_informational_responses_are_passed_by(play, status, fields):
    early = f"HTTP/1.1 {status} Early\r\n".encode() + fields + b"Connection: close\r\n\r\n"
    outcome = play(early + early + OK + b"Content-Length: 5\r\n\r\nhello")

    assert (outcome.status, outcome.informational, outcome.body) == (200, [status] * 2, b"hello")
    assert outcome.reused


@pytest.mark.reliability(25)
@pytest.mark.parametrize("fields", [b"", b"Upgrade: h2c\r\nConnection: upgrade\r\n"])
def test_line_25_unasked_101_is_refused(play, fields):
    play.refuses(b"HTTP/1.1 101 Switching\r\n" + fields + b"\r\n" + OK + EMPTY)


@pytest.mark.reliability(33)
@pytest.mark.parametrize(
    "wire", [OK + b"A: b\r\nC: d\r\n\r\n", b"HTTP/1.1 103 X\r\n\r\n" + OK + b"A: b\r\n\r\n"]
)
def test_line_33_heads_that_are_cut_off(play, wire):
    for at in range(len(wire)):
        assert play(wire[:at], end=True).failure.__name__ == "ConnectionClosed"
    assert play(wire, end=True).failure is None
