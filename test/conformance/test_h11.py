"""The verdicts of this library and of h11 on generated responses, and where they differ."""

import re

import h11
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from kit.conversations import Player, StarvedError
from kit.support import examples

OK = b"HTTP/1.1 200 OK\r\n"
CHUNKED = OK + b"Transfer-Encoding: chunked\r\n\r\n"

# What responses have of which only one takes the other's word: why, how it is recognized, and
# an example.
DIFFERENCES = {
    "h11 takes any version; here it is HTTP/1.x": (
        rb"HTTP/(?!1[.])[0-9]", b"HTTP/2.0 204 OK\r\n\r\n"
    ),
    "h11 takes LF alone as a line end, which RFC 9112 section 2.2 allows it to": (
        rb"(?<!\r)\n", b"HTTP/1.1 204 OK\n\n"
    ),
    "h11 takes control characters but NUL in values, reasons and chunk extensions": (
        rb"[\x01-\x08\x0b\x0c\x0e-\x1f\x7f]", b"HTTP/1.1 204 O\x01K\r\n\r\n"
    ),
    "h11 takes CR in chunk extensions": (
        rb";[^\n]*\r[^\n]", CHUNKED + b"5;a\rb\r\nhello\r\n0\r\n\r\n"
    ),
    "h11 takes a list of equal numbers as Content-Length": (
        rb"5, 5", OK + b"Content-Length: 5, 5\r\n\r\nhello"
    ),
    "h11 refuses equal numbers in different spellings": (
        rb"(?s:gth: ?05.*gth: ?5|gth: ?5.*gth: ?05)",
        OK + b"Content-Length: 05\r\nContent-Length: 5\r\n\r\nhello",
    ),
    "h11 takes Transfer-Encoding in HTTP/1.0": (
        rb"HTTP/1.0(?s:.*)Transfer-Encoding",
        b"HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    ),
    "h11 refuses codings that it does not know, and more than one of them, also if no body comes": (
        rb"Transfer-Encoding:(?i:(?! chunked ?\r\n[^ ]))|(?s:(Transfer-Encoding.*){2})",
        b"HTTP/1.1 204 OK\r\nTransfer-Encoding: gzip\r\n\r\n",
    ),
    "h11 refuses white space before chunk extensions, which RFC 9112 section 7.1.1 allows": (
        rb"5[ \t];", CHUNKED + b"5 ;a\r\nhello\r\n0\r\n\r\n"
    ),
    "h11 takes white space behind a chunk size, which no grammar allows": (
        rb"5 \r\n", CHUNKED + b"5 \r\nhello\r\n0\r\n\r\n"
    ),
    "h11 refuses more than 20 digits of a chunk size, leading zeros included": (
        rb"[05]{20}", CHUNKED + b"0" * 25 + b"5\r\nhello\r\n0\r\n\r\n"
    ),
}  # fmt: skip


def theirs(wire, method, end):
    """Return what h11 makes of *wire*: status and body, "refused", or "incomplete"."""
    conn = h11.Connection(h11.CLIENT, max_incomplete_event_size=10**6)
    conn.send(h11.Request(method=method, target="/", headers=[("Host", "script.test")]))
    conn.send(h11.EndOfMessage())
    status, body = None, b""
    try:
        conn.receive_data(wire)
        if end:
            conn.receive_data(b"")
        while True:
            event = conn.next_event()
            if isinstance(event, h11.Response):
                status = event.status_code
            elif isinstance(event, h11.Data):
                body += event.data
            elif isinstance(event, h11.EndOfMessage):
                return status, body
            elif not isinstance(event, h11.InformationalResponse):
                return "incomplete"
    except h11.RemoteProtocolError:
        return "refused"


def ours(monkeypatch, wire, method, end):
    try:
        outcome = Player(monkeypatch)(wire, method, end=end)
    except StarvedError:
        return "incomplete"
    return "refused" if outcome.failure else (outcome.status, outcome.body)


def often(value, *others):
    """Choose *value* in half of the cases."""
    return st.one_of(st.just(value), st.sampled_from(others))


NAMES = st.sampled_from([b"Content-Length: ", b"content-length:"])
NUMBERS = often(b"5", b"0", b"05", b"5, 5", b"5,6", b"+5", b"x", b"", b"5 ", b"9" * 25)
CODINGS = often(
    b"chunked", b"Chunked", b"gzip", b"gzip, chunked", b"chunked, gzip", b"", b"x", b"chunked "
)
VALUES = often(b"b", b"", b" b ", b"\xe9", b"b\r\n c", b"\x01", b"\x7f", b"a\x0bb", b"\0", b"a\rb")
LINES = often(
    *(b"Connection: close", b"A : b", b"A B: c", b": b", b" A: b", b"A", b"\xe9: b", b"A\0: b")
)
FIELDS = st.one_of(
    st.builds(bytes.__add__, NAMES, NUMBERS),
    st.builds(bytes.__add__, st.just(b"Transfer-Encoding: "), CODINGS),
    st.builds(bytes.__add__, st.just(b"A:"), VALUES),
    LINES,
)
VERSIONS = often(b"1.1", b"1.0", b"1.0", b"1.0", b"1.2", b"2.0", b"0.9", b"1", b"1.10")
CODES = often(
    *(b"200", b"204", b"304", b"404", b"600", b"999", b"099", b"20", b"2000", b"2x0", b"\xb200")
)
REASONS = often(b" OK", b"", b" ", b" \xe9", b" O\x01K", b"  OK", b"\tOK", b" O\tK")
STARTS = st.one_of(
    st.builds(b"HTTP/%b %b%b".__mod__, st.tuples(VERSIONS, CODES, REASONS)),
    st.builds(b"HTTP/1.%b 200 OK".__mod__, st.tuples(st.sampled_from([b"0", b"1"]))),
    often(OK[:-2], b"", b"junk", b"http/1.1 200 OK", b" HTTP/1.1 200 OK"),
)
ENDS = st.sampled_from([b"\r\n"] * 20 + [b"\n"])
SIZES = often(
    *(b"5", b"05", b"5;a", b"5;a=b", b"5 ;a", b"5 ", b"5;a\x01", b"5;a\nb", b"5;a\rb", b"x", b"+5"),
    *(b"", b"5;\xe9", b"5" * 25, b"0" * 25 + b"5", b"5\t;a"),
)
CHUNK = st.builds(b"%b%bhello%b".__mod__, st.tuples(SIZES, ENDS, ENDS))
TRAILERS = often(b"", b"T: u\r\n", b"T : u\r\n", b"T: u\n")
CHUNKS = st.builds(
    b"%b0%b%b%b".__mod__,
    st.tuples(st.lists(CHUNK, max_size=2).map(b"".join), ENDS, TRAILERS, ENDS),
)
BODIES = st.one_of(CHUNKS, often(b"hello", b"", b"hell", b"hello!"))
INTERIM = often(
    *(b"", b"HTTP/1.1 103 X\r\n\r\n", b"HTTP/1.1 100 X\r\nContent-Length: 5\r\n\r\n"),
    b"HTTP/1.1 101 X\r\n\r\n",
)


@st.composite
def responses(draw):
    lines = [draw(STARTS), *draw(st.lists(FIELDS, max_size=3))]
    head = b"".join(line + draw(ENDS) for line in lines) + draw(ENDS)
    return draw(INTERIM) + head + draw(BODIES)


@pytest.mark.reliability(29, 30)
@pytest.mark.examples
@settings(
    max_examples=examples(2000),
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.too_slow],
)
@given(wire=responses(), method=st.sampled_from(["GET", "GET", "HEAD"]), end=st.booleans())
def test_same_verdict_as_h11_but_for_the_differences(wire, method, end):
    if any(re.search(pattern, wire) for pattern, _ in DIFFERENCES.values()):
        return
    with pytest.MonkeyPatch.context() as monkeypatch:
        mine = ours(monkeypatch, wire, method, end)
    his = theirs(wire, method, end)
    if (mine, his) == ("refused", "incomplete"):
        his = theirs(wire, method, True)  # he sees it later
    assert mine == his


@pytest.mark.parametrize("why", DIFFERENCES)
def test_differences_are_there(why, monkeypatch):
    pattern, wire = DIFFERENCES[why]

    assert re.search(pattern, wire)
    verdicts = ours(monkeypatch, wire, "GET", False), theirs(wire, "GET", False)
    assert verdicts[why.startswith("h11 takes")] != "refused"
    assert verdicts[why.startswith("h11 refuses")] == "refused"
