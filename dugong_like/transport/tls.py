"""TLS: the default context, the handshake, and bytes in and out under a lock.

Two threads on one non-blocking `SSLSocket` corrupt it, so each call into it is made
under a lock of ours. No call blocks, so the lock is held for microseconds; waiting
happens outside.

Not here: the connection below (tcp.py).
"""

from __future__ import annotations

import functools
import os
import socket
import ssl
import threading
import time
from collections.abc import Callable, Sequence
from typing import Any, Final, TypeVar, cast

import certifi

from ..errors import CertificateInvalid, ConnectionClosed, HandshakeFailed, InvalidRequest
from ..polling import POLLIN, POLLOUT, Co, PollNeeded, milliseconds
from .stream import Data, Part
from .tcp import SendingDescriptor, co_attempt, looker, lost, shut_down

T = TypeVar("T")
SSLContext = ssl.SSLContext
RECORD: Final = 16384  # bytes of payload in the largest TLS record (RFC 8446 section 5.1)
CROSSED: Final = 0.05  # seconds after which to try again what the other half may have done
MOST_RECORDS: Final = 262144  # bytes received with one call: the lock is not held for longer
SPOKEN: Final = {None, "http/1.1", "http/1.0"}  # what ALPN may end with (RFC 7301)


@functools.cache
def default_ssl_context() -> ssl.SSLContext:
    """Return the context for https that verifies certificate and host name.

    The system's certificates are trusted; where there are none, those of certifi. The
    variables ``SSL_CERT_FILE``, ``SSL_CERT_DIR`` and ``SSLKEYLOGFILE`` are honoured.
    At least TLS 1.2. The context is made at the first call, once for the process.
    """
    context = ssl.create_default_context()
    paths = ssl.get_default_verify_paths()
    if not context.get_ca_certs() and not _has_certificates(paths.capath):
        context.load_verify_locations(certifi.where())
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    # Some builds of Python set it (3.11.2 of Debian); a cut-off stream would look complete.
    context.options &= ~ssl.OP_IGNORE_UNEXPECTED_EOF
    context.hostname_checks_common_name = False  # RFC 9110 section 4.3.4
    context.set_alpn_protocols(["http/1.1"])
    return context


def _has_certificates(folder: str | None) -> bool:
    """Say whether *folder* has certificates that are looked up when they are needed."""
    if folder is None:
        return False
    try:
        with os.scandir(folder) as entries:
            return any(entries)
    except OSError:
        return False


def co_start_tls(
    sock: socket.socket,
    context: ssl.SSLContext,
    hostname: str,
    timeout: float | None,
    *,
    any_protocol: bool = False,
) -> Co[TLSStream]:
    """Do the TLS handshake over *sock*, which is connected and non-blocking.

    Args:
        sock: it is taken over, and closed if the handshake fails.
        context: used as it is, never changed.
        hostname: for SNI and for the check of the certificate, as `certified_name` has it.
        timeout: seconds for the handshake; None sets no limit.
        any_protocol: True if the peer may choose any protocol by ALPN, not only HTTP/1.

    Raises:
        CertificateInvalid: the certificate is not accepted.
        HandshakeFailed: the peer does not speak TLS, or not as the context demands, or
            chose another protocol than HTTP/1.1 (ALPN).
        ConnectionTimedOut: it was not complete after *timeout* seconds.
        InvalidRequest: *hostname* cannot be the name of a certificate.

    """
    wrapped = _wrap(sock, context, certified_name(hostname))
    stream = TLSStream(wrapped)
    try:
        if stream.handshake(wrapped) is None:
            yield from co_attempt(stream.handshake, wrapped, stream.wanted_by_recv, timeout)
        if not any_protocol:
            stream.check_protocol()
    except BaseException:
        stream.close()
        raise
    return stream


def certified_name(hostname: str) -> str:
    """Return *hostname* as certificates have it.

    That is, without the zone of an IPv6 address (RFC 6874), and without the dot of the
    root (RFC 6066 section 3).
    """
    return hostname.partition("%")[0] if ":" in hostname else hostname.removesuffix(".")


def _wrap(sock: socket.socket, context: ssl.SSLContext, name: str) -> ssl.SSLSocket:
    """Return *sock*, which is taken over, in TLS; nothing is sent yet."""
    try:
        return context.wrap_socket(
            sock,
            server_hostname=name,
            do_handshake_on_connect=False,
            suppress_ragged_eofs=False,
        )
    except OSError as exc:  # the peer has reset the connection already
        _close_forgotten(exc)
        raise HandshakeFailed(f"TLS handshake failed: {_reason(exc)}") from exc
    except ValueError as exc:
        _close_forgotten(exc)
        raise InvalidRequest(f"not a host name for TLS: {name[:60]!r}: {exc}") from exc
    finally:
        sock.close()  # if it was not taken over


def _close_forgotten(exc: Exception) -> None:
    """Close the socket that `ssl` has made and, failing with *exc*, not closed."""
    traceback = exc.__traceback__
    while traceback is not None:
        made = traceback.tb_frame.f_locals.get("self")
        if isinstance(made, ssl.SSLSocket):
            made.close()
        traceback = traceback.tb_next


class TLSStream:
    """TLS over a socket; see `tcp.Stream`."""

    bulk = None  # what the socket carries are not the bytes

    def __init__(self, sock: ssl.SSLSocket) -> None:
        self._sock = sock
        self._lock = threading.Lock()
        self._recv_mask = POLLIN
        self._send_mask = POLLOUT
        self._sender = SendingDescriptor(sock)
        self._failure: OSError | None = None  # for the next call: this one has received something
        self.fd = sock.fileno()
        self._look = looker(self.fd)
        self._block = looker(self.fd)  # another one: no two threads may use the same
        self.waiting = False

    def handshake(self, sock: ssl.SSLSocket) -> bool | None:
        """Go on with the handshake on *sock*; None says that it would block.

        Raises:
            CertificateInvalid: the certificate is not accepted.
            HandshakeFailed: the handshake failed in another way.

        """
        try:
            sock.do_handshake()
        except (ssl.SSLWantReadError, ssl.SSLWantWriteError) as want:
            self._recv_mask = _mask(want)
            return None
        except ssl.CertificateError as exc:
            raise CertificateInvalid(f"certificate not accepted: {_reason(exc)}") from exc
        except OSError as exc:
            raise HandshakeFailed(f"TLS handshake failed: {_reason(exc)}") from exc
        return True

    def check_protocol(self) -> None:
        """Raise `HandshakeFailed` if the server has chosen a protocol that is not spoken here.

        The context is the caller's, and may offer h2.
        """
        protocol = self._sock.selected_alpn_protocol()
        if protocol not in SPOKEN:
            raise HandshakeFailed(f"the server chose the protocol {protocol}, not http/1.1")

    def recv_into(self, buffer: memoryview) -> int | None:
        """See `Stream.recv_into`."""
        return self._receive(self._recv_records, buffer)

    def _recv_records(self, buffer: memoryview) -> int:
        """Receive a record, and the ones behind it if it is a full one: there mostly are some."""
        count = total = self._sock.recv_into(buffer)
        if count == RECORD and len(buffer) > RECORD:
            buffer = buffer[:MOST_RECORDS]
            try:
                while count == RECORD and total < len(buffer):
                    count = self._sock.recv_into(buffer[total:])
                    total += count
            except OSError as exc:
                self._end_early(exc)
        return total

    def _end_early(self, exc: OSError) -> None:
        """Note that receiving has ended with *exc*, behind something that is to be returned."""
        if isinstance(exc, ssl.SSLWantReadError | ssl.SSLWantWriteError):
            self._recv_mask = _mask(exc)
        else:
            self._failure = exc

    def recv(self, size: int) -> bytes | None:
        """See `Stream.recv`."""
        return self._receive(self._sock.recv if size <= RECORD else self._recv_whole, size)

    def _recv_whole(self, size: int) -> bytes:
        """Receive more than a record, if there is more; in memory of the right size."""
        pieces = [self._sock.recv(RECORD)]
        left = min(size, MOST_RECORDS) - RECORD
        try:
            while len(pieces[-1]) == RECORD and left:
                pieces.append(self._sock.recv(min(left, RECORD)))
                left -= len(pieces[-1])
        except OSError as exc:
            self._end_early(exc)
        return b"".join(pieces)

    def _receive(self, call: Callable[[Any], T], argument: object) -> T | None:
        self.waiting = False
        try:
            if self._failure is not None:
                raise self._failure
            with self._lock:
                return call(argument)
        except (ssl.SSLWantReadError, ssl.SSLWantWriteError) as want:
            self._recv_mask = _mask(want)
            return None
        except OSError as exc:
            raise _lost(exc) from exc

    def send(self, parts: Sequence[Part]) -> int | None:
        """See `Stream.send`."""
        pieces = cast("Sequence[Data]", parts)  # without `bulk` there are no others
        data = pieces[0] if len(pieces) == 1 or len(pieces[0]) >= RECORD else _one_record(pieces)
        try:
            with self._lock:
                return self._sock.send(data)
        except (ssl.SSLWantReadError, ssl.SSLWantWriteError) as want:
            self._send_mask = _mask(want)
            return None
        except OSError as exc:
            raise _lost(exc) from exc

    def wanted_by_recv(self, deadline: float | None) -> PollNeeded:
        """See `Stream.wanted_by_recv`."""
        self.waiting = True
        mask = self._recv_mask
        return PollNeeded(self.fd, mask, deadline if mask == POLLIN else _soon(deadline))

    def wanted_by_send(self, deadline: float | None, *, watch: bool = False) -> PollNeeded:
        """See `Stream.wanted_by_send`."""
        mask = self._send_mask
        if mask == POLLIN:
            deadline = _soon(deadline)
        return self._sender.need(mask | POLLIN if watch else mask, deadline)

    def wait_to_recv(self, timeout: float | None) -> bool:
        """See `Stream.wait_to_recv`."""
        self.waiting = True
        return bool(self._block(milliseconds(timeout)))

    def has_buffered(self) -> bool:
        """See `Stream.has_buffered`: TLS decrypts whole records."""
        with self._lock:
            return self._sock.pending() > 0

    def is_quiet(self) -> bool:
        """See `Stream.is_quiet`."""
        return not self.has_buffered() and not self._look(0)

    def is_idle(self) -> bool:
        """See `Stream.is_idle`. Session tickets and the like count as nothing."""
        if self.is_quiet():
            return True
        try:
            return self.recv(1) is None
        except ConnectionClosed:
            return False

    def shut_down_writing(self) -> None:
        """See `Stream.shut_down_writing`."""
        shut_down(self._sock, socket.SHUT_WR)

    def say_goodbye(self) -> None:
        """See `Stream.say_goodbye`: close_notify, then FIN."""
        self.notify_close()
        self.shut_down_writing()

    def shut_down(self) -> None:
        """See `Stream.shut_down`."""
        shut_down(self._sock, socket.SHUT_RDWR)

    def notify_close(self) -> None:
        """Send close_notify (RFC 8446 section 6.1) if that is possible at once."""
        try:
            with self._lock:
                self._sock.unwrap()
        except (OSError, ValueError):
            pass  # the peer need not answer, and the connection may be gone

    def close(self) -> None:
        """See `Stream.close`."""
        self._sender.close()
        self._sock.close()

    @property
    def sock(self) -> socket.socket:
        """See `Stream.sock`."""
        return self._sock

    @property
    def tls(self) -> ssl.SSLSocket:
        """See `Stream.tls`."""
        return self._sock

    def peer_certificate(self, binary_form: bool) -> Any:
        """Return what `ssl.SSLSocket.getpeercert` returns."""
        return self._sock.getpeercert(binary_form)

    def describe(self) -> dict[str, Any]:
        """Return what was agreed on: what a trace is told of a handshake."""
        return {
            "version": self._sock.version(),
            "cipher": self._sock.cipher(),
            "alpn": self._sock.selected_alpn_protocol(),
        }

    def cipher(self) -> tuple[str, str, int] | None:
        """Return what `ssl.SSLSocket.cipher` returns."""
        return self._sock.cipher()


def _mask(want: ssl.SSLError) -> int:
    return POLLIN if isinstance(want, ssl.SSLWantReadError) else POLLOUT


def _soon(deadline: float | None) -> float:
    """Return when to try again while a handshake goes on in the middle (TLS 1.2).

    It moves on in whichever half is called, so what the one waits for the other may take.
    """
    soon = time.monotonic() + CROSSED
    return soon if deadline is None else min(soon, deadline)


def _one_record(parts: Sequence[Data]) -> bytes:
    """Join the beginning of *parts*, so that a small one does not get a record of its own."""
    room = RECORD
    pieces = []
    for part in parts:
        pieces.append(part[:room])
        room -= len(pieces[-1])
        if room <= 0:
            break
    return b"".join(pieces)


def _lost(exc: OSError) -> ConnectionClosed:
    cut_off = getattr(exc, "reason", None) == "UNEXPECTED_EOF_WHILE_READING"  # 3.11.2 of Debian
    if cut_off or isinstance(exc, ssl.SSLEOFError):
        return ConnectionClosed("TLS was cut off without close_notify", request_sent="maybe")
    return lost(exc)


def _reason(exc: OSError) -> str:
    return getattr(exc, "verify_message", "") or getattr(exc, "reason", "") or str(exc)
