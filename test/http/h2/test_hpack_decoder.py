"""Decoding of header blocks of another library, and of hostile ones."""

import random

import hpack
import pytest

from dugong_like.http.h2.hpack_decoder import Decoder, HpackError, ListTooLarge

NAMES = [b":status", b"x-a", b"x-b", b"server", b"date", b"set-cookie", b"etag"]
VALUES = [b"", b"a", b"*/*", b"x" * 30, b"y" * 500, b"z" * 3000, b"\xe9\0" * 8, b"nginx"]


@pytest.mark.parametrize("seed", range(10))
def test_blocks_of_another_library(seed):
    source = random.Random(seed)
    for _ in range(20):
        decoder, encoder = Decoder(65536, 10**6), hpack.Encoder()
        for _ in range(10):
            if source.random() < 0.3:
                other = {0, 50, 100, 1000, 4096, 65536} - {encoder.header_table_size}
                encoder.header_table_size = source.choice(sorted(other))  # it forgets equal ones
            count = source.randrange(12)
            section = [(source.choice(NAMES), source.choice(VALUES)) for _ in range(count)]
            block = encoder.encode(section, huffman=source.random() < 0.5)

            assert decoder.decode(block) == section


def test_table_stays_in_step_when_a_section_is_too_large():
    encoder, decoder = hpack.Encoder(), Decoder(max_list=1000)
    with pytest.raises(ListTooLarge, match="at most 200 fields and 1000 bytes"):
        decoder.decode(encoder.encode([(b"a", b"x" * 900), (b"b", b"y" * 200), (b"c", b"z")]))

    section = [(b"c", b"z"), (b"a", b"1"), (b"b", b"y" * 200)]
    assert decoder.decode(encoder.encode(section)) == section


@pytest.mark.parametrize("block", [b"\x80", b"\xbe", b"\xff\x80\x80\x80\x80\x80\x01", b"\x82\x20"])
def test_invalid_blocks(block):
    with pytest.raises(HpackError):
        Decoder().decode(block)
