"""Pipelines that several threads, tasks or operations use."""

import asyncio
import concurrent.futures
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from kit import streams
from kit.ctrl_c import ctrl_c_at_each_place
from kit.every_driver import DRIVERS
from kit.h2_site import h2_site
from kit.support import ScriptedServer, open_descriptors, pattern, read_head

from dugong_like import (
    ConnectionTimedOut,
    HTTPConnection,
    InvalidOption,
    InvalidRequest,
    NotAnswered,
    Pipeline,
    Request,
    ScriptedTransport,
    SharedPipeline,
    StateError,
    both,
    run,
)
from dugong_like.connection import pipeline as pipelines
from dugong_like.connection import shared_pipeline
from dugong_like.polling import fair_lock, holding
from dugong_like.polling.wake import Wake

PATIENCE = 60  # seconds


def answer(text):
    return f"HTTP/1.1 200 OK\r\nContent-Length: {len(text)}\r\n\r\n{text}".encode()


def get(number):
    return Request(target=f"/{number}")


def echo(sock):
    """Answer with the target."""
    while head := read_head(sock):
        sock.sendall(answer(head.split(b" ")[1].decode()))


class Held:
    """A server that answers with the target, when it may."""

    def __init__(self):
        self.may = threading.Semaphore(0)
        self.got = threading.Semaphore(0)
        self.seen = []

    def __call__(self, sock):
        while head := read_head(sock):
            target = head.split(b" ")[1].decode()
            self.seen.append(target)  # also by the thread of a connection that was given up
            self.got.release()
            assert self.may.acquire(timeout=PATIENCE)
            sock.sendall(answer(target))


@pytest.fixture
def held():
    server = Held()
    with ScriptedServer(server) as listening:
        server.port = listening.port
        yield server
        server.may.release(1000)


@pytest.fixture
def echoing():
    with ScriptedServer(echo) as server:
        with HTTPConnection("127.0.0.1", server.port, timeout=PATIENCE) as conn:
            yield conn


# ---- a writer and a reader


@pytest.mark.feature("B50")
def test_one_thread_submits_and_another_one_takes_the_answers_in_order(echoing):
    count = 2000
    with ThreadPoolExecutor(1) as pool, SharedPipeline(echoing, most=100) as pipeline:

        def write():
            for number in range(count):
                pipeline.submit(get(number))
            pipeline.finish()

        writing = pool.submit(write)
        answers = list(pipeline)
        writing.result(PATIENCE)
    assert [each.body.decode() for each in answers] == [f"/{number}" for number in range(count)]
    assert [each.request.target for each in answers] == [f"/{number}" for number in range(count)]


@pytest.mark.parametrize("driver", DRIVERS)
def test_two_operations_in_one_thread(echoing, driver):
    pipeline = SharedPipeline(echoing, most=10)
    bodies = []

    def co_write():
        for number in range(200):
            yield from pipeline.co_submit(get(number))
        pipeline.finish()

    def co_read():
        while (answer := (yield from pipeline.co_next())) is not None:
            bodies.append(answer.body.decode())

    driver(both(co_write(), co_read()))
    assert bodies == [f"/{number}" for number in range(200)]
    pipeline.close()


def exchange_both_ways(conn):
    """Have large bodies go both ways at once; return the sizes of those that came."""
    sizes = []
    with ThreadPoolExecutor(1) as pool, SharedPipeline(conn, most=8) as pipeline:

        def write():
            for number in range(12):
                pipeline.submit(Request(target=f"/bytes/{number * 100_000}"))
                body = [pattern(300_000)] if number % 2 else bytes(300_000)
                pipeline.submit(Request("PUT", "/upload", body=body))
            pipeline.finish()

        writing = pool.submit(write)
        sizes = [len(each.body) for each in pipeline]
        writing.result(PATIENCE)
    assert len(sizes) == 24
    return sizes[::2]


@pytest.mark.parametrize("tls", [False, True], ids=["http", "https"])
def test_large_bodies_go_both_ways_at_once(start, tls, trusting):
    """Also bodies that one thread begins to send, and another one goes on with."""
    port = start("granian", tls=tls).port
    context = trusting if tls else None
    with HTTPConnection("localhost", port, context, timeout=PATIENCE) as conn:
        assert exchange_both_ways(conn) == [number * 100_000 for number in range(12)]


def test_over_http2():
    with h2_site() as server:
        options = {"versions": ("h2",), "timeout": PATIENCE}
        with HTTPConnection("127.0.0.1", server.port, **options) as conn:
            assert exchange_both_ways(conn) == [number * 100_000 for number in range(12)]
            with SharedPipeline(conn) as pipeline:
                pending = [pipeline.submit(Request(target=f"/bytes/{n}")) for n in range(100)]
                assert len(pending[70].result(PATIENCE).body) == 70
                assert [len(each.result(PATIENCE).body) for each in pending] == [*range(100)]
            pipeline = Pipeline(conn, [Request(target=f"/bytes/{n * 9000}") for n in range(20)])
            sizes = []
            while (stream := pipeline.next_stream()) is not None:
                sizes.append(len(stream.readall()))
            assert sizes == [n * 9000 for n in range(20)]


# ---- results as futures


def test_results_are_had_in_any_order_and_as_often_as_one_likes(echoing):
    with SharedPipeline(echoing) as pipeline:
        pending = [pipeline.submit(get(number)) for number in range(50)]
        assert pending[30].result(PATIENCE).body == b"/30"
        assert all(each.done() for each in pending[:31])
        assert pending[3].result().body == b"/3"
        assert pending[3].result().body == b"/3"
        assert pending[49].exception(PATIENCE) is None
        pipeline.finish()
        others = [int(each.body[1:]) for each in pipeline]
        assert others == [n for n in range(50) if n not in {3, 30, 49}]  # each is taken once


def test_many_threads_each_wait_for_their_own(echoing):
    with ThreadPoolExecutor(8) as pool, SharedPipeline(echoing) as pipeline:

        def ask(thread):
            for number in range(100):
                target = f"/{thread}-{number}"
                pending = pipeline.submit(Request(target=target))
                assert pending.result(PATIENCE).body.decode() == target

        for each in [pool.submit(ask, thread) for thread in range(8)]:
            each.result(PATIENCE)


def test_tasks_of_asyncio_await_their_answers(echoing):
    from dugong_like.drivers import aio

    async def main():
        with SharedPipeline(echoing, most=20) as pipeline:

            async def ask(number):
                pending = await aio.run(pipeline.co_submit(get(number)))
                return (await pending).body

            return await asyncio.gather(*[ask(number) for number in range(100)])

    assert asyncio.run(main()) == [f"/{number}".encode() for number in range(100)]


def test_tasks_of_trio_await_their_answers(echoing):
    trio = pytest.importorskip("trio")
    bodies = {}

    async def main():
        with SharedPipeline(echoing) as pipeline:

            async def ask(number):
                bodies[number] = (await pipeline.submit(get(number))).body

            async with trio.open_nursery() as nursery:
                for number in range(50):
                    nursery.start_soon(ask, number)

    trio.run(main)
    assert bodies == {number: f"/{number}".encode() for number in range(50)}


def test_callbacks_and_waits_of_futures(echoing):
    done = []
    with SharedPipeline(echoing) as pipeline:
        pending = [pipeline.submit(get(number)) for number in range(3)]
        for each in pending:
            each.add_done_callback(done.append)
        pending[2].result(PATIENCE)
        assert done == pending
        assert concurrent.futures.wait(pending, timeout=0).not_done == set()


def test_time_limit_of_a_result(held):
    with HTTPConnection("127.0.0.1", held.port, timeout=PATIENCE) as conn:
        with SharedPipeline(conn) as pipeline:
            pending = pipeline.submit(get(1))
            with pytest.raises(ConnectionTimedOut):
                pending.result(0.01)
            assert isinstance(ConnectionTimedOut(), TimeoutError)
            held.may.release()
            assert pending.result(PATIENCE).body == b"/1"


def test_cancelled_before_it_was_sent_and_after(held):
    with HTTPConnection("127.0.0.1", held.port, timeout=PATIENCE) as conn:
        with SharedPipeline(conn, depth=1) as pipeline:
            pending = [pipeline.submit(get(number)) for number in range(4)]
            op = pending[3].co_result()
            next(op)  # connects, and perhaps more
            assert pending[2].cancel()
            assert pending[2].cancelled()
            held.may.release(9)
            assert run(op).body == b"/3"
            assert not pending[0].cancel()  # it is answered
            with pytest.raises(concurrent.futures.CancelledError):
                pending[2].result(PATIENCE)
            assert pending[1].result(PATIENCE).body == b"/1"
    assert held.seen == ["/0", "/1", "/3"]


def test_answer_that_comes_before_one_is_in_the_queue_is_noticed():
    with HTTPConnection("127.0.0.1", 1) as conn, SharedPipeline(conn) as pipeline:
        driving = pipeline.co_next()
        next(driving)  # for a request, as nothing is submitted
        looks = iter([False, True, True])

        assert list(pipeline.co_until(lambda: next(looks))) == []
        driving.close()


def test_each_one_that_waits_notices_that_its_answer_is_cancelled(held):
    with HTTPConnection("127.0.0.1", held.port, timeout=PATIENCE) as conn:
        with SharedPipeline(conn) as pipeline:
            pending = [pipeline.submit(get(number)) for number in range(5)]
            waiting = [each.co_result() for each in pending]
            for op in waiting:
                next(op)  # the first one drives, and the server answers nothing
            for number in (3, 1, 4):
                assert pending[number].cancel()
                with pytest.raises(concurrent.futures.CancelledError):
                    for step in range(50):  # each of them has its turn several times
                        op = waiting[(number + step) % 5]
                        if op.gi_frame is not None:
                            next(op)
                assert waiting[number].gi_frame is None
            held.may.release(9)
            assert run(both(waiting[0], waiting[2]))[1].body == b"/2"


def test_answer_of_a_request_that_was_cancelled_when_it_was_sent_is_nobody_elses(held):
    with HTTPConnection("127.0.0.1", held.port, timeout=PATIENCE) as conn:
        with ThreadPoolExecutor(1) as pool, SharedPipeline(conn) as pipeline:
            first, second = (pipeline.submit(get(number)) for number in range(2))
            waiting = pool.submit(second.result, PATIENCE)
            assert held.got.acquire(timeout=PATIENCE)  # it is sent
            assert first.cancel()
            held.may.release(9)
            assert waiting.result(PATIENCE).body == b"/1"
            pipeline.finish()
            assert pipeline.next() is None


def test_a_request_that_was_cancelled_before_it_was_sent_is_done_for_those_who_wait_for_all():
    with HTTPConnection("example.org", transport=ScriptedTransport([answer("0")])) as conn:
        with SharedPipeline(conn, depth=1) as pipeline:
            pending = [pipeline.submit(get(number)) for number in range(2)]
            assert pending[1].cancel()
            assert pending[0].result(PATIENCE).body == b"0"
            pipeline.finish()
            assert pipeline.next() is None
            assert concurrent.futures.wait(pending, timeout=0).not_done == set()


# ---- limits


def test_submitting_waits_for_room():
    transport = ScriptedTransport([answer(str(number)) for number in range(3)])
    with HTTPConnection("example.org", transport=transport) as conn:
        with SharedPipeline(conn, most=2) as pipeline:
            pending = [pipeline.submit(get(number)) for number in range(2)]
            with pytest.raises(ConnectionTimedOut):
                pipeline.submit(get(2), timeout=0)
            op = pipeline.co_submit(get(2))
            next(op)
            pending[0].result(PATIENCE)
            third = run(op)
            assert third.result(PATIENCE).body == b"2"


def test_bodies_that_were_not_taken_count_by_their_bytes():
    transport = ScriptedTransport([answer("x" * 1000), answer("y")])
    with HTTPConnection("example.org", transport=transport, content_md5=False) as conn:
        with SharedPipeline(conn, max_bytes=1000) as pipeline:
            first = pipeline.submit(Request("PUT", "/", body=bytes(5000)))
            with pytest.raises(ConnectionTimedOut):
                pipeline.submit(get(1), timeout=0)  # the body of the request
            run(pipeline.co_until(first.done))
            with pytest.raises(ConnectionTimedOut):
                pipeline.submit(get(1), timeout=0)  # that of the answer
            assert len(pipeline.next().body) == 1000
            assert pipeline.submit(get(1)).result(PATIENCE).body == b"y"


# ---- errors, and the end


def test_error_belongs_to_its_own_request():
    transport = ScriptedTransport([answer("a"), answer("c")])
    with HTTPConnection("example.org", transport=transport) as conn:
        with SharedPipeline(conn) as pipeline:
            first, bad, last = map(pipeline.submit, [get(0), Request(target="/ "), get(2)])
            assert last.result(PATIENCE).body == b"c"
            with pytest.raises(InvalidRequest):
                bad.result()
            assert isinstance(bad.exception(), InvalidRequest)
            assert first.result().body == b"a"


def test_next_raises_the_errors_in_their_place():
    transport = ScriptedTransport([answer("a"), answer("c")])
    with HTTPConnection("example.org", transport=transport) as conn:
        with SharedPipeline(conn) as pipeline:
            for request in (get(0), Request(target="/ "), get(2)):
                pipeline.submit(request)
            pipeline.finish()
            assert pipeline.next().body == b"a"
            with pytest.raises(InvalidRequest):
                pipeline.next()
            assert pipeline.next().body == b"c"
            assert pipeline.next() is None


def test_time_out_of_the_connection_ends_no_request(held):
    with HTTPConnection("127.0.0.1", held.port, timeout=0.05) as conn:
        with SharedPipeline(conn) as pipeline:
            pending = pipeline.submit(get(1))
            with pytest.raises(ConnectionTimedOut):
                pending.result()
            assert not pending.done()
            conn.timeout = PATIENCE
            held.may.release()
            assert pending.result().body == b"/1"


def test_close_ends_those_who_wait(held):
    with HTTPConnection("127.0.0.1", held.port, timeout=PATIENCE) as conn:
        pipeline = SharedPipeline(conn, depth=1)
        with ThreadPoolExecutor(3) as pool:
            first, second = (pipeline.submit(get(number)) for number in range(2))
            waiting = [pool.submit(first.result), pool.submit(second.result)]
            assert held.got.acquire(timeout=PATIENCE)
            pipeline.close()
            for each, sent in zip(waiting, ("maybe", "no"), strict=True):
                problem = each.exception(PATIENCE)
                assert isinstance(problem, NotAnswered)
                assert problem.request_sent == sent
            assert pipeline.next() is None
            with pytest.raises(StateError):
                pipeline.submit(get(3))
            pipeline.close()
        assert not conn.response_pending()
        held.may.release(100)
        assert conn.exchange("GET", "/again").body == b"/again"


def test_finish_ends_those_who_wait_for_requests_or_for_room():
    with HTTPConnection("example.org", transport=ScriptedTransport([])) as conn:
        pipeline = SharedPipeline(conn)
        op = pipeline.co_next()
        next(op)
        pipeline.finish()
        with pytest.raises(StopIteration) as end:
            next(op)
        assert end.value.value is None
        with pytest.raises(StateError):
            pipeline.submit(get(1))
        pipeline.close()

        full = SharedPipeline(conn, most=1)
        full.submit(get(1))
        op = full.co_submit(get(2))
        next(op)
        full.finish()
        with pytest.raises(StateError):
            next(op)
        full.close()


def test_operation_that_is_closed_leaves_the_work_to_the_next_one(held):
    with HTTPConnection("127.0.0.1", held.port, timeout=PATIENCE) as conn:
        with SharedPipeline(conn) as pipeline:
            pending = [pipeline.submit(get(number)) for number in range(3)]
            driving, waiting = pending[0].co_result(), pending[2].co_result()
            next(driving)
            next(waiting)
            driving.close()
            held.may.release(9)
            assert run(waiting).body == b"/2"
            assert pending[0].done()


def test_it_is_lost_and_sent_again_as_by_a_pipeline():
    transport = ScriptedTransport([answer("0")], [answer(str(number)) for number in range(1, 40)])
    with HTTPConnection("example.org", transport=transport) as conn:
        with SharedPipeline(conn) as pipeline:
            pending = [pipeline.submit(get(number)) for number in range(40)]
            assert [int(each.result(PATIENCE).body) for each in pending] == [*range(40)]


def test_close_gives_the_descriptors_back(echoing):
    assert echoing.exchange("GET", "/").body == b"/"  # it is connected from now on
    before = open_descriptors()
    kept = []
    for number in range(3):
        with SharedPipeline(echoing) as pipeline:
            assert pipeline.submit(get(number)).result(PATIENCE).body == f"/{number}".encode()
        kept.append(pipeline)
        assert pipeline.next() is None
    assert open_descriptors() <= before  # fewer, if garbage of another test is collected meanwhile


def test_options_are_checked():
    with HTTPConnection("example.org") as conn:
        for option in {"most": 0}, {"max_bytes": 0}, {"attempts": 0}:
            with pytest.raises(InvalidOption):
                SharedPipeline(conn, **option)
        with pytest.raises(TypeError), SharedPipeline(conn) as pipeline:
            pipeline.submit("GET")
    with pytest.raises(TypeError):
        SharedPipeline(Pipeline)


# ---- Ctrl-C


class Interrupted:
    """A shared pipeline over a script, and another thread that waits for the third answer."""

    def __init__(self, monkeypatch, other):
        self.ready = Wake()
        self.ready.set()
        monkeypatch.setattr(streams.ScriptedStream, "fd", self.ready.fd)  # one that can be polled
        late = [streams.WOULD_BLOCK, answer("/0"), streams.WOULD_BLOCK]
        script = streams.ScriptedStream([*late, answer("/1") + answer("/2")])
        self.conn = streams.connection(
            monkeypatch, script, streams.ScriptedStream([streams.END]), timeout=PATIENCE
        )
        self.pipeline = SharedPipeline(self.conn)
        self.pending = []
        self.waiting = None
        self._other = other

    def submit(self):
        for number in range(3):
            self.pending.append(self.pipeline.submit(get(number)))

    def wait_beside(self):
        """Have the other thread wait behind the one that drives."""
        waiting = self.pending[2].co_result()
        self._other.submit(next, waiting).result(PATIENCE)
        self.waiting = waiting

    def drive(self):
        self.submit()
        driving = self.pending[0].co_result()
        try:
            next(driving)
            self.wait_beside()
            streams.finish(driving)
        finally:
            driving.close()

    def take(self):
        self.submit()
        self.pipeline.finish()
        while streams.finish(self.pipeline.co_next()) is not None:
            pass

    def close(self):
        self.submit()
        driving = self.pending[0].co_result()
        next(driving)
        self.wait_beside()
        self.pipeline.close()
        driving.close()

    def outcomes(self):
        """Return what the other thread gets, of all: each waits for it until it is there."""
        calls = [] if self.waiting is None else [lambda: run(self.waiting, PATIENCE)]
        calls += [each.result for each in self.pending]
        targets = [] if self.waiting is None else ["/2"]
        targets += [each.request.target for each in self.pending]
        found = []
        for target, call in zip(targets, calls, strict=True):
            try:
                got = self._other.submit(call).result(PATIENCE)
            except NotAnswered as exc:
                assert exc.request.target == target
                assert exc.request_sent in {"no", "maybe"}
                found.append(None)
            else:
                assert got.request.target == target
                assert got.body.decode() == target
                found.append(target)
        self.pipeline.finish()
        self._other.submit(self._take_rest).result(PATIENCE)
        return found

    def _take_rest(self):
        """Take what nobody has asked for: the request of a call that was interrupted."""
        while True:
            try:
                if self.pipeline.next() is None:
                    return
            except NotAnswered:
                continue


@pytest.mark.parametrize("what", ["drive", pytest.param("take", marks=pytest.mark.slow), "close"])
def test_ctrl_c_gives_each_request_its_own_answer_or_an_error(monkeypatch, what):
    rounds = answered = 0
    modules = shared_pipeline, pipelines, fair_lock, holding
    with ThreadPoolExecutor(1) as other:
        for case in ctrl_c_at_each_place(
            lambda: Interrupted(monkeypatch, other), lambda case: getattr(case, what)(), *modules
        ):
            rounds += 1
            answered += any(case.outcomes())
            case.pipeline.close()
            assert case.pipeline._ended
            assert case.pipeline._count == 0
    assert rounds > 50
    assert answered


def test_ctrl_c_in_a_callback_of_an_answer_loses_nobody_elses(monkeypatch):
    def press(_):
        raise KeyboardInterrupt

    with ThreadPoolExecutor(1) as other:
        case = Interrupted(monkeypatch, other)
        case.submit()
        case.pending[1].add_done_callback(press)
        with pytest.raises(KeyboardInterrupt):
            streams.finish(case.pending[2].co_result())
        assert case.outcomes() == ["/0", "/1", None]


def test_nobody_waits_on_in_a_closed_pipeline_for_what_will_never_come():
    with HTTPConnection("example.org", transport=ScriptedTransport([])) as conn:
        pipeline = SharedPipeline(conn)
        pipeline.close()
        with pytest.raises(StateError, match="closed"):
            next(pipeline.co_until(lambda: False))


@pytest.mark.parametrize("lost", [1, 3])
def test_an_answer_that_is_lost_is_replaced_by_an_error_and_not_by_the_next_one(lost):
    transport = ScriptedTransport([answer(str(number)) for number in range(3)])
    with HTTPConnection("example.org", transport=transport) as conn:
        with SharedPipeline(conn) as pipeline:
            pending = [pipeline.submit(get(number)) for number in range(3)]
            for _ in range(lost):
                assert pipeline._pipeline.next() is not None
            outcomes = [each.exception(PATIENCE) for each in pending]
            for each in outcomes[:lost]:
                assert isinstance(each, NotAnswered)
                assert each.request_sent == "maybe"
            assert [each.result().body for each in pending[lost:]] == [b"1", b"2"][lost - 1 :]


class Asleep:
    """A shared pipeline over a script, and operations that wait for something to happen."""

    def __init__(self, script, **options):
        self.conn = HTTPConnection("example.org", transport=ScriptedTransport(script))
        self.pipeline = SharedPipeline(self.conn, **options)
        self.pending = []
        self.ops = []
        self.needs = []

    def begin(self, op):
        need = next(op)
        while need.poll(0):
            need = next(op)
        self.ops.append(op)
        self.needs.append(need)

    def sleeps(self):
        """Return True if none of the operations is resumed, as it should be."""
        return not any(need.poll(0) for need in self.needs)

    def close(self):
        for op in self.ops:
            op.close()
        self.pipeline.close()
        self.conn.close()


def asleep_for_a_request():
    case = Asleep([answer("/0")])
    case.begin(case.pipeline.co_next())
    return case


def asleep_for_room():
    case = Asleep([answer("/0")], most=1)
    case.pending.append(case.pipeline.submit(get(0)))
    case.begin(case.pipeline.co_submit(get(1)))
    return case


def asleep_for_room_of_an_answer():
    case = asleep_for_room()
    streams.finish(case.pipeline.co_until(case.pending[0].done))
    return case


@pytest.fixture
def silent():
    """Return the descriptor of a stream from which nothing comes."""
    with Wake() as never:
        yield never.fd


@pytest.mark.parametrize(
    ("make", "call", "has_happened"),
    [
        pytest.param(
            asleep_for_a_request,
            lambda case: case.pipeline.submit(get(0)),
            lambda case: case.pipeline._queued,
            id="submit",
        ),
        pytest.param(
            asleep_for_a_request,
            lambda case: case.pipeline.finish(),
            lambda case: case.pipeline._finished,
            id="finish-request",
        ),
        pytest.param(
            asleep_for_room,
            lambda case: case.pipeline.finish(),
            lambda case: case.pipeline._finished,
            id="finish-room",
        ),
        pytest.param(
            asleep_for_room_of_an_answer,
            lambda case: case.pending[0].result(),
            lambda case: not case.pipeline._is_full(),
            id="result",
        ),
        pytest.param(
            asleep_for_room_of_an_answer,
            lambda case: case.pipeline.next(),
            lambda case: not case.pipeline._is_full(),
            id="next",
        ),
        pytest.param(
            asleep_for_room,
            lambda case: case.pending[0].cancel(),
            lambda case: case.pending[0].cancelled(),
            id="cancel",
        ),
    ],
)
def test_ctrl_c_leaves_nobody_asleep_for_whom_something_has_happened(make, call, has_happened):
    happened = 0
    modules = shared_pipeline, fair_lock, holding, concurrent.futures._base
    for case in ctrl_c_at_each_place(make, call, *modules):
        if has_happened(case):
            happened += 1
            assert not case.sleeps()
        case.close()
    assert happened


def test_ctrl_c_in_cancel_leaves_nobody_asleep_who_waits_for_that_answer(monkeypatch, silent):
    """Another one drives, and has to let it see."""
    monkeypatch.setattr(streams.ScriptedStream, "fd", silent)

    def make():
        case = Asleep([])
        case.conn.close()
        stream = streams.ScriptedStream([streams.WOULD_BLOCK] * 100)
        case.conn = streams.connection(monkeypatch, stream)
        case.pipeline = SharedPipeline(case.conn)
        case.pending = [case.pipeline.submit(get(number)) for number in range(2)]
        for each in case.pending:
            case.begin(each.co_result())
        return case

    happened = 0
    modules = shared_pipeline, fair_lock, holding, concurrent.futures._base
    for case in ctrl_c_at_each_place(make, lambda case: case.pending[1].cancel(), *modules):
        if case.pending[1].cancelled():
            happened += 1
            assert case.needs[0].poll(0)
            case.needs[0] = next(case.ops[0])
            assert case.needs[1].poll(0)
            with pytest.raises(concurrent.futures.CancelledError):
                streams.finish(case.ops[1])
        case.close()
    assert happened


def test_a_body_that_was_sent_makes_room_when_its_answer_is_smaller():
    """Whether anybody has taken that or not."""
    case = Asleep([answer("/0")], max_bytes=1000)
    case.pending.append(case.pipeline.submit(Request("PUT", "/0", body=bytes(1000))))
    case.begin(case.pipeline.co_submit(get(1)))

    streams.finish(case.pipeline.co_until(case.pending[0].done))

    assert not case.sleeps()
    case.close()
