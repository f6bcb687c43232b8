"""What does boto3 cost on this library, and what without it? PUTs of 4 KiB, one after the other.

The server is a loop on another core that takes each body and says that it is stored, after 100
(Continue) if that is asked for, as boto3 does. It checks no signature.

Run: ``python3 -m contrib.bench.s3 [--rounds 3] [--count 1000]``. Unit: CPU time (user + system) of
the client's process in microseconds for each PUT, its share of what boto3 alone takes, and wall
time. The clients take turns, and the least of all rounds counts; differences below the spread are
noise. Needs ``boto3``.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Final

BODY: Final = bytes(4096)
WARM_UP: Final = 20  # requests before the clock starts
MICRO: Final = 1e6
LOGIN: Final = {
    "aws_access_key_id": "me",
    "aws_secret_access_key": "secret",
    "region_name": "us-east-1",
}
SERVER: Final = """
import re, socket, threading

def serve(sock):
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    data = b""
    while True:
        while b"\\r\\n\\r\\n" not in data:
            more = sock.recv(65536)
            if not more:
                return
            data += more
        head, _, data = data.partition(b"\\r\\n\\r\\n")
        if b"100-continue" in head:
            sock.sendall(b"HTTP/1.1 100 Continue\\r\\n\\r\\n")
        length = int(re.search(rb"(?i)content-length: *([0-9]+)", head)[1])
        while len(data) < length:
            data += sock.recv(65536)
        data = data[length:]
        sock.sendall(b'HTTP/1.1 200 OK\\r\\nETag: "1"\\r\\nContent-Length: 0\\r\\n\\r\\n')

listener = socket.create_server(("127.0.0.1", 0))
print(listener.getsockname()[1], flush=True)
while True:
    threading.Thread(target=serve, args=(listener.accept()[0],), daemon=True).start()
"""
Clock = tuple[float, float]  # seconds of CPU time, and of wall time


@contextmanager
def serving(core: int | None = None) -> Iterator[int]:
    """Run the server, on *core* if that is given; give its port."""
    command = [sys.executable, "-c", SERVER]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        try:
            if core is not None:
                os.sched_setaffinity(server.pid, {core})
            assert server.stdout is not None
            yield int(server.stdout.readline())
        finally:
            server.kill()


def clients(port: int) -> dict[str, Callable[[], Any]]:
    """Return what sends a PUT, by name: through boto3, alone and on this library, and without."""
    import boto3
    from botocore.config import Config

    from dugong_like import Client
    from dugong_like.adapters.botocore import install

    url = f"http://127.0.0.1:{port}"
    config = Config(s3={"addressing_style": "path"})
    alone, here = (
        session.client("s3", endpoint_url=url, config=config)
        for session in (boto3.Session(**LOGIN), install(boto3.Session(**LOGIN)))
    )
    plain = Client()
    return {
        "boto3": lambda: alone.put_object(Bucket="b", Key="k", Body=BODY),
        "boto3 on dugong_like": lambda: here.put_object(Bucket="b", Key="k", Body=BODY),
        "dugong_like, without signatures": lambda: plain.put(f"{url}/b/k", content=BODY),
    }


def timed(send: Callable[[], Any], count: int) -> Clock:
    """Return how long *count* requests take."""
    for _ in range(WARM_UP):
        send()
    used, started = time.process_time(), time.perf_counter()
    for _ in range(count):
        send()
    return time.process_time() - used, time.perf_counter() - started


def main(arguments: list[str] | None = None) -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--count", type=int, default=1000)
    options = parser.parse_args(arguments)
    cores = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else []
    rows: dict[str, list[Clock]] = {}
    with serving(cores[-1] if len(cores) > 1 else None) as port:
        if len(cores) > 1:
            os.sched_setaffinity(0, {cores[0]})
        try:
            senders = clients(port)
            for _ in range(options.rounds):
                for name, send in senders.items():
                    rows.setdefault(name, []).append(timed(send, options.count))
        finally:
            if len(cores) > 1:
                os.sched_setaffinity(0, set(cores))
    print(f"{'':32} {'CPU µs':>8} {'of boto3':>8} {'wall µs':>8} {'spread':>7}")
    alone = 0.0  # CPU time of the first one, which is boto3 alone
    for name, clocks in rows.items():
        used, wall = (min(column) * MICRO / options.count for column in zip(*clocks, strict=True))
        spread = max(clock[0] for clock in clocks) * MICRO / options.count / used - 1
        alone = alone or used
        print(f"{name:32} {used:8.0f} {used / alone:8.0%} {wall:8.0f} {spread:7.0%}")


if __name__ == "__main__":
    main()
