"""Helper threads for blocking calls: name look-ups.

An operation submits its call and waits for a `Wake`. A look-up cannot be ended from outside, so a
name service that does not answer occupies threads. Three rules limit that:

1. A look-up that no operation waits for any more leaves the queue or, if it runs, does not count.
2. At most `MAX_AT_ONCE` look-ups run at the same time, not counting those that have run for
   `SLOW_TIME` or that no operation waits for. So many names need few threads if the name service
   answers, and names that it does not answer delay others only briefly.
3. There are at most `MAX_THREADS` threads. When all have run for `STUCK_TIME`, further look-ups
   fail at once; a time limit that ends before says in its error that no thread was left.

While the queue is not empty one thread is spare: it takes the next look-up as soon as the rules
allow it, which may depend on the time alone. Threads are daemonic, and end when they have been
idle for `IDLE_TIME`.

Not here: the look-ups (dns.py, resolvers.py).
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Final, Generic, TypeVar

from ...errors import ConnectionTimedOut, DNSUnavailable
from ...polling.contract import Co
from ...polling.fork import after_fork
from ...polling.wake import Wake

T = TypeVar("T")
MAX_AT_ONCE: Final = 8  # look-ups that run and are not slow
MAX_THREADS: Final = 64  # in all; each needs some 100 KiB of memory
SLOW_TIME: Final = 0.1  # seconds; a working name service usually answers sooner
STUCK_TIME: Final = 3.0  # seconds; resolvers repeat a query after some, and then give up
IDLE_TIME: Final = 10.0  # seconds after which a thread without a look-up ends


def co_in_thread(call: Callable[[], T], host: str) -> Co[T]:
    """Make *call*, which may block, in a helper thread.

    In a child process that was forked meanwhile it is made again, as the child does not have
    the thread.

    Args:
        call: returns the answer.
        host: the name that it looks up, for errors.

    Raises:
        DNSUnavailable: there are no descriptors or no threads left, or too many look-ups are
            stuck.
        ConnectionTimedOut: thrown in by a time limit, it says so if no thread was left.
        Exception: any exception of *call*.

    """
    while True:
        question = yield from _co_ask(call, host)
        if question.answered.is_set():
            break
    try:
        if question.failure is not None:
            raise question.failure
        return question.answer
    finally:
        del question  # or the failure would keep this frame, which keeps the failure


def _co_ask(call: Callable[[], T], host: str) -> Co[Question[T]]:
    """Return the question when it is answered, or when this process is a forked child."""
    helpers = _helpers
    try:
        question = Question(call, host)
    except OSError as exc:  # there are no descriptors left
        raise DNSUnavailable(f"cannot look up {host}: {exc.strerror}", name=host) from exc
    try:
        helpers.take(question)
        for need in question.answered.co_wait():
            yield need
            if helpers is not _helpers:
                break
    except ConnectionTimedOut as exc:
        if not question.began:
            explain(exc)
        raise
    finally:
        helpers.cancel(question)
        question.answered.close()
    return question


def explain(failure: ConnectionTimedOut) -> None:
    """Add to *failure*, which ends the wait for an answer, that no thread is left, if so."""
    text = _helpers.shortage()
    if text and text not in str(failure):
        failure.append(text)


class Question(Generic[T]):
    """A call that an operation waits for.

    Attributes:
        host: the name that is looked up.
        answered: set when there is an answer or a failure.
        wanted: False if no operation waits for it any more.
        began: start of the call, seconds of `time.monotonic`; 0.0 before.
        answer: its result.
        failure: its exception, or the reason why it was not made; None if there is an answer.

    """

    answer: T

    def __init__(self, call: Callable[[], T], host: str) -> None:
        self._call = call
        self.host = host
        self.wanted = True
        self.began = 0.0
        self.failure: BaseException | None = None
        self.answered = Wake("dns")

    def ask(self) -> None:
        """Make the call; the caller of this method sets `answered`."""
        try:
            self.answer = self._call()
        except BaseException as exc:  # noqa: BLE001 - for the operation that waits
            self.failure = exc

    def is_slow(self, now: float) -> bool:
        """Return True if the call has run for so long that others do not wait for it."""
        return now - self.began >= SLOW_TIME

    def is_stuck(self, now: float) -> bool:
        """Return True if the call has run for too long."""
        return now - self.began >= STUCK_TIME


class Helpers:
    """The threads and the queue of questions."""

    def __init__(self) -> None:
        # A signal handler may ask while its thread holds the lock, so it has to be reentrant.
        self._lock = threading.RLock()
        self._queue: deque[Question[Any]] = deque()
        self._running: set[Question[Any]] = set()
        self._spare: set[threading.Thread] = set()  # the threads that run no question
        # Released to wake one spare thread, which acquires it. Of all primitives with a timed wait
        # only a lock may be used reentrantly, by the garbage collector.
        self._bell = threading.Lock()
        self._bell.acquire()

    def take(self, question: Question[Any]) -> None:
        """Put *question* into the queue.

        Raises:
            DNSUnavailable: all threads are stuck, or none can be started.

        """
        with self._lock:
            if self._all_stuck():
                raise self._refusal(question)
            self._queue.append(question)
            thread = self._another_spare()
            others = bool(self._running)
        if thread is None:
            self._ring()
        elif (failure := self._start(thread)) is not None and not others:
            what = f"cannot look up {question.host}: {failure}"
            raise DNSUnavailable(what, name=question.host) from failure

    def cancel(self, question: Question[Any]) -> None:
        """Mark *question* as not waited for any more; called in any case.

        Acquires no lock, as the garbage collector may close the calling operation anywhere.
        """
        question.wanted = False
        if not question.answered.is_set():
            self._ring()

    def _ring(self) -> None:
        """Wake one of the spare threads."""
        with suppress(RuntimeError):  # woken already
            self._bell.release()

    # ---- the rules; the lock is held

    def _may_run_one_more(self) -> bool:
        now = time.monotonic()
        busy = sum(one.wanted and not one.is_slow(now) for one in self._running)
        return busy < MAX_AT_ONCE and not self._all_busy()

    def _all_busy(self) -> bool:
        """Return True if no thread is left; the last is always spare."""
        return len(self._running) >= MAX_THREADS - 1

    def _all_stuck(self) -> bool:
        """Return True if no thread is left, and none will be available soon."""
        now = time.monotonic()
        return self._all_busy() and all(one.is_stuck(now) for one in self._running)

    def shortage(self) -> str:
        """Return a message that no thread is left, empty if one is; the lock need not be held."""
        if not self._all_busy():
            return ""
        return (
            f"{len(self._running)} look-ups are stuck, "
            f"and there are at most {MAX_THREADS} threads for them"
        )

    def _refusal(self, question: Question[Any]) -> DNSUnavailable:
        why = f"cannot look up {question.host}: {self.shortage()}"
        return DNSUnavailable(why, name=question.host)

    def _time_to_next(self) -> float:
        """Return the seconds after which time alone may allow another look-up; 0.0: now."""
        now = time.monotonic()
        limit = STUCK_TIME if self._all_busy() else SLOW_TIME
        ages = (now - one.began for one in self._running)
        return min((limit - age for age in ages if age < limit), default=0.0)

    # ---- the threads

    def _another_spare(self) -> threading.Thread | None:
        """Return a new thread, not started, if none is spare; the lock is held."""
        if self._spare:
            return None
        thread = threading.Thread(target=self._work, name="dugong_like-dns", daemon=True)
        self._spare.add(thread)
        return thread

    def _start(self, thread: threading.Thread) -> RuntimeError | None:
        """Start *thread*; return the error if that fails and the existing ones have to do."""
        started = False
        try:
            thread.start()
            started = True
        except RuntimeError as exc:
            return exc
        finally:
            if not started:  # after an interruption it may run nevertheless: see _work
                with self._lock:
                    self._spare.discard(thread)
        return None

    def _work(self) -> None:
        thread = threading.current_thread()
        with self._lock:
            self._spare.add(thread)
        while self._ask_one(thread) or self._rest(thread):
            pass

    def _ask_one(self, thread: threading.Thread) -> bool:
        """Make the next call, if there is one and the rules allow it."""
        with self._lock:
            while self._queue and not self._queue[0].wanted:
                self._queue.popleft()
            if not self._queue or not self._may_run_one_more():
                return False
            question = self._queue.popleft()
            question.began = time.monotonic()
            self._running.add(question)
            self._spare.discard(thread)
            more = bool(self._queue)
            another = self._another_spare() if more else None
        if another is not None:
            self._start(another)
        elif more:
            self._ring()
        question.ask()
        with self._lock:
            self._running.discard(question)
            self._spare.add(thread)
        question.answered.set()
        return True

    def _rest(self, thread: threading.Thread) -> bool:
        """Wait until there may be a call to make; False if the thread is to end."""
        refused: list[tuple[Question[Any], DNSUnavailable]] = []
        with self._lock:
            if self._queue and self._all_stuck():
                refused = [(question, self._refusal(question)) for question in self._queue]
                self._queue.clear()
            pause = min(self._time_to_next(), IDLE_TIME) if self._queue else IDLE_TIME
        for question, failure in refused:
            question.failure = failure
            question.answered.set()
        if not self._bell.acquire(timeout=pause):
            with self._lock:
                if not self._queue:
                    self._spare.discard(thread)
                    return False
        return True


_helpers = Helpers()


def forget_threads() -> None:
    """Start again in a child process, which does not have the threads of its parent."""
    global _helpers  # noqa: PLW0603 - that of the parent has its threads
    _helpers = Helpers()


after_fork(forget_threads)
