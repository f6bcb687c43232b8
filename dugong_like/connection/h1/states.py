"""Which call is legal when: two small machines, each a table.

The sending half and the connection below both halves have one. A machine is moved only by
the part that owns it, so two threads never move the same one, but for `LINK`, which session.py
moves under a lock. The receiving half needs none: it has a body to read, or not.

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
    SWITCHING = "the server has been asked to leave HTTP"


class Sent(Enum):
    """What moves the sending half; the value completes "it is not possible to ..."."""

    __hash__ = object.__hash__
    ANNOUNCED = "send a request"
    EXPECTATION = "send a request that expects 100 (Continue)"
    CONTINUED = "go on with the body"
    FINISHED = "end the body"
    SWITCH = "ask for another protocol"
    ANSWERED = "give up the body"


SENDING: Final = {
    (Sending.READY, Sent.ANNOUNCED): Sending.BODY,
    (Sending.READY, Sent.EXPECTATION): Sending.AWAITING_CONTINUE,
    (Sending.AWAITING_CONTINUE, Sent.CONTINUED): Sending.BODY,
    (Sending.AWAITING_CONTINUE, Sent.ANSWERED): Sending.READY,  # RFC 9110 section 10.1.1
    (Sending.BODY, Sent.ANSWERED): Sending.READY,  # early answer, RFC 9112 section 9.5
    (Sending.BODY, Sent.FINISHED): Sending.READY,
    (Sending.READY, Sent.SWITCH): Sending.SWITCHING,  # RFC 9110 sections 7.8 and 9.3.6
    (Sending.BODY, Sent.SWITCH): Sending.SWITCHING,  # with the end of the body
    (Sending.SWITCHING, Sent.ANSWERED): Sending.READY,
}


class Link(Enum):
    """States of the connection below both halves."""

    __hash__ = object.__hash__
    CLOSED = "the connection is closed"
    OPEN = "the connection is open"
    SPENT = "the connection takes no further request"
    SWITCHED = "the connection has left HTTP"
    BROKEN = "the connection is broken"


# An attribute of an enumeration takes 0.05 us, ten times as long as a name of a module.
READY: Final = Sending.READY
CLOSED: Final = Link.CLOSED
OPEN: Final = Link.OPEN
SWITCHED: Final = Link.SWITCHED
BROKEN: Final = Link.BROKEN


class Linked(Enum):
    """What moves the connection."""

    __hash__ = object.__hash__
    CONNECTED = "connect"
    NO_REUSE = "keep the connection from being used again"
    SWITCHED = "leave HTTP"
    HANDED_OVER = "hand the stream over"
    FAILED = "break the connection"
    DROPPED = "close the connection"
    ABANDONED = "leave the connection to those who use it"


LINK: Final = {
    (Link.CLOSED, Linked.CONNECTED): Link.OPEN,
    (Link.OPEN, Linked.NO_REUSE): Link.SPENT,
    (Link.SPENT, Linked.NO_REUSE): Link.SPENT,
    (Link.BROKEN, Linked.NO_REUSE): Link.BROKEN,
    (Link.SWITCHED, Linked.NO_REUSE): Link.SWITCHED,
    (Link.OPEN, Linked.SWITCHED): Link.SWITCHED,
    (Link.SPENT, Linked.SWITCHED): Link.SWITCHED,
    (Link.BROKEN, Linked.SWITCHED): Link.BROKEN,
    (Link.CLOSED, Linked.SWITCHED): Link.CLOSED,
    (Link.SWITCHED, Linked.HANDED_OVER): Link.CLOSED,  # the stream itself stays open
    (Link.OPEN, Linked.FAILED): Link.BROKEN,
    (Link.SPENT, Linked.FAILED): Link.BROKEN,
    (Link.SWITCHED, Linked.FAILED): Link.BROKEN,
    (Link.BROKEN, Linked.FAILED): Link.BROKEN,
    (Link.CLOSED, Linked.FAILED): Link.CLOSED,
    (Link.CLOSED, Linked.DROPPED): Link.CLOSED,
    (Link.OPEN, Linked.DROPPED): Link.CLOSED,
    (Link.SPENT, Linked.DROPPED): Link.CLOSED,
    (Link.SWITCHED, Linked.DROPPED): Link.CLOSED,
    (Link.BROKEN, Linked.DROPPED): Link.CLOSED,
    (Link.CLOSED, Linked.ABANDONED): Link.BROKEN,  # for good
    (Link.OPEN, Linked.ABANDONED): Link.BROKEN,
    (Link.SPENT, Linked.ABANDONED): Link.BROKEN,
    (Link.SWITCHED, Linked.ABANDONED): Link.BROKEN,
    (Link.BROKEN, Linked.ABANDONED): Link.BROKEN,
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
