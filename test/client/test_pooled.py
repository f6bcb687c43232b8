"""Places, waiters and counts of a pool: each gives back what it has taken, and only once."""

import gc
import threading

import pytest
from kit.pooled import origin

from dugong_like.client.pooled import Member, OriginPool, Waiter
from dugong_like.polling.wake import Wake


def nobody():
    """Return the pool of origins that belong to none."""


def test_member_takes_its_places_and_gives_them_back():
    at, places = OriginPool(origin(), nobody), set()
    member = Member(at, places)
    assert (len(at.members), len(places)) == (1, 1)
    assert next(iter(at.members))() is member
    member.leave()
    member.leave()
    assert (at.members, places) == (set(), set())


def test_member_that_nobody_has_gives_its_places_back():
    places = set()
    at = OriginPool(origin(), nobody)
    member = Member(at, places)
    other = Member(at, places)
    del member
    gc.collect()
    assert len(places) == 1
    assert next(iter(places))() is other


@pytest.mark.parametrize("how", ["used", "idle", "ended"])
def test_member_that_is_lost_has_others_served(how):
    class Pool:
        served = ()

        def serve(self, at):
            self.served = (*self.served, (at, len(at.members), len(places)))

    pool, places = Pool(), set()
    at = OriginPool(origin(), lambda: pool)
    member = Member(at, places)
    if how == "idle":
        member.at = None
    elif how == "ended":
        member.leave()
        member.forget()
    del member
    assert pool.served == (() if how == "ended" else ((at, 0, 0),))
    assert (at.members, places) == (set(), set())


def test_places_of_a_member_that_was_not_made():
    class Refuses(set):
        def add(self, item):
            raise KeyboardInterrupt

    at = OriginPool(origin(), nobody)
    try:
        Member(at, Refuses())
    except KeyboardInterrupt:
        pass
    gc.collect()
    assert at.members == set()


def test_given_member_is_taken_once():
    with Wake() as wake:
        waiter = Waiter(1, wake)
        assert waiter.take() is None
        member = Member(OriginPool(origin(), nobody), set())
        waiter.given.append(member)
        found = []
        threads = [threading.Thread(target=lambda: found.append(waiter.take())) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert [one for one in found if one is not None] == [member]


def test_first_waiter_is_the_one_that_came_first():
    at = OriginPool(origin(), nobody)
    assert at.first() is None
    with Wake() as wake:
        waiters = [Waiter(number, wake) for number in range(3)]
        for waiter in waiters:
            at.waiting[waiter] = None
        assert at.first() is waiters[0]
        del at.waiting[waiters[0]]
        assert at.first() is waiters[1]


def test_counts():
    at = OriginPool(origin(), nobody)
    members = [Member(at, set()) for _ in range(3)]
    at.idle.append(members[0])
    at.opened, at.reused = 3, 5
    for why in ("expired", "discarded", "expired"):
        at.count_end(why)
    stats = at.stats()
    assert (stats.idle, stats.busy, stats.waiting) == (1, 2, 0)
    assert (stats.opened, stats.reused, stats.expired, stats.stale) == (3, 5, 0, 0)
    assert stats.ended == {"expired": 2, "discarded": 1}
    at.count_end("expired")
    assert stats.ended["expired"] == 2  # of that moment
