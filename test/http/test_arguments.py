"""What callers pass: taken as it is, or refused before anything happens."""

from array import array

import pytest

from dugong_like.http.arguments import as_bytes, as_writable, check_size


@pytest.mark.parametrize("data", [b"abcd", bytearray(b"abcd"), memoryview(b"abcd")])
def test_bytes_like_objects_are_seen_as_bytes(data):
    assert as_bytes(data) == b"abcd"
    assert len(as_bytes(array("I", [1, 2]))) == 2 * array("I").itemsize


@pytest.mark.parametrize("data", ["abcd", 4, None, [97], memoryview(b"abcd")[::2]])
def test_other_objects_are_no_data(data):
    for check in (as_bytes, as_writable):
        with pytest.raises(TypeError):
            check(data)


def test_what_is_read_into_can_be_written_to():
    target = bytearray(4)
    as_writable(target)[:2] = b"ab"

    assert target == b"ab\0\0"
    with pytest.raises(TypeError, match="read-only"):
        as_writable(b"abcd")


def test_sizes_are_numbers_from_0():
    assert check_size(0) == 0
    assert check_size(True) == 1
    with pytest.raises(ValueError, match="-1 bytes"):
        check_size(-1)
    for wrong in ("5", 5.0, None):
        with pytest.raises(TypeError):
            check_size(wrong)
