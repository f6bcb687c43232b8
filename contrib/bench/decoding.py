"""Which clients decode what they receive as the formats demand, and nothing else?

Each gets the bodies of coded_bodies.py from a server on loopback that sends them as they are. The
right result of a valid body is its content, and of a broken one any exception. Bodies of br and
zstd count for the clients that ask for them: install brotli, backports.zstd and zstandard.

Run: ``python3 -m contrib.bench.decoding [--clients NAME,NAME] [--path NAME=FOLDER]``. Prints a
table of the bodies that not every client gets right, how many each gets right, and what gzip costs
here. Exit status 1 if this library gets one wrong. A client that is not installed is left out; for
niquests, which does not go with urllib3, see ``python3 -m contrib.bench --help``.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import gzip
import hashlib
import json
import os
import random
import re
import socket
import subprocess
import sys
import threading
import time
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

from .coded_bodies import OURS, Case, all_cases

TIMEOUT: Final = 20  # seconds for one body; a client that waits for more is wrong
ROOT: Final = Path(__file__).parents[2]
RIGHT, TAKEN, LOST, REFUSED, UNASKED = "-", "TAKEN", "LOST", "REFUSED", ""
OPTIONAL: Final = ("br", "zstd")  # codings that clients have with a library only
LEGEND: Final = (
    f"{TAKEN}: a broken body is taken for a whole one. {LOST}: content is missing, or is other "
    f"content. {REFUSED}: a valid body is an error."
)
Fetch = Callable[[str], bytes]


def own(url: str) -> bytes:
    """Fetch with this library."""
    from dugong_like import URL, HTTPConnection
    from dugong_like.http.codings import accept_encoding, decode_all

    origin, fields = URL(url).origin, {"Accept-Encoding": accept_encoding()}
    with HTTPConnection(origin.host, origin.port) as conn:
        reply = conn.exchange("GET", URL(url).path, fields)
    return decode_all(reply.body, reply.headers)


def like_requests(name: str) -> Fetch:
    """Return a function that fetches with requests or niquests."""
    module = __import__(name)
    return lambda url: bytes(module.get(url, timeout=TIMEOUT).content or b"")


def like_httpx(name: str) -> Fetch:
    """Return a function that fetches with httpx or httpx2."""
    module = __import__(name)
    client = module.Client(timeout=TIMEOUT, trust_env=False)
    return lambda url: bytes(client.get(url).content)


def by_urllib3(_: str) -> Fetch:
    """Return a function that fetches with urllib3."""
    import urllib3

    pool = urllib3.PoolManager(timeout=TIMEOUT, retries=False)
    fields = urllib3.util.make_headers(accept_encoding=True)
    return lambda url: pool.request("GET", url, headers=fields).data


def by_aiohttp(_: str) -> Fetch:
    """Return a function that fetches with aiohttp."""
    import aiohttp

    async def fetch(url: str) -> bytes:
        limit = aiohttp.ClientTimeout(total=TIMEOUT)
        async with aiohttp.ClientSession(timeout=limit) as session, session.get(url) as response:
            return await response.read()

    return lambda url: asyncio.run(fetch(url))


def by_pyreqwest(_: str) -> Fetch:
    """Return a function that fetches with pyreqwest."""
    from pyreqwest.client import SyncClientBuilder

    client = SyncClientBuilder().build()
    return lambda url: bytes(client.get(url).build().send().bytes())


def by_pycurl(_: str) -> Fetch:
    """Return a function that fetches with pycurl."""
    import pycurl

    def fetch(url: str) -> bytes:
        parts: list[bytes] = []
        curl = pycurl.Curl()
        curl.setopt(pycurl.URL, url)
        curl.setopt(pycurl.ENCODING, "")
        curl.setopt(pycurl.TIMEOUT, TIMEOUT)
        curl.setopt(pycurl.WRITEFUNCTION, parts.append)
        with contextlib.closing(curl):
            curl.perform()
        return b"".join(parts)

    return fetch


CLIENTS: Final[dict[str, Callable[[str], Fetch]]] = {
    "dugong_like": lambda _: own,
    "httpx2": like_httpx,
    "httpx": like_httpx,
    "requests": like_requests,
    "urllib3": by_urllib3,
    "niquests": like_requests,
    "aiohttp": by_aiohttp,
    "pyreqwest": by_pyreqwest,
    "pycurl": by_pycurl,
}


@contextlib.contextmanager
def serving(cases: list[Case], asked: set[str]) -> Iterator[int]:
    """Serve each body at its number, on a thread; yield the port.

    The codings of Accept-Encoding are added to *asked*.
    """
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            while True:
                try:
                    connection, _ = listener.accept()
                except OSError:
                    return  # closed
                with connection, contextlib.suppress(OSError):
                    answer(connection, cases, asked)

        thread = threading.Thread(target=serve)
        thread.start()
        yield int(listener.getsockname()[1])
        listener.shutdown(socket.SHUT_RDWR)
    thread.join()


def answer(connection: socket.socket, cases: list[Case], asked: set[str]) -> None:
    """Answer one request, and close."""
    head = b""
    while b"\r\n\r\n" not in head:
        if not (data := connection.recv(65536)):
            return
        head += data
    case = cases[int(head.split()[1][1:])]
    for value in re.findall(r"(?im)^accept-encoding:(.*)", head.decode("latin-1")):
        asked.update(element.split(";")[0].strip() for element in value.split(","))
    connection.sendall(
        b"HTTP/1.1 200 OK\r\nContent-Type: application/octet-stream\r\nConnection: close\r\n"
        b"Content-Encoding: %b\r\nContent-Length: %d\r\n\r\n%b"
        % (case.codings.encode(), len(case.wire), case.wire)
    )
    connection.shutdown(socket.SHUT_WR)
    while connection.recv(65536):
        pass


def child(name: str, port: int, count: int) -> None:
    """Fetch all bodies with one client, and print the results as JSON."""
    try:
        fetch = CLIENTS[name](name)
    except ImportError as exc:
        print(json.dumps({"missing": str(exc)}))
        return
    results = []
    for number in range(count):
        try:
            results.append(digest(fetch(f"http://127.0.0.1:{port}/{number}")))
        except Exception:
            results.append("")
        except BaseException as exc:  # a panic of Rust is none
            if isinstance(exc, KeyboardInterrupt | SystemExit):
                raise
            results.append("")
    print(json.dumps({"results": results}))


def digest(data: bytes) -> str:
    """Return what identifies *data*."""
    return hashlib.sha256(data).hexdigest()


def fetched(name: str, port: int, count: int, folder: str | None) -> dict[str, Any]:
    """Run `child` in a process of its own, with *folder* in front of the path."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, [folder, str(ROOT)]))}
    command = [sys.executable, "-m", __spec__.name if __spec__ else "contrib.bench.decoding"]
    done = subprocess.run(
        [*command, "--child", name, str(port), str(count)],
        capture_output=True, text=True, check=False, env=environment, cwd=ROOT,
    )  # fmt: skip
    if done.returncode:
        return {"missing": f"failed: {done.stderr.strip().splitlines()[-1:]}"}
    result: dict[str, Any] = json.loads(done.stdout)
    return result


def judge(case: Case, result: str, asked: set[str]) -> str:
    """Return the verdict on *result*, a digest, or "" for an exception."""
    if any(coding in case.codings and coding not in asked for coding in OPTIONAL):
        return UNASKED
    if case.content is None:
        return TAKEN if result else RIGHT
    if not result:
        return REFUSED
    return RIGHT if result == digest(case.content) else LOST


def table(cases: list[Case], verdicts: dict[str, list[str]]) -> Iterator[str]:
    """Yield the lines of the table."""
    labels = [f"{case.codings.strip()}: {case.name}" for case in cases]
    wide = max(map(len, labels))
    yield " ".join([" " * wide, *(f"{name:>11}" for name in verdicts)])
    for label, row in zip(labels, zip(*verdicts.values(), strict=True), strict=True):
        if not set(row) <= {RIGHT, UNASKED}:
            yield " ".join([f"{label:{wide}}", *(f"{mark:>11}" for mark in row)])
    counts = (f"{row.count(RIGHT)}/{len(row) - row.count(UNASKED)}" for row in verdicts.values())
    yield " ".join([f"{'right':{wide}}", *(f"{count:>11}" for count in counts)])


def cost(rounds: int = 15, times: int = 100) -> str:
    """Return what decoding a body of 100 KiB costs, and zlib alone: the least of all rounds."""
    from dugong_like.http.codings import decode_all

    dice = random.Random(1)
    items = [{"id": dice.random(), "name": f"item {dice.randrange(99999)}"} for _ in range(3000)]
    content = json.dumps(items).encode()[:102_400]
    wire = gzip.compress(content)
    whole: list[Callable[[], bytes]] = [
        lambda: decode_all(wire, "gzip", len(content)),
        lambda: zlib.decompress(wire, 31),
    ]
    best = [1.0, 1.0]
    for _ in range(rounds):
        for at, decode in enumerate(whole):
            start = time.process_time()
            for _ in range(times):
                decode()
            best[at] = min(best[at], (time.process_time() - start) / times)
    ours, alone = (seconds * 1e6 for seconds in best)
    return f"gzip, 100 KiB of JSON: {ours:.0f} µs, zlib alone {alone:.0f} µs"


def arguments() -> argparse.Namespace:
    """Return the arguments."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("--clients", default=",".join(CLIENTS), help="names, separated by commas")
    parser.add_argument("--path", action="append", default=[], metavar="NAME=FOLDER")
    parser.add_argument("--child", nargs=3, help=argparse.SUPPRESS)
    return parser.parse_args()


def main() -> int:
    """Ask all clients, and print the table."""
    options = arguments()
    if options.child:
        name, port, count = options.child
        child(name, int(port), int(count))
        return 0
    names = options.clients.split(",")
    if unknown := set(names) - set(CLIENTS):
        sys.exit(f"not known: {', '.join(sorted(unknown))}; there are {', '.join(CLIENTS)}")
    folders = dict(entry.split("=", 1) for entry in options.path)
    cases = [case for case in all_cases() if case.name not in OURS]
    verdicts = {}
    asked: set[str] = set()
    with serving(cases, asked) as port:
        for name in names:
            asked.clear()
            answered = fetched(name, port, len(cases), folders.get(name))
            if "missing" in answered:
                print(f"{name} is left out: {answered['missing']}")
                continue
            pairs = zip(cases, answered["results"], strict=True)
            verdicts[name] = [judge(case, result, asked) for case, result in pairs]
    print("\n".join(table(cases, verdicts)))
    print(f"\n{LEGEND}\n{cost()}")
    return int(any(verdict != RIGHT for verdict in verdicts.get("dugong_like", ())))


if __name__ == "__main__":
    sys.exit(main())
