"""What is done in a child process: by one hook, in order, without keeping anything alive."""

import gc
import os
import subprocess
import sys
import threading
import weakref

import pytest
from kit.support import ROOT

from dugong_like.polling import fork
from dugong_like.transport import exclusive
from dugong_like.transport.connect import resolvers
from dugong_like.transport.tls import sessions

forks = pytest.mark.skipif(not hasattr(os, "fork"), reason="nothing forks here")
# Python warns when a process with threads forks.
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")


class Part:
    """Something with a name, to be called in a child process."""

    def __init__(self, name, log):
        self.name = name
        self.log = log

    def renew(self):
        self.log.append(f"renew {self.name}")

    def close(self):
        self.log.append(f"close {self.name}")


def said_by_child(say):
    """Return what *say* returns in a child process."""
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            os.write(writer, say().encode())
        finally:
            os._exit(0)
    os.close(writer)
    with os.fdopen(reader, "rb") as file:
        said = file.read().decode()
    os.waitpid(child, 0)
    return said


def program(text):
    """Run a program in an interpreter of its own; return what it has written, and its errors."""
    done = subprocess.run(
        [sys.executable, "-W", "ignore::DeprecationWarning", "-c", text],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        check=False,
        capture_output=True,
        text=True,
        timeout=100,
    )
    return done.stdout, done.stderr


@forks
def test_state_is_renewed_before_anything_is_closed_in_order_of_registration():
    log = []
    parts = [Part(name, log) for name in "abc"]
    for part in parts:
        fork.after_fork(part.close, closes=True)
    for part in parts:
        fork.after_fork(part.renew)

    said = said_by_child(lambda: ", ".join(log))

    assert said == "renew a, renew b, renew c, close a, close b, close c"
    assert log == []


@forks
def test_callback_that_is_registered_twice_is_called_once():
    log = []
    part = Part("a", log)
    for _ in range(3):
        fork.after_fork(part.renew)
    gc.collect()

    assert said_by_child(lambda: ", ".join(log)) == "renew a"


@pytest.mark.parametrize("closes", [False, True])
def test_method_does_not_keep_its_object_and_leaves_nothing_behind(closes):
    log = []
    part = Part("a", log)
    before = len(fork._renewing), len(fork._closing)
    fork.after_fork(part.close, closes=closes)
    known = weakref.ref(part)

    del part
    gc.collect()

    assert known() is None
    assert (len(fork._renewing), len(fork._closing)) == before


@forks
def test_function_is_kept():
    said, errors = program(
        "import os\n"
        "from dugong_like.polling.fork import after_fork\n"
        "after_fork(lambda: print('called', flush=True))\n"
        "if (child := os.fork()) == 0:\n"
        "    os._exit(0)\n"
        "os.waitpid(child, 0)\n"
    )
    assert (said, errors) == ("called\n", "")


@forks
def test_failure_is_reported_and_the_others_are_called():
    said, errors = program(
        "import os\n"
        "from dugong_like.polling.fork import after_fork\n"
        "after_fork(lambda: 1 / 0)\n"
        "after_fork(lambda: print('called', flush=True))\n"
        "after_fork(lambda: print('closed', flush=True), closes=True)\n"
        "if (child := os.fork()) == 0:\n"
        "    print('forked', flush=True)\n"
        "    os._exit(0)\n"
        "os.waitpid(child, 0)\n"
    )
    assert said == "called\nclosed\nforked\n"
    assert "ZeroDivisionError" in errors


@forks
def test_generations_are_counted_before_the_callbacks():
    seen = []

    class Watcher:
        def note(self):
            seen.append(fork.generation())

    watcher = Watcher()
    fork.after_fork(watcher.note)
    here = fork.generation()

    child = said_by_child(lambda: f"{seen} {fork.generation()} {said_by_child(lambda: str(seen))}")

    assert child == f"[{here + 1}] {here + 1} [{here + 1}, {here + 2}]"
    assert fork.generation() == here


LOCKS = {
    "streams": lambda: exclusive.changing,
    "TLS sessions": lambda: sessions._lock,
    "resolvers": lambda: resolvers._lock,
}


@forks
def test_closing_can_take_the_locks_that_another_thread_held():
    """It comes after all that makes them anew, whatever was imported first."""
    taken = []

    class Closer:
        def close(self):
            taken.extend(name for name, lock in LOCKS.items() if lock().acquire(timeout=20))

    def hold():
        with LOCKS["streams"](), LOCKS["TLS sessions"](), LOCKS["resolvers"]():
            held.set()
            over.wait(100)

    closer = Closer()
    fork.after_fork(closer.close, closes=True)
    held, over = threading.Event(), threading.Event()
    thread = threading.Thread(target=hold)
    thread.start()
    try:
        assert held.wait(100)
        assert said_by_child(lambda: ", ".join(taken)) == ", ".join(LOCKS)
    finally:
        over.set()
        thread.join()


def test_without_fork_everything_is_as_it_was():
    said, errors = program(
        "import os, pkgutil, importlib, socket\n"
        "del os.register_at_fork, os.fork\n"
        "import dugong_like\n"
        "for part in ('polling', 'http', 'transport', 'connection', 'drivers'):\n"
        "    package = importlib.import_module(f'dugong_like.{part}')\n"
        "    for found in pkgutil.walk_packages(package.__path__, package.__name__ + '.'):\n"
        "        if found.name.rpartition('.')[2] not in ('trio', 'gevent'):\n"
        "            importlib.import_module(found.name)\n"
        "from dugong_like.transport.tcp import TCPStream\n"
        "from dugong_like.transport.upgraded.network_stream import NetworkStream\n"
        "ours, theirs = socket.socketpair()\n"
        "ours.setblocking(False)\n"
        "stream = NetworkStream(TCPStream(ours))\n"
        "theirs.sendall(b'x')\n"
        "with dugong_like.LoopThread() as thread:\n"
        "    print(thread.submit(stream.co_read(5)).result())\n"
        "stream.close()\n"
        "theirs.close()\n"
    )
    assert (said, errors) == ("b'x'\n", "")


def test_there_is_one_hook():
    with_hook = [
        file.relative_to(ROOT).as_posix()
        for file in (ROOT / "dugong_like").rglob("*.py")
        if "register_at_fork(" in file.read_text() or "getpid(" in file.read_text()
    ]
    with_hook.remove("dugong_like/adapters/fsspec.py")  # fsspec compares the process itself
    assert with_hook == ["dugong_like/polling/fork.py"]
