"""TLS sessions that are kept, so that the next handshake with the same server is a short one.

A resumed session saves a round trip (TLS 1.2) and all signatures; the certificate is that of
the first handshake and is not sent again (RFC 8446 section 2.2, RFC 5077). Each session is
used once, since whoever listens could tell two connections with the same ticket to be of one
client (RFC 8446 appendix C.4); the new connection brings new tickets.

Not here: taking sessions out of a connection when it ends (handshake.py). Python gives the last
ticket only, and has no way of telling that one has arrived.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Hashable
from typing import TYPE_CHECKING, Final

from ...polling.numbers import check_int

if TYPE_CHECKING:
    from ssl import SSLSession

MAX_SESSIONS: Final = 100  # some KiB each


class TLSSessions:
    """A store of TLS sessions, which connections may share, also in several threads.

    A session is resumed only with the same `ssl.SSLContext`, host, port and server name it
    was made with. Its certificate is not verified again: after a change of what the context
    trusts, or shows of itself, call `clear`.

    Args:
        max_entries: how many sessions are kept; the oldest is forgotten for a new one.

    Raises:
        InvalidOption: *max_entries* is less than 1.
        TypeError: it is no int.

    """

    def __init__(self, max_entries: int = MAX_SESSIONS) -> None:
        check_int("max_entries", max_entries, 1)
        self._kept: list[tuple[Hashable, SSLSession]] = []  # small for one connection's own
        self._max_entries = max_entries

    def __len__(self) -> int:
        return len(self._kept)

    def clear(self) -> None:
        """Forget all sessions: the next handshakes are whole ones."""
        with _lock:
            self._kept.clear()

    def take(self, key: Hashable) -> SSLSession | None:
        """Return the newest session that was put under *key* and is still good, and forget it."""
        now = time.time()  # sessions count from the epoch
        with _lock:
            for entry in self._kept[::-1]:
                kept_for, session = entry
                good = now < session.time + session.timeout
                if kept_for == key and self._forget(entry) and good:
                    return session
        return None

    def put(self, key: Hashable, session: SSLSession) -> None:
        """Keep *session*."""
        with _lock:
            self._kept.append((key, session))
            del self._kept[: -self._max_entries]

    def _forget(self, entry: tuple[Hashable, SSLSession]) -> bool:
        """Forget *entry*; False if that was done in the middle of `take`."""
        try:
            self._kept.remove(entry)
        except ValueError:
            return False
        return True


class SessionPlace:
    """Where the sessions of one kind of connection are kept: a store, and a key of it."""

    __slots__ = ("_key", "_store")

    def __init__(self, store: TLSSessions, key: Hashable) -> None:
        self._store = store
        self._key = key

    def take(self) -> SSLSession | None:
        """See `TLSSessions.take`."""
        return self._store.take(self._key)

    def put(self, session: SSLSession) -> None:
        """See `TLSSessions.put`."""
        self._store.put(self._key, session)


_lock = threading.RLock()  # of all stores, for microseconds; the garbage collector takes it too


def _renew_lock() -> None:
    """Start anew in a child process: a thread that has stayed behind may hold the lock."""
    global _lock  # noqa: PLW0603 - it is for the process
    _lock = threading.RLock()


if hasattr(os, "register_at_fork"):  # not on Windows, where nothing forks
    os.register_at_fork(after_in_child=_renew_lock)
