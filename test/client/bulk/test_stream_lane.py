"""`Client.map` over HTTP/2: replays, limits, and what ends a connection or a stream."""

import asyncio
import random
import threading
import time

import pytest
from kit.every_driver import DRIVERS
from kit.h2_frames import goaway
from kit.h2_server import Answer, Peer, h2_server
from kit.memory_site import MemorySite
from kit.steps import PACKAGE, Steps
from kit.support import ScriptedServer, pattern

from dugong_like import (
    AsyncClient,
    BodyTooLarge,
    Client,
    ConnectFailed,
    ConnectionTimedOut,
    Connector,
    DeadlineExceeded,
    H2Options,
    Limits,
    Pool,
    PoolTimedOut,
    Retry,
    StreamReset,
    Timeouts,
    within,
)
from dugong_like.connection.h2.rolling_batch import RollingBatch
from dugong_like.polling.wake import Wake

MOST_CODES = 3250  # bytecodes of a request, all of them: a twelfth more than there are
MOST_CODES_OF_PUT = 3850  # the same with a body for which the windows have room


def tagged(request):
    """Answer with the path."""
    return Answer(body=request[":path"].encode())


def client_of(server, **options):
    base = f"http://127.0.0.1:{server.port}"
    options = {"versions": ("h2",), "trust_env": False, "base_url": base, **options}
    return Client(**options)


def serving(peers, make):
    """Return what serves each connection by a peer that *make* returns, and appends it to *peers*.

    Args:
        peers: a list.
        make: returns a `Peer`.

    """

    def serve(sock):
        peer = make()
        peers.append(peer)
        sock.sendall(peer.take(b""))
        while wire := sock.recv(65536):
            sock.sendall(peer.take(wire))

    return serve


def paths(count):
    return [f"/{number}" for number in range(count)]


def right(items, count):
    """Return True if there is one response to each request, and they are the right ones."""
    found = {item.index: item.response.text for item in items if item.error is None}
    return found == {number: f"/{number}" for number in range(count)}


def seen(server):
    """Return how often each path has come."""
    return [each[":path"] for peer in server.peers for each in peer.requests]


class Own:
    """An app that answers some paths in ways of their own, the first time, and then as `tagged`.

    Args:
        ways: an `Answer` or None by path.

    """

    def __init__(self, ways):
        self.ways = dict(ways)
        self._lock = threading.Lock()

    def __call__(self, request):
        with self._lock:
            if request[":path"] in self.ways:
                return self.ways.pop(request[":path"])
        return tagged(request)


@pytest.mark.parametrize("ordered", [True, False])
def test_a_request_takes_few_steps(ordered):
    with h2_server(tagged, max_concurrent_streams=100) as server, client_of(server) as client:
        list(client.map(paths(300), ordered=ordered))  # blocks of header fields are remembered
        with Steps(of=PACKAGE) as steps:
            items = list(client.map(paths(500), ordered=ordered))
    assert right(items, 500)
    assert steps.codes / 500 <= MOST_CODES, steps.codes / 500


@pytest.mark.parametrize("driver", DRIVERS, ids=lambda driver: driver.__name__)
@pytest.mark.parametrize("settings", [{}, {"max_concurrent_streams": 3}])
def test_each_request_has_its_response(driver, settings):
    with h2_server(tagged, **settings) as server, client_of(server) as client:
        items = []
        driver(client.co_map(paths(300), items.append))
        assert [item.index for item in items] == list(range(300))
        assert right(items, 300)
        assert sorted(seen(server)) == sorted(paths(300))
        assert len(server.peers) <= 8
        assert all(one.busy == one.waiting == 0 for one in client.stats().values())


@pytest.mark.parametrize(("concurrency", "depth"), [(1, 1), (1, 4), (3, 2), (2, 100)])
def test_no_more_streams_than_the_product_of_concurrency_and_depth(concurrency, depth):
    most, now = [0], set()

    class Counting(Peer):
        def answer(self, request):
            now.add((id(self), request.stream))
            most[0] = max(most[0], len(now))
            super().answer(request)

        def take(self, wire):
            back = super().take(wire)
            now.clear()
            return back

    def serve(sock):
        peer = Counting(tagged)
        sock.sendall(peer.take(b""))
        while wire := sock.recv(65536):
            sock.sendall(peer.take(wire))

    with ScriptedServer(serve) as server, client_of(server) as client:
        options = {"concurrency": concurrency, "depth": depth}
        assert right(list(client.map(paths(100), **options)), 100)
    assert most[0] <= concurrency * depth


@pytest.mark.parametrize("ordered", [True, False])
def test_a_response_that_is_late_holds_up_none_but_by_order(ordered):
    """The others have their streams, and their results if these need no order."""
    never = Own({"/0": None})
    with h2_server(never, max_concurrent_streams=2) as server, client_of(server) as client:
        options = {"concurrency": 1, "window": 50, "errors": "return", "ordered": ordered}
        with client.map(paths(50), **options) as results:
            if not ordered:
                got = [results.next() for _ in range(49)]
                assert sorted(item.index for item in got) == list(range(1, 50))
            else:
                going = results.co_next()
                while len(seen(server)) < 50:
                    next(going).poll(0.01)
                going.close()
    assert sorted(seen(server)) == sorted(paths(50))


@pytest.mark.parametrize("windows", [
    {},
    {"stream_window": 4000, "max_stream_window": 4000},
    {"connection_window": 65535},
], ids=str)  # fmt: skip
def test_bodies_larger_than_the_windows(windows):
    sizes = [100_000, 3, 0, 300_000, 70_000, 5] * 5

    def app(request):
        return Answer(body=pattern(int(request[":path"].rpartition("/")[2])))

    with h2_server(app) as server, client_of(server, http2=H2Options(**windows)) as client:
        given = [f"/{number}/{size}" for number, size in enumerate(sizes)]
        items = list(client.map(given, max_bytes=1 << 20))
    assert [len(item.response.content) for item in items] == sizes
    assert all(item.response.content == pattern(len(item.response.content)) for item in items)


def test_room_that_becomes_less_and_more():
    class Changing(Peer):
        def take(self, wire):
            if len(self.requests) >= 20 * (self.changes + 1) and self.changes < 5:
                self.changes += 1
                self.change({3: [1, 50, 2, 7, 100][self.changes - 1]})
            return super().take(wire)

        changes = 0

    peers = []
    serve = serving(peers, lambda: Changing(tagged, max_concurrent_streams=30))
    with ScriptedServer(serve) as server, client_of(server) as client:
        items = list(client.map(paths(300), concurrency=1, depth=100, errors="return"))
    assert right(items, 300)
    assert peers[0].changes == 5


# ---- replays


class Ending(Peer):
    """It ends the connection by GOAWAY after so many requests, and takes no notice of others."""

    most = 10
    said = False

    def answer(self, request):
        if len(self.requests) < self.most:
            super().answer(request)

    def take(self, wire):
        back = super().take(wire)
        if len(self.requests) >= self.most and not self.said:
            self.said = True
            back += goaway(2 * self.most - 1, 0)
        return back


def serve_ending(peers):
    def serve(sock):
        peer = Ending(tagged)
        peers.append(peer)
        sock.sendall(peer.take(b""))
        while wire := sock.recv(65536):
            sock.sendall(peer.take(wire))

    return serve


def test_a_server_that_ends_connections_after_so_many_requests():
    """Nothing is served twice, nothing is lost, and how many it takes is learned."""
    peers = []
    with ScriptedServer(serve_ending(peers)) as server, client_of(server) as client:
        items = list(client.map(paths(200), concurrency=2, errors="return"))
        assert all(one.busy == one.waiting == 0 for one in client.stats().values())
    assert right(items, 200)
    served = [each[":path"] for peer in peers for each in peer.requests]
    assert sorted(served) == sorted(paths(200))
    attempts = sum(item.request.attempts for item in items)
    assert attempts <= 200 + 100  # what was under way when it was not known


WAYS = {
    "refused": Answer(status=0, reset=7),
    "a new version is needed": Answer(status=0, reset=13),
    "misdirected": Answer(status=421, body=b"elsewhere"),
}


@pytest.mark.parametrize("way", WAYS.values(), ids=WAYS)
def test_what_was_not_processed_is_sent_again(way, certificate, trusting):
    """By itself, as any other request would be; over HTTP/1.1 if the server wants that."""
    context = certificate.server_context()
    context.set_alpn_protocols(["h2", "http/1.1"])
    app, old = Own({"/3": way, "/7": way}), []

    def serve(sock):
        if sock.selected_alpn_protocol() == "h2":
            peer = Peer(app)
            sock.sendall(peer.take(b""))
            while wire := sock.recv(65536):
                sock.sendall(peer.take(wire))
            return
        data = b""
        while part := sock.recv(65536):
            *heads, data = (data + part).split(b"\r\n\r\n")
            for head in heads:
                path = head.split(b" ")[1]
                old.append(path)
                size = len(path)
                sock.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (size, path))

    with ScriptedServer(serve, context) as server:
        client = Client(
            ssl_context=trusting,
            versions=("h2", "http/1.1"),
            trust_env=False,
            base_url=f"https://localhost:{server.port}",
        )
        with client:
            items = list(client.map(paths(20), errors="return"))
            assert right(items, 20)
            assert [items[number].response.attempts for number in (3, 7)] == [2, 2]
            assert all(one.busy == one.waiting == 0 for one in client.stats().values())
    assert {b"/3", b"/7"} <= set(old) if way.reset == 13 else not old


def test_a_body_that_is_cut_off_by_the_end_of_the_connection_is_asked_for_again():
    chance = random.Random(3)
    lock = threading.Lock()
    asked = []

    def serve(sock):
        peer = Peer(tagged)
        sock.sendall(peer.take(b""))
        while wire := sock.recv(65536):
            back = peer.take(wire)
            with lock:
                asked.extend(each[":path"] for each in peer.requests)
                cut = chance.randrange(len(back) + 1) if chance.random() < 0.2 else None
            peer.requests.clear()
            sock.sendall(back[:cut])
            if cut is not None:
                return

    with ScriptedServer(serve) as server, client_of(server) as client:
        items = list(client.map(paths(300), concurrency=2, depth=16, errors="return"))
        assert all(one.busy == one.waiting == 0 for one in client.stats().values())
    assert {item.index for item in items} == set(range(300))
    assert all(item.error is not None or item.response.text == f"/{item.index}" for item in items)
    assert sum(item.error is not None for item in items) < 10
    assert len(asked) > 300


@pytest.mark.parametrize("code", [2, 8])
def test_a_stream_that_is_reset_fails_alone(code):
    app = Own({"/3": Answer(body=b"part", reset=code)})
    with h2_server(app) as server, client_of(server) as client:
        items = list(client.map(paths(20), errors="return"))
        assert [item.index for item in items if item.error is not None] == [3]
        assert isinstance(items[3].error, StreamReset)
        assert items[3].error.request is items[3].request
        app.ways["/3"] = Answer(body=b"part", reset=code)
    with h2_server(app) as server, client_of(server, retry=Retry(backoff=0)) as client:
        assert right(list(client.map(paths(20))), 20)


def test_503_with_retry_after_is_sent_again():
    app = Own({f"/{number}": Answer(503, [("retry-after", "0")]) for number in (2, 5, 6)})
    with h2_server(app) as server, client_of(server, retry=Retry(budget=None)) as client:
        assert right(list(client.map(paths(20))), 20)
    assert sorted(seen(server)) == sorted([*paths(20), "/2", "/5", "/6"])


def test_one_whose_pause_is_over_is_sent_while_another_response_is_late():
    app = Own({"/2": Answer(503, [("retry-after", "0")]), "/3": None})
    with h2_server(app) as server, client_of(server, retry=Retry(budget=None)) as client:
        with client.map(paths(20), concurrency=1, ordered=False) as results:
            got = [results.next() for _ in range(19)]
        assert {item.index for item in got} == {*range(20)} - {3}
    assert len(server.peers) == 1


# ---- bodies


def echo(request):
    """Answer with the body, and to others with the path."""
    return Answer(body=request.body or request[":path"].encode())


def puts(client, sizes):
    """Return requests with bodies of so many bytes, and what is in them."""
    bodies = [b"%d-" % number + pattern(size) for number, size in enumerate(sizes)]
    given = [
        client.build_request("PUT", f"/{number}", content=body)
        for number, body in enumerate(bodies)
    ]
    return given, bodies


def bodies_of(items):
    return [None if item.error is not None else item.response.content for item in items]


def test_a_body_takes_few_steps():
    with h2_server(tagged, max_concurrent_streams=100) as server, client_of(server) as client:
        list(client.map(puts(client, [400] * 300)[0]))
        given, _ = puts(client, [400] * 500)
        with Steps(of=PACKAGE) as steps:
            items = list(client.map(given))
    assert right(items, 500)
    assert steps.codes / 500 <= MOST_CODES_OF_PUT, steps.codes / 500


@pytest.mark.parametrize("driver", DRIVERS, ids=lambda driver: driver.__name__)
@pytest.mark.parametrize("settings", [
    {},
    {"max_concurrent_streams": 3, "initial_window_size": 1000},
    {"initial_window_size": 1 << 20},
], ids=str)  # fmt: skip
def test_each_body_arrives_once(driver, settings):
    with h2_server(echo, **settings) as server, client_of(server) as client:
        given, bodies = puts(client, [0, 3, 4096, 70_000, 300_000, 500] * 4)
        gets = [client.build_request("GET", f"/get/{number}") for number in range(24)]
        items = []
        mixed = [each for pair in zip(given, gets, strict=True) for each in pair]
        driver(client.co_map(mixed, items.append, max_bytes=4 << 20))
        assert bodies_of(items[::2]) == bodies
        assert [item.response.text for item in items[1::2]] == [f"/get/{n}" for n in range(24)]
        assert sorted(seen(server)) == sorted(each.url.target for each in mixed)
        assert all(one.busy == one.waiting == 0 for one in client.stats().values())


def test_bodies_and_windows_that_change():
    class Changing(Peer):
        changes = 0

        def take(self, wire):
            # Behind a window of 0 the next one comes at once: no request is complete before it.
            is_due = self.changes == 4 or len(self.requests) >= 5 * (self.changes + 1)
            if is_due and self.changes < 5:
                self.changes += 1
                self.change({4: [1, 50_000, 2000, 0, 1 << 20][self.changes - 1]})
            return super().take(wire)

    peers = []
    serve = serving(peers, lambda: Changing(echo, max_concurrent_streams=30))
    with ScriptedServer(serve) as server, client_of(server) as client:
        given, bodies = puts(client, [10, 5000, 30_000] * 30)
        items = list(client.map(given, concurrency=1, depth=100, errors="return"))
    assert [item.error for item in items if item.error is not None] == []
    assert bodies_of(items) == bodies
    assert peers[0].changes == 5


@pytest.mark.parametrize("way", [WAYS["refused"], WAYS["misdirected"]], ids=["refused", "421"])
def test_a_body_that_was_not_processed_is_sent_again(way):
    app = Own({"/3": way, "/7": way})
    with h2_server(app) as server, client_of(server) as client:
        given, _ = puts(client, [4096] * 20)
        items = list(client.map(given, errors="return"))
        assert right(items, 20)
        assert [items[number].response.attempts for number in (3, 7)] == [2, 2]
    assert sorted(seen(server)) == sorted([*paths(20), "/3", "/7"])


def test_bodies_to_a_server_that_ends_connections_after_so_many_requests():
    """None is processed twice, and none is lost."""
    peers = []
    with ScriptedServer(serve_ending(peers)) as server, client_of(server) as client:
        given, _ = puts(client, [3000, 30_000] * 50)
        items = list(client.map(given, concurrency=2, errors="return"))
        assert all(one.busy == one.waiting == 0 for one in client.stats().values())
    assert right(items, 100)
    served = [each[":path"] for peer in peers for each in peer.requests[: Ending.most]]
    assert sorted(served) == sorted(paths(100))


def test_a_response_before_the_body_has_left():
    """It is the result, or asks for another request; the others go on."""

    class Early(Peer):
        def _follow(self, event):
            path = dict(getattr(event, "headers", ())).get(":path")
            if path in {"/3", "/5"} and dict(event.headers)[":method"] == "PUT":
                fields = [(":status", "413")]
                if path == "/5":
                    fields = [(":status", "303"), ("location", "/there")]
                self.connection.send_headers(event.stream_id, fields, end_stream=True)
            else:
                super()._follow(event)

    peers = []

    def serve(sock):
        peer = Early(tagged, initial_window_size=1000)
        peers.append(peer)
        sock.sendall(peer.take(b""))
        while wire := sock.recv(65536):
            sock.sendall(peer.take(wire))

    with ScriptedServer(serve) as server, client_of(server, follow_redirects=True) as client:
        given, _ = puts(client, [5000] * 10)
        items = list(client.map(given, errors="return"))
    texts = [item.response.text for item in items]
    assert items[3].response.status_code == 413
    assert [texts[:3], texts[4], texts[6:]] == [paths(3), "/4", paths(10)[6:]]
    assert texts[5] == "/there"
    assert len(peers) == 1


def test_bodies_that_are_cut_off_by_the_end_of_the_connection_are_sent_again():
    """After so many bytes, whatever the pieces are in which they come."""
    chance = random.Random(5)

    def serve(sock):
        left = chance.randrange(200_000)
        peer = Peer(echo)
        sock.sendall(peer.take(b""))
        while left and (wire := sock.recv(min(left, 65536))):
            left -= len(wire)
            sock.sendall(peer.take(wire))

    with ScriptedServer(serve) as server, client_of(server) as client:
        given, bodies = puts(client, [10, 4096, 20_000] * 50)
        items = list(client.map(given, concurrency=2, depth=16, errors="return"))
        assert all(one.busy == one.waiting == 0 for one in client.stats().values())
    found = bodies_of(items)
    assert all(each in {None, body} for each, body in zip(found, bodies, strict=True))
    assert found.count(None) < 10
    assert server.connections > 2


def test_a_body_that_may_not_be_sent_fails_alone(monkeypatch):
    """By a clock that goes on at each wait behind the responses to the others."""
    now = [time.monotonic()]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])

    class Stingy(Peer):
        def _follow(self, event):
            if not hasattr(event, "flow_controlled_length"):
                super()._follow(event)
            elif event.stream_id in self._coming:
                self._coming[event.stream_id].body += event.data

    def serve(sock):
        peer = Stingy(tagged)
        peer.connection.increment_flow_control_window(1 << 20)
        sock.sendall(peer.take(b""))
        while wire := sock.recv(65536):
            sock.sendall(peer.take(wire))

    with (
        ScriptedServer(serve) as server,
        client_of(server, timeout=Timeouts(stall=50, write=0.05)) as client,
    ):
        given, _ = puts(client, [50, 50, 50, 70_000, 50])  # more than a stream's window at first
        with client.map(given, errors="return", ordered=False) as results:
            items = [results.next() for _ in range(4)]
            assert {item.index for item in items} == {0, 1, 2, 4}
            assert all(item.error is None for item in items)
            going = results.co_next()
            with pytest.raises(StopIteration) as end:
                while True:
                    now[0] = next(going).deadline or now[0]
    failed = end.value.value
    assert (failed.index, failed.error.phase, failed.error.request_sent) == (3, "write", "maybe")


# ---- requests of other kinds, and other users


def test_requests_of_all_kinds_in_one_map():
    def app(request):
        if request[":path"] == "/moved":
            return Answer(302, [("location", "/there")])
        fields = [("x-method", request[":method"]), ("x-length", str(len(request.body)))]
        return Answer(fields=fields, body=request[":path"].encode())

    with h2_server(app) as server, client_of(server) as client:
        given = [
            "/plain",
            ("POST", "/posted"),
            client.build_request("PUT", "/put", content=b"x" * 100_000),
            client.build_request("PUT", "/put", content=iter([b"abc"])),
            ("HEAD", "/head"),
            "/moved",
            client.build_request("GET", "/own", timeout=Timeouts(stall=50)),
            client.build_request("GET", "/fields", headers={"x-a": "b"}),
        ] * 5
        items = list(client.map(given, errors="return"))
    wanted = ["/plain", "/posted", "/put", "/put", "", "/there", "/own", "/fields"] * 5
    assert [item.response.text for item in items[:8]] == wanted[:8]
    failed = [item.index % 8 for item in items if item.error is not None]
    assert set(failed) <= {3}, "an iterator that is used up"


def test_another_user_of_the_client_has_room_beside_a_map():
    """Also if its only connection is full of streams that nobody answers."""
    held = [f"/held/{number}" for number in range(20)]
    app = Own(dict.fromkeys(held))
    with (
        h2_server(app, max_concurrent_streams=10) as server,
        client_of(server) as client,
        client.map(held, concurrency=1) as results,
    ):
        going = results.co_next()
        while len(seen(server)) < 10:
            next(going).poll(0.01)
        assert client.get("/other").text == "/other"
        going.close()


def test_another_user_waits_for_its_stream_if_there_may_be_no_other_connection():
    with (
        h2_server(tagged, max_concurrent_streams=2) as server,
        client_of(server, limits=Limits(max_connections=1)) as client,
    ):
        got = []

        def use():
            got.extend(client.get(f"/other/{number}").text for number in range(20))

        with client.map(paths(400)) as results:
            thread = threading.Thread(target=use)
            items = [results.next()]
            thread.start()
            items.extend(results)
            thread.join()
        assert right(items, 400)
        assert got == [f"/other/{number}" for number in range(20)]
        assert len(server.peers) == 1


def test_limits_of_the_pool_hold():
    with (
        h2_server(tagged, max_concurrent_streams=4) as server,
        client_of(server, limits=Limits(max_connections=2, max_requests=30)) as client,
    ):
        assert right(list(client.map(paths(200))), 200)
        assert max(len(peer.requests) for peer in server.peers) <= 30 + 8
        assert len(server.peers) >= 5


def test_a_list_makes_way_for_another_origin_if_there_may_be_no_other_connection():
    answered = []

    def given(of, other):
        for number in range(5000):
            if answered:
                return
            yield f"http://127.0.0.1:{of.port}/{number}"
            if number == 3:
                yield f"http://127.0.0.1:{other.port}/other"

    with (
        h2_server(tagged, max_concurrent_streams=20) as server,
        h2_server(tagged) as other,
        client_of(server, limits=Limits(max_connections=1)) as client,
    ):
        items = []
        for item in client.map(given(server, other), ordered=False):
            items.append(item)
            if item.request.url.target == "/other":
                answered.append(item)
        assert answered
        assert len(items) < 5000
        assert all(item.response.text == item.request.url.target for item in items)
        assert len({item.index for item in items}) == len(items)
        assert all(one.busy == one.waiting == 0 for one in client.stats().values())
        assert max(item.request.attempts for item in items) == 1
    assert len(server.peers) <= 2


def test_a_list_makes_no_way_while_another_user_keeps_its_connection():
    """That would be of no use for anybody."""
    body = pattern(100_000)
    with (
        h2_server(Own({"/kept": Answer(body=body)})) as server,
        h2_server(tagged) as other,
        client_of(server, limits=Limits(max_connections=1), timeout=Timeouts(pool=0.05)) as client,
        client.stream("GET", "/kept") as kept,
    ):
        given = [f"http://127.0.0.1:{other.port}/other", *paths(1000)]
        items = list(client.map(given, errors="return"))
        assert kept.read() == body
    assert isinstance(items[0].error, PoolTimedOut)
    assert [item.response.text for item in items[1:]] == paths(1000)
    assert len(server.peers) == 1


@pytest.fixture
def chooses_http_1(certificate):
    """Return a server that chooses HTTP/1.1, and a list: how many requests of each connection."""
    context = certificate.server_context()
    context.set_alpn_protocols(["http/1.1"])
    counts = []

    def serve(sock):
        number = len(counts)
        counts.append(0)
        data = b""
        while part := sock.recv(65536):
            *heads, data = (data + part).split(b"\r\n\r\n")
            for head in heads:
                counts[number] += 1
                path = head.split(b" ")[1]
                size = len(path)
                sock.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (size, path))

    with ScriptedServer(serve, context) as server:
        yield server, counts


def https_client(server, trusting, **options):
    return Client(
        ssl_context=trusting,
        versions=("h2", "http/1.1"),
        trust_env=False,
        base_url=f"https://localhost:{server.port}",
        **options,
    )


def test_a_server_that_chooses_http_1(chooses_http_1, trusting):
    with https_client(chooses_http_1[0], trusting) as client:
        assert right(list(client.map(paths(100))), 100)


def test_the_look_at_the_version_is_no_request(chooses_http_1, trusting):
    """The connection that has told it has as many requests as any other one."""
    server, counts = chooses_http_1
    with https_client(
        server, trusting, limits=Limits(max_connections=1, max_requests=10)
    ) as client:
        assert right(list(client.map(paths(30))), 30)

    assert counts == [10, 10, 10]


def test_what_was_taken_and_not_sent_does_not_count():
    """As the list is left before the server has said how many streams it allows."""
    arrived, says = threading.Event(), threading.Event()
    peers = []

    def serve(sock):
        peers.append(peer := Peer(tagged))
        back = peer.take(b"")
        while not peer.requests:
            back += peer.take(sock.recv(65536))
        arrived.set()
        assert says.wait(60)
        sock.sendall(back)
        while wire := sock.recv(65536):
            sock.sendall(peer.take(wire))

    with (
        ScriptedServer(serve) as server,
        client_of(server, limits=Limits(max_connections=1, max_requests=6)) as client,
    ):
        with client.map(paths(5)) as results:
            going = results.co_next()
            while not arrived.is_set():
                next(going)
            going.close()
        says.set()
        for path in paths(6):
            assert client.get(path).text == path
            assert len(peers) == 1 + (path == "/5")


def test_requests_that_are_observed_are_sent_one_by_one():
    seen_events = []
    connector = Connector(
        versions=("h2",), trust_env=False, trace=lambda name, _: seen_events.append(name)
    )
    with h2_server(tagged) as server:
        base = f"http://127.0.0.1:{server.port}"
        with Client(dispatcher=Pool(connector), base_url=base) as client:
            assert right(list(client.map(paths(30))), 30)
    assert len(seen_events) > 30


def test_bodies_are_limited():
    def app(request):
        return Answer(body=b"x" * 1001 if request[":path"] == "/3" else request[":path"].encode())

    with h2_server(app) as server, client_of(server, max_body=1000) as client:
        items = list(client.map(paths(10), errors="return"))
    assert [item.index for item in items if item.error is not None] == [3]
    assert isinstance(items[3].error, BodyTooLarge)


# ---- time


def test_a_stream_that_stands_still_fails_alone(monkeypatch):
    """By a clock that goes on at each wait behind the responses to the others."""
    now = [time.monotonic()]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    app = Own({"/3": None})
    with (
        h2_server(app) as server,
        client_of(server, timeout=Timeouts(stall=0.05)) as client,
        client.map(paths(10), errors="return", ordered=False) as results,
    ):
        items = [results.next() for _ in range(9)]
        assert {item.index for item in items} == {*range(10)} - {3}
        assert all(item.error is None for item in items)
        going = results.co_next()
        with pytest.raises(StopIteration) as end:
            while True:
                now[0] = next(going).deadline or now[0]
    assert (end.value.value.index, type(end.value.value.error)) == (3, ConnectionTimedOut)


def test_limits_for_all_and_for_each():
    def app(request):  # each time: the first one may come when the second one has been sent
        return None if request[":path"] == "/3" else tagged(request)

    with h2_server(app) as server, client_of(server) as client:
        with pytest.raises(DeadlineExceeded):
            list(client.map(paths(10), total=0.05))
        assert all(one.busy == one.waiting == 0 for one in client.stats().values())
        given = [*paths(10)]
        given[3] = client.build_request("GET", "/3", timeout=Timeouts(total=0.05))
        items = list(client.map(given, errors="return"))
        assert [item.index for item in items if item.error is not None] == [3]
        assert isinstance(items[3].error, DeadlineExceeded)


def test_connections_that_cannot_be_opened_fail_side_by_side():
    """Behind the first one: or each request of a list would wait for the time limit of others."""
    site, silence, tried = MemorySite(), Wake("a SYN"), []

    def co_connect(host, port):
        tried.append(port)
        if len(tried) == 1:
            raise ConnectFailed("nobody there")
        while True:
            yield silence.need()

    site.co_connect_tcp = co_connect
    pool = Pool(Connector(transport=site, trust_env=False, versions=("h2",)))
    given = [f"http://a.test/{number}" for number in range(50)]
    with Client(dispatcher=pool) as client:
        with client.map(given, concurrency=4, errors="return", ordered=False) as results:
            assert isinstance(results.next().error, ConnectFailed)
            going = results.co_next()
            next(going)
            assert len(tried) == 1 + 4
            going.close()
        assert all(one.busy == one.waiting == 0 for one in client.stats().values())
    silence.close()


def test_requests_that_wait_for_room_behind_one_that_is_late_have_not_been_sent(monkeypatch):
    late, co_some = [], RollingBatch.co_some

    def co_some_in_vain(batch):
        if not late:
            late.append(batch)
            raise ConnectionTimedOut("no room")
        return (yield from co_some(batch))

    monkeypatch.setattr(RollingBatch, "co_some", co_some_in_vain)
    with h2_server(tagged) as server, client_of(server) as client:
        items = list(client.map(paths(10), errors="return"))
    assert isinstance(items[0].error, ConnectionTimedOut)
    assert [item.response.text for item in items[1:]] == paths(10)[1:]
    assert [item.request.attempts for item in items] == [1] * 10
    assert sorted(seen(server)) == paths(10)[1:]


def test_one_that_is_given_up_leaves_the_others_alone():
    def co_layer(request, co_send):
        if request.url.target != "/3":
            return (yield from co_send(request))
        return (yield from within(time.monotonic() + 0.05, co_send(request)))

    app = Own({"/3": None})
    with h2_server(app) as server, client_of(server, layers=[co_layer]) as client:
        assert client.get("/").status_code == 200  # so that no time is needed to connect
        items = list(client.map(paths(10), errors="return"))
        assert [item.index for item in items if item.error is not None] == [3]
        assert client.get("/").status_code == 200
    assert len(server.peers) == 1


@pytest.mark.parametrize("ordered", [True, False])
def test_it_may_be_closed_at_every_wait(ordered):
    """Nothing stays open, whatever was under way."""

    def app(request):
        if request[":path"] == "/5":
            return Answer(302, [("location", "/moved")])
        return tagged(request)

    steps = 0
    with h2_server(app, max_concurrent_streams=4) as server:
        while True:
            with client_of(server) as client:
                given = [("POST", path) if path.endswith("4") else path for path in paths(30)]
                results = client.map(given, concurrency=2, depth=4, window=8, ordered=ordered)
                is_over = _after(results, steps)
                results.close()
                assert all(one.busy == one.waiting == 0 for one in client.stats().values())
                assert client.get("/").text == "/"
            if is_over:
                break
            steps += 1
    assert steps > 0


def _after(results, steps):
    """Resume *results* so many times, each when it is ready; return True if all is done before."""
    while True:
        operation = results.co_next()
        try:
            while True:
                next(operation).poll(1)
                steps -= 1
                if steps < 0:
                    operation.close()
                    return False
        except StopIteration as end:
            if end.value is None:
                return True


def test_tasks_that_are_cancelled():
    async def main(server):
        async with AsyncClient(client=client_of(server)) as client:
            results = client.map(paths(10_000), ordered=False)
            count = 0
            async for _ in results:
                count += 1
                if count == 100:
                    break
            waiting = asyncio.ensure_future(anext(results))
            await asyncio.sleep(0)
            waiting.cancel()
            await results.aclose()
            assert (await client.get("/")).text == "/"
            assert all(one.busy == 0 for one in client.stats().values())

    with h2_server(tagged) as server:
        asyncio.run(main(server))
