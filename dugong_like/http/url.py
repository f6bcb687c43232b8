"""URLs and origins as values: checked when they are made, and never changed.

Grammar: RFC 3986 sections 3 and 6.2, with RFC 9110 section 4.2 for ``http`` and ``https``, and RFC
6455 section 3 for ``ws`` and ``wss``.

The text of a URL is typed by a person: nothing in it is changed, and text that cannot be sent is
refused with an error that says what to write. References are sent by servers: they are read as
browsers do.

Not here: checks of names and ports (hosts.py), reading references (references.py), and URLs of
proxies, which may have a password (transport/proxy/proxy.py).
"""

from __future__ import annotations

import functools
import re
from collections.abc import Callable
from typing import Any, Final, TypedDict, Unpack

from ..errors import InvalidRequest
from .headers import exact
from .hosts import (
    HTTP_PORT,
    HTTPS_PORT,
    PLACE,
    authority,
    check_hostname,
    check_port,
    place_in_url,
    read_place,
)
from .patterns import compiled_later
from .percent import NOT_SENT, advice, encode, is_shown
from .query import Params, QueryParams, check_query, encode_params
from .redaction import mask_target, quoted, shown_url

PORTS: Final = {"http": HTTP_PORT, "https": HTTPS_PORT, "ws": HTTP_PORT, "wss": HTTPS_PORT}
SCHEME: Final = r"(?P<scheme>[A-Za-z][A-Za-z0-9+\-.]*)"
SECURE: Final = frozenset(["https", "wss"])
NO_FRAGMENTS: Final = frozenset(["ws", "wss"])  # RFC 6455 section 3
TARGET: Final = r"[\x21\x22\x24-\x7e]*"  # as `check_target` accepts a path


# Beginning, target and fragment of a URL; the beginning is looked at by `_origin`.
_url = re.compile(rf"([^:/?#]+://[^/?#]+)((?:[/?]{TARGET})?)(?:#({TARGET}))?").fullmatch
_begin = re.compile(rf"{SCHEME}://{PLACE}").fullmatch
_place = compiled_later(PLACE)
_target = compiled_later(rf"/{TARGET}")
_path = re.compile(r"(?:/[\x21\x22\x24-\x3e\x40-\x7e]*)?").fullmatch  # a target without a query
_any = compiled_later(TARGET)
_control = compiled_later(r"[\x00-\x1f\x7f]")
_half = compiled_later(r"(?P<scheme>https?|wss?):/?(?P<rest>[^/0-9].*)", re.IGNORECASE)
_authority = compiled_later(r"[^:/?#]*://[^/?#]*")


class Origin:
    """Scheme, host and port of a server (RFC 9110 section 4.3.1).

    Immutable and hashable: equal ones have the same scheme, host and port.

    Args:
        scheme: ``"http"``, ``"https"``, ``"ws"`` or ``"wss"``, in any case.
        host: a name, or an IP address, without brackets.
        port: None for 80, or 443 with ``https`` and ``wss``.

    Raises:
        InvalidRequest: an argument is not valid.
        TypeError: an argument has the wrong type.

    Attributes:
        scheme: in lower case.
        host: in lower case; a name in ASCII, as it is looked up (IDNA). Addresses are not
            normalised: ``::1`` and ``0::1`` are two hosts.
        port: a number from 1 to 65535.

    """

    __slots__ = ("_hash", "_text", "host", "port", "scheme")

    scheme: str
    host: str
    port: int
    _text: str
    _hash: int

    def __init__(self, scheme: str, host: str, port: int | None = None) -> None:
        if not isinstance(scheme, str):
            raise TypeError(f"scheme is a string, not {quoted(scheme)}")
        known = exact(scheme).lower()
        if known not in PORTS:
            raise InvalidRequest(f"not one of the schemes {', '.join(PORTS)}: {quoted(scheme)}")
        name, percent, zone = check_hostname(host).partition("%")
        port = PORTS[known] if port is None else check_port(port)
        host = name.lower() + percent + zone
        text = f"{known}://{place_in_url(host, port, PORTS[known])}"
        for key, value in (
            *(("scheme", known), ("host", host), ("port", port)),
            *(("_text", text), ("_hash", hash(text))),
        ):
            object.__setattr__(self, key, value)

    @property
    def host_field(self) -> str:
        """The value of Host: the host, and the port unless it is the default one."""
        return authority(self.host, self.port, PORTS[self.scheme])

    @property
    def secure(self) -> bool:
        """True if the scheme uses TLS."""
        return self.scheme in SECURE

    is_ssl = secure  # its name in other libraries

    def url(self, target: str = "/") -> URL:
        """Return the URL of *target*, a path and a query, at this origin.

        Raises:
            InvalidRequest: *target* cannot be sent as a path, or has a fragment.
            TypeError: it is not a string.

        """
        if not isinstance(target, str):
            raise TypeError(f"target is a string, not {quoted(target)}")
        if not _target().fullmatch(exact(target)):
            raise InvalidRequest(
                f"not a path and a query{advice(target, _target().fullmatch)}: {quoted(target)}"
            )
        return URL(f"{self}{exact(target)}")

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError(f"an Origin is never changed: {name}")

    def __delattr__(self, name: str) -> None:
        raise AttributeError(f"an Origin is never changed: {name}")

    def __reduce__(self) -> tuple[type[Origin], tuple[str, str, int]]:
        return Origin, (self.scheme, self.host, self.port)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Origin):
            return NotImplemented
        return self._text == other._text

    def __hash__(self) -> int:
        return self._hash

    def __str__(self) -> str:
        return self._text

    def __repr__(self) -> str:
        return f"Origin({self.scheme!r}, {self.host!r}, {self.port})"


class URLParts(TypedDict, total=False):
    """Arguments of `URL.copy_with`."""

    scheme: str
    host: str
    port: int | None
    authority: str
    path: str
    query: str | QueryParams | None
    target: str
    fragment: str | None


class URL:
    """A URL of a resource, split and checked.

    Immutable and hashable. Scheme and host are compared without regard to case, the default port
    equals no port, and an empty path equals ``/``. Percent-encoding and dot segments are not
    normalised, as servers may distinguish ``%7E`` and ``~``. The fragment is not compared: it is
    never sent, and does not identify another resource to a server (RFC 9110 section 7.1).
    ``str(url)`` is the URL in its normal form, with its fragment.

    Args:
        text: such as ``"https://www.example.org:8080/a/b?c#d"``. Everything except the host has to
            be ASCII, percent-encoded as it is to be sent. ``ws`` and ``wss`` have no fragment.

    Raises:
        InvalidRequest: it is not an absolute URL of a known scheme, or has white space or a
            control character; or it has a user name or a password, which would never be sent but
            get into logs (RFC 9110 section 4.2.4): see `split_credentials`. The message says what
            to write, where that is clear, and does not contain credentials.
        TypeError: it is not a string.

    Attributes:
        origin: the `Origin`; `scheme`, `host` and `port` are taken from it.
        target: path and query, as in a request; at least ``/``.
        fragment: without ``#``; empty if there is none.

    """

    __slots__ = ("fragment", "origin", "target")

    origin: Origin
    target: str
    fragment: str

    def __init__(self, text: str) -> None:
        if type(text) is not str:
            if not isinstance(text, str):
                raise TypeError(f"text, a URL, is a string, not {quoted(text)}")
            text = exact(text)
        match = _url(text)
        if match is None:
            raise InvalidRequest(_problem(text))
        begin, target, fragment = match.groups()
        try:
            origin = _origin(begin)
        except _NotABeginning:
            origin = None
        if origin is None:
            raise InvalidRequest(_problem(text))
        _set(self, origin, target if target[:1] == "/" else f"/{target}", fragment)

    @property
    def scheme(self) -> str:
        """``"http"``, ``"https"``, ``"ws"`` or ``"wss"``."""
        return self.origin.scheme

    @property
    def host(self) -> str:
        """Name or address of the server; see `Origin`."""
        return self.origin.host

    @property
    def port(self) -> int:
        """Port of the server."""
        return self.origin.port

    @property
    def authority(self) -> str:
        """Host and port as in the URL; the default port is left out."""
        return str(self.origin).partition("://")[2]

    @property
    def path(self) -> str:
        """The path, percent-encoded; at least ``/``."""
        return self.target.partition("?")[0]

    @property
    def query(self) -> str:
        """The query, percent-encoded, without ``?``; empty if there is none."""
        return self.target.partition("?")[2]

    @property
    def params(self) -> QueryParams:
        """The parameters of the query."""
        return QueryParams(self.query)

    @property
    def full_path(self) -> str:
        """Path and query: `target`."""
        return self.target

    @property
    def is_ssl(self) -> bool:
        """True if the scheme uses TLS."""
        return self.origin.secure

    @property
    def is_absolute_url(self) -> bool:
        """True: a relative reference is a string, see `join`."""
        return True

    @property
    def is_relative_url(self) -> bool:
        """False; see `is_absolute_url`."""
        return False

    def copy_with(self, **parts: Unpack[URLParts]) -> URL:
        """Return a URL with other parts, percent-encoded as in a URL.

        Args:
            scheme: another one; the default port stays the default.
            host: name or address, without brackets.
            port: None for the default of the scheme.
            authority: host and port in place of both, as in a URL.
            path: empty, or from its first slash on.
            query: without ``?``, or `QueryParams`; None or an empty one for none.
            target: path and query in place of both.
            fragment: without ``#``; None or an empty one for none.

        Raises:
            InvalidRequest: a part is not valid.
            TypeError: a part has the wrong type, is unknown, or given twice.

        """
        for name in parts:
            if name not in URLParts.__annotations__:
                raise TypeError(f"parts of a URL are {', '.join(URLParts.__annotations__)}: {name}")
        if "authority" in parts and ("host" in parts or "port" in parts):
            raise TypeError("authority is in place of host and port, and not with them")
        if "target" in parts and ("path" in parts or "query" in parts):
            raise TypeError("target is in place of path and query, and not with them")
        fragment = parts.get("fragment", self.fragment) or None
        url: URL = object.__new__(URL)
        _set(
            url,
            self._other_origin(parts),
            self._other_target(parts),
            None if fragment is None else _part("fragment", fragment, _any().fullmatch),
        )
        return url

    def _other_origin(self, parts: URLParts) -> Origin:
        scheme = parts.get("scheme", self.scheme)
        if "authority" in parts:
            authority = _text("authority", parts["authority"])
            match = _place().fullmatch(authority)
            if match is None:
                raise InvalidRequest(f"not a host, perhaps with a port: {shown_url(authority)!r}")
            return Origin(scheme, *read_place(match["host"], match["port"]))
        if parts.keys().isdisjoint({"scheme", "host", "port"}):
            return self.origin
        default = None if self.port == PORTS[self.scheme] else self.port
        return Origin(scheme, parts.get("host", self.host), parts.get("port", default))

    def _other_target(self, parts: URLParts) -> str:
        if "target" in parts:
            return _part("target", parts["target"], _target().fullmatch)
        if parts.keys().isdisjoint({"path", "query"}):
            return self.target
        path, mark, query = self.target.partition("?")
        if "path" in parts:
            path = _part("path", parts["path"], _path) or "/"
        if "query" in parts:
            given = parts["query"]
            if given is None or isinstance(given, QueryParams):
                query = str(given or "")
            else:
                query = check_query(_text("query", given), "query")
            mark = "?" if query else ""
        return path + mark + query

    def with_query(self, params: Params) -> URL:
        """Return the URL with *params* behind its query, which stays byte for byte as it is.

        A name that is in the query already is there twice then. To replace parameters, use
        ``url.copy_with(query=url.params.merge(params))``.

        Args:
            params: see `QueryParams`; None, or none, for this URL.

        Raises:
            InvalidRequest, TypeError: see `QueryParams`.

        """
        query = encode_params(params)
        if not query:
            return self
        before = self.target
        mark = "?" if "?" not in before else "" if before[-1] in "?&" else "&"
        url: URL = object.__new__(URL)
        _set(url, self.origin, f"{before}{mark}{query}", self.fragment or None)
        return url

    def join(self, reference: str | bytes | URL, *, keep_fragment: bool = False) -> URL:
        """Return the URL that *reference* names at this one (RFC 3986 section 5.2).

        It may be absolute. It is read as browsers do: see :ref:`references`.

        Args:
            reference: such as a link, or the value of Location; as bytes if they are not ASCII, as
                a field value as a string is Latin-1.
            keep_fragment: True for a redirect, where the fragment of this URL is kept if
                *reference* has none (RFC 9110 section 10.2.2).

        Raises:
            InvalidRequest: it has no known scheme, no valid host or a control character; or it has
                a user name or a password: see `split_credentials`.
            TypeError: it is neither a string nor bytes nor a URL.

        """
        from .references import resolve  # noqa: PLC0415 - for links and redirects

        if isinstance(reference, URL):
            reference = str(reference)
        found = resolve(reference, self.scheme, self.target)
        if found.userinfo is not None:
            raise InvalidRequest(
                "the reference has a user name or a password: split_credentials() splits them off"
            )
        fragment = found.fragment
        if fragment is None and keep_fragment and found.scheme not in NO_FRAGMENTS:
            fragment = self.fragment or None
        origin: Origin | None = self.origin
        if found.place is not None:
            try:
                origin = _origin(f"{found.scheme}://{found.place}")
            except _NotABeginning:
                origin = None
        if origin is None:
            raise InvalidRequest(f"a reference to no host: {shown_url(found.place or '')!r}")
        url: URL = object.__new__(URL)
        _set(url, origin, found.target, fragment)
        return url

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError(f"a URL is never changed: {name}")

    def __delattr__(self, name: str) -> None:
        raise AttributeError(f"a URL is never changed: {name}")

    def __reduce__(self) -> tuple[type[URL], tuple[str]]:
        return URL, (str(self),)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, URL):
            return NotImplemented
        return self.target == other.target and self.origin == other.origin

    def __hash__(self) -> int:
        return hash((self.origin, self.target))

    def __str__(self) -> str:
        fragment = f"#{self.fragment}" if self.fragment else ""
        return f"{self.origin}{self.target}{fragment}"

    def __repr__(self) -> str:
        return f"URL({mask_target(str(self))!r})"


_set_origin: Any = URL.__dict__["origin"].__set__  # the descriptors of its slots
_set_target: Any = URL.__dict__["target"].__set__
_set_fragment: Any = URL.__dict__["fragment"].__set__


def _set(url: URL, origin: Origin, target: str, fragment: str | None) -> None:
    """Give *url* its parts, which have been checked. *fragment*: None if there is no ``#``."""
    if fragment is None:
        fragment = ""
    elif origin.scheme in NO_FRAGMENTS:
        raise InvalidRequest(f"a URL with {origin.scheme} has no fragment (RFC 6455 section 3)")
    _set_origin(url, origin)
    _set_target(url, target)
    _set_fragment(url, fragment)


class _NotABeginning(Exception):
    """It is no scheme, host and port."""


@functools.lru_cache(maxsize=256)
def _origin(begin: str) -> Origin:
    """Return the origin of a URL that begins with *begin*: scheme, host and port.

    Raises:
        InvalidRequest: one of them is not valid.
        _NotABeginning: they cannot be told apart.

    """
    match = _begin(begin)
    if match is None:
        raise _NotABeginning
    scheme = match["scheme"].lower()
    if scheme not in PORTS:
        raise InvalidRequest(f"not a URL of {', '.join(PORTS)}: {quoted(scheme)}")
    return Origin(scheme, *read_place(match["host"], match["port"]))


def _text(name: str, value: object) -> str:
    """Return *value*, an argument called *name*. Raises TypeError if it is not a string."""
    if not isinstance(value, str):
        raise TypeError(f"{name} of a URL is a string, not {quoted(value)}")
    return exact(value)


def _part(name: str, value: object, fits: Callable[[str], object]) -> str:
    """Return *value*, an argument called *name*, after checking that it *fits*."""
    text = _text(name, value)
    if not fits(text):
        raise InvalidRequest(f"not the {name} of a URL{advice(text, fits)}: {quoted(text)}")
    return text


def _problem(text: str) -> str:
    """Return a message that says why *text* is not a URL, and what to write."""
    shown = shown_url(text)
    if "@" in re.split(r"[/?#]", text.partition("://")[2], maxsplit=1)[0]:
        return (
            "a URL with a user name or a password: split_credentials() splits them off, and they "
            f"are sent as a header field: {shown!r}"
        )
    if _control().search(text.strip()):
        return f"not a URL, as there is a control character in it: {shown!r}"
    if text.startswith("/") and not text.startswith("//"):
        return f"not a URL but a path, which URL.join() joins to one: {shown!r}"
    written = _written(text)
    if written is not None:
        around = ", as there is white space around it" if text != text.strip() else ""
        return f"not a URL{around}: write {written}"
    if text and "://" not in text:
        return f"not a URL: is https:// missing in front? {shown!r}"
    return f"not a URL (scheme, host, perhaps a port, and what is percent-encoded): {shown!r}"


def _is_this_machine(rest: str) -> bool:
    """Return True if *rest*, a URL without its scheme, begins with a name of this machine."""
    return re.match(r"(localhost|127\.[0-9.]+|\[::1\])(:|/|\?|$)", rest, re.IGNORECASE) is not None


def _written(text: str) -> str | None:
    """Return *text* as it is to be written, if that is clear and has no credentials."""
    text = text.strip()
    half = _half().fullmatch(text)
    if half is not None:
        text = f"{half['scheme']}://{half['rest']}"
    elif "://" not in text:
        rest = text.removeprefix("//")
        text = f"{'http' if _is_this_machine(rest) else 'https'}://{rest}"
    place = _authority().match(text)
    if place is None:
        return None
    target, mark, fragment = text[place.end() :].partition("#")
    try:
        text = place[0] + encode(f"{target}{mark}" + fragment.replace("#", "%23"), NOT_SENT)
        match = _url(text)
        if match is None or not is_shown(text):
            return None
        _origin(match[1])
    except (InvalidRequest, _NotABeginning):
        return None
    return text


def as_origin(place: Origin | URL | str) -> Origin:
    """Return the origin of *place*, which may be the text of a URL.

    Raises:
        InvalidRequest, TypeError: it is not a URL; see `URL`.

    """
    if isinstance(place, Origin):
        return place
    if not isinstance(place, URL | str):
        raise TypeError(f"place is a URL, its text or an Origin, not {quoted(place)}")
    return (place if isinstance(place, URL) else URL(place)).origin
