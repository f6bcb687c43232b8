"""Unmodified httpx and requests on this library, by way of the programs in contrib/."""

import asyncio
import gzip
import hashlib
import importlib.util
import io
import json
import socket
import sys
from pathlib import Path

import httpx
import pytest
import requests
from support import ScriptedServer, pattern, read_exactly, read_head

CONTRIB = Path(__file__).resolve().parent.parent / "contrib"
SIZE = 300_000


def program(name):
    spec = importlib.util.spec_from_file_location(name, CONTRIB / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


httpx_transport = program("httpx_transport")
requests_adapter = program("requests_adapter")


class Async:
    """`httpx.AsyncClient` with the methods of `httpx.Client`."""

    def __init__(self, context, options):
        self._options = {"transport": httpx_transport.AsyncTransport(verify=context), **options}
        self._runner = asyncio.Runner()
        self._client = httpx.AsyncClient(**self._options)
        self.cookies = self._client.cookies

    def request(self, method, url, **options):
        if isinstance(options.get("content"), list):
            options["content"] = self._pieces(options["content"])
        return self._runner.run(self._client.request(method, url, **options))

    async def _pieces(self, pieces):
        for piece in pieces:
            yield piece

    def get(self, url, **options):
        return self.request("GET", url, **options)

    def close(self):
        self._runner.run(self._client.aclose())
        self._runner.close()


@pytest.fixture(params=["httpx", "httpx-async"])
def make(request, trusting):
    """A function that makes a client of httpx."""
    made = []

    def make(**options):
        if request.param == "httpx":
            client = httpx.Client(
                transport=httpx_transport.Transport(verify=trusting), trust_env=False, **options
            )
        else:
            client = Async(trusting, {"trust_env": False, **options})
        made.append(client)
        return client

    yield make
    for client in made:
        client.close()


@pytest.fixture
def session(ca_file):
    with requests.Session() as session:
        session.trust_env = False
        session.verify = str(ca_file)
        for scheme in ("http://", "https://"):
            session.mount(scheme, requests_adapter.Adapter())
        yield session


def wandering(sock):
    """Redirect, set cookies, compress, refuse, and end too early."""
    while head := read_head(sock):
        path = head.split()[1]
        if path == b"/start":
            sock.sendall(
                b"HTTP/1.1 302 Found\r\nLocation: /end\r\nSet-Cookie: a=b\r\n"
                b"Set-Cookie: c=d\r\nContent-Length: 0\r\n\r\n"
            )
        elif path == b"/end":
            seen = b"a=b" in head and b"c=d" in head
            sock.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n%d" % seen)
        elif path == b"/gzip":
            body = gzip.compress(b"hello" * 100)
            sock.sendall(
                b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: %d\r\n\r\n%s"
                % (len(body), body)
            )
        elif path == b"/refuse":
            read_exactly(sock, 10)
            sock.sendall(b"HTTP/1.1 413 No\r\nContent-Length: 2\r\n\r\nno")
        elif path == b"/short":
            sock.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhello")
            return
        elif path == b"/junk":
            sock.sendall(b"junk\r\n\r\n")
            return
        else:  # /silent
            sock.recv(1)


@pytest.mark.parametrize("tls", [False, True], ids=["http", "https"])
def test_httpx_requests_and_bodies(make, start, tls):
    server = start("granian", tls=tls)
    base = f"{'https' if tls else 'http'}://localhost:{server.port}"
    client = make()

    response = client.get(f"{base}/bytes/{SIZE}")
    assert (response.status_code, response.http_version) == (200, "HTTP/1.1")
    assert response.content == pattern(SIZE)
    assert client.get(f"{base}/chunked/{SIZE}").content == pattern(SIZE)
    assert client.request("HEAD", f"{base}/bytes/5").headers["content-length"] == "5"
    for content in (pattern(SIZE), [pattern(SIZE)[:1000], pattern(SIZE)[1000:]]):
        seen = client.request("PUT", f"{base}/upload", content=content).json()
        assert seen["sha256"] == hashlib.sha256(pattern(SIZE)).hexdigest()


def test_httpx_follows_redirects_with_cookies_and_decodes(make):
    with ScriptedServer(wandering) as server:
        client = make(follow_redirects=True)
        base = f"http://127.0.0.1:{server.port}"
        response = client.get(f"{base}/start")
        assert (response.text, len(response.history)) == ("1", 1)
        assert dict(client.cookies) == {"a": "b", "c": "d"}
        assert client.get(f"{base}/gzip").text == "hello" * 100
        assert server.connections == 1


def test_httpx_gets_the_answer_to_an_upload_that_is_refused(make):
    with ScriptedServer(wandering) as server:
        response = make().request(
            "PUT", f"http://127.0.0.1:{server.port}/refuse", content=[bytes(1 << 20)] * 50
        )
        assert (response.status_code, response.text) == (413, "no")


@pytest.mark.parametrize(
    ("path", "error"),
    [
        ("/silent", httpx.ReadTimeout),
        ("/short", httpx.RemoteProtocolError),
        ("/junk", httpx.RemoteProtocolError),
    ],
)
def test_httpx_gets_its_own_errors(make, path, error):
    with ScriptedServer(wandering) as server:
        client = make(timeout=0.3)
        with pytest.raises(error):
            client.get(f"http://127.0.0.1:{server.port}{path}")


def test_httpx_cannot_connect(make):
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        with pytest.raises(httpx.ConnectError):
            make().get(f"http://127.0.0.1:{unused.getsockname()[1]}/")
    with pytest.raises(httpx.UnsupportedProtocol):
        make().get("ftp://127.0.0.1/")


def test_httpx_streams_and_gives_up_in_the_middle(start):
    server = start("granian")
    with httpx.Client(transport=httpx_transport.Transport(), trust_env=False) as client:
        url = f"http://127.0.0.1:{server.port}/bytes/{SIZE}"
        with client.stream("GET", url) as response:
            assert next(response.iter_bytes(1000)) == pattern(1000)
        assert client.get(url).content == pattern(SIZE)


@pytest.mark.parametrize("tls", [False, True], ids=["http", "https"])
def test_requests_and_bodies_with_requests(session, start, tls):
    server = start("granian", tls=tls)
    base = f"{'https' if tls else 'http'}://localhost:{server.port}"

    response = session.get(f"{base}/bytes/{SIZE}")
    assert (response.status_code, response.reason, response.content) == (200, "OK", pattern(SIZE))
    assert session.get(f"{base}/chunked/{SIZE}").content == pattern(SIZE)
    assert session.head(f"{base}/bytes/5").headers["content-length"] == "5"
    wanted = hashlib.sha256(pattern(SIZE)).hexdigest()
    for data in (pattern(SIZE), io.BytesIO(pattern(SIZE)), iter([pattern(SIZE)])):
        assert session.put(f"{base}/upload", data=data).json()["sha256"] == wanted
    with session.get(f"{base}/bytes/{SIZE}", stream=True) as response:
        assert next(response.iter_content(1000)) == pattern(1000)
    assert session.put(f"{base}/upload", data={"a": "b"}).json()["length"] == 3


def test_requests_follows_redirects_with_cookies_and_decodes(session):
    with ScriptedServer(wandering) as server:
        base = f"http://127.0.0.1:{server.port}"
        response = session.get(f"{base}/start")
        assert (response.text, len(response.history)) == ("1", 1)
        assert session.cookies.get_dict() == {"a": "b", "c": "d"}
        assert session.get(f"{base}/gzip").text == "hello" * 100
        assert session.put(f"{base}/refuse", data=iter([bytes(1 << 20)] * 50)).status_code == 413


@pytest.mark.parametrize(
    ("path", "error"),
    [
        ("/silent", requests.exceptions.ReadTimeout),
        ("/short", requests.exceptions.ChunkedEncodingError),
        ("/junk", requests.exceptions.ConnectionError),
    ],
)
def test_requests_gets_its_own_errors(session, path, error):
    with ScriptedServer(wandering) as server, pytest.raises(error):
        session.get(f"http://127.0.0.1:{server.port}{path}", timeout=0.3)


def test_requests_cannot_connect(session, issue):
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        with pytest.raises(requests.exceptions.ConnectionError):
            session.get(f"http://127.0.0.1:{unused.getsockname()[1]}/")
    certificate = issue("other.test")
    with ScriptedServer(wandering, certificate.server_context()) as server:
        url = f"https://127.0.0.1:{server.port}/end"
        with pytest.raises(requests.exceptions.SSLError):
            session.get(url)
        assert session.get(url, verify=False).text == "0"


def test_requests_goes_through_a_proxy(session, start, proxy):
    server = start("granian")
    proxies = {"http": f"http://127.0.0.1:{proxy.port}"}
    response = session.get(f"http://127.0.0.1:{server.port}/bytes/1000", proxies=proxies)
    assert response.content == pattern(1000)
    assert json.dumps(response.headers["Content-Length"]) == '"1000"'
