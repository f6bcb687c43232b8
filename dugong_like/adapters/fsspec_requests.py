"""The requests of the file systems for fsspec, as operations: blocking and in coroutines alike.

Not here: the file systems (fsspec.py, fsspec_webdav.py), and which bytes are asked for
(fsspec_ranges.py).
"""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Final, TypeVar

from ..client.client import Client
from ..client.response import Response
from ..errors import BodyTooLarge, DugongError, StatusError
from ..http.content_range import parse_content_range
from ..http.html_links import links_below
from ..http.redaction import mask_target
from ..polling.contract import Co
from .fsspec_ranges import NOT_SATISFIABLE, PARTIAL, Span

T = TypeVar("T")
# RFC 9110 section 15.5
MISSING: Final = frozenset({404, 410})
FORBIDDEN: Final = frozenset({401, 403, 407})
EXISTS: Final = 412  # the answer to If-None-Match: *
LARGEST_PAGE: Final = 16 << 20  # bytes; a larger one is a file, and no list of links
PAGES: Final = ("text/", "application/xhtml", "application/json", "application/xml")
AS_STORED: Final = {"Accept-Encoding": "identity"}  # sizes and ranges are those of the file then
NOTED: Final = ("ETag", "Content-MD5", "Digest", "Repr-Digest", "Last-Modified")


@contextmanager
def file_errors(url: str, *, created: bool = False) -> Iterator[None]:
    """Raise errors of the block that are about files as those of the system.

    Args:
        url: of the file.
        created: True if 412 says that it exists.

    """
    try:
        yield
    except StatusError as exc:
        raise_as_file_error(exc, url, created=created)


def file_error(number: int, url: str, reason: str = "") -> OSError:
    """Return the error of the system with that *number*, such as `FileExistsError`, about *url*.

    Args:
        number: one of `errno`.
        url: of the file; `OSError.filename` has it without credentials.
        reason: what has happened; by default what the system calls it.

    """
    return OSError(number, reason or os.strerror(number), mask_target(url))


def raise_as_file_error(exc: StatusError, url: str, *, created: bool = False) -> None:
    """Raise *exc* as the error of the system for its status, or as it is; see `file_errors`."""
    status = exc.response.status_code
    if status in MISSING:
        raise file_error(errno.ENOENT, url) from exc
    if status in FORBIDDEN:
        raise file_error(errno.EACCES, url, f"the server answered {status}") from exc
    if status == EXISTS and created:
        raise file_error(errno.EEXIST, url) from exc
    raise exc


class Requests:
    """Sends the requests.

    Args:
        client: a client.
        asks_head: False never to ask by HEAD what a file is.
        as_stored: fields of requests for which the size of a file counts.

    """

    def __init__(self, client: Client, *, asks_head: bool, as_stored: Mapping[str, str]) -> None:
        self.client = client
        self.asks_head = asks_head
        self._as_stored = as_stored

    def co_send(
        self, method: str, url: str, *, created: bool = False, **options: Any
    ) -> Co[Response]:
        """Send a request and return its response.

        Args:
            method: request method.
            url: URL of the file.
            created: True if 412 says that there is such a file already.
            options: those of `Client.build_request`.

        Raises:
            FileExistsError: there is such a file, which was to be created.
            FileNotFoundError: there is no such file.
            PermissionError: the server does not allow it.
            StatusError: any other status that is an error.
            DugongError: see `Client.co_send`.

        """
        response = yield from self.client.co_request(method, url, **options)
        with file_errors(url, created=created):
            response.raise_for_status()
        return response

    def co_reason(self, exc: Exception, url: str) -> Co[Exception]:  # noqa: ARG002 - of others
        """Return the error to raise for *exc*, of an operation with the file *url*."""
        return exc
        yield

    def co_explained(self, op: Co[T], url: str, *, created: bool = False) -> Co[T]:
        """Return the result of *op*, about the file *url*.

        Args:
            op: may raise the statuses of responses.
            url: of the file.
            created: see `co_send`.

        Raises:
            OSError, DugongError: see `co_send`, and `co_reason`.

        """
        try:
            with file_errors(url, created=created):
                return (yield from op)
        except (OSError, DugongError) as exc:
            reason = yield from self.co_reason(exc, url)
            if reason is exc:
                raise
            raise reason from exc

    def request_for(self, span: Span, **options: Any) -> Any:
        """Return the request for the bytes of *span*."""
        ranges = span.fields()
        stored = self._as_stored if ranges else {}
        headers = {**stored, **dict(options.pop("headers", {})), **ranges}
        return self.client.build_request("GET", span.url, headers=headers, **options)

    def co_stream(self, url: str, **options: Any) -> Co[Response]:
        """Send GET and return the response, whose body is left to the caller.

        Raises:
            OSError, DugongError: see `co_send`.

        """
        response = yield from self.client.co_stream("GET", url, **options)
        try:
            with file_errors(url):
                response.raise_for_status()
        except BaseException:
            response.close()
            raise
        return response

    def co_bytes(self, span: Span, *, needs_part: bool = False, **options: Any) -> Co[bytes]:
        """Return the bytes of *span*; those behind the end of the file are missing.

        Of a response that has more than asked for only the beginning is read.

        Args:
            span: the bytes.
            needs_part: True to raise an error if the server sends the whole file.
            options: those of the request.

        Raises:
            ValueError: the server knows no ranges, and *needs_part* is True.
            UnusableRange: the server sent other bytes.
            OSError, DugongError: see `co_send`.

        """
        if span.needs_size:
            info = yield from self.co_info(span.url)
            if info["size"] is None:
                whole = yield from self.co_bytes(Span(span.url), **options)
                return whole[span.start : span.end]
            span = span.resolved(info["size"])
        if span.is_empty:
            return b""
        request = self.request_for(span, **options)
        response = yield from self.client.co_send(request, stream=True)
        try:
            check_part(response, span)
            if needs_part and response.status_code not in (PARTIAL, NOT_SATISFIABLE):
                raise ValueError(
                    f"{mask_target(span.url)}: the server sends whole files only (status "
                    f"{response.status_code}), so this one can be read from its beginning only: "
                    "open it with block_size=0"
                )
            if response.status_code == PARTIAL or span.end is None or span.end < 0:
                body = yield from response.co_read()
            else:
                body = yield from _co_beginning(response, span.end)
            return span.taken_from(response, body)
        finally:
            response.close()

    def co_info(self, url: str, **options: Any) -> Co[dict[str, Any]]:
        """Return what is known of a file, without reading it.

        HEAD is asked first; where that says no size, or is refused, GET, whose body is not read.

        Raises:
            OSError, DugongError: see `co_send`.

        """
        headers = {**self._as_stored, **dict(options.pop("headers", {}))}
        options["follow_redirects"] = True
        info: dict[str, Any] = {}
        if self.asks_head:
            response = yield from self.client.co_head(url, headers=headers, **options)
            if response.status_code in MISSING:
                with file_errors(url):
                    response.raise_for_status()
            if not response.is_error:
                info = info_of(response)
        if info.get("size") is None:
            response = yield from self.co_stream(url, headers=headers, **options)
            info.update(info_of(response))
            response.close()
        return {"name": url, "size": None, **info, "type": "file"}

    def co_exists(self, url: str, *, strict: bool, **options: Any) -> Co[bool]:
        """Return True if there is such a file; see `co_info`.

        Without *strict* a file that the server refuses (4xx) does not exist either.
        """
        try:
            yield from self.co_info(url, **options)
        except FileNotFoundError:
            return False
        except (PermissionError, StatusError) as exc:
            cause = exc if isinstance(exc, StatusError) else exc.__cause__
            assert isinstance(cause, StatusError)
            if strict or cause.response.is_server_error:
                raise
            return False
        return True

    def co_links(
        self, url: str, *, plain: bool, same_scheme: bool, **options: Any
    ) -> Co[list[str]]:
        """Return the links on the page *url* to what is below it; see `links_below`.

        A response that is no page, or too large for one, has none.

        Raises:
            OSError, DugongError: see `co_send`.

        """
        response = yield from self.co_stream(url, **options)
        try:
            kind = (response.field("content-type") or "text/html").lower()
            if not kind.startswith(PAGES) or (response.length or 0) > LARGEST_PAGE:
                return []
            pieces = bytearray()
            for reading in response.co_iter_bytes():
                piece = yield from reading
                if piece is None:
                    break
                pieces += piece
                if len(pieces) > LARGEST_PAGE:
                    return []
            text = pieces.decode(response.encoding, "replace")
            return links_below(text, url, plain=plain, same_scheme=same_scheme)
        except BodyTooLarge:
            return []
        finally:
            response.close()


def check_part(response: Response, span: Span) -> None:
    """Raise the error of a response that has not the bytes of *span*, by its status."""
    if response.status_code == NOT_SATISFIABLE and not span.is_whole:
        return
    with file_errors(span.url):
        response.raise_for_status()


def _co_beginning(response: Response, size: int) -> Co[bytes]:
    """Return the first *size* bytes of the body of *response*, or all if there are fewer."""
    body = bytearray()
    for reading in response.co_iter_bytes():
        piece = yield from reading
        if piece is None:
            break
        body += piece
        if len(body) >= size:
            del body[size:]
            break
    return bytes(body)


def info_of(response: Response) -> dict[str, Any]:
    """Return what the fields of a response to HEAD or GET say of the file.

    The size is None if it is that of an encoded body, or is not there; ``partial`` is there if the
    server says, or shows, whether it knows ranges.
    """
    info: dict[str, Any] = {"size": None}
    part = parse_content_range(response.field("content-range"))
    if part is not None:
        info["size"] = part.size
    elif response.field("content-encoding") in (None, "identity"):
        info["size"] = _announced(response)
    kind = response.field("content-type")
    if kind is not None:
        info["mimetype"] = kind.partition(";")[0].strip()
    ranges = (response.field("accept-ranges") or "").lower()
    if response.status_code == PARTIAL or "bytes" in ranges:
        info["partial"] = True
    elif ranges == "none":
        info["partial"] = False
    info |= {name: value for name in NOTED if (value := response.field(name)) is not None}
    if response.history:
        info["url"] = str(response.url)
    return info


def _announced(response: Response) -> int | None:
    """Return the Content-Length, which a response to HEAD has without a body."""
    value = (response.field("content-length") or "").strip()
    return int(value) if value.isascii() and value.isdigit() and len(value) <= 18 else None  # noqa: PLR2004 - digits of any size that is real
