"""The queue of bytes to send: positions, and a limit for replies."""

import pytest

from dugong_like.http.h2 import output as module
from dugong_like.http.h2.output import MAX_REPLIES, Output
from dugong_like.http.h2.violations import ErrorCode, Violation


def test_pieces_keep_their_order_and_are_taken_once():
    output, view = Output(), memoryview(b"hello")
    output.add(b"abc")
    output.add(view)
    assert output.queued == 8
    assert output.take() == [b"abc", view]
    assert output.take() == []
    output.add_reply(b"ack")

    assert (output.queued, output.take()) == (11, [b"ack"])


def test_replies_that_are_sent_are_not_limited():
    output = Output()
    for _ in range(5 * MAX_REPLIES):
        output.add_reply(b"12345")
        output.sent = output.queued - 5 * 900


def test_replies_that_the_server_does_not_take_in_are_limited():
    output = Output()
    for _ in range(MAX_REPLIES):
        output.add_reply(b"12345")
    with pytest.raises(Violation, match=f"more than {MAX_REPLIES} replies") as refused:
        output.add_reply(b"12345")
    assert refused.value.code == ErrorCode.ENHANCE_YOUR_CALM


def test_what_this_side_wants_to_send_is_no_reply(monkeypatch):
    monkeypatch.setattr(module, "MAX_REPLIES", 3)
    output = Output()
    for _ in range(10):
        output.add(b"x")
    output.add_reply(b"y")
