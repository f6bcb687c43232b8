"""A client over HTTP/2 with a server that ends each connection after a few requests: nginx.

Tasks of asyncio send requests by one `AsyncClient`; then threads and a `Loop` share a `Client`;
then `Client.map` sends them. Each request has a number of its own, and a third of them are POST.
The log of the server has to have each number exactly once, and no error may reach a caller, though
nginx refuses by GOAWAY what comes after its last request (``keepalive_requests``).

Run: ``python3 -m contrib.torture.http2_client [--seconds N] [--count N] [--seed 1] [--requests 50]
[--tasks 200] [--threads 16]``, with nginx and the package ``trustme``. Exit status 1 if anything
was wrong.
"""

from __future__ import annotations

import asyncio
import os
import socket
import ssl
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any, Final

from dugong_like import AsyncClient, Client, Co, run
from dugong_like.drivers.loop import Loop

from .program import Limit, Summary, open_descriptors, parser

PATIENCE: Final = 60.0  # seconds after which an exchange hangs
MOST_BODY: Final = 5000  # bytes
SHOWN: Final = 10  # problems of each kind
NGINX: Final = """
{user}daemon off; worker_processes 2; pid {folder}/pid; error_log {folder}/error.log;
events {{ worker_connections 1024; }}
http {{
  log_format one "$request_method $request_uri $status"; access_log {folder}/access.log one;
  keepalive_requests {requests};
  client_body_temp_path {folder}/t1; proxy_temp_path {folder}/t2; fastcgi_temp_path {folder}/t3;
  uwsgi_temp_path {folder}/t4; scgi_temp_path {folder}/t5;
  ssl_certificate {folder}/both.pem; ssl_certificate_key {folder}/both.pem;
  server {{
    listen 127.0.0.1:{port} ssl http2;
    location / {{ return 200 "$request_uri"; }}
    location /POST/ {{ proxy_pass http://unix:{folder}/back; }}
  }}
  server {{
    listen unix:{folder}/back;
    access_log off;
    location / {{ return 200 "$request_uri"; }}
  }}
}}
"""


class Nginx:
    """A server that has begun.

    Args:
        folder: of its files.
        port: where it listens.
        trusting: a context of clients that trust it.

    """

    def __init__(self, folder: Path, port: int, trusting: ssl.SSLContext) -> None:
        self._folder = folder
        self.url = f"https://localhost:{port}"
        self.trusting = trusting

    def seen(self) -> Counter[str]:
        """Return the lines of its log."""
        return Counter((self._folder / "access.log").read_text().splitlines())


@contextmanager
def nginx(requests: int) -> Iterator[Nginx]:
    """Run nginx, which ends each connection after so many *requests*."""
    import trustme

    with tempfile.TemporaryDirectory() as name, socket.socket() as place:
        folder = Path(name)
        folder.chmod(0o755)
        authority = trustme.CA()
        trusting = ssl.create_default_context()
        authority.configure_trust(trusting)
        trusting.options &= ~ssl.OP_IGNORE_UNEXPECTED_EOF  # some builds of Python set it
        made = authority.issue_cert("localhost")
        made.private_key_and_cert_chain_pem.write_to_path(folder / "both.pem")
        # Bound until the end: the system gives any free port to the connections of all programs, so
        # one might have it before nginx. That may bind it as well, as both say that they allow it.
        place.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        place.bind(("127.0.0.1", 0))
        port = place.getsockname()[1]
        user = "user root; " if os.geteuid() == 0 else ""  # or it could not read the folder
        config = folder / "nginx.conf"
        config.write_text(NGINX.format(folder=folder, port=port, requests=requests, user=user))
        command = ["nginx", "-c", str(config), "-e", str(folder / "error.log")]
        with subprocess.Popen(command, stdin=subprocess.DEVNULL) as process:
            try:
                wait_for(port, process)
                yield Nginx(folder, port, trusting)
            finally:
                process.terminate()  # its workers end with it


def wait_for(port: int, process: subprocess.Popen[bytes]) -> None:
    """Wait until *port* accepts.

    Raises:
        RuntimeError: *process* has ended before.

    """
    until = time.monotonic() + PATIENCE
    while True:
        try:
            socket.create_connection(("127.0.0.1", port)).close()
        except OSError:
            if process.poll() is not None or time.monotonic() > until:
                raise RuntimeError("nginx does not accept connections") from None
            time.sleep(0.02)
        else:
            return


class Requests:
    """Requests with numbers, for any number of users at the same time.

    Args:
        limit: of all of them together.

    Attributes:
        problems: errors that have reached a caller, and wrong responses.
        sent: the lines that the log is to have.

    """

    def __init__(self, limit: Limit) -> None:
        self.problems: list[str] = []
        self.sent: list[str] = []
        self._limit = limit
        self._lock = threading.Lock()

    def next(self) -> tuple[str, str, bytes | None] | None:
        """Return method, target and body of the next one; None after the last one."""
        with self._lock:
            number = len(self.sent)
            if number and self._limit.reached(number):  # a slow machine sends one, too
                return None
            method = "GET" if number % 3 else "POST"
            target = f"/{method}/{number}"
            self.sent.append(f"{method} {target} 200")
        return method, target, None if number % 3 else b"x" * (number % MOST_BODY)

    def note(self, target: str, response: Any) -> None:
        """Check the response to a request."""
        if (response.status_code, response.content) != (200, target.encode()):
            self.problems.append(f"{target} was answered by {response}: {response.content[:50]!r}")

    async def work(self, client: AsyncClient) -> None:
        """Send requests one after the other, as a task."""
        while (one := self.next()) is not None:
            method, target, body = one
            try:
                self.note(target, await client.request(method, target, content=body))
            except Exception as exc:  # each is a problem
                self.problems.append(f"{method} {target}: {exc!r}")

    def co_work(self, client: Client) -> Co[None]:
        """Send requests one after the other, as an operation."""
        while (one := self.next()) is not None:
            method, target, body = one
            try:
                response = yield from client.co_request(method, target, content=body)
                self.note(target, response)
            except Exception as exc:  # each is a problem
                self.problems.append(f"{method} {target}: {exc!r}")

    def check(self, seen: Counter[str]) -> None:
        """Compare the log of the server with what was sent."""
        sent = Counter(self.sent)
        for line, times in ((sent - seen) + (seen - sent)).items():
            self.problems.append(f"{line}: seen {seen[line]} times ({times} too many or too few)")


def options_of(server: Nginx) -> dict[str, Any]:
    """Return the arguments of a client of *server*."""
    return {
        "base_url": server.url,
        "ssl_context": server.trusting,
        "timeout": PATIENCE,
        "trust_env": False,
        "versions": ("h2", "http/1.1"),
    }


def on_tasks(server: Nginx, requests: Requests, count: int) -> None:
    """Let so many tasks share an `AsyncClient`."""

    async def main() -> None:
        async with AsyncClient(**options_of(server)) as client:
            await asyncio.gather(*(requests.work(client) for _ in range(count)))

    asyncio.run(main())


def on_threads(server: Nginx, requests: Requests, count: int) -> None:
    """Let so many threads, and as many operations of a `Loop`, share a `Client`."""
    with Client(**options_of(server)) as client, Loop() as loop:
        threads = [
            threading.Thread(target=lambda: run(requests.co_work(client))) for _ in range(count)
        ]
        for thread in threads:
            thread.start()
        for _ in range(count):
            loop.spawn(requests.co_work(client))
        loop.run_all()
        for thread in threads:
            thread.join()


def by_map(server: Nginx, requests: Requests) -> None:
    """Let `Client.map` send them."""
    with Client(**options_of(server)) as client:
        given = (
            client.build_request(method, target, content=body)
            for method, target, body in iter(requests.next, None)
        )
        for item in client.map(given, errors="return"):
            assert item.request is not None
            if item.error is not None:
                requests.problems.append(f"{item.request!r}: {item.error!r}")
            else:
                requests.note(item.request.url.target, item.response)


def main(argv: list[str] | None = None) -> int:
    """Send all requests, and print what came of them."""
    options = parser(__doc__ or "")
    options.add_argument("--requests", type=int, default=50, help="of a connection")
    options.add_argument("--tasks", type=int, default=200, help="of asyncio")
    options.add_argument("--threads", type=int, default=16, help="and as many of a loop")
    given = options.parse_args(argv)
    count = 0
    problems: list[str] = []
    ways: dict[str, Callable[[Nginx, Requests], None]] = {
        "tasks": partial(on_tasks, count=given.tasks),
        "threads and a loop": partial(on_threads, count=given.threads),
        "map": by_map,
    }
    asyncio.run(asyncio.sleep(0))  # it may keep descriptors
    before = open_descriptors()
    for name, go in ways.items():
        with nginx(given.requests) as server:
            requests = Requests(Limit.of(given, len(ways)))  # its time begins when that is ready
            go(server, requests)
            until = time.monotonic() + PATIENCE
            while sum(server.seen().values()) < len(requests.sent) and time.monotonic() < until:
                if requests.problems:
                    break
                time.sleep(0.01)  # it writes its log after the response
            requests.check(server.seen())
        count += len(requests.sent)
        problems += requests.problems
        print(f"{name}: {len(requests.sent)} requests", flush=True)
        for problem in requests.problems[:SHOWN]:
            print(f"VIOLATION: {problem}", flush=True)
    if (left := open_descriptors() - before) > 0:
        problems.append(f"{left} descriptors are left open")
        print(f"VIOLATION: {problems[-1]}", flush=True)
    return Summary(count, "requests over HTTP/2", given.seed, len(problems)).tell()


if __name__ == "__main__":
    sys.exit(main())
