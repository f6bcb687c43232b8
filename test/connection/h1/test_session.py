"""A session ends with its connection, and what a child process does with one it inherits."""

import gc
import subprocess
import sys

import pytest
from kit.support import ROOT, ScriptedServer, read_head

from dugong_like import HTTPConnection
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
