"""The errors of time limits for a request and its response, the same over either protocol.

Each says what is missing and how much has come or gone: a server that never answers is another
fault than one that stops in the middle of a body.

Not here: the limits themselves (time_limits.py), and those of connecting (transport/connect/).
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Final

from ..transport.attempts import timed_out

if TYPE_CHECKING:
    from ..errors import ConnectionTimedOut
    from ..http.h2.engine import Engine

# Each is called with the seconds of the limit.
NOT_SENT: Final = partial(timed_out, "nothing could be sent", phase="write")
NOTHING_ARRIVED: Final = partial(timed_out, "nothing arrived", phase="read")
NO_SETTINGS: Final = partial(timed_out, "no SETTINGS arrived", phase="read")
NO_ANSWER: Final = partial(timed_out, "no answer to PING", phase="read")


def late_head(seconds: float | None, *, there: int = 0, phase: str = "read") -> ConnectionTimedOut:
    """Return the error of a response whose head is late.

    Args:
        seconds: the limit.
        there: bytes of it that have been received.
        phase: the name of the limit in `Timeouts`.

    """
    if there:
        what = "nothing more of the response head arrived"
        return timed_out(what, seconds, phase, f"{there} bytes had")
    return timed_out("no response head arrived", seconds, phase)


def late_body(seconds: float | None, there: int, length: int | None) -> ConnectionTimedOut:
    """Return the error of a response whose body is late.

    Args:
        seconds: the limit.
        there: bytes of it that have been received.
        length: bytes of all of it; None if that is unknown: the error does not say then how many
            have come.

    """
    progress = "" if length is None else f"{there:,} of {length:,} bytes had"
    return timed_out("nothing more of the body arrived", seconds, "read", progress)


def no_stream(seconds: float | None, phase: str, engine: Engine) -> ConnectionTimedOut:
    """Return the error of a request for which there was no room on an HTTP/2 connection.

    Args:
        seconds: the limit.
        phase: the name of the limit in `Timeouts`.
        engine: of the connection: its streams say what takes the room.

    """
    count = len(engine.streams)
    unread = sum(stream.buffered > 0 for stream in engine.streams)
    left = f", {unread} of them with a body that nobody reads on" if unread else ""
    progress = f"{count} of {count + engine.room()} that are allowed are open{left}"
    return timed_out("no stream could be opened", seconds, phase, progress)


def written(count: int, length: int | None) -> str:
    """Return, for messages, that *count* of *length* bytes of a request body were written.

    Args:
        count: bytes.
        length: bytes of all of it; None if that is unknown.

    """
    total = "" if length is None else f" of {length:,}"
    return f"{count:,}{total} bytes of the body written"
