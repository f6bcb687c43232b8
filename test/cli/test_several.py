"""Jobs at a time: as many as there is room for, and others while some of them pause."""

import os

import pytest
from kit.sites import Site, answer_of

from dugong_like.__main__ import main
from dugong_like.cli.outcome import CommandFailed
from dugong_like.cli.several import MOST_PAUSING, GivenJobs, run_all
from dugong_like.polling.wake import Wake, co_checkpoint, co_pause

REPORTS = []


class Workers:
    """Jobs that count how many run.

    Attributes:
        running: of them, at the moment.
        most: how many that were at a time.

    """

    def __init__(self):
        self.running = self.most = 0

    def job(self, *waits):
        """Return a job that makes these operations, one after the other."""

        def co_job():
            self.running += 1
            self.most = max(self.most, self.running)
            try:
                for wait in waits:
                    yield from wait()
            finally:
                self.running -= 1
            return 0

        return co_job


@pytest.mark.parametrize("room", [1, 5, 8])
def test_there_are_as_many_as_there_is_room_for(room):
    workers = Workers()
    jobs = [workers.job(co_checkpoint, co_checkpoint) for _ in range(50)]
    assert run_all(GivenJobs(jobs, room), REPORTS.append).worst == 0
    assert (workers.most, workers.running) == (room, 0)


def test_one_that_pauses_makes_room_for_others_until_it_goes_on():
    workers, over = Workers(), Wake("pause before a retry", is_pause=True)
    shown = []

    def co_end_pause():
        shown.append(workers.running)
        over.set()
        return
        yield

    with over:
        pausing = [workers.job(over.co_wait, co_checkpoint)]
        others = [workers.job(co_checkpoint) for _ in range(20)]
        jobs = [*pausing, *others, workers.job(co_end_pause), *others]
        assert run_all(GivenJobs(jobs, 1), REPORTS.append).worst == 0
    assert shown == [2]  # it and the one that pauses
    assert (workers.most, workers.running) == (2, 0)


def test_not_more_than_so_many_pause():
    workers = Workers()

    def co_wait():
        return co_pause(0.02, "pause before a retry")

    jobs = [workers.job(co_wait) for _ in range(3 * MOST_PAUSING)]
    assert run_all(GivenJobs(jobs, 2), REPORTS.append).worst == 0
    assert workers.most <= MOST_PAUSING + 2


def test_room_may_grow_and_shrink_while_they_run():
    workers = Workers()
    seen = []

    class Changing(GivenJobs):
        def co_next(self):
            self.room = 6 if len(seen) < 20 else 2
            seen.append(workers.running)
            return (yield from super().co_next())

    jobs = [workers.job(co_checkpoint) for _ in range(60)]
    assert run_all(Changing(jobs, 1), REPORTS.append).worst == 0
    assert max(seen) == 5
    assert max(seen[30:]) <= 1  # and the one that asks


def test_the_first_that_cannot_write_ends_all():
    def co_broken():
        raise BrokenPipeError
        yield

    workers = Workers()
    with pytest.raises(BrokenPipeError):
        run_all(GivenJobs([co_broken, *[workers.job(co_checkpoint)] * 9], 1), REPORTS.append)
    assert workers.most == 0


def test_a_source_that_fails_is_reported_once():
    reports = []

    class Failing(GivenJobs):
        def co_next(self):
            raise CommandFailed("no list")
            yield

    assert run_all(Failing([], 8), reports.append).worst == 1
    assert reports == ["no list"]


def test_a_list_needs_no_descriptor_for_each_file(tmp_path, monkeypatch):
    """Workers do not queue for connections: that would be a flag, and five system calls, each."""
    if not hasattr(os, "eventfd"):
        pytest.skip("there is no eventfd")
    made = []
    eventfd = os.eventfd
    monkeypatch.setattr(os, "eventfd", lambda *args: made.append(args) or eventfd(*args))
    monkeypatch.chdir(tmp_path)
    with Site({None: answer_of(200, body=b"x" * 4096)}) as site:
        urls = (f"http://127.0.0.1:{site.port}/{number}\n" for number in range(200))
        (tmp_path / "list").write_text("".join(urls))
        assert main(["get", "-q", "-i", "list"]) == 0
        assert site.connections <= 8
    assert len(os.listdir(tmp_path)) == 201
    assert len(made) < 50
