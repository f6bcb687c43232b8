"""The client in coroutines: each method does what that of the client behind it does."""

import asyncio
import inspect

import pytest
import trio
from kit.sending import PLACE
from kit.support import ScriptedServer, answering, open_descriptors

from dugong_like import AsyncClient, Client, InvalidOption, MockDispatcher, Response, StateError

BOTH = pytest.mark.parametrize("way", [asyncio.run, trio.run], ids=["asyncio", "trio"])
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


def run_main(way, main):
    return way(main) if way is trio.run else way(main())


def client_of(handler=None, **options):
    mock = MockDispatcher(handler)
    mock.add()
    return AsyncClient(dispatcher=mock, **options), mock


@pytest.mark.feature("E2", "D1")
def test_all_methods_of_the_client_are_there():
    blocking = {name for name in vars(Client) if not name.startswith(("_", "co_"))}
    assert blocking - set(dir(AsyncClient)) <= {"send_by", "send_through"}  # which it calls
    for name in blocking & set(vars(AsyncClient)):
        mine, theirs = getattr(AsyncClient, name), getattr(Client, name)
        if inspect.isfunction(mine) and hasattr(Client, f"co_{name}") and name != "stream":
            # what is entered by ``async with``, or awaited, is returned by a plain function
            assert inspect.iscoroutinefunction(mine) or name in {"map", "websocket"}, name
            assert [*inspect.signature(mine).parameters] == [*inspect.signature(theirs).parameters]


@BOTH
def test_requests_that_are_built_first(way):
    client, mock = client_of()

    async def main():
        request = client.build_request("POST", PLACE, content=b"x")
        response = await client.send(request, stream=True)
        assert not response.is_closed
        assert await response.aread() == b""
        return await client.request("purge", PLACE, params={"a": "b"})

    assert str(run_main(way, main).url) == f"{PLACE}?a=b"
    assert [call.method for call in mock.calls] == ["POST", "PURGE"]


@BOTH
@pytest.mark.parametrize("fails", [False, True])
def test_stream_closes_its_response(way, fails):
    client, _ = client_of(lambda request: Response(200, content=b"body"))
    seen = []

    async def main():
        async with client.stream("GET", PLACE) as response:
            seen.append(response)
            if fails:
                raise LookupError

    if fails:
        with pytest.raises(LookupError):
            run_main(way, main)
    else:
        run_main(way, main)
    assert seen[0].is_closed


@BOTH
def test_settings_are_those_of_the_client(way):
    client, _ = client_of(base_url="http://a.test/api", headers={"X-A": "b"})
    inner = client.client
    assert client.headers is inner.headers
    assert client.cookies is inner.cookies
    assert client.base_url is inner.base_url
    assert client.dispatcher is inner.dispatcher
    seen = []
    client.bind_event("pre_request", lambda response, **kwargs: seen.append(kwargs["request"]))

    async def main():
        async with client:
            await client.get("x")
        with pytest.raises(StateError, match="closed"):
            await client.get("x")

    run_main(way, main)
    assert str(seen[0].url) == "http://a.test/api/x"
    assert client.is_closed
    assert inner.is_closed


@pytest.mark.feature("D41", "E2")
@BOTH
def test_shared_client_stays_open(way):
    with ScriptedServer(answering(OK, OK, OK)) as server, Client() as client:
        place = f"http://127.0.0.1:{server.port}/"
        client.get(place)

        async def main():
            async with AsyncClient(client=client) as both:
                await both.warm(place)
                assert (await both.get(place)).text == "ok"
                assert next(iter(both.stats().values())).idle == 1

        run_main(way, main)
        assert client.get(place).text == "ok"
        assert server.connections == 1
    with pytest.raises(InvalidOption, match="auth"):
        AsyncClient(client=client, auth=("u", "p"))


@BOTH
def test_cancelled_request_leaves_no_connection(way):
    waiting = []

    def handler(sock):
        while data := sock.recv(65536):
            waiting.append(data)

    before = open_descriptors()
    with ScriptedServer(handler) as server:

        async def main():
            async with AsyncClient() as client:
                place = f"http://127.0.0.1:{server.port}/"
                if way is asyncio.run:
                    task = asyncio.create_task(client.get(place))
                    await asyncio.sleep(0.01)
                    task.cancel()
                    with pytest.raises(asyncio.CancelledError):
                        await task
                else:
                    with trio.move_on_after(0.01) as scope:
                        await client.get(place)
                    assert scope.cancelled_caught
                assert all(one.busy == 0 for one in client.stats().values())

        run_main(way, main)
    assert open_descriptors() <= before


def test_methods_outside_of_a_loop():
    client, _ = client_of()
    coroutine = client.get(PLACE)
    with pytest.raises(RuntimeError):
        coroutine.send(None)
