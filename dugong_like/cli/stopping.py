"""Signals that end a command: nothing half done stays behind, and the exit status names the signal.

Python runs the handler of a signal between any two steps of the main thread, so also between the
creation of a file and the ``try`` that would remove it. Therefore the handler itself removes
the files that are not complete, before it raises.

Not here: exit statuses (outcome.py), and the files (output_file.py).
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Final

SIGNALS: Final = tuple(
    getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)
)


class Stopped(KeyboardInterrupt):
    """A signal has come. A KeyboardInterrupt, because that is what event loops let through.

    Attributes:
        signal: which one.

    """

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.signal = signal.Signals(number)


class _State:
    """What there is once in a process, as signals are."""

    incomplete: set[Path]
    is_held = False  # a signal has to wait
    waiting: int | None = None  # the one that does

    def __init__(self) -> None:
        self.incomplete = set()


_state = _State()


@contextmanager
def stop_on_signals() -> Iterator[None]:
    """Have the first signal of `SIGNALS` raise `Stopped`, and the others do nothing any more.

    One that is ignored stays so, as ``nohup`` and the shell want it for programs in the
    background. Does nothing unless in the main thread, which alone gets signals.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.getsignal(number) for number in SIGNALS}
    ours = [number for number, handler in before.items() if handler is not signal.SIG_IGN]

    def stop(number: int, _frame: FrameType | None) -> None:
        for other in ours:
            signal.signal(other, signal.SIG_IGN)  # it ends, and must not be disturbed
        if _state.is_held:
            _state.waiting = number
            return
        for path in _state.incomplete:
            _remove(path)
        raise Stopped(number)

    try:
        for number in ours:
            signal.signal(number, stop)
        yield
    finally:
        for number in ours:
            # None: it was set by something else than Python, which cannot be asked for it
            signal.signal(number, before[number] or signal.SIG_DFL)


@contextmanager
def removed_at_the_end(path: Path) -> Iterator[None]:
    """Remove the file *path*, if there is one, at the end of the block and when a signal comes.

    Nobody else may have a file of that name.
    """
    _state.incomplete.add(path)
    try:
        yield
    finally:
        _remove(path)
        _state.incomplete.discard(path)


def _remove(path: Path) -> None:
    try:
        path.unlink(missing_ok=True)
    except OSError:
        pass  # the folder is gone, or was made read-only: there is nothing else to do


@contextmanager
def signals_held() -> Iterator[None]:
    """Let signals wait until the block, which takes a limited time, has ended.

    Raises:
        Stopped: one has come meanwhile.

    """
    _state.is_held = True
    try:
        yield
    finally:
        _state.is_held = False
        number, _state.waiting = _state.waiting, None
        if number is not None:
            raise Stopped(number)
