"""Receiving the bodies of responses, in every way that callers ask for.

Payload goes from the receive buffer to the caller, or directly from the stream into
the caller's memory where that saves a copy.

Not here: where a body ends (http1/), and what happens then (receiving.py).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, TypeVar

from .errors import InvalidResponse, StateError
from .http1.body import Body
from .link import Role, SharedLink
from .polling import Co
from .transport.buffer import ReceiveBuffer
from .transport.tcp import TURN, Stream, co_attempt

A = TypeVar("A")
T = TypeVar("T", int, bytes)
MAX_PIECE: Final = 262144  # bytes asked for at once: memory never follows announced lengths


class BodyReader:
    """Reads one body after the other.

    Args:
        link: where from.
        role: the right to read.
        buffer: what has been received and not taken.
        ended: called when a body is complete.

    Attributes:
        known: False if there is no body that could be read: none has begun since the last
            one, or it was lost.
    """

    def __init__(
        self, link: SharedLink, role: Role, buffer: ReceiveBuffer, ended: Callable[[Body], object]
    ) -> None:
        self._link = link
        self._role = role
        self._buffer = buffer
        self._ended = ended
        self._direct = len(buffer.data)  # bytes from which on the buffer is passed by
        self.known = False  # is there a body to read, perhaps to its end already?
        self._body: Body | None = None
        self._kept = memoryview(b"")  # payload that an interrupted `co_readall` had
        self._unwaited = 0  # bytes received since the last wait

    def reset(self) -> None:
        """Forget the body that is being read; it will not look like its end."""
        if self._body is not None:
            self.known = False
        self._body = None
        self._kept = memoryview(b"")

    def begin(self, body: Body | None) -> None:
        """Go on with the body of a new response, None if it has none."""
        self.known = True
        self._body = body
        self._kept = memoryview(b"")  # of a response that was given up

    def co_readinto(self, target: memoryview) -> Co[int]:
        """See `Operations.co_readinto`."""
        with self._role:
            if self._kept:
                count = min(len(target), len(self._kept))
                target[:count] = self._kept[:count]
                self._kept = self._kept[count:]
                return count
            owed = yield from self._co_owed()
            if not owed or not target:
                return 0
            target = target[:owed]
            buffer = self._buffer
            if buffer.begin < buffer.end or len(target) < self._direct:
                if not (yield from self._co_have_bytes()):
                    return 0
                count = buffer.take_into(target)
            else:
                stream = self._link.stream
                count = yield from self._co_receive(stream, stream.recv_into, target)
                if count == 0:
                    self._end_of_stream()
                    return 0
            self._took(count)
            return count

    def co_read(self, size: int) -> Co[bytes]:
        """See `Operations.co_read`."""
        with self._role:
            if self._kept:
                data, self._kept = self._kept[:size], self._kept[size:]
                return bytes(data)
            return (yield from self._co_piece(size))

    def _co_piece(self, size: int) -> Co[bytes]:
        """Read at least one and at most *size* bytes; ``b""`` at the end of the body."""
        owed = yield from self._co_owed()
        if not owed or size == 0:
            return b""
        size = min(size, owed)
        buffer = self._buffer
        if buffer.begin < buffer.end or size < self._direct:
            if not (yield from self._co_have_bytes()):
                return b""
            data = buffer.take(size)
        else:
            stream = self._link.stream
            data = yield from self._co_receive(stream, stream.recv, min(size, MAX_PIECE))
            if not data:
                self._end_of_stream()
                return b""
        self._took(len(data))
        return data

    def take_rest(self) -> bytes | None:
        """Return the rest of the body if all of it is in the buffer, else None."""
        if self._kept or self._body is None:
            return None
        with self._role:
            body = self._body
            buffer = self._buffer
            owed = None if body is None else body.announced()
            if not owed or owed > buffer.end - buffer.begin:
                return None
            data = buffer.take(owed)
            self._took(owed)
            return data

    def co_readall(self) -> Co[bytes]:
        """See `Operations.co_readall`."""
        with self._role:
            pieces: list[bytes | memoryview] = [self._kept]
            self._kept = memoryview(b"")
            try:
                while piece := (yield from self._co_piece(MAX_PIECE)):
                    pieces.append(piece)
                    if self._body is None:
                        break
            except BaseException:
                self._kept = memoryview(b"".join(pieces))
                raise
            return b"".join(pieces)

    def co_discard(self) -> Co[None]:
        """See `Operations.co_discard`."""
        with self._role:
            yield from self.co_skip()

    def co_skip(self) -> Co[None]:
        """Read the rest of the body and throw it away; the caller has the role."""
        self._kept = memoryview(b"")
        buffer = self._buffer
        while owed := (yield from self._co_owed()):
            if not (yield from self._co_have_bytes()):
                return
            count = min(owed, buffer.end - buffer.begin)
            buffer.begin += count
            self._took(count)

    def _co_owed(self) -> Co[int]:
        """Return how many bytes of payload come next, 0 at the end of the body."""
        body = self._body
        if body is None:
            if not self.known:
                raise StateError("there is no body to read: call read_response() first")
            return 0
        self._link.check_unbroken()
        while (owed := body.owed(self._buffer)) is None:
            if not (yield from self._co_fill()):
                body.end_of_stream()
        if owed == 0:
            self._end()
        return owed

    def _co_have_bytes(self) -> Co[bool]:
        """Have payload in the buffer; False says that the body has ended instead."""
        if self._buffer.begin < self._buffer.end or (yield from self._co_fill()):
            return True
        self._end_of_stream()
        return False

    def _co_fill(self) -> Co[int]:
        """Receive into the buffer; 0 is the end of the stream."""
        stream = self._link.stream
        count = yield from self._co_receive(stream, stream.recv_into, self._buffer.room())
        self._buffer.end += count
        return count

    def _co_receive(self, stream: Stream, receive: Callable[[A], T | None], argument: A) -> Co[T]:
        """Call *receive* with *argument*, at once or after waiting.

        Where bytes never fail to be there it waits needlessly now and then, so that other
        operations of the same loop have their turn and a deadline is looked at.
        """
        result = None
        if self._unwaited < TURN or stream.has_buffered():
            result = receive(argument)
        if result is None:
            self._unwaited = 0
            timeout = self._link.timeout
            result = yield from co_attempt(receive, argument, stream.wanted_by_recv, timeout)
        self._unwaited += result if isinstance(result, int) else len(result)
        return result

    def _took(self, count: int) -> None:
        """Note that payload was taken; look, without waiting, whether it was the last."""
        body = self._body
        assert body is not None
        body.took(count)
        try:
            complete = body.owed(self._buffer) == 0
        except InvalidResponse:
            return  # raised by the next call: these bytes are still good
        if complete:
            self._end()

    def _end_of_stream(self) -> None:
        self._link.stream  # noqa: B018 - raises if it was us who ended it
        assert self._body is not None
        self._body.end_of_stream()
        self._end()

    def _end(self) -> None:
        body, self._body = self._body, None
        assert body is not None
        self._ended(body)
