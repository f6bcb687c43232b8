"""Requests that are sent together over HTTP/2, and read in their order, as over HTTP/1.1.

A test says when anything arrives.
"""

import collections
import gc

import pytest
from kit.h2_frames import goaway
from kit.h2_server import Answer
from kit.h2_streams import PeerStream, bodies_of, is_ready, results_of
from kit.steps import PACKAGE, Steps
from kit.streams import connection, finish
from kit.support import pattern

from dugong_like import AnsweredEarly, ConnectionClosed, StateError, StreamReset
from dugong_like.http.h2.stream import Stream

MOST_CODES = 1957  # bytecodes of each request and its response, of a hundred


def numbered(request):
    """Answer with as many bytes as the path says; ``/never`` is not answered."""
    _, what, *rest = request[":path"].split("/")
    if what == "never":
        return None
    if what == "reset":
        return Answer(body=b"part", reset=int(rest[0]))
    return Answer(body=pattern(int(what)))


def opened(monkeypatch, **settings):
    """Return a connection that was used before, and its stream."""
    stream = PeerStream(numbered, **settings)
    conn = connection(monkeypatch, stream, versions=("h2",))
    for _ in range(2):
        assert bodies_of(stream, conn.co_exchange("GET", "/3")) == [pattern(3)]
    return conn, stream


def co_read(conn, count):
    bodies = []
    for _ in range(count):
        yield from conn.co_read_response()
        bodies.append((yield from conn.co_readall()))
    return bodies


def all_of(conn, *sizes):
    """Return what sends all together, and what reads all responses meanwhile."""
    sending = conn.co_send_requests([("GET", f"/{size}") for size in sizes])
    return sending, co_read(conn, len(sizes))


def streams_in_memory():
    gc.collect()
    return sum(type(each) is Stream for each in gc.get_objects())


def counted(monkeypatch, stream):
    """Count the calls of the system."""
    calls = collections.Counter()
    for name in ("send", "recv_into", "recv_would_block"):
        whole = getattr(stream, name)

        def counting(*args, name=name, whole=whole):
            calls[name] += 1
            return whole(*args)

        monkeypatch.setattr(stream, name, counting)
    return calls


def test_a_hundred_requests_are_one_send_and_their_responses_one_reception(monkeypatch):
    """Those that are here need no wait, and no operation of their own; nothing is kept."""
    conn, stream = opened(monkeypatch, max_concurrent_streams=100)
    before = streams_in_memory()
    calls = counted(monkeypatch, stream)
    for _ in range(3):
        calls.clear()
        with Steps(of=PACKAGE) as sending:
            finish(conn.co_send_requests([("GET", "/3")] * 100))
        stream.arrive()
        with Steps(of=PACKAGE) as receiving:
            bodies = finish(co_read(conn, 100))
        assert bodies == [pattern(3)] * 100
        assert calls == {"send": 1, "recv_into": 1, "recv_would_block": 1}
    codes = (sending.codes + receiving.codes) / 100
    assert codes <= MOST_CODES, codes
    assert conn.is_reusable()
    assert streams_in_memory() <= before + 1


@pytest.mark.parametrize("room", [1, 3, 100])
def test_those_for_which_there_is_no_room_are_sent_later(monkeypatch, room):
    """Also if another operation receives: then it is woken when there is room."""
    conn, stream = opened(monkeypatch, max_concurrent_streams=room)
    sizes = [5, 70_000, 0, 300_000, 1, 2, 3, 4] * 3
    assert results_of(stream, *all_of(conn, *sizes))[1] == [pattern(size) for size in sizes]
    other = conn.co_exchange("GET", "/400000")
    reply, _, bodies = results_of(stream, other, *all_of(conn, *sizes))
    assert reply.body == pattern(400_000)
    assert bodies == [pattern(size) for size in sizes]
    assert conn.is_reusable()


def test_others_have_a_turn_between_requests_that_are_sent_together(monkeypatch):
    conn, stream = opened(monkeypatch, max_concurrent_streams=1)
    going = [*all_of(conn, *range(1, 20)), conn.co_exchange("GET", "/50")]
    needs = [next(each) for each in going]
    numbers = [request[":path"] for request in stream.peer.requests]
    _, bodies, reply = results_of(stream, *going, needs=needs)
    assert bodies == [pattern(size) for size in range(1, 20)]
    assert reply.body == pattern(50)
    paths = [request[":path"] for request in stream.peer.requests[len(numbers) :]]
    assert paths.index("/50") < 10


@pytest.mark.parametrize("blocks", [False, True])
def test_a_body_that_is_here_is_read_without_a_wait(monkeypatch, blocks):
    """In any pieces, by calls that block and by operations; at its end nothing waits either."""
    conn, stream = opened(monkeypatch)
    finish(conn.co_send_requests([("GET", "/10"), ("GET", "/0"), ("GET", "/5")]))
    stream.arrive()

    def do(name, *args):
        if blocks:
            return getattr(conn, name)(*args)
        return finish(getattr(conn, f"co_{name}")(*args))

    do("read_response")
    calls = counted(monkeypatch, stream)
    assert [do("read", 4), do("read", 4), do("read", 4), do("read", 4)] == [
        pattern(10)[:4],
        pattern(10)[4:8],
        pattern(10)[8:],
        b"",
    ]
    assert do("read_response").length == 0
    assert do("readall") == b""
    with pytest.raises(StateError, match="not been read to its end"):
        do("read_response")
        do("read_response")
    buffer = bytearray(9)
    assert do("readinto", buffer) == 5
    assert do("readinto", buffer) == 0
    do("discard")
    assert not calls
    assert conn.is_reusable()


def test_an_error_behind_what_is_here_comes_when_that_is_read(monkeypatch):
    conn, stream = opened(monkeypatch)
    finish(conn.co_send_requests([("GET", "/reset/8"), ("GET", "/4"), ("GET", "/never")]))
    stream.end()
    assert finish(conn.co_read_response()).status == 200
    assert finish(conn.co_read(100)) == b"part"
    with pytest.raises(StreamReset, match="/reset/8"):
        finish(conn.co_read(100))
    assert finish(co_read(conn, 1)) == [pattern(4)]
    with pytest.raises(ConnectionClosed, match="/never"):
        finish(conn.co_read_response())


@pytest.mark.parametrize("place", range(3))
def test_an_early_answer_to_one_keeps_no_other_one_from_being_sent(monkeypatch, place):
    """Its error comes when all are sent, and the responses are read as always."""
    conn, stream = opened(monkeypatch, initial_window_size=1000)
    stream.peer.connection.increment_flow_control_window = lambda *_: None
    requests = [("GET", "/4"), ("PUT", "/5", None, pattern(900)), ("GET", "/6")]
    requests.insert(place, ("PUT", "/0", None, pattern(5000)))
    sending = conn.co_send_requests(requests)
    for _ in range(3):
        next(sending)  # until it waits for a window
    number = 2 * place + 5
    peer = stream.peer.connection
    peer.send_headers(number, [(":status", "413")], end_stream=True)
    stream.on_the_way += peer.data_to_send()

    with pytest.raises(AnsweredEarly, match="PUT .*/0: the server answered 413"):
        results_of(stream, sending)

    bodies = [pattern(4), pattern(5), pattern(6)]
    bodies.insert(place, b"")
    assert results_of(stream, co_read(conn, 4)) == [bodies]
    assert conn.is_reusable()


@pytest.mark.parametrize("path", ["/1", "/never"])
def test_none_is_sent_twice_if_the_server_takes_no_more_in_between(monkeypatch, path):
    """Those that were sent keep their places; the others may be sent when these are read."""
    one, two = (PeerStream(numbered, max_concurrent_streams=1) for _ in range(2))
    conn = connection(monkeypatch, one, two, versions=("h2",))
    assert bodies_of(one, conn.co_exchange("GET", "/3")) == [pattern(3)]
    sending = conn.co_send_requests([("POST", path, None, b"a"), ("POST", "/2", None, b"b")])
    while len(one.peer.requests) < 2:
        next(sending)
    one.on_the_way += goaway(3, 0)

    with pytest.raises(ConnectionClosed, match="1 of 2 were not sent") as failure:
        results_of(one, sending)

    assert failure.value.request_sent == "maybe"
    assert [request[":path"] for request in one.peer.requests] == ["/3", path]
    if path == "/1":
        assert results_of(one, co_read(conn, 1)) == [[pattern(1)]]
        assert not conn.response_pending()
        assert bodies_of(two, conn.co_exchange("POST", "/2", None, b"b")) == [pattern(2)]
        assert [request[":path"] for request in two.peer.requests] == ["/2"]
    else:
        assert conn.response_pending()
        assert not two.peer.requests


@pytest.mark.parametrize("leads", [False, True])
def test_a_reader_is_told_that_the_request_is_given_up_before_there_is_room_for_it(
    monkeypatch, leads
):
    conn, stream = opened(monkeypatch, max_concurrent_streams=1)
    exchange = finish(conn.co_send_request("GET", "/never"))
    serving = conn.co_serve()
    next(serving)
    sending = conn.co_send_request("GET", "/5")
    next(sending)
    reading = conn._session.sender.writer.stream.exchange.co_read_response()
    need = next(reading)
    if leads:
        serving.close()  # which tells the sender to lead, but that is not resumed
        need = next(reading)
        assert need[0] == stream.fd
    assert not stream.on_the_way

    sending.close()

    stream.arrive()
    assert is_ready(stream, need)
    with pytest.raises(ConnectionClosed, match="/5: the request could not be sent"):
        for _ in range(2):
            next(reading)
    exchange.abandon()
    assert not conn.response_pending()


def test_all_are_sent_on_the_next_connection_if_the_server_has_processed_none(monkeypatch):
    one, two = (PeerStream(numbered, max_concurrent_streams=1) for _ in range(2))
    conn = connection(monkeypatch, one, two, versions=("h2",))
    assert bodies_of(one, conn.co_exchange("GET", "/3")) == [pattern(3)]
    sending = conn.co_send_requests([("POST", "/1", None, b"a"), ("POST", "/2", None, b"b")])
    while len(one.peer.requests) < 2:
        next(sending)
    one.on_the_way = goaway(1, 0)
    one.arrive()

    while next(sending, None) is not None:
        two.arrive()

    assert results_of(two, co_read(conn, 2)) == [[pattern(1), pattern(2)]]
