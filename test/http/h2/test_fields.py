"""Sections of fields: the rules of RFC 9113 section 8."""

import pytest

from dugong_like import InvalidRequest, InvalidResponse
from dugong_like.http.h2.fields import (
    RequestFields,
    response_head,
    trailer_fields,
    trailer_section,
)
from dugong_like.http.h2.hpack_decoder import FieldSection
from dugong_like.http.header_validation import NO_FIELDS, FieldLines


def section(*fields):
    made = FieldSection()
    made.extend(fields)
    return made


def test_head_of_a_response():
    head = response_head(section((b":status", b"200"), (b"content-length", b"5"), (b"a", b"b c")))

    assert (head.status, head.reason, head.content_length, head.count) == (200, b"", 5, 2)
    assert head.fields == head.lower == b"\r\ncontent-length: 5\r\na: b c\r\n"


def test_request():
    build = RequestFields("https", "example.org").build

    assert build("GET", "/a", NO_FIELDS) == (
        (b":method", b"GET"),
        (b":scheme", b"https"),
        (b":authority", b"example.org"),
        (b":path", b"/a"),
        (b"accept-encoding", b"identity"),
    )


def test_connection_fields_are_refused():
    build = RequestFields("https", "example.org").build
    with pytest.raises(InvalidRequest, match="Connection is for HTTP/1"):
        build("GET", "/a", FieldLines({"Connection": "close"}))
    with pytest.raises(InvalidResponse, match="upgrade is a field of HTTP/1"):
        response_head(section((b":status", b"200"), (b"upgrade", b"x")))


def test_trailers():
    assert trailer_section(section((b"a", b"b"))) == b"a: b\r\n"
    assert trailer_fields({"A": "b"}) == ((b"a", b"b"),)
