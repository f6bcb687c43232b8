"""A listing: the files of one side, by their paths.

A path is relative, with ``/`` between names. A byte of a local name that is not UTF-8 is half of a
surrogate pair in it, as `os.fsdecode` makes it. Paths are ordered by their bytes.

Listings are temporary tables of a database, which SQLite moves to a file when they are large: so a
million files need no more memory than a thousand.

Not here: how they are made (local.py and the remotes), and what follows from two (plan.py).
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from typing import Any, Final, NamedTuple

from .rows import Rows, paged, stored_int

ESCAPE: Final = "surrogateescape"
MAX_PATH: Final = 4096  # bytes, as of Linux (PATH_MAX)
MAX_NAME: Final = 255  # bytes, as of nearly all file systems
MAX_SIZE: Final = 1 << 62  # bytes
# Bytes of the digests of each algorithm, the best one first; names are those of hashlib.
DIGEST_SIZES: Final = {"sha256": 32, "sha1": 20, "md5": 16}
DIGEST_NAMES: Final = {size: name for name, size in DIGEST_SIZES.items()}
MAX_REFUSED: Final = 1000  # names that are kept for a report


class Facts(NamedTuple):
    """The facts of a file that are known without reading it.

    Attributes:
        size: bytes.
        mtime_ns: time of the last change, in nanoseconds since 1970; None if that is unknown.
        tag: what the server calls this version; None for local files, and if it does not say.
        digest: the SHA-256 of its bytes, or their SHA-1 or MD5, which its length shows; None if
            it is unknown.

    """

    size: int
    mtime_ns: int | None = None
    tag: str | None = None
    digest: bytes | None = None

    @property
    def sha256(self) -> bytes | None:
        """The digest, if it is a SHA-256."""
        digest = self.digest
        return digest if digest is not None and DIGEST_NAMES.get(len(digest)) == "sha256" else None


class Item(NamedTuple):
    """A file of a listing.

    Attributes:
        path: its path, as bytes.
        facts: see there.

    """

    path: bytes
    facts: Facts


def as_bytes(path: str) -> bytes:
    """Return the bytes of *path*. Raises UnicodeEncodeError if it has other surrogates."""
    return path.encode("utf-8", ESCAPE)


def as_text(path: bytes) -> str:
    """Return the path of these bytes."""
    return path.decode("utf-8", ESCAPE)


def parents(path: str) -> Iterator[str]:
    """Yield the folders that *path* is in, the innermost one first."""
    while (end := path.rfind("/")) > 0:
        path = path[:end]
        yield path


def name_problem(path: str) -> str | None:
    """Return why no file may have *path*; None if it may.

    A name that a server gives must not lead out of the folder.
    """
    try:
        data = as_bytes(path)
    except UnicodeEncodeError:
        return "it is no text"
    if not data or len(data) > MAX_PATH:
        return f"a path has 1 to {MAX_PATH} bytes"
    if b"\0" in data:
        return "it has a NUL"
    names = data.split(b"/")
    if b"" in names or b"." in names or b".." in names:
        return "it leads out of the folder, or has an empty name"
    if max(map(len, names)) > MAX_NAME:
        return f"a name has more than {MAX_NAME} bytes"
    return None


def _facts(size: int, mtime_ns: Any, tag: str | None, digest: bytes | None) -> Facts:
    """Return the facts of a row."""
    return Facts(size, None if mtime_ns is None else int(mtime_ns), tag, digest)


class Tree:
    """A listing.

    Args:
        database: where it is kept, as a temporary table.
        name: of the table.

    Attributes:
        folders: the folders that have files.
        refused: paths that no file may have, with the reasons; the first `MAX_REFUSED`.
        refused_count: how many there were.

    """

    def __init__(self, database: sqlite3.Connection, name: str) -> None:
        self._database = database
        self._name = name
        self.folders: set[str] = set()
        self.refused: list[tuple[str, str]] = []
        self.refused_count = 0
        database.execute(f"DROP TABLE IF EXISTS temp.{name}")
        database.execute(
            f"CREATE TEMP TABLE {name} (path BLOB PRIMARY KEY, size INTEGER, mtime_ns INTEGER,"
            " tag TEXT, digest BLOB) WITHOUT ROWID"
        )
        self._rows = Rows(database, f"REPLACE INTO temp.{name} VALUES (?, ?, ?, ?, ?)")  # noqa: S608

    def add(self, path: str, facts: Facts) -> None:
        """Add a file, or replace its facts. A path that no file may have is refused."""
        problem = name_problem(path)
        if problem is None and not 0 <= facts.size < MAX_SIZE:
            problem = "no file has such a size"
        if problem is not None:
            self.refuse(path, problem)
            return
        folders = self.folders
        for folder in parents(path):
            if folder in folders:
                break
            folders.add(folder)
        size, mtime_ns, tag, digest = facts
        self._rows.add((as_bytes(path), size, stored_int(mtime_ns), tag, digest))

    def refuse(self, path: str, reason: str) -> None:
        """Note that *path* is left out, for a *reason* that is an error."""
        self.refused_count += 1
        if len(self.refused) < MAX_REFUSED:
            self.refused.append((path, reason))

    def remove(self, path: str) -> None:
        """Remove a file, if it is there."""
        self._rows.flush()
        self._database.execute(
            f"DELETE FROM temp.{self._name} WHERE path = ?",  # noqa: S608
            (as_bytes(path),),
        )

    def get(self, path: str) -> Facts | None:
        """Return the facts of *path*, or None."""
        self._rows.flush()
        row = self._database.execute(
            f"SELECT size, mtime_ns, tag, digest FROM temp.{self._name} WHERE path = ?",  # noqa: S608
            (as_bytes(path),),
        ).fetchone()
        return None if row is None else _facts(*row)

    def __iter__(self) -> Iterator[Item]:
        """Yield all files, ordered by their paths."""
        self._rows.flush()
        query = f"SELECT path, size, mtime_ns, tag, digest FROM temp.{self._name}"  # noqa: S608
        for path, *facts in paged(self._database, f"{query} WHERE path > ? ORDER BY path", b""):
            yield Item(path, _facts(*facts))

    def has_below(self, folder: str) -> bool:
        """Return True if there are files in *folder*, or below it."""
        self._rows.flush()
        begin = as_bytes(folder)
        row = self._database.execute(
            f"SELECT 1 FROM temp.{self._name} WHERE path > ? AND path < ? LIMIT 1",  # noqa: S608
            (begin + b"/", begin + b"0"),  # "0" comes behind "/"
        ).fetchone()
        return row is not None

    def __len__(self) -> int:
        self._rows.flush()
        query = f"SELECT COUNT(*) FROM temp.{self._name}"  # noqa: S608
        return int(self._database.execute(query).fetchone()[0])
