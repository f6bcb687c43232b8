"""Awaitables in operations: results, exceptions, cancellation; no task, no descriptor is left."""

import asyncio
import contextvars
import gc

import pytest
import trio
from kit.support import open_descriptors
from kit.ways import on_asyncio, on_own_loop, on_trio

from dugong_like import Client, MockDispatcher, StateError, run
from dugong_like.client.async_bodies import AsyncBody, co_await
from dugong_like.drivers import aio
from dugong_like.drivers import trio as trio_driver

PLACE = "http://a.test/x"
BOTH = pytest.mark.parametrize("way", [on_asyncio, on_trio])
VARIABLE = contextvars.ContextVar("VARIABLE")


async def pause(way):
    if way is on_asyncio:
        await asyncio.sleep(0)
    else:
        await trio.lowlevel.checkpoint()


@BOTH
def test_result_and_exception(way):
    async def coroutine(failure=None):
        await pause(way)
        if failure is not None:
            raise failure
        return "result"

    before = open_descriptors()
    assert way(co_await(coroutine())) == "result"
    with pytest.raises(LookupError) as caught:
        way(co_await(coroutine(LookupError("mine"))))
    assert str(caught.value) == "mine"
    assert open_descriptors() <= before


@BOTH
@pytest.mark.parametrize("kind", [SystemExit, BaseException])
def test_exceptions_that_are_none_of_exception(way, kind):
    async def coroutine():
        await pause(way)
        raise kind("end")

    with pytest.raises(kind, match="end"):
        way(co_await(coroutine()))


@BOTH
def test_context_variables_are_those_of_the_caller(way):
    async def coroutine():
        return VARIABLE.get()

    def co_operation():
        VARIABLE.set("mine")
        return (yield from co_await(coroutine()))

    assert way(co_operation()) == "mine"


@pytest.mark.parametrize("way", [run, on_own_loop])
@pytest.mark.filterwarnings("error")
def test_other_drivers_are_refused(way):
    async def coroutine():
        raise AssertionError

    with pytest.raises(StateError, match="AsyncClient"):
        way(co_await(coroutine()))
    gc.collect()


def test_cancelled_on_asyncio():
    ended = []

    async def coroutine():
        try:
            await asyncio.sleep(600)
        finally:
            ended.append("yes")

    async def main():
        task = asyncio.create_task(aio.run(co_await(coroutine())))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        for left in asyncio.all_tasks() - {asyncio.current_task()}:
            await asyncio.wait([left])

    before = open_descriptors()
    asyncio.run(main())
    assert ended == ["yes"]
    assert open_descriptors() <= before


def test_cancelled_on_trio():
    ended = []

    async def coroutine():
        try:
            await trio.sleep(600)
        finally:
            ended.append("yes")

    async def main():
        begun = trio.lowlevel.current_statistics().tasks_living
        async with trio.open_nursery() as nursery:
            nursery.start_soon(trio_driver.run, co_await(coroutine()))
            await trio.testing.wait_all_tasks_blocked()
            nursery.cancel_scope.cancel()
        await trio.testing.wait_all_tasks_blocked()
        assert trio.lowlevel.current_statistics().tasks_living == begun

    import trio.testing

    before = open_descriptors()
    trio.run(main)
    assert ended == ["yes"]
    assert open_descriptors() <= before


@BOTH
def test_closed_at_any_wait(way):
    async def coroutine():
        await pause(way)
        await pause(way)

    def co_closing():
        for steps in range(1, 3):
            op = co_await(coroutine())
            for _ in range(steps):
                next(op)
            op.close()
        yield from co_await(coroutine())

    before = open_descriptors()
    way(co_closing())
    assert open_descriptors() <= before


class Pieces:
    """An asynchronous iterable that can be read again."""

    def __init__(self, *pieces, failure=None):
        self.pieces = pieces
        self.failure = failure

    async def __aiter__(self):
        for piece in self.pieces:
            yield piece
        if self.failure is not None:
            raise self.failure


def co_all(body):
    pieces = []
    while piece := (yield from body.co_read(10)):
        pieces.append(bytes(piece))
    return pieces


@BOTH
def test_body(way):
    body = AsyncBody(Pieces(b"ab", b"", bytearray(b"c"), memoryview(b"d")))
    assert body.rewindable()
    assert way(co_all(body)) == [b"ab", b"c", b"d"]
    body.rewind()
    assert way(co_all(body)) == [b"ab", b"c", b"d"]
    assert not hasattr(body, "length")


@BOTH
def test_generator_can_be_read_once(way):
    async def generate():
        yield b"x"

    body = AsyncBody(generate())
    assert not body.rewindable()
    body.rewind()  # nothing has been read
    assert way(co_all(body)) == [b"x"]
    with pytest.raises(StateError, match="second time"):
        body.rewind()


@BOTH
@pytest.mark.parametrize("piece", ["text", 1, None])
def test_pieces_are_bytes(way, piece):
    with pytest.raises(TypeError, match="bytes"):
        way(co_all(AsyncBody(Pieces(piece))))


def test_length():
    pieces = Pieces(b"ab")
    pieces.length = 2
    assert AsyncBody(pieces).length == 2


@pytest.mark.feature("E18")
@BOTH
@pytest.mark.parametrize("coding", [None, "gzip"])
def test_in_a_request(way, coding):
    mock = MockDispatcher()
    mock.add()
    client = Client(dispatcher=mock)
    seen = []
    way(
        client.co_post(
            PLACE,
            content=Pieces(b"ab", b"c"),
            compress=coding,
            progress=lambda done, total: seen.append(done),
        )
    )
    content = mock.calls[0].content
    assert len(content) == seen[-1]
    if coding is None:
        assert content == b"abc"
    else:
        import gzip

        assert gzip.decompress(content) == b"abc"
    with pytest.raises(LookupError):
        way(client.co_post(PLACE, content=Pieces(b"a", failure=LookupError())))
