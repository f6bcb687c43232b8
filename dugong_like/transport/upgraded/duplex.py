"""Reading and writing a stream without HTTP: exclusive use, and the effects of interruptions.

One operation reads and one writes at a time. An interrupted read loses nothing; an interrupted
write makes the stream unusable, as the number of bytes that the peer has received is unknown.

Not here: the locks and the deferred close (transport/exclusive.py), the operations for users
(network_stream.py), and sockets and TLS (transport/).
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from functools import partial
from threading import Lock
from typing import TypeVar

from ...errors import ConnectionClosed, DugongError, StateError
from ...polling.combinators import Bundle, earlier
from ...polling.contract import Co, PollNeeded
from ...polling.fairness import StepCounter
from ...polling.holding import NOT_BLOCKING
from ...polling.numbers import check_seconds
from ...polling.progress_deadline import ProgressDeadline
from ...polling.wake import Wake, co_checkpoint
from ..attempts import SendLimit, co_attempts, co_receive, timed_out
from ..exclusive import StreamInUse
from ..stream import Stream

A = TypeVar("A")
T = TypeVar("T")


class Duplex:
    """Base of `NetworkStream`; see there for the arguments.

    Attributes:
        in_use: its locks are held by the one that reads and the one that writes.

    """

    def __init__(
        self,
        stream: Stream,
        received: bytes = b"",
        timeout: float | None = None,
        *,
        url: str = "",
    ) -> None:
        self.in_use = StreamInUse()
        if timeout is not None:
            check_seconds(timeout, "timeout")
        self.timeout = timeout
        self._url = url
        self._received: bytes | memoryview = received
        self._failure: Exception | None = None
        self._deaf: Exception | None = None  # why the peer takes no more bytes
        self._said_all = False
        self._read_steps = StepCounter()
        self._write_steps = StepCounter()
        self._send_limit: ProgressDeadline | None = None  # of `try_send`
        self.in_use.opened(stream)

    # ---- for a protocol above that waits for both directions at once: attempts, and one wait

    @property
    def is_open(self) -> bool:
        """True until the stream is closed."""
        return self.in_use.stream is not None

    @property
    def origin(self) -> str:
        """The URL of the peer, for messages of errors; empty for none."""
        return self._url

    def try_recv(self, size: int) -> bytes | None:
        """Receive at most *size* bytes, having the use of reading.

        Returns:
            The bytes; ``b""`` at the end of the stream; None if it would block.

        Raises:
            ConnectionClosed: the stream is closed, or the connection was lost.

        """
        stream = self.in_use.stream
        if stream is None or self._failure is not None:
            stream = self._usable()  # which raises
        if self._received:
            return self._take_received(size)
        received = stream.recv(size)
        if received == b"":
            self._usable()  # closed by this side?
        return received

    def try_send(self, data: bytes | memoryview) -> int | None:
        """Send the beginning of *data*, having the use of writing.

        After None the next call must have the same data.

        Returns:
            The number of bytes; None if it would block.

        Raises:
            ConnectionClosed: the stream is closed, or the peer takes no more.
            ConnectionTimedOut: nothing could be sent for `timeout` seconds, in which somebody
                waited.

        """
        stream = self.in_use.stream
        if stream is None or self._failure is not None:
            stream = self._usable()  # which raises
        sent = stream.send([data])
        if sent is not None:
            self._send_limit = None
        elif self.timeout is not None:
            if self._send_limit is None:
                self._send_limit = ProgressDeadline(self.timeout)
            elif self._send_limit.has_passed():
                raise timed_out("nothing could be sent", self.timeout, "write")
        return sent

    def recv_need(self) -> PollNeeded | None:
        """Return the wait for the next `try_recv`; None if that has something already.

        Raises:
            ConnectionClosed: the stream is closed.

        """
        stream = self.in_use.stream
        if stream is None or self._failure is not None:
            stream = self._usable()  # which raises
        if self._received or stream.buffered:
            return None
        return stream.wanted_by_recv(None)

    def co_ready(
        self, *, read: bool, write: bool, wake: Wake | None, deadline: float | None
    ) -> Co[None]:
        """Wait until an attempt may succeed, *wake* is set, or *deadline* has come.

        It may return earlier. Closing it loses nothing.

        Args:
            read: True to wait for the last `try_recv`, having the use of reading.
            write: True to wait for the last `try_send`, having the use of writing.
            wake: a flag to wait for, or None.
            deadline: seconds of `time.monotonic`, or None.

        Raises:
            ConnectionClosed: the stream is closed.

        """
        stream = self._usable()
        needs = []
        if write:
            need = stream.wanted_by_send(None)
            needs.append(need if self._send_limit is None else self._send_limit.limit(need))
        if read:
            stream.quick_ack()
            needs.append(stream.wanted_by_recv(None))
        if wake is not None:
            needs.append(wake.need())
        bundle = Bundle() if len(needs) > 1 else None
        was_resumed = False
        try:
            yield (
                needs[0].until(earlier(needs[0].deadline, deadline))
                if bundle is None
                else bundle.need(needs, deadline)
            )
            was_resumed = True
        finally:
            if not was_resumed:
                self._send_limit = None  # nobody waits any more
            if bundle is not None:
                bundle.close()

    def _co_exclusive(self, lock: Lock, what: str, going: Co[T]) -> Co[T]:
        """Do *going* with exclusive use of one direction."""
        held = False
        try:
            (held,) = map(lock.acquire, NOT_BLOCKING)  # see holding.py
            if not held:
                self._usable()  # if it was closed the operation that has the lock is about to end
                raise StateError(f"another operation is {what} on this stream")
            return (yield from going)
        except DugongError as exc:
            self._labelled(exc)
            raise
        finally:
            if held:
                try:
                    lock.release()
                    if self.in_use.left is not None:
                        self.in_use.give_back()
                except BaseException:  # Ctrl-C, behind one of these
                    self.in_use.give_back()
                    raise

    def _labelled(self, exc: DugongError) -> DugongError:
        """Return *exc* with the URL that it is about."""
        if self._url:
            exc.label("", self._url, " (upgraded)")
        return exc

    def _usable(self) -> Stream:
        """Return the stream if it is neither closed nor unusable."""
        if self._failure is not None:
            raise after(self._failure, "the stream is broken")
        stream = self.in_use.stream
        if stream is None:
            raise ConnectionClosed("the stream is closed")
        return stream

    def __del__(self) -> None:
        if self.in_use.stream is not None:
            self.drop()

    def drop(self) -> None:
        """Close the descriptors without informing the peer, as soon as no operation runs."""
        stream = self.in_use.withdraw()
        self._received = b""
        self.in_use.leave(stream)

    def _fail(self, failure: Exception) -> None:
        """Make every further use raise `ConnectionClosed`."""
        if self._failure is None:
            # Without its traceback, which refers to this frame.
            self._failure = failure.with_traceback(None)

    def _co_receive(self, attempt: Callable[[A], T | None], argument: A) -> Co[T]:
        going = self._co_receive_alone(attempt, argument)
        return self._co_exclusive(self.in_use.reading, "reading", going)

    def _co_receive_alone(self, attempt: Callable[[A], T | None], argument: A) -> Co[T]:
        if self._read_steps.is_over():
            yield from co_checkpoint()
        stream = self._usable()
        try:
            return (yield from co_receive(stream, attempt, argument, self.timeout))
        except ConnectionClosed as exc:
            if self.in_use.stream is stream:
                self._fail(copy.copy(exc))
                stream.shut_down_writing()
            raise
        except (TimeoutError, GeneratorExit):
            raise
        except BaseException as exc:  # from outside, such as Ctrl-C
            if not stream.waiting:
                self._fail(StateError(f"reading was interrupted by {exc!r}"))
            raise
        finally:
            stream.waiting = False

    def _take_received(self, size: int) -> bytes:
        """Take at most *size* bytes of those that were received before; the rest is not copied."""
        received = self._received
        data = bytes(received[:size])
        self._received = memoryview(received)[size:] if len(received) > size else b""
        return data

    def _recv(self, size: int) -> bytes | None:
        """Try to read; see `co_read`."""
        stream = self._usable()
        if size == 0:
            return b""
        if self._received:
            return self._take_received(size)
        received = stream.recv(size)
        if received == b"":
            self._usable()  # closed by this side?
        self._read_steps.done += len(received or b"")
        return received

    def _recv_into(self, target: memoryview) -> int | None:
        """Try to read; see `co_readinto`."""
        stream = self._usable()
        if not target:
            return 0
        if self._received:
            count = min(len(target), len(self._received))
            target[:count] = self._take_received(count)
            return count
        filled = stream.recv_into(target)
        if filled == 0:
            self._usable()
        self._read_steps.done += filled or 0
        return filled

    def _co_sending(self, attempts: Callable[[Stream], Co[None]]) -> Co[None]:
        """Write exclusively what *attempts* do; an incomplete write makes the stream unusable."""
        going = self._co_sending_alone(attempts)
        return self._co_exclusive(self.in_use.sending, "writing", going)

    def _co_sending_alone(self, attempts: Callable[[Stream], Co[None]]) -> Co[None]:
        stream = self._usable()
        if self._deaf is not None:
            raise after(self._deaf, "the peer takes no more")
        whole = False
        try:
            yield from attempts(stream)
            whole = True
        except StateError:  # nothing was sent at all
            whole = True
            raise
        except ConnectionClosed as exc:
            whole = True
            self._deaf = copy.copy(exc)  # without its traceback, which refers to this frame
            raise
        finally:
            if not whole:
                self._break(stream)

    def _co_send(self, data: memoryview) -> Co[None]:
        if not data and self._write_steps.is_over():
            yield from co_checkpoint()
        yield from self._co_sending(partial(self._co_send_all, data))

    def _co_send_all(self, data: memoryview, stream: Stream) -> Co[None]:
        if self._said_all:
            raise StateError("the end of what is written has been said")
        while data:
            if self._write_steps.is_over():
                yield from co_checkpoint()
            sent = self._send(data)
            if sent is None:
                waits = SendLimit(stream.wanted_by_send, self.timeout)
                sent = yield from co_attempts(self._send, data, waits)
            data = data[sent:]

    def _co_end(self) -> Co[None]:
        if self._write_steps.is_over():
            yield from co_checkpoint()
        yield from self._co_sending(self._co_end_all)

    def _co_end_all(self, stream: Stream) -> Co[None]:
        if not self._said_all and self._end(stream) is None:
            waits = SendLimit(stream.wanted_by_send, self.timeout)
            yield from co_attempts(self._end, stream, waits)
        self._said_all = True

    def _end(self, stream: Stream) -> bool | None:
        self._usable()
        return stream.end_sending()

    def _send(self, data: memoryview) -> int | None:
        stream = self._usable()
        sent = stream.send([data])
        if sent is not None:
            self._write_steps.done += sent
        return sent

    def _break(self, stream: Stream) -> None:
        """Mark the stream as unusable after an incomplete write, and wake a reader."""
        if self.in_use.stream is stream:
            self._fail(StateError("writing was given up in the middle"))
            stream.shut_down()


def after(failure: Exception, what: str) -> ConnectionClosed:
    """Return the error for a use after *failure*; *what* is its message."""
    error = ConnectionClosed(f"{what}: {failure}")
    if isinstance(failure, ConnectionClosed):
        error.retryable = failure.retryable
    error.__cause__ = failure
    return error
