"""The record of a part: the version that its bytes are of, and which of them are there.

``FILE.part.json`` is beside ``FILE.part``. It has lines of JSON, which are only ever appended:

1. the version: ``{"format": 1, "url": …, "validator": …, "size": …}``. The URL is hashed,
   as it may have secrets; the validator is one for If-Range; the size is null if it is unknown.
2. each further line has all spans that are there, ``[[0, 16777216], [25165824, 33554432]]``, with
   positions behind the last bytes. The last complete line counts.

A line is written when the bytes that it is about have reached the storage (see `Part.claim`), and a
line that is cut off counts as not written. So whatever ends the process, or the machine, the record
claims no byte that is not there. Before other bytes may come, it is emptied first.

Not here: the file (locked_lines.py), the bytes (part.py), and whether a server still has this
version (download.py).
"""

from __future__ import annotations

from pathlib import Path
from typing import Final, NamedTuple

from .locked_lines import LockedLines, hashed, is_position, parsed
from .spans import Spans

FORMAT: Final = 1


class Facts(NamedTuple):
    """The version that a part is of.

    Attributes:
        validator: value for If-Range.
        size: bytes of the whole; None if that is unknown.

    """

    validator: str
    size: int | None


class Record(LockedLines):
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
        super().__init__(path, f"{name}: another run is downloading it", name)
        self._origin = hashed(url)

    def read(self) -> tuple[Facts | None, Spans]:
        """Return what the part is of, and which bytes of it are there.

        The facts are None if the record is damaged, or about another URL.

        Raises:
            OSError: it cannot be read.

        """
        first = self.first()
        facts = None if first is None else self._facts(first)
        if first is None or facts is None:
            return None, Spans()
        for line in reversed(self.last(len(first))):
            spans = _spans(line, facts.size)
            if spans is not None:
                return facts, spans
        return facts, Spans()

    def begin(self, facts: Facts) -> None:
        """Note what the part is of, after `clear`. Raises OSError if that fails."""
        self.append({
            "format": FORMAT,
            "url": self._origin,
            "validator": facts.validator,
            "size": facts.size,
        })  # fmt: skip

    def claim(self, spans: Spans) -> None:
        """Note that *spans* are there, and have reached the storage. Raises OSError if it fails."""
        self.append(list(spans))

    def _facts(self, line: bytes) -> Facts | None:
        found = parsed(line)
        if not isinstance(found, dict) or found.get("format") != FORMAT:
            return None
        validator, size = found.get("validator"), found.get("size")
        if found.get("url") != self._origin or not isinstance(validator, str):
            return None
        if size is not None and not is_position(size):
            return None
        return Facts(validator, size)


def _spans(line: bytes, size: int | None) -> Spans | None:
    """Return the spans of a line; None if it is damaged."""
    found = parsed(line)
    if not isinstance(found, list):
        return None
    last = 0
    for each in found:
        if not isinstance(each, list) or len(each) != 2:  # noqa: PLR2004 - begin and end
            return None
        begin, end = each
        if not is_position(begin) or not is_position(end) or not last <= begin < end:
            return None
        last = end
    return None if size is not None and last > size else Spans((begin, end) for begin, end in found)
