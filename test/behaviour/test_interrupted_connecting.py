"""Nothing is left open if anything goes wrong at any step between connecting and its end.

For every way to a server, and for every n: something is raised at the n-th line of the library that
runs (as Ctrl-C does), by the n-th function of the system or after it, or at the n-th wait. Then no
descriptor is left, without help from the garbage collector, there was no `ResourceWarning`, and the
connection can be made again. By default a few n are tried, the same ones each time; a slow test
tries all of them.

Not here: what else an interruption leaves behind (test_interruptions.py, test_yield_points_tls.py).
"""

import contextlib
import errno
import gc
import io
import itertools
import os
import random
import socket
import sys
import threading
import types
import zlib
from hashlib import sha256
from pathlib import Path

import pytest
from kit.interrupted import begins_or_ends_a_block
from kit.peers import peers
from kit.support import wait_until

import dugong_like
from dugong_like import (
    Budget,
    CachingResolver,
    ConnectionTimedOut,
    DigestAuth,
    HTTPConnection,
    MinimumRate,
    Proxy,
    SocketOptions,
    Timeouts,
    TLSSessions,
)
from dugong_like.polling import wake
from dugong_like.transport.connect import happy_eyeballs as connecting
from dugong_like.transport.tls import handshake

pytestmark = pytest.mark.reliability(45)
PACKAGE = str(Path(dugong_like.__file__).parent)
CONNECTING = f"{PACKAGE}/transport/"
UPGRADED = f"{PACKAGE}/transport/upgraded/"  # the stream after that, which is no part of it
# How many steps of each kind are tried of each way, unless all are.
SAMPLE = {"line": 2, "call": 1, "after call": 1, "throw": 1, "close": 1}
if sys.version_info >= (3, 12):
    # The end of a `with` is told as other lines there, so that a lock could stay locked: see
    # `begins_or_ends_a_block`, which knows what 3.11 tells.
    del SAMPLE["line"]


@pytest.fixture(scope="module")
def place(certificate, tmp_path_factory):
    """The ports of all servers and proxies; nothing else in this process is open or closed."""
    with peers(certificate, tmp_path_factory.mktemp("peers")) as found, socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))  # and refuses
        yield {**found, "refusing": bound.getsockname()[1]}


# ---- the ways


def plain(place, trusting):
    return HTTPConnection("127.0.0.1", place["http"])


def tls(place, trusting):
    return HTTPConnection("127.0.0.1", place["https"], trusting)


def fingerprint(place, trusting):
    with HTTPConnection("127.0.0.1", place["https"], trusting) as conn:
        conn.connect()
        der = conn.get_ssl_peercert(binary_form=True)
    return HTTPConnection(
        "127.0.0.1", place["https"], trusting, fingerprint=f"sha256:{sha256(der).hexdigest()}"
    )


def resumed(place, trusting):
    """TLS with a session of an earlier connection."""
    sessions = TLSSessions()
    conn = HTTPConnection("127.0.0.1", place["https"], trusting, tls_sessions=sessions)
    conn.send_request("GET", "/")
    conn.read_response()
    conn.readall()
    conn.close()
    return conn


def system(place, trusting):
    return HTTPConnection("localhost", place["http"])


def function(place, trusting):
    return HTTPConnection("x.test", place["http"], resolver=lambda host, port: found(port))


def found(*ports):
    return [(socket.AF_INET, ("127.0.0.1", port)) for port in ports]


def race(place, trusting):
    """Three addresses: one that refuses, and two that answer."""

    def co_find(host, port):
        yield from ()
        return found(place["refusing"], port, place["https"])

    resolver = CachingResolver(co_find)
    return HTTPConnection("x.test", place["http"], resolver=resolver)


def unix(place, trusting):
    return HTTPConnection("x.test", uds=place["unix"])


def own_socket(place, trusting):
    sock = socket.create_connection(("127.0.0.1", place["https"]))
    return HTTPConnection("localhost", 443, trusting, sock=sock)


def options(place, trusting):
    given = SocketOptions(local_address=("127.0.0.1", 0), keepalive=True)
    return HTTPConnection("127.0.0.1", place["http"], socket_options=given)


def through(scheme, port, server, **more):
    """Return a way through a proxy."""

    def way(place, trusting):
        context = trusting if server == "https" else None
        url = f"{scheme}://127.0.0.1:{place[port]}"
        proxy = Proxy(url, ssl_context=trusting if scheme == "https" else None, **more)
        return HTTPConnection("127.0.0.1", place[server], context, proxy, resolver=by_itself)

    return way


def by_itself(host, port):
    yield from ()
    return [(socket.AF_INET, (host, port))]


def told(place, trusting):
    """Everything that watches: a trace, timings, a dump, rates and limits, through TLS in TLS."""
    proxy = Proxy(f"https://localhost:{place['proxy_tls']}", ssl_context=trusting)
    return HTTPConnection(
        "127.0.0.1", place["https"], trusting, proxy,
        trace=lambda event, info: None, timings=True, trace_file=io.BytesIO(),
        budget=Budget(minimum_rate=MinimumRate(1, 60)), timeout=Timeouts(stall=60, total=60),
    )  # fmt: skip


def limited(place, trusting):
    return HTTPConnection("localhost", place["https"], trusting, timeout=60)


class Switched:
    """A connection that has left HTTP and now begins TLS."""

    def __init__(self, place, trusting):
        self._context = trusting
        conn = HTTPConnection("127.0.0.1", place["proxy"])
        conn.send_request("CONNECT", f"127.0.0.1:{place['https']}")
        self._stream = conn.read_response().stream
        self.close = self._stream.close
        self.connect = lambda: self._stream.start_tls(self._context, "localhost")
        self.co_connect = lambda: self._stream.co_start_tls(self._context, "localhost")


DIGEST = {"auth": DigestAuth("me", "key"), "headers": {"Wanted": "digest"}}
WAYS = {
    "plain": plain,
    "TLS": tls,
    "fingerprint": fingerprint,
    "session": resumed,
    "name": system,
    "resolver": function,
    "several addresses": race,
    "unix": unix,
    "sock": own_socket,
    "options": options,
    "time limits": limited,
    "forward": through("http", "proxy", "http"),
    "forward-TLS": through("https", "proxy_tls", "http"),
    "tunnel": through("http", "proxy", "http", mode="tunnel"),
    "tunnel-TLS": through("http", "proxy", "https"),
    "tunnel-Digest": through("http", "proxy", "https", **DIGEST),
    "SOCKS4": through("socks4a", "proxy", "http"),
    "SOCKS5": through("socks5", "proxy", "https"),
    "TLS in TLS": through("https", "proxy_tls", "https"),
    "told": told,
    "start_tls": Switched,
}
ONCE = {"sock", "start_tls"}  # cannot be connected again


# ---- the failures

KINDS = tuple(SAMPLE)
EVENTS = {"call": "c_call", "after call": "c_return"}
SYSTEM = {"posix", "_socket", "select", "_ssl"}
# If Ctrl-C comes when there is a number that nobody has noted, or when nobody has it any more and
# it is not closed yet, the number is lost: no program can help that.
HAS_NUMBER = {"call": {"close"}, "after call": {"eventfd", "dup"}}


def is_dropping(frame):
    """Return whether something is being dropped: what is raised then is lost, whatever it is."""
    while frame is not None:
        if frame.f_code.co_name == "__del__":
            return True
        frame = frame.f_back
    return False


def is_of_the_system(function):
    """Return whether a C function is of a module, or a method of a class, that calls the system."""
    kinds = type(getattr(function, "__self__", None)).__mro__
    return function.__module__ in SYSTEM or not SYSTEM.isdisjoint(one.__module__ for one in kinds)


class Failing:
    """Raises what *make_failure* makes at the n-th event of a kind, in this thread; 0: at none.

    Attributes:
        count: how many events there were.
        raised: whether it has been raised.

    """

    def __init__(self, kind, at=0, make_failure=None):
        self.kind = kind
        self.at = at
        self.make_failure = make_failure  # nobody keeps it, as its traceback would keep all frames
        self.count = 0
        self.raised = False

    def _happen(self):
        self.count += 1
        if self.count == self.at:
            self.raised = True
            raise self.make_failure()

    def _trace(self, frame, event, arg):
        name = frame.f_code.co_filename
        if not name.startswith(CONNECTING) or name.startswith(UPGRADED):
            return self._trace
        if event == "line" and not begins_or_ends_a_block(frame) and not is_dropping(frame):
            self._happen()
        return self._trace

    def _profile(self, frame, event, arg):
        if event != EVENTS[self.kind] or not is_of_the_system(arg) or is_dropping(frame):
            return
        if not (arg.__module__ == "posix" and arg.__name__ in HAS_NUMBER[self.kind]):
            self._happen()

    def __enter__(self):
        self._before = sys.gettrace(), sys.getprofile()
        if self.kind == "line":
            sys.settrace(self._trace)
        else:
            sys.setprofile(self._profile)
        return self

    def __exit__(self, *exc):
        sys.settrace(self._before[0])
        sys.setprofile(self._before[1])

    def connect(self, conn):
        """Connect, and fail where that is due."""
        if self.kind in {"line", *EVENTS}:
            with self:
                conn.connect()
            return
        operation = conn.co_connect()
        try:
            for need in operation:
                self.count += 1
                if self.count == self.at:
                    self.raised = True
                    if self.kind == "close":
                        operation.close()
                        raise GeneratorExit
                    operation.throw(self.make_failure())
                need.poll(30)
        finally:
            operation.close()


FAILURES = {
    "OSError": lambda: OSError(errno.ECONNRESET, "scripted"),
    "error of the library": lambda: ConnectionTimedOut("scripted"),
    "RuntimeError": lambda: RuntimeError("scripted"),
    "Ctrl-C": lambda: KeyboardInterrupt("scripted"),
}


def what_is_open():
    """Return what the descriptors of this process are, but for those that operations share."""
    found = {}
    for fd in os.listdir("/proc/self/fd"):
        with contextlib.suppress(OSError):
            found[fd] = str(Path(f"/proc/self/fd/{fd}").readlink())
    shared = {str(ready.fd) for ready, _ in wake._ready}
    return {(fd, what) for fd, what in found.items() if fd not in shared and "/fd" not in what}


def fail_at(way, place, trusting, failing):
    """Connect by *way*, with a failure; return whether there was one. Nothing may be left open."""
    before = what_is_open()
    conn = WAYS[way](place, trusting)
    try:
        failing.connect(conn)
    except BaseException:
        if not failing.raised:
            raise
    conn.close()
    with contextlib.suppress(AssertionError):  # a helper thread may still be about to let go
        wait_until(lambda: not what_is_open() - before)
    left = what_is_open() - before
    assert not left, f"{failing.kind} {failing.at}: {left} is open"
    if failing.raised and way not in ONCE:
        conn.connect()  # nobody has the connection but us
        conn.close()
        wait_until(lambda: not what_is_open() - before)
    return failing.raised


def count(way, kind, place, trusting):
    """Return how many steps of *kind* there are."""
    counting = Failing(kind)
    assert not fail_at(way, place, trusting, counting)
    return counting.count


def try_steps(way, kind, place, trusting, steps):
    """Let each of *steps* fail, with one failure after the other."""
    failures = itertools.cycle(FAILURES)
    for at, failure in zip(steps, failures, strict=False):
        fail_at(way, place, trusting, Failing(kind, at, FAILURES[failure]))


class BoundedLock:
    """A lock that nobody waits for longer than some seconds.

    A failure that is raised between the lines of a program may leave one locked, as no failure of
    the system can; whatever is closed afterwards would wait for it for ever.
    """

    def __init__(self):
        self._lock = threading.RLock()

    def __enter__(self):
        if not self._lock.acquire(timeout=30):
            raise RuntimeError("a failure has left this locked")

    def __exit__(self, *exc):
        self._lock.release()


@pytest.fixture(autouse=True)
def no_lock_for_ever(monkeypatch):
    monkeypatch.setattr(handshake, "threading", types.SimpleNamespace(RLock=BoundedLock))


@pytest.fixture(autouse=True)
def no_delay(monkeypatch):
    """Several addresses race at once."""
    monkeypatch.setattr(connecting, "ATTEMPT_DELAY", 0)


@pytest.mark.parametrize("way", WAYS)
def test_failure_at_some_step_leaves_nothing_open(way, place, trusting):
    chance = random.Random(zlib.crc32(way.encode()))
    for kind, most in SAMPLE.items():
        steps = range(1, count(way, kind, place, trusting) + 1)
        chosen = chance.sample(steps, min(most, len(steps)))
        try_steps(way, kind, place, trusting, chosen)
    gc.collect()


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("way", WAYS)
def test_failure_at_any_step_leaves_nothing_open(way, kind, place, trusting):
    steps = range(1, count(way, kind, place, trusting) + 1)
    try_steps(way, kind, place, trusting, steps)
    gc.collect()
