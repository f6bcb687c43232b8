"""``-i FILE``: a list of URLs, one in each line, which is read while they are downloaded.

Empty lines, and those that begin with ``#``, are skipped. The list may be longer than the memory,
and may be a pipe that another program writes to all the time: downloads go on while it has nothing.

Not here: what is done with the URLs (sending.py, several.py).
"""

from __future__ import annotations

import os
import stat
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import BinaryIO, Final

from ..polling.binary_streams import co_read_some
from ..polling.contract import POLLIN, Co, PollNeeded
from ..polling.fair_lock import FairLock
from .outcome import CommandFailed, with_name
from .standard import opened_input

PIECE: Final = 65536  # bytes
MAX_LINE: Final = 65536  # bytes; servers take 8 KiB
MARK: Final = b"\xef\xbb\xbf"  # U+FEFF, which some programs write in front


class URLList:
    """A list of URLs; several operations may take from it.

    Args:
        stream: a binary stream.
        name: its name, for errors.

    Attributes:
        name: see above.

    """

    def __init__(self, stream: BinaryIO, name: str) -> None:
        self.name = name
        self._stream = stream
        self._taking = FairLock()
        self._rest = b""
        self._lines: Iterator[bytes] = iter(())
        self._count = 0
        self._is_over = False

    def co_next(self) -> Co[tuple[int, str] | None]:
        """Return the number of the next line with a URL, from 1, and its text; None at the end.

        Raises:
            CommandFailed: a line is too long; it is not a list.
            OSError: the list cannot be read.

        """
        return self._taking.co_holding(self._co_next())

    def _co_next(self) -> Co[tuple[int, str] | None]:
        while not self._is_over:
            for line in self._lines:
                self._count += 1
                text = line.strip()
                if text and not text.startswith(b"#"):
                    return self._count, text.decode(errors="surrogateescape")
            yield from self._co_read()
        return None

    def _co_read(self) -> Co[None]:
        """Read the next lines. At the end the last one need have no end."""
        try:
            if _is_waited_for(self._stream):
                need = PollNeeded(self._stream.fileno(), POLLIN)
                while not need.poll(0):
                    yield need
            data = yield from co_read_some(self._stream, PIECE)
        except OSError as exc:
            raise with_name(exc, self.name) from exc
        lines = (self._rest + data).split(b"\n")
        if not self._count:
            lines[0] = lines[0].removeprefix(MARK)
        self._rest = lines.pop()
        if len(self._rest) > MAX_LINE:
            raise CommandFailed(
                f"{self.name}: not a list of URLs: line {self._count + len(lines) + 1} has more "
                f"than {MAX_LINE} bytes"
            )
        if not data:
            lines, self._rest = [self._rest], b""
            self._is_over = not lines[0]
        self._lines = iter(lines)


@contextmanager
def open_list(file: str) -> Iterator[URLList]:
    """Open the list *file*, or standard input for ``-``.

    Raises:
        OSError: it cannot be read, or is closed.

    """
    with opened_input(file) as (stream, name):
        yield URLList(stream, name)


def _is_waited_for(stream: BinaryIO) -> bool:
    """Return True if *stream* may have nothing to read now."""
    try:
        is_regular = stat.S_ISREG(os.fstat(stream.fileno()).st_mode)
    except OSError:  # it has no descriptor
        return False
    return not is_regular and sys.platform != "win32"
