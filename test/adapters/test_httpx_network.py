"""The ``network_stream`` of a response: the same with our transport as with that of httpx."""

import pytest
from kit.httpx_clients import EDITIONS, WAYS, client_of
from kit.support import ScriptedServer, pattern, read_head

SIZE = 200_000
SWITCHED = b"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: own\r\n\r\n"
TUNNEL = b"HTTP/1.1 200 Connected\r\n\r\n"
UPGRADE = {"Connection": "upgrade", "Upgrade": "own"}
FACTS = ("client_addr", "server_addr", "socket", "ssl_object", "is_readable", "unknown")

both_transports = pytest.mark.parametrize("own", [True, False], ids=["ours", "theirs"])
each_way = pytest.mark.parametrize("way", WAYS)


class Leaving:
    """A server that leaves HTTP, sends back what comes, and notes how it ends.

    Args:
        context: for TLS in what follows, or None.

    """

    def __init__(self, context=None):
        self.ends = []
        self._context = context

    def __call__(self, sock):
        head = read_head(sock)
        if not head.startswith((b"CONNECT ", b"GET /leave ")):
            sock.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok")
            return
        sock.sendall((TUNNEL if head.startswith(b"CONNECT") else SWITCHED) + b"hello")
        if self._context is not None:
            assert sock.recv(3) == b"tls"
            sock = self._context.wrap_socket(sock, server_side=True)
        with sock:
            while data := sock.recv(65536):
                sock.sendall(data)
            self.ends.append("end")


async def co_exactly(stream, wait, size):
    got = b""
    while len(got) < size:
        piece = await wait(stream.read(65536, 60))
        assert piece
        got += piece
    return got


async def co_close(stream, wait):
    if hasattr(stream, "aclose"):
        await wait(stream.aclose())
    else:
        stream.close()


@pytest.mark.feature("C2", "C17")
@each_way
@both_transports
@pytest.mark.parametrize("connect", [False, True], ids=["101", "CONNECT"])
def test_bytes_go_both_ways_until_it_is_closed(way, own, connect):
    async def co_say(response, wait):
        stream = response.extensions["network_stream"]
        assert await co_exactly(stream, wait, 5) == b"hello"
        for start in range(0, SIZE, 20_000):
            part = pattern(SIZE)[start : start + 20_000]
            await wait(stream.write(part, 60))
            assert await co_exactly(stream, wait, len(part)) == part
        assert stream.get_extra_info("server_addr")[1] == server.port
        await co_close(stream, wait)
        return response.status_code

    handler = Leaving()
    options = {"extensions": {"target": b"other.test:1"}} if connect else {"headers": UPGRADE}
    with ScriptedServer(handler) as server:
        base = f"http://127.0.0.1:{server.port}"
        client = client_of(way, own)
        try:
            method = "CONNECT" if connect else "GET"
            status = client.talk(method, f"{base}/leave", co_say, **options)
            assert client.get(f"{base}/other").content == b"ok"  # by another connection
        finally:
            client.close()
    assert status == (200 if connect else 101)
    assert handler.ends == ["end"]


@pytest.mark.feature("C17")
@each_way
@both_transports
def test_tls_is_started_in_it(way, own, certificate, trusting):
    async def co_say(response, wait):
        stream = response.extensions["network_stream"]
        assert await co_exactly(stream, wait, 5) == b"hello"
        await wait(stream.write(b"tls"))
        inner = await wait(stream.start_tls(trusting, server_hostname="localhost", timeout=60))
        await wait(inner.write(pattern(20_000)))
        assert await co_exactly(inner, wait, 20_000) == pattern(20_000)
        version = inner.get_extra_info("ssl_object").version()
        await co_close(inner, wait)
        return version

    with ScriptedServer(Leaving(certificate.server_context())) as server:
        client = client_of(way, own)
        try:
            url = f"http://127.0.0.1:{server.port}/leave"
            assert client.talk("GET", url, co_say, headers=UPGRADE) == "TLSv1.3"
        finally:
            client.close()


@pytest.mark.feature("C17")
@each_way
@pytest.mark.parametrize("tls", [False, True], ids=["http", "https"])
def test_facts_of_an_ordinary_response_are_of_the_same_kinds(way, certificate, trusting, tls):
    """Those that httpcore documents; what it does not know is None."""

    async def co_facts(response, wait):
        stream = response.extensions["network_stream"]
        facts = {name: stream.get_extra_info(name) for name in FACTS}
        assert facts["server_addr"][:2] == ("127.0.0.1", server.port)
        assert (facts["ssl_object"] is not None) == tls
        if tls:
            assert facts["ssl_object"].version() == "TLSv1.3"
        assert facts["unknown"] is None
        return {name: facts[name] is not None for name in ("client_addr", "socket", "ssl_object")}

    with ScriptedServer(Leaving(), certificate.server_context() if tls else None) as server:
        name = "https" if tls else "http"
        found = []
        for own in (True, False):
            client = client_of(way, own, {"verify": trusting})
            try:
                url = f"{name}://127.0.0.1:{server.port}/"
                found.append(client.talk("GET", url, co_facts))
            finally:
                client.close()
    assert found[0] == found[1]


@pytest.mark.feature("C17")
@each_way
def test_what_goes_wrong_is_an_error_of_httpcore(way):
    core = EDITIONS[way.partition("-")[0]][1]

    async def co_say(response, wait):
        stream = response.extensions["network_stream"]
        if response.status_code != 101:
            with pytest.raises(core.ReadError, match="HTTP is spoken"):
                await wait(stream.read(1))
            with pytest.raises(core.WriteError, match="HTTP is spoken"):
                await wait(stream.write(b"x"))
            await co_close(stream, wait)  # which does nothing
            return
        assert await co_exactly(stream, wait, 5) == b"hello"
        with pytest.raises(core.ReadTimeout):
            await wait(stream.read(1, 0.01))
        await co_close(stream, wait)
        with pytest.raises(core.ReadError):
            await wait(stream.read(1))
        with pytest.raises(core.WriteError):
            await wait(stream.write(b"x"))
        assert stream.get_extra_info("socket") is None

    with ScriptedServer(Leaving()) as server:
        client = client_of(way, True)
        try:
            base = f"http://127.0.0.1:{server.port}"
            client.talk("GET", f"{base}/leave", co_say, headers=UPGRADE)
            client.talk("GET", base, co_say)
        finally:
            client.close()
