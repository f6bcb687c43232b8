"""How many requests may be unanswered."""

from dugong_like.connection.origins import OriginFacts
from dugong_like.connection.pace import Pace


def answered(pace, count):
    for _ in range(count):
        pace.answered += 1


def lose(pace, answers, *, told=False):
    """Let a connection end after so many *answers*, of requests that were sent together."""
    pace.note_sending(0, 10)
    answered(pace, answers)
    pace.end(learn=True, failed=not told)


def test_half_of_the_depth_is_used_until_much_is_answered():
    pace = Pace(64, OriginFacts())
    assert pace.room() == 32
    answered(pace, 3 * 64)
    assert pace.room() == 64


def test_no_more_are_sent_than_the_last_connection_took():
    pace = Pace(64, OriginFacts())
    lose(pace, 10, told=True)
    assert pace.room() == 10
    answered(pace, 7)
    assert pace.room() == 3
    answered(pace, 3)
    assert pace.room() == 1  # it may be more
    answered(pace, 5)
    assert pace.room() == 6
    pace.end(learn=False, failed=False)
    assert pace.room() == 32  # it was more, and is unknown again


def test_after_a_failure_the_first_one_is_alone():
    pace = Pace(64, OriginFacts())
    lose(pace, 10)
    assert pace.room() == 1
    answered(pace, 1)
    assert pace.room() == 9


def test_a_server_that_loses_all_pipelined_requests_gets_one_at_a_time():
    facts = OriginFacts()
    pace = Pace(64, facts)
    for _ in range(3):
        assert not facts.one_by_one
        lose(pace, 1)  # that one was not pipelined
    assert facts.one_by_one
    answered(pace, 1000)
    assert pace.room() == 1
    assert Pace(64, facts).room() == 1


def test_one_pipelined_answer_shows_that_it_can():
    facts = OriginFacts()
    pace = Pace(64, facts)
    lose(pace, 2)
    for _ in range(10):
        lose(pace, 1)
    assert not facts.one_by_one


def test_an_end_that_was_announced_is_no_sign():
    facts = OriginFacts()
    pace = Pace(64, facts)
    for _ in range(10):
        lose(pace, 1, told=True)
    assert facts.in_doubt
    assert not facts.one_by_one


def test_requests_that_are_sent_one_by_one_are_not_pipelined():
    facts = OriginFacts()
    pace = Pace(64, facts)
    for _ in range(10):
        pace.note_sending(0, 1)
        assert not pace.waits_for_first_pipelined()
        pace.end(learn=True, failed=True)
    assert not facts.one_by_one


def test_the_first_pipelined_one_is_known_when_it_is_waited_for():
    pace = Pace(64, OriginFacts())
    pace.note_sending(0, 1)
    answered(pace, 1)
    pace.note_sending(0, 1)
    pace.note_sending(1, 3)
    assert not pace.waits_for_first_pipelined()
    answered(pace, 1)
    assert pace.waits_for_first_pipelined()
    answered(pace, 1)
    assert not pace.waits_for_first_pipelined()
