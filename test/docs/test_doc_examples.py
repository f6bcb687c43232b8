"""Every example in README.md and doc/ runs by itself, unchanged; the reference is complete.

Each Python block is a program, as a reader would paste it: it runs in a process of its own,
in a new folder that has the files of `FILES` and a photo. An ``invisible-code-block`` checks
the block in front of it, with the names of that block. Each command of a console block is a
test, too. The line numbers of a traceback are those of the document.

In these processes ``www.example.org`` leads to the server below and ``proxy.example.org`` to
a proxy: their ports are replaced when the names are looked up. ``news.example.org`` is the server,
too, by an address that looks public. No other name exists.

Not here: the two commands that need a package index (`NOT_HERE`); .ci/run runs them.
"""

from __future__ import annotations

import gzip
import hashlib
import json
import os
import re
import shlex
import socketserver
import ssl
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, ClassVar, NamedTuple

import pytest
import trustme
from kit.cases import rest_slow
from kit.digest_server import DigestServer
from kit.echo import echo
from kit.relay import Relay
from kit.support import ROOT

import dugong_like

DOCUMENTS = sorted(
    [ROOT / "README.md", *(ROOT / "doc").glob("*.rst"), *(ROOT / "doc" / "api").glob("*.rst")]
)
BLOCK = re.compile(
    r"^(?:```(?P<fence>\w+)\n(?P<fenced>.*?)^```$"
    r"|\.\. (?P<check>invisible-)?code-block::? (?P<directive>\w+)\n\n"
    r"(?P<indented>(?:(?: +[^\n]*)?\n)+))",
    re.MULTILINE | re.DOTALL,
)
NOT_HERE = {
    "python3 -m pip install . && python3 -m dugong_like demo",
    "python3 -m pip install '.[test]' && python3 -m pytest",
}
FILES = ("authority.pem", "server.socket")
DIGEST = DigestServer(password="secret", algorithm="SHA-256")
CREDENTIALS = ("Basic bWU6c2VjcmV0", "Bearer secret")  # me:secret
WIDTH = 90  # characters of a line that the pages of the documentation show without scrolling
PEERS = ("dugong_like", "pycurl", "http.client", "aiohttp", "httpx", "requests")
ON_ASYNCIO = ("dugong_like/asyncio", "pycurl/asyncio", "", "aiohttp", "httpx/asyncio", "")
FIGURES = [  # lines of the table in README.md: label, workload, clients
    ("one request after the other", "exchange", PEERS),
    ("pipelined, if the client can", "pipelined", PEERS),
    ("64 connections on asyncio", "concurrent-asyncio", ON_ASYNCIO),
]
TIME_LIMIT = 110  # seconds for one document or command
REDIRECT = """
import os, socket

ask = socket.getaddrinfo
PUBLIC = "93.184.215.14"  # an address of the public internet, where nothing is sent
PORTS = {80: int(os.environ["EXAMPLE_HTTP"]), 443: int(os.environ["EXAMPLE_HTTPS"])}

def getaddrinfo(host, port, *rest, **options):
    if host == "www.example.org":
        return ask("127.0.0.1", PORTS[port], *rest, **options)
    if host == "news.example.org":
        return [(*one[:4], (PUBLIC, one[4][1])) for one in ask("127.0.0.1", PORTS[port], *rest)]
    if host == "proxy.example.org":
        return ask("127.0.0.1", int(os.environ["EXAMPLE_PROXY"]), *rest, **options)
    if host in ("127.0.0.1", "localhost", "", None):
        return ask(host, port, *rest, **options)
    raise socket.gaierror(socket.EAI_NONAME, "no such name")

def at_home(connect):
    def connecting(sock, address):
        return connect(sock, ("127.0.0.1", address[1]) if address[0] == PUBLIC else address)
    return connecting

socket.getaddrinfo = getaddrinfo
socket.socket.connect = at_home(socket.socket.connect)
socket.socket.connect_ex = at_home(socket.socket.connect_ex)
"""


class Block(NamedTuple):
    """A block of one language: the number of lines before it, and its text."""

    before: int
    text: str
    is_check: bool  # an invisible block


class Example(NamedTuple):
    """A Python block and what checks it."""

    document: Path
    blocks: list[Block]

    def program(self) -> str:
        """Return the program, each line with the number that it has in the document."""
        lines: list[str] = []
        for block in self.blocks:
            lines += [""] * (block.before - len(lines)) + block.text.splitlines()
        return "\n".join(lines) + "\n"


def blocks(document: Path, language: str) -> Iterator[Block]:
    """Find the blocks of one language."""
    text = document.read_text()
    for match in BLOCK.finditer(text):
        group = "fenced" if match["fence"] else "indented"
        if (match["fence"] or match["directive"]) == language:
            before = text.count("\n", 0, match.start(group))
            yield Block(before, textwrap.dedent(match[group]), bool(match["check"]))


def examples(document: Path) -> list[Example]:
    """Find the Python blocks, each with the checks behind it."""
    found: list[Example] = []
    for block in blocks(document, "python"):
        if block.is_check:
            found[-1].blocks.append(block)
        else:
            found.append(Example(document, [block]))
    return found


def commands(document: Path) -> Iterator[str]:
    """Find the commands of the console blocks: what follows a ``$``."""
    for block in blocks(document, "console"):
        lines = block.text.splitlines()
        yield from (line.removeprefix("$ ") for line in lines if line.startswith("$ "))


# Each takes a new process. The pages that are read first come by default, the others with --slow.
FIRST_READ = re.compile(r"README|doc/(index|tutorial|bulk)")


def commands_of_first_pages() -> set[str]:
    pages = [page for page in DOCUMENTS if FIRST_READ.match(str(page.relative_to(ROOT)))]
    return {line for page in pages for line in commands(page)}


EXAMPLES = {
    f"{document.relative_to(ROOT)}:{example.blocks[0].before + 1}": example
    for document in DOCUMENTS
    for example in examples(document)
}


class Handler(BaseHTTPRequestHandler):
    """Takes every PUT and POST, knows every path, and plays a few tricks."""

    protocol_version = "HTTP/1.1"
    failures = 0
    kept: ClassVar[dict[str, bytes]] = {  # what was put below /backup/, by earlier commands
        "/backup/photos/1.jpg": b"1\n",
        "/backup/photos/dugong-manifest.jsonl": (
            b'{"dugong-manifest": 1}\n["1.jpg", 2, 0, null, null]\n{"files": 1}\n'
        ),
    }

    def do_GET(self) -> None:
        if self.path.startswith("/backup/"):
            body = self.kept.get(self.path)
            tag = {} if body is None else {"ETag": f'"{hashlib.sha256(body).hexdigest()}"'}
            self.answer(404 if body is None else 200, body or b"", tag)
            return
        if self.path == "/echo" and self.headers["Upgrade"] == "echo":
            self.echo(101, {"Upgrade": "echo", "Connection": "upgrade"})
            return
        if self.path == "/chat" and self.headers["Upgrade"] == "websocket":
            self.close_connection = True
            pairs = [(name.encode(), value.encode()) for name, value in self.headers.items()]
            echo(self.request, pairs, self.path)
            return
        if self.path.startswith("/flaky"):  # the first two requests get no answer
            Handler.failures += 1
            if Handler.failures <= 2:
                self.close_connection = True
                return
        if self.path.startswith("/slow"):
            time.sleep(1)
        if self.path.startswith("/old"):
            self.answer(302, b"", {"Location": "/new"})
            return
        if self.path.startswith("/busy"):  # to the first two requests
            Handler.failures += 1
            if Handler.failures <= 2:
                self.answer(503, b"Later.\n", {"Retry-After": "0"})
                return
        if self.path.startswith("/login"):
            self.answer(200, b"Hello.\n", {"Set-Cookie": "session=31d4; Max-Age=3600; Secure"})
            return
        if self.path.startswith("/account") and "session=31d4" not in (
            self.headers["Cookie"] or ""
        ):
            self.answer(403, b"Log in first.\n")
            return
        if self.path.startswith("/events"):
            text = "".join(json.dumps({"number": number}) + "\n" for number in range(100))
            self.answer_compressed(text.encode(), {"Content-Type": "application/x-ndjson"})
            return
        if self.path == "/news":
            self.answer_news(int(self.headers["Last-Event-ID"] or 0))
            return
        if self.path.startswith("/digest"):
            status, fields, body = DIGEST.respond("GET", self.path, self.headers["Authorization"])
            self.answer(status, body, dict(fields))
            return
        if self.path.startswith("/private") and self.headers["Authorization"] not in CREDENTIALS:
            self.answer(401, b"Who are you?\n", {"WWW-Authenticate": 'Basic realm="private"'})
            return
        if self.path.startswith("/api/"):
            self.answer_json(200, {"path": self.path})
            return
        status = 404 if self.path.startswith("/missing") else 200
        self.answer_range(status, f"This is {self.path}.\n".encode() * 100)

    do_HEAD = do_GET

    def do_OPTIONS(self) -> None:
        self.answer(200, self.path.encode())

    def do_CONNECT(self) -> None:
        self.echo(200, {})

    def echo(self, status: int, fields: dict[str, str]) -> None:
        """Leave HTTP: what comes is sent back, line by line."""
        self.close_connection = True
        self.send_response(status)
        for name, value in fields.items():
            self.send_header(name, value)
        self.end_headers()
        with suppress(OSError):
            while line := self.rfile.readline():
                self.wfile.write(line)

    def do_PUT(self) -> None:
        if self.path.startswith("/full"):
            self.refuse()
            return
        if self.path.startswith("/flaky"):  # the first two uploads get half as far
            Handler.failures += 1
            if Handler.failures <= 2:
                self.close_connection = True
                self.rfile.read(1000)
                return
        body = self.body()
        if self.path.startswith("/backup/"):
            self.kept[self.path] = body
        if self.path == "/chat":
            words = (json.dumps({"text": word}) for word in ["A", " sea", " cow", "."])
            text = "".join(f"data: {word}\n\n" for word in [*words, "[DONE]"])
            self.answer(200, text.encode(), {"Content-Type": "text/event-stream"})
            return
        if self.path.startswith("/api/"):
            self.answer_json(201, {"path": self.path, "received": json.loads(body)})
            return
        self.answer(201, f"{len(body)} {hashlib.sha256(body).hexdigest()}\n".encode())

    do_POST = do_PATCH = do_QUERY = do_PUT

    def do_DELETE(self) -> None:
        self.kept.pop(self.path, None)
        self.answer(204, b"")

    def handle_expect_100(self) -> bool:
        if self.path.startswith("/full"):
            self.refuse()
            return False
        return super().handle_expect_100()

    def refuse(self) -> None:
        self.close_connection = True
        self.answer(413, b"No space left.\n")
        with suppress(OSError):
            while self.rfile.read(65536):  # closing now would take the answer with it
                pass

    def body(self) -> bytes:
        if "Content-Length" in self.headers:
            return self.rfile.read(int(self.headers["Content-Length"]))
        if "Transfer-Encoding" not in self.headers:
            return b""
        chunks = []
        while size := int(self.rfile.readline(), 16):
            chunks.append(self.rfile.read(size))
            self.rfile.readline()
        while self.rfile.readline() != b"\r\n":
            pass
        return b"".join(chunks)

    def answer_compressed(self, body: bytes, fields: dict[str, str]) -> None:
        if "gzip" in (self.headers["Accept-Encoding"] or ""):
            body, fields = gzip.compress(body), {**fields, "Content-Encoding": "gzip"}
        self.answer(200, body, fields)

    def answer_json(self, status: int, value: object) -> None:
        self.answer(status, json.dumps(value).encode(), {"Content-Type": "application/json"})

    def answer_news(self, last: int) -> None:
        """Send the events after the one with the ID *last*, two at most; 204 if there is none."""
        news = ["first", "second", "third"]
        lines = [
            f"retry: 10\nevent: headline\nid: {number}\ndata: {news[number - 1]}\n\n"
            for number in range(last + 1, min(last + 2, len(news)) + 1)
        ]
        if lines:
            self.answer(200, "".join(lines).encode(), {"Content-Type": "text/event-stream"})
        else:
            self.answer(204, b"")

    def answer_range(self, status: int, body: bytes) -> None:
        """Send the rest of the body if that is asked for, and the body is still the same."""
        fields = {"ETag": '"1"'}
        wanted = re.fullmatch(r"bytes=(\d+)-", self.headers["Range"] or "")
        if status == 200 and wanted and self.headers["If-Range"] in {None, '"1"'}:
            first = int(wanted[1])
            if first >= len(body):
                self.answer(416, b"", {"Content-Range": f"bytes */{len(body)}"})
                return
            fields["Content-Range"] = f"bytes {first}-{len(body) - 1}/{len(body)}"
            self.answer(206, body[first:], fields)
        else:
            self.answer(status, body, fields)

    def answer(self, status: int, body: bytes, fields: dict[str, str] | None = None) -> None:
        fields = {"Content-Type": "text/plain; charset=utf-8", **(fields or {})}
        self.send_response(status)
        for name, value in fields.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        if self.close_connection:
            self.send_header("Connection", "close")
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        pass


class Server(ThreadingHTTPServer):
    """One on which a client may hang up."""

    request_queue_size = 128

    def handle_error(self, request: Any, client_address: Any) -> None:
        if not isinstance(sys.exc_info()[1], OSError):
            super().handle_error(request, client_address)


class UnixServer(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
    """The same behind a unix domain socket."""

    daemon_threads = True


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """Run the server, and return the environment in which it is www.example.org."""
    folder = tmp_path_factory.mktemp("examples")
    authority = trustme.CA()
    authority.cert_pem.write_to_path(folder / "authority.pem")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("www.example.org", "proxy.example.org").configure_cert(context)
    plain, secure = Server(("127.0.0.1", 0), Handler), Server(("127.0.0.1", 0), Handler)
    secure.socket = context.wrap_socket(
        secure.socket,
        server_side=True,
        do_handshake_on_connect=False,
    )
    ports = {80: plain.server_port, 443: secure.server_port}
    proxy = Relay("www.example.org", ports, context)
    local = UnixServer(str(folder / "server.socket"), Handler)
    for server in (plain, secure, proxy, local):
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    (folder / "sitecustomize.py").write_text(REDIRECT)
    yield {
        **os.environ,
        "PYTHONPATH": os.pathsep.join((str(folder), str(ROOT))),
        "SSL_CERT_FILE": str(folder / "authority.pem"),
        "REQUESTS_CA_BUNDLE": str(folder / "authority.pem"),
        "EXAMPLE_HTTP": str(plain.server_port),
        "EXAMPLE_HTTPS": str(secure.server_port),
        "EXAMPLE_PROXY": str(proxy.server_address[1]),
        "EXAMPLE_FILES": str(folder),
    }
    for server in (plain, secure, proxy, local):
        server.shutdown()
        server.server_close()


@pytest.fixture
def folder(tmp_path: Path, environment: dict[str, str]) -> Path:
    """Make the folder of an example, with the files that examples use."""
    for name in FILES:
        (tmp_path / name).symlink_to(Path(environment["EXAMPLE_FILES"], name))
    (tmp_path / "photo.jpg").write_bytes(bytes(range(256)) * 4096)
    for name in ("photos", "home"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "1.jpg").write_bytes(b"1\n")
    return tmp_path


@pytest.fixture(autouse=True)
def from_the_first_failure() -> None:
    Handler.failures = 0


def check(command: list[str], folder: Path, environment: dict[str, str]) -> None:
    done = subprocess.run(
        command,
        cwd=folder,
        env=environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=TIME_LIMIT,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.feature("B55")
@pytest.mark.parametrize("name", rest_slow(0, EXAMPLES, always=FIRST_READ.match))
def test_python_examples_run(name: str, folder: Path, environment: dict[str, str]) -> None:
    script = folder / "example.py"
    script.write_text(EXAMPLES[name].program())

    # Deprecations would be those of trio and gevent on a new Python.
    options = ["-W", "error", "-W", "ignore::DeprecationWarning"]
    check([sys.executable, *options, str(script)], folder, environment)


def test_a_check_has_the_names_of_its_example_and_no_others(tmp_path: Path) -> None:
    document = tmp_path / "page.rst"
    document.write_text(
        ".. code-block:: python\n\n   a = 1\n\n"
        ".. code-block:: python\n\n   b = 2\n\n"
        ".. invisible-code-block: python\n\n   assert b == 2\n\n"
    )

    programs = [example.program() for example in examples(document)]

    assert programs == ["\n\na = 1\n\n", "\n" * 6 + "b = 2\n\n\n\nassert b == 2\n\n"]


@pytest.mark.parametrize(
    "command",
    rest_slow(
        0,
        sorted({line for path in DOCUMENTS for line in commands(path)} - NOT_HERE),
        always=commands_of_first_pages().__contains__,
    ),
)
def test_commands_run(command: str, folder: Path, environment: dict[str, str]) -> None:
    python = f'python3() {{ {shlex.quote(sys.executable)} "$@"; }}; set -e\n'

    check(["bash", "-c", python + command], folder, environment)


def test_the_two_commands_of_the_readme_are_there() -> None:
    assert set(commands(ROOT / "README.md")) >= NOT_HERE


def test_no_example_is_overlooked() -> None:
    for document in DOCUMENTS:
        text = document.read_text()
        marked = len(re.findall(r"^(?:```\w|\.\. (?:invisible-)?code-block:)", text, re.MULTILINE))
        assert len(BLOCK.findall(text)) == marked, document


def test_examples_fit_the_page() -> None:
    shown = [line for example in EXAMPLES.values() for line in example.blocks[0].text.splitlines()]

    assert [line for line in shown if len(line) > WIDTH] == []


def test_the_readme_has_figures_of_the_benchmark() -> None:
    """A line of its table that differs has to be replaced by the one of the message."""
    workloads = json.loads((ROOT / "doc" / "performance.json").read_text())["workloads"]
    costs = {
        (workload["name"], line["client"]): line["cost"]
        for workload in workloads
        for line in workload["clients"]
    }
    text = (ROOT / "README.md").read_text()

    for label, workload, clients in FIGURES:
        figures = [costs[workload, name] if name else None for name in clients]
        cells = ["-" if cost is None else f"{cost:.{int(cost < 10)}f}" for cost in figures]
        line = f"| {' | '.join([label, *cells])} |"
        assert line in text.splitlines(), line


def test_the_reference_has_everything_public() -> None:
    pages = (ROOT / "doc" / "api").glob("*.rst")
    words = {word for page in pages for word in re.findall(r"\w+", page.read_text())}
    methods = {name for name in dir(dugong_like.HTTPConnection) if not name.startswith("_")}

    assert {*dugong_like.__all__, *methods} <= words
