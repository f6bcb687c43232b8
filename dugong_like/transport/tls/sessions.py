"""A store of TLS sessions, for resumption by the next connection to the same server.

A resumed session saves a round trip (TLS 1.2) and all signatures; the certificate is that of
the first handshake and is not sent again (RFC 8446 section 2.2, RFC 5077). Each session is
used once, since an observer could link two connections with the same ticket to one client (RFC
8446 appendix C.4); the new connection brings new tickets.

Not here: taking sessions from a connection when it ends (handshake.py). Python offers the last
ticket only, and does not report its arrival.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Hashable
from typing import TYPE_CHECKING, Final

from ...polling.fork import after_fork
from ...polling.numbers import check_int

if TYPE_CHECKING:
    from ssl import SSLSession

MAX_SESSIONS: Final = 100  # some KiB each


class TLSSessions:
    """A store of TLS sessions, which connections may share, also in several threads.

    A session is resumed only with the same `ssl.SSLContext`, host, port and server name. Its
    certificate is not verified again: after a change of the authorities of a context, or of its
    client certificate, call `clear`.

    Args:
        max_entries: maximum number of sessions; a new one replaces the oldest.

    Raises:
        InvalidOption: *max_entries* is less than 1.
        TypeError: it is not an int.

    """

    def __init__(self, max_entries: int = MAX_SESSIONS) -> None:
        check_int("max_entries", max_entries, 1)
        self._kept: list[tuple[Hashable, SSLSession]] = []  # a short list for a single connection
        self._max_entries = max_entries

    def __len__(self) -> int:
        return len(self._kept)

    def clear(self) -> None:
        """Drop all sessions: the next handshakes are full ones."""
        with _lock:
            self._kept.clear()

    def take(self, key: Hashable) -> SSLSession | None:
        """Remove and return the newest valid session for *key*."""
        now = time.time()  # sessions use seconds since the epoch
        with _lock:
            for entry in self._kept[::-1]:
                kept_for, session = entry
                good = now < session.time + session.timeout
                if kept_for == key and self._forget(entry) and good:
                    return session
        return None

    def put(self, key: Hashable, session: SSLSession) -> None:
        """Store *session*."""
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
    """The place of the sessions of one kind of connection: a store, and a key of it."""

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
    """Make a new lock in a child process: a thread of the parent may hold the old one."""
    global _lock  # noqa: PLW0603 - state of the process
    _lock = threading.RLock()


after_fork(_renew_lock)
