"""What `Client.stream` returns, with and without ``with``; responses that coroutines read."""

import asyncio
import io

import pytest
import trio

from dugong_like import AsyncClient, Client, MockDispatcher, Response, StateError, run

URL = "http://a.test/x"
LOOPS = pytest.mark.parametrize("loop", [asyncio.run, trio.run], ids=["asyncio", "trio"])
WAYS_TO_BLOCK = {
    "read": Response.read,
    "iter_bytes": lambda response: next(response.iter_bytes()),
    "iter_text": lambda response: next(response.iter_text()),
    "iter_lines": lambda response: next(response.iter_lines()),
    "iter_raw": lambda response: next(response.iter_raw()),
    "iter_into": lambda response: next(response.iter_into(bytearray(5))),
    "recv_to_file": lambda response: response.recv_to_file(io.BytesIO()),
    "raw": lambda response: response.raw.read(),
}


def in_loop(loop, main):
    loop(main()) if loop is asyncio.run else loop(main)


def answer(request):
    return Response(200, text="one\ntwo")


def options():
    return {"dispatcher": MockDispatcher(answer)}


def test_response_is_closed_at_the_end():
    with Client(**options()) as client:
        with client.stream("GET", URL) as response:
            assert not response.is_closed
            assert next(response.iter_lines()) == "one"
        assert response.is_closed
        with pytest.raises(ZeroDivisionError), client.stream("GET", URL) as response:
            1 / 0
        assert response.is_closed


def test_without_with_there_is_no_response():
    with Client(**options()) as client:
        context = client.stream("GET", URL)
        with pytest.raises(
            AttributeError, match="'status_code': 'with client.stream.* as response"
        ):
            context.status_code
        assert client.dispatcher.calls == []
        with context:
            pass
        with pytest.raises(StateError, match=r"call stream\(\) again"), context:
            pass
        assert len(client.dispatcher.calls) == 1

    asynchronous = AsyncClient(**options()).stream("GET", URL)
    with pytest.raises(AttributeError, match="'async with client.stream"):
        asynchronous.aread


def test_wrong_arguments_are_refused_at_once():
    with Client(**options()) as client, pytest.raises(TypeError, match="follow_redirects"):
        client.stream("GET", URL, allow_redirects=False)


@LOOPS
@pytest.mark.parametrize("way", WAYS_TO_BLOCK)
def test_blocking_calls_where_a_loop_runs_are_refused(loop, way):
    block = WAYS_TO_BLOCK[way]

    async def main():
        async with AsyncClient(**options()) as client:
            for streamed in (
                await client.get(URL, stream=True),
                await client.send(client.build_request("GET", URL), stream=True),
            ):
                with pytest.raises(StateError, match=f"GET {URL}: a blocking call would stop"):
                    block(streamed)
                assert await streamed.aread() == b"one\ntwo"
            async with client.stream("GET", URL) as response:
                with pytest.raises(StateError, match="aread"):
                    block(response)
                assert [line async for line in response.aiter_lines()] == ["one", "two"]

    in_loop(loop, main)


@LOOPS
def test_blocking_calls_that_need_not_wait_or_are_elsewhere_are_not(loop):
    async def main():
        async with AsyncClient(**options()) as client:
            async with client.stream("GET", URL) as response:
                await response.aread()
                assert (response.read(), list(response.iter_lines())) == (
                    b"one\ntwo",
                    ["one", "two"],
                )
            whole = await client.get(URL)
            assert (whole.read(), next(whole.iter_bytes())) == (b"one\ntwo", b"one\ntwo")
            async with client.stream("GET", URL) as response:
                if loop is asyncio.run:
                    assert await asyncio.to_thread(response.read) == b"one\ntwo"
                else:
                    assert await trio.to_thread.run_sync(response.read) == b"one\ntwo"
            with client.client.stream("GET", URL) as response:  # of the blocking client
                assert response.read() == b"one\ntwo"
            assert run(client.client.co_stream("GET", URL)).read() == b"one\ntwo"

    in_loop(loop, main)
