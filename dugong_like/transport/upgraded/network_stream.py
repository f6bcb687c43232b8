"""NetworkStream: an upgraded connection, after 101 or a 2xx to CONNECT.

The operations for users, each with its blocking twin, and information about the stream.

Not here: their implementation (duplex.py), the upgrade (receiver.py), and sockets and TLS
(transport/).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Self

from ...errors import ConnectionClosed, HandshakeFailed, StateError
from ...http.arguments import Buffer, as_bytes, as_writable, check_size
from ...http.hosts import check_hostname
from ...polling.contract import Co, run
from ...polling.twin_documentation import twin_of
from ..filters.base import WrappedStream
from ..info import fact
from ..stream import Stream
from .duplex import Duplex

if TYPE_CHECKING:
    from ..timings import Timings
    from ..tls.over_socket import SSLContext


class NetworkStream(Duplex):
    """Bytes to and from the peer, without HTTP; `HTTPResponse.stream` returns it.

    Each operation exists twice: ``co_x`` returns a generator that yields `PollNeeded` where it
    would block, and ``x`` blocks. One thread may write while another one reads. A context
    manager: leaving it closes the stream.

    Args:
        stream: the stream of bytes; it is taken over.
        received: bytes that have been received already; they are read first.
        timeout: see below.
        url: origin of the peer, for the messages of errors; empty for none.

    Attributes:
        timeout: seconds that may pass without progress; None sets no limit. Its first value is
            that of the connection.
        timings: those of the exchange with the upgrade; None unless requested by
            ``HTTPConnection(timings=True)``.

    """

    timings: Timings | None = None

    # ---- operations

    def co_read(self, size: int) -> Co[bytes]:
        """Read the next bytes. An interruption loses nothing.

        Args:
            size: bytes to return at most.

        Returns:
            At least one byte; ``b""`` only if the peer has ended the stream properly (or if
            *size* is 0). Bytes that were received behind the response head come first.

        Raises:
            ValueError: *size* is negative.
            TypeError: *size* is not an int.
            StateError: another operation is reading.
            ConnectionClosed: the stream is closed or unusable, the connection was lost, or TLS
                has ended without close_notify (RFC 8446 section 6.1).
            ConnectionTimedOut: nothing arrived for `timeout` seconds; the next call continues
                to wait.

        """
        return self._co_receive(self._recv, check_size(size))

    def co_readinto(self, buf: bytearray | memoryview) -> Co[int]:
        """Read the next bytes into *buf*, a writable bytes-like object.

        Returns:
            Number of bytes; 0 only at the end of the stream (or if *buf* is empty).

        Raises:
            TypeError: *buf* is not writable or not bytes-like.
            DugongError: as of `co_read`.

        """
        return self._co_receive(self._recv_into, as_writable(buf))

    def co_write(self, data: Buffer) -> Co[None]:
        """Write all of *data*, a bytes-like object.

        An interruption or a time-out during a wait makes the stream unusable: everything except
        closing raises `ConnectionClosed` then.

        Raises:
            TypeError: *data* is not bytes-like.
            StateError: another operation is writing, or `co_write_eof` was called before.
            ConnectionClosed: the stream is closed or unusable, or the peer takes no more; bytes
                that it has sent before can still be read.
            ConnectionTimedOut: nothing could be sent for `timeout` seconds.

        """
        return self._co_send(as_bytes(data))

    def co_write_eof(self) -> Co[None]:
        """Close the sending direction; reading continues.

        The peer reads the written bytes, and then the end: a FIN, over TLS close_notify (RFC 8446
        section 6.1). A TLS 1.2 peer may close its direction then, and drop bytes that it had still
        to send (RFC 5246 section 7.2.1); many programs do the same with TLS 1.3. A second call has
        no effect.

        An interruption or a time-out during a wait makes the stream unusable, as with `co_write`.

        Raises:
            StateError: another operation is writing; or the stream comes from an https
                connection, without `co_start_tls` after that: Python's TLS over a socket closes
                both directions at once.
            ConnectionClosed: the stream is closed or unusable, or the peer takes no more.
            ConnectionTimedOut: nothing could be sent for `timeout` seconds.

        """
        return self._co_end()

    def co_start_tls(self, context: SSLContext, server_hostname: str) -> Co[Self]:
        """Do a TLS handshake as the client; this stream is encrypted afterwards.

        Also possible over TLS: TLS inside TLS.

        A failure or an interruption closes the stream.

        Args:
            context: never changed. The server may select any protocol of its ALPN.
            server_hostname: for SNI and for verifying the certificate.

        Returns:
            This stream.

        Raises:
            CertificateInvalid: the certificate is not accepted.
            HandshakeFailed: the peer does not speak TLS, or not as *context* demands.
            InvalidRequest: *server_hostname* is not a valid host.
            InvalidOption: *context* is a context for servers.
            TypeError: *server_hostname* is not a string, or *context* not an `ssl.SSLContext`.
                These three leave the stream unchanged.
            StateError: another operation is reading or writing; there are unread bytes, which
                cannot belong to TLS; or `co_write_eof` was called before (the stream is
                unchanged).
            ConnectionClosed: the stream is closed or unusable.
            ConnectionTimedOut: the handshake took more than `timeout` seconds.

        """
        name = check_hostname(server_hostname)
        use = self.in_use
        going = self._co_start_tls(context, name)
        going = self._co_exclusive(use.sending, "writing", going)
        yield from self._co_exclusive(use.reading, "reading", going)
        return self

    def _co_start_tls(self, context: SSLContext, name: str) -> Co[None]:
        """Do what `co_start_tls` does, with exclusive use of both directions."""
        from ..tls.over_socket import check_context  # noqa: PLC0415 - ssl costs 10 ms

        use = self.in_use
        stream = self._usable()
        if self._said_all:
            raise StateError("the end of what is written has been said")
        if self._received:
            raise StateError(
                f"{len(self._received)} bytes have been received in front of TLS: read them"
            )
        check_context(context)
        secured: Stream | None = None
        try:
            secured = yield from co_tls_over(stream, context, name, self.timeout)
        except HandshakeFailed as exc:
            if use.stream is not stream:
                raise ConnectionClosed("the stream was closed meanwhile") from exc
            raise
        finally:
            if secured is None:
                self.drop()
        if not use.replace(stream, secured):
            secured.close()
            raise ConnectionClosed("the stream was closed meanwhile")

    def co_close(self) -> Co[None]:
        """Close the stream; over TLS close_notify is sent if that does not block.

        Raises nothing; may be called in any state. An operation that waits in another thread
        raises `ConnectionClosed`.
        """
        self.close()
        yield from ()

    # ---- their blocking twins

    @twin_of(co_read)
    def read(self, size: int) -> bytes:
        """Blocking twin of `co_read`."""
        return run(self.co_read(size))

    @twin_of(co_readinto)
    def readinto(self, buf: bytearray | memoryview) -> int:
        """Blocking twin of `co_readinto`."""
        return run(self.co_readinto(buf))

    @twin_of(co_write)
    def write(self, data: Buffer) -> None:
        """Blocking twin of `co_write`."""
        run(self.co_write(data))

    @twin_of(co_write_eof)
    def write_eof(self) -> None:
        """Blocking twin of `co_write_eof`."""
        run(self.co_write_eof())

    @twin_of(co_start_tls)
    def start_tls(self, context: SSLContext, server_hostname: str) -> Self:
        """Blocking twin of `co_start_tls`."""
        return run(self.co_start_tls(context, server_hostname))

    @twin_of(co_close)
    def close(self) -> None:
        """Blocking twin of `co_close`."""
        stream = self.in_use.withdraw()
        self._received = b""
        try:
            if stream is not None:
                if self._failure is None:
                    stream.send_end_of_stream()
                stream.shut_down()  # wakes operations that wait
        finally:
            self.in_use.leave(stream)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    # ---- facts

    def get_extra_info(self, name: str) -> Any:
        """Return information about the connection.

        Args:
            name: ``"socket"``, ``"fd"``, ``"client_addr"``, ``"server_addr"``;
                ``"is_readable"``: True if reading would not wait; ``"is_writable"``: True if
                there is room to write; and with TLS ``"ssl_object"``, ``"tls_version"``,
                ``"cipher"`` (name, protocol, secret bits), ``"alpn"`` and ``"peercert"`` (as
                of `ssl.SSLSocket.getpeercert`). The objects must not be used for I/O.
                ``"timings"``: `timings`, also when the stream is closed.

        Returns:
            The value; None if it does not exist, as for TLS without TLS, for another name, and
            when the stream is closed.

        """
        if name == "timings":
            return self.timings
        stream = self.in_use.stream
        if stream is None:
            return None
        if name == "is_readable" and self._received:
            return True
        return fact(stream, name)


def co_tls_over(
    stream: Stream, context: SSLContext, hostname: str, timeout: float | None
) -> Co[Stream]:
    """Do a TLS handshake over *stream*, which is taken over, and closed on failure.

    Raises:
        DugongError: as of `tls.co_start_tls`.

    """
    from ..tls.start import co_start_tls_over  # noqa: PLC0415 - ssl costs 10 ms

    if not isinstance(stream, WrappedStream):
        return (yield from co_start_tls_over(stream, context, hostname, timeout, offer=None))
    bare = yield from co_start_tls_over(stream.bare, context, hostname, timeout, offer=None)
    stream.replace_bare(bare)
    return stream
