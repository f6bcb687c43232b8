"""A pipeline that several threads, tasks or operations use: some submit, others take the answers.

There is one `Pipeline` below, and one operation at a time that drives it, sending and reading: one
of those that wait for an answer, whichever came first. The others wait until it has what it waited
for, or an answer has come, and then one of them goes on. A request that is submitted meanwhile is
put into a queue, and the driving one is woken if it has nothing to send.

The protocol between threads: `_lock` is held for a few steps, never while anything is waited for or
called that belongs to the user. Under it are the queues, and the counts. The holder of `_driving`
uses the pipeline below.

Ctrl-C may come anywhere. A call that changes something wakes those who wait for that behind it, and
once more if it is interrupted: else they would sleep until the next change. A request is in a queue
until its outcome is set, and everything that ends the pipeline may be done once more. `_is_inside`
is true while the pipeline below is used and until what it has returned is set: one that begins to
drive, and finds it so, knows that an answer may have been lost. It closes the pipeline, and each
request that is not answered gets an error.

Not here: sending, reading and repeating (pipeline.py).
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Collection, Generator, Iterator
from concurrent.futures import Future, InvalidStateError
from contextlib import suppress
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
CLOSED: Final = "the pipeline was closed"
INTERRUPTED: Final = "the pipeline was interrupted, and has ended"
LOST: Final = "the answer was lost in an interruption"


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
        self._notified = False
        self._pipeline = pipeline

    def co_result(self) -> Co[Answer]:
        """Wait for the answer, sending and reading for all if nobody else does.

        Raises:
            concurrent.futures.CancelledError: it was cancelled.
            ConnectionTimedOut: nothing arrived for the time-out of the connection; it is still
                waited for, by the next call.
            NotAnswered: the request was given up, or the pipeline was closed, or Ctrl-C came in
                the middle of sending or reading, which ends it.
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
        try:
            is_cancelled = super().cancel()
            if is_cancelled:
                self._pipeline.note_cancelled(self)
        except BaseException:  # Ctrl-C in the middle of it
            if self.cancelled():
                self._pipeline.note_cancelled(self)
            raise
        return is_cancelled

    def notify_cancelled(self) -> None:
        """Let `concurrent.futures.wait` know that it is cancelled, once."""
        if not self._notified:
            self._notified = True
            self.set_running_or_notify_cancel()

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
        self._is_inside = False  # the pipeline below is used; see above
        self._reason = CLOSED  # why there is no answer after the end

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
        try:
            self._finished = True
            self._wake_all()
        except BaseException:  # Ctrl-C in the middle of it
            self._wake_all()
            raise

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
        try:
            self._close(CLOSED)
        except BaseException:  # Ctrl-C in the middle of it
            self._close(CLOSED)
            raise

    def _close(self, reason: str) -> None:
        """Do what `close` does; *reason* is the message. It may be called again."""
        with self._lock:
            if not self._closed:
                self._reason = reason
            self._closed = self._finished = True
        self._give_up()
        self._wake_all()
        if not self._ended:
            self._send()  # which ends it, unless somebody drives it, who does

    def _give_up(self) -> None:
        """Let all that is not answered have an error, as the pipeline is closed."""
        while True:
            with self._lock:
                queue = self._sent or self._queued
                if not queue:
                    return
                pending = queue[0]
                sent: Sent = "maybe" if queue is self._sent else "no"
            self._settle(pending, _not_answered(self._reason, pending, sent))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    # ---- the queues

    def _submit(self, pending: PendingAnswer) -> bool:
        """Put *pending* into the queue; False if there is no room."""
        try:
            with self._lock:
                if self._finished:
                    raise StateError("the pipeline takes no further request: finish() or close()")
                if self._is_full():
                    return False
                self._count += 1
                self._bytes += pending.size
                self._queued.append(pending)
            if self._starved:
                self._news.set()
        except BaseException:  # Ctrl-C, perhaps behind the queue
            self._news.set()
            raise
        return True

    def _is_full(self) -> bool:
        if self._finished or not self._count:
            return False
        return self._count >= self._most or self._bytes >= self._max_bytes

    def _next_request(self) -> Request | None:
        """Return the next request for the pipeline; None if there is none now."""
        with self._lock:
            while self._queued and not self._closed:
                pending = self._queued[0]
                wanted = not pending.cancelled()
                if wanted:
                    self._sent.append(pending)  # first: it is always in one of them
                else:
                    self._note_done(pending)
                if self._queued and self._queued[0] is pending:  # no handler of a signal has closed
                    self._queued.popleft()
                if wanted:
                    return pending.request
            self._starved = True
            return None

    def _settle(self, pending: PendingAnswer, outcome: Answer | Exception) -> None:
        """Give *pending*, the first in its queue, its answer or what went wrong, if it has none.

        After an interruption it may be called again.
        """
        try:
            self._note_size(pending, 0 if isinstance(outcome, Exception) else len(outcome.body))
        except BaseException:  # Ctrl-C in the middle of it
            self._make_room()
            raise
        with suppress(InvalidStateError):  # cancelled, or another thread was faster
            if isinstance(outcome, Exception):
                pending.set_exception(outcome)
            else:
                pending.set_result(outcome)
        with self._lock:  # only now, as those who find it there take it
            for queue in (self._sent, self._queued):
                if queue and queue[0] is pending:
                    self._note_done(pending)
                if queue and queue[0] is pending:  # still: no handler of a signal has closed it
                    queue.popleft()

    def _note_size(self, pending: PendingAnswer, size: int) -> None:
        """Note that *pending* keeps *size* bytes in memory from now on."""
        with self._lock:
            if pending.taken:
                return
            self._bytes += size - pending.size
            pending.size = size
        self._make_room()

    def _note_done(self, pending: PendingAnswer) -> None:
        """Let `next` find *pending*, if somebody wants it; after an interruption once more."""
        if pending.cancelled():
            self.note_taken(pending)
            pending.notify_cancelled()
        elif not pending.taken:
            self._done.append(pending)  # perhaps twice: it is taken once

    def _take_done(self) -> PendingAnswer | None:
        """Take the first answer that nobody has taken."""
        with self._lock:
            while self._done:
                pending = self._done[0]
                if not pending.taken:
                    self.note_taken(pending)
                    return pending
                self._done.popleft()
        return None

    def _has_next(self) -> bool:
        return bool(self._done) or self._is_over()

    def _is_over(self) -> bool:
        return self._finished and not (self._queued or self._sent or self._done)

    def note_taken(self, pending: PendingAnswer) -> None:
        """Note that somebody has got the answer of *pending*."""
        try:
            with self._lock:
                if pending.taken:
                    return
                pending.taken = True
                self._count -= 1
                self._bytes -= pending.size
                while self._done and self._done[0].taken:
                    self._done.popleft()
            self._make_room()
        except BaseException:  # Ctrl-C in the middle of it
            self._make_room()
            raise

    def note_cancelled(self, pending: PendingAnswer) -> None:
        """Note that nobody wants the answer of *pending*; after an interruption once more."""
        self.note_taken(pending)
        self._looks = len(self._driving.waiting) + 1
        self._news.set()

    def _wake_all(self) -> None:
        """Wake the one that drives, and those who wait for room, if there is any."""
        self._news.set()
        self._make_room()

    def _make_room(self) -> None:
        """Wake those who wait for room, if there is any."""
        if self._rooms and not self._is_full():
            for wake in tuple(self._rooms):
                wake.set()

    # ---- driving

    def co_until(self, is_done: Callable[[], bool]) -> Co[None]:
        """Drive the pipeline, or let another one do so, until *is_done* is true.

        Raises:
            StateError: the pipeline is closed, and *is_done* is false for ever.
            Exception: what `Pipeline.co_next` raises that belongs to no request.

        """
        while not is_done():
            if self._closed:
                self._give_up()  # what ended it may have been interrupted
                if is_done():
                    return
                raise StateError(self._reason)
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
            self._check()
            if not self._closed:
                self._starved = False
                self._is_inside = True
                self._pipeline.send()
                self._is_inside = False
        finally:
            self._end_if_closed()
        return True

    def _check(self) -> None:
        """Close the pipeline, having the lock, if an answer may have been lost."""
        if self._is_inside and not self._closed:
            self._close(INTERRUPTED)

    def _end_if_closed(self) -> None:
        """End the pipeline below, having the lock, if this one is closed or has to be."""
        self._check()
        if self._closed:
            self._pipeline.close()
            self._news.close()  # nobody drives any more
            self._ended = True

    def _co_drive(self, is_done: Callable[[], bool]) -> Co[None]:
        """Send and read until *is_done* is true, or there is news for others who wait."""
        bundle, driving = Bundle(), self._driving
        try:
            self._check()
            while True:
                self._news.clear()  # before anything is looked at that it may be about
                self._starved = False  # it looks now; not by `_submit`, which may be interrupted
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
                self._end_if_closed()

    def _co_answer(self, is_done: Callable[[], bool], bundle: Bundle) -> Co[None]:
        """Wait until something is answered, was given up, or was submitted."""
        pipeline, news = self._pipeline, self._news
        given_up = pipeline.given_up
        op = pipeline.co_next()
        try:
            while not news.is_set():
                self._is_inside = True
                need = next(op)
                self._is_inside = False
                yield bundle.need([need, news.need()])
            return  # the next call sends what was submitted
        except StopIteration as end:
            answer = end.value
        except Exception as exc:
            is_given_up = pipeline.given_up != given_up
            if is_given_up:
                self._settle_first(exc)
            self._is_inside = False
            if not is_given_up:
                raise
            return
        finally:
            is_inside, self._is_inside = self._is_inside, True
            op.close()
            self._is_inside = is_inside
        if answer is not None:
            for each in (answer, *pipeline.take_ready()):
                self._settle_answer(each)
            self._is_inside = False
            return
        while self._settle_first():  # nothing is unanswered there
            pass
        self._is_inside = False
        if not is_done():
            yield from news.co_wait()

    def _settle_first(self, problem: Exception | None = None) -> bool:
        """Let the first request that was sent have *problem*, or a lost answer.

        Returns:
            False if there is none, as `close` was faster.

        """
        with self._lock:
            pending = self._sent[0] if self._sent else None
        if pending is None:
            return False
        self._settle(pending, problem or _not_answered(LOST, pending, "maybe"))
        return True

    def _settle_answer(self, answer: Answer) -> None:
        """Give *answer* to its own request; those before it will have none any more."""
        while True:
            with self._lock:
                pending = self._sent[0] if self._sent else None
            if pending is None:
                return  # `close` was faster
            if pending.request is answer.request:
                self._settle(pending, answer)
                return
            self._settle(pending, _not_answered(LOST, pending, "maybe"))


def _not_answered(reason: str, pending: PendingAnswer, sent: Sent) -> NotAnswered:
    return NotAnswered(reason, request=pending.request, request_sent=sent)


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
