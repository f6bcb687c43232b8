"""Fingerprints: accepting only certificates that are known beforehand.

The digest is that of the whole certificate in DER, as ``openssl x509 -fingerprint`` prints it.

Not here: verifying names and authorities, which the context does (contexts.py).
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final

from ...errors import CertificateInvalid, InvalidOption
from ...http.redaction import quoted

SIZES: Final = {"sha256": 32, "sha384": 48, "sha512": 64}  # bytes; MD5 and SHA-1 can be forged
_written = re.compile(r"(?P<name>[A-Za-z0-9\-]+):(?P<digits>[0-9A-Fa-f:]+)").fullmatch

Fingerprints = tuple[tuple[str, bytes], ...]  # name of the digest, and the digest


def parse_fingerprints(given: str | Iterable[str] | None) -> Fingerprints:
    """Return *given*, one or several of ``"sha256:…"``, of which one has to match.

    The digits are hexadecimal, in any case, with or without colons between the bytes.

    Raises:
        InvalidOption: one is not a fingerprint, or there is none at all.
        TypeError: it is neither a string nor strings.

    """
    if given is None:
        return ()
    if isinstance(given, bytes) or not isinstance(given, Iterable):
        raise TypeError(f"a fingerprint is a string, or several, not {quoted(given)}")
    several = [given] if isinstance(given, str) else list(given)
    if not several:
        raise InvalidOption("no fingerprint would ever fit: there is none")
    return tuple(map(_parse, several))


def _parse(text: str) -> tuple[str, bytes]:
    if not isinstance(text, str):
        raise TypeError(f"a fingerprint is a string, not {quoted(text)}")
    match = _written(text)
    name = match["name"].lower().replace("-", "") if match else ""
    if match is None or name not in SIZES:
        raise InvalidOption(
            f"not a fingerprint, such as sha256:…, of {', '.join(SIZES)}: {quoted(text)}"
        )
    digits = match["digits"].replace(":", "")
    if len(digits) != 2 * SIZES[name]:
        raise InvalidOption(
            f"{name} has {2 * SIZES[name]} digits, not {len(digits)}: {quoted(text)}"
        )
    return name, bytes.fromhex(digits)


def check_fingerprint(certificate: bytes | None, fingerprints: Fingerprints) -> None:
    """Check that *certificate*, in DER, has one of *fingerprints*, if there are any.

    Raises:
        CertificateInvalid: it has none of them.

    """
    if not fingerprints:
        return
    import hashlib  # noqa: PLC0415 - 5 ms, only for fingerprints

    der = certificate or b""
    if not any(hashlib.new(name, der).digest() == digest for name, digest in fingerprints):
        found = hashlib.sha256(der).hexdigest() if der else "none at all"
        raise CertificateInvalid(f"certificate not accepted: its fingerprint is sha256:{found}")
