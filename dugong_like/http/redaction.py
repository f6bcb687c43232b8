"""Keeping secrets out of what is told, logged and shown.

What is known to be a target or a field is shown with its secret parts replaced (`mask_target`,
`mask_fields`). Wrong input may be anything, perhaps a secret in the wrong place: every message that
quotes some goes through `quoted`, `shown_url` or `shown_line`, which show less where they are not
sure.

Not here: the wire dump, which has every byte as it was (transport/filters/wire_dump.py).
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final

MASK: Final = "[masked]"
SHOWN: Final = 60  # characters of a bad value that an error message shows
MAX_PATH: Final = 4096  # of the path of a file
PEM: Final = "-----BEGIN "  # a key may follow (RFC 7468)
MAX_BITS: Final = 128  # of a number that is shown; str() refuses those of thousands of digits
NESTED: Final = 3  # times that a target may be percent-encoded to stand in another one
SECRET: Final = frozenset(
    [
        *("authorization", "authentication-info", "cookie", "set-cookie"),
        *("proxy-authorization", "proxy-authentication-info"),
        *("api-key", "x-api-key", "x-auth-token", "x-amz-security-token", "x-csrf-token"),
        *("private-token", "x-vault-token", "x-goog-api-key", "ocp-apim-subscription-key"),
    ]
)  # fields whose values let their owner in (RFC 9110 section 11, RFC 6265, and what is in use)

# Parameters of a query whose values let their owner in: names in lower case, without what is
# neither a letter nor a digit. They are those of OAuth 1 and 2 (RFC 5849, RFC 6749, RFC 6750
# section 2.3, RFC 7523, RFC 7636, RFC 8628, RFC 8693) and OpenID Connect, of SAML and CAS, of what
# signs the URLs of object stores (AWS, Google, Azure, Alibaba), and what is in use for the rest.
SECRET_PARAMETERS: Final = frozenset(
    [
        *("appid", "auth", "authcode", "authorization", "authorizationcode", "bearer", "code"),
        *("codeverifier", "cookie", "devicecode", "hmac", "key", "oauthverifier", "otp", "pass"),
        *("pin", "pw", "pwd", "samlart", "samlrequest", "samlresponse", "session", "sid", "sig"),
        *("ticket", "totp", "usercode", "verificationcode"),
    ]
)
# What the names of others end with: access_token, X-Amz-Security-Token, client_secret, ...
SECRET_ENDINGS: Final = (
    *("accesskey", "accesskeyid", "apikey", "appkey", "assertion", "authkey", "credential"),
    *("credentials", "jwt", "passphrase", "passwd", "password", "privatekey", "secret"),
    *("secretkey", "sessid", "sessionid", "sessionkey", "signature", "subscriptionkey", "token"),
)

_userinfo = re.compile(r"(?<=//)[^/?#\s]*@")  # RFC 3986 section 3.2.1
_separator = re.compile(r"([?&;#])")
_word = re.compile(r"[^\s\"'<>]+")
_token = re.compile(rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+").fullmatch
# The name of a field whose value is secret, and all that is behind it.
_secret_field = re.compile(
    rf"(?<![!#$%&'*+\-.^_`|~0-9A-Za-z])({'|'.join(map(re.escape, sorted(SECRET)))})[\s:=;,].*",
    re.IGNORECASE | re.DOTALL,
)
# A colon with no port behind it: a user name and a password whose "@" is missing, or encoded.
_NO_PORT = r"(?!\d{0,5}(?:[/?#\s]|$)).*"
_login = re.compile(rf"(?<=//)([^/?#\s:@\[]*):{_NO_PORT}", re.DOTALL)
_login_in_front = re.compile(rf"^(?!https?:)([^/?#\s:@\[]*):(?!//){_NO_PORT}", re.DOTALL)
_address = re.compile(r"[0-9A-Fa-f:.]+(?:%.*)?").fullmatch  # of IPv6, without brackets
_scheme = re.compile(r"[A-Za-z][A-Za-z0-9+.\-]{0,20}://").match


def mask_target(target: str) -> str:
    """Return *target*, a request target or URL, without what may let its owner in.

    That is a user name with its password, and the values of parameters that are known for it
    (`SECRET_PARAMETERS`), in a URL inside of it too.
    """
    if "@" in target:
        target = _userinfo.sub(f"{MASK}@", target)
    return _mask_parameters(target) if "=" in target or "%" in target else target


def mask_words(text: str) -> str:
    """Return *text*, in which there may be URLs, as `mask_target` does."""
    return _word.sub(lambda match: mask_target(match[0]), text)


def _mask_parameters(text: str, *, broken: bool = False, nested: int = NESTED) -> str:
    """Return *text* with the values of secret parameters replaced.

    A value ends in front of "&" and the fragment, and of ";" with another parameter behind it
    (HTML 4.01 appendix B.2.2). If *text* is no target (*broken*) only "&" ends it, as the value
    itself may be what is wrong.
    """
    first, *others = _separator.split(text)
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
        elif "%" in part and nested and _has_secrets(_decoded(part), nested - 1):
            shown += separator, name, equals, MASK
        else:
            shown += separator, part
    return "".join(shown)


def _decoded(text: str) -> str:
    """Return *text*, which has a "%", percent-decoded."""
    from urllib.parse import unquote  # noqa: PLC0415 - 3 ms, for what is encoded only

    return unquote(text)


def _is_secret(name: str) -> bool:
    """Return True if *name*, of a parameter, or a part of it such as in ``a[b]``, is secret."""
    plain_name = _decoded(name) if "%" in name else name
    for part in re.split(r"[\[\]]", plain_name.lower()):
        plain = re.sub(r"[\W_]+", "", part)
        if plain in SECRET_PARAMETERS or plain.endswith(SECRET_ENDINGS):
            return True
    return False


def _has_secrets(text: str, nested: int) -> bool:
    """Return True if *text*, which was percent-encoded, would not be shown as it is."""
    return bool(_userinfo.search(text)) or _mask_parameters(text, nested=nested) != text


def shown_text(text: str, most: int = SHOWN) -> str:
    """Return the beginning of *text*, of which nothing is known, without what may be secret.

    What is in front of an "@" may be credentials; so may be what is behind the name of a field, or
    of a parameter, that is known for them, and what is in PEM.

    Args:
        text: perhaps of any length.
        most: characters of it that are shown.

    """
    before, begin, _ = text.partition(PEM)
    named = _secret_field.sub(rf"\1: {MASK}", before + begin + MASK if begin else text)
    if "%40" in named:  # an "@" that is percent-encoded
        named = _login_in_front.sub(rf"\1:{MASK}", named)
    shown = _mask_parameters(named, broken=True)
    if "@" in named:
        scheme = _scheme(text)
        _, at, behind = shown.rpartition("@")
        if not at:  # it was a part of a value
            behind = shown[len(re.split(r"[?&;#]", shown, maxsplit=1)[0]) :]
        return f"{scheme[0] if scheme else ''}...{at}{behind[:most]}"
    return _login.sub(rf"\1:{MASK}", shown)[:most]


def shown_url(text: str) -> str:
    """Return the beginning of *text*, no URL and no host, without what may be credentials.

    As `shown_text`; and what is behind a colon and no port may be a password.
    """
    if "@" in text or _address(text):
        return shown_text(text)
    return shown_text(_login_in_front.sub(rf"\1:{MASK}", text))


def quoted(value: object, most: int = SHOWN) -> str:
    """Return *value*, which is wrong, for a message: in quotation marks, without secrets.

    Of what is neither text nor bytes nor a plain number it is the name of the type: the rest may
    have secrets anywhere, or be of any size.
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
    """Return *fields*, names and values, with the values that are secret replaced."""
    return [
        (name, MASK if name.lower() in SECRET else mask_target(value)) for name, value in fields
    ]


def shown_line(line: bytes) -> bytes:
    """Return the beginning of *line*, perhaps no field line at all, without what may be secret.

    A line that begins with a blank may belong to any field (RFC 9112 section 5.2).
    """
    if line.startswith((b" ", b"\t")):
        return line[:1] + MASK.encode()
    name, colon, value = line.partition(b":")
    if not colon or not _token(name) or name.lower().decode("latin-1") in SECRET:
        return shown_text(line.decode("latin-1")).encode("latin-1")
    return (name + colon)[:SHOWN] + shown_text(value.decode("latin-1")).encode("latin-1")


def masked_lines(lines: bytes) -> list[tuple[str, str]]:
    """Return field lines, each ended by CRLF, as `mask_fields` does; others are passed by."""
    pairs = []
    for line in lines.decode("latin-1").split("\r\n"):
        name, colon, value = line.partition(":")
        if colon:
            pairs.append((name, value.strip(" \t")))
    return mask_fields(pairs)
