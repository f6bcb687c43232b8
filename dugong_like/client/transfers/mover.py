"""Moving the body of a response to its place in a file.

Over plain TCP the system moves the bytes by itself (on Linux), and the position of the file tells
how many there are. They pass the memory of the process if there is a rate limit, if zeros are to
become holes, if only counting tells where the body ends, or if the file is not one of the system.

Not here: which bytes a response has (ranges.py), and what becomes of errors (download.py).
"""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any, Final, Protocol

from ...errors import BodyTooLarge, UnusableRange
from ...polling.binary_streams import co_write_all
from ...polling.contract import Co
from .ranges import Range
from .spans import Spans
from .verification import Verification

if TYPE_CHECKING:
    from ...polling.rates import RateLimit
    from ..response import Response

PIECE: Final = 262144  # bytes at once
HOLE: Final = 65536  # bytes of zeros that become a hole: blocks of the usual file systems, and more
LEAST: Final = 1024  # bytes at once with a low rate

Progress = Callable[[int, int | None], object]


class Target(Protocol):
    """Where a download goes: a `Part` or a `GivenFile`, which say more."""

    name: str
    keeps: bool
    can_read_back: bool
    spans: Spans
    validator: str | None
    size: int | None
    stale: int

    @property
    def number(self) -> int | None:
        """Descriptor that the system can move bytes into; None if there is none."""
        ...

    def begin(self, validator: str | None, size: int | None, /) -> None:
        """Begin anew."""
        ...

    def reserve(self) -> None:
        """Reserve room for the whole."""
        ...

    def writer(self, begin: int, /, *, alone: bool) -> AbstractContextManager[Any]:
        """Yield the file at a position."""
        ...

    def can_open_twice(self) -> bool:
        """Return True if several writers can have positions of their own."""
        ...

    def note(self, begin: int, end: int, /) -> None:
        """Note that bytes were written."""
        ...

    def co_keep(self) -> Co[None]:
        """Have another run know of what is there, if it has become much more."""
        ...

    def co_finish(self, size: int, /) -> Co[None]:
        """Do what is left to do before it is complete."""
        ...


class Mover:
    """Moves bodies into a target.

    Args:
        target: where they go.
        verification: follows the bytes.
        progress: called with the bytes that are there, and with the size, None if it is unknown.
        rate: bytes a second at most; None for any number.
        sparse: True to leave zeros out, as holes of the file.

    Attributes:
        received: bytes that have arrived.

    """

    def __init__(
        self,
        target: Target,
        verification: Verification,
        progress: Progress | None,
        rate: RateLimit | None,
        *,
        sparse: bool,
    ) -> None:
        self.received = 0
        self._target = target
        self._verification = verification
        self._progress = progress
        self._rate = rate
        self._sparse = sparse

    def co_move(
        self,
        response: Response,
        begin: int,
        end: int | None,
        *,
        alone: bool,
        bounds: Range | None = None,
    ) -> Co[int]:
        """Move the body of *response* to the position *begin*.

        Args:
            response: streamed.
            begin: where its first byte belongs.
            end: where its last byte belongs, plus one; None if that is unknown.
            alone: False if other bodies are moved at the same time.
            bounds: the range that it is of; what is behind its end may be left.

        Returns:
            The position behind its last byte, or that of *bounds*.

        Raises:
            UnusableRange: it has more bytes than *end* says.
            BodyTooLarge: there are more bytes than the client takes.
            OSError: they cannot be written.
            DugongError: see `Response.co_read`.

        """
        most = response.options.max_body
        with self._target.writer(begin, alone=alone) as file:
            if self._goes_by_system(response, end):
                return (yield from self._co_by_system(response, file, begin, most, bounds))
            return (yield from self._co_by_pieces(response, file, begin, end, most, bounds))

    def _goes_by_system(self, response: Response, end: int | None) -> bool:
        """Return True if no byte of the body has to be looked at."""
        if self._sparse or self._rate is not None or self._target.number is None:
            return False
        if end is not None and (response.length is None or response.connection is None):
            return False  # only counting shows that it does not go on behind the end
        has_hooks = response.request is not None and response.request.hooks is not None
        return self._verification.can_read_back and not has_hooks

    def _co_by_system(
        self, response: Response, file: Any, begin: int, most: int | None, bounds: Range | None
    ) -> Co[int]:
        number = file.fileno()
        file.flush()
        start = os.lseek(number, 0, os.SEEK_CUR) - begin
        at = begin
        moving = response.co_recv_to_file(file)
        try:
            while True:
                need = next(moving, None)
                at = self._arrived(begin, at, os.lseek(number, 0, os.SEEK_CUR) - start)
                self._check_size(at, most)
                yield from self._target.co_keep()
                yield from self._verification.co_follow(number)
                if need is None or (bounds is not None and at >= bounds.end):
                    return at
                yield need
        finally:
            moving.close()
            self._arrived(begin, at, os.lseek(number, 0, os.SEEK_CUR) - start)

    def _co_by_pieces(
        self,
        response: Response,
        file: Any,
        begin: int,
        end: int | None,
        most: int | None,
        bounds: Range | None,
    ) -> Co[int]:
        rate = self._rate
        size = PIECE if rate is None else min(PIECE, max(rate.burst, LEAST))
        view = memoryview(bytearray(size))
        at = begin
        for receiving in response.co_iter_into(view):
            count = yield from receiving
            if count is None:
                break
            if end is not None and at + count > end:
                raise UnusableRange(
                    "the body has more bytes than the response says", offset=at + count, limit=end
                )
            self._check_size(at + count, most)
            if rate is not None:
                yield from rate.co_take(count)
            yield from self._co_write(file, view[:count], at)
            at = self._arrived(begin, at, at + count)
            yield from self._target.co_keep()
            yield from self._verification.co_take(view[:count], at, self._target.number)
            if bounds is not None and bounds.end <= at and at != end:
                break
        return at

    def _co_write(self, file: Any, data: memoryview, at: int) -> Co[None]:
        if not self._sparse or at < self._target.stale:
            yield from co_write_all(file, data)
            return
        while data:
            # blocks of the file, not of what has arrived
            piece, data = data[: HOLE - at % HOLE], data[HOLE - at % HOLE :]
            if any(piece):
                yield from co_write_all(file, piece)
            else:
                end = file.seek(len(piece), os.SEEK_CUR)
                if os.fstat(file.fileno()).st_size < end:
                    file.truncate()
            at += len(piece)

    def _arrived(self, begin: int, before: int, at: int) -> int:
        """Note that the bytes from *begin* to *at* are there, and return *at*."""
        if at > before:
            self.received += at - before
            self._target.note(begin, at)
            if self._progress is not None:
                self._progress(self._target.spans.count, self._target.size)
        return at

    @staticmethod
    def _check_size(at: int, most: int | None) -> None:
        if most is not None and at > most:
            raise BodyTooLarge(f"the body has more than {most} bytes")
