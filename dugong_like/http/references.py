"""Reference resolution: the URL that a Location field, or a link, names at a base URL.

RFC 3986 section 5 decides. References come from servers, which were tested with browsers, so some
that RFC 3986 does not allow are read as the URL standard (WHATWG) has it, if that cannot lead to
another host than a browser would choose:

- Blanks and tabs around are dropped. A blank inside, ``"<>^`{}``, and characters that are not ASCII
  are percent-encoded, the latter in UTF-8. Of bytes, such as those of a field value, each that is
  not ASCII is encoded as it is. Percent-encoded bytes stay as they are.
- A backslash in front of the query is a slash, and dots of dot segments may be encoded (``%2E``).
- ``http:a`` is the relative reference ``a`` at an http URL (RFC 3986 section 5.2.2).
- A port may be empty.

References that parsers take for different hosts are refused: those with a control character, inside
or around (browsers drop tabs and line ends), and those whose host is empty (``http:///h``,
``///h``), missing (``https:h`` at an http URL) or percent-encoded.

Not here: URLs that a person types (url.py), which are refused and never changed.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from ..errors import InvalidRequest
from .percent import IN_FRAGMENT, IN_PATH, IN_QUERY, encode
from .redaction import quoted, shown_url

_split = re.compile(
    r"(?:(?P<scheme>[A-Za-z][A-Za-z0-9+.\-]*):)?"
    r"(?:[/\\]{2}(?P<authority>[^/\\?#]*))?"
    r"(?P<path>[^?#]*)(?P<query>\?[^#]*)?(?:#(?P<fragment>.*))?"
).fullmatch  # RFC 3986 appendix B; without line ends
_control = re.compile(r"[\x00-\x1f\x7f]").search


class Resolved(NamedTuple):
    """The parts of the URL that a reference names.

    Attributes:
        scheme: in lower case.
        place: host and port as in the reference; None for those of the base.
        userinfo: user name and password as in the reference; None if there is no ``@``.
        target: path and query, percent-encoded.
        fragment: percent-encoded; None if there is no ``#``.

    """

    scheme: str
    place: str | None
    userinfo: str | None
    target: str
    fragment: str | None


def resolve(reference: str | bytes, scheme: str, target: str) -> Resolved:
    """Resolve *reference* at a URL.

    Args:
        reference: text; or bytes, as they were received.
        scheme: of the base URL, in lower case.
        target: path and query of the base URL.

    Raises:
        InvalidRequest: it is no reference, or has control characters, or names no host.
        TypeError: it is neither a string nor bytes.

    """
    text = _as_text(reference)
    match = _split(text)
    assert match is not None  # any text without line ends matches
    own_scheme, authority, path, query, fragment = match.groups()
    userinfo = place = None
    if authority is not None:
        before, at, place = authority.rpartition("@")
        userinfo = before if at else None
    elif own_scheme is not None and own_scheme.lower() != scheme:
        raise InvalidRequest(f"a reference with a scheme and without a host: {shown_url(text)!r}")
    path = encode(path.replace("\\", "/"), IN_PATH, "surrogateescape")
    if place is not None:
        path = remove_dots(path or "/")
    elif path.startswith("/"):
        path = remove_dots(path)
    else:
        base, mark, base_query = target.partition("?")
        if path:
            path = remove_dots(f"{base.rpartition('/')[0]}/{path}")
        else:
            path = base
            query = mark + base_query if query is None else query
    return Resolved(
        scheme if own_scheme is None else own_scheme.lower(),
        place,
        userinfo,
        path + encode(query or "", IN_QUERY, "surrogateescape"),
        None if fragment is None else encode(fragment, IN_FRAGMENT, "surrogateescape"),
    )


def _as_text(reference: str | bytes) -> str:
    """Return *reference* without blanks around; bytes that are not UTF-8 are escaped."""
    if isinstance(reference, bytes):
        text = bytes.decode(reference, "utf-8", "surrogateescape")
    elif isinstance(reference, str):
        text = str.__str__(reference)
        if not text.isascii() and re.search("[\ud800-\udfff]", text):
            raise InvalidRequest("the reference has half of a surrogate pair")
    else:
        raise TypeError(f"reference is a string or bytes, not {quoted(reference)}")
    text = text.strip(" \t")
    if _control(text):
        raise InvalidRequest(f"the reference has a control character: {shown_url(text)!r}")
    return text


def remove_dots(path: str) -> str:
    """Return *path*, which begins with a slash, without dot segments (RFC 3986 section 5.2.4)."""
    if "/." not in path and "/%2" not in path:
        return path
    kept: list[str] = []
    dots = ""
    for segment in path[1:].split("/"):
        dots = segment.replace("%2e", ".").replace("%2E", ".") if "%" in segment else segment
        if dots == "..":
            del kept[-1:]
        elif dots != ".":
            kept.append(segment)
    if dots in {".", ".."}:
        kept.append("")
    return f"/{'/'.join(kept)}"
