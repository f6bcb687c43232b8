"""Decoding of header blocks: of the RFC, of other encoders, and hostile ones."""

import operator
import random
from pathlib import Path

import hpack
import pytest
from kit.steps import Steps
from kit.support import examples

from dugong_like.http.h2 import huffman
from dugong_like.http.h2.hpack_decoder import (
    LARGEST_BLOCK,
    MOST_BLOCKS,
    Decoder,
    FieldSection,
    HpackError,
    ListTooLarge,
)
from dugong_like.http.h2.huffman import encode
from dugong_like.http.h2.violations import ErrorCode

GET, HTTP, ROOT = (b":method", b"GET"), (b":scheme", b"http"), (b":path", b"/")
AUTHORITY = b":authority", b"www.example.com"
PRIVATE, LOCATION = (b"cache-control", b"private"), (b"location", b"https://www.example.com")
DATE, LATER = [(b"date", b"Mon, 21 Oct 2013 20:13:%d GMT" % second) for second in (21, 22)]
COOKIE = b"set-cookie", b"foo=ASDJKHQKBZXOQWEOPIUAXQWEOIU; max-age=3600; version=1"
CUSTOM = b"custom-key", b"custom-value"
REQUESTS = [
    ([GET, HTTP, ROOT, AUTHORITY], [57]),
    ([GET, HTTP, ROOT, AUTHORITY, (b"cache-control", b"no-cache")], [53, 57]),
    (
        [GET, (b":scheme", b"https"), (b":path", b"/index.html"), AUTHORITY, CUSTOM],
        [54, 53, 57],
    ),
]
RESPONSES = [
    ([(b":status", b"302"), PRIVATE, DATE, LOCATION], [63, 65, 52, 42]),
    ([(b":status", b"307"), PRIVATE, DATE, LOCATION], [42, 63, 65, 52]),
    (
        [(b":status", b"200"), PRIVATE, LATER, LOCATION, (b"content-encoding", b"gzip"), COOKIE],
        [98, 52, 65],
    ),
]
# RFC 7541 appendix C: size of the table, and blocks of one connection, each with the fields that it
# stands for and the sizes of the entries of the table behind it, newest first.
OF_THE_RFC = {
    "C.2.1": (
        4096,
        ["400a637573746f6d2d6b65790d637573746f6d2d686561646572"],
        [([(b"custom-key", b"custom-header")], [55])],
    ),
    "C.2.2": (4096, ["040c2f73616d706c652f70617468"], [([(b":path", b"/sample/path")], [])]),
    "C.2.3": (4096, ["100870617373776f726406736563726574"], [([(b"password", b"secret")], [])]),
    "C.2.4": (4096, ["82"], [([GET], [])]),
    "C.3": (
        4096,
        [
            "828684410f7777772e6578616d706c652e636f6d",
            "828684be58086e6f2d6361636865",
            "828785bf400a637573746f6d2d6b65790c637573746f6d2d76616c7565",
        ],
        REQUESTS,
    ),
    "C.4": (
        4096,
        [
            "828684418cf1e3c2e5f23a6ba0ab90f4ff",
            "828684be5886a8eb10649cbf",
            "828785bf408825a849e95ba97d7f8925a849e95bb8e8b4bf",
        ],
        REQUESTS,
    ),
    "C.5": (
        256,
        [
            "4803333032580770726976617465611d4d6f6e2c203231204f637420323031332032303a31333a323120474d"
            "546e1768747470733a2f2f7777772e6578616d706c652e636f6d",
            "4803333037c1c0bf",
            "88c1611d4d6f6e2c203231204f637420323031332032303a31333a323220474d54c05a04677a69707738666f"
            "6f3d4153444a4b48514b425a584f5157454f50495541585157454f49553b206d61782d6167653d333630303b"
            "2076657273696f6e3d31",
        ],
        RESPONSES,
    ),
    "C.6": (
        256,
        [
            "488264025885aec3771a4b6196d07abe941054d444a8200595040b8166e082a62d1bff6e919d29ad171863c7"
            "8f0b97c8e9ae82ae43d3",
            "4883640effc1c0bf",
            "88c16196d07abe941054d444a8200595040b8166e084a62d1bffc05a839bd9ab77ad94e7821dd7f2e6c7b335"
            "dfdfcd5b3960d5af27087f3672c1ab270fb5291f9587316065c003ed4ee5b1063d5007",
        ],
        RESPONSES,
    ),
}


@pytest.mark.parametrize("name", OF_THE_RFC)
def test_examples_of_the_rfc(name):
    size, blocks, expected = OF_THE_RFC[name]
    decoder = Decoder(size)
    for block, (fields, sizes) in zip(blocks, expected, strict=True):
        assert decoder.decode(bytes.fromhex(block)) == fields
        assert [len(field[0]) + len(field[1]) + 32 for field in decoder._entries] == sizes
        assert decoder._size == sum(sizes)


def recorded():
    """Yield the blocks of each server of recorded_blocks.txt."""
    text = Path(__file__).with_name("recorded_blocks.txt").read_text()
    for part in text.split("# ")[2:]:
        yield [bytes.fromhex(line) for line in part.splitlines()[1:]]


def test_recorded_blocks_are_decoded_as_by_another_library():
    count = 0
    for blocks in recorded():
        decoder, other = Decoder(), hpack.Decoder()
        for block in blocks:
            assert decoder.decode(block) == [
                tuple(field) for field in other.decode(block, raw=True)
            ]
            count += 1
    assert count == 40


NAMES = [b":status", b"x-a", b"x-b", b"server", b"date", b"set-cookie", b"etag", b"content-type"]
VALUES = [b"", b"a", b"200", b"x" * 30, b"y" * 500, b"z" * 3000, b"\xe9\0" * 8, b"nginx", b"Ab: c"]
SIZES = {0, 50, 100, 1000, 4096, 65536}


def test_random_blocks_of_another_library_with_changes_of_the_table():
    source = random.Random(7541)
    for _ in range(examples(1000)):
        decoder, encoder = Decoder(65536, 10**6), hpack.Encoder()
        pool = [
            [(source.choice(NAMES), source.choice(VALUES)) for _ in range(source.randrange(12))]
            for _ in range(3)
        ]
        for _ in range(10):
            if source.random() < 0.2:  # the other library forgets equal ones
                encoder.header_table_size = source.choice(
                    sorted(SIZES - {encoder.header_table_size})
                )
            section = source.choice(pool)
            if source.random() < 0.2:
                section = [(*field, source.random() < 0.5) for field in section]  # never indexed
            block = encoder.encode(section, huffman=source.random() < 0.5)

            assert decoder.decode(block) == [field[:2] for field in section]


def test_equal_blocks_are_decoded_once_while_the_table_is_unchanged():
    decoder = Decoder()
    added = decoder.decode(bytes.fromhex("400161 0162"))
    first = decoder.decode(b"\x88\xbe")

    assert added == [(b"a", b"b")]
    assert first == [(b":status", b"200"), (b"a", b"b")]
    assert decoder.decode(b"\x88\xbe") is first
    assert isinstance(first, FieldSection)

    decoder.decode(bytes.fromhex("400163 0164"))
    assert decoder.decode(b"\x88\xbe") == [(b":status", b"200"), (b"c", b"d")]
    assert decoder.decode(b"\x88\xbf") == [(b":status", b"200"), (b"a", b"b")]

    decoder.decode(b"\x20")  # a table of no bytes
    with pytest.raises(HpackError):
        decoder.decode(b"\x88\xbe")


def test_what_is_remembered_is_bounded():
    decoder, other = Decoder(), hpack.Encoder()
    for number in range(300):
        name = b"n%d" % number
        decoder.decode(b"\x88\x00" + bytes([len(name)]) + name + b"\x01v")
        value = encode(b"value %d" % number)
        decoder.decode(b"\x00\x01a" + bytes([0x80 | len(value)]) + value)
        decoder.decode(other.encode([(b"x", b"y" * number)]))
    decoder.decode(b"\x00\x01a\x7f\x80\x80\x02" + bytes(32768 + 127))

    assert len(decoder._blocks) <= 32
    for number in range(100):
        decoder.decode(b"\x88\x00\x01a\x03%03d" % number)
    assert 0 < len(decoder._blocks) <= 32
    sizes = [sum(len(a) + len(b) + 32 for a, b in known[0]) for known in decoder._blocks.values()]
    assert sum(map(len, decoder._blocks)) + sum(sizes) <= 32 * 4096
    decoder.decode(bytes.fromhex("4001787fa01e") + b"x" * 3999)  # an entry of 4000 bytes
    for count in range(2, 17):
        decoder.decode(b"\x88" + b"\xbe" * count)
    assert [len(fields) for fields in decoder._blocks.values()] == []  # they are too large

    assert len(decoder._strings) <= 128
    assert max(map(len, decoder._strings)) <= 64
    assert sum(len(name) + len(value) + 32 for name, value in decoder._entries) <= 4096


def test_steps_of_huffman_decoding_that_are_kept_are_bounded():
    source = random.Random(1)
    for _ in range(300):
        data = source.randbytes(500)
        assert huffman.decode(encode(data)) == data

    assert 0 < huffman._State.kept <= huffman.MOST_KEPT


VALID = {
    "5.1, an index with needless octets": ("0f8080800001 62", [(b"accept-charset", b"b")]),
    "5.1, a length with needless octets": ("0001617f808000" + "62" * 127, [(b"a", b"b" * 127)]),
    "5.2, an empty value": ("00016100", [(b"a", b"")]),
    "5.2, an empty name, which other rules refuse": ("00000162", [(b"", b"b")]),
    "5.2, an empty string in the Huffman code": ("00016180", [(b"a", b"")]),
    "6, no field": ("", []),
    "6.2.3, a name of the static table": ("1f080162", [(b"authorization", b"b")]),
    "6.3, a size update and no field": ("20", []),
    "6.3, the largest size": ("3fe11f88", [(b":status", b"200")]),
    "4.2, two size updates": ("203fe11f88", [(b":status", b"200")]),
    "2.3.2, an entry twice in the table": ("40016101624001610162bebf", [(b"a", b"b")] * 4),
    "4.4, an entry of the whole table": ("3f0240000162be", [(b"", b"b")] * 2),
}


def test_unusual_blocks_that_are_valid():
    for case, (block, fields) in VALID.items():
        assert Decoder().decode(bytes.fromhex(block)) == fields, case


A_B, C_D = "4001610162", "4001630164"  # adds an entry of 34 bytes
NINES = "ff" * 9 + "7f"
# By section of RFC 7541: blocks in hexadecimal. A number before the last one is a size of the table
# that the server has acknowledged.
HOSTILE = {
    "2.3.3, index 62 of an empty table": ["be"],
    "2.3.3, index 63 of a table with one entry": [A_B, "bf"],
    "2.3.3, index 127 of an empty table": ["ff00"],
    "2.3.3, an index of 34 bits": ["ffffffffff7f"],
    "2.3.3, an index that was valid before": [A_B, "20be"],
    "2.3.3, an index that was valid before, as an equal block": [A_B, "be", "20", "be"],
    "2.3.3, behind valid fields": ["8286be"],
    "4.2, a size update behind a field": ["8220"],
    "4.2, a size update behind a literal": ["0001610162" + "3fe11f"],
    "4.2, three size updates": ["202020"],
    "4.2, three size updates, and a field": ["20213fe11f82"],
    "4.3, an entry that was evicted": ["3f05" + A_B + C_D + "bf"],  # 36 bytes
    "4.3, the name of an entry that was evicted": ["3f05" + A_B + C_D + "7f000162"],
    "4.4, an entry that is larger than the table": ["3f01" + A_B + "be"],  # 32 bytes
    "4.4, one that has emptied the table": [A_B, "40017a7f8220" + "78" * 4225 + "be"],
    "5.1, an index without end": ["ff"],
    "5.1, an index that is cut": ["ff80"],
    "5.1, an index of six octets": ["ff808080808001"],
    "5.1, an index of six octets, of which five are needless": ["ff818080808000"],
    "5.1, an index of many octets": ["ff" + NINES],
    "5.1, the index of a name of many octets": ["7f" + NINES + "0161"],
    "5.1, the index of a name of many octets, not indexed": ["0f" + NINES + "0161"],
    "5.1, the index of a name that is cut": ["0f"],
    "5.1, a length without end": ["00" + "7f"],
    "5.1, a length of many octets": ["00" + "7f" + NINES + "61"],
    "5.1, a length of many octets, in the Huffman code": ["00" + NINES + "61"],
    "5.1, a size of many octets": ["3f" + NINES],
    "5.1, a size that is cut": ["3f"],
    "5.2, a name without length": ["40"],
    "5.2, a name that is cut": ["400361"],
    "5.2, no value": ["400161"],
    "5.2, a value that is cut": ["4001610362"],
    "5.2, a value of 4 GiB, that is cut": ["0001617f80ffffff0f62"],
    "5.2, a value behind an index that is missing": ["41"],
    "5.2, a name in the Huffman code that is cut": ["0083f1"],
    "5.2, EOS as the name": ["0084ffffffff0161"],
    "5.2, EOS as the value": ["00016184ffffffff"],
    "5.2, EOS inside of a value": ["0001618518ffffffff"],
    "5.2, 8 bits of padding": ["00016181ff"],
    "5.2, 11 bits of padding": ["000161821fff"],
    "5.2, 16 bits of padding": ["00016182ffff"],
    "5.2, 24 bits of padding behind a letter": ["000161841fffffff"],
    "5.2, padding of zeros": ["0001618118"],
    "5.2, padding with one zero": ["000161811e"],
    "5.2, padding in a name": ["4081180162"],
    "5.2, the beginning of a long code": ["00016183fffffe"],
    "6.1, index 0": ["80"],
    "6.1, index 0 behind valid fields": ["8280"],
    "6.2.1, the index of a name beyond the table": ["7e0161"],
    "6.2.1, the index of a name beyond one entry": [A_B, "7f000161"],
    "6.2.2, the index of a name beyond the table": ["0f2f0161"],
    "6.2.3, the index of a name beyond the table": ["1f2f0161"],
    "6.3, a size of 4097 bytes": ["3fe21f"],
    "6.3, a size of 4 GiB": ["3fe0ffffff0f"],
    "6.3, a second size of 4097 bytes": ["203fe21f82"],
    "6.3, a size above an acknowledged one": [100, "3f4682"],
    "6.3, a second size above an acknowledged one": [100, "203f4682"],
    "4.3.1 of RFC 9113, no update to an acknowledged size": [100, "82"],
    "4.3.1 of RFC 9113, no update, and a block that is known": ["82", 100, "82"],
    "4.3.1 of RFC 9113, no update to a table of nothing": [0, "88"],
    "4.3.1 of RFC 9113, no update and no field": [0, ""],
}


def test_hostile_blocks_end_the_connection():
    assert len(HOSTILE) > 60
    for case, (*before, last) in HOSTILE.items():
        decoder = Decoder()
        for step in before:
            if isinstance(step, int):
                decoder.set_max_size(step)
            else:
                decoder.decode(bytes.fromhex(step))
        try:
            fields = decoder.decode(bytes.fromhex(last))
        except HpackError as exc:
            assert exc.code is ErrorCode.COMPRESSION_ERROR, case
            assert "RFC " in str(exc), case
        else:
            pytest.fail(f"{case}: {fields}")


def test_every_cut_of_a_block_is_an_error_or_ends_between_two_fields():
    block = bytes.fromhex(OF_THE_RFC["C.6"][1][2].replace("c1", "", 1).replace("c0", "", 1))
    whole = Decoder(256).decode(block)
    assert len(whole) == 4
    for cut in range(len(block)):
        try:
            fields = Decoder(256).decode(block[:cut])
        except HpackError as exc:
            assert "ends inside of a field" in str(exc)
        else:
            assert fields == whole[: len(fields)]


def test_random_bytes_are_decoded_or_refused():
    source = random.Random(6)
    endings = set()
    for _ in range(examples(20000)):
        decoder = Decoder(max_list=2000)
        for _ in range(4):
            try:
                decoder.decode(source.randbytes(source.randrange(20)))
            except HpackError as exc:
                endings.add(str(exc).partition("RFC")[2])
                break
            except ListTooLarge:
                endings.add("too large")
    assert len(endings) > 4


# --- sections beyond the limits


def test_bytes_are_counted_with_32_for_each_field():
    """RFC 9113 section 6.5.2."""
    block = hpack.Encoder().encode([(b"ab", b"cde"), (b"f", b"")])  # 37 and 33

    assert len(Decoder(max_list=70).decode(block)) == 2
    with pytest.raises(ListTooLarge, match="a header section of 2 fields and 70 bytes"):
        Decoder(max_list=69).decode(block)


def test_fields_are_counted():
    assert len(Decoder(max_fields=3).decode(b"\x88" * 3)) == 3
    with pytest.raises(ListTooLarge, match="4 fields.*at most 3 fields"):
        Decoder(max_fields=3).decode(b"\x88" * 4)
    with pytest.raises(ListTooLarge, match="at most 200 fields and 65536 bytes"):
        Decoder().decode(b"\x88" * 201)


def test_table_stays_in_step_when_a_section_is_too_large():
    encoder, decoder = hpack.Encoder(), Decoder(max_list=1000)
    large = [(b"a", b"x" * 900), (b"b", b"y" * 200), (b"c", b"z")]
    for _ in range(2):
        with pytest.raises(ListTooLarge, match="at most 200 fields and 1000 bytes"):
            decoder.decode(encoder.encode(large))

    section = [(b"c", b"z"), (b"a", b"1"), (b"b", b"y" * 200)]
    assert decoder.decode(encoder.encode(section)) == section


def test_bomb_of_references_to_one_large_entry_takes_no_memory():
    """16,000 references to an entry of 4000 bytes would be 64 MB."""
    decoder = Decoder(max_fields=10**6)
    large = bytes.fromhex("4001787fa01e") + b"x" * 3999
    assert [len(value) for _, value in decoder.decode(large)] == [3999]
    with pytest.raises(ListTooLarge, match="16000 fields and 64512000 bytes"):
        decoder.decode(b"\xbe" * 16000)

    assert decoder.decode(b"\xbe") == [(b"x", b"x" * 3999)]


# --- the size of the table


def test_larger_table_is_used_when_the_server_says_so():
    decoder = Decoder()
    decoder.set_max_size(10000)
    assert decoder.decode(b"\x88") == [(b":status", b"200")]
    decoder.decode(bytes.fromhex("3ff14d"))  # 10000
    for number in range(300):
        decoder.decode(b"\x40\x01a\x03%03d" % number)
    assert len(decoder._entries) == 10000 // 36


def test_smaller_table_needs_an_update_first():
    decoder = Decoder()
    decoder.decode(bytes.fromhex(A_B + C_D))
    decoder.set_max_size(40)
    assert decoder.decode(bytes.fromhex("3f09be")) == [(b"c", b"d")]
    assert decoder.decode(bytes.fromhex("be")) == [(b"c", b"d")]
    with pytest.raises(HpackError, match="index 63 of tables with 62 entries"):
        decoder.decode(bytes.fromhex("bf"))


def test_update_is_needed_only_if_the_table_is_too_large():
    decoder = Decoder()
    decoder.decode(bytes.fromhex("3f09"))  # 40 bytes
    decoder.set_max_size(100)
    assert decoder.decode(b"\x88") == [(b":status", b"200")]
    decoder.set_max_size(0)
    decoder.set_max_size(100)
    assert decoder.decode(b"\x88") == [(b":status", b"200")]


def test_cost_of_a_warm_block():
    """Bytecodes, which no machine changes: a known block, and one with a new value."""
    decoder = Decoder()
    values = (39, b"nginx"), (18, DATE[1]), (16, b"text/plain")  # by index of the name, less 15
    same = b"".join(
        bytes([0x0F, index, 0x80 | len(encode(value))]) + encode(value) for index, value in values
    )
    blocks = [b"\x88" + same + b"\x0f\x0d\x03%d" % length for length in (100, 200, 300)]
    for block in blocks[:2]:
        assert len(decoder.decode(block)) == 5
    with Steps() as known:
        decoder.decode(blocks[1])
    with Steps() as unknown:
        decoder.decode(blocks[2])

    assert known.codes < 30, known.codes
    assert unknown.codes < 1070, unknown.codes


def literal(index, value, adds=True):
    """Return a literal field with a static name, as nginx sends each field of a response."""
    prefix = bytes([0x40 | index]) if adds else b"\x0f" + bytes([index - 15])
    return prefix + bytes([len(value)]) + value


def test_repeated_blocks_that_add_to_the_table_are_decoded_as_by_another_library():
    pick = random.Random(9)
    for size in (4096, 200, 64, 0):
        ours, theirs = Decoder(4096), hpack.Decoder()
        start = bytes([0x20 | size]) if size < 31 else None
        if start is None:
            rest = size - 31
            start = b"\x3f"
            while rest > 127:
                start += bytes([rest & 127 | 128])
                rest >>= 7
            start += bytes([rest])
        blocks = [
            b"\x88" + b"".join(literal(54 + n % 5, b"v%d" % (n * k)) for n in range(k + 1))
            for k in range(6)
        ]
        blocks += [b"\x88" + literal(58, b"x", adds=False), b"\x88", b"\x7e\x01y", b"\xbe", b"\xbf"]
        assert ours.decode(start + b"\x88") == theirs.decode(start + b"\x88", raw=True)
        for _ in range(400):
            block = pick.choice(blocks)
            try:
                expected = theirs.decode(block, raw=True)
            except hpack.HPACKError:
                with pytest.raises(HpackError):
                    ours.decode(block)
                continue
            assert ours.decode(block) == expected
            for _ in range(pick.choice([0, 0, 0, 0, 1, 130])):
                assert ours.decode(block) == theirs.decode(block, raw=True)
            if pick.random() < 0.5:  # otherwise more of them are noted before
                continue
            ours._add_noted()
            assert list(ours._entries) == list(theirs.header_table.dynamic_entries)
            assert ours._size == theirs.header_table._current_size


def test_repeated_blocks_that_add_to_the_table_take_few_steps_whatever_came_before():
    decoder = Decoder()
    names = (54, 33, 31, 28, 44)
    blocks = [b"\x88" + b"".join(literal(name, b"%d" % n) for name in names) for n in range(16)]
    first = [decoder.decode(block) for block in blocks]
    with Steps("hpack_decoder") as steps:
        again = [decoder.decode(block) for block in 20 * blocks]
    assert all(map(operator.is_, again, 20 * first))
    assert steps.codes <= 90 * len(again)  # 250 if each entry were added


def test_blocks_that_come_again_take_no_memory():
    decoder = Decoder()
    small, large = b"\x88" + literal(54, b""), b"\x88" + literal(54, 120 * b"x")
    for block in (small, large):
        for _ in range(2000):
            decoder.decode(block)
            assert len(decoder._noted) <= 2 * (4096 // 38 + 1) + 33
    assert decoder.decode(b"\xbe") == [(b"server", 120 * b"x")]
    assert not decoder._noted


def test_blocks_that_add_to_the_table_are_remembered_up_to_a_limit():
    decoder = Decoder()
    for number in range(100):
        decoder.decode(b"\x88" + literal(54, b"%d" % number))
    assert len(decoder._adding) <= MOST_BLOCKS
    decoder.decode(b"\x88" + literal(54, bytes(100)) * 60)
    assert all(len(block) <= LARGEST_BLOCK for block in decoder._adding)
