"""Validation of header fields that are sent: names, values, repetition, and what they may say.

Rules of RFC 9110 section 5 for all fields, and those of single fields that a client has to keep. A
section that has passed can only be read in one way, by any recipient.

Not here: received fields, which a regular expression checks as a whole (h1/response_head.py), the
fields that follow from the body (h1/body_fields.py), and the request line (h1/request_head.py).
"""

from __future__ import annotations

import functools
from collections.abc import Iterable, Mapping
from typing import Final, NoReturn

from ..errors import InvalidRequest
from .headers import Fields, as_text, field_pairs
from .patterns import compiled_later
from .redaction import MASK, SECRET, quoted, shown_text, shown_url
from .target import HOST

_token = compiled_later(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
_host = compiled_later(rf"({HOST})(?::([0-9]{{1,5}}))?")
_value = compiled_later(r"[\t\x20-\x7e\x80-\xff]*")
FRAMING: Final = frozenset({"content-length", "transfer-encoding"})
# Fields for framing, routing, authentication and the like, forbidden in trailers: RFC 9110 6.5.1.
NO_TRAILERS: Final = FRAMING | frozenset(
    [
        *("age", "authorization", "cache-control", "connection", "content-encoding"),
        *("content-range", "content-type", "cookie", "date", "expect", "expires", "host"),
        *("if-match", "if-modified-since", "if-none-match", "if-range", "if-unmodified-since"),
        *("keep-alive", "location", "max-forwards", "proxy-authenticate", "proxy-authorization"),
        *("proxy-connection", "range", "retry-after", "set-cookie", "te", "trailer", "upgrade"),
        *("vary", "warning", "www-authenticate"),
    ]
)
# Request fields allowed only once; recipients would interpret two in different ways (RFC 9110
# section 5.3). Cookie is not among them any more: RFC 6265 section 5.4 demanded one, its successor
# (draft-ietf-httpbis-rfc6265bis) allows several.
SINGLE: Final = FRAMING | frozenset(
    [
        *("authorization", "content-location", "content-md5", "content-range", "content-type"),
        *("date", "from", "host", "http2-settings", "if-modified-since", "if-range"),
        *("if-unmodified-since", "max-forwards", "origin", "proxy-authorization", "range"),
        *("referer", "user-agent"),
    ]
)
# Hop-by-hop fields, and the connection options they need: RFC 9110 sections 7.8 and 10.1.4, RFC
# 7540 section 3.2.1. Without the options a proxy would forward the fields.
CONNECTION_OPTIONS: Final = {
    "upgrade": "Upgrade",
    "http2-settings": "HTTP2-Settings",
    "te": "TE",
}
# Fields for all recipients, which cannot be connection options (section 7.6.1).
END_TO_END: Final = frozenset({"authorization", "cache-control", "content-length", "host"})
# Methods without a meaning for content, or with another one for the bytes (section 9.3).
BODILESS: Final = frozenset({"CONNECT", "TRACE"})
MAX_PORT: Final = 65535
KEEP_ALIVE: Final = "keep-alive"  # the default connection option
MEANINGFUL: Final = frozenset({"connection", "expect", "te", "trailer"})  # see `check_meaning`
COMMON_LENGTH: Final = 64  # characters; longer names are not cached


def is_token(text: str) -> bool:
    """Return True if *text* is a token (RFC 9110 section 5.6.2)."""
    return _token().fullmatch(text) is not None


class FieldLines:
    """The fields of a header or trailer section, checked and serialised.

    Repeated fields stay separate and in order. Connection options for hop-by-hop fields
    (`CONNECTION_OPTIONS`) are added if the caller has not given them.

    Never changed, so it can be used for any number of requests: in place of the fields of one.

    Args:
        fields: the caller's argument. It is neither changed nor kept.
        trailers: True for those of a trailer section, which add no connection options.

    Raises:
        InvalidRequest: a name is not a token; a value has CR, LF, NUL or another control
            character (RFC 9110 section 5.5) or one beyond Latin-1, or is neither str nor bytes;
            a field would change the framing; or a field is repeated that is allowed only once.
        TypeError: *fields* are neither a mapping nor pairs, or a name is neither str nor bytes.

    Attributes:
        text: the field lines, each with its CRLF, of Latin-1 characters.
        values: the names in lower case, each with its value. Several values of one name are one
            list, separated by commas (RFC 9110 section 5.3).

    """

    __slots__ = ("text", "values")

    def __init__(self, fields: Fields = (), *, trailers: bool = False) -> None:
        lines: list[str] = []
        values: dict[str, str] = {}
        for given_name, given_value in field_pairs(fields, "trailers" if trailers else "headers"):
            name = given_name if type(given_name) is str else _as_name(given_name)
            value = given_value if type(given_value) is str else _as_value(name, given_value)
            key = _key(name) if len(name) <= COMMON_LENGTH else _key.__wrapped__(name)
            if key not in values:
                values[key] = value
            elif key in SINGLE:
                _refuse_second(lines, name, value)
            else:
                values[key] += f", {value}"
            lines.append(f"{name}: {value}\r\n")
        if values and not _value().fullmatch("".join(values.values())):  # one call for all of them
            _refuse_value(lines)
        if not trailers and not CONNECTION_OPTIONS.keys().isdisjoint(values):
            _name_options(lines, values)
        self.text = "".join(lines)
        self.values = values

    def __contains__(self, name: str) -> bool:
        """Return True if there is a field called *name*, in lower case."""
        return name in self.values

    def encode(self) -> bytes:
        """Return the field lines."""
        return self.text.encode("latin-1")


def as_lines(fields: Fields | FieldLines) -> FieldLines:
    """Return *fields* as `FieldLines`, which they may be already."""
    return fields if isinstance(fields, FieldLines) else FieldLines(fields)


@functools.lru_cache(maxsize=256)
def _key(name: str) -> str:
    """Return the name of a field in lower case, checked. Cached: programs use few names."""
    if not is_token(name):
        shown = f"{name.partition(':')[0]}:..." if ":" in name else name
        raise InvalidRequest(f"name of a header field is not a token: {quoted(shown)}")
    key = name.lower()
    if key in FRAMING:
        raise InvalidRequest(f"{name} follows from the body and cannot be set")
    return key


def _as_name(name: object) -> str:
    """Return the name of a field, which is not a plain `str`, as one."""
    text = as_text(name)
    if not isinstance(text, str):
        raise TypeError(f"name of a header field is neither str nor bytes: {quoted(name)}")
    return text


def _as_value(name: str, value: object) -> str:
    """Return the value of the field *name*, which is not a plain `str`, as one."""
    text = as_text(value)
    if not isinstance(text, str):
        kind = type(value).__name__
        raise InvalidRequest(
            f"value of header field {shown_text(name)} is neither str nor bytes but {kind}"
        )
    return text


def _refuse_second(lines: Iterable[str], name: str, value: str) -> NoReturn:
    """Raise `InvalidRequest` for the repeated field *name*, if *lines* already have it."""
    given = (line.removesuffix("\r\n").partition(": ") for line in lines)
    first = next(parts for parts in given if parts[0].lower() == name.lower())
    shown = [
        f"{each}: {MASK if each.lower() in SECRET else shown_text(text)}"
        for each, text in ((first[0], first[2]), (name, value))
    ]
    raise InvalidRequest(
        f"{name} may be there only once (RFC 9110 section 5.3): {shown[0]!r}, {shown[1]!r}"
    )


def _refuse_value(lines: Iterable[str]) -> None:
    """Raise `InvalidRequest` that names the field of *lines* with an invalid value."""
    for line in lines:
        name, _, value = line.removesuffix("\r\n").partition(": ")
        valid = _value().fullmatch
        if not valid(value):
            place, wrong = next((i, char) for i, char in enumerate(value) if not valid(char))
            raise InvalidRequest(  # the value may be secret, with any name
                f"value of header field {name} is not of Latin-1 characters without control "
                f"characters: it has {quoted(wrong)} behind {place} others"
            )


def _name_options(lines: list[str], values: dict[str, str]) -> None:
    """Add the missing ones of `CONNECTION_OPTIONS` to Connection.

    Both arguments are changed. The options of the caller, or the default one, stay in front.
    """
    named = list_members(values, "connection")
    missing = [
        option for key, option in CONNECTION_OPTIONS.items() if key in values and key not in named
    ]
    if not missing:
        return
    if "connection" not in values:
        lines.insert(0, "")
        place, name, value = 0, "Connection", KEEP_ALIVE
        values["connection"] = value
    else:
        place = max(i for i, line in enumerate(lines) if line.lower().startswith("connection:"))
        name, _, value = lines[place].removesuffix("\r\n").partition(": ")
    kept = [value] if value.strip(" \t") else []
    lines[place] = f"{name}: {', '.join(kept + missing)}\r\n"
    values["connection"] = ", ".join([values["connection"], *missing])


def list_members(values: Mapping[str, str], name: str) -> list[str]:
    """Return the members of a list-based field (RFC 9110 section 5.6.1), in lower case.

    Args:
        values: of all fields, as in `FieldLines`.
        name: of the field, in lower case.

    """
    if name not in values:
        return []
    return [member.strip(" \t").lower() for member in values[name].split(",")]


def check_method(method: str) -> None:
    """Check a request method (RFC 9110 section 9.1).

    Raises:
        InvalidRequest: it is not a token.

    """
    if not is_token(method):
        raise InvalidRequest(f"method is not a token: {quoted(method)}")


def check_host(value: str) -> None:
    """Check a value of Host (RFC 9110 section 7.2).

    Raises:
        InvalidRequest: it is not a host with an optional port.

    """
    match = _host().fullmatch(value)
    if match is None or int(match[2] or 0) > MAX_PORT:
        raise InvalidRequest(f"Host is not a host and a port: {shown_url(value)!r}")


def check_meaning(values: Mapping[str, str], method: str, has_body: bool) -> None:
    """Check that fields do not have values that a client must not send.

    Args:
        values: of the fields, as in `FieldLines`.
        method: request method.
        has_body: True if the request has a body, even an empty one.

    Raises:
        InvalidRequest: one has such a value.

    """
    if has_body and method in BODILESS:
        raise InvalidRequest(f"{method} has no body (RFC 9110 section 9.3)")
    if MEANINGFUL.isdisjoint(values):
        return
    if not has_body and "100-continue" in list_members(values, "expect"):
        raise InvalidRequest("Expect: 100-continue goes with a body (RFC 9110 section 10.1.1)")
    codings = [member.partition(";")[0].strip(" \t") for member in list_members(values, "te")]
    if "chunked" in codings:
        raise InvalidRequest("chunked is no member of TE (RFC 9110 section 10.1.4)")
    for name, forbidden in (("connection", END_TO_END), ("trailer", NO_TRAILERS)):
        if named := forbidden.intersection(list_members(values, name)):
            raise InvalidRequest(f"{name.capitalize()} cannot name {', '.join(sorted(named))}")


def check_version_0(values: Mapping[str, str], *, chunked: bool, expects: bool) -> None:
    """Check that a request uses nothing that HTTP/1.0 does not know.

    Args:
        values: of the caller's fields, as in `FieldLines`.
        chunked: True if the length of the body is unknown.
        expects: True if the body is to wait for 100 (Continue).

    Raises:
        InvalidRequest: it does; the server would wait for ever, or misunderstand it.

    """
    if chunked:
        raise InvalidRequest("a body of unknown length needs HTTP/1.1 (RFC 9112 section 6.1)")
    if expects or "expect" in values:
        raise InvalidRequest("Expect needs HTTP/1.1 (RFC 9110 section 10.1.1)")
    if "upgrade" in values:
        raise InvalidRequest("Upgrade needs HTTP/1.1 (RFC 9110 section 7.8)")


def trailer_lines(fields: Fields) -> FieldLines:
    """Return *fields* as those of a trailer section.

    Raises:
        InvalidRequest: as of `FieldLines`, or a field is not allowed in a trailer section.
        TypeError: as of `FieldLines`.

    """
    lines = FieldLines(fields, trailers=True)
    if named := NO_TRAILERS.intersection(lines.values):
        shown = ", ".join(sorted(named))
        raise InvalidRequest(f"{shown} cannot be a trailer field (RFC 9110 section 6.5.1)")
    return lines


NO_FIELDS: Final = FieldLines()
