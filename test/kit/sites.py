"""Sites of raw bytes for clients: a server for all names, which notes what it is sent.

Not here: cases and verdicts (test/conformance/test_client_*.py).
"""

import asyncio
import socket
from typing import NamedTuple

from dugong_like import Client, Headers
from dugong_like.client.async_client import AsyncClient
from dugong_like.client.response import Response
from kit.support import ScriptedServer, read_exactly, read_head

DRIVERS = ["blocking", "asyncio"]


class Seen(NamedTuple):
    """A request as a site has received it."""

    method: str
    target: str
    headers: Headers
    body: bytes
    connection: int  # its number, from 1 on

    @property
    def host(self):
        return self.headers["host"].partition(":")[0]


class Site(ScriptedServer):
    """A server that answers by path, or by host and path.

    Args:
        answers: bytes, or a function of the socket and the request that sends them and returns True
            for another request on the connection; by ``"/path"`` or ``"host/path"``. Several of
            them in a list are for one request each, the last one for all that follow. Key None is
            for everything else.

    Attributes:
        seen: the requests.

    """

    def __init__(self, answers, **options):
        self.seen = []
        self._answers = answers
        super().__init__(self._talk, **options)

    def _talk(self, sock):
        connection = self.connections
        while head := read_head(sock):
            line, _, fields = head.decode("latin-1").partition("\r\n")
            pairs = [field.split(":", 1) for field in fields.split("\r\n") if field]
            headers = Headers([(name, value.strip()) for name, value in pairs])
            method, target, _ = line.split(" ")
            seen = Seen(method, target, headers, self._body(sock, headers), connection)
            self.seen.append(seen)
            answer = self._answer(seen)
            if callable(answer):
                if not answer(sock, seen):
                    return
            else:
                sock.sendall(answer)
                if b"\r\nconnection: close\r\n" in answer.lower():
                    return

    def _body(self, sock, headers):
        if "transfer-encoding" in headers:
            body = b""
            while True:
                size = b""
                while not size.endswith(b"\r\n"):
                    size += read_exactly(sock, 1)
                data = read_exactly(sock, int(size, 16) + 2)
                if len(data) == 2:
                    return body
                body += data[:-2]
        return read_exactly(sock, int(headers.get("content-length", 0)))

    def _answer(self, seen):
        path = seen.target.partition("?")[0]
        for key in (f"{seen.host}{path}", path, None):
            if key in self._answers:
                answer = self._answers[key]
                if isinstance(answer, list):
                    return answer.pop(0) if len(answer) > 1 else answer[0]
                return answer
        return answer_of(404)

    def url(self, host="a.test", path="/"):
        return f"http://{host}:{self.port}{path}"


def answer_of(status, *fields, body=b""):
    """Return a response with these field lines."""
    lines = [f"HTTP/1.1 {status} X", *fields, f"Content-Length: {len(body)}"]
    return "".join(f"{line}\r\n" for line in lines).encode("latin-1") + b"\r\n" + body


def co_all_names(host, port):
    """Resolver for which each name leads to this machine."""
    return [(socket.AF_INET, ("127.0.0.1", port))]
    yield


def client(**options):
    """Return a client for sites: every name leads to them."""
    return Client(**{"resolver": co_all_names, "trust_env": False, "timeout": 20, **options})


def ask(driver, options, *calls):
    """Return the results of *calls* of one client: ``(method, url, options)``; errors as well.

    Also checks that no connection is in use afterwards.
    """
    shared = client(**options)

    async def main():
        async with AsyncClient(client=shared) as asking:
            return [await each(asking, *call) for call in calls]

    async def each(asking, method, url, more=None):
        try:
            return await asking.request(method, url, **(more or {}))
        except Exception as exc:
            return exc

    with shared:
        if driver == "asyncio":
            results = asyncio.run(main())
        else:
            results = []
            for method, url, *more in calls:
                try:
                    results.append(shared.request(method, url, **(more[0] if more else {})))
                except Exception as exc:
                    results.append(exc)
        for result in results:
            if isinstance(result, Response):
                result.close()
        assert not any(one.busy for one in shared.stats().values())
    return results
