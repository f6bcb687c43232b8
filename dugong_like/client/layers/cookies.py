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
        cookies = self._cookies
        if not cookies.is_empty or request.cookies is not None:
            own = request.cookies or request.headers.get("cookie") or ()
            value = cookies.header(request.url, self._clock(), own)
            if value is not None:
                request = request.copy()
                request.headers.set("Cookie", value)
        response = yield from co_send(request)
        if self._stores and (lines := response.field_values("set-cookie")):
            cookies.extract(request.url, lines, self._clock())
        return response
