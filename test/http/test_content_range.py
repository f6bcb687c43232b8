"""Content-Range: what is one, and what it says."""

import pytest

from dugong_like.http.content_range import ContentRange, parse_content_range, unsatisfied_size


@pytest.mark.parametrize(
    ("value", "found"),
    [
        ("bytes 5-9/10", (5, 9, 10)),
        (" bytes 5-9/10\t", (5, 9, 10)),
        ("Bytes 5-9/*", (5, 9, None)),
        ("bytes 0-0/1", (0, 0, 1)),
        ("bytes 5-9/9", None),
        ("bytes 9-5/10", None),
        ("bytes */10", None),
        ("items 5-9/10", None),
        ("bytes=5-9/10", None),
        ("bytes 5-/10", None),
        ("bytes -5-9/10", None),
        ("bytes +5-9/10", None),
        ("bytes 5-9/10, bytes 5-9/10", None),
        ("bytes 5-9", None),
        ("bytes \u0665-9/10", None),
        ("bytes 5-99999999999999999999/10", None),
        ("", None),
        (None, None),
    ],
)
def test_a_range_is_within_its_size(value, found):
    assert parse_content_range(value) == (None if found is None else ContentRange(*found))


def test_the_last_byte_counts():
    assert len(parse_content_range("bytes 5-9/10")) == 5


@pytest.mark.parametrize(
    ("value", "size"),
    [
        ("bytes */10", 10),
        ("BYTES */0", 0),
        ("bytes 0-9/10", None),
        ("bytes */*", None),
        ("items */10", None),
        ("", None),
        (None, None),
    ],
)
def test_the_size_is_that_of_a_range_that_cannot_be_satisfied(value, size):
    assert unsatisfied_size(value) == size
