"""``-c``: going on with a download that ended too early, without mixing two versions of a file.

The bytes that have arrived are kept in ``FILE.part`` until it is complete, and in
``FILE.part.json`` which version it is a part of. A request asks for the rest of that version only:
with Range, and If-Range with a strong validator (RFC 9110 sections 13.1.5 and 14). A part without
one is of no use, so the download begins anew, as it does if the server has another version by now.

Not here: giving the complete file its name (output_file.py).
"""

from __future__ import annotations

import errno
import os
import re
import stat
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO, Final, Protocol

from ..http.http_date import parse_http_date
from .outcome import CommandFailed, with_name

SUFFIX: Final = ".part"
MAX_NOTE: Final = 65536  # bytes of the file that says what the part is of
# Seconds that a file has to be old, when it is sent, for its time to be a strong validator: it
# could change twice within one second, and clocks differ (RFC 9110 section 8.8.2.2).
OLD: Final = 60
NO_FOLLOW: Final = getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_BINARY", 0)

_range = re.compile(r"bytes (?P<first>[0-9]{1,18})-(?P<last>[0-9]{1,18})/(?P<all>[0-9]{1,18}|\*)")
_unsatisfied = re.compile(r"bytes \*/(?P<all>[0-9]{1,18})")
_is_strong = re.compile(r'"[\x21\x23-\x7e\x80-\xff]*"').fullmatch


class HasFields(Protocol):
    """A response, as far as it is looked at here."""

    def field(self, name: str) -> str | None:
        """Return the value of a header field, or None."""
        ...


def strong_validator(response: HasFields, now: float) -> str | None:
    """Return the value for If-Range that stands for exactly these bytes; None if there is none.

    Args:
        response: with the status 200 or 206.
        now: seconds since 1970, of `time.time`.

    """
    etag = response.field("etag")
    if etag is not None:
        return etag if _is_strong(etag) else None
    modified, date = response.field("last-modified"), response.field("date")
    if modified is None or date is None:
        return None
    first, then = parse_http_date(modified, now), parse_http_date(date, now)
    is_old = first is not None and then is not None and then - first >= OLD
    return modified if is_old else None


def rest_begins_at(response: HasFields) -> tuple[int, int | None]:
    """Return the position of the first byte of a 206 response, and the size of the whole.

    The size is None if the server does not say it.

    Raises:
        CommandFailed: it has several parts, or does not say which bytes it has.

    """
    value = response.field("content-range") or ""
    match = _range.fullmatch(value.strip(" \t"))
    if match is None or int(match["last"]) < int(match["first"]):
        raise CommandFailed("the server sent a part without saying which (Content-Range)")
    return int(match["first"]), None if match["all"] == "*" else int(match["all"])


def whole_size(response: HasFields) -> int | None:
    """Return the size that a 416 response tells of the whole; None if it tells none."""
    match = _unsatisfied.fullmatch((response.field("content-range") or "").strip(" \t"))
    return None if match is None else int(match["all"])


class Part:
    """The beginning of a file.

    Args:
        stream: the file, open for reading and writing.
        path: its path.
        name: the same, as the user calls it.
        url: URL that it is downloaded from.

    Attributes:
        stream: see above; its position is its end.
        path: see above.
        name: see above.
        size: bytes that are there and of use.
        validator: what their version is called; None if that is unknown.

    """

    def __init__(self, stream: BinaryIO, path: Path, name: str, url: str) -> None:
        self.stream = stream
        self.path = path
        self.name = name
        self._note = path.with_name(f"{path.name}.json")
        import hashlib  # noqa: PLC0415 - for -c only

        self._origin = hashlib.sha256(url.encode()).hexdigest()  # a URL may have secrets
        self.size = stream.seek(0, os.SEEK_END)
        self.validator = self._read_note() if self.size else None
        if self.validator is None:
            self.size = 0

    def fields(self) -> list[tuple[str, str]]:
        """Return the header fields that ask for the rest; none if everything is needed."""
        if self.validator is None:
            return []
        return [("Range", f"bytes={self.size}-"), ("If-Range", self.validator)]

    def begin(self, validator: str | None) -> None:
        """Begin anew, with a version that is called *validator*.

        Raises:
            OSError: the files cannot be written.

        """
        self._note.unlink(missing_ok=True)  # first, so that it is never about other bytes
        self.stream.seek(0)
        self.stream.truncate()
        self.size, self.validator = 0, validator
        if validator is None:
            return
        import json  # noqa: PLC0415 - for -c only

        text = json.dumps({"url": self._origin, "validator": validator})
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | NO_FOLLOW
        with os.fdopen(os.open(self._note, flags, 0o600), "w") as file:
            file.write(f"{text}\n")

    def take_stock(self) -> None:
        """Set `size` to the number of bytes that are there by now, if they are of use."""
        size = self.stream.seek(0, os.SEEK_END)
        self.size = 0 if self.validator is None else size

    def is_of(self, response: HasFields) -> bool:
        """Return False if a 206 response says that its bytes are those of another version."""
        etag = response.field("etag")
        return etag is None or not _is_strong(self.validator or "") or etag == self.validator

    def forget(self) -> None:
        """Remove what is left of it, when the file is complete."""
        for path in (self._note, self.path):
            with suppress(OSError):
                path.unlink(missing_ok=True)

    def _read_note(self) -> str | None:
        import json  # noqa: PLC0415 - for -c only

        try:
            with os.fdopen(os.open(self._note, os.O_RDONLY | NO_FOLLOW), "rb") as file:
                note = json.loads(file.read(MAX_NOTE))
            if note["url"] == self._origin and isinstance(note["validator"], str):
                return str(note["validator"])
        except (OSError, ValueError, KeyError, TypeError):
            pass  # there is none, or it is damaged
        return None


@contextmanager
def open_part(path: Path, name: str, url: str, mode: int) -> Iterator[Part]:
    """Open the part of a file, and keep other processes from using it.

    Args:
        path: path of the part.
        name: the argument of the user, for errors.
        url: URL that it is downloaded from.
        mode: permissions of a new one.

    Raises:
        CommandFailed: another process is writing it.
        OSError: it cannot be opened, or is no regular file of this user.

    """
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | NO_FOLLOW, mode)
    except OSError as exc:
        raise with_name(exc, f"{name}{SUFFIX}") from exc
    with os.fdopen(descriptor, "r+b", buffering=0) as stream:
        status = os.fstat(descriptor)
        is_ours = not hasattr(os, "geteuid") or status.st_uid == os.geteuid()
        if not stat.S_ISREG(status.st_mode) or status.st_nlink > 1 or not is_ours:
            what = "not a file that an earlier download has left"
            raise OSError(errno.EINVAL, what, f"{name}{SUFFIX}")
        _lock(descriptor, name)
        yield Part(stream, path, f"{name}{SUFFIX}", url)


def _lock(descriptor: int, name: str) -> None:
    try:
        import fcntl  # noqa: PLC0415 - not on Windows
    except ImportError:
        return
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise CommandFailed(f"{name}{SUFFIX}: another process is downloading it") from None
    except OSError:
        pass  # not in this file system


def validator_now(response: HasFields) -> str | None:
    """Return the `strong_validator` of a response that has just arrived."""
    return strong_validator(response, time.time())
