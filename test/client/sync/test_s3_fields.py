"""Fields of requests to S3."""

import pytest

from dugong_like import Request
from dugong_like.client.sync.s3_fields import nanoseconds_of, seconds_of, set_digest


@pytest.mark.parametrize(
    ("count", "text"),
    [
        (0, "0.000000000"),
        (1, "0.000000001"),
        (1_700_000_000_123_456_789, "1700000000.123456789"),
        (-1_500_000_000, "-1.500000000"),
        (-1, "-0.000000001"),
    ],
)
def test_times_are_exact_in_both_directions(count, text):
    assert seconds_of(count) == text
    assert nanoseconds_of(text) == count


@pytest.mark.parametrize(
    ("text", "count"),
    [("5", 5 * 10**9), ("5.5", 55 * 10**8), ("5.1234567891", 5_123_456_789), ("", None),
     ("x", None), ("5.", None), (".5", None), ("1e9", None), ("9" * 13, None), ("5 ", None)],
)  # fmt: skip
def test_times_of_other_tools_are_read_or_ignored(text, count):
    assert nanoseconds_of(text) == count


def test_the_digest_goes_in_two_forms():
    request = Request("PUT", "/")
    set_digest(request, bytes(32))

    assert request.headers["x-amz-content-sha256"] == "0" * 64
    assert request.headers["x-amz-checksum-sha256"] == "A" * 43 + "="
