"""Expect: 100-continue: the body of a request waits until the server asks for it.

RFC 9110 section 10.1.1. `Exchange.expects_continue` is True as long as that is so:

1. `is_expected` decides on it when the request is built, with ``expect100=True``, and the head
   has the field `EXPECT`.
2. The sender waits: `after_head` and `before_body` are the moves of its state machine.
3. The reader of the response is given the 100 (Continue) that `note_continue` recognises; the body
   may be written then. Any final response ends the expectation as well, and the body is not wanted.
4. `co_limited` waits for either only so long: then the body may be written all the same, as the
   server may not know of expectations.

Not here: the states (states.py), and Expect as a field of the caller (http/header_validation.py).
"""

from __future__ import annotations

from collections.abc import Container
from typing import TYPE_CHECKING, Final

from ...errors import ContinueTimedOut, InvalidRequest, StateError
from ...http.request import BodyFollowing
from ...polling.contract import Co
from ..time_limits import co_until_continue
from .sending_states import Sent

if TYPE_CHECKING:
    from ...polling.timeouts import Timeouts
    from ..exchange import Exchange, HTTPResponse
    from ..shared import SharedState

CONTINUE: Final = 100
EXPECT: Final = "Expect: 100-continue\r\n"


def is_expected(body: object, given: Container[str]) -> bool:
    """Return True if a request with ``expect100`` waits for 100 (Continue): not without a body.

    Args:
        body: of the request.
        given: names of the caller's fields, in lower case.

    Raises:
        InvalidRequest: *body* is here already, or Expect is among the fields.

    """
    if not isinstance(body, BodyFollowing):
        raise InvalidRequest("expect100 goes with BodyFollowing only")
    if "expect" in given:
        raise InvalidRequest("Expect follows from expect100 and cannot be set as well")
    return body.length != 0


# ---- for the sender


def after_head(exchange: Exchange) -> Sent:
    """Return the event that the sent head of *exchange* is, whose body follows."""
    return Sent.EXPECTATION if exchange.expects_continue else Sent.ANNOUNCED


def before_body(exchange: Exchange) -> Sent:
    """Return the event that writing is, for a body that has waited for 100 (Continue).

    Raises:
        StateError: it still has to.

    """
    if exchange.expects_continue:
        raise StateError("the body has to wait for 100 (Continue): call read_response()")
    return Sent.ANSWERED if exchange.answered else Sent.CONTINUED


# ---- for the receiver


def note_continue(exchange: Exchange, status: int) -> bool:
    """Note the 1xx response *status*; return True if it is the one that *exchange* expects."""
    if status != CONTINUE or not exchange.expects_continue:
        return False
    exchange.expects_continue = False
    return True


def limit_of(timeouts: Timeouts, expect100_timeout: float | None) -> float | None:
    """Return for how many seconds 100 (Continue) is waited for; None for any number."""
    return expect100_timeout if timeouts.expect100 is None else timeouts.expect100


def co_limited(session: SharedState, seconds: float, reading: Co[HTTPResponse]) -> Co[HTTPResponse]:
    """Read a response, but wait for 100 (Continue) for *seconds* only, if it is expected next.

    Raises:
        ContinueTimedOut: neither that nor a final response has come; the body may be written.
        DugongError: what *reading* raises.

    """
    pending = session.pending
    if not pending or not pending[0].expects_continue:
        return (yield from reading)
    exchange = pending[0]
    try:
        return (yield from co_until_continue(reading, exchange, seconds))
    except ContinueTimedOut as late:
        session.label(late, exchange)
        raise
