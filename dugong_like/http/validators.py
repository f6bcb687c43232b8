"""Validators of representations: names for exactly these bytes (RFC 9110 section 8.8).

Not here: dates (http_date.py), and conditional requests (client/transfers/).
"""

from __future__ import annotations

from typing import Final, Protocol

from .http_date import parse_http_date
from .patterns import compiled_later

# Seconds that a representation has to be old, when it is sent, for its time to be a strong
# validator: it could change twice within one second, and clocks differ (RFC 9110 section 8.8.2.2).
OLD: Final = 60

_is_strong = compiled_later(r'"[\x21\x23-\x7e\x80-\xff]*"')


_TAG: Final = r'(?:W/)?"[\x21\x23-\x7e\x80-\xff]*"'
_is_condition = compiled_later(rf"\*|{_TAG}(?:[ \t]*,[ \t]*{_TAG})*")


class HasFields(Protocol):
    """A response, as far as it is looked at here."""

    def field(self, name: str) -> str | None:
        """Return the value of a header field, or None."""
        ...


def is_strong_etag(value: str) -> bool:
    """Return True if *value* is an entity tag, and not a weak one (RFC 9110 section 8.8.3)."""
    return _is_strong().fullmatch(value) is not None


def is_condition(value: str) -> bool:
    """Return True if *value* is one of If-Match or If-None-Match (RFC 9110 section 13.1.1)."""
    return _is_condition().fullmatch(value) is not None


def strong_validator(response: HasFields, now: float) -> str | None:
    """Return the value for If-Range that stands for exactly these bytes; None if there is none.

    That is a strong entity tag or, without any entity tag, a Last-Modified that was old enough when
    the response was sent (RFC 9110 section 13.1.5).

    Args:
        response: with the status 200 or 206.
        now: seconds since 1970, of `time.time`.

    """
    etag = response.field("etag")
    if etag is not None:
        return etag if is_strong_etag(etag) else None
    modified, date = response.field("last-modified"), response.field("date")
    if modified is None or date is None:
        return None
    first, then = parse_http_date(modified, now), parse_http_date(date, now)
    is_old = first is not None and then is not None and then - first >= OLD
    return modified if is_old else None


def contradicts(response: HasFields, validator: str) -> bool:
    """Return True if *response* says that its bytes are not those that *validator* stands for."""
    name = "etag" if is_strong_etag(validator) else "last-modified"
    value = response.field(name)
    return value is not None and value != validator
