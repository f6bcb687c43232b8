"""Child processes: what is done in each of them, right after the fork.

A child process inherits the memory and the descriptors of its parent, but only the thread that
forked. So a lock that another thread held is never released there, threads that should answer are
missing, and what the parent has open must neither be used nor shut down. Each part of the library
that has something of the kind registers a callback here, which the system's only hook calls.

Not here: what the callbacks do; each is beside what it renews or closes.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from functools import partial
from types import MethodType
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from weakref import ref

Callback = Callable[[], object]


def after_fork(callback: Callback, *, closes: bool = False) -> None:
    """Call *callback* in every child process, in its only thread, before `os.fork` returns there.

    Callbacks that make state of the process anew, such as locks, come first, and those that close
    something follow, as closing may need such a lock; each in the order of their registration. An
    exception of one is reported by `sys.excepthook`, and the others are called nevertheless.

    Registered again it is called once. On systems that cannot fork this has no effect.

    Args:
        callback: a function, which is kept for ever; or a method, which does not keep its object:
            it is called as long as the object is there.
        closes: True if it closes what belongs to the parent.

    """
    callbacks = _closing if closes else _renewing
    if isinstance(callback, MethodType):
        from weakref import ref  # noqa: PLC0415 - for pools and the like

        key = id(callback.__self__), callback.__func__
        owner = ref(callback.__self__, lambda _: callbacks.pop(key, None))
        callbacks[key] = partial(_call, owner, callback.__func__)
    else:
        callbacks[callback] = callback


def generation() -> int:
    """Return the number of forks between the first process with this library and this one.

    An object that was made in another generation belongs to a parent process.
    """
    return _generation


_generation = 0
# In order; the keys tell which are the same. Each single operation on these is atomic.
_renewing: Final[dict[object, Callback]] = {}
_closing: Final[dict[object, Callback]] = {}


def _in_child() -> None:
    global _generation  # noqa: PLW0603 - it is that of the process
    _generation += 1
    for callback in (*_renewing.values(), *_closing.values()):
        try:
            callback()
        except Exception:  # noqa: BLE001 - those that follow do not depend on it
            sys.excepthook(*sys.exc_info())


def _call(owner: ref[Any], method: Callable[[Any], object]) -> None:
    if (alive := owner()) is not None:
        method(alive)


if hasattr(os, "register_at_fork"):  # not on Windows, which cannot fork
    os.register_at_fork(after_in_child=_in_child)
