"""The layer that sends cookies, and keeps those that servers set.

Not here: which cookies go where (http/cookies.py).
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from ...polling.contract import Co

if TYPE_CHECKING:
    from ...http.cookies import Cookies
    from ..dispatcher import Send
    from ..request import ClientRequest
    from ..response import Response


class CookieLayer:
    """Adds the cookies for its URL to each request, and takes those of its response.

    Args:
        cookies: of the client.
        stores: True to take those of responses.
        clock: gives seconds of `time.time`.

    """

    def __init__(
        self, cookies: Cookies, *, stores: bool = True, clock: Callable[[], float] = time.time
    ) -> None:
        self._cookies = cookies
        self._stores = stores
        self._clock = clock

    def __call__(self, request: ClientRequest, co_send: Send) -> Co[Response]:
        """Send *request* with its cookies; see `Layer`."""
        if self._cookies.is_empty and not request.cookies:
            response = yield from co_send(request)
        else:
            response = yield from self._co_send_with_cookies(request, co_send)
        if self._stores and (lines := response.field_values("set-cookie")):
            self._cookies.extract(request.url, lines, self._clock())
        return response

    def _co_send_with_cookies(self, request: ClientRequest, co_send: Send) -> Co[Response]:
        now = self._clock()
        value = self._cookies.header(request.url, now, _own_cookies(request, now))
        if value is None:
            return (yield from co_send(request))
        with_cookies = request.copy()
        with_cookies.headers.set("Cookie", value)
        try:
            return (yield from co_send(with_cookies))
        finally:
            request.attempts = with_cookies.attempts


def _own_cookies(request: ClientRequest, now: float) -> object:
    """Return the cookies of *request* itself: those of its field Cookie, and its ``cookies``.

    Raises:
        InvalidRequest, TypeError: one of the latter cannot be sent.

    """
    field = "; ".join(request.headers.get_list("cookie"))
    given = request.cookies
    if not given or not field:
        return given or field
    from ...http.cookies import Cookies  # noqa: PLC0415 - rare

    parts = (part.strip() for part in field.split(";"))
    kept = [part for part in parts if part and part.partition("=")[0] not in given]
    return "; ".join([*kept, Cookies().header(request.url, now, given) or ""])
