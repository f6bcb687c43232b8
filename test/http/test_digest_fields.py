"""Digests in fields: which are found, which are the best, and what is no field."""

import hashlib
from base64 import b64encode

import pytest

from dugong_like import InvalidOption
from dugong_like.http.digest_fields import (
    best_digest,
    check_algorithm,
    content_md5,
    digest_field,
)

DATA = {name: hashlib.new(name, b"x").digest() for name in ("sha256", "sha512", "sha1", "md5")}
TEXT = {name: f":{b64encode(data).decode()}:" for name, data in DATA.items()}


@pytest.mark.parametrize(
    ("value", "algorithm"),
    [
        (f"sha-256={TEXT['sha256']}", "sha256"),
        (f" sha-256={TEXT['sha256']}\t,\t sha-512={TEXT['sha512']} ", "sha512"),
        (f"md5={TEXT['md5']}, sha={TEXT['sha1']}", "sha1"),
        (f"md5={TEXT['md5']}", "md5"),
        (f'sha-256={TEXT["sha256"]};q=1;a="b\\"c"; d', "sha256"),
        (f'adler=1, crc32c=:AAAA:, a, *b=?0, c=tok/en, d="x, y", md5={TEXT["md5"]}', "md5"),
        (f"sha-256=:AAAA:, sha-256={TEXT['sha256']}", "sha256"),
        ("crc32c=:AAAA:", None),
        ("sha-256=token", None),
        ("sha-256", None),
        ("", None),
        (None, None),
        (f"SHA-256={TEXT['sha256']}", None),
        (f"sha-256={TEXT['sha256']},", None),
        (f"sha-256={TEXT['sha256']} sha-512={TEXT['sha512']}", None),
        (f"sha-256={TEXT['sha256']},,a", None),
        (f"sha-256={TEXT['sha256'][:-1]}", None),
        (f"sha-256={TEXT['sha256'].strip(':')}", None),
        (f"sha-256 = {TEXT['sha256']}", None),
        (f"sha-256={TEXT['sha256']}, \u00e4=1", None),
        ("sha-256=:A:", None),
    ],
)
def test_the_best_digest_of_a_dictionary(value, algorithm):
    found = best_digest("Repr-Digest", value)
    if algorithm is None:
        assert found is None
    else:
        assert found.field == "Repr-Digest"
        assert (found.hash_name, found.value) == (algorithm, DATA[algorithm])


def test_a_digest_of_another_length_is_found_and_will_differ():
    assert best_digest("Repr-Digest", "sha-256=:AAAA:").value == bytes(3)


def test_content_md5():
    assert content_md5(f" {TEXT['md5'].strip(':')} ").value == DATA["md5"]
    for value in (None, "", "AAAA", "nonsense!", TEXT["md5"], f"{TEXT['md5'].strip(':')}\u00e4"):
        assert content_md5(value) is None


@pytest.mark.parametrize("algorithm", ["sha-256", "sha-512"])
def test_what_is_sent_is_found(algorithm):
    data = DATA[algorithm.replace("-", "")]
    assert best_digest("x", digest_field(check_algorithm(algorithm), data)).value == data


@pytest.mark.parametrize(
    ("name", "error"), [("md5", InvalidOption), ("SHA-256", InvalidOption), (5, TypeError)]
)
def test_other_algorithms_are_not_sent(name, error):
    with pytest.raises(error, match="digest"):
        check_algorithm(name)
