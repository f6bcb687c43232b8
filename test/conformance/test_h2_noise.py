"""Damaged and random bytes of an HTTP/2 server: an error at most, never an exception or nonsense.

Besides, nothing that is received may depend on how the network cuts it.
"""

import random

import pytest
from kit.h2_engine import flush, request
from kit.h2_frames import GOAWAY, RST_STREAM, SETTINGS_ACK, frame, parse_frames, settings
from kit.h2_server import Answer, Peer
from kit.support import pattern

from dugong_like import DugongError, InvalidResponse
from dugong_like.http.h2.engine import Engine
from dugong_like.http.h2.options import H2Options
from dugong_like.http.h2.stream import State

COUNT = 5  # requests of each session


def answer(request):
    number = int(request[":path"][1:])
    return Answer(
        fields=[("x-number", str(number)), ("content-length", str(number * 200))],
        body=pattern(number * 200),
        trailers=[("x-sum", "1")] * (number % 2),
        informational=[[(":status", "103")]] * (number % 3),
    )


def opened_engine():
    engine = Engine(H2Options())
    engine.receive(settings() + SETTINGS_ACK)
    streams = [engine.open(request(path=b"/%d" % number), True) for number in range(COUNT)]
    return engine, streams


def good_wire():
    """Return what a server sends to `COUNT` requests, behind its settings."""
    engine = Engine(H2Options())
    peer = Peer(answer, frame=300)
    engine.receive(settings() + SETTINGS_ACK)
    for number in range(COUNT):
        engine.open(request(path=b"/%d" % number), True)
    wire = peer.take(b"".join(engine.take_output()))
    kept = (each for each in parse_frames(wire) if each.kind != 4)
    return b"".join(frame(each.kind, each.flags, each.stream, each.payload) for each in kept)


def check(engine, streams):
    """Check what is so whatever has come; return all that can be seen of the streams."""
    frames = flush(engine)
    ends = [each for each in frames if each.kind == GOAWAY]
    assert len(ends) == (engine.ended is not None)
    assert engine.ended is None or type(engine.ended) is InvalidResponse
    resets = [each.stream for each in frames if each.kind == RST_STREAM]
    assert len({*resets}) == len(resets)
    seen = []
    for stream in streams:
        assert stream.buffered == sum(map(len, stream.pieces))
        assert (stream in engine.streams) == (stream.state is not State.CLOSED)
        assert stream.error is None or isinstance(stream.error, DugongError)
        assert not (stream.ended and stream.missing)
        assert engine.ended is None or stream.ended or stream.error is not None
        head = stream.head and (stream.head.status, stream.head.fields)
        error = stream.error and (type(stream.error), str(stream.error), stream.error.request_sent)
        content = stream.take_all()
        if stream.error is not None:
            content = b""  # a frame that must not come may have been handed over in part
        seen.append((head, content, stream.trailers, stream.ended, error, stream.state))
    return seen, str(engine.ended), [(each.kind, each.stream, each.payload) for each in frames]


def outcome(wire, size):
    engine, streams = opened_engine()
    flush(engine)
    for at in range(0, len(wire), size):
        engine.receive(wire[at : at + size])
    return check(engine, streams)


def damaged(chance, wire):
    wire = bytearray(wire)
    for _ in range(chance.choice([1, 1, 2, 5])):
        at = chance.randrange(len(wire))
        way = chance.randrange(4)
        if way == 0:
            wire[at] = chance.randrange(256)
        elif way == 1:
            wire[at] ^= 1 << chance.randrange(8)
        elif way == 2:
            del wire[at : at + chance.randrange(1, 20)]
        else:
            wire[at:at] = random_frame(chance)
    return bytes(wire)


def random_frame(chance):
    payload = chance.randbytes(chance.choice([0, 1, 4, 5, 8, 9, 30]))
    stream = chance.choice([0, 1, 1, 3, 5, 7, 9, 11, 2])
    length = chance.choice([None] * 9 + [len(payload) + 1])
    flags = chance.choice([0, 1, 4, 5, chance.randrange(256)])
    return frame(chance.randrange(11), flags, stream, payload, length)


def play(seeds):
    wire = good_wire()
    whole = outcome(wire, len(wire))
    assert all(each[3] for each in whole[0])
    problems = 0
    for seed in seeds:
        chance = random.Random(seed)
        if chance.random() < 0.7:
            noise = damaged(chance, wire)
        else:
            noise = b"".join(random_frame(chance) for _ in range(20))
        try:
            first = outcome(noise, len(noise))
            assert outcome(noise, chance.choice([1, 2, 5, 9, 10, 100, 1000])) == first
        except Exception as exc:
            exc.add_note(f"seed {seed}")
            raise
        problems += first != whole
    assert problems > len(seeds) * 0.9


@pytest.mark.reliability(70)
@pytest.mark.parametrize("part", range(2))
def test_noise(part):
    play(range(part * 100, part * 100 + 100))


@pytest.mark.slow
def test_much_noise():
    play(range(1000, 9000))
