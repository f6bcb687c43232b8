"""NetworkStream: a connection that has left HTTP, after 101 or a 2xx to CONNECT.

The operations that users run, each with its blocking twin, and facts.

Not here: what they are made of (duplex.py), when a connection leaves HTTP (receiver.py), and
sockets and TLS (transport/).
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
from .duplex import Turns

if TYPE_CHECKING:
    from ..timings import Timings
    from ..tls.over_socket import SSLContext


class NetworkStream(Turns):
    """Bytes to and from the peer, with no HTTP around them; `HTTPResponse.stream` gives it.

    Each operation exists twice: ``co_x`` returns a generator that yields `PollNeeded` where it
    would block, and ``x`` blocks. One thread may write while another one reads. A context
    manager: leaving it closes the stream.

    Args:
        stream: what carries the bytes; it is taken over.
        received: bytes that have been received already; they are read first.
        timeout: see below.
        url: origin of the peer, for the messages of errors; empty for none.

    Attributes:
        timeout: seconds that may pass without anything moving; None waits for ever. At first it
            is that of the connection.
        timings: of the exchange that gave the stream; None unless
            ``HTTPConnection(timings=True)`` asked.

    """

    timings: Timings | None = None

    # ---- operations

    def co_read(self, size: int) -> Co[bytes]:
        """Read what arrives next. Interrupted, it loses nothing.

        Args:
            size: bytes to return at most.

        Returns:
            At least one byte; ``b""`` only if the peer has ended the stream in order (or if
            *size* is 0). What was received behind the head of the response comes first.

        Raises:
            ValueError: *size* is negative.
            TypeError: *size* is not an int.
            StateError: another operation is reading.
            ConnectionClosed: the stream is closed or broken, the connection was lost, or TLS
                was cut off without close_notify (RFC 8446 section 6.1).
            ConnectionTimedOut: nothing arrived for `timeout` seconds; the next call goes on
                waiting.

        """
        return self._co_receive(self._recv, check_size(size))

    def co_readinto(self, buf: bytearray | memoryview) -> Co[int]:
        """Read what arrives next into *buf*, a writable bytes-like object.

        Returns:
            How many bytes were read; 0 only at the end of the stream (or if *buf* is empty).

        Raises:
            TypeError: *buf* is not writable or not bytes-like.
            DugongError: what `co_read` raises.

        """
        return self._co_receive(self._recv_into, as_writable(buf))

    def co_write(self, data: Buffer) -> Co[None]:
        """Write all of *data*, a bytes-like object.

        Interrupted or timed out while it waits, it leaves the stream broken: everything but
        closing raises `ConnectionClosed` then.

        Raises:
            TypeError: *data* is not bytes-like.
            StateError: another operation is writing, or `co_write_eof` said that this was all.
            ConnectionClosed: the stream is closed or broken, or the peer takes no more; what it
                has sent before can still be read.
            ConnectionTimedOut: nothing could be sent for `timeout` seconds.

        """
        return self._co_send(as_bytes(data))

    def co_write_eof(self) -> Co[None]:
        """Say that nothing more will be written, and go on reading.

        The peer reads what was written, and then the end: a FIN, over TLS close_notify (RFC 8446
        section 6.1). A peer that speaks TLS 1.2 may end its direction then, without what it had
        still to send (RFC 5246 section 7.2.1), and many programs do as much in TLS 1.3. Doing it
        once more changes nothing.

        Interrupted or timed out while it waits, it leaves the stream broken, as `co_write` does.

        Raises:
            StateError: another operation is writing; or the connection that gave this stream
                was an https one, and there was no `co_start_tls` after that: Python's TLS over
                a socket ends in both directions at once.
            ConnectionClosed: the stream is closed or broken, or the peer takes no more.
            ConnectionTimedOut: nothing could be sent for `timeout` seconds.

        """
        return self._co_end()

    def co_start_tls(self, context: SSLContext, server_hostname: str) -> Co[Self]:
        """Do a TLS handshake as the client; what follows on this stream is encrypted.

        Also over TLS: then there is TLS inside TLS.

        If it fails or is interrupted the stream is closed.

        Args:
            context: used as it is, never changed. Any protocol may be chosen by its ALPN.
            server_hostname: for SNI and for the check of the certificate.

        Returns:
            This stream.

        Raises:
            CertificateInvalid: the certificate is not accepted.
            HandshakeFailed: the peer does not speak TLS, or not as *context* demands.
            InvalidRequest: *server_hostname* cannot be the name of a host.
            InvalidOption: *context* is one for servers.
            TypeError: *server_hostname* is no string, or *context* no `ssl.SSLContext`. With these
                three nothing happens to the stream.
            StateError: another operation is reading or writing; bytes have been received that
                nobody has read, which no server of TLS has sent; or `co_write_eof` said that
                nothing would follow (nothing happens to the stream).
            ConnectionClosed: the stream is closed or broken.
            ConnectionTimedOut: the handshake took more than `timeout` seconds.

        """
        from ..tls.over_socket import check_context  # noqa: PLC0415 - ssl costs 10 ms

        name = check_hostname(server_hostname)
        with self._turn(self._reading, "reading"), self._turn(self._writing, "writing"):
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
                if self._stream is not stream:
                    raise ConnectionClosed("the stream was closed meanwhile") from exc
                raise
            finally:
                if secured is None:
                    self.drop()
            if self._stream is not stream:
                secured.close()
                raise ConnectionClosed("the stream was closed meanwhile")
            self._stream = secured
        return self

    def co_close(self) -> Co[None]:
        """Close the stream; the peer hears it, over TLS by close_notify if that does not block.

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
        stream = self._forget()
        if stream is not None:
            if self._failure is None:
                stream.say_goodbye()
            stream.shut_down()  # wakes who waits
            self._leave(stream)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    # ---- facts

    def get_extra_info(self, name: str) -> Any:
        """Return a fact about the connection.

        Args:
            name: ``"socket"``, ``"fd"``, ``"client_addr"``, ``"server_addr"``;
                ``"is_readable"``: True if reading would not wait; ``"is_writable"``: True if
                there is room to write; and with TLS ``"ssl_object"``, ``"tls_version"``,
                ``"cipher"`` (name, protocol, secret bits), ``"alpn"`` and ``"peercert"`` (as
                `ssl.SSLSocket.getpeercert` has it). The objects are to be looked at, not used.
                ``"timings"``: `timings`, also when the stream is closed.

        Returns:
            The fact; None if there is none, as of TLS without TLS, for another name, and when
            the stream is closed.

        """
        if name == "timings":
            return self.timings
        stream = self._stream
        if stream is None:
            return None
        if name == "is_readable" and self._received:
            return True
        return fact(stream, name)


def co_tls_over(
    stream: Stream, context: SSLContext, hostname: str, timeout: float | None
) -> Co[Stream]:
    """Do a TLS handshake over *stream*, which is taken over, and closed if that fails.

    Raises:
        DugongError: what `tls.co_start_tls` raises.

    """
    from ..tls.start import co_start_tls_over  # noqa: PLC0415 - ssl costs 10 ms

    if not isinstance(stream, WrappedStream):
        return (yield from co_start_tls_over(stream, context, hostname, timeout, any_protocol=True))
    bare = yield from co_start_tls_over(stream.bare, context, hostname, timeout, any_protocol=True)
    stream.replace_bare(bare)
    return stream
