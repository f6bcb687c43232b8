"""A pool without sockets: connections that only say what the pool asks them, and a clock."""

from types import SimpleNamespace

from dugong_like import Limits, Origin, Pool, Timeouts
from dugong_like.client import lease as lease_
from dugong_like.client import pool as pool_
from dugong_like.polling import wake as wake_


class FakeConnection:
    """A connection that is open as soon as it is used.

    Attributes:
        closings: how often it was closed.
        reusable: what it says.
        connecting: the operations that opened it.

    """

    def __init__(self, origin, opened):
        self.origin = origin
        self._opened = opened
        opened.add(id(self))
        self.timeout = None
        self.renewals = 0
        self.close_reason = None
        self.reusable = True
        self.closings = 0
        self.connecting = 0

    def is_reusable(self):
        return self.reusable and not self.closings

    def co_connect(self):
        self.connecting += 1
        yield from ()

    def close(self):
        self.closings += 1
        self._opened.discard(id(self))

    def __del__(self):
        self._opened.discard(id(self))


class FakeConnector:
    """Makes such connections; `made` has all of them, unless *forgets* says that it does not."""

    def __init__(self, *, forgets=False, **timeouts):
        self.forgets = forgets
        self._opened = set()
        self.timeouts = Timeouts(**timeouts)
        self.made = []
        self.failure = None

    def key(self, origin):
        return origin.secure, origin.host, origin.port

    def connection(self, origin):
        if self.failure is not None:
            raise self.failure
        conn = FakeConnection(origin, self._opened)
        if not self.forgets:
            self.made.append(conn)
        return conn

    def negotiates(self, _):
        return False

    def open(self):
        """Return how many connections are open."""
        return len(self._opened)


class Clock:
    """The time that a pool and its waits see."""

    def __init__(self, monkeypatch):
        self.now = 1000.0
        for module in (pool_, lease_):
            monkeypatch.setattr(module, "monotonic", lambda: self.now)
        monkeypatch.setattr(wake_, "time", SimpleNamespace(monotonic=lambda: self.now))


def origin(number=0):
    return Origin("http", f"host{number}.test")


def pool_of(**limits):
    """Return a pool of fake connections, and what makes them."""
    connector = FakeConnector()
    return Pool(connector, Limits(**limits)), connector


def step(operation):
    """Resume *operation*; return its result, or None if it still waits."""
    try:
        next(operation)
    except StopIteration as end:
        return end.value
    return None


def places(pool):
    """Return how many places are taken: the idle ones, and the busy ones."""
    idle = sum(len(at.idle) for at in pool._all())
    return idle, len(pool._members) - idle
