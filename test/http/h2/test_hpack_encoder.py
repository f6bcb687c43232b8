"""Encoding of header sections, decoded by another library."""

import random

import hpack
import pytest
from kit.steps import Steps
from kit.support import examples

from dugong_like.http.h2.hpack_encoder import (
    MOST_BLOCKS,
    MOST_KNOWN,
    SENSITIVE,
    Encoder,
    encode_integer,
    encode_string,
)

HEAD = (
    (b":method", b"GET"),
    (b":scheme", b"https"),
    (b":authority", b"example.org"),
    (b":path", b"/a/path?with=query"),
    (b"accept-encoding", b"identity"),
    (b"user-agent", b"someone/1.0"),
    (b"cookie", b"a=b"),
    (b"authorization", b"Basic dXNlcjpwYXNz"),
)


def decoder_for(size=4096):
    decoder = hpack.Decoder(max_header_list_size=10**7)
    decoder.max_allowed_table_size = size
    return decoder


@pytest.mark.parametrize(
    ("number", "bits", "encoded"), [(10, 5, "0a"), (1337, 5, "1f9a0a"), (42, 8, "2a")]
)
def test_integers_of_the_rfc(number, bits, encoded):
    """RFC 7541 appendix C.1."""
    assert encode_integer(number, bits, 0).hex() == encoded


def test_integers_at_the_edge_of_the_prefix():
    assert encode_integer(30, 5, 0xE0) == b"\xfe"
    assert encode_integer(31, 5, 0xE0) == b"\xff\x00"
    assert encode_integer(31 + 127, 5, 0) == b"\x1f\x7f"
    assert encode_integer(31 + 128, 5, 0) == b"\x1f\x80\x01"


def test_requests_of_the_rfc():
    """RFC 7541 appendix C.4: this encoder makes the same choices."""
    encoder = Encoder()
    common = [(b":method", b"GET"), (b":scheme", b"http"), (b":path", b"/")]
    common.append((b":authority", b"www.example.com"))

    assert encoder.encode(common).hex() == "828684418cf1e3c2e5f23a6ba0ab90f4ff"
    second = encoder.encode([*common, (b"cache-control", b"no-cache")])
    assert second.hex() == "828684be5886a8eb10649cbf"
    third = [common[0], (b":scheme", b"https"), (b":path", b"/index.html"), common[3]]
    third.append((b"custom-key", b"custom-value"))
    assert encoder.encode(third).hex() == "828785bf408825a849e95ba97d7f8925a849e95bb8e8b4bf"


NAMES = [b":path", b"x-a", b"x-b", b"user-agent", b"accept", b"cookie", b"authorization", b"date"]
VALUES = [b"", b"a", b"*/*", b"x" * 30, b"y" * 500, b"z" * 3000, b"\xe9\0" * 8, b"curl/8.0"]
SIZES = [0, 50, 100, 1000, 4096, 10**9]


def test_another_library_decodes_random_blocks_with_changes_of_the_table():
    """The sections repeat, so that those are among them that are remembered."""
    source = random.Random(7541)
    remembered = 0
    for _ in range(examples(1000)):
        encoder, decoder = Encoder(source.choice([0, 100, 4096, 65536])), decoder_for(65536)
        pool = [
            tuple(
                (source.choice(NAMES), source.choice(VALUES)) for _ in range(source.randrange(12))
            )
            for _ in range(3)
        ]
        for _ in range(10):
            for _ in range(source.choice([0, 0, 0, 0, 0, 0, 1, 2])):
                encoder.set_max_size(source.choice(SIZES))
            section = source.choice(pool)
            remembered += section in encoder._blocks
            sensitive = SENSITIVE if source.random() < 0.9 else SENSITIVE | {b"x-a"}

            block = encoder.encode(section, sensitive)

            assert tuple(decoder.decode(block, raw=True)) == section
    assert remembered > examples(1000)


def test_equal_sections_are_encoded_once():
    encoder, decoder = Encoder(), decoder_for()
    first, second = encoder.encode(HEAD), encoder.encode(list(HEAD))
    assert len(second) < len(first)
    assert encoder.encode((*HEAD[:1], *HEAD[1:])) is second
    assert encoder.encode(field for field in HEAD) is second
    for block in (first, second, second):
        assert tuple(decoder.decode(block, raw=True)) == HEAD


@pytest.mark.parametrize("change", ["added", "evicted", "smaller", "nothing"])
def test_remembered_section_is_encoded_anew_when_the_table_changes(change):
    encoder, decoder = Encoder(), decoder_for(10000)
    for _ in range(3):
        decoder.decode(encoder.encode(HEAD))
    before = encoder.encode(HEAD)
    if change == "added":
        decoder.decode(encoder.encode(((b"x", b"y"),)))
    elif change == "evicted":
        for number in range(200):
            decoder.decode(encoder.encode(((b"name%d" % number, b"y" * 50),)))
    elif change == "smaller":
        encoder.set_max_size(0)

    after = encoder.encode(HEAD)

    assert (after == before) is (change == "nothing")
    assert tuple(decoder.decode(after, raw=True)) == HEAD
    assert tuple(decoder.decode(encoder.encode(HEAD), raw=True)) == HEAD


def test_fully_static_section_stays_the_same_whatever_happens_to_the_table():
    encoder = Encoder()
    static = ((b":method", b"GET"), (b":scheme", b"https"), (b":path", b"/"))
    assert encoder.encode(static) == b"\x82\x87\x84"
    encoder.encode(((b"x", b"y"),))
    assert encoder.encode(static) == b"\x82\x87\x84"
    encoder.set_max_size(0)
    assert encoder.encode(static) == b"\x20\x82\x87\x84"
    assert encoder.encode(static) == b"\x82\x87\x84"


# --- which fields are added to the table


def sent(encoder, *fields):
    """Return the first byte of the representation of the last field, in binary."""
    *before, last = fields
    for field in before:
        encoder.encode([field])
    return f"{encoder.encode([last])[0]:08b}"


@pytest.mark.parametrize("name", [b"authorization", b"proxy-authorization", b"x-token"])
def test_sensitive_fields_are_never_indexed(name):
    """RFC 7541 section 7.1.3, with names of your own; as often as they are sent."""
    encoder = Encoder()
    sensitive = frozenset({*SENSITIVE, b"x-token"})
    for _ in range(4):
        assert encoder.encode([(name, b"secret")], sensitive)[0] & 0xF0 == 0b00010000
    assert not encoder._entries


def test_field_that_becomes_sensitive_is_not_indexed_any_more():
    encoder, decoder = Encoder(), decoder_for()
    for _ in range(3):
        block = encoder.encode(((b"x-token", b"secret"),))
        decoder.decode(block)
    assert block == b"\xbe"

    block = encoder.encode(((b"x-token", b"secret"),), SENSITIVE | {b"x-token"})

    assert block[0] & 0xF0 == 0b00010000
    decoded = decoder.decode(block)
    assert decoded == [("x-token", "secret")]
    assert not decoded[0].indexable  # so that no proxy does what is avoided here


def test_short_cookies_are_never_indexed_and_long_ones_are():
    encoder = Encoder()
    short, long = (b"cookie", b"a=" + b"b" * 17), (b"cookie", b"a=" + b"b" * 18)
    assert sent(encoder, short, short, short).startswith("0001")
    assert sent(encoder, long, long) == "10111110"


def test_values_that_differ_in_each_request_are_not_added():
    encoder = Encoder()
    for number in range(5):
        for name in (b":path", b"content-length", b"range", b"if-none-match"):
            assert sent(encoder, (name, b"%d" % number)).startswith("0000")
            assert sent(encoder, (name, b"%d" % number)).startswith("0000")
    assert not encoder._entries


def test_first_value_of_a_name_is_added_and_others_when_they_come_again():
    encoder, decoder = Encoder(), decoder_for()
    fields = [(b"x-id", b"1"), (b"x-id", b"2"), (b"x-id", b"3"), (b"x-id", b"2"), (b"x-id", b"2")]
    blocks = [encoder.encode([field]) for field in fields]

    assert [block[0] >> 4 for block in blocks] == [0b0100, 0b0000, 0b0000, 0b0111, 0b1011]
    assert [decoder.decode(block, raw=True)[0] for block in blocks] == fields
    assert len(encoder._entries) == 2


def test_fields_that_would_take_most_of_the_table_are_not_added():
    encoder = Encoder()
    assert sent(encoder, (b"x", b"y" * 3039)).startswith("01")
    assert sent(Encoder(), (b"x", b"y" * 3040)).startswith("0000")


# --- strings


def test_huffman_code_is_used_where_it_is_shorter():
    assert encode_string(b"") == b"\0"
    assert encode_string(b"a") == b"\x01a"  # it would be as long
    assert encode_string(b"aa") == b"\x02aa"
    assert encode_string(b"aaa") == b"\x82" + bytes([0b00011000, 0b11000111])
    assert encode_string(b"\xff\xfe") == b"\x02\xff\xfe"
    assert encode_string(b"\0" * 200) == b"\x7f\x49" + b"\0" * 200


# --- the size of the table


def test_change_of_the_table_is_announced_at_the_next_block_once():
    encoder = Encoder()
    encoder.set_max_size(100)
    assert encoder.encode([(b":method", b"GET")]) == b"\x3f\x45\x82"
    assert encoder.encode([(b":method", b"GET")]) == b"\x82"


def test_smallest_and_last_size_are_announced():
    """RFC 7541 section 4.2."""
    encoder = Encoder()
    for size in (1000, 0, 500, 4096):
        encoder.set_max_size(size)
    assert encoder.encode([]) == b"\x20\x3f\xe1\x1f"
    for size in (5000, 4000, 100):
        encoder.set_max_size(size)
    assert encoder.encode([]) == b"\x3f\x45"
    assert encoder.encode([]) == b""


def test_entries_are_gone_after_a_smaller_size_in_between():
    encoder, decoder = Encoder(), decoder_for()
    for _ in range(2):
        decoder.decode(encoder.encode(HEAD))
    encoder.set_max_size(0)
    encoder.set_max_size(4096)
    assert not encoder._entries
    assert tuple(decoder.decode(encoder.encode(HEAD), raw=True)) == HEAD


def test_own_limit_holds_whatever_the_peer_allows():
    assert Encoder(100).encode([]) == b"\x3f\x45"  # announced, as the peer begins with 4096
    encoder = Encoder()
    encoder.set_max_size(2**32 - 1)
    assert encoder.encode([]) == b""
    larger = Encoder(10000)
    assert larger.encode([]) == b""  # the peer has not allowed more than 4096 yet
    larger.set_max_size(2**32 - 1)
    assert larger.encode([]) == b"\x3f\xf1\x4d"


def test_equal_size_says_nothing():
    encoder = Encoder()
    encoder.set_max_size(4096)
    assert encoder.encode([]) == b""


def test_what_is_remembered_is_bounded():
    encoder, decoder = Encoder(), decoder_for()
    for number in range(300):
        section = (
            (b":path", b"/%d" % number),
            (b"n%d" % number, b"v"),
            (b"x-id", b"%d" % number),
            (b"cookie", b"%d" % number),
            (b"x-large", b"y" * (number % 20 * 200 if number > 280 else 0)),
        )
        assert tuple(decoder.decode(encoder.encode(section), raw=True)) == section
        encoder.encode(((b":method", b"GET"), (b":path", b"/%d" % number)))
    for number in range(3 * MOST_BLOCKS):
        encoder.encode(((b":method", b"GET"), (b":path", b"/%d" % number)))
    assert encoder._blocks
    for known in (encoder._fixed, encoder._moving, encoder._candidates, encoder._used_names):
        assert len(known) <= MOST_KNOWN
    assert len(encoder._blocks) <= MOST_BLOCKS
    assert encoder._size <= 4096
    assert len(encoder._numbers) <= len(encoder._entries)
    assert len(encoder._names) <= len(encoder._entries)
    assert encoder._size == sum(len(name) + len(value) + 32 for name, value in encoder._entries)


def test_cost_of_a_warm_section():
    """Bytecodes, which no machine changes: a known section, and one with another path."""
    encoder = Encoder()
    sections = [(*HEAD[:3], (b":path", b"/%d" % number), *HEAD[4:]) for number in range(4)]
    for section in sections[:3]:
        encoder.encode(section)
    with Steps() as known:
        encoder.encode(sections[2])
    with Steps() as unknown:
        encoder.encode(sections[3])

    assert known.codes < 50, known.codes
    assert unknown.codes < 450, unknown.codes
