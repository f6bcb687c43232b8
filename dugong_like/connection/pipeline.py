"""Many requests on one connection, sent while earlier responses are still to come.

Sending and reading are interleaved by one operation, so that neither can block the
other. When the connection ends early, what has not been answered and may be repeated is sent
again on a new one. Servers end a connection after a number of requests; that number is
learned, as everything unanswered at that moment is sent twice.

Not here: requests and their bodies (request.py), and how they are sent (operations.py).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Any, Final, NamedTuple, cast

from ..errors import (
    AnsweredEarly,
    ConnectionClosed,
    ConnectionTimedOut,
    InvalidRequest,
    StateError,
)
from ..http.arguments import iterate
from ..http.redaction import quoted
from ..http.request import IDEMPOTENT, BodyFollowing, Request, check_request, not_a_request
from ..polling.combinators import Bundle
from ..polling.contract import Co, PollNeeded, run
from ..polling.twin_documentation import twin_of
from .exchange import HTTPResponse
from .operations import Operations
from .pace import Pace
from .ticket import Ticket

DEPTH: Final = 64  # requests: more would fill the buffers of servers, and be lost at once
MANY: Final = 16  # requests that may be unanswered: then new ones wait for others
MAX_FAILURES: Final = 3  # connections in a row that end without any answer, for one request
CUT: Final = ", and ended the connection before its answer was"


class Answer(NamedTuple):
    """The result of one request of a `Pipeline`."""

    request: Request
    response: HTTPResponse
    body: bytes


new_answer = tuple.__new__  # faster than the constructor of the class


def plain_parts(tickets: Iterable[Ticket], most: int) -> list[tuple[Any, ...]]:
    """Return the first of *tickets* that are plain, as `Operations.co_send_requests` takes them.

    A plain request may be sent again, and has neither a body nor fields about its connection: so
    others can be sent together with it, in front of it and behind it.

    Args:
        tickets: what is to be sent.
        most: how many to look at.

    """
    plain: list[tuple[Any, ...]] = []
    add = plain.append
    for ticket in islice(tickets, most):
        request = ticket.request
        if not isinstance(request, Request) or ticket.failure is not None:
            break
        if request.body is not None or request.method not in IDEMPOTENT:
            break
        if not (fields := request.headers):
            add((request.method, request.target))
        elif "connection" in fields or "upgrade" in fields:
            break
        else:
            add((request.method, request.target, fields))
    return plain


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
        self._waiting: deque[Ticket] = deque()  # to be sent before all others
        self._open: list[Ticket] = []  # begun and not answered
        self._ready: deque[Answer] = deque()  # to be returned
        self._response: HTTPResponse | None = None  # whose body is being read
        self._pace = Pace(depth)
        self._size = 0  # bytes of the last body that `_take` has taken
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
        while True:
            if self._ready or self._take():
                return self._ready.popleft()
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
                del self._open[0]
                self._note_answer(first, answer.response)
                return answer

    @twin_of(co_next)
    def next(self) -> Answer | None:
        """Blocking twin of `co_next`."""
        if self._ready:
            return self._ready.popleft()
        return run(self._co_next(gathers=True))

    def co_run(self) -> Co[list[Answer]]:
        """Return the answers to all requests that are not answered yet.

        Raises:
            Exception: what `co_next` raises; the answers before it are lost.

        """
        return self._co_run(gathers=False)

    def _co_run(self, *, gathers: bool) -> Co[list[Answer]]:
        """Do what `co_run` does; *gathers*: see `_co_next`."""
        answers: list[Answer] = []
        while (answer := (yield from self._co_next(gathers=gathers))) is not None:
            answers += answer, *self._ready
            self._ready.clear()
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

    def _gathering(self) -> PollNeeded | None:
        """Return a wait for much of what is missing at once, if that is probably enough."""
        if not self._size or self._response is not None:
            return None
        return self._conn.gathering(len(self._open) * self._size)

    def _take(self) -> bool:
        """Take the answers that have arrived, and send others; return False if there is none."""
        tickets, pace = self._open, self._pace
        if not tickets or self._response is not None:
            return False
        if tickets[0].failure is not None or tickets[-1].need is not None:
            return False  # it is to be sent, or else its answer may be the last one
        # The first one alone: what it says may be about those behind it.
        taken = self._conn.take_responses(len(tickets) if pace.answered else 1)
        if not taken:
            return False
        answered = tickets[: len(taken)]
        del tickets[: len(taken)]
        self._ready += [
            new_answer(Answer, (ticket.request, response, body))
            for ticket, (response, body) in zip(answered, taken, strict=True)
        ]
        response, body = taken[-1]
        self._size = len(body)
        if tickets and pace.answered:  # the connection goes on
            pace.answered += len(taken)
        else:
            pace.answered += len(taken) - 1
            self._note_answer(answered[-1], response)
        self._fill()
        return True

    def _fill(self) -> None:
        """Begin to send as many requests as may be unanswered now, plain ones together."""
        tickets, waiting, room = self._open, self._waiting, self._pace.room()
        if len(tickets) * 2 > room >= MANY:
            return  # later, so that several can be sent together
        while (free := room - len(tickets)) > 0:
            if tickets:
                last = tickets[-1]
                if not (last.sent and last.repeatable and self._conn.is_open()):
                    return
            self._draw(free)
            if not waiting:
                return
            if self._joins and self._join(free):
                continue
            ticket = waiting.popleft()
            ticket.judge()
            if not ticket.repeatable and tickets:
                waiting.appendleft(ticket)  # its turn is when the others are answered
                return
            tickets.append(ticket)
            if ticket.failure is None:
                self._begin(ticket)

    def _draw(self, count: int) -> None:
        """Let *count* requests be waiting, or as many as there are."""
        waiting, added = self._waiting, self._added
        if (missing := count - len(waiting)) <= 0:
            return
        waiting.extend(map(Ticket, islice(self._coming, missing)))
        while added and len(waiting) < count:
            waiting.append(Ticket(added.popleft()))

    def _join(self, most: int) -> bool:
        """Begin to send those that wait, if several are plain, with one call of the system.

        Args:
            most: how many.

        Returns:
            True if that was done. False: nothing was sent, and the first one has to go alone.

        """
        waiting = self._waiting
        requests = plain_parts(waiting, most)
        if len(requests) <= 1:
            return False
        tickets = [waiting.popleft() for _ in requests]
        last = tickets[-1]
        last.begin_with(tickets[:-1], self._conn.co_send_requests(requests))
        if isinstance(last.failure, InvalidRequest | TypeError | StateError):
            for ticket in tickets:
                ticket.sent, ticket.failure = True, None
            self._joins = False  # one after the other shows which of them it is
            waiting.extendleft(reversed(tickets))
            return False
        self._open += tickets
        return True

    def _begin(self, ticket: Ticket) -> None:
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

    def _co_answer(self, first: Ticket) -> Co[Answer]:
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

    def _co_read(self, first: Ticket, gathers: bool = False) -> Co[Answer]:
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

    def _note_answer(self, first: Ticket, response: HTTPResponse) -> None:
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

    def _recover(self, first: Ticket, problem: Exception) -> Exception | None:
        """Get ready to go on after *problem*.

        Returns:
            What to raise if *first* is given up because of it; None if it is sent again.

        """
        self._joins = self._may_join
        response, self._response = self._response, None
        if first.failure is problem and self._conn.is_open():  # nothing of it was sent
            del self._open[0]
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
            del self._open[0]
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
