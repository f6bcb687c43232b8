"""A connection that ends in the middle of the body of a response, over either protocol."""

import pytest
from kit import h2_frames
from kit.h2_server import RawConnection
from kit.support import ScriptedServer, read_head

from dugong_like import Client, ConnectionClosed, GoneAway, Retry

INTERNAL_ERROR = 2


def http_1(sock, whole):
    """Answer the requests of a connection: as long as *whole* says so the whole body is sent."""
    while head := read_head(sock):
        done = whole(head.split()[0].decode())
        sock.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n" + b"x" * (10 if done else 3))
        if not done:
            return


def http_2(sock, whole, *last_words):
    """Do the same, and send *last_words* before the connection ends."""
    wire = RawConnection(sock)
    while True:
        try:
            frame = wire.read_until(h2_frames.HEADERS)
        except ConnectionError:
            return
        done = whole("POST" if frame.payload[:1] == b"\x83" else "GET")
        fields = [(b":status", b"200"), (b"content-length", b"10")]
        content = h2_frames.data(frame.stream, b"x" * (10 if done else 3), end=done)
        wire.send(h2_frames.headers(frame.stream, *fields), content)
        if not done:
            wire.send(*last_words)
            return


def http_2_going(sock, whole):
    """Say before the end that the server has a problem."""
    http_2(sock, whole, h2_frames.goaway(2**31 - 1, INTERNAL_ERROR))


WAYS = {"http/1.1": http_1, "h2": http_2, "h2, GOAWAY": http_2_going}


class Site:
    """A server whose first responses are whole as *plan* says, and all others are.

    Attributes:
        methods: of the requests that came.

    """

    def __init__(self, way, plan):
        self.methods = []
        self._plan = plan
        self.server = ScriptedServer(lambda sock: WAYS[way](sock, self._whole))
        versions = ("http/1.1",) if way == "http/1.1" else ("h2",)
        self.options = {"versions": versions, "trust_env": False}

    def _whole(self, method):
        self.methods.append(method)
        number = len(self.methods) - 1
        return number >= len(self._plan) or self._plan[number]


def ask(client, server, way, method="GET"):
    url = f"http://127.0.0.1:{server.port}/"
    if way == "stream":
        with client.stream(method, url) as response:
            return response.read()
    if way == "map":
        (item,) = client.map([(method, url)])
        return item.response.content
    return client.request(method, url).content


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("kept", [False, True])
@pytest.mark.parametrize("reads", ["whole", "stream"])
def test_a_client_does_not_repeat_it_without_being_asked(way, kept, reads):
    """A part of the response has come, so the server has acted on the request."""
    site = Site(way, [*[True] * kept, False])
    with site.server as server, Client(**site.options) as client:
        if kept:
            assert ask(client, server, reads) == b"x" * 10
        with pytest.raises(ConnectionClosed) as caught:
            ask(client, server, reads)
        assert caught.value.request_sent == "yes"
        assert caught.value.retryable
        assert caught.value.request.method == "GET"
        assert isinstance(caught.value, GoneAway) == (way == "h2, GOAWAY")
        assert ask(client, server, reads) == b"x" * 10  # on the next connection
    assert site.methods == ["GET"] * (2 + kept)


@pytest.mark.parametrize("way", WAYS)
def test_a_client_that_is_to_repeat_requests_does_so(way):
    """Unless the method is not idempotent, or its reader has seen a part of the body."""
    site = Site(way, [False, False, True, True, False, False])
    retry = Retry(backoff=0)
    with site.server as server, Client(retry=retry, **site.options) as client:
        assert ask(client, server, "whole") == b"x" * 10
        assert site.methods == ["GET"] * 3
        assert ask(client, server, "whole") == b"x" * 10
        with pytest.raises(ConnectionClosed):
            ask(client, server, "whole", "POST")
        with pytest.raises(ConnectionClosed):
            ask(client, server, "stream")
    assert site.methods == ["GET"] * 4 + ["POST", "GET"]


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("kept", [False, True])
def test_map_repeats_it(way, kept):
    """As a connection that ends takes the responses to many requests with it."""
    site = Site(way, [*[True] * kept, False, False])
    with site.server as server, Client(**site.options) as client:
        if kept:
            assert ask(client, server, "map") == b"x" * 10
        assert ask(client, server, "map") == b"x" * 10
    assert site.methods == ["GET"] * (3 + kept)
