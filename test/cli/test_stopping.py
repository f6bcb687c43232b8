"""Signals are sent to this very process: their handlers run in its main thread, in Python."""

import os
import signal
import threading

import pytest

from dugong_like.cli.stopping import (
    SIGNALS,
    Stopped,
    removed_at_the_end,
    signals_held,
    stop_on_signals,
)

pytestmark = pytest.mark.skipif(os.name == "nt", reason="Windows has no such signals")


@pytest.fixture(autouse=True)
def handlers():
    before = [signal.getsignal(number) for number in SIGNALS]
    yield
    assert [signal.getsignal(number) for number in SIGNALS] == before


@pytest.mark.parametrize("number", SIGNALS, ids=lambda number: number.name)
def test_a_signal_is_an_exception_that_names_it(number):
    with pytest.raises(Stopped) as stopped, stop_on_signals():
        signal.raise_signal(number)

    assert stopped.value.signal is number
    assert isinstance(stopped.value, KeyboardInterrupt)


def test_only_the_first_one_counts():
    with stop_on_signals():
        with pytest.raises(Stopped):
            signal.raise_signal(signal.SIGTERM)
        for number in SIGNALS:
            signal.raise_signal(number)


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


def test_a_file_is_removed_by_the_handler_itself(tmp_path):
    file = tmp_path / "file"
    seen = []

    with pytest.raises(Stopped), stop_on_signals(), removed_at_the_end(file):
        file.write_text("half")
        try:
            signal.raise_signal(signal.SIGTERM)
        finally:
            seen.append(file.exists())

    assert seen == [False]


@pytest.mark.parametrize("failure", [None, ZeroDivisionError])
def test_a_file_is_removed_at_the_end(tmp_path, failure):
    file = tmp_path / "file"
    try:
        with removed_at_the_end(file):
            file.write_text("half")
            if failure is not None:
                raise failure
    except ZeroDivisionError:
        pass

    assert not file.exists()


def test_a_signal_waits_for_the_end_of_a_block():
    done = []

    with pytest.raises(Stopped) as stopped, stop_on_signals():
        with signals_held():
            signal.raise_signal(signal.SIGTERM)
            signal.raise_signal(signal.SIGHUP)
            done.append(True)
        done.append(False)

    assert done == [True]
    assert stopped.value.signal is signal.SIGTERM
