"""What pipelines remember of origins."""

import os
import threading
import time

import pytest

from dugong_like.connection.origins import IN_A_ROW, MAX_FAILURES, Origins


def test_facts_are_those_of_one_origin_and_few_are_kept():
    origins = Origins(most=3)
    first = origins.facts("http://a")
    first.one_by_one = True
    assert origins.facts("http://a") is first
    assert not origins.facts("https://a").one_by_one
    for name in "bcd":
        origins.facts(f"http://{name}")
    assert origins.facts("http://a") is not first  # the oldest is forgotten
    kept = origins.facts("http://d")
    origins.forget()
    assert origins.facts("http://d") is not kept


def test_server_is_unable_after_some_connections_and_never_if_it_was_able():
    facts = Origins().facts("http://a")
    for _ in range(MAX_FAILURES - 1):
        facts.note_pipelining(works=False)
    assert facts.in_doubt
    assert not facts.one_by_one
    facts.note_pipelining(works=False)
    assert facts.one_by_one

    able = Origins().facts("http://b")
    able.note_pipelining(works=True)
    for _ in range(10 * MAX_FAILURES):
        able.note_pipelining(works=False)
    assert not able.one_by_one
    assert not able.in_doubt


def test_the_longest_pause_holds():
    facts = Origins().facts("http://a")
    assert facts.resumes == 0
    facts.pause(1000)
    until = facts.resumes
    facts.pause(1)
    assert facts.resumes == until


@pytest.fixture
def clock(monkeypatch):
    """Return the time, which goes on when it is changed."""
    now = [1000.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    return now


def test_an_origin_pauses_when_several_are_refused_and_none_that_was_sent_later_is_answered(clock):
    facts = Origins().facts("http://a")
    for number in range(IN_A_ROW):
        assert facts.resumes == 0
        facts.note_refusal(900.0 + number, 30)
    assert facts.resumes == 1030
    assert facts.refusals == ()


def test_refusals_among_answers_to_what_was_sent_with_them_pause_nothing(clock):
    facts = Origins().facts("http://a")
    for number in range(100):
        for _ in range(IN_A_ROW - 1):
            facts.note_refusal(number, 1000)
        facts.note_answer(number)
    assert facts.resumes == 0


def test_answers_to_what_was_sent_earlier_show_nothing(clock):
    """They were under way when the server began to refuse."""
    facts = Origins().facts("http://a")
    for number in range(IN_A_ROW):
        facts.note_answer(900.0)
        facts.note_refusal(901.0 + number, 5)
    assert facts.resumes == 1005


def test_an_answer_shows_nothing_of_what_was_sent_after_it(clock):
    facts = Origins().facts("http://a")
    for sent_at in (1.0, 3.0, 5.0):
        facts.note_refusal(sent_at, 7)
    facts.note_answer(3.0)
    for _ in range(IN_A_ROW - 1):
        assert facts.resumes == 0
        facts.note_refusal(6.0, 7)
    assert facts.resumes == 1007
    assert facts.refusals == ()


@pytest.mark.parametrize("answered", [4.0, 5.0, 1000.0])
def test_refusals_of_what_was_sent_before_an_answered_one_pause_nothing(clock, answered):
    """One node of several restarts; its refusals come in one batch, behind answers of others."""
    facts = Origins().facts("http://a")
    facts.note_answer(answered)
    facts.note_answer(0.5)  # which is no earlier news of the others
    for sent_at in (1.0, 2.0, 3.0, 4.0) * 10:
        facts.note_refusal(sent_at, 7)
    assert facts.resumes == 0
    for number in range(IN_A_ROW):
        assert facts.resumes == 0
        facts.note_refusal(answered + 1 + number, 7)
    assert facts.resumes == 1007


def test_the_pause_ends_when_the_first_of_them_may_be_sent_again(clock):
    facts = Origins().facts("http://a")
    for seconds in (1000, 2000, 7, 1000):
        facts.note_refusal(900.0, seconds)
    assert facts.resumes == 1007


def test_what_is_refused_in_the_pause_belongs_to_it(clock):
    """As many were under way as the server refuses: there is one pause, until the last of these."""
    facts = Origins().facts("http://a")
    for _ in range(100):
        facts.note_refusal(900.0, 5)
        clock[0] += 0.001
    assert 1005 < facts.resumes < 1005.1
    clock[0] = facts.resumes
    facts.note_refusal(clock[0], 5)
    assert facts.resumes == clock[0], "one refusal after it is no pause"


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork")
def test_a_child_process_can_use_them_though_another_thread_had_the_lock():
    origins = Origins()
    taken, done = threading.Event(), threading.Event()

    def hold():
        with origins._lock:
            taken.set()
            done.wait(60)

    thread = threading.Thread(target=hold)
    thread.start()
    taken.wait(60)
    child = os.fork()
    if not child:
        try:
            os._exit(0 if origins.facts("http://a") else 1)
        finally:
            os._exit(2)  # never on in the tests of its parent
    done.set()
    thread.join()
    assert os.waitpid(child, 0)[1] == 0
