"""A cookie, and how a line Set-Cookie becomes one (RFC 6265bis sections 5.6 and 5.7).

The sections are those of draft-ietf-httpbis-rfc6265bis-22, which replaces RFC 6265. Nothing of
what a server writes is an error: a line is either a cookie, as browsers understand it, or ignored.

Text is that of fields: each character is an octet (Latin-1).

Not here: the steps that look at other cookies (cookie_store.py), and dates (cookie_dates.py).
"""

from __future__ import annotations

from typing import Any, Final, NamedTuple

from ..errors import InvalidRequest
from .cookie_dates import parse_cookie_date
from .headers import as_text
from .patterns import compiled_later
from .public_suffixes import IsPublicSuffix
from .redaction import quoted
from .url import URL, Origin

MAX_PAIR: Final = 4096  # octets of name and value (section 5.6, step 5)
MAX_ATTRIBUTE: Final = 1024  # octets of the value of an attribute (section 5.6)
MAX_AGE: Final = 400 * 86400  # seconds; the cookie age limit (section 5.5)
MAX_TIME: Final = 2**53  # seconds; every float up to here is exact
WHITE: Final = " \t"
LONG_AGO: Final = -1  # an expiry time: that of a cookie that is deleted
PREFIXES: Final = ("__secure-", "__host-", "__http-")  # __host-http- begins with one of them

_control = compiled_later(r"[\x00-\x08\x0a-\x1f\x7f]")
_age = compiled_later(r"-?[0-9]+")
_unfit_name = compiled_later(r"[\x00-\x1f\x7f;=]|[^\x00-\xff]")
_unfit_value = compiled_later(r"[\x00-\x1f\x7f;]|[^\x00-\xff]")


class Cookie(NamedTuple):
    """A cookie with its scope, as a `Cookies` keeps it; a tuple, never changed.

    Attributes:
        name: empty if the server has sent a value only.
        value: as the server has sent it; characters other than ASCII are octets (Latin-1).
        domain: host or domain that it is sent to, in ASCII and lower case. Empty: it is bound to
            the host of the next request; see `Cookies.bind`.
        path: where the paths of those requests begin.
        expires: time at which it ends, in seconds since 1970; None: with the session.
        secure: it is sent over TLS only, or to this machine.
        http_only: the server does not want scripts to see it; no meaning here.
        same_site: ``"strict"``, ``"lax"``, ``"none"``, or ``""``; no meaning here, where every
            request is one that the user has asked for.
        host_only: False if it is sent to subdomains of *domain* as well.

    """

    name: str
    value: str
    domain: str = ""
    path: str = "/"
    expires: float | None = None
    secure: bool = False
    http_only: bool = False
    same_site: str = ""
    host_only: bool = True

    def replaced(self, **fields: Any) -> Cookie:
        """Return a cookie with other values of some *fields*."""
        return self._replace(**fields)

    def as_dict(self) -> dict[str, Any]:
        """Return names and values of the attributes."""
        return self._asdict()

    def __repr__(self) -> str:
        place = f"{'' if self.host_only else '.'}{self.domain}{self.path}"
        return f"<Cookie {self.name!r} of {place}>"


class Place(NamedTuple):
    """Where a request goes, as far as cookies know: neither the port nor the query."""

    host: str
    path: str
    secure: bool

    @classmethod
    def of(cls, url: URL | Origin | str) -> Place:
        """Return the place of *url*.

        This machine counts as secure, as it does for browsers (W3C Secure Contexts section 3.1).

        Raises:
            InvalidRequest, TypeError: *url* is not a URL; see `URL`.

        """
        if isinstance(url, Origin):
            origin, path = url, "/"
        else:
            if not isinstance(url, URL):
                url = URL(url)
            origin, path = url.origin, url.target.partition("?")[0]
        host = origin.host
        return cls(host, path, origin.secure or is_loopback(host))

    @property
    def default_path(self) -> str:
        """The path of a cookie without Path (section 5.1.4)."""
        return self.path[: self.path.rfind("/")] or "/"


def is_loopback(host: str) -> bool:
    """Return True if *host* is this machine: RFC 6761 section 6.3, RFC 1122 section 3.2.1.3."""
    if host == "::1" or (is_address(host) and host.startswith("127.")):
        return True
    return f".{host.removesuffix('.')}".endswith(".localhost")


def is_address(host: str) -> bool:
    """Return True if *host* is an IP address; a name never ends with a number (WHATWG URL 3.5)."""
    last = host.rpartition(".")[2]
    return ":" in host or last.isdigit() or last.startswith("0x")


def path_matches(path: str, of_cookie: str) -> bool:
    """Return True if a request to *path* gets a cookie with the path *of_cookie* (5.1.4)."""
    if not path.startswith(of_cookie):
        return False
    return len(path) == len(of_cookie) or of_cookie[-1] == "/" or path[len(of_cookie)] == "/"


def domain_matches(host: str, domain: str) -> bool:
    """Return True if *host* is *domain* or one of its subdomains (section 5.1.3)."""
    return host == domain or (host.endswith(f".{domain}") and not is_address(host))


def read_set_cookie(
    line: str, place: Place, now: float, is_public_suffix: IsPublicSuffix
) -> Cookie | None:
    """Return the cookie of *line*, the value of a field Set-Cookie; None if it is ignored.

    Args:
        line: anything.
        place: where the request went.
        now: the time, in seconds since 1970.
        is_public_suffix: decides over domains, in ASCII and lower case.

    """
    if _control().search(line):
        return None
    pair, _, rest = line.partition(";")
    name, equals, value = pair.partition("=")
    if not equals:
        name, value = "", name
    name, value = name.strip(WHITE), value.strip(WHITE)
    if not 0 < len(name) + len(value) <= MAX_PAIR:
        return None
    attributes, expires = _read_attributes(rest, now) if rest else ({}, None)
    scope = _scope(attributes.get("domain", ""), place, is_public_suffix)
    if scope is None:
        return None
    path = attributes.get("path", "")
    cookie = Cookie(
        name,
        value,
        domain=scope[0],
        path=path if path.startswith("/") else place.default_path,
        expires=expires,
        secure="secure" in attributes,
        http_only="httponly" in attributes,
        same_site=_same_site(attributes),
        host_only=scope[1],
    )
    return cookie if _may_be_set(cookie, place, path) else None


def _read_attributes(text: str, now: float) -> tuple[dict[str, str], float | None]:
    """Return the attributes in *text*, names in lower case, and the expiry time.

    The last attribute of a name wins, and Max-Age over Expires. Those with a value that is too
    long, or that means nothing, are ignored (sections 5.6, 5.6.1 and 5.6.2).
    """
    found: dict[str, str] = {}
    age = date = None
    for part in text.split(";"):
        name, _, value = part.partition("=")
        name, value = name.strip(WHITE).lower(), value.strip(WHITE)
        if len(value) > MAX_ATTRIBUTE:
            continue
        if name == "max-age" and _age().fullmatch(value):
            age = int(value)
        elif name == "expires" and (time := parse_cookie_date(value)) is not None:
            date = time
        else:
            found[name] = value
    if age is not None:
        return found, now + min(age, MAX_AGE) if age > 0 else LONG_AGO
    return found, None if date is None else min(date, now + MAX_AGE)


def _same_site(attributes: dict[str, str]) -> str:
    value = attributes.get("samesite", "").lower()
    return value if value in {"strict", "lax", "none"} else ""


def _scope(
    attribute: str, place: Place, is_public_suffix: IsPublicSuffix
) -> tuple[str, bool] | None:
    """Return domain and host-only-flag for an attribute Domain (section 5.7, steps 7 to 10).

    None: the host must not set it, or strangers would get it.
    """
    if not attribute.isascii():
        return None
    domain = attribute.removeprefix(".").lower()
    if not domain or domain == place.host:
        if not domain or is_narrow(domain, is_public_suffix):
            return place.host, True
        return domain, False
    if not domain_matches(place.host, domain) or is_narrow(domain, is_public_suffix):
        return None
    return domain, False


def is_narrow(domain: str, is_public_suffix: IsPublicSuffix) -> bool:
    """Return True if a cookie for *domain* must not go to its subdomains.

    A dot at the end is left out before a public suffix is looked up (as in CVE-2022-27779).
    """
    return is_address(domain) or bool(is_public_suffix(domain.removesuffix(".")))


def _may_be_set(cookie: Cookie, place: Place, path: str) -> bool:
    """Return False if a flag or prefix forbids *cookie* (section 5.7, steps 13 to 22).

    Args:
        cookie: the cookie.
        place: where the request went.
        path: value of the attribute Path.

    """
    if cookie.secure:
        if not place.secure:
            return False
    elif cookie.same_site == "none":
        return False
    # Without a name, the value is what a server takes for a name.
    name = (cookie.name or cookie.value).lower()
    if not name.startswith(PREFIXES):
        return True
    if not cookie.name or not cookie.secure:
        return False
    if name.startswith("__host-") and not (cookie.host_only and path == "/"):
        return False
    return cookie.http_only or not name.startswith(("__http-", "__host-http-"))


def unsendable(cookie: Cookie) -> str:
    """Return why no request can have *cookie*, which comes from elsewhere; empty if one can."""
    for field in ("name", "value", "domain", "path", "same_site"):
        if not isinstance(getattr(cookie, field), str):
            return f"its {field} is not a string"
    if _unfit_value().search(cookie.name + cookie.value) or "=" in cookie.name:
        return "its name or value has a character that no cookie has"
    if not 0 < len(cookie.name) + len(cookie.value) <= MAX_PAIR:
        return f"its name and value have not between 1 and {MAX_PAIR} octets"
    if not cookie.path.startswith("/") or _control().search(cookie.path):
        return "its path does not begin with /, or has a control character"
    host = cookie.domain.partition("%")[0]  # without a zone, which has letters of both cases
    if not cookie.domain.isascii() or host != host.lower():
        return "its domain is not a host name in ASCII and lower case"
    expires = cookie.expires
    if expires is not None and not (
        type(expires) in {int, float} and -MAX_TIME <= expires <= MAX_TIME
    ):
        return "its expires is not a time in seconds"
    return ""


def check_pair(name: object, value: object) -> tuple[str, str]:
    """Return name and value of a cookie that the user sets.

    Raises:
        InvalidRequest: they cannot be sent so that a server reads the same.
        TypeError: one is neither str nor bytes.

    """
    name, value = as_text(name), as_text(value)
    if not isinstance(name, str):
        raise TypeError(f"name of a cookie is a string, not {quoted(name)}")
    if not isinstance(value, str):  # the value may be secret
        kind = type(value).__name__
        raise TypeError(f"value of the cookie {quoted(name)} is a string, not {kind}")
    if not name or _unfit_name().search(name) or name != name.strip(WHITE):
        raise InvalidRequest(f"not the name of a cookie (RFC 6265bis section 4.1): {quoted(name)}")
    if found := _unfit_value().search(value):
        raise InvalidRequest(
            f"value of the cookie {quoted(name)} has the character U+{ord(found[0]):04X}, which a "
            "cookie cannot have: encode the value, for example percent-encode it"
        )
    if value != value.strip(WHITE):
        raise InvalidRequest(
            f"value of the cookie {quoted(name)} begins or ends with white space, which servers "
            "remove: encode the value, for example percent-encode it"
        )
    if len(name) + len(value) > MAX_PAIR:
        raise InvalidRequest(
            f"the cookie {quoted(name)} has {len(name) + len(value)} octets of name and value, "
            f"more than {MAX_PAIR} (RFC 6265bis section 5.6)"
        )
    return name, value
