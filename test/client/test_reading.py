"""Bodies in pieces: of any size, however they arrive, as bytes, text and lines."""

import pytest

from dugong_like import run
from dugong_like.client.reading import BytePieces, LinePieces, RawPieces, TextPieces

TEXT = "ä\u2028b\r\nc\n\nd\re€"
DATA = TEXT.encode()


class Arriving:
    """A response whose body arrives in *pieces*."""

    encoding = "utf-8"

    def __init__(self, *pieces):
        self.pieces = list(pieces)
        self.taken = 0

    def take_body(self, *, decoded):
        self.taken += 1

    def co_piece(self):
        return self.pieces.pop(0) if self.pieces else b""
        yield

    co_raw_piece = co_piece


def all_of(pieces):
    found = []
    while (piece := run(pieces.co_next())) is not None:
        found.append(piece)
    assert pieces.ended
    assert run(pieces.co_next()) is None
    return found


def cut(data, size):
    return [data[at : at + size] for at in range(0, len(data), size)]


@pytest.mark.parametrize("kind", [RawPieces, BytePieces])
@pytest.mark.parametrize("arriving", [1, 3, 100])
@pytest.mark.parametrize("size", [None, 1, 2, 5, 100])
def test_bytes(kind, arriving, size):
    source = Arriving(*cut(DATA, arriving))
    assert all_of(kind(source, size)) == cut(DATA, arriving if size is None else size)
    assert source.taken == 1


@pytest.mark.parametrize("arriving", [1, 2, 3, 100])
@pytest.mark.parametrize("size", [None, 1, 4, 100])
def test_text(arriving, size):
    pieces = all_of(TextPieces(Arriving(*cut(DATA, arriving)), size))
    assert "".join(pieces) == TEXT
    assert "" not in pieces
    if size is not None:
        assert pieces == cut(TEXT, size)


def test_text_that_ends_in_the_middle_of_a_character():
    assert all_of(TextPieces(Arriving(b"a\xe2", b"\x82"), None)) == ["a", "\ufffd"]


@pytest.mark.parametrize("arriving", [1, 2, 3, 4, 100])
def test_lines(arriving):
    source = Arriving(*cut(DATA, arriving))
    assert all_of(LinePieces(source)) == ["ä\u2028b", "c", "", "d", "e€"]
    assert source.taken == 1


def test_lines_come_as_soon_as_they_are_complete():
    source = Arriving(b"a\nb\nc", b"\n")
    lines = LinePieces(source)
    assert [run(lines.co_next()) for _ in range(2)] == ["a", "b"]
    assert source.pieces == [b"\n"]
    assert all_of(lines) == ["c"]


@pytest.mark.parametrize("kind", [RawPieces, BytePieces, TextPieces])
def test_bodies_without_anything(kind):
    assert all_of(kind(Arriving(), 3)) == []
    assert all_of(LinePieces(Arriving())) == []


@pytest.mark.parametrize(("size", "error"), [(0, ValueError), (-1, ValueError), (1.5, TypeError)])
def test_sizes_that_are_none(size, error):
    for kind in (RawPieces, BytePieces, TextPieces):
        with pytest.raises(error):
            kind(Arriving(), size)


def test_nothing_is_taken_before_the_first_piece():
    source = Arriving(b"x")
    BytePieces(source, None)
    LinePieces(source)
    assert source.taken == 0
