"""Every yield point of a request through a tunnel: name, TCP, CONNECT, TLS, head and body.

With real sockets. The proxy, which is the origin as well, sends one small piece for each time
that the client waits, so that the n-th wait is the same one each time.
"""

import contextlib
import socket
import ssl
import threading
from functools import partial

import pytest
from kit.support import ScriptedServer, open_descriptors, read_head, some_of, wait_until

from dugong_like import ConnectionTimedOut, DugongError, HTTPConnection, PollNeeded
from dugong_like.polling.contract import POLLIN
from dugong_like.transport.connect import happy_eyeballs as connecting

pytestmark = pytest.mark.reliability(35, 42, 45)

MOST = 1000  # waits; more means that it never ends
TUNNEL = b"HTTP/1.1 200 Go\r\n\r\n"
ANSWER = [
    b"HTTP/1.1 103 Hints\r\n\r\nHTTP/1.1 200 OK\r\nTransfer-",
    b"Encoding: chunked\r\n\r\n",
    b"5\r\nhel",
    b"lo\r\n6\r\n world\r",
    b"\n0\r\nX: y",
    b"\r\n\r\n",
]


class Pace:
    """Lets the server send one piece for each wait of the client."""

    def __init__(self):
        self._pieces = threading.Semaphore(0)
        self._free = self._cut = False

    def allow(self):
        """Let the server send a piece."""
        self._pieces.release()

    def free(self):
        """Let the server send all it likes."""
        self._free = True
        self._pieces.release()

    def cut(self):
        """Let the server drop the connection."""
        self._cut = True
        self._pieces.release()

    def send(self, sock, data, size):
        """Send *data* in pieces of *size* bytes."""
        for at in range(0, len(data), size):
            if not self._free and not has_gone(sock):  # it takes no piece that is not its own
                assert self._pieces.acquire(timeout=30)
            if self._cut or has_gone(sock):
                raise ConnectionError("as it was told, or the client has gone")
            sock.sendall(data[at : at + size])


def has_gone(sock):
    """Say whether the client has closed the connection."""
    return PollNeeded(sock.fileno(), POLLIN).poll(0) and not sock.recv(1, socket.MSG_PEEK)


class Origin:
    """The proxy and what it connects to: TLS over small pieces.

    Attributes:
        pace: when the present connection may send.
        port: where it listens.
        descriptors: how many are open when there is no connection.

    """

    def __init__(self, context):
        self._context = context
        self.pace = Pace()

    def begin(self):
        """Get ready for another connection; what is left of the last one ends."""
        self.pace.free()
        self.pace = Pace()

    def __call__(self, sock):
        pace = self.pace
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if not read_head(sock):
            return
        pace.send(sock, TUNNEL, 1)
        coming, going = ssl.MemoryBIO(), ssl.MemoryBIO()
        tls = self._context.wrap_bio(coming, going, server_side=True)

        def do(call, *arguments):
            while True:
                try:
                    result = call(*arguments)
                except ssl.SSLWantReadError:
                    pace.send(sock, going.read(), 50)
                    data = sock.recv(65536)
                    if not data:
                        raise ConnectionError("the client has gone") from None
                    coming.write(data)
                    continue
                pace.send(sock, going.read(), 10)
                return result

        do(tls.do_handshake)
        while not do(tls.read).endswith(b"\r\n\r\n"):
            pass
        for record in ANSWER:
            do(tls.write, record)
        do(tls.read)  # until the client goes


@pytest.fixture
def origin(certificate):
    """An `Origin`; all connections to it are closed at the end."""
    origin = Origin(certificate.server_context())
    with ScriptedServer(origin) as server:
        origin.port = server.port
        origin.descriptors = open_descriptors()
        yield origin
        origin.begin()


@pytest.fixture
def conn(origin, trusting, monkeypatch):
    """A connection through the tunnel; the name of the proxy is looked up."""
    # Wait for the connection on loopback too.
    monkeypatch.setattr(connecting, "CONNECTS_TWICE", False)
    with HTTPConnection("localhost", 443, trusting, ("localhost", origin.port), timeout=20) as conn:
        yield conn


class Talk:
    """The conversation, step by step.

    Attributes:
        waits: how many there were.
        make: begins the present call.
        operation: the present call.

    """

    def __init__(self, conn, origin):
        origin.begin()
        self.conn = conn
        self.origin = origin
        self.waits = 0

    def run(self, at=0, happen=None):
        """Go on to the end and return what was heard; at the at-th wait something happens."""
        conn = self.conn
        self.call(conn.co_connect, at, happen)
        self.call(partial(conn.co_send_request, "GET", "/"), at, happen)
        response = self.call(conn.co_read_response, at, happen)
        body = self.call(conn.co_readall, at, happen)
        return response.status, len(response.informational), body, response.trailers.items()

    def call(self, make, at, happen):
        """Make one call; if it is given up, make it again."""
        self.make = make
        while True:
            self.operation = make()
            try:
                while True:
                    need = next(self.operation)
                    self.waits += 1
                    assert self.waits < MOST
                    if self.waits == at and happen(self):
                        break
                    self.origin.pace.allow()
                    assert need.poll(30)
            except StopIteration as end:
                return end.value

    def connecting(self):
        """Say whether there is no connection yet."""
        return self.make == self.conn.co_connect

    def check_closed(self):
        """Check that nothing is left of the connection, on neither side."""
        self.origin.begin()
        assert self.conn.get_ssl_cipher() is None
        assert not self.conn.response_pending()
        wait_until(lambda: open_descriptors() <= self.origin.descriptors)


HEARD = (200, 1, b"hello world", [("X", "y")])


def close(talk):
    talk.operation.close()
    if talk.connecting():
        talk.check_closed()
    return True


def throw(exception, talk):
    with pytest.raises(exception):
        talk.operation.throw(exception("from outside"))
    if talk.connecting():
        talk.check_closed()
    return True


def resume(talk):
    """Resume for nothing; the call may end if something has arrived all the same."""
    for _ in range(3):
        next(talk.operation)


def cut(talk):
    talk.origin.pace.cut()


INTERRUPTIONS = {
    "close": [close],
    "throw": [partial(throw, ConnectionTimedOut), partial(throw, KeyboardInterrupt)],  # by turns
    "time-out": [partial(throw, ConnectionTimedOut)],
    "signal": [partial(throw, KeyboardInterrupt)],
    "resume": [resume],
}


@pytest.mark.examples
@pytest.mark.parametrize(
    "what",
    [
        *("close", "throw", "resume"),
        *(pytest.param(name, marks=pytest.mark.slow) for name in ("time-out", "signal")),
    ],
)
def test_interrupted_at_any_wait(conn, origin, what):
    """Connecting begins anew, reading goes on; no descriptor is left after either."""
    whole = Talk(conn, origin)
    assert whole.run() == HEARD
    conn.reset()
    for at in some_of(range(1, whole.waits + 1)):
        talk = Talk(conn, origin)
        assert talk.run(at, INTERRUPTIONS[what][at % len(INTERRUPTIONS[what])]) == HEARD
        assert not conn.response_pending()
        conn.reset()
        talk.check_closed()
    assert whole.waits > 40


@pytest.mark.examples
def test_given_up_at_any_wait_and_reset(conn, origin):
    """After a reset the next request has nothing to do with the one that was given up."""
    whole = Talk(conn, origin)
    assert whole.run() == HEARD
    conn.reset()

    class GivenUp(Exception):
        pass

    def give_up(talk):
        talk.operation.close()
        raise GivenUp

    for at in some_of(range(1, whole.waits + 1)):
        talk = Talk(conn, origin)
        with contextlib.suppress(GivenUp):
            talk.run(at, give_up)
        conn.reset()
        talk.check_closed()
    assert Talk(conn, origin).run() == HEARD


def test_connection_lost_at_any_wait(conn, origin):
    """It is an error, and what is left of the connection goes without a reset."""
    whole = Talk(conn, origin)
    assert whole.run() == HEARD
    conn.reset()
    lost = 0
    for at in range(1, whole.waits + 1):
        talk = Talk(conn, origin)
        try:
            assert talk.run(at, cut) == HEARD  # all had been sent already
        except DugongError as exc:
            lost += 1
            assert exc.retryable
            if not talk.connecting():
                conn.reset()
            talk.check_closed()
        else:
            conn.reset()
    assert lost > 40
    assert Talk(conn, origin).run() == HEARD
