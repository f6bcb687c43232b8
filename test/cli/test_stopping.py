"""Signals are sent to this very process: their handlers run in its main thread, in Python."""

import os
import signal
import sys
import threading

import pytest

from dugong_like.cli.stopping import (
    SIGNALS,
    signals_held,
    stop_on_signals,
    undone,
)

pytestmark = pytest.mark.skipif(os.name == "nt", reason="Windows has no such signals")


@pytest.fixture(autouse=True)
def handlers():
    before = [signal.getsignal(number) for number in SIGNALS]
    yield
    assert [signal.getsignal(number) for number in SIGNALS] == before


class Ended(BaseException):
    """What ends the process in these tests."""


def end(status):
    raise Ended(status)


@pytest.mark.parametrize("number", SIGNALS, ids=lambda number: number.name)
def test_a_signal_ends_the_process_with_its_number(number, capfd):
    with pytest.raises(Ended, match=str(128 + number)), stop_on_signals(end):
        signal.raise_signal(number)

    name = "interrupted" if number == signal.SIGINT else f"ended by {number.name}"
    assert capfd.readouterr() == ("", f"dugong_like: {name}\n")


def test_only_the_first_one_counts():
    statuses = []
    with stop_on_signals(statuses.append):
        signal.raise_signal(signal.SIGTERM)
        for number in SIGNALS:
            signal.raise_signal(number)

    assert statuses == [128 + signal.SIGTERM]


def test_an_ignored_signal_stays_ignored():
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)  # as nohup does
    try:
        with stop_on_signals():
            signal.raise_signal(signal.SIGHUP)
    finally:
        signal.signal(signal.SIGHUP, before)


def test_another_thread_than_the_main_one_changes_no_handler():
    found = []

    def look():
        with stop_on_signals():
            found.append(signal.getsignal(signal.SIGTERM))

    thread = threading.Thread(target=look)
    thread.start()
    thread.join()
    assert found == [signal.getsignal(signal.SIGTERM)]


def test_what_is_half_done_is_undone_by_the_handler_itself():
    """What it would raise may get lost, or come before the block has begun."""
    done = []

    with stop_on_signals(done.append):
        with undone(lambda: done.append("first")), undone(lambda: done.append("second")):
            signal.raise_signal(signal.SIGTERM)
            done.append("block")

    assert done[:4] == ["second", "first", 128 + signal.SIGTERM, "block"]


@pytest.mark.parametrize("failure", [None, ZeroDivisionError])
def test_what_is_half_done_is_undone_at_the_end(failure):
    done = []
    try:
        with undone(lambda: done.append("undone")):
            done.append("block")
            if failure is not None:
                raise failure
    except ZeroDivisionError:
        pass

    assert done == ["block", "undone"]


def test_a_signal_waits_for_the_end_of_a_block():
    done = []

    with stop_on_signals(done.append):
        with signals_held():
            signal.raise_signal(signal.SIGTERM)
            signal.raise_signal(signal.SIGHUP)
            done.append("block")

    assert done == ["block", 128 + signal.SIGTERM]


def test_a_message_that_would_have_to_wait_is_none(monkeypatch):
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    try:
        while os.write(writer, bytes(65536)):
            pass
    except BlockingIOError:
        os.set_blocking(writer, True)

    with os.fdopen(writer, "w") as full, monkeypatch.context() as patch:
        patch.setattr(sys, "stderr", full)
        with pytest.raises(Ended), stop_on_signals(end):
            signal.raise_signal(signal.SIGTERM)
    os.close(reader)
