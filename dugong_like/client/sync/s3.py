"""S3: objects whose keys begin with the same text, as a folder (``s3://bucket/prefix``).

The list is that of ListObjectsV2. A file goes with its SHA-256, which the service verifies (as
signed payload, and as checksum that it keeps), and with its time, as ``x-amz-meta-mtime`` in
seconds, which is the form of rclone. Large files go in parts (s3_parts.py). Digests are compared in
s3_checksums.py; many objects are deleted together in s3_deletes.py.

Not here: credentials and signatures (s3_service.py), fields (s3_fields.py), and the documents
(s3_xml.py).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Final
from urllib.parse import quote, unquote

from ...errors import DugongError, StatusError, TransferError
from ...http.redaction import mask_target, quoted
from ...http.url import URL
from ...polling.contract import Co
from ..transfers.downloading import co_read_explanation, prepare
from .remote import (
    SECOND,
    Build,
    Send,
    Stored,
    Take,
    co_send_source,
    mtime_of,
    tag,
    tag_of,
    url_of,
)
from .remote_files import RemoteFiles
from .s3_checksums import co_is_same
from .s3_deletes import MOST as MOST_DELETES
from .s3_deletes import Deletes
from .s3_fields import MTIME, nanoseconds_of, seconds_of, set_digest
from .s3_parts import PART, PARTS_FROM, PartsUpload
from .s3_service import S3Auth, S3Service
from .s3_xml import MAX_SIZE, Document, parse
from .tree import ESCAPE, Facts

if TYPE_CHECKING:
    from ...http.url import Origin
    from ...polling.rates import RateLimit
    from ..request import ClientRequest
    from ..response import Response
    from .local import SourceFile

REGION: Final = "x-amz-bucket-region"
ELSEWHERE: Final = frozenset({301, 307, 400})  # what a bucket of another region is answered with
AT_ONCE: Final = 1000  # keys of a list; the most that AWS gives


class S3Remote(RemoteFiles):
    """Objects of a bucket; see `Remote`.

    Args:
        build: `Client.build_request`.
        service: the bucket.
        prefix: what all keys begin with; empty, or it ends with ``/``.
        parts_from: bytes from which on a file goes in parts.
        part: bytes of a part at least.

    """

    exact_times = False  # the list has the time at which an object was stored
    listing_lags = False
    deletes_at_once = MOST_DELETES

    def __init__(
        self,
        build: Build,
        service: S3Service,
        prefix: str,
        parts_from: int = PARTS_FROM,
        part: int = PART,
    ) -> None:
        self.origin: Origin = service.base.origin
        self.name = (
            f"s3://{service.bucket}/{prefix}"
            if service.is_aws
            else mask_target(str(url_of(service.base, prefix)))
        )
        self._build = build
        self._service = service
        self._prefix = prefix
        self._parts_from = parts_from
        self._part = part
        self._auth = S3Auth(service)
        self._deletes = Deletes(self)

    # ---- listing

    def co_list(self, co_send: Send, take: Take, *, must_exist: bool) -> Co[None]:
        """List the objects; see `Remote.co_list`."""
        query = {
            "encoding-type": "url",
            "list-type": "2",
            "max-keys": str(AT_ONCE),
            "prefix": self._prefix,
        }
        found = False
        while True:
            document = yield from self.co_ask(co_send, self.request("GET", None, query))
            document.check("ListBucketResult")
            for texts in document.of("Contents"):
                found = True
                self._take(texts, take)
            token = document.texts.get("NextContinuationToken")
            if document.texts.get("IsTruncated") != "true":
                break
            if not token or token == query.get("continuation-token"):
                raise TransferError("the server has not said how its list goes on")
            query["continuation-token"] = token
        if must_exist and not found:
            raise TransferError(f"there is nothing in {quoted(self.name)}")

    def _take(self, texts: Mapping[str, str], take: Take) -> None:
        key = unquote(texts.get("Key", "").replace("+", " "), errors=ESCAPE)
        size = texts.get("Size", "")
        path = key.removeprefix(self._prefix)
        # A key that ends with a slash stands for a folder, in other tools.
        if not key.startswith(self._prefix) or not path or path.endswith("/"):
            return
        if not size.isascii() or not size.isdigit():
            raise TransferError(f"the list of the server has no size of {quoted(path)}")
        modified = _stored_at(texts.get("LastModified", ""))
        take(path, Facts(int(size[:19]), modified, tag(texts.get("ETag"), None)))

    # ---- files

    def co_put(
        self, co_send: Send, file: SourceFile, digest: bytes | None, rate: RateLimit | None
    ) -> Co[Stored]:
        """Store a file; see `Remote.co_put`."""
        body = file.body
        if body is not None and body.is_stored and file.size >= self._parts_from:
            stored = yield from PartsUpload(self, co_send, file, rate, self._part).co_run()
            return Stored(stored, digest)
        if digest is None:
            digest = yield from file.co_digest()
        request = self.request("PUT", file.path)
        set_digest(request, digest)
        request.headers.set(MTIME, seconds_of(file.mtime_ns))
        response = yield from co_send_source(co_send, request, file, rate)
        found = tag_of(response)
        if found is None:
            found = yield from self.co_tag(co_send, file)
        return Stored(found, digest)

    def mtime_of(
        self,
        path: str,  # noqa: ARG002 - see there
        listed: Facts,
        response: Response,
        size: int,  # noqa: ARG002
    ) -> int | None:
        """Return the time that went with the file, or else that at which it was stored."""
        given = nanoseconds_of(response.field(MTIME) or "")
        if given is not None:
            return given
        return mtime_of(response.field("last-modified")) or listed.mtime_ns

    def co_is_same(self, co_send: Send, file: SourceFile, listed: Facts) -> Co[bool | None]:
        """Compare digests; see `Remote.co_is_same`."""
        return (yield from co_is_same(self, co_send, file, listed.tag, self._part))

    def co_delete_many(self, co_send: Send, paths: Sequence[str]) -> Co[dict[str, DugongError]]:
        """Delete files by one request; see `Remote.co_delete_many`."""
        return (yield from self._deletes.co_delete(co_send, paths))

    # ---- requests

    def key(self, path: str) -> str:
        """Return the key of a path."""
        return f"{self._prefix}{path}"

    def request(
        self, method: str, path: str | None, query: Mapping[str, str] | None = None
    ) -> ClientRequest:
        """Return a request.

        Args:
            method: request method.
            path: of the file; None for the bucket.
            query: parameters.

        """
        base = self._service.base
        url = base if path is None else url_of(base, self.key(path))
        if query:
            pairs = "&".join(
                f"{name}={quote(value, safe='-_.~', errors=ESCAPE)}"
                for name, value in sorted(query.items())
            )
            url = URL(f"{url}?{pairs}")
        request = self._build(method, url, auth=self._auth)
        prepare(request, None)
        request.follow_redirects = False  # to another region: the signature would be wrong
        return request

    def co_ask(self, co_send: Send, request: ClientRequest) -> Co[Document]:
        """Send *request*, and return the document that is its answer; see `co_answer`."""
        _, document = yield from self.co_answer(co_send, request)
        return document

    def co_answer(self, co_send: Send, request: ClientRequest) -> Co[tuple[Response, Document]]:
        """Send *request*, and return its response, with the document that it has.

        A bucket of another region says so: from then on requests go there.

        Raises:
            StatusError: it is an error.
            TransferError: it is no document.

        """
        response, data = yield from _co_whole(co_send, request)
        region = response.field(REGION)
        is_elsewhere = response.status_code in ELSEWHERE and self._service.is_aws
        if is_elsewhere and region is not None and region != self._service.region:
            before, self._service.region = str(self._service.base), region
            self.origin = self._service.base.origin
            target = str(request.url).removeprefix(before)
            again = request.redirected(
                URL(f"{self._service.base}{target}"), request.method, request.headers.copy()
            )
            response, data = yield from _co_whole(co_send, again)
        if not response.is_success:
            raise error_of(response, data)
        document = parse(data)
        if document.root == "Error":  # after the status was sent (CompleteMultipartUpload)
            raise error_of(response, data)
        return response, document


def _co_whole(co_send: Send, request: ClientRequest) -> Co[tuple[Response, bytes]]:
    """Return a response and its body."""
    response = yield from co_send(request, stream=True)
    if not response.is_success:
        yield from co_read_explanation(response)
        return response, response.content if response.finish_if_received() else b""
    pieces, size = [], 0
    with response:
        for reading in response.co_iter_bytes():
            data = yield from reading
            if data is not None:
                size += len(data)
                if size > MAX_SIZE:
                    break
                pieces.append(data)
    return response, b"".join(pieces)


def error_of(response: Response, data: bytes) -> StatusError:
    """Return the error of a response, with what its document says."""
    said = ""
    try:
        texts = parse(data).texts if data else {}
        said = f" ({texts.get('Code', '')}: {quoted(texts.get('Message', ''))})" if texts else ""
    except TransferError:
        pass  # it is no document
    return StatusError(f"the server answered {response.status_code}{said}", response=response)


def _stored_at(text: str) -> int | None:
    """Return the time of a list in nanoseconds since 1970; None if it is none."""
    try:
        return round(datetime.fromisoformat(text).timestamp()) * SECOND
    except (ValueError, OverflowError):
        return None
