"""`AsyncWebSocket`, on asyncio and on trio."""

import asyncio

import pytest
import trio
from kit.frames import websocket
from kit.steps import PACKAGE, Steps
from kit.websocket_servers import serving

from dugong_like import (
    AsyncWebSocket,
    ConnectionTimedOut,
    HTTPConnection,
    InvalidOption,
    WebSocketClosed,
    WebSocketHandler,
    WebSocketRefused,
    async_connect,
)
from dugong_like.drivers import aio

LOOPS = [asyncio.run, lambda main: trio.run(lambda: main)]


async def with_time_limit(seconds, task):
    """Await *task*(), and cancel it after so many seconds; return whether it was cancelled."""
    try:
        trio.lowlevel.current_task()
    except RuntimeError:
        try:
            await asyncio.wait_for(task(), seconds)
        except TimeoutError:
            return True
        return False
    with trio.move_on_after(seconds) as scope:
        await task()
    return scope.cancelled_caught


async def at_once(first, second):
    """Run two coroutine functions at once."""
    try:
        trio.lowlevel.current_task()
    except RuntimeError:
        await asyncio.gather(first(), second())
    else:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(first)
            nursery.start_soon(second)


@pytest.fixture
def server():
    with serving(subprotocols=["chat"]) as port:
        yield port


def opening(port, **options):
    options = {"subprotocols": ["chat"], **options}
    return async_connect("127.0.0.1", port, timeout=30).websocket("/", **options)


@pytest.mark.parametrize("loop", LOOPS, ids=["asyncio", "trio"])
def test_a_whole_conversation(server, loop):
    async def main():
        async with opening(server) as ws:
            assert isinstance(ws, AsyncWebSocket)
            assert ws.subprotocol == "chat"
            assert ws.response.status == 101
            assert ws.is_open
            assert ws.close_code is ws.close_reason is None
            await ws.send("ü")
            assert await ws.recv() == "ü"
            await ws.send(b"x" * 300_000)
            assert await ws.recv(timeout=60) == b"x" * 300_000
            assert await ws.ping(b"1", timeout=60) > 0
            await ws.pong()
            ws.write("written")
            assert await ws.recv_piece() == ("written", True)
            await ws.send(["a", "b"])
            assert [piece async for piece in ws.pieces()] == ["ab"]
            await ws.send("last")
            async for message in ws:
                assert message == "last"
                await ws.close(1001, "bye")
        assert (ws.close_code, ws.close_reason) == (1001, "bye")
        assert "closed 1001" in repr(ws)
        with pytest.raises(WebSocketClosed):
            await ws.recv()

    loop(main())


def test_an_echo_on_asyncio_takes_few_steps(server):
    """37 frames of this library, which go to and from the loop once."""

    async def main():
        async with opening(server) as ws:
            for _ in range(20):
                await ws.send("known")
                assert await ws.recv() == "known"
            with Steps(of=PACKAGE) as steps:
                await ws.send("counted")
                assert await ws.recv() == "counted"
        assert 0 < steps.frames <= 38
        assert 0 < steps.codes <= 1200

    asyncio.run(main())


@pytest.mark.parametrize("loop", LOOPS, ids=["asyncio", "trio"])
def test_fragments_from_an_asynchronous_iterable(server, loop):
    closed = []

    async def fragments(*items):
        try:
            for item in items:
                await ws_ping()
                yield item
        finally:
            closed.append(items)

    async def main():
        nonlocal ws_ping
        ws = await opening(server)
        ws_ping = ws.ping
        await ws.send(fragments("a", "ü", "c"))
        assert await ws.recv() == "aüc"
        await ws.send(fragments())
        with pytest.raises(TypeError):
            await ws.send(fragments("a", b"b"))
        assert not ws.is_open
        assert ws.close_code is not None

    ws_ping = None
    loop(main())
    assert closed == [("a", "ü", "c"), (), ("a", b"b")]


@pytest.mark.parametrize("loop", LOOPS, ids=["asyncio", "trio"])
def test_one_task_sends_while_another_one_receives(server, loop):
    async def main():
        async with opening(server) as ws:

            async def send():
                for number in range(100):
                    await ws.send(f"{number} " + "x" * number * 200)

            async def receive():
                for number in range(100):
                    assert (await ws.recv()).split()[0] == str(number)

            await at_once(send, receive)

    loop(main())


@pytest.mark.parametrize("loop", LOOPS, ids=["asyncio", "trio"])
def test_cancelling_loses_nothing(server, loop):
    async def main():
        async with opening(server) as ws:
            for number in range(5):
                assert await with_time_limit(0.01, ws.recv)
                await ws.send(str(number))
                assert await ws.recv() == str(number)
            with pytest.raises(ConnectionTimedOut):
                await ws.recv(timeout=0.01)

    loop(main())


@pytest.mark.parametrize("loop", LOOPS, ids=["asyncio", "trio"])
def test_close_that_is_cancelled_has_closed(loop):
    def silent(ws):
        ws.recv_events_thread.join()  # answers nothing until the end

    async def main():
        with serving(silent) as port:
            ws = await async_connect("127.0.0.1", port, timeout=30).websocket()
            ws.websocket._options.close_timeout = None

            async def close():
                await ws.close()

            ws.websocket._frames.send_close = lambda *_: None  # so that no answer comes
            assert await with_time_limit(0.01, close)
            assert not ws.websocket._stream.is_open

    loop(main())


@pytest.mark.parametrize("loop", LOOPS, ids=["asyncio", "trio"])
def test_the_block_ends_it_in_any_case(server, loop):
    async def main():
        for error, code in ((ZeroDivisionError, 1011), (KeyboardInterrupt, 1006)):
            with pytest.raises(error):
                async with opening(server) as ws:
                    raise error
            assert ws.close_code == code
            assert not ws.websocket._stream.is_open

    loop(main())


class Echo(WebSocketHandler):
    def __init__(self):
        self.calls = []

    def on_open(self, websocket):
        websocket.write("0")

    async def on_message(self, websocket, message):
        assert isinstance(websocket, AsyncWebSocket)
        self.calls.append(message)
        await websocket.ping()
        if len(message) < 4:
            await websocket.send(message + "0")
        else:
            await websocket.close(1001)

    async def on_close(self, websocket):
        self.calls.append(websocket.close_code)


@pytest.mark.feature("D21")
@pytest.mark.parametrize("loop", LOOPS, ids=["asyncio", "trio"])
def test_handlers_may_be_coroutine_functions(server, loop):
    handler = Echo()

    async def main():
        ws = await opening(server)
        await ws.serve(handler)
        assert not ws.is_open

    loop(main())
    assert handler.calls == ["0", "00", "000", "0000", 1001]


def test_handlers_may_return_operations(server):
    class Operations(Echo):
        def on_message(self, websocket, message):
            self.calls.append(message)
            return websocket.websocket.co_close(1000)

    handler = Operations()

    async def main():
        await (await opening(server)).serve(handler)

    asyncio.run(main())
    assert handler.calls == ["0", 1000]


def test_an_exception_of_a_handler_ends_it(server):
    class Failing(WebSocketHandler):
        async def on_open(self, websocket):
            raise ZeroDivisionError

    async def main():
        ws = await opening(server)
        with pytest.raises(ZeroDivisionError):
            await ws.serve(Failing())
        assert not ws.is_open
        with pytest.raises(TypeError, match="handler"):
            await ws.serve(Failing)

    asyncio.run(main())


def test_refusal(server):
    async def main():
        with pytest.raises(WebSocketRefused):
            async with opening(server, subprotocols=["other"]):
                pass
        with pytest.raises(InvalidOption, match="max_message"):
            opening(server, max_message=0)

    asyncio.run(main())


def test_a_blocking_thread_and_a_task_share_one(server):
    """The task receives, and a thread sends by the `WebSocket` behind it."""

    async def main():
        async with opening(server) as ws:
            sending = asyncio.to_thread(
                lambda: [ws.websocket.send(str(number)) for number in range(50)]
            )
            task = asyncio.create_task(sending)
            assert [await ws.recv() for _ in range(50)] == [str(number) for number in range(50)]
            await task

    asyncio.run(main())


def test_wrong_arguments():
    ws, _ = websocket()
    for arguments in ((5, aio.run), (ws, 5), (ws, None), (HTTPConnection("h"), aio.run)):
        with pytest.raises(TypeError):
            AsyncWebSocket(*arguments)
    ws.abort()
