"""A server that asks to wait is asked nothing meanwhile: one pause for all requests to its origin.

Retries wait by themselves, each for its own request (client/layers/retry.py). That is right for a
server that refuses one request in twenty. If it refuses several in a row, no other request would
fare better: all wait until it wants to be asked again.

Not here: Retry-After (http/retry_after.py), and the same for pipelined requests (client/bulk).
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final

from ..connection.origins import ORIGINS
from ..polling.wake import co_sleep

if TYPE_CHECKING:
    from ..client.dispatcher import Dispatcher
    from ..client.layers.retry import Retry
    from ..client.request import ClientRequest
    from ..client.response import Response
    from ..http.url import Origin
    from ..polling.contract import Co

IN_A_ROW: Final = 3  # responses: by chance that is one in 8,000 requests if one in 20 is refused


class Pausing:
    """A dispatcher that keeps the pauses that origins ask for.

    Args:
        dispatcher: sends.
        retry: which responses are followed by another request.

    """

    def __init__(self, dispatcher: Dispatcher, retry: Retry) -> None:
        self._dispatcher = dispatcher
        self._retry = retry
        self._refusals: dict[Origin, int] = {}  # in a row

    def co_dispatch(self, request: ClientRequest) -> Co[Response]:
        """Send *request*, when its origin wants to be asked; see `Dispatcher`."""
        origin = request.url.origin
        facts = ORIGINS.facts(str(origin))
        while (seconds := facts.resumes - time.monotonic()) > 0:
            yield from co_sleep(seconds, "pause that the server has asked for")
        response = yield from self._dispatcher.co_dispatch(request)
        if not self._retry.allows_status(request, response):
            self._refusals.pop(origin, None)
            return response
        asked = self._retry.asked_pause(response, time.time())
        if asked is not None and asked <= self._retry.max_wait:
            self._refusals[origin] = self._refusals.get(origin, 0) + 1
            if self._refusals[origin] >= IN_A_ROW:
                facts.pause(asked)
        return response

    def co_close(self) -> Co[None]:
        """Close the dispatcher."""
        return self._dispatcher.co_close()
