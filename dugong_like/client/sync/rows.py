"""Rows that are written to a table of a database, and read, many at a time.

Nothing is left open between two steps of an iteration: so a table may be changed meanwhile, and a
database that is closed is closed.

Not here: the tables (tree.py, steps.py, record.py).
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Final

TOGETHER: Final = 1000  # rows
LIMIT: Final = 1 << 63  # of an integer of SQLite


class Rows:
    """Writes rows.

    Args:
        database: where the table is.
        statement: writes one row.

    """

    def __init__(self, database: sqlite3.Connection, statement: str) -> None:
        self._database = database
        self._statement = statement
        self._pending: list[Sequence[object]] = []

    def add(self, row: Sequence[object]) -> None:
        """Write *row*, now or later."""
        self._pending.append(row)
        if len(self._pending) >= TOGETHER:
            self.flush()

    def flush(self) -> None:
        """Write what was added."""
        if not self._pending:
            return
        pending, self._pending = self._pending, []
        with transaction(self._database):
            self._database.executemany(self._statement, pending)


@contextmanager
def transaction(database: sqlite3.Connection) -> Iterator[None]:
    """Store all that is changed in this context, or nothing if it fails."""
    database.execute("BEGIN")
    try:
        yield
        database.execute("COMMIT")
    except BaseException:
        if database.in_transaction:  # some errors, such as of a full disk, have ended it
            database.execute("ROLLBACK")
        raise


def paged(database: sqlite3.Connection, query: str, *values: object) -> Iterator[tuple[Any, ...]]:
    """Yield the rows of a query, ordered by their first column.

    Args:
        database: where the table is.
        query: it ends with a condition for the first column, and the order: ``… WHERE path > ?
            ORDER BY path``.
        values: for its parameters; the last one is less than all values of the first column.

    """
    *others, last = values
    while True:
        rows = database.execute(f"{query} LIMIT {TOGETHER}", (*others, last)).fetchall()
        yield from rows
        if len(rows) < TOGETHER:
            return
        last = rows[-1][0]


def stored_int(value: int | None) -> int | bytes | None:
    """Return what a column has for *value*: its digits if it has more than 64 bits.

    As for the times of files in nanoseconds before 1677 and after 2262. `int` takes both.
    """
    return value if value is None or -LIMIT <= value < LIMIT else b"%d" % value
