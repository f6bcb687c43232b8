"""A session ends with its connection, and what a child process does with one it inherits."""

import gc
import subprocess
import sys

import pytest
from kit.streams import END, ScriptedStream, connection
from kit.support import ROOT, ScriptedServer, read_head

from dugong_like import ConnectionClosed, HTTPConnection
from dugong_like.transport.exclusive import _open as inheritable


def test_connections_that_nobody_has_any_more_are_forgotten():
    gc.collect()  # or what other tests have left might go in between
    with ScriptedServer(lambda sock: sock.recv(1)) as server:
        before = set(inheritable)  # others may go meanwhile
        conn = HTTPConnection("127.0.0.1", server.port)
        conn.connect()
        assert len(inheritable - before) == 1
        del conn
        assert inheritable <= before


FORKED = """
import os, sys
from dugong_like import HTTPConnection
from dugong_like.transport.tls.contexts import default_ssl_context
port, tls = int(sys.argv[1]), sys.argv[2] == "tls"
conn = HTTPConnection("localhost", port, default_ssl_context() if tls else None, timeout=10)
conn.send_request("GET", "/parent")
child = os.fork()
if child == 0:
    assert not conn.response_pending()
    conn.disconnect()  # must not be heard by the server
    conn.send_request("GET", "/child")  # on a connection of its own
    conn.read_response()
    assert conn.readall() == b"/child", "child"
    conn.close()
    os._exit(0)
assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
for path in ("/parent", "/again"):
    conn.read_response()
    assert conn.readall().decode() == path, path
    if path == "/parent":
        conn.send_request("GET", "/again")
conn.close()
"""


@pytest.mark.skipif(not hasattr(__import__("os"), "fork"), reason="needs fork()")
@pytest.mark.parametrize("kind", ["plain", "tls"])
def test_connection_stays_with_the_parent(kind, certificate, ca_file):
    seen = []

    def echo(sock):
        paths = []
        seen.append(paths)
        while head := read_head(sock):
            path = head.split()[1]
            paths.append(path)
            sock.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(path), path))

    context = certificate.server_context() if kind == "tls" else None
    with ScriptedServer(echo, context) as server:
        done = subprocess.run(
            [sys.executable, "-c", FORKED, str(server.port), kind],
            capture_output=True, text=True, timeout=30, check=False,
            env={"PYTHONPATH": str(ROOT), "SSL_CERT_FILE": str(ca_file)},
        )  # fmt: skip

        assert done.returncode == 0, done.stderr
        assert sorted(seen) == [[b"/child"], [b"/parent", b"/again"]]


# ---- closing under operations


@pytest.mark.parametrize("end", [HTTPConnection.reset, HTTPConnection.disconnect])
def test_operation_that_waits_while_the_connection_is_dropped_ends(monkeypatch, end):
    streams = [ScriptedStream(), ScriptedStream()]
    conn = connection(monkeypatch, *streams)
    conn.send_request("GET", "/past")
    reading = conn.co_read_response()
    next(reading)
    end(conn)
    conn.send_request("GET", "/present")
    present = conn.co_read_response()
    next(present)
    with pytest.raises(ConnectionClosed, match="closed meanwhile"):
        next(reading)
    next(present)  # untouched
    assert conn.response_pending()


@pytest.mark.parametrize("first", ["reader", "writer"])
def test_connection_that_was_dropped_is_closed_by_who_leaves_it_last(monkeypatch, first):
    stream = ScriptedStream()
    conn = connection(monkeypatch, stream)
    conn.send_request("GET", "/1")
    stream.rooms = [10, None]
    operations = {"reader": conn.co_read_response(), "writer": conn.co_send_request("GET", "/2")}
    next(operations["writer"])
    next(operations["reader"])
    conn.disconnect()
    kept = []
    for name in sorted(operations, key=lambda name: name != first):
        assert not stream.closed
        with pytest.raises(ConnectionClosed, match="closed meanwhile") as caught:
            next(operations[name])
        kept.append(caught)
    assert stream.closed  # and not when the last exception has gone


def test_connection_that_was_dropped_is_closed_if_its_operation_ends_well(monkeypatch):
    stream = ScriptedStream([b"HTTP/1.1 103 Early\r\n\r\nHTTP/1.1 204 No\r\n\r\n"])
    conn = connection(monkeypatch, stream, on_informational=lambda response: conn.disconnect())
    conn.send_request("GET", "/")
    assert conn.read_response().status == 204
    assert stream.closed


def test_connection_that_was_dropped_inside_an_operation_that_ends_well(monkeypatch):
    def send_and_drop(parts):
        count = ScriptedStream.send(stream, parts)
        conn.disconnect()
        return count

    stream = ScriptedStream()
    conn = connection(monkeypatch, stream)
    conn.send_request("GET", "/1")
    reading = conn.co_read_response()
    next(reading)
    stream.send = send_and_drop
    conn.send_request("GET", "/2")
    assert not stream.closed
    with pytest.raises(ConnectionClosed) as kept:
        next(reading)
    assert stream.closed
    assert kept.tb is not None


def test_connection_that_is_dropped_when_it_fails_is_closed(monkeypatch):
    stream = ScriptedStream([END])
    conn = connection(monkeypatch, stream)
    conn.send_request("GET", "/")
    conn._session.shared.when_ended(conn.disconnect)
    with pytest.raises(ConnectionClosed) as kept:
        conn.read_response()
    assert stream.closed
    assert kept.tb is not None


def test_what_closing_raises_is_not_the_error_of_the_operation(monkeypatch, capsys):
    def close():
        raise OSError("the disk is full")

    stream = ScriptedStream()
    conn = connection(monkeypatch, stream)
    conn.send_request("GET", "/")
    reading = conn.co_read_response()
    next(reading)
    stream.close = close
    conn.disconnect()
    with pytest.raises(ConnectionClosed, match="closed meanwhile"):
        next(reading)
    assert capsys.readouterr().err.endswith("OSError: the disk is full\n")


def test_writer_that_waits_while_the_connection_is_dropped_writes_nothing_to_the_next(monkeypatch):
    streams = [ScriptedStream(rooms=[10, None]), ScriptedStream()]
    conn = connection(monkeypatch, *streams)
    writing = conn.co_send_request("GET", "/past")
    next(writing)
    conn.reset()
    conn.send_request("GET", "/present")
    with pytest.raises(ConnectionClosed, match="closed meanwhile"):
        next(writing)
    assert b"past" not in streams[1].sent
    streams[1].incoming.append(b"HTTP/1.1 204 No\r\n\r\n")
    assert conn.read_response().path == "/present"
    conn.send_request("GET", "/again")
    assert b"/again" in streams[1].sent
