"""The machine of a session: every pair of state and event is either in the table or refused."""

import pytest
from kit.cases import each_case

from dugong_like import StateError
from dugong_like.connection.states import SESSION, SessionEvent, SessionState, follow

PAIRS = [(state, event) for state in SessionState for event in SessionEvent]


@each_case(("state", "event"), PAIRS)
def test_every_pair(state, event):
    if (state, event) in SESSION:
        assert follow(SESSION, state, event) is SESSION[state, event]
    else:
        with pytest.raises(StateError, match="not possible to .* while"):
            follow(SESSION, state, event)


def test_every_state_can_be_reached_and_left():
    first = next(iter(SessionState))  # which the machine begins in
    assert {state for state, _ in SESSION} == {first, *SESSION.values()} == set(SessionState)
    assert {event for _, event in SESSION} == set(SessionEvent)


def test_a_session_that_is_broken_or_closed_stays_so():
    for state in (SessionState.BROKEN, SessionState.CLOSED):
        assert {after for (before, _), after in SESSION.items() if before is state} == {state}
        assert (state, SessionEvent.CONNECTED) not in SESSION
