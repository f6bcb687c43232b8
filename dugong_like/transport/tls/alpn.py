"""Which protocols a handshake offers (ALPN, RFC 7301), whatever else its context is used for.

The `ssl` module knows an offer of a context only, and a context of the caller's serves many
connections. So the offer of one handshake is set while its TLS object is made, which copies it, and
is then what it was before; under a lock, as other threads may begin a handshake meanwhile.

Not here: checking what the server has chosen (handshake.py).
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Final
from weakref import WeakKeyDictionary

from ...polling.fork import after_fork

if TYPE_CHECKING:
    import ssl

HTTP_1: Final = ("http/1.1",)
_lock = threading.RLock()
_offers: Final[WeakKeyDictionary[ssl.SSLContext, Sequence[str]]] = WeakKeyDictionary()


def set_offer(context: ssl.SSLContext, protocols: Sequence[str]) -> None:
    """Let *context*, which is a new one, offer *protocols* wherever it is used."""
    context.set_alpn_protocols(list(protocols))
    _offers[context] = tuple(protocols)


def offering(
    context: ssl.SSLContext, protocols: Sequence[str] | None, make: Callable[[], object]
) -> None:
    """Call *make*, whose TLS object offers *protocols*; without any, what *context* does.

    Afterwards a context that was not made by this library offers HTTP/1.1, as nobody can ask it
    what it has offered before.

    It is no context manager: Ctrl-C may come before the end of one begins, and each later
    handshake of other threads would wait for the lock.

    Raises:
        Exception: what *make* raises.

    """
    with _lock:
        if not protocols:
            make()
            return
        before = list(_offers.get(context, HTTP_1))
        try:
            context.set_alpn_protocols(list(protocols))
            make()
        finally:
            try:
                context.set_alpn_protocols(before)
            except BaseException:  # Ctrl-C came before it had
                context.set_alpn_protocols(before)
                raise


def _renew_lock() -> None:
    """Make a new lock in a child process: a thread of the parent may hold the old one."""
    global _lock  # noqa: PLW0603 - it is for the process
    _lock = threading.RLock()


after_fork(_renew_lock)
