"""The version of a file whose server does not say its tag: the time within which it was stored.

The answer to PUT need not have an entity tag. It has the time of the server (Date), so the file was
changed last between the beginning of the request and its answer. A file that another client stores
later has a later Last-Modified, beyond that span. Where the times of files are not those of Date,
such as on servers that keep times that they are given, HEAD has to be asked for the tag instead:
so the first files are looked at, and some of the others.

A span tells less than a tag: another client may store the file within the same seconds. A token of
the run keeps spans of two runs apart.

Not here: tags (remote.py), and the server that needs spans (manifest.py).
"""

from __future__ import annotations

import math
import re
import secrets
import time
from typing import Final

from ...http.http_date import parse_http_date

SLACK: Final = 1  # seconds: Date may be of the second before, and the clock of files behind
ASKED: Final = 64  # one of so many files is looked at, although spans hold
SECOND: Final = 10**9  # nanoseconds
_is_span = re.compile(r"stored (-?[0-9]{1,12}) (-?[0-9]{1,12}) [0-9a-f]{8}").fullmatch


def is_span(tag: str | None) -> bool:
    """Return True if *tag* is a span."""
    return tag is not None and _is_span(tag) is not None


def is_within(tag: str | None, modified_ns: int | None) -> bool:
    """Return True if *tag* is a span, and a file that was changed then is within it."""
    found = None if tag is None else _is_span(tag)
    if found is None or modified_ns is None:
        return False
    return int(found[1]) <= modified_ns // SECOND <= int(found[2])


class Spans:
    """The spans of a run."""

    def __init__(self) -> None:
        self._token = secrets.token_hex(4)
        self._hold = False
        self._given = 0
        self._date: tuple[str, int | None] = ("", None)  # the last one, and its seconds

    def span(self, date: str | None, began: float) -> str | None:
        """Return the span of a file that was stored.

        Args:
            date: field Date of the response.
            began: `time.monotonic()` before the request was sent.

        Returns:
            None if it has no date.

        """
        if date is not None and date != self._date[0]:
            self._date = (date, parse_http_date(date, time.time()))
        end = None if date is None else self._date[1]
        if end is None:
            return None
        begin = end - math.ceil(time.monotonic() - began) - SLACK
        return f"stored {begin} {end + SLACK} {self._token}"

    def is_enough(self, span: str | None) -> bool:
        """Return True if a file needs no HEAD."""
        self._given += 1
        return span is not None and self._hold and self._given % ASKED != 0

    def learn(self, span: str | None, modified_ns: int | None) -> None:
        """Note what HEAD has said of a file: whether its time is within its span."""
        self._hold = is_within(span, modified_ns)
