"""contrib/torture/soak.py: that it finds what is wrong, and nothing where all is right."""

import re
import subprocess
import sys
import threading
from contextlib import contextmanager, nullcontext

import pytest
from kit.s_server import sized
from kit.support import ROOT, ScriptedServer, read_head, wait_until

from contrib.torture import soak as soaking

pytestmark = [pytest.mark.usefixtures("nothing_is_left_open"), pytest.mark.timeout(600)]


def soak(*options):
    done = subprocess.run(
        [sys.executable, "-m", "contrib.torture.soak", *options],
        capture_output=True, text=True, timeout=580, check=False, cwd=ROOT,
        env={"PYTHONPATH": str(ROOT), "PATH": "/usr/bin:/bin"},
    )  # fmt: skip
    return done.returncode, done.stdout, done.stderr


@pytest.mark.slow
@pytest.mark.parametrize("way", [[], ["--two-threads"]], ids=["one thread", "two threads"])
@pytest.mark.parametrize("tls", [[], ["--tls"]], ids=["http", "https"])
def test_soak_finds_every_body_right_and_nothing_that_leaks(way, tls):
    status, out, err = soak("--count", "2500", *way, *tls)

    assert (status, err) == (0, "")
    # A machine that is busy for more than 10 s is told meanwhile how it goes.
    last = out.splitlines()[-2]
    assert re.fullmatch(r"2500 requests in .* KiB more memory, (\d+) descriptors, \1 before", last)


def test_soak_ends_in_time_and_fails_if_more_memory_is_taken_than_allowed():
    status, out, err = soak("--seconds", "0.6", "--max-growth", "-1")

    assert status == 1
    assert err == "memory has grown by more than -1 MiB since the warm-up\n"


@contextmanager
def answering_wrongly(monkeypatch, answer):
    """Have the program use a server that says *answer* to each first request of a connection."""

    def wrong(sock):
        read_head(sock)
        sock.sendall(answer)
        while answer and sock.recv(65536):
            pass

    with ScriptedServer(wrong) as server:
        monkeypatch.setattr(soaking, "server", lambda tls: nullcontext((server.port, None)))
        yield


@pytest.mark.parametrize(
    ("answer", "problem"),
    [
        # The writer may see the answer first.
        (
            sized(b"12"),
            "(2 bytes instead of|(ConnectionClosed|AnsweredEarly): .*the server answered)",
        ),
        (b"", "ConnectionClosed: "),
    ],
)
@pytest.mark.parametrize("work", ["one_after_the_other", "on_two_threads"])
def test_soak_fails_at_a_wrong_body(monkeypatch, capsys, answer, problem, work):
    two_threads = ["--two-threads"] if work == "on_two_threads" else []
    with answering_wrongly(monkeypatch, answer):
        assert soaking.main(["--count", "10", *two_threads]) == 1
    assert re.match(rf"after 0 requests: .*{problem}", capsys.readouterr().err)


def test_soak_that_failed_leaves_no_writer_that_connects_again(monkeypatch, capsys):
    begun = []
    writers = []
    again = threading.Event()

    def upload(conn, *_):
        """Send something; the second time not before the reader has failed."""
        begun.append(conn)
        writers.append(threading.current_thread())
        if len(begun) > 1:
            again.set()
            wait_until(lambda: not conn.is_open())
        conn.send_request("GET", "/")

    def check(*_):
        assert again.wait(60)
        raise soaking.WrongBodyError("wrong")

    monkeypatch.setattr(soaking, "upload", upload)
    monkeypatch.setattr(soaking, "check", check)
    with answering_wrongly(monkeypatch, sized(b"12")):
        assert soaking.main(["--count", "10", "--two-threads"]) == 1
        assert not writers[0].is_alive()
    assert capsys.readouterr().err == "after 0 requests: WrongBodyError: wrong\n"
    assert len(begun) == 2
    assert not begun[0].is_open()
