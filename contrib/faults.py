"""Break transfers at every byte, and see whether the library ever takes a part for the whole.

A server sends the beginning of a response and then ends the connection: with FIN, with
RST, over TLS with and without close_notify. What arrives must be the whole response or
one of the library's errors; whatever was read before the error must be the beginning of
the body.

Run: ``python contrib/faults.py [--step 1] [--tls]``. Prints how many transfers there were, how
they ended, and each violation. Exit status 1 if there was one.
"""

from __future__ import annotations

import argparse
import socket
import ssl
import struct
import sys
import tempfile
import threading
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from dugong_like import ConnectionClosed, DugongError, HTTPConnection, InvalidResponse

BODY = bytes(range(256)) * 2
CHUNKS = b"100\r\n" + BODY[:256] + b"\r\nFF ; a=b\r\n" + BODY[256:511] + b"\r\n1\r\n" + BODY[511:]
RESPONSES = {
    "sized": b"HTTP/1.1 200 OK\r\nContent-Length: 512\r\nX: y\r\n\r\n" + BODY,
    "chunked": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
    + CHUNKS
    + b"\r\n0\r\nX-Trailer: z\r\n\r\n",
    "after 103": b"HTTP/1.1 103 Hints\r\nLink: x\r\n\r\n"
    b"HTTP/1.1 200 OK\r\nContent-Length: 512\r\n\r\n" + BODY,
    "until close": b"HTTP/1.1 200 OK\r\nServer: x\r\n\r\n" + BODY,
}
ENDS = ("FIN", "RST")
TLS_ENDS = ("close_notify", "FIN", "RST")
HEAD_END = b"200 OK"  # behind it, the next empty line ends the head


class Breaker:
    """A server that does to each connection what it was told to do next."""

    def __init__(self, context: ssl.SSLContext | None) -> None:
        self._context = context
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=8)
        self.port: int = self._listener.getsockname()[1]
        self.wire = b""
        self.end = ""
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        while True:
            sock, _ = self._listener.accept()
            try:
                self._break(sock)
            except OSError:
                pass  # the client was faster
            finally:
                sock.close()

    def _break(self, sock: socket.socket) -> None:
        sock.settimeout(10)
        plain = sock
        if self._context is not None:
            sock = self._context.wrap_socket(sock, server_side=True, suppress_ragged_eofs=False)
        with sock:
            request = b""
            while not request.endswith(b"\r\n\r\n"):
                request += sock.recv(4096)
            if self.wire:
                sock.sendall(self.wire)
            if self.end == "close_notify":
                assert isinstance(sock, ssl.SSLSocket)
                sock.setblocking(False)
                try:
                    sock.unwrap()
                except ssl.SSLWantReadError:
                    pass  # ours is sent; the client's is not waited for
            if self.end == "RST":
                linger = struct.pack("ii", 1, 0)
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        plain.close()


def transfer(conn: HTTPConnection) -> tuple[bytes, DugongError | None]:
    """Get the response; return the body as far as it came, and the error if there was one."""
    body = b""
    try:
        conn.send_request("GET", "/")
        conn.read_response()
        while piece := conn.read(100):
            body += piece
    except DugongError as exc:
        return body, exc
    return body, None


def judge(kind: str, cut: int, end: str, body: bytes, exc: DugongError | None) -> str | None:
    """Return what is wrong with the outcome of one transfer, or None."""
    wire = RESPONSES[kind]
    if not BODY.startswith(body):
        return f"the body is not a beginning of what was sent: {body[:40]!r}"
    if exc is not None:
        if not isinstance(exc, ConnectionClosed | InvalidResponse):
            return f"{type(exc).__name__}: {exc}"
        whole = cut == len(wire) and end != "RST"
        if whole and not (kind == "until close" and end == "FIN"):
            return f"a whole response was refused: {exc}"
        return None
    if kind == "until close":
        head = wire.index(b"\r\n\r\n", wire.index(HEAD_END)) + 4
        if end == "RST":
            return "a reset was taken for the end"
        return None if body == wire[head:cut] and cut >= head else "bytes are missing"
    return None if body == BODY and cut == len(wire) else "a part was taken for the whole"


def run(
    context: ssl.SSLContext | None, trusting: ssl.SSLContext | None, step: int
) -> Iterator[tuple[str, str | None]]:
    """Break every response at every *step*-th byte; yield each outcome and what is wrong."""
    breaker = Breaker(context)
    for kind, wire in RESPONSES.items():
        for end in ENDS if context is None else TLS_ENDS:
            for cut in sorted({*range(0, len(wire), step), len(wire) - 1, len(wire)}):
                breaker.wire, breaker.end = wire[:cut], end
                with HTTPConnection("localhost", breaker.port, trusting, timeout=10) as conn:
                    body, exc = transfer(conn)
                problem = judge(kind, cut, end, body, exc)
                cut_off = kind == "until close" and end == "FIN" and context is not None
                if cut_off and exc is None:
                    problem = "TLS without close_notify was taken for the end"
                where = f"{kind}, {end} after {cut} of {len(wire)} bytes"
                outcome = "whole" if exc is None else type(exc).__name__
                yield outcome, None if problem is None else f"{where}: {problem}"


def contexts(folder: Path) -> tuple[ssl.SSLContext, ssl.SSLContext]:
    """Make contexts for a server and for a client that trusts it."""
    import trustme

    authority = trustme.CA()
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("localhost").configure_cert(server)
    client = ssl.create_default_context()
    authority.configure_trust(client)
    client.options &= ~ssl.OP_IGNORE_UNEXPECTED_EOF  # some builds of Python set it
    return server, client


def report(outcomes: Iterator[tuple[str, str | None]]) -> int:
    """Print the counts; return how many violations there were."""
    counts: Counter[str] = Counter()
    violations = 0
    for outcome, problem in outcomes:
        counts[outcome] += 1
        if problem is not None:
            violations += 1
            print(f"VIOLATION: {problem}")
    endings = ", ".join(f"{count} {name}" for name, count in counts.most_common())
    print(f"{sum(counts.values())} transfers: {endings}; {violations} violations")
    return violations


def main(argv: list[str] | None = None) -> int:
    """Run the faults and print the counts."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--step", type=int, default=1, help="break at every so many bytes")
    parser.add_argument("--tls", action="store_true", help="over TLS as well (needs trustme)")
    options = parser.parse_args(argv)
    violations = report(run(None, None, options.step))
    if options.tls:
        with tempfile.TemporaryDirectory() as folder:
            server, client = contexts(Path(folder))
            violations += report(run(server, client, options.step))
    return 1 if violations else 0


if __name__ == "__main__":
    sys.exit(main())
