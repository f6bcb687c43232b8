"""Heads that come again: known by their bytes, and never another one than those say."""

import pytest

from dugong_like import InvalidResponse
from dugong_like.http.h1 import head_cache as recent
from dugong_like.http.h1.head_cache import LARGEST_KNOWN, MOST_KNOWN, PATIENCE, RecentHeads
from dugong_like.http.h1.response_head import find_head


@pytest.fixture(autouse=True)
def nothing_known(monkeypatch):
    monkeypatch.setattr(recent, "_known", {})


def numbered(number, more=b""):
    return b"HTTP/1.1 200 OK\r\nA: %d\r\n%s\r\n" % (number, more)


def found_in(heads, data, before=b"", behind=b""):
    data = bytearray(before + data + behind)
    return heads.find(data, len(before), len(data))


def test_head_that_comes_again_is_the_same_one_wherever_it_stands():
    first = found_in(RecentHeads(), numbered(1), behind=b"body\r\n\r\n")

    assert (first.fields, first.size) == (b"\r\nA: 1\r\n", len(numbered(1)))
    assert found_in(RecentHeads(), numbered(1), b"the body before", numbered(2)) is first
    assert found_in(RecentHeads(), numbered(2), numbered(1)).fields == b"\r\nA: 2\r\n"
    assert found_in(RecentHeads(), numbered(1).replace(b"A", b"a")).fields == b"\r\na: 1\r\n"


def test_what_is_found_is_what_find_head_finds_the_first_time_and_later():
    names = ("status", "minor", "reason", "fields", "lower", "count", "size")
    wires = [
        b"HTTP/1.1 200\r\n\r\n",
        b"HTTP/1.0 404 Not found\r\nContent-Length: 3\r\n\r\nyes",
        numbered(1, b"B:\r\nc: \xff\t\r\n") + numbered(2),
        b"HTTP/1.1 103 Hints\r\n\r\n" + numbered(3),
        b"HTTP/1.1 200 OK\nA: b\r\n\r\n",
        b"\r\n\r\n" + numbered(4),
    ]
    for wire in wires:
        for end in range(len(wire) + 1):
            expected = find_head(wire, 0, end)
            for _ in range(2):
                found = found_in(RecentHeads(), wire[:end], b"before")
                assert (found is None) == (expected is None)
                for name in names if found else ():
                    assert getattr(found, name) == getattr(expected, name)


def test_what_is_not_a_whole_and_right_head_is_not_known_the_second_time_either():
    for wire in (b"HTTP/1.1 200 OK\r\nA: b\r\n", numbered(1, b"bad\r\n"), numbered(1, b" c\r\n")):
        one = RecentHeads()
        assert found_in(one, wire) is found_in(one, wire) is None
    assert recent._known == {}


def test_known_head_may_still_have_more_fields_than_others_take():
    wire = numbered(1, b"B: c\r\n" * 9)
    known = found_in(RecentHeads(), wire)

    for _ in range(2):
        with pytest.raises(InvalidResponse, match="10 header fields; at most 9"):
            found_in(RecentHeads(9), wire)
    assert found_in(RecentHeads(10), wire) is known


def test_head_like_the_last_one_needs_no_search():
    one, wire = RecentHeads(), numbered(1)
    found_in(one, wire)
    assert one.last[1] is None  # it has come once
    known = found_in(one, wire)
    assert one.last == (wire, known)
    other = RecentHeads()
    found_in(other, wire)
    assert other.last is one.last, "they share its memory"
    assert found_in(one, wire, b"the body before", b"the body behind") is known
    assert found_in(one, wire[:-1]) is None
    assert found_in(one, numbered(2)) is not known


@pytest.mark.parametrize("size", [-1, 0])
@pytest.mark.parametrize("wire", [numbered(1), numbered(1, b"B: %s\r\n" % bytes(LARGEST_KNOWN))])
def test_head_that_is_too_large_is_not_found(size, wire):
    wire = wire.replace(b"\0", b"b")
    found_in(RecentHeads(), wire)  # on another connection
    heads = RecentHeads(100, len(wire) + size)
    for heads.patience in (PATIENCE, 1, 0):
        assert (found_in(heads, wire) is None) == (size < 0)


@pytest.mark.parametrize("name", ["Set-Cookie", "SET-COOKIE", "Proxy-Authentication-Info"])
def test_secrets_are_not_remembered(name):
    line = f"{name}:a=b\r\n".encode()
    assert found_in(RecentHeads(), numbered(1, line)).status == 200
    assert recent._known == {}


def test_few_heads_are_remembered():
    for number in range(10 * MOST_KNOWN):
        one = RecentHeads()
        assert found_in(one, numbered(number)).fields == b"\r\nA: %d\r\n" % number
        assert len(recent._known) <= MOST_KNOWN
    assert recent._known


def test_large_heads_are_not_remembered():
    room = LARGEST_KNOWN - len(numbered(1, b"B: \r\n"))
    for more in (0, 1):
        wire = numbered(1, b"B: %s\r\n" % (b"c" * (room + more)))
        assert len(wire) == LARGEST_KNOWN + more
        again = found_in(RecentHeads(), wire), found_in(RecentHeads(), wire)
        assert [head.size for head in again] == [len(wire)] * 2
        assert (again[0] is again[1]) == (more == 0)


def test_server_that_never_says_the_same_twice_is_given_up():
    one = RecentHeads()
    first, *_ = (found_in(one, numbered(number)) for number in range(PATIENCE - 1))
    assert found_in(one, numbered(0)) is first
    for number in range(PATIENCE, 2 * PATIENCE):
        assert one.patience == 2 * PATIENCE - number
        found_in(one, numbered(number))

    last = numbered(2 * PATIENCE)
    assert found_in(one, last) is not found_in(one, last)
    assert found_in(RecentHeads(), last) is found_in(RecentHeads(), last)
