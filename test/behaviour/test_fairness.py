"""Others of the same loop have their turn, however little an operation does in each step.

What is counted are steps between two turns of somebody else, never time.
"""

import asyncio
import io
import threading

import pytest
from kit.support import ScriptedServer, open_descriptors

from dugong_like import (
    BodyFollowing,
    ConnectFailed,
    HTTPConnection,
    NetworkStream,
    RateLimit,
    Request,
    ScriptedStream,
    ScriptedTransport,
    Wake,
    both,
    run,
)
from dugong_like.drivers import aio
from dugong_like.drivers.loop import Loop
from dugong_like.drivers.loopthread import LoopThread
from dugong_like.http.h1.limits import Limits
from dugong_like.polling import contract as polling
from dugong_like.polling import wake
from dugong_like.polling.binary_streams import BinaryReader, BinaryWriter
from dugong_like.polling.fairness import STEP, TURN
from dugong_like.polling.wake import co_checkpoint
from dugong_like.transport.connect.open import co_converse
from dugong_like.transport.proxy.connect_tunnel import Tunnel

MOST = TURN // STEP  # steps of a turn
COUNT = 4 * MOST
SILENCE = float("inf")  # what is to be received is not there, and does not come
SMALL = b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nx"


def connected(*incoming, rooms=()):
    """Return a connection over a script."""
    stream = ScriptedStream(incoming, rooms)
    stream.sent = bytearray()  # grows in place
    conn = HTTPConnection("x", 80, transport=ScriptedTransport(stream))
    conn.connect()
    return conn


# ---- small steps, each of which can be taken at once: what returns one operation for each


def writes():
    conn = connected(SILENCE)
    conn.send_request("PUT", "/", body=BodyFollowing())
    return lambda: conn.co_write(b"x")


def writes_of_known_length():
    conn = connected(SILENCE)
    conn.send_request("PUT", "/", body=BodyFollowing(COUNT))
    return lambda: conn.co_write(b"x")


def requests():
    conn = connected(SILENCE)
    return lambda: conn.co_send_request("GET", "/")


def body():
    """A body that has arrived before anybody has asked for it."""
    conn = connected(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % COUNT + bytes(COUNT))
    conn.send_request("GET", "/")
    conn.read_response()
    return conn


def reads():
    conn = body()
    return lambda: conn.co_read(1)


def readintos():
    conn, buffer = body(), bytearray(1)
    return lambda: conn.co_readinto(buffer)


def raw_reads():
    conn = connected(bytes(COUNT))
    return lambda: conn.co_read_raw(1)


def responses():
    conn = connected(*[SMALL * 100] * (COUNT // 100 + 1))
    conn.send_requests([("GET", "/")] * COUNT)

    def co_step():
        yield from conn.co_read_response()
        yield from conn.co_readall()

    return co_step


def stream_writes():
    stream = NetworkStream(ScriptedStream())
    return lambda: stream.co_write(b"x")


def stream_reads():
    stream = NetworkStream(ScriptedStream([bytes(COUNT)]))
    return lambda: stream.co_read(1)


def reads_of_what_came_with_the_head():
    stream = NetworkStream(ScriptedStream(), bytes(COUNT))
    return lambda: stream.co_readinto(bytearray(1))


def writes_of_nothing():
    conn = connected(SILENCE)
    conn.send_request("PUT", "/", body=BodyFollowing())
    return lambda: conn.co_write(b"")


def writes_of_nothing_to_a_complete_body():
    conn = connected(SILENCE)
    conn.send_request("PUT", "/", body=b"x")
    return lambda: conn.co_write(b"")


def ends_of_a_complete_body():
    conn = connected(SILENCE)
    conn.send_request("PUT", "/", body=b"x")
    return conn.co_finish


def empty_files():
    conn, file = connected(SILENCE), io.BytesIO()
    conn.send_request("PUT", "/", body=BodyFollowing())
    return lambda: conn.co_sendfile(file)


def empty_files_behind_a_complete_body():
    conn, file = connected(SILENCE), io.BytesIO()
    conn.send_request("PUT", "/", body=b"x")
    return lambda: conn.co_sendfile(file)


def connections_that_are_there():
    return connected(SILENCE).co_connect


def discards_of_nothing():
    conn = connected(SMALL, SILENCE)
    conn.send_request("GET", "/")
    conn.read_response()
    conn.readall()
    return conn.co_discard


def stream_writes_of_nothing():
    stream = NetworkStream(ScriptedStream())
    return lambda: stream.co_write(b"")


def stream_ends():
    return NetworkStream(ScriptedStream()).co_write_eof


def waits_for_a_flag_that_is_set():
    flag = Wake()
    flag.set()
    return flag.co_wait


def bytes_within_a_rate():
    rate = RateLimit(1e9)
    return lambda: rate.co_take(1)


def writes_to_a_stream_of_others():
    writer = BinaryWriter(io.BytesIO())
    return lambda: writer.co_write_all(b"x")


def flushes_of_a_stream_of_others():
    return BinaryWriter(io.BytesIO()).co_flush


def reads_of_a_stream_of_others():
    reader = BinaryReader(io.BytesIO(bytes(COUNT)))
    return lambda: reader.co_read_some(1)


def failing_attempts_to_connect():
    conn = HTTPConnection("x", 80, transport=ScriptedTransport(*[ConnectFailed("no")] * COUNT))

    def co_step():
        with pytest.raises(ConnectFailed):
            yield from conn.co_connect()

    return co_step


STEPS = [
    writes,
    writes_of_known_length,
    requests,
    reads,
    readintos,
    raw_reads,
    responses,
    stream_writes,
    stream_reads,
    reads_of_what_came_with_the_head,
    writes_of_nothing,
    writes_of_nothing_to_a_complete_body,
    ends_of_a_complete_body,
    empty_files,
    empty_files_behind_a_complete_body,
    connections_that_are_there,
    discards_of_nothing,
    stream_writes_of_nothing,
    stream_ends,
    waits_for_a_flag_that_is_set,
    bytes_within_a_rate,
    writes_to_a_stream_of_others,
    flushes_of_a_stream_of_others,
    reads_of_a_stream_of_others,
    # that alone takes half a second; each of its attempts is tried below
    pytest.param(failing_attempts_to_connect, marks=pytest.mark.slow),
]


# ---- a task that takes the steps, and one that counts how many there were since its last turn


class Beat:
    """Counts."""

    def __init__(self, count=COUNT):
        self.count = count  # operations
        self.steps = self.most = self.turns = 0
        self.ended = False

    def turn(self):
        self.turns += 1
        self.most = max(self.most, self.steps)
        self.steps = 0

    def co_beat(self):
        while not self.ended:
            self.turn()
            yield from co_checkpoint()
        self.turn()

    def co_steps(self, step):
        for _ in range(self.count):
            self.steps += 1
            yield from step()
        self.ended = True


async def async_steps(beat, step, run_):
    for _ in range(beat.count):
        beat.steps += 1
        await run_(step())
    beat.ended = True


def on_asyncio(beat, step):
    async def main():
        async def heart():
            while not beat.ended:
                beat.turn()
                await asyncio.sleep(0)

        await asyncio.gather(heart(), async_steps(beat, step, aio.run))

    asyncio.run(main())


def on_asyncio_as_one(beat, step):
    async def main():
        await asyncio.gather(aio.run(beat.co_beat()), aio.AioFuture(beat.co_steps(step)))

    asyncio.run(main())


def on_uvloop(beat, step):
    async def main():
        await asyncio.gather(aio.run(beat.co_beat()), async_steps(beat, step, aio.run))

    with asyncio.Runner(loop_factory=pytest.importorskip("uvloop").new_event_loop) as runner:
        runner.run(main())


def on_trio(beat, step):
    trio = pytest.importorskip("trio")
    from dugong_like.drivers import trio as driver

    async def main():
        async with trio.open_nursery() as nursery:
            nursery.start_soon(driver.run, beat.co_beat())
            nursery.start_soon(driver.run, beat.co_steps(step))

    trio.run(main)


def on_gevent(beat, step):
    gevent = pytest.importorskip("gevent")
    from dugong_like.drivers import gevent as driver

    def steps():
        for _ in range(beat.count):
            beat.steps += 1
            driver.run(step())
        beat.ended = True

    jobs = [gevent.spawn(driver.run, beat.co_beat()), gevent.spawn(steps)]
    gevent.joinall(jobs, raise_error=True)


def on_own_loop(beat, step):
    with Loop() as loop:
        tasks = [loop.spawn(beat.co_beat()), loop.spawn(beat.co_steps(step))]
        loop.run_all()
        for task in tasks:
            task.result()


def on_a_loop_thread(beat, step):
    started = threading.Event()

    def co_start():
        started.wait(20)  # so that nothing runs before both are there
        yield from beat.co_beat()

    with LoopThread() as thread:
        futures = [thread.submit(co_start()), thread.submit(beat.co_steps(step))]
        started.set()
        for future in futures:
            future.result(60)


def on_both(beat, step):
    run(both(beat.co_beat(), beat.co_steps(step)))


LOOPS = [
    on_asyncio,
    on_asyncio_as_one,
    on_uvloop,
    on_trio,
    on_gevent,
    on_own_loop,
    on_a_loop_thread,
    on_both,
]


@pytest.mark.parametrize("steps", STEPS)
@pytest.mark.parametrize("loop", LOOPS)
def test_small_steps_that_never_wait_give_others_their_turn(loop, steps):
    beat = Beat()
    loop(beat, steps())
    assert 0 < beat.most <= 2 * (MOST + 1)  # a loop may let the same one go on twice


def test_a_failed_attempt_to_connect_always_gives_others_their_turn():
    beat = Beat()
    on_own_loop(beat, failing_attempts_to_connect())
    assert beat.most <= 2


# ---- many steps within one operation


def chunked(count):
    head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
    conn = connected(head + b"1\r\nx\r\n" * count + b"0\r\n\r\n")
    conn.send_request("GET", "/")
    conn.read_response()
    return conn


@pytest.mark.parametrize("call", ["readall", "discard", "recv_to_file"])
def test_small_chunks_are_steps(call):
    conn = chunked(COUNT)
    arguments = (io.BytesIO(),) if call == "recv_to_file" else ()
    waits = sum(1 for _ in getattr(conn, f"co_{call}")(*arguments))
    assert waits >= COUNT // (MOST + 1)
    assert not conn.response_pending()


class Crumbs:
    """A file of somebody else, which takes and gives one byte at a time."""

    def __init__(self, data=b""):
        self.data = bytearray(data)
        self.at = 0

    def write(self, data):
        self.data += data[:1]
        return 1

    def read(self, size):
        self.at += 1
        return bytes(self.data[self.at - 1 : self.at])


class RawCrumbs(Crumbs, io.RawIOBase):
    """The same as a raw stream, to which memory is given and not copied."""


@pytest.mark.parametrize("kind", [Crumbs, RawCrumbs])
@pytest.mark.parametrize("framing", ["sized", "chunked", "until close"])
def test_each_write_to_a_file_of_somebody_else_is_a_step(kind, framing):
    payload = bytes(range(256)) * (COUNT // 256)
    heads = {
        "sized": b"Content-Length: %d\r\n\r\n" % COUNT + payload,
        "chunked": b"Transfer-Encoding: chunked\r\n\r\n%x\r\n%b\r\n0\r\n\r\n" % (COUNT, payload),
        "until close": b"\r\n" + payload,
    }
    conn = connected(b"HTTP/1.1 200 OK\r\n" + heads[framing])
    conn.send_request("GET", "/")
    conn.read_response()
    file = kind()

    waits = sum(1 for _ in conn.co_recv_to_file(file))

    assert waits >= COUNT // (MOST + 1)
    assert bytes(file.data) == payload


@pytest.mark.parametrize("loop", LOOPS)
def test_writes_to_a_file_of_somebody_else_give_others_their_turn(loop):
    beat, conn = Beat(count=1), body()

    class Counted(Crumbs):
        def write(self, data):
            beat.steps += 1
            return super().write(data)

    loop(beat, lambda: conn.co_recv_to_file(Counted()))

    assert 0 < beat.most <= 2 * (MOST + 1)


def test_what_an_interrupted_call_had_is_written_in_steps():
    head = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % (COUNT + 1)
    conn = connected(head + bytes(COUNT), None, b"x")
    conn.send_request("GET", "/")
    conn.read_response()
    interrupted = conn.co_readall()
    next(interrupted)
    interrupted.close()
    file = Crumbs()

    waits = sum(1 for _ in conn.co_recv_to_file(file))

    assert waits >= COUNT // (MOST + 1)
    assert bytes(file.data) == bytes(COUNT) + b"x"


@pytest.mark.parametrize("call", ["readall", "discard", "recv_to_file"])
def test_bytes_that_arrive_one_by_one_are_steps(call):
    conn = connected(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % COUNT, *[b"x"] * COUNT)
    conn.send_request("GET", "/")
    conn.read_response()
    arguments = (io.BytesIO(),) if call == "recv_to_file" else ()

    waits = sum(1 for _ in getattr(conn, f"co_{call}")(*arguments))

    assert waits >= COUNT // (MOST + 1)


def cut(data):
    """Return *data* in pieces of one byte."""
    return [data[at : at + 1] for at in range(len(data))]


def test_a_head_that_arrives_byte_by_byte_is_steps():
    head = b"HTTP/1.1 200 OK\r\nX: %b\r\nContent-Length: 0\r\n\r\n" % (b"x" * COUNT)
    conn = connected(*cut(head))
    conn.send_request("GET", "/")
    assert sum(1 for _ in conn.co_read_response()) >= COUNT // (MOST + 1)
    assert not conn.response_pending()


def test_framing_that_arrives_byte_by_byte_is_steps():
    head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
    conn = connected(head, *cut(b"0\r\nX: %b\r\n\r\n" % (b"x" * COUNT)))
    conn.send_request("GET", "/")
    conn.read_response()
    assert sum(1 for _ in conn.co_readall()) >= COUNT // (MOST + 1)
    assert not conn.response_pending()


def test_empty_pieces_of_a_request_body_are_steps():
    conn = connected(SILENCE)
    waits = sum(1 for _ in conn.co_send(Request("PUT", "/", body=iter([b""] * COUNT))))
    assert waits >= COUNT // (MOST + 1)


def test_single_bytes_of_a_request_body_are_steps():
    conn = connected(SILENCE)
    waits = sum(1 for _ in conn.co_send(Request("PUT", "/", body=Crumbs(bytes(COUNT)))))
    assert waits >= COUNT // (MOST + 1)


def test_requests_that_are_sent_together_are_steps():
    conn = connected(SILENCE)
    waits = sum(1 for _ in conn.co_send_requests([("GET", "/")] * COUNT))
    assert waits >= COUNT // MOST - 1


def test_the_answer_of_a_proxy_that_arrives_byte_by_byte_is_steps():
    answer = b"HTTP/1.1 200 OK\r\nX: %b\r\n\r\n" % (b"x" * COUNT)
    conversation = Tunnel("x:443", Limits())
    stream = ScriptedStream(cut(answer))
    waits = sum(1 for _ in co_converse(stream, conversation, None))
    assert waits >= COUNT // (MOST + 1)
    assert conversation.opened


def test_single_bytes_that_a_stream_of_somebody_else_takes_are_steps():
    file = Crumbs()
    assert sum(1 for _ in BinaryWriter(file).co_write_all(bytes(COUNT))) >= COUNT // (MOST + 1)
    assert len(file.data) == COUNT


def test_small_chunks_are_read_as_a_whole_by_who_blocks():
    assert chunked(COUNT).readall() == b"x" * COUNT


def test_responses_that_nobody_wants_are_steps():
    conn = connected(*[SMALL * 100] * (COUNT // 100), SMALL)
    exchanges = conn.send_requests([("GET", "/")] * (COUNT // 100 * 100 + 1))
    for exchange in exchanges[:-1]:
        exchange.abandon()
    assert sum(1 for _ in conn.co_read_response()) >= COUNT // (MOST + 101)


@pytest.mark.parametrize("blocking", [False, True])
def test_turn_that_is_over_does_not_wait_for_what_is_here_already(blocking):
    """Nothing more will come: a wait for it would never end."""
    head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
    conn = connected(head + b"1\r\nx\r\n" * COUNT + b"0\r\n\r\n", SILENCE)
    conn.send_request("GET", "/")
    conn.read_response()
    assert (conn.readall() if blocking else run(conn.co_readall())) == b"x" * COUNT


# ---- what a turn costs


@pytest.fixture
def turns(monkeypatch):
    """The waits of the blocking driver that are turns."""
    ready, seen = Wake(), []
    ready.set()
    wait = polling.wait

    def counted(need, timeout):
        if need[0] == ready.fd:
            seen.append(need)
        return wait(need, timeout)

    need = polling.PollNeeded(ready.fd, polling.POLLIN)
    monkeypatch.setattr(wake, "_ready", [(ready, need)])
    monkeypatch.setattr(polling, "wait", counted)
    yield seen
    ready.close()


def test_a_turn_is_one_system_call_for_who_blocks(turns):
    conn = connected(SILENCE)
    conn.send_request("PUT", "/", body=BodyFollowing())
    for _ in range(COUNT):
        conn.write(b"x")
    assert COUNT // MOST - 1 <= len(turns) <= COUNT // MOST + 1


def test_reading_in_small_pieces_costs_who_blocks_nothing(turns):
    conn = body()
    for _ in range(COUNT):
        conn.read(1)
    assert not turns


def test_checkpoints_keep_few_descriptors():
    operations = [co_checkpoint() for _ in range(100)]
    for operation in operations:
        next(operation)
    assert len({next(co_checkpoint()) for _ in range(3)}) >= 1
    for operation in operations:
        operation.close()
    before = open_descriptors()
    assert len(wake._ready) == wake.MOST_READY
    for _ in range(100):
        run(co_checkpoint())
    assert open_descriptors() <= before


def test_two_checkpoints_never_wait_for_the_same_descriptor():
    operations = [co_checkpoint() for _ in range(50)]
    needs = [next(operation) for operation in operations]
    assert len({need.fd for need in needs}) == 50
    assert all(need.poll(0) for need in needs)
    for operation in operations:
        operation.close()


def test_without_descriptors_there_is_no_checkpoint(monkeypatch):
    def none_left():
        raise OSError("none left")

    monkeypatch.setattr(wake, "_ready", [])
    monkeypatch.setattr(wake, "_end", none_left)
    assert list(co_checkpoint()) == []


def test_a_write_that_is_given_up_at_a_checkpoint_breaks_the_connection():
    """As one that waits: nobody can say how much of the body the server has got."""
    conn = connected(SILENCE)
    conn.send_request("PUT", "/", body=BodyFollowing())
    waits = []
    while not waits:
        operation = conn.co_write(b"x")
        waits = [need for need in [next(operation, None)] if need is not None]
    operation.close()
    assert not conn.is_open()


def test_a_read_that_is_given_up_at_a_checkpoint_loses_nothing():
    conn = body()
    got = b""
    given_up = 0
    while len(got) < COUNT:
        operation = conn.co_read(1)
        try:
            next(operation)
            operation.close()
            given_up += 1
        except StopIteration as end:
            got += end.value
    assert given_up >= COUNT // (MOST + 1)
    assert got == bytes(COUNT)


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
def test_others_have_their_turn_between_connecting_and_sending(host):
    """It may connect at once; and a server in the same loop would get head and body together."""
    with ScriptedServer(lambda sock: sock.recv(1)) as server:
        with HTTPConnection(host, server.port, timeout=20) as conn:
            sending = conn.co_send_request("GET", "/")
            need = next(sending)
            while not conn.is_open():
                assert need.poll(20)
                need = next(sending)
            assert not conn.response_pending()
            assert need.poll(0)  # there is nothing to wait for
            sending.close()
            assert conn.is_open()
