"""Digest: the values of one answer to one challenge (RFC 7616 section 3.4, RFC 2069 section 2.1).

Everything here is computed from a challenge, and nothing is remembered except how often its nonce
was used.

Not here: which challenge is answered when (digest.py).
"""

from __future__ import annotations

import functools
import re
from collections.abc import Mapping, Sequence
from hmac import compare_digest
from typing import Final, NamedTuple
from urllib.parse import quote

from ...polling.counter import Counter
from ..challenges import Challenge
from .text import quoted_string

# Weakest first. The strongest of several challenges is answered.
ALGORITHMS: Final = {
    "md5": "md5",
    "md5-sess": "md5",
    "sha-256": "sha256",
    "sha-256-sess": "sha256",
    "sha-512-256": "sha512_256",
    "sha-512-256-sess": "sha512_256",
}
STRENGTH: Final = list(ALGORITHMS)
NONCE_BYTES: Final = 16  # of the client's nonce: 128 bits, as a key
AUTH: Final = "auth"
AUTH_INT: Final = "auth-int"


def strongest(challenges: Sequence[Challenge], *, has_body: bool) -> Challenge | None:
    """Return the strongest of *challenges* that can be answered, the first of equal ones.

    Args:
        challenges: of any schemes.
        has_body: True if the body of the request can be hashed, for ``qop=auth-int``.

    """
    known = [challenge for challenge in challenges if _strength(challenge, has_body) >= 0]
    return max(known, key=lambda challenge: _strength(challenge, has_body), default=None)


def is_stale(challenge: Challenge) -> bool:
    """Return True if only the nonce of the refused request was not valid any more."""
    return challenge.parameters.get("stale", "").lower() == "true"


def _strength(challenge: Challenge, has_body: bool) -> int:
    """Return the index of *challenge* in `STRENGTH`; -1 if it cannot be answered."""
    has = challenge.parameters
    algorithm = has.get("algorithm", "md5").lower()
    if challenge.scheme != "digest" or not {"realm", "nonce"} <= has.keys():
        return -1
    if _qop(has, has_body) is None or not _has_function(ALGORITHMS.get(algorithm, "")):
        return -1
    return STRENGTH.index(algorithm)


def _qop(has: Mapping[str, str], has_body: bool) -> str | None:
    """Return the quality of protection for an answer: "" of RFC 2069, None if there is none."""
    if "qop" not in has:
        return ""
    offered = {option.strip(" \t").lower() for option in has["qop"].split(",")}
    if AUTH in offered:
        return AUTH
    return AUTH_INT if AUTH_INT in offered and has_body else None


@functools.cache
def _has_function(function: str) -> bool:
    """Return True if there is the hash *function*: some libraries of TLS have no SHA-512/256."""
    import hashlib  # noqa: PLC0415 - 5 ms, for Digest only

    try:
        hashlib.new(function, usedforsecurity=False)
    except ValueError:
        return False
    return True


class Answer(NamedTuple):
    """The answer to a challenge for one request.

    Attributes:
        value: value of the field.
        used: how often the nonce was used, eight digits of base 16.
        target: the target that it is for.

    """

    value: str
    used: str
    target: str


class Answerer(NamedTuple):
    """Answers one challenge, with the values that are the same for all requests.

    Attributes:
        fixed: the parameters that each answer has, except those of the nonce.
        function: name of the hash function.
        secret: H(A1) (RFC 7616 section 3.4.2).
        qop: quality of protection, "" without one.
        nonce: nonce of the server or proxy.
        own: the client's nonce.
        uses: counts the uses of *nonce*.

    """

    fixed: str
    function: str
    secret: str
    qop: str
    nonce: str
    own: str
    uses: Counter

    @classmethod
    def of(cls, challenge: Challenge, user: str, password: str, *, has_body: bool) -> Answerer:
        """Return one for a *challenge* that `strongest` has returned, with the same *has_body*."""
        from secrets import token_hex  # noqa: PLC0415 - imports hashlib, for Digest only

        given = challenge.parameters
        algorithm = given.get("algorithm", "md5").lower()
        function, realm, nonce = ALGORITHMS[algorithm], given["realm"], given["nonce"]
        qop = _qop(given, has_body) or ""
        own = token_hex(NONCE_BYTES)
        if given.get("charset", "").lower() == "utf-8":
            user, password = _normalised(user), _normalised(password)
        # The realm was decoded as Latin-1: encoding it gives the bytes of the server.
        a1 = b"%b:%b:%b" % (user.encode(), realm.encode("latin-1"), password.encode())
        secret = hashed(function, a1)
        fixed = f"realm={quoted_string(realm)}"
        if given.get("userhash", "").lower() == "true":
            name = hashed(function, user.encode() + b":" + realm.encode("latin-1"))
            fixed = f'username="{name}", userhash=true, {fixed}'
        elif user.isascii():
            fixed = f"username={quoted_string(user)}, {fixed}"
        else:
            fixed = f"username*=UTF-8''{quote(user, safe='')}, {fixed}"
        if algorithm.endswith("-sess"):
            # Once for the session: it stays the same if the server replaces the nonce.
            secret = hashed(function, f"{secret}:{nonce}:{own}".encode("latin-1"))
        if qop:
            fixed += f", cnonce={quoted_string(own)}, qop={qop}"
        elif algorithm.endswith("-sess"):
            fixed += f", cnonce={quoted_string(own)}"  # without it the server cannot know A1
        if "algorithm" in given:
            fixed += f", algorithm={given['algorithm']}"
        if "opaque" in given:
            fixed += f", opaque={quoted_string(given['opaque'])}"
        return cls(fixed, function, secret, qop, nonce, own, Counter())

    def following(self, nonce: str) -> Answerer:
        """Return one for the next *nonce* of the server (RFC 7616 section 3.5)."""
        return self._replace(nonce=nonce, uses=Counter())

    def answer(self, method: str, target: str, body: str = "") -> Answer:
        """Return the answer for one request (RFC 7616 section 3.4.1).

        Args:
            method: request method.
            target: request target.
            body: hash of the body, in base 16; for ``qop=auth-int``.

        """
        used = f"{self.uses.take():08x}"
        response = self._response(method, target, used, body)
        counted = f", nc={used}" if self.qop else ""
        value = (
            f"Digest {self.fixed}, nonce={quoted_string(self.nonce)}, "
            f'uri={quoted_string(target)}{counted}, response="{response}"'
        )
        return Answer(value, used, target)

    def confirms(self, answer: Answer, given: Mapping[str, str], body: str = "") -> bool:
        """Return True if the server proves that it knows the password (RFC 7616 section 3.5).

        Args:
            answer: what was sent.
            given: parameters of ``Authentication-Info``.
            body: hash of the body of the response, in base 16; for ``qop=auth-int``.

        """
        qop = given.get("qop", self.qop).lower()
        if given.get("cnonce", self.own) != self.own or qop != self.qop:
            return False
        if int_or_none(given.get("nc", answer.used)) != int(answer.used, 16):
            return False
        expected = self._response("", answer.target, answer.used, body)
        proof = given.get("rspauth", "").lower()
        return proof.isascii() and compare_digest(proof, expected)

    def _response(self, method: str, target: str, used: str, body: str) -> str:
        a2 = f"{method}:{target}:{body}" if self.qop == AUTH_INT else f"{method}:{target}"
        last = hashed(self.function, a2.encode("latin-1"))
        whole = f"{self.secret}:{self.nonce}:{last}"
        if self.qop:
            whole = f"{self.secret}:{self.nonce}:{used}:{self.own}:{self.qop}:{last}"
        return hashed(self.function, whole.encode("latin-1"))


def hashed(function: str, data: bytes) -> str:
    """Return the hash of *data*, in base 16."""
    import hashlib  # noqa: PLC0415 - 5 ms, for Digest only

    return hashlib.new(function, data, usedforsecurity=False).hexdigest()


def int_or_none(text: str) -> int | None:
    """Return the number *text*, in base 16, or None if it is none."""
    return int(text, 16) if re.fullmatch(r"[0-9A-Fa-f]{1,16}", text) else None


def _normalised(text: str) -> str:
    """Return *text* in Normalization Form C, as ``charset=UTF-8`` demands (RFC 7616 section 4)."""
    if text.isascii():
        return text
    from unicodedata import normalize  # noqa: PLC0415 - seldom used

    return normalize("NFC", text)
