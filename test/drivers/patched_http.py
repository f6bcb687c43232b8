"""HTTP in a process that gevent has patched; test_gevent.py runs it there.

Client and server are greenlets of one thread: whatever blocks the one stops the other.
"""

import os
import socket
import tempfile

import gevent
import pytest
from gevent import monkey
from gevent.event import Event
from kit.support import ScriptedServer, answering, black_hole, pattern, read_exactly, read_head

from dugong_like import (
    BodyFollowing,
    ConnectionTimedOut,
    HTTPConnection,
    both,
    run,
)
from dugong_like.drivers import threads
from dugong_like.drivers.loopthread import LoopThread

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"
SIZE = 8_000_000  # more than the buffers of the system hold

assert monkey.is_module_patched("socket"), "run test_gevent.py"


@pytest.fixture(params=["http", "https"])
def tls(request, certificate, trusting):
    """The contexts of server and client; None without TLS."""
    if request.param == "http":
        return None, None
    return certificate.server_context(), trusting


def silent(sock):
    while sock.recv(65536):
        gevent.sleep(0)  # that of a greedy server would be the only greenlet


def upload(sock):
    assert read_head(sock).startswith(b"PUT")
    assert read_exactly(sock, SIZE) == pattern(SIZE)
    sock.sendall(OK)


def download(sock):
    read_head(sock)
    sock.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % SIZE + pattern(SIZE))


@pytest.mark.parametrize("timeout", [0.1, 0.5])
def test_time_out_of_reading(tls, timeout):
    with ScriptedServer(silent, tls[0]) as server:
        conn = HTTPConnection("localhost", server.port, tls[1], timeout=30)
        conn.send_request("GET", "/")
        conn.timeout = timeout  # not for the handshake, which takes what it takes
        with pytest.raises(ConnectionTimedOut):
            conn.read_response()
        conn.disconnect()


def test_time_out_of_writing(tls):
    go = Event()

    def deaf(sock):
        read_head(sock)
        go.wait()

    with ScriptedServer(deaf, tls[0]) as server:
        conn = HTTPConnection("localhost", server.port, tls[1], timeout=30)
        conn.send_request("PUT", "/", body=BodyFollowing(1 << 30))
        conn.timeout = 0.2  # not for the handshake, which takes what it takes
        with pytest.raises(ConnectionTimedOut):
            while True:
                conn.write(bytes(100_000))
        conn.disconnect()
        go.set()


def test_time_out_of_connecting():
    with black_hole() as (host, port):
        with pytest.raises(ConnectionTimedOut):
            HTTPConnection(host, port, timeout=0.1).connect()


@pytest.mark.parametrize("piece", [1_000_000, SIZE])
def test_upload(tls, piece):
    with ScriptedServer(upload, tls[0]) as server:
        with HTTPConnection("localhost", server.port, tls[1], timeout=30) as conn:
            conn.send_request("PUT", "/", body=BodyFollowing(SIZE))
            for start in range(0, SIZE, piece):
                conn.write(pattern(SIZE)[start : start + piece])
            assert conn.read_response().status == 200


def test_download(tls):
    with ScriptedServer(download, tls[0]) as server:
        with HTTPConnection("localhost", server.port, tls[1], timeout=30) as conn:
            conn.send_request("GET", "/")
            conn.read_response()
            assert conn.readall() == pattern(SIZE)


def test_files(tls):
    with ScriptedServer(upload, tls[0]) as server, tempfile.TemporaryFile() as file:
        file.write(pattern(SIZE))
        with HTTPConnection("localhost", server.port, tls[1], timeout=30) as conn:
            conn.send_request("PUT", "/", body=BodyFollowing(SIZE))
            assert conn.sendfile(file) == SIZE
            assert conn.read_response().status == 200
    with ScriptedServer(download, tls[0]) as server, tempfile.TemporaryFile() as file:
        with HTTPConnection("localhost", server.port, tls[1], timeout=30) as conn:
            conn.send_request("GET", "/")
            conn.read_response()
            assert conn.recv_to_file(file) == SIZE
            file.seek(0)
            assert file.read() == pattern(SIZE)


def test_many_greenlets_block_at_once(tls):
    """The server answers when all have asked."""
    asked, all_asked = [], Event()

    def handler(sock):
        asked.append(read_head(sock))
        if len(asked) == 20:
            all_asked.set()
        all_asked.wait()
        sock.sendall(OK)

    def get():
        with HTTPConnection("localhost", server.port, tls[1], timeout=60) as conn:
            conn.send_request("GET", "/")
            return conn.read_response().status

    with ScriptedServer(handler, tls[0]) as server:
        jobs = [gevent.spawn(get) for _ in range(20)]
        gevent.joinall(jobs, raise_error=True)
        assert [job.value for job in jobs] == [200] * 20


def test_one_greenlet_writes_while_another_one_reads(tls):
    """More than the buffers hold, in both directions: neither can end before the other begins."""

    def echo(sock):
        read_head(sock)
        sock.sendall(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: echo\r\n\r\n")
        left = SIZE
        while left:
            piece = sock.recv(65536)
            left -= len(piece)
            sock.sendall(piece)

    def read(stream):
        got = bytearray()
        while len(got) < SIZE:
            got += stream.read(65536)
        return got

    with ScriptedServer(echo, tls[0]) as server:
        conn = HTTPConnection("localhost", server.port, tls[1], timeout=60)
        conn.send_request("GET", "/", {"Upgrade": "echo"})
        with conn.read_response().stream as stream:
            jobs = [gevent.spawn(stream.write, pattern(SIZE)), gevent.spawn(read, stream)]
            gevent.joinall(jobs, raise_error=True)
            assert jobs[1].value == pattern(SIZE)


@pytest.mark.parametrize("way", ["threads", "LoopThread", "both"])
def test_helpers_that_are_made_of_threads(tls, way):
    def co_get(conn):
        yield from conn.co_send_request("GET", "/")
        response = yield from conn.co_read_response()
        yield from conn.co_readall()
        return response.status

    with ScriptedServer(answering(OK), tls[0]) as server:
        first, second = (
            HTTPConnection("localhost", server.port, tls[1], timeout=60) for _ in range(2)
        )
        if way == "both":
            statuses = list(run(both(co_get(first), co_get(second))))
        elif way == "threads":
            futures = [threads.submit(co_get(conn)) for conn in (first, second)]
            statuses = [future.result() for future in futures]
        else:
            with LoopThread() as thread:
                futures = [thread.submit(co_get(conn)) for conn in (first, second)]
                statuses = [future.result() for future in futures]
        assert statuses == [200, 200]
        first.disconnect()
        second.disconnect()


def test_socket_of_the_callers(tls):
    with ScriptedServer(silent, tls[0]) as server:
        sock = socket.create_connection(("127.0.0.1", server.port))
        assert sock.gettimeout() is None
        conn = HTTPConnection("localhost", server.port, tls[1], sock=sock, timeout=30)
        conn.send_request("GET", "/")
        conn.timeout = 0.2  # not for the handshake, which takes what it takes
        with pytest.raises(ConnectionTimedOut):
            conn.read_response()
        conn.disconnect()


def test_unix_domain_socket(tmp_path):
    path = os.fspath(tmp_path / "socket")
    with ScriptedServer(silent, path=path) as server:
        assert server
        conn = HTTPConnection("localhost", uds=path, timeout=30)
        conn.send_request("GET", "/")
        conn.timeout = 0.2  # not for the handshake, which takes what it takes
        with pytest.raises(ConnectionTimedOut):
            conn.read_response()
        conn.disconnect()


def test_second_of_two_addresses(tls):
    """The first one never answers."""

    def addresses(host, port):
        return [(socket.AF_INET, hole), (socket.AF_INET, ("127.0.0.1", port))]

    with black_hole() as hole, ScriptedServer(answering(OK), tls[0]) as server:
        conn = HTTPConnection("localhost", server.port, tls[1], resolver=addresses, timeout=60)
        with conn:
            conn.send_request("GET", "/")
            assert conn.read_response().status == 200


def test_proxy(tls):
    """TLS goes through the tunnel; without, the proxy forwards."""

    def proxy(sock):
        head = read_head(sock)
        if not head.startswith(b"CONNECT"):
            sock.sendall(OK)
            return
        sock.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
        with tls[0].wrap_socket(sock, server_side=True) as secured:
            read_head(secured)
            secured.sendall(OK)

    with ScriptedServer(proxy) as server:
        address = ("127.0.0.1", server.port)
        with HTTPConnection("localhost", 1, tls[1], proxy=address, timeout=30) as conn:
            conn.send_request("GET", "/")
            assert conn.read_response().status == 200


def test_name_that_is_looked_up_lets_others_run():
    beats = []

    def heart():
        while True:
            beats.append(1)
            gevent.sleep(0)

    heartbeat = gevent.spawn(heart)
    with ScriptedServer(answering(OK)) as server:
        with HTTPConnection("localhost", server.port, timeout=30) as conn:
            conn.send_request("GET", "/")
            conn.read_response()
    heartbeat.kill()
    assert len(beats) > 2
