"""Requests as objects, and bodies from wherever bytes come."""

import array
import io
import os
from pathlib import Path

import pytest
from kit.streams import finish

from dugong_like import POLLIN, BodyFollowing, Headers, Request, StateError
from dugong_like.http.request import Source, is_whole
from dugong_like.polling.stream_parts import PIECE


def everything(source):
    pieces = []
    while data := finish(source.co_next()):
        pieces.append(bytes(data))
    return pieces


class Bare:
    """A stream that has one method only."""

    def __init__(self, name, *pieces):
        self.pieces = list(pieces)
        setattr(self, name, getattr(self, f"_{name}"))

    def _read(self, size):
        return self.pieces.pop(0) if self.pieces else b""

    _read1 = _read

    def _readinto(self, buffer):
        data = self._read(len(buffer))
        if data is None:
            return None
        buffer[: len(data)] = data
        return len(data)


@pytest.mark.feature("A20")
def test_request_can_be_changed_until_it_is_sent():
    request = Request("PUT", "/a", {"A": "1"}, b"x")
    request.method, request.target, request.body = "POST", "/b", None
    request.headers.add("a", "2")
    assert list(request.headers) == [("A", "1"), ("a", "2")]
    assert repr(request) == "<Request POST /b>"
    headers = Headers()
    assert Request(headers=headers).headers is headers
    assert (Request().method, Request().target, len(Request().headers)) == ("GET", "/", 0)


@pytest.mark.feature("A21")
def test_what_may_be_repeated():
    assert all(Request(method).idempotent for method in ("GET", "PUT", "DELETE", "HEAD"))
    assert not any(Request(method).idempotent for method in ("POST", "PATCH", "get"))
    for body in (None, b"", bytearray(5), [b"a"], (b"a",), io.BytesIO()):
        assert Request("PUT", body=body).rewindable()
    for body in (BodyFollowing(5), iter([b"a"]), Bare("read")):
        assert not Request("PUT", body=body).rewindable()


def test_bytes_and_the_like_are_handed_over_as_they_are():
    for body in (None, b"", bytearray(), memoryview(b""), array.array("H"), BodyFollowing()):
        assert is_whole(body)
    for body in ([], iter(()), io.BytesIO(), "text", 5):
        assert not is_whole(body)


@pytest.mark.parametrize("body", ["text", 5, object()])
def test_other_things_are_no_bodies(body):
    with pytest.raises(TypeError):
        Request("PUT", body=body).source()


@pytest.mark.feature("A21")
@pytest.mark.parametrize("name", ["read", "read1", "readinto"])
def test_any_binary_stream_will_do(name):
    source = Source(Bare(name, b"abc", b"de"))
    assert source.begin() is None
    assert everything(source) == [b"abc", b"de"]
    with pytest.raises(StateError, match="second time"):
        source.begin()


@pytest.mark.feature("A21")
def test_stream_that_can_tell_is_measured_from_where_it_stands():
    file = io.BytesIO(b"0123456789")
    file.seek(4)
    source = Source(file)
    for _ in range(3):
        assert source.begin() == 6
        assert everything(source) == [b"456789"]
    assert Source(io.BytesIO()).begin() == 0
    assert Source(file).begin() == 0


def test_no_more_is_read_than_the_length_that_was_found(tmp_path):
    (tmp_path / "a").write_bytes(bytes(PIECE + 5))
    with (tmp_path / "a").open("rb") as file, (tmp_path / "a").open("ab") as growing:
        source = Source(file)
        assert source.begin() == PIECE + 5
        growing.write(b"more")
        growing.flush()
        assert [len(piece) for piece in everything(source)] == [PIECE, 5]


def test_file_that_says_it_is_empty_is_not_believed():
    with Path("/proc/self/status").open("rb") as file:
        source = Source(file)
        assert source.begin() is None
        assert b"".join(everything(source)).startswith(b"Name:")


def test_pipe_is_waited_for_if_it_does_not_block():
    reader, writer = os.pipe()
    os.set_blocking(reader, False)
    with io.FileIO(reader, "rb") as file, io.FileIO(writer, "wb") as other:
        source = Source(file)
        assert source.begin() is None
        op = source.co_next()
        assert tuple(next(op)) == (reader, POLLIN)
        other.write(b"abc")
        assert finish(op) == b"abc"
    source = Source(Bare("read", None))
    source.begin()
    with pytest.raises(StateError, match="no descriptor to wait for"):
        finish(source.co_next())


def test_iterables_give_pieces_and_empty_ones_are_left_out():
    source = Source([b"a", b"", memoryview(b"bc")])
    for _ in range(2):
        assert source.begin() is None
        assert everything(source) == [b"a", b"bc"]
    source = Source(piece for piece in (b"a", b"b"))
    assert not source.rewindable()
    source.begin()
    assert everything(source) == [b"a", b"b"]


@pytest.mark.parametrize("body", [["a"], [5], io.StringIO("text"), Bare("read", "text")])
def test_pieces_are_bytes(body):
    with pytest.raises(TypeError, match=r"bytes|binary"):
        source = Source(body)
        source.begin()
        everything(source)


def test_stream_that_gives_too_much_is_an_error():
    source = Source(Bare("read", bytes(PIECE + 1)))
    source.begin()
    with pytest.raises(StateError, match="asked for"):
        finish(source.co_next())
