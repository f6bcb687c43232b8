"""What the halves share: roles, and what a child process does with a connection it inherits."""

import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from support import ScriptedServer, read_head

from dugong_like import ConnectionClosed, InvalidResponse, StateError
from dugong_like.connect import Route
from dugong_like.http1.limits import Limits
from dugong_like.http1.states import Link
from dugong_like.link import Role, SharedLink
from dugong_like.polling import run

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture
def link():
    with ScriptedServer(lambda sock: sock.recv(1)) as server:
        link = SharedLink(Route("127.0.0.1", server.port, None, None, Limits()), timeout=10)
        yield link
        link.drop()


def test_stream_is_there_while_the_connection_is(link):
    with pytest.raises(ConnectionClosed, match="is closed"):
        link.stream
    run(link.co_open())
    assert link.stream is link.raw_stream
    link.spend()
    assert link.stream is link.raw_stream
    assert link.state is Link.SPENT
    link.drop()
    assert link.raw_stream is None


def test_broken_connection_says_why_until_it_is_dropped(link):
    run(link.co_open())
    link.fail(InvalidResponse("first"))
    link.fail(InvalidResponse("second"))

    with pytest.raises(ConnectionClosed, match=r"until reset\(\) is called: first") as failure:
        link.stream
    assert isinstance(failure.value.__cause__, InvalidResponse)
    assert link.raw_stream is not None
    link.drop()
    link.fail(InvalidResponse("of an operation that ends late"))
    assert link.state is Link.CLOSED
    run(link.co_open())
    assert link.stream is link.raw_stream


def test_closed_connection_cannot_be_spent(link):
    link.spend()

    assert link.state is Link.CLOSED


def test_role_is_for_one_at_a_time(link):
    role = Role(link, "reading")
    with role:
        assert role.is_taken()
        for _ in range(2):
            assert not role.try_take()
        with pytest.raises(StateError, match="another operation is reading"):
            with role:
                pass
    assert not role.is_taken()
    assert role.try_take()
    role.give_back()


def test_operation_that_begins_during_a_look_waits_for_its_end(link):
    role = Role(link, "reading")

    def read():
        with role:
            return "read"

    with ThreadPoolExecutor(1) as pool:
        assert role.try_take()
        reading = pool.submit(read)
        time.sleep(0.05)
        assert not reading.done()
        role.give_back()
        assert reading.result(5) == "read"


def test_operation_inside_a_look_is_refused_as_it_would_wait_for_itself(link):
    role = Role(link, "reading")
    assert role.try_take()
    with pytest.raises(StateError, match="another operation is reading"):
        with role:
            pass
    role.give_back()
    with role:
        pass


def test_fatal_errors_break_the_connection_and_others_do_not(link):
    role = Role(link, "reading", fatal=(InvalidResponse,))
    run(link.co_open())
    for error in (StateError("a"), GeneratorExit()):
        with pytest.raises(type(error)):
            with role:
                raise error
    assert link.state is Link.OPEN
    with pytest.raises(InvalidResponse):
        with role:
            raise InvalidResponse("b")
    assert link.state is Link.BROKEN


def test_disowned_operation_breaks_nothing_and_the_next_one_does(link):
    role = Role(link, "reading", fatal=(InvalidResponse,))
    run(link.co_open())
    role.disown()  # nobody has it: nothing is disowned
    with pytest.raises(InvalidResponse):
        with role:
            role.disown()
            raise InvalidResponse("about a connection of the past")
    assert link.state is Link.OPEN
    with pytest.raises(InvalidResponse):
        with role:
            raise InvalidResponse("about the present one")
    assert link.state is Link.BROKEN


FORKED = """
import os, sys
from dugong_like import HTTPConnection
from dugong_like.transport.tls import default_ssl_context
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
        assert seen == [[b"/parent", b"/again"], [b"/child"]]
