"""Reading the body of a response that refuses something: its status says enough without it.

Not here: how many bytes are read (`MAX_REFUSAL_BODY`), and the answers of proxies to CONNECT
(transport/proxy/connect_tunnel.py), for which the time limit of connecting holds.
"""

from __future__ import annotations

import time

from ..errors import MAX_REFUSAL_TIME, ConnectionTimedOut, DugongError
from ..polling.contract import Co, within


def co_read_refusal(reading: Co[object]) -> Co[bool]:
    """Run *reading*, which reads the body of a refusal, for `MAX_REFUSAL_TIME` at most.

    Returns:
        True if it has ended; False if the body is late, cut off, too large or cannot be decoded,
        which hides neither the status nor the fields.

    Raises:
        ConnectionTimedOut: a limit of the caller is over.

    """
    late = ConnectionTimedOut("the body of a refusal did not arrive in time")
    return (yield from within(time.monotonic() + MAX_REFUSAL_TIME, _co_ends(reading), late))


def _co_ends(reading: Co[object]) -> Co[bool]:
    """Run *reading*; return False after an error, or the limit of `within`."""
    try:
        yield from reading
    except DugongError:
        return False
    return True
