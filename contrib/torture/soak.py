"""Do requests for a long time, check every byte, and see whether memory or descriptors leak.

The server is another process. By default there is one request after the other, small ones
of every kind, on a connection that is made anew now and then. With ``--two-threads`` one
thread uploads bodies of up to 400 kB at full speed while another one reads them back.

Run: ``python3 -m contrib.torture.soak [--seconds 600] [--count 100000] [--tls] [--two-threads]
[--seed 1]``. Prints requests, megabytes, how much the peak of memory has grown
since the warm-up, and the open descriptors. Exit status 1 if a body was wrong, something
failed, or memory or descriptors grew by more than is allowed.
"""

from __future__ import annotations

import argparse
import random
import socket
import ssl
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from queue import SimpleQueue
from typing import BinaryIO

from dugong_like import BodyFollowing, HTTPConnection

from .program import Limit, Summary, open_descriptors, parser

DATA = random.Random(1).randbytes(2_000_000)  # every body is a piece of it
WARM_UP = 5000  # requests at most before memory is looked at the first time
RECONNECT_EVERY = 1000  # requests, one after the other, on one connection
AHEAD = 16  # uploads that may be under way
SMALL = (0, 1, 10, 100, 1000, 5000)
LARGE = (1, 100, 5000, 65_536, 400_000)


# ---- the server


def serve(certificate: str | None) -> None:
    """Serve on a port of its own, which is printed, until standard input ends."""
    context = None
    if certificate is not None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate)
    listener = socket.create_server(("127.0.0.1", 0), backlog=16)
    print(listener.getsockname()[1], flush=True)
    threading.Thread(target=accept, args=(listener, context), daemon=True).start()
    sys.stdin.read()


def accept(listener: socket.socket, context: ssl.SSLContext | None) -> None:
    """Give each connection a thread."""
    while True:
        sock, _ = listener.accept()
        threading.Thread(target=answer, args=(sock, context), daemon=True).start()


def answer(sock: socket.socket, context: ssl.SSLContext | None) -> None:
    """Answer the requests on *sock* until the client has no more."""
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    if context is not None:
        sock = context.wrap_socket(sock, server_side=True)
    with sock, sock.makefile("rb") as stream:
        while line := stream.readline():
            method, path, _ = line.split()
            fields = read_fields(stream)
            chunked = "transfer-encoding" in fields
            if method == b"PUT":
                body = read_body(stream, fields)
            else:
                start, size = map(int, path.split(b"/")[1:])
                body = DATA[start : start + size]
                chunked = start % 2 == 0
            # as sized where the request was chunked, and the other way round
            sock.sendall(sized(body) if chunked else chunks(body))


def read_fields(stream: BinaryIO) -> dict[str, str]:
    """Read field lines to the empty one, or the end."""
    fields = {}
    while line := stream.readline().strip():
        name, _, value = line.decode().partition(": ")
        fields[name.lower()] = value
    return fields


def read_body(stream: BinaryIO, fields: dict[str, str]) -> bytes:
    """Read the body of a request."""
    if "content-length" in fields:
        return stream.read(int(fields["content-length"]))
    pieces = []
    while size := int(stream.readline(), 16):
        pieces.append(stream.read(size))
        stream.readline()
    read_fields(stream)
    return b"".join(pieces)


def sized(body: bytes) -> bytes:
    """Return a response with *body* of known length."""
    return b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body)


def chunks(body: bytes) -> bytes:
    """Return a response with *body* in chunks."""
    step = max(len(body) // 3, 1)
    pieces = [body[place : place + step] for place in range(0, len(body), step)]
    return (
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
        + b"".join(b"%x\r\n%s\r\n" % (len(piece), piece) for piece in pieces)
        + b"0\r\n\r\n"
    )


@contextmanager
def server(tls: bool) -> Iterator[tuple[int, ssl.SSLContext | None]]:
    """Run the server; yield its port, and the context of a client that trusts it."""
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", __spec__.name, "--serve"]
        client = None
        if tls:
            import trustme

            authority = trustme.CA()
            path = Path(folder) / "all.pem"
            authority.issue_cert("localhost").private_key_and_cert_chain_pem.write_to_path(path)
            client = ssl.create_default_context()
            authority.configure_trust(client)
            client.options &= ~ssl.OP_IGNORE_UNEXPECTED_EOF
            command += ["--certificate", str(path)]
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
            assert process.stdout is not None
            yield int(process.stdout.readline()), client
            process.kill()


# ---- what is measured


def peak_memory() -> int:
    """Return the largest amount of memory that this process ever had, in KiB."""
    try:
        status = Path("/proc/self/status").read_text()
    except OSError:
        import resource

        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return peak // 1024 if sys.platform == "darwin" else peak
    return int(status.partition("VmHWM:")[2].split()[0])


class Count:
    """What has been done, when to stop, and what was measured after the warm-up."""

    def __init__(self, limit: Limit) -> None:
        self._limit = limit
        self.done = 0
        self.sent = 0
        self.received = 0
        self._warm: int | None = None  # peak of memory after the warm-up
        self._told = 0.0  # seconds after the beginning

    def note(self, sent: int, received: int) -> None:
        """Note that a request with so many bytes, and its response, are complete."""
        self.done += 1
        self.sent += sent
        self.received += received
        if self._warm is None and self._is_warm():
            self._warm = peak_memory()
        if self._limit.passed > self._told + 10:
            self._told = self._limit.passed
            print(self, flush=True)

    def _is_warm(self) -> bool:
        """Say whether there were enough requests, or a tenth of what there will be."""
        return self.done >= WARM_UP or self._limit.progress(self.done) >= 0.1

    def goes_on(self, started: int) -> bool:
        """Say whether there is to be another request after *started* ones."""
        return not self._limit.reached(started)

    def growth(self) -> int:
        """Return by how many KiB the peak of memory has grown since the warm-up."""
        return 0 if self._warm is None else peak_memory() - self._warm

    def __str__(self) -> str:
        return (
            f"{self.done} requests in {self._limit.passed:.1f} s, {self.sent / 1e6:.1f} MB sent, "
            f"{self.received / 1e6:.1f} MB received, {self.growth()} KiB more memory, "
            f"{open_descriptors()} descriptors"
        )


# ---- the client


class WrongBodyError(Exception):
    """What arrived is not what was sent."""


def check(conn: HTTPConnection, start: int, size: int) -> None:
    """Read the next response, which is this piece of `DATA`, and nothing else."""
    response = conn.read_response()
    body = conn.readall()
    if response.status != 200 or body != DATA[start : start + size]:
        raise WrongBodyError(f"{response}: {len(body)} bytes instead of [{start}:{start + size}]")


def upload(conn: HTTPConnection, start: int, size: int, chance: random.Random) -> None:
    """Send a piece of `DATA`: at once, in pieces, or in chunks."""
    body = memoryview(DATA)[start : start + size]
    kind = chance.randrange(3)
    if kind == 0:
        conn.send_request("PUT", "/", body=body)
        return
    conn.send_request("PUT", "/", body=BodyFollowing(size if kind == 1 else None))
    step = max(size // chance.choice([1, 2, 7]), 1)
    for place in range(0, size, step):
        conn.write(body[place : place + step])
    conn.finish()


def one_after_the_other(conn: HTTPConnection, count: Count, seed: int) -> None:
    """Do small requests until it is time."""
    chance = random.Random(seed)
    while count.goes_on(count.done):
        size = chance.choice(SMALL)
        start = chance.randrange(len(DATA) - size)
        if chance.random() < 0.3:
            upload(conn, start, size, chance)
            check(conn, start, size)
            count.note(size, size)
        else:
            conn.send_request("GET", f"/{start}/{size}")
            check(conn, start, size)
            count.note(0, size)
        if count.done % RECONNECT_EVERY == 0:
            conn.disconnect()


def on_two_threads(conn: HTTPConnection, count: Count, seed: int) -> None:
    """Upload on another thread, and read here, until it is time."""
    under_way: SimpleQueue[tuple[int, int] | Exception | None] = SimpleQueue()
    room = threading.Semaphore(AHEAD)
    over = threading.Event()
    conn.connect()

    def write() -> None:
        chance = random.Random(seed)
        started = 0
        try:
            while count.goes_on(started):
                room.acquire()
                if over.is_set():
                    return
                size = chance.choice(LARGE)
                start = chance.randrange(len(DATA) - size)
                upload(conn, start, size, chance)
                under_way.put((start, size))
                started += 1
            under_way.put(None)
        except Exception as exc:
            under_way.put(exc)

    writer = threading.Thread(target=write)
    writer.start()
    try:
        while (item := under_way.get()) is not None:
            if isinstance(item, Exception):
                raise item
            check(conn, *item)
            count.note(item[1], item[1])
            room.release()
    finally:
        over.set()
        room.release()
        while writer.is_alive():  # if the reader failed, it may be about to connect again
            conn.disconnect()
            writer.join(0.01)


def soak(options: argparse.Namespace) -> int:
    """Do what the options say; return the exit status."""
    with server(options.tls) as (port, context):
        count = Count(Limit.of(options))
        work = on_two_threads if options.two_threads else one_after_the_other
        problem = None
        before = open_descriptors()
        try:
            with HTTPConnection("localhost", port, context, timeout=60) as conn:
                work(conn, count, options.seed)
        except Exception as exc:
            problem = f"after {count.done} requests: {type(exc).__name__}: {exc}"
        print(f"{count}, {before} before")
        left = open_descriptors() - before
    if problem is None and count.growth() > options.max_growth * 1024:
        problem = f"memory has grown by more than {options.max_growth:g} MiB since the warm-up"
    if problem is None and left > 0:
        problem = f"{left} descriptors were left open"
    if problem is not None:
        print(problem, file=sys.stderr)
    return Summary(count.done, "requests", options.seed, int(problem is not None)).tell()


def main(argv: list[str] | None = None) -> int:
    """See the text at the top."""
    made = parser(__doc__)
    made.add_argument("--tls", action="store_true")
    made.add_argument("--two-threads", action="store_true")
    made.add_argument("--max-growth", type=float, default=4, help="MiB of memory; default: 4")
    made.add_argument("--serve", action="store_true", help=argparse.SUPPRESS)
    made.add_argument("--certificate", help=argparse.SUPPRESS)
    options = made.parse_args(argv)
    if options.serve:
        serve(options.certificate)
        return 0
    return soak(options)


if __name__ == "__main__":
    sys.exit(main())
