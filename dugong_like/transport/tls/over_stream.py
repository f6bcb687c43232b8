"""TLS over any stream, such as TLS inside the TLS to a proxy.

OpenSSL reads from memory and writes to memory here; these bytes are moved from and to the stream
below. All of it happens under one lock, as in over_socket.py: either half may move a handshake on,
or send bytes that the other one has encrypted. No call blocks.

Encrypted bytes must be sent in order, by either half: bytes that could not be sent at once are
kept, and the next call of either half continues with them. A send is complete when the last byte
of its data is sent.

Not here: TLS over a socket, which costs less (over_socket.py), and the choice between the two
(start.py).
"""

from __future__ import annotations

import ssl
from collections.abc import Callable, Sequence
from typing import Final, TypeVar, cast

from ...errors import ConnectionClosed, InvalidRequest
from ...polling.contract import POLLIN, POLLOUT, PollNeeded
from ..stream import Data, Part, Stream
from ..tcp import Socket
from . import over_socket as tls
from .alpn import offering
from .handshake import Secured, failed, soon
from .sessions import SessionPlace

A = TypeVar("A")
T = TypeVar("T")
CHUNK: Final = 65536  # bytes taken from below at once
MOST: Final = 65536  # bytes encrypted at once: four records
NOTHING: Final = memoryview(b"")


class TLSOverStream(Secured):
    """TLS over *inner*, which it takes over; see `Stream`.

    Args:
        inner: the stream below.
        context: never changed.
        name: for SNI and for verifying the certificate; None sends none.
        place: the store for the session to resume.
        offer: see `tls.co_start_tls`.

    Raises:
        InvalidRequest: *name* cannot be the name in a certificate.

    """

    bulk = None  # the bytes of the socket are encrypted

    def __init__(
        self,
        inner: Stream,
        context: ssl.SSLContext,
        name: str | None,
        place: SessionPlace | None = None,
        offer: Sequence[str] | None = (),
    ) -> None:
        self._incoming = ssl.MemoryBIO()
        self._outgoing = ssl.MemoryBIO()
        if name is None and context.check_hostname:  # OpenSSL would silently check no name
            raise InvalidRequest("a context that checks names needs one: check_hostname is set")
        session = None if place is None else place.take()

        def wrap() -> None:
            self._object = context.wrap_bio(
                self._incoming, self._outgoing, server_hostname=name, session=session
            )

        try:
            offering(context, offer, wrap)
        except ValueError as exc:
            raise tls.bad_name(name, exc) from exc
        super().__init__(self._object)
        self._inner = inner
        self._unsent = NOTHING  # encrypted bytes that are being sent
        self._taken: int | None = None  # bytes of the sender that are being sent
        self._notified = False  # close_notify is being sent
        # A renegotiation, in which either half may receive the bytes that the other waits for:
        self._recv_crossed = False  # there may be one
        self._send_crossed = False  # the sender cannot go on before its end
        self._flushing = False
        self.fd = inner.fd
        self.waiting = False

    # ---- moving bytes to and from below; the lock is held

    def _flush(self) -> bool:
        """Send the encrypted bytes; False means that it would block.

        Or that this call has interrupted another one, which continues to send them.
        """
        if self._flushing:
            return False
        try:
            self._flushing = True
            while self._unsent or self._outgoing.pending:
                if not self._unsent:
                    self._unsent = memoryview(self._outgoing.read())
                count = self._inner.send([self._unsent])
                if count is None:
                    return False
                self._unsent = self._unsent[count:]
        finally:
            self._flushing = False
        return True

    def _answer(self) -> None:
        """Send, if possible, messages of TLS itself, such as a key update."""
        if self._taken is not None:
            return  # the sender does it
        try:
            self._flush()
        except ConnectionClosed:
            self._unsent = NOTHING  # the reader continues with bytes that have arrived

    def _pull(self) -> bool:
        """Receive from below; False means that nothing has arrived."""
        data = self._inner.recv(CHUNK)
        if data is None:
            return False
        if data:
            self._incoming.write(data)
        else:
            self._incoming.write_eof()
        return True

    # ---- the handshake

    def handshake(self) -> bool | None:
        """Continue the handshake; None means that it would block.

        Raises:
            CertificateInvalid: the certificate is not accepted.
            HandshakeFailed: the handshake failed in another way.

        """
        with self._lock:
            try:
                while not self._shake():
                    if not self._flush() or not self._pull():
                        return None
                return True if self._flush() else None
            except OSError as exc:
                self._answer()  # the alert with the reason
                raise failed(exc) from exc

    def _shake(self) -> bool:
        try:
            self._object.do_handshake()
        except ssl.SSLWantReadError:
            return False
        return True

    # ---- bytes

    def recv_into(self, buffer: memoryview) -> int | None:
        """See `Stream.recv_into`."""
        return self._receive(self._read_into, buffer)

    def _read_into(self, buffer: memoryview) -> int:
        if self._kept is not None:
            data = self._take_kept(len(buffer))
            buffer[: len(data)] = data
            return len(data)
        try:
            return cast("int", self._object.read(len(buffer), buffer))
        except ssl.SSLZeroReturnError:  # raised behind the close_notify of this side
            return 0

    def recv_all_into(self, buffer: memoryview) -> int | None:
        """See `Stream.recv_all_into`."""
        return self._receive(self._read_all_into, buffer)

    def _read_all_into(self, buffer: memoryview) -> int:
        """Read all records that were received whole, as far as there is room."""
        total = self._read_into(buffer)
        try:
            while total < len(buffer) and self._incoming.pending:
                if not (count := self._read_into(buffer[total:])):
                    self._keep(b"")  # the end, to be returned by the next call
                    break
                total += count
        except ssl.SSLWantReadError:
            pass
        except OSError as exc:
            self._keep(b"", exc)
        return total

    def recv(self, size: int) -> bytes | None:
        """See `Stream.recv`."""
        return self._receive(self._read, size)

    def _read(self, size: int) -> bytes:
        if self._kept is not None:
            return self._take_kept(size)
        try:
            return self._object.read(size)
        except ssl.SSLZeroReturnError:
            return b""

    def _receive(self, read: Callable[[A], T], argument: A) -> T | None:
        self.waiting = False
        with self._lock:
            while True:
                try:
                    result = read(argument)
                except ssl.SSLWantReadError:
                    pass
                except OSError as exc:
                    self._keep(b"", exc)
                    raise self.gone(exc) from exc
                else:
                    self._recv_crossed = False
                    self._answer()
                    return result
                if self._outgoing.pending and self._object.version() != "TLSv1.3":
                    self._recv_crossed = True  # TLS 1.3 has no such handshakes
                self._answer()
                if not self._pull():
                    return None

    def send(self, parts: Sequence[Part]) -> int | None:
        """See `Stream.send`."""
        with self._lock:
            while self._taken is None:
                try:
                    self._taken = self._encrypt(parts)
                except ssl.SSLWantReadError:
                    pass
                except OSError as exc:
                    reason = self._why(exc)
                    raise self.gone(reason) from reason
                self._send_crossed = self._taken is None
                if self._send_crossed:
                    self._recv_crossed = True
                    if not self._flush_or_explain() or not self._pull():
                        return None
            if not self._flush_or_explain():
                return None
            count, self._taken = self._taken, None
            return count

    def _flush_or_explain(self) -> bool:
        """As `_flush`; if the peer is gone, raise the alert that it has sent before."""
        try:
            return self._flush()
        except ConnectionClosed as exc:
            reason = self._why(exc)
            if reason is exc:
                raise
            raise self.gone(reason) from reason

    def _look_for_reason(self) -> None:
        """See `Secured._look_for_reason`."""
        while self._kept is None:
            try:
                data = self._read(CHUNK)
            except ssl.SSLWantReadError:
                try:
                    if not self._pull():
                        return
                except ConnectionClosed:  # the stream below will raise it again
                    return
            except OSError as exc:
                self._keep(b"", exc)
            else:
                if not data:  # close_notify
                    return
                self._keep(data)

    def _encrypt(self, parts: Sequence[Part]) -> int:
        """Encrypt the beginning of *parts* and return the number of bytes.

        Raises:
            ssl.SSLWantReadError: nothing, as a handshake has to end first.

        """
        pieces = cast("Sequence[Data]", parts)  # without `bulk` there are no others
        data = memoryview(pieces[0])[:MOST] if len(pieces) == 1 else beginning(pieces)
        done = self._object.write(data)
        try:
            while done < len(data):
                done += self._object.write(data[done:])  # a record each time
        except ssl.SSLWantReadError:
            pass  # for the next call
        return done

    # ---- waiting

    def wanted_by_recv(self, deadline: float | None) -> PollNeeded:
        """See `Stream.wanted_by_recv`."""
        self.waiting = True
        mine = bool(self._unsent) and self._taken is None  # otherwise the sender continues
        if not (mine or self._recv_crossed):
            return self._inner.wanted_by_recv(deadline)
        need = self._inner.wanted_by_recv(soon(deadline))
        return PollNeeded(need.fd, need.mask | POLLOUT if mine else need.mask, need.deadline)

    def wanted_by_send(self, deadline: float | None, *, watch: bool = False) -> PollNeeded:
        """See `Stream.wanted_by_send`."""
        if not self._send_crossed:
            return self._inner.wanted_by_send(deadline, watch=watch)
        need = self._inner.wanted_by_send(soon(deadline), watch=True)
        return PollNeeded(need.fd, need.mask if self._unsent else POLLIN, need.deadline)

    def wait_to_recv(self, timeout: float | None) -> bool:
        """See `Stream.wait_to_recv`."""
        self.waiting = True
        if self._recv_crossed:  # the bytes may have been received already: try
            return True
        return self._inner.wait_to_recv(timeout)

    # ---- looking

    @property
    def buffered(self) -> bool:
        """See `Stream.buffered`. May be True for a part of a record, until the next `recv`."""
        with self._lock:
            return (
                self._kept is not None
                or self._object.pending() > 0
                or self._incoming.pending > 0
                or self._incoming.eof
                or self._inner.buffered
            )

    def quick_ack(self) -> None:
        """See `Stream.quick_ack`."""
        self._inner.quick_ack()

    def recv_would_block(self) -> bool:
        """See `Stream.recv_would_block`."""
        return not self.buffered and self._inner.recv_would_block()

    @property
    def sock(self) -> Socket:
        """See `Stream.sock`."""
        return self._inner.sock

    # ---- ending

    def shut_down_writing(self) -> None:
        """See `Stream.shut_down_writing`."""
        self._ended = True
        self._inner.shut_down_writing()

    def end_sending(self) -> bool | None:
        """See `Stream.end_sending`: close_notify (RFC 8446 section 6.1).

        The stream below stays open: TLS may have to send more, such as a key update.
        """
        with self._lock:
            while not self._notified:
                self._notified = self._send_close_notify()
                if not self._notified:  # during a handshake, which has to end first
                    self._send_crossed = self._recv_crossed = True
                    if not self._flush_or_explain() or not self._pull():
                        return None
            self._send_crossed = False
            return True if self._flush_or_explain() else None

    def _send_close_notify(self) -> bool:
        """Let TLS write close_notify; False means that it cannot yet.

        Raises:
            ConnectionClosed: TLS has failed.

        """
        try:
            self._read_ahead()
            self.save_session()  # there is none after unwrapping
            self._object.unwrap()
        except ssl.SSLWantReadError:
            return True  # the end of the other direction is not waited for
        except OSError as exc:
            if getattr(exc, "reason", None) == "SHUTDOWN_WHILE_IN_INIT":
                return False
            reason = self._why(exc)
            raise self.gone(reason) from reason
        return True

    def _read_ahead(self) -> None:
        """Receive what has arrived: OpenSSL takes no data while it writes close_notify."""
        try:
            while data := self._object.read(CHUNK):
                self._keep(data)
        except ssl.SSLWantReadError:
            pass
        except OSError as exc:
            self._keep(b"", exc)
            raise

    def send_end_of_stream(self) -> None:
        """See `Stream.send_end_of_stream`: close_notify, then the same for the stream below."""
        self._notify()
        self._inner.send_end_of_stream()

    def notify_close(self) -> None:
        """Send close_notify (RFC 8446 section 6.1), here and below, if that is possible at once."""
        self._notify()
        if isinstance(self._inner, Secured):
            self._inner.notify_close()

    def _notify(self) -> None:
        self._ended = True
        with self._lock:
            self.save_session()
            try:
                self._object.unwrap()
            except (OSError, ValueError):
                pass  # the peer need not respond, and the connection may be gone
            self._answer()

    def shut_down(self) -> None:
        """See `Stream.shut_down`."""
        self._ended = True
        self._inner.shut_down()

    def close(self) -> None:
        """See `Stream.close`."""
        self._inner.close()


def beginning(parts: Sequence[Data]) -> memoryview:
    """Join the beginning of *parts*, up to the size that is encrypted at once."""
    room = MOST
    pieces = []
    for part in parts:
        pieces.append(part[:room])
        room -= len(pieces[-1])
        if room <= 0:
            break
    return memoryview(b"".join(pieces))
