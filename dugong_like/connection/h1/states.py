"""Which call is legal when: two small state machines, each a table.

The sending half of a session has one, and the session itself. A machine is moved only by the part
that owns it, so two threads never move the same one, except for `SESSION`, which shared.py moves
under a lock. The receiving half needs none: it has a body to read, or not.

Not here: what is done in a state.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum
from typing import Final, TypeVar

from ...errors import StateError

S = TypeVar("S", bound=Enum)
E = TypeVar("E", bound=Enum)


class Sending(Enum):
    """States of the sending half; the value completes "... while ..."."""

    __hash__ = object.__hash__  # enum's own is written in Python and 10 times slower
    READY = "no request is being sent"
    BODY = "the body of a request is being written"
    AWAITING_CONTINUE = "the body of a request waits for 100 (Continue)"
    UPGRADING = "the server has been asked to leave HTTP"


class Sent(Enum):
    """Events of the sending half; the value completes "it is not possible to ..."."""

    __hash__ = object.__hash__
    ANNOUNCED = "send a request"
    EXPECTATION = "send a request that expects 100 (Continue)"
    CONTINUED = "go on with the body"
    FINISHED = "end the body"
    UPGRADE = "ask for another protocol"
    ANSWERED = "give up the body"


SENDING: Final = {
    (Sending.READY, Sent.ANNOUNCED): Sending.BODY,
    (Sending.READY, Sent.EXPECTATION): Sending.AWAITING_CONTINUE,
    (Sending.AWAITING_CONTINUE, Sent.CONTINUED): Sending.BODY,
    (Sending.AWAITING_CONTINUE, Sent.ANSWERED): Sending.READY,  # RFC 9110 section 10.1.1
    (Sending.BODY, Sent.ANSWERED): Sending.READY,  # early final response, RFC 9112 section 9.5
    (Sending.BODY, Sent.FINISHED): Sending.READY,
    (Sending.READY, Sent.UPGRADE): Sending.UPGRADING,  # RFC 9110 sections 7.8 and 9.3.6
    (Sending.BODY, Sent.UPGRADE): Sending.UPGRADING,  # with the end of the body
    (Sending.UPGRADING, Sent.ANSWERED): Sending.READY,
}


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
READY: Final = Sending.READY
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
