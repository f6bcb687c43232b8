"""The receive buffer: one stretch of memory that bytes arrive in and are parsed in.

The memory is borrowed while there are bytes in it: a connection that waits has none.

Not here: receiving (tcp.py, tls/over_socket.py) and parsing (http/h1/).
"""

from __future__ import annotations

from collections import deque
from typing import Final, Protocol

from ..polling.fairness import TURN

BUFFER_SIZE: Final = 65536  # bytes; a whole head fits, and four TLS records
MOST_SPARE: Final = 16  # stretches of one size that are kept for the next borrower

Memory = tuple[bytearray, memoryview]
NOTHING: Final[Memory] = bytearray(), memoryview(b"")
_spare: Final[dict[int, deque[Memory]]] = {}  # by size; append and pop are atomic


class Receiver(Protocol):
    """What bytes come from; see `tcp.Stream`."""

    def recv_into(self, buffer: memoryview) -> int | None:
        """Receive into *buffer*; 0 is the end of the stream, None says that it would block."""
        ...


class ReceiveBuffer:
    """Bytes that have arrived and that nobody has taken: ``data[begin:end]``.

    Attributes:
        data: the memory; it is replaced when it has to grow, and empty when it was given back.
        begin: where the bytes start. Whoever takes some moves it.
        end: where they end. Whoever receives some moves it. Where both change `end` comes
            first, so that no other thread sees more bytes than there are.
        size: bytes of memory that are borrowed.
        received: bytes that have arrived so far, also where the buffer was passed by.
        wanted: how many should arrive before the attempt that has just failed is made again;
            0: any number. Whoever waits takes note and sets it back.
        turn_ends: `received` when others have their turn; each step takes `STEP` off it. Whoever
            makes attempts that fail for that reason lets the next turn begin.
        much: True if the attempt that has just failed is in the middle of much, so that the peer
            holds nothing back. Whoever makes an attempt that fails says it anew.

    """

    __slots__ = (
        *("_memory", "_spare", "_view", "begin", "data", "end", "much", "received", "size"),
        *("turn_ends", "wanted"),
    )

    def __init__(self, size: int = BUFFER_SIZE) -> None:
        self._memory: Memory | None = None  # what was borrowed
        self.data, self._view = NOTHING
        spare = _spare.get(size)
        self._spare = _spare.setdefault(size, deque(maxlen=MOST_SPARE)) if spare is None else spare
        self.size = size
        self.begin = 0
        self.end = 0
        self.received = 0
        self.turn_ends = TURN
        self.wanted = 0
        self.much = False

    def is_turn_over(self) -> bool:
        """Return True if others of the same loop shall have their turn before anything else."""
        return self.received >= self.turn_ends

    def begin_turn(self) -> None:
        """Note that others have their turn now."""
        self.turn_ends = self.received + TURN

    def clear(self) -> None:
        """Forget all bytes. Somebody may be receiving into the memory, so nobody gets it."""
        self._memory = None
        self.data, self._view = NOTHING
        self.end = self.begin = 0

    def fill(self, stream: Receiver) -> int | None:
        """Receive behind the last byte what there is, and return how many bytes that was.

        0 is the end of the stream; None says that it would block, and the memory has been
        given back if it was empty.
        """
        if not self.data:
            self._borrow()
            room = self._view
        else:
            room = self.room()
        memory = self.data
        count = stream.recv_into(room)
        if self.data is not memory:
            return None  # cleared meanwhile, by another thread
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
        """Let others have the memory; there are no bytes in it."""
        memory = self._memory
        if memory is not None:
            self._memory = None
            self._spare.append(memory)
        self.data, self._view = NOTHING
        self.end = self.begin = 0

    def _borrow(self) -> None:
        try:
            memory = self._spare.pop()
        except IndexError:
            data = bytearray(self.size)
            memory = data, memoryview(data)
        self._memory = memory
        self.data, self._view = memory

    def _make_room(self) -> None:
        """Move the bytes to the front; if they fill the memory, double it."""
        kept = self.data[self.begin : self.end]
        if self.begin == 0:
            self._memory = None  # nobody borrows this much
            self.data = bytearray(2 * len(self.data))
            self._view = memoryview(self.data)
        self.data[: len(kept)] = kept
        self.end, self.begin = len(kept), 0

    def take(self, count: int) -> bytes:
        """Take and return the first *count* bytes, or all if there are fewer."""
        start = self.begin
        stop = start + count
        if stop > self.end:  # noqa: PLR1730 - a call of min() takes as long as all of this
            stop = self.end
        self.begin = stop
        return bytes(self._view[start:stop])

    def view(self, count: int) -> memoryview:
        """Return the first *count* bytes, of at least as many; they are not taken."""
        return self._view[self.begin : self.begin + count]

    def take_into(self, target: memoryview) -> int:
        """Take bytes into *target*, as many as fit, and return how many that were."""
        start = self.begin
        self.begin = min(start + len(target), self.end)
        count = self.begin - start
        target[:count] = self._view[start : self.begin]
        return count
