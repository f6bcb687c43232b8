"""Signals that end a command: nothing half done stays behind, and the exit status names the signal.

The handler of a signal does all of it, and ends the process. An exception would not do: Python
runs the handler between any two steps of the main thread, so also between the creation of a
file and the ``try`` that would remove it, and loses what is raised within a ``__del__`` or while
a module is imported.

Not here: what is undone (output_file.py, demo.py).
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from os import _exit as exit_at_once
from types import FrameType
from typing import Final

from .outcome import SIGNALLED
from .standard import complain_at_once

SIGNALS: Final = tuple(
    getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)
)


class _State:
    """What there is once in a process, as signals are.

    Attributes:
        undos: what to call when a signal comes.
        is_held: True while signals have to wait.
        waiting: the one that does.
        end: ends the process with an exit status.

    """

    def __init__(self) -> None:
        self.undos: list[Callable[[], object]] = []
        self.is_held = False
        self.waiting: int | None = None
        self.end: Callable[[int], object] = exit_at_once  # threads need not come to their end


_state = _State()


@contextmanager
def stop_on_signals(end: Callable[[int], object] | None = None) -> Iterator[None]:
    """Have the first signal of `SIGNALS` end the process; the others do nothing from then on.

    One that is ignored stays so, as ``nohup`` and the shell want it for programs in the
    background. Does nothing unless in the main thread, which alone gets signals.

    Args:
        end: what to call with the exit status instead of ending the process, for tests.

    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.getsignal(number) for number in SIGNALS}
    ours = [number for number, handler in before.items() if handler is not signal.SIG_IGN]

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
            # None: it was set by something else than Python, which cannot be asked for it
            signal.signal(number, before[number] or signal.SIG_DFL)


def _end(number: int) -> None:
    for undo in reversed(_state.undos):
        undo()
    name = signal.Signals(number).name
    complain_at_once("interrupted" if name == "SIGINT" else f"ended by {name}")
    _state.end(SIGNALLED + number)


@contextmanager
def undone(undo: Callable[[], object]) -> Iterator[None]:
    """Call *undo* at the end of the block, and when a signal comes.

    Args:
        undo: what to call. It raises nothing, and may be called before there is anything to
            undo, and several times.

    """
    _state.undos.append(undo)
    try:
        yield
    finally:
        undo()
        _state.undos.remove(undo)


@contextmanager
def signals_held() -> Iterator[None]:
    """Let signals wait until the block, which takes a limited time, has ended."""
    _state.is_held = True
    try:
        yield
    finally:
        _state.is_held = False
        number, _state.waiting = _state.waiting, None
        if number is not None:
            _end(number)
