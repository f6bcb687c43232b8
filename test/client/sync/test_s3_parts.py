"""Sizes and entity tags of parts; what is done with them is in test_s3.py."""

import hashlib

import pytest

from dugong_like.client.sync.s3_parts import MIB, MOST_PARTS, PART, Part, etag_of, part_size


@pytest.mark.parametrize("size", [0, 1, PART * MOST_PARTS - 1, PART * MOST_PARTS])
def test_parts_have_the_usual_size_as_long_as_there_are_few(size):
    assert part_size(size) == PART


@pytest.mark.parametrize("size", [PART * MOST_PARTS + 1, 5 << 40])
def test_there_are_never_more_parts_than_the_service_takes(size):
    part = part_size(size)

    assert part > PART
    assert part % MIB == 0
    assert -(-size // part) <= MOST_PARTS


def test_the_entity_tag_is_that_of_the_service():
    digests = [hashlib.md5(data).hexdigest() for data in (b"1", b"2")]
    parts = [Part(number, digest, "") for number, digest in enumerate(digests, 1)]

    joined = b"".join(map(bytes.fromhex, digests))
    assert etag_of(parts) == f"{hashlib.md5(joined).hexdigest()}-2"
    assert etag_of([Part(1, "other", "")]) == ""
