"""Who waits for the socket, and who is woken: operations that are resumed by hand, in every order.

No thread, no loop and no socket: a stream has what a server of the h2 library answers.
"""

import collections
import gc
import itertools
import os
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from kit.h2_server import Answer
from kit.h2_streams import PeerStream, bodies_of, is_ready, results_of
from kit.steps import PACKAGE, Steps
from kit.streams import connection, finish

from dugong_like import ConnectionClosed, ConnectionTimedOut, H2Options, StateError
from dugong_like.connection.h2 import pump as pumps
from dugong_like.polling.contract import POLLIN, POLLOUT, PollNeeded


def by_path(request):
    return Answer(body=request[":path"].encode())


def by_path_but_never(request):
    return None if request[":path"] == "/never" else by_path(request)


@pytest.fixture
def stream():
    return PeerStream(by_path)


@pytest.fixture
def conn(monkeypatch, stream):
    """Return a connection that has exchanged SETTINGS."""
    made = connection(monkeypatch, stream, PeerStream(by_path), versions=("h2",))
    made.connect()
    going = made.co_exchange("GET", "/first")
    next(going)
    stream.arrive()
    assert finish(going).body == b"/first"
    yield made
    made.close()


def pump_of(conn):
    return conn._session.shared.pump


def begin(conn, *paths, steps=5):
    """Return an exchange for each of *paths* that waits, and what it waits for."""
    going = [conn.co_exchange("GET", path) for path in paths]
    return going, [until_it_waits(each, steps) for each in going]


def until_it_waits(going, steps):
    """Resume *going* until it waits for something that is not ready, or was often enough."""
    for step in range(1, steps + 1):
        need = next(going)
        if steps == step or not need.poll(0):
            return need
    raise AssertionError("it does not wait")


class Waits:
    """What an operation waits for."""

    def __init__(self, stream):
        self._stream = stream

    def leads(self, need):
        return need[0] == self._stream.fd and need[1] == POLLIN

    def writes(self, need):
        return need[0] == self._stream.fd + 1 and need[1] == POLLIN | POLLOUT


@pytest.fixture
def waits(monkeypatch, stream):
    """Have the descriptors of *stream*, which are none, never ready; and no time passes."""
    poll, now = PollNeeded.poll, pumps.time.monotonic()
    monkeypatch.setattr(pumps.time, "monotonic", lambda: now)

    def never(need, timeout=None):
        return False if need[0] >= stream.fd else poll(need, timeout)

    monkeypatch.setattr(PollNeeded, "poll", never)
    return Waits(stream)


def test_one_leads_and_the_others_follow(conn, stream, waits):
    going, needs = begin(conn, "/a", "/b", "/c")
    assert [waits.leads(need) for need in needs] == [True, False, False]

    stream.arrive()
    with pytest.raises(StopIteration) as end:
        next(going[0])

    assert end.value.value.body == b"/a"
    assert [need.poll(0) for need in needs[1:]] == [True, True]
    assert [finish(each).body for each in going[1:]] == [b"/b", b"/c"]
    assert pump_of(conn).is_free()


def test_a_leader_that_is_closed_wakes_one_follower_which_leads(conn, stream, waits):
    going, needs = begin(conn, "/a", "/b", "/c")

    going[0].close()

    assert [need.poll(0) for need in needs[1:]] == [True, False]
    assert waits.leads(next(going[1]))
    stream.arrive()
    assert [finish(each).body for each in going[1:]] == [b"/b", b"/c"]


def test_a_follower_that_was_told_to_lead_and_is_closed_before_it_leads(conn, stream, waits):
    going, needs = begin(conn, "/a", "/b", "/c")

    going[0].close()
    going[1].close()

    assert needs[2].poll(0)
    assert waits.leads(next(going[2]))
    stream.arrive()
    assert finish(going[2]).body == b"/c"


@pytest.mark.parametrize("begun", [5, 1])
def test_somebody_leads_or_is_woken_after_every_step(monkeypatch, begun):
    """Each of three exchanges is resumed or closed, in every order, before the server answers.

    With one step of each the second one gathers, and was not resumed.
    """
    steps = [(number, what) for number in range(3) for what in ("resume", "close")]
    poll = PollNeeded.poll
    monkeypatch.setattr(
        PollNeeded, "poll", lambda need, _=None: need[0] < PeerStream.fd and poll(need, 0)
    )
    for order in itertools.permutations(steps, 4):
        stream = PeerStream(by_path)
        conn = connection(monkeypatch, stream, versions=("h2",))
        first = conn.co_exchange("GET", "/first")
        next(first)
        stream.arrive()
        finish(first)
        going, needs = begin(conn, "/0", "/1", "/2", steps=begun)
        alive = {0, 1, 2}
        for number, what in order:
            if number not in alive:
                continue
            if what == "close":
                going[number].close()
                alive.discard(number)
            elif needs[number].poll(0):  # nobody resumes it otherwise
                needs[number] = next(going[number])
            leads = [needs[each][0] == stream.fd for each in alive]
            woken = [needs[each].poll(0) for each in alive]
            assert not alive or any(leads) or any(woken), (order, number, what)
        left = sorted(alive)  # none of them is resumed needlessly
        bodies = bodies_of(stream, *map(going.__getitem__, left), needs=[needs[n] for n in left])
        assert bodies == [b"/%d" % each for each in left], order
        assert pump_of(conn).is_free()
        conn.close()


def test_a_needless_resumption_changes_nothing(conn, stream, waits):
    going, needs = begin(conn, "/a", "/b")

    for each, need in zip(going * 3, needs * 3, strict=True):
        assert next(each)[:2] == need[:2]

    stream.arrive()
    assert [finish(each).body for each in going] == [b"/a", b"/b"]


def test_a_socket_that_takes_nothing_is_waited_for_by_one(conn, stream, waits):
    stream.room = 0
    going, needs = begin(conn, "/a", "/b")
    assert [waits.writes(need) for need in needs] == [True, False]
    assert not waits.leads(needs[1])

    stream.room = 1 << 20
    next(going[0])
    stream.arrive()

    assert [finish(each).body for each in going] == [b"/a", b"/b"]


@pytest.fixture
def refusals(stream):
    """Return a list that has an item for each attempt to send that has sent nothing."""
    made = []
    send = stream.send

    def counting(parts):
        count = send(parts)
        if not count:
            made.append(count)
        return count

    stream.send = counting
    return made


def test_a_socket_that_takes_nothing_is_asked_again_when_the_one_that_waits_is_resumed(
    conn, stream, waits, refusals
):
    """Whatever others queue meanwhile, in this thread or in another one."""
    stream.room = 0
    going, (need,) = begin(conn, "/a")
    assert waits.writes(need)
    del refusals[:]
    going += begin(conn, "/b", "/c")[0]
    others = []
    thread = threading.Thread(target=lambda: others.extend(begin(conn, "/d", "/e")[0]))
    thread.start()
    thread.join()
    going[2].close()  # which resets its stream
    del going[2]
    assert not refusals

    assert waits.writes(next(going[0]))
    assert len(refusals) == 1

    stream.room = 1 << 20
    next(going[0])
    stream.arrive()
    assert [finish(each).body for each in (*going, *others)] == [b"/a", b"/b", b"/d", b"/e"]


def test_the_next_one_sends_if_the_one_that_waited_for_a_full_socket_is_closed(conn, stream, waits):
    stream.room = 0
    going, needs = begin(conn, "/a", "/b", "/c")

    going[0].close()
    stream.room = 1 << 20
    assert needs[1].poll(0)
    next(going[1])

    stream.arrive()
    assert [finish(each).body for each in going[1:]] == [b"/b", b"/c"]


def test_goodbye_is_said_if_a_full_socket_has_room_again(conn, stream, waits):
    """The one that waits for it was not resumed yet."""
    stream.room = 0
    (going,), _ = begin(conn, "/a")
    stream.room = 1 << 20

    conn.close()

    assert [request[":path"] for request in stream.peer.requests] == ["/first", "/a"]
    with pytest.raises(ConnectionClosed):
        finish(going)


def test_a_writer_that_is_closed_wakes_the_next_one(conn, stream, waits):
    """Its request, which is queued, leaves all the same, and is reset."""
    stream.room = 0
    going, needs = begin(conn, "/a", "/b")

    going[0].close()

    assert needs[1].poll(0)
    assert waits.writes(next(going[1]))
    stream.room = 5  # a part of a frame
    assert waits.writes(next(going[1]))
    stream.room = 1 << 20
    next(going[1])
    stream.arrive()
    assert finish(going[1]).body == b"/b"
    assert [request[":path"] for request in stream.peer.requests] == ["/first", "/a", "/b"]


def test_a_writer_receives_meanwhile(conn, stream, waits):
    """Else both sides could wait for ever, each until the other one reads."""
    (one,), _ = begin(conn, "/one")
    stream.room = 0
    (other,), (need,) = begin(conn, "/other")
    assert waits.writes(need)
    one.close()
    (third,), (follows,) = begin(conn, "/third")

    stream.peer.connection.ping(b"12345678")
    stream.on_the_way += stream.peer.connection.data_to_send()
    stream.arrive()
    assert waits.writes(next(other))
    assert not stream.arrived

    stream.room = 1 << 20
    next(other)
    stream.arrive()
    assert finish(other).body == b"/other"
    assert follows.poll(0)
    assert finish(third).body == b"/third"


@pytest.mark.parametrize("writes_on", [True, False])
def test_one_that_receives_beside_a_full_socket_is_not_left_with_what_it_has_queued(
    monkeypatch, waits, writes_on
):
    """The one that waits until more can be sent is resumed, or closed: WINDOW_UPDATE leaves."""
    stream = PeerStream(by_path_but_never, initial_window_size=1 << 20)
    stream.peer.app = lambda request: Answer(body=bytes(300_000))
    small = H2Options(connection_window=65535, stream_window=65535)
    conn = connection(monkeypatch, stream, versions=("h2",), http2=small)
    assert bodies_of(stream, conn.co_exchange("GET", "/first")) == [bytes(300_000)]
    (reading,), (need,) = begin(conn, "/down")
    assert waits.leads(need)
    stream.room = 0
    writing = conn.co_exchange("PUT", "/up", None, bytes(50_000))
    writes = until_it_waits(writing, 5)
    assert waits.writes(writes)
    for _ in range(5):
        stream.arrive()
        if is_ready(stream, need):
            need = next(reading)

    stream.room = 1 << 30
    if writes_on:
        assert bodies_of(stream, reading, writing, needs=[need, writes]) == [bytes(300_000)] * 2
    else:
        writing.close()
        assert bodies_of(stream, reading, needs=[need]) == [bytes(300_000)]
    assert pump_of(conn).is_free()
    conn.close()


@pytest.fixture
def narrow(monkeypatch, waits):
    """Return a stream to a server that takes one request at a time, and a connection with it."""
    stream = PeerStream(by_path_but_never, max_concurrent_streams=1)
    conn = connection(monkeypatch, stream, versions=("h2",))
    assert bodies_of(stream, conn.co_exchange("GET", "/first")) == [b"/first"]
    return stream, conn


def test_streams_are_opened_as_the_server_has_room(narrow):
    stream, conn = narrow
    going, _ = begin(conn, "/a", "/b", "/c", "/d")
    assert len(stream.peer.requests) == 2
    stream.arrive()
    assert finish(going[0]).body == b"/a"
    going[1].close()  # it was told that there is room

    assert bodies_of(stream, *going[2:]) == [b"/c", b"/d"]
    assert [request[":path"] for request in stream.peer.requests] == ["/first", "/a", "/c", "/d"]


def test_no_newcomer_takes_the_room_of_an_operation_that_waits(narrow):
    stream, conn = narrow
    (one, waiting), (_, need) = begin(conn, "/one", "/waiting")
    stream.arrive()
    assert finish(one).body == b"/one"
    (newcomer,), (last,) = begin(conn, "/newcomer")

    bodies = bodies_of(stream, newcomer, waiting, needs=[last, need])
    assert bodies == [b"/newcomer", b"/waiting"]
    assert [request[":path"] for request in stream.peer.requests] == [
        *("/first", "/one", "/waiting", "/newcomer"),
    ]


def test_many_exchanges_with_little_room(narrow):
    stream, conn = narrow
    paths = [f"/{number}" for number in range(20)]

    bodies = bodies_of(stream, *[conn.co_exchange("GET", path) for path in paths])

    assert bodies == [path.encode() for path in paths]


def test_heads_of_one_thread_leave_together(conn, stream, waits):
    sent = []
    whole = stream.send
    stream.send = lambda parts: sent.append(len(parts)) or whole(parts)
    going = [conn.co_exchange("GET", f"/{number}") for number in range(5)]
    for each in going:
        next(each)  # all but the first let the others begin
    assert len(sent) == 1
    for each in going:
        next(each)
    assert len(sent) == 2
    stream.arrive()
    assert [finish(each).body for each in going] == [b"/%d" % number for number in range(5)]


def test_a_gatherer_that_is_closed_sends_for_the_others(conn, stream, waits):
    going = [conn.co_exchange("GET", path) for path in ("/a", "/b", "/c", "/d")]
    needs = [next(each) for each in going]
    assert [waits.leads(need) for need in needs] == [True, False, False, False]
    assert [need.poll(0) for need in needs[1:]] == [True, False, False]  # the gatherer goes on

    going[0].close()
    going[1].close()

    assert [need.poll(0) for need in needs[2:]] == [True, False]
    assert waits.leads(next(going[2]))
    stream.arrive()
    assert [finish(each).body for each in going[2:]] == [b"/c", b"/d"]
    assert pump_of(conn).is_free()


def test_a_gatherer_leads_if_nobody_does(conn, stream, waits):
    going = [conn.co_exchange("GET", path) for path in ("/a", "/b", "/c")]
    needs = [next(each) for each in going]
    going[0].close()
    assert [need.poll(0) for need in needs[1:]] == [True, False]

    assert waits.leads(next(going[1]))

    stream.arrive()
    assert [finish(each).body for each in going[1:]] == [b"/b", b"/c"]


def test_a_gatherer_that_is_not_resumed_holds_nobody_up_for_long(monkeypatch, conn, stream, waits):
    """Its loop has stopped, perhaps, or waits for one of the others."""
    now = [pumps.time.monotonic()]
    monkeypatch.setattr(pumps.time, "monotonic", lambda: now[0])
    going = [conn.co_exchange("GET", path) for path in ("/a", "/b", "/c")]
    needs = [next(each) for each in going]
    until = needs[2].deadline
    assert now[0] < until <= now[0] + pumps.PATIENCE

    now[0] = until
    next(going[2])  # which sends what was gathered

    stream.arrive()
    assert [finish(going[number]).body for number in (0, 2, 1)] == [b"/a", b"/c", b"/b"]


def test_a_gatherer_that_is_not_resumed_does_not_keep_other_threads_from_leading(
    conn, stream, waits
):
    with ThreadPoolExecutor(1) as other:
        first, second = conn.co_exchange("GET", "/a"), conn.co_exchange("GET", "/b")
        assert waits.leads(next(first))
        other.submit(next, second).result()
        going = [conn.co_exchange("GET", path) for path in ("/c", "/d")]
        for each in going:
            next(each)
        first.close()
        assert waits.leads(other.submit(next, second).result())
    stream.arrive()
    assert [finish(each).body for each in (second, *going)] == [b"/b", b"/c", b"/d"]


def test_another_thread_sends_what_was_gathered(conn, stream, waits):
    going = [conn.co_exchange("GET", path) for path in ("/a", "/b", "/c")]
    for each in going:
        next(each)
    other = conn.co_exchange("GET", "/d")
    thread = threading.Thread(target=next, args=(other,))
    thread.start()
    thread.join()
    stream.arrive()  # though the gatherer was not resumed
    assert finish(going[0]).body == b"/a"
    assert [finish(each).body for each in (*going[1:], other)] == [b"/b", b"/c", b"/d"]


def test_a_request_of_a_thread_that_waits_for_nothing_else_is_sent_at_once(conn, stream):
    """As is that of a thread with blocking calls, whatever other threads wait for."""
    sent = []
    whole = stream.send
    going = conn.co_exchange("GET", "/a")
    thread = threading.Thread(target=next, args=(going,))
    thread.start()
    thread.join()
    stream.send = lambda parts: sent.append(b"".join(parts)) or whole(parts)
    for path in ("/b", "/c"):
        other = conn.co_exchange("GET", path)
        next(other)
        assert len(sent) == 1
        sent.clear()
        stream.arrive()
        assert bodies_of(stream, *[going, other][path == "/c" :])[-1] == path.encode()


def test_a_warm_exchange_takes_few_steps_and_calls_of_the_system(monkeypatch, conn, stream):
    """A look whether anything has come, a send, a wait, and a reception."""
    calls = collections.Counter()
    for name in ("send", "recv_into", "recv_would_block"):
        whole = getattr(stream, name)

        def counting(*args, name=name, whole=whole):
            calls[name] += 1
            return whole(*args)

        monkeypatch.setattr(stream, name, counting)
    codes = []
    for _ in range(3):
        calls.clear()
        with Steps(of=PACKAGE) as sending:
            going = conn.co_exchange("GET", "/a")
            next(going)
        stream.arrive()
        with Steps(of=PACKAGE) as receiving:
            reply = finish(going)
        assert reply.body == b"/a"
        codes.append(sending.codes + receiving.codes)
    assert calls == {"send": 1, "recv_into": 1, "recv_would_block": 1}
    assert codes[-1] <= 1556, codes


def test_a_part_of_a_response_is_acknowledged_at_once(monkeypatch, conn, stream):
    """A server with Nagle's algorithm holds the rest back until then, which may be 40 ms."""
    told = []
    monkeypatch.setattr(stream, "quick_ack", lambda: told.append(len(stream.arrived)))
    going = conn.co_exchange("GET", "/a")
    next(going)
    assert not told
    stream.arrived, stream.on_the_way = stream.on_the_way[:20], stream.on_the_way[20:]
    next(going)
    assert told == [0]
    next(going)
    assert told == [0]
    stream.arrive()
    assert finish(going).body == b"/a"
    assert bodies_of(stream, conn.co_exchange("GET", "/b")) == [b"/b"]
    assert told == [0]


def test_an_exchange_beside_a_hundred_others_takes_few_steps(conn, stream):
    def co_four():
        for _ in range(4):
            yield from conn.co_exchange("GET", "/a")

    results_of(stream, *[co_four() for _ in range(100)])  # makes the flags
    with Steps(of=PACKAGE) as steps:
        results_of(stream, *[co_four() for _ in range(100)])
    assert steps.codes / 400 <= 3071


def test_calls_of_the_system_for_many_exchanges_at_once(monkeypatch, conn, stream):
    """One reception and two sends for each round of a hundred; two calls for each follower."""
    calls = collections.Counter()

    def counted(name, call):
        def counting(*args):
            calls[name] += 1
            return call(*args)

        return counting

    for name in ("eventfd", "eventfd_read", "eventfd_write", "close"):
        if hasattr(os, name):
            monkeypatch.setattr(os, name, counted(name, getattr(os, name)))
    monkeypatch.setattr(stream, "send", counted("send", stream.send))
    monkeypatch.setattr(stream, "recv_into", counted("recv", stream.recv_into))

    def co_four():
        for _ in range(4):
            assert (yield from conn.co_exchange("GET", "/a")).body == b"/a"

    results_of(stream, *[co_four() for _ in range(100)])

    assert calls["send"] <= 8
    assert calls["recv"] <= 8
    assert calls["eventfd"] <= 102
    assert calls["eventfd_write"] <= 410
    assert calls["eventfd_read"] <= 410
    assert calls["close"] <= 2


class RecordStream(PeerStream):
    """One whose `recv_into` returns a record of at most 40 bytes, as TLS does.

    Attributes:
        calls: how often each way of receiving was used.

    """

    def __init__(self, app):
        super().__init__(app)
        self.calls = collections.Counter()

    def recv_into(self, buffer):
        self.calls["record"] += 1
        return super().recv_into(buffer[:40])

    def recv_all_into(self, buffer):
        self.calls["all"] += 1
        return super().recv_into(buffer)


def test_all_records_are_received_at_once_if_there_are_many_streams(monkeypatch):
    """What is done for each reception, such as waking all whose window has grown, is done once."""
    stream = RecordStream(by_path)
    conn = connection(monkeypatch, stream, versions=("h2",))
    assert bodies_of(stream, conn.co_exchange("GET", "/first")) == [b"/first"]
    assert stream.calls["all"] == 0  # for one stream another attempt would be in vain
    stream.calls.clear()

    paths = [b"/%d" % number for number in range(100)]
    going = [conn.co_exchange("GET", path.decode()) for path in paths]
    assert bodies_of(stream, *going) == paths
    assert stream.calls.total() <= 8, stream.calls


@pytest.fixture
def beside(monkeypatch, waits):
    """Return a stream, a connection, and operations that have begun, with what they wait for.

    The first one leads. The second one was woken by what it has sent itself, and waits for the
    window of its stream. The third one follows.
    """
    stream = PeerStream(by_path_but_never, initial_window_size=10)
    conn = connection(monkeypatch, stream, versions=("h2",))
    assert bodies_of(stream, conn.co_exchange("GET", "/first")) == [b"/first"]
    (leader,), (need,) = begin(conn, "/never")
    assert waits.leads(need)
    sender = conn.co_exchange("PUT", "/put", body=bytes(600_000))
    assert not waits.leads(until_it_waits(sender, 5))
    for number in (0, 5):
        stream.peer.connection.increment_flow_control_window(300_000, number or None)
    stream.on_the_way += stream.peer.connection.data_to_send()
    stream.arrive()
    next(leader)
    need = next(sender)
    assert need.poll(0)
    (third,), (follows,) = begin(conn, "/third")
    assert not follows.poll(0)
    return stream, conn, [leader, sender, third], [need, follows]


def test_one_that_has_woken_itself_is_not_woken_in_place_of_another_one(beside):
    _, _, (leader, sender, third), needs = beside

    leader.close()

    assert needs[1].poll(0)
    sender.close()
    third.close()


@pytest.mark.parametrize("abandoned", [False, True])
def test_one_that_has_woken_itself_leads_and_another_one_sends(beside, waits, abandoned):
    stream, conn, (leader, sender, third), needs = beside
    other = conn.send_request("GET", "/never")
    leader.close()
    needs = [next(sender), next(third)]
    assert waits.leads(needs[0])
    assert not needs[1].poll(0)

    stream.room = 0
    if abandoned:
        other.abandon()
    else:
        other.update_window(1000)

    assert needs[1].poll(0)
    needs[1] = next(third)
    assert waits.writes(needs[1])
    stream.room = 1 << 30
    assert bodies_of(stream, sender, third, needs=needs) == [b"/put", b"/third"]
    other.abandon()
    assert conn.is_reusable()


def test_a_failure_to_send_what_reading_has_queued_ends_the_connection(monkeypatch, waits):
    """The operation has what it wanted; everybody sees the reason."""
    stream = PeerStream()
    options = H2Options(window_update_threshold=1000)
    conn = connection(monkeypatch, stream, versions=("h2",), http2=options)
    (exchange,) = results_of(stream, conn.co_send_request("GET", "/bytes/60000"))
    assert results_of(stream, exchange.co_read_response())[0].status == 200
    assert results_of(stream, exchange.co_read(1)) == [b"\0"]

    def fail(parts):
        raise ConnectionClosed("reset by peer")

    monkeypatch.setattr(stream, "send", fail)
    assert len(finish(exchange.co_read(50_000))) == 50_000
    assert "reset by peer" in str(conn.close_reason)
    assert not conn.is_open()


# ---- in the middle of a section


def test_an_operation_that_is_collected_inside_a_section(conn, stream, waits):
    """Its end has to wait for that of the section, and is not forgotten."""
    going, needs = begin(conn, "/a", "/b", "/c")
    engine = pump_of(conn).engine
    receive = type(engine).receive

    def collecting(self, data):
        going[1].close()
        assert len(engine.streams) == 3  # the reset has to wait
        return receive(self, data)

    stream.arrive()
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(type(engine), "receive", collecting)
        assert finish(going[0]).body == b"/a"
    assert finish(going[2]).body == b"/c"
    assert pump_of(conn).is_free()


@pytest.mark.parametrize(("name", "paths"), [("receive", ["/a", "/c"]), ("take_whole", ["/a"])])
def test_an_operation_cannot_run_inside_a_section_of_its_thread(conn, stream, waits, name, paths):
    going, _ = begin(conn, *paths)
    refused = []
    engine = pump_of(conn).engine
    receive = getattr(type(engine), name)

    def handler(*args):
        with pytest.raises(StateError, match="its own thread") as failure:
            next(conn.co_exchange("GET", "/b"))
        refused.append(failure)
        return receive(*args)

    stream.arrive()
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(type(engine), name, handler)
        assert [finish(each).body.decode() for each in going] == paths
    assert refused
    gc.collect()
    assert pump_of(conn).is_free()


def test_an_interruption_inside_a_section_ends_the_connection_for_all(conn, stream, waits):
    going, needs = begin(conn, "/a", "/b")
    engine = pump_of(conn).engine

    def interrupted(self, data):
        raise KeyboardInterrupt

    stream.arrive()
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(type(engine), "receive", interrupted)
        with pytest.raises(KeyboardInterrupt):
            next(going[0])
    assert needs[1].poll(0)
    with pytest.raises(ConnectionClosed, match="KeyboardInterrupt") as failure:
        next(going[1])
    assert failure.value.request_sent == "maybe"
    assert conn.close_reason is not None
    (again,), _ = begin(conn, "/again")  # on another connection
    assert conn.renewals == 1
    again.close()


# ---- the end


def test_closing_wakes_all(conn, stream, waits):
    going, needs = begin(conn, "/a", "/b", "/c")

    conn.disconnect()

    assert [need.poll(0) for need in needs[1:]] == [True, True]
    for each in going:
        with pytest.raises(ConnectionClosed, match="closed meanwhile"):
            next(each)
    assert stream.closed
    assert pump_of(conn).is_free()


def test_the_end_of_the_connection_is_that_of_all_streams(conn, stream, waits):
    going, needs = begin(conn, "/a", "/b")

    stream.on_the_way = b""
    stream.end()

    for each, path in zip(going, ("/a", "/b"), strict=True):
        with pytest.raises(ConnectionClosed, match=f"{path}: the server has closed") as failure:
            next(each)
        assert failure.value.request_sent == "maybe"
    assert "the server has closed the connection" in str(conn.close_reason)


def test_goaway_is_seen_before_the_next_exchange(conn, stream, waits):
    stream.peer.connection.close_connection()
    stream.on_the_way += stream.peer.connection.data_to_send()
    stream.end()

    (going,), _ = begin(conn, "/next")
    assert conn.renewals == 1
    going.close()


def test_ping_is_answered_by_a_look(conn, stream):
    stream.peer.connection.ping(b"12345678")
    stream.on_the_way += stream.peer.connection.data_to_send()
    stream.arrive()

    assert conn.is_open()

    assert any(type(event).__name__ == "PingAckReceived" for event in stream.peer.events)


def test_time_without_anything_for_one_exchange(monkeypatch, conn, stream, waits):
    now = 1000.0
    monkeypatch.setattr(pumps.time, "monotonic", lambda: now)
    conn.timeout = 10
    going, needs = begin(conn, "/a", "/b")
    assert needs[0].deadline == 1010
    now = 1009.0
    assert next(going[0]).deadline == 1010
    now = 1010.0
    with pytest.raises(ConnectionTimedOut, match="no response head arrived for 10 s") as failure:
        next(going[0])
    assert failure.value.request_sent == "maybe"
    assert bodies_of(stream, going[1]) == [b"/b"]


# ---- one that leads waits for the socket, and no flag wakes it


def test_room_that_another_one_leaves_reaches_the_one_that_leads(narrow):
    stream, conn = narrow
    other = conn.send_request("GET", "/never")
    going, needs = begin(conn, "/a")
    assert needs[0].fd == stream.fd

    other.abandon()

    assert bodies_of(stream, *going, needs=needs) == [b"/a"]
    assert not pump_of(conn).engine.pings


def test_room_that_another_one_leaves_is_for_a_follower_rather_than_for_the_one_that_leads(narrow):
    stream, conn = narrow
    other = conn.send_request("GET", "/never")
    going, needs = begin(conn, "/a", "/b")

    other.abandon()

    assert is_ready(stream, needs[1])
    assert not is_ready(stream, needs[0])
    assert bodies_of(stream, *going, needs=needs) == [b"/a", b"/b"]


def test_exchange_that_another_one_gives_up_while_it_leads_ends(narrow):
    stream, conn = narrow
    exchange = conn.send_request("GET", "/never")
    going = exchange.co_read_response()
    need = until_it_waits(going, 5)
    assert need.fd == stream.fd

    exchange.abandon()

    with pytest.raises(StateError, match="abandoned"):
        results_of(stream, going, needs=[need])
    assert bodies_of(stream, conn.co_exchange("GET", "/a")) == [b"/a"]


class Flag:
    """A flag without a descriptor, as a thousand operations wait."""

    def __init__(self, reason):
        self.is_set = False

    def set(self):
        self.is_set = True

    def clear(self):
        self.is_set = False

    close = clear

    def need(self, deadline=None):
        return PollNeeded(1 << 20, POLLIN, deadline)


def steps_of_opening(monkeypatch, count):
    """Return the bytecodes of the end of an exchange and the beginning of one of *count* others."""
    stream = PeerStream(by_path, max_concurrent_streams=1)
    conn = connection(monkeypatch, stream, versions=("h2",))
    assert bodies_of(stream, conn.co_exchange("GET", "/first")) == [b"/first"]
    going = collections.deque(conn.co_exchange("GET", f"/{number}") for number in range(count))
    next(going[0])
    for each in itertools.islice(going, 1, None):
        next(each)
        next(each)
    for number in range(4):
        stream.arrive()
        with Steps(of=f"{PACKAGE}connection/h2") as steps:
            ended = finish(going.popleft())
            next(going[0])
        assert ended.body == b"/%d" % number
        assert len(stream.peer.requests) == number + 3
    while going:
        going.popleft().close()
    assert pump_of(conn).is_free()
    return steps.codes


def test_room_is_found_for_the_next_one_however_many_wait_for_it(monkeypatch):
    monkeypatch.setattr(pumps, "Wake", Flag)
    few, many = (steps_of_opening(monkeypatch, count) for count in (10, 1000))
    assert many <= 1.12 * few, (few, many)


def steps_of_sending(monkeypatch, count):
    """Return the bytecodes of sending what one of *count* operations waits for."""
    stream = PeerStream(by_path, max_concurrent_streams=count + 1)
    conn = connection(monkeypatch, stream, versions=("h2",))
    assert bodies_of(stream, conn.co_exchange("GET", "/first")) == [b"/first"]
    stream.room = 0
    begun = [conn.co_send_request("POST", f"/{number}", None, b"x") for number in range(count)]
    for each in begun:
        next(each)
    codes = []
    for number in range(1, 5):
        output = pump_of(conn).engine.output
        stream.room = min(waiter.mark for waiter in pump_of(conn)._marked) - output.sent
        with Steps(of=f"{PACKAGE}connection/h2") as steps:
            finish(begun[number - 1])
            next(begun[number])  # which sends from now on
        codes.append(steps.codes)
        assert len(stream.peer.requests) == number + 1
    for each in begun[4:]:
        each.close()
    return codes[-1]


def test_sending_is_noticed_by_the_next_one_however_many_wait_for_it(monkeypatch):
    monkeypatch.setattr(pumps, "Wake", Flag)
    few, many = (steps_of_sending(monkeypatch, count) for count in (10, 1000))
    assert many <= 1.12 * few, (few, many)
