"""S3: storing a large file in parts (multipart upload), several at a time.

An upload that was not completed stays on the server. The next run finds it by the key of the file,
and sends only the parts that are not there with the digests of the present bytes: so it trusts
nothing but these. It has to have begun after the last change of the file, whose time went with its
beginning; another one is aborted.

Not here: requests in general (s3.py).
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import suppress
from datetime import datetime
from functools import partial
from typing import TYPE_CHECKING, Final, NamedTuple

from ...errors import ContentChanged, DugongError, StatusError, TransferError
from ...polling.combinators import several
from ...polling.contract import Co
from ..transfers.upload import co_send_file
from .remote import SECOND, Send, tag, tag_of
from .s3_fields import CHECKSUM, MTIME, base64_of, seconds_of, set_digest
from .s3_xml import compose

if TYPE_CHECKING:
    from ...polling.rates import RateLimit
    from ..transfers.upload_body import FileBody
    from .local import SourceFile
    from .s3_requests import Requests

PARTS_FROM: Final = 64 << 20  # bytes of a file from which on it goes in parts
PART: Final = 16 << 20  # bytes; after an interruption no more than that is sent twice at a time
MOST_PARTS: Final = 10_000  # of AWS
AT_ONCE: Final = 4  # parts of a file
MIB: Final = 1 << 20
NOT_FOUND: Final = 404
HEX_MD5: Final = 32  # digits


class Part(NamedTuple):
    """A part that is on the server.

    Attributes:
        number: from 1.
        etag: its entity tag, without quotes.
        checksum: its SHA-256 in Base64; empty if the server does not keep it.

    """

    number: int
    etag: str
    checksum: str


class PartsUpload:
    """Stores one file.

    Args:
        remote: makes the requests.
        co_send: sends them.
        file: the file; it has a `SourceFile.body`.
        rate: bytes a second at most.
        part: bytes of a part at least.

    """

    def __init__(
        self,
        remote: Requests,
        co_send: Send,
        file: SourceFile,
        rate: RateLimit | None,
        part: int = PART,
    ) -> None:
        assert file.body is not None
        self._remote = remote
        self._co_send = co_send
        self._file = file
        self._body: FileBody = file.body
        self._rate = rate
        self._size = part_size(file.size, part)
        self._sent: dict[int, int] = {}  # bytes of each part

    def co_run(self) -> Co[str | None]:
        """Send what is missing; return the tag of the object.

        Raises:
            StatusError: the server does not store it.
            ContentChanged: the file has changed meanwhile.

        """
        upload, there = yield from self._co_found()
        if upload is None:
            upload = yield from self._co_begin()
        try:
            parts: list[Part] = []
            yield from several(self._ops(upload, there), parts, AT_ONCE)
            self._file.check()
            return (yield from self._co_complete(upload, parts))
        except (StatusError, ContentChanged):
            # Another attempt would not use it. After other errors it is there for the next run.
            with suppress(DugongError):
                yield from self._co_abort(upload)
            raise

    def _ops(self, upload: str, there: dict[int, dict[str, str]]) -> Iterator[Co[Part]]:
        for number, offset in enumerate(range(0, self._file.size, self._size), start=1):
            count = min(self._size, self._file.size - offset)
            yield self._co_part(upload, number, offset, count, there.get(number, {}))

    # ---- beginning

    def _co_found(self) -> Co[tuple[str | None, dict[int, dict[str, str]]]]:
        """Return an upload that can be gone on with, and the parts that it has, by number."""
        key = self._remote.key(self._file.path)
        query = {"prefix": key, "uploads": ""}
        document = yield from self._remote.co_ask(
            self._co_send, self._remote.request("GET", None, query)
        )
        found = None
        uploads = sorted(document.of("Upload"), key=lambda texts: texts.get("Initiated", ""))
        for texts in reversed(uploads):
            upload = texts.get("UploadId")
            if texts.get("Key") != key or not upload:
                continue  # of another file whose key begins so
            if found is None and self._is_newer(texts.get("Initiated", "")):
                found = upload
            else:
                yield from self._co_abort(upload)
        if found is None:
            return None, {}
        return found, (yield from self._co_parts(found))

    def _is_newer(self, initiated: str) -> bool:
        """Return True if an upload has begun after the last change of the file."""
        try:
            seconds = datetime.fromisoformat(initiated).timestamp()
        except (ValueError, OverflowError):
            return False
        return seconds * SECOND > self._file.mtime_ns

    def _co_parts(self, upload: str) -> Co[dict[int, dict[str, str]]]:
        parts: dict[int, dict[str, str]] = {}
        query = {"uploadId": upload}
        while True:
            document = yield from self._remote.co_ask(
                self._co_send, self._remote.request("GET", self._file.path, query)
            )
            for texts in document.of("Part"):
                if (number := texts.get("PartNumber", "")).isdecimal():
                    parts[int(number)] = texts
            marker = document.texts.get("NextPartNumberMarker", "")
            is_cut = document.texts.get("IsTruncated") == "true"
            if not is_cut or not marker or marker == query.get("part-number-marker"):
                return parts
            query["part-number-marker"] = marker

    def _co_begin(self) -> Co[str]:
        request = self._remote.request("POST", self._file.path, {"uploads": ""})
        request.idempotent = True  # an upload that is begun and not used is aborted by a later run
        request.headers.set(MTIME, seconds_of(self._file.mtime_ns))
        request.headers.set("X-Amz-Checksum-Algorithm", "SHA256")
        request.body = b""
        document = yield from self._remote.co_ask(self._co_send, request)
        upload = document.texts.get("UploadId")
        if not upload:
            raise TransferError("the server has not said which upload was begun")
        return upload

    # ---- parts

    def _co_part(
        self, upload: str, number: int, offset: int, count: int, there: dict[str, str]
    ) -> Co[Part]:
        """Send a part, unless it is there."""
        body = self._body.part(offset, count)
        body.progress, body.rate = partial(self._note, number), self._rate
        sha256 = yield from body.co_digest("sha-256")
        if there.get("Size") == str(count):
            etag, checksum = _bare(there.get("ETag", "")), there.get("ChecksumSHA256", "")
            if checksum:
                is_same = checksum == base64_of(sha256)
            else:
                # The entity tag that most servers give a part.
                is_same = etag == (yield from body.co_digest("md5")).hex()
            if is_same:
                self._note(number, count, count)
                return Part(number, etag, checksum)
        query = {"partNumber": str(number), "uploadId": upload}
        request = self._remote.request("PUT", self._file.path, query)
        set_digest(request, sha256)
        response = yield from co_send_file(self._co_send, request, body, expect100=False)
        etag = _bare(tag_of(response) or "")
        return Part(number, etag, response.field(CHECKSUM) or "")

    def _note(self, number: int, sent: int, _: int | None) -> None:
        """Report the bytes of all parts together."""
        self._sent[number] = sent
        if self._body.progress is not None:
            self._body.progress(sum(self._sent.values()), self._file.size)

    # ---- the end

    def _co_complete(self, upload: str, parts: list[Part]) -> Co[str | None]:
        request = self._remote.request("POST", self._file.path, {"uploadId": upload})
        request.idempotent = True  # see `_co_lost`
        request.body = compose("CompleteMultipartUpload", "Part", map(_texts_of, parts))
        try:
            document = yield from self._remote.co_ask(self._co_send, request)
        except StatusError as exc:
            if exc.response.status_code != NOT_FOUND:
                raise
            return (yield from self._co_lost(parts, exc))
        found = tag(document.texts.get("ETag"), None)
        return found or (yield from self._remote.co_tag(self._co_send, self._file))

    def _co_lost(self, parts: list[Part], exc: StatusError) -> Co[str | None]:
        """Return the tag of the object if it is there after all.

        If an earlier attempt has completed the upload, and its answer was lost, there is none now.
        """
        found = yield from self._remote.co_tag(self._co_send, self._file)
        if found is None or _bare(found) != etag_of(parts):
            raise exc
        return found

    def _co_abort(self, upload: str) -> Co[None]:
        request = self._remote.request("DELETE", self._file.path, {"uploadId": upload})
        yield from self._co_send(request)


def part_size(size: int, least: int = PART) -> int:
    """Return the bytes of each part of a file of *size* bytes: whole MiB, if it has many parts."""
    needed = -(-size // MOST_PARTS)
    return least if needed <= least else -(-needed // MIB) * MIB


def etag_of(parts: list[Part]) -> str:
    """Return the entity tag that AWS gives an object of *parts*; empty if that is not known."""
    if any(len(part.etag) != HEX_MD5 for part in parts):
        return ""
    digest = hashlib.md5(b"".join(bytes.fromhex(part.etag) for part in parts)).hexdigest()
    return f"{digest}-{len(parts)}"


def _texts_of(part: Part) -> Iterator[tuple[str, str]]:
    yield "PartNumber", str(part.number)
    yield "ETag", f'"{part.etag}"'
    if part.checksum:
        yield "ChecksumSHA256", part.checksum


def _bare(etag: str) -> str:
    return etag.strip().strip('"')
