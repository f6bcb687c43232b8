"""The server that uploads go to: it takes the whole body, throws it away and says how long it was.

nginx has no place for this without WebDAV. ``return 200`` answers before the body is there and
then reads it in pieces of 4 KiB, and a body that is passed on to another server has to be
copied twice. Here a body of known length is discarded inside the kernel (MSG_TRUNC, tcp(7)),
which costs a fraction of sending it, and so are large chunks. Smaller ones are received, as
many as there are, and only their sizes are looked at. With TLS there is no way around
decrypting, which is as much work as encrypting: there the sender's CPU time can be compared, not
the wall time.

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
LARGE: Final = 64 << 10  # bytes from which on discarding is cheaper than receiving
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

    def _more(self, most: int = BUFFER) -> None:
        """Receive at most *most* bytes behind what is there; EOFError at the end of the stream."""
        if self._start:
            rest = bytes(self._view[self._start : self._end])
            self._view[: len(rest)] = rest
            self._start, self._end = 0, len(rest)
        size = self._sock.recv_into(self._view[self._end :][:most])
        if not size:
            raise EOFError
        self._end += size

    def serve(self) -> None:
        """Answer one request after the other."""
        while True:
            head = self._head()
            if head.startswith(b"PUT /hash "):
                sum_ = hashlib.sha256()
                for size in self._sizes(head):
                    left = size
                    while left:
                        piece = self._take(left)
                        left -= len(piece)
                        sum_.update(piece)
                answer = sum_.hexdigest()
            else:
                answer = str(sum(map(self._discard, self._sizes(head))))
            fields = f"HTTP/1.1 200 OK\r\nContent-Length: {len(answer)}\r\n\r\n"
            self._sock.sendall((fields + answer).encode())

    def _head(self) -> bytes:
        while True:
            head, end, _ = bytes(self._view[self._start : self._end]).partition(b"\r\n\r\n")
            if end:
                self._start += len(head) + len(end)
                return head
            self._more()

    def _sizes(self, head: bytes) -> Iterator[int]:
        """Yield how many bytes of data come next; they have to be used before the next step."""
        if CHUNKED.search(head):
            size = 0
            while size := self._chunk_size(MOST_OF_A_LINE if size >= LARGE else BUFFER):
                yield size
            while self._end - self._start < 2:  # the CRLF behind the last size; no trailers here
                self._more()
            self._start += 2
        elif found := LENGTH.search(head):
            yield int(found[1])

    def _take(self, most: int) -> memoryview:
        if self._start == self._end:
            self._more()
        piece = self._view[self._start : self._end][:most]
        self._start += len(piece)
        return piece

    def _discard(self, size: int) -> int:
        """Throw *size* bytes away, in the kernel if they are many; return how many there were."""
        left = size
        while left:
            if self._start < self._end or left < LARGE or isinstance(self._sock, ssl.SSLSocket):
                left -= len(self._take(left))
                continue
            count = self._sock.recv_into(self._view, min(left, BUFFER), socket.MSG_TRUNC)
            if not count:
                raise EOFError
            left -= count
        return size

    def _chunk_size(self, most: int) -> int:
        while True:
            line = bytes(self._view[self._start : self._end][:MOST_OF_A_LINE])
            if found := SIZE_LINE.match(line):
                self._start += found.end()
                return int(found[1], 16)
            self._more(most)


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
