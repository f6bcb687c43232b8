"""The receive buffer: one stretch of memory that bytes arrive in and are parsed in.

Not here: receiving (tcp.py, tls.py) and parsing (http1/).
"""

from __future__ import annotations

from typing import Final

BUFFER_SIZE: Final = 65536  # bytes; a whole head fits, and four TLS records


class ReceiveBuffer:
    """Bytes that have arrived and that nobody has taken: ``data[begin:end]``.

    Attributes:
        data: the memory; it is replaced when it has to grow.
        begin: where the bytes start. Whoever takes some moves it.
        end: where they end. Whoever receives some moves it.

    """

    __slots__ = ("_view", "begin", "data", "end")

    def __init__(self, size: int = BUFFER_SIZE) -> None:
        self.data = bytearray(size)
        self._view = memoryview(self.data)
        self.begin = 0
        self.end = 0

    def clear(self) -> None:
        """Forget all bytes."""
        self.begin = self.end = 0

    def room(self) -> memoryview:
        """Return the memory behind the last byte, never empty, to receive into."""
        if self.begin == self.end:
            self.begin = self.end = 0
            return self._view
        if self.end == len(self.data):
            self._make_room()
        return self._view[self.end :]

    def _make_room(self) -> None:
        """Move the bytes to the front; if they fill the memory, double it."""
        kept = self.data[self.begin : self.end]
        if self.begin == 0:
            self.data = bytearray(2 * len(self.data))
            self._view = memoryview(self.data)
        self.data[: len(kept)] = kept
        self.begin, self.end = 0, len(kept)

    def take(self, count: int) -> bytes:
        """Take and return the first *count* bytes, or all if there are fewer."""
        start = self.begin
        self.begin = min(start + count, self.end)
        return bytes(self._view[start : self.begin])

    def take_into(self, target: memoryview) -> int:
        """Take bytes into *target*, as many as fit, and return how many that were."""
        start = self.begin
        self.begin = min(start + len(target), self.end)
        count = self.begin - start
        target[:count] = self._view[start : self.begin]
        return count
