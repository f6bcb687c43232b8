"""Percent-encoding of text, and back."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dugong_like import InvalidRequest
from dugong_like.http.percent import (
    IN_COMPONENT,
    IN_FRAGMENT,
    IN_PATH,
    IN_QUERY,
    NOT_SENT,
    advice,
    decode,
    encode,
    has_stray_percent,
)

ASCII = "".join(map(chr, range(128)))
LETTERS_AND_DIGITS = "".join(filter(str.isalnum, ASCII))


def kept(what):
    """Return the characters of ASCII that are not encoded, without letters and digits."""
    return "".join(c for c in ASCII if encode(c, what) == c and c not in LETTERS_AND_DIGITS)


@pytest.mark.parametrize(
    ("what", "expected"),
    [
        (IN_COMPONENT, "-._~"),
        (IN_PATH, "!#$%&'()*+,-./:;=?@[\\]_|~"),
        (IN_QUERY, "!#$%&'()*+,-./:;=?@[\\]^_`{|}~"),
        (IN_FRAGMENT, "!$%&'()*+,-./:;=?@[\\]^_{|}~"),
        (NOT_SENT, "!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~"),
    ],
)
def test_what_each_place_keeps(what, expected):
    assert kept(what) == expected
    assert encode(LETTERS_AND_DIGITS, what) == LETTERS_AND_DIGITS
    assert encode("ü € \x7f\U0001f40b", what) == "%C3%BC%20%E2%82%AC%20%7F%F0%9F%90%8B"


def test_bytes_that_are_escaped_come_back_and_others_are_refused():
    text = b"/\xfc/\xc3\xbc".decode("utf-8", "surrogateescape")

    assert encode(text, IN_PATH, "surrogateescape") == "/%FC/%C3%BC"
    for half in (text, "\ud83d"):
        with pytest.raises(InvalidRequest, match="surrogate"):
            encode(half, IN_PATH)


@pytest.mark.parametrize(
    ("text", "data"),
    [("", b""), ("a%20b", b"a b"), ("%C3%bc%00", b"\xc3\xbc\0"), ("%2541", b"%41"),
     ("%", b"%"), ("%4", b"%4"), ("%zz%41", b"%zzA"), ("%%34", b"%4"), ("ü+", b"\xc3\xbc+"),
     ("%\uff14\uff11", "%\uff14\uff11".encode())],
)  # fmt: skip
def test_decoding_once(text, data):
    assert decode(text) == data


@pytest.mark.parametrize(
    ("text", "expected"),
    [("", False), ("%41", False), ("%", True), ("%4", True), ("%4g", True), ("%%41", True)],
)
def test_stray_percent_signs(text, expected):
    assert has_stray_percent(text) is expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [("/a b", ", percent-encoded: write /a%20b"), ("/a\n", ", percent-encoded"),
     ("a b", ", percent-encoded"), ("/\ud800", ", percent-encoded"),
     ("/?sig=a b", ", percent-encoded"), ("/" + "ü" * 100, ", percent-encoded"),
     ("/?x=user:hush@h b", ", percent-encoded")],
)  # fmt: skip
def test_advice(text, expected):
    assert advice(text, lambda written: written.startswith("/")) == expected


@given(st.text())
def test_decoding_undoes_encoding(text):
    try:
        data = text.encode()
    except UnicodeEncodeError:
        return
    assert decode(encode(text, IN_COMPONENT)) == data
    if "%" not in text:
        for what in (IN_PATH, IN_QUERY, NOT_SENT):
            assert decode(encode(text, what)) == data
            assert encode(encode(text, what), what) == encode(text, what)
