"""Several background threads as one: who gets what, and how they end."""

import os
import threading
from concurrent.futures import CancelledError, wait

import pytest
from kit.support import ScriptedServer, answering, in_child, pattern, wait_until

from dugong_like import HTTPConnection, LoopThread, LoopThreads, Request, Wake

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


def co_get(server, size, context=None):
    """Get so many bytes on a connection of its own; return body and thread."""
    with HTTPConnection(server.host, server.port, context, timeout=30) as conn:
        for _ in range(3):
            yield from conn.co_send_request("GET", f"/bytes/{size}")
            yield from conn.co_read_response()
            body = yield from conn.co_readall()
    return body, threading.current_thread().name


def co_forever():
    with Wake() as wake:
        yield from wake.co_wait()


def co_name():
    yield from ()
    return threading.current_thread().name


def threads_called(name):
    return [thread for thread in threading.enumerate() if thread.name.startswith(name)]


@pytest.mark.feature("A43")
@pytest.mark.parametrize("tls", [False, True])
def test_two_threads_and_four_at_the_same_time(tls, start, trusting):
    """Real requests: three rounds on each of 120 connections."""
    server = start("granian", tls=tls)
    context = trusting if tls else None
    with LoopThread(name="a") as one, LoopThread(name="b") as two, LoopThreads(4, name="c") as four:
        places = [one, two, four, four, four, four]
        futures = {
            places[number % 6].submit(co_get(server, 1000 * number, context)): number
            for number in range(120)
        }
        wait(futures, timeout=60)
        names = {}
        for future, number in futures.items():
            body, name = future.result(timeout=0)
            assert body == pattern(1000 * number)
            names[name] = names.get(name, 0) + 1

    assert set(names) == {"a", "b", "c-0", "c-1", "c-2", "c-3"}
    assert names["a"] == names["b"] == 20
    assert not threads_called("c-")


@pytest.mark.feature("A43")
def test_least_busy_gets_the_next():
    with LoopThreads(3, name="n") as threads:
        assert len(threads) == 3
        waiting = [threads.submit(co_forever()) for _ in range(2)]  # on n-0 and n-1
        for _ in range(3):
            assert threads.submit(co_name()).result(60) == "n-2"
            wait_until(lambda: not threads._jobs[threads._threads[2]])  # behind the result
        more = threads.submit(co_forever())
        waiting[1].cancel()
        wait_until(waiting[1].cancelled)
        wait_until(lambda: threads.least_busy() is not threads._threads[0])
        assert threads.submit(co_name()).result(60) == "n-1"
    assert waiting[0].cancelled()
    assert more.cancelled()


def test_failed_operations_count_no_more():
    def co_fail():
        raise LookupError("no")
        yield

    with LoopThreads(2) as threads:
        for _ in range(5):
            with pytest.raises(LookupError):
                threads.submit(co_fail()).result(60)
        wait_until(lambda: not any(threads._jobs.values()))


def test_streams_of_a_connection():
    with ScriptedServer(answering(OK, OK)) as server, LoopThreads(2) as threads:
        with HTTPConnection("127.0.0.1", server.port) as conn:
            thread = threads.least_busy()
            streams = [conn.request(Request("GET", "/")) for _ in range(2)]
            for stream in streams:
                stream.activate(thread)
            assert [stream.completion_future.result(60) for stream in streams] == [200, 200]


def test_start_and_stop():
    threads = LoopThreads(2, name="s")
    future = threads.submit(co_name())  # waits for the start
    assert not threads.is_alive()
    assert threads.start() is threads
    assert threads.is_alive()
    assert future.result(60) == "s-0"
    assert not threads.join(0.01)
    waiting = threads.submit(co_forever())
    threads.stop()
    threads.stop()
    assert threads.join(60)
    assert threads.join()
    assert not threads.is_alive()
    with pytest.raises(CancelledError):
        waiting.result(0)
    with pytest.raises(RuntimeError):
        threads.start()
    op = co_forever()
    with pytest.raises(RuntimeError):
        threads.submit(op)
    assert op.gi_frame is None


def test_one_that_cannot_start_stops_all(monkeypatch):
    threads = LoopThreads(3, name="x")
    monkeypatch.setattr(threads._threads[1]._thread, "start", lambda: 1 / 0)

    with pytest.raises(ZeroDivisionError):
        threads.start()
    wait_until(lambda: not threads.is_alive())


@pytest.mark.parametrize("count", [0, -1])
def test_there_is_one_at_least(count):
    with pytest.raises(ValueError, match="threads"):
        LoopThreads(count)


def test_backend():
    with pytest.raises(KeyError):
        LoopThreads(1, backend="nonsense")
    with LoopThreads(1, backend="poll", daemon=False) as threads:
        assert threads.submit(co_name()).result(60) == "dugong_like-loop-0"


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_child_process_has_no_threads():
    with LoopThreads(2) as threads:
        threads.submit(co_forever())

        def submit():
            with pytest.raises(RuntimeError):
                threads.submit(co_name())
            return 7

        assert in_child(submit) == 7
