"""The result of a TLS handshake, and checking it; for TLS over sockets and over streams.

Also the reason for the end of a connection. The peer sends it as an alert (RFC 8446 section 6.2),
and closes the connection. Data that are sent meanwhile cause a reset, which the system reports to
the sender; but the alert is in front of that, in the receive buffer. So a sender that fails
receives once. Bytes in place of an alert are kept for the receiving half.

With TLS 1.3 the client's handshake is complete before the server has verified its certificate, so
this is how a client learns that its certificate was refused.

Not here: the bytes (over_socket.py over a socket, over_stream.py over any stream).
"""

from __future__ import annotations

import copy
import re
import ssl
import threading
import time
from collections.abc import Callable, Collection, Sequence
from typing import Final, Protocol, TypeVar

from ...errors import (
    CertificateInvalid,
    ClientCertificateRefused,
    ConnectionClosed,
    HandshakeFailed,
    ProtocolNotNegotiated,
)
from ...polling.contract import Co, PollNeeded
from ..attempts import WholeLimit, co_attempts
from ..socket_waits import lost
from .fingerprints import Fingerprints, check_fingerprint
from .sessions import SessionPlace

CROSSED: Final = 0.05  # seconds after which to repeat an attempt that the other half may have made
SPOKEN: Final = {None, "http/1.1", "http/1.0"}  # accepted results of ALPN (RFC 7301)
TLSObject = ssl.SSLSocket | ssl.SSLObject
Kept = tuple[bytes, OSError | None]

# All alerts of RFC 8446 section 6, and the older ones, by their names there. These are about the
# certificate of the receiver; access_denied means that it is valid but not sufficient.
REFUSALS: Final = frozenset(
    [
        *("bad_certificate", "unsupported_certificate", "certificate_revoked"),
        *("certificate_expired", "certificate_unknown", "unknown_ca", "access_denied"),
        "certificate_required",
    ]
)
# By these a peer rejects the offers of a handshake, which are the same the next time.
DISAGREEMENTS: Final = frozenset(
    [
        *("handshake_failure", "illegal_parameter", "protocol_version", "insufficient_security"),
        *("inappropriate_fallback", "missing_extension", "unsupported_extension"),
        *("unrecognized_name", "bad_certificate_status_response", "no_application_protocol"),
        *("no_certificate", "export_restriction", "bad_certificate_hash_value"),  # before TLS 1.3
    ]
)
# These may be about one connection alone: the peer has a problem, or bytes were damaged. A session
# is used once, so after unknown_psk_identity the next handshake is another one.
ACCIDENTS: Final = frozenset(
    [
        *("unexpected_message", "bad_record_mac", "record_overflow", "decode_error"),
        *("decrypt_error", "internal_error", "user_canceled", "unknown_psk_identity"),
        *("decryption_failed", "decompression_failure", "no_renegotiation"),  # before TLS 1.3
        "certificate_unobtainable",
    ]
)
ALERTS: Final = REFUSALS | DISAGREEMENTS | ACCIDENTS
# Reasons of OpenSSL if this side rejects the offers of the peer.
NOT_AGREED: Final = frozenset(
    [
        *("UNSUPPORTED_PROTOCOL", "WRONG_SSL_VERSION", "NO_PROTOCOLS_AVAILABLE"),
        *("NO_CIPHERS_AVAILABLE", "WRONG_CIPHER_RETURNED", "UNKNOWN_CIPHER_RETURNED"),
        *("DH_KEY_TOO_SMALL", "WRONG_CURVE", "WRONG_SIGNATURE_TYPE"),
        "UNSAFE_LEGACY_RENEGOTIATION_DISABLED",
    ]
)

_alert = re.compile(r"(?:SSLV3|SSL/TLS|TLSV1|TLSV13)_(?:ALERT_)?(?P<name>[A-Z_]+)").fullmatch
_text = re.compile(r"\[SSL\] (?P<text>.+) \(_ssl\.c:[0-9]+\)").fullmatch


class Secured:
    """Base of all TLS streams. Each call into *tls* is made under `_lock`."""

    __slots__ = ("_ended", "_kept", "_lock", "_place", "_tls")

    def __init__(self, tls: TLSObject) -> None:
        self._tls = tls
        # The garbage collector or a handler of signals may close it in the middle of a call.
        self._lock = threading.RLock()
        self._place: SessionPlace | None = None  # for the session at the end
        # Received for a later call: bytes, and the error that has ended receiving. OpenSSL reports
        # it once: after an alert it would report a proper end of the stream.
        self._kept: Kept | None = None
        self._ended = False  # this side has closed the connection, or a direction of it

    def check_peer(self, fingerprints: Fingerprints, offer: Sequence[str] | None) -> None:
        """Check the result of the handshake.

        Raises:
            ProtocolNotNegotiated: the peer has selected a protocol that is not in *offer* or, if
                that is empty, not supported: the context of the caller may offer h2.
            CertificateInvalid: its certificate has none of *fingerprints*, if there are any.

        """
        protocol = self._tls.selected_alpn_protocol()
        spoken: Collection[str | None] = {None, *offer} if offer else SPOKEN
        if protocol not in spoken and offer is not None:
            wanted = " or ".join(offer or ["http/1.1"])
            raise ProtocolNotNegotiated(f"the peer chose the protocol {protocol}, not {wanted}")
        check_fingerprint(self._tls.getpeercert(True), fingerprints)

    def keep_session(self, place: SessionPlace | None) -> None:
        """Store the session at *place*, if given, when the connection ends properly."""
        self._place = place

    def save_session(self) -> None:
        """Store the session at the place of `keep_session`, once; the lock is held."""
        place, self._place = self._place, None
        if place is None:
            return
        session = self._tls.session
        if session is None or not (session.has_ticket or session.id):
            return
        if session.has_ticket or self._tls.version() != "TLSv1.3":  # 1.3: only tickets
            place.put(session)

    def _keep(self, data: bytes, failure: OSError | None = None) -> None:
        """Keep *data*, and then *failure*, for the receiving half; the lock is held.

        The failure is kept without its traceback, which leads back to this object: after an
        interruption nobody would close the socket before the garbage collector runs.
        """
        if failure is not None:
            failure = copy.copy(failure)
        if self._kept is not None:
            data = self._kept[0] + data
            failure = failure or self._kept[1]
        self._kept = data, failure

    def _take_kept(self, size: int) -> bytes:
        """Return up to *size* kept bytes, or raise the kept error; the lock is held."""
        assert self._kept is not None
        data, failure = self._kept
        if failure is not None and not data:
            raise failure
        rest = data[size:]
        self._kept = (rest, failure) if rest or failure is not None else None
        return data[:size]

    def _why(self, exc: OSError) -> OSError:
        """Return the alert that explains why sending has failed with *exc*, or *exc*; see above.

        The lock is held. Not if this side has closed the direction: only the end of both directions
        leaves the descriptor readable, which wakes an operation that waits for kept bytes.
        """
        if self._kept is None and not self._ended and is_from_below(exc):
            self._look_for_reason()
        reason = None if self._kept is None else self._kept[1]
        return exc if reason is None or alert_of(reason) is None else reason

    def _look_for_reason(self) -> None:
        """Receive once, and keep the result; the lock is held."""
        raise NotImplementedError

    def gone(self, exc: OSError) -> ConnectionClosed:
        """Return *exc*, which `ssl` raised after the handshake, as `ConnectionClosed`."""
        if isinstance(exc, ssl.SSLError) and not isinstance(exc, ssl.SSLEOFError):
            self._place = None  # such a session may not be resumed (RFC 5246 section 7.2.2)
        return cut_off_or_lost(exc)

    def recv(self, size: int) -> bytes | None:
        """See `Stream.recv`."""
        raise NotImplementedError

    def recv_would_block(self) -> bool:
        """See `Stream.recv_would_block`."""
        raise NotImplementedError

    def is_idle(self) -> bool:
        """See `Stream.is_idle`. Session tickets and the like do not count.

        Raises:
            ClientCertificateRefused: the reason for its end; the same would happen to another
                connection.

        """
        if self.recv_would_block():
            return True
        try:
            if self.recv(1) is None:
                return True
        except ClientCertificateRefused:
            raise
        except ConnectionClosed:
            pass  # most servers close an idle connection without close_notify
        with self._lock:
            self.save_session()
        return False

    @property
    def tls(self) -> TLSObject:
        """See `Stream.tls`."""
        return self._tls

    def notify_close(self) -> None:
        """Send close_notify (RFC 8446 section 6.1) if that is possible at once."""
        raise NotImplementedError


class SecuredStream(Protocol):
    """The interface of streams for `co_shake_hands`."""

    def handshake(self) -> bool | None:
        """Continue the handshake; None means that it would block."""
        ...

    def wanted_by_recv(self, deadline: float | None) -> PollNeeded:
        """See `Stream.wanted_by_recv`."""
        ...

    def check_peer(self, fingerprints: Fingerprints, offer: Sequence[str] | None) -> None:
        """See `Secured.check_peer`."""
        ...

    def keep_session(self, place: SessionPlace | None) -> None:
        """See `Secured.keep_session`."""
        ...

    def close(self) -> None:
        """See `Stream.close`."""
        ...


S = TypeVar("S", bound=SecuredStream)


def co_shake_hands(
    stream: S,
    fingerprints: Fingerprints,
    place: SessionPlace | None,
    timeout: float | None,
    offer: Sequence[str] | None,
) -> Co[S]:
    """Do the handshake on *stream* and return it; it is closed on failure.

    Raises:
        CertificateInvalid, HandshakeFailed, ConnectionTimedOut: see `tls.co_start_tls`.

    """
    try:
        if stream.handshake() is None:
            attempt: Callable[[None], bool | None] = lambda _: stream.handshake()  # noqa: E731
            waits = WholeLimit(stream.wanted_by_recv, timeout, "tls")
            yield from co_attempts(attempt, None, waits)
        stream.check_peer(fingerprints, offer)
    except BaseException:
        stream.close()
        raise
    stream.keep_session(place)
    return stream


def certified_name(hostname: str | None) -> str | None:
    """Return *hostname* as in certificates.

    That is, without the zone of an IPv6 address (RFC 6874), and without the dot of the
    root (RFC 6066 section 3).
    """
    if hostname is None:
        return None
    return hostname.partition("%")[0] if ":" in hostname else hostname.removesuffix(".")


def failed(exc: OSError) -> HandshakeFailed:
    """Return *exc*, the failure of a handshake, as an error of the library."""
    if isinstance(exc, ssl.CertificateError):
        return CertificateInvalid(f"certificate not accepted: {_reason(exc)}")
    if isinstance(exc, ClientCertificateRefused):  # by the proxy, whose TLS is below
        return ClientCertificateRefused(str(exc))
    alert, reason = alert_of(exc), openssl_reason(exc)
    if alert in REFUSALS:
        return refused(exc)
    if alert == "no_application_protocol":
        return ProtocolNotNegotiated(f"TLS handshake failed: {_reason(exc)}")
    final = alert in DISAGREEMENTS or reason in NOT_AGREED or reason in NO_TLS
    if isinstance(exc, ConnectionClosed):  # of the stream below, such as TLS with a proxy
        final = not exc.retryable
    again = False if final else None
    return HandshakeFailed(f"TLS handshake failed: {_reason(exc)}", retryable=again)


def refused(exc: OSError) -> ClientCertificateRefused:
    """Return *exc*, an alert of `REFUSALS`, as an error of the library."""
    return ClientCertificateRefused(f"{_reason(exc)}: client certificate refused or missing")


def openssl_reason(exc: OSError) -> str:
    """Return OpenSSL's name for the reason of *exc*; empty if it has none.

    OpenSSL has texts for more reasons than the `ssl` module has names, such as for
    no_application_protocol. Then the text, written as a name, is returned.
    """
    reason: str | None = getattr(exc, "reason", None)
    if reason is None and isinstance(exc, ssl.SSLError) and (match := _text(str(exc))):
        reason = match["text"].upper().replace(" ", "_")
    return "" if reason in {None, "UNKNOWN_ERROR"} else str(reason)


def alert_of(exc: OSError) -> str | None:
    """Return the RFC 8446 name of the alert that *exc* reports; None if it is another error."""
    match = _alert(openssl_reason(exc))
    if match is None:
        return None
    name = match["name"].lower().replace("cancelled", "canceled")
    return name if name in ALERTS else None


def is_from_below(exc: OSError) -> bool:
    """Return True if *exc* comes from the stream below TLS, not from TLS."""
    return not isinstance(exc, ssl.SSLError) or isinstance(exc, ssl.SSLEOFError)


def cut_off_or_lost(exc: OSError) -> ConnectionClosed:
    """Return *exc* as `ConnectionClosed`.

    With TLS 1.3 the peer's part of a handshake may end after that of the client, so its objections
    may arrive now.
    """
    alert, reason = alert_of(exc), openssl_reason(exc)
    if alert in REFUSALS:
        return refused(exc)
    if alert is not None:
        ended = ConnectionClosed(f"TLS was ended by the peer: {reason}", request_sent="maybe")
        ended.retryable = alert not in DISAGREEMENTS
        return ended
    cut_off = reason == ENDED  # 3.11.2 of Debian
    if cut_off or isinstance(exc, ssl.SSLEOFError):
        return ConnectionClosed("TLS was cut off without close_notify", request_sent="maybe")
    return lost(exc)


def soon(deadline: float | None) -> float:
    """Return when to try again during a renegotiation (TLS 1.2).

    Both halves move it on, so one may receive the bytes that the other waits for.
    """
    at = time.monotonic() + CROSSED
    return at if deadline is None else min(at, deadline)


# OpenSSL's names for a response without TLS, and for the end of the stream.
NO_TLS: Final = frozenset({"WRONG_VERSION_NUMBER", "RECORD_LAYER_FAILURE", "UNKNOWN_PROTOCOL"})
ENDED: Final = "UNEXPECTED_EOF_WHILE_READING"


def _reason(exc: OSError) -> str:
    """Return the reason of *exc* for a message about a server or a proxy."""
    reason = openssl_reason(exc)
    if reason in NO_TLS:
        return f"no TLS is spoken on this port: is it http://? ({reason})"
    if reason == ENDED:
        return f"the connection was closed: is TLS spoken on this port? ({reason})"
    return getattr(exc, "verify_message", "") or reason or str(exc)
