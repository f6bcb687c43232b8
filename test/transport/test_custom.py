"""A transport of a user's own, over real sockets: everything works above it."""

import socket

import pytest
from kit.every_driver import DRIVERS, co_conversation
from kit.support import ScriptedServer, answering, pattern, wait_until

from dugong_like import (
    POLLIN,
    POLLOUT,
    BaseStream,
    CertificateInvalid,
    ConnectFailed,
    ConnectionClosed,
    ConnectionTimedOut,
    HTTPConnection,
    InvalidOption,
    PollNeeded,
    SocketOptions,
    StateError,
    Timeouts,
    Wake,
    run,
)

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"


class Plain(BaseStream):
    """As little as is needed: a socket, and a second descriptor for the sender."""

    def __init__(self, sock):
        sock.setblocking(False)
        self._sock = sock
        self._sender = sock.dup()
        self.fd = sock.fileno()

    def recv_into(self, buffer):
        self.waiting = False
        try:
            return self._sock.recv_into(buffer)
        except BlockingIOError:
            return None
        except OSError as exc:
            raise ConnectionClosed(f"lost: {exc}") from exc

    def send(self, parts):
        try:
            return self._sock.sendmsg(parts)
        except BlockingIOError:
            return None
        except OSError as exc:
            raise ConnectionClosed(f"lost: {exc}", request_sent="maybe") from exc

    def wanted_by_recv(self, deadline):
        self.waiting = True
        return PollNeeded(self._sock.fileno(), POLLIN, deadline)

    def wanted_by_send(self, deadline, *, watch=False):
        mask = POLLOUT | POLLIN if watch else POLLOUT
        return PollNeeded(self._sender.fileno(), mask, deadline)

    def close(self):
        self._sock.close()
        self._sender.close()


class Mine:
    """Leads to one place, whatever is asked for."""

    def __init__(self, *address):
        self._address = address
        self.asked = []
        self.closed = False

    def co_connect_tcp(self, host, port):
        yield from ()
        self.asked.append((host, port))
        return Plain(socket.create_connection(self._address))

    def co_connect_unix(self, path):
        with Wake() as wake:
            try:
                yield from wake.co_wait()
            finally:
                self.closed = True


@pytest.mark.feature("C35")
@pytest.mark.parametrize("tls", [False, True], ids=["http", "https"])
@pytest.mark.parametrize("driver", DRIVERS)
def test_conversation_under_every_driver(driver, tls, start, trusting):
    server = start("granian", tls=tls)
    transport = Mine(server.host, server.port)
    context = trusting if tls else None
    with HTTPConnection("localhost", 1, context, transport=transport, timeout=30) as conn:
        driver(co_conversation(conn))
        assert transport.asked[0] == ("localhost", 1)
        conn.reset()
        conn.connect()
        assert conn.get_extra_info("server_addr") is None
        assert conn.get_extra_info("is_writable") is True
        assert conn.is_open()
        if tls:
            assert conn.tls_version == "TLSv1.3"
            assert conn.get_ssl_peercert() is not None
    assert not conn.is_open()


def test_certificate_is_checked_as_ever(start, trusting):
    server = start("granian", tls=True)
    transport = Mine(server.host, server.port)
    with HTTPConnection("other.test", 443, trusting, transport=transport) as conn:
        with pytest.raises(CertificateInvalid):
            conn.connect()


def test_through_a_proxy(start, proxy):
    server = start("granian")
    transport = Mine(proxy.host, proxy.port)
    with HTTPConnection(
        server.host, server.port, proxy=("proxy.test", 3128), transport=transport
    ) as conn:
        conn.send_request("GET", "/bytes/1000")
        conn.read_response()
        assert conn.readall() == pattern(1000)
    assert transport.asked == [("proxy.test", 3128)]


def test_end_of_the_server_is_seen():
    with ScriptedServer(answering(OK)) as server:
        with HTTPConnection("h", transport=Mine("127.0.0.1", server.port)) as conn:
            for _ in range(3):
                conn.send_request("GET", "/")
                assert conn.read_response().status == 200
                conn.discard()
                wait_until(lambda: not conn.is_open())
    assert server.connections == 3


def test_connecting_that_takes_too_long_is_ended():
    transport = Mine()
    timeouts = Timeouts(connect=0.05)
    with HTTPConnection("h", uds="/x", transport=transport, timeout=timeouts) as conn:
        with pytest.raises(ConnectionTimedOut, match="no connection to"):
            conn.connect()
    assert transport.closed


def test_failures_and_a_trace_that_raises(start):
    class Failing(Mine):
        def co_connect_tcp(self, host, port):
            yield from ()
            raise ConnectFailed(f"no way to {host}")

    with HTTPConnection("h", transport=Failing()) as conn:
        with pytest.raises(ConnectFailed, match="no way to h"):
            conn.connect()

    streams = []

    class Kept(Mine):
        def co_connect_tcp(self, host, port):
            streams.append((yield from super().co_connect_tcp(host, port)))
            return streams[0]

    def trace(event, info):
        if event == "connection.connect_tcp.complete":
            raise LookupError

    server = start("granian")
    with HTTPConnection("h", transport=Kept(server.host, server.port), trace=trace) as conn:
        with pytest.raises(LookupError):
            conn.connect()
    assert streams[0]._sock.fileno() == -1


def test_addresses_are_nothing_special(start):
    server = start("granian")
    transport = Mine(server.host, server.port)
    with HTTPConnection("192.0.2.1", transport=transport) as conn:
        conn.connect()
    assert transport.asked == [("192.0.2.1", 80)]


@pytest.mark.parametrize(
    "options",
    [
        {"socket_options": SocketOptions()},
        {"resolver": lambda host, port: []},
        {"sock": "a socket"},
    ],
)
def test_what_would_mean_nothing_is_refused(options):
    with pytest.raises((InvalidOption, TypeError), match="would mean nothing|sock is"):
        HTTPConnection("h", transport=Mine(), **options)


@pytest.mark.parametrize("wrong", [object(), 5, "x", lambda: None])
def test_transport_has_two_operations(wrong):
    with pytest.raises(TypeError, match="transport has co_connect_tcp"):
        HTTPConnection("h", transport=wrong)


def test_base_says_what_is_missing():
    stream = BaseStream()
    for call in (
        lambda: stream.recv_into(memoryview(bytearray(1))),
        lambda: stream.recv(1),
        lambda: stream.send([b"x"]),
        lambda: stream.wanted_by_recv(None),
        lambda: stream.wanted_by_send(None),
        stream.close,
    ):
        with pytest.raises(NotImplementedError):
            call()
    with pytest.raises(StateError, match="as a whole"):
        stream.end_sending()
    with pytest.raises(OSError, match="no socket"):
        stream.sock
    assert (stream.tls, stream.bulk, stream.buffered) == (None, None, False)
    for call in (
        stream.quick_ack,
        stream.shut_down,
        stream.shut_down_writing,
        stream.send_end_of_stream,
    ):
        assert call() is None


def test_base_follows_from_the_rest():
    here, there = socket.socketpair()
    stream = Plain(here)
    try:
        assert stream.recv_would_block()
        assert stream.is_idle()
        assert not stream.waiting
        assert stream.recv(5) is None
        assert not stream.wait_to_recv(0)
        assert stream.waiting
        there.sendall(b"hello")
        assert stream.wait_to_recv(30)
        assert not stream.recv_would_block()
        assert stream.waiting
        assert stream.recv(3) == b"hel"
        stream.buffered = True
        assert not stream.is_idle()
    finally:
        stream.close()
        there.close()


def test_operations_run_by_hand():
    with ScriptedServer(answering(OK)) as server:
        conn = HTTPConnection("h", transport=Mine("127.0.0.1", server.port))
        run(conn.co_send_request("GET", "/"))
        assert run(conn.co_read_response()).status == 200
        conn.close()
