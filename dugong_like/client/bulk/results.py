"""The results of `Client.map`: plain values.

Not here: errors (errors.py of the package), and responses (client/response.py).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from ..request import ClientRequest
    from ..response import Response


class MapItem(NamedTuple):
    """The result of one request of `Client.map`.

    Attributes:
        index: its place in the iterable of requests, from 0.
        given: what the iterable has given.
        request: the request that was made of it; None if it is none.
        response: its response, with its body read; None if there is an error. Of a `Work` it is the
            result.
        error: why there is no response; None if there is one.

    """

    index: int  # type: ignore[assignment]  # the method of a tuple, which nobody needs
    given: Any
    request: ClientRequest | None
    response: Response | Any | None
    error: Exception | None


class MapProgress(NamedTuple):
    """How far `Client.map` has come.

    Attributes:
        taken: requests that were taken from the iterable.
        done: requests that have a response or an error.
        failed: those of them with an error.
        sent: bytes of the bodies of requests that are done, as far as these are bytes.
        received: bytes of the bodies of their responses, as they were sent.

    """

    taken: int
    done: int
    failed: int
    sent: int
    received: int
