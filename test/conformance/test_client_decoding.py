"""Content codings through a client: what a body is, whole and in pieces, and what it is not.

RFC 9110 section 8.4, RFC 1950 to 1952. Every case is received at once and byte by byte, read whole
and streamed, and each way has to come to the same verdict.
"""

import asyncio
import gzip
import time
import zlib

import pytest
from kit.cases import each_case
from kit.sites import DRIVERS, Site, answer_of, ask, client

from dugong_like import BodyTooLarge, DecodingError
from dugong_like.client.async_client import AsyncClient

TEXT = b"hello, " * 300


def raw_deflate(data):
    packer = zlib.compressobj(wbits=-15)
    return packer.compress(data) + packer.flush()


def gzip_with(flags, extra):
    """Return a gzip member with optional parts of its header (RFC 1952 section 2.3)."""
    plain = gzip.compress(TEXT)
    return plain[:3] + bytes([flags]) + plain[4:10] + extra + plain[10:]


GZIP = gzip.compress(TEXT)
ZLIB = zlib.compress(TEXT)
RAW = raw_deflate(TEXT)
BAD = DecodingError
# Content-Encoding, body, and what it decodes to; an error; or None: it is left as it is.
CASES = {
    "gzip": ("gzip", GZIP, TEXT),
    "GZIP": ("GZIP", GZIP, TEXT),
    "x-gzip": ("x-gzip", GZIP, TEXT),
    "blanks": (" \tgzip ", GZIP, TEXT),
    "empty elements": (", gzip ,,", GZIP, TEXT),
    "deflate of zlib": ("deflate", ZLIB, TEXT),
    "raw deflate": ("deflate", RAW, TEXT),
    "identity": ("identity", TEXT, TEXT),
    "identity and gzip": ("identity, gzip", GZIP, TEXT),
    "an empty field": ("", TEXT, TEXT),
    "gzip of nothing": ("gzip", gzip.compress(b""), b""),
    "deflate of nothing": ("deflate", zlib.compress(b""), b""),
    "two members": ("gzip", GZIP + gzip.compress(b"more"), TEXT + b"more"),
    "an empty member between": ("gzip", GZIP + gzip.compress(b"") + GZIP, TEXT + TEXT),
    "1,000 members": ("gzip", gzip.compress(b"x") * 1000, b"x" * 1000),
    "a name": ("gzip", gzip_with(8, b"name\0"), TEXT),
    "a comment": ("gzip", gzip_with(16, b"about\0"), TEXT),
    "an extra field": ("gzip", gzip_with(4, b"\x03\x00abc"), TEXT),
    "stored blocks": ("gzip", gzip.compress(TEXT, 0), TEXT),
    "gzip twice": ("gzip, gzip", gzip.compress(GZIP), TEXT),
    "deflate, then gzip": ("deflate, gzip", gzip.compress(ZLIB), TEXT),
    "gzip, then deflate": ("gzip, deflate", zlib.compress(GZIP), TEXT),
    "five": ("gzip, gzip, gzip, gzip, gzip", None, TEXT),
    "six": ("gzip, gzip, gzip, gzip, gzip, gzip", None, BAD),
    "no body at all": ("gzip", b"", b""),
    "no body, of two codings": ("gzip, deflate", b"", b""),
    "unknown": ("x-own", TEXT, None),
    "unknown below": ("x-own, gzip", GZIP, None),
    "unknown above": ("gzip, x-own", GZIP, None),
    "compress": ("compress", b"\x1f\x9d\x90", None),
    "not gzip": ("gzip", TEXT, BAD),
    "one byte": ("gzip", b"\x1f", BAD),
    "half a header": ("gzip", GZIP[:7], BAD),
    "a header only": ("gzip", GZIP[:10], BAD),
    "cut in the middle": ("gzip", GZIP[: len(GZIP) // 2], BAD),
    "without its end": ("gzip", GZIP[:-8], BAD),
    "cut in the check": ("gzip", GZIP[:-5], BAD),
    "one byte less": ("gzip", GZIP[:-1], BAD),
    "a wrong check": ("gzip", GZIP[:-8] + b"abcd" + GZIP[-4:], BAD),
    "a wrong length": ("gzip", GZIP[:-4] + b"abcd", BAD),
    "a wrong bit": ("gzip", GZIP[:15] + bytes([GZIP[15] ^ 0xFF]) + GZIP[16:], BAD),
    "garbage behind": ("gzip", GZIP + b"garbage", BAD),
    "a line end behind": ("gzip", GZIP + b"\r\n", BAD),
    "half a member behind": ("gzip", GZIP + GZIP[:20], BAD),
    "an unknown method": ("gzip", GZIP[:2] + b"\x07" + GZIP[3:], BAD),
    "reserved flags": ("gzip", gzip_with(0xE0, b""), BAD),
    "zlib called gzip": ("gzip", ZLIB, BAD),
    "gzip called deflate": ("deflate", GZIP, BAD),
    "not deflate": ("deflate", b"\xff" * 50, BAD),
    "zlib, cut": ("deflate", ZLIB[:-1], BAD),
    "zlib, cut early": ("deflate", ZLIB[:1], BAD),
    "zlib, a wrong check": ("deflate", ZLIB[:-4] + b"abcd", BAD),
    "zlib, garbage behind": ("deflate", ZLIB + b"x", BAD),
    "raw, cut": ("deflate", RAW[:-1], BAD),
    "raw, garbage behind": ("deflate", RAW + b"x", BAD),
    "a dictionary": ("deflate", b"\x78\xbb" + b"\0" * 20, BAD),
    "the outer one cut": ("deflate, gzip", gzip.compress(ZLIB)[:-1], BAD),
    "the inner one cut": ("deflate, gzip", gzip.compress(ZLIB[:-1]), BAD),
    "garbage behind the inner one": ("deflate, gzip", gzip.compress(ZLIB + b"x"), BAD),
    "said once, done twice": ("gzip", gzip.compress(GZIP), GZIP),
    "said twice, done once": ("gzip, gzip", GZIP, BAD),
}
for name in ("five", "six"):
    field, _, result = CASES[name]
    data = TEXT
    for _ in field.split(","):
        data = gzip.compress(data)
    CASES[name] = (field, data, result)

READINGS = ["whole", "content", "bytes", "small pieces", "asyncio", "a hook", "a limit"]


def read_by(reading, site):
    """Return what a GET to *site* has, read in one of the ways; or the error."""
    url = site.url()
    options = {"max_body": 10_000} if reading == "a limit" else {}
    try:
        with client(**options) as asking:
            if reading == "asyncio":
                return asyncio.run(_read_async(asking, url))
            if reading in {"whole", "a limit"}:
                return asking.get(url).content
            if reading == "a hook":
                return asking.get(url, hooks={"data_processed": lambda *a, **k: None}).content
            with asking.stream("GET", url) as response:
                if reading == "content":
                    return response.read()
                return b"".join(response.iter_bytes(7 if reading == "small pieces" else None))
    except DecodingError as exc:
        assert exc.response.status_code == 200
        assert (exc.method, exc.request_sent, exc.retryable) == ("GET", "yes", False)
        return DecodingError


async def _read_async(asking, url):
    async with AsyncClient(client=asking) as shared, shared.stream("GET", url) as response:
        return b"".join([piece async for piece in response.aiter_bytes()])


@pytest.mark.feature("D27")
@pytest.mark.reliability(69)
@each_case("framing", ["length", "bytewise chunks"])
@each_case("name", CASES)
def test_verdicts(name, framing):
    """The same in all ways of reading, and the connection stays usable."""
    field, body, expected = CASES[name]
    head = f"HTTP/1.1 200 X\r\nContent-Encoding: {field}\r\n"
    if framing == "length":
        answer = f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body
    else:
        chunks = b"".join(b"1\r\n%c\r\n" % byte for byte in body)
        answer = f"{head}Transfer-Encoding: chunked\r\n\r\n".encode() + chunks + b"0\r\n\r\n"
    with Site({None: answer}) as site:
        verdicts = {reading: read_by(reading, site) for reading in READINGS}
        with client() as asking, asking.stream("GET", site.url()) as response:
            raw = b"".join(response.iter_raw())
            assert response.num_bytes_downloaded == len(body)
    assert verdicts == dict.fromkeys(READINGS, body if expected is None else expected)
    assert raw == body


@pytest.mark.reliability(69)
@pytest.mark.parametrize("driver", DRIVERS)
@pytest.mark.parametrize("name", ["gzip", "unknown", "cut in the middle"])
def test_the_connection_is_kept_whatever_the_body_is(name, driver):
    """The framing of HTTP is right: nothing is wrong with the connection."""
    field, body, _ = CASES[name]
    with Site({None: answer_of(200, f"Content-Encoding: {field}", body=body)}) as site:
        first, second = ask(driver, {}, ("GET", site.url()), ("GET", site.url()))
        assert site.connections == 1
    assert type(first) is type(second)
    if name == "unknown":
        assert (first.encoded, first.content) == (True, body)
    elif name == "gzip":
        assert (first.encoded, first.headers["content-encoding"]) == (False, "gzip")


@pytest.mark.reliability(23, 69)
@pytest.mark.parametrize("driver", DRIVERS)
@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(
    ("method", "status"), [("HEAD", 200), ("GET", 204), ("GET", 304), ("HEAD", 404), ("HEAD", 206)]
)
def test_responses_without_a_body(method, status, stream, driver):
    head = f"HTTP/1.1 {status} X\r\nContent-Encoding: gzip\r\n"
    if status != 204:
        head += "Content-Length: 1234\r\n"
    with Site({None: f"{head}\r\n".encode()}) as site:
        call = (method, site.url(), {"stream": stream})
        first, second = ask(driver, {}, call, call)
        assert stream or site.connections == 1
    for response in (first, second):
        assert (response.status_code, response.encoded) == (status, False)
        assert stream or response.content == b""


PARTS = {
    # Content-Range, body: what it decodes to; None: it is left as it is
    f"bytes 0-{len(GZIP) - 1}/{len(GZIP)}": (GZIP, TEXT),
    f"bytes 0-{len(GZIP) - 2}/{len(GZIP)}": (GZIP[:-1], None),
    f"bytes 5-{len(GZIP) - 1}/{len(GZIP)}": (GZIP[5:], None),
    "bytes 0-9/*": (GZIP[:10], None),
    "": (b"--x\r\n\r\n--x--", None),  # multipart/byteranges
}


@pytest.mark.reliability(69)
@pytest.mark.parametrize("driver", DRIVERS)
@pytest.mark.parametrize("place", PARTS)
def test_a_part_of_an_encoded_body_is_left_as_it_is(place, driver):
    """RFC 9110 section 14.2: a range counts encoded bytes, of which a part cannot be decoded."""
    body, expected = PARTS[place]
    field = f"Content-Range: {place}" if place else "Content-Type: multipart/byteranges; boundary=x"
    with Site({None: answer_of(206, "Content-Encoding: gzip", field, body=body)}) as site:
        headers = {"Range": "bytes=5-", "Accept-Encoding": "gzip"}
        [response] = ask(driver, {}, ("GET", site.url(), {"headers": headers}))
    assert response.content == (body if expected is None else expected)
    assert response.encoded is (expected is None)


@pytest.mark.reliability(69)
@pytest.mark.parametrize("driver", DRIVERS)
def test_a_range_is_asked_for_without_codings(driver):
    """As browsers (Fetch, HTTP-network-or-cache fetch), unless the caller asks for some."""
    ranged = {"headers": {"Range": "bytes=5-"}}
    own = {"headers": {"range": "bytes=5-", "accept-encoding": "gzip"}}
    with Site({None: answer_of(200)}) as site:
        url = site.url()
        ask(driver, {}, ("GET", url, ranged), ("GET", url, own), ("GET", url))
        ask(driver, {"headers": {"Accept-Encoding": "br"}}, ("GET", url, ranged))
        ask(driver, {"decompress": False}, ("GET", url, ranged), ("GET", url))
    got = [seen.headers.get("accept-encoding") for seen in site.seen]
    assert got[:2] == ["identity", "gzip"]
    assert got[2].startswith("gzip, deflate")
    assert got[3] == "br"
    assert got[4:] == ["identity", "identity"]


BOMB = gzip.compress(bytes(50_000_000))


@pytest.mark.feature("D27", "E39")
@pytest.mark.reliability(69)
@pytest.mark.parametrize("driver", DRIVERS)
@pytest.mark.parametrize("codings", [1, 2])
@pytest.mark.parametrize("stream", [False, True])
def test_a_bomb_has_a_limit(stream, codings, driver):
    """Decoded bytes count, and beyond the limit none are made (CVE-2025-66471 class)."""
    body = BOMB if codings == 1 else gzip.compress(BOMB)
    field = "Content-Encoding: " + ", ".join(["gzip"] * codings)
    with Site({None: answer_of(200, field, body=body)}) as site:
        began = time.thread_time()
        options = {"max_body": 100_000}
        [result] = ask(driver, options, ("GET", site.url(), {"stream": stream}))
        if stream:
            assert result.status_code == 200
            with client(**options) as asking, asking.stream("GET", site.url()) as response:
                count = 0
                with pytest.raises(BodyTooLarge):
                    for piece in response.iter_bytes():
                        count += len(piece)
                assert count <= 100_000
        else:
            assert isinstance(result, BodyTooLarge)
        assert time.thread_time() - began < 5


@pytest.mark.reliability(69)
@pytest.mark.parametrize("driver", DRIVERS)
@pytest.mark.parametrize("coding", ["", "gzip"])
@pytest.mark.parametrize(("size", "fits"), [(99, True), (100, True), (101, False), (0, True)])
def test_the_limit_is_exact(size, fits, coding, driver):
    body = bytes(size)
    data = gzip.compress(body) if coding else body
    with Site({None: answer_of(200, f"Content-Encoding: {coding}", body=data)}) as site:
        [result] = ask(driver, {"max_body": 100}, ("GET", site.url()))
    assert (result.content == body) if fits else isinstance(result, BodyTooLarge)


@pytest.mark.reliability(69)
@pytest.mark.parametrize("name", ["cut in the middle", "six", "garbage behind", "not deflate"])
def test_an_error_is_the_same_each_time(name):
    field, body, _ = CASES[name]
    with Site({None: answer_of(200, f"Content-Encoding: {field}", body=body)}) as site:
        [error] = ask("blocking", {}, ("GET", site.url()))
    response = error.response
    for _ in range(2):
        with pytest.raises(DecodingError):
            response.content


@pytest.mark.feature("D27")
@pytest.mark.reliability(69)
@pytest.mark.parametrize("name", ["br", "zstd"])
def test_codings_of_packages(name):
    """Decoded and asked for if the package is there; truncated is an error as everywhere."""
    from dugong_like.http.codings import accept_encoding

    if name not in accept_encoding():
        pytest.skip(f"no {name} here")
    if name == "br":
        brotli = pytest.importorskip("brotli")
        body = brotli.compress(TEXT)
    else:
        zstd = pytest.importorskip("backports.zstd")
        body = zstd.compress(TEXT)
    cases = [(body, TEXT), (body[:-1], BAD), (body[: len(body) // 2], BAD), (body + b"xx", BAD)]
    for data, expected in cases:
        answer = answer_of(200, f"Content-Encoding: {name}", body=data)
        with Site({None: answer}) as site:
            verdicts = {reading: read_by(reading, site) for reading in READINGS}
        assert verdicts == dict.fromkeys(READINGS, expected)
