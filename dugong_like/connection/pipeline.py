"""Many requests on one connection, sent while earlier responses are still to come.

Sending and reading are interleaved by one operation, so that neither can block the
other. When the connection ends early, what has not been answered and may be repeated is sent
again on a new one. Servers end a connection after a number of requests; that number is
learned, as everything unanswered at that moment is sent twice.

Not here: requests and their bodies (request.py), those that are not sent yet (unsent.py), how they
are sent (operations.py), how many at a time (pace.py), and the state of each (ticket.py).
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Collection, Iterable, Iterator
from contextlib import suppress
from functools import partial
from typing import Final, Self, TypeVar, cast

from ..errors import (
    AnsweredEarly,
    ConnectionClosed,
    ConnectionTimedOut,
    InvalidRequest,
    InvalidResponse,
    ProtocolError,
    StateError,
    TransportError,
)
from ..http.redaction import quoted
from ..http.request import BodyFollowing, Request, check_request, not_a_request
from ..http.retry_after import asked_pause
from ..polling.combinators import Bundle
from ..polling.contract import Co, PollNeeded, run
from ..polling.numbers import check_int, check_seconds
from ..polling.pauses import growing_pause
from ..polling.twin_documentation import twin_of
from ..polling.wake import co_pause
from .answers import Answer, AnswerStream
from .exchange import HTTPResponse
from .operations import Operations
from .origins import ORIGINS
from .pace import Pace
from .ticket import Ticket
from .unsent import UnsentRequests

T = TypeVar("T")
DEPTH: Final = 64  # requests: more would fill the buffers of servers, and be lost at once
MANY: Final = 16  # requests that may be unanswered: then new ones wait for others
ATTEMPTS: Final = 3  # of one request, on connections in a row that end without any answer
BACKOFF: Final = 0.1  # seconds; a server that restarts needs some
MAX_WAIT: Final = 60.0  # seconds
MAX_BYTES: Final = 16 << 20  # of request bodies
CUT: Final = ", and ended the connection before its answer was"
# Time limits that are about the whole, such as `within`: no attempt has failed.
OWN_LIMITS: Final = frozenset({"", "total", "pool"})


new_answer = tuple.__new__  # faster than the constructor of the class


class Pipeline:
    """Sends requests and gives their answers in the same order.

    Requests that may be repeated (GET, HEAD, PUT, DELETE, OPTIONS, TRACE, and those whose
    `Request.idempotent` was set) are pipelined; any other one is sent when all before it have been
    answered, and nothing is sent before it is (RFC 9112 section 9.3.2). If the connection ends, the
    requests without a complete response are sent again on a new one: if they may be repeated, and
    their bodies can be read again. A POST is sent again only if nothing of it can have reached the
    server. If the server has not said that it would end the connection, the first of them is alone
    until it is answered. A trace is told by ``connection.retry``. See :ref:`replay` for all rules.

    Many servers end a connection after a number of requests, and all that are unanswered then
    are sent twice. So that number is learned, from ``Keep-Alive: max=`` or from the first
    connection that ends, and no more are sent on one connection until it proves wrong. Before it
    is known half of *depth* are unanswered at a time, and all of it after three times as many
    answers. A server that ends connections without ``Connection: close`` in its last
    response gets one request too many on each of them. A server that loses pipelined requests on
    three connections in a row, and has never answered one, gets one request at a time from then on,
    from all pipelines of this process.

    Of the answers that have arrived no more is in memory than one receive buffer holds, and the one
    that is returned; with *statuses* also those behind an answer that is asked for again. Over
    HTTP/2 it is what the windows of *depth* streams allow.

    While it is used the other operations of the connection are its own. If not all answers are
    taken, as a loop over them is left, the connection has to be told: by `close`, or at the end of
    a ``with`` block. It is for one operation at a time: see `SharedPipeline` for several threads or
    tasks.

    Args:
        conn: the connection, an `HTTPConnection` without pending responses.
        requests: the first ones; `add` takes more. Taken from the iterable as they are sent.
        depth: how many may be unanswered at a time, at most.
        attempts: connections in a row without any answer after which the request is given up that
            was the first one on them; also how often one is sent because of *statuses*, at most.
        backoff: seconds before the second attempt in a row without any answer, which double with
            each further one; a random part of it, at least a half. So a request of which the
            server ends each connection fails after 0.3 seconds of pauses at most, by default, and
            with ``attempts=8`` after 12.7. A connection that has answered something is followed by
            the next one at once.
        max_wait: seconds of the longest pause. An answer that asks for more by Retry-After is
            returned.
        statuses: status codes after which a request is sent again if it may be repeated, such as
            429 and 503. It is after as many seconds as Retry-After says (RFC 9110 section 10.2.3),
            or *backoff*; meanwhile nothing is sent to the origin, by no pipeline of this process.
            The answers behind it are kept until it is answered.
        max_bytes: as soon as bodies of unanswered requests that are in memory have more bytes, no
            further request is taken.

    Attributes:
        given_up: how many requests were given up, by an error that `next` has raised.

    Raises:
        ValueError: *depth* is less than 1.
        InvalidOption: another option has an invalid value.
        TypeError: one of them has the wrong type. Each of *requests* is checked when it is
            taken: `co_next` raises it then, in the place of its answer.

    """

    def __init__(  # noqa: PLR0913 - each is documented above
        self,
        conn: Operations,
        requests: Iterable[Request] = (),
        *,
        depth: int = DEPTH,
        attempts: int = ATTEMPTS,
        backoff: float = BACKOFF,
        max_wait: float = MAX_WAIT,
        statuses: Collection[int] = (),
        max_bytes: int = MAX_BYTES,
    ) -> None:
        if not isinstance(conn, Operations):
            raise TypeError(f"conn is an HTTPConnection, not {quoted(conn)}")
        if isinstance(depth, bool) or not isinstance(depth, int):
            raise TypeError(f"depth is a number of requests, not {quoted(depth)}")
        if depth < 1:
            raise ValueError(f"depth is 1 or more, not {quoted(depth)}")
        check_int("attempts", attempts, 1)
        check_seconds(backoff, "backoff", optional=False)
        check_seconds(max_wait, "max_wait", optional=False)
        check_int("max_bytes", max_bytes, 1)
        if isinstance(statuses, str | bytes) or not isinstance(statuses, Collection):
            raise TypeError(f"statuses are a collection of numbers, not {quoted(statuses)}")
        for status in statuses:
            check_int("a status", status, 100, 999)
        self._conn = conn
        self._attempts = attempts
        self._backoff = backoff
        self._max_wait = max_wait
        self._statuses = frozenset(statuses)
        self._max_bytes = max_bytes
        self._unsent = UnsentRequests(requests, numbered=bool(self._statuses))
        self._open: list[Ticket] = []  # begun and not answered
        self._held: deque[Ticket] = deque()  # the first is asked again, the others are behind it
        self._ready: deque[Answer] = deque()  # to be returned
        self._response: HTTPResponse | None = None  # whose body is being read
        self._stream: AnswerStream | None = None  # which reads it, if not this
        self._facts = conn.beside(lambda config, _: ORIGINS.facts(config.route.origin))
        self._pace = Pace(depth, self._facts)
        self._resumes = 0.0  # seconds of `time.monotonic` before which nothing is sent
        self._in_vain = 0  # connections in a row without any answer, since one was given up
        self._reached = False  # the server has answered since the last one was given up
        self._body_bytes = 0  # of `_open`
        self._size = 0  # bytes of the last body that `_take` has taken
        # Those without body are sent together, unless a subclass says how each is sent.
        self._joins = self._may_join = type(conn).co_send is Operations.co_send
        self._told = False  # the server has said that it ends the connection
        self.given_up = 0  # requests that were given up; the last operation has raised the error

    def add(self, request: Request) -> None:
        """Send *request* after all others. Raises TypeError if it is none."""
        check_request(request)
        self._unsent.add(request)

    def co_next(self) -> Co[Answer | None]:
        """Return the next answer, None when all requests are answered. Sends what it can.

        An error belongs to the first request that is not answered: that one is given up,
        and the next call goes on with those behind it. But after `ConnectionTimedOut`
        the next call goes on waiting, as it does if this operation was closed. After
        Ctrl-C in the middle of it all that is not answered is given up.

        Raises:
            NotAnswered: the connection ended, and the request may not be sent again, or
                not once more; the message says how often it was sent.
            AnsweredEarly: the server answered before it had the whole request, and ended the
                connection before that answer was complete.
            InvalidRequest: the request cannot be sent as it is, or its body is `BodyFollowing`.
            Exception: what its body raises; or, before the answers to those that were made, what
                making the requests raises.
            DugongError: what `co_send` and `co_readall` raise.

        """
        return self._co_next(gathers=False)

    def _co_next(self, *, gathers: bool) -> Co[Answer | None]:
        """Do what `co_next` does; *gathers* says that the driver knows deadlines."""
        try:
            while True:
                if self._ready or self._take():
                    return self._ready.popleft()
                if (first := (yield from self._co_first())) is None:
                    return None
                try:
                    if self._open[-1].need is None:  # nothing is to be sent while it is waited for
                        answer = yield from self._co_read(first, gathers)
                    else:
                        answer = yield from self._co_beside(first, lambda: self._co_read(first))
                except Exception as exc:  # noqa: BLE001 - raised there, unless it is sent again
                    self._go_on(first, exc)
                else:
                    self._note_whole(first, answer)
        except (Exception, GeneratorExit):
            raise
        except BaseException as exc:
            self._interrupted(exc)
            raise

    @twin_of(co_next)
    def next(self) -> Answer | None:
        """Blocking twin of `co_next`."""
        if self._ready:
            return self._ready.popleft()
        return run(self._co_next(gathers=True))

    def co_next_stream(self) -> Co[AnswerStream | None]:
        """Return the next answer as soon as its head is here, to have its body read in pieces.

        Sends what it can. The next call skips the part of the body that was not read.

        Returns:
            The answer; None when all requests are answered.

        Raises:
            Exception: what `co_next` raises.

        """
        try:
            while True:
                if self._ready:
                    answer = self._ready.popleft()
                    return self._streamed(Ticket(answer.request), answer.response, answer.body)
                if (first := (yield from self._co_first())) is None:
                    return None
                try:
                    yield from self._co_beside(first, lambda: self._co_read_head(first))
                    response = cast("HTTPResponse", self._response)
                    if not (self._held or self._asks_again(first, response)):
                        self._stream = self._streamed(first, response)
                        return self._stream
                    answer = yield from self._co_beside(first, lambda: self._co_read(first))
                except Exception as exc:  # noqa: BLE001 - raised there, unless it is sent again
                    self._go_on(first, exc)
                else:
                    self._note_whole(first, answer)
        except (Exception, GeneratorExit):
            raise
        except BaseException as exc:
            self._interrupted(exc)
            raise

    @twin_of(co_next_stream)
    def next_stream(self) -> AnswerStream | None:
        """Blocking twin of `co_next_stream`."""
        return run(self.co_next_stream())

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

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def send(self) -> None:
        """Begin to send what may be sent now. Never waits, and raises nothing.

        Not needed: `next` does that, too.
        """
        if self._stream is None:
            self._fill()

    def take_ready(self) -> list[Answer]:
        """Return the next answers, those that have arrived already. Never waits."""
        if not self._ready:
            self._take()
        answers = list(self._ready)
        self._ready.clear()
        return answers

    def close(self) -> None:
        """Give up what is not answered. The connection is closed if there is anything."""
        if self._open:
            self._abort()
            self._pace.end(learn=False, failed=False)
        self._told = False
        self._unsent.clear()
        for tickets in (self._open, self._ready, self._held):
            tickets.clear()
        self._body_bytes = 0

    def _interrupted(self, exc: BaseException) -> None:
        """Give up what is not answered, and have the next call say so.

        Ctrl-C may have come behind an answer: so nobody knows to which request the next one is.
        """
        self.close()
        name = type(exc).__name__
        self._unsent.fail(StateError(f"the pipeline was interrupted by {name}, and has ended"))

    # ---- what is to be sent

    def _co_first(self) -> Co[Ticket | None]:
        """Send what may be sent; return the first unanswered one, None if all are answered."""
        if self._stream is not None:
            with suppress(ConnectionClosed, ProtocolError):  # nobody wants the rest
                yield from self._stream.co_discard()
        while True:
            while not self._open and (pause := self._pause()) > 0 and self._unsent.draw(1):
                yield from co_pause(pause, "pause before a retry")
            is_paused = self._fill()
            if self._open or not is_paused or not self._unsent.draw(1):
                break  # else the pause has begun between these two looks at it
        self._unsent.check()
        return self._open[0] if self._open else None

    def _pause(self) -> float:
        """Return the seconds for which nothing may be sent; 0 or less for none."""
        resumes = max(self._resumes, self._facts.resumes)
        return resumes and resumes - time.monotonic()

    def _fill(self) -> bool:
        """Begin to send as many requests as may be unanswered now, plain ones together.

        Returns:
            True if that has ended because nothing may be sent for some time.

        """
        tickets, unsent, room = self._open, self._unsent, self._pace.room()
        if len(tickets) * 2 > room >= MANY:
            return False  # later, so that several can be sent together
        while (free := room - len(tickets)) > 0:
            if self._pause() > 0:
                return True
            if self._body_bytes >= self._max_bytes:
                return False
            if tickets and not self._may_follow(tickets[-1]):
                return False
            if not (waiting := unsent.draw(free)) or (self._held and not waiting[0].held):
                return False
            if self._joins and not self._held and self._join(free):
                continue
            ticket = waiting.popleft()
            ticket.judge()
            if not ticket.repeatable and (tickets or self._held):
                waiting.appendleft(ticket)  # its turn is when the others are answered
                return False
            tickets.append(ticket)
            self._body_bytes += ticket.size
            if ticket.failure is None:
                self._begin(ticket)
        return False

    def _may_follow(self, last: Ticket) -> bool:
        """Return True if a request may be sent behind *last*, which is unanswered."""
        return last.sent and last.repeatable and self._conn.is_open()

    def _note_sending(self, unanswered: int, count: int) -> None:
        """Note that *count* requests are about to be sent: over HTTP/2 none is pipelined."""
        if self._conn.protocol != "h2":
            self._pace.note_sending(unanswered, count)

    def _join(self, most: int) -> bool:
        """Begin to send those that wait, if several are plain, with one call of the system.

        Args:
            most: how many.

        Returns:
            True if that was done. False: nothing was sent, and the first one has to go alone.

        """
        tickets, requests = self._unsent.take_plain(most)
        if not tickets:
            return False
        last = tickets[-1]
        last.begin_with(tickets[:-1], self._conn.co_send_requests(requests))
        if isinstance(last.failure, InvalidRequest | TypeError | StateError):
            for ticket in tickets:
                ticket.sent, ticket.failure = True, None
            self._joins = False  # one after the other shows which of them it is
            self._unsent.take_back(tickets)
            return False
        self._note_sending(len(self._open), len(tickets))
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
        self._note_sending(len(self._open) - 1, 1)
        ticket.begin(self._conn.co_send(ticket.request))

    # ---- what is read

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
        answers = [
            new_answer(Answer, (ticket.request, response, body))
            for ticket, (response, body) in zip(answered, taken, strict=True)
        ]
        if self._body_bytes:
            self._body_bytes -= sum([ticket.size for ticket in answered])
        response, body = taken[-1]
        self._size = len(body)
        if tickets and pace.answered:  # the connection goes on
            pace.answered += len(taken)
        else:
            pace.answered += len(taken) - 1
            self._note_answer(answered[-1], response)
        if self._statuses:
            for ticket, answer in zip(answered, answers, strict=True):
                self._settle(ticket, answer)
        else:
            self._ready += answers
        self._fill()
        return bool(self._ready)

    def _co_beside(self, first: Ticket, read: Callable[[], Co[T]]) -> Co[T]:
        """Do *read*, about the answer to *first*, and send others meanwhile."""
        reading: Co[T] | None = None
        bundle = Bundle()
        try:
            while True:
                last = self._open[-1]
                if last.need is not None:
                    last.step()
                self._fill()
                is_sent = first.need is None and not last.before
                if reading is None and (is_sent or self._conn.response_pending()):
                    reading = read()
                needs = [] if reading is None else [next(reading)]
                needs += [ticket.need for ticket in self._open if ticket.need is not None]
                yield bundle.need(needs)
        except StopIteration as end:
            return cast("T", end.value)  # of reading
        finally:
            bundle.close()
            if reading is not None:
                reading.close()

    def _co_read_head(self, first: Ticket) -> Co[None]:
        """Read the head of the answer to *first*, unless that was done: `_response` has it."""
        conn, failure = self._conn, first.failure
        if failure is not None:
            # A server that closes the connection may have said why, unless it has got nothing.
            heard = isinstance(failure, ConnectionClosed) and failure.request_sent != "no"
            if not (heard and conn.response_pending()):
                raise failure
        try:
            if self._response is None:
                self._response = yield from conn.co_read_response()
        except ConnectionClosed as exc:
            if failure is None:
                raise
            raise failure from exc

    def _co_read(self, first: Ticket, gathers: bool = False) -> Co[Answer]:
        """Read the whole answer to *first*."""
        if gathers and first.failure is None and (need := self._gathering()) is not None:
            yield need
        yield from self._co_read_head(first)
        body = yield from self._conn.co_readall()
        response, self._response = cast("HTTPResponse", self._response), None
        return Answer(first.request, response, body)

    def _streamed(
        self, first: Ticket, response: HTTPResponse, whole: bytes | None = None
    ) -> AnswerStream:
        """Return the answer to *first*; *whole* is its body, if it has been read."""
        return AnswerStream(
            first.request,
            response,
            self._conn,
            partial(self._co_read_body, first),
            partial(self._repeat, first),
            whole,
        )

    def _co_read_body(self, first: Ticket, op: Co[T], is_end: Callable[[T], bool]) -> Co[T]:
        """Do *op*, which reads the body of the answer to *first*; see `AnswerStream`."""
        try:
            result = yield from self._co_beside(first, lambda: op)
            if is_end(result):
                self._end_stream()
                response, self._response = cast("HTTPResponse", self._response), None
                self._remove(first)
                self._note_answer(first, response)
                self._fill()
        except (ConnectionClosed, ProtocolError) as exc:
            self._end_stream()
            self._go_on(first, exc, given=True)
            raise
        except (Exception, GeneratorExit):
            raise
        except BaseException as exc:
            self._interrupted(exc)
            raise
        finally:
            op.close()
        return result

    def _end_stream(self) -> None:
        stream, self._stream = self._stream, None
        if stream is not None:
            stream.end()

    def _repeat(self, ticket: Ticket) -> None:
        """Send *ticket* again, before all others; see `AnswerStream.repeat`.

        Raises:
            StateError: it may not be sent again.

        """
        if not ticket.request.rewindable():
            raise StateError("the body of the request cannot be read a second time")
        again = Ticket(ticket.request)
        again.number = ticket.number
        self._unsent.put_back([again])

    # ---- what becomes of a request

    def _remove(self, first: Ticket) -> None:
        """Let *first* be unanswered no more."""
        del self._open[0]
        self._body_bytes -= first.size

    def _note_whole(self, first: Ticket, answer: Answer) -> None:
        """Note that *answer* is here as a whole."""
        self._remove(first)
        self._note_answer(first, answer.response)
        self._settle(first, answer)

    def _note_answer(self, first: Ticket, response: HTTPResponse) -> None:
        """Note that *first* is answered; find out whether the connection goes on."""
        pace, conn = self._pace, self._conn
        pace.answered += 1
        self._in_vain = 0
        self._reached = True
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

    def _settle(self, ticket: Ticket, answer: Answer) -> None:
        """Let *answer* be returned when it is its turn, or have its request sent again."""
        held = self._held
        if self._asks_again(ticket, answer.response):
            if not ticket.held:
                ticket.held = True
                held.append(ticket)
            self._send_later(ticket, answer.response)
            return
        if not held:
            self._ready.append(answer)
            return
        if not ticket.held:
            ticket.held = True
            held.append(ticket)
        ticket.answer = answer
        self._release()

    def _release(self) -> None:
        """Let the answers be returned that wait for no other one any more."""
        held = self._held
        while held and (answer := held[0].answer) is not None:
            held.popleft()
            self._ready.append(answer)

    def _asks_again(self, ticket: Ticket, response: HTTPResponse) -> bool:
        """Return True if *ticket* is to be sent again because of *response*."""
        if response.status not in self._statuses:
            return False
        ticket.judge()
        if not ticket.repeatable or ticket.refusals + 1 >= self._attempts:
            return False
        return self._pause_after(response, ticket.refusals) <= self._max_wait

    def _pause_after(self, response: HTTPResponse, refusals: int) -> float:
        """Return the seconds that *response* asks to wait, or how long it is to be without."""
        asked = asked_pause(response, time.time())
        return growing_pause(self._backoff, refusals, self._max_wait) if asked is None else asked

    def _send_later(self, ticket: Ticket, response: HTTPResponse) -> None:
        """Have *ticket* sent again after as many seconds as *response* says."""
        self._facts.pause(self._pause_after(response, ticket.refusals))
        ticket.refusals += 1
        ticket.op = None
        self._unsent.put_back([ticket])
        self._conn.report_retry(None)

    def _go_on(self, first: Ticket, exc: Exception, *, given: bool = False) -> None:
        """Get ready to go on after *exc*, and raise what is to be raised for it, if anything is.

        Args:
            first: see `_failed`.
            exc: the same.
            given: the same.

        """
        problem = self._failed(first, exc, given=given)
        try:
            if problem is exc:
                raise problem
            if problem is not None:
                raise problem from exc
        finally:
            del problem, exc  # or they would keep this frame, which keeps them

    def _failed(self, first: Ticket, exc: Exception, *, given: bool = False) -> Exception | None:
        """Get ready to go on after *exc*; return what to raise, None if *first* is sent again.

        Args:
            first: what could not be answered.
            exc: why.
            given: True if a part of its answer was given away, so that it is not sent again.

        """
        doubtful = self._pace.waits_for_first_pipelined()
        if isinstance(exc, ConnectionTimedOut) and first.failure is None and not doubtful:
            return exc
        problem = self._recover(first, exc, doubtful=doubtful, given=given)
        if problem is not None and problem is not exc:
            self._conn.label_error(problem, first.request.method, first.request.target)
        return problem

    def _recover(
        self, first: Ticket, problem: Exception, *, doubtful: bool, given: bool
    ) -> Exception | None:
        """Get ready to go on after *problem*.

        Returns:
            What to raise if *first* is given up because of it; None if it is sent again.

        """
        self._joins = self._may_join
        response, self._response = self._response, None
        if first.failure is problem and self._conn.is_open():  # nothing of it was sent
            self._give_up(first)
            return problem
        if response is not None and not first.sent and isinstance(problem, ConnectionClosed):
            problem = AnsweredEarly.by(response, CUT)
        first.note_loss(problem)
        unsent = first.failure is problem and first.request_sent == "no"
        peer = self._open[-1].failure is None  # else it was a body that failed
        self._abort()
        lost = isinstance(problem, ConnectionClosed) and problem.retryable
        if doubtful and isinstance(problem, ConnectionTimedOut | InvalidResponse):
            lost = True
        self._in_vain = 0 if self._pace.answered else self._in_vain + 1
        if lost and peer and not self._pace.answered:
            first.failures += 1
        self._pace.end(learn=lost and peer, failed=not self._told)
        self._told = False
        safe = (first.repeatable or (unsent and first.rewindable)) and not given
        if lost:
            again = safe and first.failures < self._attempts
        else:
            again = safe and first.failure is None and self._may_connect_again(problem)
        if again:
            self._resumes = self._backed_off()
        else:
            self._give_up(first)
        lost_requests = len(self._open)
        self._unsent.put_back(self._open)
        self._open.clear()
        self._body_bytes = 0
        if lost_requests:
            self._conn.report_retry(problem, lost_requests)
        return None if again else first.fail(problem, response)

    def _may_connect_again(self, problem: Exception) -> bool:
        """Return True if *problem* may go away: the server has answered before, as it restarts."""
        if not isinstance(problem, TransportError) or not problem.retryable:
            return False
        if isinstance(problem, ConnectionTimedOut) and problem.phase in OWN_LIMITS:
            return False
        again = self._reached and self._in_vain < self._attempts
        self._reached = again
        return again

    def _backed_off(self) -> float:
        """Return the seconds of `time.monotonic` at which the next connection is made."""
        if not self._in_vain:
            return 0.0
        return time.monotonic() + growing_pause(self._backoff, self._in_vain - 1, self._max_wait)

    def _give_up(self, first: Ticket) -> None:
        """Let *first* have no answer. The pauses for the next one begin anew."""
        self.given_up += 1
        self._in_vain = 0
        self._remove(first)
        if first.held:
            self._held.remove(first)
            self._release()

    def _abort(self) -> None:
        """Close the connection, and stop sending."""
        for ticket in self._open:
            ticket.stop()
        self._response = None
        self._end_stream()
        self._conn.reset()
