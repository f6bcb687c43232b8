"""HTTP/2 with all that stands on a connection: pipelines, callbacks, files, and interruptions."""

import asyncio
import gc
import os
import signal
import tempfile
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from kit.h2_server import h2_server
from kit.h2_site import h2_site
from kit.h2_streams import PeerStream, bodies_of, is_ready, results_of
from kit.streams import connection
from kit.support import pattern
from kit.ways import on_trio

from dugong_like import (
    AsyncConnection,
    BodyFollowing,
    ConnectionClosed,
    ConnectionTimedOut,
    HTTPConnection,
    LoopThread,
    Pipeline,
    Request,
    async_connect,
    both,
    run,
    within,
)
from dugong_like.connection.h2 import pump
from dugong_like.drivers import aio
from dugong_like.drivers.loop import Loop
from dugong_like.polling import wake

H2 = {"versions": ("h2",), "timeout": 20}


@pytest.fixture
def conn():
    with h2_site() as server, HTTPConnection("127.0.0.1", server.port, **H2) as made:
        made.peers = server.peers
        yield made


def test_pipeline(conn):
    requests = [Request("GET", f"/bytes/{size}") for size in range(0, 3000, 20)]
    requests += [Request("PUT", "/echo", body=pattern(size)) for size in (0, 10, 100_000)]
    answers = Pipeline(conn, requests).run()
    assert [len(answer.body) for answer in answers] == [*range(0, 3000, 20), 0, 10, 100_000]
    assert len(conn.peers) == 1


def test_streams_that_call_back(conn):
    pieces = {}

    def on_body(http_stream, chunk):
        pieces.setdefault(http_stream.request.target, []).append(chunk)

    with LoopThread() as thread:
        streams = [
            conn.request(Request("GET", f"/bytes/{size}"), on_body=on_body)
            for size in (1, 50_000, 3)
        ]
        for stream in streams:
            stream.activate(thread)
        assert [stream.completion_future.result(100) for stream in streams] == [200] * 3
    assert {path: len(b"".join(got)) for path, got in pieces.items()} == {
        "/bytes/1": 1, "/bytes/50000": 50_000, "/bytes/3": 3,
    }  # fmt: skip


def test_files_both_ways(conn):
    with tempfile.TemporaryFile() as file:
        conn.send_request("GET", "/bytes/1000000")
        conn.read_response()
        assert conn.recv_to_file(file) == 1_000_000
        conn.send_request("PUT", "/echo", body=BodyFollowing(1_000_000))
        assert conn.sendfile(file) == 1_000_000
        conn.read_response()
        file.seek(0)
        assert conn.readall() == file.read() == pattern(1_000_000)


def test_tasks_of_asyncio(conn):
    async def main():
        shared = AsyncConnection(conn)
        paths = [f"/bytes/{size}" for size in range(50)]
        replies = await asyncio.gather(*[shared.exchange("GET", path) for path in paths])
        assert [reply.length for reply in replies] == [*range(50)]
        first, second = [await shared.send_request("GET", path) for path in paths[:2]]
        assert await shared.run(second.co_read_response())
        assert await shared.ping() > 0
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(shared.serve(), 0.01)
        first.abandon()

    asyncio.run(main())
    assert not conn.is_reusable()  # the second response is still to be read
    assert len(conn.peers) == 1


@pytest.mark.skipif(not hasattr(os, "eventfd"), reason="needs eventfd (Linux)")
@pytest.mark.parametrize("kind", ["Loop", "asyncio", "trio"])
def test_operations_of_one_loop_need_no_descriptors_for_each_other(conn, monkeypatch, kind):
    """One of them receives for all, and the loop resumes the others."""

    def signal_(end):
        made.append(end.fileno())
        signal(end)

    made = []
    signal = wake._EventFD.signal
    monkeypatch.setattr(wake._EventFD, "signal", signal_)
    # One that is resumed by that time limit, on a busy machine, is not resumed by the others.
    monkeypatch.setattr(pump, "PATIENCE", 60)
    conn.exchange("GET", "/")
    paths = [f"/bytes/{size}" for size in range(30)] * 3
    replies = results_in_loop(kind, [conn.co_exchange("GET", path) for path in paths])
    assert [len(reply.body) for reply in replies] == [*range(30)] * 3
    flags = conn._session.shared.pump._wakes
    assert flags
    assert not {flag.fd for flag in flags} & {*made}


def results_in_loop(kind, ops):
    """Return the results of *ops*, which run at once in one loop."""
    if kind == "Loop":
        with Loop() as loop:
            tasks = [loop.spawn(op) for op in ops]
            loop.run_all()
            return [task.result() for task in tasks]
    if kind == "asyncio":

        async def main():
            return await asyncio.gather(*map(aio.run, ops))

        return asyncio.run(main())
    trio = pytest.importorskip("trio")
    from dugong_like.drivers import trio as driver

    results = [None] * len(ops)

    async def one(number):
        results[number] = await driver.run(ops[number])

    async def main():
        async with trio.open_nursery() as nursery:
            for number in range(len(ops)):
                nursery.start_soon(one, number)

    trio.run(main)
    return results


def test_tasks_of_asyncio_over_tls(certificate, trusting):
    context = certificate.server_context()
    context.set_alpn_protocols(["h2"])

    async def main(port):
        async with async_connect("localhost", port, trusting, **H2) as conn:
            bodies = [b"x" * size for size in (0, 10, 100_000, 300_000)] * 5
            replies = await asyncio.gather(
                *[conn.exchange("PUT", "/echo", None, body) for body in bodies]
            )
            assert [reply.body for reply in replies] == bodies
            assert conn.connection.alpn == "h2"

    with h2_site(tls=context) as server:
        asyncio.run(main(server.port))
    assert len(server.peers) == 1


def test_tasks_of_trio(conn):
    import trio

    from dugong_like.drivers import trio as driver

    got = []

    async def one(size):
        got.append((await driver.run(conn.co_exchange("GET", f"/bytes/{size}"))).length)

    async def main():
        async with trio.open_nursery() as nursery:
            for size in range(30):
                nursery.start_soon(one, size)

    trio.run(main)
    assert sorted(got) == [*range(30)]
    assert on_trio(conn.co_exchange("GET", "/")).body == b"hello"


def test_threads_over_tls(certificate, trusting):
    context = certificate.server_context()
    context.set_alpn_protocols(["h2"])
    with (
        h2_site(tls=context) as server,
        HTTPConnection("localhost", server.port, trusting, **H2) as conn,
        ThreadPoolExecutor(8) as pool,
    ):
        sizes = [0, 1, 100_000] * 15
        got = pool.map(lambda size: conn.exchange("GET", f"/bytes/{size}").body, sizes)
        assert [*got] == [pattern(size) for size in sizes]
    assert len(server.peers) == 1


# ---- interruptions


def co_everything(conn):
    """Do one exchange of each kind; return what they gave."""
    reply = yield from conn.co_exchange("PUT", "/echo", None, b"x" * 70_000)
    exchange = yield from conn.co_send_request("PUT", "/echo", body=BodyFollowing())
    try:
        yield from conn.co_write(b"y" * 70_000)
        yield from conn.co_finish()
        yield from exchange.co_read_response()
        return len(reply.body) + len((yield from exchange.co_readall()))
    finally:
        exchange.abandon()  # which is nothing if it is complete


@pytest.mark.parametrize("how", ["close", "throw"])
def test_an_interruption_at_every_yield_leaves_a_connection_that_works(monkeypatch, how):
    """And the operation beside it, which goes on, gets what it waits for."""
    total = number = 0
    while not total:
        stream = PeerStream()
        conn = connection(monkeypatch, stream, versions=("h2",))
        assert bodies_of(stream, conn.co_exchange("GET", "/")) == [b"hello"]
        over = []

        def co_beside(conn=conn, over=over):
            while not over:
                reply = yield from conn.co_exchange("GET", "/bytes/100")
                assert reply.body == pattern(100)

        beside = co_beside()
        other = next(beside)
        stream.room = 30_000  # it blocks now and then
        going = co_everything(conn)
        try:
            for _ in range(number):
                need = next(going)
                while not is_ready(stream, need):
                    stream.arrive()
                    stream.room += 10_000
                    if is_ready(stream, other):
                        other = next(beside)
            if how == "close":
                going.close()
            else:
                with pytest.raises(ConnectionTimedOut):
                    going.throw(ConnectionTimedOut("of mine"))
        except StopIteration as end:
            total = end.value
        over.append(True)
        stream.room = 1 << 30
        last = conn.co_exchange("GET", "/bytes/7")
        assert results_of(stream, beside, last)[1].body == pattern(7)
        assert conn.is_reusable(), number
        assert conn.renewals == 0
        conn.close()
        number += 1
    assert total == 140_000
    assert number > 10


def test_operations_that_are_forgotten_leave_nothing(conn):
    for number in range(20):
        going = conn.co_exchange("GET", f"/bytes/{number}")
        next(going)
        if number % 2:
            next(going, None)  # the answer may be there
        del going
    gc.collect()
    assert conn.exchange("GET", "/").body == b"hello"
    assert conn.is_reusable()
    assert len(conn.peers) == 1


def test_a_time_limit_of_ones_own(conn):
    with pytest.raises(ConnectionTimedOut):
        run(within(0, conn.co_exchange("GET", "/bytes/100")))
    assert conn.exchange("GET", "/").body == b"hello"
    assert len(conn.peers) == 1


def test_closing_ends_the_operations_of_other_threads():
    with (
        h2_server(lambda request: None) as server,
        HTTPConnection("127.0.0.1", server.port, **H2) as conn,
        ThreadPoolExecutor(4) as pool,
    ):
        conn.ping()
        ends = [pool.submit(conn.exchange, "GET", "/") for _ in range(4)]
        while len(server.peers[0].requests) < 4:
            conn.ping()
        conn.close()
        for end in ends:
            assert isinstance(end.exception(20), ConnectionClosed)


def test_ctrl_c_while_it_waits(conn):
    """The next operation works, and so does the thread beside it."""
    with h2_server(lambda request: None) as server:
        silent = HTTPConnection("127.0.0.1", server.port, **H2)
        silent.ping()
        main = threading.main_thread().ident

        def interrupt():
            while not server.peers[0].requests:
                silent.ping()
            signal.pthread_kill(main, signal.SIGINT)

        thread = threading.Thread(target=interrupt)
        thread.start()
        with pytest.raises(KeyboardInterrupt):
            silent.exchange("GET", "/")
            raise AssertionError("it was not interrupted")
        thread.join()
        assert silent.ping() > 0  # on another connection if a step was interrupted
        silent.close()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="Windows")
def test_a_child_process_has_a_connection_of_its_own(conn):
    conn.ping()
    going = conn.co_exchange("GET", "/bytes/10")
    next(going)
    other = conn.co_exchange("GET", "/bytes/20")
    next(other)
    child = os.fork()
    if not child:
        try:
            going.close()
            good = conn.exchange("GET", "/bytes/30").length == 30
            try:
                run(other)
            except ConnectionClosed:
                os._exit(0 if good else 3)
            os._exit(4)
        finally:
            os._exit(5)
    assert os.waitpid(child, 0)[1] == 0
    assert [len(reply.body) for reply in run(both(going, other))] == [10, 20]
    assert conn.renewals == 0


def test_drivers_are_mixed_on_one_connection(conn):
    """A loop waits, and a thread that comes later reads for both; and the other way round."""

    async def main():
        waiting = asyncio.ensure_future(aio.run(conn.co_exchange("GET", "/bytes/100000")))
        await asyncio.sleep(0)
        body = await asyncio.to_thread(lambda: conn.exchange("GET", "/bytes/3").body)
        assert body == pattern(3)
        return (await waiting).length

    assert asyncio.run(main()) == 100_000
