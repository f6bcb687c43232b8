"""Retry-After in both forms."""

from math import inf

import pytest

from dugong_like.http.retry_after import asked_pause, retry_after

DATE = "Sun, 06 Nov 1994 08:49:37 GMT"
NOW = 784_111_700.5


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("0", 0.0), ("120", 120.0), (" 7\t", 7.0), ("007", 7.0), ("0" * 100 + "7", 7.0),
        ("999999999999999", 999999999999999.0), ("1" * 16, inf),
        ("Sun, 06 Nov 1994 08:49:37 GMT", 76.5), ("Sunday, 06-Nov-94 08:49:37 GMT", 76.5),
        ("Sun Nov  6 08:49:37 1994", 76.5), ("Sun, 06 Nov 1994 08:00:00 GMT", 0.0),
        ("", None), ("-1", None), ("+1", None), ("1.5", None), ("1e3", None), ("soon", None),
        ("\u0661", None), ("\u00b2", None), ("1 2", None), ("5, 6", None), ("inf", None),
    ],
)  # fmt: skip
def test_both_forms(value, seconds):
    assert retry_after(value, NOW) == seconds


@pytest.mark.parametrize(
    ("fields", "seconds"),
    [
        ({}, None), ({"date": DATE}, None), ({"retry-after": DATE}, 76.5),
        ({"retry-after": DATE, "date": "Sun, 06 Nov 1994 08:49:30 GMT"}, 7.0),
        ({"retry-after": DATE, "date": "Sun, 06 Nov 1994 08:59:30 GMT"}, 0.0),
        ({"retry-after": DATE, "date": "yesterday"}, 76.5),
        ({"retry-after": "5", "date": DATE}, 5.0), ({"retry-after": "soon", "date": DATE}, None),
    ],
)  # fmt: skip
def test_a_date_counts_from_that_of_the_response(fields, seconds):
    class Message:
        field = staticmethod(fields.get)

    assert asked_pause(Message, NOW) == seconds
