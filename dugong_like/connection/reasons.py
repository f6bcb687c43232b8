"""The reasons of waits for connections, and the names of these: an `Explainer`.

Imported when somebody asks for it; until then no operation does anything for it.

Not here: reasons that a descriptor always has (where it is made), and the loops (drivers/stuck.py).
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import cast
from weakref import ref

from ..errors import DugongError
from ..transport.socket_waits import seconds_idle
from .exchange import Exchange
from .operations import Operations
from .shared import HasSharedState, SharedState, open_sessions

_by_descriptor: dict[int, ref[SharedState]] = {}  # replaced as a whole, by any thread


def reason_of(fd: int, mask: int) -> str | None:
    """See `Explainer.reason_of`: of the session that receives from *fd*."""
    session = _session_of(fd)
    return None if session is None else session.reason_of_wait(mask)


def _session_of(fd: int) -> SharedState | None:
    global _by_descriptor  # noqa: PLW0603 - what the last search has found
    if (session := _known_session(fd)) is None:
        _by_descriptor = {
            session.stream.fd: ref(session)
            for session in open_sessions()
            if session.stream is not None
        }
        session = _known_session(fd)
    return session


def _known_session(fd: int) -> SharedState | None:
    reference = _by_descriptor.get(fd)
    session = None if reference is None else reference()
    stream = None if session is None else session.stream
    return session if stream is not None and stream.fd == fd else None


def subject_of(values: Iterable[object]) -> tuple[str, float | None] | None:
    """See `Explainer.subject_of`."""
    exchange: Exchange | None = None
    shared: SharedState | None = None
    conn: Operations | None = None
    for value in values:
        kind = type(value)  # `isinstance` would run code of objects of the user's
        if exchange is None and issubclass(kind, Exchange):
            exchange = cast("Exchange", value)
        elif shared is None and issubclass(kind, SharedState):
            shared = cast("SharedState", value)
        elif shared is None and issubclass(kind, HasSharedState):
            shared = cast("HasSharedState", value).shared
        elif conn is None and issubclass(kind, Operations):
            conn = cast("Operations", value)
    about = DugongError()  # an error says what it is about, without secrets
    if shared is not None:
        if exchange is None and shared.pending:
            exchange = shared.pending[0]
        shared.label(about, exchange)
        return str(about), _idle(shared)
    if conn is None:
        return None
    method, path = ("", "*") if exchange is None else (exchange.method, exchange.target)
    conn.label_error(about, method, path)
    return str(about), None


def _idle(session: SharedState) -> float | None:
    stream = session.stream
    try:
        return None if stream is None else seconds_idle(stream.sock)
    except OSError:  # a stream of the user's, without a socket
        return None
