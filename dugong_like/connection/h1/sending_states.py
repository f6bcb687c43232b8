"""Which call of the sending half is legal when: a small state machine, a table.

It is moved only by that half. The receiving half needs none: it has a body to read, or not.

Not here: the states of a session (connection/states.py), and what is done in a state.
"""

from __future__ import annotations

from enum import Enum
from typing import Final


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


# An attribute of an enumeration takes 0.05 us, ten times as long as a name of a module.
READY: Final = Sending.READY
