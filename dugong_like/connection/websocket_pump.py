"""The bytes of an open WebSocket: several operations move them in both directions.

Any operation may have to send (a pong, a close frame) while it receives, and receive while it
sends: a server may take nothing more until it has got rid of its own messages. So all of them wait
in one loop, `_co_pump`, which sends what is queued and receives what comes until a condition of
theirs is true. Of several operations one waits to receive and one waits to send, as they have the
exclusive use of that direction; the others wait for a flag, which is set whenever something has
moved or an operation has left. If an operation is given up, the bytes that it has queued are
sent by the next one, so that interrupting one loses nothing and breaks nothing.

No `FairLock`: there are two directions, each with its own holder, and whoever waits has to be woken
by what another one has moved for it, not in an order.

Two threads at once: the use of a direction protects its bytes, and `_lock` the state of the
protocol. It is held for a few microseconds, and for no system call. It is an RLock as finalizers
and handlers of signals run anywhere.

Life is looked after by whoever waits to receive: without a byte for `ping_interval` seconds it
sends a ping, and `ping_timeout` seconds later it gives the connection up. Nobody waits, nobody
pings.

Not here: messages and the operations of users (websocket.py), frames (http/websocket/frames.py),
and the stream below, which may be another one (`ByteStream`).
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from threading import RLock
from typing import TYPE_CHECKING, Final, Protocol

from ..errors import ConnectionClosed, ConnectionTimedOut, DugongError, WebSocketClosed
from ..polling.combinators import earlier
from ..polling.contract import Co, PollNeeded
from ..polling.fairness import StepCounter
from ..polling.fork import after_fork
from ..polling.holding import NOT_BLOCKING
from ..polling.wake import Wake, co_checkpoint

if TYPE_CHECKING:
    from ..http.websocket.frames import Frames
    from ..http.websocket.options import WebSocketOptions
    from ..transport.exclusive import StreamInUse

SIZE: Final = 65536  # bytes that are received at once
MAX_AHEAD: Final = 1 << 20  # bytes of messages that are received while nobody wants them
MAX_LINGER: Final = 2.0  # seconds for the server to close first (RFC 6455 section 7.1.1)
MAX_REPLIES: Final = 1 << 16  # bytes of pongs that are to be sent before more is received
ABNORMAL: Final = 1006  # code without a close frame (RFC 6455 section 7.4.1)
KEEP_ALIVE: Final = b"keep-alive"  # payload of the pings of this file


class ByteStream(Protocol):
    """The stream below the frames: a `NetworkStream`, or anything else that can do this.

    Attributes:
        origin: the URL of the peer, for messages of errors.
        in_use: its locks are held by the one that receives and the one that sends; whoever releases
            one closes what was left there.

    """

    in_use: StreamInUse

    @property
    def origin(self) -> str:
        """See the attribute."""
        ...

    @property
    def is_open(self) -> bool:
        """True until it is closed."""
        ...

    def try_recv(self, size: int) -> bytes | None:
        """Receive at most *size* bytes; None would block, ``b""`` is the end."""
        ...

    def try_send(self, data: bytes | memoryview) -> int | None:
        """Send the beginning of *data*; None would block."""
        ...

    def recv_need(self) -> PollNeeded | None:
        """Return the wait for the next `try_recv`; None if it is none, or not that simple."""
        ...

    def co_ready(
        self, *, read: bool, write: bool, wake: Wake | None, deadline: float | None
    ) -> Co[None]:
        """Wait for any of these; it may return earlier, and be closed without a loss."""
        ...

    def close(self) -> None:
        """Close it; operations that wait are woken."""
        ...

    def drop(self) -> None:
        """Close it without a word to the peer."""
        ...


class Pump:
    """Base of `WebSocket`.

    Args:
        stream: the bytes below; it is taken over.
        frames: the protocol.
        options: the limits.

    """

    def __init__(self, stream: ByteStream, frames: Frames, options: WebSocketOptions) -> None:
        self._stream = stream
        self._frames = frames
        self._options = options
        self._lock = RLock()
        self._rest: bytes | memoryview = b""  # of the bytes that are being sent
        self._taken = 0  # bytes that have been taken from the frames
        self._replies = 0  # bytes that were queued by what was received, since all was sent
        self._waiting: list[Wake] = []  # flags of operations that wait for others
        self._alive_at = time.monotonic()  # when bytes arrived last
        self._probed_at: float | None = None  # when a ping was sent since
        self._at_end = False  # the last byte has been received, or the connection was lost
        self._lost: Exception | None = None  # why there are no more bytes
        self._deaf: ConnectionClosed | None = None  # why the peer takes none
        self._need: PollNeeded | None = None  # the last one of `_need_alone`
        self._bare_need: PollNeeded | None = None  # the same without a deadline
        self._due = math.inf  # this deadline
        self._steps = StepCounter()
        after_fork(self._renew_lock)

    def _renew_lock(self) -> None:
        """Make a new lock in a child process, where the stream is closed."""
        self._lock = RLock()

    # ---- for subclasses

    def _note_pong(self, payload: bytes) -> None:
        """Take the payload of a pong; the lock is held."""
        raise NotImplementedError

    # ---- state

    def _is_over(self) -> bool:
        """Return True if no more messages can come."""
        return self._lost is not None or self._frames.is_over

    def _is_ended(self) -> bool:
        """Return True after the last byte."""
        return self._at_end

    def _has_output(self) -> bool:
        return bool(self._rest or self._frames.output)

    def _mark(self) -> int:
        """Return the place behind all that is queued, for `_has_sent`. The lock is held."""
        return self._taken + self._frames.output_size()

    def _has_sent(self, mark: int) -> bool:
        """Return True if the system has taken all bytes before *mark*.

        Another thread may be sending: if it takes bytes between the two numbers the first one is
        too small, which is harmless. It is also True when the connection was lost, as nobody takes
        any more then; if Ctrl-C has ended the one that was sending, not all was counted.
        """
        return self._taken - len(self._rest) >= mark or self._lost is not None

    # ---- moving bytes

    def _flush(self) -> bool:
        """Send what is queued without waiting, having the use of writing; True if bytes moved."""
        frames = self._frames
        rest = self._rest
        moved = False
        try:
            while rest or frames.output:
                if not rest:
                    with self._lock:
                        queued = frames.take_output()
                        # First what is not sent, then that it was taken: see `_has_sent`.
                        rest = self._rest = queued[0] if len(queued) == 1 else b"".join(queued)
                        self._taken += len(rest)
                if self._deaf is None and self._lost is None:
                    sent = self._stream.try_send(rest)
                    if sent is None:
                        return moved
                else:
                    sent = len(rest)  # nobody takes it any more
                rest = self._rest = b"" if sent == len(rest) else memoryview(rest)[sent:]
                self._steps.done += sent
                moved = True
            self._replies = 0
            return moved
        except ConnectionClosed as exc:
            self._deaf = exc
            return True
        except BaseException as exc:
            self._give_up(exc)
            raise

    def _fill(self) -> bool:
        """Receive once without waiting, having the use of reading; True if something came."""
        try:
            data = self._stream.try_recv(SIZE)
            if data is None:
                return False
            self._alive_at = time.monotonic()
            self._probed_at = None
            frames = self._frames
            with self._lock:
                queued = frames.output_size() if frames.output else 0
                if data:
                    frames.receive(data)
                else:
                    frames.end()
                    self._at_end = True
                if frames.output:
                    self._replies += frames.output_size() - queued
                while frames.pongs:
                    self._note_pong(frames.pongs.popleft())
            self._steps.done += len(data)
        except ConnectionClosed as exc:
            self._lose(exc)
        except BaseException as exc:
            self._give_up(exc)
            raise
        return True

    def _lose(self, exc: Exception) -> None:
        """Note that the connection was lost."""
        self._lost = exc.with_traceback(None)
        self._at_end = True
        with self._lock:
            self._frames.end()

    def _give_up(self, exc: BaseException) -> None:
        """Close the connection, whose state is unknown after *exc*, or which is of no use."""
        if not isinstance(exc, Exception):
            exc = ConnectionClosed(f"the operation was interrupted by {exc!r}")
        self._lose(exc)
        self._stream.drop()
        self._wake_others(None)

    def _interrupted(self, exc: BaseException) -> None:
        """Give everything up after *exc*, in the middle of taking a message from the frames.

        Nobody knows what was taken of it, and the rest must not look like a whole one.
        """
        with self._lock:
            self._frames.drop_messages()
        self._give_up(exc)

    def _may_receive(self, wants: bool) -> bool:
        """Return True if there is room for what comes. *wants*: the caller takes messages."""
        if self._at_end or (not wants and self._frames.ahead >= MAX_AHEAD):
            return False
        return self._replies < MAX_REPLIES

    def _flush_now(self) -> None:
        """Send what can be sent at once, unless another operation does it."""
        in_use = self._stream.in_use
        lock = in_use.sending
        held = False
        try:
            (held,) = map(lock.acquire, NOT_BLOCKING)  # see holding.py
            if held:
                self._flush()
        finally:
            if held:
                try:
                    lock.release()
                    if self._waiting or in_use.left is not None:
                        self._after_use(None)
                except BaseException:  # Ctrl-C, behind one of these
                    self._after_use(None)
                    raise

    # ---- waiting

    def _is_quiet(self) -> bool:
        """Return True if there is nothing to do until bytes come, or until the time of a ping."""
        return not (
            self._rest or self._at_end or self._probed_at is not None or self._frames.output
        )

    def _need_alone(self) -> PollNeeded | None:
        """Return the wait for bytes, until a ping is due at the latest; None if there is none.

        It is the same object again unless its deadline has come, as that is less work for a loop
        than another one. So it may end early, but not twice without a byte in between.

        Raises:
            ConnectionClosed: the stream is closed.

        """
        bare = self._stream.recv_need()
        if bare is None:
            return None
        if bare is not self._bare_need or self._due <= self._alive_at:
            interval = self._options.ping_interval
            self._bare_need = self._need = bare
            self._due = math.inf
            if interval is not None:
                self._due = self._alive_at + interval
                self._need = bare.until(self._due)
        return self._need

    def _co_pump(
        self, done: Callable[[], bool], deadline: float | None = None, *, wants: bool = False
    ) -> Co[bool]:
        """Move bytes in both directions until *done* returns True.

        Args:
            done: has to be True when nothing more will ever come.
            deadline: seconds of `time.monotonic`, or None.
            wants: True if the caller takes the messages that come.

        Returns:
            True; False if the deadline has come.

        Raises:
            ConnectionTimedOut: nothing could be sent for too long, or the server does not answer
                pings. The connection was closed.

        """
        use = _Use(self._stream)
        try:
            while (result := (yield from self._co_pump_once(use, done, deadline, wants))) is None:
                use.end()
                if use.moved:
                    self._after_use(use.flag)
                else:  # to wake others, which wake this one, would go on until something moves
                    self._give_back()
            return result
        finally:
            try:
                self._leave(use)
            except BaseException:  # Ctrl-C came before it had
                self._leave(use)
                raise

    def _leave(self, use: _Use) -> None:
        """Give back what *use* has taken, and its flag; after an interruption it may come again."""
        use.end()
        flag = use.flag
        self._after_use(flag)
        if flag is not None:
            if flag in self._waiting:
                self._waiting.remove(flag)
            flag.close()

    def _co_pump_once(
        self, use: _Use, done: Callable[[], bool], deadline: float | None, wants: bool
    ) -> Co[bool | None]:
        """Move bytes, or wait; return what `_co_pump` returns, None if it is to go on."""
        use.moved = False
        try:
            moved = self._advance(use, done, wants)
            if moved is None:
                return True
            if moved:
                use.moved = True
                if self._steps.is_over():
                    yield from co_checkpoint()
                return None
            if deadline is not None and time.monotonic() >= deadline:
                return False
            limit = self._look_after_life() if use.reading else None
            if self._is_ready_to_wait(use):
                yield from self._co_wait(use, earlier(limit, deadline))
        except ConnectionClosed as exc:  # closed by another thread
            self._lose(exc)
            use.moved = True
        return None

    def _advance(self, use: _Use, done: Callable[[], bool], wants: bool) -> bool | None:
        """Move what can be moved at once; return whether something was, None if *done* is true."""
        moved = False
        if self._has_output() and use.begin_writing():
            # Another thread may have sent all of it. Then this one must not wait and keep others
            # from sending.
            moved = self._flush() or not self._rest
        if done():
            return None
        if self._may_receive(wants) and use.begin_reading():
            moved = self._fill() or moved
            if done():
                return None
        return moved

    def _is_ready_to_wait(self, use: _Use) -> bool:
        """Return True if nothing can be done now, and whatever changes that is waited for."""
        if self._has_output() and not use.writing and use.begin_writing():
            return False  # a ping is queued, or the operation that was sending has just left
        if use.flag is None and self._needs_flag(use):
            use.flag = Wake("another operation of the WebSocket")
            self._waiting.append(use.flag)  # it is not there if this is interrupted
            return False  # something may have changed before it was in the list
        return True

    def _needs_flag(self, use: _Use) -> bool:
        """Return True if another operation may change what this one waits for."""
        return not use.reading or (self._has_output() and not use.writing)

    def _co_wait(self, use: _Use, deadline: float | None) -> Co[None]:
        flag = use.flag if self._needs_flag(use) else None
        yield from self._stream.co_ready(
            read=use.reading, write=use.writing and bool(self._rest), wake=flag, deadline=deadline
        )
        if flag is not None:
            flag.clear()

    def _after_use(self, own: Wake | None) -> None:
        """Wake those that wait, as a lock was released just now, except *own*."""
        try:
            self._give_back()
        finally:
            if self._waiting:
                self._wake_others(own)

    def _give_back(self) -> None:
        """Close what was left by the one that closed, as a lock was released just now."""
        in_use = self._stream.in_use
        if in_use.left is not None:
            in_use.give_back()

    def _wake_others(self, own: Wake | None) -> None:
        for flag in list(self._waiting):
            if flag is not own:
                flag.set()

    def _look_after_life(self) -> float | None:
        """Queue a ping if nothing has come for long; return when to look again, or None.

        Raises:
            ConnectionTimedOut: nothing has come after the ping either.

        """
        interval, patience = self._options.ping_interval, self._options.ping_timeout
        if interval is None:
            return None
        now = time.monotonic()
        if self._probed_at is None:
            due = self._alive_at + interval
            if now < due:
                return due
            with self._lock:
                if not self._at_end and not self._frames.closed_by_both:
                    self._frames.send_ping(KEEP_ALIVE)
            self._probed_at = now
        if patience is None:
            return None
        due = self._probed_at + patience
        if now < due:
            return due
        failure = ConnectionTimedOut(
            f"nothing arrived for {now - self._alive_at:.0f} s, not even the answer to a ping",
            request_sent="yes",
            phase="pong",
        )
        self._give_up(failure)
        raise failure

    # ---- the end

    def _co_end(self) -> Co[None]:
        """Send what is left, wait for a while for the server to close, and close."""
        if self._stream.is_open:
            yield from self._co_pump(self._is_ended, time.monotonic() + MAX_LINGER)
        self._stream.close()

    def _closed(self) -> DugongError:
        """Return the error for an operation after the end."""
        code, reason = self._frames.close
        lost = self._lost
        if isinstance(lost, ConnectionTimedOut):
            message = f"the WebSocket was given up: {lost}"
        elif code == ABNORMAL and lost is not None:
            message = f"the connection was lost: {lost}"
        elif code == ABNORMAL:
            message = "the connection ended without a close frame"
        else:
            message = f"the WebSocket is closed: {code}{f' {reason!r}' if reason else ''}"
        error = WebSocketClosed(message, code=code, reason=reason, request_sent="yes")
        error.__cause__ = lost
        return error


class _Use:
    """The exclusive use that one operation has of directions, and its flag.

    Attributes:
        reading: True if it receives.
        writing: True if it sends.
        flag: set by others when something may have changed; None before it is needed.
        moved: True if the last pass has moved bytes, or has found the end of them.

    """

    __slots__ = ("_locks", "flag", "moved", "reading", "writing")

    def __init__(self, stream: ByteStream) -> None:
        self._locks = stream.in_use.reading, stream.in_use.sending
        self.reading = self.writing = self.moved = False
        self.flag: Wake | None = None

    def begin_reading(self) -> bool:
        """Take the use of receiving, if it is free."""
        lock, _ = self._locks
        (self.reading,) = map(lock.acquire, NOT_BLOCKING)  # see holding.py
        return self.reading

    def begin_writing(self) -> bool:
        """Take the use of sending, if it is free."""
        _, lock = self._locks
        (self.writing,) = map(lock.acquire, NOT_BLOCKING)
        return self.writing

    def end(self) -> None:
        """Give back what is taken."""
        reading, writing = self._locks
        if self.reading:
            self.reading = False
            reading.release()
        if self.writing:
            self.writing = False
            writing.release()
