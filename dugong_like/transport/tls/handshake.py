"""What a TLS connection has agreed on, and whether that will do; for both ways of doing TLS.

Also why it has ended. The peer says that by an alert (RFC 8446 section 6.2), and closes the
connection. Data that are sent meanwhile have it reset, and the system reports that to whoever
sends; but the alert is in front of that, in the receive buffer. So a sender that fails looks
there. What it finds in place of an alert is kept for the receiving half.

With TLS 1.3 the client's handshake is complete before the server has looked at its
certificate, so it is in this way that a client hears of a certificate that is refused.

Not here: the bytes (over_socket.py over a socket, over_stream.py over any stream).
"""

from __future__ import annotations

import re
import ssl
import threading
import time
from collections.abc import Callable
from typing import Final, Protocol, TypeVar

from ...errors import (
    CertificateInvalid,
    ClientCertificateRefused,
    ConnectionClosed,
    HandshakeFailed,
)
from ...polling.contract import Co, PollNeeded
from ..attempts import co_attempt
from ..socket_waits import lost
from .fingerprints import Fingerprints, check_fingerprint
from .sessions import SessionPlace

CROSSED: Final = 0.05  # seconds after which to try again what the other half may have done
SPOKEN: Final = {None, "http/1.1", "http/1.0"}  # what ALPN may end with (RFC 7301)
TLSObject = ssl.SSLSocket | ssl.SSLObject
Kept = tuple[bytes, OSError | None]

# All alerts of RFC 8446 section 6, and the older ones, by their names there. These are about the
# certificate of who receives them; access_denied says that it is valid and does not suffice.
REFUSALS: Final = frozenset(
    [
        *("bad_certificate", "unsupported_certificate", "certificate_revoked"),
        *("certificate_expired", "certificate_unknown", "unknown_ca", "access_denied"),
        "certificate_required",
    ]
)
# By these a peer rejects what is offered in a handshake, which is the same the next time.
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
# What OpenSSL says if it is this side that does not agree to what the peer offers.
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
    """What is the same in all TLS streams. Each call into *tls* is made under `_lock`."""

    __slots__ = ("_ended", "_kept", "_lock", "_place", "_tls")

    def __init__(self, tls: TLSObject) -> None:
        self._tls = tls
        # The garbage collector or a handler of signals may close it in the middle of a call.
        self._lock = threading.RLock()
        self._place: SessionPlace | None = None  # for the session, when the connection ends
        # What was received for a later call: bytes, and the error that has ended receiving, which
        # OpenSSL reports once: after an alert it would say that the stream has ended in order.
        self._kept: Kept | None = None
        self._ended = False  # it is this side that ends the connection, or a direction of it

    def check_peer(self, fingerprints: Fingerprints, any_protocol: bool) -> None:
        """Check what the handshake has led to.

        Raises:
            HandshakeFailed: the peer has chosen a protocol that is not spoken here, and not
                *any_protocol* will do. The context is the caller's, and may offer h2.
            CertificateInvalid: its certificate has none of *fingerprints*, if there are any.

        """
        protocol = self._tls.selected_alpn_protocol()
        if protocol not in SPOKEN and not any_protocol:
            chosen = f"the peer chose the protocol {protocol}, not http/1.1"
            raise HandshakeFailed(chosen, retryable=False)
        check_fingerprint(self._tls.getpeercert(True), fingerprints)

    def keep_session(self, place: SessionPlace | None) -> None:
        """Put the session at *place*, if there is one, when the connection ends in order."""
        self._place = place

    def save_session(self) -> None:
        """Put the session where `keep_session` said, once; the lock is held."""
        place, self._place = self._place, None
        if place is None:
            return
        session = self._tls.session
        if session is None or not (session.has_ticket or session.id):
            return
        if session.has_ticket or self._tls.version() != "TLSv1.3":  # there, only tickets count
            place.put(session)

    def _keep(self, data: bytes, failure: OSError | None = None) -> None:
        """Keep *data*, and then *failure*, for the receiving half; the lock is held."""
        if self._kept is not None:
            data = self._kept[0] + data
            failure = failure or self._kept[1]
        self._kept = data, failure

    def _take_kept(self, size: int) -> bytes:
        """Return up to *size* bytes of what was kept, or raise what was; the lock is held."""
        assert self._kept is not None
        data, failure = self._kept
        if failure is not None and not data:
            raise failure
        rest = data[size:]
        self._kept = (rest, failure) if rest or failure is not None else None
        return data[:size]

    def _why(self, exc: OSError) -> OSError:
        """Return the alert that says why sending has failed with *exc*, or *exc*; see above.

        The lock is held. Not if it was this side that has ended the direction: only what ends
        both leaves the descriptor readable, and with that wakes whoever waits for bytes that are
        kept here.
        """
        if self._kept is None and not self._ended and is_from_below(exc):
            self._look_for_reason()
        reason = None if self._kept is None else self._kept[1]
        return exc if reason is None or alert_of(reason) is None else reason

    def _look_for_reason(self) -> None:
        """Receive once, and keep what that gives; the lock is held."""
        raise NotImplementedError

    def gone(self, exc: OSError) -> ConnectionClosed:
        """Return *exc*, which `ssl` raised after the handshake, as `ConnectionClosed`."""
        if isinstance(exc, ssl.SSLError) and not isinstance(exc, ssl.SSLEOFError):
            self._place = None  # such a session may not be resumed (RFC 5246 section 7.2.2)
        return cut_off_or_lost(exc)

    def recv(self, size: int) -> bytes | None:
        """See `Stream.recv`."""
        raise NotImplementedError

    def is_quiet(self) -> bool:
        """See `Stream.is_quiet`."""
        raise NotImplementedError

    def is_idle(self) -> bool:
        """See `Stream.is_idle`. Session tickets and the like count as nothing.

        Raises:
            ClientCertificateRefused: that is why it has ended; with another connection it would
                be the same.

        """
        if self.is_quiet():
            return True
        try:
            if self.recv(1) is None:
                return True
        except ClientCertificateRefused:
            raise
        except ConnectionClosed:
            pass  # most servers that close an idle connection do not take leave
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
    """What `co_shake_hands` needs of a stream."""

    def handshake(self) -> bool | None:
        """Go on with the handshake; None says that it would block."""
        ...

    def wanted_by_recv(self, deadline: float | None) -> PollNeeded:
        """See `Stream.wanted_by_recv`."""
        ...

    def check_peer(self, fingerprints: Fingerprints, any_protocol: bool) -> None:
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
    any_protocol: bool,
) -> Co[S]:
    """Do the handshake on *stream* and return it; it is closed if that fails.

    Raises:
        CertificateInvalid, HandshakeFailed, ConnectionTimedOut: see `tls.co_start_tls`.

    """
    try:
        if stream.handshake() is None:
            attempt: Callable[[None], bool | None] = lambda _: stream.handshake()  # noqa: E731
            yield from co_attempt(attempt, None, stream.wanted_by_recv, timeout, "tls")
        stream.check_peer(fingerprints, any_protocol)
    except BaseException:
        stream.close()
        raise
    stream.keep_session(place)
    return stream


def certified_name(hostname: str | None) -> str | None:
    """Return *hostname* as certificates have it.

    That is, without the zone of an IPv6 address (RFC 6874), and without the dot of the
    root (RFC 6066 section 3).
    """
    if hostname is None:
        return None
    return hostname.partition("%")[0] if ":" in hostname else hostname.removesuffix(".")


def failed(exc: OSError) -> HandshakeFailed:
    """Return *exc*, which ended a handshake, as an error of the library."""
    if isinstance(exc, ssl.CertificateError):
        return CertificateInvalid(f"certificate not accepted: {_reason(exc)}")
    if isinstance(exc, ClientCertificateRefused):  # by the proxy, whose TLS is below
        return ClientCertificateRefused(str(exc))
    alert, reason = alert_of(exc), openssl_reason(exc)
    if alert in REFUSALS:
        return refused(exc)
    final = alert in DISAGREEMENTS or reason in NOT_AGREED or reason in NO_TLS
    if isinstance(exc, ConnectionClosed):  # of the stream below, such as TLS with a proxy
        final = not exc.retryable
    again = False if final else None
    return HandshakeFailed(f"TLS handshake failed: {_reason(exc)}", retryable=again)


def refused(exc: OSError) -> ClientCertificateRefused:
    """Return *exc*, an alert of `REFUSALS`, as an error of the library."""
    return ClientCertificateRefused(f"{_reason(exc)}: client certificate refused or missing")


def openssl_reason(exc: OSError) -> str:
    """Return what OpenSSL calls the reason of *exc*; empty if it has none.

    OpenSSL has texts for more reasons than the `ssl` module has names, such as for
    no_application_protocol. Then the text, written as a name, is returned.
    """
    reason: str | None = getattr(exc, "reason", None)
    if reason is None and isinstance(exc, ssl.SSLError) and (match := _text(str(exc))):
        reason = match["text"].upper().replace(" ", "_")
    return "" if reason in {None, "UNKNOWN_ERROR"} else str(reason)


def alert_of(exc: OSError) -> str | None:
    """Return the alert of the peer that *exc* is, as RFC 8446 calls it; None if it is none."""
    match = _alert(openssl_reason(exc))
    if match is None:
        return None
    name = match["name"].lower().replace("cancelled", "canceled")
    return name if name in ALERTS else None


def is_from_below(exc: OSError) -> bool:
    """Say whether *exc* comes from what is below TLS, not from TLS."""
    return not isinstance(exc, ssl.SSLError) or isinstance(exc, ssl.SSLEOFError)


def cut_off_or_lost(exc: OSError) -> ConnectionClosed:
    """Return *exc* as `ConnectionClosed`.

    With TLS 1.3 the peer's part of a handshake may end after ours, so what it does not agree to
    may be said now.
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
    """Return when to try again while a handshake goes on in the middle (TLS 1.2).

    It moves on in whichever half is called, so what the one waits for the other may take.
    """
    at = time.monotonic() + CROSSED
    return at if deadline is None else min(at, deadline)


# What OpenSSL calls an answer that is no TLS, and the end of the stream.
NO_TLS: Final = frozenset({"WRONG_VERSION_NUMBER", "RECORD_LAYER_FAILURE", "UNKNOWN_PROTOCOL"})
ENDED: Final = "UNEXPECTED_EOF_WHILE_READING"


def _reason(exc: OSError) -> str:
    """Return the reason of *exc* for a message, which may be about a server or a proxy."""
    reason = openssl_reason(exc)
    if reason in NO_TLS:
        return f"no TLS is spoken on this port: is it http://? ({reason})"
    if reason == ENDED:
        return f"the connection was closed: is TLS spoken on this port? ({reason})"
    return getattr(exc, "verify_message", "") or reason or str(exc)
