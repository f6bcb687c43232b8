"""Dates of cookies: what servers write, and what no date is (RFC 6265bis section 5.1.1)."""

import datetime

from hypothesis import given
from hypothesis import strategies as st
from kit.cases import each_case

from dugong_like.http.cookie_dates import parse_cookie_date

DATES = {
    # the three formats of HTTP, and cookies of Netscape
    "Sun, 06 Nov 1994 08:49:37 GMT": (1994, 11, 6, 8, 49, 37),
    "Sunday, 06-Nov-94 08:49:37 GMT": (1994, 11, 6, 8, 49, 37),
    "Sun Nov  6 08:49:37 1994": (1994, 11, 6, 8, 49, 37),
    "Sun, 06-Nov-1994 08:49:37 GMT": (1994, 11, 6, 8, 49, 37),
    # any order
    "1994 Nov 6 08:49:37": (1994, 11, 6, 8, 49, 37),
    "Nov 6 94 08:49:37": (1994, 11, 6, 8, 49, 37),
    "08:49:37 Nov 6 1994": (1994, 11, 6, 8, 49, 37),
    "6 1994 08:49:37 Nov": (1994, 11, 6, 8, 49, 37),
    "6 12 Nov 08:49:37": (2012, 11, 6, 8, 49, 37),  # the first number is the day
    # any delimiters, and none
    "6/Nov\\1994,08:49:37": (1994, 11, 6, 8, 49, 37),
    '"6-Nov-1994~08:49:37"': (1994, 11, 6, 8, 49, 37),
    "(6)[Nov]{1994}<08:49:37>": (1994, 11, 6, 8, 49, 37),
    "\t6\tNov\t1994\t08:49:37\t": (1994, 11, 6, 8, 49, 37),
    # months by their first three letters, in any case
    "6 november 1994 08:49:37": (1994, 11, 6, 8, 49, 37),
    "6 NOVELTY 1994 08:49:37": (1994, 11, 6, 8, 49, 37),
    # zones are ignored, and so is everything behind a token's own part
    "6 Nov 1994 08:49:37 +0500": (1994, 11, 6, 8, 49, 37),
    "6 Nov 1994 08:49:37 EST": (1994, 11, 6, 8, 49, 37),
    "6th Nov 1994AD 08:49:37Z": (1994, 11, 6, 8, 49, 37),
    "6 Nov 1994 08:49:37.123": (1994, 11, 6, 8, 49, 37),
    "6 Nov 1994 08:49:37 11:22:33": (1994, 11, 6, 8, 49, 37),
    "6 Nov 1994 ::00 bla:z 08:49:37": (1994, 11, 6, 8, 49, 37),
    "6 Nov 1994 8:9:7": (1994, 11, 6, 8, 9, 7),
    # centuries
    "1 Jan 70 00:00:00": (1970, 1, 1, 0, 0, 0),
    "1 Jan 69 00:00:00": (2069, 1, 1, 0, 0, 0),
    "1 Jan 99 00:00:00": (1999, 1, 1, 0, 0, 0),
    "1 Jan 00 00:00:00": (2000, 1, 1, 0, 0, 0),
    "1 Jan 068 00:00:00": (2068, 1, 1, 0, 0, 0),
    "1 Jan 1601 00:00:00": (1601, 1, 1, 0, 0, 0),
    "31 Dec 9999 23:59:59": (9999, 12, 31, 23, 59, 59),
    # leap years
    "29 Feb 2000 00:00:00": (2000, 2, 29, 0, 0, 0),
    "29 Feb 2024 00:00:00": (2024, 2, 29, 0, 0, 0),
    "1 Mar 2100 00:00:00": (2100, 3, 1, 0, 0, 0),
}  # fmt: skip
NO_DATES = [
    "", " ", "never", "0", "6 Nov 1994", "08:49:37", "Nov 1994 08:49:37", "6 1994 08:49:37",
    "6 Nov 08:49:37",
    "0 Nov 1994 08:49:37", "32 Oct 1994 08:49:37", "31 Nov 1994 08:49:37",
    "29 Feb 1900 08:49:37", "29 Feb 2023 08:49:37", "30 Feb 2024 08:49:37",
    "6 Nov 1600 08:49:37", "6 Nov 100 08:49:37",
    "6 Nov 1994 24:00:00", "6 Nov 1994 08:60:37", "6 Nov 1994 08:49:60",  # no leap seconds
    "6 Nov 1994 91:22:33 08:49:37",  # the first time counts
    "006 Nov 31994 08:49:37", "6 Nov 19940 08:49:37", "6 Nov 9999999999 08:49:37",
    "6 Nov 1994 08:49:999", "6 Nov 1994 008:49:37", "6 Nov 1994 08: 49:37", "6 Nov 1994 08:49",
    "6 No 1994 08:49:37", "\u0666 Nov 1994 08:49:37",
    "1994-11-06T08:49:37Z",  # ISO 8601
]  # fmt: skip


@each_case("text", DATES)
def test_dates(text):
    wanted = datetime.datetime(*DATES[text], tzinfo=datetime.UTC)

    assert parse_cookie_date(text) == wanted.timestamp()


@each_case("text", NO_DATES)
def test_what_is_no_date(text):
    assert parse_cookie_date(text) is None


FIRST = datetime.datetime(1601, 1, 1)  # noqa: DTZ001 - the time zone is made up, too


@given(st.datetimes(FIRST, timezones=st.just(datetime.UTC)))
def test_every_date_agrees_with_that_of_python(date):
    text = f"{date:%d %b} {date.year:04} {date:%H:%M:%S}"

    assert parse_cookie_date(text) == int(date.replace(microsecond=0).timestamp())


@given(st.text(st.characters(max_codepoint=255)))
def test_nothing_else_raises(text):
    assert parse_cookie_date(text) is None or isinstance(parse_cookie_date(text), int)
