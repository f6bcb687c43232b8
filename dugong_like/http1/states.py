"""Which call is legal when: three small machines, each a table.

The sending half, the receiving half and the connection below them each have one. A
machine is moved only by the part that owns it, so two threads never move the same
one, but for `LINK`, whose moves end in the same state in either order.

Not here: what is done in a state.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum
from typing import Final, Generic, TypeVar

from ..errors import StateError

S = TypeVar("S", bound=Enum)
E = TypeVar("E", bound=Enum)


class Sending(Enum):
    """States of the sending half; the value completes "... while ..."."""

    __hash__ = object.__hash__  # enum's own is written in Python and 10 times slower
    READY = "no request is being sent"
    BODY = "the body of a request is being written"
    AWAITING_CONTINUE = "the body of a request waits for 100 (Continue)"


class Sent(Enum):
    """What moves the sending half; the value completes "it is not possible to ..."."""

    __hash__ = object.__hash__
    ANNOUNCED = "send a request"
    EXPECTATION = "send a request that expects 100 (Continue)"
    CONTINUED = "go on with the body"
    FINISHED = "end the body"
    ANSWERED = "give up the body"


SENDING: Final = {
    (Sending.READY, Sent.ANNOUNCED): Sending.BODY,
    (Sending.READY, Sent.EXPECTATION): Sending.AWAITING_CONTINUE,
    (Sending.AWAITING_CONTINUE, Sent.CONTINUED): Sending.BODY,
    (Sending.AWAITING_CONTINUE, Sent.ANSWERED): Sending.READY,  # RFC 9110 section 10.1.1
    (Sending.BODY, Sent.ANSWERED): Sending.READY,  # early answer, RFC 9112 section 9.5
    (Sending.BODY, Sent.FINISHED): Sending.READY,
}


class Receiving(Enum):
    """States of the receiving half."""

    __hash__ = object.__hash__
    HEAD = "no response is being read"
    BODY = "the body of a response is being read"


class Received(Enum):
    """What moves the receiving half."""

    __hash__ = object.__hash__
    HEAD = "read a response"
    END = "end the response"


RECEIVING: Final = {
    (Receiving.HEAD, Received.HEAD): Receiving.BODY,
    (Receiving.BODY, Received.END): Receiving.HEAD,
}


class Link(Enum):
    """States of the connection below both halves."""

    __hash__ = object.__hash__
    CLOSED = "the connection is closed"
    OPEN = "the connection is open"
    SPENT = "the connection takes no further request"
    BROKEN = "the connection is broken"


class Linked(Enum):
    """What moves the connection."""

    __hash__ = object.__hash__
    CONNECTED = "connect"
    NO_REUSE = "keep the connection from being used again"
    FAILED = "break the connection"
    DROPPED = "close the connection"


LINK: Final = {
    (Link.CLOSED, Linked.CONNECTED): Link.OPEN,
    (Link.OPEN, Linked.NO_REUSE): Link.SPENT,
    (Link.SPENT, Linked.NO_REUSE): Link.SPENT,
    (Link.BROKEN, Linked.NO_REUSE): Link.BROKEN,
    (Link.OPEN, Linked.FAILED): Link.BROKEN,
    (Link.SPENT, Linked.FAILED): Link.BROKEN,
    (Link.BROKEN, Linked.FAILED): Link.BROKEN,
    (Link.CLOSED, Linked.FAILED): Link.CLOSED,
    (Link.CLOSED, Linked.DROPPED): Link.CLOSED,
    (Link.OPEN, Linked.DROPPED): Link.CLOSED,
    (Link.SPENT, Linked.DROPPED): Link.CLOSED,
    (Link.BROKEN, Linked.DROPPED): Link.CLOSED,
}


class Machine(Generic[S, E]):
    """A state and the table of its legal moves."""

    __slots__ = ("_table", "state")

    def __init__(self, table: Mapping[tuple[S, E], S], state: S) -> None:
        self._table = table
        self.state = state

    def step(self, event: E) -> None:
        """Follow *event*.

        Raises:
            StateError: that is no legal move; the state stays as it is.

        """
        try:
            self.state = self._table[self.state, event]
        except KeyError:
            raise StateError(
                f"it is not possible to {event.value} while {self.state.value}",
            ) from None
