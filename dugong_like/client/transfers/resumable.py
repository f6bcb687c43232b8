"""Resumable uploads (draft-ietf-httpbis-resumable-upload, interop version 8): the client's side.

=========  ===========================================  ===========================================
State      Event                                        Next
=========  ===========================================  ===========================================
RECORD     an earlier process has left the URL          FIND OUT; if the upload is gone: DISCOVER
..         none has                                     DISCOVER
DISCOVER   OPTIONS, answered with Accept-Patch          CREATE
..         any other answer                             an ordinary upload: the server has none
CREATE     the request with Upload-Complete: ?0, its    APPEND from 0
           length and no content; 2xx with Location
..         anything else                                failed
APPEND     PATCH with Upload-Offset and the rest of     done, if the answer has Upload-Complete: ?1:
           the file, or as much as the server takes     it is the one to the whole
..         2xx without it                               APPEND the next bytes
..         409 with another Upload-Offset               APPEND from there
..         5xx, or the connection was lost              after a pause FIND OUT
..         404 or 410: the upload is gone               CREATE, if the request is idempotent
..         anything else                                failed
FIND OUT   HEAD, answered with Upload-Offset            APPEND from there
..         with Upload-Complete: ?1                     done, though the answer to it was lost
..         with 404 or 410                              as of APPEND
=========  ===========================================  ===========================================

The upload is created without content, and not by the first bytes of the file: so its URL is known
before a connection can be lost, also where a proxy swallows 104 (Upload Resumption Supported). A
server that does not know resumable uploads would take that for an empty file; hence DISCOVER.

A server may forget an upload when it likes, also as it is complete and the answer was lost. So it
begins anew only if that does no harm, and `MAX_ANEW` times at most.

Not here: the fields (http/upload_fields.py), the file (upload_body.py), and what another process
needs to go on (upload_record.py).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from ...errors import DugongError, InvalidRequest, StatusError, TransferError, TransportError
from ...http.headers import Headers
from ...http.structured_fields import TRUE, as_integer, item
from ...http.upload_fields import (
    FALSE,
    INTEROP_VERSION,
    PARTIAL_UPLOAD,
    UploadLimits,
    is_complete,
    takes_partial_uploads,
    upload_limits,
    upload_offset,
)
from ...polling.contract import Co
from ..closing import co_pause_before
from ..layers.redirects import SAFE
from .budget import Budget, may_go_on

if TYPE_CHECKING:
    from ...http.url import URL
    from ..layers.retry import Retry
    from ..request import ClientRequest
    from ..response import Response
    from .upload_body import FileBody
    from .upload_record import UploadRecord

SUPPORTED: Final = 104  # Upload Resumption Supported
CONFLICT: Final = 409
GONE: Final = frozenset({404, 410})
MAX_ANEW: Final = 3  # times: a server that forgets each upload will not stop
SCHEMES: Final = frozenset({"http", "https"})
SERVER_ERRORS: Final = 500  # and above
OF_CONTENT: Final = ("content-type", "content-encoding", "content-length", "content-disposition")
VERSION: Final = ("Upload-Draft-Interop-Version", str(INTEROP_VERSION))


class ResumableUpload:
    """One upload.

    Args:
        co_send: sends a request; see `Client.co_send`.
        request: to the resource, without a body.
        body: the file, whose length is known and which can be read at any position.
        retry: how often and when to go on.
        record: what another process may have left, and what is left to one; None for nothing.

    Attributes:
        sent: bytes that were sent, those that had to be sent again included.

    """

    def __init__(
        self,
        co_send: Callable[..., Co[Response]],
        request: ClientRequest,
        body: FileBody,
        retry: Retry,
        record: UploadRecord | None = None,
    ) -> None:
        assert body.length is not None
        self.sent = 0
        self._co_send = co_send
        self._request = request
        self._body = body
        self._length = body.length
        self._budget = Budget(retry)
        self._limits = UploadLimits()
        self._offset = 0  # bytes that the server has
        self._place: URL | None = None  # of the upload
        self._record = record
        self._anew = 0

    def co_run(self) -> Co[Response | None]:
        """Upload; return the final response, or None if the server has no resumable uploads.

        Raises:
            StatusError: the server has refused the upload, or the file.
            TransferError: it has limits, or answers that make no sense.
            ContentChanged: the file has changed meanwhile.
            OSError: the record cannot be read, or written.
            DugongError: see `Client.co_send`.

        """
        response = yield from self._co_begin()
        if self._place is None:
            return None
        while response is None:
            try:
                response = yield from self._co_go_on()
            except StatusError as exc:
                if not self._may_begin_anew(exc):
                    raise
                yield from self._co_pause(exc)
                self._anew += 1
                self._offset = 0
                yield from self._co_create()
        if self._record is not None:
            self._record.remove()
        return response

    # ---- the steps

    def _co_begin(self) -> Co[Response | None]:
        """Create an upload, or take that of another process; return the response if it has all.

        Without resumable uploads there is none afterwards.
        """
        if self._record is not None and (place := self._record.place()) is not None:
            self._place = place
            try:
                return (yield from self._co_find_out())
            except StatusError as exc:
                if exc.response.status_code not in GONE:
                    raise
                self._place = None
        options = yield from self._co_send(self._made("OPTIONS", self._request.url))
        if not options.is_success or not takes_partial_uploads(options):
            return None
        self._take_limits(options)
        yield from self._co_create()
        return None

    def _co_go_on(self) -> Co[Response | None]:
        """Send what comes next, and find out where the server stands if the connection is lost."""
        try:
            return (yield from self._co_append())
        except TransportError as exc:
            yield from self._co_pause(exc)
            return (yield from self._co_find_out())

    def _may_begin_anew(self, exc: StatusError) -> bool:
        """Return True if *exc* says that the upload is gone, and another one does no harm."""
        headers = self._request.headers
        return (
            exc.response.status_code in GONE
            and self._anew < MAX_ANEW
            and self._request.idempotent
            # otherwise the condition would be about what the first one may have left
            and not ("if-match" in headers or "if-none-match" in headers)
        )

    def _co_create(self) -> Co[None]:
        fields = [("Upload-Complete", FALSE), ("Upload-Length", str(self._length)), VERSION]
        request = self._request.copy()
        for name, value in fields:
            request.headers.set(name, value)
        request.body = b""
        response = yield from self._co_send(request)
        if not response.is_success:
            raise StatusError(f"the server answered {response.status_code}", response=response)
        self._place = self._found(response)
        self._take_limits(response)
        if self._record is not None:
            self._record.begin(self._place)

    def _found(self, response: Response) -> URL:
        """Return the URL of the upload, which all responses that name it have to agree on."""
        assert response.request is not None
        locations = {response.field("location")}
        for message in response.informational:
            version = as_integer(item(message.field(VERSION[0])))
            if message.status == SUPPORTED and version == INTEROP_VERSION:
                locations.add(message.field("location") or response.field("location"))
        location = locations.pop()
        if location is None or locations:
            raise self._error(response, "without one Location of the upload")
        try:
            url = response.request.url.join(location)
        except InvalidRequest as exc:
            raise self._error(response, f"with a Location that is none: {exc}") from exc
        is_secure = url.scheme == "https"
        if url.scheme not in SCHEMES or (self._request.url.origin.secure and not is_secure):
            raise self._error(response, "with a Location that is not safe")
        return url

    def _co_append(self) -> Co[Response | None]:
        """Send the rest, or a part of it; return the final response."""
        assert self._place is not None
        left = self._length - self._offset
        most = self._limits.max_append_size
        count = left if not most else min(left, most)
        part = self._body.part(self._offset, count)
        request = self._made("PATCH", self._place)
        for name, value in [
            ("Content-Type", PARTIAL_UPLOAD),
            ("Upload-Offset", str(self._offset)),
            ("Upload-Complete", TRUE if count == left else FALSE),
        ]:
            request.headers.set(name, value)
        request.body = part
        request.extensions["retry"] = None  # the server knows how many bytes it has
        try:
            response = yield from self._co_send(request)
        finally:
            self.sent += part.total_sent
        if is_complete(response) and count == left:
            return response
        if response.is_success and not response.answered_early and count < left:
            self._offset += count
            return None
        return (yield from self._co_judge(response))

    def _co_judge(self, response: Response) -> Co[Response | None]:
        """Go on after an answer to PATCH that is no success, if that is possible."""
        offset = upload_offset(response)
        if response.status_code == CONFLICT and offset is not None:
            yield from self._co_pause(_refused(response))
            self._take_offset(response, offset)
            return None
        if response.status_code < SERVER_ERRORS and not response.is_success:
            raise _refused(response)
        # A success that does not say that the upload is complete leaves that open.
        yield from self._co_pause(_refused(response))
        return (yield from self._co_find_out())

    def _co_find_out(self) -> Co[Response | None]:
        """Ask how many bytes the server has; return the response if it has all."""
        assert self._place is not None
        while True:
            request = self._made("HEAD", self._place)
            request.follow_redirects = self._request.follow_redirects
            failure: DugongError
            try:
                response = yield from self._co_send(request)
            except TransportError as exc:
                failure = exc
            else:
                if response.is_success:
                    return self._judge_offset(response)
                failure = _refused(response)
                if response.status_code < SERVER_ERRORS:
                    raise failure
            yield from self._co_pause(failure)

    def _judge_offset(self, response: Response) -> Response | None:
        offset = upload_offset(response)
        if is_complete(response):
            return response
        if offset is None:
            raise self._error(response, "without Upload-Offset")
        self._take_limits(response)
        self._take_offset(response, offset)
        return None

    # ---- what they are made of

    def _made(self, method: str, url: URL) -> ClientRequest:
        """Return a request with the fields of the first one that are not about its content.

        Another origin gets those that are safe, as after a redirect.
        """
        pairs = [pair for pair in self._request.headers.items() if not _is_of_content(pair[0])]
        if elsewhere := url.origin != self._request.url.origin:
            pairs = [pair for pair in pairs if pair[0].lower() in SAFE]
        request = self._request.redirected(url, method, Headers.of(pairs), with_body=False)
        if elsewhere:
            request.auth = request.cookies = None
            if request.connecting is not None:
                request.connecting = request.connecting.elsewhere()
        request.headers.set(*VERSION)
        request.expect100 = False
        return request

    def _take_limits(self, response: Response) -> None:
        found = upload_limits(response)
        self._limits = UploadLimits(
            *(old if new is None else new for old, new in zip(self._limits, found, strict=True))
        )
        most, least = self._limits.max_size, self._limits.min_size
        if most is not None and self._length > most:
            raise self._error(response, f"and takes {most} bytes at most", limit=most)
        if least is not None and self._length < least:
            raise self._error(response, f"and takes {least} bytes at least", limit=least)

    def _take_offset(self, response: Response, offset: int) -> None:
        """Go on from *offset*, which is never less than the bytes that were acknowledged."""
        if not self._offset <= offset <= self._length:
            what = f"and has {offset} bytes, of {self._length}, where it had {self._offset}"
            raise self._error(response, what)
        self._offset = offset

    def _co_pause(self, exc: DugongError) -> Co[None]:
        """Wait before going on after *exc*, or raise it."""
        if isinstance(exc, TransportError) and not may_go_on(exc):
            raise exc
        if not self._budget.takes(self.sent):
            raise exc
        pause = self._budget.pause()
        yield from co_pause_before(self._request, pause, "pause before an upload goes on")

    def _error(self, response: Response, what: str, limit: int | None = None) -> TransferError:
        error = TransferError(
            f"the server answered {response.status_code} {what}",
            path=self._body.name,
            offset=self._offset,
            limit=limit or self._length,
        )
        error.response = response
        error.request_sent = "yes"
        return error


def _refused(response: Response) -> StatusError:
    """Return the error of *response*, which is about the upload, not about the resource."""
    assert response.request is not None
    return StatusError(
        f"the server answered {response.status_code} to {response.request.method} of the upload",
        response=response,
    )


def _is_of_content(name: str) -> bool:
    lowered = name.lower()
    return lowered in OF_CONTENT or lowered.startswith(("if-", "repr-digest", "expect"))
