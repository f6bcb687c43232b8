"""The receive buffer: one block of memory, in which bytes arrive and are parsed.

The memory is borrowed while it contains bytes: a connection that waits has none.

Not here: receiving (tcp.py, tls/over_socket.py) and parsing (http/h1/).
"""

from __future__ import annotations

from collections import deque
from typing import Final, Protocol

from ..polling.fairness import TURN

BUFFER_SIZE: Final = 65536  # bytes; a whole head fits, and four TLS records
# Bytes that should have arrived before a reader of many more is woken, for fewer and larger calls.
# More saves nothing (measured), and the sender needs room to continue meanwhile.
LOW_WATER: Final = 131072
MOST_SPARE: Final = 16  # blocks of one size that are kept for the next borrower

Memory = tuple[bytearray, memoryview]
NOTHING: Final[Memory] = bytearray(), memoryview(b"")
_spare: Final[dict[int, deque[Memory]]] = {}  # by size; append and pop are atomic


def new_memory(size: int) -> Memory:
    """Return new memory of *size* bytes to borrow."""
    data = bytearray(size)
    return data, memoryview(data)


def spare_memory(size: int) -> deque[Memory]:
    """Return the memory of *size* bytes that may be borrowed; see `ReceiveBuffer.spare`."""
    spare = _spare.get(size)
    return _spare.setdefault(size, deque(maxlen=MOST_SPARE)) if spare is None else spare


class Receiver(Protocol):
    """The receiving side of a stream; see `Stream`."""

    def recv_into(self, buffer: memoryview) -> int | None:
        """Receive into *buffer*; 0 is the end of the stream, None means that it would block."""
        ...


class ReceiveBuffer:
    """Bytes that have arrived and were not taken yet: ``data[begin:end]``.

    Attributes:
        data: the memory; it is replaced when it has to grow, and empty when it is not borrowed.
        begin: index of the first byte; taking bytes moves it.
        end: index behind the last byte; receiving moves it. If both change, `end` is set first,
            so that another thread never sees more bytes than there are.
        size: bytes of memory to borrow.
        received: bytes that have arrived so far, including those that bypassed the buffer, except
            whole responses that were received into memory of `spare`.
        spare: memory of that size to borrow, if there is any; `pop`, and `append` to give it back.
        wanted: number of bytes that should arrive before the failed attempt is repeated; 0: any
            number. The wait reads it and sets it to 0.
        turn_ends: value of `received` at which other operations are to run; each step subtracts
            `STEP` from it. An attempt that fails for that reason begins the next period.
        much: True if the failed attempt is in the middle of many bytes, so that the peer does not
            hold any back. Every attempt that fails sets it.

    """

    __slots__ = (
        *("_memory", "_view", "begin", "data", "end", "much", "received", "size", "spare"),
        *("turn_ends", "wanted"),
    )

    def __init__(self, size: int = BUFFER_SIZE) -> None:
        self._memory: Memory | None = None  # the borrowed memory
        self.data, self._view = NOTHING
        self.spare = spare_memory(size)
        self.size = size
        self.begin = 0
        self.end = 0
        self.received = 0
        self.turn_ends = TURN
        self.wanted = 0
        self.much = False

    def is_turn_over(self) -> bool:
        """Return True if other operations of the loop are to run first."""
        return self.received >= self.turn_ends

    def begin_turn(self) -> None:
        """Begin the next period: other operations run now."""
        self.turn_ends = self.received + TURN

    def clear(self) -> None:
        """Drop all bytes. A thread may be receiving into the memory, so it is not reused."""
        self._memory = None
        self.data, self._view = NOTHING
        self.end = self.begin = 0

    def fill(self, stream: Receiver) -> int | None:
        """Receive behind the last byte, and return the number of bytes.

        0 is the end of the stream; None means that it would block, and that the memory has been
        given back if it was empty.
        """
        if not self.data:
            try:  # as `_borrow` does, which is a call
                borrowed = self.spare.pop()
            except IndexError:
                borrowed = new_memory(self.size)
            self._memory = borrowed
            self.data, self._view = borrowed  # both, whatever interrupts this
            room = self._view
        else:
            room = self.room()
        count = stream.recv_into(room)
        if count:
            self.end += count
            self.received += count
        elif self.begin == self.end:
            self.give_back()
        return count

    def room(self) -> memoryview:
        """Return the memory behind the last byte, never empty, to receive into."""
        if self.begin == self.end:
            self.end = self.begin = 0
            if not self.data:
                self._borrow()
            return self._view
        if self.end == len(self.data):
            self._make_room()
        return self._view[self.end :]

    def give_back(self) -> None:
        """Return the memory, which contains no bytes, for the next borrower."""
        memory = self._memory
        if memory is not None:
            self._memory = None
            self.spare.append(memory)
        self.data, self._view = NOTHING
        self.end = self.begin = 0

    def _borrow(self) -> None:
        try:
            memory = self.spare.pop()
        except IndexError:
            memory = new_memory(self.size)
        self._memory = memory
        self.data, self._view = memory

    def adopt(self, memory: Memory, count: int) -> None:
        """Have borrowed *memory*, into which *count* bytes were received; the buffer has none."""
        self._memory = memory
        self.data, self._view = memory
        self.end = count
        self.received += count

    def _make_room(self) -> None:
        """Move the bytes to the front; if they fill the memory, double it."""
        kept = self.data[self.begin : self.end]
        if self.begin == 0:
            self._memory = None  # too large to be kept for others
            self.data = bytearray(2 * len(self.data))
            self._view = memoryview(self.data)
        self.data[: len(kept)] = kept
        self.end, self.begin = len(kept), 0

    def take(self, count: int) -> bytes:
        """Take and return the first *count* bytes, or all if there are fewer."""
        start = self.begin
        stop = start + count
        if stop > self.end:  # noqa: PLR1730 - a call of min() takes as long as the rest
            stop = self.end
        self.begin = stop
        return bytes(self._view[start:stop])

    def view(self, count: int) -> memoryview:
        """Return the first *count* bytes, of at least as many, without taking them."""
        return self._view[self.begin : self.begin + count]

    def take_into(self, target: memoryview) -> int:
        """Take as many bytes into *target* as fit, and return their number."""
        start = self.begin
        self.begin = min(start + len(target), self.end)
        count = self.begin - start
        target[:count] = self._view[start : self.begin]
        return count
