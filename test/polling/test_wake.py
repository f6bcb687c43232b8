"""Wake: a flag that any thread may set and any loop can wait for, on each system."""

import gc
import os
import select
import threading
import time

import pytest

from dugong_like import POLLIN, PollNeeded, Wake, run
from dugong_like.polling import wake as wake_
from dugong_like.polling.wake import co_checkpoint


@pytest.fixture(params=["_EventFD", "_Pipe", "_SocketPair"])
def end(request, monkeypatch):
    if request.param == "_EventFD" and not hasattr(os, "eventfd"):
        pytest.skip("needs eventfd (Linux)")
    monkeypatch.setattr(wake_, "_end", getattr(wake_, request.param))


@pytest.mark.feature("B53")
def test_wake_is_ready_between_set_and_clear(end):
    with Wake() as wake:
        need = PollNeeded(wake.fd, POLLIN)
        assert not wake.is_set()
        assert not need.poll(0)
        for _ in range(3):
            wake.set()
        assert wake.is_set()
        assert need.poll(0)
        for _ in range(3):
            wake.clear()
        assert not need.poll(0)


def test_wake_wakes_another_thread(end):
    with Wake() as wake:
        threading.Timer(0.05, wake.set).start()
        assert run(wake.co_wait()) is True


def test_wake_may_be_used_after_its_end(end):
    wake = Wake()
    wake.close()
    wake.close()
    wake.set()
    wake.clear()


def test_waiting_for_a_wake_has_a_deadline(end):
    with Wake() as wake:
        assert run(wake.co_wait(time.monotonic() + 0.05)) is False


@pytest.mark.parametrize("is_set", [False, True])
def test_an_operation_that_is_collected_with_its_flag_may_use_that(end, is_set):
    """The garbage collector closes the descriptor, which belongs to nothing else, first."""

    def co_use(wake, done):
        try:
            yield wake.need()
        finally:
            (wake.clear if is_set else wake.set)()
            wake.close()
            done.append(wake.is_set())

    wake, done = Wake(), []
    if is_set:
        wake.set()
    circle = [wake._end, wake, co_use(wake, done)]
    next(circle[2])
    circle.append(circle)

    wake._end.close()  # as its finalizer does: nothing says which one comes first
    del circle, wake
    gc.collect()

    assert done == [not is_set]


@pytest.mark.feature("B53")
def test_every_system_has_an_end(monkeypatch):
    monkeypatch.delattr(os, "eventfd", raising=False)
    assert type(wake_._end()).__name__ == "_Pipe"
    monkeypatch.setattr(os, "name", "nt")
    end = wake_._end()
    monkeypatch.undo()
    assert type(end).__name__ == "_SocketPair"
    end.close()


class Near:
    """A registration that resumes by itself, if it *can*."""

    def __init__(self, can=True):
        self.can = can
        self.after = []

    def resume(self, then):
        if self.can:
            self.after.append(then)
        return self.can

    def end(self, then):
        then()


class Far:
    """One of a loop that knows nothing of that."""

    def end(self, then):
        then()


def test_a_loop_of_the_same_thread_resumes_without_the_descriptor(end):
    with Wake() as wake:
        need = wake.need()
        near = Near()
        need.source.registrations.update({"far": Far(), "cannot": Near(can=False), "near": near})
        wake.set()
        assert wake.is_set()
        assert need.source.is_set()
        assert len(near.after) == 1
        assert not run_select(wake)
        wake.clear()
        near.after.pop()()
        assert not run_select(wake)
        wake.set()
        near.after.pop()()
        assert run_select(wake), "nobody has cleared it"


def test_a_flag_that_was_not_shown_yet_is_when_somebody_looks(end):
    for look in (
        lambda wake, _: wake.need(),
        lambda wake, _: wake.need(time.monotonic() + 9),
        lambda _, need: need.poll(0),
        lambda _, need: need.until(time.monotonic()).poll(0),
        lambda _, need: need.source.settle(),
        lambda wake, _: wake.set(),
    ):
        with Wake() as wake:
            need = wake.need()
            need.source.registrations["near"] = Near()
            wake.set()
            assert not run_select(wake)
            look(wake, need)
            assert run_select(wake)


def test_loops_that_cannot_resume_leave_it_to_the_descriptor(end):
    with Wake() as wake:
        wake.need().source.registrations.update({"far": Far(), "cannot": Near(can=False)})
        wake.set()
        assert run_select(wake)


def test_a_flag_is_set_in_the_middle_of_a_set(end):
    """By a handler of signals, while the loop is told."""

    class Interrupted(Near):
        def resume(self, then):
            if not self.after:
                super().resume(then)
                wake.set()
            return True

    with Wake() as wake:
        near = wake.need().source.registrations["near"] = Interrupted()
        wake.set()
        for then in near.after:
            then()
        assert run_select(wake)
        wake.clear()
        assert not run_select(wake)


def test_source_of_a_flag_that_is_gone():
    wake = Wake()
    source = wake.need().source
    wake.set()
    assert source.is_set()
    del wake
    assert not source.is_set()
    source.settle()


def run_select(wake):
    return bool(select.select([wake.fd], [], [], 0)[0])


def test_a_checkpoint_that_the_garbage_collector_finds_leaves_its_descriptor_open():
    """It finalizes the flag, too, if only the operation has it: then the next one has none."""
    gc.collect()  # of an earlier test it might find operations, which put back theirs
    going = co_checkpoint()
    fd = next(going).fd
    circle = [going]
    circle.append(circle)

    del going, circle
    gc.collect()

    os.fstat(fd)
    assert [need.fd for need in co_checkpoint()] == [fd]
