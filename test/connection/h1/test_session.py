"""What the halves share, and what a child process does with a connection it inherits."""

import subprocess
import sys

import pytest
from kit.support import ROOT, ScriptedServer, read_head

from dugong_like import ConnectionClosed, HTTPConnection, InvalidResponse
from dugong_like.connection.connection import finish
from dugong_like.connection.exchange import Exchange
from dugong_like.connection.h1.session import SharedLink
from dugong_like.connection.h1.session import _open as inheritable
from dugong_like.connection.h1.states import Link
from dugong_like.http.h1.limits import Limits
from dugong_like.transport.connect.route import Route


@pytest.fixture
def link():
    with ScriptedServer(lambda sock: sock.recv(1)) as server:
        link = SharedLink(Route("127.0.0.1", server.port, None, None, Limits()), timeout=10)
        yield link
        link.drop()


def test_stream_is_there_while_the_connection_is(link):
    with pytest.raises(ConnectionClosed, match="is closed"):
        link.stream
    finish(link.open())
    assert link.stream is link.raw_stream
    link.spend()
    assert link.stream is link.raw_stream
    assert link.state is Link.SPENT
    link.drop()
    assert link.raw_stream is None


def test_broken_connection_says_why_until_it_is_dropped(link):
    finish(link.open())
    link.fail(InvalidResponse("first"))
    link.fail(InvalidResponse("second"))

    why = rf"until reset\(\) is called: {link.route.origin}: first$"
    with pytest.raises(ConnectionClosed, match=why) as failure:
        link.stream
    assert isinstance(failure.value.__cause__, InvalidResponse)
    assert link.raw_stream is not None
    link.drop()
    link.fail(InvalidResponse("of an operation that ends late"))
    assert link.state is Link.CLOSED
    finish(link.open())
    assert link.stream is link.raw_stream


def test_closed_connection_cannot_be_spent(link):
    link.spend()

    assert link.state is Link.CLOSED


def test_no_request_is_put_behind_the_last_response(link):
    finish(link.open())
    first, second, third = (Exchange("GET", path) for path in "123")
    link.pending.append(first)
    link.append(second)
    link.end_use("the first response")
    with pytest.raises(ConnectionClosed, match="takes no further request"):
        link.append(third)
    assert list(link.pending) == [second]
    with pytest.raises(ConnectionClosed, match="the first response was the last one"):
        link.check_unbroken()


def test_connection_that_comes_too_late_is_closed(link):
    finish(link.open())
    late = link.abandon()
    assert link.abandoned
    assert late.sock.fileno() >= 0
    with pytest.raises(ConnectionClosed, match="closed meanwhile"):
        link._opened(late)
    assert late.sock.fileno() == -1
    assert link.raw_stream is None
    successor = link.successor()
    finish(successor.open())
    assert successor.stream is not late
    successor.drop()


def test_connections_that_nobody_has_any_more_are_forgotten():
    with ScriptedServer(lambda sock: sock.recv(1)) as server:
        before = len(inheritable)
        conn = HTTPConnection("127.0.0.1", server.port)
        conn.connect()
        assert len(inheritable) == before + 1
        del conn
        assert len(inheritable) == before


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
