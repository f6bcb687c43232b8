"""Parsing the challenges of 401 and 407 responses (RFC 9110 sections 11.3 and 11.6.1).

One field may have several challenges, and commas separate them as well as the parameters of one,
so a field is read from left to right, each byte a fixed number of times. A field that violates
the grammar has no challenges: the end of a realm is never guessed.

Not here: the credentials (auth/).
"""

from __future__ import annotations

import re
from typing import Final, NamedTuple

MAX_CHALLENGES: Final = 16  # in all fields of a response; servers send one to four
MAX_PARAMETERS: Final = 32  # of one challenge; Digest has ten (RFC 7616 section 3.3)

WORD: Final = r"[!#$%&'*+\-.^_`|~0-9A-Za-z]++"
QUOTED: Final = r'"(?:[\t \x21\x23-\x5b\x5d-\x7e\x80-\xff]|\\[\t \x21-\x7e\x80-\xff])*+"'
END: Final = r"[\t ]*+(?:,|\Z)"  # of an element of the list

PARAMETER: Final = rf"({WORD})[\t ]*+=[\t ]*+({WORD}|{QUOTED}){END}"
TOKEN68: Final = r"([A-Za-z0-9\-._~+/]++=*+)" + END

_gap = re.compile(r"[\t ,]*+").match
_parameter = re.compile(PARAMETER).match
_challenge = re.compile(rf"({WORD})(?: ++{TOKEN68}| ++(?={PARAMETER})|{END})").match
_escaped = re.compile(r"\\(.)", re.DOTALL)


class Challenge(NamedTuple):
    """One challenge: a scheme and its parameters.

    Attributes:
        scheme: name of the scheme, in lower case, such as ``"basic"``.
        parameters: names in lower case, and values without quotes; each character of a
            value is one byte that was sent (Latin-1).
        token68: the token in place of parameters, or "".

    """

    scheme: str
    parameters: dict[str, str]
    token68: str = ""


def challenges_in(fields: bytes, name: bytes) -> list[Challenge]:
    """Return the challenges in the fields called *name*, in their order.

    Args:
        fields: CRLF, and checked field lines, each with its CRLF; see `head.Head`.
        name: ``b"proxy-authenticate"`` or ``b"www-authenticate"``, in lower case.

    """
    found: list[Challenge] = []
    for value in re.findall(rb"(?i:\n%b):([^\r]*+)" % re.escape(name), fields):
        found += parse_challenges(value.decode("latin-1"))
    return found[:MAX_CHALLENGES]


def parse_challenges(value: str) -> list[Challenge]:
    """Return the challenges in one field *value*; none if it violates the grammar or a limit."""
    found: list[Challenge] = []
    at = _skip(value, 0)
    while at < len(value):
        if found and not found[-1].token68 and (match := _parameter(value, at)):
            if not _add(found[-1].parameters, match):
                return []
        elif match := _challenge(value, at):
            found.append(Challenge(match[1].lower(), {}, match[2] or ""))
        else:
            return []
        if len(found) > MAX_CHALLENGES:
            return []
        at = _skip(value, match.end())
    return found


def parse_parameters(value: str) -> dict[str, str]:
    """Return the parameters in *value*, of a field such as ``Authentication-Info``.

    Names and values are as in `Challenge`; there are none if it violates the grammar or a limit
    (RFC 9110 section 11.6.3).
    """
    found: dict[str, str] = {}
    at = _skip(value, 0)
    while at < len(value):
        match = _parameter(value, at)
        if match is None or not _add(found, match):
            return {}
        at = _skip(value, match.end())
    return found


def _skip(value: str, at: int) -> int:
    """Return the start of the next element; some may be empty (RFC 9110 section 5.6.1)."""
    gap = _gap(value, at)
    assert gap is not None  # it may be empty
    return gap.end()


def _add(parameters: dict[str, str], match: re.Match[str]) -> bool:
    """Add a parameter; False if it is there already, or there are too many."""
    name, text = match[1].lower(), match[2]
    if name in parameters or len(parameters) >= MAX_PARAMETERS:
        return False
    parameters[name] = _escaped.sub(r"\1", text[1:-1]) if text[0] == '"' else text
    return True
