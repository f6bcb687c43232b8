"""Bodies of known length, bodies that end with the connection, and bodies nobody can read."""

import pytest

from dugong_like import ConnectionClosed, UnsupportedResponse
from dugong_like.http1.body import SizedBody, UnknownBody, UntilCloseBody
from dugong_like.transport.buffer import ReceiveBuffer

NOTHING = ReceiveBuffer(1)


def test_sized_body_counts_down():
    body = SizedBody(5)
    assert body.owed(NOTHING) == 5
    body.took(3)
    assert body.owed(NOTHING) == 2
    with pytest.raises(ConnectionClosed, match="2 of 5 body bytes missing") as failure:
        body.end_of_stream()
    assert failure.value.request_sent == "yes"
    body.took(2)
    assert body.owed(NOTHING) == 0
    assert body.trailers == b""


def test_body_until_close_ends_with_the_stream():
    body = UntilCloseBody()
    assert body.owed(NOTHING) > 2**60
    body.took(1000)
    body.end_of_stream()
    assert body.owed(NOTHING) == 0
    assert body.trailers == b""


def test_body_of_unknown_coding_is_not_read():
    body = UnknownBody()
    with pytest.raises(UnsupportedResponse):
        body.owed(NOTHING)
    body.took(0)
    body.end_of_stream()
