"""Content codings: which ones a body has, and its content, wherever the network cuts it."""

import gzip
import random
import sys
import tracemalloc
import zlib

import pytest
from kit.cases import each_case

from contrib.bench.coded_bodies import OTHER, TEXT, ZEROS, all_cases
from dugong_like.errors import BodyTooLarge, DecodingError, ProtocolError, StateError
from dugong_like.http import codings, decompressors
from dugong_like.http.codings import (
    MAX_CODINGS,
    accept_encoding,
    content_codings,
    decode_all,
    decoder_for,
)
from dugong_like.http.encoders import encode_all
from dugong_like.http.headers import CaseInsensitiveDict, Headers
from dugong_like.http.lazy_message import FieldsMessage

CASES = all_cases()
SMALL = 1000  # bytes of a step


@pytest.fixture
def _no_libraries(monkeypatch):
    """Neither brotli nor zstd is installed."""
    for name in ("brotli", "backports.zstd", "compression", "compression.zstd"):
        monkeypatch.setitem(sys.modules, name, None)
    if "backports" in sys.modules:
        monkeypatch.delattr(sys.modules["backports"], "zstd", raising=False)
    forget()
    yield
    forget()


def forget():
    codings.decompressors.cache_clear()
    codings.accept_encoding.cache_clear()


def whole(case):
    return decode_all(case.wire, case.codings)


def pieces(case, cuts, step=SMALL):
    """Return the content of a body that arrives in pieces, and see that no step is too large."""
    decoder = decoder_for(case.codings, step=step)
    if decoder is None:
        return case.wire
    found = []
    for start, end in zip([0, *cuts], [*cuts, len(case.wire)], strict=True):
        for data in decoder.feed(case.wire[start:end]):
            assert 0 < len(data) <= step
            found.append(data)
    decoder.finish()
    return b"".join(found)


def by_bytes(case):
    return pieces(case, range(1, len(case.wire)))


def at_random(case):
    for seed in range(5):
        dice = random.Random(seed)
        count = min(dice.randrange(1, 20), len(case.wire))
        result = pieces(case, sorted(dice.sample(range(len(case.wire)), count)))
        assert result == case.content
    return result


def taken_slowly(case):
    """Some decoded bytes are taken after each piece, so the next is added to what is left."""
    decoder = decoder_for(case.codings)
    if decoder is None:
        return case.wire
    found = []
    for start in range(0, len(case.wire), 50):
        found.append(decoder.decode(memoryview(case.wire)[start : start + 50], 70))
    while data := decoder.decode():
        found.append(data)
    decoder.finish()
    return b"".join(found)


@each_case("way", [whole, by_bytes, at_random, taken_slowly])
@each_case("case", CASES)
def test_content_does_not_depend_on_where_the_network_cuts(case, way):
    if case.content is None:
        with pytest.raises(DecodingError) as caught:
            way(case)
        assert isinstance(caught.value, ProtocolError)
        assert (caught.value.request_sent, caught.value.retryable) == ("yes", False)
    else:
        assert way(case) == case.content


def damaged(case, dice):
    """Return the body with some bits, bytes and pieces of others changed."""
    wire = bytearray(case.wire)
    for _ in range(dice.randrange(4)):
        at = dice.randrange(len(wire) + 1)
        change = dice.randrange(4)
        if change == 0 and wire:
            wire[at % len(wire)] ^= 1 << dice.randrange(8)
        elif change == 1:
            del wire[at : at + dice.randrange(20)]
        elif change == 2:
            wire[at:at] = dice.choice(CASES).wire[: dice.randrange(200)]
        else:
            wire += dice.choice(CASES).wire[: dice.choice([5, 50, 5000])]
    return case._replace(wire=bytes(wire))


def result(way, *arguments):
    try:
        return way(*arguments)
    except DecodingError:
        return None


@pytest.mark.parametrize("seed", range(8))
def test_damaged_bodies_have_the_same_result_whole_and_in_pieces(seed):
    dice = random.Random(seed)
    cases = [case for case in CASES if len(case.wire) < 4000 and len(case.content or b"") < 10**6]
    for _ in range(60):
        case = damaged(dice.choice(cases), dice)
        count = min(len(case.wire), dice.choice([0, 1, 3, 30]))
        cuts = sorted(dice.sample(range(len(case.wire) + 1), count))
        step = dice.choice([3, 100, 5000, 65536])
        assert result(whole, case) == result(pieces, case, cuts, step), (case, cuts, step)


def test_the_corpus_is_large_and_its_names_are_unique():
    assert len(CASES) > 80
    assert len({(case.codings, case.name) for case in CASES}) == len(CASES)


@pytest.mark.parametrize(
    ("wire", "message"),
    [
        (gzip.compress(TEXT)[:-1], "the gzip body is truncated"),
        (gzip.compress(TEXT) + b"\n", "bytes follow the end of the gzip body"),
        (gzip.compress(TEXT)[:-8] + bytes(8), "the gzip body is invalid: .*incorrect data check"),
        (TEXT, "the gzip body is invalid: .*incorrect header check"),
    ],
)
def test_messages_say_what_is_wrong(wire, message):
    with pytest.raises(DecodingError, match=message):
        decode_all(wire, "gzip")


@pytest.mark.parametrize(
    "case", [case for case in CASES if case.name == "a thousand times as large"],
    ids=lambda case: case.codings,
)  # fmt: skip
def test_a_body_that_explodes_needs_memory_for_one_step_only(case):
    decoder = decoder_for(case.codings)
    total = 0
    tracemalloc.start()
    for data in decoder.feed(case.wire):
        total += len(data)
    decoder.finish()
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()

    assert total == len(ZEROS)
    assert peak < 400_000  # two or three steps
    with pytest.raises(BodyTooLarge, match="more than 1000 bytes"):
        decode_all(case.wire, case.codings, 1000)


@pytest.mark.parametrize("coding", ["gzip", "deflate", "br", "zstd", "zstd, br", "gzip, deflate"])
@pytest.mark.parametrize(("piece", "step"), [(30_000, 1000), (200_000, 70_000), (7000, 10**9)])
def test_large_bodies_that_arrive_faster_than_they_are_taken(coding, piece, step):
    pytest.importorskip("brotli")
    pytest.importorskip("backports.zstd")
    dice = random.Random(2)
    content = b"".join(dice.choice((b"a", b"bcd" * 40, b"%d" % i)) for i in range(60_000))
    wire = content
    for name in coding.split(", "):
        wire = encode_all(wire, name)
    decoder = decoder_for(coding)
    found = []
    for start in range(0, len(wire), piece):
        found.append(decoder.decode(wire[start : start + piece], step))
        assert len(found[-1]) <= step
    while data := decoder.decode(b"", step):
        assert len(data) <= step
        found.append(data)
    decoder.finish()

    assert b"".join(found) == content == decode_all(wire, coding)


@pytest.mark.parametrize("coding", ["gzip", "deflate", "br", "zstd"])
def test_input_that_cannot_be_taken_yet_is_kept(coding):
    pytest.importorskip("brotli")
    pytest.importorskip("backports.zstd")
    wire = encode_all(bytes(20_000_000), coding, 9)
    decoder = decoder_for(coding)
    total = len(decoder.decode(wire[:-1]))
    total += len(decoder.decode(wire[-1:]))
    while data := decoder.decode():
        total += len(data)
    decoder.finish()

    assert total == 20_000_000


def test_the_limit_counts_decoded_bytes_and_may_be_reached():
    wire = gzip.compress(TEXT) + gzip.compress(OTHER)
    size = len(TEXT) + len(OTHER)

    assert decode_all(wire, "gzip", size) == TEXT + OTHER
    with pytest.raises(BodyTooLarge):
        decode_all(wire, "gzip", size - 1)
    assert decode_all(TEXT, "", len(TEXT)) == TEXT
    with pytest.raises(BodyTooLarge):
        decode_all(TEXT, "", len(TEXT) - 1)


def test_many_small_members_cost_no_more_than_their_bytes():
    count = 20_000
    wire = gzip.compress(b"x") * count  # 420 KB; copying the rest for each would be 4 GB

    assert decode_all(wire, "gzip") == b"x" * count


def test_memory_of_the_caller_may_be_used_again():
    wire = bytearray(gzip.compress(TEXT))
    decoder = decoder_for("gzip")

    found = [decoder.decode(wire, 100)]
    wire[:] = bytes(len(wire))
    found += iter(decoder.decode, b"")

    assert b"".join(found) == TEXT


def test_an_error_comes_again_and_earlier_content_stays():
    wire = gzip.compress(TEXT)
    decoder = decoder_for("gzip")

    assert b"".join(decoder.feed(wire)) == TEXT
    for _ in range(2):
        with pytest.raises(DecodingError, match="bytes follow"):
            decoder.decode(b"\n")
    with pytest.raises(DecodingError, match="bytes follow"):
        decoder.finish()
    cut = decoder_for("gzip")
    assert TEXT.startswith(b"".join(cut.feed(wire[:-20])))
    for _ in range(2):
        with pytest.raises(DecodingError, match="truncated"):
            cut.finish()


def test_finishing_too_early_is_an_error_of_the_caller():
    decoder = decoder_for("gzip")
    decoder.decode(gzip.compress(TEXT), 10)

    with pytest.raises(StateError, match="not taken"):
        decoder.finish()


@pytest.mark.parametrize("step", [0, -1])
def test_a_step_is_positive(step):
    with pytest.raises(ValueError, match="step"):
        decoder_for("gzip", step=step)


@pytest.mark.parametrize(
    ("fields", "names"),
    [
        ("", []),
        ("gzip", ["gzip"]),
        (" GZIP,\tbr ,", ["gzip", "br"]),
        ("identity", []),
        (["gzip", "", "Identity, br"], ["gzip", "br"]),
        (Headers([("content-encoding", "gzip"), ("A", "b"), ("Content-Encoding", "br")]),
         ["gzip", "br"]),
        (CaseInsensitiveDict({"CONTENT-ENCODING": "gzip, br"}), ["gzip", "br"]),
        ({"content-encoding": "gzip"}, ["gzip"]),
        (Headers(), []),
        (None, []),
        ((), []),
        (FieldsMessage(b"\r\nA: b\r\ncontent-encoding: gzip\r\nContent-Encoding: br\r\n"),
         ["gzip", "br"]),
        (FieldsMessage(b"\r\nA: b\r\n"), []),
        ("a b;q=1", ["a b;q=1"]),
    ],
)  # fmt: skip
def test_codings_of_fields(fields, names):
    assert content_codings(fields) == names


@pytest.mark.parametrize("fields", [5, iter(["gzip"]), {"gzip"}, b"gzip", object()])
def test_fields_of_another_type_are_refused(fields):
    with pytest.raises(TypeError, match="fields are those of a response"):
        decode_all(b"", fields)


def test_what_is_not_known_is_left_alone_however_many_codings_there_are():
    assert decoder_for("") is None
    assert decoder_for("identity") is None
    assert decoder_for("compress, gzip") is None
    assert decoder_for(", ".join(["x"] * 100)) is None
    with pytest.raises(DecodingError, match=f"at most {MAX_CODINGS}"):
        decoder_for(", ".join(["gzip"] * (MAX_CODINGS + 1)))


def test_what_is_installed_is_asked_for():
    pytest.importorskip("brotli")
    assert decompressors.zstd_module() is not None
    assert accept_encoding() == "gzip, deflate, br, zstd"


@pytest.mark.usefixtures("_no_libraries")
def test_without_libraries_there_are_gzip_and_deflate():
    assert accept_encoding() == "gzip, deflate"
    assert decoder_for("br") is None
    assert decoder_for("zstd") is None
    assert decode_all(gzip.compress(zlib.compress(TEXT)), "deflate, gzip") == TEXT
    with pytest.raises(ImportError, match=r"dugong-like\[br\]"):
        decompressors.BrotliDecompressor()
    with pytest.raises(ImportError, match=r"dugong-like\[zstd\]"):
        decompressors.ZstdDecompressor()


def test_an_old_library_that_cannot_bound_its_output_is_not_used(monkeypatch):
    class Old:
        class Decompressor:
            pass

    monkeypatch.setitem(sys.modules, "brotli", Old)
    assert decompressors.brotli_module() is None
