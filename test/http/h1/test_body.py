"""Bodies of known length, bodies that end with the connection, and bodies nobody can read."""

import pytest

from dugong_like import ConnectionClosed, UnsupportedResponse
from dugong_like.http.h1.body import ENDLESS, SIZED, UNKNOWN, UNTIL_CLOSE
from dugong_like.transport.buffer import ReceiveBuffer

NOTHING = ReceiveBuffer(1)


def test_sized_body_ends_with_its_last_byte_and_not_with_the_stream():
    assert SIZED.next(NOTHING) == 0
    with pytest.raises(ConnectionClosed, match="2 of 5 body bytes missing") as failure:
        SIZED.end_of_stream(2, 5)
    assert failure.value.request_sent == "yes"
    assert SIZED.trailers == b""


def test_body_until_close_ends_with_the_stream():
    assert ENDLESS > 2**60
    UNTIL_CLOSE.end_of_stream(ENDLESS - 1000, ENDLESS)
    assert UNTIL_CLOSE.next(NOTHING) == 0
    assert UNTIL_CLOSE.trailers == b""


def test_body_of_unknown_coding_is_not_read():
    with pytest.raises(UnsupportedResponse):
        UNKNOWN.next(NOTHING)
    UNKNOWN.end_of_stream(0, 0)
