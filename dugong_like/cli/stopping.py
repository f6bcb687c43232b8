"""Signals that end a command: partial results are removed, and the process ends by the signal.

The signal handler does all of it, and ends the process. An exception would not suffice: Python runs
the handler between any two steps of the main thread, so also between the creation of a file and
the ``try`` that would remove it, and ignores exceptions within ``__del__`` or during an import.

Not here: the partial results (output_file.py, demo.py).
"""

from __future__ import annotations

import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from os import _exit as exit_at_once
from types import FrameType
from typing import Final

from .outcome import SIGNALLED
from .standard import complain_at_once

# Signals that end a process by default (POSIX, signal.h). Not SIGKILL, which cannot be handled, and
# not the faults SIGSEGV, SIGBUS, SIGFPE and SIGILL: the instruction that caused one is repeated
# when its handler returns, before Python can do anything.
NAMES: Final = (
    *("SIGABRT", "SIGALRM", "SIGHUP", "SIGINT", "SIGPIPE", "SIGPROF", "SIGQUIT", "SIGSYS"),
    *("SIGTERM", "SIGTRAP", "SIGUSR1", "SIGUSR2", "SIGVTALRM", "SIGXCPU", "SIGXFSZ"),
    "SIGBREAK",  # Windows
    *(("SIGIO", "SIGPWR", "SIGSTKFLT") if sys.platform == "linux" else ()),
)


def _ending() -> tuple[int, ...]:
    numbers = [int(getattr(signal, name)) for name in NAMES if hasattr(signal, name)]
    if hasattr(signal, "SIGRTMIN"):  # real-time signals
        numbers += range(signal.SIGRTMIN, signal.SIGRTMAX + 1)
    return tuple(numbers)


SIGNALS: Final = _ending()
USUAL: Final = (signal.SIG_DFL, signal.default_int_handler)  # without a handler of the program


class _State:
    """The state for signals, one for the process.

    Attributes:
        undos: functions to call at a signal.
        is_held: True while signals are held.
        waiting: the held signal.
        end: ends the process by a signal.

    """

    def __init__(self) -> None:
        self.undos: list[Callable[[], object]] = []
        self.is_held = False
        self.waiting: int | None = None
        self.end: Callable[[int], object] = _die


def _die(number: int) -> None:
    """End this process, by the signal if possible, without waiting for its threads.

    So the parent learns the signal: a shell ends its script after Ctrl-C, and SIGQUIT leaves a
    core dump. Otherwise the exit status reports it.
    """
    if sys.platform != "win32":
        signal.signal(number, signal.SIG_DFL)
        signal.raise_signal(number)  # has no effect on the first process of a container
    exit_at_once(SIGNALLED + number)


_state = _State()


@contextmanager
def stop_on_signals(end: Callable[[int], object] | None = None) -> Iterator[None]:
    """Make the first signal of `SIGNALS` end the process; later ones have no effect.

    Ignored signals stay ignored, as ``nohup`` and shells demand for programs in the background,
    and existing handlers are kept. Has no effect outside of the main thread, which gets all
    signals.

    Args:
        end: called with the number of the signal instead of ending the process, for tests.

    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.getsignal(number) for number in SIGNALS}
    ours = [number for number, handler in before.items() if handler in USUAL]

    def stop(number: int, _frame: FrameType | None) -> None:
        for other in ours:
            signal.signal(other, signal.SIG_IGN)
        if _state.is_held:
            _state.waiting = number
        else:
            _end(number)

    usual, _state.end = _state.end, end or _state.end
    try:
        for number in ours:
            signal.signal(number, stop)
        yield
    finally:
        _state.end = usual
        for number in ours:
            signal.signal(number, before[number])


def _end(number: int) -> None:
    for undo in reversed(_state.undos):
        undo()
    complain_at_once("interrupted" if number == signal.SIGINT else f"ended by {_name(number)}")
    _state.end(number)


def _name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:  # a real-time signal
        return f"signal {number}"


@contextmanager
def undone(undo: Callable[[], object]) -> Iterator[None]:
    """Call *undo* at the end of the block, and at a signal.

    Args:
        undo: raises nothing, and may be called before there is anything to undo, and several
            times.

    """
    _state.undos.append(undo)
    try:
        yield
    finally:
        undo()
        _state.undos.remove(undo)


@contextmanager
def signals_held() -> Iterator[None]:
    """Hold signals until the end of the block, which takes a limited time."""
    _state.is_held = True
    try:
        yield
    finally:
        _state.is_held = False
        number, _state.waiting = _state.waiting, None
        if number is not None:
            _end(number)
