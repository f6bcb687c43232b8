"""``-i FILE``: which lines are URLs, how they are read, and what becomes of each."""

import math
import os
import random
import signal
import subprocess
import sys
import threading
from contextlib import ExitStack
from types import SimpleNamespace

import pytest
from kit.sites import Site, answer_of
from kit.support import ROOT, wait_until

from dugong_like import Origin, run
from dugong_like.__main__ import main
from dugong_like.cli.clients import LIST_CONNECTIONS, client_for
from dugong_like.cli.commands import command_parser
from dugong_like.cli.outcome import CommandFailed
from dugong_like.cli.sending import MOST, _ListedJobs
from dugong_like.cli.url_list import MAX_LINE, URLList, open_list
from dugong_like.drivers.loop import Loop


class Pieces:
    """A stream without descriptor, whose bytes come in pieces."""

    def __init__(self, *pieces):
        self._pieces = list(pieces)

    def fileno(self):
        raise OSError("none")

    def read(self, size):
        return self._pieces.pop(0) if self._pieces else b""


def lines_of(*pieces):
    urls, found = URLList(Pieces(*pieces), "list"), []
    while (line := run(urls.co_next())) is not None:
        found.append(line)
    assert run(urls.co_next()) is None
    return found


TEXT = b"\xef\xbb\xbfhttp://a/1\n\n  # a comment\r\n\thttp://a/2 \r\n#\nhttp://a/\xff\nhttp://a/3"


def test_lines_do_not_depend_on_where_they_are_cut():
    whole = [(1, "http://a/1"), (4, "http://a/2"), (6, "http://a/\udcff"), (7, "http://a/3")]
    assert lines_of(TEXT) == lines_of(TEXT + b"\n") == whole
    for cut in range(3, len(TEXT)):
        assert lines_of(TEXT[:cut], TEXT[cut:]) == whole


@pytest.mark.parametrize("pieces", [(), (b"\n",), (b"# nothing\n", b"\n"), (b"   ",)])
def test_a_list_without_urls(pieces):
    assert lines_of(*pieces) == []


def test_something_else_is_not_taken_for_a_list():
    with pytest.raises(CommandFailed, match="list: not a list of URLs: line 2 has more"):
        lines_of(b"http://a/\n", bytes(MAX_LINE), b"x" * 9)


def test_several_operations_take_from_a_pipe_that_is_slow():
    """While one of them waits for a line, the others of the loop go on."""
    reader, writer = os.pipe()
    with os.fdopen(reader, "rb", buffering=0) as stream, Loop() as loop:
        urls, found = URLList(stream, "pipe"), []

        def co_take():
            while (line := (yield from urls.co_next())) is not None:
                found.append(line[1])
                if len(found) == 2:
                    os.write(writer, b"http://a/3\nhttp:")
                    os.write(writer, b"//a/4\n")
                if len(found) == 4:
                    os.close(writer)

        def co_write():
            os.write(writer, b"http://a/1\nhttp://a/2\n")
            return
            yield

        for _ in range(3):
            loop.spawn(co_take())
        loop.spawn(co_write())
        loop.run_all()
    assert sorted(found) == [f"http://a/{number}" for number in (1, 2, 3, 4)]


def test_an_operation_that_is_given_up_takes_nothing():
    reader, writer = os.pipe()
    with os.fdopen(reader, "rb", buffering=0) as stream:
        urls = URLList(stream, "pipe")
        waiting = urls.co_next()
        next(waiting)
        waiting.close()
        os.write(writer, b"http://a/1\n")
        assert run(urls.co_next()) == (1, "http://a/1")
        os.close(writer)


def test_a_list_that_cannot_be_read(tmp_path):
    with pytest.raises(OSError, match="missing"), open_list(str(tmp_path / "missing")):
        pass
    with pytest.raises(OSError, match="directory"), open_list(str(tmp_path)):
        pass


# ---- connections


def test_a_download_waits_without_limit_while_others_of_the_list_have_all_connections():
    """There is room for more than one origin has connections, once another one speaks HTTP/2."""
    options = command_parser().parse_args(["get", "--timeout", "5", "-i", "list"])
    with client_for(options, print) as client, ExitStack() as stack:
        origin = Origin("http", "a.test", 80)
        for _ in range(LIST_CONNECTIONS):
            stack.enter_context(client.dispatcher.acquire(origin))
        waiting = client.co_get("http://a.test/")
        assert next(waiting).deadline is None
        waiting.close()
        assert client.dispatcher.deadline() == math.inf  # that of streams


def test_one_url_has_the_time_limit_for_its_connection():
    options = command_parser().parse_args(["get", "--timeout", "5", "http://a.test/"])
    with client_for(options, print) as client:
        assert client.dispatcher.deadline() < math.inf


class Listed:
    """The requests of a list that are not sent."""

    def __init__(self):
        self.transfers = SimpleNamespace(uses_streams=False)

    def co_run(self, url):
        return 0
        yield


def test_there_is_room_for_each_origin_and_not_for_more_than_so_many():
    lines = b"".join(b"http://%d.test/\n" % number for number in range(100))
    requests = Listed()
    jobs, rooms = _ListedJobs(requests, URLList(Pieces(lines), "list")), []
    while (job := run(jobs.co_next())) is not None:
        run(job())
        rooms.append(jobs.room)
    assert rooms == [min(LIST_CONNECTIONS * number, MOST) for number in range(1, 101)]

    few = _ListedJobs(requests, URLList(Pieces(b""), "list"))
    assert few.room == LIST_CONNECTIONS
    requests.transfers.uses_streams = True
    assert few.room == MOST


# ---- the command


@pytest.fixture
def folder(tmp_path, monkeypatch):
    folder = tmp_path / "folder"
    folder.mkdir()
    monkeypatch.chdir(folder)
    return folder


def get(tmp_path, site, paths, *options):
    """Download a list, and return the exit status."""
    listed = tmp_path / "list"
    places = [path if ":" in path else f"http://127.0.0.1:{site.port}{path}" for path in paths]
    listed.write_text("".join(f"{place}\n" for place in places))
    return main(["get", *options, "-i", str(listed)])


def echo(sock, seen):
    sock.sendall(answer_of(200, 'ETag: "1"', body=seen.target.encode() * 1000))
    return True


@pytest.mark.feature("E45")
def test_all_urls_of_a_list_become_files(tmp_path, folder):
    names = [f"f{number}" for number in range(100)]
    with Site({None: echo}) as site:
        assert get(tmp_path, site, [f"/{name}" for name in names]) == 0
    assert sorted(os.listdir(folder)) == sorted(names)
    assert all((folder / name).read_bytes() == f"/{name}".encode() * 1000 for name in names)
    assert 1 < site.connections <= 8


def test_standard_input(tmp_path, folder):
    with Site({None: echo}) as site:
        done = subprocess.run(
            [sys.executable, "-m", "dugong_like", "get", "-i", "-"], cwd=folder, timeout=100,
            input=f"http://127.0.0.1:{site.port}/a\n", text=True, capture_output=True, check=False,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
        )  # fmt: skip
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert os.listdir(folder) == ["a"]


@pytest.mark.parametrize(
    ("others", "status"),
    [
        (["/304"], 5),
        (["/304", "/300"], 3),
        (["/300", "/404", "/304"], 4),
        (["/404", "/cut"], 1),
        (["/cut", "ftp://a/", "/404"], 2),
    ],
)
def test_the_status_is_that_of_the_worst_kind(tmp_path, folder, capfd, others, status):
    answers = {f"/{code}": answer_of(code) for code in (300, 304, 404)}

    def cut(sock, seen):
        sock.sendall(answer_of(200, body=b"12345")[:-1])
        return False

    with Site({**answers, "/cut": cut, None: echo}) as site:
        assert get(tmp_path, site, ["/a", *others, "/b"]) == status
    assert sorted(os.listdir(folder)) == ["a", "b"]
    errors = capfd.readouterr().err
    for other in others:
        if other.startswith("/"):
            assert f"GET http://127.0.0.1:{site.port}{other}: " in errors
        else:
            assert ", line 3: not a URL" in errors


def test_names_are_safe_and_no_file_is_written_twice(tmp_path, folder, capfd):
    field = "Content-Disposition: attachment; filename=../../chosen"
    (folder / "mine").write_text("precious")
    mine = "Content-Disposition: attachment; filename=mine"
    answers = {
        "/x": answer_of(200, field, body=b"x"),
        "/y": answer_of(200, mine, body=b"y"),
        None: echo,
    }
    with Site(answers) as site:
        paths = ["/x", "/y", "/a/same", "/b/same", "/..%2f..%2fup", "/"]
        assert get(tmp_path, site, paths) == 1
    assert (folder / "mine").read_text() == "precious"
    assert sorted(os.listdir(folder)) == sorted(["chosen", "index.html", "mine", "same", "up"])
    assert sorted(os.listdir(tmp_path)) == ["folder", "list"]
    errors = capfd.readouterr().err
    of = f"dugong_like: GET http://127.0.0.1:{site.port}/y: mine: "
    assert of + "exists, and it is the server that calls it so" in errors
    assert "/same: same: another URL is saved as this file" in errors


@pytest.mark.parametrize("options", [(), ("-c",)])
def test_a_url_that_is_given_again_is_fetched_once(tmp_path, folder, capfd, options):
    with Site({"/404": answer_of(404), None: echo}) as site:
        same = ["/a", "/a", "/a#part", "/404", "/b?1", "/b", "/404", "/a"]
        assert get(tmp_path, site, same, *options) == 1
        asked = sorted(seen.target for seen in site.seen)
    refused = [] if options else ["/b"]  # with -c its name is known before it is asked for
    assert asked == ["/404", "/a", *refused, "/b?1"]
    (first, second) = sorted(capfd.readouterr().err.splitlines())  # /b?1 and /b are two
    assert "/404: " in first
    assert "another URL is saved as this file" in second
    assert sorted(os.listdir(folder)) == ["a", "b"]


def test_errors_are_one_line_each_without_the_page(tmp_path, folder, capfd):
    answers = {f"/{code}": answer_of(code, body=b"<html>\nno\n</html>\n") for code in (404, 500)}
    with Site(answers) as site:
        assert get(tmp_path, site, ["/404", "/500"]) == 4
    lines = sorted(capfd.readouterr().err.splitlines())
    base = f"dugong_like: GET http://127.0.0.1:{site.port}"
    assert [line[: len(base) + 5] for line in lines] == [f"{base}/404:", f"{base}/500:"]


def test_progress_is_one_bar_for_all(tmp_path, folder, capfd):
    with Site({None: echo}) as site:
        assert get(tmp_path, site, ["/a", "/b", "/c"], "--progress") == 0
    (*_, last) = capfd.readouterr().err.splitlines()
    assert last.startswith("3 files")
    assert " 5.9 KiB" in last


class Failing:
    """5 % are refused, and 1 % break off; all are right in the end."""

    def __init__(self):
        self.random = random.Random(1)
        self.lock = threading.Lock()
        self.refused = self.cut = 0

    def __call__(self, sock, seen):
        with self.lock:
            chance = self.random.random()
            self.refused += chance < 0.05
            self.cut += 0.05 <= chance < 0.06
        if chance < 0.05:
            sock.sendall(answer_of(503, "Retry-After: 0", body=b"later"))
            return True
        answer = answer_of(200, f'ETag: "{seen.target}"', body=seen.target.encode() * 500)
        if chance < 0.06:
            sock.sendall(answer[: -250 * len(seen.target)])
            return False
        sock.sendall(answer)
        return True


@pytest.mark.parametrize("count", [300, pytest.param(2000, marks=pytest.mark.slow)])
def test_a_server_that_refuses_and_breaks_off(tmp_path, folder, count):
    names = [f"{number:05}" for number in range(count)]
    with Site({None: Failing()}) as site:
        assert get(tmp_path, site, [f"/{name}" for name in names], "--retry", "9") == 0
        failing = site._answers[None]
    assert failing.refused > count // 40
    assert failing.cut
    assert sorted(os.listdir(folder)) == names
    assert all((folder / name).read_bytes() == f"/{name}".encode() * 500 for name in names)


@pytest.mark.parametrize("option", ["-o", "--include", "-I", "URL"])
def test_what_does_not_go_with_a_list(tmp_path, option, capfd):
    arguments = {"-o": ["-o", "x"], "URL": ["http://a/"]}.get(option, [option])
    with pytest.raises(SystemExit) as ended:
        main(["get", "-i", str(tmp_path / "list"), *arguments])
    assert ended.value.code == 2
    assert "-i FILE does not go with" in capfd.readouterr().err


def test_in_front_of_a_url_it_is_what_it_is_for_other_commands(capfd):
    with Site({None: answer_of(200, body=b"body")}) as site:
        place = f"http://127.0.0.1:{site.port}/"
        for arguments in (["-i", place], [place, "-i"], ["-i", "-q", place], ["--include", place]):
            assert main(["get", *arguments]) == 0
            assert capfd.readouterr().out.startswith("HTTP/1.1 200")
    with pytest.raises(SystemExit) as ended:
        main(["get", "-qi", place])
    assert ended.value.code == 2


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="needs SIGKILL")
@pytest.mark.parametrize("resumes", [False, True])
def test_a_list_after_kill_9(tmp_path, folder, resumes):
    """Nothing is there in part under its name, and nothing else is left in the end."""
    answered, killed = threading.Semaphore(0), threading.Event()
    body = bytes(range(256)) * 1000

    def answer(sock, seen):
        whole = answer_of(200, 'ETag: "1"', body=body)
        if killed.is_set():
            return echo_whole(sock, seen, body)
        if answered._value < 10:
            sock.sendall(whole)
            answered.release()
            return True
        sock.sendall(whole[:100_000])
        killed.wait(60)
        return False

    names = [f"{number:02}" for number in range(40)]
    options = ["-c"] if resumes else []
    with Site({None: answer}) as site:
        listed = tmp_path / "list"
        listed.write_text("".join(f"http://127.0.0.1:{site.port}/{name}\n" for name in names))
        command = [sys.executable, "-m", "dugong_like", "get", *options, "-i", str(listed)]
        environment = {**os.environ, "PYTHONPATH": str(ROOT)}
        with subprocess.Popen(command, cwd=folder, env=environment) as process:
            wait_until(lambda: len(named(folder)) >= 10)
            process.send_signal(signal.SIGKILL)
            assert process.wait(60) == -signal.SIGKILL
        killed.set()
        assert all((folder / name).read_bytes() == body for name in named(folder))
        assert main(["get", *options, "-i", str(listed)]) == 0
    assert sorted(os.listdir(folder)) == names
    assert all((folder / name).read_bytes() == body for name in names)


def named(folder):
    return [name for name in os.listdir(folder) if name.isdigit()]


def echo_whole(sock, seen, body):
    wanted = seen.headers.get("range")
    if wanted is None:
        sock.sendall(answer_of(200, 'ETag: "1"', body=body))
        return True
    begin = int(wanted.removeprefix("bytes=").partition("-")[0])
    if begin >= len(body):
        sock.sendall(answer_of(416, f"Content-Range: bytes */{len(body)}"))
        return True
    place = f"Content-Range: bytes {begin}-{len(body) - 1}/{len(body)}"
    sock.sendall(answer_of(206, 'ETag: "1"', place, body=body[begin:]))
    return True


def test_a_server_that_is_killed_and_started_again(tmp_path, folder):
    """Requests are repeated until it is there again."""
    stopped = threading.Event()
    refused = []

    def answer(sock, seen):
        if not stopped.is_set():
            refused.append(seen.target)
            if len(refused) >= 8:
                stopped.set()
            return False  # the connection ends without an answer
        return echo(sock, seen)

    with Site({None: answer}) as site:
        names = [f"{number:02}" for number in range(20)]
        assert get(tmp_path, site, [f"/{name}" for name in names], "--retry", "9") == 0
    assert sorted(os.listdir(folder)) == names
