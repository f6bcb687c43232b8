"""The background thread: submitting, cancelling, stopping, forking, and the end of the program."""

import gc
import os
import socket
import subprocess
import sys
import textwrap
import threading
import time
from concurrent.futures import CancelledError, wait

import pytest
from kit.support import ROOT, in_child, open_descriptors, wait_until

from dugong_like import POLLIN, PollNeeded, StateError, Wake
from dugong_like.drivers import loopthread
from dugong_like.drivers.loopthread import LoopThread


def value(result):
    return result
    yield


def failing(problem):
    raise problem
    yield


def forever(sock, log):
    try:
        while True:
            log.append("step")
            yield PollNeeded(sock.fileno(), POLLIN)
    finally:
        log.append(threading.current_thread().name)


@pytest.fixture
def pair():
    sock, other = socket.socketpair()
    with sock, other:
        yield sock, other


@pytest.mark.feature("A43", "A53")
def test_operations_from_many_threads_run_on_one():
    names = []

    def co_name(number):
        names.append(threading.current_thread().name)
        with Wake() as wake:
            yield from wake.co_wait(time.monotonic() + 0.01)
        return number

    futures = []
    with LoopThread(name="here") as thread:
        workers = [
            threading.Thread(target=lambda n=n: futures.append(thread.submit(co_name(n))))
            for n in range(20)
        ]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()
        assert sorted(future.result(60) for future in futures) == list(range(20))
    assert set(names) == {"here"}
    assert not thread.is_alive()


def test_errors_of_operations_are_in_their_futures_and_stop_nothing():
    with LoopThread() as thread:
        for problem in (ValueError("no"), KeyboardInterrupt(), SystemExit(1)):
            assert thread.submit(failing(problem)).exception(60) is problem
        assert thread.submit(value(5)).result(60) == 5


def test_two_that_wait_for_the_same_are_told_so(pair):
    sock, _ = pair
    with LoopThread() as thread:
        first = thread.submit(forever(sock, []))
        second = thread.submit(forever(sock, []))
        assert isinstance(second.exception(60), StateError)
        assert not first.done()


def test_cancelling_closes_the_operation_on_the_thread(pair):
    sock, _ = pair
    log = []
    with LoopThread(name="here") as thread:
        future = thread.submit(forever(sock, log))
        wait_until(lambda: log)
        assert future.cancel()
        with pytest.raises(CancelledError):
            future.result(60)
        assert future.cancelled()
        assert log == ["step", "here"]
        assert thread.submit(value(5)).result(60) == 5


def test_cancelled_before_the_start_it_makes_no_step(pair):
    sock, _ = pair
    log = []
    thread = LoopThread()
    future = thread.submit(forever(sock, log))
    other = thread.submit(value(5))
    assert future.cancel()
    with thread:
        assert other.result(60) == 5
    assert future.cancelled()
    assert log == []


def test_cancelling_what_is_done_changes_nothing():
    with LoopThread() as thread:
        future = thread.submit(value(5))
        assert future.result(60) == 5
        assert not future.cancel()
        assert not future.cancelled()


def test_problem_while_it_is_closed_is_the_future_s(pair):
    sock, _ = pair

    def stubborn(log):
        try:
            yield from forever(sock, log)
        finally:
            raise ValueError("not so fast")

    with LoopThread() as thread:
        log = []
        future = thread.submit(stubborn(log))
        wait_until(lambda: log)
        assert future.cancel()
        assert isinstance(future.exception(60), ValueError)
        assert not future.cancelled()
        again = []
        future = thread.submit(stubborn(again))
        wait_until(lambda: again)
    assert isinstance(future.exception(60), ValueError)


def test_stopping_cancels_what_runs_and_leaves_nothing(pair):
    sock, _ = pair
    gc.collect()
    before = open_descriptors()
    log = []
    thread = LoopThread().start()
    futures = [thread.submit(forever(sock, log))]
    wait_until(lambda: log)
    thread.stop()
    thread.stop()
    assert thread.join(60)
    with pytest.raises(RuntimeError, match="stopped"):
        thread.submit(value(5))
    done, _ = wait(futures, 60)
    assert all(future.cancelled() for future in done)
    assert log[-1] == "dugong_like-loop"
    del thread, futures, done
    gc.collect()
    assert open_descriptors() <= before


def test_stopped_before_it_was_started_it_ends_what_it_was_given():
    thread = LoopThread()
    future = thread.submit(value(5))
    thread.stop()
    assert isinstance(future.exception(0), CancelledError)
    with pytest.raises(RuntimeError):
        thread.join()


def test_an_operation_may_stop_its_thread_and_submit_to_it():
    def co_work():
        inner = thread.submit(value(5))
        with Wake() as wake:
            inner.add_done_callback(lambda _: wake.set())
            yield from wake.co_wait()
        thread.stop()
        return inner.result()

    thread = LoopThread().start()
    future = thread.submit(co_work())
    assert future.result(60) == 5
    assert thread.join(60)
    with pytest.raises(RuntimeError):
        thread.start()


def test_only_threads_that_run_are_ended_with_the_program(monkeypatch):
    with LoopThread() as thread:
        assert thread in loopthread._started
        with pytest.raises(RuntimeError):
            thread.start()
        assert thread in loopthread._started
        if hasattr(os, "fork"):
            assert in_child(lambda: thread in loopthread._started) == 0
    assert thread not in loopthread._started

    def fails(_):
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", fails)
    thread = LoopThread()
    with pytest.raises(RuntimeError):
        thread.start()
    assert thread not in loopthread._started


@pytest.mark.skipif(not hasattr(os, "fork"), reason="nothing forks here")
def test_child_process_is_told_that_the_thread_is_not_there():
    with LoopThread() as thread:
        assert thread.submit(value(5)).result(60) == 5

        def submit():
            with pytest.raises(RuntimeError):
                thread.submit(value(5))
            thread.stop()
            return 7

        assert in_child(submit) == 7
        assert thread.submit(value(6)).result(60) == 6


@pytest.mark.parametrize("daemon", [True, False])
def test_program_ends_without_a_hang(daemon):
    """A daemonic thread is stopped in order; another one is what the program waits for."""
    code = f"""
        import socket, threading, time
        from dugong_like import POLLIN, PollNeeded
        from dugong_like.drivers.loopthread import LoopThread

        begun = threading.Event()

        def forever(sock):
            try:
                begun.set()
                while True:
                    yield PollNeeded(sock.fileno(), POLLIN)
            finally:
                print("closed", flush=True)

        pair = socket.socketpair()
        thread = LoopThread(daemon={daemon}).start()
        future = thread.submit(forever(pair[0]))
        begun.wait()
        print("end", flush=True)
        if not {daemon}:
            threading.Timer(0.1, thread.stop).start()
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)],
        capture_output=True, text=True, timeout=90, env={"PYTHONPATH": str(ROOT)}, check=True,
    )  # fmt: skip
    assert done.stdout.split() == ["end", "closed"]
    assert not done.stderr


def test_end_of_the_program_waits_no_longer_than_a_moment():
    code = """
        import time
        from dugong_like.drivers.loopthread import LoopThread

        def blocking():
            time.sleep(600)
            yield

        future = LoopThread().start().submit(blocking())
        while not future.running():
            time.sleep(0.001)
    """
    subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)],
        timeout=90, env={"PYTHONPATH": str(ROOT)}, check=True,
    )  # fmt: skip
