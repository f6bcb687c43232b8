"""100,000 leases of a pool, taken by many at a time who give up at any point, however they wait.

No place is lost, no connection is left, and those that wait are served in the order in which they
came. The connections are none, as nothing here is about what they do.
"""

import asyncio
import itertools
import random
import sys
import threading
import time
from functools import partial

import pytest
from kit.pooled import FakeConnector, origin, places
from kit.support import examples

from dugong_like import Limits, Pool, PoolTimedOut, run
from dugong_like.client import pool as pool_
from dugong_like.drivers import aio
from dugong_like.drivers.loop import Loop
from dugong_like.polling.wake import co_checkpoint

pytestmark = [
    pytest.mark.filterwarnings("ignore:a connection to .* was neither released nor discarded"),
    pytest.mark.timeout(600),
]
TIMES = examples(20_000)  # leases, with each of five drivers
WORKERS = 12
ORIGINS = 3
LIMITS = [
    Limits(max_connections=4),
    Limits(max_connections=4, max_per_origin=2, max_keepalive=2),
    Limits(max_connections=1, max_requests=5),
    Limits(max_connections=6, max_per_origin=1, keepalive_expiry=0),
]


class Order:
    """Notes who came before whom, and in which order they were served; and which flags are open.

    With threads it is not always known: of two that come at the same time either may be the first.
    """

    def __init__(self, monkeypatch):
        self.events = itertools.count()
        self.served = []
        self.open = set()
        order = self

        class LoggedWake(pool_.Wake):
            joined = None  # not yet

            def __init__(self, reason):
                super().__init__(reason)
                order.open.add(self)

            def close(self):
                super().close()
                order.open.discard(self)

            def co_wait(self, deadline=None):
                self.joined = next(order.events)  # it is in the queue now
                return super().co_wait(deadline)

        class LoggedWaiter(pool_.Waiter):
            def __init__(self, *arguments):
                self.began = next(order.events)  # it is not yet
                super().__init__(*arguments)

        class LoggedPool(Pool):
            def _serve_waiter(self, at, waiter):
                done = super()._serve_waiter(at, waiter)
                if done:
                    order.served.append((at.origin, waiter.began, waiter.wake.joined))
                return done

        monkeypatch.setattr(pool_, "Wake", LoggedWake)
        monkeypatch.setattr(pool_, "Waiter", LoggedWaiter)
        self.kind = LoggedPool

    def check(self):
        """Check that nobody was served behind one that began to wait when he waited already."""
        last = {}
        for where, began, joined in self.served:
            assert joined is None or joined > last.get(where, -1)
            last[where] = max(began, last.get(where, -1))
        return len(self.served)


def co_given_up(op, dice):
    """Run *op*, and give it up at one of its waits, perhaps: then the result is None."""
    try:
        while True:
            try:
                need = next(op)
            except StopIteration as end:
                return end.value
            if dice.random() < 0.2:
                return None
            yield need
            if dice.random() < 0.1:
                return None  # it may have been served
    finally:
        op.close()


def co_work(pool, dice, left):
    """Take connections and give them back until *left* is empty, in all ways that there are."""
    while left:
        try:
            left.pop()
        except IndexError:
            return
        deadline = time.monotonic() + 0.001 if dice.random() < 0.05 else None
        op = pool.co_acquire(origin(dice.randrange(ORIGINS)), deadline)
        try:
            lease = yield from co_given_up(op, dice)
        except PoolTimedOut:
            continue
        if lease is None:
            continue
        way = dice.random()
        try:
            for _ in range(dice.randrange(3)):
                yield from co_checkpoint()
            if way < 0.1:
                lease.connection.reusable = False
            elif way < 0.2:
                lease.note_keep_alive("timeout=1")
        finally:
            if way < 0.8:
                lease.release()
            elif way < 0.9:
                lease.discard()
            del lease


def at_the_same_time(calls):
    """Run functions in a thread each, which take turns as often as Python can have them."""
    begin = threading.Barrier(len(calls))

    def go(call):
        begin.wait(60)
        call()

    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        threads = [threading.Thread(target=go, args=(call,)) for call in calls]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    finally:
        sys.setswitchinterval(before)


def on_threads(ops):
    at_the_same_time([partial(run, op) for op in ops])


def on_asyncio(ops):
    async def main():
        await asyncio.gather(*map(aio.run, ops))

    asyncio.run(main())


def on_trio(ops):
    trio = pytest.importorskip("trio")
    from dugong_like.drivers import trio as driver

    async def main():
        async with trio.open_nursery() as nursery:
            for op in ops:
                nursery.start_soon(driver.run, op)

    trio.run(main)


def on_gevent(ops):
    gevent = pytest.importorskip("gevent")
    from dugong_like.drivers import gevent as driver

    gevent.joinall([gevent.spawn(driver.run, op) for op in ops], raise_error=True)


def on_loop(ops):
    with Loop() as loop:
        tasks = [loop.spawn(op) for op in ops]
        loop.run_all()
        for task in tasks:
            task.result()


def on_all_of_them(ops):
    """In three threads with a loop each, and in others without."""
    loops = [on_asyncio, on_loop, on_trio]
    mine = [ops[number :: len(loops) + 1] for number in range(len(loops) + 1)]
    calls = [partial(kind, each) for kind, each in zip(loops, mine, strict=False)]
    at_the_same_time(calls + [partial(run, op) for op in mine[-1]])


@pytest.mark.feature("C22", "C23", "C45", "D23", "E4", "E8")
@pytest.mark.parametrize("limits", LIMITS, ids=range(len(LIMITS)))
@pytest.mark.parametrize(
    "driver", [on_threads, on_asyncio, on_trio, on_gevent, on_loop, on_all_of_them]
)
def test_nothing_is_lost(monkeypatch, driver, limits):
    order = Order(monkeypatch)
    connector = FakeConnector()
    pool = order.kind(connector, limits)
    dice = random.Random(20251130)
    left = [None] * (TIMES // len(LIMITS))

    driver([co_work(pool, random.Random(dice.random()), left) for _ in range(WORKERS)])

    assert not left
    idle, busy = places(pool)
    assert busy == 0
    assert connector.open() == idle <= limits.max_connections
    stats = pool.stats().values()
    assert sum(each.idle for each in stats) == idle
    assert not any(each.busy or each.waiting for each in stats)
    served = order.check()
    assert served > len(stats) or driver in {on_threads, on_all_of_them}  # as it comes
    assert not order.open
    for number in range(ORIGINS):  # each can be had, as many as there may be
        leases = []
        while (lease := pool.try_acquire(origin(number))) is not None:
            leases.append(lease)
        most = limits.max_connections
        assert len(leases) == min(most, limits.max_per_origin or most)
        for lease in leases:
            lease.release()
    pool.close()
    assert connector.open() == 0
    assert places(pool) == (0, 0)


# ---- given up from outside, by what a loop has for that


async def cancelled(pool, dice, left):
    """Cancel tasks at any point."""
    while left:
        left.pop()
        task = asyncio.ensure_future(aio.run(pool.co_acquire(origin(dice.randrange(ORIGINS)))))
        for _ in range(dice.randrange(4)):
            await asyncio.sleep(0)
        if dice.random() < 0.5:
            task.cancel()
        try:
            lease = await task
        except asyncio.CancelledError:
            continue
        for _ in range(dice.randrange(3)):
            await asyncio.sleep(0)
        lease.release()


async def cancelled_on_trio(pool, dice, left):
    import trio

    from dugong_like.drivers import trio as driver

    while left:
        left.pop()
        lease = None
        with trio.move_on_after(dice.choice([0, 0.0001, 1000])):
            lease = await driver.run(pool.co_acquire(origin(dice.randrange(ORIGINS))))
            for _ in range(dice.randrange(3)):
                await trio.lowlevel.checkpoint()
        if lease is not None:
            lease.release()


def killed(pool, dice, left):
    import gevent

    from dugong_like.drivers import gevent as driver

    def use():
        lease = driver.run(pool.co_acquire(origin(dice.randrange(ORIGINS))))
        try:
            gevent.sleep(0)
        finally:
            lease.release()

    while left:
        left.pop()
        greenlet = gevent.spawn(use)
        gevent.sleep(0)
        if dice.random() < 0.5:
            greenlet.kill()
        else:
            greenlet.join()


def run_cancelled_on_asyncio(pool, dices, left):
    async def main():
        await asyncio.gather(*(cancelled(pool, dice, left) for dice in dices))

    asyncio.run(main())


def run_cancelled_on_trio(pool, dices, left):
    trio = pytest.importorskip("trio")

    async def main():
        async with trio.open_nursery() as nursery:
            for dice in dices:
                nursery.start_soon(cancelled_on_trio, pool, dice, left)

    trio.run(main)


def run_killed(pool, dices, left):
    gevent = pytest.importorskip("gevent")
    gevent.joinall([gevent.spawn(killed, pool, dice, left) for dice in dices], raise_error=True)


@pytest.mark.parametrize("way", [run_cancelled_on_asyncio, run_cancelled_on_trio, run_killed])
@pytest.mark.parametrize("limits", LIMITS[:3], ids=range(3))
def test_cancelling_loses_nothing(way, limits):
    connector = FakeConnector()
    pool = Pool(connector, limits)
    dice = random.Random(20251130)
    left = [None] * examples(5000)

    way(pool, [random.Random(dice.random()) for _ in range(WORKERS)], left)

    idle, busy = places(pool)
    assert busy == 0
    assert connector.open() == idle
    assert not any(each.waiting for each in pool.stats().values())
    pool.close()
    assert connector.open() == 0
