"""The field Retry-After: seconds or a date (RFC 9110 section 10.2.3).

Not here: whether to wait so long, and waiting.
"""

from __future__ import annotations

from math import inf
from typing import Final, Protocol

from .http_date import parse_http_date

MAX_DIGITS: Final = 15  # more are no time that anybody waits for


class HasFields(Protocol):
    """A response, as far as it is looked at here."""

    def field(self, name: str, /) -> str | None:
        """Return the value of a header field, or None."""
        ...


def asked_pause(response: HasFields, now: float) -> float | None:
    """Return how many seconds *response* asks to wait; None if it does not.

    A date counts from that of the response (field Date): both are by the clock of the server, and
    that of this machine may be another one, or may be set meanwhile.

    Args:
        response: of which the fields are read.
        now: the present time, for a response without a date; see `retry_after`.

    """
    value = response.field("retry-after")
    if value is None:
        return None
    date = response.field("date")
    sent = None if date is None else parse_http_date(date, now)
    return retry_after(value, now if sent is None else sent)


def retry_after(value: str, now: float) -> float | None:
    """Return how many seconds to wait; None if *value* is neither a number of seconds nor a date.

    Args:
        value: of the field.
        now: the present time, in seconds since 1970 (UTC), such as that of ``time.time()`` or
            of the field Date.

    Returns:
        At least 0, also for a date in the past; infinite for more than `MAX_DIGITS` digits.

    """
    text = value.strip(" \t")
    if text.isascii() and text.isdecimal():
        return float(text) if len(text.lstrip("0")) <= MAX_DIGITS else inf
    date = parse_http_date(text, now)
    return None if date is None else float(max(date - now, 0))
