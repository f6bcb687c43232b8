"""The file that a download becomes: replaced by the complete one, or not changed at all.

Received bytes are in another file of the same folder until they are complete. Then

- the new file replaces the old one, if it can have the same owner, permissions and extended
  attributes, and the old one has one name only. So a reader sees either the old or the new one;
- otherwise it is copied into the old one: if that has several hard links, or belongs to another
  user, or something is mounted on it.

On Linux the other file has no name until it is complete, unless it is to outlive the process. So
nothing of it is left at any end of the process. Without a writable folder it is a file without a
name in the folder for temporary files.

Not here: a part that another run goes on with (part.py), and what is received (download.py).
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from functools import cached_property
from pathlib import Path
from typing import BinaryIO, Final

from ...errors import ConnectionTimedOut
from ...polling.contract import Co
from .storage import co_sync

PERMISSIONS: Final = 0o777  # not set-user-ID: a program of a server gets no privileges
WRITE_BITS: Final = 0o222
COPY: Final = 1 << 20  # bytes at once
NO_ROOM: Final = frozenset([errno.ENOSPC, errno.EDQUOT, errno.EFBIG])
DESCRIPTORS: Final = "/proc/self/fd"  # for linking a file without a name (open(2))
PREFIX: Final = ".dugong-"
BINARY: Final = getattr(os, "O_BINARY", 0)  # Windows
WRITE: Final = os.O_WRONLY | BINARY


class Destination:
    """A file to be replaced, checked before the download.

    Args:
        path: where it is or will be; a link is not followed here.
        name: what errors call it; *path* by default.
        is_new: True if a file that another process makes meanwhile must not be replaced.
        part: what the part of it is called that another run goes on with; None for the usual name.
        keeps_links: False to replace a file that has several hard links, whose other names keep
            the old bytes then; True to overwrite it.

    Attributes:
        path: see above.
        name: see above.
        part: see above.
        old: facts of the existing file; None if there is none.

    Raises:
        OSError: it cannot be written; the error is about *name*.

    """

    def __init__(
        self,
        path: Path,
        name: str | None = None,
        *,
        is_new: bool = False,
        part: Path | None = None,
        keeps_links: bool = True,
    ) -> None:
        self.path = path
        self.part = part
        self._keeps_links = keeps_links
        self.name = str(path) if name is None else name
        self.old: os.stat_result | None = None
        self._is_new = is_new
        self._may_be_named = False  # `temporary` may exist
        try:
            self._examine()
        except OSError as exc:
            raise OSError(exc.errno, exc.strerror, self.name) from exc

    def _examine(self) -> None:
        try:
            self.old = os.stat(self.path)  # noqa: PTH116 - for each of many files
        except FileNotFoundError:
            if not _allows(self.path.parent, os.W_OK | os.X_OK):
                self.path.parent.stat()
                raise PermissionError(errno.EACCES, os.strerror(errno.EACCES)) from None
            return
        mode = self.old.st_mode
        if stat.S_ISDIR(mode):
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
        # A file without any write permission is protected, from the superuser, too.
        is_protected = stat.S_ISREG(mode) and not mode & WRITE_BITS
        if is_protected or not _allows(self.path, os.W_OK):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))

    @property
    def _folder(self) -> str:
        return os.path.dirname(self.path) or "."  # noqa: PTH120 - for each of many files

    @cached_property
    def temporary(self) -> Path:
        """A name in the same folder for the new file, if it needs one."""
        return self.path.parent / f"{PREFIX}{os.urandom(8).hex()}"

    @property
    def is_regular(self) -> bool:
        """True if there is a regular file, or none so far."""
        return self.old is None or stat.S_ISREG(self.old.st_mode)

    @property
    def mode(self) -> int:
        """Permissions of the new file: not readable for users who may not read the old one."""
        return 0o666 if self.old is None else 0o600

    @contextmanager
    def new_file(self) -> Iterator[tuple[BinaryIO, Path | None]]:
        """Yield a new file, and the path that it has or can get, which is removed afterwards.

        The path is None if it can have no name beside the old one.

        Raises:
            OSError: no file can be made; the error is about `name`.

        """
        path = self.temporary
        try:
            try:
                stream = os.fdopen(self._create(path), "w+b", buffering=0)
            except OSError as exc:
                if self.old is None:
                    raise OSError(exc.errno, exc.strerror, self.name) from exc
                stream = None
            if stream is not None:
                with stream:
                    yield stream, path
                return
        finally:
            self.remove_temporary()
        from tempfile import TemporaryFile  # noqa: PLC0415 - slow, and seldom needed

        with TemporaryFile(buffering=0) as nameless:
            yield nameless, None

    def remove_temporary(self) -> None:
        """Remove the new file, if it has its own name now."""
        if self._may_be_named:
            remove(self.temporary)

    def _create(self, path: Path) -> int:
        """Return the descriptor of a new file: without a name if it can get one later, or *path*.

        Raises:
            OSError: no file can be made in the folder.

        """
        if os.access(DESCRIPTORS, os.F_OK) and (number := self._create_nameless()) is not None:
            return number
        self._may_be_named = True
        return os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | BINARY, self.mode)

    def _create_nameless(self) -> int | None:
        """Return the descriptor of a new file without a name; None if there can be no such."""
        if not hasattr(os, "O_TMPFILE"):
            return None
        try:
            return os.open(self._folder, os.O_RDWR | os.O_TMPFILE, self.mode)
        except OSError:
            return None  # not in this file system; or not at all, which another attempt reports

    def co_write_whole(
        self,
        data: bytes,
        held: Callable[[], AbstractContextManager[object]] = nullcontext,
        *,
        synced: bool = False,
    ) -> Co[None]:
        """Replace or overwrite the old file by one with *data*: all in one step.

        Args:
            data: all bytes.
            held: see `take`.
            synced: True to wait for the storage, before the file gets its name and after that.

        Raises:
            OSError: see `new_file`, and `take`.

        """
        yield from self._co_write_whole(data, held, synced=synced)
        if synced:
            yield from self.co_sync_folder(len(data))

    def _co_write_whole(
        self, data: bytes, held: Callable[[], AbstractContextManager[object]], *, synced: bool
    ) -> Co[None]:
        if self.old is None and (number := self._create_nameless()) is not None:
            try:
                write_all(number, data)
                if synced:
                    yield from co_sync(number, len(data), os.fsync)
                with suppress(OSError):  # another process has made one, or it needs a name first
                    _link(number, self.path)
                    return
            except ConnectionTimedOut:  # a limit of the caller, which is an `OSError`, too
                raise
            except OSError as exc:
                raise OSError(exc.errno, exc.strerror, self.name) from exc
            finally:
                os.close(number)
        with self.new_file() as (stream, path):
            try:
                write_all(stream.fileno(), data)
                if synced:
                    yield from co_sync(stream.fileno(), len(data), os.fsync)
            except ConnectionTimedOut:
                raise
            except OSError as exc:
                raise OSError(exc.errno, exc.strerror, self.name) from exc
            self.take(stream, path, held, synced=synced)

    def take(
        self,
        stream: BinaryIO,
        path: Path | None,
        held: Callable[[], AbstractContextManager[object]] = nullcontext,
        *,
        synced: bool = False,
    ) -> bool:
        """Replace or overwrite the old file by *stream*, which has or can get the name *path*.

        Args:
            stream: the new file, complete.
            path: see above; None if it cannot have a name there.
            held: makes a context in which nothing may end the process, which would leave half of
                the new bytes in the old file.
            synced: True to wait for the storage if the old file is overwritten: *stream* is in the
                storage already, and the only copy of the bytes there until that is done.

        Returns:
            True if *stream* is the file now; False if its bytes were copied into the old one, which
            has a time of its own.

        Raises:
            OSError: that is not possible; the error is about `name`.

        """
        try:
            if path is not None and self._make_like_old(stream):
                try:
                    self._replace(stream, path)
                except OSError:
                    if self.old is None:
                        raise
                else:
                    return True
            self._copy(stream, held, synced=synced)
        except OSError as exc:
            raise OSError(exc.errno, exc.strerror, self.name) from exc
        return False

    def co_sync_folder(self, size: int) -> Co[None]:
        """Have the system write the folder, with the new name in it, to its storage.

        Args:
            size: bytes of the file, which may have to be written first.

        Raises:
            OSError: that failed.

        """
        if os.name == "nt":
            return  # a folder cannot be opened there
        number = os.open(self.path.parent, os.O_RDONLY)
        try:
            yield from co_sync(number, size, os.fsync)
        except ConnectionTimedOut:
            raise
        except OSError as exc:
            if exc.errno not in {errno.EINVAL, errno.ENOTSUP}:  # not in this file system
                raise
        finally:
            os.close(number)

    def _replace(self, stream: BinaryIO, path: Path) -> None:
        """Give the new file the name of the old one.

        A file without a name can get a new name, but not an existing one: then it has the name
        *path* in between.
        """
        if os.fstat(stream.fileno()).st_nlink == 0:
            if self.old is None:
                try:
                    _link(stream.fileno(), self.path)
                    return
                except FileExistsError:  # another process has made one meanwhile
                    if self._is_new:
                        raise
            self._may_be_named = True
            _link(stream.fileno(), path)
        if self._is_new:
            os.link(path, self.path)  # fails if there is one
        else:
            path.replace(self.path)

    def _make_like_old(self, stream: BinaryIO) -> bool:
        """Give the new file the attributes of the old one; False if one of them cannot be set."""
        old = self.old
        if old is None:
            return True
        if old.st_nlink > 1 and self._keeps_links:
            return False
        if not hasattr(os, "fchown"):
            return True  # Windows, where permissions come from the folder
        try:
            os.fchown(stream.fileno(), old.st_uid, old.st_gid)
            os.fchmod(stream.fileno(), old.st_mode & PERMISSIONS)
            return _attributes(stream.fileno()) == _attributes(self.path)
        except OSError:
            return False

    def _copy(
        self,
        stream: BinaryIO,
        held: Callable[[], AbstractContextManager[object]],
        *,
        synced: bool,
    ) -> None:
        from shutil import copyfileobj  # noqa: PLC0415 - slow, and seldom needed

        size = stream.seek(0, os.SEEK_END)
        stream.seek(0)
        with os.fdopen(os.open(self.path, WRITE), "wb") as target:
            with held():
                reserve(target.fileno(), size)
                copyfileobj(stream, target, COPY)
                target.truncate()
            if synced:
                os.fsync(target.fileno())


def write_all(number: int, data: bytes) -> None:
    """Write *data* to a regular file. Raises OSError if that is not possible."""
    view = memoryview(data)
    while view:
        view = view[os.write(number, view) :]


def _link(number: int, path: Path) -> None:
    """Give a file without a name, open as the descriptor *number*, the name *path*.

    Raises:
        OSError: it cannot be linked; `FileExistsError` if the name exists.

    """
    # A folder is given for the link in it, which has none: without one Python follows no link.
    os.link(f"{DESCRIPTORS}/{number}", path, src_dir_fd=number, follow_symlinks=True)


def remove(path: Path) -> None:
    """Remove the file at *path*, if there is one and that is possible."""
    try:
        path.unlink(missing_ok=True)
    except OSError:
        pass  # the folder was removed or made read-only


def _allows(path: Path, mode: int) -> bool:
    """Return True if the system allows *mode* to the effective user of this process."""
    return os.access(path, mode, effective_ids=os.access in os.supports_effective_ids)


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


def reserve(descriptor: int, size: int) -> None:
    """Reserve room for *size* bytes before anything is written, if the system can do that.

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
