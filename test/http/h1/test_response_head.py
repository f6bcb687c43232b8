"""Heads of responses: what is taken, what is mended, and what is refused, however it arrives."""

import pytest
from kit.cases import each_case

from dugong_like import InvalidResponse
from dugong_like.http.h1.limits import MAX_FIELDS, Limits
from dugong_like.http.h1.response_head import (
    Section,
    check_line,
    find_head,
    parse_fields,
    parse_head,
)

LIMITS = Limits()


def arrive(wire, pieces, limits=LIMITS, status=True):
    """Let *wire* arrive in *pieces*; return the section, or None if it is not complete."""
    section = Section(limits, status=status)
    data = bytearray(b"junk")  # the section need not begin where the memory does
    for piece in pieces:
        data += piece
        stop = section.find_end(data, 4, len(data))
        if stop >= 0:
            return bytes(data[4:stop])
    return None


def verdict(wire, pieces, limits=LIMITS):
    try:
        block = arrive(wire, pieces, limits)
        head = None if block is None else parse_head(block)
    except InvalidResponse:
        return "refused"
    return head and (head.minor, head.status, head.reason, head.fields.removeprefix(b"\r\n"))


def cuts(wire):
    """Every way to cut *wire* in two, and in single bytes."""
    for cut in range(len(wire) + 1):
        yield wire[:cut], wire[cut:]
    yield tuple(bytes([byte]) for byte in wire)


GOOD = {
    b"HTTP/1.1 200 OK\r\n\r\n": (1, 200, b"OK", b""),
    b"HTTP/1.0 404 Not Found\r\nA: b\r\n\r\n": (0, 404, b"Not Found", b"A: b\r\n"),
    b"HTTP/1.1 200 \r\n\r\n": (1, 200, b"", b""),
    b"HTTP/1.1 200\r\n\r\n": (1, 200, b"", b""),
    b"HTTP/1.9 999 x\r\n\r\n": (9, 999, b"x", b""),
    b"HTTP/1.1 100 Go\r\n\r\n": (1, 100, b"Go", b""),
    b"HTTP/1.1 200 \xe9\t!\r\nx:\r\n\r\n": (1, 200, b"\xe9\t!", b"x:\r\n"),
    b"HTTP/1.1 200 OK\r\n!#$%&'*+-.^_`|~09AZaz:\t v \xff\t\r\n\r\n": (
        1, 200, b"OK", b"!#$%&'*+-.^_`|~09AZaz:\t v \xff\t\r\n",
    ),
    b"HTTP/1.1 200 OK\r\nA: b\r\n c\r\n\td\r\nE: f\r\n\r\n": (
        1, 200, b"OK", b"A: b c d\r\nE: f\r\n",
    ),
    b"HTTP/1.1 200 OK\r\nA: b \r\n  \r\n c\r\n\r\n": (1, 200, b"OK", b"A: b c\r\n"),
}  # fmt: skip

BAD = [
    b"HTTP/2.0 200 OK\r\n\r\n",
    b"HTTP/0.9 200 OK\r\n\r\n",
    b"HTTP/1.10 200 OK\r\n\r\n",
    b"HTTP/1.x 200 OK\r\n\r\n",
    b"HTTP/1.\xb2 200 OK\r\n\r\n",
    b"http/1.1 200 OK\r\n\r\n",
    b"HTTP/1.1 20 OK\r\n\r\n",
    b"HTTP/1.1 2000 OK\r\n\r\n",
    b"HTTP/1.1 099 OK\r\n\r\n",
    b"HTTP/1.1 000 OK\r\n\r\n",
    b"HTTP/1.1 +20 OK\r\n\r\n",
    b"HTTP/1.1 2 0 OK\r\n\r\n",
    b"HTTP/1.1  200 OK\r\n\r\n",
    b"HTTP/1.1\t200 OK\r\n\r\n",
    b"HTTP/1.1 200\tOK\r\n\r\n",
    b"HTTP/1.1 200OK\r\n\r\n",
    b" HTTP/1.1 200 OK\r\n\r\n",
    b"\r\nHTTP/1.1 200 OK\r\n\r\n",
    b"ICY 200 OK\r\n\r\n",
    b"HTTP/1.1 200 O\0K\r\n\r\n",
    b"HTTP/1.1 200 O\rK\r\n\r\n",
    b"HTTP/1.1 200 OK\n\n",
    b"HTTP/1.1 200 OK\nA: b\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nA: b\nC: d\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nA: b\rC: d\r\n\r\n",
    b"HTTP/1.1 200 OK\r\n A: b\r\n\r\n",
    b"HTTP/1.1 200 OK\r\n\tA: b\r\nC: d\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nA : b\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nA\t: b\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nA b: c\r\n\r\n",
    b"HTTP/1.1 200 OK\r\n: b\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nA\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nA\xa0: b\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nA\x0b: b\r\n\r\n",
    b"HTTP/1.1 200 OK\r\n\x85A: b\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nA: b\0c\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nA: b\x0bc\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nA: b\x7f\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nA: b\r\n c\0\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nA: b\r\nbad\r\nTransfer-Encoding: chunked\r\n\r\n",
]


@pytest.mark.parametrize("wire", GOOD)
def test_good_heads_however_they_are_cut(wire):
    for pieces in cuts(wire):
        assert verdict(wire, pieces) == GOOD[wire]


@each_case("wire", BAD)
def test_bad_heads_however_they_are_cut(wire):
    for pieces in cuts(wire):
        assert verdict(wire, pieces) == "refused"


@each_case("wire", [wire for wire in BAD if b"\r\n\r\n" in wire])
def test_what_is_wrong_is_refused_before_the_head_is_complete(wire):
    assert verdict(wire, [wire[: wire.index(b"\r\n\r\n") + 2]]) in {"refused", None}
    line = wire.partition(b"\r\n")[0] + b"\r\n"
    if not line.startswith(b"HTTP/1.1 200 OK\r\n"):
        assert verdict(line, [line]) == "refused"


@pytest.mark.parametrize("wire", [b"H", b"SSH-2.0", b"HTTP/2", b"X", b"HTTP/1.1 200 OK\n", b"\n"])
def test_other_protocols_are_seen_at_once(wire):
    assert verdict(wire, [wire]) == (None if wire == b"H" else "refused")


@pytest.mark.parametrize("wire", GOOD)
def test_incomplete_head_says_so(wire):
    for cut in range(len(wire)):
        assert verdict(wire, [wire[:cut]]) is None


@pytest.mark.parametrize("size", [1, 7, 100_000])
def test_long_lines_and_long_heads_are_refused_while_they_arrive(size):
    limits = Limits(line_size=100, header_size=300)

    def played(wire):
        return verdict(wire, [wire[at : at + size] for at in range(0, len(wire), size)], limits)

    start = b"HTTP/1.1 200 OK\r\n"
    line = b"A: " + b"x" * 95 + b"\r\n"
    assert len(line) == 100
    assert played(start + line + b"\r\n") == (1, 200, b"OK", line)
    assert played(start + b"B" + line + b"\r\n") == "refused"
    assert played(start + b"A: " + b"x" * 1000) == "refused"
    assert played(start + line * 2 + b"\r\n") == (1, 200, b"OK", line * 2)
    assert played(start + line * 3 + b"\r\n") == "refused"
    assert played(b"HTTP/1.1 200 " + b"x" * 1000) == "refused"
    assert played(start + b"a: b\r\n" * 1000) == "refused"


def test_too_many_fields_are_refused():
    start = b"HTTP/1.1 200 OK\r\n"

    assert parse_head(start + b"A: b\r\n" * MAX_FIELDS + b"\r\n").status == 200
    with pytest.raises(InvalidResponse, match=f"{MAX_FIELDS + 1} header fields"):
        parse_head(start + b"A: b\r\n" * (MAX_FIELDS + 1) + b"\r\n")
    assert verdict(b"", [start + b"A: b\r\n" * (MAX_FIELDS + 1)]) == "refused"  # before its end
    folded = b"A: b\r\n c\r\n" * MAX_FIELDS
    assert parse_head(start + folded + b"\r\n").fields == b"\r\n" + b"A: b c\r\n" * MAX_FIELDS


def test_message_names_what_is_wrong():
    with pytest.raises(InvalidResponse, match="not a status line.*HTTP/3"):
        parse_head(b"HTTP/3 200\r\n\r\n")
    with pytest.raises(InvalidResponse, match="not a header field.*bad line"):
        parse_head(b"HTTP/1.1 200 OK\r\nbad line\r\n\r\n")


def test_fields_stand_behind_crlf():
    head = parse_head(b"HTTP/1.1 200 Content-Length: 5\r\nCONTENT-Length: 6\r\n\r\n")

    assert head.fields == b"\r\nCONTENT-Length: 6\r\n"


def test_head_is_found_with_what_is_behind_it_only_when_it_is_complete_and_right():
    head = b"HTTP/1.1 200 OK\r\nA: b\r\n\r\n"
    data = bytearray(b"??" + head + b"X: y\r\n\r\n")

    found = find_head(data, 2, len(data))
    assert (found.status, found.fields, found.size) == (200, b"\r\nA: b\r\n", len(head))
    for stop in range(2, 2 + len(head)):
        assert find_head(data, 2, stop) is None, stop
    assert find_head(bytearray(head.replace(b": b", b" b")), 0, len(head) - 1) is None
    with pytest.raises(InvalidResponse, match="2 header fields"):
        find_head(data.replace(b"A: b", b"A: %b\r\nC: d" % (b"x" * 9)), 2, len(data) + 15, 1)


# ---- trailer sections


@pytest.mark.parametrize(
    ("wire", "fields"),
    [(b"\r\n", b""), (b"A: b\r\n\r\n", b"A: b\r\n"), (b"A: b\r\n c\r\n\r\n", b"A: b c\r\n")],
)
def test_trailer_sections_however_they_are_cut(wire, fields):
    for pieces in cuts(wire):
        assert parse_fields(arrive(wire, pieces, status=False)) == fields


@pytest.mark.parametrize(
    "wire",
    [b"HTTP/1.1 200\r\n\r\n", b" a: b\r\n\r\n", b"a\r\n\r\n", b"\n", b"\rx"],
)
def test_bad_trailer_sections(wire):
    for pieces in cuts(wire):
        with pytest.raises(InvalidResponse):
            parse_fields(arrive(wire, pieces, status=False) or b"incomplete\r\n\r\n")


def test_trailer_section_has_the_limits_of_a_head():
    with pytest.raises(InvalidResponse, match="300 bytes"):
        arrive(b"", [b"A: b\r\n" * 100], Limits(header_size=300), status=False)


def test_check_line_takes_folds_only_where_there_is_something_to_continue():
    check_line(b" folded\r\n", first=False, folds=True)
    with pytest.raises(InvalidResponse):
        check_line(b" folded\r\n", first=False)
