"""Checks of what is sent as credentials, and quoting."""

import pytest

from dugong_like import InvalidRequest
from dugong_like.http.auth.text import check_text, check_token, quoted_string


@pytest.mark.parametrize("good", ["mF_9.B5f-4.1JqM", "a/b+c~==", "a:b|c", "x" * 10_000])
def test_tokens(good):
    assert check_token("token", good) == good


@pytest.mark.parametrize(
    "bad", ["", "secret b", "secret\r\nX: y", "secr\xe9t", "secret\x7f", " secret"]
)
def test_tokens_that_cannot_be_sent(bad):
    with pytest.raises(InvalidRequest, match="the token") as failure:
        check_token("token", bad)
    assert "secr" not in str(failure.value)


@pytest.mark.parametrize("bad", [b"secret", None, 5, ["secret"]])
def test_what_is_no_text(bad):
    for check in (check_text, check_token):
        with pytest.raises(TypeError, match="a token is a string") as failure:
            check("token", bad)
        assert "secret" not in str(failure.value)


@pytest.mark.parametrize(
    ("text", "expected"), [("", '""'), ("a b", '"a b"'), ('a"b\\c', r'"a\"b\\c"'), ("é", '"é"')]
)
def test_quoting(text, expected):
    assert quoted_string(text) == expected
