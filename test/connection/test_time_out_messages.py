"""The words of a time-out: what is missing, and how much came before it."""

import pytest

from dugong_like import H2Options, Timeouts
from dugong_like.connection import time_out_messages as messages
from dugong_like.http.h2.engine import Engine

CASES = {
    "no response head arrived for 3 s (timeout=3)": messages.late_head(3),
    "no response head arrived for 3 s (Timeouts(head=3))": messages.late_head(3, phase="head"),
    "nothing more of the response head arrived for 3 s (timeout=3), 1500 bytes had": (
        messages.late_head(3, there=1500)
    ),
    "nothing more of the body arrived for 3 s (timeout=3)": messages.late_body(3, 7, None),
    "nothing more of the body arrived for 3 s (timeout=3), 1,500 of 2,000 bytes had": (
        messages.late_body(3, 1500, 2000)
    ),
    "nothing could be sent for 3 s (Timeouts(write=3))": (
        messages.NOT_SENT(Timeouts(write=3).to_write)
    ),
    "nothing arrived for 3 s (Timeouts(stall=3))": (
        messages.NOTHING_ARRIVED(Timeouts(stall=3).to_read)
    ),
}


def test_no_stream_says_how_many_take_the_room():
    engine = Engine(H2Options())
    late = str(messages.no_stream(3, "write", engine))
    assert late == (
        "no stream could be opened for 3 s (timeout=3), 0 of 1 that are allowed are open"
    )
    stream = engine.open([(b":method", b"GET"), (b":path", b"/")], True)
    late = messages.no_stream(3, "write", engine)
    assert str(late).endswith(", 1 of 1 that are allowed are open")
    assert late.phase == "write"
    stream.add(b"content")
    assert str(messages.no_stream(3, "read", engine)).endswith(
        ", 1 of 1 that are allowed are open, 1 of them with a body that nobody reads on"
    )


@pytest.mark.parametrize("text", CASES)
def test_a_time_out_says_what_is_missing_and_how_the_limit_was_given(text):
    assert str(CASES[text]) == text


def test_the_phase_is_that_of_the_limit():
    assert messages.late_head(3, phase="head").phase == "head"
    assert messages.NOT_SENT(3).phase == "write"
    for late in (messages.NOTHING_ARRIVED, messages.NO_ANSWER, messages.NO_SETTINGS):
        assert late(3).phase == "read"


def test_progress_of_a_request_body_has_its_length_if_that_is_known():
    assert messages.written(1500, 2000) == "1,500 of 2,000 bytes of the body written"
    assert messages.written(1500, None) == "1,500 bytes of the body written"
