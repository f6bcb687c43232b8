"""Bodies of known length, and bodies that end with the connection (RFC 9112 section 6.3).

A body object says how many bytes of payload come next. The reader counts and takes them; the
payload itself never passes through here.

Not here: chunked bodies (chunked.py), and the framing of a response (framing.py).
"""

from __future__ import annotations

import sys
from typing import Final, Protocol

from ...errors import ConnectionClosed, UnsupportedResponse


class Source(Protocol):
    """The bytes that have arrived: ``data[begin:end]``. Taking bytes moves *begin*."""

    data: bytearray
    begin: int
    end: int


class Body(Protocol):
    """The interface of every kind of body. `trailers` are field lines."""

    trailers: bytes

    def next(self, source: Source) -> int | None:
        """Return the number of bytes of payload that come next; all before them were taken.

        0 means that the body is complete, None that more bytes of the framing are needed.
        Framing in front of the payload is taken from *source*.

        Raises:
            InvalidResponse: the framing is wrong.

        """
        ...

    def end_of_stream(self, owed: int, length: int) -> None:
        """Handle the end of the connection, *owed* bytes of *length* before the next framing.

        Raises:
            ConnectionClosed: the body is not complete.

        """
        ...


class SizedBody:
    """A body of known length, without framing inside."""

    __slots__ = ()
    trailers = b""

    def next(self, source: Source) -> int:  # noqa: ARG002 - has no framing to look for
        """Return 0: the whole payload has been taken."""
        return 0

    def end_of_stream(self, owed: int, length: int) -> None:
        """Raise `ConnectionClosed`: bytes are missing."""
        raise ConnectionClosed(
            f"the connection ended with {owed} of {length} body bytes missing",
            request_sent="yes",
        )


class UntilCloseBody:
    """A body that ends when the server closes the connection."""

    __slots__ = ()
    trailers = b""

    def next(self, source: Source) -> int:  # noqa: ARG002 - has no framing to look for
        """Return 0; never called before `ENDLESS` bytes have been taken."""
        return 0

    def end_of_stream(self, owed: int, length: int) -> None:
        """Do nothing: the body is complete."""


class UnknownBody:
    """A body in a transfer coding that the library does not support."""

    __slots__ = ()
    trailers = b""

    def next(self, source: Source) -> int:  # noqa: ARG002 - has no framing to look for
        """Raise `UnsupportedResponse`: status and fields can be used, the body cannot."""
        raise UnsupportedResponse(
            "the body has a transfer coding other than chunked",
            request_sent="yes",
        )

    def end_of_stream(self, owed: int, length: int) -> None:
        """Never called: its reader never waits for bytes."""


# These have no state, so one object of each is enough.
SIZED: Final = SizedBody()
UNTIL_CLOSE: Final = UntilCloseBody()
UNKNOWN: Final = UnknownBody()
ENDLESS: Final = sys.maxsize  # bytes of a body until close: more than can ever arrive
