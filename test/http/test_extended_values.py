"""Values with charset and percent-encoding."""

import pytest

from dugong_like.http.extended_values import extended_value


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("UTF-8''a", "a"), ("utf-8'en'%e2%82%ac%20rates", "€ rates"), ("utf8''%C3%A4", "ä"),
        ("iso-8859-1'en'%A3%20rates", "£ rates"), ("UTF-8''", ""), ("UTF-8''a'b", "a'b"),
        ("UTF-8''%", "%"), ("UTF-8''%zz", "%zz"), ("UTF-8''a b", "a b"), ("UTF-8''\xc3\xa4", "ä"),
        ("", None), ("a", None), ("UTF-8'a", None), ("''a", None), ("utf-16''a", None),
        ("UTF-8''%ff", None), ("UTF-8''\u20ac", None), ("zip''a", None),
    ],
)  # fmt: skip
def test_values(text, value):
    assert extended_value(text) == value
