"""A server that stores and gives files (PUT, GET, HEAD, DELETE), and lists none.

The list is a file on the server, ``dugong-manifest.jsonl``: lines of JSON, ordered by path.

1. ``{"dugong-manifest": 1}``
2. of each file its path, size, time in nanoseconds since 1970, tag, and SHA-256 or null:
   ``["a/b.txt", 5, 1700000000123456789, "\\"1\\"", null]``; a byte of a name that is not UTF-8 is
   half of a surrogate pair (``"\\udcff"``).
3. ``{"files": 1}``, the number of the lines between. Without it the list is not complete.

It is replaced at the end of an upload. A run that was killed has stored files that the list does
not have: the record knows them, and HEAD confirms that they are there. Changes of others are not
seen, unless they change the list as well: If-Match keeps two uploads from mixing theirs.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, Final

from ...errors import ContentChanged, StatusError, TransferError
from ...http.url import URL
from ...http.validators import is_strong_etag
from ...polling.contract import Co
from ...polling.fairness import StepCounter
from ...polling.wake import co_checkpoint
from ..layers.retry import Retry
from ..transfers.downloading import co_read_explanation
from ..transfers.upload import co_send_file, only_unsent
from ..transfers.upload_body import FileBody
from .remote import (
    GONE,
    PIECE,
    Build,
    Send,
    Stored,
    Take,
    co_send_source,
    labelled,
    refusal,
    tag_of,
)
from .remote_files import FilesBelow
from .tree import MAX_PATH, Facts, Item, as_text

if TYPE_CHECKING:
    from ...polling.rates import RateLimit
    from ..response import Response
    from .local import SourceFile

NAME: Final = "dugong-manifest.jsonl"
FORMAT: Final = 1
MAX_LINE: Final = 8 * MAX_PATH + 4096  # bytes; a character of a path may take 6
IN_MEMORY: Final = 1 << 20  # bytes of a manifest that need no file
FIELDS: Final = 5
MAX_TIME: Final = 1 << 75  # nanoseconds: more than any file system has
DIGEST_SIZE: Final = 32  # bytes
CONFLICT: Final = 409  # RFC 9110 section 15.5.10
NO_PLACE: Final = (
    "there is no such folder, or something else has the name of the file or its folder"
)
NO_LIST: Final = dict.fromkeys(GONE, "nothing was uploaded there by sync")
FAILED_CONDITION: Final = 412  # RFC 9110 section 15.5.13


class ManifestRemote(FilesBelow):
    """A folder on such a server; see `Remote`.

    Args:
        build: `Client.build_request`.
        url: of the folder.

    """

    exact_times = True
    listing_lags = True

    def __init__(self, build: Build, url: URL) -> None:
        super().__init__(build, url)
        self._etag: str | None = None  # of the manifest
        self._was_there = False

    # ---- the list

    @property
    def is_there(self) -> bool:
        """See `Remote.is_there`."""
        return self._was_there

    def co_list(self, co_send: Send, take: Take, *, must_exist: bool) -> Co[None]:
        """Read the manifest; see `Remote.co_list`."""
        request = self.request("GET", NAME)
        response = yield from co_send(request, stream=True)
        if response.status_code in GONE and not must_exist:
            response.close()
            return
        if not response.is_success:
            yield from co_read_explanation(response)
            raise refusal(response, "the list of files", NO_LIST.get(response.status_code, ""))
        with response, labelled(request):
            self._etag, self._was_there = response.field("etag"), True
            lines = Lines(take)
            for reading in response.co_iter_bytes():
                data = yield from reading
                if data is not None:
                    lines.add(data)
            lines.end()

    def co_finish(self, co_send: Send, listing: Iterable[Item]) -> Co[None]:
        """Store the manifest; see `Remote.co_finish`."""
        steps = StepCounter()
        with tempfile.TemporaryFile(buffering=PIECE) as file:
            file.write(b'{"dugong-manifest": %d}\n' % FORMAT)
            count = 0
            for path, facts in listing:
                digest = None if facts.digest is None else facts.digest.hex()
                row = [as_text(path), facts.size, facts.mtime_ns, facts.tag, digest]
                file.write(f"{json.dumps(row)}\n".encode())
                count += 1
                if steps.is_over():
                    yield from co_checkpoint()
            file.write(b'{"files": %d}\n' % count)
            file.flush()
            file.seek(0)
            request = self.request("PUT", NAME)
            request.headers.set("Content-Type", "application/jsonl")
            if not self._was_there:
                request.headers.set("If-None-Match", "*")
            elif self._etag is not None and is_strong_etag(self._etag):
                request.headers.set("If-Match", self._etag)
            request.extensions["retry"] = only_unsent(Retry())
            try:
                response = yield from co_send_file(co_send, request, FileBody(file, 0, NAME), False)
            except StatusError as exc:
                if exc.response.status_code != FAILED_CONDITION:
                    raise
                raise StatusError(
                    "another run has changed the list of files meanwhile: run again",
                    response=exc.response,
                ) from exc
        self._etag, self._was_there = response.field("etag"), True

    # ---- files

    def co_put(
        self, co_send: Send, file: SourceFile, digest: bytes | None, rate: RateLimit | None
    ) -> Co[Stored]:
        """Store a file; see `Remote.co_put`."""
        if file.path == NAME:
            raise TransferError(
                "the list of files has this name on the server: leave it out (--exclude)",
                path=NAME,
            )
        request = self.request("PUT", file.path)
        try:
            response = yield from co_send_source(co_send, request, file, rate)
        except StatusError as exc:
            if exc.response.status_code != CONFLICT:
                raise
            raise refusal(exc.response, "", NO_PLACE) from exc
        return Stored((yield from self.co_tag_after(co_send, file, response)), digest)

    def mtime_of(self, path: str, listed: Facts, response: Response, size: int) -> int | None:
        """Check that it is the listed version; see `Remote.mtime_of`."""
        tag = tag_of(response)
        is_other = tag is not None and listed.tag is not None and tag != listed.tag
        if is_other or size != listed.size:
            raise ContentChanged(
                "the server has another version than its list says", path=path, limit=listed.size
            )
        return listed.mtime_ns


class Lines:
    """Reads the lines of a manifest.

    Args:
        take: called with each path and its facts.

    """

    def __init__(self, take: Take) -> None:
        self._take = take
        self._rest = b""
        self._count = -1  # files; -1 in front of the first line
        self._has_ended = False

    def add(self, data: bytes) -> None:
        """Read *data*, which comes next.

        Raises:
            TransferError: it is no manifest.

        """
        lines = (self._rest + data).split(b"\n")
        self._rest = lines.pop()
        if len(self._rest) > MAX_LINE:
            raise invalid("a line is too long")
        for line in lines:
            self._read(line)

    def end(self) -> None:
        """Check that it is complete. Raises TransferError if it is not."""
        if not self._has_ended or self._rest:
            raise invalid("its end is missing")

    def _read(self, line: bytes) -> None:
        try:
            found = json.loads(line)
        except (ValueError, RecursionError):
            found = None
        if self._has_ended:
            raise invalid("it goes on behind its end")
        if self._count < 0:
            if not isinstance(found, dict) or found.get("dugong-manifest") != FORMAT:
                raise invalid("it does not begin as one of this version")
            self._count = 0
        elif isinstance(found, dict):
            if found.get("files") != self._count:
                raise invalid("files are missing")
            self._has_ended = True
        else:
            path, facts = _file(found)
            self._count += 1
            if path != NAME:  # that is the list itself
                self._take(path, facts)


def _file(found: Any) -> tuple[str, Facts]:
    """Return what a line says."""
    if not isinstance(found, list) or len(found) < FIELDS:
        raise invalid("a line is none of a file")
    path, size, mtime_ns, tag, digest = found[:FIELDS]
    try:
        value = None if digest is None else bytes.fromhex(digest)
    except (TypeError, ValueError):
        raise invalid("a digest is none") from None
    if (
        not isinstance(path, str)
        or type(size) is not int
        or not (mtime_ns is None or (type(mtime_ns) is int and abs(mtime_ns) < MAX_TIME))
        or not (tag is None or isinstance(tag, str))
        or not (value is None or len(value) == DIGEST_SIZE)
    ):
        raise invalid("a line is none of a file")
    try:
        (tag or "").encode()
    except UnicodeEncodeError:
        raise invalid("a tag is no text") from None
    return path, Facts(size, mtime_ns, tag, value)


def invalid(what: str) -> TransferError:
    """Return the error of a manifest that is not valid."""
    return TransferError(f"{NAME} on the server is not a valid list of files: {what}", path=NAME)
