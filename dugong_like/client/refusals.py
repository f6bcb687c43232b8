"""Responses that ask to wait: what they say of the request, and of its origin.

503 (Service Unavailable) with Retry-After says how long the service is expected to be unavailable
(RFC 9110 sections 10.2.3 and 15.6.4). If it answers other requests meanwhile, that is not true of
the origin, but of the one request. So that waits by itself, as the layer of retries has it wait,
and the origin is paused when several are refused and none that was sent later is answered. 429 (Too
Many Requests) is about the client, and asks it to send no new request (RFC 6585 section 4): it
pauses the origin at once.

A request is never repeated before its own Retry-After is over, whether or not its origin is paused.

Not here: the pauses (connection/origins.py, of which others take account that send), reading
Retry-After (http/retry_after.py), and repeating (layers/retry.py).
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from ..connection.origins import OriginFacts
    from .layers.retry import Retry
    from .request import ClientRequest
    from .response import Response

TOO_MANY_REQUESTS: Final = 429
ASK_TO_WAIT: Final = frozenset({TOO_MANY_REQUESTS, 503})
ERRORS_OF_SERVERS: Final = 500  # and above: they do not show that others would be answered


def note_status(
    facts: OriginFacts,
    retry: Retry | None,
    request: ClientRequest,
    response: Response,
    sent_at: float,
) -> None:
    """Take the status of *response* into account for other requests to its origin.

    Args:
        facts: about the origin.
        retry: of the client; None for none. If it repeats no such request after such a response,
            nobody has to wait. One that is given up because its repetitions or the budget are used
            up counts: the server has said the same of others.
        request: what was sent.
        response: its response, of which the head is enough.
        sent_at: when that was, in seconds of `time.monotonic`.

    """
    status = response.status_code
    if status not in ASK_TO_WAIT:
        if status < ERRORS_OF_SERVERS:
            facts.note_answer(sent_at)
        return
    retry = request.extensions.get("retry", retry)
    if retry is None or not retry.allows_status(request, response):
        return
    seconds = retry.asked_pause(response, time.time())
    if seconds is None or seconds > retry.max_wait:
        return
    if status == TOO_MANY_REQUESTS:
        facts.pause(seconds)
    else:
        facts.note_refusal(sent_at, seconds)
