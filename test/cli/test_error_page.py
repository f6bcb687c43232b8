"""Content codings of an error page; what is shown of it is in test_command_line.py."""

import gzip
import zlib

import pytest

from dugong_like.cli.error_page import MAX_PAGE, decoded

TEXT = b"no such file\n"
ZIPPED = gzip.compress(TEXT, mtime=0)  # of no time: the tests are named after it
RAW = zlib.compressobj(wbits=-15)
DEFLATED = RAW.compress(TEXT) + RAW.flush()


@pytest.mark.parametrize(
    ("data", "codings"),
    [
        (TEXT, ""),
        (TEXT, "identity"),
        (ZIPPED, "gzip"),
        (ZIPPED, "X-GZip"),
        (zlib.compress(TEXT), "deflate"),
        (DEFLATED, "deflate"),
        (gzip.compress(zlib.compress(TEXT), mtime=0), "deflate , gzip"),
    ],
)
def test_codings_are_taken_off_the_last_one_first(data, codings):
    assert decoded(data, codings) == TEXT


@pytest.mark.parametrize(
    ("data", "codings"),
    [
        (TEXT, "br"),
        (ZIPPED, "br, gzip"),
        (ZIPPED, "zstd, gzip"),
        (TEXT, "gzip"),
        (TEXT, "deflate"),
        (ZIPPED[:-1], "gzip"),
        (ZIPPED[:-8] + bytes(8), "gzip"),
        (b"", "gzip"),
    ],
)
def test_what_cannot_be_decoded_is_none(data, codings):
    assert decoded(data, codings) is None


@pytest.mark.parametrize(("length", "fits"), [(MAX_PAGE, True), (MAX_PAGE + 1, False)])
def test_no_more_than_a_page_is_made(length, fits):
    assert (decoded(gzip.compress(bytes(length)), "gzip") is not None) == fits


def test_a_bomb_is_not_unpacked():
    assert decoded(gzip.compress(bytes(1_000_000)), "gzip") is None
