"""Dispatchers for some URLs of a client.

Not here: the dispatchers.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from ..errors import InvalidOption, InvalidRequest
from ..http.redaction import quoted
from ..http.url import URL
from ..polling.contract import Co

if TYPE_CHECKING:
    from .dispatcher import Dispatcher, Send
    from .request import ClientRequest
    from .response import Response


class Pattern:
    """The beginning of URLs: scheme, host, port and path, each of which may be left open.

    Args:
        text: such as ``"https://"``, ``"all://example.org"``, ``"http://*.example.org:8080"``
            (the host and all below it), or ``"https://example.org/api/"``.

    Raises:
        InvalidOption: there is no ``://`` in it, or the port is no number.
        TypeError: it is not a string.

    """

    def __init__(self, text: str) -> None:
        if not isinstance(text, str):
            raise TypeError(f"mounts: the beginning of URLs is a string, not {quoted(text)}")
        scheme, separator, rest = text.partition("://")
        if not separator:
            raise InvalidOption(f"mounts: {quoted(text)} has no '://'; write 'all://{text}'")
        place, slash, path = rest.partition("/")
        host, colon, port = place.rpartition(":")
        if not colon or "]" in port:
            host, port = place, ""
        if port and not port.isdecimal():
            raise InvalidOption(f"mounts: the port of {quoted(text)} is no number")
        self.scheme = scheme.lower()
        self.host = "" if host == "*" else _as_in_urls(host)
        self.port = int(port) if port else None
        self.path = slash + path if path else ""

    @property
    def rank(self) -> tuple[bool, int, bool, int, bool]:
        """How special it is; larger ones are tried first."""
        return (
            bool(self.host and "*" not in self.host),
            len(self.host),
            self.port is not None,
            len(self.path),
            self.scheme != "all",
        )

    def fits(self, url: URL) -> bool:
        """Return True if *url* begins like this."""
        if self.scheme not in ("all", url.scheme):
            return False
        if self.port not in (None, url.port) or not url.target.startswith(self.path):
            return False
        host = url.host
        if self.host.startswith("*."):
            return host == self.host[2:] or host.endswith(self.host[1:])
        return self.host in ("", host)


def _as_in_urls(host: str) -> str:
    """Return *host*, perhaps with ``*.`` in front, as it is in a `URL`.

    Raises:
        InvalidOption: it is no host.

    """
    name = host.removeprefix("*.")
    if not name:
        return host
    try:
        return host[: len(host) - len(name)] + URL(f"http://{name}/").host
    except InvalidRequest as exc:
        raise InvalidOption(f"mounts: {quoted(host)} is no host: {exc}") from None


class Mounts:
    """The dispatchers of a client for the URLs that fit a pattern.

    Args:
        dispatchers: by the text of a `Pattern`.

    Raises:
        InvalidOption, TypeError: see `Pattern`.

    """

    def __init__(self, dispatchers: Mapping[str, Dispatcher]) -> None:
        patterns = [(Pattern(text), one) for text, one in dispatchers.items()]
        for text, one in dispatchers.items():
            if isinstance(one, type) or not hasattr(one, "co_dispatch"):
                shown = quoted(one)
                raise TypeError(f"mounts: {quoted(text)} needs a dispatcher, not {shown}")
        self._mounted = sorted(patterns, key=lambda pair: pair[0].rank, reverse=True)

    def over(self, otherwise: Send) -> Send:
        """Return what sends by the dispatcher that fits best, or by *otherwise*."""

        def co_send(request: ClientRequest) -> Co[Response]:
            for pattern, dispatcher in self._mounted:
                if pattern.fits(request.url):
                    return dispatcher.co_dispatch(request)
            return otherwise(request)

        return co_send

    def co_close(self) -> Co[None]:
        """Close all dispatchers."""
        failures = []
        for dispatcher in {id(one): one for _, one in self._mounted}.values():
            try:
                yield from dispatcher.co_close()
            except Exception as exc:  # noqa: BLE001 - the others are closed first
                failures.append(exc)
        if failures:
            raise failures[0]
