"""Options of HTTP/2 connections and settings: their ranges, and what is announced."""

import pytest

from dugong_like import InvalidOption
from dugong_like.http.h2.options import H2Options, H2Settings


def test_defaults():
    assert H2Options().announced() == [(2, 0), (4, 2**18), (6, 65536)]


def test_errors_name_the_limit():
    with pytest.raises(InvalidOption, match="max_frame_size cannot be 5: it is from 16384 to 167"):
        H2Settings(max_frame_size=5)
