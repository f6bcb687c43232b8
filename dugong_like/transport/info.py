"""Information about the connection below a stream: addresses, TLS, readiness.

Not here: the streams (transport/, network_stream.py).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from ..polling.contract import POLLIN, POLLOUT, PollNeeded
from .stream import Stream


def _of_tls(name: str) -> Callable[[Stream], Any]:
    """Return a function that calls the method *name* of the TLS object, if there is one."""
    return lambda stream: None if stream.tls is None else getattr(stream.tls, name)()


FACTS: Final[dict[str, Callable[[Stream], Any]]] = {
    "socket": lambda stream: stream.sock,
    "fd": lambda stream: stream.fd,
    "client_addr": lambda stream: stream.sock.getsockname(),
    "server_addr": lambda stream: stream.sock.getpeername(),
    "is_readable": lambda stream: stream.buffered or PollNeeded(stream.fd, POLLIN).poll(0),
    "is_writable": lambda stream: PollNeeded(stream.fd, POLLOUT).poll(0),
}
OF_TLS: Final[dict[str, Callable[[Stream], Any]]] = {
    "ssl_object": lambda stream: stream.tls,
    "tls_version": _of_tls("version"),
    "cipher": _of_tls("cipher"),
    "alpn": _of_tls("selected_alpn_protocol"),
    "peercert": _of_tls("getpeercert"),
}


def fact(stream: Stream, name: str) -> Any:
    """Return the value called *name*; see `NetworkStream.get_extra_info`."""
    known = FACTS.get(name) or OF_TLS.get(name)
    try:
        return None if known is None else known(stream)
    except (OSError, ValueError):  # the connection is gone, or another thread has closed the stream
        return None
