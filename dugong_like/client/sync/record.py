"""The record of a synchronisation: which local file is which version on the server.

A row is written when a file has arrived on the other side: the size and the time that it has
here, and the tag that it has there (see `Facts.tag`). A later run takes a file for unchanged if
both sides still are what the row says.

It is an SQLite database. Each row is a transaction of its own, so nothing is lost when the process
is killed; and no other run can open it meanwhile. Rows of several files at once would be 40 µs a
file less, and with small files a kill would repeat more than what is in flight. It is no more than
a memory: without it, or when it is damaged, files are transferred again.

Not here: listings, which are temporary tables beside it (tree.py).
"""

from __future__ import annotations

import hashlib
import os
import sqlite3
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple, Self

from ...errors import PartInUse, TransferError
from ...http.redaction import MAX_PATH, quoted
from .rows import paged, stored_int
from .tree import as_bytes

FORMAT: Final = 1
CACHE: Final = 4096  # KiB of pages in memory, for the record and for the listings
APPLICATION: Final = 0x6475676F  # of our files: "dugo" (SQLite, PRAGMA application_id)
MAGIC: Final = b"SQLite format 3\0"  # what a database begins with
DAMAGED: Final = "other bytes"  # instead of a tag, as none: the file has to be copied again
SUFFIXES: Final = ("", "-wal", "-shm", "-journal")  # of its files
ID_AT: Final = 68  # position of the application_id in it


class Known(NamedTuple):
    """A row of the record.

    Attributes:
        path: its path, as bytes.
        size: bytes, on both sides.
        mtime_ns: its time here.
        tag: what the server calls the version; `DAMAGED` if both sides had other bytes.

    """

    path: bytes
    size: int
    mtime_ns: int
    tag: str | None


class Record:
    """The record, open and locked.

    Args:
        path: its file, which is made if there is none; None to keep nothing.
        is_own: True if nothing else can have this path: then a file that is no record is a damaged
            one. Otherwise it is left alone.

    Raises:
        PartInUse: another run has it open.
        TransferError: it cannot be opened, or is something else.

    Attributes:
        database: for listings.

    """

    def __init__(self, path: Path | None, *, is_own: bool = True) -> None:
        self._path = path
        self._is_own = is_own
        try:
            self.database = self._open()
        except sqlite3.OperationalError as exc:
            if exc.sqlite_errorcode in {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED}:
                name = quoted(str(path), MAX_PATH)
                raise PartInUse(f"{name}: another run has it open", path=str(path)) from None
            raise self._unusable(str(exc)) from exc
        except OSError as exc:
            raise self._unusable(exc.strerror or str(exc)) from exc

    def _unusable(self, reason: str) -> TransferError:
        name = quoted(str(self._path), MAX_PATH)
        return TransferError(f"{name} cannot be the record: {reason}", path=str(self._path))

    def _open(self) -> sqlite3.Connection:
        if self._path is None:
            return self._prepared(":memory:")
        self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        os.close(os.open(self._path, os.O_RDWR | os.O_CREAT, 0o600))
        try:
            return self._prepared(str(self._path))
        except sqlite3.OperationalError:
            raise
        except sqlite3.DatabaseError:  # damaged: what it knew is lost, and no more than that
            if not self._is_own and not _is_record(self._path):
                raise self._unusable("it is another file") from None
            for suffix in reversed(SUFFIXES):
                Path(f"{self._path}{suffix}").unlink(missing_ok=True)
            return self._prepared(str(self._path))

    def _prepared(self, name: str) -> sqlite3.Connection:
        database = sqlite3.connect(name, timeout=0, isolation_level=None, check_same_thread=False)
        try:
            mine = database.execute("PRAGMA application_id").fetchone()[0]
            if mine != APPLICATION and (mine or not _is_empty(database)):
                raise self._unusable("this is another database")
            for pragma in (
                "locking_mode = EXCLUSIVE",
                "journal_mode = WAL",
                "synchronous = NORMAL",
                f"cache_size = -{CACHE}",
                "temp_store = FILE",
            ):
                database.execute(f"PRAGMA {pragma}")
            database.execute("BEGIN IMMEDIATE")
            database.execute(f"PRAGMA application_id = {APPLICATION}")
            if database.execute("PRAGMA user_version").fetchone()[0] != FORMAT:
                database.execute("DROP TABLE IF EXISTS files")
                database.execute(f"PRAGMA user_version = {FORMAT}")
            database.execute(
                "CREATE TABLE IF NOT EXISTS files (path BLOB PRIMARY KEY, size INTEGER NOT NULL,"
                " mtime_ns INTEGER NOT NULL, tag TEXT) WITHOUT ROWID"
            )
            database.execute("COMMIT")
        except BaseException:
            database.close()
            raise
        return database

    def put(self, path: str, size: int, mtime_ns: int, tag: str | None) -> None:
        """Note that a file is the same on both sides."""
        row = (as_bytes(path), size, stored_int(mtime_ns), tag)
        self.database.execute("REPLACE INTO files VALUES (?, ?, ?, ?)", row)

    def get(self, path: str) -> Known | None:
        """Return the row of *path*, or None."""
        row = self.database.execute(
            "SELECT * FROM files WHERE path = ?", (as_bytes(path),)
        ).fetchone()
        return None if row is None else _known(row)

    def remove(self, path: str) -> None:
        """Note that a file is no more."""
        self.database.execute("DELETE FROM files WHERE path = ?", (as_bytes(path),))

    def __iter__(self) -> Iterator[Known]:
        """Yield all rows, ordered by their paths."""
        for row in paged(self.database, "SELECT * FROM files WHERE path > ? ORDER BY path", b""):
            yield _known(row)

    def close(self) -> None:
        """Close and unlock it."""
        self.database.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()


def _known(row: Sequence[Any]) -> Known:
    path, size, mtime_ns, tag = row
    return Known(path, size, int(mtime_ns), tag)


def _is_empty(database: sqlite3.Connection) -> bool:
    """Return True if a database has nothing; most of those that have something say no id."""
    return database.execute("SELECT 1 FROM sqlite_master").fetchone() is None


def _is_record(path: Path) -> bool:
    """Return True if a file begins as a record does, whatever is behind."""
    with path.open("rb") as file:
        begin = file.read(ID_AT + 4)
    return begin.startswith(MAGIC) and begin[ID_AT:] == APPLICATION.to_bytes(4, "big")


def usual_place(root: Path, remote: str) -> Path:
    """Return where the record of a folder and a server is by default.

    Args:
        root: the folder.
        remote: name of the other side.

    """
    state = Path(os.environ.get("XDG_STATE_HOME", ""))
    base = state if state.is_absolute() else Path.home() / ".local" / "state"
    pair = os.fsencode(os.path.realpath(root)) + b"\0" + remote.encode("utf-8", "backslashreplace")
    return base / "dugong_like" / "sync" / f"{hashlib.sha256(pair).hexdigest()[:32]}.sqlite"


def paths_below(root: str, record: Path | None) -> list[str]:
    """Return the paths of the files of a record in the folder *root*; none if it is elsewhere."""
    if record is None:
        return []
    try:
        path = Path(os.path.realpath(record)).relative_to(os.path.realpath(root)).as_posix()
    except ValueError:
        return []
    return [f"{path}{suffix}" for suffix in SUFFIXES]
