"""Between two yields an operation never waits: not for a descriptor, a lock, a clock or a thread.

While a step of an operation runs, what would wait fails the test. A lock that a step may wait for
(one of those that are held for microseconds) must never be held by anybody while he waits, and not
from one step of an operation to the next.
"""

import io
import select
import socket
import ssl
import sys
import tempfile
import threading
import time
from contextlib import contextmanager
from functools import partial

import pytest
from kit.support import ScriptedServer, read_exactly, read_head

from dugong_like import (
    AsyncConnection,
    BodyFollowing,
    ConnectionClosed,
    DugongError,
    HTTPConnection,
    Pipeline,
    Request,
    StateError,
)
from dugong_like.polling import contract
from dugong_like.transport import exclusive

pytestmark = pytest.mark.reliability(33, 43)

LONGEST = 5  # seconds of a step: a busy machine may take long, but not so long
LIMIT = 20  # seconds
BIG = 3_000_000  # bytes: more than the system takes at once
SOCKET_CALLS = {
    *("accept", "connect", "connect_ex", "do_handshake", "read", "recv", "recv_into", "recvfrom"),
    *("send", "sendall", "sendfile", "sendmsg", "sendto", "write"),
}


class Watch:
    """Notes what waits in a step, and which locks are held while something waits.

    Attributes:
        problems: what has waited in a step.
        steps: how many there were.

    """

    def __init__(self):
        self.problems = []
        self.steps = 0
        self._here = threading.local()  # of each thread: is it in a step, and which locks it holds

    @property
    def in_step(self):
        return getattr(self._here, "in_step", False)

    @property
    def held(self):
        if not hasattr(self._here, "held"):
            self._here.held = []
        return self._here.held

    def waits(self, what):
        """Note that this thread waits for *what*."""
        if self.in_step:
            self.problems.append(f"a step waits in {what}")
        for lock in self.held:
            lock.held_by_one_who_waits = what
            lock.check()

    @contextmanager
    def step(self):
        """Let what waits in the block be a problem."""
        self._here.in_step = True
        begin = time.monotonic()
        sys.setprofile(self._profile)
        try:
            yield
        finally:
            sys.setprofile(None)
            self._here.in_step = False
            self.steps += 1
            if time.monotonic() - begin > LONGEST:
                self.problems.append("a step takes too long")
            for lock in self.held:
                lock.held_by_one_who_waits = "a yield"
                lock.check()

    def run(self, op, timeout=LIMIT):
        """Run *op* to its end, as `dugong_like.run` does."""
        try:
            while True:
                with self.step():
                    need = next(op)
                left = timeout if need.deadline is None else need.deadline - time.monotonic()
                need.poll(max(left, 0))
        except StopIteration as end:
            return end.value
        finally:
            op.close()

    def _profile(self, frame, event, arg):
        owner, name = frame.f_locals.get("self"), frame.f_code.co_name
        if event == "c_call":
            owner, name = getattr(arg, "__self__", None), arg.__name__
            if arg is time.sleep:
                self.problems.append("a step sleeps")
        elif event != "call" or not isinstance(owner, ssl.SSLSocket):
            return
        if name in SOCKET_CALLS and isinstance(owner, socket.socket) and owner.gettimeout() != 0:
            self.problems.append(f"a step calls {name} of a socket that blocks")


def watched_lock(watch, make):
    """Return a class of locks that are made by *make*, and that *watch* hears of."""

    class WatchedLock:
        held_by_one_who_waits = waited_for = None

        def __init__(self):
            self._lock = make()

        def acquire(self, blocking=True, timeout=-1):
            if blocking and watch.in_step:
                self.waited_for = True
                self.check()
            elif blocking and not self._lock.acquire(False):
                watch.waits("a lock")  # while holding others
            elif blocking:
                watch.held.append(self)
                return True
            taken = self._lock.acquire(blocking, LIMIT if blocking else -1)
            if blocking and not taken:
                watch.problems.append("a lock is never given back")
            if taken:
                watch.held.append(self)
            return taken

        def release(self):
            self._lock.release()
            if self in watch.held:  # or another thread has taken it
                watch.held.remove(self)

        def locked(self):
            return self._lock.locked()

        def check(self):
            if self.waited_for and self.held_by_one_who_waits:
                how = f"held while its owner waits in {self.held_by_one_who_waits}"
                watch.problems.append(f"a step may wait for a lock that is {how}")

        __enter__ = acquire

        def __exit__(self, *exc):
            self.release()

    return WatchedLock


class WatchedPoll:
    """A poll object that *watch* hears of."""

    def __init__(self, watch, poll):
        self._watch, self._poll = watch, poll()
        self.register, self.modify = self._poll.register, self._poll.modify
        self.unregister = self._poll.unregister

    def poll(self, timeout=None):
        if timeout != 0:
            self._watch.waits("poll()")
        return self._poll.poll(timeout)


@pytest.fixture
def watch(monkeypatch):
    """What hears of each lock of the library, and of each wait."""
    watch = Watch()
    locks = {
        threading.Lock: watched_lock(watch, threading.Lock),
        threading.RLock: watched_lock(watch, threading.RLock),
    }
    for name, module in list(sys.modules.items()):
        if name.partition(".")[0] == "dugong_like":
            for kind in ("Lock", "RLock"):
                if (made := vars(module).get(kind)) in locks:
                    monkeypatch.setattr(module, kind, locks[made])
    monkeypatch.setattr(exclusive, "changing", locks[threading.RLock]())
    monkeypatch.setattr(contract, "_pollers", contract._Pollers())
    monkeypatch.setattr(select, "poll", partial(WatchedPoll, watch, select.poll))
    own = threading.RLock

    def rlock():
        """Return a lock: of the library it is a watched one."""
        caller = sys._getframe(1).f_globals.get("__name__", "")
        return locks[own]() if caller.startswith("dugong_like") else own()

    monkeypatch.setattr(threading, "RLock", rlock)
    for owner, name in ((threading.Condition, "wait"), (threading.Event, "wait")):
        original = getattr(owner, name)

        def wait(self, timeout=None, original=original):
            if timeout != 0:
                watch.waits("a wait for a thread")
            return original(self, timeout)

        monkeypatch.setattr(owner, name, wait)
    yield watch
    assert watch.problems == []
    assert watch.steps > 0


def serve(sock):
    """Answer what is asked for: by its path, how large, and how slowly."""
    while head := read_head(sock):
        method, path, _ = head.split(b" ", 2)
        length = 0
        for line in head.lower().split(b"\r\n"):
            if line.startswith(b"content-length:"):
                length = int(line.partition(b":")[2])
        if b"upgrade:" in head.lower():
            sock.sendall(b"HTTP/1.1 101 Switching\r\nUpgrade: x\r\nConnection: Upgrade\r\n\r\n")
            while data := sock.recv(65536):
                sock.sendall(data)
            return
        if b"100-continue" in head.lower():
            sock.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
        if b"chunked" in head.lower():
            body = b""
            while not body.endswith(b"0\r\n\r\n"):
                body += sock.recv(65536)
        read_exactly(sock, length)
        size = int(path[1:] or 0)
        sock.sendall(b"HTTP/1.1 103 Hints\r\n\r\nHTTP/1.1 200 OK\r\n")
        sock.sendall(b"Content-Length: %d\r\n\r\n" % size)
        if method != b"HEAD":
            sock.sendall(bytes(size // 2))
            sock.sendall(bytes(size - size // 2))


@pytest.fixture(params=[False, True], ids=["http", "https"])
def connect(request, watch, certificate, trusting):
    """A function that returns a connection to a server of its own."""
    tls = certificate.server_context() if request.param else None
    with ScriptedServer(serve, tls) as server:
        context = trusting if request.param else None
        opened = []

        def connect(**options):
            opened.append(HTTPConnection("127.0.0.1", server.port, context, **options))
            return opened[-1]

        yield connect
        for conn in opened:
            conn.close()


def operations(conn):
    """Yield each operation of a connection, in an order in which they make sense."""
    yield conn.co_connect()
    for size in (0, BIG):
        for read in (
            *(conn.co_readall, conn.co_discard, partial(conn.co_read, 100)),
            *(partial(conn.co_readinto, bytearray(100_000)), partial(conn.co_read, BIG)),
        ):
            yield conn.co_send_request("GET", f"/{size}")
            yield conn.co_read_response()
            yield read()
            yield conn.co_discard()
        yield conn.co_send_requests([("GET", f"/{size}")] * 3)
        for _ in range(3):
            yield conn.co_next_response()
            with tempfile.TemporaryFile() as file:
                yield conn.co_recv_to_file(file)
        for body in (None, bytes(size), [bytes(size)] * 3, io.BytesIO(bytes(size))):
            yield conn.co_exchange("PUT", f"/{size}", None, body)
            yield conn.co_send(Request("PUT", f"/{size}", body=body))
            yield conn.co_read_response()
            yield conn.co_readall()
        for length in (size, None):
            yield conn.co_send_request("PUT", "/0", None, BodyFollowing(length), bool(length))
            if length:
                yield conn.co_read_response()
            yield conn.co_write(bytes(size // 2))
            with tempfile.TemporaryFile() as file:
                file.write(bytes(size - size // 2))
                yield conn.co_sendfile(file)
            yield conn.co_finish()
            yield conn.co_next_response()
            yield conn.co_discard()
    yield conn.co_send_request("GET", "/10")
    yield conn.co_read_raw(5)
    yield conn.co_close()
    yield conn.co_wait_closed()


def test_operations_of_a_connection(watch, connect):
    for op in operations(connect(timeout=LIMIT)):
        watch.run(op)


@pytest.mark.parametrize("options", [{"trace": lambda *_: None, "timings": True}])
def test_operations_that_are_observed(watch, connect, options):
    for op in operations(connect(**options)):
        watch.run(op)


def test_operations_of_a_stream(watch, connect, trusting):
    conn = connect()
    conn.send_request("GET", "/", {"Upgrade": "x"})
    stream = conn.read_response().stream
    for size in (5, BIG):
        reader = threading.Thread(target=partial(read_all, stream, size))
        reader.start()
        watch.run(stream.co_write(bytes(size)))
        reader.join(LIMIT)
        writer = threading.Thread(target=stream.write, args=(bytes(size),))
        writer.start()
        left = size - len(watch.run(stream.co_read(2)))
        left -= watch.run(stream.co_readinto(bytearray(2)))
        while left:
            left -= len(watch.run(stream.co_read(left)))
        writer.join(LIMIT)
    if conn.ssl_context is None:
        watch.run(stream.co_write_eof())
    watch.run(stream.co_close())
    conn.send_request("GET", "/", {"Upgrade": "x"})
    stream = conn.read_response().stream
    with pytest.raises(DugongError):  # the server only repeats what it is told
        watch.run(stream.co_start_tls(trusting, "localhost"))
    watch.run(stream.co_close())


def read_all(stream, size):
    while size:
        size -= len(stream.read(size))


def test_operations_of_a_pipeline(watch, connect):
    pipeline = Pipeline(connect(), [Request("GET", f"/{size}") for size in (0, 10, BIG) * 5])
    while watch.run(pipeline.co_next()) is not None:
        pass
    pipeline = Pipeline(connect(), [Request("PUT", "/10", body=bytes(100))] * 20)
    assert len(watch.run(pipeline.co_run())) == 20


def test_coroutines(watch, connect):
    async def drive(op):
        return watch.run(op)

    async def talk():
        conn = AsyncConnection(connect(), drive)
        for size in (0, BIG):
            assert len((await conn.exchange("GET", f"/{size}")).body) == size
            await conn.send_request("GET", f"/{size}")
            await conn.read_response()
            assert len(await conn.readall()) == size
        await conn.close()

    with pytest.raises(StopIteration):
        talk().send(None)


@pytest.mark.parametrize("end", ["goes on", "is closed"])
def test_while_other_threads_send_and_receive(watch, connect, end):
    """Steps are taken while one thread blocks in `write`, and one in `read_response`."""
    conn = connect()
    conn.send_request("PUT", "/10", body=BodyFollowing(10 * BIG))
    failures = []

    def on_thread(*calls):
        try:
            for call in calls:
                call()
        except (ConnectionClosed, StateError) as exc:  # of those, if another one has reconnected
            failures.append(exc)

    threads = [
        threading.Thread(target=on_thread, args=[partial(conn.write, bytes(BIG))] * 10),
        threading.Thread(target=on_thread, args=(conn.read_response, conn.readall)),
    ]
    for thread in threads:
        thread.start()
    others = [
        *(conn.co_read_response, conn.co_readall, conn.co_discard, conn.co_next_response),
        *(partial(conn.co_write, b"x"), conn.co_finish, partial(conn.co_send_request, "GET", "/")),
        *(conn.co_connect, partial(conn.co_exchange, "GET", "/"), partial(conn.co_read, 1)),
    ]
    while any(thread.is_alive() for thread in threads):
        for other in others:
            op = other()
            try:
                with watch.step():
                    next(op)
            except (StopIteration, StateError, ConnectionClosed):
                pass
            except DugongError as exc:
                watch.problems.append(f"{exc!r}")
            with watch.step():
                op.close()
            conn.is_open()
        if end == "is closed" or watch.steps > 300:
            with watch.step():
                conn.disconnect()
    for thread in threads:
        thread.join(LIMIT)
        assert not thread.is_alive()
    assert failures or end == "goes on"


@pytest.mark.parametrize("hold", ["poll", "sleep", "lock", "socket", "over a yield"])
def test_what_is_held_is_found(watch, hold):
    """The test would find it."""
    lock = exclusive.RLock()
    one, other = socket.socketpair()

    def co_hold():
        if hold == "poll":
            contract.wait(contract.PollNeeded(other.fileno(), contract.POLLOUT), 1)
        elif hold == "sleep":
            time.sleep(0)
        elif hold == "socket":
            one.send(b"x")
        elif hold == "lock":
            with lock:
                contract.wait(contract.PollNeeded(other.fileno(), contract.POLLOUT), 1)
        else:
            with lock:
                yield contract.PollNeeded(other.fileno(), contract.POLLOUT)

    watch.run(co_hold())
    one.close(), other.close()
    assert watch.problems
    watch.problems.clear()
