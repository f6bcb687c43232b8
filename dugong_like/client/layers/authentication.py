"""The layer that authenticates requests.

Not here: the schemes, and how their flows run (http/auth/).
"""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING

from ...http.auth.flow import co_authenticate
from ...polling.contract import Co
from ..held import HeldConnection
from ..request import ClientRequest
from .redirects import co_skip_body

if TYPE_CHECKING:
    from ...http.request import Request
    from ..dispatcher import Send
    from ..response import Response


def authentication(request: ClientRequest, co_send: Send) -> Co[Response]:
    """Send *request* as its ``auth`` demands; see `Layer`.

    The responses to it before the last one, such as 401 with a challenge, are in the history of
    that. Those to requests that a flow makes for itself are not: they may have secrets, such as a
    token, which nobody expects there.
    """
    if request.auth is None:
        return (yield from co_send(request))
    held = None
    if getattr(request.auth, "same_connection", False):
        held = HeldConnection()
    rounds = _Rounds(request, co_send)
    try:
        sent = request
        if held is not None:
            sent = copy.copy(request)
            sent.held = held
        response = yield from co_authenticate(request.auth, sent, rounds.co_send, rounds.co_end)
    except BaseException:
        if rounds.last is not None:
            rounds.last.close()
        raise
    finally:
        if held is not None:
            held.end()
    if rounds.before:
        response.history = (*rounds.before, *response.history)
    return response


class _Rounds:
    """The requests that the flow of one request makes.

    Attributes:
        before: the responses to the request itself that were followed by another one.
        last: the last response.

    """

    def __init__(self, request: ClientRequest, co_send: Send) -> None:
        self.before: list[Response] = []
        self.last: Response | None = None
        self._request = request
        self._co_send = co_send
        self._is_own = True  # the last response, and not that to a request of the flow

    def co_send(self, item: Request) -> Co[Response]:
        """Send a request of the flow."""
        self.last = None
        self._is_own = isinstance(item, ClientRequest)
        if not isinstance(item, ClientRequest):
            self.last = yield from self._co_send(self._converted(item))
            return self.last
        try:
            self.last = yield from self._co_send(item)
        finally:
            self._request.attempts = item.attempts
        return self.last

    def _converted(self, item: Request) -> ClientRequest:
        """Return a request that the flow has made as one to a URL.

        It has the time limits of the request, and nothing that is for the server of that only.
        """
        url = self._request.url.join(item.target)
        request = ClientRequest(item.method, url, item.headers)
        request.take_body(item)
        request.timeouts = self._request.timeouts
        request.deadline = self._request.deadline
        request.hooks = self._request.hooks
        request.bounded = self._request.bounded
        request.connecting = self._request.connecting
        if request.connecting is not None and url.origin != self._request.url.origin:
            request.connecting = request.connecting.elsewhere()
        return request

    def co_end(self, response: Response) -> Co[None]:
        """Skip the rest of a response that another request follows."""
        if self._is_own:
            self.before.append(response)
        return co_skip_body(response)
