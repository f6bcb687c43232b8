"""Waiting until the storage has the bytes of a file, which may take a second and is not polled.

The system writes some hundred megabytes a second to a good disk, and a program can only ask it to
return when that is done (fsync). A large file is waited for in a thread of its own, so that the
other operations of a loop go on; starting one takes a tenth of a millisecond. A small one is waited
for at once: that is one write of the disk.

Not here: what is synced, and when (part.py).
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from typing import Final

from ...polling.contract import Co
from ...polling.fork import generation
from ...polling.wake import Wake

LARGE: Final = 1 << 20  # bytes; as many as an operation moves before others have their turn


def co_sync(number: int, count: int, sync: Callable[[int], object]) -> Co[None]:
    """Wait for the storage.

    Args:
        number: descriptor of the file.
        count: about how many bytes there are to write.
        sync: `os.fsync`, or another such function.

    Raises:
        OSError: that failed.

    """
    if count < LARGE:
        sync(number)
        return
    syncing = _Syncing(os.dup(number), sync)  # it may be closed before the thread is done
    if syncing.starts():
        yield from syncing.co_wait()
    else:
        sync(number)


class _Syncing:
    """One wait for the storage, in a thread.

    Args:
        number: descriptor, which is closed at the end.
        sync: see `co_sync`.

    """

    def __init__(self, number: int, sync: Callable[[int], object]) -> None:
        self._number = number
        self._sync = sync
        self._failure: BaseException | None = None
        self._done = Wake("storage")
        self._generation = generation()

    def starts(self) -> bool:
        """Begin; return False if there is no thread left, and all is closed."""
        thread = threading.Thread(target=self._work, name="dugong_like-storage", daemon=True)
        try:
            thread.start()
        except RuntimeError:
            os.close(self._number)
            self._done.close()
            return False
        return True

    def _work(self) -> None:
        try:
            self._sync(self._number)
        except BaseException as exc:  # noqa: BLE001 - for the operation that waits
            self._failure = exc
        finally:
            os.close(self._number)
            self._done.set()

    def co_wait(self) -> Co[None]:
        """Wait for the end. Raises OSError if that is a failure."""
        try:
            for need in self._done.co_wait():
                yield need
                if generation() != self._generation:
                    return  # of a fork, without the thread: its parent waits
            if self._failure is not None:
                raise self._failure
        finally:
            self._done.close()
            self._failure = None  # it would keep this frame, which keeps it
