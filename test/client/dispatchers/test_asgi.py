"""Applications by ASGI: what they are told, streams both ways, disconnecting, the lifespan."""

import asyncio
import json
import tracemalloc

import pytest
import trio
from kit.support import open_descriptors
from kit.ways import on_asyncio, on_trio

from dugong_like import ASGIDispatcher, AsyncClient, Client, ConnectionClosed, StateError
from dugong_like.client.dispatchers import asgi

PLACE = "http://a.test/x"
BOTH = pytest.mark.parametrize("way", [asyncio.run, trio.run], ids=["asyncio", "trio"])


def started(status=200, *headers, **more):
    return {"type": "http.response.start", "status": status, "headers": list(headers), **more}


def body(data=b"", *, more=False):
    return {"type": "http.response.body", "body": data, "more_body": more}


async def read_all(receive):
    """Return the body, and in how many messages it came."""
    pieces = []
    while True:
        message = await receive()
        assert message["type"] == "http.request"
        pieces.append(message["body"])
        if not message["more_body"]:
            return b"".join(pieces), len(pieces)


async def shows(scope, receive, send):
    """Answer with the scope as JSON, and the body."""
    if scope["type"] == "lifespan":
        raise LookupError
    data, messages = await read_all(receive)
    shown = dict(scope, body=data.decode(), messages=messages)
    await send(started(200, (b"content-type", b"application/json")))
    await send(body(json.dumps(shown, default=lambda data: data.decode("latin-1")).encode()))


def with_client(way, use, app, **options):
    """Return the result of *use* with a client of *app*."""

    async def main():
        async with AsyncClient(dispatcher=ASGIDispatcher(app, **options)) as client:
            return await use(client)

    before = open_descriptors()
    try:
        return way(main) if way is trio.run else way(main())
    finally:
        assert open_descriptors() <= before


def got(way, app, method="GET", url=PLACE, *, dispatcher=None, **options):
    return with_client(
        way, lambda client: client.request(method, url, **options), app, **dispatcher or {}
    )


@pytest.mark.feature("E36")
@BOTH
def test_scope(way):
    found = got(
        way,
        shows,
        "GET",
        "https://a.test:8443/caf%C3%A9/x%2Fy?q=%20a",
        headers=[("X-Many", "1"), ("X-Many", "2")],
        dispatcher={"client": ("10.0.0.9", 4), "root_path": "/app/"},
    ).json()
    expected = {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.4"},
        "http_version": "1.1",
        "method": "GET",
        "scheme": "https",
        "path": "/café/x/y",
        "raw_path": "/caf%C3%A9/x%2Fy",
        "query_string": "q=%20a",
        "root_path": "/app",
        "client": ["10.0.0.9", 4],
        "server": ["a.test", 8443],
        "extensions": {"http.response.trailers": {}},
        "body": "",
        "messages": 1,
    }
    assert expected.items() <= found.items()
    assert "state" not in found
    assert found["headers"][0] == ["host", "a.test:8443"]
    assert [value for name, value in found["headers"] if name == "x-many"] == ["1", "2"]


async def pieces():
    for piece in (b"ab", b"c"):
        yield piece


@pytest.mark.feature("E36")
@BOTH
@pytest.mark.parametrize(
    ("make", "field", "messages"),
    [
        (lambda: b"abc", ["content-length", "3"], 1),
        (lambda: [b"ab", b"c"], ["transfer-encoding", "chunked"], 3),
        (pieces, ["transfer-encoding", "chunked"], 3),
    ],
)
def test_bodies_of_requests(way, make, field, messages):
    found = got(way, shows, "POST", content=make()).json()
    assert (found["body"], found["messages"]) == ("abc", messages)
    assert field in found["headers"]


@pytest.mark.feature("E36")
@BOTH
def test_streams_both_ways_in_step(way):
    seen = []

    async def app(scope, receive, send):
        await send(started())
        while True:
            message = await receive()
            if not message["body"]:
                break
            await send(body(b"echo " + message["body"], more=True))
            seen.append("taken")
        await send(body())

    async def use(client):
        async def generate():
            yield b"1"
            yield b"2"

        async with client.stream("POST", PLACE, content=generate()) as response:
            assert seen == []  # send() waits until the client has taken the piece
            return [piece async for piece in response.aiter_bytes()]

    assert with_client(way, use, app, lifespan=False) == [b"echo 1", b"echo 2"]
    assert seen == ["taken"] * 2


@BOTH
@pytest.mark.parametrize(("method", "status"), [("HEAD", 200), ("GET", 204), ("GET", 304)])
def test_responses_without_a_body(way, method, status):
    async def app(scope, receive, send):
        await send(started(status, (b"content-length", b"4")))
        await send(body(b"bo", more=True))
        await send(body(b"dy"))

    response = got(way, app, method, dispatcher={"lifespan": False})
    assert (response.status_code, response.content) == (status, b"")
    assert response.headers["content-length"] == "4"


@BOTH
@pytest.mark.parametrize("sent", [b"abc", b"abcdefg"])
def test_content_length_holds(way, sent):
    async def app(scope, receive, send):
        await send(started(200, (b"content-length", b"5")))
        await send(body(sent))

    if len(sent) > 5:
        assert got(way, app, dispatcher={"lifespan": False}).content == b"abcde"
        return
    with pytest.raises(ConnectionClosed, match="2 bytes less"):
        got(way, app, dispatcher={"lifespan": False})


@BOTH
def test_trailers(way):
    async def app(scope, receive, send):
        await send(started(trailers=True))
        await send(body(b"abc"))
        for name, more in ((b"x-a", True), (b"x-b", False)):
            fields = [(name, b"1")]
            await send({"type": "http.response.trailers", "headers": fields, "more_trailers": more})

    response = got(way, app, dispatcher={"lifespan": False})
    assert response.content == b"abc"
    assert response.trailers.items() == [("x-a", "1"), ("x-b", "1")]


@pytest.mark.feature("E36")
@BOTH
@pytest.mark.parametrize("end", ["receive", "send"])
def test_application_is_told_of_a_response_that_is_closed(way, end):
    seen = []

    async def app(scope, receive, send):
        await read_all(receive)
        await send(started())
        if end == "receive":
            await send(body(b"x", more=True))
            seen.append((await receive())["type"])
            return
        try:
            while True:
                await send(body(b"x" * 1000, more=True))
        except OSError:
            seen.append("OSError")
            raise

    async def use(client):
        async with client.stream("GET", PLACE) as response:
            pieces = response.aiter_raw()
            await anext(pieces)
            await pieces.aclose()

    with_client(way, use, app, lifespan=False)
    assert seen == ["http.disconnect" if end == "receive" else "OSError"]


@BOTH
def test_request_that_is_cancelled_and_application_that_never_ends(way, monkeypatch):
    monkeypatch.setattr(asgi, "GRACE", 0.05)
    seen = []

    begun = asyncio.Event() if way is asyncio.run else trio.Event()

    async def app(scope, receive, send):
        await read_all(receive)
        begun.set()
        seen.append((await receive())["type"])
        try:
            await (asyncio if way is asyncio.run else trio).sleep(600)
        finally:
            seen.append("ended")

    async def use(client):
        op = client.client.co_get(PLACE)
        next(op)
        await begun.wait()
        op.close()

    with_client(way, use, app, lifespan=False)
    assert seen == ["http.disconnect", "ended"]  # closing the client ends it


async def fails(scope, receive, send):
    raise LookupError("mine")


async def fails_late(scope, receive, send):
    await send(started())
    await send(body(b"begun", more=True))
    raise LookupError("mine")


async def fails_last(scope, receive, send):
    await send(started(500))
    await send(body(b"sorry"))
    raise LookupError("mine")


@pytest.mark.feature("E36")
@BOTH
@pytest.mark.parametrize("app", [fails, fails_late, fails_last])
def test_exceptions_of_the_application(way, app):
    with pytest.raises(LookupError, match="mine"):
        got(way, app, dispatcher={"lifespan": False})
    quiet = {"lifespan": False, "raise_app_exceptions": False}
    if app is fails_late:
        with pytest.raises(ConnectionClosed) as caught:
            got(way, app, dispatcher=quiet)
        assert isinstance(caught.value.__cause__, LookupError)
        return
    response = got(way, app, dispatcher=quiet)
    assert response.status_code == 500
    assert response.content == (b"Internal Server Error" if app is fails else b"sorry")


@BOTH
def test_body_of_the_request_that_fails(way):
    async def generate():
        yield b"x"
        raise LookupError("body")

    async def app(scope, receive, send):
        while (await receive())["type"] != "http.disconnect":
            pass

    with pytest.raises(LookupError, match="body"):
        got(way, app, "POST", content=generate(), dispatcher={"lifespan": False})


@BOTH
@pytest.mark.parametrize(
    "messages",
    [
        [],
        [body(b"x")],
        [started(), started()],
        [started(), body(), body()],
        [started(), {"type": "http.response.trailers", "headers": []}],
        [{"type": "websocket.accept"}],
    ],
)
def test_applications_that_violate_the_interface(way, messages):
    async def app(scope, receive, send):
        for message in messages:
            await send(message)

    with pytest.raises(StateError, match="application"):
        got(way, app, dispatcher={"lifespan": False})


class WithLifespan:
    """An application that keeps a count in its state."""

    def __init__(self, failing=""):
        self.seen = []
        self.failing = failing

    async def __call__(self, scope, receive, send):
        if scope["type"] != "lifespan":
            self.seen.append(dict(scope["state"]))
            await send(started())
            await send(body(b"ok"))
            return
        for step in ("startup", "shutdown"):
            message = await receive()
            assert message == {"type": f"lifespan.{step}"}
            self.seen.append(step)
            scope["state"]["value"] = 1
            if self.failing == step:
                await send({"type": f"lifespan.{step}.failed", "message": "no database"})
                return
            await send({"type": f"lifespan.{step}.complete"})


@pytest.mark.feature("E36")
@BOTH
def test_lifespan(way):
    app = WithLifespan()

    async def use(client):
        return [(await client.get(PLACE)).content for _ in range(2)]

    assert with_client(way, use, app) == [b"ok"] * 2
    assert app.seen == ["startup", {"value": 1}, {"value": 1}, "shutdown"]


@BOTH
@pytest.mark.parametrize("failing", ["startup", "shutdown"])
def test_lifespan_that_fails(way, failing):
    app = WithLifespan(failing)
    with pytest.raises(StateError, match="no database"):
        got(way, app)
    assert app.seen[-1] == failing


@BOTH
def test_requests_at_the_same_time_wait_for_the_start(way):
    app = WithLifespan()

    async def use(client):
        if way is asyncio.run:
            await asyncio.gather(*[client.get(PLACE) for _ in range(5)])
        else:
            async with trio.open_nursery() as nursery:
                for _ in range(5):
                    nursery.start_soon(client.get, PLACE)

    with_client(way, use, app)
    assert app.seen == ["startup", *[{"value": 1}] * 5, "shutdown"]


def test_lifespan_begins_anew_in_another_loop():
    app = WithLifespan()
    client = AsyncClient(dispatcher=ASGIDispatcher(app))

    async def main():
        await client.get(PLACE)

    asyncio.run(main())
    trio.run(main)
    assert [step for step in app.seen if step == "startup"] == ["startup"] * 2


def test_other_drivers_are_refused():
    with pytest.raises(StateError, match="an ASGI application goes with AsyncClient"):
        Client(dispatcher=ASGIDispatcher(shows)).get(PLACE)


@pytest.mark.parametrize("way", [on_asyncio, on_trio])
@pytest.mark.parametrize("streams", [True, False])
def test_operations_given_up_at_any_wait_leave_nothing(way, streams):
    async def app(scope, receive, send):
        await read_all(receive)
        await send(started())
        await send(body(b"a", more=True))
        await send(body(b"b"))

    def co_all():
        client = Client(dispatcher=ASGIDispatcher(app, lifespan=False))
        for steps in range(100):
            op = client.co_post(PLACE, content=[b"x", b"y"], stream=streams)
            try:
                for _ in range(steps):
                    yield next(op)
            except StopIteration as end:
                end.value.close()
                break
            op.close()
        yield from client.co_close()
        return steps

    before = open_descriptors()
    assert way(co_all()) > 1
    assert open_descriptors() <= before


@pytest.mark.parametrize(
    "options",
    [
        {"app": None},
        {"app": 1},
        {"raise_app_exceptions": "no"},
        {"root_path": 1},
        {"lifespan": "auto"},
    ],
)
def test_wrong_arguments(options):
    with pytest.raises(TypeError):
        ASGIDispatcher(**{"app": shows} | options)


def test_a_large_body_is_not_copied_for_each_part_that_is_read():
    large = bytes(8_000_000)

    async def app(scope, receive, send):
        if scope["type"] == "http":
            await send(started())
            await send(body(large))

    async def use(client):
        async with client.stream("GET", PLACE) as response:
            pieces = response.aiter_bytes(1000)
            tracemalloc.start()
            try:
                assert await anext(pieces) == large[:1000]
                return tracemalloc.get_traced_memory()[1]
            finally:
                tracemalloc.stop()

    assert with_client(asyncio.run, use, app) < len(large) / 2
