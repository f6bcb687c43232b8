"""What a client does with hostile and tired servers, which no other client is right about at all.

Each case runs blocking and on asyncio. Servers wait for events, so nothing depends on time, except
where a time limit is the case.
"""

import asyncio
import select
import socket
import struct
import threading
import time

import pytest
from kit.sites import DRIVERS, Site, answer_of, ask, client

from dugong_like import (
    AsyncClient,
    BodyTooLarge,
    ConnectionClosed,
    Connector,
    DeadlineExceeded,
    InvalidResponse,
    Pool,
    Retry,
)

OK = answer_of(200, body=b"ok")
HINTS = b"HTTP/1.1 103 Early Hints\r\nLink: </a.css>; rel=preload\r\n\r\n"
MANY = 40 << 20  # bytes, more than any buffer of a socket


def reset(sock):
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


def closing(data):
    """Return an answer that ends the connection."""

    def answer(sock, seen):
        sock.sendall(data)

    return answer


def resetting(data=b""):
    def answer(sock, seen):
        sock.sendall(data)
        reset(sock)

    return answer


@pytest.mark.reliability(24)
@pytest.mark.parametrize("driver", DRIVERS)
def test_hints_come_with_the_response(driver):
    with Site({None: HINTS + OK}) as site:
        [response] = ask(driver, {}, ("GET", site.url()))
    assert (response.status_code, response.content) == (200, b"ok")
    assert [one.status for one in response.informational] == [103]
    assert response.informational[0].headers["link"] == "</a.css>; rel=preload"


@pytest.mark.reliability(24)
@pytest.mark.parametrize("driver", DRIVERS)
def test_endless_hints_are_an_error(driver):
    def endless(sock, seen):
        while True:
            sock.sendall(HINTS)

    with Site({None: endless}) as site:
        [error] = ask(driver, {}, ("GET", site.url()))
    assert isinstance(error, InvalidResponse)


TRUNCATED = {
    "length": b"HTTP/1.1 200 X\r\nContent-Length: 10\r\n\r\nhalf",
    "chunked": b"HTTP/1.1 200 X\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n",
    "in a chunk": b"HTTP/1.1 200 X\r\nTransfer-Encoding: chunked\r\n\r\n9\r\nhalf",
    "in the trailer": b"HTTP/1.1 200 X\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n0\r\nA: b",
    "in the head": b"HTTP/1.1 200 X\r\nContent-Length: 4\r\n",
}


@pytest.mark.reliability(32, 33)
@pytest.mark.parametrize("driver", DRIVERS)
@pytest.mark.parametrize("end", [closing, resetting])
@pytest.mark.parametrize("data", TRUNCATED.values(), ids=TRUNCATED)
def test_truncated_responses_are_errors(data, end, driver):
    """What has arrived says that the server may have acted; nothing is sent again unasked."""
    with Site({None: end(data)}) as site:
        [error] = ask(driver, {}, ("GET", site.url(path="/x")))
    assert isinstance(error, ConnectionClosed)
    # A reset may throw away what had arrived.
    assert error.request_sent == "yes" or (end is resetting and error.request_sent == "maybe")
    assert (error.retryable, error.method, error.url) == (True, "GET", site.url(path="/x"))
    assert len(site.seen) == 1


@pytest.mark.reliability(32)
@pytest.mark.parametrize("driver", DRIVERS)
def test_a_truncated_download_is_resumed(driver):
    """What has arrived can be read, and the rest be asked for."""

    async def fetch(asking, url):
        got = b""
        with pytest.raises(ConnectionClosed) as failure:
            async with AsyncClient(client=asking).stream("GET", url) as response:
                async for piece in response.aiter_bytes():
                    got += piece
        assert failure.value.response is response
        return got, response

    def fetch_blocking(asking, url):
        got = b""
        with pytest.raises(ConnectionClosed) as failure, asking.stream("GET", url) as response:
            for piece in response.iter_bytes():
                got += piece
        assert failure.value.response is response
        return got, response

    first = b'HTTP/1.1 200 X\r\nETag: "1"\r\nContent-Length: 8\r\n\r\nhalf'
    rest = answer_of(206, "Content-Range: bytes 4-7/8", body=b"rest")
    with Site({None: [closing(first), rest]}) as site, client() as asking:
        if driver == "asyncio":
            got, response = asyncio.run(fetch(asking, site.url()))
        else:
            got, response = fetch_blocking(asking, site.url())
        tag = response.headers["etag"]
        more = asking.get(site.url(), headers={"Range": f"bytes={len(got)}-", "If-Range": tag})
    assert (got, more.status_code, more.content) == (b"half", 206, b"rest")


BODIES = {
    "bytes": lambda: bytes(MANY),
    "pieces": lambda: (bytes(1 << 16) for _ in range(MANY >> 16)),
}
TOO_LARGE = answer_of(413, "Connection: close", body=b"too large")


class Early(Site):
    """A site that answers as soon as it has the head, and then does *after*."""

    def __init__(self, after):
        self.got = 0
        self._after = after
        super().__init__({})

    def _body(self, sock, headers):
        sock.sendall(TOO_LARGE)
        self._after(self, sock)
        return b""


@pytest.mark.reliability(43)
@pytest.mark.parametrize("driver", DRIVERS)
@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("body", BODIES.values(), ids=BODIES)
def test_413_at_once_though_the_server_reads_slowly(body, stream, driver):
    answered = threading.Event()

    def slowly(site, sock):
        while not answered.is_set():
            site.got += len(sock.recv(1024))
            answered.wait(0.01)

    with Early(slowly) as site:
        [response] = ask(driver, {}, ("PUT", site.url(), {"content": body(), "stream": stream}))
        status = response.status_code
        if not stream:
            content = response.content
        answered.set()
        assert site.got < MANY // 2
    assert status == 413
    assert stream or content == b"too large"
    assert site.connections == 1


@pytest.mark.reliability(43)
@pytest.mark.parametrize("driver", DRIVERS)
@pytest.mark.parametrize("body", BODIES.values(), ids=BODIES)
def test_413_then_reset(body, driver):
    with Early(lambda site, sock: (time.sleep(0.1), reset(sock))) as site:
        [response] = ask(driver, {}, ("PUT", site.url(), {"content": body()}))
    assert (response.status_code, response.content) == (413, b"too large")
    assert site.connections == 1


@pytest.mark.reliability(41)
@pytest.mark.parametrize("driver", DRIVERS)
@pytest.mark.parametrize("end", [closing, resetting])
@pytest.mark.parametrize("method", ["GET", "HEAD", "OPTIONS", "PUT", "DELETE", "POST", "PATCH"])
def test_unanswered_on_a_kept_connection(method, end, driver):
    """Idempotent methods are sent once more, others never; on new connections nothing is."""
    with Site({"/1": OK, "/2": [end(b""), OK], "/new": end(b"")}) as site:
        first, second = ask(driver, {}, ("GET", site.url(path="/1")), (method, site.url(path="/2")))
        [new] = ask(driver, {}, (method, site.url(path="/new")))
    assert first.status_code == 200
    if method in {"POST", "PATCH"}:
        assert isinstance(second, ConnectionClosed)
        assert (second.request_sent, second.retryable) == ("maybe", True)
    else:
        assert second.status_code == 200
        assert second.attempts == 2
    assert isinstance(new, ConnectionClosed)
    sent = [seen.target for seen in site.seen]
    assert sent == ["/1", *["/2"] * (1 if method in {"POST", "PATCH"} else 2), "/new"]


@pytest.mark.reliability(41)
@pytest.mark.parametrize("driver", DRIVERS)
@pytest.mark.parametrize("end", [closing, resetting])
def test_unanswered_on_a_kept_connection_and_marked_as_safe(end, driver):
    """The program knows that the server recognises repetitions."""
    safe = {"retry": Retry(1, methods=["POST"], backoff=0)}
    with Site({"/1": OK, "/2": [end(b""), OK]}) as site:
        post = ("POST", site.url(path="/2"), {"content": b"body"})
        _, second = ask(driver, safe, ("GET", site.url(path="/1")), post)
    assert (second.status_code, second.attempts) == (200, 2)
    assert [(seen.target, seen.body) for seen in site.seen[1:]] == [("/2", b"body")] * 2


def wait_for_close(response, **kwargs):
    poller = select.poll()
    poller.register(response.connection.get_extra_info("fd"), select.POLLIN)
    assert poller.poll(30_000)


@pytest.mark.reliability(37, 41)
@pytest.mark.parametrize("driver", DRIVERS)
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_closed_while_idle(method, driver):
    """Seen before anything is sent, so that any method is safe."""
    body = {"content": b"body"} if method == "POST" else {}
    with Site({None: closing(OK)}) as site:
        calls = [(method, site.url(path=f"/{number}"), body) for number in range(4)]
        results = ask(driver, {"hooks": {"post_request": wait_for_close}}, *calls)
    assert [one.status_code for one in results] == [200] * 4
    assert [seen.target for seen in site.seen] == [f"/{number}" for number in range(4)]


@pytest.mark.reliability(42)
@pytest.mark.parametrize("driver", DRIVERS)
@pytest.mark.parametrize("where", ["head", "body", "chunk size", "hints", "redirects", "retries"])
def test_a_total_limit_ends_a_trickle(where, driver):
    from dugong_like import Timeouts

    def trickle(sock, seen):
        if where == "redirects":
            time.sleep(0.05)
            sock.sendall(answer_of(302, "Location: /"))
            return True
        if where == "retries":
            time.sleep(0.05)
            sock.sendall(answer_of(503, "Retry-After: 0"))
            return True
        begin = {
            "head": b"HTTP/1.1 200 X\r\nA: ",
            "body": b"HTTP/1.1 200 X\r\nContent-Length: 100000\r\n\r\n",
            "chunk size": b"HTTP/1.1 200 X\r\nTransfer-Encoding: chunked\r\n\r\n1;",
            "hints": b"",
        }[where]
        sock.sendall(begin)
        while True:
            sock.sendall(HINTS[:1] if where == "hints" else b"x")
            time.sleep(0.02)
            if where == "hints":
                sock.sendall(HINTS[1:])
                time.sleep(0.3)

    retry = Retry(10**6, backoff=0, budget=None)
    options = {"timeout": Timeouts(stall=20, total=0.8), "max_redirects": 10**6, "retry": retry}
    with Site({None: trickle}) as site:
        began = time.monotonic()
        [error] = ask(driver, options, ("GET", site.url(path="/")))
        took = time.monotonic() - began
    assert 0.7 < took < 15
    if where == "retries" and not isinstance(error, Exception):
        assert error.status_code == 503  # of which the next pause would have come too late
        return
    assert isinstance(error, DeadlineExceeded)
    assert (error.method, error.url) == ("GET", site.url(path="/"))
    assert error.request is not None


@pytest.mark.reliability(42)
@pytest.mark.parametrize("driver", DRIVERS)
def test_a_body_without_end_and_a_limit(driver):
    """Nothing beyond the limit is kept, nor waited for."""

    def endless(sock, seen):
        sock.sendall(b"HTTP/1.1 200 X\r\nTransfer-Encoding: chunked\r\n\r\n")
        while True:
            sock.sendall(b"10000\r\n" + bytes(0x10000) + b"\r\n")

    with Site({None: endless}) as site:
        [error] = ask(driver, {"max_body": 100_000}, ("GET", site.url()))
    assert isinstance(error, BodyTooLarge)
    assert error.response.status_code == 200


@pytest.mark.reliability(42, 56)
@pytest.mark.parametrize("driver", DRIVERS)
@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("own", [False, True])
def test_a_redirect_with_a_body_without_end(own, stream, driver):
    def endless(sock, seen):
        sock.sendall(b"HTTP/1.1 302 X\r\nLocation: /end\r\nTransfer-Encoding: chunked\r\n\r\n")
        while True:
            sock.sendall(b"10000\r\n" + bytes(0x10000) + b"\r\n")

    with Site({"/": endless, "/end": OK}) as site:
        options = {"dispatcher": Pool(Connector(whole_below=300))} if own else {}
        where = ("127.0.0.1",) if own else ()  # the names of a site are those of the client's pool
        [response] = ask(driver, options, ("GET", site.url(*where), {"stream": stream}))
    assert (response.status_code, site.connections) == (200, 2)


@pytest.mark.reliability(42, 56)
@pytest.mark.parametrize("driver", DRIVERS)
def test_a_redirect_whose_body_does_not_come(driver):
    """It is not needed, and so not waited for as long as others are: here without end."""

    def stalling(sock, seen):
        sock.sendall(b"HTTP/1.1 302 X\r\nLocation: /end\r\nContent-Length: 9\r\n\r\nhal")
        sock.recv(1)

    with Site({"/": stalling, "/end": OK}) as site:
        [response] = ask(driver, {"timeout": None}, ("GET", site.url()))
    assert (response.status_code, site.connections) == (200, 2)
