"""Events that happen once for each response of a client.

Not here: the functions and their names (client/events.py), and the events of single bytes,
redirects and retries, which are where these happen.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ...polling.contract import Co

if TYPE_CHECKING:
    from ..dispatcher import Send
    from ..request import ClientRequest
    from ..response import Response


def events(request: ClientRequest, co_send: Send) -> Co[Response]:
    """Call the functions for ``pre_request``, ``on_informational`` and ``on_headers``.

    ``post_request`` comes when the body has been read, or with *exc* if the request has failed.
    """
    hooks = request.hooks
    assert hooks is not None
    response = None
    try:
        yield from hooks.co_call("pre_request", request)
        response = yield from co_send(request)
        for message in response.informational:
            yield from hooks.co_call("on_informational", request, response, data=message)
        yield from hooks.co_call("on_headers", request, response)
    except BaseException as exc:
        if response is not None:
            response.close()  # a function has failed, or the operation is given up
        if isinstance(exc, Exception):
            yield from hooks.co_call("post_request", request, response, exc=exc)
        else:
            hooks.call("post_request", request, response, exc=exc)
        raise
    return response
