"""Sources of events as callers use them: every way of waiting, giving up, and closing.

Not here: when a source reconnects, and what is an error (test_event_stream.py).
"""

import asyncio
import gc
import select
import threading
import zlib
from contextlib import contextmanager, suppress

import pytest
import trio
from kit.every_driver import DRIVERS
from kit.sites import Site, answer_of
from kit.support import open_descriptors, wait_until
from kit.ways import WAYS

from dugong_like import (
    AsyncClient,
    Client,
    ConnectFailed,
    ConnectionTimedOut,
    InvalidOption,
    InvalidRequest,
    MockDispatcher,
    RedirectRefused,
    Response,
    SSEError,
    StateError,
    StatusError,
    run,
    within,
)
from dugong_like.drivers.loop import Loop
from dugong_like.polling.wake import co_checkpoint

HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n"
BOTH = pytest.mark.parametrize("way", [asyncio.run, trio.run], ids=["asyncio", "trio"])


def chunk(data):
    return b"%x\r\n%s\r\n" % (len(data), data)


def stream(*pieces, ends=True):
    """Return an answer with *pieces* of a stream, which then ends, or waits for its client."""

    def answer(sock, seen):
        before = HEAD + b"Transfer-Encoding: chunked\r\n\r\n"
        for piece in pieces:
            sock.sendall(before + chunk(piece))
            before = b""
        if ends:
            sock.sendall(b"0\r\n\r\n")
            return True
        sock.recv(1)
        return False

    return answer


def three():
    """Return the answers of three connections, the second of which breaks off."""

    def broken(sock, seen):
        sock.sendall(HEAD + b"Transfer-Encoding: chunked\r\n\r\n")
        sock.sendall(chunk(b"id: 3\ndata: c\n\nid: 4\ndata: lost"))
        return False

    first = stream(b"retry: 1\n\nid: 1\nda", b"ta: a\n\nid: 2\ndata: b\n\n")
    return [first, broken, stream(b"id: 4\ndata: d\n\n"), answer_of(204)]


@contextmanager
def a_site():
    before = open_descriptors()
    endless = stream(b"id: 1\ndata: a\n\ndata: b\n\n", ends=False)
    with Site({"/endless": endless, "/three": three()}) as site:
        yield site
    wait_until(lambda: open_descriptors() <= before)


@pytest.fixture
def site():
    with a_site() as site:
        yield site


@pytest.fixture
def client():
    with Client(timeout=20, trust_env=False) as client:
        yield client
        assert busy(client) == 0


def busy(client):
    return sum(one.busy for one in client.stats().values())


def place(site, path):
    return f"http://127.0.0.1:{site.port}{path}"


def co_all(source):
    found = []
    while (event := (yield from source.co_next())) is not None:
        found.append(event.data)
    return found


def all_of(source):
    return run(co_all(source))


def check_three(site, found):
    assert found == ["a", "b", "c", "d"]
    assert [seen.headers.get("Last-Event-ID") for seen in site.seen] == [None, "2", "3", "4"]
    assert {seen.headers["Accept"] for seen in site.seen} == {"text/event-stream"}
    assert {seen.headers["Cache-Control"] for seen in site.seen} == {"no-cache"}


@pytest.mark.feature("E39")
@pytest.mark.parametrize("driver", DRIVERS)
def test_under_every_driver(driver):
    driver(co_checkpoint())  # opens what it keeps open for itself
    with a_site() as site, Client(timeout=20, trust_env=False) as client:
        source = client.sse(place(site, "/three"))
        check_three(site, driver(co_all(source)))
        assert source.is_closed
        assert driver(source.co_next()) is None
        assert busy(client) == 0


@pytest.mark.feature("E39")
@pytest.mark.parametrize("with_block", [False, True])
def test_blocking(site, client, with_block):
    if with_block:
        with client.sse(place(site, "/three")) as source:
            assert source.response.status_code == 200
            assert len(site.seen) == 1
            found = [event.data for event in source]
        assert source.next() is None
    else:
        found = [event.data for event in client.sse(place(site, "/three"))]
    check_three(site, found)


@pytest.mark.feature("E39")
@BOTH
@pytest.mark.parametrize("with_block", [False, True])
def test_coroutines(site, way, with_block):
    async def main():
        async with AsyncClient(timeout=20, trust_env=False) as client:
            if with_block:
                async with client.sse(place(site, "/three")) as source:
                    assert source.response.status_code == 200
                    found = [event.data async for event in source]
                assert await source.anext() is None
            else:
                found = [event.data async for event in client.sse(place(site, "/three"))]
            assert busy(client) == 0
            return found

    check_three(site, way(main) if way is trio.run else way(main()))


def test_what_it_says(site, client):
    source = client.sse(place(site, "/endless"), last_event_id="0", reconnect_after=7)
    assert (source.response, source.is_closed, source.last_event_id) == (None, False, "0")
    assert repr(source) == f"<EventSource GET {source.url} not connected>"
    assert source.connect() is source.connect() is source.response
    assert source.response.headers["content-type"] == "text/event-stream"
    assert len(site.seen) == 1
    assert repr(source).endswith(" open>")
    assert source.last_event_id == "0"
    assert source.next().id == source.last_event_id == "1"
    assert source.reconnect_after == 7
    assert source.request.headers["Accept"] == "text/event-stream"
    assert busy(client) == 1
    source.close()
    source.close()
    assert source.is_closed
    assert source.response.is_closed
    assert repr(source).endswith(" closed>")
    assert busy(client) == 0
    assert run(client.sse(place(site, "/three")).co_connect()).status_code == 200


def test_last_event_id_is_that_of_the_last_event_returned(site, client):
    pieces = b"id: 1\ndata: a\n\nid: 2\ndata: b\n\nid: 3\n\n"
    site._answers["/ids"] = stream(pieces)
    source = client.sse(place(site, "/ids"), reconnect=False, last_event_id="0")
    found = []
    while True:
        found.append(source.last_event_id)
        if source.next() is None:
            break
    assert found == ["0", "1", "3"]


@pytest.mark.parametrize("way", WAYS)
def test_operation_that_is_given_up_at_any_wait_loses_nothing(site, client, way):
    def co_impatient():
        source = client.sse(place(site, "/three"))
        found = []
        given_up = 0
        patience = 0
        while True:
            op = source.co_next()
            try:
                for _ in range(patience):
                    yield next(op)
                op.close()
                given_up += 1
                patience = 1 - patience
            except StopIteration as end:
                patience = 0
                if end.value is None:
                    return found, given_up
                found.append(end.value.data)

    found, given_up = way(co_impatient())
    check_three(site, found)
    assert given_up >= 4
    assert len(site.seen) == 4  # it goes on with the same connections


def test_operation_whose_time_is_over_loses_nothing(site, client):
    go_on = threading.Event()

    def answer(sock, seen):
        sock.sendall(HEAD + b"Transfer-Encoding: chunked\r\n\r\n" + chunk(b"data: a"))
        go_on.wait(20)
        sock.sendall(chunk(b"b\n\n"))
        return False

    site._answers["/late"] = answer
    with client.sse(place(site, "/late"), method="POST") as source:
        for _ in range(3):
            with pytest.raises(ConnectionTimedOut):
                run(source.co_next(), 0.001)
            with pytest.raises(ConnectionTimedOut):
                run(within(0, source.co_next()))
        go_on.set()
        assert source.next().data == "ab"
    assert len(site.seen) == 1


@BOTH
def test_cancelled_task_loses_nothing(site, way):
    go_on = threading.Event()

    def answer(sock, seen):
        sock.sendall(HEAD + b"Transfer-Encoding: chunked\r\n\r\n" + chunk(b"data: a\n\ndata: b"))
        go_on.wait(20)
        sock.sendall(chunk(b"\n\n"))
        return False

    site._answers["/late"] = answer

    async def impatient(source):
        if way is trio.run:
            with trio.move_on_after(0.01):
                return await source.anext()
            return None
        with suppress(TimeoutError):
            async with asyncio.timeout(0.01):
                return await source.anext()

    async def main():
        async with AsyncClient(timeout=20, trust_env=False) as client:
            async with client.sse(place(site, "/late")) as source:
                found = [await source.anext()]
                assert await impatient(source) is None
                assert await impatient(source) is None
                go_on.set()
                found.append(await source.anext())
                assert await impatient(source) is None
            assert busy(client) == 0
            return found

    found = way(main) if way is trio.run else way(main())
    assert [event.data for event in found] == ["a", "b"]


@BOTH
def test_cancelled_task_leaves_nothing_open(site, way):
    seen = []

    async def listen(client):
        async for event in client.sse(place(site, "/endless")):
            seen.append(event.data)

    async def both_seen(sleep):
        while len(seen) < 2:
            await sleep(0.001)

    async def on_asyncio():
        async with AsyncClient(timeout=20, trust_env=False) as client:
            task = asyncio.create_task(listen(client))
            await both_seen(asyncio.sleep)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            assert busy(client) == 0

    async def on_trio():
        async with AsyncClient(timeout=20, trust_env=False) as client:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(listen, client)
                await both_seen(trio.sleep)
                nursery.cancel_scope.cancel()
            assert busy(client) == 0

    trio.run(on_trio) if way is trio.run else asyncio.run(on_asyncio())


def comes(need, asked):
    """Return True if what is waited for comes: when the server has been asked, soon or never."""
    wait_until(lambda: need.poll(0.02) or asked())
    return need.poll(0.02)


@pytest.mark.parametrize("path", ["/endless", "/three", "/pause", "/silent"])
def test_closed_after_each_number_of_waits(site, client, path):
    site._answers["/silent"] = lambda sock, seen: sock.recv(1)
    site._answers["/pause"] = stream(b"retry: 20000\ndata: a\n\n")
    for steps in range(100):
        site._answers["/three"] = three()
        source = client.sse(place(site, path))
        op = co_all(source)
        asked = len(site.seen)
        try:
            for _ in range(steps):
                if not comes(next(op), lambda asked=asked: len(site.seen) > asked):
                    break
            else:
                op.close()
                continue
            break
        except StopIteration:
            break
        finally:
            source.close()
            assert busy(client) == 0
            assert source.is_closed
            op.close()
            assert source.next() is None or steps
    assert steps >= 2


WAITS = {
    "a head": lambda sock, seen: sock.recv(1),
    "an event": stream(b"data: a\n\ndata: b", ends=False),
    "a reconnection": stream(b"retry: 20000\ndata: a\n\n"),
}


@pytest.mark.parametrize("name", WAITS)
@pytest.mark.parametrize("way", WAYS)
def test_closed_by_another_thread(site, client, way, name):
    site._answers["/wait"] = WAITS[name]
    source = client.sse(place(site, "/wait"))
    found = []

    def co_listen():
        while (event := (yield from source.co_next())) is not None:
            found.append(event.data)

    listener = threading.Thread(target=way, args=(co_listen(),))
    listener.start()
    wait_until(lambda: found or (name == "a head" and site.seen))
    source.close()
    assert source.is_closed
    assert busy(client) == 0
    listener.join(20)
    assert not listener.is_alive()
    assert found == ([] if name == "a head" else ["a"])
    assert len(site.seen) == 1


def raises(*_, **__):
    raise ZeroDivisionError


@pytest.mark.parametrize("of_client", [False, True])
def test_a_function_that_raises_when_it_is_closed_keeps_nobody_waiting(site, of_client):
    client = Client(timeout=20, trust_env=False)
    sources = [
        client.sse(place(site, "/endless"), hooks={"post_request": raises}) for _ in range(3)
    ]
    for source in sources:
        assert [source.next().data, source.next().data] == ["a", "b"]
    waiting = [source.co_next() for source in sources]
    poller = select.poll()
    for op in waiting:
        poller.register(*next(op))
    assert not poller.poll(0)

    for close in [client.close] if of_client else [source.close for source in sources]:
        with pytest.raises(ZeroDivisionError):
            close()

    assert len(poller.poll(0)) == len(sources)
    for op in waiting:
        with pytest.raises(StateError if of_client else StopIteration):
            next(op)
    assert all(source.is_closed for source in sources)
    assert busy(client) == 0
    client.close()
    assert client._chain.dispatcher.is_closed()


@pytest.mark.parametrize("name", WAITS)
@pytest.mark.parametrize("driver", DRIVERS)
def test_closing_the_client_ends_whoever_waits(driver, name):
    driver(co_checkpoint())  # opens what it keeps open for itself
    found = []

    def co_listen(source):
        while (event := (yield from source.co_next())) is not None:
            found.append(event.data)

    def close():
        wait_until(lambda: found or (name == "a head" and site.seen))
        client.close()

    with a_site() as site:
        site._answers["/wait"] = WAITS[name]
        client = Client(timeout=20, trust_env=False)
        source = client.sse(place(site, "/wait"))
        closing = threading.Thread(target=close)
        closing.start()
        with pytest.raises(StateError) as caught:
            driver(co_listen(source))
        closing.join(20)
        assert str(caught.value) == f"GET {source.url}: the client is closed"
        assert found == ([] if name == "a head" else ["a"])
        assert source.is_closed
        assert busy(client) == 0
        assert len(site.seen) == 1


def test_closing_the_client_leaves_what_has_arrived_or_ended(site):
    with Client(timeout=20, trust_env=False) as client:
        waiting, closed, ended, new = (
            client.sse(place(site, path)) for path in ("/endless", "/endless", "/three", "/endless")
        )
        assert waiting.next().data == closed.next().data == "a"
        assert all_of(ended) == ["a", "b", "c", "d"]
        closed.close()
    assert waiting.next().data == "b"
    for _ in range(2):
        with pytest.raises(StateError, match="the client is closed"):
            waiting.next()
        with pytest.raises(StateError, match="the client is closed"):
            new.connect()
    assert all_of(closed) == ["b"]
    assert ended.next() is None


def test_closing_the_client_within_an_event_of_the_source(site):
    client = Client(timeout=20, trust_env=False)
    hooks = {"on_headers": lambda response, **kwargs: client.close()}
    source = client.sse(place(site, "/endless"), hooks=hooks)
    with pytest.raises(StateError, match="the client is closed"):
        source.next()
    assert source.is_closed
    assert busy(client) == 0


def test_client_forgets_sources_that_are_gone(site, client):
    for _ in range(3):
        assert client.sse(place(site, "/endless")).next().data == "a"
    gc.collect()
    assert client._sources == set()


def test_events_that_have_arrived_are_returned_after_close(site, client):
    source = client.sse(place(site, "/endless"))
    assert source.next().data == "a"
    source.close()
    assert source.last_event_id == "1"
    assert [event.data for event in source] == ["b"]
    assert [*source] == []
    closes = (lambda source: run(source.co_close()), lambda source: asyncio.run(source.aclose()))
    for close in closes:
        source = client.sse(place(site, "/endless"))
        assert source.next().data == "a"
        close(source)
        assert source.is_closed


def test_closed_while_it_works(client, site):
    sources = []
    hooks = {"on_headers": lambda response, **kwargs: sources[0].close()}
    sources.append(client.sse(place(site, "/endless"), hooks=hooks))
    assert [*sources[0]] == []
    assert sources[0].is_closed
    assert busy(client) == 0


def test_source_that_nobody_refers_to_is_closed(site, client):
    gc.collect()
    gc.disable()
    try:
        for event in client.sse(place(site, "/endless")):
            assert event.data == "a"
            assert busy(client) == 1
            break
        assert busy(client) == 0
        source = client.sse(place(site, "/endless"))
        op = source.co_next()
        next(op)
        del source
        assert busy(client) == 1
        del op
        assert busy(client) == 0
        for _ in range(20):
            client.sse(place(site, "/endless"))
    finally:
        gc.enable()


@pytest.mark.parametrize("fails", [False, True])
def test_with_block_closes_it(site, client, fails):
    with suppress(LookupError), client.sse(place(site, "/endless")) as source:
        assert next(source).data == "a"
        assert busy(client) == 1
        if fails:
            raise LookupError
    assert source.is_closed
    assert busy(client) == 0


def test_one_operation_at_a_time(site, client):
    source = client.sse(place(site, "/endless"))
    first, second = source.co_next(), source.co_next()
    next(first)
    with pytest.raises(StateError, match="another operation waits"):
        next(second)
    with pytest.raises(StateError, match="another operation waits"):
        source.connect()
    first.close()
    assert source.next().data == "a"
    source.close()


def test_many_sources_in_one_loop(site, client):
    site._answers["/three"] = stream(b"retry: 1\ndata: a\n\n")
    counts = []

    def co_count(source):
        for _ in range(3):
            assert (yield from source.co_next()).data == "a"
        counts.append(1)
        source.close()

    with Loop() as loop:
        for _ in range(5):
            loop.spawn(co_count(client.sse(place(site, "/three"))))
        loop.run_all()
    assert len(counts) == 5


@pytest.mark.parametrize("coding", ["gzip", "deflate"])
def test_compressed_stream_arrives_event_by_event(site, client, coding):
    go_on = threading.Event()

    def answer(sock, seen):
        wbits = 31 if coding == "gzip" else 15
        coder = zlib.compressobj(wbits=wbits)
        sock.sendall(HEAD + b"Content-Encoding: %s\r\n" % coding.encode())
        sock.sendall(b"Transfer-Encoding: chunked\r\n\r\n")
        for data in (b"data: a\n\n", b"data: b\n\n"):
            sock.sendall(chunk(coder.compress(data) + coder.flush(zlib.Z_SYNC_FLUSH)))
            go_on.wait(20)
            go_on.clear()
        sock.sendall(chunk(coder.flush()) + b"0\r\n\r\n")
        return True

    site._answers["/coded"] = answer
    source = client.sse(place(site, "/coded"), reconnect=False)
    for data in "ab":
        assert source.next().data == data
        go_on.set()
    assert source.next() is None


def test_body_and_fields_of_a_request(site, client):
    site._answers["/post"] = stream(b"data: a\n\n")
    options = {"json": {"a": 1}, "params": {"b": 2}, "headers": {"Accept": "text/*", "X-A": "c"}}
    [event] = client.sse(place(site, "/post"), method="post", **options)
    assert event.data == "a"
    [seen] = site.seen
    assert (seen.method, seen.target, seen.body) == ("POST", "/post?b=2", b'{"a":1}')
    assert seen.headers["Accept"] == "text/*"
    assert seen.headers["X-A"] == "c"


def test_post_is_repeated_if_asked(site, client):
    site._answers["/post"] = [stream(b"retry: 1\nid: 1\ndata: a\n\n"), answer_of(204)]
    [event] = client.sse(place(site, "/post"), method="POST", content=b"x", reconnect=True)
    assert event.data == "a"
    assert [(seen.body, seen.headers.get("last-event-id")) for seen in site.seen] == [
        (b"x", None),
        (b"x", "1"),
    ]


def test_redirect_to_another_origin_keeps_the_place_and_no_credentials():
    from kit.sites import client as client_of

    answers = {"b.test/": stream(b"id: 8\ndata: a\n\n")}
    secret = {"Authorization": "Bearer x", "Cookie": "a=b", "X-Api-Key": "k"}
    with Site(answers) as site, client_of() as client:
        answers["a.test/"] = answer_of(307, f"Location: {site.url('b.test')}")
        options = {"headers": secret, "last_event_id": "7", "reconnect": False}
        [event] = client.sse(site.url("a.test"), **options)
    assert event.id == "8"
    first, second = site.seen
    assert [seen.headers["last-event-id"] for seen in (first, second)] == ["7", "7"]
    assert all(first.headers.get(name) == value for name, value in secret.items())
    assert not any(name in second.headers for name in secret)


def test_redirects_as_the_client_follows_them():
    answers = {
        "a.test/": answer_of(307, "Location: http://b.test:{port}/"),
        "b.test/": [stream(b"retry: 1\nid: 1\ndata: a\n\n"), answer_of(204)],
    }
    from kit.sites import client as client_of

    with Site(answers) as site, client_of() as client:
        answers["a.test/"] = answer_of(307, f"Location: {site.url('b.test')}")
        [event] = client.sse(site.url("a.test"))
        assert event.data == "a"
        hosts = [(seen.host, seen.headers.get("last-event-id")) for seen in site.seen]
        assert hosts == [("a.test", None), ("b.test", None), ("a.test", "1"), ("b.test", "1")]
        answers["a.test/"] = answer_of(302, "Location: ftp://b.test/")
        with pytest.raises(RedirectRefused):
            client.sse(site.url("a.test")).next()
        with pytest.raises(SSEError, match="302") as caught:
            client.sse(site.url("a.test"), follow_redirects=False).next()
        assert caught.value.response.status_code == 302


def test_errors_close_it(site, client):
    site._answers["/no"] = answer_of(401, "Content-Type: application/json", body=b'{"a": 1}')
    source = client.sse(place(site, "/no"))
    with pytest.raises(SSEError, match="401") as caught:
        source.next()
    assert caught.value.response.json() == {"a": 1}
    assert source.is_closed
    assert source.next() is None
    with pytest.raises(StateError, match="closed"):
        source.connect()
    with pytest.raises(SSEError), client.sse(place(site, "/no")):
        raise AssertionError
    assert next(iter(client.stats().values())).idle == 1  # as the body was read

    with Client(raise_for_status=True, trust_env=False) as strict, pytest.raises(StatusError):
        strict.sse(place(site, "/no")).next()
    with pytest.raises(ConnectFailed):
        client.sse("http://127.0.0.1:1/").next()


def test_stall_is_a_failed_connection(site, client):
    site._answers["/stall"] = [stream(b"retry: 1\ndata: a\n\n", ends=False), answer_of(204)]
    source = client.sse(place(site, "/stall"), stall=0.05)
    assert [event.data for event in source] == ["a"]
    assert len(site.seen) == 2
    source = client.sse(place(site, "/endless"), stall=0.01, reconnect=False)
    assert source.next().data == "a"
    assert source.next().data == "b"
    with pytest.raises(ConnectionTimedOut):
        source.next()


def test_closed_client(site):
    with Client(trust_env=False) as client:
        source = client.sse(place(site, "/three"))
        assert source.next().data == "a"
        assert source.next().data == "b"
    with pytest.raises(StateError, match="client is closed"):
        source.next()


def test_mock_dispatcher():
    mock = MockDispatcher()
    kind = {"Content-Type": "text/event-stream"}
    mock.add().reply(200, kind, b"retry: 0\ndata: a\n\n").reply(204)
    with Client(dispatcher=mock) as client:
        assert [event.data for event in client.sse("http://a.test/")] == ["a"]


@pytest.mark.parametrize(
    ("options", "error", "words"),
    [
        ({"url": 7}, TypeError, "url"),
        ({"url": "nowhere"}, InvalidRequest, "nowhere"),
        ({"method": 7}, TypeError, "method"),
        ({"reconnect": "x"}, TypeError, "reconnect"),
        ({"max_event_size": 0}, InvalidOption, "max_event_size"),
        ({"max_size": 5}, TypeError, "max_size"),
        ({"headers": 5}, TypeError, "headers"),
        ({"data": 5}, TypeError, "body"),
    ],
)
def test_wrong_arguments_are_refused_at_once(options, error, words):
    with Client(dispatcher=MockDispatcher(lambda request: Response(200))) as client:
        for one in (client, AsyncClient(client=client)):
            with pytest.raises(error, match=words):
                one.sse(**{"url": "http://a.test/", **options})
