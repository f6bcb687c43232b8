"""Authentication schemes: Basic (RFC 7617) and Digest (RFC 7616).

Credentials are values that can be used for any proxy. The state of an authentication, such as a
nonce, is kept in a session, and each proxy has its own: nothing made for one proxy is ever sent
to another.

Not here: parsing challenges (http/challenges.py), and sending credentials (proxy/).
"""

from __future__ import annotations

import re
from base64 import b64encode
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import count
from typing import Final, NamedTuple, Protocol
from urllib.parse import quote

from ..errors import InvalidRequest
from .challenges import Challenge
from .headers import exact

# Weakest first. The strongest of several challenges is answered.
ALGORITHMS: Final = {
    "md5": "md5",
    "md5-sess": "md5",
    "sha-256": "sha256",
    "sha-256-sess": "sha256",
}
STRENGTH: Final = list(ALGORITHMS)
NONCE_BYTES: Final = 16  # of the client's nonce: 128 bits, as a key

_control = re.compile(r"[\x00-\x1f\x7f-\x9f]").search
_special = re.compile(r'(["\\])')


class AuthSession(Protocol):
    """The authentication state for one proxy. Used from several threads."""

    def value(self, method: str, target: str) -> str | None:
        """Return the value of ``Proxy-Authorization`` for a request.

        Args:
            method: request method.
            target: request target as it is sent: with CONNECT ``host:port``.

        Returns:
            The value; None if a challenge is needed first.

        """
        ...

    def learn(self, challenges: Sequence[Challenge], refused: str | None) -> bool:
        """Take the challenges of a 407 response.

        Args:
            challenges: those of the response.
            refused: the credentials of the request; None if it had none.

        Returns:
            True if the next `value` may be accepted, False if another attempt is useless.

        """
        ...


class Auth(Protocol):
    """Credentials for a proxy. An additional scheme has to have this one method."""

    def session(self) -> AuthSession:
        """Return the state for one proxy, without any challenge."""
        ...


def check_text(what: str, text: str) -> str:
    """Return *text*, a user name or a password, as an exact string.

    Raises:
        InvalidRequest: it has control characters (RFC 7617 section 2, RFC 7616 section
            3.4), or cannot be encoded. The message does not contain it.
        TypeError: it is not a string.

    """
    if not isinstance(text, str):
        raise TypeError(f"a {what} is a string, not {type(text).__name__}")
    text = exact(text)
    try:
        text.encode()
    except UnicodeEncodeError:
        raise InvalidRequest(f"the {what} cannot be encoded in UTF-8") from None
    if _control(text):
        raise InvalidRequest(f"the {what} has control characters")
    return text


@dataclass(frozen=True, slots=True)
class BasicAuth:
    """User name and password, sent as they are (RFC 7617), in UTF-8, with the first request.

    Anyone who can read the connection to the proxy can read them. With SOCKS5 they are the
    user name and password of RFC 1929.

    Args:
        user: name without a colon.
        password: may be empty.

    Raises:
        InvalidRequest: *user* has a colon, or an argument has control characters.
        TypeError: an argument is not a string.

    """

    user: str = field(repr=False)
    password: str = field(repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "user", check_text("user name", self.user))
        object.__setattr__(self, "password", check_text("password", self.password))
        if ":" in self.user:
            raise InvalidRequest("the user name has a colon (RFC 7617 section 2)")

    def session(self) -> AuthSession:
        """See `Auth.session`."""
        both = f"{self.user}:{self.password}".encode()
        return _BasicSession("Basic " + b64encode(both).decode("ascii"))


class _BasicSession:
    __slots__ = ("_value",)

    def __init__(self, value: str) -> None:
        self._value = value

    def value(self, method: str, target: str) -> str:  # noqa: ARG002 - the same for all requests
        return self._value

    def learn(self, challenges: Sequence[Challenge], refused: str | None) -> bool:
        """Return True only if Basic is asked for and was not sent yet."""
        return refused is None and any(challenge.scheme == "basic" for challenge in challenges)


@dataclass(frozen=True, slots=True)
class DigestAuth:
    """User name and password, of which only digests are sent (RFC 7616).

    MD5, MD5-sess, SHA-256 and SHA-256-sess, each with ``qop=auth``; the strongest of several
    challenges is answered. A hashed user name is sent if the proxy supports it. Nothing is sent
    before a challenge.

    Args:
        user: name, of any characters except control characters.
        password: may be empty.

    Raises:
        InvalidRequest: an argument has control characters.
        TypeError: an argument is not a string.

    """

    user: str = field(repr=False)
    password: str = field(repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "user", check_text("user name", self.user))
        object.__setattr__(self, "password", check_text("password", self.password))

    def session(self) -> AuthSession:
        """See `Auth.session`."""
        return _DigestSession(self)


class _DigestSession:
    __slots__ = ("_credentials", "_known")

    def __init__(self, credentials: DigestAuth) -> None:
        self._credentials = credentials
        self._known: _Nonce | None = None  # replaced as a whole: threads may share it

    def value(self, method: str, target: str) -> str | None:
        known = self._known
        return None if known is None else known.answer(method, target)

    def learn(self, challenges: Sequence[Challenge], refused: str | None) -> bool:
        """Keep the strongest challenge.

        After a refused response to a challenge another one helps only if the nonce was stale;
        otherwise the password is wrong (RFC 7616 section 3.3).
        """
        known = [challenge for challenge in challenges if _strength(challenge) >= 0]
        if not known:
            return False
        best = max(known, key=_strength)
        self._known = _Nonce.of(best.parameters, self._credentials)
        return refused is None or best.parameters.get("stale", "").lower() == "true"


def _strength(challenge: Challenge) -> int:
    """Return the index of *challenge* in `STRENGTH`; -1 if it cannot be answered."""
    has = challenge.parameters
    algorithm = has.get("algorithm", "md5").lower()
    qop = [option.strip(" \t").lower() for option in has.get("qop", "").split(",")]
    if challenge.scheme != "digest" or not {"realm", "nonce"} <= has.keys() or "auth" not in qop:
        return -1
    return STRENGTH.index(algorithm) if algorithm in ALGORITHMS else -1


class _Nonce(NamedTuple):
    """A challenge of Digest, with the values that are the same for all requests.

    Attributes:
        fixed: the parameters that each response to it has.
        function: name of the hash function.
        secret: H(A1) (RFC 7616 section 3.4.2).
        nonce: nonce of the proxy.
        own: the client's nonce.
        used: counts the uses of *nonce*, this one included.

    """

    fixed: str
    function: str
    secret: str
    nonce: str
    own: str
    used: count[int]

    @classmethod
    def of(cls, given: dict[str, str], credentials: DigestAuth) -> _Nonce:
        """Return the state for the challenge with the parameters *given*."""
        from secrets import token_hex  # noqa: PLC0415 - imports hashlib, for Digest only

        algorithm = given.get("algorithm", "md5").lower()
        function, realm, nonce = ALGORITHMS[algorithm], given["realm"], given["nonce"]
        own = token_hex(NONCE_BYTES)
        user = credentials.user
        # The realm was decoded as Latin-1: encoding it gives the bytes of the proxy.
        a1 = b"%b:%b:%b" % (user.encode(), realm.encode("latin-1"), credentials.password.encode())
        secret = _hash(function, a1)
        if algorithm.endswith("-sess"):
            secret = _hash(function, f"{secret}:{nonce}:{own}".encode("latin-1"))
        fixed = f"realm={_quoted(realm)}, nonce={_quoted(nonce)}, cnonce={_quoted(own)}, qop=auth"
        if given.get("userhash", "").lower() == "true":
            hashed = _hash(function, user.encode() + b":" + realm.encode("latin-1"))
            fixed = f'username="{hashed}", userhash=true, {fixed}'
        elif user.isascii():
            fixed = f"username={_quoted(user)}, {fixed}"
        else:
            fixed = f"username*=UTF-8''{quote(user, safe='')}, {fixed}"
        if "algorithm" in given:
            fixed += f", algorithm={given['algorithm']}"
        if "opaque" in given:
            fixed += f", opaque={_quoted(given['opaque'])}"
        return cls(fixed, function, secret, nonce, own, count(1))

    def answer(self, method: str, target: str) -> str:
        """Return the value for one request (RFC 7616 section 3.4.1)."""
        used = f"{next(self.used):08x}"
        a2 = _hash(self.function, f"{method}:{target}".encode("latin-1"))
        whole = f"{self.secret}:{self.nonce}:{used}:{self.own}:auth:{a2}"
        response = _hash(self.function, whole.encode("latin-1"))
        return f'Digest {self.fixed}, uri={_quoted(target)}, nc={used}, response="{response}"'


def _hash(function: str, data: bytes) -> str:
    import hashlib  # noqa: PLC0415 - 5 ms, for Digest only

    return hashlib.new(function, data, usedforsecurity=False).hexdigest()


def _quoted(text: str) -> str:
    return '"' + _special.sub(r"\\\1", text) + '"'
