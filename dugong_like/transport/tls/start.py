"""Starting TLS over any stream, with the cheaper implementation for sockets.

Not here: the two implementations (over_socket.py, over_stream.py).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypedDict, Unpack

from ...polling.contract import Co
from ..stream import Stream
from ..tcp import Socket, TCPStream
from . import over_socket as tls
from .fingerprints import Fingerprints
from .handshake import certified_name, co_shake_hands
from .over_stream import TLSOverStream
from .sessions import SessionPlace


class Demands(TypedDict, total=False):
    """Further arguments of a handshake; see `tls.co_start_tls`."""

    offer: Sequence[str] | None
    fingerprints: Fingerprints
    place: SessionPlace | None


def co_start_tls(
    under: Socket | Stream,
    context: tls.SSLContext,
    hostname: str | None,
    timeout: float | None,
    **demands: Unpack[Demands],
) -> Co[tls.TLSStream | TLSOverStream]:
    """Do the TLS handshake over *under*: a socket or any stream.

    Args:
        under: it is taken over, and closed if the handshake fails. A socket is connected and
            non-blocking.
        context: never changed.
        hostname: see `tls.co_start_tls`, which does the work over a socket or `TCPStream`.
        timeout: seconds for the handshake; None sets no limit.
        demands: see there.

    Raises:
        CertificateInvalid, HandshakeFailed, ConnectionTimedOut, InvalidRequest: see there.

    """
    if isinstance(under, TCPStream | Socket):
        return (yield from tls.co_start_tls(under, context, hostname, timeout, **demands))
    return (yield from co_start_tls_over(under, context, hostname, timeout, **demands))


def co_start_tls_over(
    under: Stream,
    context: tls.SSLContext,
    hostname: str | None,
    timeout: float | None,
    *,
    offer: Sequence[str] | None = (),
    fingerprints: Fingerprints = (),
    place: SessionPlace | None = None,
) -> Co[TLSOverStream]:
    """Do the same as `co_start_tls`, always in memory, so that `Stream.end_sending` works.

    Raises:
        CertificateInvalid, HandshakeFailed, ConnectionTimedOut, InvalidRequest: see there.

    """
    try:
        stream = TLSOverStream(under, context, certified_name(hostname), place, offer)
    except BaseException:
        under.close()
        raise
    return (yield from co_shake_hands(stream, fingerprints, place, timeout, offer))
