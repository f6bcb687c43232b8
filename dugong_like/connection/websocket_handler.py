"""Functions that are called while a WebSocket is open: the base class for those of users.

Not here: the calls (websocket.py, async_websocket.py).
"""

from __future__ import annotations

from types import GeneratorType
from typing import Any

from ..http.redaction import quoted
from ..polling.contract import Co


class WebSocketHandler:
    """Base class for what is called while a WebSocket is open; see `WebSocket.serve`.

    Each function may return an operation, such as a generator of one, or with `AsyncWebSocket` be a
    coroutine function. They send by ``websocket.write(message)``, which does not wait.
    """

    def on_open(self, websocket: Any) -> Any:
        """Do something before the first message is received. The result is ignored."""

    def on_message(self, websocket: Any, message: str | bytes) -> Any:
        """Take a message, str or bytes. The result is ignored."""

    def on_ping(self, websocket: Any, data: bytes) -> Any:
        """Take the *data* of a ping of the server, which has been answered.

        The result is ignored.
        """

    def on_close(self, websocket: Any) -> Any:
        """Notice the end: see `WebSocket.close_code`."""


def co_result(result: object) -> Co[None]:
    """Run what a function of a handler has returned, if it is an operation."""
    if type(result) is GeneratorType:
        yield from result


def check_handler(handler: object) -> None:
    """Check that *handler* has the functions of a `WebSocketHandler`.

    Raises:
        TypeError: it has not.

    """
    for name in ("on_open", "on_message", "on_ping", "on_close"):
        if isinstance(handler, type) or not callable(getattr(handler, name, None)):
            raise TypeError(f"handler is a WebSocketHandler with {name}, not {quoted(handler)}")
