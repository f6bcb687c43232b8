"""An HTTP/2 connection as a whole: its calls, and talks with the h2 library as its server."""

import pytest
from kit.h2_engine import REQUEST, flush, opened, pairs, request, started, talk
from kit.h2_frames import (
    CANCEL,
    CONTINUATION,
    DATA,
    END_HEADERS,
    END_STREAM,
    GOAWAY,
    HEADERS,
    PREFACE,
    RST_STREAM,
    SETTINGS,
    WINDOW,
    WINDOW_UPDATE,
    data,
    frame,
    goaway,
    headers,
    parse_frames,
    rst_stream,
    settings,
    window_update,
)
from kit.h2_server import Answer, Peer
from kit.steps import Steps
from kit.support import pattern

from dugong_like import ConnectionClosed, ConnectionTimedOut, GoneAway, InvalidResponse, StateError
from dugong_like.http.h2.engine import Engine
from dugong_like.http.h2.frames import decode_settings
from dugong_like.http.h2.options import H2Options, H2Settings
from dugong_like.http.h2.stream import State
from dugong_like.http.h2.violations import ErrorCode

MOST = 2**31 - 1


def test_a_plain_get():
    engine, peer = Engine(H2Options()), Peer()
    stream = engine.open(request(), True)
    assert stream.request_sent == "no"
    talk(engine, peer)

    assert (stream.head.status, stream.take_all(), stream.ended) == (200, b"hello", True)
    assert (stream.error, stream.request_sent, engine.ended) == (None, "yes", None)
    assert peer.requests[0].fields[0] == (":method", "GET")


@pytest.mark.feature("C29")
def test_the_first_bytes():
    engine = Engine(H2Options(settings=H2Settings(header_table_size=100)))
    wire = b"".join(engine.take_output())
    assert engine.queued == len(wire)
    assert wire.startswith(PREFACE)
    first, second = parse_frames(wire)
    assert (first.kind, first.flags, first.stream) == (SETTINGS, 0, 0)
    assert dict(decode_settings(first.payload)) == {1: 100, 2: 0, 4: 262144, 6: 65536}
    assert (second.kind, second.stream, second.code) == (WINDOW_UPDATE, 0, MOST - 65535)


@pytest.mark.feature("C29")
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


def test_it_says_when_something_concerns_the_whole_connection():
    engine, _ = opened()
    for wire, concerns_all in [
        (headers(1), False),
        (settings(), True),
        (data(1, b"hello") + window_update(0, 1), False),
        (data(1, b"x") + settings((3, 5)) + window_update(1, 1), True),
        (b"", False),
        (goaway(1), True),
        (data(1, b"x"), True),  # it is still about to end
        (data(0, b"x"), True),
        (b"", True),
    ]:
        engine.receive(wire)
        assert engine.concerns_all is concerns_all, wire
    assert engine.ended is not None


def test_identifiers_come_to_an_end():
    engine = started()
    engine._shared.next_id = MOST
    stream = engine.open(request(), True)
    assert stream.id == MOST
    assert (engine.room(), engine.can_open()) == (0, False)
    engine.receive(headers(MOST, end=True))
    assert (stream.ended, engine.ended) == (True, None)


def test_bodies_and_trailers_both_ways_through_small_windows():
    engine, peer = Engine(H2Options(stream_window=1000)), Peer(initial_window_size=100)
    talk(engine, peer)
    body = pattern(30_000)
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
    assert pairs(stream.trailers) == [(b"x-sum", b"1")]
    assert engine.ended is None


def test_interim_responses_come_in_front():
    answer = Answer(informational=[[(":status", "103"), ("link", "</x>")], [(":status", "102")]])
    engine, peer = Engine(H2Options()), Peer(lambda request: answer)
    stream = engine.open(request(), True)
    talk(engine, peer)

    assert [head.status for head in stream.informational] == [103, 102]
    assert stream.ended


# ---- sending


def test_content_is_cut_into_frames_and_not_copied():
    engine, stream = opened((WINDOW, 100_000), method=b"POST", end=False)
    body = bytearray(pattern(40_000))
    assert engine.send_data(stream, body, True) == 40_000
    pieces = engine.take_output()
    assert all(piece.obj is body for piece in pieces[1::2])
    frames = parse_frames(b"".join(pieces))
    assert [(each.kind, len(each.payload)) for each in frames] == [
        *((DATA, 16384), (DATA, 16384), (DATA, 7232))
    ]
    assert [each.flags for each in frames] == [0, 0, END_STREAM]
    assert b"".join(each.payload for each in frames) == body
    assert (stream.request_ended, stream.state) == (True, State.HALF_CLOSED_LOCAL)


def test_the_end_is_sent_with_the_last_byte_only():
    engine, stream = opened((WINDOW, 5), method=b"POST", end=False)
    assert engine.send_data(stream, b"hello world", True) == 5
    assert not stream.request_ended
    engine.receive(window_update(1, 100))
    assert engine.send_data(stream, b" world", True) == 6
    assert stream.request_ended
    assert [(each.payload, each.flags) for each in flush(engine)] == [(b"hello", 0), (b" world", 1)]
    for call in (
        lambda: engine.send_data(stream, b"", True),
        lambda: engine.send_trailers(stream, ((b"a", b"b"),)),
    ):
        with pytest.raises(StateError, match="nothing more can be sent on stream 1"):
            call()


def test_an_empty_end_needs_no_window_and_nothing_needs_no_frame():
    engine, stream = opened((WINDOW, 0), method=b"POST", end=False)
    assert engine.send_data(stream, b"", False) == 0
    assert not flush(engine)
    assert engine.send_data(stream, memoryview(b""), True) == 0
    assert [(each.kind, each.flags, each.payload) for each in flush(engine)] == [(DATA, 1, b"")]


def test_content_of_other_items_than_bytes():
    import array

    engine, stream = opened(method=b"POST", end=False)
    engine.send_data(stream, memoryview(array.array("H", [1, 2, 3])), True)
    assert len(flush(engine)[0].payload) == 6


def test_content_has_to_lie_in_one_piece_of_memory():
    engine, stream = opened(method=b"POST", end=False)
    with pytest.raises(TypeError):
        engine.send_data(stream, memoryview(b"abcd")[::2], True)
    assert not flush(engine)


def test_a_long_head_goes_on_in_continuation():
    engine = started()
    value = pattern(40_000)  # which no Huffman code makes shorter
    stream = engine.open(request(b"GET", (b"x-long", value)), True)
    frames = flush(engine)
    assert [each.kind for each in frames][:2] == [HEADERS, CONTINUATION]
    assert [each.flags for each in frames] == [END_STREAM, *[0] * (len(frames) - 2), END_HEADERS]
    assert all(each.stream == stream.id for each in frames)
    assert max(len(each.payload) for each in frames) == 16384


def test_a_tunnel_has_no_trailers():
    engine, stream = opened(method=b"CONNECT", end=False)
    with pytest.raises(StateError, match="a tunnel has no trailers"):
        engine.send_trailers(stream, ((b"a", b"b"),))
    engine.receive(headers(1))
    assert engine.send_data(stream, b"bytes", False) == 5
    engine.receive(data(1, b"of another protocol"))
    assert (stream.tunnel, stream.take_all()) == (True, b"of another protocol")


# ---- giving up


def test_reset_drops_what_was_received():
    engine, stream = opened()
    engine.receive(headers(1) + data(1, b"hello"))
    engine.reset(stream)
    (sent,) = flush(engine)
    assert (sent.kind, sent.stream, sent.code) == (RST_STREAM, 1, CANCEL)
    assert (stream.state, stream.buffered, stream.error) == (State.CLOSED, 0, None)
    engine.reset(stream)
    assert not flush(engine)
    assert engine.room() == 100


def test_reset_of_a_stream_that_has_ended_gives_its_bytes_back():
    engine = started(connection_window=70_000)
    for number in range(1, 40, 2):
        stream = engine.open(request(), True)
        engine.receive(headers(number) + data(number, bytes(16_000), end=True))
        engine.reset(stream)
    frames = flush(engine)
    assert engine.ended is None
    assert RST_STREAM not in {each.kind for each in frames}
    assert sum(each.code for each in frames if each.kind == WINDOW_UPDATE) > 16_000 * 20 - 70_000


def test_connection_that_has_processed_no_request():
    """Whether another connection is worth a try is counted by that."""

    def of(said, **options):
        engine = opened()[0] if options.get("opens") else started()
        engine.receive(said)
        error = engine.turned_away()
        return None if error is None else (type(error), error.request_sent)

    nothing = GoneAway, "no"
    assert of(b"") is None
    assert of(goaway(0)) == nothing
    assert of(goaway()) == nothing  # it takes none from now on
    assert of(goaway(0), opens=True) == nothing
    assert of(goaway() + goaway(0), opens=True) == nothing
    assert of(goaway(1), opens=True) is None
    assert of(goaway(), opens=True) is None
    assert of(b"HTTP/1.1 400 Bad Request\r\n\r\n") == (InvalidResponse, "no")
    assert of(b"HTTP/1.1 400 Bad Request\r\n\r\n", opens=True) is None


def test_goaway_of_this_side():
    engine, stream = opened()
    engine.say_goaway()
    (sent,) = flush(engine)
    assert (sent.kind, sent.payload) == (GOAWAY, bytes(8))
    assert (engine.room(), engine.can_open(), engine.ended) == (0, False, None)
    engine.receive(headers(1) + data(1, b"still", end=True))
    assert stream.take_all() == b"still"


# ---- the end


def test_each_stream_gets_an_error_of_its_own_when_the_connection_is_lost():
    engine = started()
    done, answered, sent, queued = (engine.open(request(), True) for _ in range(4))
    wire = engine.take_output()
    engine.report_sent(queued.begins_at)
    assert len(wire) == 4
    engine.receive(headers(1, end=True) + headers(3))
    error = ConnectionTimedOut("nothing came", phase="read")
    assert [*engine.lost(error)] == [answered, sent, queued]
    errors = [answered.error, sent.error, queued.error]
    assert {type(each) for each in errors} == {ConnectionTimedOut}
    assert {(str(each), each.phase) for each in errors} == {("nothing came", "read")}
    assert [each.request_sent for each in errors] == ["yes", "maybe", "no"]
    assert len({*map(id, errors), id(error)}) == 4
    assert all(each.__cause__ is error for each in errors)
    assert (done.error, engine.ended) == (None, error)
    assert not engine.lost(ConnectionClosed("again"))
    assert not engine.receive(headers(3, end=True))


def test_an_error_of_the_system_becomes_one_of_the_library():
    engine, stream = opened()
    reset = ConnectionResetError(104, "Connection reset by peer")
    engine.lost(reset)
    assert type(stream.error) is type(engine.ended) is ConnectionClosed
    assert str(stream.error) == "the connection was lost: [Errno 104] Connection reset by peer"
    assert stream.error.__cause__ is reset


def test_nothing_is_done_after_the_end():
    engine, stream = opened()
    engine.receive(headers(1) + data(1, b"hello") + frame(GOAWAY))
    (end,) = flush(engine)
    assert (end.kind, end.code) == (GOAWAY, ErrorCode.FRAME_SIZE_ERROR)
    assert end.payload[8:].decode() == "GOAWAY of 0 bytes instead of 8 (RFC 9113 section 4.2)"
    assert type(stream.error) is InvalidResponse
    assert stream.error.request_sent == "yes"
    assert stream.take_all() == b"hello"
    engine.consumed(stream, 5)
    engine.reset(stream)
    engine.say_goaway()
    assert not engine.take_output()
    for call in (
        engine.ping,
        lambda: engine.open(request(), True),
        lambda: engine.update_window(None, 1),
        lambda: engine.send_data(stream, b"", True),
    ):
        with pytest.raises(StateError):
            call()


# ---- windows


def test_windows_that_are_opened_by_hand():
    engine, stream = opened(stream_window=10, auto_window=False)
    engine.receive(headers(1) + data(1, b"0123456789"))
    engine.consumed(stream, len(stream.take_all()))
    assert not flush(engine)
    engine.update_window(stream, 1)
    engine.update_window(None, 1)
    engine.update_window(stream, 4)
    assert [(each.stream, each.code) for each in flush(engine)] == [(1, 1), (0, 1), (1, 4)]
    engine.receive(data(1, b"abcde"))
    assert stream.error is None
    engine.receive(data(1, b"f"))
    assert "1 bytes of DATA beyond the window" in str(stream.error)


@pytest.mark.parametrize("end", [data(1, end=True), rst_stream(1)])
def test_no_window_is_opened_on_a_stream_that_has_ended(end):
    engine, stream = opened(stream_window=1000)
    engine.receive(headers(1) + data(1, bytes(1000)) + end)
    engine.consumed(stream, len(stream.take_all()))

    assert not flush(engine)


def test_what_a_window_cannot_be_opened_by():
    engine, stream = opened()
    for target in (stream, None):
        for size in (0, -1):
            with pytest.raises(ValueError, match="at least 1 byte"):
                engine.update_window(target, size)
        with pytest.raises(ValueError, match=f"at most {MOST}"):
            engine.update_window(target, MOST)
    assert not flush(engine)
    engine.receive(headers(1, end=True))
    engine.update_window(stream, 5)
    assert not flush(engine)  # nothing more will come


def test_streams_can_be_read_in_any_order():
    """The window of the connection does not end while nobody reads."""
    engine, peer = Engine(H2Options(max_streams=20)), Peer()
    talk(engine, peer)
    streams = [engine.open(request(path=b"/bytes/300000"), True) for _ in range(20)]
    talk(engine, peer)
    for stream in reversed(streams):
        got = b""
        while not stream.ended or stream.buffered:
            piece = stream.take(100_000)
            assert piece
            engine.consumed(stream, len(piece))
            got += piece
            talk(engine, peer)
        assert got == pattern(300_000)


# ---- costs


def test_a_small_get_costs_little():
    """What no machine changes: bytecodes, and calls of functions."""
    engine = started()
    wire = b""
    for number in range(1, 13, 2):
        with Steps() as steps:
            stream = engine.open(REQUEST, True)
            engine.take_output()
            engine.report_sent(engine.output.queued)
            engine.receive(wire)
            body = stream.take_all()
            engine.consumed(stream, len(body))
        if number > 1:
            assert (stream.ended, body) == (True, b"hello")
        else:
            engine.reset(stream)
        following = number + 2
        fields = ((":status", "200"), ("content-type", "text/plain"), ("content-length", "5"))
        wire = headers(following, *fields) + data(following, b"hello", end=True)

    assert steps.codes <= 1050
    assert steps.frames <= 40


def test_content_costs_little():
    engine, stream = opened()
    engine.receive(headers(1))
    wire = memoryview(data(1, bytes(16384)) * 4)
    for _ in range(4):
        with Steps() as steps:
            engine.receive(wire)
            engine.consumed(stream, len(stream.take_all()))

    assert steps.codes <= 1100  # for 64 KiB
    assert engine.ended is None


@pytest.mark.parametrize("size", [16383, 16384, 16385, 32768, 32769, 33000, 40_000])
@pytest.mark.parametrize("end", [False, True])
def test_frames_of_content_fit_together(size, end):
    """All but the last are full, and only that may have a flag."""
    engine, stream = opened((WINDOW, 100_000), method=b"POST", end=False)
    queued = engine.queued
    assert engine.send_data(stream, pattern(size), end) == size
    frames = flush(engine)
    full, rest = divmod(size, 16384)
    assert [len(each.payload) for each in frames] == [16384] * full + [rest] * (rest > 0)
    assert {each.flags for each in frames[:-1]} <= {0}
    assert frames[-1].flags == (END_STREAM if end else 0)
    assert b"".join(each.payload for each in frames) == pattern(size)
    assert engine.queued - queued == size + 9 * len(frames)


def test_content_of_requests_costs_little():
    engine, stream = opened((WINDOW, 2**30), method=b"POST", end=False)
    engine.receive(window_update(0, 2**30))
    content = bytes(262144)
    for _ in range(4):
        with Steps() as steps:
            engine.send_data(stream, content, False)
        flush(engine)

    assert steps.codes <= 550  # for 256 KiB
    assert steps.frames <= 15
