"""The machine of sending: every pair of state and event is either in the table or refused."""

import pytest

from dugong_like import StateError
from dugong_like.connection.h1.sending_states import SENDING, Sending, Sent
from dugong_like.connection.states import follow

PAIRS = [(state, event) for state in Sending for event in Sent]


@pytest.mark.parametrize(("state", "event"), PAIRS)
def test_every_pair(state, event):
    if (state, event) in SENDING:
        assert follow(SENDING, state, event) is SENDING[state, event]
    else:
        with pytest.raises(StateError, match="not possible to .* while"):
            follow(SENDING, state, event)


def test_every_state_can_be_reached_and_left():
    first = next(iter(Sending))  # which the machine begins in
    assert {state for state, _ in SENDING} == {first, *SENDING.values()} == set(Sending)
    assert {event for _, event in SENDING} == set(Sent)
