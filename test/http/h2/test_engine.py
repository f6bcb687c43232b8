"""An HTTP/2 connection as a whole, with the h2 library as its server."""

import pytest
from kit.h2_engine import request, talk
from kit.h2_server import Answer, Peer
from kit.support import pattern

from dugong_like import StateError
from dugong_like.http.h2.engine import Engine
from dugong_like.http.h2.options import H2Options


def test_a_plain_get():
    engine, peer = Engine(H2Options()), Peer()
    stream = engine.open(request(), True)
    assert stream.request_sent == "no"
    talk(engine, peer)

    assert (stream.head.status, stream.take_all(), stream.ended) == (200, b"hello", True)
    assert (stream.error, stream.request_sent, engine.ended) == (None, "yes", None)
    assert peer.requests[0].fields[0] == (":method", "GET")


def test_one_stream_at_a_time_until_the_settings_of_the_server_have_come():
    engine, peer = Engine(H2Options()), Peer(max_concurrent_streams=7)
    assert (engine.room(), engine.remote_settings) == (1, None)
    engine.open(request(), True)
    assert (engine.room(), engine.can_open()) == (0, True)
    with pytest.raises(StateError, match="no room"):
        engine.open(request(), True)
    talk(engine, peer)

    assert engine.room() == 7
    assert engine.remote_settings.max_concurrent_streams == 7


def test_bodies_and_trailers_both_ways_through_small_windows():
    engine, peer = Engine(H2Options(stream_window=1000)), Peer(initial_window_size=100)
    talk(engine, peer)
    body = pattern(100_000)
    stream = engine.open(request(b"POST", path=b"/echo"), False)
    at, got = 0, b""
    while not stream.ended:
        if not stream.request_ended:
            at += engine.send_data(stream, memoryview(body)[at : at + 5000], False)
            if at == len(body):
                engine.send_trailers(stream, ((b"x-sum", b"1"),))
        talk(engine, peer)
        piece = stream.take_all()
        engine.consumed(stream, len(piece))
        got += piece

    assert got == body
    assert stream.trailers == b"x-sum: 1\r\n"
    assert engine.ended is None


def test_interim_responses_come_in_front():
    answer = Answer(informational=[[(":status", "103"), ("link", "</x>")], [(":status", "102")]])
    engine, peer = Engine(H2Options()), Peer(lambda request: answer)
    stream = engine.open(request(), True)
    talk(engine, peer)

    assert [head.status for head in stream.informational] == [103, 102]
    assert stream.ended
