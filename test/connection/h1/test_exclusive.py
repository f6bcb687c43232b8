"""One operation at a time in each half, and attempts made until one succeeds."""

import time
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace

import pytest
from kit.streams import END, ScriptedStream, connection, finish

from dugong_like import (
    ConnectionClosed,
    ConnectionTimedOut,
    HTTPConnection,
    InvalidResponse,
    StateError,
)
from dugong_like.connection.h1.exclusive import ReadingRole, Role
from dugong_like.connection.h1.session import SharedLink, moving
from dugong_like.connection.h1.states import Link
from dugong_like.http.h1.limits import Limits
from dugong_like.polling.contract import run
from dugong_like.transport.buffer import ReceiveBuffer
from dugong_like.transport.connect.route import Route


@pytest.fixture
def link(monkeypatch):
    def co_open(route, timeout):
        yield from ()
        return ScriptedStream()

    monkeypatch.setattr("dugong_like.connection.h1.session.co_open", co_open)
    link = SharedLink(Route("script.test", 80, None, None, Limits()), timeout=None)
    run(link.open())
    yield link
    link.drop()


@pytest.fixture
def reading(link):
    return ReadingRole(link, ReceiveBuffer())


def play(role, error):
    """Let an operation of *role* end with *error*."""
    turn = role.take()
    try:
        raise error
    except BaseException as exc:
        role.note(exc)
    finally:
        turn.release()


def test_role_is_for_one_at_a_time(link):
    role = Role(link, "sending")
    turn = role.take()
    assert role.is_taken()
    with pytest.raises(StateError, match="another operation is sending"):
        role.take()
    turn.release()
    assert not role.is_taken()
    role.take().release()


def test_nobody_looks_while_an_operation_reads(reading):
    turn = reading.take()
    for _ in range(2):
        assert reading.take_for_a_look() is None
    turn.release()
    reading.give_back(reading.take_for_a_look())
    reading.take().release()


def test_operation_that_begins_during_a_look_waits_for_its_end(reading):
    with ThreadPoolExecutor(1) as pool:
        turn = reading.take_for_a_look()
        taking = pool.submit(reading.take)
        time.sleep(0.05)
        assert not taking.done()
        reading.give_back(turn)
        taking.result(5).release()


def test_operation_inside_a_look_is_refused_as_it_would_wait_for_itself(reading):
    turn = reading.take_for_a_look()
    with pytest.raises(StateError, match="another operation is reading"):
        reading.take()
    reading.give_back(turn)
    reading.take().release()


@pytest.mark.parametrize("error", [StateError("a"), GeneratorExit(), TypeError("b")])
def test_orderly_errors_break_nothing(link, reading, error):
    play(reading, error)
    play(Role(link, "sending"), error)
    assert link.state is Link.OPEN


@pytest.mark.parametrize("error", [InvalidResponse("a"), ConnectionClosed("b")])
def test_who_reads_cannot_go_on_after_an_error_of_the_peer(link, reading, error):
    play(Role(link, "sending"), error)
    assert link.state is Link.OPEN
    play(reading, error)
    assert link.state is Link.BROKEN


def test_exception_from_outside_breaks_the_connection_unless_reading_waits(link, reading):
    link.stream.waiting = True
    play(reading, KeyboardInterrupt())
    assert link.state is Link.OPEN
    assert not link.stream.waiting
    play(reading, KeyboardInterrupt())
    assert link.state is Link.BROKEN


def test_exception_from_outside_breaks_the_connection_if_it_hits_the_sender(link):
    link.stream.waiting = True
    play(Role(link, "sending"), MemoryError())
    assert link.state is Link.BROKEN


def test_look_waits_for_an_operation_that_is_just_ending(reading):
    turn = reading.take()
    with ThreadPoolExecutor(1) as pool:
        looking = pool.submit(reading.take_for_a_look, 20)
        time.sleep(0.05)
        assert not looking.done()
        turn.release()
        assert looking.result(5) is turn
        pool.submit(reading.give_back, turn).result(5)
    assert reading.take() is turn


def test_operation_that_begins_while_the_connection_is_closed_waits_for_the_end_of_that(link):
    role = Role(link, "sending")
    with ThreadPoolExecutor(1) as pool:
        with moving():
            turn = role.try_take()
            assert role.try_take() is None
            taking = pool.submit(role.take)
            time.sleep(0.05)
            assert not taking.done()
            turn.release()
        assert taking.result(5) is turn


def test_attempts_are_made_until_one_succeeds_and_waits_come_between(reading):
    results = deque([None, None, "third"])
    operation = reading.co(lambda argument: results.popleft(), 1)

    assert [need.fd for need in (next(operation), next(operation))] == [ScriptedStream.fd] * 2
    assert finish(operation) == "third"
    assert not reading.is_taken()


def test_waiting_comes_first_after_an_attempt(reading):
    attempts = []
    operation = reading.co(lambda argument: attempts.append(argument) or "done", 1, tried=True)
    next(operation)
    assert attempts == []
    assert finish(operation) == "done"


def test_blocking_way_needs_no_generator_if_the_first_attempt_succeeds(reading):
    assert reading.block(lambda argument: argument, "now") == "now"
    with pytest.raises(ZeroDivisionError):
        reading.block(lambda argument: 1 / argument, 0)
    assert not reading.is_taken()
    assert reading.link.state is Link.BROKEN


def test_time_limit_is_for_what_does_not_move(link, monkeypatch):
    clock = SimpleNamespace(now=100.0, monotonic=lambda: clock.now)
    monkeypatch.setattr("dugong_like.connection.h1.exclusive.time", clock)
    link.timeout = 0.25
    buffer = ReceiveBuffer()
    reading = ReadingRole(link, buffer)
    operation = reading.co(lambda argument: None, None)
    assert next(operation).deadline == 100.25
    clock.now = 100.125
    assert next(operation).deadline == 100.25
    buffer.received += 1
    assert next(operation).deadline == 100.375
    clock.now = 100.375
    with pytest.raises(ConnectionTimedOut, match=r"nothing arrived for 0\.25 s "):
        next(operation)
    assert link.state is Link.OPEN


@pytest.mark.parametrize("end", [HTTPConnection.reset, HTTPConnection.disconnect])
def test_operation_that_waits_while_the_connection_is_dropped_ends(monkeypatch, end):
    streams = [ScriptedStream(), ScriptedStream()]
    conn = connection(monkeypatch, *streams)
    conn.send_request("GET", "/past")
    reading = conn.co_read_response()
    next(reading)
    end(conn)
    conn.send_request("GET", "/present")
    present = conn.co_read_response()
    next(present)
    with pytest.raises(ConnectionClosed, match="closed meanwhile"):
        next(reading)
    next(present)  # untouched
    assert conn.response_pending()


@pytest.mark.parametrize("first", ["reader", "writer"])
def test_connection_that_was_dropped_is_closed_by_who_leaves_it_last(monkeypatch, first):
    stream = ScriptedStream()
    conn = connection(monkeypatch, stream)
    conn.send_request("GET", "/1")
    stream.rooms = [10, None]
    operations = {"reader": conn.co_read_response(), "writer": conn.co_send_request("GET", "/2")}
    next(operations["writer"])
    next(operations["reader"])
    conn.disconnect()
    kept = []
    for name in sorted(operations, key=lambda name: name != first):
        assert not stream.closed
        with pytest.raises(ConnectionClosed, match="closed meanwhile") as caught:
            next(operations[name])
        kept.append(caught)
    assert stream.closed  # and not when the last exception has gone


def test_connection_that_was_dropped_is_closed_if_its_operation_ends_well(monkeypatch):
    stream = ScriptedStream([b"HTTP/1.1 103 Early\r\n\r\nHTTP/1.1 204 No\r\n\r\n"])
    conn = connection(monkeypatch, stream, on_informational=lambda response: conn.disconnect())
    conn.send_request("GET", "/")
    assert conn.read_response().status == 204
    assert stream.closed


def test_connection_that_was_dropped_inside_an_operation_that_ends_well(monkeypatch):
    def send_and_drop(parts):
        count = ScriptedStream.send(stream, parts)
        conn.disconnect()
        return count

    stream = ScriptedStream()
    conn = connection(monkeypatch, stream)
    conn.send_request("GET", "/1")
    reading = conn.co_read_response()
    next(reading)
    stream.send = send_and_drop
    conn.send_request("GET", "/2")
    assert not stream.closed
    with pytest.raises(ConnectionClosed) as kept:
        next(reading)
    assert stream.closed
    assert kept.tb is not None


def test_connection_that_is_dropped_when_it_fails_is_closed(monkeypatch):
    stream = ScriptedStream([END])
    conn = connection(monkeypatch, stream)
    conn.send_request("GET", "/")
    conn._link.closing.add(conn.disconnect)
    with pytest.raises(ConnectionClosed) as kept:
        conn.read_response()
    assert stream.closed
    assert kept.tb is not None


def test_what_closing_raises_is_not_the_error_of_the_operation(monkeypatch, capsys):
    def close():
        raise OSError("the disk is full")

    stream = ScriptedStream()
    conn = connection(monkeypatch, stream)
    conn.send_request("GET", "/")
    reading = conn.co_read_response()
    next(reading)
    stream.close = close
    conn.disconnect()
    with pytest.raises(ConnectionClosed, match="closed meanwhile"):
        next(reading)
    assert capsys.readouterr().err.endswith("OSError: the disk is full\n")


def test_writer_that_waits_while_the_connection_is_dropped_writes_nothing_to_the_next(monkeypatch):
    streams = [ScriptedStream(rooms=[10, None]), ScriptedStream()]
    conn = connection(monkeypatch, *streams)
    writing = conn.co_send_request("GET", "/past")
    next(writing)
    conn.reset()
    conn.send_request("GET", "/present")
    with pytest.raises(ConnectionClosed, match="closed meanwhile"):
        next(writing)
    assert b"past" not in streams[1].sent
    streams[1].incoming.append(b"HTTP/1.1 204 No\r\n\r\n")
    assert conn.read_response().path == "/present"
    conn.send_request("GET", "/again")
    assert b"/again" in streams[1].sent
