"""Which protocols a handshake offers (ALPN, RFC 7301), whatever else its context is used for.

The `ssl` module knows an offer of a context only, and a context of the caller's serves many
connections. So the offer of one handshake is set while its TLS object is made, which copies it, and
is then what it was before; under a lock, as other threads may begin a handshake meanwhile.

Not here: checking what the server has chosen (handshake.py).
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
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


class offering:  # noqa: N801 - a context manager, as those of contextlib are called
    """Let TLS objects that are made in the block offer *protocols*; without any, as *context* does.

    Afterwards a context that was not made by this library offers HTTP/1.1, as nobody can ask it
    what it has offered before.
    """

    __slots__ = ("_context", "_lock", "_protocols")

    def __init__(self, context: ssl.SSLContext, protocols: Sequence[str] | None) -> None:
        self._context = context
        self._protocols = protocols
        self._lock = _lock  # of this process

    def __enter__(self) -> None:
        self._lock.acquire()
        if self._protocols:
            try:
                self._context.set_alpn_protocols(list(self._protocols))
            except BaseException:
                self._lock.release()
                raise

    def __exit__(self, *exc: object) -> None:
        try:
            if self._protocols:
                self._context.set_alpn_protocols(list(_offers.get(self._context, HTTP_1)))
        finally:
            self._lock.release()


def _renew_lock() -> None:
    """Make a new lock in a child process: a thread of the parent may hold the old one."""
    global _lock  # noqa: PLW0603 - it is for the process
    _lock = threading.RLock()


after_fork(_renew_lock)
