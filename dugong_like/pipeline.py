"""Many requests on one connection, sent while earlier responses are still to come.

Sending and reading are interleaved by one operation, so that neither can block the
other. When the connection ends early, what has not been answered and may be repeated is sent
again on a new one.

Not here: requests and their bodies (outgoing.py), and how they are sent (exchanging.py).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from typing import Final, NamedTuple, cast

from .combinators import Bundle
from .errors import ConnectionClosed, ConnectionTimedOut, InvalidRequest
from .exchanging import Exchanging
from .message import BodyFollowing, HTTPResponse
from .outgoing import Request
from .polling import Co, PollNeeded, run

DEPTH: Final = 64  # requests: more would fill the buffers of servers, and be lost at once


class Answer(NamedTuple):
    """What `Pipeline` gives for each request."""

    request: Request
    response: HTTPResponse
    body: bytes


class _Ticket:
    """A request on its way through the pipeline.

    Attributes:
        repeated: True when it may have been sent before.
        op: what sends it, once that has begun.
        need: what that waits for, None if it has ended.
        sent: True when it is sent as a whole.
        failure: why it could not be sent.

    """

    def __init__(self, request: Request) -> None:
        self.request = request
        self.repeated = False
        self.op: Co[object] | None = None
        self.need: PollNeeded | None = None
        self.sent = False
        self.failure: Exception | None = None

    def begin(self, op: Co[object]) -> None:
        """Send it by *op*."""
        self.op = op
        self.step()

    def step(self) -> None:
        """Go on with sending; `failure` has what goes wrong."""
        assert self.op is not None
        try:
            self.need = next(self.op)
        except StopIteration:
            self.need, self.sent = None, True
        except Exception as exc:  # noqa: BLE001 - raised where its answer would be
            self.need, self.failure = None, exc

    def stop(self) -> None:
        """Give up sending it."""
        if self.op is not None:
            self.op.close()
        self.need, self.sent, self.failure = None, False, None

    def may_repeat(self) -> bool:
        """Return True if it may be sent a second time."""
        if self.repeated or not self.request.idempotent:
            return False
        try:
            return self.request.rewindable()
        except TypeError:
            return False  # what is wrong with the body is told when it is sent


class Pipeline:
    """Sends requests and gives their answers in the same order.

    Requests whose method may be repeated (GET, HEAD, PUT, DELETE, OPTIONS, TRACE) are
    pipelined; any other one is sent when all before it have been answered, and nothing
    is sent before it is (RFC 9112 section 9.3.2). If the connection ends before a
    response has begun, the requests that may be repeated, and whose bodies can be read
    again, are sent once more on a new connection, one at a time. None is sent a
    third time, and a POST never a second time. A trace is told by ``connection.retry``.

    While it is used the other operations of the connection are its own.

    Args:
        conn: the connection, an `HTTPConnection` without pending responses.
        requests: the first ones; `add` takes more. Taken from the iterable as they are sent.
        depth: how many may be unanswered at a time.

    Raises:
        ValueError: *depth* is less than 1.

    """

    def __init__(
        self, conn: Exchanging, requests: Iterable[Request] = (), *, depth: int = DEPTH
    ) -> None:
        if depth < 1:
            raise ValueError(f"a pipeline of {depth} requests")
        self._conn = conn
        self._depth = depth
        self._coming: Iterator[Request] = iter(requests)
        self._added: deque[Request] = deque()
        self._waiting: deque[_Ticket] = deque()  # to be sent before all others
        self._open: deque[_Ticket] = deque()  # begun and not answered
        self._response: HTTPResponse | None = None  # whose body is being read

    def add(self, request: Request) -> None:
        """Send *request* after all others."""
        self._added.append(request)

    def co_next(self) -> Co[Answer | None]:
        """Return the next answer, None when all requests are answered. Sends what it can.

        An error belongs to the first request that is not answered: that one is given up,
        and the next call goes on with those behind it. But after `ConnectionTimedOut`
        the next call goes on waiting, as it does if this operation was closed.

        Raises:
            ConnectionClosed: the connection ended, and the request may not be sent again.
            InvalidRequest: the request cannot be sent as it is, or its body is `BodyFollowing`.
            Exception: what its body raises.
            DugongError: what `co_send` and `co_readall` raise.

        """
        while True:
            self._fill()
            if not self._open:
                return None
            first = self._open[0]
            try:
                answer = yield from self._co_answer(first)
            except Exception as exc:
                waits = isinstance(exc, ConnectionTimedOut) and first.failure is None
                if waits or not self._recover(first, exc):
                    raise
            else:
                self._open.popleft()
                if first.need is not None:  # answered before it was sent as a whole
                    first.step()
                    first.stop()
                return answer

    def next(self) -> Answer | None:
        """Blocking twin of `co_next`."""
        return run(self.co_next())

    def co_run(self) -> Co[list[Answer]]:
        """Return the answers to all requests that are not answered yet.

        Raises:
            Exception: what `co_next` raises; the answers before it are lost.

        """
        answers = []
        while (answer := (yield from self.co_next())) is not None:
            answers.append(answer)
        return answers

    def run(self) -> list[Answer]:
        """Blocking twin of `co_run`."""
        return run(self.co_run())

    def __iter__(self) -> Iterator[Answer]:
        """Iterate over the answers, blocking."""
        return iter(self.next, None)

    def close(self) -> None:
        """Give up what is not answered. The connection is closed if there is anything."""
        if self._open:
            self._abort()
        self._open.clear()
        self._waiting.clear()
        self._added.clear()
        self._coming = iter(())

    # ---- what it is made of

    def _fill(self) -> None:
        """Begin to send as many requests as may be unanswered now."""
        while len(self._open) < self._depth:
            last = self._open[-1] if self._open else None
            if last and not (last.sent and last.may_repeat() and self._conn.is_open()):
                return
            ticket = self._upcoming()
            if ticket is None:
                return
            if last and not ticket.may_repeat():
                self._waiting.appendleft(ticket)  # its turn is when the others are answered
                return
            self._open.append(ticket)
            ticket.begin(self._co_send(ticket.request))

    def _upcoming(self) -> _Ticket | None:
        if self._waiting:
            return self._waiting.popleft()
        request = next(self._coming, None)
        if request is None and self._added:
            request = self._added.popleft()
        return None if request is None else _Ticket(request)

    def _co_send(self, request: Request) -> Co[object]:
        if isinstance(request.body, BodyFollowing):
            refused = InvalidRequest("the body of a request in a pipeline cannot follow")
            self._conn.label_error(refused, request.method, request.target)
            raise refused
        return (yield from self._conn.co_send(request))

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
                if reading is None and (first.need is None or self._conn.response_pending()):
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

    def _co_read(self, first: _Ticket) -> Co[Answer]:
        conn, failure = self._conn, first.failure
        # A server that closes the connection may have said why.
        if failure and not (isinstance(failure, ConnectionClosed) and conn.response_pending()):
            raise failure
        if self._response is None:
            try:
                self._response = yield from conn.co_read_response()
            except ConnectionClosed as exc:
                raise (failure or exc) from None
        body = yield from conn.co_readall()
        response, self._response = self._response, None
        return Answer(first.request, response, body)

    def _recover(self, first: _Ticket, problem: Exception) -> bool:
        """Get ready to go on after *problem*; False if *first* is given up because of it."""
        begun, self._response = self._response is not None, None
        if first.failure is problem and self._conn.is_open():  # nothing of it was sent
            self._open.popleft()
            return False
        again = isinstance(problem, ConnectionClosed) and problem.request_sent != "yes"
        again = again and not begun and first.may_repeat()
        self._abort()
        if not again:
            self._open.popleft()
        for ticket in self._open:
            ticket.repeated = True
        lost = len(self._open)
        self._waiting.extendleft(reversed(self._open))
        self._open.clear()
        if lost:
            self._conn.tell_retry(problem, lost)
        return again

    def _abort(self) -> None:
        """Close the connection, and stop sending."""
        for ticket in self._open:
            ticket.stop()
        self._response = None
        self._conn.reset()
