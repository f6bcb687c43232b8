"""The transports for httpx and httpx2 beside their own: the same calls, outcomes and traces.

Each row of `CALLS` is one call on a client, made once with each transport, against the same server.
"""

import importlib
import subprocess
import sys
from collections import defaultdict
from concurrent.futures import ThreadPoolExecutor
from contextlib import aclosing
from functools import partial

import pytest
from click.testing import CliRunner
from kit.echo import echo
from kit.httpx_clients import EDITIONS, WAYS, client_of
from kit.playground import Playground, sized
from kit.servers import refusing_port
from kit.support import (
    ScriptedServer,
    answering,
    black_hole,
    open_descriptors,
    pattern,
    read_head,
    wait_until,
)

from dugong_like.adapters.httpx import Transport


class Call:
    """What a call is made with.

    Attributes:
        client: of httpx or httpx2.
        httpx: that module.
        http: where the server is.
        other: the same server, as another origin.

    """

    def __init__(self, client, module, places):
        self.client, self.httpx = client, module
        vars(self).update(places)

    def __call__(self, method, path, **options):
        return self.client.request(method, self.http + path, **options)

    def get(self, path, **options):
        return self("GET", path, **options)


def hooked(call):
    """Return what hooks have seen."""
    seen = []
    inner = getattr(call.client, "_client", call.client)
    if inner is call.client:
        hooks = (
            (lambda request: seen.append(request.method)),
            (lambda response: seen.append(response.status_code)),
        )
    else:

        async def asked(request):
            seen.append(request.method)

        async def answered(response):
            seen.append(response.status_code)

        hooks = asked, answered
    inner.event_hooks = {"request": [hooks[0]], "response": [hooks[1]]}
    call.get("/302", follow_redirects=True)
    return seen


def left(call):
    """Use a connection again that the server has closed without saying so."""
    first = call.get("/left").text
    assert call.playground.left.acquire(timeout=20)
    return first, call.get("/").text


async def status(response, wait):
    """Read nothing of the body."""
    return response.status_code


def reading(module):
    """Return an authentication that wants to have whole bodies."""

    class Reading(module.Auth):
        requires_request_body = requires_response_body = True

        def auth_flow(self, request):
            request.headers["X-Sent"] = request.content.decode()
            response = yield request
            request.headers["X-Answered"] = response.text
            yield request

    return Reading()


USUAL = {"httpx", "httpx-trio", "httpx2-asyncio"}  # for all calls; the others with --slow
FOLLOW = {"follow_redirects": True}
CALLS = {
    # -- responses
    "fields as they were written": lambda c: c.get("/"),
    "text and its encoding": lambda c: c.get("/type").text,
    "JSON": lambda c: c.get("/json").json(),
    "value that is not ASCII": lambda c: c.get("/raw-value"),
    "100 kB": lambda c: c.get("/big"),
    "gzip": lambda c: c.get("/gzip"),
    "gzip that is none": lambda c: c.get("/no-gzip"),
    "chunked": lambda c: c.get("/chunked"),
    "chunked and gzip": lambda c: c.get("/chunked-gzip"),
    "trailers": lambda c: c.get("/trailers"),
    "cookies": lambda c: (c.get("/cookies"), c.get("/"))[1],
    "no content": lambda c: c.get("/204"),
    "not modified": lambda c: c.get("/304"),
    "no reason": lambda c: c.get("/no-reason"),
    "not found": lambda c: c.get("/404").raise_for_status(),
    "early hints": lambda c: c.get("/hints"),
    "HEAD": lambda c: c("HEAD", "/big"),
    "HTTP/1.0": lambda c: c.get("/1.0"),
    "until the end": lambda c: c.get("/until-close"),
    "close and again": lambda c: [c.get("/closing").text, c.get("/").text],
    "closed silently, and again": left,
    "gzip of nothing": lambda c: c.get("/gzip-of-nothing"),
    "deflate": lambda c: c.get("/deflate"),
    "body that is given up": lambda c: [c.client.talk("GET", c.http + "/big", status), c.get("/")],
    # -- requests
    "path that is not ASCII": lambda c: c.get("/ä b/%7e/../x;y"),
    "query that is not ASCII": lambda c: c.get("/?ä=ö b&c=%2f#fragment"),
    "query and no path": lambda c: c.client.get(c.http + "?a=b"),
    "two slashes": lambda c: c.get("//a//b"),
    "IPv6": lambda c: c.client.get(c.ipv6 + "/"),
    "host in capitals": lambda c: c.client.get(c.http.replace("127.0.0.1", "LocalHost")),
    "method that cannot be sent": lambda c: c("A B", "/"),
    "files": lambda c: c("POST", "/echo", files={"f": ("name", b"content")}),
    "Expect": lambda c: c("PUT", "/echo", content=b"body", headers={"Expect": "100-continue"}),
    "value that is empty": lambda c: c.get("/", headers={"X-A": ""}),
    "parameters": lambda c: c.get("/?a=b", params={"c": "d e", "f": ["g", "h"]}),
    "other methods": lambda c: c("PURGE", "/"),
    "form": lambda c: c("POST", "/echo", data={"a": "b c"}),
    "JSON to send": lambda c: c("POST", "/echo", json={"a": 1}),
    "bytes": lambda c: c("PUT", "/echo", content=b"\x00\xff"),
    "str": lambda c: c("PUT", "/echo", content="häh"),
    "generator": lambda c: c("PUT", "/echo", content=[b"a", b"", b"bc"]),
    "generator with a length": lambda c: c(
        "PUT", "/echo", content=[b"a", b"bc"], headers={"Content-Length": "3"}
    ),
    "fields": lambda c: c.get("/", headers=[("X-A", "1"), ("User-Agent", "me"), ("X-A", "2")]),
    "Host": lambda c: c.get("/", headers={"Host": "other.test"}),
    "Connection": lambda c: c.get("/", headers={"Connection": "close"}),
    "value that cannot be sent": lambda c: c.get("/", headers={"a": "1\r\nb: 2"}),
    "cookies to send": lambda c: c.get("/", headers=[("Cookie", "a=1"), ("Cookie", "b=2")]),
    "login": lambda c: c.get("/", auth=("me", "sesame")),
    "login in the URL": lambda c: c.client.get(c.http.replace("//", "//me:sesame@")),
    "Digest": lambda c: c.get("/401", auth=c.httpx.DigestAuth("me", "sesame")),
    "Digest with a body": lambda c: c(
        "PUT", "/401", content=b"body", auth=c.httpx.DigestAuth("me", "sesame")
    ),
    "login that reads what is sent and answered": lambda c: c(
        "PUT", "/echo", content=[b"a", b"b"], auth=reading(c.httpx)
    ),
    "hooks": hooked,
    # -- redirects
    "redirect": lambda c: c.get("/302", **FOLLOW),
    "redirect, not followed": lambda c: c.get("/302").next_request.url.path,
    "redirect in a loop": lambda c: c.get("/loop", **FOLLOW),
    "redirect after POST": lambda c: c("POST", "/303", content=b"body", **FOLLOW),
    "redirect with bytes": lambda c: c("PUT", "/307", content=b"body", **FOLLOW),
    "redirect with a generator": lambda c: c("PUT", "/307", content=[b"body"], **FOLLOW),
    # -- what goes wrong
    "too short": lambda c: c.get("/short"),
    "chunk that is too short": lambda c: c.get("/short-chunk"),
    "chunk that is missing": lambda c: c.get("/no-last-chunk"),
    "chunk that is none": lambda c: c.get("/bad-chunk"),
    "two lengths": lambda c: c.get("/two-lengths"),
    "junk": lambda c: c.get("/junk"),
    "nothing at all": lambda c: c.get("/nothing"),
    "nobody there": lambda c: c.client.get(f"http://127.0.0.1:{c.refusing}/"),
    "URL without host": lambda c: c.client.get("http:///path"),
    "URL of another scheme": lambda c: c.client.get("ftp://127.0.0.1/"),
    # -- time-outs
    "time-out of reading": lambda c: c.get("/silent", timeout=c.httpx.Timeout(20, read=0.1)),
    "time-out within the body": lambda c: c.get("/half", timeout=c.httpx.Timeout(20, read=0.1)),
    "time-out of connecting": lambda c: c.client.get(
        c.black_hole, timeout=c.httpx.Timeout(20, connect=0.1)
    ),
    "no time-out": lambda c: c.get("/", timeout=None),
}


@pytest.fixture(scope="module")
def places():
    playground = Playground()
    with (
        ScriptedServer(playground) as server,
        ScriptedServer(playground, host="::1") as ipv6,
        refusing_port() as refusing,
        black_hole() as (host, port),
    ):
        yield {
            "http": f"http://127.0.0.1:{server.port}",
            "ipv6": f"http://[::1]:{ipv6.port}",
            "black_hole": f"http://{host}:{port}",
            "refusing": refusing,
            "playground": playground,
        }


def outcome(places, way, own, call):
    """Return what comes of *call*, and what was sent.

    Of an exception that is its class, of a response what a program sees of it.
    """
    places["playground"].requests.clear()
    # Theirs would read all authorities for each, although nothing here has a certificate.
    client = client_of(way, own, None if own else {"verify": False})
    try:
        result = call(Call(client, EDITIONS[way.partition("-")[0]][0], places))
        if hasattr(result, "status_code"):
            result = [
                (one.status_code, one.reason_phrase, one.http_version, str(one.url),
                 one.headers.raw, one.content)
                for one in (result, *result.history)
            ]  # fmt: skip
        elif isinstance(result, list):
            result = [getattr(one, "content", one) for one in result]
        result = result, dict(client.cookies)
    except Exception as exc:
        result = type(exc)
    finally:
        client.close()
    return result, list(places["playground"].requests)


@pytest.mark.filterwarnings("ignore:Async generator 'http(x|core)2?[.]:ResourceWarning")
@pytest.mark.parametrize(
    "way",
    [way if way in USUAL else pytest.param(way, marks=pytest.mark.slow) for way in WAYS],
)
@pytest.mark.parametrize("name", CALLS)
def test_call_has_the_same_outcome_with_both_transports(places, monkeypatch, way, name):
    monkeypatch.setattr("os.urandom", bytes)  # so that Digest is the same twice
    monkeypatch.setattr("time.ctime", lambda: "now")
    theirs = outcome(places, way, False, CALLS[name])
    ours = outcome(places, way, True, CALLS[name])

    assert ours == theirs


# ---- traces


def shown(core, value):
    """Return *value*, one of the facts, as what two runs have in common."""
    if isinstance(value, core.Request):
        url = value.url
        return value.method, url.origin, url.target, value.headers, value.extensions.keys()
    if isinstance(value, (core.NetworkStream, core.AsyncNetworkStream)):
        tls = value.get_extra_info("ssl_object")
        return (
            value.get_extra_info("server_addr"),
            tls and (tls.version(), tls.cipher(), tls.getpeercert(), tls.selected_alpn_protocol()),
        )
    return type(value) if isinstance(value, Exception) else value


# Of what httpcore has no event for there are others, which no other adapter has.
OF_HTTPCORE = tuple(
    f"{event}."
    for event in ("connection.connect_tcp", "connection.start_tls", "proxy.start_tls", "http11")
)


def traced(way, own, options, method, url, **more):
    """Return what a trace is told of one request, and the exception if there is one."""
    told = []
    client = client_of(way, own, options)
    core = EDITIONS[way.partition("-")[0]][1]

    def trace(event, info):
        if event.startswith(OF_HTTPCORE):
            told.append((event, {name: shown(core, value) for name, value in info.items()}))

    async def trace_async(event, info):
        trace(event, info)

    more["extensions"] = {"trace": trace_async if "-" in way else trace}
    error = None
    try:
        client.request(method, url, **more)
    except Exception as exc:
        error = type(exc)
    finally:
        client.close()
    return told, error


def both(way, options, method, url, **more):
    """Return it with both transports, theirs first."""
    return [traced(way, own, dict(options), method, url, **more) for own in (False, True)]


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("method", ["GET", "HEAD", "POST"])
def test_trace_of_a_request(places, way, method):
    content = {"content": b"body"} if method == "POST" else {}
    theirs, ours = both(way, {}, method, places["http"] + "/?a=b", **content)
    assert ours == theirs
    assert len(ours[0]) == 12


@pytest.mark.parametrize("way", WAYS)
def test_trace_of_tls(way, certificate, trusting):
    with ScriptedServer(Playground(), certificate.server_context()) as server:
        url = f"https://127.0.0.1:{server.port}/"
        theirs, ours = both(way, {"verify": trusting}, "GET", url)
        assert ours == theirs
        assert ours[0][3][1]["return_value"][1][0] == "TLSv1.3"
        refused = [seen[0][-1:] for seen in both(way, {}, "GET", url)]
    assert refused[0] == refused[1]
    assert refused[0][0][0] == "connection.start_tls.failed"


@pytest.mark.parametrize("way", WAYS)
def test_trace_of_what_fails(places, way):
    theirs, ours = both(way, {}, "GET", f"http://127.0.0.1:{places['refusing']}/")
    assert ours == theirs
    assert ours[0][-1][0] == "connection.connect_tcp.failed"
    theirs, ours = both(way, {}, "GET", places["http"] + "/junk")
    assert ours[0] == theirs[0][:-2]  # it also tells that the response is closed
    assert ours[0][-1][0] == "http11.receive_response_headers.failed"
    assert ours[1] is theirs[1]
    theirs, ours = both(way, {}, "GET", places["http"] + "/short")
    assert ours[0] == theirs[0][:-2]
    assert ours[0][-1][0] == "http11.receive_response_body.failed"


@pytest.mark.parametrize("way", WAYS)
def test_trace_through_a_proxy(way, start, proxy):
    url = f"http://127.0.0.1:{start('granian').port}/status/204"
    theirs, ours = both(way, {"proxy": f"http://127.0.0.1:{proxy.port}"}, "GET", url)
    assert [event for event, _ in ours[0]] == [event for event, _ in theirs[0]]
    assert ours[0][:2] == theirs[0][:2]
    assert ours[0][0][1]["port"] == proxy.port


@pytest.mark.parametrize("way", WAYS)
def test_trace_through_a_tunnel(way, start, proxy, trusting):
    """Of the request to the proxy, with CONNECT, there is one event, which httpcore has not."""
    url = f"https://localhost:{start('granian', tls=True).port}/status/204"
    options = {"proxy": f"http://127.0.0.1:{proxy.port}", "verify": trusting}
    theirs, ours = both(way, options, "GET", url)
    names = [event for event, _ in ours[0]]
    assert names[2:4] == ["proxy.start_tls.started", "proxy.start_tls.complete"]
    there = [event for event, _ in theirs[0]].index(names[2])
    assert ours[0][:4] == theirs[0][:2] + theirs[0][there : there + 2]
    assert names[4:] == [event for event, _ in theirs[0][there + 2 :]]


# ---- the command


def command(monkeypatch, module, own, options, *arguments):
    """Run the command of httpx with one of the transports; return what it prints."""
    main = importlib.import_module(f"{module.__name__}._main")

    def client(*, proxy, timeout, http2, verify):
        kind = Transport if own else module.HTTPTransport
        transport = kind(proxy=proxy, **{"verify": verify, **options})
        return module.Client(transport=transport, timeout=timeout, trust_env=False)

    monkeypatch.setattr(main, "Client", client)
    result = CliRunner().invoke(main.main, list(arguments))
    assert result.exception is None or isinstance(result.exception, SystemExit)
    return result.exit_code, result.output


@pytest.mark.parametrize("name", EDITIONS)
@pytest.mark.parametrize("tls", [False, True], ids=["http", "https"])
def test_command_of_httpx_runs_on_it(monkeypatch, certificate, trusting, name, tls):
    context = certificate.server_context() if tls else None
    with ScriptedServer(Playground(), context) as server:
        run = partial(command, monkeypatch, EDITIONS[name][0])
        base = f"http{'s' if tls else ''}://127.0.0.1:{server.port}"
        for arguments in (
            (f"{base}/json", "--verbose"),
            (f"{base}/gzip",),
            (f"{base}/302", "-v", "--follow-redirects"),
            (f"{base}/404", "-v"),
            (f"{base}/echo", "-v", "-m", "PUT", "-c", "content", "-h", "X-A", "1"),
        ):
            theirs, ours = (run(own, {"verify": trusting}, *arguments) for own in (False, True))
            assert ours == theirs
            if "-v" in arguments or "--verbose" in arguments:
                assert f"Connected to '127.0.0.1' on port {server.port}" in ours[1]
                assert ("SSL established using 'TLSv1.3'" in ours[1]) is tls


@pytest.mark.parametrize("name", EDITIONS)
def test_command_of_httpx_reports_errors(monkeypatch, places, name):
    for path in ("/junk", "/nothing", "/short"):
        status, printed = command(
            monkeypatch, EDITIONS[name][0], True, {}, places["http"] + path, "-v"
        )
        assert status == 1
        assert "RemoteProtocolError: " in printed


# ---- the arguments of the transports


def with_head(size, fields):
    """Return an answer whose head has *size* bytes, in so many fields."""
    each = size // fields - len("X: \r\n")
    return sized(b"ok", *[b"X: " + b"a" * each] * fields)


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("fields", [1, 5000])
def test_head_may_have_100_kib_as_with_httpcore(way, fields):
    with ScriptedServer(answering(with_head(95_000, fields))) as server:
        seen = []
        for own in (False, True):
            client = client_of(way, own)
            response = client.get(f"http://127.0.0.1:{server.port}/")
            seen.append((response.headers.raw, response.text))
            client.close()
    assert seen[0] == seen[1]


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize(
    ("size", "fields", "limits"),
    [
        (105_000, 1, {}),
        (105_000, 500, {}),
        (1000, 10, {"max_header_size": 500}),
        (1000, 1, {"max_line_size": 500}),
        (1000, 10, {"max_fields": 9}),
    ],
)
def test_head_that_is_too_large(way, size, fields, limits):
    with ScriptedServer(answering(with_head(size, fields))) as server:
        client = client_of(way, True, limits)
        error = EDITIONS[way.partition("-")[0]][0].RemoteProtocolError
        with pytest.raises(error):
            client.get(f"http://127.0.0.1:{server.port}/")
        client.close()


@pytest.mark.parametrize("way", WAYS)
def test_body_is_given_as_it_comes(places, way):
    """Its next piece is sent when this one has been read."""
    client = client_of(way, True)

    async def co_say(response, wait):
        pieces = []
        if "-" in way:
            async with aclosing(response.aiter_raw()) as stream:
                async for piece in stream:
                    pieces.append(piece)
                    places["playground"].seen.release()
        else:
            for piece in response.iter_raw():
                pieces.append(piece)
                places["playground"].seen.release()
        return pieces

    assert client.talk("GET", places["http"] + "/live", co_say) == [b"one", b"two"]
    client.close()


@pytest.mark.parametrize("way", [way for way in WAYS if way.startswith("httpx2")])
def test_websocket_of_httpx2(way):
    """Which reads and writes at the same time."""
    text = "x" * 50_000
    with ScriptedServer(echo) as server:
        url = f"ws://127.0.0.1:{server.port}/greet"
        client = client_of(way, True, timeout=20)

        async def main(client):
            async with client.websocket(url) as ws:
                welcome = await ws.receive_text(timeout=20)
                await ws.send_text(text)
                return welcome, await ws.receive_text(timeout=20)

        if "-" in way:
            seen = client.call(main)
        else:
            with client.websocket(url) as ws:
                welcome = ws.receive_text(timeout=20)
                ws.send_text(text)
                seen = welcome, ws.receive_text(timeout=20)
        client.close()
    assert seen == ("welcome", text)


@pytest.mark.parametrize("name", EDITIONS)
def test_connection_is_closed_if_its_transport_is(places, name):
    """Also if that was busy; and the transport can be used again."""
    transport = Transport()
    request = EDITIONS[name][0].Request("GET", places["http"] + "/big")
    response = transport.handle_request(request)
    transport.close()
    before = open_descriptors()
    assert response.read() == pattern(100_000)
    wait_until(lambda: open_descriptors() < before)
    assert transport.handle_request(request).read() == pattern(100_000)
    transport.close()


@pytest.mark.parametrize("name", EDITIONS)
def test_threads_may_share_a_client(places, name):
    def work():
        for number in range(30):
            path = ("/big", "/", "/json", "/closing")[number % 4]
            contents[path].add(client.get(places["http"] + path).content)

    contents = defaultdict(set)
    client = client_of(name, True)
    with ThreadPoolExecutor() as executor:
        for done in [executor.submit(work) for _ in range(8)]:
            done.result()
    client.close()
    assert [len(seen) for seen in contents.values()] == [1] * 4


def test_one_transport_serves_both():
    """Even on the same connection."""
    with ScriptedServer(Playground()) as server, Transport() as transport:
        for _ in range(2):
            for module, _ in EDITIONS.values():
                client = module.Client(transport=transport)
                response = client.get(f"http://127.0.0.1:{server.port}/junk"[:-4])
                assert type(response) is module.Response
        assert server.connections == 1
        with pytest.raises(TypeError, match="a request of httpx or httpx2 is needed, not str"):
            transport.handle_request("GET /")


@pytest.mark.parametrize("name", EDITIONS)
def test_request_of_a_derived_class(places, name):
    class Mine(EDITIONS[name][0].Request):
        pass

    with Transport() as transport:
        response = transport.handle_request(Mine("GET", places["http"] + "/"))
        assert type(response) is EDITIONS[name][0].Response
        assert response.read() == b"ok"


def test_neither_is_imported_before_it_is_used():
    code = (
        "import sys; import dugong_like.adapters.httpx; "
        "print({'httpx', 'httpx2', 'httpcore', 'httpcore2'} & set(sys.modules))"
    )
    printed = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)
    assert printed.stdout.strip() == b"set()"


@pytest.mark.parametrize("way", WAYS)
def test_verify_and_cert_are_those_of_httpx(way, certificate, ca_file):
    context = certificate.server_context()
    context.verify_mode = 2  # a certificate of the client is wanted
    context.load_verify_locations(ca_file)
    shown = (str(certificate.chain), str(certificate.key))
    with ScriptedServer(Playground(), context) as server:
        url = f"https://127.0.0.1:{server.port}/"
        for verify in (False, str(ca_file), ca_file):
            client = client_of(way, True, {"verify": verify, "cert": shown})
            assert client.get(url).text == "ok"
            client.close()
    with pytest.raises(TypeError, match="has its own"):
        Transport(verify=context, cert=shown)


@pytest.mark.parametrize("way", WAYS)
def test_proxy_is_that_of_httpx(way):
    """Also its URL, which may have a login in it."""
    module = EDITIONS[way.partition("-")[0]][0]
    heads = []

    def handler(sock):
        while head := read_head(sock):
            heads.append(head)
            sock.sendall(sized(b"ok"))

    with ScriptedServer(handler) as server:
        url = f"http://me:sesame@127.0.0.1:{server.port}"
        for proxy in (
            url,
            module.URL(url),
            module.Proxy(url),
            module.Proxy(url.replace("me:sesame@", ""), auth=("me", "sesame")),
            module.Proxy(url, headers={"X-Proxy": "1"}),
            ("127.0.0.1", server.port),
        ):
            client = client_of(way, True, {"proxy": proxy})
            assert client.get("http://example.test/").text == "ok"
            client.close()
    assert all(head.startswith(b"GET http://example.test/ HTTP/1.1\r\n") for head in heads)
    assert [b"Proxy-Authorization: Basic bWU6c2VzYW1l" in head for head in heads] == [True] * 5 + [
        False
    ]
    assert [b"X-Proxy: 1" in head for head in heads] == [False] * 4 + [True, False]


@pytest.mark.parametrize("way", [way for way in WAYS if "-" not in way])
def test_proxy_of_the_environment_is_given_as_a_mount(places, monkeypatch, way):
    """A client that has a transport of its own heeds no proxy of the environment."""
    module = EDITIONS[way][0]
    monkeypatch.setenv("http_proxy", places["http"])
    with module.Client(transport=Transport()) as client:
        with pytest.raises(module.ConnectError):
            client.get(f"http://127.0.0.1:{places['refusing']}/")
    mounts = {"all://": Transport(proxy=places["http"])}
    with module.Client(mounts=mounts) as client:
        assert client.get(f"http://127.0.0.1:{places['refusing']}/").text == "ok"
