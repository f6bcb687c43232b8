"""Helper threads: look-ups that hang, that are given up, and that wait behind those.

Each call here hangs on an event, so nothing depends on time: `SLOW_TIME` and `STUCK_TIME` are 0 or
an hour.
"""

import asyncio
import gc
import os
import socket
import subprocess
import sys
import threading
import time
from contextlib import suppress

import pytest
from kit.support import ROOT, in_child, open_descriptors, wait_until
from kit.ways import WAYS

from dugong_like import (
    CachingResolver,
    ConnectionTimedOut,
    DNSUnavailable,
    HTTPConnection,
    Timeouts,
    run,
    within,
)
from dugong_like.drivers import aio
from dugong_like.drivers.loopthread import LoopThread
from dugong_like.transport.connect import helper_threads
from dugong_like.transport.connect.dns import co_resolve
from dugong_like.transport.connect.helper_threads import MAX_AT_ONCE, co_in_thread
from dugong_like.transport.connect.resolvers import co_look_up

pytestmark = pytest.mark.usefixtures("nothing_is_left_open")
HOUR = 3600
BURST = 500  # names; each has a descriptor, and there may be 1024
others = set()


def dns_threads():
    return [
        thread for thread in threading.enumerate()
        if thread.name == "dugong_like-dns" and thread not in others
    ]  # fmt: skip


class Names:
    """A name service: "hang…" hangs, what has "gone" in it does not exist. It notes the names."""

    def __init__(self):
        self.asked = []
        self._go_on = set()
        self._changed = threading.Condition()

    def look_up(self, host, port=0):
        with self._changed:
            self.asked.append(host)
            self._changed.notify_all()
            if host.startswith("hang"):
                assert self._changed.wait_for(lambda: self._go_on & {host, "all"}, 60)
        if "gone" in host:
            raise socket.gaierror(socket.EAI_NONAME, "scripted")
        return [(socket.AF_INET, ("127.0.0.1", port))]

    def go_on(self, host="all"):
        with self._changed:
            self._go_on.add(host)
            self._changed.notify_all()

    def getaddrinfo(self, host, port, *args, **kwargs):
        return [(family, 1, 6, "", place) for family, place in self.look_up(host, port)]

    def wait_for(self, count):
        """Wait until so many names have been asked for."""
        with self._changed:
            assert self._changed.wait_for(lambda: len(self.asked) >= count, 30), self.asked


@pytest.fixture
def names(monkeypatch):
    """A name service, and helper threads of this test alone, which end soon."""
    monkeypatch.setattr(helper_threads, "IDLE_TIME", 0.05)
    monkeypatch.setattr(helper_threads, "SLOW_TIME", HOUR)
    monkeypatch.setattr(helper_threads, "STUCK_TIME", HOUR)
    helper_threads.forget_threads()
    others.update(dns_threads())  # of earlier tests, which end in their own time
    names = Names()
    monkeypatch.setattr(socket, "getaddrinfo", names.getaddrinfo)
    yield names
    names.go_on()
    wait_until(lambda: not dns_threads())
    helper_threads.forget_threads()


def start(names, *hosts):
    """Begin to look up *hosts*, which are asked for at once."""
    before = len(names.asked)
    operations = [co_resolve(host, 80) for host in hosts]
    for operation in operations:
        next(operation)
    names.wait_for(before + len(hosts))
    return operations


def hang(names, count=MAX_AT_ONCE):
    return start(names, *(f"hang{number}.test" for number in range(count)))


def asked(names, *operations):
    """Begin *operations*; return True if a thread takes them up, False if they are in the queue."""
    before = len(names.asked)
    for operation in operations:
        next(operation)
    helpers = helper_threads._helpers
    wait_until(lambda: helpers._bell.locked() and (helpers._queue or len(names.asked) > before))
    return len(names.asked) > before


# ---- who stands in the way of whom


def by_system(names, host):
    return co_resolve(host, 80)


def by_test_name(names, host):
    def co_both():
        with suppress(Exception):
            yield from co_resolve("gone.test", 80, [host])
        return [(socket.AF_INET, ("127.0.0.1", 80))]

    return co_both()


def by_function(names, host):
    return co_look_up(host, 80, names.look_up)


def by_cache(names, host):
    return co_look_up(host, 80, CachingResolver(names.look_up))


KINDS = [by_system, by_test_name, by_function, by_cache]


@pytest.mark.parametrize("kind", KINDS)
def test_look_ups_that_hang_do_not_stop_others(names, monkeypatch, kind):
    """They are all still wanted, and none of them is stuck yet."""
    monkeypatch.setattr(helper_threads, "SLOW_TIME", 0)
    stuck = [kind(names, f"hang{number}.test") for number in range(2 * MAX_AT_ONCE)]
    for number, operation in enumerate(stuck):
        while f"hang{number}.test" not in names.asked:
            next(operation).poll(0.01)
    for number in range(20):
        assert run(kind(names, f"good{number}.test"), timeout=30) == [
            (socket.AF_INET, ("127.0.0.1", 80))
        ]
    names.go_on()
    for operation in stuck:
        assert run(operation, timeout=30)


@pytest.mark.parametrize("way", WAYS)
def test_connection_does_not_wait_for_look_ups_that_hang(names, monkeypatch, way):
    monkeypatch.setattr(helper_threads, "SLOW_TIME", 0)
    stuck = hang(names)
    with socket.create_server(("127.0.0.1", 0)) as server:
        conn = HTTPConnection("good.test", server.getsockname()[1], timeout=30)
        way(conn.co_connect())
        conn.close()
    for operation in stuck:
        operation.close()


def test_no_more_than_some_are_asked_at_once_while_they_are_not_slow(names):
    stuck = hang(names)
    more = [co_resolve(f"good{number}.test", 80) for number in range(BURST)]
    assert not asked(names, *more)
    assert len(names.asked) == MAX_AT_ONCE
    assert len(dns_threads()) == MAX_AT_ONCE + 1  # that one takes the next
    names.go_on()
    for operation in stuck + more:
        assert run(operation, timeout=30)
    assert {*names.asked[MAX_AT_ONCE:]} == {f"good{number}.test" for number in range(BURST)}


def test_threads_become_more_by_a_few_while_none_is_answered(names):
    """Not all of them at once, as there are many names."""
    burst = start(names, *(f"hang{number}.test" for number in range(MAX_AT_ONCE)))
    burst += [co_resolve(f"hang-more{number}.test", 80) for number in range(BURST)]
    assert not asked(names, *burst[MAX_AT_ONCE:])
    helpers = helper_threads._helpers
    for times in (2, 3, 4):
        for question in list(helpers._running):
            question.began -= 2 * HOUR
        helpers._ring()
        names.wait_for(times * MAX_AT_ONCE)
        wait_until(helpers._bell.locked)
        assert len(names.asked) == times * MAX_AT_ONCE
        assert len(dns_threads()) == times * MAX_AT_ONCE + 1
    for operation in burst:
        operation.close()


# ---- what nobody waits for any more


def close(operation):
    operation.close()


def throw(operation):
    with pytest.raises(KeyError):
        operation.throw(KeyError("scripted"))


def time_out(operation):
    with pytest.raises(ConnectionTimedOut):
        run(within(time.monotonic(), operation))


ENDS = [close, throw, time_out]


@pytest.mark.parametrize("end", ENDS)
def test_what_runs_and_is_given_up_makes_room(names, end):
    stuck = hang(names)
    waiting = co_resolve("good.test", 80)
    assert not asked(names, waiting)

    end(stuck[3])

    assert run(waiting, timeout=30)
    assert "good.test" in names.asked
    for operation in stuck:
        operation.close()


@pytest.mark.parametrize("end", ENDS)
def test_what_is_in_the_queue_and_given_up_is_never_asked(names, end):
    stuck = hang(names)
    queued = [co_resolve(f"queued{number}.test", 80) for number in range(100)]
    assert not asked(names, *queued)
    for number, operation in enumerate(queued):
        if number not in {41, 99}:
            end(operation)
    names.go_on()
    for number in (41, 99):
        assert run(queued[number], timeout=30)
    assert sorted(names.asked[MAX_AT_ONCE:]) == ["queued41.test", "queued99.test"]
    for operation in stuck:
        operation.close()


def test_operation_that_is_forgotten_makes_room(names):
    stuck = hang(names)
    waiting = co_resolve("good.test", 80)
    assert not asked(names, waiting)

    del stuck[:]
    gc.collect()

    assert run(waiting, timeout=30)


def test_time_limit_of_a_connection_makes_room(names):
    for _ in range(3 * MAX_AT_ONCE):
        with pytest.raises(ConnectionTimedOut) as failure:
            HTTPConnection("hang.test", timeout=Timeouts(dns=0.001)).connect()
        assert failure.value.phase == "dns"
    assert run(co_resolve("good.test", 80), timeout=30)


def test_cancelled_task_makes_room(names):
    async def main():
        tasks = [
            asyncio.ensure_future(aio.run(co_resolve(f"hang{number}.test", 80)))
            for number in range(MAX_AT_ONCE)
        ]
        good = asyncio.ensure_future(aio.run(co_resolve("good.test", 80)))
        await asyncio.sleep(0)
        await asyncio.to_thread(names.wait_for, MAX_AT_ONCE)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        return await asyncio.wait_for(good, 30)

    assert asyncio.run(main())


def test_cancelled_future_of_another_thread_makes_room(names):
    with LoopThread() as thread:
        futures = [
            thread.submit(co_resolve(f"hang{number}.test", 80)) for number in range(MAX_AT_ONCE)
        ]
        good = thread.submit(co_resolve("good.test", 80))
        names.wait_for(MAX_AT_ONCE)
        for future in futures:
            future.cancel()
        assert good.result(30)


def test_who_waits_for_the_same_question_is_a_waiter_too(names):
    """One asks for all; if that one gives up another one asks, and nobody waits for ever."""
    cache = CachingResolver(names.look_up)
    first, second = (co_look_up("hang.test", 80, cache) for _ in range(2))
    next(first)
    next(second)
    names.wait_for(1)
    first.close()
    next(second)
    names.wait_for(2)
    names.go_on()
    assert run(second, timeout=30)
    assert names.asked == ["hang.test"] * 2


# ---- when everything is stuck


@pytest.fixture
def few(names, monkeypatch):
    """Four threads at most; three look-ups hang."""
    monkeypatch.setattr(helper_threads, "MAX_AT_ONCE", 2)
    monkeypatch.setattr(helper_threads, "MAX_THREADS", 4)
    monkeypatch.setattr(helper_threads, "SLOW_TIME", 0)
    monkeypatch.setattr(helper_threads, "STUCK_TIME", 0)
    operations = hang(names, 3)
    yield operations
    for operation in operations:
        operation.close()


@pytest.mark.parametrize("kind", [by_system, by_function, by_cache])
def test_beyond_a_bound_it_fails_at_once(names, few, kind):
    with pytest.raises(DNSUnavailable, match=r"good\.test: 3 look-ups are stuck.* 4 threads") as no:
        next(kind(names, "good.test"))
    assert no.value.retryable
    assert len(dns_threads()) <= 4

    names.go_on()
    for operation in few:
        assert run(operation, timeout=30)
    assert run(kind(names, "good.test"), timeout=30)


def test_error_about_a_test_name_names_the_host_as_well(names, monkeypatch):
    monkeypatch.setattr(helper_threads, "MAX_THREADS", 4)
    monkeypatch.setattr(helper_threads, "SLOW_TIME", 0)
    monkeypatch.setattr(helper_threads, "STUCK_TIME", 0)
    operation = co_resolve("hang-gone.test", 80, ["good.test"])
    need = next(operation)
    stuck = hang(names, 2)
    names.go_on("hang-gone.test")
    assert need.poll(30)
    stuck += start(names, "hang-last.test")
    with pytest.raises(DNSUnavailable, match=r"hang-gone\.test: 3 look-ups"):
        next(operation)
    for one in stuck:
        one.close()


def test_what_is_in_the_queue_when_the_last_thread_is_stuck_fails_too(names, monkeypatch):
    monkeypatch.setattr(helper_threads, "MAX_THREADS", 4)
    stuck = hang(names, 3)
    queued = [co_resolve(f"good{number}.test", 80) for number in range(3)]
    assert not asked(names, *queued)
    monkeypatch.setattr(helper_threads, "STUCK_TIME", 0)
    queued.pop().close()  # has somebody look
    for operation in queued:
        with pytest.raises(DNSUnavailable, match=r"good.\.test: 3 look-ups are stuck"):
            run(operation, timeout=30)
    assert len(names.asked) == 3
    for operation in stuck:
        operation.close()


def test_what_was_given_up_a_moment_ago_is_not_stuck_for_good(names, monkeypatch):
    """A burst of look-ups that are given up is no reason to refuse the next one."""
    monkeypatch.setattr(helper_threads, "MAX_THREADS", 4)
    for operation in hang(names, 3):
        operation.close()
    waiting = co_resolve("good.test", 80)
    assert not asked(names, waiting)
    names.go_on()
    assert run(waiting, timeout=30)


# ---- a time limit that is over while no thread is left


@pytest.fixture
def slow(names, monkeypatch):
    """Four threads at most; three look-ups are not answered, and it is too early to give up."""
    monkeypatch.setattr(helper_threads, "MAX_THREADS", 4)
    operations = hang(names, 3)
    yield operations
    for operation in operations:
        operation.close()


@pytest.mark.parametrize("kind", KINDS[:1] + KINDS[2:])
def test_time_limit_says_that_no_thread_was_left(names, slow, kind):
    waiting = kind(names, "good.test")
    assert not asked(names, waiting)
    with pytest.raises(ConnectionTimedOut, match=f"passed, {SHORTAGE}$"):
        run(within(time.monotonic(), waiting))


SHORTAGE = "3 look-ups are stuck, and there are at most 4 threads for them"
LIMITS = [
    (0.001, "connect"),
    (Timeouts(dns=0.001), "dns"),
    (Timeouts(connect=0.001), "connect"),
    (Timeouts(total=0.001), "total"),
]


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize(("limit", "phase"), LIMITS)
def test_time_limit_of_a_connection_says_that_no_thread_was_left(slow, way, limit, phase):
    conn = HTTPConnection("good.test", timeout=limit)
    with pytest.raises(ConnectionTimedOut, match=SHORTAGE) as failure:
        way(conn.co_connect())
    assert failure.value.phase == phase
    assert failure.value.retryable
    assert str(failure.value).count(SHORTAGE) == 1


def test_who_waits_for_the_same_question_hears_of_it_too(names, slow):
    cache = CachingResolver(names.look_up)
    first, second = (co_look_up("good.test", 80, cache) for _ in range(2))
    assert not asked(names, first, second)
    for operation in (second, first):
        with pytest.raises(ConnectionTimedOut, match=f"passed, {SHORTAGE}$"):
            run(within(time.monotonic(), operation))


def test_time_limit_of_what_was_asked_says_nothing_of_threads(names, slow):
    """It has got a thread: it is the name service that does not answer."""
    with pytest.raises(ConnectionTimedOut) as failure:
        run(within(time.monotonic(), slow[0]))
    assert str(failure.value) == "the deadline has passed"


def test_time_limit_says_nothing_of_threads_while_there_are_some(names):
    stuck = hang(names)
    waiting = co_resolve("good.test", 80)
    assert not asked(names, waiting)
    with pytest.raises(ConnectionTimedOut) as failure:
        run(within(time.monotonic(), waiting))
    assert str(failure.value) == "the deadline has passed"
    for operation in stuck:
        operation.close()


def test_time_alone_makes_room(names, monkeypatch):
    monkeypatch.setattr(helper_threads, "SLOW_TIME", 0.05)
    stuck = hang(names)
    assert run(co_resolve("good.test", 80), timeout=30)
    for operation in stuck:
        operation.close()


# ---- the threads


def test_threads_are_daemons_and_end(names):
    before = open_descriptors()
    for _ in range(2):
        assert run(co_resolve("good.test", 80), timeout=30)
        assert all(thread.daemon for thread in dns_threads())
        assert len(dns_threads()) <= 1
        assert open_descriptors() <= before
        wait_until(lambda: not dns_threads())


def test_all_threads_end_when_what_was_stuck_comes_back(names, monkeypatch):
    monkeypatch.setattr(helper_threads, "SLOW_TIME", 0)
    for operation in hang(names, 40):
        operation.close()
    names.go_on()
    wait_until(lambda: not dns_threads())
    assert not helper_threads._helpers._running
    assert not helper_threads._helpers._spare


def test_what_the_call_raises_is_raised_and_the_thread_goes_on(names):
    for failure in (KeyError("x"), SystemExit(3), socket.gaierror(1, "x")):

        def fail(failure=failure):
            raise failure

        with pytest.raises(type(failure)) as raised:
            run(co_in_thread(fail, "x.test"))
        assert raised.value is failure
    wait_until(lambda: len(dns_threads()) <= 1)  # one that was idle for too long may be ending


def test_no_thread_for_the_spare_is_no_failure_of_those_that_run(names, monkeypatch):
    def refuse(thread):
        raise RuntimeError("can't start new thread")

    stuck = hang(names, 1)
    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", refuse)
        waiting = [co_resolve(f"good{number}.test", 80) for number in range(3)]
        for operation in waiting:
            next(operation)
        names.go_on()
        for operation in waiting + stuck:
            assert run(operation, timeout=30)


def test_interrupted_start_of_a_thread_leaves_nothing_in_the_queue(names, monkeypatch):
    begin = threading.Thread.start

    def interrupted(thread):
        begin(thread)
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", interrupted)
        with pytest.raises(KeyboardInterrupt):
            next(co_resolve("never.test", 80))
    assert run(co_resolve("good.test", 80), timeout=30)
    wait_until(lambda: not dns_threads())
    assert not helper_threads._helpers._spare


@pytest.mark.skipif(not hasattr(os, "fork"), reason="nothing forks here")
@pytest.mark.skipif(sys.version_info >= (3, 12), reason="warns about threads")
def test_child_process_asks_anew(names):
    stuck = hang(names, 1)

    def ask():
        names.go_on()  # for the child alone
        found = [run(op, timeout=30) for op in (stuck[0], co_resolve("good.test", 80))]
        return found == [ADDRESS, ADDRESS]

    assert in_child(ask) == 1
    assert names.asked == ["hang0.test"]
    stuck[0].close()


ADDRESS = [(socket.AF_INET, ("127.0.0.1", 80))]
EXIT = """
import threading
from dugong_like.transport.connect.resolvers import co_look_up
started = threading.Semaphore(0)
def hang(host, port):
    started.release()
    threading.Event().wait()
waiting = [co_look_up(f"hang{number}.test", 80, hang) for number in range(12)]
for operation in waiting:
    next(operation)
for _ in range(8):
    started.acquire()
"""


def test_program_ends_while_look_ups_hang():
    done = subprocess.run(
        [sys.executable, "-c", EXIT], capture_output=True, timeout=60, check=False,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )  # fmt: skip
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")
