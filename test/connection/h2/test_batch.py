"""Whole exchanges that are sent together over HTTP/2; a test says when anything arrives."""

import collections
import gc
import threading
from functools import partial

import pytest
from kit.ctrl_c import ctrl_c_at_each_place
from kit.every_driver import DRIVERS
from kit.h2_server import Answer, Peer, h2_server
from kit.h2_streams import PeerStream, bodies_of, results_of
from kit.steps import PACKAGE, Steps
from kit.streams import connection, finish
from kit.support import pattern, wait_until

from dugong_like import (
    Budget,
    ConnectionClosed,
    H2Options,
    HTTPConnection,
    InvalidRequest,
    StreamReset,
    Timeouts,
)
from dugong_like.connection.h2 import batch as batches
from dugong_like.connection.h2 import lock, pump, response_reader
from dugong_like.http.h2.stream import Stream

MOST_CODES = 1300  # bytecodes of each exchange of a large batch
EARLY = [[(":status", "103"), ("link", "</x>")]]


def numbered(request):
    """Answer with as many bytes as the path says, and to some other paths in another way."""
    _, what, *rest = request[":path"].split("/")
    if what == "never":
        return None
    if what == "early":
        return Answer(informational=EARLY, body=b"late")
    if what == "reset":
        return Answer(body=b"part", reset=int(rest[0]))
    if what == "status":
        return Answer(status=int(rest[0]))
    if what == "trailers":
        return Answer(body=b"body", trailers=[("x-a", "b")])
    return Answer(body=pattern(int(what)))


class Backwards(Peer):
    """It sends one response after the other, that to the last request first."""

    def _send_bodies(self):
        bodies, self._leaving = self._leaving, {}
        while bodies and not self._leaving:
            stream = max(bodies)
            self._leaving[stream] = bodies[stream]
            super()._send_bodies()
            if not self._leaving:
                del bodies[stream]
        self._leaving = bodies


def opened(monkeypatch, *more, app=numbered, make=Peer, options=None, **settings):
    """Return a connection that was used before, and its stream."""
    stream = PeerStream(app, make, **settings)
    conn = connection(monkeypatch, stream, *more, versions=("h2",), http2=options)
    for _ in range(2):
        assert bodies_of(stream, conn.co_exchange("GET", "/3")) == [pattern(3)]
    return conn, stream


def batch_of(conn, *sizes, replies=None):
    return conn.co_exchange_all([("GET", f"/{size}") for size in sizes], replies)


def asked_for(server, path):
    return sum(each[":path"] == path for each in [*server.peers[0].requests])


def streams_in_memory():
    gc.collect()
    return sum(type(each) is Stream for each in gc.get_objects())


@pytest.mark.parametrize("driver", DRIVERS, ids=lambda driver: driver.__name__)
def test_all_kinds_of_responses_come_in_order(driver):
    paths = ["/3", "/early", "/0", "/300000", "/trailers", "/status/404", "/status/204", "/70000"]
    paths *= 20
    with h2_server(numbered, initial_window_size=65535, max_concurrent_streams=7) as server:
        with HTTPConnection("127.0.0.1", server.port, versions=("h2",), timeout=60) as conn:
            replies = driver(conn.co_exchange_all([("GET", path) for path in paths]))
            assert [reply.path for reply in replies] == paths
            for reply in replies:
                what = reply.path.split("/")[1]
                assert reply.status == int(([*reply.path.split("/"), "200"])[2])
                wanted = {"early": b"late", "trailers": b"body", "status": b""}.get(what)
                assert reply.body == (pattern(int(what)) if wanted is None else wanted)
                assert bool(reply.informational) == (what == "early")
                assert reply.trailers.get("x-a") == ("b" if what == "trailers" else None)
            assert conn.is_reusable()
    assert len(server.peers) == 1


def test_it_takes_few_steps_and_calls_of_the_system(monkeypatch):
    """One send for all requests, and one reception for all responses; nothing is kept."""
    conn, stream = opened(monkeypatch, max_concurrent_streams=100)
    sizes = [3] * 100
    before = streams_in_memory()
    calls = collections.Counter()
    for name in ("send", "recv_into"):
        whole = getattr(stream, name)

        def counting(*args, name=name, whole=whole):
            calls[name] += 1
            return whole(*args)

        monkeypatch.setattr(stream, name, counting)
    for _ in range(3):
        calls.clear()
        with Steps(of=PACKAGE) as sending:
            going = batch_of(conn, *sizes)
            need = next(going)
        stream.arrive()
        with Steps(of=PACKAGE) as receiving:
            replies = finish(going)
        assert need[0] == stream.fd
        assert [reply.body for reply in replies] == [pattern(3)] * 100
        assert calls == {"send": 1, "recv_into": 1}
    codes = (sending.codes + receiving.codes) / 100
    assert codes <= MOST_CODES, codes
    assert conn.is_reusable()
    assert streams_in_memory() <= before + 1


def test_an_error_is_that_of_the_first_exchange_without_a_response(monkeypatch):
    """The responses before it are known, those behind it are given up, the connection goes on."""
    conn, stream = opened(monkeypatch)
    for code in ("8", "2"):
        replies = []
        going = batch_of(conn, 3, 5, f"reset/{code}", "never", 7, f"reset/{code}", replies=replies)
        with pytest.raises(StreamReset, match=f"/reset/{code}"):
            results_of(stream, going)
        assert [reply.body for reply in replies] == [pattern(3), pattern(5)]
        assert conn.is_reusable()
        assert bodies_of(stream, conn.co_exchange("GET", "/4")) == [pattern(4)]


@pytest.mark.parametrize("options", [
    {"connection_window": 65535},
    {"connection_window": 65535, "window_update_threshold": 65535},
    {"connection_window": 65535, "max_stream_window": 4000, "stream_window": 4000},
    {"max_stream_window": 4000, "stream_window": 4000},
    {"max_stream_window": 4000, "stream_window": 4000, "window_update_threshold": 3990},
    {"max_stream_window": 1, "stream_window": 1},
    {},
], ids=str)  # fmt: skip
def test_a_small_window_that_later_responses_fill(monkeypatch, options):
    """The server sends nothing of the first response before it has sent the others."""
    conn, stream = opened(monkeypatch, make=Backwards, options=H2Options(**options))
    sizes = [40_000] * 5 if options.get("stream_window") != 1 else [7, 5, 0, 9]
    sizes = [1000, *sizes, 3, 30_000] if sizes[0] > 7 else sizes
    for _ in range(2):
        (replies,) = results_of(stream, batch_of(conn, *sizes))
        assert [reply.body for reply in replies] == [pattern(size) for size in sizes]
    assert conn.is_reusable()


@pytest.mark.parametrize("options", [
    {"body": b"x"},
    {"trace": {}.get},
    {"budget": Budget(max_body=1_000_000)},
    {"timeout": Timeouts(head=1000)},
    {},
], ids="".join)  # fmt: skip
def test_bodies_are_never_left_to_the_caller(monkeypatch, options):
    """Whatever the batch has, and `whole_below` says, which is about single exchanges."""
    options = {"timeout": 30, **options}
    body = options.pop("body", None)
    sizes = [3, 600_000, 0, 700_000]
    with h2_server(numbered) as server:
        options.update(versions=("h2",), whole_below=100)
        with HTTPConnection("127.0.0.1", server.port, **options) as conn:
            replies = conn.exchange_all([("PUT", f"/{size}", None, body) for size in sizes])
            assert [reply.body for reply in replies] == [pattern(size) for size in sizes]
            assert conn.exchange("GET", "/600000").body is None
            assert conn.readall() == pattern(600_000)
            assert conn.is_reusable()


@pytest.mark.parametrize("step", range(3))
def test_closed_while_a_large_body_comes_it_leaves_nothing(monkeypatch, step):
    stream = PeerStream(numbered)
    conn = connection(monkeypatch, stream, versions=("h2",), whole_below=100)
    assert bodies_of(stream, conn.co_exchange("GET", "/0")) == [b""]
    built = conn._messages.whole("PUT", "/300000", None, b"x")
    going = conn._co_exchange_beside(*built, complete=True)
    for _ in range(step):
        next(going)
        stream.arrive()
    going.close()
    assert conn.is_reusable()
    assert not conn.response_pending()


def test_a_response_that_was_read_before_its_turn_is_lost_with_the_batch(monkeypatch):
    conn, stream = opened(monkeypatch, make=Backwards, options=H2Options(connection_window=65535))
    replies = []
    with pytest.raises(StreamReset, match="/reset/2"):
        results_of(stream, batch_of(conn, 3, "reset/2", 40_000, 40_000, replies=replies))
    assert [reply.body for reply in replies] == [pattern(3)]
    assert conn.is_reusable()
    assert bodies_of(stream, conn.co_exchange("GET", "/4")) == [pattern(4)]


@pytest.mark.parametrize("place", [0, 2])
@pytest.mark.parametrize("wrong", [
    ("GET", "/wrong", {"TE": "gzip"}),
    ("GET", "/wrong", {"Upgrade": "x", "Connection": "upgrade"}),
    ("CONNECT", "wrong:1"),
], ids=str)  # fmt: skip
def test_a_head_for_the_other_protocol_is_noticed_before_anything_is_sent(
    monkeypatch, wrong, place
):
    """The error is about that request."""
    conn, stream = opened(monkeypatch)
    before = len(stream.peer.requests)
    batch = [("GET", "/3"), ("GET", "/4")]
    batch.insert(place, wrong)
    with pytest.raises(InvalidRequest, match=f"^{wrong[0]} .*wrong"):
        finish(conn.co_exchange_all(batch))
    assert len(stream.peer.requests) == before
    assert conn.is_reusable()


@pytest.mark.parametrize("steps", range(4))
def test_closed_at_any_wait_it_leaves_nothing(monkeypatch, steps):
    conn, stream = opened(monkeypatch, max_concurrent_streams=3)
    before = streams_in_memory()
    going = batch_of(conn, 3, 300_000, "never", 5, 6, 7)
    for _ in range(steps):
        next(going)
        stream.arrive()
    going.close()
    assert conn.is_reusable()
    assert not conn.response_pending()
    assert bodies_of(stream, conn.co_exchange("GET", "/4")) == [pattern(4)]
    del going
    assert streams_in_memory() <= before + 1


def test_others_go_on_beside_it_and_wake_it(monkeypatch):
    """One that has come first receives; the batch follows it, and the other way round."""
    conn, stream = opened(monkeypatch, max_concurrent_streams=100)
    sizes = [1, 70_000, 300_000, 2, 100_000] * 5
    wanted = [pattern(size) for size in sizes]
    for turn in range(2):
        batch, other = batch_of(conn, *sizes), conn.co_exchange("GET", "/500000")
        going = [other, batch] if turn else [batch, other]
        results = results_of(stream, *going)
        replies, reply = reversed(results) if turn else results
        assert [each.body for each in replies] == wanted
        assert reply.body == pattern(500_000)
    assert conn.is_reusable()


@pytest.mark.parametrize("room", [1, 2, 5])
def test_a_batch_leaves_room_for_those_who_wait(monkeypatch, room):
    """An exchange that comes when all streams are in use has its turn before the batch ends."""
    conn, stream = opened(monkeypatch, max_concurrent_streams=room)
    replies = []
    batch = batch_of(conn, *range(1, 31), replies=replies)
    needs = [next(batch)]
    other = conn.co_exchange("GET", "/50")
    needs.append(next(other))
    done = {}

    def co_noting():
        reply = yield from other
        done["after"] = len(replies)
        return reply

    noting = co_noting()
    results = results_of(stream, batch, noting, needs=needs)
    assert results[1].body == pattern(50)
    assert [each.body for each in results[0]] == [pattern(size) for size in range(1, 31)]
    assert done["after"] < 30
    assert conn.is_reusable()


def test_two_batches_share_one_stream(monkeypatch):
    conn, stream = opened(monkeypatch, max_concurrent_streams=1)
    results = results_of(stream, batch_of(conn, *range(1, 9)), batch_of(conn, *range(11, 19)))
    assert [[len(each.body) for each in replies] for replies in results] == [
        [*range(1, 9)],
        [*range(11, 19)],
    ]


def test_what_the_server_did_not_take_goes_to_another_connection(monkeypatch):
    """After GOAWAY, also if it is behind some of the requests."""
    first, second = PeerStream(numbered, max_concurrent_streams=3), PeerStream(numbered)
    conn = connection(monkeypatch, first, second, versions=("h2",))
    for _ in range(2):
        assert bodies_of(first, conn.co_exchange("GET", "/3")) == [pattern(3)]
    replies = []
    going = batch_of(conn, 1, "never", 3, 4, 5, replies=replies)
    next(going)
    refused = first.peer.requests[-2].stream - 2  # the last one that is processed
    first.peer.connection.close_connection(last_stream_id=refused)
    first.on_the_way += first.peer.connection.data_to_send()
    second.peer.app = lambda request: Answer(body=request[":path"].encode())
    first.arrive()
    stream = first
    while True:
        try:
            need = next(going)
        except StopIteration:
            break
        stream = second if need[0] == second.fd else first
        stream.arrive()
    assert [len(reply.body) for reply in replies] == [1, 6, 2, 2, 2]
    assert [reply.body for reply in replies[1:]] == [b"/never", b"/3", b"/4", b"/5"]
    assert conn.renewals == 1


def test_the_end_of_the_connection_is_an_error(monkeypatch):
    conn, stream = opened(monkeypatch)
    replies = []
    going = batch_of(conn, 1, "never", 3, replies=replies)
    next(going)
    stream.end()
    with pytest.raises(ConnectionClosed, match="/never") as caught:
        finish(going)
    assert caught.value.request_sent == "maybe"
    assert [reply.body for reply in replies] == [pattern(1)]


def test_threads_send_batches_on_one_connection():
    """Closing it while they wait ends all of them."""
    wrong, failed = [], []
    with h2_server(numbered, max_concurrent_streams=10) as server:
        conn = HTTPConnection("127.0.0.1", server.port, versions=("h2",), timeout=60)

        def work(number):
            for _ in range(5):
                sizes = [number, 100 * number, 20_000, 3] * 10
                replies = conn.exchange_all([("GET", f"/{size}") for size in sizes])
                if [reply.body for reply in replies] != [pattern(size) for size in sizes]:
                    wrong.append(number)

        def wait(_):
            try:
                conn.exchange_all([("GET", "/1"), ("GET", "/never")])
            except ConnectionClosed as exc:
                failed.append(exc)

        for target, count in ((work, 6), (wait, 4)):
            threads = [
                threading.Thread(target=partial(target, each)) for each in range(1, count + 1)
            ]
            for thread in threads:
                thread.start()
            if target is wait:
                wait_until(lambda: asked_for(server, "/never") == 4)
                conn.close()
            for thread in threads:
                thread.join(100)
                assert not thread.is_alive()
    assert wrong == []
    assert len(failed) == 4


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize(
    "module", [batches, lock, pump, response_reader], ids=lambda module: module.__name__
)
def test_ctrl_c_anywhere_leaves_nothing(monkeypatch, module):
    """The connection goes on without the batch, or has ended: a response is never another's."""

    large = 300_000 if module is response_reader else 70_000  # that module has no part in less

    def make():
        return opened(monkeypatch, PeerStream(numbered), max_concurrent_streams=3)

    def call(case):
        conn, peer = case
        sizes = (3, large, 5, 70_000, 6)
        bodies = [pattern(size) for size in sizes]
        assert bodies_of_batch(peer, batch_of(conn, *sizes)) == bodies

    def bodies_of_batch(stream, going):
        (replies,) = results_of(stream, going)
        return [reply.body for reply in replies]

    count = 0
    for count, (conn, first) in enumerate(ctrl_c_at_each_place(make, call, module), 1):
        if conn.is_open():
            assert conn.is_reusable(), count
            assert bodies_of(first, conn.co_exchange("GET", "/4")) == [pattern(4)], count
        else:
            conn.close()
            assert first.closed, count
    assert count > 5
