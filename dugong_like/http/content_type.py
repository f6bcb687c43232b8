"""Content-Type: media type and parameters (RFC 9110 section 8.3), and the lists of parameters.

Fields are read as far as they make sense: a parameter that breaks the grammar is left out, and the
others count.

Not here: what a charset means (text.py).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache
from typing import Final, NamedTuple

from .patterns import compiled_later

WORD: Final = r"[!#$%&'*+\-.^_`|~0-9A-Za-z]++"  # a token (RFC 9110 section 5.6.2)
QUOTED: Final = r'"(?:[^"\\]|\\.)*+"'
NO_LIST: Final = ";"  # what ends a parameter
LIST: Final = ";,"  # the same in a list, in which a comma begins the next element


@cache
def _parameter_of(ends: str) -> re.Pattern[str]:
    """Return the pattern of a parameter, and what else is there up to one of *ends*.

    A value without quotes may have blanks, which servers send in names of files.
    """
    value = rf"{QUOTED}|[^{ends}\"]*+"
    broken = rf"{QUOTED}|[^{ends}\"]|\"(?=[^\"]*+\Z)"
    return re.compile(
        rf"[\t ]*+;[\t ]*+(?:({WORD})[\t ]*+(?:=[\t ]*+({value}))?[\t ]*+(?=[{ends}]|\Z)"
        rf"|(?:{broken})*+)",
        re.DOTALL,
    )


_media_type = compiled_later(rf"[\t ]*+({WORD}/{WORD})[\t ]*+(?=[;,]|\Z)")
_escaped = compiled_later(r"\\(.)", re.DOTALL)


class ContentType(NamedTuple):
    """Media type of a body, with its parameters.

    Attributes:
        media_type: such as ``"text/html"``, in lower case; "" if there is none that is valid.
        parameters: values by names in lower case, without quotes. The first of one name counts.

    """

    media_type: str
    parameters: dict[str, str]

    @property
    def charset(self) -> str:
        """The value of ``charset``, without white space around it; "" if there is none."""
        return self.parameters.get("charset", "").strip(" \t'")


def parse_content_type(value: str) -> ContentType:
    """Return the media type in *value*, of the field Content-Type. "" has none."""
    match = _media_type().match(value)
    if match is None:
        return ContentType("", {})
    return ContentType(match[1].lower(), first_of_each(parameters(value, match.end())))


def first_of_each(pairs: Iterator[tuple[str, str]]) -> dict[str, str]:
    """Return pairs as a dict in which the first one of each name counts."""
    found: dict[str, str] = {}
    for name, value in pairs:
        found.setdefault(name, value)
    return found


def parameters(text: str, at: int, ends: str = LIST) -> Iterator[tuple[str, str]]:
    """Yield the parameters that begin at index *at*, where a semicolon or the end is.

    Args:
        text: value of a field.
        at: an index.
        ends: `NO_LIST`, or `LIST` if they end at a comma as well as at the end of *text*.

    Returns:
        Names in lower case, and values without quotes; "" for a parameter without a value.

    """
    match = _parameter_of(ends).match(text, at)
    while match is not None:
        if match[1] is not None:
            yield match[1].lower(), unquoted(match[2] or "")
        match = _parameter_of(ends).match(text, match.end())


def end_of_parameters(text: str, at: int) -> int:
    """Return the index of the comma, or of other text, behind the parameters at index *at*."""
    match = _parameter_of(LIST).match(text, at)
    while match is not None:
        at = match.end()
        match = _parameter_of(LIST).match(text, at)
    return at


def unquoted(value: str) -> str:
    """Return a token or a quoted string (RFC 9110 section 5.6.4) without quotes and escapes."""
    return _escaped().sub(r"\1", value[1:-1]) if value.startswith('"') else value.rstrip("\t ")
