"""TLS over a socket: the handshake, and sending and receiving under a lock.

Two threads on one non-blocking `SSLSocket` corrupt it, so each call into it is made under a lock.
No call blocks, so the lock is held for microseconds; waiting happens without it.

Not here: the connection below (tcp.py), TLS over other streams (over_stream.py), checking the
result of the handshake (handshake.py), and contexts (contexts.py).
"""

from __future__ import annotations

import socket
import ssl
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from typing import Any, Final, TypeVar, cast

from ...errors import ConnectionClosed, InvalidOption, InvalidRequest, StateError
from ...http.redaction import quoted
from ...polling.contract import POLLIN, POLLOUT, Co, PollNeeded
from ..socket_waits import Waits
from ..stream import Data, Part
from ..tcp import TCPStream, hold_back, shut_down
from .alpn import offering
from .fingerprints import Fingerprints
from .handshake import Secured, certified_name, co_shake_hands, failed, soon
from .sessions import SessionPlace

T = TypeVar("T")
SSLContext = ssl.SSLContext
RECORD: Final = 16384  # bytes of payload in the largest TLS record (RFC 8446 section 5.1)
MOST_RECORDS: Final = 262144  # bytes moved with one call, a limit for the time with the lock
MOST_SHORT: Final = 100  # records received with one call, as these may have one byte each


def check_context(context: object) -> None:
    """Check a context of the caller, before a socket is open.

    Raises:
        TypeError: it is not an `ssl.SSLContext`.
        InvalidOption: it is a context for servers.

    """
    if not isinstance(context, SSLContext):
        raise TypeError(f"ssl_context is an ssl.SSLContext, not {quoted(context)}")
    if context.protocol is ssl.PROTOCOL_TLS_SERVER:
        raise InvalidOption(
            "ssl_context is one for servers (PROTOCOL_TLS_SERVER), see tls_context() for clients"
        )


def co_start_tls(
    under: TCPStream | socket.socket,
    context: ssl.SSLContext,
    hostname: str | None,
    timeout: float | None,
    *,
    offer: Sequence[str] | None = (),
    fingerprints: Fingerprints = (),
    place: SessionPlace | None = None,
) -> Co[TLSStream]:
    """Do the TLS handshake over *under*, which is connected and non-blocking.

    Args:
        under: it is taken over, and closed if the handshake fails.
        context: never changed.
        hostname: for SNI and for verifying the certificate, see `certified_name`; None sends
            none, which a context that checks names does not allow.
        timeout: seconds for the handshake; None sets no limit.
        offer: protocols to offer (ALPN), of which the peer may select one. If empty, *context* says
            what is offered, and the peer may select HTTP/1 only; with None, whatever it likes.
        fingerprints: one of them has to match the certificate, if there are any.
        place: the store for the session to resume, and for that of this connection.

    Raises:
        CertificateInvalid: the certificate is not accepted, or has another fingerprint.
        HandshakeFailed: the peer does not speak TLS, or not as the context demands, or
            selected another protocol than HTTP/1.1 (ALPN).
        ConnectionTimedOut: it was not complete after *timeout* seconds.
        InvalidRequest: *hostname* cannot be the name in a certificate.

    """
    secured = None
    try:
        if isinstance(under, TCPStream):
            under.hand_over()
            secured = _wrap(under.sock, context, certified_name(hostname), place, offer)
        else:
            secured = _wrap(under, context, certified_name(hostname), place, offer)
        stream = TLSStream(secured)
    except BaseException:
        (under if secured is None else secured).close()
        raise
    return (yield from co_shake_hands(stream, fingerprints, place, timeout, offer))


def _wrap(
    sock: socket.socket,
    context: ssl.SSLContext,
    name: str | None,
    place: SessionPlace | None,
    offer: Sequence[str] | None,
) -> ssl.SSLSocket:
    """Return *sock* with TLS, taking it over on success; nothing is sent yet."""
    made: list[ssl.SSLSocket] = []
    try:
        session = None if place is None else place.take()
        wrap = partial(
            context.wrap_socket,
            server_hostname=name,
            do_handshake_on_connect=False,
            suppress_ragged_eofs=False,
            session=session,
        )
        # One step makes and notes it: Ctrl-C behind a call would lose what that returns.
        offering(context, offer, partial(made.extend, map(wrap, (sock,))))
        return made.pop()
    except BaseException as exc:
        if made:
            made.pop().close()
        else:
            _close_forgotten(exc)
        if isinstance(exc, OSError):  # the peer has reset the connection already
            raise failed(exc) from exc
        if isinstance(exc, ValueError):
            raise bad_name(name, exc) from exc
        raise


def bad_name(name: str | None, exc: ValueError) -> InvalidRequest:
    """Return the error for *name*, which `ssl` has refused with *exc*."""
    what = "no host name" if name is None else f"not a host name for TLS: {quoted(name)}"
    return InvalidRequest(f"{what}: {exc}")


def _close_forgotten(exc: BaseException) -> None:
    """Close the socket that `ssl` has made and, after failing with *exc*, not closed."""
    traceback = exc.__traceback__
    while traceback is not None:
        made = traceback.tb_frame.f_locals.get("self")
        if isinstance(made, ssl.SSLSocket):
            with suppress(AttributeError, RecursionError):  # it has no descriptor yet (gevent)
                made.close()
        traceback = traceback.tb_next


class TLSStream(Secured):
    """TLS over a socket; see `Stream` in transport/stream.py."""

    __slots__ = (*("_recv_mask", "_send_mask", "_sock", "_waits", "buffered", "fd", "waiting"),)
    bulk = None  # the bytes of the socket are encrypted

    def __init__(self, sock: ssl.SSLSocket) -> None:
        super().__init__(sock)
        self._sock = sock
        self._waits = Waits(sock)
        self.fd = sock.fileno()
        self.waiting = False
        self._recv_mask = POLLIN
        self._send_mask = POLLOUT
        # Bytes that are left of a partly read record. Stored, as asking OpenSSL in each request
        # needs the lock and two calls.
        self.buffered = False

    def handshake(self) -> bool | None:
        """Go on with the handshake; None says that it would block.

        Raises:
            CertificateInvalid: the certificate is not accepted.
            HandshakeFailed: the handshake failed in another way.

        """
        try:
            self._sock.do_handshake()
        except (ssl.SSLWantReadError, ssl.SSLWantWriteError) as want:
            self._recv_mask = _mask(want)
            return None
        except OSError as exc:
            raise failed(exc) from exc
        return True

    def recv_into(self, buffer: memoryview) -> int | None:
        """See `Stream.recv_into`."""
        return self._receive(self._recv_records, buffer)

    def recv_all_into(self, buffer: memoryview) -> int | None:
        """See `Stream.recv_all_into`."""
        return self._receive(partial(self._recv_records, least=1), buffer)

    def _recv_records(self, buffer: memoryview, least: int = RECORD) -> int:
        """Receive a record and, if it has *least* bytes, those behind it.

        After a full one more usually follow.
        """
        if self._kept is not None:
            data = self._take_kept(len(buffer))
            buffer[: len(data)] = data
            return len(data)
        count = total = self._sock.recv_into(buffer)
        if count >= least and len(buffer) > RECORD:
            buffer = buffer[:MOST_RECORDS]
            records = 1
            try:
                while count >= least and total < len(buffer) and records < MOST_SHORT:
                    count = self._sock.recv_into(buffer[total:])
                    total += count
                    records += 1
            except OSError as exc:
                self._end_early(exc)
                return total
            if not count:  # the end was received, and is to be returned by the next call
                self.buffered = True
                return total
        self.buffered = total == len(buffer) and self._sock.pending() > 0
        return total

    def _end_early(self, exc: OSError) -> None:
        """Keep *exc*, the end of receiving, which comes after bytes that are returned first."""
        if isinstance(exc, ssl.SSLWantReadError | ssl.SSLWantWriteError):
            self._recv_mask = _mask(exc)
        else:
            self._keep(b"", exc)
        self.buffered = self._kept is not None

    def recv(self, size: int) -> bytes | None:
        """See `Stream.recv`."""
        return self._receive(self._recv_pieces, size)

    def _recv_pieces(self, size: int) -> bytes:
        """Receive at most a record, and those behind it, in memory of the right size."""
        if self._kept is not None:
            return self._take_kept(size)
        pieces = [self._sock.recv(min(size, RECORD))]
        left = min(size, MOST_RECORDS) - RECORD
        try:
            while len(pieces[-1]) == RECORD and left > 0:
                pieces.append(self._sock.recv(min(left, RECORD)))
                left -= len(pieces[-1])
        except OSError as exc:
            self._end_early(exc)
        else:
            ended = len(pieces) > 1 and not pieces[-1]  # to be returned by the next call
            self.buffered = ended or self._sock.pending() > 0
        return b"".join(pieces)

    def _receive(self, call: Callable[[Any], T], argument: object) -> T | None:
        self.waiting = False
        with self._lock:
            try:
                return call(argument)
            except (ssl.SSLWantReadError, ssl.SSLWantWriteError) as want:
                self._recv_mask = _mask(want)
                self.buffered = False
                return None
            except OSError as exc:
                self._keep(b"", exc)
                raise self.gone(exc) from exc

    def send(self, parts: Sequence[Part]) -> int | None:
        """See `Stream.send`."""
        pieces = cast("Sequence[Data]", parts)  # without `bulk` there are no others
        data = pieces[0] if len(pieces) == 1 or len(pieces[0]) >= RECORD else _one_record(pieces)
        if len(data) > MOST_RECORDS:  # OpenSSL counts only what it has sent to its end
            data = memoryview(data)[:MOST_RECORDS]
        with self._lock:
            try:
                # Not `send`: after unwrapping it would send plain text, and that of gevent returns
                # 0 instead of raising the wait.
                return self._sock.write(data)
            except (ssl.SSLWantReadError, ssl.SSLWantWriteError) as want:
                self._send_mask = _mask(want)
                return None
            except ValueError as exc:  # another thread has closed or unwrapped it
                lost = "connection lost: it was closed"
                raise ConnectionClosed(lost, request_sent="maybe") from exc
            except OSError as exc:
                reason = self._why(exc)
                raise self.gone(reason) from reason

    def _look_for_reason(self) -> None:
        """See `Secured._look_for_reason`."""
        try:
            if data := self._sock.recv(RECORD):
                self._keep(data)
        except (ssl.SSLWantReadError, ssl.SSLWantWriteError):
            pass
        except OSError as exc:
            self._keep(b"", exc)
        self.buffered = self._kept is not None

    def wanted_by_recv(self, deadline: float | None) -> PollNeeded:
        """See `Stream.wanted_by_recv`."""
        self.waiting = True
        if self._recv_mask != POLLIN:
            return self._waits.need(POLLOUT, soon(deadline))
        return self._waits.need(POLLIN, deadline)

    def wanted_by_send(self, deadline: float | None, *, watch: bool = False) -> PollNeeded:
        """See `Stream.wanted_by_send`."""
        mask = self._send_mask
        if mask == POLLIN:
            deadline = soon(deadline)
        return self._waits.sending_need(mask | POLLIN if watch else mask, deadline)

    def wait_to_recv(self, timeout: float | None) -> bool:
        """See `Stream.wait_to_recv`."""
        self.waiting = True
        return self._waits.blocks(timeout)

    def quick_ack(self) -> None:
        """See `Stream.quick_ack`."""
        self._waits.quick_ack()

    def recv_would_block(self) -> bool:
        """See `Stream.recv_would_block`."""
        return not self.buffered and self._waits.is_unreadable()

    def shut_down_writing(self) -> None:
        """See `Stream.shut_down_writing`."""
        self._ended = True
        shut_down(self._sock, socket.SHUT_WR)

    def end_sending(self) -> bool | None:
        """See `Stream.end_sending`, which is not possible here.

        `ssl.SSLSocket.unwrap` sends close_notify, and then reads: if data arrive, OpenSSL gives the
        connection up. In over_stream.py only bytes arrive that were put there.
        """
        raise StateError("TLS that was begun with the connection ends in both directions at once")

    def send_end_of_stream(self) -> None:
        """See `Stream.send_end_of_stream`: close_notify, then FIN."""
        self.notify_close()
        self.shut_down_writing()

    def shut_down(self) -> None:
        """See `Stream.shut_down`."""
        self._ended = True
        shut_down(self._sock, socket.SHUT_RDWR)

    def notify_close(self) -> None:
        """Send close_notify (RFC 8446 section 6.1) if that is possible at once.

        The connection, or its sending direction, is closed next.
        """
        self._ended = True
        hold_back(self._sock)  # in one packet with FIN
        try:
            with self._lock:
                self.save_session()  # there is none after unwrapping
                self._sock.unwrap()
        except (OSError, ValueError):
            pass  # the peer need not respond, and the connection may be gone

    def close(self) -> None:
        """See `Stream.close`."""
        self._waits.close()

    @property
    def sock(self) -> socket.socket:
        """See `Stream.sock`."""
        return self._sock


def _mask(want: ssl.SSLError) -> int:
    return POLLIN if isinstance(want, ssl.SSLWantReadError) else POLLOUT


def _one_record(parts: Sequence[Data]) -> bytes:
    """Join the beginning of *parts*, so that a small part does not get its own record."""
    room = RECORD
    pieces = []
    for part in parts:
        pieces.append(part[:room])
        room -= len(pieces[-1])
        if room <= 0:
            break
    return b"".join(pieces)
