"""The server that uploads go to: it takes the whole body, throws it away and says how long it was.

nginx has no place for this without WebDAV. ``return 200`` answers before the body is there and
then reads it in pieces of 4 KiB, and a body that is passed on to another server has to be
copied twice. Here a body of known length is discarded inside the kernel (MSG_TRUNC, tcp(7)),
which costs a fraction of sending it. A chunked one is received in large pieces and only its
chunk sizes are looked at. With TLS there is no way around decrypting, which is as
much work as encrypting: there the sender's CPU time can be compared, not the wall time.

The answer to PUT /hash is the SHA-256 of the body instead, so that the bytes can be checked.

Run: ``python -m contrib.bench.sink CERTIFICATE`` (private key and chain). Prints two ports,
plain and TLS, and serves until it is terminated.
"""

from __future__ import annotations

import hashlib
import re
import socket
import ssl
import sys
import threading
from collections.abc import Iterator
from typing import Final

BUFFER: Final = 1 << 20  # bytes received at a time
LENGTH: Final = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
CHUNKED: Final = re.compile(rb"\r\ntransfer-encoding: *chunked", re.IGNORECASE)
SIZE_LINE: Final = re.compile(rb"(?:\r\n)?([0-9A-Fa-f]+)[^\r\n]*\r\n")
MOST_OF_A_LINE: Final = 64  # bytes: more than any client here sends as the size of a chunk


class Upload:
    """One connection's side of the conversation."""

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock
        self._view = memoryview(bytearray(BUFFER))
        self._start = self._end = 0  # of what was received and not used

    def _more(self) -> None:
        """Receive more behind what is there; EOFError at the end of the stream."""
        if self._start:
            rest = bytes(self._view[self._start : self._end])
            self._view[: len(rest)] = rest
            self._start, self._end = 0, len(rest)
        size = self._sock.recv_into(self._view[self._end :])
        if not size:
            raise EOFError
        self._end += size

    def serve(self) -> None:
        """Answer one request after the other."""
        while True:
            head = self._head()
            if head.startswith(b"PUT /hash "):
                sum_ = hashlib.sha256()
                for piece in self._pieces(head):
                    sum_.update(piece)
                answer = sum_.hexdigest()
            elif CHUNKED.search(head) or isinstance(self._sock, ssl.SSLSocket):
                answer = str(sum(map(len, self._pieces(head))))
            else:
                answer = str(self._discard(_length(head)))
            fields = f"HTTP/1.1 200 OK\r\nContent-Length: {len(answer)}\r\n\r\n"
            self._sock.sendall((fields + answer).encode())

    def _head(self) -> bytes:
        while True:
            head, end, _ = bytes(self._view[self._start : self._end]).partition(b"\r\n\r\n")
            if end:
                self._start += len(head) + len(end)
                return head
            self._more()

    def _discard(self, size: int) -> int:
        """Have the kernel throw away a body of known length; return how much came."""
        came = len(self._take(size)) if self._start < self._end else 0
        while came < size:
            count = self._sock.recv_into(self._view, min(size - came, BUFFER), socket.MSG_TRUNC)
            if not count:
                raise EOFError
            came += count
        return came

    def _pieces(self, head: bytes) -> Iterator[memoryview]:
        if CHUNKED.search(head):
            while size := self._chunk_size():
                yield from self._sized(size)
            while self._end - self._start < 2:  # the CRLF behind the last size; no trailers here
                self._more()
            self._start += 2
        else:
            yield from self._sized(_length(head))

    def _sized(self, left: int) -> Iterator[memoryview]:
        while left:
            piece = self._take(left)
            left -= len(piece)
            yield piece

    def _take(self, most: int) -> memoryview:
        if self._start == self._end:
            self._more()
        piece = self._view[self._start : self._end][:most]
        self._start += len(piece)
        return piece

    def _chunk_size(self) -> int:
        while True:
            line = bytes(self._view[self._start : self._end][:MOST_OF_A_LINE])
            if found := SIZE_LINE.match(line):
                self._start += found.end()
                return int(found[1], 16)
            self._more()


def _length(head: bytes) -> int:
    found = LENGTH.search(head)
    return int(found[1]) if found else 0


def serve(sock: socket.socket, context: ssl.SSLContext | None) -> None:
    """Serve one connection until the client closes it."""
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    try:
        if context is not None:
            sock = context.wrap_socket(sock, server_side=True)
        Upload(sock).serve()
    except (EOFError, OSError):
        pass  # it is gone
    finally:
        sock.close()


def accept(listener: socket.socket, context: ssl.SSLContext | None) -> None:
    """Give each connection a thread."""
    while True:
        sock, _ = listener.accept()
        threading.Thread(target=serve, args=(sock, context), daemon=True).start()


def main() -> None:
    """Listen on two ports."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(sys.argv[1])
    listeners = [socket.create_server(("127.0.0.1", 0), backlog=64) for _ in range(2)]
    print(*(listener.getsockname()[1] for listener in listeners), flush=True)
    threading.Thread(target=accept, args=(listeners[0], None), daemon=True).start()
    accept(listeners[1], context)


if __name__ == "__main__":
    main()
