"""Exchanges that call back: a request, its response, and what to call when either is there.

`HTTPStream` is what `HTTPConnection.request` returns. It is driven as one operation, by
any driver, or on a thread that was started for that (drivers/loopthread.py). Several on
one connection take turns: they send in the order in which they were activated, and read
their responses in the same order. A stream that is driven also does the work of those in
front of it that nobody drives.

Not here: the queue (queue.py), and requests (http/request.py).
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import CancelledError, Future
from typing import Final, Protocol

from ..errors import AnsweredEarly, ConnectionClosed, InvalidRequest, StateError
from ..http.arguments import check_callable
from ..http.redaction import quoted
from ..http.request import BodyFollowing, Request, check_request
from ..polling.combinators import own_error
from ..polling.contract import Co, run
from ..polling.twin_documentation import twin_of
from ..polling.wake import Wake
from .exchange import Exchange, HTTPResponse
from .operations import Operations
from .queue import Position, Queue, Stage

Callback = Callable[..., object]
CUT: Final = ", and ended the connection before its answer was"
PIECE: Final = 65536  # bytes of body that one call of `on_body` gets at most


class Submitter(Protocol):
    """A driver that runs operations on a thread of its own, such as `LoopThread`."""

    def submit(self, op: Co[int]) -> Future[int]:
        """Run *op*, and return a future of its result."""
        ...


class HTTPStream:
    """One exchange, lazy until `activate` or `co_run`: nothing is sent before.

    The callbacks run in whoever drives the stream, one after the other, and take keyword
    arguments. They shall not block, nor use the connection but for `HTTPConnection.close`
    and new streams. An exception in one ends the exchange with that exception. The rest of
    the response is then skipped if other streams are behind this one; otherwise the
    connection is closed, and the next request opens a new one.

    Made by `HTTPConnection.request`.

    Args:
        conn: the connection.
        queue: the streams of the connection.
        request: what is to be sent.
        on_response, on_body, on_done: the callbacks; see `HTTPConnection.request`.

    Attributes:
        request: what is or was sent; it can be changed until it is sent.
        completion_future: a `concurrent.futures.Future` of the status code, or of what
            went wrong. It is done after the last callback. Cancelling it ends the
            exchange, if it has not begun or runs on a thread given to `activate`.
        response: the `HTTPResponse`, None until it has arrived.

    """

    def __init__(
        self,
        conn: Operations,
        queue: Queue[HTTPStream],
        request: Request,
        on_response: Callback | None = None,
        on_body: Callback | None = None,
        on_done: Callback | None = None,
    ) -> None:
        check_request(request)
        check_callable(on_response, "on_response")
        check_callable(on_body, "on_body")
        check_callable(on_done, "on_done")
        self.request = request
        self.response: HTTPResponse | None = None
        self.completion_future: Future[int] = _Completion(self)
        self.job: Future[int] | None = None
        self._conn = conn
        self._queue = queue
        self._position = Position(self, self.end)
        self._on_response = on_response
        self._on_body = on_body
        self._on_done = on_done
        self._exchange: Exchange | None = None  # when it is sent as a whole

    @property
    def connection(self) -> Operations:
        """The connection: an `HTTPConnection`."""
        return self._conn

    @property
    def response_status_code(self) -> int | None:
        """Status code of the response; None until it has arrived."""
        return None if self.response is None else self.response.status

    @property
    def done(self) -> bool:
        """True when the exchange has ended, in whatever way, and its last callback too."""
        return self.completion_future.done()

    @property
    def exception(self) -> BaseException | None:
        """The exception that ended the exchange; None if it has not ended, or is complete."""
        future = self.completion_future
        if not future.done():
            return None
        return CancelledError() if future.cancelled() else future.exception()

    def update_window(self, increment_size: int) -> None:
        """Let the server send further bytes of the body; see `Exchange.update_window`.

        Args:
            increment_size: how many, besides those that it may send already.

        Raises:
            StateError: the request was not sent as a whole yet.
            InvalidOption, TypeError: see there.

        """
        if self._exchange is None:
            unsent = StateError("the request was not sent yet")
            self._label(unsent)
            raise unsent
        self._exchange.update_window(increment_size)

    def activate(self, thread: Submitter | None = None) -> None:
        """Take the next place among the streams of the connection, and start.

        Args:
            thread: what drives the stream: a `LoopThread`, or what else has ``submit``.
                If None, somebody has to drive it: `co_run`, `co_complete`, or a stream
                behind it.

        Raises:
            StateError: it has been activated before.
            RuntimeError: the thread was stopped; the stream is as it was.
            TypeError: *thread* has no ``submit``; the stream is as it was.

        """
        if thread is not None and not hasattr(thread, "submit"):
            raise TypeError(f"thread is a LoopThread, or has submit(), unlike {quoted(thread)}")
        try:
            self._queue.join(self._position, promised=thread is not None)
        except StateError as exc:
            self._label(exc)
            raise
        if thread is None:
            return
        try:
            self.job = thread.submit(self._co_promised())
        except BaseException:
            self._queue.quit(self._position)
            raise
        self.job.add_done_callback(self._dropped)

    def co_run(self) -> Co[int]:
        """Drive the exchange to its end, activating it if that was not done.

        Closing the operation gives the exchange up; its future then has `CancelledError`.

        Returns:
            The status code of the response.

        Raises:
            StateError: another operation drives it, or it has ended.
            CancelledError: its future was cancelled before it began.
            InvalidRequest: the body is `BodyFollowing`, or what `co_send` says.
            ConnectionClosed: the connection ended, or was closed, before the exchange was
                complete. If the server answers before it has the whole body, that is
                no error: it counts as the response.
            AnsweredEarly: it did so, and the connection ended before that response was complete.
            Exception: what a callback or the body of the request raises.
            DugongError: what `co_send`, `co_read_response` and `co_read` raise.

        """
        if not self._queue.drive(self._position):
            raise self._busy()
        return (yield from self._co_drive())

    @twin_of(co_run)
    def run(self) -> int:
        """Blocking twin of `co_run`."""
        return run(self.co_run())

    def co_complete(self) -> Co[int]:
        """Wait until the exchange has ended; drive it if nobody else does.

        Returns:
            The status code.

        Raises:
            Exception: what ended the exchange.

        """
        if self._queue.drive(self._position):
            return (yield from self._co_drive())
        with Wake("turn") as wake:
            self.completion_future.add_done_callback(lambda _: wake.set())
            yield from wake.co_wait()
        return self.completion_future.result()

    @twin_of(co_complete)
    def complete(self) -> int:
        """Blocking twin of `co_complete`."""
        return run(self.co_complete())

    def _co_promised(self) -> Co[int]:
        """Drive the exchange on the thread given to `activate`."""
        if not self._queue.drive(self._position, promised=True):
            raise StateError("this stream has ended")
        return (yield from self._co_drive())

    def _dropped(self, _: Future[int]) -> None:
        """End with the operation that should have driven the stream, if it has not begun."""
        if self._queue.drive(self._position, promised=True):
            self._queue.leave(self._position)
            self.end(CancelledError())

    def _co_drive(self) -> Co[int]:
        """Do everything, and say how it went; somebody has taken the stream over."""
        try:
            if not self.completion_future.set_running_or_notify_cancel():
                raise CancelledError
            yield from self._co_drive_others()
            status = yield from self._co_exchange()
        except BaseException as exc:
            self._fail()
            self.end(CancelledError() if isinstance(exc, GeneratorExit) else exc)
            raise
        self._queue.leave(self._position)
        problem = self.end(None)
        if problem is not None:
            raise problem
        return status

    def _co_drive_others(self) -> Co[None]:
        """Drive those in front that nobody drives; what they raise is theirs."""
        while (place := self._queue.idle_before(self._position)) is not None:
            yield from own_error(place.owner.co_run(), Exception)

    def _fail(self) -> None:
        """Leave the connection in a defined state, and the queue."""
        if self._queue.fail(self._position):
            if self._conn.response_pending() or not self._conn.is_open():
                Operations.disconnect(self._conn)
        elif self._exchange is not None:
            self._exchange.abandon()
        self._queue.leave(self._position)

    def _busy(self) -> StateError:
        busy = StateError("another operation drives this stream, or it has ended")
        self._label(busy)
        return busy

    def _label(self, problem: BaseException) -> None:
        self._conn.label_error(problem, self.request.method, self.request.target)

    def end(self, problem: BaseException | None) -> BaseException | None:
        """Tell everybody that the exchange has ended, and return what went wrong at last.

        Args:
            problem: what went wrong until now, or None. An exception of ``on_done`` replaces it.

        """
        if problem is not None:
            self._label(problem)
        future = self.completion_future
        if self._on_done is not None:
            try:
                self._on_done(http_stream=self, error=problem)
            except Exception as exc:  # noqa: BLE001 - it is the result
                problem = problem or exc
        if future.cancelled() or not (future.running() or future.set_running_or_notify_cancel()):
            return problem
        if problem is None:
            assert self.response is not None
            future.set_result(self.response.status)
        else:
            future.set_exception(problem)
        return problem

    # ---- the exchange

    def _co_exchange(self) -> Co[int]:
        conn, queue, place = self._conn, self._queue, self._position
        failure = yield from self._co_send()
        queue.note_sent(place)
        yield from queue.co_until(place, self._is_first)
        if failure is not None and not conn.response_pending():
            raise failure
        try:
            response = yield from conn.co_read_response()
        except ConnectionClosed:
            queue.check(place)
            if failure is not None:
                raise failure from None
            raise
        queue.check(place)
        self.response = response
        if self._on_response is not None:
            self._on_response(
                http_stream=self,
                status_code=response.status,
                headers=list(response.headers.items()),
            )
        try:
            yield from self._co_read_body()
        except ConnectionClosed as exc:
            if failure is None or place.doomed:
                raise
            raise AnsweredEarly.by(response, CUT) from exc
        return response.status

    def _co_read_body(self) -> Co[None]:
        on_body, check, place = self._on_body, self._queue.check, self._position
        while True:
            check(place)
            try:
                chunk = yield from self._conn.co_read(PIECE)
            except ConnectionClosed:
                check(place)
                raise
            check(place)  # the end of the stream may have been made by close()
            if not chunk:
                return
            if on_body is not None:
                on_body(http_stream=self, chunk=chunk)

    def _co_send(self) -> Co[ConnectionClosed | None]:
        """Send the request when that may be done.

        Returns:
            What has ended the connection while it was sent: perhaps there is a response.

        """
        if isinstance(self.request.body, BodyFollowing):
            raise InvalidRequest("the body of a stream cannot follow: give an iterable")
        queue, place = self._queue, self._position
        yield from queue.co_until(place, self._may_send)
        while True:
            try:
                if not self._conn.is_open():
                    yield from queue.co_unless_ended(place, self._conn.co_connect())
                self._exchange = yield from self._conn.co_send(self.request)
            except ConnectionClosed as exc:
                queue.check(place)
                if exc.request_sent != "no":
                    return exc
                if queue.is_first(place):
                    raise
            else:
                return None
            yield from queue.co_until(place, self._is_first)  # it may not be pipelined

    def _is_first(self) -> bool:
        return self._queue.is_first(self._position)

    def _may_send(self) -> bool:
        """Only what may be repeated is pipelined, behind its like (RFC 9112 section 9.3.2)."""
        before = self._queue.before(self._position)
        if before is None:
            return True
        if before.stage is not Stage.SENT or before.doomed or not self.request.idempotent:
            return False
        return before.owner.request.idempotent and self._conn.is_open()

    def __repr__(self) -> str:
        return f"<HTTPStream {self.request.method} {self.request.target}>"


class _Completion(Future[int]):
    """A future that can be cancelled while its stream runs on a thread."""

    def __init__(self, stream: HTTPStream) -> None:
        super().__init__()
        self._stream = stream

    def cancel(self) -> bool:
        """See `HTTPStream.completion_future`."""
        if super().cancel():
            return True
        job = self._stream.job
        return job is not None and job.cancel()
