"""What a reader waits for between two attempts: the stream, others, a file, or a request."""

from types import SimpleNamespace

import pytest
from kit.streams import ScriptedStream, connection, finish

from dugong_like import ConnectionClosed, ConnectionTimedOut, PollNeeded, StateError
from dugong_like.connection.h1 import reading_waits
from dugong_like.connection.h1.reading_waits import (
    ReadingWaits,
    co_wait_for_request,
    is_request_pending,
)
from dugong_like.connection.states import SessionReplaced, SessionState
from dugong_like.polling.wake import Wake

ELSEWHERE = PollNeeded(77, 1)


@pytest.fixture
def clock(monkeypatch):
    clock = SimpleNamespace(now=100.0, monotonic=lambda: clock.now)
    monkeypatch.setattr(reading_waits, "time", clock)
    return clock


@pytest.fixture
def session(monkeypatch):
    conn = connection(monkeypatch, ScriptedStream())
    conn.connect()
    yield conn._session
    conn.reset()


def waits_of(session, early=False, elsewhere=None, deadline=None):
    return ReadingWaits(session.shared, session.receiver, early, elsewhere, deadline)


def test_it_is_the_stream_and_the_server_is_told_what_has_arrived(session):
    stream = session.shared.stream

    assert waits_of(session).next().fd == ScriptedStream.fd
    assert stream.acknowledged == 1
    waits = waits_of(session, early=True)
    assert waits.next().fd == ScriptedStream.fd
    assert stream.acknowledged == 1  # the request has done so
    waits.next()
    assert stream.acknowledged == 2


def test_others_run_first_when_the_share_is_used_up(session):
    buffer = session.receiver.buffer
    buffer.turn_ends, buffer.wanted = buffer.received, 5
    waits = waits_of(session)
    turn = waits.next()

    assert not isinstance(turn, PollNeeded)
    assert next(turn).reason == "checkpoint"
    assert session.shared.stream.waiting  # what is thrown in here loses nothing
    finish(turn)
    assert not session.shared.stream.waiting
    assert buffer.wanted == 0
    assert waits.next().fd == ScriptedStream.fd


def test_a_file_that_takes_no_more_has_no_time_limit(session, clock):
    session.shared.timeout = 5
    full = [None, ELSEWHERE, None]
    waits = waits_of(session, elsewhere=lambda: full.pop(0))

    assert waits.next().deadline == 105
    clock.now = 200
    assert waits.next() is ELSEWHERE
    assert waits.next().deadline == 205


def test_a_deadline_that_began_before_holds_until_something_arrives(session, clock):
    session.shared.timeout = 5
    waits = waits_of(session, deadline=102.0)

    assert waits.next().deadline == 102
    session.receiver.buffer.received += 1
    assert waits.next().deadline == 105
    clock.now = 105
    with pytest.raises(ConnectionTimedOut, match="arrived for 5 s"):
        waits.next()


def test_a_session_that_was_closed_has_nothing_to_wait_for(monkeypatch):
    conn = connection(monkeypatch, ScriptedStream())
    conn.connect()
    waits = waits_of(conn._session)
    conn.close()

    with pytest.raises(ConnectionClosed):
        waits.next()


def test_a_request_that_is_being_sent_is_waited_for(session):
    shared = session.shared
    with pytest.raises(StateError, match="no response is pending"):
        is_request_pending(shared)
    with shared.sending:
        assert not is_request_pending(shared)
        waiting = waits_of(session).next()
        assert next(waiting).reason == "request"
        shared.pending.append("a request")
        shared.reader_waits.set()
        assert finish(waiting) is None
    assert shared.reader_waits is None
    assert is_request_pending(shared)
    shared.pending.clear()


@pytest.mark.parametrize(
    ("state", "error"),
    [(SessionState.OPEN, ConnectionClosed), (SessionState.CLOSED, SessionReplaced)],
)
def test_a_request_that_is_not_sent_after_all(session, state, error):
    shared = session.shared
    wake = Wake()
    waiting = co_wait_for_request(shared, wake)
    with shared.sending:
        next(waiting)
    wake.set()
    shared.state, before = state, shared.state
    with pytest.raises(error):
        finish(waiting)
    shared.state = before
