"""Patterns that are compiled when they are first used."""

import re

import pytest

from dugong_like.http.patterns import compiled_later


def test_pattern_is_compiled_once_and_not_before():
    wrong = compiled_later("(")
    with pytest.raises(re.error):
        wrong()
    for pattern in ("a+", b"a+"):
        later = compiled_later(pattern, re.IGNORECASE)
        assert later() is later()
        assert later().fullmatch(pattern[:1].upper())
