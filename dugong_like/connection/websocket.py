"""An open WebSocket (RFC 6455): the operations of users, each with its blocking twin.

One operation receives at a time, and any number may send, also in other threads.

Not here: opening one (websocket_opening.py), how bytes are moved while operations wait
(websocket_pump.py), frames (http/websocket/), and coroutines (async_websocket.py).
"""

from __future__ import annotations

import secrets
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from threading import Lock, get_ident
from typing import Any, Final, Self, TypeAlias

from ..errors import (
    ConnectionClosed,
    ConnectionTimedOut,
    DugongError,
    StateError,
    WebSocketClosed,
)
from ..http.arguments import Buffer, as_bytes, iterate
from ..http.redaction import quoted
from ..http.websocket.handshake import Agreement, check_installed
from ..http.websocket.messages import check_close, check_control
from ..http.websocket.options import WebSocketOptions
from ..polling.combinators import own_error
from ..polling.contract import Co, run
from ..polling.fair_lock import FairLock
from ..polling.holding import NOT_BLOCKING
from ..polling.numbers import check_seconds
from ..polling.twin_documentation import twin_of
from ..polling.wake import co_checkpoint
from .websocket_handler import WebSocketHandler, check_handler, co_result
from .websocket_pump import MAX_LINGER, ByteStream, Pump

Message: TypeAlias = "str | bytes"
Outgoing: TypeAlias = "str | Buffer | Iterable[str | Buffer]"

NORMAL: Final = 1000  # codes of RFC 6455 section 7.4.1
GOING_AWAY: Final = 1001
NO_CODE: Final = 1005
INTERNAL_ERROR: Final = 1011
GOOD: Final = frozenset({NORMAL, GOING_AWAY, NO_CODE})  # iterating ends without an exception
PING_SIZE: Final = 8  # bytes of the payload of a ping, so that each has its own pong


class WebSocket(Pump):
    """An open WebSocket; `HTTPConnection.websocket` and `Client.websocket` return it.

    Each operation exists twice: ``co_x`` returns an operation, ``x`` blocks. One thread or task may
    send while another one receives, and any of them may close it. Giving an operation up loses
    nothing: a message that it was receiving is received by the next one, and what it was sending is
    sent by the next one of any kind; only a message in fragments that is given up in the middle
    fails the WebSocket.

    A context manager: leaving it closes the WebSocket. Iterating over it gives the messages, until
    it is closed with 1000, 1001 or no code.

    Args:
        stream: the bytes below; it is taken over.
        agreement: the result of the handshake.
        options: the limits.
        response: the response to the handshake, or None.

    Attributes:
        response: the same: an `HTTPResponse`, or a `Response` from a client.
        subprotocol: the one that the server has selected; None for none.

    """

    def __init__(
        self,
        stream: ByteStream,
        agreement: Agreement | None = None,
        options: WebSocketOptions | None = None,
        response: Any = None,
    ) -> None:
        check_installed()
        from ..http.websocket.frames import Frames  # noqa: PLC0415 - it needs the library

        options = options or WebSocketOptions()
        agreement = agreement or Agreement()
        frames = Frames(options.max_message, options.max_fragment, agreement.deflate)
        super().__init__(stream, frames, options)
        self.response = response
        self.subprotocol = agreement.subprotocol
        self._is_compressed = agreement.deflate is not None
        self._receiving = Lock()
        self._order = FairLock()  # of messages that are sent: fragments stay together
        self._pings: dict[bytes, float] = {}  # times of those that are not answered
        self._answered: dict[bytes, float] = {}  # seconds of those that are
        self._is_raised = False  # the failure of the frames, which is raised once

    # ---- receiving

    def co_recv(self, timeout: float | None = None) -> Co[Message]:
        """Receive the next message: str if it is text, bytes if it is not.

        An interruption, or a time-out, loses nothing.

        Args:
            timeout: seconds to wait; None sets no limit.

        Raises:
            WebSocketClosed: the WebSocket is closed, and all messages before that were returned.
            InvalidFrame, MessageTooLarge: what came is not allowed; the WebSocket is closed.
            ConnectionTimedOut: nothing came in time. With ``phase`` ``"pong"`` the server does not
                answer pings, and the WebSocket is closed.
            StateError: another operation is receiving.

        """
        if timeout is not None:
            check_seconds(timeout, "timeout")
        return self._co_recv(timeout)

    def _co_recv(self, timeout: float | None) -> Co[Message]:  # noqa: C901, PLR0912 - each call would count
        frames = self._frames
        held = False
        try:
            (held,) = map(self._receiving.acquire, NOT_BLOCKING)  # see holding.py
            if not held:
                raise self._is_receiving()
            if frames.whole:
                if self._steps.is_over():
                    yield from co_checkpoint()
            elif timeout is None and self._is_quiet():
                # A shorter way than that of `_co_pump`, which goes on from there: wait for bytes
                # and receive them once, unless another operation does.
                in_use = self._stream.in_use
                lock = in_use.reading
                reads = False
                try:
                    (reads,) = map(lock.acquire, NOT_BLOCKING)
                    if reads:
                        need = self._need_alone()
                        if need is not None:
                            yield need
                        self._fill()
                except ConnectionClosed as exc:  # closed by another thread
                    self._lose(exc)
                finally:
                    if reads:
                        try:
                            lock.release()
                            if self._waiting or in_use.left is not None:
                                self._after_use(None)
                        except BaseException:  # Ctrl-C, behind one of these
                            self._after_use(None)
                            raise
            if not frames.whole:
                yield from self._co_receive(self._has_message, timeout)
            try:
                with self._lock:
                    message = frames.take_message()
            except BaseException as exc:
                self._interrupted(exc)
                raise
            if self._waiting:
                self._wake_others(None)
            return message
        except DugongError as exc:
            raise self._labelled(exc) from exc.__cause__
        finally:
            if held:
                self._receiving.release()

    def _has_message(self) -> bool:
        return self._frames.whole > 0

    def _has_piece(self) -> bool:
        return bool(self._frames.pieces)

    def _has_event(self) -> bool:
        return bool(self._frames.whole or self._frames.pings)

    def _is_receiving(self) -> StateError:
        """Return the error of a second one that receives."""
        error = StateError("another operation is receiving on this WebSocket")
        self._labelled(error)
        return error

    def _co_receive(self, ready: Callable[[], bool], timeout: float | None) -> Co[None]:
        """Wait until *ready* is true, or raise the error of the end."""
        deadline = None if timeout is None else time.monotonic() + timeout
        in_time = yield from self._co_pump(lambda: ready() or self._is_over(), deadline, wants=True)
        if ready():
            return
        if not in_time:
            raise ConnectionTimedOut(
                f"no message came for {timeout} s", request_sent="yes", phase="read"
            )
        yield from self._co_end()
        raise self._error()

    def co_recv_piece(self, timeout: float | None = None) -> Co[tuple[Message, bool]]:
        """Receive the next piece of a message, and whether it is the last one.

        For messages that are larger than the memory should hold: with ``max_message=None`` and a
        ``max_fragment``. A frame is the least that is received, so a message in one frame is one
        piece; small frames may be joined. Text is split between characters only, and a piece may be
        empty.

        Args:
            timeout: as of `co_recv`.

        Raises:
            DugongError: as of `co_recv`.

        """
        if timeout is not None:
            check_seconds(timeout, "timeout")
        return self._co_recv_piece(timeout)

    def _co_recv_piece(self, timeout: float | None) -> Co[tuple[Message, bool]]:
        held = False
        try:
            (held,) = map(self._receiving.acquire, NOT_BLOCKING)  # see holding.py
            if not held:
                raise self._is_receiving()
            frames = self._frames
            if not frames.pieces:
                yield from self._co_receive(self._has_piece, timeout)
            elif self._steps.is_over():
                yield from co_checkpoint()
            try:
                with self._lock:
                    piece = frames.take_piece()
            except BaseException as exc:
                self._interrupted(exc)
                raise
            if self._waiting:
                self._wake_others(None)
            return piece
        except DugongError as exc:
            raise self._labelled(exc) from exc.__cause__
        finally:
            if held:
                self._receiving.release()

    # ---- sending

    def co_send(self, message: Outgoing) -> Co[None]:
        """Send a message: str as text, bytes-like objects as they are.

        It has been given to the system when the operation ends; the server may not have it yet. An
        operation that is given up while it waits has queued the message, which is then sent by the
        next operation.

        Args:
            message: or an iterable of strings, or of bytes-like objects: they are sent as the
                fragments of one message, each when the iterable gives it.

        Raises:
            WebSocketClosed: the WebSocket is closed.
            ConnectionTimedOut: nothing could be sent for too long; the WebSocket is closed.
            TypeError: it is nothing of this; a fragment of another type than the first one fails
                the WebSocket.
            UnicodeEncodeError: it has surrogates; nothing was sent.
            Exception: what the iterable raises, which fails the WebSocket if a fragment was sent.

        """
        if isinstance(message, str):
            return self._co_send(message)
        if isinstance(message, bytes | bytearray | memoryview):
            return self._co_send(as_bytes(message, "message"))
        if isinstance(message, Mapping):
            raise TypeError("message is str, bytes, or an iterable of fragments, not a mapping")
        try:
            data = memoryview(message)  # type: ignore[arg-type]  # another bytes-like object
        except TypeError:
            kind = "str, bytes, or an iterable of fragments"
            return self._co_send_fragments(iterate(message, "message", kind))
        return self._co_send(as_bytes(data, "message"))

    def _co_send(self, message: str | bytes | memoryview) -> Co[None]:
        going = self.begin_send(message)
        if going is not None:
            yield from going

    def begin_send(self, message: str | bytes | memoryview) -> Co[None] | None:
        """Queue *message*, and send what can be sent at once; for callers that need no operation.

        Returns:
            None if that was all; otherwise the operation for the rest, or for all of it if
            fragments of another message come first.

        Raises:
            DugongError: as of `co_send`.

        """
        try:
            is_sent = self._send_now(message)
        except DugongError as exc:
            raise self._labelled(exc) from exc.__cause__
        if is_sent and not self._steps.is_over():
            return None
        return self._co_send_rest(message if is_sent is None else None)

    def _co_send_rest(self, message: str | bytes | memoryview | None) -> Co[None]:
        """Send what is queued, and *message* behind it, unless that is queued already."""
        try:
            if message is not None:
                yield from self._co_queue(message)
            yield from self._co_sent()
        except DugongError as exc:
            raise self._labelled(exc) from exc.__cause__

    def _send_now(self, message: str | bytes | memoryview) -> bool | None:
        """Queue *message* and send what can be sent at once.

        Returns:
            True if that was all; None if fragments of another message come first.

        """
        order = self._order
        lock = order.lock
        held = False
        try:
            (held,) = map(lock.acquire, NOT_BLOCKING)  # see holding.py
            if not held:
                return None
            self._queue(message)
        finally:
            if held:
                try:
                    lock.release()
                    if order.waiting:
                        order.hand_on()
                except BaseException:  # Ctrl-C, behind one of these
                    order.hand_on()
                    raise
        self._flush_now()
        return not (self._rest or self._deaf or self._lost or self._frames.output)

    def _co_queue(self, message: str | bytes | memoryview) -> Co[None]:
        """Queue *message* behind the fragments of others."""
        yield from self._order.co_holding(self._co_queue_now(message))

    def _co_queue_now(self, message: str | bytes | memoryview) -> Co[None]:
        self._queue(message)
        yield from ()

    def _queue(self, message: str | bytes | memoryview) -> None:
        with self._lock:
            if not self._frames.send(message):
                raise self._error()

    def _co_sent(self) -> Co[None]:
        """Wait until all bytes that are queued now are sent."""
        with self._lock:
            mark = self._mark()
        if self._has_sent(mark):
            yield from co_checkpoint()  # others of the loop had no turn for long
        yield from self._co_pump(lambda: self._has_sent(mark))
        if self._deaf is not None or self._lost is not None:
            # There may be a close frame to be read, which says why.
            late = time.monotonic() + MAX_LINGER
            if self._deaf is not None and not (yield from self._co_pump(self._is_over, late)):
                self._lose(self._deaf)
            yield from self._co_end()
            raise self._error()

    def co_begin_fragments(self) -> Co[Fragments]:
        """Begin a message in fragments: wait until no other one is being sent.

        Returns:
            What sends the fragments; it has to be closed.

        """
        order = self._order
        lock = order.lock
        is_held = False
        begun = False
        try:
            (is_held,) = map(lock.acquire, NOT_BLOCKING)  # see holding.py
            if not is_held:
                is_held = yield from order.co_acquire()
            order.thread = get_ident()
            sender = Fragments(self, lock)
            begun = True
            return sender
        finally:
            if is_held and not begun:
                self.end_fragments(lock, None)

    def end_fragments(self, lock: Lock, problem: str | None) -> None:
        """Let others send, of which *lock* has been taken; *problem* fails the WebSocket."""
        order = self._order
        try:
            if problem is not None:
                self._fail(problem)
        finally:
            try:
                order.thread = 0
                lock.release()
            finally:
                if order.waiting:
                    order.hand_on()

    def _co_send_fragments(self, fragments: Iterator[Any]) -> Co[None]:
        sender = yield from self.co_begin_fragments()
        try:
            for fragment in fragments:
                yield from sender.co_send(fragment)
            yield from sender.co_end()
        finally:
            sender.close()

    def co_send_fragment(
        self, data: str | bytes | memoryview, *, is_first: bool, is_last: bool
    ) -> Co[None]:
        """Send *data*, a fragment of a message, for `Fragments`; see `co_send`.

        Args:
            data: the fragment.
            is_first: True if it is the first one of the message.
            is_last: True if it is the last one.

        """
        try:
            with self._lock:
                self._check_open()
                if is_first:
                    self._frames.send(data, is_last=is_last)
                else:
                    self._frames.send_more(data, is_last=is_last)
            yield from self._co_sent()
        except DugongError as exc:
            raise self._labelled(exc) from exc.__cause__

    def write(self, message: str | Buffer) -> None:
        """Queue a message without waiting, and send of it what can be sent at once.

        The rest is sent by the next operation. For handlers, and for programs that must not wait.

        Raises:
            WebSocketClosed: the WebSocket is closed.
            StateError: fragments of another message are being sent.
            TypeError: *message* is neither str nor bytes-like.

        """
        data = message if isinstance(message, str) else as_bytes(message, "message")
        if self._send_now(data) is None:
            raise self._labelled(StateError("fragments of another message are being sent"))

    # ---- pings

    def co_ping(self, data: bytes = b"", timeout: float | None = None) -> Co[float]:
        """Send a ping and wait for its answer.

        Messages that come meanwhile are kept for `co_recv`, up to 1 MiB; then somebody has to
        receive them before the answer can be read.

        Args:
            data: payload, 125 bytes at most; if empty, something that no other ping has.
            timeout: seconds to wait; None for *ping_timeout*.

        Returns:
            The seconds until the answer.

        Raises:
            ConnectionTimedOut: the answer did not come in time; the WebSocket is unchanged.
            WebSocketClosed: the WebSocket is closed.
            StateError: a ping with this payload has not been answered yet.
            InvalidOption: *data* is too long.
            TypeError: *data* is not bytes-like.

        """
        payload = check_control(bytes(as_bytes(data, "data")), "data")
        if timeout is not None:
            check_seconds(timeout, "timeout")
        return self._co_ping(payload or secrets.token_bytes(PING_SIZE), timeout)

    def _co_ping(self, payload: bytes, timeout: float | None) -> Co[float]:
        try:
            seconds = self._options.ping_timeout if timeout is None else timeout
            with self._lock:
                self._check_open()
                if payload in self._pings:
                    raise StateError("a ping with this payload has not been answered yet")
                self._frames.send_ping(payload)
                self._pings[payload] = time.monotonic()
            try:
                deadline = None if seconds is None else time.monotonic() + seconds
                done = self._answered.__contains__
                in_time = yield from self._co_pump(
                    lambda: done(payload) or self._is_over(), deadline
                )
                if payload in self._answered:
                    return self._answered[payload]
            finally:
                self._pings.pop(payload, None)
                self._answered.pop(payload, None)
            if in_time:
                yield from self._co_end()
                raise self._error()
            raise ConnectionTimedOut(
                f"no answer to a ping for {seconds} s", request_sent="yes", phase="pong"
            )
        except DugongError as exc:
            raise self._labelled(exc) from exc.__cause__

    def _note_pong(self, payload: bytes) -> None:
        """Note the answer to a ping, which answers earlier ones, too (RFC 6455 section 5.5.3)."""
        if payload not in self._pings:
            return
        now = time.monotonic()
        for each in list(self._pings):
            self._answered[each] = now - self._pings.pop(each)
            if each == payload:
                break

    def co_pong(self, data: bytes = b"") -> Co[None]:
        """Send a pong that nobody has asked for, as a sign of life (RFC 6455 section 5.5.3).

        Pings are answered by whatever operation receives them.

        Args:
            data: payload, 125 bytes at most.

        Raises:
            WebSocketClosed, ConnectionTimedOut, InvalidOption, TypeError: as of `co_ping`.

        """
        payload = check_control(bytes(as_bytes(data, "data")), "data")
        return self._co_pong(payload)

    def _co_pong(self, payload: bytes) -> Co[None]:
        try:
            with self._lock:
                self._check_open()
                self._frames.send_pong(payload)
            yield from self._co_sent()
        except DugongError as exc:
            raise self._labelled(exc) from exc.__cause__

    # ---- the end

    def co_close(self, code: int = NORMAL, reason: str = "") -> Co[None]:
        """Close the WebSocket: send a close frame, and wait for that of the server.

        At most *close_timeout* seconds; then, and if the operation is given up, the connection is
        closed without it. Messages that come meanwhile are dropped. An operation that receives
        raises `WebSocketClosed`. A second call waits for the same end.

        Args:
            code: 1000, or another one that may be sent: see RFC 6455 section 7.4.
            reason: a text of at most 123 bytes.

        Raises:
            InvalidOption: *code* or *reason* cannot be sent; the WebSocket is unchanged.
            TypeError: an argument has the wrong type.
            ConnectionTimedOut: a limit of the caller is over; the connection is closed then, too.

        """
        check_close(code, reason)
        return self._co_close(code, reason)

    def _co_close(self, code: int, reason: str) -> Co[None]:
        try:
            # After an error of its own the connection is closed, which was wanted.
            yield from own_error(self._co_close_in_order(code, reason), DugongError)
        finally:
            self.abort()

    def _co_close_in_order(self, code: int, reason: str) -> Co[None]:
        limit = self._options.close_timeout
        deadline = None if limit is None else time.monotonic() + limit
        with self._lock:
            self._frames.drop_messages()
            if self._frames.is_open:
                self._frames.send_close(code, reason)
        if self._waiting:
            self._wake_others(None)
        if (yield from self._co_pump(self._is_over, deadline, wants=True)):
            yield from self._co_end()

    def abort(self) -> None:
        """Close the connection at once, without a close frame. May be called in any state."""
        if not self._is_over():
            self._lost = self._lost or StateError("it was closed by this side")
            with self._lock:
                self._frames.end()
        self._stream.close()
        self._wake_others(None)

    def _fail(self, reason: str) -> None:
        """Fail the WebSocket, which cannot be repaired, without waiting."""
        with self._lock:
            if self._frames.is_open:
                self._frames.fail(INTERNAL_ERROR, reason)
        self._flush_now()
        self.abort()

    def _check_open(self) -> None:
        if self._lost is not None or not self._frames.is_open:
            raise self._error()

    def _error(self) -> DugongError:
        """Return the error for an operation after the end."""
        failure = self._frames.failure
        if failure is not None and not self._is_raised:
            self._is_raised = True
            return failure
        return self._closed()

    def _labelled(self, exc: DugongError) -> DugongError:
        """Return *exc* with the URL that it is about."""
        if self._stream.origin:
            exc.label("", self._stream.origin, " (WebSocket)")
        return exc

    # ---- handlers

    def co_serve(self, handler: WebSocketHandler) -> Co[None]:
        """Receive until the WebSocket is closed, and call *handler* for whatever comes.

        An operation that one of its functions returns is run. An exception of a function closes the
        WebSocket.

        Args:
            handler: a `WebSocketHandler`, or an object with such functions.

        Raises:
            InvalidFrame, MessageTooLarge, ConnectionTimedOut: as of `co_recv`.
            StateError: another operation is receiving.
            Exception: that of a function of *handler*.

        """
        check_handler(handler)
        return self._co_serve(handler)

    def _co_serve(self, handler: WebSocketHandler) -> Co[None]:
        try:
            self.report_pings()
            yield from co_result(handler.on_open(self))
            try:
                while (event := (yield from self.co_next_event())) is not None:
                    yield from co_result(getattr(handler, event[0])(self, event[1]))
            except DugongError:
                if self._is_over():
                    yield from co_result(handler.on_close(self))
                raise
            yield from co_result(handler.on_close(self))
        finally:
            self.abort()

    def report_pings(self) -> None:
        """Have pings among the events from now on; see `co_next_event`."""
        self._frames.pings = deque()

    def co_next_event(self) -> Co[tuple[str, Message] | None]:
        """Wait for what comes next.

        Returns:
            The name of the function of a `WebSocketHandler`, and its argument; None at the end.

        Raises:
            DugongError: as of `co_recv`, except `WebSocketClosed`.

        """
        held = False
        try:
            (held,) = map(self._receiving.acquire, NOT_BLOCKING)  # see holding.py
            if not held:
                raise self._is_receiving()
            frames = self._frames
            pings = frames.pings
            yield from self._co_receive(self._has_event, None)
            if pings:
                return "on_ping", pings.popleft()
            try:
                with self._lock:
                    message = frames.take_message()
            except BaseException as exc:
                self._interrupted(exc)
                raise
            if self._waiting:
                self._wake_others(None)
            return "on_message", message
        except WebSocketClosed:
            return None
        except DugongError as exc:
            raise self._labelled(exc) from exc.__cause__
        finally:
            if held:
                self._receiving.release()

    # ---- blocking twins

    @twin_of(co_recv)
    def recv(self, timeout: float | None = None) -> Message:
        """Blocking twin of `co_recv`."""
        return run(self.co_recv(timeout))

    @twin_of(co_recv_piece)
    def recv_piece(self, timeout: float | None = None) -> tuple[Message, bool]:
        """Blocking twin of `co_recv_piece`."""
        return run(self.co_recv_piece(timeout))

    @twin_of(co_send)
    def send(self, message: Outgoing) -> None:
        """Blocking twin of `co_send`."""
        if self._order.thread == get_ident():
            what = "this thread is sending the fragments of another message"
            raise self._labelled(StateError(what))
        if type(message) is str or type(message) is bytes:
            going = self.begin_send(message)
            if going is not None:
                run(going)
        else:
            run(self.co_send(message))

    @twin_of(co_ping)
    def ping(self, data: bytes = b"", timeout: float | None = None) -> float:
        """Blocking twin of `co_ping`."""
        return run(self.co_ping(data, timeout))

    @twin_of(co_pong)
    def pong(self, data: bytes = b"") -> None:
        """Blocking twin of `co_pong`."""
        run(self.co_pong(data))

    @twin_of(co_close)
    def close(self, code: int = NORMAL, reason: str = "") -> None:
        """Blocking twin of `co_close`."""
        run(self.co_close(code, reason))

    @twin_of(co_serve)
    def serve(self, handler: WebSocketHandler) -> None:
        """Blocking twin of `co_serve`."""
        run(self.co_serve(handler))

    def pieces(self) -> Iterator[Message]:
        """Iterate over the pieces of the next message; see `co_recv_piece`."""
        is_last = False
        while not is_last:
            data, is_last = self.recv_piece()
            yield data

    def __iter__(self) -> Iterator[Message]:
        while True:
            try:
                message = self.recv()
            except WebSocketClosed as exc:
                if exc.code in GOOD:
                    return
                raise
            yield message

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, *exc: object) -> None:
        if kind is None:
            self.close()
        elif issubclass(kind, Exception):
            self.close(INTERNAL_ERROR)
        else:
            self.abort()

    # ---- facts

    @property
    def is_open(self) -> bool:
        """True until one side has closed the WebSocket, as far as that was received."""
        return self._lost is None and self._frames.is_open

    @property
    def close_code(self) -> int | None:
        """The code of the end, see `WebSocketClosed`; None before it."""
        return self._frames.close[0] if self._is_over() else None

    @property
    def close_reason(self) -> str | None:
        """The reason of the end; None before it."""
        return self._frames.close[1] if self._is_over() else None

    @property
    def is_compressed(self) -> bool:
        """True if the server has accepted permessage-deflate."""
        return self._is_compressed

    def __repr__(self) -> str:
        state = "open" if self.is_open else f"closed {self.close_code}"
        return f"<{type(self).__name__} {self._stream.origin} {state}>"


class Fragments:
    """Sends the fragments of one message; `WebSocket.co_begin_fragments` returns it.

    Args:
        websocket: the WebSocket.
        lock: what keeps other messages waiting.

    """

    def __init__(self, websocket: WebSocket, lock: Lock) -> None:
        self._websocket = websocket
        self._lock: Lock | None = lock
        self._kind: type | None = None  # of the fragments; None before the first one

    def co_send(self, fragment: object) -> Co[None]:
        """Send one; raises as `WebSocket.co_send`."""
        data: str | memoryview
        data = fragment if isinstance(fragment, str) else as_bytes(fragment, "fragment")  # type: ignore[arg-type]
        is_first = self._kind is None
        if is_first:
            self._kind = type(data)
        elif not isinstance(data, self._kind):  # type: ignore[arg-type]  # see above
            raise TypeError(f"a fragment of another type than the first one: {quoted(fragment)}")
        yield from self._websocket.co_send_fragment(data, is_first=is_first, is_last=False)

    def co_end(self) -> Co[None]:
        """End the message, unless it has no fragments: by an empty one, as no more is known."""
        kind, self._kind = self._kind, None
        if kind is not None:
            data = "" if issubclass(kind, str) else b""
            yield from self._websocket.co_send_fragment(data, is_first=False, is_last=True)

    def close(self) -> None:
        """Let other messages be sent; one that was begun and not ended fails the WebSocket."""
        lock, self._lock = self._lock, None
        if lock is not None:
            problem = None if self._kind is None else "a message was given up in the middle"
            self._websocket.end_fragments(lock, problem)
