"""Dates in header fields, in all three formats (RFC 9110 section 5.6.7).

Not here: the present time, which is given, and dates of cookies, which are read in another way.
"""

from __future__ import annotations

import re
from typing import Final

from .patterns import compiled_later

MONTHS: Final = {
    name: number
    for number, name in enumerate(
        ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"], 1
    )
}
DAY: Final = 86400  # seconds
YEAR: Final = 365.2425  # days, on average
CENTURY: Final = 100  # years
FUTURE: Final = 50  # years; a date of RFC 850 beyond them is one of the past
MAX_HOUR, MAX_MINUTE, MAX_SECOND = 23, 59, 60  # with a leap second

_clock = r"(?P<hour>[0-9]{2}):(?P<minute>[0-9]{2}):(?P<second>[0-9]{2})"
_short = "(?:mon|tue|wed|thu|fri|sat|sun)"
_long = "(?:mon|tues|wednes|thurs|fri|satur|sun)day"
_formats = [
    compiled_later(text, re.IGNORECASE | re.ASCII)
    for text in (
        rf"{_short}, (?P<day>[0-9]{{2}}) (?P<month>[a-z]{{3}}) (?P<year>[0-9]{{4}}) {_clock} GMT",
        rf"{_long}, (?P<day>[0-9]{{2}})-(?P<month>[a-z]{{3}})-(?P<year>[0-9]{{2}}) {_clock} GMT",
        rf"{_short} (?P<month>[a-z]{{3}}) (?P<day>[0-9]{{2}}| [0-9]) {_clock} (?P<year>[0-9]{{4}})",
    )
]


def parse_http_date(text: str, now: float) -> int | None:
    """Return the time of *text* in seconds since 1970 (UTC); None if it is no HTTP-date.

    Args:
        text: value of a field. The name of the day of the week need not be right.
        now: the present time, likewise, which decides on the century of years of two digits.

    """
    text = text.strip(" \t")
    for pattern in _formats:
        if match := pattern().fullmatch(text):
            return _seconds(match, now)
    return None


def _seconds(match: re.Match[str], now: float) -> int | None:
    month = MONTHS.get(match["month"].lower())
    year, day = int(match["year"]), int(match["day"])
    hour, minute, second = int(match["hour"]), int(match["minute"]), int(match["second"])
    if len(match["year"]) == 2:  # noqa: PLR2004
        present = 1970 + int(now / DAY / YEAR)
        year += present - present % CENTURY
        if year > present + FUTURE:
            year -= CENTURY
    if month is None or not 1 <= day <= days_of(year, month):
        return None
    if hour > MAX_HOUR or minute > MAX_MINUTE or second > MAX_SECOND:
        return None
    return days_before(year, month, day) * DAY + hour * 3600 + minute * 60 + second


def days_of(year: int, month: int) -> int:
    """Return the number of days of a month of the Gregorian calendar."""
    if month == 2:  # noqa: PLR2004 - February
        return 29 if year % 4 == 0 and (year % 100 != 0 or year % 400 == 0) else 28
    return 30 if month in {4, 6, 9, 11} else 31


def days_before(year: int, month: int, day: int) -> int:
    """Return the number of days from 1970-01-01 to a date; negative in front of that."""
    full = year - 1
    leap = full // 4 - full // 100 + full // 400
    whole = sum(days_of(year, earlier) for earlier in range(1, month))
    return full * 365 + leap + whole + day - 1 - 719162  # the days up to 1970-01-01
