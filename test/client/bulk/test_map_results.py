"""The iteration of `Client.map`: under every driver, in coroutines, over HTTP/2, and cancelled."""

import asyncio
import gc
import warnings

import pytest
import trio
from kit.every_driver import DRIVERS
from kit.h2_server import Answer
from kit.h2_site import h2_site
from kit.memory_site import MemorySite
from kit.sites import Site, answer_of
from kit.support import open_descriptors, wait_until

from dugong_like import (
    AsyncClient,
    Client,
    ConnectionClosed,
    Connector,
    MapItem,
    MapProgress,
    Pool,
    StateError,
    run,
)

BOTH = pytest.mark.parametrize("way", [asyncio.run, trio.run], ids=["asyncio", "trio"])


def own_target(sock, seen):
    if seen.target == "/5":
        sock.sendall(answer_of(302, "Location: /moved"))
        return True
    if seen.target == "/11":  # the last one of its connection
        sock.sendall(answer_of(200, "Connection: close", body=b"/11"))
        return False
    sock.sendall(answer_of(200, body=seen.target.encode()))
    return True


WANTED = ["/moved" if number == 5 else f"/{number}" for number in range(60)]


def client(**options):
    return Client(timeout=60, trust_env=False, **options)


def urls(site, count=60):
    return [f"http://127.0.0.1:{site.port}/{number}" for number in range(count)]


@pytest.mark.feature("N21")
@pytest.mark.parametrize("driver", DRIVERS)
def test_under_every_driver(driver):
    with Site({None: own_target}) as site, client() as asking:
        driver(asking.co_map(urls(site, 20), str))  # what the driver keeps open for itself
    gc.collect()
    before = open_descriptors()
    with Site({None: own_target}) as site, client() as asking:
        items = []
        progress = driver(asking.co_map(urls(site), items.append, concurrency=3, depth=4))
        assert [item.response.text for item in items] == WANTED
        assert progress[:3] == (60, 60, 0)
    wait_until(lambda: gc.collect() >= 0 and open_descriptors() <= before)


@pytest.mark.parametrize("ordered", [True, False])
@pytest.mark.parametrize("driver", DRIVERS)
def test_errors_are_values_under_every_driver(driver, ordered):
    """Each tenth response is cut short, however often; the others have all come."""

    def cut(sock, seen):
        if seen.target.endswith("5"):
            sock.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nx")
            return False
        sock.sendall(answer_of(200, body=seen.target.encode()))
        return True

    items = []
    with Site({None: cut}) as site, client() as asking:
        options = {"concurrency": 3, "depth": 4, "errors": "return", "ordered": ordered}
        progress = driver(asking.co_map(urls(site), items.append, **options))
    assert progress[:3] == (60, 60, 6)
    if ordered:
        assert [item.index for item in items] == list(range(60))
    items.sort(key=lambda item: item.index)
    assert all(isinstance(item.error, ConnectionClosed) for item in items[5::10])
    for number, item in enumerate(items):
        if number % 10 != 5:
            assert (item.index, item.error, item.response.text) == (number, None, f"/{number}")


@BOTH
@pytest.mark.parametrize("ordered", [True, False])
def test_coroutines(way, ordered):
    with Site({None: own_target}) as site:

        async def main():
            async with AsyncClient(timeout=60, trust_env=False) as asking:
                results = asking.map(urls(site), ordered=ordered, window=20)
                return [item async for item in results]

        items = run_in(way, main)
    items.sort(key=lambda item: item.index)
    assert [item.response.text for item in items] == WANTED


def run_in(way, main):
    return way(main()) if way is asyncio.run else way(main)


@BOTH
def test_asynchronous_iterables(way):
    taken = []
    with Site({None: own_target}) as site:

        async def arriving():
            for url in urls(site):
                if way is asyncio.run:
                    await asyncio.sleep(0)
                else:
                    await trio.lowlevel.checkpoint()
                taken.append(url)
                yield url

        async def main():
            async with AsyncClient(timeout=60, trust_env=False) as asking:
                texts = []
                async for item in asking.map(arriving(), window=7):
                    texts.append(item.response.text)
                    assert len(taken) <= len(texts) - 1 + 7 + 1
                return texts

        assert run_in(way, main) == WANTED


def test_results_come_while_an_asynchronous_iterable_waits():
    """It gives the second request when it has seen the first result."""
    with Site({None: own_target}) as site:

        async def main():
            seen = asyncio.Event()

            async def arriving():
                yield urls(site)[0]
                await seen.wait()
                yield urls(site)[1]

            async with AsyncClient(timeout=60, trust_env=False) as asking:
                texts = []
                async for item in asking.map(arriving()):
                    texts.append(item.response.text)
                    seen.set()
                return texts

        assert asyncio.run(main()) == ["/0", "/1"]


def test_an_asynchronous_iterable_needs_a_loop():
    async def arriving():
        yield "http://a.test/"

    with MemorySite().client() as asking, pytest.raises(StateError, match="AsyncClient"):
        list(asking.map(arriving()))


@BOTH
def test_a_task_that_is_cancelled_loses_nothing(way):
    release = []

    def held(sock, seen):
        if seen.target == "/0":
            wait_until(lambda: release)
        sock.sendall(answer_of(200, body=seen.target.encode()))
        return True

    with Site({None: held}) as site:

        async def main():
            async with AsyncClient(timeout=60, trust_env=False) as asking:
                results = asking.map(urls(site, 10), concurrency=1)
                if way is asyncio.run:
                    waiting = asyncio.ensure_future(results.anext())
                    await asyncio.sleep(0)
                    waiting.cancel()
                    with pytest.raises(asyncio.CancelledError):
                        await waiting
                else:
                    with trio.move_on_after(0):
                        await results.anext()
                release.append(True)
                return [item.response.text async for item in results]

        assert run_in(way, main) == [f"/{number}" for number in range(10)]


@BOTH
def test_leaving_it_closes_what_is_open(way):
    release = []

    def held(sock, seen):
        if seen.target != "/0":
            wait_until(lambda: release)
        sock.sendall(answer_of(200, body=seen.target.encode()))
        return True

    with Site({None: held}) as site:

        async def main():
            async with AsyncClient(timeout=60, trust_env=False) as asking:
                async with asking.map(urls(site, 10)) as results:
                    async for _ in results:
                        break
                stats = asking.stats()
                assert all(one.busy == one.waiting == 0 for one in stats.values())
                await results.aclose()
                assert await results.anext() is None

        try:
            run_in(way, main)
        finally:
            release.append(True)


@pytest.mark.parametrize(("streams", "connections"), [(3, 8), (100, 1)])
def test_http2(streams, connections):
    def app(request):
        return Answer(body=request[":path"].encode())

    server = h2_site(app, max_concurrent_streams=streams)
    with server, _http2_client() as asking:
        items = list(asking.map(urls(server), window=30))
        assert [item.response.text for item in items] == [f"/{number}" for number in range(60)]
        assert {item.response.http_version for item in items} == {"2"}
        assert server.connections <= connections


def _http2_client():
    return Client(dispatcher=Pool(Connector(versions=("h2",), trust_env=False)), timeout=60)


def test_only_one_call_may_wait():
    site = MemorySite(lambda _: None)
    with site.client() as asking:
        results = asking.map(["http://a.test/"])
        operation = results.co_next()
        next(operation)
        with pytest.raises(StateError, match="another call"):
            results.next()
        operation.close()
        site.release()
        assert results.next().response.text == "/"
        assert results.next() is None


def test_faces():
    with MemorySite().client() as asking:
        with asking.map(["http://a.test/x"]) as results:
            assert repr(results) == "<MapResults: 0 of 0 requests done>"
            item = results.next()
            assert isinstance(item, MapItem)
            assert repr(results) == "<MapResults: 1 of 1 requests done>"
            assert run(results.co_next()) is None
            run(results.co_close())
        assert results.progress == MapProgress(1, 1, 0, 0, 2)
        assert iter(results) is results
        assert aiter(results) is results


def test_forgotten_results_close_what_is_open():
    site = MemorySite(lambda _: None)
    with site.client() as asking, warnings.catch_warnings():
        warnings.simplefilter("error")
        results = asking.map(["http://a.test/"])
        operation = results.co_next()
        next(operation)
        operation.close()
        assert site.open() == 1
        del results, operation
        gc.collect()
        assert site.open() == 0


def test_what_the_function_raises_ends_all():
    site = MemorySite()

    def take(item):
        if item.index == 3:
            raise KeyError("x")

    with site.client() as asking:
        with pytest.raises(KeyError):
            run(asking.co_map([f"http://a.test/{n}" for n in range(10)], take))
        assert all(one.busy == 0 for one in asking.stats().values())
        with pytest.raises(TypeError, match="take"):
            asking.co_map([], None)


def test_two_clients_may_be_mapped_in_turn():
    """Each drives its own connections, and only while it is asked."""
    site = MemorySite()
    with site.client() as one, site.client() as two:
        given = [f"http://a.test/{n}" for n in range(50)]
        pairs = list(zip(one.map(given, window=5), two.map(given, window=5), strict=True))
    assert all(first.response.text == second.response.text for first, second in pairs)
    assert len(pairs) == 50


def test_a_map_may_be_made_of_another_one():
    site = MemorySite()
    with site.client() as asking:
        first = asking.map((f"http://a.test/{n}" for n in range(50)), window=5)
        again = (f"http://b.test{item.response.text}" for item in first)
        texts = [item.response.text for item in asking.map(again, window=5)]
    assert texts == [f"/{n}" for n in range(50)]


def test_an_error_in_coroutines():
    def broken(sock, seen):
        if seen.target == "/3":
            sock.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nx")
            return False
        sock.sendall(answer_of(200, body=seen.target.encode()))
        return True

    with Site({None: broken}) as site:

        async def main():
            got = []
            async with AsyncClient(timeout=60, trust_env=False) as asking:
                with pytest.raises(ConnectionClosed):
                    async for item in asking.map(urls(site, 10)):
                        got.append(item.index)
            return got

        assert asyncio.run(main()) == [0, 1, 2]
