"""The layer that authenticates requests.

Not here: the schemes, and how their flows run (http/auth/).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from ...http.auth.flow import co_authenticate
from ...polling.contract import Co
from .redirects import co_skip_body

if TYPE_CHECKING:
    from collections.abc import Callable

    from ...http.request import Request
    from ..dispatcher import Send
    from ..request import ClientRequest
    from ..response import Response


def authentication(request: ClientRequest, co_send: Send) -> Co[Response]:
    """Send *request* as its ``auth`` demands; see `Layer`.

    The responses before the last one, such as 401 with a challenge, are in its history.
    """
    if request.auth is None:
        return (yield from co_send(request))
    challenges: list[Response] = []

    def co_end(response: Response) -> Co[None]:
        challenges.append(response)
        return co_skip_body(response)

    sending = cast("Callable[[Request], Co[Response]]", co_send)
    response = yield from co_authenticate(request.auth, request, sending, co_end)
    if challenges:
        response.history = (*challenges, *response.history)
    return response
