"""A connected socket of the caller: taken over, once.

Not here: making sockets (happy_eyeballs.py, unix.py).
"""

from __future__ import annotations

import socket

from ...errors import InvalidOption, StateError
from ...http.redaction import quoted
from ..tcp import TCPStream


class ExistingSocket:
    """A connected socket, until it is taken.

    Args:
        sock: it belongs to this object from now on, and is closed with it.

    Raises:
        InvalidOption: *sock* is not connected, not a stream, closed, or uses TLS already.
        TypeError: it is not a socket.

    """

    def __init__(self, sock: socket.socket) -> None:
        self._held: list[socket.socket] = []  # at most one; pop is atomic
        if not isinstance(sock, socket.socket):
            raise TypeError(f"sock is a connected socket, not {quoted(sock)}")
        if hasattr(sock, "do_handshake"):
            raise InvalidOption("sock speaks TLS already: hand over a plain one, and a context")
        try:
            kind = sock.getsockopt(socket.SOL_SOCKET, socket.SO_TYPE)
            sock.getpeername()
        except OSError as exc:
            raise InvalidOption(f"sock is not connected: {exc.strerror}") from exc
        if kind != socket.SOCK_STREAM:
            raise InvalidOption("sock is not a stream of bytes, such as TCP")
        self._held.append(sock)

    def take(self) -> TCPStream:
        """Return the socket as a non-blocking stream, which owns it from now on.

        Raises:
            StateError: it was taken before, or closed.

        """
        sock = None
        try:
            sock = self._held.pop()
            sock.setblocking(False)
            return TCPStream(sock)
        except IndexError:
            raise StateError(
                "the connection was made over a socket of yours, and that has ended: it cannot be "
                "made again without another one"
            ) from None
        except BaseException:
            if sock is not None:
                sock.close()
            raise

    def close(self) -> None:
        """Close the socket, unless it was taken."""
        try:
            self._held.pop().close()
        except IndexError:
            pass

    def __del__(self) -> None:
        self.close()
