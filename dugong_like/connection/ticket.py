"""A request on its way through a pipeline: how it is sent, and what became of each try.

Not here: in which order requests are sent, and when they are sent again (pipeline.py).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final

from ..errors import ConnectionClosed, DugongError, NotAnswered, Sent, TransportError
from ..http.request import Request
from ..polling.contract import Co, PollNeeded

if TYPE_CHECKING:
    from .answers import Answer
    from .exchange import Exchange, HTTPResponse

SENT: Final[tuple[Sent, ...]] = ("no", "maybe", "yes")  # from the least to the most


def size_of(request: object) -> int:
    """Return how many bytes of the body of *request* are in memory; 0 if it is no request."""
    body = request.body if isinstance(request, Request) else None
    return len(body) if isinstance(body, bytes | bytearray) else 0


class Ticket:
    """A request on its way.

    Most are plain requests that are sent together, so what holds for these is the default, and
    costs nothing.

    Args:
        request: what is sent; not checked yet.

    Attributes:
        request: as given.
        op: what sends it, once that has begun; of those that are sent together the last one has it.
        before: the tickets that are sent together with it, in front of it.
        need: what that waits for, None if it has ended.
        sent: True when it is sent as a whole; also of those before another one, as they are when
            they have been answered, at the latest.
        closes: True if it was the last of its connection, as it said ``Connection: close``.
        failure: why it could not be sent.
        rewindable: True if its body can be sent again; known when it has been begun.
        repeatable: True if it may be sent again although the server may have acted on it.
        tries: how often it was sent, or begun, in vain.
        refusals: how often its answer asked to come again.
        size: bytes of its body that are in memory.
        number: its place among all requests, if their order can change on the wire.
        held: True while its answer, and those behind it, are kept as it is asked again.
        answer: its answer, which waits for one before it; an `Answer`.
        failures: connections in a row that it was the first on, and that gave no answer.
        request_sent: the most that the failed tries say of `DugongError.request_sent`.

    """

    op: Co[Any] | None = None
    before: Sequence[Ticket] = ()
    need: PollNeeded | None = None
    sent = True
    closes = False
    failure: Exception | None = None
    rewindable = True
    repeatable = True
    tries = refusals = 0
    size = 0
    number = 0
    held = False
    answer: Answer | None = None
    failures = 0
    request_sent: Sent = "no"

    def __init__(self, request: Request) -> None:
        self.request = request

    def begin(self, op: Co[Exchange]) -> None:
        """Send it by *op*."""
        self.op = op
        self.sent = False
        self.step()

    def begin_with(self, before: Sequence[Ticket], op: Co[list[Exchange]]) -> None:
        """Send it by *op*, which sends those *before* it, too; all are plain."""
        self.before = before
        self.op = op
        self.sent = False
        self.step()

    def step(self) -> None:
        """Go on with sending; `failure` has what goes wrong."""
        assert self.op is not None
        try:
            self.need = next(self.op)
        except StopIteration as end:
            self.need, self.sent = None, True
            self.closes = not self.before and end.value.closes
            self.before = ()
        except Exception as exc:  # noqa: BLE001 - raised where its answer would be
            self.need, self.failure = None, exc
            for ticket in self.before:
                ticket.sent, ticket.failure = False, exc
            self.before = ()

    def stop(self) -> None:
        """Give up sending it. An error of its own, such as one of its body, is kept."""
        if self.op is not None:
            self.op.close()
        self.before = ()
        self.need, self.sent = None, True  # the default, for the next try
        self.tries += 1
        if isinstance(self.failure, TransportError):
            self.failure = None

    def judge(self) -> None:
        """Find out whether it may be sent a second time, and nothing has gone wrong with it."""
        self.size = size_of(self.request)
        try:
            self.rewindable = self.request.body is None or self.request.rewindable()
            self.repeatable = self.rewindable and self.request.idempotent and self.failure is None
        except Exception:  # noqa: BLE001 - what is wrong with it is raised when it is sent
            self.rewindable = self.repeatable = False

    def note_loss(self, problem: Exception) -> None:
        """Take from *problem*, which has ended a try, what the server may have got."""
        if isinstance(problem, DugongError):
            self.request_sent = max(self.request_sent, problem.request_sent, key=SENT.index)

    def fail(self, problem: Exception, response: HTTPResponse | None) -> Exception:
        """Return what to raise as *problem* was the last one: it says how often it was sent.

        Args:
            problem: what ended the last try.
            response: the head that has arrived in it.

        """
        if not isinstance(problem, DugongError):
            return problem
        if type(problem) is not ConnectionClosed:
            problem.request_sent = max(self.request_sent, problem.request_sent, key=SENT.index)
            return problem
        if self.tries > 1:
            message = (
                f"the request was sent {self.tries} times, and each time the connection ended "
                f"before the response was complete; at last: {problem}"
            )
        else:
            message = f"{problem}, and the request is not sent again{self._reason()}"
        return NotAnswered(
            message,
            request_sent=self.request_sent,
            request=self.request,
            response=response,
            attempts=self.tries,
        )

    def _reason(self) -> str:
        """Return why it is not sent again, if it is because of the request."""
        if not self.rewindable:
            return ": its body cannot be read a second time"
        if not self.request.idempotent:
            return f": {self.request.method} is not idempotent"
        return ""
