"""Reading and writing binary streams that the caller opened, without losing a byte.

Streams differ in how a call ends that cannot do everything (see the `io` module): a raw stream
takes a part, or returns None if it is non-blocking and not ready; a buffered one raises
BlockingIOError, which has the number of bytes taken; an object that only has ``write`` often
returns None when it has taken everything. This file gives all of them one interface: a number of
bytes, or None for "not now", after which `BinaryWriter.need` or `BinaryReader.need` returns the
wait.

Only non-blocking streams are waited for. The others block the thread.

Not here: regular files, whose bytes the system can move by itself (files.py).
"""

from __future__ import annotations

import io
import operator
import os
from typing import Any, Final

from ..errors import StateError, StreamNotReady
from .contract import POLLIN, POLLOUT, Co, PollNeeded
from .fairness import StepCounter
from .wake import co_checkpoint

MAX_COPY: Final = 1 << 20  # bytes copied for one call of a `write` that may keep its argument
# Attempts in a row without effect on a descriptor that is ready. Other processes that use the
# same pipe may be faster a few times; after more attempts the descriptor is not the one that the
# stream uses, and waiting for it would never end.
MAX_USELESS: Final = 1000


def co_write_all(stream: Any, data: bytes | bytearray | memoryview) -> Co[int]:
    """Write all of *data* to a binary stream; wait whenever it is non-blocking and full.

    Args:
        stream: a raw or buffered stream, or any object whose ``write`` takes bytes.
        data: may be of any size, and may be used again afterwards.

    Returns:
        The number of bytes, ``len(data)``.

    Raises:
        TypeError: *stream* is a text stream, or has no ``write``.
        StreamNotReady: *stream* takes nothing now, and cannot be waited for. Its
            ``characters_written`` says how many bytes of *data* have been taken.
        StateError: the result of ``write`` is not a possible number of bytes.
        Exception: any exception of ``write``. A `BinaryWriter` knows how much has been taken.

    """
    return BinaryWriter(stream).co_write_all(data)


def co_flush(stream: Any) -> Co[None]:
    """Flush a binary stream, if it can be; wait whenever it is non-blocking and full.

    Raises:
        TypeError, StreamNotReady: as in `co_write_all`.
        Exception: any exception of ``flush``.

    """
    return BinaryWriter(stream).co_flush()


def co_read_some(stream: Any, size: int) -> Co[bytes]:
    """Read at least one and at most *size* bytes; wait while a non-blocking stream has none.

    Args:
        stream: a raw or buffered stream, or any object with ``read``, ``readinto`` or ``read1``
            that returns bytes.
        size: at least 1.

    Returns:
        The bytes; ``b""`` at the end of the stream, and only there.

    Raises:
        TypeError: *stream* returns text, or has none of these methods.
        ValueError: *size* is less than 1.
        StreamNotReady: *stream* has nothing now, and cannot be waited for.
        StateError: it returned more than *size* bytes, or an impossible number.
        Exception: any exception of *stream*.

    """
    return BinaryReader(stream).co_read_some(size)


def is_binary(stream: Any, *methods: str) -> bool:
    """Return True if *stream* may be a binary stream, and has one of *methods*."""
    if isinstance(stream, io.TextIOBase):
        return False
    for method in methods:  # noqa: SIM110 - a third of the time of any()
        if hasattr(stream, method):
            return True
    return False


def check_binary(stream: Any, *methods: str) -> None:
    """Raise TypeError if *stream* is not a binary stream with one of *methods*."""
    if not is_binary(stream, *methods):
        raise TypeError(
            f"{type(stream).__name__} is no binary file to {methods[0]}: that is what open() "
            f"returns for a mode with 'b', io.BytesIO, or the buffer attribute of a text stream"
        )


def check_opened(stream: Any, direction: str) -> None:
    """Check that *stream*, if it is a file of Python, was opened for what is to be done.

    Other objects are not asked: many that can be read do not say so.

    Args:
        stream: a binary stream.
        direction: ``"reading"`` or ``"writing"``.

    Raises:
        ValueError: it is closed, or was opened for the other direction.

    """
    if type(stream).__module__ != "_io":
        return
    if not (stream.readable() if direction == "reading" else stream.writable()):
        name = getattr(stream, "name", None)
        called = f" {name!r}" if isinstance(name, str) else ""
        raise ValueError(f"{type(stream).__name__}{called} was not opened for {direction}")


def prefers_readinto(stream: Any) -> bool:
    """Return True if *stream* is to be read with ``readinto``, False if with ``read``.

    The method of the most derived class is preferred: a progress bar or a cipher may override
    only ``read``, and a raw stream has only ``readinto``.
    """
    if not hasattr(stream, "read"):
        return hasattr(stream, "readinto")
    for kind in type(stream).__mro__:
        if "readinto" in vars(kind):
            return "read" not in vars(kind) or kind.__module__ == "_io"
        if "read" in vars(kind):
            break
    return False


class _Waiting:
    """Base of reader and writer: waits for the descriptor of the stream."""

    def __init__(self, stream: Any, mask: int) -> None:
        self._stream = stream
        self._mask = mask
        self._useless = 0  # attempts since the last progress
        self._steps = StepCounter()  # calls of the caller's methods

    def need(self) -> PollNeeded:
        """Return the wait after an attempt without effect. Does not block.

        Raises:
            StreamNotReady: there is no descriptor, or it is ready all the time and the stream
                is not.
            OSError, ValueError: the descriptor cannot be polled.

        """
        need = PollNeeded(self._descriptor(), self._mask).because("file")
        self._useless += 1
        if not need.poll(0):
            self._useless = 0
        elif self._useless > MAX_USELESS:
            raise self._not_ready("although its descriptor is ready")
        return need

    def _descriptor(self) -> int:
        try:
            return operator.index(self._stream.fileno())
        except (AttributeError, TypeError, OSError) as exc:
            raise self._not_ready("and has no descriptor to wait for") from exc

    def _not_ready(self, why: str) -> StreamNotReady:
        now = "has nothing to read" if self._mask == POLLIN else "takes nothing"
        return StreamNotReady(f"{type(self._stream).__name__} {now} now, {why}")

    def _count(self, count: Any, most: int, what: str) -> int:
        """Check the number of bytes that a method of the stream returned."""
        try:
            number = operator.index(count)
        except TypeError:
            number = -1
        if not 0 <= number <= most:
            raise StateError(
                f"{type(self._stream).__name__}.{what} returned {count!r} where at most {most} "
                "bytes were asked for"
            )
        if number:
            self._useless = 0
        return number


class BinaryWriter(_Waiting):
    """Writes to a binary stream that the caller opened.

    Args:
        stream: see `co_write_all`.

    Attributes:
        written: bytes that the stream has taken, also if an error followed.

    Raises:
        TypeError: *stream* is a text stream, or has no ``write``.

    """

    def __init__(self, stream: Any) -> None:
        check_binary(stream, "write")
        super().__init__(stream, POLLOUT)
        self.written = 0

    def write_some(self, data: memoryview) -> int | None:
        """Write the beginning of *data*, without waiting.

        Returns:
            How many bytes the stream has taken, at least one; None if it takes nothing now.

        Raises:
            StateError: the result of ``write`` is not a possible number of bytes.
            Exception: any exception of ``write``.

        """
        if not data:
            return 0
        count = self._write(data)
        self.written += count
        return count or None

    def _write(self, data: memoryview) -> int:
        given: memoryview | bytes = data
        if not isinstance(self._stream, io.IOBase):  # it may keep the memory, which is used again
            given = bytes(data[:MAX_COPY])
        try:
            count = self._stream.write(given)
        except BlockingIOError as exc:
            # Unlike other exceptions: a part may be taken, which must not be written again.
            count = getattr(exc, "characters_written", 0)
        if count is None:
            count = 0 if isinstance(self._stream, io.RawIOBase) else self._all_of(given)
        return self._count(count, len(given), "write")

    def _all_of(self, given: memoryview | bytes) -> int:
        """Return the meaning of None outside of `io.RawIOBase`: everything was taken.

        Except if it may come from a non-blocking stream below.
        """
        try:
            blocking = os.get_blocking(self._stream.fileno())
        except (AttributeError, TypeError, OSError, ValueError):
            return len(given)  # there is no descriptor
        if not blocking:
            raise StateError(
                f"{type(self._stream).__name__}.write returned None and its descriptor is "
                "non-blocking: whether it has taken anything cannot be known"
            )
        return len(given)

    def co_write_all(self, data: bytes | bytearray | memoryview) -> Co[int]:
        """See `co_write_all` of the module. After an interruption, see `written`."""
        left = memoryview(data).cast("B")
        size = len(left)
        while left:
            if self._steps.is_over():
                yield from co_checkpoint()
            count = self.write_some(left)
            if count is None:
                try:
                    need = self.need()
                except StreamNotReady as exc:
                    exc.characters_written = size - len(left)
                    raise
                yield need
            else:
                self._steps.done += count
                left = left[count:]
        return size

    def co_flush(self) -> Co[None]:
        """See `co_flush` of the module."""
        if self._steps.is_over():
            yield from co_checkpoint()
        while not self.flush_some():
            yield self.need()

    def flush_some(self) -> bool:
        """Flush without waiting; False means that it has to be repeated.

        Raises:
            Exception: any exception of ``flush``.

        """
        if not hasattr(self._stream, "flush"):
            return True
        try:
            self._stream.flush()
        except BlockingIOError:
            return False
        self._useless = 0
        return True


class BinaryReader(_Waiting):
    """Reads a binary stream that the caller opened.

    Args:
        stream: see `co_read_some`.

    Raises:
        TypeError: *stream* is a text stream, or has no method to read with.

    """

    def __init__(self, stream: Any) -> None:
        # read1 is the last choice: that of a non-blocking `io.BufferedReader` returns b"" when
        # there is nothing yet.
        check_binary(stream, "read", "readinto", "read1")
        super().__init__(stream, POLLIN)
        self._fills = prefers_readinto(stream)

    def read_into(self, memory: memoryview) -> int | None:
        """Read into the beginning of *memory*, which is not empty, without waiting.

        Returns:
            How many bytes were read; 0 at the end of the stream; None if there are none yet.

        Raises:
            TypeError: *stream* returns text, or another object that is not bytes.
            StateError: it returned too many bytes, or an impossible number.
            Exception: any exception of the stream.

        """
        try:
            if self._fills:
                count = self._stream.readinto(memory)
                return None if count is None else self._count(count, len(memory), "readinto")
            data = self._read(len(memory))
        except BlockingIOError:
            return None
        if data is None:
            return None
        memory[: len(data)] = data
        return len(data)

    def read_some(self, size: int) -> memoryview | None:
        """Return at most *size* bytes, b"" at the end; None if there are none yet.

        Raises the same exceptions as `read_into`.
        """
        if not self._fills:
            try:
                return self._read(size)
            except BlockingIOError:
                return None
        memory = memoryview(bytearray(size))
        count = self.read_into(memory)
        return None if count is None else memory[:count]

    def _read(self, size: int) -> memoryview | None:
        read = getattr(self._stream, "read", None) or self._stream.read1
        data = read(size)
        if data is None:
            return None
        try:
            view = memoryview(data).cast("B")
        except TypeError:
            advice = ": is it a text stream, opened without 'b'?" if isinstance(data, str) else ""
            raise TypeError(
                f"{type(self._stream).__name__} gives {type(data).__name__} where bytes are "
                f"needed{advice}"
            ) from None
        if len(view) > size:
            raise StateError(
                f"{type(self._stream).__name__} gave {len(view)} bytes where {size} were asked for"
            )
        if view:
            self._useless = 0
        return view

    def co_read_some(self, size: int) -> Co[bytes]:
        """See `co_read_some` of the module."""
        if size < 1:
            raise ValueError(f"{size} bytes cannot be read: at least 1")
        if self._steps.is_over():
            yield from co_checkpoint()
        while (data := self.read_some(size)) is None:
            yield self.need()
        self._steps.done += len(data)
        return bytes(data)
