"""The record of a part: the version that its bytes are of, and which of them are there.

``FILE.part.json`` is beside ``FILE.part``. It has lines of JSON, which are only ever appended:

1. the version: ``{"format": 1, "url": …, "validator": …, "size": …}``. The URL is hashed,
   as it may have secrets; the validator is one for If-Range; the size is null if it is unknown.
2. each further line has all spans that are there, ``[[0, 16777216], [25165824, 33554432]]``, with
   positions behind the last bytes. The last complete line counts.

A line is written when the bytes that it is about have reached the storage (see `Part.claim`), and a
line that is cut off counts as not written. So whatever ends the process, or the machine, the record
claims no byte that is not there. Before other bytes may come, it is emptied first.

The file is never replaced while the part is in use: a lock of it (flock) is what keeps two runs
from writing one part.

Not here: the bytes (part.py), and whether a server still has this version (download.py).
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any, Final, NamedTuple

from ...errors import PartInUse
from .opening import open_own
from .spans import Spans

FORMAT: Final = 1
MAX_LINE: Final = 65536  # bytes; the spans of a thousand gaps
MAX_DIGITS: Final = 10**18  # bytes; see http/content_range.py


class Facts(NamedTuple):
    """The version that a part is of.

    Attributes:
        validator: value for If-Range.
        size: bytes of the whole; None if that is unknown.

    """

    validator: str
    size: int | None


class Record:
    """The record of a part, open and locked.

    Args:
        path: path of the record; it is made if there is none.
        url: URL of the download, without fragment.
        name: what errors call the part.

    Raises:
        PartInUse: another run has locked it.
        OSError: it cannot be opened, or is not a file that an earlier run has left.

    """

    def __init__(self, path: Path, url: str, name: str) -> None:
        import hashlib  # noqa: PLC0415 - not needed to import a client

        self.path = path
        self._origin = hashlib.sha256(url.encode()).hexdigest()
        while True:
            self._file = os.fdopen(open_own(path, 0o600), "r+b", buffering=0)
            try:
                _lock(self._file.fileno(), name)
                if _is_same(self._file.fileno(), path):
                    return
            except BaseException:
                self._file.close()
                raise
            self._file.close()  # the run that had it locked has removed it meanwhile

    def read(self) -> tuple[Facts | None, Spans]:
        """Return what the part is of, and which bytes of it are there.

        The facts are None if the record is damaged, or about another URL.

        Raises:
            OSError: it cannot be read.

        """
        end = self._file.seek(0, os.SEEK_END)
        self._file.seek(0)
        first, newline, _ = self._file.read(MAX_LINE).partition(b"\n")
        facts = self._facts(first) if newline else None
        if facts is None:
            return None, Spans()
        begin = max(len(first), end - MAX_LINE)
        self._file.seek(begin)
        tail = self._file.read(MAX_LINE)
        if not tail.endswith(b"\n"):
            self._file.seek(0, os.SEEK_END)
            self._file.write(b"\n")  # so that the next line is one
        for line in reversed(tail.split(b"\n")[1:-1]):
            spans = _spans(line, facts.size)
            if spans is not None:
                return facts, spans
        return facts, Spans()

    def clear(self) -> None:
        """Claim nothing, from now on and whatever happens. Raises OSError if that fails."""
        self._file.seek(0)
        self._file.truncate()
        os.fsync(self._file.fileno())

    def begin(self, facts: Facts) -> None:
        """Note what the part is of, after `clear`. Raises OSError if that fails."""
        self._append({
            "format": FORMAT,
            "url": self._origin,
            "validator": facts.validator,
            "size": facts.size,
        })  # fmt: skip

    def claim(self, spans: Spans) -> None:
        """Note that *spans* are there, and have reached the storage. Raises OSError if it fails."""
        self._append(list(spans))

    def _append(self, value: Any) -> None:
        line = f"{json.dumps(value, separators=(',', ':'))}\n".encode()
        if len(line) > MAX_LINE // 2:
            return  # it would not be found; more gaps than any run has made
        self._file.seek(0, os.SEEK_END)
        self._file.write(line)

    def remove(self) -> None:
        """Remove it: the part is complete, or gone."""
        try:
            self.path.unlink(missing_ok=True)
        except OSError:
            pass  # the folder was made read-only; it claims what is not there, and is not believed

    def remove_if_empty(self) -> None:
        """Remove it if it claims nothing. The lock is still held."""
        if os.fstat(self._file.fileno()).st_size == 0:
            self.remove()

    def close(self) -> None:
        """Close and unlock it."""
        self._file.close()

    def _facts(self, line: bytes) -> Facts | None:
        found = _parse(line)
        if not isinstance(found, dict) or found.get("format") != FORMAT:
            return None
        validator, size = found.get("validator"), found.get("size")
        if found.get("url") != self._origin or not isinstance(validator, str):
            return None
        if size is not None and not _is_position(size):
            return None
        return Facts(validator, size)


def _spans(line: bytes, size: int | None) -> Spans | None:
    """Return the spans of a line; None if it is damaged."""
    found = _parse(line)
    if not isinstance(found, list):
        return None
    last = 0
    for each in found:
        if not isinstance(each, list) or len(each) != 2:  # noqa: PLR2004 - begin and end
            return None
        begin, end = each
        if not _is_position(begin) or not _is_position(end) or not last <= begin < end:
            return None
        last = end
    return None if size is not None and last > size else Spans((begin, end) for begin, end in found)


def _parse(line: bytes) -> Any:
    try:
        return json.loads(line)
    except (ValueError, RecursionError):
        return None


def _is_position(value: object) -> bool:
    return type(value) is int and 0 <= value < MAX_DIGITS


def _is_same(number: int, path: Path) -> bool:
    """Return True if the open file is the one at *path*."""
    try:
        return os.path.samestat(os.fstat(number), path.stat())
    except FileNotFoundError:
        return False


def _lock(number: int, name: str) -> None:
    try:
        import fcntl  # noqa: PLC0415 - not on Windows
    except ImportError:
        return
    try:
        fcntl.flock(number, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise PartInUse(f"{name}: another run is downloading it", path=name) from None
    except OSError:
        pass  # not in this file system
