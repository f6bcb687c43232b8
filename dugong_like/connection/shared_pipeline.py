"""A pipeline that several threads, tasks or operations use: some submit, others take the answers.

There is one `Pipeline` below, and one operation at a time that drives it, sending and reading: one
of those that wait for an answer, whichever came first. The others wait until it has what it waited
for, or an answer has come, and then one of them goes on. A request that is submitted meanwhile is
put into a queue, and the driving one is woken if it has nothing to send.

The protocol between threads: `_lock` is held for a few steps, never while anything is waited for or
called that belongs to the user. Under it are the queues, and the counts. The holder of `_driving`
uses the pipeline below.

Not here: sending, reading and repeating (pipeline.py).
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Collection, Generator, Iterator
from concurrent.futures import Future
from typing import TYPE_CHECKING, Any, Final, Self, TypedDict, Unpack

from ..errors import NotAnswered, Sent, StateError
from ..http.request import Request, check_request
from ..polling.combinators import Bundle
from ..polling.contract import Co, run
from ..polling.fair_lock import FairLock
from ..polling.numbers import check_int
from ..polling.twin_documentation import twin_of
from ..polling.wake import Wake
from .pipeline import MAX_BYTES, Pipeline
from .ticket import size_of

if TYPE_CHECKING:
    from .answers import Answer
    from .operations import Operations

MOST: Final = 1000  # requests and answers


class PipelineOptions(TypedDict, total=False):
    """The options of `Pipeline` that are the same here."""

    depth: int
    attempts: int
    backoff: float
    max_wait: float
    statuses: Collection[int]


class PendingAnswer(Future["Answer"]):
    """The answer to a request that was submitted to a `SharedPipeline`, when it is there.

    It is a `concurrent.futures.Future`: `done`, `cancelled`, `add_done_callback` and
    ``concurrent.futures.wait`` work, but these only look: somebody has to wait for an answer by
    `result`, `exception`, ``await``, or `SharedPipeline.next`, as there is no thread that does it.

    Attributes:
        request: the request.

    """

    def __init__(self, pipeline: SharedPipeline, request: Request) -> None:
        super().__init__()
        self.request = request
        self.size = size_of(request)  # bytes that it keeps in memory, of the request or the answer
        self.taken = False  # somebody has got the answer, or nobody wants it
        self.settled = False  # it gets its answer, or what went wrong
        self._pipeline = pipeline

    def co_result(self) -> Co[Answer]:
        """Wait for the answer, sending and reading for all if nobody else does.

        Raises:
            concurrent.futures.CancelledError: it was cancelled.
            ConnectionTimedOut: nothing arrived for the time-out of the connection; it is still
                waited for, by the next call.
            NotAnswered: the request was given up, or the pipeline was closed.
            Exception: what else `Pipeline.co_next` raises for this request.

        """
        yield from self._pipeline.co_until(self.done)
        self._pipeline.note_taken(self)
        return super().result()

    def result(self, timeout: float | None = None) -> Answer:
        """Blocking twin of `co_result`.

        Args:
            timeout: seconds to wait; None for as long as it takes.

        Raises:
            ConnectionTimedOut: *timeout* has passed; it is a `TimeoutError`, too.
            Exception: what `co_result` raises.

        """
        if not self.done():
            run(self._pipeline.co_until(self.done), timeout)
        self._pipeline.note_taken(self)
        return super().result()

    def exception(self, timeout: float | None = None) -> BaseException | None:
        """Wait as `result` does, and return the exception, None if there is an answer."""
        if not self.done():
            run(self._pipeline.co_until(self.done), timeout)
        self._pipeline.note_taken(self)
        return super().exception()

    def __await__(self) -> Generator[Any, Any, Answer]:
        """Wait in a task of asyncio or trio; see `co_result`."""
        from ..drivers.detect import runner  # noqa: PLC0415 - for those who await

        return runner()(self.co_result()).__await__()

    def cancel(self) -> bool:
        """Have the request not sent, or its answer thrown away; return False if it is answered.

        The server may have acted on it, unless it was not sent yet.
        """
        if not super().cancel():
            return False
        self._pipeline.note_cancelled(self)
        return True

    def __repr__(self) -> str:
        return f"<PendingAnswer {self.request!r}>"


class SharedPipeline:
    """A `Pipeline` that several threads, tasks or operations share.

    Some submit requests, others take the answers: by the objects that `submit` returns, or in order
    by `next`. Each answer is taken once: `next` passes over those whose `PendingAnswer` was asked
    for its result. All methods may be called from any thread, and under any driver; they may be
    mixed.

    Sending goes on while somebody waits for an answer, and when something is submitted. `submit`
    waits while too much is unanswered or untaken: so somebody else has to take the answers, and
    a program with one thread has to do so in between.

    Args:
        conn: the connection, an `HTTPConnection` without pending responses. Its other operations
            belong to the pipeline while it is used.
        most: requests that were submitted and whose answers were not taken, at most.
        max_bytes: as soon as they have more bytes in memory, bodies of requests and of answers,
            nothing is submitted.
        options: *depth*, *attempts*, *backoff*, *max_wait* and *statuses*: see `Pipeline`.

    Raises:
        ValueError, InvalidOption, TypeError: see `Pipeline`.

    """

    def __init__(
        self,
        conn: Operations,
        *,
        most: int = MOST,
        max_bytes: int = MAX_BYTES,
        **options: Unpack[PipelineOptions],
    ) -> None:
        check_int("most", most, 1)
        check_int("max_bytes", max_bytes, 1)
        self._most = most
        self._max_bytes = max_bytes
        self._pipeline = Pipeline(conn, _Feed(self._next_request), **options)
        self._driving = FairLock()
        self._lock = threading.RLock()
        self._queued: deque[PendingAnswer] = deque()  # not taken by the pipeline yet
        self._sent: deque[PendingAnswer] = deque()  # taken by it, not answered
        self._done: deque[PendingAnswer] = deque()  # answered
        self._count = self._bytes = 0  # of all that were not taken
        self._rooms: list[Wake] = []  # of those who wait until they can submit
        self._news = Wake("request")  # for the driving operation: something has changed
        self._starved = True  # it would send if something was submitted
        self._looks = 0  # of those who wait, how many are to see whether they still have to
        self._finished = self._closed = self._ended = False

    # ---- submitting

    def co_submit(self, request: Request) -> Co[PendingAnswer]:
        """Have *request* sent behind all others; wait while there are too many.

        Returns:
            What its answer can be had from.

        Raises:
            TypeError: *request* is no `Request`. Everything else about it is raised where its
                answer would be.
            StateError: the pipeline is closed, or `finish` was called.

        """
        check_request(request)
        pending = PendingAnswer(self, request)
        while not self._submit(pending):
            with Wake("room") as wake:
                self._rooms.append(wake)
                try:
                    if self._is_full():
                        yield from wake.co_wait()
                finally:
                    self._rooms.remove(wake)
        self._send()
        return pending

    def submit(self, request: Request, timeout: float | None = None) -> PendingAnswer:
        """Blocking twin of `co_submit`.

        Args:
            request: see `co_submit`.
            timeout: seconds to wait for room, at most; None for as long as it takes.

        Raises:
            ConnectionTimedOut: *timeout* has passed: nothing was submitted.
            Exception: what `co_submit` raises.

        """
        return run(self.co_submit(request), timeout)

    def finish(self) -> None:
        """Say that no further request will come: `next` returns None after the last answer."""
        self._finished = True
        self._news.set()
        self._make_room()

    # ---- taking answers

    def co_next(self) -> Co[Answer | None]:
        """Return the next answer in the order of submission; None after `finish`, or `close`.

        Waits for a request to be submitted if there is none. Those that were cancelled, or whose
        result was asked for, are passed over.

        Raises:
            ConnectionTimedOut: nothing arrived for the time-out of the connection; the next call
                goes on waiting.
            Exception: what ended the request whose turn it is; the next call goes on behind it.

        """
        while True:
            if (pending := self._take_done()) is not None:
                return Future.result(pending)
            if self._is_over():
                return None
            yield from self.co_until(self._has_next)

    @twin_of(co_next)
    def next(self) -> Answer | None:
        """Blocking twin of `co_next`."""
        return run(self.co_next())

    def __iter__(self) -> Iterator[Answer]:
        """Iterate over the answers, blocking; it ends after `finish`."""
        return iter(self.next, None)

    # ---- the end

    def close(self) -> None:
        """Give up what is not answered: that is `NotAnswered`. May be called at any time.

        The connection is closed if there is anything. Answers that are here can still be taken.
        """
        with self._lock:
            if self._closed:
                return
            self._closed = self._finished = True
            given_up: list[tuple[PendingAnswer, Sent]] = [(each, "maybe") for each in self._sent]
            given_up += [(each, "no") for each in self._queued]
            self._sent.clear()
            self._queued.clear()
        for pending, sent in given_up:
            problem = NotAnswered(
                "the pipeline was closed", request=pending.request, request_sent=sent
            )
            self._settle(pending, problem)
        self._news.set()
        self._make_room()
        self._send()  # which ends it, unless somebody drives it, who does

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    # ---- the queues

    def _submit(self, pending: PendingAnswer) -> bool:
        """Put *pending* into the queue; False if there is no room."""
        with self._lock:
            if self._finished:
                raise StateError("the pipeline takes no further request: finish() or close()")
            if self._is_full():
                return False
            self._queued.append(pending)
            self._count += 1
            self._bytes += pending.size
            starved, self._starved = self._starved, False
        if starved:
            self._news.set()
        return True

    def _is_full(self) -> bool:
        if self._finished or not self._count:
            return False
        return self._count >= self._most or self._bytes >= self._max_bytes

    def _next_request(self) -> Request | None:
        """Return the next request for the pipeline; None if there is none now."""
        with self._lock:
            while self._queued:
                pending = self._queued.popleft()
                if not pending.cancelled():
                    self._sent.append(pending)
                    return pending.request
            self._starved = True
            return None

    def _settle(self, pending: PendingAnswer, outcome: Answer | Exception) -> None:
        """Give *pending* its answer, or what went wrong."""
        with self._lock:
            if pending.settled:
                return  # `close` did that
            pending.settled = True
            if not pending.taken:
                size = 0 if isinstance(outcome, Exception) else len(outcome.body)
                self._bytes += size - pending.size
                pending.size = size
        if not pending.set_running_or_notify_cancel():
            pass
        elif isinstance(outcome, Exception):
            pending.set_exception(outcome)
        else:
            pending.set_result(outcome)
        with self._lock:  # only now, as those who find it there take it
            if self._sent and self._sent[0] is pending:
                self._sent.popleft()
            if not pending.taken:
                self._done.append(pending)

    def _take_done(self) -> PendingAnswer | None:
        """Take the first answer that nobody has taken."""
        with self._lock:
            while self._done:
                pending = self._done.popleft()
                if not pending.taken:
                    self.note_taken(pending)
                    return pending
        return None

    def _has_next(self) -> bool:
        return bool(self._done) or self._is_over()

    def _is_over(self) -> bool:
        return self._finished and not (self._queued or self._sent or self._done)

    def note_taken(self, pending: PendingAnswer) -> None:
        """Note that somebody has got the answer of *pending*."""
        with self._lock:
            if pending.taken:
                return
            pending.taken = True
            self._count -= 1
            self._bytes -= pending.size
            while self._done and self._done[0].taken:
                self._done.popleft()
        self._make_room()

    def note_cancelled(self, pending: PendingAnswer) -> None:
        """Note that nobody wants the answer of *pending*."""
        self.note_taken(pending)
        self._looks = len(self._driving.waiting) + 1
        self._news.set()

    def _make_room(self) -> None:
        """Wake those who wait for room, if there is any."""
        if self._rooms and not self._is_full():
            for wake in tuple(self._rooms):
                wake.set()

    # ---- driving

    def co_until(self, is_done: Callable[[], bool]) -> Co[None]:
        """Drive the pipeline, or let another one do so, until *is_done* is true."""
        while not is_done():
            going = self._driving.co_holding(self._co_drive(is_done))
            try:
                need = next(going)
                # The driving one hands on to those that it finds in the queue. It may have done all
                # there is to do before this one was there, and wait for other news since then.
                if is_done():
                    return
                yield need
                yield from going
            except StopIteration:
                pass  # it has driven, without a wait
            finally:
                going.close()
                if self._closed and not self._ended:  # in between
                    self._send()

    def _send(self) -> None:
        """Begin to send what may be sent, unless somebody drives the pipeline, and does that."""
        has_driven = self._driving.do_if_free(self._send_or_end)
        if has_driven and self._closed and not self._ended:  # in between
            self._send()

    def _send_or_end(self) -> bool:
        """Begin to send, having the lock; end the pipeline if it is closed. Returns True."""
        try:
            if not self._closed:
                self._pipeline.send()
        finally:
            if self._closed:
                self._end()
        return True

    def _end(self) -> None:
        self._ended = True
        self._pipeline.close()
        self._news.close()  # nobody drives any more

    def _co_drive(self, is_done: Callable[[], bool]) -> Co[None]:
        """Send and read until *is_done* is true, or there is news for others who wait."""
        bundle, driving = Bundle(), self._driving
        try:
            while True:
                self._news.clear()  # before anything is looked at that it may be about
                if is_done() or self._closed:
                    return
                if self._looks and driving.waiting:
                    self._looks -= 1
                    return
                self._looks = 0
                yield from self._co_answer(is_done, bundle)
                if driving.waiting:
                    return
        finally:
            try:
                bundle.close()
            finally:
                if self._closed:
                    self._end()

    def _co_answer(self, is_done: Callable[[], bool], bundle: Bundle) -> Co[None]:
        """Wait until something is answered, was given up, or was submitted."""
        pipeline, news = self._pipeline, self._news
        given_up = pipeline.given_up
        op = pipeline.co_next()
        try:
            while not news.is_set():
                yield bundle.need([next(op), news.need()])
            return  # the next call sends what was submitted
        except StopIteration as end:
            answer = end.value
        except Exception as exc:
            if pipeline.given_up == given_up:
                raise
            self._settle_next(exc)
            return
        finally:
            op.close()
        if answer is not None:
            for each in (answer, *pipeline.take_ready()):
                self._settle_next(each)
        elif not is_done():
            yield from news.co_wait()

    def _settle_next(self, outcome: Answer | Exception) -> None:
        """Give the first request that was sent its answer; there is none if `close` was faster."""
        with self._lock:
            pending = self._sent[0] if self._sent else None
        if pending is not None:
            self._settle(pending, outcome)


class _Feed(Iterator[Request]):
    """The requests as a pipeline takes them: there may be more after the end.

    Args:
        next_request: returns one, or None if there is none now.

    """

    def __init__(self, next_request: Callable[[], Request | None]) -> None:
        self._next_request = next_request

    def __next__(self) -> Request:
        if (request := self._next_request()) is None:
            raise StopIteration
        return request
