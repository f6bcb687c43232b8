"""The machines: every pair of state and event is either in the table or refused."""

import pytest

from dugong_like import StateError
from dugong_like.connection.h1.states import (
    SENDING,
    SESSION,
    Sending,
    Sent,
    SessionEvent,
    SessionState,
    follow,
)

MACHINES = [(SENDING, Sending, Sent), (SESSION, SessionState, SessionEvent)]
PAIRS = [
    pytest.param(table, state, event, id=f"{state.name}-{event.name}")
    for table, states, events in MACHINES
    for state in states
    for event in events
]


@pytest.mark.parametrize(("table", "state", "event"), PAIRS)
def test_every_pair(table, state, event):
    if (state, event) in table:
        assert follow(table, state, event) is table[state, event]
    else:
        with pytest.raises(StateError, match="not possible to .* while"):
            follow(table, state, event)


@pytest.mark.parametrize(("table", "states", "events"), MACHINES)
def test_every_state_can_be_reached_and_left(table, states, events):
    first = next(iter(states))  # which a machine begins in
    assert {state for state, _ in table} == {first, *table.values()} == set(states)
    assert {event for _, event in table} == set(events)


def test_a_session_that_is_broken_or_closed_stays_so():
    for state in (SessionState.BROKEN, SessionState.CLOSED):
        assert {after for (before, _), after in SESSION.items() if before is state} == {state}
        assert (state, SessionEvent.CONNECTED) not in SESSION
