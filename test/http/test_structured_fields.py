"""Structured fields: what parses. Dictionaries with bytes are in test_digest_fields.py."""

import pytest

from dugong_like.http.structured_fields import as_bytes, as_integer, dictionary, item


@pytest.mark.parametrize(
    ("value", "found"),
    [
        ('a=1, b, c="x, y";p=?0 , d=tok/en, *e=-1.5, f=?0', {
            "a": "1", "b": "?1", "c": '"x, y"', "d": "tok/en", "*e": "-1.5", "f": "?0",
        }),
        ("a=1, a=2", {"a": "2"}),
        ("", {}),
        (None, {}),
        ("a=1,", {}),
        ("a=1 b=2", {}),
        ("A=1", {}),
        ("a=", {}),
        ("a==1", {}),
        ("a=\u00e4", {}),
    ],
)  # fmt: skip
def test_dictionaries(value, found):
    assert dictionary(value) == found


@pytest.mark.parametrize(
    ("value", "found"),
    [
        ("?1", "?1"),
        (" 5;q=1 ", "5"),
        ("5, 6", ""),
        ("", ""),
        (None, ""),
        ('"a"', '"a"'),
        ("5;", ""),
    ],
)
def test_items(value, found):
    assert item(value) == found


def test_values():
    assert [as_integer(text) for text in ("5", "-5", "5.0", "9" * 16, "", "x")] == [
        5, -5, None, None, None, None,
    ]  # fmt: skip
    assert [as_bytes(text) for text in (":YQ==:", "::", ":", ":Y:", "YQ==", "")] == [
        b"a", b"", None, None, None, None,
    ]  # fmt: skip
