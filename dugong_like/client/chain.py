"""The layers that the requests of a client pass, in their order, down to a dispatcher.

From above: those of the user, authentication, retries, cookies, the rate of requests, the guard,
the handshake of a WebSocket. So whatever is sent has the cookies of all that was received before, a
challenge included. A layer that has nothing to do is left out.

Not here: what is above the layers, once for each request (client.py), and the layers (layers/).
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Final

from ..polling.contract import Co

if TYPE_CHECKING:
    from ..http.cookies import Cookies
    from .decoding import ReadingOptions
    from .dispatcher import Dispatcher, Layer, Send
    from .layers.guard import Guard
    from .layers.rate import RequestRate
    from .layers.retry import Retry
    from .mounts import Mounts
    from .request import ClientRequest
    from .response import Response


class Chain:
    """The layers of a client, and its dispatchers.

    Args:
        dispatcher: answers requests.
        cookies: of the client.
        reading_of: returns how the response to a request is read.
        stores_cookies: see `Client`; as are the others.
        layers: those of the user.
        retry: for requests that have none of their own.
        rate: of requests.
        guard: of addresses.
        mounts: dispatchers for some URLs.

    Attributes:
        dispatcher: as given.
        stores_cookies: as given.
        is_short: True if requests that need nothing themselves pass no layer, except for cookies
            and retries, which look at what has come.

    """

    def __init__(  # noqa: PLR0913 - each is documented above
        self,
        dispatcher: Dispatcher,
        cookies: Cookies,
        reading_of: Callable[[ClientRequest], ReadingOptions],
        *,
        stores_cookies: bool = True,
        layers: Iterable[Layer] = (),
        retry: Retry | None = None,
        rate: RequestRate | None = None,
        guard: Guard | None = None,
        mounts: Mounts | None = None,
    ) -> None:
        self.dispatcher: Final = dispatcher
        self._cookies = cookies
        self._reading_of = reading_of
        self.stores_cookies: Final = stores_cookies
        self._layers = tuple(layers)
        self._retry = retry
        self._rate = rate
        self._guard = guard
        self._mounts = mounts
        optional = (rate, guard, mounts)
        self.is_short: Final = not self._layers and all(each is None for each in optional)
        self._sends: dict[tuple[bool, bool, bool, bool, bool], Send] = {}

    def over(self, dispatcher: Dispatcher) -> Chain:
        """Return the same layers above *dispatcher*."""
        return Chain(
            dispatcher,
            self._cookies,
            self._reading_of,
            stores_cookies=self.stores_cookies,
            layers=self._layers,
            retry=self._retry,
            rate=self._rate,
            guard=self._guard,
            mounts=self._mounts,
        )

    def co_send(self, request: ClientRequest) -> Co[Response]:
        """Send *request* through the layers that it needs."""
        key = (
            request.auth is not None,
            self.stores_cookies or request.cookies is not None or not self._cookies.is_empty,
            self._retry is not None or "retry" in request.extensions,
            "websocket" in request.extensions,
            "logging" in sys.modules,  # without it nobody would see anything
        )
        co_send = self._sends.get(key)
        if co_send is None:
            co_send = self._sends[key] = self._build(*key)
        return co_send(request)

    def _build(
        self,
        has_auth: bool,
        has_cookies: bool,
        has_retry: bool,
        opens_websocket: bool,
        is_logged: bool,
    ) -> Send:
        """Return what sends requests of one kind."""
        chain: list[Layer] = [*self._layers]
        if has_auth:
            from .layers.authentication import authentication  # noqa: PLC0415 - for who needs it

            chain.append(authentication)
        if has_retry:
            from .layers.retry import RetryLayer  # noqa: PLC0415 - the same

            chain.append(RetryLayer(self._retry, self._reading_of))
        if has_cookies:
            from .layers.cookies import CookieLayer  # noqa: PLC0415 - the same

            chain.append(CookieLayer(self._cookies, stores=self.stores_cookies))
        if self._rate is not None:
            chain.append(self._rate)
        if self._guard is not None:
            from .layers.guard import GuardLayer  # noqa: PLC0415 - the same

            chain.append(GuardLayer(self._guard))
        if opens_websocket:
            from .websocket import co_shake_hands  # noqa: PLC0415 - the same

            chain.append(co_shake_hands)
        co_send: Send = self.dispatcher.co_dispatch
        if self._mounts is not None:
            co_send = self._mounts.over(co_send)
        if is_logged:
            from .log import logged  # noqa: PLC0415 - logging is loaded already

            co_send = logged(co_send)
        for layer in reversed(chain):
            co_send = _passing(layer, co_send)
        return co_send

    def co_close(self) -> Co[None]:
        """Close the dispatchers."""
        yield from self.dispatcher.co_close()
        if self._mounts is not None:
            yield from self._mounts.co_close()


def _passing(layer: Layer, below: Send) -> Send:
    """Return what sends a request through *layer*."""

    def co_send(request: ClientRequest) -> Co[Response]:
        return layer(request, below)

    return co_send
