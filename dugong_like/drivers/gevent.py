"""Operations on gevent, without monkey-patching."""

from __future__ import annotations

import time
from typing import TypeVar, cast

import gevent

from ..polling.contract import POLLIN, POLLOUT, Co, PollNeeded, check_need, check_operation

T = TypeVar("T")
READ = 1  # numbers of libev, for the watchers of gevent
WRITE = 2


def run(op: Co[T]) -> T:
    """Run *op* and return its result; other greenlets run meanwhile.

    A killed greenlet and an elapsed `gevent.Timeout` close the operation.

    Raises:
        TypeError: *op* is not an operation.
        Exception: any exception of *op*.

    """
    check_operation(op)
    try:
        while True:
            need = next(op)
            try:
                _wait(need)
            except (AttributeError, TypeError):
                check_need(need)
                raise
    except StopIteration as end:
        return cast("T", end.value)
    finally:
        op.close()


def _wait(need: PollNeeded) -> None:
    hub = gevent.get_hub()
    events = (READ if need.mask & POLLIN else 0) | (WRITE if need.mask & POLLOUT else 0)
    watcher = hub.loop.io(need.fd, events)
    try:
        if need.deadline is None:
            hub.wait(watcher)
        else:
            with gevent.Timeout(max(need.deadline - time.monotonic(), 0), False):
                hub.wait(watcher)
    finally:
        watcher.close()
