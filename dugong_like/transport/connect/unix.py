"""Unix domain sockets: connecting to a path, or to an abstract name (Linux).

Not here: sending and receiving, which are the same as over TCP (tcp.py).
"""

from __future__ import annotations

import errno
import os
import socket
import sys
import time
from typing import Final

from ...errors import InvalidOption
from ...http.redaction import MAX_PATH, quoted
from ...polling.contract import POLLOUT, Co, PollNeeded
from ...polling.wake import Wake
from .happy_eyeballs import Opener, co_naming, is_connected, new_socket

LONGEST: Final = 107 if sys.platform == "linux" else 103  # bytes of sun_path, without NUL
QUEUE_TIME: Final = 0.01  # seconds after which to try again when the server's queue is full
BEGUN: Final = {errno.EINPROGRESS, errno.EINTR}


def check_path(path: str | bytes | os.PathLike[str]) -> bytes:
    r"""Return *path* as bytes. An abstract name begins with ``b"\0"``.

    Raises:
        InvalidOption: it is empty, too long, or this system has no such sockets.
        TypeError: it is not a path.

    """
    if not hasattr(socket, "AF_UNIX"):
        raise InvalidOption("this system has no unix domain sockets")
    try:
        data = os.fsencode(path)
    except TypeError:
        raise TypeError(f"uds is a path, not {quoted(path)}") from None
    abstract = data.startswith(b"\0")
    if not data or (abstract and sys.platform != "linux") or (b"\0" in data and not abstract):
        raise InvalidOption(f"not the path of a unix domain socket: {quoted(data)}")
    if len(data) > LONGEST:
        raise InvalidOption(
            f"the path of a unix domain socket has at most {LONGEST} bytes, not {len(data)}: "
            f"{quoted(os.fsdecode(data), MAX_PATH)}"
        )
    return data


def co_connect_unix(path: bytes, opener: Opener | None = None) -> Co[socket.socket]:
    """Connect to the unix domain socket at *path*.

    Returns:
        A connected, non-blocking socket.

    Raises:
        ConnectFailed: no server listens there, or the system does not permit it.
        InvalidOption: *opener*, which makes the socket if given, has failed.

    """
    return co_naming(_co_connect(path, opener), name_of(path))


def name_of(path: bytes) -> str:
    """Return *path* as ss and netstat write it: an abstract name begins with ``@``."""
    return os.fsdecode(path).replace("\0", "@", 1)


def _co_connect(path: bytes, opener: Opener | None) -> Co[socket.socket]:
    sock = new_socket(socket.AF_UNIX) if opener is None else opener.open(socket.AF_UNIX)
    try:
        code = sock.connect_ex(path)
        while code == errno.EAGAIN:  # the queue is full, and no event reports the end of that
            yield from _co_pause()
            code = sock.connect_ex(path)
        while code in BEGUN and not is_connected(sock):
            yield PollNeeded(sock.fileno(), POLLOUT).because("connect")
            code = sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) or errno.EINPROGRESS
        if code not in {0, *BEGUN}:
            raise OSError(code, os.strerror(code))
    except BaseException:
        sock.close()
        raise
    return sock


def _co_pause() -> Co[None]:
    """Wait briefly. Loops that ignore deadlines should resume now and then."""
    with Wake("connect") as never:
        yield from never.co_wait(time.monotonic() + QUEUE_TIME)
