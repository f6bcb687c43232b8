"""Bodies of known length, and bodies that end with the connection (RFC 9112 section 6.3).

A body tells how many bytes of payload come next, and is told how many were taken.
The payload itself never passes through here.

Not here: chunked bodies (chunked.py), and which kind a response has (framing.py).
"""

from __future__ import annotations

import sys
from typing import Protocol

from ..errors import ConnectionClosed, UnsupportedResponse


class Source(Protocol):
    """The bytes that have arrived: ``data[begin:end]``. Taking some moves *begin*."""

    data: bytearray
    begin: int
    end: int


class Body(Protocol):
    """What every kind of body can say. `trailers` are field lines."""

    trailers: bytes

    def owed(self, source: Source) -> int | None:
        """Return how many bytes of payload come next.

        0 says that the body is complete, None that *source* has too little framing
        to tell. Framing in front of the payload is taken from *source*.

        Raises:
            InvalidResponse: the framing is wrong.

        """
        ...

    def announced(self) -> int | None:
        """Return how many bytes of payload are left, or None if only the end will tell."""
        ...

    def took(self, count: int) -> None:
        """Note that *count* bytes of payload were taken."""
        ...

    def end_of_stream(self) -> None:
        """Note that the connection has ended.

        Raises:
            ConnectionClosed: the body is not complete.

        """
        ...


class SizedBody:
    """A body whose length is known."""

    __slots__ = ("_length", "_remaining")
    trailers = b""

    def __init__(self, length: int) -> None:
        self._length = length
        self._remaining = length

    def owed(self, source: Source) -> int:  # noqa: ARG002 - has no framing to look for
        """Return how many bytes are missing."""
        return self._remaining

    def announced(self) -> int:
        """Return how many bytes are missing."""
        return self._remaining

    def took(self, count: int) -> None:
        """Note that *count* bytes of payload were taken."""
        self._remaining -= count

    def end_of_stream(self) -> None:
        """Raise `ConnectionClosed`: whoever asks for more is owed more."""
        raise ConnectionClosed(
            f"the connection ended with {self._remaining} of {self._length} body bytes missing",
            request_sent="yes",
        )


class UntilCloseBody:
    """A body that ends when the server closes the connection."""

    __slots__ = ("_ended",)
    trailers = b""

    def __init__(self) -> None:
        self._ended = False

    def owed(self, source: Source) -> int:  # noqa: ARG002 - has no framing to look for
        """Return 0 after the end, else more than can ever arrive."""
        return 0 if self._ended else sys.maxsize

    def announced(self) -> None:
        """Return None: nobody knows."""

    def took(self, count: int) -> None:
        """Note nothing: no count is kept."""

    def end_of_stream(self) -> None:
        """Note that the body is complete."""
        self._ended = True


class UnknownBody:
    """A body in a transfer coding that this library does not undo."""

    __slots__ = ()
    trailers = b""

    def owed(self, source: Source) -> int:  # noqa: ARG002 - has no framing to look for
        """Raise `UnsupportedResponse`: status and fields could be used, the body cannot."""
        raise UnsupportedResponse(
            "the body has a transfer coding other than chunked",
            request_sent="yes",
        )

    def announced(self) -> None:
        """Return None: nobody knows."""

    def took(self, count: int) -> None:
        """Never called: nothing is ever owed."""

    def end_of_stream(self) -> None:
        """Never called: nothing is ever waited for."""
