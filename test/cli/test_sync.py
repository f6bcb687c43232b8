"""The command ``sync``."""

import json
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from kit.sites import Site, answer_of
from kit.support import ROOT
from kit.sync_pair import OLD, pair_of, tree_of
from kit.sync_server import BASE, Store

from dugong_like import ConnectFailed
from dugong_like.__main__ import main
from dugong_like.cli import sync as module
from dugong_like.cli.clients import retry_for
from dugong_like.client.sync import run


@pytest.fixture
def pair(tmp_path, monkeypatch):
    with pair_of(tmp_path, Store(webdav=True)) as pair:
        monkeypatch.setattr(module, "client_for", lambda options, report: pair.store.client())
        yield pair


def sync(pair, *args):
    """Run the command upwards; return its exit status."""
    return main(["sync", str(pair.root), BASE, "--record", str(pair.record), *args])


def test_a_run_and_its_summary(pair, capfd):
    pair.write("a", b"x" * 2048)
    pair.write("b")
    assert sync(pair) == 0
    assert capfd.readouterr() == (
        "2 copied (2.0 KiB), 0 deleted, 0 unchanged\n",
        "",
    )

    (pair.root / "b").unlink()
    pair.write("c\n\x1b[2J", b"1")
    assert sync(pair, "--list", "--delete") == 0
    lines = capfd.readouterr().out.splitlines()
    assert lines[0].startswith("copy         1 B  c")
    assert "\x1b" not in lines[0]
    assert lines[1] == "delete       4 B  b  (not in the source)"
    assert lines[2] == "1 copied (1 B), 1 deleted, 1 unchanged"
    back = str(pair.back)
    assert main(["sync", "-q", BASE, back, "--record", f"{pair.record}2"]) == 0
    assert tree_of(pair.back) == tree_of(pair.root)
    assert capfd.readouterr() == ("", "")


def test_a_dry_run_writes_the_plan(pair, capfd):
    pair.write("a", b"x" * 2048)

    assert sync(pair, "--dry-run") == 0

    assert capfd.readouterr().out.splitlines() == [
        "copy     2.0 KiB  a  (new)",
        "1 would be copied (2.0 KiB), 0 would be deleted, 0 unchanged",
    ]
    assert pair.store.files == {}


def test_json(pair, capfd):
    pair.write("a\udcff", b"12")
    pair.write("bad")
    pair.store.by.append(lambda seen, path: answer_of(507) if path == b"bad" else None)

    assert sync(pair, "--json") == 4

    out, err = capfd.readouterr()
    steps = [json.loads(line) for line in out.splitlines()]
    assert {step["path"]: step["error"] is None for step in steps[:2]} == {
        "a\udcff": True,
        "bad": False,
    }
    assert steps[0]["kind"] == "copy"
    assert (steps[2]["copied"], steps[2]["failed"], steps[2]["copied_bytes"]) == (1, 1, 2)
    assert "bad: PUT http://example.org/files/bad: the server answered 507" in err


def test_exit_statuses_say_whose_fault_it_is(pair, capfd, monkeypatch):
    pair.write("a")
    assert main(["sync", str(pair.root), str(pair.back)]) == 2
    assert main(["sync", str(pair.root), f"{BASE}?query"]) == 2
    assert main(["sync", str(pair.root / "none"), BASE]) == 1
    assert main(["sync", BASE + "none", str(pair.back), "--record", str(pair.record)]) == 4
    assert sync(pair, "--max-delete", "0", "--delete") == 0
    (pair.root / "a").unlink()
    assert sync(pair, "--max-delete", "0", "--delete") == 1
    assert "1 files would be deleted" in capfd.readouterr().err
    for args in (["--jobs", "0"], ["--max-delete", "x"], ["--links", "x"], ["--user", "x:y"]):
        with pytest.raises(SystemExit) as caught:
            main(["sync", "--netrc", str(pair.root), BASE, *args])
        assert caught.value.code == 2

    def co_refused(host, port):
        raise ConnectFailed("connection refused")
        yield

    monkeypatch.setattr(pair.store.site, "co_connect_tcp", co_refused)
    assert sync(pair) == 3
    assert "connection refused" in capfd.readouterr().err


def test_time_that_is_up_is_status_1(pair, capfd):
    pair.write("a")
    pair.store.site._answer = lambda seen: None  # for ever

    assert sync(pair, "--max-time", "0.05", "--json") == 1

    out, err = capfd.readouterr()
    assert "not complete within 0.05 s" in err
    assert "not complete" in json.loads(out)["error"]


def test_the_number_of_retries_is_that_of_the_user(pair, capfd, monkeypatch):
    retries = []

    def client_for(options, report):
        retries.append(retry_for(options))
        return pair.store.client()

    monkeypatch.setattr(module, "client_for", client_for)
    for args in ([], ["--retry", "0"], ["--retry", "7"]):
        assert sync(pair, *args) == 0
    assert [retry.total for retry in retries] == [3, 0, 7]

    with pytest.raises(SystemExit):
        main(["sync", "--help"])
    text = " ".join(capfd.readouterr().out.split())
    assert "502, 503 and 504 (default: 3)" in text
    assert "give up if the run is not complete" in text


def test_compared_files_are_not_called_copied(pair, capfd):
    pair.write("a")
    pair.write("b")
    assert sync(pair, "-q") == 0
    assert sync(pair, "--list", "--checksum") == 0
    assert capfd.readouterr().out == "0 copied (0 B), 0 deleted, 2 unchanged\n"
    assert sync(pair, "-n", "--checksum") == 0
    assert capfd.readouterr().out == "0 would be copied (0 B), 0 would be deleted, 2 unchanged\n"


def test_a_local_file_that_cannot_be_read_is_status_1(pair, capfd, monkeypatch):
    pair.write("a")
    pair.write("b")

    def opened(folder, path):
        raise PermissionError(13, "Permission denied", path)

    monkeypatch.setattr("dugong_like.client.sync.local.LocalFolder.opened", opened)

    assert sync(pair) == 1
    out, err = capfd.readouterr()
    assert "2 failed" in out
    assert "a: a: Permission denied" in err


def test_options_are_passed_on(pair, capfd):
    pair.write("a.tmp")
    pair.write("b", mtime_ns=OLD)
    (pair.root / "link").symlink_to("b")

    status = sync(
        pair,
        *("--exclude", "*.tmp", "--links", "follow", "--checksum", "--verify", "--jobs", "2"),
        *("--max-time", "100", "--server", "manifest", "--fsync", "-H", "X-Own: 1", "--progress"),
    )

    assert status == 0
    out, err = capfd.readouterr()
    assert out == "2 copied (8 B), 0 deleted, 0 unchanged, 2 verified\n"
    assert "2 files" in err
    assert pair.store.texts() == {"b": b"data", "link": b"data"}
    assert b"dugong-manifest.jsonl" in pair.store.files


def test_it_is_in_the_help(capfd):
    for args in (["--help"], ["sync", "--help"]):
        with pytest.raises(SystemExit):
            main(args)
    assert "--max-delete" in capfd.readouterr().out


@pytest.mark.parametrize(
    ("sides", "reason"),
    [
        (["a", "b"], "both are paths of folders here: one has to begin with http://"),
        (["a", "example.org/b"], "both are paths of folders here"),
        (["http://a/", "s3://bb/c"], "both are on servers: one has to be the path of a folder"),
        (["a", "ftp://me:secret@b/"], "not a URL that begins with http://, https:// or s3://"),
    ],
)
def test_two_sides_that_are_no_pair(sides, reason, capfd):
    assert main(["sync", *sides]) == 2
    err = capfd.readouterr().err
    assert reason in err
    assert "secret" not in err


def test_verbose_is_what_it_is_for_all_commands(tmp_path, capfd):
    """The heads of what is sent and received; the files are listed by another option."""
    (tmp_path / "root").mkdir()
    (tmp_path / "root" / "a").write_bytes(b"x")
    with Site({None: answer_of(403)}) as site:
        url = f"http://127.0.0.1:{site.port}/"
        assert main(["sync", "-v", str(tmp_path / "root"), url]) == 4
        out, err = capfd.readouterr()
        assert "> OPTIONS /" in err
        assert "< HTTP/1.1 403" in err
        assert out == ""
    texts = set()
    for command in ("get", "post", "put", "sync"):
        with pytest.raises(SystemExit):
            main([command, "--help"])
        _, found, rest = capfd.readouterr().out.partition("  -v, --verbose")
        text, _, _ = rest.partition("  -q, --quiet")
        assert found
        texts.add(text)
    assert len(texts) == 1


@pytest.mark.parametrize(("option", "is_followed"), [("-q", False), ("--progress", True)])
def test_progress_is_followed_only_if_it_is_shown(pair, monkeypatch, option, is_followed):
    made = []
    made_as_usual = run.SyncProgress
    monkeypatch.setattr(run, "SyncProgress", lambda *of: made.append(of) or made_as_usual(*of))
    pair.write("a")

    assert sync(pair, option) == 0
    assert bool(made) is is_followed


class Stores(BaseHTTPRequestHandler):
    """A server that stores files, lists none, and has no tags in answers to PUT, as nginx."""

    protocol_version = "HTTP/1.1"

    def _answer(self, status, size=0):
        self.send_response(status)
        if status == 200:
            self.send_header("ETag", '"1"')
        self.send_header("Content-Length", str(size))
        self.end_headers()

    def do_OPTIONS(self):
        self._answer(405)

    def do_GET(self):
        self._answer(404)

    def do_PUT(self):
        self.server.files[self.path] = self.rfile.read(int(self.headers["Content-Length"]))
        self._answer(201)

    def do_HEAD(self):
        self._answer(200, len(self.server.files[self.path]))

    def log_message(self, *args):
        pass


NOT_FOR_ALL = {"asyncio", "ctypes", "dataclasses", "email.message", "inspect", "logging", "ssl"}
RUN = f"""
import sys
before = set(sys.modules)  # perhaps with those of what measures the coverage
from dugong_like.__main__ import main
status = main(sys.argv[1:])
print(sorted({NOT_FOR_ALL} & set(sys.modules) - before))
sys.exit(status)
"""


def test_a_run_imports_nothing_that_only_others_use(tmp_path):
    """Two of them, email and dataclasses, were a seventh of what the start of a run cost."""
    root = tmp_path / "root"
    for number in range(20):
        file = root / str(number)
        file.parent.mkdir(exist_ok=True)
        file.write_bytes(bytes(number * 10_000))
    with ThreadingHTTPServer(("127.0.0.1", 0), Stores) as server:
        server.files = {}
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, daemon=True).start()
        url = f"http://127.0.0.1:{server.server_port}/"
        words = ["sync", "-q", "--record", tmp_path / "record", root, url]
        done = subprocess.run(
            [sys.executable, "-c", RUN, *words],
            check=False, capture_output=True, text=True, cwd=ROOT, timeout=60,
        )  # fmt: skip
        server.shutdown()

    assert (done.returncode, done.stdout, done.stderr) == (0, "[]\n", "")
    assert {name: len(data) for name, data in server.files.items() if len(name) < 4} == {
        f"/{number}": number * 10_000 for number in range(20)
    }
