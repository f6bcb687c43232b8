"""The cookies of a client: a jar (RFC 6265bis sections 5.7 and 5.8).

`Cookies.extract` takes what responses set, `Cookies.header` makes what requests send; both are
given the time. For everything else a jar is like a dict of names and values.

A client asks for `Cookies.is_empty` before it asks for more, so an empty jar costs nothing.

Not here: parsing (cookie.py), the order of eviction (cookie_store.py), files (cookie_files.py).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from threading import RLock
from typing import TYPE_CHECKING, Any, Final, TypeVar, Union, cast

from ..errors import CookieConflict, InvalidRequest
from ..polling.fork import after_fork
from .cookie import (
    WHITE,
    Cookie,
    Place,
    check_pair,
    is_narrow,
    path_matches,
    read_set_cookie,
    unsendable,
)
from .cookie_store import CookieStore
from .headers import Text, as_text, field_pairs
from .hosts import check_hostname
from .public_suffixes import IsPublicSuffix, default_list
from .redaction import quoted
from .url import URL, Origin, as_origin

if TYPE_CHECKING:
    from .cookie_files import PathLike

T = TypeVar("T")
# Sources of cookies; the last are pairs, or a http.cookiejar.CookieJar.
CookieSource = Union["Cookies", Mapping[str, Text], Mapping[bytes, Text], Iterable[Any]]


class Cookies:
    """The cookies of a client, as browsers keep them (RFC 6265bis).

    May be shared by threads and event loops; nothing waits longer than for some microseconds. A
    child process has a copy, as of everything.

    **Cookies without a domain**, such as those of ``Cookies({"a": "b"})``, are for one host: that
    of `bind`, or else that of the next request. No other host gets them, such as the one that a
    redirect leads to. If that request uses TLS, only such ones get them later.

    Args:
        source: what `update` takes.
        is_public_suffix: a function that returns True for a domain below which anybody may
            register names, such as ``"co.uk"``; it gets ASCII in lower case. None: the package
            publicsuffixlist if it is installed (the extra ``psl``), or else a short built-in list.

    Raises:
        InvalidRequest, TypeError: see `update`.

    Attributes:
        is_empty: True if there is no cookie. Read only.

    """

    def __init__(
        self, source: CookieSource | None = None, *, is_public_suffix: IsPublicSuffix | None = None
    ) -> None:
        if is_public_suffix is not None and not callable(is_public_suffix):
            raise TypeError(f"is_public_suffix is a function, not {quoted(is_public_suffix)}")
        self._start(is_public_suffix or _by_default)
        if source is not None:
            self.update(source)

    def _start(self, is_public_suffix: IsPublicSuffix) -> None:
        self.is_empty = True
        self._is_public_suffix = is_public_suffix
        self._store = CookieStore()
        self._unbound: dict[tuple[str, str], Cookie] = {}  # by name and path
        self._home: Origin | None = None  # of `bind`
        self._now = 0.0  # the last time that was passed, which may be before others
        self._lock = RLock()  # the garbage collector or a handler of signals may come in between
        after_fork(self._in_child)

    # Responses and requests

    def extract(self, url: URL | Origin | str, set_cookie_lines: Iterable[str], now: float) -> None:
        """Store the cookies that a response sets; ignore those that it must not set.

        Args:
            url: URL of the request.
            set_cookie_lines: values of the fields Set-Cookie of the response, in order.
            now: the time, in seconds since 1970 (``time.time()``).

        Raises:
            InvalidRequest: *url* is not a URL.
            TypeError: an argument has the wrong type.

        """
        if isinstance(set_cookie_lines, str | bytes):
            raise TypeError("set_cookie_lines is a list of values, not one of them")
        place = Place.of(url)
        found = []
        for line in set_cookie_lines:
            if not isinstance(text := as_text(line), str):
                raise TypeError(f"a line Set-Cookie is a string, not {quoted(line)}")
            cookie = read_set_cookie(text, place, now, self._is_public_suffix)
            if cookie is not None:
                found.append(cookie)
        if not found:
            return
        with self._lock:
            self._expire(now)
            for cookie in found:
                if place.secure or not self._store.overlays_secure(cookie):
                    self._store.put(cookie, now)
            self._changed()

    def header(self, url: URL | Origin | str, now: float, more: Any = ()) -> str | None:
        """Return the value of the field Cookie for a request; None if there is nothing to send.

        Cookies without a domain are bound to the host of *url*, unless `bind` was called.

        Args:
            url: URL of the request.
            now: the time, in seconds since 1970 (``time.time()``).
            more: cookies of this request only: a mapping, pairs, or the value of a field Cookie.
                They come last, and replace those with the same name.

        Raises:
            InvalidRequest: *url* is not a URL, or a cookie in *more* cannot be sent.
            TypeError: an argument has the wrong type.

        """
        own = _own_pairs(more) if more else []
        place = Place.of(url)
        with self._lock:
            self._expire(now)
            if self._unbound:
                self._bind(place)
            cookies = self._store.for_request(place)
        pairs = [(cookie.name, cookie.value) for cookie in cookies]
        if own:
            names = {name for name, _ in own}
            pairs = [pair for pair in pairs if pair[0] not in names] + own
        return "; ".join(f"{name}={value}" if name else value for name, value in pairs) or None

    def bind(self, url: URL | Origin | str) -> None:
        """Bind cookies without a domain, also those of later, to the host of *url*.

        If it uses TLS, they are sent over TLS only. Each replaces those with its name that the
        host has set or gets from the domains above it.

        Raises:
            InvalidRequest, TypeError: *url* is not a URL.

        """
        origin = as_origin(url)
        with self._lock:
            self._home = origin
            self._bind(_home_place(origin))
            self._changed()

    # Names and values

    def __getitem__(self, name: str) -> str:
        """Return the value of the cookie called *name*.

        Raises:
            KeyError: there is none.
            CookieConflict: there are several, of different domains or paths.

        """
        found = self._one(name)
        if found is None:
            raise KeyError(name)
        return found.value

    def __setitem__(self, name: str, value: str) -> None:
        self.set(name, value)

    def __delitem__(self, name: str) -> None:
        if not self._delete(name):
            raise KeyError(name)

    def get(
        self,
        name: str,
        default: T = None,  # type: ignore[assignment]  # as dict
        domain: str | None = None,
        path: str | None = None,
    ) -> str | T:
        """Return the value of the cookie called *name*, or *default*.

        One without a domain comes before all others.

        Args:
            name: its name.
            default: returned if there is none.
            domain: None for any domain.
            path: None for any path.

        Raises:
            CookieConflict: there are several.

        """
        found = self._one(name, domain, path)
        return default if found is None else found.value

    def set(
        self,
        name: str,
        value: str,
        domain: str | None = None,
        path: str = "/",
        *,
        expires: float | None = None,
        secure: bool = False,
    ) -> None:
        """Set a cookie; it replaces those with the same name, domain and path.

        Args:
            name: its name.
            value: sent as it is; str is sent as Latin-1.
            domain: sent to this host and its subdomains; to this host only if it is an IP address
                or a public suffix. None: see `Cookies`. For other flags see `add`.
            path: where the paths of requests begin.
            expires: time at which it ends, in seconds since 1970; None: with the session.
            secure: True for requests over TLS only, or to this machine.

        Raises:
            InvalidRequest: it cannot be sent, or *domain* or *path* can never be that of a request.
            TypeError: an argument has the wrong type.

        """
        self.add(
            Cookie(name, value, domain or "", path, expires, secure=secure, host_only=not domain)
        )

    def add(self, cookie: Cookie) -> None:
        """Set a cookie with all its flags; see `Cookie`. Otherwise as `set`.

        Raises:
            InvalidRequest, TypeError: see `set`.

        """
        if not isinstance(cookie, Cookie):
            raise TypeError(f"not a Cookie but {type(cookie).__name__}")
        checked = self._checked(cookie)
        with self._lock:
            self._store.remove([checked.replaced(host_only=not checked.host_only)])
            self._put([checked])

    def delete(self, name: str, domain: str | None = None, path: str | None = None) -> None:
        """Delete all cookies called *name*, or those of one domain or path; none is no error."""
        self._delete(name, domain, path)

    def clear(self, domain: str | None = None, path: str | None = None) -> None:
        """Delete all cookies, or those of one domain, or of one path of it."""
        self._remove(self.cookies(domain, path))

    def clear_session(self) -> None:
        """Delete the cookies that have no expiry time: the session is over."""
        self._remove([cookie for cookie in self.cookies() if cookie.expires is None])

    def update(self, source: CookieSource) -> None:
        """Add cookies: all of them, or none if it raises.

        Args:
            source: another `Cookies`; a mapping, or pairs, of names and values, which have no
                domain; or a ``http.cookiejar.CookieJar``, such as those of requests and httpx.

        Raises:
            InvalidRequest: a cookie cannot be sent; see `set`.
            TypeError: *source* is something else.

        """
        if isinstance(source, Cookies):
            self._put([self._narrowed(cookie) for cookie in source.cookies()])
        elif hasattr(jar := getattr(source, "jar", source), "extract_cookies"):
            self._put([self._narrowed(_from_jar(cookie)) for cookie in jar])
        else:
            pairs = field_pairs(cast("Any", source), "source of cookies")
            self._put([self._checked(Cookie(name, value)) for name, value in pairs])

    def copy(self) -> Cookies:
        """Return an independent jar with the same cookies."""
        jar = Cookies.__new__(Cookies)
        jar.__setstate__(self.__getstate__())
        return jar

    def cookies(self, domain: str | None = None, path: str | None = None) -> list[Cookie]:
        """Return the cookies, as `Cookie`, in order of creation; or those of one domain or path."""
        if domain is not None:
            domain = _as_domain(domain)
        with self._lock:
            stored = self._store.cookies() if domain is None else self._store.of_domain(domain)
            unbound = [] if domain else [*self._unbound.values()]
        return [cookie for cookie in stored + unbound if path is None or cookie.path == path]

    def keys(self) -> list[str]:
        """Return the names, with repetitions."""
        return [cookie.name for cookie in self.cookies()]

    def values(self) -> list[str]:
        """Return the values, in the same order."""
        return [cookie.value for cookie in self.cookies()]

    def items(self) -> list[tuple[str, str]]:
        """Return names and values, in the same order."""
        return [(cookie.name, cookie.value) for cookie in self.cookies()]

    def __iter__(self) -> Iterator[str]:
        return iter(self.keys())

    def __len__(self) -> int:
        return len(self._store) + len(self._unbound)

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and bool(self._named(name))

    def __repr__(self) -> str:
        number = len(self)
        return f"<{type(self).__name__} of {number} cookie{'' if number == 1 else 's'}>"

    # Files

    def save(self, file: PathLike, *, session: bool = True) -> None:
        """Write the cookies to *file*, in JSON, for `load`. Blocks for the time of writing.

        The file is replaced in one step, and only its owner may read it (mode 0600): its contents
        are as secret as passwords. Left out are cookies that had expired at the last request.

        Args:
            file: its path.
            session: False to leave out the cookies that end with the session.

        Raises:
            OSError: it cannot be written; an older file is left as it was.

        """
        from .cookie_files import save_cookies  # noqa: PLC0415 - for those who keep them

        cookies = [cookie for cookie in self.cookies() if session or cookie.expires is not None]
        save_cookies(file, cookies)

    def load(self, file: PathLike, *, session: bool = True) -> None:
        """Add the cookies of *file*, which `save` has written: all, or none if it raises.

        Expired ones are dropped at the next request.

        Args:
            file: its path.
            session: False to leave out the cookies that should have ended with the session.

        Raises:
            InvalidOption: the file is damaged, or of another kind or a later version.
            OSError: it cannot be read.

        """
        from .cookie_files import load_cookies  # noqa: PLC0415 - for those who keep them

        cookies = [self._narrowed(cookie) for cookie in load_cookies(file)]
        self._put([cookie for cookie in cookies if session or cookie.expires is not None])

    def __getstate__(self) -> tuple[Any, ...]:
        return self.cookies(), self._home, self._is_public_suffix, self._now

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        cookies, home, is_public_suffix, now = state
        self._start(is_public_suffix)
        self._home, self._now = home, now
        self._put(cookies)

    # Inside; what has no lock is called with it

    def _expire(self, now: float) -> None:
        self._now = now
        if self._store.expire(now):
            self._changed()

    def _changed(self) -> None:
        self.is_empty = not len(self)

    def _bind(self, place: Place) -> None:
        unbound, self._unbound = self._unbound, {}
        for cookie in unbound.values():
            bound = cookie.replaced(domain=place.host, secure=place.secure or cookie.secure)
            self._store.remove(
                old
                for old in self._store.of_host(place.host)
                if old.name == bound.name
                and (path_matches(bound.path, old.path) or path_matches(old.path, bound.path))
            )
            self._store.put(bound, self._now)

    def _put(self, cookies: Iterable[Cookie]) -> None:
        """Store cookies that were checked."""
        with self._lock:
            for cookie in cookies:
                if cookie.domain:
                    self._store.put(cookie, self._now)
                else:
                    self._unbound[cookie.name, cookie.path] = cookie
            if self._home is not None:
                self._bind(_home_place(self._home))
            self._changed()

    def _remove(self, cookies: Iterable[Cookie]) -> None:
        with self._lock:
            for cookie in cookies:
                if cookie.domain:
                    self._store.remove([cookie])
                else:
                    self._unbound.pop((cookie.name, cookie.path), None)
            self._changed()

    def _delete(self, name: str, domain: str | None = None, path: str | None = None) -> bool:
        with self._lock:
            found = self._named(name, domain, path)
            self._remove(found)
        return bool(found)

    def _named(self, name: str, domain: str | None = None, path: str | None = None) -> list[Cookie]:
        """Return the cookies called *name*, those without a domain last."""
        if domain is not None:
            domain = _as_domain(domain)
        with self._lock:
            found = self._store.of_name(name)
            found += [cookie for cookie in [*self._unbound.values()] if cookie.name == name]
        return [
            cookie
            for cookie in found
            if domain in {None, cookie.domain} and path in {None, cookie.path}
        ]

    def _one(self, name: str, domain: str | None = None, path: str | None = None) -> Cookie | None:
        found = self._named(name, domain, path)
        found = [cookie for cookie in found if not cookie.domain] or found
        if len(found) > 1:
            places = ", ".join(f"{cookie.domain}{cookie.path}" for cookie in found[:MAX_PLACES])
            more = "" if len(found) <= MAX_PLACES else ", ..."
            raise CookieConflict(
                f"{len(found)} cookies are called {quoted(name)}: give the domain, and perhaps the "
                f"path, of one of them to get(), or see cookies(): {places}{more}"
            )
        return found[0] if found else None

    def _narrowed(self, cookie: Cookie) -> Cookie:
        """Return *cookie*, of elsewhere, for its host only if that is a public suffix."""
        if cookie.host_only or (
            cookie.domain and not is_narrow(cookie.domain, self._is_public_suffix)
        ):
            return cookie
        return cookie.replaced(host_only=True)

    def _checked(self, cookie: Cookie) -> Cookie:
        """Return *cookie*, which the user gives.

        Raises:
            InvalidRequest, TypeError: see `set`.

        """
        name, value = check_pair(cookie.name, cookie.value)
        if not isinstance(cookie.path, str):
            raise TypeError(f"path of a cookie is a string, not {quoted(cookie.path)}")
        if cookie.expires is not None and not isinstance(cookie.expires, int | float):
            raise TypeError(f"expires is a time in seconds, not {quoted(cookie.expires)}")
        checked = cookie.replaced(name=name, value=value, domain=_as_domain(cookie.domain))
        if problem := unsendable(checked):
            raise InvalidRequest(f"the cookie {quoted(name)}: {problem}")
        return self._narrowed(checked)

    def _in_child(self) -> None:
        """Make the lock anew: another thread may have been in the middle of a change."""
        self._lock = RLock()
        self._store.index_again()
        self._changed()


MAX_PLACES: Final = 5  # in a message


def _by_default(domain: str) -> bool:
    return default_list()(domain)


def _as_domain(text: str) -> str:
    """Return *text*, a domain given by the user, as hosts are compared; empty if it is empty.

    Raises:
        InvalidRequest, TypeError: it is not a host name or an address.

    """
    if not isinstance(text, str):
        raise TypeError(f"domain is a string, not {quoted(text)}")
    if not text:
        return ""
    name, percent, zone = check_hostname(text.removeprefix("."), "domain").partition("%")
    return name.lower() + percent + zone


def _home_place(origin: Origin) -> Place:
    return Place(origin.host, "/", origin.secure)


def _own_pairs(more: Any) -> list[tuple[str, str]]:
    """Return names and values of the cookies of one request.

    Raises:
        InvalidRequest, TypeError: they cannot be sent.

    """
    if isinstance(more, Cookies):
        return more.items()
    if not isinstance(more, str):
        return [check_pair(name, value) for name, value in field_pairs(more, "cookies")]
    pairs = []
    for part in more.split(";"):
        name, equals, value = part.strip(WHITE).partition("=")
        if name or value:
            pairs.append((name, value) if equals else ("", name))
    return pairs


def _from_jar(cookie: Any) -> Cookie:
    """Return a ``http.cookiejar.Cookie`` as one of ours, its domain without a dot in front.

    That module appends ``.local`` to a host without a dot.

    Raises:
        InvalidRequest: it cannot be sent.

    """
    dotted = cookie.domain.lower()
    if dotted == "localhost.local" or dotted.startswith("["):
        dotted = dotted.removesuffix(".local").strip("[]")
    name, value = cookie.name, cookie.value
    if value is None:  # no "=" in the line
        name, value = "", name
    converted = Cookie(
        name,
        value,
        dotted.removeprefix("."),
        cookie.path or "/",
        cookie.expires,
        secure=bool(cookie.secure),
        http_only=cookie.has_nonstandard_attr("HttpOnly"),
        host_only=not dotted.startswith("."),
    )
    if problem := unsendable(converted):
        raise InvalidRequest(f"the cookie {quoted(name)}: {problem}")
    return converted
