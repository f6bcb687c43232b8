"""A shared connection and its users by themselves: it only says what it is asked."""

import gc
import time
import warnings
from math import inf
from types import SimpleNamespace

import pytest
from kit.pooled import origin

from dugong_like.client.share import DOUBTED, MOST_VIEWS, Opening, Share, SharedOrigin, StreamLease
from dugong_like.connection.connection_view import ConnectionView, bytes_received, room_of


class Member:
    requests = 7

    def is_at_limit(self, served):
        return served > 2

    def left(self, served):
        return 9 - served


class View:
    def __init__(self):
        self.quiet = True
        self.disconnected = 0

    def is_quiet(self):
        return self.quiet

    def disconnect(self):
        self.disconnected += 1

    def rolling_batch(self):
        return "batch"


class Connection:
    renewals = 3
    concurrency = 2
    received = room = 0

    def __init__(self):
        self.views = []

    def is_open(self):
        return True

    def beside(self, make):
        if make is ConnectionView:
            self.views.append(View())
            return self.views[-1]
        return {bytes_received: self.received, room_of: self.room}[make]


class Lender:
    """Does with what ends what `Sharing` does, and notes it."""

    ping_after = 60.0

    def __init__(self):
        self.ended = []
        self.woken = []
        self.doubted = []

    def doubt(self, share):
        self.doubted.append(share)

    def count(self, share, requests):
        share.served += requests

    def end(self, at, share, lease=None):
        share.uses.discard(lease)
        self.ended.append(share)

    def wake(self, at, count):
        self.woken.append(count)


@pytest.fixture
def here():
    share = Share(Connection())
    share.held = [Member()]
    return SimpleNamespace(lender=Lender(), at=SharedOrigin(), share=share)


def lease_of(here):
    here.share.served += 1
    return StreamLease(here.lender, here.at, here.share, origin())


def test_there_is_room_up_to_what_the_server_allows(here):
    leases = [lease_of(here)]
    assert here.share.has_room()
    leases.append(lease_of(here))
    assert not here.share.has_room()
    leases.pop().release()
    assert here.share.has_room()
    leases.pop().release()


@pytest.mark.parametrize("flag", ["has_ended", "is_avoided"])
def test_there_is_no_room_on_one_that_ends(here, flag):
    setattr(here.share, flag, True)

    assert not here.share.has_room()
    assert not here.share.has_room(waits=True)


def test_room_beside_a_batch_is_what_its_streams_leave(here):
    here.share.has_batches = True
    assert not here.share.has_room()
    assert here.share.has_room(waits=True)

    here.share.connection.room = 1

    assert here.share.has_room()


def test_it_is_usable_until_it_has_served_as_many_as_it_may(here):
    here.share.served = 2
    assert here.share.is_usable()
    here.share.served = 3
    assert not here.share.is_usable()
    here.share.served, here.share.held = 0, []  # it was given back
    assert not here.share.is_usable()


def test_doubt_is_over_when_something_has_arrived(here):
    share = here.share
    assert not share.is_due(time.monotonic())
    share.doubt()
    assert share.is_due(0.0)
    share.connection.received = 1
    assert not share.is_due(0.0)
    share.rests_at = 5.0
    assert share.is_due(5.0)
    assert not share.is_due(4.9)


def test_views_of_users_that_ended_in_order_are_used_again(here):
    first = lease_of(here)
    view = first.connection
    first.release()
    second = lease_of(here)

    assert second.connection is view
    second.discard()
    assert view.disconnected == 1
    third = lease_of(here)
    assert third.connection is not view
    third.connection.quiet = False  # its exchange is not complete
    third.release()
    assert third.connection.disconnected == 1
    assert here.share.views == []


def test_so_many_views_are_kept(here):
    for lease in [lease_of(here) for _ in range(MOST_VIEWS + 3)]:
        lease.release()

    assert len(here.share.views) == MOST_VIEWS


def test_lease_ends_once(here):
    lease = lease_of(here)

    for _ in range(2):
        lease.release()
        lease.discard()

    assert here.lender.ended == [here.share]
    assert not here.share.uses
    assert "given back" in repr(lease)


def test_lease_that_is_garbage_is_given_back_with_a_warning(here):
    lease = lease_of(here)
    with pytest.warns(ResourceWarning, match=r"a stream to http://host0\.test was not given back"):
        del lease
    assert here.lender.ended == [here.share]
    assert not here.share.uses


def test_end_that_was_interrupted_is_made_up_for_by_the_garbage_collector(here):
    lease = lease_of(here)
    end, here.lender.end = here.lender.end, lambda *_: 1 / 0
    with pytest.raises(ZeroDivisionError):
        lease.release()
    here.lender.end = end

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        del lease
        gc.collect()

    assert here.lender.ended == [here.share]


def test_connection_was_used_before_if_it_served_another_one(here):
    assert not lease_of_and_end(here).reused
    assert lease_of_and_end(here).reused
    here.share.served, here.share.reused = 0, True
    assert lease_of_and_end(here).reused


def lease_of_and_end(here):
    lease = lease_of(here)
    lease.release()
    return lease


def test_batch_counts_its_requests_itself(here):
    lease = lease_of(here)
    assert lease.begin_batch() == "batch"
    assert lease.is_batch
    assert (here.share.served, lease.requests(), lease.left()) == (0, 7, 9)

    before = time.monotonic()
    lease.count(4)

    assert (here.share.served, lease.requests(), lease.left()) == (4, 11, 5)
    assert before + 60 <= here.share.rests_at <= time.monotonic() + 60
    here.share.rests_at = DOUBTED
    lease.count(1)
    assert here.share.rests_at == DOUBTED
    lease.release()


def test_batches_make_way_unless_somebody_else_uses_the_connection(here):
    batch, other = lease_of(here), lease_of(here)
    batch.begin_batch()
    assert not batch.make_way()
    other.release()
    assert batch.make_way()
    assert here.share.is_avoided
    assert batch.left() == 0
    assert batch.make_way()
    batch.release()


def test_doubt_of_a_lease_is_about_its_connection(here):
    lease = lease_of(here)
    lease.doubt()
    lease.avoid()
    lease.release()

    assert here.lender.doubted == [here.share]
    assert here.share.is_avoided
    assert lease.whole is here.share.connection


def test_opening_ends_once_and_wakes_those_that_wait(here):
    opening = Opening(here.lender, here.at)
    assert not here.at.is_unused()
    opening.end(2)
    assert here.lender.woken == [2]
    opening.end(1)
    del opening
    gc.collect()
    assert here.lender.woken == [2]
    assert here.at.is_unused()


def test_opening_that_is_garbage_leaves_its_turn_to_another_one(here):
    opening = Opening(here.lender, here.at)
    del opening
    gc.collect()
    assert here.lender.woken == [1]
    assert here.at.is_unused()


def test_origin_is_used_while_there_is_a_connection_or_somebody_waits(here):
    assert here.at.is_unused()
    here.at.shares.append(here.share)
    assert not here.at.is_unused()
    here.at.shares.clear()
    here.at.waiting["one"] = None
    assert not here.at.is_unused()


def test_nothing_is_due_that_never_rests(here):
    assert here.share.rests_at == inf
    assert not here.share.is_due(1e9)
