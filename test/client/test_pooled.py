"""Places, waiters and counts of a pool: each gives back what it has taken, and only once."""

import gc
import threading

from kit.pooled import origin

from dugong_like.client.pooled import Member, OriginPool, Waiter
from dugong_like.polling.wake import Wake


def test_member_takes_its_places_and_gives_them_back():
    mine, all_ = set(), set()
    member = Member(mine, all_)
    assert (len(mine), len(all_)) == (1, 1)
    assert next(iter(mine))() is member
    member.leave()
    member.leave()
    assert (mine, all_) == (set(), set())


def test_member_that_nobody_has_gives_its_places_back():
    places = set()
    member = Member(places)
    other = Member(places)
    del member
    gc.collect()
    assert len(places) == 1
    assert next(iter(places))() is other


def test_places_of_a_member_that_was_not_made():
    class Refuses(set):
        def add(self, item):
            raise KeyboardInterrupt

    places = set()
    try:
        Member(places, Refuses())
    except KeyboardInterrupt:
        pass
    gc.collect()
    assert places == set()


def test_given_member_is_taken_once():
    with Wake() as wake:
        waiter = Waiter(1, wake)
        assert waiter.take() is None
        member = Member()
        waiter.given.append(member)
        found = []
        threads = [threading.Thread(target=lambda: found.append(waiter.take())) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert [one for one in found if one is not None] == [member]


def test_first_waiter_is_the_one_that_came_first():
    at = OriginPool(origin())
    assert at.first() is None
    with Wake() as wake:
        waiters = [Waiter(number, wake) for number in range(3)]
        for waiter in waiters:
            at.waiting[waiter] = None
        assert at.first() is waiters[0]
        del at.waiting[waiters[0]]
        assert at.first() is waiters[1]


def test_counts():
    at = OriginPool(origin())
    members = [Member(at.members) for _ in range(3)]
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
