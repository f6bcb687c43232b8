"""The bytes of a download until they are complete: in ``FILE.part``, or in a file without a name.

The record of ``FILE.part`` says which bytes it has, so another run goes on there. Without a
record nothing is left at any end of the process.

Bytes count as there in two steps. `Part.spans` are those that this run has written. `Part.co_claim`
waits until they have reached the storage, and writes them into the record; that is done every
`CHECKPOINT` bytes, so a run that is killed repeats no more than these and what was on its way.

Not here: the record (record.py), the final name (destination.py), and what is received (mover.py).
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import BinaryIO, Final

from ...polling.contract import Co
from .destination import BINARY, DESCRIPTORS, Destination, remove, reserve
from .locked_lines import hashed
from .opening import open_own
from .record import Facts, Record
from .spans import Spans
from .storage import co_sync

SUFFIX: Final = ".part"
RECORD: Final = ".json"
MAX_NAME: Final = 255  # bytes, of the usual file systems
# Bytes between two lines of the record. The system writes them to the storage meanwhile, so waiting
# for that costs no processor time: 1.95 s for 2 GiB, where 2.13 s without (measured, ext4).
CHECKPOINT: Final = 8 << 20
LEAST_RESERVED: Final = 1 << 20  # bytes; smaller files gain nothing


class Part:
    """A file that has not arrived completely.

    Args:
        stream: the file, open for reading and writing.
        path: the name that it has, or can get; None for none.
        name: what errors call it.
        record: None if no other run is to go on with it.
        synced: True to wait for the storage before the record claims anything.

    Attributes:
        stream: see above.
        path: see above.
        name: see above.
        keeps: True if another run can go on with it.
        can_read_back: True: what was written can be read.
        spans: the bytes that are there.
        validator: what their version is called, for If-Range; None if nothing names it.
        size: bytes of the whole; None if that is unknown.
        stale: position below which the file may have had other bytes before.

    """

    can_read_back = True

    def __init__(
        self, stream: BinaryIO, path: Path | None, name: str, record: Record | None, *, synced: bool
    ) -> None:
        self.stream = stream
        self.path = path
        self.name = name
        self.keeps = record is not None
        self.spans = Spans()
        self.validator: str | None = None
        self.size: int | None = None
        self.stale = 0
        self._record = record
        self._synced = synced
        self._claimed = 0  # bytes
        self._begun = 0  # versions
        self._is_claiming = False
        if record is not None:
            self._resume(record)

    def _resume(self, record: Record) -> None:
        facts, spans = record.read()
        there = os.fstat(self.stream.fileno()).st_size
        if facts is None or spans.end > there:
            return
        self.validator, self.size = facts
        self.spans = spans
        self._claimed = spans.count
        self.stale = spans.end
        os.ftruncate(self.stream.fileno(), spans.end)  # nobody knows what is behind

    @property
    def number(self) -> int:
        """Descriptor of the file, which the system can move bytes into, and read them back."""
        return self.stream.fileno()

    def begin(self, validator: str | None, size: int | None) -> None:
        """Begin anew, with a version that is called *validator* and has *size* bytes.

        Raises:
            OSError: the files cannot be written.

        """
        if self._record is not None:
            self._record.clear()  # first, so that it is never about other bytes
        os.ftruncate(self.stream.fileno(), 0)
        self.spans.clear()
        self._claimed = self.stale = 0
        self._begun += 1
        self.validator, self.size = validator, size
        if self._record is not None and validator is not None:
            self._record.begin(Facts(validator, size))

    def reserve(self) -> None:
        """Reserve room for the whole, if its size is known and the system can do that.

        Raises:
            OSError: there is not enough.

        """
        if self.size is not None and self.size >= LEAST_RESERVED:
            reserve(self.stream.fileno(), self.size)

    @contextmanager
    def writer(self, begin: int, *, alone: bool) -> Iterator[BinaryIO]:
        """Yield the file at the position *begin*; with a position of its own unless *alone*.

        Raises:
            OSError: it cannot be opened a second time.

        """
        if alone:
            os.lseek(self.stream.fileno(), begin, os.SEEK_SET)
            yield self.stream
            return
        name = f"{DESCRIPTORS}/{self.stream.fileno()}"
        if not Path(name).exists():
            assert self.path is not None
            name = str(self.path)
        with os.fdopen(os.open(name, os.O_RDWR | BINARY), "r+b", buffering=0) as stream:
            os.lseek(stream.fileno(), begin, os.SEEK_SET)
            yield stream

    def can_open_twice(self) -> bool:
        """Return True if several writers can have positions of their own."""
        named = self.path is not None and self._record is not None
        return named or Path(f"{DESCRIPTORS}/{self.stream.fileno()}").exists()

    def note(self, begin: int, end: int) -> None:
        """Note that the bytes from *begin* to *end* were written."""
        self.spans.add(begin, end)

    def co_keep(self) -> Co[None]:
        """Claim what is there if it has become much more.

        Raises:
            OSError: it cannot be written to the storage.

        """
        is_much = self.spans.count - self._claimed >= CHECKPOINT
        if is_much and self._record is not None and not self._is_claiming:
            yield from self.co_claim()

    def co_claim(self) -> Co[None]:
        """Write down what is there, when it has reached the storage.

        Raises:
            OSError: that failed.

        """
        spans = Spans(self.spans)  # others may write meanwhile
        count = spans.count
        if self._record is None or self.validator is None or count == self._claimed:
            return
        begun = self._begun
        self._is_claiming = True
        try:
            if self._synced:
                yield from co_sync(self.stream.fileno(), count - self._claimed, _sync_data)
        finally:
            self._is_claiming = False
        if self._begun == begun:  # otherwise they are of another version
            self._record.claim(spans)
            self._claimed = max(self._claimed, count)

    def co_finish(self, size: int) -> Co[None]:
        """Give the file its size, and wait for the storage, before it gets its name.

        Raises:
            OSError: that failed, for example as there is no room.

        """
        os.ftruncate(self.stream.fileno(), size)
        if self._synced:
            yield from co_sync(self.stream.fileno(), size - self._claimed, os.fsync)
        yield from self.co_claim()  # for another run, if it cannot get its name

    def leave(self) -> None:
        """Leave it to another run: write down what is there, and drop the rest."""
        if self._record is None:
            return
        if self.validator is None or not self.spans.count:
            self.remove()  # of no use
            return
        try:
            if self.spans.count != self._claimed:
                if self._synced:  # here, as an operation that is being closed waits for nothing
                    _sync_data(self.stream.fileno())
                self._record.claim(self.spans)
            os.ftruncate(self.stream.fileno(), self.spans.end)
        except OSError:
            pass  # the record claims less, which is no harm

    def remove(self) -> None:
        """Remove it, with its record."""
        if self._record is not None and self.path is not None:
            remove(self.path)
            self._record.remove()

    def forget(self) -> None:
        """Remove the record: the part has got its final name.

        In this order a process that is killed in between leaves a record, which is not believed
        without a part, but never loses what has arrived.
        """
        self.remove()


def part_name(name: str) -> str:
    """Return what the part of the file *name* is called; shortened if that would be too long."""
    if len(os.fsencode(name)) <= MAX_NAME - len(SUFFIX) - len(RECORD):
        return f"{name}{SUFFIX}"
    behind = f"~{hashed(os.fsencode(name).hex())[:16]}{SUFFIX}"
    while len(os.fsencode(name)) > MAX_NAME - len(behind) - len(RECORD):
        name = name[:-1]
    return f"{name}{behind}"


def path_of_part(destination: Destination) -> Path:
    """Return where the part of a file is that another run goes on with."""
    if destination.part is not None:
        return destination.part
    return destination.path.with_name(part_name(destination.path.name))


def _path_of_record(part: Path) -> Path:
    return part.with_name(f"{part.name}{RECORD}")


def has_part(destination: Destination) -> bool:
    """Return True if another run has left a part, or its record, or is writing it."""
    path = path_of_part(destination)
    return os.path.lexists(path) or os.path.lexists(_path_of_record(path))


@contextmanager
def open_part(destination: Destination, url: str, *, resume: bool, synced: bool) -> Iterator[Part]:
    """Open the part of a file, and keep other processes from using it.

    Args:
        destination: the file.
        url: URL that it is downloaded from.
        resume: True to go on with what another run has left, and to leave it to another run.
        synced: see `Part`.

    Raises:
        PartInUse: another process is writing it.
        OSError: it cannot be opened, or is not one that an earlier run has left.

    """
    if not resume:
        with destination.new_file() as (stream, path):
            yield Part(stream, path, destination.name, None, synced=synced)
        return
    path = path_of_part(destination)
    folder, base = os.path.split(destination.name)
    name = os.path.join(folder, part_name(base))  # noqa: PTH118 - keeps ``./``
    if destination.part is not None:
        name = str(path)
    with ExitStack() as stack:
        try:
            record = Record(_path_of_record(path), url, name)
        except OSError as exc:
            raise OSError(exc.errno, exc.strerror, f"{name}{RECORD}") from exc
        stack.callback(record.close)
        stack.callback(record.remove_if_empty)
        try:
            stream = os.fdopen(open_own(path, destination.mode), "r+b", buffering=0)
            stack.enter_context(stream)
            part = Part(stream, path, name, record, synced=synced)
        except OSError as exc:
            raise OSError(exc.errno, exc.strerror, name) from exc
        yield part


def _sync_data(number: int) -> None:
    getattr(os, "fdatasync", os.fsync)(number)
