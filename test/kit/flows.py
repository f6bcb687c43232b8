"""Authentication without connections: requests are answered by a function."""

import copy
from collections.abc import AsyncIterable
from dataclasses import dataclass, field

from dugong_like import URL, BodyFollowing, Headers, Request, run
from dugong_like.http.auth.flow import co_authenticate
from dugong_like.http.request import is_whole


@dataclass
class Answered:
    """A response, with what a flow may use of it."""

    status_code: int = 200
    headers: Headers = field(default_factory=Headers)
    content: bytes = b""
    reads: int = 0
    ended: bool = False

    def co_read(self):
        self.reads += 1
        yield from ()
        return self.content


def response(status=200, fields=(), content=b""):
    return Answered(status, Headers(fields), content)


def co_body(request):
    """Return the bytes of the body of *request*, as a connection sends them.

    There are none of those that are written in later calls, or awaited.
    """
    if request.body is None or isinstance(request.body, BodyFollowing | AsyncIterable):
        return b""
    if is_whole(request.body):
        return bytes(request.body)
    source, pieces = request.source(), []
    source.begin()
    while piece := bytes((yield from source.co_next())):
        pieces.append(piece)
    return b"".join(pieces)


class Client:
    """Sends requests with *auth* to a function (method, target, Authorization, body)."""

    def __init__(self, auth, respond):
        self.auth = auth
        self.respond = respond
        self.sent = []

    def co_send(self, request):
        value = request.headers.get("authorization")
        self.sent.append((request.method, request.target, value))
        path = request.target.removeprefix("http://server.test")
        body = yield from co_body(request)
        return response(*self.respond(request.method, path, value, body))

    def co_end(self, response):
        response.ended = True
        yield from ()

    def co_request(self, method, target, body=None):
        request = Request(method, target, body=body)
        return co_authenticate(self.auth, request, self.co_send, self.co_end)

    def request(self, method="GET", target="http://server.test/a?b=c", body=None):
        return run(self.co_request(method, target, body))


def co_sender(conn):
    """Return an operation that sends a request over *conn*, and reads the whole response."""

    def co_send(request):
        by_path = copy.copy(request)
        by_path.target = URL(request.target).target
        yield from conn.co_send(by_path)
        answer = yield from conn.co_read_response()
        return response(answer.status, answer.headers.items(), (yield from conn.co_readall()))

    return co_send
