"""Giving a connection up: in any state, by any thread, whatever other operations do.

Not here: how its end is told (close_listeners.py), and connecting again, which the next
request does.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from .config import Settings
from .h1.session import moving

if TYPE_CHECKING:
    from ..transport.stream import Stream
    from ..transport.tls.handshake import Secured


class Disconnecting(Settings):
    """A connection that can be closed, and used again."""

    __slots__ = ()

    def disconnect(self) -> None:
        """Close the connection at once. Responses that are pending are lost.

        The connection can be used again: it reconnects. May be called in any state;
        an operation that waits in another thread raises `ConnectionClosed`.
        """
        self._notify_close()
        link, sending, receiving = self._link, self._sending, self._receiving
        link.closing.want()
        reads = receiving.role.take_for_a_look()
        stream = None
        try:
            with moving():
                if link.abandoned:
                    pass  # by somebody else, just now
                elif reads is not None and (sends := sending.role.try_take()) is not None:
                    sending.reset()
                    receiving.reset()
                    stream = link.detach()
                    sends.release()
                else:
                    stream = self._abandon()
        finally:
            if reads is not None:
                receiving.role.give_back(reads)
        if stream is not None:
            if link.abandoned:
                stream.shut_down()  # wakes who waits for it
                link.leave(stream, (sending.role.turn, receiving.role.turn))
            link.tell_closed(stream)
            if not link.abandoned:
                stream.close()
        if (own := link.route.options.own) is not None:
            own.close()  # if it was never used
        link.closing.end(None)  # also if there was none

    def _abandon(self) -> Stream | None:
        """Leave the link and the halves to operations that use them, and go on with new ones.

        Returns the stream, to be closed.
        """
        stream = self._link.abandon()
        successor = self._link.successor()
        receiving = self._receiving.successor(successor)
        self._sending = self._sending.successor(successor, receiving)
        self._receiving = receiving
        self._link = successor
        return stream

    def _notify_close(self) -> None:
        stream = self._link.bare_stream
        if stream is not None and self._link.route.has_tls:
            cast("Secured", stream).notify_close()  # then it is TLS

    def _forgo_session(self) -> None:
        """Keep no TLS session that only this connection could resume.

        Nobody is going to connect again, most likely, and to take the session out costs
        a quarter of what the whole connection does.
        """
        route, stream = self._link.route, self._link.bare_stream
        if stream is not None and route.has_tls and not route.options.shares_sessions:
            cast("Secured", stream).keep_session(None)

    def _hang_up(self) -> None:
        """End the connection for whoever uses it; nothing is given back yet."""
        self._link.closing.want()
        self._notify_close()
        stream = self._link.raw_stream
        if stream is not None:
            stream.shut_down()

    def reset(self) -> None:
        """Make the connection usable again after an error: another name for `disconnect`."""
        self.disconnect()
