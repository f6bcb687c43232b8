"""What does one sequential keep-alive GET of 1 KiB cost, against nginx on loopback?

Unit: microseconds of CPU (user + system) of the client process for each request. The
clients take turns, each in a fresh process, in one run: a raw socket loop that parses
nothing (the floor), this library's blocking calls, and http.client. Ratios to the floor hold on
a noisy machine; absolute figures do not.

Run: ``python contrib/bench/sequential.py [--requests 5000] [--rounds 5] [--tls]
[--cores 1|2]``. Needs nginx (Debian: nginx-light), and trustme with ``--tls``. Exit status 1
if this library is slower than 2.5 times the floor, or not twice as fast as http.client.
"""

from __future__ import annotations

import argparse
import http.client
import json
import os
import resource
import shutil
import socket
import ssl
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from dugong_like import HTTPConnection

BODY = bytes(range(256)) * 4  # 1 KiB
PATH = "/1k"
MOST_TIMES_FLOOR = 2.5
LEAST_TIMES_FASTER = 2.0
CONFIG = """
daemon off; worker_processes 1; pid {root}/pid; error_log {root}/error.log;
events {{ worker_connections 1024; }}
http {{
  access_log off; keepalive_requests 100000000; sendfile on; tcp_nopush on;
  client_body_temp_path {root}/t1; proxy_temp_path {root}/t2; fastcgi_temp_path {root}/t3;
  uwsgi_temp_path {root}/t4; scgi_temp_path {root}/t5;
  server {{ listen 127.0.0.1:{port}{tls}; root {root}/www; }}
}}
"""


def floor(port: int, count: int, context: ssl.SSLContext | None) -> None:
    """The least that a client can do: send, receive, look for the body's last bytes."""
    sock = socket.create_connection(("127.0.0.1", port))
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    if context is not None:
        sock = context.wrap_socket(sock, server_hostname="localhost")
    request = f"GET {PATH} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n\r\n".encode()
    buffer = bytearray(65536)
    with memoryview(buffer) as view, sock:
        for _ in range(count):
            sock.sendall(request)
            end = sock.recv_into(view)
            body = buffer.find(b"\r\n\r\n", 0, end) + 4
            while end - body < len(BODY):
                end += sock.recv_into(view[end:])
        assert buffer[body:end] == BODY


def dugong_like(port: int, count: int, context: ssl.SSLContext | None) -> None:
    """This library, blocking."""
    name = "127.0.0.1" if context is None else "localhost"
    with HTTPConnection(name, port, context) as conn:
        for _ in range(count):
            conn.send_request("GET", PATH)
            conn.read_response()
            body = conn.readall()
        assert body == BODY


def http_client(port: int, count: int, context: ssl.SSLContext | None) -> None:
    """The standard library."""
    if context is None:
        conn = http.client.HTTPConnection("127.0.0.1", port)
    else:
        conn = http.client.HTTPSConnection("localhost", port, context=context)
    for _ in range(count):
        conn.request("GET", PATH)
        body = conn.getresponse().read()
    assert body == BODY
    conn.close()


CLIENTS: dict[str, Callable[[int, int, ssl.SSLContext | None], None]] = {
    "floor": floor,
    "dugong_like": dugong_like,
    "http.client": http_client,
}


def measure(client: str, port: int, count: int, ca: str | None) -> None:
    """Run in a fresh process: print CPU microseconds for each request."""
    context = None if ca is None else ssl.create_default_context(cafile=ca)
    CLIENTS[client](port, count // 10, context)  # warm up
    before = resource.getrusage(resource.RUSAGE_SELF)
    CLIENTS[client](port, count, context)
    after = resource.getrusage(resource.RUSAGE_SELF)
    used = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    print(used / count * 1e6)


@contextmanager
def nginx(tls: bool) -> Iterator[tuple[int, str | None]]:
    """Run nginx on a free port; yield the port and the file of the CA certificate."""
    program = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin")
    if program is None:
        sys.exit("this benchmark needs nginx (Debian: nginx-light)")
    with tempfile.TemporaryDirectory() as folder, socket.socket() as probe:
        root = Path(folder)
        (root / "www").mkdir()
        (root / "www" / PATH[1:]).write_bytes(BODY)
        root.chmod(0o755)
        ca, directives = make_certificates(root) if tls else (None, "")
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
        probe.close()
        (root / "conf").write_text(CONFIG.format(root=root, port=port, tls=directives))
        server = subprocess.Popen(
            [program, "-c", str(root / "conf"), "-e", str(root / "error.log")],
            stderr=subprocess.DEVNULL,
        )
        try:
            for _ in range(100):
                with socket.socket() as attempt:
                    if attempt.connect_ex(("127.0.0.1", port)) == 0:
                        break
                time.sleep(0.05)
            yield port, ca
        finally:
            server.terminate()
            server.wait()


def make_certificates(root: Path) -> tuple[str, str]:
    """Make a CA and a certificate; return the CA's file and what nginx's listen needs."""
    import trustme

    authority = trustme.CA()
    certificate = authority.issue_cert("localhost", "127.0.0.1")
    authority.cert_pem.write_to_path(root / "ca.pem")
    certificate.private_key_and_cert_chain_pem.write_to_path(root / "cert.pem")
    lines = f" ssl; ssl_certificate {root}/cert.pem; ssl_certificate_key {root}/cert.pem"
    return str(root / "ca.pem"), lines


def main() -> int:
    """Measure all clients and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--requests", type=int, default=5000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--tls", action="store_true")
    parser.add_argument("--cores", type=int, choices=(1, 2), default=1)
    parser.add_argument("--client", help=argparse.SUPPRESS)
    parser.add_argument("--port", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--ca", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.client:
        measure(options.client, options.port, options.requests, options.ca)
        return 0
    os.sched_setaffinity(0, set(sorted(os.sched_getaffinity(0))[: options.cores]))
    figures: dict[str, list[float]] = {client: [] for client in CLIENTS}
    with nginx(options.tls) as (port, ca):
        for _ in range(options.rounds):
            for client, list_ in figures.items():
                command = [sys.executable, __file__, "--client", client, "--port", str(port)]
                command += ["--requests", str(options.requests)] + (["--ca", ca] if ca else [])
                list_.append(float(subprocess.check_output(command)))
    return report(figures)


def report(figures: dict[str, list[float]]) -> int:
    """Print medians, spreads and ratios; return 1 if a goal is missed."""
    medians = {client: statistics.median(list_) for client, list_ in figures.items()}
    print(f"{'client':12} {'CPU us/GET':>10} {'spread':>7} {'x floor':>8}")
    for client, list_ in figures.items():
        spread = (max(list_) - min(list_)) / medians[client]
        ratio = medians[client] / medians["floor"]
        print(f"{client:12} {medians[client]:10.1f} {spread:7.0%} {ratio:8.2f}")
    print(json.dumps({client: round(value, 2) for client, value in medians.items()}))
    ours = medians["dugong_like"]
    slow = ours > MOST_TIMES_FLOOR * medians["floor"]
    return int(slow or ours * LEAST_TIMES_FASTER > medians["http.client"])


if __name__ == "__main__":
    sys.exit(main())
