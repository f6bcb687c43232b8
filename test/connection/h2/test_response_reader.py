"""Responses over HTTP/2: every way to read one, interim responses, and limits of bodies."""

import io
import tempfile
import tracemalloc

import pytest
from kit.h2_server import Answer, h2_server
from kit.h2_streams import bodies_of, going_on
from kit.steps import PACKAGE, Steps
from kit.support import pattern

from dugong_like import (
    BodyFollowing,
    BodyTooLarge,
    Budget,
    ContinueTimedOut,
    H2Options,
    HTTPConnection,
    StateError,
)


@pytest.mark.parametrize("auto", [True, False])
def test_small_windows_of_ours(auto):
    options = H2Options(stream_window=1000, max_stream_window=1000, window_update_threshold=1)
    with (
        h2_server() as server,
        HTTPConnection(
            "127.0.0.1", server.port, versions=("h2",), http2=options if auto else None, timeout=20
        ) as conn,
    ):
        assert conn.exchange("GET", "/bytes/100000").body == pattern(100_000)


def test_every_way_to_read(site):
    buffer = bytearray(70_000)
    for size in (0, 100, 70_000):
        site.send_requests([("GET", f"/bytes/{size}")] * 5)
        site.read_response()
        assert site.readall() == pattern(size)
        site.read_response()
        read = b""
        while piece := site.read(999):
            read += piece
        assert read == pattern(size)
        site.read_response()
        count, at = 1, 0
        while count:
            count = site.readinto(memoryview(buffer)[at : at + 999])
            at += count
        assert buffer[:at] == pattern(size)
        site.read_response()
        site.discard()
        assert site.read() == b""
        site.read_response()
        file = io.BytesIO()
        assert site.recv_to_file(file) == size
        assert file.getvalue() == pattern(size)
        assert not site.response_pending()


def test_the_last_body_comes_before_the_next_response(site):
    site.send_requests([("GET", "/bytes/10"), ("GET", "/")])
    site.read_response()
    with pytest.raises(StateError, match="has not been read to its end"):
        site.read_response()
    site.read()
    assert site.read_response().status == 200
    assert site.read() == b"hello"
    with pytest.raises(StateError, match="no response is pending"):
        site.read_response()


def test_head_has_no_body(site):
    response = site.exchange("HEAD", "/bytes/100")
    assert (response.body, response.field("content-length")) == (b"", "100")
    site.send_request("HEAD", "/bytes/100")
    assert (site.read_response().length, site.read()) == (0, b"")


def test_interim_responses():
    told = []
    answer = Answer(body=b"x", informational=[[(":status", "103"), ("link", "</a>")]] * 2)
    with (
        h2_server(lambda request: answer) as server,
        HTTPConnection(
            "127.0.0.1", server.port, versions=("h2",), on_informational=told.append, timeout=20
        ) as conn,
    ):
        reply = conn.exchange("GET", "/")
        assert [each.status for each in reply.informational] == [103, 103]
        assert reply.informational[0].field("Link") == "</a>"
        assert told == [*reply.informational]
        assert reply.body == b"x"


def test_no_100_in_time():
    with (
        h2_server() as server,
        HTTPConnection(
            "127.0.0.1", server.port, versions=("h2",), expect100_timeout=0.01, timeout=20
        ) as conn,
    ):
        conn.send_request("PUT", "/echo", body=BodyFollowing(2), expect100=True)
        with pytest.raises(ContinueTimedOut):
            conn.read_response()
        conn.write(b"ab")
        assert (conn.read_response().status, conn.read()) == (200, b"ab")


def test_an_interrupted_reader_loses_nothing(open_to):
    conn, stream = open_to()
    going_on(stream, conn.co_send_request("GET", "/bytes/400000"))
    reading = conn.co_read_response()
    next(reading)
    reading.close()
    stream.arrive()
    assert going_on(stream, conn.co_read_response()).status == 200
    reading = conn.co_readall()
    next(reading)
    reading.close()
    with tempfile.TemporaryFile() as file:
        file.write(going_on(stream, conn.co_read(10)))
        saving = conn.co_recv_to_file(file)
        next(saving, None)
        saving.close()
        going_on(stream, conn.co_recv_to_file(file))
        file.seek(0)
        assert file.read() == pattern(400_000)


def test_content_of_many_frames_is_moved_at_once(open_to):
    """One section, one window update, and one call of the system, however small the frames are."""
    conn, stream = open_to()
    going_on(stream, conn.co_send_request("GET", "/bytes/200000"))
    assert going_on(stream, conn.co_read_response()).length == 200000
    buffer = bytearray(1 << 20)
    with Steps(of=PACKAGE) as steps:
        count = going_on(stream, conn.co_readinto(buffer))
    assert bytes(buffer[:200000]) == bytes(n % 251 for n in range(200000))
    assert count == 200000
    assert steps.codes <= 600, steps.codes


def test_a_body_that_has_come_before_its_turn_is_not_copied_for_each_part(open_to):
    """It is here as a whole, and read in many parts."""
    conn, stream = open_to(
        lambda request: Answer(body=pattern(4_000_000)),
        http2=H2Options(stream_window=8_000_000, max_stream_window=8_000_000),
    )
    going_on(stream, conn.co_send_request("GET", "/"))
    for _ in range(200):
        stream.arrive()
        conn.is_open()  # which receives it
    assert going_on(stream, conn.co_read_response()).status == 200
    assert conn._session.receiver.reader.is_here
    tracemalloc.start()
    try:
        parts = [going_on(stream, conn.co_read(1000)) for _ in range(10)]
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert b"".join(parts) == pattern(10_000)
    assert peak < 1_000_000
    assert going_on(stream, conn.co_readall()) == pattern(4_000_000)[10_000:]


def test_reads_cross_frames(open_to):
    conn, stream = open_to(budget=Budget(max_body=100000))
    going_on(stream, conn.co_send_request("GET", "/bytes/100000"))
    going_on(stream, conn.co_read_response())
    whole = bytes(n % 251 for n in range(100000))
    buffer = bytearray(40000)
    assert going_on(stream, conn.co_read(10)) == whole[:10]
    assert going_on(stream, conn.co_readinto(buffer)) == 40000
    assert buffer == whole[10:40010]
    assert going_on(stream, conn.co_read(0)) == b""
    assert going_on(stream, conn.co_readinto(bytearray())) == 0
    assert going_on(stream, conn.co_read(50000)) == whole[40010:90010]
    assert going_on(stream, conn.co_readall()) == whole[90010:]
    assert going_on(stream, conn.co_read(10)) == b""


def test_limit_of_the_body(open_to):
    conn, stream = open_to(budget=Budget(max_body=100))
    assert bodies_of(stream, conn.co_exchange("GET", "/bytes/100")) == [pattern(100)]
    with pytest.raises(BodyTooLarge, match="more than the 100 bytes"):
        going_on(stream, conn.co_exchange("GET", "/bytes/101"))
    exchange = going_on(stream, conn.co_send_request("GET", "/echo", body=b"x" * 150))
    going_on(stream, exchange.co_read_response())
    assert going_on(stream, exchange.co_read(1000)) == b"x" * 100
    with pytest.raises(BodyTooLarge):
        going_on(stream, exchange.co_read(1000))
    going_on(stream, exchange.co_discard())
    assert conn.renewals == 0
