"""The command line, run as a newcomer would run it."""

import hashlib
import json
import os
import pty
import subprocess
import sys
import termios
from pathlib import Path

import pytest
from support import ScriptedServer, answering, black_hole, pattern, read_exactly, read_head

from dugong_like import InvalidRequest
from dugong_like.__main__ import main
from dugong_like.cli.urls import parse_url
from dugong_like.receiving import ReceivingHalf

ROOT = Path(__file__).resolve().parents[2]


def command(*arguments, stdin=b"", **environment):
    """Run the command line; return exit status, output and error output."""
    done = subprocess.run(
        [sys.executable, "-m", "dugong_like", *map(str, arguments)],
        input=stdin, capture_output=True, timeout=100, check=False, cwd="/",
        env={**os.environ, "PYTHONPATH": str(ROOT), **environment},
    )  # fmt: skip
    assert b"Traceback" not in done.stderr, done.stderr
    return done.returncode, done.stdout, done.stderr.decode()


def test_demo_prints_a_table_of_all_ways():
    status, out, err = command("demo", "--files", 60)

    assert (status, err) == (0, "")
    lines = out.decode().splitlines()
    assert lines[0].split() == ["way", "files/s", "MiB/s", "CPU", "SHA-256"]
    assert sum("all equal" in line for line in lines) == 5
    assert sum("upload" in line for line in lines) == 2


def test_demo_prints_json():
    status, out, _ = command("demo", "--files", 10, "--json")

    rows = json.loads(out)
    assert status == 0
    assert [row["files"] for row in rows] == [10] * 7
    assert {row["bytes"] for row in rows} == {rows[0]["bytes"]}
    assert all(row["seconds"] > 0 and row["cpu_seconds"] >= 0 for row in rows)


def test_demo_finds_one_wrong_byte():
    status, out, err = command("demo", "--files", 20, "--damage")

    assert status == 1
    assert out.count(b"DIFFERENT") == 5
    assert "different bytes: blocking, one by one: /0/file10" in err


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

    status, out, err = command("get", f"http://127.0.0.1:{server.port}/status/404", "-o", file)

    assert (status, out) == (4, b"")
    assert err.startswith("dugong_like: the server answered 404")
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
        (["get", "http://user@127.0.0.1/"], 2, "user name"),
        (["get", "http://127.0.0.1:99999/"], 2, "not a port number"),
        (["get", "http://127.0.0.1:1/", "-H", "Bad"], 2, "no colon"),
        (["get", "http://127.0.0.1:1/", "-H", "Bad Name: x"], 2, "not a token"),
        (["put", "/no/such/file", "http://127.0.0.1:1/"], 1, "No such file"),
        (["demo", "--files", "0"], 2, "at least one"),
        ([], 2, "COMMAND"),
    ],
)
def test_errors_are_one_line_and_an_exit_status(arguments, status, words):
    code, out, err = command(*arguments)

    assert (code, out) == (status, b"")
    assert words in err.splitlines()[-1]


def test_get_gives_up_in_time():
    with black_hole() as (host, port):
        status, _, err = command("get", f"http://{host}:{port}/", "--timeout", "0.3")

    assert status == 1
    assert "within 0.3 s (connect time-out)" in err


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
        status, out, err = command(
            "put",
            "-",
            f"http://127.0.0.1:{server.port}/",
            stdin=bytes(20_000_000),
        )

    assert (status, out) == (4, b"")
    assert err == "dugong_like: the server answered 413 Too Large\nquota"


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
    monkeypatch.setattr(ReceivingHalf, "look_ahead", lambda *_: None)
    file = tmp_path / "file"
    file.write_bytes(bytes(20_000_000))
    monkeypatch.setattr("dugong_like.cli.transfer.ASK_FIRST", 1 << 30)  # it need not say 100
    with ScriptedServer(refuse) as server:
        assert main(["put", str(file), f"http://127.0.0.1:{server.port}/"]) == status
    assert shown in capfd.readouterr().err


def test_version_is_printed(capsys):
    with pytest.raises(SystemExit) as end:
        main(["--version"])
    assert end.value.code == 0
    assert capsys.readouterr().out.strip() == "0.1.0"


def test_parse_url_keeps_the_query_and_drops_the_fragment():
    url = parse_url("http://[::1]:81/a%20b/ü?q=1&r=a b#c")

    assert (url.host, url.port) == ("::1", 81)
    assert url.target == "/a%20b/%C3%BC?q=1&r=a%20b"


def test_parse_url_fills_in_what_is_missing():
    url = parse_url("https://example.org")

    assert (url.scheme, url.port, url.target) == ("https", 443, "/")
    with pytest.raises(InvalidRequest):
        parse_url("http://")
