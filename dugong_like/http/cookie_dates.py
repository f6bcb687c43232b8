"""Dates of cookies, the values of Expires (RFC 6265bis section 5.1.1).

Servers write them in every format there is, so the words of a date are recognised by their form:
the order, the separators, the day of the week and the time zone do not matter. All are in UTC.

Not here: dates of other fields (RFC 9110 section 5.6.7), which have three formats.
"""

from __future__ import annotations

from typing import Final

from .patterns import compiled_later

MONTHS: Final = ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"]
LENGTHS: Final = (31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)  # days
FIRST_YEAR: Final = 1601
DAY: Final = 86400  # seconds

_tokens = compiled_later(r"[^\x09\x20-\x2f\x3b-\x40\x5b-\x60\x7b-\x7e]+")
_time = compiled_later(r"([0-9]{1,2}):([0-9]{1,2}):([0-9]{1,2})(?![0-9])")
_day = compiled_later(r"([0-9]{1,2})(?![0-9])")
_year = compiled_later(r"([0-9]{2,4})(?![0-9])")


def parse_cookie_date(text: str) -> int | None:
    """Return the time that *text* names, in seconds since 1970 (UTC); None if it is not a date.

    Args:
        text: the value of an attribute Expires; anything.

    """
    time = day = month = year = None
    for token in _tokens().findall(text):
        if time is None and (found := _time().match(token)):
            time = found
        elif day is None and (found := _day().match(token)):
            day = int(found[1])
        elif month is None and token[:3].lower() in MONTHS:
            month = MONTHS.index(token[:3].lower())
        elif year is None and (found := _year().match(token)):
            year = _full_year(int(found[1]))
    if time is None or day is None or month is None or year is None:
        return None
    hour, minute, second = map(int, time.groups())
    if hour > 23 or minute > 59 or second > 59:  # noqa: PLR2004 - a clock
        return None
    if year < FIRST_YEAR or not 1 <= day <= LENGTHS[month] + (month == 1 and _is_leap(year)):
        return None
    return _days(year, month, day) * DAY + hour * 3600 + minute * 60 + second


def _full_year(year: int) -> int:
    """Return *year* with its century, if it has two digits: 1970 to 2069."""
    if 70 <= year <= 99:  # noqa: PLR2004 - as the RFC says
        return year + 1900
    return year + 2000 if year < 70 else year  # noqa: PLR2004


def _is_leap(year: int) -> bool:
    return year % 4 == 0 and (year % 100 != 0 or year % 400 == 0)


def _days(year: int, month: int, day: int) -> int:
    """Return the days from 1970-01-01 to a date; *month* is counted from 0."""
    before = year - 1
    leap_days = before // 4 - before // 100 + before // 400
    leap_days -= 1969 // 4 - 1969 // 100 + 1969 // 400
    in_year = sum(LENGTHS[:month]) + (month > 1 and _is_leap(year)) + day - 1
    return (year - 1970) * 365 + leap_days + in_year
