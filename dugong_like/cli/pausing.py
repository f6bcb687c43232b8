"""Requests of a list of URLs wait while their origin is paused.

Retries wait by themselves, each for its own request (client/layers/retry.py). A server that
refuses all for a while is asked nothing meanwhile, by any of them.

Not here: when that is so (client/refusals.py), and the same for pipelined requests (client/bulk).
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from ..client.refusals import note_status
from ..connection.origins import ORIGINS
from ..polling.wake import co_pause

if TYPE_CHECKING:
    from ..client.dispatcher import Dispatcher
    from ..client.layers.retry import Retry
    from ..client.request import ClientRequest
    from ..client.response import Response
    from ..polling.contract import Co


class Pausing:
    """A dispatcher that keeps the pauses that origins ask for.

    Args:
        dispatcher: sends.
        retry: which responses are followed by another request.

    """

    def __init__(self, dispatcher: Dispatcher, retry: Retry) -> None:
        self._dispatcher = dispatcher
        self._retry = retry

    def co_dispatch(self, request: ClientRequest) -> Co[Response]:
        """Send *request*, when its origin wants to be asked; see `Dispatcher`."""
        facts = ORIGINS.facts(str(request.url.origin))
        while (seconds := facts.resumes - time.monotonic()) > 0:
            yield from co_pause(seconds, "pause that the server has asked for")
        sent_at = time.monotonic()
        response = yield from self._dispatcher.co_dispatch(request)
        note_status(facts, self._retry, request, response, sent_at)
        return response

    def co_close(self) -> Co[None]:
        """Close the dispatcher."""
        return self._dispatcher.co_close()
