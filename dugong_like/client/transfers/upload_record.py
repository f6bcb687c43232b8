"""The record of a resumable upload: where it is, so that another process can go on with it.

One line of JSON: ``{"format": 1, "method": …, "url": …, "upload": …, "size": …, "mtime_ns": …}``.
The URL is that of the resource, hashed, as it may have secrets. That of the upload is needed as it
is; so only the user can read the file. Size and time are those of the file that is sent: if they
are other ones, it is another file, and its upload begins anew. How many bytes the server has is
never taken from here: it is asked.

Not here: the upload (resumable.py).
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

from ...errors import InvalidRequest
from ...http.url import URL
from .locked_lines import LockedLines, hashed, is_position, parsed

if TYPE_CHECKING:
    from ..request import ClientRequest

FORMAT: Final = 1
SUFFIX: Final = ".upload.json"


class Version(NamedTuple):
    """The version of a file that is sent.

    Attributes:
        size: bytes.
        mtime_ns: when it was changed last, in nanoseconds.

    """

    size: int
    mtime_ns: int


class UploadRecord:
    """The record of an upload, open and locked.

    Args:
        lines: the file.
        request: to the resource.
        version: of the file that is sent.

    """

    def __init__(self, lines: LockedLines, request: ClientRequest, version: Version) -> None:
        self._lines = lines
        self._url = request.url
        self._facts = {
            "format": FORMAT,
            "method": request.method,
            "url": hashed(str(request.url.copy_with(fragment=""))),
            "size": version.size,
            "mtime_ns": version.mtime_ns,
        }

    def place(self) -> URL | None:
        """Return the URL of the upload that an earlier run has begun; None if there is none.

        Raises:
            OSError: it cannot be read.

        """
        line = self._lines.first()
        found = None if line is None else parsed(line)
        if not isinstance(found, dict) or not is_position(found.get("size")):
            return None
        place = found.pop("upload", None)
        if found != self._facts or not isinstance(place, str):
            return None
        try:
            url = URL(place)
        except InvalidRequest:
            return None
        return None if self._url.origin.secure and not url.origin.secure else url

    def begin(self, place: URL) -> None:
        """Note that an upload has begun, whose URL is *place*. Raises OSError if that fails."""
        self._lines.clear()
        self._lines.append({**self._facts, "upload": str(place)})

    def remove(self) -> None:
        """Remove it: the upload is complete."""
        self._lines.remove()


@contextmanager
def open_upload_record(
    path: Path, request: ClientRequest, version: Version
) -> Iterator[UploadRecord]:
    """Open the record at *path*, and keep other processes from going on with the same upload.

    Raises:
        PartInUse: another process does that now.
        OSError: it cannot be opened, or is not one that an earlier run has left.

    """
    lines = LockedLines(path, f"{path}: another run is uploading it", str(path))
    try:
        yield UploadRecord(lines, request, version)
    finally:
        lines.remove_if_empty()
        lines.close()
