"""contrib/examples/websocket.py against a server made of wsproto, under each driver."""

import os
import subprocess
import sys

import pytest
from kit import servers
from kit.cases import rest_slow
from kit.echo import echo
from kit.support import ROOT, ScriptedServer

from contrib.examples.websocket import co_open, co_talk, run_on
from dugong_like import HTTPConnection

pytestmark = pytest.mark.timeout(600)

DRIVERS = ["blocking", "asyncio", "trio", "loop"]
LINES = ["hello", "", "grüße", "x" * 200_000, "bye"]


@pytest.fixture(params=[False, True], ids=["ws", "wss"])
def connect(request, certificate, trusting):
    with ScriptedServer(echo, certificate.server_context() if request.param else None) as server:
        context = trusting if request.param else None
        yield lambda: HTTPConnection("localhost", server.port, context, timeout=30)


@pytest.mark.parametrize("driver", DRIVERS)
def test_echo(connect, driver):
    answers = []

    assert run_on(driver, co_talk(connect(), "/", LINES, answers.append)) == len(LINES)
    assert answers == LINES


@pytest.fixture(scope="module", params=[False, True], ids=["ws", "wss"])
def uvicorn(request, tmp_path_factory, certificate):
    """uvicorn, which has wsproto as well; one for all tests, as it takes long to start."""
    folder = tmp_path_factory.mktemp("websocket")
    used = certificate if request.param else None
    with servers.uvicorn(folder, "h11", used, ws="wsproto") as server:
        yield server


@pytest.mark.feature("C20")
@pytest.mark.real("websocket")
@pytest.mark.parametrize("driver", DRIVERS)
def test_echo_of_a_real_server(uvicorn, trusting, driver):
    context = trusting if uvicorn.tls else None
    conn = HTTPConnection("localhost", uvicorn.port, context, timeout=30)
    answers = []

    assert run_on(driver, co_talk(conn, "/echo", LINES, answers.append)) == len(LINES)
    assert answers == LINES


@pytest.mark.parametrize("driver", DRIVERS)
def test_a_message_behind_the_head_is_not_lost(connect, driver):
    def co_greet():
        with connect() as conn:
            socket = yield from co_open(conn, "/greet")
            yield from socket.co_send(b"\0\1")
            got = [(yield from socket.co_receive()), (yield from socket.co_receive())]
            yield from socket.co_close()
            return got

    assert run_on(driver, co_greet()) == ["welcome", b"\0\1"]


@pytest.mark.parametrize("driver", rest_slow(1, DRIVERS))
def test_the_program(certificate, ca_file, driver):
    for tls in (None, certificate.server_context()):
        with ScriptedServer(echo, tls) as server:
            scheme = "wss" if tls else "ws"
            url = f"{scheme}://localhost:{server.port}"
            results = [
                subprocess.run(
                    [sys.executable, str(ROOT / "contrib/examples/websocket.py"), url + path,
                     "--driver", driver],
                    input="one\ntwo\n", capture_output=True, text=True, timeout=580, check=False,
                    env={**os.environ, "PYTHONPATH": str(ROOT), "SSL_CERT_FILE": str(ca_file)},
                )
                for path in ("/?x", "/no")
            ]  # fmt: skip
        assert (results[0].returncode, results[0].stdout) == (0, "one\ntwo\n"), results[0].stderr
        assert (results[1].returncode, results[1].stdout) == (1, "")
        assert results[1].stderr == "websocket: no WebSocket: 403 \n"
