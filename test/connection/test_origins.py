"""What pipelines remember of origins."""

import os
import threading

import pytest

from dugong_like.connection.origins import MAX_FAILURES, Origins


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
