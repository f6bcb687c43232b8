"""Digests of ownCloud and Nextcloud; what is done with them is in test_webdav.py."""

import hashlib

import pytest

from dugong_like.client.sync.oc_checksums import field_of, named
from dugong_like.client.sync.tree import DIGEST_NAMES

DATA = b"data"
SHA1, MD5, SHA256 = (hashlib.new(name, DATA) for name in ("sha1", "md5", "sha256"))
ALL = f"SHA1:{SHA1.hexdigest()} MD5:{MD5.hexdigest()} ADLER32:0400019b"


@pytest.mark.parametrize(
    ("text", "digest"),
    [
        (ALL, SHA1.digest()),
        (f"md5:{MD5.hexdigest()}", MD5.digest()),
        (f"Sha256:{SHA256.hexdigest().upper()} {ALL}", SHA256.digest()),
        ("ADLER32:0400019b", None),
        ("SHA1:" + MD5.hexdigest(), None),
        ("SHA1:xx", None),
        ("SHA1", None),
        ("", None),
        (None, None),
    ],
)
def test_the_best_digest_counts(text, digest):
    assert named(text) == digest


def test_an_algorithm_may_not_count():
    assert named(ALL, {"sha1"}) == MD5.digest()
    assert named(field_of(SHA1.digest()), {"sha1"}) is None


def test_the_field_is_read_as_it_is_written():
    assert named(field_of(SHA1.digest())) == SHA1.digest()
    assert DIGEST_NAMES[len(SHA1.digest())] == "sha1"
