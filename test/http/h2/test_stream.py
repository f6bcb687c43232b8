"""One stream: its states, and the content that has come on it."""

import random

import pytest

from dugong_like import StateError
from dugong_like.http.h2.output import Output
from dugong_like.http.h2.stream import TRANSITIONS, Event, State, Stream


def new_stream(output=None):
    return Stream(1, output or Output(), 65535, 65535, b"GET")


# The figure of RFC 9113 section 5.1, for a client without push.
LEGAL = {
    "OPEN": ["HALF_CLOSED_LOCAL", "HALF_CLOSED_REMOTE", "CLOSED", "CLOSED"],
    "HALF_CLOSED_LOCAL": [None, "CLOSED", "CLOSED", "CLOSED"],
    "HALF_CLOSED_REMOTE": ["CLOSED", None, "CLOSED", "CLOSED"],
    "CLOSED": [None, None, None, None],
}
EVENTS = [Event.REQUEST_ENDED, Event.RESPONSE_ENDED, Event.RESET, Event.RESET_BY_SERVER]


@pytest.mark.parametrize("name", LEGAL)
def test_every_state_with_every_event(name):
    for event, after in zip(EVENTS, LEGAL[name], strict=True):
        stream = new_stream()
        stream.state = State[name]
        if after is None:
            with pytest.raises(StateError, match=rf"{event.name} .* stream 1, which is {name}"):
                stream.step(event)
            assert stream.state is State[name]
        else:
            stream.step(event)
            assert stream.state is State[after]
    assert len(TRANSITIONS) == 10


def test_repr_names_the_stream_and_its_state():
    assert repr(new_stream()) == "<Stream 1 OPEN>"


def fill(stream, *pieces):
    for piece in pieces:
        stream.add(piece)


def test_content_is_taken_in_order_however_it_is_asked_for():
    chance = random.Random(9113)
    for _ in range(300):
        stream = new_stream()
        largest = chance.choice([20, 2000])
        pieces = [chance.randbytes(chance.randrange(1, largest)) for _ in range(8)]
        fill(stream, *pieces)
        body, taken = b"".join(pieces), b""
        while stream.buffered:
            way = chance.randrange(3)
            size = chance.randrange(1, largest)
            if way == 0:
                piece = stream.take(size)
                assert 1 <= len(piece) <= size
            elif way == 1:
                room = bytearray(size)
                count = stream.take_into(memoryview(room))
                assert count == min(size, len(body) - len(taken))
                piece = bytes(room[:count])
            else:
                piece = stream.take_all() if chance.random() < 0.1 else stream.take(1)
            taken += piece
            assert stream.buffered == len(body) - len(taken)
        assert taken == body
        assert (stream.take(1), stream.take_all(), stream.take_into(memoryview(bytearray(1)))) == (
            b"", b"", 0,
        )  # fmt: skip


def test_a_piece_that_fits_is_not_copied():
    stream, piece = new_stream(), bytes(1000)
    fill(stream, piece, piece)

    assert stream.take(1000) is piece
    assert stream.take_all() is piece


def test_small_pieces_are_joined():
    stream = new_stream()
    fill(stream, *[b"x"] * 5000, bytes(1000), b"y", b"z", bytes(1000), b"y")

    assert [len(piece) for piece in stream.pieces] == [*[512] * 9, 392, 1000, 2, 1000, 1]


def test_content_can_be_dropped():
    stream = new_stream()
    fill(stream, b"hello", b"world")
    stream.take(3)
    stream.discard()
    assert (stream.buffered, stream.take_all()) == (0, b"")
    fill(stream, b"more")

    assert stream.take(10) == b"more"


def test_a_request_is_sent_as_soon_as_a_byte_of_it_has_left():
    output = Output()
    output.add(b"before")
    stream = new_stream(output)
    output.add(b"HEADERS")
    seen = []
    for sent in (0, 6, 7, 13, 20):
        output.sent = sent
        seen.append(stream.request_sent)

    assert seen == ["no", "no", "maybe", "maybe", "maybe"]
    stream.refuse()
    assert stream.request_sent == "no"
    stream.interim = 1
    assert stream.request_sent == "yes"  # whatever the server says afterwards


def test_an_early_final_response():
    stream = new_stream()
    assert not stream.answered_early
    stream.step(Event.RESPONSE_ENDED)
    stream.ended = True
    assert not stream.answered_early  # the request may go on
    stream.step(Event.RESET_BY_SERVER)
    assert stream.answered_early
    stream.request_ended = True
    assert not stream.answered_early
