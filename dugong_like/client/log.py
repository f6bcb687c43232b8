"""One line of the log for each request of a client, secrets masked.

Not here: the log of connections (connection/log.py).
"""

from __future__ import annotations

import logging
import time
from typing import TYPE_CHECKING

from ..http.redaction import mask_target, quoted
from ..polling.contract import Co

if TYPE_CHECKING:
    from .dispatcher import Send
    from .request import ClientRequest
    from .response import Response

log = logging.getLogger("dugong_like.client")


def logged(co_dispatch: Send) -> Send:
    """Return what does *co_dispatch* and logs it, at level INFO."""

    def co_send(request: ClientRequest) -> Co[Response]:
        if not log.isEnabledFor(logging.INFO):
            return co_dispatch(request)
        return _co_logged(co_dispatch, request)

    return co_send


def _co_logged(co_dispatch: Send, request: ClientRequest) -> Co[Response]:
    begun_at = time.monotonic()
    name = f"{request.method} {mask_target(str(request.url))}"
    try:
        response = yield from co_dispatch(request)
    except Exception as exc:
        log.info("%s: %s", name, type(exc).__name__)
        raise
    seconds = time.monotonic() - begun_at
    status, reason = response.status_code, quoted(response.reason_phrase)[1:-1]
    log.info("%s: %d %s, HTTP/%s, %.3f s", name, status, reason, response.http_version, seconds)
    return response
