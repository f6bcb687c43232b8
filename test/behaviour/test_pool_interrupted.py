"""A pool in the middle of a call: Ctrl-C, the garbage collector, handlers of signals, and fork."""

import gc
import itertools
import os
import signal
import threading
import traceback

import pytest
from kit.ctrl_c import ctrl_c_at_each_place
from kit.in_the_middle import in_the_middle
from kit.pooled import FakeConnector, origin, places, pool_of, step

from dugong_like import Limits, Pool, StateError
from dugong_like.client import lease as lease_
from dugong_like.client import pool as pool_
from dugong_like.client import pooled

MODULES = (pool_, lease_, pooled)

pytestmark = [
    pytest.mark.timeout(120),
    # of a lease that was on its way to its caller
    pytest.mark.filterwarnings("ignore:a connection to .* was neither released nor discarded"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),  # of forking
]


class Case:
    """A pool, with a lease and waiters if *waiting* says for what.

    Attributes:
        lease: in use; None without waiters.
        ops: the waiters.
        spare: another lease if *crowded*, to end in the middle of a call.
        late: a waiter then, which has not begun.

    """

    def __init__(self, idle=(), waiting=None, crowded=False, **limits):
        self.connector = FakeConnector(forgets=True)
        self.pool = Pool(self.connector, Limits(**limits))
        self.spare = self.pool.try_acquire(origin(5)) if crowded else None
        self.late = self.pool.co_acquire(origin(0))
        leases = [self.pool.try_acquire(origin(number)) for number in idle]
        for lease in leases:
            lease.release()
        self.lease = None
        self.ops = []
        if waiting is not None:
            self.lease = self.pool.try_acquire(origin(0))
            self.ops = [self.pool.co_acquire(origin(number)) for number in waiting]
            for op in self.ops:
                assert step(op) is None

    def check(self):
        """Check that all waiters are served, one after the other, and nothing is lost."""
        lease, self.lease = self.lease, None
        if lease is not None:
            lease.release()  # as its user does in any case
        for op in self.ops:
            lease = step(op)
            assert lease is not None, "it waits for ever"
            lease.release()
        del lease
        idle, busy = places(self.pool)
        assert busy == 0
        assert self.connector.open() == idle
        stats = self.pool.stats().values()
        assert sum(each.idle for each in stats) == idle
        assert not any(each.waiting for each in stats)
        self.pool.close()
        assert self.connector.open() == 0
        return True


def take(case):
    case.pool.try_acquire(origin(0)).release()


def take_another(case):
    lease = case.pool.try_acquire(origin(7))
    if lease is not None:  # and the pool was not closed meanwhile
        lease.release()


def release(case):
    case.lease.release("timeout=9")


def discard(case):
    case.lease.discard()


def leave(case):
    """Have the first waiter leave."""
    op = case.ops.pop(0)
    op.close()


def leave_late(case):
    """Have the first waiter leave when it was served."""
    case.lease.release()
    leave(case)


def begin_to_wait(case):
    op = case.pool.co_acquire(origin(0))
    try:
        next(op)
    finally:
        op.close()


def warm(case):
    case.pool.warm(origin(0), 2)


def close(case):
    case.pool.close()


CASES = [
    (take, {"idle": (0, 1)}),
    (take, {}),
    (take, {"idle": (0,), "keepalive_expiry": 0}),
    (take_another, {"idle": (0, 1), "max_connections": 2}),
    (take_another, {"idle": (0, 1), "max_keepalive": 2}),
    (take, {"idle": (0, 0), "max_keepalive_per_origin": 1}),
    (release, {"waiting": (0, 0), "max_connections": 1}),
    (release, {"waiting": (1, 0), "max_connections": 1}),
    (release, {"waiting": (0, 1), "max_connections": 1, "max_keepalive": 0}),
    (release, {"waiting": (0, 0), "max_per_origin": 1, "max_requests": 1}),
    (discard, {"waiting": (0, 1), "max_connections": 1}),
    (discard, {"waiting": (0, 0), "max_per_origin": 1}),
    (leave, {"waiting": (0, 1, 0), "max_connections": 1}),
    (leave, {"waiting": (0, 0), "max_per_origin": 1}),
    (leave_late, {"waiting": (0, 0, 1), "max_connections": 1}),
    (leave_late, {"waiting": (1, 0), "max_connections": 1}),
    (begin_to_wait, {"waiting": (0,), "max_connections": 1}),
    (warm, {"idle": (1,), "max_connections": 2}),
]
IDS = [f"{call.__name__}-{number}" for number, (call, _) in enumerate(CASES)]


@pytest.mark.parametrize(("call", "options"), CASES, ids=IDS)
def test_ctrl_c_loses_no_place_and_nobody_waits_for_ever(call, options):
    rounds = 0
    for case in ctrl_c_at_each_place(lambda: Case(**options), call, *MODULES):
        rounds += case.check()
    assert rounds > 3


def test_ctrl_c_while_the_pool_is_closed():
    for case in ctrl_c_at_each_place(lambda: Case(idle=(0, 1)), close, *MODULES):
        case.pool.close()  # again, as the caller does in any case
        assert case.connector.open() == 0
        assert places(case.pool) == (0, 0)


# ---- what else runs in the middle of a call, in the same thread: finalizers, handlers of signals


def forget(case):
    """Drop a lease, as the garbage collector may anywhere."""
    case.spare = None


def give_back(case):
    if case.spare is not None:
        case.spare.release()


def end_waiting(case):
    """End a waiter, and begin to wait."""
    step(case.late)
    case.late.close()


def use(case):
    lease = case.pool.try_acquire(origin(3))
    if lease is not None:
        lease.release()


def close_all(case):
    case.pool.close()


MIDDLE = [number for number, (call, _) in enumerate(CASES) if call is not leave]


@pytest.mark.parametrize("number", MIDDLE, ids=[IDS[number] for number in MIDDLE])
@pytest.mark.parametrize(
    "actions",
    [
        (forget, give_back),
        *(
            pytest.param([each], marks=pytest.mark.slow)
            for each in (forget, give_back, end_waiting, use)
        ),
    ],
    ids=lambda actions: "-or-".join(action.__name__ for action in actions),
)
def test_other_calls_in_the_middle(number, actions):
    """At each step of a call comes another one: of *actions*, by turns."""
    call, options = CASES[number]
    options = {**options, "max_connections": options.get("max_connections", 10) + 1}
    turns = itertools.cycle(actions)

    def act(case):
        next(turns)(case)

    for case in in_the_middle(lambda: Case(crowded=True, **options), call, act, *MODULES):
        if case.spare is not None:
            case.spare.release()
            case.spare = None
        case.late.close()
        case.check()


@pytest.mark.parametrize("number", MIDDLE, ids=[IDS[number] for number in MIDDLE])
def test_pool_that_is_closed_in_the_middle(number):
    call, options = CASES[number]

    def closed(case):
        try:
            call(case)
        except StateError:
            pass

    for case in in_the_middle(lambda: Case(**options), closed, close_all, *MODULES):
        case.pool.close()  # the first round does not
        if case.lease is not None:
            case.lease.release()
        for op in case.ops:
            with pytest.raises(StateError, match="was closed"):
                lease = step(op)
                assert lease is not None, "it waits for ever"
                lease.release()  # it was served before that
                raise StateError("it was closed")
        lease = case.lease = None
        assert places(case.pool) == (0, 0)
        assert case.connector.open() == 0


def test_lease_that_is_forgotten_in_a_circle_wakes_others():
    case = Case(waiting=(0,), max_connections=1)
    circle = [case.lease]
    circle.append(circle)
    case.lease = None
    del circle
    gc.collect()
    assert case.check()


# ---- fork


@pytest.mark.skipif(not hasattr(os, "fork"), reason="nothing forks here")
def test_child_process_begins_with_an_empty_pool():
    case = Case(idle=(1,), waiting=(), max_connections=3)
    pool, parents = case.pool, case.lease
    others = [pool.try_acquire(origin(7)) for _ in range(2)]
    waiting, blocked = pool.co_acquire(origin(2)), pool.co_acquire(origin(7))
    need = next(waiting)
    next(blocked)

    child = os.fork()
    if child == 0:
        signal.alarm(30)
        try:
            assert places(pool) == (0, 0)
            mine = [pool.try_acquire(origin(0)) for _ in range(3)]
            assert None not in mine
            assert not any(lease.reused for lease in mine)
            assert pool.try_acquire(origin(0)) is None
            for lease in (parents, *others):  # of the parent: no place becomes free by that
                lease.release()
            waiting.close()
            blocked.close()
            assert places(pool) == (0, 3)
            assert pool.try_acquire(origin(0)) is None
            for lease in mine:
                lease.release()
            assert places(pool) == (3, 0)
            os._exit(7)
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7
    assert not need.poll(0)  # nobody of the parent was woken
    assert places(pool) == (0, 3)
    others[0].release()
    step(waiting).release()
    step(blocked).release()
    others[1].release()
    assert case.check()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="nothing forks here")
def test_fork_while_another_thread_serves():
    """The lock of that thread is not there for ever in the child."""
    pool, _ = pool_of(max_connections=1)
    lease = pool.try_acquire(origin())
    taken, go_on = threading.Event(), threading.Event()

    def serve():
        with pool._changing:
            taken.set()
            go_on.wait(30)

    thread = threading.Thread(target=serve)
    thread.start()
    taken.wait(30)
    child = os.fork()
    if child == 0:
        signal.alarm(30)
        try:
            mine = pool.try_acquire(origin())
            waiting = pool.co_acquire(origin())
            next(waiting)
            mine.release()
            step(waiting).release()
            os._exit(7)
        finally:
            os._exit(1)
    go_on.set()
    thread.join()
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7
    lease.release()
