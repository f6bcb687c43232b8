"""The Huffman code of HPACK, compared with another library, and input that is invalid."""

import random

import pytest
from hpack.huffman import HuffmanEncoder
from hpack.huffman_constants import REQUEST_CODES, REQUEST_CODES_LENGTH

from dugong_like.http.h2.huffman import InvalidCode, decode, encode, encoded_size

OTHER = HuffmanEncoder(REQUEST_CODES, REQUEST_CODES_LENGTH)


def bits(text):
    """Return the bytes with these bits, which are 8 or a multiple."""
    text = text.replace(" ", "")
    assert len(text) % 8 == 0
    return int(text, 2).to_bytes(len(text) // 8, "big")


def test_each_byte_is_encoded_as_by_another_library_and_decoded():
    for data in [bytes([byte]) for byte in range(256)] + [b"", bytes(range(256)) * 3]:
        assert encode(data) == OTHER.encode(data)
        assert encoded_size(data) == len(encode(data))
        assert decode(encode(data)) == data


def test_random_strings_are_encoded_as_by_another_library_and_decoded():
    source = random.Random(1)
    for size in range(300):
        data = source.randbytes(size)
        text = bytes(source.choices(range(32, 127), k=size))
        for string in (data, text):
            assert encode(string) == OTHER.encode(string)
            assert encoded_size(string) == len(encode(string))
            assert decode(encode(string)) == string


@pytest.mark.parametrize(
    ("data", "problem"),
    [
        (b"\xff", "padding"),  # 8 bits of padding
        (bits("00011 111 11111111"), "padding"),  # "a", and 11 bits
        (bits("00011 000"), "padding"),  # "a", and zeros
        (bits("00011 110"), "padding"),
        (bits("11111000"), "padding"),  # "&", which has 8 bits, and nothing: see below
        (b"\xff\xff\xff\xff", "EOS"),
        (bits("00011" + "1" * 30 + "1" * 5), "EOS"),
        (b"\xff\xff\xff\xfc", "EOS"),  # EOS in the middle, "0" behind it
        (b"\xff\xff\xfe", "padding"),  # a long code that is cut
    ],
)
def test_padding_and_end_of_string(data, problem):
    if data == bits("11111000"):
        assert decode(data) == b"&"
        return
    with pytest.raises(InvalidCode, match=problem):
        decode(data)


def test_up_to_7_bits_of_padding_are_taken():
    for text in (b"a", b"aa", b"aaa", b" ", b"  ", b"::", b":::", b"::::", b":::::::"):
        assert decode(encode(text)) == text
