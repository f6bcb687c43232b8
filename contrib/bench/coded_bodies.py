"""Encoded bodies with the right result of each: what decoding.py asks of clients, and tests of us.

The verdict is that of the formats: RFC 1950, 1951, 1952 (zlib, deflate, gzip), 7932 (Brotli), 8878
and 9659 (Zstandard), and RFC 9110 section 8.4 for how they are named and combined. A body that is
truncated, has a wrong checksum or goes on behind its end has no right content.

Bodies of br and zstd are missing where their library is.
"""

from __future__ import annotations

import gzip
import random
import struct
import zlib
from collections.abc import Iterator
from typing import Final, NamedTuple

from dugong_like.http.decompressors import brotli_module, zstd_module

TEXT: Final = b"".join(
    b'{"id": %d, "name": "item %d", "price": %d.5}\n' % (n, n * 7919 % 1009, n * n % 977)
    for n in range(300)
)
OTHER: Final = b"second part\n"
NOISE: Final = random.Random(1).randbytes(70_000)
ZEROS: Final = bytes(1 << 20)
FHCRC, FEXTRA, FNAME, FCOMMENT, RESERVED = 2, 4, 8, 16, 32  # flags of RFC 1952 section 2.3.1


# Those where this library has a limit, or a rule, of its own, so others may give another result.
OURS: Final = frozenset(["six codings", "a window of 16 MiB", "not known, in gzip"])


class Case(NamedTuple):
    """A body as it is sent.

    Attributes:
        name: what is special about it.
        codings: value of Content-Encoding.
        wire: the bytes.
        content: the decoded bytes; None if the body is invalid.

    """

    name: str
    codings: str
    wire: bytes
    content: bytes | None


def raw(data: bytes, level: int = 6, strategy: int = zlib.Z_DEFAULT_STRATEGY) -> bytes:
    """Return *data* in the deflate format."""
    deflater = zlib.compressobj(level, zlib.DEFLATED, -zlib.MAX_WBITS, 8, strategy)
    return deflater.compress(data) + deflater.flush()


def member(
    data: bytes,
    flags: int = 0,
    fields: bytes = b"",
    *,
    method: int = 8,
    crc: int = 0,
    more: int = 0,
) -> bytes:
    """Return a member of gzip; *crc* and *more* are added to what its trailer should have."""
    head = struct.pack("<BBBBIBB", 0x1F, 0x8B, method, flags, 0, 0, 255) + fields
    trailer = (zlib.crc32(data) + crc) & 0xFFFFFFFF, (len(data) + more) & 0xFFFFFFFF
    return head + raw(data) + struct.pack("<II", *trailer)


def flushed(data: bytes) -> bytes:
    """Return a member with the flushes of a server that streams."""
    deflater = zlib.compressobj(wbits=31)
    parts = [data[:100], data[100:5000], data[5000:]]
    sent = [deflater.compress(part) + deflater.flush(zlib.Z_SYNC_FLUSH) for part in parts]
    return b"".join(sent) + deflater.flush()


def gzip_cases() -> Iterator[Case]:
    """Yield bodies of gzip."""
    whole, two = gzip.compress(TEXT), gzip.compress(TEXT) + gzip.compress(OTHER)
    crc = struct.pack("<H", zlib.crc32(b"\x1f\x8b\x08\x02\0\0\0\0\0\xff") & 0xFFFF)
    for name, wire in {
        "one member": whole,
        "stored blocks": gzip.compress(TEXT, 0),
        "best compression": gzip.compress(TEXT, 9),
        "name, comment and extra field": member(
            TEXT, FEXTRA | FNAME | FCOMMENT, b"\x04\0abcdname\0comment\0"
        ),
        "checksum of the header": member(TEXT, FHCRC, crc),
        "flushed several times": flushed(TEXT),
        "reserved operating system": member(TEXT)[:9] + b"\x99" + member(TEXT)[10:],
        "an empty member in front": gzip.compress(b"") + whole,
        "an empty member behind": whole + gzip.compress(b""),
    }.items():
        yield Case(name, "gzip", wire, TEXT)
    yield Case("no bytes at all", "gzip", b"", b"")
    yield Case("empty content", "gzip", gzip.compress(b""), b"")
    yield Case("two members", "gzip", two, TEXT + OTHER)
    yield Case("many members", "gzip", gzip.compress(OTHER) * 50, OTHER * 50)
    yield Case("does not compress", "gzip", gzip.compress(NOISE), NOISE)
    yield Case("a thousand times as large", "gzip", gzip.compress(ZEROS), ZEROS)
    for names in ("x-gzip", "GZip", " gzip ,", "identity, gzip"):
        yield Case(f"named {names!r}", names, whole, TEXT)
    for name, wire in {
        "only the first byte": whole[:1],
        "cut in the header": whole[:7],
        "cut behind the header": whole[:10],
        "cut in the data": whole[: len(whole) // 2],
        "without the trailer": whole[:-8],
        "without the length": whole[:-4],
        "without the last byte": whole[:-1],
        "wrong checksum": member(TEXT, crc=1),
        "wrong length": member(TEXT, more=1),
        "unknown method": member(TEXT, method=7),
        "reserved flag": member(TEXT, RESERVED),
        "wrong checksum of the header": member(TEXT, FHCRC, b"\0\0"),
        "invalid block": whole[:10] + b"\x07" + whole[11:],
        "not encoded": TEXT,
        "of the zlib format": zlib.compress(TEXT),
        "text behind the end": whole + b"OK\r\n",
        "zeros behind the end": whole + bytes(8),
        "a byte of a header behind the end": whole + b"\x1f",
        "second member cut": two[:-9],
        "second member with a wrong checksum": whole + member(OTHER, crc=1),
        "text behind the second member": two + b"\n",
    }.items():
        yield Case(name, "gzip", wire, None)


def deflate_cases() -> Iterator[Case]:
    """Yield bodies of deflate."""
    wrapped, unwrapped = zlib.compress(TEXT), raw(TEXT)
    for name, wire in {
        "as it should be": wrapped,
        "without the zlib format": unwrapped,
        "fixed codes": raw(TEXT, strategy=zlib.Z_FIXED),
        "stored blocks": zlib.compress(TEXT, 0),
        "stored blocks without the zlib format": raw(TEXT, 0),
        "small window": small_window(TEXT),
    }.items():
        yield Case(name, "deflate", wire, TEXT)
    yield Case("no bytes at all", "deflate", b"", b"")
    yield Case("empty content", "deflate", zlib.compress(b""), b"")
    yield Case("empty content without the zlib format", "deflate", raw(b""), b"")
    yield Case("a thousand times as large", "deflate", zlib.compress(ZEROS), ZEROS)
    for name, wire in {
        "only the first byte": wrapped[:1],
        "cut in the data": wrapped[: len(wrapped) // 2],
        "without the checksum": wrapped[:-4],
        "without the last byte": wrapped[:-1],
        "wrong checksum": wrapped[:-1] + bytes([wrapped[-1] ^ 1]),
        "wanting a dictionary": b"\x78\xbb\0\0\0\1" + unwrapped,
        "text behind the end": wrapped + b"OK\r\n",
        "twice": wrapped + wrapped,
        "without the zlib format, cut": unwrapped[:-1],
        "without the zlib format, text behind the end": unwrapped + b"OK\r\n",
        "of the gzip format": gzip.compress(TEXT),
        "not encoded": TEXT,
    }.items():
        yield Case(name, "deflate", wire, None)


def small_window(data: bytes) -> bytes:
    """Return *data* in the zlib format, with a window of 512 bytes."""
    deflater = zlib.compressobj(wbits=9)
    return deflater.compress(data) + deflater.flush()


def br_cases() -> Iterator[Case]:
    """Yield bodies of br, if its library is there."""
    if (brotli := brotli_module()) is None:
        return
    whole = brotli.compress(TEXT)
    yield Case("as it should be", "br", whole, TEXT)
    yield Case("no bytes at all", "br", b"", b"")
    yield Case("empty content", "br", brotli.compress(b""), b"")
    yield Case("does not compress", "br", brotli.compress(NOISE), NOISE)
    yield Case("a thousand times as large", "br", brotli.compress(ZEROS), ZEROS)
    for name, wire in {
        "only the first byte": whole[:1],
        "cut in the data": whole[: len(whole) // 2],
        "without the last byte": whole[:-1],
        "not encoded": b"\xff" + TEXT,
        "text behind the end": whole + b"OK\r\n",
        "twice": whole + whole,
    }.items():
        yield Case(name, "br", wire, None)


def zstd_cases() -> Iterator[Case]:
    """Yield bodies of zstd, if its library is there."""
    if (zstd := zstd_module()) is None:
        return
    set_ = zstd.CompressionParameter
    whole, other = zstd.compress(TEXT), zstd.compress(OTHER)
    checked = zstd.compress(TEXT, options={set_.checksum_flag: 1})
    streaming = zstd.ZstdCompressor()
    skippable = b"\x5a\x2a\x4d\x18\x03\0\0\0abc"
    large = zstd.ZstdCompressor(options={set_.window_log: 24})
    for name, wire in {
        "one frame": whole,
        "with a checksum": checked,
        "of unknown size": streaming.compress(TEXT) + streaming.flush(),
        "a skippable frame in front": skippable + whole,
        "a skippable frame behind": whole + skippable,
    }.items():
        yield Case(name, "zstd", wire, TEXT)
    yield Case("no bytes at all", "zstd", b"", b"")
    yield Case("empty content", "zstd", zstd.compress(b""), b"")
    yield Case("two frames", "zstd", whole + other, TEXT + OTHER)
    yield Case("many frames", "zstd", other * 50, OTHER * 50)
    yield Case("does not compress", "zstd", zstd.compress(NOISE), NOISE)
    yield Case("a thousand times as large", "zstd", zstd.compress(ZEROS), ZEROS)
    for name, wire in {
        "only the first byte": whole[:1],
        "cut in the data": whole[: len(whole) // 2],
        "without the last byte": whole[:-1],
        "wrong checksum": checked[:-1] + bytes([checked[-1] ^ 1]),
        "a window of 16 MiB": large.compress(TEXT) + large.flush(),
        "not encoded": TEXT,
        "text behind the end": whole + b"OK\r\n",
        "a byte of a frame behind the end": whole + b"\x28",
        "a frame of 128 bytes that has none": b"\x28\xb5\x2f\xfd\x20\x80\x01\0\0",
        "second frame cut": whole + other[:-1],
        "skippable frame cut": whole + skippable[:-1],
    }.items():
        yield Case(name, "zstd", wire, None)


def combined_cases() -> Iterator[Case]:
    """Yield bodies of several codings, or of none that is known."""
    inner, twice = zlib.compress(TEXT), gzip.compress(gzip.compress(TEXT))
    yield Case("two codings", "deflate, gzip", gzip.compress(inner), TEXT)
    yield Case("the same coding twice", "gzip, gzip", twice, TEXT)
    halves = gzip.compress(inner[:50]) + gzip.compress(inner[50:])
    yield Case("the outer one in two members", "deflate, gzip", halves, TEXT)
    yield Case("no bytes at all", "deflate, gzip", b"", b"")
    five = gzip.compress(gzip.compress(gzip.compress(twice)))
    yield Case("five codings", "gzip, gzip,, gzip, gzip, gzip", five, TEXT)
    yield Case("six codings", ", ".join(["gzip"] * 6), gzip.compress(five), None)
    yield Case("the inner one cut", "deflate, gzip", gzip.compress(inner[:-1]), None)
    yield Case("the outer one cut", "deflate, gzip", gzip.compress(inner)[:-1], None)
    yield Case("the inner one missing", "deflate, gzip", gzip.compress(b""), None)
    yield Case("text behind the inner one", "deflate, gzip", gzip.compress(inner + b"\n"), None)
    yield Case("the other way round", "gzip, deflate", gzip.compress(inner), None)
    yield Case("identity", "identity", TEXT, TEXT)
    yield Case("not known", "rot13", TEXT, TEXT)
    yield Case("not known, in gzip", "rot13, gzip", gzip.compress(TEXT), gzip.compress(TEXT))
    if (brotli := brotli_module()) is not None:
        yield Case("gzip in br", "gzip, br", brotli.compress(gzip.compress(TEXT)), TEXT)
    if (zstd := zstd_module()) is not None:
        yield Case("zstd in gzip", "zstd, gzip", gzip.compress(zstd.compress(TEXT)), TEXT)


def all_cases() -> list[Case]:
    """Return all bodies, in the order of a table of results."""
    makers = (gzip_cases, deflate_cases, br_cases, zstd_cases, combined_cases)
    return [case for maker in makers for case in maker()]
