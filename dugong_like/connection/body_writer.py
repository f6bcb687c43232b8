"""The interface for writing the body of a request in steps, over HTTP/1.1 and over HTTP/2.

The sending half of a session is one, for the request that was sent last; an `Exchange` whose body
follows its head has one of its own.

Not here: what takes the steps (h1/sender.py, h2/body_writer.py), and files (file_transfer.py).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from ..http.headers import Fields
    from ..polling.contract import Co
    from ..transport.zero_copy import FileRange


class BodyWriter(Protocol):
    """Writes the body of one request, by steps: see session.py."""

    @property
    def owed(self) -> float | None:
        """Bytes of the request body that are to be written; see `HTTPConnection.body_owed`."""
        ...

    def begin(self, step: Callable[..., Co[None] | None], *arguments: Any) -> Co[None] | None:
        """Take *step*, one of this object, and complete its errors.

        Nothing is sent or noted before the operation that it returns begins. One of several at
        once is refused.
        """
        ...

    def write(self, data: memoryview | FileRange) -> Co[None] | None:
        """See `Operations.co_write`; a step."""
        ...

    def finish(self, trailers: bytes) -> Co[None] | None:
        """See `Operations.co_finish`; *trailers* are field lines. A step."""
        ...

    def nothing(self) -> Co[None] | None:
        """Return what an operation does that has nothing to send; a step."""
        ...

    def is_complete(self) -> bool:
        """Return True if nothing is left to be sent of the request."""
        ...

    def check_room(self, count: int) -> bool:
        """Check that *count* bytes can be written; return True if their number is not announced."""
        ...

    def has_bulk(self) -> bool:
        """Return True if a `FileRange` can be sent."""
        ...

    def break_off(self, failure: Exception) -> None:
        """Give up the body, as what is to be written cannot be had."""
        ...

    def label(self, exc: BaseException) -> None:
        """Say in *exc* that it is about the request."""
        ...


class ExchangeBody(BodyWriter, Protocol):
    """Writes the body of one exchange, whichever was sent last."""

    def abort(self) -> None:
        """Give up the body, unless it is complete or refused."""
        ...


def trailer_lines(writer: BodyWriter, trailers: Fields | None) -> bytes:
    """Return *trailers*, which end what *writer* writes, as field lines.

    Raises:
        InvalidRequest: they cannot be sent as they are.
        TypeError: they are neither a mapping nor pairs.

    """
    if not trailers:
        return b""
    from ..errors import InvalidRequest  # noqa: PLC0415 - few bodies have any
    from ..http.h1.trailers import encode_trailers  # noqa: PLC0415

    try:
        return encode_trailers(trailers)
    except InvalidRequest as exc:
        writer.label(exc)
        raise
