"""Operations on threads beyond the contract: executors, and cancelling before the start."""

import socket
import threading
from concurrent.futures import CancelledError, ThreadPoolExecutor

import pytest
from kit.support import open_descriptors, wait_until

from dugong_like import POLLIN, PollNeeded
from dugong_like.drivers.threads import submit


def value(result):
    return result
    yield


def forever(sock, log):
    try:
        while True:
            yield PollNeeded(sock.fileno(), POLLIN)
    finally:
        log.append("closed")


@pytest.mark.feature("A53")
def test_executor_of_the_caller_runs_the_operations():
    with ThreadPoolExecutor(2) as executor:
        assert [submit(value(n), executor).result() for n in range(5)] == list(range(5))


def test_operation_that_waits_for_its_executor_is_cancelled_without_a_step():
    release = threading.Event()
    log = []
    with ThreadPoolExecutor(1) as executor:
        executor.submit(release.wait, 5)
        future = submit(forever(None, log), executor)
        assert future.cancel()
        assert future.cancelled()
        release.set()
    assert log == []
    with pytest.raises(CancelledError):
        future.result()


def test_cancelling_what_is_done_changes_nothing():
    future = submit(value(5))
    assert future.result() == 5
    assert not future.cancel()
    assert not future.cancelled()


def test_cancelled_operation_is_closed_and_leaves_nothing():
    before = open_descriptors()
    log = []
    sock, other = socket.socketpair()
    with sock, other:
        future = submit(forever(sock, log))
        wait_until(future.running)
        assert future.cancel()
        with pytest.raises(CancelledError):
            future.result(60)
    assert log == ["closed"]
    wait_until(lambda: open_descriptors() <= before)
