"""The commands that send requests, and each of their options, against local servers."""

import base64
import contextlib
import gzip
import os
import pty
import subprocess
import sys
import threading
import time
from email.parser import BytesParser
from pathlib import Path

import pytest
from kit.h2_server import Answer, Peer
from kit.support import ROOT, ScriptedServer, black_hole, read_exactly, read_head, wait_until

from dugong_like.__main__ import main
from dugong_like.cli.transfer import ASK_FIRST


def reply(status="200 OK", *fields, body=b""):
    lines = [f"HTTP/1.1 {status}", *fields, f"Content-Length: {len(body)}", "", ""]
    return "\r\n".join(lines).encode("latin-1") + body


class Site:
    """A server that keeps what it was sent, and answers by path.

    Args:
        pages: replies, or functions of the head and the body of a request that return one, or
            its parts in turn.

    Attributes:
        requests: heads and bodies, in order.

    """

    def __init__(self, **pages):
        self.requests = []
        self.pages = {f"/{name}": page for name, page in pages.items()}
        self._lock = threading.Lock()

    def __call__(self, sock):
        while head := read_head(sock):
            fields = BytesParser().parsebytes(head.split(b"\r\n", 1)[1], headersonly=True)
            if "100-continue" in fields.get("expect", ""):
                sock.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
            body = read_body(sock, fields)
            with self._lock:
                self.requests.append((head, body))
            path = head.split()[1].decode().split("?")[0]
            page = self.pages.get(path, reply("404 Not Found", body=b"nothing"))
            answer = page if isinstance(page, bytes) else page(fields, body)
            if head.startswith(b"HEAD ") and isinstance(answer, bytes):
                answer = answer.partition(b"\r\n\r\n")[0] + b"\r\n\r\n"
            for part in [answer] if isinstance(answer, bytes) else answer:
                sock.sendall(part)

    def lines(self, number=-1):
        return self.requests[number][0].decode("latin-1").split("\r\n")

    def field(self, name, number=-1):
        head = self.requests[number][0].split(b"\r\n", 1)[1]
        return BytesParser().parsebytes(head, headersonly=True).get(name)


def read_body(sock, fields):
    if fields.get("transfer-encoding") == "chunked":
        body = b""
        while size := int(read_line(sock), 16):
            body += read_exactly(sock, size)
            read_line(sock)
        read_line(sock)
        return body
    return read_exactly(sock, int(fields.get("content-length", 0)))


def read_line(sock):
    line = b""
    while not line.endswith(b"\r\n"):
        line += read_exactly(sock, 1)
    return line[:-2]


@contextlib.contextmanager
def serving(tls=None, **pages):
    """Run a `Site`; yield it and the beginning of its URLs."""
    site = Site(**pages)
    with ScriptedServer(site, tls=tls) as server:
        yield site, f"http{'s' if tls else ''}://127.0.0.1:{server.port}"


def run_main(*arguments):
    """Run the command line here; return its exit status."""
    try:
        return main([str(each) for each in arguments])
    except SystemExit as end:
        return end.code


@pytest.fixture(autouse=True)
def plain_environment(monkeypatch):
    """Take away what the environment says about proxies and passwords."""
    for name in list(os.environ):
        if name.lower().endswith("_proxy"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("NETRC", os.devnull)


# ---- commands


@pytest.mark.feature("E38")
@pytest.mark.parametrize("name", ["get", "post", "put", "patch", "delete", "options"])
def test_each_command_sends_its_method(name, capfd, tmp_path):
    (tmp_path / "file").write_bytes(b"sent")
    with serving(x=reply(body=b"body")) as (site, url):
        file = [tmp_path / "file"] if name == "put" else []
        assert run_main(name, *file, f"{url}/x") == 0

    assert capfd.readouterr().out == "body"
    assert site.lines()[0] == f"{name.upper()} /x HTTP/1.1"
    assert site.requests[0][1] == (b"sent" if name == "put" else b"")


@pytest.mark.feature("E38")
@pytest.mark.parametrize("arguments", [["head"], ["get", "-I"], ["-I"]], ids=" ".join)
def test_head_writes_the_head(arguments, capfd):
    page = b"HTTP/1.1 200 Fine\r\nX-One: 1\r\nContent-Length: 5000\r\n\r\n"
    with serving(x=page) as (site, url):
        assert run_main(*arguments, f"{url}/x") == 0

    assert capfd.readouterr() == (page.decode(), "")
    assert site.lines()[0] == "HEAD /x HTTP/1.1"


def test_head_of_an_error_goes_to_standard_error(capfd):
    with serving() as (_, url):
        assert run_main("head", f"{url}/x") == 4

    out, err = capfd.readouterr()
    assert out == ""
    assert err.splitlines()[0].endswith("the server answered 404 Not Found")
    assert "HTTP/1.1 404 Not Found\n" in err.replace("\r", "")


@pytest.mark.parametrize("place", [0, 1, -1])
def test_a_url_without_a_command_is_downloaded(place, tmp_path):
    with serving(x=reply(body=b"body")) as (_, url):
        arguments = ["-o", str(tmp_path / "file"), "-H", "X-Own: 1"]
        arguments.insert({0: 0, 1: 2, -1: 4}[place], f"{url}/x")
        assert run_main(*arguments) == 0

    assert (tmp_path / "file").read_bytes() == b"body"


# ---- redirects


def to(place, status="302 Found"):
    return reply(status, f"Location: {place}", body=b"moved")


@pytest.mark.feature("E38")
def test_redirects_are_followed_unless_that_is_not_wanted(capfd):
    with serving(a=to("/b"), b=to("/c", "301 Moved"), c=reply(body=b"here")) as (site, url):
        assert run_main("get", f"{url}/a") == 0
        assert capfd.readouterr() == ("here", "")
        assert run_main("head", f"{url}/a") == 0
        assert capfd.readouterr().out.startswith("HTTP/1.1 200 OK\r\n")
        count = len(site.requests)
        assert run_main("get", "--no-location", f"{url}/a") == 3
        assert len(site.requests) == count + 1

    out, err = capfd.readouterr()
    assert out == ""
    assert err.endswith("a redirect to /b, which is not followed\n")


@pytest.mark.parametrize("size", [10, 3_000_000])
def test_an_upload_follows_with_its_body(size, tmp_path, capfd):
    (tmp_path / "file").write_bytes(bytes(size))
    with serving(a=to("/b", "307 Temporary Redirect"), b=reply()) as (site, url):
        assert run_main("put", tmp_path / "file", f"{url}/a") == 0

    assert [len(body) for _, body in site.requests] == [size, size]
    assert site.lines()[0] == "PUT /b HTTP/1.1"


def test_an_input_that_cannot_be_read_twice_does_not_follow(capfd):
    with serving(a=to("/b", "307 Temporary Redirect"), b=reply()) as (site, url):
        done = subprocess.run(
            [sys.executable, "-m", "dugong_like", "put", "-", f"{url}/a"],
            input=bytes(300_000), capture_output=True, timeout=100, check=False, cwd=ROOT,
        )  # fmt: skip

    assert done.returncode == 3
    assert b"the body of the request cannot be read a second time" in done.stderr
    assert [len(body) for _, body in site.requests] == [300_000]


def test_a_redirect_that_must_not_be_followed_has_its_status(capfd):
    with serving(a=to("/a"), b=to("ftp://127.0.0.1/")) as (_, url):
        assert run_main("get", f"{url}/a") == 3
        assert "more than 20 redirects" in capfd.readouterr().err
        assert run_main("get", f"{url}/b") == 3
        assert "302 is not followed: Location 'ftp://127.0.0.1/'" in capfd.readouterr().err


# ---- files


@pytest.mark.parametrize(
    ("path", "field", "name"),
    [
        ("dir/a%20b.txt", None, "a b.txt"),
        ("dir/", None, "index.html"),
        ("..%2f..%2fetc", None, "etc"),
        ("x", 'attachment; filename="report.pdf"', "report.pdf"),
        ("x", 'attachment; filename="../../../.bashrc"', "bashrc"),
        ("x", "attachment; filename*=UTF-8''na%C3%AFve.txt", "na\u00efve.txt"),
        ("x", "attachment", "x"),
        ("x", 'attachment; filename="..."', "x"),
    ],
)
def test_remote_names_are_those_of_the_server_or_the_url_and_safe(
    path, field, name, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    fields = [] if field is None else [f"Content-Disposition: {field}"]
    with serving(**{path: reply("200 OK", *fields, body=b"body")}) as (_, url):
        assert run_main("get", "-O", f"{url}/{path}") == 0

    assert os.listdir(tmp_path) == [name]
    assert (tmp_path / name).read_bytes() == b"body"


def test_a_name_of_the_user_replaces_a_file_and_one_of_the_server_does_not(
    tmp_path, monkeypatch, capfd
):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine").write_text("precious")
    pages = {"mine": reply(body=b"new"),
             "x": reply("200 OK", "Content-Disposition: attachment; filename=mine", body=b"no"),
             "moved": to("/mine")}  # fmt: skip
    with serving(**pages) as (_, url):
        assert run_main("get", "-O", f"{url}/x") == 1
        assert (tmp_path / "mine").read_text() == "precious"
        assert "mine: exists" in capfd.readouterr().err
        assert run_main("get", "-O", f"{url}/moved") == 0
        assert sorted(os.listdir(tmp_path)) == ["mine", "moved"]
        assert (tmp_path / "mine").read_text() == "precious"
        assert run_main("get", "-O", f"{url}/mine") == 0
        assert (tmp_path / "mine").read_text() == "new"


@pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")
@pytest.mark.parametrize("size", [3, 100_000])  # a small one is written when it is complete
@pytest.mark.parametrize("nameless", [True, False])
def test_a_file_that_appears_meanwhile_is_not_replaced_for_a_server(
    nameless, size, tmp_path, monkeypatch, capfd
):
    monkeypatch.chdir(tmp_path)
    body = b"n" * size

    def slow(sock):
        head = read_head(sock)
        field = b"Content-Disposition: attachment; filename=x\r\n" if b"/chosen" in head else b""
        sock.sendall(b"HTTP/1.1 200 OK\r\n" + field + b"Content-Length: %d\r\n\r\n" % size)
        if size > 65_536:
            wait_until(lambda: is_receiving(tmp_path))
        (tmp_path / "x").write_text("precious")
        sock.sendall(body)

    for path, status in (("chosen", 1), ("x", 0)):
        (tmp_path / "x").unlink(missing_ok=True)
        with ScriptedServer(slow) as server, monkeypatch.context() as patch:
            if not nameless:  # pytest itself needs it
                patch.delattr(os, "O_TMPFILE", raising=False)
            assert run_main("get", "-O", f"http://127.0.0.1:{server.port}/{path}") == status
        assert (tmp_path / "x").read_bytes() == (b"precious" if status else body)
        assert os.listdir(tmp_path) == ["x"]
    told = capfd.readouterr().err  # before a small body the name may be looked at after it appeared
    assert "x: File exists" in told or (size == 3 and "x: exists, and it is the server" in told)


def is_receiving(folder):
    """Return True if this process has a new file, which may have no name, in *folder*."""
    if any(name.startswith(".dugong-") for name in os.listdir(folder)):
        return True
    for number in os.listdir("/proc/self/fd"):
        with contextlib.suppress(OSError):
            if str(Path(f"/proc/self/fd/{number}").readlink()).startswith(f"{folder}/#"):
                return True
    return False


def test_output_is_appended_to_a_file_that_is_open_for_that(tmp_path):
    file = tmp_path / "file"
    file.write_bytes(b"before ")
    with serving(a=reply(body=b"one "), b=reply(body=bytes(300_000))) as (_, url):
        with file.open("ab") as stream:
            done = subprocess.run(
                [sys.executable, "-m", "dugong_like", "get", "-i", f"{url}/a", f"{url}/b"],
                stdout=stream, stderr=subprocess.PIPE, timeout=100, check=False, cwd=ROOT,
            )  # fmt: skip

    assert (done.returncode, done.stderr) == (0, b"")
    first, second, third = file.read_bytes().split(b"\r\n\r\n")
    assert first == b"before HTTP/1.1 200 OK\r\nContent-Length: 4"
    assert second == b"one HTTP/1.1 200 OK\r\nContent-Length: 300000"
    assert third == bytes(300_000)


# ---- several URLs


def test_several_urls_are_written_one_after_the_other(capfd):
    with serving(a=reply(body=b"one "), c=reply(body=b"three ")) as (_, url):
        assert run_main("get", f"{url}/a", f"{url}/b", f"{url}/c") == 4

    out, err = capfd.readouterr()
    assert out == "one three "
    assert "/b: the server answered 404" in err


def test_several_files_arrive_at_the_same_time(tmp_path, monkeypatch, capfd):
    """Each server answers only when all of the requests are there."""
    monkeypatch.chdir(tmp_path)
    together = threading.Barrier(3)

    def page(_fields, _body):
        together.wait(60)
        return reply(body=b"body")

    with serving(a=page, b=page, c=page) as (site, url):
        assert run_main("get", "-O", *[f"{url}/{name}" for name in "abcd"]) == 4

    assert sorted(os.listdir(tmp_path)) == ["a", "b", "c"]
    assert capfd.readouterr().err.count("404 Not Found") == 1


def test_the_status_is_that_of_the_first_url_that_failed(tmp_path, monkeypatch, capfd):
    monkeypatch.chdir(tmp_path)
    with serving(a=reply(), b=to("/b")) as (_, url):
        places = [f"{url}/a", f"{url}/b", f"{url}/none", "http://127.0.0.1:1/x"]
        for order, status in ((places, 3), (places[::-1], 1)):
            assert run_main("get", "-O", *order) == status
            lines = capfd.readouterr().err.splitlines()
            assert lines.count("nothing") == 1
            assert sum(line.startswith("dugong_like: ") for line in lines) == len(lines) - 1 == 3


def test_an_error_page_that_is_slow_holds_no_other_url_up(tmp_path, monkeypatch, capfd):
    """The page of one URL ends after more of another one is there than buffers hold."""
    monkeypatch.chdir(tmp_path)
    has_arrived = threading.Event()

    def slow(_fields, _body):
        yield b"HTTP/1.1 404 Not Found\r\nContent-Length: 12\r\n\r\nfirst "
        assert has_arrived.wait(60)
        yield b"second"

    def other(_fields, _body):
        yield reply(body=bytes(20_000_000))
        has_arrived.set()

    with serving(slow=slow, other=other) as (_, url):
        assert run_main("get", "-O", f"{url}/slow", f"{url}/other", f"{url}/none") == 4

    lines = capfd.readouterr().err.splitlines()
    assert "first second" in lines
    assert "nothing" in lines
    assert Path("other").stat().st_size == 20_000_000


def test_two_urls_are_not_saved_as_one_file(tmp_path, monkeypatch, capfd):
    monkeypatch.chdir(tmp_path)
    with serving(**{"1/x": reply(body=b"1"), "2/x": reply(body=b"2")}) as (_, url):
        assert run_main("get", "-O", f"{url}/1/x", f"{url}/2/x") == 1

    assert os.listdir(tmp_path) == ["x"]
    assert "x: another URL is saved as this file" in capfd.readouterr().err


def test_a_url_that_is_given_twice_is_saved_once(tmp_path, monkeypatch, capfd):
    monkeypatch.chdir(tmp_path)
    with serving(x=reply(body=b"1")) as (_, url):
        assert run_main("get", "-O", f"{url}/x", f"{url}/x", url.upper() + "/x") == 0
        assert run_main("get", f"{url}/x", f"{url}/x") == 0

    assert Path("x").read_bytes() == b"1"
    assert capfd.readouterr().out == "11"


def test_each_download_has_a_bar_of_its_own(tmp_path, monkeypatch):
    with serving(one=reply(body=b"1" * 100), two=reply(body=b"2" * 100)) as (_, url):
        status, shown = on_terminal(tmp_path, "get", "-O", f"{url}/one", f"{url}/two")

    assert status == 0
    assert {"one", "two"} <= set(shown.replace("\x1b[J", "\n").split())
    assert sorted(os.listdir(tmp_path)) == ["one", "two"]


def on_terminal(folder, *arguments, **environment):
    """Run the command with standard error on a terminal; return its status and what is shown."""
    controller, terminal = pty.openpty()
    with subprocess.Popen(
        [sys.executable, "-m", "dugong_like", *arguments],
        stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=terminal, cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT), **environment},
    ) as process:  # fmt: skip
        os.close(terminal)
        shown = b""
        try:
            while piece := os.read(controller, 65536):
                shown += piece
        except OSError:
            pass  # how Linux says that nobody has the terminal any more
    os.close(controller)
    return process.returncode, shown.decode()


# ---- what is shown


@pytest.mark.feature("E38")
def test_include_writes_the_head_in_front_of_the_body(capfd):
    with serving(x=reply("200 OK", "X-A: 1", body=b"body")) as (_, url):
        assert run_main("get", "-i", f"{url}/x") == 0
        assert capfd.readouterr().out.split("\r\n\r\n") == [
            "HTTP/1.1 200 OK\r\nX-A: 1\r\nContent-Length: 4", "body",
        ]  # fmt: skip
        assert run_main("get", "-i", f"{url}/none") == 4

    out, err = capfd.readouterr()
    assert out == ""
    assert err.endswith("HTTP/1.1 404 Not Found\r\nContent-Length: 7\r\n\r\nnothing")


@pytest.mark.feature("E38")
def test_verbose_shows_all_heads_and_no_secrets(capfd):
    pages = {"a": to("/b?token=hidden"), "b": reply("200 OK", "X-E: \x9b2J", body=b"body")}
    with serving(**pages) as (_, url):
        status = run_main("get", "-v", "-u", "me:hidden", f"{url}/a", "-H", "X-Own: yes")

    out, err = capfd.readouterr()
    assert (status, out) == (0, "body")
    lines = err.splitlines()
    assert [line for line in lines if line.startswith(("> GET", "< HTTP"))] == [
        "> GET /a",
        "< HTTP/1.1 302 Found",
        "> GET /b?token=[masked]",
        "< HTTP/1.1 200 OK",
    ]
    assert f"> Host: {url[7:]}" in lines
    assert "> X-Own: yes" in lines
    assert "> Authorization: [masked]" in lines
    assert "< X-E: \\x9b2J" in lines
    assert any(line.startswith("* connected to 127.0.0.1 port ") for line in lines)
    assert "hidden" not in err
    assert base64.b64encode(b"me:hidden").decode() not in err


def test_quiet_leaves_the_exit_status_only(capfd):
    with serving() as (_, url):
        assert run_main("get", "-q", f"{url}/none") == 4
        assert run_main("get", "-q", f"{url}/none", "http://127.0.0.1:1/") == 4
    assert run_main("get", "-q", "http://127.0.0.1:1/") == 1

    assert capfd.readouterr() == ("", "")


def test_progress_may_be_written_to_a_file(tmp_path, capfd):
    with serving(x=reply(body=b"body")) as (_, url):
        assert run_main("get", f"{url}/x", "-o", tmp_path / "file") == 0
        assert capfd.readouterr().err == ""
        assert run_main("get", "--progress", f"{url}/x", "-o", tmp_path / "file") == 0

    err = capfd.readouterr().err
    assert err.startswith("/x ")
    assert err.count("\n") in {1, 2}
    assert "100% 4/4 B" in err


# ---- bodies


def test_data_is_sent_as_it_is(tmp_path, capfd):
    (tmp_path / "x.csv").write_bytes(b"a,b\n")
    with serving(x=reply()) as (site, url):
        for text in ("caf\u00e9", "@@at", f"@{tmp_path / 'x.csv'}", "a\udce9"):
            assert run_main("post", f"{url}/x", "--data", text) == 0

    kinds = [site.field("content-type", number) for number in range(4)]
    assert [body for _, body in site.requests] == ["caf\u00e9".encode(), b"@at", b"a,b\n", b"a\xe9"]
    assert kinds == [*["text/plain; charset=utf-8"] * 2, "text/csv", "text/plain; charset=utf-8"]


@pytest.mark.parametrize("name", ["post", "put", "patch", "delete"])
def test_json_is_checked_and_sent_as_it_was_written(name, tmp_path, capfd):
    (tmp_path / "file").write_bytes(b"[3]")
    with serving(x=reply()) as (site, url):
        assert run_main(name, f"{url}/x", "--json", '{"a":  1}') == 0
        assert run_main(name, f"{url}/x", "--json", f"@{tmp_path / 'file'}") == 0
        assert run_main(name, f"{url}/x", "--json", "[1]", "-H", "Content-Type: a/b") == 0
        assert run_main(name, f"{url}/x", "--json", "{'a': 1}") == 2

    assert [body for _, body in site.requests] == [b'{"a":  1}', b"[3]", b"[1]"]
    assert site.field("content-type", 0) == site.field("accept", 1) == "application/json"
    assert [line for line in site.lines() if "ontent-type" in line.lower()] == ["Content-Type: a/b"]
    assert "not JSON" in capfd.readouterr().err


@pytest.mark.feature("E38")
def test_a_form_without_files_is_urlencoded_and_one_with_files_multipart(tmp_path, capfd):
    (tmp_path / "a.txt").write_bytes(b"content")
    with serving(x=reply()) as (site, url):
        assert run_main("post", f"{url}/x", "--form", "a=1 2", "--form", "b=@@x=&") == 0
        assert run_main("post", f"{url}/x", "--form", "a=1",
                        "--form", f"f=@{tmp_path / 'a.txt'}") == 0  # fmt: skip
        assert run_main("post", f"{url}/x", "--form", f"f=@{tmp_path}") == 1
        assert run_main("post", f"{url}/x", "--form", f"f=@{tmp_path}/none") == 1

    assert site.requests[0][1] == b"a=1+2&b=%40x%3D%26"
    assert site.field("content-type", 0) == "application/x-www-form-urlencoded"
    kind, body = site.field("content-type", 1), site.requests[1][1]
    parts = BytesParser().parsebytes(f"Content-Type: {kind}\r\n\r\n".encode() + body).get_payload()
    assert [part.get_param("name", header="content-disposition") for part in parts] == ["a", "f"]
    assert [part.get_payload(decode=True) for part in parts] == [b"1", b"content"]
    assert (parts[1].get_filename(), parts[1].get_content_type()) == ("a.txt", "text/plain")


def test_a_large_body_asks_first(tmp_path, capfd):
    (tmp_path / "small").write_bytes(bytes(ASK_FIRST - 1))
    (tmp_path / "large").write_bytes(bytes(ASK_FIRST))
    with serving(x=reply()) as (site, url):
        for name in ("small", "large"):
            assert run_main("post", f"{url}/x", "--data", f"@{tmp_path / name}") == 0
            assert run_main("post", f"{url}/x", "--form", f"f=@{tmp_path / name}") == 0

    asked = [site.field("expect", number) for number in range(4)]
    assert asked == [None, "100-continue", "100-continue", "100-continue"]


def test_standard_input_may_be_data():
    with serving(x=reply()) as (site, url):
        done = subprocess.run(
            [sys.executable, "-m", "dugong_like", "post", f"{url}/x", "--data", "@-"],
            input=b"from a pipe", capture_output=True, timeout=100, check=False, cwd=ROOT,
        )  # fmt: skip

    assert (done.returncode, done.stderr) == (0, b"")
    assert site.requests[0][1] == b"from a pipe"


# ---- authentication, compression


@pytest.mark.feature("E38")
def test_user_and_netrc_authenticate(tmp_path, monkeypatch, capfd):
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login him password open\n")
    netrc.chmod(0o600)
    monkeypatch.setenv("NETRC", str(netrc))
    with serving(x=reply()) as (site, url):
        assert run_main("get", "-u", "me:a:b", f"{url}/x") == 0
        assert run_main("get", "--netrc", f"{url}/x") == 0
        assert run_main("get", f"{url}/x") == 0

    sent = [site.field("authorization", number) for number in range(3)]
    assert sent == [f"Basic {base64.b64encode(text).decode()}" for text in
                    (b"me:a:b", b"him:open")] + [None]  # fmt: skip


def test_credentials_stay_with_their_server(capfd):
    with serving(x=reply()) as (other, place):
        with serving(a=to(f"{place}/x")) as (site, url):
            assert run_main("get", "-u", "me:pw", f"{url}/a") == 0

    assert site.field("authorization") is not None
    assert other.field("authorization") is None


ZIPPED = gzip.compress(b"body" * 100)


def test_compressed_bodies_are_asked_for_and_decompressed_on_request(tmp_path, capfd):
    page = reply("200 OK", "Content-Encoding: gzip", body=ZIPPED)
    cut = reply("200 OK", "Content-Encoding: gzip", body=ZIPPED[:-9])
    with serving(x=page, cut=cut) as (site, url):
        assert run_main("get", f"{url}/x", "-o", tmp_path / "raw") == 0
        assert site.field("accept-encoding") == "identity"
        assert run_main("get", "--compressed", f"{url}/x", "-o", tmp_path / "plain") == 0
        assert "gzip" in site.field("accept-encoding")
        assert run_main("get", "--compressed", f"{url}/cut", "-o", tmp_path / "plain") == 1

    assert (tmp_path / "raw").read_bytes() == ZIPPED
    assert (tmp_path / "plain").read_bytes() == b"body" * 100


# ---- connections


@pytest.mark.feature("E38")
def test_certificates_are_checked_against_those_of_the_user(certificate, ca_file, tmp_path, capfd):
    with serving(certificate.server_context(), x=reply(body=b"body")) as (_, url):
        url = url.replace("127.0.0.1", "localhost")
        assert run_main("get", f"{url}/x") == 1
        assert "certificate" in capfd.readouterr().err.lower()
        assert run_main("get", "--cacert", ca_file, f"{url}/x") == 0
        assert run_main("get", "--insecure", f"{url}/x") == 0
        assert capfd.readouterr() == ("bodybody", "")
        assert run_main("head", "-v", "--cacert", ca_file, f"{url}/x") == 0
        assert ", TLSv1.3" in capfd.readouterr().err
        assert run_main("get", "--cacert", tmp_path / "none", f"{url}/x") == 2
        assert run_main("get", "--cert", tmp_path / "none", f"{url}/x") == 2


@pytest.mark.feature("E1")
def test_http_2_if_the_server_chooses_it_and_nobody_says_otherwise(
    certificate, ca_file, tmp_path, capfd
):
    def serve(sock):
        if sock.selected_alpn_protocol() != "h2":
            while read_head(sock):
                sock.sendall(reply(body=b"old"))
            return
        peer = Peer(lambda request: Answer(body=request.body or b"new"))
        sock.sendall(peer.take(b""))
        while wire := sock.recv(65536):
            sock.sendall(peer.take(wire))

    context = certificate.server_context()
    context.set_alpn_protocols(["h2", "http/1.1"])
    sent = tmp_path / "sent"
    sent.write_bytes(b"sent")
    with ScriptedServer(serve, context) as server:
        url = f"https://localhost:{server.port}/x"
        assert run_main("get", "--cacert", ca_file, url) == 0
        assert run_main("put", "--cacert", ca_file, sent, url) == 0
        assert run_main("get", "--http1.1", "--cacert", ca_file, url) == 0
        assert capfd.readouterr() == ("newsentold", "")
        assert run_main("head", "--cacert", ca_file, url) == 0
    assert capfd.readouterr().out.startswith("HTTP/2 200")


@pytest.mark.feature("E38")
@pytest.mark.parametrize("way", ["option", "environment", "not for it"])
def test_a_proxy_is_that_of_the_option_or_the_environment(way, monkeypatch, capfd):
    def proxied(sock):
        line = read_head(sock).split(b"\r\n")[0]
        sock.sendall(reply(body=b"proxy got " + line))

    with ScriptedServer(proxied) as proxy, serving(x=reply(body=b"direct")) as (_, url):
        place = f"http://127.0.0.1:{proxy.port}"
        if way == "option":
            assert run_main("get", "--proxy", place, f"{url}/x") == 0
        else:
            monkeypatch.setenv("http_proxy", place)
            monkeypatch.setenv("no_proxy", "127.0.0.1" if way == "not for it" else "")
            assert run_main("get", f"{url}/x") == 0

    shown = "direct" if way == "not for it" else f"proxy got GET {url}/x HTTP/1.1"
    assert capfd.readouterr().out == shown


def test_retry_sends_again(capfd):
    answers = [reply("503 Busy", "Retry-After: 0"), reply("503 Busy", "Retry-After: 0"), reply()]
    left = list(answers)
    with serving(x=lambda *_: left.pop(0)) as (site, url):
        assert run_main("get", f"{url}/x", "--retry", 2) == 0
        left[:] = answers
        assert run_main("get", f"{url}/x", "--retry", 1) == 4
        left[:] = answers
        assert run_main("get", f"{url}/x") == 4
        left[:] = answers
        assert run_main("post", f"{url}/x", "--retry", 2) == 4  # it may have been done
        assert len(site.requests) == 3 + 2 + 1 + 1


@pytest.mark.parametrize("size", [10, ASK_FIRST + 1])
def test_retry_sends_the_whole_file_again(size, tmp_path, capfd):
    (tmp_path / "file").write_bytes(b"x" * size)
    left = [reply("503 Busy", "Retry-After: 0"), reply()]
    with serving(x=lambda *_: left.pop(0)) as (site, url):
        assert run_main("put", "--retry", 1, tmp_path / "file", f"{url}/x") == 0

    assert [body for _, body in site.requests] == [b"x" * size] * 2


def test_max_time_covers_everything(capfd):
    ended = threading.Event()

    def drip(sock):
        while read_head(sock):
            sock.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n")
            with contextlib.suppress(OSError):
                while not ended.wait(0.02):
                    sock.sendall(b"x")

    with ScriptedServer(drip) as server:
        assert run_main("get", f"http://127.0.0.1:{server.port}/", "--max-time", "0.5") == 1
        ended.set()
    err = capfd.readouterr().err  # a busy machine has not even the head by then
    assert "the total time for the request has passed" in err or "(--max-time 0.5)" in err
    with black_hole() as (host, port):
        assert run_main("get", f"http://{host}:{port}/", "--max-time", "0.2") == 1
    assert "within 0.2 s" in capfd.readouterr().err


@pytest.mark.parametrize("direction", ["down", "up"])
def test_limit_rate_slows_down(direction, tmp_path, capfd):
    (tmp_path / "file").write_bytes(bytes(300_000))
    with serving(x=reply(body=bytes(300_000)), y=reply()) as (_, url):
        begun = time.monotonic()
        if direction == "down":
            status = run_main("get", "--limit-rate", "500k", f"{url}/x", "-o", tmp_path / "new")
        else:
            status = run_main("put", "--limit-rate", "500k", tmp_path / "file", f"{url}/y")

    assert status == 0
    assert time.monotonic() - begun > 0.3  # seconds; without a limit it is a hundredth of that


# ---- wrong arguments


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ("get", "get: the following arguments are required: URL"),
        ("get http://a/ --nonsense", "get: unrecognized arguments: --nonsense"),
        ("http://a/ --nonsense", "get: unrecognized arguments: --nonsense"),
        ("get example.org/x", "get: not a URL that begins with http://"),
        ("put file", "put: FILE and URL are needed"),
        ("put a b http://a/", "put: FILE and URL are needed"),
        ("put a http://a/ --json 1", "put: there may be one URL only"),
        ("post http://a/ http://b/", "post: there may be one URL only"),
        ("post http://a/ --json {", "post: argument --json: not JSON"),
        ("post http://a/ --form a", "post: argument --form: not NAME=VALUE"),
        ("post http://a/ --form =a", "post: argument --form: not NAME=VALUE"),
        ("post http://a/ --form a=1 --data x", "post: argument --data: not allowed with argument"),
        ("get http://a/ --json 1", "get: unrecognized arguments: --json"),
        ("get http://a/ http://b/ -o x", "get: there are several URLs for one FILE"),
        ("get http://a/ -O -o x", "get: -o and -O are two names"),
        ("get http://a/ -c", "get: -c needs a file"),
        ("get http://a/ -c -o -", "get: -c needs a file"),
        ("get http://a/ -c -O --compressed", "get: -c does not go with --compressed"),
        ("get http://a/ -c -O -i", "get: -c does not go with -i"),
        ("get http://a/ -c -O -I", "get: -c does not go with -I"),
        ("get http://a/ -c -O -HRange:bytes=0-", "get: -c does not go with -H"),
        ("get http://a/ -v -q", "get: argument -q/--quiet: not allowed with argument -v"),
        ("get http://a/ --key x", "get: --key is the key of a --cert"),
        ("get http://a/ --netrc -u a:b", "get: --user and --netrc"),
        ("get http://a/ --cacert x --insecure", "get: argument --insecure: not allowed"),
        ("get http://a/ --retry -1", "get: argument --retry: not a number from 0"),
        ("get http://a/ --max-time 0", "get: argument --max-time: not a number of seconds"),
        ("get http://a/ --limit-rate fast", "get: argument --limit-rate: not a number of bytes"),
        ("head http://a/ -O", "head: unrecognized arguments: -O"),
        ("demo --nonsense", "demo: unrecognized arguments: --nonsense"),
        ("get http://a/ -HBad", "get: argument -H/--header: no colon"),
        ("delete http://a/ --proxy=x:", "delete: "),
    ],
)  # fmt: skip
def test_wrong_arguments_name_the_command(arguments, words, capfd):
    assert run_main(*arguments.split()) == 2

    out, err = capfd.readouterr()
    assert out == ""
    assert err.startswith(f"dugong_like: {words}")
    assert err.count("\n") == 1


def test_a_user_without_password_is_asked_for_it_on_a_terminal_only(monkeypatch, capfd):
    with Path(os.devnull).open() as nothing, monkeypatch.context() as patch:
        patch.setattr(sys, "stdin", nothing)
        assert run_main("get", "http://127.0.0.1:1/", "-u", "me") == 2
    assert "get: no password behind the user" in capfd.readouterr().err
    monkeypatch.setattr("dugong_like.cli.request_options.is_terminal", lambda _: True)
    monkeypatch.setattr("getpass.getpass", lambda: "secret")
    with serving(x=reply()) as (site, url):
        assert run_main("get", f"{url}/x", "-u", "me") == 0
    assert site.field("authorization") == f"Basic {base64.b64encode(b'me:secret').decode()}"
