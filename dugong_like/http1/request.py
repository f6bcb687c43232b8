"""Heads of requests: check what the caller gave, and serialise it (RFC 9112 section 3).

Nothing leaves this file that could be read as more than the one request it is.

Not here: which framing the body gets (body_fields.py), and bodies (chunked.py).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Final

from ..errors import InvalidRequest
from ..headers import CaseInsensitiveDict, Fields, Headers
from .target import HOST, check_agreement, check_target

_token = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+").fullmatch
_host = re.compile(rf"({HOST})(?::([0-9]{{1,5}}))?").fullmatch
_origin_form = re.compile(r"/[\x21\x22\x24-\x7e]*").fullmatch
COMMON: Final = frozenset({"GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "PATCH"})
_value = re.compile(r"[\t\x20-\x7e\x80-\xff]*").fullmatch
FRAMING: Final = frozenset({"content-length", "transfer-encoding"})
# What a recipient needs before the body, or what says who sends it to whom: RFC 9110 section 6.5.1.
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
# Fields with one value, of those that a client may send; two would mean one thing to one
# recipient and another to the next (RFC 9110 section 5.3, RFC 6265 section 5.4 for Cookie).
SINGLE: Final = FRAMING | frozenset(
    [
        *("authorization", "content-location", "content-md5", "content-range", "content-type"),
        *("cookie", "date", "from", "host", "if-modified-since", "if-range"),
        *("if-unmodified-since", "max-forwards", "origin", "proxy-authorization", "range"),
        *("referer", "user-agent"),
    ]
)
# Fields that are for everybody on the way and cannot be connection options (section 7.6.1).
END_TO_END: Final = frozenset({"authorization", "cache-control", "content-length", "host"})
# Requests whose content has no meaning, or would be taken for something else (section 9.3).
BODILESS: Final = frozenset({"CONNECT", "TRACE"})
MAX_PORT: Final = 65535
SHOWN: Final = 60  # characters of a bad value that an error message shows
ForProxy = Callable[[str, str, Fields | None], str]


def check_method(method: str) -> None:
    """Check a request method (RFC 9110 section 9.1).

    Raises:
        InvalidRequest: it is not a token.

    """
    if not _token(method):
        raise InvalidRequest(f"method is not a token: {method[:SHOWN]!r}")


def check_host(value: object) -> None:
    """Check a value of Host (RFC 9110 section 7.2).

    Raises:
        InvalidRequest: it is not a host and perhaps a port.

    """
    match = _host(value) if isinstance(value, str) else None
    if match is None or int(match[2] or 0) > MAX_PORT:
        raise InvalidRequest(f"Host is not a host and a port: {value!r}")


def list_members(fields: Fields | Mapping[str, str], name: str) -> list[str]:
    """Return the members of a list-based field (RFC 9110 section 5.6.1), in lower case."""
    values = fields.get_values(name) if isinstance(fields, Headers) else (fields.get(name),)
    lists = (value.split(",") for value in values if isinstance(value, str))
    return [member.strip(" \t").lower() for members in lists for member in members]


def check_single(fields: Headers) -> None:
    """Check that no field comes twice that may not (RFC 9110 section 5.3).

    Raises:
        InvalidRequest: one does.

    """
    seen: set[str] = set()
    for name, _ in fields:
        key = name.lower()
        if key in SINGLE and key in seen:
            raise InvalidRequest(f"{name} may be there only once (RFC 9110 section 5.3)")
        seen.add(key)


def check_meaning(fields: Fields | None, method: str, has_body: bool) -> None:
    """Check that *fields* do not say what a client must not say.

    Raises:
        InvalidRequest: they do.

    """
    if has_body and method in BODILESS:
        raise InvalidRequest(f"{method} has no body (RFC 9110 section 9.3)")
    if not fields:
        return
    if isinstance(fields, Headers):
        check_single(fields)
    if not has_body and "100-continue" in list_members(fields, "expect"):
        raise InvalidRequest("Expect: 100-continue goes with a body (RFC 9110 section 10.1.1)")
    codings = [member.partition(";")[0].strip(" \t") for member in list_members(fields, "te")]
    if "chunked" in codings:
        raise InvalidRequest("chunked is no member of TE (RFC 9110 section 10.1.4)")
    for name, forbidden in (("connection", END_TO_END), ("trailer", NO_TRAILERS)):
        if named := forbidden.intersection(list_members(fields, name)):
            raise InvalidRequest(f"{name.capitalize()} cannot name {', '.join(sorted(named))}")


def encode_trailers(fields: Fields) -> bytes:
    """Return *fields* as lines of a trailer section, each with its CRLF.

    Raises:
        InvalidRequest: what `encode_fields` says, or a field may not come behind the body.

    """
    lines = encode_fields(fields)
    if isinstance(fields, Headers):
        check_single(fields)
    for name in fields.keys():  # noqa: SIM118 - iterating over `Headers` gives pairs
        if name.lower() in NO_TRAILERS:
            raise InvalidRequest(f"{name} cannot be a trailer field (RFC 9110 section 6.5.1)")
    return lines


def encode_fields(fields: Fields | Mapping[str, str], *, framing: bool = False) -> bytes:
    """Return *fields* as field lines, each with its CRLF.

    Args:
        fields: names and values; values are encoded as Latin-1.
        framing: True if Content-Length and Transfer-Encoding are allowed.

    Raises:
        InvalidRequest: a name is not a token; a value has CR, LF, NUL or another
            control character (RFC 9110 section 5.5) or one beyond Latin-1; a field
            would change the framing.

    """
    lines = []
    for name, value in fields.items():
        if not isinstance(name, str) or not _token(name):
            shown = name[:SHOWN] if isinstance(name, str) else name
            raise InvalidRequest(f"name of a header field is not a token: {shown!r}")
        if not isinstance(value, str) or not _value(value):
            raise InvalidRequest(
                f"value of header field {name} is not a str of Latin-1 characters without "
                f"control characters: {value[:SHOWN] if isinstance(value, str) else value!r}",
            )
        if not framing and name.lower() in FRAMING:
            raise InvalidRequest(f"{name} follows from the body and cannot be set")
        lines.append(f"{name}: {value}\r\n")
    return "".join(lines).encode("latin-1")


def check_version_0(fields: Fields | None, *, chunked: bool, expects: bool) -> None:
    """Check that a request has nothing that HTTP/1.0 does not know.

    Args:
        fields: the caller's fields.
        chunked: True if the length of the body is not known.
        expects: True if the body is to wait for 100 (Continue).

    Raises:
        InvalidRequest: it has; the server would wait for ever, or misunderstand it.

    """
    if chunked:
        raise InvalidRequest("a body of unknown length needs HTTP/1.1 (RFC 9112 section 6.1)")
    if expects or (fields and "expect" in fields):
        raise InvalidRequest("Expect needs HTTP/1.1 (RFC 9110 section 10.1.1)")
    if fields and "upgrade" in fields:
        raise InvalidRequest("Upgrade needs HTTP/1.1 (RFC 9110 section 7.8)")


def closes(fields: Fields | Mapping[str, str] | None, minor: int = 1) -> bool:
    """Return True if *fields* say that no request will follow (RFC 9112 section 9.3).

    With HTTP/1.0 (*minor* 0) that is so wherever they do not say the opposite.
    """
    if fields is None or "connection" not in fields:
        return False  # the default of `RequestHeads` is sent
    options = list_members(fields, "connection")
    return "close" in options or (minor == 0 and "keep-alive" not in options)


class RequestHeads:
    """Writes the heads of all requests of one connection.

    Args:
        host: value of the Host field (RFC 9110 section 7.2).
        prefix: what makes a path the absolute-form that a forward proxy wants (RFC 9112
            section 3.2.2), such as ``http://example.org``; empty without such a proxy.
        for_proxy: called with method, target in absolute-form and the caller's fields; returns
            field lines for that proxy, checked, each with CRLF.
        minor: minor version of HTTP/1 that is spoken, 0 or 1.

    """

    __slots__ = ("_defaults", "_end", "_for_proxy", "_host", "_prefix", "_tail", "minor")

    def __init__(
        self, host: str, prefix: str = "", for_proxy: ForProxy | None = None, minor: int = 1
    ) -> None:
        self.minor = minor
        self._end = f" HTTP/1.{minor}\r\n"  # of the request line
        self._host = host
        self._prefix = prefix
        self._for_proxy = for_proxy
        self._defaults = {
            "host": f"Host: {host}\r\n",
            "accept-encoding": "Accept-Encoding: identity\r\n",
            "connection": "Connection: keep-alive\r\n",
        }
        self._tail = self._end + "".join(self._defaults.values())

    def build(
        self,
        method: str,
        path: str,
        fields: Fields | None,
        framing: str,
    ) -> bytes:
        """Return a whole head, its empty line included.

        Args:
            method: request method, an exact string.
            path: request target as an exact string, in authority-form with CONNECT, else in
                origin-form, or ``*`` with OPTIONS; or a `Target`.
            fields: the caller's fields, of exact strings; they win over the default ones.
            framing: field lines that follow from the body, each with CRLF.

        Raises:
            InvalidRequest: any of them cannot be sent as it is.

        """
        if method in COMMON and not self._prefix and _origin_form(path):  # as most are
            target = path
        else:
            check_method(method)
            check_target(path, method)
            if method == "CONNECT" and not (fields and "host" in fields):
                kind = Headers if isinstance(fields, Headers) else CaseInsensitiveDict
                fields = kind([("Host", path), *(fields.items() if fields else ())])
            target = self._target(method, path, fields)
        if fields and "host" in fields:
            host = fields.get("host")
            check_host(host)
            if self._prefix and host != self._host:
                raise InvalidRequest(f"through this proxy Host has to be {self._host}")
        if self._for_proxy is not None:
            framing += self._for_proxy(method, target, fields)
        if not fields:
            return f"{method} {target}{self._tail}{framing}\r\n".encode("latin-1")
        tail = "".join(line for name, line in self._defaults.items() if name not in fields)
        return b"".join(
            (
                f"{method} {target}{self._end}".encode("ascii"),
                tail.encode("latin-1"),
                encode_fields(fields),
                framing.encode("latin-1"),
                b"\r\n",
            ),
        )

    def _target(self, method: str, path: str, fields: Fields | None) -> str:
        """Return *path*, which is in a form that goes with *method*, as it goes on the wire."""
        host = fields.get("host", self._host) if fields else self._host
        if not isinstance(host, str):
            check_host(host)
        if method == "CONNECT":
            if self._prefix:
                raise InvalidRequest("CONNECT goes to a proxy that is given as the host")
            if host.lower() not in {path.lower(), path.lower().rpartition(":")[0]}:
                raise InvalidRequest(f"with CONNECT {path[:SHOWN]} Host is that, too")
            return path
        if check_agreement(path, host, forwarded=bool(self._prefix)):
            return path
        if self._prefix:
            return self._prefix + ("" if path == "*" else path)
        return path
