"""Trailer sections: which fields may be sent, and receiving them however they are cut."""

import pytest
from kit.cases import each_case

from dugong_like import InvalidRequest, InvalidResponse
from dugong_like.http.h1.limits import Limits
from dugong_like.http.h1.trailers import TrailerSection, encode_trailers
from dugong_like.http.header_validation import FRAMING


@pytest.mark.parametrize("name", ["Host", "trailer", "TE", "Content-Type", "Content-Length", "A B"])
def test_fields_that_cannot_be_trailers_are_refused(name):
    assert encode_trailers({"Checksum": "x"}) == b"Checksum: x\r\n"
    with pytest.raises(InvalidRequest) as caught:
        encode_trailers({name: "x"})
    if name.lower() not in FRAMING and " " not in name:
        assert str(caught.value).startswith(f"{name.lower()} cannot be a trailer field")


class Arrived:
    def __init__(self, data=b""):
        self.data = bytearray(data)
        self.begin, self.end = 0, len(data)

    def add(self, data):
        self.data += data
        self.end += len(data)


WIRE = b"Checksum: x\r\nNote: a\r\n b\r\n\r\n"


@each_case("cut", range(len(WIRE)))
def test_a_section_is_the_same_wherever_it_is_cut(cut):
    section, source = TrailerSection(Limits()), Arrived(WIRE[:cut])

    assert section.take(source) is None
    source.add(WIRE[cut:] + b"HTTP/1.1 ")
    assert section.take(source) == b"Checksum: x\r\nNote: a b\r\n"
    assert source.begin == len(WIRE)  # what follows is not taken


def test_a_section_may_be_empty():
    source = Arrived(b"\r\n")

    assert TrailerSection(Limits()).take(source) == b""
    assert source.begin == 2


@pytest.mark.parametrize(
    ("wire", "limits"),
    [
        (b"A B: c\r\n\r\n", Limits()),
        (b" folded\r\n\r\n", Limits()),
        (b"A: b\r\nA: b\r\n\r\n", Limits(fields=1)),
        (b"A: bcdefgh", Limits(line_size=8)),
        (b"A: b\r\nC: d\r\n\r\n", Limits(header_size=8)),
    ],
)
def test_what_is_no_section_or_exceeds_a_limit_is_refused(wire, limits):
    with pytest.raises(InvalidResponse):
        TrailerSection(limits).take(Arrived(wire))


def test_trailers_are_checked_as_all_fields_are():
    for bad in ([("A b", "c")], [("A", "c\r\nD: e")], [("Range", "a"), ("Range", "b")]):
        with pytest.raises(InvalidRequest):
            encode_trailers(bad)
    with pytest.raises(TypeError, match="trailers"):
        encode_trailers(5)
