"""A client over HTTP/1.1 and over HTTP/2: the same requests have the same results.

Both servers are one application, behind TLS; the version is what they choose in the handshake.
"""

import gzip
import io

import pytest
from kit.digest_server import DigestServer
from kit.h2_server import Answer, Request
from kit.h2_site import h2_site, site
from kit.support import ScriptedServer

from dugong_like import (
    BodyTooLarge,
    Client,
    ConnectionTimedOut,
    DigestAuth,
    DugongError,
    Retry,
    Timeouts,
)

VERSIONS = ("h2", "http/1.1")
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


def result_of(client, events, method, path, options):
    """Return what a request has come to: all that a user may see, but the version."""
    events.clear()
    try:
        response = client.request(method, path, **options)
        body = b"".join(response.iter_bytes()) if options.get("stream") else response.content
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


def results(serve, protocol, certificate, trusting, *, requests, hooked):
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
                versions=VERSIONS, ssl_context=trusting, trust_env=False, max_body=500_000,
                retry=Retry(backoff=0, budget=None, methods={"GET"}, total=2),
                hooks=hooks if hooked else None,
            ) as client,
        ):  # fmt: skip
            found = {
                name: result_of(client, events, method, path, options())
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


@pytest.mark.parametrize("hooked", [False, True], ids=["whole", "hooked"])
def test_same_requests_have_the_same_results(certificate, trusting, hooked):
    found = compared(certificate, trusting, requests=REQUESTS, hooked=hooked)

    assert [found[name][0] for name in ("get", "redirect", "retry", "digest")] == [200] * 4
    assert found["too large"][0] is BodyTooLarge


@pytest.mark.slow
def test_same_time_limits_have_the_same_errors(certificate, trusting):
    found = compared(certificate, trusting, requests=IN_VAIN, hooked=False)

    late = [found[name] for name in IN_VAIN if name != "after all that"]
    assert {issubclass(kind, ConnectionTimedOut) for kind, *_ in late} == {True}
    assert {request_sent for _, request_sent, *_ in late} == {"maybe"}
