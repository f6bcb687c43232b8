"""The floor of HTTP/2: blocking socket code that knows what nginx sends, and nothing more.

A request is the same bytes each time, but for path and stream. Of an answer the frames are told
apart, and its fields are not looked at.
"""

from __future__ import annotations

import socket
import struct
from collections.abc import Callable, Iterable
from itertools import islice
from typing import Any, BinaryIO, Final

from .base import HOST, PIECE, BlockingClient, Call, Target, WrongBytesError

PREFACE: Final = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
WINDOW: Final = 2**31 - 1  # bytes: more than any workload sends back
LEFT_OUT: Final = 65535  # bytes of a window that need not be announced
IN_ONE_GO: Final = 100  # requests sent before an answer is read
FRAME: Final = 16384  # bytes of content in a frame
DATA, HEADERS, RST_STREAM, SETTINGS, PING, WINDOW_UPDATE = 0, 1, 3, 4, 6, 8
NO_ERROR: Final = bytes(4)
END_STREAM, ACK, END_HEADERS = 1, 1, 4
_header = struct.Struct(">LBL")


def frame(kind: int, flags: int, stream: int, payload: bytes = b"") -> bytes:
    """Return a frame."""
    return _header.pack(len(payload) << 8 | kind, flags, stream) + payload


def head(target: Target, method: str, path: str) -> bytes:
    """Return the header block of a request, by indices and literals of HPACK."""
    authority, place = f"{HOST}:{target.port}".encode(), path.encode()
    name = b"\x82" if method == "GET" else b"\x02" + bytes([len(method)]) + method.encode()
    scheme = b"\x86" if target.ca is None else b"\x87"
    block = name + scheme + b"\x01" + bytes([len(authority)]) + authority
    return block + b"\x04" + bytes([len(place)]) + place


class Sockets(BlockingClient):
    """One blocking socket."""

    def __init__(self, target: Target) -> None:
        super().__init__(target)
        self._context = target.context()

    def open(self) -> None:
        sock = socket.create_connection((HOST, self.target.port))
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if self._context is not None:
            self._context.set_alpn_protocols(["h2"])
            sock = self._context.wrap_socket(sock, server_hostname=HOST)
        self._sock = sock
        self._buffer = memoryview(bytearray(PIECE))
        self._start = self._end = 0  # of what was received and not used
        self._stream = -1  # the last one
        self._blocks: dict[str, bytes] = {}
        self._window = LEFT_OUT  # bytes that may be sent on the connection
        self._stream_windows: dict[int, int] = {}  # and by streams with content
        self._first_window = LEFT_OUT
        settings = struct.pack(">HLHL", 2, 0, 4, WINDOW)
        opening = PREFACE + frame(SETTINGS, 0, 0, settings)
        sock.sendall(opening + frame(WINDOW_UPDATE, 0, 0, struct.pack(">L", WINDOW - LEFT_OUT)))

    def close(self) -> None:
        self._sock.close()

    def _request(self, path: str) -> bytes:
        """Return a request on a new stream."""
        block = self._blocks.get(path)
        if block is None:
            block = self._blocks[path] = head(self.target, "GET", path)
        self._stream += 2
        return frame(HEADERS, END_STREAM | END_HEADERS, self._stream, block)

    def _need(self, size: int) -> int:
        """Receive until *size* bytes are there; return where they begin."""
        if self._end - self._start < size:
            rest = self._end - self._start
            self._buffer[:rest] = bytes(self._buffer[self._start : self._end])
            self._start, self._end = 0, rest
            while self._end < size:
                count = self._sock.recv_into(self._buffer[self._end :])
                if not count:
                    raise EOFError
                self._end += count
        return self._start

    def _next(self) -> tuple[int, int, int, memoryview]:
        """Return type, flags, stream and payload of the next frame that says something."""
        while True:
            length, flags, stream = _header.unpack_from(self._buffer, self._need(9))
            kind, size = length & 0xFF, length >> 8
            start = self._need(9 + size) + 9
            self._start = start + size
            payload = self._buffer[start : start + size]
            if kind == SETTINGS and not flags & ACK:
                for number, value in struct.iter_unpack(">HL", payload):
                    if number == 4:
                        self._first_window = value
                self._sock.sendall(frame(SETTINGS, ACK, 0))
            elif kind == PING and not flags & ACK:
                self._sock.sendall(frame(PING, ACK, 0, bytes(payload)))
            elif kind == WINDOW_UPDATE:
                increment = int.from_bytes(payload, "big")
                if stream:
                    self._stream_windows[stream] = self._windows_of(stream) + increment
                else:
                    self._window += increment
                return kind, flags, stream, payload
            elif kind in {DATA, HEADERS}:
                return kind, flags, stream, payload
            elif kind != SETTINGS:
                self._check_reset(kind, payload)

    @staticmethod
    def _check_reset(kind: int, payload: memoryview) -> None:
        """Check that a frame is what nginx sends if END_STREAM comes behind its response.

        See RFC 9113 section 8.1. Raises `OSError`.
        """
        if kind != RST_STREAM or payload != NO_ERROR:
            raise OSError(f"a frame of type {kind}: {bytes(payload)!r}")

    def _windows_of(self, stream: int) -> int:
        return self._stream_windows.get(stream, self._first_window)

    def get(self, path: str) -> bytes:
        self._sock.sendall(self._request(path))
        body = b""
        while True:
            kind, flags, _, payload = self._next()
            if kind == DATA:
                body = body + payload if body else bytes(payload)
            if flags & END_STREAM and kind != WINDOW_UPDATE:
                return body

    def pipelined(self, calls: Iterable[Call]) -> None:
        calls = iter(calls)
        while some := list(islice(calls, IN_ONE_GO)):
            first = self._stream + 2
            self._sock.sendall(b"".join([self._request(path) for path, _ in some]))
            bodies: dict[int, bytes] = {}
            ended = 0
            while ended < len(some):
                kind, flags, stream, payload = self._next()
                if kind == DATA:
                    bodies[stream] = bodies.get(stream, b"") + payload
                ended += kind != WINDOW_UPDATE and flags & END_STREAM
            for number, (path, expected) in enumerate(some):
                if bodies[first + 2 * number] != expected:
                    raise WrongBytesError(path)

    def download(self, path: str, take: Callable[[Any], None]) -> None:
        self._sock.sendall(self._request(path))
        while True:
            kind, flags, _, payload = self._next()
            if kind == DATA:
                take(payload)
            if flags & END_STREAM and kind != WINDOW_UPDATE:
                return

    def upload(self, path: str, file: BinaryIO, size: int | None) -> bytes:
        self._stream += 2
        stream = self._stream
        block = head(self.target, "PUT", path)
        if size is not None:
            block += b"\x0f\x0d" + bytes([len(str(size))]) + str(size).encode()
        self._sock.sendall(frame(HEADERS, END_HEADERS, stream, block))
        left = memoryview(b"")
        while left or (left := memoryview(file.read(PIECE))):
            allowed = min(len(left), self._window, self._windows_of(stream))
            if allowed:
                pieces = [left[at : min(at + FRAME, allowed)] for at in range(0, allowed, FRAME)]
                parts = [part for piece in pieces for part in (self._data(stream, piece), piece)]
                self._sock.sendall(b"".join(parts))
                self._window -= allowed
                self._stream_windows[stream] = self._windows_of(stream) - allowed
                left = left[allowed:]
            else:
                self._next()
        self._sock.sendall(frame(DATA, END_STREAM, stream))
        body = b""
        while True:
            kind, flags, _, payload = self._next()
            if kind == DATA:
                body += payload
            if flags & END_STREAM and kind != WINDOW_UPDATE:
                return body

    @staticmethod
    def _data(stream: int, piece: memoryview) -> bytes:
        return _header.pack(len(piece) << 8 | DATA, 0, stream)
