import json
import zlib

import pytest

from dugong_like.client.decoding import AS_USUAL, BodyDecoding, ReadingOptions, is_part
from dugong_like.errors import BodyTooLarge, DecodingError
from dugong_like.polling.contract import run

TEXT = b"a body, a body, a body"
CODED = zlib.compress(TEXT)


def receiving(*pieces):
    """Return a function that receives one of *pieces* after the other, and nothing then."""
    left = list(pieces)

    def co_receive():
        return left.pop(0) if left else b""
        yield

    return co_receive


def in_pieces(decoding, *pieces):
    """Return the decoded pieces of a body that arrives in *pieces*."""
    co_receive = receiving(*pieces)
    return list(iter(lambda: run(decoding.co_next(co_receive)), b""))


def test_without_a_coding_pieces_are_those_that_arrive():
    decoding = BodyDecoding(AS_USUAL, None)

    assert in_pieces(decoding, b"a", b"bc") == [b"a", b"bc"]
    assert BodyDecoding(AS_USUAL, None).decode_all(TEXT) == TEXT
    assert not decoding.is_left


@pytest.mark.parametrize("at", range(len(CODED) + 1))
def test_result_does_not_depend_on_where_the_network_cuts(at):
    pieces = [piece for piece in (CODED[:at], CODED[at:]) if piece]

    assert b"".join(in_pieces(BodyDecoding(AS_USUAL, "deflate"), *pieces)) == TEXT
    assert BodyDecoding(AS_USUAL, "deflate").decode_all(CODED) == TEXT


@pytest.mark.parametrize(
    ("options", "codings", "part"),
    [
        (ReadingOptions(decompress=False), "deflate", False),
        (AS_USUAL, "deflate", True),
        (AS_USUAL, "unknown", False),
    ],
)
def test_coding_is_left_if_it_is_not_wanted_not_possible_or_not_known(options, codings, part):
    decoding = BodyDecoding(options, codings, is_part=part)

    assert decoding.is_left
    assert decoding.decode_all(CODED) == CODED
    assert in_pieces(decoding, CODED) == [CODED]


def test_identity_is_no_coding_that_is_left():
    assert not BodyDecoding(ReadingOptions(decompress=False), "identity").is_left


def test_body_that_ends_too_early_is_broken():
    with pytest.raises(DecodingError) as caught:
        in_pieces(BodyDecoding(AS_USUAL, "deflate"), CODED[:-1])
    assert caught.value.truncated
    with pytest.raises(DecodingError):
        BodyDecoding(AS_USUAL, "deflate").decode_all(CODED[:-1])


def test_too_many_codings_are_refused():
    with pytest.raises(DecodingError):
        BodyDecoding(AS_USUAL, "deflate, " * 5 + "deflate")


@pytest.mark.parametrize(("codings", "body"), [(None, TEXT), ("deflate", CODED)])
def test_limit_is_about_decoded_bytes(codings, body):
    most = ReadingOptions(max_body=len(TEXT))
    less = ReadingOptions(max_body=len(TEXT) - 1)

    assert BodyDecoding(most, codings).decode_all(body) == TEXT
    assert b"".join(in_pieces(BodyDecoding(most, codings), body[:1], body[1:])) == TEXT
    with pytest.raises(BodyTooLarge, match=f"more than {len(TEXT) - 1} bytes"):
        BodyDecoding(less, codings).decode_all(body)
    with pytest.raises(BodyTooLarge, match=f"more than {len(TEXT) - 1} bytes"):
        in_pieces(BodyDecoding(less, codings), body[:1], body[1:])


@pytest.mark.parametrize(
    ("status", "value", "expected"),
    [
        (200, "bytes 0-3/9", False),
        (206, "bytes 0-8/9", False),
        (206, "Bytes 0-8/9", False),
        (206, "bytes 0-7/9", True),
        (206, "bytes 1-8/9", True),
        (206, "bytes 0-8/*", True),
        (206, "pages 0-8/9", True),
        (206, "nonsense", True),
        (206, None, True),  # several parts
    ],
)
def test_part_is_what_is_not_all_of_it(status, value, expected):
    assert is_part(status, value) is expected


def test_json_is_parsed_by_what_the_options_name():
    assert AS_USUAL.parse_json(b"[1.5]", {"parse_float": str}) == ["1.5"]
    assert ReadingOptions(loads=lambda data: data[::-1]).parse_json(b"12", {}) == b"21"
    with pytest.raises(json.JSONDecodeError):
        AS_USUAL.parse_json(b"{", {})
