"""Fingerprints: how they may be written, and what has none of them is not accepted."""

import hashlib

import pytest

from dugong_like import CertificateInvalid, InvalidOption
from dugong_like.transport.tls.fingerprints import check_fingerprint, parse_fingerprints

DER = b"\x30\x82 a certificate"
DIGEST = hashlib.sha256(DER).digest()
DIGITS = DIGEST.hex()


@pytest.mark.parametrize(
    "text",
    [
        f"sha256:{DIGITS}",
        f"SHA256:{DIGITS.upper()}",
        f"SHA-256:{DIGITS}",
        "sha256:" + ":".join(DIGITS[place : place + 2] for place in range(0, 64, 2)).upper(),
    ],
)
def test_ways_to_write_it(text):
    assert parse_fingerprints(text) == (("sha256", DIGEST),)
    check_fingerprint(DER, parse_fingerprints(text))


def test_any_of_several_will_do():
    others = ["sha384:" + "00" * 48, "sha512:" + hashlib.sha512(DER).hexdigest()]

    check_fingerprint(DER, parse_fingerprints(others))
    check_fingerprint(DER, parse_fingerprints(tuple(reversed(others))))
    check_fingerprint(DER, ())
    assert parse_fingerprints(None) == ()


@pytest.mark.parametrize("certificate", [b"\x30\x82 another one", b"", None])
def test_certificate_with_another_fingerprint(certificate):
    with pytest.raises(CertificateInvalid, match="its fingerprint is sha256:") as failure:
        check_fingerprint(certificate, parse_fingerprints(f"sha256:{DIGITS}"))
    assert not failure.value.retryable
    assert hashlib.sha256(certificate or b"").hexdigest() in str(failure.value) or not certificate


@pytest.mark.parametrize(
    ("given", "error", "reason"),
    [
        (DIGITS, InvalidOption, "not a fingerprint"),
        ("", InvalidOption, "not a fingerprint"),
        ("sha256:", InvalidOption, "not a fingerprint"),
        (f"md5:{'00' * 16}", InvalidOption, "not a fingerprint, .*sha256, sha384, sha512"),
        (f"sha1:{'00' * 20}", InvalidOption, "not a fingerprint"),
        (f"sha256:{DIGITS[:-1]}", InvalidOption, "sha256 has 64 digits, not 63"),
        (f"sha256:{DIGITS}00", InvalidOption, "sha256 has 64 digits, not 66"),
        (f"sha256:{DIGITS[:-1]}g", InvalidOption, "not a fingerprint"),
        (f"sha256:{DIGITS}\n", InvalidOption, "not a fingerprint"),
        ([], InvalidOption, "there is none"),
        ([DIGEST], TypeError, "is a string, not b"),
        (5, TypeError, "a fingerprint is a string, or several, not 5"),
        (DIGEST, TypeError, "a fingerprint is a string"),
    ],
)
def test_what_is_no_fingerprint(given, error, reason):
    with pytest.raises(error, match=reason):
        parse_fingerprints(given)
