"""Encoding of header sections, decoded by another library."""

import random

import hpack
import pytest

from dugong_like.http.h2.hpack_encoder import Encoder, encode_integer

NAMES = [b":path", b"x-a", b"x-b", b"user-agent", b"accept", b"cookie", b"authorization", b"date"]
VALUES = [b"", b"a", b"*/*", b"x" * 30, b"y" * 500, b"z" * 3000, b"\xe9\0" * 8, b"curl/8.0"]


@pytest.mark.parametrize("seed", range(10))
def test_another_library_decodes_blocks_whatever_sizes_it_allows(seed):
    source = random.Random(seed)
    for _ in range(20):
        encoder = Encoder(source.choice([0, 100, 4096, 65536]))
        decoder = hpack.Decoder(max_header_list_size=10**6)
        decoder.max_allowed_table_size = 65536
        for _ in range(10):
            for _ in range(source.choice([0, 0, 0, 1, 2])):
                encoder.set_max_size(source.choice([0, 50, 100, 1000, 4096, 10**9]))
            count = source.randrange(12)
            section = tuple((source.choice(NAMES), source.choice(VALUES)) for _ in range(count))

            assert tuple(decoder.decode(encoder.encode(section), raw=True)) == section


def test_integers_of_the_rfc():
    """RFC 7541 appendix C.1."""
    assert encode_integer(10, 5, 0) == bytes([0b01010])
    assert encode_integer(1337, 5, 0) == bytes([0b11111, 0b10011010, 0b00001010])
    assert encode_integer(42, 8, 0) == bytes([0b101010])
