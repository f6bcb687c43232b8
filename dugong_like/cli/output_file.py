"""``-o FILE``: a file that is replaced by the complete download, or not changed at all.

Received bytes are written to a new file in the same folder. On Linux that has no name until it is
complete, so nothing of it is left at any end of the process; elsewhere, and on file systems without
such files, it is removed if a signal ends the process (see stopping.py). When it is complete

- the new file replaces FILE, if it can have the same owner, permissions and extended attributes,
  and FILE has one name only. So a reader of FILE sees either the old or the new one;
- otherwise it is copied into FILE: if FILE has several hard links, or belongs to another user, or
  something is mounted on it. Without a writable folder, the bytes are kept in a file without a name
  in the folder for temporary files until then.

Symbolic links are followed. Devices, pipes and descriptors (``/dev/stdout``) are written to as the
bytes arrive. Pipes and terminals that are opened here are non-blocking, so a time limit applies to
them; other devices take the time that their drivers need, not all of which can be polled.

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
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import BinaryIO, Final

from .outcome import CommandFailed, too_late, with_name
from .resuming import SUFFIX, Part, open_part
from .standard import Writer
from .stopping import signals_held, undone

MAX_LINKS: Final = 40  # as Linux follows
COPY: Final = 1 << 20  # bytes at once
PERMISSIONS: Final = 0o777  # not set-user-ID: a program of a server gets no privileges
WRITE_BITS: Final = 0o222
NO_ROOM: Final = frozenset([errno.ENOSPC, errno.EDQUOT, errno.EFBIG])
OWN: Final = ("/dev", "/proc/self", "/proc/thread-self")  # have own descriptors in fd
DESCRIPTORS: Final = "/proc/self/fd"  # for linking a file without a name (open(2))
PREFIX: Final = ".dugong-"
BINARY: Final = getattr(os, "O_BINARY", 0)  # Windows
WRITE: Final = os.O_WRONLY | BINARY
PAUSE: Final = 0.05  # seconds between two attempts to open a FIFO that has no reader

_is_descriptors = re.compile(r"/dev/fd|/proc/[0-9]+(?:/task/[0-9]+)?/fd").fullmatch


class OutputFile:
    """A file to be written, checked before the download.

    Args:
        name: the argument of the user.
        is_new: True if a file that another process makes meanwhile must not be replaced.

    Raises:
        OSError: it cannot be written; the error is about *name*.

    """

    def __init__(self, name: str, *, is_new: bool = False) -> None:
        self._name = name
        self._is_new = is_new
        self._descriptor: int | None = None  # one of this process, to be written to
        self._old: os.stat_result | None = None  # the existing file
        try:
            self._path = self._follow()
            self._examine()
        except OSError as exc:
            raise with_name(exc, name) from exc

    def _follow(self) -> Path:
        """Return the target of the links of the name; for a descriptor the link to it."""
        path = Path(self._name)
        if self._name.endswith("/"):
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

    def _examine(self) -> None:
        if self._descriptor is not None:
            return
        try:
            self._old = self._path.stat()
        except FileNotFoundError:
            folder = self._path.parent
            folder.stat()
            if not _allows(folder, os.W_OK | os.X_OK):
                raise PermissionError(errno.EACCES, os.strerror(errno.EACCES)) from None
            return
        mode = self._old.st_mode
        if stat.S_ISDIR(mode):
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
        # A file without any write permission is protected, from the superuser, too.
        is_protected = stat.S_ISREG(mode) and not mode & WRITE_BITS
        if is_protected or not _allows(self._path, os.W_OK):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))

    @contextmanager
    def open(self, patience: float | None) -> Iterator[Writer]:
        """Yield a writer; the file has the bytes when the block has ended.

        Args:
            patience: seconds, see `Writer`.

        Raises:
            OSError: it cannot be written; the error is about the argument of the user.

        """
        if self._is_written_at_once():
            with self._opened(patience) as stream:
                writer = Writer(stream, self._name, patience)
                yield writer
                writer.end()
            return
        with self._new_file() as (stream, path):
            writer = Writer(stream, self._name, patience)
            yield writer
            writer.end()
            try:
                self._take(stream, path)
            except OSError as exc:
                raise with_name(exc, self._name) from exc

    @contextmanager
    def resumed(self, url: str) -> Iterator[Part]:
        """Yield what an earlier download has left of FILE; see resuming.py.

        It becomes FILE by `complete`, and otherwise stays for the next time.

        Raises:
            CommandFailed: FILE is no regular file, or another process is downloading it.
            OSError: the part cannot be opened.

        """
        if self._is_written_at_once():
            raise CommandFailed(f"{self._name}: only the download of a regular file can go on")
        mode = 0o666 if self._old is None else 0o600  # as in `_new_file`
        path = self._path.with_name(f"{self._path.name}{SUFFIX}")
        with open_part(path, self._name, url, mode) as part:
            yield part

    def complete(self, part: Part) -> None:
        """Replace or overwrite FILE by *part*, which has all bytes.

        Raises:
            OSError: that is not possible; *part* is still there.

        """
        try:
            self._take(part.stream, part.path)
        except OSError as exc:
            raise with_name(exc, self._name) from exc
        part.forget()

    def _is_written_at_once(self) -> bool:
        if self._descriptor is not None or _is_descriptors(str(self._path.parent)):
            return True
        return self._old is not None and not stat.S_ISREG(self._old.st_mode)

    def _opened(self, patience: float | None) -> BinaryIO:
        if self._descriptor is not None:
            return os.fdopen(self._descriptor, "wb", buffering=0)
        try:
            if self._old is not None and stat.S_ISFIFO(self._old.st_mode):
                return os.fdopen(self._fifo(patience), "wb", buffering=0)
            stream = os.fdopen(os.open(self._path, WRITE | os.O_TRUNC), "wb", buffering=0)
        except OSError as exc:
            raise with_name(exc, self._name) from exc
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
                raise too_late(self._name, what)
            time.sleep(PAUSE)

    @contextmanager
    def _new_file(self) -> Iterator[tuple[BinaryIO, Path | None]]:
        """Yield a new file, and the path that it has or can get, which is removed afterwards.

        The path is None if it can have no name beside FILE.
        """
        path = self._path.parent / f"{PREFIX}{os.urandom(8).hex()}"
        mode = 0o666 if self._old is None else 0o600  # not readable for users who may not read FILE
        with undone(partial(_remove, path)):
            try:
                stream = os.fdopen(_create(path, mode), "w+b", buffering=0)
            except OSError as exc:
                if self._old is None:
                    raise with_name(exc, self._name) from exc
                stream = None
            if stream is not None:
                with stream:
                    yield stream, path
                return
        from tempfile import TemporaryFile  # noqa: PLC0415 - slow, and seldom needed

        with TemporaryFile(buffering=0) as nameless:
            yield nameless, None

    def _take(self, stream: BinaryIO, path: Path | None) -> None:
        """Replace or overwrite FILE by *stream*, which has or can get the name *path*."""
        if path is not None and self._make_like_old(stream):
            try:
                self._replace(stream, path)
            except OSError:
                if self._old is None:
                    raise
            else:
                return
        self._copy(stream)

    def _replace(self, stream: BinaryIO, path: Path) -> None:
        """Give the new file the name of FILE.

        A file without a name can get a new name, but not an existing one: then it has the name
        *path* in between.
        """
        if os.fstat(stream.fileno()).st_nlink == 0:
            if self._old is None:
                try:
                    _link(stream, self._path)
                    return
                except FileExistsError:  # another process has made one meanwhile
                    if self._is_new:
                        raise
            _link(stream, path)
        if self._is_new:
            os.link(path, self._path)  # fails if there is one
        else:
            path.replace(self._path)

    def _make_like_old(self, stream: BinaryIO) -> bool:
        """Give the new file the attributes of the old one; False if one of them cannot be set."""
        old = self._old
        if old is None:
            return True
        if old.st_nlink > 1:
            return False
        if not hasattr(os, "fchown"):
            return True  # Windows, where permissions come from the folder
        try:
            os.fchown(stream.fileno(), old.st_uid, old.st_gid)
            os.fchmod(stream.fileno(), old.st_mode & PERMISSIONS)
            return _attributes(stream.fileno()) == _attributes(self._path)
        except OSError:
            return False

    def _copy(self, stream: BinaryIO) -> None:
        from shutil import copyfileobj  # noqa: PLC0415 - slow, and seldom needed

        size = stream.seek(0, os.SEEK_END)
        stream.seek(0)
        with signals_held(), os.fdopen(os.open(self._path, WRITE), "wb") as target:
            _reserve(target.fileno(), size)
            copyfileobj(stream, target, COPY)
            target.truncate()


def _create(path: Path, mode: int) -> int:
    """Return the descriptor of a new file: without a name if it can get one later, or *path*.

    Raises:
        OSError: no file can be made in the folder.

    """
    if hasattr(os, "O_TMPFILE") and Path(DESCRIPTORS).exists():
        try:
            return os.open(path.parent, os.O_RDWR | os.O_TMPFILE, mode)
        except OSError:
            pass  # not in this file system; or not at all, which the next attempt reports
    return os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | BINARY, mode)


def _link(stream: BinaryIO, path: Path) -> None:
    """Give *stream*, a file without a name, the absolute name *path*.

    Raises:
        OSError: it cannot be linked; `FileExistsError` if the name exists.

    """
    number = stream.fileno()
    # A folder is given, although it has no effect: without one Python follows no link.
    os.link(f"{DESCRIPTORS}/{number}", path, src_dir_fd=number, follow_symlinks=True)


def _remove(path: Path) -> None:
    try:
        path.unlink(missing_ok=True)
    except OSError:
        pass  # the folder was removed or made read-only


def _allows(path: Path, mode: int) -> bool:
    """Return True if the system allows *mode* to the effective user of this process."""
    return os.access(path, mode, effective_ids=os.access in os.supports_effective_ids)


def _own_descriptors() -> set[str]:
    return {os.path.realpath(f"{folder}/fd") for folder in OWN}


def _duplicate(number: str) -> int:
    try:
        return os.dup(int(number))
    except (ValueError, OverflowError):
        raise OSError(errno.EBADF, os.strerror(errno.EBADF)) from None


def _attributes(file: int | Path) -> dict[str, bytes]:
    """Return the extended attributes, access control lists among them.

    Raises:
        OSError: they cannot be read.

    """
    if not hasattr(os, "listxattr"):
        return {}
    try:
        names = os.listxattr(file)
    except OSError as exc:
        if exc.errno == errno.EOPNOTSUPP:
            return {}
        raise
    return {name: os.getxattr(file, name) for name in names}


def _reserve(descriptor: int, size: int) -> None:
    """Reserve room for *size* bytes before anything is overwritten, if the system can do that.

    Raises:
        OSError: there is no room; the file is unchanged.

    """
    before = os.fstat(descriptor).st_size
    if size <= before or not hasattr(os, "posix_fallocate"):
        return
    try:
        os.posix_fallocate(descriptor, 0, size)
    except OSError as exc:
        if exc.errno in NO_ROOM:
            os.ftruncate(descriptor, before)
            raise
