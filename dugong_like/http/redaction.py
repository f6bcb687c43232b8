"""Masking secrets in messages, traces and logs.

In targets and fields the secret parts are replaced (`mask_target`, `mask_fields`). Invalid input
may be anything, perhaps a secret in the wrong place: every message that quotes it uses `quoted`,
`shown_url` or `shown_line`, which show less in doubtful cases.

Not here: the wire dump, which contains every byte (transport/filters/wire_dump.py).
"""

from __future__ import annotations

import functools
import re
from collections.abc import Iterable
from typing import Final

from .patterns import compiled_later

MASK: Final = "[masked]"
SHOWN: Final = 60  # characters of an invalid value that an error message shows
MAX_PATH: Final = 4096  # of the path of a file
PEM: Final = "-----BEGIN "  # a key may follow (RFC 7468)
MAX_BITS: Final = 128  # of a number that is shown; str() refuses numbers of thousands of digits
NESTED: Final = 3  # levels of percent-encoding of a target inside of another one
SECRET: Final = frozenset(
    [
        *("authorization", "authentication-info", "cookie", "set-cookie"),
        *("proxy-authorization", "proxy-authentication-info"),
        *("api-key", "x-api-key", "x-auth-token", "x-amz-security-token", "x-csrf-token"),
        *("private-token", "x-vault-token", "x-goog-api-key", "ocp-apim-subscription-key"),
    ]
)  # fields that carry credentials (RFC 9110 section 11, RFC 6265, and others in use)

# Query parameters that carry credentials: names in lower case, only their letters and digits. They
# are those of OAuth 1 and 2 (RFC 5849, RFC 6749, RFC 6750 section 2.3, RFC 7523, RFC 7636, RFC
# 8628, RFC 8693) and OpenID Connect, of SAML and CAS, of the signed URLs of object stores (AWS,
# Google, Azure, Alibaba), and others in use.
SECRET_PARAMETERS: Final = frozenset(
    [
        *("appid", "auth", "authcode", "authorization", "authorizationcode", "bearer", "code"),
        *("codeverifier", "cookie", "devicecode", "hmac", "key", "oauthverifier", "otp", "pass"),
        *("pin", "pw", "pwd", "samlart", "samlrequest", "samlresponse", "session", "sid", "sig"),
        *("ticket", "totp", "usercode", "verificationcode"),
    ]
)
# Suffixes of other names: access_token, X-Amz-Security-Token, client_secret, ...
SECRET_ENDINGS: Final = (
    *("accesskey", "accesskeyid", "apikey", "appkey", "assertion", "authkey", "credential"),
    *("credentials", "jwt", "passphrase", "passwd", "password", "privatekey", "secret"),
    *("secretkey", "sessid", "sessionid", "sessionkey", "signature", "subscriptionkey", "token"),
)

_userinfo = compiled_later(r"(?<=//)[^/?#\s]*@")  # RFC 3986 section 3.2.1
_separator = compiled_later(r"([?&;#])")
_word = compiled_later(r"[^\s\"'<>]+")
_token = compiled_later(rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
_address = compiled_later(r"[0-9A-Fa-f:.]+(?:%.*)?")  # of IPv6, without brackets
_scheme = compiled_later(r"[A-Za-z][A-Za-z0-9+.\-]{0,20}://")
URL_PARTS: Final = frozenset("@=%")  # without any of these no credentials are in a URL


# These are compiled when an error is first shown: it takes a millisecond, at each import.


@functools.cache
def _secret_field() -> re.Pattern[str]:
    """Return what matches the name of a secret field, and everything behind it."""
    names = "|".join(map(re.escape, sorted(SECRET)))
    before = rf"(?<![!#$%&'*+\-.^_`|~0-9A-Za-z])({names})"
    return re.compile(rf"{before}[\s:=;,].*", re.IGNORECASE | re.DOTALL)


# A colon without a port behind it: user name and password with a missing or encoded "@".
_NO_PORT: Final = r"(?!\d{0,5}(?:[/?#\s]|$)).*"


@functools.cache
def _login() -> re.Pattern[str]:
    return re.compile(rf"(?<=//)([^/?#\s:@\[]*):{_NO_PORT}", re.DOTALL)


@functools.cache
def _login_in_front() -> re.Pattern[str]:
    return re.compile(rf"^(?!https?:)([^/?#\s:@\[]*):(?!//){_NO_PORT}", re.DOTALL)


def mask_target(target: str) -> str:
    """Return *target*, a request target or URL, without credentials.

    These are user name and password, and the values of parameters that are known to carry
    credentials (`SECRET_PARAMETERS`), also in a URL inside of it.
    """
    if "@" in target:
        target = _userinfo().sub(f"{MASK}@", target)
    return _mask_parameters(target) if "=" in target or "%" in target else target


def mask_words(text: str) -> str:
    """Return *text*, which may contain URLs, without credentials; see `mask_target`."""
    return _word().sub(lambda match: mask_target(match[0]), text)


def _mask_parameters(text: str, *, broken: bool = False, nested: bool = True) -> str:
    """Return *text* with the values of secret parameters replaced.

    A value ends at "&", at the fragment, and at ";" with another parameter behind it (HTML 4.01
    appendix B.2.2). If *text* is not a valid target (*broken*), only "&" ends it, as the value
    itself may be invalid.
    """
    first, *others = _separator().split(text)
    shown = [first]
    hides = broken and _is_secret(first.rpartition("/")[2].partition("=")[0]) and "=" in first
    if hides:
        shown = [first.partition("=")[0], f"={MASK}"]
    for separator, part in zip(others[::2], others[1::2], strict=True):
        name, equals, _ = part.partition("=")
        goes_on = separator == "?" or broken or (separator == ";" and not equals)
        if hides and separator != "&" and goes_on:
            continue  # of the secret value
        hides = bool(equals) and _is_secret(name)
        if hides:
            shown += separator, name, f"={MASK}"
        elif "%" in part and nested and _has_secrets(_decoded(part)):
            shown += separator, name, equals, MASK
        else:
            shown += separator, part
    return "".join(shown)


def _decoded(text: str) -> str:
    """Return *text*, which has a "%", percent-decoded."""
    from urllib.parse import unquote  # noqa: PLC0415 - 3 ms, only for encoded text

    return unquote(text)


def _is_secret(name: str) -> bool:
    """Return True if *name*, of a parameter, or a part of it such as in ``a[b]``, is secret."""
    plain_name = _decoded(name) if "%" in name else name
    for part in re.split(r"[\[\]]", plain_name.lower()):
        plain = re.sub(r"[\W_]+", "", part)
        if plain in SECRET_PARAMETERS or plain.endswith(SECRET_ENDINGS):
            return True
    return False


def _has_secrets(text: str) -> bool:
    """Return True if *text*, which was percent-encoded, would not be shown as it is."""
    for _ in range(NESTED):
        if _userinfo().search(text) or _mask_parameters(text, nested=False) != text:
            return True
        if "%" not in text:
            return False
        text = _decoded(text)
    return False


def shown_text(text: str, most: int = SHOWN) -> str:
    """Return the beginning of *text*, which may be anything, without possible secrets.

    Text in front of an "@" may be credentials; so may be text behind the name of a field or a
    parameter that is known to carry them, and PEM.

    Args:
        text: of any length.
        most: characters of it that are shown.

    """
    before, begin, _ = text.partition(PEM)
    named = _secret_field().sub(rf"\1: {MASK}", before + begin + MASK if begin else text)
    if "%40" in named:  # an "@" that is percent-encoded
        named = _login_in_front().sub(rf"\1:{MASK}", named)
    shown = _mask_parameters(named, broken=True)
    if "@" in named:
        scheme = _scheme().match(text)
        _, at, behind = shown.rpartition("@")
        if not at:  # a part of a value
            behind = shown[len(re.split(r"[?&;#]", shown, maxsplit=1)[0]) :]
        return f"{scheme[0] if scheme else ''}...{at}{behind[:most]}"
    return _login().sub(rf"\1:{MASK}", shown)[:most]


def shown_url(text: str, most: int = SHOWN) -> str:
    """Return the beginning of *text*, an invalid URL or host, without possible credentials.

    As `shown_text`; besides, text behind a colon that is not a port may be a password.
    """
    if "@" in text or _address().fullmatch(text):
        return shown_text(text, most)
    return shown_text(_login_in_front().sub(rf"\1:{MASK}", text), most)


def quoted(value: object, most: int = SHOWN) -> str:
    """Return an invalid *value* for a message: in quotation marks, without secrets.

    Objects other than text, bytes and plain numbers are shown by the name of their type, as they
    may contain secrets anywhere, or be of any size.
    """
    if isinstance(value, str):
        return repr(shown_text(value, most))
    if isinstance(value, bytes | bytearray):
        return repr(shown_text(value.decode("latin-1")).encode("latin-1"))
    if value is None or type(value) in {bool, float}:
        return repr(value)
    if type(value) is int and value.bit_length() <= MAX_BITS:
        return str(value)
    return type(value).__name__


def mask_fields(fields: Iterable[tuple[str, str]]) -> list[tuple[str, str]]:
    """Return *fields*, names and values, with secret values replaced."""
    masked = []
    for name, value in fields:
        if name.lower() in SECRET:
            masked.append((name, MASK))
        elif not URL_PARTS.isdisjoint(value):
            masked.append((name, mask_target(value)))
        else:
            masked.append((name, value))
    return masked


def shown_line(line: bytes) -> bytes:
    """Return the beginning of *line*, which may be an invalid field line, without secrets.

    A line that begins with white space may belong to any field (RFC 9112 section 5.2).
    """
    if line.startswith((b" ", b"\t")):
        return line[:1] + MASK.encode()
    name, colon, value = line.partition(b":")
    if not colon or not _token().fullmatch(name) or name.lower().decode("latin-1") in SECRET:
        return shown_text(line.decode("latin-1")).encode("latin-1")
    return (name + colon)[:SHOWN] + shown_text(value.decode("latin-1")).encode("latin-1")


def masked_lines(lines: bytes) -> list[tuple[str, str]]:
    """Return field lines, each ended by CRLF, with secret values replaced; skip other lines."""
    pairs = []
    for line in lines.decode("latin-1").split("\r\n"):
        name, colon, value = line.partition(":")
        if colon:
            pairs.append((name, value.strip(" \t")))
    return mask_fields(pairs)
