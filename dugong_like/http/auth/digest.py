"""Digest: user name and password, of which only digests are sent (RFC 7616).

A server is answered with the nonce that it gave last, so only the first request of a protection
space is refused. The nonces of a server are kept by its origin, and never used for another one.

Not here: the parts of an answer (digest_answer.py), and the nonces that are kept
(digest_spaces.py).
"""

from __future__ import annotations

from collections.abc import AsyncIterable, Sequence
from dataclasses import dataclass, field
from typing import Final

from ...errors import AuthenticationFailed
from ...polling.contract import Co
from ...polling.numbers import check_flag
from ..challenges import Challenge, parse_parameters
from ..request import BodyFollowing, Request, is_whole
from ..url import Origin
from .digest_answer import AUTH_INT, Answer, Answerer, hashed, is_stale, strongest
from .digest_spaces import ProtectionSpaces
from .flow import (
    UNAUTHORIZED,
    Auth,
    Flow,
    Response,
    can_send_again,
    challenges_of,
    co_each_piece,
    co_hold_body,
)
from .proxy_protocol import AuthSession
from .scope import origin_of, path_of
from .text import check_text

MAX_STALE: Final = 1  # nonces that are too old in one flow: a server that refuses each would loop
MIN_ERROR: Final = 400  # status codes from here on are errors


@dataclass(frozen=True, slots=True)
class DigestAuth(Auth):
    """User name and password, of which only digests are sent (RFC 7616).

    MD5, SHA-256 and SHA-512-256, each with or without ``-sess``; the strongest of several
    challenges is answered. With servers that offer ``qop=auth-int`` only, the body is part of the
    digest: it is read before it is sent, twice if it can be read again, otherwise into memory. A
    hashed user name is sent if the server supports it. Nothing is sent before a challenge, except
    to a server whose challenge was answered before.

    Args:
        user: name, of any characters except control characters.
        password: may be empty.
        mutual: True to demand that the server proves to know the password, too, by
            ``Authentication-Info`` (RFC 7616 section 3.5): a successful response to an answer is
            `AuthenticationFailed` without that. Not for proxies.

    Raises:
        InvalidRequest: an argument has control characters.
        TypeError: an argument is not a string.

    """

    user: str = field(repr=False)
    password: str = field(repr=False)
    mutual: bool = field(default=False, repr=False)
    _known: ProtectionSpaces = field(
        default_factory=ProtectionSpaces, init=False, repr=False, compare=False
    )

    def __post_init__(self) -> None:
        object.__setattr__(self, "user", check_text("user name", self.user))
        object.__setattr__(self, "password", check_text("password", self.password))
        check_flag("mutual", self.mutual)

    def __reduce__(self) -> tuple[type[DigestAuth], tuple[str, str, bool]]:
        return DigestAuth, (self.user, self.password, self.mutual)

    def session(self) -> AuthSession:
        """Return the state for one proxy, without any challenge."""
        return _DigestSession(self)

    def auth_flow(self, request: Request) -> Flow:
        """See `Auth.auth_flow`."""
        origin = origin_of(request) or request.headers.get("host") or ""
        path = path_of(request)
        answerer = self._known.find(origin, path)
        if answerer is not None and answerer.qop == AUTH_INT and not _can_hash(request):
            answerer = None
        fresh = False  # the last challenge is answered
        stale = 0
        while True:
            answer = None
            if answerer is not None:
                body = yield from _co_body_hash(request, answerer)
                answer = answerer.answer(request.method, path, body)
                request.headers.set("Authorization", answer.value)
            response = yield request
            if response.status_code != UNAUTHORIZED:
                if answerer is not None and answer is not None:
                    yield from self._co_confirm(origin, answerer, answer, response)
                return
            # The old nonce of a request is refused by some servers without stale=true.
            challenge = strongest(challenges_of(response), has_body=_can_hash(request))
            if fresh and (challenge is None or not is_stale(challenge) or stale == MAX_STALE):
                self._known.forget(origin, answerer)
                return
            if challenge is None:
                return
            stale += fresh
            fresh = True
            answerer = Answerer.of(challenge, self.user, self.password, has_body=_can_hash(request))
            self._known.learn(origin, path, challenge, answerer)
            if not can_send_again(request):
                return  # the next request is answered at once

    def _co_confirm(
        self, origin: Origin | str, answerer: Answerer, answer: Answer, response: Response
    ) -> Co[None]:
        """Check the proof of the server if it is demanded, and take its next nonce.

        Raises:
            AuthenticationFailed: the proof is missing, or wrong.

        """
        given: dict[str, str] = {}
        for value in response.headers.get_values("authentication-info"):
            given |= parse_parameters(value)
        if self.mutual and response.status_code < MIN_ERROR:
            if "rspauth" not in given:
                raise AuthenticationFailed("the server does not prove that it knows the password")
            body = ""
            if answerer.qop == AUTH_INT:
                if "content-encoding" in response.headers:
                    raise AuthenticationFailed("rspauth for an encoded body is not known")
                body = hashed(answerer.function, (yield from response.co_read()))
            if not answerer.confirms(answer, given, body):
                raise AuthenticationFailed("the server does not know the password (rspauth)")
        if given.get("nextnonce"):
            self._known.replace(origin, answerer, answerer.following(given["nextnonce"]))


def _can_hash(request: Request) -> bool:
    """Return True if the body of *request* can be read before it is sent."""
    return not isinstance(request.body, BodyFollowing | AsyncIterable)


def _co_body_hash(request: Request, answerer: Answerer) -> Co[str]:
    """Return the hash of the body, in base 16; "" if it is not needed."""
    if answerer.qop != AUTH_INT:
        return ""
    import hashlib  # noqa: PLC0415 - 5 ms, for Digest only

    if not is_whole(request.body) and not request.rewindable():
        yield from co_hold_body(request)
    total = hashlib.new(answerer.function, usedforsecurity=False)
    yield from co_each_piece(request, total.update)
    return total.hexdigest()


class _DigestSession:
    __slots__ = ("_credentials", "_known")

    def __init__(self, credentials: DigestAuth) -> None:
        self._credentials = credentials
        self._known: Answerer | None = None  # replaced as a whole: threads may share it

    def value(self, method: str, target: str) -> str | None:
        known = self._known
        return None if known is None else known.answer(method, target).value

    def learn(self, challenges: Sequence[Challenge], refused: str | None) -> bool:
        """Keep the strongest challenge.

        After a refused response to a challenge another one helps only if the nonce was stale;
        otherwise the password is wrong (RFC 7616 section 3.3).
        """
        best = strongest(challenges, has_body=False)  # the proxy reads it without the body
        if best is None:
            return False
        user, password = self._credentials.user, self._credentials.password
        self._known = Answerer.of(best, user, password, has_body=False)
        return refused is None or is_stale(best)
