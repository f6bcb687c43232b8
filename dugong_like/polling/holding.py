"""Holding a lock that is refused, and not waited for, when another operation has it.

This is the one home of how such a lock is taken and given back, whatever interrupts that::

    held = False
    try:
        (held,) = map(lock.acquire, NOT_BLOCKING)
        while not held:
            refuse()
            (held,) = map(lock.acquire, NOT_BLOCKING)
        ...
    finally:
        if held:
            try:
                lock.release()
                after()
            except BaseException:  # Ctrl-C, behind one of these
                after()
                raise

Ctrl-C can come behind any call, and where any function written in Python begins, the ends of
context managers among them. With ``held = lock.acquire(False)`` the lock would stay taken for ever
if it came in between; ``map`` takes it and notes that in one step. A function that was to release
the lock could be interrupted where it begins: so no such function does. Those that wait would not
be woken if it came at the beginning of the function that wakes them: so that is called once more.

The functions here do that. Where each frame of a call is counted it is written out instead: a test
lists those places, and holds each of them to this form (test_locks_interrupted.py).

Not here: a lock that is waited for (fair_lock.py).
"""

from __future__ import annotations

from collections.abc import Callable
from threading import Lock
from typing import Final, TypeVar

from .contract import Co

T = TypeVar("T")
NOT_BLOCKING: Final = (False,)  # arguments of `Lock.acquire`, for ``map``


def holding(
    lock: Lock, refuse: Callable[[], object], call: Callable[[], T], after: Callable[[], object]
) -> T:
    """Call *call* while having *lock*; return what it returns.

    Args:
        lock: taken and given back.
        refuse: called if another operation has it: raises an exception, or returns if it may be
            tried again.
        call: does what the lock is for.
        after: called behind the release, and perhaps twice: wakes those that wait.

    Raises:
        Exception: what *refuse*, *call* and *after* raise.

    """
    held = False
    try:
        (held,) = map(lock.acquire, NOT_BLOCKING)
        while not held:
            refuse()
            (held,) = map(lock.acquire, NOT_BLOCKING)
        return call()
    finally:
        if held:
            try:
                lock.release()
                after()
            except BaseException:  # Ctrl-C, behind one of these
                after()
                raise


def holding_if_free(lock: Lock, call: Callable[[], T], after: Callable[[], object]) -> T | None:
    """Do what `holding` does; do nothing and return None if another operation has *lock*.

    Raises:
        Exception: what *call* and *after* raise.

    """
    held = False
    try:
        (held,) = map(lock.acquire, NOT_BLOCKING)
        return call() if held else None
    finally:
        if held:
            try:
                lock.release()
                after()
            except BaseException:  # Ctrl-C, behind one of these
                after()
                raise


def co_holding(
    lock: Lock, refuse: Callable[[], object], going: Co[T], after: Callable[[], object]
) -> Co[T]:
    """Do *going* while having *lock*, as `holding` does; return what it returns.

    Raises:
        Exception: what *refuse*, *going* and *after* raise.

    """
    held = False
    try:
        (held,) = map(lock.acquire, NOT_BLOCKING)
        while not held:
            refuse()
            (held,) = map(lock.acquire, NOT_BLOCKING)
        return (yield from going)
    finally:
        if held:
            try:
                lock.release()
                after()
            except BaseException:  # Ctrl-C, behind one of these
                after()
                raise
