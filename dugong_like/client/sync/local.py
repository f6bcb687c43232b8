"""The local side of a synchronisation: a folder.

**Reading.** A file that is written to while it is read is noticed: its size and its time are looked
at before and after. A time is of no use for that, and for the record, while the clock of the file
system may give it to another change as well: such a file is left to rest for a moment first.

**Writing.** A file is there when it is complete, and not before. Until then it is a file without
a name, or one called ``.dugong-`` and 16 digits, in the same folder. Listings leave those out; what
a killed run has left of them is used, or removed, by the next one.

Symbolic links are left out, or followed if that is asked for; files of other kinds are left out.
Nothing is written through a link: so no name that a server gives leads out of the folder.

Not here: what is read and written (run.py).
"""

from __future__ import annotations

import errno
import hashlib
import os
import re
import stat
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Final, TypeAlias

from ...errors import ConnectionTimedOut, ContentChanged
from ...http.redaction import MAX_PATH, quoted
from ...polling.contract import Co
from ...polling.fairness import StepCounter
from ...polling.wake import co_checkpoint
from ..transfers.destination import PREFIX, Destination, remove
from ..transfers.digests import RunningDigest
from ..transfers.storage import co_sync
from ..transfers.upload_body import FileBody
from .tree import Facts, Tree

if TYPE_CHECKING:
    from .exclusion import Exclusion

SMALL: Final = 65536  # bytes; smaller files are read as a whole, and sent together with others
# Nanoseconds. Times of files come from the tick of the kernel, 10 ms at most. Some file systems
# store whole seconds, or every other one (FAT).
TICK: Final = 20_000_000
COARSE: Final = 2_000_000_000
SECOND: Final = 1_000_000_000
FLAGS: Final = (
    os.O_RDONLY
    | getattr(os, "O_NONBLOCK", 0)  # a FIFO would be waited for
    | getattr(os, "O_CLOEXEC", 0)
    | getattr(os, "O_BINARY", 0)
)
NO_FOLLOW: Final = getattr(os, "O_NOFOLLOW", 0)

Places: TypeAlias = tuple[tuple[int, int], ...]  # device and inode of folders

_is_temporary = re.compile(re.escape(PREFIX) + r"[0-9a-f]{16}(?:\.json)?").fullmatch


def is_temporary(path: str) -> bool:
    """Return True if *path* has the name of a temporary file of a download."""
    return PREFIX in path and _is_temporary(path.rpartition("/")[2]) is not None


class SourceFile:
    """A file that is open for reading.

    Args:
        stream: the file, without a buffer.
        path: its path below the folder.
        name: what errors call it.

    Raises:
        ContentChanged: it has changed while it was read.
        OSError: it cannot be read.

    Attributes:
        path: see above.
        size: bytes.
        mtime_ns: time of the last change.
        data: all bytes, if they are few; else None.
        body: the body of a request; None if there is `data`.

    """

    def __init__(self, stream: IO[bytes], path: str, name: str) -> None:
        status = os.fstat(stream.fileno())
        if not stat.S_ISREG(status.st_mode):
            raise OSError(errno.EINVAL, "not a regular file", name)
        self.path = path
        self.size = status.st_size
        self.mtime_ns = status.st_mtime_ns
        self.data: bytes | None = None
        self.body: FileBody | None = None
        self._name = name
        self._stream = stream
        if self.size <= SMALL:
            self.data = stream.read(self.size + 1)
            while 0 < len(self.data) <= self.size and (more := stream.read(self.size + 1)):
                self.data += more
            if len(self.data) != self.size:
                raise self._changed()
            self.check()
        else:
            self.body = FileBody(stream, 0, name, status=status)

    @property
    def content(self) -> bytes | FileBody:
        """The body of a request."""
        if self.data is not None:
            return self.data
        assert self.body is not None
        return self.body

    def check(self) -> None:
        """Check that it is as it was when it was opened. Raises ContentChanged if it is not."""
        status = os.fstat(self._stream.fileno())
        if (status.st_size, status.st_mtime_ns) != (self.size, self.mtime_ns):
            raise self._changed()

    def _changed(self) -> ContentChanged:
        return ContentChanged(
            f"{quoted(self._name, MAX_PATH)}: the file has changed while it was read",
            path=self._name,
            limit=self.size,
        )

    def co_digest(
        self, name: str = "sha256", begin: int = 0, count: int | None = None
    ) -> Co[bytes]:
        """Return the digest of its bytes.

        Args:
            name: the algorithm, as hashlib calls it.
            begin: position of the first byte.
            count: how many bytes; None for all up to the end.

        Raises:
            ContentChanged: it has changed meanwhile.
            OSError: it cannot be read.

        """
        end = self.size if count is None else begin + count
        running = RunningDigest([name], begin)
        if self.data is not None:
            running.update(memoryview(self.data)[begin:end])
            return running.value(name)
        yield from running.co_follow(self._stream.fileno(), end)
        self.check()
        return running.value(name)


class LocalFolder:
    """A folder.

    Args:
        root: its path.
        follows: True to take symbolic links for what they lead to.
        synced: True to wait until the storage has what is written.

    Attributes:
        root: see above.
        strays: temporary files that the listing has found.
        failures: paths that could not be listed, with the errors.
        skipped: how many links and special files were left out.
        is_there: True if the listing has found it.

    """

    def __init__(self, root: str, *, follows: bool = False, synced: bool = False) -> None:
        self.root = root
        self.synced = synced
        self.strays: list[str] = []
        self.failures: list[tuple[str, OSError]] = []
        self.skipped = 0
        self.is_there = False
        self._follows = follows
        self._made: set[str] = set()  # folders that are known to be no links
        self._steps = StepCounter()

    def real(self, path: str) -> Path:
        """Return the path of the file for the system."""
        return Path(f"{self.root}/{path}" if path else self.root)

    # ---- listing

    def co_list(self, tree: Tree, excludes: Exclusion, *, must_exist: bool) -> Co[None]:
        """Add all files to *tree*.

        A folder that cannot be read is one of `failures`.

        Raises:
            OSError: there is no such folder, and it must exist; or it is none.

        """
        try:
            status = Path(self.root).stat()
        except FileNotFoundError:
            if must_exist:
                raise
            return
        if not stat.S_ISDIR(status.st_mode):
            raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), self.root)
        self.is_there = True
        stack: list[tuple[str, Places]] = [("", ((status.st_dev, status.st_ino),))]
        while stack:
            folder, above = stack.pop()
            try:
                with os.scandir(self.real(folder)) as entries:
                    for entry in entries:
                        stack += self._take(entry, folder, above, tree, excludes)
                        if self._steps.is_over():
                            yield from co_checkpoint()
            except ConnectionTimedOut:  # a limit of the caller, which is an `OSError`, too
                raise
            except OSError as exc:
                if not isinstance(exc, FileNotFoundError) or not folder:  # removed meanwhile
                    self.failures.append((folder, exc))

    def _take(
        self, entry: os.DirEntry[str], folder: str, above: Places, tree: Tree, excludes: Exclusion
    ) -> tuple[tuple[str, Places], ...]:
        """Add one entry of a folder to *tree*, or return it if it is a folder to be listed."""
        path = f"{folder}/{entry.name}" if folder else entry.name
        try:
            if entry.name.startswith(PREFIX) and self._is_stray(entry):
                self.strays.append(path)
            elif entry.is_symlink() and (not self._follows or not self.real(path).exists()):
                self.skipped += 1
            elif entry.is_dir(follow_symlinks=self._follows):
                if not excludes.folder(path):
                    return ((path, (*above, *self._place(entry, above))),)
            elif not excludes(path):
                self._add(entry, path, tree)
        except FileNotFoundError:
            pass  # it was removed meanwhile
        except OSError as exc:
            self.failures.append((path, exc))
        return ()

    def _is_stray(self, entry: os.DirEntry[str]) -> bool:
        """Return True for a temporary file; a folder of such a name is none, nor a link to one."""
        return is_temporary(entry.name) and not entry.is_dir(follow_symlinks=self._follows)

    def _place(self, entry: os.DirEntry[str], above: Places) -> Places:
        """Return what a folder is known by if links are followed, which may lead in circles.

        Raises:
            OSError: they do.

        """
        if not self._follows:
            return ()
        status = entry.stat()
        if (status.st_dev, status.st_ino) in above:
            raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), entry.path)
        return ((status.st_dev, status.st_ino),)

    def _add(self, entry: os.DirEntry[str], path: str, tree: Tree) -> None:
        status = entry.stat(follow_symlinks=self._follows)
        if stat.S_ISREG(status.st_mode):
            tree.add(path, Facts(status.st_size, status.st_mtime_ns))
        else:
            self.skipped += 1

    # ---- reading

    @contextmanager
    def opened(self, path: str) -> Iterator[SourceFile]:
        """Yield a file, open for reading.

        Raises:
            ContentChanged: it has changed while it was read.
            OSError: it cannot be opened or read.

        """
        name = f"{self.root}/{path}"
        number = os.open(name, FLAGS | (0 if self._follows else NO_FOLLOW))
        with os.fdopen(number, "rb", buffering=0) as stream:
            yield SourceFile(stream, path, name)

    # ---- writing

    def destination(self, path: str) -> Destination:
        """Return where a file is to be written, in a folder that exists.

        Raises:
            OSError: something else is in the way, such as a link, or the folder is not writable.

        """
        folder, _, name = path.rpartition("/")
        self.make_folder(folder)
        real = self.real(path)
        try:
            mode = real.lstat().st_mode
        except FileNotFoundError:
            mode = 0
        if stat.S_ISLNK(mode):
            raise OSError(errno.ELOOP, "a symbolic link is in the way", str(real))
        if stat.S_ISDIR(mode):
            self._remove_empty(path)
        digits = hashlib.sha256(os.fsencode(name)).hexdigest()[:16]
        part = real.with_name(f"{PREFIX}{digits}")
        return Destination(real, part=part, keeps_links=False)

    def _remove_empty(self, path: str) -> None:
        """Remove a folder that has no files, as a file will have its name; rsync does so, too.

        Temporary files that the listing has found go with it: no run can use them any more.

        Raises:
            IsADirectoryError: it has files.
            OSError: it cannot be removed.

        """
        real = self.real(path)
        strays = {self.real(each) for each in self.strays if each.startswith(f"{path}/")}
        there = (Path(folder, name) for folder, _, names in os.walk(real) for name in names)
        if any(each not in strays for each in there):
            message = "a folder that is not empty is in the way"
            raise IsADirectoryError(errno.EISDIR, message, str(real))
        for each in strays:
            remove(each)
        for folder, _, _ in os.walk(real, topdown=False):
            Path(folder).rmdir()
        self._made = {
            each for each in self._made if each != path and not each.startswith(f"{path}/")
        }

    def check_writable(self) -> None:
        """Make the folder itself, and check that files can be made in it.

        Raises:
            OSError: that is not possible.

        """
        self.make_folder("")
        if not os.access(self.root, os.W_OK | os.X_OK):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), self.root)

    def make_folder(self, folder: str) -> None:
        """Make a folder, with those above it.

        Raises:
            OSError: it cannot be made, or something else has its name, such as a link.

        """
        if folder in self._made:
            return
        if not folder:
            Path(self.root).mkdir(parents=True, exist_ok=True)
        else:
            self.make_folder(folder.rpartition("/")[0])
            real = self.real(folder)
            try:
                real.mkdir()
            except FileExistsError:
                if not stat.S_ISDIR(real.lstat().st_mode):
                    message = "a file or a link is in the way"
                    raise NotADirectoryError(errno.ENOTDIR, message, str(real)) from None
        self._made.add(folder)

    def co_write(self, path: str, data: bytes, mtime_ns: int | None) -> Co[Facts]:
        """Write a file, and return its facts.

        Args:
            path: where.
            data: all bytes.
            mtime_ns: its time; None for the present one.

        Raises:
            OSError: that is not possible; a file that was there is unchanged.

        """
        destination = self.destination(path)
        with destination.new_file() as (stream, temporary):
            view = memoryview(data)
            while view:
                view = view[stream.write(view) :]
            set_time(stream.fileno(), mtime_ns)
            if self.synced:
                yield from co_sync(stream.fileno(), len(data), os.fsync)
            if destination.take(stream, temporary, synced=self.synced):
                status = os.fstat(stream.fileno())
                facts = Facts(status.st_size, status.st_mtime_ns)
            else:
                facts = self.set_time(path, mtime_ns)
        if self.synced:
            yield from destination.co_sync_folder(len(data))
        return facts

    def set_time(self, path: str, mtime_ns: int | None) -> Facts:
        """Set the time of a file that was written, and return its facts.

        Raises:
            OSError: it cannot be set.

        """
        real = self.real(path)
        set_time(real, mtime_ns)
        status = real.stat()
        return Facts(status.st_size, status.st_mtime_ns)

    def delete(self, path: str) -> None:
        """Delete a file, and the folders that are empty afterwards.

        Raises:
            OSError: it cannot be deleted.

        """
        self._check_folders(path)
        self.real(path).unlink(missing_ok=True)
        folder = path.rpartition("/")[0]
        while folder:
            try:
                self.real(folder).rmdir()
            except OSError:
                return  # it is not empty
            self._made.discard(folder)
            folder = folder.rpartition("/")[0]

    def _check_folders(self, path: str) -> None:
        """Check that *path* does not lead through a link that was made after the listing."""
        folder = path.rpartition("/")[0]
        while folder and folder not in self._made:
            real = self.real(folder)
            if not stat.S_ISDIR(real.lstat().st_mode):
                raise NotADirectoryError(errno.ENOTDIR, "a file or a link is in the way", str(real))
            folder = folder.rpartition("/")[0]

    def remove_strays(self) -> None:
        """Remove what killed runs have left."""
        for path in self.strays:
            remove(self.real(path))


def seconds_to_rest(mtime_ns: int) -> float:
    """Return for how many seconds a file of that time has to rest before its time is of use."""
    age = time.time_ns() - mtime_ns
    needed = COARSE if mtime_ns % SECOND == 0 else TICK
    return (needed - age) / SECOND if 0 <= age < needed else 0.0


def set_time(file: Any, mtime_ns: int | None) -> None:
    """Set the time of the last change. Raises OSError if that is not possible."""
    if mtime_ns is not None:
        os.utime(file, ns=(time.time_ns(), mtime_ns))
