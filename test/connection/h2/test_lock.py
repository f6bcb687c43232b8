"""A lock whose sections may be met by what runs at any point of the same thread."""

import threading

import pytest

from dugong_like import StateError
from dugong_like.connection.h2.lock import SectionLock


def test_what_meets_a_section_is_done_at_its_end():
    done = []
    lock = SectionLock(done.append)

    def section(value):
        lock.when_free(lambda: done.append("later"))
        done.append("inside")
        return value

    assert lock.run(section, 5) == 5
    assert done == ["inside", "later"]
    lock.when_free(lambda: done.append("at once"))
    assert done[2:] == ["at once"]


def test_another_thread_waits_for_the_section():
    lock = SectionLock(print)
    order = []
    inside, done = threading.Event(), threading.Event()

    def other():
        inside.wait(20)
        lock.when_free(lambda: order.append("other"))
        done.set()

    thread = threading.Thread(target=other)
    thread.start()

    def section():
        inside.set()
        assert not done.wait(0.05)
        order.append("section")

    lock.run(section)
    thread.join()
    assert order == ["section", "other"]


def test_a_section_cannot_begin_inside_another_one_of_its_thread():
    lock = SectionLock(print)
    with pytest.raises(StateError, match="interrupted an operation"):
        lock.run(lambda: lock.run(print))
    assert lock.run(lambda: 1) == 1


@pytest.mark.parametrize(
    ("failure", "interrupts"), [(ValueError, False), (KeyboardInterrupt, True)]
)
def test_what_comes_from_outside_is_reported(failure, interrupts):
    told = []
    lock = SectionLock(told.append)

    def section():
        raise failure

    with pytest.raises(failure):
        lock.run(section)
    assert [type(exc) for exc in told] == [failure] * interrupts
    assert lock.run(lambda: 1) == 1


def test_a_child_process_finds_it_free():
    lock = SectionLock(print)

    def section():
        lock.when_free(pytest.fail)
        lock.renew()
        return lock.run(lambda: 1)

    assert lock.run(section) == 1
