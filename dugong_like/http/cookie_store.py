"""The cookies of a client, found by domain and by name (RFC 6265bis section 5.7).

All that happens for one request or line takes time by the cookies of its domain, not by all
cookies: each domain has a dict of its own. So has each name.

Not here: locks (cookies.py calls everything under one), and what the user may set.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Final

from .cookie import Cookie, Place, domain_matches, path_matches

# Upper bounds (section 5.7, "remove excess cookies"); those of Chrome. At least 50 and 3000 are
# asked for by section 6.1.
MAX_PER_DOMAIN: Final = 180
MAX_COOKIES: Final = 3000

Key = tuple[str, bool, str, str]  # domain, host-only-flag, path, name: one cookie of each


class Kept:
    """A cookie in the store."""

    __slots__ = ("cookie", "serial")

    def __init__(self, cookie: Cookie, serial: int) -> None:
        self.cookie = cookie
        self.serial = serial  # the order of creation; a cookie that replaces another keeps its one


NONE: Final[Mapping[Key, Kept]] = {}


class CookieStore:
    """Cookies, each by domain, host-only-flag, path and name.

    Loops go over copies, as the garbage collector or a handler of signals may come in between.
    """

    def __init__(self) -> None:
        self._all: dict[Key, Kept] = {}  # the least recently used first
        self._by_domain: dict[str, dict[Key, Kept]] = {}  # likewise
        self._by_name: dict[str, dict[Key, Kept]] = {}
        self._serial = 0
        self._next_expiry = math.inf  # no cookie expires earlier

    def __len__(self) -> int:
        return len(self._all)

    def put(self, cookie: Cookie, now: float) -> None:
        """Store *cookie* in place of the one with the same key; delete that if it has expired."""
        key = _key(cookie)
        old = self._remove(key)
        if cookie.expires is not None:
            if cookie.expires <= now:
                return
            self._next_expiry = min(self._next_expiry, cookie.expires)
        if old is None:
            self._serial += 1
        kept = Kept(cookie, self._serial if old is None else old.serial)
        self._all[key] = kept
        self._index(key, kept)
        self._remove_excess(cookie.domain)

    def remove(self, cookies: Iterable[Cookie]) -> None:
        """Remove *cookies*, as far as they are there."""
        for cookie in cookies:
            self._remove(_key(cookie))

    def expire(self, now: float) -> bool:
        """Remove what has expired; False if nothing can have, which costs next to nothing."""
        if now < self._next_expiry:
            return False
        self._next_expiry = math.inf
        for key, kept in [*self._all.items()]:
            expires = kept.cookie.expires
            if expires is None:
                continue
            if expires <= now:
                self._remove(key)
            else:
                self._next_expiry = min(self._next_expiry, expires)
        return True

    def for_request(self, place: Place) -> list[Cookie]:
        """Return the cookies of a request, in the order in which they are sent (section 5.8.3).

        They count as used.
        """
        _, path, secure = place
        found = [
            (-len(kept.cookie.path), kept.serial, key)
            for key, kept in self._of_host(place.host)
            if (secure or not kept.cookie.secure) and path_matches(path, kept.cookie.path)
        ]
        found.sort()
        return [kept.cookie for _, _, key in found if (kept := self._used(key)) is not None]

    def overlays_secure(self, cookie: Cookie) -> bool:
        """Return True if *cookie*, from an insecure place, would hide a secure one.

        "Leave secure cookies alone" (section 5.7, step 16): somebody who controls a connection
        without TLS shall not choose what the server gets by one with TLS.
        """
        return any(
            kept.cookie.secure
            and path_matches(cookie.path, kept.cookie.path)
            and (
                domain_matches(kept.cookie.domain, cookie.domain)
                or domain_matches(cookie.domain, kept.cookie.domain)
            )
            for kept in [*self._by_name.get(cookie.name, NONE).values()]
        )

    def of_host(self, host: str) -> list[Cookie]:
        """Return the cookies that requests to *host* get, if path and scheme fit."""
        return [kept.cookie for _, kept in self._of_host(host)]

    def of_name(self, name: str) -> list[Cookie]:
        """Return the cookies called *name*, in order of creation."""
        return _ordered(self._by_name.get(name, NONE).values())

    def of_domain(self, domain: str) -> list[Cookie]:
        """Return the cookies of exactly *domain*, in order of creation."""
        return _ordered(self._by_domain.get(domain, NONE).values())

    def cookies(self) -> list[Cookie]:
        """Return all cookies in order of creation."""
        return _ordered(self._all.values())

    def index_again(self) -> None:
        """Make the indices anew from all cookies: the last change may have been cut off."""
        self._by_domain = {}
        self._by_name = {}
        for key, kept in [*self._all.items()]:
            self._index(key, kept)

    def _of_host(self, host: str) -> list[tuple[Key, Kept]]:
        """Return what *host* gets: its own cookies, and those of the domains above it."""
        found = [*self._by_domain.get(host, NONE).items()]
        _, dot, domain = host.partition(".")
        while dot:
            if (part := self._by_domain.get(domain)) is not None:
                found += [entry for entry in [*part.items()] if not entry[1].cookie.host_only]
            _, dot, domain = domain.partition(".")
        return found

    def _used(self, key: Key) -> Kept | None:
        """Return what is stored for *key*, which becomes the most recently used."""
        kept = self._all.pop(key, None)
        if kept is not None:
            self._all[key] = kept
            part = self._by_domain.setdefault(key[0], {})
            part.pop(key, None)
            part[key] = kept
        return kept

    def _index(self, key: Key, kept: Kept) -> None:
        self._by_domain.setdefault(key[0], {})[key] = kept
        self._by_name.setdefault(key[3], {})[key] = kept

    def _remove(self, key: Key) -> Kept | None:
        kept = self._all.pop(key, None)
        for index, entry in ((self._by_domain, key[0]), (self._by_name, key[3])):
            if (part := index.get(entry)) is not None:
                part.pop(key, None)
                if not part:
                    index.pop(entry, None)
        return kept

    def _remove_excess(self, domain: str) -> None:
        """Remove excess cookies in the order of section 5.7; expired ones are gone already."""
        mine = self._by_domain.get(domain, NONE)
        if len(mine) > MAX_PER_DOMAIN:
            recent = [*mine.items()]
            insecure = [entry for entry in recent if not entry[1].cookie.secure]
            self._remove((insecure or recent)[0][0])
        if len(self._all) > MAX_COOKIES:
            self._remove(next(iter(self._all)))


def _key(cookie: Cookie) -> Key:
    return cookie.domain, cookie.host_only, cookie.path, cookie.name


def _ordered(kept: Iterable[Kept]) -> list[Cookie]:
    return [entry.cookie for entry in sorted(kept, key=lambda entry: entry.serial)]
