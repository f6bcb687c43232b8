"""Authentication over connections, under several ways of waiting, by several users at once."""

import asyncio
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from kit.digest_server import DigestServer, take_apart
from kit.flows import co_authenticate, co_sender
from kit.ways import WAYS

from dugong_like import DigestAuth, HTTPConnection, NegotiateAuth, Request, run
from dugong_like.drivers import aio


@contextmanager
def serving(make):
    """Serve with the result of *make*, which is called for each connection; yield the port.

    It is a function like `DigestServer.respond`.
    """

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def setup(self):
            super().setup()
            self.respond = make()

        def do_GET(self):
            body = self.rfile.read(int(self.headers.get("content-length", 0)))
            value = self.headers.get("authorization")
            status, fields, content = self.respond(self.command, self.path, value, body)
            self.send_response(status)
            for field in (*fields, ("Content-Length", str(len(content)))):
                self.send_header(*field)
            self.end_headers()
            self.wfile.write(content)

        do_PUT = do_GET

        def log_message(self, *args):
            pass

    class Server(ThreadingHTTPServer):
        daemon_threads = True
        request_queue_size = 100

    with Server(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield server.server_port
        finally:
            server.shutdown()
            thread.join()


def co_fetch(port, auth, count=3):
    """Return the status codes of so many requests over one connection."""
    statuses = []
    with HTTPConnection("127.0.0.1", port, timeout=60) as conn:
        for number in range(count):
            url, body = f"http://127.0.0.1:{port}/a?b={number}", b"abc" if number % 2 else None
            request = Request("PUT" if body else "GET", url, body=body)
            response = yield from co_authenticate(auth, request, co_sender(conn))
            statuses.append(response.status_code)
        yield from conn.co_close()
    return statuses


@pytest.mark.feature("D11")
@pytest.mark.parametrize("drive", WAYS)
@pytest.mark.parametrize("qop", [None, "auth", "auth-int"])
def test_digest_is_the_same_whoever_waits(drive, qop):
    server = DigestServer(qop=qop, algorithm="SHA-256", uses=2)
    with serving(lambda: server.respond) as port:
        auth = DigestAuth("me", "sesame", mutual=True)
        assert drive(co_fetch(port, auth, 5)) == [200] * 5
        assert drive(co_fetch(port, DigestAuth("me", "wrong"))) == [401] * 3


@pytest.mark.parametrize("drive", WAYS)
def test_negotiate_goes_over_one_connection(drive, tmp_path, monkeypatch):
    spnego = pytest.importorskip("spnego")
    from kit.ntlm_server import NTLMServer

    file = tmp_path / "accounts"
    file.write_text("DOM:me:sesame\n")
    monkeypatch.setenv("NTLM_USER_FILE", str(file))
    assert spnego
    with serving(lambda: NTLMServer().respond) as port:
        assert drive(co_fetch(port, NegotiateAuth("DOM\\me", "sesame"))) == [200] * 3
        assert drive(co_fetch(port, NegotiateAuth("DOM\\me", "wrong"), 1)) == [401]


def test_one_object_for_threads_and_loops_at_once():
    server = DigestServer()
    auth = DigestAuth("me", "sesame")
    results = []

    async def co_all(port):
        for statuses in await asyncio.gather(
            *(aio.run(co_fetch(port, auth, 10)) for _ in range(8))
        ):
            results.append(statuses)

    with serving(lambda: server.respond) as port:
        threads = [
            threading.Thread(target=lambda: results.append(run(co_fetch(port, auth, 10))))
            for _ in range(4)
        ]
        threads += [threading.Thread(target=lambda: asyncio.run(co_all(port))) for _ in range(2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert results == [[200] * 10] * 20
    used = [(has["nonce"], has["nc"]) for has, _ in map(take_apart, server.seen)]
    assert len(set(used)) == len(used)
