"""Bodies of known length, and bodies that end with the connection (RFC 9112 section 6.3).

A body tells how many bytes of payload come next. They are counted, and taken, by whoever
reads; the payload itself never passes through here.

Not here: chunked bodies (chunked.py), and which kind a response has (framing.py).
"""

from __future__ import annotations

import sys
from typing import Final, Protocol

from ...errors import ConnectionClosed, UnsupportedResponse


class Source(Protocol):
    """The bytes that have arrived: ``data[begin:end]``. Taking some moves *begin*."""

    data: bytearray
    begin: int
    end: int


class Body(Protocol):
    """What every kind of body can say. `trailers` are field lines."""

    trailers: bytes

    def next(self, source: Source) -> int | None:
        """Return how many bytes of payload come next; all before them were taken.

        0 says that the body is complete, None that *source* has too little framing
        to tell. Framing in front of the payload is taken from *source*.

        Raises:
            InvalidResponse: the framing is wrong.

        """
        ...

    def end_of_stream(self, owed: int, length: int) -> None:
        """Note that the connection has ended, *owed* bytes of *length* before the next framing.

        Raises:
            ConnectionClosed: the body is not complete.

        """
        ...


class SizedBody:
    """A body whose length is known, and which has no framing inside."""

    __slots__ = ()
    trailers = b""

    def next(self, source: Source) -> int:  # noqa: ARG002 - has no framing to look for
        """Return 0: all has been taken."""
        return 0

    def end_of_stream(self, owed: int, length: int) -> None:
        """Raise `ConnectionClosed`: whoever asks for more is owed more."""
        raise ConnectionClosed(
            f"the connection ended with {owed} of {length} body bytes missing",
            request_sent="yes",
        )


class UntilCloseBody:
    """A body that ends when the server closes the connection."""

    __slots__ = ()
    trailers = b""

    def next(self, source: Source) -> int:  # noqa: ARG002 - has no framing to look for
        """Return 0; not asked for before `ENDLESS` bytes have been taken."""
        return 0

    def end_of_stream(self, owed: int, length: int) -> None:
        """Do nothing: the body is complete."""


class UnknownBody:
    """A body in a transfer coding that this library does not undo."""

    __slots__ = ()
    trailers = b""

    def next(self, source: Source) -> int:  # noqa: ARG002 - has no framing to look for
        """Raise `UnsupportedResponse`: status and fields could be used, the body cannot."""
        raise UnsupportedResponse(
            "the body has a transfer coding other than chunked",
            request_sent="yes",
        )

    def end_of_stream(self, owed: int, length: int) -> None:
        """Never called: nothing is ever waited for."""


# None of them has anything to remember, so one of each will do.
SIZED: Final = SizedBody()
UNTIL_CLOSE: Final = UntilCloseBody()
UNKNOWN: Final = UnknownBody()
ENDLESS: Final = sys.maxsize  # bytes owed by a body until close: more than can ever arrive
