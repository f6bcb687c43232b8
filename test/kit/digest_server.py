"""The server's side of Digest, from RFC 7616 and RFC 2069, with none of the library's code."""

import hashlib
import re
import threading
from dataclasses import dataclass, field

PARAMETER = re.compile(r'\s*([a-z*]+)\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([^\s,"]*))\s*(?:,|$)', re.I)
HASHES = {"MD5": "md5", "SHA-256": "sha256", "SHA-512-256": "sha512_256"}


def digest(name, *parts):
    joined = b":".join(part if isinstance(part, bytes) else part.encode() for part in parts)
    return hashlib.new(HASHES[name], joined).hexdigest()


def take_apart(value):
    """Return the parameters of a field value with the scheme Digest, and which had quotes."""
    scheme, _, rest = value.partition(" ")
    assert scheme == "Digest", "another scheme"
    found, quoted, at = {}, set(), 0
    while at < len(rest):
        match = PARAMETER.match(rest, at)
        assert match, f"not a parameter: {rest[at:]}"
        name = match[1].lower()
        assert name not in found, f"{name} is there twice"
        if match[2] is None:
            found[name] = match[3]
        else:
            found[name] = re.sub(r"\\(.)", r"\1", match[2])
            quoted.add(name)
        at = match.end()
    return found, quoted


def name_of_user(has):
    if "username*" in has:
        charset, language, encoded = has["username*"].split("'")
        assert (charset.upper(), language) == ("UTF-8", "")
        raw = re.sub(rb"%(..)", lambda code: bytes([int(code[1], 16)]), encoded.encode())
        return raw.decode()
    return has["username"].encode("latin-1").decode()


@dataclass
class DigestServer:
    """Answers requests as a strict server does; every mistake is a 400 with the reason.

    `respond` may be called by several threads. `seen` has each ``Authorization`` that came.
    """

    user: str = "me"
    password: str = "sesame"
    realm: str = "a realm"
    algorithm: str | None = "MD5"
    qop: str | None = "auth"
    userhash: bool = False
    charset: str | None = None
    opaque: str | None = "opaque"
    domain: str | None = None
    begin: str = 'n"'  # of each nonce: it has to be escaped
    uses: int = 10**6  # of a nonce, before it is stale
    nextnonce: int = 0  # after so many uses a new nonce is announced
    says_stale: bool = True
    proof: str = "right"  # or "wrong", "none", "cnonce", "nc"
    before: tuple = ()  # other challenges in front of this
    after: tuple = ()
    seen: list = field(default_factory=list)
    counts: dict = field(default_factory=dict)  # of each nonce: the numbers that came
    keys: dict = field(default_factory=dict)  # of each session
    lock: object = field(default_factory=threading.Lock)
    given: int = 0

    @property
    def plain(self):
        return (self.algorithm or "MD5").upper().removesuffix("-SESS")

    def new_nonce(self):
        self.given += 1
        nonce = f"{self.begin}{self.given}"
        self.counts[nonce] = set()
        return nonce

    def challenge(self, stale=False):
        def quote(text):
            return '"' + text.replace("\\", r"\\").replace('"', r"\"") + '"'

        realm = self.realm.encode().decode("latin-1")
        words = [f"realm={quote(realm)}", f"nonce={quote(self.new_nonce())}"]
        for name, value, quotes in (
            ("qop", self.qop, True), ("algorithm", self.algorithm, False),
            ("opaque", self.opaque, True), ("domain", self.domain, True),
            ("charset", self.charset, False), ("userhash", self.userhash and "true", False),
            ("stale", stale and "true", False),
        ):  # fmt: skip
            if value:
                words.append(f"{name}={quote(value) if quotes else value}")
        fields = [*self.before, "Digest " + ", ".join(words), *self.after]
        return 401, [("WWW-Authenticate", field) for field in fields], b"who?"

    def respond(self, method, target, value, body=b""):
        """Return status, header fields and body of the response to a request.

        *value* is that of ``Authorization``, or None.
        """
        with self.lock:
            if value is None:
                return self.challenge()
            self.seen.append(value)
            try:
                return self.judge(method, target, value, body)
            except (AssertionError, KeyError) as exc:
                return 400, [], repr(exc).encode()

    def judge(self, method, target, value, body):
        has, quoted = take_apart(value)
        assert {"username", "realm", "nonce", "uri", "response"} - {"username"} <= set(has)
        assert ("username" in has) != ("username*" in has)
        assert not quoted & {"qop", "nc", "algorithm", "userhash", "username*", "stale"}
        assert has["uri"] == target, f"uri {has['uri']} and not {target}"
        assert has["realm"].encode("latin-1").decode() == self.realm
        assert has.get("algorithm") == self.algorithm
        assert has.get("opaque") == self.opaque
        assert "domain" not in has
        nonce = has["nonce"]
        assert nonce in self.counts, "a nonce that was never given"
        if not self.knows(has):
            return self.challenge()
        secret = self.secret(has)
        qop = has.get("qop")
        if self.qop is None:
            assert not {"qop", "nc"} & set(has)
        else:
            assert qop in [option.strip() for option in self.qop.split(",")]
            assert re.fullmatch("[0-9a-f]{8}", has["nc"])
            assert has["cnonce"]
        if has["response"] != self.response(secret, has, f"{method}:{has['uri']}", body):
            return self.challenge()
        count = int(has["nc"], 16) if qop else len(self.counts[nonce]) + 1
        assert count not in self.counts[nonce], "a count was used twice"
        if len(self.counts[nonce]) >= self.uses:
            return self.challenge(stale=self.says_stale)
        self.counts[nonce].add(count)
        return 200, self.information(secret, has, b"welcome"), b"welcome"

    def knows(self, has):
        if has.get("userhash") == "true":
            assert self.userhash
            return has["username"] == digest(self.plain, self.user, self.realm)
        assert not self.userhash
        return name_of_user(has) == self.user

    def secret(self, has):
        secret = digest(self.plain, self.user, self.realm, self.password)
        if (self.algorithm or "").upper().endswith("-SESS"):
            session = (has["cnonce"], has.get("opaque"))
            return self.keys.setdefault(
                session, digest(self.plain, secret, has["nonce"], has["cnonce"])
            )
        return secret

    def response(self, secret, has, what, body):
        qop = has.get("qop")
        if qop == "auth-int":
            what += ":" + digest(self.plain, body)
        last = digest(self.plain, what)
        if qop is None:
            return digest(self.plain, secret, has["nonce"], last)
        return digest(self.plain, secret, has["nonce"], has["nc"], has["cnonce"], qop, last)

    def information(self, secret, has, body):
        if self.proof == "none":
            return []
        proof = self.response(secret, has, f":{has['uri']}", body)
        words = {"rspauth": f'"{proof}"'}
        if "qop" in has:
            words |= {"qop": has["qop"], "nc": has["nc"], "cnonce": f'"{has["cnonce"]}"'}
        if self.proof == "wrong":
            words["rspauth"] = f'"{proof[::-1]}"'
        elif self.proof == "cnonce":
            words["cnonce"] = '"another"'
        elif self.proof == "nc":
            words["nc"] = "00000fff"
        if self.nextnonce and len(self.counts[has["nonce"]]) >= self.nextnonce:
            words["nextnonce"] = '"' + self.new_nonce().replace('"', r"\"") + '"'
        value = ", ".join(f"{name}={word}" for name, word in words.items())
        return [("Authentication-Info", value)]
