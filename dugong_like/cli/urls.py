"""URLs of the command line, as users type them."""

from __future__ import annotations

import re
from typing import Final
from urllib.parse import quote

from ..errors import InvalidRequest
from ..http.redaction import shown_url
from ..http.url import URL

SAFE: Final = "!#$%&'()*+,/:;=?@[]~"  # not encoded behind the host (RFC 3986 section 2)
_place = re.compile(r"[^:/?#]*://[^/?#]*").match


def parse_url(text: str, login: str = "give them by -u or --netrc") -> URL:
    """Parse the URL *text*, after percent-encoding spaces and non-ASCII letters.

    Args:
        text: see above.
        login: what to do with user and password instead, as a URL is shown and stored.

    Raises:
        InvalidRequest: it is not an http or https URL, or has a user name, or is not UTF-8.

    """
    try:
        text.encode()
    except UnicodeEncodeError:  # a byte of the command line that could not be decoded
        raise InvalidRequest(f"not a URL, as it is not UTF-8: {shown_url(text)!r}") from None
    place = _place(text)
    if place is not None and "@" in place[0]:
        raise InvalidRequest(
            f"user name and password must not be in a URL, {login}: {shown_url(text)!r}"
        )
    if place is not None:
        text = place[0] + quote(text[place.end() :], safe=SAFE)
    if not text.lower().startswith(("http://", "https://")):
        raise InvalidRequest(f"not a URL that begins with http:// or https://: {shown_url(text)!r}")
    return URL(text)
