"""Many requests on one connection, sent while earlier responses are still to come.

Sending and reading are interleaved by one operation, so that neither can block the
other. When the connection ends early, what has not been answered and may be repeated is sent
again on a new one. Servers end a connection after a number of requests; that number is
learned, as everything unanswered at that moment is sent twice.

Not here: requests and their bodies (request.py), and how they are sent (operations.py).
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Final, NamedTuple, cast

from ..errors import (
    AnsweredEarly,
    ConnectionClosed,
    ConnectionTimedOut,
    DugongError,
    InvalidRequest,
    Sent,
    StateError,
    TransportError,
)
from ..http.arguments import iterate
from ..http.redaction import quoted
from ..http.request import BodyFollowing, Request, check_request, not_a_request
from ..polling.combinators import Bundle
from ..polling.contract import Co, PollNeeded, run
from ..polling.twin_documentation import twin_of
from .exchange import Exchange, HTTPResponse
from .operations import Operations

DEPTH: Final = 64  # requests: more would fill the buffers of servers, and be lost at once
MANY: Final = 16  # requests that may be unanswered: then new ones wait for others
MAX_FAILURES: Final = 3  # connections in a row that end without any answer, for one request
SHARE: Final = 3  # answers for each request that may be lost when the limit shows itself
CUT: Final = ", and ended the connection before its answer was"
SENT: Final[tuple[Sent, ...]] = ("no", "maybe", "yes")  # from the least to the most
# Requests that may follow: draft-thomson-hybi-http-timeout-03 section 2.2; Apache sends it.
_max = re.compile(r"(?:^|[,;\s])max\s*=\s*\"?([0-9]{1,9})(?![0-9])", re.IGNORECASE).search


class Answer(NamedTuple):
    """The result of one request of a `Pipeline`."""

    request: Request
    response: HTTPResponse
    body: bytes


new_answer = tuple.__new__  # faster than the constructor of the class


class _Ticket:
    """A request on its way through the pipeline.

    Attributes:
        op: what sends it, once that has begun.
        before: the tickets that are sent together with it, in front of it.
        need: what that waits for, None if it has ended.
        sent: True when it is sent as a whole.
        closes: True if it was the last of its connection, as it said ``Connection: close``.
        failure: why it could not be sent.
        rewindable: True if its body can be sent again; known when it has been begun.
        repeatable: True if it may be sent again although the server may have acted on it.
        tries: how often it was begun.
        failures: connections in a row that it was the first on, and that gave no answer.
        request_sent: the most that the failed tries say of `DugongError.request_sent`.

    """

    op: Co[Any] | None = None
    before: Sequence[_Ticket] = ()
    need: PollNeeded | None = None
    sent = False
    closes = False
    failure: Exception | None = None
    rewindable = False
    repeatable = False
    tries = 0
    failures = 0
    request_sent: Sent = "no"

    def __init__(self, request: Request) -> None:
        self.request = request

    def begin(self, op: Co[Exchange]) -> None:
        """Send it by *op*."""
        self.op = op
        self.tries += 1
        self.step()

    def begin_with(self, before: Sequence[_Ticket], op: Co[list[Exchange]]) -> None:
        """Send it by *op*, which sends those *before* it, too."""
        self.before = before
        for ticket in before:
            ticket.tries += 1
            ticket.sent = True  # when it has been answered, at the latest
        self.op = op
        self.tries += 1
        self.step()

    def step(self) -> None:
        """Go on with sending; `failure` has what goes wrong."""
        assert self.op is not None
        try:
            self.need = next(self.op)
        except StopIteration as end:
            self.need, self.sent = None, True
            self.closes = (end.value[-1] if self.before else end.value).closes
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
        self.need, self.sent = None, False
        if isinstance(self.failure, TransportError):
            self.failure = None

    def judge(self) -> None:
        """Find out whether it may be sent a second time, and nothing has gone wrong with it."""
        try:
            self.rewindable = self.request.body is None or self.request.rewindable()
        except Exception:  # noqa: BLE001 - what is wrong with the body is told when it is sent
            self.rewindable = False
        self.repeatable = self.rewindable and self.request.idempotent and self.failure is None

    def is_plain(self) -> bool:
        """Return True if others may be sent together with it, in front of it and behind it."""
        if not self.repeatable or self.request.body is not None:
            return False
        fields = self.request.headers
        return not fields or not ("connection" in fields or "upgrade" in fields)

    def parts(self) -> tuple[Any, ...]:
        """Return its request, which has no body, as `co_send_requests` takes it."""
        request = self.request
        if fields := request.headers:
            return request.method, request.target, fields
        return request.method, request.target

    def note_loss(self, problem: Exception) -> None:
        """Take from *problem*, which has ended a try, what the server may have got."""
        if isinstance(problem, DugongError):
            self.request_sent = max(self.request_sent, problem.request_sent, key=SENT.index)

    def fail(self, problem: Exception) -> Exception:
        """Return what to raise as *problem* was the last one: it says how often it was sent."""
        if self.tries <= 1 or not isinstance(problem, DugongError):
            return problem
        if type(problem) is not ConnectionClosed:
            problem.request_sent = self.request_sent
            return problem
        return ConnectionClosed(
            f"the request was sent {self.tries} times, and each time the connection ended before "
            f"the response was complete; at last: {problem}",
            request_sent=self.request_sent,
        )


class _Pace:
    """How many requests may be unanswered on the present connection.

    When a server ends a connection after so many requests, all that are unanswered are sent
    twice. So no more are sent on the next connection than were answered on the last one that
    ended in this way. If that proves wrong, as more are answered, one more may be unanswered with
    each answer. As long as nothing is known it is half of the depth, and from a few
    times as many answers on all of it.

    Attributes:
        limit: requests that the server takes on a connection, as far as is known.
        answered: requests that were answered on the present connection.
        alone: True if the last connection failed: then the first request must be sent alone
            (RFC 9112 section 9.3.2).

    """

    def __init__(self, depth: int) -> None:
        self._depth = depth
        self.limit: int | None = None
        self.answered = 0
        self.alone = False

    def room(self) -> int:
        """Return how many requests may be unanswered now: at least one."""
        answered, limit = self.answered, self.limit
        if self.alone and not answered:
            return 1
        if limit is None:
            room = max((self._depth + 1) // 2, answered // SHARE)
        elif answered < limit:
            room = limit - answered
        else:
            room = answered - limit + 1
        return min(self._depth, room)

    def note_response(self, response: HTTPResponse) -> None:
        """Take what the first response on a connection may say of its limit."""
        field = response.headers.get("Keep-Alive")
        found = None if field is None else _max(field)
        if found is not None:
            self.limit = self.answered + int(found[1])

    def end(self, *, learn: bool, failed: bool) -> None:
        """Note that the next request goes on a new connection.

        Args:
            learn: True if it may have been the number of requests that ended this one.
            failed: True if the server has not said that it would end it.

        """
        if learn and self.answered:
            self.limit = self.answered
        elif self.limit is not None and self.answered > self.limit:
            self.limit = None
        self.answered = 0
        self.alone = failed


class Pipeline:
    """Sends requests and gives their answers in the same order.

    Requests whose method may be repeated (GET, HEAD, PUT, DELETE, OPTIONS, TRACE) are
    pipelined; any other one is sent when all before it have been answered, and nothing
    is sent before it is (RFC 9112 section 9.3.2). If the connection ends, the requests without a
    complete response are sent again on a new one: if they may be repeated, and their
    bodies can be read again. If the server has not said that it would end the connection, the
    first of them is alone until it is answered. A request is given up when it was the first
    one on three connections in a row that ended without any answer. A POST is
    sent again only if nothing of it can have reached the server. A trace is told by
    ``connection.retry``.

    Many servers end a connection after a number of requests, and all that are unanswered then
    are sent twice. So that number is learned, from ``Keep-Alive: max=`` or from the first
    connection that ends, and no more are sent on one connection until it proves wrong. Before it
    is known half of *depth* are unanswered at a time, and all of it after three times as many
    answers. A server that ends connections without ``Connection: close`` in its last
    response gets one request too many on each of them.

    While it is used the other operations of the connection are its own.

    Args:
        conn: the connection, an `HTTPConnection` without pending responses.
        requests: the first ones; `add` takes more. Taken from the iterable as they are sent.
        depth: how many may be unanswered at a time, at most.

    Raises:
        ValueError: *depth* is less than 1.
        TypeError: one of them has the wrong type. Each of *requests* is checked when it is
            taken: `co_next` raises it then, in the place of its answer.

    """

    def __init__(
        self, conn: Operations, requests: Iterable[Request] = (), *, depth: int = DEPTH
    ) -> None:
        if not isinstance(conn, Operations):
            raise TypeError(f"conn is an HTTPConnection, not {quoted(conn)}")
        if isinstance(depth, bool) or not isinstance(depth, int):
            raise TypeError(f"depth is a number of requests, not {quoted(depth)}")
        if depth < 1:
            raise ValueError(f"depth is 1 or more, not {quoted(depth)}")
        self._conn = conn
        self._coming: Iterator[Request] = iterate(requests, "requests", "an iterable of Request")
        self._added: deque[Request] = deque()
        self._waiting: deque[_Ticket] = deque()  # to be sent before all others
        self._open: deque[_Ticket] = deque()  # begun and not answered
        self._ready: deque[Answer] = deque()  # to be returned
        self._response: HTTPResponse | None = None  # whose body is being read
        self._pace = _Pace(depth)
        self._counted = self._bytes = 0  # answers of `_take`, and bytes of their bodies
        # Those without body are sent together, unless a subclass says how each is sent.
        self._joins = self._may_join = type(conn).co_send is Operations.co_send
        self._told = False  # the server has said that it ends the connection

    def add(self, request: Request) -> None:
        """Send *request* after all others. Raises TypeError if it is none."""
        check_request(request)
        self._added.append(request)

    def co_next(self) -> Co[Answer | None]:
        """Return the next answer, None when all requests are answered. Sends what it can.

        An error belongs to the first request that is not answered: that one is given up,
        and the next call goes on with those behind it. But after `ConnectionTimedOut`
        the next call goes on waiting, as it does if this operation was closed.

        Raises:
            ConnectionClosed: the connection ended, and the request may not be sent again, or
                not once more; the message says how often it was sent.
            AnsweredEarly: the server answered before it had the whole request, and ended the
                connection before that answer was complete.
            InvalidRequest: the request cannot be sent as it is, or its body is `BodyFollowing`.
            Exception: what its body raises.
            DugongError: what `co_send` and `co_readall` raise.

        """
        return self._co_next(gathers=False)

    def _co_next(self, *, gathers: bool) -> Co[Answer | None]:
        """Do what `co_next` does; *gathers* says that the driver knows deadlines."""
        if (here := self._here()) is not None:
            return here
        while True:
            self._fill()
            if not self._open:
                return None
            first = self._open[0]
            try:
                if self._open[-1].need is None:  # nothing is to be sent while it is waited for
                    answer = yield from self._co_read(first, gathers)
                else:
                    answer = yield from self._co_answer(first)
            except Exception as exc:
                if isinstance(exc, ConnectionTimedOut) and first.failure is None:
                    raise
                problem = self._recover(first, exc)
                if problem is exc:
                    raise
                if problem is not None:
                    self._conn.label_error(problem, first.request.method, first.request.target)
                    raise problem from exc
            else:
                self._open.popleft()
                self._note_answer(first, answer.response)
                return answer

    @twin_of(co_next)
    def next(self) -> Answer | None:
        """Blocking twin of `co_next`."""
        return self._here() or run(self._co_next(gathers=True))

    def co_run(self) -> Co[list[Answer]]:
        """Return the answers to all requests that are not answered yet.

        Raises:
            Exception: what `co_next` raises; the answers before it are lost.

        """
        return self._co_run(gathers=False)

    def _co_run(self, *, gathers: bool) -> Co[list[Answer]]:
        """Do what `co_run` does; *gathers*: see `_co_next`."""
        answers = []
        while (answer := (yield from self._co_next(gathers=gathers))) is not None:
            answers.append(answer)
            while (here := self._here()) is not None:
                answers.append(here)
        return answers

    @twin_of(co_run)
    def run(self) -> list[Answer]:
        """Blocking twin of `co_run`."""
        return run(self._co_run(gathers=True))

    def __iter__(self) -> Iterator[Answer]:
        """Iterate over the answers, blocking."""
        return iter(self.next, None)

    def close(self) -> None:
        """Give up what is not answered. The connection is closed if there is anything."""
        if self._open:
            self._abort()
            self._pace.end(learn=False, failed=False)
        self._told = False
        self._open.clear()
        self._ready.clear()
        self._waiting.clear()
        self._added.clear()
        self._coming = iter(())

    # ---- what it is made of

    def _here(self) -> Answer | None:
        """Return the next answer if it has arrived as a whole, behind the one before it."""
        ready = self._ready
        if not ready and not self._take():
            return None
        if not len(ready) % MANY:  # or the server would have nothing to do for too long
            self._fill()
        return ready.popleft()

    def _gathering(self) -> PollNeeded | None:
        """Return a wait for much of what is missing at once, if that is probably enough."""
        if not self._bytes or self._response is not None:
            return None
        return self._conn.gathering(len(self._open) * self._bytes // self._counted)

    def _take(self) -> bool:
        """Take the answers that have arrived; return False if there is none."""
        tickets = self._open
        if not tickets or self._response is not None:
            return False
        first = tickets[0]
        if first.failure is not None or tickets[-1].need is not None:
            return False  # it is to be sent, or else its answer may be the last one
        self._fill()
        if tickets[-1].need is not None:
            return False
        # The first one alone: what it says may be about those behind it.
        most = len(tickets) if self._pace.answered else 1
        taken = self._conn.take_responses(most)
        self._counted += len(taken)
        for response, body in taken:
            self._bytes += len(body)
            ticket = tickets.popleft()
            if tickets and self._pace.answered:  # the connection goes on
                self._pace.answered += 1
            else:
                self._note_answer(ticket, response)
            self._ready.append(new_answer(Answer, (ticket.request, response, body)))
        return bool(taken)

    def _fill(self) -> None:
        """Begin to send as many requests as may be unanswered now, those without body together."""
        room = self._pace.room()
        if len(self._open) * 2 > room >= MANY:
            return  # later, so that several can be sent together
        while len(self._open) < room:
            if self._open:
                last = self._open[-1]
                if not (last.sent and last.repeatable and self._conn.is_open()):
                    return
            ticket = self._upcoming()
            if ticket is None:
                return
            ticket.judge()
            if not ticket.repeatable and self._open:
                self._waiting.appendleft(ticket)  # its turn is when the others are answered
                return
            self._open.append(ticket)
            if ticket.failure is None and not (self._joins and self._join(ticket, room)):
                self._begin(ticket)

    def _join(self, first: _Ticket, room: int) -> bool:
        """Begin to send *first* and those behind it together, with one call of the system.

        Returns:
            True if that was done. False: *first* goes alone, and nothing was sent.

        """
        if not first.is_plain():
            return False
        tickets = [first]
        complete = False
        try:
            while len(self._open) + len(tickets) <= room:
                if (ticket := self._upcoming()) is None:
                    break
                ticket.judge()
                if not ticket.is_plain():
                    self._waiting.appendleft(ticket)
                    break
                tickets.append(ticket)
            complete = True
        finally:
            if not complete:  # what makes the requests has failed: that is told first
                self._waiting.extendleft(reversed(tickets))
                self._open.pop()
        *before, last = tickets
        if not before:
            return False
        last.begin_with(before, self._conn.co_send_requests([each.parts() for each in tickets]))
        if isinstance(last.failure, InvalidRequest | TypeError | StateError):
            for ticket in tickets:
                ticket.failure = None
                ticket.tries -= 1
            self._joins = False  # one after the other shows which of them it is
            self._waiting.extendleft(reversed(tickets[1:]))
            return False
        self._open.extend(tickets[1:])
        return True

    def _upcoming(self) -> _Ticket | None:
        if self._waiting:
            return self._waiting.popleft()
        for request in self._coming:
            return _Ticket(request)
        return _Ticket(self._added.popleft()) if self._added else None

    def _begin(self, ticket: _Ticket) -> None:
        """Begin to send *ticket*: what cannot be repeated not as one request too many."""
        if not isinstance(ticket.request, Request):
            ticket.failure = not_a_request(ticket.request)
            return
        if isinstance(ticket.request.body, BodyFollowing):
            ticket.failure = InvalidRequest("the body of a request in a pipeline cannot follow")
            self._conn.label_error(ticket.failure, ticket.request.method, ticket.request.target)
            return
        pace = self._pace
        if not ticket.repeatable and pace.answered and pace.answered == pace.limit:
            self._conn.reset()
            pace.end(learn=False, failed=False)
        ticket.begin(self._conn.co_send(ticket.request))

    def _co_answer(self, first: _Ticket) -> Co[Answer]:
        """Read the answer to *first*, and send others meanwhile."""
        reading: Co[Answer] | None = None
        bundle = Bundle()
        try:
            while True:
                last = self._open[-1]
                if last.need is not None:
                    last.step()
                self._fill()
                is_sent = first.need is None and not last.before
                if reading is None and (is_sent or self._conn.response_pending()):
                    reading = self._co_read(first)
                needs = [] if reading is None else [next(reading)]
                needs += [ticket.need for ticket in self._open if ticket.need is not None]
                yield bundle.need(needs)
        except StopIteration as end:
            return cast("Answer", end.value)  # of reading
        finally:
            bundle.close()
            if reading is not None:
                reading.close()

    def _co_read(self, first: _Ticket, gathers: bool = False) -> Co[Answer]:
        conn, failure = self._conn, first.failure
        if failure is not None:
            # A server that closes the connection may have said why, unless it has got nothing.
            heard = isinstance(failure, ConnectionClosed) and failure.request_sent != "no"
            if not (heard and conn.response_pending()):
                raise failure
        try:
            if gathers and (need := self._gathering()) is not None:
                yield need
            if self._response is None:
                self._response = yield from conn.co_read_response()
            body = yield from conn.co_readall()
        except ConnectionClosed as exc:
            if failure is None or self._response is not None:
                raise
            raise failure from exc
        response, self._response = self._response, None
        return Answer(first.request, response, body)

    def _note_answer(self, first: _Ticket, response: HTTPResponse) -> None:
        """Note that *first* is answered; find out whether the connection goes on."""
        pace, conn = self._pace, self._conn
        pace.answered += 1
        whole = first.sent
        if first.need is not None:  # answered before it was sent as a whole
            first.step()
            first.stop()
        if conn.is_open():
            if pace.answered == 1:
                pace.note_response(response)
        elif self._open:  # reading the next one will fail
            self._told = self._open[-1].failure is None and conn.close_reason is not None
        else:
            limited = whole and conn.close_reason is None and not first.closes
            pace.end(learn=limited, failed=False)

    def _recover(self, first: _Ticket, problem: Exception) -> Exception | None:
        """Get ready to go on after *problem*.

        Returns:
            What to raise if *first* is given up because of it; None if it is sent again.

        """
        self._joins = self._may_join
        response, self._response = self._response, None
        if first.failure is problem and self._conn.is_open():  # nothing of it was sent
            self._open.popleft()
            return problem
        if response is not None and not first.sent and isinstance(problem, ConnectionClosed):
            problem = AnsweredEarly.by(response, CUT)
        first.note_loss(problem)
        unsent = first.failure is problem and first.request_sent == "no"
        self._abort()
        lost = isinstance(problem, ConnectionClosed) and problem.retryable
        peer = self._open[-1].failure is None  # else it was a body that failed
        if lost and peer and not self._pace.answered:
            first.failures += 1
        self._pace.end(learn=lost and peer, failed=not self._told)
        self._told = False
        again = lost and (first.repeatable or (unsent and first.rewindable))
        again = again and first.failures < MAX_FAILURES
        if not again:
            self._open.popleft()
        self._waiting.extendleft(reversed(self._open))
        count = len(self._open)
        self._open.clear()
        if count:
            self._conn.report_retry(problem, count)
        return None if again else first.fail(problem)

    def _abort(self) -> None:
        """Close the connection, and stop sending."""
        for ticket in self._open:
            ticket.stop()
        self._response = None
        self._conn.reset()
