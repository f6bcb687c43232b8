"""One operation at a time in each half, peeking, and what each leaves behind."""

import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from kit.streams import ScriptedStream, connection

from dugong_like import ConnectionClosed, InvalidResponse, StateError
from dugong_like.connection.h1.exclusive import READING, SENDING, Peek, take
from dugong_like.connection.states import SessionState


@pytest.fixture
def conn(monkeypatch):
    conn = connection(monkeypatch, ScriptedStream())
    conn.connect()
    return conn


@pytest.fixture
def session(conn):
    return conn._session.shared


def test_use_is_for_one_at_a_time(session):
    lock = take(session, session.sending, SENDING)
    with pytest.raises(StateError, match="another operation is sending"):
        take(session, session.sending, SENDING)
    lock.release()
    take(session, session.sending, SENDING).release()


def test_nobody_peeks_while_an_operation_reads(session):
    lock = take(session, session.reading, READING)
    for _ in range(2):
        with Peek(session) as granted:
            assert not granted
    lock.release()
    with Peek(session) as granted:
        assert granted
    take(session, session.reading, READING).release()


def test_operation_that_begins_while_another_thread_peeks_waits_for_its_end(session):
    with ThreadPoolExecutor(1) as pool:
        with Peek(session):
            taking = pool.submit(take, session, session.reading, READING)
            time.sleep(0.05)
            assert not taking.done()
        taking.result(20).release()


def test_operation_inside_a_peek_is_refused_as_it_would_wait_for_itself(session):
    with Peek(session), pytest.raises(StateError, match="another operation is reading"):
        take(session, session.reading, READING)
    take(session, session.reading, READING).release()


def sends(conn, error):
    def step():
        raise error

    conn._session.sender.begin(step)


def reads(conn, error):
    def attempt(_):
        raise error

    conn._session.receiver.block(attempt, None)


@pytest.mark.parametrize("operation", [sends, reads])
@pytest.mark.parametrize("error", [StateError("a"), GeneratorExit(), TypeError("b")])
def test_orderly_errors_break_nothing(conn, session, operation, error):
    with pytest.raises(type(error)):
        operation(conn, error)
    assert session.state is SessionState.OPEN


@pytest.mark.parametrize("error", [InvalidResponse("a"), ConnectionClosed("b")])
def test_a_reader_cannot_go_on_after_an_error_of_the_peer(conn, session, error):
    with pytest.raises(type(error)):
        sends(conn, error)
    assert session.state is SessionState.OPEN
    with pytest.raises(type(error)):
        reads(conn, error)
    assert session.state is SessionState.BROKEN


def test_exception_from_outside_breaks_the_session_unless_reading_waits(conn, session):
    session.stream.waiting = True
    with pytest.raises(KeyboardInterrupt):
        reads(conn, KeyboardInterrupt())
    assert session.state is SessionState.OPEN
    assert not session.stream.waiting
    with pytest.raises(KeyboardInterrupt):
        reads(conn, KeyboardInterrupt())
    assert session.state is SessionState.BROKEN


def test_exception_from_outside_breaks_the_session_if_it_hits_the_sender(conn, session):
    session.stream.waiting = True
    with pytest.raises(MemoryError):
        sends(conn, MemoryError())
    assert session.state is SessionState.BROKEN
