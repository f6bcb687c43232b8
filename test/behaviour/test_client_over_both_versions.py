"""A client over HTTP/1.1 and over HTTP/2: the same requests have the same results.

Both servers are one application, behind TLS; the version is what they choose in the handshake. The
client has its defaults, and is used in each way: blocking, by operations, on asyncio and on trio.
"""

import asyncio
import gzip
import hashlib
import io

import pytest
import trio
from kit.digest_server import DigestServer
from kit.h2_server import Answer, Request
from kit.h2_site import h2_site, site
from kit.support import ScriptedServer, pattern
from kit.ways import on_own_loop

from dugong_like import (
    AsyncClient,
    BodyTooLarge,
    Client,
    ConnectionTimedOut,
    DigestAuth,
    DugongError,
    Retry,
    StateError,
    Timeouts,
)

SOON = 0.5  # seconds of limits for what never comes, connecting included


class App:
    """The application: answers by the path, and has a state of its own.

    Attributes:
        elsewhere: URL of another origin.
        paths: those of all requests, in order.

    """

    def __init__(self, elsewhere=""):
        self.elsewhere = elsewhere
        self.paths = []
        self._digest = DigestServer()
        self._failures = 2
        self._streams = 0

    def __call__(self, request):
        method, path = request[":method"], request[":path"]
        self.paths.append(f"{method} {path}")
        if path == "/never":
            return None
        if path == "/cookie":
            return Answer(fields=[("set-cookie", "a=b; path=/")], body=b"set")
        if path == "/what":
            names = ("cookie", "authorization", "x-own", "content-type")
            return Answer(body=repr([request[name] for name in names]).encode())
        if path == "/gzip":
            return Answer(fields=[("content-encoding", "gzip")], body=gzip.compress(b"x" * 9000))
        if path == "/here":
            return Answer(status=302, fields=[("location", "/what")], body=b"moved")
        if path == "/elsewhere":
            fields = [("location", f"{self.elsewhere}/upload")]
            return Answer(status=307, fields=fields)
        if path == "/hints":
            early = [(":status", "103"), ("link", "</style.css>")]
            return Answer(body=b"hello", informational=[early])
        if path == "/trailers":
            return Answer(body=b"hello", trailers=[("x-sum", "5")])
        if path == "/events":
            self._streams += 1
            if self._streams > 2:
                return Answer(status=204)
            body = f"retry: 0\nid: {self._streams}\ndata: {request['last-event-id']}\n\n"
            return Answer(fields=[("content-type", "text/event-stream")], body=body.encode())
        if path == "/busy" and self._failures:
            self._failures -= 1
            return Answer(status=503, body=b"later")
        if path == "/secret":
            status, fields, body = self._digest.respond(
                method, path, request["authorization"], request.body
            )
            return Answer(status, [(name.lower(), value) for name, value in fields], body)
        return site(request)


def http_1_site(app, tls):
    """Return a server of *app* that speaks HTTP/1.1."""

    def serve(sock):
        file = sock.makefile("rb")
        while line := file.readline():
            method, path, _ = line.decode("latin-1").split(" ")
            fields = [(":method", method), (":path", path)]
            while (line := file.readline().decode("latin-1").strip()) != "":
                name, _, value = line.partition(":")
                fields.append((name.lower(), value.strip()))
            request = Request(0, fields)
            if request["expect"] is not None:
                sock.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
            if request["transfer-encoding"] is not None:
                while size := int(file.readline(), 16):
                    request.body += file.read(size)
                    file.readline()
                file.readline()
            else:
                request.body = file.read(int(request["content-length"] or 0))
            if (answer := app(request)) is not None:
                sock.sendall(written(answer, method))

    return ScriptedServer(serve, tls)


def written(answer, method):
    """Return the bytes of a response over HTTP/1.1."""

    def head(status, fields):
        lines = "".join(f"{name}: {value}\r\n" for name, value in fields)
        return f"HTTP/1.1 {status} X\r\n{lines}\r\n".encode("latin-1")

    early = [head(status, fields) for (_, status), *fields in answer.informational]
    chunked = [*answer.fields, ("transfer-encoding", "chunked")]
    parts = [*early, head(answer.status, chunked)]
    if method != "HEAD":
        if answer.body:
            parts += [b"%x\r\n" % len(answer.body), answer.body, b"\r\n"]
        parts.append(b"0\r\n")
        parts += [f"{name}: {value}\r\n".encode() for name, value in answer.trailers]
        parts.append(b"\r\n")
    return b"".join(parts)


def digested(**options):
    return {"auth": DigestAuth("me", "sesame"), **options}


def pieces():
    yield b"x" * 1000
    yield b"y" * 70_000


# name: method, path, and a function that makes the options, as some can be used once
REQUESTS = {
    "get": ("GET", "/", dict),
    "head": ("HEAD", "/", dict),
    "no content": ("GET", "/status/204", dict),
    "field": ("GET", "/what", lambda: {"headers": {"X-Own": "value"}}),
    "large": ("GET", "/chunked/300000", dict),
    "streamed": ("GET", "/chunked/300000", lambda: {"stream": True}),
    "bytes": ("POST", "/upload", lambda: {"content": b"x" * 100_000}),
    "stream": ("POST", "/upload", lambda: {"content": io.BytesIO(b"x" * 100_000)}),
    "iterator": ("PUT", "/upload", lambda: {"content": pieces()}),
    "expect": ("PUT", "/upload", lambda: {"content": b"x" * 70_000, "expect100": True}),
    "cookie": ("GET", "/cookie", dict),
    "cookie comes back": ("GET", "/what", dict),
    "decoded": ("GET", "/gzip", dict),
    "redirect": ("GET", "/here", dict),
    "redirect with a body": ("POST", "/elsewhere", lambda: {"content": b"abc"}),
    "redirect without a body": ("POST", "/elsewhere", lambda: {"content": pieces()}),
    "hints": ("GET", "/hints", dict),
    "trailers": ("GET", "/trailers", dict),
    "retry": ("GET", "/busy", dict),
    "digest": ("GET", "/secret", digested),
    "digest with a body": ("POST", "/secret", lambda: digested(content=b"abc")),
    "too large": ("GET", "/chunked/600000", dict),
    "after all that": ("GET", "/", dict),
}

# Not to be repeated: a connection over HTTP/1.1 ends with each, and one over HTTP/2 does not.
IN_VAIN = {
    "no head": ("PUT", "/never", lambda: {"timeout": Timeouts(head=SOON)}),
    "no head of a stream": (
        *("PUT", "/never"),
        lambda: {"timeout": Timeouts(head=SOON), "stream": True},
    ),
    "nothing in time": ("PUT", "/never", lambda: {"timeout": Timeouts(total=SOON)}),
    "nothing in time for a body": (
        *("PUT", "/never"),
        lambda: {"timeout": Timeouts(total=SOON), "content": pieces()},
    ),
    "stalled": ("PUT", "/never", lambda: {"timeout": SOON}),
    "after all that": ("GET", "/", dict),
}


class Blocking:
    """A client whose calls block."""

    def __init__(self, client):
        self.client = client

    def call(self, name, *given, **options):
        """Do what the method of this name does."""
        return getattr(self.client, name)(*given, **options)

    def exchange(self, method, path, options):
        """Return a response, and its body."""
        if not options.get("stream"):
            response = self.call("request", method, path, **options)
            return response, response.content
        with self.client.stream(method, path, **without_stream(options)) as response:
            return response, b"".join(response.iter_bytes())

    def all_of(self, requests):
        """Return the items of `Client.map`."""
        with self.client.map(requests, errors="return") as items:
            return list(items)

    def events_of(self, path):
        """Return the events of `Client.sse`."""
        with self.client.sse(path) as events:
            return list(events)


class Operations(Blocking):
    """Operations, on a loop of this library."""

    def call(self, name, *given, **options):
        return on_own_loop(getattr(self.client, f"co_{name}")(*given, **options))

    def exchange(self, method, path, options):
        return on_own_loop(self._co_exchange(method, path, options))

    def _co_exchange(self, method, path, options):
        response = yield from self.client.co_request(method, path, **options)
        if not options.get("stream"):
            return response, response.content
        return response, (yield from response.co_read())

    def all_of(self, requests):
        items = []
        on_own_loop(self.client.co_map(requests, items.append, errors="return"))
        return items

    def events_of(self, path):
        return on_own_loop(self._co_events_of(path))

    def _co_events_of(self, path):
        found = []
        with self.client.sse(path) as events:
            while (event := (yield from events.co_next())) is not None:
                found.append(event)
        return found


class Asyncio(Blocking):
    """Coroutines; each call has a loop of its own, and all of them share the connections."""

    def run(self, function, *given):
        return asyncio.run(function(*given))

    def call(self, name, *given, **options):
        async def call():
            return await getattr(AsyncClient(client=self.client), name)(*given, **options)

        return self.run(call)

    def exchange(self, method, path, options):
        async def exchange():
            client = AsyncClient(client=self.client)
            if not options.get("stream"):
                response = await client.request(method, path, **options)
                return response, response.content
            async with client.stream(method, path, **without_stream(options)) as response:
                return response, await response.aread()

        return self.run(exchange)

    def all_of(self, requests):
        async def all_of():
            async with AsyncClient(client=self.client).map(requests, errors="return") as items:
                return [item async for item in items]

        return self.run(all_of)

    def events_of(self, path):
        async def events_of():
            async with AsyncClient(client=self.client).sse(path) as events:
                return [event async for event in events]

        return self.run(events_of)


class Trio(Asyncio):
    def run(self, function, *given):
        return trio.run(function, *given)


WAYS = [Blocking, Operations, Asyncio, Trio]


def without_stream(options):
    return {name: value for name, value in options.items() if name != "stream"}


def result_of(way, events, method, path, options):
    """Return what a request has come to: all that a user may see, but the version."""
    events.clear()
    try:
        response, body = way.exchange(method, path, options)
    except DugongError as exc:
        return type(exc), exc.request_sent, exc.retryable, getattr(exc, "phase", None), [*events]
    fields = {name.lower(): value for name, value in response.headers.items()}
    for name in ("transfer-encoding", "www-authenticate", "authentication-info"):
        fields.pop(name, None)
    return (
        *(response.status_code, body, fields, response.attempts),
        [each.status_code for each in response.history],
        [*response.trailers.items()],
        [each.status for each in response.informational],
        [*events],
    )


def results(serve, protocol, certificate, trusting, *, requests, hooked, way=Blocking):
    """Return the results of all *requests*, and what the application has seen."""
    context = certificate.server_context()
    context.set_alpn_protocols([protocol])
    events = []

    def noting(name):
        return lambda *_, **__: events.append(name)

    hooks = {name: noting(name) for name in ("pre_request", "on_headers", "post_request")}
    hooks |= {name: noting(name) for name in ("on_redirect", "on_retry", "on_informational")}
    with serve(App(), context) as other:
        app = App(f"https://localhost:{other.port}")
        with (
            serve(app, context) as server,
            Client(
                base_url=f"https://localhost:{server.port}",
                ssl_context=trusting, trust_env=False, max_body=500_000,
                retry=Retry(backoff=0, budget=None, methods={"GET"}, total=2),
                hooks=hooks if hooked else None,
            ) as client,
        ):  # fmt: skip
            found = {
                name: result_of(way(client), events, method, path, options())
                for name, (method, path, options) in requests.items()
            }
            versions = {client.get("/").http_version}
    return found, app.paths, versions


def compared(certificate, trusting, **options):
    """Return the results over HTTP/2, which are those over HTTP/1.1."""

    def over_http_2(app, tls):
        return h2_site(app, tls=tls)

    made = (certificate, trusting)
    old, old_paths, old_versions = results(http_1_site, "http/1.1", *made, **options)
    new, new_paths, new_versions = results(over_http_2, "h2", *made, **options)
    assert (old_versions, new_versions) == ({"1.1"}, {"2"})
    different = {name: (old[name], new[name]) for name in old if old[name] != new[name]}
    assert not different
    assert old_paths == new_paths
    return new


@pytest.mark.feature("E1")
@pytest.mark.parametrize(
    ("hooked", "way"), [(False, Blocking), *((True, way) for way in WAYS)],
    ids=lambda value: value.__name__ if isinstance(value, type) else ["whole", "hooked"][value],
)  # fmt: skip
def test_same_requests_have_the_same_results(certificate, trusting, hooked, way):
    found = compared(certificate, trusting, requests=REQUESTS, hooked=hooked, way=way)

    assert [found[name][0] for name in ("get", "redirect", "retry", "digest")] == [200] * 4
    assert found["too large"][0] is BodyTooLarge


@pytest.mark.slow
def test_same_time_limits_have_the_same_errors(certificate, trusting):
    found = compared(certificate, trusting, requests=IN_VAIN, hooked=False)

    late = [found[name] for name in IN_VAIN if name != "after all that"]
    assert {issubclass(kind, ConnectionTimedOut) for kind, *_ in late} == {True}
    assert {request_sent for _, request_sent, *_ in late} == {"maybe"}


# ---- what is made of several requests


def work(way, client, folder):
    """Use everything that is not a single request once; return what a user sees of it."""
    sent, received = folder / "sent", folder / "received"
    sent.write_bytes(pattern(300_000))
    uploaded = way.call("upload", sent, "/upload", method="PUT")
    downloaded = way.call("download", "/bytes/300000", received)
    assert received.read_bytes() == pattern(300_000)
    with received.open("w+b") as file:
        parts = way.call("download", "/chunked/100000", file)
    mapped = way.all_of(["/", "/status/404", "/here", "/bytes/70000", ("POST", "/upload")])
    assert [item.error for item in mapped] == [None] * 5
    events = way.events_of("/events")
    with pytest.raises(StateError):
        client.close()
        way.call("request", "GET", "/")
    return {
        "upload": (uploaded.response.json()["sha256"], uploaded.response.attempts),
        "download": (downloaded.size, downloaded.received, downloaded.response.status_code),
        "into a file": (parts.size, parts.response.attempts),
        "map": [(item.index, item.response.status_code, item.response.content) for item in mapped],
        "events": [(event.id, event.data) for event in events],
    }


@pytest.mark.feature("E1")
@pytest.mark.parametrize("way", WAYS)
def test_files_many_requests_and_events_are_the_same(certificate, trusting, way, tmp_path):
    found = []
    for serve, protocol in ((http_1_site, "http/1.1"), (h2_site, "h2")):
        context = certificate.server_context()
        context.set_alpn_protocols([protocol])
        app = App()
        with serve(app, context) as server:
            url = f"https://localhost:{server.port}"
            client = Client(base_url=url, ssl_context=trusting, trust_env=False)
            found.append((work(way(client), client, tmp_path), sorted(app.paths)))

    assert found[0] == found[1]
    done, _ = found[0]
    assert done["upload"] == (hashlib.sha256(pattern(300_000)).hexdigest(), 1)
    assert done["download"] == (300_000, 300_000, 200)
    assert [status for _, status, _ in done["map"]] == [200, 404, 200, 200, 200]
    assert done["events"] == [("1", "None"), ("2", "1")]
