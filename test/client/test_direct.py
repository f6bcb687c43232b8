"""The direct way of a request: what it does by itself, and what sends a request another way."""

import asyncio
import gzip
import io
import logging

import pytest
from kit.steps import PACKAGE, Steps
from kit.support import ScriptedServer, answering, read_head

from dugong_like import (
    AsyncClient,
    BasicAuth,
    Client,
    ClientRequest,
    ConnectionClosed,
    ConnectionTimedOut,
    DecodingError,
    Limits,
    Pool,
    StateError,
    StatusError,
    Timeouts,
    run,
)
from dugong_like.drivers import aio
from dugong_like.polling.timeouts import as_timeouts

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


def url(server, path="/x"):
    return f"http://127.0.0.1:{server.port}{path}"


def answer(status, *fields, body=b""):
    lines = [b"HTTP/1.1 %d X" % status, *fields, b"Content-Length: %d" % len(body)]
    return b"".join(line + b"\r\n" for line in lines) + b"\r\n" + body


def by_call(client, method, place, **options):
    return client.request(method, place, **options)


def by_operation(client, method, place, **options):
    return run(client.co_request(method, place, **options))


def by_coroutine(client, method, place, **options):
    async def main():
        return await AsyncClient(client=client).request(method, place, **options)

    return asyncio.run(main())


def by_operation_on_asyncio(client, method, place, **options):
    return asyncio.run(aio.run(client.co_request(method, place, **options)))


WAYS = pytest.mark.parametrize(
    "send", [by_call, by_operation, by_coroutine, by_operation_on_asyncio]
)


def stats(client):
    return next(iter(client.stats().values()))


@pytest.fixture
def through_layers(monkeypatch):
    """Yield a function that returns how many requests were dispatched through layers."""
    seen = []
    before = Pool.co_dispatch

    def co_dispatch(self, request):
        seen.append(request)
        return before(self, request)

    monkeypatch.setattr(Pool, "co_dispatch", co_dispatch)
    return lambda: len(seen)


@WAYS
def test_plain_request_passes_no_layer(send, through_layers):
    with ScriptedServer(answering(*[OK] * 3)) as server, Client() as client:
        for method, options in [
            ("GET", {}),
            ("GET", {"params": "a=b"}),
            ("POST", {"content": b"x"}),
        ]:
            response = send(client, method, url(server), **options)
            assert (response.content, response.status_code, response.attempts) == (b"ok", 200, 1)
            assert (response.is_closed, response.num_bytes_downloaded) == (True, 2)
            assert (response.request.method, response.url.path) == (method, "/x")
            assert response.elapsed.total_seconds() > 0
            assert [*response.iter_bytes(), *response.iter_raw(), response.text] == [
                b"ok",
                b"ok",
                "ok",
            ]
            assert response.extensions == {}
        assert through_layers() == 0
        assert stats(client)[:5] == (1, 0, 0, 1, 2)


@WAYS
@pytest.mark.parametrize(
    "of_client",
    [
        {"auth": ("u", "p")},
        {"layers": [lambda request, co_send: co_send(request)]},
        {"hooks": {"on_headers": lambda *_, **__: None}},
        {"max_body": 10},
        {"cookies": {"a": "b"}, "base_url": "http://127.0.0.1"},
        {"timeout": Timeouts(total=60)},
    ],
    ids=lambda options: next(iter(options)),
)
def test_client_with_layers_uses_them(send, of_client, through_layers):
    with ScriptedServer(answering(OK)) as server, Client(**of_client) as client:
        assert send(client, "GET", url(server)).content == b"ok"
        assert through_layers() == 1


@WAYS
@pytest.mark.parametrize(
    "options",
    [
        {"auth": BasicAuth("u", "p")},
        {"cookies": {"a": "b"}},
        {"hooks": {"pre_request": lambda *_, **__: None}},
        {"stream": True},
        {"retry": None},
        {"decompress": False},
        {"http_version": "1.0"},
        {"content": io.BytesIO(b"x")},
        {"content": b"x", "expect100": True},
    ],
    ids=lambda options: next(iter(options)),
)
def test_request_that_needs_more_gets_it(send, options, through_layers):
    with ScriptedServer(answering(OK)) as server, Client() as client:
        response = send(client, "GET", url(server), **options)
        assert run(response.co_read()) == b"ok"
        assert through_layers() == 1


def test_user_in_a_url_is_authenticated(through_layers):
    seen = []

    def handler(sock):
        seen.append(read_head(sock))
        sock.sendall(OK)

    with ScriptedServer(handler) as server, Client() as client:
        assert client.get(f"http://u:p@127.0.0.1:{server.port}/").content == b"ok"
    assert b"Authorization: Basic dTpw" in seen[0]


@WAYS
def test_redirect_is_followed_from_the_response_that_is_there(send, through_layers):
    there = answer(302, b"Location: /there", b"Set-Cookie: a=b", body=b"moved")
    seen = []

    def handler(sock):
        for each in (there, OK, OK):
            seen.append(read_head(sock))
            sock.sendall(each)

    with ScriptedServer(handler) as server, Client() as client:
        response = send(client, "GET", url(server))
        assert (response.content, response.url.path) == (b"ok", "/there")
        assert [each.status_code for each in response.history] == [302]
        assert response.history[0].content == b"moved"
        assert through_layers() == 1  # of the second, as there is a cookie
        assert b"\r\nCookie: a=b\r\n" in seen[1]
        assert send(client, "GET", url(server), follow_redirects=False).content == b"ok"
        assert stats(client).opened == 1


@WAYS
def test_redirect_that_is_not_followed_has_the_next_request(send):
    with (
        ScriptedServer(answering(answer(307, b"Location: /there"), OK)) as server,
        Client(follow_redirects=False) as client,
    ):
        response = send(client, "GET", url(server))
        assert response.next_request.url.path == "/there"
        assert run(response.co_next()).content == b"ok"


@WAYS
@pytest.mark.parametrize("stores", [True, False])
def test_cookies_of_a_response_are_kept_if_wanted(send, stores):
    first = answer(200, b"Set-Cookie: a=b", b"Set-Cookie: c=d")
    with ScriptedServer(answering(first)) as server, Client(store_cookies=stores) as client:
        response = send(client, "GET", url(server))
        assert dict(response.cookies) == {"a": "b", "c": "d"}
        assert dict(client.cookies) == ({"a": "b", "c": "d"} if stores else {})


@WAYS
def test_body_with_a_coding_is_decoded(send):
    wire = gzip.compress(b"text")
    broken = wire[:-1] + b"?"
    first = answer(200, b"Content-Encoding: gzip", body=wire)
    second = answer(200, b"Content-Encoding: gzip", body=broken)
    with ScriptedServer(answering(first, second)) as server, Client() as client:
        response = send(client, "GET", url(server))
        assert (response.content, response.num_bytes_downloaded) == (b"text", len(wire))
        assert (response.encoded, response.is_closed) == (False, True)
        with pytest.raises(DecodingError, match="/x") as caught:
            send(client, "GET", url(server))
        assert caught.value.response.status_code == 200


@WAYS
def test_server_says_how_long_it_keeps_the_connection(send):
    says = answer(200, b"Keep-Alive: max=1")
    with ScriptedServer(answering(says, OK)) as server, Client() as client:
        for _ in range(3):
            assert send(client, "GET", url(server)).status_code == 200
        assert server.connections == 2
        assert stats(client).ended == {"max requests": 1}


@WAYS
def test_last_response_of_a_connection(send):
    last = answer(200, b"Connection: close", body=b"end")
    with ScriptedServer(answering(last)) as server, Client() as client:
        assert send(client, "GET", url(server)).content == b"end"
        assert stats(client)[:2] == (0, 0)
        assert stats(client).ended == {"not reusable": 1}


@WAYS
@pytest.mark.parametrize("raises", [True, False])
def test_errors_are_raised_if_wanted(send, raises):
    with (
        ScriptedServer(answering(answer(404, body=b"none"), OK)) as server,
        Client(raise_for_status=raises) as client,
    ):
        if raises:
            with pytest.raises(StatusError, match="GET http.*404") as caught:
                send(client, "GET", url(server))
            response = caught.value.response
        else:
            response = send(client, "GET", url(server))
        assert (response.content, response.is_closed) == (b"none", True)
        assert send(client, "GET", url(server)).content == b"ok"
        assert server.connections == 1


@WAYS
def test_error_page_that_comes_later_is_read(send):
    def pieces(sock):
        read_head(sock)
        sock.sendall(b"HTTP/1.1 500 X\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nno\r\n")
        sock.sendall(b"1\r\n!\r\n0\r\n\r\n")

    with ScriptedServer(pieces) as server, Client() as client:
        response = send(client, "GET", url(server))
        assert (response.status_code, response.content) == (500, b"no!")


class ClosesSecond:
    """Answers the first request of each connection and closes at the second, once it is read."""

    def __init__(self):
        self.seen = []

    def __call__(self, sock):
        for number in range(2):
            head = read_head(sock)
            if not head:
                return
            self.seen.append(head.split(b" ")[0])
            if number:
                return
            sock.sendall(OK)


@WAYS
def test_request_that_a_kept_connection_has_lost_is_repeated_if_that_is_safe(send):
    handler = ClosesSecond()
    with ScriptedServer(handler) as server, Client() as client:
        assert send(client, "GET", url(server)).content == b"ok"
        response = send(client, "GET", url(server))
        assert (response.content, response.attempts) == (b"ok", 2)
        with pytest.raises(ConnectionClosed, match="POST http://127.*/x") as caught:
            send(client, "POST", url(server), content=b"x")
        assert caught.value.request.method == "POST"
        assert caught.value.request_sent == "maybe"
        assert stats(client)[:2] == (0, 0)
    assert handler.seen == [b"GET"] * 3 + [b"POST"]


@WAYS
def test_time_limits_of_a_request_do_not_stay_with_the_connection(send):
    def handler(sock):
        for _ in range(3):
            if read_head(sock):
                sock.sendall(OK)
        read_head(sock)  # and never answer
        read_head(sock)

    with ScriptedServer(handler) as server, Client(timeout=50) as client:
        limits = []
        for options in ({}, {"timeout": Timeouts(stall=40)}, {}):
            response = send(client, "GET", url(server), **options)
            limits.append(response.connection.timeout)
        assert limits == [as_timeouts(50)] * 3
        with pytest.raises(ConnectionTimedOut, match="/x"):
            send(client, "GET", url(server), timeout=0.05)
        assert server.connections == 1


@pytest.mark.parametrize("direct", [True, False])
def test_request_made_by_hand_has_the_time_limits_of_the_client(direct):
    def silent(sock):
        while sock.recv(1000):
            pass

    with ScriptedServer(silent) as server, Client(timeout=0.05) as client:
        request = ClientRequest("GET", url(server))
        request.cookies = {} if direct else {"a": "b"}
        with pytest.raises(ConnectionTimedOut):
            client.send(request)


@WAYS
def test_no_free_connection_is_waited_for(send, through_layers):
    with (
        ScriptedServer(answering(OK, OK)) as server,
        Client(limits=Limits(max_connections=1)) as client,
    ):
        with client.stream("GET", url(server)) as response:
            with pytest.raises(ConnectionTimedOut, match="became free"):
                send(client, "GET", url(server), timeout=Timeouts(pool=0.02))
            response.read()
        assert send(client, "GET", url(server)).content == b"ok"
        assert through_layers() == 2


@WAYS
def test_closed_client(send):
    with ScriptedServer(answering(OK)) as server:
        client = Client()
        send(client, "GET", url(server))
        client.close()
        with pytest.raises(StateError, match="^GET http://127.*/x: the client is closed"):
            send(client, "GET", url(server))
        shared = Pool(client.dispatcher._connector)
        other = Client(dispatcher=shared)
        shared.close()
        with pytest.raises(StateError, match="the pool was closed"):
            send(other, "GET", url(server))


@WAYS
def test_events_that_are_bound_later(send):
    seen = []
    with ScriptedServer(answering(OK, OK)) as server, Client() as client:
        send(client, "GET", url(server))
        client.bind_event("post_request", lambda response, **_: seen.append(response.status_code))
        send(client, "GET", url(server))
    assert seen == [200]


@WAYS
def test_logging_that_begins_later(send, caplog):
    with ScriptedServer(answering(OK, OK)) as server, Client() as client:
        send(client, "GET", url(server))
        with caplog.at_level(logging.INFO, "dugong_like.client"):
            send(client, "GET", url(server))
        assert [each.getMessage().split(": ")[0] for each in caplog.records] == [
            f"GET {url(server)}"
        ]


def test_subclass_that_sends_in_its_own_way_is_asked():
    class Noting(Client):
        noted = ()

        def co_send(self, request, *, stream=None):
            Noting.noted += (request.method,)
            return super().co_send(request, stream=stream)

    with ScriptedServer(answering(OK, OK)) as server, Noting() as client:
        client.get(url(server))
        client.post(url(server))
    assert Noting.noted == ("GET", "POST")


def test_fields_of_a_request_are_those_it_was_built_with():
    seen = []

    def handler(sock):
        for _ in range(4):
            seen.append(read_head(sock))
            sock.sendall(OK)

    with ScriptedServer(handler) as server, Client(headers={"X-A": "1"}) as client:
        built = client.build_request("GET", url(server))
        changed = client.build_request("GET", url(server))
        changed.headers.set("X-A", "3")
        client.headers.set("X-A", "2")
        for request in (built, changed, client.build_request("GET", url(server))):
            client.send(request)
        assert built.headers["x-a"] == "1"
        built.headers.set("X-A", "4")
        client.send(built)
    assert [head.split(b"X-A: ")[1][:1] for head in seen] == [b"1", b"3", b"2", b"4"]


def test_request_that_is_sent_again_counts_its_attempts():
    with ScriptedServer(answering(*[OK] * 3)) as server, Client() as client:
        request = client.build_request("GET", url(server))
        assert [client.send(request).attempts, run(client.co_send(request)).attempts] == [1, 2]
        assert asyncio.run(AsyncClient(client=client).send(request)).attempts == 3


def test_steps_of_a_request_on_a_kept_connection():
    with ScriptedServer(answering(*[OK] * 7)) as server, Client() as client:
        place = url(server)
        for _ in range(6):
            client.get(place)
        with Steps() as steps:
            client.get(place)
    assert steps.frames <= 30
    assert steps.codes <= 1130


@pytest.mark.parametrize(("options", "most"), [({}, 1590), ({"timeout": None}, 1500)])
def test_steps_of_coroutines(options, most):
    """Those of the library: the loop is not the same in all versions of Python."""

    async def main(place):
        async with AsyncClient(**options) as client:
            for _ in range(5):
                await client.get(place)
            with Steps(of=PACKAGE) as steps:
                for _ in range(10):
                    await client.get(place)
        return steps.codes / 10, steps.frames / 10

    with ScriptedServer(answering(*[OK] * 15)) as server:
        codes, frames = asyncio.run(main(url(server)))
    assert frames <= 50
    assert codes <= most
