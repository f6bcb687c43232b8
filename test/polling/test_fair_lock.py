"""A lock that is handed on in the order in which those who wait have come."""

import threading

import pytest

from dugong_like import run
from dugong_like.polling.fair_lock import FairLock
from dugong_like.polling.wake import Wake


def release(fair):
    fair.lock.release()
    if fair.waiting:
        fair.hand_on()


def waits(operation):
    """Resume *operation*; return True if it still waits."""
    try:
        next(operation)
    except StopIteration:
        return False
    return True


@pytest.fixture
def fair():
    fair = FairLock()
    fair.lock.acquire()
    return fair


def test_order(fair):
    first, second = fair.co_acquire(), fair.co_acquire()
    assert waits(first)
    assert waits(second)
    release(fair)
    assert waits(second)
    assert not waits(first)
    release(fair)
    assert not waits(second)
    release(fair)
    assert fair.lock.acquire(False)
    assert not fair.waiting


def test_nobody_comes_in_between(fair):
    waiting = fair.co_acquire()
    assert waits(waiting)
    release(fair)
    assert not fair.lock.acquire(False)  # it is that of the one that waits already
    assert not waits(waiting)


def test_one_that_leaves_is_passed_over(fair):
    first, second = fair.co_acquire(), fair.co_acquire()
    assert waits(first)
    assert waits(second)
    first.close()
    release(fair)
    assert not waits(second)


def test_one_that_leaves_when_it_has_just_been_handed_the_lock_hands_it_on(fair):
    first, second = fair.co_acquire(), fair.co_acquire()
    assert waits(first)
    assert waits(second)
    release(fair)
    first.close()
    assert not waits(second)
    release(fair)
    assert fair.lock.acquire(False)


def test_lock_that_became_free_before_anybody_could_tell(fair):
    waiting = fair.co_acquire()
    fair.lock.release()  # the holder has looked, and nobody was waiting yet
    assert not waits(waiting)
    assert fair.lock.locked()


def test_threads():
    fair, inside, most = FairLock(), [], []

    def work():
        for _ in range(200):
            if not fair.lock.acquire(False):
                run(fair.co_acquire())
            try:
                inside.append(1)
                most.append(len(inside))
                inside.pop()
            finally:
                release(fair)

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert len(most) == 1600
    assert max(most) == 1
    assert not fair.lock.locked()


def test_one_that_is_interrupted_behind_its_wait_leaves_nothing(fair, monkeypatch):
    def interrupted(wake):
        raise KeyboardInterrupt

    waiting = fair.co_acquire()
    assert waits(waiting)
    release(fair)
    monkeypatch.setattr(Wake, "close", interrupted)
    with pytest.raises(KeyboardInterrupt):
        next(waiting)
    assert fair.lock.acquire(False)
    assert fair.thread == 0
