"""A file of lines of JSON that a run leaves for the next one, and that one run at a time has.

Lines are only ever appended. One that is cut off, as the machine has ended, counts as not written.
The file is never replaced while it is in use: a lock of it (flock) is what keeps two runs from
doing the same.

Not here: what the lines say (record.py, upload_record.py).
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, Final

from ...errors import PartInUse
from .opening import open_own

MAX_LINE: Final = 65536  # bytes; the spans of a thousand gaps
MAX_DIGITS: Final = 10**18  # bytes; see http/content_range.py


class LockedLines:
    """A file, open and locked.

    Args:
        path: path of the file; it is made if there is none.
        in_use: the message if another run has locked it.
        name: what that is about.

    Attributes:
        path: see above.

    Raises:
        PartInUse: another run has locked it.
        OSError: it cannot be opened, or is not a file that an earlier run has left.

    """

    def __init__(self, path: Path, in_use: str, name: str) -> None:
        self.path = path
        while True:
            self._file = os.fdopen(open_own(path, 0o600), "r+b", buffering=0)
            try:
                _lock(self._file.fileno(), in_use, name)
                if _is_same(self._file.fileno(), path):
                    return
            except BaseException:
                self._file.close()
                raise
            self._file.close()  # the run that had it locked has removed it meanwhile

    def first(self) -> bytes | None:
        """Return the first line; None if it is not whole. Raises OSError if that fails."""
        self._file.seek(0)
        line, newline, _ = self._file.read(MAX_LINE).partition(b"\n")
        return line if newline else None

    def last(self, begin: int) -> list[bytes]:
        """Return the last whole lines, and have the next one be a line of its own.

        Args:
            begin: where the first line ends.

        Raises:
            OSError: that failed.

        """
        end = self._file.seek(0, os.SEEK_END)
        self._file.seek(max(begin, end - MAX_LINE))
        tail = self._file.read(MAX_LINE)
        if not tail.endswith(b"\n"):
            self._file.seek(0, os.SEEK_END)
            self._file.write(b"\n")
        return tail.split(b"\n")[1:-1]

    def append(self, value: Any) -> None:
        """Write a line. Raises OSError if that fails."""
        import json  # noqa: PLC0415 - 1 ms; see also `parsed`

        line = f"{json.dumps(value, separators=(',', ':'))}\n".encode()
        if len(line) > MAX_LINE // 2:
            return  # it would not be found; more gaps than any run has made
        self._file.seek(0, os.SEEK_END)
        self._file.write(line)

    def clear(self) -> None:
        """Say nothing, from now on and whatever happens. Raises OSError if that fails."""
        self._file.seek(0)
        self._file.truncate()
        os.fsync(self._file.fileno())

    def remove(self) -> None:
        """Remove it: what it is about is complete, or gone."""
        try:
            self.path.unlink(missing_ok=True)
        except OSError:
            pass  # the folder was made read-only; it claims what is not there, and is not believed

    def remove_if_empty(self) -> None:
        """Remove it if it says nothing. The lock is still held."""
        if os.fstat(self._file.fileno()).st_size == 0:
            self.remove()

    def close(self) -> None:
        """Close and unlock it."""
        self._file.close()


def hashed(url: str) -> str:
    """Return what a file has in place of a URL, which may have secrets."""
    import hashlib  # noqa: PLC0415 - not needed to import a client

    return hashlib.sha256(url.encode()).hexdigest()


def parsed(line: bytes) -> Any:
    """Return the value of a line; None if it is damaged."""
    import json  # noqa: PLC0415 - not needed to import a client

    try:
        return json.loads(line)
    except (ValueError, RecursionError):
        return None


def is_position(value: object) -> bool:
    """Return True if *value* is a possible position in a file."""
    return type(value) is int and 0 <= value < MAX_DIGITS


def _is_same(number: int, path: Path) -> bool:
    """Return True if the open file is the one at *path*."""
    try:
        return os.path.samestat(os.fstat(number), path.stat())
    except FileNotFoundError:
        return False


def _lock(number: int, in_use: str, name: str) -> None:
    try:
        import fcntl  # noqa: PLC0415 - not on Windows
    except ImportError:
        return
    try:
        fcntl.flock(number, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise PartInUse(in_use, path=name) from None
    except OSError:
        pass  # not in this file system
