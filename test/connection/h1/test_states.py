"""The machines: every pair of state and event is either in the table or refused."""

import pytest

from dugong_like import StateError
from dugong_like.connection.h1.states import (
    LINK,
    SENDING,
    Link,
    Linked,
    Sending,
    Sent,
    follow,
)

MACHINES = [(SENDING, Sending, Sent), (LINK, Link, Linked)]
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
    assert {state for state, _ in table} == set(table.values()) == set(states)
    assert {event for _, event in table} == set(events)


def test_a_broken_link_stays_broken_until_it_is_dropped():
    assert {LINK[Link.BROKEN, event] for event in (Linked.NO_REUSE, Linked.FAILED)} == {Link.BROKEN}
    assert (Link.BROKEN, Linked.CONNECTED) not in LINK
    assert all(LINK[state, Linked.DROPPED] is Link.CLOSED for state in Link)
