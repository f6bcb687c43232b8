"""Signals: those that only interrupt system calls, and those that raise KeyboardInterrupt.

Every blocking call is met while it waits. Signals are sent to the main thread, where
Python handles them, whatever the other threads do.
"""

import asyncio
import contextlib
import signal
import sys
import threading
import time

import pytest
from kit.support import (
    ScriptedServer,
    answering,
    black_hole,
    open_descriptors,
    pattern,
    read_exactly,
    read_head,
    wait_until,
)

from dugong_like import BodyFollowing, ConnectionClosed, HTTPConnection
from dugong_like.drivers import aio
from dugong_like.polling import contract as polling

pytestmark = [
    pytest.mark.reliability(45),
    pytest.mark.skipif(not hasattr(signal, "pthread_kill"), reason="no signals between threads"),
]
MAIN = threading.main_thread().ident
SIGNAL = getattr(signal, "SIGUSR1", None)
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


@contextlib.contextmanager
def handler(function):
    """Have *function* called when the signal comes."""
    before = signal.signal(SIGNAL, lambda *_: function())
    try:
        yield
    finally:
        signal.signal(SIGNAL, before)


# ---- signals that do nothing

SIZE = 3_000_000
UPLOAD = pattern(SIZE)


def co_read_all(conn):
    pieces = []
    while piece := (yield from conn.co_read(200_000)):
        pieces.append(piece)
    return b"".join(pieces)


class AllCalls:
    """Makes each call once, and finds out whether the results are right."""

    def __init__(self, conn):
        self._conn = conn

    def blocking(self):
        conn = self._conn
        conn.connect()
        for read in (conn.readall, lambda: b"".join(iter(lambda: conn.read(200_000), b""))):
            conn.send_request("PUT", "/", body=UPLOAD)
            assert conn.read_response().status == 200
            assert read() == UPLOAD
        conn.send_request("PUT", "/", body=BodyFollowing(SIZE))
        conn.write(UPLOAD[:-5])
        conn.write(UPLOAD[-5:])
        assert conn.read_response().status == 200
        buffer = bytearray(SIZE)
        view = memoryview(buffer)
        while count := conn.readinto(view):
            view = view[count:]
        assert buffer == UPLOAD
        conn.send_request("PUT", "/", body=UPLOAD)
        conn.read_response()
        conn.discard()
        assert not conn.response_pending()

    def on_asyncio(self):
        asyncio.run(aio.run(self._co_all()))

    def _co_all(self):
        conn = self._conn
        yield from conn.co_connect()
        for co_read in (conn.co_readall, lambda: co_read_all(conn)):
            yield from conn.co_send_request("PUT", "/", body=UPLOAD)
            assert (yield from conn.co_read_response()).status == 200
            assert (yield from co_read()) == UPLOAD
        yield from conn.co_send_request("PUT", "/", body=BodyFollowing(SIZE))
        yield from conn.co_write(UPLOAD)
        assert (yield from conn.co_read_response()).status == 200
        yield from conn.co_discard()


def slow_tunnel(context):
    """Return a proxy, and an origin behind it, that take their time and send bodies back."""

    def serve(sock):
        read_head(sock)
        time.sleep(0.03)
        sock.sendall(b"HTTP/1.1 200 Go\r\n")
        time.sleep(0.03)
        sock.sendall(b"\r\n")
        time.sleep(0.03)
        with context.wrap_socket(sock, server_side=True) as tls:
            while read_head(tls):
                body = b""
                while len(body) < SIZE:
                    time.sleep(0.01)
                    body += read_exactly(tls, SIZE // 5)
                tls.sendall(b"HTTP/1.1 200 OK\r\nTransfer-Enco")
                time.sleep(0.01)
                tls.sendall(b"ding: chunked\r\n\r\n")
                for at in range(0, SIZE, SIZE // 3):
                    time.sleep(0.01)
                    tls.sendall(b"%x\r\n%s\r\n" % (SIZE // 3, body[at : at + SIZE // 3]))
                tls.sendall(b"0\r\n\r\n")

    return serve


@pytest.mark.parametrize("way", [AllCalls.blocking, AllCalls.on_asyncio])
def test_signals_without_meaning_change_nothing(certificate, trusting, way):
    """Hundreds of them, in each call: what a signal cuts short goes on (PEP 475)."""
    counted = []
    over = threading.Event()

    def ring():
        while not over.wait(0.001):
            signal.pthread_kill(MAIN, SIGNAL)

    ringing = threading.Thread(target=ring)
    with handler(lambda: counted.append(1)):
        with ScriptedServer(slow_tunnel(certificate.server_context())) as server:
            proxy = ("localhost", server.port)
            with HTTPConnection("localhost", 443, trusting, proxy, timeout=20) as conn:
                ringing.start()
                try:
                    way(AllCalls(conn))
                finally:
                    over.set()
                    ringing.join()
    assert len(counted) > 20  # more by far, but on a busy machine


# ---- Ctrl-C


def ctrl_c(call, *arguments):
    """Call what blocks, and have KeyboardInterrupt raised when it waits."""
    over = threading.Event()

    def ring():
        waits = 0
        while waits < 10 and not over.wait(0.002):
            frame = sys._current_frames()[MAIN]
            waits = waits + 1 if frame.f_code is polling._wait_poll.__code__ else 0
        if not over.is_set():
            signal.pthread_kill(MAIN, SIGNAL)

    def interrupt():
        if not over.is_set():
            raise KeyboardInterrupt

    ringing = threading.Thread(target=ring)
    with handler(interrupt):
        try:
            ringing.start()
            with pytest.raises(KeyboardInterrupt):
                call(*arguments)
        finally:
            over.set()
            ringing.join()


@pytest.fixture
def descriptors():
    """Look that no descriptor is left at the end."""
    before = open_descriptors()
    yield
    wait_until(lambda: open_descriptors() <= before)


@pytest.fixture
def go():
    """Servers wait for it in the middle of their first connection."""
    go = threading.Event()
    yield go
    go.set()


@pytest.mark.usefixtures("descriptors")
def test_ctrl_c_while_looking_up_leaves_it_closed(go, monkeypatch):
    from dugong_like.transport.connect import dns as resolve

    look_up = resolve.look_up

    def slow(*arguments):
        go.wait(20)
        return look_up(*arguments)

    with ScriptedServer(answering(OK)) as server:
        with HTTPConnection("localhost", server.port, timeout=20) as conn:
            monkeypatch.setattr(resolve, "look_up", slow)
            ctrl_c(conn.connect)
            go.set()
            conn.send_request("GET", "/")
            assert conn.read_response().status == 200


@pytest.mark.usefixtures("descriptors")
def test_ctrl_c_while_connecting_leaves_it_closed():
    with black_hole() as (host, port):
        before = open_descriptors()
        conn = HTTPConnection(host, port, timeout=20)
        for call, *arguments in ([conn.connect], [conn.send_request, "GET", "/"]):
            ctrl_c(call, *arguments)
            assert open_descriptors() <= before
            assert not conn.response_pending()


@pytest.mark.usefixtures("descriptors")
@pytest.mark.parametrize("where", ["tunnel", "handshake"])
def test_ctrl_c_while_the_way_is_prepared_leaves_it_closed(certificate, trusting, go, where):
    context = certificate.server_context()

    def proxy(sock):
        read_head(sock)
        if where == "tunnel":
            go.wait(20)
        sock.sendall(b"HTTP/1.1 200 Go\r\n\r\n")
        if where == "handshake":
            go.wait(20)
        with context.wrap_socket(sock, server_side=True) as tls:
            answering(OK)(tls)

    with ScriptedServer(proxy) as server:
        proxy = ("127.0.0.1", server.port)
        with HTTPConnection("localhost", 443, trusting, proxy, timeout=20) as conn:
            ctrl_c(conn.connect)
            assert conn.get_ssl_cipher() is None
            go.set()
            conn.send_request("GET", "/")
            assert conn.read_response().status == 200
            assert conn.readall() == b"ok"


HUGE = bytes(20 << 20)  # more than the system takes without anybody reading
SENDING = {
    "send_request": (None, lambda conn: conn.send_request("PUT", "/", body=HUGE)),
    "write": (BodyFollowing(len(HUGE)), lambda conn: conn.write(HUGE)),
    "write-chunked": (BodyFollowing(), lambda conn: conn.write(HUGE)),
    "finish": (BodyFollowing(), lambda conn: conn.finish({"X": "x" * len(HUGE)})),
}


@pytest.mark.usefixtures("descriptors")
@pytest.mark.parametrize("tls", [False, True], ids=["plain", "tls"])
@pytest.mark.parametrize("call", SENDING)
def test_ctrl_c_while_sending_breaks_the_connection(certificate, trusting, go, call, tls):
    def serve(sock):
        if read_head(sock).startswith(b"PUT"):
            go.wait(20)
        else:
            sock.sendall(OK)

    context = certificate.server_context() if tls else None
    with ScriptedServer(serve, context) as server:
        client = trusting if tls else None
        with HTTPConnection("127.0.0.1", server.port, client, timeout=20) as conn:
            following, send = SENDING[call]
            if following is not None:
                conn.send_request("PUT", "/", body=following)
            conn.connect()
            ctrl_c(send, conn)
            go.set()
            uses = [conn.connect, conn.read_response, conn.finish]
            for use in uses[: 2 if call == "send_request" else 3]:
                with pytest.raises(ConnectionClosed, match="until reset"):
                    use()
            conn.reset()
            assert not conn.response_pending()
            conn.send_request("GET", "/")
            assert conn.read_response().status == 200
            assert conn.readall() == b"ok"


def fill(conn):
    buffer = bytearray(5)
    return bytes(buffer[: conn.readinto(buffer)])


READING = {
    "read_response": lambda conn: conn.read_response().status,
    "read": lambda conn: conn.read(5),
    "readinto": fill,
    "readall": HTTPConnection.readall,
    "discard": HTTPConnection.discard,
}


@pytest.mark.usefixtures("descriptors")
@pytest.mark.parametrize("tls", [False, True], ids=["plain", "tls"])
@pytest.mark.parametrize("call", READING)
def test_after_ctrl_c_reading_goes_on(certificate, trusting, go, call, tls):
    """Also after the second one, and the connection is used again."""
    head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
    first = head[:20] if call == "read_response" else head + b"5\r\nhello\r\n6\r"

    def serve(sock):
        read_head(sock)
        sock.sendall(first)
        go.wait(20)
        sock.sendall((head + b"5\r\nhello\r\n6\r\n world\r\n0\r\n\r\n")[len(first) :])
        answering(OK)(sock)

    context = certificate.server_context() if tls else None
    with ScriptedServer(serve, context) as server:
        client = trusting if tls else None
        with HTTPConnection("127.0.0.1", server.port, client, timeout=20) as conn:
            conn.send_request("GET", "/")
            heard = b""
            if call != "read_response":
                conn.read_response()
            if call in {"read", "readinto"}:
                heard = READING[call](conn)  # this much is there
            for _ in range(2):
                ctrl_c(READING[call], conn)
            go.set()
            if call == "read_response":
                assert conn.read_response().status == 200
            read = READING["readall" if call == "read_response" else call]
            while piece := read(conn):
                heard += piece
            assert heard == (b"" if call == "discard" else b"hello world")
            assert conn.readall() == b""
            conn.send_request("GET", "/")
            assert conn.read_response().status == 200
            assert conn.readall() == b"ok"
        assert server.connections == 1
