"""nginx on loopback, with and without TLS, and the files that it serves.

Everything is in one temporary folder, in memory if the system has /dev/shm, so that no disk is
measured. Uploads go to another server: see sink.py.
"""

from __future__ import annotations

import errno
import gzip
import hashlib
import json
import os
import random
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any, Final

from .link import SERVER

CHECKOUT: Final = Path(__file__).resolve().parents[2]
SMALL: Final = 1024  # bytes of a small body
PATHS: Final = [f"/small/{number:02}" for number in range(16)]  # bodies differ, lengths do not
UNLIKE: Final = [path.replace("small", "unlike") for path in PATHS]  # no two heads are the same
FIELDS: Final = [path.replace("small", "fields") for path in PATHS]  # with 50 response fields
ASKED: Final = [path.replace("small", "asked") for path in PATHS]  # only with `REQUEST_FIELDS`
JSON: Final = [path.replace("small", "json") for path in PATHS]  # POST, and GET
GZIP: Final = [path.replace("small", "gzip") for path in PATHS]  # JSON, compressed
EVENTS: Final = "/events/0"  # a stream of server-sent events
EVENT_COUNT: Final = 1000  # events in it
GZIP_SIZE: Final = 100 * 1024  # bytes before it is compressed
REQUEST_FIELDS: Final = {
    "User-Agent": "example/1.0",
    "Accept": "application/octet-stream",
    "Authorization": "Bearer 0123456789abcdef0123456789abcdef",
}
CLOSES: Final = (100, 1000)  # requests after which /closes/N/ ends the connection
READ_FIELD: Final = 21  # the number of the one that is read, in the middle if possible
USUAL_FIELDS: Final = 8  # that nginx sends with a file
START_TIME: Final = 60  # seconds for nginx to accept connections
BLOCK: Final = 1 << 20  # bytes that large files are made of

CONFIG = """
{user}daemon off; worker_processes 1; worker_rlimit_nofile {files}; pid {root}/pid-{host};
error_log {root}/error.log;
events {{ worker_connections {files}; }}
http {{
  access_log off; sendfile on; tcp_nopush on;
  keepalive_requests 100000000; keepalive_timeout 600;
  client_body_temp_path {root}/t1; proxy_temp_path {root}/t2; fastcgi_temp_path {root}/t3;
  uwsgi_temp_path {root}/t4; scgi_temp_path {root}/t5;
  # one cipher for everybody, or the choice of a client's TLS library would be measured
  ssl_certificate {root}/cert.pem; ssl_certificate_key {root}/cert.pem;
  ssl_protocols TLSv1.2 TLSv1.3; ssl_ciphers ECDHE+AES128+AESGCM;
  ssl_conf_command Ciphersuites TLS_AES_128_GCM_SHA256;
  # nobody resumes a session: whether a client does that by itself would be measured
  ssl_session_tickets off; ssl_session_cache off;
  server {{
    listen {host}:{port} backlog=4096;
    listen {host}:{tls_port} ssl backlog=4096;
    root {root}/www;
{locations}  }}
  server {{
    listen {host}:{http2_port}{on_listen} backlog=4096;
    listen {host}:{http2_tls_port} ssl{on_listen} backlog=4096;
    root {root}/www; sendfile off;  # with it the second frame of an answer waits for an ACK
{http2_lines}{locations}  }}
}}
"""
HTTP2_DIRECTIVE: Final = (1, 25, 1)  # the version of nginx that has one for it

# Uploads over HTTP/2 go through nginx, as they arrive: the other server does not speak it.
UPLOAD_LOCATIONS = """
    location ~ ^/(hash|sink)$ {{
      proxy_pass http://127.0.0.1:{port}; proxy_http_version 1.1;
      proxy_request_buffering off; client_max_body_size 0;
    }}
"""

# POST is answered like GET: nginx has no such thing for files.
JSON_LOCATIONS = """
    location /json/ {{
      alias {root}/www/json/; default_type application/json; error_page 405 =200 $uri;
    }}
    location /gzip/ {{
      alias {root}/www/gzip/; default_type application/json; add_header Content-Encoding gzip;
    }}
    location /events/ {{ alias {root}/www/events/; default_type text/event-stream; }}
"""

OPENSSL_CONFIG = """
openssl_conf = libraries
[libraries]
ssl_conf = uses
[uses]
system_default = everywhere
[everywhere]
Ciphersuites = TLS_AES_128_GCM_SHA256
CipherString = ECDHE+AES128+AESGCM
"""


class Site:
    """The folder of a run: the served files, the certificates, and nginx itself.

    Attributes:
        root: the folder.
        ports: where nginx listens, without and with TLS.
        http2_ports: the same for HTTP/2, and for nothing else without TLS.
        upload_ports: where uploads go, without and with TLS.
        sums: SHA-256 of the large files, by path.

    """

    def __init__(self, root: Path) -> None:
        self.root = root
        *self.ports, plain, tls = free_ports(4)
        self.http2_ports = [plain, tls]
        self.upload_ports: list[int] = []
        self.sums: dict[str, str] = {}
        self._make_certificates()
        now = time.time()
        for number, path in enumerate(PATHS):
            body = random.Random(number).randbytes(SMALL)
            file = self.file(path)
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(body)
            os.utime(file, (now, now - number))  # another Last-Modified and ETag for each
        for number, (path, compressed) in enumerate(zip(JSON, GZIP, strict=True)):
            self._write(path, json.dumps(json_value(number, SMALL)).encode())
            self._write(
                compressed, gzip.compress(json.dumps(json_value(number, GZIP_SIZE)).encode())
            )

        events = [f"event: delta\ndata: {event_data(number)}\n\n" for number in range(EVENT_COUNT)]
        self._write(EVENTS, "".join(events).encode())

    def file(self, path: str) -> Path:
        """Return the file behind *path*."""
        return self.root / "www" / path[1:]

    def _write(self, path: str, body: bytes) -> None:
        file = self.file(path)
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(body)

    def make_large(self, size: int) -> None:
        """Make /large/SIZE with so many bytes, no two MiB alike, and note its SHA-256."""
        path = f"/large/{size}"
        if path in self.sums:
            return
        block = random.Random(size).randbytes(BLOCK - 8)
        sum_ = hashlib.sha256()
        file = self.file(path)
        file.parent.mkdir(parents=True, exist_ok=True)
        with file.open("wb") as out:
            for start in range(0, size, BLOCK):
                data = (start.to_bytes(8, "big") + block)[: size - start]
                out.write(data)
                sum_.update(data)
        self.sums[path] = sum_.hexdigest()

    def _make_certificates(self) -> None:
        try:
            import trustme
        except ImportError:
            sys.exit("the benchmarks need trustme, pip install '.[bench]'")
        authority = trustme.CA()
        certificate = authority.issue_cert("127.0.0.1", "localhost", SERVER)
        authority.cert_pem.write_to_path(self.root / "ca.pem")
        certificate.private_key_and_cert_chain_pem.write_to_path(self.root / "cert.pem")

    def _config(self, counts_of_fields: Iterable[int], host: str) -> str:
        locations = _location(self.root, "/unlike/", ["X-Request-Id $request_id"])
        locations += _location(self.root, "/asked/", (), REQUEST_FIELDS)
        for path, count in [("/fields/", 50), *((f"/growth/{n}/", n) for n in counts_of_fields)]:
            locations += _location(self.root, path, _fields(count))
        for count in CLOSES:
            locations += (
                f"    location /closes/{count}/ {{ alias {self.root}/www/small/;"
                f" keepalive_requests {count}; }}\n"
            )
        locations += JSON_LOCATIONS.format(root=self.root)
        files = 20000
        with suppress(ImportError):
            import resource

            files = min(files, resource.getrlimit(resource.RLIMIT_NOFILE)[1])
        directive = nginx_version() >= HTTP2_DIRECTIVE
        http2_lines = "    http2 on;\n" if directive else ""
        if self.upload_ports:
            http2_lines += UPLOAD_LOCATIONS.format(port=self.upload_ports[0])
        return CONFIG.format(
            host=host,
            http2_port=self.http2_ports[0],
            http2_tls_port=self.http2_ports[1],
            on_listen="" if directive else " http2",
            http2_lines=http2_lines,
            user="user root; " if os.geteuid() == 0 else "",
            root=self.root,
            port=self.ports[0],
            tls_port=self.ports[1],
            files=files,
            locations=locations,
        )

    @contextmanager
    def sink(self) -> Iterator[None]:
        """Run the server for uploads; see sink.py."""
        config = self.root / "openssl.cnf"
        config.write_text(OPENSSL_CONFIG)
        command = [sys.executable, "-m", "contrib.bench.sink", str(self.root / "cert.pem")]
        with running(command, OPENSSL_CONF=str(config)) as process:
            assert process.stdout is not None
            self.upload_ports = [int(port) for port in process.stdout.readline().split()]
            yield

    @contextmanager
    def nginx(
        self,
        counts_of_fields: Iterable[int] = (),
        *,
        host: str = "127.0.0.1",
        before: Sequence[str] = (),
    ) -> Iterator[None]:
        """Run nginx; /growth/N/ answers with N fields for each N of *counts_of_fields*.

        Uploads over HTTP/2 go to the server of `sink`, if it runs.

        Args:
            counts_of_fields: see above.
            host: address.
            before: words before the command, which have it run where that address is.

        """
        program = find_nginx()
        config = self.root / f"nginx-{host}.conf"
        config.write_text(self._config(counts_of_fields, host))
        command = [*before, program, "-c", str(config), "-e", str(self.root / "error.log")]
        with running(command) as process:
            _wait_for_file(self.root / f"pid-{host}", process)
            yield


def json_value(number: int, size: int) -> dict[str, Any]:
    """Return a value that JSON needs about *size* bytes for, another one for each *number*."""
    chance = random.Random(number)
    item = {"id": number, "name": "an item of a usual length", "price": 12.5, "tags": ["a", "b"]}
    count = max(1, size // 120)
    return {
        "number": number,
        "items": [item | {"id": chance.randrange(10**9)} for _ in range(count)],
    }


def event_data(number: int) -> str:
    """Return the data of an event, of the size that services of language models send."""
    choice = {"index": 0, "delta": {"content": f" word {number}"}, "finish_reason": None}
    return json.dumps({"id": "0123456789abcdef", "object": "chunk", "choices": [choice]})


def _fields(count: int) -> list[str]:
    """Return what the usual fields lack to *count* of them."""
    added = count - USUAL_FIELDS
    first = max(READ_FIELD - added // 2, 0)
    return [f"X-Field-{n} value-{n}-of-a-usual-length" for n in range(first, first + added)]


def _location(
    root: Path, path: str, fields: Iterable[str], asked: Mapping[str, str] | None = None
) -> str:
    """Return the part of a configuration that adds *fields* to the usual ones.

    Requests without the fields *asked* are refused.
    """
    lines = [f"      add_header {field};\n" for field in fields]
    for name, value in (asked or {}).items():
        variable = f"$http_{name.lower().replace('-', '_')}"
        lines.append(f'      if ({variable} != "{value}") {{ return 400; }}\n')
    return f"    location {path} {{\n      alias {root}/www/small/;\n{''.join(lines)}    }}\n"


def find_nginx() -> str:
    """Return the path of nginx, or end the program."""
    program = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin:/usr/local/sbin")
    if program is None:
        sys.exit("the benchmarks need nginx (Debian: nginx-light)")
    return program


def nginx_version() -> tuple[int, ...]:
    """Return the version of nginx, such as (1, 22, 1)."""
    done = subprocess.run([find_nginx(), "-v"], capture_output=True, text=True, check=True)
    version = re.search(r"nginx/(\d+)\.(\d+)\.(\d+)", done.stderr)
    assert version is not None, done.stderr
    return tuple(map(int, version.groups()))


@contextmanager
def temporary_site() -> Iterator[Site]:
    """Make a folder that goes away at the end."""
    memory = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
    with tempfile.TemporaryDirectory(prefix="bench-", dir=memory) as folder:
        yield Site(Path(folder))


@contextmanager
def running(command: list[str], **env: str) -> Iterator[subprocess.Popen[str]]:
    """Run a server until the block ends."""
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, text=True, cwd=CHECKOUT, env=os.environ | env
    )
    try:
        yield process
        if process.poll() is not None:
            raise RuntimeError(f"{command[0]} ended with {process.returncode}")
    finally:
        process.terminate()
        process.communicate()


def _wait_for_file(path: Path, process: subprocess.Popen[str]) -> None:
    """Wait for the file with the number of a server, which it writes when it listens."""
    deadline = time.monotonic() + START_TIME
    while not path.exists():
        if process.poll() is not None:
            raise RuntimeError(f"the server ended with {process.returncode}")
        if time.monotonic() > deadline:
            raise TimeoutError(f"no server has written {path}")
        time.sleep(0.005)


def wait_for(port: int) -> None:
    """Wait until *port* accepts connections."""
    deadline = time.monotonic() + START_TIME
    while True:
        with socket.socket() as attempt:
            if attempt.connect_ex(("127.0.0.1", port)) == 0:
                return
        if time.monotonic() > deadline:
            raise TimeoutError(f"nothing listens on port {port}")
        time.sleep(0.02)


def free_ports(count: int) -> list[int]:
    """Return ports of 127.0.0.1 that nobody uses, none that the system hands out by itself.

    Nor are they from 20000 on, where the servers of the tests are: nginx has them a moment later.
    """
    ports: list[int] = []
    with ExitStack() as stack:
        while len(ports) < count:
            port = random.SystemRandom().randrange(10_000, 20_000)
            try:
                stack.enter_context(socket.create_server(("127.0.0.1", port)))
            except OSError as exc:
                if exc.errno != errno.EADDRINUSE:
                    raise
            else:
                ports.append(port)
    return ports
