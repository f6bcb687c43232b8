"""Closing a connection from any thread, which cancels the operations that use it.

`close` and `abort` may be called at any time, whatever operations do with the connection, in this
thread or in others. Nobody is waited for:

1. The session becomes closed, and its stream is taken away: no operation begins with it any more.
2. If an operation is under way the stream is shut down, which wakes it, and flags are set for those
   that wait for something else. Where they would need the stream they raise `ConnectionClosed`.
3. The last of them gives the descriptor back (transport/exclusive.py). If it was closed at once,
   while another thread is about to wait for it, its number could be another file's by then.

One operation alone is cancelled by closing its generator, which the drivers do.

Not here: the end of a connection for those that wait for it (`SharedState.co_wait_ended`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol, cast

from ..transport import exclusive
from .states import CLOSED

if TYPE_CHECKING:
    from ..transport.stream import Stream
    from ..transport.tls.handshake import Secured
    from .shared import SharedState


class Session(Protocol):
    """A session as session.py has it, as far as closing is concerned."""

    @property
    def shared(self) -> SharedState:
        """The part that both halves use."""
        ...

    def is_incomplete(self) -> bool:
        """Return True if a response, or the body of a request, is not complete."""
        ...

    def clear(self) -> None:
        """Forget what was received and not taken."""
        ...


def close(session: Session) -> None:
    """Close the connection at once, in any state; over TLS close_notify is sent before.

    Raises:
        BaseException: what the observer raises; the stream is closed all the same.

    """
    try:
        if session.shared.route.has_tls:
            session.shared.will_close()  # so that what this meets is not the reason
            _notify_close(session.shared)
    finally:
        abort(session)


def abort(session: Session) -> None:
    """Close the connection at once, without close_notify. Raises what `close` does."""
    shared = session.shared
    is_free, lost = False, True
    try:
        lost = session.is_incomplete()
        if (own := shared.config.route.options.existing) is not None:
            own.close()  # if it was never used
    finally:
        is_free = cancel(shared, lost=lost)
    if is_free:
        session.clear()


def cancel(shared: SharedState, *, lost: bool = False) -> bool:
    """Close the stream of a session, and end the operations that use it; see above.

    Args:
        shared: of the session.
        lost: True if a response or a request is not complete.

    Returns:
        True if no operation is under way, which would find everything as it has left it.

    Raises:
        BaseException: what the observer raises; the stream is closed all the same.

    """
    stream = shared.stream
    try:
        return _cancel(shared, lost)
    except Exception:
        raise
    except BaseException:  # Ctrl-C at any point: what is left to do, or once more
        with exclusive.changing:
            shared.state = CLOSED
            shared.withdraw()
        shared.leave(stream)
        shared.wake_turns()
        shared.end(None)
        raise


def _cancel(shared: SharedState, lost: bool) -> bool:
    shared.will_close()
    with exclusive.changing:
        if shared.state is not CLOSED:
            shared.state = CLOSED
            shared.lost = lost
        stream = shared.withdraw()
    # Looked at behind the stream, see `wait_for_peek`; as `is_used` does, which is a call.
    in_use = shared.sending.locked() or shared.reading.locked()
    try:
        if stream is not None:
            if in_use:
                stream.shut_down()  # wakes those that wait for it
            if shared.observer is not None:
                shared.observer.closing()
    finally:
        shared.wake_turns()
        if in_use:
            shared.wake_reader()
        else:
            shared.pending.clear()
        if in_use or stream is None:
            shared.leave(stream)
        else:  # an operation that begins now finds no stream
            stream.close()
        shared.end(None)
    return not in_use


def cancel_users(session: Session) -> None:
    """End the connection for the operations that use it, and have the last of them close it."""
    shared = session.shared
    shared.will_close()
    _notify_close(shared)
    if (stream := shared.stream) is not None:
        stream.shut_down()


def forgo_tls_session(session: Session) -> None:
    """Keep no TLS session that only this connection could resume.

    Nobody is going to connect again, most likely, and to take the session out costs
    a quarter of what the whole connection does.
    """
    route = session.shared.route
    if not route.has_tls or route.options.shares_sessions:
        return
    if (stream := _tls_stream(session.shared)) is not None:
        stream.keep_session(None)


def _notify_close(shared: SharedState) -> None:
    """Send close_notify (RFC 8446 section 6.1), if it is TLS and that does not block."""
    if (stream := _tls_stream(shared)) is not None:
        stream.notify_close()


def _tls_stream(shared: SharedState) -> Secured | None:
    """Return the stream without its filters, if it is one over TLS."""
    stream: Stream | None = shared.stream
    if stream is None or not shared.route.has_tls:
        return None
    if shared.config.filters is not None:
        from ..transport.filters.base import bare  # noqa: PLC0415 - for those who have filters

        stream = bare(stream)
    # A transport of the user's may have TLS of its own.
    return None if getattr(stream, "secured", False) else cast("Secured", stream)
