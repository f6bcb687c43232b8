"""Request heads: the request line and the fields, serialised (RFC 9112 section 3).

The result can only be read as one request, by any recipient.

Not here: checking the caller's fields (http/header_validation.py), those for the body
(body_fields.py), trailers (trailers.py), and bodies (chunked.py).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping
from typing import Final

from ...errors import InvalidRequest
from ..header_validation import (
    KEEP_ALIVE,
    FieldLines,
    check_host,
    check_method,
    list_members,
)
from ..target import check_agreement, check_target

_origin_form = re.compile(r"/[\x21\x22\x24-\x7e]*").fullmatch
COMMON: Final = frozenset({"GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "PATCH"})
SHOWN: Final = 60  # characters of an invalid value that an error message shows
ForProxy = Callable[[str, str, Collection[str]], str]


def closes(values: Mapping[str, str], minor: int = 1) -> bool:
    """Return True if the fields say that no request will follow (RFC 9112 section 9.3).

    With HTTP/1.0 (*minor* 0) that is the default.
    """
    if "connection" not in values:
        return False  # the default of `RequestHeads` is sent
    options = list_members(values, "connection")
    return "close" in options or (minor == 0 and "keep-alive" not in options)


class RequestHeads:
    """Builds the heads of all requests of one connection.

    Args:
        host: value of the Host field (RFC 9110 section 7.2).
        prefix: makes the absolute-form of a path, for a forward proxy (RFC 9112 section
            3.2.2), such as ``http://example.org``; empty without such a proxy.
        for_proxy: called with method, target in absolute-form and the caller's fields; returns
            field lines for that proxy, checked, each with CRLF.
        minor: minor version of HTTP/1, 0 or 1.

    Attributes:
        minor: as given.
        repeats: True if equal requests have equal heads, and the connection is kept by default.
        known: heads that were built, for whoever remembers them: the same for all connections.

    """

    __slots__ = (
        *("_defaults", "_end", "_for_proxy", "_host", "_prefix", "_tail", "known", "minor"),
        "repeats",
    )

    def __init__(
        self, host: str, prefix: str = "", for_proxy: ForProxy | None = None, minor: int = 1
    ) -> None:
        self.minor = minor
        # The fields for a proxy depend on its last challenge.
        self.repeats = minor > 0 and for_proxy is None
        self.known: dict[tuple[object, ...], bytes] = {}  # by method, target and fields
        self._end = f" HTTP/1.{minor}\r\n"  # of the request line
        self._host = host
        self._prefix = prefix
        self._for_proxy = for_proxy
        self._defaults = {
            "host": f"Host: {host}\r\n",
            "accept-encoding": "Accept-Encoding: identity\r\n",
            "connection": f"Connection: {KEEP_ALIVE}\r\n",
        }
        self._tail = self._end + "".join(self._defaults.values())

    def build(self, method: str, path: str, fields: FieldLines, framing: str) -> bytes:
        """Return a whole head, its empty line included.

        Args:
            method: request method, an exact string.
            path: request target as an exact string, in authority-form with CONNECT, else in
                origin-form, or ``*`` with OPTIONS; or a `Target`.
            fields: the caller's fields, in place of the default ones.
            framing: field lines for the body, each with CRLF.

        Raises:
            InvalidRequest: an argument cannot be sent.

        """
        values = fields.values
        text = fields.text
        if method in COMMON and not self._prefix and _origin_form(path):  # the common case
            target = path
        else:
            check_method(method)
            check_target(path, method)
            if method == "CONNECT" and "host" not in values:
                values = {"host": path, **values}
                text = f"Host: {path}\r\n{text}"
            target = self._target(method, path, values)
        if "host" in values:
            host = values["host"]
            check_host(host)
            if self._prefix and host != self._host:
                raise InvalidRequest(f"through this proxy Host has to be {self._host}")
        if self._for_proxy is not None:
            framing += self._for_proxy(method, target, values)
        if not values or self._defaults.keys().isdisjoint(values):
            tail = self._tail
        else:
            kept = [line for name, line in self._defaults.items() if name not in values]
            tail = self._end + "".join(kept)
        return f"{method} {target}{tail}{text}{framing}\r\n".encode("latin-1")

    def _target(self, method: str, path: str, values: Mapping[str, str]) -> str:
        """Return *path*, which has a form that *method* allows, as it is sent."""
        host = values.get("host", self._host)
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
