import io

import pytest

from dugong_like.client.body_file import BodyFile


def test_pieces_are_read_however_large_the_buffer_is():
    file = BodyFile(iter([b"abc", b"defgh"]))
    memory = bytearray(2)

    counts = [file.readinto(memory) for _ in range(6)]

    assert counts == [2, 1, 2, 2, 1, 0]
    assert file.readable()
    assert not file.writable()
    assert not file.seekable()


@pytest.mark.parametrize("size", [1, 2, 3, 100])
def test_buffered_it_is_a_file_like_others(size):
    pieces = [b"one\ntw", b"o\nthr", b"ee"]

    assert io.BufferedReader(BodyFile(iter(pieces)), size).readlines() == [
        b"one\n",
        b"two\n",
        b"three",
    ]


def test_error_of_the_pieces_is_raised():
    def pieces():
        yield b"ab"
        raise OSError("lost")

    file = BodyFile(pieces())
    assert file.readinto(bytearray(9)) == 2
    with pytest.raises(OSError, match="lost"):
        file.readinto(bytearray(9))
