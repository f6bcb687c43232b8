"""The operations as coroutines, on asyncio and trio: against real servers, and cancelled."""

import asyncio
import inspect
import json
import math
import threading
import time

import pytest
from kit.silence import LONGER_AND_LONGER
from kit.support import ScriptedServer, answering, pattern, read_exactly, read_head

from dugong_like import (
    AsyncConnection,
    BodyFollowing,
    ConnectionClosed,
    HTTPConnection,
    Request,
    Wake,
    async_connect,
    run,
)
from dugong_like.drivers import aio

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
NOT_TWINS = {"co_close", "co_send", "co_websocket"}  # written apart; see async_connection.py


class Asyncio:
    """The same few things of each loop."""

    Cancelled = asyncio.CancelledError

    @staticmethod
    def run(main):
        return asyncio.run(main())

    @staticmethod
    async def limited(seconds, coroutine):
        """Cancel *coroutine* after so many seconds; True if it was."""
        try:
            async with asyncio.timeout(seconds):
                await coroutine
        except TimeoutError:
            return True
        return False

    sleep = staticmethod(asyncio.sleep)

    @staticmethod
    async def cancelled_after(event, coroutine):
        """Cancel *coroutine* as soon as the *event* of threads is set; True if it was."""
        task = asyncio.ensure_future(coroutine)
        assert await asyncio.to_thread(event.wait, 60)
        task.cancel()
        await asyncio.wait([task])
        return task.cancelled()

    @staticmethod
    async def both(*coroutines):
        async with asyncio.TaskGroup() as group:
            for coroutine in coroutines:
                group.create_task(coroutine)


class Trio:
    @staticmethod
    def run(main):
        trio = pytest.importorskip("trio")
        return trio.run(main)

    @staticmethod
    async def limited(seconds, coroutine):
        import trio

        with trio.move_on_after(seconds) as scope:
            await coroutine
        return scope.cancelled_caught

    @staticmethod
    async def cancelled_after(event, coroutine):
        import trio

        async def run():
            with scope:
                await coroutine

        async with trio.open_nursery() as nursery:
            scope = trio.CancelScope()
            nursery.start_soon(run)
            assert await trio.to_thread.run_sync(event.wait, 60)
            scope.cancel()
        return scope.cancelled_caught

    @staticmethod
    async def sleep(seconds):
        import trio

        await trio.sleep(seconds)

    @staticmethod
    async def both(*coroutines):
        import trio

        async def run(coroutine):
            await coroutine

        async with trio.open_nursery() as nursery:
            for coroutine in coroutines:
                nursery.start_soon(run, coroutine)


pytestmark = pytest.mark.parametrize("loop", [Asyncio, Trio])


@pytest.mark.feature("A39", "A40")
@pytest.mark.parametrize("name", ["granian", "uvicorn-h11"])
@pytest.mark.parametrize("tls", [False, True])
def test_conversation_with_real_servers(loop, name, tls, start, trusting):
    server = start(name, tls=tls)
    context = trusting if tls else None

    async def main():
        async with async_connect(server.host, server.port, context, timeout=30) as conn:
            assert conn.connection.is_open()
            await conn.send_request("GET", "/bytes/300000")
            response = await conn.read_response()
            assert (response.status, response.headers["Content-Length"]) == (200, "300000")
            sizes = []
            body = b""
            async for piece in conn.pieces(50_000):
                sizes.append(len(piece))
                body += piece
            assert body == pattern(300_000)
            assert max(sizes) <= 50_000
            assert [piece async for piece in conn.pieces()] == []

            await conn.send_requests([("GET", f"/bytes/{size}") for size in (0, 5, 7)])
            bodies = []
            async for _ in conn.responses():
                bodies.append(await conn.readall())
            assert bodies == [b"", pattern(5), pattern(7)]
            assert await conn.next_response() is None

            await conn.send_request("PUT", "/upload", body=BodyFollowing(10))
            await conn.write(pattern(4))
            await conn.write(pattern(6))
            await conn.read_response()
            assert json.loads(await conn.read())["length"] == 10
        assert not conn.connection.is_open()

    loop.run(main)


@pytest.mark.feature("A41")
@pytest.mark.parametrize("kind", ["generator", "iterable", "iterator"])
def test_bodies_from_asynchronous_iterators(loop, kind, start):
    server = start("granian")
    closed = []

    async def generator():
        try:
            for _ in range(20):
                await loop.sleep(0.001)
                yield pattern(50_000)
                yield bytearray()
                yield memoryview(b"more")
        finally:
            closed.append(True)

    class Iterable:
        def __aiter__(self):
            return generator()

    class Iterator:
        left = 20

        def __aiter__(self):
            return self

        async def __anext__(self):
            if not self.left:
                raise StopAsyncIteration
            self.left -= 1
            return pattern(50_004)

    async def main():
        body = {"generator": generator, "iterable": Iterable, "iterator": Iterator}[kind]()
        async with async_connect(server.host, server.port, timeout=30) as conn:
            request = Request("PUT", "/upload", {"X-More": "1"}, body)
            exchange = await conn.send(request)
            response = await conn.read_response()
            assert exchange.sent
            assert response.status == 200
            assert json.loads(await conn.readall())["length"] == 20 * 50_004
            # and the ones that come at once
            await conn.send(Request("PUT", "/upload", body=[b"one", b"two"]))
            await conn.read_response()
            assert json.loads(await conn.readall())["length"] == 6

    loop.run(main)
    assert closed == ([] if kind == "iterator" else [True])


def test_early_answer_ends_a_body(loop):
    """It can be read, the generator is closed, and the connection goes on with a new one."""
    closed = []

    async def endless():
        try:
            while True:
                yield pattern(10_000)
        finally:
            closed.append(True)

    def handler(sock):
        head = read_head(sock)
        if b"PUT" in head:
            sock.sendall(b"HTTP/1.1 413 No\r\nContent-Length: 0\r\n\r\n")
            while sock.recv(65536):
                pass
        else:
            sock.sendall(OK)

    async def main():
        async with async_connect("127.0.0.1", server.port, timeout=10) as conn:
            with pytest.raises(ConnectionClosed) as caught:
                await conn.send(Request("PUT", "/", body=endless()))
            assert caught.value.request_sent == "yes"
            assert (await conn.read_response()).status == 413
            await conn.discard()
            await conn.send_request("GET", "/")
            assert (await conn.read_response()).status == 200

    with ScriptedServer(handler) as server:
        loop.run(main)
    assert closed == [True]


@pytest.mark.parametrize("way", ["raises", "text", "cancelled", "head"])
def test_body_that_is_not_completed_breaks_the_connection(loop, way):
    closed, waits = [], threading.Event()

    async def body():
        try:
            yield b"some"
            if way == "raises":
                raise LookupError("gone")
            yield "text" if way == "text" else b"more"
            waits.set()
            await loop.sleep(math.inf if loop is Trio else 3600)
        finally:
            closed.append(True)

    def handler(sock):
        read_head(sock)
        while sock.recv(65536):
            pass

    async def main():
        async with async_connect("127.0.0.1", server.port, timeout=10) as conn:
            headers = {"Bad Name": "x"} if way == "head" else {}
            sending = conn.send(Request("PUT", "/", headers, body()))
            if way == "cancelled":
                assert await loop.cancelled_after(waits, sending)
            else:
                error = {"raises": LookupError, "text": TypeError}.get(way, ValueError)
                with pytest.raises(error):
                    await sending
            if way == "head":
                assert conn.connection.is_open()  # nothing was sent
                return
            with pytest.raises(ConnectionClosed, match="given up"):
                await conn.read_response()
            with pytest.raises(ConnectionClosed):
                await conn.send_request("GET", "/")
            conn.connection.reset()

    with ScriptedServer(handler) as server:
        loop.run(main)
    assert closed == ([] if way == "head" else [True])  # one that has not begun has nothing to end


@pytest.mark.feature("A40")
def test_cancelled_reading_loses_nothing(loop):
    go_on = [threading.Event(), threading.Event()]

    def handler(sock):
        read_head(sock)
        for event, piece in zip(go_on, (OK[:-1], OK[-1:]), strict=True):
            assert event.wait(20)
            sock.sendall(piece)

    async def main():
        async with async_connect("127.0.0.1", server.port) as conn:
            await conn.send_request("GET", "/")
            assert await loop.limited(0.02, conn.read_response())
            go_on[0].set()
            assert (await conn.read_response()).status == 200
            assert await loop.limited(0.02, conn.readall())
            go_on[1].set()
            assert await conn.readall() == b"ok"

    with ScriptedServer(handler) as server:
        loop.run(main)


def test_cancelled_sending_breaks_the_connection(loop):
    begun = threading.Event()

    def handler(sock):
        read_head(sock)
        read_exactly(sock, 1)
        begun.set()
        run(wake.co_wait(time.monotonic() + 60))

    async def main():
        async with async_connect("127.0.0.1", server.port) as conn:
            await conn.send_request("PUT", "/", body=BodyFollowing(1 << 30))
            assert await loop.cancelled_after(begun, conn.write(bytes(1 << 26)))
            with pytest.raises(ConnectionClosed, match="broken"):
                await conn.write(b"x")
        wake.set()

    with Wake() as wake, ScriptedServer(handler) as server:
        loop.run(main)


def test_cancelled_block_closes_the_connection(loop):
    connections = []

    async def block():
        async with async_connect("127.0.0.1", server.port) as conn:
            connections.append(conn.connection)
            await conn.send_request("GET", "/")
            await conn.read_response()

    async def closing():
        conn = await async_connect("127.0.0.1", server.port)
        connections.append(conn.connection)
        try:
            await loop.sleep(10)
        finally:
            await conn.close()

    async def main():
        for number, connecting in enumerate((block, closing)):
            for seconds in LONGER_AND_LONGER:
                assert await loop.limited(seconds, connecting())
                if len(connections) > number:
                    break
        for conn in connections:
            assert not conn.is_open()
            assert conn.get_extra_info("socket") is None

    def handler(sock):
        while sock.recv(100):
            pass

    with ScriptedServer(handler) as server:
        loop.run(main)
    assert len(connections) == 2


def test_connection_that_is_not_made(loop):
    async def main():
        with pytest.raises(OSError, match="cannot connect"):
            async with async_connect("127.0.0.1", 1):
                raise AssertionError
        with pytest.raises(OSError, match="cannot connect"):
            await async_connect("127.0.0.1", 1)

    loop.run(main)


def test_one_task_writes_while_another_one_reads(loop, start):
    server = start("granian")

    async def main():
        async with async_connect(server.host, server.port, timeout=30) as conn:

            async def write():
                for _ in range(50):
                    await conn.send_request("PUT", "/upload", body=BodyFollowing(100_000))
                    await conn.write(pattern(100_000))

            async def read():
                for _ in range(50):
                    while not conn.connection.response_pending():
                        await loop.sleep(0.001)
                    await conn.read_response()
                    assert json.loads(await conn.readall())["length"] == 100_000

            await loop.both(write(), read())

    loop.run(main)


def test_nothing_is_missing_and_signatures_are_the_same(loop):
    for name in dir(HTTPConnection):
        if not name.startswith("co_") or name in NOT_TWINS:
            continue
        operation = getattr(HTTPConnection, name)
        method = getattr(AsyncConnection, name.removeprefix("co_"))
        ours, theirs = inspect.signature(method), inspect.signature(operation)
        assert list(ours.parameters.values()) == list(theirs.parameters.values())
        assert f"Co[{ours.return_annotation}]" == theirs.return_annotation
        assert inspect.iscoroutinefunction(method)
        assert method.own_doc == f"Awaitable twin of `HTTPConnection.{name}`."
        assert method.__qualname__ == f"AsyncConnection.{name.removeprefix('co_')}"
    for name in ("co_close", "co_send"):
        assert inspect.iscoroutinefunction(getattr(AsyncConnection, name.removeprefix("co_")))


def test_connection_and_runner_of_ones_own(loop):
    """Operations of a subclass are the ones that run."""
    seen = []

    class Mine(HTTPConnection):
        def co_readall(self):
            seen.append("co_readall")
            return (yield from super().co_readall())

    async def my_run(op):
        seen.append("run")
        return await theirs(op)

    async def main():
        nonlocal theirs
        theirs = AsyncConnection(HTTPConnection("unused")).run
        async with AsyncConnection(Mine("127.0.0.1", server.port), my_run) as conn:
            await conn.send_request("GET", "/")
            await conn.read_response()
            assert await conn.readall() == b"ok"

    theirs = None
    with ScriptedServer(answering(OK)) as server:
        loop.run(main)
    assert seen == ["run"] * 4 + ["co_readall"]


def test_errors_of_arguments_come_when_it_is_awaited(loop):
    async def main():
        async with async_connect("127.0.0.1", server.port) as conn:
            waiting = conn.readinto("text")
            with pytest.raises(TypeError):
                await waiting
            with pytest.raises(TypeError):
                async_connect(5)
        assert aio.run is conn.run or loop is Trio

    with ScriptedServer(answering(OK)) as server:
        loop.run(main)
