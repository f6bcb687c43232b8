"""One operation at a time in each half, peeking, and what each leaves behind."""

from concurrent.futures import ThreadPoolExecutor

import pytest
from kit.streams import ScriptedStream, connection

from dugong_like import ConnectionClosed, InvalidResponse, StateError
from dugong_like.connection.h1.exclusive import READING, SENDING, peek, wait_for_peek
from dugong_like.connection.states import SessionState


@pytest.fixture
def conn(monkeypatch):
    conn = connection(monkeypatch, ScriptedStream())
    conn.connect()
    return conn


@pytest.fixture
def session(conn):
    return conn._session.shared


def test_use_is_for_one_at_a_time(conn, session):
    for lock, what in ((session.sending, SENDING), (session.reading, READING)):
        with lock, pytest.raises(StateError, match=f"another operation is {what}"):
            wait_for_peek(session, lock, what)
    with session.sending, pytest.raises(StateError, match="another operation is sending"):
        conn.send_request("GET", "/")
    with session.reading, pytest.raises(StateError, match="another operation is reading"):
        conn.read_response()


def test_nobody_peeks_while_an_operation_reads(session):
    with session.reading:
        for _ in range(2):
            assert peek(session, lambda: "seen") is None
    assert peek(session, lambda: "seen") == "seen"
    assert not session.reading.locked()


def test_operation_that_begins_while_another_thread_peeks_waits_for_its_end(session):
    events = []

    def look():
        taking = pool.submit(wait_for_peek, session, session.reading, READING)
        taking.add_done_callback(lambda _: events.append("taken"))
        with pytest.raises(TimeoutError):
            taking.result(0.05)
        events.append("looked")
        return taking

    with ThreadPoolExecutor(1) as pool:
        peek(session, look).result(100)
    assert events == ["looked", "taken"]


def test_operation_inside_a_peek_is_refused_as_it_would_wait_for_itself(session):
    def look():
        with pytest.raises(StateError, match="another operation is reading"):
            wait_for_peek(session, session.reading, READING)
        return True

    assert peek(session, look)
    assert not session.reading.locked()


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
