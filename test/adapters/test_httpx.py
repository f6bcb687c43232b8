"""Unmodified httpx and httpx2 on this library."""

import hashlib
import re
import socket
import subprocess
import sys
import threading

import anyio
import anyio.lowlevel
import httpx
import pytest
from kit.echo import echo
from kit.httpx_clients import EDITIONS, RUNNERS, WAYS, Async, Sync
from kit.server_scripts import Recording, deaf, mute, slow, wandering
from kit.support import ScriptedServer, black_hole, pattern, read_head
from wsproto import ConnectionType
from wsproto.connection import Connection
from wsproto.events import CloseConnection, TextMessage

from dugong_like import InvalidOption
from dugong_like.adapters.httpx import LIMITED, AsyncTransport, Transport, timeouts_for

SIZE = 300_000


def test_errors_name_the_request():
    with ScriptedServer(lambda sock: read_head(sock) and sock.sendall(b"hello\r\n\r\n")) as server:
        url = f"http://127.0.0.1:{server.port}/a?b"
        named = f"GET {url}: not a status line"
        with httpx.Client(transport=Transport(), trust_env=False) as client:
            with pytest.raises(httpx.RemoteProtocolError, match=re.escape(named)) as caught:
                client.get(url.replace("//", "//me:sesame@"))
            assert "sesame" not in repr(caught.value)


class Make:
    """Makes clients of one of the two, for one way of waiting.

    Attributes:
        httpx: the module of the clients.
        httpcore: the one that it is based on.

    """

    def __init__(self, name, context):
        name, _, runner = name.partition("-")
        self.httpx, self.httpcore = EDITIONS[name]
        self._runner = RUNNERS.get(runner)
        self._context = context
        self.made = []

    def __call__(self, proxy=None, limits=None, **options):
        kind = AsyncTransport if self._runner else Transport
        transport = kind(verify=self._context, proxy=proxy, **(limits or {}))
        options |= {"transport": transport, "trust_env": False}
        if self._runner:
            client = Async(self._runner, self.httpx, **options)
        else:
            client = type("Client", (Sync, self.httpx.Client), {})(**options)
        self.made.append(client)
        return client


@pytest.fixture(params=WAYS)
def make(request, trusting):
    """What makes clients of httpx and of httpx2."""
    make = Make(request.param, trusting)
    yield make
    for client in make.made:
        client.close()


@pytest.mark.feature("A41", "C1")
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


@pytest.mark.feature("C39")
@pytest.mark.parametrize(
    ("path", "error"),
    [
        ("/silent", "ReadTimeout"),
        ("/short", "RemoteProtocolError"),
        ("/junk", "RemoteProtocolError"),
    ],
)
def test_httpx_gets_its_own_errors(make, path, error):
    with ScriptedServer(wandering) as server:
        client = make(timeout=make.httpx.Timeout(20, read=0.3 if path == "/silent" else 20))
        with pytest.raises(getattr(make.httpx, error)):
            client.get(f"http://127.0.0.1:{server.port}{path}")


@pytest.mark.feature("C39")
def test_httpx_gets_its_own_errors_while_writing(make):
    pieces = [bytes(1 << 20)] * 30
    with ScriptedServer(deaf) as server:
        with pytest.raises(make.httpx.WriteTimeout, match=r" for 0.2 s \(Timeout\(write=0.2\)\)"):
            make(timeout=make.httpx.Timeout(20, write=0.2)).request(
                "PUT", f"http://127.0.0.1:{server.port}/", content=pieces
            )
        for content in ([b"much too long"], [b"x"]):
            with pytest.raises(make.httpx.LocalProtocolError):
                make().request(
                    "PUT", f"http://127.0.0.1:{server.port}/", content=content,
                    headers={"Content-Length": "5"},
                )  # fmt: skip


def test_time_limits_are_shown_as_they_were_given():
    def shown(*arguments, **options):
        seconds = httpx.Timeout(*arguments, **options).as_dict()
        limits = timeouts_for(*(seconds[name] for name in LIMITED))
        phases = (limits.to_reach, limits.to_read, limits.to_write, limits.to_wait_for_pool)
        return [phase and phase.given for phase in phases]

    assert shown(5.0) == ["timeout=5.0"] * 4
    assert shown(5) == ["timeout=5"] * 4
    assert shown(None) == [None] * 4
    names = ["connect", "read", "write", "pool"]
    assert shown(5, read=None) == [
        f"Timeout({name}=5)" if name != "read" else None for name in names
    ]
    with pytest.raises(InvalidOption, match="-1 seconds for connect"):
        shown(-1)
    for problem in ("x", []):
        with pytest.raises(TypeError, match="^write is a number of seconds"):
            timeouts_for(1, problem, 1, 1)


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"cert": 5}, TypeError, "cert is a path, or a tuple"),
        ({"cert": tuple("abcd")}, TypeError, "cert is a path, or a tuple"),
        ({"verify": 5}, TypeError, "verify is True, False, or the path"),
        (
            {"limits": httpx.Limits(max_keepalive_connections=-1)},
            *(InvalidOption, "max_keepalive_connections cannot be -1"),
        ),
    ],
)
def test_a_wrong_argument_is_called_as_httpx_does(options, error, message):
    with pytest.raises(error, match=f"^{message}"):
        Transport(**options)


def test_text_in_a_body_is_refused_in_words_of_http(make):
    with (
        ScriptedServer(mute) as server,
        pytest.raises(TypeError, match="^a body consists of bytes"),
    ):
        make().request("POST", f"http://127.0.0.1:{server.port}/", content=["text"])


def test_httpx_connects_in_time(make):
    with black_hole() as (host, port), pytest.raises(make.httpx.ConnectTimeout):
        make(timeout=make.httpx.Timeout(20, connect=0.1)).get(f"http://{host}:{port}/")


def test_httpx_waits_for_each_phase_as_long_as_it_may(make):
    with ScriptedServer(mute) as server:
        url = f"http://127.0.0.1:{server.port}/"
        for limits, scheme, error in [
            ({"connect": 0.2}, "https", make.httpx.ConnectTimeout),
            ({"read": 0.2}, "http", make.httpx.ReadTimeout),
        ]:
            client = make(timeout=make.httpx.Timeout(**dict.fromkeys(WAITS, None) | limits))
            with pytest.raises(error):
                client.get(url.replace("http", scheme))
    with ScriptedServer(slow) as server:
        client = make(timeout=make.httpx.Timeout(None, connect=0.2, write=0.2))
        assert client.get(f"http://127.0.0.1:{server.port}/").text == "ok"


WAITS = ("connect", "read", "write", "pool")


@pytest.mark.parametrize("make", [way for way in WAYS if "-" in way], indirect=True)
def test_httpx_gives_up_a_request(make):
    asked = threading.Event()

    def handler(sock):
        asked.set()
        wandering(sock)

    async def main(client):
        async with anyio.create_task_group() as group:
            group.start_soon(client.get, f"{url}/silent")
            while not asked.is_set():  # noqa: ASYNC110 - another thread sets it
                await anyio.sleep(0.01)
            group.cancel_scope.cancel()
        return (await client.get(f"{url}/end")).text

    client = make(timeout=None)
    with ScriptedServer(handler) as server:
        url = f"http://127.0.0.1:{server.port}"
        assert client.call(main) == "0"
        assert server.connections == 2


def test_httpx_cannot_connect(make):
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        with pytest.raises(make.httpx.ConnectError):
            make().get(f"http://127.0.0.1:{unused.getsockname()[1]}/")
    with pytest.raises(make.httpx.UnsupportedProtocol):
        make().get("ftp://127.0.0.1/")


def test_httpx_streams_and_gives_up_in_the_middle(start):
    server = start("granian")
    with httpx.Client(transport=Transport(), trust_env=False) as client:
        url = f"http://127.0.0.1:{server.port}/bytes/{SIZE}"
        with client.stream("GET", url) as response:
            assert next(response.iter_bytes(1000)) == pattern(1000)
        assert client.get(url).content == pattern(SIZE)


@pytest.mark.parametrize("tls", [False, True], ids=["http", "https"])
def test_httpx_goes_through_a_proxy(make, start, proxy, tls):
    server = start("granian", tls=tls)
    client = make(proxy=f"http://127.0.0.1:{proxy.port}")
    url = f"{'https' if tls else 'http'}://localhost:{server.port}/bytes/1000"
    assert client.get(url).content == pattern(1000)
    if tls:
        with pytest.raises(make.httpx.ProxyError, match="418"):
            client.get("https://refused.test/")


# ---- the extensions of httpx


UPGRADE = {"Connection": "upgrade", "Upgrade": "echo"}


def leaving(sock):
    """Leave HTTP if asked for, with bytes behind the head; then echo, or speak TLS."""
    while head := read_head(sock):
        if head.startswith(b"CONNECT other.test:443 ") and b"\r\nHost: other.test:443\r\n" in head:
            sock.sendall(b"HTTP/1.1 200 OK\r\n\r\nhello")
        elif b"Upgrade: echo" in head:
            sock.sendall(b"HTTP/1.1 101 Go\r\nUpgrade: echo\r\nConnection: upgrade\r\n\r\nhello")
        else:
            sock.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(head), head))
            continue
        while data := sock.recv(65536):
            sock.sendall(data)
        return


@pytest.mark.feature("C2", "C17")
@pytest.mark.parametrize(
    ("method", "options"),
    [("GET", {"headers": UPGRADE}), ("CONNECT", {"extensions": {"target": b"other.test:443"}})],
    ids=["101", "CONNECT"],
)
def test_httpx_leaves_http(make, method, options):
    async def co_say(response, wait):
        stream = response.extensions["network_stream"]
        assert await wait(stream.read(5)) == b"hello"
        data, got = pattern(SIZE), b""
        for start in range(0, SIZE, 10_000):
            await wait(stream.write(data[start : start + 10_000]))
            got += await wait(stream.read(100_000, 5))
        while len(got) < SIZE:
            got += await wait(stream.read(100_000, 5))
        assert got == data
        assert stream.get_extra_info("server_addr")[1] == server.port
        with pytest.raises(make.httpcore.ReadTimeout, match=r" for 0.05 s \(timeout=0.05\)"):
            await wait(stream.read(1, 0.05))
        with pytest.raises(make.httpcore.WriteTimeout):
            await wait(stream.write(bytes(50 << 20), 0.2))
        with pytest.raises(make.httpcore.ReadError):
            await wait(stream.read(1))
        return response.status_code, stream

    with ScriptedServer(leaving) as server:
        client, url = make(timeout=20), f"http://127.0.0.1:{server.port}/"
        status, stream = client.talk(method, url, co_say, **options)
        assert status == (101 if method == "GET" else 200)
        assert stream.get_extra_info("socket") is None  # it was closed with the response
        assert client.get(url).status_code == 200


def test_httpx_knows_what_is_below_an_ordinary_response(make, start):
    server = start("granian", tls=True)

    async def co_say(response, wait):
        stream = response.extensions["network_stream"]
        assert stream.get_extra_info("server_addr")[1] == server.port
        assert stream.get_extra_info("ssl_object").version() == "TLSv1.3"
        with pytest.raises(make.httpcore.ReadError, match="HTTP is spoken"):
            await wait(stream.read(1))
        return response.status_code

    assert make().talk("GET", f"https://localhost:{server.port}/bytes/5", co_say) == 200


@pytest.mark.feature("C19")
def test_httpx_speaks_tls_through_a_real_proxy(make, start, proxy, trusting):
    """The example in httpcore's description of its extensions."""
    server = start("granian", tls=True)
    target = f"localhost:{server.port}".encode()

    async def co_say(response, wait):
        stream = response.extensions["network_stream"]
        stream = await wait(stream.start_tls(trusting, server_hostname="localhost", timeout=60))
        await wait(stream.write(b"GET /bytes/5 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"))
        got = b""
        while piece := await wait(stream.read(1000)):
            got += piece
        return got

    got = make().talk(
        "CONNECT", f"http://127.0.0.1:{proxy.port}", co_say, extensions={"target": target}
    )
    assert got.startswith(b"HTTP/1.1 200 ")
    assert got.endswith(b"\r\n\r\n" + pattern(5))


@pytest.mark.feature("C39")
@pytest.mark.parametrize("name", ["other.test", None, "a\0b"])
def test_httpx_gets_its_own_errors_of_a_handshake(make, trusting, name):
    async def co_say(response, wait):
        stream = response.extensions["network_stream"]
        assert await wait(stream.read(5)) == b"hello"
        with pytest.raises(make.httpcore.ConnectError):
            await wait(stream.start_tls(trusting, name, 5))

    with ScriptedServer(leaving) as server:
        url = f"http://127.0.0.1:{server.port}/"
        make().talk("GET", url, co_say, headers=UPGRADE)


@pytest.mark.feature("C13")
def test_httpx_sends_other_targets(make):
    with ScriptedServer(leaving) as server:
        host = f"127.0.0.1:{server.port}"
        absolute = f"http://{host}/a?b".encode()
        for method, target in [("OPTIONS", b"*"), ("GET", absolute), ("GET", b"/other")]:
            response = make().request(method, f"http://{host}/", extensions={"target": target})
            assert response.content.startswith(b"%s %s HTTP/1.1\r\n" % (method.encode(), target))
        for method, target in [("GET", "/ä".encode()), ("GET", b"*"), ("CONNECT", b"/")]:
            with pytest.raises(make.httpx.LocalProtocolError):
                make().request(method, f"http://{host}/", extensions={"target": target})


@pytest.mark.feature("C12")
def test_httpx_names_another_server(make, issue):
    context = issue("other.test").server_context()
    names = []
    context.sni_callback = lambda sock, name, context: names.append(name)
    with ScriptedServer(leaving, context) as server:
        client, url = make(), f"https://127.0.0.1:{server.port}/"
        for _ in range(2):
            assert client.get(url, extensions={"sni_hostname": "other.test"}).status_code == 200
        assert (names, server.connections) == (["other.test"], 1)
        with pytest.raises(make.httpx.ConnectError, match="certificate not accepted"):
            client.get(url)


@pytest.mark.parametrize("tls", [False, True], ids=["ws", "wss"])
def test_httpx_speaks_websocket(make, certificate, tls):
    """The other example there, with wsproto on both sides."""
    frames = Connection(ConnectionType.CLIENT)
    headers = {
        "Connection": "Upgrade",
        "Upgrade": "websocket",
        "Sec-WebSocket-Key": "AAAAAAAAAAAAAAAAAAAAAA==",
        "Sec-WebSocket-Version": "13",
    }

    async def co_say(response, wait):
        assert response.status_code == 101
        stream = response.extensions["network_stream"]
        await wait(stream.write(frames.send(TextMessage("hello, world!"))))
        while True:
            frames.receive_data(await wait(stream.read(4096, 5)))
            for event in frames.events():
                if isinstance(event, TextMessage):
                    await wait(stream.write(frames.send(CloseConnection(code=1000))))
                    return event.data

    with ScriptedServer(echo, certificate.server_context() if tls else None) as server:
        url = f"http{'s' if tls else ''}://localhost:{server.port}/"
        assert make().talk("GET", url, co_say, headers=headers) == "hello, world!"


def teller(client, events, fault=None):
    """A "trace" of the kind that httpcore wants for *client*; raises at the event *fault*."""

    def trace(event, info):
        if event == fault:
            raise ZeroDivisionError(event)
        events.append((event, info))

    async def trace_async(event, info):
        await anyio.lowlevel.checkpoint()
        trace(event, info)

    return trace if isinstance(client, Sync) else trace_async


FROM_HEAD_TO_END = [
    f"http11.{what}.{when}"
    for what in ("send_request_headers", "send_request_body", "receive_response_headers",
                 "receive_response_body", "response_closed")
    for when in ("started", "complete")
]  # fmt: skip


@pytest.mark.feature("C2")
def test_httpx_traces_each_request_by_itself(make):
    with ScriptedServer(wandering) as server:
        client, url = make(), f"http://localhost:{server.port}/end"
        first, second = [], []
        client.get(url, extensions={"trace": teller(client, first)})
        client.get(url)
        client.get(url, extensions={"trace": teller(client, second)})
        assert server.connections == 1
        client.close()

    names = [event for event, _ in first]
    assert names[:2] == ["dns.resolve.started", "dns.resolve.complete"]
    assert names[-12:] == ["connection.attempt.complete", "connection.connect_tcp.complete",
                           *FROM_HEAD_TO_END]  # fmt: skip
    assert [event for event, _ in second] == FROM_HEAD_TO_END
    assert second[5][1]["return_value"][:3] == (b"HTTP/1.1", 200, b"OK")


def test_httpx_traces_what_fails_and_the_end(make):
    with ScriptedServer(wandering) as server:
        client, events = make(), []
        with pytest.raises(make.httpx.RemoteProtocolError):
            url = f"http://127.0.0.1:{server.port}/junk"
            client.get(url, extensions={"trace": teller(client, events)})

    assert [event for event, _ in events[-2:]] == [
        "http11.receive_response_headers.failed",
        "connection.close",
    ]
    assert "junk" in str(events[-2][1]["exception"])


def test_httpx_traces_a_response_that_is_given_up(make, start):
    server, events = start("granian"), []

    async def co_say(response, wait):
        return [event for event, _ in events]

    client = make()
    url = f"http://127.0.0.1:{server.port}/bytes/{SIZE * 100}"
    names = client.talk("GET", url, co_say, extensions={"trace": teller(client, events)})
    assert names[-1] == "http11.receive_response_body.started"
    assert events[-1][0] == "connection.close"


@pytest.mark.parametrize(
    "fault",
    ["connection.connect_tcp.started", "http11.send_request_headers.complete",
     "http11.receive_response_body.complete"],
)  # fmt: skip
def test_httpx_gets_what_its_trace_raises(make, fault):
    with ScriptedServer(wandering) as server:
        client, url = make(), f"http://127.0.0.1:{server.port}/end"
        with pytest.raises(ZeroDivisionError, match=fault):
            client.get(url, extensions={"trace": teller(client, [], fault)})
        assert client.get(url).text == "0"


def test_httpx_takes_plain_functions_to_trace_with(make):
    async def trace(event, info):
        pass

    with ScriptedServer(wandering) as server:
        client, url, events = make(), f"http://127.0.0.1:{server.port}/end", []
        plain = lambda event, info: events.append(event)  # noqa: E731
        client.get(url, extensions={"trace": plain})
        assert events[-10:] == FROM_HEAD_TO_END
        if isinstance(client, Sync):
            with pytest.raises(TypeError, match="plain function"):
                client.get(url, extensions={"trace": trace})


def test_httpx_is_logged_without_a_trace_and_with_one(make, caplog):
    caplog.set_level("DEBUG", "dugong_like")
    with ScriptedServer(wandering) as server:
        client, url = make(), f"http://127.0.0.1:{server.port}/end"
        for extensions in ({}, {"trace": teller(client, [])}):
            caplog.clear()
            client.get(url, extensions=extensions)
            assert [line.split()[0] for line in caplog.messages[-10:]] == FROM_HEAD_TO_END


SEVERAL = [("X-Tag", "one"), ("Cookie", "a=1"), ("x-tag", "two"), ("Cookie", "b=2")]


@pytest.mark.feature("A41", "B8")
def test_httpx_sends_each_of_several_fields_and_every_empty_body(make):
    """It is what httpx sends with its own transport."""
    record = Recording()
    with ScriptedServer(record) as server, make.httpx.Client(trust_env=False) as theirs:
        ours, url = make(), f"http://127.0.0.1:{server.port}/"
        for method, options in [
            ("GET", {"headers": SEVERAL}),
            ("PUT", {"headers": [(b"X-Raw", b"\xff"), (b"X-Raw", b"\xe4")], "content": b"body"}),
            ("GET", {"headers": {"Content-Length": "0"}}),
            *((method, {}) for method in ("GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")),
            *((method, {"content": b""}) for method in ("GET", "POST", "DELETE")),
        ]:
            seen = []
            for client in (theirs, ours):
                assert client.request(method, url, **options).status_code == 200
                seen.append(record.last())
            assert seen[0] == seen[1]
        assert ours.request("POST", url, content=[b"", b"a", b""]).status_code == 200
        assert record.last()[2] == b"1\r\na\r\n0\r\n\r\n"
        assert ours.request("POST", url, content=[b""]).status_code == 200
        assert record.last()[2] == b"0\r\n\r\n"


def test_missing_package_is_reported_with_its_extra():
    code = (
        "import sys; sys.modules['httpx'] = sys.modules['httpx2'] = None\n"
        "try: import dugong_like.adapters.httpx\n"
        "except ModuleNotFoundError as exc: print(exc.name, exc)"
    )
    printed = subprocess.check_output([sys.executable, "-c", code], text=True)
    assert printed.startswith("httpx dugong_like.adapters.httpx needs httpx or httpx2")
    assert "dugong-like[httpx]" in printed
    assert "dugong-like[httpx2]" in printed


@pytest.mark.parametrize("other", ["httpx", "httpx2"])
def test_one_of_the_two_packages_is_enough(other):
    code = f"import sys; sys.modules[{other!r}] = None; import dugong_like.adapters.httpx"
    subprocess.run([sys.executable, "-c", code], check=True)
