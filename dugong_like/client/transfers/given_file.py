"""A file object of the caller that a download is written to, from its present position.

It has the interface of a `Part`. Nothing is left for another run: within one the download goes on
where it stopped, as the bytes come in order. It begins anew only if the file can be moved and
truncated.

Not here: files that are given as a path (part.py).
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from ...errors import ContentChanged
from ...polling.binary_streams import check_binary, check_opened
from ...polling.contract import Co
from ...polling.stream_parts import place_of, real_file
from .spans import Spans


class GivenFile:
    """The target of a download; see `Part` for what is not said here.

    Args:
        stream: a binary file.

    Raises:
        TypeError: *stream* is no binary file to write to.
        ValueError: it is closed, or was not opened for writing.

    """

    keeps = False
    can_read_back = False
    stale = 0

    def __init__(self, stream: Any) -> None:
        check_binary(stream, "write")
        check_opened(stream, "writing")
        self.stream = stream
        name = getattr(stream, "name", "")
        self.name = name if isinstance(name, str) else ""
        self.spans = Spans()
        self.validator: str | None = None
        self.size: int | None = None
        self._start = place_of(stream)

    @property
    def number(self) -> int | None:
        """Descriptor, if the system can move bytes there; None if they have to be written."""
        real = real_file(self.stream) if hasattr(self.stream, "fileno") else None
        if real is None or "a" in str(getattr(real, "mode", "a")):
            return None  # a file that is appended to has no position of its own
        return int(real.fileno())

    def begin(self, validator: str | None, size: int | None) -> None:
        """Begin anew; see `Part.begin`.

        Raises:
            ContentChanged: there are bytes of another version, which cannot be removed.
            OSError: that failed.

        """
        if self.spans.count:
            if self._start is None or not hasattr(self.stream, "truncate"):
                raise ContentChanged(
                    "the rest of this version cannot be had, and the file cannot go back",
                    offset=self.spans.count,
                    limit=self.size,
                )
            self.stream.seek(self._start)
            self.stream.truncate()
            self.spans.clear()
        self.validator, self.size = validator, size

    def reserve(self) -> None:
        """Do nothing: the file is the caller's."""

    @contextmanager
    def writer(self, begin: int, *, alone: bool) -> Iterator[Any]:  # noqa: ARG002 - as of a Part
        """Yield the file, which is where the next bytes go."""
        yield self.stream

    def can_open_twice(self) -> bool:
        """Return False: there is one position."""
        return False

    def note(self, begin: int, end: int) -> None:
        """Note that the bytes from *begin* to *end* were written."""
        self.spans.add(begin, end)

    def co_keep(self) -> Co[None]:
        """Do nothing: there is no other run."""
        yield from ()

    def co_finish(self, size: int) -> Co[None]:  # noqa: ARG002 - as of a Part
        """Flush it, if it can be. Raises what the file raises."""
        flush = getattr(self.stream, "flush", None)
        if flush is not None:
            flush()
        yield from ()
