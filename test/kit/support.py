"""What tests share: bytes to compare with, scripted servers, a black hole."""

import gc
import importlib
import os
import shutil
import socket
import ssl
import sys
import threading
import time
import traceback
from contextlib import contextmanager
from pathlib import Path

import pytest

from dugong_like.polling.wake import checkpoint_descriptors
from kit.app import PATTERN

ROOT = Path(__file__).resolve().parents[2]
DEBIAN = {
    "apache2": "apache2-bin",
    "nghttpd": "nghttp2-server",
    "nginx": "nginx-light",
    "haproxy": "haproxy",
    "openssl": "openssl",
    "squid": "squid",
    "htpasswd": "apache2-utils",
    "danted": "dante-server",
    "microsocks": "microsocks",
}  # the package of each program


SHARE_OF_EXAMPLES = 1  # one of so many is tried; see ``--slow`` in conftest.py


def examples(count):
    """Return how many of *count* examples a property test tries: all of them with ``--slow``."""
    return max(count // SHARE_OF_EXAMPLES, 10)


def some_of(numbers):
    """Return each third of *numbers*, and all of them with ``--slow``; of tests marked examples."""
    return numbers[:: min(SHARE_OF_EXAMPLES, 3)]


def pattern(size):
    """Return the *size* bytes that the servers answer ``/bytes/SIZE`` with."""
    return (PATTERN * (size // len(PATTERN) + 1))[:size]


def in_child(call):
    """Return the number that *call* returns in a child process; 255 if it raises anything.

    The child ends in any case, and never goes on with the tests of its parent.
    """
    child = os.fork()
    if child == 0:
        status = 255
        try:
            status = int(call())
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(status)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def program(name):
    """Return the path of a program, or skip the test that needs it.

    In CI, which installs everything, a missing program is a failure.
    """
    path = shutil.which(name) or shutil.which(name, path="/usr/sbin:/usr/local/sbin")
    if path is None:
        message = f"needs {name} (Debian: {DEBIAN[name]})"
        if os.environ.get("DUGONG_LIKE_CI"):
            pytest.fail(message)
        pytest.skip(message)
    return path


def installed(name, extra):
    """Return the module *name*, or skip the test that needs it."""
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as exc:
        if exc.name != name:
            raise
        pytest.skip(f"needs {name}: pip install '.[{extra}]'")


def wait_until(true, seconds=60):
    """Wait until *true*() is; fail after so many seconds."""
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline, "it never became true"
        time.sleep(0.005)


@contextmanager
def little_work(seconds):
    """Check that this thread works less than *seconds* in the block: it does not spin."""
    gc.disable()  # a collection among 10,000 tests would be work, too
    try:
        start = time.thread_time()
        yield
        assert time.thread_time() - start < seconds, "it spins"
    finally:
        gc.enable()


def check_proportion(work, size, seconds=4):
    """Check that *work*(size) takes little time of the processor, or is in proportion to the size.

    A machine may be slower than that many *seconds*: then a sixteenth takes about a sixteenth
    there. It would be a 256th if time grew with the square.
    """

    def taken(size):
        start = time.process_time()
        work(size)
        return time.process_time() - start

    took = taken(size)
    assert took < seconds or took < 60 * taken(size // 16), "not in proportion"


def on_two_threads(work, rounds=2000):
    """Have two threads call *work* with each number up to *rounds*, at the very same moment.

    With the GIL that is never so, and they take turns.
    """
    take_turns = getattr(sys, "_is_gil_enabled", lambda: True)()
    at = [0, 0]

    def go(mine):
        for number in range(rounds):
            at[mine] = number
            while at[1 - mine] < number:
                if take_turns:
                    time.sleep(0)
            work(number)

    threads = [threading.Thread(target=go, args=(mine,)) for mine in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def open_descriptors():
    """Return how many file descriptors this process has (Linux).

    Those that are kept for the next checkpoint do not count: they are of no connection.
    """
    return len(os.listdir("/proc/self/fd")) - checkpoint_descriptors()


class ScriptedServer:
    """A server that does what a function says, on its own thread.

    The function is called with each connection's socket, which is closed after it. What it
    raises is raised again at the end of the ``with`` block, unless it is an OSError:
    the client may go away.

    Attributes:
        port: where it listens, on 127.0.0.1 unless *host* or *path*, of a unix domain socket,
            says otherwise.
        connections: how many there were.

    """

    def __init__(self, handler, tls=None, host="127.0.0.1", path=None):
        self._handler = handler
        self._tls = tls
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        if path is None:
            self._listener = socket.create_server((host, 0), family=family)
            self.port = self._listener.getsockname()[1]
        else:
            self._listener = socket.socket(socket.AF_UNIX)
            self._listener.bind(path)
            self._listener.listen()
        self.connections = 0
        self._problems = []
        self._open = []
        self._threads = []
        self._acceptor = threading.Thread(target=self._accept)

    def _accept(self):
        while True:
            try:
                sock, _ = self._listener.accept()
            except OSError:
                return
            self.connections += 1
            self._open.append(sock)
            worker = threading.Thread(target=self._handle, args=(sock,))
            self._threads.append(worker)
            worker.start()

    def _handle(self, sock):
        try:
            sock.settimeout(100)
            if self._tls is not None:
                sock = self._tls.wrap_socket(sock, server_side=True, suppress_ragged_eofs=False)
                self._open.append(sock)
            with sock:
                self._handler(sock)
        except (OSError, ssl.SSLError):
            pass
        except BaseException as exc:
            self._problems.append(exc)
        finally:
            sock.close()

    def __enter__(self):
        self._acceptor.start()
        return self

    def __exit__(self, *exc):
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._acceptor.join()
        for sock in self._open:
            try:
                # not that of `ssl.SSLSocket`, which takes TLS off under the handler's hands
                socket.socket.shutdown(sock, socket.SHUT_RDWR)
            except OSError:
                pass
        for worker in self._threads:
            worker.join()
        for sock in self._open:
            sock.close()
        if self._problems and exc[0] is None:
            raise self._problems[0]


def read_head(sock):
    """Read one request head, and nothing behind it; b"" at the end of the stream."""
    end = b"\r\n\r\n"
    head = b""
    while not head.endswith(end):
        if isinstance(sock, ssl.SSLSocket):  # which cannot peek
            head += (piece := sock.recv(1))
        else:
            seen = sock.recv(4096, socket.MSG_PEEK)
            kept = head[-len(end) + 1 :]
            place = (kept + seen).find(end)
            head += (piece := sock.recv(len(seen) if place < 0 else place + len(end) - len(kept)))
        if not piece:
            return b""
    return head


def read_exactly(sock, count):
    """Read *count* bytes; ConnectionError if the client goes away before."""
    data = b""
    while len(data) < count:
        piece = sock.recv(count - len(data))
        if not piece:
            raise ConnectionError(f"{len(data)} of {count} bytes, then the end")
        data += piece
    return data


def answering(*answers):
    """Return a handler that gives one of *answers* to each request without a body."""

    def handler(sock):
        for answer in answers:
            if not read_head(sock):
                return
            sock.sendall(answer)

    return handler


@contextmanager
def black_hole():
    """Yield the address of a socket that never answers a connection attempt."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        address = listener.getsockname()
        fillers = []
        try:
            for number in range(16):  # fill the queue until nobody is let in
                filler = socket.socket()
                fillers.append(filler)
                # The first one is let in everywhere, at once unless the machine is busy, and on
                # Linux fills the queue.
                filler.settimeout(0.05 if number and sys.platform == "linux" else 1)
                try:
                    filler.connect(address)
                except TimeoutError:
                    break
            else:
                pytest.skip("this system's queue of connections has no end")
            yield address
        finally:
            for filler in fillers:
                filler.close()
