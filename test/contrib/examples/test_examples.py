"""The programs under contrib/examples/, run as their users would run them."""

import errno
import os
import re
import runpy
import socket
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from kit.support import ROOT, ScriptedServer, pattern, read_exactly, read_head

pytestmark = pytest.mark.timeout(600)


def example(name, *arguments, stdin=""):
    """Run a program; return its exit status, output and error output."""
    done = subprocess.run(
        [sys.executable, str(ROOT / "contrib/examples" / name), *map(str, arguments)],
        input=stdin, capture_output=True, text=True, timeout=580, check=False,
        env={"PYTHONPATH": str(ROOT), "PATH": "/usr/bin:/bin"},
    )  # fmt: skip
    assert "Traceback" not in done.stderr, done.stderr
    return done.returncode, done.stdout, done.stderr


class Store:
    """A scripted server that keeps what is PUT, after 100 (Continue)."""

    def __init__(self):
        self.files = {}
        self.drops = 0  # connections to close in the middle of a body
        self.refuses = ""
        self.regrets = ""  # as well, but in the middle of the body
        self.tries = 0  # of what it regrets
        self.lock = threading.Lock()

    def __call__(self, sock):
        while head := read_head(sock):
            path = head.split()[1].decode()
            size = int(re.search(rb"Content-Length: (\d+)", head)[1])
            if self.refuses and self.refuses in path:
                sock.sendall(b"HTTP/1.1 413 Too Large\r\nContent-Length: 2\r\n\r\nno")
                return
            if b"100-continue" in head:
                sock.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
            with self.lock:
                drop, self.drops = self.drops > 0, max(self.drops - 1, 0)
            if drop:
                read_exactly(sock, size // 2)
                return
            if self.regrets and self.regrets in path:
                self.tries += 1
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                read_exactly(sock, size // 2)
                sock.sendall(b"HTTP/1.1 507 Full\r\nContent-Length: 2\r\n\r\nno")
                return  # with something unread: a reset
            self.files[path] = read_exactly(sock, size)
            sock.sendall(b"HTTP/1.1 201 Created\r\nContent-Length: 0\r\n\r\n")


@pytest.fixture
def tree(tmp_path):
    files = {"a": b"", "b": b"x", "deep/er/c d": pattern(300000), "z": pattern(1000)}
    for name, data in files.items():
        path = tmp_path / "tree" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    return tmp_path / "tree", files


def test_backup_upload_stores_every_file(tree):
    folder, files = tree
    store = Store()

    with ScriptedServer(store) as server:
        status, out, err = example("backup_upload.py", folder, f"http://127.0.0.1:{server.port}/b")

    assert (status, err) == (0, "")
    assert "4 files stored, 301001 bytes, 0 failures" in out
    assert store.files == {f"/b/{name.replace(' ', '%20')}": data for name, data in files.items()}


def test_backup_upload_of_a_folder_that_is_not_there_is_no_success(tmp_path):
    status, _, err = example("backup_upload.py", tmp_path / "missing", "http://127.0.0.1:1/")

    assert status == 2
    assert "missing is no directory" in err


def test_backup_upload_counts_a_folder_that_cannot_be_read(tree, monkeypatch, capsys):
    folder, _ = tree
    scandir = os.scandir

    def refusing(path):
        if Path(path).name == "deep":
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))
        return scandir(path)

    main = runpy.run_path(str(ROOT / "contrib/examples/backup_upload.py"))["main"]
    monkeypatch.setattr(os, "scandir", refusing)
    with ScriptedServer(Store()) as server:
        assert main([str(folder), f"http://127.0.0.1:{server.port}"]) == 1

    out, err = capsys.readouterr()
    assert out == "3 files stored, 1001 bytes, 1 failures\n"
    assert err == f"{folder}/deep: not stored: {os.strerror(errno.EACCES)}\n"


NO_URL = ["epoll_loop.py", "extract_links.py", "pipeline_threads.py"]


@pytest.mark.parametrize(
    ("name", "before"), [("backup_upload.py", ["."]), *((name, []) for name in NO_URL)]
)
def test_what_is_no_url_is_refused(name, before):
    status, _, err = example(name, *before, "example.org")

    assert status == 2
    assert "invalid URL value: 'example.org'" in err


def test_backup_upload_stores_files_whose_size_the_system_does_not_say(tmp_path):
    (tmp_path / "link").symlink_to("/proc/version")
    if not (tmp_path / "link").exists():
        pytest.skip("needs /proc")
    store = Store()

    with ScriptedServer(store) as server:
        status, _, err = example("backup_upload.py", tmp_path, f"http://127.0.0.1:{server.port}")

    assert (status, err) == (0, "")
    assert store.files == {"/link": Path("/proc/version").read_bytes()}


def test_backup_upload_tries_again_when_the_connection_is_dropped(tree):
    folder, files = tree
    store = Store()
    store.drops = 2

    with ScriptedServer(store) as server:
        status, out, err = example("backup_upload.py", folder, f"http://127.0.0.1:{server.port}")

    assert status == 0, err
    assert err.count("attempt") == 2
    assert len(store.files) == len(files)


def test_backup_upload_reports_what_was_refused(tree):
    folder, _ = tree
    store = Store()
    store.refuses = "c%20d"

    with ScriptedServer(store) as server:
        status, out, err = example("backup_upload.py", folder, f"http://127.0.0.1:{server.port}")

    assert status == 1
    assert "413 Too Large no" in err
    assert "3 files stored" in out


def test_backup_upload_sends_what_is_refused_in_the_middle_only_once(tree):
    folder, files = tree
    (folder / "large").write_bytes(bytes(30_000_000))
    store = Store()
    store.regrets = "large"

    with ScriptedServer(store) as server:
        status, out, err = example("backup_upload.py", folder, f"http://127.0.0.1:{server.port}")

    assert (status, store.tries) == (1, 1)
    assert "507 Full no" in err
    assert "attempt" not in err
    assert "4 files stored" in out


@pytest.mark.feature("B55")
def test_pipeline_threads_prints_every_response_in_order(start):
    server = start("uvicorn-httptools")
    sizes = [number * 37 % 5000 for number in range(1000)]

    status, out, err = example(
        "pipeline_threads.py",
        f"http://127.0.0.1:{server.port}",
        stdin="".join(f"/bytes/{size}\n" for size in sizes),
    )

    assert (status, err) == (0, "")
    assert [line.split() for line in out.splitlines()] == [
        ["200", str(size), f"/bytes/{size}"] for size in sizes
    ]


@pytest.mark.parametrize(("answering", "status", "lines"), [(99, 0, 20), (2, 1, 6)])
def test_pipeline_threads_goes_on_until_connections_end_without_any_answer(
    answering, status, lines
):
    connections = iter(range(99))

    def handler(sock):
        for _ in range(3 if next(connections) < answering else 0):
            if read_head(sock):
                sock.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
        sock.shutdown(socket.SHUT_WR)
        while sock.recv(65536):  # what is not read would be answered by a reset
            pass

    with ScriptedServer(handler) as server:
        ended, out, err = example(
            "pipeline_threads.py",
            f"http://127.0.0.1:{server.port}",
            stdin="/a\n" * 20,
        )

    assert (ended, len(out.splitlines())) == (status, lines)
    assert err.startswith("127.0.0.1: " if status else "")


@pytest.mark.feature("B55", "B56")
def test_epoll_loop_drives_200_connections(start):
    server = start("granian")

    status, out, err = example(
        "epoll_loop.py",
        f"http://127.0.0.1:{server.port}/bytes/1024",
        "--requests",
        5,
    )

    assert (status, err) == (0, "")
    assert out.startswith("1000 requests, 1024000 bytes")


def test_epoll_loop_reports_failures():
    status, out, err = example("epoll_loop.py", "http://127.0.0.1:1/", "--connections", 3)

    assert status == 1
    assert "3 failures" in out
    assert "cannot connect" in err


@pytest.mark.feature("B55")
def test_extract_links_crawls_one_host():
    pages = {
        "/": b'<a href="a">A</a> <a href="/b?x=1#y">B</a> <a href="http://other.invalid/">O</a>',
        "/a": b'<p><a href="./">home</a><a name="n">n</a>',
        "/b?x=1": b"<a href=/gone>g</a>",
    }

    def site(sock):
        while head := read_head(sock):
            page = pages.get(head.split()[1].decode())
            status = b"200 OK" if page else b"404 Not Found"
            sock.sendall(
                b"HTTP/1.1 %s\r\nContent-Type: text/html; charset=utf-8\r\n"
                b"Content-Length: %d\r\n\r\n%s" % (status, len(page or b""), page or b""),
            )

    with ScriptedServer(site) as server:
        here = f"http://127.0.0.1:{server.port}"
        status, out, err = example("extract_links.py", f"{here}/")

    assert status == 0, err
    assert set(out.splitlines()) == {
        f"{here}/ -> {here}/a",
        f"{here}/ -> {here}/b?x=1#y",
        f"{here}/ -> http://other.invalid/",
        f"{here}/a -> {here}/",
        f"{here}/b?x=1 -> {here}/gone",
    }
    assert err == "4 pages, 0 failures\n"
