"""Dates of header fields in their three formats."""

import calendar
import random
import time

import pytest

from dugong_like.http.http_date import days_before, parse_http_date

NOW = 1_796_000_000  # November 2026
EXAMPLE = 784_111_777  # that of RFC 9110 section 5.6.7


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("Sun, 06 Nov 1994 08:49:37 GMT", EXAMPLE),
        ("Sunday, 06-Nov-94 08:49:37 GMT", EXAMPLE),
        ("Sun Nov  6 08:49:37 1994", EXAMPLE),
        ("Sun Nov 16 08:49:37 1994", EXAMPLE + 864_000),
        (" sun, 06 NOV 1994 08:49:37 gmt\t", EXAMPLE),
        ("Mon, 06 Nov 1994 08:49:37 GMT", EXAMPLE),
        ("Thu, 01 Jan 1970 00:00:00 GMT", 0),
        ("Wed, 31 Dec 1969 23:59:59 GMT", -1),
        ("Sat, 31 Dec 2016 23:59:60 GMT", 1_483_228_800),
        ("Tue, 29 Feb 2000 00:00:00 GMT", 951_782_400),
        ("Saturday, 28-Nov-76 00:00:00 GMT", calendar.timegm((2076, 11, 28, 0, 0, 0))),
        ("Saturday, 28-Nov-77 00:00:00 GMT", calendar.timegm((1977, 11, 28, 0, 0, 0))),
        ("Fri, 31 Dec 9999 23:59:59 GMT", 253_402_300_799),
    ],
)
def test_dates(text, seconds):
    assert parse_http_date(text, NOW) == seconds


@pytest.mark.parametrize(
    "text",
    [
        "", "0", "now", "Sun, 06 Nov 1994 08:49:37", "Sun, 06 Nov 1994 08:49:37 CET",
        "Sun, 06 Nov 1994 08:49:37 +0000", "Sun, 6 Nov 1994 08:49:37 GMT", "1994-11-06T08:49:37Z",
        "Sun, 32 Nov 1994 08:49:37 GMT", "Sun, 31 Nov 1994 08:49:37 GMT",
        "Sun, 00 Nov 1994 08:49:37 GMT", "Thu, 29 Feb 1900 00:00:00 GMT",
        "Sun, 06 Abc 1994 08:49:37 GMT", "Sun, 06 Nov 1994 24:00:00 GMT",
        "Sun, 06 Nov 1994 08:60:37 GMT", "Sun, 06 Nov 1994 08:49:61 GMT",
        "Sun, \u0660\u0666 Nov 1994 08:49:37 GMT", "Sunday, 06-Nov-1994 08:49:37 GMT",
        "Sun, 06 Nov 1994 08:49:37 GMT, Sun, 06 Nov 1994 08:49:37 GMT",
    ],
)  # fmt: skip
def test_what_is_no_date(text):
    assert parse_http_date(text, NOW) is None


def test_the_calendar_is_that_of_python():
    dice = random.Random(1)
    for _ in range(2000):
        seconds = dice.randrange(-60_000_000_000, 250_000_000_000)
        date = time.gmtime(seconds)
        assert days_before(date.tm_year, date.tm_mon, date.tm_mday) == seconds // 86400
        text = time.strftime(f"%a, %d %b {date.tm_year:04} %H:%M:%S GMT", date)
        assert parse_http_date(text, NOW) == seconds
