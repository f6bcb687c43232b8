"""The states of a session, and how it gets from one to the other: a small state machine, a table.

The session is moved by any thread, under a lock (shared.py).

Not here: the states of sending over HTTP/1.1 (h1/sending_states.py), and what is done in a state.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from enum import Enum
from typing import Final, TypeVar

from ..errors import StateError

S = TypeVar("S", bound=Enum)
E = TypeVar("E", bound=Enum)


class Retired(Exception):
    """The session takes no further request. Nothing of the present one was sent.

    Attributes:
        settle: called when the request has begun on the next session, or failed to; or None.

    """

    settle: Callable[[], object] | None = None


class SessionReplaced(StateError):
    """A reader was waiting for a request that is sent on the session that took this one's place."""


class SessionState(Enum):
    """States of a session; the value completes "... while ..."."""

    __hash__ = object.__hash__
    NEW = "the connection has not been opened"
    OPEN = "the connection is open"
    NOT_REUSABLE = "the connection takes no further request"
    UPGRADED = "the connection has left HTTP"
    BROKEN = "the connection is broken"
    CLOSED = "the connection is closed"


# An attribute of an enumeration takes 0.05 us, ten times as long as a name of a module.
NEW: Final = SessionState.NEW
OPEN: Final = SessionState.OPEN
UPGRADED: Final = SessionState.UPGRADED
BROKEN: Final = SessionState.BROKEN
CLOSED: Final = SessionState.CLOSED


class SessionEvent(Enum):
    """Events of a session."""

    __hash__ = object.__hash__
    CONNECTED = "connect"
    RETIRED = "keep the connection from being used again"
    UPGRADED = "leave HTTP"
    DETACHED = "hand the stream over"
    FAILED = "break the connection"


# Closing is possible in each state, and the end of all of them: whatever an operation that was
# under way at that moment finds out comes too late. A session is never opened again.
SESSION: Final = {
    (SessionState.NEW, SessionEvent.CONNECTED): SessionState.OPEN,
    (SessionState.NEW, SessionEvent.RETIRED): SessionState.NEW,
    (SessionState.NEW, SessionEvent.FAILED): SessionState.NEW,
    (SessionState.OPEN, SessionEvent.RETIRED): SessionState.NOT_REUSABLE,
    (SessionState.NOT_REUSABLE, SessionEvent.RETIRED): SessionState.NOT_REUSABLE,
    (SessionState.BROKEN, SessionEvent.RETIRED): SessionState.BROKEN,
    (SessionState.UPGRADED, SessionEvent.RETIRED): SessionState.UPGRADED,
    (SessionState.CLOSED, SessionEvent.RETIRED): SessionState.CLOSED,
    (SessionState.OPEN, SessionEvent.UPGRADED): SessionState.UPGRADED,
    (SessionState.NOT_REUSABLE, SessionEvent.UPGRADED): SessionState.UPGRADED,
    (SessionState.BROKEN, SessionEvent.UPGRADED): SessionState.BROKEN,
    (SessionState.CLOSED, SessionEvent.UPGRADED): SessionState.CLOSED,
    (SessionState.UPGRADED, SessionEvent.DETACHED): SessionState.CLOSED,  # the stream stays open
    (SessionState.OPEN, SessionEvent.FAILED): SessionState.BROKEN,
    (SessionState.NOT_REUSABLE, SessionEvent.FAILED): SessionState.BROKEN,
    (SessionState.UPGRADED, SessionEvent.FAILED): SessionState.BROKEN,
    (SessionState.BROKEN, SessionEvent.FAILED): SessionState.BROKEN,
    (SessionState.CLOSED, SessionEvent.FAILED): SessionState.CLOSED,
}


def follow(table: Mapping[tuple[S, E], S], state: S, event: E) -> S:
    """Return the state that *event* leads to from *state*.

    Raises:
        StateError: that is no legal move.

    """
    try:
        return table[state, event]
    except KeyError:
        raise StateError(
            f"it is not possible to {event.value} while {state.value}",
        ) from None
