"""The layer that authenticates requests.

Not here: the schemes, and how their flows run (http/auth/).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ...http.auth.flow import co_authenticate
from ...polling.contract import Co
from ..request import ClientRequest
from .redirects import co_skip_body

if TYPE_CHECKING:
    from ...http.request import Request
    from ..dispatcher import Send
    from ..response import Response


def authentication(request: ClientRequest, co_send: Send) -> Co[Response]:
    """Send *request* as its ``auth`` demands; see `Layer`.

    The responses before the last one, such as 401 with a challenge, are in its history.
    """
    if request.auth is None:
        return (yield from co_send(request))
    before: list[Response] = []

    def co_send_any(item: Request) -> Co[Response]:
        return co_send(item if isinstance(item, ClientRequest) else _for_client(request, item))

    def co_end(response: Response) -> Co[None]:
        before.append(response)
        return co_skip_body(response)

    response = yield from co_authenticate(request.auth, request, co_send_any, co_end)
    if before:
        response.history = (*before, *response.history)
    return response


def _for_client(request: ClientRequest, item: Request) -> ClientRequest:
    """Return *item*, which a flow has made to authenticate *request*, as the client sends it.

    It has the time limits of *request*, and nothing that is for the server of *request* only.
    """
    sent = ClientRequest(item.method, item.target, item.headers)
    sent.take_body(item)
    sent.timeouts, sent.deadline, sent.hooks = request.timeouts, request.deadline, request.hooks
    return sent
