"""Redirects (RFC 9110 section 15.4): which are followed, and with what.

A redirect is an instruction of a server, which may be mistaken or hostile. So another origin gets
only fields that are known to be harmless, a body only if it is asked for with 307 or 308, and no
request leaves https for http unless that was allowed.

Not here: resolving Location (http/url.py).
"""

from __future__ import annotations

import time
from collections.abc import Iterable
from contextlib import suppress
from typing import TYPE_CHECKING, Final

from ...errors import (
    DugongError,
    InvalidRequest,
    RedirectRefused,
    TooManyRedirects,
)
from ...http.headers import Headers
from ...http.redaction import mask_target, quoted, shown_url
from ...http.url import URL
from ...polling.contract import Co, within

if TYPE_CHECKING:
    from ...http.userinfo import Credentials
    from ..dispatcher import Send
    from ..request import ClientRequest
    from ..response import Response

WITH_METHOD: Final = frozenset({307, 308})  # RFC 9110 sections 15.4.8 and 15.4.9
SEE_OTHER: Final = 303
MAX_SKIPPED: Final = 65536  # bytes of the body of a redirect that are read to keep the connection
MAX_SKIPPING: Final = 2.0  # seconds for that; a new connection takes less

# Fields that another origin may see, as none of them tells who asks, or what for. Last-Event-ID is
# a position in a stream, chosen by a server. Browsers send it, too: WHATWG Fetch removes only
# Authorization there. Without it, a stream behind a redirect would begin again, with no error.
SAFE: Final = frozenset({
    *("accept", "accept-charset", "accept-encoding", "accept-language", "accept-ranges"),
    *("cache-control", "content-disposition", "content-encoding", "content-language"),
    *("content-location", "content-md5", "content-range", "content-type", "content-digest"),
    *("date", "digest", "dnt", "if-match", "if-modified-since", "if-none-match", "if-range"),
    *("if-unmodified-since", "last-event-id", "max-forwards", "pragma", "prefer", "priority"),
    *("range", "repr-digest", "te", "traceparent", "tracestate", "user-agent", "via"),
    *("want-content-digest", "want-digest", "want-repr-digest"),
})  # fmt: skip
# Fields about a body, which go with it (RFC 9110 section 15.4).
OF_A_BODY: Final = frozenset({
    *("content-digest", "content-disposition", "content-encoding", "content-language"),
    *("content-length", "content-location", "content-md5", "content-range", "content-type"),
    *("digest", "expect", "repr-digest", "trailer", "transfer-encoding"),
})  # fmt: skip


class Redirects:
    """The layer that follows redirects.

    Args:
        most: number of redirects of one request.
        keep_fields: names of fields that other origins may see, in addition to `SAFE`.
        insecure: True to follow redirects from https to http.

    """

    def __init__(
        self, most: int, keep_fields: Iterable[str] = (), *, insecure: bool = False
    ) -> None:
        self._most = most
        self._kept = SAFE | {name.lower() for name in keep_fields}
        self._insecure = insecure

    def __call__(self, request: ClientRequest, co_send: Send) -> Co[Response]:
        """Send *request*, and the requests that redirects ask for; see `Layer`.

        Raises:
            TooManyRedirects, RedirectRefused: see there.

        """
        response = yield from co_send(request)
        if not response.has_redirect_location:
            return response
        return (yield from self.co_follow(request, response, co_send))

    def co_follow(self, request: ClientRequest, response: Response, co_send: Send) -> Co[Response]:
        """Send the requests that *response* asks for, if it is a redirect; return the last one.

        Raises:
            TooManyRedirects, RedirectRefused: see there.

        """
        history: list[Response] = []
        count = 0
        while response.has_redirect_location:
            if not request.follow_redirects:
                with suppress(RedirectRefused):
                    response.next_request = self.next_request(request, response)
                break
            yield from co_skip_body(response)
            history = [*response.history, response]
            following = self.next_request(request, response)
            count += 1
            if count > self._most:
                raise self._too_many(response)
            if request.hooks is not None:
                yield from request.hooks.co_call("on_redirect", request, response)
            request = following
            response = yield from self._co_hop(request, history, co_send)
        return response

    def _co_hop(
        self, request: ClientRequest, history: list[Response], co_send: Send
    ) -> Co[Response]:
        try:
            response = yield from co_send(request)
        except DugongError as exc:
            exc.request = exc.request or request
            exc.response = exc.response or history[-1]
            raise
        response.history = (*history, *response.history)
        if request.body is None and history[-1].answered_early:
            response.answered_early = True  # the rest of the body is sent nowhere
        return response

    def next_request(self, request: ClientRequest, response: Response) -> ClientRequest:
        """Return the request that *response*, a redirect, asks for.

        Raises:
            RedirectRefused: it must not be sent.

        """
        url, credentials = self._location(request, response)
        method = _method(request.method, response.status_code)
        with_body = request.body is not None and method == request.method
        if with_body and not request.rewindable():
            raise _refused(response, "the body of the request cannot be read a second time")
        headers = request.headers
        if url.origin != request.url.origin:
            pairs = headers.wire_items()
            headers = Headers.of([pair for pair in pairs if pair[0].lower() in self._kept])
        if not with_body:
            pairs = headers.wire_items()
            headers = Headers.of([pair for pair in pairs if pair[0].lower() not in OF_A_BODY])
        elif headers is request.headers:
            headers = headers.copy()
        following = request.redirected(url, method, headers, with_body=with_body)
        if url.origin != request.url.origin:
            following.auth = following.cookies = None
            if following.connecting is not None:
                following.connecting = following.connecting.elsewhere()
        if credentials is not None:
            from ...http.auth.basic import BasicAuth  # noqa: PLC0415 - rare

            following.auth = BasicAuth(*credentials)
        return following

    def _location(
        self, request: ClientRequest, response: Response
    ) -> tuple[URL, Credentials | None]:
        """Return the URL that *response* leads to, and user and password if it names them."""
        from ...http.userinfo import split_credentials  # noqa: PLC0415 - for those who are redirected

        locations = set(response.field_values("location"))
        if len(locations) > 1:
            raise _refused(response, "there are several fields Location with different values")
        location = locations.pop()
        try:
            url, credentials = split_credentials(
                location.encode("latin-1"), request.url, keep_fragment=True
            )
        except InvalidRequest as exc:
            raise _refused(response, f"Location {shown_url(location)!r}: {exc}") from exc
        if url.scheme in ("ws", "wss") and "websocket" in request.extensions:
            url = url.copy_with(scheme="https" if url.origin.secure else "http")
        if url.scheme not in ("http", "https"):
            raise _refused(response, f"it leads to {quoted(url.scheme)}")
        if request.url.origin.secure and not url.origin.secure and not self._insecure:
            raise _refused(response, "it leads from https to http")
        return url, credentials

    def _too_many(self, response: Response) -> TooManyRedirects:
        error = TooManyRedirects(f"more than {self._most} redirects", response=response)
        _label(error, response)
        return error


def _method(method: str, status: int) -> str:
    """Return the method of the next request.

    303 asks for GET, except of HEAD. 301 and 302 turn POST into GET, as everybody does, and leave
    other methods alone (RFC 9110 sections 15.4.2 to 15.4.4).
    """
    if status == SEE_OTHER:
        return "HEAD" if method == "HEAD" else "GET"
    if status not in WITH_METHOD and method == "POST":
        return "GET"
    return method


def _refused(response: Response, why: str) -> RedirectRefused:
    error = RedirectRefused(
        f"the redirect with {response.status_code} is not followed: {why}", response=response
    )
    _label(error, response)
    return error


def _label(error: DugongError, response: Response) -> None:
    if response.request is not None:
        error.label(response.request.method, mask_target(str(response.request.url)))


def co_skip_body(response: Response, most: int = MAX_SKIPPED) -> Co[None]:
    """Read and drop the body of *response*, and close the connection if there is more than *most*.

    It is not decoded. An error while it is read does not matter: the connection is closed.

    Raises:
        ConnectionTimedOut: a limit of the caller is over.

    """
    if response.is_closed or response.is_whole:
        return
    try:
        yield from within(time.monotonic() + MAX_SKIPPING, _co_try_to_skip(response, most))
    finally:
        response.close()


def _co_try_to_skip(response: Response, most: int) -> Co[None]:
    """Skip the body as `_co_skip` does; end at an error, or at the limit of `within`."""
    try:
        response.take_body(decoded=False)
        yield from _co_skip(response, most)
    except DugongError:
        pass


def _co_skip(response: Response, most: int) -> Co[None]:
    while response.num_bytes_downloaded <= most and (yield from response.co_raw_piece()):
        pass
