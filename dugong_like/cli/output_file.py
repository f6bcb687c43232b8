"""``-o FILE``: a file that is replaced by the complete download, or not changed at all.

How that is done, client/transfers/destination.py says. If a signal ends the process, the new file
is removed, if it has a name (see stopping.py). Symbolic links are followed. Devices, pipes and
descriptors (``/dev/stdout``) are written to as the bytes arrive. Pipes and terminals that are
opened here are non-blocking, so a time limit applies to them; other devices take the time that
their drivers need, not all of which can be polled.

Not here: standard output (standard.py).
"""

from __future__ import annotations

import errno
import math
import os
import re
import stat
import sys
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import BinaryIO, Final

from ..client.transfers.destination import WRITE, Destination
from .outcome import too_late, with_name
from .standard import Writer
from .stopping import signals_held, undone

MAX_LINKS: Final = 40  # as Linux follows
OWN: Final = ("/dev", "/proc/self", "/proc/thread-self")  # have own descriptors in fd
PAUSE: Final = 0.05  # seconds between two attempts to open a FIFO that has no reader

_is_descriptors = re.compile(r"/dev/fd|/proc/[0-9]+(?:/task/[0-9]+)?/fd").fullmatch


class OutputFile:
    """A file to be written, checked before the download.

    Args:
        name: the argument of the user.
        is_new: True if a file that another process makes meanwhile must not be replaced.
        is_plain: True for the mere name of a file in the present folder, which is one that has no
            descriptors; see `is_folder_plain`.

    Attributes:
        name: see above.
        destination: the file to replace when the download is complete; None if it is written at
            once.

    Raises:
        OSError: it cannot be written; the error is about *name*.

    """

    def __init__(self, name: str, *, is_new: bool = False, is_plain: bool = False) -> None:
        self.name = name
        self._descriptor: int | None = None  # one of this process, to be written to
        try:
            path = Path(name) if is_plain and not os.path.islink(name) else self._follow()  # noqa: PTH114 - for each of many files
        except OSError as exc:
            raise with_name(exc, name) from exc
        self._path = path
        self._regular: Destination | None = None  # None: a descriptor
        self.destination: Destination | None = None
        if self._descriptor is None:
            self._regular = regular = Destination(path, name, is_new=is_new)
            in_plain_folder = is_plain or not _is_descriptors(str(path.parent))
            if in_plain_folder and regular.is_regular:
                self.destination = regular

    def _follow(self) -> Path:
        """Return the target of the links of the name; for a descriptor the link to it."""
        path = Path(self.name)
        if self.name.endswith("/"):
            raise OSError(errno.EISDIR, os.strerror(errno.EISDIR))
        for _ in range(MAX_LINKS):
            folder = Path(os.path.realpath(path.parent))
            path = folder / path.name
            if _is_descriptors(str(folder)):
                if str(folder) in _own_descriptors():
                    # now, before a socket may get that number
                    self._descriptor = _duplicate(path.name)
                return path
            if not path.is_symlink():
                return path
            path = folder / path.readlink()
        raise OSError(errno.ELOOP, os.strerror(errno.ELOOP))

    @contextmanager
    def open(self, patience: float | None) -> Iterator[Writer]:
        """Yield a writer; the file has the bytes when the block has ended.

        Args:
            patience: seconds, see `Writer`.

        Raises:
            OSError: it cannot be written; the error is about the argument of the user.

        """
        destination = self.destination
        if destination is None:
            with self._opened(patience) as stream:
                writer = Writer(stream, self.name, patience)
                yield writer
                writer.end()
            return
        with self.removed_on_signals(), destination.new_file() as (stream, path):
            writer = Writer(stream, self.name, patience)
            yield writer
            writer.end()
            destination.take(stream, path, signals_held)

    def removed_on_signals(self) -> AbstractContextManager[None]:
        """Have the new file removed at a signal that comes within the context, if it has a name."""
        assert self.destination is not None
        return undone(self.destination.remove_temporary)

    def _opened(self, patience: float | None) -> BinaryIO:
        if self._descriptor is not None:
            return os.fdopen(self._descriptor, "wb", buffering=0)
        old = None if self._regular is None else self._regular.old
        try:
            if old is not None and stat.S_ISFIFO(old.st_mode):
                return os.fdopen(self._fifo(patience), "wb", buffering=0)
            stream = os.fdopen(os.open(self._path, WRITE | os.O_TRUNC), "wb", buffering=0)
        except OSError as exc:
            raise with_name(exc, self.name) from exc
        if stream.isatty() and sys.platform != "win32":
            os.set_blocking(stream.fileno(), False)
        return stream

    def _fifo(self, patience: float | None) -> int:
        """Open FILE, a FIFO, when it has a reader. There is no event to wait for that."""
        until = math.inf if patience is None else time.monotonic() + patience
        while True:
            try:
                return os.open(self._path, WRITE | os.O_NONBLOCK)
            except OSError as exc:
                if exc.errno != errno.ENXIO:
                    raise
            if time.monotonic() >= until:
                what = f"nobody has opened it for reading within {patience:g} seconds"
                raise too_late(self.name, what)
            time.sleep(PAUSE)


def is_folder_plain() -> bool:
    """Return True if the present folder has no descriptors of a process."""
    try:
        return not _is_descriptors(os.path.realpath("."))
    except OSError:
        return False


def _own_descriptors() -> set[str]:
    return {os.path.realpath(f"{folder}/fd") for folder in OWN}


def _duplicate(number: str) -> int:
    try:
        return os.dup(int(number))
    except (ValueError, OverflowError):
        raise OSError(errno.EBADF, os.strerror(errno.EBADF)) from None
