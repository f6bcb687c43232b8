"""The steps of a plan, in a temporary table: a million of them need no memory.

Not here: the plan (plan.py), and doing it (run.py).
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from typing import Final

from .plan import Kind, Step
from .rows import Rows, paged
from .tree import as_bytes, as_text, parents

KINDS: Final = list(Kind)
TO_ASK: Final = (Kind.CONFIRM, Kind.COMPARE)
TO_COPY: Final = (*TO_ASK, Kind.COPY)


class Steps:
    """The steps of a run.

    Args:
        database: where they are kept.

    Attributes:
        folders: those that copied files are in.

    """

    def __init__(self, database: sqlite3.Connection) -> None:
        self._database = database
        for name in ("steps", "copied"):
            database.execute(f"DROP TABLE IF EXISTS temp.{name}")
        database.execute(
            "CREATE TEMP TABLE steps (number INTEGER PRIMARY KEY, kind INTEGER, path BLOB,"
            " size INTEGER, reason TEXT)"
        )
        database.execute("CREATE TEMP TABLE copied (path BLOB PRIMARY KEY, size INTEGER)")
        insert = "INSERT INTO temp.steps (kind, path, size, reason) VALUES (?, ?, ?, ?)"
        self._rows = Rows(database, insert)
        self.folders: set[str] = set()

    def add(self, step: Step) -> None:
        """Add a step."""
        if step.kind in TO_COPY:
            for folder in parents(step.path):
                if folder in self.folders:
                    break
                self.folders.add(folder)
        self._rows.add((KINDS.index(step.kind), as_bytes(step.path), step.size, step.reason))

    def count(self, *kinds: Kind) -> tuple[int, int]:
        """Return how many steps there are of some kinds, and the bytes that they copy."""
        self._rows.flush()
        found = size = 0
        for kind in kinds:
            row = self._database.execute(
                "SELECT COUNT(*), TOTAL(size) FROM temp.steps WHERE kind = ?", (KINDS.index(kind),)
            ).fetchone()
            found += row[0]
            size += int(row[1]) if kind in TO_COPY else 0
        return found, size

    def of(self, *kinds: Kind) -> Iterator[Step]:
        """Yield the steps of some kinds, one kind after the other."""
        self._rows.flush()
        for kind in kinds:
            query = "SELECT number, path, size, reason FROM temp.steps WHERE kind = ?"
            order = "AND number > ? ORDER BY number"
            for row in paged(self._database, f"{query} {order}", KINDS.index(kind), 0):
                yield Step(kind, as_text(row[1]), *row[2:])

    def note_copied(self, path: str, size: int) -> None:
        """Note that a file was copied."""
        self._database.execute("REPLACE INTO temp.copied VALUES (?, ?)", (as_bytes(path), size))

    def copied(self) -> Iterator[Step]:
        """Yield the files that were copied."""
        query = "SELECT path, size FROM temp.copied WHERE path > ? ORDER BY path"
        for path, size in paged(self._database, query, b""):
            yield Step(Kind.COMPARE, as_text(path), size, "to verify it")
