"""The value of Content-Length."""

import pytest

from dugong_like import InvalidResponse
from dugong_like.http.content_length import content_length


def test_digits_and_leading_zeros():
    assert content_length(b"0", None) == 0
    assert content_length(b" 12\t", None) == 12
    assert content_length(b"0" * 5000 + b"7", 7) == 7
    assert content_length(b"9" * 19, None) == 10**19 - 1


@pytest.mark.parametrize(
    "value", [b"", b"-1", b"+1", b"1_0", b"1,1", b"0x1", b"1 1", b"1" * 20, b"\xd9\xa1", b"\xb2"]
)
def test_anything_else_is_invalid(value):
    with pytest.raises(InvalidResponse, match="Content-Length is not a number"):
        content_length(value, None)


def test_two_values_have_to_be_equal():
    with pytest.raises(InvalidResponse, match="two values of Content-Length: 1 and 2"):
        content_length(b"2", 1)
