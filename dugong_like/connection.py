"""HTTPConnection: the operations, their blocking twins, and the face of a file.

Each twin begins its operation as the generator does, runs what is left of it to the end if
there is something, and waits by polling; nothing is written twice.

Not here: what the operations do (operations.py).
"""

from __future__ import annotations

import io
from types import TracebackType
from typing import Self

from .arguments import Buffer, as_bytes, as_writable, check_size
from .message import BodyFollowing, Exchange, HTTPResponse
from .operations import Fields, Operations, trailer_lines
from .polling import Co, run
from .transfers import Transfers
from .transport.bulk import LOW_WATER


class HTTPConnection(Operations, Transfers):
    """A connection to one HTTP/1.1 server, opened when it is needed.

    Each operation exists twice: ``co_x`` returns a generator that yields `PollNeeded`
    where it would block, and ``x`` blocks. Both may be mixed. One thread may send while
    another one reads. A context manager: leaving it closes the connection.

    Args:
        hostname: name or IP address of the server, an IPv6 address without brackets.
        port: 80 if None, or 443 with *ssl_context*.
        ssl_context: for https; see `default_ssl_context`. It is never changed.
        proxy: a `Proxy`, or its URL, or ``(host, port)`` of an HTTP proxy. By default
            requests are forwarded by it without *ssl_context*, and with one it opens a
            tunnel.
        timeout: seconds that may pass without anything moving, or `Timeouts` to tell the
            phases apart; None waits for ever.
        expect100_timeout: seconds to wait for 100 (Continue); None waits for ever, unless
            `Timeouts.expect100` says otherwise.
        content_md5: False to compute no Content-MD5 for bodies.
        http_version: ``"1.0"`` for a server that cannot do better: then there are no chunked
            bodies, no ``expect100`` and no Upgrade. Host and ``Connection: keep-alive`` are sent
            all the same; without keep-alive the next request gets a new connection.
        buffer_size: bytes of the receive buffer.
        max_line_size: bytes of the longest status line or field line taken.
        max_header_size: bytes of the longest head or trailer section taken, and of all
            1xx responses to one request.
        max_fields: field lines of a head or trailer section.
        max_informational: 1xx responses to one request.
        max_chunk_line: bytes of the longest chunk size line, extensions included.
        max_extensions: bytes of chunk extensions in one body.
        on_informational: called with each 1xx response when it arrives.
        dns_test_hostnames: names to look up when *hostname* does not exist, to tell that
            from a name service that is out of order. By default nobody is asked.
        trace: called with the name and the facts of each event, ``(str, dict)``, by
            whatever thread the event happens in. What it raises ends the operation and
            breaks the connection.
        timings: True to have `Exchange.timings`.
        trace_file: a binary file, or the path of one, for every byte that is sent and
            received, passwords and cookies included; see :doc:`tutorial`.
        budget: how fast bytes may pass, and how many bytes a response may have.

    Raises:
        InvalidRequest: *hostname*, *port* or *proxy* cannot be what it says, or *proxy*
            cannot lead there.
        TypeError: one of them has the wrong type.
        ValueError: *buffer_size* is less than 1, or *http_version* is unknown.

    """

    def connect(self) -> None:
        """Blocking twin of `co_connect`."""
        finish(self._sending.begin(self._sending.connect))

    def send_request(
        self,
        method: str,
        path: str,
        headers: Fields | None = None,
        body: Buffer | BodyFollowing | None = None,
        expect100: bool = False,
    ) -> Exchange:
        """Blocking twin of `co_send_request`."""
        exchange, going = self._request(method, path, headers, body, expect100)
        if going is not None:
            run(going)
        return exchange

    def write(self, buf: Buffer) -> None:
        """Blocking twin of `co_write`."""
        finish(self._sending.begin(self._sending.write, as_bytes(buf)))

    def finish(self, trailers: Fields | None = None) -> None:
        """Blocking twin of `co_finish`."""
        finish(self._sending.begin(self._sending.finish, trailer_lines(trailers)))

    def read_response(self) -> HTTPResponse:
        """Blocking twin of `co_read_response`."""
        receiving = self._receiving
        if receiving.heads.continue_timeout is not None:
            return run(receiving.co_read_response())
        return receiving.role.block(receiving.read_response, None, receiving.await_response)

    def read(self, len_: int | None = None) -> bytes:
        """Blocking twin of `co_read`."""
        # io.TextIOWrapper asks for -1 bytes and means all.
        if len_ is None or len_ < 0:
            return self.readall()
        bodies, size = self._receiving.bodies, check_size(len_)
        return self._receiving.role.block(
            bodies.read if size < LOW_WATER else bodies.read_patiently, size
        )

    def readinto(self, buf: bytearray | memoryview) -> int:
        """Blocking twin of `co_readinto`."""
        bodies, view = self._receiving.bodies, as_writable(buf)
        return self._receiving.role.block(
            bodies.readinto if len(view) < LOW_WATER else bodies.readinto_patiently, view
        )

    def readall(self) -> bytes:
        """Blocking twin of `co_readall`."""
        return self._receiving.role.block(self._receiving.bodies.readall, None)

    def discard(self) -> None:
        """Blocking twin of `co_discard`."""
        self._receiving.role.block(self._receiving.bodies.discard, None)

    def read_raw(self, size: int) -> bytes:
        """Blocking twin of `co_read_raw`."""
        return self._receiving.role.block(self._receiving.read_raw, check_size(size))

    def close(self) -> None:
        """Blocking twin of `co_close`."""
        self.disconnect()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        exc: BaseException | None,
        tb: TracebackType | None,
    ) -> None:
        self.close()

    def __del__(self) -> None:
        if hasattr(self, "_link") and self._link.raw_stream is not None:
            self._link.drop()

    # ---- what io.TextIOWrapper and io.BufferedReader ask for

    closed = False

    def readable(self) -> bool:
        """Return True: response bodies can be read."""
        return True

    def writable(self) -> bool:
        """Return False: as a file, the connection is its response body."""
        return False

    def seekable(self) -> bool:
        """Return False."""
        return False

    def flush(self) -> None:
        """Do nothing: nothing is held back."""

    def read1(self, len_: int = -1) -> bytes:
        """Read what arrives next, at most *len_* bytes; see `co_read`."""
        return self.read(len_ if len_ >= 0 else io.DEFAULT_BUFFER_SIZE)

    def body_file(self) -> BodyFile:
        """Return the present response body as a file; closing it leaves the connection open."""
        return BodyFile(self)


def finish(going: Co[None] | None) -> None:
    """Run what is left of an operation, if there is something."""
    if going is not None:
        run(going)


class BodyFile(io.RawIOBase):
    """The body of the present response as a raw binary file.

    It may be wrapped in `io.BufferedReader` and `io.TextIOWrapper`; closing any of them
    does not touch the connection.
    """

    def __init__(self, conn: HTTPConnection) -> None:
        self._conn = conn

    def readable(self) -> bool:
        """Return True."""
        return True

    def readinto(self, buf: bytearray | memoryview) -> int:  # type: ignore[override]
        """Read into *buf*; see `HTTPConnection.readinto`."""
        return self._conn.readinto(buf)
