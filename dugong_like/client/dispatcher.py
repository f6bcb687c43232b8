"""The interfaces that a client is made of: dispatchers and layers.

A *dispatcher* answers requests: `Pool` by connections, others without a network. A *layer* is a
function that stands between a client and its dispatcher.

Not here: anything that implements them.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol

from ..polling.contract import Co

if TYPE_CHECKING:
    from .request import ClientRequest
    from .response import Response


class Dispatcher(Protocol):
    """Answers requests."""

    def co_dispatch(self, request: ClientRequest, /) -> Co[Response]:
        """Send *request* and return its response.

        The body of the response may come later; unless `ClientRequest.stream` is set it may be
        read at once. Each attempt is added to `ClientRequest.attempts`.

        Raises:
            DugongError: there is no response.

        """
        ...

    def co_close(self) -> Co[None]:
        """Close what is open. Nothing is dispatched afterwards."""
        ...


Send = Callable[["ClientRequest"], Co["Response"]]  # `Dispatcher.co_dispatch`, perhaps with layers


class Layer(Protocol):
    """Sees each request before, and each response after *co_send*.

    A generator function: ``return (yield from co_send(request))`` changes nothing. It may change
    the request, send it several times or not at all, and return another response. A response that
    it does not return it has to close.
    """

    def __call__(self, request: ClientRequest, co_send: Send, /) -> Co[Response]:
        """Return the response to *request*."""
        ...
