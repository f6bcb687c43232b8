"""Reading and writing a stream without HTTP: exclusive use, and the effects of interruptions.

One operation reads and one writes at a time. An interrupted read loses nothing; an interrupted
write makes the stream unusable, as the number of bytes that the peer has received is unknown.

Not here: the operations for users (network_stream.py), and sockets and TLS (transport/).
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import Lock, RLock
from typing import TypeVar

from ...errors import ConnectionClosed, DugongError, StateError
from ...polling.contract import Co
from ...polling.fairness import StepCounter
from ...polling.fork import after_fork
from ...polling.numbers import check_seconds
from ...polling.wake import co_checkpoint
from ..attempts import co_attempt_to_send, co_receive
from ..stream import Stream

A = TypeVar("A")
T = TypeVar("T")


class Turns:
    """Base of `NetworkStream`; see there for the arguments."""

    _stream: Stream | None = None  # before it is set
    _left: Stream | None = None  # to be closed when no operation uses it any more

    def __init__(
        self,
        stream: Stream,
        received: bytes = b"",
        timeout: float | None = None,
        *,
        url: str = "",
    ) -> None:
        if timeout is not None:
            check_seconds(timeout, "timeout")
        self.timeout = timeout
        self._url = url
        self._stream = stream
        self._received = received
        self._failure: Exception | None = None
        self._deaf: Exception | None = None  # why the peer takes no more bytes
        self._said_all = False
        # Nothing waits for these two, so they may be plain: whatever interrupts finds them taken.
        self._reading = Lock()
        self._writing = Lock()
        self._forgetting = RLock()  # a signal handler may close the stream, too
        self._read_steps = StepCounter()
        self._write_steps = StepCounter()
        after_fork(self.drop_inherited, closes=True)

    @contextmanager
    def _turn(self, lock: Lock, what: str) -> Iterator[None]:
        if not lock.acquire(blocking=False):
            raise self._labelled(StateError(f"another operation is {what} on this stream"))
        try:
            yield
        except DugongError as exc:
            self._labelled(exc)
            raise
        finally:
            lock.release()
            if self._left is not None:
                self._close_left()

    def _labelled(self, exc: DugongError) -> DugongError:
        """Return *exc* with the URL that it is about."""
        if self._url:
            exc.label("", self._url, " (upgraded)")
        return exc

    def _usable(self) -> Stream:
        """Return the stream if it is neither closed nor unusable."""
        if self._failure is not None:
            raise after(self._failure, "the stream is broken")
        if self._stream is None:
            raise ConnectionClosed("the stream is closed")
        return self._stream

    def _forget(self) -> Stream | None:
        """Return the stream, which the caller closes; None if another thread does so."""
        with self._forgetting:
            stream, self._stream = self._stream, None
        self._received = b""
        return stream

    def _leave(self, stream: Stream) -> None:
        """Close *stream* as soon as no operation uses it any more.

        Another thread may be about to wait for its descriptor. If it was closed now, its number
        could belong to another file by then, and the wait would not end.
        """
        self._left = stream
        self._close_left()

    def _close_left(self) -> None:
        with self._forgetting:
            if self._reading.locked() or self._writing.locked():
                return  # the operation does it at its end
            stream, self._left = self._left, None
        if stream is not None:
            stream.close()

    def __del__(self) -> None:
        if self._stream is not None or self._left is not None:
            self.drop()

    def drop(self) -> None:
        """Close the descriptors without informing the peer, for a child process."""
        stream = self._forget() or self._left
        if stream is not None:
            stream.close()

    def drop_inherited(self) -> None:
        """Drop the stream in a child process; a thread of the parent may hold the lock."""
        self._forgetting = RLock()
        self.drop()

    def _fail(self, failure: Exception) -> None:
        """Make every further use raise `ConnectionClosed`."""
        if self._failure is None:
            # Without its traceback, which refers to this frame.
            self._failure = failure.with_traceback(None)

    def _co_receive(self, attempt: Callable[[A], T | None], argument: A) -> Co[T]:
        with self._turn(self._reading, "reading"):
            if self._read_steps.is_over():
                yield from co_checkpoint()
            stream = self._usable()
            try:
                return (yield from co_receive(stream, attempt, argument, self.timeout))
            except ConnectionClosed as exc:
                if self._stream is stream:
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

    def _recv(self, size: int) -> bytes | None:
        """Try to read; see `co_read`."""
        stream = self._usable()
        if size == 0:
            return b""
        if self._received:
            data, self._received = self._received[:size], self._received[size:]
            return data
        received = stream.recv(size)
        if received == b"":
            self._usable()  # closed by this side?
        self._read_steps.add(len(received or b""))
        return received

    def _recv_into(self, target: memoryview) -> int | None:
        """Try to read; see `co_readinto`."""
        stream = self._usable()
        if not target:
            return 0
        if self._received:
            count = min(len(target), len(self._received))
            target[:count] = self._received[:count]
            self._received = self._received[count:]
            return count
        filled = stream.recv_into(target)
        if filled == 0:
            self._usable()
        self._read_steps.add(filled or 0)
        return filled

    @contextmanager
    def _sending(self) -> Iterator[Stream]:
        """Write exclusively; an incomplete write makes the stream unusable."""
        with self._turn(self._writing, "writing"):
            stream = self._usable()
            if self._deaf is not None:
                raise after(self._deaf, "the peer takes no more")
            whole = False
            try:
                yield stream
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
        with self._sending() as stream:
            if self._said_all:
                raise StateError("the end of what is written has been said")
            while data:
                if self._write_steps.is_over():
                    yield from co_checkpoint()
                sent = self._send(data)
                if sent is None:
                    sent = yield from co_attempt_to_send(
                        self._send, data, stream.wanted_by_send, self.timeout
                    )
                data = data[sent:]

    def _co_end(self) -> Co[None]:
        if self._write_steps.is_over():
            yield from co_checkpoint()
        with self._sending() as stream:
            if not self._said_all and self._end(stream) is None:
                yield from co_attempt_to_send(
                    self._end, stream, stream.wanted_by_send, self.timeout
                )
            self._said_all = True

    def _end(self, stream: Stream) -> bool | None:
        self._usable()
        return stream.end_sending()

    def _send(self, data: memoryview) -> int | None:
        stream = self._usable()
        sent = stream.send([data])
        if sent is not None:
            self._write_steps.add(sent)
        return sent

    def _break(self, stream: Stream) -> None:
        """Mark the stream as unusable after an incomplete write, and wake a reader."""
        if self._stream is stream:
            self._fail(StateError("writing was given up in the middle"))
            stream.shut_down()


def after(failure: Exception, what: str) -> ConnectionClosed:
    """Return the error for a use after *failure*; *what* is its message."""
    error = ConnectionClosed(f"{what}: {failure}")
    if isinstance(failure, ConnectionClosed):
        error.retryable = failure.retryable
    error.__cause__ = failure
    return error
