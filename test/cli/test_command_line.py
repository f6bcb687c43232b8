"""The command line, run as a newcomer would run it."""

import errno
import gc
import gzip
import hashlib
import io
import json
import os
import pty
import shlex
import signal
import subprocess
import sys
import termios
import threading
import time
import tomllib
from pathlib import Path

import pytest
from kit.cases import rest_slow
from kit.support import (
    ROOT,
    ScriptedServer,
    answering,
    black_hole,
    pattern,
    read_exactly,
    read_head,
    wait_until,
)

from dugong_like import InvalidRequest
from dugong_like.__main__ import OBJECTS, main
from dugong_like.cli.demo_chart import BLOCKS
from dugong_like.cli.options import TimeLimits
from dugong_like.cli.urls import parse_url
from dugong_like.connection.h1 import early_response


def command(*arguments, stdin=b"", **environment):
    """Run the command line; return exit status, output and error output."""
    done = subprocess.run(
        [sys.executable, "-m", "dugong_like", *map(str, arguments)],
        input=stdin, capture_output=True, timeout=100, check=False, cwd="/",
        env={**os.environ, "PYTHONPATH": str(ROOT), **environment},
    )  # fmt: skip
    assert b"Traceback" not in done.stderr, done.stderr
    return done.returncode, done.stdout, done.stderr.decode()


def test_demo_shows_a_bar_for_each_way():
    status, out, err = command("demo", "--files", 60, PYTHONIOENCODING="utf-8")

    assert (status, err) == (0, "")
    near, far, end = out.decode().split("\n\n")
    assert near.splitlines()[1].split() == ["way", "files/s", "MiB/s", "CPU"]
    bars = [line.split()[-1].rstrip(BLOCKS) for line in f"{near}\n{far}".splitlines()]
    assert bars.count("") == 2 + 9 + 5
    assert "HTTP/2" in near
    assert "round trip of 20 ms" in far
    assert "are equal to the originals (SHA-256)" in end


@pytest.mark.parametrize("files", [["--files", 3], pytest.param([], marks=pytest.mark.slow)])
def test_demo_ends_by_itself_and_is_ascii_where_the_terminal_is(files):
    status, out, err = command("demo", *files, PYTHONIOENCODING="ascii")

    assert (status, err) == (0, "")
    assert out.isascii()
    assert out.count(b" #") == 2 + 9 + 5


def test_demo_prints_json():
    status, out, _ = command("demo", "--files", 10, "--json")

    rows = json.loads(out)
    near = [row for row in rows if row["link"] == "on this computer"]
    assert status == 0
    assert [row["files"] for row in near] == [10] * 11
    assert {row["bytes"] for row in near} == {rows[0]["bytes"]}
    assert all(row["seconds"] > 0 and row["cpu_seconds"] >= 0 for row in rows)
    assert len(rows) == 16
    assert all(0 < row["files"] <= 10 for row in rows)


def test_demo_finds_one_wrong_byte():
    status, out, err = command("demo", "--files", 20, "--damage")

    assert status == 1
    assert out.count(b"DIFFERENT") >= 9  # over the slow link there may be too little time
    assert "different bytes: blocking, one by one: /0/file10" in err
    assert "different bytes: Client.map, HTTP/2: /0/file10" in err


@pytest.mark.parametrize("tls", [False, True])
def test_demo_downloads_a_url(start, ca_file, tls):
    server = start("uvicorn-httptools", tls=tls)
    url = f"http{'s' if tls else ''}://localhost:{server.port}/bytes/70000"

    status, out, err = command("demo", "--url", url, "--json", SSL_CERT_FILE=str(ca_file))

    assert status == 0, err
    assert {row["bytes"] for row in json.loads(out)} == {20 * 70000}


def test_demo_shows_progress_on_a_terminal():
    controller, terminal = pty.openpty()
    termios.tcsetwinsize(terminal, (25, 100))
    with subprocess.Popen(
        [sys.executable, "-m", "dugong_like", "demo", "--files", "20"],
        stdout=subprocess.PIPE, stderr=terminal, cwd="/",
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    ) as process:  # fmt: skip
        os.close(terminal)
        shown = b""
        try:
            while piece := os.read(controller, 65536):
                shown += piece
        except OSError:
            pass  # how Linux says that nobody has the terminal any more
        process.communicate()
    os.close(controller)
    assert process.returncode == 0
    assert b"blocking, one by one" in shown
    assert b"100" in shown


def test_get_writes_to_standard_output_and_to_a_file(start, tmp_path):
    server = start("uvicorn-h11")
    url = f"http://127.0.0.1:{server.port}/chunked/300000"
    file = tmp_path / "file"

    assert command("get", url) == (0, pattern(300000), "")
    assert command("get", url, "-o", file) == (0, b"", "")
    assert file.read_bytes() == pattern(300000)
    assert file.stat().st_mode & 0o044
    assert os.listdir(tmp_path) == ["file"]


def test_get_reports_an_error_status_and_leaves_the_file_alone(start, tmp_path):
    server = start("uvicorn-h11")
    file = tmp_path / "file"
    file.write_text("old")

    url = f"http://127.0.0.1:{server.port}/status/404"
    status, out, err = command("get", url, "-o", file)

    assert (status, out) == (4, b"")
    assert err.startswith(f"dugong_like: GET {url}: the server answered 404")
    assert file.read_text() == "old"


def test_get_never_leaves_half_a_file(tmp_path):
    truncated = b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhello"

    with ScriptedServer(answering(truncated)) as server:
        url = f"http://127.0.0.1:{server.port}/"
        status, _, err = command("get", url, "-o", tmp_path / "file")

    assert status == 1
    assert err == f"dugong_like: GET {url}: the connection ended with 5 of 10 body bytes missing\n"
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize(
    ("arguments", "status", "words"),
    [
        (["get", "http://127.0.0.1:1/"], 1, "Connection refused"),
        (["get", "ftp://127.0.0.1/"], 2, "http://"),
        (["get", "http://user@127.0.0.1/"], 2, "-u or --netrc"),
        (["get", "http://127.0.0.1:99999/"], 2, "not a port number"),
        (["get", "http://127.0.0.1:1/", "-H", "Bad"], 2, "no colon"),
        (["get", "http://127.0.0.1:1/", "-H", "Bad Name: x"], 2, "not a token"),
        (["put", "no such file", "http://127.0.0.1:1/"], 1, "no such file: No such file"),
        (["put", "/", "http://127.0.0.1:1/"], 1, "/: Is a directory"),
        (["put", "", "http://127.0.0.1:1/"], 2, "not the name of a file"),
        (["put", "/dev/null", "http://127.0.0.1:1/"], 1, "Connection refused"),
        (["get", ""], 2, "http://"),
        (["get", "http://"], 2, "not a URL"),
        (["get", "http://127.0.0.1:1/caf\udce9"], 2, "not UTF-8"),
        (["get", "http://caf\udce9/"], 2, "not UTF-8"),
        (["get", "http://127.0.0.1:1/", "-o", ""], 2, "not the name of a file"),
        (["get", "http://127.0.0.1:1/", "-o", "/missing\udce9/a"], 1, "/missing\\xe9/a: No such"),
        (["get", "http://127.0.0.1:1/", "-o", "/"], 1, "/: Is a directory"),
        (["get", "http://127.0.0.1:1/", "-H", ""], 2, "no colon"),
        (["get", "http://127.0.0.1:1/", "-H", ":x"], 2, "not a token"),
        (["get", "http://127.0.0.1:1/", "-H", "X: caf\udce9"], 2, "Latin-1"),
        (["get", "http://127.0.0.1:1/", "-H", "X: a\nb"], 2, "control characters"),
        (["get", "http://127.0.0.1:1/", "-HHost:a", "-HHost:b"], 2, "only once"),
        (["get", "http://127.0.0.1:1/", "--proxy="], 2, "not the URL of a proxy"),
        (["get", "http://127.0.0.1:1/", "--proxy", "http://caf\udce9/"], 2, "not a host name"),
        (["get", "http://127.0.0.1:1/", "--timeout", "nan"], 2, "not a number of seconds"),
        (["get", "http://127.0.0.1:1/", "--timeout", "-1"], 2, "not a number of seconds"),
        (["get", "http://127.0.0.1:1/", "--timeout", "1e300"], 1, "Connection refused"),
        (["get", "http://127.0.0.1:1/", "--timeout", "inf"], 1, "Connection refused"),
        (["demo", "--url", "http://127.0.0.1:1/\udce9"], 2, "not UTF-8"),
        (["demo", "--url", "http://127.0.0.1:1/"], 1, "Connection refused"),
        (["demo", "--files", "9" * 5000], 2, "not a number of files"),
        (["demo", "--seed", "9" * 5000], 2, "not a whole number"),
        (["demo", "--files", "0"], 2, "at least one"),
        (["demo", "--nonsense=\udce9\n"], 2, "--nonsense=\\xe9\\x0a"),
        ([], 2, "COMMAND"),
    ],
)
def test_errors_are_one_line_and_an_exit_status(arguments, status, words, capfd):
    try:
        code = main(arguments)
    except SystemExit as end:
        code = end.code

    out, err = capfd.readouterr()
    assert (code, out) == (status, "")
    assert words in err
    assert err.startswith("dugong_like: ")
    assert err.count("\n") == 1
    assert len(err) < 300


def test_get_gives_up_in_time():
    with black_hole() as (host, port):
        status, _, err = command("get", f"http://{host}:{port}/", "--timeout", "0.3")

    assert status == 1
    assert "within 0.3 s (--timeout 0.3)" in err


@pytest.mark.parametrize("size", [0, 10, 3_000_000])
def test_put_uploads_a_file(start, tmp_path, size):
    server = start("uvicorn-h11")
    file = tmp_path / "file"
    file.write_bytes(pattern(size))

    status, out, err = command(
        "put",
        file,
        f"http://127.0.0.1:{server.port}/upload",
        "-H",
        "X-Own: yes",
    )

    answer = json.loads(out)
    assert (status, err, answer["length"]) == (0, "", size)
    assert answer["sha256"] == hashlib.sha256(pattern(size)).hexdigest()
    assert ["x-own", "yes"] in answer["headers"]


def test_put_uploads_standard_input_chunked(start):
    server = start("uvicorn-httptools")

    status, out, _ = command(
        "put",
        "-",
        f"http://127.0.0.1:{server.port}/upload",
        stdin=pattern(1_000_000),
    )

    answer = json.loads(out)
    assert (status, answer["length"]) == (0, 1_000_000)
    assert ["transfer-encoding", "chunked"] in answer["headers"]


def test_put_shows_an_early_answer():
    def refuse(sock):
        read_head(sock)
        read_exactly(sock, 10)
        sock.sendall(b"HTTP/1.1 413 Too Large\r\nContent-Length: 5\r\n\r\nquota")
        while sock.recv(65536):
            pass

    with ScriptedServer(refuse) as server:
        url = f"http://127.0.0.1:{server.port}/"
        status, out, err = command("put", "-", url, stdin=bytes(20_000_000))

    assert (status, out) == (4, b"")
    assert err == f"dugong_like: PUT {url}: the server answered 413 Too Large\nquota"


@pytest.mark.parametrize("asks", [True, False])
@pytest.mark.parametrize(("code", "status"), [("201 Created", 1), ("307 Moved", 3), ("413 No", 4)])
def test_an_answer_before_everything_was_sent_is_no_success(
    tmp_path, capfd, monkeypatch, asks, code, status
):
    done = threading.Event()

    def answer(sock):
        read_head(sock)
        sock.sendall(f"HTTP/1.1 {code}\r\nContent-Length: 2\r\n\r\nok".encode())
        done.wait(60)  # and reads nothing, so that not all can be sent

    file = tmp_path / "file"
    with file.open("wb") as sparse:
        sparse.truncate(50_000_000)  # bytes, more than the system takes without a reader
    if not asks:
        monkeypatch.setattr("dugong_like.cli.transfer.ASK_FIRST", 1 << 30)
    with ScriptedServer(answer) as server:
        assert main(["put", str(file), f"http://127.0.0.1:{server.port}/"]) == status
        done.set()

    out, err = capfd.readouterr()
    assert out == ""
    assert f"the server answered {code}" in err
    assert ("before it had everything" in err) == (status == 1)


@pytest.mark.parametrize(
    ("answer", "status", "shown"),
    [
        (b"HTTP/1.1 413 Too Large\r\nContent-Length: 5\r\n\r\nquota", 4, "413 Too Large\nquota"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", 1, "connection lost: "),
        (b"", 1, "connection lost: "),
    ],
    ids=["refused", "taken", "no answer"],
)
def test_put_to_a_server_that_resets_the_connection(
    monkeypatch, capfd, tmp_path, answer, status, shown
):
    """What has come before that is the answer, if it is one to an upload that failed."""

    def refuse(sock):
        read_head(sock)
        read_exactly(sock, 10)
        sock.sendall(answer)  # to close now, with bytes that nobody has read, is a reset

    # The writer does not see the answer: it hears of the end first.
    monkeypatch.setattr(early_response, "find", lambda *_: None)
    file = tmp_path / "file"
    file.write_bytes(bytes(20_000_000))
    monkeypatch.setattr("dugong_like.cli.transfer.ASK_FIRST", 1 << 30)  # it need not say 100
    with ScriptedServer(refuse) as server:
        assert main(["put", str(file), f"http://127.0.0.1:{server.port}/"]) == status
    assert shown in capfd.readouterr().err


def head(status, *fields, length=0):
    lines = [f"HTTP/1.1 {status}", *fields, f"Content-Length: {length}", "", ""]
    return "\r\n".join(lines).encode("latin-1")


MOVED = head("307 Temporary Redirect", "Location: /other\x9b", length=5) + b"moved"
NOT_DONE = {
    "redirect": (
        MOVED,
        3,
        "307 Temporary Redirect: a redirect to /other\\x9b, which is not followed",
    ),
    "nowhere": (head("300 Multiple Choices"), 3, "300 Multiple Choices: a redirect, which is"),
    "not modified": (head("304 Not Modified", 'ETag: "1"'), 5, "304 Not Modified"),
    "no reason": (head("404 "), 4, "the server answered 404"),
    "failed": (head("412 Precondition Failed"), 4, "412 Precondition Failed"),
}


@pytest.mark.parametrize("command", ["get", "put"])
@pytest.mark.parametrize(("answer", "status", "words"), NOT_DONE.values(), ids=NOT_DONE)
def test_only_2xx_is_success(tmp_path, capfd, command, answer, status, words):
    file = tmp_path / "file"
    file.write_text("precious")

    with ScriptedServer(answering_any(answer)) as server:
        url = f"http://127.0.0.1:{server.port}/?token=secret"
        arguments = [url, "-o", str(file)] if command == "get" else [str(file), url]
        assert main([command, "--no-location", *arguments]) == status

    out, err = capfd.readouterr()
    assert out == ""
    assert err.count("\n") == 1
    assert f"{command.upper()} http://127.0.0.1:{server.port}/?token=[masked]: the server" in err
    assert words in err
    assert file.read_text() == "precious"
    assert os.listdir(tmp_path) == ["file"]


def answering_any(answer):
    """Return a handler that reads a request, perhaps with a body of 8 bytes, and answers."""

    def handler(sock):
        if b"content-length" in read_head(sock).lower():
            read_exactly(sock, 8)
        sock.sendall(answer)

    return handler


@pytest.mark.parametrize(("asked", "status"), [([], 1), (["-H", "Range: bytes=0-2"], 0)])
def test_a_part_is_taken_only_if_it_was_asked_for(tmp_path, capfd, asked, status):
    file = tmp_path / "file"
    file.write_text("precious")
    answer = head("206 Partial Content", "Content-Range: bytes 0-2/9", length=3) + b"new"

    with ScriptedServer(answering(answer)) as server:
        url = f"http://127.0.0.1:{server.port}/"
        assert main(["get", url, "-o", str(file), *asked]) == status

    assert file.read_text() == ("precious" if status else "new")


def test_all_fields_of_one_name_are_sent(tmp_path, capfd):
    heads = []

    def handler(sock):
        heads.append(read_head(sock).split(b"\r\n"))
        sock.sendall(head("200 OK"))

    given = ["X-Tag: one", "x-tag: two", "Accept: text/plain", "Accept: text/html", "X-Tag: one"]
    with ScriptedServer(handler) as server:
        url = f"http://127.0.0.1:{server.port}/"
        options = [part for field in given for part in ("-H", field)]
        assert main(["get", url, *options]) == 0
        assert main(["put", "/dev/null", url, *options]) == 0

    for lines in heads:
        sent = [line.decode() for line in lines if line.lower().startswith((b"x-tag", b"accept:"))]
        assert sent == given


def test_what_is_uploaded_has_no_digest_that_nobody_asked_for(start, tmp_path, capfd):
    server = start("uvicorn-h11")
    (tmp_path / "file").write_bytes(b"body")

    assert main(["put", str(tmp_path / "file"), f"http://127.0.0.1:{server.port}/upload"]) == 0

    names = [name for name, _ in json.loads(capfd.readouterr().out)["headers"]]
    assert "content-length" in names
    assert "content-md5" not in names


@pytest.mark.skipif(sys.platform != "linux", reason="needs /proc and /dev/full")
@pytest.mark.parametrize("file", ["/proc/version", "/proc/self/limits"])
def test_put_sends_files_whose_size_is_said_to_be_0(start, capfd, file):
    server = start("uvicorn-h11")

    assert main(["put", file, f"http://127.0.0.1:{server.port}/upload"]) == 0

    assert json.loads(capfd.readouterr().out)["length"] == len(Path(file).read_bytes())


GZIP = gzip.compress(b"no such \x1b[1mfile")
BIG = 1_000_000  # bytes, more than a pipe takes
PAGES = {
    "/small": head("200 OK", length=3) + b"new",
    "/big": head("200 OK", length=BIG) + bytes(BIG),
    "/big-error": head("404 No", length=BIG) + bytes(BIG),
    "/nothing": head("200 OK"),
    "/missing": head("404 \x9bNo", "Content-Type: text/plain", length=8) + b"\x1b[2J no\n",
    "/binary": head("404 No", "Content-Type: image/png", length=4) + b"\x89PNG",
    "/long": head("404 No", "Content-Type: text/html", length=5000) + b"long " * 1000,
    "/cut": head("404 No", "Content-Type: application/problem+json", length=50) + b"{",
    "/problem": head("404 No", "Content-Type: application/problem+json", length=2) + b"{}",
    "/gzip": head("404 No", "Content-Type: text/plain", "Content-Encoding: gzip", length=len(GZIP))
    + GZIP,
    "/brotli": head("404 No", "Content-Type: text/plain", "Content-Encoding: br", length=3)
    + b"\x0b~\x03",
    "/endless": b"HTTP/1.1 404 No\r\nContent-Type: text/plain\r\n\r\n" + bytes(5000),
    "/empty": head("404 No", "Content-Type: text/plain"),
    "/cut-success": head("201 Created", length=50) + b"{",
}


@pytest.fixture(scope="module")
def pages():
    """Run a server with `PAGES`; return the beginning of its URLs."""

    def handler(sock):
        request = read_head(sock).split()
        if request:
            if request[0] == b"PUT" and b"chunked" in request:
                sock.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
                body = b""
                while not body.endswith(b"0\r\n\r\n"):
                    body += sock.recv(65536)
            sock.sendall(PAGES[request[1].decode()])

    with ScriptedServer(handler) as server:
        yield f"http://127.0.0.1:{server.port}"


def shell(line, **environment):
    """Run *line*, in which $D is the command; return status, output and error output."""
    command = f"{shlex.quote(sys.executable)} -m dugong_like"
    done = subprocess.run(
        ["bash", "-c", line], stdin=subprocess.DEVNULL, capture_output=True, timeout=100,
        check=False, cwd="/",
        env={**os.environ, "PYTHONPATH": str(ROOT), "D": command, **environment},
    )  # fmt: skip
    assert b"Traceback" not in done.stderr, done.stderr
    assert b"Exception ignored" not in done.stderr, done.stderr
    return done.returncode, done.stdout.decode(), done.stderr.decode()


CLOSED = "standard output: Bad file descriptor"
FULL = "standard output: No space left on device"
STREAMS = {
    "$D get $U/small >&-": (1, "", CLOSED),
    "$D get $U/nothing >&-": (0, "", ""),
    "$D get $U/small >/dev/full": (1, "", FULL),
    "$D get $U/big >/dev/full": (1, "", FULL),
    "PYTHONUNBUFFERED=1 $D get $U/small >/dev/full": (1, "", FULL),
    "PYTHONUNBUFFERED=1 $D get $U/missing 2>/dev/full": (4, "", ""),
    "$D get $U/small 2>&-": (0, "new", ""),
    "$D get $U/missing 2>&-": (4, "", ""),
    "$D get $U/missing 2>/dev/full": (4, "", ""),
    "$D get $U/small <&- >&- 2>&-": (1, "", ""),
    "$D put - $U/small <&-": (1, "", "standard input: Bad file descriptor"),
    "$D put - $U/small 0>/dev/null": (1, "", "standard input: Bad file descriptor"),
    "$D put - $U/nothing >&-": (0, "", ""),
    "$D put - $U/small >/dev/full": (1, "", f"the server answered 200 OK, but: {FULL}"),
    "$D --help >/dev/full": (1, "", FULL),
    "$D --help >&-": (1, "", CLOSED),
    "$D get --help 2>&- | grep -o usage": (0, "usage\n", ""),
    "$D --version >/dev/full": (1, "", FULL),
    "$D --nonsense 2>&-": (2, "", ""),
    "$D demo --files 0 2>/dev/full": (2, "", ""),
    "$D demo --files 1 --json >/dev/full": (1, "", FULL),
    "$D demo --files 1 >&- 2>&-": (1, "", ""),
    "$D get $U/big | head -c 1; exit ${PIPESTATUS[0]}": (141, "\0", ""),
    "$D get $U/big $U/big | head -c 1; exit ${PIPESTATUS[0]}": (141, "\0", ""),
    "$D get $U/big -o /dev/stdout | head -c 1; exit ${PIPESTATUS[0]}": (141, "\0", ""),
}


@pytest.mark.skipif(sys.platform != "linux", reason="needs bash and /dev/full")
@pytest.mark.parametrize("line", rest_slow(0, STREAMS, always=set(list(STREAMS)[::2]).__contains__))
def test_standard_streams_that_are_closed_or_full_or_not_read(pages, line):
    status, out, words = STREAMS[line]

    code, shown, err = shell(line, U=pages)

    assert (code, shown) == (status, out)
    assert words in err
    assert err.count("\n") == bool(words)


@pytest.fixture
def unread():
    """Yield the descriptor of a pipe that nobody reads any more."""
    reader, writer = os.pipe()
    os.close(reader)
    yield writer
    os.close(writer)


@pytest.mark.parametrize(
    "arguments",
    [
        ["get", "/small"],
        ["get", "/big"],
        ["get", "/big", "-o", "/dev/stdout"],
        ["put", "/dev/null", "/small"],
        ["--help"],
        ["--version"],
        ["demo", "--files", "1"],
    ],
    ids=" ".join,
)
def test_output_that_nobody_reads_is_no_message(pages, unread, arguments):
    """As with ``| head``; a shell says 141 of a program that SIGPIPE has ended."""
    done = subprocess.run(
        [sys.executable, "-m", "dugong_like", *with_host(arguments, pages)],
        stdout=unread, stderr=subprocess.PIPE, timeout=100, check=False, cwd=ROOT,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (141, b"")


def test_errors_that_nobody_reads_change_no_status(pages, unread):
    done = subprocess.run(
        [sys.executable, "-m", "dugong_like", "get", f"{pages}/missing"],
        stdout=subprocess.PIPE, stderr=unread, timeout=100, check=False, cwd=ROOT,
    )  # fmt: skip
    assert (done.returncode, done.stdout) == (4, b"")


def with_host(arguments, pages):
    return [f"{pages}{text}" if text[:1] == "/" and text in PAGES else text for text in arguments]


@pytest.mark.parametrize("unbuffered", ["", "1"])
@pytest.mark.parametrize("blocking", [True, False])
def test_everything_gets_through_a_pipe(pages, unbuffered, blocking):
    reader, writer = os.pipe()
    os.set_blocking(writer, blocking)
    with subprocess.Popen(
        [sys.executable, "-m", "dugong_like", "get", f"{pages}/big"],
        stdout=writer, cwd=ROOT, env={**os.environ, "PYTHONUNBUFFERED": unbuffered},
    ) as process:  # fmt: skip
        os.close(writer)
        with os.fdopen(reader, "rb") as stream:
            assert stream.read() == bytes(BIG)
    assert process.returncode == 0


def test_everything_is_read_from_a_non_blocking_pipe(start):
    server = start("uvicorn-h11")
    reader, writer = os.pipe()
    os.set_blocking(reader, False)
    with subprocess.Popen(
        [sys.executable, "-m", "dugong_like", "put", "-", f"http://127.0.0.1:{server.port}/upload"],
        stdin=reader, stdout=subprocess.PIPE, cwd=ROOT,
    ) as process:  # fmt: skip
        os.close(reader)
        with os.fdopen(writer, "wb", buffering=0) as stream:
            for _ in range(3):
                stream.write(b"part ")
                time.sleep(0.05)  # what comes later is no end, however long it takes
        out, _ = process.communicate(timeout=60)

    assert (process.returncode, json.loads(out)["length"]) == (0, 15)


# The command with a short limit for what is written, and for what is read from a pipe, but the
# usual one for the server: which of them is faster then does not matter.
IMPATIENT = """
import sys
from dugong_like import __main__
from dugong_like.cli import commands, options, upload
stall = upload.stall
upload.stall = lambda seconds, op: stall(0.05, op)
commands.TimeLimits = lambda: options.TimeLimits(60, 0.05)
sys.exit(__main__.main())
"""


@pytest.mark.skipif(os.name == "nt", reason="Windows has no non-blocking pipes")
@pytest.mark.parametrize("unbuffered", ["", "1"])
def test_a_parent_that_reads_after_the_end_only_gets_an_error(pages, unbuffered):
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    done = subprocess.run(
        [sys.executable, "-c", IMPATIENT, "get", f"{pages}/big"],
        stdout=writer, stderr=subprocess.PIPE, timeout=100, check=False, cwd=ROOT,
        env={**os.environ, "PYTHONUNBUFFERED": unbuffered},
    )  # fmt: skip
    os.close(writer)
    size = len(read_to_end(reader))

    assert done.returncode == 1
    assert done.stderr.decode() == (
        "dugong_like: standard output: nothing could be written for 0.05 seconds "
        f"(bytes written before: {size})\n"
    )
    assert 0 < size < BIG


def read_to_end(descriptor):
    with os.fdopen(descriptor, "rb") as stream:
        return stream.read()


@pytest.fixture
def impatient(monkeypatch):
    """Make outputs have a short time limit, but not the server."""
    monkeypatch.setattr("dugong_like.cli.commands.TimeLimits", lambda: TimeLimits(60, 0.05))


STANDS_STILL = "nothing could be written for 0.05 seconds (bytes written before: "
UNREAD = {
    "get /big": (1, f"standard output: {STANDS_STILL}"),
    "get /big -o FIFO": (1, f"/fifo: {STANDS_STILL}"),
    "put /dev/null /big": (1, f"the server answered 200 OK, but: standard output: {STANDS_STILL}"),
    "get /big 2>&1": (1, ""),  # nor can the error be written
    "get /big-error 2>&1": (4, ""),
    "put /dev/null /big-error 2>&1": (4, ""),
}


@pytest.mark.skipif(os.name == "nt", reason="Windows has no non-blocking pipes")
@pytest.mark.parametrize("line", UNREAD)
def test_an_output_that_stands_still_is_an_error(
    pages, impatient, tmp_path, monkeypatch, capfd, line
):
    status, words = UNREAD[line]
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    reader = os.open(fifo, os.O_RDONLY | os.O_NONBLOCK)
    writer = os.open(fifo, os.O_WRONLY | os.O_NONBLOCK)
    arguments = [str(fifo) if text == "FIFO" else text for text in line.split()]
    with os.fdopen(writer, "w") as stream, monkeypatch.context() as patch:
        patch.setattr(sys, "stdout", stream)
        if arguments[-1] == "2>&1":
            patch.setattr(sys, "stderr", stream)
            arguments.pop()
        assert main(with_host(arguments, pages)) == status
    size = len(read_to_end(reader))

    assert 0 < size < BIG
    err = capfd.readouterr().err
    assert err.count("\n") == bool(words)
    assert err.endswith(f"{words}{size})\n" if words else "")


@pytest.mark.skipif(os.name == "nt", reason="Windows has no FIFOs")
def test_an_output_that_nobody_opens_is_an_error(pages, impatient, tmp_path, capfd):
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)

    assert main(["get", f"{pages}/small", "-o", str(fifo)]) == 1

    assert capfd.readouterr().err == (
        f"dugong_like: {fifo}: nobody has opened it for reading within 0.05 seconds\n"
    )


@pytest.mark.skipif(os.name == "nt", reason="Windows has no non-blocking pipes")
@pytest.mark.parametrize("data", [b"", b"first"])
def test_a_non_blocking_input_that_gets_nothing_stores_nothing(data):
    """Not even what has arrived, as that is not all."""
    received = []

    def take(sock):
        read_head(sock)
        sock.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
        while piece := sock.recv(65536):
            received.append(piece)

    reader, writer = os.pipe()
    os.set_blocking(reader, False)
    os.write(writer, data)
    with ScriptedServer(take) as server:
        done = subprocess.run(
            [sys.executable, "-c", IMPATIENT, "put", "-", f"http://127.0.0.1:{server.port}/"],
            stdin=reader, capture_output=True, timeout=100, check=False, cwd=ROOT,
        )  # fmt: skip
    os.close(reader)
    os.close(writer)

    assert (done.returncode, done.stdout) == (1, b"")
    assert done.stderr.decode() == (
        "dugong_like: standard input: nothing has arrived for 60 seconds "
        f"(bytes read before: {len(data)})\n"
    )
    assert not b"".join(received).endswith(b"0\r\n\r\n")


@pytest.mark.parametrize("size", [10, 3_000_000])
def test_expect_may_be_a_field_of_the_user(start, tmp_path, capfd, size):
    server = start("uvicorn-h11")
    file = tmp_path / "file"
    file.write_bytes(bytes(size))

    url = f"http://127.0.0.1:{server.port}/upload"
    assert main(["put", str(file), url, "-H", "Expect: 100-continue"]) == 0

    assert json.loads(capfd.readouterr().out)["length"] == size


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such limit")
@pytest.mark.parametrize("unbuffered", ["", "1"])
def test_a_file_that_takes_no_more_is_an_error(pages, tmp_path, unbuffered):
    """The last write is a short one, which is no error by itself."""
    with (tmp_path / "out").open("wb") as out:
        line = f"ulimit -f 500; exec {shlex.quote(sys.executable)} -m dugong_like get {pages}/big"
        done = subprocess.run(
            ["bash", "-c", line],
            stdout=out, stderr=subprocess.PIPE, timeout=100, check=False, cwd=ROOT,
            env={**os.environ, "PYTHONUNBUFFERED": unbuffered},
        )  # fmt: skip

    assert done.returncode == 1
    assert done.stderr == b"dugong_like: standard output: File too large\n"


def on_terminal(arguments, output=True, errors=True, **environment):
    """Run the command on a terminal; return its status and what is shown there."""
    controller, terminal = pty.openpty()
    termios.tcsetwinsize(terminal, (25, 100))
    with subprocess.Popen(
        [sys.executable, "-m", "dugong_like", *arguments],
        stdin=subprocess.DEVNULL,
        stdout=terminal if output else subprocess.DEVNULL,
        stderr=terminal if errors else subprocess.DEVNULL,
        cwd=ROOT, env={**os.environ, **environment},
    ) as process:  # fmt: skip
        os.close(terminal)
        shown = b""
        try:
            while piece := os.read(controller, 65536):
                shown += piece
        except OSError:
            pass  # how Linux says that nobody has the terminal any more
    os.close(controller)
    return process.returncode, shown.replace(b"\r\n", b"\n").decode()


HIDDEN = "dugong_like: the answer is not shown here: "


@pytest.mark.parametrize(
    ("path", "page"),
    [
        ("/missing", "\\x1b[2J no\n"),
        ("/problem", "{}\n"),
        ("/gzip", "no such \\x1b[1mfile\n"),
        ("/empty", ""),
        ("/binary", f"{HIDDEN}image/png, 4 bytes\n"),
        ("/long", f"{HIDDEN}text/html, 5000 bytes\n"),
        ("/brotli", f"{HIDDEN}text/plain (br), 3 bytes\n"),
        ("/endless", f"{HIDDEN}text/plain, more than 4096 bytes\n"),
    ],
)
def test_a_terminal_gets_an_error_page_only_if_it_is_a_short_text(pages, path, page):
    status, shown = on_terminal(["get", f"{pages}{path}"])

    line, _, rest = shown.partition("\n")
    assert status == 4
    assert "the server answered 404" in line
    assert rest == page
    assert "\x1b" not in shown
    assert "\x9b" not in shown


def test_a_page_that_is_cut_off_is_told_and_is_still_an_answer(pages):
    status, shown = on_terminal(["get", f"{pages}/cut"])
    code, _, err = command("get", f"{pages}/cut")

    assert status == code == 4
    for text in (shown, err):
        lines = text.splitlines()
        assert "the server answered 404 No" in lines[0]
        assert "ended with 49 of 50 body bytes missing" in lines[-1]
    assert lines[1] == "{"


def test_an_upload_whose_answer_is_cut_off_names_its_url_once(pages):
    url = f"{pages}/cut-success"

    code, out, err = command("put", "-", url, stdin=b"x")

    assert (code, out) == (1, b"{")
    assert err.startswith(f"dugong_like: PUT {url}: ")
    assert err.endswith("; the server answered 201 Created before\n")
    assert err.count(url) == 1


def test_a_pipe_gets_an_error_page_as_it_is(pages):
    assert command("get", f"{pages}/long")[2].endswith("long long ")
    assert command("get", f"{pages}/brotli")[2].endswith("404 No\n\x0b~\x03")
    assert command("get", f"{pages}/missing")[2].endswith("404 \\x9bNo\n\x1b[2J no\n")


@pytest.mark.parametrize("options", [[], ["-o", "/dev/stdout"]], ids=["output", "file"])
def test_a_body_reaches_a_terminal_without_control_characters(options):
    body = "caf\u00e9\x1b]0;title\x07\r\n\u202e".encode() + b"\x9b\xff"
    with ScriptedServer(answering(head("200 OK", length=len(body)) + body)) as server:
        status, shown = on_terminal(
            ["get", f"http://127.0.0.1:{server.port}/", *options], PYTHONIOENCODING="utf-8"
        )

    assert status == 0
    assert shown == "caf\u00e9\\x1b]0;title\\x07\n\\u202e\ufffd\ufffd"


def test_a_bar_is_shown_only_where_it_does_not_disturb_the_body(pages, tmp_path):
    assert on_terminal(["get", f"{pages}/small"]) == (0, "new")
    status, shown = on_terminal(["get", f"{pages}/small", "-o", str(tmp_path / "file")])
    assert status == 0
    assert "/small" in shown


class GoneTerminal(io.FileIO):
    """A terminal that somebody has hung up."""

    def isatty(self):
        return True

    def write(self, data):
        raise OSError(errno.EIO, os.strerror(errno.EIO))


def test_a_bar_that_cannot_be_shown_ends_no_transfer(pages, tmp_path, monkeypatch):
    with GoneTerminal(os.devnull, "w") as raw, io.TextIOWrapper(io.BufferedWriter(raw)) as gone:
        monkeypatch.setattr(sys, "stderr", gone)
        assert main(["get", f"{pages}/big", "-o", str(tmp_path / "file")]) == 0
        monkeypatch.undo()
        gone.flush()  # nothing is left that would fail at the exit

    assert (tmp_path / "file").read_bytes() == bytes(BIG)


WITHOUT_NAMELESS = (  # as on other systems than Linux, and on some file systems
    "import os; del os.O_TMPFILE\n"
    "import sys; from dugong_like.__main__ import main; sys.exit(main())"
)


def is_receiving(process, folder, named):
    """Return True if *process* has the new file, which may have no name, in *folder*."""
    if named:
        return any(name.startswith(".dugong-") for name in os.listdir(folder))
    for link in Path(f"/proc/{process.pid}/fd").iterdir():
        try:
            if str(link.readlink()).startswith(f"{folder}/#"):
                return True
        except OSError:
            pass  # it is closed by now
    return False


ENDING = ["SIGTERM", "SIGHUP", "SIGINT", "SIGQUIT", "SIGUSR1", "SIGALRM", "SIGXCPU", "SIGRTMIN"]


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such signals")
@pytest.mark.parametrize(
    ("name", "named", "exists"),
    rest_slow(
        8,
        [
            ("SIGTERM", True, True),
            ("SIGTERM", False, True),
            ("SIGQUIT", False, False),
            ("SIGKILL", False, False),
            ("SIGKILL", False, True),
            ("SIGSEGV", False, False),
            *((name, True, number % 2 > 0) for number, name in enumerate(ENDING)),
        ],
    ),
)
def test_a_signal_leaves_no_partial_file(tmp_path, name, named, exists):
    if not named and not hasattr(os, "O_TMPFILE"):
        pytest.skip("there are no files without a name")
    number = getattr(signal, name, None)
    if number is None:
        pytest.skip(f"there is no {name}")
    ended = threading.Event()

    def half(sock):
        read_head(sock)
        sock.sendall(head("200 OK", length=100_000) + b"half")
        ended.wait(60)

    file = tmp_path / "file"
    if exists:
        file.write_text("old")
    program = ["-c", WITHOUT_NAMELESS] if named else ["-m", "dugong_like"]
    with ScriptedServer(half) as server, subprocess.Popen(
        ["bash", "-c", 'ulimit -c 0; exec "$@"', "-", sys.executable, *program, "get", "-o", file,
         f"http://127.0.0.1:{server.port}/"],
        stderr=subprocess.PIPE, cwd=ROOT,
    ) as process:  # fmt: skip
        wait_until(lambda: is_receiving(process, tmp_path, named), 60)
        process.send_signal(number)
        _, err = process.communicate(timeout=60)
        ended.set()

    line = f"dugong_like: {'interrupted' if number == signal.SIGINT else f'ended by {name}'}\n"
    is_silent = name in {"SIGKILL", "SIGSEGV"}
    assert (process.returncode, err.decode()) == (-number, "" if is_silent else line)
    assert os.listdir(tmp_path) == (["file"] if exists else [])
    assert not exists or file.read_text() == "old"


INTERRUPTED_IMPORT = """
import signal, sys

class Interrupting:
    def find_spec(self, name, path, target=None):
        if name == "dugong_like.cli.commands":
            signal.raise_signal(signal.SIGINT)

sys.meta_path.insert(0, Interrupting())
from dugong_like.__main__ import main
sys.exit(main(["--version"]))
"""


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such signals")
def test_ctrl_c_while_the_commands_are_imported_is_no_traceback():
    done = subprocess.run(
        [sys.executable, "-c", INTERRUPTED_IMPORT],
        capture_output=True,
        check=False,
        cwd=ROOT,
        timeout=60,
    )
    assert done.returncode == -signal.SIGINT
    assert (done.stdout, done.stderr) == (b"", b"dugong_like: interrupted\n")


def test_nohup_is_respected(tmp_path):
    """A signal that was ignored when the command began stays so."""
    started, hung_up = threading.Event(), threading.Event()

    def slow(sock):
        read_head(sock)
        started.set()
        hung_up.wait(60)
        sock.sendall(PAGES["/small"])

    with ScriptedServer(slow) as server, subprocess.Popen(
        ["bash", "-c", 'trap "" HUP; exec "$@"', "-", sys.executable, "-m", "dugong_like", "get",
         f"http://127.0.0.1:{server.port}/"],
        stdout=subprocess.PIPE, cwd=ROOT,
    ) as process:  # fmt: skip
        started.wait(60)
        process.send_signal(signal.SIGHUP)
        hung_up.set()
        out, _ = process.communicate(timeout=60)

    assert (process.returncode, out) == (0, b"new")


def test_version_is_printed(capsys):
    with pytest.raises(SystemExit) as end:
        main(["--version"])
    assert end.value.code == 0
    assert capsys.readouterr().out.strip() == "0.1.0"


def test_parse_url_keeps_the_query_and_drops_the_fragment():
    url = parse_url("http://[::1]:81/a%20b/ü?q=1&r=a b#c")

    assert (url.host, url.port) == ("::1", 81)
    assert url.target == "/a%20b/%C3%BC?q=1&r=a%20b"


def test_no_command_takes_a_password_in_a_url_or_shows_it(tmp_path, capfd, monkeypatch):
    """The message says what to do instead."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").write_bytes(b"data")
    login = "http://user:s%65kret@127.0.0.1:1/"
    (tmp_path / "list").write_text(f"{login}\n")
    instead = {
        "-u or --netrc": [
            *(["get", *args, login] for args in ([], ["-o", "out"], ["-O"], ["-c", "-o", "out"])),
            *([name, login] for name in ("head", "delete", "options")),
            ["get", "-i", "list"],
            ["get", "http://127.0.0.1:1/", login],
            ["put", "file", login],
            ["post", login, "--json", "1"],
            ["patch", login, "--json", "1"],
            [login],
            *(["sync", *args, "folder", login] for args in ([], ["--json"], ["-n"], ["-v"])),
            *(["sync", *args, login, "folder"] for args in ([], ["--json"], ["-n"])),
            ["sync", "folder", login.upper().replace("%65", "e")],
        ],
        "none are sent": [["demo", "--url", login]],
        "AWS_ACCESS_KEY_ID": [["sync", "--s3-endpoint", login, "folder", "s3://bucket/x"]],
    }
    wrong = []
    for words, all_args in instead.items():
        for args in all_args:
            try:
                status = main(args)
            except SystemExit as end:
                status = end.code
            out, err = capfd.readouterr()
            text = (out + err).lower()
            if status != 2 or words not in err or "kret" in text or "user:" in text:
                wrong.append((args, status, out, err))
    assert wrong == []
    assert sorted(os.listdir(tmp_path)) == ["file", "folder", "list"]


def test_parse_url_fills_in_what_is_missing():
    url = parse_url("https://example.org")

    assert (url.scheme, url.port, url.target) == ("https", 443, "/")
    with pytest.raises(InvalidRequest):
        parse_url("http://")


AS_A_PROCESS = """
import gc, pkgutil, runpy, sys
command = sys.argv[1]
sys.argv[1:] = ["--version"]
try:
    if command:
        pkgutil.resolve_name(command)()
    else:
        runpy.run_module("dugong_like", run_name="__main__")
except SystemExit:
    print(gc.get_threshold()[0])
"""


@pytest.mark.parametrize("is_installed", [False, True])
def test_cycles_are_looked_for_less_often_in_a_process_of_its_own_only(capfd, is_installed):
    before = gc.get_threshold()
    scripts = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["scripts"]
    called = scripts["dugong_like"] if is_installed else ""
    done = subprocess.run(
        [sys.executable, "-c", AS_A_PROCESS, called], capture_output=True, check=True, cwd=ROOT
    )

    with pytest.raises(SystemExit):
        main(["--version"])
    assert int(done.stdout.split()[-1]) == OBJECTS
    assert gc.get_threshold() == before
