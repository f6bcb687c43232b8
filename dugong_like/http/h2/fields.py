"""Header and trailer sections of HTTP/2: what is sent and what is taken (RFC 9113 section 8).

A received section becomes field lines as HTTP/1.1 has them, which one regular expression checks as
a whole: so a response is looked at in the same way over both versions.

Not here: compression (hpack_encoder.py, hpack_decoder.py), and the rules for the fields of requests
of both versions (http/header_validation.py).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final, NoReturn

from ...errors import InvalidRequest, InvalidResponse
from ..content_length import content_length
from ..header_validation import (
    FieldLines,
    check_host,
    check_method,
    is_token,
    list_members,
    trailer_lines,
)
from ..headers import Fields
from ..redaction import quoted
from ..target import check_agreement, check_target
from .hpack_decoder import FieldSection
from .static_table import Field

# A whole section as lines. Names are checked one by one before, as there may be ":" in one.
_section = re.compile(
    rb"(?:\r\n[!#-'*+\-.^-z|~0-9]++:(?![\t ])[\t -~\x80-\xff]*+(?<![\t ]))*+\r\n"
).fullmatch
_name = re.compile(rb"[!#$%&'*+\-.^_`|~0-9a-z]+").fullmatch
_status = re.compile(rb"[1-9][0-9][0-9]").fullmatch
_origin_form = re.compile(r"/[\x21\x22\x24-\x7e]*").fullmatch
_absolute_form = re.compile(r"([^:]+)://[^/?]*(.*)").fullmatch
# Fields about a connection of HTTP/1, which no message of HTTP/2 has (section 8.2.2).
CONNECTION_SPECIFIC: Final = frozenset(
    [
        *(b"connection", b"http2-settings", b"keep-alive", b"proxy-connection"),
        *(b"transfer-encoding", b"upgrade"),
    ]
)
OK: Final = 200
NO_CONTENT: Final = (204, 304)  # statuses of responses that never have content (RFC 9110 6.4.1)
SWITCHING_PROTOCOLS: Final = 101
MOST_NAMES: Final = 256  # that are remembered as valid
LONGEST_NAME: Final = 64  # bytes of one
SHOWN: Final = 60  # characters of an invalid value that an error message shows
MOST_TAILS: Final = 32  # fields of requests that are remembered
COMMON: Final = {
    method: (b":method", method.encode())
    for method in ("GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "PATCH")
}
ACCEPT_ENCODING: Final = b"accept-encoding", b"identity"  # as with HTTP/1.1, unless it is given

_plain: Final[set[bytes]] = set()  # valid names of fields without further rules


class ResponseHead:
    """The head of a response; shared by responses with the same fields.

    Attributes:
        version: ``"2"``.
        status: status code, 100 to 999.
        reason: empty, as HTTP/2 has none.
        fields: CRLF, and the fields as lines, each with its CRLF, so that CRLF precedes every name.
            Names are in lower case.
        lower: the same, as values need not be in lower case to find names.
        count: number of fields.
        content_length: the value of Content-Length; None without it.
        plain: see `HTTPResponse.is_plain`; None before anybody has asked.
        size: bytes of content that follow it: 0 if a response with this status never has any, or
            is an informational one (RFC 9110 section 6.4.1); else Content-Length, or None without
            it.

    """

    version: Final = "2"
    reason: Final = b""
    __slots__ = (*("content_length", "count", "fields", "lower", "plain", "size", "status"),)

    def __init__(self, status: int, fields: bytes, count: int, content_length: int | None) -> None:
        self.status = status
        self.fields = self.lower = fields
        self.count = count
        self.content_length = content_length
        self.plain: bool | None = None
        self.size = 0 if status < OK or status in NO_CONTENT else content_length


def response_head(section: FieldSection) -> ResponseHead:
    """Return the head of a response, interim or final (section 8.3.2).

    Raises:
        InvalidResponse: the section is malformed (section 8.1.1).

    """
    head = section.checked
    if type(head) is ResponseHead:
        return head
    if not section or section[0][0] != b":status":
        raise InvalidResponse(
            "a header section does not begin with :status (RFC 9113 section 8.3.2)"
        )
    value = section[0][1]
    if not _status(value):
        raise InvalidResponse(
            f":status is not three digits (RFC 9113 section 8.3.2): {quoted(value)}"
        )
    status = int(value)
    if status == SWITCHING_PROTOCOLS:
        raise InvalidResponse("101 in HTTP/2, which has none (RFC 9113 section 8.6)")
    fields = section[1:]
    lines, length = _lines(fields)
    head = section.checked = ResponseHead(status, lines, len(fields), length)
    return head


def trailer_section(section: FieldSection) -> bytes:
    """Return a trailer section as field lines, each with its CRLF.

    Raises:
        InvalidResponse: it is malformed, or has pseudo-fields (section 8.1).

    """
    lines, _ = _lines(section)
    return lines[2:]


def _lines(fields: list[Field]) -> tuple[bytes, int | None]:
    """Return CRLF and *fields* as lines, each with its CRLF; and the value of Content-Length.

    Raises:
        InvalidResponse: a field is not allowed here.

    """
    length = None
    for name, value in fields:
        if name not in _plain:
            if name == b"content-length":
                length = content_length(value, length)
            else:
                _check_name(name, value)
    lines = b"\r\n%b\r\n" % b"\r\n".join(map(b":".join, fields)) if fields else b"\r\n"
    if not _section(lines) or lines.count(b"\n") != len(fields) + 1:
        # Section 8.2.1 forbids blanks at the ends of values, but many servers send what HTTP/1
        # would cut off; nothing can be misread if it is cut off here, too.
        trimmed = [(name, value.strip(b" \t")) for name, value in fields]
        if trimmed == fields:
            _refuse_value(fields)
        return _lines(trimmed)
    return lines, length


def _check_name(name: bytes, value: bytes) -> None:
    """Check the name of a received field, and keep it if there are no more rules for it."""
    if not _name(name):
        if name.startswith(b":"):
            problem = "a pseudo-field where none may be (RFC 9113 section 8.3)"
        elif name != name.lower():
            problem = "the name of a field has upper-case letters (RFC 9113 section 8.2.1)"
        else:
            problem = "the name of a field is not a token (RFC 9113 section 8.2.1)"
        raise InvalidResponse(f"{problem}: {quoted(name)}")
    if name in CONNECTION_SPECIFIC or (name == b"te" and value != b"trailers"):
        raise InvalidResponse(
            f"{name.decode()} is a field of HTTP/1 connections (RFC 9113 section 8.2.2)"
        )
    if len(name) <= LONGEST_NAME and name != b"te":
        if len(_plain) >= MOST_NAMES:
            _plain.clear()
        _plain.add(name)


def _refuse_value(fields: list[Field]) -> NoReturn:
    """Raise `InvalidResponse` that names the field with an invalid value."""
    shown = "a field"
    for name, value in fields:
        if not _section(b"\r\n" + name + b":" + value + b"\r\n") or b"\n" in value:
            shown = name.decode()
            break
    raise InvalidResponse(f"the value of {shown} has control characters (RFC 9113 section 8.2.1)")


class RequestFields:
    """Builds the header sections of the requests of one connection.

    Args:
        scheme: ``"https"`` or ``"http"``.
        authority: host, and port unless it is the default one, for requests without Host.

    """

    __slots__ = ("_authority", "_scheme", "_tails")

    def __init__(self, scheme: str, authority: str) -> None:
        self._scheme = b":scheme", scheme.encode()
        self._authority = b":authority", authority.encode()
        self._tails: dict[str, tuple[Field, tuple[Field, ...]]] = {}

    def build(
        self,
        method: str,
        target: str,
        fields: FieldLines,
        length: int | None = None,
        *,
        protocol: str = "",
    ) -> tuple[Field, ...]:
        """Return the fields of a request, the pseudo-fields in front (section 8.3.1).

        Equal arguments give equal results.

        Args:
            method: request method, an exact string.
            target: request target, as of `RequestHeads` of HTTP/1.1: in authority-form with
                CONNECT, else in origin-form, ``*`` with OPTIONS, or a `Target`.
            fields: the caller's fields, in place of the default ones.
            length: bytes of the body; None if there is none, or it is unknown.
            protocol: for an extended CONNECT (RFC 8441 section 4), whose target is a path.

        Raises:
            InvalidRequest: an argument cannot be sent.

        """
        authority, tail = self._tails.get(fields.text) or self._tail(fields)
        if length is not None:
            tail = (*tail, (b"content-length", b"%d" % length))
        if method in COMMON and not protocol and _origin_form(target):  # the common case
            path = b":path", target.encode()
            return (COMMON[method], self._scheme, authority, path, *tail)
        return (*self._special(method, target, authority, protocol), *tail)

    def _special(
        self, method: str, target: str, authority: Field, protocol: str
    ) -> tuple[Field, ...]:
        """Return the pseudo-fields of a request that is not a common one."""
        check_method(method)
        host = authority[1].decode()
        verb = b":method", method.encode()
        if method == "CONNECT" and not protocol:  # section 8.5
            check_target(target, method)
            if authority is not self._authority and host.lower() not in {
                target.lower(),
                target.lower().rpartition(":")[0],
            }:
                raise InvalidRequest(f"with CONNECT {target[:SHOWN]} Host is that, too")
            return verb, (b":authority", target.encode())
        scheme = self._scheme
        check_target(target, "GET" if protocol else method)
        if check_agreement(target, host, forwarded=False):
            named, rest = _absolute_form(target).groups()  # type: ignore[union-attr]  # it is one
            scheme = b":scheme", named.lower().encode()
            if not rest.startswith("/"):
                rest = f"/{rest}" if rest or method != "OPTIONS" else "*"
            target = rest
        pseudo = verb, scheme, authority, (b":path", target.encode())
        if not protocol:
            return pseudo
        if method != "CONNECT":
            raise InvalidRequest(f":protocol goes with CONNECT, not with {method[:SHOWN]}")
        if not is_token(protocol):
            raise InvalidRequest(f"protocol is not a token: {quoted(protocol)}")
        return (*pseudo, (b":protocol", protocol.encode()))

    def _tail(self, fields: FieldLines) -> tuple[Field, tuple[Field, ...]]:
        """Return the authority, and the fields behind the pseudo-fields, but no Content-Length."""
        authority = self._authority
        if "host" in fields.values:
            host = fields.values["host"]
            check_host(host)
            authority = b":authority", host.encode()
        defaults = () if "accept-encoding" in fields.values else (ACCEPT_ENCODING,)
        if len(self._tails) >= MOST_TAILS:
            self._tails.clear()
        made = self._tails[fields.text] = authority, (*defaults, *_sent(fields))
        return made


def trailer_fields(fields: Fields) -> tuple[Field, ...]:
    """Return *fields* as those of a trailer section.

    Raises:
        InvalidRequest: as of `http.header_validation.trailer_lines`.
        TypeError: as of it.

    """
    return tuple(_sent(trailer_lines(fields)))


def _sent(fields: FieldLines) -> Iterator[Field]:
    """Give the caller's fields as they are sent, but Host.

    Raises:
        InvalidRequest: one is for HTTP/1 only (section 8.2.2).

    """
    for line in fields.encode().split(b"\r\n")[:-1]:
        given, _, value = line.partition(b":")
        name = given.lower()
        value = value.strip(b" \t")  # section 8.2.1
        if name in CONNECTION_SPECIFIC:
            if name == b"connection" and _says_nothing(fields):
                continue
            raise _for_http_1(given, "is for HTTP/1 connections")
        if name == b"te" and value.lower() != b"trailers":
            raise _for_http_1(given, "may only be trailers in HTTP/2")
        if name == b"cookie":  # section 8.2.3
            yield from ((name, crumb) for crumb in value.split(b"; "))
        elif name != b"host":
            yield name, value


def _says_nothing(fields: FieldLines) -> bool:
    """Return True if Connection says no more than what holds for each connection of HTTP/2.

    That is to keep it, and that TE is there, as `FieldLines` adds it. Both are left out by whatever
    makes a message of HTTP/2 of one of HTTP/1 (RFC 9110 section 7.6.1).
    """
    return {"keep-alive", "te"}.issuperset(list_members(fields.values, "connection"))


def _for_http_1(name: bytes, problem: str) -> InvalidRequest:
    """Return the error for a field of HTTP/1."""
    exc = InvalidRequest(f"{name.decode()} {problem} (RFC 9113 section 8.2.2)")
    exc.for_http_1 = True
    return exc
