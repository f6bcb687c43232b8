"""Request bodies that report how much of them was taken.

Not here: the progress of responses, which `Response.num_bytes_downloaded` and events tell.
"""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from ..http.arguments import check_callable
from ..http.request import Source, is_whole
from ..polling.contract import Co

if TYPE_CHECKING:
    from ..http.request import Buffer

Progress = Callable[[int, int | None], object]


class ProgressBody:
    """A body that calls a function while it is sent.

    Args:
        body: what a `Request` takes, except `BodyFollowing`.
        function: called with the number of bytes that were taken to be sent, and with that of all,
            None if it is unknown. A body that is sent again begins with 0 again.

    Attributes:
        length: number of bytes; None if it is unknown.

    """

    def __init__(self, body: Any, function: Progress) -> None:
        self._source = Source(io.BytesIO(body) if is_whole(body) else body)
        self._function = function
        self._sent = 0
        self._pending = 0  # bytes that were given last
        self.length = self._source.begin()

    def rewindable(self) -> bool:
        """Return True if the body can be sent again."""
        return self._source.rewindable()

    def rewind(self) -> None:
        """Begin anew. Raises what reading the body again raises."""
        self._source.begin()
        self._sent = self._pending = 0

    def co_read(self, _size: int) -> Co[Buffer]:
        """Return the next bytes; ``b""`` at the end. Those before were taken."""
        if self._pending:
            self._sent += self._pending
            self._pending = 0
            self._function(self._sent, self.length)
        data = yield from self._source.co_next()
        self._pending = len(data)
        return data


def with_progress(body: Any, function: Progress) -> ProgressBody:
    """Return *body* as one that calls *function*; raises TypeError if that is no function."""
    check_callable(function, "progress")
    return ProgressBody(body, function)
