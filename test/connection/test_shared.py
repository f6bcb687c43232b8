"""The shared part of a session: its states, its end, and the stream that goes with it."""

from collections import deque

import pytest
from kit.support import ScriptedServer

from dugong_like import ConnectionClosed, HTTPConnection, InvalidResponse
from dugong_like.connection.cancelling import cancel
from dugong_like.connection.connection import finish
from dugong_like.connection.exchange import Exchange
from dugong_like.connection.shared import MANY, SharedState
from dugong_like.connection.states import SessionState


@pytest.fixture
def config():
    with ScriptedServer(lambda sock: sock.recv(1)) as server:
        yield HTTPConnection("127.0.0.1", server.port)._config


@pytest.fixture
def session(config):
    session = SharedState(config, 10)
    yield session
    cancel(session)


def test_stream_is_there_while_the_connection_is(session):
    with pytest.raises(ConnectionClosed, match="is closed"):
        session.live_stream()
    finish(session.open())
    assert session.live_stream() is session.stream
    session.retire()
    assert session.live_stream() is session.stream
    assert session.state is SessionState.NOT_REUSABLE
    cancel(session)
    assert session.stream is None
    with pytest.raises(ConnectionClosed, match="closed meanwhile"):
        session.live_stream()


def test_broken_session_says_why(session):
    finish(session.open())
    session.fail(InvalidResponse("first"))
    session.fail(InvalidResponse("second"))

    why = rf"until reset\(\) is called: {session.route.origin}: first$"
    with pytest.raises(ConnectionClosed, match=why) as failure:
        session.live_stream()
    assert isinstance(failure.value.__cause__, InvalidResponse)
    assert session.stream is not None
    cancel(session)
    session.fail(InvalidResponse("of an operation that ends late"))
    assert session.state is SessionState.CLOSED


def test_session_that_was_never_open_cannot_be_used_up(session):
    session.retire()
    session.fail(InvalidResponse("of connecting"))

    assert session.state is SessionState.NEW


def test_no_request_is_put_behind_the_last_response(session):
    finish(session.open())
    first, second, third = (Exchange("GET", path) for path in "123")
    session.pending.append(first)
    session.append(second)
    session.end_use("the first response")
    with pytest.raises(ConnectionClosed, match="the first response was the last one"):
        session.append(third)
    assert list(session.pending) == [second]
    with pytest.raises(ConnectionClosed, match="the first response was the last one"):
        session.check_usable()


def test_many_pending_requests_are_in_a_queue_that_loses_its_first_one_at_once(session):
    finish(session.open())
    exchanges = [Exchange("GET", f"/{number}") for number in range(MANY + 3)]
    for exchange in exchanges[:MANY]:
        session.append(exchange)
    session.take_first()
    assert isinstance(session.pending, list)
    for exchange in exchanges[MANY:]:
        session.append(exchange)
    session.take_first()
    assert isinstance(session.pending, deque)
    session.append(exchanges[0])
    while len(session.pending) > 1:
        session.take_first()
        exchanges.append(session.pending[0])
    assert exchanges[MANY + 3 :] == [*exchanges[3 : MANY + 3], exchanges[0]]


def test_connection_that_comes_too_late_is_closed(config):
    donor = SharedState(config, 10)
    finish(donor.open())
    late, donor.stream = donor.stream, None
    session = SharedState(config, 10)
    cancel(session)
    assert late.sock.fileno() >= 0
    with pytest.raises(ConnectionClosed, match="closed meanwhile"):
        session.take(late)
    assert late.sock.fileno() == -1
    assert session.stream is None
    cancel(donor)


def test_the_end_is_told_once(session):
    told = []
    finish(session.open())
    session.when_ended(lambda: told.append("first"))
    session.fail(InvalidResponse("broken"))
    session.when_ended(lambda: told.append("late"))
    cancel(session)

    assert told == ["first", "late"]
    assert isinstance(session.reason, InvalidResponse)


def test_a_failure_behind_a_close_is_no_reason(session):
    finish(session.open())
    session.will_close()
    session.fail(InvalidResponse("of the close"))
    assert not session.ended
    cancel(session)
    assert session.ended
    assert session.reason is None


def test_who_gives_up_waiting_for_the_end_leaves_nothing(session):
    for _ in range(3):
        op = session.co_wait_ended()
        next(op)
        op.close()
    called = []
    session.when_ended(called.append)
    assert session.forget(called.append)
    assert not session.forget(called.append)  # nothing else either
    assert session.end(None) is None
    assert called == []
    assert finish(session.co_wait_ended()) is None


def test_end_that_another_one_forgets_in_the_middle(session):
    """Of several callbacks the first may have another one be called no more."""
    called = []

    def last():
        called.append("last")

    def first():
        called.append("first")
        assert session.forget(last)

    session.when_ended(first)
    session.when_ended(last)
    cancel(session)
    assert called == ["first"]
