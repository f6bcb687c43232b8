"""Signals are sent to this very process: their handlers run in its main thread, in Python."""

import os
import signal
import sys
import threading
from subprocess import DEVNULL, PIPE, Popen, run

import pytest
from kit.support import ROOT

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


def end(number):
    raise Ended(number)


def name_of(number):
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"


def ours():
    """Return the signals that nobody else handles or ignores, as Python does SIGPIPE."""
    usual = (signal.SIG_DFL, signal.default_int_handler)
    return [number for number in SIGNALS if signal.getsignal(number) in usual]


@pytest.mark.parametrize("number", SIGNALS, ids=name_of)
def test_a_signal_ends_the_process_with_its_number(number, capfd):
    if number not in ours():
        pytest.skip("something else handles it here")
    with pytest.raises(Ended, match=f"^{number}$"), stop_on_signals(end):
        signal.raise_signal(number)

    name = "interrupted" if number == signal.SIGINT else f"ended by {name_of(number)}"
    assert capfd.readouterr() == ("", f"dugong_like: {name}\n")


def test_all_signals_that_end_a_process_are_ours_but_those_that_cannot_be():
    """Each other one is sent to a process that has no handler for it."""
    kept = {signal.SIGKILL, signal.SIGSTOP, signal.SIGSEGV, signal.SIGBUS, signal.SIGFPE}
    for number in signal.valid_signals() - kept - {signal.SIGILL} - set(SIGNALS):
        with Popen([sys.executable, "-c", "input()"], stdin=PIPE, stderr=DEVNULL) as process:
            process.send_signal(number)
            process.send_signal(signal.SIGCONT)
            process.communicate(b"\n", timeout=60)
        assert process.returncode == 0, name_of(number)


DYING = """
import os, signal, sys
from dugong_like.cli.stopping import SIGNALS, stop_on_signals

for number in SIGNALS:
    child = os.fork()
    if child == 0:
        signal.signal(number, signal.SIG_DFL)
        with stop_on_signals():
            os.kill(os.getpid(), number)
            while True:
                signal.pause()
    status = os.waitpid(child, 0)[1]
    print(number, os.WTERMSIG(status) if os.WIFSIGNALED(status) else None)
"""


def test_the_process_dies_by_the_signal():
    """Whoever has started it shall see it, and SIGQUIT has a core dump written where it should."""
    done = run(
        ["bash", "-c", 'ulimit -c 0; exec "$@"', "-", sys.executable, "-c", DYING],
        capture_output=True, check=True, cwd=ROOT, timeout=100,
    )  # fmt: skip

    assert done.stdout.decode().splitlines() == [f"{int(n)} {int(n)}" for n in SIGNALS]
    lines = done.stderr.decode().replace("interrupted", "ended by SIGINT").splitlines()
    assert lines == [f"dugong_like: ended by {name_of(number)}" for number in SIGNALS]


def test_a_signal_that_something_else_handles_stays_so():
    got = []
    before = signal.signal(signal.SIGUSR1, lambda number, frame: got.append(number))
    try:
        with stop_on_signals(end):
            signal.raise_signal(signal.SIGUSR1)
    finally:
        signal.signal(signal.SIGUSR1, before)
    assert got == [signal.SIGUSR1]


def test_only_the_first_one_counts():
    numbers = []
    before = ours()
    with stop_on_signals(numbers.append):
        signal.raise_signal(signal.SIGTERM)
        for number in before:
            signal.raise_signal(number)

    assert numbers == [signal.SIGTERM]


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

    assert done[:4] == ["second", "first", signal.SIGTERM, "block"]


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

    assert done == ["block", signal.SIGTERM]


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
